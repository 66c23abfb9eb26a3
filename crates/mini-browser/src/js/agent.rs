//! An agent: one OS thread that runs the tasks of one QuickJS runtime.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rquickjs::Runtime;
use service_worker::types::ClientId;
use tokio::sync::{Notify, mpsc};

use super::event_loop::{self, Deadline, Setup};
use super::loader::{PreludeLoader, PreludeResolver};
use super::quota::Quota;
use super::realm::RealmOptions;
use super::task::{Queued, RealmId, Task, TaskSource};
use super::window_clients::WindowState;

/// The stack of an agent's thread; QuickJS gets [`AgentOptions::stack_size`] of it.
const THREAD_STACK: usize = 8 << 20;

/// How many bytes of heap an agent fills before cycles are collected for the first time; from then
/// on QuickJS waits for half as much again as was left. Of what a realm makes as it starts all lives,
/// and at QuickJS's own first threshold, 256 KiB, it is searched again and again meanwhile: a fifth of
/// the time that a worker's start takes.
const FIRST_COLLECTION: usize = 4 << 20;

/// How an agent is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentOptions {
    /// The name of its thread: its script's or page's URL.
    pub name: String,
    /// What its heap may hold, in bytes; at the limit the agent dies.
    pub memory_limit: usize,
    /// How deep scripts may nest, in bytes of native stack; at the limit they get a `RangeError`.
    pub stack_size: usize,
    /// How much of other things it may have.
    pub limits: Limits,
}

impl AgentOptions {
    /// 64 MiB of heap and 1 MiB of stack.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            memory_limit: 64 << 20,
            stack_size: 1 << 20,
            limits: Limits::default(),
        }
    }
}

/// What an agent may have of each thing; one that wants more is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long one task and its microtasks may run.
    pub script_time: Option<Duration>,
    /// How many realms live at a time.
    pub realms: usize,
    /// How many timers run at a time.
    pub timers: usize,
    /// How many of its own tasks wait at a time.
    pub tasks: usize,
    /// How many message ports it has at a time, and how many broadcast channels.
    pub ports: usize,
    /// How many bytes its messages hold that nobody has read yet.
    pub messages: usize,
}

impl Default for Limits {
    /// Any time, 256 realms, 100,000 timers, 1,000,000 tasks, 500,000 ports, 512 MiB
    /// of messages.
    fn default() -> Self {
        Self {
            script_time: None,
            realms: 256,
            timers: 100_000,
            tasks: 1_000_000,
            ports: 500_000,
            messages: 512 << 20,
        }
    }
}

/// Why an agent ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Death {
    /// Nobody holds it any more.
    #[error("closed")]
    Closed,
    /// It was killed.
    #[error("{0}")]
    Killed(String),
    /// Its heap reached its limit.
    #[error("out of memory: the script holds more than {} MiB", .limit >> 20)]
    OutOfMemory {
        /// The limit, in bytes.
        limit: usize,
    },
    /// One of its tasks did not end in time.
    #[error("a script ran for more than {limit:?}")]
    OutOfTime {
        /// The limit.
        limit: Duration,
    },
    /// It wanted more of something than it may have.
    #[error("too many {what}: more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// It could not be set up.
    #[error("could not be started: {0}")]
    NotStarted(String),
    /// The program has a bug.
    #[error("the agent panicked: {0}")]
    Panicked(String),
}

/// A running agent. It ends when the last clone is dropped.
#[derive(Clone)]
pub struct Agent(Arc<Running>);

struct Running {
    tasks: mpsc::UnboundedSender<Queued<Task>>,
    kill: Arc<Kill>,
    /// What its windows were like when they last wrote to a service worker.
    windows: Mutex<BTreeMap<ClientId, WindowState>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill.kill(Death::Closed);
    }
}

impl Agent {
    /// Starts a thread, makes a realm on it and runs `begin` as its first task. `ended` is called
    /// on that thread, exactly once, when everything of the agent is gone.
    ///
    /// # Errors
    /// When the operating system refuses a thread; `ended` is not called then.
    pub fn start(
        options: AgentOptions,
        realm: RealmOptions,
        begin: Task,
        ended: impl FnOnce(Death) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (tasks, receiver) = mpsc::unbounded_channel();
        let kill = Arc::new(Kill::default());
        let killed = Arc::clone(&kill);
        let running = Arc::new(Running {
            tasks,
            kill,
            windows: Mutex::default(),
        });
        let agent = WeakAgent(Arc::downgrade(&running));
        std::thread::Builder::new()
            .name(options.name.replace('\0', ""))
            .stack_size(THREAD_STACK)
            .spawn(move || {
                let run =
                    AssertUnwindSafe(|| run(&options, realm, begin, &killed, receiver, agent));
                let death = catch_unwind(run)
                    .unwrap_or_else(|panic| Death::Panicked(panic_message(&*panic)));
                ended(death);
            })?;
        Ok(Self(running))
    }

    /// Queues a task in a realm; dropped if the agent or the realm has ended.
    pub fn post(
        &self,
        realm: RealmId,
        source: TaskSource,
        task: impl FnOnce(&super::Realm) + Send + 'static,
    ) {
        let task: Task = Box::new(task);
        if self.0.tasks.send(Queued::new(realm, source, task)).is_err() {
            tracing::debug!("a task came after its agent had ended");
        }
    }

    /// Whether it was killed, perhaps by itself, though its thread may not have ended.
    pub(super) fn is_killed(&self) -> bool {
        self.0.kill.is_set()
    }

    /// What a window of its was like when it last wrote to a service worker.
    pub(super) fn noted_window(&self, client: ClientId) -> Option<WindowState> {
        self.windows().get(&client).cloned()
    }

    /// Notes what a window is like, or that it is gone.
    pub(super) fn note_window(&self, client: ClientId, state: Option<WindowState>) {
        match state {
            Some(state) => self.windows().insert(client, state),
            None => self.windows().remove(&client),
        };
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<ClientId, WindowState>> {
        let windows = self.0.windows.lock();
        windows.unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the agent now, whatever its script is doing: neither `catch` nor `finally` run.
    /// Only the first death counts.
    pub fn kill(&self, reason: impl Into<String>) {
        self.0.kill.kill(Death::Killed(reason.into()));
    }
}

/// An agent that may have ended.
#[derive(Clone)]
pub(super) struct WeakAgent(std::sync::Weak<Running>);

impl WeakAgent {
    /// As [`Agent::post`], from any thread.
    pub(super) fn post(
        &self,
        realm: RealmId,
        source: TaskSource,
        task: impl FnOnce(&super::Realm) + Send + 'static,
    ) {
        match self.upgrade() {
            Some(agent) => agent.post(realm, source, task),
            None => tracing::debug!("a task came after its agent had ended"),
        }
    }

    pub(super) fn upgrade(&self) -> Option<Agent> {
        self.0.upgrade().map(Agent)
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("death", &self.0.kill.death())
            .finish_non_exhaustive()
    }
}

/// Ends an agent from any thread, or from within.
#[derive(Default)]
pub(super) struct Kill {
    flag: AtomicBool,
    death: Mutex<Option<Death>>,
    pub(super) wake: Notify,
}

impl Kill {
    /// The first death counts.
    pub(super) fn kill(&self, death: Death) {
        self.death
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(death);
        self.flag.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it is to end; cheap enough for QuickJS to ask in every loop.
    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    pub(super) fn death(&self) -> Option<Death> {
        self.death
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn run(
    options: &AgentOptions,
    realm: RealmOptions,
    begin: Task,
    kill: &Arc<Kill>,
    tasks: mpsc::UnboundedReceiver<Queued<Task>>,
    agent: WeakAgent,
) -> Death {
    let tokio = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(tokio) => tokio,
        Err(error) => return Death::NotStarted(error.to_string()),
    };
    let quota = Quota::new(options.memory_limit, Arc::clone(kill));
    let runtime = match Runtime::new_with_alloc(quota) {
        Ok(runtime) => runtime,
        Err(error) => return Death::NotStarted(error.to_string()),
    };
    runtime.set_max_stack_size(options.stack_size);
    runtime.set_gc_threshold(FIRST_COLLECTION.min(options.memory_limit / 4));
    runtime.set_loader(PreludeResolver, PreludeLoader);
    let deadline = Deadline::new(options.limits.script_time, Arc::clone(kill));
    let interrupt = deadline.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || interrupt.is_over())));
    let setup = Setup {
        limits: options.limits,
        deadline,
        agent,
        tasks,
    };
    let death = event_loop::run(&runtime, setup, realm, begin, &tokio);
    runtime.set_interrupt_handler(None);
    death
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}
