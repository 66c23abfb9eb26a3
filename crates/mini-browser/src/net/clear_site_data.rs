//! `Clear-Site-Data`: a server has what is kept for its origin cleared. (*Clear Site Data*.)
//!
//! Known and without effect are `"clientHints"`, of which none are kept, and
//! `"executionContexts"`: documents are not reloaded, as in the browsers that ship the header.

use std::future::Future;
use std::pin::Pin;

use http::HeaderMap;
use service_worker::types::{Origin, StorageKey};
use url::Url;

/// Keeps what the network does not: asked when a response has it cleared.
pub trait StoredData: Send + Sync {
    /// *Clear DOM-accessible storage for origin*: of this storage key. Ends when it is gone.
    fn clear_storage(&self, key: StorageKey) -> Clearing;

    /// *Clear cookies for origin*, step 6: the authentication entries of the registrable domain of
    /// `key`'s origin, under the same top-level site.
    fn clear_authentication(&self, key: &StorageKey);
}

/// What [`StoredData::clear_storage`] gives.
pub type Clearing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The types that a response names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Types {
    pub(super) cache: bool,
    pub(super) cookies: bool,
    pub(super) storage: bool,
}

impl Types {
    /// *Parse a response's `Clear-Site-Data` header*, and step 1 of *clear site data for response*.
    /// None if the URL is not authenticated, or if the header is not a list of quoted strings.
    pub(super) fn of(url: &Url, headers: &HeaderMap) -> Self {
        let mut types = Self::default();
        if !headers.contains_key(NAME) || !Origin::of(url).is_potentially_trustworthy() {
            return types;
        }
        // Steps 2 and 3.
        let Some(values) = list_values(headers) else {
            tracing::debug!(%url, "Clear-Site-Data is no list of quoted strings");
            return types;
        };
        // Step 4.
        for value in values {
            match value {
                br#""cache""# => types.cache = true,
                br#""cookies""# => types.cookies = true,
                br#""storage""# => types.storage = true,
                br#""*""# => {
                    types = Self {
                        cache: true,
                        cookies: true,
                        storage: true,
                    }
                }
                // Those of the module's page, and those that nobody knows.
                other => {
                    tracing::debug!(%url, kind = %other.escape_ascii(), "nothing is cleared");
                }
            }
        }
        types
    }
}

/// The storage key of what a response of `url` may clear: of its own origin, and in no other
/// partition than the one in which it was asked for.
pub(super) fn cleared_key(url: &Url, partition: &StorageKey) -> StorageKey {
    let origin = Origin::of(url);
    if *partition.origin() == origin {
        return partition.clone();
    }
    let key = StorageKey::first_party(origin.clone()).in_session(partition.ephemeral());
    match partition.top_level_site() {
        Some(site) => {
            let cross_site = partition.has_cross_site_ancestor() || !site.contains(&origin);
            key.under(site.clone(), cross_site)
        }
        None => key,
    }
}

const NAME: &str = "clear-site-data";

/// *Extract header list values*, for the ABNF `1#quoted-string`: as they were written, with their
/// quotes. Empty elements do not count. (RFC 9110, §5.6.1 and §5.6.4.)
fn list_values(headers: &HeaderMap) -> Option<Vec<&[u8]>> {
    let mut values = Vec::new();
    for line in headers.get_all(NAME) {
        let mut rest = line.as_bytes();
        loop {
            rest = rest.trim_ascii_start();
            match rest {
                [] => break,
                [b',', after @ ..] => rest = after,
                _ => {
                    let (value, after) = quoted_string(rest)?;
                    values.push(value);
                    rest = after.trim_ascii_start();
                    if !matches!(rest, [] | [b',', ..]) {
                        return None;
                    }
                }
            }
        }
    }
    (!values.is_empty()).then_some(values)
}

/// A quoted string at the beginning of `bytes`, and what is behind it.
fn quoted_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = bytes.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    let end = inside.iter().position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => *byte == b'"',
    })?;
    Some(bytes.split_at(end + 2))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOTHING: Types = Types {
        cache: false,
        cookies: false,
        storage: false,
    };

    fn types(url: &str, lines: &[&'static str]) -> Types {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_static(line));
        }
        Types::of(&url.parse().unwrap(), &headers)
    }

    #[test]
    fn each_quoted_word_of_each_line_counts() {
        let (cache, cookies, storage) = (true, true, true);
        let cases: [(&[&'static str], Types); 8] = [
            (&[r#""cache""#], Types { cache, ..NOTHING }),
            (&[r#""cookies""#], Types { cookies, ..NOTHING }),
            (&[r#""storage""#], Types { storage, ..NOTHING }),
            (
                &[r#"  "cache" ,, "storage","#],
                Types {
                    cookies: false,
                    cache,
                    storage,
                },
            ),
            (
                &[r#""cache""#, r#""cookies""#],
                Types {
                    storage: false,
                    cache,
                    cookies,
                },
            ),
            (
                &[r#""*""#],
                Types {
                    cache,
                    cookies,
                    storage,
                },
            ),
            (
                &[r#""unknown, \"*\"", "storage""#],
                Types { storage, ..NOTHING },
            ),
            (&[r#""executionContexts", "clientHints""#], NOTHING),
        ];
        for (lines, expected) in cases {
            assert_eq!(types("https://a.test/", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_quoted_strings_clears_nothing() {
        for line in [
            "",
            ",",
            "storage",
            "*",
            r#""storage", cache"#,
            r#""storage" "cache""#,
            r#""storage"#,
            r#""storage\"#,
            r#""STORAGE""#,
            r#""stor\age""#,
            r#"'storage'"#,
        ] {
            assert_eq!(types("https://a.test/", &[line]), NOTHING, "{line}");
        }
        // One bad line spoils all.
        let lines = [r#""storage""#, "cache"];
        assert_eq!(types("https://a.test/", &lines), NOTHING);
    }

    #[test]
    fn only_a_server_that_is_sure_to_be_the_origin_is_heard() {
        let lines = [r#""storage""#];
        assert_eq!(types("http://a.test/", &lines), NOTHING);
        assert!(types("http://127.0.0.1:8000/", &lines).storage);
        assert!(types("http://localhost/", &lines).storage);
    }

    #[test]
    fn the_key_is_of_the_servers_origin_in_the_partition_of_the_request() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let origin = |text: &str| Origin::of(&url(text));
        let (a, b) = ("https://a.test/", "https://b.test/");
        let site = service_worker::types::Site::of(&origin(a));
        // Not partitioned.
        let key = StorageKey::first_party(origin(a));
        assert_eq!(cleared_key(&url(a), &key), key);
        let other = StorageKey::first_party(origin(b));
        assert_eq!(cleared_key(&url(b), &key), other);
        // Partitioned: what b has under a, and not what it has of its own.
        let key = key.under(site.clone(), false);
        assert_eq!(cleared_key(&url(b), &key), other.under(site, true));
    }
}
