//! Messages of stashed ports: their arrival, their rows, and their end. (SEMANTICS §5.3.)
//!
//! Messages that came together share a row, which is removed when all of them are consumed; until then
//! their entry's cursor says which of them are. Removals go along with the next commit.

use std::mem;
use std::sync::Mutex;

use message_port::Message;
use stash::record::{self, Kind, LONGEST_INLINE, StoredMessage};
use stash::{EntryId, Input, Item, NewEntry, Stash};
use sw_registry::StoreWrite;
use sw_types::WorkerState;

use super::durable::put;
use super::journal::Then;
use super::parked::{Parked, Passenger, Stored};
use super::{Arc, Bound};
use crate::driver::Driver;
use crate::functional::What;

/// The most messages in a row of the store.
const GROUP: usize = 256;

impl Driver {
    /// A message has arrived; called with its port locked.
    pub(super) fn arrived(&mut self, entry: EntryId, mut message: Message) {
        if message.attachment.take().is_some() {
            tracing::warn!(%entry, "what was attached to a message for a stashed port is lost");
        }
        let mut message = Parked::new(message, self.shared.driver());
        let bytes = message.charge();
        message.waits = self.is_durable(entry);
        self.stash_input(match message.waits {
            true => Input::MessageWaits {
                entry,
                message,
                bytes,
            },
            false => Input::MessageArrived {
                entry,
                message,
                bytes,
            },
        });
    }

    /// Whether both ends of a port are in the stash.
    pub(super) fn is_durable(&self, id: EntryId) -> bool {
        let known = self.durable.entries.get(&id);
        known.is_some_and(|known| known.peer.is_some())
    }

    /// Gives the store what waits in a durable entry and is not stored: the newest, always.
    pub(super) fn store_waiting(&mut self, id: EntryId) {
        let shared = Arc::clone(&self.shared);
        let mut stashing = shared.stashing();
        let stash = &mut stashing.stash;
        let Some(entry) = stash.entry_mut(id) else {
            return;
        };
        let unstored = entry.waiting_mut().rev();
        let unstored = unstored.take_while(|parked| parked.stored.is_none());
        let mut ports: Vec<_> = unstored.map(|it| mem::take(&mut it.ports)).collect();
        let Some(holder) = holder(stash, id) else {
            return;
        };
        let mut fresh = Vec::new();
        for port in ports.iter_mut().rev().flatten() {
            keep(stash, &holder, port, &mut fresh);
        }
        let first = self.durable.next_number;
        self.durable.next_number += u64::try_from(ports.len()).unwrap_or(u64::MAX);
        let waiting = stash.entry_mut(id).into_iter();
        let waiting = waiting.flat_map(|entry| entry.waiting_mut().rev());
        let mut new: Vec<_> = waiting.zip(ports).collect();
        new.reverse();
        let mut waited = 0;
        let numbered = (first..).zip(new).map(|(number, (parked, ports))| {
            parked.ports = ports;
            parked.stored = Some(Stored::new(id, number));
            waited += usize::from(parked.waits);
            &*parked
        });
        let (writes, groups) = grouped(id, first, numbered);
        if let Some(known) = self.durable.entries.get_mut(&id) {
            known.groups.extend(groups);
        }
        drop(stashing);
        self.durable.journal.write(writes);
        // Those that came before both ends were stashed do not wait to be accepted.
        for _ in 0..waited {
            self.durable.journal.then(Then::Accepted(id));
        }
        self.store_kept(fresh);
        self.grant_ahead(id);
    }

    /// The same for what a worker has been given and has not dispatched: should the process crash,
    /// it is delivered again, without its ports.
    pub(super) fn store_under_way(&mut self, id: EntryId) {
        let mut under_way = Vec::new();
        for (event, found) in &mut self.functional.events {
            if let What::Stashed {
                entry,
                consumed: false,
                stored: stored @ None,
            } = &mut found.what
                && *entry == id
                && let Some((payload, ports)) = found.unstored.take()
            {
                let number = self.durable.next_number;
                self.durable.next_number += 1;
                if let Some(known) = self.durable.entries.get_mut(&id) {
                    known.groups.push_back((number, number));
                }
                *stored = Some(Stored::new(id, number));
                tracing::debug!(%id, %event, "is stored while it is under way");
                under_way.push((number, payload, ports));
            }
        }
        for (number, payload, ports) in under_way {
            let writes = rows_of(id, number, &payload, vec![None; ports]);
            self.durable.journal.write(writes);
            if let Some(known) = self.durable.entries.get_mut(&id) {
                known.granted = number + 1;
                known.dispatched = number + 1;
                self.durable.journal.cursor(id, known.cursor());
            }
        }
        let mut undispatched = mem::take(&mut self.functional.undispatched);
        for (entry, item) in undispatched.values_mut().flatten() {
            if let Item::Message(parked) = item
                && *entry == id
                && parked.stored.is_none()
            {
                let number = self.durable.next_number;
                self.durable.next_number += 1;
                if let Some(known) = self.durable.entries.get_mut(&id) {
                    known.groups.push_back((number, number));
                }
                parked.stored = Some(Stored::new(id, number));
                self.store_again(parked);
            }
        }
        self.functional.undispatched = undispatched;
    }

    /// Writes the rows of a message that is not in the stash at the moment; its ports are kept.
    pub(super) fn store_again(&mut self, parked: &mut Parked) {
        let known = |stored: &Stored| self.durable.entries.contains_key(&stored.entry);
        let Some(stored) = parked.stored.filter(known) else {
            return;
        };
        let mut fresh = Vec::new();
        let shared = Arc::clone(&self.shared);
        let mut stashing = shared.stashing();
        if let Some(holder) = holder(&stashing.stash, stored.entry) {
            for port in &mut parked.ports {
                keep(&mut stashing.stash, &holder, port, &mut fresh);
            }
        }
        drop(stashing);
        self.durable.journal.write(message_rows(parked));
        self.store_kept(fresh);
    }

    fn store_kept(&mut self, fresh: Vec<(EntryId, Bound)>) {
        for (id, bound) in fresh {
            self.shared.bind(&bound, id);
            self.store_entry(id);
        }
    }

    /// "Consumed when its dispatch task has run."
    pub(crate) fn forget_message(&mut self, stored: Option<Stored>) {
        let Some(Stored {
            entry,
            number,
            attempts,
            ..
        }) = stored
        else {
            return;
        };
        // Without an entry, its rows are gone.
        let Some(known) = self.durable.entries.get_mut(&entry) else {
            return;
        };
        let journal = &mut self.durable.journal;
        let remove = |kind| [StoreWrite::RemoveRows(record::key(entry, kind))];
        known.consumed = known.consumed.max(number + 1);
        if attempts > 0 {
            journal.write_at_leisure(remove(Kind::Attempts(number)));
        }
        while let Some((first, last)) = known.groups.front().copied() {
            if last >= known.consumed {
                if first < known.consumed {
                    journal.cursor_at_leisure(entry, known.cursor());
                }
                return;
            }
            known.groups.pop_front();
            journal.write_at_leisure(remove(Kind::Message(first)));
        }
    }

    pub(crate) fn take_for_consumed(&mut self, what: What) {
        if let What::Stashed {
            consumed: false,
            stored,
            ..
        } = what
        {
            self.forget_message(stored);
        }
    }

    fn is_carried(&self, id: EntryId) -> bool {
        let stashing = self.shared.stashing();
        stashing
            .stash
            .entry(id)
            .is_some_and(stash::Entry::is_carried)
    }

    /// Ports that nobody will get.
    pub(crate) fn discard(&mut self, ports: Vec<Passenger>) {
        for port in &ports {
            if let Passenger::Kept(id) = port
                && self.is_carried(*id)
            {
                self.stash_input(Input::Close { entry: *id });
            }
        }
        drop(ports);
    }
}

/// What a port needs to know of the entry whose message it travels in.
fn holder(stash: &Stash<Bound, Parked>, id: EntryId) -> Option<NewEntry<()>> {
    let entry = stash.entry(id)?;
    Some(NewEntry {
        registration: entry.registration(),
        worker: entry.stashed_by(),
        state: WorkerState::Activated,
        name: String::new(),
        port: (),
        created: entry.created(),
    })
}

fn keep(
    stash: &mut Stash<Bound, Parked>,
    holder: &NewEntry<()>,
    port: &mut Passenger,
    fresh: &mut Vec<(EntryId, Bound)>,
) {
    *port = match mem::replace(port, Passenger::Kept(EntryId(0))) {
        Passenger::Port(port) => {
            let bound: Bound = Arc::new(Mutex::new(port.receive()));
            let id = stash.carry(holder, Arc::clone(&bound), None);
            fresh.push((id, bound));
            Passenger::Kept(id)
        }
        kept @ Passenger::Kept(_) => kept,
    };
}

/// The rows of messages whose numbers begin with `first`, and the numbers that each row holds. As many
/// as came together are in one row; one that has rows of its own besides, or has to be written again
/// when it comes back, is in a row by itself.
fn grouped<'a>(
    id: EntryId,
    first: u64,
    messages: impl Iterator<Item = &'a Parked>,
) -> (Vec<StoreWrite>, Vec<(u64, u64)>) {
    let (mut writes, mut groups) = (Vec::new(), Vec::new());
    let mut group = Vec::new();
    let mut begins = first;
    for (number, parked) in (first..).zip(messages) {
        let alone = parked.bytes > LONGEST_INLINE || !parked.ports.is_empty();
        if !group.is_empty() && (alone || group.len() >= GROUP) {
            writes.extend(put(id, Kind::Message(begins), &mem::take(&mut group)));
            groups.push((begins, number - 1));
        }
        if alone {
            writes.extend(message_rows(parked));
            groups.push((number, number));
            continue;
        }
        if group.is_empty() {
            begins = number;
        }
        let payload = parked.payload.as_deref().unwrap_or_default();
        group.push(stored_message(payload, Vec::new()));
    }
    if let Ok(more @ 1..) = u64::try_from(group.len()) {
        writes.extend(put(id, Kind::Message(begins), &group));
        groups.push((begins, begins + more - 1));
    }
    (writes, groups)
}

fn message_rows(parked: &Parked) -> Vec<StoreWrite> {
    let Some(stored) = parked.stored else {
        return Vec::new();
    };
    let ports = parked.ports.iter().map(|port| match port {
        Passenger::Kept(id) => Some(*id),
        Passenger::Port(_) => None,
    });
    let payload = parked.payload.as_deref().unwrap_or_default();
    rows_of(stored.entry, stored.number, payload, ports.collect())
}

fn rows_of(
    id: EntryId,
    number: u64,
    payload: &[u8],
    ports: Vec<Option<EntryId>>,
) -> Vec<StoreWrite> {
    let mut writes = put(
        id,
        Kind::Message(number),
        &vec![stored_message(payload, ports)],
    );
    if payload.len() > LONGEST_INLINE {
        let key = record::key(id, Kind::Body(number));
        let value = record::encode_bytes(&key, payload);
        writes.push(StoreWrite::PutBlob { key, value });
    }
    writes
}

fn stored_message(payload: &[u8], ports: Vec<Option<EntryId>>) -> StoredMessage {
    let inline = payload.len() <= LONGEST_INLINE;
    StoredMessage {
        payload: inline.then(|| payload.to_vec()),
        bytes: u64::try_from(payload.len()).unwrap_or(u64::MAX),
        ports,
    }
}
