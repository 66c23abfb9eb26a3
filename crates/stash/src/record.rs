//! Stored entries and messages as keys and bytes: versioned and checksummed.
//!
//! All that belongs to an entry has keys that begin with [`of_entry`], so that it goes in one write.

use serde::{Deserialize, Serialize};
use sw_types::{RegistrationId, Timestamp, WorkerId};

use crate::EntryId;

const VERSION: u8 = 1;
/// Version and checksum.
const HEAD: usize = 5;
const ENTRY: u8 = b'e';
const MESSAGE: u8 = b'm';
const ATTEMPTS: u8 = b't';

/// An entry, as it is stored. It names everything that it needs, but for its port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is written field by field")]
pub struct StoredEntry {
    /// Its registration.
    pub registration: RegistrationId,
    /// The worker that stashed it.
    pub stashed_by: WorkerId,
    /// Whether that worker has ever been active: otherwise its entries go with it.
    pub activated: bool,
    /// When.
    pub created: Timestamp,
    /// Its name.
    pub name: String,
    /// Where it stands among the entries of its registration.
    pub place: u64,
    /// The entry that its port is entangled with; `None` if that end is not stashed.
    pub peer: Option<EntryId>,
}

/// A message, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is written field by field")]
pub struct StoredMessage {
    /// The serialized value.
    pub payload: Vec<u8>,
    /// How many ports it carries. They are not stored: after a restart they are closed.
    pub ports: u32,
}

/// What a row is, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unread row is a lost message")]
pub enum Kind {
    /// A [`StoredEntry`].
    Entry,
    /// A [`StoredMessage`], by its number.
    Message(u64),
    /// How often the message of this number was given to a worker, as [`u32`].
    Attempts(u64),
}

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is too short, or of another version.
    #[error("it is no record of version 1")]
    Version,
    /// Its bytes are not those that were written.
    #[error("its checksum does not match")]
    Checksum,
    /// Its content makes no sense, or it is too large to be written.
    #[error("its content makes no sense")]
    Content,
}

/// What the keys of all rows of an entry begin with.
#[must_use]
pub fn of_entry(id: EntryId) -> Vec<u8> {
    let mut key = b"stash/".to_vec();
    key.extend(id.0.to_be_bytes());
    key
}

/// The key of a row.
#[must_use]
pub fn key(id: EntryId, kind: Kind) -> Vec<u8> {
    let mut key = of_entry(id);
    let (tag, number) = match kind {
        Kind::Entry => (ENTRY, None),
        Kind::Message(number) => (MESSAGE, Some(number)),
        Kind::Attempts(number) => (ATTEMPTS, Some(number)),
    };
    key.push(tag);
    key.extend(number.into_iter().flat_map(u64::to_be_bytes));
    key
}

/// Reads a key. `None` if it is not one of the stash's.
#[must_use]
pub fn parse_key(key: &[u8]) -> Option<(EntryId, Kind)> {
    let rest = key.strip_prefix(b"stash/")?;
    let (id, rest) = rest.split_first_chunk::<8>()?;
    let (tag, rest) = rest.split_first()?;
    let number = || <[u8; 8]>::try_from(rest).ok().map(u64::from_be_bytes);
    let kind = match *tag {
        ENTRY if rest.is_empty() => Kind::Entry,
        MESSAGE => Kind::Message(number()?),
        ATTEMPTS => Kind::Attempts(number()?),
        _ => return None,
    };
    Some((EntryId(u64::from_be_bytes(*id)), kind))
}

/// What a row holds, for a key: the checksum is over both.
///
/// # Errors
/// [`RecordError::Content`] if it cannot be written.
pub fn encode(key: &[u8], content: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut record = vec![VERSION; HEAD];
    record = postcard::to_extend(content, record).map_err(|_| RecordError::Content)?;
    let sum = checksum(key, &record);
    record[1..HEAD].copy_from_slice(&sum);
    Ok(record)
}

/// Reads what a row holds.
///
/// # Errors
/// As [`RecordError`] says.
pub fn decode<T: for<'a> Deserialize<'a>>(key: &[u8], record: &[u8]) -> Result<T, RecordError> {
    if record.len() < HEAD || record[0] != VERSION {
        return Err(RecordError::Version);
    }
    if record[1..HEAD] != checksum(key, record) {
        return Err(RecordError::Checksum);
    }
    match postcard::take_from_bytes(&record[HEAD..]) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(RecordError::Content),
    }
}

fn checksum(key: &[u8], record: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&record[HEAD..]);
    hasher.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_after_the_content_are_damage() {
        let key = b"key";
        let mut record = vec![VERSION, 0, 0, 0, 0, 7, 1];
        let sum = checksum(key, &record);
        record[1..HEAD].copy_from_slice(&sum);
        assert!(matches!(
            decode::<u8>(key, &record),
            Err(RecordError::Content)
        ));
        record.pop();
        let sum = checksum(key, &record);
        record[1..HEAD].copy_from_slice(&sum);
        assert!(matches!(decode::<u8>(key, &record), Ok(7)));
    }

    #[test]
    fn keys_come_back_and_those_of_others_do_not() {
        for kind in [Kind::Entry, Kind::Message(7), Kind::Attempts(u64::MAX)] {
            let key = key(EntryId(300), kind);
            assert_eq!(parse_key(&key), Some((EntryId(300), kind)));
            assert_eq!(parse_key(&key[..key.len() - 1]), None);
        }
        assert_eq!(parse_key(b"quota/12345678e"), None);
    }

    #[test]
    fn no_changed_byte_goes_unnoticed_and_none_panics() {
        let key = key(EntryId(1), Kind::Message(2));
        let message = StoredMessage {
            payload: b"hello".to_vec(),
            ports: 1,
        };
        let record = encode(&key, &message).unwrap();
        assert_eq!(decode(&key, &record), Ok(message));
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut changed = record.clone();
                changed[at] ^= 1 << bit;
                assert!(decode::<StoredMessage>(&key, &changed).is_err());
            }
            assert!(decode::<StoredMessage>(&key, &record[..at]).is_err());
        }
        let other = super::key(EntryId(2), Kind::Message(2));
        assert_eq!(
            decode::<StoredMessage>(&other, &record),
            Err(RecordError::Checksum)
        );
    }
}
