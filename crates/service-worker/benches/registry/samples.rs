//! Registrations to look up and to store.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use service_worker::types::{
    EventType, EventTypes, FetchHandler, NavigationPreload, RegistrationId, ScopeUrl, ScriptMap,
    ScriptResource, ScriptUrl, StorageKey, Timestamp, UpdateViaCache, WorkerId, WorkerState,
    WorkerType,
};
use service_worker::{Provenance, StoredRegistration, StoredWorker};
use url::Url;

/// The address of one of a site's applications, or of something below it.
pub(crate) fn address(site: usize, application: usize, below: &str) -> Url {
    let address = format!("https://site{site}.example/application/{application}/{below}");
    Url::parse(&address).expect("a URL that is written here")
}

pub(crate) fn key(site: usize) -> StorageKey {
    let at = ScriptUrl::try_from(address(site, 0, "sw.js")).expect("an https URL");
    StorageKey::first_party(at.origin())
}

/// An active registration of one of a site's applications, its script unread.
pub(crate) fn registration(id: u64, site: usize, application: usize) -> StoredRegistration {
    let script_url =
        ScriptUrl::try_from(address(site, application, "sw.js")).expect("an https URL");
    StoredRegistration {
        id: RegistrationId(id),
        storage_key: StorageKey::first_party(script_url.origin()),
        scope: ScopeUrl::default_for(&script_url),
        update_via_cache: UpdateViaCache::Imports,
        last_update_check: Some(Timestamp(1_700_000_000_000)),
        provenance: Provenance::Script,
        navigation_preload: NavigationPreload::default(),
        waiting: None,
        active: Some(StoredWorker {
            id: WorkerId(id),
            script_url,
            worker_type: WorkerType::Classic,
            state: WorkerState::Activated,
            event_types: EventTypes::NONE.with(EventType::Fetch),
            fetch_handler: FetchHandler::Present,
            fall_through: Vec::new(),
            router_rules: Vec::new(),
            scripts: ScriptMap::new(),
            script_bytes: 70,
        }),
    }
}

/// The same with its script.
pub(crate) fn with_script(mut registration: StoredRegistration) -> StoredRegistration {
    if let Some(active) = &mut registration.active {
        let script = ScriptResource {
            body: "onfetch = event => event.respondWith(caches.match(event.request));".into(),
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("text/javascript"),
            )]),
        };
        let url = active.script_url.url().clone();
        active.scripts = ScriptMap::from([(url, Arc::new(script))]);
    }
    registration
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}
