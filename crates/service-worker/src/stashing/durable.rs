//! What the store has of stashed ports: entries, the messages between two of them, and how often a
//! message was given to a worker. (SEMANTICS §5.3, *Durability*.)
//!
//! Every entry has a row; messages have rows if both ends of the port are stashed. A message goes to
//! the stash when the store has it, so what a worker is given was accepted. Before it is
//! dispatched, a mark is stored, so that after a crash it is known which message may have been
//! seen; when it has been, both rows go. A store that refuses makes a message live as long as the
//! process, and is warned of.

use std::collections::BTreeMap;

use message_port::{Message, MessageChannel, MessagePort};
use stash::record::{self, Kind, StoredEntry, StoredMessage};
use stash::{EntryId, Input, Item, NewEntry};
use sw_registry::{StoreError, StoreWrite};
use sw_types::{EventId, RegistrationId, WorkerId, WorkerState};

use super::{Arc, Bound, Mutex, Parked, lock};
use crate::driver::Driver;
use crate::functional::What;
use crate::shared::ToDriver;
use crate::{EventDetail, Handle};

/// After this many redeliveries a message is quarantined.
const REDELIVERIES: u32 = 3;

/// What the store has of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number: greater than those of the messages before it.
    number: u64,
    /// How often earlier runs of the process may have dispatched it.
    attempts: u32,
    /// Whether this run has marked it.
    pub(crate) marked: bool,
}

impl Stored {
    pub(crate) const fn redelivered(self) -> bool {
        self.attempts > 0
    }
}

/// What the driver knows of stored entries.
#[derive(Default)]
pub(crate) struct Durable {
    entries: BTreeMap<EntryId, Known>,
    /// Entries by the pair that their ports are of.
    pairs: BTreeMap<usize, Vec<EntryId>>,
    next_number: u64,
}

struct Known {
    pair: usize,
    peer: Option<EntryId>,
}

impl Driver {
    // ---- Entries ----

    /// A port was stashed, or its entry is gone.
    pub(crate) fn store_entry(&mut self, id: EntryId) {
        let found = self.shared.stashing().stash.entry(id).map(bound_of);
        let Some(bound) = found else {
            return self.forget_stored(id);
        };
        let pair = lock(&bound).pair_key();
        let others = self.durable.pairs.entry(pair).or_default();
        let others: Vec<_> = others
            .iter()
            .copied()
            .filter(|other| *other != id)
            .collect();
        let peer = others.into_iter().find(|other| {
            let other = self.shared.stashing().stash.entry(*other).map(bound_of);
            // One lock at a time: the port leaves its place for the moment of the question.
            other.is_some_and(|other| {
                !Arc::ptr_eq(&other, &bound) && lock(&other).pair_key() == pair
            })
        });
        let of_pair = self.durable.pairs.entry(pair).or_default();
        if !of_pair.contains(&id) {
            of_pair.push(id);
        }
        self.durable.entries.insert(id, Known { pair, peer });
        let mut writes = self.entry_row(id);
        if peer.is_some() {
            writes.extend(self.rows_of_waiting(id));
        }
        if let Some(peer) = peer {
            if let Some(known) = self.durable.entries.get_mut(&peer) {
                known.peer = Some(id);
            }
            writes.extend(self.entry_row(peer));
            // What its end received before the other one was stashed.
            writes.extend(self.rows_of_waiting(peer));
        }
        self.write(writes);
    }

    /// A worker is active for the first time: its entries stay for its successor.
    pub(crate) fn store_entries_of(&self, registration: RegistrationId, worker: WorkerId) {
        let stashing = self.shared.stashing();
        let its = stashing.stash.entries(registration);
        let its = its.filter(|(_, entry)| entry.stashed_by() == worker);
        let its: Vec<_> = its.map(|(id, _)| id).collect();
        drop(stashing);
        self.write(its.into_iter().flat_map(|id| self.entry_row(id)).collect());
    }

    /// An entry is gone. Its peer, if that is stashed, will hear `close`, also after a restart.
    pub(crate) fn forget_stored(&mut self, id: EntryId) {
        self.shared.stashing().storing.remove(&id);
        let Some(known) = self.durable.entries.remove(&id) else {
            return;
        };
        if let Some(of_pair) = self.durable.pairs.get_mut(&known.pair) {
            of_pair.retain(|of_pair| *of_pair != id);
            if of_pair.is_empty() {
                self.durable.pairs.remove(&known.pair);
            }
        }
        let mut writes = vec![StoreWrite::RemoveRows(record::of_entry(id))];
        if let Some(peer) = known.peer {
            // Its messages stay: they are delivered before `close`.
            writes.extend(self.entry_row_with(peer, None));
        }
        self.write(writes);
    }

    pub(crate) fn entry_row(&self, id: EntryId) -> Vec<StoreWrite> {
        let peer = self.durable.entries.get(&id).and_then(|known| known.peer);
        self.entry_row_with(id, peer)
    }

    fn entry_row_with(&self, id: EntryId, peer: Option<EntryId>) -> Vec<StoreWrite> {
        let stashing = self.shared.stashing();
        let Some(entry) = stashing.stash.entry(id) else {
            return Vec::new();
        };
        let stashed_by = entry.stashed_by();
        // One that is not known any more was replaced: that of a failed one would be gone.
        let state = stashing.worker(stashed_by).map(|known| known.state);
        let row = StoredEntry {
            registration: entry.registration(),
            stashed_by,
            activated: state.is_none_or(|state| state >= WorkerState::Activating),
            created: entry.created(),
            name: entry.name().to_owned(),
            place: entry.place(),
            peer,
        };
        put(id, Kind::Entry, &row)
    }

    // ---- Messages ----

    /// A message has arrived: if both ends are stashed, it is accepted when the store has it.
    pub(crate) fn store_message(&mut self, id: EntryId, mut message: Parked) {
        let durable = self
            .durable
            .entries
            .get(&id)
            .is_some_and(|it| it.peer.is_some());
        let writes = match durable {
            true => self.message_row(id, &mut message),
            false => Vec::new(),
        };
        let mut stashing = self.shared.stashing();
        if writes.is_empty() && !stashing.storing.contains_key(&id) {
            drop(stashing);
            return self.stash_arrived(id, message);
        }
        let storing = stashing.storing.entry(id).or_default();
        storing.push_back(Item::Message(message));
        drop(stashing);
        self.write_then(writes, ToDriver::StashStored(id));
    }

    /// The end of the other side is gone; this comes after its last message.
    pub(crate) fn peer_closed(&mut self, id: EntryId) {
        let mut stashing = self.shared.stashing();
        if let Some(storing) = stashing.storing.get_mut(&id) {
            storing.push_back(Item::Close);
            drop(stashing);
            return self.write_then(Vec::new(), ToDriver::StashStored(id));
        }
        drop(stashing);
        self.stash_input(Input::PeerClosed { entry: id });
    }

    pub(crate) fn message_stored(&mut self, id: EntryId) {
        let mut stashing = self.shared.stashing();
        let Some(storing) = stashing.storing.get_mut(&id) else {
            // The entry is gone.
            return;
        };
        let item = storing.pop_front();
        if storing.is_empty() {
            stashing.storing.remove(&id);
        }
        drop(stashing);
        match item {
            Some(Item::Message(message)) => self.stash_arrived(id, message),
            Some(Item::Close) => self.stash_input(Input::PeerClosed { entry: id }),
            None => {}
        }
    }

    fn stash_arrived(&mut self, entry: EntryId, message: Parked) {
        let bytes = message.message.as_ref().map_or(0, |it| it.payload.len());
        self.stash_input(Input::MessageArrived {
            entry,
            message,
            bytes,
        });
    }

    fn message_row(&mut self, id: EntryId, parked: &mut Parked) -> Vec<StoreWrite> {
        let Some(message) = &parked.message else {
            return Vec::new();
        };
        let number = self.durable.next_number;
        self.durable.next_number += 1;
        parked.stored = Some(Stored {
            number,
            attempts: 0,
            marked: false,
        });
        let row = StoredMessage {
            payload: message.payload.to_vec(),
            ports: u32::try_from(message.ports.len()).unwrap_or(u32::MAX),
        };
        put(id, Kind::Message(number), &row)
    }

    fn rows_of_waiting(&mut self, id: EntryId) -> Vec<StoreWrite> {
        let shared = Arc::clone(&self.shared);
        let mut stashing = shared.stashing();
        let Some(entry) = stashing.stash.entry_mut(id) else {
            return Vec::new();
        };
        let waiting = entry.waiting_mut().filter(|parked| parked.stored.is_none());
        waiting
            .flat_map(|parked| self.message_row(id, parked))
            .collect()
    }

    /// "Attempts are counted durably before each redelivery", and the first delivery too, so that it
    /// is known which message the next is.
    pub(crate) fn mark(
        &mut self,
        worker: WorkerId,
        event: EventId,
        entry: EntryId,
        detail: EventDetail<MessagePort>,
    ) {
        let Some(found) = self.functional.event(worker, event) else {
            return;
        };
        let What::Stashed {
            stored: Some(stored),
            ..
        } = &mut found.what
        else {
            return self.dispatch(worker, event, detail);
        };
        stored.marked = true;
        let attempts = stored.attempts.saturating_add(1);
        let writes = put(entry, Kind::Attempts(stored.number), &attempts);
        self.functional.marking.insert(event, detail);
        self.write_then(writes, ToDriver::StashMarked(worker, event));
    }

    pub(crate) fn marked(&mut self, worker: WorkerId, event: EventId) {
        if let Some(detail) = self.functional.marking.remove(&event) {
            self.dispatch(worker, event, detail);
        }
    }

    /// A worker stops with messages that were about to be dispatched: they were not.
    pub(crate) fn take_back_marking(&mut self, worker: WorkerId) {
        let marking = std::mem::take(&mut self.functional.marking);
        for (event, detail) in marking {
            let of_worker = |found: &crate::functional::Event| found.worker == worker;
            if self.functional.events.get(&event).is_some_and(of_worker) {
                self.undelivered(worker, event, detail);
            } else {
                self.functional.marking.insert(event, detail);
            }
        }
    }

    /// "Consumed when its dispatch task has run."
    pub(crate) fn forget_message(&self, id: EntryId, stored: Option<Stored>) {
        if let Some(Stored { number, .. }) = stored {
            let rows = [Kind::Message(number), Kind::Attempts(number)];
            let remove = |kind| StoreWrite::RemoveRows(record::key(id, kind));
            self.write(rows.map(remove).into());
        }
    }

    pub(crate) fn take_for_consumed(&self, what: What) {
        if let What::Stashed {
            entry,
            consumed: false,
            stored,
        } = what
        {
            self.forget_message(entry, stored);
        }
    }

    // ---- The store ----

    fn write(&self, writes: Vec<StoreWrite>) {
        if !writes.is_empty() {
            let stored = self.store.commit(writes);
            self.background
                .push(Box::pin(async move { warn(stored.await) }));
        }
    }

    /// In the order of the calls, whether the store takes it or refuses.
    fn write_then(&self, writes: Vec<StoreWrite>, then: ToDriver) {
        let stored = self.store.commit(writes);
        let driver = self.shared.driver();
        self.background.push(Box::pin(async move {
            warn(stored.await);
            // A driver that is gone has no use for it.
            let _gone = driver.unbounded_send(then);
        }));
    }

    // ---- Restart ----

    /// Puts back what an earlier run has stored; gives what was damaged, a line each.
    pub(crate) fn restore_stash(&mut self, rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<String> {
        let mut quarantined = Vec::new();
        let mut found: BTreeMap<EntryId, Restored> = BTreeMap::new();
        let mut damaged: BTreeMap<EntryId, String> = BTreeMap::new();
        for (key, value) in rows {
            let Some((id, kind)) = record::parse_key(key) else {
                continue;
            };
            if let Err(error) = found.entry(id).or_default().read(kind, key, value) {
                damaged.insert(id, error.to_string());
            }
            if let Kind::Message(number) | Kind::Attempts(number) = kind {
                let next = number.saturating_add(1);
                self.durable.next_number = self.durable.next_number.max(next);
            }
        }
        let mut gone = Vec::new();
        let mut entries = Vec::new();
        for (id, restored) in found {
            // Ids are not given twice, whatever becomes of this one.
            self.shared.stashing().stash.skip_past(id);
            match (damaged.get(&id), restored.entry) {
                (Some(error), _) => quarantined.push(format!("{id}: {error}")),
                (None, None) => quarantined.push(format!("{id}: messages without their entry")),
                (None, Some(entry)) if self.may_return(&entry) => {
                    entries.push((id, entry, restored.messages, restored.attempts));
                    continue;
                }
                (None, Some(_)) => {}
            }
            gone.push(StoreWrite::RemoveRows(record::of_entry(id)));
        }
        self.write(gone);
        entries.sort_by_key(|(_, entry, ..)| entry.place);
        self.put_back(entries, &mut quarantined);
        quarantined
    }

    /// "W becomes redundant without ever activating → its entries close"; so do those of a
    /// registration that is gone.
    fn may_return(&self, entry: &StoredEntry) -> bool {
        let Some(view) = self.registry.registration(entry.registration) else {
            return false;
        };
        let is_it = |worker: &sw_types::WorkerView| worker.id == entry.stashed_by;
        entry.activated || view.waiting.as_ref().is_some_and(is_it)
    }

    fn put_back(&mut self, entries: Vec<Whole>, quarantined: &mut Vec<String>) {
        let peers: BTreeMap<_, _> = entries.iter().map(|(id, it, ..)| (*id, it.peer)).collect();
        let mut halves: BTreeMap<EntryId, MessagePort> = BTreeMap::new();
        let handle = Handle {
            shared: Arc::clone(&self.shared),
        };
        let mut registrations = std::collections::BTreeSet::new();
        for (id, entry, messages, mut attempts) in entries {
            registrations.insert(entry.registration);
            let port = halves.remove(&id).unwrap_or_else(|| {
                let MessageChannel { port1, port2 } = MessageChannel::new();
                let mutual = entry
                    .peer
                    .filter(|peer| peers.get(peer) == Some(&Some(id)) && *peer != id);
                // Without a peer its partner is gone, and it hears `close`.
                if let Some(peer) = mutual {
                    halves.insert(peer, port2);
                }
                port1
            });
            let bound: Bound = Arc::new(Mutex::new(port));
            let new = NewEntry {
                registration: entry.registration,
                worker: entry.stashed_by,
                state: WorkerState::Activated,
                name: entry.name,
                port: Arc::clone(&bound),
                created: entry.created,
            };
            self.shared.stashing().stash.restore(id, new);
            for (number, message) in messages {
                let attempts = attempts.remove(&number).unwrap_or(0);
                let stored = Stored {
                    number,
                    attempts,
                    marked: false,
                };
                if attempts > REDELIVERIES {
                    quarantined.push(format!("{id}: a message was tried {attempts} times"));
                    self.forget_message(id, Some(stored));
                    continue;
                }
                let closed = (0..message.ports).filter_map(|_| MessagePort::new().transfer().ok());
                let parked = self.park(
                    Message {
                        payload: message.payload.into(),
                        ports: closed.collect(),
                        attachment: None,
                    },
                    Some(stored),
                );
                self.stash_arrived(id, parked);
            }
            handle.bind(&bound, id);
            self.shared.send(ToDriver::Stashed(id));
        }
        for registration in registrations {
            let snapshot = self.shared.lookup.snapshot(registration);
            if let Some(active) = snapshot.and_then(|found| found.active.clone()) {
                self.worker_state(registration, active.id, active.state);
            }
            let view = self.registry.registration(registration);
            if let Some(waiting) = view.and_then(|view| view.waiting) {
                self.worker_state(registration, waiting.id, waiting.state);
            }
        }
    }
}

type Whole = (
    EntryId,
    StoredEntry,
    BTreeMap<u64, StoredMessage>,
    BTreeMap<u64, u32>,
);

/// The rows of an entry.
#[derive(Default)]
struct Restored {
    entry: Option<StoredEntry>,
    messages: BTreeMap<u64, StoredMessage>,
    attempts: BTreeMap<u64, u32>,
}

impl Restored {
    fn read(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), record::RecordError> {
        match kind {
            Kind::Entry => self.entry = Some(record::decode(key, value)?),
            Kind::Message(number) => {
                self.messages.insert(number, record::decode(key, value)?);
            }
            Kind::Attempts(number) => {
                self.attempts.insert(number, record::decode(key, value)?);
            }
        }
        Ok(())
    }
}

fn bound_of(entry: &stash::Entry<Bound, Parked>) -> Bound {
    Arc::clone(entry.port())
}

fn put(id: EntryId, kind: Kind, content: &impl serde::Serialize) -> Vec<StoreWrite> {
    let key = record::key(id, kind);
    match record::encode(&key, content) {
        Ok(value) => vec![StoreWrite::PutRow { key, value }],
        Err(error) => {
            tracing::error!(%id, %error, "is not stored");
            Vec::new()
        }
    }
}

fn warn(stored: Result<(), StoreError>) {
    if let Err(error) = stored {
        tracing::warn!(%error, "the store has refused something of the stash");
    }
}
