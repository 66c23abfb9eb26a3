//! *Try Clear*, *Clear*, *Try Activate*, *Activate* and `skipWaiting()`.

use sw_registry::Lifecycle;
use sw_types::{ClientId, RegistrationId, WorkerId, WorkerState};

use super::disk::Then;
use super::{Model, Worker};

impl Model {
    /// Each running worker of a registration has said whether it is idle.
    pub(super) fn answer_idle(&mut self, id: RegistrationId) {
        if self.may_clear(id) && !self.any(id, |it| it.busy) {
            self.clear(id);
        }
        if let Some(waiting) = self.may_activate(id) {
            let active = self.registrations[&id].active;
            if !active.is_some_and(|active| self.workers[&active].busy) {
                self.activate(id, waiting);
            }
        }
    }

    /// *Try Clear*, and *Try Activate*.
    pub(super) fn attempt(&mut self, id: RegistrationId) {
        self.try_clear(id);
        self.try_activate(id);
    }

    pub(super) fn try_activate(&mut self, id: RegistrationId) {
        if let Some(waiting) = self.may_activate(id) {
            let active = self.registrations[&id].active;
            if active.is_some_and(|active| self.workers[&active].running) {
                self.to_ask.push_back(id);
            } else {
                self.activate(id, waiting);
            }
        }
    }

    pub(super) fn try_clear(&mut self, id: RegistrationId) {
        if self.may_clear(id) {
            if self.any(id, |it| it.running) {
                self.to_ask.push_back(id);
            } else {
                self.clear(id);
            }
        }
    }

    fn may_clear(&self, id: RegistrationId) -> bool {
        self.registrations.get(&id).is_some_and(|it| {
            it.unregistered && !it.activating && it.wakes.is_empty() && !self.is_used(id)
        })
    }

    fn may_activate(&self, id: RegistrationId) -> Option<WorkerId> {
        // *Try Clear* comes first, and finds each worker idle, or the active one busy.
        if self.may_clear(id) {
            return None;
        }
        let it = self.registrations.get(&id).filter(|it| !it.activating)?;
        let waiting = it.waiting?;
        let in_the_way = it.active.is_some() && self.is_used(id);
        (!in_the_way || self.workers[&waiting].skip_waiting).then_some(waiting)
    }

    fn any(&self, id: RegistrationId, is: impl Fn(&Worker) -> bool) -> bool {
        let it = &self.registrations[&id];
        let workers = [it.installing, it.waiting, it.active];
        workers
            .into_iter()
            .flatten()
            .any(|id| is(&self.workers[&id]))
    }

    fn activate(&mut self, id: RegistrationId, worker: WorkerId) {
        let it = self.registration(id);
        it.waiting = None;
        it.activating = true;
        if let Some(old) = it.active.replace(worker) {
            self.redundant(id, old);
        }
        self.set_state(id, worker, WorkerState::Activating);
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in &clients {
            let found = &self.clients[client];
            if self.matching(found.key, found.path) == Some(id) {
                let found = self.clients.get_mut(client).expect("it was listed");
                for promise in std::mem::take(&mut found.ready) {
                    self.settle(promise, &format!("registration {id}"));
                }
            }
        }
        for client in clients {
            if self.clients[&client].uses == Some(id) {
                self.tell(client, format!("controllerchange {worker}"));
            }
        }
        if self.workers[&worker].running {
            self.dispatch_activate(worker);
        } else {
            self.workers
                .get_mut(&worker)
                .expect("it was waiting")
                .starting = true;
        }
    }

    /// Whether a worker is to start, to be given its activate event.
    pub(super) fn waits_for_activate_event(&self, worker: WorkerId) -> bool {
        let it = &self.workers[&worker];
        it.state == WorkerState::Activating
            && it.starting
            && !self.registrations[&it.registration].storing_activation
    }

    pub(super) fn dispatch_activate(&mut self, worker: WorkerId) {
        let it = self.workers.get_mut(&worker).expect("it was waiting");
        it.event = Some(Lifecycle::Activate);
        self.skipped(worker, "Done");
    }

    /// *Activate*, step 10 has come to an end. An activation never fails.
    pub(super) fn activate_event_over(&mut self, id: RegistrationId) {
        let it = self.registration(id);
        it.storing_activation = true;
        let worker = it.active.expect("it was activating");
        self.skipped(worker, "Done");
        self.write(id, Then::Activate(id));
    }

    pub(super) fn activated(&mut self, id: RegistrationId) {
        let it = self.registration(id);
        (it.activating, it.storing_activation) = (false, false);
        let worker = it.active.expect("it was activating");
        self.set_state(id, worker, WorkerState::Activated);
        self.serve_wakes(id);
        self.attempt(id);
    }

    pub(super) fn serve_wakes(&mut self, id: RegistrationId) {
        let Some(it) = self.registrations.get_mut(&id) else {
            return;
        };
        let Some(active) = it.active.filter(|_| !it.wakes.is_empty()) else {
            return;
        };
        let worker = self.workers.get_mut(&active).expect("it is active");
        if worker.state != WorkerState::Activated {
            return;
        }
        if worker.running {
            for promise in std::mem::take(&mut it.wakes) {
                self.settle(promise, &format!("Running({active:?})"));
            }
        } else {
            worker.starting = true;
        }
    }

    pub(super) fn clear(&mut self, id: RegistrationId) {
        let it = &self.registrations[&id];
        let workers = [it.installing, it.waiting, it.active];
        for worker in workers.into_iter().flatten() {
            self.redundant(id, worker);
        }
        self.registrations.remove(&id);
    }

    pub(super) fn redundant(&mut self, id: RegistrationId, worker: WorkerId) {
        let it = self.workers.get_mut(&worker).expect("it has a place");
        (it.running, it.starting, it.busy, it.event) = (false, false, false, None);
        let awaited_by = std::mem::take(&mut it.awaited_by);
        self.set_state(id, worker, WorkerState::Redundant);
        self.skipped(worker, "AbortError");
        for promise in awaited_by {
            self.settle(promise, "InvalidStateError");
        }
    }

    /// `skipWaiting()` has come to something.
    pub(super) fn skipped(&mut self, worker: WorkerId, value: &str) {
        let it = self.workers.get_mut(&worker).expect("it called");
        for promise in std::mem::take(&mut it.skipping) {
            self.settle(promise, value);
        }
    }
}
