//! The boundary to a host's agents: two message types, both plain data.
//!
//! What crosses is ids, bytes and ports. A host in another process sends the same messages with
//! its ports turned into whatever names them on the way (`map_ports`).

#![expect(
    clippy::exhaustive_enums,
    reason = "a message that a host does not handle is a bug"
)]

use serde::{Deserialize, Serialize};
use sw_registry::{EventOutcome, StopReason};
use sw_types::{
    ClientId, ClientNotice, Environment, EventId, EventType, EventTypes, FetchHandler, Origin,
    RegistrationId, ScopeUrl, ScriptMap, ScriptUrl, StorageKey, WorkerId, WorkerState, WorkerType,
};
use url::Url;

/// What the facade tells a host to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HostCommand<P> {
    /// Start a worker: make its agent and global, evaluate its script, and answer
    /// [`HostEvent::Started`], [`HostEvent::StartFailed`] or [`HostEvent::Died`]. An in-process
    /// host gets the worker's [`WorkerInbox`](crate::WorkerInbox) beside it.
    StartWorker(Box<StartWorker>),
    /// Dispatch an event; answered by [`HostEvent::Settled`], or by `Died`.
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
    /// Tell a client something.
    Notify {
        /// The client.
        client: ClientId,
        /// What.
        notice: ClientNotice,
    },
    /// An answer to `connect` was decided: the client's promise has its port already; this port is
    /// handed back to the worker that accepted with `true`.
    Accepted {
        /// The worker.
        worker: WorkerId,
        /// The connect event.
        event: EventId,
        /// Its end of the connection.
        port: P,
    },
}

/// An event that goes through the driver. (Fetches do not: they go to the worker's endpoint.)
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum EventDetail<P> {
    /// `install`
    Install,
    /// `activate`
    Activate,
    /// `connect` or `crossoriginconnect`
    Connect(ConnectDetail<P>),
}

/// What a connect event shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectDetail<P> {
    /// Under which name it is dispatched.
    pub event_type: EventType,
    /// The client's origin.
    pub origin: Origin,
    /// The URL connected to, without fragment.
    pub target_url: Url,
    /// What `client.url` shows.
    pub client_url: Option<Url>,
    /// The service's end of the connection, for `event.port`.
    pub port: P,
}

/// What a worker needs to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartWorker {
    /// The worker.
    pub worker: WorkerId,
    /// Its registration.
    pub registration: RegistrationId,
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
pub enum HostEvent<P> {
    /// A worker's script was evaluated.
    Started {
        /// The worker.
        worker: WorkerId,
        /// The event types that have listeners.
        event_types: EventTypes,
        /// What its fetch listeners amount to.
        fetch_handler: FetchHandler,
    },
    /// A worker's script threw or did not parse. The worker is gone.
    StartFailed {
        /// The worker.
        worker: WorkerId,
        /// The error, with file, line and column.
        error: String,
    },
    /// A running worker's listeners changed.
    ListenersChanged {
        /// The worker.
        worker: WorkerId,
        /// The event types that have listeners now.
        event_types: EventTypes,
    },
    /// A connect event was decided.
    Accepted {
        /// The worker.
        worker: WorkerId,
        /// The event.
        event: EventId,
        /// The client's end, or a refusal.
        port: Option<P>,
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

impl<P> HostCommand<P> {
    /// The same command with each port turned into another kind of port.
    pub fn map_ports<Q>(self, mut turn: impl FnMut(P) -> Q) -> HostCommand<Q> {
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
            Self::Notify { client, notice } => HostCommand::Notify { client, notice },
            Self::Accepted {
                worker,
                event,
                port,
            } => HostCommand::Accepted {
                worker,
                event,
                port: turn(port),
            },
        }
    }
}

impl<P> EventDetail<P> {
    fn map_ports<Q>(self, mut turn: impl FnMut(P) -> Q) -> EventDetail<Q> {
        match self {
            Self::Install => EventDetail::Install,
            Self::Activate => EventDetail::Activate,
            Self::Connect(detail) => EventDetail::Connect(ConnectDetail {
                event_type: detail.event_type,
                origin: detail.origin,
                target_url: detail.target_url,
                client_url: detail.client_url,
                port: turn(detail.port),
            }),
        }
    }
}

impl<P> HostEvent<P> {
    /// The same event with each port turned into another kind of port.
    pub fn map_ports<Q>(self, turn: impl FnMut(P) -> Q) -> HostEvent<Q> {
        match self {
            Self::Started {
                worker,
                event_types,
                fetch_handler,
            } => HostEvent::Started {
                worker,
                event_types,
                fetch_handler,
            },
            Self::StartFailed { worker, error } => HostEvent::StartFailed { worker, error },
            Self::ListenersChanged {
                worker,
                event_types,
            } => HostEvent::ListenersChanged {
                worker,
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
            Self::Settled {
                worker,
                event,
                outcome,
            } => HostEvent::Settled {
                worker,
                event,
                outcome,
            },
            Self::Died { worker, reason } => HostEvent::Died { worker, reason },
            Self::ClientCreated(environment) => HostEvent::ClientCreated(environment),
            Self::FallThroughForbidden(client) => HostEvent::FallThroughForbidden(client),
            Self::ClientReady(client) => HostEvent::ClientReady(client),
            Self::ClientGone(client) => HostEvent::ClientGone(client),
        }
    }
}
