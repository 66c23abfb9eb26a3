//! The reference host.

pub mod cache_storage;
pub mod net;
pub mod scenario;
