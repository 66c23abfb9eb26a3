//! Why a link was closed, by name.

use std::time::Duration;

/// Why a link ended. All but [`Lost`](Self::Lost) are the peer's doing and close that link only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The host said that the stream has ended or failed.
    #[error("the stream has ended")]
    Lost,
    /// The stream does not begin as this protocol does.
    #[error("the peer does not speak this protocol")]
    Garbage,
    /// The peer speaks another version of it.
    #[error("the peer speaks version {0} of the protocol")]
    WrongVersion(u16),
    /// No complete greeting came in time.
    #[error("no greeting within {0:?}")]
    HelloTimeout(Duration),
    /// Both sides claim to have opened the link, or neither does.
    #[error("both sides of the link claim the same role")]
    RoleConflict,
    /// The token of an introduced link is missing, unknown, or not the one that was announced.
    #[error("the peer did not prove that it was introduced")]
    BadToken,
    /// A frame is longer than the protocol permits.
    #[error("a frame of {0} bytes")]
    OversizedFrame(u32),
    /// A frame of no known kind.
    #[error("a frame of unknown kind {0}")]
    UnknownFrame(u8),
    /// A frame whose fields do not fit its length, or are out of range.
    #[error("a frame with malformed fields")]
    MalformedFrame,
    /// A frame that has no place in the state that its port, or the link, is in.
    #[error("a frame out of place")]
    UnexpectedFrame,
    /// A port is named that was never granted on this link, or is no more.
    #[error("port {0} was not granted on this link")]
    UnknownPort(u64),
    /// A port is granted, or a move acknowledged, a second time or for another epoch.
    #[error("port {0} is granted or acknowledged anew")]
    ReplayedEpoch(u64),
    /// A port's events do not follow on one another.
    #[error("event {found} of a port where {expected} was due")]
    OutOfSequence {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// More was sent on a port than its credit permits.
    #[error("more was sent than the port's credit permits")]
    CreditExceeded,
    /// A message is longer than this node permits, or its pieces are longer than was announced.
    #[error("a message of {0} bytes")]
    OversizedMessage(u64),
    /// The peer goes on sending, but does not read the answers: so many bytes wait to be written.
    #[error("{0} bytes wait for the peer to read")]
    PeerDoesNotRead(usize),
    /// The peer has opened more channels, which it has not ended, than this node permits.
    #[error("too many channels")]
    TooManyChannels,
    /// The peer has made more introductions, which it has not taken back, than a link may have.
    #[error("too many introductions")]
    TooManyIntroductions,
    /// More ports wait in queues, for somebody to receive them, than this node permits a link.
    #[error("too many ports wait in queues")]
    TooManyQueuedPorts,
}
