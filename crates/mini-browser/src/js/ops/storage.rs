//! Of `navigator.storage`.

use rquickjs::{Ctx, Promise, Result};
use serde_json::json;

use super::caches::access;
use super::{OpError, Ops, promise};
use crate::js::json::Json;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // estimate(): what the realm's storage key takes, and may take.
    let realm = ops.realm();
    ops.add(
        "op_storage_estimate",
        move |ctx: Ctx<'js>| -> Result<Promise<'js>> {
            let scripts = realm.seam().script_bytes(realm.environment().id);
            let estimate = access(&realm).map(|(store, key)| store.estimate(&key));
            promise(&ctx, &realm, async move {
                // Step 5.5: "if usage or quota is failure".
                let refused = |why: &str| OpError::type_error(format!("estimate: {why}"));
                let caches = estimate.map_err(|error| refused(&error.message))?.await;
                let caches = caches.map_err(|error| refused(&error.to_string()))?;
                let scripts = scripts.await;
                Ok(Json(json!({
                    "usage": caches.usage.saturating_add(scripts),
                    "quota": caches.quota,
                    "caches": caches.usage,
                    "serviceWorkerRegistrations": scripts,
                })))
            })
        },
    )?;

    // Obtain a local storage shelf: whether there is one.
    let realm = ops.realm();
    ops.add("op_has_storage", move || access(&realm).is_ok())
}
