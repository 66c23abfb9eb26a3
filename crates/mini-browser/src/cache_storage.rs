//! The caches of the reference host: *Cache* and *CacheStorage* of the Service Workers standard
//! (§5.4 and §5.5), kept on disk.
//!
//! [`CacheStore`] is a profile's CacheStorage for all storage keys; [`Cache`] is one cache of one
//! key. The index is a redb file, the bodies are files in a folder beside it, and one thread owns
//! both: no method blocks, and what is asked first is done first.
//!
//! What is kept for private sessions ([`StorageKey::ephemeral`]) stays in memory.
//!
//! [`StorageKey::ephemeral`]: service_worker::types::StorageKey::ephemeral

mod bodies;
mod body_stream;
mod cache;
mod error;
mod index;
mod open;
#[cfg(test)]
mod power_cut;
mod query;
mod record;
mod shelf;
mod store;
mod thread;
mod usage;

pub use cache::{Cache, CachedResponse, NewEntry};
pub use error::{CacheError, Damage, DamagedPart, OpenError, OpenReport, SetAside};
pub use query::QueryOptions;
pub use store::{CacheStore, StorageEstimate};
pub use thread::Answer;
