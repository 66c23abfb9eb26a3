//! Dedicated workers: agents of their own that a window or worker starts. (*HTML*, "Workers".)

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use service_worker::message_port::{MessageChannel, MessagePort};

use super::agent::{Agent, WeakAgent};
use super::blocking::FetchedScript;
use super::console::ConsoleLevel;
use super::error::Exception;
use super::ports;
use super::realm::{Realm, RealmState};
use super::task::{RealmId, TaskSource};
use super::worker_start::{Loaded, NewWorker, Starting, run_script};

/// How many workers a realm may have at a time.
const WORKERS: usize = 64;

/// The workers of a realm: they end with it.
#[derive(Default)]
pub(super) struct Workers {
    running: RefCell<BTreeMap<u32, Handle>>,
    last: Cell<u32>,
}

/// What the realm that started a worker holds of it. Dropped, the worker is terminated.
struct Handle(Arc<Mutex<State>>);

enum State {
    Starting,
    Running(Agent),
    Terminated,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Terminated);
        if let State::Running(agent) = state {
            agent.kill("terminated");
        }
    }
}

impl Workers {
    /// *Run a worker.* Gives its number, and that of the outside port; `None` if there are too many.
    pub(super) fn start(&self, realm: &RealmState, new: NewWorker) -> Option<(u32, u32)> {
        if self.running.borrow().len() >= WORKERS {
            return None;
        }
        self.last.set(self.last.get() + 1);
        let id = self.last.get();
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let outside = ports::adopt(realm, port1);
        let state = Arc::new(Mutex::new(State::Starting));
        let parent = ParentLink {
            agent: realm.event_loop().remote().clone(),
            realm: realm.id(),
            worker: id,
            inside: Mutex::new(Some(port2)),
        };
        let (starting, started) = (Starting::new(realm, new, false), Arc::clone(&state));
        let parent = Arc::new(parent);
        let thread = std::thread::Builder::new().name("worker start".to_owned());
        let run = move || match starting.load() {
            Ok(loaded) => start(loaded, &parent, &started),
            Err(error) => {
                parent.failed(error);
                parent.ended();
            }
        };
        if let Err(error) = thread.spawn(run) {
            realm.log(
                ConsoleLevel::Error,
                &format!("no thread for a worker: {error}"),
            );
            return None;
        }
        self.running.borrow_mut().insert(id, Handle(state));
        Some((id, outside))
    }

    /// *Terminate a worker.*
    pub(super) fn terminate(&self, id: u32) {
        let handle = self.running.borrow_mut().remove(&id);
        drop(handle);
    }
}

/// The way from a worker to the realm that started it: a service of the worker's realm.
pub(super) struct ParentLink {
    agent: WeakAgent,
    realm: RealmId,
    worker: u32,
    inside: Mutex<Option<MessagePort>>,
}

impl ParentLink {
    /// An exception that the worker did not handle: an event at its object.
    pub(super) fn error(&self, exception: Exception) {
        let worker = self.worker;
        let Exception {
            text,
            file,
            line,
            column,
        } = exception;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                let args = (worker, format!("Uncaught {text}"), file, line, column);
                realm.with(|ctx| realm.state().call(ctx, "workerError", args).is_some());
            });
    }

    /// The worker has no script that could run.
    fn failed(&self, why: String) {
        let worker = self.worker;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                let text = format!("a worker did not start: {why}");
                realm.state().log(ConsoleLevel::Error, &text);
                realm.with(|ctx| realm.state().call(ctx, "workerFailed", (worker,)).is_some());
            });
    }

    /// The worker is gone.
    fn ended(&self) {
        let worker = self.worker;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                realm.state().local::<Workers>().terminate(worker);
                realm.with(|ctx| realm.state().call(ctx, "workerEnded", (worker,)).is_some());
            });
    }
}

fn start(loaded: Loaded, parent: &Arc<ParentLink>, state: &Mutex<State>) {
    // Held while the agent starts, so that a termination finds it.
    let mut state = lock(state);
    if matches!(*state, State::Terminated) {
        return;
    }
    let link = Arc::clone(parent);
    match loaded.start(Arc::clone(parent), begin, move || link.ended()) {
        Ok(agent) => *state = State::Running(agent),
        Err(error) => {
            drop(state);
            parent.failed(error);
            parent.ended();
        }
    }
}

/// *Run a worker*, from the point where its global is there.
fn begin(realm: &Realm, script: &FetchedScript) {
    let state = Rc::clone(realm.state());
    let Some(parent) = state.service::<ParentLink>() else {
        return;
    };
    let Some(inside) = lock(&parent.inside).take() else {
        return;
    };
    let inside = ports::adopt(&state, inside);
    realm.with(|ctx| {
        state.call(ctx, "insidePort", (inside,));
        if let Err(why) = run_script(ctx, &state, script) {
            state.event_loop().close_after_task();
            parent.failed(why);
        }
    });
    realm.checkpoint();
    realm.with(|ctx| {
        // Step 24: enable the port message queue of the worker's implicit port.
        state.call(ctx, "evaluated", ());
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
