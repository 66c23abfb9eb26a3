//! The event loop of an agent, and what its realms share. (*HTML*, "event loops".)

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_channel::mpsc as local;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rquickjs::runtime::WeakRuntime;
use rquickjs::{Context, Ctx, Function, JsLifetime, Runtime, Value};
use tokio::sync::mpsc;

use super::agent::{Death, Kill, Limits, WeakAgent};
use super::navigables::{Navigable, NavigableId, Navigables};
use super::navigation::{about_blank, is_window};
use super::page::Page;
use super::realm::{Completion, Realm, RealmOptions, RealmState};
use super::sandbox::Sandbox;
use super::task::{OwnTask, Queued, RealmId, Task, TaskQueue, TaskSource};
use super::timers::Timers;
use super::window_proxy::{self, NewProxy, WindowProxies};

/// How many tasks run before other threads' wake-ups are looked at.
const TASKS_A_TURN: u32 = 64;

/// An operation that an agent waits for beside its tasks: what it does when it has finished, and in
/// which realm; `None` if that realm is gone.
pub(super) type Operation = Pin<Box<dyn Future<Output = Option<(RealmId, Completion)>>>>;

/// What the realms of an agent share.
pub(super) struct EventLoop {
    kill: Arc<Kill>,
    limits: Limits,
    deadline: Deadline,
    runtime: WeakRuntime,
    spawner: local::UnboundedSender<Operation>,
    realms: RefCell<BTreeMap<RealmId, Realm>>,
    /// By context, as long as any function of the realm lives.
    states: RefCell<BTreeMap<usize, Weak<RealmState>>>,
    contexts: RefCell<BTreeMap<RealmId, usize>>,
    agent: WeakAgent,
    navigables: RefCell<Navigables>,
    /// Of agents with windows.
    proxies: RefCell<Option<WindowProxies>>,
    main_navigable: Cell<Option<NavigableId>>,
    /// Whose script asked for what a `WindowProxy` is passing on.
    asking: Cell<Option<RealmId>>,
    main: Cell<RealmId>,
    last_realm: Cell<u64>,
    queue: RefCell<TaskQueue>,
    timers: RefCell<Timers>,
    in_checkpoint: Cell<bool>,
    /// Whether a realm may have rejections that nobody handled.
    rejected: Cell<bool>,
}

/// What an event loop is made from.
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) deadline: Deadline,
    pub(super) agent: WeakAgent,
    /// What other threads post.
    pub(super) tasks: mpsc::UnboundedReceiver<Queued<Task>>,
}

/// Runs an agent to its end.
pub(super) fn run(
    runtime: &Runtime,
    setup: Setup,
    options: RealmOptions,
    begin: Task,
    tokio: &tokio::runtime::Runtime,
) -> Death {
    let Setup {
        limits,
        deadline,
        agent,
        tasks,
    } = setup;
    let (spawner, spawned) = local::unbounded();
    let kill = Arc::clone(&deadline.kill);
    let event_loop = Rc::new(EventLoop {
        kill: Arc::clone(&kill),
        limits,
        deadline,
        runtime: runtime.weak(),
        spawner,
        realms: RefCell::default(),
        states: RefCell::default(),
        contexts: RefCell::default(),
        agent,
        navigables: RefCell::default(),
        proxies: RefCell::default(),
        main_navigable: Cell::new(None),
        asking: Cell::new(None),
        main: Cell::new(RealmId::MAIN),
        last_realm: Cell::new(0),
        queue: RefCell::default(),
        timers: RefCell::default(),
        in_checkpoint: Cell::new(false),
        rejected: Cell::new(false),
    });
    let context = match Context::full(runtime) {
        Ok(context) => context,
        Err(error) => return kill.death().unwrap_or(Death::NotStarted(error.to_string())),
    };
    runtime.set_host_promise_rejection_tracker(Some(Box::new(|ctx, promise, reason, handled| {
        if let Some(realm) = state_of(&ctx) {
            realm.track(&ctx, promise, reason, handled);
        }
    })));
    if is_window(&options.kind) {
        match WindowProxies::new(runtime) {
            Ok(proxies) => event_loop.proxies.replace(Some(proxies)),
            Err(error) => return kill.death().unwrap_or(Death::NotStarted(error.to_string())),
        };
    }
    let realm = context.with(|ctx| {
        let shared = Shared(Rc::clone(&event_loop));
        ctx.store_userdata(shared)
            .map_err(|error| error.to_string())?;
        let navigable = event_loop
            .create_main_navigable(&ctx, &options)
            .map_err(|error| error.to_string())?;
        event_loop.open_realm(&ctx, context.clone(), options, navigable)
    });
    let death = match realm {
        Ok(realm) => {
            event_loop.main.set(realm.id());
            begin(&realm);
            drop(realm);
            tokio::task::LocalSet::new().block_on(tokio, event_loop.turn(tasks, spawned))
        }
        Err(error) => kill.death().unwrap_or(Death::NotStarted(error)),
    };
    event_loop.end();
    drop(event_loop.proxies.take());
    context.with(|ctx| drop(ctx.remove_userdata::<Shared>()));
    runtime.set_host_promise_rejection_tracker(None);
    death
}

impl EventLoop {
    async fn turn(
        &self,
        mut tasks: mpsc::UnboundedReceiver<Queued<Task>>,
        mut spawned: local::UnboundedReceiver<Operation>,
    ) -> Death {
        let mut running = FuturesUnordered::new();
        let mut turns = 0;
        loop {
            self.checkpoint();
            self.deadline.disarm();
            if let Some(death) = self.kill.death() {
                return death;
            }
            while let Ok(task) = tasks.try_recv() {
                let task = Queued {
                    realm: task.realm,
                    source: task.source,
                    since: task.since,
                    task: task.task as OwnTask,
                };
                self.queue.borrow_mut().push(task);
            }
            turns += 1;
            if turns % TASKS_A_TURN == 0 {
                tokio::task::yield_now().await;
            }
            while let Ok(operation) = spawned.try_recv() {
                running.push(operation);
            }
            // Before tasks: what was answered before a task was posted is seen before it.
            if let Some(Some(finished)) = running.next().now_or_never() {
                self.complete(finished);
                continue;
            }
            if self.run_next() {
                continue;
            }
            let deadline = self.timers.borrow().deadline();
            tokio::select! {
                biased;
                () = self.kill.wake.notified() => {}
                Some(operation) = spawned.next() => running.push(operation),
                Some(finished) = running.next(), if !running.is_empty() => self.complete(finished),
                () = until(deadline) => {}
                task = tasks.recv() => match task {
                    Some(Queued { realm, source, task, since }) => {
                        self.queue.borrow_mut().push(Queued { realm, source, task, since });
                    }
                    None => return Death::Closed,
                },
            }
        }
    }

    /// Runs the next timer or task, whichever has waited longer. False if there is none.
    fn run_next(&self) -> bool {
        let now = Instant::now();
        let since = self.queue.borrow().first_since();
        let due = self
            .timers
            .borrow_mut()
            .take_due(since.unwrap_or(now).min(now));
        if let Some((realm, timer)) = due {
            if let Some(realm) = self.realm(realm) {
                self.deadline.arm();
                realm.fire_timer(timer);
            }
            return true;
        }
        let next = self.queue.borrow_mut().pop();
        let Some(Queued {
            realm,
            source,
            task,
            ..
        }) = next
        else {
            return false;
        };
        match self.realm(realm) {
            Some(realm) => {
                self.deadline.arm();
                task(&realm);
            }
            None => tracing::debug!(%realm, ?source, "a task came after its realm had ended"),
        }
        true
    }

    fn complete(&self, finished: Option<(RealmId, Completion)>) {
        let Some((realm, completion)) = finished else {
            return;
        };
        if let Some(realm) = self.realm(realm) {
            self.deadline.arm();
            realm.with(|ctx| completion(ctx));
        }
    }

    /// *Perform a microtask checkpoint*: runs microtasks, then has rejections reported that nobody
    /// handled.
    fn checkpoint(&self) {
        let realm = self.realms.borrow().values().next().cloned();
        if let Some(realm) = realm {
            realm.with(|ctx| self.run_microtasks(ctx));
        }
        if !self.rejected.take() {
            return;
        }
        let realms: Vec<_> = self.realms.borrow().values().cloned().collect();
        for realm in realms.iter().rev() {
            realm.notify_about_rejections();
        }
    }

    /// *Perform a microtask checkpoint*, without rejections.
    pub(super) fn run_microtasks(&self, ctx: &Ctx<'_>) {
        if self.in_checkpoint.replace(true) {
            return;
        }
        while !self.deadline.is_over() && ctx.execute_pending_job() {}
        self.in_checkpoint.set(false);
    }

    /// Makes a realm.
    ///
    /// # Errors
    /// Why not, for people: there are too many, memory is used up, or the prelude threw.
    pub(super) fn create_realm(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        options: RealmOptions,
        navigable: Option<NavigableId>,
    ) -> Result<Realm, String> {
        if self.realms.borrow().len() >= self.limits.realms {
            self.kill.kill(Death::TooMany {
                what: "frames",
                limit: self.limits.realms,
            });
            return Err("there are too many realms".to_owned());
        }
        let runtime = self.runtime.try_ref().ok_or("the agent ends")?;
        let context = new_context(ctx, runtime).ok_or("out of memory")?;
        self.open_realm(ctx, context, options, navigable)
    }

    fn open_realm(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        context: Context,
        options: RealmOptions,
        navigable: Option<NavigableId>,
    ) -> Result<Realm, String> {
        let id = RealmId(self.next_number());
        let key = context.as_raw().addr().get();
        let realm = Realm::new(id, Rc::clone(self), context, options, navigable);
        self.contexts.borrow_mut().insert(id, key);
        self.states
            .borrow_mut()
            .insert(key, Rc::downgrade(realm.state()));
        self.realms.borrow_mut().insert(id, realm.clone());
        let started = realm.enter(ctx, |realm, ctx| {
            realm.set_global(ctx);
            let target = navigable.and_then(|id| {
                let mut navigables = self.navigables_mut();
                let navigable = navigables.get_mut(id)?;
                if navigable.active == RealmId::MAIN {
                    navigable.active = realm.id();
                    for entry in &mut navigable.entries {
                        entry.document = realm.id();
                    }
                }
                Some(navigable.target.clone())
            });
            if let Some(target) = target {
                let set = target
                    .restore(ctx)
                    .and_then(|target| window_proxy::set_window(ctx, &target, realm));
                set.map_err(|error| error.to_string())?;
            }
            realm.start(ctx)
        });
        match started {
            Ok(()) => Ok(realm),
            Err(error) => {
                self.destroy_realm(id);
                Err(error)
            }
        }
    }

    /// Ends a realm: its timers and tasks are dropped, and what it waits for is given up. Functions
    /// of it that another realm holds can still be called.
    pub(super) fn destroy_realm(&self, id: RealmId) {
        let realm = self.realms.borrow_mut().remove(&id);
        self.timers.borrow_mut().clear_realm(id);
        let tasks = self.queue.borrow_mut().take_realm(id);
        drop(tasks);
        if let Some(realm) = realm {
            realm.state().end();
        }
    }

    /// A realm that has not ended.
    pub(super) fn realm(&self, id: RealmId) -> Option<Realm> {
        let id = if id == RealmId::MAIN {
            self.main.get()
        } else {
            id
        };
        self.realms.borrow().get(&id).cloned()
    }

    /// Which realm is the agent's main one.
    pub(super) fn set_main(&self, id: RealmId) {
        self.main.set(id);
    }

    /// Queues a task of the agent's own.
    pub(super) fn queue(
        &self,
        realm: RealmId,
        source: TaskSource,
        task: impl FnOnce(&Realm) + 'static,
    ) {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= self.limits.tasks {
            self.kill.kill(Death::TooMany {
                what: "tasks",
                limit: self.limits.tasks,
            });
            return;
        }
        queue.push(Queued::new(realm, source, Box::new(task)));
    }

    /// Queues a task of the agent's own before all others.
    pub(super) fn queue_first(
        &self,
        realm: RealmId,
        source: TaskSource,
        task: impl FnOnce(&Realm) + 'static,
    ) {
        let task = Queued::new(realm, source, Box::new(task) as OwnTask);
        self.queue.borrow_mut().push_first(task);
    }

    /// Starts a timer.
    pub(super) fn start_timer(&self, realm: RealmId, id: u32, delay: Duration) {
        let mut timers = self.timers.borrow_mut();
        if timers.len() >= self.limits.timers {
            self.kill.kill(Death::TooMany {
                what: "timers",
                limit: self.limits.timers,
            });
            return;
        }
        timers.start(realm, id, delay, Instant::now());
    }

    /// Stops a timer.
    pub(super) fn clear_timer(&self, realm: RealmId, id: u32) {
        self.timers.borrow_mut().clear(realm, id);
    }

    /// Waits for an operation beside the tasks.
    pub(super) fn spawn(&self, operation: Operation) {
        // Refused only while the agent ends, when nobody waits for it.
        drop(self.spawner.unbounded_send(operation));
    }

    /// A realm has a rejection that nobody handled yet.
    pub(super) fn expect_rejections(&self) {
        self.rejected.set(true);
    }

    pub(super) fn kill(&self) -> &Kill {
        &self.kill
    }

    /// What is known of a realm, by its context.
    fn state(&self, ctx: &Ctx<'_>) -> Option<Rc<RealmState>> {
        let key = ctx.as_raw().addr().get();
        self.states.borrow().get(&key)?.upgrade()
    }

    /// The same, by its id, as long as any function of the realm lives.
    pub(super) fn state_by_id(&self, id: RealmId) -> Option<Rc<RealmState>> {
        let context = *self.contexts.borrow().get(&id)?;
        let state = self.states.borrow().get(&context)?.upgrade()?;
        (state.id() == id).then_some(state)
    }

    /// What is known of all realms that have not ended.
    pub(super) fn states(&self) -> Vec<Rc<RealmState>> {
        let realms = self.realms.borrow();
        realms.values().map(|realm| Rc::clone(realm.state())).collect()
    }

    /// A number that this agent has not used for a realm or a client.
    pub(super) fn next_number(&self) -> u64 {
        self.last_realm.set(self.last_realm.get() + 1);
        self.last_realm.get()
    }

    pub(super) fn navigables(&self) -> Ref<'_, Navigables> {
        self.navigables.borrow()
    }

    /// Not to be held while a script may run.
    pub(super) fn navigables_mut(&self) -> RefMut<'_, Navigables> {
        self.navigables.borrow_mut()
    }

    /// The top-level page that the agent was made for.
    pub(super) const fn main_navigable(&self) -> Option<NavigableId> {
        self.main_navigable.get()
    }

    /// The navigable and the window that a `WindowProxy` stands for; `None` for anything else.
    pub(super) fn window_of<'js>(
        &self,
        value: &Value<'js>,
    ) -> Option<(NavigableId, rquickjs::Object<'js>)> {
        self.proxies.borrow().as_ref()?.window(value)
    }

    /// Whose script asked for what a `WindowProxy` is passing on.
    pub(super) const fn asking(&self) -> Option<RealmId> {
        self.asking.get()
    }

    /// Runs something that the script of a realm asked a `WindowProxy` for.
    pub(super) fn with_asking<T>(&self, realm: RealmId, run: impl FnOnce() -> T) -> T {
        let before = self.asking.replace(Some(realm));
        let done = run();
        self.asking.set(before);
        done
    }

    /// A function of a `Reflect` that no script has seen.
    pub(super) fn reflect<'js>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
    ) -> rquickjs::Result<Function<'js>> {
        let reflect = self.proxies.borrow().as_ref().map(WindowProxies::reflect);
        let refused = || rquickjs::Exception::throw_internal(ctx, "this agent has no windows");
        reflect.ok_or_else(refused)?.restore(ctx)?.get(name)
    }

    pub(super) fn new_proxy(&self, ctx: &Ctx<'_>, id: NavigableId) -> rquickjs::Result<NewProxy> {
        let refused = || rquickjs::Exception::throw_internal(ctx, "this agent has no windows");
        let proxies = self.proxies.borrow();
        proxies.as_ref().ok_or_else(refused)?.create(ctx, id)
    }

    /// Kills the agent if it has as many navigables as it may have.
    pub(super) fn check_navigables(&self) -> Result<(), String> {
        if self.navigables().len() < self.limits.realms {
            return Ok(());
        }
        self.kill.kill(Death::TooMany {
            what: "frames",
            limit: self.limits.realms,
        });
        Err("there are too many frames".to_owned())
    }

    /// A realm, for other threads.
    pub(super) fn page(&self, realm: RealmId) -> Option<Page> {
        Some(Page::of_realm(self.agent.upgrade()?, realm))
    }

    fn create_main_navigable(
        &self,
        ctx: &Ctx<'_>,
        options: &RealmOptions,
    ) -> rquickjs::Result<Option<NavigableId>> {
        if !is_window(&options.kind) {
            return Ok(None);
        }
        let id = self.navigables_mut().next_id();
        let NewProxy { proxy, target } = self.new_proxy(ctx, id)?;
        let navigable = Navigable {
            parent: None,
            children: Vec::new(),
            opener: None,
            name: String::new(),
            active: RealmId::MAIN,
            sandbox: Sandbox::default(),
            is_initial_about_blank: options.url == about_blank(),
            is_closing: false,
            navigation: 0,
            entries: vec![super::navigables::Entry {
                url: options.url.clone(),
                document: RealmId::MAIN,
                state: None,
            }],
            current: 0,
            client: None,
            proxy,
            target,
        };
        self.navigables_mut().insert(id, navigable);
        self.main_navigable.set(Some(id));
        Ok(Some(id))
    }

    /// The context of a realm was freed, or another took its place.
    pub(super) fn forget_state(&self, realm: RealmId, context: usize) {
        if let Ok(mut contexts) = self.contexts.try_borrow_mut() {
            contexts.remove(&realm);
        }
        // Borrowed only in a panic.
        if let Ok(mut states) = self.states.try_borrow_mut() {
            if states
                .get(&context)
                .is_some_and(|state| state.strong_count() == 0)
            {
                states.remove(&context);
            }
        }
    }

    /// Lets go of every value, so that the runtime can be freed.
    fn end(&self) {
        let tasks = self.queue.borrow_mut().take_all();
        drop(tasks);
        let navigables = self.navigables_mut().take_all();
        drop(navigables);
        let realms = std::mem::take(&mut *self.realms.borrow_mut());
        for realm in realms.values() {
            realm.state().end();
        }
    }
}

/// Until when a task may run.
#[derive(Clone)]
pub(super) struct Deadline {
    limit: Option<Duration>,
    until: Rc<Cell<Option<Instant>>>,
    kill: Arc<Kill>,
}

impl Deadline {
    pub(super) fn new(limit: Option<Duration>, kill: Arc<Kill>) -> Self {
        Self {
            limit,
            until: Rc::default(),
            kill,
        }
    }

    /// A task begins.
    fn arm(&self) {
        if let Some(limit) = self.limit {
            self.until.set(Instant::now().checked_add(limit));
        }
    }

    /// No task runs.
    fn disarm(&self) {
        self.until.set(None);
    }

    /// Whether the agent is to end; ends it if the task has run for too long.
    pub(super) fn is_over(&self) -> bool {
        if self.kill.is_set() {
            return true;
        }
        let (Some(until), Some(limit)) = (self.until.get(), self.limit) else {
            return false;
        };
        if Instant::now() < until {
            return false;
        }
        self.kill.kill(Death::OutOfTime { limit });
        true
    }
}

/// Finds what the realms of an agent share from within one.
#[derive(JsLifetime)]
struct Shared(Rc<EventLoop>);

/// What is known of the realm of `ctx`.
pub(super) fn state_of(ctx: &Ctx<'_>) -> Option<Rc<RealmState>> {
    ctx.userdata::<Shared>()?.0.state(ctx)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[expect(
    unsafe_code,
    reason = "rquickjs makes contexts only while no script runs, and frames are made by scripts"
)]
fn new_context(ctx: &Ctx<'_>, runtime: Runtime) -> Option<Context> {
    // SAFETY: `ctx` is a live context, so its runtime is live, and locked by whoever gave it. The
    // new context has one reference, which `Context` owns.
    unsafe {
        let raw = rquickjs::qjs::JS_NewContext(rquickjs::qjs::JS_GetRuntime(ctx.as_raw().as_ptr()));
        std::ptr::NonNull::new(raw).map(|raw| Context::from_raw(raw, runtime))
    }
}
