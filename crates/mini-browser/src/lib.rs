//! The reference host.

pub mod fetch;
