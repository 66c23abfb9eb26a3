//! Storage keys as the table of the read path has them.

use std::hash::{Hash, Hasher};

use sw_types::{EphemeralId, StorageKey};

/// A storage key, most of them without a text elsewhere: to compare it then needs no more memory than
/// what is read to find it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum TableKey {
    Short(Short),
    Long(Box<StorageKey>),
}

/// How many bytes a short key may be. With its variant, it fills a line of a processor's cache.
const SHORT: usize = 62;

/// The parts of a key, one after another.
#[derive(Clone, Debug)]
pub(super) struct Short {
    bytes: [u8; SHORT],
    length: u8,
}

/// What stands between an origin and a site; no byte of either.
const UNDER: u8 = 0xff;
const UNDER_CROSS_SITE: u8 = 0xfe;
/// What stands before a session's number.
const SESSION: u8 = 0xfd;

impl TableKey {
    pub(super) fn of(key: &StorageKey) -> Self {
        let mut short = Short {
            bytes: [0; SHORT],
            length: 0,
        };
        match short.hold(key) {
            Some(()) => Self::Short(short),
            None => Self::Long(Box::new(key.clone())),
        }
    }
}

impl Short {
    /// None if there is no room for it, or if its text does not say which origin it is.
    fn hold(&mut self, key: &StorageKey) -> Option<()> {
        if key.origin().is_opaque() {
            return None;
        }
        self.push(key.origin().as_str().as_bytes())?;
        if let Some(site) = key.top_level_site() {
            let site = site.as_str().as_bytes();
            // Of an opaque site only that it is one.
            if site == b"null" {
                return None;
            }
            let under = match key.has_cross_site_ancestor() {
                true => UNDER_CROSS_SITE,
                false => UNDER,
            };
            self.push(&[under])?;
            self.push(site)?;
        }
        if let Some(EphemeralId(id)) = key.ephemeral() {
            self.push(&[SESSION])?;
            self.push(&id.to_le_bytes())?;
        }
        Some(())
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let start = usize::from(self.length);
        let end = start + bytes.len();
        self.bytes.get_mut(start..end)?.copy_from_slice(bytes);
        self.length = u8::try_from(end).ok()?;
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl PartialEq for Short {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Short {}

impl Hash for Short {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.bytes());
    }
}

#[cfg(test)]
mod tests {
    use sw_types::{Origin, Site};
    use url::Url;

    use super::*;

    #[test]
    fn two_keys_are_equal_in_the_table_if_they_are_equal() {
        let long = format!("https://{}.test", "x".repeat(60));
        let hosts = [
            "https://a.test",
            "https://a.test:8443",
            "https://b.test",
            &long,
        ];
        let origins = hosts.map(|host| Origin::of(&Url::parse(host).unwrap()));
        let opaque = [Origin::opaque(1), Origin::opaque(2)];
        let mut keys = Vec::new();
        for origin in origins.iter().chain(&opaque) {
            let key = StorageKey::first_party(origin.clone());
            let sites = origins.iter().chain(&opaque).map(Site::of);
            let under = sites.flat_map(|site| {
                [false, true].map(|cross_site| key.clone().under(site.clone(), cross_site))
            });
            keys.extend(under.chain([key.clone()]));
        }
        let sessions = [None, Some(EphemeralId(1)), Some(EphemeralId(0x0101))];
        let keys: Vec<StorageKey> = keys
            .iter()
            .flat_map(|key| sessions.map(|session| key.clone().in_session(session)))
            .collect();
        for one in &keys {
            for other in &keys {
                let equal = TableKey::of(one) == TableKey::of(other);
                assert_eq!(equal, one == other, "{one}, {other}");
            }
        }
        let short = keys.iter().map(TableKey::of);
        let short = short.filter(|it| matches!(it, TableKey::Short(_))).count();
        assert!(
            short > 20 && short < keys.len(),
            "{short} of {}",
            keys.len()
        );
    }

    #[test]
    fn a_key_in_the_table_fills_one_line_of_the_cache() {
        assert_eq!(size_of::<TableKey>(), 64);
    }
}
