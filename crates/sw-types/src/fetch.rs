//! The heads of requests and responses, and the modes of the *Fetch* standard.
//!
//! Bodies do not exist here: they belong to the facade and the host.

#![expect(clippy::exhaustive_enums, reason = "closed sets of the specification")]

mod media_type;
mod referrer;
mod request;
mod response;

pub use media_type::{is_http_token_byte, is_javascript_mime_essence, mime_essence, mime_type};
pub use referrer::Referrer;
pub use request::{
    CacheMode, CredentialsMode, Destination, LookAside, RedirectMode, ReferrerPolicy, RequestHead,
    RequestMode, Requester, ServiceWorkersMode,
};
pub use response::{ResponseHead, ResponseType};
