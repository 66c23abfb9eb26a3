//! A store that keeps its records in memory: for tests, simulations and profiles that leave no
//! trace.

use std::collections::BTreeMap;
use std::sync::Arc;

use sw_types::{RegistrationId, ScriptMap, WorkerId};
use url::Url;

use crate::record::{self, RecordError, Row};
use crate::{RegistryStore, Restored, StoreError, StoreWrite, StoredRegistration, StoredWorker};

/// A [`RegistryStore`] in memory. It keeps the same records that a store on disk keeps, so a clone
/// of it is what a disk holds at that moment.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: BTreeMap<RegistrationId, Vec<u8>>,
    scripts: BTreeMap<WorkerId, BTreeMap<Url, Vec<u8>>>,
    next_registration: u64,
    next_worker: u64,
    others: BTreeMap<Vec<u8>, Vec<u8>>,
    blobs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The ids of the registrations that are stored.
    pub fn registrations(&self) -> impl Iterator<Item = RegistrationId> + '_ {
        self.rows.keys().copied()
    }

    /// The bytes of a registration's row, to be damaged by a test.
    pub fn row_mut(&mut self, registration: RegistrationId) -> Option<&mut Vec<u8>> {
        self.rows.get_mut(&registration)
    }

    /// The rows of other parts of the profile, to be damaged by a test.
    pub fn rows_mut(&mut self) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        &mut self.others
    }

    /// The rows of other parts of the profile that are not read at opening, to be damaged by a test.
    pub fn blobs_mut(&mut self) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        &mut self.blobs
    }

    fn put(&mut self, registration: &StoredRegistration) -> Result<(), RecordError> {
        let old = match self.rows.get(&registration.id) {
            Some(row) => record::decode_registration(row)?.scripts,
            None => Vec::new(),
        };
        let row = record::encode_registration(registration, |worker| {
            let stored = old.iter().find(|(id, _)| *id == worker);
            stored.map_or_else(Vec::new, |(_, urls)| urls.clone())
        })?;
        for worker in workers(registration) {
            let stored = self.scripts.entry(worker.id).or_default();
            for (url, script) in &worker.scripts {
                if !stored.contains_key(url) {
                    stored.insert(url.clone(), record::encode_script(script)?);
                }
            }
            self.next_worker = self.next_worker.max(worker.id.0 + 1);
        }
        self.next_registration = self.next_registration.max(registration.id.0 + 1);
        let kept: Vec<WorkerId> = workers(registration).map(|worker| worker.id).collect();
        self.purge(
            old.iter()
                .map(|(id, _)| *id)
                .filter(|id| !kept.contains(id)),
        );
        self.rows.insert(registration.id, row);
        Ok(())
    }

    fn remove(&mut self, registration: RegistrationId) {
        if let Some(Ok(row)) = self
            .rows
            .remove(&registration)
            .map(|row| record::decode_registration(&row))
        {
            self.purge(row.scripts.into_iter().map(|(id, _)| id));
        }
    }

    fn purge(&mut self, workers: impl Iterator<Item = WorkerId>) {
        for worker in workers {
            self.scripts.remove(&worker);
        }
    }

    fn check_scripts(&self, record: &[u8]) -> Result<(), String> {
        let Row {
            registration,
            scripts,
        } = record::decode_registration(record).map_err(|error| error.to_string())?;
        for (worker, urls) in scripts {
            for url in urls {
                let stored = self.scripts.get(&worker);
                if !stored.is_some_and(|scripts| scripts.contains_key(&url)) {
                    return Err(format!(
                        "{}: the script {url} is missing",
                        registration.scope
                    ));
                }
            }
        }
        Ok(())
    }
}

impl RegistryStore for MemoryStore {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        let mut restored = Restored {
            next_registration: self.next_registration,
            next_worker: self.next_worker,
            rows: self.others.clone(),
            ..Restored::default()
        };
        for (id, record) in &self.rows {
            let read = self.check_scripts(record).and_then(|()| {
                let pushed = restored.registrations.push_record(*id, record);
                pushed.map_err(|error| error.to_string())
            });
            match read {
                Ok(()) => {}
                Err(error) => restored.quarantined.push(format!("{id}: {error}")),
            }
        }
        Ok(restored)
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        let mut scripts = ScriptMap::new();
        for (url, record) in self.scripts.get(&worker).into_iter().flatten() {
            let script = record::decode_script(record)
                .map_err(|error| StoreError::Damaged(format!("{url}: {error}")))?;
            scripts.insert(url.clone(), Arc::new(script));
        }
        if scripts.is_empty() {
            return Err(StoreError::Damaged(format!("{worker} has no scripts")));
        }
        Ok(scripts)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.blobs.get(key).cloned())
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        let before = self.clone();
        for write in batch {
            match write {
                StoreWrite::Put(registration) => {
                    if let Err(error) = self.put(registration) {
                        *self = before;
                        return Err(StoreError::Damaged(error.to_string()));
                    }
                }
                StoreWrite::Remove(registration) => self.remove(*registration),
                StoreWrite::PutRow { key, value } => {
                    self.others.insert(key.clone(), value.clone());
                }
                StoreWrite::PutBlob { key, value } => {
                    self.blobs.insert(key.clone(), value.clone());
                }
                StoreWrite::RemoveRows(prefix) => {
                    for rows in [&mut self.others, &mut self.blobs] {
                        let its = rows.range(prefix.clone()..);
                        let its = its.take_while(|(key, _)| key.starts_with(prefix));
                        let its: Vec<_> = its.map(|(key, _)| key.clone()).collect();
                        for key in its {
                            rows.remove(&key);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn workers(registration: &StoredRegistration) -> impl Iterator<Item = &StoredWorker> {
    registration
        .waiting
        .iter()
        .chain(registration.active.iter())
}
