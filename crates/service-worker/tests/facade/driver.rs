//! The driver: when it is woken, and what is left when it, its host or its store is gone.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use service_worker::types::{
    ClientId, ClientNotice, Environment, EphemeralId, EventType, WorkerState,
};
use service_worker::{
    AnsweredBy, FetchAnswer, FetchError, HostCommand, HostEvent, JobError, Policies, StopReason,
};

use crate::stand::{
    Disk, SITE, Stand, navigation, next, options, ready, stop_reason, subresource, url,
};

#[test]
fn a_fetch_to_a_worker_that_runs_wakes_the_driver_zero_times() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(SITE, &[], "from the network");
    let (start, mut inbox) = stand.activated();
    // A controlled page.
    let mut made = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(made.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    dispatch.responder.respond(FetchAnswer::NotHandled);
    drop(dispatch.keep_alive);
    stand.settle("the page", made).unwrap();
    let page = ClientId(1);
    stand.handle.host_event(HostEvent::ClientReady(page));
    // The soft update of the navigation ends, and what is stored after it is stored after what it
    // stores: there is nothing left to do.
    stand.clock.pass(Policies::seeds().limits.soft_update_delay);
    let script = format!("{SITE}sw.js");
    stand.until("the soft update", |stand| {
        (stand.network.asked(&script) == 2).then_some(())
    });
    stand.quiet();
    let id = start.registration.id;
    let stored = stand.handle.enable_navigation_preload(id, false);
    stand.settle("a later write", stored).unwrap();
    stand.quiet();
    // While the worker is busy, the registry looks at it: that must not make later fetches dear.
    let mut long = pin!(stand.handle.fetch(subresource(page, SITE)));
    assert!(ready(long.as_mut()).is_none());
    let held = stand.event(&mut inbox);
    stand.clock.pass(Duration::from_secs(31));
    stand.quiet();
    let before = stand.wakes.count();
    held.responder.respond(FetchAnswer::NotHandled);
    drop(held.keep_alive);
    assert!(ready(long.as_mut()).is_some());
    for _ in 0..100 {
        let mut fetched = pin!(stand.handle.fetch(subresource(page, SITE)));
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = next(&mut inbox).unwrap();
        dispatch.responder.respond(FetchAnswer::NotHandled);
        drop(dispatch.keep_alive);
        let fetched = ready(fetched.as_mut()).unwrap().unwrap();
        assert_eq!(fetched.answered_by, AnsweredBy::Network);
    }
    assert_eq!(stand.wakes.count(), before);
}

#[test]
fn an_event_that_comes_at_the_moment_of_an_idle_stop_is_handled() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = stand.activated();
    stand.quiet();
    // The timer is due, and the driver has not been polled.
    stand.clock.pass(Duration::from_secs(31));
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    stand.quiet();
    // It runs on, for as long as an event may take, and not longer.
    stand.clock.pass(Duration::from_secs(60));
    stand.quiet();
    assert!(ready(fetched.as_mut()).is_none());
    stand.clock.pass(Duration::from_secs(5 * 60));
    let stop = stand.stop();
    assert_eq!(stop_reason(&stop), StopReason::EventTimeout);
    // The client need not wait for a host that cannot end the worker.
    let failed = stand.settle("the failure", fetched).unwrap_err();
    assert!(matches!(failed, FetchError::Worker { worker, .. } if worker == start.worker));
    drop(dispatch);
}

#[test]
fn a_worker_that_waits_is_activated_when_the_last_event_of_the_one_before_is_over() {
    let mut stand = Stand::new(Policies::seeds());
    let (_start, mut inbox) = stand.activated();
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    stand.handle.host_event(HostEvent::ClientGone(ClientId(1)));
    stand.network.serve(
        &format!("{SITE}sw.js"),
        &[crate::stand::JS],
        "another version",
    );
    let page = stand.page(2, SITE);
    let found = stand.handle.registration(page, &url(SITE));
    let registration = stand.settle("the registration", found).unwrap().unwrap();
    let update = stand.handle.update(registration.id, None, None);
    let (new, _inbox) = stand.start();
    stand.started(&new, &[EventType::Fetch]);
    stand.settle("the update", update).unwrap();
    stand.until_state(WorkerState::Installed);
    stand.quiet();
    assert!(next(&mut stand.reports).is_none(), "the old one is busy");
    dispatch.responder.respond(FetchAnswer::Canceled);
    drop(dispatch.keep_alive);
    stand.until_state(WorkerState::Activated);
}

#[test]
fn a_host_that_takes_no_commands_fails_what_waits_for_it_at_once() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(SITE, &[], "from the network");
    let (start, inbox) = stand.activated();
    stand.idle_stop(&start);
    drop(inbox);
    let commands = std::mem::replace(&mut stand.commands, Stand::new(Policies::seeds()).commands);
    drop(commands);
    let fetched = stand.handle.fetch(navigation(&stand, 1, SITE));
    let fetched = stand.settle("the page", fetched).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    let page = stand.page(2, SITE);
    let mut other = options();
    other.scope = Some("/deep/".into());
    let registered = stand.handle.register(page, other);
    let error = stand.settle("the refusal", registered).unwrap_err();
    assert!(matches!(&error, JobError::Type(_)), "{error}");
}

#[test]
fn a_promise_settles_in_its_place_among_the_commands() {
    let mut stand = Stand::new(Policies::seeds());
    let page = stand.page(1, SITE);
    let mut becomes_ready = pin!(stand.handle.ready(page));
    let mut registering = pin!(stand.handle.register(page, options()));
    let (start, _inbox) = stand.start();
    stand.is_busy = true;
    stand.started(&start, &[]);
    stand.until_state(WorkerState::Activated);
    assert!(ready(registering.as_mut()).is_none());
    assert!(ready(becomes_ready.as_mut()).is_none());
    let mut order = Vec::new();
    loop {
        // What settled before this command was taken did so after the one before.
        let command = next(&mut stand.commands);
        if ready(registering.as_mut()).is_some_and(|it| it.is_ok()) {
            order.push("registered".to_owned());
            registering.set(stand.handle.register(page, options()));
        }
        if ready(becomes_ready.as_mut()).is_some_and(|it| it.is_ok()) {
            order.push("ready".to_owned());
            becomes_ready.set(stand.handle.ready(page));
        }
        match command {
            Some((HostCommand::Notify { notice, .. }, _)) => order.push(match *notice {
                ClientNotice::UpdateFound(_) => "updatefound".to_owned(),
                ClientNotice::StateChanged { state, .. } => state.as_str().to_owned(),
                ClientNotice::ControllerChanged(_) => "controllerchange".to_owned(),
                ClientNotice::UpdateViaCacheChanged(_) => "updateviacache".to_owned(),
            }),
            Some(_) => {}
            None => break,
        }
    }
    order.dedup();
    let expected = [
        "registered",
        "updatefound",
        "installed",
        "activating",
        "ready",
        "activated",
    ];
    assert_eq!(order, expected);
}

#[test]
fn whatever_ends_the_driver_ends_all_that_waits_for_it() {
    for shut_down in [true, false] {
        let mut stand = Stand::new(Policies::seeds());
        let (_start, mut inbox) = stand.activated();
        let page = stand.page(1, "https://other.test/");
        let waits = stand.handle.ready(page);
        let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 2, SITE)));
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        // In the middle of a job.
        let mut other = options();
        other.scope = Some("/deep/".into());
        let page = stand.page(3, SITE);
        let registering = stand.handle.register(page, other);
        stand.start();
        if shut_down {
            let (ended, ended_too) = (stand.handle.shut_down(), stand.handle.shut_down());
            stand.settle("the end", ended);
            // Before the driver is dropped, too.
            assert!(ready(pin!(ended_too)).is_some());
        } else {
            stand.driver = None;
        }
        assert!(matches!(ready(pin!(waits)), Some(Err(JobError::Abort(_)))));
        assert!(matches!(
            ready(pin!(registering)),
            Some(Err(JobError::Abort(_)))
        ));
        assert!(matches!(
            ready(fetched.as_mut()),
            Some(Err(FetchError::Worker { .. }))
        ));
        while ready(pin!(stand.reports.next())).unwrap().is_some() {}
        while ready(pin!(stand.commands.next())).unwrap().is_some() {}
        assert!(next(&mut inbox).is_none());
        dispatch.responder.respond(FetchAnswer::NotHandled);
        // What is asked afterwards fails, and fetches go to the network.
        let registering = stand.handle.register(page, options());
        assert!(matches!(
            ready(pin!(registering)),
            Some(Err(JobError::Abort(_)))
        ));
        stand.network.serve(SITE, &[], "from the network");
        let fetched = stand.handle.fetch(navigation(&stand, 4, SITE));
        let fetched = ready(pin!(fetched)).unwrap().unwrap();
        assert_eq!(fetched.answered_by, AnsweredBy::Network);
    }
}

#[test]
fn a_driver_that_is_told_much_lets_others_have_their_turn() {
    let mut stand = Stand::new(Policies::seeds());
    for client in 0..10_000 {
        stand
            .handle
            .host_event(HostEvent::ClientGone(ClientId(client)));
    }
    let mut caught_up = pin!(stand.handle.caught_up());
    let before = stand.wakes.count();
    assert!(stand.turn().is_pending());
    assert!(ready(caught_up.as_mut()).is_none());
    assert!(stand.wakes.count() > before, "it asks to be polled again");
    stand.settle("the rest", caught_up);
}

#[test]
fn a_store_that_refuses_every_write_leaves_no_promise_and_no_registration() {
    let mut disk = Disk::default();
    disk.refuses = true;
    let mut stand = Stand::with_store(Policies::seeds(), Box::new(disk.clone()));
    let page = stand.page(1, SITE);
    for _ in 0..2 {
        let registering = stand.handle.register(page, options());
        let (start, _inbox) = stand.start();
        stand.started(&start, &[EventType::Fetch]);
        stand.settle("the registration", registering).unwrap();
        stand.until_state(WorkerState::Redundant);
        stand.stop();
        stand.died(&start);
        stand.quiet();
        let found = stand.handle.registration(page, &url(SITE));
        assert_eq!(stand.settle("the look-up", found), Ok(None));
    }
    assert_eq!(disk.registrations(), 0);
    let ended = stand.handle.shut_down();
    stand.settle("the end", ended);
}

#[test]
fn nothing_of_a_private_session_is_stored() {
    let disk = Disk::default();
    let mut stand = Stand::with_store(Policies::seeds(), Box::new(disk.clone()));
    let environment = Environment {
        ephemeral: Some(EphemeralId(1)),
        ..Environment::top_level(ClientId(1), url(SITE))
    };
    stand
        .handle
        .host_event(HostEvent::ClientCreated(environment));
    stand.quiet();
    let registering = stand.handle.register(ClientId(1), options());
    let (start, _inbox) = stand.start();
    assert_eq!(start.storage_key.ephemeral(), Some(EphemeralId(1)));
    assert_eq!(start.environment.ephemeral, Some(EphemeralId(1)));
    stand.started(&start, &[EventType::Fetch]);
    stand.settle("the registration", registering).unwrap();
    stand.until_state(WorkerState::Activated);
    let ended = stand.handle.shut_down();
    stand.settle("the end", ended);
    assert_eq!(disk.registrations(), 0);
}
