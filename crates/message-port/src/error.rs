//! What can go wrong: small values, which a binding turns into exceptions.

use crate::MessagePort;

/// A port that cannot be transferred, handed back.
///
/// A binding throws a `DataCloneError` (HTML, *StructuredSerializeWithTransfer*: the
/// `[[Detached]]` check).
#[derive(Debug, thiserror::Error)]
#[error("the port is detached: it was closed")]
#[non_exhaustive]
pub struct TransferError {
    /// The port, as it was.
    pub port: MessagePort,
}

/// Why two ports were not entangled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntangleError {
    /// One of them is detached: it was closed. Nothing has changed.
    #[error("one of the ports is detached: it was closed")]
    Detached,
}

/// Why there is nothing to receive now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing that may be delivered is queued: the queue is empty, or disabled.
    #[error("no event is ready")]
    Empty,
    /// The port is not entangled and its queue is at its end: no event will come any more.
    #[error("the port is closed and its queue is at its end")]
    Closed,
}
