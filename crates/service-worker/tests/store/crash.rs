//! Power cuts at every write of a scripted history.

use service_worker::host_tests::samples::{put, remove, unread, worker, workers};
use service_worker::types::{RegistrationId, WorkerState};
use service_worker::{RedbStore, RegistryStore, StoreError, StoreWrite, StoredRegistration};

use super::disk::{Disk, Random};
use super::sample;

/// What a store must hold, in the order of the ids.
type Holding = Vec<StoredRegistration>;

/// Registrations come, are updated, promoted, stamped and removed; each step with what is held
/// after it.
fn history() -> Vec<(Vec<StoreWrite>, Holding)> {
    let mut holding = Holding::new();
    let mut steps = Vec::new();
    let mut step = |change: &mut dyn FnMut(&mut Holding) -> Vec<StoreWrite>| {
        let batch = change(&mut holding);
        holding.sort_by_key(|registration| registration.id);
        steps.push((batch, holding.clone()));
    };
    for id in 1..=4 {
        step(&mut |holding| {
            holding.push(sample(id));
            vec![put(&sample(id))]
        });
    }
    // An update: a new worker is installed, waits, and takes over.
    step(&mut |holding| {
        let script_url = holding[0].active.as_ref().unwrap().script_url.clone();
        holding[0].waiting = Some(worker(501, &script_url, WorkerState::Installed));
        let mut row = holding[0].clone();
        row.active.as_mut().unwrap().scripts.clear();
        vec![put(&row)]
    });
    for state in [WorkerState::Activating, WorkerState::Activated] {
        step(&mut |holding| {
            if let Some(waiting) = holding[0].waiting.take() {
                holding[0].active = Some(waiting);
            }
            holding[0].active.as_mut().unwrap().state = state;
            vec![put(&unread(holding[0].clone()))]
        });
    }
    // Several at once, one of them gone.
    step(&mut |holding| {
        holding.retain(|registration| registration.id != RegistrationId(3));
        holding.extend([sample(5), sample(6)]);
        vec![remove(3), put(&sample(5)), put(&sample(6))]
    });
    step(&mut |holding| {
        holding[1].last_update_check = None;
        vec![put(&unread(holding[1].clone()))]
    });
    step(&mut |holding| {
        holding.clear();
        [1, 2, 4, 5, 6].map(remove).to_vec()
    });
    step(&mut |holding| {
        holding.push(sample(7));
        vec![put(&sample(7))]
    });
    steps
}

/// A disk with a database, and nothing in it yet: a file gets its name when it is one.
fn new_disk() -> Disk {
    let disk = Disk::default();
    drop(disk.database().unwrap());
    Disk::holding(disk.bytes())
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let disk = disk.clone();
    RedbStore::over(move || disk.database())
}

/// Runs the history; gives how many steps were acknowledged.
fn run(disk: &Disk) -> usize {
    let Ok(mut store) = open(disk) else { return 0 };
    let acknowledged = history()
        .iter()
        .take_while(|(batch, _)| store.commit(batch).is_ok())
        .count();
    drop(store);
    acknowledged
}

/// Opens what is left after a cut, and finds one of the allowed states, whole.
fn check(disk: &Disk, allowed: &[Holding], least_id: u64, context: &str) {
    let mut store = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let restored = store.restore().unwrap();
    assert!(restored.quarantined.is_empty(), "{context}: {restored:?}");
    let holding = allowed.iter().find(|holding| {
        let rows: Vec<_> = holding.iter().cloned().map(unread).collect();
        rows == restored.registrations.decode().unwrap()
    });
    let holding = holding.unwrap_or_else(|| panic!("{context}: {:?}", restored.registrations));
    assert!(
        least_id == 0 || restored.next_registration > least_id,
        "{context}"
    );
    for worker in holding.iter().flat_map(workers) {
        let scripts = store
            .scripts(worker.id)
            .unwrap_or_else(|error| panic!("{context}: a row without its scripts: {error}"));
        assert_eq!(scripts, worker.scripts, "{context}");
    }
    // And no scripts without their row.
    drop(store);
    let named = holding.iter().flat_map(workers).map(|worker| worker.id.0);
    let named: std::collections::BTreeSet<u64> = named.collect();
    let orphans = &super::damage::workers_with_scripts(disk) - &named;
    assert!(orphans.is_empty(), "{context}: scripts of {orphans:?}");
}

/// The states that are allowed when so many steps were acknowledged: the last of them, or the one
/// that was under way.
fn allowed(steps: &[(Vec<StoreWrite>, Holding)], acknowledged: usize) -> Vec<Holding> {
    let after = |count: usize| match count {
        0 => Holding::new(),
        _ => steps[count - 1].1.clone(),
    };
    let under_way = (acknowledged + 1).min(steps.len());
    vec![after(acknowledged), after(under_way)]
}

/// The greatest id that was acknowledged.
fn least_id(steps: &[(Vec<StoreWrite>, Holding)], acknowledged: usize) -> u64 {
    let ids = steps[..acknowledged]
        .iter()
        .flat_map(|(_, holding)| holding.iter().map(|registration| registration.id.0));
    ids.max().unwrap_or(0)
}

#[test]
fn a_power_cut_at_any_write_leaves_whole_registrations_and_loses_nothing_acknowledged() {
    let steps = history();
    let disk = new_disk();
    assert_eq!(run(&disk), steps.len());
    let operations = disk.operations();
    println!("{operations} operations, seeds are the operations' numbers");
    let mut seen = std::collections::BTreeSet::new();
    for cut in 0..operations {
        let disk = new_disk().cut_at(cut);
        let acknowledged = run(&disk);
        seen.insert(acknowledged);
        let (allowed, least) = (
            allowed(&steps, acknowledged),
            least_id(&steps, acknowledged),
        );
        let mut random = Random::new(cut as u64);
        let context = |what| format!("cut {cut}, {acknowledged} acknowledged, {what}");
        check(
            &disk.after_cut(|| false),
            &allowed,
            least,
            &context("unsynced lost"),
        );
        check(
            &disk.after_cut(|| true),
            &allowed,
            least,
            &context("unsynced kept"),
        );
        let torn = disk.after_cut(|| random.next() & 1 == 0);
        check(&torn, &allowed, least, &context("unsynced torn"));
        // And again while the file is being repaired.
        let torn = disk.after_cut(|| random.next() & 1 == 0);
        let again = Disk::holding(torn.bytes()).cut_at(random.below(12));
        drop(open(&again));
        let torn = again.after_cut(|| random.next() & 1 == 0);
        check(&torn, &allowed, least, &context("cut again in the repair"));
    }
    assert_eq!(
        seen.len(),
        steps.len() + 1,
        "a step was never cut: {seen:?}"
    );
}

#[test]
fn a_power_cut_while_a_damaged_row_is_quarantined_loses_no_other() {
    let disk = Disk::default();
    let mut store = open(&disk).unwrap();
    store.commit(&[1, 2, 3].map(|id| put(&sample(id)))).unwrap();
    drop(store);
    super::damage::alter_row(&disk, 2, |row| row[7] ^= 1);
    let damaged = disk.bytes();
    let whole = [unread(sample(1)), unread(sample(3))];
    let disk = Disk::holding(damaged.clone());
    drop(open(&disk).unwrap());
    for cut in 0..disk.operations() {
        let disk = Disk::holding(damaged.clone()).cut_at(cut);
        drop(open(&disk));
        let mut random = Random::new(cut as u64);
        let disk = disk.after_cut(|| random.next() & 1 == 0);
        let mut store = open(&disk).unwrap();
        let restored = store.restore().unwrap();
        assert_eq!(restored.registrations.decode().unwrap(), whole, "cut {cut}");
        assert!(restored.quarantined.len() <= 1, "cut {cut}");
        assert!(restored.next_registration > 3, "cut {cut}");
        for worker in [sample(1), sample(3)].iter().flat_map(workers) {
            assert_eq!(
                store.scripts(worker.id).unwrap(),
                worker.scripts,
                "cut {cut}"
            );
        }
    }
}

#[test]
fn a_disk_that_refuses_for_a_moment_is_written_to_again() {
    let disk = Disk::default();
    let mut store = open(&disk).unwrap();
    store.commit(&[put(&sample(1))]).unwrap();
    let (mut refused, mut failures) = (2, 0);
    for id in 2..30 {
        disk.hiccup_at(disk.operations() + id as usize % 5);
        match store.commit(&[put(&sample(id))]) {
            Ok(()) => {}
            Err(error) => {
                assert!(matches!(error, StoreError::Io(_)), "{error}");
                (refused, failures) = (id, failures + 1);
                assert_eq!(
                    store.scripts(sample(1).active.unwrap().id).unwrap().len(),
                    2
                );
                store.commit(&[put(&sample(id))]).unwrap();
            }
        }
    }
    assert!(failures > 3, "{failures}, last {refused}");
    drop(store);
    let restored = open(&disk).unwrap().restore().unwrap();
    let expected: Vec<_> = (1..30).map(sample).map(unread).collect();
    assert_eq!(restored.registrations.decode().unwrap(), expected);
}

#[test]
fn opening_an_unchanged_profile_asks_for_no_commit() {
    let disk = Disk::default();
    let mut store = open(&disk).unwrap();
    store.commit(&[put(&sample(1))]).unwrap();
    drop(store);
    let disk = Disk::holding(disk.bytes());
    let opened = disk.database().unwrap();
    let by_redb_alone = disk.operations();
    drop(opened);
    let disk = Disk::holding(disk.bytes());
    let mut store = open(&disk).unwrap();
    store.restore().unwrap();
    store.scripts(sample(1).active.unwrap().id).unwrap();
    assert_eq!(disk.operations(), by_redb_alone);
}
