//! The reference model: the algorithms of the specification, as plainly as its text has them, over
//! small maps and without any of the registry's machinery. Waiting is only ever for the world: a
//! fetch, a start, an event.

mod activation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use sw_registry::{Lifecycle, Now};
use sw_types::{
    ClientId, PromiseId, RegistrationId, Timestamp, UpdateViaCache, WorkerId, WorkerState,
};

/// A partition and a scope's path.
pub(crate) type Key = (usize, &'static str);

#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) key: Key,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) installing: Option<WorkerId>,
    pub(crate) waiting: Option<WorkerId>,
    pub(crate) active: Option<WorkerId>,
    pub(crate) unregistered: bool,
    last_check: Option<Timestamp>,
    activating: bool,
    wakes: Vec<PromiseId>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    registration: RegistrationId,
    script: &'static str,
    body: u64,
    pub(crate) state: WorkerState,
    skip_waiting: bool,
    /// Its calls of `skipWaiting()` that wait for the activate event to be dispatched.
    skipping: Vec<PromiseId>,
    pub(crate) starting: bool,
    pub(crate) running: bool,
    /// The lifecycle event that it handles; and whether it handles others.
    pub(crate) event: Option<Lifecycle>,
    pub(crate) busy: bool,
    failures: u32,
    bypassed_until: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Client {
    key: usize,
    path: &'static str,
    pub(crate) execution_ready: bool,
    pub(crate) uses: Option<RegistrationId>,
    ready: Vec<PromiseId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobType {
    Register,
    Update,
    Unregister,
}

#[derive(Debug)]
struct Job {
    job_type: JobType,
    script: &'static str,
    /// Unset for updates.
    update_via_cache: Option<UpdateViaCache>,
    force: bool,
    promises: Vec<(PromiseId, Option<ClientId>)>,
    settled: bool,
    /// The worker that it evaluates or installs, and the registration's mode before.
    worker: Option<(WorkerId, UpdateViaCache)>,
}

/// What a fetch of a script came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fetched {
    Failed,
    NoScript,
    Script { body: u64, from_cache: bool },
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) now: Now,
    pub(crate) registrations: BTreeMap<RegistrationId, Registration>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    queues: BTreeMap<Key, VecDeque<Job>>,
    to_run: VecDeque<Key>,
    /// Where *Try Clear* or *Try Activate* has to ask a running worker whether it is idle: that is
    /// answered once the current algorithm has ended.
    to_ask: VecDeque<RegistrationId>,
    /// Scripts that are being fetched, and for whom.
    pub(crate) fetches: VecDeque<(Key, &'static str)>,
    /// All that were fetched, and whether the HTTP cache was bypassed.
    pub(crate) fetched: Vec<(&'static str, bool)>,
    pub(crate) settled: BTreeMap<PromiseId, String>,
    pub(crate) told: BTreeMap<ClientId, Vec<String>>,
    next_registration: u64,
    next_worker: u64,
}

impl Model {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            now,
            registrations: BTreeMap::new(),
            workers: BTreeMap::new(),
            clients: BTreeMap::new(),
            queues: BTreeMap::new(),
            to_run: VecDeque::new(),
            to_ask: VecDeque::new(),
            fetches: VecDeque::new(),
            fetched: Vec::new(),
            settled: BTreeMap::new(),
            told: BTreeMap::new(),
            next_registration: 1,
            next_worker: 1,
        }
    }

    // What is asked.

    /// *Match Service Worker Registration*.
    pub(crate) fn matching(&self, partition: usize, path: &str) -> Option<RegistrationId> {
        self.registrations
            .iter()
            .filter(|(_, it)| !it.unregistered && it.key.0 == partition)
            .filter(|(_, it)| path.starts_with(it.key.1))
            .max_by_key(|(_, it)| it.key.1.len())
            .map(|(id, _)| *id)
    }

    /// *Get Registration*.
    fn registration_at(&self, key: Key) -> Option<RegistrationId> {
        let found = self
            .registrations
            .iter()
            .find(|(_, it)| !it.unregistered && it.key == key);
        found.map(|(id, _)| *id)
    }

    /// *Get Newest Worker*.
    fn newest(&self, id: RegistrationId) -> Option<WorkerId> {
        let it = self.registrations.get(&id)?;
        it.installing.or(it.waiting).or(it.active)
    }

    pub(crate) fn live(&self) -> BTreeSet<WorkerId> {
        let live = |worker: &&WorkerId| {
            let it = &self.workers[worker];
            it.running || it.starting
        };
        self.workers.keys().filter(live).copied().collect()
    }

    fn is_used(&self, id: RegistrationId) -> bool {
        self.clients.values().any(|client| client.uses == Some(id))
    }

    // What scripts do.

    pub(crate) fn register(
        &mut self,
        promise: PromiseId,
        client: Option<ClientId>,
        key: Key,
        script: &'static str,
        update_via_cache: UpdateViaCache,
    ) {
        let job = Job {
            job_type: JobType::Register,
            script,
            update_via_cache: Some(update_via_cache),
            force: false,
            promises: vec![(promise, client)],
            settled: false,
            worker: None,
        };
        self.schedule_job(key, job);
        self.settle_down();
    }

    /// `registration.update()`, and with `None` *Soft Update*.
    pub(crate) fn update(&mut self, id: RegistrationId, promise: Option<PromiseId>, force: bool) {
        let newest = self.newest(id);
        match (self.registrations.get(&id), newest, promise) {
            (Some(it), Some(newest), _) => {
                let job = Job {
                    job_type: JobType::Update,
                    script: self.workers[&newest].script,
                    update_via_cache: None,
                    force,
                    promises: promise.map(|it| (it, None)).into_iter().collect(),
                    settled: false,
                    worker: None,
                };
                self.schedule_job(it.key, job);
            }
            (None, _, Some(promise)) => self.settle(promise, "TypeError"),
            (Some(_), None, Some(promise)) => self.settle(promise, "InvalidStateError"),
            (_, None, None) | (None, Some(_), None) => {}
        }
        self.settle_down();
    }

    pub(crate) fn unregister(&mut self, promise: PromiseId, id: RegistrationId) {
        match self.registrations.get(&id) {
            Some(it) => {
                let job = Job {
                    job_type: JobType::Unregister,
                    script: "",
                    update_via_cache: None,
                    force: false,
                    promises: vec![(promise, None)],
                    settled: false,
                    worker: None,
                };
                self.schedule_job(it.key, job);
            }
            None => self.settle(promise, "Unregistered(false)"),
        }
        self.settle_down();
    }

    pub(crate) fn skip_waiting(&mut self, promise: PromiseId, worker: WorkerId) {
        match self.workers.get_mut(&worker) {
            Some(it) if it.state != WorkerState::Redundant => {
                it.skip_waiting = true;
                it.skipping.push(promise);
                let registration = it.registration;
                self.try_activate(registration);
                self.settle_down();
                let it = &self.workers[&worker];
                if !(it.state == WorkerState::Activating && it.starting) {
                    self.skipped(worker, "Done");
                }
            }
            _ => self.settle(promise, "AbortError"),
        }
    }

    pub(crate) fn claim(&mut self, promise: PromiseId, worker: WorkerId) {
        let found = self.registrations.iter();
        let mut found = found.filter(|(_, it)| it.active == Some(worker));
        let Some((id, it)) = found.next().map(|(id, it)| (*id, it.key)) else {
            return self.settle(promise, "InvalidStateError");
        };
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            let found = &self.clients[&client];
            if found.key == it.0
                && found.execution_ready
                && found.uses != Some(id)
                && self.matching(found.key, found.path) == Some(id)
            {
                self.use_registration(client, id);
                self.tell(client, format!("controllerchange {worker}"));
            }
        }
        self.settle(promise, "Done");
        self.settle_down();
    }

    pub(crate) fn ready(&mut self, promise: PromiseId, client: ClientId) {
        let Some(found) = self.clients.get(&client) else {
            return self.settle(promise, "AbortError");
        };
        let matched = self.matching(found.key, found.path);
        let active = matched.filter(|id| self.registrations[id].active.is_some());
        match active {
            Some(id) => self.settle(promise, &format!("registration {id}")),
            None => {
                let found = self.clients.get_mut(&client).expect("it was found");
                found.ready.push(promise);
            }
        }
    }

    /// *Fire Functional Event*, up to where the worker runs.
    pub(crate) fn wake(&mut self, promise: PromiseId, id: RegistrationId) {
        let Some(it) = self.registrations.get_mut(&id) else {
            return self.settle(promise, "AbortError");
        };
        let Some(active) = it.active else {
            return self.settle(promise, "InvalidStateError");
        };
        let worker = &self.workers[&active];
        let idle = worker.state == WorkerState::Activated && !worker.starting;
        let bypassed = worker.bypassed_until > Some(self.now.instant);
        if idle && worker.running {
            self.settle(promise, &format!("Running({active:?})"));
        } else if idle && bypassed {
            self.settle(promise, "the worker did not start");
        } else {
            it.wakes.push(promise);
            self.serve_wakes(id);
        }
    }

    // What the world does.

    pub(crate) fn client(&mut self, id: ClientId, key: usize, path: &'static str, ready: bool) {
        let client = Client {
            key,
            path,
            execution_ready: ready,
            uses: None,
            ready: Vec::new(),
        };
        self.clients.insert(id, client);
    }

    pub(crate) fn client_uses(&mut self, client: ClientId, id: RegistrationId) {
        let active = self.registrations.get(&id).and_then(|it| it.active);
        if active.is_some() && self.clients.contains_key(&client) {
            self.use_registration(client, id);
        }
        self.settle_down();
    }

    pub(crate) fn gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let uses = client.uses.take();
        let mut aborted = std::mem::take(&mut client.ready);
        for job in self.queues.values_mut().flatten() {
            let of_it = |(promise, of): &(PromiseId, Option<ClientId>)| {
                let gone = *of == Some(id);
                aborted.extend(gone.then_some(*promise));
                !gone
            };
            job.promises.retain(of_it);
        }
        for promise in aborted {
            self.settle(promise, "AbortError");
        }
        if let Some(former) = uses {
            self.attempt(former);
        }
        self.clients.remove(&id);
        self.settle_down();
    }

    pub(crate) fn fetched(&mut self, key: Key, fetched: Fetched) {
        let id = self.registration_at(key).expect("a job holds it");
        let now = self.now.wall;
        match fetched {
            Fetched::Failed => self.fail_update(key, "TypeError"),
            Fetched::NoScript => self.fail_update(key, "SecurityError"),
            Fetched::Script { body, from_cache } => {
                let job = &self.queues[&key][0];
                let (script, update_via_cache) = (job.script, job.update_via_cache);
                let newest = self.newest(id).map(|newest| &self.workers[&newest]);
                // Update, step 5.
                let same = newest.is_some_and(|it| it.script == script && it.body == body);
                let it = self.registrations.get_mut(&id).expect("it was found");
                if !from_cache {
                    it.last_check = Some(now);
                }
                if same {
                    // Step 7.
                    it.update_via_cache = update_via_cache.unwrap_or(it.update_via_cache);
                    self.resolve_job(key, &format!("registration {id}"));
                    self.finish_job(key);
                } else {
                    self.evaluate(key, id, script, body);
                }
            }
        }
        self.settle_down();
    }

    pub(crate) fn started(&mut self, id: WorkerId) {
        let it = self.workers.get_mut(&id).expect("it was starting");
        (it.starting, it.running) = (false, true);
        (it.failures, it.bypassed_until) = (0, None);
        let registration = it.registration;
        if it.state == WorkerState::Parsed {
            self.install(registration, id);
        } else if it.state == WorkerState::Activating {
            it.event = Some(Lifecycle::Activate);
            self.skipped(id, "Done");
        } else {
            self.serve_wakes(registration);
        }
        self.settle_down();
    }

    pub(crate) fn not_started(&mut self, id: WorkerId) {
        let now = self.now.instant;
        let it = self.workers.get_mut(&id).expect("it was starting");
        it.starting = false;
        let registration = it.registration;
        if it.state == WorkerState::Parsed {
            // Update, step 8.
            it.state = WorkerState::Redundant;
            let key = self.registrations[&registration].key;
            self.fail_update(key, "TypeError");
            return self.settle_down();
        }
        it.failures += 1;
        if it.failures >= 3 {
            let seconds = (10 << (it.failures - 3).min(8)).min(300);
            it.bypassed_until = Some(now + Duration::from_secs(seconds));
        }
        if it.state == WorkerState::Activating {
            self.activated(registration);
        } else {
            let active = self.registrations[&registration].active == Some(id);
            if let Some(it) = self.registrations.get_mut(&registration).filter(|_| active) {
                for promise in std::mem::take(&mut it.wakes) {
                    self.settle(promise, "the worker did not start");
                }
            }
            self.attempt(registration);
        }
        self.settle_down();
    }

    /// A lifecycle event is over.
    pub(crate) fn event_over(&mut self, id: WorkerId, fulfilled: bool) {
        let Some(it) = self.workers.get_mut(&id) else {
            return;
        };
        let registration = it.registration;
        match it.event.take() {
            Some(Lifecycle::Install) => self.install_over(registration, id, fulfilled),
            Some(Lifecycle::Activate) => self.activated(registration),
            None => {}
        }
        self.settle_down();
    }

    /// A worker is gone: it crashed, or it was stopped.
    pub(crate) fn died(&mut self, id: WorkerId) {
        let Some(it) = self.workers.get_mut(&id) else {
            return;
        };
        if it.starting {
            return self.not_started(id);
        }
        (it.running, it.busy) = (false, false);
        let registration = it.registration;
        self.event_over(id, false);
        self.serve_wakes(registration);
        self.attempt(registration);
        self.settle_down();
    }

    /// Its last event but lifecycle events is over.
    pub(crate) fn idle(&mut self, id: WorkerId) {
        if let Some(it) = self.workers.get_mut(&id) {
            it.busy = false;
            let registration = it.registration;
            self.attempt(registration);
        }
        self.settle_down();
    }

    // Jobs.

    fn schedule_job(&mut self, key: Key, job: Job) {
        let queue = self.queues.entry(key).or_default();
        match queue.back_mut() {
            None => {
                queue.push_back(job);
                self.to_run.push_back(key);
            }
            Some(last) if !last.settled && last.is_equivalent(&job) => {
                last.promises.extend(job.promises);
            }
            Some(_) => queue.push_back(job),
        }
    }

    fn run_job(&mut self, key: Key) {
        let job = &self.queues[&key][0];
        let (script, update_via_cache) = (job.script, job.update_via_cache);
        let found = self.registration_at(key);
        match (job.job_type, found) {
            (JobType::Register, Some(id)) => {
                let newest = self.newest(id).map(|newest| &self.workers[&newest]);
                let same = newest.is_some_and(|it| it.script == script)
                    && Some(self.registrations[&id].update_via_cache) == update_via_cache;
                if same {
                    self.resolve_job(key, &format!("registration {id}"));
                    self.finish_job(key);
                } else {
                    self.run_update(key, id);
                }
            }
            (JobType::Register, None) => {
                let id = self.set_registration(key, update_via_cache.expect("given"));
                self.run_update(key, id);
            }
            (JobType::Update, None) => {
                self.reject_job(key, "TypeError");
                self.finish_job(key);
            }
            (JobType::Update, Some(id)) => {
                let newest = self.newest(id).map(|newest| &self.workers[&newest]);
                if newest.is_some_and(|it| it.script != script) {
                    self.reject_job(key, "TypeError");
                    self.finish_job(key);
                } else {
                    self.run_update(key, id);
                }
            }
            (JobType::Unregister, None) => {
                self.resolve_job(key, "Unregistered(false)");
                self.finish_job(key);
            }
            (JobType::Unregister, Some(id)) => {
                self.registrations
                    .get_mut(&id)
                    .expect("it was found")
                    .unregistered = true;
                self.resolve_job(key, "Unregistered(true)");
                self.attempt(id);
                self.finish_job(key);
            }
        }
    }

    fn set_registration(&mut self, key: Key, update_via_cache: UpdateViaCache) -> RegistrationId {
        let id = RegistrationId(self.next_registration);
        self.next_registration += 1;
        let registration = Registration {
            key,
            update_via_cache,
            installing: None,
            waiting: None,
            active: None,
            unregistered: false,
            last_check: None,
            activating: false,
            wakes: Vec::new(),
        };
        self.registrations.insert(id, registration);
        id
    }

    /// *Update*, step 2.
    fn run_update(&mut self, key: Key, id: RegistrationId) {
        let it = &self.registrations[&id];
        let day = Duration::from_secs(24 * 60 * 60);
        let stale = it
            .last_check
            .is_some_and(|checked| self.now.wall.since(checked) > day);
        let job = &self.queues[&key][0];
        let mode = job.update_via_cache.unwrap_or(it.update_via_cache);
        let no_cache =
            mode != UpdateViaCache::All || job.force || (stale && self.newest(id).is_some());
        self.fetches.push_back((key, job.script));
        self.fetched.push((job.script, no_cache));
    }

    /// *Update*, step 8.
    fn evaluate(
        &mut self,
        key: Key,
        registration: RegistrationId,
        script: &'static str,
        body: u64,
    ) {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let worker = Worker {
            registration,
            script,
            body,
            state: WorkerState::Parsed,
            skip_waiting: false,
            skipping: Vec::new(),
            starting: true,
            running: false,
            event: None,
            busy: false,
            failures: 0,
            bypassed_until: None,
        };
        self.workers.insert(id, worker);
        let before = self.registrations[&registration].update_via_cache;
        self.head(key).worker = Some((id, before));
    }

    fn fail_update(&mut self, key: Key, error: &str) {
        self.reject_job(key, error);
        self.remove_if_empty(key);
        self.finish_job(key);
    }

    fn remove_if_empty(&mut self, key: Key) {
        if let Some(id) = self.registration_at(key) {
            if self.newest(id).is_none() {
                self.clear(id);
            }
        }
    }

    fn install(&mut self, id: RegistrationId, worker: WorkerId) {
        let it = self.registrations.get_mut(&id).expect("a job holds it");
        let key = it.key;
        let asked = self.queues[&key][0].update_via_cache;
        it.update_via_cache = asked.unwrap_or(it.update_via_cache);
        it.installing = Some(worker);
        let found = self.workers.get_mut(&worker).expect("it was evaluated");
        found.state = WorkerState::Installing;
        found.event = Some(Lifecycle::Install);
        self.resolve_job(key, &format!("registration {id}"));
        self.tell_all(id, "updatefound");
    }

    fn install_over(&mut self, id: RegistrationId, worker: WorkerId, fulfilled: bool) {
        let it = self.registrations.get_mut(&id).expect("a job holds it");
        let key = it.key;
        it.installing = None;
        if fulfilled {
            if let Some(replaced) = it.waiting.replace(worker) {
                self.redundant(id, replaced);
            }
            self.set_state(id, worker, WorkerState::Installed);
            self.finish_job(key);
            self.attempt(id);
        } else {
            let before = self.head(key).worker.expect("it installs one").1;
            let it = self.registrations.get_mut(&id).expect("a job holds it");
            it.update_via_cache = before;
            self.redundant(id, worker);
            self.remove_if_empty(key);
            self.finish_job(key);
        }
    }

    fn resolve_job(&mut self, key: Key, value: &str) {
        let job = self.head(key);
        job.settled = true;
        for (promise, _) in std::mem::take(&mut job.promises) {
            self.settle(promise, value);
        }
    }

    fn reject_job(&mut self, key: Key, error: &str) {
        self.resolve_job(key, error);
    }

    fn finish_job(&mut self, key: Key) {
        let queue = self.queues.get_mut(&key).expect("a job of it runs");
        queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.to_run.push_back(key);
        }
    }

    fn head(&mut self, key: Key) -> &mut Job {
        let queue = self.queues.get_mut(&key).expect("a job of it runs");
        &mut queue[0]
    }
}

impl Job {
    fn is_equivalent(&self, other: &Self) -> bool {
        self.job_type == other.job_type
            && self.script == other.script
            && self.update_via_cache == other.update_via_cache
    }
}
