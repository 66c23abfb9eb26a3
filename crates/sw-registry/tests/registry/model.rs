//! The reference model: the algorithms of the specification, as plainly as its text has them, over
//! small maps and without any of the registry's machinery. Waiting is only ever for the world: a
//! fetch, a write, a start, an event.

mod activation;
mod clearing;
mod disk;
mod install;
mod jobs;
mod scripts;
mod update;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use sw_registry::{Lifecycle, Now, Provenance};
use sw_types::{
    ClientId, PromiseId, RegistrationId, Timestamp, UpdateViaCache, WorkerId, WorkerState,
};

pub(crate) use self::disk::Disk;
use self::disk::Write;
use self::jobs::Job;
pub(crate) use self::scripts::Import;
pub(crate) use self::update::Fetched;

/// A partition and a scope's path. The second partition is a private session's: nothing of it is
/// stored.
pub(crate) type Key = (usize, &'static str);

/// A script as `register()` names it: where it is, and whether it is a module.
pub(crate) type Main = (&'static str, bool);

/// How many worker starts a site may cause in others within a minute. (SEMANTICS §5.7.)
pub(crate) const STARTS_FOR_OTHERS: usize = 1;

#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) key: Key,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) provenance: Provenance,
    pub(crate) last_check: Option<Timestamp>,
    pub(crate) installing: Option<WorkerId>,
    pub(crate) waiting: Option<WorkerId>,
    pub(crate) active: Option<WorkerId>,
    pub(crate) unregistered: bool,
    /// *Activate* is under way; and what it still waits for is the write of *activated*.
    activating: bool,
    storing_activation: bool,
    /// The installing worker is being written as waiting.
    storing_install: bool,
    /// Its row was asked to be written, since it was last asked to be removed.
    row: bool,
    wakes: Vec<PromiseId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Worker {
    registration: RegistrationId,
    script: Main,
    /// Its *script resource map*, and its *set of used scripts*.
    scripts: BTreeMap<&'static str, u64>,
    used: BTreeSet<&'static str>,
    /// Whether what it imports bypasses the HTTP cache.
    no_cache: bool,
    /// What could not be fetched for the update that brought it, which it does not try again.
    failed: BTreeSet<&'static str>,
    pub(crate) state: WorkerState,
    skip_waiting: bool,
    /// Its calls of `skipWaiting()` that wait for the activate event to be dispatched.
    skipping: Vec<PromiseId>,
    pub(crate) starting: bool,
    pub(crate) running: bool,
    /// The lifecycle event that it handles; and whether it handles others.
    pub(crate) event: Option<Lifecycle>,
    pub(crate) busy: bool,
    /// Who waits for it to run, whatever its state is.
    awaited_by: Vec<PromiseId>,
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
    /// Scripts that are being fetched, and for which job.
    pub(crate) fetches: VecDeque<(Key, u64, &'static str)>,
    /// All that were fetched, and whether the HTTP cache was bypassed.
    pub(crate) fetched: Vec<(&'static str, bool)>,
    /// What is durable, and what is on its way there.
    pub(crate) disk: Disk,
    pub(crate) writes: VecDeque<Write>,
    /// Rows of cleared registrations that the next write removes.
    to_remove: BTreeSet<RegistrationId>,
    /// The worker starts that each site caused in others, and when.
    starts: BTreeMap<&'static str, Vec<Instant>>,
    pub(crate) settled: BTreeMap<PromiseId, String>,
    pub(crate) told: BTreeMap<ClientId, Vec<String>>,
    pub(crate) reports: Vec<String>,
    next_registration: u64,
    next_worker: u64,
    next_job: u64,
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
            disk: Disk::default(),
            writes: VecDeque::new(),
            to_remove: BTreeSet::new(),
            starts: BTreeMap::new(),
            settled: BTreeMap::new(),
            told: BTreeMap::new(),
            reports: Vec::new(),
            next_registration: 1,
            next_worker: 1,
            next_job: 1,
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

    /// *Stale*.
    pub(crate) fn is_stale(&self, id: RegistrationId) -> bool {
        let day = Duration::from_secs(24 * 60 * 60);
        let checked = self.registrations[&id].last_check;
        checked.is_some_and(|checked| self.now.wall.since(checked) > day)
    }

    pub(crate) fn live(&self) -> BTreeSet<WorkerId> {
        let live = |worker: &&WorkerId| {
            let it = &self.workers[worker];
            it.running || it.starting
        };
        self.workers.keys().filter(live).copied().collect()
    }

    /// `clients.matchAll()`.
    pub(crate) fn clients_for(&self, worker: WorkerId, uncontrolled: bool) -> Vec<ClientId> {
        let id = self.workers[&worker].registration;
        let it = &self.registrations[&id];
        let controls = it.active == Some(worker);
        let shown = |client: &Client| {
            client.key == it.key.0
                && client.execution_ready
                && (uncontrolled || (controls && client.uses == Some(id)))
        };
        let clients = self.clients.iter().filter(|(_, client)| shown(client));
        clients.map(|(id, _)| *id).collect()
    }

    fn is_used(&self, id: RegistrationId) -> bool {
        self.clients.values().any(|client| client.uses == Some(id))
    }

    /// Runs the jobs that may begin, and then lets idle workers say that they are, one by one.
    fn settle_down(&mut self) {
        loop {
            if let Some(key) = self.to_run.pop_front() {
                self.run_job(key);
            } else if let Some(id) = self.to_ask.pop_front() {
                self.answer_idle(id);
            } else {
                return;
            }
        }
    }

    // Who is told.

    fn set_state(&mut self, id: RegistrationId, worker: WorkerId, state: WorkerState) {
        self.workers.get_mut(&worker).expect("it has a place").state = state;
        self.tell_all(id, &format!("{worker} {state}"));
    }

    fn tell_all(&mut self, id: RegistrationId, line: &str) {
        let partition = self.registrations[&id].key.0;
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            if self.clients[&client].key == partition {
                self.tell(client, line.to_owned());
            }
        }
    }

    fn tell(&mut self, client: ClientId, line: String) {
        self.told.entry(client).or_default().push(line);
    }

    fn settle(&mut self, promise: PromiseId, value: &str) {
        let before = self.settled.insert(promise, value.to_owned());
        assert_eq!(before, None, "the model settles {promise} twice");
    }
}
