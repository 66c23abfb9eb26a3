//! The service worker registration store: registrations, jobs, lifecycle, clients, worker lifetime
//! and look-up, as a state machine without I/O.
//!
//! ```
//! use std::time::Instant;
//! use sw_registry::{Input, Limits, Now, Output, Register, Registry, Restored, Provenance, Request};
//! use sw_types::{Origin, PromiseId, ScopeUrl, ScriptUrl, Site, StorageKey, Timestamp};
//!
//! let mut registry = Registry::new(Limits::default(), Restored::default());
//! let script_url = ScriptUrl::parse("https://a.test/sw.js", None)?;
//! let origin = script_url.origin();
//! let register = Register {
//!     storage_key: StorageKey::first_party(origin.clone()),
//!     scope: ScopeUrl::default_for(&script_url),
//!     script_url,
//!     worker_type: Default::default(),
//!     update_via_cache: Default::default(),
//!     client: None,
//!     initiator: Site::of(&origin),
//!     referrer_origin: origin,
//!     provenance: Provenance::Script,
//! };
//! let now = Now { instant: Instant::now(), wall: Timestamp(1_800_000_000_000) };
//! registry.handle_input(now, Input::Register(PromiseId(1), register));
//! // It asks for the script; the answer goes in as `Input::Response` under the same id.
//! let Some(Output::Request(_, Request::FetchScript(fetch))) = registry.poll_output() else { panic!() };
//! assert_eq!(fetch.script_url.as_str(), "https://a.test/sw.js");
//! # Ok::<(), sw_types::UrlError>(())
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
pub use update::Import;
