//! The record of a fetch: who was asked, for how long by the host's clock, and why not the others.

use std::pin::pin;
use std::time::Duration;

use service_worker::fetch_router::{LoopReason, RouterSource, RouterSourceEnum, SkipReason};
use service_worker::types::fetch::{CredentialsMode, LookAside, ServiceWorkersMode};
use service_worker::types::{EventType, UncredentialedFallThrough};
use service_worker::{
    AnsweredBy, DecisionRecord, FetchAnswer, FetchError, FetchRequest, JobError, NetworkUse,
    Outcome, PassedBy, Policies, WorkerInbox,
};

use crate::fetches::{fonts, ok};
use crate::routes::{LEAF, controlled, installed, installing, routed, rule};
use crate::stand::{FONT, FONTS, SITE, Stand, navigation, ready, subresource};

/// The record of a fetch that needs nobody's help.
fn record(stand: &mut Stand, request: FetchRequest) -> DecisionRecord {
    let fetching = stand.handle.fetch_with_record(request);
    let (_, record) = stand.settle("the fetch", fetching);
    *record.expect("the client is known")
}

/// The same, of one whose worker does something while `after` passes.
fn record_of_event(
    stand: &mut Stand,
    inbox: &mut WorkerInbox,
    request: FetchRequest,
    answer: FetchAnswer,
    after: Duration,
) -> DecisionRecord {
    let mut fetching = pin!(stand.handle.fetch_with_record(request));
    assert!(ready(fetching.as_mut()).is_none());
    let mut dispatch = stand.event(inbox);
    stand.clock.pass(after);
    if !matches!(answer, FetchAnswer::NotHandled | FetchAnswer::Canceled) {
        dispatch.responder.respond_with_entered();
    }
    dispatch.responder.respond(answer);
    drop(dispatch.keep_alive);
    let (_, record) = stand.settle("the fetch", fetching);
    *record.expect("the client is known")
}

/// Who was asked, what came of it, and after how many milliseconds.
pub(crate) fn attempts(record: &DecisionRecord) -> Vec<(AnsweredBy, Outcome, u128)> {
    let attempts = record.attempts.iter();
    attempts
        .map(|it| (it.who, it.outcome.clone(), it.took.as_millis()))
        .collect()
}

fn skipped(record: &DecisionRecord) -> (Option<SkipReason>, Option<SkipReason>) {
    let route = &record.route;
    (route.own.skipped(), route.fall_through.skipped())
}

pub(crate) const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn where_nothing_is_registered_the_record_says_so_and_the_network_answers() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(SITE, &[], "");
    stand.network.serve(FONT, &[], "");
    let navigated = navigation(&stand, 1, SITE);
    let navigated = record(&mut stand, navigated);
    assert_eq!(
        skipped(&navigated),
        (Some(SkipReason::NoMatch), Some(SkipReason::NonSubresource))
    );
    assert_eq!(navigated.own_registration, None);
    let page = stand.page(2, SITE);
    let font = record(&mut stand, subresource(page, FONT));
    assert_eq!(
        skipped(&font),
        (
            Some(SkipReason::NoController),
            Some(SkipReason::NoRegistration)
        )
    );
    assert_eq!(
        attempts(&font),
        [(AnsweredBy::Network, Outcome::Answered, 0)]
    );
    assert_eq!(font.answered_by, Some(AnsweredBy::Network));
    let gone = service_worker::types::ClientId(77);
    let fetching = stand.handle.fetch_with_record(subresource(gone, FONT));
    let (fetched, record) = stand.settle("the refusal", fetching);
    assert!(matches!(fetched, Err(FetchError::UnknownClient)));
    assert_eq!(record, None);
}

#[test]
fn a_scope_that_matches_without_an_active_worker_is_told_from_none() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(SITE, &[], "");
    let (start, _inbox, event) = installing(&mut stand, &[EventType::Install, EventType::Fetch]);
    let request = navigation(&stand, 1, SITE);
    let during = record(&mut stand, request);
    assert_eq!(during.own_registration, Some(start.registration.id));
    assert_eq!(during.route.own.skipped(), Some(SkipReason::NotActive));
    // The same for others: the worker of another origin is not active yet either.
    let stranger = stand.page(2, FONTS);
    let mut request = subresource(stranger, SITE);
    request.head.origin = service_worker::types::Origin::of(&FONTS.parse().unwrap());
    let asked = record(&mut stand, request);
    assert_eq!(
        asked.route.fall_through.skipped(),
        Some(SkipReason::NotActive)
    );
    assert_eq!(asked.fall_through_registration, Some(start.registration.id));
    installed(&mut stand, &start, event);
}

#[test]
fn the_mode_and_a_missing_listener_have_their_reasons() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(SITE, &[], "");
    let (start, _inbox, event) = installing(&mut stand, &[EventType::Install]);
    installed(&mut stand, &start, event);
    let request = navigation(&stand, 1, SITE);
    let deaf = record(&mut stand, request);
    assert_eq!(deaf.own_registration, Some(start.registration.id));
    assert_eq!(deaf.route.own.skipped(), Some(SkipReason::NoFetchListener));
    for (mode, reason) in [
        (ServiceWorkersMode::None, SkipReason::ServiceWorkersModeNone),
        (
            ServiceWorkersMode::Foreign,
            SkipReason::ServiceWorkersModeForeign,
        ),
    ] {
        let mut request = subresource(service_worker::types::ClientId(1), SITE);
        request.head.service_workers = mode;
        let asked = record(&mut stand, request);
        assert_eq!(asked.route.own.skipped(), Some(reason));
    }
}

#[test]
fn an_installation_that_serves_others_only_is_named_as_the_reason() {
    let mut stand = Stand::new(Policies::shipping());
    let headers = [("service-worker-script", "/sw.js")];
    stand.network.serve(SITE, &headers, "");
    let request = navigation(&stand, 1, SITE);
    record(&mut stand, request);
    let (start, _inbox) = stand.start();
    stand.started(&start, &[EventType::Fetch]);
    stand.until_state(service_worker::types::WorkerState::Activated);
    let request = navigation(&stand, 2, SITE);
    let asked = record(&mut stand, request);
    assert_eq!(
        asked.route.own.skipped(),
        Some(SkipReason::ServesOthersOnly)
    );
}

#[test]
fn the_own_worker_is_recorded_with_what_it_did_and_how_long_it_took() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(SITE, &[], "");
    let (start, mut inbox) = stand.activated();
    let own = AnsweredBy::OwnWorker(start.worker);
    let cases = [
        (ok("hello"), vec![(own, Outcome::Answered, 30)]),
        (
            FetchAnswer::NotHandled,
            vec![
                (own, Outcome::NotHandled, 30),
                (AnsweredBy::Network, Outcome::Answered, 0),
            ],
        ),
        (
            FetchAnswer::Canceled,
            vec![(own, Outcome::Failed("canceled the event".into()), 30)],
        ),
        (
            FetchAnswer::Failed("no".into()),
            vec![(own, Outcome::Failed("failed: no".into()), 30)],
        ),
    ];
    for (id, (answer, expected)) in (1..).zip(cases) {
        let request = navigation(&stand, id, SITE);
        let asked = record_of_event(&mut stand, &mut inbox, request, answer, MS(30));
        assert_eq!(attempts(&asked), expected);
        assert_eq!(asked.took, MS(30));
        assert_eq!(asked.own_registration, Some(start.registration.id));
        let last = asked.attempts.last().unwrap();
        let answered = last.outcome == Outcome::Answered;
        assert_eq!(asked.answered_by, answered.then_some(last.who));
    }
    // A start is part of it.
    stand.idle_stop(&start);
    let request = navigation(&stand, 9, SITE);
    let mut fetching = pin!(stand.handle.fetch_with_record(request));
    assert!(ready(fetching.as_mut()).is_none());
    let (again, _inbox) = stand.start();
    stand.clock.pass(MS(7));
    stand.start_failed(&again, "not today");
    let (_, asked) = stand.settle("the fetch", fetching);
    let not_started = PassedBy::NotStarted(JobError::Start("not today".into()));
    assert_eq!(
        attempts(&asked.unwrap()),
        [
            (own, Outcome::PassedBy(not_started), 7),
            (AnsweredBy::Network, Outcome::Answered, 0)
        ]
    );
}

#[test]
fn an_answer_that_may_not_be_used_is_recorded_as_a_failure() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let denied = FetchAnswer::Response(Box::new(service_worker::Response {
        head: service_worker::types::fetch::ResponseHead::new(
            http::StatusCode::OK,
            http::HeaderMap::new(),
        ),
        body: service_worker::Body::empty(),
    }));
    let request = subresource(page, FONT);
    let asked = record_of_event(&mut stand, &mut inbox, request, denied, MS(1));
    let [attempt] = &asked.attempts[..] else {
        panic!("{asked}");
    };
    assert_eq!(attempt.who, AnsweredBy::FallThrough(start.worker));
    assert!(
        matches!(&attempt.outcome, Outcome::Failed(why) if why.contains("Access-Control-Allow-Origin")),
        "{asked}"
    );
    assert_eq!(asked.answered_by, None);
}

#[test]
fn a_router_rule_is_recorded_by_its_number_and_a_race_with_both_sides() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(LEAF, &[], "");
    let rules = vec![
        rule("/nowhere", RouterSource::Network),
        rule("/kept", RouterSource::Cache),
        rule("/leaf", RouterSource::RaceNetworkAndFetchHandler),
    ];
    let (start, mut inbox) = routed(&mut stand, rules);
    let page = controlled(&mut stand, &mut inbox);
    let kept = format!("{SITE}kept");
    stand.network.serve(&kept, &[], "");
    let asked = record(&mut stand, subresource(page, &kept));
    let matched = asked.route.static_route.unwrap();
    assert_eq!((matched.rule, matched.source), (1, RouterSourceEnum::Cache));
    assert_eq!(
        attempts(&asked),
        [
            (
                AnsweredBy::CacheStorage(start.worker),
                Outcome::NotHandled,
                0
            ),
            (AnsweredBy::Network, Outcome::Answered, 0)
        ]
    );
    assert_eq!(skipped(&asked).0, Some(SkipReason::RoutedToCache));
    let held = stand.network.hold(LEAF);
    let own = AnsweredBy::OwnWorker(start.worker);
    let request = subresource(page, LEAF);
    let asked = record_of_event(&mut stand, &mut inbox, request, ok("hello"), MS(3));
    assert_eq!(
        attempts(&asked),
        [
            (AnsweredBy::Network, Outcome::LostRace, 3),
            (own, Outcome::Answered, 3)
        ]
    );
    assert_eq!(asked.route.static_route.unwrap().rule, 2);
    drop(held);
    let mut fetching = pin!(stand.handle.fetch_with_record(subresource(page, LEAF)));
    let (_, asked) = stand.until("the network", |_| ready(fetching.as_mut()));
    assert_eq!(
        attempts(&asked.unwrap()),
        [
            (own, Outcome::LostRace, 0),
            (AnsweredBy::Network, Outcome::Answered, 0)
        ]
    );
}

#[test]
fn a_service_that_does_not_take_a_request_has_its_reason() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let other = format!("{FONTS}other");
    stand.network.serve(&other, &[], "");
    type Change = fn(&mut FetchRequest);
    let none: Change = |_| {};
    let cases: [(&str, Change, SkipReason); 4] = [
        (&other, none, SkipReason::NoPrefix),
        (
            FONT,
            |it| it.head.look_aside = LookAside::None,
            SkipReason::LookAsideNone,
        ),
        (
            FONT,
            |it| it.head.service_workers = ServiceWorkersMode::None,
            SkipReason::ServiceWorkersModeNone,
        ),
        (
            FONT,
            |it| it.head.method = http::Method::PUT,
            SkipReason::MethodNotSafelisted,
        ),
    ];
    for (to, change, reason) in cases {
        let mut request = subresource(page, to);
        change(&mut request);
        let asked = record(&mut stand, request);
        assert_eq!(asked.route.fall_through.skipped(), Some(reason));
        assert_eq!(asked.fall_through_registration, Some(start.registration.id));
        assert_eq!(asked.fall_through_prefix, None);
    }
    let request = subresource(page, FONT);
    let answer = FetchAnswer::NotHandled;
    let asked = record_of_event(&mut stand, &mut inbox, request, answer, MS(2));
    let service = AnsweredBy::FallThrough(start.worker);
    assert_eq!(
        attempts(&asked),
        [
            (service, Outcome::NotHandled, 2),
            (AnsweredBy::Network, Outcome::Answered, 0)
        ]
    );
    assert_eq!(
        asked.fall_through_prefix.unwrap().as_str(),
        format!("{FONTS}font")
    );
}

#[test]
fn what_the_host_forbids_has_its_reason() {
    let mut policies = Policies::seeds();
    policies.uncredentialed_fall_through = UncredentialedFallThrough::Forbid;
    let mut stand = Stand::new(policies);
    let (_start, _inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let mut request = subresource(page, FONT);
    request.head.credentials = CredentialsMode::Omit;
    let asked = record(&mut stand, request);
    assert_eq!(
        asked.route.fall_through.skipped(),
        Some(SkipReason::Uncredentialed)
    );
    let mut off = Policies::seeds();
    off.fall_through = false;
    let mut stand = Stand::new(off);
    stand.network.serve(FONT, &[], "");
    let page = stand.page(1, SITE);
    let asked = record(&mut stand, subresource(page, FONT));
    assert_eq!(
        asked.route.fall_through.skipped(),
        Some(SkipReason::FallThroughOff)
    );
}

#[test]
fn a_service_that_is_passed_by_has_its_reason_and_its_time() {
    for how in ["late", "dies", "ring"] {
        let mut policies = Policies::seeds();
        policies.limits.fall_through_depth = u8::from(how != "ring");
        let mut stand = Stand::new(policies);
        let (start, mut inbox) = fonts(&mut stand);
        let page = stand.page(2, SITE);
        let mut fetching = pin!(stand.handle.fetch_with_record(subresource(page, FONT)));
        let early = ready(fetching.as_mut());
        let (reason, took, asked) = match how {
            "ring" => (PassedBy::Loop(LoopReason::TooDeep), 0, early.unwrap().1),
            how => {
                let dispatch = stand.event(&mut inbox);
                let kept = if how == "late" {
                    stand.clock.pass(Duration::from_secs(11));
                    Some(dispatch)
                } else {
                    stand.clock.pass(MS(4));
                    drop(dispatch);
                    None
                };
                let (_, asked) = stand.settle("the fetch", fetching);
                drop(kept);
                match how {
                    "late" => (PassedBy::Deadline, 11_000, asked),
                    _ => (PassedBy::Died, 4, asked),
                }
            }
        };
        let asked = asked.unwrap();
        let service = AnsweredBy::FallThrough(start.worker);
        assert_eq!(
            attempts(&asked),
            [
                (service, Outcome::PassedBy(reason), took),
                (AnsweredBy::Network, Outcome::Answered, 0)
            ],
            "{how}"
        );
    }
}

#[test]
fn a_record_is_read_by_people_line_by_line() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let mut request = subresource(page, FONT);
    request.network = NetworkUse::Forbidden;
    let answer = FetchAnswer::NotHandled;
    let asked = record_of_event(&mut stand, &mut inbox, request, answer, MS(2));
    let (registration, worker) = (start.registration.id, start.worker);
    assert_eq!(
        asked.to_string(),
        format!(
            "own worker: not asked, no service worker controls the client\n\
             fall-through of {registration}: {worker}\n\
             let through by its prefix https://fonts.test/font\n\
             the fall-through worker, {worker}, let it go, after 2ms\n\
             nobody answered, after 2ms"
        )
    );
}
