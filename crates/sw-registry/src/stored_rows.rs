//! The registrations that a profile had when it was opened: checked then, and decoded when somebody
//! asks for them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

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
    /// The scopes, one after another.
    scopes: String,
    /// The bodies, likewise.
    bodies: Vec<u8>,
    rows: Vec<StoredRow>,
}

/// The head of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) id: RegistrationId,
    pub(crate) waiting: Option<(WorkerId, WorkerState)>,
    pub(crate) active: Option<(WorkerId, WorkerState)>,
    scope: Place,
    body: Place,
    /// Where in `keys` its key is.
    key: u32,
}

/// Where something begins, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(usize, u32);

impl Place {
    fn after(start: usize, length: usize) -> Result<Self, RecordError> {
        let too_long = |_| RecordError::Content("it is too long".to_owned());
        Ok(Self(start, u32::try_from(length).map_err(too_long)?))
    }

    const fn range(self) -> Range<usize> {
        self.0..self.0 + self.1 as usize
    }
}

impl StoredRow {
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerId> {
        let workers = [self.waiting, self.active].into_iter().flatten();
        workers.map(|(id, _)| id)
    }
}

impl StoredRows {
    /// Makes room for so many more rows.
    pub fn reserve(&mut self, more: usize) {
        self.rows.reserve(more);
    }

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
        let row = StoredRow {
            id,
            waiting: head.waiting,
            active: head.active,
            scope: Place::after(self.scopes.len(), head.scope.len())?,
            body: Place::after(self.bodies.len(), body.len())?,
            key,
        };
        self.scopes.push_str(head.scope);
        self.bodies.extend_from_slice(body);
        self.rows.push(row);
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

    /// Sorts them by id, and leaves out what is there twice; says what that was.
    pub(crate) fn settle(mut self) -> (Settled, Vec<String>) {
        self.rows.sort_by_key(|row| row.id);
        let (by_key, by_worker) = (self.by_key(), self.by_worker());
        let mut twice = BTreeMap::new();
        for pair in by_worker.windows(2) {
            if pair[0].0 == pair[1].0 {
                twice.insert(pair[1].1, "a worker of it is there twice");
            }
        }
        for pair in by_key.windows(2) {
            let [one, other] = [pair[0], pair[1]].map(|at| &self.rows[at]);
            if one.key == other.key && self.scope(one) == self.scope(other) {
                twice.insert(pair[1], "it is there twice");
            }
        }
        for (at, pair) in self.rows.windows(2).enumerate() {
            if pair[0].id == pair[1].id {
                twice.insert(at + 1, "it is there twice");
            }
        }
        if twice.is_empty() {
            let settled = Settled {
                rows: self,
                by_key,
                by_worker,
            };
            return (settled, Vec::new());
        }
        let mut lines = Vec::new();
        for (at, why) in twice.into_iter().rev() {
            let row = self.rows.remove(at);
            lines.push(format!("{} ({}): {why}", self.scope(&row), row.id));
        }
        lines.reverse();
        let (settled, none) = self.settle();
        lines.extend(none);
        (settled, lines)
    }

    /// The places of all rows, those of one key together and in the order of their scopes.
    fn by_key(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.rows.len()).collect();
        places.sort_by_key(|at| self.rows[*at].key);
        for of_key in places.chunk_by_mut(|a, b| self.rows[*a].key == self.rows[*b].key) {
            of_key.sort_by_key(|at| self.scope(&self.rows[*at]));
        }
        places
    }

    /// The workers, sorted, with the places of their rows.
    fn by_worker(&self) -> Vec<(WorkerId, usize)> {
        let mut workers = Vec::with_capacity(self.rows.len());
        for (at, row) in self.rows.iter().enumerate() {
            workers.extend(row.workers().map(|worker| (worker, at)));
        }
        workers.sort();
        workers
    }

    pub(crate) fn rows(&self) -> &[StoredRow] {
        &self.rows
    }

    pub(crate) fn key(&self, row: &StoredRow) -> &StorageKey {
        &self.keys[row.key as usize]
    }

    pub(crate) fn scope(&self, row: &StoredRow) -> &str {
        &self.scopes[row.scope.range()]
    }

    pub(crate) fn decode_row(&self, row: &StoredRow) -> Result<StoredRegistration, RecordError> {
        let head = Head {
            id: row.id,
            waiting: row.waiting,
            active: row.active,
            storage_key: &[],
            scope: self.scope(row),
        };
        let body = &self.bodies[row.body.range()];
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

/// Rows in which nothing is there twice, and where to find them.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Sorted by id.
    rows: StoredRows,
    by_key: Vec<usize>,
    by_worker: Vec<(WorkerId, usize)>,
}

impl Settled {
    pub(crate) const fn rows(&self) -> &StoredRows {
        &self.rows
    }

    /// Where the row of a registration is.
    pub(crate) fn find(&self, id: RegistrationId) -> Option<usize> {
        let rows = &self.rows.rows;
        rows.binary_search_by_key(&id, |row| row.id).ok()
    }

    /// The workers, sorted, with the places of their rows.
    pub(crate) fn workers(&self) -> &[(WorkerId, usize)] {
        &self.by_worker
    }

    /// How many storage keys there may be.
    pub(crate) fn keys(&self) -> usize {
        self.rows.keys.len()
    }

    /// The rows of each storage key, in the order of their scopes.
    pub(crate) fn of_keys(&self) -> impl Iterator<Item = (&StorageKey, &[usize])> {
        let rows = &self.rows.rows;
        let of_keys = self.by_key.chunk_by(|a, b| rows[*a].key == rows[*b].key);
        of_keys.map(|of_key| (self.rows.key(&rows[of_key[0]]), of_key))
    }
}

impl fmt::Debug for StoredRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes = self.rows.iter().map(|row| (row.id, self.scope(row)));
        f.debug_map().entries(scopes).finish()
    }
}
