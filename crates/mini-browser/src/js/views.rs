//! Registrations and workers as the prelude takes them.

use serde_json::{Value, json};
use service_worker::types::{RegistrationView, UpdateViaCache, WorkerView};

pub(super) fn registration(view: &RegistrationView) -> Value {
    json!({
        "id": view.id.0,
        "scope": view.scope.as_str(),
        "updateViaCache": update_via_cache(view.update_via_cache),
        "installing": view.installing.as_ref().map(worker),
        "waiting": view.waiting.as_ref().map(worker),
        "active": view.active.as_ref().map(worker),
    })
}

pub(super) fn worker(view: &WorkerView) -> Value {
    json!({
        "id": view.id.0,
        "scriptUrl": view.script_url.url().as_str(),
        "state": view.state.as_str(),
    })
}

const fn update_via_cache(mode: UpdateViaCache) -> &'static str {
    match mode {
        UpdateViaCache::Imports => "imports",
        UpdateViaCache::All => "all",
        UpdateViaCache::None => "none",
    }
}
