//! The reference host.

pub mod cache_storage;
pub mod js;
pub mod net;
pub mod scenario;
