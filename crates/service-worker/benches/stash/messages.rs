//! T1 and T2: durable messages, from `postMessage` until the handler of the worker at the other end
//! runs.

use std::path::Path;
use std::time::Instant;

use redb::{Database, TableDefinition};
use service_worker::message_port::{Message, MessageChannel};
use service_worker::stash::EntryId;
use service_worker::types::WorkerId;

use crate::house::House;
use crate::measure::{Plan, Row, Title, contender, measure};

const PAYLOAD: [u8; 64] = [7; 64];
const BURST: usize = 1_000;

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    if plan.wants("T1") {
        rows.push(alone());
    }
    if plan.wants("T2") {
        rows.push(bursts());
    }
    rows
}

/// Both ends of a channel are stashed, by one worker; what is posted at the first comes at the other.
fn talking(folder: &Path) -> (House, WorkerId, EntryId) {
    let mut house = House::open(&folder.join("profile.redb"));
    let (_, worker) = house.install(0);
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let [first, _] = [port1, port2].map(|port| {
        let stashed = house.handle.stash_port(worker, "talk", port);
        stashed.expect("it may").expect("an open port")
    });
    (house, worker, first)
}

/// T1.
fn alone() -> Row {
    let folder = tempfile::tempdir().expect("a folder for the profile");
    let (mut house, worker, first) = talking(folder.path());
    let mut rival = Rival::new(folder.path());
    let title = Title {
        id: "T1",
        name: "durable message alone, posted until handled",
        unit: "ms",
        runs: 301,
    };
    let ours = || {
        let start = Instant::now();
        let message = Message::new(&PAYLOAD[..]);
        house.handle.post_stashed(worker, first, message);
        house.takes(1);
        milliseconds(start)
    };
    let row = measure(
        title,
        ours,
        vec![contender("one redb commit", || rival.commit(1))],
    );
    house.shut_down();
    row
}

/// T2.
fn bursts() -> Row {
    let folder = tempfile::tempdir().expect("a folder for the profile");
    let (mut house, worker, first) = talking(folder.path());
    let mut rival = Rival::new(folder.path());
    let title = Title {
        id: "T2",
        name: "durable messages in bursts of 1,000, posted until handled",
        unit: "µs each",
        runs: 51,
    };
    let each = 1e3 / BURST as f64;
    let ours = || {
        let start = Instant::now();
        for _ in 0..BURST {
            let message = Message::new(&PAYLOAD[..]);
            house.handle.post_stashed(worker, first, message);
        }
        house.takes(BURST);
        milliseconds(start) * each
    };
    let rival = contender("redb, a row each, one commit", || {
        rival.commit(BURST) * each
    });
    let row = measure(title, ours, vec![rival]);
    house.shut_down();
    row
}

/// redb by itself.
struct Rival {
    database: Database,
    next: u64,
}

impl Rival {
    fn new(folder: &Path) -> Self {
        Self {
            database: Database::create(folder.join("rival.redb")).expect("a new database"),
            next: 0,
        }
    }

    fn commit(&mut self, rows: usize) -> f64 {
        const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
        let start = Instant::now();
        let transaction = self.database.begin_write().expect("a transaction");
        let mut table = transaction.open_table(TABLE).expect("a table");
        for _ in 0..rows {
            self.next += 1;
            table.insert(self.next, &PAYLOAD[..]).expect("a row");
        }
        drop(table);
        transaction.commit().expect("the disk takes it");
        milliseconds(start)
    }
}

pub(crate) fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
