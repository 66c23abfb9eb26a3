//! The registry, driven by a small host in memory.

mod harness;
mod jobs;
mod lifecycle;
mod lifetime;
mod restore;
mod simulation;
mod update;
