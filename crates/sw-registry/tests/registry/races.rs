//! The races that the specification's readers have stumbled over, one test each.

use std::time::Duration;

use sw_registry::{EventOutcome, Settled};
use sw_types::{WorkerId, WorkerState};

use crate::harness::{Host, key, script, url};

fn rejected() -> EventOutcome {
    EventOutcome::Rejected("no".to_owned())
}

#[test]
fn two_registers_of_one_scope_of_which_the_first_fails_to_install() {
    let mut host = Host::new();
    host.serve("/other.js", script("2"));
    host.hold.events = true;
    let first = host.register("/", "/sw.js");
    let second = host.register("/", "/other.js");
    let failed = host.registered(first);
    assert_eq!(host.result(second), None, "one job runs for each scope");
    host.release_event(rejected());
    let id = host.registered(second);
    assert_ne!(id, failed, "what failed left nothing behind");
    host.release_event(EventOutcome::Fulfilled);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
    assert!(host.registry.registration(failed).is_none());
}

#[test]
fn an_unregister_during_an_update_comes_after_it() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    host.serve("/sw.js", script("2"));
    host.hold.fetch = true;
    let update = host.update(id);
    let unregister = host.unregister(id);
    assert_eq!(host.result(unregister), None);
    host.release_fetch();
    assert_eq!(host.registered(update), id);
    assert_eq!(
        host.result(unregister),
        Some(&Ok(Settled::Unregistered(true)))
    );
    assert!(host.registry.registrations_of(&key()).is_empty());
    assert_eq!(host.store.registrations().count(), 0);
}

#[test]
fn a_registration_that_is_unregistered_in_use_is_not_brought_back() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.unregister(id);
    let again = host.register("/", "/sw.js");
    let next = host.registered(again);
    assert_ne!(next, id);
    let controller = host.lookup.controller(client).unwrap();
    assert_eq!(controller.active.as_ref().unwrap().id, worker);
    let found = host.lookup.match_registration(&key(), &url("/")).unwrap();
    assert_eq!(found.id, next);
}

#[test]
fn a_first_register_that_fails_leaves_nothing_behind() {
    for outcome in ["fetch", "start", "install", "store"] {
        let mut host = Host::new();
        match outcome {
            "fetch" => host.scripts.clear(),
            "start" => host.start_error = Some("it threw".to_owned()),
            "install" => host.install_outcome = rejected(),
            _ => host.store_fails = true,
        }
        host.register("/", "/sw.js");
        host.store_fails = false;
        assert!(
            host.registry.registrations_of(&key()).is_empty(),
            "{outcome}"
        );
        let found = host.lookup.match_registration(&key(), &url("/"));
        assert!(found.is_none(), "{outcome}");
        assert_eq!(host.store.registrations().count(), 0, "{outcome}");
        host.pass(Duration::from_secs(60));
        assert!(host.running.is_empty(), "{outcome}");
    }
}

#[test]
fn a_claim_while_activating_takes_clients_before_the_worker_is_activated() {
    let mut host = Host::new();
    let client = host.client("/");
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.release_event(EventOutcome::Fulfilled);
    let active = host.view(id).active.unwrap();
    assert_eq!(active.state, WorkerState::Activating);
    host.drain_log();
    let claim = host.claim(active.id);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.result(claim), Some(&Ok(Settled::Done)));
    let told: Vec<String> = host
        .drain_log()
        .into_iter()
        .filter(|line| line.starts_with(&format!("{client}: ")))
        .collect();
    let worker = active.id;
    let expected = [
        format!("{client}: controllerchange {worker}"),
        format!("{client}: {worker} activated"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn skip_waiting_with_an_event_in_flight_waits_for_that_event() {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.serve("/sw.js", script("2"));
    host.busy.insert(old, host.now.instant);
    host.update(id);
    let waiting = host.view(id).waiting.unwrap().id;
    let skip = host.skip_waiting(waiting);
    assert_eq!(host.result(skip), Some(&Ok(Settled::Done)));
    assert_eq!(host.active(id), old);
    host.idle(old);
    assert_eq!(host.active(id), waiting);
}

#[test]
fn a_client_that_is_discarded_while_its_job_waits_takes_its_promise_only() {
    let mut host = Host::new();
    host.hold.fetch = true;
    host.register("/", "/sw.js");
    let client = host.client("/");
    host.serve("/other.js", script("2"));
    let register = Host::registering(Some(client), "/", "/other.js");
    let promise = host.register_with(register);
    host.gone(client);
    assert!(host.error(promise).starts_with("AbortError"));
    host.release_fetch();
    host.release_fetch();
    let [view] = &host.registry.registrations_of(&key())[..] else {
        panic!("one registration");
    };
    let active = view.active.as_ref().unwrap();
    assert!(active.script_url.as_str().ends_with("/other.js"));
}

#[test]
fn an_idle_timeout_that_fires_as_an_event_begins_loses_neither() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.hold.stop = true;
    host.pass(Duration::from_secs(31));
    assert_eq!(host.held.stops, [worker]);
    // Told that it stops; the event comes at that moment.
    let wake = host.wake(id);
    assert_eq!(host.result(wake), None);
    host.release_stop();
    assert_eq!(host.result(wake), Some(&Ok(Settled::Running(worker))));
    // Sent an event before it could be stopped: it runs on.
    host.pass(Duration::from_secs(31));
    host.busy.insert(worker, host.now.instant);
    host.idle(worker);
    host.release_stop();
    let again = host.wake(id);
    assert_eq!(host.result(again), Some(&Ok(Settled::Running(worker))));
}

#[test]
fn what_is_unregistered_with_a_version_waiting_goes_without_activating_it() {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.serve("/sw.js", script("2"));
    host.update(id);
    let waiting = host.view(id).waiting.unwrap().id;
    host.busy.insert(old, host.now.instant);
    host.unregister(id);
    host.gone(client);
    host.drain_log();
    host.idle(old);
    let log = host.drain_log();
    assert!(host.registry.registration(id).is_none());
    assert!(!log.contains(&format!("Activate {waiting}")), "{log:?}");
}

/// A worker is to be stopped for idleness, and has been sent an event at that moment. That is heard
/// of later than what else would end it.
fn stopping_and_busy(host: &mut Host, worker: WorkerId) {
    host.hold.stop = true;
    host.pass(Duration::from_secs(31));
    assert_eq!(host.held.stops.pop_front(), Some(worker));
    host.busy.insert(worker, host.now.instant);
}

#[test]
fn a_worker_that_runs_on_instead_of_stopping_serves_who_waited_for_it_to_start_again() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    stopping_and_busy(&mut host, worker);
    let (run, woken) = (host.run(worker), host.wake(id));
    assert_eq!(
        [run, woken].map(|it| host.result(it).cloned()),
        [None, None]
    );
    host.tells_activity(worker);
    for promise in [run, woken] {
        assert_eq!(host.result(promise), Some(&Ok(Settled::Running(worker))));
    }
}

#[test]
fn a_waiting_worker_that_runs_on_instead_of_stopping_is_given_its_activate_event() {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.pass(Duration::from_secs(31));
    assert!(!host.running.contains(&old));
    host.serve("/sw.js", script("2"));
    host.update(id);
    let waiting = host.view(id).waiting.unwrap().id;
    stopping_and_busy(&mut host, waiting);
    host.gone(client);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activating);
    host.tells_activity(waiting);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
}

#[test]
fn an_event_that_keeps_the_active_worker_from_stopping_is_waited_for() {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.serve("/sw.js", script("2"));
    host.update(id);
    let waiting = host.view(id).waiting.unwrap().id;
    host.hold.stop = true;
    host.pass(Duration::from_secs(31));
    assert!(host.held.stops.contains(&old));
    host.held.stops.clear();
    host.busy.insert(old, host.now.instant);
    host.skip_waiting(waiting);
    assert_eq!(host.active(id), old);
    host.idle(old);
    assert_eq!(host.active(id), waiting);
}

#[test]
fn an_event_that_keeps_a_worker_from_stopping_keeps_its_unregistered_registration() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    stopping_and_busy(&mut host, worker);
    host.unregister(id);
    assert!(host.registry.registration(id).is_some());
    host.tells_activity(worker);
    assert!(host.registry.registration(id).is_some());
    host.idle(worker);
    assert!(host.registry.registration(id).is_none());
}

#[test]
fn a_worker_that_stops_for_idleness_does_not_hold_up_what_waits_for_that() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.hold.stop = true;
    host.pass(Duration::from_secs(31));
    assert_eq!(host.held.stops, [worker]);
    host.unregister(id);
    assert!(host.registry.registration(id).is_some());
    host.release_stop();
    assert!(host.registry.registration(id).is_none());
}
