//! What a realm is told of registrations.

use rquickjs::Ctx;
use serde_json::{Value, json};
use service_worker::types::ClientNotice;

use super::json::Json;
use super::realm::RealmState;
use super::views;

/// Tells the realm; events fire at its objects.
pub(super) fn notify(ctx: &Ctx<'_>, realm: &RealmState, notice: &ClientNotice) {
    let (kind, detail) = notice_to_json(notice);
    realm.call(ctx, "notice", (kind, Json(detail)));
}

fn notice_to_json(notice: &ClientNotice) -> (&'static str, Value) {
    match notice {
        ClientNotice::UpdateFound(view) => (
            "updateFound",
            json!({ "registration": views::registration(view) }),
        ),
        ClientNotice::StateChanged {
            worker,
            state,
            registration,
        } => (
            "stateChanged",
            json!({
                "worker": worker.0,
                "state": state.as_str(),
                "registration": views::registration(registration),
            }),
        ),
        ClientNotice::UpdateViaCacheChanged(view) => (
            "updateViaCacheChanged",
            json!({ "registration": views::registration(view) }),
        ),
        ClientNotice::ControllerChanged(controller) => (
            "controllerChanged",
            json!({ "controller": controller.as_ref().map(views::worker) }),
        ),
    }
}
