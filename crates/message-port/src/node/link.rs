//! A link: its greeting, its channels, and what waits to be written on it, port by port in turn.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::mem;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tracing::trace;

use super::numbered::Numbered;
use super::out::Out;
use super::pipe::{Adopt, Item, PipeId, Place};
use super::wire::{self, Decoder, Frame, Hello};
use super::{LinkId, Token};

pub(super) struct Link {
    pub(super) stage: Stage,
    /// Whether this side has opened the link; it allots the even channels.
    pub(super) initiator: bool,
    pub(super) trusted: bool,
    /// The introduction by which it came.
    pub(super) introduced_by: Option<(LinkId, u64)>,
    /// What the peer has to show, once the introduction was found.
    pub(super) expect: Option<Token>,
    /// Tokens that the peer has shown for introductions which were not announced then.
    pub(super) proofs: VecDeque<Token>,
    /// How many introductions this node keeps in mind that the peer has made, and how many it has
    /// made to the peer.
    pub(super) known: usize,
    pub(super) introductions: usize,
    pub(super) decoder: Decoder,
    pub(super) out: Out,
    /// What the peer has said in its greeting.
    pub(super) peer: Hello,
    pub(super) wires: Wires,
    pub(super) next_mine: u64,
    pub(super) next_theirs: u64,
    /// Ports granted to the peer that it has not acknowledged, with their epochs.
    pub(super) granted: Numbered<u32>,
    /// How many ports the peer has granted that were not acknowledged to it.
    pub(super) queued: u64,
    /// The channels that may have something to send, in turn.
    pub(super) ring: VecDeque<u64>,
    /// The channels that wait until the peer takes ports again, in turn, and the one of them that
    /// is in the ring for another try. Whoever comes later does not overtake them, or a message
    /// with many ports might wait for ever.
    pub(super) starved: VecDeque<u64>,
    pub(super) woken: Option<u64>,
    /// The stubs that ask the peer to be left out once there is room to write.
    pub(super) asked_later: BTreeSet<PipeId>,
    /// How many channels this side, and the other one, has allotted that are not over.
    pub(super) mine: u64,
    pub(super) theirs: u64,
}

pub(super) enum Stage {
    /// Before the greeting. The own token, or a greeting, may wait for its introduction.
    Greeting {
        /// None if it is farther than a clock goes.
        deadline: Option<Instant>,
        own: Option<Token>,
        greeted: bool,
        theirs: Option<Hello>,
    },
    Up,
}

/// The channels of a link, by number: those of either side apart, so that their numbers rise.
#[derive(Default)]
pub(super) struct Wires([Numbered<Wire>; 2]);

/// One side of a channel: a port, as this link sees it.
pub(super) struct Wire {
    /// The pipe and side that it belongs to; none when only the last frame is awaited.
    pub(super) owner: Option<Place>,
    /// What may still be sent.
    pub(super) credit_bytes: i64,
    pub(super) credit_messages: i32,
    /// What the peer may still send.
    pub(super) allowed_bytes: i64,
    pub(super) allowed_messages: i32,
    /// What was consumed here and not yet returned as credit.
    pub(super) owed_bytes: u64,
    pub(super) owed_messages: u32,
    pub(super) last: Last,
    pub(super) got_last: bool,
    pub(super) in_ring: bool,
    pub(super) starving: bool,
    /// Whether the peer was told that nobody receives what it sends.
    pub(super) told_stop: bool,
    /// Both last frames have passed, so that the channel counts no more. (A pipe may use it yet.)
    pub(super) over: bool,
    rare: Option<Box<Rare>>,
    /// The sequence number of the next event to come by this channel; the first one tells, if the
    /// channel replaces another.
    pub(super) due: Option<u64>,
}

/// What few channels have at a time; none if all of it is empty.
#[derive(Default)]
struct Rare {
    /// What remains of a message that is sent in chunks.
    sending: Bytes,
    assembling: Option<Assembly>,
    /// What came by this channel before the marker of the one that it replaces.
    held: Vec<Arrival>,
    proposals: Proposals,
}

/// How many proposals there were about a channel.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Proposals {
    /// Made here, and how many of these the peer has read, as far as it has said.
    made: u64,
    heard: u64,
    /// Read here, and how many of these the peer was told of.
    read: u64,
    told: u64,
}

/// The most bytes, and messages, for which credit is kept.
const MAX_CREDIT_BYTES: i64 = 1 << 48;
pub(super) const MAX_CREDIT_MESSAGES: u64 = 1 << 30;

/// Whether the last frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    No,
    /// It follows the message that is being sent in chunks.
    Switches,
    Switched,
    Ended,
}

impl Last {
    pub(super) fn is_sent(self) -> bool {
        matches!(self, Self::Switched | Self::Ended)
    }
}

/// A message whose chunks are coming in.
pub(super) struct Assembly {
    pub(super) sequence: u64,
    pub(super) total: u64,
    pub(super) bytes: BytesMut,
    pub(super) cargo: Vec<u64>,
}

pub(super) struct Arrival {
    pub(super) sequence: Option<u64>,
    pub(super) item: Item,
}

impl Link {
    pub(super) fn new(stage: Stage, initiator: bool, trusted: bool, peer: Hello) -> Self {
        Self {
            stage,
            initiator,
            trusted,
            introduced_by: None,
            expect: None,
            proofs: VecDeque::new(),
            known: 0,
            introductions: 0,
            decoder: Decoder::default(),
            out: Out::default(),
            peer,
            wires: Wires::default(),
            next_mine: 0,
            next_theirs: 0,
            granted: Numbered::default(),
            queued: 0,
            ring: VecDeque::new(),
            starved: VecDeque::new(),
            woken: None,
            asked_later: BTreeSet::new(),
            mine: 0,
            theirs: 0,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Greeting { deadline, .. } => *deadline,
            Stage::Up => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// Whether this side has allotted that channel. Exactly one of the two sides has.
    pub(super) fn is_mine(&self, channel: u64) -> bool {
        (channel % 2 == 0) == self.initiator
    }

    /// Whether there is, or was, such a channel.
    pub(super) fn was_allotted(&self, channel: u64) -> bool {
        let mine = self.is_mine(channel);
        channel
            < if mine {
                self.next_mine
            } else {
                self.next_theirs
            }
    }

    /// The numbers of the first channels: zero is the initiator's.
    pub(super) fn number_channels(&mut self) {
        self.next_mine = u64::from(!self.initiator);
        self.next_theirs = u64::from(self.initiator);
    }

    pub(super) fn send(&mut self, frame: &Frame) {
        self.out.frame(frame);
    }

    /// Puts a channel in the ring, for its turn to send.
    pub(super) fn enqueue(&mut self, channel: u64) {
        if let Some(wire) = self.wires.get_mut(&channel) {
            if !wire.in_ring {
                wire.in_ring = true;
                self.ring.push_back(channel);
            }
        }
    }

    /// The channel whose turn it is.
    pub(super) fn next_turn(&mut self) -> Option<u64> {
        let channel = self.ring.pop_front()?;
        let wire = self.wires.get_mut(&channel);
        if self.woken.is_none() && self.starved.front() == Some(&channel) {
            // What it has waited for, or to send, may have changed: this is another try.
            self.starved.pop_front();
            self.woken = Some(channel);
        }
        if let Some(wire) = wire {
            wire.in_ring = false;
            wire.starving &= self.woken != Some(channel);
        }
        Some(channel)
    }

    /// Makes a channel wait until the peer takes ports again: behind the others, unless it was
    /// the first of them.
    pub(super) fn starve(&mut self, channel: u64) {
        let Some(wire) = self.wires.get_mut(&channel) else {
            return;
        };
        if wire.starving {
            return;
        }
        wire.starving = true;
        if self.woken == Some(channel) {
            self.starved.push_front(channel);
        } else {
            self.starved.push_back(channel);
        }
    }

    /// Gives the first of those that wait to send ports another try.
    pub(super) fn wake_starved(&mut self) {
        while self.woken.is_none() {
            let Some(channel) = self.starved.pop_front() else {
                return;
            };
            if let Some(wire) = self.wires.get_mut(&channel) {
                wire.starving = false;
                self.woken = Some(channel);
                self.enqueue(channel);
            }
        }
    }

    /// A channel had its turn, or is gone. If it was the first of those that wait to send ports, and
    /// does not wait any more, the next may try.
    pub(super) fn had_turn(&mut self, channel: u64) {
        if self.woken == Some(channel) {
            self.woken = None;
            if self.starved.front() == Some(&channel) {
                return;
            }
        } else if self.starved.front() != Some(&channel) || self.wires.contains_key(&channel) {
            return;
        }
        self.wake_starved();
    }

    /// Whether a message with so many ports may be sent on a channel now.
    pub(super) fn may_grant(&self, channel: u64, ports: u64) -> bool {
        let first = self.starved.is_empty() && self.woken.is_none() || self.woken == Some(channel);
        first
            && self.granted.len() as u64 + ports <= self.peer.queued_ports
            && self.mine + ports <= self.peer.channels
    }

    /// Whether a channel may be opened for a splice. The peer bears twice as many channels as may
    /// come by grants: each of those may have to be replaced before it is over.
    pub(super) fn may_attach(&self) -> bool {
        self.mine < self.peer.channels.saturating_mul(2)
    }

    /// One of the two last frames of a channel has passed. Forgets the channel if both have and
    /// no pipe uses it.
    pub(super) fn reap(&mut self, channel: u64) {
        let Some(wire) = self.wires.get_mut(&channel) else {
            return;
        };
        if !wire.got_last || !wire.last.is_sent() {
            return;
        }
        // The peer counts alike: it has seen both when it hears of what is opened from now on.
        let owned = wire.owner.is_some();
        if !std::mem::replace(&mut wire.over, true) {
            if self.is_mine(channel) {
                self.mine -= 1;
                self.wake_starved();
            } else {
                self.theirs -= 1;
            }
        }
        if !owned {
            self.wires.remove(&channel);
        }
    }

    /// Says `End`, if nothing was said to end the channel, and gives up what was to be sent.
    pub(super) fn send_end(&mut self, channel: u64, close: bool) {
        if let Some(wire) = self.wires.get_mut(&channel) {
            if wire.last == Last::No {
                if wire.sending().is_some() {
                    trace!("a long message is broken off by the end");
                }
                wire.last = Last::Ended;
                wire.sent();
                self.out.frame(&Frame::End(channel, close));
                self.reap(channel);
            }
        }
    }

    /// Says that what follows takes another way, once the message that is being sent is through.
    pub(super) fn send_switched(&mut self, channel: u64) {
        if let Some(wire) = self.wires.get_mut(&channel) {
            if wire.last != Last::No {
                return;
            }
            if wire.sending().is_some() {
                trace!("a marker waits for the rest of a long message");
                wire.last = Last::Switches;
                self.enqueue(channel);
            } else {
                wire.last = Last::Switched;
                self.out.frame(&Frame::Switched(channel));
                self.reap(channel);
            }
        }
    }

    /// Sends the next piece of the message that is under way on this channel. Whether it was one.
    pub(super) fn send_chunk(&mut self, channel: u64) -> bool {
        let Some(wire) = self.wires.get_mut(&channel) else {
            return false;
        };
        let Some(rest) = wire.sending() else {
            return false;
        };
        let piece = rest.split_to(rest.len().min(wire::CHUNK));
        let through = rest.is_empty();
        self.out.frame(&Frame::Chunk(channel, piece));
        if through {
            wire.sent();
            if wire.last == Last::Switches {
                wire.last = Last::Switched;
                self.out.frame(&Frame::Switched(channel));
                self.reap(channel);
            }
        }
        true
    }

    /// Returns credit for what was consumed, in portions.
    pub(super) fn release(&mut self, channel: u64, bytes: u64, messages: u64, window: (u64, u64)) {
        let Some(wire) = self.wires.get_mut(&channel) else {
            return;
        };
        // What comes before the peer's marker needs credit also when the own marker was sent, and
        // even if the port has ended by the new way since.
        if wire.got_last || wire.last == Last::Ended {
            return;
        }
        wire.owed_bytes += bytes;
        // No more than was allowed, which fits.
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        wire.owed_messages = wire.owed_messages.saturating_add(messages);
        if !wire.owes_with(0, 0, window) {
            return;
        }
        let owed_messages = u64::from(wire.owed_messages);
        let credit = Frame::Credit(channel, wire.owed_bytes, owed_messages);
        wire.allowed_bytes = wire.allowed_bytes.saturating_add_unsigned(wire.owed_bytes);
        wire.allowed_messages = wire
            .allowed_messages
            .saturating_add_unsigned(wire.owed_messages);
        wire.owed_bytes = 0;
        wire.owed_messages = 0;
        self.out.frame(&credit);
    }

    /// Says that a granted port has left the queues here.
    pub(super) fn acknowledge(&mut self, adopt: &Adopt) {
        self.queued = self.queued.saturating_sub(1);
        self.send(&Frame::Adopted(adopt.channel, adopt.epoch));
    }
}

impl Wires {
    pub(super) fn get(&self, channel: &u64) -> Option<&Wire> {
        self.0[side(*channel)].get(channel)
    }

    pub(super) fn get_mut(&mut self, channel: &u64) -> Option<&mut Wire> {
        self.0[side(*channel)].get_mut(channel)
    }

    pub(super) fn contains_key(&self, channel: &u64) -> bool {
        self.get(channel).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Numbered::len).sum()
    }

    pub(super) fn insert(&mut self, channel: u64, wire: Wire) {
        self.0[side(channel)].insert(channel, wire);
    }

    pub(super) fn remove(&mut self, channel: &u64) {
        self.0[side(*channel)].remove(channel);
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (u64, Wire)> {
        self.0.into_iter().flat_map(Numbered::into_iter)
    }
}

/// Which side has allotted a channel: 0 is the one that has opened the link.
fn side(channel: u64) -> usize {
    usize::from(channel % 2 == 1)
}

impl fmt::Debug for Wires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credit = (self.credit_bytes, self.credit_messages);
        let allowed = (self.allowed_bytes, self.allowed_messages);
        let rare = self.rare.as_ref();
        let owed = (self.owed_bytes, self.owed_messages);
        write!(
            f,
            "{:?} credit {credit:?} allowed {allowed:?} ",
            self.owner()
        )?;
        write!(f, "owed {owed:?} last {:?} {}", self.last, self.got_last)?;
        write!(
            f,
            " sending {} held {}",
            rare.is_some_and(|rare| !rare.sending.is_empty()),
            rare.map_or(0, |rare| rare.held.len())
        )
    }
}

impl Wire {
    pub(super) fn new(
        owner: (PipeId, usize),
        peer: &Hello,
        window: (u64, u64),
        due: Option<u64>,
    ) -> Self {
        Self {
            owner: Some(Place::new(owner)),
            credit_bytes: bytes(peer.window_bytes),
            credit_messages: messages(peer.window_messages),
            allowed_bytes: bytes(window.0),
            allowed_messages: messages(window.1),
            owed_bytes: 0,
            owed_messages: 0,
            last: Last::No,
            got_last: false,
            in_ring: false,
            starving: false,
            told_stop: false,
            over: false,
            rare: None,
            due,
        }
    }

    /// Whether so much is owed to the peer, with what is given here, that it is to be told.
    pub(super) fn owes_with(&self, bytes: u64, messages: u64, window: (u64, u64)) -> bool {
        let messages = u64::from(self.owed_messages) + messages;
        (self.owed_bytes + bytes) * 2 >= window.0 || messages * 2 >= window.1
    }

    /// The pipe and side that it belongs to.
    pub(super) fn owner(&self) -> Option<(PipeId, usize)> {
        self.owner.map(Place::get)
    }

    pub(super) fn add_credit(&mut self, more_bytes: u64, more_messages: u64) {
        let sum = self.credit_bytes.saturating_add(bytes(more_bytes));
        self.credit_bytes = sum.min(MAX_CREDIT_BYTES);
        let sum = self.credit_messages.saturating_add(messages(more_messages));
        self.credit_messages = sum.min(messages(MAX_CREDIT_MESSAGES));
    }

    /// Begins to send a payload in chunks; it is not empty.
    pub(super) fn send(&mut self, payload: Bytes) {
        self.rare.get_or_insert_default().sending = payload;
    }

    /// What remains of a message that is sent in chunks.
    pub(super) fn sending(&mut self) -> Option<&mut Bytes> {
        let sending = &mut self.rare.as_mut()?.sending;
        (!sending.is_empty()).then_some(sending)
    }

    /// All was sent, or is given up.
    pub(super) fn sent(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.sending = Bytes::new();
        }
        self.tidy();
    }

    pub(super) fn assemble(&mut self, assembly: Assembly) {
        self.rare.get_or_insert_default().assembling = Some(assembly);
    }

    pub(super) fn is_assembling(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.assembling.is_some())
    }

    pub(super) fn assembling(&mut self) -> Option<&mut Assembly> {
        self.rare.as_mut()?.assembling.as_mut()
    }

    pub(super) fn take_assembly(&mut self) -> Option<Assembly> {
        let assembly = self.rare.as_mut()?.assembling.take();
        self.tidy();
        assembly
    }

    /// Keeps what came before the marker of the channel that this one replaces.
    pub(super) fn hold(&mut self, arrival: Arrival) {
        self.rare.get_or_insert_default().held.push(arrival);
    }

    pub(super) fn take_held(&mut self) -> Vec<Arrival> {
        let held = self.rare.as_mut().map(|rare| mem::take(&mut rare.held));
        self.tidy();
        held.unwrap_or_default()
    }

    /// A proposal about this channel is made. Gives how many of the peer's were read, if the peer
    /// does not know.
    pub(super) fn propose(&mut self) -> Option<u64> {
        let proposals = &mut self.rare.get_or_insert_default().proposals;
        proposals.made += 1;
        let told = mem::replace(&mut proposals.told, proposals.read);
        (told != proposals.read).then_some(proposals.read)
    }

    /// A proposal about this channel has come: whether it was made before the peer has read the
    /// last one that was made here.
    pub(super) fn has_crossed(&mut self) -> bool {
        let proposals = &mut self.rare.get_or_insert_default().proposals;
        proposals.read += 1;
        proposals.heard < proposals.made
    }

    /// The peer says how many proposals it has read. `false` if that cannot be.
    pub(super) fn has_heard(&mut self, proposals: u64) -> bool {
        let Some(rare) = &mut self.rare else {
            return false;
        };
        let known = &mut rare.proposals;
        let may_be = proposals > known.heard && proposals <= known.made;
        if may_be {
            known.heard = proposals;
        }
        may_be
    }

    fn tidy(&mut self) {
        self.rare.take_if(|rare| {
            let idle = rare.sending.is_empty() && rare.assembling.is_none();
            idle && rare.held.is_empty() && rare.proposals == Proposals::default()
        });
    }

    /// A message of that length is sent.
    pub(super) fn spend(&mut self, length: u64) {
        self.credit_messages -= 1;
        self.credit_bytes = self.credit_bytes.saturating_sub_unsigned(length);
    }

    pub(super) fn may_send(&self) -> bool {
        self.credit_bytes > 0 && self.credit_messages > 0
    }
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).map_or(MAX_CREDIT_BYTES, |number| number.min(MAX_CREDIT_BYTES))
}

fn messages(number: u64) -> i32 {
    i32::try_from(number.min(MAX_CREDIT_MESSAGES)).unwrap_or(i32::MAX)
}
