//! `cargo xtask bench ports`: message ports beside their rivals, measured in the same run.
//!
//! `--json FILE` writes the rows to a file as well; other arguments that do not begin with `-` are
//! the beginnings of the ids to run. Groups of rows stand in files of their own; a new group is a
//! module with a `rows` function and one line in [`GROUPS`].

#[cfg(unix)]
mod across;
mod heap;
mod in_process;
mod measure;

use std::path::PathBuf;
use std::process::ExitCode;

use measure::{Plan, Row};

#[global_allocator]
static COUNTED: heap::Counted = heap::Counted;

/// Measures the rows of a group, as far as the plan wants them.
type Group = fn(&Plan) -> Vec<Row>;

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
    let mut json: Option<PathBuf> = None;
    let mut plan = Plan::default();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--bench") => {} // cargo bench says this to every benchmark
            Some("--json") => json = arguments.next().map(PathBuf::from),
            Some(id) if !id.starts_with('-') => plan.wanted.push(id.to_owned()),
            _ => {
                eprintln!("usage: ports [--json FILE] [ID …]; not known: {argument:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    heap::settle();
    let rows: Vec<Row> = GROUPS.iter().flat_map(|group| group(&plan)).collect();
    measure::print_table(&rows);
    if let Some(file) = json {
        let text = measure::to_json(&rows);
        if let Err(error) = std::fs::write(&file, text) {
            eprintln!("cannot write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
