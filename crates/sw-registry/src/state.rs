//! What the registry keeps: registrations, workers, clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use sw_types::fetch::CacheMode;
use sw_types::{
    ClientId, EncodedRouterRule, Environment, EventId, EventTypes, FallThroughRule, FetchHandler,
    NavigationPreload, PromiseId, RegistrationId, RequestId, RunId, ScopeUrl, ScriptMap, ScriptUrl,
    StorageKey, Timestamp, UpdateViaCache, WorkerId, WorkerState, WorkerType, WorkerView,
};
use url::Url;

use crate::activate::Activate;
use crate::{Lifecycle, Provenance, StopReason};

/// The key of the *registration map* and of the *job queue map*. (The specification keys job queues
/// by scope alone; then partitions would wait for each other.)
pub(crate) type ScopeKey = (StorageKey, ScopeUrl);

/// A *service worker registration*.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) id: RegistrationId,
    pub(crate) storage_key: StorageKey,
    pub(crate) scope: ScopeUrl,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) last_update_check: Option<Timestamp>,
    pub(crate) provenance: Provenance,
    pub(crate) navigation_preload: NavigationPreload,
    pub(crate) installing: Option<WorkerId>,
    pub(crate) waiting: Option<WorkerId>,
    pub(crate) active: Option<WorkerId>,
    /// The clients that use it.
    pub(crate) clients: BTreeSet<ClientId>,
    /// *Unregistered*: the registration map no longer maps its key to it.
    pub(crate) unregistered: bool,
    /// Where *Activate* is.
    pub(crate) activation: Option<Activate>,
    /// Whether the installing worker is being stored as waiting.
    pub(crate) storing_install: bool,
    /// The worker that its row names as activated since it was installed.
    pub(crate) stored_as_activated: Option<WorkerId>,
    /// Who waits for its active worker to run.
    pub(crate) wakes: Vec<PromiseId>,
    /// The workers of which *Try Clear* wants to know whether they are idle.
    pub(crate) asked_before_clear: BTreeSet<WorkerId>,
    /// Whether a row was written; since a removal was asked for, whether it was written again.
    pub(crate) stored: bool,
    /// When a client or an event last used it; `None` if not since this start.
    pub(crate) last_used: Option<Instant>,
}

impl Registration {
    pub(crate) fn key(&self) -> ScopeKey {
        (self.storage_key.clone(), self.scope.clone())
    }

    /// *Newest worker*.
    pub(crate) fn newest(&self) -> Option<WorkerId> {
        self.installing.or(self.waiting).or(self.active)
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerId> {
        [self.installing, self.waiting, self.active]
            .into_iter()
            .flatten()
    }
}

/// A *service worker*.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) registration: RegistrationId,
    pub(crate) script_url: ScriptUrl,
    pub(crate) worker_type: WorkerType,
    pub(crate) state: WorkerState,
    /// Its *script resource map*; `None` if it is stored and was not read.
    pub(crate) scripts: Option<ScriptMap>,
    /// Its *set of used scripts*.
    pub(crate) used: BTreeSet<Url>,
    pub(crate) imports_cache: CacheMode,
    /// What the update that brought it could not fetch.
    pub(crate) failed_imports: BTreeSet<Url>,
    /// *Skip waiting flag*.
    pub(crate) skip_waiting: bool,
    /// Who called `skipWaiting()` and waits for what *Try Activate* comes to.
    pub(crate) skipping: Vec<PromiseId>,
    /// The script's *has ever been evaluated flag*.
    pub(crate) ever_evaluated: bool,
    pub(crate) event_types: EventTypes,
    pub(crate) fetch_handler: FetchHandler,
    pub(crate) fall_through: Arc<[FallThroughRule]>,
    /// Its *list of router rules*.
    pub(crate) router_rules: Arc<[EncodedRouterRule]>,
    pub(crate) run: Run,
    /// Its last run, once it was started.
    pub(crate) run_id: Option<RunId>,
    /// Who waits for it to run, whatever its state is.
    pub(crate) awaited_by: Vec<PromiseId>,
    /// The lifecycle event that it is handling.
    pub(crate) lifecycle: Option<(EventId, Lifecycle)>,
    /// When somebody was last told that it runs.
    pub(crate) last_wake: Option<Instant>,
    /// When the registry looks at it next.
    pub(crate) deadline: Option<Instant>,
    /// How often in a row it did not start, and until when nobody tries.
    pub(crate) failures: u32,
    pub(crate) bypassed_until: Option<Instant>,
    /// How many bytes its installed scripts are.
    pub(crate) script_bytes: u64,
}

/// Whether a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// It has no global.
    Stopped,
    /// Its scripts are being read from the store, to start it.
    Loading(RequestId),
    /// *Run Service Worker* was asked for.
    Starting,
    /// It has evaluated its script.
    Running,
    /// *Terminate Service Worker* was asked for, and why.
    Stopping(StopReason),
}

impl Worker {
    pub(crate) fn view(&self) -> WorkerView {
        WorkerView {
            id: self.id,
            script_url: self.script_url.clone(),
            state: self.state,
        }
    }
}

/// A *service worker client*.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) environment: Environment,
    pub(crate) storage_key: Option<StorageKey>,
    /// *Execution ready flag*.
    pub(crate) execution_ready: bool,
    /// The registration whose active worker controls it.
    pub(crate) uses: Option<RegistrationId>,
    /// Its *ready promises* that are pending.
    pub(crate) ready: Vec<PromiseId>,
}
