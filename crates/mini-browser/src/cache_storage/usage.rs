//! What the caches of each storage key take, and how much they may. (*Storage*, "storage usage" and
//! "storage quota".)
//!
//! **Padding.** Whoever may read its own usage must not learn from it how long a response of another
//! origin is. An opaque response counts for up to [`MOST_PADDING`] bytes more than it has. How many is
//! a secret function of its URL and its body, so that putting the same again and again teaches no more
//! than putting it once.

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};
use service_worker::types::StorageKey;
use service_worker::types::fetch::{ResponseHead, ResponseType};

use super::CacheError;
use super::record::{EntryRecord, StoredBody};

/// The greatest padding of an opaque response, in bytes.
const MOST_PADDING: u64 = 4 << 20;

/// What paddings are made of. Nobody outside of the store knows it.
pub(super) type PaddingKey = [u8; 32];

/// The usage of all storage keys of a shelf, in bytes.
pub(super) struct Usage {
    quota: u64,
    padding: PaddingKey,
    caches: BTreeMap<u64, u64>,
    keys: BTreeMap<StorageKey, OfKey>,
    /// Bodies that are written and not put yet: whose they are, and how long.
    written: BTreeMap<u64, (StorageKey, u64)>,
}

#[derive(Default)]
struct OfKey {
    entries: u64,
    written: u64,
}

impl Usage {
    pub(super) const fn new(quota: u64, padding: PaddingKey) -> Self {
        Self {
            quota,
            padding,
            caches: BTreeMap::new(),
            keys: BTreeMap::new(),
            written: BTreeMap::new(),
        }
    }

    /// What the caches of a key take.
    pub(super) fn of(&self, key: &StorageKey) -> u64 {
        self.keys.get(key).map_or(0, |of_key| of_key.entries)
    }

    /// What those of one key may take.
    pub(super) const fn quota(&self) -> u64 {
        self.quota
    }

    pub(super) const fn set_quota(&mut self, quota: u64) {
        self.quota = quota;
    }

    /// What an entry counts for.
    pub(super) fn size(&self, record: &EntryRecord) -> u64 {
        let heads = head_size(&record.response)
            + record.request.url().as_str().len() as u64
            + headers_size(&record.request.headers);
        let body = record.body.map_or(0, |body| body.length);
        let padding = match record.response.response_type {
            ResponseType::Opaque | ResponseType::OpaqueRedirect => self.padding(record),
            _ => 0,
        };
        heads + body + padding
    }

    fn padding(&self, record: &EntryRecord) -> u64 {
        let mut hash = Context::new(&SHA256);
        hash.update(&self.padding);
        hash.update(record.request.url().as_str().as_bytes());
        if let Some(StoredBody {
            length, checksum, ..
        }) = record.body
        {
            // No URL has a space.
            hash.update(b" ");
            hash.update(&length.to_le_bytes());
            hash.update(&checksum.to_le_bytes());
        }
        let digest = hash.finish();
        let start = digest.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(start) % MOST_PADDING
    }

    /// A body is going to be written.
    pub(super) fn begin(&mut self, body: u64, key: &StorageKey) {
        self.written.insert(body, (key.clone(), 0));
    }

    /// More of it is.
    ///
    /// # Errors
    /// [`CacheError::Quota`]: it may not be.
    pub(super) fn append(&mut self, body: u64, length: usize) -> Result<(), CacheError> {
        let Some((key, written)) = self.written.get_mut(&body) else {
            return Ok(());
        };
        let of_key = self.keys.entry(key.clone()).or_default();
        let length = length as u64;
        let wanted = of_key.entries + of_key.written + length;
        if wanted > self.quota {
            return Err(CacheError::Quota {
                wanted,
                quota: self.quota,
            });
        }
        *written += length;
        of_key.written += length;
        Ok(())
    }

    /// It was put, or given up.
    pub(super) fn end(&mut self, body: u64) {
        let Some((key, length)) = self.written.remove(&body) else {
            return;
        };
        if let Some(of_key) = self.keys.get_mut(&key) {
            of_key.written = of_key.written.saturating_sub(length);
        }
        self.tidy(&key);
    }

    /// Whether entries of `added` bytes may take the place of others.
    ///
    /// # Errors
    /// [`CacheError::Quota`]: they may not.
    pub(super) fn admits(
        &self,
        key: &StorageKey,
        removed: u64,
        added: u64,
    ) -> Result<(), CacheError> {
        let wanted = self.of(key).saturating_sub(removed) + added;
        // What makes room is never refused.
        if wanted <= self.quota || added <= removed {
            return Ok(());
        }
        Err(CacheError::Quota {
            wanted,
            quota: self.quota,
        })
    }

    /// A cache has other entries.
    pub(super) fn change(&mut self, cache: u64, key: &StorageKey, removed: u64, added: u64) {
        let changed = |bytes: &mut u64| *bytes = bytes.saturating_sub(removed) + added;
        changed(self.caches.entry(cache).or_default());
        changed(&mut self.keys.entry(key.clone()).or_default().entries);
        self.tidy(key);
    }

    /// There is no such cache any more.
    pub(super) fn forget(&mut self, cache: u64, key: &StorageKey) {
        let bytes = self.caches.remove(&cache).unwrap_or_default();
        if let Some(of_key) = self.keys.get_mut(key) {
            of_key.entries = of_key.entries.saturating_sub(bytes);
        }
        self.tidy(key);
    }

    fn tidy(&mut self, key: &StorageKey) {
        let of_key = self.keys.get(key);
        if of_key.is_some_and(|it| it.entries == 0 && it.written == 0) {
            self.keys.remove(key);
        }
    }
}

fn head_size(head: &ResponseHead) -> u64 {
    let urls = head.url_list.iter().map(|url| url.as_str().len() as u64);
    urls.sum::<u64>() + headers_size(&head.headers)
}

fn headers_size(headers: &http::HeaderMap) -> u64 {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.as_str().len() + value.len()) as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use service_worker::types::Origin;
    use service_worker::types::fetch::RequestHead;
    use url::Url;

    use super::*;

    fn record(path: &str, response_type: ResponseType, length: u64, checksum: u32) -> EntryRecord {
        let url = Url::parse(&format!("https://other.example/{path}")).unwrap();
        let mut response = ResponseHead::new(StatusCode::OK, HeaderMap::new());
        response.response_type = response_type;
        EntryRecord {
            request: RequestHead::get(url.clone(), Origin::of(&url)),
            response,
            body: Some(StoredBody {
                number: 1,
                length,
                checksum,
            }),
        }
    }

    #[test]
    fn only_an_opaque_response_is_padded_and_always_by_the_same() {
        let usage = Usage::new(u64::MAX, [7; 32]);
        let url = "https://other.example/a".len() as u64;
        let open = record("a", ResponseType::Cors, 100, 5);
        assert_eq!(usage.size(&open), 100 + url);
        let size = |path: &str, length, checksum| {
            usage.size(&record(path, ResponseType::Opaque, length, checksum)) - length - url
        };
        let padding = size("a", 100, 5);
        assert!((1..MOST_PADDING).contains(&padding), "{padding}");
        assert_eq!(size("a", 100, 5), padding);
        // Another body, another URL, another profile.
        assert_ne!(size("a", 101, 5), padding);
        assert_ne!(size("a", 100, 6), padding);
        assert_ne!(size("b", 100, 5), padding);
        let other = Usage::new(u64::MAX, [8; 32]);
        let same = record("a", ResponseType::Opaque, 100, 5);
        assert_ne!(other.size(&same), usage.size(&same));
    }

    #[test]
    fn nothing_is_left_of_a_key_that_has_nothing() {
        let key = StorageKey::first_party(Origin::of(&Url::parse("https://a.example/").unwrap()));
        let mut usage = Usage::new(100, [7; 32]);
        usage.begin(1, &key);
        assert_eq!(usage.append(1, 60), Ok(()));
        let refused = usage.append(1, 41);
        assert_eq!(
            refused,
            Err(CacheError::Quota {
                wanted: 101,
                quota: 100
            })
        );
        usage.end(1);
        usage.change(5, &key, 0, 90);
        assert_eq!(usage.of(&key), 90);
        assert!(usage.admits(&key, 0, 11).is_err());
        assert_eq!(usage.admits(&key, 1, 11), Ok(()));
        usage.forget(5, &key);
        assert_eq!(usage.of(&key), 0);
        assert!(usage.keys.is_empty() && usage.caches.is_empty() && usage.written.is_empty());
    }
}
