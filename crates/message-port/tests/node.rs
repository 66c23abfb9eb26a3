//! Ports across processes: the simulation against a reference model, and mutated streams.

#[path = "node/coverage.rs"]
mod coverage;
#[path = "node/hostile.rs"]
mod hostile;
#[path = "node/model.rs"]
mod model;
#[path = "node/moves.rs"]
mod moves;
#[path = "node/mutated.rs"]
mod mutated;
#[path = "node/play.rs"]
mod play;
#[path = "node/simulation.rs"]
mod simulation;
#[path = "node/world.rs"]
mod world;

use coverage::Coverage;
use simulation::{Tally, simulate};

/// Each is a run of 2,000 steps.
const SEEDS: std::ops::Range<u64> = 0..300;

/// The states of the protocol that the histories have to come to, as the node traces them.
const STATES: &[&str] = &[
    "a channel has no credit, free: false",
    "a channel has no credit, free: true",
    "a channel is attached that nobody awaits",
    "a channel is attached, marked: false",
    "a channel is attached, marked: true",
    "a consent comes too late",
    "a half done fold is joined at its other end",
    "a link is closed, error: a frame of unknown kind",
    "a link is closed, error: a frame out of place",
    "a link is closed, error: a frame with malformed fields",
    "a link is closed, error: event",
    "a link is closed, error: no greeting within",
    "a link is closed, error: port",
    "a link is vouched for too early, up: false",
    "a link is vouched for too early, up: true",
    "a link that is there serves an introduction",
    "a long message is broken off by the end",
    "a long message is dropped before all of it has come",
    "a marker comes before its channel",
    "a marker waits for the rest of a long message",
    "a message waits until the peer takes ports again",
    "a port is cut: its message is over the limits",
    "a port moves with a backlog, both: false",
    "a port moves with a backlog, both: true",
    "a port moves, far: elsewhere, again: false, agreed: false",
    "a port moves, far: elsewhere, again: false, agreed: true",
    "a port moves, far: elsewhere, again: true, agreed: false",
    "a port moves, far: elsewhere, again: true, agreed: true",
    "a port moves, far: folding, again: false, agreed: false",
    "a port moves, far: folding, again: true, agreed: false",
    "a port moves, far: gone, again: true, agreed: false",
    "a port moves, far: here, again: false, agreed: false",
    "a port moves, far: here, again: true, agreed: false",
    "a port moves, far: moving, again: false, agreed: false",
    "a port moves, far: moving, again: true, agreed: false",
    "a port moves, far: queued, again: false, agreed: false",
    "a port moves, far: queued, again: true, agreed: false",
    "a port moves, far: switching, again: false, agreed: false",
    "a port moves, far: switching, again: true, agreed: false",
    "a proof comes before its introduction",
    "a proposal has crossed with one that goes first",
    "a proposal is refused: there is no such link",
    "a proposal waits until a switch is done",
    "a route loses its link, place: fold, said_last: true, got_last: false, stub: end, agreed: false",
    "a route loses its link, place: fold, said_last: true, got_last: false, stub: stub, agreed: false",
    "a route loses its link, place: fold, said_last: true, got_last: true, stub: end, agreed: false",
    "a route loses its link, place: fold, said_last: true, got_last: true, stub: stub, agreed: false",
    "a route loses its link, place: switching, said_last: false, got_last: false, stub: end, agreed: false",
    "a route loses its link, place: switching, said_last: true, got_last: false, stub: end, agreed: false",
    "a route loses its link, place: wire, said_last: false, got_last: false, stub: asking stub, agreed: false",
    "a route loses its link, place: wire, said_last: false, got_last: false, stub: committed stub, agreed: false",
    "a route loses its link, place: wire, said_last: false, got_last: false, stub: end, agreed: false",
    "a route loses its link, place: wire, said_last: false, got_last: false, stub: end, agreed: true",
    "a route loses its link, place: wire, said_last: false, got_last: false, stub: stub, agreed: false",
    "a route loses its link, place: wire, said_last: false, got_last: false, stub: stub, agreed: true",
    "a route loses its link, place: wire, said_last: false, got_last: true, stub: committed stub, agreed: false",
    "a route loses its link, place: wire, said_last: true, got_last: false, stub: committed stub, agreed: false",
    "a route loses its link, place: wire, said_last: true, got_last: true, stub: committed stub, agreed: false",
    "a side reads by its new channel, held: false",
    "a side reads by its new channel, held: true",
    "a splice was refused, committed: false",
    "a stub asks to be left out, fold: false",
    "a stub asks to be left out, fold: true",
    "a stub takes its proposal back, ends: false",
    "a stub takes its proposal back, ends: true",
    "an event is read through a fold, through: false",
    "an introduction has failed, stubs_wait: false",
    "an introduction has failed, stubs_wait: true",
    "an introduction is announced whose link has failed",
    "an introduction is refused",
    "two pipes are joined",
    "what comes by a new channel is held, ends: false",
    "what comes by a new channel is held, ends: true",
    "what nobody receives is dropped, any: false",
    "what nobody receives is dropped, any: true",
];

#[test]
fn random_histories_keep_every_promise_and_come_to_every_state() {
    let mut tally = Tally::default();
    let coverage = Coverage::default();
    for seed in SEEDS {
        match coverage.of(|| simulate(seed, 2_000)) {
            Ok(run) => tally.add(run),
            Err(said) => panic!("{said}"),
        }
    }
    println!("{coverage}seeds {SEEDS:?}: {tally:?}");
    assert!(tally.steps >= 200_000, "too few steps do something");
    let never = |state: &&&str| coverage.count(state) == 0;
    let never: Vec<_> = STATES.iter().filter(never).collect();
    assert!(never.is_empty(), "no history came to {never:#?}");
}

#[test]
fn mutated_streams_harm_nobody() {
    let seed = 0xfeed;
    println!("seed {seed:#x}");
    let (kept, runs) = mutated::streams(seed, 100);
    println!("{kept} of {runs} links were kept");
    assert!(kept > 100 && runs - kept > 1000, "{kept} of {runs}");
}
