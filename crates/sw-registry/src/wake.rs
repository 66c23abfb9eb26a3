//! Events wake workers: who waits, who pays, who is bypassed.

use sw_types::{PromiseId, RegistrationId, Site, WorkerId, WorkerState};

use crate::state::Run;
use crate::{JobError, Output, Registry, Settled};

/// What a wake needs before its worker runs.
enum Need {
    Nothing,
    ToWait,
    ToStart,
}

impl Registry {
    /// Someone has a functional event for a registration. (*Fire Functional Event*, up to its dispatch.)
    pub(crate) fn wake(&mut self, promise: PromiseId, id: RegistrationId, initiator: Option<Site>) {
        let now = self.now().instant;
        if let Some(registration) = self.registrations.get_mut(&id) {
            registration.last_used = Some(now);
        }
        match self.need_to_wake(id, initiator) {
            Ok((worker, need)) => match need {
                Need::Nothing => {
                    self.put_off_idle_stop(worker);
                    self.output(Output::Settle(promise, Ok(Settled::Running(worker))));
                }
                Need::ToWait => self.edit(id, |it| it.wakes.push(promise)),
                Need::ToStart => {
                    self.edit(id, |it| it.wakes.push(promise));
                    self.start_worker(worker);
                }
            },
            Err(error) => self.output(Output::Settle(promise, Err(error))),
        }
    }

    fn put_off_idle_stop(&mut self, id: WorkerId) {
        let now = self.now().instant;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.last_wake = Some(now);
        }
        let idle_at = self.after(self.limits.idle);
        self.set_deadline(id, idle_at);
    }

    /// Whether a start is needed; if so, it is paid for.
    fn need_to_wake(
        &mut self,
        id: RegistrationId,
        initiator: Option<Site>,
    ) -> Result<(WorkerId, Need), JobError> {
        let registration = self
            .registrations
            .get(&id)
            .ok_or_else(|| JobError::Abort(format!("{id} is gone")))?;
        let scope = &registration.scope;
        let worker = registration
            .active
            .and_then(|active| self.workers.get(&active))
            .ok_or_else(|| {
                JobError::InvalidState(format!("the registration of {scope} has no active worker"))
            })?;
        if worker.state != WorkerState::Activated {
            // Activation runs it.
            return Ok((worker.id, Need::ToWait));
        }
        match worker.run {
            Run::Running => return Ok((worker.id, Need::Nothing)),
            Run::Loading(_) | Run::Starting => return Ok((worker.id, Need::ToWait)),
            // Somebody has asked for it to start again once it has stopped.
            Run::Stopping(_) if !registration.wakes.is_empty() => {
                return Ok((worker.id, Need::ToWait));
            }
            Run::Stopped | Run::Stopping(_) => {}
        }
        let (id, run) = (worker.id, worker.run);
        self.pay_for_start(id, initiator)?;
        let need = match run {
            Run::Stopping(_) => Need::ToWait,
            _ => Need::ToStart,
        };
        Ok((id, need))
    }

    /// A start is refused while the worker is bypassed, or if who causes it caused too many.
    fn pay_for_start(&mut self, id: WorkerId, initiator: Option<Site>) -> Result<(), JobError> {
        let now = self.now().instant;
        let bypassed = self.workers.get(&id).filter(|worker| {
            let until = worker.bypassed_until;
            until.is_some_and(|until| now < until)
        });
        if let Some(worker) = bypassed {
            return Err(JobError::Start(format!(
                "{} failed to start {} times in a row and is bypassed for now",
                worker.script_url, worker.failures
            )));
        }
        let most = self.limits.starts_for_others;
        match initiator {
            Some(site) if !self.budget.pay(&site, most, now) => Err(JobError::Budget(format!(
                "{site} caused {most} worker starts of others within a minute"
            ))),
            _ => Ok(()),
        }
    }

    /// Someone has an event for a worker itself. (*Run Service Worker*, up to its evaluation.)
    pub(crate) fn run_worker(&mut self, promise: PromiseId, id: WorkerId, initiator: Option<Site>) {
        let found = self.workers.get(&id);
        let Some(worker) = found.filter(|worker| worker.state != WorkerState::Redundant) else {
            let error = JobError::InvalidState(format!("{id} is redundant"));
            self.output(Output::Settle(promise, Err(error)));
            return;
        };
        let starts = match worker.run {
            Run::Running => {
                self.put_off_idle_stop(id);
                self.output(Output::Settle(promise, Ok(Settled::Running(id))));
                return;
            }
            Run::Loading(_) | Run::Starting => false,
            Run::Stopped | Run::Stopping(_) => worker.awaited_by.is_empty(),
        };
        if starts {
            if let Err(error) = self.pay_for_start(id, initiator) {
                self.output(Output::Settle(promise, Err(error)));
                return;
            }
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.awaited_by.push(promise);
        }
        // One that is stopping starts again once it has stopped.
        self.start_worker(id);
    }

    /// A worker has been evaluated: who waits for it to run gets it.
    pub(crate) fn serve_awaited(&mut self, id: WorkerId) {
        for promise in self.take_awaited_by(id) {
            self.output(Output::Settle(promise, Ok(Settled::Running(id))));
        }
    }

    /// A worker does not run, and will not now: who waits for it hears why.
    pub(crate) fn fail_awaited(&mut self, id: WorkerId, error: &JobError) {
        for promise in self.take_awaited_by(id) {
            self.output(Output::Settle(promise, Err(error.clone())));
        }
    }

    fn take_awaited_by(&mut self, id: WorkerId) -> Vec<PromiseId> {
        let worker = self.workers.get_mut(&id);
        worker.map_or_else(Vec::new, |worker| std::mem::take(&mut worker.awaited_by))
    }

    /// The active worker is activated: who waits for it gets it, as soon as it runs.
    pub(crate) fn serve_wakes(&mut self, id: RegistrationId) {
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        let Some(worker) = registration
            .active
            .and_then(|active| self.workers.get(&active))
            .filter(|worker| worker.state == WorkerState::Activated)
        else {
            return;
        };
        if registration.wakes.is_empty() {
            return;
        }
        let worker_id = worker.id;
        match worker.run {
            Run::Running => {
                for promise in std::mem::take(&mut registration.wakes) {
                    self.output(Output::Settle(promise, Ok(Settled::Running(worker_id))));
                }
                self.put_off_idle_stop(worker_id);
            }
            Run::Stopped => self.start_worker(worker_id),
            Run::Loading(_) | Run::Starting | Run::Stopping(_) => {}
        }
    }
}
