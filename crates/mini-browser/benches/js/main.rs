//! `cargo xtask bench js`: messages between realms beside other engines, measured in the same run.
//!
//! `--json FILE` writes the rows to a file as well; other arguments that do not begin with `-` are
//! the beginnings of the ids to run. A rival is measured where its program is installed; which were
//! not is said. `--ours` measures without rivals, and repeats often: for a profiler.

#[path = "../../../message-port/benches/ports/measure.rs"]
mod measure;
mod messages;
mod rivals;

use std::path::PathBuf;
use std::process::ExitCode;

use measure::Plan;

fn main() -> ExitCode {
    let mut json: Option<PathBuf> = None;
    let mut plan = Plan::default();
    let mut alone = false;
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--bench") => {} // cargo bench says this to every benchmark
            Some("--json") => json = arguments.next().map(PathBuf::from),
            Some("--ours") => alone = true,
            Some(id) if !id.starts_with('-') => plan.wanted.push(id.to_owned()),
            _ => {
                eprintln!("usage: js [--json FILE] [--ours] [ID …]; not known: {argument:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    if alone {
        messages::alone(&plan);
        return ExitCode::SUCCESS;
    }
    let rivals = rivals::installed();
    if rivals.is_empty() {
        println!("Nothing to compare with is installed.");
        messages::alone(&plan);
        return ExitCode::SUCCESS;
    }
    let rows = messages::rows(&plan, &rivals);
    measure::report(&rows, json.as_deref())
}
