//! Shared workers: agents that the documents of a browser share. (*HTML*, "Shared workers and the
//! `SharedWorker` interface".)
//!
//! **Lifetime.** The owner set of a worker holds realms, whose windows made an object for it. When the
//! last one has gone, the worker is terminated: at once, or a little later if the owner's navigable
//! loads its next document, which may want the same worker. ("between-loads shared worker timeout")

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak as WeakRc};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use service_worker::message_port::{MessageChannel, MessagePort};
use service_worker::types::StorageKey;
use url::Url;

use super::agent::{Agent, WeakAgent};
use super::blocking::FetchedScript;
use super::broadcast::storage_key;
use super::console::ConsoleLevel;
use super::event_loop::EventLoop;
use super::navigables::NavigableId;
use super::ports;
use super::realm::{Realm, RealmState, WorkerOptions};
use super::reaper::Reaper;
use super::task::{RealmId, TaskSource};
use super::worker_start::{Loaded, NewWorker, Starting, run_script};

/// How many shared workers a browser may have at a time.
const WORKERS: usize = 256;

/// How many those of one storage key may be.
const WORKERS_OF_KEY: usize = 64;

/// How long a worker lives on while the navigable of its last owner loads another document.
const BETWEEN_LOADS: Duration = Duration::from_secs(3);

/// The *shared worker manager* of a browser: a service of its realms. Without it, they can start no
/// shared workers.
#[derive(Default)]
pub struct SharedWorkers {
    scopes: Mutex<Scopes>,
    reaper: Reaper,
}

/// "The list of all `SharedWorkerGlobalScope` objects".
#[derive(Default)]
struct Scopes {
    by_id: BTreeMap<u64, Scope>,
    /// Those whose closing flag is false.
    open: BTreeMap<Key, u64>,
    last_scope: u64,
    last_owner: u64,
}

/// What `SharedWorker` objects of one worker have in common.
type Key = (StorageKey, Url, String);

/// A `SharedWorkerGlobalScope`, as other agents know it.
struct Scope {
    key: Key,
    options: WorkerOptions,
    secure_context: bool,
    /// Its owner set.
    owners: BTreeMap<u64, WeakAgent>,
    /// Since when that is empty.
    unowned: Option<Instant>,
    agent: Option<Agent>,
    /// Who waits for its script; `None` when that was run.
    waiting: Option<Vec<Connection>>,
}

/// A `SharedWorker` object and the port for its worker.
struct Connection {
    object: ObjectLink,
    inside: MessagePort,
}

/// The way from a worker to a `SharedWorker` object.
struct ObjectLink {
    agent: WeakAgent,
    realm: RealmId,
    object: u32,
}

/// *new SharedWorker()*, from step 6: the number of the object, and that of its outside port.
pub(super) fn connect(realm: &RealmState, new: NewWorker) -> (u32, u32) {
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let outside = ports::adopt(realm, port1);
    let owner = realm.local::<Owner>();
    owner.last_object.set(owner.last_object.get() + 1);
    let connection = Connection {
        object: ObjectLink {
            agent: realm.event_loop().remote().clone(),
            realm: realm.id(),
            object: owner.last_object.get(),
        },
        inside: port2,
    };
    match owner.id(realm) {
        Some((workers, id)) => workers.connect(realm, id, new, connection),
        None => connection.object.failed("this realm can have none"),
    }
    (owner.last_object.get(), outside)
}

impl SharedWorkers {
    /// Step 11.
    fn connect(
        self: &Arc<Self>,
        realm: &RealmState,
        owner: u64,
        new: NewWorker,
        connection: Connection,
    ) {
        let secure_context = realm.environment().secure_context;
        let key = (
            storage_key(realm),
            new.url.clone(),
            new.options.name.clone(),
        );
        let agent = realm.event_loop().remote().clone();
        let mut scopes = self.lock();
        // Step 11.2.
        if let Some(scope) = scopes.find(&key) {
            // Step 11.4.
            if scope.options != new.options {
                let why = "the worker that runs has another type or other credentials";
                return connection.object.failed(why);
            }
            // Step 11.5.3.
            if scope.secure_context != secure_context {
                let why = "the worker that runs is a secure context, or this is one";
                return connection.object.failed(why);
            }
            scope.connect(connection);
            scope.owners.insert(owner, agent);
            scope.unowned = None;
            return;
        }
        let of_key = scopes.by_id.values().filter(|scope| scope.key.0 == key.0);
        if of_key.count() >= WORKERS_OF_KEY || scopes.by_id.len() >= WORKERS {
            return connection.object.failed("there are too many");
        }
        // Step 11.6: run a worker.
        scopes.last_scope += 1;
        let id = scopes.last_scope;
        let scope = Scope {
            key: key.clone(),
            options: new.options.clone(),
            secure_context,
            owners: BTreeMap::from([(owner, agent)]),
            unowned: None,
            agent: None,
            waiting: Some(vec![connection]),
        };
        scopes.by_id.insert(id, scope);
        scopes.open.insert(key, id);
        drop(scopes);
        let starting = Starting::new(realm, new, true);
        let link = ScopeLink {
            workers: Arc::downgrade(self),
            scope: id,
        };
        let thread = std::thread::Builder::new().name("worker start".to_owned());
        let spawned = thread.spawn({
            let link = link.clone();
            move || match starting.load() {
                Ok(loaded) => link.start(loaded),
                Err(error) => link.failed(&error),
            }
        });
        if let Err(error) = spawned {
            link.failed(&format!("no thread: {error}"));
        }
    }

    /// A document is gone.
    fn discard(self: &Arc<Self>, owner: u64, is_between_loads: bool) {
        let mut scopes = self.lock();
        let mut unowned = Vec::new();
        for (id, scope) in &mut scopes.by_id {
            if scope.owners.remove(&owner).is_some() && scope.owners.is_empty() {
                scope.unowned = Some(Instant::now());
                unowned.push(*id);
            }
        }
        if !is_between_loads {
            for id in unowned {
                scopes.terminate(id);
            }
            return;
        }
        for id in unowned {
            let link = ScopeLink {
                workers: Arc::downgrade(self),
                scope: id,
            };
            self.reaper.after(BETWEEN_LOADS, move || link.reap());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Scopes> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SharedWorkers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedWorkers")
            .field("running", &self.lock().by_id.len())
            .finish_non_exhaustive()
    }
}

impl Scopes {
    /// The worker that an object may be connected to. One that was killed, and ends, is none, and
    /// neither is one whose owners all were.
    fn find(&mut self, key: &Key) -> Option<&mut Scope> {
        let id = *self.open.get(key)?;
        let scope = self.by_id.get_mut(&id)?;
        if scope.agent.as_ref().is_some_and(Agent::is_killed) {
            self.open.remove(key);
            return None;
        }
        let count = scope.owners.len();
        scope.owners.retain(|_, agent| {
            let agent = agent.upgrade();
            agent.is_some_and(|agent| !agent.is_killed())
        });
        if count > 0 && scope.owners.is_empty() {
            self.terminate(id);
            return None;
        }
        self.by_id.get_mut(&id)
    }

    /// No more objects find that worker.
    fn close(&mut self, id: u64) {
        let Some(scope) = self.by_id.get(&id) else {
            return;
        };
        if self.open.get(&scope.key) == Some(&id) {
            self.open.remove(&scope.key);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Scope> {
        self.close(id);
        self.by_id.remove(&id)
    }

    /// *Terminate a worker.*
    fn terminate(&mut self, id: u64) {
        let agent = self.remove(id).and_then(|scope| scope.agent);
        if let Some(agent) = agent {
            agent.kill("no document uses the shared worker any more");
        }
    }
}

impl Scope {
    fn connect(&mut self, connection: Connection) {
        match (&mut self.waiting, &self.agent) {
            (Some(waiting), _) => waiting.push(connection),
            (None, Some(agent)) => connection.enter(agent),
            (None, None) => connection.object.failed("it has just ended"),
        }
    }
}

impl Connection {
    /// Steps 11.5.5 to 11.5.7: the `connect` event.
    fn enter(self, agent: &Agent) {
        let Self { object, inside } = self;
        object.connected();
        agent.post(RealmId::MAIN, TaskSource::Dom, move |realm: &Realm| {
            let inside = ports::adopt(realm.state(), inside);
            realm.with(|ctx| realm.state().call(ctx, "connect", (inside,)).is_some());
        });
    }
}

impl ObjectLink {
    /// The object has a worker.
    fn connected(self) {
        let object = self.object;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                let state = realm.state();
                realm.with(|ctx| {
                    state
                        .call(ctx, "sharedWorkerConnected", (object,))
                        .is_some()
                });
            });
    }

    /// The object gets no worker: `error`.
    fn failed(self, why: &str) {
        let (object, why) = (self.object, why.to_owned());
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                let state = realm.state();
                state.log(ConsoleLevel::Error, &format!("no shared worker: {why}"));
                realm.with(|ctx| state.call(ctx, "sharedWorkerFailed", (object,)).is_some());
            });
    }
}

/// The way from a shared worker to what the others know of it: a service of its realm.
#[derive(Clone)]
pub(super) struct ScopeLink {
    workers: Weak<SharedWorkers>,
    scope: u64,
}

impl ScopeLink {
    /// Its closing flag is true.
    pub(super) fn closing(&self) {
        self.with(|scopes| scopes.close(self.scope));
    }

    /// Its script is there.
    fn start(self, loaded: Loaded) {
        let Some(workers) = self.workers.upgrade() else {
            return;
        };
        // Held while the agent starts, so that a termination finds it.
        let mut scopes = workers.lock();
        let Some(scope) = scopes.by_id.get_mut(&self.scope) else {
            return;
        };
        let (link, ended) = (Arc::new(self.clone()), self.clone());
        match loaded.start(link, begin, move || ended.failed("it has ended")) {
            Ok(agent) => scope.agent = Some(agent),
            Err(error) => {
                drop(scopes);
                self.failed(&error);
            }
        }
    }

    /// *Run a worker*, step 25, for all objects that there are by now.
    fn evaluated(&self) {
        self.with(|scopes| {
            let Some(scope) = scopes.by_id.get_mut(&self.scope) else {
                return;
            };
            let waiting = scope.waiting.take();
            for connection in waiting.into_iter().flatten() {
                scope.connect(connection);
            }
        });
    }

    /// There is no such worker, or not any more: `error` at the objects that wait for it.
    fn failed(&self, why: &str) {
        self.with(|scopes| {
            let scope = scopes.remove(self.scope);
            let waiting = scope.and_then(|scope| scope.waiting);
            for connection in waiting.into_iter().flatten() {
                connection.object.failed(why);
            }
        });
    }

    /// The between-loads shared worker timeout is over.
    fn reap(&self) {
        self.with(|scopes| {
            let scope = scopes.by_id.get(&self.scope);
            let unowned = scope.and_then(|scope| scope.unowned);
            // It may have had an owner in between.
            if unowned.is_some_and(|since| since.elapsed() >= BETWEEN_LOADS) {
                scopes.terminate(self.scope);
            }
        });
    }

    fn with(&self, run: impl FnOnce(&mut Scopes)) {
        if let Some(workers) = self.workers.upgrade() {
            run(&mut workers.lock());
        }
    }
}

/// *Run a worker*, from the point where its global is there.
fn begin(realm: &Realm, script: &FetchedScript) {
    let state = Rc::clone(realm.state());
    let Some(link) = state.service::<ScopeLink>() else {
        return;
    };
    let ran = realm.with(|ctx| run_script(ctx, &state, script));
    match ran {
        // Its end is told when it has ended.
        Ok(()) if state.is_killed() => {}
        Ok(()) => {
            realm.checkpoint();
            link.evaluated();
        }
        Err(why) => {
            state.event_loop().close_after_task();
            link.failed(&why);
        }
    }
}

/// A realm in the owner sets of shared workers: it leaves them when it ends.
#[derive(Default)]
struct Owner {
    known: RefCell<Option<Known>>,
    last_object: Cell<u32>,
}

struct Known {
    workers: Arc<SharedWorkers>,
    id: u64,
    event_loop: WeakRc<EventLoop>,
    navigable: Option<NavigableId>,
}

impl Owner {
    /// The browser's shared workers and the number of this owner; `None` if there are none for it.
    fn id(&self, realm: &RealmState) -> Option<(Arc<SharedWorkers>, u64)> {
        // Nothing would end what begins after the realm.
        if realm.has_ended() {
            return None;
        }
        if let Some(known) = &*self.known.borrow() {
            return Some((Arc::clone(&known.workers), known.id));
        }
        let workers = realm.service::<SharedWorkers>()?;
        let id = {
            let mut scopes = workers.lock();
            scopes.last_owner += 1;
            scopes.last_owner
        };
        self.known.replace(Some(Known {
            workers: Arc::clone(&workers),
            id,
            event_loop: Rc::downgrade(realm.event_loop()),
            navigable: realm.own_navigable(),
        }));
        Some((workers, id))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(known) = self.known.take() else {
            return;
        };
        // The navigable is there still if it shows another document from now on.
        let event_loop = known.event_loop.upgrade();
        let is_between_loads = event_loop.zip(known.navigable).is_some_and(|(it, id)| {
            let navigables = it.navigables();
            navigables.get(id).is_some_and(|it| !it.is_closing)
        });
        known.workers.discard(known.id, is_between_loads);
    }
}
