//! What the registry asks for and reports.

#![expect(clippy::exhaustive_enums, reason = "an unhandled output is a bug")]

use sw_types::fetch::{CacheMode, Referrer};
use sw_types::{
    ClientId, ClientNotice, EventId, PromiseId, RegistrationId, RegistrationView, RequestId, RunId,
    ScopeUrl, ScriptMap, ScriptUrl, Site, StorageKey, WorkerId, WorkerState, WorkerType,
};

use url::Url;

use crate::StoreWrite;

/// What the registry asks for and reports, in the order in which it must happen.
///
/// Writes are answered in the order in which they were asked for.
#[derive(Debug)]
pub enum Output {
    /// Do this and answer with [`Input::Response`](crate::Input) under the same id.
    Request(RequestId, Request),
    /// Settle a promise. Each one that came in goes out exactly once.
    Settle(PromiseId, Result<Settled, JobError>),
    /// *Run Service Worker*; answered by `WorkerStarted`, `WorkerStartFailed` or `WorkerDied`.
    StartWorker(Box<StartWorker>),
    /// *Terminate Service Worker*; answered by `WorkerDied`, and by nothing else of that worker
    /// before. After [`Limits::stop`](crate::Limits), the worker counts as dead.
    StopWorker {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: StopReason,
    },
    /// Dispatch a lifecycle event; answered by `EventSettled` or `WorkerDied`. Its id is unique among
    /// lifecycle events; whoever dispatches others to the same worker takes ids of another range.
    Dispatch {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// Which event.
        lifecycle: Lifecycle,
    },
    /// Tell a client.
    Notify(ClientId, ClientNotice),
    /// A worker's state changed: for whoever keeps something in a worker's name.
    WorkerStateChanged {
        /// The registration.
        registration: RegistrationId,
        /// The worker.
        worker: WorkerId,
        /// Its new state.
        state: WorkerState,
    },
    /// A registration was cleared: whatever is kept in its name goes too.
    RegistrationCleared(RegistrationId),
    /// Answer with `Activity`: the registry decides whether this worker is idle or overdue. If it
    /// does not run, answer with `WorkerDied`.
    ReadActivity(WorkerId),
    /// Something went wrong that no promise tells anyone.
    Report(Report),
}

/// What the registry cannot do itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Fetch a service worker's main script: one hop, redirect mode `error`, with
    /// `Service-Worker: script`.
    FetchScript(Box<FetchScript>),
    /// Fetch a script that a worker imported, for the byte check of an update: redirects are
    /// followed, and there is no `Service-Worker` header.
    FetchImport(Box<FetchImport>),
    /// Write these in one transaction, and answer when they are durable.
    Store(Vec<StoreWrite>),
    /// Read the scripts of a stored worker; answered by [`Response::Scripts`](crate::Response).
    LoadScripts(WorkerId),
}

/// A service worker's main script, to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchScript {
    /// The script.
    pub script_url: ScriptUrl,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// The cache mode.
    pub cache: CacheMode,
    /// The job's client: whose page or worker asked for it; `None` if none did.
    pub referrer: Option<Referrer>,
    /// The storage key of the registration.
    pub storage_key: StorageKey,
    /// The top-level site on whose behalf.
    pub initiator: Site,
    /// Whether a response header asks for it, or made the registration that is updated: the script's
    /// own response may then veto.
    /// (SEMANTICS §5.6.)
    pub by_header: bool,
}

/// An imported script, to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchImport {
    /// The script, of whatever origin.
    pub url: Url,
    /// The main script that imported it.
    pub script_url: ScriptUrl,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// The cache mode.
    pub cache: CacheMode,
    /// The worker that imports it; for the byte check, the job's client.
    pub referrer: Option<Referrer>,
    /// The storage key of the registration.
    pub storage_key: StorageKey,
    /// The top-level site on whose behalf.
    pub initiator: Site,
}

/// What a promise is fulfilled with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved once and taken apart; a box would only be in the way of that"
)]
pub enum Settled {
    /// `undefined`.
    Done,
    /// `register`, `update`, `ready`.
    Registration(RegistrationView),
    /// `unregister`: whether there was one.
    Unregistered(bool),
    /// `Wake`: this worker is activated and runs.
    Running(WorkerId),
}

/// Why a promise is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A `TypeError`.
    #[error("TypeError: {0}")]
    Type(String),
    /// A `SecurityError`.
    #[error("SecurityError: {0}")]
    Security(String),
    /// An `InvalidStateError`.
    #[error("InvalidStateError: {0}")]
    InvalidState(String),
    /// An `AbortError`: the registration or the client went away.
    #[error("AbortError: {0}")]
    Abort(String),
    /// The store refused; nothing was written.
    #[error("the store failed: {0}")]
    Store(#[from] crate::StoreError),
    /// A `QuotaExceededError`: the origin keeps as much as it may, and all of it is in use.
    #[error("QuotaExceededError: {0}")]
    Quota(String),
    /// A worker could not be started for a functional event.
    #[error("the worker did not start: {0}")]
    Start(String),
    /// A budget is used up. (SEMANTICS §5.7.)
    #[error("over budget: {0}")]
    Budget(String),
}

/// What *Run Service Worker* needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartWorker {
    /// The worker.
    pub worker: WorkerId,
    /// This run of it: whoever tells how it went says which one is meant.
    pub run: RunId,
    /// Its registration.
    pub registration: RegistrationId,
    /// Whose it is.
    pub storage_key: StorageKey,
    /// The registration's scope.
    pub scope: ScopeUrl,
    /// Its main script, which is in `scripts`.
    pub script_url: ScriptUrl,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// Its state.
    pub state: WorkerState,
    /// Its scripts.
    pub scripts: ScriptMap,
    /// The cache mode for scripts that it imports and that are not among these; only while it is
    /// parsed or installing.
    pub imports_cache: CacheMode,
}

/// A lifecycle event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// `install`
    Install,
    /// `activate`
    Activate,
}

/// Why a worker is stopped.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
pub enum StopReason {
    /// It had nothing to do.
    #[error("idle")]
    Idle,
    /// An event took longer than the event timeout.
    #[error("an event took longer than the event timeout")]
    EventTimeout,
    /// Its script did not finish evaluating within the start timeout.
    #[error("the script took longer than the start timeout")]
    StartTimeout,
    /// It became redundant.
    #[error("redundant")]
    Redundant,
    /// The browser shuts down.
    #[error("shutdown")]
    Shutdown,
}

/// What nobody would otherwise hear of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Report {
    /// A registration's job without a promise failed.
    #[error("{scope}: {error}")]
    JobFailed {
        /// The scope.
        scope: ScopeUrl,
        /// Why.
        error: JobError,
    },
    /// A worker was stopped because it overran.
    #[error("{script_url} was stopped: {reason}")]
    WorkerStopped {
        /// Its script.
        script_url: ScriptUrl,
        /// Why.
        reason: StopReason,
    },
    /// A worker did not start several times in a row: for a while, nobody tries.
    #[error(
        "{script_url} failed to start {failures} times in a row and is bypassed for {seconds} s: {error}"
    )]
    Bypassed {
        /// Its script.
        script_url: ScriptUrl,
        /// How often.
        failures: u32,
        /// For how long, in seconds.
        seconds: u64,
        /// What happened last, for people.
        error: String,
    },
    /// A registration was evicted, so that its origin is within its quota.
    #[error("{scope}: evicted, {bytes} bytes of scripts")]
    Evicted {
        /// The scope.
        scope: ScopeUrl,
        /// What that freed.
        bytes: u64,
    },
    /// Something stored was damaged, and was left out.
    #[error("quarantined: {0}")]
    Quarantined(String),
    /// The store refused a write that nobody waits for.
    #[error("{scope}: not stored: {error}")]
    NotStored {
        /// The scope.
        scope: ScopeUrl,
        /// Why.
        error: crate::StoreError,
    },
}
