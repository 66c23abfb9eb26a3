//! The network as the facade needs it from a host: one hop at a time.

use std::future::Future;
use std::pin::Pin;

use http::{HeaderMap, Method, StatusCode};
use sw_types::fetch::CacheMode;
use sw_types::{Site, StorageKey};
use url::Url;

use crate::Body;

/// One hop over the network: *HTTP-network-or-cache fetch* without redirects and without CORS.
///
/// An implementation keeps the HTTP cache and the cookies, decodes the content coding (and removes
/// `Content-Encoding` and `Content-Length` when it did), and answers one response for one request.
/// Following redirects, checking CORS and asking workers are above it.
pub trait Network: Send + Sync + 'static {
    /// Sends one request. Dropping the future, or the response's body, aborts it.
    fn send(&self, request: NetworkRequest) -> NetworkFuture;
}

/// What [`Network::send`] gives.
pub type NetworkFuture =
    Pin<Box<dyn Future<Output = Result<NetworkResponse, NetworkError>> + Send>>;

/// One request, all its headers decided (but `Host`, `Cookie`, `Accept-Encoding`, cache
/// validators and framing).
#[derive(Debug)]
pub struct NetworkRequest {
    /// The method.
    pub method: Method,
    /// The URL, `http` or `https`; its fragment is not sent.
    pub url: Url,
    /// The header list.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// What the HTTP cache may do.
    pub cache: CacheMode,
    /// Whether cookies are sent and stored.
    pub credentials: bool,
    /// The site for cookies: whose top level asks. `None` sends no `SameSite` cookies.
    pub site_for_cookies: Option<Site>,
    /// Whether this is a navigation of a top-level traversable: such a request gets `SameSite=Lax`
    /// cookies from another site too if its method is safe, and may set `SameSite` cookies.
    pub top_level_navigation: bool,
    /// The partition of cookies and HTTP cache. `None`: they are not used.
    pub partition: Option<StorageKey>,
}

/// One response.
#[derive(Debug)]
pub struct NetworkResponse {
    /// The status.
    pub status: StatusCode,
    /// The status message, as it came.
    pub status_text: String,
    /// The header list, after content decoding.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Body,
    /// Whether the HTTP cache answered without the network.
    pub from_cache: bool,
    /// Whether cookies or authorization went with the request.
    pub sent_credentials: bool,
    /// The protocol of the connection, by its ALPN identifier (`h2`, `http/1.1`); empty if the HTTP cache
    /// answered, or nobody knows.
    pub protocol: &'static str,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {kind}")]
pub struct NetworkError {
    /// What was asked.
    pub url: Url,
    /// What went wrong.
    pub kind: NetworkErrorKind,
}

/// What went wrong on the network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkErrorKind {
    /// The host's name means no address.
    #[error("the host name does not resolve ({0})")]
    Resolve(String),
    /// Nobody accepts a connection.
    #[error("cannot connect ({0})")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed ({0})")]
    Tls(String),
    /// The other side broke HTTP, or the connection, before the response's head.
    #[error("no valid HTTP response ({0})")]
    Http(String),
    /// No response in time.
    #[error("no response in time")]
    Timeout,
    /// The scheme is not fetched over the network.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// Blocked before it was sent, by the policy that is named.
    #[error("blocked by {0}")]
    Blocked(&'static str),
}
