//! What the registry is told.

#![expect(
    clippy::exhaustive_enums,
    reason = "an input that is not handled is a bug"
)]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use sw_types::fetch::Referrer;
use sw_types::{
    ClientId, EncodedRouterRule, Environment, EventId, EventTypes, FallThroughRule, FetchHandler,
    Origin, PromiseId, RegistrationId, RequestId, RunId, ScopeUrl, ScriptMap, ScriptResource,
    ScriptUrl, Site, StorageKey, Timestamp, UpdateViaCache, WorkerId, WorkerType,
};
use url::Url;

use crate::StoreError;

/// The time, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: for timeouts.
    pub instant: Instant,
    /// The wall clock: for the update check.
    pub wall: Timestamp,
}

/// What the registry is told: an operation of a script, news of a client or a worker, or the answer
/// to something that it asked for.
///
/// Each [`PromiseId`] that comes in goes out in exactly one [`Output::Settle`](crate::Output).
#[derive(Debug)]
pub enum Input {
    /// `register()`, or an installation by header. (*Service Workers*, "Start Register".) A script's
    /// promise resolves when the installation begins, a header's when the worker is installed.
    Register(PromiseId, Register),
    /// `registration.update()`.
    Update {
        /// The promise.
        promise: PromiseId,
        /// The registration.
        registration: RegistrationId,
        /// The service worker that calls, if one does.
        caller: Option<WorkerId>,
        /// The page or worker that calls, as the `Referer` of the scripts' requests says it.
        referrer: Option<Referrer>,
    },
    /// *Soft Update*: an update without a promise.
    SoftUpdate {
        /// The registration.
        registration: RegistrationId,
        /// Whether the HTTP cache is bypassed.
        force_bypass_cache: bool,
    },
    /// `registration.unregister()`.
    Unregister {
        /// The promise.
        promise: PromiseId,
        /// The registration.
        registration: RegistrationId,
    },
    /// `skipWaiting()`.
    SkipWaiting {
        /// The promise.
        promise: PromiseId,
        /// The worker that calls.
        worker: WorkerId,
    },
    /// `clients.claim()`.
    Claim {
        /// The promise.
        promise: PromiseId,
        /// The worker that calls.
        worker: WorkerId,
    },
    /// `navigator.serviceWorker.ready`: settles when a registration that matches the client has an
    /// active worker.
    Ready {
        /// The promise.
        promise: PromiseId,
        /// The client.
        client: ClientId,
    },
    /// `event.handleFallThroughRequests()`, checked by the caller.
    HandleFallThroughRequests {
        /// The worker.
        worker: WorkerId,
        /// The install event.
        event: EventId,
        /// The rules, added to those that it gave before.
        rules: Vec<FallThroughRule>,
    },
    /// `event.addRoutes()`, each rule verified by the caller: settles once they are added.
    AddRoutes {
        /// The promise.
        promise: PromiseId,
        /// The worker.
        worker: WorkerId,
        /// The install event.
        event: EventId,
        /// The rules, added to those that it gave before.
        rules: Vec<EncodedRouterRule>,
    },
    /// `registration.navigationPreload`: a change of what is kept there.
    SetNavigationPreload {
        /// The promise.
        promise: PromiseId,
        /// The registration.
        registration: RegistrationId,
        /// What changes.
        change: PreloadChange,
    },
    /// A window or worker is being created (a navigation's *reserved client* included).
    ClientCreated {
        /// Who it is.
        environment: Environment,
        /// Its storage key, as the host's partition policy gives it; `None` if it has no storage.
        storage_key: Option<StorageKey>,
    },
    /// *Handle Fetch* gave a reserved client a registration, or a worker inherits its creator's.
    ClientUses {
        /// The client.
        client: ClientId,
        /// The registration that it uses from now on.
        registration: RegistrationId,
    },
    /// A client's document answered `Fall-Through: none`. (SEMANTICS §5.4, "Page opt-out".)
    FallThroughForbidden(ClientId),
    /// A client became execution-ready.
    ClientReady(ClientId),
    /// A client was discarded.
    ClientGone(ClientId),
    /// Someone has a functional event for a registration's active worker: settles with
    /// [`Settled::Running`](crate::Settled) once that worker is activated and runs.
    Wake {
        /// The promise.
        promise: PromiseId,
        /// The registration.
        registration: RegistrationId,
        /// The top-level site that caused it, if that is another than the registration's own; it
        /// pays from that site's budget.
        initiator: Option<Site>,
    },
    /// Someone has an event for this very worker, whatever its state is (`ServiceWorker.postMessage()`):
    /// settles with [`Settled::Running`](crate::Settled) once it runs. (*Run Service Worker*.)
    Run {
        /// The promise.
        promise: PromiseId,
        /// The worker.
        worker: WorkerId,
        /// As that of [`Wake`](Self::Wake).
        initiator: Option<Site>,
    },
    /// *Run Service Worker* evaluated the script.
    WorkerStarted {
        /// The worker.
        worker: WorkerId,
        /// The run, as [`StartWorker`](crate::StartWorker) named it. Word of an earlier run than
        /// the last is ignored.
        run: RunId,
        /// The event types that have listeners.
        event_types: EventTypes,
        /// What its fetch listeners amount to.
        fetch_handler: FetchHandler,
    },
    /// *Run Service Worker* failed: the script threw, or was blocked.
    WorkerStartFailed {
        /// The worker.
        worker: WorkerId,
        /// The run.
        run: RunId,
        /// What happened, for people.
        error: String,
    },
    /// A worker that is parsed or installing imported a script (`importScripts`, or a static import
    /// of a module): its *script resource map* and *set of used scripts* grow.
    ScriptImported {
        /// The worker.
        worker: WorkerId,
        /// The script, as it was asked for.
        url: Url,
        /// The script, if it was fetched; `None` if the map had it.
        fetched: Option<Arc<ScriptResource>>,
        /// Whether the HTTP cache answered that fetch; if not, it counts as an update check.
        from_cache: bool,
    },
    /// A dispatched event and all its lifetime promises have settled.
    EventSettled {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// Whether any of them rejected.
        outcome: EventOutcome,
    },
    /// A worker is gone: it was stopped, it crashed, it was interrupted.
    WorkerDied {
        /// The worker.
        worker: WorkerId,
        /// The run.
        run: RunId,
        /// Why, for people.
        reason: String,
    },
    /// The answer to [`Output::ReadActivity`](crate::Output). If that answer was "busy" and
    /// [`Registry::awaits_idle`](crate::Registry::awaits_idle), word follows once the worker has
    /// become idle.
    ///
    /// Also the answer to an [`Output::StopWorker`](crate::Output) for idleness, if the worker was
    /// sent an event meanwhile: then it runs on.
    Activity {
        /// The worker.
        worker: WorkerId,
        /// When the oldest event that it is still handling was dispatched, lifecycle events apart;
        /// `None` if it is idle.
        oldest_event: Option<Instant>,
        /// When it was last busy.
        last_busy: Instant,
    },
    /// The answer to an [`Output::Request`](crate::Output).
    Response(RequestId, Response),
    /// Clear stored data, at once and whoever uses it.
    ClearSiteData(PromiseId, SiteData),
}

/// Whose data is cleared. (*Clear Site Data*; SEMANTICS §8.9.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteData {
    /// An origin's, in every partition and private session: what a user clears.
    Origin(Origin),
    /// One storage key's: what a `Clear-Site-Data` header of a response may clear.
    StorageKey(StorageKey),
}

impl SiteData {
    /// Whether what is kept under a storage key is meant.
    #[must_use]
    pub fn covers(&self, key: &StorageKey) -> bool {
        match self {
            Self::Origin(origin) => key.origin() == origin,
            Self::StorageKey(meant) => key == meant,
        }
    }
}

/// For people.
impl std::fmt::Display for SiteData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin(origin) => origin.fmt(f),
            Self::StorageKey(key) => key.fmt(f),
        }
    }
}

/// The arguments of *Start Register*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Whose registration.
    pub storage_key: StorageKey,
    /// The scope.
    pub scope: ScopeUrl,
    /// The script.
    pub script_url: ScriptUrl,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// The update-via-cache mode.
    pub update_via_cache: UpdateViaCache,
    /// The client that asks; `None` for an installation by header.
    pub client: Option<ClientId>,
    /// The origin of the referrer: the client's, or the response's that carried the header.
    pub referrer_origin: Origin,
    /// The client, as the `Referer` of the script's request says it; `None` sends none.
    pub referrer: Option<Referrer>,
    /// Who made this registration, and what it may do.
    pub provenance: Provenance,
    /// The top-level site on whose behalf the script is fetched.
    pub initiator: Site,
}

impl Register {
    /// `register(scriptURL)` as a top-level page of the script's own origin calls it, without options
    /// and without a client that is told; change what is otherwise.
    #[must_use]
    pub fn new(script_url: ScriptUrl) -> Self {
        let origin = script_url.origin();
        Self {
            storage_key: StorageKey::first_party(origin.clone()),
            scope: ScopeUrl::default_for(&script_url),
            script_url,
            worker_type: WorkerType::default(),
            update_via_cache: UpdateViaCache::default(),
            client: None,
            initiator: Site::of(&origin),
            referrer_origin: origin,
            referrer: None,
            provenance: Provenance::Script,
        }
    }
}

/// A change of a registration's navigation preload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreloadChange {
    /// `enable()` and `disable()`.
    Enabled(bool),
    /// `setHeaderValue()`.
    HeaderValue(HeaderValue),
}

/// Who made a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Provenance {
    /// A script called `register()`.
    Script,
    /// A response header. It never replaces a registration of a script. (SEMANTICS §5.6.)
    Header {
        /// Whether it may control clients.
        controls_clients: bool,
    },
}

/// How the handling of an event ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EventOutcome {
    /// Every lifetime promise fulfilled.
    Fulfilled,
    /// One rejected, or a listener of a lifecycle event threw where that counts.
    Rejected(String),
}

/// What the outside answers.
#[derive(Debug)]
pub enum Response {
    /// To [`Request::FetchScript`](crate::Request) and [`Request::FetchImport`](crate::Request).
    Script(Result<FetchedScript, ScriptFetchError>),
    /// To [`Request::Store`](crate::Request): durable, or not.
    Stored(Result<(), StoreError>),
    /// To [`Request::LoadScripts`](crate::Request).
    Scripts(Result<ScriptMap, StoreError>),
}

/// A script response, with its whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedScript {
    /// The status; not yet checked.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Bytes,
    /// Whether the HTTP cache answered.
    pub from_cache: bool,
}

/// From the network.
impl From<http::Response<Bytes>> for FetchedScript {
    fn from(response: http::Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
            from_cache: false,
        }
    }
}

/// Why there is no script response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScriptFetchError(pub String);
