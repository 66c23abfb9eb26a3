//! `cargo xtask sim …`: long runs of the simulations that every test run has a short one of.

use clap::{Args, ValueEnum};

use crate::run::cargo;

/// What to simulate, and for how long.
#[derive(Args)]
pub(crate) struct Sim {
    /// Which simulation.
    what: What,
    /// How many steps in all.
    #[arg(long, default_value_t = 10_000_000)]
    steps: u64,
    /// The first seed; a failure says its own.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Ports across processes.
    Ports,
}

impl Sim {
    pub(crate) fn run(&self) -> Result<(), String> {
        let What::Ports = self.what;
        let (steps, seed) = (self.steps.to_string(), self.seed.to_string());
        let arguments = ["run", "--release", "--locked", "-p", "message-port"];
        let example = ["--example", "simulate", "--", &steps, &seed];
        cargo(&[&arguments[..], &example[..]].concat(), &[])
    }
}
