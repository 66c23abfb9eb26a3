//! What an earlier run of the process has stored of stashed ports, before it is put back.

use std::collections::{BTreeMap, VecDeque};

use message_port::MessagePort;
use stash::EntryId;
use stash::record::{
    self, Kind, RecordError, StoredCarried, StoredCursor, StoredEntry, StoredMessage,
};
use sw_types::RegistrationId;

use super::parked::Stored;

pub(super) type RawRows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rows of a port.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) entry: Option<StoredEntry>,
    pub(super) carried: Option<StoredCarried>,
    pub(super) messages: BTreeMap<u64, StoredMessage>,
    pub(super) attempts: BTreeMap<u64, u32>,
    pub(super) cursor: StoredCursor,
    /// The first and the last number of each row of messages.
    pub(super) groups: VecDeque<(u64, u64)>,
    /// What was delivered too often.
    pub(super) poison: Vec<Stored>,
}

/// What an earlier run has stored and has not been put back yet.
#[derive(Default)]
pub(super) struct Asleep {
    pub(super) rows: RawRows,
    /// The ports of each registration.
    pub(super) registrations: BTreeMap<RegistrationId, Vec<EntryId>>,
    /// Other ends of ports that are back already, by the ports that are to have them.
    pub(super) halves: BTreeMap<EntryId, MessagePort>,
}

impl Asleep {
    pub(super) fn read(&self, id: EntryId) -> Result<Rows, RecordError> {
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
    pub(super) fn peer_of(&self, id: EntryId) -> Option<EntryId> {
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

    pub(super) fn peer(&self) -> Option<EntryId> {
        let of_entry = self.entry.as_ref().and_then(|entry| entry.peer);
        of_entry.or_else(|| self.carried.as_ref()?.peer)
    }
}
