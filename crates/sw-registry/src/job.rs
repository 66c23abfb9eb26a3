//! Jobs and their queues. (*Service Workers*, "Create Job" to "Finish Job".)

use std::collections::VecDeque;

use sw_types::fetch::Referrer;
use sw_types::{
    ClientId, Origin, PromiseId, RegistrationId, RequestId, ScopeUrl, ScriptUrl, Site,
    UpdateViaCache, WorkerId, WorkerType,
};

use crate::install::Install;
use crate::preload::ChangedPreload;
use crate::state::ScopeKey;
use crate::unregister::Unregister;
use crate::update::Update;
use crate::{JobError, Output, Provenance, Registry, Report, Settled};

/// A *job*.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) job_type: JobType,
    /// Its promise and those of its *list of equivalent jobs*, each with the client that waits.
    promises: Vec<(PromiseId, Option<ClientId>)>,
    /// Whether these have been settled.
    settled: bool,
    /// Whether nobody ever waited.
    quiet: bool,
    pub(crate) step: Step,
}

#[derive(Clone, Debug)]
pub(crate) enum JobType {
    Register(RegisterArgs),
    Update(ScriptArgs),
    Unregister,
}

#[derive(Clone, Debug)]
pub(crate) struct RegisterArgs {
    pub(crate) script: ScriptArgs,
    pub(crate) referrer_origin: Origin,
    pub(crate) provenance: Provenance,
}

/// What *Update* reads of a job.
#[derive(Clone, Debug)]
pub(crate) struct ScriptArgs {
    pub(crate) url: ScriptUrl,
    pub(crate) worker_type: WorkerType,
    /// Unset for updates: the registration keeps its own.
    pub(crate) update_via_cache: Option<UpdateViaCache>,
    pub(crate) force_bypass_cache: bool,
    /// The job's client.
    pub(crate) referrer: Option<Referrer>,
    pub(crate) initiator: Site,
}

impl Job {
    /// Whether it is an update of a registration that is there.
    pub(crate) const fn is_update(&self) -> bool {
        matches!(self.job_type, JobType::Update(_))
    }

    /// Whether a response header asked for it.
    pub(crate) const fn is_by_header(&self) -> bool {
        match &self.job_type {
            JobType::Register(args) => matches!(args.provenance, Provenance::Header { .. }),
            JobType::Update(_) | JobType::Unregister => false,
        }
    }
}

/// Where the job at the head of its queue is.
#[derive(Debug)]
pub(crate) enum Step {
    /// It has not begun.
    Queued,
    Update(Update),
    Install(Install),
    Unregister(Unregister),
}

impl Job {
    pub(crate) fn new(job_type: JobType, promise: Option<(PromiseId, Option<ClientId>)>) -> Self {
        Self {
            job_type,
            quiet: promise.is_none(),
            promises: promise.into_iter().collect(),
            settled: false,
            step: Step::Queued,
        }
    }

    /// The arguments of a register or update job.
    pub(crate) fn script(&self) -> Option<&ScriptArgs> {
        match &self.job_type {
            JobType::Register(RegisterArgs { script, .. }) | JobType::Update(script) => {
                Some(script)
            }
            JobType::Unregister => None,
        }
    }

    pub(crate) fn script_mut(&mut self) -> Option<&mut ScriptArgs> {
        match &mut self.job_type {
            JobType::Register(RegisterArgs { script, .. }) | JobType::Update(script) => {
                Some(script)
            }
            JobType::Unregister => None,
        }
    }
}

impl JobType {
    /// *Equivalent* jobs of one queue: their scopes are equal already. Of two registrations, also
    /// who makes them must be equal, since only one of them would be recorded.
    fn is_equivalent(&self, other: &Self) -> bool {
        let same = |a: &ScriptArgs, b: &ScriptArgs| {
            a.url == b.url
                && a.worker_type == b.worker_type
                && a.update_via_cache == b.update_via_cache
        };
        match (self, other) {
            (Self::Register(a), Self::Register(b)) => {
                same(&a.script, &b.script)
                    && a.provenance == b.provenance
                    && a.referrer_origin == b.referrer_origin
            }
            (Self::Update(a), Self::Update(b)) => same(a, b),
            (Self::Unregister, Self::Unregister) => true,
            _ => false,
        }
    }
}

impl Registry {
    /// *Schedule Job*.
    pub(crate) fn schedule_job(&mut self, key: ScopeKey, job: Job) {
        let queue = self.queues.entry(key.clone()).or_default();
        match queue.back_mut() {
            // Step 5: the queue is empty.
            None => {
                queue.push_back(job);
                self.runnable.push_back(key);
            }
            // Steps 6.1 and 6.2: an equivalent job is last, and not settled. (A job without a
            // promise counts as not settled until it finishes.)
            Some(last) if !last.settled && last.job_type.is_equivalent(&job.job_type) => {
                last.promises.extend(job.promises);
            }
            // Step 6.3.
            Some(_) => queue.push_back(job),
        }
    }

    /// *Run Job*, for every queue whose head may begin.
    pub(crate) fn run_jobs(&mut self) {
        while let Some(key) = self.runnable.pop_front() {
            let Some(job) = self.head(&key) else { continue };
            if !matches!(job.step, Step::Queued) {
                continue;
            }
            match job.job_type.clone() {
                JobType::Register(args) => self.register(&key, &args),
                JobType::Update(script) => self.update(&key, &script),
                JobType::Unregister => self.unregister(&key),
            }
        }
    }

    /// *Finish Job*.
    pub(crate) fn finish_job(&mut self, key: &ScopeKey) {
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        let finished = queue.pop_front();
        debug_assert!(finished.is_none_or(|job| job.promises.is_empty()));
        if queue.is_empty() {
            self.queues.remove(key);
        } else {
            self.runnable.push_back(key.clone());
        }
    }

    /// *Resolve Job Promise*.
    pub(crate) fn resolve_job(&mut self, key: &ScopeKey, value: &Settled) {
        self.settle_job(key, &Ok(value.clone()));
    }

    /// *Reject Job Promise*. If nobody waits (any more), it is reported.
    pub(crate) fn reject_job(&mut self, key: &ScopeKey, error: JobError) {
        let nobody_waits = self.head(key).is_some_and(|job| job.quiet || job.settled);
        self.settle_job(key, &Err(error.clone()));
        if nobody_waits {
            let scope = key.1.clone();
            self.report(Report::JobFailed { scope, error });
        }
    }

    fn settle_job(&mut self, key: &ScopeKey, result: &Result<Settled, JobError>) {
        let Some(job) = self.head(key) else { return };
        job.settled = true;
        for (promise, _) in std::mem::take(&mut job.promises) {
            self.output(Output::Settle(promise, result.clone()));
        }
    }

    pub(crate) fn head(&mut self, key: &ScopeKey) -> Option<&mut Job> {
        self.queues.get_mut(key)?.front_mut()
    }

    /// The arguments of the register or update job that runs.
    pub(crate) fn running_script(&mut self, key: &ScopeKey) -> Option<ScriptArgs> {
        self.head(key)?.script().cloned()
    }

    /// A client is gone: what it waits for settles now. The jobs go on.
    pub(crate) fn abort_job_promises_of(&mut self, client: ClientId) {
        let mut aborted = Vec::new();
        for job in self.queues.values_mut().flatten() {
            job.promises.retain(|(promise, waiting)| {
                let gone = *waiting == Some(client);
                if gone {
                    aborted.push(*promise);
                }
                !gone
            });
        }
        for promise in aborted {
            let error = JobError::Abort(format!("{client}, which asked, is gone"));
            self.output(Output::Settle(promise, Err(error)));
        }
    }

    /// Throws a queue away; every promise in it is rejected.
    pub(crate) fn abort_queue(&mut self, key: &ScopeKey, error: &JobError) {
        let queue: VecDeque<Job> = self.queues.remove(key).unwrap_or_default();
        self.requests
            .retain(|_, waiting| !matches!(waiting, Waiting::Job(of) if of == key));
        for job in queue {
            if let Step::Update(Update::Evaluating { worker }) = job.step {
                self.discard_worker(worker);
            }
            for (promise, _) in job.promises {
                self.output(Output::Settle(promise, Err(error.clone())));
            }
        }
    }
}

/// Who waits for the answer to a request.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    /// The job that runs.
    Job(ScopeKey),
    /// *Activate* of a registration.
    Activation(RegistrationId),
    /// The start of a worker.
    Start(WorkerId),
    /// Nobody; a failure is reported.
    Nobody(ScopeUrl),
    /// Whoever changed a registration's navigation preload, from what to what.
    NavigationPreload(PromiseId, RegistrationId, ChangedPreload),
    /// `ClearSiteData`.
    Clear(PromiseId),
}

impl Registry {
    pub(crate) fn request(&mut self, waiting: Waiting, request: crate::Request) -> RequestId {
        let id = RequestId::take_next(&mut self.next_request);
        self.requests.insert(id, waiting);
        self.output(Output::Request(id, request));
        id
    }
}
