//! Which worker sees a request: *Handle Fetch* for the own worker, SEMANTICS §5.4 "When" for a
//! fall-through worker.

use http::header::RANGE;
use sw_types::fetch::{
    CredentialsMode, Destination, LookAside, RequestHead, RequestMode, ServiceWorkersMode,
};
use sw_types::{
    Environment, FallThroughRule, FetchHandler, Origin, RegistrationId, UncredentialedFallThrough,
    WorkerId, WorkerState,
};
use url::Url;

use crate::safelist::{has_only_cors_safelisted_headers, is_cors_safelisted_method};
use crate::same_origin::is_same_origin;
use crate::{RouterRules, RouterSourceEnum, SkipReason};

/// Decides which workers see a request. Pure, and without allocation.
///
/// The two verdicts are independent: the fall-through worker is asked only after the own worker,
/// if it is dispatched to, has not answered.
#[must_use]
pub fn route(request: &RouteRequest<'_>) -> Route {
    let (own, static_route) = own_worker(request);
    let (fall_through, fall_through_rule) = fall_through_worker(request);
    // Handle Fetch: shouldSoftUpdate, where a registration was found at all; Fire Functional Event.
    let subresource = !request.request.destination.is_non_subresource();
    let route = Route {
        own_soft_update: own.reached() && request.own.is_ok_and(|own| !subresource || own.stale),
        fall_through_soft_update: fall_through.worker().is_some()
            && request
                .fall_through
                .is_ok_and(|found| found.candidate.stale),
        own,
        static_route,
        fall_through,
        fall_through_rule,
    };
    tracing::trace!(?route, "routed a request");
    route
}

/// What [`route`] decides about: borrowed values that the caller has looked up.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "every input is the caller's to think about"
)]
pub struct RouteRequest<'a> {
    /// The request.
    pub request: &'a RequestHead,
    /// Its client. For a non-subresource request: the reserved client. `None` if there is none.
    pub client: Option<&'a Environment>,
    /// The registration of the request's own worker: for a subresource request, the client's
    /// controller; for a non-subresource request, what *Match Service Worker Registration* found
    /// for the reserved client; with [`LookAside::Local`], what it found for the URL, if that is of
    /// the client's own origin. Otherwise why there is none: it is repeated, if nothing else keeps the
    /// request from a worker.
    pub own: Result<Candidate, SkipReason>,
    /// The router rules of that worker, if it has any.
    pub router: Option<StaticRouter<'a>>,
    /// What *Match Service Worker Registration* found for the URL, by the storage key that the
    /// host's partition policy gives for the *requester* and the URL's origin; or why there is none,
    /// as with [`Self::own`]. [`may_fall_through`] says when the look-up is spared.
    pub fall_through: Result<FallThroughCandidate<'a>, SkipReason>,
    /// If the client is a service worker: its registration.
    pub requesting_registration: Option<RegistrationId>,
    /// The host's choices.
    pub policy: &'a FallThroughPolicy,
}

impl<'a> RouteRequest<'a> {
    /// A request that nothing has been found for: nobody controls its client, and nobody serves others
    /// at its URL.
    #[must_use]
    pub const fn new(
        request: &'a RequestHead,
        client: Option<&'a Environment>,
        policy: &'a FallThroughPolicy,
    ) -> Self {
        Self {
            request,
            client,
            own: Err(SkipReason::NoController),
            router: None,
            fall_through: Err(SkipReason::NoRegistration),
            requesting_registration: None,
            policy,
        }
    }
}

/// The router rules of a worker.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain input")]
pub struct StaticRouter<'a> {
    /// Its *list of router rules*.
    pub rules: &'a RouterRules,
    /// Whether it runs.
    pub running: bool,
}

/// What a router rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain answer")]
pub struct StaticRoute {
    /// Which rule; [`RouterRules::source`] says which cache, if it is one.
    pub rule: usize,
    /// The kind of source that it names.
    pub source: RouterSourceEnum,
}

/// The active worker of a registration, as far as a decision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain input")]
pub struct Candidate {
    /// The registration.
    pub registration: RegistrationId,
    /// Its active worker.
    pub worker: WorkerId,
    /// That worker's state.
    pub state: WorkerState,
    /// What its `fetch` listeners amount to.
    pub fetch_handler: FetchHandler,
    /// Whether the registration is *stale*: last checked for an update more than a day ago.
    pub stale: bool,
}

/// A registration of another origin, whose active worker may have asked for the request.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain input")]
pub struct FallThroughCandidate<'a> {
    /// The active worker.
    pub candidate: Candidate,
    /// What that worker asked for, by `handleFallThroughRequests`.
    pub rules: &'a [FallThroughRule],
    /// Whether the registration's storage key is partitioned by the requester's top-level site.
    pub partitioned: bool,
}

/// A host's choices about fall-through. (SEMANTICS §5.7.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallThroughPolicy {
    /// Whether anything falls through at all. Off, every request takes the network path.
    pub enabled: bool,
    /// Whether requests without credentials do.
    pub uncredentialed: UncredentialedFallThrough,
    /// How many fall-through fetches may wait inside one another; for
    /// [`WaitGraph::new`](crate::WaitGraph::new).
    pub max_depth: u8,
}

impl FallThroughPolicy {
    /// Fall-through is on, four deep.
    #[must_use]
    pub const fn new(uncredentialed: UncredentialedFallThrough) -> Self {
        Self {
            enabled: true,
            uncredentialed,
            max_depth: 4,
        }
    }

    /// Fall-through is off.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            enabled: false,
            uncredentialed: UncredentialedFallThrough::Forbid,
            max_depth: 0,
        }
    }
}

/// Who sees a request. Where neither worker does, or neither answers, the network is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an unhandled decision is a bug")]
pub struct Route {
    /// The request's own worker. [`SkipReason::EmptyFetchListeners`] asks the caller to start that
    /// worker in the background, once it is activated.
    pub own: Verdict,
    /// The own worker's router rule that matches, if one does. If it names the network, or a cache,
    /// the own worker is [skipped](SkipReason::RoutedToNetwork); a cache is asked before anybody
    /// else. If it names a race (of a `GET`), the network is asked while the event is handled.
    pub static_route: Option<StaticRoute>,
    /// The fall-through worker, asked if the own worker gives no response. Whatever the reason for
    /// skipping it, no worker is started.
    pub fall_through: Verdict,
    /// Which of the fall-through worker's rules lets the request through, if the worker is asked.
    pub fall_through_rule: Option<usize>,
    /// Whether the own registration is to be soft-updated (after the event, if there is one).
    pub own_soft_update: bool,
    /// Whether the fall-through registration is to be soft-updated after its event.
    pub fall_through_soft_update: bool,
}

/// Whether one worker sees the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled decision is a bug")]
pub enum Verdict {
    /// A `fetch` event is dispatched to a worker.
    Dispatch {
        /// The worker's registration.
        registration: RegistrationId,
        /// The worker.
        worker: WorkerId,
        /// Whether it is still activating, and the event must wait until it is activated.
        wait_for_activated: bool,
    },
    /// The worker does not see it.
    Skip(SkipReason),
}

impl Verdict {
    /// The worker that the event goes to, if any.
    #[must_use]
    pub const fn worker(self) -> Option<WorkerId> {
        match self {
            Self::Dispatch { worker, .. } => Some(worker),
            Self::Skip(_) => None,
        }
    }

    /// The reason for skipping, if skipped.
    #[must_use]
    pub const fn skipped(self) -> Option<SkipReason> {
        match self {
            Self::Dispatch { .. } => None,
            Self::Skip(reason) => Some(reason),
        }
    }

    /// Whether *Handle Fetch* got as far as an active worker, and its router rules.
    #[must_use]
    pub const fn reached(self) -> bool {
        matches!(
            self,
            Self::Dispatch { .. }
                | Self::Skip(
                    SkipReason::NoFetchListener
                        | SkipReason::EmptyFetchListeners
                        | SkipReason::RoutedToNetwork
                        | SkipReason::RoutedToCache
                )
        )
    }
}

/// The conditions of SEMANTICS §5.4 "When" that need no look-up. If one fails, a caller need not
/// look for a registration: whatever is passed as `fall_through`, [`route`] gives the same reason.
///
/// # Errors
/// The first condition that fails.
pub fn may_fall_through(
    request: &RequestHead,
    client: Option<&Environment>,
    policy: &FallThroughPolicy,
) -> Result<(), SkipReason> {
    require(policy.enabled, SkipReason::FallThroughOff)?;
    let url = http_url(request)?;
    // "Service-workers mode is all or foreign."
    require(
        request.service_workers != ServiceWorkersMode::None,
        SkipReason::ServiceWorkersModeNone,
    )?;
    // "A subresource request with a client"; "never: WebSocket, report".
    require(
        request.destination != Destination::Report,
        SkipReason::Report,
    )?;
    require(
        request.mode != RequestMode::WebSocket,
        SkipReason::WebSocket,
    )?;
    require(
        !request.destination.is_non_subresource() && request.mode != RequestMode::Navigate,
        SkipReason::NonSubresource,
    )?;
    let client = client.ok_or(SkipReason::NoClient)?;
    // "Request origin ≠ URL origin": neither who asks now, nor on whose behalf.
    let hidden = request.requester.as_ref();
    require(
        !is_same_origin(&request.origin, url)
            && !hidden.is_some_and(|requester| is_same_origin(&requester.origin, url)),
        SkipReason::SameOrigin,
    )?;
    // "Secure client."
    require(client.secure_context, SkipReason::NotSecure)?;
    // "lookAside ≠ none and the page's policy does not forbid it"; universal overrides the page's.
    require(
        request.look_aside != LookAside::None,
        SkipReason::LookAsideNone,
    )?;
    require(
        !client.fall_through_forbidden || request.look_aside == LookAside::Universal,
        SkipReason::ForbiddenByPage,
    )?;
    require(!client.storage_blocked, SkipReason::StorageBlocked)?;
    // "Method and headers CORS-safelisted, use-CORS-preflight flag unset, no Range header."
    require(
        is_cors_safelisted_method(&request.method),
        SkipReason::MethodNotSafelisted,
    )?;
    require(!request.use_cors_preflight, SkipReason::PreflightForced)?;
    require(
        !request.headers.contains_key(RANGE),
        SkipReason::RangeHeader,
    )?;
    require(
        has_only_cors_safelisted_headers(&request.headers),
        SkipReason::HeaderNotSafelisted,
    )
}

/// *Handle Fetch*, up to the event.
fn own_worker(asked: &RouteRequest<'_>) -> (Verdict, Option<StaticRoute>) {
    let gates = || -> Result<Candidate, SkipReason> {
        let request = asked.request;
        let url = http_url(request)?;
        if request.look_aside == LookAside::Local {
            return local_worker(asked, url);
        }
        // HTTP fetch: "If request's service-workers mode is all".
        match request.service_workers {
            ServiceWorkersMode::All => {}
            ServiceWorkersMode::Foreign => return Err(SkipReason::ServiceWorkersModeForeign),
            ServiceWorkersMode::None => return Err(SkipReason::ServiceWorkersModeNone),
        }
        // Handle Fetch: "If request's destination is either embed or object, return null."
        require(
            !matches!(
                request.destination,
                Destination::Embed | Destination::Object
            ),
            SkipReason::EmbedOrObject,
        )?;
        // "If request is a non-subresource request": the reserved client is secure, or, without
        // one, the URL is trustworthy; no shift-reload.
        if request.destination.is_non_subresource() {
            let secure = match asked.client {
                Some(reserved_client) => reserved_client.secure_context,
                None => Origin::of(url).is_potentially_trustworthy(),
            };
            require(secure, SkipReason::NotSecure)?;
            require(!request.shift_reload, SkipReason::ShiftReload)?;
        }
        // "If registration is null or its active worker is null, return null."
        asked.own
    };
    let candidate = match gates() {
        Ok(candidate) => candidate,
        Err(reason) => return (Verdict::Skip(reason), None),
    };
    let to_worker = to_active_worker(candidate);
    if to_worker == Verdict::Skip(SkipReason::NotActive) {
        return (to_worker, None);
    }
    // "If activeWorker's list of router rules is not empty": whether or not it listens to `fetch`. A
    // local fetch asks a worker and nothing else.
    let router = asked
        .router
        .filter(|_| asked.request.look_aside != LookAside::Local);
    let static_route = router.and_then(|router| {
        let matched = router.rules.router_source(asked.request, router.running)?;
        Some(StaticRoute {
            rule: matched.rule,
            source: matched.source.kind(),
        })
    });
    let verdict = match static_route.map(|route| route.source) {
        Some(RouterSourceEnum::Network) => Verdict::Skip(SkipReason::RoutedToNetwork),
        Some(RouterSourceEnum::Cache) => Verdict::Skip(SkipReason::RoutedToCache),
        Some(RouterSourceEnum::FetchEvent | RouterSourceEnum::RaceNetworkAndFetchHandler)
        | None => to_worker,
    };
    (verdict, static_route)
}

/// `local_fetch` skips the caller's own controller; of its own origin it asks the registration that
/// matches the URL. (SEMANTICS §5.5.)
fn local_worker(asked: &RouteRequest<'_>, url: &Url) -> Result<Candidate, SkipReason> {
    let request = asked.request;
    require(
        request.service_workers != ServiceWorkersMode::None,
        SkipReason::ServiceWorkersModeNone,
    )?;
    // Other origins' follow the rules of fall-through; and once one of them has redirected the
    // request, it is not the client's own any more.
    require(
        is_same_origin(&request.origin, url) && !request.tainted_origin,
        SkipReason::LocalFetch,
    )?;
    let client = asked.client.ok_or(SkipReason::NoClient)?;
    require(client.secure_context, SkipReason::NotSecure)?;
    let found = asked.own?;
    // "An edge to oneself → TypeError."
    require(
        asked.requesting_registration != Some(found.registration),
        SkipReason::OwnRegistration,
    )?;
    Ok(found)
}

/// SEMANTICS §5.4 "When"; and which rule admits the request.
fn fall_through_worker(asked: &RouteRequest<'_>) -> (Verdict, Option<usize>) {
    let gates = || -> Result<(Candidate, usize), SkipReason> {
        let request = asked.request;
        may_fall_through(request, asked.client, asked.policy)?;
        let found = asked.fall_through?;
        require(
            asked.requesting_registration != Some(found.candidate.registration),
            SkipReason::OwnRegistration,
        )?;
        // "A prefix entry that is a string prefix of the URL and whose origins admit the requester."
        let rule = admits(found.rules, http_url(request)?, true_requester(request))?;
        // For another origin's URL, credentials go along with `include` only.
        let uncredentialed = request.credentials != CredentialsMode::Include;
        let let_through = match asked.policy.uncredentialed {
            UncredentialedFallThrough::Allow => true,
            UncredentialedFallThrough::OnlyPartitioned => found.partitioned,
            // `Forbid`, and whatever a later version adds until it is decided here.
            _ => false,
        };
        require(!uncredentialed || let_through, SkipReason::Uncredentialed)?;
        Ok((found.candidate, rule))
    };
    match gates() {
        Ok((candidate, rule)) => {
            let verdict = to_active_worker(candidate);
            (verdict, verdict.worker().map(|_| rule))
        }
        Err(reason) => (Verdict::Skip(reason), None),
    }
}

/// *Handle Fetch* and *Fire Functional Event*: an active worker that listens.
const fn to_active_worker(candidate: Candidate) -> Verdict {
    let wait_for_activated = match candidate.state {
        WorkerState::Activating => true,
        WorkerState::Activated => false,
        WorkerState::Parsed
        | WorkerState::Installing
        | WorkerState::Installed
        | WorkerState::Redundant => return Verdict::Skip(SkipReason::NotActive),
    };
    match candidate.fetch_handler {
        // Should Skip Event.
        FetchHandler::None => Verdict::Skip(SkipReason::NoFetchListener),
        // "If activeWorker's all fetch listeners are empty flag is set".
        FetchHandler::Empty => Verdict::Skip(SkipReason::EmptyFetchListeners),
        FetchHandler::Present => Verdict::Dispatch {
            registration: candidate.registration,
            worker: candidate.worker,
            wait_for_activated,
        },
    }
}

/// The first rule that has the URL and admits the requester.
fn admits(rules: &[FallThroughRule], url: &Url, requester: &Origin) -> Result<usize, SkipReason> {
    let mut matching = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| without_fragment(url).starts_with(rule.prefix.as_str()))
        .peekable();
    require(matching.peek().is_some(), SkipReason::NoPrefix)?;
    matching
        .find(|(_, rule)| rule.requesters.admits(requester))
        .map(|(at, _)| at)
        .ok_or(SkipReason::RequesterNotAdmitted)
}

/// On whose behalf the request is made: the hidden requester's origin, if there is one. Once a
/// redirect has tainted the origin, no list names it.
fn true_requester(request: &RequestHead) -> &Origin {
    const TAINTED: &Origin = &Origin::opaque(0);
    match &request.requester {
        _ if request.tainted_origin => TAINTED,
        Some(requester) => &requester.origin,
        None => &request.origin,
    }
}

fn http_url(request: &RequestHead) -> Result<&Url, SkipReason> {
    let url = request.url_list.last().ok_or(SkipReason::NotHttp)?;
    require(
        matches!(url.scheme(), "http" | "https"),
        SkipReason::NotHttp,
    )?;
    Ok(url)
}

/// The worker is shown no fragment, so none decides whether it is asked.
fn without_fragment(url: &Url) -> &str {
    &url[..url::Position::AfterQuery]
}

const fn require(condition: bool, otherwise: SkipReason) -> Result<(), SkipReason> {
    if condition { Ok(()) } else { Err(otherwise) }
}
