//! What a benchmark of groups of rows does with its arguments.
//!
//! `--json FILE` writes the rows to a file as well; other arguments that do not begin with `-` are
//! the beginnings of the ids to run.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::measure::{self, Plan, Row};

/// Measures the rows of a group, as far as the plan wants them.
pub(crate) type Group = fn(&Plan) -> Vec<Row>;

/// Measures what the arguments of the benchmark want of the groups.
pub(crate) fn run(benchmark: &str, groups: &[Group]) -> ExitCode {
    let mut json: Option<PathBuf> = None;
    let mut plan = Plan::default();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--bench") => {} // cargo bench says this to every benchmark
            Some("--json") => json = arguments.next().map(PathBuf::from),
            Some(id) if !id.starts_with('-') => plan.wanted.push(id.to_owned()),
            _ => {
                eprintln!("usage: {benchmark} [--json FILE] [ID …]; not known: {argument:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    let rows: Vec<Row> = groups.iter().flat_map(|group| group(&plan)).collect();
    measure::report(&rows, json.as_deref())
}
