//! What the network is asked beside the request itself — preflights, passwords — and what of its
//! answers counts.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Method};
use service_worker::fetch_router::BlockedReason;
use service_worker::types::Origin;
use service_worker::types::fetch::{
    CredentialsMode, Destination, RequestMode, ResponseType, ServiceWorkersMode,
};

use super::tests::{OPEN, Table, by_page, header_map};
use super::*;

const URL: &str = "https://b.test/x";
const ALLOW_PUT: (&str, &str) = ("access-control-allow-methods", "PUT");
const ALLOW_ANY: (&str, &str) = ("access-control-allow-headers", "*");

fn put(url: &str) -> FetchParams {
    let mut params = by_page(url);
    params.head.method = Method::PUT;
    params.head.headers = header_map(&[("x-b", "1"), ("x-a", "2")]);
    params
}

fn methods(table: &Table) -> Vec<String> {
    let asked = table.asked();
    asked
        .iter()
        .map(|asked| asked.head.method.to_string())
        .collect()
}

#[test]
fn a_request_that_is_not_simple_asks_workers_then_a_preflight_then_goes() {
    let table = Table::default().with(URL, 200, &[OPEN, ALLOW_PUT, ALLOW_ANY]);
    let fetched = table.fetch(put(URL)).unwrap();
    assert_eq!(fetched.head.response_type, ResponseType::Cors);
    assert_eq!(methods(&table), ["PUT", "OPTIONS", "PUT"]);
    let asked = table.asked();
    assert_eq!(asked[0].network_header("origin"), "(not to be sent)");
    assert!(asked[0].head.use_cors_preflight);
    let preflight = &asked[1];
    assert_eq!(preflight.head.service_workers, ServiceWorkersMode::None);
    assert_eq!(
        preflight.head.headers["access-control-request-method"],
        "PUT"
    );
    assert_eq!(
        preflight.head.headers["access-control-request-headers"],
        "x-a,x-b"
    );
    assert_eq!(preflight.head.credentials, CredentialsMode::SameOrigin);
    assert_eq!(preflight.network_header("origin"), "https://a.test");
    assert_eq!(preflight.network_header("sec-fetch-mode"), "cors");
    assert_eq!(asked[2].head.service_workers, ServiceWorkersMode::None);
    assert_eq!(asked[2].head.headers["x-a"], "2");
}

#[test]
fn a_worker_that_answers_spares_the_preflight() {
    let worker = Table::default().with_source(Source::OwnWorker, URL, 200, &[]);
    assert!(worker.fetch(put(URL)).is_ok());
    assert_eq!(methods(&worker), ["PUT"]);
    // To one's own origin anything goes at once.
    let own = Table::default().with("https://a.test/", 200, &[]);
    assert!(own.fetch(put("https://a.test/")).is_ok());
    assert_eq!(methods(&own), ["PUT"]);
}

#[test]
fn a_preflight_that_allows_too_little_is_the_end() {
    for (status, headers) in [
        (200, &[OPEN][..]),
        (200, &[OPEN, ALLOW_PUT]),
        (200, &[ALLOW_PUT, ALLOW_ANY]),
        (404, &[OPEN, ALLOW_PUT, ALLOW_ANY]),
        (302, &[OPEN, ALLOW_PUT, ALLOW_ANY, ("location", "/y")]),
    ] {
        let table = Table::default().with(URL, status, headers);
        let refused = table.fetch(put(URL)).unwrap_err();
        assert!(
            matches!(refused, FetchErrorReason::Preflight(_)),
            "{refused}"
        );
        assert_eq!(methods(&table), ["PUT", "OPTIONS"]);
    }
}

#[test]
fn what_a_preflight_allowed_is_remembered_until_a_request_fails() {
    let allows = [OPEN, ALLOW_PUT, ALLOW_ANY, ("access-control-max-age", "60")];
    let table = Table::default().with(URL, 200, &allows);
    let service = table.service();
    table.fetch_with(&service, put(URL)).unwrap();
    table.fetch_with(&service, put(URL)).unwrap();
    assert_eq!(methods(&table), ["PUT", "PUT"]);
    // With credentials nothing is known yet.
    let mut with_credentials = put(URL);
    with_credentials.head.credentials = CredentialsMode::Include;
    table.fetch_with(&service, with_credentials).unwrap_err();
    assert_eq!(methods(&table), ["PUT", "OPTIONS"]);
    // That failed, and all that was known of the URL is forgotten.
    table.fetch_with(&service, put(URL)).unwrap();
    assert_eq!(methods(&table), ["PUT", "OPTIONS", "PUT"]);
}

#[test]
fn a_redirect_across_origins_asks_a_preflight_of_each() {
    let table = Table::default()
        .with(
            URL,
            307,
            &[OPEN, ALLOW_PUT, ALLOW_ANY, ("location", "https://c.test/")],
        )
        .with("https://c.test/", 200, &[OPEN, ALLOW_PUT, ALLOW_ANY]);
    // A preflight must not be redirected itself.
    table.fetch(put(URL)).unwrap_err();
    let mut simple = by_page(URL);
    simple.head.use_cors_preflight = true;
    table.fetch(simple).unwrap_err();

    let home = Table::default()
        .with("https://a.test/", 307, &[("location", URL)])
        .with(URL, 200, &[OPEN, ALLOW_PUT, ALLOW_ANY]);
    home.fetch(put("https://a.test/")).unwrap();
    assert_eq!(methods(&home), ["PUT", "PUT", "OPTIONS", "PUT"]);
}

#[test]
fn a_request_can_ask_for_a_preflight_that_it_does_not_need() {
    let table = Table::default().with(URL, 200, &[OPEN]);
    let mut params = by_page(URL);
    params.head.use_cors_preflight = true;
    table.fetch(params).unwrap();
    assert_eq!(methods(&table), ["GET", "OPTIONS", "GET"]);
}

#[test]
fn integrity_is_for_responses_that_can_be_read() {
    const BODY: &str = "sha256-IwyiX6M9pTCz91bgTNvAr8tMUQ4p6xJfVzD0WuKDOzg=";
    let table = Table::default()
        .with("https://a.test/", 200, &[])
        .with(URL, 200, &[OPEN]);
    let fetched = |url: &str, integrity: &str, mode| {
        let mut params = by_page(url);
        params.head.integrity = integrity.to_owned();
        params.head.mode = mode;
        table.fetch(params)
    };
    use RequestMode::{Cors, NoCors};
    let digest = {
        let digest = ring::digest::digest(&ring::digest::SHA256, b"body");
        format!("sha256-{}", integrity::encode_base64(digest.as_ref()))
    };
    for url in ["https://a.test/", URL] {
        let kept = fetched(url, &digest, Cors).unwrap().body.unwrap();
        let kept = kept.collect(10).now_or_never().unwrap().unwrap();
        assert_eq!(kept, "body");
        assert!(fetched(url, "md5-x", Cors).is_ok());
        let refused = fetched(url, BODY, Cors).unwrap_err();
        assert_eq!(refused, FetchErrorReason::Integrity);
    }
    let refused = fetched(URL, &digest, NoCors).unwrap_err();
    assert_eq!(refused, FetchErrorReason::Integrity);
}

#[test]
fn keepalive_bodies_are_short() {
    let table = Table::default().with("https://a.test/", 200, &[]);
    let fetched = |length: usize| {
        let mut params = by_page("https://a.test/");
        params.head.method = Method::POST;
        params.head.keepalive = true;
        params.head.has_body = true;
        params.body = Bytes::from(vec![b'x'; length]).into();
        table.fetch(params).map(drop)
    };
    assert_eq!(fetched(65536), Ok(()));
    assert_eq!(fetched(65537), Err(FetchErrorReason::KeepaliveLimit));
    // What was counted is counted no more.
    assert_eq!(fetched(65536), Ok(()));
}

#[test]
fn a_source_is_sent_again_and_a_stream_is_not() {
    let url = "https://a.test/1";
    let table =
        Table::default()
            .with(url, 307, &[("location", "/2")])
            .with("https://a.test/2", 200, &[]);
    let with_body = |body: RequestBody| {
        let mut params = by_page(url);
        params.head.method = Method::POST;
        params.head.has_body = true;
        params.body = body;
        params
    };
    let source = RequestBody::from_source(Some(4), || Body::from("once"));
    table.fetch(with_body(source)).unwrap();
    let asked = table.asked();
    let bodies: Vec<_> = asked.iter().map(|asked| asked.body.clone()).collect();
    assert_eq!(bodies, ["once", "once"]);
    assert_eq!(asked[0].network_header("content-length"), "4");

    let stream = || RequestBody::from_stream(Body::from("flow"));
    let refused = table.fetch(with_body(stream())).unwrap_err();
    assert_eq!(refused, FetchErrorReason::StreamAgain);
    assert_eq!(table.asked().last().unwrap().body, "flow");
    // A worker that was asked first, before a preflight, takes nothing of it away.
    let mut preflighted = with_body(stream());
    preflighted.head.use_cors_preflight = true;
    preflighted.head.url_list = vec![Url::parse("https://b.test/").unwrap()];
    let elsewhere = Table::default().with(
        "https://b.test/",
        200,
        &[("access-control-allow-origin", "*")],
    );
    elsewhere.fetch(preflighted).unwrap();
    let bodies: Vec<_> = elsewhere.asked().iter().map(|it| it.body.clone()).collect();
    assert_eq!(bodies, ["flow", "", "flow"]);
    // A worker may have it, and may not redirect it.
    let worker = Table::default().with_source(Source::OwnWorker, url, 200, &[]);
    worker.fetch(with_body(stream())).unwrap();
    assert_eq!(worker.asked()[0].body, "flow");
    let worker = Table::default().with_source(Source::OwnWorker, url, 307, &[("location", "/2")]);
    let refused = worker.fetch(with_body(stream())).unwrap_err();
    assert_eq!(refused, FetchErrorReason::StreamAgain);
}

#[test]
fn a_password_of_a_url_is_told_to_whom_it_is_for() {
    let asks = [("www-authenticate", "Basic realm=\"x\"")];
    let url = "https://user:pw@a.test/";
    let table = Table::default().with(url, 401, &asks);
    let with = |credentials| {
        let mut params = by_page(url);
        params.head.credentials = credentials;
        table.fetch(params).unwrap();
        let asked = table.asked();
        let sent: Vec<_> = asked
            .iter()
            .map(|asked| asked.network_header("authorization").to_owned())
            .collect();
        sent
    };
    assert_eq!(with(CredentialsMode::Include), ["", "Basic dXNlcjpwdw=="]);
    assert_eq!(
        with(CredentialsMode::SameOrigin),
        ["", "Basic dXNlcjpwdw=="]
    );
    assert_eq!(with(CredentialsMode::Omit), [""]);
    let other_way = Table::default().with(url, 401, &[("www-authenticate", "Digest x=y")]);
    other_way.fetch(by_page(url)).unwrap();
    assert_eq!(other_way.asked().len(), 1);
}

#[test]
fn navigations_say_that_they_like_tls() {
    let table = Table::default().with("https://a.test/", 200, &[]);
    let mut params = by_page("https://a.test/");
    params.head.mode = RequestMode::Navigate;
    params.head.destination = Destination::Document;
    params.by_user = true;
    table.fetch(params).unwrap();
    let asked = &table.asked()[0];
    assert_eq!(asked.network_header("upgrade-insecure-requests"), "1");
    assert_eq!(asked.network_header("sec-fetch-user"), "?1");
    assert_eq!(asked.network_header("sec-fetch-site"), "none");
    table.fetch(by_page("https://a.test/")).unwrap();
    let asked = &table.asked()[0];
    assert_eq!(asked.network_header("upgrade-insecure-requests"), "");
    assert_eq!(asked.network_header("sec-fetch-user"), "");
}

#[test]
fn an_embedder_policy_wants_a_word_of_what_cannot_be_read() {
    let corp = ("cross-origin-resource-policy", "cross-origin");
    let table = Table::default()
        .with("https://b.test/silent", 200, &[])
        .with("https://b.test/open", 200, &[corp]);
    let fetched = |url: &str, policy| {
        let mut params = by_page(url);
        params.head.mode = RequestMode::NoCors;
        params.embedder_policy = policy;
        table.fetch(params).map(drop)
    };
    let (silent, open) = ("https://b.test/silent", "https://b.test/open");
    assert_eq!(fetched(silent, EmbedderPolicy::UnsafeNone), Ok(()));
    assert_eq!(fetched(open, EmbedderPolicy::RequireCorp), Ok(()));
    let refused = fetched(silent, EmbedderPolicy::RequireCorp).unwrap_err();
    assert!(matches!(
        refused,
        FetchErrorReason::Blocked(BlockedReason::ResourcePolicy(_))
    ));
}

/// One blob, of `https://a.test` or of an opaque origin.
struct OneBlob(Origin);

impl BlobStore for OneBlob {
    fn blob(&self, url: &Url, _: &Environment) -> Option<Arc<dyn BlobObject>> {
        let blob = Self(self.0.clone());
        (url.path().ends_with("/1")).then(|| Arc::new(blob) as Arc<dyn BlobObject>)
    }
}

impl BlobObject for OneBlob {
    fn length(&self) -> u64 {
        10
    }

    fn media_type(&self) -> &'static str {
        "text/x"
    }

    fn origin(&self) -> &Origin {
        &self.0
    }

    fn read(&self, range: std::ops::Range<u64>) -> Body {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        Body::from(Bytes::from_static(b"0123456789").slice(range))
    }
}

#[test]
fn a_blob_is_given_to_its_own_origin_whole_or_in_part() {
    let table = Table::default();
    let fetched = |origin: &Origin, change: &dyn Fn(&mut FetchParams)| {
        let service = table
            .service()
            .with_blobs(Arc::new(OneBlob(origin.clone())));
        let mut params = by_page("blob:https://a.test/1");
        change(&mut params);
        let fetched = table.fetch_with(&service, params)?;
        let (head, body) = (fetched.head, fetched.body.unwrap());
        let body = body.collect(100).now_or_never().unwrap().unwrap();
        let headers: HeaderMap = head.visible_headers();
        let header = |name: &str| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        Ok(format!(
            "{} {:?} {} {} {}",
            head.status.as_u16(),
            body,
            header("content-type"),
            header("content-length"),
            header("content-range")
        ))
    };
    let own = Origin::of(&Url::parse("https://a.test").unwrap());
    let whole = fetched(&own, &|_| {}).unwrap();
    assert_eq!(whole, "200 b\"0123456789\" text/x 10 ");
    let part = fetched(&own, &|params| {
        params.head.headers = header_map(&[("range", "bytes=2-3")]);
    });
    assert_eq!(part.unwrap(), "206 b\"23\" text/x 2 bytes 2-3/10");
    let refused: Result<String, FetchErrorReason> = fetched(&own, &|params| {
        params.head.headers = header_map(&[("range", "bytes=20-")]);
    });
    assert_eq!(refused, Err(FetchErrorReason::BlobRange));
    let posted = fetched(&own, &|params| params.head.method = Method::POST);
    assert_eq!(posted, Err(FetchErrorReason::BlobMethod(Method::POST)));
    // An opaque origin's blob is its own, and nobody else's.
    let opaque = Origin::opaque(7);
    assert!(fetched(&opaque, &|_| {}).is_err());
    let by_itself = fetched(&opaque, &|params| params.head.origin = opaque.clone());
    assert!(by_itself.is_ok());
}
