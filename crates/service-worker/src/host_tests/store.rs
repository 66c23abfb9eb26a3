//! The checks of a store.

use sw_types::{WorkerId, WorkerState};

use super::samples::{put, registration, remove, unread, worker, workers};
use super::{Checked, Outcome, ensure, equal};
use crate::{RegistryStore, Restored, StoreError, StoredRegistration};

/// A profile whose store is under test: it can be opened again and again, and holds what was
/// committed.
pub trait Profile {
    /// Opens it. The store that was opened before has been dropped.
    ///
    /// # Errors
    /// For people.
    fn open(&mut self) -> Result<Box<dyn RegistryStore>, String>;
}

impl<F: FnMut() -> Result<Box<dyn RegistryStore>, String>> Profile for F {
    fn open(&mut self) -> Result<Box<dyn RegistryStore>, String> {
        self()
    }
}

impl Profile for Box<dyn Profile> {
    fn open(&mut self) -> Result<Box<dyn RegistryStore>, String> {
        self.as_mut().open()
    }
}

/// Runs all checks; `make` makes an empty profile for each.
pub fn store<P: Profile>(mut make: impl FnMut() -> P) -> Outcome {
    let mut outcome = Outcome::default();
    for (name, check) in CHECKS {
        outcome.add(name, check(&mut make()));
    }
    outcome
}

/// A check and what it is called.
type Named = (&'static str, fn(&mut dyn Profile) -> Checked);

const CHECKS: &[Named] = &[
    ("an empty profile restores nothing", empty),
    ("what is put is restored after reopening", put_and_restore),
    ("what is removed is gone, with its scripts", removed),
    ("removing what is not there is no error", remove_nothing),
    ("a put replaces the row", replaced),
    ("a worker that is put without its scripts keeps them", kept),
    (
        "a worker that is put again with its scripts keeps them",
        put_again,
    ),
    (
        "scripts of a worker that is no longer named are gone",
        purged,
    ),
    (
        "a waiting worker that becomes active keeps its scripts",
        promoted,
    ),
    ("ids are not given again after removal and reopening", ids),
    ("a batch is written in order", batch_in_order),
    (
        "a batch is written as a whole or not at all",
        all_or_nothing,
    ),
    ("an empty batch is no error", empty_batch),
    (
        "scripts of a worker that was never stored are an error",
        unknown_worker,
    ),
    ("restoring twice gives the same", restored_twice),
];

fn empty(profile: &mut dyn Profile) -> Checked {
    equal(
        "restored",
        &restore(&mut profile.open()?)?,
        &Restored::default(),
    )?;
    equal(
        "reopened",
        &restore(&mut profile.open()?)?,
        &Restored::default(),
    )
}

fn put_and_restore(profile: &mut dyn Profile) -> Checked {
    let all: Vec<_> = (1..=7).map(sample).collect::<Result<_, _>>()?;
    let mut store = profile.open()?;
    for registration in &all {
        commit(&mut store, &[put(registration)])?;
    }
    holds(&mut store, &all)?;
    drop(store);
    holds(&mut profile.open()?, &all)
}

fn removed(profile: &mut dyn Profile) -> Checked {
    let (first, second) = (sample(3)?, sample(4)?);
    let mut store = profile.open()?;
    commit(&mut store, &[put(&first), put(&second)])?;
    commit(&mut store, &[remove(3)])?;
    for worker in workers(&first) {
        no_scripts(&mut store, worker.id)?;
    }
    drop(store);
    let mut store = profile.open()?;
    holds(&mut store, &[second])?;
    workers(&first).try_for_each(|worker| no_scripts(&mut store, worker.id))
}

fn remove_nothing(profile: &mut dyn Profile) -> Checked {
    let mut store = profile.open()?;
    commit(&mut store, &[remove(3)])?;
    holds(&mut store, &[])
}

fn replaced(profile: &mut dyn Profile) -> Checked {
    let mut registration = sample(1)?;
    let mut store = profile.open()?;
    commit(&mut store, &[put(&registration)])?;
    registration.last_update_check = None;
    if let Some(active) = &mut registration.active {
        active.state = WorkerState::Activating;
        active.fall_through.clear();
    }
    commit(&mut store, &[put(&registration)])?;
    drop(store);
    holds(&mut profile.open()?, &[registration])
}

fn kept(profile: &mut dyn Profile) -> Checked {
    let mut registration = sample(3)?;
    let mut store = profile.open()?;
    commit(&mut store, &[put(&registration)])?;
    drop(store);
    let mut store = profile.open()?;
    registration.last_update_check = None;
    // Twice: the names of the scripts must survive a row that was written without them.
    for _ in 0..2 {
        commit(&mut store, &[put(&unread(registration.clone()))])?;
    }
    drop(store);
    holds(&mut profile.open()?, &[registration])
}

fn put_again(profile: &mut dyn Profile) -> Checked {
    let registration = sample(3)?;
    let mut store = profile.open()?;
    for _ in 0..3 {
        commit(&mut store, &[put(&registration)])?;
    }
    drop(store);
    holds(&mut profile.open()?, &[registration])
}

fn purged(profile: &mut dyn Profile) -> Checked {
    let mut registration = sample(1)?;
    let mut store = profile.open()?;
    commit(&mut store, &[put(&registration)])?;
    let script_url = match &registration.active {
        Some(active) => active.script_url.clone(),
        None => return Err("the sample has no active worker".to_owned()),
    };
    let old = registration
        .active
        .replace(worker(99, &script_url, WorkerState::Activated));
    commit(&mut store, &[put(&registration)])?;
    old.iter()
        .try_for_each(|old| no_scripts(&mut store, old.id))?;
    drop(store);
    holds(&mut profile.open()?, &[registration])
}

fn promoted(profile: &mut dyn Profile) -> Checked {
    let mut registration = sample(3)?;
    let mut store = profile.open()?;
    commit(&mut store, &[put(&registration)])?;
    let old = std::mem::replace(&mut registration.active, registration.waiting.take());
    if let Some(active) = &mut registration.active {
        active.state = WorkerState::Activating;
    }
    commit(&mut store, &[put(&unread(registration.clone()))])?;
    old.iter()
        .try_for_each(|old| no_scripts(&mut store, old.id))?;
    drop(store);
    holds(&mut profile.open()?, &[registration])
}

fn ids(profile: &mut dyn Profile) -> Checked {
    let mut store = profile.open()?;
    commit(&mut store, &[put(&sample(1)?), put(&sample(6)?)])?;
    commit(&mut store, &[remove(6)])?;
    commit(&mut store, &[remove(1)])?;
    for opened in ["at once", "reopened", "reopened again"] {
        let restored = restore(&mut store)?;
        ensure(restored.registrations.is_empty(), || {
            format!("{opened}: something is there")
        })?;
        ensure(restored.next_registration > 6, || {
            format!(
                "{opened}: registration {} is next",
                restored.next_registration
            )
        })?;
        ensure(restored.next_worker > 61, || {
            format!("{opened}: worker {} is next", restored.next_worker)
        })?;
        drop(store);
        store = profile.open()?;
    }
    Ok(())
}

fn batch_in_order(profile: &mut dyn Profile) -> Checked {
    let (first, second) = (sample(1)?, sample(2)?);
    let mut store = profile.open()?;
    let batch = [
        put(&first),
        put(&second),
        remove(1),
        remove(2),
        put(&second),
    ];
    commit(&mut store, &batch)?;
    drop(store);
    let mut store = profile.open()?;
    holds(&mut store, &[second])?;
    workers(&first).try_for_each(|worker| no_scripts(&mut store, worker.id))
}

fn all_or_nothing(profile: &mut dyn Profile) -> Checked {
    let (first, second) = (sample(1)?, sample(2)?);
    let mut store = profile.open()?;
    commit(&mut store, &[put(&first)])?;
    // Workers whose scripts nobody has ever seen: a store may refuse that.
    let bad = unread(sample(3)?);
    let expected = match store.commit(&[put(&second), remove(1), put(&bad)]) {
        Err(_) => vec![first],
        Ok(()) => vec![second, bad],
    };
    for opened in ["at once", "reopened"] {
        let found = decoded(&restore(&mut store)?)?;
        let expected: Vec<_> = expected.iter().cloned().map(unread).collect();
        equal(opened, &found, &expected)?;
        drop(store);
        store = profile.open()?;
    }
    Ok(())
}

fn empty_batch(profile: &mut dyn Profile) -> Checked {
    let mut store = profile.open()?;
    commit(&mut store, &[])?;
    holds(&mut store, &[])
}

fn unknown_worker(profile: &mut dyn Profile) -> Checked {
    let mut store = profile.open()?;
    commit(&mut store, &[put(&sample(1)?)])?;
    no_scripts(&mut store, WorkerId(12_345))?;
    no_scripts(&mut store, WorkerId(u64::MAX))
}

fn restored_twice(profile: &mut dyn Profile) -> Checked {
    let mut store = profile.open()?;
    let registration = sample(1)?;
    commit(&mut store, &[put(&registration)])?;
    drop(store);
    let mut store = profile.open()?;
    let first = restore(&mut store)?;
    equal("restored again", &restore(&mut store)?, &first)?;
    holds(&mut store, &[registration])
}

fn sample(id: u64) -> Result<StoredRegistration, String> {
    registration(id).map_err(|error| error.to_string())
}

fn restore(store: &mut Box<dyn RegistryStore>) -> Result<Restored, String> {
    store.restore().map_err(|error| format!("restore: {error}"))
}

fn decoded(restored: &Restored) -> Result<Vec<StoredRegistration>, String> {
    let decoded = restored.registrations.decode();
    decoded.map_err(|error| error.to_string())
}

fn commit(store: &mut Box<dyn RegistryStore>, batch: &[crate::StoreWrite]) -> Checked {
    store
        .commit(batch)
        .map_err(|error| format!("commit: {error}"))
}

/// The store holds these registrations, in the order of their ids, with all their scripts.
fn holds(store: &mut Box<dyn RegistryStore>, expected: &[StoredRegistration]) -> Checked {
    let restored = restore(store)?;
    equal("quarantined", &restored.quarantined, &Vec::new())?;
    let mut found = decoded(&restored)?;
    found.sort_by_key(|registration| registration.id);
    let unread: Vec<_> = expected.iter().cloned().map(unread).collect();
    equal("restored", &found, &unread)?;
    for worker in expected.iter().flat_map(workers) {
        let scripts = store
            .scripts(worker.id)
            .map_err(|error| format!("the scripts of {}: {error}", worker.id))?;
        equal("scripts", &scripts, &worker.scripts)?;
    }
    Ok(())
}

fn no_scripts(store: &mut Box<dyn RegistryStore>, worker: WorkerId) -> Checked {
    let scripts = store.scripts(worker);
    ensure(matches!(scripts, Err(StoreError::Damaged(_))), || {
        format!("{worker} has scripts: {scripts:?}")
    })
}
