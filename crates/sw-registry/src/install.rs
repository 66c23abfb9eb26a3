//! *Install*.

use sw_types::{ClientNotice, EventId, EventType, UpdateViaCache, WorkerId, WorkerState};

use crate::job::{Step, Waiting};
use crate::state::{Registration, ScopeKey};
use crate::{EventOutcome, JobError, Lifecycle, Output, Provenance, Registry, Report, StoreError};

/// Where *Install* waits.
#[derive(Debug)]
pub(crate) enum Install {
    /// Step 11: for the install event.
    Dispatching { worker: WorkerId, before: Before },
    /// Before step 16: for row and scripts to be durable, so that nobody is told of an installed
    /// worker that the next start would not know.
    Storing { worker: WorkerId, before: Before },
}

/// What a failed installation gives back to its registration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    update_via_cache: UpdateViaCache,
    provenance: Provenance,
}

impl Registry {
    /// *Install*: the worker has been evaluated.
    pub(crate) fn install(&mut self, key: &ScopeKey, worker: WorkerId) {
        let (Some(script), Some(id)) = (self.running_script(key), self.registration_id_at(key))
        else {
            return;
        };
        let registration = &self.registrations[&id];
        let before = Before {
            update_via_cache: registration.update_via_cache,
            provenance: registration.provenance,
        };
        // Step 3.
        self.copy_job_to_registration(key, id, script.update_via_cache);
        // Step 4: *Update Registration State*.
        self.edit(id, |registration| registration.installing = Some(worker));
        // Step 5: *Update Worker State*.
        self.set_worker_state(worker, WorkerState::Installing);
        // Step 7. (Step 6 asserts a promise, which a soft update has not.) Of an installation by
        // header no script waits for the registration, but the host waits for what comes of it.
        if !self.head(key).is_some_and(|job| job.is_by_header()) {
            self.resolve_with_registration(key, id);
        }
        // Steps 8 and 9: `updatefound`.
        if let Some(view) = self.registration(id) {
            self.notify_all(&key.0, &ClientNotice::UpdateFound(view));
        }
        // Step 11, with *Should Skip Event*.
        if self.handles(worker, EventType::Install) {
            self.set_step(key, Step::Install(Install::Dispatching { worker, before }));
            self.dispatch(worker, Lifecycle::Install);
        } else {
            self.store_installed(key, worker, before);
        }
    }

    /// Step 11.2: the install event and its lifetime promises have settled, or will not any more.
    pub(crate) fn install_event_settled(
        &mut self,
        key: &ScopeKey,
        worker: WorkerId,
        outcome: EventOutcome,
    ) {
        let Some(Step::Install(Install::Dispatching {
            worker: waiting_for,
            before,
            ..
        })) = self.head(key).map(|job| &job.step)
        else {
            return;
        };
        if *waiting_for != worker {
            return;
        }
        let before = *before;
        match outcome {
            EventOutcome::Fulfilled => self.store_installed(key, worker, before),
            EventOutcome::Rejected(reason) => {
                self.install_failed(key, worker, before);
                let script = self.running_script(key).map(|script| script.url);
                let error = JobError::Abort(match script {
                    Some(script) => format!("script {script} failed to install: {reason}"),
                    None => format!("installation failed: {reason}"),
                });
                self.reject_job(key, error);
                self.finish_job(key);
            }
        }
    }

    fn store_installed(&mut self, key: &ScopeKey, worker: WorkerId, before: Before) {
        // Steps 13 to 15: the map keeps what was used.
        if let Some(installed) = self.workers.get_mut(&worker) {
            let used = &installed.used;
            if let Some(scripts) = &mut installed.scripts {
                scripts.retain(|url, _| used.contains(url));
                installed.script_bytes = scripts.values().map(|it| it.body.len() as u64).sum();
            }
        }
        if let Err(error) = self.make_room(key, worker) {
            return self.not_installed(key, worker, before, error);
        }
        let Some(id) = self.registration_id_at(key) else {
            return;
        };
        self.edit(id, |registration| registration.storing_install = true);
        self.set_step(key, Step::Install(Install::Storing { worker, before }));
        if self.store(id, Waiting::Job(key.clone())).is_none() {
            self.installed(key, worker);
        }
    }

    /// The answer to the write of *Storing*.
    pub(crate) fn install_stored(
        &mut self,
        key: &ScopeKey,
        worker: WorkerId,
        before: Before,
        result: Result<(), StoreError>,
    ) {
        match result {
            Ok(()) => self.installed(key, worker),
            Err(error) => {
                let scope = key.1.clone();
                self.report(Report::NotStored {
                    scope,
                    error: error.clone(),
                });
                self.not_installed(key, worker, before, JobError::Store(error));
            }
        }
    }

    /// The worker could not be kept. The promise has been resolved in step 7, but of an installation
    /// by header.
    fn not_installed(&mut self, key: &ScopeKey, worker: WorkerId, before: Before, error: JobError) {
        self.install_failed(key, worker, before);
        if self.head(key).is_some_and(|job| job.is_by_header()) {
            self.reject_job(key, error);
        } else if let JobError::Quota(_) = error {
            let scope = key.1.clone();
            self.report(Report::JobFailed { scope, error });
        }
        self.finish_job(key);
    }

    /// Steps 16 to 22.
    fn installed(&mut self, key: &ScopeKey, worker: WorkerId) {
        let Some(id) = self.registration_id_at(key) else {
            return;
        };
        // Steps 16 to 18: the worker that waited is replaced.
        let found = self.registrations.get(&id);
        let replaced = found.and_then(|found| found.waiting);
        let at_once = found.and_then(|found| self.activates_at_once(found));
        self.edit(id, |registration: &mut Registration| {
            registration.storing_install = false;
            registration.stored_as_activated = at_once;
            registration.waiting = Some(worker);
            registration.installing = None;
        });
        if let Some(replaced) = replaced {
            self.make_redundant(replaced);
        }
        // Step 19.
        self.set_worker_state(worker, WorkerState::Installed);
        // Step 7, of an installation by header.
        self.resolve_with_registration(key, id);
        // Step 20.
        self.finish_job(key);
        // Steps 21 and 22.
        self.try_activate(id);
    }

    /// Step 12: the worker is redundant, and a registration that had no other goes.
    fn install_failed(&mut self, key: &ScopeKey, worker: WorkerId, before: Before) {
        let Some(id) = self.registration_id_at(key) else {
            return;
        };
        self.edit(id, |registration| {
            registration.storing_install = false;
            registration.installing = None;
            registration.update_via_cache = before.update_via_cache;
            registration.provenance = before.provenance;
        });
        self.make_redundant(worker);
        // A later write of another step may have carried this worker as waiting.
        self.store_for_nobody(id);
        self.remove_if_empty(key);
    }

    /// `event.handleFallThroughRequests()`: only while that install event is being dispatched.
    pub(crate) fn handle_fall_through_requests(
        &mut self,
        worker: WorkerId,
        event: EventId,
        rules: Vec<sw_types::FallThroughRule>,
    ) {
        let Some(installing) = self
            .workers
            .get_mut(&worker)
            .filter(|worker| worker.lifecycle == Some((event, Lifecycle::Install)))
        else {
            tracing::debug!(%worker, %event, "fall-through rules outside of an install event");
            return;
        };
        installing.fall_through = installing
            .fall_through
            .iter()
            .cloned()
            .chain(rules)
            .collect();
    }

    /// Dispatches a lifecycle event to a running worker.
    pub(crate) fn dispatch(&mut self, worker: WorkerId, lifecycle: Lifecycle) {
        let event = EventId::take_next(&mut self.next_event);
        let deadline = self.after(self.limits.event_timeout);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.lifecycle = Some((event, lifecycle));
        }
        self.set_deadline(worker, deadline);
        self.output(Output::Dispatch {
            worker,
            event,
            lifecycle,
        });
    }
}
