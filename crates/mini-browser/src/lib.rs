//! The reference host.

pub mod cache_storage;
pub mod fetch;
pub mod js;
pub mod net;
