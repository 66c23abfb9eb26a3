//! `postMessage()` between clients and service workers, and how workers find their clients.
//! (*Service Workers*, "ServiceWorker.postMessage", "Client.postMessage", "Clients".)

use std::future::Future;

use futures_channel::oneshot;
use message_port::{Message, MessagePort};
use serde::{Deserialize, Serialize};
use sw_registry::{FoundClient, Input, JobError, Settled};
use sw_types::{
    ClientId, Environment, EventId, EventType, EventTypes, Origin, PromiseId, RegistrationView,
    StorageKey, WorkerId, WorkerView,
};

use crate::driver::Driver;
use crate::functional::What;
use crate::shared::{Shared, ToDriver};
use crate::{EventDetail, Handle, HostCommand, PortMessage};

/// A `message` event at a service worker's global; `messageerror` if it cannot be deserialized
/// there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "hosts take it apart")]
pub struct MessageDetail<P> {
    /// Who has sent it.
    pub source: MessageSource,
    /// `event.origin`: the sender's.
    pub origin: Origin,
    /// The message.
    pub message: PortMessage<P>,
}

/// Who sends a message to a service worker: what `event.source` is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "there are these two")]
pub enum MessageSource {
    /// A window or a worker: a `WindowClient` or `Client`.
    Client(Box<Environment>),
    /// Another service worker, or the same: a `ServiceWorker`.
    Worker(WorkerView),
}

/// A message from a service worker to a client, for its *client message queue*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "hosts take it apart")]
pub struct ClientMessage<P> {
    /// The worker that sends it: `event.source`.
    pub source: WorkerView,
    /// The worker's registration, as it is now.
    pub registration: RegistrationView,
    /// `event.origin`: the worker's.
    pub origin: Origin,
    /// The message.
    pub message: PortMessage<P>,
}

/// A message on its way to the driver.
pub(crate) struct Posted {
    worker: WorkerId,
    detail: MessageDetail<MessagePort>,
}

/// A client that is to be execution-ready before somebody hears of it.
pub(crate) struct Awaiting {
    worker: WorkerId,
    client: ClientId,
    reply: oneshot::Sender<Option<Environment>>,
}

/// Asks about clients on their way to the driver.
pub(crate) enum AboutClients {
    /// `clients.get()`.
    One(Awaiting),
    /// `clients.matchAll()`.
    All {
        worker: WorkerId,
        uncontrolled: bool,
        reply: oneshot::Sender<Vec<Environment>>,
    },
}

impl Handle {
    /// `ServiceWorker.postMessage()`: runs the worker if it is stopped, and fires `message` there.
    /// A message is lost if the sender is gone or of another partition, if the worker has no
    /// listener (*Should Skip Event*), if it is redundant, or if it does not start.
    pub fn post_message(&self, sender: ClientId, worker: WorkerId, message: Message) {
        let Some(environment) = self.shared.environment(sender) else {
            return tracing::debug!(%sender, "who posts is gone");
        };
        let source = match Shared::worker_of(sender) {
            Some(worker) => self.shared.requesting(sender).map(|requesting| {
                // Its state is filled in when the message is delivered.
                MessageSource::Worker(WorkerView {
                    id: worker,
                    script_url: requesting.script_url.clone(),
                    state: sw_types::WorkerState::Activated,
                })
            }),
            None => Some(MessageSource::Client(Box::new(
                environment.as_ref().clone(),
            ))),
        };
        let Some(source) = source else { return };
        let detail = MessageDetail {
            source,
            origin: environment.origin.clone(),
            message: received(message),
        };
        self.shared
            .send(ToDriver::Post(Box::new(Posted { worker, detail })));
    }

    /// `Client.postMessage()`, by a service worker: comes to the client as
    /// [`HostCommand::ClientMessage`]. Lost if the client is gone, or not one that this worker may
    /// know of.
    pub fn post_message_to_client(&self, worker: WorkerId, client: ClientId, message: Message) {
        let message = received(message);
        self.shared.send(ToDriver::PostToClient {
            worker,
            client,
            message,
        });
    }

    /// `clients.get()`, by a service worker: the client once it is execution-ready; `None` if it is
    /// gone, or not one that this worker may know of.
    pub fn client(
        &self,
        worker: WorkerId,
        client: ClientId,
    ) -> impl Future<Output = Option<Environment>> + Send + 'static {
        let (reply, found) = oneshot::channel();
        let awaiting = Awaiting {
            worker,
            client,
            reply,
        };
        self.shared
            .send(ToDriver::AboutClients(AboutClients::One(awaiting)));
        async move { found.await.unwrap_or(None) }
    }

    /// `clients.matchAll()`, by a service worker: the execution-ready clients that it controls, or
    /// all of its storage key, in order of creation. Type, focus and visibility are the host's to
    /// filter and sort by.
    pub fn clients(
        &self,
        worker: WorkerId,
        include_uncontrolled: bool,
    ) -> impl Future<Output = Vec<Environment>> + Send + 'static {
        let (reply, found) = oneshot::channel();
        let ask = AboutClients::All {
            worker,
            uncontrolled: include_uncontrolled,
            reply,
        };
        self.shared.send(ToDriver::AboutClients(ask));
        async move { found.await.unwrap_or_default() }
    }

    /// `navigator.serviceWorker.getRegistrations()`: those of the client's storage key, in the
    /// order in which they were made.
    pub fn registrations(
        &self,
        client: ClientId,
    ) -> impl Future<Output = Vec<RegistrationView>> + Send + 'static {
        let partition = self.shared.policies.partition;
        let key: Option<StorageKey> = self.shared.environment(client).and_then(|environment| {
            let origin = environment.origin.clone();
            partition.storage_key(&environment, &origin)
        });
        let found = key.map(|key| self.shared.lookup.registrations(&key));
        let asked: Vec<_> = found
            .unwrap_or_default()
            .into_iter()
            .map(|snapshot| {
                let (reply, view) = oneshot::channel();
                self.shared.send(ToDriver::View(snapshot.id, reply));
                view
            })
            .collect();
        async move {
            let mut views = Vec::with_capacity(asked.len());
            for view in asked {
                views.extend(view.await.ok().flatten());
            }
            views.sort_by_key(|view| view.id);
            views
        }
    }

    /// What the registrations of a client's storage key take: the bytes of their scripts. For
    /// `navigator.storage.estimate()`.
    pub fn script_bytes(&self, client: ClientId) -> impl Future<Output = u64> + Send + 'static {
        let partition = self.shared.policies.partition;
        let key = self.shared.environment(client).and_then(|environment| {
            let origin = environment.origin.clone();
            partition.storage_key(&environment, &origin)
        });
        let asked = key.map(|key| {
            let (reply, bytes) = oneshot::channel();
            let asked = ToDriver::ScriptBytes(Box::new(key), reply);
            self.shared.send(asked);
            bytes
        });
        async move {
            match asked {
                Some(bytes) => bytes.await.unwrap_or_default(),
                None => 0,
            }
        }
    }
}

/// As it arrives: what an in-process sender attached does not come along.
fn received(message: Message) -> PortMessage<MessagePort> {
    PortMessage {
        payload: message.payload,
        ports: message
            .ports
            .into_iter()
            .map(message_port::TransferredPort::receive)
            .collect(),
    }
}

impl Driver {
    /// ServiceWorker.postMessage, from step 6.
    pub(crate) fn post(&mut self, posted: Posted) {
        let Posted { worker, mut detail } = posted;
        let Some(key) = self.storage_key_of(worker) else {
            return tracing::debug!(%worker, "a message for a worker that is gone");
        };
        let same_partition = match &mut detail.source {
            MessageSource::Client(environment) => {
                let partition = self.shared.policies.partition;
                partition.storage_key(environment, &environment.origin) == Some(key)
            }
            MessageSource::Worker(source) => {
                if let Some(view) = self.registry.worker(source.id) {
                    source.state = view.state;
                }
                self.storage_key_of(source.id) == Some(key)
            }
        };
        if !same_partition {
            return tracing::warn!(%worker, "a message from another partition is dropped");
        }
        // *Should Skip Event*, with "message".
        let listens = |types: EventTypes| {
            types.contains(EventType::Message) || types.contains(EventType::MessageError)
        };
        let handles = self
            .shared
            .stashing()
            .worker(worker)
            .and_then(|known| known.listeners.or(known.handles));
        if handles.is_some_and(|types| !listens(types)) {
            return tracing::debug!(%worker, "nobody listens to messages there");
        }
        self.run_for_message(worker, EventDetail::Message(Box::new(detail)));
    }

    pub(crate) fn run_for_message(&mut self, worker: WorkerId, detail: EventDetail<MessagePort>) {
        let promise = self.shared.promise();
        self.functional.messages.insert(promise, detail);
        self.tell(Input::Run {
            promise,
            worker,
            initiator: None,
        });
    }

    /// The worker of a message runs, or does not. Whether the promise was one of a message.
    pub(crate) fn ran_for_message(
        &mut self,
        promise: PromiseId,
        result: &Result<Settled, JobError>,
    ) -> bool {
        let Some(detail) = self.functional.messages.remove(&promise) else {
            return false;
        };
        match result {
            Ok(Settled::Running(worker)) => self.dispatch_message(*worker, detail),
            other => tracing::debug!(?other, "a message is lost: its worker does not run"),
        }
        true
    }

    fn dispatch_message(&mut self, worker: WorkerId, detail: EventDetail<MessagePort>) {
        let Some(keep_alive) = self.shared.endpoint(worker).and_then(|it| it.begin()) else {
            // It is being stopped this very moment: it runs again for the message.
            return self.run_for_message(worker, detail);
        };
        let event = self.functional.begin(worker, keep_alive, What::Message);
        self.dispatch(worker, event, detail);
    }

    /// The worker stopped before it took a message: tasks survive its termination.
    pub(crate) fn message_undelivered(
        &mut self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) {
        self.functional.events.remove(&event);
        self.run_for_message(worker, detail);
    }

    pub(crate) fn post_to_client(
        &mut self,
        worker: WorkerId,
        client: ClientId,
        message: PortMessage<MessagePort>,
    ) {
        let found = self.registry.client_for(worker, client) != FoundClient::No;
        let registration = self.registry.registration_of(worker);
        let view = registration.and_then(|id| self.registry.registration(id));
        let (true, Some(source), Some(registration)) = (found, self.registry.worker(worker), view)
        else {
            return tracing::debug!(%worker, %client, "a message for a client that is not there");
        };
        let message = ClientMessage {
            origin: source.script_url.origin(),
            source,
            registration,
            message,
        };
        let message = Box::new(message);
        self.command(HostCommand::ClientMessage { client, message }, None);
    }

    pub(crate) fn about_clients(&mut self, asked: AboutClients) {
        match asked {
            AboutClients::One(awaiting) => self.find_client(awaiting),
            AboutClients::All {
                worker,
                uncontrolled,
                reply,
            } => {
                let found = self.registry.clients_for(worker, uncontrolled);
                let found = found.into_iter().cloned().collect();
                self.commands.answer(reply, found);
            }
        }
    }

    fn find_client(&mut self, awaiting: Awaiting) {
        let found = match self.registry.client_for(awaiting.worker, awaiting.client) {
            FoundClient::Yes(environment) => Some(environment.clone()),
            FoundClient::NotYet => return self.functional.awaited_clients.push(awaiting),
            FoundClient::No => None,
        };
        self.commands.answer(awaiting.reply, found);
    }

    /// A client became execution-ready, or was discarded.
    pub(crate) fn client_changed(&mut self, client: ClientId) {
        let all = std::mem::take(&mut self.functional.awaited_clients);
        let (of_it, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.client == client);
        self.functional.awaited_clients = others;
        for awaiting in of_it {
            self.find_client(awaiting);
        }
    }

    fn storage_key_of(&self, worker: WorkerId) -> Option<StorageKey> {
        let registration = self.registry.registration_of(worker)?;
        Some(self.registry.storage_key(registration)?.clone())
    }
}
