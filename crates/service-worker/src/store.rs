//! The profile's store and the thread that owns it: ordered batches, grouped commits.
//!
//! The driver never waits for a disk. It sends a batch here and goes on; the answer comes back when
//! the batch is durable.

mod thread;

#[cfg(feature = "redb")]
mod file;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "redb")]
pub use self::file::{OpenError, SetAside, keep_copy, open_database};
#[cfg(feature = "redb")]
pub use self::redb::RedbStore;
pub(crate) use thread::{BlobReader, ReadBlobs, StoreThread};
