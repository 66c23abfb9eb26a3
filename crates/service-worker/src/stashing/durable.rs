//! Which ports of the stash belong together, and their rows in the store. (SEMANTICS §5.3,
//! *Durability*.)
//!
//! Every entry has a row, and so has every port that travels in a stored message; messages have rows
//! if both ends of their port are in the stash. A message goes to a worker when the store has it, so
//! what a worker is given was accepted.

use std::collections::{BTreeMap, VecDeque};

use stash::record::{self, Kind, StoredCarried, StoredCursor, StoredEntry};
use stash::{EntryId, Input};
use sw_registry::StoreWrite;
use sw_types::{RegistrationId, StorageKey, WorkerId, WorkerState};

use super::asleep::Asleep;
use super::journal::Journal;
use super::parked::Parked;

use super::{Arc, Bound, lock};
use crate::HostEvent;
use crate::driver::Driver;
use crate::shared::Shared;
use message_port::MessagePort;

/// What the driver knows of stored ports.
#[derive(Default)]
pub(crate) struct Durable {
    pub(crate) journal: Journal,
    pub(super) entries: BTreeMap<EntryId, Known>,
    /// Entries by the pair that their ports are of.
    pub(super) pairs: BTreeMap<usize, Vec<EntryId>>,
    pub(super) next_number: u64,
    /// What is kept aside, oldest first.
    pub(super) kept: VecDeque<u64>,
    /// What is stored and not put back yet.
    pub(super) asleep: Asleep,
    /// Ports whose rows are to be written, while others' are being written.
    to_store: Option<VecDeque<EntryId>>,
}

/// A port of the stash.
#[derive(Default)]
pub(super) struct Known {
    pub(super) pair: usize,
    pub(super) peer: Option<EntryId>,
    /// Messages with numbers below this may be dispatched: should the process crash, the store says
    /// of them that they may have been.
    pub(super) granted: u64,
    /// As far as the store has said so.
    pub(super) confirmed: u64,
    /// Messages with numbers below this were.
    pub(super) dispatched: u64,
    /// How many are between the two.
    pub(super) ahead: usize,
    /// Messages with numbers below this are over.
    pub(super) consumed: u64,
    /// The rows of messages: the first and the last number of each.
    pub(super) groups: VecDeque<(u64, u64)>,
}

impl Known {
    pub(super) const fn cursor(&self) -> StoredCursor {
        StoredCursor {
            granted: self.granted,
            consumed: self.consumed,
        }
    }
}

impl Driver {
    /// A port is in the stash from now on, or its entry is gone.
    pub(crate) fn store_entry(&mut self, id: EntryId) {
        if let Some(to_store) = &mut self.durable.to_store {
            // Ports in messages of ports, as deep as scripts like: one after the other.
            return to_store.push_back(id);
        }
        self.durable.to_store = Some(VecDeque::from([id]));
        while let Some(next) = self.next_to_store() {
            self.store_one(next);
        }
        self.durable.to_store = None;
    }

    fn next_to_store(&mut self) -> Option<EntryId> {
        self.durable.to_store.as_mut()?.pop_front()
    }

    fn store_one(&mut self, id: EntryId) {
        let found = self.shared.stashing().stash.entry(id).map(bound_of);
        let Some(bound) = found else {
            return self.forget_stored(id);
        };
        let pair = lock(&bound).pair_key();
        let of_pair = self.durable.pairs.entry(pair).or_default();
        let others: Vec<_> = of_pair.iter().copied().filter(|it| *it != id).collect();
        if !of_pair.contains(&id) {
            of_pair.push(id);
        }
        let peer = others.into_iter().find(|other| {
            let other = self.shared.stashing().stash.entry(*other).map(bound_of);
            // One lock at a time: the port leaves its place for the moment of the question.
            other.is_some_and(|other| {
                !Arc::ptr_eq(&other, &bound) && lock(&other).pair_key() == pair
            })
        });
        let known = self.durable.entries.entry(id).or_default();
        (known.pair, known.peer) = (pair, peer);
        self.entangled(id, peer);
        if let Some(peer) = peer {
            if let Some(known) = self.durable.entries.get_mut(&peer) {
                known.peer = Some(id);
            }
            self.entangled(peer, Some(id));
            // What they received before both were stashed.
            for end in [id, peer] {
                self.store_under_way(end);
                self.store_waiting(end);
            }
        }
    }

    /// What the port of `id` is entangled with, for the store and the stash.
    pub(super) fn entangled(&mut self, id: EntryId, peer: Option<EntryId>) {
        let writes = self.entry_row(id);
        self.durable.journal.write(writes);
        self.stash_input(Input::Entangled { entry: id, peer });
        let registration = self
            .shared
            .stashing()
            .stash
            .entry(id)
            .map(stash::Entry::registration);
        if let Some(registration) = registration {
            self.tell_attended(registration);
        }
    }

    /// A worker is active for the first time: its entries stay for its successor.
    pub(crate) fn store_entries_of(&mut self, registration: RegistrationId, worker: WorkerId) {
        let stashing = self.shared.stashing();
        let its = stashing.stash.entries(registration);
        let its = its.filter(|(_, entry)| entry.stashed_by() == worker);
        let its: Vec<_> = its.map(|(id, _)| id).collect();
        drop(stashing);
        let writes: Vec<_> = its.into_iter().flat_map(|id| self.entry_row(id)).collect();
        self.durable.journal.write(writes);
    }

    /// A port is not in the stash any more. Its peer, if that is, hears `close` also after a restart.
    pub(crate) fn forget_stored(&mut self, id: EntryId) {
        let Some(known) = self.durable.entries.remove(&id) else {
            return;
        };
        if let Some(of_pair) = self.durable.pairs.get_mut(&known.pair) {
            of_pair.retain(|of_pair| *of_pair != id);
            if of_pair.is_empty() {
                self.durable.pairs.remove(&known.pair);
            }
        }
        self.durable.journal.forget(id);
        let remove = StoreWrite::RemoveRows(record::of_entry(id));
        self.durable.journal.write([remove]);
        let Some(peer) = known.peer else { return };
        if let Some(peer) = self.durable.entries.get_mut(&peer) {
            peer.peer = None;
        }
        // Its messages stay: they are delivered before `close`.
        self.entangled(peer, None);
    }

    pub(super) fn entry_row(&self, id: EntryId) -> Vec<StoreWrite> {
        let peer = self.durable.entries.get(&id).and_then(|known| known.peer);
        let stashing = self.shared.stashing();
        let Some(entry) = stashing.stash.entry(id) else {
            return Vec::new();
        };
        if entry.is_carried() {
            let registration = entry.registration();
            let row = StoredCarried { registration, peer };
            return put(id, Kind::Carried, &row);
        }
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

    // ---- Who has an open client: SEMANTICS §8.7 ----

    /// The storage key whose clients change with this, if it is one.
    pub(crate) fn attending(&self, event: &HostEvent<MessagePort>) -> Option<StorageKey> {
        let partition = self.shared.policies.partition;
        let environment = match event {
            HostEvent::ClientCreated(it) if !Shared::is_worker_client(it.id) => {
                return partition.storage_key(it, &it.origin);
            }
            HostEvent::ClientGone(client) => self.shared.environment(*client)?,
            _ => return None,
        };
        partition.storage_key(&environment, &environment.origin)
    }

    /// Tells the stash whether the registrations of that key have an open client now.
    pub(crate) fn attend(&mut self, key: Option<StorageKey>) {
        let Some(key) = key else { return };
        let stashed = self.shared.stashing().stash.registrations();
        for registration in stashed {
            if self.registry.storage_key(registration) == Some(&key) {
                self.tell_attended(registration);
            }
        }
    }

    pub(super) fn tell_attended(&mut self, registration: RegistrationId) {
        let key = self.registry.storage_key(registration);
        let attended = key.is_some_and(|key| self.registry.has_client(key));
        self.stash_input(Input::Attended {
            registration,
            attended,
        });
    }
}

fn bound_of(entry: &stash::Entry<Bound, Parked>) -> Bound {
    Arc::clone(entry.port())
}

pub(super) fn put(id: EntryId, kind: Kind, content: &impl serde::Serialize) -> Vec<StoreWrite> {
    let key = record::key(id, kind);
    match record::encode(&key, content) {
        Ok(value) => vec![StoreWrite::PutRow { key, value }],
        Err(error) => {
            tracing::error!(%id, %error, "is not stored");
            Vec::new()
        }
    }
}
