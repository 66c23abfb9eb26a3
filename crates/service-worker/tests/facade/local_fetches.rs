//! `local_fetch`: a worker answers, or nobody does, and the network is never asked. (SEMANTICS §5.5.)

use std::pin::pin;

use service_worker::fetch_router::{LoopReason, SkipReason};
use service_worker::types::EventType;
use service_worker::types::fetch::{LookAside, ServiceWorkersMode};
use service_worker::{
    AnsweredBy, EventDetail, EventOutcome, FetchAnswer, FetchError, FetchRequest, HostCommand,
    HostEvent, Outcome, PassedBy, Policies, StartWorker, WorkerInbox,
};

use crate::fetches::ok;
use crate::records::{MS, attempts};
use crate::routes::{installed, installing};
use crate::stand::{FONT, SITE, Stand, ready, subresource};

/// A registration of [`SITE`], whose worker controls no page.
fn local(stand: &mut Stand) -> (StartWorker, WorkerInbox) {
    let (start, inbox, event) = installing(stand, &[EventType::Install, EventType::Fetch]);
    installed(stand, &start, event);
    (start, inbox)
}

fn local_fetch(stand: &mut Stand, id: u64, to: &str) -> FetchRequest {
    let page = stand.page(id, SITE);
    let mut request = subresource(page, to);
    request.head.look_aside = LookAside::Local;
    request
}

#[test]
fn a_local_fetch_of_the_own_origin_asks_the_worker_that_matches_and_never_the_network() {
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(SITE, &[], "from the network");
    let (start, mut inbox) = local(&mut stand);
    // A page that nobody controls.
    let request = local_fetch(&mut stand, 1, SITE);
    let page = request.client;
    let mut fetching = pin!(stand.handle.fetch_with_record(request));
    assert!(ready(fetching.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    assert!(!dispatch.detail.is_fall_through);
    assert_eq!(dispatch.detail.client, Some(page));
    dispatch.responder.respond(ok("local"));
    drop(dispatch.keep_alive);
    let (fetched, record) = stand.settle("the answer", fetching);
    let who = AnsweredBy::LocalWorker(start.worker);
    assert_eq!(fetched.unwrap().answered_by, who);
    assert_eq!(attempts(&record.unwrap()), [(who, Outcome::Answered, 0)]);
    assert_eq!(stand.network.asked(SITE), 0);
}

#[test]
fn a_local_fetch_that_nobody_answers_settles_at_the_same_floor_whether_or_not_somebody_was_asked() {
    let floor = Policies::shipping().limits.connect_floor;
    let settles = |stand: &mut Stand, request: FetchRequest, inbox: Option<&mut WorkerInbox>| {
        let mut fetching = pin!(stand.handle.fetch_with_record(request));
        assert!(ready(fetching.as_mut()).is_none());
        if let Some(inbox) = inbox {
            let dispatch = stand.event(inbox);
            stand.clock.pass(MS(10));
            dispatch.responder.respond(FetchAnswer::NotHandled);
            drop(dispatch.keep_alive);
        } else {
            stand.clock.pass(MS(10));
        }
        stand.clock.pass(floor - MS(11));
        assert!(ready(fetching.as_mut()).is_none(), "it settles too early");
        stand.clock.pass(MS(1));
        let (failed, record) = ready(fetching.as_mut()).expect("it settles at the floor");
        assert!(matches!(failed, Err(FetchError::NoLocalWorker(_))));
        assert_eq!(record.unwrap().took, floor);
    };
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(SITE, &[], "from the network");
    let request = local_fetch(&mut stand, 1, SITE);
    settles(&mut stand, request, None);
    let (_start, mut inbox) = local(&mut stand);
    let request = local_fetch(&mut stand, 2, SITE);
    settles(&mut stand, request, Some(&mut inbox));
    // Another origin's is asked by the rules of fall-through: here, nobody offers.
    let request = local_fetch(&mut stand, 3, FONT);
    settles(&mut stand, request, None);
    assert_eq!(stand.network.asked(SITE) + stand.network.asked(FONT), 0);
}

#[test]
fn a_worker_does_not_ask_itself_by_a_local_fetch() {
    let mut stand = Stand::new(Policies::shipping());
    let (start, mut inbox) = local(&mut stand);
    let mut request = subresource(start.environment.id, SITE);
    request.head.look_aside = LookAside::Local;
    request.head.service_workers = ServiceWorkersMode::Foreign;
    let mut fetching = pin!(stand.handle.fetch_with_record(request));
    assert!(ready(fetching.as_mut()).is_none());
    stand.clock.pass(Policies::shipping().limits.connect_floor);
    let (failed, record) = stand.settle("the refusal", fetching);
    assert!(matches!(failed, Err(FetchError::NoLocalWorker(_))));
    let reason = record.unwrap().route.own.skipped();
    assert_eq!(reason, Some(SkipReason::OwnRegistration));
    stand.quiet();
    assert!(crate::stand::next(&mut inbox).is_none());
}

#[test]
fn workers_that_ask_one_another_by_local_fetches_end() {
    let mut stand = Stand::new(Policies::shipping());
    stand
        .network
        .serve(&format!("{SITE}part/sw.js"), &[crate::stand::JS], "sw");
    let (first, mut first_inbox) = local(&mut stand);
    let page = stand.page(500, SITE);
    let mut options = crate::stand::options();
    options.script_url = "/part/sw.js".into();
    let registering = stand.handle.register(page, options);
    let (second, mut second_inbox) = stand.start();
    stand.started(&second, &[EventType::Install, EventType::Fetch]);
    stand.settle("the registration", registering).unwrap();
    let (HostCommand::Dispatch { event, detail, .. }, _) = stand.command() else {
        panic!("expected an install event");
    };
    assert!(matches!(detail, EventDetail::Install));
    stand.handle.host_event(HostEvent::Settled {
        worker: second.worker,
        event,
        outcome: EventOutcome::Fulfilled,
    });
    stand.until_state(service_worker::types::WorkerState::Activated);
    let part = format!("{SITE}part/a");
    let ask = |from: &StartWorker, to: &str| {
        let mut request = subresource(from.environment.id, to);
        request.head.look_aside = LookAside::Local;
        request.head.service_workers = ServiceWorkersMode::Foreign;
        request
    };
    let mut there = pin!(stand.handle.fetch(ask(&first, &part)));
    assert!(ready(there.as_mut()).is_none());
    let there_event = stand.event(&mut second_inbox);
    let mut back = pin!(stand.handle.fetch_with_record(ask(&second, SITE)));
    assert!(ready(back.as_mut()).is_none());
    stand.quiet();
    assert!(crate::stand::next(&mut first_inbox).is_none(), "a circle");
    stand.clock.pass(Policies::shipping().limits.connect_floor);
    let (failed, record) = stand.settle("the refusal", back);
    assert!(matches!(failed, Err(FetchError::NoLocalWorker(_))));
    let cycle = Outcome::PassedBy(PassedBy::Loop(LoopReason::Cycle));
    let who = AnsweredBy::LocalWorker(first.worker);
    assert_eq!(attempts(&record.unwrap()), [(who, cycle, 0)]);
    there_event.responder.respond(ok("there"));
    drop(there_event.keep_alive);
    stand.settle("the answer", there).unwrap();
}
