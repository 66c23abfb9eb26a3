//! Which worker sees a request, rule by rule.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

mod fall_through;
mod scene;

use fetch_router::{
    Candidate, FallThroughPolicy, Route, RouteRequest, RouterCondition, RouterRule, RouterRules,
    RouterSource, SkipReason, StaticRoute, Verdict, may_fall_through, route,
};
use http::Method;
use sw_types::fetch::{Destination, LookAside, ServiceWorkersMode};
use sw_types::{EventType, FetchHandler, RegistrationId, ScriptUrl, WorkerId, WorkerState};

use crate::scene::{Change, FONTS, OWN, Scene, after, origin, rules, url};

#[test]
fn both_workers_see_a_plain_font_request() {
    let route = Scene::new().route();
    assert_eq!(
        route,
        Route {
            own: Verdict::Dispatch {
                registration: RegistrationId(1),
                worker: WorkerId(10),
                wait_for_activated: false,
            },
            static_route: None,
            fall_through: Verdict::Dispatch {
                registration: RegistrationId(2),
                worker: WorkerId(20),
                wait_for_activated: false,
            },
            fall_through_rule: Some(1),
            own_soft_update: false,
            fall_through_soft_update: false,
        }
    );
}

#[test]
fn each_rule_of_handle_fetch_has_its_reason() {
    use SkipReason::*;
    let table: &[(&str, Change, SkipReason)] = &[
        (
            "foreign",
            |s| s.request.service_workers = ServiceWorkersMode::Foreign,
            ServiceWorkersModeForeign,
        ),
        (
            "none",
            |s| s.request.service_workers = ServiceWorkersMode::None,
            ServiceWorkersModeNone,
        ),
        (
            "embed",
            |s| s.request.destination = Destination::Embed,
            EmbedOrObject,
        ),
        (
            "object",
            |s| s.request.destination = Destination::Object,
            EmbedOrObject,
        ),
        (
            "local",
            |s| s.request.look_aside = LookAside::Local,
            LocalFetch,
        ),
        (
            "data",
            |s| s.request.url_list = vec![url("data:,x")],
            NotHttp,
        ),
        ("no URL at all", |s| s.request.url_list.clear(), NotHttp),
        ("no controller", |s| s.own = None, NoController),
        (
            "waiting worker",
            |s| s.own.as_mut().unwrap().state = WorkerState::Installed,
            NotActive,
        ),
        (
            "redundant worker",
            |s| s.own.as_mut().unwrap().state = WorkerState::Redundant,
            NotActive,
        ),
        (
            "no listener",
            |s| s.own.as_mut().unwrap().fetch_handler = FetchHandler::None,
            NoFetchListener,
        ),
        (
            "empty listeners",
            |s| s.own.as_mut().unwrap().fetch_handler = FetchHandler::Empty,
            EmptyFetchListeners,
        ),
        (
            "insecure reserved client",
            |s| {
                s.request.destination = Destination::Document;
                s.client().secure_context = false;
            },
            NotSecure,
        ),
        (
            "no reserved client, insecure URL",
            |s| {
                s.request.destination = Destination::Document;
                s.request.url_list = vec![url("http://acme.com/")];
                s.client = None;
            },
            NotSecure,
        ),
        (
            "shift-reload",
            |s| {
                s.request.destination = Destination::Document;
                s.request.shift_reload = true;
            },
            ShiftReload,
        ),
    ];
    for (name, change, reason) in table {
        assert_eq!(after(change).0, Some(*reason), "{name}");
    }
}

#[test]
fn what_concerns_fall_through_only_does_not_hide_a_request_from_its_own_worker() {
    let table: &[(&str, Change)] = &[
        ("lookAside none", |s| s.request.look_aside = LookAside::None),
        ("page opt-out", |s| s.client().fall_through_forbidden = true),
        ("PUT", |s| s.request.method = Method::PUT),
        ("host off", |s| s.policy = FallThroughPolicy::off()),
        ("same origin", |s| {
            s.request.url_list = vec![url("https://acme.com/x")]
        }),
        ("shift-reloaded page's image", |s| {
            s.request.shift_reload = true
        }),
        ("navigation", |s| {
            s.request.destination = Destination::Document
        }),
        ("report", |s| s.request.destination = Destination::Report),
        ("preflight", |s| s.request.use_cors_preflight = true),
    ];
    for (name, change) in table {
        assert_eq!(after(change).0, None, "{name}");
    }
}

#[test]
fn an_event_waits_until_its_worker_is_activated() {
    let mut scene = Scene::new();
    scene.own.as_mut().unwrap().state = WorkerState::Activating;
    scene.fonts.as_mut().unwrap().state = WorkerState::Activating;
    let route = scene.route();
    for verdict in [route.own, route.fall_through] {
        assert!(matches!(
            verdict,
            Verdict::Dispatch {
                wait_for_activated: true,
                ..
            }
        ));
    }
}

#[test]
fn soft_updates_follow_navigations_and_stale_registrations() {
    let soft_updates = |change: Change| {
        let mut scene = Scene::new();
        change(&mut scene);
        let route = scene.route();
        (route.own_soft_update, route.fall_through_soft_update)
    };
    let navigate: Change = |s| s.request.destination = Destination::Document;
    assert_eq!(soft_updates(|_| {}), (false, false));
    assert_eq!(soft_updates(navigate), (true, false));
    assert_eq!(
        soft_updates(|s| s.own.as_mut().unwrap().stale = true),
        (true, false)
    );
    assert_eq!(
        soft_updates(|s| s.fonts.as_mut().unwrap().stale = true),
        (false, true)
    );
    // Skipped for want of a listener, still updated; never reached, not updated.
    assert_eq!(
        soft_updates(|s| {
            s.own.as_mut().unwrap().fetch_handler = FetchHandler::None;
            s.own.as_mut().unwrap().stale = true;
        }),
        (true, false)
    );
    assert_eq!(
        soft_updates(|s| {
            s.request.service_workers = ServiceWorkersMode::None;
            s.own.as_mut().unwrap().stale = true;
            s.fonts.as_mut().unwrap().stale = true;
        }),
        (false, false)
    );
}

#[test]
fn a_look_up_that_is_spared_would_not_have_changed_the_verdict() {
    let changes: &[Change] = &[
        |s| s.policy.enabled = false,
        |s| s.request.service_workers = ServiceWorkersMode::None,
        |s| s.client = None,
        |s| s.request.method = Method::DELETE,
        |s| s.client().storage_blocked = true,
    ];
    for change in changes {
        let mut scene = Scene::new();
        change(&mut scene);
        let spared = may_fall_through(&scene.request, scene.client.as_ref(), &scene.policy);
        let with = scene.route().fall_through;
        scene.fonts = None;
        assert_eq!(scene.route().fall_through, with);
        assert_eq!(with, Verdict::Skip(spared.unwrap_err()));
    }
}

#[test]
fn the_fonts_sample_handles_its_two_prefixes_and_its_own_fetches_are_no_fall_through() {
    // S14: e.handleFallThroughRequests(['/resources', '/font']) with scope `/`.
    let falls_through = |of: &str, requester: &str| {
        let (_, reason) = after(|s| {
            s.request.url_list = vec![url(of)];
            s.request.origin = origin(requester);
        });
        reason
    };
    let acme = "https://acme.com";
    for path in ["/font", "/fonts/cjk?text=x", "/resources/a.css"] {
        let url = format!("https://fonts.example.com{path}");
        assert_eq!(falls_through(&url, acme), None, "{url}");
    }
    let other = "https://fonts.example.com/other";
    assert_eq!(falls_through(other, acme), Some(SkipReason::NoPrefix));
    let own = "https://fonts.example.com/font";
    assert_eq!(
        falls_through(own, "https://fonts.example.com"),
        Some(SkipReason::SameOrigin)
    );
}

#[test]
fn every_reason_has_a_sentence_of_its_own() {
    let mut sentences: Vec<_> = SkipReason::ALL.iter().map(ToString::to_string).collect();
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), SkipReason::ALL.len());
    assert!(sentences.iter().all(|sentence| sentence.len() > 20));
}

/// One rule for everything, with a source.
fn everything_from(source: RouterSource) -> RouterRules {
    let condition = RouterCondition {
        request_method: Some("GET".into()),
        ..RouterCondition::default()
    };
    let script = ScriptUrl::parse("https://acme.com/sw.js", None).unwrap();
    let listens = [EventType::Fetch].into_iter().collect();
    let rule = RouterRule { condition, source };
    RouterRules::verify(vec![rule], &script, listens).unwrap()
}

#[test]
fn a_router_rule_keeps_a_request_from_its_own_worker_and_from_nobody_else() {
    let table = [
        (RouterSource::Network, Some(SkipReason::RoutedToNetwork)),
        (RouterSource::Cache, Some(SkipReason::RoutedToCache)),
        (
            RouterSource::NamedCache("a".into()),
            Some(SkipReason::RoutedToCache),
        ),
        (RouterSource::FetchEvent, None),
        (RouterSource::RaceNetworkAndFetchHandler, None),
    ];
    for (source, skipped) in table {
        let mut scene = Scene::new();
        scene.router = Some(everything_from(source.clone()));
        let route = scene.route();
        assert_eq!(route.own.skipped(), skipped, "{source:?}");
        let expected = StaticRoute {
            rule: 0,
            source: source.kind(),
        };
        assert_eq!(route.static_route, Some(expected));
        assert_eq!(route.fall_through.worker(), Some(FONTS.worker));
        // Another method, and no rule matches.
        scene.request.method = Method::POST;
        assert_eq!(scene.route().static_route, None);
        assert_eq!(scene.route().own.worker(), Some(OWN.worker));
    }
}

#[test]
fn router_rules_count_without_a_fetch_listener_and_not_where_the_worker_is_not_asked_anyway() {
    let mut scene = Scene::new();
    scene.router = Some(everything_from(RouterSource::Network));
    scene.own = Some(Candidate {
        fetch_handler: FetchHandler::None,
        stale: true,
        ..OWN
    });
    let route = scene.route();
    assert_eq!(route.own.skipped(), Some(SkipReason::RoutedToNetwork));
    assert!(route.own_soft_update);
    scene.request.service_workers = ServiceWorkersMode::Foreign;
    assert_eq!(scene.route().static_route, None);
    scene.request.service_workers = ServiceWorkersMode::All;
    scene.own = None;
    assert_eq!(scene.route().static_route, None);
}

#[test]
fn a_local_fetch_of_the_own_origin_asks_whoever_matches_and_never_oneself() {
    use SkipReason::*;
    let local = |change: Change| {
        let mut scene = Scene::new();
        scene.request.url_list = vec![url("https://acme.com/other/a")];
        scene.request.look_aside = LookAside::Local;
        change(&mut scene);
        let route = scene.route();
        assert_eq!(route.static_route, None);
        (route.own.worker(), route.own.skipped())
    };
    let asked = (Some(OWN.worker), None);
    assert_eq!(local(|_| {}), asked);
    // A worker may ask another of its origin.
    let by_another: Change = |s| {
        s.request.service_workers = ServiceWorkersMode::Foreign;
        s.requesting_registration = Some(RegistrationId(3));
    };
    assert_eq!(local(by_another), asked);
    assert_eq!(
        local(|s| s.router = Some(everything_from(RouterSource::Network))),
        asked
    );
    let table: &[(Change, SkipReason)] = &[
        (
            |s| s.requesting_registration = Some(OWN.registration),
            OwnRegistration,
        ),
        (|s| s.own = None, NoController),
        (|s| s.request.tainted_origin = true, LocalFetch),
        (|s| s.client().secure_context = false, NotSecure),
        (|s| s.client = None, NoClient),
        (
            |s| s.request.service_workers = ServiceWorkersMode::None,
            ServiceWorkersModeNone,
        ),
    ];
    for (change, reason) in table {
        assert_eq!(local(*change), (None, Some(*reason)));
    }
}

#[test]
fn the_rule_that_lets_a_request_through_is_named() {
    let mut scene = Scene::new();
    scene.rules = rules(&["/font", "/font/a"], Some(&["https://other.test"]));
    scene.rules.extend(rules(&["/fon"], None));
    assert_eq!(scene.route().fall_through_rule, Some(2));
    scene.policy = FallThroughPolicy::off();
    assert_eq!(scene.route().fall_through_rule, None);
}

#[test]
fn why_nothing_was_found_is_said_again_unless_there_is_a_stronger_reason() {
    let scene = Scene::new();
    let mut asked = RouteRequest {
        own: Err(SkipReason::NotActive),
        fall_through: Err(SkipReason::StorageBlocked),
        ..RouteRequest::new(&scene.request, scene.client.as_ref(), &scene.policy)
    };
    let said = |asked: &RouteRequest<'_>| {
        let route = route(asked);
        (route.own.skipped(), route.fall_through.skipped())
    };
    assert_eq!(
        said(&asked),
        (
            Some(SkipReason::NotActive),
            Some(SkipReason::StorageBlocked)
        )
    );
    let off = FallThroughPolicy::off();
    asked.policy = &off;
    assert_eq!(said(&asked).1, Some(SkipReason::FallThroughOff));
}
