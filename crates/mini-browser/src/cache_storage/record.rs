//! What the rows of the index hold: versioned, checksummed, bound to their row's key.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service_worker::types::StorageKey;
use service_worker::types::fetch::{RequestHead, ResponseHead};

use super::query::base;

const VERSION: u8 = 2;
/// Version and checksum.
const HEAD: usize = 1 + 4;

/// The row of a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    pub(super) key: StorageKey,
    pub(super) name: String,
    /// Deleted, but not given up yet by all who had opened it.
    pub(super) doomed: bool,
}

/// The row of an entry. Its body, if there is any, is a file that was on disk before the row was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryRecord {
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    pub(super) body: Option<StoredBody>,
}

/// Where a body is, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredBody {
    pub(super) number: u64,
    /// In bytes; never zero.
    pub(super) length: u64,
    pub(super) checksum: u32,
}

/// The key of an entry's row. Later entries have a higher order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey {
    pub(super) cache: u64,
    pub(super) base: String,
    pub(super) order: u64,
}

impl EntryKey {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.cache.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.order.to_le_bytes());
        bytes.extend_from_slice(self.base.as_bytes());
        bytes
    }
}

impl CacheRecord {
    pub(super) fn encode(&self, id: u64) -> Result<Vec<u8>, postcard::Error> {
        encode(&id.to_le_bytes(), self)
    }

    pub(super) fn decode(id: u64, bytes: &[u8]) -> Result<Self, String> {
        decode(&id.to_le_bytes(), bytes)
    }
}

impl EntryRecord {
    pub(super) fn encode(&self, key: &EntryKey) -> Result<Vec<u8>, postcard::Error> {
        encode(&key.bytes(), self)
    }

    pub(super) fn decode(key: &EntryKey, bytes: &[u8]) -> Result<Self, String> {
        let record: Self = decode(&key.bytes(), bytes)?;
        match record.request.url_list.last() {
            Some(url) if base(url) == key.base => Ok(record),
            _ => Err("its URL is not its row's".into()),
        }
    }
}

fn encode(key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let payload = postcard::to_stdvec(value)?;
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum(key, &payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, String> {
    let Some((head, payload)) = bytes.split_first_chunk::<HEAD>() else {
        return Err(format!("{} bytes are no record", bytes.len()));
    };
    let [version, stored @ ..] = *head;
    if version != VERSION {
        return Err(format!("its format is {version}, and {VERSION} is known"));
    }
    if u32::from_le_bytes(stored) != checksum(key, payload) {
        return Err("its checksum is wrong".into());
    }
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err("it is too long".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn checksum(key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[VERSION]);
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};
    use service_worker::types::Origin;
    use service_worker::types::fetch::ResponseType;
    use url::Url;

    fn entry() -> (EntryKey, EntryRecord) {
        let url = Url::parse("https://fonts.example/css?family=x#f").unwrap();
        let key = EntryKey {
            cache: 3,
            base: base(&url).to_owned(),
            order: 9,
        };
        let mut headers = HeaderMap::new();
        headers.append("x-twice", "1".parse().unwrap());
        headers.append("x-twice", "2".parse().unwrap());
        headers.append("x-latin", http::HeaderValue::from_bytes(&[0xe9]).unwrap());
        let mut request = RequestHead::get(url.clone(), Origin::of(&url));
        request.headers = headers.clone();
        let response = ResponseHead {
            response_type: ResponseType::Cors,
            url_list: vec![url],
            status_text: "fine".into(),
            exposed_headers: vec!["x-twice".into()],
            requested_with_credentials: true,
            ..ResponseHead::new(StatusCode::OK, headers)
        };
        let body = Some(StoredBody {
            number: 7,
            length: 5,
            checksum: 1,
        });
        let record = EntryRecord {
            request,
            response,
            body,
        };
        (key, record)
    }

    #[test]
    fn a_record_comes_back_whole_under_its_own_key_only() {
        let (key, record) = entry();
        let bytes = record.encode(&key).unwrap();
        assert_eq!(EntryRecord::decode(&key, &bytes), Ok(record));
        let other = EntryKey { cache: 4, ..key };
        assert!(EntryRecord::decode(&other, &bytes).is_err());
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_an_error() {
        let (key, record) = entry();
        let bytes = record.encode(&key).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(EntryRecord::decode(&key, &damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(EntryRecord::decode(&key, &bytes[..length]).is_err());
        }
    }

    #[test]
    fn a_record_with_a_right_checksum_and_no_url_is_an_error() {
        let (key, mut record) = entry();
        record.request.url_list.clear();
        let bytes = record.encode(&key).unwrap();
        assert!(EntryRecord::decode(&key, &bytes).is_err());
    }
}
