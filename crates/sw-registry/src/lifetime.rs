//! *Run Service Worker*, *Terminate Service Worker*, and when either happens.

use std::time::{Duration, Instant};

use sw_types::{
    EventId, EventTypes, FetchHandler, RegistrationId, RequestId, RunId, ScriptMap, WorkerId,
    WorkerState,
};

use crate::activate::Activate;
use crate::job::{Step, Waiting};
use crate::state::{Run, ScopeKey};
use crate::update::Update;
use crate::{
    EventOutcome, JobError, Lifecycle, Output, Registry, Report, Request, StartWorker, StopReason,
    StoreError,
};

impl Registry {
    /// *Run Service Worker*, for a worker that may be stopping yet: then it starts once it has
    /// stopped.
    pub(crate) fn start_worker(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        if worker.run != Run::Stopped {
            return;
        }
        let Some(scripts) = worker.scripts.clone() else {
            let request = self.request(Waiting::Start(id), Request::LoadScripts(id));
            self.set_run(id, Run::Loading(request));
            return;
        };
        let Some(registration) = self.registrations.get(&worker.registration) else {
            return;
        };
        let run = RunId::take_next(&mut self.next_run);
        let start = StartWorker {
            worker: id,
            run,
            registration: registration.id,
            storage_key: registration.storage_key.clone(),
            scope: registration.scope.clone(),
            script_url: worker.script_url.clone(),
            worker_type: worker.worker_type,
            state: worker.state,
            scripts,
            imports_cache: worker.imports_cache,
        };
        self.output(Output::StartWorker(Box::new(start)));
        self.set_run(id, Run::Starting);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.run_id = Some(run);
        }
        let deadline = self.after(self.limits.start_timeout);
        self.set_deadline(id, deadline);
    }

    pub(crate) fn scripts_loaded_to_start(
        &mut self,
        id: WorkerId,
        request: RequestId,
        result: Result<ScriptMap, StoreError>,
    ) {
        let Some(worker) = self
            .workers
            .get_mut(&id)
            .filter(|worker| worker.run == Run::Loading(request))
        else {
            return;
        };
        worker.run = Run::Stopped;
        match result {
            Ok(scripts) => {
                worker.scripts.get_or_insert(scripts);
                self.start_worker(id);
            }
            Err(error) => {
                self.start_failed(id, &format!("its scripts cannot be read: {error}"));
            }
        }
    }

    pub(crate) fn worker_started(
        &mut self,
        id: WorkerId,
        run: RunId,
        event_types: EventTypes,
        fetch_handler: FetchHandler,
    ) {
        let Some(worker) = self
            .workers
            .get_mut(&id)
            .filter(|worker| worker.run == Run::Starting && worker.run_id == Some(run))
        else {
            tracing::debug!(%id, %run, "a start that nobody waits for");
            return;
        };
        worker.run = Run::Running;
        worker.failures = 0;
        worker.bypassed_until = None;
        // *Run Service Worker*: only the first evaluation counts.
        if !std::mem::replace(&mut worker.ever_evaluated, true) {
            worker.event_types = event_types;
            worker.fetch_handler = fetch_handler;
        }
        let registration = worker.registration;
        let idle_at = self.after(self.limits.idle);
        self.set_deadline(id, idle_at);
        if let Some(key) = self.job_evaluating(id) {
            self.install(&key, id);
        } else if self.activation_of(id) == Some((registration, Activate::Starting)) {
            self.dispatch_activate(registration, id);
        } else {
            self.serve_wakes(registration);
        }
        self.serve_awaited(id);
    }

    pub(crate) fn worker_start_failed(&mut self, id: WorkerId, run: RunId, error: &str) {
        match self.state_of_run(id, run) {
            Some(Run::Starting) => {
                self.set_run(id, Run::Stopped);
                self.set_deadline(id, None);
                self.start_failed(id, error);
            }
            // It was to be stopped, and never began.
            Some(Run::Stopping(_)) => self.has_stopped(id),
            _ => tracing::debug!(%id, error, "a failed start that nobody waits for"),
        }
    }

    /// A worker that was to start does not; it has stopped, or is being stopped.
    fn start_failed(&mut self, id: WorkerId, error: &str) {
        self.fail_awaited(id, &JobError::Start(error.to_owned()));
        if let Some(key) = self.job_evaluating(id) {
            self.evaluation_failed(&key, id, error);
            return;
        }
        let until = self.count_failure(id, error);
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.bypassed_until = until;
        let registration = worker.registration;
        if self.activation_of(id) == Some((registration, Activate::Starting)) {
            // Activate, step 10: if it cannot run, its activate event is skipped.
            self.store_activated(registration);
            return;
        }
        let wakes = match self.registrations.get_mut(&registration) {
            Some(registration) if registration.active == Some(id) => {
                std::mem::take(&mut registration.wakes)
            }
            _ => Vec::new(),
        };
        for promise in wakes {
            let error = JobError::Start(error.to_owned());
            self.output(Output::Settle(promise, Err(error)));
        }
        self.try_clear(registration);
        self.try_activate(registration);
    }

    /// One more failed start; until when the worker is bypassed.
    fn count_failure(&mut self, id: WorkerId, error: &str) -> Option<Instant> {
        let worker = self.workers.get_mut(&id)?;
        worker.failures += 1;
        let failures = worker.failures;
        let bypass = self.limits.bypass_after(failures)?;
        let report = Report::Bypassed {
            script_url: worker.script_url.clone(),
            failures,
            seconds: bypass.as_secs(),
            error: error.to_owned(),
        };
        self.report(report);
        self.after(bypass)
    }

    pub(crate) fn worker_died(&mut self, id: WorkerId, run: RunId, reason: String) {
        let Some(state) = self.state_of_run(id, run) else {
            tracing::debug!(%id, %run, reason, "an unknown worker, or an earlier run, died");
            return;
        };
        match state {
            Run::Stopped | Run::Loading(_) => tracing::debug!(%id, "a stopped worker died"),
            Run::Starting => {
                self.set_run(id, Run::Stopped);
                self.set_deadline(id, None);
                self.start_failed(id, &reason);
            }
            Run::Running => {
                tracing::warn!(%id, reason, "a worker died while it ran");
                let worker = self.workers.get_mut(&id);
                let lifecycle = worker.and_then(|worker| worker.lifecycle.take());
                self.set_run(id, Run::Stopped);
                self.set_deadline(id, None);
                if let Some((_, lifecycle)) = lifecycle {
                    self.lifecycle_settled(id, lifecycle, EventOutcome::Rejected(reason));
                }
                self.has_stopped(id);
            }
            Run::Stopping(_) => self.has_stopped(id),
        }
    }

    /// Where a worker is, if this is its last run. A global that did not stop in time was counted as
    /// dead then; what is heard of it later is not of the run that took its place.
    fn state_of_run(&self, id: WorkerId, run: RunId) -> Option<Run> {
        let worker = self.workers.get(&id)?;
        (worker.run_id == Some(run)).then_some(worker.run)
    }

    /// A worker has no global any more: what waited for that goes on.
    fn has_stopped(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        // It was started again meanwhile.
        if matches!(worker.run, Run::Starting | Run::Loading(_)) {
            return;
        }
        let (registration, redundant) =
            (worker.registration, worker.state == WorkerState::Redundant);
        self.set_run(id, Run::Stopped);
        self.set_deadline(id, None);
        let awaited = self
            .workers
            .get(&id)
            .is_some_and(|worker| !worker.awaited_by.is_empty());
        if redundant {
            self.remove_worker(id);
        } else if awaited || self.activation_of(id) == Some((registration, Activate::Starting)) {
            self.start_worker(id);
        } else {
            self.serve_wakes(registration);
            self.try_clear(registration);
            self.try_activate(registration);
        }
    }

    pub(crate) fn event_settled(&mut self, id: WorkerId, event: EventId, outcome: EventOutcome) {
        let Some(worker) = self.workers.get_mut(&id) else {
            tracing::debug!(%id, %event, "an event of an unknown worker");
            return;
        };
        match worker.lifecycle {
            Some((dispatched, lifecycle)) if dispatched == event => {
                worker.lifecycle = None;
                let idle_at = self.after(self.limits.idle);
                self.set_deadline(id, idle_at);
                self.lifecycle_settled(id, lifecycle, outcome);
            }
            _ => tracing::debug!(%id, %event, "an event that nobody waits for"),
        }
    }

    fn lifecycle_settled(&mut self, id: WorkerId, lifecycle: Lifecycle, outcome: EventOutcome) {
        let Some(registration) = self
            .workers
            .get(&id)
            .and_then(|worker| self.registrations.get(&worker.registration))
        else {
            return;
        };
        let (registration, key) = (registration.id, registration.key());
        match lifecycle {
            Lifecycle::Install => self.install_event_settled(&key, id, outcome),
            Lifecycle::Activate => {
                if self.activation_of(id) == Some((registration, Activate::Dispatching)) {
                    self.store_activated(registration);
                }
            }
        }
    }

    /// The answer to `ReadActivity`, or word that a worker has become idle.
    pub(crate) fn activity(
        &mut self,
        id: WorkerId,
        oldest_event: Option<Instant>,
        last_busy: Instant,
    ) {
        if oldest_event.is_some() {
            self.run_on(id);
        }
        let Some(worker) = self
            .workers
            .get(&id)
            .filter(|worker| worker.run == Run::Running)
        else {
            tracing::debug!(%id, "activity of a worker that does not run");
            return;
        };
        let (registration, in_lifecycle) = (worker.registration, worker.lifecycle.is_some());
        let now = self.now().instant;
        if let Some(registration) = self.registrations.get_mut(&registration) {
            registration.last_used = registration.last_used.max(Some(last_busy));
        }
        // Who was told that it runs may not have dispatched anything yet.
        let last_busy = last_busy.max(worker.last_wake.unwrap_or(last_busy));
        let limits = &self.limits;
        match oldest_event {
            Some(dispatched) => {
                let left = limits
                    .event_timeout
                    .saturating_sub(now.saturating_duration_since(dispatched));
                if left.is_zero() {
                    self.overrun(id);
                } else if !in_lifecycle {
                    let deadline = self.after(left.min(limits.idle));
                    self.set_deadline(id, deadline);
                }
                let registration = self.registrations.get(&registration);
                if let Some(it) = registration.filter(|it| it.active == Some(id)) {
                    self.try_activate_after_asking(it.id, false);
                }
            }
            None if !in_lifecycle => {
                let left = limits
                    .idle
                    .saturating_sub(now.saturating_duration_since(last_busy));
                if left.is_zero() {
                    self.stop_worker(id, StopReason::Idle);
                } else {
                    let deadline = self.after(left);
                    self.set_deadline(id, deadline);
                }
                let active = self
                    .registrations
                    .get(&registration)
                    .and_then(|it| it.active);
                self.try_clear_after_idle(registration, id);
                if active == Some(id) {
                    self.try_activate_after_asking(registration, true);
                }
            }
            None => {}
        }
    }

    /// A worker that was to be stopped for idleness has been sent an event meanwhile, and has not
    /// been told to stop. It runs on, unless there is another reason by now.
    fn run_on(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        if worker.run != Run::Stopping(StopReason::Idle) {
            return;
        }
        worker.run = Run::Running;
        let registration = worker.registration;
        if worker.state == WorkerState::Redundant {
            return self.stop_worker(id, StopReason::Redundant);
        }
        // What would have started it again has no need to.
        if self.activation_of(id) == Some((registration, Activate::Starting)) {
            self.dispatch_activate(registration, id);
        } else {
            self.serve_wakes(registration);
        }
        self.serve_awaited(id);
    }

    /// *Terminate Service Worker*. Answered by `WorkerDied`, at the latest by its deadline.
    pub(crate) fn stop_worker(&mut self, id: WorkerId, reason: StopReason) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.lifecycle = None;
        match worker.run {
            Run::Stopped | Run::Stopping(_) => {}
            Run::Loading(request) => {
                worker.run = Run::Stopped;
                self.requests.remove(&request);
                self.fail_awaited(id, &JobError::Start(reason.to_string()));
            }
            Run::Starting | Run::Running => {
                worker.run = Run::Stopping(reason);
                let deadline = self.after(self.limits.stop);
                self.set_deadline(id, deadline);
                self.output(Output::StopWorker { worker: id, reason });
            }
        }
    }

    /// A worker reached the time at which the registry looks at it.
    pub(crate) fn deadline(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.deadline = None;
        match worker.run {
            Run::Stopped | Run::Loading(_) => {}
            Run::Starting => {
                let reason = StopReason::StartTimeout;
                self.stop_overdue(id, reason);
                self.start_failed(id, &reason.to_string());
            }
            Run::Running if worker.lifecycle.is_some() => self.overrun(id),
            Run::Running => {
                self.output(Output::ReadActivity(id));
                let again = self.after(self.limits.idle);
                self.set_deadline(id, again);
            }
            Run::Stopping(_) => self.has_stopped(id),
        }
    }

    /// An event of a running worker takes too long. A lifecycle event counts as rejected.
    fn overrun(&mut self, id: WorkerId) {
        let lifecycle = self.workers.get(&id).and_then(|worker| worker.lifecycle);
        let reason = StopReason::EventTimeout;
        self.stop_overdue(id, reason);
        if let Some((_, lifecycle)) = lifecycle {
            let outcome = EventOutcome::Rejected(reason.to_string());
            self.lifecycle_settled(id, lifecycle, outcome);
        }
    }

    fn stop_overdue(&mut self, id: WorkerId, reason: StopReason) {
        let script_url = self
            .workers
            .get(&id)
            .map(|worker| worker.script_url.clone());
        self.stop_worker(id, reason);
        if let Some(script_url) = script_url {
            self.report(Report::WorkerStopped { script_url, reason });
        }
    }

    /// *Terminate*, and *Update Worker State* to redundant. Its slot is free already.
    pub(crate) fn make_redundant(&mut self, id: WorkerId) {
        self.stop_worker(id, StopReason::Redundant);
        self.set_worker_state(id, WorkerState::Redundant);
        self.abort_skip_waiting(id);
        if self
            .workers
            .get(&id)
            .is_some_and(|worker| worker.run == Run::Stopped)
        {
            self.remove_worker(id);
        }
    }

    fn remove_worker(&mut self, id: WorkerId) {
        self.fail_awaited(id, &JobError::InvalidState(format!("{id} is redundant")));
        self.workers.remove(&id);
    }

    /// A worker that never was in a registration's slot goes. No client knows of it; whoever keeps
    /// something in its name does.
    pub(crate) fn discard_worker(&mut self, id: WorkerId) {
        self.make_redundant(id);
    }

    /// The job that waits for a worker to be evaluated.
    fn job_evaluating(&mut self, id: WorkerId) -> Option<ScopeKey> {
        let worker = self.workers.get(&id)?;
        let key = self.registrations.get(&worker.registration)?.key();
        match self.head(&key)?.step {
            Step::Update(Update::Evaluating { worker }) if worker == id => Some(key),
            _ => None,
        }
    }

    /// Whether something waits for a running worker to become idle: *Try Activate* of the worker
    /// after it, or *Try Clear*. Then `Activity` is wanted when its last event is over.
    #[must_use]
    pub fn awaits_idle(&self, worker: WorkerId) -> bool {
        self.registration_of(worker)
            .is_some_and(|id| self.may_clear(id) || self.may_activate(id) == Some(Some(worker)))
    }

    /// The registration whose active worker this is, and where its activation is.
    fn activation_of(&self, id: WorkerId) -> Option<(RegistrationId, Activate)> {
        let worker = self.workers.get(&id)?;
        let registration = self.registrations.get(&worker.registration)?;
        let activation = registration.activation?;
        (registration.active == Some(id)).then_some((registration.id, activation))
    }

    fn set_run(&mut self, id: WorkerId, run: Run) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.run = run;
        }
    }

    /// That long from now; `None` if that is never.
    pub(crate) fn after(&self, duration: Duration) -> Option<Instant> {
        self.now().instant.checked_add(duration)
    }

    pub(crate) fn set_deadline(&mut self, id: WorkerId, deadline: Option<Instant>) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        if let Some(former) = std::mem::replace(&mut worker.deadline, deadline) {
            self.deadlines.remove(&(former, id));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
    }
}
