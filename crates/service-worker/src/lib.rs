//! A browser's service-worker subsystem.

#![forbid(unsafe_code)]

mod body;
mod boundary;
mod clock;
mod connecting;
mod driver;
mod endpoint;
mod fetch;
mod functional;
mod handle;
#[cfg(feature = "host-tests")]
pub mod host_tests;
#[cfg(feature = "host-tests")]
pub mod native_host;
mod network;
mod open;
mod policies;
mod report;
mod script;
mod shared;
mod stashing;
mod store;
#[cfg(feature = "tokio")]
pub mod tokio_adapter;

pub use ::connect::ConnectError;
pub use ::stash::EntryId;
pub use body::{Body, BodyError};
pub use boundary::{ConnectDetail, EventDetail, HostCommand, HostEvent, PortMessage, StartWorker};
pub use clock::Clock;
pub use connecting::{ConnectOptions, ShownReferrer};
pub use driver::{Commanded, Driver};
pub use endpoint::{
    FetchAnswer, FetchDetail, FetchDispatch, KeepAlive, Responder, Response, WorkerEndpoint,
    WorkerInbox,
};
pub use fetch::{AnsweredBy, FetchError, FetchRequest, Fetched, NetworkUse};
pub use handle::{Handle, RegisterOptions};
pub use network::{
    Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse,
};
pub use open::{Config, HostCommands, Reports, ServiceWorkers, open};
pub use policies::{Limits, Policies};
pub use report::Report;
pub use stashing::{NotStashed, StashError};
#[cfg(feature = "redb")]
pub use store::{OpenError, RedbStore, SetAside, keep_copy, open_database};
pub use sw_registry::{
    EventOutcome, JobError, MemoryStore, Provenance, RegistryStore, Report as RegistryReport,
    Restored, StopReason, StoreError, StoreWrite, StoredRegistration, StoredWorker,
};

pub use connect;
pub use fetch_router;
pub use message_port;
pub use stash;
/// The vocabulary that every crate shares.
pub use sw_types as types;
