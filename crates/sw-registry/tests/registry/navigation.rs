//! What navigations need of a registration: navigation preload state, and router rules as data.

use http::HeaderValue;
use sw_registry::{EventOutcome, Input, PreloadChange, Settled};
use sw_types::{EncodedRouterRule, EventId, PromiseId, RegistrationId, WorkerId};

use crate::harness::Host;

fn set(host: &mut Host, registration: RegistrationId, change: PreloadChange) -> PromiseId {
    let promise = host.promise();
    host.input(Input::SetNavigationPreload {
        promise,
        registration,
        change,
    });
    promise
}

fn value(host: &Host, id: RegistrationId) -> (bool, HeaderValue) {
    let state = host.registry.navigation_preload(id).unwrap();
    let seen = host.lookup.snapshot(id).unwrap();
    assert_eq!(
        seen.navigation_preload, *state,
        "readers see what the owner has"
    );
    (state.enabled, state.header_value.clone())
}

#[test]
fn navigation_preload_is_off_at_first_and_outlives_a_restart() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    assert_eq!(value(&host, id), (false, HeaderValue::from_static("true")));
    let enabled = set(&mut host, id, PreloadChange::Enabled(true));
    let header = HeaderValue::from_static("dark mode");
    let named = set(&mut host, id, PreloadChange::HeaderValue(header.clone()));
    for promise in [enabled, named] {
        assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    }
    assert_eq!(value(&host, id), (true, header.clone()));
    let mut host = host.restart();
    assert_eq!(value(&host, id), (true, header.clone()));
    set(&mut host, id, PreloadChange::Enabled(false));
    assert_eq!(value(&host, id), (false, header));
}

#[test]
fn navigation_preload_needs_an_active_worker() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    let early = set(&mut host, id, PreloadChange::Enabled(true));
    assert!(host.error(early).starts_with("InvalidStateError"));
    let unknown = set(&mut host, RegistrationId(99), PreloadChange::Enabled(true));
    assert!(host.error(unknown).starts_with("InvalidStateError"));
    assert!(!value(&host, id).0);
}

#[test]
fn a_store_that_refuses_takes_back_the_preload_state() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    host.store_fails = true;
    let refused = set(&mut host, id, PreloadChange::Enabled(true));
    assert_eq!(
        host.error(refused),
        "the store failed: disk full".to_owned()
    );
    assert!(!value(&host, id).0);
}

#[test]
fn a_new_registration_of_the_scope_has_no_preload_state_of_the_former() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    set(&mut host, id, PreloadChange::Enabled(true));
    host.unregister(id);
    let (next, _) = host.activated();
    assert_ne!(next, id);
    assert!(!value(&host, next).0);
}

fn rule(conditions: u32, rule: &'static str) -> EncodedRouterRule {
    EncodedRouterRule {
        conditions,
        rule: rule.into(),
    }
}

fn add(host: &mut Host, worker: WorkerId, event: EventId, rule: EncodedRouterRule) -> PromiseId {
    let promise = host.promise();
    host.input(Input::AddRoutes {
        promise,
        worker,
        event,
        rules: vec![rule],
    });
    promise
}

#[test]
fn routes_are_added_while_the_install_event_is_handled_and_outlive_a_restart() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    let (worker, event, _) = host.held.events[0];
    let first = add(&mut host, worker, event, rule(1, "a"));
    let second = add(&mut host, worker, event, rule(2, "b"));
    let elsewhere = add(&mut host, worker, EventId(99), rule(1, "c"));
    for promise in [first, second] {
        assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    }
    assert!(host.error(elsewhere).starts_with("InvalidStateError"));
    let both = [rule(1, "a"), rule(2, "b")];
    assert_eq!(host.registry.router_rules(worker).unwrap()[..], both);
    host.release_event(EventOutcome::Fulfilled);
    let late = add(&mut host, worker, event, rule(1, "d"));
    assert!(host.error(late).starts_with("InvalidStateError"));
    host.release_event(EventOutcome::Fulfilled);
    let rules = |host: &Host| {
        let active = host.lookup.snapshot(id).unwrap().active.clone();
        active.unwrap().router_rules
    };
    assert_eq!(rules(&host)[..], both);
    assert_eq!(rules(&host.restart())[..], both);
}

#[test]
fn too_many_conditions_add_none_of_the_routes() {
    let mut host = Host::new();
    host.hold.events = true;
    host.register("/", "/sw.js");
    let (worker, event, _) = host.held.events[0];
    let most = add(&mut host, worker, event, rule(1024, "a"));
    assert_eq!(host.result(most), Some(&Ok(Settled::Done)));
    for conditions in [1, u32::MAX] {
        let more = add(&mut host, worker, event, rule(conditions, "b"));
        assert!(host.error(more).starts_with("TypeError"));
    }
    let rules = host.registry.router_rules(worker).unwrap();
    assert_eq!(rules[..], [rule(1024, "a")]);
}
