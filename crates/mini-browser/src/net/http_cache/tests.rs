//! What is kept, for whom, how long, and what is not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use http::HeaderValue;
use service_worker::BodyError;
use service_worker::types::{Origin, Timestamp};

use super::*;

const URL: &str = "https://a.test/x#fragment";

/// A clock that a test turns.
struct Turned(AtomicU64);

impl Clock for Turned {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, _: Instant) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

struct Stand {
    cache: Arc<HttpCache>,
    clock: Arc<Turned>,
}

impl Stand {
    fn new(capacity: usize) -> Self {
        let clock = Arc::new(Turned(AtomicU64::new(1_700_000_000_000)));
        Self {
            cache: Arc::new(HttpCache::new(
                capacity,
                Arc::clone(&clock) as Arc<dyn Clock>,
            )),
            clock,
        }
    }

    fn seconds_pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// A server answers, and the answer is read to its end.
    fn answered(&self, key: &CacheKey, asked: &Asked, headers: &[(&'static str, &str)]) {
        let body = Body::from(Bytes::from_static(b"body"));
        let body = self.keeping(key, asked, headers, body);
        body.collect(100).now_or_never().unwrap().unwrap();
    }

    fn keeping(
        &self,
        key: &CacheKey,
        asked: &Asked,
        headers: &[(&'static str, &str)],
        body: Body,
    ) -> Body {
        let head = StoredHead {
            status: StatusCode::OK,
            status_text: "OK".to_owned(),
            headers: header_map(headers),
            sent_credentials: false,
        };
        self.cache.keeping(key.clone(), asked.clone(), head, body)
    }

    fn found(&self, mode: CacheMode) -> &'static str {
        kind(&self.cache.look_up(&key(URL), mode, &get(&[])))
    }
}

fn kind(found: &Found) -> &'static str {
    match found {
        Found::Nothing => "nothing",
        Found::Answer(_) => "answer",
        Found::Stale(..) => "stale",
    }
}

fn key(url: &str) -> CacheKey {
    let url = Url::parse(url).unwrap();
    let partition = StorageKey::first_party(Origin::of(&url));
    CacheKey::new(partition, &url, true)
}

fn get(headers: &[(&'static str, &str)]) -> Asked {
    Asked {
        method: Method::GET,
        headers: header_map(headers),
    }
}

fn header_map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).unwrap();
        (HeaderName::from_static(name), value)
    });
    pairs.collect()
}

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");

#[test]
fn each_cache_mode_uses_what_is_stored_as_the_standard_has_it() {
    let modes = [
        CacheMode::Default,
        CacheMode::NoStore,
        CacheMode::Reload,
        CacheMode::NoCache,
        CacheMode::ForceCache,
        CacheMode::OnlyIfCached,
    ];
    let stand = Stand::new(10_000);
    assert_eq!(modes.map(|mode| stand.found(mode)), ["nothing"; 6]);
    stand.answered(&key(URL), &get(&[]), &[MINUTE]);
    let fresh = ["answer", "nothing", "nothing", "stale", "answer", "answer"];
    assert_eq!(modes.map(|mode| stand.found(mode)), fresh);
    stand.seconds_pass(61);
    let stale = ["stale", "nothing", "nothing", "stale", "answer", "answer"];
    assert_eq!(modes.map(|mode| stand.found(mode)), stale);
}

#[test]
fn a_304_makes_an_answer_fresh_and_changes_its_headers_but_not_its_length() {
    let stand = Stand::new(10_000);
    let headers = [
        MINUTE,
        ("etag", "\"1\""),
        ("x", "old"),
        ("content-length", "4"),
    ];
    stand.answered(&key(URL), &get(&[]), &headers);
    stand.seconds_pass(61);
    let found = stand
        .cache
        .look_up(&key(URL), CacheMode::Default, &get(&[]));
    let Found::Stale(stored, validators) = found else {
        panic!("{found:?}");
    };
    assert_eq!(validators["if-none-match"], "\"1\"");
    let not_modified = header_map(&[MINUTE, ("x", "new"), ("y", "more"), ("content-length", "0")]);
    let stored = stand
        .cache
        .freshen(key(URL), &get(&[]), &stored, &not_modified);
    assert_eq!(stored.head.headers["x"], "new");
    assert_eq!(stored.head.headers["y"], "more");
    assert_eq!(stored.head.headers["content-length"], "4");
    assert_eq!(stored.body, "body");
    assert_eq!(stand.found(CacheMode::Default), "answer");
}

#[test]
fn what_a_response_varies_by_has_to_be_the_same() {
    let stand = Stand::new(10_000);
    let varies = [MINUTE, ("vary", "Accept-Language, X-A")];
    let english = get(&[("accept-language", "en")]);
    let german = get(&[("accept-language", "de")]);
    stand.answered(&key(URL), &english, &varies);
    let look_up = |asked| kind(&stand.cache.look_up(&key(URL), CacheMode::ForceCache, asked));
    assert_eq!(look_up(&german), "nothing");
    stand.answered(&key(URL), &german, &varies);
    assert_eq!([look_up(&english), look_up(&german)], ["answer"; 2]);
}

#[test]
fn some_answers_are_never_stored() {
    for headers in [
        &[("cache-control", "no-store")][..],
        &[MINUTE, ("vary", "*")],
        &[MINUTE, ("vary", "accept, *")],
    ] {
        let stand = Stand::new(10_000);
        stand.answered(&key(URL), &get(&[]), headers);
        assert_eq!(stand.found(CacheMode::ForceCache), "nothing", "{headers:?}");
    }
    let stand = Stand::new(10_000);
    let range = get(&[("range", "bytes=0-1")]);
    stand.answered(&key(URL), &range, &[MINUTE]);
    assert_eq!(stand.found(CacheMode::ForceCache), "nothing");
}

#[test]
fn a_body_that_breaks_or_is_left_is_not_kept() {
    let stand = Stand::new(10_000);
    let broken = futures_util::stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(BodyError::Broken("closed".to_owned())),
    ]);
    let body = stand.keeping(&key(URL), &get(&[]), &[MINUTE], Body::from_stream(broken));
    assert!(body.collect(100).now_or_never().unwrap().is_err());
    assert_eq!(stand.found(CacheMode::ForceCache), "nothing");
    let left = Body::from(Bytes::from_static(b"never read"));
    drop(stand.keeping(&key(URL), &get(&[]), &[MINUTE], left));
    assert_eq!(stand.found(CacheMode::ForceCache), "nothing");
}

#[test]
fn partitions_and_credentials_are_kept_apart() {
    let stand = Stand::new(10_000);
    stand.answered(&key(URL), &get(&[]), &[MINUTE]);
    let url = Url::parse(URL).unwrap();
    let elsewhere = StorageKey::first_party(Origin::of(&Url::parse("https://b.test/").unwrap()));
    let own = StorageKey::first_party(Origin::of(&url));
    for (partition, credentials, expected) in [
        (own.clone(), true, "answer"),
        (own, false, "nothing"),
        (elsewhere, true, "nothing"),
    ] {
        let key = CacheKey::new(partition, &url, credentials);
        let found = stand.cache.look_up(&key, CacheMode::Default, &get(&[]));
        assert_eq!(kind(&found), expected);
    }
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let stand = Stand::new(180);
    let urls = ["https://a.test/1", "https://a.test/2", "https://a.test/3"].map(key);
    let found = |key: &CacheKey| kind(&stand.cache.look_up(key, CacheMode::Default, &get(&[])));
    for key in &urls[..2] {
        stand.answered(key, &get(&[]), &[MINUTE]);
        assert_eq!(found(&urls[0]), "answer");
    }
    for _ in 0..2 {
        stand.answered(&urls[2], &get(&[]), &[MINUTE]);
    }
    let all: Vec<_> = urls.iter().map(found).collect();
    assert_eq!(all, ["answer", "nothing", "answer"]);
    assert!(stand.cache.inner().bytes <= 180);
    let long = Body::from(vec![0; 31]);
    let body = stand.keeping(&urls[1], &get(&[]), &[MINUTE], long);
    body.collect(100).now_or_never().unwrap().unwrap();
    assert_eq!(found(&urls[1]), "nothing", "longer than an eighth");
}

#[test]
fn an_unsafe_request_makes_the_cache_forget_its_url_and_where_it_points_to() {
    let stand = Stand::new(10_000);
    let other = key("https://a.test/other");
    stand.answered(&key(URL), &get(&[]), &[MINUTE]);
    stand.answered(&other, &get(&[]), &[MINUTE]);
    let response = header_map(&[("location", "/other")]);
    stand.cache.invalidate(&key(URL), &response);
    assert_eq!(stand.found(CacheMode::ForceCache), "nothing");
    let found = stand
        .cache
        .look_up(&other, CacheMode::ForceCache, &get(&[]));
    assert_eq!(kind(&found), "nothing");
    assert_eq!(stand.cache.inner().bytes, 0);
}
