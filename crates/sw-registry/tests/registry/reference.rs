//! Random histories, told to the registry and to the reference model: whatever a page, a worker, a
//! reader or the disk can observe must be the same after every step. A failure is shrunk and printed.

mod compare;
pub(crate) mod random;
mod steps;

use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};

use self::random::Random;
use self::steps::{Run, Step};

/// How a history failed.
struct Failure {
    /// At which step.
    at: usize,
    words: String,
    story: Vec<String>,
}

impl Failure {
    /// What was wrong, without the values.
    fn kind(&self) -> &str {
        self.words.lines().next().unwrap_or_default()
    }
}

/// Runs a history, and says what came about in it.
fn run(steps: &[Step]) -> Result<BTreeSet<String>, Failure> {
    let mut at = 0;
    let mut run = Run::new();
    let done = panic::catch_unwind(AssertUnwindSafe(|| {
        for step in steps {
            run.step(*step);
            run.compare();
            at += 1;
        }
    }));
    let Err(said) = done else { return Ok(run.seen) };
    let words = said.downcast_ref::<String>().cloned();
    let words = words.or_else(|| said.downcast_ref::<&str>().map(|it| (*it).to_owned()));
    Err(Failure {
        at,
        words: words.unwrap_or_else(|| "it panicked".to_owned()),
        story: run.story,
    })
}

/// A history of this seed; a failure is made as short as leaving out steps makes it.
fn simulate(seed: u64, length: usize) -> Result<BTreeSet<String>, String> {
    let mut random = Random(seed);
    let mut steps: Vec<Step> = (0..length).map(|_| Step::any(&mut random)).collect();
    let mut failure = match run(&steps) {
        Ok(seen) => return Ok(seen),
        Err(failure) => failure,
    };
    steps.truncate(failure.at + 1);
    loop {
        let before = steps.len();
        (steps, failure) = shorten(steps, failure);
        if steps.len() == before {
            break;
        }
    }
    let Failure { words, story, .. } = failure;
    Err(format!(
        "seed {seed}: {words}\nafter these {} steps:\n{}\n",
        steps.len(),
        story.join("\n")
    ))
}

/// Leaves out halves, quarters, and so on down to single steps, wherever it then fails as before.
fn shorten(mut steps: Vec<Step>, mut failure: Failure) -> (Vec<Step>, Failure) {
    let mut part = steps.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + part).min(steps.len()));
            match run(&fewer) {
                Err(shorter) if shorter.kind() == failure.kind() => {
                    fewer.truncate(shorter.at + 1);
                    (steps, failure) = (fewer, shorter);
                }
                Ok(_) | Err(_) => from += part,
            }
        }
        part /= 2;
    }
    (steps, failure)
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
