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
    /// Damaged streams between two nodes with ports.
    Streams,
    /// The registry, beside a reference model of the specification.
    Registry,
}

impl Sim {
    pub(crate) fn run(&self) -> Result<(), String> {
        let (steps, seed) = (self.steps.to_string(), self.seed.to_string());
        match self.what {
            What::Ports | What::Streams => {
                let which = match self.what {
                    What::Streams => "mutate",
                    _ => "simulate",
                };
                let arguments = ["run", "--release", "--locked", "-p", "message-port"];
                let example = ["--example", which, "--", &steps, &seed];
                cargo(&[&arguments[..], &example[..]].concat(), &[])
            }
            What::Registry => {
                let arguments = ["test", "--release", "--locked", "-p", "sw-registry"];
                let only = [
                    "--test",
                    "registry",
                    "--",
                    "--ignored",
                    "--nocapture",
                    "a_long_run",
                ];
                let environment = [("SIM_STEPS", steps.as_str()), ("SIM_SEED", seed.as_str())];
                cargo(&[&arguments[..], &only[..]].concat(), &environment)
            }
        }
    }
}
