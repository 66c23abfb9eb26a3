//! What is durable: opening a profile, and a registration until its worker is activated.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use service_worker::native_host::{NativeHost, NativeWorker};
use service_worker::tokio_adapter::{TokioClock, spawn};
use service_worker::types::{ClientId, Environment, UpdateViaCache, WorkerState, WorkerType};
use service_worker::{
    Config, Handle, HostEvent, Network, NetworkFuture, NetworkRequest, NetworkResponse, NoCaches,
    Policies, RedbStore, RegisterOptions, RegistryStore, Report, Reports, ServiceWorkers,
    StoreWrite, open,
};
use tokio::runtime::Runtime;

use crate::measure::{Plan, Row, Title, contender, measure};
use crate::samples::{address, registration, with_script};

const REGISTRATIONS: usize = 100_000;

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    if plan.wants("R4") {
        rows.push(opening());
    }
    if plan.wants("R5") {
        rows.push(registering());
    }
    rows
}

fn opened(store: RedbStore) -> ServiceWorkers {
    open(Config {
        policies: Policies::shipping(),
        clock: Arc::new(TokioClock),
        network: Arc::new(OneScript),
        caches: Arc::new(NoCaches),
        store: Box::new(store),
    })
    .expect("the store was opened")
}

/// R4: all rows, scripts not read.
fn opening() -> Row {
    let folder = tempfile::tempdir().expect("a folder for the profile");
    let path = folder.path().join("profile.redb");
    {
        let (mut store, _) = RedbStore::open(&path).expect("a new profile");
        let all: Vec<usize> = (0..REGISTRATIONS).collect();
        for some in all.chunks(5_000) {
            let put = |at: &usize| {
                let row = with_script(registration(*at as u64 + 1, at / 10, at % 10));
                StoreWrite::Put(Box::new(row))
            };
            let batch: Vec<StoreWrite> = some.iter().map(put).collect();
            store.commit(&batch).expect("the disk takes it");
        }
    }
    let title = Title {
        id: "R4",
        name: "open a profile of 100,000 registrations",
        unit: "ms",
        runs: 5,
    };
    let ours = || {
        let start = Instant::now();
        let (store, set_aside) = RedbStore::open(&path).expect("the profile");
        let opened = opened(store);
        let passed = milliseconds(start);
        assert!(set_aside.is_none() && opened.quarantined.is_empty());
        passed
    };
    let rival = contender("redb, the same rows", || {
        let start = Instant::now();
        let bytes = read_rows(&path);
        assert!(black_box(bytes) > REGISTRATIONS);
        milliseconds(start)
    });
    measure(title, ours, vec![rival])
}

/// The rival of R4: every row of the table that holds them.
fn read_rows(path: &Path) -> usize {
    const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("registrations");
    let database = Database::open(path).expect("the profile");
    let transaction = database.begin_read().expect("a database that is read");
    let table = transaction.open_table(ROWS).expect("the table of rows");
    let rows = table.iter().expect("its rows");
    rows.map(|row| row.expect("a row").1.value().to_vec().len())
        .sum()
}

/// R5: `register()` until the worker is activated, with a native worker that listens to nothing.
fn registering() -> Row {
    let folder = tempfile::tempdir().expect("a folder for the profile");
    let (store, _) = RedbStore::open(&folder.path().join("profile.redb")).expect("a new profile");
    let database = Database::create(folder.path().join("rival.redb")).expect("a new database");
    let runtime = Runtime::new().expect("a runtime");
    let opened = opened(store);
    let (handle, mut reports) = (opened.handle, opened.reports);
    runtime.spawn(NativeHost::new(
        handle.clone(),
        opened.commands,
        [("worker".to_owned(), NativeWorker::new())],
    ));
    let driven = {
        let _runtime = runtime.enter();
        spawn(opened.driver)
    };
    let title = Title {
        id: "R5",
        name: "register until activated, durable",
        unit: "ms",
        runs: 49,
    };
    let (mut site, mut row) = (0, 0_u64);
    let ours = || {
        site += 1;
        runtime.block_on(register(&handle, &mut reports, site))
    };
    let rival = contender("one redb commit", || {
        row += 1;
        commit(&database, row)
    });
    let row = measure(title, ours, vec![rival]);
    runtime.block_on(handle.shut_down());
    runtime.block_on(driven).expect("the driver ends");
    row
}

async fn register(handle: &Handle, reports: &mut Reports, site: usize) -> f64 {
    let client = ClientId(site as u64);
    let page = Environment::top_level(client, address(site, 0, "page"));
    handle.host_event(HostEvent::ClientCreated(page));
    handle.host_event(HostEvent::ClientReady(client));
    handle.caught_up().await;
    let options = RegisterOptions {
        script_url: "sw.js".to_owned(),
        scope: None,
        base_url: address(site, 0, ""),
        worker_type: WorkerType::Classic,
        update_via_cache: UpdateViaCache::Imports,
        referrer: None,
    };
    let start = Instant::now();
    let registered = handle.register(client, options).await;
    registered.expect("the script is there");
    while let Some(report) = reports.next().await {
        match report {
            Report::WorkerState {
                state: WorkerState::Activated,
                ..
            } => break,
            Report::WorkerState { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    milliseconds(start)
}

/// The rival of R5: one small row, durable.
fn commit(database: &Database, row: u64) -> f64 {
    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
    let start = Instant::now();
    let transaction = database.begin_write().expect("a transaction");
    let mut table = transaction.open_table(TABLE).expect("a table");
    table.insert(row, &[7; 300][..]).expect("a row");
    drop(table);
    transaction.commit().expect("the disk takes it");
    milliseconds(start)
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// A network that has one script.
struct OneScript;

impl Network for OneScript {
    fn send(&self, _: NetworkRequest) -> NetworkFuture {
        Box::pin(async {
            let javascript = HeaderValue::from_static("text/javascript");
            Ok(NetworkResponse {
                status: StatusCode::OK,
                status_text: "OK".to_owned(),
                headers: HeaderMap::from_iter([(CONTENT_TYPE, javascript)]),
                body: "worker".into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}
