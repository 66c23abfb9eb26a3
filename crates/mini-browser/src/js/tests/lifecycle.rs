//! Evaluation, listeners, lifetimes of events.

use service_worker::types::{
    ClientId, ClientNotice, EventType, EventTypes, FetchHandler, Origin, WorkerState, WorkerType,
};
use service_worker::{ConnectDetail, EventDetail, EventOutcome, HostCommand, HostEvent};
use url::Url;

use super::stand::{Stand, registration_view, worker_view};

fn snapshot(source: &str) -> (EventTypes, FetchHandler) {
    match Stand::start(source).next() {
        HostEvent::Started {
            event_types,
            fetch_handler,
            ..
        } => (event_types, fetch_handler),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_listeners_of_the_first_evaluation_are_told() {
    let types = |types: &[EventType]| types.iter().copied().collect::<EventTypes>();
    let (event_types, handler) = snapshot(
        "addEventListener('install', () => {}); self.onconnect = () => {}; addEventListener('x', () => {});",
    );
    assert_eq!(
        event_types,
        types(&[EventType::Install, EventType::Connect])
    );
    assert_eq!(handler, FetchHandler::None);
    let (event_types, _) = snapshot(
        "const f = () => {}; addEventListener('install', f); removeEventListener('install', f); onfetch = f; onfetch = null;",
    );
    assert_eq!(event_types, EventTypes::NONE);
}

#[test]
fn fetch_listeners_with_empty_bodies_are_told_from_others() {
    for empty in [
        "addEventListener('fetch', () => {});",
        "addEventListener('fetch', function (event) { /* nothing */ });",
        "onfetch = async event => { };",
        "({ fetch(event) { // later\n } }).fetch.name; self.onfetch = ({ fetch(event) { // later\n } }).fetch;",
    ] {
        assert_eq!(snapshot(empty).1, FetchHandler::Empty, "{empty}");
    }
    for present in [
        "addEventListener('fetch', () => {}); addEventListener('fetch', (e) => e.respondWith(1));",
        "addEventListener('fetch', { handleEvent() {} });",
        "onfetch = (x = {}) => x.f = () => {};",
        "onfetch = () => self.onfetch = () => {};",
    ] {
        assert_eq!(snapshot(present).1, FetchHandler::Present, "{present}");
    }
}

#[test]
fn listeners_that_are_added_later_are_told() {
    let mut stand = Stand::started("oninstall = () => { onpush = () => {}; };");
    let install = stand.dispatch(EventDetail::Install);
    match stand.next() {
        HostEvent::ListenersChanged { event_types, .. } => {
            assert!(event_types.contains(EventType::Push));
            assert!(event_types.contains(EventType::Install));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(stand.next(), HostEvent::Settled { event, .. } if event == install));
}

#[test]
fn an_event_without_listeners_is_over_at_once() {
    let mut stand = Stand::started("");
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
}

#[test]
fn install_waits_for_its_lifetime_promises_and_those_added_meanwhile() {
    let mut stand = Stand::started(
        "oninstall = (event) => {
            event.waitUntil((async () => {
                await new Promise((done) => setTimeout(done, 5));
                event.waitUntil(new Promise((done) => setTimeout(done, 5)).then(() => console.log('second')));
                console.log('first');
            })());
        };",
    );
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
    assert_eq!(stand.lines.all(), ["info: first", "info: second"]);
}

#[test]
fn a_rejected_lifetime_promise_fails_the_event_and_says_why() {
    let mut stand = Stand::started(
        "oninstall = (event) => {
            event.waitUntil(Promise.resolve());
            event.waitUntil(Promise.reject(new Error('no font')));
        };",
    );
    match stand.install() {
        EventOutcome::Rejected(why) => {
            assert_eq!(why, "https://fonts.example.com/sw.js:3:48: Error: no font");
        }
        EventOutcome::Fulfilled => panic!("fulfilled"),
    }
    assert_eq!(
        stand.lines.all(),
        [
            "error: install event: a promise of waitUntil was rejected: https://fonts.example.com/sw.js:3:48: Error: no font"
        ]
    );
}

#[test]
fn a_listener_that_throws_does_not_fail_its_event() {
    let mut stand = Stand::started("oninstall = () => { throw new TypeError('oops'); };");
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
    assert_eq!(
        stand.lines.all(),
        ["error: Uncaught https://fonts.example.com/sw.js:1:31: TypeError: oops"]
    );
}

#[test]
fn wait_until_is_refused_once_the_event_is_over() {
    let mut stand = Stand::started(
        "let kept;
        oninstall = (event) => {
            kept = event;
            // A microtask after the last promise settled, the event is still active.
            event.waitUntil(Promise.resolve().then(() => event.waitUntil(Promise.resolve())));
        };
        onactivate = () => {
            for (const event of [kept, new ExtendableEvent('install')]) {
                try { event.waitUntil(1); } catch (e) { console.log(e.name, e instanceof DOMException, e.code); }
            }
        };",
    );
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
    stand.dispatch(EventDetail::Activate);
    assert!(matches!(stand.next(), HostEvent::Settled { .. }));
    assert_eq!(stand.lines.all(), ["info: InvalidStateError true 11"; 2]);
}

#[test]
fn fall_through_prefixes_are_accepted_only_while_install_is_dispatched() {
    let mut stand = Stand::started(
        "oninstall = (event) => {
            event.handleFallThroughRequests(['/font/', 'css'], { origins: ['https://a.example'] });
            event.handleFallThroughRequests(['/x']);
            const log = (e) => console.log(e.constructor.name, e.name);
            try { event.handleFallThroughRequests(['https://other.example/']); } catch (e) { log(e); }
            try { event.handleFallThroughRequests('/font/'.length); } catch (e) { log(e); }
            try { new InstallEvent('install').handleFallThroughRequests(['/']); } catch (e) { log(e); }
            event.waitUntil(new Promise((done) => setTimeout(done, 1)).then(() => {
                try { event.handleFallThroughRequests(['/late']); } catch (e) { log(e); }
            }));
        };",
    );
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
    assert_eq!(
        stand.lines.all(),
        [
            "info: TypeError TypeError",
            "info: TypeError TypeError",
            "info: DOMException InvalidStateError",
            "info: DOMException InvalidStateError",
        ]
    );
    assert_eq!(
        *stand.facade.asked.lock().unwrap(),
        [
            r#"EventId-101 falls through ["/font/", "css"] Some(["https://a.example"])"#,
            r#"EventId-101 falls through ["/x"] None"#,
            r#"EventId-101 falls through ["https://other.example/"] None"#,
        ]
    );
}

#[test]
fn skip_waiting_claim_and_registration_reach_the_facade() {
    let mut stand = Stand::started(
        "oninstall = (event) => event.waitUntil((async () => {
            console.log(await skipWaiting());
            try { await clients.claim(); } catch (e) { console.log(e.name, e.message); }
            const [client] = await clients.matchAll({ includeUncontrolled: true });
            console.log(client instanceof WindowClient, client.type, client.frameType, client.url, client.id.length);
            client.postMessage({ greeting: 'hello' });
            console.log(await clients.get('no such client'), (await clients.get(client.id)).url === client.url);
            try { importScripts('x.js'); } catch (e) { console.log(e.name); }
            console.log(registration.scope, registration.installing === serviceWorker, serviceWorker.state);
            console.log(registration === self.registration, await registration.update() === registration);
            console.log(await registration.unregister());
        })());",
    );
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
    assert_eq!(
        stand.lines.all(),
        [
            "info: undefined",
            "info: InvalidStateError not active",
            "info: true window top-level https://fonts.example.com/page 36",
            "info: undefined true",
            "info: NetworkError",
            "info: https://fonts.example.com/ true installing",
            "info: true true",
            "info: true",
        ]
    );
}

#[test]
fn a_notice_changes_the_workers_own_state() {
    let mut stand = Stand::started(
        "serviceWorker.onstatechange = (e) => console.log(e.target.state, registration.active === serviceWorker);",
    );
    let worker = worker_view(7, WorkerState::Activating);
    let notice = ClientNotice::StateChanged {
        worker: worker.id,
        state: worker.state,
        registration: service_worker::types::RegistrationView {
            active: Some(worker),
            ..registration_view()
        },
    };
    // Nobody asked for the registration yet: `registration` is made from what the notice says.
    stand.host.command(
        HostCommand::Notify {
            client: ClientId(1),
            notice: Box::new(notice),
        },
        None,
    );
    assert_eq!(stand.install(), EventOutcome::Fulfilled);
    assert_eq!(stand.lines.all(), ["info: activating true"]);
}

#[test]
fn a_connection_is_accepted_and_its_event_dispatched() {
    let mut stand = Stand::started(
        "onconnect = (event) => {
            console.log(event.origin, event.targetURL, event instanceof ConnectionEvent);
            event.acceptConnection(true);
        };",
    );
    stand.dispatch(EventDetail::Connect(Box::new(ConnectDetail {
        event_type: EventType::Connect,
        origin: Origin::of(&Url::parse("https://a.example").unwrap()),
        target_url: Url::parse("https://fonts.example.com/x").unwrap(),
        client_url: None,
        request: None,
    })));
    let mut said = [stand.next(), stand.next()].map(|event| match event {
        HostEvent::Accepted { port: Some(_), .. } => "accepted",
        HostEvent::Settled { .. } => "settled",
        other => panic!("{other:?}"),
    });
    said.sort_unstable();
    assert_eq!(said, ["accepted", "settled"]);
    assert_eq!(
        stand.lines.all(),
        ["info: https://a.example https://fonts.example.com/x true"]
    );
}

#[test]
fn a_module_worker_runs_and_one_whose_import_fails_says_why() {
    let start = |source: &str| Stand::start_as(source, WorkerType::Module, |_| ());
    assert!(matches!(
        start("const strict = (function () { return this; })(); if (strict) throw 1; onfetch = () => 1;").next(),
        HostEvent::Started { fetch_handler: FetchHandler::Present, .. }
    ));
    assert_eq!(
        start("import x from './x.js';").start_failure(),
        "https://fonts.example.com/sw.js: TypeError: Failed to fetch module https://fonts.example.com/x.js: https://fonts.example.com/x.js is not there"
    );
    assert!(
        start("import { op_random } from 'ops';")
            .start_failure()
            .contains("Failed to resolve module specifier")
    );
    assert!(
        start("import 'prelude:url.js';")
            .start_failure()
            .contains("Failed to resolve module specifier")
    );
    assert_eq!(
        start("await new Promise(() => {});").start_failure(),
        "https://fonts.example.com/sw.js: TypeError: a service worker's module may not use top-level await"
    );
    assert_eq!(
        start("\n  throw new Error('top');").start_failure(),
        "https://fonts.example.com/sw.js:2:13: Error: top"
    );
}
