//! The service worker registration store.

#![forbid(unsafe_code)]

mod activate;
mod clients;
mod input;
mod install;
mod job;
mod lifetime;
mod limits;
mod lookup;
mod memory_store;
mod output;
pub mod record;
mod register;
mod registry;
mod restore;
mod script_check;
mod state;
mod store;
mod unregister;
mod update;

pub use input::{
    EventOutcome, FetchedScript, Input, Now, Provenance, Register, Response, ScriptFetchError,
};
pub use limits::Limits;
pub use lookup::{ActiveWorker, Lookup, Snapshot};
pub use memory_store::MemoryStore;
pub use output::{
    FetchImport, FetchScript, JobError, Lifecycle, Output, Report, Request, Settled, StartWorker,
    StopReason,
};
pub use registry::Registry;
pub use store::{
    RegistryStore, Restored, StoreError, StoreWrite, StoredRegistration, StoredWorker,
};
