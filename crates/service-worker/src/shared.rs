//! What handles, the driver and fetches share: the tables that many read and one writes.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dashmap::DashMap;
use fetch_router::WaitGraph;
use futures_channel::{mpsc, oneshot};
use installer::Throttle;
use message_port::MessagePort;
use stash::EntryId;
use sw_registry::{Input, JobError, Lookup, Settled};
use sw_types::{
    ClientId, Environment, EventTypes, PromiseId, RegistrationId, RegistrationView, RunId,
    ScopeUrl, ScriptUrl, StorageKey, WorkerId,
};

use crate::connecting::ConnectCall;
use crate::endpoint::{Activity, KeepAlive};
use crate::importing::Importing;
use crate::messaging::{AboutClients, Posted};
use crate::router_rules::CompiledRoutes;
use crate::stashing::{Loaded, Passenger, Stashing};
use crate::store::BlobReader;
use crate::{
    CacheStorage, Clock, HostEvent, Network, Policies, PortMessage, Report, WorkerEndpoint,
};

/// Event ids of fetches start here; those below are the registry's own, for lifecycle events.
const FIRST_FETCH_EVENT: u64 = 1 << 48;

/// Client ids of service workers start here; those below are the host's to give.
const FIRST_WORKER_CLIENT: u64 = 1 << 63;

/// See the module.
pub(crate) struct Shared {
    pub(crate) policies: Policies,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) caches: Arc<dyn CacheStorage>,
    pub(crate) routes: CompiledRoutes,
    pub(crate) lookup: Lookup,
    endpoints: DashMap<WorkerId, WorkerEndpoint>,
    requesters: DashMap<ClientId, Arc<Requesting>>,
    loops: Mutex<WaitGraph>,
    installs: Mutex<Throttle>,
    stashing: Mutex<Stashing>,
    /// What the store keeps apart: payloads of stashed messages.
    pub(crate) blobs: BlobReader,
    next_event: Arc<AtomicU64>,
    next_promise: AtomicU64,
    driver_polls: AtomicU64,
    driver: mpsc::UnboundedSender<ToDriver>,
    reports: mpsc::UnboundedSender<Report>,
}

/// What goes to the driver.
pub(crate) enum ToDriver {
    /// News from the host.
    Host(HostEvent<MessagePort>),
    /// News for the registry that nobody waits for.
    Tell(Input),
    /// An operation for the registry whose promise someone waits for.
    Ask(PromiseId, Box<Input>, oneshot::Sender<Answered>),
    /// Everything before this has been taken.
    Marker(oneshot::Sender<()>),
    /// What does a registration look like to scripts?
    View(RegistrationId, oneshot::Sender<Option<RegistrationView>>),
    /// What do the registrations of a storage key take?
    ScriptBytes(Box<StorageKey>, oneshot::Sender<u64>),
    /// `navigator.connect()`.
    Connect(Box<ConnectCall>),
    /// What the response to a connect's URL asked for is registered, or nothing is.
    InstalledToConnect(sw_types::RequestId, Vec<RegistrationId>),
    /// `ServiceWorker.postMessage()`.
    Post(Box<Posted>),
    /// `Client.postMessage()`.
    PostToClient {
        worker: WorkerId,
        client: ClientId,
        message: PortMessage<MessagePort>,
    },
    /// `clients.get()` and `clients.matchAll()`.
    AboutClients(AboutClients),
    /// `importScripts()`.
    Import(Box<Importing>),
    /// A stashed port, or the stash, may have something to do.
    StashReady(EntryId),
    /// A port was stashed.
    Stashed(EntryId),
    /// The store has, or has refused, what the stash gave it last.
    StashCommitted(Result<(), sw_registry::StoreError>),
    /// The payloads of a message that is about to be dispatched were read.
    StashLoaded(Box<Loaded>),
    /// A push message for a registration.
    Push(RegistrationId, Option<bytes::Bytes>),
    /// Site data of a storage key is cleared.
    ClearStash(Box<StorageKey>),
    /// The ports of a message that nobody will see, to be dropped where no lock is held.
    Discard(Vec<Passenger>),
    /// A worker that was watched has become idle.
    Idle(WorkerId),
    /// Run this beside everything else.
    Background(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Stop all workers, finish all writes, end.
    ShutDown(oneshot::Sender<()>),
}

/// How a promise was settled; and, of a worker that runs, what keeps it from being stopped for idleness
/// until whoever woke it has sent it something.
pub(crate) type Answered = (Result<Settled, JobError>, Option<KeepAlive>);

/// A promise that the registry will settle.
pub(crate) type Settling = Pin<Box<dyn Future<Output = Result<Settled, JobError>> + Send>>;

/// A service worker as a requester.
pub(crate) struct Requesting {
    pub(crate) environment: Arc<Environment>,
    pub(crate) registration: RegistrationId,
    pub(crate) run: RunId,
    pub(crate) script_url: ScriptUrl,
    pub(crate) scope: ScopeUrl,
    /// What this run listened to when its script had been evaluated: of a worker that is being
    /// installed, its *set of event types to handle*.
    pub(crate) event_types: OnceLock<EventTypes>,
}

/// The facade is gone: its driver was dropped or shut down.
pub(crate) fn shut_down_error() -> JobError {
    JobError::Abort("the service-worker subsystem is shut down".to_owned())
}

/// What a host brought, as far as readers on any thread use it.
pub(crate) struct Brought {
    pub(crate) policies: Policies,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) caches: Arc<dyn CacheStorage>,
    pub(crate) blobs: BlobReader,
}

impl Shared {
    pub(crate) fn new(
        brought: Brought,
        lookup: Lookup,
        driver: mpsc::UnboundedSender<ToDriver>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        let Brought {
            policies,
            clock,
            network,
            caches,
            blobs,
        } = brought;
        Self {
            loops: Mutex::new(WaitGraph::new(policies.limits.fall_through_depth)),
            installs: Mutex::new(Throttle::new(policies.limits.installs())),
            stashing: Mutex::new(Stashing::new(&policies.limits)),
            blobs,
            policies,
            clock,
            network,
            caches,
            routes: CompiledRoutes::default(),
            lookup,
            endpoints: DashMap::new(),
            requesters: DashMap::new(),
            next_event: Arc::new(AtomicU64::new(FIRST_FETCH_EVENT)),
            next_promise: AtomicU64::new(0),
            driver_polls: AtomicU64::new(0),
            driver,
            reports,
        }
    }

    /// Runs something on the driver's time that nobody waits for.
    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.send(ToDriver::Background(Box::pin(work)));
    }

    /// The driver is polled.
    pub(crate) fn driver_polled(&self) {
        self.driver_polls.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was.
    pub(crate) fn driver_polls(&self) -> u64 {
        self.driver_polls.load(Ordering::Relaxed)
    }

    /// Nothing is reported any more.
    pub(crate) fn ends(&self) {
        self.reports.close_channel();
    }

    /// Tells the host. One that does not read its reports has chosen not to.
    pub(crate) fn report(&self, report: Report) {
        let _unread = self.reports.unbounded_send(report);
    }

    /// The workers that run.
    pub(crate) fn running_workers(&self) -> Vec<WorkerId> {
        self.endpoints
            .iter()
            .map(|endpoint| *endpoint.key())
            .collect()
    }

    /// Sends to the driver; without one there is nobody to tell.
    pub(crate) fn send(&self, message: ToDriver) {
        if self.driver.unbounded_send(message).is_err() {
            tracing::debug!("the driver is gone");
        }
    }

    /// What sends to the driver, for others to keep.
    pub(crate) fn driver(&self) -> mpsc::UnboundedSender<ToDriver> {
        self.driver.clone()
    }

    /// The name of a promise that the registry is to settle.
    pub(crate) fn promise(&self) -> PromiseId {
        PromiseId(self.next_promise.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks the registry, and waits for the promise.
    pub(crate) fn ask(&self, input: impl FnOnce(PromiseId) -> Input) -> Settling {
        let asked = self.ask_to_run(input);
        Box::pin(async move { asked.await.0 })
    }

    /// The same, with what keeps the worker that runs now.
    pub(crate) fn ask_to_run(
        &self,
        input: impl FnOnce(PromiseId) -> Input,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        let promise = self.promise();
        let (reply, settled) = oneshot::channel();
        self.send(ToDriver::Ask(promise, Box::new(input(promise)), reply));
        Box::pin(async move {
            let gone = |_| (Err(shut_down_error()), None);
            settled.await.unwrap_or_else(gone)
        })
    }

    /// The environment of a client: a window or worker of the host's, or a service worker.
    pub(crate) fn environment(&self, client: ClientId) -> Option<Arc<Environment>> {
        match self.requesting(client) {
            Some(requesting) => Some(Arc::clone(&requesting.environment)),
            None => self.lookup.environment(client),
        }
    }

    /// The service worker that a client id stands for, if it is one that runs.
    pub(crate) fn requesting(&self, client: ClientId) -> Option<Arc<Requesting>> {
        Self::is_worker_client(client)
            .then(|| self.requesters.get(&client).map(|found| Arc::clone(&found)))?
    }

    /// The client id of a service worker.
    pub(crate) const fn worker_client(worker: WorkerId) -> ClientId {
        ClientId(FIRST_WORKER_CLIENT + worker.0)
    }

    /// The service worker that a client id stands for.
    pub(crate) fn worker_of(client: ClientId) -> Option<WorkerId> {
        client.0.checked_sub(FIRST_WORKER_CLIENT).map(WorkerId)
    }

    /// Whether a client id is one of a service worker.
    pub(crate) const fn is_worker_client(client: ClientId) -> bool {
        client.0 >= FIRST_WORKER_CLIENT
    }

    /// The endpoint of a worker that runs.
    pub(crate) fn endpoint(&self, worker: WorkerId) -> Option<WorkerEndpoint> {
        self.endpoints.get(&worker).map(|endpoint| endpoint.clone())
    }

    /// A worker is being started: from now on it can be reached, and make requests.
    pub(crate) fn worker_starts(&self, endpoint: WorkerEndpoint, requesting: Requesting) {
        self.requesters
            .insert(requesting.environment.id, Arc::new(requesting));
        self.endpoints.insert(endpoint.worker(), endpoint);
    }

    /// Whether this is word of another run of a worker than the one that is, or was last, under way.
    pub(crate) fn is_late(&self, event: &HostEvent<MessagePort>) -> bool {
        let (HostEvent::Started { worker, run, .. }
        | HostEvent::StartFailed { worker, run, .. }
        | HostEvent::ListenersChanged { worker, run, .. }
        | HostEvent::Died { worker, run, .. }) = event
        else {
            return false;
        };
        let requesting = self.requesting(Self::worker_client(*worker));
        requesting.is_none_or(|requesting| requesting.run != *run)
    }

    /// A worker that has started takes events.
    pub(crate) fn opens(&self, event: &HostEvent<MessagePort>) {
        let HostEvent::Started {
            worker,
            event_types,
            ..
        } = event
        else {
            return;
        };
        if let Some(requesting) = self.requesting(Self::worker_client(*worker)) {
            // A run starts once.
            let _again = requesting.event_types.set(*event_types);
        }
        if let Some(endpoint) = self.endpoint(*worker) {
            endpoint.activity().open();
        }
    }

    /// A worker takes no more events; until it is gone, it may still make requests.
    pub(crate) fn close_endpoint(&self, worker: WorkerId) {
        if let Some((_, endpoint)) = self.endpoints.remove(&worker) {
            endpoint.activity().cut();
        }
    }

    /// A worker is gone.
    pub(crate) fn worker_ends(&self, worker: WorkerId) {
        self.close_endpoint(worker);
        self.requesters.remove(&Self::worker_client(worker));
    }

    /// A fresh record of a worker's activity, which tells the driver when asked to.
    pub(crate) fn activity(&self, worker: WorkerId) -> Arc<Activity> {
        let driver = self.driver.clone();
        let on_idle = move || {
            if driver.unbounded_send(ToDriver::Idle(worker)).is_err() {
                tracing::debug!("the driver is gone");
            }
        };
        Activity::new(
            Arc::clone(&self.clock),
            Arc::clone(&self.next_event),
            Box::new(on_idle),
        )
    }

    /// The wait-for graph of fall-through fetches.
    pub(crate) fn loops(&self) -> MutexGuard<'_, WaitGraph> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget of installations by header.
    pub(crate) fn installs(&self) -> MutexGuard<'_, Throttle> {
        self.installs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stash. No port is used and no message dropped while this is held.
    pub(crate) fn stashing(&self) -> MutexGuard<'_, Stashing> {
        self.stashing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
