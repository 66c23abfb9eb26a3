//! What the caches of a storage key take, and how much they may.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may panic as a test may"
)]

use http::{HeaderMap, StatusCode};
use mini_browser::cache_storage::{Cache, CacheError, CacheStore, NewEntry, QueryOptions};
use service_worker::Body;
use service_worker::types::fetch::{RequestHead, ResponseHead, ResponseType};
use service_worker::types::{Origin, Site, StorageKey};
use url::Url;

fn key() -> StorageKey {
    StorageKey::first_party(Origin::of(&Url::parse("https://fonts.example/").unwrap()))
}

fn request(path: &str) -> RequestHead {
    let url = Url::parse("https://fonts.example/").unwrap();
    RequestHead::get(url.join(path).unwrap(), Origin::of(&url))
}

fn response(response_type: ResponseType) -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::OK, HeaderMap::new());
    head.response_type = response_type;
    head
}

async fn put(cache: &Cache, path: &str, length: usize) -> Result<(), CacheError> {
    let body = vec![b'x'; length];
    cache
        .put(request(path), response(ResponseType::Basic), body)
        .await
}

async fn usage(store: &CacheStore) -> u64 {
    store.estimate(&key()).await.unwrap().usage
}

#[tokio::test]
async fn usage_follows_what_is_put_replaced_deleted_and_cleared() {
    let store = CacheStore::in_memory().unwrap();
    assert_eq!(usage(&store).await, 0);
    let cache = store.open(&key(), "a").await.unwrap();
    put(&cache, "one", 1000).await.unwrap();
    let one = usage(&store).await;
    assert!((1000..1100).contains(&one), "{one}");
    put(&cache, "two", 500).await.unwrap();
    assert_eq!(usage(&store).await, 2 * one - 500);
    put(&cache, "one", 300).await.unwrap();
    assert_eq!(usage(&store).await, 2 * one - 1200);
    let options = QueryOptions::default();
    assert!(cache.delete(&request("two"), options).await.unwrap());
    assert_eq!(usage(&store).await, one - 700);

    // Another key, of the same origin too, has its own.
    let site = Site::of(&Origin::of(&Url::parse("https://other.example/").unwrap()));
    let framed = key().under(site, true);
    assert_eq!(store.estimate(&framed).await.unwrap().usage, 0);
    let other = store.open(&framed, "a").await.unwrap();
    put(&other, "one", 10).await.unwrap();
    assert_eq!(usage(&store).await, one - 700);

    // A cache that is deleted counts as long as someone uses it.
    assert!(store.delete(&key(), "a").await.unwrap());
    assert_eq!(usage(&store).await, one - 700);
    drop(cache);
    assert_eq!(usage(&store).await, 0);
    store.clear_key(&framed).await.unwrap();
    assert_eq!(store.estimate(&framed).await.unwrap().usage, 0);
}

#[tokio::test]
async fn what_does_not_fit_is_not_put_and_leaves_nothing() {
    let store = CacheStore::in_memory().unwrap();
    store.set_quota(10_000).await.unwrap();
    let cache = store.open(&key(), "a").await.unwrap();
    put(&cache, "one", 6000).await.unwrap();
    let before = usage(&store).await;
    let refused = put(&cache, "two", 5000).await;
    assert!(
        matches!(refused, Err(CacheError::Quota { quota: 10_000, .. })),
        "{refused:?}"
    );
    assert_eq!(usage(&store).await, before);
    assert_eq!(
        cache.keys(None, QueryOptions::default()).await.unwrap(),
        [request("one")]
    );

    // A batch is put whole or not at all.
    let entry = |path: &str, length| NewEntry {
        request: request(path),
        response: response(ResponseType::Basic),
        body: Body::from(vec![b'x'; length]),
    };
    let refused = cache
        .put_all(vec![entry("two", 2000), entry("three", 2500)])
        .await;
    assert!(matches!(refused, Err(CacheError::Quota { .. })));
    assert_eq!(usage(&store).await, before);
    // What was refused counts no more: this would not fit beside it.
    put(&cache, "four", 3500).await.unwrap();

    // In a full store, what is smaller may take the place of what is there.
    store.set_quota(100).await.unwrap();
    put(&cache, "one", 10).await.unwrap_err();
    cache
        .put(request("one"), response(ResponseType::Basic), Body::empty())
        .await
        .unwrap();
    // Another origin has room of its own.
    store.set_quota(1000).await.unwrap();
    let other = StorageKey::first_party(Origin::of(&Url::parse("https://b.example/").unwrap()));
    let other = store.open(&other, "a").await.unwrap();
    put(&other, "one", 900).await.unwrap();
}

#[tokio::test]
async fn a_body_without_end_is_given_up_at_the_quota() {
    let store = CacheStore::in_memory().unwrap();
    store.set_quota(1 << 20).await.unwrap();
    let cache = store.open(&key(), "a").await.unwrap();
    let endless = futures_util::stream::repeat_with(|| Ok(vec![b'x'; 4096].into()));
    let head = response(ResponseType::Basic);
    let refused = cache
        .put(request("endless"), head, Body::from_stream(endless))
        .await;
    assert!(matches!(refused, Err(CacheError::Quota { .. })));
    assert_eq!(usage(&store).await, 0);
    put(&cache, "one", 1_000_000).await.unwrap();
}

#[tokio::test]
async fn an_opaque_response_counts_for_more_than_it_has_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("caches.redb");
    let (store, _) = CacheStore::start(&index).unwrap();
    let cache = store.open(&key(), "a").await.unwrap();
    let opaque = |path: &str| {
        cache.put(
            request(path),
            response(ResponseType::Opaque),
            vec![b'x'; 100],
        )
    };
    opaque("one").await.unwrap();
    let padded = usage(&store).await;
    // Putting it again teaches nothing new.
    opaque("one").await.unwrap();
    assert_eq!(usage(&store).await, padded);
    opaque("two").await.unwrap();
    let both = usage(&store).await;
    assert_ne!(both - padded, padded);
    store.close().await.unwrap();
    drop((cache, store));

    let (store, _) = CacheStore::start(&index).unwrap();
    assert_eq!(usage(&store).await, both);
    let cache = store.open(&key(), "a").await.unwrap();
    let head = response(ResponseType::Opaque);
    cache
        .put(request("one"), head, vec![b'x'; 100])
        .await
        .unwrap();
    assert_eq!(usage(&store).await, both);
}
