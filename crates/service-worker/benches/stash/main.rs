//! `cargo xtask bench stash`: durable messages, and opening a profile full of them, beside their
//! rivals in the same run.

#[path = "../../../message-port/benches/ports/groups.rs"]
mod groups;
mod house;
#[path = "../../../message-port/benches/ports/measure.rs"]
mod measure;
mod messages;
mod opening;

use std::process::ExitCode;

use groups::Group;

const GROUPS: &[Group] = &[messages::rows, opening::rows];

fn main() -> ExitCode {
    groups::run("stash", GROUPS)
}
