//! `cargo xtask bench registry`: look-ups, opening a profile, and a registration from end to end,
//! beside their rivals in the same run.

#[path = "../../../message-port/benches/ports/groups.rs"]
mod groups;
mod lookups;
#[path = "../../../message-port/benches/ports/measure.rs"]
mod measure;
mod profile;
mod samples;

use std::process::ExitCode;

use groups::Group;

const GROUPS: &[Group] = &[lookups::rows, profile::rows];

fn main() -> ExitCode {
    groups::run("registry", GROUPS)
}
