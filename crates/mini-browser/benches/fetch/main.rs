//! `cargo xtask bench fetch`: requests to service workers, native and in QuickJS, beside what they
//! cannot do without, measured in the same run.

#[path = "../../../message-port/benches/ports/groups.rs"]
mod groups;
#[path = "../../../message-port/benches/ports/measure.rs"]
mod measure;
mod memory;
mod native;
mod rival;
mod script;
mod world;

use std::process::ExitCode;

use groups::Group;

const GROUPS: &[Group] = &[native::rows, script::rows, memory::rows];

fn main() -> ExitCode {
    groups::run("fetch", GROUPS)
}
