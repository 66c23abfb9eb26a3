//! `cargo xtask …`: every developer task.

mod bench;
mod run;
mod sim;
mod test;
mod tidy;
mod wpt;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every developer task of Saving Throw.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must hold: format, lints, tidy, tests, docs.
    Test,
    /// The rules of the house that no compiler checks.
    Tidy,
    /// The figures of the targets, each beside its rival in the same run.
    Bench(bench::Wanted),
    /// Long runs of a simulation.
    Sim(sim::Sim),
    /// The browsers' own tests, from a checkout of them.
    Wpt(wpt::Wpt),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Test => test::test(),
        Task::Tidy => tidy::tidy(),
        Task::Bench(wanted) => bench::bench(&wanted),
        Task::Sim(sim) => sim.run(),
        Task::Wpt(wpt) => wpt.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
