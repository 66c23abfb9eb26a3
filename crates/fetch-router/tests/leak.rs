//! What a page can read through a fall-through worker is what the rules of the *Fetch* standard
//! say, and never more than it could have read from the network.
//!
//! Every row is a request of a page, a response of the service's server, and how the service's
//! worker passes that response on. The expected column is written from the standard's rules once
//! more, plainly, each rule by its name.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use std::collections::{BTreeMap, BTreeSet};

use fetch_router::{fall_through_dispatch, filter_network, refilter};
use http::{HeaderMap, StatusCode};
use sw_types::fetch::{
    CredentialsMode, RedirectMode, RequestHead, RequestMode, ResponseHead, ResponseType,
};
use sw_types::{ClientId, Environment, Origin};
use url::Url;

const FONT: &str = "https://fonts.example.com/font";
const PAGE: &str = "https://acme.com/";

/// A row of the matrix.
#[derive(Clone, Copy, Debug)]
struct Row {
    mode: RequestMode,
    credentials: CredentialsMode,
    redirect: RedirectMode,
    /// Whether a redirect has tainted the request's origin.
    tainted: bool,
    allow_origin: Option<&'static str>,
    allow_credentials: bool,
    expose: Option<&'static str>,
    resource_policy: Option<&'static str>,
    status: u16,
    passed: Passed,
}

/// What the worker does with its server's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    /// `respondWith(fetch(event.request))`
    Fetched,
    /// `respondWith(caches.match(…))`, of a response that cookies brought.
    StoredWithCredentials,
    /// `respondWith(new Response(body, { status, headers }))`, of all that the worker can read.
    Copied,
    /// `respondWith(fetch(third origin, { mode: 'no-cors' }))`
    ThirdOriginOpaque,
    /// `respondWith(fetch(third origin))`, which allows everybody.
    ThirdOriginCors,
}

/// What the page gets. The rule is for people, and for the count of rules that were met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    NetworkError(&'static str),
    /// The caller follows it, with mode `foreign`.
    Redirect,
    Filtered(ResponseType),
}

#[test]
fn every_row_is_filtered_as_the_rules_say() {
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows() {
        let given = refilter(&row.request(), row.answer()).ok();
        let expected = expected(&row);
        match (expected, &given) {
            (Expected::NetworkError(rule), None) => *met.entry(rule).or_default() += 1,
            (Expected::Redirect, Some(response)) => {
                assert!(response.status.is_redirection(), "{row:?}");
                *met.entry("redirect to follow").or_default() += 1;
            }
            (Expected::Filtered(response_type), Some(response)) => {
                assert_eq!(response.response_type, response_type, "{row:?}");
                *met.entry(response_type.as_str()).or_default() += 1;
            }
            (expected, given) => panic!("{row:?}: {given:?}, but {expected:?}"),
        }
    }
    println!("{met:#?}");
    assert_eq!(met.len(), 14, "a rule was not met: {met:#?}");
}

#[test]
fn no_row_lets_a_page_read_more_than_the_network_would() {
    let mut read = 0;
    for row in rows() {
        let request = row.request();
        let through_worker = refilter(&request, row.answer()).ok();
        // What the worker's response was fetched with, the page could have asked with too.
        let asked = match row.passed {
            Passed::StoredWithCredentials => RequestHead {
                credentials: CredentialsMode::Include,
                ..request
            },
            _ => request,
        };
        let network = filter_network(&asked, row.response()).ok();
        let (through_worker, network) = (readable(through_worker), readable(network));
        // A worker that copies a redirect, a range or another origin's bytes makes a response of
        // its own; what stands in for the server's must be no more than the server's.
        if matches!(row.passed, Passed::Fetched | Passed::StoredWithCredentials) {
            let more: Vec<_> = through_worker.difference(&network).collect();
            assert!(more.is_empty(), "{row:?}: {more:?}");
        }
        // Whatever the worker did: nothing is read of what the response does not allow to be read.
        let allowed = row.allows_reading();
        assert!(
            allowed || through_worker.is_empty(),
            "{row:?}: {through_worker:?}"
        );
        read += u32::from(!through_worker.is_empty());
    }
    assert!(read > 1_000, "only {read} rows can be read at all");
}

/// The standard's rules, in the order in which they apply.
fn expected(row: &Row) -> Expected {
    use Expected::{Filtered, NetworkError, Redirect};
    let cors = row.mode == RequestMode::Cors;
    if !cors && row.redirect != RedirectMode::Follow {
        return NetworkError("main fetch: no-cors needs redirect mode follow");
    }
    if row.passed == Passed::ThirdOriginOpaque && cors {
        return NetworkError("fall-through: an opaque answer is for no-cors only");
    }
    if row.status == 206 {
        return NetworkError("fall-through: a range that nobody asked for");
    }
    let brought_by_credentials =
        row.passed == Passed::StoredWithCredentials || row.credentials == CredentialsMode::Include;
    if cors {
        match row.visible_allow_origin() {
            None => return NetworkError("CORS check: no Access-Control-Allow-Origin"),
            Some("*") if brought_by_credentials => {
                return NetworkError("CORS check: * with credentials");
            }
            Some("*") => {}
            Some(origin) if origin != row.origin() => {
                return NetworkError("CORS check: another origin");
            }
            Some(_) if brought_by_credentials && !row.allow_credentials => {
                return NetworkError("CORS check: credentials are not allowed");
            }
            Some(_) => {}
        }
    } else {
        // Another origin's readable response counts by its visible headers, here too.
        let policy = row
            .resource_policy
            .filter(|_| row.passed != Passed::ThirdOriginCors || row.expose == Some("*"));
        match policy {
            Some("same-origin") => return NetworkError("resource policy: same-origin"),
            Some("same-site") => return NetworkError("resource policy: same-site"),
            _ => {}
        }
    }
    let redirects = row.status == 301;
    match row.redirect {
        RedirectMode::Error if redirects => {
            return NetworkError("HTTP fetch: redirect mode error");
        }
        RedirectMode::Manual if redirects => return Filtered(ResponseType::OpaqueRedirect),
        RedirectMode::Follow if redirects => return Redirect,
        _ => {}
    }
    Filtered(match cors {
        true => ResponseType::Cors,
        false => ResponseType::Opaque,
    })
}

impl Row {
    fn origin(&self) -> &'static str {
        match self.tainted {
            true => "null",
            false => "https://acme.com",
        }
    }

    /// The page's request.
    fn request(&self) -> RequestHead {
        RequestHead {
            mode: self.mode,
            credentials: self.credentials,
            redirect: self.redirect,
            tainted_origin: self.tainted,
            ..RequestHead::get(url(FONT), Origin::of(&url(PAGE)))
        }
    }

    /// The server's response.
    fn response(&self) -> ResponseHead {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", Some("font/woff2")),
            ("x-secret", Some("1")),
            ("x-exposed", Some("2")),
            ("set-cookie", Some("id=3")),
            ("location", (self.status == 301).then_some("/elsewhere")),
            ("access-control-allow-origin", self.allow_origin),
            (
                "access-control-allow-credentials",
                self.allow_credentials.then_some("true"),
            ),
            ("access-control-expose-headers", self.expose),
            ("cross-origin-resource-policy", self.resource_policy),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        ResponseHead::new(StatusCode::from_u16(self.status).unwrap(), headers)
    }

    /// What the worker answers with.
    fn answer(&self) -> ResponseHead {
        let client = Environment::top_level(ClientId(1), url(PAGE));
        let event_request = fall_through_dispatch(&self.request(), &client).request;
        let event_request = RequestHead {
            // A worker that means harm does not ask with the event's request, but as it likes.
            redirect: RedirectMode::Follow,
            ..event_request
        };
        let third = |mode| RequestHead {
            mode,
            url_list: vec![url("https://third.test/")],
            requester: None,
            ..event_request.clone()
        };
        match self.passed {
            Passed::Fetched => filter_network(&event_request, self.response()).unwrap(),
            Passed::StoredWithCredentials => ResponseHead {
                requested_with_credentials: true,
                ..filter_network(&event_request, self.response()).unwrap()
            },
            Passed::Copied => {
                let fetched = filter_network(&event_request, self.response()).unwrap();
                ResponseHead::new(self.status_of_copy(), fetched.visible_headers())
            }
            Passed::ThirdOriginOpaque => {
                let mut opaque = self.response();
                opaque.response_type = ResponseType::Opaque;
                opaque.url_list = third(RequestMode::NoCors).url_list;
                opaque
            }
            Passed::ThirdOriginCors => {
                let mut response = self.response();
                let anyone = "*".parse().unwrap();
                response
                    .headers
                    .insert("access-control-allow-origin", anyone);
                let asked = RequestHead {
                    credentials: CredentialsMode::Omit,
                    ..third(RequestMode::Cors)
                };
                filter_network(&asked, response).unwrap()
            }
        }
    }

    fn status_of_copy(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap()
    }

    /// The `Access-Control-Allow-Origin` that counts for the page: another origin's response counts
    /// by the headers that the worker could see.
    fn visible_allow_origin(&self) -> Option<&'static str> {
        match (self.passed, self.expose) {
            (Passed::ThirdOriginCors, Some("*")) => Some("*"),
            (Passed::ThirdOriginCors, _) => None,
            _ => self.allow_origin,
        }
    }

    /// Whether the answer's own words let the page's origin read it.
    fn allows_reading(&self) -> bool {
        let named = self.visible_allow_origin();
        named == Some("*") || named == Some(self.origin())
    }
}

/// All that a script of the page can tell of a response.
fn readable(response: Option<ResponseHead>) -> BTreeSet<String> {
    let Some(response) = response else {
        return BTreeSet::new();
    };
    let mut facts = BTreeSet::new();
    if matches!(
        response.response_type,
        ResponseType::Opaque | ResponseType::OpaqueRedirect
    ) || response.status.is_redirection()
    {
        assert!(
            response.status.is_redirection() || response.visible_headers().is_empty(),
            "{response:?}"
        );
        return facts;
    }
    facts.insert("the body".to_owned());
    facts.insert(format!("status {}", response.visible_status()));
    for (name, value) in &response.visible_headers() {
        facts.insert(format!("{name}: {}", value.to_str().unwrap()));
    }
    facts
}

fn rows() -> impl Iterator<Item = Row> {
    let mut rows = Vec::new();
    for mode in [RequestMode::Cors, RequestMode::NoCors] {
        for credentials in [
            CredentialsMode::Omit,
            CredentialsMode::SameOrigin,
            CredentialsMode::Include,
        ] {
            for redirect in [
                RedirectMode::Follow,
                RedirectMode::Error,
                RedirectMode::Manual,
            ] {
                for tainted in [false, true] {
                    for passed in [
                        Passed::Fetched,
                        Passed::StoredWithCredentials,
                        Passed::Copied,
                        Passed::ThirdOriginOpaque,
                        Passed::ThirdOriginCors,
                    ] {
                        let base = Row {
                            mode,
                            credentials,
                            redirect,
                            tainted,
                            passed,
                            allow_origin: None,
                            allow_credentials: false,
                            expose: None,
                            resource_policy: None,
                            status: 200,
                        };
                        rows.extend(responses().map(|response| Row {
                            mode,
                            credentials,
                            redirect,
                            tainted,
                            passed,
                            ..response(base)
                        }));
                    }
                }
            }
        }
    }
    rows.into_iter()
}

/// Every combination of what the server's response says.
fn responses() -> impl Iterator<Item = impl Fn(Row) -> Row> {
    let origins = [
        None,
        Some("*"),
        Some("https://acme.com"),
        Some("null"),
        Some("https://other.test"),
    ];
    let policies = [
        None,
        Some("same-origin"),
        Some("same-site"),
        Some("cross-origin"),
    ];
    let mut all = Vec::new();
    for allow_origin in origins {
        for allow_credentials in [false, true] {
            for expose in [None, Some("x-exposed"), Some("*")] {
                for resource_policy in policies {
                    for status in [200, 206, 301] {
                        all.push(move |row: Row| Row {
                            allow_origin,
                            allow_credentials,
                            expose,
                            resource_policy,
                            status,
                            ..row
                        });
                    }
                }
            }
        }
    }
    all.into_iter()
}

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}
