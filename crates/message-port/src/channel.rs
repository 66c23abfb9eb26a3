//! `MessageChannel`: two ports, entangled.

use crate::MessagePort;
use crate::pair::Pair;

/// Two entangled ports, each with an empty, disabled queue (HTML, "Message channels").
///
/// Take the fields; the channel itself is nothing more.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "HTML's MessageChannel is these two ports, and callers take it apart"
)]
pub struct MessageChannel {
    /// The first port.
    pub port1: MessagePort,
    /// The second port.
    pub port2: MessagePort,
}

impl MessageChannel {
    /// Makes a channel: one allocation of less than 256 bytes.
    #[must_use]
    pub fn new() -> Self {
        let (first, second) = Pair::entangled();
        Self {
            port1: MessagePort::at(first),
            port2: MessagePort::at(second),
        }
    }
}

impl Default for MessageChannel {
    fn default() -> Self {
        Self::new()
    }
}

impl From<MessageChannel> for (MessagePort, MessagePort) {
    fn from(channel: MessageChannel) -> Self {
        (channel.port1, channel.port2)
    }
}
