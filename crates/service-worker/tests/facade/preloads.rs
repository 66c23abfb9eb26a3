//! Navigation preload: what is sent beside the worker's start, and what the worker gets of it.

use std::pin::pin;

use http::{Method, StatusCode};
use service_worker::types::fetch::ResponseType;
use service_worker::types::{ClientId, RegistrationId};
use service_worker::{AnsweredBy, FetchAnswer, Policies};

use crate::fetches::ok;
use crate::stand::{SITE, Stand, navigation, ready, subresource};

const HEADER: &str = "service-worker-navigation-preload";

fn enable(stand: &mut Stand, registration: RegistrationId) {
    let enabled = stand.handle.enable_navigation_preload(registration, true);
    stand.settle("the preload state", enabled).unwrap();
}

#[test]
fn a_navigation_is_fetched_while_its_worker_starts() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, inbox) = stand.activated();
    enable(&mut stand, start.registration.id);
    stand.idle_stop(&start);
    drop(inbox);
    stand.network.serve(SITE, &[], "preloaded");
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    // It has been sent, and the worker does not run yet.
    assert_eq!(stand.network.asked(SITE), 1);
    assert_eq!(stand.network.last_headers()[HEADER], "true");
    let (start, mut inbox) = stand.start();
    stand.started(&start, &[service_worker::types::EventType::Fetch]);
    stand.quiet();
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    assert!(!dispatch.detail.request.headers.contains_key(HEADER));
    let preload = stand.settle("the preload", dispatch.preload.unwrap());
    let preload = preload.unwrap();
    assert_eq!(preload.head.response_type, ResponseType::Basic);
    dispatch.responder.respond(ok(preload.body));
    let fetched = stand.settle("the page", fetched).unwrap();
    let body = stand.settle("its body", fetched.response.body.collect(100));
    assert_eq!(body.unwrap(), "preloaded");
    assert_eq!(stand.network.asked(SITE), 1);
}

#[test]
fn nothing_is_preloaded_unless_it_is_enabled_and_only_for_a_navigation_by_get() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = stand.activated();
    stand.network.serve(SITE, &[], "from the network");
    let get = navigation(&stand, 1, SITE);
    let mut post = navigation(&stand, 2, SITE);
    post.head.method = Method::POST;
    for (request, enabled) in [(get, false), (post, true)] {
        if enabled {
            enable(&mut stand, start.registration.id);
        }
        let mut fetched = pin!(stand.handle.fetch(request));
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        assert!(dispatch.preload.is_none());
        assert_eq!(stand.network.asked(SITE), 0);
        dispatch.responder.respond(ok("hello"));
        stand.settle("the page", fetched).unwrap();
    }
    stand
        .handle
        .host_event(service_worker::HostEvent::ClientReady(ClientId(2)));
    stand.quiet();
    let mut fetched = pin!(stand.handle.fetch(subresource(ClientId(2), SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    assert!(dispatch.preload.is_none());
}

#[test]
fn a_preload_is_redirected_or_fails_as_the_navigation_would_be() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = stand.activated();
    enable(&mut stand, start.registration.id);
    let elsewhere = [("location", "/elsewhere")];
    stand
        .network
        .serve_as(StatusCode::FOUND, SITE, &elsewhere, "");
    let missing = format!("{SITE}missing");
    for (id, url) in [(1, SITE), (2, missing.as_str())] {
        let mut request = navigation(&stand, id, url);
        // It was redirected here.
        let before = crate::stand::url("https://site.test/before");
        request.head.url_list.insert(0, before);
        request.head.redirect = service_worker::types::fetch::RedirectMode::Manual;
        let mut fetched = pin!(stand.handle.fetch(request));
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        match (id, stand.settle("the preload", dispatch.preload.unwrap())) {
            (1, Ok(preload)) => {
                assert_eq!(preload.head.response_type, ResponseType::OpaqueRedirect);
                assert_eq!(preload.head.url_list, [crate::stand::url(SITE)]);
            }
            (2, Err(why)) => assert!(why.contains("refused"), "{why}"),
            (_, preload) => panic!("{url}: {preload:?}"),
        }
        dispatch.responder.respond(ok("hello"));
        stand.settle("the page", fetched).unwrap();
    }
}

#[test]
fn a_preload_goes_on_after_the_answer_until_the_event_is_over() {
    for over in [false, true] {
        let mut stand = Stand::new(Policies::seeds());
        let (start, mut inbox) = stand.activated();
        enable(&mut stand, start.registration.id);
        stand.network.serve(SITE, &[], "preloaded");
        let release = stand.network.hold(SITE);
        let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        dispatch.responder.respond(ok("hello"));
        let fetched = stand.settle("the page", fetched).unwrap();
        assert!(matches!(fetched.answered_by, AnsweredBy::OwnWorker(_)));
        stand.quiet();
        let preload = dispatch.preload.unwrap();
        if over {
            drop(preload);
            stand.until("the abort", |_| release.is_canceled().then_some(()));
        } else {
            release.send(()).unwrap();
            stand.settle("the preload", preload).unwrap();
        }
    }
}

#[test]
fn a_navigation_that_is_aborted_takes_its_preload_along() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = stand.activated();
    enable(&mut stand, start.registration.id);
    let release = stand.network.hold(SITE);
    let mut fetched = Box::pin(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    drop(fetched);
    assert!(release.is_canceled());
    let preload = stand.settle("the preload", dispatch.preload.unwrap());
    assert!(preload.is_err());
}

#[test]
fn a_navigation_that_its_worker_lets_go_is_fetched_without_the_header() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = stand.activated();
    enable(&mut stand, start.registration.id);
    stand.network.serve(SITE, &[], "from the network");
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    dispatch.responder.respond(FetchAnswer::NotHandled);
    let fetched = stand.settle("the page", fetched).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    assert_eq!(stand.network.asked(SITE), 2);
    assert!(!stand.network.last_headers().contains_key(HEADER));
}
