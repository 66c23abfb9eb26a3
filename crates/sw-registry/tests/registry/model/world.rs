//! What the world does: workers start, fail to, end their events and die; clients come and go.

use std::time::Duration;

use sw_registry::Lifecycle;
use sw_types::{ClientId, PromiseId, RegistrationId, WorkerId, WorkerState};

use super::scripts::controls;
use super::{Client, Model};

impl Model {
    pub(crate) fn started(&mut self, id: WorkerId) {
        let waits = self.waits_for_activate_event(id);
        let it = self.workers.get_mut(&id).expect("it was starting");
        (it.starting, it.running) = (false, true);
        (it.failures, it.bypassed_until) = (0, None);
        let (registration, state) = (it.registration, it.state);
        if state == WorkerState::Parsed {
            self.install(registration, id);
        } else if waits {
            self.dispatch_activate(id);
        } else {
            self.serve_wakes(registration);
        }
        self.awaited(id, &format!("Running({id:?})"));
        self.settle_down();
    }

    pub(crate) fn not_started(&mut self, id: WorkerId) {
        let now = self.now.instant;
        let waits = self.waits_for_activate_event(id);
        self.awaited(id, "the worker did not start");
        let it = self.workers.get_mut(&id).expect("it was starting");
        it.starting = false;
        let registration = it.registration;
        if it.state == WorkerState::Parsed {
            // Update, step 8.
            it.state = WorkerState::Redundant;
            let key = self.registrations[&registration].key;
            self.fail_update(key, "TypeError");
            return self.settle_down();
        }
        it.failures += 1;
        if it.failures >= 3 {
            let seconds = (10 << (it.failures - 3).min(8)).min(300);
            it.bypassed_until = Some(now + Duration::from_secs(seconds));
            self.reports.push("bypassed".to_owned());
        }
        if waits {
            self.activate_event_over(registration);
        } else {
            let it = self.registration(registration);
            if it.active == Some(id) {
                for promise in std::mem::take(&mut it.wakes) {
                    self.settle(promise, "the worker did not start");
                }
            }
            self.attempt(registration);
        }
        self.settle_down();
    }

    fn awaited(&mut self, id: WorkerId, value: &str) {
        let it = self.workers.get_mut(&id).expect("it was starting");
        for promise in std::mem::take(&mut it.awaited_by) {
            self.settle(promise, value);
        }
    }

    /// A lifecycle event is over.
    pub(crate) fn event_over(&mut self, id: WorkerId, fulfilled: bool) {
        let Some(it) = self.workers.get_mut(&id) else {
            return;
        };
        let registration = it.registration;
        match it.event.take() {
            Some(Lifecycle::Install) => self.install_event_over(registration, id, fulfilled),
            Some(Lifecycle::Activate) => self.activate_event_over(registration),
            None => {}
        }
        self.settle_down();
    }

    /// A worker is gone: it crashed, or it was stopped.
    pub(crate) fn died(&mut self, id: WorkerId) {
        let Some(it) = self.workers.get_mut(&id) else {
            return;
        };
        if it.starting {
            return self.not_started(id);
        }
        (it.running, it.busy) = (false, false);
        let registration = it.registration;
        self.event_over(id, false);
        self.serve_wakes(registration);
        self.attempt(registration);
        self.settle_down();
    }

    /// Its last event but lifecycle events is over.
    pub(crate) fn idle(&mut self, id: WorkerId) {
        if let Some(it) = self.workers.get_mut(&id) {
            it.busy = false;
            let registration = it.registration;
            self.attempt(registration);
        }
        self.settle_down();
    }

    pub(crate) fn client(&mut self, id: ClientId, key: usize, path: &'static str, ready: bool) {
        let client = Client {
            key,
            path,
            execution_ready: ready,
            uses: None,
            ready: Vec::new(),
        };
        self.clients.insert(id, client);
    }

    pub(crate) fn client_uses(&mut self, client: ClientId, id: RegistrationId) {
        let usable = self
            .registrations
            .get(&id)
            .is_some_and(|it| it.active.is_some() && controls(it.provenance));
        if usable && self.clients.contains_key(&client) {
            self.use_registration(client, id);
        }
        self.settle_down();
    }

    pub(crate) fn gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let uses = client.uses.take();
        let mut aborted = std::mem::take(&mut client.ready);
        for job in self.queues.values_mut().flatten() {
            let of_it = |(promise, of): &(PromiseId, Option<ClientId>)| {
                let gone = *of == Some(id);
                aborted.extend(gone.then_some(*promise));
                !gone
            };
            job.promises.retain(of_it);
        }
        for promise in aborted {
            self.settle(promise, "AbortError");
        }
        if let Some(former) = uses {
            self.attempt(former);
        }
        self.clients.remove(&id);
        self.settle_down();
    }

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
}
