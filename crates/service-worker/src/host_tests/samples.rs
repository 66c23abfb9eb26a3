//! Registrations to store, for tests of stores.

use std::sync::Arc;

use sw_types::{
    EncodedRouterRule, EventType, FallThroughRule, FetchHandler, NavigationPreload, RegistrationId,
    RequesterFilter, ScopeUrl, ScriptMap, ScriptResource, ScriptUrl, Site, StorageKey, Timestamp,
    UpdateViaCache, UrlError, WorkerId, WorkerState, WorkerType,
};
use url::Url;

use crate::{Provenance, StoreWrite, StoredRegistration, StoredWorker};

/// A registration of `https://site<id>.test`, with the active worker `10 * id` and, at every third
/// id, the waiting worker `10 * id + 1`.
///
/// # Errors
/// None; the URLs are good.
pub fn registration(id: u64) -> Result<StoredRegistration, UrlError> {
    let script_url = ScriptUrl::parse(&format!("https://site{id}.test/app/sw.js"), None)?;
    let key = StorageKey::first_party(script_url.origin());
    let waiting = id
        .is_multiple_of(3)
        .then(|| worker(10 * id + 1, &script_url, WorkerState::Installed));
    Ok(StoredRegistration {
        id: RegistrationId(id),
        storage_key: key.under(Site::of(&script_url.origin()), id.is_multiple_of(2)),
        scope: ScopeUrl::default_for(&script_url),
        update_via_cache: UpdateViaCache::All,
        last_update_check: Some(Timestamp(1_700_000_000_000 + id)),
        provenance: match id % 2 {
            0 => Provenance::Script,
            _ => Provenance::Header {
                controls_clients: false,
            },
        },
        navigation_preload: NavigationPreload {
            enabled: id.is_multiple_of(2),
            ..NavigationPreload::default()
        },
        waiting,
        active: Some(worker(10 * id, &script_url, WorkerState::Activated)),
    })
}

/// A worker with a main script and one that it imports.
#[must_use]
pub fn worker(id: u64, script_url: &ScriptUrl, state: WorkerState) -> StoredWorker {
    let main = script_url.url().clone();
    let mut imported = main.clone();
    imported.set_path("/app/imported.js");
    let mut prefix = main.clone();
    prefix.set_path("/app/data");
    StoredWorker {
        id: WorkerId(id),
        script_url: script_url.clone(),
        worker_type: WorkerType::Classic,
        state,
        event_types: [EventType::Install, EventType::Fetch].into_iter().collect(),
        fetch_handler: FetchHandler::Present,
        router_rules: vec![EncodedRouterRule {
            conditions: 1,
            rule: script_url.as_str().to_owned().into(),
        }],
        fall_through: vec![FallThroughRule {
            prefix,
            requesters: RequesterFilter::Any,
        }],
        scripts: ScriptMap::from([main, imported].map(|url| script(id, url))),
        script_bytes: 0,
    }
}

/// A script that says whose it is, long enough not to fit into one page of a database.
fn script(worker: u64, url: Url) -> (Url, Arc<ScriptResource>) {
    let mut headers = http::HeaderMap::new();
    let javascript = http::HeaderValue::from_static("text/javascript");
    headers.insert(http::header::CONTENT_TYPE, javascript);
    let line = format!("// {worker} {url}\n");
    let body = line.repeat(1 + (worker as usize % 7) * 40).into();
    (url, Arc::new(ScriptResource { body, headers }))
}

/// The same registration, its scripts unread: what a store restores.
#[must_use]
pub fn unread(mut registration: StoredRegistration) -> StoredRegistration {
    for worker in workers_mut(&mut registration) {
        worker.scripts.clear();
    }
    registration
}

/// The workers of a registration.
pub fn workers(registration: &StoredRegistration) -> impl Iterator<Item = &StoredWorker> {
    registration
        .waiting
        .iter()
        .chain(registration.active.iter())
}

fn workers_mut(registration: &mut StoredRegistration) -> impl Iterator<Item = &mut StoredWorker> {
    registration
        .waiting
        .iter_mut()
        .chain(registration.active.iter_mut())
}

/// Puts a registration.
#[must_use]
pub fn put(registration: &StoredRegistration) -> StoreWrite {
    StoreWrite::Put(Box::new(registration.clone()))
}

/// Removes a registration.
#[must_use]
pub const fn remove(id: u64) -> StoreWrite {
    StoreWrite::Remove(RegistrationId(id))
}
