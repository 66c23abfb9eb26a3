//! The index in redb: caches, entries, and the quarantine. Rows in, rows out; no rules.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::record::{CacheRecord, EntryKey, EntryRecord};
use super::usage::PaddingKey;

/// Cache → its record.
const CACHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("caches");
/// (Cache, URL without query and fragment, order) → its record.
const ENTRIES: TableDefinition<'_, (u64, &str, u64), &[u8]> = TableDefinition::new("entries");
/// (Cache, order, or 0 for the cache's own row) → the damaged record, for whoever wants to look.
const QUARANTINE: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("quarantine");
/// Name → a value that the whole store has.
const STORE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("store");
/// The name of what paddings are made of.
const PADDING: &str = "padding";

pub(super) struct Index(Database);

/// A row and what it holds, or what is wrong with it.
pub(super) type Row<K, T> = (K, Result<T, String>);

impl Index {
    /// Takes an open database, and makes the tables.
    pub(super) fn new(database: Database) -> Result<Self, redb::Error> {
        let write = database.begin_write()?;
        write.open_table(CACHES)?;
        write.open_table(ENTRIES)?;
        write.open_table(QUARANTINE)?;
        write.commit()?;
        Ok(Self(database))
    }

    /// What paddings are made of; `new` if there is nothing yet.
    pub(super) fn padding_key(&self, new: PaddingKey) -> Result<PaddingKey, redb::Error> {
        let mut key = new;
        self.write(|write| {
            let mut table = write.open_table(STORE)?;
            let kept = table.get(PADDING)?;
            let kept = kept.and_then(|kept| PaddingKey::try_from(kept.value()).ok());
            match kept {
                Some(kept) => key = kept,
                None => drop(table.insert(PADDING, new.as_slice())?),
            }
            Ok(())
        })?;
        Ok(key)
    }

    pub(super) fn caches(&self) -> Result<Vec<Row<u64, CacheRecord>>, redb::Error> {
        let table = self.0.begin_read()?.open_table(CACHES)?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (id, bytes) = row?;
            rows.push((id.value(), CacheRecord::decode(id.value(), bytes.value())));
        }
        Ok(rows)
    }

    /// Every entry of every cache, one after the other.
    pub(super) fn for_each_entry(
        &self,
        mut visit: impl FnMut(EntryKey, Result<EntryRecord, String>),
    ) -> Result<(), redb::Error> {
        let table = self.0.begin_read()?.open_table(ENTRIES)?;
        for row in table.iter()? {
            let (key, bytes) = row?;
            let (key, record) = entry(key.value(), bytes.value());
            visit(key, record);
        }
        Ok(())
    }

    /// The entries of a cache, or those with one base, in the order in which they were put.
    pub(super) fn entries(
        &self,
        cache: u64,
        base: Option<&str>,
    ) -> Result<Vec<Row<EntryKey, EntryRecord>>, redb::Error> {
        let table = self.0.begin_read()?.open_table(ENTRIES)?;
        let range = match base {
            Some(base) => table.range((cache, base, 0)..=(cache, base, u64::MAX))?,
            None => table.range((cache, "", 0)..(cache.saturating_add(1), "", 0))?,
        };
        let mut rows = Vec::new();
        for row in range {
            let (key, bytes) = row?;
            rows.push(entry(key.value(), bytes.value()));
        }
        rows.sort_by_key(|(key, _)| key.order);
        Ok(rows)
    }

    pub(super) fn put_cache(&self, id: u64, record: &CacheRecord) -> Result<(), redb::Error> {
        let bytes = record.encode(id).map_err(too_odd)?;
        self.write(|write| {
            write.open_table(CACHES)?.insert(id, bytes.as_slice())?;
            Ok(())
        })
    }

    /// Removes entries and adds others, all or nothing.
    pub(super) fn replace(
        &self,
        removed: &[EntryKey],
        added: &[(EntryKey, EntryRecord)],
    ) -> Result<(), redb::Error> {
        self.write(|write| {
            let mut table = write.open_table(ENTRIES)?;
            for key in removed {
                table.remove((key.cache, key.base.as_str(), key.order))?;
            }
            for (key, record) in added {
                let bytes = record.encode(key).map_err(too_odd)?;
                table.insert((key.cache, key.base.as_str(), key.order), bytes.as_slice())?;
            }
            Ok(())
        })
    }

    /// Moves the rows of entries into quarantine.
    pub(super) fn quarantine_entries(&self, keys: &[EntryKey]) -> Result<(), redb::Error> {
        self.write(|write| {
            let mut entries = write.open_table(ENTRIES)?;
            let mut quarantine = write.open_table(QUARANTINE)?;
            for key in keys {
                if let Some(row) = entries.remove((key.cache, key.base.as_str(), key.order))? {
                    quarantine.insert((key.cache, key.order), row.value())?;
                }
            }
            Ok(())
        })
    }

    /// Moves the row of a cache into quarantine.
    pub(super) fn quarantine_cache(&self, id: u64) -> Result<(), redb::Error> {
        self.write(|write| {
            let mut caches = write.open_table(CACHES)?;
            if let Some(row) = caches.remove(id)? {
                write.open_table(QUARANTINE)?.insert((id, 0), row.value())?;
            }
            Ok(())
        })
    }

    /// Deletes caches with all their entries, and from the quarantine what belongs to caches that
    /// are not `kept`; the numbers of the bodies that the entries named.
    pub(super) fn purge(
        &self,
        caches: &[u64],
        kept: impl Fn(u64) -> bool,
    ) -> Result<Vec<u64>, redb::Error> {
        let mut bodies = Vec::new();
        self.write(|write| {
            let mut cache_table = write.open_table(CACHES)?;
            let mut entries = write.open_table(ENTRIES)?;
            for &id in caches {
                cache_table.remove(id)?;
                let range = (id, "", 0)..(id.saturating_add(1), "", 0);
                entries.retain_in(range, |key, bytes| {
                    let (_, record) = entry(key, bytes);
                    let body = record.ok().and_then(|record| record.body);
                    bodies.extend(body.map(|body| body.number));
                    false
                })?;
            }
            write
                .open_table(QUARANTINE)?
                .retain(|(id, _), _| kept(id))?;
            Ok(())
        })?;
        Ok(bodies)
    }

    /// How many rows are in quarantine.
    pub(super) fn quarantined(&self) -> Result<u64, redb::Error> {
        use redb::ReadableTableMetadata;
        Ok(self.0.begin_read()?.open_table(QUARANTINE)?.len()?)
    }

    /// The highest number of a cache or an entry in quarantine; 0 if there is none.
    pub(super) fn highest_quarantined(&self) -> Result<u64, redb::Error> {
        let table = self.0.begin_read()?.open_table(QUARANTINE)?;
        let mut highest = 0;
        for row in table.iter()? {
            let (cache, order) = row?.0.value();
            highest = highest.max(cache).max(order);
        }
        Ok(highest)
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let write = self.0.begin_write()?;
        change(&write)?;
        Ok(write.commit()?)
    }
}

fn entry((cache, base, order): (u64, &str, u64), bytes: &[u8]) -> Row<EntryKey, EntryRecord> {
    let key = EntryKey {
        cache,
        base: base.to_owned(),
        order,
    };
    let record = EntryRecord::decode(&key, bytes);
    (key, record)
}

/// A value that postcard cannot write; none is known.
fn too_odd(error: postcard::Error) -> redb::Error {
    redb::Error::Io(std::io::Error::other(error))
}
