//! The events of stashed ports at a service worker's `self.ports`. (SEMANTICS §5.3, *Deliver*.)

use service_worker::message_port::{Message, MessagePort};
use service_worker::types::{EventId, WorkerId};
use service_worker::{EventDetail, HostEvent, PortMessage};

use super::clone::Serialized;
use super::realm::Realm;
use super::worker;
use super::worker_host::EventSink;

/// An event of a stashed port on its way to the worker's realm. Dropped before its listeners were
/// called, it goes back: a message is neither lost nor given twice.
pub(super) struct OnItsWay {
    worker: WorkerId,
    event: EventId,
    detail: Option<EventDetail>,
    events: EventSink,
}

impl OnItsWay {
    pub(super) fn new(
        worker: WorkerId,
        event: EventId,
        detail: EventDetail,
        events: EventSink,
    ) -> Self {
        Self {
            worker,
            event,
            detail: Some(detail),
            events,
        }
    }

    /// Calls the listeners.
    pub(super) fn dispatch(mut self, realm: &Realm) {
        if realm.state().is_killed() {
            return;
        }
        let event = self.event;
        match self.detail.take() {
            Some(EventDetail::StashedMessage {
                entry,
                name,
                message,
                redelivered,
            }) => {
                let message = keep(realm, message);
                let args = (event.0, entry.0, name, message, redelivered);
                call(realm, "stashed message", event, args);
            }
            Some(EventDetail::StashedClose { entry, name }) => {
                call(realm, "stashed close", event, (event.0, entry.0, name));
            }
            // Nothing else comes this way.
            other => {
                self.detail = other;
                return;
            }
        }
        // Also if the worker was killed by its script: the listeners were called.
        (self.events)(HostEvent::Dispatched {
            worker: self.worker,
            event,
        });
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(detail) = self.detail.take() {
            (self.events)(HostEvent::Undelivered {
                worker: self.worker,
                event: self.event,
                detail,
            });
        }
    }
}

fn call<A>(realm: &Realm, hook: &str, event: EventId, args: A)
where
    A: for<'js> rquickjs::function::IntoArgs<'js>,
{
    realm.with(|ctx| {
        if realm.state().call(ctx, hook, args).is_none() {
            worker::fail(realm.state(), event);
        }
    });
}

fn keep(realm: &Realm, message: PortMessage<MessagePort>) -> u32 {
    let mut received = Message::new(message.payload);
    let ports = message.ports.into_iter().map(MessagePort::transfer);
    received.ports = ports.filter_map(Result::ok).collect();
    let ports = realm.state().event_loop().ports();
    ports.keep_message(Serialized::from(received))
}
