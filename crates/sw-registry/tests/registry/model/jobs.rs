//! Jobs: *Schedule Job*, *Run Job*, *Finish Job*; *Register* and *Unregister*.

use std::collections::{BTreeMap, BTreeSet};

use sw_registry::Provenance;
use sw_types::{ClientId, PromiseId, RegistrationId, UpdateViaCache};

use super::disk::Then;
use super::{Key, Main, Model, Registration};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobType {
    Register,
    Update,
    Unregister,
}

#[derive(Debug)]
pub(super) struct Job {
    /// Which one it is: what was asked for an aborted one is not its successor's.
    pub(super) number: u64,
    pub(super) job_type: JobType,
    pub(super) script: Main,
    /// Unset for updates, as who registers is.
    pub(super) update_via_cache: Option<UpdateViaCache>,
    pub(super) provenance: Option<Provenance>,
    pub(super) force: bool,
    pub(super) promises: Vec<(PromiseId, Option<ClientId>)>,
    pub(super) settled: bool,
    /// Whether nobody ever waited for it.
    quiet: bool,
    /// The imported scripts that an update still compares, whether any has changed, and the *updated
    /// resource map*.
    pub(super) to_compare: usize,
    pub(super) changed: bool,
    pub(super) updated: BTreeMap<&'static str, u64>,
    pub(super) failed: BTreeSet<&'static str>,
    /// What the registration was before the installation.
    pub(super) before: Option<(UpdateViaCache, Provenance)>,
}

impl Job {
    pub(super) fn new(
        job_type: JobType,
        script: Main,
        promise: Option<(PromiseId, Option<ClientId>)>,
    ) -> Self {
        Self {
            number: 0,
            job_type,
            script,
            update_via_cache: None,
            provenance: None,
            force: false,
            quiet: promise.is_none(),
            promises: promise.into_iter().collect(),
            settled: false,
            to_compare: 0,
            changed: false,
            updated: BTreeMap::new(),
            failed: BTreeSet::new(),
            before: None,
        }
    }

    fn is_equivalent(&self, other: &Self) -> bool {
        self.job_type == other.job_type
            && self.script == other.script
            && self.update_via_cache == other.update_via_cache
            && self.provenance == other.provenance
    }

    /// Whether a response header asks for it.
    pub(super) fn is_by_header(&self) -> bool {
        matches!(self.provenance, Some(Provenance::Header { .. }))
    }
}

impl Model {
    pub(super) fn schedule_job(&mut self, key: Key, mut job: Job) {
        job.number = self.next_job;
        self.next_job += 1;
        let queue = self.queues.entry(key).or_default();
        match queue.back_mut() {
            None => {
                queue.push_back(job);
                self.to_run.push_back(key);
            }
            Some(last) if !last.settled && last.is_equivalent(&job) => {
                last.promises.extend(job.promises);
            }
            Some(_) => queue.push_back(job),
        }
    }

    pub(super) fn run_job(&mut self, key: Key) {
        let job = &self.queues[&key][0];
        let (script, found) = (job.script, self.registration_at(key));
        match (job.job_type, found) {
            (JobType::Register, Some(id)) => self.run_register(key, id),
            (JobType::Register, None) => {
                let id = self.set_registration(key);
                self.run_update(key, id);
            }
            (JobType::Update, None) => {
                self.reject_job(key, "TypeError");
                self.finish_job(key);
            }
            (JobType::Update, Some(id)) => {
                let newest = self.newest(id).map(|newest| &self.workers[&newest]);
                if newest.is_some_and(|it| it.script.0 != script.0) {
                    self.reject_job(key, "TypeError");
                    self.finish_job(key);
                } else {
                    self.run_update(key, id);
                }
            }
            (JobType::Unregister, None) => {
                self.resolve_job(key, "Unregistered(false)");
                self.finish_job(key);
            }
            (JobType::Unregister, Some(id)) => self.remove_row(key, id),
        }
    }

    /// *Register*, where there is a registration.
    fn run_register(&mut self, key: Key, id: RegistrationId) {
        let job = &self.queues[&key][0];
        let asks = job.provenance.expect("it registers");
        let newest = self.newest(id).map(|newest| &self.workers[&newest]);
        let it = &self.registrations[&id];
        let by_script = it.provenance == Provenance::Script;
        if newest.is_some_and(|it| it.script == job.script)
            && Some(it.update_via_cache) == job.update_via_cache
        {
            // SEMANTICS §5.6: what a script asks for is a script's; and the host's policy may have
            // changed.
            if !by_script && it.provenance != asks {
                self.registration(id).provenance = asks;
                self.write(id, Then::Nobody(key));
            }
            self.resolve_job(key, &format!("registration {id}"));
            self.finish_job(key);
        } else if by_script && job.is_by_header() {
            self.reject_job(key, "InvalidStateError");
            self.finish_job(key);
        } else {
            self.run_update(key, id);
        }
    }

    /// *Unregister*: first its row goes, if there may be one.
    pub(super) fn remove_row(&mut self, key: Key, id: RegistrationId) {
        if std::mem::take(&mut self.registration(id).row) {
            let job = self.head(key).number;
            self.write_removal(id, Then::Unregister(key, job, id));
        } else {
            self.unregistered(key, id);
        }
    }

    pub(super) fn unregistered(&mut self, key: Key, id: RegistrationId) {
        self.registration(id).unregistered = true;
        self.resolve_job(key, "Unregistered(true)");
        self.try_clear(id);
        self.finish_job(key);
    }

    /// *Set Registration*.
    fn set_registration(&mut self, key: Key) -> RegistrationId {
        let job = &self.queues[&key][0];
        let registration = Registration {
            key,
            update_via_cache: job.update_via_cache.expect("it registers"),
            provenance: job.provenance.expect("it registers"),
            last_check: None,
            installing: None,
            waiting: None,
            active: None,
            unregistered: false,
            activating: false,
            storing_activation: false,
            storing_install: false,
            row: false,
            wakes: Vec::new(),
        };
        let id = RegistrationId(self.next_registration);
        self.next_registration += 1;
        self.registrations.insert(id, registration);
        id
    }

    /// A registration that never had a worker goes.
    pub(super) fn remove_if_empty(&mut self, key: Key) {
        if let Some(id) = self.registration_at(key) {
            if self.newest(id).is_none() {
                self.clear(id);
            }
        }
    }

    pub(super) fn resolve_job(&mut self, key: Key, value: &str) {
        let job = self.head(key);
        job.settled = true;
        for (promise, _) in std::mem::take(&mut job.promises) {
            self.settle(promise, value);
        }
    }

    /// If nobody waits, or not any more, it is reported.
    pub(super) fn reject_job(&mut self, key: Key, error: &str) {
        let job = self.head(key);
        if job.quiet || job.settled {
            self.reports.push(format!("{} failed: {error}", key.1));
        }
        self.resolve_job(key, error);
    }

    pub(super) fn finish_job(&mut self, key: Key) {
        let queue = self.queues.get_mut(&key).expect("a job of it runs");
        queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.to_run.push_back(key);
        }
    }

    pub(super) fn head(&mut self, key: Key) -> &mut Job {
        let queue = self.queues.get_mut(&key).expect("a job of it runs");
        &mut queue[0]
    }

    pub(super) fn registration(&mut self, id: RegistrationId) -> &mut Registration {
        let it = self.registrations.get_mut(&id);
        it.expect("an algorithm holds it")
    }
}
