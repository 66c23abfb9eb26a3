//! Random histories, told to the registry and to the reference model: whatever a page, a worker, a
//! reader or the disk can observe must be the same after every step. A failure is shrunk and printed.

mod compare;
mod random;
mod steps;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};

use self::random::Random;
use self::steps::{Run, Step};

/// Runs a history, and says what came about in it; a failure is its words and the step.
fn run(steps: &[Step]) -> Result<BTreeSet<String>, (usize, String)> {
    let mut at = 0;
    let done = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new();
        for step in steps {
            run.step(*step);
            run.compare();
            at += 1;
        }
        run.seen
    }));
    done.map_err(|said| {
        let words = said.downcast_ref::<String>().cloned();
        let words = words.or_else(|| said.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        (at, words.unwrap_or_else(|| "it panicked".to_owned()))
    })
}

/// A history of this seed; a failure is made as short as leaving out steps makes it.
fn simulate(seed: u64, length: usize) -> Result<BTreeSet<String>, String> {
    let mut random = Random(seed);
    let mut steps: Vec<Step> = (0..length).map(|_| Step::any(&mut random)).collect();
    let (at, mut words) = match run(&steps) {
        Ok(seen) => return Ok(seen),
        Err(failure) => failure,
    };
    steps.truncate(at + 1);
    let mut part = steps.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + part).min(steps.len()));
            match run(&fewer) {
                Err((at, said)) => {
                    fewer.truncate(at + 1);
                    (steps, words) = (fewer, said);
                }
                Ok(_) => from += part,
            }
        }
        part /= 2;
    }
    let mut story = format!("seed {seed}: {words}\nafter these {} steps:\n", steps.len());
    for step in &steps {
        writeln!(story, "  {step:?}").map_err(|error| error.to_string())?;
    }
    Err(story)
}

/// Seeds from `first` on, until so many steps are done; and what came about in them.
fn simulate_all(first: u64, steps: usize) -> BTreeSet<String> {
    let length = 400;
    let mut seen = BTreeSet::new();
    for seed in first..first + steps.div_ceil(length) as u64 {
        match simulate(seed, length) {
            Ok(more) => seen.extend(more),
            Err(story) => panic!("{story}"),
        }
    }
    println!("{steps} steps from seed {first} on, no difference");
    seen
}

#[test]
fn the_registry_does_what_the_reference_model_does() {
    let seen = simulate_all(1, 100_000);
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "AbortError",
            "Done",
            "InvalidStateError",
            "Running WorkerId",
            "SecurityError",
            "TypeError",
            "Unregistered false",
            "Unregistered true",
            "a restart with registrations",
            "a row that rotted",
            "a write that is refused",
            "an import past the cache",
            "an import that an update compares",
            "an import that is refused",
            "an import that the map has",
            "an import through the cache",
            "bypassed",
            "failed: AbortError",
            "failed: SecurityError",
            "failed: TypeError",
            "not stored",
            "over budget",
            "quarantined",
            "registration",
            "the store failed",
            "the worker did not start",
            "writes that a restart cut off",
        ]
    );
}

/// `cargo xtask sim registry`.
#[test]
#[ignore = "as long as SIM_STEPS says"]
fn a_long_run_does_what_the_reference_model_does() {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let steps = number("SIM_STEPS").unwrap_or(1_000_000);
    let first = number("SIM_SEED").unwrap_or(1);
    simulate_all(first, usize::try_from(steps).unwrap_or(usize::MAX));
}
