//! What was stored and sleeps until somebody asks for it.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sw_types::RegistrationId;

use crate::StoredRegistration;
use crate::lookup::Snapshot;
use crate::restore::stored_snapshot;
use crate::stored_rows::{StoredRow, StoredRows};

/// The rows of a profile, for its registry and its readers.
#[derive(Debug, Default)]
pub(crate) struct Sleeping {
    rows: StoredRows,
    stale_after: Duration,
    /// The rows that did not decode, although their checksums were right; and why.
    spoiled: Mutex<Vec<(RegistrationId, String)>>,
}

impl Sleeping {
    /// Of rows that are settled.
    pub(crate) fn new(rows: StoredRows, stale_after: Duration) -> Self {
        Self {
            rows,
            stale_after,
            spoiled: Mutex::default(),
        }
    }

    pub(crate) const fn rows(&self) -> &StoredRows {
        &self.rows
    }

    /// What readers see of a registration, as it was stored.
    pub(crate) fn snapshot(&self, id: RegistrationId) -> Option<Snapshot> {
        let row = &self.rows.rows()[self.rows.find(id)?];
        Some(stored_snapshot(self.decode(row)?, self.stale_after))
    }

    /// The rows that turned out not to decode since this was last asked.
    pub(crate) fn take_spoiled(&self) -> Vec<(RegistrationId, String)> {
        std::mem::take(&mut *self.spoiled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn decode(&self, row: &StoredRow) -> Option<StoredRegistration> {
        match self.rows.decode_row(row) {
            Ok(registration) => Some(registration),
            Err(error) => {
                let line = format!("{} ({}): {error}", self.rows.scope(row), row.id);
                let mut spoiled = self.spoiled.lock().unwrap_or_else(PoisonError::into_inner);
                spoiled.push((row.id, line));
                None
            }
        }
    }
}

/// A map whose values are those that were stored, woken when they are first asked for, and those
/// that were inserted since. No key is both.
#[derive(Debug)]
pub(crate) struct Waking<K, V> {
    inserted: BTreeMap<K, V>,
    /// Sorted by key.
    stored: Vec<Sleeper<K, V>>,
    sleeping: Arc<Sleeping>,
}

#[derive(Debug)]
struct Sleeper<K, V> {
    key: K,
    /// The place of its row.
    row: usize,
    /// None once it is removed, or if its row does not decode.
    value: OnceLock<Option<Box<V>>>,
}

/// How a stored registration is woken, or a part of it.
pub(crate) trait Wake<K>: Sized {
    fn wake(stored: StoredRegistration, key: &K) -> Option<Self>;
}

impl<K, V> Default for Waking<K, V> {
    fn default() -> Self {
        Self {
            inserted: BTreeMap::new(),
            stored: Vec::new(),
            sleeping: Arc::default(),
        }
    }
}

impl<K: Ord, V: Wake<K>> Waking<K, V> {
    /// From keys that are sorted, with the places of their rows.
    pub(crate) fn new(keys: impl Iterator<Item = (K, usize)>, sleeping: &Arc<Sleeping>) -> Self {
        let sleeper = |(key, row)| Sleeper {
            key,
            row,
            value: OnceLock::new(),
        };
        Self {
            inserted: BTreeMap::new(),
            stored: keys.map(sleeper).collect(),
            sleeping: Arc::clone(sleeping),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self.find(key) {
            Some(at) => self.woken(at),
            None => self.inserted.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.find(key) {
            Some(at) => {
                self.woken(at);
                self.stored[at].value.get_mut()?.as_deref_mut()
            }
            None => self.inserted.get_mut(key),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Some(at) => self.stored[at].value = Some(Box::new(value)).into(),
            None => drop(self.inserted.insert(key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        match self.find(key) {
            Some(at) => self.stored[at].value = None.into(),
            None => drop(self.inserted.remove(key)),
        }
    }

    /// The values that do not sleep: those that were stored first.
    pub(crate) fn awake(&self) -> impl Iterator<Item = &V> {
        let woken = self
            .stored
            .iter()
            .filter_map(|it| it.value.get()?.as_deref());
        woken.chain(self.inserted.values())
    }

    fn find(&self, key: &K) -> Option<usize> {
        self.stored.binary_search_by(|it| it.key.cmp(key)).ok()
    }

    fn woken(&self, at: usize) -> Option<&V> {
        let Sleeper { key, row, value } = &self.stored[at];
        let wake = || {
            let row = &self.sleeping.rows.rows()[*row];
            let value = V::wake(self.sleeping.decode(row)?, key)?;
            Some(Box::new(value))
        };
        value.get_or_init(wake).as_deref()
    }
}

impl<K: Ord, V: Wake<K>> Index<&K> for Waking<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("a key that is there")
    }
}
