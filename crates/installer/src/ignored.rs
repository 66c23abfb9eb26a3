//! Why a response installs nothing.

use std::fmt;

use http::StatusCode;
use sw_types::UrlError;

/// Why a response installs no service worker. For the host's trace: pages never learn it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// There is no `Service-Worker-Script` header: nothing is asked for.
    #[error("the response has no Service-Worker-Script header")]
    NoHeader,
    /// `Service-Worker-Scope` alone asks for nothing.
    #[error("the response has a Service-Worker-Scope header without a Service-Worker-Script")]
    ScopeAlone,
    /// The host's policy is `Off`.
    #[error("header installation is turned off")]
    PolicyOff,
    /// A redirect, an informational response, or an error.
    #[error("the response's status is {0}, neither 2xx nor 304")]
    Status(StatusCode),
    /// A worker or the HTTP cache answered.
    #[error("the response does not come from the network")]
    NotFromNetwork,
    /// The response is a service worker's script.
    #[error("the response is a service worker's script")]
    ServiceWorkerScript,
    /// The response's origin is opaque: of its URL, or of the document that it makes.
    #[error("the response's origin is opaque")]
    OpaqueOrigin,
    /// The response's URL is not potentially trustworthy.
    #[error("the response's URL is not potentially trustworthy")]
    NotTrustworthy,
    /// The request has no client.
    #[error("the request has no client")]
    NoClient,
    /// The client is not a secure context.
    #[error("the client is not a secure context")]
    NotSecure,
    /// The client may use no storage.
    #[error("the client's storage is blocked")]
    StorageBlocked,
    /// A service worker's own fetch brought the response, and that worker controls no client.
    #[error("a service worker that controls no client fetched the response")]
    IdleWorker,
    /// The response is sandboxed into an opaque origin.
    #[error("Content-Security-Policy has sandbox without allow-same-origin")]
    Sandboxed,
    /// The response is a download.
    #[error("Content-Disposition is attachment")]
    Attachment,
    /// The header is there more than once: none counts.
    #[error("there is more than one {0} header")]
    Duplicate(InstallHeader),
    /// The header's value is no URL reference.
    #[error("the {header} header {why}")]
    Malformed {
        /// Which header.
        header: InstallHeader,
        /// What is wrong with it.
        why: Malformed,
    },
    /// The header names a URL of another origin than the response's.
    #[error("the {0} header names another origin")]
    CrossOrigin(InstallHeader),
    /// The response has four `Link`s that ask for service workers before this one.
    #[error("there are more than four Links to service workers")]
    TooManyLinks,
    /// The top-level site has used up its installs of this minute.
    #[error("too many header installs under this top-level site in a minute")]
    RateLimited,
    /// The same install has failed not long ago.
    #[error("the same install has failed not long ago")]
    FailedRecently,
}

/// A header that asks for an install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever adds one thinks of its rules"
)]
pub enum InstallHeader {
    /// `Service-Worker-Script`
    Script,
    /// `Service-Worker-Scope`
    Scope,
    /// `Link`, with relation `serviceworker`
    Link,
}

impl InstallHeader {
    /// The header's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Script => "Service-Worker-Script",
            Self::Scope => "Service-Worker-Scope",
            Self::Link => "Link",
        }
    }
}

impl fmt::Display for InstallHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a header's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Nothing, or only white space.
    #[error("is empty")]
    Empty,
    /// More than 4096 bytes; of a `Link`, more than 16 KiB.
    #[error("is too long")]
    TooLong,
    /// A byte that no URL reference has: white space inside, a control character, non-ASCII. (Two
    /// headers that something on the way has joined with `, ` end here as well.)
    #[error("has a byte that no URL has")]
    Byte,
    /// A `Link` that is not written as one. (RFC 8288, appendix B.)
    #[error("is not written as a link")]
    NoLink,
    /// The parameter that is named has a value that it cannot have.
    #[error("has a {0} that does not exist")]
    Keyword(&'static str),
    /// It parses to no URL that could be a script or a scope. (What is wrong, as a sentence.)
    #[error("is no usable URL: {0}")]
    Url(String),
}

impl From<UrlError> for Malformed {
    fn from(error: UrlError) -> Self {
        Self::Url(error.to_string())
    }
}
