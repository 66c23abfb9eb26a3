//! A browser's service-worker subsystem: registrations, lifecycle, fetch interception, fall-through,
//! connects and stashed ports, composed for a host that brings the agents, the network and a store.
//!
//! A page with no worker asks the network, of a host whose network has one answer:
//!
//! ```
//! # use std::{future::Future, pin::Pin, sync::Arc, time::{Duration, Instant}};
//! # use futures_util::{FutureExt, future::join};
//! # use service_worker::types::{ClientId, Environment, Timestamp, fetch::{CacheMode, RequestHead}};
//! use service_worker::*;
//! # struct StoppedClock(Instant);
//! # impl Clock for StoppedClock {
//! #     fn now(&self) -> Instant { self.0 }
//! #     fn wall(&self) -> Timestamp { Timestamp(0) }
//! #     fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
//! #         Box::pin(std::future::pending())
//! #     }
//! # }
//! # struct Hello;
//! # impl Network for Hello {
//! #     fn send(&self, _: NetworkRequest) -> NetworkFuture {
//! #         Box::pin(async { Ok(NetworkResponse {
//! #             status: http::StatusCode::OK, status_text: "OK".into(), headers: Default::default(),
//! #             body: Body::from("hello"), from_cache: false, sent_credentials: false,
//! #             protocol: "http/1.1",
//! #         }) })
//! #     }
//! # }
//! # let (clock, network) = (Arc::new(StoppedClock(Instant::now())), Arc::new(Hello));
//! let policies = Policies::shipping();
//! let store = Box::new(MemoryStore::new());
//! let ServiceWorkers { handle, mut driver, commands, .. } =
//!     open(Config { policies, clock, network, caches: Arc::new(NoCaches), store })?;
//! // `commands` is for the host's agents; the driver is for its event loop.
//! let page = Environment::top_level(ClientId(1), "https://site.test/".parse()?);
//! handle.host_event(HostEvent::ClientCreated(page.clone()));
//! (&mut driver).now_or_never();
//! let request = FetchRequest {
//!     head: RequestHead::get("https://site.test/a".parse()?, page.origin),
//! #     body: Body::empty(), client: page.id, reserved: None,
//! #     network: NetworkUse::Allowed { headers: Default::default(), cache: CacheMode::Default },
//!     // its client, its body, and whether the network may be asked
//! };
//! let fetched = handle.fetch(request).now_or_never().expect("nothing to wait for")?;
//! assert_eq!(fetched.answered_by, AnsweredBy::Network);
//! # drop(commands);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The three that you meet first: [`Handle`] (for agents: one method per operation of a script),
//! [`Driver`] (a future that owns the state machines and is polled by the host's loop), and
//! [`HostCommand`] with its answers [`HostEvent`] (all that crosses to the host's agents, plain
//! data). `native_host`, behind the feature `host-tests`, is a host of a few hundred lines to
//! read.
//!
//! It runs no scripts, opens no sockets, follows no redirects and checks no CORS: those are the
//! host's, around [`Handle::fetch`]. It has no clock and no runtime of its own; the one thread that
//! it starts owns the store. Push services and background sync are not in it: what a host has got for a
//! worker it [hands over](Handle::push).

#![forbid(unsafe_code)]

mod body;
mod boundary;
mod cache_storage;
mod clock;
mod commands;
mod connecting;
mod driver;
mod endpoint;
mod fetch;
mod functional;
mod handle;
#[cfg(feature = "host-tests")]
pub mod host_tests;
mod importing;
mod messaging;
#[cfg(feature = "host-tests")]
pub mod native_host;
mod navigation;
mod network;
mod open;
mod policies;
mod report;
mod router_rules;
mod script;
mod shared;
mod site_data;
mod stashing;
mod store;
#[cfg(feature = "tokio")]
pub mod tokio_adapter;

pub use ::connect::ConnectError;
pub use ::stash::EntryId;
pub use body::{Body, BodyError};
pub use boundary::{ConnectDetail, EventDetail, HostCommand, HostEvent, PortMessage, StartWorker};
pub use cache_storage::{CacheFuture, CacheStorage, NoCaches};
pub use clock::Clock;
pub use commands::{Commanded, HostCommands};
pub use connecting::{ConnectOptions, ShownReferrer};
pub use driver::Driver;
pub use endpoint::{
    Aborted, FetchAnswer, FetchDetail, FetchDispatch, KeepAlive, PreloadResponse, Responder,
    Response, WorkerEndpoint, WorkerInbox,
};
pub use fetch::{
    AnsweredBy, Attempt, DecisionRecord, FetchError, FetchRequest, Fetched, NetworkUse, Outcome,
    PassedBy, ServiceWorkerTiming,
};
pub use handle::{Handle, RegisterOptions};
pub use importing::ImportError;
pub use messaging::{ClientMessage, MessageDetail, MessageSource};
pub use network::{
    Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse,
};
pub use open::{Config, Reports, ServiceWorkers, open};
pub use policies::{Limits, Policies};
pub use report::Report;
pub use stashing::{NotStashed, StashError};
#[cfg(feature = "redb")]
pub use store::{OpenError, RedbStore, SetAside, keep_copy, open_database};
pub use sw_registry::{
    EventOutcome, JobError, MemoryStore, Provenance, RegistryStore, Report as RegistryReport,
    Restored, SiteData, StopReason, StoreError, StoreWrite, StoredRegistration, StoredWorker,
};

pub use connect;
pub use fetch_router;
pub use message_port;
pub use stash;
/// The vocabulary that every crate shares.
pub use sw_types as types;
