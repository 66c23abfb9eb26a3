//! Main fetch, against a table of hops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use service_worker::types::fetch::{
    CacheMode, CredentialsMode, Destination, LookAside, RedirectMode, RequestHead, RequestMode,
    Requester, ResponseHead, ResponseType, ServiceWorkersMode,
};
use service_worker::types::{ClientId, Environment, Origin, Site};
use service_worker::{Body, FetchRequest, NetworkUse, Response, ServiceWorkerTiming};
use url::Url;

use super::*;

/// Answers each URL as a table says, and remembers what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Table {
    answers: BTreeMap<String, Answer>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
struct Answer {
    source: Source,
    head: ResponseHead,
    body: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: RequestHead,
    pub(crate) body: Bytes,
    network: NetworkUse,
}

impl Asked {
    /// A header that only the network sees.
    pub(crate) fn network_header(&self, name: &str) -> &str {
        let NetworkUse::Allowed { headers, .. } = &self.network else {
            return "(not to be sent)";
        };
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Hop for Table {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        let mut url = request.head.url().clone();
        url.set_fragment(None);
        let answer = self.answers.get(url.as_str()).cloned();
        let asked = Arc::clone(&self.asked);
        Box::pin(async move {
            let body = request.body.collect(1 << 20).await.unwrap();
            asked.lock().unwrap().push(Asked {
                head: request.head.clone(),
                body,
                network: request.network.clone(),
            });
            let answer = answer.ok_or_else(|| HopError::new("nobody is there"))?;
            if answer.source == Source::Network && request.network == NetworkUse::Forbidden {
                return Err(HopError::network_forbidden());
            }
            let mut head = answer.head;
            if head.url_list.is_empty() {
                head.url_list = request.head.url_list;
            }
            Ok(Hopped {
                response: Response {
                    head,
                    body: Body::from(answer.body),
                },
                source: answer.source,
                timing: ServiceWorkerTiming::default(),
                protocol: "",
            })
        })
    }
}

impl Table {
    pub(crate) fn with(self, url: &str, status: u16, headers: &[(&str, &str)]) -> Self {
        self.with_source(Source::Network, url, status, headers)
    }

    pub(crate) fn with_source(
        mut self,
        source: Source,
        url: &str,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Self {
        let head = ResponseHead::new(StatusCode::from_u16(status).unwrap(), header_map(headers));
        let body = "body";
        self.answers
            .insert(url.to_owned(), Answer { source, head, body });
        self
    }

    pub(crate) fn fetch(&self, params: FetchParams) -> Result<FetchedResponse, FetchErrorReason> {
        self.fetch_with(&self.service(), params)
    }

    /// A user agent that asks it.
    pub(crate) fn service(&self) -> FetchService {
        FetchService::new(Arc::new(self.clone()))
    }

    pub(crate) fn fetch_with(
        &self,
        service: &FetchService,
        params: FetchParams,
    ) -> Result<FetchedResponse, FetchErrorReason> {
        self.asked.lock().unwrap().clear();
        service
            .fetch(params)
            .now_or_never()
            .expect("the table answers at once")
            .map_err(|error| error.reason)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
    let headers = headers.iter();
    headers
        .map(|(n, value)| (name(n), value.parse().unwrap()))
        .collect()
}

pub(crate) const OPEN: (&str, &str) = ("access-control-allow-origin", "*");

/// A `fetch()` by a page of `https://a.test`.
pub(crate) fn by_page(url: &str) -> FetchParams {
    by("https://a.test/page?q#f", url)
}

fn by(page: &str, url: &str) -> FetchParams {
    let client = Environment::top_level(ClientId(1), Url::parse(page).unwrap());
    let mut head = RequestHead::get(Url::parse(url).unwrap(), client.origin.clone());
    head.mode = RequestMode::Cors;
    head.referrer = Some(client.creation_url.clone());
    FetchParams::new(head, client)
}

fn post(url: &str, body: &'static str) -> FetchParams {
    let mut params = by_page(url);
    params.head.method = Method::POST;
    params.head.has_body = true;
    params.head.headers = header_map(&[("content-type", "text/plain")]);
    params.body = body.into();
    params
}

fn text(fetched: FetchedResponse) -> Option<String> {
    let body = fetched.body?;
    let bytes = body.collect(1 << 20).now_or_never().unwrap().unwrap();
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn tainting_is_by_mode_and_origin() {
    let table = Table::default()
        .with("https://a.test/x", 200, &[("set-cookie", "a=b")])
        .with("https://b.test/open", 200, &[OPEN, ("x-hidden", "1")])
        .with("https://b.test/closed", 200, &[]);
    let fetched = |url: &str, mode| {
        let mut params = by_page(url);
        params.head.mode = mode;
        table.fetch(params).map(|fetched| {
            let head = fetched.head;
            let names = head.visible_headers();
            let names = names.keys().map(HeaderName::as_str).collect::<Vec<_>>();
            format!("{:?} {:?}", head.response_type, names.join(","))
        })
    };
    use RequestMode::{Cors, NoCors, SameOrigin};
    let own = "https://a.test/x";
    assert_eq!(fetched(own, Cors).unwrap(), r#"Basic """#);
    assert_eq!(fetched(own, SameOrigin).unwrap(), r#"Basic """#);
    assert_eq!(fetched(own, NoCors).unwrap(), r#"Basic """#);
    assert_eq!(fetched("https://b.test/open", Cors).unwrap(), r#"Cors """#);
    assert_eq!(
        fetched("https://b.test/closed", NoCors).unwrap(),
        r#"Opaque """#
    );
    for (url, mode) in [
        ("https://b.test/closed", Cors),
        ("https://b.test/open", SameOrigin),
    ] {
        let refused = fetched(url, mode).unwrap_err();
        assert!(matches!(refused, FetchErrorReason::Blocked(_)), "{refused}");
    }
    // The second was not even asked.
    assert!(table.asked().is_empty());
}

#[test]
fn what_must_not_be_asked_is_not() {
    let table = Table::default();
    let with = |url: &str, change: fn(&mut RequestHead)| {
        let mut params = by_page(url);
        change(&mut params.head);
        let refused = table.fetch(params).unwrap_err();
        assert!(table.asked().is_empty(), "{url}");
        refused
    };
    use FetchErrorReason::*;
    let as_it_is: fn(&mut RequestHead) = |_| {};
    assert_eq!(with("https://a.test:6667/", as_it_is), BadPort(6667));
    assert_eq!(with("http://b.test/", as_it_is), MixedContent);
    assert_eq!(with("blob:https://a.test/1", as_it_is), NoBlob);
    assert!(matches!(with("about:config", as_it_is), Blocked(_)));
    assert_eq!(
        with("file:///etc/passwd", |head| head.mode = RequestMode::NoCors),
        Scheme("file".into())
    );
    assert_eq!(with("data:no-comma", as_it_is), DataUrl);
}

#[test]
fn an_insecure_page_may_use_http_and_a_secure_one_loopback() {
    let table = Table::default().with("http://b.test/", 200, &[OPEN]).with(
        "http://127.0.0.1:8080/",
        200,
        &[OPEN],
    );
    assert!(table.fetch(by("http://c.test/", "http://b.test/")).is_ok());
    assert!(table.fetch(by_page("http://127.0.0.1:8080/")).is_ok());
}

#[test]
fn a_data_url_answers_itself() {
    let table = Table::default();
    let fetched = table.fetch(by_page("data:text/css;base64,eA==")).unwrap();
    assert_eq!(fetched.head.response_type, ResponseType::Basic);
    assert_eq!(fetched.head.headers["content-type"], "text/css");
    assert_eq!(fetched.source, Source::Url);
    assert_eq!(text(fetched).as_deref(), Some("x"));
    assert!(table.asked().is_empty());
}

#[test]
fn redirects_are_followed_to_their_limit() {
    let chain = |length: u32| {
        let mut table = Table::default();
        for index in 0..length {
            let next = format!("/{}", index + 1);
            let url = format!("https://a.test/{index}");
            table = table.with(&url, 302, &[("location", &next)]);
        }
        table.with(&format!("https://a.test/{length}"), 200, &[])
    };
    let fetched = chain(20).fetch(by_page("https://a.test/0#top")).unwrap();
    assert_eq!(fetched.head.url_list.len(), 21);
    assert_eq!(
        fetched.head.url().unwrap().as_str(),
        "https://a.test/20#top"
    );
    let refused = chain(21).fetch(by_page("https://a.test/0")).unwrap_err();
    assert_eq!(refused, FetchErrorReason::TooManyRedirects);
}

#[test]
fn a_redirect_is_followed_refused_or_handed_out_by_the_redirect_mode() {
    let table = Table::default()
        .with("https://a.test/from", 302, &[("location", "/to")])
        .with("https://a.test/to", 200, &[])
        .with("https://a.test/nowhere", 302, &[]);
    let fetched = |url, mode| {
        let mut params = by_page(url);
        params.head.redirect = mode;
        table.fetch(params)
    };
    let from = "https://a.test/from";
    let followed = fetched(from, RedirectMode::Follow).unwrap();
    assert_eq!(followed.head.visible_status(), 200);
    let manual = fetched(from, RedirectMode::Manual).unwrap();
    assert_eq!(manual.head.response_type, ResponseType::OpaqueRedirect);
    assert_eq!(table.asked().len(), 1);
    assert!(fetched(from, RedirectMode::Error).is_err());
    // Without Location it is a response like any other.
    let nowhere = fetched("https://a.test/nowhere", RedirectMode::Follow).unwrap();
    assert_eq!(nowhere.head.visible_status(), 302);
}

#[test]
fn a_bad_location_is_a_network_error() {
    for (location, expected) in [
        ("http://[", true),
        ("data:,x", true),
        ("javascript:1", true),
        ("https://a.test/ok", false),
    ] {
        let table = Table::default()
            .with("https://a.test/", 301, &[("location", location)])
            .with("https://a.test/ok", 200, &[]);
        let fetched = table.fetch(by_page("https://a.test/"));
        let is_bad = matches!(fetched, Err(FetchErrorReason::BadLocation(_)));
        assert_eq!(is_bad, expected, "{location}");
    }
    let two = [("location", "/x"), ("location", "/y")];
    let table = Table::default().with("https://a.test/", 301, &two);
    let refused = table.fetch(by_page("https://a.test/")).unwrap_err();
    assert!(matches!(refused, FetchErrorReason::BadLocation(_)));
}

#[test]
fn a_user_name_in_location_is_refused_across_origins() {
    let location = |url| [("location", url), OPEN];
    let table = Table::default()
        .with("https://a.test/1", 302, &location("https://u:p@b.test/"))
        .with("https://b.test/2", 302, &location("https://u@a.test/ok"))
        .with("https://a.test/3", 302, &location("https://u@a.test/ok"))
        .with("https://u@a.test/ok", 200, &[]);
    for (url, allowed) in [
        ("https://a.test/1", false),
        ("https://b.test/2", false),
        ("https://a.test/3", true),
    ] {
        assert_eq!(table.fetch(by_page(url)).is_ok(), allowed, "{url}");
    }
}

#[test]
fn method_and_body_change_as_the_status_says() {
    for (method, status, after) in [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 301, "PUT"),
        ("PUT", 303, "GET"),
        ("HEAD", 303, "HEAD"),
    ] {
        let table = Table::default()
            .with("https://a.test/1", status, &[("location", "/2")])
            .with("https://a.test/2", 200, &[]);
        let mut params = post("https://a.test/1", "hello");
        params.head.method = method.parse().unwrap();
        table.fetch(params).unwrap();
        let asked = table.asked();
        let kept = method == after;
        assert_eq!(asked[1].head.method, after, "{method} {status}");
        assert_eq!(asked[1].body.is_empty(), !kept, "{method} {status}");
        let has_type = asked[1].head.headers.contains_key("content-type");
        assert_eq!(has_type, kept, "{method} {status}");
    }
}

#[test]
fn authorization_does_not_cross_origins_by_redirect() {
    let table = Table::default()
        .with("https://a.test/1", 302, &[("location", "https://a.test/2")])
        .with("https://a.test/2", 302, &[("location", "https://b.test/3")])
        .with("https://b.test/3", 200, &[OPEN]);
    let mut params = by_page("https://a.test/1");
    params.head.headers = header_map(&[("authorization", "Bearer x")]);
    table.fetch(params).unwrap();
    let has: Vec<bool> = table
        .asked()
        .iter()
        .map(|asked| asked.head.headers.contains_key("authorization"))
        .collect();
    assert_eq!(has, [true, true, false]);
}

#[test]
fn an_origin_is_tainted_when_another_origin_redirects_across() {
    let table = Table::default()
        .with(
            "https://b.test/",
            302,
            &[OPEN, ("location", "https://c.test/")],
        )
        .with("https://c.test/", 200, &[OPEN])
        .with("https://a.test/", 302, &[("location", "https://c.test/")]);
    table.fetch(by_page("https://b.test/")).unwrap();
    let origins: Vec<_> = table
        .asked()
        .iter()
        .map(|asked| asked.network_header("origin").to_owned())
        .collect();
    assert_eq!(origins, ["https://a.test", "null"]);

    table.fetch(by_page("https://a.test/")).unwrap();
    assert_eq!(table.asked()[0].network_header("origin"), "");
    assert_eq!(table.asked()[1].network_header("origin"), "https://a.test");
}

#[test]
fn the_own_worker_is_not_shown_what_the_network_redirected() {
    for (source, expected) in [
        (Source::Network, ServiceWorkersMode::Foreign),
        (Source::FallThrough, ServiceWorkersMode::Foreign),
        (Source::OwnWorker, ServiceWorkersMode::All),
    ] {
        let table = Table::default()
            .with_source(source, "https://a.test/1", 302, &[("location", "/2")])
            .with("https://a.test/2", 200, &[]);
        table.fetch(by_page("https://a.test/1")).unwrap();
        assert_eq!(
            table.asked()[1].head.service_workers,
            expected,
            "{source:?}"
        );
    }
    let table = Table::default()
        .with("https://a.test/1", 302, &[("location", "/2")])
        .with("https://a.test/2", 200, &[]);
    let mut params = by_page("https://a.test/1");
    params.head.service_workers = ServiceWorkersMode::None;
    table.fetch(params).unwrap();
    let asked = table.asked();
    assert_eq!(asked[1].head.service_workers, ServiceWorkersMode::None);
}

#[test]
fn servers_are_told_who_asks_for_what() {
    let own = "https://a.test/x";
    let sub = "https://www.a.test/x";
    let other = "https://b.test/x";
    let loopback = "http://localhost/x";
    // URL, mode, method, Origin, Referer, Sec-Fetch-Site
    let table = [
        (
            own,
            "cors",
            "GET",
            "",
            "https://a.test/page?q",
            "same-origin",
        ),
        (
            own,
            "cors",
            "POST",
            "https://a.test",
            "https://a.test/page?q",
            "same-origin",
        ),
        (
            sub,
            "cors",
            "GET",
            "https://a.test",
            "https://a.test/",
            "same-site",
        ),
        (
            other,
            "cors",
            "GET",
            "https://a.test",
            "https://a.test/",
            "cross-site",
        ),
        (other, "no-cors", "GET", "", "https://a.test/", "cross-site"),
        (
            other,
            "no-cors",
            "POST",
            "https://a.test",
            "https://a.test/",
            "cross-site",
        ),
        (
            loopback,
            "no-cors",
            "POST",
            "null",
            "https://a.test/",
            "cross-site",
        ),
    ];
    for (url, mode, method, origin, referer, site) in table {
        let hops = Table::default().with(url, 200, &[OPEN]);
        let mut params = by_page(url);
        params.head.mode = RequestMode::from_keyword(mode).unwrap();
        params.head.method = method.parse().unwrap();
        params.head.destination = Destination::Font;
        hops.fetch(params).unwrap();
        let asked = &hops.asked()[0];
        let sent = |name| asked.network_header(name);
        let case = format!("{url} {mode} {method}");
        assert_eq!(sent("origin"), origin, "{case}");
        assert_eq!(sent("referer"), referer, "{case}");
        assert_eq!(sent("sec-fetch-site"), site, "{case}");
        assert_eq!(sent("sec-fetch-mode"), mode, "{case}");
        assert_eq!(sent("sec-fetch-dest"), "font", "{case}");
        assert!(sent("user-agent").starts_with("mini-browser/"), "{case}");
        // What a worker sees as well.
        assert_eq!(asked.head.headers["accept"], "*/*");
        assert!(!asked.head.headers.contains_key("origin"));
    }
}

#[test]
fn an_insecure_server_gets_no_fetch_metadata() {
    let hops = Table::default().with("http://b.test/", 200, &[OPEN]);
    hops.fetch(by("http://c.test/", "http://b.test/")).unwrap();
    assert_eq!(hops.asked()[0].network_header("sec-fetch-site"), "");
    assert_eq!(hops.asked()[0].network_header("origin"), "http://c.test");
}

#[test]
fn a_fall_through_workers_fetch_is_made_on_behalf_of_its_requester() {
    let own = "https://fonts.test/font";
    let hops = Table::default().with(own, 200, &[OPEN]);
    let mut params = by("https://fonts.test/sw.js", own);
    let page = Origin::of(&Url::parse("https://acme.test").unwrap());
    params.head.requester = Some(Requester {
        site: Site::of(&page),
        origin: page,
    });
    params.head.referrer = None;
    params.head.method = Method::POST;
    let fetched = hops.fetch(params).unwrap();
    // Tainting is the worker's, what the server is told is the page's.
    assert_eq!(fetched.head.response_type, ResponseType::Basic);
    let asked = &hops.asked()[0];
    assert_eq!(asked.network_header("origin"), "https://acme.test");
    assert_eq!(asked.network_header("sec-fetch-site"), "cross-site");
    assert_eq!(asked.network_header("referer"), "");
}

#[test]
fn cache_modes_and_validators_show_in_what_is_sent() {
    let url = "https://a.test/";
    let hops = Table::default().with(url, 200, &[]);
    for (mode, header, cache, cache_control, pragma) in [
        (CacheMode::Default, "", CacheMode::Default, "", ""),
        (CacheMode::NoCache, "", CacheMode::NoCache, "max-age=0", ""),
        (
            CacheMode::Reload,
            "",
            CacheMode::Reload,
            "no-cache",
            "no-cache",
        ),
        (
            CacheMode::Default,
            "if-none-match",
            CacheMode::NoStore,
            "no-cache",
            "no-cache",
        ),
    ] {
        let mut params = by_page(url);
        params.head.cache = mode;
        if !header.is_empty() {
            params.head.headers = header_map(&[(header, "x")]);
        }
        hops.fetch(params).unwrap();
        let asked = &hops.asked()[0];
        assert!(matches!(asked.network, NetworkUse::Allowed { cache: used, .. } if used == cache));
        assert_eq!(asked.network_header("cache-control"), cache_control);
        assert_eq!(asked.network_header("pragma"), pragma);
        assert_eq!(asked.head.cache, mode);
    }
}

#[test]
fn a_redirect_can_change_the_referrer_policy() {
    let hops = Table::default()
        .with(
            "https://a.test/1",
            302,
            &[("location", "/2"), ("referrer-policy", "no-referrer")],
        )
        .with("https://a.test/2", 200, &[]);
    hops.fetch(by_page("https://a.test/1")).unwrap();
    let asked = hops.asked();
    assert_eq!(asked[0].network_header("referer"), "https://a.test/page?q");
    assert_eq!(asked[1].network_header("referer"), "");
}

#[test]
fn some_responses_have_no_body() {
    for (method, status, has_body) in [
        ("GET", 200, true),
        ("GET", 404, true),
        ("HEAD", 200, false),
        ("GET", 204, false),
        ("GET", 205, false),
        ("GET", 304, false),
    ] {
        let hops = Table::default().with("https://a.test/", status, &[]);
        let mut params = by_page("https://a.test/");
        params.head.method = method.parse().unwrap();
        let fetched = hops.fetch(params).unwrap();
        assert_eq!(text(fetched).is_some(), has_body, "{method} {status}");
    }
}

#[test]
fn a_redirect_to_an_insecure_url_is_mixed_content() {
    let hops = Table::default()
        .with("https://a.test/", 302, &[("location", "http://a.test/")])
        .with("http://a.test/", 200, &[OPEN]);
    let refused = hops.fetch(by_page("https://a.test/")).unwrap_err();
    assert_eq!(refused, FetchErrorReason::MixedContent);
    assert_eq!(hops.asked().len(), 1);
}

#[test]
fn a_workers_answer_is_not_filtered_again() {
    let url = "https://b.test/x";
    let hops = Table::default().with_source(Source::OwnWorker, url, 200, &[("x-own", "1")]);
    let fetched = hops.fetch(by_page(url)).unwrap();
    assert_eq!(fetched.head.response_type, ResponseType::Default);
    assert_eq!(fetched.head.visible_headers()["x-own"], "1");
}

#[test]
fn timing_is_shown_of_what_the_own_worker_answers_and_of_others_as_they_allow() {
    let passed = |source, headers: &[(&str, &str)]| {
        let table = Table::default().with_source(source, "https://b.test/x", 200, headers);
        let mut params = by("https://a.test/", "https://b.test/x");
        params.head.mode = RequestMode::NoCors;
        table.fetch(params).unwrap().head.timing_allow_passed
    };
    assert!(passed(Source::OwnWorker, &[]));
    assert!(!passed(Source::FallThrough, &[]));
    assert!(!passed(Source::Network, &[]));
    assert!(passed(Source::Network, &[("timing-allow-origin", "*")]));
}

#[test]
fn modes_that_the_hop_decides_by_reach_it_unchanged() {
    let hops = Table::default().with("https://b.test/", 200, &[OPEN]);
    let mut params = by_page("https://b.test/");
    params.head.look_aside = LookAside::None;
    params.head.credentials = CredentialsMode::Omit;
    hops.fetch(params).unwrap();
    let asked = &hops.asked()[0];
    assert_eq!(asked.head.look_aside, LookAside::None);
    assert_eq!(asked.head.credentials, CredentialsMode::Omit);
    assert!(!asked.head.use_cors_preflight);
}

#[test]
fn an_error_says_where_and_why_in_one_line() {
    let hops = Table::default();
    let error = hops
        .service()
        .fetch(by_page("https://a.test/x"))
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.to_string(), "https://a.test/x: nobody is there");
}
