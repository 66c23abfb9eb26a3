//! *Try Activate* and *Activate*; `skipWaiting()`.

use sw_types::{ClientNotice, EventType, PromiseId, RegistrationId, WorkerId, WorkerState};

use crate::job::Waiting;
use crate::state::{Registration, Run};
use crate::{JobError, Lifecycle, Output, Registry, Report, Settled, StopReason, StoreError};

/// Where *Activate* waits. It belongs to a registration, not to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activate {
    /// Step 10: for the active worker to run, to be given its activate event.
    Starting,
    /// Step 10: for that event.
    Dispatching,
    /// Before step 11: for the state to be durable.
    Storing,
}

impl Registry {
    /// *Try Activate*. Called whenever one of its conditions may have come true.
    pub(crate) fn try_activate(&mut self, id: RegistrationId) {
        let Some(active) = self.may_activate(id) else {
            return;
        };
        // The active worker must have no pending events. Whether it has, its endpoint knows: the
        // answer comes as `Activity`, and word when it has become idle.
        match active {
            Some(active) if self.may_be_busy(active) => self.output(Output::ReadActivity(active)),
            _ => self.activate(id),
        }
    }

    /// An active worker was found idle, or not.
    pub(crate) fn try_activate_after_asking(&mut self, id: RegistrationId, idle: bool) {
        if idle && self.may_activate(id).is_some() {
            self.activate(id);
        } else if let Some(waiting) = self.registrations.get(&id).and_then(|it| it.waiting) {
            self.resolve_skip_waiting(waiting);
        }
    }

    /// *Try Activate* but for the pending events: the active worker that has to go, if the waiting
    /// one may take its place.
    pub(crate) fn may_activate(&self, id: RegistrationId) -> Option<Option<WorkerId>> {
        let registration = self.registrations.get(&id)?;
        // Step 1.
        let waiting = self.workers.get(&registration.waiting?)?;
        // Step 2: activating, or not restored yet. And what *Try Clear* takes, which comes before
        // this wherever both are called, is not activated while its workers say that they are idle.
        if registration.activation.is_some() || self.may_clear(id) {
            return None;
        }
        // Step 3.
        if registration.active.is_some() {
            let in_use = !registration.clients.is_empty();
            if in_use && !waiting.skip_waiting {
                return None;
            }
        }
        Some(registration.active)
    }

    /// *Activate*.
    fn activate(&mut self, id: RegistrationId) {
        // Steps 1 to 4.
        let Some(registration) = self.registrations.get(&id) else {
            return;
        };
        let (old, Some(worker)) = (registration.active, registration.waiting) else {
            return;
        };
        let (key, matching) = (
            registration.storage_key.clone(),
            registration.clients.clone(),
        );
        self.edit(id, |registration| {
            registration.active = Some(worker);
            registration.waiting = None;
            registration.activation = Some(Activate::Starting);
        });
        if let Some(old) = old {
            self.make_redundant(old);
        }
        // Step 5.
        self.set_worker_state(worker, WorkerState::Activating);
        // Steps 6 and 7: pending `ready` promises.
        self.resolve_ready_promises(&key, id);
        // Steps 8 and 9: clients that use this registration get the new worker.
        let controller = self.worker(worker);
        for client in matching {
            let notice = ClientNotice::ControllerChanged(controller.clone());
            self.output(Output::Notify(client, notice));
        }
        self.handle_activate_event(id, worker);
    }

    /// Activate, step 10: dispatch `activate`, unless *Should Skip Event* says otherwise.
    pub(crate) fn handle_activate_event(&mut self, id: RegistrationId, worker: WorkerId) {
        if !self.handles(worker, EventType::Activate) {
            self.store_activated(id);
        } else if self.runs(worker) {
            self.dispatch_activate(id, worker);
        } else {
            self.edit(id, |it| it.activation = Some(Activate::Starting));
            self.start_worker(worker);
        }
    }

    pub(crate) fn dispatch_activate(&mut self, id: RegistrationId, worker: WorkerId) {
        self.edit(id, |it| it.activation = Some(Activate::Dispatching));
        self.dispatch(worker, Lifecycle::Activate);
        self.resolve_skip_waiting(worker);
    }

    /// The activate event has settled, or the worker could not be run for it. Activation never
    /// fails.
    pub(crate) fn store_activated(&mut self, id: RegistrationId) {
        self.edit(id, |it| it.activation = Some(Activate::Storing));
        // If there was no event to dispatch.
        if let Some(worker) = self.registrations.get(&id).and_then(|it| it.active) {
            self.resolve_skip_waiting(worker);
        }
        let is_stored = self
            .registrations
            .get(&id)
            .is_some_and(|it| it.active.is_some() && it.stored_as_activated == it.active);
        if is_stored || self.store(id, Waiting::Activation(id)).is_none() {
            self.activated(id);
        }
    }

    /// The installing worker, if nothing can come between its installation and its activation: there
    /// is no active worker that would have to go, and no activate event to wait for. Then one write
    /// makes both durable.
    pub(crate) fn activates_at_once(&self, registration: &Registration) -> Option<WorkerId> {
        registration.installing.filter(|worker| {
            registration.active.is_none() && !self.handles(*worker, EventType::Activate)
        })
    }

    /// The answer to the write of *Storing*. If the store refused, the next start of the browser
    /// finds the worker waiting and activates it once more; this run goes on.
    pub(crate) fn activation_stored(&mut self, id: RegistrationId, result: Result<(), StoreError>) {
        let Some(registration) = self
            .registrations
            .get(&id)
            .filter(|registration| registration.activation == Some(Activate::Storing))
        else {
            return;
        };
        if let Err(error) = result {
            let scope = registration.scope.clone();
            self.report(Report::NotStored { scope, error });
        }
        self.activated(id);
    }

    /// Activate, step 11.
    fn activated(&mut self, id: RegistrationId) {
        self.edit(id, |it| it.activation = None);
        if let Some(worker) = self.registrations.get(&id).and_then(|it| it.active) {
            self.set_worker_state(worker, WorkerState::Activated);
            self.serve_wakes(id);
        }
        self.try_clear(id);
        self.try_activate(id);
    }

    /// `skipWaiting()`. Its promise settles when *Try Activate* has come to something: when the
    /// activate event is dispatched, or when it turns out that nothing can be activated now. (By the
    /// letter, not before that event has ended; but what it waits for may be this promise.)
    pub(crate) fn skip_waiting(&mut self, promise: PromiseId, worker: WorkerId) {
        let Some(calling) = self.workers.get_mut(&worker) else {
            let error = JobError::Abort(format!("{worker} is gone"));
            self.output(Output::Settle(promise, Err(error)));
            return;
        };
        // Step 2.1.
        calling.skip_waiting = true;
        calling.skipping.push(promise);
        let registration = calling.registration;
        // Step 2.2.
        self.try_activate(registration);
        // Step 2.3, unless it is under way.
        let asked = self.waits(worker) && self.may_activate(registration).is_some();
        let begun = self.registrations.get(&registration).is_some_and(|it| {
            it.active == Some(worker) && it.activation == Some(Activate::Starting)
        });
        if !asked && !begun {
            self.resolve_skip_waiting(worker);
        }
    }

    /// *Try Activate* of this worker's registration has come to something.
    pub(crate) fn resolve_skip_waiting(&mut self, worker: WorkerId) {
        self.settle_skip_waiting(worker, &Ok(Settled::Done));
    }

    /// The worker is redundant.
    pub(crate) fn abort_skip_waiting(&mut self, worker: WorkerId) {
        let error = JobError::Abort(format!("{worker} became redundant"));
        self.settle_skip_waiting(worker, &Err(error));
    }

    fn settle_skip_waiting(&mut self, worker: WorkerId, result: &Result<Settled, JobError>) {
        let found = self.workers.get_mut(&worker);
        for promise in found
            .map(|it| std::mem::take(&mut it.skipping))
            .into_iter()
            .flatten()
        {
            self.output(Output::Settle(promise, result.clone()));
        }
    }

    /// Whether a worker is the waiting one of its registration.
    fn waits(&self, worker: WorkerId) -> bool {
        self.registration_of(worker)
            .and_then(|id| self.registrations.get(&id))
            .is_some_and(|it| it.waiting == Some(worker))
    }

    /// Whether a worker runs.
    fn runs(&self, worker: WorkerId) -> bool {
        self.workers
            .get(&worker)
            .is_some_and(|worker| worker.run == Run::Running)
    }

    /// Whether a worker runs, is about to, or has not stopped yet.
    pub(crate) fn has_a_run(&self, worker: WorkerId) -> bool {
        self.workers
            .get(&worker)
            .is_some_and(|worker| worker.run != Run::Stopped)
    }

    /// Whether a worker may have an event: one that is to be stopped for idleness may have been sent
    /// one at that moment, and then runs on.
    pub(crate) fn may_be_busy(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| {
            matches!(worker.run, Run::Running | Run::Stopping(StopReason::Idle))
        })
    }

    /// *Should Skip Event*, turned round.
    pub(crate) fn handles(&self, worker: WorkerId, event: EventType) -> bool {
        self.workers
            .get(&worker)
            .is_some_and(|worker| worker.event_types.contains(event))
    }
}
