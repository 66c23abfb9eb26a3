//! The HTTP cache: answers of servers, kept in memory and used again by the rules of RFC 9111.
//!
//! `http-cache-semantics` says what may be stored, how long it is fresh and which requests it
//! answers; here are the cache modes of *HTTP-network-or-cache fetch*, the merging of a 304, the
//! partitions, and the bound in bytes.

mod keeping;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RANGE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy, RequestLike, ResponseLike};
use service_worker::types::StorageKey;
use service_worker::types::fetch::CacheMode;
use service_worker::{Body, Clock};
use url::Url;

use super::cookies::CookiePartition;

/// Answers that are kept, at most so many bytes of them. What was used longest ago goes first.
pub(super) struct HttpCache {
    inner: Mutex<Inner>,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

/// Which answers a request may be given: those of its URL in its partition, and apart from one
/// another what was asked with credentials and what was asked without. (*Fetch*, "determine the HTTP
/// cache partition".)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CacheKey {
    partition: StorageKey,
    url: Url,
    credentials: bool,
}

impl CacheKey {
    pub(super) fn new(partition: StorageKey, url: &Url, credentials: bool) -> Self {
        let mut url = url.clone();
        url.set_fragment(None);
        Self {
            partition,
            url,
            credentials,
        }
    }
}

/// A request, as the rules of caching see it: with the cookies that go with it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

/// What the cache knows of a request.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing that it could be answered with.
    Nothing,
    /// Its answer.
    Answer(Arc<Stored>),
    /// An answer that the server has to confirm first, asked with these headers as well.
    Stale(Arc<Stored>, HeaderMap),
}

/// An answer that is kept, its content coding undone.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) head: StoredHead,
    pub(super) body: Bytes,
    policy: CachePolicy,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(super) struct StoredHead {
    pub(super) status: StatusCode,
    pub(super) status_text: String,
    pub(super) headers: HeaderMap,
    /// Whether cookies or authorization went with the request.
    pub(super) sent_credentials: bool,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<CacheKey, Vec<Entry>>,
    /// Which key was used when.
    uses: BTreeMap<u64, CacheKey>,
    now: u64,
    bytes: usize,
}

/// One variant of an answer.
struct Entry {
    stored: Arc<Stored>,
    used: u64,
    size: usize,
}

impl HttpCache {
    /// An empty one. With a capacity of 0 it stays empty.
    pub(super) fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Mutex::default(),
            capacity,
            clock,
        }
    }

    /// *HTTP-network-or-cache fetch*, step 8.25: what is stored for a request.
    pub(super) fn look_up(&self, key: &CacheKey, mode: CacheMode, asked: &Asked) -> Found {
        if matches!(mode, CacheMode::NoStore | CacheMode::Reload) || !is_cacheable(asked) {
            return Found::Nothing;
        }
        let now = self.now();
        let mut inner = self.inner();
        let Some((stored, is_fresh)) = inner.matching(key, asked, now) else {
            return Found::Nothing;
        };
        match mode {
            CacheMode::ForceCache | CacheMode::OnlyIfCached => Found::Answer(stored),
            CacheMode::Default if is_fresh => Found::Answer(stored),
            _ => {
                let validators = validators(&stored.head.headers);
                Found::Stale(stored, validators)
            }
        }
    }

    /// *HTTP-network-or-cache fetch*, "If revalidatingFlag is set and forwardResponse's status is
    /// 304": the stored answer with the headers of the 304. (RFC 9111, §3.2 and §4.3.4.)
    pub(super) fn freshen(
        &self,
        key: CacheKey,
        asked: &Asked,
        stored: &Stored,
        not_modified: &HeaderMap,
    ) -> Arc<Stored> {
        let mut head = stored.head.clone();
        for name in not_modified.keys().filter(|name| is_updated_by_304(name)) {
            head.headers.remove(name);
            for value in not_modified.get_all(name) {
                head.headers.append(name.clone(), value.clone());
            }
        }
        // The answer is as old as its confirmation says.
        if !not_modified.contains_key(AGE) {
            head.headers.remove(AGE);
        }
        let stored = Arc::new(self.answer(asked, head, stored.body.clone()));
        self.keep(key, asked, Arc::clone(&stored));
        stored
    }

    /// *HTTP-network-or-cache fetch*, "Store httpRequest and forwardResponse in httpCache": the same
    /// body, which is kept once it has been read to its end. What ends early is never kept.
    pub(super) fn keeping(
        self: &Arc<Self>,
        key: CacheKey,
        asked: Asked,
        head: StoredHead,
        body: Body,
    ) -> Body {
        let policy = self.policy(&asked, &head);
        if !policy.is_storable() || !is_cacheable(&asked) || varies_always(&head.headers) {
            return body;
        }
        // A longer one would push out too much.
        let longest = self.capacity / 8;
        let cache = Arc::clone(self);
        keeping::keeping(body, longest, move |body| {
            let stored = Stored { head, body, policy };
            cache.keep(key, &asked, Arc::new(stored));
        })
    }

    /// RFC 9111, §4.4: what an unsafe request may have changed is not used any more.
    pub(super) fn invalidate(&self, key: &CacheKey, response: &HeaderMap) {
        let mut inner = self.inner();
        inner.forget(&key.url);
        for name in [LOCATION, CONTENT_LOCATION] {
            let value = response.get(name).and_then(|value| value.to_str().ok());
            let url = value.and_then(|value| key.url.join(value).ok());
            if let Some(url) = url.filter(|url| url.origin() == key.url.origin()) {
                inner.forget(&url);
            }
        }
    }

    /// *Clear cache for origin*: what is kept of a URL's host, in the partition of `key`.
    pub(super) fn clear_site(&self, key: &CacheKey) {
        let mut inner = self.inner();
        let partition = CookiePartition::of(&key.partition);
        let is_cleared = |other: &&CacheKey| {
            other.url.host() == key.url.host() && CookiePartition::of(&other.partition) == partition
        };
        let cleared: Vec<CacheKey> = inner.entries.keys().filter(is_cleared).cloned().collect();
        for key in cleared {
            inner.remove(&key, |_| true);
        }
    }

    fn keep(&self, key: CacheKey, asked: &Asked, stored: Arc<Stored>) {
        let size = stored.size() + key.url.as_str().len();
        if size > self.capacity {
            return;
        }
        let now = self.now();
        let mut inner = self.inner();
        inner.remove_matching(&key, asked, now);
        inner.insert(key, stored, size);
        inner.shrink(self.capacity);
    }

    fn answer(&self, asked: &Asked, head: StoredHead, body: Bytes) -> Stored {
        let policy = self.policy(asked, &head);
        Stored { head, body, policy }
    }

    fn policy(&self, asked: &Asked, head: &StoredHead) -> CachePolicy {
        let options = CacheOptions {
            shared: false,
            ..CacheOptions::default()
        };
        CachePolicy::new_options(asked, head, self.now(), options)
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.clock.wall().0)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The newest answer that a request may be given, and whether it is fresh.
    fn matching(
        &mut self,
        key: &CacheKey,
        asked: &Asked,
        now: SystemTime,
    ) -> Option<(Arc<Stored>, bool)> {
        let entries = self.entries.get_mut(key)?;
        let (entry, is_fresh) = entries.iter_mut().rev().find_map(|entry| {
            let is_fresh = entry.stored.answers(asked, now)?;
            Some((entry, is_fresh))
        })?;
        self.uses.remove(&entry.used);
        self.now += 1;
        entry.used = self.now;
        self.uses.insert(entry.used, key.clone());
        Some((Arc::clone(&entry.stored), is_fresh))
    }

    fn insert(&mut self, key: CacheKey, stored: Arc<Stored>, size: usize) {
        self.now += 1;
        self.bytes += size;
        self.uses.insert(self.now, key.clone());
        self.entries.entry(key).or_default().push(Entry {
            stored,
            used: self.now,
            size,
        });
    }

    fn remove_matching(&mut self, key: &CacheKey, asked: &Asked, now: SystemTime) {
        self.remove(key, |entry| entry.stored.answers(asked, now).is_some());
    }

    fn remove(&mut self, key: &CacheKey, is_removed: impl Fn(&Entry) -> bool) {
        let Some(entries) = self.entries.get_mut(key) else {
            return;
        };
        let (uses, bytes) = (&mut self.uses, &mut self.bytes);
        entries.retain(|entry| {
            let stays = !is_removed(entry);
            if !stays {
                uses.remove(&entry.used);
                *bytes -= entry.size;
            }
            stays
        });
        if entries.is_empty() {
            self.entries.remove(key);
        }
    }

    /// In every partition.
    fn forget(&mut self, url: &Url) {
        let mut url = url.clone();
        url.set_fragment(None);
        let keys: Vec<_> = self.entries.keys().filter(|key| key.url == url).collect();
        for key in keys.into_iter().cloned().collect::<Vec<_>>() {
            self.remove(&key, |_| true);
        }
    }

    fn shrink(&mut self, capacity: usize) {
        while self.bytes > capacity {
            let Some((used, key)) = self.uses.pop_first() else {
                return;
            };
            self.remove(&key, |entry| entry.used == used);
        }
    }
}

impl Stored {
    /// Whether it is fresh, if a request may be given it at all.
    fn answers(&self, asked: &Asked, now: SystemTime) -> Option<bool> {
        match self.policy.before_request(asked, now) {
            BeforeRequest::Fresh(_) => Some(true),
            BeforeRequest::Stale { matches, .. } => matches.then_some(false),
        }
    }

    /// In bytes, the headers counted twice: the policy has them as well.
    fn size(&self) -> usize {
        let headers = self.head.headers.iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
        self.body.len() + 2 * headers.sum::<usize>()
    }
}

/// The key says which URL is asked for.
impl RequestLike for Asked {
    fn uri(&self) -> Uri {
        Uri::default()
    }

    fn is_same_uri(&self, _: &Uri) -> bool {
        true
    }

    fn method(&self) -> &Method {
        &self.method
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl ResponseLike for StoredHead {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Whole answers to `GET` are kept, and nothing else.
fn is_cacheable(asked: &Asked) -> bool {
    asked.method == Method::GET && !asked.headers.contains_key(RANGE)
}

/// What differs for reasons that are not in the request answers no other one.
fn varies_always(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(VARY).iter();
    values.any(|value| value.as_bytes().contains(&b'*'))
}

/// "If storedResponse's header list contains `ETag` …", "`Last-Modified` …".
fn validators(stored: &HeaderMap) -> HeaderMap {
    let mut validators = HeaderMap::new();
    for (of, name) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = stored.get(of) {
            validators.insert(name, value.clone());
        }
    }
    validators
}

/// RFC 9111, §3.2: what belongs to the connection, or to the body that stays.
fn is_updated_by_304(name: &HeaderName) -> bool {
    ![
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}
