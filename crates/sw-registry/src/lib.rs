//! The service worker registration store: registrations, jobs, lifecycle, clients, worker lifetime
//! and look-up, as a state machine without I/O.
//!
//! All that a browser has to bring, in one file (`examples/alone.rs`):
//!
//! ```
#![doc = include_str!("../examples/alone.rs")]
//! ```
//!
//! The three that you meet first: [`Registry`] (the state machine, told [`Input`]s and asking by
//! [`Output`]s), [`Lookup`] (what readers on other threads ask) and [`RegistryStore`] (who makes it
//! durable; [`record`] gives the bytes).
//!
//! It does not fetch, store, run scripts or keep time; it does not route fetches, and it knows
//! nothing of ports. Its invariants: every promise settles exactly once; a worker's state only
//! grows; `installed` and `activated` are announced once they are durable; one job runs for each
//! storage key and scope.

#![forbid(unsafe_code)]

mod activate;
mod clients;
mod imports;
mod input;
mod install;
mod job;
mod lifetime;
mod limits;
mod lookup;
mod memory_store;
mod output;
mod preload;
pub mod record;
mod register;
mod registry;
mod restore;
mod routes;
mod script_check;
mod site_data;
mod state;
mod store;
mod stored_rows;
mod unregister;
mod update;
mod wake;
mod waking;

pub use clients::FoundClient;
pub use imports::Import;
pub use input::{
    EventOutcome, FetchedScript, Input, Now, PreloadChange, Provenance, Register, Response,
    ScriptFetchError, SiteData,
};
pub use limits::Limits;
pub use lookup::{ActiveWorker, Lookup, Snapshot};
pub use memory_store::MemoryStore;
pub use output::{
    FetchImport, FetchScript, JobError, Lifecycle, Output, Report, Request, Settled, StartWorker,
    StopReason,
};
pub use registry::Registry;
pub use script_check::check_import;
pub use store::{
    RegistryStore, Restored, StoreError, StoreWrite, StoredRegistration, StoredWorker,
};
pub use stored_rows::StoredRows;
