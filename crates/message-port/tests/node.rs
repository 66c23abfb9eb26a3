//! Ports across processes: the simulation against a reference model, and mutated streams.

#[path = "node/coverage.rs"]
mod coverage;
#[path = "node/hostile.rs"]
mod hostile;
#[path = "node/model.rs"]
mod model;
#[path = "node/moves.rs"]
mod moves;
#[path = "node/play.rs"]
mod play;
#[path = "node/simulation.rs"]
mod simulation;
#[path = "node/world.rs"]
mod world;

use message_port::node::Limits;
use message_port::{Event, Message, MessageChannel, MessagePort};

use coverage::Coverage;
use simulation::{Tally, simulate};
use world::{Random, Refuse, World};

/// Each is a run of 2,000 steps.
const SEEDS: std::ops::Range<u64> = 0..300;

/// The states of the protocol that the histories have to come to, as the node traces them.
const STATES: &[&str] = &[];

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

/// What one node says to another after the greeting, while ports are posted, moved and closed.
fn genuine_stream(random: &mut Random) -> Vec<u8> {
    let mut world = World::new(vec![Limits::default(); 2], Refuse::Never);
    world.record = true;
    world.connect(0, 1);
    world.quiesce();
    let said = world.streams[0].said[0].len();
    let mut held: Vec<Vec<MessagePort>> = vec![Vec::new(), Vec::new()];
    for (process, _, port) in std::mem::take(&mut world.first_ports) {
        held[process].push(port);
    }
    for _ in 0..60 {
        let process = random.below(2);
        let mine = &mut held[process];
        match random.below(8) {
            0 => {
                let (first, second) = MessageChannel::new().into();
                mine.extend([first, second]);
            }
            1 if mine.len() > 2 => drop(mine.swap_remove(random.below(mine.len()))),
            2..5 if !mine.is_empty() => {
                let carrier = mine.swap_remove(random.below(mine.len()));
                let mut message = Message::new(vec![7; random.below(90)]);
                if !mine.is_empty() && random.one_in(2) {
                    let port = mine.swap_remove(random.below(mine.len()));
                    message = message.with_port(port.transfer().expect("not closed"));
                }
                carrier.post_message(message);
                mine.push(carrier);
            }
            _ => {
                for at in 0..mine.len() {
                    mine[at].start();
                    while let Ok(Event::Message(message)) = mine[at].try_recv() {
                        mine.extend(message.ports.into_iter().map(|port| port.receive()));
                    }
                }
            }
        }
        world.quiesce();
    }
    world.streams[0].said[0].split_off(said)
}

#[test]
fn mutated_streams_harm_nobody() {
    let seed = 0xfeed;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let (mut kept, mut runs) = (0, 0);
    for _ in 0..100 {
        let stream = genuine_stream(&mut random);
        for _ in 0..40 {
            // Even: after a greeting. The rest of the byte divides the stream.
            let mut data = vec![2 * random.below(128) as u8];
            data.extend(&stream);
            for _ in 0..random.below(5) {
                let at = 1 + random.below(data.len() - 1);
                match random.below(4) {
                    0 => data[at] ^= 1 << random.below(8),
                    1 => data[at] = random.next() as u8,
                    2 => drop(data.drain(at..(at + random.below(9)).min(data.len()))),
                    _ => {
                        let again = data[at..(at + random.below(60)).min(data.len())].to_vec();
                        data.splice(at..at, again);
                    }
                }
                if data.len() < 2 {
                    break;
                }
            }
            runs += 1;
            kept += u32::from(hostile::feed(&data));
        }
    }
    println!("{kept} of {runs} links were kept");
    assert!(kept > 100 && runs - kept > 1000, "{kept} of {runs}");
}
