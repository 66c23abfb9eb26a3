//! *Try Clear*, *Try Activate* and *Activate*, and what clients are told.

use sw_registry::Lifecycle;
use sw_types::{ClientId, PromiseId, RegistrationId, WorkerId, WorkerState};

use super::{Model, Worker};

impl Model {
    /// Idle workers say that they are, and the jobs that may begin are run. Where there is a row to
    /// be removed, an unregister job comes after those answers; in a private session, before.
    pub(super) fn settle_down(&mut self) {
        loop {
            let private = self.to_run.front().is_some_and(|key| key.0 == 1);
            let asked = (!private).then(|| self.to_ask.pop_front()).flatten();
            if let Some(id) = asked {
                self.answer_idle(id);
            } else if let Some(key) = self.to_run.pop_front() {
                self.run_job(key);
            } else if self.to_ask.is_empty() {
                return;
            }
        }
    }

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
        if self.may_clear(id) {
            if self.any(id, |it| it.running) {
                self.to_ask.push_back(id);
            } else {
                self.clear(id);
            }
        }
        self.try_activate(id);
    }

    /// *Try Activate* alone.
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

    pub(super) fn may_clear(&self, id: RegistrationId) -> bool {
        self.registrations.get(&id).is_some_and(|it| {
            it.unregistered && !it.activating && it.wakes.is_empty() && !self.is_used(id)
        })
    }

    pub(super) fn may_activate(&self, id: RegistrationId) -> Option<WorkerId> {
        // *Try Clear* comes first, and finds each worker idle, or the active one busy.
        if self.may_clear(id) {
            return None;
        }
        let it = self.registrations.get(&id).filter(|it| !it.activating)?;
        let waiting = it.waiting?;
        let in_the_way = it.active.is_some() && self.is_used(id);
        (!in_the_way || self.workers[&waiting].skip_waiting).then_some(waiting)
    }

    pub(super) fn any(&self, id: RegistrationId, is: impl Fn(&Worker) -> bool) -> bool {
        let it = &self.registrations[&id];
        let workers = [it.installing, it.waiting, it.active];
        workers
            .into_iter()
            .flatten()
            .any(|id| is(&self.workers[&id]))
    }

    pub(super) fn activate(&mut self, id: RegistrationId, worker: WorkerId) {
        let it = self.registrations.get_mut(&id).expect("it was tried");
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
        let it = self.workers.get_mut(&worker).expect("it was waiting");
        if it.running {
            it.event = Some(Lifecycle::Activate);
            self.skipped(worker, "Done");
        } else {
            it.starting = true;
        }
    }

    pub(super) fn activated(&mut self, id: RegistrationId) {
        let it = self.registrations.get_mut(&id).expect("it was activating");
        it.activating = false;
        let worker = it.active.expect("it was activating");
        self.skipped(worker, "Done");
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
        self.set_state(id, worker, WorkerState::Redundant);
        self.skipped(worker, "AbortError");
    }

    /// `skipWaiting()` has come to something.
    pub(super) fn skipped(&mut self, worker: WorkerId, value: &str) {
        let it = self.workers.get_mut(&worker).expect("it called");
        for promise in std::mem::take(&mut it.skipping) {
            self.settle(promise, value);
        }
    }

    // Clients.

    pub(super) fn use_registration(&mut self, client: ClientId, id: RegistrationId) {
        let found = self.clients.get_mut(&client).expect("it was found");
        if found.uses != Some(id) {
            let former = found.uses.replace(id);
            // *Handle Service Worker Client Unload*.
            if let Some(former) = former {
                self.attempt(former);
            }
        }
    }

    pub(super) fn set_state(&mut self, id: RegistrationId, worker: WorkerId, state: WorkerState) {
        self.workers.get_mut(&worker).expect("it has a place").state = state;
        self.tell_all(id, &format!("{worker} {state}"));
    }

    pub(super) fn tell_all(&mut self, id: RegistrationId, line: &str) {
        let partition = self.registrations[&id].key.0;
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            if self.clients[&client].key == partition {
                self.tell(client, line.to_owned());
            }
        }
    }

    pub(super) fn tell(&mut self, client: ClientId, line: String) {
        self.told.entry(client).or_default().push(line);
    }

    pub(super) fn settle(&mut self, promise: PromiseId, value: &str) {
        let before = self.settled.insert(promise, value.to_owned());
        assert_eq!(before, None, "the model settles {promise} twice");
    }
}
