//! What a restart brings back.

use sw_registry::{JobError, Report, Settled, StoredRegistration};
use sw_types::{EventType, WorkerId, WorkerState};

use crate::harness::{Host, key, script, url};

#[test]
fn an_active_worker_comes_back_and_reads_its_scripts_when_it_is_needed() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let before = host.lookup.snapshot(id);
    let mut host = host.restart();
    assert_eq!(host.lookup.match_registration(&key(), &url("/x")), before);
    let woken = host.wake(id);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
    assert!(host.log.is_empty() || !host.log.iter().any(|line| line.contains("Activate")));
    // The set of event types is that of the first evaluation.
    let active = host.lookup.snapshot(id).unwrap().active.clone().unwrap();
    assert!(active.event_types.contains(EventType::Fetch));
}

#[test]
fn ids_go_on_after_those_that_were_stored() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.unregister(id);
    let mut host = host.restart();
    let (next, next_worker) = host.activated();
    assert!(next > id);
    assert!(next_worker > worker);
}

#[test]
fn a_waiting_worker_is_promoted_with_the_first_input() {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.serve("/sw.js", script("2"));
    host.update(id);
    let new = host.view(id).waiting.unwrap().id;
    let mut host = host.restart();
    assert_eq!(host.active(id), old);
    host.client("/");
    assert_eq!(host.active(id), new);
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
}

#[test]
fn a_worker_that_was_activating_is_given_its_event_again() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.release_event(sw_registry::EventOutcome::Fulfilled);
    host.update(id); // Unchanged: the row is written while it activates.
    let mut host = host.restart();
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activating);
    let woken = host.wake(id);
    assert!(host.log.contains(&"Activate WorkerId-1".to_owned()));
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(WorkerId(1)))));
}

#[test]
fn an_installing_worker_is_gone() {
    let mut host = Host::new();
    host.hold.events = true;
    host.register("/", "/sw.js");
    let host = host.restart();
    assert!(!host.lookup.has_origin(&url("/")));
}

#[test]
fn an_update_after_a_restart_compares_with_the_stored_script() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let mut host = host.restart();
    host.update(id);
    assert_eq!(host.active(id), worker);
    let mut host = host.restart();
    host.serve("/sw.js", script("2"));
    host.update(id);
    assert_ne!(host.active(id), worker);
}

#[test]
fn scripts_that_cannot_be_read_fail_the_start_and_the_next_update_heals() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let mut host = host.restart();
    let whole = std::mem::take(&mut host.store);
    let failed = host.wake(id);
    assert!(matches!(host.result(failed), Some(Err(JobError::Start(_)))));
    let update = host.update(id);
    assert_eq!(host.registered(update), id);
    assert_ne!(host.active(id), worker);
    drop(whole);
}

/// Its scripts go with its row, and were not read yet.
#[test]
fn what_is_unregistered_in_use_still_starts_for_its_clients() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let mut host = host.restart();
    let client = host.client("/");
    host.uses(client, id);
    let promise = host.unregister(id);
    assert_eq!(host.result(promise), Some(&Ok(Settled::Unregistered(true))));
    assert_eq!(host.store.registrations().count(), 0);
    let wake = host.wake(id);
    assert_eq!(host.result(wake), Some(&Ok(Settled::Running(worker))));
}

#[test]
fn damage_costs_one_registration_and_is_reported() {
    let mut host = Host::new();
    let (damaged, _) = host.activated();
    let promise = host.register("/whole", "/sw.js");
    let whole = host.registered(promise);
    host.store.row_mut(damaged).unwrap()[9] ^= 1;
    let mut host = host.restart();
    assert_eq!(host.registry.registration(damaged), None);
    assert!(host.registry.registration(whole).is_some());
    host.pump();
    assert_eq!(
        host.reports[0].to_string(),
        "quarantined: RegistrationId-1: the record is damaged: its checksum does not match"
    );
}

#[test]
fn rows_that_make_no_sense_are_quarantined() {
    let mut host = Host::new();
    host.activated();
    let mut restored = sw_registry::RegistryStore::restore(&mut host.store).unwrap();
    let good: StoredRegistration = restored.registrations.decode().unwrap().remove(0);
    let bad = |change: &dyn Fn(&mut StoredRegistration)| {
        let mut row = good.clone();
        row.id.0 += 1;
        row.scope = crate::harness::scope("/other");
        row.active.as_mut().unwrap().id.0 += 1;
        change(&mut row);
        row
    };
    for by_itself in [
        bad(&|row| row.active = None),
        bad(&|row| row.active.as_mut().unwrap().state = WorkerState::Installing),
        bad(&|row| row.scope = crate::harness::scope("https://b.test/")),
        bad(&|row| row.waiting = row.active.clone()),
    ] {
        assert!(restored.registrations.push(&by_itself).is_err());
    }
    for beside_others in [
        bad(&|row| row.scope = good.scope.clone()),
        bad(&|row| row.active.as_mut().unwrap().id = WorkerId(1)),
        bad(&|row| row.id = good.id),
    ] {
        restored.registrations.push(&beside_others).unwrap();
    }
    let mut host = Host::with(
        sw_registry::Limits::default(),
        sw_registry::MemoryStore::new(),
        restored,
    );
    host.pump();
    assert_eq!(host.registry.registrations_of(&key()).len(), 1);
    assert_eq!(host.reports.len(), 3, "{:?}", host.reports);
    assert!(
        host.reports
            .iter()
            .all(|report| matches!(report, Report::Quarantined(_)))
    );
}
