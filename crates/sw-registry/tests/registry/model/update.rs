//! *Update*. The steps are numbered as in SEMANTICS §1.4.

use std::collections::{BTreeMap, BTreeSet};

use sw_types::{RegistrationId, UpdateViaCache, WorkerId, WorkerState};

use super::disk::Then;
use super::jobs::JobType;
use super::{Key, Model, Worker};

/// What a fetch of a script came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fetched {
    Failed,
    Redirect,
    NoScript { from_cache: bool },
    Script { body: u64, from_cache: bool },
}

impl Model {
    /// Step 2.
    pub(super) fn run_update(&mut self, key: Key, id: RegistrationId) {
        let stale = self.is_stale(id) && self.newest(id).is_some();
        let of_registration = self.registrations[&id].update_via_cache;
        let job = self.head(key);
        job.force |= stale;
        let mode = job.update_via_cache.unwrap_or(of_registration);
        let no_cache = mode != UpdateViaCache::All || job.force;
        let ((script, _), number) = (job.script, job.number);
        self.fetches.push_back((key, number, script));
        self.fetched.push((script, no_cache));
    }

    /// A fetch of the job at the head of this queue was answered.
    pub(crate) fn fetched(&mut self, (key, job, path): (Key, u64, &'static str), fetched: Fetched) {
        if !self.runs_job(key, job) {
            return;
        }
        if self.head(key).to_compare > 0 {
            self.import_fetched(key, path, fetched);
        } else {
            self.script_fetched(key, fetched);
        }
        self.settle_down();
    }

    fn script_fetched(&mut self, key: Key, fetched: Fetched) {
        let job = self.head(key);
        let script = job.script;
        let (body, from_cache) = match fetched {
            Fetched::Failed => return self.fail_update(key, "TypeError"),
            Fetched::Redirect if job.job_type == JobType::Update => {
                return self.fail_update(key, "TypeError");
            }
            // Step 3.
            Fetched::Redirect | Fetched::NoScript { .. } => {
                return self.fail_update(key, "SecurityError");
            }
            Fetched::Script { body, from_cache } => (body, from_cache),
        };
        // Step 5.
        let id = self.registration_at(key).expect("a job holds it");
        self.stamp(id, from_cache);
        let newest = self.newest(id).map(|newest| &self.workers[&newest]);
        let same = newest.filter(|it| it.script == script && it.scripts[script.0] == body);
        let Some(newest) = same else {
            return self.evaluate(key, id, BTreeMap::from([(script.0, body)]));
        };
        let paths = newest.scripts.keys().copied();
        let imports: Vec<&str> = paths.filter(|path| *path != script.0).collect();
        if imports.is_empty() {
            return self.unchanged(key, id);
        }
        let no_cache = self.imports_bypass_the_cache(key, id);
        let job = self.head(key);
        job.updated = BTreeMap::from([(script.0, body)]);
        job.to_compare = imports.len();
        let number = job.number;
        for path in imports {
            self.fetches.push_back((key, number, path));
            self.fetched.push((path, no_cache));
        }
    }

    /// Step 5, of an imported script. Bad responses are ignored.
    fn import_fetched(&mut self, key: Key, path: &'static str, fetched: Fetched) {
        let id = self.registration_at(key).expect("a job holds it");
        let newest = self.newest(id).expect("it is compared with");
        let known = self.workers[&newest].scripts.get(path).copied();
        if let Fetched::NoScript { from_cache } | Fetched::Script { from_cache, .. } = fetched {
            self.stamp(id, from_cache);
        }
        if let Fetched::Redirect = fetched {
            self.stamp(id, false);
        }
        let job = self.head(key);
        if let Fetched::Script { body, .. } = fetched {
            job.changed |= known != Some(body);
            job.updated.insert(path, body);
        } else {
            job.failed.insert(path);
        }
        job.to_compare -= 1;
        if job.to_compare > 0 {
            return;
        }
        let (changed, updated) = (job.changed, std::mem::take(&mut job.updated));
        if changed {
            self.evaluate(key, id, updated);
        } else {
            self.unchanged(key, id);
        }
    }

    fn stamp(&mut self, id: RegistrationId, from_cache: bool) {
        if !from_cache {
            self.registration(id).last_check = Some(self.now.wall);
        }
    }

    fn imports_bypass_the_cache(&mut self, key: Key, id: RegistrationId) -> bool {
        let of_registration = self.registrations[&id].update_via_cache;
        let job = self.head(key);
        let mode = job.update_via_cache.unwrap_or(of_registration);
        job.force || mode == UpdateViaCache::None
    }

    /// Step 6.
    pub(super) fn fail_update(&mut self, key: Key, error: &str) {
        self.reject_job(key, error);
        self.remove_if_empty(key);
        self.finish_job(key);
    }

    /// Step 7.
    fn unchanged(&mut self, key: Key, id: RegistrationId) {
        let before = self.registrations[&id].update_via_cache;
        self.copy_job_to_registration(key, id);
        // The mode is live at every registration object.
        let mode = self.registrations[&id].update_via_cache;
        if mode != before {
            self.tell_all(id, &format!("updateviacache {mode:?}"));
        }
        self.write(id, Then::Nobody(key));
        self.resolve_job(key, &format!("registration {id}"));
        self.finish_job(key);
    }

    pub(super) fn copy_job_to_registration(&mut self, key: Key, id: RegistrationId) {
        let job = self.head(key);
        let (update_via_cache, provenance) = (job.update_via_cache, job.provenance);
        let it = self.registration(id);
        it.update_via_cache = update_via_cache.unwrap_or(it.update_via_cache);
        it.provenance = provenance.unwrap_or(it.provenance);
    }

    /// Step 8.
    fn evaluate(
        &mut self,
        key: Key,
        registration: RegistrationId,
        scripts: BTreeMap<&'static str, u64>,
    ) {
        let no_cache = self.imports_bypass_the_cache(key, registration);
        let job = self.head(key);
        let (script, failed) = (job.script, std::mem::take(&mut job.failed));
        let mut worker = Worker::new(registration, script, scripts);
        worker.used = BTreeSet::from([script.0]);
        worker.no_cache = no_cache;
        worker.failed = failed;
        worker.starting = true;
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.workers.insert(id, worker);
    }
}

impl Worker {
    pub(super) fn new(
        registration: RegistrationId,
        script: super::Main,
        scripts: BTreeMap<&'static str, u64>,
    ) -> Self {
        Self {
            registration,
            script,
            scripts,
            used: BTreeSet::new(),
            no_cache: false,
            failed: BTreeSet::new(),
            state: WorkerState::Parsed,
            skip_waiting: false,
            skipping: Vec::new(),
            starting: false,
            running: false,
            event: None,
            busy: false,
            awaited_by: Vec::new(),
            failures: 0,
            bypassed_until: None,
        }
    }
}
