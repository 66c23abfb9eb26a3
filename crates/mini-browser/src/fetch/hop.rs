//! One hop of HTTP fetch, as main fetch asks for it.

use std::future::Future;
use std::pin::Pin;

use service_worker::{FetchRequest, Response, ServiceWorkerTiming};

/// Answers one hop: the client's own worker, then a fall-through worker, then the network.
pub trait Hop: Send + Sync {
    /// Asks. Dropping the future aborts the hop.
    ///
    /// What a worker answered comes back checked and filtered; what the network or the HTTP cache
    /// answered has type default and the request's URL list, and is not filtered.
    fn hop(&self, request: FetchRequest) -> HopFuture;
}

/// What [`Hop::hop`] gives.
pub type HopFuture = Pin<Box<dyn Future<Output = Result<Hopped, HopError>> + Send>>;

/// A hop's response.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "what main fetch goes on with")]
pub struct Hopped {
    /// The response.
    pub response: Response,
    /// Who gave it.
    pub source: Source,
    /// What the client's own worker, and its router rules, had part in.
    pub timing: ServiceWorkerTiming,
    /// By which protocol the network answered, as an ALPN identifier; empty if it did not.
    pub protocol: &'static str,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nobody else")]
pub enum Source {
    /// The client's own worker.
    OwnWorker,
    /// Another origin's worker, by fall-through.
    FallThrough,
    /// The network, or the HTTP cache.
    Network,
    /// The URL itself holds the answer: `data:` and `about:`.
    Url,
}

/// Why a hop has no response, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HopError(Why);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("no worker answers, and the network may not be asked")]
    NetworkForbidden,
    #[error("{0}")]
    Other(String),
}

impl HopError {
    /// With a reason in one line.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self(Why::Other(reason.to_string()))
    }

    /// Nobody but the network could answer, and it may not be asked
    /// ([`NetworkUse::Forbidden`](service_worker::NetworkUse::Forbidden)). Nothing was sent.
    #[must_use]
    pub const fn network_forbidden() -> Self {
        Self(Why::NetworkForbidden)
    }

    /// Whether it is [`Self::network_forbidden`].
    #[must_use]
    pub fn is_network_forbidden(&self) -> bool {
        self.0 == Why::NetworkForbidden
    }
}
