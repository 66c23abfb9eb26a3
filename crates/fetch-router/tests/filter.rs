//! What the requester may see, by who answered.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use fetch_router::{
    BlockedReason, CorsError, ResourcePolicyBlocked, ResponseTainting, fall_through_dispatch,
    filter_network, filter_own, refilter, response_tainting,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sw_types::fetch::{
    CredentialsMode, Destination, RedirectMode, RequestHead, RequestMode, ResponseHead,
    ResponseType,
};
use sw_types::{ClientId, Environment, Origin};
use url::Url;

const FONT: &str = "https://fonts.example.com/font";

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

fn request(mode: RequestMode) -> RequestHead {
    RequestHead {
        mode,
        ..RequestHead::get(url(FONT), Origin::of(&url("https://acme.com")))
    }
}

fn answer(response_type: ResponseType, headers: &[(&'static str, &'static str)]) -> ResponseHead {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect();
    ResponseHead {
        response_type,
        ..ResponseHead::new(StatusCode::OK, headers)
    }
}

const ALLOW_ALL: (&str, &str) = ("access-control-allow-origin", "*");
const ALLOW_ACME: (&str, &str) = ("access-control-allow-origin", "https://acme.com");
const ALLOW_CREDENTIALS: (&str, &str) = ("access-control-allow-credentials", "true");

#[test]
fn passing_a_network_response_on_does_not_leak_it() {
    // The naive worker: respondWith(fetch(e.request)).
    let page = Environment::top_level(ClientId(1), url("https://acme.com/"));
    for mode in [RequestMode::Cors, RequestMode::NoCors] {
        let asked = request(mode);
        let event_request = fall_through_dispatch(&asked, &page).request;
        let from_network = answer(ResponseType::Default, &[("x-secret", "1")]);
        let fetched = filter_network(&event_request, from_network).unwrap();
        // The worker reads its own origin's response …
        assert_eq!(fetched.response_type, ResponseType::Basic);
        assert!(fetched.visible_headers().contains_key("x-secret"));
        // … and the page does not.
        match mode {
            RequestMode::Cors => assert_eq!(
                refilter(&asked, fetched),
                Err(BlockedReason::Cors(CorsError::NoAllowOrigin))
            ),
            _ => {
                let shown = refilter(&asked, fetched).unwrap();
                assert_eq!(shown.response_type, ResponseType::Opaque);
                assert!(shown.visible_headers().is_empty());
                assert_eq!(shown.visible_status(), 0);
                assert!(!shown.timing_allow_passed);
            }
        }
    }
}

#[test]
fn no_cors_answers_are_opaque_whatever_they_were() {
    for response_type in [
        ResponseType::Default,
        ResponseType::Basic,
        ResponseType::Cors,
    ] {
        let shown = refilter(
            &request(RequestMode::NoCors),
            answer(response_type, &[ALLOW_ALL]),
        );
        let shown = shown.unwrap();
        assert_eq!(shown.response_type, ResponseType::Opaque);
        assert_eq!(shown.url_list, [url(FONT)]);
    }
}

#[test]
fn cors_answers_must_allow_the_requester() {
    let check = |credentials, headers: &[_]| {
        let request = RequestHead {
            credentials,
            ..request(RequestMode::Cors)
        };
        refilter(&request, answer(ResponseType::Default, headers)).map(|shown| shown.response_type)
    };
    use CredentialsMode::{Include, SameOrigin};
    assert_eq!(check(SameOrigin, &[ALLOW_ALL]), Ok(ResponseType::Cors));
    assert_eq!(check(SameOrigin, &[ALLOW_ACME]), Ok(ResponseType::Cors));
    assert_eq!(
        check(Include, &[ALLOW_ALL, ALLOW_CREDENTIALS]),
        Err(CorsError::WildcardWithCredentials.into())
    );
    assert_eq!(
        check(Include, &[ALLOW_ACME]),
        Err(CorsError::CredentialsNotAllowed.into())
    );
    assert_eq!(
        check(Include, &[ALLOW_ACME, ALLOW_CREDENTIALS]),
        Ok(ResponseType::Cors)
    );
}

#[test]
fn a_response_that_cookies_brought_is_checked_as_with_credentials() {
    let request = request(RequestMode::Cors);
    let with_cookies = |headers: &[_]| ResponseHead {
        requested_with_credentials: true,
        ..answer(ResponseType::Basic, headers)
    };
    assert_eq!(
        refilter(&request, with_cookies(&[ALLOW_ALL])),
        Err(CorsError::WildcardWithCredentials.into())
    );
    assert_eq!(
        refilter(&request, with_cookies(&[ALLOW_ACME])),
        Err(CorsError::CredentialsNotAllowed.into())
    );
    let exposing = ("access-control-expose-headers", "*");
    let shown = refilter(
        &request,
        with_cookies(&[ALLOW_ACME, ALLOW_CREDENTIALS, exposing, ("x-one", "1")]),
    );
    // A `*` exposes nothing then, either.
    assert!(!shown.unwrap().visible_headers().contains_key("x-one"));
}

#[test]
fn only_exposed_headers_are_shown() {
    let headers = [
        ALLOW_ALL,
        ("access-control-expose-headers", "X-One"),
        ("content-type", "font/woff2"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("set-cookie", "a=b"),
    ];
    let shown = refilter(
        &request(RequestMode::Cors),
        answer(ResponseType::Basic, &headers),
    )
    .unwrap();
    let mut names: Vec<_> = shown
        .visible_headers()
        .keys()
        .map(ToString::to_string)
        .collect();
    names.sort();
    assert_eq!(names, ["content-type", "x-one"]);
}

#[test]
fn a_cors_answer_counts_by_what_the_worker_could_see() {
    // Another server allows the worker, and the page by the way: the worker saw none of it.
    let hidden = answer(ResponseType::Cors, &[ALLOW_ALL, ("x-hidden", "1")]);
    assert_eq!(
        refilter(&request(RequestMode::Cors), hidden),
        Err(CorsError::NoAllowOrigin.into())
    );
    let seen = ResponseHead {
        exposed_headers: vec!["access-control-allow-origin".into()],
        url_list: vec![url("https://internal.example.com/token")],
        ..answer(ResponseType::Cors, &[ALLOW_ALL, ("x-hidden", "1")])
    };
    let shown = refilter(&request(RequestMode::Cors), seen).unwrap();
    assert!(!shown.headers.contains_key("x-hidden"));
    assert_eq!(shown.url_list, [url(FONT)]);
}

#[test]
fn an_answer_takes_the_requests_urls_and_an_opaque_one_keeps_its_own() {
    let elsewhere = vec![url("https://elsewhere.test/a")];
    let shown = |response_type| {
        let answer = ResponseHead {
            url_list: elsewhere.clone(),
            ..answer(response_type, &[])
        };
        refilter(&request(RequestMode::NoCors), answer)
            .unwrap()
            .url_list
    };
    assert_eq!(shown(ResponseType::Basic), [url(FONT)]);
    assert_eq!(shown(ResponseType::Default), [url(FONT)]);
    assert_eq!(shown(ResponseType::Opaque), elsewhere);
}

#[test]
fn errors_opaque_answers_and_opaque_redirects_answer_only_what_they_may() {
    use BlockedReason::*;
    let error = refilter(&request(RequestMode::NoCors), ResponseHead::network_error());
    assert_eq!(error, Err(NetworkError));
    assert_eq!(
        refilter(
            &request(RequestMode::Cors),
            answer(ResponseType::Opaque, &[ALLOW_ALL])
        ),
        Err(OpaqueForReader)
    );
    let redirect = ResponseHead {
        status: StatusCode::FOUND,
        ..answer(
            ResponseType::OpaqueRedirect,
            &[ALLOW_ALL, ("location", "/x")],
        )
    };
    assert_eq!(
        refilter(&request(RequestMode::Cors), redirect.clone()),
        Err(OpaqueRedirectNotManual)
    );
    let manual = RequestHead {
        redirect: RedirectMode::Manual,
        ..request(RequestMode::Cors)
    };
    let shown = refilter(&manual, redirect.clone()).unwrap();
    assert_eq!(shown.response_type, ResponseType::OpaqueRedirect);
    let not_allowed = ResponseHead {
        headers: HeaderMap::new(),
        ..redirect
    };
    assert_eq!(
        refilter(&manual, not_allowed),
        Err(CorsError::NoAllowOrigin.into())
    );
}

#[test]
fn a_redirect_is_forbidden_hidden_or_left_to_the_caller() {
    let shown = |redirect| {
        let request = RequestHead {
            redirect,
            ..request(RequestMode::Cors)
        };
        let answer = ResponseHead {
            status: StatusCode::FOUND,
            ..answer(ResponseType::Default, &[ALLOW_ALL, ("location", "/x")])
        };
        refilter(&request, answer)
    };
    assert_eq!(
        shown(RedirectMode::Error),
        Err(BlockedReason::RedirectForbidden)
    );
    let hidden = shown(RedirectMode::Manual).unwrap();
    assert_eq!(hidden.response_type, ResponseType::OpaqueRedirect);
    let followed = shown(RedirectMode::Follow).unwrap();
    assert_eq!(followed.status, StatusCode::FOUND);
    assert_eq!(followed.headers["location"], "/x");
}

#[test]
fn resource_policy_holds_for_no_cors_and_by_the_url_that_was_fetched() {
    let policy = |value| ("cross-origin-resource-policy", value);
    let no_cors = request(RequestMode::NoCors);
    assert_eq!(
        refilter(
            &no_cors,
            answer(ResponseType::Basic, &[policy("same-origin")])
        ),
        Err(ResourcePolicyBlocked::SameOrigin.into())
    );
    assert!(
        refilter(
            &no_cors,
            answer(ResponseType::Basic, &[policy("cross-origin")])
        )
        .is_ok()
    );
    // The policy is about the page and the response's URL, not about the service.
    let of = |host: &str| ResponseHead {
        url_list: vec![url(host)],
        ..answer(ResponseType::Opaque, &[policy("same-site")])
    };
    assert_eq!(
        refilter(&no_cors, of("https://cdn.example.com/x")),
        Err(ResourcePolicyBlocked::SameSite.into())
    );
    assert!(refilter(&no_cors, of("https://cdn.acme.com/x")).is_ok());
    let allowed = answer(ResponseType::Basic, &[policy("same-origin"), ALLOW_ALL]);
    assert!(refilter(&request(RequestMode::Cors), allowed).is_ok());
}

#[test]
fn a_partial_answer_that_nobody_asked_for_is_an_error() {
    for response_type in [
        ResponseType::Default,
        ResponseType::Basic,
        ResponseType::Opaque,
    ] {
        let partial = ResponseHead {
            status: StatusCode::PARTIAL_CONTENT,
            ..answer(response_type, &[])
        };
        assert_eq!(
            refilter(&request(RequestMode::NoCors), partial),
            Err(BlockedReason::UnrequestedRange)
        );
    }
}

#[test]
fn timing_is_the_pages_only_if_the_answer_says_so() {
    let shown = |headers: &[_]| {
        let answer = ResponseHead {
            timing_allow_passed: true,
            ..answer(ResponseType::Basic, headers)
        };
        refilter(&request(RequestMode::NoCors), answer)
            .unwrap()
            .timing_allow_passed
    };
    assert!(!shown(&[]));
    assert!(!shown(&[("timing-allow-origin", "https://other.test")]));
    assert!(shown(&[("timing-allow-origin", "https://acme.com")]));
}

#[test]
fn tainting_follows_the_mode_and_never_comes_back() {
    use ResponseTainting::*;
    let tainting = |mode, urls: &[&str]| {
        response_tainting(&RequestHead {
            url_list: urls.iter().map(|u| url(u)).collect(),
            ..request(mode)
        })
    };
    let home = "https://acme.com/a";
    assert_eq!(tainting(RequestMode::Cors, &[home]), Ok(Basic));
    assert_eq!(tainting(RequestMode::Cors, &[home, FONT]), Ok(Cors));
    assert_eq!(tainting(RequestMode::Cors, &[home, FONT, home]), Ok(Cors));
    assert_eq!(tainting(RequestMode::NoCors, &[FONT, home]), Ok(Opaque));
    assert_eq!(tainting(RequestMode::Navigate, &[FONT]), Ok(Basic));
    assert_eq!(tainting(RequestMode::NoCors, &["data:,x"]), Ok(Basic));
    assert_eq!(
        tainting(RequestMode::SameOrigin, &[FONT]),
        Err(BlockedReason::CrossOriginForSameOrigin)
    );
    assert_eq!(
        tainting(RequestMode::Cors, &["ftp://x.test/"]),
        Err(BlockedReason::NotHttp)
    );
    let manual = RequestHead {
        redirect: RedirectMode::Manual,
        ..request(RequestMode::NoCors)
    };
    assert_eq!(
        response_tainting(&manual),
        Err(BlockedReason::NoCorsNotFollow)
    );
}

#[test]
fn the_network_is_filtered_by_tainting() {
    let from_network = |request: &RequestHead, headers: &[_]| {
        filter_network(request, answer(ResponseType::Default, headers))
    };
    let home = RequestHead {
        url_list: vec![url("https://acme.com/a")],
        ..request(RequestMode::Cors)
    };
    let basic = from_network(&home, &[("set-cookie", "a=b"), ("x-one", "1")]).unwrap();
    assert_eq!(basic.response_type, ResponseType::Basic);
    assert_eq!(basic.url_list, home.url_list);
    assert!(basic.timing_allow_passed);
    assert_eq!(basic.visible_headers().len(), 1);

    let opaque = from_network(&request(RequestMode::NoCors), &[]).unwrap();
    assert_eq!(opaque.response_type, ResponseType::Opaque);
    let cors = from_network(&request(RequestMode::Cors), &[ALLOW_ALL]).unwrap();
    assert_eq!(cors.response_type, ResponseType::Cors);
    assert_eq!(
        from_network(&request(RequestMode::Cors), &[]),
        Err(CorsError::NoAllowOrigin.into())
    );
    assert_eq!(
        filter_network(&home, ResponseHead::network_error()),
        Err(BlockedReason::NetworkError)
    );
}

#[test]
fn a_partial_response_from_the_network_is_an_error_only_if_a_worker_asked_for_it() {
    let partial = |range_requested| ResponseHead {
        status: StatusCode::PARTIAL_CONTENT,
        range_requested,
        ..answer(ResponseType::Opaque, &[])
    };
    let no_cors = request(RequestMode::NoCors);
    assert_eq!(
        filter_own(&no_cors, partial(true)),
        Err(BlockedReason::UnrequestedRange)
    );
    assert!(filter_own(&no_cors, partial(false)).is_ok());
    let mut ranged = no_cors;
    ranged
        .headers
        .insert("range", HeaderValue::from_static("bytes=0-"));
    assert!(filter_own(&ranged, partial(true)).is_ok());
}

#[test]
fn the_own_workers_answer_is_checked_by_type_and_mode() {
    use BlockedReason::*;
    let home = |mode| RequestHead {
        url_list: vec![url("https://acme.com/a")],
        ..request(mode)
    };
    let own = |request: &RequestHead, response_type| {
        filter_own(request, answer(response_type, &[])).map(|shown| shown.response_type)
    };
    use ResponseType as T;
    let table = [
        (home(RequestMode::Cors), T::Error, Err(NetworkError)),
        (
            home(RequestMode::SameOrigin),
            T::Cors,
            Err(CorsForSameOrigin),
        ),
        (home(RequestMode::SameOrigin), T::Basic, Ok(T::Basic)),
        (home(RequestMode::SameOrigin), T::Default, Ok(T::Default)),
        (home(RequestMode::Cors), T::Opaque, Err(OpaqueForReader)),
        (home(RequestMode::Navigate), T::Opaque, Err(OpaqueForReader)),
        (home(RequestMode::NoCors), T::Opaque, Ok(T::Opaque)),
        (
            home(RequestMode::Cors),
            T::OpaqueRedirect,
            Err(OpaqueRedirectNotManual),
        ),
        // No CORS check on what the own worker answers.
        (request(RequestMode::Cors), T::Default, Ok(T::Default)),
        (request(RequestMode::Cors), T::Cors, Ok(T::Cors)),
        // A worker may answer a cross-origin image with a same-origin one, and it stays readable.
        (request(RequestMode::NoCors), T::Basic, Ok(T::Basic)),
    ];
    for (request, response_type, expected) in table {
        let case = format!("{} {response_type:?}", request.mode);
        assert_eq!(own(&request, response_type), expected, "{case}");
    }
}

#[test]
fn the_own_workers_redirected_answer_needs_redirect_mode_follow() {
    let redirected = || ResponseHead {
        url_list: vec![url("https://acme.com/a"), url("https://acme.com/b")],
        ..answer(ResponseType::Basic, &[])
    };
    let asked = |redirect| RequestHead {
        redirect,
        url_list: vec![url("https://acme.com/a")],
        ..request(RequestMode::Navigate)
    };
    for redirect in [RedirectMode::Error, RedirectMode::Manual] {
        let blocked = filter_own(&asked(redirect), redirected());
        assert_eq!(blocked, Err(BlockedReason::RedirectedNotFollow));
    }
    assert!(filter_own(&asked(RedirectMode::Follow), redirected()).is_ok());
}

#[test]
fn the_own_workers_opaque_answer_must_let_itself_be_embedded() {
    let answer = |value| ResponseHead {
        url_list: vec![url("https://other.test/x")],
        ..answer(
            ResponseType::Opaque,
            &[("cross-origin-resource-policy", value)],
        )
    };
    let request = RequestHead {
        url_list: vec![url("https://acme.com/a")],
        ..request(RequestMode::NoCors)
    };
    assert_eq!(
        filter_own(&request, answer("same-origin")),
        Err(ResourcePolicyBlocked::SameOrigin.into())
    );
    assert!(filter_own(&request, answer("cross-origin")).is_ok());
}

#[test]
fn a_request_without_any_url_gets_an_error_and_no_panic() {
    for mode in [RequestMode::Cors, RequestMode::NoCors] {
        let request = RequestHead {
            url_list: vec![],
            ..request(mode)
        };
        for response_type in [
            ResponseType::Default,
            ResponseType::Opaque,
            ResponseType::Cors,
        ] {
            assert!(refilter(&request, answer(response_type, &[ALLOW_ALL])).is_err());
            assert!(filter_own(&request, answer(response_type, &[])).is_err());
            assert!(filter_network(&request, answer(response_type, &[])).is_err());
        }
    }
}

#[test]
fn nothing_that_cannot_fall_through_is_answered_by_a_fall_through_worker() {
    let home = RequestHead {
        url_list: vec![url("https://acme.com/a")],
        ..request(RequestMode::Cors)
    };
    for request in [
        home,
        request(RequestMode::Navigate),
        request(RequestMode::WebSocket),
    ] {
        let blocked = refilter(&request, answer(ResponseType::Default, &[ALLOW_ALL]));
        assert_eq!(blocked, Err(BlockedReason::NoFallThrough));
    }
}

#[test]
fn a_navigation_gets_its_redirect_to_handle_itself() {
    let navigation = RequestHead {
        redirect: RedirectMode::Manual,
        destination: Destination::Document,
        ..request(RequestMode::Navigate)
    };
    let redirect = || ResponseHead {
        status: StatusCode::FOUND,
        ..answer(ResponseType::Default, &[("location", "/x")])
    };
    let from_network = filter_network(&navigation, redirect()).unwrap();
    assert_eq!(from_network.response_type, ResponseType::Basic);
    let from_own = filter_own(&navigation, redirect()).unwrap();
    assert_eq!(from_own.response_type, ResponseType::Default);
    assert_eq!(from_own.headers["location"], "/x");
    // The same request, fetched by the script of a worker, navigates nothing.
    let fetched = RequestHead {
        destination: Destination::None,
        ..navigation
    };
    let hidden = filter_network(&fetched, redirect()).unwrap();
    assert_eq!(hidden.response_type, ResponseType::OpaqueRedirect);
}

#[test]
fn a_redirect_that_a_script_made_has_no_url_for_who_follows_it() {
    let asked = |redirect| RequestHead {
        redirect,
        ..request(RequestMode::SameOrigin)
    };
    let made = || ResponseHead {
        status: StatusCode::FOUND,
        url_list: Vec::new(),
        ..answer(ResponseType::Default, &[("location", "x")])
    };
    let home = |redirect| RequestHead {
        origin: Origin::of(asked(redirect).url()),
        ..asked(redirect)
    };
    let followed = filter_own(&home(RedirectMode::Follow), made()).unwrap();
    assert_eq!(followed.url(), None);
    let manual = filter_own(&home(RedirectMode::Manual), made()).unwrap();
    assert_eq!(manual.url_list, home(RedirectMode::Manual).url_list);
}
