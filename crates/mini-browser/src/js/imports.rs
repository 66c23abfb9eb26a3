//! The imported scripts of service workers: what they imported while they were installed, and nothing
//! else. (*Service Workers*, "importScripts(urls)" and "script resource map".)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use service_worker::types::{ScriptMap, WorkerState};
use url::Url;

use super::blocking::FetchedScript;
use super::realm::{RealmKind, RealmState};

/// The scripts that a worker has imported, by URL: a service of its realm, which its host keeps for its
/// next runs. The facade stores only what it was given, the main script.
#[derive(Debug, Default)]
pub(super) struct Imports {
    scripts: Mutex<BTreeMap<Url, FetchedScript>>,
    /// Whether the worker was installed.
    closed: AtomicBool,
}

/// What a service worker imports from where it is stored: `None` if it is to be fetched.
pub(super) fn stored(realm: &RealmState, url: &Url) -> Option<Result<FetchedScript, String>> {
    let RealmKind::ServiceWorker(start) = realm.kind() else {
        return None;
    };
    if let Some(script) = of_map(&start.scripts, url) {
        return Some(Ok(script));
    }
    let imports = realm.service::<Imports>()?;
    let found = imports.lock().get(url).cloned();
    // Step 5: only while the worker is parsed or installing.
    let is_open = matches!(start.state, WorkerState::Parsed | WorkerState::Installing)
        && !imports.closed.load(Ordering::Relaxed);
    match found {
        Some(script) => Some(Ok(script)),
        None if is_open => None,
        None => Some(Err(
            "a service worker can import only what it imported while it was installed".to_owned(),
        )),
    }
}

/// A service worker imported what is at that URL.
pub(super) fn keep(realm: &RealmState, url: &Url, script: &FetchedScript) {
    if let Some(imports) = realm.service::<Imports>() {
        imports.lock().insert(url.clone(), script.clone());
    }
}

/// The service worker was installed.
pub(super) fn close(realm: &RealmState) {
    if let Some(imports) = realm.service::<Imports>() {
        imports.closed.store(true, Ordering::Relaxed);
    }
}

impl Imports {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Url, FetchedScript>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_map(scripts: &ScriptMap, url: &Url) -> Option<FetchedScript> {
    let script = scripts.get(url).map(Arc::clone)?;
    let essence = service_worker::types::fetch::mime_essence(&script.headers);
    Some(FetchedScript {
        url: url.clone(),
        essence: essence.unwrap_or_else(|| "text/javascript".to_owned()),
        body: Bytes::clone(&script.body),
        muted_errors: false,
    })
}
