//! What an earlier run of the process has stored of stashed ports is put back; what is damaged is
//! kept aside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use message_port::{MessageChannel, MessagePort};
use stash::record::{
    self, Kept, Kind, RecordError, StoredCarried, StoredCursor, StoredEntry, StoredMessage,
};
use stash::{EntryId, Input, NewEntry};
use sw_registry::StoreWrite;
use sw_types::{RegistrationId, WorkerState, WorkerView};

use super::durable::Known;
use super::parked::{Parked, Passenger, Stored};
use super::{Arc, Bound, Mutex};
use crate::Report;
use crate::driver::Driver;

/// After this many redeliveries a message is quarantined.
const REDELIVERIES: u32 = 3;
/// How many damaged rows are kept aside, and how much of each.
const KEPT_ROWS: usize = 64;
const KEPT_BYTES: usize = 64 * 1024;

type RawRows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rows of a port.
#[derive(Default)]
struct Rows {
    entry: Option<StoredEntry>,
    carried: Option<StoredCarried>,
    messages: BTreeMap<u64, StoredMessage>,
    attempts: BTreeMap<u64, u32>,
    cursor: StoredCursor,
    /// The first and the last number of each row of messages.
    groups: VecDeque<(u64, u64)>,
    /// What was delivered too often.
    poison: Vec<Stored>,
}

/// What an earlier run has stored and has not been put back yet.
#[derive(Default)]
pub(super) struct Asleep {
    rows: RawRows,
    /// The ports of each registration.
    registrations: BTreeMap<RegistrationId, Vec<EntryId>>,
    /// Other ends of ports that are back already, by the ports that are to have them.
    halves: BTreeMap<EntryId, MessagePort>,
}

impl Driver {
    /// Takes what an earlier run has stored; gives what is damaged, a line each. Ports are put back
    /// when something of their registration happens, or one registration after the other.
    pub(crate) fn restore_stash(&mut self, rows: RawRows) -> Vec<String> {
        let mut damaged: BTreeMap<EntryId, RecordError> = BTreeMap::new();
        let mut owners: Vec<(EntryId, Option<RegistrationId>)> = Vec::new();
        let mut quarantined = Vec::new();
        for (key, value) in &rows {
            if let Some(number) = record::parse_kept_key(key) {
                self.durable.kept.push_back(number);
                continue;
            }
            let Some((id, kind)) = record::parse_key(key) else {
                if record::is_of_stash(key) {
                    quarantined.push("a row of a stashed port: its key is damaged".to_owned());
                    self.keep_key_aside(&rows, key, value);
                }
                continue;
            };
            // All rows of a port are next to each other.
            if owners.last().is_none_or(|(last, _)| *last != id) {
                owners.push((id, None));
            }
            match self.look_at(kind, key, value) {
                Ok(None) => {}
                Ok(owner) => owners.last_mut().into_iter().for_each(|it| it.1 = owner),
                Err(error) => drop(damaged.insert(id, error)),
            }
        }
        if let Some((last, _)) = owners.last() {
            // Ids are not given twice, whatever becomes of these.
            self.shared.stashing().stash.skip_past(*last);
        }
        let mut asleep = Asleep::default();
        for (id, owner) in owners {
            match owner {
                Some(owner) if !damaged.contains_key(&id) => {
                    asleep.registrations.entry(owner).or_default().push(id);
                }
                // Messages of nobody.
                _ => drop(damaged.entry(id).or_insert(RecordError::Content)),
            }
        }
        asleep.rows = rows;
        self.durable.asleep = asleep;
        for (id, error) in damaged {
            quarantined.push(format!("{id}: {error}"));
            self.quarantine_entry(id, error);
        }
        quarantined
    }

    /// Checks a row; gives the registration whose port it is, if it says so.
    fn look_at(
        &mut self,
        kind: Kind,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<RegistrationId>, RecordError> {
        let content = record::decode_bytes(key, value)?;
        let next = match kind {
            Kind::Entry | Kind::Carried => return record::registration(content).map(Some),
            // It would not stand here.
            Kind::Body(_) => return Err(RecordError::Content),
            Kind::Message(number) => number.saturating_add(record::count(content)?),
            Kind::Attempts(number) => number.saturating_add(1),
            Kind::Cursor => {
                let cursor: StoredCursor = record::decode(key, value)?;
                cursor.granted.max(cursor.consumed)
            }
        };
        self.durable.next_number = self.durable.next_number.max(next);
        Ok(None)
    }

    fn keep_key_aside(&mut self, rows: &RawRows, key: &[u8], value: &[u8]) {
        self.keep_aside("its key is damaged", key, value);
        let mut after = rows.range(key.to_vec()..).skip(1);
        // What removes it must not remove others.
        if !after.next().is_some_and(|(next, _)| next.starts_with(key)) {
            let remove = StoreWrite::RemoveRows(key.to_vec());
            self.durable.journal.write([remove]);
        }
    }

    /// "Damage is quarantined per entry": all its rows are kept aside and removed.
    fn quarantine_entry(&mut self, id: EntryId, error: RecordError) {
        let asleep = mem::take(&mut self.durable.asleep);
        self.keep_entry_aside(id, &error.to_string(), &asleep.rows);
        self.durable.asleep = asleep;
        self.does_not_return(id);
    }

    /// A port that is stored and not put back. Its peer hears `close`.
    fn does_not_return(&mut self, id: EntryId) {
        let remove = StoreWrite::RemoveRows(record::of_entry(id));
        self.durable.journal.write([remove]);
        let half = self.durable.asleep.halves.remove(&id);
        let of_half = half.as_ref().map(MessagePort::pair_key);
        let peers = of_half.and_then(|pair| self.durable.pairs.get(&pair));
        for peer in peers.cloned().unwrap_or_default() {
            if let Some(known) = self.durable.entries.get_mut(&peer) {
                known.peer = None;
            }
            self.entangled(peer, None);
        }
        drop(half);
    }

    // ---- One registration ----

    /// Puts some of the ports back that are not; whether there were any.
    pub(crate) fn wake_next_stash(&mut self) -> bool {
        let next = self.durable.asleep.registrations.first_key_value();
        let Some(next) = next.map(|(registration, _)| *registration) else {
            return false;
        };
        self.wake_stash_of(next);
        true
    }

    /// At a clean end: what was posted to ports that are not back is stored.
    pub(crate) fn wake_stash_that_was_posted_to(&mut self) {
        while !self.durable.asleep.halves.is_empty() && self.wake_next_stash() {}
    }

    /// Puts the ports of a registration back, before anything happens to them.
    pub(crate) fn wake_stash_of(&mut self, registration: RegistrationId) {
        let Some(ids) = self.durable.asleep.registrations.remove(&registration) else {
            return;
        };
        let mut found = BTreeMap::new();
        for id in ids {
            match self.durable.asleep.read(id) {
                Ok(mut rows) => {
                    self.quarantine_poison(id, &mut rows);
                    found.insert(id, rows);
                }
                Err(error) => {
                    self.quarantine_entry(id, error);
                    let reason = error.to_string();
                    let entry = id;
                    self.shared
                        .report(Report::StashQuarantined { entry, reason });
                }
            }
        }
        let mut entries: Vec<_> = found
            .iter()
            .filter_map(|(id, rows)| Some((*id, rows.entry.as_ref()?)))
            .filter(|(_, entry)| self.may_return(entry))
            .collect();
        entries.sort_by_key(|(_, entry)| entry.place);
        let mut reached: VecDeque<_> = entries.into_iter().map(|(id, _)| id).collect();
        // Entries, and the ports that travel in their messages, as deep as they do.
        let mut back = Vec::new();
        while let Some(id) = reached.pop_front() {
            let Some(rows) = found.remove(&id) else {
                continue;
            };
            let ports = rows.messages.values().flat_map(|message| &message.ports);
            let is_carried =
                |id: &EntryId| found.get(id).is_some_and(|rows| rows.carried.is_some());
            reached.extend(ports.copied().flatten().filter(is_carried));
            back.push((id, rows));
        }
        for gone in found.into_keys() {
            self.does_not_return(gone);
        }
        self.put_back(back);
        self.tell_attended(registration);
        self.tell_workers(registration);
        if self.durable.asleep.registrations.is_empty() {
            self.durable.asleep.rows = RawRows::new();
        }
    }

    fn keep_entry_aside(&mut self, id: EntryId, reason: &str, rows: &RawRows) {
        let mut bodies = Vec::new();
        let prefix = record::of_entry(id);
        let its = rows.range(prefix.clone()..);
        for (key, value) in its.take_while(|(key, _)| key.starts_with(&prefix)) {
            self.keep_aside(reason, key, value);
            if let Some((_, Kind::Message(first))) = record::parse_key(key)
                && let Ok(messages) = record::decode::<Vec<StoredMessage>>(key, value)
            {
                let numbered = (first..).zip(messages);
                let apart = numbered.filter(|(_, message)| message.payload.is_none());
                bodies.extend(apart.map(|(number, _)| record::key(id, Kind::Body(number))));
            }
        }
        bodies.truncate(KEPT_ROWS);
        self.keep_bodies_aside(reason, bodies);
    }

    fn keep_bodies_aside(&mut self, reason: &str, keys: Vec<Vec<u8>>) {
        if keys.is_empty() {
            return;
        }
        match self.shared.blobs.read_blocking(keys.clone()) {
            Ok(read) => {
                for (key, value) in keys.iter().zip(read) {
                    if let Some(value) = value {
                        self.keep_aside(reason, key, &value);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "what is damaged cannot be kept aside"),
        }
    }

    /// Keeps something damaged for whoever wants to look at it, in place of the oldest if there is
    /// much of it.
    pub(super) fn keep_aside(&mut self, reason: &str, key: &[u8], bytes: &[u8]) {
        let number = self.durable.kept.back().map_or(0, |last| last + 1);
        let kept = Kept {
            reason: reason.to_owned(),
            key: key.to_vec(),
            bytes: bytes[..bytes.len().min(KEPT_BYTES)].to_vec(),
        };
        let row = record::kept_key(number);
        let Ok(value) = record::encode(&row, &kept) else {
            return tracing::error!(%number, "cannot be kept aside");
        };
        self.durable.kept.push_back(number);
        self.durable
            .journal
            .write([StoreWrite::PutRow { key: row, value }]);
        while self.durable.kept.len() > KEPT_ROWS {
            let oldest = self.durable.kept.pop_front().map(record::kept_key);
            let remove = oldest.map(StoreWrite::RemoveRows);
            self.durable.journal.write(remove);
        }
    }

    /// "W becomes redundant without ever activating → its entries close"; so do those of a
    /// registration that is gone.
    fn may_return(&self, entry: &StoredEntry) -> bool {
        let Some(view) = self.registry.registration(entry.registration) else {
            return false;
        };
        let is_it = |worker: &WorkerView| worker.id == entry.stashed_by;
        let workers = [&view.waiting, &view.active];
        entry.activated || workers.into_iter().flatten().any(is_it)
    }

    fn put_back(&mut self, back: Vec<(EntryId, Rows)>) {
        let peers: BTreeMap<_, _> = back.iter().map(|(id, rows)| (*id, rows.peer())).collect();
        let is_carried = |(id, rows): &(EntryId, Rows)| rows.carried.is_some().then_some(*id);
        let carried: BTreeSet<_> = back.iter().filter_map(is_carried).collect();
        for (id, rows) in back {
            let peer = rows.peer();
            let asleep = &mut self.durable.asleep;
            let half = asleep.halves.remove(&id);
            let mutual = peer.filter(|peer| {
                half.is_some()
                    || *peer != id
                        && (peers.get(peer) == Some(&Some(id)) || asleep.peer_of(*peer) == Some(id))
            });
            let port = half.unwrap_or_else(|| {
                let MessageChannel { port1, port2 } = MessageChannel::new();
                // Without a peer its partner is gone, and it hears `close`.
                if let Some(peer) = mutual {
                    asleep.halves.insert(peer, port2);
                }
                port1
            });
            let pair = port.pair_key();
            let bound: Bound = Arc::new(Mutex::new(port));
            self.put_port_back(id, &rows, &bound);
            self.durable.pairs.entry(pair).or_default().push(id);
            let StoredCursor { granted, consumed } = rows.cursor;
            let known = Known {
                pair,
                peer: mutual,
                granted,
                confirmed: granted,
                dispatched: granted,
                ahead: 0,
                consumed,
                groups: rows.groups.clone(),
            };
            self.durable.entries.insert(id, known);
            for poison in &rows.poison {
                self.forget_message(Some(*poison));
            }
            self.stash_input(Input::Entangled {
                entry: id,
                peer: mutual,
            });
            if mutual != peer {
                let row = self.entry_row(id);
                self.durable.journal.write(row);
            }
            self.put_messages_back(id, rows, &carried);
            self.shared.bind(&bound, id);
        }
    }

    fn put_port_back(&self, id: EntryId, rows: &Rows, bound: &Bound) {
        let port = Arc::clone(bound);
        let mut stashing = self.shared.stashing();
        if let Some(entry) = &rows.entry {
            let new = NewEntry {
                registration: entry.registration,
                worker: entry.stashed_by,
                state: WorkerState::Activated,
                name: entry.name.clone(),
                port,
                created: entry.created,
            };
            stashing.stash.restore(id, new);
            return;
        }
        let registration = rows
            .carried
            .as_ref()
            .map_or(RegistrationId(0), |it| it.registration);
        let holder = NewEntry {
            registration,
            worker: sw_types::WorkerId(0),
            state: WorkerState::Activated,
            name: String::new(),
            port: (),
            created: sw_types::Timestamp(0),
        };
        stashing.stash.carry(&holder, port, Some(id));
    }

    fn put_messages_back(&mut self, id: EntryId, rows: Rows, carried: &BTreeSet<EntryId>) {
        for (number, message) in rows.messages {
            let attempts = rows.attempts.get(&number).copied().unwrap_or(0);
            let stored = Stored {
                redelivered: number < rows.cursor.granted,
                attempts,
                ..Stored::new(id, number)
            };
            // One that has left the stash is not stored any more; its number may be given again.
            let ports = message.ports.into_iter().map(|port| {
                let carried = port.filter(|port| carried.contains(port));
                Passenger::Kept(carried.unwrap_or(EntryId(0)))
            });
            let bytes = usize::try_from(message.bytes).unwrap_or(usize::MAX);
            let payload = message.payload.map(bytes::Bytes::from);
            let driver = self.shared.driver();
            let message = Parked::restored(payload, bytes, ports.collect(), stored, driver);
            let bytes = message.charge();
            self.stash_input(Input::MessageArrived {
                entry: id,
                message,
                bytes,
            });
        }
    }

    /// "After three the message is quarantined and reported": what the browser has died of, it seems.
    /// The ports that it carries are closed.
    fn quarantine_poison(&mut self, id: EntryId, rows: &mut Rows) {
        let granted = rows.cursor.granted;
        let is_poison = |number: u64, attempts: u32| number < granted && attempts >= REDELIVERIES;
        for (number, attempts) in &rows.attempts {
            let number = *number;
            let Some(message) = rows.messages.get(&number) else {
                continue;
            };
            if is_poison(number, *attempts) {
                let reason = format!("a message was delivered {attempts} times again");
                let entry = id;
                self.shared
                    .report(Report::StashQuarantined { entry, reason });
                self.keep_message_aside(id, number, message);
                rows.messages.remove(&number);
                let attempts = *attempts;
                rows.poison.push(Stored {
                    attempts,
                    ..Stored::new(id, number)
                });
            }
        }
    }

    fn keep_message_aside(&mut self, id: EntryId, number: u64, message: &StoredMessage) {
        let reason = "it was redelivered too often";
        match &message.payload {
            Some(payload) => {
                let key = record::key(id, Kind::Message(number));
                self.keep_aside(reason, &key, payload);
            }
            None => {
                let key = record::key(id, Kind::Body(number));
                self.keep_bodies_aside(reason, vec![key]);
            }
        }
    }

    fn tell_workers(&mut self, registration: RegistrationId) {
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

impl Asleep {
    fn read(&self, id: EntryId) -> Result<Rows, RecordError> {
        let prefix = record::of_entry(id);
        let its = self.rows.range(prefix.clone()..);
        let mut found = Rows::default();
        for (key, value) in its.take_while(|(key, _)| key.starts_with(&prefix)) {
            // A damaged key has been kept aside.
            if let Some((_, kind)) = record::parse_key(key) {
                found.read(kind, key, value)?;
            }
        }
        Ok(found)
    }

    /// What a port that is not back is entangled with.
    fn peer_of(&self, id: EntryId) -> Option<EntryId> {
        let row = |kind| {
            let key = record::key(id, kind);
            let row = self.rows.get(&key)?;
            Some((key, row))
        };
        let (registration, peer) = match (row(Kind::Entry), row(Kind::Carried)) {
            (Some((key, row)), _) => {
                let entry: StoredEntry = record::decode(&key, row).ok()?;
                (entry.registration, entry.peer)
            }
            (None, Some((key, row))) => {
                let carried: StoredCarried = record::decode(&key, row).ok()?;
                (carried.registration, carried.peer)
            }
            (None, None) => return None,
        };
        let of_it = self.registrations.get(&registration)?;
        of_it.binary_search(&id).is_ok().then_some(peer)?
    }
}

impl Rows {
    fn read(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        match kind {
            Kind::Entry => self.entry = Some(record::decode(key, value)?),
            Kind::Carried => self.carried = Some(record::decode(key, value)?),
            Kind::Cursor => self.cursor = record::decode(key, value)?,
            Kind::Message(first) => {
                let messages: Vec<StoredMessage> = record::decode(key, value)?;
                let numbered = (first..).zip(messages);
                let mut last = None;
                for (number, message) in numbered {
                    last = Some(number);
                    // The cursor's row comes before those of messages.
                    if number >= self.cursor.consumed {
                        self.messages.insert(number, message);
                    }
                }
                self.groups
                    .push_back((first, last.ok_or(RecordError::Content)?));
            }
            Kind::Attempts(number) => {
                self.attempts.insert(number, record::decode(key, value)?);
            }
            // It would not stand here.
            Kind::Body(_) => return Err(RecordError::Content),
        }
        Ok(())
    }

    fn peer(&self) -> Option<EntryId> {
        let of_entry = self.entry.as_ref().and_then(|entry| entry.peer);
        of_entry.or_else(|| self.carried.as_ref()?.peer)
    }
}
