//! The service worker registration store.

#![forbid(unsafe_code)]

mod input;
mod output;
mod store;

pub use input::{
    EventOutcome, FetchedScript, Input, Now, Provenance, Register, Response, ScriptFetchError,
};
pub use output::{
    FetchImport, FetchScript, JobError, Lifecycle, Output, Report, Request, Settled, StartWorker,
    StopReason,
};
pub use store::{
    RegistryStore, Restored, StoreError, StoreWrite, StoredRegistration, StoredWorker,
};
