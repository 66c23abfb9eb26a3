//! A host in memory: it answers what the registry asks, unless a test holds the answer back, and
//! checks what must hold of every run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use sw_registry::{
    EventOutcome, FetchedScript, Input, JobError, Lifecycle, Limits, Lookup, MemoryStore, Now,
    Output, Provenance, Register, Registry, RegistryStore, Report, Request, Response, Restored,
    ScriptFetchError, Settled, StopReason, StoreError, StoreWrite,
};
use sw_types::{
    ClientId, ClientNotice, Environment, EphemeralId, EventId, EventType, EventTypes, FetchHandler,
    Origin, PromiseId, RegistrationId, RegistrationView, RequestId, RunId, ScopeUrl, ScriptUrl,
    Site, StorageKey, Timestamp, UpdateViaCache, WorkerId, WorkerState, WorkerType,
};
use url::Url;

pub(crate) type Script = Result<FetchedScript, ScriptFetchError>;

/// Which answers a test gives itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    pub(crate) fetch: bool,
    pub(crate) store: bool,
    pub(crate) start: bool,
    pub(crate) events: bool,
    pub(crate) stop: bool,
}

/// What becomes of a write, and of those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused, and the next is not.
    Refuse,
    RefuseFromThenOn,
    /// The power goes before it; or after it, but before anybody is told.
    FreezeBefore,
    FreezeAfter,
}

/// What was held back.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) fetches: VecDeque<(RequestId, Url)>,
    pub(crate) stores: VecDeque<(RequestId, Vec<StoreWrite>)>,
    pub(crate) starts: VecDeque<WorkerId>,
    pub(crate) events: VecDeque<(WorkerId, EventId, Lifecycle)>,
    pub(crate) stops: VecDeque<WorkerId>,
}

pub(crate) struct Host {
    pub(crate) registry: Registry,
    pub(crate) lookup: Lookup,
    pub(crate) store: MemoryStore,
    pub(crate) store_fails: bool,
    /// How many writes were asked for, and what becomes of which.
    pub(crate) writes: usize,
    pub(crate) fault: Option<(usize, Fault)>,
    pub(crate) now: Now,
    pub(crate) scripts: BTreeMap<Url, Script>,
    pub(crate) hold: Hold,
    pub(crate) held: Held,
    /// What workers listen to.
    pub(crate) listens: EventTypes,
    /// What lifecycle events come to.
    pub(crate) install_outcome: EventOutcome,
    pub(crate) start_error: Option<String>,
    /// Since when a worker has been busy with a functional event.
    pub(crate) busy: BTreeMap<WorkerId, Instant>,
    pub(crate) running: BTreeSet<WorkerId>,

    /// What the outside can see, a line each.
    pub(crate) log: Vec<String>,
    pub(crate) fetched: Vec<(Url, sw_types::fetch::CacheMode)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) settled: BTreeMap<PromiseId, Result<Settled, JobError>>,
    pub(crate) asked: BTreeSet<PromiseId>,
    next_promise: u64,
    next_client: u64,
    states: BTreeMap<WorkerId, WorkerState>,
    durable: BTreeMap<WorkerId, WorkerState>,
    /// States whose write was refused.
    refused: BTreeSet<(WorkerId, WorkerState)>,
    /// The last run of each worker.
    runs: BTreeMap<WorkerId, RunId>,
    /// The runs that are to stop, oldest first.
    stopping: BTreeMap<WorkerId, VecDeque<RunId>>,
}

pub(crate) fn url(text: &str) -> Url {
    static BASE: LazyLock<Url> = LazyLock::new(|| Url::parse("https://a.test/").unwrap());
    BASE.join(text).unwrap()
}

pub(crate) fn scope(text: &str) -> ScopeUrl {
    ScopeUrl::try_from(url(text)).unwrap()
}

pub(crate) fn key() -> StorageKey {
    static KEY: LazyLock<StorageKey> =
        LazyLock::new(|| StorageKey::first_party(Origin::of(&url("/"))));
    KEY.clone()
}

pub(crate) fn script(body: &str) -> FetchedScript {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "text/javascript".parse().unwrap());
    FetchedScript {
        status: StatusCode::OK,
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        from_cache: false,
    }
}

pub(crate) fn with_header(mut script: FetchedScript, name: &str, value: &str) -> FetchedScript {
    let name: HeaderName = name.parse().unwrap();
    script.headers.insert(name, value.parse().unwrap());
    script
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), MemoryStore::new(), Restored::default())
    }

    pub(crate) fn with(limits: Limits, store: MemoryStore, restored: Restored) -> Self {
        let durable = restored
            .registrations
            .decode()
            .expect("rows that make sense")
            .iter()
            .flat_map(|stored| stored.waiting.iter().chain(&stored.active))
            .map(|worker| (worker.id, worker.state))
            .collect();
        let registry = Registry::new(limits, restored);
        let mut scripts = BTreeMap::new();
        scripts.insert(url("/sw.js"), Ok(script("1")));
        Self {
            lookup: registry.lookup(),
            registry,
            store,
            store_fails: false,
            writes: 0,
            fault: None,
            now: Now {
                instant: Instant::now(),
                wall: Timestamp(1_800_000_000_000),
            },
            scripts,
            hold: Hold::default(),
            held: Held::default(),
            listens: [EventType::Install, EventType::Activate, EventType::Fetch]
                .into_iter()
                .collect(),
            install_outcome: EventOutcome::Fulfilled,
            start_error: None,
            busy: BTreeMap::new(),
            running: BTreeSet::new(),
            log: Vec::new(),
            fetched: Vec::new(),
            reports: Vec::new(),
            settled: BTreeMap::new(),
            asked: BTreeSet::new(),
            next_promise: 1,
            next_client: 1,
            states: BTreeMap::new(),
            durable,
            refused: BTreeSet::new(),
            runs: BTreeMap::new(),
            stopping: BTreeMap::new(),
        }
    }

    /// The browser is closed and opened again: what was not stored is gone.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(Limits::default())
    }

    pub(crate) fn restart_with(mut self, limits: Limits) -> Self {
        let restored = self.store.restore().unwrap();
        let mut next = Self::with(limits, self.store, restored);
        next.scripts = self.scripts;
        next.next_promise = self.next_promise;
        next.next_client = self.next_client;
        next
    }

    pub(crate) fn serve(&mut self, path: &str, script: FetchedScript) {
        self.scripts.insert(url(path), Ok(script));
    }

    // What scripts and clients do.

    pub(crate) fn promise(&mut self) -> PromiseId {
        let promise = PromiseId(self.next_promise);
        self.next_promise += 1;
        self.asked.insert(promise);
        promise
    }

    pub(crate) fn client(&mut self, path: &str) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let environment = Environment::top_level(id, url(path));
        self.input(Input::ClientCreated {
            environment,
            storage_key: Some(key()),
        });
        self.input(Input::ClientReady(id));
        id
    }

    pub(crate) fn registering(client: Option<ClientId>, of: &str, script: &str) -> Register {
        Register {
            storage_key: key(),
            scope: scope(of),
            script_url: ScriptUrl::try_from(url(script)).unwrap(),
            worker_type: WorkerType::Classic,
            update_via_cache: UpdateViaCache::Imports,
            client,
            referrer_origin: Origin::of(&url("/")),
            referrer: None,
            provenance: Provenance::Script,
            initiator: Site::of(&Origin::of(&url("/"))),
        }
    }

    pub(crate) fn register_with(&mut self, register: Register) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Register(promise, register));
        promise
    }

    pub(crate) fn register(&mut self, of: &str, script: &str) -> PromiseId {
        self.register_with(Self::registering(None, of, script))
    }

    pub(crate) fn update(&mut self, registration: RegistrationId) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Update {
            promise,
            registration,
            caller: None,
            referrer: None,
        });
        promise
    }

    pub(crate) fn unregister(&mut self, registration: RegistrationId) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Unregister {
            promise,
            registration,
        });
        promise
    }

    pub(crate) fn wake(&mut self, registration: RegistrationId) -> PromiseId {
        self.wake_for(registration, None)
    }

    pub(crate) fn wake_for(
        &mut self,
        registration: RegistrationId,
        initiator: Option<Site>,
    ) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Wake {
            promise,
            registration,
            initiator,
        });
        promise
    }

    /// A message for a worker.
    pub(crate) fn run(&mut self, worker: WorkerId) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Run {
            promise,
            worker,
            initiator: None,
        });
        promise
    }

    pub(crate) fn skip_waiting(&mut self, worker: WorkerId) -> PromiseId {
        let promise = self.promise();
        self.input(Input::SkipWaiting { promise, worker });
        promise
    }

    pub(crate) fn claim(&mut self, worker: WorkerId) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Claim { promise, worker });
        promise
    }

    pub(crate) fn ready(&mut self, client: ClientId) -> PromiseId {
        let promise = self.promise();
        self.input(Input::Ready { promise, client });
        promise
    }

    pub(crate) fn uses(&mut self, client: ClientId, registration: RegistrationId) {
        self.input(Input::ClientUses {
            client,
            registration,
        });
    }

    pub(crate) fn gone(&mut self, client: ClientId) {
        self.input(Input::ClientGone(client));
    }

    /// A crash.
    pub(crate) fn dies(&mut self, worker: WorkerId) {
        self.running.remove(&worker);
        self.busy.remove(&worker);
        let run = self.runs[&worker];
        self.input(Input::WorkerDied {
            worker,
            run,
            reason: "it crashed".to_owned(),
        });
    }

    /// A worker has handled its last functional event.
    pub(crate) fn idle(&mut self, worker: WorkerId) {
        self.busy.remove(&worker);
        self.tells_activity(worker);
    }

    /// The registry hears how busy a worker is.
    pub(crate) fn tells_activity(&mut self, worker: WorkerId) {
        self.read_activity(worker);
        self.pump();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while let Some(at) = self.registry.poll_timeout().filter(|at| *at <= end) {
            self.advance_to(at);
            self.registry.handle_timeout(self.now);
            self.pump();
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, at: Instant) {
        let passed = at.saturating_duration_since(self.now.instant);
        self.now.instant += passed;
        self.now.wall.0 += passed.as_millis() as u64;
    }

    // What tests ask.

    pub(crate) fn result(&self, promise: PromiseId) -> Option<&Result<Settled, JobError>> {
        self.settled.get(&promise)
    }

    pub(crate) fn error(&self, promise: PromiseId) -> String {
        match self.result(promise) {
            Some(Err(error)) => error.to_string(),
            other => panic!("{promise} is {other:?}"),
        }
    }

    pub(crate) fn registered(&self, promise: PromiseId) -> RegistrationId {
        match self.result(promise) {
            Some(Ok(Settled::Registration(view))) => view.id,
            other => panic!("{promise} is {other:?}"),
        }
    }

    pub(crate) fn view(&self, id: RegistrationId) -> RegistrationView {
        self.registry.registration(id).unwrap()
    }

    pub(crate) fn active(&self, id: RegistrationId) -> WorkerId {
        self.view(id).active.unwrap().id
    }

    /// Registers `/` and lets it become active.
    pub(crate) fn activated(&mut self) -> (RegistrationId, WorkerId) {
        let promise = self.register("/", "/sw.js");
        let id = self.registered(promise);
        assert_eq!(self.view(id).active.unwrap().state, WorkerState::Activated);
        (id, self.active(id))
    }

    pub(crate) fn drain_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    // The host's own part.

    pub(crate) fn input(&mut self, input: Input) {
        self.registry.handle_input(self.now, input);
        self.pump();
    }

    pub(crate) fn pump(&mut self) {
        while let Some(output) = self.registry.poll_output() {
            self.perform(output);
        }
        self.check();
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Request(id, request) => self.requested(id, request),
            Output::Settle(promise, result) => {
                assert!(self.asked.contains(&promise), "{promise} was never asked");
                let line = match &result {
                    Ok(Settled::Registration(_)) => "registration".to_owned(),
                    Ok(other) => format!("{other:?}"),
                    Err(error) => error.to_string(),
                };
                self.log.push(format!("{promise}: {line}"));
                let before = self.settled.insert(promise, result);
                assert_eq!(before, None, "{promise} settled twice");
            }
            Output::StartWorker(start) => {
                assert!(start.scripts.contains_key(start.script_url.url()));
                let worker = start.worker;
                if !self.running.insert(worker) {
                    assert!(self.held.stops.contains(&worker), "started twice");
                }
                self.runs.insert(worker, start.run);
                if self.hold.start {
                    self.held.starts.push_back(start.worker);
                } else {
                    self.start(start.worker);
                }
            }
            Output::StopWorker { worker, reason } => {
                self.log.push(format!("stop {worker}: {reason}"));
                assert_ne!(reason, StopReason::Shutdown);
                assert!(self.running.contains(&worker), "{worker} does not run");
                let run = self.runs[&worker];
                self.stopping.entry(worker).or_default().push_back(run);
                // Whatever it was about to say is lost.
                self.held.starts.retain(|starting| *starting != worker);
                self.held
                    .events
                    .retain(|(handling, ..)| *handling != worker);
                if self.hold.stop {
                    self.held.stops.push_back(worker);
                } else {
                    self.stopped(worker);
                }
            }
            Output::Dispatch {
                worker,
                event,
                lifecycle,
            } => {
                assert!(self.running.contains(&worker), "{worker} does not run");
                self.log.push(format!("{lifecycle:?} {worker}"));
                if self.hold.events {
                    self.held.events.push_back((worker, event, lifecycle));
                } else {
                    let outcome = match lifecycle {
                        Lifecycle::Install => self.install_outcome.clone(),
                        Lifecycle::Activate => EventOutcome::Fulfilled,
                    };
                    self.settle_event(worker, event, outcome);
                }
            }
            Output::Notify(client, notice) => {
                let line = match notice {
                    ClientNotice::UpdateFound(_) => "updatefound".to_owned(),
                    ClientNotice::StateChanged { worker, state, .. } => {
                        format!("{worker} {state}")
                    }
                    ClientNotice::ControllerChanged(Some(worker)) => {
                        format!("controllerchange {}", worker.id)
                    }
                    ClientNotice::UpdateViaCacheChanged(view) => {
                        format!("updateviacache {:?}", view.update_via_cache)
                    }
                    ClientNotice::ControllerChanged(None) => "controllerchange none".to_owned(),
                };
                self.log.push(format!("{client}: {line}"));
            }
            Output::WorkerStateChanged {
                registration,
                worker,
                state,
            } => {
                let before = self.states.insert(worker, state);
                assert!(before < Some(state), "{worker}: {before:?} -> {state}");
                self.check_durable(registration, worker, state);
            }
            Output::RegistrationCleared(id) => self.log.push(format!("{id} cleared")),
            Output::ReadActivity(worker) => self.read_activity(worker),
            Output::Report(report) => self.reports.push(report),
        }
    }

    /// `installed` and `activated` are announced once they are durable, unless nothing is stored
    /// of that registration, or an activation goes on although the store refused.
    fn check_durable(&self, id: RegistrationId, worker: WorkerId, state: WorkerState) {
        let stored = self.lookup.snapshot(id).is_some_and(|snapshot| {
            let listed = self
                .registry
                .registration_for(&snapshot.storage_key, &snapshot.scope);
            snapshot.storage_key.ephemeral().is_none() && listed.is_some_and(|it| it.id == id)
        });
        let announced = match state {
            WorkerState::Installed => true,
            WorkerState::Activated => !self.refused.contains(&(worker, state)),
            _ => false,
        };
        if stored && announced {
            let durable = self.durable.get(&worker);
            assert!(durable >= Some(&state), "{worker} {state}: {durable:?}");
        }
    }

    fn requested(&mut self, id: RequestId, request: Request) {
        match request {
            Request::FetchScript(fetch) => {
                self.fetched
                    .push((fetch.script_url.url().clone(), fetch.cache));
                self.fetch(id, fetch.script_url.url().clone());
            }
            Request::FetchImport(fetch) => {
                self.fetched.push((fetch.url.clone(), fetch.cache));
                self.fetch(id, fetch.url);
            }
            Request::Store(writes) if self.fault.is_some() => self.write_with_fault(id, &writes),
            Request::Store(writes) => {
                self.writes += 1;
                // In the order in which they were asked for.
                if self.hold.store || !self.held.stores.is_empty() {
                    self.held.stores.push_back((id, writes));
                } else {
                    self.write(id, &writes);
                }
            }
            Request::LoadScripts(worker) => {
                let scripts = self.store.scripts(worker);
                self.queue(Input::Response(id, Response::Scripts(scripts)));
            }
        }
    }

    fn fetch(&mut self, id: RequestId, url: Url) {
        if self.hold.fetch {
            self.held.fetches.push_back((id, url));
        } else {
            self.answer_fetch(id, &url);
        }
    }

    pub(crate) fn answer_fetch(&mut self, id: RequestId, url: &Url) {
        let missing = || Err(ScriptFetchError("connection refused".to_owned()));
        let script = self.scripts.get(url).cloned().unwrap_or_else(missing);
        self.queue(Input::Response(id, Response::Script(script)));
    }

    fn write_with_fault(&mut self, id: RequestId, writes: &[StoreWrite]) {
        let this = self.writes;
        self.writes += 1;
        match self.fault {
            Some((at, Fault::Refuse)) if this == at => self.store_fails = true,
            Some((at, Fault::RefuseFromThenOn)) if this >= at => self.store_fails = true,
            Some((at, Fault::FreezeBefore)) if this >= at => return,
            Some((at, Fault::FreezeAfter)) if this >= at => {
                if this == at {
                    self.store.commit(writes).expect("it has memory");
                }
                return;
            }
            _ => {}
        }
        self.write(id, writes);
        self.store_fails = false;
    }

    pub(crate) fn write(&mut self, id: RequestId, writes: &[StoreWrite]) {
        let result = if self.store_fails {
            Err(StoreError::Io("disk full".to_owned()))
        } else {
            self.store.commit(writes)
        };
        for write in writes {
            let StoreWrite::Put(row) = write else {
                continue;
            };
            for worker in row.waiting.iter().chain(&row.active) {
                if result.is_ok() {
                    self.durable.insert(worker.id, worker.state);
                } else {
                    self.refused.insert((worker.id, worker.state));
                }
            }
        }
        self.queue(Input::Response(id, Response::Stored(result)));
    }

    pub(crate) fn start(&mut self, worker: WorkerId) {
        let run = self.runs[&worker];
        let input = match self.start_error.clone() {
            Some(error) => {
                self.running.remove(&worker);
                Input::WorkerStartFailed { worker, run, error }
            }
            None => Input::WorkerStarted {
                worker,
                run,
                event_types: self.listens,
                fetch_handler: FetchHandler::Present,
            },
        };
        self.queue(input);
    }

    pub(crate) fn stopped(&mut self, worker: WorkerId) {
        let stopping = self.stopping.get_mut(&worker);
        let run = stopping.and_then(VecDeque::pop_front).unwrap();
        if self.runs[&worker] == run {
            self.running.remove(&worker);
            self.busy.remove(&worker);
        }
        self.queue(Input::WorkerDied {
            worker,
            run,
            reason: "stopped".to_owned(),
        });
    }

    pub(crate) fn settle_event(&mut self, worker: WorkerId, event: EventId, outcome: EventOutcome) {
        self.queue(Input::EventSettled {
            worker,
            event,
            outcome,
        });
    }

    /// Answers the oldest held fetch, store, start, event or stop.
    pub(crate) fn release_fetch(&mut self) {
        let (id, url) = self.held.fetches.pop_front().unwrap();
        self.answer_fetch(id, &url);
        self.pump();
    }

    pub(crate) fn release_store(&mut self) {
        let (id, writes) = self.held.stores.pop_front().unwrap();
        self.write(id, &writes);
        self.pump();
    }

    pub(crate) fn release_start(&mut self) {
        let worker = self.held.starts.pop_front().unwrap();
        self.start(worker);
        self.pump();
    }

    pub(crate) fn release_event(&mut self, outcome: EventOutcome) {
        let (worker, event, _) = self.held.events.pop_front().unwrap();
        self.settle_event(worker, event, outcome);
        self.pump();
    }

    pub(crate) fn release_stop(&mut self) {
        let worker = self.held.stops.pop_front().unwrap();
        self.stopped(worker);
        self.pump();
    }

    fn read_activity(&mut self, worker: WorkerId) {
        let oldest_event = self.busy.get(&worker).copied();
        self.queue(Input::Activity {
            worker,
            oldest_event,
            last_busy: self.now.instant - Duration::from_secs(60),
        });
    }

    fn queue(&mut self, input: Input) {
        self.registry.handle_input(self.now, input);
    }

    /// What holds after every input: the slots agree with the workers' states.
    fn check(&self) {
        let keys = [key(), key().in_session(Some(EphemeralId(1)))];
        for view in keys
            .iter()
            .flat_map(|key| self.registry.registrations_of(key))
        {
            let state = |worker: &Option<sw_types::WorkerView>| worker.as_ref().map(|w| w.state);
            assert!(matches!(
                state(&view.installing),
                None | Some(WorkerState::Installing)
            ));
            assert!(matches!(
                state(&view.waiting),
                None | Some(WorkerState::Installed)
            ));
            assert!(matches!(
                state(&view.active),
                None | Some(WorkerState::Activating | WorkerState::Activated)
            ));
            let snapshot = self.lookup.snapshot(view.id).unwrap();
            assert_eq!(
                snapshot
                    .active
                    .as_ref()
                    .map(|active| (active.id, active.state)),
                view.active.as_ref().map(|active| (active.id, active.state))
            );
        }
    }
}
