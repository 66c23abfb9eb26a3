//! What travels: messages, and the events that a port delivers.

use std::any::Any;
use std::fmt;

use bytes::Bytes;

use crate::TransferredPort;

/// What a port delivers, in order.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled event is a bug")]
pub enum Event {
    /// A message, to be dispatched as a `message` event (or `messageerror`, if its payload cannot
    /// be deserialized in the receiving realm).
    Message(Message),
    /// The other end was closed, destroyed or taken away: the `close` event. Comes once for each
    /// partner that went, after the last message of that partner, and never at the end that
    /// initiated it.
    Close,
}

impl Event {
    /// The message, if it is one.
    pub(crate) const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Close => None,
        }
    }
}

/// One message: serialized bytes and what was transferred with them.
#[derive(Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a message is made by its sender and taken apart by its receiver"
)]
pub struct Message {
    /// The serialized value. This crate never looks inside.
    pub payload: Bytes,
    /// The transferred ports, in the order of the transfer list.
    pub ports: Vec<TransferredPort>,
    /// Anything else that an in-process host transfers with the message. It does not cross a
    /// process boundary. Ports belong in `ports`: one that hides in here travels, but a cycle of
    /// queues that it closes is not seen and leaks.
    pub attachment: Option<Box<dyn Any + Send>>,
}

impl Message {
    /// A message with this payload and nothing transferred.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ports: Vec::new(),
            attachment: None,
        }
    }

    /// Adds `port` to the end of the transferred ports.
    #[must_use]
    pub fn with_port(mut self, port: TransferredPort) -> Self {
        self.ports.push(port);
        self
    }

    /// Attaches `attachment`, in place of any earlier one.
    #[must_use]
    pub fn with_attachment(mut self, attachment: impl Any + Send) -> Self {
        self.attachment = Some(Box::new(attachment));
        self
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("payload", &self.payload)
            .field("ports", &self.ports)
            .field("attachment", &self.attachment.is_some())
            .finish()
    }
}
