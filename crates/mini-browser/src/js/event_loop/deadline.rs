//! How long a task may run.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::js::agent::{Death, Kill};

/// Until when a task may run.
#[derive(Clone)]
pub(in crate::js) struct Deadline {
    limit: Option<Duration>,
    until: Rc<Cell<Option<Instant>>>,
    pub(super) kill: Arc<Kill>,
}

impl Deadline {
    pub(in crate::js) fn new(limit: Option<Duration>, kill: Arc<Kill>) -> Self {
        Self {
            limit,
            until: Rc::default(),
            kill,
        }
    }

    /// A task begins.
    pub(super) fn arm(&self) {
        if let Some(limit) = self.limit {
            self.until.set(Instant::now().checked_add(limit));
        }
    }

    /// No task runs.
    pub(super) fn disarm(&self) {
        self.until.set(None);
    }

    /// Whether the agent is to end; ends it if the task has run for too long.
    pub(in crate::js) fn is_over(&self) -> bool {
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
