//! The event loop of an agent, and what its realms share. (*HTML*, "event loops".)

mod arrival;
mod deadline;
mod realms;
mod windows;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_channel::mpsc as local;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rquickjs::runtime::WeakRuntime;
use rquickjs::{Context, Ctx, JsLifetime, Runtime};
use tokio::sync::mpsc;

use self::arrival::Arriving;
pub(super) use self::deadline::Deadline;
use super::agent::{Death, Kill, Limits, WeakAgent};
use super::broadcast::Broadcasts;
use super::clone::Unread;
use super::navigables::{NavigableId, Navigables};
use super::navigation::is_window;
use super::ports::Ports;
use super::realm::{Completion, Realm, RealmKind, RealmOptions, RealmState};
use super::task::{OwnTask, Queued, RealmId, Task, TaskQueue, TaskSource};
use super::timers::Timers;
use super::window_proxy::WindowProxies;

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
    ports: Ports,
    unread: Unread,
    broadcasts: Arc<Broadcasts>,
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
    last_kept: Cell<u64>,
    queue: RefCell<TaskQueue>,
    timers: RefCell<Timers>,
    in_checkpoint: Cell<bool>,
    /// Whether it runs no task after this one.
    closing: Cell<bool>,
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
        ports: Ports::default(),
        unread: Unread::default(),
        broadcasts: Arc::default(),
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
        last_kept: Cell::new(0),
        queue: RefCell::default(),
        timers: RefCell::default(),
        in_checkpoint: Cell::new(false),
        closing: Cell::new(false),
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
            event_loop.deadline.arm();
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
            if self.closing.get() {
                return Death::Closed;
            }
            self.take(&mut tasks);
            turns += 1;
            if turns % TASKS_A_TURN == 0 {
                tokio::task::yield_now().await;
            }
            while let Ok(operation) = spawned.try_recv() {
                running.push(Arriving::new(operation));
            }
            while let Some(Some(finished)) = running.next().now_or_never() {
                // What was posted before the answer came goes before it.
                self.take(&mut tasks);
                self.complete(finished);
            }
            if self.run_next() {
                continue;
            }
            let deadline = self.timers.borrow().deadline();
            tokio::select! {
                biased;
                () = self.kill.wake.notified() => {}
                Some(operation) = spawned.next() => running.push(Arriving::new(operation)),
                Some(finished) = running.next(), if !running.is_empty() => {
                    self.take(&mut tasks);
                    self.complete(finished);
                }
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

    /// Takes what other threads have posted.
    fn take(&self, tasks: &mut mpsc::UnboundedReceiver<Queued<Task>>) {
        while let Ok(task) = tasks.try_recv() {
            let task = Queued {
                realm: task.realm,
                source: task.source,
                since: task.since,
                task: task.task as OwnTask,
            };
            self.queue.borrow_mut().push(task);
        }
    }

    /// An operation was answered: what it does then is a task, which came when the answer did.
    fn complete(&self, (since, finished): (Instant, Option<(RealmId, Completion)>)) {
        let Some((realm, completion)) = finished else {
            return;
        };
        let task: OwnTask = Box::new(move |realm| realm.with(|ctx| completion(ctx)));
        self.queue.borrow_mut().insert(Queued {
            realm,
            source: TaskSource::Networking,
            task,
            since,
        });
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

    /// The message ports of all its realms.
    pub(super) const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The broadcast channels of a browser that has only this agent.
    pub(super) const fn broadcasts(&self) -> &Arc<Broadcasts> {
        &self.broadcasts
    }

    /// How other threads post tasks.
    pub(super) const fn remote(&self) -> &WeakAgent {
        &self.agent
    }

    /// *Close a worker*: no task runs after this one.
    pub(super) fn close_after_task(&self) {
        self.closing.set(true);
    }

    /// Whether it runs no task after this one.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// What the agent may have.
    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether there may be one more of something than there is; if not, the agent is killed.
    pub(super) fn admits(&self, count: usize, limit: usize, what: &'static str) -> bool {
        let is_admitted = count < limit;
        if !is_admitted {
            self.kill.kill(Death::TooMany { what, limit });
        }
        is_admitted
    }

    /// A record that a script of the agent made, for whoever reads it. The agent dies when they are
    /// too much together.
    pub(super) fn record(&self, bytes: Vec<u8>) -> Bytes {
        let limit = self.limits.messages;
        self.admits(self.unread.bytes(), limit, "bytes of unread messages");
        self.unread.record(bytes)
    }

    /// Whether tasks wait.
    pub(super) fn has_tasks(&self) -> bool {
        self.queue.borrow().len() > 0
    }

    /// Between two tasks that are run as one: the time of the next begins.
    pub(super) fn begin_next(&self) {
        self.deadline.arm();
    }

    /// Queues a task of the agent's own.
    pub(super) fn queue(
        &self,
        realm: RealmId,
        source: TaskSource,
        task: impl FnOnce(&Realm) + 'static,
    ) {
        let mut queue = self.queue.borrow_mut();
        if self.admits(queue.len(), self.limits.tasks, "tasks") {
            queue.push(Queued::new(realm, source, Box::new(task)));
        }
    }

    /// Queues a task of the agent's own before the posted messages that wait.
    pub(super) fn queue_before_messages(
        &self,
        realm: RealmId,
        source: TaskSource,
        task: impl FnOnce(&Realm) + 'static,
    ) {
        let mut queue = self.queue.borrow_mut();
        if self.admits(queue.len(), self.limits.tasks, "tasks") {
            queue.push_before_messages(Queued::new(realm, source, Box::new(task)));
        }
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
        if self.admits(timers.len(), self.limits.timers, "timers") {
            timers.start(realm, id, delay, Instant::now());
        }
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

    /// `ports.add()` with `whenStopped`: the worker stops, and its ports go into the stash.
    fn stash_ports(&self) {
        let ports = self.ports.take_stashed_when_stopped();
        if ports.is_empty() {
            return;
        }
        let realms = self.realms.borrow();
        let Some(realm) = realms.values().next() else {
            return;
        };
        let RealmKind::ServiceWorker(start) = realm.state().kind() else {
            return;
        };
        for (name, port) in ports {
            let stashed = realm.state().seam().stash_port(start.worker, &name, port);
            if let Err((reason, _closed)) = stashed {
                tracing::debug!(name, %reason, "a port of a worker that stops is closed");
            }
        }
    }

    /// Lets go of every value, so that the runtime can be freed.
    fn end(&self) {
        let tasks = self.queue.borrow_mut().take_all();
        drop(tasks);
        self.stash_ports();
        self.ports.forget_all();
        let navigables = self.navigables_mut().take_all();
        drop(navigables);
        let realms = std::mem::take(&mut *self.realms.borrow_mut());
        for realm in realms.values() {
            realm.state().end();
        }
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
