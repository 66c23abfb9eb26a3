//! The rules of `respondWith`.

use service_worker::types::fetch::{ReferrerPolicy, RequestHead};
use service_worker::types::{ClientId, Origin};
use service_worker::{Body, FetchAnswer};
use url::Url;

use super::stand::{Stand, answer, is_over, wait};
use crate::js::client_ids;

const FONT: &str = "https://fonts.example.com/font/css?x=1";

fn one(listener: &str) -> (FetchAnswer, Vec<String>) {
    let mut stand = Stand::started(&format!(
        "addEventListener('fetch', (event) => {{ {listener} }});"
    ));
    let (answered, over) = stand.fetch(FONT);
    let answered = answer(answered).unwrap();
    assert!(is_over(&over));
    (answered, stand.lines.all())
}

#[test]
fn a_response_is_answered_with_its_head_and_body() {
    let (answered, _) = one(
        "event.respondWith(new Response('body { }', { status: 203, statusText: 'So', headers: { 'x-a': 'é' } }));",
    );
    let FetchAnswer::Response(response) = answered else {
        panic!("{answered:?}");
    };
    assert_eq!(response.head.status, 203);
    assert_eq!(response.head.status_text, "So");
    assert_eq!(response.head.headers["x-a"].as_bytes(), [0xe9]);
    assert_eq!(wait(response.body.collect(100)).unwrap(), "body { }");
}

#[test]
fn the_event_shows_its_request() {
    let (_, lines) = one(
        "const { method, url, mode } = event.request;
        console.log(method, url, mode, /^[\\da-f]{8}-[\\da-f]{4}-4[\\da-f]{3}-[89ab][\\da-f]{3}-[\\da-f]{12}$/.test(event.clientId), event.resultingClientId === '', event.isFallThrough, event.origin === '', event.cancelable, event.isTrusted);
        event.preloadResponse.then((response) => console.log(response));",
    );
    assert_eq!(
        lines,
        [
            "info: GET https://fonts.example.com/font/css?x=1 no-cors true true true true true true",
            "info: undefined"
        ]
    );
}

#[test]
fn the_body_of_a_request_is_shown() {
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(event.request.text().then((text) => new Response(text)));",
    );
    let mut head = RequestHead::get(Url::parse(FONT).unwrap(), Origin::opaque(1));
    head.has_body = true;
    let (answered, _) = stand.fetch_head(head, Body::from("text=あ"));
    let Some(FetchAnswer::Response(response)) = answer(answered) else {
        panic!();
    };
    assert_eq!(wait(response.body.collect(100)).unwrap(), "text=あ");
}

#[test]
fn an_event_that_is_not_answered_falls_through() {
    assert!(matches!(one("").0, FetchAnswer::NotHandled));
    assert!(matches!(one("throw 1;").0, FetchAnswer::NotHandled));
    assert!(matches!(
        one("event.preventDefault();").0,
        FetchAnswer::Canceled
    ));
}

#[test]
fn what_is_not_a_usable_response_is_a_failure() {
    let failed = |listener: &str| match one(listener).0 {
        FetchAnswer::Failed(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        failed("event.respondWith(undefined);"),
        "respondWith was given something that is not a Response"
    );
    assert_eq!(
        failed("event.respondWith(Promise.reject(new Error('no')));"),
        "the promise of respondWith was rejected: https://fonts.example.com/sw.js:1:77: Error: no"
    );
    assert_eq!(
        failed("const r = new Response('a'); r.text(); event.respondWith(r);"),
        "respondWith was given a Response whose body is used already"
    );
}

#[test]
fn respond_with_counts_once_stops_propagation_and_ends_with_dispatch() {
    let mut stand = Stand::started(
        "let kept;
        const attempt = (event) => { try { event.respondWith(new Response('late')); } catch (e) { console.log(e.name); } };
        addEventListener('fetch', (event) => { kept = event; event.respondWith(new Response('first')); attempt(event); });
        addEventListener('fetch', () => console.log('never'));
        onactivate = () => { attempt(kept); attempt(new FetchEvent('fetch', { request: kept.request })); };",
    );
    let (answered, over) = stand.fetch(FONT);
    assert!(matches!(answer(answered), Some(FetchAnswer::Response(_))));
    assert!(is_over(&over));
    stand.dispatch(service_worker::EventDetail::Activate);
    stand.next();
    assert_eq!(stand.lines.all(), ["info: InvalidStateError"; 3]);
}

#[test]
fn respond_with_is_in_time_in_a_microtask_and_late_in_a_task() {
    assert!(matches!(
        one("Promise.resolve().then(() => event.respondWith(new Response('')));").0,
        FetchAnswer::Response(_)
    ));
    let (answered, lines) = one("event.waitUntil(new Promise((done) => setTimeout(() => {
            try { event.respondWith(new Response('')); } catch (e) { console.log(e.name); }
            done();
        })));");
    assert!(matches!(answered, FetchAnswer::NotHandled));
    assert_eq!(lines, ["info: InvalidStateError"]);
}

#[test]
fn the_answer_comes_before_the_event_is_over() {
    let mut stand = Stand::started(
        "let finish;
        onfetch = (event) => {
            event.waitUntil(new Promise((done) => { finish = done; }));
            event.respondWith(new Response('now'));
        };
        onactivate = () => finish();",
    );
    let (answered, over) = stand.fetch(FONT);
    let Some(FetchAnswer::Response(response)) = answer(answered) else {
        panic!();
    };
    assert_eq!(wait(response.body.collect(10)).unwrap(), "now");
    assert!(matches!(
        over.try_recv(),
        Err(std::sync::mpsc::TryRecvError::Empty)
    ));
    stand.dispatch(service_worker::EventDetail::Activate);
    assert!(is_over(&over));
}

#[test]
fn handled_settles_as_the_request_was_handled() {
    let (_, lines) = one(
        "event.waitUntil(event.handled.then((x) => console.log('handled', x))); event.respondWith(new Response(''));",
    );
    assert_eq!(lines, ["info: handled undefined"]);
    let (_, lines) = one(
        "event.waitUntil(event.handled.catch((e) => console.log(e.name))); event.respondWith(1);",
    );
    assert_eq!(
        lines,
        [
            "error: fetch event for https://fonts.example.com/font/css?x=1: respondWith was given something that is not a Response",
            "info: TypeError"
        ]
    );
}

#[test]
fn a_worker_that_dies_leaves_its_fetches_unanswered() {
    let mut stand =
        Stand::started("onfetch = (event) => event.respondWith(new Promise(() => {}));");
    let (answered, over) = stand.fetch(FONT);
    assert_eq!(stand.stop(), "idle");
    assert!(answer(answered).is_none());
    assert!(is_over(&over));
}

#[test]
fn the_event_of_a_navigation_says_how_it_came_about() {
    let mut stand = Stand::started(
        "onfetch = (event) => {
            const { request, replacesClientId } = event;
            const copy = new Request(request);
            const changed = new Request(request, { cache: 'reload' });
            const told = ({ referrerPolicy, isReloadNavigation, isHistoryNavigation }) => [referrerPolicy, isReloadNavigation, isHistoryNavigation];
            console.log(JSON.stringify([replacesClientId, told(request), told(copy), told(changed)]));
        };",
    );
    let mut head = RequestHead::get(Url::parse(FONT).unwrap(), Origin::opaque(1));
    head.referrer_policy = ReferrerPolicy::UnsafeUrl;
    head.history_navigation = true;
    head.replaces_client = Some(ClientId(7));
    let (answered, _) = stand.fetch_head(head, Body::empty());
    assert!(matches!(answer(answered), Some(FetchAnswer::NotHandled)));
    assert_eq!(
        stand.lines.all(),
        [format!(
            r#"info: ["{}",["unsafe-url",false,true],["unsafe-url",false,true],["",false,false]]"#,
            client_ids::shown(ClientId(7))
        )]
    );
}
