//! The stores: the kit, power cuts, damage, files that are no use.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "store/crash.rs"]
mod crash;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/disk.rs"]
mod disk;
#[path = "store/files.rs"]
mod files;

use std::sync::{Arc, Mutex};

use service_worker::host_tests::samples::{put, registration, unread};
use service_worker::host_tests::{Profile, store};
use service_worker::types::{ScriptMap, WorkerId};
use service_worker::{
    MemoryStore, RedbStore, RegistryStore, Restored, StoreError, StoreWrite, StoredRegistration,
};

/// A memory store that outlives its being dropped.
#[derive(Default, Clone)]
struct Kept(Arc<Mutex<MemoryStore>>);

impl RegistryStore for Kept {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.0.lock().unwrap().restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.0.lock().unwrap().scripts(worker)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().blob(key)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(batch)
    }
}

impl Profile for Kept {
    fn open(&mut self) -> Result<Box<dyn RegistryStore>, String> {
        Ok(Box::new(self.clone()))
    }
}

/// A profile in a folder of its own.
struct Folder(tempfile::TempDir);

impl Profile for Folder {
    fn open(&mut self) -> Result<Box<dyn RegistryStore>, String> {
        let path = self.0.path().join("profile.redb");
        let (store, set_aside) = RedbStore::open(&path).map_err(|error| error.to_string())?;
        assert_eq!(set_aside, None);
        Ok(Box::new(store))
    }
}

#[test]
fn the_memory_store_passes_every_check() {
    store(Kept::default).assert();
}

#[test]
fn the_redb_store_passes_every_check() {
    store(|| Folder(tempfile::tempdir().unwrap())).assert();
}

/// Forgets what is committed.
struct Forgetful(Kept);

impl RegistryStore for Forgetful {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.0.restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.0.scripts(worker)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.blob(key)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        self.0.commit(&batch[..batch.len().min(1)])
    }
}

#[test]
fn a_store_that_drops_writes_fails_by_name() {
    let outcome = store(|| || Ok(Box::new(Forgetful(Kept::default())) as Box<dyn RegistryStore>));
    let failed: Vec<_> = outcome.failed.iter().map(|(name, _)| *name).collect();
    assert!(
        failed.contains(&"what is put is restored after reopening"),
        "{outcome}"
    );
    assert!(failed.contains(&"a batch is written in order"), "{outcome}");
    assert!(
        !failed.contains(&"an empty profile restores nothing"),
        "{outcome}"
    );
    assert!(
        outcome
            .to_string()
            .contains("\na batch is written in order: ")
    );
}

#[test]
fn the_redb_store_refuses_workers_without_scripts() {
    let mut profile = Folder(tempfile::tempdir().unwrap());
    let mut store = profile.open().unwrap();
    let refused = store.commit(&[put(&sample(2)), put(&unread(sample(1)))]);
    assert!(
        matches!(refused, Err(StoreError::Damaged(reason)) if reason.contains("without scripts"))
    );
    assert_eq!(store.restore().unwrap(), Restored::default());
    store.commit(&[put(&sample(1))]).unwrap();
    let restored = store.restore().unwrap().registrations;
    assert_eq!(restored.decode().unwrap(), [unread(sample(1))]);
}

fn sample(id: u64) -> StoredRegistration {
    registration(id).unwrap()
}
