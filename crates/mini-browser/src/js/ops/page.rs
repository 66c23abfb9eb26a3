//! Of registrations, for pages and workers: what `navigator.serviceWorker` asks.

use rquickjs::{Ctx, Promise, Result};
use service_worker::JobError;
use service_worker::types::{Origin, RegistrationId, RegistrationView, UpdateViaCache, WorkerType};

use super::{OpError, Ops, promise};
use crate::js::json::Json;
use crate::js::realm::{RealmKind, RealmState};
use crate::js::seam::{Pending, Registering};
use crate::js::views;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add(
        "op_register",
        move |ctx: Ctx<'js>,
              script_url: String,
              scope: Option<String>,
              worker_type: String,
              update_via_cache: String|
              -> Result<Promise<'js>> {
            let registering = Registering {
                script_url,
                scope,
                base_url: realm.base_url(),
                worker_type: match worker_type.as_str() {
                    "module" => WorkerType::Module,
                    _ => WorkerType::Classic,
                },
                update_via_cache: match update_via_cache.as_str() {
                    "all" => UpdateViaCache::All,
                    "none" => UpdateViaCache::None,
                    _ => UpdateViaCache::Imports,
                },
                referrer: realm.referrer(),
            };
            if is_ending_window(&realm) {
                // Its tasks would run no more, and the promise never settle.
                let message = "register: the window is closing, or gone";
                return Err(OpError::new("InvalidStateError", message).throw(&ctx));
            }
            let job = realm.seam().register(realm.environment().id, registering);
            promise(&ctx, &realm, view_of(job))
        },
    )?;

    let realm = ops.realm();
    ops.add("op_ready", move |ctx: Ctx<'js>| -> Result<Promise<'js>> {
        let ready = realm.seam().ready(realm.environment().id);
        promise(&ctx, &realm, view_of(ready))
    })?;

    let realm = ops.realm();
    ops.add("op_controller", move || {
        let controller = realm.seam().controller(realm.environment().id);
        controller.map(|view| Json(views::worker(&view)))
    })?;

    let realm = ops.realm();
    ops.add(
        "op_get_registration",
        move |ctx: Ctx<'js>, client_url: String| -> Result<Promise<'js>> {
            // getRegistration(clientURL), steps 4 to 7.
            let url = realm.base_url().join(&client_url).map_err(|error| {
                OpError::type_error(format!("getRegistration: {error}")).throw(&ctx)
            })?;
            if Origin::of(&url) != realm.environment().origin {
                let message = "getRegistration: the URL is of another origin";
                return Err(OpError::new("SecurityError", message).throw(&ctx));
            }
            let found = realm.seam().registration(realm.environment().id, &url);
            let found = async move {
                let view = found.await;
                Ok(view.map(|view| Json(views::registration(&view))))
            };
            promise(&ctx, &realm, found)
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_update",
        move |ctx: Ctx<'js>, registration: f64| -> Result<Promise<'js>> {
            let caller = match realm.kind() {
                RealmKind::ServiceWorker(start) => Some(start.worker),
                RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => {
                    None
                }
            };
            let update =
                realm
                    .seam()
                    .update(registration_id(registration), caller, realm.referrer());
            promise(&ctx, &realm, view_of(update))
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_unregister",
        move |ctx: Ctx<'js>, registration: f64| -> Result<Promise<'js>> {
            let unregister = realm.seam().unregister(registration_id(registration));
            promise(&ctx, &realm, async move { Ok(unregister.await?) })
        },
    )
}

/// Whether it is a window that is closing, or whose navigable is gone.
fn is_ending_window(realm: &RealmState) -> bool {
    let navigables = realm.event_loop().navigables();
    let navigable = realm.navigable().and_then(|id| navigables.get(id));
    matches!(realm.kind(), RealmKind::Window) && navigable.is_none_or(|it| it.is_closing)
}

async fn view_of(
    job: Pending<std::result::Result<RegistrationView, JobError>>,
) -> std::result::Result<Json, OpError> {
    Ok(Json(views::registration(&job.await?)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counters below 2^53 that the prelude got from here"
)]
pub(super) const fn registration_id(id: f64) -> RegistrationId {
    RegistrationId(id as u64)
}
