//! Functional events wake workers: who waits, who pays, who is bypassed.

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
        let now = self.now().instant;
        if worker.bypassed_until.is_some_and(|until| now < until) {
            return Err(JobError::Start(format!(
                "{} failed to start {} times in a row and is bypassed for now",
                worker.script_url, worker.failures
            )));
        }
        let most = self.limits.starts_for_others;
        if let Some(site) = initiator {
            if !self.budget.pay(&site, most, now) {
                return Err(JobError::Budget(format!(
                    "{site} caused {most} worker starts of others within a minute"
                )));
            }
        }
        let need = match worker.run {
            Run::Stopping(_) => Need::ToWait,
            _ => Need::ToStart,
        };
        Ok((worker.id, need))
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
