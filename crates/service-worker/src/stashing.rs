//! Stashed ports: `ports.add`, `stashPort`, `ports.match`, and the delivery of what they receive.
//! (SEMANTICS §5.3.)
//!
//! The stash is behind a lock, since scripts stash synchronously; no port is used and no message
//! dropped under it. A port is drained by readiness: its callback sends word to the driver, so that
//! there is no thread and no task for each.

mod durable;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_channel::mpsc;
use message_port::{Event, Message, MessagePort, Posted};
use stash::{AddError, EntryId, Input, Item, NewEntry, Output, Stash};
use sw_types::{EventId, EventTypes, RegistrationId, Site, WorkerId, WorkerState};

pub(crate) use self::durable::{Durable, Stored};
use crate::driver::Driver;
use crate::functional::{KnownWorker, What, Woken};
use crate::shared::ToDriver;
use crate::{EventDetail, Handle, Limits, PortMessage, Report};

/// How many messages of a port are taken before others have their turn.
const BATCH: usize = 64;

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
    /// [`EventDetail::StashedMessage`], and wake the worker that they are for. Ports that a script
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
        if self.bind(&bound, entry) {
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

    /// "Move the port record …, delivery immediately enabled"; whether anything can come of it.
    fn bind(&self, bound: &Bound, entry: EntryId) -> bool {
        let mut port = lock(bound);
        *port = match mem::take(&mut *port).transfer() {
            Ok(transferred) => transferred.receive(),
            Err(refused) => refused.port,
        };
        port.start();
        if !port.is_entangled() && !port.has_pending_activity(false) {
            return false;
        }
        let driver = self.shared.driver();
        port.on_ready(move || {
            if driver.unbounded_send(ToDriver::StashReady(entry)).is_err() {
                tracing::debug!(%entry, "a stashed port of a driver that is gone");
            }
        });
        true
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
    pub fn rename_stashed(&self, worker: WorkerId, entry: EntryId, name: &str) {
        let name = name.to_owned();
        self.change_stashed(worker, entry, Input::Rename { entry, name });
        self.shared.send(ToDriver::Stashed(entry));
    }

    /// `close()` of a view of an entry: the entry is gone, and the peer gets `close`.
    pub fn close_stashed(&self, worker: WorkerId, entry: EntryId) {
        self.change_stashed(worker, entry, Input::Close { entry });
    }

    fn change_stashed(&self, worker: WorkerId, entry: EntryId, change: Input<Parked>) {
        let now = self.shared.clock.now();
        let mut stashing = self.shared.stashing();
        if stashing.view(worker, entry).is_some() {
            stashing.stash.handle_input(now, change);
            drop(stashing);
            // What the stash asks for then is the driver's to do.
            self.shared.send(ToDriver::StashReady(entry));
        }
    }
}

/// A stashed port.
type Bound = Arc<Mutex<MessagePort>>;

/// A message in the stash. Dropping one may run what others wait with for the ports that it carries;
/// so that never happens under the stash's lock, it is left to the driver.
pub(crate) struct Parked {
    message: Option<Message>,
    /// What the store has of it.
    pub(crate) stored: Option<Stored>,
    driver: mpsc::UnboundedSender<ToDriver>,
}

impl Parked {
    fn unpark(mut self) -> Message {
        self.message.take().unwrap_or_default()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            // Without a driver, it is dropped here.
            let _gone = self.driver.unbounded_send(ToDriver::Discard(message));
        }
    }
}

/// The stash, and the workers as far as stash and connects must know them.
pub(crate) struct Stashing {
    pub(crate) stash: Stash<Bound, Parked>,
    /// Messages that the store has not answered for, by entry, and whether a `close` is after them.
    pub(crate) storing: BTreeMap<EntryId, VecDeque<Item<Parked>>>,
    workers: BTreeMap<WorkerId, KnownWorker>,
}

impl Stashing {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            stash: Stash::new(limits.stash()),
            storing: BTreeMap::new(),
            workers: BTreeMap::new(),
        }
    }

    /// What is known of a worker.
    pub(crate) fn worker(&self, worker: WorkerId) -> Option<KnownWorker> {
        self.workers.get(&worker).copied()
    }

    /// A worker has this state now. `stored`: its set of event types to handle, if it is known from
    /// elsewhere than its first evaluation here.
    pub(crate) fn know(
        &mut self,
        registration: RegistrationId,
        worker: WorkerId,
        state: WorkerState,
        stored: Option<EventTypes>,
    ) -> &mut KnownWorker {
        let known = self.workers.entry(worker).or_insert(KnownWorker {
            registration,
            state,
            handles: None,
            runs: false,
            listeners: None,
        });
        known.state = known.state.max(state);
        known.handles = known.handles.or(stored);
        known
    }

    /// Tells the stash of a worker's state, and forgets one that is redundant and stopped.
    pub(crate) fn tell_state(&mut self, now: Instant, worker: WorkerId) {
        let Some(known) = self.worker(worker) else {
            return;
        };
        let input = Input::Worker {
            registration: known.registration,
            worker,
            state: known.state,
            handles: known.handles.unwrap_or_default(),
        };
        self.stash.handle_input(now, input);
        self.forget_if_over(worker);
    }

    /// A worker runs, with these listeners.
    pub(crate) fn listens(&mut self, now: Instant, worker: WorkerId, listeners: EventTypes) {
        let Some(known) = self.workers.get_mut(&worker).filter(|known| known.runs) else {
            return tracing::debug!(%worker, "listeners of a worker that does not run");
        };
        // Run Service Worker, step 14: only the first evaluation counts.
        known.handles.get_or_insert(listeners);
        known.listeners = Some(listeners);
        self.tell_state(now, worker);
        let running = Input::Running { worker, listeners };
        self.stash.handle_input(now, running);
    }

    /// A worker has no global any more; whether the stash was told that it has one.
    pub(crate) fn run_ends(&mut self, worker: WorkerId) -> bool {
        let Some(known) = self.workers.get_mut(&worker) else {
            return false;
        };
        known.runs = false;
        let listened = known.listeners.take().is_some();
        self.forget_if_over(worker);
        listened
    }

    fn forget_if_over(&mut self, worker: WorkerId) {
        let known = self.workers.get(&worker);
        if known.is_some_and(|known| known.state == WorkerState::Redundant && !known.runs) {
            self.workers.remove(&worker);
        }
    }

    fn add(
        &mut self,
        worker: WorkerId,
        new: impl FnOnce(&KnownWorker) -> NewEntry<Bound>,
    ) -> Result<EntryId, StashError> {
        let known = self.workers.get(&worker).ok_or(StashError::InvalidState)?;
        let added = self.stash.add(new(known));
        added.map_err(|refused| refused.reason.into())
    }

    /// A worker's view of an entry.
    fn view(&self, worker: WorkerId, entry: EntryId) -> Option<Bound> {
        let registration = self.workers.get(&worker)?.registration;
        let entry = self.stash.entry(entry)?;
        (entry.registration() == registration).then(|| Arc::clone(entry.port()))
    }

    /// Forgets everything; to be dropped when the lock is free.
    pub(crate) fn clear(&mut self) -> Stash<Bound, Parked> {
        self.workers.clear();
        self.storing.clear();
        mem::replace(&mut self.stash, Stash::new(stash::Limits::default()))
    }
}

impl Driver {
    pub(crate) fn stash_input(&mut self, input: Input<Parked>) {
        let now = self.shared.clock.now();
        self.shared.stashing().stash.handle_input(now, input);
    }

    /// A stashed port has something, or the stash itself.
    pub(crate) fn drain(&mut self, entry: EntryId) {
        let bound = self
            .shared
            .stashing()
            .stash
            .entry(entry)
            .map(|entry| Arc::clone(entry.port()));
        let Some(bound) = bound else { return };
        for _ in 0..BATCH {
            // Held until the stash has it, so that a transfer finds it in one place or the other.
            let mut port = lock(&bound);
            let event = port.try_recv();
            match event {
                Ok(Event::Message(message)) => self.arrived(entry, message),
                Ok(Event::Close) => self.peer_closed(entry),
                Err(_) => return,
            }
        }
        self.shared.send(ToDriver::StashReady(entry));
    }

    fn arrived(&mut self, entry: EntryId, mut message: Message) {
        if message.attachment.take().is_some() {
            tracing::warn!(%entry, "what was attached to a message for a stashed port is lost");
        }
        let message = self.park(message, None);
        self.store_message(entry, message);
    }

    fn park(&self, message: Message, stored: Option<Stored>) -> Parked {
        Parked {
            message: Some(message),
            stored,
            driver: self.shared.driver(),
        }
    }

    /// Carries out what the stash asks; whether it asked anything.
    pub(crate) fn poll_stash(&mut self) -> bool {
        let mut asked = false;
        loop {
            // In a statement of its own, so that the lock is free again.
            let output = self.shared.stashing().stash.poll_output();
            let Some(output) = output else { return asked };
            asked = true;
            match output {
                Output::Wake { worker, .. } => self.wake_for_stash(worker),
                Output::Deliver {
                    worker,
                    entry,
                    item,
                } => self.deliver(worker, entry, item),
                Output::ClosePort { entry, port } => {
                    self.forget_stored(entry);
                    let port = mem::take(&mut *lock(&port));
                    drop(port);
                }
                Output::Released { entry, .. } => {
                    // `Handle::transfer_stashed` takes its own output, under one lock.
                    tracing::error!(%entry, "a transferred port that nobody has taken is closed");
                }
                Output::QuotaExceeded {
                    registration,
                    entry,
                } => {
                    if let Some(scope) = self.scope_of(registration) {
                        let report = Report::StashedPortClosed { scope, entry };
                        self.shared.report(report);
                    }
                }
            }
        }
    }

    /// "Wakes the worker." The start is paid from the budget of the service's own top-level site:
    /// who is at the other end of a port is not known.
    pub(crate) fn wake_for_stash(&mut self, worker: WorkerId) {
        let known = self.shared.stashing().worker(worker);
        let snapshot = known.and_then(|known| self.shared.lookup.snapshot(known.registration));
        let Some(snapshot) = snapshot else {
            return self.stash_input(Input::StartFailed { worker });
        };
        let is_active = |active: &sw_registry::ActiveWorker| active.id == worker;
        if !snapshot.active.as_ref().is_some_and(is_active) {
            // The registry runs active workers only; this one is to become it.
            self.functional.wakes_on_activation.insert(worker);
            return;
        }
        let key = &snapshot.storage_key;
        let site = key.top_level_site().cloned();
        let site = site.unwrap_or_else(|| Site::of(key.origin()));
        self.wake(snapshot.id, site, Woken::Stash(worker));
    }

    /// `worker` runs, or none does.
    pub(crate) fn woken_for_stash(&mut self, wanted: WorkerId, worker: Option<WorkerId>) {
        let known = self.shared.stashing().worker(wanted);
        let listeners = known.and_then(|known| known.listeners);
        self.stash_input(match listeners {
            Some(listeners) if worker == Some(wanted) => Input::Running {
                worker: wanted,
                listeners,
            },
            _ => Input::StartFailed { worker: wanted },
        });
    }

    /// Gives a worker an event. One that takes no more events keeps it for its next run.
    fn deliver(&mut self, worker: WorkerId, entry: EntryId, item: Item<Parked>) {
        let endpoint = self.shared.endpoint(worker);
        let Some(keep_alive) = endpoint.and_then(|endpoint| endpoint.begin()) else {
            let undispatched = self.functional.undispatched.entry(worker).or_default();
            undispatched.push((entry, item));
            return;
        };
        let stored = match &item {
            Item::Message(parked) => parked.stored,
            Item::Close => None,
        };
        let what = What::Stashed {
            entry,
            consumed: false,
            stored,
        };
        let event = self.functional.begin(worker, keep_alive, what);
        let name = match self.shared.stashing().stash.entry(entry) {
            Some(entry) => entry.name().to_owned(),
            None => String::new(),
        };
        let detail = match item {
            Item::Message(parked) => {
                let Message { payload, ports, .. } = parked.unpark();
                let ports = ports.into_iter().map(|port| port.receive()).collect();
                EventDetail::StashedMessage {
                    entry,
                    name,
                    message: PortMessage { payload, ports },
                    redelivered: stored.is_some_and(|stored| stored.redelivered()),
                }
            }
            Item::Close => EventDetail::StashedClose { entry, name },
        };
        match stored {
            Some(stored) if !stored.marked => self.mark(worker, event, entry, detail),
            _ => self.dispatch(worker, event, detail),
        }
    }

    /// "Consumed when its dispatch task has run."
    pub(crate) fn dispatched(&mut self, worker: WorkerId, event: EventId) {
        let Some(found) = self.functional.event(worker, event) else {
            return;
        };
        if let What::Stashed {
            entry,
            consumed: consumed @ false,
            stored,
        } = &mut found.what
        {
            *consumed = true;
            let (entry, stored) = (*entry, *stored);
            self.forget_message(entry, stored);
            self.stash_input(Input::Consumed { worker, entry });
        }
        self.answered_for(worker);
    }

    /// "Survives termination by requeue."
    pub(crate) fn undelivered(
        &mut self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) {
        let Some(found) = self.functional.event(worker, event) else {
            return;
        };
        let item = match detail {
            EventDetail::StashedMessage { message, .. } => {
                let ports = message.ports.into_iter().map(MessagePort::transfer);
                let message = Message {
                    payload: message.payload,
                    ports: ports.filter_map(Result::ok).collect(),
                    attachment: None,
                };
                Some(Item::Message(message))
            }
            EventDetail::StashedClose { .. } => Some(Item::Close),
            _ => None,
        };
        match (found.what, item) {
            (
                What::Stashed {
                    entry,
                    consumed: false,
                    stored,
                },
                Some(item),
            ) => {
                let item = match item {
                    Item::Message(message) => Item::Message(self.park(message, stored)),
                    Item::Close => Item::Close,
                };
                self.functional.events.remove(&event);
                let undispatched = self.functional.undispatched.entry(worker).or_default();
                undispatched.push((entry, item));
                self.answered_for(worker);
            }
            (What::Connect { .. }, _) => {
                self.decide(event, connect::Decision::Refuse);
                self.functional.events.remove(&event);
            }
            _ => tracing::warn!(%worker, %event, "given back what was not under way"),
        }
    }
}

pub(crate) fn lock(bound: &Mutex<MessagePort>) -> std::sync::MutexGuard<'_, MessagePort> {
    bound.lock().unwrap_or_else(PoisonError::into_inner)
}
