//! What scripts ask for.

use std::time::Duration;

use sw_registry::Provenance;
use sw_types::{ClientId, PromiseId, RegistrationId, UpdateViaCache, WorkerId, WorkerState};

use super::jobs::{Job, JobType};
use super::{Key, Main, Model, STARTS_FOR_OTHERS};

/// What `importScripts()` comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Import {
    Have,
    Fetch { no_cache: bool },
    Refused,
}

impl Model {
    pub(crate) fn register(
        &mut self,
        promise: PromiseId,
        client: Option<ClientId>,
        key: Key,
        script: Main,
        update_via_cache: UpdateViaCache,
        provenance: Provenance,
    ) {
        let mut job = Job::new(JobType::Register, script, Some((promise, client)));
        job.update_via_cache = Some(update_via_cache);
        job.provenance = Some(provenance);
        self.schedule_job(key, job);
        self.settle_down();
    }

    /// `registration.update()`, and with `None` *Soft Update*.
    pub(crate) fn update(
        &mut self,
        id: RegistrationId,
        promise: Option<PromiseId>,
        caller: Option<WorkerId>,
        force: bool,
    ) {
        let installing =
            caller.is_some_and(|caller| self.workers[&caller].state == WorkerState::Installing);
        let known = self.registrations.get(&id).map(|it| it.key);
        match (known, self.newest(id), promise) {
            (None, _, Some(promise)) => self.settle(promise, "TypeError"),
            (Some(_), _, Some(promise)) if installing => self.settle(promise, "InvalidStateError"),
            (Some(key), Some(newest), _) => {
                let script = self.workers[&newest].script;
                let mut job = Job::new(JobType::Update, script, promise.map(|it| (it, None)));
                job.force = force;
                self.schedule_job(key, job);
            }
            (Some(_), None, Some(promise)) => self.settle(promise, "InvalidStateError"),
            (_, _, None) => {}
        }
        self.settle_down();
    }

    pub(crate) fn unregister(&mut self, promise: PromiseId, id: RegistrationId) {
        match self.registrations.get(&id).map(|it| it.key) {
            Some(key) => {
                let job = Job::new(JobType::Unregister, ("", false), Some((promise, None)));
                self.schedule_job(key, job);
            }
            None => self.settle(promise, "Unregistered(false)"),
        }
        self.settle_down();
    }

    pub(crate) fn skip_waiting(&mut self, promise: PromiseId, worker: WorkerId) {
        match self.workers.get_mut(&worker) {
            Some(it) if it.state != WorkerState::Redundant => {
                it.skip_waiting = true;
                it.skipping.push(promise);
                let registration = it.registration;
                self.try_activate(registration);
                self.settle_down();
                // Unless its activate event waits for it to start.
                if !self.waits_for_activate_event(worker) {
                    self.skipped(worker, "Done");
                }
            }
            _ => self.settle(promise, "AbortError"),
        }
    }

    pub(crate) fn claim(&mut self, promise: PromiseId, worker: WorkerId) {
        let found = self.registrations.iter();
        let mut found = found.filter(|(_, it)| it.active == Some(worker));
        let Some((id, partition, controls)) = found
            .next()
            .map(|(id, it)| (*id, it.key.0, controls(it.provenance)))
        else {
            return self.settle(promise, "InvalidStateError");
        };
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients.into_iter().filter(|_| controls) {
            let found = &self.clients[&client];
            if found.key == partition
                && found.execution_ready
                && found.uses != Some(id)
                && self.matching(found.key, found.path) == Some(id)
            {
                self.use_registration(client, id);
                self.tell(client, format!("controllerchange {worker}"));
            }
        }
        self.settle(promise, "Done");
        self.settle_down();
    }

    pub(crate) fn ready(&mut self, promise: PromiseId, client: ClientId) {
        let Some(found) = self.clients.get(&client) else {
            return self.settle(promise, "AbortError");
        };
        let matched = self.matching(found.key, found.path);
        let active = matched.filter(|id| self.registrations[id].active.is_some());
        match active {
            Some(id) => self.settle(promise, &format!("registration {id}")),
            None => {
                let found = self.clients.get_mut(&client).expect("it was found");
                found.ready.push(promise);
            }
        }
    }

    /// *importScripts* in a service worker, up to its fetch.
    pub(crate) fn import(&self, worker: WorkerId, path: &str) -> Import {
        let it = &self.workers[&worker];
        if it.scripts.contains_key(path) {
            Import::Have
        } else if it.state <= WorkerState::Installing && !it.failed.contains(path) {
            let no_cache = it.no_cache;
            Import::Fetch { no_cache }
        } else {
            Import::Refused
        }
    }

    /// *importScripts*, from its response on; without one, the map had it.
    pub(crate) fn imported(
        &mut self,
        worker: WorkerId,
        path: &'static str,
        body: Option<u64>,
        from_cache: bool,
    ) {
        let now = self.now.wall;
        let it = self.workers.get_mut(&worker).expect("it imports");
        if it.state > WorkerState::Installing {
            return;
        }
        it.used.insert(path);
        if let Some(body) = body {
            it.scripts.insert(path, body);
            if !from_cache {
                let id = it.registration;
                self.registration(id).last_check = Some(now);
            }
        }
    }

    /// *Fire Functional Event*, up to where the worker runs.
    pub(crate) fn wake(
        &mut self,
        promise: PromiseId,
        id: RegistrationId,
        initiator: Option<&'static str>,
    ) {
        let Some(it) = self.registrations.get(&id) else {
            return self.settle(promise, "AbortError");
        };
        let Some(active) = it.active else {
            return self.settle(promise, "InvalidStateError");
        };
        let worker = &self.workers[&active];
        let activated = worker.state == WorkerState::Activated;
        if activated && worker.running {
            self.settle(promise, &format!("Running({active:?})"));
        } else if activated && !worker.starting {
            match self.pay_for_start(active, initiator) {
                Err(error) => self.settle(promise, error),
                Ok(()) => {
                    self.registration(id).wakes.push(promise);
                    self.serve_wakes(id);
                }
            }
        } else {
            self.registration(id).wakes.push(promise);
        }
    }

    /// *Run Service Worker*, for an event of the worker itself.
    pub(crate) fn run(
        &mut self,
        promise: PromiseId,
        id: WorkerId,
        initiator: Option<&'static str>,
    ) {
        let it = &self.workers[&id];
        if it.state == WorkerState::Redundant {
            return self.settle(promise, "InvalidStateError");
        }
        if it.running {
            return self.settle(promise, &format!("Running({id:?})"));
        }
        if !it.starting {
            if let Err(error) = self.pay_for_start(id, initiator) {
                return self.settle(promise, error);
            }
        }
        let it = self.workers.get_mut(&id).expect("it was found");
        it.awaited_by.push(promise);
        it.starting = true;
    }

    /// A worker that fails to start again and again is left alone for a while; and a site starts
    /// only so many workers of others.
    fn pay_for_start(
        &mut self,
        worker: WorkerId,
        initiator: Option<&'static str>,
    ) -> Result<(), &'static str> {
        let now = self.now.instant;
        if self.workers[&worker].bypassed_until > Some(now) {
            return Err("the worker did not start");
        }
        if let Some(site) = initiator {
            let paid = self.starts.entry(site).or_default();
            paid.retain(|at| now.saturating_duration_since(*at) < Duration::from_secs(60));
            if paid.len() >= STARTS_FOR_OTHERS {
                return Err("over budget");
            }
            paid.push(now);
        }
        Ok(())
    }
}

/// Whether clients may use such a registration. (SEMANTICS §5.6.)
pub(super) fn controls(provenance: Provenance) -> bool {
    provenance
        != Provenance::Header {
            controls_clients: false,
        }
}
