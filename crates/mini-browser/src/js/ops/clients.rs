//! Of `postMessage()` between clients and service workers, and of `clients`.

use std::cmp::Reverse;
use std::sync::Arc;

use rquickjs::{Array, Ctx, Promise, Result, Value};
use serde_json::Value as Plain;
use service_worker::message_port::Message;
use service_worker::types::{ClientType, Environment, WorkerId};

use super::clone::transfer_list;
use super::worker::worker_id;
use super::{OpError, Ops, promise};
use crate::js::json::Json;
use crate::js::realm::RealmState;
use crate::js::window_clients::{WindowState, Windows};
use crate::js::{client_ids, clone, messages, views, window_clients};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add(
        "op_post_to_worker",
        move |ctx: Ctx<'js>, worker: f64, value: Value<'js>, transfer: Option<Array<'js>>| {
            let message = serialize(&ctx, &realm, &value, transfer)?;
            let sender = realm.environment().id;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "ids are counters below 2^53 that the prelude got from here"
            )]
            let worker = WorkerId(worker as u64);
            window_clients::note(&realm);
            realm.seam().post_message(sender, worker, message);
            Ok::<(), rquickjs::Error>(())
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_post_to_client",
        move |ctx: Ctx<'js>, client: String, value: Value<'js>, transfer: Option<Array<'js>>| {
            let worker = worker_id(&ctx, &realm)?;
            let message = serialize(&ctx, &realm, &value, transfer)?;
            if let Some(client) = client_ids::parse(&client) {
                realm.seam().post_message_to_client(worker, client, message);
            }
            Ok::<(), rquickjs::Error>(())
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_client",
        move |ctx: Ctx<'js>, client: String| -> Result<Promise<'js>> {
            let worker = worker_id(&ctx, &realm)?;
            let found =
                client_ids::parse(&client).map(|client| realm.seam().client(worker, client));
            let windows = realm.service::<Windows>();
            promise(&ctx, &realm, async move {
                let Some(found) = found else { return Ok(None) };
                let Some(environment) = found.await else {
                    return Ok(None);
                };
                let state = window_state(windows, &environment).await;
                Ok::<_, OpError>(Some(Json(shown(&environment, state.as_ref()))))
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_clients",
        move |ctx: Ctx<'js>, include_uncontrolled: bool| -> Result<Promise<'js>> {
            let worker = worker_id(&ctx, &realm)?;
            let found = realm.seam().clients(worker, include_uncontrolled);
            let windows = realm.service::<Windows>();
            promise(&ctx, &realm, async move {
                let mut clients = Vec::new();
                for environment in found.await {
                    let state = window_state(windows.clone(), &environment).await;
                    clients.push((environment, state));
                }
                // matchAll, step 2.5: windows that were focused, the latest first; then the others
                // in the order of their creation.
                clients.sort_by_key(|(_, state)| {
                    Reverse(state.as_ref().and_then(|state| state.focused_at))
                });
                let clients = clients.iter();
                let found = clients.map(|(environment, state)| shown(environment, state.as_ref()));
                Ok::<_, OpError>(Json(found.collect::<Plain>()))
            })
        },
    )?;

    // WindowClient.navigate(url), steps 1 to 4.
    let realm = ops.realm();
    ops.add(
        "op_navigate_client",
        move |ctx: Ctx<'js>, client: String, url: String| -> Result<Promise<'js>> {
            let worker = worker_id(&ctx, &realm)?;
            let url = realm.base_url().join(&url);
            let controlled = realm.seam().clients(worker, false);
            let windows = realm.service::<Windows>();
            let origin = realm.environment().origin.clone();
            promise(&ctx, &realm, async move {
                let refused = |why: &str| OpError::type_error(format!("navigate: {why}"));
                let url = url.map_err(|error| refused(&error.to_string()))?;
                if !matches!(url.scheme(), "http" | "https") {
                    return Err(refused("a worker may not navigate a window there"));
                }
                let client = client_ids::parse(&client);
                let controlled = controlled.await;
                let Some(client) = controlled
                    .iter()
                    .map(|it| it.id)
                    .find(|id| Some(*id) == client)
                else {
                    return Err(refused("this worker does not control the client"));
                };
                let gone = || refused("the window is gone, or shows something else by now");
                let windows = windows.ok_or_else(gone)?;
                let shown_now = windows.0.navigate(client, url).await.ok_or_else(gone)?;
                if shown_now.origin != origin {
                    return Ok(None);
                }
                let state = window_state(Some(windows), &shown_now).await;
                Ok(Some(Json(shown(&shown_now, state.as_ref()))))
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_get_registrations",
        move |ctx: Ctx<'js>| -> Result<Promise<'js>> {
            let found = realm.seam().registrations(realm.environment().id);
            promise(&ctx, &realm, async move {
                let found = found.await;
                let found: Vec<Plain> = found.iter().map(views::registration).collect();
                Ok::<_, OpError>(Json(Plain::from(found)))
            })
        },
    )
}

async fn window_state(
    windows: Option<Arc<Windows>>,
    environment: &Environment,
) -> Option<WindowState> {
    if environment.client_type != ClientType::Window {
        return None;
    }
    windows?.0.state(environment.id).await
}

fn shown(environment: &Environment, state: Option<&WindowState>) -> Plain {
    match state {
        Some(state) => state.shown(environment),
        None => messages::client(environment),
    }
}

fn serialize<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
    transfer: Option<Array<'js>>,
) -> Result<Message> {
    let transfer = transfer_list(transfer)?;
    clone::structured_serialize_with_transfer(ctx, realm, value, &transfer)
        .map(Message::from)
        .map_err(|error| error.throw(ctx, realm))
}
