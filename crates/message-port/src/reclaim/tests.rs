//! Nothing unreachable is kept, nothing reachable is freed, and no depth overflows the stack.

mod drops;
mod graphs;

use std::collections::BTreeSet;
use std::sync::{Barrier, Mutex, Weak};
use std::thread;

use super::lock;
use crate::pair::Pair;
use crate::{Event, Message, MessageChannel, MessagePort, Posted, TryRecvError};

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }
}

fn is_live(pair: &Weak<Pair>) -> bool {
    pair.strong_count() > 0
}

fn pair_of(port: &MessagePort) -> Weak<Pair> {
    port.end().pair()
}

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

fn post(source: &MessagePort, port: MessagePort) -> Posted {
    source.post_message(Message::default().with_port(port.transfer().unwrap()))
}

#[test]
fn a_port_inside_a_port_inside_itself_is_freed_when_the_circle_closes() {
    let (a, mut a_out) = channel();
    let (b, mut b_out) = channel();
    let pairs = [pair_of(&a), pair_of(&b)];
    assert_eq!(post(&b_out, a), Posted::Queued);
    assert_eq!(post(&a_out, b), Posted::Doomed);
    assert!(matches!(a_out.try_recv(), Ok(Event::Close)));
    assert!(matches!(b_out.try_recv(), Ok(Event::Close)));
    assert!(matches!(b_out.try_recv(), Err(TryRecvError::Closed)));
    drop((a_out, b_out));
    assert!(!pairs.iter().any(is_live));
}

#[test]
fn a_circle_is_seen_through_a_backlog_that_its_owner_had_taken() {
    let (mut a, a_out) = channel();
    let (b, b_out) = channel();
    a.start();
    assert_eq!(a_out.post_message(Message::new("first")), Posted::Queued);
    assert_eq!(post(&a_out, b), Posted::Queued);
    // Takes both out of the shared queue and hands one of them out.
    assert!(matches!(a.try_recv(), Ok(Event::Message(_))));
    let pairs = [pair_of(&a), pair_of(&b_out)];
    assert_eq!(post(&b_out, a), Posted::Doomed);
    drop((a_out, b_out));
    assert!(!pairs.iter().any(is_live));
}

#[test]
fn a_received_port_does_not_count_as_queued_any_more() {
    let (mut a, a_out) = channel();
    let (b, b_out) = channel();
    a.start();
    assert_eq!(post(&a_out, b), Posted::Queued);
    let Ok(Event::Message(mut message)) = a.try_recv() else {
        panic!("nothing came")
    };
    let mut b = message.ports.remove(0).receive();
    b.start();
    assert_eq!(post(&b_out, a), Posted::Queued);
    assert!(matches!(b.try_recv(), Ok(Event::Message(_))));
}

#[test]
fn a_port_whose_queued_ports_were_all_received_needs_no_walk() {
    let (mut a, a_out) = channel();
    a.start();
    for _ in 0..3 {
        assert_eq!(post(&a_out, channel().0), Posted::Queued);
    }
    for _ in 0..3 {
        let under_way = a.transfer().unwrap();
        assert!(under_way.has_queued_ports());
        a = under_way.receive();
        a.start();
        assert!(a.try_recv().is_ok());
    }
    assert!(!a.transfer().unwrap().has_queued_ports());
}

#[test]
fn two_threads_that_close_one_circle_together_leave_nothing() {
    let barrier = Barrier::new(2);
    for _ in 0..2_000 {
        let (a, mut a_out) = channel();
        let (b, mut b_out) = channel();
        let pairs = [pair_of(&a), pair_of(&b)];
        let (first, second) = thread::scope(|scope| {
            let first = scope.spawn(|| {
                barrier.wait();
                post(&b_out, a)
            });
            barrier.wait();
            (post(&a_out, b), first.join().unwrap())
        });
        assert!(matches!(
            (first, second),
            (Posted::Queued, Posted::Doomed) | (Posted::Doomed, Posted::Queued)
        ));
        assert!(matches!(a_out.try_recv(), Ok(Event::Close)));
        assert!(matches!(b_out.try_recv(), Ok(Event::Close)));
        drop((a_out, b_out));
        assert!(!pairs.iter().any(is_live));
    }
}

/// A port travels only into queues of higher rank, so no circle can close, and whoever says that
/// one did has followed edges of different moments.
#[test]
fn ports_that_four_threads_nest_and_unpack_are_never_taken_for_a_circle() {
    const THREADS: usize = 4;
    const RANKS: usize = 48;
    let mut writers: Vec<Vec<(usize, MessagePort)>> = (0..THREADS).map(|_| Vec::new()).collect();
    let mut loose = Vec::new();
    let mut pairs = Vec::new();
    for rank in 0..RANKS {
        let (port, writer) = channel();
        pairs.push(pair_of(&port));
        loose.push((rank, port));
        writers[rank % THREADS].push((rank, writer));
    }
    let loose = Mutex::new(loose);
    thread::scope(|scope| {
        for (number, writers) in writers.iter().enumerate() {
            let loose = &loose;
            scope.spawn(move || {
                let mut random = Random(u64::try_from(number).unwrap());
                for _ in 0..20_000 {
                    let taken = {
                        let mut loose = lock(loose);
                        if loose.is_empty() {
                            continue;
                        }
                        let nth = random.below(loose.len());
                        loose.swap_remove(nth)
                    };
                    let (to, writer) = &writers[random.below(writers.len())];
                    if random.below(2) == 0 && taken.0 < *to {
                        let (rank, port) = taken;
                        let message = Message::new(rank.to_be_bytes().to_vec())
                            .with_port(port.transfer().unwrap());
                        assert_eq!(writer.post_message(message), Posted::Queued);
                    } else {
                        let mut unpacked = unpack(taken, 1);
                        lock(loose).append(&mut unpacked);
                    }
                }
            });
        }
    });
    let mut found = BTreeSet::new();
    let mut loose = loose.into_inner().unwrap();
    let mut done = Vec::new();
    while let Some(port) = loose.pop() {
        let mut unpacked = unpack(port, usize::MAX);
        let (rank, port) = unpacked.remove(0);
        assert!(found.insert(rank));
        done.push(port);
        loose.append(&mut unpacked);
    }
    assert_eq!(found.len(), RANKS);
    drop((done, writers));
    assert!(!pairs.iter().any(is_live));
}

/// The port, and the ports of up to `limit` messages out of its queue.
fn unpack((rank, mut port): (usize, MessagePort), limit: usize) -> Vec<(usize, MessagePort)> {
    let mut unpacked = Vec::new();
    port.start();
    while unpacked.len() < limit {
        let Ok(Event::Message(message)) = port.try_recv() else {
            break;
        };
        let inner = usize::from_be_bytes(message.payload[..].try_into().unwrap());
        unpacked.extend(
            message
                .ports
                .into_iter()
                .map(|port| (inner, port.receive())),
        );
    }
    unpacked.insert(0, (rank, port));
    unpacked
}
