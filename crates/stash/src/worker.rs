//! What the stash knows of service workers: their states, whether they run, what they listen to.

use std::time::Instant;

use sw_types::{EventType, EventTypes, RegistrationId, WorkerId, WorkerState};

use crate::stash::Due;
use crate::{EntryId, Item, Stash};

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) registration: RegistrationId,
    pub(crate) state: WorkerState,
    /// Its set of event types to handle; `None` while nobody has said: its script is being evaluated
    /// for the first time that this is heard of.
    pub(crate) handles: Option<EventTypes>,
    pub(crate) run: Run,
    /// It has just run and had no `message` listener, whatever its first evaluation had. It is not
    /// woken again for messages that it let wait.
    pub(crate) deaf: bool,
    /// Starts in a row that led to nothing.
    pub(crate) failures: u32,
    /// It is left alone until then.
    pub(crate) retry_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Stopped,
    /// [`Output::Wake`](crate::Output::Wake) is not answered yet.
    Waking,
    Running {
        listeners: EventTypes,
        /// Whether it has dispatched anything of ours.
        consumed: bool,
    },
}

/// What to do about an event that a worker should get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Deliver it.
    Listens,
    /// Start the worker, which is stopped and would listen.
    Wake,
    /// Wait until something changes: it is being started, or is left alone for a while.
    Wait,
    /// Nobody listens.
    NobodyListens,
}

impl Worker {
    pub(crate) const fn new(registration: RegistrationId, state: WorkerState) -> Self {
        Self {
            registration,
            state,
            handles: None,
            run: Run::Stopped,
            deaf: false,
            failures: 0,
            retry_at: None,
        }
    }

    /// "Listener check: a running worker by its listeners now, a stopped one by the snapshot."
    pub(crate) const fn readiness(&self, event: EventType) -> Readiness {
        let Some(handles) = self.handles else {
            return Readiness::Wait;
        };
        match self.run {
            Run::Running { listeners, .. } if listeners.contains(event) => Readiness::Listens,
            Run::Running { .. } => Readiness::NobodyListens,
            Run::Waking => Readiness::Wait,
            Run::Stopped if !handles.contains(event) => Readiness::NobodyListens,
            Run::Stopped if self.retry_at.is_some() => Readiness::Wait,
            Run::Stopped if self.deaf && matches!(event, EventType::Message) => Readiness::Wait,
            Run::Stopped => Readiness::Wake,
        }
    }
}

impl<P, M> Stash<P, M> {
    pub(crate) fn worker(
        &mut self,
        registration: RegistrationId,
        worker: WorkerId,
        state: WorkerState,
        handles: Option<EventTypes>,
    ) {
        if state == WorkerState::Redundant {
            return self.redundant(worker);
        }
        let record = self.workers.entry(worker);
        let record = record.or_insert_with(|| Worker::new(registration, state));
        if state < record.state || registration != record.registration {
            return tracing::warn!(%worker, %state, "behind what is known of this worker");
        }
        record.state = state;
        record.handles = handles.or(record.handles);
        let collection = self.collections.entry(registration).or_default();
        collection.workers.insert(worker);
        if state >= WorkerState::Activating {
            collection.active = Some(worker);
        }
        self.deliver_all(registration);
    }

    /// "W becomes redundant without ever activating → its entries close." The entries of a worker
    /// that did activate stay for its successor.
    fn redundant(&mut self, worker: WorkerId) {
        let Some(record) = self.workers.get_mut(&worker) else {
            return;
        };
        let registration = record.registration;
        let activated = record.state >= WorkerState::Activating;
        record.state = WorkerState::Redundant;
        if let Some(collection) = self.collections.get_mut(&registration) {
            collection.active = collection.active.filter(|active| *active != worker);
        }
        if !activated {
            let its = self
                .entries(registration)
                .filter(|(_, entry)| entry.stashed_by() == worker);
            for id in its.map(|(id, _)| id).collect::<Vec<_>>() {
                self.close(id);
            }
        }
        self.forget_if_over(worker);
    }

    /// A redundant worker is remembered until it has stopped and said what it did not dispatch.
    fn forget_if_over(&mut self, worker: WorkerId) {
        let over = self.workers.get(&worker).is_some_and(|record| {
            record.state == WorkerState::Redundant && !matches!(record.run, Run::Running { .. })
        });
        if over {
            self.forget(worker);
        }
    }

    pub(crate) fn forget(&mut self, worker: WorkerId) {
        let Some(record) = self.workers.remove(&worker) else {
            return;
        };
        if let Some(due) = record.retry_at {
            self.timers.remove(&(due, Due::Retry(worker)));
        }
        if let Some(collection) = self.collections.get_mut(&record.registration) {
            collection.workers.remove(&worker);
            if collection.workers.is_empty()
                && collection.order.is_empty()
                && collection.carried.is_empty()
            {
                self.forget_collection(record.registration);
            }
        }
    }

    pub(crate) fn running(&mut self, worker: WorkerId, listeners: EventTypes) {
        let Some(record) = self.workers.get_mut(&worker) else {
            return tracing::debug!(%worker, "an unknown worker runs");
        };
        let consumed = matches!(record.run, Run::Running { consumed: true, .. });
        record.run = Run::Running {
            listeners,
            consumed,
        };
        record.deaf = false;
        if let Some(due) = record.retry_at.take() {
            self.timers.remove(&(due, Due::Retry(worker)));
        }
        let registration = record.registration;
        self.deliver_all(registration);
    }

    pub(crate) fn start_failed(&mut self, now: Instant, worker: WorkerId) {
        match self.workers.get_mut(&worker) {
            Some(record) if record.run == Run::Waking => {
                record.run = Run::Stopped;
                let registration = record.registration;
                self.leave_alone(now, worker);
                // It would not have heard what has come meanwhile: a `close`, perhaps.
                self.deliver_all(registration);
            }
            _ => tracing::debug!(%worker, "late start failure"),
        }
    }

    /// "Treat as functional: survives termination by requeue."
    pub(crate) fn stopped(
        &mut self,
        now: Instant,
        worker: WorkerId,
        undispatched: Vec<(EntryId, Item<M>)>,
    ) {
        let Some(record) = self.workers.get_mut(&worker) else {
            return tracing::debug!(%worker, "an unknown worker has stopped");
        };
        let registration = record.registration;
        let run = std::mem::replace(&mut record.run, Run::Stopped);
        let mut came_back = false;
        for (id, item) in undispatched {
            let entry = self.entries.get_mut(&id);
            let entry = entry.filter(|entry| entry.is_in_flight_to(worker));
            if entry.is_some_and(|entry| entry.requeue(item)) {
                came_back = true;
            } else {
                tracing::warn!(%id, %worker, "nothing like it was under way there");
            }
        }
        // What did not come back has been dispatched.
        let gone = self
            .entries(registration)
            .filter(|(_, entry)| entry.is_in_flight_to(worker));
        for id in gone.map(|(id, _)| id).collect::<Vec<_>>() {
            self.consume(id);
        }
        match run {
            Run::Running {
                listeners,
                consumed,
            } => {
                if let Some(record) = self.workers.get_mut(&worker) {
                    record.deaf = !listeners.contains(EventType::Message);
                }
                // Woken at once, it would die at once: a worker that falls over its first message.
                if came_back && !consumed {
                    self.leave_alone(now, worker);
                }
            }
            Run::Waking => self.leave_alone(now, worker),
            Run::Stopped => {}
        }
        self.forget_if_over(worker);
        self.deliver_all(registration);
    }

    /// After a start that led to nothing, the worker is not woken again for a while.
    fn leave_alone(&mut self, now: Instant, worker: WorkerId) {
        let Some(record) = self.workers.get_mut(&worker) else {
            return;
        };
        record.failures = record.failures.saturating_add(1);
        let pause = self.limits.retry_after(record.failures);
        let due = now.checked_add(pause).unwrap_or(now);
        if let Some(old) = record.retry_at.replace(due) {
            self.timers.remove(&(old, Due::Retry(worker)));
        }
        self.timers.insert((due, Due::Retry(worker)));
    }
}
