//! Which worker sees a request, rule by rule.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use fetch_router::{
    Candidate, FallThroughCandidate, FallThroughPolicy, Route, RouteRequest, RouterCondition,
    RouterRule, RouterRules, RouterSource, SkipReason, StaticRoute, StaticRouter, Verdict,
    may_fall_through, parse_fall_through_prefixes, route,
};
use http::{HeaderName, HeaderValue, Method};
use sw_types::fetch::{
    CredentialsMode, Destination, LookAside, RedirectMode, RequestHead, RequestMode, Requester,
    ServiceWorkersMode,
};
use sw_types::{
    ClientId, Environment, EventType, FallThroughRule, FetchHandler, Origin, RegistrationId,
    ScopeUrl, ScriptUrl, Site, UncredentialedFallThrough, WorkerId, WorkerState,
};
use url::Url;

const OWN: Candidate = Candidate {
    registration: RegistrationId(1),
    worker: WorkerId(10),
    state: WorkerState::Activated,
    fetch_handler: FetchHandler::Present,
    stale: false,
};
const FONTS: Candidate = Candidate {
    registration: RegistrationId(2),
    worker: WorkerId(20),
    ..OWN
};

/// A page of acme.com with a worker asks for a font; fonts.example.com has one that wants it.
struct Scene {
    request: RequestHead,
    client: Option<Environment>,
    own: Option<Candidate>,
    router: Option<RouterRules>,
    fonts: Option<Candidate>,
    rules: Vec<FallThroughRule>,
    partitioned: bool,
    requesting_registration: Option<RegistrationId>,
    policy: FallThroughPolicy,
}

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

fn origin(of: &str) -> Origin {
    Origin::of(&url(of))
}

fn rules(prefixes: &[&str], origins: Option<&[&str]>) -> Vec<FallThroughRule> {
    let script = ScriptUrl::parse("https://fonts.example.com/sw.js", None).unwrap();
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    parse_fall_through_prefixes(
        &script,
        &ScopeUrl::default_for(&script),
        &strings(prefixes),
        origins.map(strings).as_deref(),
    )
    .unwrap()
}

impl Scene {
    fn new() -> Self {
        let page = Environment::top_level(ClientId(1), url("https://acme.com/"));
        let font = url("https://fonts.example.com/font/a");
        let mut request = RequestHead::get(font, page.origin.clone());
        request.mode = RequestMode::Cors;
        request.destination = Destination::Font;
        Self {
            request,
            client: Some(page),
            own: Some(OWN),
            router: None,
            fonts: Some(FONTS),
            rules: rules(&["/resources", "/font"], None),
            partitioned: false,
            requesting_registration: None,
            policy: FallThroughPolicy::new(UncredentialedFallThrough::Allow),
        }
    }

    fn route(&self) -> Route {
        route(&RouteRequest {
            request: &self.request,
            client: self.client.as_ref(),
            own: self.own.ok_or(SkipReason::NoController),
            router: self.router.as_ref().map(|rules| StaticRouter {
                rules,
                running: false,
            }),
            fall_through: self
                .fonts
                .map(|candidate| FallThroughCandidate {
                    candidate,
                    rules: &self.rules,
                    partitioned: self.partitioned,
                })
                .ok_or(SkipReason::NoRegistration),
            requesting_registration: self.requesting_registration,
            policy: &self.policy,
        })
    }

    fn client(&mut self) -> &mut Environment {
        self.client.as_mut().unwrap()
    }

    fn header(&mut self, name: &'static str, value: &'static str) {
        self.request.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}

/// What the own worker and the fall-through worker say after a change of the scene.
fn after(change: impl FnOnce(&mut Scene)) -> (Option<SkipReason>, Option<SkipReason>) {
    let mut scene = Scene::new();
    change(&mut scene);
    let route = scene.route();
    (route.own.skipped(), route.fall_through.skipped())
}

type Change = fn(&mut Scene);

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
fn each_condition_of_fall_through_has_its_reason() {
    use SkipReason::*;
    let table: &[(&str, Change, SkipReason)] = &[
        (
            "host off",
            |s| s.policy = FallThroughPolicy::off(),
            FallThroughOff,
        ),
        (
            "mode none",
            |s| s.request.service_workers = ServiceWorkersMode::None,
            ServiceWorkersModeNone,
        ),
        (
            "document",
            |s| s.request.destination = Destination::Document,
            NonSubresource,
        ),
        (
            "iframe",
            |s| s.request.destination = Destination::Iframe,
            NonSubresource,
        ),
        (
            "object",
            |s| s.request.destination = Destination::Object,
            NonSubresource,
        ),
        (
            "worker",
            |s| s.request.destination = Destination::Worker,
            NonSubresource,
        ),
        (
            "service worker script",
            |s| s.request.destination = Destination::ServiceWorker,
            NonSubresource,
        ),
        (
            "navigate",
            |s| s.request.mode = RequestMode::Navigate,
            NonSubresource,
        ),
        (
            "report",
            |s| s.request.destination = Destination::Report,
            Report,
        ),
        (
            "websocket",
            |s| s.request.mode = RequestMode::WebSocket,
            WebSocket,
        ),
        ("no client", |s| s.client = None, NoClient),
        (
            "same origin",
            |s| s.request.origin = origin("https://fonts.example.com"),
            SameOrigin,
        ),
        (
            "asked on behalf of the URL's own origin",
            |s| {
                let origin = origin("https://fonts.example.com");
                let site = Site::of(&origin);
                s.request.requester = Some(Requester { origin, site });
            },
            SameOrigin,
        ),
        (
            "insecure client",
            |s| s.client().secure_context = false,
            NotSecure,
        ),
        (
            "lookAside none",
            |s| s.request.look_aside = LookAside::None,
            LookAsideNone,
        ),
        (
            "page opt-out",
            |s| s.client().fall_through_forbidden = true,
            ForbiddenByPage,
        ),
        (
            "blocked storage",
            |s| s.client().storage_blocked = true,
            StorageBlocked,
        ),
        (
            "PUT",
            |s| s.request.method = Method::PUT,
            MethodNotSafelisted,
        ),
        (
            "preflight",
            |s| s.request.use_cors_preflight = true,
            PreflightForced,
        ),
        ("range", |s| s.header("range", "bytes=0-"), RangeHeader),
        (
            "authorization",
            |s| s.header("authorization", "Basic eA=="),
            HeaderNotSafelisted,
        ),
        (
            "json",
            |s| s.header("content-type", "application/json"),
            HeaderNotSafelisted,
        ),
        (
            "data",
            |s| s.request.url_list = vec![url("data:,x")],
            NotHttp,
        ),
        ("no registration", |s| s.fonts = None, NoRegistration),
        (
            "own registration",
            |s| s.requesting_registration = Some(RegistrationId(2)),
            OwnRegistration,
        ),
        ("no rules", |s| s.rules.clear(), NoPrefix),
        (
            "other prefix",
            |s| s.request.url_list = vec![url("https://fonts.example.com/fon")],
            NoPrefix,
        ),
        (
            "requester not named",
            |s| s.rules = rules(&["/font"], Some(&["https://other.com"])),
            RequesterNotAdmitted,
        ),
        (
            "nobody named",
            |s| s.rules = rules(&["/font"], Some(&[])),
            RequesterNotAdmitted,
        ),
        (
            "opaque requester and a list",
            |s| {
                s.request.origin = Origin::opaque(1);
                s.rules = rules(&["/font"], Some(&["https://acme.com"]));
            },
            RequesterNotAdmitted,
        ),
        (
            "tainted requester and a list",
            |s| {
                s.request.tainted_origin = true;
                s.rules = rules(&["/font"], Some(&["https://acme.com"]));
            },
            RequesterNotAdmitted,
        ),
        (
            "the requester behind the requester is not named",
            |s| {
                let origin = origin("https://hidden.com");
                let site = Site::of(&origin);
                s.request.requester = Some(Requester { origin, site });
                s.rules = rules(&["/font"], Some(&["https://acme.com"]));
            },
            RequesterNotAdmitted,
        ),
        (
            "not active",
            |s| s.fonts.as_mut().unwrap().state = WorkerState::Installing,
            NotActive,
        ),
        (
            "no listener",
            |s| s.fonts.as_mut().unwrap().fetch_handler = FetchHandler::None,
            NoFetchListener,
        ),
        (
            "empty body",
            |s| s.fonts.as_mut().unwrap().fetch_handler = FetchHandler::Empty,
            EmptyFetchListeners,
        ),
    ];
    for (name, change, reason) in table {
        assert_eq!(after(change).1, Some(*reason), "{name}");
    }
}

#[test]
fn these_requests_fall_through() {
    let table: &[(&str, Change)] = &[
        ("a worker's own fetch, or a redirect", |s| {
            s.request.service_workers = ServiceWorkersMode::Foreign;
        }),
        ("no own worker", |s| s.own = None),
        ("no-cors image", |s| {
            s.request.mode = RequestMode::NoCors;
            s.request.destination = Destination::Image;
            s.request.credentials = CredentialsMode::Include;
        }),
        ("universal overrides the page's opt-out", |s| {
            s.client().fall_through_forbidden = true;
            s.request.look_aside = LookAside::Universal;
        }),
        ("safelisted headers", |s| {
            s.header("accept", "*/*");
            s.header("accept-language", "de");
        }),
        ("POST of a form", |s| {
            s.request.method = Method::POST;
            s.header("content-type", "text/plain;charset=UTF-8");
            s.request.has_body = true;
        }),
        ("opaque requester, any admitted", |s| {
            s.request.origin = Origin::opaque(1)
        }),
        ("named requester", |s| {
            s.rules = rules(&["/font"], Some(&["https://other.com", "https://acme.com"]));
        }),
        ("a second rule admits", |s| {
            s.rules = rules(&["/font"], Some(&[]));
            s.rules.extend(rules(&["/fon"], None));
        }),
        ("a plain string prefix", |s| {
            s.request.url_list = vec![url("https://fonts.example.com/fontastic")];
        }),
        ("manual redirect", |s| {
            s.request.redirect = RedirectMode::Manual
        }),
        ("another port is another origin", |s| {
            s.request.origin = origin("https://fonts.example.com:444");
        }),
    ];
    for (name, change) in table {
        assert_eq!(after(change).1, None, "{name}");
    }
}

#[test]
fn a_fragment_does_not_make_a_prefix_match() {
    let (_, reason) = after(|s| {
        s.rules = rules(&["/font/a?x"], None);
        s.request.url_list = vec![url("https://fonts.example.com/font/a#?x")];
    });
    assert_eq!(reason, Some(SkipReason::NoPrefix));
}

#[test]
fn universal_overrides_neither_a_missing_opt_in_nor_the_host() {
    let universal = |change: Change| {
        after(|s| {
            s.request.look_aside = LookAside::Universal;
            change(s);
        })
        .1
    };
    assert_eq!(universal(|s| s.rules.clear()), Some(SkipReason::NoPrefix));
    assert_eq!(
        universal(|s| s.policy.enabled = false),
        Some(SkipReason::FallThroughOff)
    );
}

#[test]
fn requests_without_credentials_fall_through_as_the_host_says() {
    use CredentialsMode::{Include, Omit, SameOrigin};
    use UncredentialedFallThrough::{Allow, Forbid, OnlyPartitioned};
    for policy in [Allow, OnlyPartitioned, Forbid] {
        for partitioned in [false, true] {
            for credentials in [Omit, SameOrigin, Include] {
                let (_, reason) = after(|s| {
                    s.policy = FallThroughPolicy::new(policy);
                    s.partitioned = partitioned;
                    s.request.credentials = credentials;
                });
                let expected = credentials == Include
                    || policy == Allow
                    || (policy == OnlyPartitioned && partitioned);
                let case = format!("{policy:?} {partitioned} {credentials:?}");
                assert_eq!(reason.is_none(), expected, "{case}");
                assert!(matches!(reason, None | Some(SkipReason::Uncredentialed)));
            }
        }
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
