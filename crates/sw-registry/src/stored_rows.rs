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
    /// The last row's key, encoded: many rows of one key follow each other.
    last: (Vec<u8>, u32),
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

    const fn moved(self, by: usize) -> Self {
        Self(self.0 + by, self.1)
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
    /// Makes room for so many more rows of a usual length.
    pub fn reserve(&mut self, more: usize) {
        self.rows.reserve(more);
        self.scopes.reserve(more.saturating_mul(64));
        self.bodies.reserve(more.saturating_mul(192));
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

    /// Takes the rows of another, which were read beside these, after its own.
    ///
    /// # Errors
    /// If there are too many storage keys. Nothing is taken then.
    pub fn append(&mut self, other: Self) -> Result<(), RecordError> {
        let keys = self.keys.len() + other.keys.len();
        u32::try_from(keys).map_err(|_| too_many_keys())?;
        let mut encoded: Vec<_> = other.places.into_iter().collect();
        encoded.sort_unstable_by_key(|(_, place)| *place);
        let mut places = Vec::with_capacity(encoded.len());
        for ((encoded, _), key) in encoded.into_iter().zip(other.keys) {
            let next = u32::try_from(self.keys.len()).map_err(|_| too_many_keys())?;
            let place = *self.places.entry(encoded).or_insert(next);
            if place == next {
                self.keys.push(key);
            }
            places.push(place);
        }
        let (scopes, bodies) = (self.scopes.len(), self.bodies.len());
        self.scopes.push_str(&other.scopes);
        self.bodies.extend_from_slice(&other.bodies);
        self.rows
            .extend(other.rows.into_iter().map(|row| StoredRow {
                scope: row.scope.moved(scopes),
                body: row.body.moved(bodies),
                key: places[row.key as usize],
                ..row
            }));
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
        let (by_key, again) = self.by_key();
        let by_worker = self.by_worker();
        let mut twice = BTreeMap::new();
        for pair in by_worker.windows(2) {
            if pair[0].0 == pair[1].0 {
                twice.insert(pair[1].1, "a worker of it is there twice");
            }
        }
        for at in again {
            twice.insert(at, "it is there twice");
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

    /// The places of all rows, those of one key together and in the order of their scopes; and of
    /// those rows whose key and scope are another's, too.
    fn by_key(&self) -> (Vec<usize>, Vec<usize>) {
        let rows = self.rows.iter().enumerate();
        let mut places: Vec<(u32, usize)> = rows.map(|(at, row)| (row.key, at)).collect();
        places.sort();
        let mut again = Vec::new();
        let scope = |(_, at): &(u32, usize)| self.scope(&self.rows[*at]);
        for of_key in places.chunk_by_mut(|a, b| a.0 == b.0) {
            // Most were written in this order.
            if of_key.is_sorted_by(|a, b| scope(a) < scope(b)) {
                continue;
            }
            of_key.sort_by_key(scope);
            let pairs = of_key.windows(2);
            let equal = pairs.filter(|pair| scope(&pair[0]) == scope(&pair[1]));
            again.extend(equal.map(|pair| pair[1].1));
        }
        (places.into_iter().map(|(_, at)| at).collect(), again)
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
        if !self.keys.is_empty() && self.last.0 == head.storage_key {
            return Ok(self.last.1);
        }
        let place = match self.places.get(head.storage_key) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.keys.len()).map_err(|_| too_many_keys())?;
                self.keys.push(record::storage_key(head)?);
                self.places.insert(head.storage_key.into(), place);
                place
            }
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(head.storage_key);
        self.last.1 = place;
        Ok(place)
    }
}

fn too_many_keys() -> RecordError {
    RecordError::Content("there are too many storage keys".to_owned())
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

    /// The rows of each storage key.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&StorageKey, Group)> {
        let mut start = 0;
        self.of_keys().map(move |(key, places)| {
            let group = Group(start, places.len());
            start += places.len();
            (key, group)
        })
    }

    /// The places of a group's rows, in the order of their scopes.
    pub(crate) fn places(&self, group: Group) -> &[usize] {
        &self.by_key[group.0..group.0 + group.1]
    }

    /// The rows of each storage key, in the order of their scopes.
    pub(crate) fn of_keys(&self) -> impl Iterator<Item = (&StorageKey, &[usize])> {
        let rows = &self.rows.rows;
        let of_keys = self.by_key.chunk_by(|a, b| rows[*a].key == rows[*b].key);
        of_keys.map(|of_key| (self.rows.key(&rows[of_key[0]]), of_key))
    }
}

/// The rows of one storage key: where they begin among all that are sorted by key, and how many they
/// are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group(usize, usize);

impl fmt::Debug for StoredRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes = self.rows.iter().map(|row| (row.id, self.scope(row)));
        f.debug_map().entries(scopes).finish()
    }
}

#[cfg(test)]
mod tests {
    use sw_types::{Origin, ScopeUrl};
    use url::Url;

    use super::*;
    use crate::record::tests::{registration, without_body};

    fn row(id: u64, worker: u64, origin: &str, path: &str) -> StoredRegistration {
        let origin = Origin::of(&Url::parse(origin).unwrap());
        let mut row = registration();
        row.id = RegistrationId(id);
        row.scope = ScopeUrl::parse(&format!("{origin}{path}"), None).unwrap();
        row.storage_key = StorageKey::first_party(origin);
        let active = row.active.as_mut().unwrap();
        active.id = WorkerId(worker);
        active.scripts.clear();
        row
    }

    #[test]
    fn rows_come_back_by_id_by_worker_and_by_key_in_the_order_of_their_scopes() {
        let seed = 0x5eed_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..50 {
            let mut all = std::collections::BTreeMap::new();
            let mut rows = StoredRows::default();
            for at in 0..next(30) {
                let origin = format!("https://{}.test", next(5));
                let path = format!("/{}/{at}", next(3));
                // Worker ids run against the registrations'.
                let row = row(100 + at, 100 - at, &origin, &path);
                all.insert(row.id, row);
            }
            let mut order: Vec<_> = all.values().collect();
            for at in (1..order.len()).rev() {
                order.swap(at, next(at as u64 + 1) as usize);
            }
            // Some are read by another reader.
            let mut others = StoredRows::default();
            let first = next(order.len() as u64 + 1) as usize;
            for (at, row) in order.into_iter().enumerate() {
                let reader = if at < first { &mut rows } else { &mut others };
                reader.push(row).unwrap();
            }
            rows.append(others).unwrap();
            let (settled, left_out) = rows.settle();
            assert_eq!(left_out, [""; 0]);
            let (rows, count) = (settled.rows(), all.len());
            let decoded = rows.decode().unwrap();
            assert!(all.values().eq(&decoded));
            for (at, row) in decoded.iter().enumerate() {
                assert_eq!(settled.find(row.id), Some(at));
            }
            assert_eq!(settled.find(RegistrationId(7)), None);
            assert!(settled.workers().is_sorted());
            for (worker, at) in settled.workers() {
                assert_eq!(decoded[*at].active.as_ref().map(|it| it.id), Some(*worker));
            }
            let mut seen = Vec::new();
            for (key, places) in settled.of_keys() {
                let scopes = places.iter().map(|at| decoded[*at].scope.as_str());
                assert!(scopes.is_sorted());
                assert!(places.iter().all(|at| decoded[*at].storage_key == *key));
                seen.push(key);
                assert_eq!(
                    places.len(),
                    all.values().filter(|it| it.storage_key == *key).count()
                );
            }
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), settled.of_keys().count());
            assert_eq!(settled.workers().len(), count);
        }
    }

    #[test]
    fn what_is_there_twice_is_left_out_once_and_named() {
        let mut rows = StoredRows::default();
        for row in [
            row(1, 1, "https://a.test", "/"),
            row(4, 1, "https://a.test", "/other"),
            row(3, 3, "https://a.test", "/"),
            row(2, 2, "https://b.test", "/"),
            row(2, 5, "https://b.test", "/second"),
        ] {
            rows.push(&row).unwrap();
        }
        let (settled, left_out) = rows.settle();
        let ids: Vec<u64> = settled.rows().rows().iter().map(|row| row.id.0).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(
            left_out,
            [
                "https://b.test/second (RegistrationId-2): it is there twice",
                "https://a.test/ (RegistrationId-3): it is there twice",
                "https://a.test/other (RegistrationId-4): a worker of it is there twice",
            ]
        );
    }

    #[test]
    fn a_row_that_makes_no_sense_is_refused() {
        let mut rows = StoredRows::default();
        let good = row(1, 1, "https://a.test", "/");
        let refused = |rows: &mut StoredRows, bad: StoredRegistration| {
            rows.push(&bad).unwrap_err().to_string()
        };
        let mut elsewhere = good.clone();
        elsewhere.scope = ScopeUrl::parse("https://a.test:8443/", None).unwrap();
        assert!(refused(&mut rows, elsewhere).ends_with("of the origin of its storage key"));
        let mut idle = good.clone();
        idle.active = None;
        assert!(refused(&mut rows, idle).ends_with("it has no worker"));
        let mut unfit = good.clone();
        unfit.active.as_mut().unwrap().state = WorkerState::Installed;
        assert!(refused(&mut rows, unfit).ends_with("does not fit its place"));
        let record = record::encode_registration(&good, |_| Vec::new()).unwrap();
        let misplaced = rows.push_record(RegistrationId(2), &record);
        assert_eq!(misplaced, Err(RecordError::Misplaced(RegistrationId(1))));
        assert!(rows.is_empty());
        // What is wrong in the rest shows when it is asked for.
        rows.push_record(RegistrationId(1), &without_body(&good))
            .unwrap();
        assert!(matches!(rows.decode(), Err(RecordError::Content(_))));
    }
}
