//! Stored entries and messages as keys and bytes: versioned and checksummed.
//!
//! All that belongs to an entry has keys that begin with [`of_entry`], so that it goes in one write.

use serde::{Deserialize, Serialize};
use sw_types::{RegistrationId, Timestamp, WorkerId};

use crate::EntryId;

const VERSION: u8 = 3;
/// Version and checksum.
const HEAD: usize = 5;
const ENTRY: u8 = b'e';
const CARRIED: u8 = b'c';
const CURSOR: u8 = b'd';
const MESSAGE: u8 = b'm';
/// After a message's key.
const BODY: u8 = b'b';
/// After a message's key.
const ATTEMPTS: u8 = b't';
const ROWS: &[u8] = b"stash/";
const KEPT: &[u8] = b"stash-kept/";

/// The payload of a message that is longer stands in a row of its own, which is read when the message
/// is delivered.
pub const LONGEST_INLINE: usize = 256;

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

/// A port that travels in a stored message, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is written field by field")]
pub struct StoredCarried {
    /// The registration of the entry that the message is for.
    pub registration: RegistrationId,
    /// The entry, or the other carried port, that it is entangled with; `None` if that end is not
    /// stashed.
    pub peer: Option<EntryId>,
}

/// A message, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is written field by field")]
pub struct StoredMessage {
    /// The serialized value; `None` if it has a [`Kind::Body`].
    pub payload: Option<Vec<u8>>,
    /// How long that is, in bytes.
    pub bytes: u64,
    /// The ports that it carries: those that have a [`Kind::Carried`], the others are closed after a
    /// restart.
    pub ports: Vec<Option<EntryId>>,
}

/// How far the messages of an entry are, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is written field by field")]
pub struct StoredCursor {
    /// Those below this one may have been given to a worker.
    pub granted: u64,
    /// Those below this one are over, though they may still be there.
    pub consumed: u64,
}

/// Something damaged that is kept for whoever wants to look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is written field by field")]
pub struct Kept {
    /// What is wrong with it.
    pub reason: String,
    /// Where it stood.
    pub key: Vec<u8>,
    /// What stood there, or the beginning of it.
    pub bytes: Vec<u8>,
}

/// What a row is, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unread row is a lost message")]
pub enum Kind {
    /// A [`StoredEntry`].
    Entry,
    /// A [`StoredCarried`].
    Carried,
    /// Some [`StoredMessage`]s, by the number of the first; the others have the numbers after it.
    Message(u64),
    /// The payload of the message of this number, as [`encode_bytes`] has it.
    Body(u64),
    /// How often the message of this number was delivered again, as [`u32`].
    Attempts(u64),
    /// A [`StoredCursor`].
    Cursor,
}

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is too short, or of another version.
    #[error("it is no record of version 3")]
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
    let mut key = ROWS.to_vec();
    key.extend(id.0.to_be_bytes());
    key
}

/// The key of a row. Those of a message's other rows begin with that of the message.
#[must_use]
pub fn key(id: EntryId, kind: Kind) -> Vec<u8> {
    let mut key = of_entry(id);
    let (tag, number, after) = match kind {
        Kind::Entry => (ENTRY, None, None),
        Kind::Carried => (CARRIED, None, None),
        Kind::Cursor => (CURSOR, None, None),
        Kind::Message(number) => (MESSAGE, Some(number), None),
        Kind::Body(number) => (MESSAGE, Some(number), Some(BODY)),
        Kind::Attempts(number) => (MESSAGE, Some(number), Some(ATTEMPTS)),
    };
    key.push(tag);
    key.extend(number.into_iter().flat_map(u64::to_be_bytes));
    key.extend(after);
    key
}

/// Reads a key. `None` if it is not one of the stash's.
#[must_use]
pub fn parse_key(key: &[u8]) -> Option<(EntryId, Kind)> {
    let rest = key.strip_prefix(ROWS)?;
    let (id, rest) = rest.split_first_chunk::<8>()?;
    let (tag, rest) = rest.split_first()?;
    let kind = match (*tag, rest.split_first_chunk::<8>()) {
        (ENTRY, None) if rest.is_empty() => Kind::Entry,
        (CARRIED, None) if rest.is_empty() => Kind::Carried,
        (CURSOR, None) if rest.is_empty() => Kind::Cursor,
        (MESSAGE, Some((number, after))) => {
            let number = u64::from_be_bytes(*number);
            match after {
                [] => Kind::Message(number),
                [BODY] => Kind::Body(number),
                [ATTEMPTS] => Kind::Attempts(number),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some((EntryId(u64::from_be_bytes(*id)), kind))
}

/// Whether a key is one that the stash has written, damaged or not, for the rows of an entry.
#[must_use]
pub fn is_of_stash(key: &[u8]) -> bool {
    key.starts_with(ROWS)
}

/// The key of something [`Kept`].
#[must_use]
pub fn kept_key(number: u64) -> Vec<u8> {
    [KEPT, &number.to_be_bytes()].concat()
}

/// Reads the key of something [`Kept`].
#[must_use]
pub fn parse_kept_key(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(KEPT)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
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
    match postcard::take_from_bytes(decode_bytes(key, record)?) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(RecordError::Content),
    }
}

/// As [`encode`], for bytes as they are.
#[must_use]
pub fn encode_bytes(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut record = vec![VERSION; HEAD];
    record.extend_from_slice(bytes);
    let sum = checksum(key, &record);
    record[1..HEAD].copy_from_slice(&sum);
    record
}

/// As [`decode`], for bytes as they are.
///
/// # Errors
/// As [`RecordError`] says.
pub fn decode_bytes<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], RecordError> {
    if record.len() < HEAD || record[0] != VERSION {
        return Err(RecordError::Version);
    }
    match record[1..HEAD] == checksum(key, record) {
        true => Ok(&record[HEAD..]),
        false => Err(RecordError::Checksum),
    }
}

/// How many [`StoredMessage`]s a record holds, of which this is the content; the rest is not looked at.
///
/// # Errors
/// [`RecordError::Content`], also if there are none.
pub fn count(content: &[u8]) -> Result<u64, RecordError> {
    match postcard::take_from_bytes::<u64>(content) {
        Ok((count @ 1.., _)) => Ok(count),
        Ok(_) | Err(_) => Err(RecordError::Content),
    }
}

/// The registration of a [`StoredEntry`] or [`StoredCarried`], of whose record this is the content; the
/// rest is not looked at.
///
/// # Errors
/// [`RecordError::Content`]
pub fn registration(content: &[u8]) -> Result<RegistrationId, RecordError> {
    let taken = postcard::take_from_bytes(content).map_err(|_| RecordError::Content)?;
    Ok(taken.0)
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
    fn the_registration_is_read_without_the_rest() {
        let registration = RegistrationId(300);
        let (key, peer) = (key(EntryId(1), Kind::Carried), Some(EntryId(2)));
        let carried = encode(&key, &StoredCarried { registration, peer }).unwrap();
        let entry = StoredEntry {
            registration,
            stashed_by: WorkerId(1),
            activated: true,
            created: Timestamp(0),
            name: "name".to_owned(),
            place: 1,
            peer,
        };
        for record in [carried, encode(&key, &entry).unwrap()] {
            let content = decode_bytes(&key, &record).unwrap();
            assert_eq!(super::registration(content), Ok(registration));
        }
        assert_eq!(super::registration(&[]), Err(RecordError::Content));
    }

    #[test]
    fn messages_are_counted_without_being_read() {
        let key = key(EntryId(1), Kind::Message(2));
        let message = StoredMessage {
            payload: Some(vec![1; 300]),
            bytes: 300,
            ports: Vec::new(),
        };
        for count in [1, 2, 300] {
            let record = encode(&key, &vec![message.clone(); count]).unwrap();
            let content = decode_bytes(&key, &record).unwrap();
            assert_eq!(super::count(content), Ok(count as u64));
        }
        assert_eq!(super::count(&[0]), Err(RecordError::Content));
        assert_eq!(super::count(&[]), Err(RecordError::Content));
    }

    #[test]
    fn keys_come_back_and_those_of_others_do_not() {
        for kind in [
            Kind::Entry,
            Kind::Carried,
            Kind::Cursor,
            Kind::Message(7),
            Kind::Body(7),
            Kind::Attempts(u64::MAX),
        ] {
            let key = key(EntryId(300), kind);
            assert_eq!(parse_key(&key), Some((EntryId(300), kind)));
            let shorter = parse_key(&key[..key.len() - 1]);
            assert_ne!(shorter, Some((EntryId(300), kind)));
            assert_eq!(parse_key(&[&key[..], b"x"].concat()), None);
            assert_eq!(parse_kept_key(&key), None);
        }
        assert_eq!(parse_kept_key(&kept_key(7)), Some(7));
        assert_eq!(parse_key(&kept_key(7)), None);
        assert_eq!(parse_key(b"quota/12345678e"), None);
    }

    /// What anybody may find in a file, also with a checksum that fits.
    #[test]
    fn random_rows_never_panic() {
        let seed = 20_261_121_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            u8::try_from(state >> 56).unwrap()
        };
        let mut read = 0;
        for _ in 0..200_000 {
            let key: Vec<u8> = match random() {
                0..128 => (0..random() / 8).map(|_| random()).collect(),
                _ => {
                    let length = random() / 8;
                    let rest = (0..length).map(|_| random());
                    b"stash/".iter().copied().chain(rest).collect()
                }
            };
            let content: Vec<u8> = (0..random() / 4).map(|_| random()).collect();
            let record = encode_bytes(&key, &content);
            let known = parse_key(&key).is_some() || parse_kept_key(&key).is_some();
            read += usize::from(known);
            read += usize::from(decode::<StoredEntry>(&key, &record).is_ok());
            read += usize::from(decode::<StoredCarried>(&key, &record).is_ok());
            read += usize::from(decode::<StoredMessage>(&key, &record).is_ok());
            read += usize::from(decode::<Kept>(&key, &record).is_ok());
            read += usize::from(decode::<u64>(&key, &record).is_ok());
        }
        assert!(read > 1_000, "{read}: it was about something");
    }

    #[test]
    fn no_changed_byte_goes_unnoticed_and_none_panics() {
        let key = key(EntryId(1), Kind::Message(2));
        let message = StoredMessage {
            payload: Some(b"hello".to_vec()),
            bytes: 5,
            ports: vec![Some(EntryId(9)), None],
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
        let body = encode_bytes(&key, b"hello");
        assert_eq!(decode_bytes(&key, &body), Ok(&b"hello"[..]));
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(decode_bytes(&key, &changed).is_err());
            assert!(decode_bytes(&key, &body[..at]).is_err());
        }
        let other = super::key(EntryId(2), Kind::Message(2));
        assert_eq!(
            decode::<StoredMessage>(&other, &record),
            Err(RecordError::Checksum)
        );
    }
}
