//! The registrations that a profile had when it was opened: checked then, and decoded when somebody
//! asks for them.

use std::collections::HashMap;
use std::fmt;

use foldhash::quality::RandomState;
use sw_types::{RegistrationId, StorageKey, WorkerId, WorkerState};

use crate::StoredRegistration;
use crate::record::{self, Head, RecordError};

/// The rows of a profile, in few pieces of memory.
///
/// A row that is pushed has its checksum and its head checked: its ids, its workers' states, its
/// storage key, and that its scope is of that key's origin. What is left is decoded for who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoredRows {
    keys: Vec<StorageKey>,
    /// Where in `keys` a key is, by what it is encoded as.
    places: HashMap<Box<[u8]>, u32, RandomState>,
    /// Of each row, the scope and then the body.
    bytes: Vec<u8>,
    rows: Vec<StoredRow>,
}

/// The head of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) id: RegistrationId,
    pub(crate) waiting: Option<(WorkerId, WorkerState)>,
    pub(crate) active: Option<(WorkerId, WorkerState)>,
    /// Where in `bytes` its scope begins.
    start: usize,
    /// How long its scope is, and how long its body is.
    lengths: (u32, u32),
    /// Where in `keys` its key is.
    key: u32,
}

impl StoredRow {
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerId> {
        let workers = [self.waiting, self.active].into_iter().flatten();
        workers.map(|(id, _)| id)
    }
}

impl StoredRows {
    /// Takes the record of a row, as [`record::encode_registration`] writes it, that stands under
    /// an id.
    ///
    /// # Errors
    /// If it is damaged, makes no sense, or is the row of another id. It is then left out.
    pub fn push_record(&mut self, id: RegistrationId, record: &[u8]) -> Result<(), RecordError> {
        let (head, body) = record::head(record)?;
        if head.id != id {
            return Err(RecordError::Misplaced(head.id));
        }
        let key = self.intern(&head)?;
        let of_origin = head
            .scope
            .strip_prefix(self.keys[key as usize].origin().as_str())
            .is_some_and(|path| path.starts_with('/'));
        if !of_origin {
            let why = "its scope is not of the origin of its storage key";
            return Err(RecordError::Content(why.to_owned()));
        }
        let length = |bytes: &[u8]| {
            u32::try_from(bytes.len()).map_err(|_| RecordError::Content("it is too long".into()))
        };
        let lengths = (length(head.scope.as_bytes())?, length(body)?);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(head.scope.as_bytes());
        self.bytes.extend_from_slice(body);
        self.rows.push(StoredRow {
            id,
            waiting: head.waiting,
            active: head.active,
            start,
            lengths,
            key,
        });
        Ok(())
    }

    /// Takes a registration, without the scripts of its workers.
    ///
    /// # Errors
    /// If it makes no sense. It is then left out.
    pub fn push(&mut self, registration: &StoredRegistration) -> Result<(), RecordError> {
        let record = record::encode_registration(registration, |_| Vec::new())?;
        self.push_record(registration.id, &record)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The workers of each registration.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, RegistrationId)> + '_ {
        self.rows
            .iter()
            .flat_map(|row| row.workers().map(|worker| (worker, row.id)))
    }

    /// Decodes them all, in the order in which they were pushed; scripts are not read.
    ///
    /// # Errors
    /// If one does not decode although its checksum is right: whatever wrote it was not this crate.
    pub fn decode(&self) -> Result<Vec<StoredRegistration>, RecordError> {
        self.rows.iter().map(|row| self.decode_row(row)).collect()
    }

    /// Leaves out what is there twice, and sorts by id; says what was left out.
    pub(crate) fn settle(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.rows.sort_by_key(|row| row.id);
        let mut left_out: Vec<(usize, &str)> = Vec::new();
        let rows = &self.rows;
        for at in 1..rows.len() {
            if rows[at - 1].id == rows[at].id {
                left_out.push((at, "it is there twice"));
            }
        }
        for of_key in self.by_key().chunk_by(|a, b| rows[*a].key == rows[*b].key) {
            for pair in of_key.windows(2) {
                if self.scope(&rows[pair[0]]) == self.scope(&rows[pair[1]]) {
                    left_out.push((pair[1], "it is there twice"));
                }
            }
        }
        for pair in self.by_worker().windows(2) {
            if pair[0].0 == pair[1].0 {
                left_out.push((pair[1].1, "a worker of it is there twice"));
            }
        }
        left_out.sort_by_key(|(at, _)| *at);
        left_out.dedup_by_key(|(at, _)| *at);
        for (at, why) in left_out.into_iter().rev() {
            let row = self.rows.remove(at);
            lines.push(format!("{} ({}): {why}", self.scope(&row), row.id));
        }
        lines.reverse();
        lines
    }

    /// The rows, sorted by id once they are settled.
    pub(crate) fn rows(&self) -> &[StoredRow] {
        &self.rows
    }

    /// Where the row of a registration is, once they are settled.
    pub(crate) fn find(&self, id: RegistrationId) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |row| row.id).ok()
    }

    /// The places of all rows, those of one key together and in the order of their scopes.
    pub(crate) fn by_key(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.rows.len()).collect();
        places.sort_by_key(|at| self.rows[*at].key);
        for of_key in places.chunk_by_mut(|a, b| self.rows[*a].key == self.rows[*b].key) {
            of_key.sort_by_key(|at| self.scope(&self.rows[*at]));
        }
        places
    }

    /// The workers, sorted, with the places of their rows.
    pub(crate) fn by_worker(&self) -> Vec<(WorkerId, usize)> {
        let rows = self.rows.iter().enumerate();
        let mut workers: Vec<_> = rows
            .flat_map(|(at, row)| row.workers().map(move |worker| (worker, at)))
            .collect();
        workers.sort_unstable();
        workers
    }

    /// The storage keys that rows may have.
    pub(crate) fn keys(&self) -> &[StorageKey] {
        &self.keys
    }

    /// The place of a row's key.
    pub(crate) const fn key_place(row: &StoredRow) -> usize {
        row.key as usize
    }

    pub(crate) fn key(&self, row: &StoredRow) -> &StorageKey {
        &self.keys[row.key as usize]
    }

    pub(crate) fn scope(&self, row: &StoredRow) -> &str {
        let scope = &self.bytes[row.start..row.start + row.lengths.0 as usize];
        std::str::from_utf8(scope).expect("it was text when it was pushed")
    }

    pub(crate) fn decode_row(&self, row: &StoredRow) -> Result<StoredRegistration, RecordError> {
        let body = row.start + row.lengths.0 as usize;
        let head = Head {
            id: row.id,
            waiting: row.waiting,
            active: row.active,
            storage_key: &[],
            scope: self.scope(row),
        };
        let body = &self.bytes[body..body + row.lengths.1 as usize];
        let row = record::decode_body(&head, self.key(row).clone(), body)?;
        Ok(row.registration)
    }

    /// The place of a row's key, which is decoded when it is met for the first time.
    fn intern(&mut self, head: &Head<'_>) -> Result<u32, RecordError> {
        if let Some(place) = self.places.get(head.storage_key) {
            return Ok(*place);
        }
        let key = record::storage_key(head)?;
        let place = u32::try_from(self.keys.len())
            .map_err(|_| RecordError::Content("there are too many storage keys".to_owned()))?;
        self.keys.push(key);
        self.places.insert(head.storage_key.into(), place);
        Ok(place)
    }
}

impl fmt::Debug for StoredRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes = self.rows.iter().map(|row| (row.id, self.scope(row)));
        f.debug_map().entries(scopes).finish()
    }
}
