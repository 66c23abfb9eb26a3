//! *Unregister*, *Try Clear Registration*, *Clear Registration*.

use std::collections::BTreeMap;

use sw_types::{PromiseId, RegistrationId, RequestId, ScriptMap, WorkerId};

use crate::job::{Job, JobType, Step, Waiting};
use crate::state::ScopeKey;
use crate::{JobError, Output, Registry, Report, Request, Settled, StoreError, StoreWrite};

/// Where *Unregister* waits.
#[derive(Debug)]
pub(crate) enum Unregister {
    /// Before step 4: for scripts that go with the row, and that clients which use the registration
    /// will still need.
    Loading {
        registration: RegistrationId,
        pending: BTreeMap<RequestId, WorkerId>,
    },
    /// Before step 4: for the row to be removed.
    Storing { registration: RegistrationId },
}

impl Registry {
    /// `registration.unregister()`.
    pub(crate) fn start_unregister(&mut self, promise: PromiseId, id: RegistrationId) {
        match self.registrations.get(&id) {
            Some(registration) => {
                let key = registration.key();
                self.schedule_job(key, Job::new(JobType::Unregister, Some((promise, None))));
            }
            None => self.output(Output::Settle(promise, Ok(Settled::Unregistered(false)))),
        }
    }

    /// *Unregister*.
    pub(crate) fn unregister(&mut self, key: &ScopeKey) {
        // Step 2.
        let Some(registration) = self.registration_at(key) else {
            // Step 3.
            self.resolve_job(key, &Settled::Unregistered(false));
            self.finish_job(key);
            return;
        };
        let (id, stored) = (registration.id, registration.stored);
        let unread = |worker: &WorkerId| {
            let worker = self.workers.get(worker);
            worker.is_some_and(|worker| worker.scripts.is_none())
        };
        let unread: Vec<WorkerId> = registration.workers().filter(unread).collect();
        if !stored {
            self.unregistered(key, id);
        } else if unread.is_empty() {
            self.remove_row(key, id);
        } else {
            let load = |worker| {
                let waiting = Waiting::Job(key.clone());
                (self.request(waiting, Request::LoadScripts(worker)), worker)
            };
            let pending = unread.into_iter().map(load).collect();
            let registration = id;
            let step = Unregister::Loading {
                registration,
                pending,
            };
            self.set_step(key, Step::Unregister(step));
        }
    }

    /// An answer to *Loading*. What cannot be read cannot be started any more: that is told then.
    pub(crate) fn loaded_to_unregister(
        &mut self,
        key: &ScopeKey,
        registration: RegistrationId,
        mut pending: BTreeMap<RequestId, WorkerId>,
        request: RequestId,
        result: Result<ScriptMap, StoreError>,
    ) {
        let worker = pending.remove(&request);
        let worker = worker.and_then(|worker| self.workers.get_mut(&worker));
        match (worker, result) {
            (Some(worker), Ok(scripts)) => {
                worker.scripts.get_or_insert(scripts);
            }
            (_, Err(error)) => {
                tracing::debug!(%error, "a script cannot be read before it is removed")
            }
            (None, Ok(_)) => {}
        }
        if pending.is_empty() {
            self.remove_row(key, registration);
        } else {
            let step = Unregister::Loading {
                registration,
                pending,
            };
            self.set_step(key, Step::Unregister(step));
        }
    }

    fn remove_row(&mut self, key: &ScopeKey, id: RegistrationId) {
        // Whatever is written from now on, while this one is on its way, has to be removed again.
        self.edit(id, |registration| registration.stored = false);
        let step = Unregister::Storing { registration: id };
        self.set_step(key, Step::Unregister(step));
        let remove = Request::Store(vec![StoreWrite::Remove(id)]);
        self.request(Waiting::Job(key.clone()), remove);
    }

    /// The answer to the write of *Storing*.
    pub(crate) fn row_removed(
        &mut self,
        key: &ScopeKey,
        id: RegistrationId,
        result: Result<(), StoreError>,
    ) {
        let written_again = self.registrations.get(&id).is_some_and(|it| it.stored);
        match result {
            Ok(()) if written_again => self.remove_row(key, id),
            Ok(()) => self.unregistered(key, id),
            Err(error) => {
                self.edit(id, |registration| registration.stored = true);
                self.reject_job(key, JobError::Store(error));
                self.finish_job(key);
            }
        }
    }

    /// Steps 4 to 7.
    fn unregistered(&mut self, key: &ScopeKey, id: RegistrationId) {
        // Step 4.
        self.unlist(id);
        // Step 5.
        self.resolve_job(key, &Settled::Unregistered(true));
        // Step 6.
        self.try_clear(id);
        // Step 7.
        self.finish_job(key);
    }

    /// *Try Clear Registration*: once unregistered. (*Is service worker idle* is asked of each
    /// worker that runs; see [`Self::try_clear_after_idle`].)
    pub(crate) fn try_clear(&mut self, id: RegistrationId) {
        if !self.may_clear(id) {
            return;
        }
        let running: Vec<_> = self.registrations[&id]
            .workers()
            .filter(|worker| self.may_be_busy(*worker))
            .collect();
        if running.is_empty() {
            self.clear(id);
            return;
        }
        for worker in &running {
            self.output(Output::ReadActivity(*worker));
        }
        self.edit(id, |it| {
            it.asked_before_clear = running.into_iter().collect()
        });
    }

    /// A worker was found idle: *Clear* if it was the last that was asked.
    pub(crate) fn try_clear_after_idle(&mut self, id: RegistrationId, worker: sw_types::WorkerId) {
        if !self.may_clear(id) {
            return;
        }
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        if !registration.asked_before_clear.remove(&worker) {
            self.try_clear(id);
        } else if registration.asked_before_clear.is_empty() {
            self.clear(id);
        }
    }

    /// Whether nothing but a busy worker holds an unregistered registration.
    pub(crate) fn may_clear(&self, id: RegistrationId) -> bool {
        let Some(registration) = self.registrations.get(&id) else {
            return false;
        };
        // An unregistered registration has no installing worker, so the only lifecycle event that
        // may be under way is that of its activation.
        registration.unregistered
            && registration.clients.is_empty()
            && registration.wakes.is_empty()
            && registration.activation.is_none()
    }

    /// *Clear Registration*. It is removed from the registration map too, if it is still there.
    pub(crate) fn clear(&mut self, id: RegistrationId) {
        self.unlist(id);
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        let scope = registration.scope.clone();
        // Steps 2 to 4.
        let workers: Vec<_> = registration.workers().collect();
        registration.installing = None;
        registration.waiting = None;
        registration.active = None;
        let wakes = std::mem::take(&mut registration.wakes);
        for worker in workers {
            self.make_redundant(worker);
        }
        for promise in wakes {
            let error = JobError::Abort(format!("the registration of {scope} was cleared"));
            self.output(Output::Settle(promise, Err(error)));
        }
        self.registrations.remove(&id);
        self.changed.remove(&id);
        self.lookup.forget(id);
        self.output(Output::RegistrationCleared(id));
    }

    /// Removes a registration from the registration map.
    fn unlist(&mut self, id: RegistrationId) {
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut registration.unregistered, true) {
            let key = registration.key();
            self.lookup.unlist(&key.0, key.1.as_str());
        }
    }

    /// Writes a registration's row for nobody who waits; a failure is reported.
    pub(crate) fn store_for_nobody(&mut self, id: RegistrationId) {
        if let Some(registration) = self.registrations.get(&id) {
            let scope = registration.scope.clone();
            let _: Option<RequestId> = self.store(id, Waiting::Nobody(scope));
        }
    }

    pub(crate) fn report(&mut self, report: Report) {
        tracing::debug!(%report, "reported");
        self.output(Output::Report(report));
    }
}
