//! One hop of a fetch: own worker, then fall-through, then network. (*Fetch*, "HTTP fetch"; *Service
//! Workers*, "Handle Fetch"; SEMANTICS §5.4.)

mod decide;
mod dispatch;
mod hop;
mod network;
mod preload;
mod record;
mod static_routes;
mod timing;

use std::sync::Arc;
use std::time::Instant;

use fetch_router::{BlockedReason, Route};
use http::HeaderMap;
use sw_types::fetch::{CacheMode, LookAside, RequestHead};
use sw_types::{ClientId, Environment, WorkerId};

pub(crate) use self::decide::decide;
use self::hop::Hop;
pub(crate) use self::network::Asked;
use self::record::Attempts;
pub use self::record::{Attempt, DecisionRecord, Outcome, PassedBy};
pub use self::timing::ServiceWorkerTiming;
use crate::shared::Shared;
use crate::{Body, NetworkError, Response};

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
    /// A worker of the client's own origin, which a local fetch asked. (SEMANTICS §5.5.)
    LocalWorker(WorkerId),
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

/// See [`Handle::fetch_with_record`](crate::Handle::fetch_with_record).
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    request: FetchRequest,
) -> (Result<Fetched, FetchError>, Option<Box<DecisionRecord>>) {
    let began = shared.clock.now();
    let FetchRequest {
        head,
        body,
        client,
        reserved,
        network,
    } = request;
    let decided = match decide(&shared, &head, client, reserved.as_ref()) {
        Ok(decided) => decided,
        Err(error) => return (Err(error), None),
    };
    let mut hop = Hop {
        asked: Asked {
            shared: &shared,
            head: &head,
            client,
            environment: &decided.environment,
        },
        decided: &decided,
        reserved: reserved.as_ref(),
        body,
        network,
        timing: ServiceWorkerTiming::default(),
        attempts: Attempts::new(shared.clock.as_ref()),
        preloaded: false,
    };
    let answer = hop.run().await;
    if head.look_aside == LookAside::Local && answer.is_err() {
        until_floor(&shared, began).await;
    }
    let route = decided.route;
    let record = DecisionRecord {
        route,
        own_registration: decided.controller.as_ref().ok().map(|found| found.id),
        fall_through_registration: decided.service.as_ref().ok().map(|found| found.id),
        fall_through_prefix: decided.prefix(),
        preload: hop.preloaded,
        protocol: hop.attempts.protocol,
        attempts: hop.attempts.list,
        answered_by: answer.as_ref().ok().map(|(_, who)| *who),
        began,
        took: shared.clock.now().saturating_duration_since(began),
    };
    tracing::debug!(url = %head.url(), %record, "fetched");
    let timing = hop.timing;
    let fetched = answer.map(|(response, answered_by)| Fetched {
        response,
        answered_by,
        route,
        timing,
    });
    (fetched, Some(Box::new(record)))
}

/// "No eligible worker, or no answer → TypeError, both settled at the same floor": that of refused
/// connects, or, for what was decided later than that, four times as much, and so on. (SEMANTICS §5.5.)
async fn until_floor(shared: &Shared, began: Instant) {
    let floor = shared.policies.limits.connect_floor;
    let decided = shared.clock.now().saturating_duration_since(began);
    let mut at = floor;
    while at < decided && !at.is_zero() {
        at = at.saturating_mul(4);
    }
    if let Some(then) = began.checked_add(at) {
        shared.clock.sleep_until(then).await;
    }
}
