//! Stored registrations and scripts as bytes: versioned and checksummed.
//!
//! A record is `[version: u8][CRC-32 of version and payload: u32, little endian][payload]`, the
//! payload in postcard's format. Scripts are records of their own, since a store keeps them in
//! their own table; a row names the scripts that belong to it.
//!
//! The payload of a row has two parts. Its head is what a profile needs to be opened: it is read and
//! checked then, without a copy. Its body is read when somebody asks for the registration.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sw_types::{
    EncodedRouterRule, EventTypes, FallThroughRule, FetchHandler, NavigationPreload,
    RegistrationId, ScopeUrl, ScriptMap, ScriptResource, ScriptUrl, StorageKey, Timestamp,
    UpdateViaCache, WorkerId, WorkerState, WorkerType,
};
use url::Url;

use crate::{Provenance, StoredRegistration, StoredWorker};

/// The format that is written. A reader knows this one only.
const VERSION: u8 = 3;
const PREFIX: usize = 5;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Too short to have a version and a checksum.
    #[error("the record is cut off: {0} bytes")]
    CutOff(usize),
    /// Written by another version of this program.
    #[error("the record has format version {0}, which this program does not know")]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("the record is damaged: its checksum does not match")]
    Checksum,
    /// The checksum is right, and the content makes no sense.
    #[error("the record does not decode: {0}")]
    Content(String),
    /// A row stands where that of another registration belongs.
    #[error("it is the row of {0}")]
    Misplaced(RegistrationId),
}

/// A registration's row as it was read: its workers have no scripts yet, and `scripts` says which
/// must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The registration; its workers' script maps are empty.
    pub registration: StoredRegistration,
    /// Each worker's scripts, by URL. A row without one of them is damaged.
    pub scripts: Vec<(WorkerId, Vec<Url>)>,
}

/// A registration's row, without the scripts of its workers.
///
/// A worker whose script map is empty (it was stored before and not read since) keeps the URLs that
/// `stored_scripts` gives for it; a store takes them from the row that it is about to replace.
///
/// # Errors
/// [`RecordError::Content`] if a value cannot be written, which no valid registration causes.
pub fn encode_registration(
    registration: &StoredRegistration,
    stored_scripts: impl Fn(WorkerId) -> Vec<Url>,
) -> Result<Vec<u8>, RecordError> {
    let worker = |worker: &StoredWorker| WorkerBody {
        script_url: worker.script_url.clone(),
        worker_type: worker.worker_type,
        event_types: worker.event_types,
        fetch_handler: worker.fetch_handler,
        fall_through: worker.fall_through.clone(),
        router_rules: worker.router_rules.clone(),
        scripts: if worker.scripts.is_empty() {
            stored_scripts(worker.id)
        } else {
            worker.scripts.keys().cloned().collect()
        },
        script_bytes: worker.script_bytes,
    };
    let version = |worker: &StoredWorker| (worker.id, worker.state);
    let storage_key = postcard::to_stdvec(&registration.storage_key).map_err(content)?;
    let head = Head {
        id: registration.id,
        waiting: registration.waiting.as_ref().map(version),
        active: registration.active.as_ref().map(version),
        storage_key: &storage_key,
        scope: registration.scope.as_str(),
    };
    let body = Body {
        update_via_cache: registration.update_via_cache,
        last_update_check: registration.last_update_check,
        provenance: registration.provenance,
        navigation_preload: registration.navigation_preload.clone(),
        waiting: registration.waiting.as_ref().map(worker),
        active: registration.active.as_ref().map(worker),
    };
    encode(&(head, body))
}

/// Reads what [`encode_registration`] wrote.
///
/// # Errors
/// As [`RecordError`] says.
pub fn decode_registration(record: &[u8]) -> Result<Row, RecordError> {
    let (head, body) = head(record)?;
    let storage_key = storage_key(&head)?;
    decode_body(&head, storage_key, body)
}

/// What a profile needs of a row to be opened.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head<'a> {
    pub(crate) id: RegistrationId,
    pub(crate) waiting: Option<(WorkerId, WorkerState)>,
    pub(crate) active: Option<(WorkerId, WorkerState)>,
    /// As postcard writes it: equal keys are equal bytes.
    pub(crate) storage_key: &'a [u8],
    pub(crate) scope: &'a str,
}

/// Checks a row and reads its head; gives its body, too.
pub(crate) fn head(record: &[u8]) -> Result<(Head<'_>, &[u8]), RecordError> {
    let (head, body): (Head<'_>, _) =
        postcard::take_from_bytes(payload(record)?).map_err(content)?;
    let installed = |(_, state): &(_, WorkerState)| *state == WorkerState::Installed;
    let active = |(_, state): &(_, WorkerState)| {
        matches!(state, WorkerState::Activating | WorkerState::Activated)
    };
    let nonsense = if head.waiting.is_none() && head.active.is_none() {
        "it has no worker"
    } else if !head.waiting.iter().all(installed) || !head.active.iter().all(active) {
        "a worker's state does not fit its place"
    } else if head.waiting.map(|(id, _)| id) == head.active.map(|(id, _)| id) {
        "a worker of it is there twice"
    } else {
        return Ok((head, body));
    };
    Err(RecordError::Content(nonsense.to_owned()))
}

/// The storage key of a row.
pub(crate) fn storage_key(head: &Head<'_>) -> Result<StorageKey, RecordError> {
    whole(head.storage_key)
}

/// Reads the rest of a row.
pub(crate) fn decode_body(
    head: &Head<'_>,
    storage_key: StorageKey,
    body: &[u8],
) -> Result<Row, RecordError> {
    let nonsense = |why: &str| RecordError::Content(why.to_owned());
    let scope = ScopeUrl::parse(head.scope, None).ok();
    let scope = scope.filter(|scope| scope.as_str() == head.scope);
    let scope = scope.ok_or_else(|| nonsense("its scope is not a scope"))?;
    if scope.origin() != *storage_key.origin() {
        return Err(nonsense(
            "its scope is not of the origin of its storage key",
        ));
    }
    let body: Body = whole(body)?;
    let mut scripts = Vec::new();
    let mut worker = |version: Option<(WorkerId, WorkerState)>, body: Option<WorkerBody>| {
        let ((id, state), body) = match (version, body) {
            (Some(version), Some(body)) => (version, body),
            (None, None) => return Ok(None),
            _ => return Err(nonsense("its head names other workers than its body")),
        };
        scripts.push((id, body.scripts));
        Ok(Some(StoredWorker {
            id,
            script_url: body.script_url,
            worker_type: body.worker_type,
            state,
            event_types: body.event_types,
            fetch_handler: body.fetch_handler,
            fall_through: body.fall_through,
            router_rules: body.router_rules,
            scripts: ScriptMap::new(),
            script_bytes: body.script_bytes,
        }))
    };
    let registration = StoredRegistration {
        id: head.id,
        storage_key,
        scope,
        update_via_cache: body.update_via_cache,
        last_update_check: body.last_update_check,
        provenance: body.provenance,
        navigation_preload: body.navigation_preload,
        waiting: worker(head.waiting, body.waiting)?,
        active: worker(head.active, body.active)?,
    };
    Ok(Row {
        registration,
        scripts,
    })
}

/// One script.
///
/// # Errors
/// [`RecordError::Content`] if a value cannot be written, which no valid script causes.
pub fn encode_script(script: &ScriptResource) -> Result<Vec<u8>, RecordError> {
    encode(script)
}

/// Reads what [`encode_script`] wrote.
///
/// # Errors
/// As [`RecordError`] says.
pub fn decode_script(record: &[u8]) -> Result<ScriptResource, RecordError> {
    decode(record)
}

#[derive(Serialize, Deserialize)]
struct Body {
    update_via_cache: UpdateViaCache,
    last_update_check: Option<Timestamp>,
    provenance: Provenance,
    navigation_preload: NavigationPreload,
    waiting: Option<WorkerBody>,
    active: Option<WorkerBody>,
}

#[derive(Serialize, Deserialize)]
struct WorkerBody {
    script_url: ScriptUrl,
    worker_type: WorkerType,
    event_types: EventTypes,
    fetch_handler: FetchHandler,
    fall_through: Vec<FallThroughRule>,
    router_rules: Vec<EncodedRouterRule>,
    scripts: Vec<Url>,
    script_bytes: u64,
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut record = vec![VERSION, 0, 0, 0, 0];
    record = postcard::to_extend(value, record).map_err(content)?;
    let checksum = checksum(&record);
    record[1..PREFIX].copy_from_slice(&checksum);
    Ok(record)
}

fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, RecordError> {
    whole(payload(record)?)
}

/// The payload of a record whose version and checksum are right.
fn payload(record: &[u8]) -> Result<&[u8], RecordError> {
    if record.len() < PREFIX {
        return Err(RecordError::CutOff(record.len()));
    }
    if record[0] != VERSION {
        return Err(RecordError::Version(record[0]));
    }
    if record[1..PREFIX] != checksum(record) {
        return Err(RecordError::Checksum);
    }
    Ok(&record[PREFIX..])
}

/// Decodes a value of which nothing may be left.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(content)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        let many = rest.len();
        Err(RecordError::Content(format!("{many} bytes too many")))
    }
}

fn checksum(record: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..1]);
    hasher.update(&record[PREFIX..]);
    hasher.finalize().to_le_bytes()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` takes"
)]
fn content(error: postcard::Error) -> RecordError {
    RecordError::Content(error.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use sw_types::{EventType, Origin, RequesterFilter};

    use super::*;

    pub(crate) fn registration() -> StoredRegistration {
        let script_url = ScriptUrl::parse("https://a.test/js/sw.js", None).unwrap();
        let key = StorageKey::first_party(script_url.origin());
        StoredRegistration {
            id: RegistrationId(7),
            storage_key: key.under(sw_types::Site::of(&script_url.origin()), false),
            scope: ScopeUrl::default_for(&script_url),
            update_via_cache: UpdateViaCache::All,
            last_update_check: Some(Timestamp(1_700_000_000_000)),
            provenance: Provenance::Header {
                controls_clients: false,
            },
            navigation_preload: NavigationPreload {
                enabled: true,
                header_value: http::HeaderValue::from_bytes(b"caf\xe9").unwrap(),
            },
            waiting: None,
            active: Some(StoredWorker {
                id: WorkerId(9),
                script_url: script_url.clone(),
                worker_type: WorkerType::Module,
                state: WorkerState::Activated,
                event_types: [EventType::Fetch, EventType::Push].into_iter().collect(),
                fetch_handler: FetchHandler::Present,
                fall_through: vec![FallThroughRule {
                    prefix: Url::parse("https://a.test/js/font").unwrap(),
                    requesters: RequesterFilter::Origins(vec![Origin::of(
                        &Url::parse("https://b.test").unwrap(),
                    )]),
                }],
                router_rules: vec![EncodedRouterRule {
                    conditions: 3,
                    rule: bytes::Bytes::from_static(b"\x01\x02"),
                }],
                scripts: [(script_url.url().clone(), Arc::new(script()))].into(),
                script_bytes: 24,
            }),
        }
    }

    /// A row whose checksum and head are right, and whose body is not there.
    pub(crate) fn without_body(registration: &StoredRegistration) -> Vec<u8> {
        let version = |worker: &StoredWorker| (worker.id, worker.state);
        encode(&Head {
            id: registration.id,
            waiting: registration.waiting.as_ref().map(version),
            active: registration.active.as_ref().map(version),
            storage_key: &postcard::to_stdvec(&registration.storage_key).unwrap(),
            scope: registration.scope.as_str(),
        })
        .unwrap()
    }

    fn script() -> ScriptResource {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", "text/javascript".parse().unwrap());
        headers.append("content-security-policy", "sandbox".parse().unwrap());
        ScriptResource {
            body: bytes::Bytes::from_static(b"self.onfetch = () => {};"),
            headers,
        }
    }

    #[test]
    fn a_row_comes_back_with_the_names_of_its_scripts() {
        let mut registration = registration();
        let record = encode_registration(&registration, |_| Vec::new()).unwrap();
        let row = decode_registration(&record).unwrap();
        let active = registration.active.as_mut().unwrap();
        let names: Vec<Url> = std::mem::take(&mut active.scripts).into_keys().collect();
        assert_eq!(row.scripts, [(WorkerId(9), names.clone())]);
        assert_eq!(row.registration, registration);
        // Written again without scripts, it still names them.
        let again = encode_registration(&registration, |_| names.clone()).unwrap();
        assert_eq!(again, record);
    }

    #[test]
    fn a_script_comes_back() {
        let record = encode_script(&script()).unwrap();
        assert_eq!(decode_script(&record).unwrap(), script());
    }

    #[test]
    fn other_versions_and_stumps_are_named() {
        let mut record = encode_script(&script()).unwrap();
        assert_eq!(decode_script(&record[..3]), Err(RecordError::CutOff(3)));
        assert_eq!(
            decode_script(&record[..record.len() - 1]),
            Err(RecordError::Checksum)
        );
        record[0] = 99;
        assert_eq!(decode_script(&record), Err(RecordError::Version(99)));
        // A record of another kind, with a checksum that is right.
        let row = encode_registration(&registration(), |_| Vec::new()).unwrap();
        assert!(matches!(decode_script(&row), Err(RecordError::Content(_))));
    }

    #[test]
    fn any_flipped_byte_is_an_error_and_never_a_panic() {
        let record = encode_registration(&registration(), |_| Vec::new()).unwrap();
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut flipped = record.clone();
                flipped[at] ^= 1 << bit;
                assert!(
                    decode_registration(&flipped).is_err(),
                    "byte {at}, bit {bit}"
                );
            }
        }
    }

    /// Mutated payloads under a checksum that is right: whatever comes out, it does not panic, and
    /// what decodes can be written again.
    #[test]
    fn random_payloads_never_panic() {
        let seed = 0x5eed_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let record = encode_registration(&registration(), |_| Vec::new()).unwrap();
        for _ in 0..20_000 {
            let mut mutated = record.clone();
            for _ in 0..=next(4) {
                let at = PREFIX + next(mutated.len() - PREFIX);
                mutated[at] = next(256) as u8;
            }
            mutated.truncate(mutated.len() - next(3) * next(40));
            let sum = checksum(&mutated);
            mutated[1..PREFIX].copy_from_slice(&sum);
            if let Ok(row) = decode_registration(&mutated) {
                assert!(encode_registration(&row.registration, |_| Vec::new()).is_ok());
            }
        }
    }
}
