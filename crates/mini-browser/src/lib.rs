//! The reference host.

pub mod scenario;
