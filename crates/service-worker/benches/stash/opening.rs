//! T4: opening a profile of many stashed ports with a message each.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use service_worker::stash::EntryId;
use service_worker::stash::record::{self, Kind, StoredEntry, StoredMessage};
use service_worker::types::Timestamp;
use service_worker::{RedbStore, RegistryStore, StoreWrite};

use crate::house::{House, opened};
use crate::measure::{Plan, Row, Title, contender, measure};
use crate::messages::milliseconds;

const ENTRIES: u64 = 100_000;
const SITES: usize = 100;

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    match plan.wants("T4") {
        true => vec![opening()],
        false => Vec::new(),
    }
}

/// T4.
fn opening() -> Row {
    let folder = tempfile::tempdir().expect("a folder for the profile");
    let path = folder.path().join("profile.redb");
    fill(&path);
    let title = Title {
        id: "T4",
        name: "open a profile of 100,000 stashed ports with a message each",
        unit: "ms",
        runs: 5,
    };
    let ours = || {
        let start = Instant::now();
        let opened = opened(&path);
        let passed = milliseconds(start);
        assert!(opened.quarantined.is_empty());
        passed
    };
    let rival = contender("redb, the same rows", || {
        let start = Instant::now();
        let bytes = read_rows(&path);
        assert!(black_box(bytes) > 100_000);
        milliseconds(start)
    });
    measure(title, ours, vec![rival])
}

/// Entry 2n and entry 2n + 1 are the two ends of a channel.
fn fill(path: &Path) {
    let mut house = House::open(path);
    let workers: Vec<_> = (0..SITES).map(|site| house.install(site)).collect();
    house.shut_down();
    let mut batch = Vec::new();
    for number in 0..ENTRIES {
        let (registration, stashed_by) = workers[number as usize % SITES];
        let id = EntryId(number + 2);
        put(
            &mut batch,
            id,
            Kind::Entry,
            &StoredEntry {
                registration,
                stashed_by,
                activated: true,
                created: Timestamp(1_700_000_000_000),
                name: "subscribers".to_owned(),
                place: number,
                peer: Some(EntryId(id.0 ^ 1)),
            },
        );
        put(
            &mut batch,
            id,
            Kind::Message(number),
            &vec![StoredMessage {
                payload: Some(vec![7; 64]),
                bytes: 64,
                ports: Vec::new(),
            }],
        );
    }
    let (mut store, _) = RedbStore::open(path).expect("the profile");
    store.commit(&batch).expect("the disk takes it");
}

fn put(batch: &mut Vec<StoreWrite>, id: EntryId, kind: Kind, content: &impl serde::Serialize) {
    let key = record::key(id, kind);
    let value = record::encode(&key, content).expect("it can be written");
    batch.push(StoreWrite::PutRow { key, value });
}

/// The rival: every row of the table that holds them.
fn read_rows(path: &Path) -> usize {
    const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("others");
    let database = Database::open(path).expect("the profile");
    let transaction = database.begin_read().expect("a database that is read");
    let table = transaction.open_table(ROWS).expect("the table of rows");
    let rows = table.iter().expect("its rows");
    rows.map(|row| row.expect("a row").1.value().to_vec().len())
        .sum()
}
