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
