//! Messages between service workers and clients, as they reach a realm.

use serde_json::{Value, json};
use service_worker::message_port::{Message, MessagePort};
use service_worker::types::{ClientType, Environment, EventId};
use service_worker::{ClientMessage, MessageDetail, MessageSource, PortMessage};

use super::clone::Serialized;
use super::json::Json;
use super::realm::Realm;
use super::window_clients::WindowState;
use super::{client_ids, views, worker};

/// A `message` event at a service worker's global, from a window that was like that, if it is from one.
/// (*ServiceWorker.postMessage*, step 6.2.)
pub(super) fn dispatch(
    realm: &Realm,
    event: EventId,
    detail: MessageDetail<MessagePort>,
    window: Option<WindowState>,
) {
    let source = match &detail.source {
        MessageSource::Client(environment) => json!({ "client": match window {
            Some(window) => window.shown(environment),
            None => client(environment),
        } }),
        MessageSource::Worker(view) => json!({ "worker": views::worker(view) }),
    };
    let message = keep(realm, detail.message);
    let origin = detail.origin.as_str().to_owned();
    realm.with(|ctx| {
        let args = (event.0, message, origin, Json(source));
        if realm.state().call(ctx, "message", args).is_none() {
            worker::fail(realm.state(), event);
        }
    });
}

/// A message in the client message queue. (*Client.postMessage*, step 4.)
pub(super) fn receive(realm: &Realm, message: ClientMessage<MessagePort>) {
    let source = views::worker(&message.source);
    let registration = views::registration(&message.registration);
    let origin = message.origin.as_str().to_owned();
    let number = keep(realm, message.message);
    realm.with(|ctx| {
        let args = (number, origin, Json(source), Json(registration));
        realm.state().call(ctx, "clientMessage", args);
    });
}

fn keep(realm: &Realm, message: PortMessage<MessagePort>) -> u32 {
    let mut received = Message::new(message.payload);
    let ports = message.ports.into_iter().map(MessagePort::transfer);
    received.ports = ports.filter_map(Result::ok).collect();
    let ports = realm.state().event_loop().ports();
    ports.keep_message(Serialized::from(received))
}

/// A client, as the prelude takes it.
pub(super) fn client(environment: &Environment) -> Value {
    json!({
        "id": client_ids::shown(environment.id),
        "url": environment.creation_url.as_str(),
        "frameType": environment.frame_type.as_str(),
        "type": match environment.client_type {
            ClientType::Window => "window",
            ClientType::Worker => "worker",
            ClientType::SharedWorker => "sharedworker",
            ClientType::ServiceWorker => "serviceworker",
        },
    })
}
