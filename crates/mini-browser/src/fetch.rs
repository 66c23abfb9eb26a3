//! Fetching: *fetch* and *main fetch* of the *Fetch* standard, around single hops.
//!
//! A hop — own worker, then fall-through, then network — is a [`Hop`]'s business; here is what lies
//! around it: what is blocked before it is asked, redirects, the headers that the network gets, and
//! what of a network response the requester may see.
//!
//! Not offered: CORS preflights, integrity metadata, Content Security Policy, upgrades of mixed
//! content, HSTS. What would need the first two is a network error that says so.

mod bad_port;
mod data_url;
mod hop;
mod main_fetch;
mod media_type;
mod network_headers;
mod redirect;
mod referrer;
#[cfg(test)]
mod script_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use http::HeaderValue;
use service_worker::Body;
use service_worker::fetch_router::BlockedReason;
use service_worker::types::Environment;
use service_worker::types::fetch::{RequestHead, ResponseHead};
use url::Url;

pub use hop::{Hop, HopError, HopFuture, Hopped, Source};
pub use main_fetch::fetch;
pub(crate) use redirect::location_url;
pub use referrer::ReferrerPolicy;
pub(crate) use referrer::determine_referrer;

/// A request with all that *fetch* needs to know. (*Fetch*, "fetch params".)
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever fetches decides all of it"
)]
pub struct FetchParams {
    /// The request. Its referrer is the one before the referrer policy: of a request whose referrer
    /// is "client", the client's URL.
    pub head: RequestHead,
    /// Its body, if [`RequestHead::has_body`].
    pub body: bytes::Bytes,
    /// Its client.
    pub client: Environment,
    /// For a navigation or a worker's script: the environment that is being created.
    pub reserved: Option<Environment>,
    /// The referrer policy.
    pub referrer_policy: ReferrerPolicy,
    /// Whether the user made this navigation, and no page: `Sec-Fetch-Site` is then `none`.
    pub by_user: bool,
}

/// What a server is told of the program and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserAgent {
    /// `User-Agent`
    pub name: HeaderValue,
    /// `Accept-Language`
    pub languages: HeaderValue,
}

impl Default for UserAgent {
    fn default() -> Self {
        Self {
            name: HeaderValue::from_static(concat!("mini-browser/", env!("CARGO_PKG_VERSION"))),
            languages: HeaderValue::from_static("en"),
        }
    }
}

/// What the scripts of a realm fetch with: to be given to it as a service.
#[derive(Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what `fetch` takes beside its parameters"
)]
pub struct FetchService {
    /// Answers the hops.
    pub hop: Arc<dyn Hop>,
    /// What servers are told.
    pub agent: UserAgent,
}

impl FetchService {
    /// Over `hop`, as the default user agent.
    #[must_use]
    pub fn new(hop: Arc<dyn Hop>) -> Self {
        Self {
            hop,
            agent: UserAgent::default(),
        }
    }

    /// See [`fetch`].
    ///
    /// # Errors
    /// Why there is a network error.
    pub async fn fetch(&self, params: FetchParams) -> Result<FetchedResponse, FetchError> {
        fetch(&*self.hop, &self.agent, params).await
    }
}

impl std::fmt::Debug for FetchService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchService")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// A response, as its requester may see it.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the parts of a response")]
pub struct FetchedResponse {
    /// The head, with its filter.
    pub head: ResponseHead,
    /// The body; `None` is a null body.
    pub body: Option<Body>,
    /// Who gave it.
    pub source: Source,
}

/// A network error: why, for people. Scripts learn nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {reason}")]
#[expect(clippy::exhaustive_structs, reason = "where and why")]
pub struct FetchError {
    /// What was asked last.
    pub url: Url,
    /// What went wrong.
    pub reason: FetchErrorReason,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchErrorReason {
    /// The port belongs to another protocol.
    #[error("port {0} is blocked")]
    BadPort(u16),
    /// A secure context asks for, or got, what is not potentially trustworthy.
    #[error("mixed content: a secure context cannot use what is not potentially trustworthy")]
    MixedContent,
    /// Nothing fetches this scheme, or not with this mode.
    #[error("the scheme {0} cannot be fetched")]
    Scheme(String),
    /// A `data:` URL without a comma, or with bad base64.
    #[error("the data: URL is malformed")]
    DataUrl,
    /// A cross-origin request that is not simple.
    #[error("the request needs a CORS preflight, which mini-browser does not offer yet")]
    NeedsPreflight,
    /// Integrity metadata was given.
    #[error("integrity metadata is not offered yet")]
    Integrity,
    /// The requester may not have this response.
    #[error(transparent)]
    Blocked(#[from] BlockedReason),
    /// The type of a response does not suit a script or style sheet.
    #[error("a response of type {media_type:?} is no {wanted}")]
    MediaType {
        /// What its `Content-Type` says.
        media_type: String,
        /// What it was asked for as.
        wanted: &'static str,
    },
    /// More redirects than the standard allows.
    #[error("more than 20 redirects")]
    TooManyRedirects,
    /// `Location` is not one valid http(s) URL.
    #[error("redirected to {0:?}, which is not a valid http or https URL")]
    BadLocation(String),
    /// `Location` holds a user name or password.
    #[error("redirected across origins to a URL with a user name or password")]
    CredentialsInLocation,
    /// The hop failed.
    #[error(transparent)]
    Hop(#[from] HopError),
}
