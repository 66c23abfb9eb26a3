//! A pipe: two sides, and what flows between them in either direction.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroU64;

use bytes::Bytes;

use super::LinkId;
use super::introduced::KnownKey;
use super::wire::Proposal;
use crate::MessagePort;
use crate::port::Relayed;

pub(super) type PipeId = u64;

/// A pipe and a side of it, as one number: for what refers to one and is there for each port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(NonZeroU64);

impl Place {
    pub(super) fn new((id, side): (PipeId, usize)) -> Self {
        Self(NonZeroU64::MIN.saturating_add(id << 1 | side as u64))
    }

    pub(super) fn number(self) -> u64 {
        self.0.get() - 1
    }

    pub(super) fn numbered(number: u64) -> (PipeId, usize) {
        (number >> 1, usize::from(number & 1 == 1))
    }

    pub(super) fn get(self) -> (PipeId, usize) {
        Self::numbered(self.number())
    }
}

/// A channel of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) link: LinkId,
    pub(super) channel: u64,
}

pub(super) struct Pipe {
    pub(super) sides: [Side; 2],
    /// `flows[i]` enters at side `i` and leaves at the other one.
    pub(super) flows: [Flow; 2],
    /// How many moves across links the end beyond each side has made, as far as known here.
    pub(super) epochs: [u32; 2],
    /// Whether the end beyond each side is gone, and the other one gets no `close` for that, since it
    /// has begun it, or has heard its `close`.
    pub(super) quiet: [bool; 2],
    pub(super) splicing: Option<Box<Splicing>>,
}

pub(super) enum Side {
    /// The end is in this process.
    Local(Box<Local>),
    /// The end is beyond a link.
    Wire(Address),
    /// The same while a splice is under way.
    Switching(Box<Switching>),
    /// The last frame was sent; the rest of the route is to be joined in this node.
    Fold(Box<Fold>),
    /// The end travels in a message that is queued here. Its number.
    Cargo(u64),
    Gone,
}

/// What comes in still takes the old channel, what goes out the new one.
pub(super) struct Switching {
    pub(super) input: Address,
    pub(super) output: Address,
}

/// The pipe and side to join with, once the marker has come here (`marked`) and there.
pub(super) struct Fold {
    pub(super) input: Address,
    pub(super) with: (PipeId, usize),
    pub(super) marked: bool,
}

/// A port that this node holds, entangled with one in somebody's hands.
pub(super) struct Local {
    pub(super) port: MessagePort,
    pub(super) unread: Option<Box<Unread>>,
}

/// A side that travels in a message which is queued here.
pub(super) struct Travelling {
    pub(super) place: (PipeId, usize),
    /// How many links it has passed since a user has moved it.
    pub(super) hops: u32,
    /// What is still to be acknowledged of the move that brought it.
    pub(super) adopt: Option<Adopt>,
}

/// What was delivered and perhaps not received yet: the credit and the acknowledgements to give
/// then. While that would be nothing that the peer is told at once, nobody looks.
pub(super) struct Unread {
    pub(super) from: Option<Address>,
    pub(super) bytes: u64,
    pub(super) messages: u64,
    pub(super) adopts: Vec<Adopt>,
    /// Whether the node is told when it is received.
    pub(super) watched: bool,
}

impl Local {
    /// One event more is delivered. What is returned came by another channel; its credit is given
    /// at once, since only one channel is kept in mind.
    #[must_use]
    pub(super) fn delivered(
        &mut self,
        from: Option<Address>,
        bytes: u64,
        adopts: Vec<Adopt>,
    ) -> Option<Box<Unread>> {
        let stale = self.unread.take_if(|unread| unread.from != from);
        let unread = self.unread.get_or_insert_with(|| {
            Box::new(Unread {
                from,
                bytes: 0,
                messages: 0,
                adopts: Vec::new(),
                watched: false,
            })
        });
        unread.bytes += bytes;
        unread.messages += 1;
        unread.adopts.extend(adopts);
        stale
    }
}

/// A move that is to be acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adopt {
    pub(super) link: LinkId,
    pub(super) channel: u64,
    pub(super) epoch: u32,
}

#[derive(Default)]
pub(super) struct Flow {
    pub(super) queue: Queue,
    /// The sequence numbers of the next event to enter and to leave.
    pub(super) entered: u64,
    pub(super) left: u64,
    /// Nothing will leave any more; what enters is dropped.
    pub(super) done: bool,
    /// Nobody will receive what leaves: only the end and markers pass.
    pub(super) stopped: bool,
}

impl Flow {
    /// From now on only the end and markers pass. What is dropped.
    pub(super) fn stop(&mut self) -> Vec<Item> {
        self.stopped = true;
        let last = |item: &Item| matches!(item, Item::End { .. } | Item::Switched);
        let (keep, drop): (Vec<_>, _) = mem::take(&mut self.queue).into_iter().partition(last);
        self.queue.extend(keep);
        drop
    }

    pub(super) fn takes(&self, item: &Item) -> bool {
        !self.done && (!self.stopped || matches!(item, Item::End { .. } | Item::Switched))
    }
}

/// A queue that has no memory while it is empty, as most are. (Its methods are `VecDeque`'s.)
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "every port has two of these, and few have anything"
)]
pub(super) struct Queue(Option<Box<VecDeque<Item>>>);

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |items| items.len())
    }

    pub(super) fn front(&self) -> Option<&Item> {
        self.0.as_ref()?.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Item> {
        self.0.as_mut()?.front_mut()
    }

    pub(super) fn back(&self) -> Option<&Item> {
        self.0.as_ref()?.back()
    }

    /// Whether the end is queued, and fires no `close`.
    pub(super) fn ends_quietly(&self) -> bool {
        matches!(self.back(), Some(Item::End { close: false }))
    }

    pub(super) fn push_front(&mut self, item: Item) {
        self.0.get_or_insert_default().push_front(item);
    }

    pub(super) fn push_back(&mut self, item: Item) {
        self.0.get_or_insert_default().push_back(item);
    }

    pub(super) fn pop_front(&mut self) -> Option<Item> {
        let items = self.0.as_mut()?;
        let item = items.pop_front();
        if items.is_empty() {
            self.0 = None;
        }
        item
    }

    pub(super) fn extend(&mut self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            self.push_back(item);
        }
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Item> {
        self.0.into_iter().flat_map(|items| *items)
    }
}

pub(super) enum Item {
    Message(Parcel),
    /// A `close` event of a former partner, and the channel by which it came.
    Close {
        from: Option<Address>,
    },
    /// So many events in the queue of a port which nobody holds any more.
    Backlog {
        port: Box<MessagePort>,
        left: usize,
        moved_by: MovedBy,
        unread: Option<Box<Unread>>,
    },
    /// The marker of a splice.
    Switched,
    /// The end beyond the entry is gone; whether a `close` is fired.
    End {
        close: bool,
    },
}

pub(super) struct Parcel {
    pub(super) payload: Bytes,
    pub(super) cargo: Vec<Cargo>,
    pub(super) attachment: Option<Box<dyn Any + Send>>,
    /// The channel by which it came: there its credit is returned.
    pub(super) from: Option<Address>,
}

/// Why a port moves: because a user has posted it, or a port that it travels in, or by itself, that
/// is because it follows a port that moves.
///
/// A port that is moved by a user begins anew to count the links that it passes, and so do those
/// that are in its queue then: they have landed before. Those that only follow it count on. So in a
/// circle of ports that follow one another, which no user moves any more, the count comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MovedBy {
    /// When as many ports as this had landed here.
    User(u64),
    Itself,
}

pub(super) enum Cargo {
    /// A port of this process.
    Port(MessagePort, Option<Relayed>, MovedBy),
    /// A side of a pipe, by number.
    Side(u64),
}

/// What is under way to take stubs out of the route.
#[derive(Debug, Default)]
pub(super) struct Splicing {
    /// This pipe is a stub and has asked its neighbours.
    pub(super) own: Option<Own>,
    /// For each side: the proposal of the stub beyond it that this pipe has consented to, and one
    /// that cannot be answered yet.
    pub(super) consented: [Option<Proposal>; 2],
    pub(super) waiting: [Option<Proposal>; 2],
    /// For each side that has consented to await a channel: the marker has come before that.
    pub(super) marked: [bool; 2],
    /// This pipe, or one that it was joined of, has asked its neighbours at some time.
    pub(super) asked: bool,
    /// The introduction that this stub waits for, or once waited for.
    pub(super) awaits: Option<u64>,
}

impl Proposal {
    /// The other channel that a proposal is about which came, or is said, on this one.
    pub(super) fn second(&self, at: Address) -> Option<Address> {
        match *self {
            Self::Fold { other } => Some(Address {
                link: at.link,
                channel: other,
            }),
            Self::Open { .. } | Self::Await { .. } => None,
        }
    }
}

/// What a stub has proposed: to side 0 to open a channel (or to fold), to side 1 to await it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) fold: bool,
    /// Of no meaning for a fold, which needs neither an introduction nor consent.
    pub(super) introduction: u64,
    pub(super) ticket: u64,
    pub(super) consents: [bool; 2],
    /// From here on it cannot be taken back: markers will pass, or have begun to.
    pub(super) committed: bool,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (side, place) in self.sides.iter().enumerate() {
            let flow = &self.flows[side];
            match place {
                Side::Local(local) => {
                    let (entangled, queued) = (local.port.is_entangled(), local.port.queued());
                    let unread = local.unread.is_some();
                    write!(f, "local({entangled}, {queued}, {unread})")?;
                }
                Side::Wire(at) => write!(f, "wire({at:?})")?,
                Side::Switching(at) => write!(f, "switching({:?}, {:?})", at.input, at.output)?,
                Side::Fold(fold) => write!(f, "fold({:?}, {})", fold.input, fold.marked)?,
                Side::Cargo(number) => write!(f, "cargo({number})")?,
                Side::Gone => f.write_str("gone")?,
            }
            let (queued, done) = (flow.queue.len(), flow.done);
            write!(f, " {{ in: {}, out: {}, ", flow.entered, flow.left)?;
            write!(
                f,
                "queued: {queued}, done: {done}, stopped: {} }} ",
                flow.stopped
            )?;
        }
        match &self.splicing {
            Some(splicing) => write!(f, "{splicing:?}"),
            None => Ok(()),
        }
    }
}

impl Pipe {
    pub(super) fn new(sides: [Side; 2]) -> Self {
        Self {
            sides,
            flows: Default::default(),
            epochs: [0; 2],
            quiet: [false; 2],
            splicing: None,
        }
    }

    pub(super) fn is_stub(&self) -> bool {
        self.sides
            .iter()
            .all(|side| !matches!(side, Side::Local(_) | Side::Cargo(_)))
    }

    pub(super) fn splicing(&mut self) -> &mut Splicing {
        self.splicing.get_or_insert_default()
    }

    /// By which introduction and ticket a side awaits a channel.
    pub(super) fn awaited(&self, side: usize) -> Option<(KnownKey, u64)> {
        let at = self.sides[side].output()?;
        match self.splicing.as_ref()?.consented[side] {
            Some(Proposal::Await {
                introduction,
                ticket,
            }) => Some(((at.link, introduction), ticket)),
            _ => None,
        }
    }

    /// The channel of a side at which no splice is half done.
    pub(super) fn steady(&self, side: usize) -> Option<Address> {
        match &self.sides[side] {
            Side::Wire(at) => {
                let busy = self
                    .splicing
                    .as_ref()
                    .is_some_and(|splicing| splicing.consented[side].is_some());
                (!busy).then_some(*at)
            }
            _ => None,
        }
    }
}

impl Side {
    /// The channels that a side uses: where it reads and where it writes.
    pub(super) fn channels(&self) -> [Option<Address>; 2] {
        match self {
            Self::Wire(at) => [Some(*at), None],
            Self::Switching(at) => [Some(at.input), Some(at.output)],
            Self::Fold(fold) => [Some(fold.input), None],
            Self::Local(_) | Self::Cargo(_) | Self::Gone => [None, None],
        }
    }

    pub(super) fn output(&self) -> Option<Address> {
        match self {
            Self::Wire(at) => Some(*at),
            Self::Switching(at) => Some(at.output),
            Self::Local(_) | Self::Fold(_) | Self::Cargo(_) | Self::Gone => None,
        }
    }
}
