//! A scripted history whose store refuses, or freezes at, or loses power at each of its writes; and
//! what the next start finds.

use std::collections::BTreeSet;

use http::HeaderValue;
use sw_registry::{Input, PreloadChange, Provenance, RegistryStore, Report, Settled};
use sw_types::{EventTypes, RegistrationId, UpdateViaCache, WorkerId, WorkerState, WorkerType};

use crate::harness::{Fault, Host, key, scope, script};

fn of(host: &Host, at: &str) -> Option<RegistrationId> {
    let found = host.registry.registration_for(&key(), &scope(at));
    found.map(|view| view.id)
}

/// Registrations come, are updated, activated, changed, unregistered and made anew. It goes on
/// whatever becomes of a step.
fn history(host: &mut Host) {
    host.register("/", "/sw.js");
    let client = host.client("/");
    if let Some(id) = of(host, "/") {
        host.uses(client, id);
    }
    host.register("/a", "/sw.js");
    // Nothing keeps this one from being activated at once.
    let listens = std::mem::replace(&mut host.listens, EventTypes::NONE);
    host.register("/n", "/sw.js");
    host.listens = listens;
    host.serve("/sw.js", script("2"));
    if let Some(id) = of(host, "/") {
        host.update(id);
    }
    host.gone(client);
    let mut by_header = Host::registering(None, "/h", "/sw.js");
    by_header.provenance = Provenance::Header {
        controls_clients: false,
    };
    host.register_with(by_header);
    if let Some(registration) = of(host, "/a") {
        let promise = host.promise();
        let value = HeaderValue::from_static("preload");
        host.input(Input::SetNavigationPreload {
            promise,
            registration,
            change: PreloadChange::HeaderValue(value),
        });
        host.unregister(registration);
    }
    let mut again = Host::registering(None, "/a", "/sw.js");
    again.worker_type = WorkerType::Module;
    again.update_via_cache = UpdateViaCache::None;
    host.register_with(again);
    // The script of a header's registration, and its header, are a script's from now on.
    host.register("/h", "/sw.js");
    // Unchanged; and changed, but the new version fails to install.
    if let Some(id) = of(host, "/h") {
        host.update(id);
    }
    host.serve("/sw.js", script("3"));
    host.install_outcome = sw_registry::EventOutcome::Rejected("no".to_owned());
    if let Some(id) = of(host, "/a") {
        host.update(id);
    }
    host.install_outcome = sw_registry::EventOutcome::Fulfilled;
    if let Some(id) = of(host, "/") {
        host.unregister(id);
    }
}

/// What the world was told before the end came.
struct Told {
    /// Installed or activated, and neither redundant since nor unregistered.
    installed: BTreeSet<WorkerId>,
    activated: BTreeSet<WorkerId>,
    /// Unregistered, or never installed.
    gone: BTreeSet<RegistrationId>,
}

fn told(host: &Host) -> Told {
    let views = host.registry.registrations_of(&key());
    let slots = views.iter().flat_map(|view| [&view.waiting, &view.active]);
    let workers: Vec<_> = slots.flatten().collect();
    let listed: BTreeSet<_> = views.iter().map(|view| view.id).collect();
    let known = (1..100).map(RegistrationId);
    Told {
        installed: workers.iter().map(|worker| worker.id).collect(),
        activated: workers
            .iter()
            .filter(|worker| worker.state == WorkerState::Activated)
            .map(|worker| worker.id)
            .collect(),
        gone: known.filter(|id| !listed.contains(id)).collect(),
    }
}

/// Starts again with what the store holds, and checks it.
fn reopen(host: Host, told: &Told, fault: Fault, context: &str) {
    let mut store = host.store.clone();
    let restored = store.restore().unwrap();
    assert_eq!(restored.quarantined, [""; 0], "{context}");
    let mut kept = BTreeSet::new();
    for registration in restored.registrations.decode().unwrap() {
        // A write that came through although nobody was told of it may have brought it back, or
        // taken it away.
        let unsure = fault == Fault::FreezeAfter;
        assert!(
            unsure || !told.gone.contains(&registration.id),
            "{context}: {} is back",
            registration.id
        );
        for worker in registration.waiting.iter().chain(&registration.active) {
            let scripts = store.scripts(worker.id);
            let scripts = scripts.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(scripts.contains_key(worker.script_url.url()), "{context}");
            kept.insert(worker.id);
            let lost = told.activated.contains(&worker.id) && worker.state < WorkerState::Activated;
            // A refusal was reported, and the activation is done again.
            let reported = |it: &Report| matches!(it, Report::NotStored { .. });
            assert!(
                !lost || host.reports.iter().any(reported),
                "{context}: {} was activated",
                worker.id
            );
        }
    }
    if fault != Fault::FreezeAfter {
        let lost: Vec<_> = told.installed.difference(&kept).collect();
        assert!(lost.is_empty(), "{context}: {lost:?} were installed");
    }
    for orphan in (1..100).map(WorkerId).filter(|id| !kept.contains(id)) {
        assert!(store.scripts(orphan).is_err(), "{context}: {orphan}");
    }
    // And everything goes on: what waited is activated, and the same history runs to its end.
    let mut host = host.restart();
    host.pump();
    assert_eq!(host.reports, [], "{context}");
    history(&mut host);
    for view in host.registry.registrations_of(&key()) {
        let state = view.active.map(|active| active.state);
        assert_eq!(state, Some(WorkerState::Activated), "{context}");
        assert_eq!(view.waiting, None, "{context}");
    }
    let open: Vec<_> = host.asked.iter().collect();
    let open = open.into_iter().filter(|it| host.result(**it).is_none());
    assert_eq!(open.count(), 0, "{context}: promises that never settled");
}

fn writes_of_the_history() -> usize {
    let mut host = Host::new();
    history(&mut host);
    assert_eq!(host.reports.len(), 1, "{:?}", host.reports);
    let settled = host.settled.values();
    let unregistered = settled.filter(|it| matches!(it, Ok(Settled::Unregistered(true))));
    assert_eq!(unregistered.count(), 2);
    host.writes
}

#[test]
fn whatever_write_fails_freezes_or_is_the_last_nothing_acknowledged_is_lost() {
    let writes = writes_of_the_history();
    assert!(writes > 12, "{writes}");
    for fault in [
        Fault::Refuse,
        Fault::RefuseFromThenOn,
        Fault::FreezeBefore,
        Fault::FreezeAfter,
    ] {
        for at in 0..writes {
            let mut host = Host::new();
            host.fault = Some((at, fault));
            history(&mut host);
            let told = told(&host);
            reopen(host, &told, fault, &format!("{fault:?} at write {at}"));
        }
    }
}

/// A job whose write is refused fails with that error, and leaves what was there before.
#[test]
fn a_refused_write_leaves_the_state_before_and_says_so() {
    let writes = writes_of_the_history();
    let mut said = 0;
    for at in 0..writes {
        let mut host = Host::new();
        host.fault = Some((at, Fault::Refuse));
        history(&mut host);
        let by_promise = host.settled.values().any(|result| {
            matches!(result, Err(error) if error.to_string() == "the store failed: disk full")
        });
        let reported = |it: &Report| matches!(it, Report::NotStored { .. });
        let by_report = host.reports.iter().any(reported);
        assert!(by_promise || by_report, "write {at} was refused in silence");
        said += usize::from(by_promise);
    }
    assert!(said > 2, "{said} promises were rejected");
}
