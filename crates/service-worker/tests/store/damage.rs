//! Damage inside the file: of each record, and anywhere.

use std::collections::BTreeSet;
use std::path::Path;

use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use service_worker::host_tests::samples::{put, remove, unread, workers};
use service_worker::{RedbStore, RegistryStore, StoreError, StoredRegistration};

use super::disk::{Disk, Random};
use super::sample;

const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("registrations");
const SCRIPTS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("scripts");
const NEXT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("next");

/// Changes the bytes of a row behind the store's back.
pub(crate) fn alter_row(disk: &Disk, id: u64, alter: impl FnOnce(&mut Vec<u8>)) {
    let transaction = disk.database().unwrap();
    let transaction = transaction.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(ROWS).unwrap();
        let mut row = rows.get(id).unwrap().unwrap().value().to_vec();
        alter(&mut row);
        rows.insert(id, row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

/// Whose scripts are in the file, behind the store's back.
pub(crate) fn workers_with_scripts(disk: &Disk) -> BTreeSet<u64> {
    let database = disk.database().unwrap();
    let transaction = database.begin_read().unwrap();
    let Ok(scripts) = transaction.open_table(SCRIPTS) else {
        return BTreeSet::new();
    };
    let keys = scripts.iter().unwrap();
    keys.map(|entry| entry.unwrap().0.value().0).collect()
}

fn alter_script(disk: &Disk, worker: u64, url: &str, alter: impl FnOnce(&mut Vec<u8>)) {
    let database = disk.database().unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut scripts = transaction.open_table(SCRIPTS).unwrap();
        let script = scripts
            .get((worker, url))
            .unwrap()
            .unwrap()
            .value()
            .to_vec();
        let mut altered = script;
        alter(&mut altered);
        match altered.is_empty() {
            true => drop(scripts.remove((worker, url)).unwrap()),
            false => drop(scripts.insert((worker, url), altered.as_slice()).unwrap()),
        }
    }
    transaction.commit().unwrap();
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let disk = disk.clone();
    RedbStore::over(move || disk.database())
}

/// A profile of registrations 1 to 6, closed.
fn profile() -> Disk {
    let disk = Disk::default();
    let mut store = open(&disk).unwrap();
    for id in 1..=6 {
        store.commit(&[put(&sample(id))]).unwrap();
    }
    drop(store);
    Disk::holding(disk.bytes())
}

#[test]
fn a_flipped_byte_in_a_row_costs_that_registration_alone_and_names_it() {
    let profile = profile().bytes();
    for id in 1..=6 {
        let mut length = 0;
        alter_row(&Disk::holding(profile.clone()), id, |row| {
            length = row.len()
        });
        // Each byte of the first, with each bit in turn.
        let every = if id == 1 { 1 } else { 7 };
        for at in (0..length).step_by(every) {
            let disk = Disk::holding(profile.clone());
            alter_row(&disk, id, |row| row[at] ^= 1 << (at % 8));
            let mut store = open(&disk).unwrap();
            let restored = store.restore().unwrap();
            let context = format!("registration {id}, byte {at}");
            let whole = (1..=6).filter(|other| *other != id).map(sample);
            let rows: Vec<_> = whole.clone().map(unread).collect();
            assert_eq!(restored.registrations.decode().unwrap(), rows, "{context}");
            let [line] = restored.quarantined.as_slice() else {
                panic!("{context}: {:?}", restored.quarantined);
            };
            let script = format!("https://site{id}.test/app/sw.js");
            assert!(line.contains(&script), "{context}: {line}");
            for worker in whole.collect::<Vec<_>>().iter().flat_map(workers) {
                assert_eq!(
                    store.scripts(worker.id).unwrap(),
                    worker.scripts,
                    "{context}"
                );
            }
            for worker in workers(&sample(id)) {
                assert!(store.scripts(worker.id).is_err(), "{context}");
            }
            assert_eq!(restored.next_registration, 7, "{context}");
            // It is quarantined once, and its scope can be registered again.
            store.commit(&[put(&sample(8))]).unwrap();
            drop(store);
            let restored = open(&disk).unwrap().restore().unwrap();
            assert!(restored.quarantined.is_empty(), "{context}");
            assert_eq!(restored.registrations.len(), 6, "{context}");
        }
    }
}

/// Whoever goes back to the program that wrote them, or on to the next one, finds them there.
#[test]
fn rows_of_another_format_are_named_and_kept_and_the_others_go_on() {
    const QUARANTINE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quarantine");
    for (version, of) in [(1, 1..=6), (2, 1..=6), (2, 2..=3), (4, 5..=6), (255, 1..=1)] {
        let disk = profile();
        for id in of.clone() {
            alter_row(&disk, id, |row| {
                assert_eq!(row[0], 3, "then this test is of the older formats 1 to 3");
                row[0] = version;
            });
        }
        let mut store = open(&disk).unwrap();
        let restored = store.restore().unwrap();
        let others = (1..=6).filter(|id| !of.contains(id));
        let others: Vec<_> = others.map(|id| unread(sample(id))).collect();
        assert_eq!(restored.registrations.decode().unwrap(), others);
        assert_eq!(restored.quarantined.len(), of.clone().count());
        for line in &restored.quarantined {
            assert!(
                line.contains(&format!("format version {version}")),
                "{line}"
            );
        }
        // No id comes again, and the scopes can be registered.
        assert!(restored.next_registration > 6 && restored.next_worker > 60);
        let again = of.clone().map(|id| put(&sample(id + 10)));
        store.commit(&Vec::from_iter(again)).unwrap();
        drop(store);
        let again = open(&disk).unwrap().restore().unwrap();
        assert_eq!((again.registrations.len(), again.quarantined.len()), (6, 0));
        let database = disk.database().unwrap();
        let transaction = database.begin_read().unwrap();
        let quarantine = transaction.open_table(QUARANTINE).unwrap();
        for id in of {
            let kept = quarantine.get(id).unwrap().unwrap();
            assert_eq!(kept.value()[0], version);
        }
    }
}

/// So many rows are read on two threads.
#[test]
fn of_thousands_of_rows_the_damaged_alone_are_missing() {
    let disk = profile();
    let ids = 10..2_010;
    let writes: Vec<_> = ids.clone().map(|id| put(&sample(id))).collect();
    open(&disk).unwrap().commit(&writes).unwrap();
    for id in [1, 700, 2_009] {
        alter_row(&disk, id, |row| row.truncate(20));
    }
    let mut store = open(&disk).unwrap();
    let restored = store.restore().unwrap();
    let whole = (1..=6)
        .chain(ids)
        .filter(|id| ![1, 700, 2_009].contains(id));
    let whole: Vec<_> = whole.map(|id| unread(sample(id))).collect();
    assert_eq!(restored.registrations.decode().unwrap(), whole);
    assert_eq!(restored.quarantined.len(), 3);
    assert!(store.scripts(sample(700).active.unwrap().id).is_err());
    let read = store.scripts(sample(701).active.unwrap().id).unwrap();
    assert_eq!(read, sample(701).active.unwrap().scripts);
}

#[test]
fn a_row_under_another_id_is_quarantined() {
    let disk = profile();
    let database = disk.database().unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(ROWS).unwrap();
        let row = rows.remove(3).unwrap().unwrap().value().to_vec();
        rows.insert(u64::MAX, row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let restored = open(&disk).unwrap().restore().unwrap();
    assert_eq!(restored.registrations.len(), 5);
    assert_eq!(restored.quarantined.len(), 1);
    assert!(
        restored.quarantined[0].contains("the row of"),
        "{restored:?}"
    );
    assert_eq!(restored.next_registration, 7);
}

#[test]
fn a_damaged_script_fails_its_worker_alone_and_is_named() {
    let profile = profile().bytes();
    let expected = sample(2).active.unwrap();
    for url in expected.scripts.keys() {
        let mut length = 0;
        let disk = Disk::holding(profile.clone());
        alter_script(&disk, 20, url.as_str(), |script| length = script.len());
        // Each byte of its beginning, and some of the rest.
        let places = (0..12).chain((12..length).step_by(211));
        for at in places.map(Some).chain([None]) {
            let disk = Disk::holding(profile.clone());
            alter_script(&disk, 20, url.as_str(), |script| match at {
                Some(at) => script[at] ^= 1,
                None => script.clear(),
            });
            let mut store = open(&disk).unwrap();
            assert_eq!(store.restore().unwrap().registrations.len(), 6);
            let Err(StoreError::Damaged(reason)) = store.scripts(expected.id) else {
                panic!("{url}, byte {at:?}: it was read");
            };
            assert!(reason.contains(url.as_str()), "{reason}");
            for worker in [sample(1), sample(3)].iter().flat_map(workers) {
                assert_eq!(store.scripts(worker.id).unwrap(), worker.scripts);
            }
            // The next update replaces it.
            store.commit(&[remove(2), put(&sample(9))]).unwrap();
        }
    }
}

#[test]
fn a_damaged_counter_is_reported_and_no_id_comes_again() {
    for name in ["registration", "worker"] {
        let disk = profile();
        let mut store = open(&disk).unwrap();
        store.commit(&[remove(6)]).unwrap();
        drop(store);
        let database = disk.database().unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut next = transaction.open_table(NEXT).unwrap();
            let mut counter = next.get(name).unwrap().unwrap().value().to_vec();
            counter[1] = 0;
            next.insert(name, counter.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        drop(database);
        let restored = open(&disk).unwrap().restore().unwrap();
        assert_eq!(restored.registrations.len(), 5);
        assert!(restored.next_registration > 6 && restored.next_worker > 61);
        let [line] = restored.quarantined.as_slice() else {
            panic!("{:?}", restored.quarantined);
        };
        assert!(line.contains(name), "{line}");
        let again = open(&disk).unwrap().restore().unwrap();
        assert!(again.quarantined.is_empty());
        assert!(again.next_registration >= restored.next_registration);
        assert!(again.next_worker >= restored.next_worker);
    }
}

/// What came of opening a damaged file.
#[derive(Default, Debug)]
struct Tally {
    as_before: usize,
    quarantined: usize,
    from_copy: usize,
    empty: usize,
    scripts_damaged: usize,
    gone_back: usize,
}

/// Opens a damaged file, checks that nothing is lost in silence, and works with it.
fn survive(path: &Path, damaged: &[u8], seed: u64, tally: &mut Tally) {
    let (mut store, set_aside) = RedbStore::open(path).unwrap();
    let restored = store.restore().unwrap();
    let all: Vec<StoredRegistration> = (1..=6).map(sample).collect();
    let mut whole = 0;
    for registration in &restored.registrations.decode().unwrap() {
        let original = all.iter().find(|original| original.id == registration.id);
        let original = original.unwrap_or_else(|| panic!("seed {seed}: {registration:?}"));
        // A damaged last commit of a file that was not closed looks like one that was cut off: redb
        // goes back to the commit before it.
        let before_last = unread(not_stamped(original.clone()));
        let gone_back = seed % 2 == 1 && *registration == before_last;
        tally.gone_back += usize::from(gone_back);
        assert!(
            gone_back || *registration == unread(original.clone()),
            "seed {seed}: {registration:?}"
        );
        whole += 1;
        for worker in workers(original) {
            match store.scripts(worker.id) {
                Ok(scripts) => assert_eq!(scripts, worker.scripts, "seed {seed}"),
                Err(_) => tally.scripts_damaged += 1,
            }
        }
    }
    match &set_aside {
        Some(aside) => {
            assert_eq!(
                std::fs::read(&aside.kept_as).unwrap(),
                damaged,
                "seed {seed}"
            );
            assert_eq!(
                whole,
                if aside.from_copy { 6 } else { 0 },
                "seed {seed}: {aside}"
            );
            match aside.from_copy {
                true => tally.from_copy += 1,
                false => tally.empty += 1,
            }
        }
        None if whole == 6 => tally.as_before += 1,
        None => {
            let lines = restored.quarantined.len();
            assert!(
                whole + lines >= 6,
                "seed {seed}: {whole} and {:?}",
                restored.quarantined
            );
            tally.quarantined += 1;
        }
    }
    // Whatever it answers, it does so without a panic; and what it takes, it keeps or tells of.
    let taken = store.commit(&[put(&sample(12)), remove(1)]).is_ok();
    drop(store);
    let (mut store, set_aside) = RedbStore::open(path).unwrap();
    let restored = store.restore().unwrap();
    let is_there = |id| {
        let found = restored.registrations.decode().unwrap();
        found.iter().any(|registration| registration.id.0 == id)
    };
    let kept = is_there(12) && !is_there(1);
    let told = set_aside.is_some() || !restored.quarantined.is_empty();
    assert!(!taken || kept || told, "seed {seed}: {restored:?}");
}

fn not_stamped(mut registration: StoredRegistration) -> StoredRegistration {
    registration.last_update_check = None;
    registration
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    for _ in 0..=random.below(4) {
        // Most of a file is empty pages; half of the flips hit what is not.
        let at = match random.below(2) {
            0 => random.below(bytes.len()),
            _ => used[random.below(used.len())],
        };
        bytes[at] ^= 1 + random.below(255) as u8;
    }
}

#[test]
fn bytes_flipped_anywhere_never_panic_and_nothing_is_lost_in_silence() {
    let closed = profile().bytes();
    let left_open = {
        let disk = Disk::holding(closed.clone());
        let mut store = open(&disk).unwrap();
        store.commit(&[put(&not_stamped(sample(1)))]).unwrap();
        store.commit(&[put(&sample(1))]).unwrap();
        disk.bytes()
    };
    let seeds = 0..300_u64;
    println!("seeds {seeds:?}");
    let mut tally = Tally::default();
    for seed in seeds {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.redb");
        let mut damaged = match seed % 2 {
            0 => closed.clone(),
            _ => left_open.clone(),
        };
        match random.below(10) {
            0 => damaged.truncate(random.below(closed.len())),
            _ => flip(&mut damaged, &mut random),
        }
        std::fs::write(&path, &damaged).unwrap();
        if random.below(2) == 0 {
            std::fs::write(folder.path().join("profile.redb.last-clean"), &closed).unwrap();
        }
        survive(&path, &damaged, seed, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.as_before > 0 && tally.quarantined > 0, "{tally:?}");
    assert!(tally.from_copy > 0 && tally.empty > 0, "{tally:?}");
}
