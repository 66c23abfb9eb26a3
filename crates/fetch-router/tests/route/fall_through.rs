//! Which requests the worker of another origin sees.

use fetch_router::{FallThroughPolicy, SkipReason};
use http::Method;
use sw_types::fetch::{
    CredentialsMode, Destination, LookAside, RedirectMode, RequestMode, Requester,
    ServiceWorkersMode,
};
use sw_types::{
    FetchHandler, Origin, RegistrationId, Site, UncredentialedFallThrough, WorkerState,
};

use crate::scene::{Change, after, origin, rules, url};

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
