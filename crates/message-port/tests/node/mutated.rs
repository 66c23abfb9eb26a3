//! Streams of a node that are damaged on their way to another.

use message_port::node::Limits;
use message_port::{Event, Message, MessageChannel, MessagePort};

use super::hostile;
use super::world::{Random, Refuse, World};

/// How often each stream is damaged.
const DAMAGED: usize = 40;

/// Feeds nodes with so many streams, each damaged in many ways: no panic, and all can be taken down.
/// How many links were kept, of how many.
pub(crate) fn streams(seed: u64, count: usize) -> (usize, usize) {
    let mut random = Random(seed);
    let mut kept = 0;
    for _ in 0..count {
        let stream = genuine_stream(&mut random);
        for _ in 0..DAMAGED {
            kept += usize::from(hostile::feed(&damaged(&mut random, &stream)));
        }
    }
    (kept, count * DAMAGED)
}

/// A byte that says how the rest is fed, and a stream with some damage.
fn damaged(random: &mut Random, stream: &[u8]) -> Vec<u8> {
    // Even: after a greeting. The rest of the byte divides the stream.
    let mut data = vec![2 * random.below(128) as u8];
    data.extend(stream);
    for _ in 0..random.below(5) {
        if data.len() < 2 {
            break;
        }
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
    }
    data
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
