//! An agent: one OS thread that runs the tasks of one QuickJS runtime.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_channel::mpsc as local;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rquickjs::Runtime;
use tokio::sync::{Notify, mpsc};

use super::loader::{PreludeLoader, PreludeResolver};
use super::quota::Quota;
use super::realm::{LocalTask, Realm, RealmOptions};

/// The stack of an agent's thread; QuickJS gets [`AgentOptions::stack_size`] of it.
const THREAD_STACK: usize = 8 << 20;

/// Something for an agent to do. The microtasks that it queues run right after it.
pub type Task = Box<dyn FnOnce(&Realm) + Send>;

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
}

impl AgentOptions {
    /// 64 MiB of heap and 1 MiB of stack.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            memory_limit: 64 << 20,
            stack_size: 1 << 20,
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
    tasks: mpsc::UnboundedSender<Task>,
    kill: Arc<Kill>,
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
        std::thread::Builder::new()
            .name(options.name.replace('\0', ""))
            .stack_size(THREAD_STACK)
            .spawn(move || {
                let run = AssertUnwindSafe(|| run(&options, realm, begin, &killed, receiver));
                let death = catch_unwind(run)
                    .unwrap_or_else(|panic| Death::Panicked(panic_message(&*panic)));
                ended(death);
            })?;
        Ok(Self(Arc::new(Running { tasks, kill })))
    }

    /// Queues a task; dropped if the agent has ended.
    pub fn post(&self, task: impl FnOnce(&Realm) + Send + 'static) {
        if self.0.tasks.send(Box::new(task)).is_err() {
            tracing::debug!("a task came after its agent had ended");
        }
    }

    /// Ends the agent now, whatever its script is doing: neither `catch` nor `finally` run.
    /// Only the first death counts.
    pub fn kill(&self, reason: impl Into<String>) {
        self.0.kill.kill(Death::Killed(reason.into()));
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
    wake: Notify,
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

    fn death(&self) -> Option<Death> {
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
    tasks: mpsc::UnboundedReceiver<Task>,
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
    runtime.set_loader(PreludeResolver, PreludeLoader);
    let interrupt = Arc::clone(kill);
    runtime.set_interrupt_handler(Some(Box::new(move || interrupt.is_set())));

    let (spawner, spawned) = local::unbounded();
    let realm = match Realm::new(&runtime, realm, Arc::clone(kill), spawner) {
        Ok(realm) => realm,
        Err(error) => return kill.death().unwrap_or(Death::NotStarted(error)),
    };
    let death = tokio::task::LocalSet::new()
        .block_on(&tokio, event_loop(&realm, begin, kill, tasks, spawned));
    drop(realm);
    runtime.set_interrupt_handler(None);
    death
}

async fn event_loop(
    realm: &Realm,
    begin: Task,
    kill: &Kill,
    mut tasks: mpsc::UnboundedReceiver<Task>,
    mut spawned: local::UnboundedReceiver<LocalTask>,
) -> Death {
    let mut running = FuturesUnordered::new();
    begin(realm);
    loop {
        realm.checkpoint();
        if let Some(death) = kill.death() {
            return death;
        }
        let deadline = realm.state().timers().deadline();
        tokio::select! {
            biased;
            () = kill.wake.notified() => {}
            Some(task) = spawned.next() => running.push(task),
            () = until(deadline) => realm.fire_timer(),
            // Before tasks: what was answered before a task was posted is seen before it.
            Some(completion) = running.next(), if !running.is_empty() => {
                realm.with(|ctx| completion(ctx));
            }
            task = tasks.recv() => match task {
                Some(task) => task(realm),
                None => return Death::Closed,
            },
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}
