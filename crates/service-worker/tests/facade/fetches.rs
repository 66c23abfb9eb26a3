//! Who is asked for a response, and what becomes of the request when they fail.

use std::pin::pin;
use std::time::Duration;

use http::StatusCode;
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{EventType, Origin, WorkerState};
use service_worker::{
    AnsweredBy, Body, EventDetail, FetchAnswer, FetchError, HostCommand, HostEvent, Policies,
    Response, StartWorker, WorkerInbox,
};

use crate::stand::{Disk, FONT, FONTS, JS, SITE, Stand, navigation, ready, subresource, url};

const INSTALLS: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    ("service-worker-script", "/sw.js"),
    ("service-worker-scope", "/"),
];

/// Lets a header install the worker of [`FONTS`], which takes what begins with `/font`.
pub(crate) fn fonts(stand: &mut Stand) -> (StartWorker, WorkerInbox) {
    stand.network.serve(FONT, INSTALLS, "from the network");
    let page = stand.page(1, SITE);
    let fetched = stand.handle.fetch(subresource(page, FONT));
    let fetched = stand.settle("the font", fetched).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    let (start, inbox) = stand.start();
    stand.started(&start, &[EventType::Install, EventType::Fetch]);
    let (HostCommand::Dispatch { event, detail, .. }, _) = stand.command() else {
        panic!("expected an install event");
    };
    assert!(matches!(detail, EventDetail::Install));
    let prefixes = ["/font".to_owned()];
    stand
        .handle
        .handle_fall_through_requests(start.worker, event, &prefixes, None)
        .unwrap();
    stand.handle.host_event(HostEvent::Settled {
        worker: start.worker,
        event,
        outcome: service_worker::EventOutcome::Fulfilled,
    });
    stand.until_state(WorkerState::Activated);
    stand.quiet();
    (start, inbox)
}

pub(crate) fn ok(body: impl Into<Body>) -> FetchAnswer {
    let anybody = http::HeaderValue::from_static("*");
    let allow = [(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody)];
    let head = ResponseHead::new(StatusCode::OK, allow.into_iter().collect());
    let body = body.into();
    FetchAnswer::Response(Box::new(Response { head, body }))
}

#[test]
fn a_worker_that_a_header_installed_to_serve_others_only_sees_no_navigation() {
    let mut stand = Stand::new(Policies::shipping());
    // On its own site, so that the partition is the same.
    stand.network.serve(SITE, INSTALLS, "from the network");
    let request = navigation(&stand, 1, SITE);
    let fetched = stand.handle.fetch(request);
    stand.settle("the page", fetched).unwrap();
    let (start, _inbox) = stand.start();
    stand.started(&start, &[EventType::Fetch]);
    stand.until_state(WorkerState::Activated);
    let request = navigation(&stand, 2, SITE);
    let fetched = stand.handle.fetch(request);
    let fetched = stand.settle("the page", fetched).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
}

#[test]
fn the_same_header_is_heard_again_when_the_host_has_changed_its_policy() {
    let store = Disk::default();
    let mut stand = Stand::with_store(Policies::shipping(), Box::new(store.clone()));
    stand.network.serve(SITE, INSTALLS, "from the network");
    let fetched = stand.handle.fetch(navigation(&stand, 1, SITE));
    stand.settle("the page", fetched).unwrap();
    let (start, _inbox) = stand.start();
    stand.started(&start, &[EventType::Fetch]);
    stand.until_state(WorkerState::Activated);
    let ended = stand.handle.shut_down();
    stand.settle("the end", ended);
    // The partitions stay, so that the registration is found.
    let mut full = Policies::shipping();
    full.header_install = service_worker::types::HeaderInstall::Full;
    let mut stand = Stand::with_store(full, Box::new(store));
    stand.network.serve(SITE, INSTALLS, "from the network");
    let fetched = stand.handle.fetch(navigation(&stand, 1, SITE));
    stand.settle("the page", fetched).unwrap();
    stand.quiet();
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 2, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    stand.start();
}

#[test]
fn a_worker_that_fails_a_navigation_is_updated() {
    for how in ["rejects", "cancels", "dies"] {
        let mut stand = Stand::new(Policies::seeds());
        let (start, mut inbox) = stand.activated();
        let script = format!("{SITE}sw.js");
        let before = stand.network.asked(&script);
        let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
        assert!(ready(fetched.as_mut()).is_none());
        let mut dispatch = stand.event(&mut inbox);
        dispatch.responder.respond_with_entered();
        match how {
            "rejects" => dispatch
                .responder
                .respond(FetchAnswer::Failed("broken".into())),
            "cancels" => dispatch.responder.respond(FetchAnswer::Canceled),
            _ => drop(dispatch.responder),
        }
        let failed = stand.settle("the failure", fetched).unwrap_err();
        assert!(
            matches!(&failed, FetchError::Worker { worker, .. } if *worker == start.worker),
            "{how}: {failed}"
        );
        // Not while the page would load.
        stand.quiet();
        assert_eq!(stand.network.asked(&script), before);
        stand.clock.pass(Policies::seeds().limits.soft_update_delay);
        stand.until("the update", |stand| {
            (stand.network.asked(&script) > before).then_some(())
        });
    }
}

#[test]
fn fetches_that_come_while_a_worker_starts_pass_it_by_if_it_does_not() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, inbox) = stand.activated();
    stand.network.serve(SITE, &[], "from the network");
    stand.idle_stop(&start);
    drop(inbox);
    let mut first = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(first.as_mut()).is_none());
    let (start, inbox) = stand.start();
    let mut second = pin!(stand.handle.fetch(navigation(&stand, 2, SITE)));
    assert!(ready(second.as_mut()).is_none());
    stand.quiet();
    drop(inbox);
    stand.start_failed(&start, "it throws today");
    for fetched in [first, second] {
        let fetched = stand.settle("a page", fetched);
        assert_eq!(fetched.unwrap().answered_by, AnsweredBy::Network);
    }
}

#[test]
fn a_navigation_gives_its_worker_to_the_client_that_it_makes_and_to_no_other() {
    let mut stand = Stand::new(Policies::seeds());
    let (_start, mut inbox) = stand.activated();
    let opener = stand.page(1, SITE);
    let mut request = navigation(&stand, 2, SITE);
    request.client = opener;
    let made = request.reserved.as_ref().unwrap().id;
    let mut fetched = pin!(stand.handle.fetch(request));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    dispatch.responder.respond(ok("hello"));
    stand.settle("the page", fetched).unwrap();
    stand.quiet();
    assert!(stand.handle.controller(opener).is_none());
    assert!(stand.handle.controller(made).is_some());
}

#[test]
fn a_worker_that_a_header_installed_and_whose_install_event_fails_is_left_alone_for_a_while() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(FONT, INSTALLS, "from the network");
    let page = stand.page(1, SITE);
    let font = stand.handle.fetch(subresource(page, FONT));
    stand.settle("the font", font).unwrap();
    let (start, _inbox) = stand.start();
    stand.started(&start, &[EventType::Install]);
    let (HostCommand::Dispatch { event, .. }, _) = stand.command() else {
        panic!("expected an install event");
    };
    // Meanwhile others bring the same header.
    let font = stand.handle.fetch(subresource(page, FONT));
    stand.settle("the font", font).unwrap();
    stand.handle.host_event(HostEvent::Settled {
        worker: start.worker,
        event,
        outcome: service_worker::EventOutcome::Rejected("not today".into()),
    });
    stand.until_state(WorkerState::Redundant);
    stand.stop();
    stand.died(&start);
    stand.until_report(|report| {
        matches!(report, service_worker::Report::HeaderInstallFailed { .. })
    });
    stand.quiet();
    let font = stand.handle.fetch(subresource(page, FONT));
    stand.settle("the font", font).unwrap();
    for _ in 0..100 {
        stand.quiet();
    }
    assert_eq!(stand.network.asked(&format!("{FONTS}sw.js")), 1);
}

#[test]
fn a_script_behind_a_redirect_is_a_security_error() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve_as(
        StatusCode::FOUND,
        &format!("{SITE}sw.js"),
        &[JS, ("location", "/other.js")],
        "",
    );
    let page = stand.page(1, SITE);
    let registered = stand.handle.register(page, crate::stand::options());
    let error = stand.settle("the refusal", registered).unwrap_err();
    assert!(
        error.to_string().starts_with("SecurityError"),
        "found {error}"
    );
    assert_eq!(stand.network.asked("https://site.test/other.js"), 0);
}

#[test]
fn the_worker_of_another_origin_is_passed_by_before_respond_with_and_is_final_after() {
    for (entered, late) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut stand = Stand::new(Policies::seeds());
        let (start, mut inbox) = fonts(&mut stand);
        assert_eq!(start.environment.origin, Origin::of(&url(FONTS)));
        let page = stand.page(2, SITE);
        let mut fetched = pin!(stand.handle.fetch(subresource(page, FONT)));
        assert!(ready(fetched.as_mut()).is_none());
        let mut dispatch = stand.event(&mut inbox);
        if entered {
            dispatch.responder.respond_with_entered();
        }
        assert!(ready(fetched.as_mut()).is_none());
        let kept = if late {
            // The fall-through deadline is 10 s.
            stand.clock.pass(Duration::from_secs(11));
            (!entered).then_some(dispatch)
        } else {
            drop(dispatch);
            None
        };
        let fetched = stand.settle("what comes of it", fetched);
        drop(kept);
        match fetched {
            Ok(fetched) => assert!(!entered && fetched.answered_by == AnsweredBy::Network),
            Err(error) => assert!(entered && matches!(error, FetchError::Worker { .. })),
        }
    }
}

#[test]
fn a_fetch_whose_caller_is_gone_holds_no_edge_of_the_wait_for_graph() {
    let mut policies = Policies::seeds();
    policies.limits.fall_through_depth = 1;
    let mut stand = Stand::new(policies);
    let (_start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    for _ in 0..3 {
        let mut fetched = Box::pin(stand.handle.fetch(subresource(page, FONT)));
        assert!(ready(fetched.as_mut()).is_none());
        let dispatch = stand.event(&mut inbox);
        drop(fetched);
        dispatch.responder.respond(ok("too late"));
    }
    let mut fetched = pin!(stand.handle.fetch(subresource(page, FONT)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    dispatch.responder.respond(FetchAnswer::NotHandled);
    stand.settle("the font", fetched).unwrap();
}

#[test]
fn what_keeps_a_script_from_being_installed_by_a_header_keeps_it_from_updating_such_a_worker() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, _inbox) = fonts(&mut stand);
    let attachment = ("content-disposition", "attachment");
    let script = format!("{FONTS}sw.js");
    stand.network.serve(&script, &[JS, attachment], "changed");
    let updated = stand.handle.update(start.registration.id, None, None);
    let mut updated = pin!(updated);
    let error = stand.until("the refusal, or a start", |stand| {
        let started = stand
            .taken()
            .is_some_and(|(command, _)| matches!(command, HostCommand::StartWorker(_)));
        assert!(!started, "an attachment was run");
        ready(updated.as_mut())
    });
    assert!(error.is_err());
}
