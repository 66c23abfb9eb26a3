//! *Update* and *Soft Update*. The steps of *Update* are numbered as in SEMANTICS §1.4.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sw_types::fetch::{CacheMode, Referrer};
use sw_types::{
    ClientNotice, PromiseId, RegistrationId, RequestId, ScriptMap, ScriptResource, Site,
    StorageKey, UpdateViaCache, WorkerId, WorkerState,
};
use url::Url;

use crate::job::{Job, JobType, ScriptArgs, Step, Waiting};
use crate::lookup::is_stale;
use crate::script_check::check_main_script;
use crate::state::{Run, ScopeKey, Worker};
use crate::{
    FetchImport, FetchScript, FetchedScript, JobError, Output, Provenance, Registry, Request,
    Response, ScriptFetchError, StoreError,
};

/// Where *Update* waits.
#[derive(Debug)]
pub(crate) enum Update {
    /// Step 2: for the main script.
    FetchingScript,
    /// Step 5, to compare with the newest worker's script: for that to be read from the store.
    LoadingScripts { fetched: FetchedScript },
    /// Step 5: for the scripts that the newest worker imported.
    FetchingImports {
        pending: BTreeMap<RequestId, Url>,
        changed: bool,
        /// The *updated resource map*.
        updated: ScriptMap,
        /// Those whose responses were bad.
        failed: BTreeSet<Url>,
    },
    /// Step 8: for the new worker's script to be evaluated.
    Evaluating { worker: WorkerId },
}

impl Registry {
    /// `registration.update()`.
    pub(crate) fn start_update(
        &mut self,
        promise: PromiseId,
        id: RegistrationId,
        caller: Option<WorkerId>,
        referrer: Option<Referrer>,
    ) {
        let error = match self.may_update(id, caller) {
            Ok(()) if self.schedule_update(id, false, Some(promise), referrer) => return,
            Ok(()) => JobError::InvalidState(format!("{id} has no worker yet")), // `update()`, step 3.
            Err(error) => error,
        };
        self.output(Output::Settle(promise, Err(error)));
    }

    fn may_update(&self, id: RegistrationId, caller: Option<WorkerId>) -> Result<(), JobError> {
        // By the letter, step 3 of `update()` would find no worker; browsers tell a registration that is gone
        // apart from one that has no worker yet, and their shared tests expect that.
        let Some(registration) = self.registrations.get(&id) else {
            return Err(JobError::Type(format!("{id} was unregistered")));
        };
        // `update()`, step 4.
        let installing = caller
            .and_then(|caller| self.workers.get(&caller))
            .is_some_and(|caller| caller.state == WorkerState::Installing);
        if installing {
            return Err(JobError::InvalidState(format!(
                "an installing worker of {} cannot update its registration",
                registration.scope
            )));
        }
        Ok(())
    }

    /// *Soft Update*.
    pub(crate) fn soft_update(&mut self, id: RegistrationId, force_bypass_cache: bool) {
        if !self.schedule_update(id, force_bypass_cache, None, None) {
            tracing::debug!(%id, "soft update without a newest worker");
        }
    }

    /// Creates an update job from the newest worker; `false` if there is none.
    fn schedule_update(
        &mut self,
        id: RegistrationId,
        force_bypass_cache: bool,
        promise: Option<PromiseId>,
        referrer: Option<Referrer>,
    ) -> bool {
        let Some(registration) = self.registrations.get(&id) else {
            return false;
        };
        let newest = registration
            .newest()
            .and_then(|newest| self.workers.get(&newest));
        let Some(newest) = newest else { return false };
        let script = ScriptArgs {
            url: newest.script_url.clone(),
            worker_type: newest.worker_type,
            update_via_cache: None,
            force_bypass_cache,
            referrer,
            initiator: own_site(&registration.storage_key),
        };
        let key = registration.key();
        let promise = promise.map(|promise| (promise, None));
        self.schedule_job(key, Job::new(JobType::Update(script), promise));
        true
    }

    /// *Update*.
    pub(crate) fn update(&mut self, key: &ScopeKey, script: &ScriptArgs) {
        // Step 1, with *Get Registration*.
        let Some(registration) = self.registration_at(key) else {
            self.reject_job(
                key,
                JobError::Type(format!("scope {} is not registered", key.1)),
            );
            self.finish_job(key);
            return;
        };
        // "Registration's update via cache mode", by the letter; but of a `register()` that changes the
        // mode, browsers heed what it asks for, and so does this.
        let update_via_cache = script
            .update_via_cache
            .unwrap_or(registration.update_via_cache);
        // Whoever registers a script answers for it; an update is made as the registration was.
        let by_header = match self.queues.get(key).and_then(|queue| queue.front()) {
            Some(job) if job.is_update() => registration.provenance != Provenance::Script,
            Some(job) => job.is_by_header(),
            None => false,
        };
        let stale = self.is_stale(registration.id);
        let newest = self.newest_at(key);
        // Step 1, second half.
        let is_update = self
            .queues
            .get(key)
            .and_then(|queue| queue.front())
            .is_some_and(Job::is_update);
        if let Some(newest) = newest.filter(|newest| is_update && newest.script_url != script.url) {
            let error = JobError::Type(format!(
                "the newest worker of {} runs {}, and no longer {}",
                key.1, newest.script_url, script.url
            ));
            self.reject_job(key, error);
            self.finish_job(key);
            return;
        }
        // Step 2: the cache mode.
        // What is stale bypasses the cache for all of this update: the answer to this fetch will
        // reset the time of the check, before the imported scripts are fetched.
        let force_bypass_cache = script.force_bypass_cache || (newest.is_some() && stale);
        let no_cache = update_via_cache != UpdateViaCache::All || force_bypass_cache;
        if let Some(script) = self.head(key).and_then(Job::script_mut) {
            script.force_bypass_cache = force_bypass_cache;
        }
        let fetch = FetchScript {
            script_url: script.url.clone(),
            worker_type: script.worker_type,
            cache: cache_mode(no_cache),
            referrer: script.referrer.clone(),
            storage_key: key.0.clone(),
            initiator: script.initiator.clone(),
            by_header,
        };
        self.set_step(key, Step::Update(Update::FetchingScript));
        self.request(
            Waiting::Job(key.clone()),
            Request::FetchScript(Box::new(fetch)),
        );
    }

    /// An answer for the job that runs, in one of the steps of *Update*.
    pub(crate) fn continue_update(
        &mut self,
        key: &ScopeKey,
        step: Update,
        request: RequestId,
        response: Response,
    ) {
        match (step, response) {
            (Update::FetchingScript, Response::Script(result)) => self.script_fetched(key, result),
            (Update::LoadingScripts { fetched }, Response::Scripts(result)) => {
                self.scripts_loaded(key, fetched, result);
            }
            (
                Update::FetchingImports {
                    pending,
                    changed,
                    updated,
                    failed,
                },
                Response::Script(result),
            ) => {
                let so_far = (pending, changed, updated, failed);
                self.import_fetched(key, request, so_far, result);
            }
            (step, response) => {
                // The host answered another question: go on waiting.
                tracing::debug!(?response, "an answer of the wrong kind");
                self.requests.insert(request, Waiting::Job(key.clone()));
                self.set_step(key, Step::Update(step));
            }
        }
    }

    fn script_fetched(&mut self, key: &ScopeKey, result: Result<FetchedScript, ScriptFetchError>) {
        let Some(script) = self.running_script(key) else {
            return;
        };
        let is_update = self.head(key).is_some_and(|job| job.is_update());
        let checked = match result {
            Err(error) => Err(JobError::Type(format!(
                "script {} could not be fetched: {error}",
                script.url
            ))),
            Ok(fetched) => {
                check_main_script(&fetched, &script.url, &key.1, is_update).map(|()| fetched)
            }
        };
        match checked {
            Ok(fetched) => {
                // Step 5: the time of the check.
                if !fetched.from_cache {
                    self.stamp_update_check(key);
                }
                self.compare(key, &script, fetched);
            }
            // Steps 3, 4 and 6.
            Err(error) => self.fail_update(key, error),
        }
    }

    /// Step 5: has anything changed?
    fn compare(&mut self, key: &ScopeKey, script: &ScriptArgs, fetched: FetchedScript) {
        let Some(newest) = self.newest_at(key) else {
            return self.evaluate(key, script, main_only(script, fetched), BTreeSet::new());
        };
        if newest.script_url != script.url || newest.worker_type != script.worker_type {
            return self.evaluate(key, script, main_only(script, fetched), BTreeSet::new());
        }
        let Some(scripts) = &newest.scripts else {
            let load = Request::LoadScripts(newest.id);
            self.set_step(key, Step::Update(Update::LoadingScripts { fetched }));
            self.request(Waiting::Job(key.clone()), load);
            return;
        };
        let main = scripts.get(script.url.url());
        if main.is_none_or(|main| main.body != fetched.body) {
            return self.evaluate(key, script, main_only(script, fetched), BTreeSet::new());
        }
        // The specification refetches what `importScripts` brought; browsers compare the imports of
        // modules too, and so does this.
        let imports: Vec<Url> = scripts
            .keys()
            .filter(|url| *url != script.url.url())
            .cloned()
            .collect();
        if imports.is_empty() {
            return self.unchanged(key, script);
        }
        let cache = self.imports_cache(key, script);
        let mut pending = BTreeMap::new();
        for url in imports {
            let fetch = FetchImport {
                url: url.clone(),
                script_url: script.url.clone(),
                worker_type: script.worker_type,
                cache,
                referrer: script.referrer.clone(),
                storage_key: key.0.clone(),
                initiator: script.initiator.clone(),
            };
            let fetch = Request::FetchImport(Box::new(fetch));
            pending.insert(self.request(Waiting::Job(key.clone()), fetch), url);
        }
        let updated = main_only(script, fetched);
        let step = Update::FetchingImports {
            pending,
            changed: false,
            updated,
            failed: BTreeSet::new(),
        };
        self.set_step(key, Step::Update(step));
    }

    fn scripts_loaded(
        &mut self,
        key: &ScopeKey,
        fetched: FetchedScript,
        result: Result<ScriptMap, StoreError>,
    ) {
        let Some(script) = self.running_script(key) else {
            return;
        };
        let newest = self.newest_at(key).map(|newest| newest.id);
        match (
            result,
            newest.and_then(|newest| self.workers.get_mut(&newest)),
        ) {
            (Ok(scripts), Some(newest)) => {
                newest.scripts.get_or_insert(scripts);
                self.compare(key, &script, fetched);
            }
            // What cannot be read any more is not the same: the new version replaces it.
            (Err(error), _) => {
                tracing::debug!(%error, "the stored script cannot be read");
                let scripts = main_only(&script, fetched);
                self.evaluate(key, &script, scripts, BTreeSet::new());
            }
            // There is nothing to compare with any more.
            (Ok(_), None) => {
                let scripts = main_only(&script, fetched);
                self.evaluate(key, &script, scripts, BTreeSet::new());
            }
        }
    }

    /// Step 7: nothing has changed.
    pub(crate) fn unchanged(&mut self, key: &ScopeKey, script: &ScriptArgs) {
        let Some(id) = self.registration_id_at(key) else {
            return self.fail_update(key, gone(key));
        };
        let before = self.registrations[&id].update_via_cache;
        self.copy_job_to_registration(key, id, script.update_via_cache);
        if let Some(view) = self.registration(id) {
            if view.update_via_cache != before {
                self.notify_all(&key.0, &ClientNotice::UpdateViaCacheChanged(view));
            }
        }
        self.store_for_nobody(id);
        self.resolve_with_registration(key, id);
        self.finish_job(key);
    }

    /// Step 8: a new worker, and *Run Service Worker*.
    /// By the letter, the new worker would fetch anew what could not be fetched a moment ago;
    /// browsers take that answer for its import too, and their shared tests expect that.
    pub(crate) fn evaluate(
        &mut self,
        key: &ScopeKey,
        script: &ScriptArgs,
        scripts: ScriptMap,
        failed_imports: BTreeSet<Url>,
    ) {
        let Some(registration) = self.registration_id_at(key) else {
            return self.fail_update(key, gone(key));
        };
        let id = WorkerId::take_next(&mut self.next_worker);
        let worker = Worker {
            id,
            registration,
            script_url: script.url.clone(),
            worker_type: script.worker_type,
            state: WorkerState::Parsed,
            used: BTreeSet::from([script.url.url().clone()]),
            scripts: Some(scripts),
            imports_cache: self.imports_cache(key, script),
            failed_imports,
            skip_waiting: false,
            skipping: Vec::new(),
            ever_evaluated: false,
            event_types: Default::default(),
            fetch_handler: Default::default(),
            fall_through: Arc::new([]),
            router_rules: Arc::new([]),
            run: Run::Stopped,
            run_id: None,
            awaited_by: Vec::new(),
            lifecycle: None,
            last_wake: None,
            deadline: None,
            failures: 0,
            bypassed_until: None,
            script_bytes: 0,
        };
        self.workers.insert(id, worker);
        self.set_step(key, Step::Update(Update::Evaluating { worker: id }));
        self.start_worker(id);
    }

    /// Step 8: it did not start.
    pub(crate) fn evaluation_failed(&mut self, key: &ScopeKey, worker: WorkerId, error: &str) {
        let script = self.workers.get(&worker).map(|worker| &worker.script_url);
        let error = JobError::Type(match script {
            Some(script) => format!("script {script} failed to evaluate: {error}"),
            None => format!("the script failed to evaluate: {error}"),
        });
        self.discard_worker(worker);
        self.fail_update(key, error);
    }

    /// Steps 6 and 8: reject; a registration that never had a worker goes.
    fn fail_update(&mut self, key: &ScopeKey, error: JobError) {
        self.reject_job(key, error);
        self.remove_if_empty(key);
        self.finish_job(key);
    }

    /// "If newestWorker is null, remove registration map\[…\]": the registration has no worker.
    pub(crate) fn remove_if_empty(&mut self, key: &ScopeKey) {
        if let Some(registration) = self.registration_at(key) {
            let (id, empty) = (registration.id, registration.newest().is_none());
            if empty {
                self.clear(id);
            }
        }
    }

    /// Install, step 3 and Update, step 7: what the job says of the registration.
    pub(crate) fn copy_job_to_registration(
        &mut self,
        key: &ScopeKey,
        id: RegistrationId,
        update_via_cache: Option<UpdateViaCache>,
    ) {
        let provenance = match self.head(key).map(|job| &job.job_type) {
            Some(JobType::Register(args)) => Some(args.provenance),
            _ => None,
        };
        if let Some(registration) = self.registrations.get_mut(&id) {
            registration.update_via_cache =
                update_via_cache.unwrap_or(registration.update_via_cache);
            registration.provenance = provenance.unwrap_or(registration.provenance);
        }
        self.changed.insert(id);
    }

    pub(crate) fn stamp_update_check(&mut self, key: &ScopeKey) {
        let now = self.now().wall;
        if let Some(id) = self.registration_id_at(key) {
            if let Some(registration) = self.registrations.get_mut(&id) {
                registration.last_update_check = Some(now);
                self.changed.insert(id);
            }
        }
    }

    fn is_stale(&self, id: RegistrationId) -> bool {
        self.registrations.get(&id).is_some_and(|registration| {
            let checked = registration.last_update_check;
            is_stale(checked, self.limits.stale_after, self.now().wall)
        })
    }
}

pub(crate) const fn cache_mode(no_cache: bool) -> CacheMode {
    if no_cache {
        CacheMode::NoCache
    } else {
        CacheMode::Default
    }
}

fn main_only(script: &ScriptArgs, fetched: FetchedScript) -> ScriptMap {
    ScriptMap::from([(script.url.url().clone(), resource(fetched))])
}

pub(crate) fn resource(fetched: FetchedScript) -> Arc<ScriptResource> {
    Arc::new(ScriptResource {
        body: fetched.body,
        headers: fetched.headers,
    })
}

fn gone(key: &ScopeKey) -> JobError {
    JobError::Abort(format!("the registration of {} is gone", key.1))
}

/// On whose behalf a registration is updated when no client asks.
fn own_site(key: &StorageKey) -> Site {
    key.top_level_site()
        .cloned()
        .unwrap_or_else(|| Site::of(key.origin()))
}
