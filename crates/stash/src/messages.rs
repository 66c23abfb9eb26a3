//! What goes into a [`Stash`](crate::Stash) and what comes out of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sw_types::{EventTypes, RegistrationId, Timestamp, WorkerId, WorkerState};

/// Names a stashed port, from `add` until it is closed or transferred.
///
/// A counter, unique within one run of one profile; never a secret and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub u64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId-{}", self.0)
    }
}

/// `ports.add(name, port)` or `stashPort(name, port)` by a service worker.
///
/// A port that was never entangled makes a dead view and no entry: that is for the caller to see,
/// before it comes here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry<P> {
    /// The worker's registration.
    pub registration: RegistrationId,
    /// The worker.
    pub worker: WorkerId,
    /// Its state now.
    pub state: WorkerState,
    /// The name.
    pub name: String,
    /// The port.
    pub port: P,
    /// When.
    pub created: Timestamp,
}

/// Why a port is not stashed: the exception that `add` and `stashPort` throw. (SEMANTICS §5.3.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// `InvalidStateError`: the worker is redundant.
    #[error("a redundant service worker cannot stash a port")]
    InvalidState,
    /// `QuotaExceededError`: the registration has as many entries as it may.
    #[error("the registration has too many stashed ports")]
    QuotaExceeded,
}

impl AddError {
    /// The exception's name, as a script sees it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidState => "InvalidStateError",
            Self::QuotaExceeded => "QuotaExceededError",
        }
    }
}

/// A port that was not stashed, and why. The script that wanted to stash it still has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct NotAdded<P> {
    /// Why.
    pub reason: AddError,
    /// The port.
    pub port: P,
}

/// What an entry was when it was transferred: see [`Output::Released`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it is taken apart by its receiver"
)]
pub struct Released<P, M> {
    /// Its port.
    pub port: P,
    /// What the port has received and nobody has seen, oldest first.
    pub messages: Vec<M>,
    /// Whether the port's peer is closed, which its new owner is to hear after them.
    pub closed: bool,
}

/// What an entry has to deliver to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an undelivered item is a bug")]
pub enum Item<M> {
    /// A message: a `message` event, or `messageerror` if it cannot be deserialized.
    Message(M),
    /// The peer is closed, and this is after its last message: a `close` event.
    Close,
}

/// What a [`Stash`](crate::Stash) is told.
///
/// A message for an entry that is gone is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled input is a bug")]
pub enum Input<M> {
    /// There is such a worker, and this is its state. Comes before anything else that names the
    /// worker, and again with every change. An activating or activated worker is its registration's
    /// active worker.
    Worker {
        /// Its registration.
        registration: RegistrationId,
        /// The worker.
        worker: WorkerId,
        /// Its state. A state that is behind the one told before is ignored.
        state: WorkerState,
        /// Its set of event types to handle, by which it is judged while it is stopped: the
        /// listeners of its first evaluation, none before that.
        handles: EventTypes,
    },
    /// A worker runs and its script has been evaluated; and again whenever its listeners change.
    Running {
        /// The worker.
        worker: WorkerId,
        /// Its listeners now: at its global and at `self.ports`, together.
        listeners: EventTypes,
    },
    /// A worker that was to be woken does not run: it failed to start, or a budget forbids it. It
    /// will be asked for again after a while.
    StartFailed {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker that ran, or was being started, does not any more. Comes for every
    /// [`Input::Running`], also when the worker has become redundant.
    Stopped {
        /// The worker.
        worker: WorkerId,
        /// What was delivered to it and never dispatched: it comes to the front of its entry again.
        /// What was delivered and is not in here counts as consumed.
        undispatched: Vec<(EntryId, Item<M>)>,
    },
    /// The event of an [`Output::Deliver`] has been dispatched.
    Consumed {
        /// The worker that it was delivered to.
        worker: WorkerId,
        /// The entry.
        entry: EntryId,
    },
    /// A message has arrived at a stashed port.
    MessageArrived {
        /// The entry.
        entry: EntryId,
        /// The message.
        message: M,
        /// How much of the registration's quota it takes.
        bytes: usize,
    },
    /// A message has arrived at a stashed port, and is not accepted yet: a store has to have it
    /// first. It takes its place and its share of the quota, and is held, with all that comes after
    /// it, until [`Input::Accepted`].
    MessageWaits {
        /// The entry.
        entry: EntryId,
        /// The message.
        message: M,
        /// How much of the registration's quota it takes.
        bytes: usize,
    },
    /// The oldest message of an entry that is not accepted yet is now.
    Accepted {
        /// The entry.
        entry: EntryId,
    },
    /// What the port of an entry is entangled with: another entry, or (as for every new entry)
    /// something that is not stashed.
    Entangled {
        /// The entry.
        entry: EntryId,
        /// The other one.
        peer: Option<EntryId>,
    },
    /// Whether the origin of a registration that has entries has an open client. Until this is told,
    /// it has. What two
    /// stashed ports say to each other while neither side has one is throttled: see
    /// [`Limits::unattended_stretch`](crate::Limits::unattended_stretch).
    Attended {
        /// The registration.
        registration: RegistrationId,
        /// Whether it has.
        attended: bool,
    },
    /// The port that a stashed port is entangled with is closed or destroyed; no message follows.
    PeerClosed {
        /// The entry.
        entry: EntryId,
    },
    /// A view of an entry is stashed again: the entry moves to the end of its new name's list.
    Rename {
        /// The entry.
        entry: EntryId,
        /// The new name.
        name: String,
    },
    /// `close()` on a view of an entry. Answered by [`Output::ClosePort`].
    Close {
        /// The entry.
        entry: EntryId,
    },
    /// A view of an entry is transferred. Answered by [`Output::Released`].
    Transfer {
        /// The entry.
        entry: EntryId,
        /// A message of this entry that was delivered to the worker that transfers it and that is
        /// not dispatched yet: it travels with the port.
        undispatched: Option<M>,
    },
    /// Site data is cleared, and the registration lives on: its entries close.
    AllClosed {
        /// The registration.
        registration: RegistrationId,
    },
    /// A registration, or the storage that it is part of, is cleared.
    RegistrationCleared {
        /// The registration.
        registration: RegistrationId,
    },
}

/// What a [`Stash`](crate::Stash) wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled output is a bug")]
pub enum Output<P, M> {
    /// Start a stopped worker, as for a functional event; answer with [`Input::Running`] or
    /// [`Input::StartFailed`].
    Wake {
        /// The worker.
        worker: WorkerId,
        /// The entry that needs it first: whose peer is to be charged for the start.
        entry: EntryId,
    },
    /// Fire an event at a running worker; answer with [`Input::Consumed`] when it has been
    /// dispatched. An entry has one delivery under way at a time.
    Deliver {
        /// The worker.
        worker: WorkerId,
        /// The entry.
        entry: EntryId,
        /// What to deliver.
        item: Item<M>,
    },
    /// The entry is gone and its views are dead: close its port, so that the peer gets `close`.
    ClosePort {
        /// The entry.
        entry: EntryId,
        /// Its port.
        port: P,
    },
    /// The entry is gone, as [`Input::Transfer`] asked.
    Released {
        /// The entry.
        entry: EntryId,
        /// Its port.
        port: P,
        /// What the port has received and nobody has seen, oldest first: they belong at the front
        /// of the port's queue.
        messages: Vec<M>,
        /// Whether the port's peer is closed, which its new owner is to hear after them.
        closed: bool,
    },
    /// A registration's messages were over their quota, and this entry, which held the most of
    /// them, was closed. For the host's console; [`Output::ClosePort`] follows.
    QuotaExceeded {
        /// The registration.
        registration: RegistrationId,
        /// The entry.
        entry: EntryId,
    },
}
