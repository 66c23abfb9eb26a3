//! What is stored of a registration, and the trait of whoever stores it.

#![expect(
    clippy::exhaustive_enums,
    reason = "a write that a store does not know is a bug"
)]

use sw_types::{
    EncodedRouterRule, EventTypes, FallThroughRule, FetchHandler, NavigationPreload,
    RegistrationId, ScopeUrl, ScriptMap, ScriptUrl, StorageKey, Timestamp, UpdateViaCache,
    WorkerId, WorkerState, WorkerType,
};

use crate::{Provenance, StoredRows};

/// An installed version of a worker, with its scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWorker {
    /// Its id, which names its scripts in the store.
    pub id: WorkerId,
    /// Its main script.
    pub script_url: ScriptUrl,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// Its state: `installed`, `activating` or `activated`.
    pub state: WorkerState,
    /// Its set of event types to handle.
    pub event_types: EventTypes,
    /// What its fetch listeners amount to.
    pub fetch_handler: FetchHandler,
    /// Its fall-through rules.
    pub fall_through: Vec<FallThroughRule>,
    /// Its router rules.
    pub router_rules: Vec<EncodedRouterRule>,
    /// Its scripts. Empty if they are stored already and were not read: see
    /// [`RegistryStore::scripts`].
    pub scripts: ScriptMap,
    /// How many bytes its scripts are, also when they were not read.
    pub script_bytes: u64,
}

/// A registration as it is stored: a row, and the installed versions that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRegistration {
    /// Its id.
    pub id: RegistrationId,
    /// Whose it is.
    pub storage_key: StorageKey,
    /// Its scope.
    pub scope: ScopeUrl,
    /// Its update-via-cache mode.
    pub update_via_cache: UpdateViaCache,
    /// Its last update check time.
    pub last_update_check: Option<Timestamp>,
    /// Who made it.
    pub provenance: Provenance,
    /// Its navigation preload state.
    pub navigation_preload: NavigationPreload,
    /// Its waiting worker.
    pub waiting: Option<StoredWorker>,
    /// Its active worker.
    pub active: Option<StoredWorker>,
}

/// One write. A batch of them is one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreWrite {
    /// Write a registration's row, and the scripts of those of its workers that are not stored yet
    /// (the others come with or without); scripts of workers that it no longer names are removed.
    Put(Box<StoredRegistration>),
    /// Remove a registration and its scripts, if it is there.
    Remove(RegistrationId),
    /// Write a row of another part of the profile, which its writer alone understands.
    PutRow {
        /// Where it stands.
        key: Vec<u8>,
        /// What it holds.
        value: Vec<u8>,
    },
    /// Write a row of another part of the profile that is not read at opening, but by
    /// [`RegistryStore::blob`]. Its key is no other row's.
    PutBlob {
        /// Where it stands.
        key: Vec<u8>,
        /// What it holds.
        value: Vec<u8>,
    },
    /// Remove the rows and blobs whose keys begin with this.
    RemoveRows(Vec<u8>),
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk or the database refused.
    #[error("{0}")]
    Io(String),
    /// What was read is damaged.
    #[error("{0}")]
    Damaged(String),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// What was read when a profile was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The registrations that are whole.
    pub registrations: StoredRows,
    /// What was damaged and has been quarantined: one line for people each.
    pub quarantined: Vec<String>,
    /// The rows of other parts of the profile, by key.
    pub rows: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    /// The ids to go on with: greater than any that was ever stored.
    pub next_registration: u64,
    /// Likewise for workers.
    pub next_worker: u64,
}

/// Whoever stores registrations. Calls block; the facade makes them on its store thread.
pub trait RegistryStore: Send {
    /// Reads every registration; scripts may be left unread.
    ///
    /// # Errors
    /// If the store cannot be read at all. Damage inside it is quarantined instead.
    fn restore(&mut self) -> Result<Restored, StoreError>;

    /// Reads the scripts of a stored worker.
    ///
    /// # Errors
    /// If they cannot be read, are damaged, or are not there.
    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError>;

    /// Reads what [`StoreWrite::PutBlob`] wrote; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes a batch as one transaction that is durable when this returns.
    ///
    /// # Errors
    /// If nothing of it was written.
    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError>;
}
