//! What an earlier run of the process has stored of stashed ports is put back; what is damaged is
//! kept aside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use message_port::{MessageChannel, MessagePort};
use stash::record::{self, Kept, Kind, RecordError, StoredCarried, StoredEntry, StoredMessage};
use stash::{EntryId, Input, NewEntry};
use sw_registry::StoreWrite;
use sw_types::{RegistrationId, WorkerState, WorkerView};

use super::durable::Known;
use super::parked::{Parked, Passenger, Stored};
use super::{Arc, Bound, Mutex};
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
    cursor: u64,
}

impl Driver {
    /// Puts back what an earlier run has stored; gives what was damaged, a line each.
    pub(crate) fn restore_stash(&mut self, rows: &RawRows) -> Vec<String> {
        let mut quarantined = Vec::new();
        let mut found = self.read_rows(rows, &mut quarantined);
        for (id, rows) in &mut found {
            self.quarantine_poison(*id, rows, &mut quarantined);
        }
        let mut gone: BTreeSet<EntryId> = found.keys().copied().collect();
        // Ids are not given twice, whatever becomes of these.
        if let Some(last) = gone.last() {
            self.shared.stashing().stash.skip_past(*last);
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
            let Some(rows) = found.remove(&id).filter(|_| gone.remove(&id)) else {
                continue;
            };
            let ports = rows.messages.values().flat_map(|message| &message.ports);
            let is_carried =
                |id: &EntryId| found.get(id).is_some_and(|rows| rows.carried.is_some());
            reached.extend(ports.copied().flatten().filter(is_carried));
            back.push((id, rows));
        }
        let remove = |id| StoreWrite::RemoveRows(record::of_entry(id));
        self.durable.journal.write(gone.into_iter().map(remove));
        self.put_back(back);
        quarantined
    }

    /// "Damage is quarantined per entry": all its rows are kept aside.
    fn read_rows(
        &mut self,
        rows: &RawRows,
        quarantined: &mut Vec<String>,
    ) -> BTreeMap<EntryId, Rows> {
        let mut found: BTreeMap<EntryId, Rows> = BTreeMap::new();
        let mut damaged: BTreeMap<EntryId, RecordError> = BTreeMap::new();
        for (key, value) in rows {
            if let Some(number) = record::parse_kept_key(key) {
                self.durable.kept.push_back(number);
                continue;
            }
            let Some((id, kind)) = record::parse_key(key) else {
                if record::is_of_stash(key) {
                    quarantined.push("a row of a stashed port: its key is damaged".to_owned());
                    self.keep_aside("its key is damaged", key, value);
                    let mut after = rows.range(key.clone()..).skip(1);
                    // What removes it must not remove others.
                    if !after.next().is_some_and(|(next, _)| next.starts_with(key)) {
                        let remove = StoreWrite::RemoveRows(key.clone());
                        self.durable.journal.write([remove]);
                    }
                }
                continue;
            };
            if let Err(error) = found.entry(id).or_default().read(kind, key, value) {
                damaged.insert(id, error);
            }
            let next = match kind {
                Kind::Message(number) | Kind::Attempts(number) => number.saturating_add(1),
                _ => found.get(&id).map_or(0, |rows| rows.cursor),
            };
            self.durable.next_number = self.durable.next_number.max(next);
        }
        let is_whole = |rows: &Rows| rows.entry.is_some() || rows.carried.is_some();
        let orphans = found.iter().filter(|(_, rows)| !is_whole(rows));
        let orphans: Vec<_> = orphans.map(|(id, _)| *id).collect();
        for id in orphans {
            damaged.entry(id).or_insert(RecordError::Content);
        }
        for (id, error) in damaged {
            self.keep_entry_aside(id, &error.to_string(), rows, found.get(&id));
            quarantined.push(format!("{id}: {error}"));
            // It stays in `found`, as one that does not return.
            found.insert(id, Rows::default());
        }
        found
    }

    fn keep_entry_aside(
        &mut self,
        id: EntryId,
        reason: &str,
        rows: &RawRows,
        found: Option<&Rows>,
    ) {
        let prefix = record::of_entry(id);
        let its = rows.range(prefix.clone()..);
        for (key, value) in its.take_while(|(key, _)| key.starts_with(&prefix)) {
            self.keep_aside(reason, key, value);
        }
        let messages = found.into_iter().flat_map(|rows| &rows.messages);
        let bodies = messages.filter(|(_, message)| message.payload.is_none());
        let keys: Vec<_> = bodies
            .map(|(number, _)| record::key(id, Kind::Body(*number)))
            .take(KEPT_ROWS)
            .collect();
        self.keep_bodies_aside(reason, keys);
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
        entry.activated || view.waiting.as_ref().is_some_and(is_it)
    }

    fn put_back(&mut self, back: Vec<(EntryId, Rows)>) {
        let peers: BTreeMap<_, _> = back.iter().map(|(id, rows)| (*id, rows.peer())).collect();
        let mut halves: BTreeMap<EntryId, MessagePort> = BTreeMap::new();
        let mut registrations = BTreeSet::new();
        for (id, rows) in back {
            let peer = rows.peer();
            let mutual = peer.filter(|peer| peers.get(peer) == Some(&Some(id)) && *peer != id);
            let port = halves.remove(&id).unwrap_or_else(|| {
                let MessageChannel { port1, port2 } = MessageChannel::new();
                // Without a peer its partner is gone, and it hears `close`.
                if let Some(peer) = mutual {
                    halves.insert(peer, port2);
                }
                port1
            });
            let pair = port.pair_key();
            let bound: Bound = Arc::new(Mutex::new(port));
            registrations.insert(self.put_port_back(id, &rows, &bound));
            self.durable.pairs.entry(pair).or_default().push(id);
            let granted = rows.cursor;
            let known = Known {
                pair,
                peer: mutual,
                granted,
                confirmed: granted,
                dispatched: granted,
                ahead: 0,
            };
            self.durable.entries.insert(id, known);
            self.stash_input(Input::Entangled {
                entry: id,
                peer: mutual,
            });
            if mutual != peer {
                let row = self.entry_row(id);
                self.durable.journal.write(row);
            }
            self.put_messages_back(id, rows);
            self.shared.bind(&bound, id);
        }
        for registration in registrations {
            self.tell_attended(registration);
            self.tell_workers(registration);
        }
    }

    fn put_port_back(&self, id: EntryId, rows: &Rows, bound: &Bound) -> RegistrationId {
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
            let registration = new.registration;
            stashing.stash.restore(id, new);
            return registration;
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
        registration
    }

    fn put_messages_back(&mut self, id: EntryId, rows: Rows) {
        for (number, message) in rows.messages {
            let attempts = rows.attempts.get(&number).copied().unwrap_or(0);
            let stored = Stored {
                redelivered: number < rows.cursor,
                attempts,
                ..Stored::new(id, number)
            };
            let ports = message.ports.into_iter().map(|port| match port {
                Some(id) => Passenger::Kept(id),
                None => Passenger::Kept(EntryId(0)),
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
    fn quarantine_poison(&mut self, id: EntryId, rows: &mut Rows, quarantined: &mut Vec<String>) {
        let cursor = rows.cursor;
        let is_poison = |number: u64, attempts: u32| number < cursor && attempts >= REDELIVERIES;
        for (number, attempts) in &rows.attempts {
            let number = *number;
            let Some(message) = rows.messages.get(&number) else {
                continue;
            };
            if is_poison(number, *attempts) {
                let reason = format!("{id}: a message was delivered {attempts} times again");
                quarantined.push(reason);
                self.keep_message_aside(id, number, message);
                self.forget_message(Some(Stored::new(id, number)));
                rows.messages.remove(&number);
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

impl Rows {
    fn read(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        match kind {
            Kind::Entry => self.entry = Some(record::decode(key, value)?),
            Kind::Carried => self.carried = Some(record::decode(key, value)?),
            Kind::Cursor => self.cursor = record::decode(key, value)?,
            Kind::Message(number) => {
                self.messages.insert(number, record::decode(key, value)?);
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
