//! The boundary to a host's agents: two message types, both plain data.
//!
//! What crosses is ids, bytes and ports. A host in another process sends the same messages with
//! its ports turned into whatever names them on the way (`map_ports`).

#![expect(
    clippy::exhaustive_enums,
    reason = "a message that a host does not handle is a bug"
)]

use bytes::Bytes;
use message_port::MessagePort;
use serde::{Deserialize, Serialize};
use stash::EntryId;
use sw_registry::{EventOutcome, StopReason};
use sw_types::{
    ClientId, ClientNotice, Environment, EventId, EventType, EventTypes, FetchHandler, Origin,
    RegistrationView, RunId, ScopeUrl, ScriptMap, ScriptUrl, StorageKey, WorkerId, WorkerState,
    WorkerType,
};
use url::Url;

use crate::{ClientMessage, MessageDetail};

/// What the facade tells a host to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HostCommand<P = MessagePort> {
    /// Start a worker: make its agent and global, evaluate its script, and answer
    /// [`HostEvent::Started`], [`HostEvent::StartFailed`] or [`HostEvent::Died`]. An in-process
    /// host gets the worker's [`WorkerInbox`](crate::WorkerInbox) beside it.
    StartWorker(Box<StartWorker>),
    /// Dispatch an event; answered by [`HostEvent::Settled`], or by `Died`. An event for a worker
    /// that does not run comes back as [`HostEvent::Undelivered`].
    ///
    /// The events of stashed ports ask for more, so that no message is lost and none comes twice:
    /// each is answered by [`HostEvent::Dispatched`] or `Settled` if its listeners were called, and
    /// by [`HostEvent::Undelivered`] if not, also when the worker is gone by then.
    Dispatch {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// What it is.
        detail: EventDetail<P>,
    },
    /// Stop a worker, whatever it is doing: a script that loops is interrupted. Answered by `Died`.
    StopWorker {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: StopReason,
    },
    /// Queue a message of a service worker for a client. (`Client.postMessage()`.)
    ClientMessage {
        /// The client.
        client: ClientId,
        /// The message, and from whom.
        message: Box<ClientMessage<P>>,
    },
    /// Tell a client something.
    Notify {
        /// The client.
        client: ClientId,
        /// What.
        notice: Box<ClientNotice>,
    },
}

/// An event that goes through the driver. (Fetches do not: they go to the worker's endpoint.)
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum EventDetail<P = MessagePort> {
    /// `install`
    Install,
    /// `activate`
    Activate,
    /// `message` at the global.
    Message(Box<MessageDetail<P>>),
    /// `connect` or `crossoriginconnect`; decided by [`HostEvent::Accepted`].
    Connect(Box<ConnectDetail>),
    /// `message` at `self.ports`, bubbling to the global; `messageerror` if the message cannot be
    /// deserialized there. (SEMANTICS §5.3, *Deliver*.)
    StashedMessage {
        /// The stashed port: the event's `source`.
        entry: EntryId,
        /// Its name: the event's `key`.
        name: String,
        /// The message.
        message: PortMessage<P>,
        /// `event.redelivered`: whether a run of the browser that ended without a word may have
        /// dispatched this message before.
        redelivered: bool,
    },
    /// `push` at the global: a functional event. (SEMANTICS §4.2 row 35.)
    Push {
        /// What `event.data` reads; `None` is `null`.
        data: Option<Bytes>,
    },
    /// `close` at `self.ports`: after this event the entry is gone, and its views are dead.
    StashedClose {
        /// The stashed port.
        entry: EntryId,
        /// Its name.
        name: String,
    },
}

/// A message of a port: serialized bytes, and the ports that were transferred with them.
///
/// What an in-process sender attached besides
/// ([`Message::attachment`](message_port::Message::attachment)) does not come along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMessage<P> {
    /// The serialized value.
    pub payload: Bytes,
    /// The transferred ports, in the order of the transfer list.
    pub ports: Vec<P>,
}

/// What a connect event shows.
///
/// `event.port` and `event.client.port` are the host's to make, when a script first asks for one of
/// them: a [`MessageChannel`](message_port::MessageChannel), whose other port the host hands over in
/// [`HostEvent::Accepted`] if [`HandlerRecord`](connect::HandlerRecord) comes to
/// [`AcceptPair`](connect::Verdict::AcceptPair). So a service that brings a port of its own never
/// makes the pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectDetail {
    /// Under which name it is dispatched.
    pub event_type: EventType,
    /// The client's origin.
    pub origin: Origin,
    /// The URL connected to, without fragment.
    pub target_url: Url,
    /// What `client.url` shows: the empty string if `None`.
    pub client_url: Option<Url>,
    /// The serialized `request` argument; `None` is `undefined`.
    pub request: Option<Bytes>,
}

/// What a worker needs to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartWorker {
    /// The worker.
    pub worker: WorkerId,
    /// This run of it. What the host tells of the run says which one it means: a worker that did
    /// not stop in time may have been started again by then.
    pub run: RunId,
    /// Its registration, as it is now; what changes comes as a notice to the worker's client.
    pub registration: RegistrationView,
    /// Its environment: what its own fetches and connects are made with.
    pub environment: Environment,
    /// Whose it is.
    pub storage_key: StorageKey,
    /// The registration's scope.
    pub scope: ScopeUrl,
    /// Its main script, which is in `scripts`.
    pub script_url: ScriptUrl,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// Its state.
    pub state: WorkerState,
    /// Its scripts.
    pub scripts: ScriptMap,
}

/// What a host tells the facade.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HostEvent<P = MessagePort> {
    /// A worker's script was evaluated.
    Started {
        /// The worker.
        worker: WorkerId,
        /// The run.
        run: RunId,
        /// The event types that have listeners.
        event_types: EventTypes,
        /// What its fetch listeners amount to.
        fetch_handler: FetchHandler,
    },
    /// A worker's script threw or did not parse. The worker is gone.
    StartFailed {
        /// The worker.
        worker: WorkerId,
        /// The run.
        run: RunId,
        /// The error, with file, line and column.
        error: String,
    },
    /// A running worker's listeners changed.
    ListenersChanged {
        /// The worker.
        worker: WorkerId,
        /// The run.
        run: RunId,
        /// The event types that have listeners now.
        event_types: EventTypes,
    },
    /// A connect event was decided, by [`HandlerRecord`](connect::HandlerRecord). One that settles
    /// undecided was refused. A port for a client that has gone is closed.
    Accepted {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// The port for the client, or a refusal.
        port: Option<P>,
    },
    /// The listeners of an event have been called; its lifetime promises may be pending yet. Needed
    /// for [`EventDetail::StashedMessage`] only: the message is consumed, and the next one of its
    /// port may come. `Settled` says it too, if it comes first.
    Dispatched {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
    },
    /// The worker stopped before the listeners of an event were called: what the event was to show
    /// comes back.
    Undelivered {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// What it is.
        detail: EventDetail<P>,
    },
    /// An event and its lifetime promises have settled.
    Settled {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// How.
        outcome: EventOutcome,
    },
    /// A worker is gone.
    Died {
        /// The worker.
        worker: WorkerId,
        /// The run.
        run: RunId,
        /// Why, for people.
        reason: String,
    },
    /// A window or worker is being created.
    ClientCreated(Environment),
    /// Its document answered `Fall-Through: none`.
    FallThroughForbidden(ClientId),
    /// It is execution-ready.
    ClientReady(ClientId),
    /// It was discarded.
    ClientGone(ClientId),
}

impl<P> PortMessage<P> {
    /// The same message with each port turned into another kind of port.
    pub fn map_ports<Q>(self, turn: impl FnMut(P) -> Q) -> PortMessage<Q> {
        PortMessage {
            payload: self.payload,
            ports: self.ports.into_iter().map(turn).collect(),
        }
    }
}

impl<P> HostCommand<P> {
    /// The same command with each port turned into another kind of port.
    pub fn map_ports<Q>(self, turn: impl FnMut(P) -> Q) -> HostCommand<Q> {
        match self {
            Self::StartWorker(start) => HostCommand::StartWorker(start),
            Self::Dispatch {
                worker,
                event,
                detail,
            } => HostCommand::Dispatch {
                worker,
                event,
                detail: detail.map_ports(turn),
            },
            Self::StopWorker { worker, reason } => HostCommand::StopWorker { worker, reason },
            Self::ClientMessage { client, message } => {
                let message = *message;
                let message = Box::new(ClientMessage {
                    source: message.source,
                    registration: message.registration,
                    origin: message.origin,
                    message: message.message.map_ports(turn),
                });
                HostCommand::ClientMessage { client, message }
            }
            Self::Notify { client, notice } => HostCommand::Notify { client, notice },
        }
    }
}

impl<P> EventDetail<P> {
    /// The same event with each port turned into another kind of port.
    pub fn map_ports<Q>(self, turn: impl FnMut(P) -> Q) -> EventDetail<Q> {
        match self {
            Self::Install => EventDetail::Install,
            Self::Activate => EventDetail::Activate,
            Self::Connect(detail) => EventDetail::Connect(detail),
            Self::Message(detail) => EventDetail::Message(Box::new(MessageDetail {
                source: detail.source,
                origin: detail.origin,
                message: detail.message.map_ports(turn),
            })),
            Self::StashedMessage {
                entry,
                name,
                message,
                redelivered,
            } => EventDetail::StashedMessage {
                entry,
                name,
                message: message.map_ports(turn),
                redelivered,
            },
            Self::Push { data } => EventDetail::Push { data },
            Self::StashedClose { entry, name } => EventDetail::StashedClose { entry, name },
        }
    }
}

impl<P> HostEvent<P> {
    /// The same event with each port turned into another kind of port.
    pub fn map_ports<Q>(self, turn: impl FnMut(P) -> Q) -> HostEvent<Q> {
        match self {
            Self::Started {
                worker,
                run,
                event_types,
                fetch_handler,
            } => HostEvent::Started {
                worker,
                run,
                event_types,
                fetch_handler,
            },
            Self::StartFailed { worker, run, error } => {
                HostEvent::StartFailed { worker, run, error }
            }
            Self::ListenersChanged {
                worker,
                run,
                event_types,
            } => HostEvent::ListenersChanged {
                worker,
                run,
                event_types,
            },
            Self::Accepted {
                worker,
                event,
                port,
            } => HostEvent::Accepted {
                worker,
                event,
                port: port.map(turn),
            },
            Self::Dispatched { worker, event } => HostEvent::Dispatched { worker, event },
            Self::Undelivered {
                worker,
                event,
                detail,
            } => HostEvent::Undelivered {
                worker,
                event,
                detail: detail.map_ports(turn),
            },
            Self::Settled {
                worker,
                event,
                outcome,
            } => HostEvent::Settled {
                worker,
                event,
                outcome,
            },
            Self::Died {
                worker,
                run,
                reason,
            } => HostEvent::Died {
                worker,
                run,
                reason,
            },
            Self::ClientCreated(environment) => HostEvent::ClientCreated(environment),
            Self::FallThroughForbidden(client) => HostEvent::FallThroughForbidden(client),
            Self::ClientReady(client) => HostEvent::ClientReady(client),
            Self::ClientGone(client) => HostEvent::ClientGone(client),
        }
    }
}
