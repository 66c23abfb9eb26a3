//! When workers run, and for how long.

use std::time::Duration;

use sw_registry::{Input, JobError, Limits, MemoryStore, Report, Restored, Settled, SiteData};
use sw_types::{EventId, FetchHandler, Origin, RegistrationId, RunId, Site, WorkerId, WorkerState};

use crate::harness::{Host, script, url};

const IDLE: Duration = Duration::from_secs(30);

/// A host with an activated worker that does not run.
fn stopped() -> (Host, RegistrationId, WorkerId) {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.pass(IDLE);
    assert!(host.running.is_empty());
    assert_eq!(host.registry.poll_timeout(), None);
    (host, id, worker)
}

#[test]
fn an_idle_worker_is_stopped_and_a_wake_starts_it() {
    let (mut host, id, worker) = stopped();
    assert!(host.log.contains(&format!("stop {worker}: idle")));
    let woken = host.wake(id);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
    assert!(host.running.contains(&worker));
}

#[test]
fn several_wakes_are_one_start() {
    let (mut host, id, worker) = stopped();
    host.hold.start = true;
    let wakes = [host.wake(id), host.wake(id), host.wake(id)];
    assert_eq!(host.held.starts, [worker]);
    host.release_start();
    for wake in wakes {
        assert_eq!(host.result(wake), Some(&Ok(Settled::Running(worker))));
    }
}

#[test]
fn a_wake_of_a_worker_that_runs_settles_at_once_and_puts_off_its_idle_stop() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.pass(IDLE / 2);
    let woken = host.wake(id);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
    host.pass(IDLE / 2 + Duration::from_secs(1));
    assert!(host.running.contains(&worker));
    host.pass(IDLE);
    assert!(host.running.is_empty());
}

#[test]
fn a_wake_without_a_worker_is_refused() {
    let mut host = Host::new();
    let unknown = host.wake(RegistrationId(99));
    assert!(matches!(
        host.result(unknown),
        Some(Err(JobError::Abort(_)))
    ));
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    let early = host.wake(id);
    assert!(host.error(early).starts_with("InvalidStateError"));
}

#[test]
fn a_wake_while_the_worker_stops_starts_it_again_afterwards() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.hold.stop = true;
    host.pass(IDLE);
    let wakes = [host.wake(id), host.wake(id)];
    assert_eq!(host.result(wakes[0]), None);
    host.release_stop();
    for wake in wakes {
        assert_eq!(host.result(wake), Some(&Ok(Settled::Running(worker))));
    }
}

#[test]
fn a_worker_that_does_not_stop_in_time_counts_as_dead() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.hold.stop = true;
    host.pass(IDLE);
    let woken = host.wake(id);
    host.pass(Duration::from_secs(5));
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
    // The death of the former global, late: the new one runs on.
    host.release_stop();
    assert!(host.running.contains(&worker));
    let again = host.wake(id);
    assert_eq!(host.result(again), Some(&Ok(Settled::Running(worker))));
    assert!(host.held.starts.is_empty());
}

#[test]
fn a_busy_worker_is_not_idle_until_its_event_overruns() {
    let mut host = Host::new();
    let (_, worker) = host.activated();
    host.busy.insert(worker, host.now.instant);
    host.pass(Duration::from_secs(299));
    assert!(host.running.contains(&worker));
    host.pass(Duration::from_secs(1));
    assert!(host.running.is_empty());
    assert!(matches!(
        host.reports.as_slice(),
        [Report::WorkerStopped { .. }]
    ));
}

#[test]
fn a_failed_start_rejects_those_who_wait() {
    let (mut host, id, worker) = stopped();
    host.start_error = Some("it threw".to_owned());
    let failed = host.wake(id);
    assert_eq!(host.error(failed), "the worker did not start: it threw");
    host.start_error = None;
    let woken = host.wake(id);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
}

#[test]
fn death_while_it_starts_is_a_failed_start() {
    let (mut host, id, worker) = stopped();
    host.hold.start = true;
    let failed = host.wake(id);
    host.dies(worker);
    assert_eq!(host.error(failed), "the worker did not start: it crashed");
}

#[test]
fn a_start_that_takes_too_long_is_a_failed_start() {
    let (mut host, id, _) = stopped();
    host.hold.start = true;
    let failed = host.wake(id);
    host.pass(Duration::from_secs(300));
    assert!(host.error(failed).contains("start timeout"));
    assert!(host.running.is_empty());
}

#[test]
fn three_failed_starts_in_a_row_bypass_the_worker_for_a_while() {
    let (mut host, id, worker) = stopped();
    host.start_error = Some("it threw".to_owned());
    for _ in 0..3 {
        host.wake(id);
    }
    assert_eq!(
        host.reports.last().unwrap().to_string(),
        "https://a.test/sw.js failed to start 3 times in a row and is bypassed for 10 s: it threw"
    );
    host.start_error = None;
    let bypassed = host.wake(id);
    assert!(host.error(bypassed).contains("is bypassed for now"));
    host.pass(Duration::from_secs(10));
    host.start_error = Some("it threw again".to_owned());
    host.wake(id);
    assert!(
        host.reports
            .last()
            .unwrap()
            .to_string()
            .contains("for 20 s")
    );
    host.pass(Duration::from_secs(20));
    host.start_error = None;
    let woken = host.wake(id);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
}

#[test]
fn starts_for_others_are_paid_by_the_site_that_caused_them() {
    let mut limits = Limits::default();
    limits.starts_for_others = 2;
    let mut host = Host::with(limits, MemoryStore::new(), Restored::default());
    let (id, worker) = host.activated();
    let site = Site::of(&Origin::of(&url("https://b.test/")));
    for _ in 0..2 {
        host.dies(worker);
        let woken = host.wake_for(id, Some(site.clone()));
        assert!(matches!(host.result(woken), Some(Ok(Settled::Running(_)))));
        // It runs: that costs nothing.
        host.wake_for(id, Some(site.clone()));
    }
    host.dies(worker);
    let refused = host.wake_for(id, Some(site.clone()));
    assert_eq!(
        host.error(refused),
        "over budget: https://b.test caused 2 worker starts of others within a minute"
    );
    assert!(host.running.is_empty());
    let other = Site::of(&Origin::of(&url("https://c.test/")));
    let woken = host.wake_for(id, Some(other));
    assert!(matches!(host.result(woken), Some(Ok(_))));
    host.dies(worker);
    host.pass(Duration::from_secs(60));
    let woken = host.wake_for(id, Some(site));
    assert!(matches!(host.result(woken), Some(Ok(_))));
}

#[test]
fn a_start_between_failures_begins_the_count_anew() {
    let (mut host, id, worker) = stopped();
    for fails in [true, true, false, true, true] {
        host.start_error = fails.then(|| "it threw".to_owned());
        host.wake(id);
        if !fails {
            host.dies(worker);
        }
    }
    assert_eq!(host.reports, []);
}

#[test]
fn those_who_wait_for_the_same_start_pay_once() {
    let mut limits = Limits::default();
    limits.starts_for_others = 1;
    let mut host = Host::with(limits, MemoryStore::new(), Restored::default());
    let (id, worker) = host.activated();
    host.hold.stop = true;
    host.pass(IDLE);
    let site = Site::of(&Origin::of(&url("https://b.test/")));
    let wakes = [(); 2].map(|()| host.wake_for(id, Some(site.clone())));
    host.release_stop();
    for wake in wakes {
        assert_eq!(host.result(wake), Some(&Ok(Settled::Running(worker))));
    }
}

#[test]
fn wakes_pass_on_to_the_next_version() {
    let (mut host, id, _) = stopped();
    host.hold.start = true;
    let woken = host.wake(id);
    host.serve("/sw.js", script("2"));
    host.update(id);
    let (old, new) = (host.held.starts[0], host.held.starts[1]);
    host.held.starts.pop_front();
    host.release_start();
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(new))));
    assert_eq!(host.registry.worker(old), None);
}

#[test]
fn wakes_of_a_cleared_registration_are_aborted() {
    let (mut host, id, _) = stopped();
    host.hold.start = true;
    let woken = host.wake(id);
    let cleared = host.promise();
    host.input(Input::ClearSiteData(
        cleared,
        SiteData::Origin(Origin::of(&url("/"))),
    ));
    assert!(matches!(host.result(woken), Some(Err(JobError::Abort(_)))));
    assert!(host.running.is_empty());
}

#[test]
fn an_unregistered_registration_is_cleared_after_its_wakes() {
    let (mut host, id, worker) = stopped();
    host.hold.start = true;
    let woken = host.wake(id);
    host.unregister(id);
    assert!(host.registry.registration(id).is_some());
    host.release_start();
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
    host.pass(2 * IDLE);
    assert_eq!(host.registry.registration(id), None);
}

#[test]
fn what_names_nothing_is_ignored() {
    let (mut host, id, worker) = stopped();
    let unknown = WorkerId(99);
    for worker in [unknown, worker] {
        host.input(Input::WorkerStarted {
            worker,
            run: RunId(99),
            event_types: Default::default(),
            fetch_handler: FetchHandler::None,
        });
        host.input(Input::WorkerStartFailed {
            worker,
            run: RunId(99),
            error: String::new(),
        });
        host.input(Input::WorkerDied {
            worker,
            run: RunId(99),
            reason: String::new(),
        });
        host.input(Input::EventSettled {
            worker,
            event: EventId(1),
            outcome: sw_registry::EventOutcome::Fulfilled,
        });
        host.input(Input::Activity {
            worker,
            oldest_event: None,
            last_busy: host.now.instant,
        });
        host.input(Input::ScriptImported {
            worker,
            url: url("/x"),
            fetched: None,
            from_cache: false,
        });
    }
    host.input(Input::ClientReady(sw_types::ClientId(99)));
    host.input(Input::ClientGone(sw_types::ClientId(99)));
    host.uses(sw_types::ClientId(99), id);
    host.input(Input::Response(
        sw_types::RequestId(99),
        sw_registry::Response::Stored(Ok(())),
    ));
    assert_eq!(host.view(id).active.unwrap().state, WorkerState::Activated);
}

#[test]
fn an_answer_of_the_wrong_kind_leaves_the_question_open() {
    let mut host = Host::new();
    host.hold.fetch = true;
    let promise = host.register("/", "/sw.js");
    let (request, _) = host.held.fetches[0];
    host.input(Input::Response(
        request,
        sw_registry::Response::Stored(Ok(())),
    ));
    assert_eq!(host.result(promise), None);
    host.release_fetch();
    host.registered(promise);
}

#[test]
fn limits_without_an_end_are_no_panic() {
    let mut limits = Limits::default();
    limits.idle = Duration::MAX;
    limits.event_timeout = Duration::MAX;
    limits.start_timeout = Duration::MAX;
    limits.stop = Duration::MAX;
    let mut host = Host::with(limits, MemoryStore::new(), Restored::default());
    let (_, worker) = host.activated();
    host.busy.insert(worker, host.now.instant);
    host.idle(worker);
    assert_eq!(host.registry.poll_timeout(), None);
}
