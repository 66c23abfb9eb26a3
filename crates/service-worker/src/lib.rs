//! The facade.

#![forbid(unsafe_code)]

mod body;
mod network;

pub use body::{Body, BodyError};
pub use network::{
    Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse,
};

/// The vocabulary that every crate shares.
pub use sw_types as types;
