//! What an earlier run of the process has stored of stashed ports is put back; what is damaged is
//! kept aside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use message_port::{MessageChannel, MessagePort};
use stash::record::{self, Kind, RecordError, StoredCursor, StoredEntry};
use stash::{EntryId, Input, NewEntry};
use sw_registry::StoreWrite;
use sw_types::{RegistrationId, WorkerState, WorkerView};

use super::asleep::{Asleep, RawRows, Rows};
use super::durable::Known;
use super::parked::{Parked, Passenger, Stored};
use super::{Arc, Bound, Mutex};
use crate::Report;
use crate::driver::Driver;

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

    /// A port that is stored and not put back. Its peer hears `close`.
    pub(super) fn does_not_return(&mut self, id: EntryId) {
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
