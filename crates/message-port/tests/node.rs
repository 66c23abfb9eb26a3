//! Ports across processes: the simulation against a reference model.

#[path = "node/model.rs"]
mod model;
#[path = "node/simulation.rs"]
mod simulation;
#[path = "node/world.rs"]
mod world;

use simulation::{Tally, simulate};

#[test]
fn random_histories_keep_every_promise() {
    let mut tally = Tally::default();
    for seed in 0..100 {
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{seed}");
        }
        match simulate(seed, 2_000) {
            Ok(run) => tally.add(run),
            Err(said) => panic!("{said}"),
        }
    }
    println!("seeds 0..150: {tally:?}");
}
