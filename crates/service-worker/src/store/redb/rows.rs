//! The rows of other parts of the profile: opaque, in one table. A file without it has none.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use sw_registry::StoreError;

use super::tables::{refused, there};

const OTHERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("others");

pub(super) fn read(
    transaction: &ReadTransaction,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
    let Some(table) = there(transaction.open_table(OTHERS))? else {
        return Ok(BTreeMap::new());
    };
    let mut rows = BTreeMap::new();
    for row in table.iter().map_err(refused)? {
        let (key, value) = row.map_err(refused)?;
        rows.insert(key.value().to_vec(), value.value().to_vec());
    }
    Ok(rows)
}

pub(super) fn put(
    transaction: &WriteTransaction,
    key: &[u8],
    value: &[u8],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(OTHERS).map_err(refused)?;
    table.insert(key, value).map_err(refused)?;
    Ok(())
}

pub(super) fn remove(transaction: &WriteTransaction, prefix: &[u8]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(OTHERS).map_err(refused)?;
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
