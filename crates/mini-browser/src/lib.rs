//! The reference host.

pub mod cache_storage;
pub mod fetch;
pub mod net;
