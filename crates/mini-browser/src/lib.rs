//! The reference host.

pub mod js;
