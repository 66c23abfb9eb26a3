//! `cargo xtask …`: every developer task.
fn main() {}
