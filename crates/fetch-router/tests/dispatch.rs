//! What a fall-through worker is shown, and what it is not.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use fetch_router::{
    CorsError, ResponseTainting, cors_check, fall_through_dispatch, response_tainting,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sw_types::fetch::{CredentialsMode, LookAside, RequestHead, RequestMode, ServiceWorkersMode};
use sw_types::{ClientId, Environment, Origin, Site};
use url::Url;

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

fn page() -> Environment {
    Environment::top_level(ClientId(1), url("https://www.acme.com/page?secret"))
}

fn request(mode: RequestMode) -> RequestHead {
    let page = page();
    RequestHead {
        mode,
        referrer: Some(page.creation_url.clone()),
        ..RequestHead::get(url("https://fonts.example.com/font?a=b#part"), page.origin)
    }
}

#[test]
fn the_fragment_and_earlier_urls_are_not_shown() {
    let mut request = request(RequestMode::Cors);
    request
        .url_list
        .insert(0, url("https://redirector.test/token"));
    let shown = fall_through_dispatch(&request, &page()).request;
    assert_eq!(shown.url_list, [url("https://fonts.example.com/font?a=b")]);
}

#[test]
fn the_origin_is_shown_in_cors_mode_only() {
    let shown = |mode| fall_through_dispatch(&request(mode), &page());
    let cors = shown(RequestMode::Cors);
    assert_eq!(cors.origin, "https://www.acme.com");
    assert_eq!(cors.request.referrer, Some(url("https://www.acme.com/")));
    let no_cors = shown(RequestMode::NoCors);
    assert_eq!(no_cors.origin, "");
    assert_eq!(no_cors.request.referrer, None);
}

#[test]
fn a_tainted_origin_is_shown_as_null_and_keeps_its_referrer_to_itself() {
    let request = RequestHead {
        tainted_origin: true,
        ..request(RequestMode::Cors)
    };
    let shown = fall_through_dispatch(&request, &page());
    assert_eq!(shown.origin, "null");
    assert_eq!(shown.request.serialized_origin(), "null");
    assert_eq!(shown.request.referrer, None);
}

#[test]
fn credentials_are_omitted_unless_the_page_asked_for_them() {
    use CredentialsMode::{Include, Omit, SameOrigin};
    for (asked, shown) in [(Include, Include), (SameOrigin, Omit), (Omit, Omit)] {
        let request = RequestHead {
            credentials: asked,
            ..request(RequestMode::Cors)
        };
        let dispatch = fall_through_dispatch(&request, &page());
        assert_eq!(dispatch.request.credentials, shown);
    }
}

#[test]
fn the_request_stands_for_its_requester_and_belongs_to_the_service() {
    let shown = fall_through_dispatch(&request(RequestMode::Cors), &page()).request;
    assert_eq!(shown.origin, Origin::of(&url("https://fonts.example.com")));
    assert_eq!(response_tainting(&shown), Ok(ResponseTainting::Basic));
    assert_eq!(shown.serialized_origin(), "https://www.acme.com");
    assert_eq!(shown.service_workers, ServiceWorkersMode::Foreign);
    let requester = shown.requester.unwrap();
    assert_eq!(requester.site.as_str(), "https://acme.com");
}

#[test]
fn a_requester_stays_the_same_through_a_second_service() {
    let first = fall_through_dispatch(&request(RequestMode::Cors), &page()).request;
    let redirected = RequestHead {
        url_list: vec![first.url().clone(), url("https://images.test/a")],
        ..first
    };
    let service = Environment::top_level(ClientId(2), url("https://fonts.example.com/sw.js"));
    let second = fall_through_dispatch(&redirected, &service);
    assert_eq!(second.origin, "https://www.acme.com");
    assert_eq!(second.request.requester, redirected.requester);
    assert_eq!(
        cors_check(&second.request, &HeaderMap::new()),
        Err(CorsError::NoAllowOrigin)
    );
}

#[test]
fn under_a_cross_site_frame_there_is_no_site_for_cookies() {
    let frame = Environment {
        cross_site_ancestor: true,
        ..page()
    };
    let shown = fall_through_dispatch(&request(RequestMode::NoCors), &frame).request;
    let site: Site = shown.requester.unwrap().site;
    assert_eq!(site.as_str(), "null");
}

#[test]
fn what_is_not_safelisted_never_leaves_whatever_the_caller_let_through() {
    let mut request = RequestHead {
        look_aside: LookAside::Universal,
        shift_reload: true,
        ..request(RequestMode::NoCors)
    };
    for (name, value) in [("cookie", "a=b"), ("accept", "*/*"), ("authorization", "x")] {
        let name = HeaderName::from_static(name);
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
    }
    let shown = fall_through_dispatch(&request, &page()).request;
    assert_eq!(shown.headers.keys().collect::<Vec<_>>(), ["accept"]);
    assert_eq!(shown.look_aside, LookAside::Default);
    assert!(!shown.shift_reload);
}

#[test]
fn a_request_without_any_url_is_no_panic() {
    let mut request = request(RequestMode::Cors);
    request.url_list.clear();
    assert!(
        fall_through_dispatch(&request, &page())
            .request
            .url_list
            .is_empty()
    );
}
