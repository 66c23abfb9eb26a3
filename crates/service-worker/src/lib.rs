//! The facade.

#![forbid(unsafe_code)]

mod body;
mod boundary;
mod clock;
mod endpoint;
mod network;
mod policies;

pub use body::{Body, BodyError};
pub use boundary::{ConnectDetail, EventDetail, HostCommand, HostEvent, StartWorker};
pub use clock::Clock;
pub use endpoint::{
    Activity, FetchAnswer, FetchDetail, FetchDispatch, KeepAlive, Responder, Response,
    WorkerEndpoint, WorkerGone, WorkerInbox,
};
pub use network::{
    Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse,
};
pub use policies::{Limits, Policies};
pub use sw_registry::{EventOutcome, JobError, Report, StopReason, StoreError};

/// Who answers a fetch, and what its requester may see of the answer.
pub use fetch_router;
/// The vocabulary that every crate shares.
pub use sw_types as types;
