//! The caches: the standard's rules, restarts, crashes and damage.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may panic as a test may"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::header::VARY;
use http::{HeaderMap, Method, StatusCode};
use mini_browser::cache_storage::{
    Cache, CacheError, CacheStore, DamagedPart, NewEntry, OpenError, OpenReport, QueryOptions,
};
use service_worker::types::fetch::{RequestHead, ResponseHead, ResponseType};
use service_worker::types::{EphemeralId, Origin, Site, StorageKey};
use service_worker::{Body, BodyError};
use url::Url;

const EXACT: QueryOptions = QueryOptions {
    ignore_search: false,
    ignore_method: false,
    ignore_vary: false,
};

fn origin(url: &str) -> Origin {
    Origin::of(&Url::parse(url).unwrap())
}

fn key() -> StorageKey {
    StorageKey::first_party(origin("https://fonts.example/"))
}

fn request(path: &str) -> RequestHead {
    let url = Url::parse("https://fonts.example/").unwrap().join(path);
    RequestHead::get(url.unwrap(), origin("https://fonts.example/"))
}

fn response() -> ResponseHead {
    ResponseHead::new(StatusCode::OK, HeaderMap::new())
}

fn entry(path: &str, body: impl Into<Body>) -> NewEntry {
    NewEntry {
        request: request(path),
        response: response(),
        body: body.into(),
    }
}

/// A profile's folder, and where its index is.
fn profile() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("caches.redb");
    (folder, index)
}

fn start(index: &Path) -> CacheStore {
    let (store, report) = CacheStore::start(index).unwrap();
    assert_eq!(report, OpenReport::default());
    store
}

async fn put(cache: &Cache, path: &str, body: impl Into<Body>) {
    cache.put(request(path), response(), body).await.unwrap();
}

async fn read(cache: &Cache, path: &str) -> Option<Bytes> {
    let found = cache.match_first(&request(path), EXACT).await.unwrap()?;
    Some(found.body.collect(usize::MAX).await.unwrap())
}

async fn paths(cache: &Cache) -> Vec<String> {
    let requests = cache.keys(None, EXACT).await.unwrap();
    let paths = requests
        .iter()
        .map(|request| request.url().path().to_owned());
    paths.collect()
}

/// The names of the body files.
fn bodies(index: &Path) -> BTreeSet<String> {
    fs::read_dir(format!("{}.bodies", index.display()))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn body_file(index: &Path, name: &str) -> PathBuf {
    PathBuf::from(format!("{}.bodies", index.display())).join(name)
}

/// What a crash leaves: all files as they are now.
fn as_after_a_crash(index: &Path) -> (tempfile::TempDir, PathBuf) {
    let (folder, copy) = profile();
    fs::copy(index, &copy).unwrap();
    let copied = format!("{}.bodies", copy.display());
    fs::create_dir(&copied).unwrap();
    for name in bodies(index) {
        fs::copy(body_file(index, &name), body_file(&copy, &name)).unwrap();
    }
    (folder, copy)
}

#[tokio::test]
async fn what_was_put_is_there_whole_after_a_restart() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "fonts").await.unwrap();
    let mut head = ResponseHead {
        response_type: ResponseType::Opaque,
        url_list: vec![Url::parse("https://other.example/x").unwrap()],
        status_text: "fine".into(),
        requested_with_credentials: true,
        ..response()
    };
    head.headers.append("x", "1".parse().unwrap());
    let body: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    let chunks: Vec<_> = body
        .chunks(7_000)
        .map(|it| Ok(Bytes::copy_from_slice(it)))
        .collect();
    let stream = Body::from_stream(futures_util::stream::iter(chunks));
    cache
        .put(request("a?q#f"), head.clone(), stream)
        .await
        .unwrap();
    put(&cache, "empty", "").await;
    store.close().await.unwrap();
    drop((cache, store));

    let store = start(&index);
    assert_eq!(store.keys(&key()).await.unwrap(), ["fonts"]);
    let cache = store.open(&key(), "fonts").await.unwrap();
    let found = cache
        .match_first(&request("a?q"), EXACT)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.head, head);
    assert_eq!(found.body.collect(usize::MAX).await.unwrap(), body);
    assert_eq!(read(&cache, "empty").await.unwrap(), "");
    assert_eq!(
        cache.keys(None, EXACT).await.unwrap(),
        [request("a?q#f"), request("empty")]
    );
}

#[tokio::test]
async fn putting_again_replaces_and_variants_live_side_by_side() {
    let store = CacheStore::in_memory().unwrap();
    let cache = store.open(&key(), "x").await.unwrap();
    put(&cache, "a", "old").await;
    put(&cache, "b", "b").await;
    put(&cache, "a", "new").await;
    assert_eq!(read(&cache, "a").await.unwrap(), "new");
    assert_eq!(paths(&cache).await, ["/b", "/a"]);

    let variant = |language: &str| {
        let mut variant = request("v");
        variant
            .headers
            .insert("accept-language", language.parse().unwrap());
        variant
    };
    let mut varies = response();
    varies
        .headers
        .insert(VARY, "Accept-Language".parse().unwrap());
    for language in ["de", "ja", "de"] {
        cache
            .put(variant(language), varies.clone(), language.to_owned())
            .await
            .unwrap();
    }
    assert_eq!(
        cache
            .match_all(Some(&variant("de")), EXACT)
            .await
            .unwrap()
            .len(),
        1
    );
    let ignore_vary = QueryOptions {
        ignore_vary: true,
        ..EXACT
    };
    assert_eq!(
        cache
            .match_all(Some(&request("v")), ignore_vary)
            .await
            .unwrap()
            .len(),
        2
    );
    assert!(
        cache
            .match_first(&request("v"), EXACT)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(cache.match_all(None, EXACT).await.unwrap().len(), 4);
    assert!(cache.delete(&variant("ja"), EXACT).await.unwrap());
    assert!(!cache.delete(&variant("ja"), EXACT).await.unwrap());
    assert_eq!(paths(&cache).await, ["/b", "/a", "/v"]);
}

#[tokio::test]
async fn what_the_standard_refuses_leaves_nothing() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    let mut post = entry("a", "x");
    post.request.method = Method::POST;
    let mut partial = entry("a", "x");
    partial.response.status = StatusCode::PARTIAL_CONTENT;
    for refused in [post, partial] {
        let error = cache
            .put_all(vec![entry("first", "x"), refused])
            .await
            .unwrap_err();
        assert!(error.is_type_error(), "{error}");
    }
    assert_eq!(paths(&cache).await, [""; 0]);
    assert!(bodies(&index).is_empty());
}

#[tokio::test]
async fn a_batch_is_put_whole_or_not_at_all() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    put(&cache, "state", "old").await;
    let before = bodies(&index);

    let broken = BodyError::Broken("reset".into());
    let half = vec![Ok(Bytes::from("ha")), Err(broken.clone())];
    let half = Body::from_stream(futures_util::stream::iter(half));
    let batch = vec![
        entry("segment", "s"),
        entry("state", "new"),
        entry("broken", half),
    ];
    let error = cache.put_all(batch).await.unwrap_err();
    assert_eq!(error, CacheError::Body(broken));
    let twice = vec![
        entry("segment", "s"),
        entry("state", "1"),
        entry("state", "2"),
    ];
    let error = cache.put_all(twice).await.unwrap_err();
    assert_eq!(
        error,
        CacheError::Duplicate("https://fonts.example/state".into())
    );
    assert_eq!(read(&cache, "state").await.unwrap(), "old");
    assert_eq!(paths(&cache).await, ["/state"]);
    assert_eq!(bodies(&index), before);

    cache
        .put_all(vec![entry("segment", "s"), entry("state", "new")])
        .await
        .unwrap();
    assert_eq!(read(&cache, "state").await.unwrap(), "new");
    assert_eq!(paths(&cache).await, ["/segment", "/state"]);
    assert_eq!(bodies(&index).len(), 2);
}

#[tokio::test]
async fn the_first_cache_that_has_an_answer_gives_it_unless_one_is_named() {
    let store = CacheStore::in_memory().unwrap();
    for name in ["b", "a"] {
        let cache = store.open(&key(), name).await.unwrap();
        put(&cache, "x", format!("from {name}")).await;
    }
    let answer = async |name: Option<&str>, key: &StorageKey| {
        let found = store
            .match_any(key, name, &request("x"), EXACT)
            .await
            .unwrap()?;
        Some(found.body.collect(100).await.unwrap())
    };
    assert_eq!(answer(None, &key()).await.unwrap(), "from b");
    assert_eq!(answer(Some("a"), &key()).await.unwrap(), "from a");
    assert_eq!(answer(Some("c"), &key()).await, None);
    assert!(!store.has(&key(), "c").await.unwrap());
    let elsewhere = key().under(Site::of(&origin("https://site.test/")), true);
    assert_eq!(answer(None, &elsewhere).await, None);
}

#[tokio::test]
async fn a_deleted_cache_stays_usable_until_it_is_given_up() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    put(&cache, "a", "a").await;
    assert!(store.delete(&key(), "x").await.unwrap());
    assert!(!store.delete(&key(), "x").await.unwrap());
    assert!(!store.has(&key(), "x").await.unwrap());
    put(&cache, "b", "b").await;
    assert_eq!(read(&cache, "a").await.unwrap(), "a");
    let same_name = store.open(&key(), "x").await.unwrap();
    assert_eq!(read(&same_name, "a").await, None);
    assert_eq!(bodies(&index).len(), 2);

    // A crash gives it up as well.
    let (_copy_folder, copy) = as_after_a_crash(&index);
    let (after, report) = CacheStore::start(&copy).unwrap();
    assert_eq!((report.swept, report.damage.len()), (2, 0));
    assert_eq!(after.keys(&key()).await.unwrap(), ["x"]);

    drop(cache);
    assert_eq!(store.keys(&key()).await.unwrap(), ["x"]);
    assert!(bodies(&index).is_empty());
}

#[tokio::test]
async fn a_body_is_read_to_its_end_though_its_entry_is_replaced() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    let long = vec![1; 200_000];
    put(&cache, "a", long.clone()).await;
    let mut reading = cache
        .match_first(&request("a"), EXACT)
        .await
        .unwrap()
        .unwrap()
        .body;
    let first = reading.next().await.unwrap().unwrap();
    put(&cache, "a", "new").await;
    store.delete(&key(), "x").await.unwrap();
    assert_eq!(bodies(&index).len(), 2);
    let rest = reading.collect(usize::MAX).await.unwrap();
    assert_eq!([first, rest].concat(), long);
    assert_eq!(read(&cache, "a").await.unwrap(), "new");
    assert_eq!(bodies(&index).len(), 1);
}

#[tokio::test]
async fn clearing_reaches_every_partition_of_an_origin_and_nothing_else() {
    let (_folder, index) = profile();
    let store = start(&index);
    let partitioned = key().under(Site::of(&origin("https://site.test/")), true);
    let private = key().in_session(Some(EphemeralId(1)));
    let other = StorageKey::first_party(origin("https://other.example/"));
    let open = async |key: &StorageKey| {
        let cache = store.open(key, "x").await.unwrap();
        put(&cache, "a", "a").await;
        cache
    };
    let first = open(&key()).await;
    for key in [&partitioned, &private, &other] {
        open(key).await;
    }
    let has = async |key: &StorageKey| store.has(key, "x").await.unwrap();

    store.clear_key(&key()).await.unwrap();
    assert_eq!(first.keys(None, EXACT).await, Err(CacheError::Gone));
    assert_eq!(
        first.put(request("b"), response(), "b").await,
        Err(CacheError::Gone)
    );
    assert!(!has(&key()).await && has(&partitioned).await && has(&private).await);

    store.clear_origin(key().origin()).await.unwrap();
    assert!(!has(&partitioned).await && !has(&private).await && has(&other).await);
    assert_eq!(bodies(&index).len(), 1);
}

#[tokio::test]
async fn a_private_session_leaves_nothing_on_disk() {
    let (_folder, index) = profile();
    let store = start(&index);
    let private = key().in_session(Some(EphemeralId(7)));
    let cache = store.open(&private, "SECRET-NAME").await.unwrap();
    put(&cache, "SECRET-PATH", "SECRET-BODY").await;
    assert_eq!(read(&cache, "SECRET-PATH").await.unwrap(), "SECRET-BODY");
    assert!(!store.has(&key(), "SECRET-NAME").await.unwrap());
    assert!(bodies(&index).is_empty());
    let on_disk = fs::read(&index).unwrap();
    assert!(!on_disk.windows(6).any(|window| window == b"SECRET"));
    store.end_session(EphemeralId(7)).await.unwrap();
    assert!(!store.has(&private, "SECRET-NAME").await.unwrap());
}

#[tokio::test]
async fn a_put_that_is_given_up_or_cut_by_a_crash_leaves_no_row_and_no_file() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    put(&cache, "kept", "kept").await;
    let endless = futures_util::stream::iter([Ok(Bytes::from("begun"))])
        .chain(futures_util::stream::pending());
    let mut putting = Box::pin(cache.put(request("a"), response(), Body::from_stream(endless)));
    while bodies(&index).len() < 2 {
        assert!((&mut putting).now_or_never().is_none());
        // Whatever was asked by now has been done.
        store.keys(&key()).await.unwrap();
    }

    let (_copy_folder, copy) = as_after_a_crash(&index);
    let (after, report) = CacheStore::start(&copy).unwrap();
    assert_eq!((report.swept, report.damage.len()), (1, 0));
    let after = after.open(&key(), "x").await.unwrap();
    assert_eq!(paths(&after).await, ["/kept"]);
    assert_eq!(read(&after, "kept").await.unwrap(), "kept");

    drop(putting);
    assert_eq!(paths(&cache).await, ["/kept"]);
    assert_eq!(bodies(&index).len(), 1);
}

#[tokio::test]
async fn files_that_no_row_names_are_swept_and_strangers_are_not() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    put(&cache, "a", "a").await;
    store.close().await.unwrap();
    let named = bodies(&index);
    for name in ["900", "901.part", "007", "notes.txt"] {
        fs::write(body_file(&index, name), "x").unwrap();
    }
    let (store, report) = CacheStore::start(&index).unwrap();
    assert_eq!(report.swept, 2);
    let mut left = named;
    left.extend(["007".into(), "notes.txt".into()]);
    assert_eq!(bodies(&index), left);
    let cache = store.open(&key(), "x").await.unwrap();
    assert_eq!(read(&cache, "a").await.unwrap(), "a");
}

#[tokio::test]
async fn a_body_that_cannot_be_written_gives_an_error_and_no_row() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    fs::remove_dir(format!("{}.bodies", index.display())).unwrap();
    let error = cache.put(request("a"), response(), "a").await.unwrap_err();
    assert!(matches!(error, CacheError::Store(_)), "{error}");
    assert_eq!(paths(&cache).await, [""; 0]);
}

#[tokio::test]
async fn a_row_whose_body_is_missing_or_cut_is_quarantined_and_cleared_with_its_site() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    for path in ["missing", "cut", "whole"] {
        put(&cache, path, "body").await;
    }
    store.close().await.unwrap();
    let files: Vec<_> = bodies(&index).into_iter().collect();
    fs::remove_file(body_file(&index, &files[0])).unwrap();
    fs::write(body_file(&index, &files[1]), "bo").unwrap();

    let (store, report) = CacheStore::start(&index).unwrap();
    let parts: Vec<_> = report
        .damage
        .iter()
        .map(|it| (it.part, it.key.clone()))
        .collect();
    assert_eq!(parts, vec![(DamagedPart::Body, Some(key())); 2]);
    assert!(report.damage[0].to_string().contains("fonts.example"));
    let cache = store.open(&key(), "x").await.unwrap();
    assert_eq!(paths(&cache).await, ["/whole"]);
    assert_eq!(store.quarantined().await.unwrap(), 2);
    store.clear_origin(key().origin()).await.unwrap();
    assert_eq!(store.quarantined().await.unwrap(), 0);
}

#[tokio::test]
async fn a_flipped_byte_of_a_body_is_never_read_and_takes_the_entry_away() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    let body = vec![3; 150_000];
    for at in [0, 70_000, 149_999] {
        put(&cache, "a", body.clone()).await;
        let file = body_file(&index, bodies(&index).last().unwrap());
        let mut damaged = body.clone();
        damaged[at] ^= 1;
        fs::write(file, damaged).unwrap();

        let found = cache
            .match_first(&request("a"), EXACT)
            .await
            .unwrap()
            .unwrap();
        let read = found.body.collect(usize::MAX).await;
        assert!(matches!(read, Err(BodyError::Broken(_))), "{read:?}");
        assert!(
            cache
                .match_first(&request("a"), EXACT)
                .await
                .unwrap()
                .is_none()
        );
        let damage = store.take_damage().await.unwrap();
        assert_eq!((damage.len(), damage[0].part), (1, DamagedPart::Body));
        for name in bodies(&index) {
            fs::remove_file(body_file(&index, &name)).unwrap();
        }
    }
}

#[tokio::test]
async fn an_index_that_is_none_is_set_aside_each_time_under_a_new_name() {
    let (folder, index) = profile();
    for number in 1..=2 {
        fs::write(&index, format!("garbage {number}").repeat(1000)).unwrap();
        let (store, report) = CacheStore::start(&index).unwrap();
        let set_aside = report.set_aside.unwrap();
        assert_eq!(
            set_aside.index,
            folder.path().join(format!("caches.redb.damaged-{number}"))
        );
        let kept = fs::read_to_string(&set_aside.index).unwrap();
        assert!(kept.starts_with(&format!("garbage {number}")));
        let cache = store.open(&key(), "x").await.unwrap();
        put(&cache, "a", "a").await;
        store.close().await.unwrap();
        assert_eq!(bodies(&index).len(), 1);
    }
    let first_bodies = bodies(&folder.path().join("caches.redb.damaged-2"));
    assert_eq!(first_bodies.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_open_is_in_use_and_not_set_aside() {
    let (_folder, index) = profile();
    let store = start(&index);
    let error = CacheStore::start(&index).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    store.close().await.unwrap();
    assert_eq!(store.keys(&key()).await, Err(CacheError::Closed));
    assert_eq!(store.close().await, Err(CacheError::Closed));
    start(&index);
}

/// Random numbers that replay from their seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[tokio::test]
async fn flipped_bytes_anywhere_in_the_index_lose_entries_at_most_and_never_falsify_them() {
    let (_folder, index) = profile();
    let store = start(&index);
    let cache = store.open(&key(), "x").await.unwrap();
    for n in 0..20 {
        put(&cache, &format!("{n}"), format!("body {n}")).await;
    }
    store.close().await.unwrap();
    let whole = fs::read(&index).unwrap();
    // Most of the file is air: half of the flips go where bytes are.
    let used: Vec<_> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let seed = std::env::var("SEED").map_or(0x5afe_7412, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = Random(seed);
    let (mut set_aside, mut intact) = (0, 0);
    for round in 0..120 {
        let (_copy_folder, copy) = as_after_a_crash(&index);
        let mut damaged = whole.clone();
        for _ in 0..=round % 3 {
            let at = match round % 2 {
                0 => used[random.below(used.len())],
                _ => random.below(damaged.len()),
            };
            damaged[at] ^= 1 << random.below(8);
        }
        fs::write(&copy, damaged).unwrap();
        let (store, report) = CacheStore::start(&copy).unwrap();
        let cache = store.open(&key(), "x").await.unwrap();
        for request in cache.keys(None, EXACT).await.unwrap() {
            let number = request.url().path().trim_start_matches('/').to_owned();
            let body = read(&cache, &number).await.unwrap();
            assert_eq!(body, format!("body {number}"), "round {round}");
        }
        set_aside += usize::from(report.set_aside.is_some());
        intact += usize::from(report == OpenReport::default());
        put(&cache, "new", "new").await;
        assert_eq!(read(&cache, "new").await.unwrap(), "new");
        store.close().await.unwrap();
    }
    assert!(
        set_aside > 0 && intact > 0,
        "{set_aside} set aside, {intact} intact"
    );
}
