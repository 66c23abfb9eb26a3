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
    "a proposal is refused: there is no such link",
    "a proposal waits for the own one, committed: false",
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
