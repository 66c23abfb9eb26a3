//! The rows of other parts of the profile: opaque, in one table; and their blobs, which are read one
//! at a time, in another. A file without a table has none.

use std::collections::BTreeMap;

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, WriteTransaction,
};
use sw_registry::StoreError;

use super::tables::{refused, there};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const OTHERS: Definition = TableDefinition::new("others");
const BLOBS: Definition = TableDefinition::new("blobs");

pub(super) fn read(
    transaction: &ReadTransaction,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
    let Some(table) = there(transaction.open_table(OTHERS))? else {
        return Ok(BTreeMap::new());
    };
    let mut rows = Vec::new();
    for row in table.iter().map_err(refused)? {
        let (key, value) = row.map_err(refused)?;
        rows.push((key.value().to_vec(), value.value().to_vec()));
    }
    // They come in order, so this takes no look-ups.
    Ok(rows.into_iter().collect())
}

pub(super) fn blob(database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let transaction = database.begin_read().map_err(refused)?;
    let Some(table) = there(transaction.open_table(BLOBS))? else {
        return Ok(None);
    };
    let found = table.get(key).map_err(refused)?;
    Ok(found.map(|found| found.value().to_vec()))
}

/// The two tables in a batch that is being written, opened when they are needed.
pub(super) struct Rows<'t> {
    transaction: &'t WriteTransaction,
    others: Option<Table<'t, &'static [u8], &'static [u8]>>,
    blobs: Option<Table<'t, &'static [u8], &'static [u8]>>,
}

impl<'t> Rows<'t> {
    pub(super) const fn new(transaction: &'t WriteTransaction) -> Self {
        Self {
            transaction,
            others: None,
            blobs: None,
        }
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let table = opened(self.transaction, &mut self.others, OTHERS)?;
        table.insert(key, value).map_err(refused)?;
        Ok(())
    }

    pub(super) fn put_blob(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let table = opened(self.transaction, &mut self.blobs, BLOBS)?;
        table.insert(key, value).map_err(refused)?;
        Ok(())
    }

    pub(super) fn remove(&mut self, prefix: &[u8]) -> Result<(), StoreError> {
        remove(opened(self.transaction, &mut self.others, OTHERS)?, prefix)?;
        let blobs = opened(self.transaction, &mut self.blobs, BLOBS)?;
        // It mostly is, and a look at its size is cheaper than one for a key.
        match blobs.is_empty().map_err(refused)? {
            true => Ok(()),
            false => remove(blobs, prefix),
        }
    }
}

fn opened<'a, 't>(
    transaction: &'t WriteTransaction,
    table: &'a mut Option<Table<'t, &'static [u8], &'static [u8]>>,
    definition: Definition,
) -> Result<&'a mut Table<'t, &'static [u8], &'static [u8]>, StoreError> {
    match table {
        Some(table) => Ok(table),
        none => Ok(none.insert(transaction.open_table(definition).map_err(refused)?)),
    }
}

fn remove(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    prefix: &[u8],
) -> Result<(), StoreError> {
    let mut keys = Vec::new();
    for row in table.range(prefix..).map_err(refused)? {
        let (key, _) = row.map_err(refused)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        keys.push(key.value().to_vec());
    }
    for key in keys {
        table.remove(key.as_slice()).map_err(refused)?;
    }
    Ok(())
}
