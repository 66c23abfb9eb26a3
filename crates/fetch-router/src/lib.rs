//! Decides who answers a fetch: the page's own service worker, a *fall-through* worker of the
//! origin that is asked, or the network. Functions over values; never any I/O.
//!
//! A page of `acme.com` asks for a font. It has no worker of its own; `fonts.example.com` has one
//! that named `/font` in `handleFallThroughRequests`:
//!
//! ```
//! use fetch_router::{
//!     Candidate, FallThroughCandidate, FallThroughPolicy, RouteRequest, SkipReason, Verdict,
//!     parse_fall_through_prefixes, refilter, route,
//! };
//! use sw_types::fetch::{CredentialsMode, RequestHead, RequestMode, ResponseHead};
//! use sw_types::{
//!     ClientId, Environment, FetchHandler, RegistrationId, ScopeUrl, ScriptUrl,
//!     UncredentialedFallThrough, WorkerId, WorkerState,
//! };
//! use url::Url;
//!
//! let script = ScriptUrl::parse("https://fonts.example.com/sw.js", None)?;
//! let scope = ScopeUrl::default_for(&script);
//! let rules = parse_fall_through_prefixes(&script, &scope, &["/font".into()], None)?;
//!
//! let page = Environment::top_level(ClientId(1), Url::parse("https://acme.com/")?);
//! let mut request =
//!     RequestHead::get(Url::parse("https://fonts.example.com/font/a")?, page.origin.clone());
//! request.mode = RequestMode::Cors;
//! request.credentials = CredentialsMode::SameOrigin;
//!
//! let policy = FallThroughPolicy::new(UncredentialedFallThrough::Allow);
//! let answer = route(&RouteRequest {
//!     fall_through: Ok(FallThroughCandidate {
//!         candidate: Candidate {
//!             registration: RegistrationId(7),
//!             worker: WorkerId(8),
//!             state: WorkerState::Activated,
//!             fetch_handler: FetchHandler::Present,
//!             stale: false,
//!         },
//!         rules: &rules,
//!         partitioned: false,
//!     }),
//!     ..RouteRequest::new(&request, Some(&page), &policy)
//! });
//! assert_eq!(answer.own, Verdict::Skip(SkipReason::NoController));
//! assert_eq!(answer.fall_through.worker(), Some(WorkerId(8)));
//! assert_eq!(answer.fall_through_rule, Some(0));
//!
//! // Its answer shows the page no more than the network's would: here, nothing allows reading it.
//! let naive = ResponseHead::new(http::StatusCode::OK, http::HeaderMap::new());
//! assert!(refilter(&request, naive).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The three that you meet first: [`route`] with its [`Route`], [`refilter`] (what the page may see
//! of a fall-through worker's answer) and [`WaitGraph`] (workers that wait for each other).
//! [`fall_through_dispatch`] makes the request that the worker is shown; [`filter_own`] and
//! [`filter_network`] are the checks of the *Fetch* standard for the other two sources.
//! [`RouterRules`] are the rules of `addRoutes()`, and [`navigation_preload`] says what is fetched beside
//! the event of a navigation. `local_fetch` is a request with `lookAside: "local"` like any other to
//! [`route`]; that nobody but a worker may answer it is the caller's to keep.
//!
//! It does not look anything up, start workers, ask caches or the network, follow redirects, read bodies,
//! measure time, or check integrity, Content Security Policy and embedder policies: the caller does, with
//! what this crate decides.

#![forbid(unsafe_code)]

mod cors;
mod dispatch;
mod filter;
mod headers;
mod navigation_preload;
mod prefixes;
mod resource_policy;
mod route;
mod safelist;
mod same_origin;
mod skip_reason;
mod static_routes;
mod wait_graph;

pub use cors::{CorsError, cors_check, timing_allow_origin_check};
pub use dispatch::{FallThroughDispatch, fall_through_dispatch};
pub use filter::{
    BlockedReason, ResponseTainting, filter_network, filter_own, refilter, response_tainting,
};
pub use navigation_preload::navigation_preload;
pub use prefixes::{PrefixError, parse_fall_through_prefixes};
pub use resource_policy::{
    EmbedderPolicy, ResourcePolicyBlocked, cross_origin_resource_policy_check,
};
pub use route::{
    Candidate, FallThroughCandidate, FallThroughPolicy, Route, RouteRequest, StaticRoute,
    StaticRouter, Verdict, may_fall_through, route,
};
pub use safelist::{
    has_only_cors_safelisted_headers, is_cors_safelisted_method, is_cors_safelisted_request_header,
};
pub use skip_reason::SkipReason;
pub use static_routes::{
    MAX_CONDITIONS, MAX_DEPTH, RouterCondition, RouterMatch, RouterRecordError, RouterRule,
    RouterRuleError, RouterRules, RouterSource, RouterSourceEnum, RunningStatus,
    UrlPatternArguments, UrlPatternCompatible, UrlPatternError, UrlPatternInit, UrlPatternInput,
};
pub use wait_graph::{EdgeId, LoopReason, WaitGraph};
