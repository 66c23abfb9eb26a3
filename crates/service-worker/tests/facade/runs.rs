//! The runs of a worker: starts, stops, and what a host says too late.

use std::pin::pin;
use std::time::Duration;

use service_worker::types::EventType;
use service_worker::{AnsweredBy, FetchAnswer, HostEvent, Policies, StopReason};

use crate::stand::{SITE, Stand, navigation, ready, stop_reason};

/// A worker whose first run did not stop in time, and whose second has been asked for.
#[test]
fn a_late_word_of_an_earlier_run_does_not_touch_the_run_after_it() {
    for late in ["died", "started", "failed", "listens"] {
        let mut stand = Stand::new(Policies::seeds());
        stand.network.serve(SITE, &[], "from the network");
        let (first, first_inbox) = stand.activated();
        stand.clock.pass(Duration::from_secs(31));
        assert_eq!(stop_reason(&stand.stop()), StopReason::Idle);
        let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
        assert!(ready(fetched.as_mut()).is_none());
        stand.quiet();
        // It is not heard of for 5 s, and counted as dead.
        stand.clock.pass(Duration::from_secs(6));
        let (second, mut inbox) = stand.start();
        assert_eq!(second.worker, first.worker);
        assert_ne!(second.run, first.run);
        if late == "started" {
            stand.started(&first, &[]);
            stand.quiet();
            assert!(ready(fetched.as_mut()).is_none(), "it has not started");
        }
        stand.started(&second, &[EventType::Fetch]);
        match late {
            "died" => stand.died(&first),
            "failed" => stand.start_failed(&first, "too late"),
            "listens" => stand.handle.host_event(HostEvent::ListenersChanged {
                worker: first.worker,
                run: first.run,
                event_types: service_worker::types::EventTypes::NONE,
            }),
            _ => {}
        }
        drop(first_inbox);
        stand.quiet();
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        dispatch.responder.respond(FetchAnswer::NotHandled);
        drop(dispatch.keep_alive);
        let fetched = stand.settle("the page", fetched).unwrap();
        assert_eq!(fetched.answered_by, AnsweredBy::Network, "{late}");
        // Its own death counts, although nothing was heard of the first one's.
        stand.died(&second);
        stand.quiet();
        let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 2, SITE)));
        assert!(ready(fetched.as_mut()).is_none());
        let (third, _inbox) = stand.start();
        assert_eq!(third.worker, first.worker);
    }
}

/// Two fetches: the worker is busy with the first, and has not come to the second.
#[test]
fn a_fetch_that_a_worker_did_not_come_to_before_it_ended_is_handled_by_its_next_run() {
    for crashes in [true, false] {
        let mut stand = Stand::new(Policies::seeds());
        let (first, mut inbox) = stand.activated();
        let mut stuck = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
        assert!(ready(stuck.as_mut()).is_none());
        stand.quiet();
        assert!(ready(stuck.as_mut()).is_none());
        let busy = stand.event(&mut inbox);
        let mut behind = pin!(stand.handle.fetch(navigation(&stand, 2, SITE)));
        assert!(ready(behind.as_mut()).is_none());
        stand.quiet();
        if !crashes {
            // The event timeout is 5 min.
            for _ in 0..11 {
                stand.clock.pass(Duration::from_secs(30));
                stand.quiet();
            }
            assert_eq!(stop_reason(&stand.stop()), StopReason::EventTimeout);
        }
        stand.died(&first);
        stand.quiet();
        drop((inbox, busy));
        let error = stand.settle("the end of the first", stuck).unwrap_err();
        assert!(
            error.to_string().contains("died before it answered"),
            "{error}"
        );
        assert!(ready(behind.as_mut()).is_none());
        let (second, mut inbox) = stand.start();
        assert_ne!(second.run, first.run);
        stand.started(&second, &[EventType::Fetch]);
        stand.quiet();
        assert!(ready(behind.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        let error = FetchAnswer::Failed("it says so".to_owned());
        dispatch.responder.respond(error);
        let error = stand.settle("its answer", behind).unwrap_err();
        assert!(error.to_string().contains("it says so"), "{error}");
    }
}

/// Each time before it comes to the event.
#[test]
fn a_fetch_whose_worker_ends_again_and_again_is_a_network_error() {
    let mut stand = Stand::new(Policies::seeds());
    let (mut run, mut inbox) = stand.activated();
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    for ends in 0.. {
        assert!(ready(fetched.as_mut()).is_none());
        stand.quiet();
        stand.died(&run);
        stand.quiet();
        drop(inbox);
        if let Some(ended) = ready(fetched.as_mut()) {
            assert_eq!(ends, 2);
            let error = ended.unwrap_err().to_string();
            assert!(error.contains("stopped 3 times"), "{error}");
            return;
        }
        (run, inbox) = stand.start();
        stand.started(&run, &[EventType::Fetch]);
        stand.quiet();
    }
}

#[test]
fn a_worker_that_was_woken_for_a_fetch_is_not_stopped_before_the_fetch_has_reached_it() {
    let mut stand = Stand::new(Policies::seeds());
    let (first, _inbox) = stand.activated();
    stand.idle_stop(&first);
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let (second, mut inbox) = stand.start();
    // The host comes to nothing for so long that a worker would be idle.
    stand.is_busy = true;
    stand.started(&second, &[EventType::Fetch]);
    stand.quiet();
    for _ in 0..3 {
        stand.clock.pass(Duration::from_secs(31));
        stand.quiet();
    }
    stand.is_busy = false;
    stand.quiet();
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    let answer = FetchAnswer::Failed("it was reached".to_owned());
    dispatch.responder.respond(answer);
    let error = stand.settle("its answer", fetched).unwrap_err();
    assert!(error.to_string().contains("it was reached"), "{error}");
}
