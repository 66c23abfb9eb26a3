//! What goes into a [`Connector`](crate::Connector) and what comes out of it.

use std::time::Duration;

use sw_types::{
    ClientId, Environment, EventId, EventType, EventTypes, Origin, RegistrationId, RequestId, Site,
    WorkerId, WorkerState,
};
use url::Url;

/// Why a connect fails: the name of the exception that its promise rejects with.
///
/// The first three are the caller's own fault and settle at once. Everything remote is the one
/// [`ConnectError::Abort`], without any detail. (SEMANTICS §5.1.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// `InvalidStateError`: the caller is a redundant service worker.
    #[error("a redundant service worker cannot connect")]
    InvalidState,
    /// `SecurityError`: insecure client or target, or blocked by its Content Security Policy.
    #[error("connecting to this URL is not allowed from here")]
    Security,
    /// `TypeError`: the URL does not parse, or is not `http` or `https`.
    #[error("the URL to connect to is not a valid http or https URL")]
    Type,
    /// `AbortError`: refused, for whatever reason.
    #[error("the connection was not accepted")]
    Abort,
}

impl ConnectError {
    /// The exception's name, as a script sees it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidState => "InvalidStateError",
            Self::Security => "SecurityError",
            Self::Type => "TypeError",
            Self::Abort => "AbortError",
        }
    }
}

/// Who calls `connect`, as the browser knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client.
    pub environment: Environment,
    /// If the client is a service worker: which, and its state now.
    pub worker: Option<(WorkerId, WorkerState)>,
    /// What `Referer` would carry to the target under the client's referrer policy: the
    /// `client.url` that a cross-origin service sees, empty if `None`. (SEMANTICS §8.2.)
    pub referrer: Option<Url>,
}

impl Caller {
    /// A client that is no service worker and has the default referrer policy: other origins see
    /// its origin only.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self {
            worker: None,
            referrer: Url::parse(environment.origin.as_str()).ok(),
            environment,
        }
    }
}

/// A caller and a URL that have passed steps 1 and 2. Made by
/// [`Connector::admit`](crate::Connector::admit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(crate) caller: Caller,
    pub(crate) url: Url,
    pub(crate) origin: Origin,
}

impl Target {
    /// Who connects.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The URL to connect to, without fragment: what is matched against scopes, and the event's
    /// `targetURL`.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The URL's origin, for the partition policy.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// The active worker of the registration that a target's URL matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The registration.
    pub registration: RegistrationId,
    /// Its active worker.
    pub worker: WorkerId,
    /// That worker's state. One that is neither activating nor activated is refused as if there
    /// were no active worker.
    pub state: WorkerState,
    /// What it handles: a running worker's listeners now, a stopped one's set of event types to
    /// handle. (SEMANTICS §4.2 row 4.)
    pub handles: EventTypes,
}

/// One call of `connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Names this call until it settles. The caller of the crate picks it; never reused.
    pub id: RequestId,
    /// Who connects to what.
    pub target: Target,
    /// Whether the client's Content Security Policy blocks the URL by `connect-src`.
    pub connect_src_blocks: bool,
    /// What the URL matched, in the requester's partition: `None` if there is no storage key, no
    /// registration or no active worker.
    pub candidate: Option<Candidate>,
    /// Random, from [`Limits::jitter_from`](crate::Limits::jitter_from); cut off at
    /// [`Limits::jitter`](crate::Limits::jitter).
    pub jitter: Duration,
}

/// What happened to the event of a connect, after SEMANTICS §5.2.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Decision<P> {
    /// Accepted, and this is the port for the client.
    Accept(P),
    /// Refused. Also: the handler threw, its event timed out, its worker died.
    Refuse,
}

/// What a [`Connector`](crate::Connector) is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled input is a bug")]
pub enum Input<P> {
    /// A client calls `connect`. It will be answered by exactly one [`Output::Settle`].
    Connect(Box<Connect>),
    /// What the response to [`Output::Install`] asked for is installed, and the URL matches
    /// `candidate`; or nothing is, and there is none.
    Installed {
        /// The connect.
        id: RequestId,
        /// As [`Connect::candidate`].
        candidate: Option<Candidate>,
    },
    /// The worker of [`Output::Run`] is activated and runs, and `event` is the id of the event that
    /// is now to be dispatched.
    WorkerReady {
        /// The connect.
        id: RequestId,
        /// The event: unique among all events of the profile.
        event: EventId,
    },
    /// The worker of [`Output::Run`] does not run: it failed to start, it became redundant, or a
    /// budget forbids its start.
    StartFailed {
        /// The connect.
        id: RequestId,
    },
    /// The event of [`Output::Dispatch`] is decided.
    Decision {
        /// The event.
        event: EventId,
        /// What was decided.
        decision: Decision<P>,
    },
    /// A client is gone, and with it whoever waits for its connects.
    ClientGone {
        /// The client.
        client: ClientId,
    },
}

/// What a [`Connector`](crate::Connector) wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled output is a bug")]
pub enum Output<P> {
    /// Ask the network for the URL without credentials, install what the response's headers ask
    /// for, wait until it is activated or has failed, then answer with [`Input::Installed`]. Only
    /// of a connector that [installs](crate::Connector::installing).
    Install {
        /// The connect.
        id: RequestId,
        /// The client, which is the request's.
        client: ClientId,
        /// The URL.
        url: Url,
    },
    /// Wait until the worker is activated and run it, then answer with [`Input::WorkerReady`] or
    /// [`Input::StartFailed`].
    Run {
        /// The connect.
        id: RequestId,
        /// The worker's registration.
        registration: RegistrationId,
        /// The worker.
        worker: WorkerId,
        /// Whose budget of worker starts pays for it.
        top_level_site: Site,
    },
    /// Dispatch the event, apply [`HandlerRecord`](crate::HandlerRecord), then answer with
    /// [`Input::Decision`].
    Dispatch {
        /// The connect.
        id: RequestId,
        /// The event.
        event: EventId,
        /// The worker to dispatch it at.
        worker: WorkerId,
        /// What the event says.
        init: Box<ConnectEventInit>,
    },
    /// Settle the client's promise.
    Settle {
        /// The connect.
        id: RequestId,
        /// The port for the client, or the error.
        result: Result<P, ConnectError>,
    },
    /// Nobody waits for this connect any more, because its client is gone or its deadline has
    /// passed. If its event is not dispatched yet, do not dispatch it; if its handler still runs,
    /// nothing that it does accepts. No answer is needed, a late one does no harm.
    Cancel {
        /// The connect.
        id: RequestId,
        /// Its event, if it was dispatched.
        event: Option<EventId>,
    },
    /// Close this port: it was accepted with when nobody waited any more.
    Close {
        /// The port.
        port: P,
    },
}

/// What a connect event says. (SEMANTICS §4.1, `ConnectEvent`.)
///
/// The `request` that the client passed is not in it: whoever serialized it keeps it by the
/// connect's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectEventInit {
    /// [`EventType::Connect`] or [`EventType::CrossOriginConnect`].
    pub event_type: EventType,
    /// `event.origin`: the client's origin, `"null"` if opaque.
    pub origin: Origin,
    /// `event.targetURL`: inside the registration's scope, without fragment.
    pub target_url: Url,
    /// `event.client.url`: the client's URL without fragment for a service of its own origin, what
    /// `Referer` would say for others; empty if `None`.
    pub client_url: Option<Url>,
}
