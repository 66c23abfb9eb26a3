//! The stash: its entries, what it is asked and what it asks. (SEMANTICS §5.3.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use sw_types::{RegistrationId, WorkerId, WorkerState};

use crate::entry::Entry;
use crate::pace::Pace;
use crate::worker::Worker;
use crate::{AddError, EntryId, Input, Limits, NewEntry, NotAdded, Output, Released};

/// The stashed ports of all registrations of one profile, and the messages that wait in them.
///
/// After every [`add`](Self::add), [`handle_input`](Self::handle_input) and
/// [`handle_timeout`](Self::handle_timeout), take all of [`poll_output`](Self::poll_output), then
/// ask [`poll_timeout`](Self::poll_timeout) when to call `handle_timeout`.
///
/// Messages of one entry are delivered in order and one at a time; entries do not wait for each
/// other. A message that nobody listens for is held, never dropped.
#[derive(Debug)]
pub struct Stash<P, M> {
    pub(crate) limits: Limits,
    pub(crate) collections: BTreeMap<RegistrationId, Collection>,
    pub(crate) entries: BTreeMap<EntryId, Entry<P, M>>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) timers: BTreeSet<(Instant, Due)>,
    pub(crate) outputs: VecDeque<Output<P, M>>,
    /// When something was last heard.
    pub(crate) now: Option<Instant>,
    next_entry: EntryId,
    next_place: u64,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A worker has been left alone for long enough.
    Retry(WorkerId),
    /// A registration has had its rest from unattended messages.
    Rested(RegistrationId),
}

/// What a registration has to do with the stash.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// Its entries in insertion order.
    pub(crate) order: BTreeMap<u64, EntryId>,
    /// The ports that travel in messages of these.
    pub(crate) carried: BTreeSet<EntryId>,
    pub(crate) workers: BTreeSet<WorkerId>,
    pub(crate) active: Option<WorkerId>,
    pub(crate) bytes: u64,
    /// Whether its origin is known to have no open client.
    pub(crate) unattended: bool,
    pub(crate) pace: Option<Pace>,
}

impl<P, M> Stash<P, M> {
    /// An empty stash.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            collections: BTreeMap::new(),
            entries: BTreeMap::new(),
            workers: BTreeMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            now: None,
            next_entry: EntryId(1),
            next_place: 0,
        }
    }

    /// Stashes a port. Its messages are delivered from now on, without any `start()`.
    ///
    /// # Errors
    /// As [`AddError`] says, with the port.
    pub fn add(&mut self, new: NewEntry<P>) -> Result<EntryId, NotAdded<P>> {
        let known = self.workers.get(&new.worker).map(|record| record.state);
        if new.state == WorkerState::Redundant || known == Some(WorkerState::Redundant) {
            let (reason, port) = (AddError::InvalidState, new.port);
            return Err(NotAdded { reason, port });
        }
        let registration = new.registration;
        if !self.has_room(registration) {
            let (reason, port) = (AddError::QuotaExceeded, new.port);
            return Err(NotAdded { reason, port });
        }
        self.worker(registration, new.worker, new.state, None);
        let id = self.next_entry;
        self.next_entry.0 += 1;
        let place = self.take_place(registration, id);
        self.entries.insert(id, Entry::new(new, place));
        Ok(id)
    }

    /// Puts an entry back that an earlier run of the process has stored. Its place is after those
    /// that were put back before it. `None`, with the port dropped, if there is an entry of that id.
    pub fn restore(&mut self, id: EntryId, new: NewEntry<P>) -> Option<EntryId> {
        if self.entries.contains_key(&id) {
            return None;
        }
        self.next_entry.0 = self.next_entry.0.max(id.0.saturating_add(1));
        let place = self.take_place(new.registration, id);
        self.entries.insert(id, Entry::new(new, place));
        Some(id)
    }

    /// Keeps a port that travels in a message of an entry of this registration. What it receives
    /// counts against the quota and is held until [`Input::Transfer`] takes both out again, for
    /// whoever gets the message. No script sees it: it has no name and is in no list.
    ///
    /// `id`: the one that it had in an earlier run of the process, if it had one.
    pub fn carry(&mut self, holder: &NewEntry<()>, port: P, id: Option<EntryId>) -> EntryId {
        let id = id.unwrap_or(self.next_entry);
        self.skip_past(id);
        let mut entry = Entry::new(
            NewEntry {
                registration: holder.registration,
                worker: holder.worker,
                state: holder.state,
                name: String::new(),
                port,
                created: holder.created,
            },
            0,
        );
        entry.carried = true;
        let collection = self.collections.entry(holder.registration).or_default();
        collection.carried.insert(id);
        self.entries.insert(id, entry);
        id
    }

    /// Goes on counting entries after this one, which an earlier run of the process had.
    pub fn skip_past(&mut self, id: EntryId) {
        self.next_entry.0 = self.next_entry.0.max(id.0.saturating_add(1));
    }

    /// Whether a registration may have one entry more.
    #[must_use]
    pub fn has_room(&self, registration: RegistrationId) -> bool {
        let collection = self.collections.get(&registration);
        collection.map_or(0, |collection| collection.order.len()) < self.limits.entries
    }

    /// Takes an input. Unknown and late ids are ignored and traced.
    pub fn handle_input(&mut self, now: Instant, input: Input<M>) {
        self.now = Some(now);
        match input {
            Input::Worker {
                registration,
                worker,
                state,
                handles,
            } => self.worker(registration, worker, state, Some(handles)),
            Input::Running { worker, listeners } => self.running(worker, listeners),
            Input::StartFailed { worker } => self.start_failed(now, worker),
            Input::Stopped {
                worker,
                undispatched,
            } => self.stopped(now, worker, undispatched),
            Input::Consumed { worker, entry } => self.consumed(worker, entry),
            Input::MessageArrived {
                entry,
                message,
                bytes,
            } => self.message_arrived(entry, message, bytes, true),
            Input::MessageWaits {
                entry,
                message,
                bytes,
            } => self.message_arrived(entry, message, bytes, false),
            Input::Accepted { entry } => self.accepted(entry),
            Input::Entangled { entry, peer } => self.entangled(entry, peer),
            Input::Attended {
                registration,
                attended,
            } => self.attended(registration, attended),
            Input::PeerClosed { entry } => self.peer_closed(entry),
            Input::Rename { entry, name } => self.rename(entry, name),
            Input::Close { entry } => self.close(entry),
            Input::Transfer {
                entry,
                undispatched,
            } => self.transfer(entry, undispatched),
            Input::AllClosed { registration } => self.close_all(registration),
            Input::RegistrationCleared { registration } => self.registration_cleared(registration),
        }
    }

    /// The next thing to do, if any. Ask again until there is none, after every call that changes
    /// something.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output<P, M>> {
        self.outputs.pop_front()
    }

    /// Takes the [`Output::Released`] of an entry out of its turn, for a caller that transfers its
    /// port at once.
    pub fn take_released(&mut self, released: EntryId) -> Option<Released<P, M>> {
        let is_it = |output: &Output<P, M>| matches!(output, Output::Released { entry, .. } if *entry == released);
        let at = self.outputs.iter().position(is_it)?;
        match self.outputs.remove(at)? {
            Output::Released {
                port,
                messages,
                closed,
                ..
            } => Some(Released {
                port,
                messages,
                closed,
            }),
            _ => None,
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; changes with every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Tries again to wake workers whose starts led to nothing, and to deliver what had to wait. A
    /// call that is too early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        while let Some(&(due, what)) = self.timers.first() {
            if due > now {
                return;
            }
            self.timers.remove(&(due, what));
            let registration = match what {
                Due::Retry(worker) => self.workers.get_mut(&worker).map(|record| {
                    record.retry_at = None;
                    record.registration
                }),
                Due::Rested(registration) => Some(registration),
            };
            if let Some(registration) = registration {
                self.deliver_all(registration);
            }
        }
    }

    /// `ports.match(name)`: the entangled entries of that name, in insertion order.
    pub fn match_name<'a>(
        &'a self,
        registration: RegistrationId,
        name: &'a str,
    ) -> impl Iterator<Item = EntryId> + 'a {
        self.entries(registration)
            .filter(move |(_, entry)| entry.is_entangled() && entry.name() == name)
            .map(|(id, _)| id)
    }

    /// The registrations that have entries, or had some.
    #[must_use]
    pub fn registrations(&self) -> Vec<RegistrationId> {
        self.collections.keys().copied().collect()
    }

    /// All entries of a registration in insertion order, those included whose peer is closed.
    pub fn entries(
        &self,
        registration: RegistrationId,
    ) -> impl Iterator<Item = (EntryId, &Entry<P, M>)> {
        let order = self
            .collections
            .get(&registration)
            .map(|c| c.order.values());
        order
            .into_iter()
            .flatten()
            .filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    /// An entry; `None` once it is closed or transferred.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry<P, M>> {
        self.entries.get(&id)
    }

    /// An entry; `None` once it is closed or transferred.
    #[must_use]
    pub fn entry_mut(&mut self, id: EntryId) -> Option<&mut Entry<P, M>> {
        self.entries.get_mut(&id)
    }

    // ---- Entries ----

    fn take_place(&mut self, registration: RegistrationId, id: EntryId) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        let collection = self.collections.entry(registration).or_default();
        collection.order.insert(place, id);
        place
    }

    fn rename(&mut self, id: EntryId, name: String) {
        let entry = self.entries.get(&id).filter(|entry| !entry.carried);
        let Some(entry) = entry else {
            return tracing::debug!(%id, "an entry that is gone is stashed again");
        };
        let (registration, old) = (entry.registration(), entry.place);
        if let Some(collection) = self.collections.get_mut(&registration) {
            collection.order.remove(&old);
        }
        let place = self.take_place(registration, id);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.name = name;
            entry.place = place;
        }
    }

    pub(crate) fn close(&mut self, id: EntryId) {
        match self.remove(id) {
            Some(entry) => self.outputs.push_back(Output::ClosePort {
                entry: id,
                port: entry.into_port(),
            }),
            None => tracing::debug!(%id, "an entry that is gone is closed"),
        }
    }

    fn transfer(&mut self, id: EntryId, undispatched: Option<M>) {
        let Some(entry) = self.remove(id) else {
            return tracing::debug!(%id, "an entry that is gone is transferred");
        };
        if undispatched.is_some() && !entry.has_message_in_flight() {
            tracing::warn!(%id, "no message of this entry was under way");
        }
        let Released {
            port,
            messages,
            closed,
        } = entry.release(undispatched);
        self.outputs.push_back(Output::Released {
            entry: id,
            port,
            messages,
            closed,
        });
    }

    fn remove(&mut self, id: EntryId) -> Option<Entry<P, M>> {
        let entry = self.entries.remove(&id)?;
        if let Some(collection) = self.collections.get_mut(&entry.registration()) {
            if entry.carried {
                collection.carried.remove(&id);
            } else {
                collection.order.remove(&entry.place);
            }
            collection.bytes = collection.bytes.saturating_sub(entry.queued_bytes());
        }
        Some(entry)
    }

    fn close_all(&mut self, registration: RegistrationId) {
        for id in self.all(registration) {
            self.close(id);
        }
    }

    /// The entries of a registration, and the ports that travel in their messages.
    pub(crate) fn all(&self, registration: RegistrationId) -> Vec<EntryId> {
        let Some(collection) = self.collections.get(&registration) else {
            return Vec::new();
        };
        let entries = collection.order.values();
        entries.chain(&collection.carried).copied().collect()
    }

    /// "Registration cleared, storage cleared → all close."
    fn registration_cleared(&mut self, registration: RegistrationId) {
        self.close_all(registration);
        if let Some(collection) = self.forget_collection(registration) {
            for worker in collection.workers {
                self.forget(worker);
            }
        }
    }

    pub(crate) fn forget_collection(&mut self, registration: RegistrationId) -> Option<Collection> {
        let collection = self.collections.remove(&registration)?;
        if let Some(until) = collection.pace.as_ref().and_then(Pace::rests_until) {
            self.timers.remove(&(until, Due::Rested(registration)));
        }
        Some(collection)
    }
}
