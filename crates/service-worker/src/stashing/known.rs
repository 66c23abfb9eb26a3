//! The stash behind its lock, and the workers as far as stash and connects must know them.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use stash::{EntryId, Input, NewEntry, Stash};
use sw_types::{EventTypes, RegistrationId, WorkerId, WorkerState};

use super::{Bound, Parked, StashError};
use crate::Limits;
use crate::functional::KnownWorker;

/// The stash, and the workers as far as stash and connects must know them.
pub(crate) struct Stashing {
    pub(crate) stash: Stash<Bound, Parked>,
    workers: BTreeMap<WorkerId, KnownWorker>,
}

impl Stashing {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            stash: Stash::new(limits.stash()),
            workers: BTreeMap::new(),
        }
    }

    /// What is known of a worker.
    pub(crate) fn worker(&self, worker: WorkerId) -> Option<KnownWorker> {
        self.workers.get(&worker).copied()
    }

    /// A worker has this state now. `stored`: its set of event types to handle, if it is known from
    /// elsewhere than its first evaluation here.
    pub(crate) fn know(
        &mut self,
        registration: RegistrationId,
        worker: WorkerId,
        state: WorkerState,
        stored: Option<EventTypes>,
    ) -> &mut KnownWorker {
        let known = self.workers.entry(worker).or_insert(KnownWorker {
            registration,
            state,
            handles: None,
            runs: false,
            listeners: None,
        });
        known.state = known.state.max(state);
        known.handles = known.handles.or(stored);
        known
    }

    /// Tells the stash of a worker's state, and forgets one that is redundant and stopped.
    pub(crate) fn tell_state(&mut self, now: Instant, worker: WorkerId) {
        let Some(known) = self.worker(worker) else {
            return;
        };
        let input = Input::Worker {
            registration: known.registration,
            worker,
            state: known.state,
            handles: known.handles.unwrap_or_default(),
        };
        self.stash.handle_input(now, input);
        self.forget_if_over(worker);
    }

    /// A worker runs, with these listeners.
    pub(crate) fn listens(&mut self, now: Instant, worker: WorkerId, listeners: EventTypes) {
        let Some(known) = self.workers.get_mut(&worker).filter(|known| known.runs) else {
            return tracing::debug!(%worker, "listeners of a worker that does not run");
        };
        // Run Service Worker, step 14: only the first evaluation counts.
        known.handles.get_or_insert(listeners);
        known.listeners = Some(listeners);
        self.tell_state(now, worker);
        let running = Input::Running { worker, listeners };
        self.stash.handle_input(now, running);
    }

    /// A worker has no global any more; whether the stash was told that it has one.
    pub(crate) fn run_ends(&mut self, worker: WorkerId) -> bool {
        let Some(known) = self.workers.get_mut(&worker) else {
            return false;
        };
        known.runs = false;
        let listened = known.listeners.take().is_some();
        self.forget_if_over(worker);
        listened
    }

    fn forget_if_over(&mut self, worker: WorkerId) {
        let known = self.workers.get(&worker);
        if known.is_some_and(|known| known.state == WorkerState::Redundant && !known.runs) {
            self.workers.remove(&worker);
        }
    }

    pub(super) fn add(
        &mut self,
        worker: WorkerId,
        new: impl FnOnce(&KnownWorker) -> NewEntry<Bound>,
    ) -> Result<EntryId, StashError> {
        let known = self.workers.get(&worker).ok_or(StashError::InvalidState)?;
        let added = self.stash.add(new(known));
        added.map_err(|refused| refused.reason.into())
    }

    /// A worker's view of an entry.
    pub(super) fn view(&self, worker: WorkerId, entry: EntryId) -> Option<Bound> {
        let registration = self.workers.get(&worker)?.registration;
        let entry = self.stash.entry(entry)?;
        (entry.registration() == registration).then(|| Arc::clone(entry.port()))
    }

    /// Forgets everything; to be dropped when the lock is free.
    pub(crate) fn clear(&mut self) -> Stash<Bound, Parked> {
        self.workers.clear();
        mem::replace(&mut self.stash, Stash::new(stash::Limits::default()))
    }
}
