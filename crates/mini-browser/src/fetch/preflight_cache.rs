//! What preflights allowed, for as long as they said. (*Fetch*, "CORS-preflight cache".)

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use service_worker::types::fetch::{CredentialsMode, RequestHead};
use service_worker::types::{Environment, EphemeralId, Site};
use url::Url;

use super::preflight::is_non_wildcard_request_header_name;

/// The longest that an entry lives: the *imposed limit on max-age*.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// The most entries. The oldest makes room.
const MAX_ENTRIES: usize = 1024;

/// The cache of a user agent.
#[derive(Debug, Default)]
pub(super) struct PreflightCache(Mutex<VecDeque<Entry>>);

/// The *network partition key* of a request's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetworkPartitionKey {
    top_level_site: Site,
    ephemeral: Option<EphemeralId>,
}

impl NetworkPartitionKey {
    pub(super) fn of(client: &Environment) -> Self {
        Self {
            top_level_site: client.top_level_site.clone(),
            ephemeral: client.ephemeral,
        }
    }
}

#[derive(Debug)]
struct Entry {
    key: NetworkPartitionKey,
    origin: String,
    url: Url,
    until: Instant,
    credentials: bool,
    allowed: Allowed,
}

/// What one entry allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// A method, or `*`.
    Method(String),
    /// A header name in lower case, or `*`.
    Header(String),
}

impl PreflightCache {
    /// Whether there is a *method cache entry match*.
    pub(super) fn has_method(
        &self,
        key: &NetworkPartitionKey,
        request: &RequestHead,
        method: &Method,
        now: Instant,
    ) -> bool {
        self.lock(now).iter().any(|entry| {
            entry.matches(key, request)
                && matches!(&entry.allowed, Allowed::Method(allowed)
                    if allowed == method.as_str() || allowed == "*")
        })
    }

    /// Whether there is a *header-name cache entry match*; `name` in lower case.
    pub(super) fn has_header(
        &self,
        key: &NetworkPartitionKey,
        request: &RequestHead,
        name: &str,
        now: Instant,
    ) -> bool {
        self.lock(now).iter().any(|entry| {
            entry.matches(key, request)
                && matches!(&entry.allowed, Allowed::Header(allowed)
                    if allowed == name
                        || (allowed == "*" && !is_non_wildcard_request_header_name(name)))
        })
    }

    /// *CORS-preflight fetch*, on what the response allowed: entries that match live as long as it
    /// says now, and the others are *created*.
    pub(super) fn allow(
        &self,
        key: &NetworkPartitionKey,
        request: &RequestHead,
        allowed: Allowed,
        max_age: Duration,
        now: Instant,
    ) {
        let until = now + max_age.min(MAX_AGE);
        let mut entries = self.lock(now);
        let known = entries
            .iter_mut()
            .find(|entry| entry.matches(key, request) && entry.allowed == allowed);
        if let Some(known) = known {
            known.until = until;
            return;
        }
        if entries.len() >= MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(Entry {
            key: key.clone(),
            origin: request.serialized_origin().to_owned(),
            url: without_fragment(request.url()),
            until,
            credentials: request.credentials == CredentialsMode::Include,
            allowed,
        });
    }

    /// *Clear cache entries*.
    pub(super) fn clear(&self, key: &NetworkPartitionKey, request: &RequestHead, now: Instant) {
        let url = without_fragment(request.url());
        self.lock(now).retain(|entry| {
            !(entry.key == *key && entry.origin == request.serialized_origin() && entry.url == url)
        });
    }

    /// The entries that still count.
    fn lock(&self, now: Instant) -> MutexGuard<'_, VecDeque<Entry>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.until > now);
        entries
    }
}

impl Entry {
    /// *Cache entry match*.
    fn matches(&self, key: &NetworkPartitionKey, request: &RequestHead) -> bool {
        self.key == *key
            && self.origin == request.serialized_origin()
            && self.url == without_fragment(request.url())
            && (self.credentials || request.credentials != CredentialsMode::Include)
    }
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use service_worker::types::{ClientId, Origin};

    use super::*;

    struct Stand {
        cache: PreflightCache,
        page: Environment,
        now: Instant,
    }

    impl Stand {
        fn new() -> Self {
            let page = Url::parse("https://a.test/").unwrap();
            Self {
                cache: PreflightCache::default(),
                page: Environment::top_level(ClientId(1), page),
                now: Instant::now(),
            }
        }

        fn request(&self, url: &str, credentials: CredentialsMode) -> RequestHead {
            let url = Url::parse(url).unwrap();
            RequestHead {
                credentials,
                ..RequestHead::get(url, self.page.origin.clone())
            }
        }

        fn key(&self) -> NetworkPartitionKey {
            NetworkPartitionKey::of(&self.page)
        }

        fn allow(&self, request: &RequestHead, allowed: Allowed, seconds: u64) {
            let max_age = Duration::from_secs(seconds);
            self.cache
                .allow(&self.key(), request, allowed, max_age, self.now);
        }

        fn has_put(&self, request: &RequestHead, seconds: u64) -> bool {
            let now = self.now + Duration::from_secs(seconds);
            self.cache
                .has_method(&self.key(), request, &Method::PUT, now)
        }
    }

    const URL: &str = "https://b.test/x";

    #[test]
    fn an_entry_counts_for_its_url_origin_partition_and_time() {
        let stand = Stand::new();
        let request = stand.request(URL, CredentialsMode::Omit);
        stand.allow(&request, Allowed::Method("PUT".into()), 10);
        assert!(stand.has_put(&request, 9));
        assert!(!stand.has_put(&stand.request("https://b.test/y", CredentialsMode::Omit), 0));
        assert!(stand.has_put(
            &stand.request(&format!("{URL}#f"), CredentialsMode::Omit),
            0
        ));
        let mut tainted = request.clone();
        tainted.tainted_origin = true;
        assert!(!stand.has_put(&tainted, 0));
        let mut elsewhere = stand.page.clone();
        elsewhere.top_level_site = Site::of(&Origin::of(&Url::parse("https://c.test/").unwrap()));
        let key = NetworkPartitionKey::of(&elsewhere);
        let cache = &stand.cache;
        assert!(!cache.has_method(&key, &request, &Method::PUT, stand.now));
        assert!(!cache.has_method(&stand.key(), &request, &Method::DELETE, stand.now));
        assert!(!stand.has_put(&request, 10));
    }

    #[test]
    fn what_was_allowed_without_credentials_does_not_count_with_them() {
        let stand = Stand::new();
        let without = stand.request(URL, CredentialsMode::SameOrigin);
        let with = stand.request(URL, CredentialsMode::Include);
        stand.allow(&without, Allowed::Method("PUT".into()), 10);
        assert!(!stand.has_put(&with, 0));
        stand.allow(&with, Allowed::Method("PUT".into()), 20);
        assert!(stand.has_put(&with, 15));
        assert!(stand.has_put(&without, 15));
    }

    #[test]
    fn a_star_is_for_all_but_authorization() {
        let stand = Stand::new();
        let request = stand.request(URL, CredentialsMode::Omit);
        stand.allow(&request, Allowed::Method("*".into()), 10);
        stand.allow(&request, Allowed::Header("*".into()), 10);
        assert!(stand.has_put(&request, 0));
        let has = |name| {
            stand
                .cache
                .has_header(&stand.key(), &request, name, stand.now)
        };
        assert!(has("x-any"));
        assert!(!has("authorization"));
    }

    #[test]
    fn no_entry_lives_for_ever_and_the_oldest_makes_room() {
        let stand = Stand::new();
        let request = stand.request(URL, CredentialsMode::Omit);
        stand.allow(&request, Allowed::Method("PUT".into()), 1 << 40);
        let limit = MAX_AGE.as_secs();
        assert!(stand.has_put(&request, limit - 1));
        for index in 0..MAX_ENTRIES {
            stand.allow(&request, Allowed::Header(format!("x-{index}")), 10);
        }
        assert!(!stand.has_put(&request, 0));
        stand.cache.clear(&stand.key(), &request, stand.now);
        assert!(stand.cache.0.lock().unwrap().is_empty());
        stand.allow(&request, Allowed::Method("PUT".into()), 10);
        assert!(!stand.has_put(&request, limit));
    }
}
