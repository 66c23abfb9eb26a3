//! The registry: its state, what it is told, what it asks for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use sw_types::{
    ClientId, ClientNotice, ClientType, EventId, Origin, RegistrationId, RegistrationView,
    RequestId, RunId, ScopeUrl, StorageKey, WorkerId, WorkerState, WorkerView,
};

use crate::install::Install;
use crate::job::{Job, Step, Waiting};
use crate::limits::{Limits, StartBudget};
use crate::lookup::Lookup;
use crate::site_data::Removal;
use crate::state::{Client, Registration, ScopeKey, Worker};
use crate::unregister::Unregister;
use crate::waking::{Sleeping, Waking};
use crate::{Input, Now, Output, Report, Response, Restored};

/// The service worker registration store of one profile: registrations, jobs, workers, clients.
///
/// A state machine without I/O: tell it what happened with [`Self::handle_input`], do what
/// [`Self::poll_output`] says, and call [`Self::handle_timeout`] when [`Self::poll_timeout`] is
/// reached. Readers on other threads have a [`Lookup`].
#[derive(Debug)]
pub struct Registry {
    pub(crate) limits: Limits,
    now: Option<Now>,
    pub(crate) trusted: BTreeSet<Origin>,

    pub(crate) registrations: Waking<RegistrationId, Registration>,
    pub(crate) workers: Waking<WorkerId, Worker>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    pub(crate) clients_by_key: BTreeMap<StorageKey, BTreeSet<ClientId>>,
    /// The *job queue map*; no queue in it is empty.
    pub(crate) queues: BTreeMap<ScopeKey, VecDeque<Job>>,
    /// The queues whose head may begin.
    pub(crate) runnable: VecDeque<ScopeKey>,

    pub(crate) requests: BTreeMap<RequestId, Waiting>,
    pub(crate) deadlines: BTreeSet<(Instant, WorkerId)>,
    pub(crate) budget: StartBudget,
    /// Rows that the next write removes: of what was evicted, and what a write could not remove.
    pub(crate) to_remove: BTreeMap<RegistrationId, StorageKey>,
    /// Rows that a write on its way removes.
    pub(crate) removing: BTreeMap<RequestId, Vec<Removal>>,
    /// What was stored and may not have been asked for yet.
    pub(crate) sleeping: Arc<Sleeping>,
    /// Restored registrations with a worker to be activated.
    pub(crate) to_promote: Vec<RegistrationId>,
    /// Registrations whose snapshot is out of date.
    pub(crate) changed: BTreeSet<RegistrationId>,
    /// Has the *registration map*: what is listed in it.
    pub(crate) lookup: Lookup,
    outputs: VecDeque<Output>,

    pub(crate) next_registration: RegistrationId,
    pub(crate) next_worker: WorkerId,
    pub(crate) next_run: RunId,
    pub(crate) next_request: RequestId,
    pub(crate) next_event: EventId,
}

impl Registry {
    /// A registry that goes on with what a store had. Waiting workers of it are activated with the
    /// first input.
    #[must_use]
    pub fn new(limits: Limits, restored: Restored) -> Self {
        let mut registry = Self {
            limits,
            now: None,
            trusted: BTreeSet::new(),
            registrations: Waking::default(),
            workers: Waking::default(),
            clients: BTreeMap::new(),
            clients_by_key: BTreeMap::new(),
            queues: BTreeMap::new(),
            runnable: VecDeque::new(),
            requests: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            budget: StartBudget::default(),
            to_remove: BTreeMap::new(),
            removing: BTreeMap::new(),
            sleeping: Arc::default(),
            to_promote: Vec::new(),
            changed: BTreeSet::new(),
            lookup: Lookup::default(),
            outputs: VecDeque::new(),
            next_registration: RegistrationId(1),
            next_worker: WorkerId(1),
            next_run: RunId(1),
            next_request: RequestId(1),
            next_event: EventId(1),
        };
        registry.restore(restored);
        registry
    }

    /// Tells the registry what happened. Then poll outputs until there are none, and the timeout.
    /// What names something unknown or gone is ignored, but for promises: those are rejected.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.begin(now);
        tracing::trace!(?input);
        self.handle(input);
        self.finish();
    }

    /// The next thing to do; `None` until the next input or timeout.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`], if nothing happens before. Changes with each input
    /// and timeout.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Does what is due. Then poll as after an input.
    pub fn handle_timeout(&mut self, now: Now) {
        self.begin(now);
        while let Some((at, worker)) = self.deadlines.first().copied() {
            if at > now.instant {
                break;
            }
            self.deadlines.pop_first();
            self.deadline(worker);
        }
        self.finish();
    }

    /// The concurrent read path.
    #[must_use]
    pub fn lookup(&self) -> Lookup {
        self.lookup.clone()
    }

    /// A registration as scripts see it, also one that is unregistered and still in use.
    #[must_use]
    pub fn registration(&self, id: RegistrationId) -> Option<RegistrationView> {
        let registration = self.registrations.get(&id)?;
        Some(RegistrationView {
            id,
            scope: registration.scope.clone(),
            update_via_cache: registration.update_via_cache,
            installing: registration.installing.and_then(|id| self.worker(id)),
            waiting: registration.waiting.and_then(|id| self.worker(id)),
            active: registration.active.and_then(|id| self.worker(id)),
        })
    }

    /// *Get Registration*: the registration with just this key and scope.
    #[must_use]
    pub fn registration_for(
        &self,
        storage_key: &StorageKey,
        scope: &ScopeUrl,
    ) -> Option<RegistrationView> {
        self.registration(self.lookup.registration_id(storage_key, scope)?)
    }

    /// All registrations of a storage key, in the order of their scopes; for `getRegistrations()`.
    #[must_use]
    pub fn registrations_of(&self, storage_key: &StorageKey) -> Vec<RegistrationView> {
        let listed = self.lookup.registration_ids(storage_key);
        let views = listed.into_iter().map(|id| self.registration(id));
        views.flatten().collect()
    }

    /// A worker as scripts see it, until it is redundant and stopped.
    #[must_use]
    pub fn worker(&self, id: WorkerId) -> Option<WorkerView> {
        self.workers.get(&id).map(Worker::view)
    }

    /// Whose a registration is.
    #[must_use]
    pub fn storage_key(&self, id: RegistrationId) -> Option<&StorageKey> {
        Some(&self.registrations.get(&id)?.storage_key)
    }

    /// Whether a storage key has a client that is no service worker: a page, or a worker of one.
    #[must_use]
    pub fn has_client(&self, key: &StorageKey) -> bool {
        let ids = self.clients_by_key.get(key).into_iter().flatten();
        ids.filter_map(|id| self.clients.get(id))
            .any(|client| client.environment.client_type != ClientType::ServiceWorker)
    }

    /// The registration of a worker.
    #[must_use]
    pub fn registration_of(&self, worker: WorkerId) -> Option<RegistrationId> {
        self.workers.get(&worker).map(|worker| worker.registration)
    }

    fn begin(&mut self, now: Now) {
        self.now = Some(now);
        self.promote_restored();
    }

    /// Runs the jobs that may begin, and shows readers what has changed.
    fn finish(&mut self) {
        self.run_jobs();
        for id in std::mem::take(&mut self.changed) {
            self.publish(id);
        }
        self.quarantine_spoiled();
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Register(promise, register) => self.start_register(promise, register),
            Input::Update {
                promise,
                registration,
                caller,
                referrer,
            } => self.start_update(promise, registration, caller, referrer),
            Input::SoftUpdate {
                registration,
                force_bypass_cache,
            } => self.soft_update(registration, force_bypass_cache),
            Input::Unregister {
                promise,
                registration,
            } => self.start_unregister(promise, registration),
            Input::SkipWaiting { promise, worker } => self.skip_waiting(promise, worker),
            Input::Claim { promise, worker } => self.claim(promise, worker),
            Input::Ready { promise, client } => self.ready(promise, client),
            Input::HandleFallThroughRequests {
                worker,
                event,
                rules,
            } => self.handle_fall_through_requests(worker, event, rules),
            Input::AddRoutes {
                promise,
                worker,
                event,
                rules,
            } => self.add_routes(promise, worker, event, rules),
            Input::SetNavigationPreload {
                promise,
                registration,
                change,
            } => self.set_navigation_preload(promise, registration, change),
            Input::ClientCreated {
                environment,
                storage_key,
            } => self.client_created(environment, storage_key),
            Input::ClientUses {
                client,
                registration,
            } => self.client_uses(client, registration),
            Input::FallThroughForbidden(client) => self.lookup.forbid_fall_through(client),
            Input::ClientReady(client) => self.client_ready(client),
            Input::ClientGone(client) => self.client_gone(client),
            Input::Wake {
                promise,
                registration,
                initiator,
            } => self.wake(promise, registration, initiator),
            Input::Run {
                promise,
                worker,
                initiator,
            } => self.run_worker(promise, worker, initiator),
            Input::WorkerStarted {
                worker,
                run,
                event_types,
                fetch_handler,
            } => self.worker_started(worker, run, event_types, fetch_handler),
            Input::WorkerStartFailed { worker, run, error } => {
                self.worker_start_failed(worker, run, &error)
            }
            Input::ScriptImported {
                worker,
                url,
                fetched,
                from_cache,
            } => self.script_imported(worker, url, fetched, from_cache),
            Input::EventSettled {
                worker,
                event,
                outcome,
            } => self.event_settled(worker, event, outcome),
            Input::WorkerDied {
                worker,
                run,
                reason,
            } => self.worker_died(worker, run, reason),
            Input::Activity {
                worker,
                oldest_event,
                last_busy,
            } => self.activity(worker, oldest_event, last_busy),
            Input::Response(request, response) => self.answered(request, response),
            Input::ClearSiteData(promise, of) => self.clear_site_data(promise, &of),
        }
    }

    fn answered(&mut self, request: RequestId, response: Response) {
        let Some(waiting) = self.requests.remove(&request) else {
            tracing::debug!(%request, "an unknown or late answer");
            return;
        };
        if let Response::Stored(result) = &response {
            self.removals_answered(request, result.is_ok());
        }
        match (waiting, response) {
            (Waiting::Job(key), response) => self.job_answered(&key, request, response),
            (Waiting::Activation(id), Response::Stored(result)) => {
                self.activation_stored(id, result);
            }
            (Waiting::Start(worker), Response::Scripts(result)) => {
                self.scripts_loaded_to_start(worker, request, result);
            }
            (Waiting::NavigationPreload(promise, id, change), Response::Stored(result)) => {
                self.navigation_preload_stored(promise, id, &change, result);
            }
            (Waiting::Nobody(scope), Response::Stored(result)) => {
                if let Err(error) = result {
                    self.report(Report::NotStored { scope, error });
                }
            }
            (Waiting::Clear(promise), Response::Stored(result)) => {
                self.site_data_cleared(promise, result);
            }
            (waiting, response) => {
                tracing::debug!(%request, ?response, "an answer of the wrong kind");
                self.requests.insert(request, waiting);
            }
        }
    }

    fn job_answered(&mut self, key: &ScopeKey, request: RequestId, response: Response) {
        let Some(job) = self.head(key) else { return };
        match (std::mem::replace(&mut job.step, Step::Queued), response) {
            (Step::Update(step), response) => self.continue_update(key, step, request, response),
            (Step::Install(Install::Storing { worker, before }), Response::Stored(result)) => {
                self.install_stored(key, worker, before, result)
            }
            (Step::Unregister(Unregister::Storing { registration }), Response::Stored(result)) => {
                self.row_removed(key, registration, result)
            }
            (
                Step::Unregister(Unregister::Loading {
                    registration,
                    pending,
                }),
                Response::Scripts(result),
            ) => self.loaded_to_unregister(key, registration, pending, request, result),
            (step, response) => {
                tracing::debug!(%request, ?response, "an answer of the wrong kind");
                job.step = step;
                self.requests.insert(request, Waiting::Job(key.clone()));
            }
        }
    }

    /// *Update Worker State*, with `statechange` at its objects. There are no objects of a worker
    /// before it is installing, so no client is told of that state.
    pub(crate) fn set_worker_state(&mut self, id: WorkerId, state: WorkerState) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let never_seen = worker.state == WorkerState::Parsed;
        worker.state = state;
        let registration = worker.registration;
        self.changed.insert(registration);
        self.output(Output::WorkerStateChanged {
            registration,
            worker: id,
            state,
        });
        if never_seen {
            return;
        }
        if let Some(view) = self.registration(registration) {
            let key = self.registrations[&registration].storage_key.clone();
            let notice = ClientNotice::StateChanged {
                worker: id,
                state,
                registration: view,
            };
            self.notify_all(&key, &notice);
        }
    }

    /// Changes a registration that may be gone.
    pub(crate) fn edit(&mut self, id: RegistrationId, change: impl FnOnce(&mut Registration)) {
        if let Some(registration) = self.registrations.get_mut(&id) {
            change(registration);
            self.changed.insert(id);
        }
    }

    /// Shows readers a registration as it is now.
    pub(crate) fn publish(&self, id: RegistrationId) {
        if let Some(registration) = self.registrations.get(&id) {
            let snapshot = self.snapshot_of(registration);
            self.lookup.publish(snapshot, !registration.unregistered);
        }
    }

    pub(crate) fn registration_at(&self, key: &ScopeKey) -> Option<&Registration> {
        self.registrations
            .get(&self.lookup.registration_id(&key.0, &key.1)?)
    }

    /// *Get Registration*.
    pub(crate) fn registration_id_at(&self, key: &ScopeKey) -> Option<RegistrationId> {
        Some(self.registration_at(key)?.id)
    }

    /// *Get Newest Worker*.
    pub(crate) fn newest_at(&self, key: &ScopeKey) -> Option<&Worker> {
        self.workers.get(&self.registration_at(key)?.newest()?)
    }

    pub(crate) fn set_step(&mut self, key: &ScopeKey, step: Step) {
        if let Some(job) = self.head(key) {
            job.step = step;
        }
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// The time of the input that is being handled.
    pub(crate) fn now(&self) -> Now {
        self.now
            .expect("every algorithm runs inside of `handle_input` or `handle_timeout`")
    }
}
