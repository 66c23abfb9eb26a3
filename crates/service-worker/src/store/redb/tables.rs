//! The tables of a profile's file: how they are read, mended and written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
use std::sync::Arc;

use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, Table, TableDefinition, TableError, WriteTransaction,
};
use sw_registry::record::{self, RecordError};
use sw_registry::{Restored, StoreError, StoreWrite, StoredRegistration, StoredRows, StoredWorker};
use sw_types::{RegistrationId, ScriptMap, WorkerId};
use url::Url;

use super::super::file::is_damage;
use super::owners::Owners;
use super::rows;

/// Rows, by registration.
const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("registrations");
/// Scripts, by worker and URL.
const SCRIPTS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("scripts");
/// Rows that were damaged, kept for whoever wants to look at them.
const QUARANTINE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quarantine");
/// The ids to go on with, as [`encode_counter`] writes them.
const NEXT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("next");

const NEXT_REGISTRATION: &str = "registration";
const NEXT_WORKER: &str = "worker";

/// How far ids skip ahead when nothing says any more which ones were given: further than any
/// profile has counted.
const SKIP: u64 = 1 << 32;

/// What a file holds, scripts not read.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) restored: Restored,
    /// The registration of each worker.
    pub(super) owners: Owners,
    /// Whether reading it needed a write: the file is new, or was mended.
    pub(super) changed: bool,
}

/// Reads every row. Nothing is written unless the file is new or something has to be mended.
pub(super) fn read(database: &Database) -> Result<Contents, StoreError> {
    let Some(tables) = Tables::open(&database.begin_read().map_err(refused)?)? else {
        write(database, create)?;
        return Ok(Contents {
            changed: true,
            ..Contents::default()
        });
    };
    let mut contents = Contents::default();
    let mut damage = Damage::default();
    contents.restored.rows = rows::read(&database.begin_read().map_err(refused)?)?;
    tables.read_rows(&mut contents, &mut damage)?;
    tables.read_counters(&mut contents, &mut damage)?;
    drop(tables);
    if damage.is_some() {
        write(database, |transaction| {
            damage.mend(transaction, &mut contents)
        })?;
        contents.changed = true;
    }
    Ok(contents)
}

/// Reads the scripts of a worker: all that its registration's row names.
pub(super) fn scripts(
    database: &Database,
    owner: RegistrationId,
    worker: WorkerId,
) -> Result<ScriptMap, StoreError> {
    let transaction = database.begin_read().map_err(refused)?;
    let rows = transaction.open_table(ROWS).map_err(refused)?;
    let row = rows.get(owner.0).map_err(refused)?;
    let named = stored_scripts(row.as_ref().map(|row| row.value())).map_err(damaged)?;
    let missing = || StoreError::Damaged(format!("{worker} has no scripts"));
    let (_, urls) = named
        .into_iter()
        .find(|(id, urls)| *id == worker && !urls.is_empty())
        .ok_or_else(missing)?;
    let table = transaction.open_table(SCRIPTS).map_err(refused)?;
    let mut scripts = ScriptMap::new();
    for url in urls {
        let damaged = |what: String| StoreError::Damaged(format!("the script {url}: {what}"));
        let found = table.get((worker.0, url.as_str())).map_err(refused)?;
        let found = found.ok_or_else(|| damaged("it is missing".to_owned()))?;
        let script =
            record::decode_script(found.value()).map_err(|error| damaged(error.to_string()))?;
        scripts.insert(url, Arc::new(script));
    }
    Ok(scripts)
}

/// Writes a batch; gives the workers that have another owner now, or none.
pub(super) fn commit(
    database: &Database,
    batch: &[StoreWrite],
) -> Result<Vec<(WorkerId, Option<RegistrationId>)>, StoreError> {
    write(database, |transaction| {
        // Most batches are about messages of stashed ports, and need no table of registrations.
        let mut batch_of = None;
        let mut rows = rows::Rows::new(transaction);
        for write in batch {
            match write {
                StoreWrite::Put(registration) => {
                    opened(&mut batch_of, transaction)?.put(registration)?;
                }
                StoreWrite::Remove(id) => opened(&mut batch_of, transaction)?.remove(*id)?,
                StoreWrite::PutRow { key, value } => rows.put(key, value)?,
                StoreWrite::PutBlob { key, value } => rows.put_blob(key, value)?,
                StoreWrite::RemoveRows(prefix) => rows.remove(prefix)?,
            }
        }
        Ok(batch_of.map(|batch| batch.owners).unwrap_or_default())
    })
}

/// Tells damage from a disk that refuses.
pub(super) fn refused(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if is_damage(&error) => StoreError::Damaged(error.to_string()),
        error @ (redb::Error::Corrupted(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::LockPoisoned(_)
        | redb::Error::UpgradeRequired(_)) => StoreError::Damaged(error.to_string()),
        error => StoreError::Io(error.to_string()),
    }
}

/// One durable transaction.
fn write<T>(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(refused)?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(refused)?;
    let done = work(&transaction)?;
    transaction.commit().map_err(refused)?;
    Ok(done)
}

/// Makes the tables, all at once: one that is missing later has been damaged.
fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(ROWS).map_err(refused)?;
    transaction.open_table(SCRIPTS).map_err(refused)?;
    transaction.open_table(QUARANTINE).map_err(refused)?;
    let mut next = transaction.open_table(NEXT).map_err(refused)?;
    for name in [NEXT_REGISTRATION, NEXT_WORKER] {
        next.insert(name, encode_counter(0).as_slice())
            .map_err(refused)?;
    }
    Ok(())
}

/// From so many rows on, two threads read them.
const TWO_THREADS: u64 = 1_000;

/// The rows of a range of ids.
#[derive(Default)]
struct Share {
    rows: StoredRows,
    count: u64,
    damaged: Vec<(RegistrationId, String, Vec<u8>)>,
}

struct Tables {
    rows: ReadOnlyTable<u64, &'static [u8]>,
    next: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl Tables {
    /// The tables; none if the file is new.
    fn open(transaction: &ReadTransaction) -> Result<Option<Self>, StoreError> {
        let rows = there(transaction.open_table(ROWS))?;
        let scripts = there(transaction.open_table(SCRIPTS))?;
        let quarantine = there(transaction.open_table(QUARANTINE))?;
        let next = there(transaction.open_table(NEXT))?;
        match (rows, scripts, quarantine, next) {
            (Some(rows), Some(_), Some(_), Some(next)) => Ok(Some(Self { rows, next })),
            (None, None, None, None) => Ok(None),
            _ => Err(StoreError::Damaged("a table is missing".to_owned())),
        }
    }

    /// Reads all rows: many of them on two threads.
    fn read_rows(&self, contents: &mut Contents, damage: &mut Damage) -> Result<(), StoreError> {
        let length = self.rows.len().map_err(refused)?;
        let middle = self.middle(length)?;
        let [first, second] = std::thread::scope(|scope| {
            let second = middle.map(|middle| scope.spawn(move || self.share(middle.., length / 2)));
            // The others are appended to its rows.
            let first = match middle {
                Some(middle) => self.share(..middle, length),
                None => self.share(.., length),
            };
            let second = second.map(|thread| thread.join());
            [Some(Ok(first)), second]
        });
        let mut count = 0;
        for share in [first, second].into_iter().flatten() {
            let share = share.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            count += share.count;
            damage.rows.extend(share.damaged);
            let restored = &mut contents.restored.registrations;
            if restored.is_empty() {
                *restored = share.rows;
            } else {
                restored.append(share.rows).map_err(damaged)?;
            }
        }
        let restored = &mut contents.restored;
        contents.owners = Owners::of(&restored.registrations);
        let (worker, registration) = contents.owners.last();
        restored.next_registration = registration.map_or(0, |last| last.0.saturating_add(1));
        restored.next_worker = worker.map_or(0, |last| last.0.saturating_add(1));
        if length == count {
            Ok(())
        } else {
            let missing = format!("{count} of {length} registrations are there");
            Err(StoreError::Damaged(missing))
        }
    }

    /// The id in the middle, if there are so many rows that halves are worth a thread.
    fn middle(&self, length: u64) -> Result<Option<u64>, StoreError> {
        if length < TWO_THREADS {
            return Ok(None);
        }
        let first = self.rows.first().map_err(refused)?;
        let last = self.rows.last().map_err(refused)?;
        let ends = first.zip(last);
        Ok(ends.map(|(first, last)| first.0.value().midpoint(last.0.value())))
    }

    /// Reads the rows whose ids are in a range, about so many.
    fn share(&self, ids: impl RangeBounds<u64>, length: u64) -> Result<Share, StoreError> {
        let mut share = Share::default();
        // What a damaged file says of itself is not taken on trust.
        let room = usize::try_from(length).map_or(0, |length| length.min(1 << 20));
        share.rows.reserve(room);
        for entry in self.rows.range(ids).map_err(refused)? {
            let (id, row) = entry.map_err(refused)?;
            let id = RegistrationId(id.value());
            share.count += 1;
            if let Err(error) = share.rows.push_record(id, row.value()) {
                let damaged = (id, error.to_string(), row.value().to_vec());
                share.damaged.push(damaged);
            }
        }
        Ok(share)
    }

    fn read_counters(
        &self,
        contents: &mut Contents,
        damage: &mut Damage,
    ) -> Result<(), StoreError> {
        let restored = &mut contents.restored;
        for (name, least) in [
            (NEXT_REGISTRATION, &mut restored.next_registration),
            (NEXT_WORKER, &mut restored.next_worker),
        ] {
            let stored = self.next.get(name).map_err(refused)?;
            match stored.and_then(|stored| decode_counter(stored.value())) {
                Some(stored) => *least = (*least).max(stored),
                None => {
                    *least = least.saturating_add(SKIP);
                    damage.counters.push((name, *least));
                }
            }
        }
        Ok(())
    }
}

/// A table, if it is there.
pub(super) fn there<T>(opened: Result<T, TableError>) -> Result<Option<T>, StoreError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// What was found damaged.
#[derive(Default)]
struct Damage {
    rows: Vec<(RegistrationId, String, Vec<u8>)>,
    counters: Vec<(&'static str, u64)>,
}

impl Damage {
    fn is_some(&self) -> bool {
        !self.rows.is_empty() || !self.counters.is_empty()
    }

    /// Moves damaged rows to the quarantine, removes the scripts that no row names any more, writes
    /// the counters anew, and says so.
    fn mend(
        self,
        transaction: &WriteTransaction,
        contents: &mut Contents,
    ) -> Result<(), StoreError> {
        let quarantined = &mut contents.restored.quarantined;
        if !self.rows.is_empty() {
            self.rewrite_rows(transaction)?;
            let orphans = sweep(transaction, &contents.owners)?;
            let one_of = if self.rows.len() > 1 { "one of " } else { "" };
            for (id, reason, _) in &self.rows {
                quarantined.push(match orphans.as_str() {
                    "" => format!("{id}: {reason}"),
                    _ => format!("{id} ({one_of}{orphans}): {reason}"),
                });
            }
        }
        let mut next = transaction.open_table(NEXT).map_err(refused)?;
        for (name, value) in self.counters {
            next.insert(name, encode_counter(value).as_slice())
                .map_err(refused)?;
            quarantined.push(format!(
                "the count of {name} ids: it is damaged, and goes on at {value}"
            ));
        }
        Ok(())
    }

    /// Leaves a table of the rows that are whole. A damaged key may stand where a look-up does not
    /// find it, so the table is written afresh.
    fn rewrite_rows(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let mut whole = BTreeMap::new();
        let rows = transaction.open_table(ROWS).map_err(refused)?;
        for entry in rows.iter().map_err(refused)? {
            let (id, row) = entry.map_err(refused)?;
            let id = RegistrationId(id.value());
            if StoredRows::default().push_record(id, row.value()).is_ok() {
                whole.insert(id, row.value().to_vec());
            }
        }
        drop(rows);
        transaction.delete_table(ROWS).map_err(refused)?;
        let mut rows = transaction.open_table(ROWS).map_err(refused)?;
        for (id, row) in whole {
            rows.insert(id.0, row.as_slice()).map_err(refused)?;
        }
        let mut quarantine = transaction.open_table(QUARANTINE).map_err(refused)?;
        for (id, _, row) in &self.rows {
            quarantine.insert(id.0, row.as_slice()).map_err(refused)?;
        }
        Ok(())
    }
}

/// Removes the scripts of workers that no row names; gives their URLs, for people.
fn sweep(transaction: &WriteTransaction, owners: &Owners) -> Result<String, StoreError> {
    let mut orphans = BTreeSet::new();
    let mut scripts = transaction.open_table(SCRIPTS).map_err(refused)?;
    scripts
        .retain(|(worker, url), _| {
            let owned = owners.owner(WorkerId(worker)).is_some();
            if !owned {
                orphans.insert(url.to_owned());
            }
            owned
        })
        .map_err(refused)?;
    Ok(Vec::from_iter(orphans).join(", "))
}

fn opened<'a, 't>(
    batch: &'a mut Option<Batch<'t>>,
    transaction: &'t WriteTransaction,
) -> Result<&'a mut Batch<'t>, StoreError> {
    match batch {
        Some(batch) => Ok(batch),
        none => Ok(none.insert(Batch {
            rows: transaction.open_table(ROWS).map_err(refused)?,
            scripts: transaction.open_table(SCRIPTS).map_err(refused)?,
            next: transaction.open_table(NEXT).map_err(refused)?,
            owners: Vec::new(),
        })),
    }
}

/// A batch that is being written, as far as it is about registrations.
struct Batch<'t> {
    rows: Table<'t, u64, &'static [u8]>,
    scripts: Table<'t, (u64, &'static str), &'static [u8]>,
    next: Table<'t, &'static str, &'static [u8]>,
    owners: Vec<(WorkerId, Option<RegistrationId>)>,
}

impl Batch<'_> {
    /// Writes the scripts that are not there yet, then the row, then removes the scripts of workers
    /// that the row no longer names.
    fn put(&mut self, registration: &StoredRegistration) -> Result<(), StoreError> {
        let id = registration.id;
        let old = self.rows.get(id.0).map_err(refused)?;
        let old = stored_scripts(old.map(|row| row.value().to_vec()).as_deref());
        let old: BTreeMap<WorkerId, Vec<Url>> = old.map_err(damaged)?.into_iter().collect();
        let stored = |worker| old.get(&worker).map_or(&[][..], Vec::as_slice);
        for worker in workers(registration) {
            let stored = stored(worker.id);
            if worker.scripts.is_empty() && stored.is_empty() {
                let unknown = format!("{} comes without scripts, and has none stored", worker.id);
                return Err(StoreError::Damaged(unknown));
            }
            for (url, script) in &worker.scripts {
                if !stored.contains(url) {
                    let record = record::encode_script(script).map_err(damaged)?;
                    self.scripts
                        .insert((worker.id.0, url.as_str()), record.as_slice())
                        .map_err(refused)?;
                }
            }
            raise(&mut self.next, NEXT_WORKER, worker.id.0.saturating_add(1))?;
            self.owners.push((worker.id, Some(id)));
        }
        let row = record::encode_registration(registration, |worker| stored(worker).to_vec())
            .map_err(damaged)?;
        self.rows.insert(id.0, row.as_slice()).map_err(refused)?;
        raise(&mut self.next, NEXT_REGISTRATION, id.0.saturating_add(1))?;
        for worker in old.into_keys() {
            if workers(registration).all(|kept| kept.id != worker) {
                self.purge(worker)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, id: RegistrationId) -> Result<(), StoreError> {
        let old = self.rows.remove(id.0).map_err(refused)?;
        let old = stored_scripts(old.map(|row| row.value().to_vec()).as_deref());
        match old {
            Ok(old) => old
                .into_iter()
                .try_for_each(|(worker, _)| self.purge(worker)),
            Err(error) => {
                tracing::warn!(%id, %error, "was removed; its scripts stay until the next sweep");
                Ok(())
            }
        }
    }

    fn purge(&mut self, worker: WorkerId) -> Result<(), StoreError> {
        self.owners.push((worker, None));
        self.scripts
            .retain_in((worker.0, "")..(worker.0.saturating_add(1), ""), |_, _| {
                false
            })
            .map_err(refused)
    }
}

/// Sets a counter to `least` if it is less.
fn raise(
    next: &mut Table<'_, &'static str, &'static [u8]>,
    name: &str,
    least: u64,
) -> Result<(), StoreError> {
    let stored = next.get(name).map_err(refused)?;
    let stored = stored
        .and_then(|stored| decode_counter(stored.value()))
        .ok_or_else(|| StoreError::Damaged(format!("the count of {name} ids is damaged")))?;
    if stored < least {
        next.insert(name, encode_counter(least).as_slice())
            .map_err(refused)?;
    }
    Ok(())
}

/// The scripts that a row names; none if there is no row.
fn stored_scripts(row: Option<&[u8]>) -> Result<Vec<(WorkerId, Vec<Url>)>, RecordError> {
    row.map_or_else(
        || Ok(Vec::new()),
        |row| Ok(record::decode_registration(row)?.scripts),
    )
}

fn workers(registration: &StoredRegistration) -> impl Iterator<Item = &StoredWorker> {
    registration
        .waiting
        .iter()
        .chain(registration.active.iter())
}

fn damaged(error: RecordError) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// The format of a counter: a version, the value, and the value's complement as its check.
const COUNTER_VERSION: u8 = 1;

fn encode_counter(value: u64) -> [u8; 17] {
    let mut record = [COUNTER_VERSION; 17];
    record[1..9].copy_from_slice(&value.to_le_bytes());
    record[9..].copy_from_slice(&(!value).to_le_bytes());
    record
}

fn decode_counter(record: &[u8]) -> Option<u64> {
    let (version, rest) = record.split_first()?;
    let (value, check) = rest.split_first_chunk()?;
    let (value, check) = (
        u64::from_le_bytes(*value),
        u64::from_le_bytes(check.try_into().ok()?),
    );
    (*version == COUNTER_VERSION && check == !value).then_some(value)
}
