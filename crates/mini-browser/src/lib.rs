//! The reference host.

pub mod net;
