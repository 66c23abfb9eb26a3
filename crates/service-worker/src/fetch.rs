//! One hop of a fetch: own worker, then fall-through, then network. (*Fetch*, "HTTP fetch"; *Service
//! Workers*, "Handle Fetch"; SEMANTICS §5.4.)

mod dispatch;
mod network;
mod preload;
mod static_routes;
mod timing;

use std::sync::Arc;

use fetch_router::{
    BlockedReason, Candidate, FallThroughCandidate, FallThroughPolicy, Route, RouteRequest,
    RouterRules, RouterSourceEnum, SkipReason, StaticRouter,
};
use http::HeaderMap;
use sw_registry::{Input, Snapshot};
use sw_types::fetch::{
    CacheMode, Destination, LookAside, RequestHead, ResponseHead, ServiceWorkersMode,
};
use sw_types::{ClientId, Environment, Origin, RegistrationId, Timestamp, WorkerId};

use self::dispatch::Dispatched;
pub(crate) use self::network::Asked;
use self::preload::Preload;
use self::static_routes::Routed;
pub use self::timing::ServiceWorkerTiming;
use crate::shared::{Requesting, Shared, ToDriver};
use crate::{Body, NetworkError, Policies, Response};

/// A request, one hop of it.
#[derive(Debug)]
pub struct FetchRequest {
    /// Its head.
    pub head: RequestHead,
    /// Its body.
    pub body: Body,
    /// Its client.
    pub client: ClientId,
    /// For a navigation or a worker's script: the environment that is being created. It has been
    /// announced by [`HostEvent::ClientCreated`](crate::HostEvent::ClientCreated).
    pub reserved: Option<Environment>,
    /// Whether and how the network may be asked, if no worker answers.
    pub network: NetworkUse,
}

/// Whether and how a request may go to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum NetworkUse {
    /// It may.
    Allowed {
        /// Headers to send besides the head's: `Origin`, `Referer`, `Sec-Fetch-*` and the like, which
        /// no worker is shown and which do not count when headers are checked for being safelisted.
        headers: HeaderMap,
        /// The cache mode to use instead of the head's.
        cache: CacheMode,
    },
    /// It may not: without an answer of a worker the fetch fails with
    /// [`FetchError::NetworkForbidden`]. (A CORS request whose preflight has not been made.)
    Forbidden,
}

/// A response, who gave it, and why the others did not.
#[derive(Debug)]
pub struct Fetched {
    /// The response. A worker's has been checked and filtered for the request; the network's has
    /// type default and is the caller's to filter, after it followed redirects.
    pub response: Response,
    /// Who answered.
    pub answered_by: AnsweredBy,
    /// What the router decided before.
    pub route: Route,
    /// When, as far as the client's own worker and its router rules are concerned.
    pub timing: ServiceWorkerTiming,
}

/// Who answered a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nobody else")]
pub enum AnsweredBy {
    /// The client's own worker.
    OwnWorker(WorkerId),
    /// A cache of the host's, as a router rule of the client's own worker says.
    CacheStorage(WorkerId),
    /// Another origin's worker, after the client's own let the request go.
    FallThrough(WorkerId),
    /// The network.
    Network,
    /// The HTTP cache.
    HttpCache,
}

/// A network error, with what people want to know of it. Scripts learn nothing of this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The client is not known, or gone.
    #[error("the client is not known, or gone")]
    UnknownClient,
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A worker answered with a failure, or failed to answer.
    #[error("{url}: {worker} {reason}")]
    Worker {
        /// What was asked.
        url: url::Url,
        /// Who failed.
        worker: WorkerId,
        /// How.
        reason: String,
    },
    /// A worker's answer may not be used for this request.
    #[error("{url}: {reason}")]
    Blocked {
        /// What was asked.
        url: url::Url,
        /// Why not.
        reason: BlockedReason,
    },
    /// No worker answered, and [`NetworkUse`] forbids the network.
    #[error("{0}: no worker answers, and the network may not be asked")]
    NetworkForbidden(url::Url),
    /// `local_fetch` and `lookAside: "local"`: no worker answered; nothing was sent. (SEMANTICS §5.5.)
    #[error("{0}: no local worker answers")]
    NoLocalWorker(url::Url),
    /// The request's body broke before it was sent.
    #[error("{url}: {error}")]
    Body {
        /// What was asked.
        url: url::Url,
        /// How.
        error: crate::BodyError,
    },
}

/// See [`Handle::fetch`](crate::Handle::fetch).
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    request: FetchRequest,
) -> Result<Fetched, FetchError> {
    let FetchRequest {
        head,
        mut body,
        client,
        reserved,
        network,
    } = request;
    let Decided {
        environment,
        requesting,
        controller,
        service,
        router_rules,
        route,
    } = decide(&shared, &head, client, reserved.as_ref())?;
    let mut timing = ServiceWorkerTiming::default();
    if router_rules.is_some() {
        timing.router_evaluation_start = Some(shared.clock.now());
    }
    tracing::debug!(url = %head.url(), own = ?route.own, fall_through = ?route.fall_through, "routed");
    if !route.own.reached() {
        timing.router_evaluation_start = None;
    }
    timing.matched_router_source = route.static_route.map(|route| route.source);
    // "… and worker final router source be set to "network"."
    timing.final_router_source = route.static_route.map(|_| RouterSourceEnum::Network);

    if let (Some(controller), Some(reserved)) = (&controller, &reserved)
        && controller.active.is_some()
        // Handle Fetch is not asked of what the network redirected: that changes no controller.
        && head.service_workers == ServiceWorkersMode::All
    {
        let uses = Input::ClientUses {
            client: reserved.id,
            registration: controller.id,
        };
        shared.send(ToDriver::Tell(uses));
    }
    let asked = Asked {
        shared: &shared,
        head: &head,
        client,
        environment: &environment,
    };
    if let (Some(static_route), Some((rules, _)), Some(controller)) =
        (route.static_route, &router_rules, &controller)
    {
        let routed = Routed {
            asked: &asked,
            rules,
            route,
            static_route,
            controller,
            reserved: reserved.as_ref(),
            network: &network,
        };
        if let Some((response, answered_by)) = routed.answer(&mut timing).await? {
            return Ok(Fetched {
                response,
                answered_by,
                route,
                timing,
            });
        }
    }
    if let Some(controller) = &controller {
        let dispatched = match route.own.worker() {
            Some(worker) => {
                let event = dispatch::own_event(&head, client, reserved.as_ref());
                let preload = match &network {
                    NetworkUse::Allowed { headers, cache } => {
                        let network = (headers, *cache);
                        Preload::begin(&shared, controller, &head, client, &environment, network)
                    }
                    NetworkUse::Forbidden => None,
                };
                let (preloading, preload) = preload.unzip();
                let to_own = dispatch::to_own(
                    &shared,
                    controller.id,
                    event,
                    preload,
                    &mut body,
                    &mut timing,
                );
                let dispatched = preload::beside(&shared, preloading, to_own);
                Some((worker, dispatched.await))
            }
            None => None,
        };
        // A worker whose fetch listeners are all empty is started, and not waited for.
        if route.own.skipped() == Some(SkipReason::EmptyFetchListeners) {
            let (registration, initiator) = (controller.id, None);
            drop(shared.ask(|promise| Input::Wake {
                promise,
                registration,
                initiator,
            }));
        }
        // Whatever came of the event: a worker that breaks its pages must not miss its update.
        soft_update(&shared, route.own_soft_update, controller.id);
        if let Some((worker, dispatched)) = dispatched
            && let Some((worker, response)) = taken(&head, worker, dispatched)?
        {
            if route.static_route.is_some() {
                timing.final_router_source = Some(RouterSourceEnum::FetchEvent);
            }
            let answered_by = AnsweredBy::OwnWorker(worker);
            let response = filtered(&head, response, fetch_router::filter_own)?;
            return Ok(Fetched {
                response,
                answered_by,
                route,
                timing,
            });
        }
    }
    if let (Some(worker), Some(service)) = (route.fall_through.worker(), &service) {
        let from = requesting
            .as_ref()
            .map(|requesting| requesting.registration);
        let dispatched =
            dispatch::to_service(&shared, from, service.id, &head, &environment, &mut body).await;
        soft_update(&shared, route.fall_through_soft_update, service.id);
        if let Some((worker, response)) = taken(&head, worker, dispatched)? {
            let answered_by = AnsweredBy::FallThrough(worker);
            let response = filtered(&head, response, fetch_router::refilter)?;
            return Ok(Fetched {
                response,
                answered_by,
                route,
                timing,
            });
        }
    }
    // "Never touches HTTP cache or network."
    if head.look_aside == LookAside::Local {
        return Err(FetchError::NoLocalWorker(head.url().clone()));
    }
    let NetworkUse::Allowed { headers, cache } = network else {
        return Err(FetchError::NetworkForbidden(head.url().clone()));
    };
    let (response, answered_by) = asked.send(body, headers, cache).await?;
    Ok(Fetched {
        response,
        answered_by,
        route,
        timing,
    })
}

/// What is known of a request before anybody is asked.
pub(crate) struct Decided {
    environment: Arc<Environment>,
    requesting: Option<Arc<Requesting>>,
    controller: Option<Arc<Snapshot>>,
    service: Option<Arc<Snapshot>>,
    router_rules: Option<(Arc<RouterRules>, bool)>,
    pub(crate) route: Route,
}

/// Looks up who could see a request, and decides who does. Nobody is asked.
///
/// # Errors
/// [`FetchError::UnknownClient`].
pub(crate) fn decide(
    shared: &Shared,
    head: &RequestHead,
    client: ClientId,
    reserved: Option<&Environment>,
) -> Result<Decided, FetchError> {
    let environment = match reserved {
        Some(environment) => Arc::new(environment.clone()),
        None => shared
            .environment(client)
            .ok_or(FetchError::UnknownClient)?,
    };
    let requesting = shared.requesting(client);
    let controller = controller(shared, head, client, reserved);
    let service = service(shared, head, &environment);
    let policy = fall_through_policy(&shared.policies);
    let now = shared.clock.wall();
    let router_rules = router_rules(shared, controller.as_deref());
    let route = fetch_router::route(&RouteRequest {
        own: controller
            .as_deref()
            .and_then(|found| candidate(found, now)),
        router: router_rules.as_ref().map(|(rules, running)| StaticRouter {
            rules,
            running: *running,
        }),
        fall_through: service.as_deref().and_then(|found| {
            Some(FallThroughCandidate {
                candidate: candidate(found, now)?,
                rules: &found.active.as_ref()?.fall_through,
                partitioned: found.storage_key.top_level_site().is_some(),
            })
        }),
        requesting_registration: requesting
            .as_ref()
            .map(|requesting| requesting.registration),
        ..RouteRequest::new(head, Some(&environment), &policy)
    });
    Ok(Decided {
        environment,
        requesting,
        controller,
        service,
        router_rules,
        route,
    })
}

/// The router rules of the controller's active worker, if it has any, and whether it runs.
fn router_rules(
    shared: &Shared,
    controller: Option<&Snapshot>,
) -> Option<(Arc<RouterRules>, bool)> {
    let active = controller?.active.as_ref()?;
    let rules = shared.routes.of(active)?;
    Some((rules, shared.endpoint(active.id).is_some()))
}

/// The registration whose worker comes first. (*Handle Fetch*, steps 13 and 14.)
fn controller(
    shared: &Shared,
    head: &RequestHead,
    client: ClientId,
    reserved: Option<&Environment>,
) -> Option<Arc<Snapshot>> {
    match reserved {
        // Redirected by the network, or made to pass workers by: it keeps whom it has.
        Some(_) if head.service_workers != ServiceWorkersMode::All => None,
        // *Handle Fetch* returns before it matches a registration for these.
        Some(_) if head.shift_reload => None,
        Some(_) if matches!(head.destination, Destination::Embed | Destination::Object) => None,
        Some(reserved) => {
            let partition = shared.policies.partition;
            let key = partition.storage_key(reserved, &Origin::of(head.url()))?;
            let matched = shared.lookup.match_registration(&key, head.url());
            // SEMANTICS §5.6: an installation that only serves others controls no client.
            matched.filter(|found| found.controls_clients())
        }
        None => shared.lookup.controller(client),
    }
}

/// The registration that could answer by fall-through. A URL of whose origin nobody keeps a
/// registration costs one look-up.
fn service(
    shared: &Shared,
    head: &RequestHead,
    environment: &Environment,
) -> Option<Arc<Snapshot>> {
    if !shared.policies.fall_through || !shared.lookup.has_origin(head.url()) {
        return None;
    }
    let key = shared
        .policies
        .partition
        .storage_key(environment, &Origin::of(head.url()))?;
    shared.lookup.match_registration(&key, head.url())
}

fn fall_through_policy(policies: &Policies) -> FallThroughPolicy {
    let mut policy = FallThroughPolicy::new(policies.uncredentialed_fall_through);
    policy.enabled = policies.fall_through;
    policy.max_depth = policies.limits.fall_through_depth;
    policy
}

/// The active worker of a registration, as the router wants to know it.
fn candidate(found: &Snapshot, now: Timestamp) -> Option<Candidate> {
    let active = found.active.as_ref()?;
    Some(Candidate {
        registration: found.id,
        worker: active.id,
        state: active.state,
        fetch_handler: active.fetch_handler,
        stale: found.is_stale(now),
    })
}

/// The response of a dispatch, if it was handled.
fn taken(
    head: &RequestHead,
    worker: WorkerId,
    dispatched: Result<Dispatched, String>,
) -> Result<Option<(WorkerId, Response)>, FetchError> {
    match dispatched {
        Ok(Dispatched::NotHandled) => Ok(None),
        Ok(Dispatched::Response(worker, response)) => Ok(Some((worker, *response))),
        Err(reason) => Err(FetchError::Worker {
            url: head.url().clone(),
            worker,
            reason,
        }),
    }
}

/// A worker's response as the request may see it.
fn filtered(
    head: &RequestHead,
    response: Response,
    filter: fn(&RequestHead, ResponseHead) -> Result<ResponseHead, BlockedReason>,
) -> Result<Response, FetchError> {
    let blocked = |reason| FetchError::Blocked {
        url: head.url().clone(),
        reason,
    };
    let Response { head: answer, body } = response;
    Ok(Response {
        head: filter(head, answer).map_err(blocked)?,
        body,
    })
}

/// *Soft Update*, "in parallel": once the page has had a moment to load.
fn soft_update(shared: &Arc<Shared>, wanted: bool, registration: RegistrationId) {
    if !wanted {
        return;
    }
    let then = shared.clock.now() + shared.policies.limits.soft_update_delay;
    let shared_then = Arc::clone(shared);
    shared.in_background(async move {
        shared_then.clock.sleep_until(then).await;
        shared_then.send(ToDriver::Tell(Input::SoftUpdate {
            registration,
            force_bypass_cache: false,
        }));
    });
}
