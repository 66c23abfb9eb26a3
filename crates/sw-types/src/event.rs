//! The events that a service worker can listen to, as far as a browser must know them.

#![expect(
    clippy::exhaustive_enums,
    reason = "a new event needs a decision wherever they are handled"
)]

use std::fmt;

use serde::{Deserialize, Serialize};

/// An event type that decides whether a worker is started or skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EventType {
    /// `install`
    Install,
    /// `activate`
    Activate,
    /// `fetch`
    Fetch,
    /// `message`, at the global or at `self.ports`
    Message,
    /// `messageerror`
    MessageError,
    /// `connect`
    Connect,
    /// `crossoriginconnect`
    CrossOriginConnect,
    /// `push`
    Push,
    /// `close`, at `self.ports`
    Close,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Install,
        Self::Activate,
        Self::Fetch,
        Self::Message,
        Self::MessageError,
        Self::Connect,
        Self::CrossOriginConnect,
        Self::Push,
        Self::Close,
    ];

    /// The name that scripts listen to.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Activate => "activate",
            Self::Fetch => "fetch",
            Self::Message => "message",
            Self::MessageError => "messageerror",
            Self::Connect => "connect",
            Self::CrossOriginConnect => "crossoriginconnect",
            Self::Push => "push",
            Self::Close => "close",
        }
    }

    /// The event type of a name; `None` for names that no browser decision depends on.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of event types: a worker's *set of event types to handle*, or its listeners now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventTypes(u16);

impl EventTypes {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Whether `event` is in the set.
    #[must_use]
    pub const fn contains(self, event: EventType) -> bool {
        self.0 & (1 << event as u8) != 0
    }

    /// The set with `event` in it.
    #[must_use]
    pub const fn with(self, event: EventType) -> Self {
        Self(self.0 | 1 << event as u8)
    }
}

impl FromIterator<EventType> for EventTypes {
    fn from_iter<I: IntoIterator<Item = EventType>>(events: I) -> Self {
        events.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What a worker's `fetch` listeners amount to. (*Service Workers*, "all fetch listeners are
/// empty flag".)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FetchHandler {
    /// No listener.
    #[default]
    None,
    /// Listeners, all of them with an empty body.
    Empty,
    /// Listeners that do something.
    Present,
}
