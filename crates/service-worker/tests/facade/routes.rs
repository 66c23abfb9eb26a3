//! Router rules: when they can be added, who answers by them, and what becomes of who lost a race.

use std::pin::pin;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use service_worker::fetch_router::{
    RouterCondition, RouterRule, RouterSource, RouterSourceEnum, RunningStatus, SkipReason,
    StaticRoute, UrlPatternCompatible,
};
use service_worker::types::fetch::{ResponseHead, ResponseType};
use service_worker::types::{ClientId, EventId, EventType, WorkerState};
use service_worker::{
    AnsweredBy, Body, EventDetail, EventOutcome, FetchAnswer, FetchError, Fetched, HostCommand,
    HostEvent, JobError, NetworkUse, Policies, Response, StartWorker, WorkerInbox,
};

use crate::stand::{Disk, JS, SITE, Stand, navigation, options, ready, subresource, url};

pub(crate) const LEAF: &str = "https://site.test/leaf";

pub(crate) fn rule(path: &str, source: RouterSource) -> RouterRule {
    let condition = RouterCondition {
        url_pattern: Some(UrlPatternCompatible::String(path.into())),
        ..RouterCondition::default()
    };
    RouterRule { condition, source }
}

fn ok(body: &'static str) -> FetchAnswer {
    let head = ResponseHead::new(StatusCode::OK, HeaderMap::new());
    let body = Body::from(body);
    FetchAnswer::Response(Box::new(Response { head, body }))
}

/// A worker that is handling its install event.
pub(crate) fn installing(
    stand: &mut Stand,
    listens: &[EventType],
) -> (StartWorker, WorkerInbox, EventId) {
    let page = stand.page(1_000, SITE);
    let registering = stand.handle.register(page, options());
    let (start, inbox) = stand.start();
    stand.started(&start, listens);
    stand.settle("the registration", registering).unwrap();
    let (HostCommand::Dispatch { event, detail, .. }, _) = stand.command() else {
        panic!("expected an install event");
    };
    assert!(matches!(detail, EventDetail::Install));
    stand.handle.host_event(HostEvent::ClientGone(page));
    (start, inbox, event)
}

pub(crate) fn installed(stand: &mut Stand, start: &StartWorker, event: EventId) {
    stand.handle.host_event(HostEvent::Settled {
        worker: start.worker,
        event,
        outcome: EventOutcome::Fulfilled,
    });
    stand.until_state(WorkerState::Activated);
    stand.quiet();
}

/// An activated worker with these rules.
pub(crate) fn routed(stand: &mut Stand, rules: Vec<RouterRule>) -> (StartWorker, WorkerInbox) {
    let listens = [EventType::Install, EventType::Fetch];
    let (start, inbox, event) = installing(stand, &listens);
    let adding = stand.handle.add_routes(start.worker, event, rules);
    stand.settle("the routes", adding).unwrap();
    installed(stand, &start, event);
    (start, inbox)
}

/// A page that the worker controls.
pub(crate) fn controlled(stand: &mut Stand, worker: &mut WorkerInbox) -> ClientId {
    let request = navigation(stand, 1, SITE);
    let page = request.client;
    stand.network.serve(SITE, &[], "a page");
    let mut fetching = pin!(stand.handle.fetch(request));
    stand
        .until("the page", |stand| {
            if let Some(event) = crate::stand::next(worker) {
                event.responder.respond(FetchAnswer::NotHandled);
            }
            let _ended = stand.turn();
            ready(fetching.as_mut())
        })
        .unwrap();
    stand.handle.host_event(HostEvent::ClientReady(page));
    stand.quiet();
    page
}

fn text(fetched: Fetched) -> Vec<u8> {
    let mut collecting = pin!(fetched.response.body.collect(1 << 10));
    ready(collecting.as_mut()).unwrap().unwrap().to_vec()
}

#[test]
fn a_rule_for_the_network_starts_no_worker() {
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(LEAF, &[], "from the network");
    let (start, mut inbox) = routed(&mut stand, vec![rule("/leaf", RouterSource::Network)]);
    let page = controlled(&mut stand, &mut inbox);
    stand.idle_stop(&start);
    let fetching = stand.handle.fetch(subresource(page, LEAF));
    let fetched = stand.settle("the leaf", fetching).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    assert_eq!(
        fetched.route.own.skipped(),
        Some(SkipReason::RoutedToNetwork)
    );
    let source = RouterSourceEnum::Network;
    let expected = Some(StaticRoute { rule: 0, source });
    assert_eq!(fetched.route.static_route, expected);
    assert_eq!(fetched.timing.matched_router_source, Some(source));
    assert_eq!(fetched.timing.final_router_source, Some(source));
    assert!(fetched.timing.router_evaluation_start.is_some());
    assert_eq!(fetched.timing.start, None);
    // Nor does a navigation.
    let request = navigation(&stand, 2, LEAF);
    let fetching = stand.handle.fetch(request);
    let fetched = stand.settle("the navigation", fetching).unwrap();
    assert_eq!(text(fetched), b"from the network");
    stand.quiet();
    let idle = crate::stand::next(&mut stand.commands);
    assert!(
        !matches!(idle, Some((HostCommand::StartWorker(_), _))),
        "a worker was started"
    );
}

#[test]
fn a_cache_answers_and_where_it_has_nothing_the_network_does() {
    let mut stand = Stand::new(Policies::shipping());
    let rules = vec![
        rule("/leaf", RouterSource::NamedCache("b".into())),
        rule("/*", RouterSource::Cache),
    ];
    let (start, mut inbox) = routed(&mut stand, rules);
    let page = controlled(&mut stand, &mut inbox);
    let head = || ResponseHead::new(StatusCode::OK, HeaderMap::new());
    stand.caches.put("a", LEAF, head());
    stand.caches.put("b", LEAF, head());
    stand.caches.put("a", "https://site.test/other", head());
    let mut get = |to: &str| {
        let fetching = stand.handle.fetch(subresource(page, to));
        stand.settle("an answer", fetching).unwrap()
    };
    let fetched = get(LEAF);
    assert_eq!(fetched.answered_by, AnsweredBy::CacheStorage(start.worker));
    let cache = Some(RouterSourceEnum::Cache);
    assert_eq!(fetched.timing.matched_router_source, cache);
    assert_eq!(fetched.timing.final_router_source, cache);
    assert!(fetched.timing.cache_lookup_start.is_some());
    assert_eq!(text(fetched), b"b");
    assert_eq!(text(get("https://site.test/other")), b"a");
    // Nothing there, and then not even on the network.
    let fetching = stand
        .handle
        .fetch(subresource(page, "https://site.test/missing"));
    let missing = stand.settle("a failure", fetching);
    assert!(
        matches!(missing, Err(FetchError::Network(_))),
        "{missing:?}"
    );
    stand
        .network
        .serve("https://site.test/there", &[], "from the network");
    let fetching = stand
        .handle
        .fetch(subresource(page, "https://site.test/there"));
    let fetched = stand.settle("the network", fetching).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    assert_eq!(fetched.timing.matched_router_source, cache);
    let network = Some(RouterSourceEnum::Network);
    assert_eq!(fetched.timing.final_router_source, network);
    assert!(crate::stand::next(&mut inbox).is_none());
}

#[test]
fn what_a_cache_holds_is_checked_as_a_workers_answer_is() {
    let mut stand = Stand::new(Policies::shipping());
    let (_, mut inbox) = routed(&mut stand, vec![rule("*://*/leaf", RouterSource::Cache)]);
    let page = controlled(&mut stand, &mut inbox);
    let opaque = |to: &str, policy: Option<&'static str>| {
        let mut head = ResponseHead::new(StatusCode::OK, HeaderMap::new());
        head.response_type = ResponseType::Opaque;
        head.url_list = vec![url(to)];
        if let Some(policy) = policy {
            let policy = HeaderValue::from_static(policy);
            head.headers.insert("cross-origin-resource-policy", policy);
        }
        head
    };
    // A cors request may not read it.
    let far = "https://far.test/leaf";
    stand.caches.put("a", far, opaque(far, None));
    let fetching = stand.handle.fetch(subresource(page, far));
    let refused = stand.settle("a refusal", fetching);
    assert!(
        matches!(refused, Err(FetchError::Blocked { .. })),
        "{refused:?}"
    );
    // One that is for its own origin only is passed by.
    let own = "https://own.test/leaf";
    stand.caches.put("a", own, opaque(own, Some("same-origin")));
    stand.network.serve(own, &[], "from the network");
    let fetching = stand.handle.fetch(subresource(page, own));
    let fetched = stand.settle("the network", fetching).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
}

#[test]
fn the_handler_wins_a_race_and_the_request_is_aborted() {
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(LEAF, &[], "from the network");
    let race = RouterSource::RaceNetworkAndFetchHandler;
    let (start, mut inbox) = routed(&mut stand, vec![rule("/leaf", race)]);
    let page = controlled(&mut stand, &mut inbox);
    let slow = stand.network.hold(LEAF);
    let mut fetching = pin!(stand.handle.fetch(subresource(page, LEAF)));
    assert!(ready(fetching.as_mut()).is_none());
    let event = stand.event(&mut inbox);
    assert_eq!(stand.network.asked(LEAF), 1);
    event.responder.respond(ok("from the worker"));
    let fetched = stand.settle("the handler", fetching).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::OwnWorker(start.worker));
    let (race, handler) = (
        RouterSourceEnum::RaceNetworkAndFetchHandler,
        RouterSourceEnum::FetchEvent,
    );
    assert_eq!(fetched.timing.matched_router_source, Some(race));
    assert_eq!(fetched.timing.final_router_source, Some(handler));
    assert!(fetched.timing.fetch_event_dispatch.is_some());
    assert!(slow.is_canceled());
}

#[test]
fn the_network_wins_a_race_and_the_event_is_handled_all_the_same() {
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(LEAF, &[], "from the network");
    let race = RouterSource::RaceNetworkAndFetchHandler;
    let (start, mut inbox) = routed(&mut stand, vec![rule("/leaf", race)]);
    let page = controlled(&mut stand, &mut inbox);
    stand.idle_stop(&start);
    let fetching = stand.handle.fetch(subresource(page, LEAF));
    let fetched = stand.settle("the network", fetching).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    let network = RouterSourceEnum::Network;
    assert_eq!(fetched.timing.final_router_source, Some(network));
    // The worker had not even been started.
    let (again, mut inbox) = stand.start();
    stand.started(&again, &[EventType::Install, EventType::Fetch]);
    let event = stand.event(&mut inbox);
    event.responder.respond(ok("too late"));
    stand.quiet();
}

#[test]
fn in_a_race_only_an_ok_response_wins_and_a_handler_that_does_not_answer_leaves_the_networks() {
    let mut stand = Stand::new(Policies::shipping());
    stand
        .network
        .serve_as(StatusCode::NOT_FOUND, LEAF, &[], "nothing");
    let race = RouterSource::RaceNetworkAndFetchHandler;
    let (_, mut inbox) = routed(&mut stand, vec![rule("/leaf*", race)]);
    let page = controlled(&mut stand, &mut inbox);
    let before = stand.network.asked(LEAF);
    for (answer, expected) in [
        (ok("from the worker"), Ok(&b"from the worker"[..])),
        (FetchAnswer::NotHandled, Ok(b"nothing")),
        (FetchAnswer::Failed("hot".into()), Err(())),
    ] {
        let mut fetching = pin!(stand.handle.fetch(subresource(page, LEAF)));
        assert!(ready(fetching.as_mut()).is_none());
        let event = stand.event(&mut inbox);
        event.responder.respond(answer);
        let fetched = stand.settle("an answer", fetching);
        assert_eq!(fetched.map(text).as_deref().map_err(|_| ()), expected);
    }
    assert_eq!(stand.network.asked(LEAF), before + 3);
    // A network that fails does not win either.
    let nowhere = "https://site.test/leaf/nowhere";
    let mut fetching = pin!(stand.handle.fetch(subresource(page, nowhere)));
    assert!(ready(fetching.as_mut()).is_none());
    let event = stand.event(&mut inbox);
    event.responder.respond(FetchAnswer::NotHandled);
    let failed = stand.settle("a failure", fetching);
    assert!(matches!(failed, Err(FetchError::Network(_))), "{failed:?}");
}

#[test]
fn what_cannot_race_is_asked_of_the_handler_alone() {
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(LEAF, &[], "from the network");
    let race = RouterSource::RaceNetworkAndFetchHandler;
    let (_, mut inbox) = routed(&mut stand, vec![rule("/leaf", race)]);
    let page = controlled(&mut stand, &mut inbox);
    let mut posted = subresource(page, LEAF);
    posted.head.method = Method::POST;
    let mut forbidden = subresource(page, LEAF);
    forbidden.network = NetworkUse::Forbidden;
    for request in [posted, forbidden] {
        let mut fetching = pin!(stand.handle.fetch(request));
        assert!(ready(fetching.as_mut()).is_none());
        let event = stand.event(&mut inbox);
        event.responder.respond(ok("from the worker"));
        let fetched = stand.settle("the handler", fetching).unwrap();
        assert_eq!(text(fetched), b"from the worker");
    }
    assert_eq!(stand.network.asked(LEAF), 0);
}

#[test]
fn a_client_that_goes_away_ends_its_race() {
    let mut stand = Stand::new(Policies::shipping());
    stand.network.serve(LEAF, &[], "from the network");
    let race = RouterSource::RaceNetworkAndFetchHandler;
    let (_, mut inbox) = routed(&mut stand, vec![rule("/leaf", race)]);
    let page = controlled(&mut stand, &mut inbox);
    let slow = stand.network.hold(LEAF);
    {
        let mut fetching = pin!(stand.handle.fetch(subresource(page, LEAF)));
        assert!(ready(fetching.as_mut()).is_none());
        stand.event(&mut inbox).responder.respond_with_entered();
    }
    assert!(slow.is_canceled());
}

#[test]
fn rules_are_added_while_the_worker_is_installed_and_at_no_other_time() {
    let mut stand = Stand::new(Policies::shipping());
    let (start, _inbox, event) = installing(&mut stand, &[EventType::Install]);
    let network = || vec![rule("/*", RouterSource::Network)];
    let add = |stand: &mut Stand, event, rules| {
        let adding = stand.handle.add_routes(start.worker, event, rules);
        stand.settle("an answer", adding)
    };
    // It listens to no fetch.
    let refused = add(
        &mut stand,
        event,
        vec![rule("/*", RouterSource::FetchEvent)],
    );
    assert!(matches!(refused, Err(JobError::Type(_))), "{refused:?}");
    let refused = add(
        &mut stand,
        event,
        vec![rule("/([0-9]+)", RouterSource::Network)],
    );
    assert!(matches!(refused, Err(JobError::Type(_))), "{refused:?}");
    let refused = add(&mut stand, EventId(99), network());
    assert!(
        matches!(refused, Err(JobError::InvalidState(_))),
        "{refused:?}"
    );
    add(&mut stand, event, network()).unwrap();
    add(&mut stand, event, network()).unwrap();
    // 1022 more are one too many, and then none of them counts.
    let many = (0..1023)
        .map(|_| rule("/", RouterSource::Network))
        .collect();
    let refused = add(&mut stand, event, many);
    assert!(matches!(refused, Err(JobError::Type(_))), "{refused:?}");
    installed(&mut stand, &start, event);
    let refused = add(&mut stand, event, network());
    assert!(
        matches!(refused, Err(JobError::InvalidState(_))),
        "{refused:?}"
    );
    // Without a fetch listener, and all the same no request is asked of nobody.
    stand.network.serve(LEAF, &[], "from the network");
    let request = navigation(&stand, 2, LEAF);
    let fetching = stand.handle.fetch(request);
    let fetched = stand.settle("the network", fetching).unwrap();
    assert_eq!(
        fetched.route.own.skipped(),
        Some(SkipReason::RoutedToNetwork)
    );
}

#[test]
fn rules_outlive_a_restart_and_go_with_their_worker() {
    let disk = Disk::default();
    let mut stand = Stand::with_store(Policies::shipping(), Box::new(disk.clone()));
    let not_running = RouterRule {
        condition: RouterCondition {
            running_status: Some(RunningStatus::NotRunning),
            ..RouterCondition::default()
        },
        source: RouterSource::Network,
    };
    let (start, mut inbox) = routed(&mut stand, vec![not_running]);
    let asks_worker = |stand: &mut Stand, id| {
        let request = navigation(stand, id, LEAF);
        let mut fetching = pin!(stand.handle.fetch(request));
        let fetched = ready(fetching.as_mut());
        fetched.is_none()
    };
    stand.network.serve(LEAF, &[], "from the network");
    assert!(asks_worker(&mut stand, 2), "it runs");
    drop(stand.event(&mut inbox));
    stand.idle_stop(&start);
    assert!(!asks_worker(&mut stand, 3), "it does not run");
    drop(stand);

    let mut stand = Stand::with_store(Policies::shipping(), Box::new(disk));
    stand.network.serve(LEAF, &[], "from the network");
    // The next version has rules of its own, or none. The navigation looks for it.
    let script = format!("{SITE}sw.js");
    stand.network.serve(&script, &[JS], "another");
    assert!(!asks_worker(&mut stand, 4), "it does not run");
    stand.handle.host_event(HostEvent::ClientGone(ClientId(4)));
    stand.quiet();
    stand
        .clock
        .pass(Policies::shipping().limits.soft_update_delay);
    let (start, _inbox) = stand.start();
    stand.started(&start, &[EventType::Fetch]);
    stand.until_state(WorkerState::Activated);
    stand.idle_stop(&start);
    assert!(asks_worker(&mut stand, 5), "there are no rules any more");
}
