//! *Install*, *Try Activate*, *Activate*, clients.

use std::time::Duration;

use sw_registry::{EventOutcome, Input, Provenance, Report, Settled, SiteData};
use sw_types::{
    ClientId, ClientType, Environment, EventId, EventTypes, FallThroughRule, RequesterFilter,
    UpdateViaCache, WorkerId, WorkerState,
};

use crate::harness::{Host, key, script, url};

fn rejected() -> EventOutcome {
    EventOutcome::Rejected("the cache is full".to_owned())
}

/// A host with an active worker that a client uses, and a new version that waits.
fn waiting() -> (Host, sw_types::RegistrationId, ClientId, WorkerId, WorkerId) {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.serve("/sw.js", script("2"));
    host.update(id);
    let new = host.view(id).waiting.unwrap().id;
    assert_eq!(host.active(id), old);
    host.drain_log();
    (host, id, client, old, new)
}

#[test]
fn a_rejected_install_event_makes_the_worker_redundant() {
    let mut host = Host::new();
    host.install_outcome = rejected();
    let client = host.client("/");
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    assert!(
        host.drain_log()
            .contains(&format!("{client}: WorkerId-1 redundant"))
    );
    assert_eq!(host.registry.registration(id), None);
    let reports: Vec<String> = host.reports.iter().map(ToString::to_string).collect();
    assert_eq!(
        reports,
        [
            "https://a.test/: AbortError: script https://a.test/sw.js failed to install: the cache is full"
        ]
    );
}

#[test]
fn a_failed_installation_keeps_the_version_before() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.install_outcome = rejected();
    host.serve("/sw.js", script("2"));
    host.update(id);
    assert_eq!(host.active(id), worker);
    assert_eq!(host.view(id).installing, None);
    assert_eq!(host.view(id).waiting, None);
}

#[test]
fn a_failed_installation_gives_back_what_the_job_had_set() {
    let mut host = Host::new();
    let mut header = Host::registering(None, "/", "/sw.js");
    header.provenance = Provenance::Header {
        controls_clients: false,
    };
    let promise = host.register_with(header.clone());
    let id = host.registered(promise);
    host.install_outcome = rejected();
    host.serve("/sw.js", script("2"));
    let mut by_script = Host::registering(None, "/", "/sw.js");
    by_script.update_via_cache = UpdateViaCache::None;
    host.register_with(by_script);
    assert_eq!(host.view(id).update_via_cache, UpdateViaCache::Imports);
    let provenance = |host: &Host| host.lookup.snapshot(id).unwrap().provenance;
    assert_eq!(provenance(&host), header.provenance);
    assert_eq!(provenance(&host.restart()), header.provenance);
}

#[test]
fn death_during_the_install_event_fails_it() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.dies(WorkerId(1));
    assert_eq!(host.registry.registration(id), None);
    host.release_event(EventOutcome::Fulfilled); // Late, and ignored.
}

#[test]
fn an_install_event_that_does_not_end_is_stopped_and_fails() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.pass(Duration::from_secs(5 * 60));
    assert_eq!(host.registry.registration(id), None);
    assert!(
        host.log
            .contains(&"stop WorkerId-1: an event took longer than the event timeout".to_owned())
    );
    assert!(matches!(host.reports[0], Report::WorkerStopped { .. }));
}

#[test]
fn nothing_is_installed_before_it_is_stored() {
    let mut host = Host::new();
    host.hold.store = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    assert!(host.view(id).waiting.is_none());
    // Death does not matter any more.
    host.dies(WorkerId(1));
    host.release_store();
    let state = |host: &Host| host.view(id).active.map(|active| active.state);
    assert_eq!(state(&host), Some(WorkerState::Activating));
    host.release_store();
    assert_eq!(state(&host), Some(WorkerState::Activated));
}

#[test]
fn one_write_makes_a_worker_durable_that_nothing_keeps_from_being_activated() {
    let mut host = Host::new();
    host.listens = EventTypes::NONE;
    host.hold.store = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    assert_eq!(host.view(id).active, None);
    host.release_store();
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
    assert!(host.held.stores.is_empty());
    // The next version is installed first, and activated when the one before has gone.
    host.serve("/sw.js", script("2"));
    host.update(id);
    host.release_store();
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activating);
    host.release_store();
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
    // Both writes count: the second version is what the next start finds.
    let newest = host.active(id);
    let host = host.restart();
    assert_eq!(host.active(id), newest);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
}

#[test]
fn a_first_version_with_an_activate_event_is_installed_before_it_is_activated() {
    let mut host = Host::new();
    host.hold.store = true;
    host.register("/", "/sw.js");
    host.release_store();
    let mut store = host.store.clone();
    let rows = sw_registry::RegistryStore::restore(&mut store).unwrap();
    let rows = rows.registrations.decode().unwrap();
    assert!(rows[0].active.is_none() && rows[0].waiting.is_some());
}

#[test]
fn a_store_that_refuses_undoes_the_installation() {
    let mut host = Host::new();
    host.store_fails = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    assert_eq!(host.registry.registration(id), None);
    assert_eq!(
        host.reports[0].to_string(),
        "https://a.test/: not stored: disk full"
    );
    host.store_fails = false;
    host.activated();
}

#[test]
fn a_store_that_refuses_does_not_stop_an_activation() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.release_event(EventOutcome::Fulfilled);
    host.store_fails = true;
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
    assert!(matches!(host.reports[0], Report::NotStored { .. }));
    // The next start finds it waiting, and activates it again.
    let mut host = host.restart();
    host.client("/");
    assert_eq!(host.active(id), WorkerId(1));
}

#[test]
fn a_private_session_is_never_stored() {
    let mut host = Host::new();
    host.hold.store = true;
    let mut register = Host::registering(None, "/", "/sw.js");
    register.storage_key = key().in_session(Some(sw_types::EphemeralId(1)));
    let promise = host.register_with(register);
    let id = host.registered(promise);
    host.update(id);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
    let promise = host.unregister(id);
    assert_eq!(host.result(promise), Some(&Ok(Settled::Unregistered(true))));
    assert!(host.held.stores.is_empty());
}

#[test]
fn a_worker_without_lifecycle_listeners_is_given_no_events() {
    let mut host = Host::new();
    host.listens = EventTypes::NONE;
    host.activated();
    assert!(!host.log.iter().any(|line| line.contains("Install")));
}

#[test]
fn a_new_version_waits_for_the_last_client() {
    let (mut host, id, client, old, new) = waiting();
    host.gone(client);
    assert_eq!(host.active(id), new);
    assert_eq!(host.registry.worker(old), None);
}

#[test]
fn a_newer_version_replaces_the_one_that_waits() {
    let (mut host, id, client, old, new) = waiting();
    host.serve("/sw.js", script("3"));
    host.update(id);
    assert!(
        host.drain_log()
            .contains(&format!("{client}: {new} redundant"))
    );
    let newest = host.view(id).waiting.unwrap().id;
    assert!(newest > new);
    assert_eq!(host.active(id), old);
}

#[test]
fn skip_waiting_takes_over_at_once_and_tells_the_clients_in_order() {
    let (mut host, id, client, old, new) = waiting();
    let promise = host.skip_waiting(new);
    assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    assert_eq!(host.active(id), new);
    let seen: Vec<String> = host
        .drain_log()
        .into_iter()
        .filter(|line| line.starts_with(&client.to_string()))
        .collect();
    assert_eq!(
        seen,
        [
            format!("{client}: {old} redundant"),
            format!("{client}: {new} activating"),
            format!("{client}: controllerchange {new}"),
            format!("{client}: {new} activated"),
        ]
    );
    assert_eq!(
        host.lookup
            .controller(client)
            .unwrap()
            .active
            .as_ref()
            .unwrap()
            .id,
        new
    );
}

#[test]
fn skip_waiting_while_installing_counts_once_it_is_installed() {
    let (mut host, id, _, _, _) = waiting();
    host.serve("/sw.js", script("3"));
    host.hold.events = true;
    host.update(id);
    let newest = host.view(id).installing.unwrap().id;
    host.skip_waiting(newest);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.active(id), newest);
    let unknown = host.skip_waiting(WorkerId(99));
    assert!(host.error(unknown).starts_with("AbortError"));
}

#[test]
fn a_busy_worker_is_waited_for_even_by_skip_waiting() {
    let (mut host, id, _, old, new) = waiting();
    host.busy.insert(old, host.now.instant);
    host.skip_waiting(new);
    assert_eq!(host.active(id), old);
    host.idle(old);
    assert_eq!(host.active(id), new);
}

/// What a worker does after `await skipWaiting()`, it does with its activate event behind it, and
/// before anybody is told that it is activated.
#[test]
fn skip_waiting_resolves_between_the_activate_event_and_activated() {
    let (mut host, _, _, _, new) = waiting();
    host.drain_log();
    host.hold.events = true;
    let promise = host.skip_waiting(new);
    assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    host.release_event(EventOutcome::Fulfilled);
    let log = host.drain_log();
    let at = |line: &str| log.iter().position(|it| it.ends_with(line)).unwrap();
    let resolved = at(&format!("{promise}: Done"));
    assert!(at(&format!("Activate {new}")) < resolved, "{log:?}");
    assert!(resolved < at(&format!("{new} activated")), "{log:?}");
}

/// The waiting worker runs no more when it may be activated: its promise waits for the start.
#[test]
fn skip_waiting_waits_for_a_start_that_the_activate_event_needs() {
    for fails in [false, true] {
        let (mut host, _, _, _, new) = waiting();
        host.dies(new);
        host.hold.start = true;
        let promise = host.skip_waiting(new);
        assert_eq!(host.result(promise), None);
        host.start_error = fails.then(|| "it threw".to_owned());
        host.release_start();
        assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    }
}

#[test]
fn skip_waiting_of_a_worker_that_becomes_redundant_is_an_abort_error() {
    let (mut host, id, client, _, new) = waiting();
    host.dies(new);
    host.hold.start = true;
    let promise = host.skip_waiting(new);
    host.gone(client);
    let clearing = host.promise();
    host.input(Input::ClearSiteData(clearing, SiteData::StorageKey(key())));
    assert!(host.registry.registration(id).is_none());
    assert!(host.error(promise).starts_with("AbortError"));
}

#[test]
fn a_busy_worker_that_dies_makes_way() {
    let (mut host, id, client, old, new) = waiting();
    host.busy.insert(old, host.now.instant);
    host.gone(client);
    assert_eq!(host.active(id), old);
    host.dies(old);
    assert_eq!(host.active(id), new);
}

#[test]
fn a_busy_worker_is_stopped_after_the_event_timeout_and_makes_way() {
    let (mut host, id, client, old, new) = waiting();
    host.busy.insert(old, host.now.instant);
    host.gone(client);
    host.pass(Duration::from_secs(5 * 60 + 30));
    assert_eq!(host.active(id), new);
}

#[test]
fn a_worker_that_is_activating_is_waited_for() {
    let (mut host, id, _, _, new) = waiting();
    host.hold.events = true;
    host.skip_waiting(new);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activating);
    host.serve("/sw.js", script("3"));
    host.update(id);
    let newest = host.view(id).installing.unwrap().id;
    host.skip_waiting(newest);
    let activate = host.held.events.pop_front();
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.view(id).waiting.unwrap().id, newest);
    host.held.events.extend(activate);
    host.release_event(rejected());
    assert_eq!(host.active(id), newest);
}

#[test]
fn activation_never_fails() {
    let (mut host, id, _, _, new) = waiting();
    host.hold.events = true;
    host.skip_waiting(new);
    host.release_event(rejected());
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
}

#[test]
fn death_during_the_activate_event_ends_it() {
    let (mut host, id, _, _, new) = waiting();
    host.hold.events = true;
    host.skip_waiting(new);
    let woken = host.wake(id);
    assert_eq!(host.result(woken), None);
    host.dies(new);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(new))));
    assert!(host.running.contains(&new));
}

#[test]
fn death_before_the_activate_event_skips_it() {
    let (mut host, id, client, _, new) = waiting();
    host.pass(Duration::from_secs(60));
    assert!(host.running.is_empty());
    host.hold.start = true;
    host.gone(client);
    assert_eq!(host.held.starts, [new]);
    host.dies(new);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
}

#[test]
fn an_overlapping_installation_and_activation_are_both_stored() {
    let (mut host, id, _, _, new) = waiting();
    host.hold.events = true;
    host.skip_waiting(new);
    let activate = host.held.events.pop_front();
    host.serve("/sw.js", script("3"));
    host.update(id);
    host.hold.store = true;
    host.release_event(EventOutcome::Fulfilled);
    host.held.events.extend(activate);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.held.stores.len(), 2);
    host.release_store();
    host.release_store();
    let newest = host.view(id).waiting.unwrap().id;
    let mut host = host.restart();
    assert_eq!(host.active(id), new);
    assert_eq!(host.view(id).waiting.unwrap().id, newest);
    host.client("/");
    assert_eq!(host.active(id), newest);
}

#[test]
fn claim_takes_the_clients_that_match() {
    let mut host = Host::new();
    let client = host.client("/page");
    let mut reserved = Environment::top_level(ClientId(50), url("/other"));
    host.input(Input::ClientCreated {
        environment: reserved.clone(),
        storage_key: Some(key()),
    });
    reserved.id = ClientId(51);
    reserved.client_type = ClientType::ServiceWorker;
    host.input(Input::ClientCreated {
        environment: reserved,
        storage_key: Some(key()),
    });
    host.input(Input::ClientReady(ClientId(51)));
    let promise = host.register("/page", "/sw.js");
    let id = host.registered(promise);
    let elsewhere = host.client("/elsewhere");
    assert_eq!(host.lookup.controller(client), None);

    let worker = host.active(id);
    let claim = host.claim(worker);
    assert_eq!(host.result(claim), Some(&Ok(Settled::Done)));
    assert_eq!(host.lookup.controller(client).unwrap().id, id);
    for other in [ClientId(50), ClientId(51), elsewhere] {
        assert_eq!(host.lookup.controller(other), None, "{other}");
    }
    host.drain_log();
    host.claim(worker);
    assert!(
        !host
            .drain_log()
            .iter()
            .any(|line| line.contains("controllerchange"))
    );
}

#[test]
fn claim_lets_the_former_registration_go_on() {
    let (mut host, id, client, _, new) = waiting();
    let promise = host.register("/narrow", "/sw.js");
    let narrow = host.registered(promise);
    // The client's URL is not in the narrower scope: nothing is claimed.
    let worker = host.active(narrow);
    host.claim(worker);
    assert_eq!(host.lookup.controller(client).unwrap().id, id);
    // A client inside of it leaves the wider one, whose waiting worker takes over.
    host.gone(client);
    assert_eq!(host.active(id), new);
    let inside = host.client("/narrow/x");
    host.uses(inside, id);
    host.serve("/sw.js", script("3"));
    host.update(id);
    let newest = host.view(id).waiting.unwrap().id;
    host.claim(worker);
    assert_eq!(host.lookup.controller(inside).unwrap().id, narrow);
    assert_eq!(host.active(id), newest);
}

#[test]
fn only_an_active_worker_claims() {
    let (mut host, _, _, _, new) = waiting();
    let claim = host.claim(new);
    assert!(host.error(claim).starts_with("InvalidStateError"));
    let claim = host.claim(WorkerId(99));
    assert!(host.error(claim).starts_with("InvalidStateError"));
}

#[test]
fn ready_settles_with_the_active_registration_or_when_the_client_goes() {
    let mut host = Host::new();
    let client = host.client("/");
    let other = host.client("/");
    let early = host.ready(client);
    let never = host.ready(other);
    host.gone(other);
    assert!(host.error(never).starts_with("AbortError"));
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    assert_eq!(host.result(early), None);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.registered(early), id);
    let late = host.ready(client);
    assert_eq!(host.registered(late), id);
    let unknown = host.ready(ClientId(99));
    assert!(host.error(unknown).starts_with("AbortError"));
}

#[test]
fn fall_through_rules_count_while_the_install_event_is_dispatched() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    let (worker, event, _) = host.held.events[0];
    let rule = |path| FallThroughRule {
        prefix: url(path),
        requesters: RequesterFilter::Any,
    };
    let say = |host: &mut Host, event, path| {
        host.input(Input::HandleFallThroughRequests {
            worker,
            event,
            rules: vec![rule(path)],
        });
    };
    say(&mut host, event, "/font");
    say(&mut host, EventId(99), "/never");
    say(&mut host, event, "/resources");
    host.release_event(EventOutcome::Fulfilled);
    say(&mut host, event, "/late");
    host.release_event(EventOutcome::Fulfilled);
    let rules = |host: &Host| {
        let active = host.lookup.snapshot(id).unwrap().active.clone();
        active.unwrap().fall_through.to_vec()
    };
    assert_eq!(rules(&host), [rule("/font"), rule("/resources")]);
    assert_eq!(rules(&host.restart()), [rule("/font"), rule("/resources")]);
}

#[test]
fn a_reserved_client_that_is_led_elsewhere_uses_nothing() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.input(Input::ClientCreated {
        environment: Environment::top_level(client, url("https://b.test/")),
        storage_key: None,
    });
    assert_eq!(host.lookup.controller(client), None);
    host.gone(client);
    assert!(host.lookup.environment(client).is_none());
}
