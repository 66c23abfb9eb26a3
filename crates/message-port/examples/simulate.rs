//! Long runs of the simulation of ports across processes: `simulate STEPS SEED`.
//!
//! Each seed from `SEED` on is a run of 2,000 steps; a failure is shrunk and printed.

#[path = "../tests/node/coverage.rs"]
#[expect(dead_code, reason = "the test asks it for single states")]
mod coverage;
#[path = "../tests/node/model.rs"]
mod model;
#[path = "../tests/node/play.rs"]
mod play;
#[path = "../tests/node/simulation.rs"]
mod simulation;
#[path = "../tests/node/world.rs"]
mod world;

use std::process::ExitCode;

use coverage::Coverage;
use simulation::{Tally, simulate};

const RUN: usize = 2_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|said| said.parse::<u64>());
    let (Some(Ok(steps)), Some(Ok(first))) = (arguments.next(), arguments.next()) else {
        eprintln!("simulate STEPS SEED");
        return ExitCode::FAILURE;
    };
    let mut tally = Tally::default();
    let coverage = Coverage::default();
    let mut seed = first;
    while tally.steps < steps {
        match coverage.of(|| simulate(seed, RUN)) {
            Ok(run) => tally.add(run),
            Err(said) => {
                println!("{coverage}{said}");
                return ExitCode::FAILURE;
            }
        }
        seed += 1;
    }
    print!("{coverage}");
    println!("seeds {first}..{seed}: {tally:?}, no violation");
    ExitCode::SUCCESS
}
