//! Runs closures after a while, on one thread that exists only while there are some.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Closure = Box<dyn FnOnce() + Send>;

/// Closures to run, in the order in which they were given: all with the same delay.
#[derive(Default)]
pub(super) struct Reaper(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    due: VecDeque<(Instant, Closure)>,
    running: bool,
}

impl Reaper {
    /// Runs `closure` after `delay`; never, if the system refuses a thread (which is traced).
    pub(super) fn after(&self, delay: Duration, closure: impl FnOnce() + Send + 'static) {
        let mut queue = lock(&self.0);
        queue
            .due
            .push_back((Instant::now() + delay, Box::new(closure)));
        if queue.running {
            return;
        }
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("reaper".to_owned());
        match thread.spawn(move || run(&shared)) {
            Ok(_) => queue.running = true,
            Err(error) => tracing::error!(%error, "no thread to watch over workers that end"),
        }
    }
}

fn run(queue: &Mutex<Queue>) {
    loop {
        let mut locked = lock(queue);
        let Some((due, closure)) = locked.due.pop_front() else {
            locked.running = false;
            return;
        };
        drop(locked);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        closure();
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
