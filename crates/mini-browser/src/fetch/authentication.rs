//! User names and passwords of URLs, for servers that ask for them. (*Fetch*, "HTTP-network-or-cache
//! fetch", on authentication entries. RFC 7617.)

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use service_worker::types::{Environment, Origin, Site, StorageKey};
use url::Url;

use super::integrity::encode_base64;

/// The most origins that are remembered.
const MAX: usize = 256;

/// The *authentication entries* of a user agent: what an origin has accepted, under a top-level
/// site. There is nobody to be prompted, so that they come from URLs alone.
#[derive(Debug, Default)]
pub(super) struct AuthenticationEntries(Mutex<BTreeMap<(Site, Origin), HeaderValue>>);

impl AuthenticationEntries {
    /// The entry for a URL.
    pub(super) fn entry(&self, client: &Environment, url: &Url) -> Option<HeaderValue> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key(client, url)).cloned()
    }

    /// *Create an authentication entry*.
    pub(super) fn create(&self, client: &Environment, url: &Url, authorization: HeaderValue) {
        if client.ephemeral.is_some() {
            return;
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX {
            entries.pop_first();
        }
        entries.insert(key(client, url), authorization);
    }

    /// *Clear cookies for origin*, step 6: those of the registrable domain of the key's origin, under
    /// its top-level site, or wherever if the key is not partitioned.
    pub(super) fn clear(&self, key: &StorageKey) {
        let domain = Site::of(key.origin());
        let is_cleared = |(top, origin): &(Site, Origin)| {
            domain.contains(origin) && key.top_level_site().is_none_or(|site| site == top)
        };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry, _| !is_cleared(entry));
    }
}

fn key(client: &Environment, url: &Url) -> (Site, Origin) {
    (client.top_level_site.clone(), Origin::of(url))
}

/// The `Authorization` that a URL's user name and password make; `None` if it has none.
pub(super) fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut credentials = decode(url.username());
    credentials.push(b':');
    credentials.extend(decode(url.password().unwrap_or_default()));
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", encode_base64(&credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a 401 asks for a user name and a password in the one way that is known here.
pub(super) fn asks_for_basic(headers: &HeaderMap) -> bool {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|challenge| {
            let scheme = challenge.trim().split([' ', '\t']).next();
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
        })
}

/// *Percent-decode*.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_urls_user_name_and_password_become_a_header() {
        let of = |url: &str| {
            let value = authorization(&Url::parse(url).unwrap())?;
            Some(value.to_str().unwrap().to_owned())
        };
        assert_eq!(of("https://a.test/"), None);
        assert_eq!(of("https://user:pw@a.test/").unwrap(), "Basic dXNlcjpwdw==");
        assert_eq!(of("https://user@a.test/").unwrap(), "Basic dXNlcjo=");
        assert_eq!(
            of("https://u%C3%A9:%zz@a.test/").unwrap(),
            "Basic dcOpOiV6eg=="
        );
    }

    #[test]
    fn basic_is_found_among_challenges() {
        for (value, expected) in [
            ("Basic realm=\"x\"", true),
            ("basic", true),
            ("Digest realm=\"x\", Basic realm=\"y\"", true),
            ("Negotiate", false),
            ("Basics realm=\"x\"", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, value.parse().unwrap());
            assert_eq!(asks_for_basic(&headers), expected, "{value}");
        }
    }
}
