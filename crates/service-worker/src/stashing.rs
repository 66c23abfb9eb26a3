//! Stashed ports: `ports.add`, `stashPort`, `ports.match`, and the delivery of what they receive.
//! (SEMANTICS §5.3.)
//!
//! The stash is behind a lock, since scripts stash synchronously; no port is used and no message
//! dropped under it. A port is drained by readiness: its callback sends word to the driver, so that
//! there is no thread and no task for each.

mod asleep;
mod deliver;
mod durable;
mod grants;
mod journal;
mod known;
mod messages;
mod parked;
mod prepare;
mod quarantine;
mod restore;
mod views;

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use message_port::{Message, MessagePort, Posted};
use stash::{AddError, EntryId, Input, NewEntry};
use sw_types::{WorkerId, WorkerState};

pub(crate) use self::durable::Durable;
pub(crate) use self::known::Stashing;
pub(crate) use self::parked::{Parked, Passenger, Stored};
pub(crate) use self::prepare::{Loaded, Preparing};
use crate::Handle;
use crate::shared::{Shared, ToDriver};

/// A port that was not stashed. The script that wanted to stash it still has it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct NotStashed {
    /// Why.
    pub reason: StashError,
    /// The port, as it was.
    pub port: MessagePort,
}

/// Why a port is not stashed: the exception that `add` and `stashPort` throw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StashError {
    /// `InvalidStateError`: the worker is redundant, or gone.
    #[error("a redundant service worker cannot stash a port")]
    InvalidState,
    /// `DataCloneError`: the port is detached.
    #[error("the port is detached: it was closed")]
    DataClone,
    /// `QuotaExceededError`: the registration has as many stashed ports as it may.
    #[error("the registration has too many stashed ports")]
    QuotaExceeded,
}

impl StashError {
    /// The exception's name, as a script sees it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidState => "InvalidStateError",
            Self::DataClone => "DataCloneError",
            Self::QuotaExceeded => "QuotaExceededError",
        }
    }
}

impl From<AddError> for StashError {
    fn from(error: AddError) -> Self {
        match error {
            AddError::QuotaExceeded => Self::QuotaExceeded,
            _ => Self::InvalidState,
        }
    }
}

/// Stashed ports. An entry belongs to its registration, whose workers all see it, and lives until it
/// is closed or transferred, or its registration is cleared. If both ends of its port are stashed, it
/// also survives the process, with the messages that it has not delivered; otherwise it gets `close`
/// after a restart. The methods answer at once, from any thread; to a worker that is gone, and for an
/// entry of another registration, they answer as if there were none.
///
/// For a script: `add` and `stashPort` are [`stash_port`](Handle::stash_port) (of a view:
/// [`rename_stashed`](Handle::rename_stashed)), `match` is [`match_stashed`](Handle::match_stashed);
/// a view's `postMessage` is [`post_stashed`](Handle::post_stashed), its `close`
/// [`close_stashed`](Handle::close_stashed), its `name` [`stashed_name`](Handle::stashed_name), its
/// `start` nothing, and in a transfer list it is [`transfer_stashed`](Handle::transfer_stashed).
/// `whenStopped` is [`may_stash`](Handle::may_stash), and `stash_port` when the worker stops.
impl Handle {
    /// `ports.add(name, port)` and `stashPort(name, port)`. From now on the port's messages come as
    /// [`EventDetail::StashedMessage`](crate::EventDetail::StashedMessage), and wake the worker that they are for. Ports that a script
    /// does not stash are closed by the host when the worker stops.
    ///
    /// `None` if nothing can come of the port any more: it was never entangled, or its partner is
    /// closed and its queue at its end. The script gets a dead view then.
    ///
    /// # Errors
    /// As [`StashError`] says, with the port.
    pub fn stash_port(
        &self,
        worker: WorkerId,
        name: &str,
        port: MessagePort,
    ) -> Result<Option<EntryId>, NotStashed> {
        if port.is_detached() {
            let reason = StashError::DataClone;
            return Err(NotStashed { reason, port });
        }
        let bound: Bound = Arc::new(Mutex::new(port));
        let created = self.shared.clock.wall();
        let added = self.shared.stashing().add(worker, |known| NewEntry {
            registration: known.registration,
            worker,
            state: known.state,
            name: name.to_owned(),
            port: Arc::clone(&bound),
            created,
        });
        let entry = match added {
            Ok(entry) => entry,
            Err(reason) => {
                let port = mem::take(&mut *lock(&bound));
                return Err(NotStashed { reason, port });
            }
        };
        if self.shared.bind(&bound, entry) {
            self.shared.send(ToDriver::Stashed(entry));
            return Ok(Some(entry));
        }
        // It does not count against the quota, not even until the driver looks.
        let now = self.shared.clock.now();
        let dead = Input::Close { entry };
        self.shared.stashing().stash.handle_input(now, dead);
        self.shared.send(ToDriver::StashReady(entry));
        Ok(None)
    }

    /// `ports.match(name)` and `getStashedPorts(name)`: the entries of that name whose ports are
    /// entangled, in the order in which they were stashed.
    #[must_use]
    pub fn match_stashed(&self, worker: WorkerId, name: &str) -> Vec<EntryId> {
        let stashing = self.shared.stashing();
        match stashing.worker(worker) {
            Some(known) => stashing
                .stash
                .match_name(known.registration, name)
                .collect(),
            None => Vec::new(),
        }
    }

    /// `postMessage` of a view of an entry.
    pub fn post_stashed(&self, worker: WorkerId, entry: EntryId, message: Message) -> Posted {
        let bound = self.shared.stashing().view(worker, entry);
        match bound {
            Some(bound) => lock(&bound).post_message(message),
            None => Posted::NotEntangled,
        }
    }

    /// `add` or `stashPort` of a view of an entry: it moves to the end of its new name's list.
    ///
    /// # Errors
    /// [`StashError::InvalidState`] for a redundant worker, [`StashError::DataClone`] for an entry
    /// that is gone.
    pub fn rename_stashed(
        &self,
        worker: WorkerId,
        entry: EntryId,
        name: &str,
    ) -> Result<(), StashError> {
        let known = self.shared.stashing().worker(worker);
        if known.is_none_or(|known| known.state == WorkerState::Redundant) {
            return Err(StashError::InvalidState);
        }
        let name = name.to_owned();
        if !self.change_stashed(worker, entry, Input::Rename { entry, name }) {
            return Err(StashError::DataClone);
        }
        self.shared.send(ToDriver::Stashed(entry));
        Ok(())
    }

    /// `close()` of a view of an entry: the entry is gone, and the peer gets `close`.
    pub fn close_stashed(&self, worker: WorkerId, entry: EntryId) {
        if !self.change_stashed(worker, entry, Input::Close { entry }) {
            tracing::debug!(%worker, %entry, "a view whose entry is gone is closed");
        }
    }

    /// Changes an entry; whether this worker sees one.
    fn change_stashed(&self, worker: WorkerId, entry: EntryId, change: Input<Parked>) -> bool {
        let now = self.shared.clock.now();
        let mut stashing = self.shared.stashing();
        if stashing.view(worker, entry).is_none() {
            return false;
        }
        stashing.stash.handle_input(now, change);
        drop(stashing);
        // What the stash asks for then is the driver's to do.
        self.shared.send(ToDriver::StashReady(entry));
        true
    }
}

/// A stashed port.
pub(crate) type Bound = Arc<Mutex<MessagePort>>;

impl Shared {
    /// "Move the port record …, delivery immediately enabled"; whether anything can come of it.
    pub(crate) fn bind(&self, bound: &Bound, entry: EntryId) -> bool {
        let mut port = lock(bound);
        *port = match mem::take(&mut *port).transfer() {
            Ok(transferred) => transferred.receive(),
            Err(refused) => refused.port,
        };
        port.start();
        if !port.is_entangled() && !port.has_pending_activity(false) {
            return false;
        }
        let driver = self.driver();
        port.on_ready(move || {
            if driver.unbounded_send(ToDriver::StashReady(entry)).is_err() {
                tracing::debug!(%entry, "a stashed port of a driver that is gone");
            }
        });
        true
    }
}

pub(crate) fn lock(bound: &Mutex<MessagePort>) -> std::sync::MutexGuard<'_, MessagePort> {
    bound.lock().unwrap_or_else(PoisonError::into_inner)
}
