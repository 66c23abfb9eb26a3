//! Registrations in a redb file.
//!
//! A row and the scripts that it names are written in one transaction, so no crash leaves one
//! without the other. Scripts that no row names, which only a damaged row leaves behind, are swept
//! when the file is opened.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use sw_registry::record::{self, RecordError, Row};
use sw_registry::{
    RegistryStore, Restored, StoreError, StoreWrite, StoredRegistration, StoredWorker,
};
use sw_types::{ScriptMap, WorkerId};

use super::file::{OpenError, SetAside, keep_copy, open_database};

/// Rows, by registration.
const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("registrations");
/// Scripts, by worker and URL.
const SCRIPTS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("scripts");
/// Rows that were damaged, kept for whoever wants to look at them.
const QUARANTINE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quarantine");
/// The ids to go on with.
const NEXT: TableDefinition<'_, &str, u64> = TableDefinition::new("next");

const NEXT_REGISTRATION: &str = "registration";
const NEXT_WORKER: &str = "worker";

/// A profile's registrations in one file. Dropped, it closes the file and keeps a copy of it.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    database: Option<Database>,
}

impl RedbStore {
    /// Opens a profile's file, or makes it.
    ///
    /// # Errors
    /// If it is in use or the disk refuses. A file that redb refuses is set aside instead.
    pub fn open(path: &Path) -> Result<(Self, Option<SetAside>), OpenError> {
        let (database, set_aside) = open_database(path)?;
        let store = Self {
            path: path.to_owned(),
            database: Some(database),
        };
        Ok((store, set_aside))
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or(StoreError::Closed)
    }

    /// One durable transaction.
    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        contain(|| {
            let mut transaction = self.database()?.begin_write().map_err(io)?;
            transaction
                .set_durability(Durability::Immediate)
                .map_err(io)?;
            let done = work(&transaction)?;
            transaction.commit().map_err(io)?;
            Ok(done)
        })
    }
}

impl RegistryStore for RedbStore {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.write(|transaction| {
            let mut rows = transaction.open_table(ROWS).map_err(io)?;
            let mut scripts = transaction.open_table(SCRIPTS).map_err(io)?;
            let mut quarantine = transaction.open_table(QUARANTINE).map_err(io)?;
            let mut next = transaction.open_table(NEXT).map_err(io)?;
            let mut restored = Restored::default();
            let mut named = BTreeSet::new();
            let mut damaged = Vec::new();
            for row in rows.iter().map_err(io)? {
                let (id, row) = row.map_err(io)?;
                restored.next_registration = restored.next_registration.max(id.value() + 1);
                match read_row(row.value(), &scripts)? {
                    Ok(row) => {
                        let of_row = row.scripts.iter().flat_map(|(worker, urls)| {
                            urls.iter().map(|url| (worker.0, url.to_string()))
                        });
                        named.extend(of_row);
                        restored.registrations.push(row.registration);
                    }
                    Err(reason) => {
                        restored
                            .quarantined
                            .push(format!("registration {}: {reason}", id.value()));
                        damaged.push((id.value(), row.value().to_vec()));
                    }
                }
            }
            for (id, row) in damaged {
                rows.remove(id).map_err(io)?;
                quarantine.insert(id, row.as_slice()).map_err(io)?;
            }
            let mut next_worker = 0;
            scripts
                .retain(|(worker, url), _| {
                    next_worker = next_worker.max(worker + 1);
                    named.contains(&(worker, url.to_owned()))
                })
                .map_err(io)?;
            let mut at_least = |name, least: u64| -> Result<u64, StoreError> {
                let stored = next
                    .get(name)
                    .map_err(io)?
                    .map_or(0, |stored| stored.value());
                next.insert(name, stored.max(least)).map_err(io)?;
                Ok(stored.max(least))
            };
            restored.next_registration = at_least(NEXT_REGISTRATION, restored.next_registration)?;
            restored.next_worker = at_least(NEXT_WORKER, next_worker)?;
            Ok(restored)
        })
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        contain(|| {
            let transaction = self.database()?.begin_read().map_err(io)?;
            let table = transaction.open_table(SCRIPTS).map_err(io)?;
            let mut scripts = ScriptMap::new();
            for entry in table
                .range((worker.0, "")..(worker.0 + 1, ""))
                .map_err(io)?
            {
                let (id, script) = entry.map_err(io)?;
                let url = id.value().1;
                let damaged = |error: String| StoreError::Damaged(format!("{url}: {error}"));
                let script = record::decode_script(script.value())
                    .map_err(|error| damaged(error.to_string()))?;
                let url = url
                    .parse()
                    .map_err(|error: url::ParseError| damaged(error.to_string()))?;
                scripts.insert(url, Arc::new(script));
            }
            if scripts.is_empty() {
                return Err(StoreError::Damaged(format!("{worker} has no scripts")));
            }
            Ok(scripts)
        })
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut rows = transaction.open_table(ROWS).map_err(io)?;
            let mut scripts = transaction.open_table(SCRIPTS).map_err(io)?;
            let mut next = transaction.open_table(NEXT).map_err(io)?;
            for write in batch {
                match write {
                    StoreWrite::Put(registration) => {
                        put(registration, &mut rows, &mut scripts)?;
                        raise(&mut next, NEXT_REGISTRATION, registration.id.0 + 1)?;
                        for worker in workers(registration) {
                            raise(&mut next, NEXT_WORKER, worker.id.0 + 1)?;
                        }
                    }
                    StoreWrite::Remove(id) => {
                        let old = rows
                            .remove(id.0)
                            .map_err(io)?
                            .map(|row| row.value().to_vec());
                        for (worker, _) in stored_scripts(old.as_deref()) {
                            purge(&mut scripts, worker)?;
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        // redb closes the file when its database is dropped.
        drop(self.database.take());
        if let Err(error) = keep_copy(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "no copy was kept");
        }
    }
}

type Rows<'t> = Table<'t, u64, &'static [u8]>;
type Scripts<'t> = Table<'t, (u64, &'static str), &'static [u8]>;
type Next<'t> = Table<'t, &'static str, u64>;

/// Writes the scripts that are not there yet, then the row, then removes the scripts of workers
/// that the row no longer names.
fn put(
    registration: &StoredRegistration,
    rows: &mut Rows<'_>,
    scripts: &mut Scripts<'_>,
) -> Result<(), StoreError> {
    let old = rows
        .get(registration.id.0)
        .map_err(io)?
        .map(|row| row.value().to_vec());
    let old = stored_scripts(old.as_deref());
    for worker in workers(registration) {
        if old.iter().any(|(stored, _)| *stored == worker.id) {
            continue;
        }
        for (url, script) in &worker.scripts {
            let record = record::encode_script(script).map_err(damaged)?;
            scripts
                .insert((worker.id.0, url.as_str()), record.as_slice())
                .map_err(io)?;
        }
    }
    let row = record::encode_registration(registration, |worker| {
        let stored = old.iter().find(|(id, _)| *id == worker);
        stored.map_or_else(Vec::new, |(_, urls)| urls.clone())
    })
    .map_err(damaged)?;
    rows.insert(registration.id.0, row.as_slice()).map_err(io)?;
    for (worker, _) in old {
        if workers(registration).all(|kept| kept.id != worker) {
            purge(scripts, worker)?;
        }
    }
    Ok(())
}

/// Reads a row; the inner error says what is damaged about it or missing to it.
fn read_row(bytes: &[u8], scripts: &Scripts<'_>) -> Result<Result<Row, String>, StoreError> {
    let row = match record::decode_registration(bytes) {
        Ok(row) => row,
        Err(error) => return Ok(Err(error.to_string())),
    };
    for (worker, urls) in &row.scripts {
        for url in urls {
            if scripts.get((worker.0, url.as_str())).map_err(io)?.is_none() {
                let scope = &row.registration.scope;
                return Ok(Err(format!("{scope}: the script {url} is missing")));
            }
        }
    }
    Ok(Ok(row))
}

/// The scripts that a row names; none if it is damaged.
fn stored_scripts(row: Option<&[u8]>) -> Vec<(WorkerId, Vec<url::Url>)> {
    row.and_then(|row| record::decode_registration(row).ok())
        .map_or_else(Vec::new, |row| row.scripts)
}

fn purge(scripts: &mut Scripts<'_>, worker: WorkerId) -> Result<(), StoreError> {
    scripts
        .retain_in((worker.0, "")..(worker.0 + 1, ""), |_, _| false)
        .map_err(io)
}

fn raise(next: &mut Next<'_>, name: &str, least: u64) -> Result<(), StoreError> {
    let stored = next
        .get(name)
        .map_err(io)?
        .map_or(0, |stored| stored.value());
    if stored < least {
        next.insert(name, least).map_err(io)?;
    }
    Ok(())
}

fn workers(registration: &StoredRegistration) -> impl Iterator<Item = &StoredWorker> {
    registration
        .waiting
        .iter()
        .chain(registration.active.iter())
}

fn io(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Io(error.into().to_string())
}

fn damaged(error: RecordError) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// redb meets some damaged pages with a panic; here it becomes an error like any other.
fn contain<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StoreError::Damaged(
            "the database's structure is damaged".to_owned(),
        ))
    })
}
