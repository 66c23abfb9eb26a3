//! Of `postMessage()` between clients and service workers, and of `clients`.

use rquickjs::{Array, Ctx, Promise, Result, Value};
use serde_json::Value as Plain;
use service_worker::message_port::Message;
use service_worker::types::{ClientId, WorkerId};

use super::clone::transfer_list;
use super::worker::worker_id;
use super::{OpError, Ops, promise};
use crate::js::json::Json;
use crate::js::realm::RealmState;
use crate::js::{clone, messages, views};

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
            if let Some(client) = client_id(&client) {
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
            let found = client_id(&client).map(|client| realm.seam().client(worker, client));
            promise(&ctx, &realm, async move {
                let found = match found {
                    Some(found) => found.await,
                    None => None,
                };
                Ok::<_, OpError>(found.map(|environment| Json(messages::client(&environment))))
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_clients",
        move |ctx: Ctx<'js>, include_uncontrolled: bool| -> Result<Promise<'js>> {
            let worker = worker_id(&ctx, &realm)?;
            let found = realm.seam().clients(worker, include_uncontrolled);
            promise(&ctx, &realm, async move {
                let found = found.await;
                let found: Vec<Plain> = found.iter().map(messages::client).collect();
                Ok::<_, OpError>(Json(Plain::from(found)))
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

/// The client that an id as scripts see it names. Another one names none.
fn client_id(id: &str) -> Option<ClientId> {
    let number = id.rsplit_once(|it: char| !it.is_ascii_digit());
    let number = number.map_or(id, |(_, number)| number).parse().ok()?;
    (ClientId(number).to_string() == id).then_some(ClientId(number))
}
