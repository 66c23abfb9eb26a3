//! What was stored and sleeps until somebody asks for it.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sw_types::RegistrationId;

use crate::StoredRegistration;
use crate::lookup::Snapshot;
use crate::restore::stored_snapshot;
use crate::stored_rows::Settled;

/// The rows of a profile, for its registry and its readers.
#[derive(Debug, Default)]
pub(crate) struct Sleeping {
    rows: Settled,
    stale_after: Duration,
    /// The rows that did not decode, although their checksums were right; and why.
    spoiled: Mutex<Vec<(RegistrationId, String)>>,
}

impl Sleeping {
    pub(crate) fn new(rows: Settled, stale_after: Duration) -> Self {
        Self {
            rows,
            stale_after,
            spoiled: Mutex::default(),
        }
    }

    pub(crate) const fn rows(&self) -> &Settled {
        &self.rows
    }

    /// What readers see of a registration, as it was stored.
    pub(crate) fn snapshot(&self, id: RegistrationId) -> Option<Snapshot> {
        let stored = self.decode(self.rows.find(id)?)?;
        Some(stored_snapshot(stored, self.stale_after))
    }

    /// The rows that turned out not to decode since this was last asked.
    pub(crate) fn take_spoiled(&self) -> Vec<(RegistrationId, String)> {
        std::mem::take(&mut *self.spoiled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decodes the row at a place.
    pub(crate) fn decode(&self, at: usize) -> Option<StoredRegistration> {
        let rows = self.rows.rows();
        let row = &rows.rows()[at];
        match rows.decode_row(row) {
            Ok(registration) => Some(registration),
            Err(error) => {
                let line = format!("{} ({}): {error}", rows.scope(row), row.id);
                let mut spoiled = self.spoiled.lock().unwrap_or_else(PoisonError::into_inner);
                spoiled.push((row.id, line));
                None
            }
        }
    }
}

/// A map whose values are those that were stored, woken when they are first asked for, and those
/// that were inserted since.
#[derive(Debug)]
pub(crate) struct Waking<K, V> {
    inserted: BTreeMap<K, V>,
    /// None of those that are removed, and of those whose rows do not decode.
    stored: Vec<OnceLock<Option<Box<V>>>>,
    sleeping: Arc<Sleeping>,
}

/// How a part of a stored registration is found and woken.
pub(crate) trait Wake<K>: Sized {
    /// How many were stored.
    fn count(sleeping: &Sleeping) -> usize;

    /// Which of them a key names.
    fn find(sleeping: &Sleeping, key: &K) -> Option<usize>;

    /// Makes it.
    fn wake(sleeping: &Sleeping, at: usize) -> Option<Self>;
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
    pub(crate) fn new(sleeping: &Arc<Sleeping>) -> Self {
        let asleep = std::iter::repeat_with(OnceLock::new);
        Self {
            inserted: BTreeMap::new(),
            stored: asleep.take(V::count(sleeping)).collect(),
            sleeping: Arc::clone(sleeping),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match V::find(&self.sleeping, key) {
            Some(at) => self.woken(at),
            None => self.inserted.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match V::find(&self.sleeping, key) {
            Some(at) => {
                self.woken(at);
                self.stored[at].get_mut()?.as_deref_mut()
            }
            None => self.inserted.get_mut(key),
        }
    }

    /// Inserts what was not stored: ids are never given again.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.inserted.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) {
        match V::find(&self.sleeping, key) {
            Some(at) => self.stored[at] = None.into(),
            None => drop(self.inserted.remove(key)),
        }
    }

    /// The values that do not sleep: those that were stored first.
    pub(crate) fn awake(&self) -> impl Iterator<Item = &V> {
        let woken = self.stored.iter().filter_map(|it| it.get()?.as_deref());
        woken.chain(self.inserted.values())
    }

    fn woken(&self, at: usize) -> Option<&V> {
        let wake = || V::wake(&self.sleeping, at).map(Box::new);
        self.stored[at].get_or_init(wake).as_deref()
    }
}

impl<K: Ord, V: Wake<K>> Index<&K> for Waking<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("a key that is there")
    }
}
