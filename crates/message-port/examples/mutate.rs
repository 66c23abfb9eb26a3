//! Long runs of damaged streams between nodes: `mutate STREAMS SEED`.
//!
//! Each seed from `SEED` on is a hundred streams, each damaged in many ways. What fails panics; the
//! seed was printed before.

#[path = "../tests/node/hostile.rs"]
mod hostile;
#[path = "../tests/node/mutated.rs"]
mod mutated;
#[path = "../tests/node/world.rs"]
#[expect(dead_code, reason = "the simulation needs more of it")]
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|said| said.parse::<u64>());
    let (Some(Ok(streams)), Some(Ok(first))) = (arguments.next(), arguments.next()) else {
        eprintln!("mutate STREAMS SEED");
        return ExitCode::FAILURE;
    };
    let (mut kept, mut fed, mut seed) = (0, 0, first);
    while fed < streams as usize {
        println!("seed {seed}");
        let (some, of) = mutated::streams(seed, 100);
        kept += some;
        fed += of;
        seed += 1;
    }
    println!("seeds {first}..{seed}: {kept} of {fed} links were kept, no harm done");
    ExitCode::SUCCESS
}
