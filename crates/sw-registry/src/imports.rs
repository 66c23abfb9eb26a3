//! Imported scripts: what *importScripts* comes to in a service worker, and how *Update* compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sw_types::fetch::{CacheMode, Referrer, ReferrerPolicy};
use sw_types::{RequestId, ScriptMap, ScriptResource, Site, UpdateViaCache, WorkerId, WorkerState};
use url::Url;

use crate::job::{ScriptArgs, Step};
use crate::script_check::check_import;
use crate::state::{ScopeKey, Worker};
use crate::update::{Update, cache_mode, resource};
use crate::{FetchImport, FetchedScript, Registry, ScriptFetchError};

/// What *importScripts* comes to in a service worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are these three")]
pub enum Import {
    /// The worker has it in its *script resource map*: tell
    /// [`Input::ScriptImported`](crate::Input::ScriptImported).
    Have(Arc<ScriptResource>),
    /// It is to be fetched, checked, and told as well.
    Fetch(Box<FetchImport>),
    /// A worker that is installed imports only what it imported before.
    Refused,
}

impl Registry {
    /// A worker imported a script. (*importScripts* in a service worker; the response was checked.)
    pub(crate) fn script_imported(
        &mut self,
        worker: WorkerId,
        url: Url,
        fetched: Option<Arc<ScriptResource>>,
        from_cache: bool,
    ) {
        let Some(importing) = self.workers.get_mut(&worker) else {
            tracing::debug!(%worker, "an import of an unknown worker");
            return;
        };
        if !matches!(
            importing.state,
            WorkerState::Parsed | WorkerState::Installing
        ) {
            tracing::debug!(%worker, %url, "an import after installation");
            return;
        }
        importing.used.insert(url.clone());
        if let (Some(script), Some(scripts)) = (fetched, &mut importing.scripts) {
            scripts.insert(url, script);
            if !from_cache {
                let registration = importing.registration;
                if let Some(key) = self.registrations.get(&registration).map(|r| r.key()) {
                    self.stamp_update_check(&key);
                }
            }
        }
    }

    /// *importScripts* in a service worker, up to its fetch: what is to be done about a script.
    #[must_use]
    pub fn import(&self, worker: WorkerId, url: &Url) -> Import {
        let Some(importing) = self.workers.get(&worker) else {
            return Import::Refused;
        };
        let have = importing.scripts.as_ref().and_then(|map| map.get(url));
        if let Some(script) = have {
            return Import::Have(Arc::clone(script));
        }
        let new = matches!(
            importing.state,
            WorkerState::Parsed | WorkerState::Installing
        );
        let Some(registration) = self.registrations.get(&importing.registration) else {
            return Import::Refused;
        };
        if !new || importing.failed_imports.contains(url) {
            return Import::Refused;
        }
        let key = &registration.storage_key;
        let site = key.top_level_site().cloned();
        Import::Fetch(Box::new(FetchImport {
            url: url.clone(),
            script_url: importing.script_url.clone(),
            worker_type: importing.worker_type,
            cache: importing.imports_cache,
            referrer: Some(referrer(importing)),
            storage_key: key.clone(),
            initiator: site.unwrap_or_else(|| Site::of(key.origin())),
        }))
    }

    /// Step 5: an imported script.
    pub(crate) fn import_fetched(
        &mut self,
        key: &ScopeKey,
        request: RequestId,
        so_far: (BTreeMap<RequestId, Url>, bool, ScriptMap, BTreeSet<Url>),
        result: Result<FetchedScript, ScriptFetchError>,
    ) {
        let Some(script) = self.running_script(key) else {
            return;
        };
        let (mut pending, mut changed, mut updated, mut failed) = so_far;
        if let Some(url) = pending.remove(&request) {
            if result.as_ref().is_ok_and(|fetched| !fetched.from_cache) {
                self.stamp_update_check(key);
            }
            let good = result
                .ok()
                .filter(|fetched| check_import(fetched, &url).is_ok());
            // Bad responses are ignored: they are no change.
            if let Some(fetched) = good {
                let old = self
                    .newest_at(key)
                    .and_then(|newest| newest.scripts.as_ref()?.get(&url));
                changed |= old.is_none_or(|old| old.body != fetched.body);
                updated.insert(url, resource(fetched));
            } else {
                failed.insert(url);
            }
        }
        if !pending.is_empty() {
            let step = Update::FetchingImports {
                pending,
                changed,
                updated,
                failed,
            };
            self.set_step(key, Step::Update(step));
        } else if changed {
            self.evaluate(key, &script, updated, failed);
        } else {
            self.unchanged(key, &script);
        }
    }

    /// The cache mode of imported scripts.
    pub(crate) fn imports_cache(&self, key: &ScopeKey, script: &ScriptArgs) -> CacheMode {
        let registration = self.registration_at(key);
        let update_via_cache = script
            .update_via_cache
            .or(registration.map(|found| found.update_via_cache));
        cache_mode(script.force_bypass_cache || update_via_cache == Some(UpdateViaCache::None))
    }
}

/// A worker as what it imports sees it. Its policy container came with its main script.
fn referrer(worker: &Worker) -> Referrer {
    let url = worker.script_url.url();
    let main = worker.scripts.as_ref().and_then(|map| map.get(url));
    let policy = main.and_then(|main| ReferrerPolicy::of_headers(&main.headers));
    Referrer {
        url: url.clone(),
        policy: policy.unwrap_or_default(),
    }
}
