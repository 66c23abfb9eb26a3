//! Somebody who posts, moves and closes ports at random, and checks whatever arrives.
//!
//! Every pair has an id, and every message the number that it has among those of its port. A port
//! that travels brings along how many messages it has sent and received, so that its next holder
//! goes on counting: a message that is lost, doubled or overtaken is seen at once, wherever it was.

use message_port::{Event, Message, MessageChannel, MessagePort, TryRecvError};

/// A generator of numbers that one seed repeats (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A port in somebody's hands.
pub(crate) struct End {
    pub(crate) id: u64,
    /// Whether it may be sent on, or closed. The first port of a link stays.
    moves: bool,
    port: MessagePort,
    sent: u32,
    received: u32,
}

/// How many bytes tell of one port that travels.
const LABEL: usize = 16;
/// How many ports one player holds before it closes some.
const MOST: usize = 60;

pub(crate) struct Player {
    pub(crate) random: Random,
    pub(crate) ends: Vec<End>,
    pub(crate) received: usize,
    /// How many ports came in what was received.
    pub(crate) arrived: usize,
    next_id: u64,
}

impl Player {
    /// `number` tells the ids of this player's pairs from those of others.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self {
            random: Random(seed ^ number),
            ends: Vec::new(),
            received: 0,
            arrived: 0,
            next_id: number << 32,
        }
    }

    /// Takes the first port of a link. Both sides give it the same id.
    pub(crate) fn hold(&mut self, id: u64, port: MessagePort) {
        self.take(id, false, port);
    }

    fn take(&mut self, id: u64, moves: bool, mut port: MessagePort) {
        port.start();
        self.ends.push(End {
            id,
            moves,
            port,
            sent: 0,
            received: 0,
        });
    }

    /// Does something.
    pub(crate) fn act(&mut self) {
        if self.ends.len() > MOST || self.random.below(40) == 0 {
            self.close_one();
        }
        match self.random.below(8) {
            0 => {
                let MessageChannel { port1, port2 } = MessageChannel::new();
                let id = self.next_id;
                self.next_id += 1;
                self.take(id, true, port1);
                self.take(id, true, port2);
            }
            1..=5 => self.post(),
            _ => self.receive(),
        }
    }

    fn close_one(&mut self) {
        let at = self.random.below(self.ends.len());
        if self.ends.get(at).is_some_and(|end| end.moves) {
            drop(self.ends.swap_remove(at));
        }
    }

    /// Posts on some port, with some others.
    fn post(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let at = self.random.below(self.ends.len());
        let mut carrier = self.ends.swap_remove(at);
        let mut labels = Vec::new();
        let mut ports = Vec::new();
        for _ in 0..self.random.below(3) {
            // A port waits only in queues of pairs with lower ids: so there is always somebody who
            // can receive it, and never a cycle across nodes, which only the end of a link frees.
            let others = self.ends.iter().enumerate();
            let others = others.filter(|(_, end)| end.id > carrier.id && end.moves);
            let others: Vec<usize> = others.map(|(at, _)| at).collect();
            let Some(other) = others.get(self.random.below(others.len())).copied() else {
                continue;
            };
            let end = self.ends.swap_remove(other);
            let Ok(port) = end.port.transfer() else {
                continue;
            };
            labels.extend(end.id.to_be_bytes());
            labels.extend(end.sent.to_be_bytes());
            labels.extend(end.received.to_be_bytes());
            ports.push(port);
        }
        let mut payload = carrier.sent.to_be_bytes().to_vec();
        payload.push(ports.len() as u8);
        payload.extend(labels);
        payload.resize(payload.len() + 4 * self.random.below(600), 0);
        carrier.sent += 1;
        let mut message = Message::new(payload);
        message.ports = ports;
        carrier.port.post_message(message);
        self.ends.push(carrier);
    }

    /// Takes all that has arrived, and checks it. A port that was closed is put down.
    pub(crate) fn receive(&mut self) {
        let mut at = 0;
        while at < self.ends.len() {
            let end = &mut self.ends[at];
            match end.port.try_recv() {
                Ok(Event::Message(message)) => {
                    let number = u32::from_be_bytes(*message.payload.first_chunk().expect("four"));
                    assert_eq!(number, end.received, "a message of pair {:x}", end.id);
                    end.received += 1;
                    self.received += 1;
                    self.unpack(message);
                }
                Ok(Event::Close) => {
                    let after = end.port.try_recv().map(drop);
                    assert_eq!(after, Err(TryRecvError::Closed), "after the close");
                    drop(self.ends.swap_remove(at));
                }
                Err(TryRecvError::Empty) => at += 1,
                Err(error) => panic!("pair {:x} ended without a close: {error}", end.id),
            }
        }
    }

    fn unpack(&mut self, message: Message) {
        let (count, labels) = message.payload[4..].split_first().expect("a count");
        assert_eq!(message.ports.len(), usize::from(*count), "a port is lost");
        for (place, port) in message.ports.into_iter().enumerate() {
            let label = &labels[place * LABEL..][..LABEL];
            let mut port = port.receive();
            port.start();
            self.arrived += 1;
            self.ends.push(End {
                id: u64::from_be_bytes(*label.first_chunk().expect("eight")),
                moves: true,
                port,
                sent: u32::from_be_bytes(*label[8..].first_chunk().expect("four")),
                received: u32::from_be_bytes(*label[12..].first_chunk().expect("four")),
            });
        }
    }

    /// Posts something short on every port.
    pub(crate) fn post_on_all(&mut self) {
        for end in &mut self.ends {
            let mut payload = end.sent.to_be_bytes().to_vec();
            payload.push(0); // no ports
            end.port.post_message(Message::new(payload));
            end.sent += 1;
        }
    }
}
