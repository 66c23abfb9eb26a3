//! The `navigator.connect` handshake: a client asks for a URL, the service worker whose scope
//! covers it accepts with a port, and whoever is refused cannot tell why.
//!
//! [`Connector`] is a sans-I/O state machine: it holds no clock, no thread and no port of its own,
//! and is generic over the type `P` of ports, which it only ever moves. Matching the URL to a
//! registration, starting the worker and dispatching the event are its caller's work.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use connect::{Caller, Candidate, Connect, Connector, Decision, Input, Limits, Output};
//! use sw_types::*;
//! use url::Url;
//!
//! let now = Instant::now();
//! let page = Url::parse("https://acme.test/app")?;
//! let mut connector = Connector::<&str>::new(Limits::default());
//!
//! // Steps 1 and 2: what is the caller's own fault is said at once, by name.
//! let caller = Caller::new(Environment::top_level(ClientId(1), page.clone()));
//! let target = connector.admit(caller, "https://echo.test/v1", &page)?;
//!
//! // The caller of this crate has matched `target.url()` to an active worker.
//! let worker = WorkerId(7);
//! let candidate = Some(Candidate {
//!     registration: RegistrationId(3),
//!     worker,
//!     state: WorkerState::Activated,
//!     handles: EventTypes::NONE.with(EventType::Connect),
//! });
//! let id = RequestId(1);
//! let connect = Connect { id, target, connect_src_blocks: false, candidate, jitter: Duration::ZERO };
//! connector.handle_input(now, Input::Connect(Box::new(connect)));
//! assert!(matches!(connector.poll_output(), Some(Output::Run { .. })));
//!
//! // The worker is activated and runs; the event is dispatched, and its handler accepts.
//! let event = EventId(20);
//! connector.handle_input(now, Input::WorkerReady { id, event });
//! assert!(matches!(connector.poll_output(), Some(Output::Dispatch { .. })));
//! connector.handle_input(now, Input::Decision { event, decision: Decision::Accept("a port") });
//! assert_eq!(connector.poll_output(), Some(Output::Settle { id, result: Ok("a port") }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The three that you meet first: [`Connector`], its [`Input`]s and its [`Output`]s. A host's
//! script binding also needs [`HandlerRecord`], which says from what a handler did whether it
//! accepted.
//!
//! It does not serialize the caller's `request` argument, evaluate a Content Security Policy,
//! match URLs, or create and entangle ports. Its rate limit is kept in memory and starts afresh
//! with the process.

#![forbid(unsafe_code)]

mod connector;
mod decide;
mod limits;
mod messages;
mod rate;

pub use connector::Connector;
pub use decide::{
    AcceptOutcome, HandlerRecord, InvalidState, LifetimePromises, Phase, Refusal, Verdict,
};
pub use limits::Limits;
pub use messages::{
    Caller, Candidate, Connect, ConnectError, ConnectEventInit, Decision, Input, Output, Target,
};
