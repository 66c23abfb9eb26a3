//! Fetching: *fetch* and *main fetch* of the *Fetch* standard, around single hops.
//!
//! A hop — own worker, then fall-through, then network — is a [`Hop`]'s business; here is what lies
//! around it: what is blocked before it is asked, redirects, the headers that the network gets, and
//! what of a network response the requester may see.
//!
//! Not offered: HSTS, streaming uploads over HTTP/1.1 (which the standard forbids), and prompts for a
//! password.

mod authentication;
mod bad_port;
mod content_security_policy;
mod data_url;
mod hop;
mod http_fetch;
mod integrity;
mod keepalive;
mod main_fetch;
#[cfg(test)]
mod matrix_tests;
mod media_type;
mod network_headers;
#[cfg(test)]
mod network_tests;
mod policy_container;
mod preflight;
mod preflight_cache;
mod redirect;
mod referrer;
mod request_body;
mod scheme_fetch;
#[cfg(test)]
mod script_tests;
mod secure_context;
#[cfg(test)]
pub(crate) mod tests;
mod timing;

use std::sync::Arc;

use http::{HeaderValue, Method};
use service_worker::fetch_router::BlockedReason;
pub use service_worker::fetch_router::EmbedderPolicy;
use service_worker::tokio_adapter::TokioClock;
pub use service_worker::types::fetch::ReferrerPolicy;
use service_worker::types::fetch::{RequestHead, ResponseHead};
use service_worker::types::{Environment, StorageKey};
use service_worker::{Body, BodyError, Clock};
use url::Url;

use crate::net::CookieJar;

use self::authentication::AuthenticationEntries;
use self::keepalive::InflightKeepalive;
use self::preflight_cache::PreflightCache;

pub use content_security_policy::ContentSecurityPolicies;
pub use hop::{Hop, HopError, HopFuture, Hopped, Source};
pub use policy_container::PolicyContainer;
pub use preflight::PreflightError;
pub(crate) use redirect::location_url;
pub(crate) use referrer::{
    determine_referrer, policy_of_headers, policy_of_keyword, policy_of_meta,
};
pub use request_body::RequestBody;
pub use scheme_fetch::{BlobObject, BlobStore};
pub use secure_context::{is_potentially_trustworthy, is_secure_context};
pub use timing::FetchTiming;

/// A request with all that *fetch* needs to know. (*Fetch*, "fetch params".)
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchParams {
    /// The request. Its referrer is the one before the referrer policy: of a request whose referrer
    /// is "client", the client's URL. Its *use-CORS-preflight flag* is that of the request alone;
    /// what its method and headers need is seen here.
    pub head: RequestHead,
    /// Its body, if [`RequestHead::has_body`].
    pub body: RequestBody,
    /// Its client.
    pub client: Environment,
    /// For a navigation or a worker's script: the environment that is being created.
    pub reserved: Option<Environment>,
    /// The client's embedder policy.
    pub embedder_policy: EmbedderPolicy,
    /// The client's CSP list.
    pub content_security: ContentSecurityPolicies,
    /// The referrer policy: the request's own, or else the client's. (That of the head is set by it.)
    pub referrer_policy: ReferrerPolicy,
    /// Of the request of a navigation that a worker fetches: what had redirected it before the worker
    /// was asked. (Part of its URL list by the letter; here, `Sec-Fetch-Site` heeds it.)
    pub redirected_from: Vec<Url>,
    /// Whether the user made this navigation, and no page: `Sec-Fetch-Site` is then `none`.
    pub by_user: bool,
}

impl FetchParams {
    /// A request without a body that a client makes for itself, with the default policies.
    #[must_use]
    pub fn new(head: RequestHead, client: Environment) -> Self {
        Self {
            head,
            body: RequestBody::default(),
            client,
            reserved: None,
            embedder_policy: EmbedderPolicy::UnsafeNone,
            content_security: ContentSecurityPolicies::default(),
            referrer_policy: ReferrerPolicy::default(),
            redirected_from: Vec::new(),
            by_user: false,
        }
    }

    /// With the policies of the client.
    #[must_use]
    pub fn with_policies(mut self, policies: &PolicyContainer) -> Self {
        self.embedder_policy = policies.embedder;
        self.content_security = policies.content_security.clone();
        self.referrer_policy = policies.referrer;
        self
    }
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

/// What the scripts of a realm fetch with: to be given to it as a service. Cheap to clone; clones
/// share what preflights allowed and what servers accepted.
#[derive(Clone)]
#[non_exhaustive]
pub struct FetchService {
    /// Answers the hops.
    pub hop: Arc<dyn Hop>,
    /// What servers are told.
    pub agent: UserAgent,
    /// Where `blob:` URLs lead; without a store, nowhere.
    pub blobs: Option<Arc<dyn BlobStore>>,
    /// The cookies of the network behind `hop`, for `document.cookie`.
    pub cookies: Option<Arc<CookieJar>>,
    /// Says how long a preflight counts.
    pub clock: Arc<dyn Clock>,
    state: Arc<State>,
}

/// What a user agent remembers between fetches.
#[derive(Default)]
struct State {
    preflights: PreflightCache,
    keepalive: InflightKeepalive,
    authentication: AuthenticationEntries,
}

impl FetchService {
    /// Over `hop`, as the default user agent, with tokio's clock and nothing else.
    #[must_use]
    pub fn new(hop: Arc<dyn Hop>) -> Self {
        Self {
            hop,
            agent: UserAgent::default(),
            blobs: None,
            cookies: None,
            clock: Arc::new(TokioClock),
            state: Arc::default(),
        }
    }

    /// With the cookies of the network.
    #[must_use]
    pub fn with_cookies(mut self, cookies: Arc<CookieJar>) -> Self {
        self.cookies = Some(cookies);
        self
    }

    /// With a blob URL store.
    #[must_use]
    pub fn with_blobs(mut self, blobs: Arc<dyn BlobStore>) -> Self {
        self.blobs = Some(blobs);
        self
    }

    /// *Clear cookies for origin*, step 6.
    pub(crate) fn clear_authentication(&self, key: &StorageKey) {
        self.state.authentication.clear(key);
    }

    /// *Fetch*: a response as its requester may see it, after all redirects that the request
    /// follows. Dropping the future aborts.
    ///
    /// # Errors
    /// Why there is a network error.
    pub async fn fetch(&self, params: FetchParams) -> Result<FetchedResponse, FetchError> {
        main_fetch::fetch(self, params).await
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
    /// When it came, once the fetch is over.
    pub timing: Option<Box<FetchTiming>>,
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
    /// The client's Content Security Policy does not allow it.
    #[error("the directive {0} of the Content Security Policy does not allow it")]
    ContentSecurity(String),
    /// Nothing fetches this scheme, or not with this mode.
    #[error("the scheme {0} cannot be fetched")]
    Scheme(String),
    /// A `data:` URL without a comma, or with bad base64.
    #[error("the data: URL is malformed")]
    DataUrl,
    /// Nobody made this `blob:` URL, or it was revoked.
    #[error("the blob: URL leads nowhere")]
    NoBlob,
    /// A blob is asked for with something other than `GET`.
    #[error("a blob cannot be asked for with {0}")]
    BlobMethod(Method),
    /// A range that the blob does not have.
    #[error("the blob does not have the range that is asked for")]
    BlobRange,
    /// The server does not allow what the request does.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The response is not the one that the integrity metadata means, or may not be read.
    #[error("the response does not match its integrity metadata")]
    Integrity,
    /// The response ended early, when it was read for its integrity.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A stream cannot be sent again, after a redirect or with a password.
    #[error("the request is to be sent again, and its body is a stream")]
    StreamAgain,
    /// The client's keepalive requests carry too much.
    #[error("the bodies of keepalive requests are longer than 64 KiB together")]
    KeepaliveLimit,
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
