//! `cargo xtask bench ports`: message ports beside their rivals, measured in the same run.
//!
//! Groups of rows stand in files of their own; a new group is a module with a `rows` function and
//! one line in [`GROUPS`].

#[cfg(unix)]
mod across;
mod groups;
mod heap;
mod in_process;
mod measure;

use std::process::ExitCode;

use groups::Group;

#[global_allocator]
static COUNTED: heap::Counted = heap::Counted;

const GROUPS: &[Group] = &[
    in_process::rows,
    #[cfg(unix)]
    across::rows,
];

fn main() -> ExitCode {
    #[cfg(unix)]
    if std::env::args().nth(1).as_deref() == Some(across::servant::SERVANT) {
        let mut arguments = std::env::args().skip(2);
        let kind = arguments.next().unwrap_or_default();
        across::servant::serve(&kind, arguments.next().as_deref());
        return ExitCode::SUCCESS;
    }
    heap::settle();
    groups::run("ports", GROUPS)
}
