//! What is stored of stashed ports and damaged, or was delivered too often, is kept aside. (SEMANTICS
//! §5.3, *Durability*.)

use std::mem;

use stash::EntryId;
use stash::record::{self, Kept, Kind, RecordError, StoredMessage};
use sw_registry::StoreWrite;

use super::asleep::{RawRows, Rows};
use super::parked::Stored;
use crate::Report;
use crate::driver::Driver;

/// After this many redeliveries a message is quarantined.
const REDELIVERIES: u32 = 3;
/// How many damaged rows are kept aside, and how much of each.
const KEPT_ROWS: usize = 64;
const KEPT_BYTES: usize = 64 * 1024;

impl Driver {
    pub(super) fn keep_key_aside(&mut self, rows: &RawRows, key: &[u8], value: &[u8]) {
        self.keep_aside("its key is damaged", key, value);
        let mut after = rows.range(key.to_vec()..).skip(1);
        // What removes it must not remove others.
        if !after.next().is_some_and(|(next, _)| next.starts_with(key)) {
            let remove = StoreWrite::RemoveRows(key.to_vec());
            self.durable.journal.write([remove]);
        }
    }

    /// "Damage is quarantined per entry": all its rows are kept aside and removed.
    pub(super) fn quarantine_entry(&mut self, id: EntryId, error: RecordError) {
        let asleep = mem::take(&mut self.durable.asleep);
        self.keep_entry_aside(id, &error.to_string(), &asleep.rows);
        self.durable.asleep = asleep;
        self.does_not_return(id);
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

    /// "After three the message is quarantined and reported": what the browser has died of, it seems.
    /// The ports that it carries are closed.
    pub(super) fn quarantine_poison(&mut self, id: EntryId, rows: &mut Rows) {
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
}
