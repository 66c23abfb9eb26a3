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
    /// The rows that did not decode, although their checksums were right; and why, until it was
    /// told.
    spoiled: Mutex<BTreeMap<RegistrationId, Option<String>>>,
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
        let mut spoiled = self.spoiled.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = |(id, why): (&_, &mut Option<_>)| Some((*id, why.take()?));
        spoiled.iter_mut().filter_map(untold).collect()
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
                spoiled.entry(row.id).or_insert(Some(line));
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sw_types::{PromiseId, Timestamp, WorkerId};

    use crate::record::tests::{registration, without_body};
    use crate::{Input, Limits, Now, Output, Registry, Report, Restored, StoredRows};

    fn registry(rows: StoredRows) -> Registry {
        let restored = Restored {
            registrations: rows,
            ..Restored::default()
        };
        Registry::new(Limits::default(), restored)
    }

    #[test]
    fn what_was_stored_sleeps_until_it_is_asked_for_and_stays_away_once_it_is_removed() {
        let mut rows = StoredRows::default();
        let stored = registration();
        rows.push(&stored).unwrap();
        let mut registry = registry(rows);
        assert_eq!(registry.registrations.awake().count(), 0);
        assert_eq!(registry.registration_of(WorkerId(9)), Some(stored.id));
        assert_eq!(registry.registrations.awake().count(), 0);
        let view = registry.registration(stored.id).unwrap();
        assert_eq!(view.scope, stored.scope);
        assert_eq!(registry.registrations.awake().count(), 1);
        registry.registrations.remove(&stored.id);
        registry.lookup.forget(stored.id);
        assert_eq!(registry.registration(stored.id), None);
        assert_eq!(registry.lookup.snapshot(stored.id), None);
        assert_eq!(registry.registrations.awake().count(), 0);
    }

    #[test]
    fn a_writer_changes_what_is_listed_of_a_key_whether_anybody_has_asked_for_it_or_not() {
        for asked in [true, false] {
            let mut rows = StoredRows::default();
            let stored = registration();
            rows.push(&stored).unwrap();
            let mut registry = registry(rows);
            let lookup = registry.lookup();
            let (key, at) = (&stored.storage_key, stored.scope.url());
            if asked {
                assert_eq!(lookup.match_registration_id(key, at), Some(stored.id));
            }
            let below = at.join("below/").unwrap();
            let mut other = registry.snapshot_of(&registry.registrations[&stored.id]);
            other.id = sw_types::RegistrationId(70);
            other.scope = below.clone().try_into().unwrap();
            lookup.publish(other, true);
            assert_eq!(lookup.match_registration_id(key, at), Some(stored.id));
            let found = lookup.match_registration_id(key, &below);
            assert_eq!(found, Some(sw_types::RegistrationId(70)));
            lookup.unlist(key, below.as_str());
            registry.clear(stored.id);
            assert_eq!(lookup.match_registration_id(key, &below), None);
            assert!(!lookup.has_origin(at));
        }
    }

    #[test]
    fn readers_see_the_same_of_a_registration_whether_it_sleeps_or_not() {
        let mut rows = StoredRows::default();
        let stored = registration();
        rows.push(&stored).unwrap();
        let registry = registry(rows);
        let asleep = registry
            .lookup
            .match_registration(&stored.storage_key, stored.scope.url());
        let awake = registry.snapshot_of(&registry.registrations[&stored.id]);
        assert_eq!(asleep.as_deref(), Some(&awake));
    }

    /// Only another program, or an error of this one, leaves such a row.
    #[test]
    fn a_row_that_turns_out_not_to_decode_is_reported_and_is_not_there() {
        let mut rows = StoredRows::default();
        let stored = registration();
        rows.push_record(stored.id, &without_body(&stored)).unwrap();
        let mut registry = registry(rows);
        let lookup = registry.lookup();
        let matched = || lookup.match_registration(&stored.storage_key, stored.scope.url());
        assert_eq!(matched(), None);
        let now = Now {
            instant: Instant::now(),
            wall: Timestamp(0),
        };
        let promise = PromiseId(1);
        let unregister = Input::Unregister {
            promise,
            registration: stored.id,
        };
        registry.handle_input(now, unregister);
        let outputs: Vec<Output> = std::iter::from_fn(|| registry.poll_output()).collect();
        let told = |output: &Output| matches!(output, Output::Report(Report::Quarantined(_)));
        assert_eq!(
            outputs.iter().filter(|output| told(output)).count(),
            1,
            "{outputs:?}"
        );
        assert!(!lookup.has_origin(stored.scope.url()));
        assert_eq!(matched(), None);
    }
}
