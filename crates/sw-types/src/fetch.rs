//! The heads of requests and responses, and the modes of the *Fetch* standard.
//!
//! Bodies do not exist here: they belong to the facade and the host.

#![expect(clippy::exhaustive_enums, reason = "closed sets of the specification")]

mod request;
mod response;

pub use request::{
    CacheMode, CredentialsMode, Destination, LookAside, RedirectMode, RequestHead, RequestMode,
    Requester, ServiceWorkersMode,
};
pub use response::{ResponseHead, ResponseType};
