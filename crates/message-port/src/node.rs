//! Ports across processes: `Node`, a state machine without I/O, and what goes in and comes out.
//!
//! Two nodes, and a loop that carries their bytes; a host does the same with its sockets and its
//! clock. (For tokio's streams there is `driver`, with the feature `tokio`.)
//!
//! ```
//! use std::time::Instant;
//! use message_port::node::{Input, Limits, LinkId, LinkKind, Node, Output};
//! use message_port::{Event, Message, MessagePort};
//!
//! fn carry(nodes: &mut [Node; 2], ports: &mut Vec<MessagePort>) {
//!     let now = Instant::now();
//!     let mut quiet = 0;
//!     while quiet < 2 {
//!         nodes.reverse(); // each in turn
//!         let [this, peer] = nodes;
//!         quiet += 1;
//!         while let Some(output) = this.poll_output() {
//!             quiet = 0;
//!             match output {
//!                 Output::Write { link, bytes } => {
//!                     this.handle_input(now, Input::Written { link, count: bytes.len() });
//!                     peer.handle_input(now, Input::Received { link, bytes });
//!                 }
//!                 Output::LinkUp { port, .. } => ports.extend(port),
//!                 Output::LinkClosed { error, .. } => panic!("{error}"), // close the stream
//!                 Output::Introduce { introduction, .. } => { // there is no third node to introduce
//!                     this.handle_input(now, Input::Introduction { introduction, tokens: None });
//!                 }
//!             }
//!         }
//!     }
//! }
//!
//! // Wherever a port is used: the function given to a node is to wake its loop.
//! let mut nodes = [(); 2].map(|()| Node::new(Limits::default(), || ()));
//! for (node, initiator) in nodes.iter_mut().zip([true, false]) {
//!     let kind = LinkKind::Trusted { initiator };
//!     node.handle_input(Instant::now(), Input::LinkOpened { link: LinkId(1), kind });
//! }
//! let mut ports = Vec::new();
//! carry(&mut nodes, &mut ports);
//! let [one, other] = &mut ports[..] else { panic!("each side of the link has a port") };
//! one.post_message(Message::new("from node to node"));
//! carry(&mut nodes, &mut Vec::new());
//! other.start();
//! let Ok(Event::Message(message)) = other.try_recv() else { panic!("nothing came") };
//! assert_eq!(message.payload, "from node to node");
//! ```
//!
//! # The words
//!
//! - A **link** is a stream of bytes to another node. Many ports share one. Each port that goes over
//!   it has a **channel** there: a number that the side which opens the channel allots, and that
//!   means nothing on any other link, so a peer can name only what was granted to it.
//! - A **pipe** is one node's piece of the way between two entangled ports. It has two **sides**,
//!   and a **flow** in either direction: what enters at one side leaves at the other. A side is
//!   *local* (a port of this process), a *wire* (a channel of a link), *cargo* (the port travels in
//!   a message that is still queued here, and may end up as either), or *gone*.
//! - A **route** is the row of pipes between two ports. The pipe at each end has a local side; a
//!   pipe between two wires is a **stub**, which only forwards.
//!
//! # Moving
//!
//! A message that carries a port over a link **grants** a channel for it (`grant.rs`). At the
//! sender the side that was local becomes that wire; the receiver makes a pipe of the channel and
//! a local side. What was queued goes along behind it. The two sides of a pipe move independently
//! of one another, so a port can move again whatever its last move, or its partner's, has come
//! to. The receiver **acknowledges** (`Adopted`) when the port has left the queues there.
//!
//! # Splicing
//!
//! A port that moves from L over M to R leaves a stub in M, and M asks both neighbours to go on
//! without it (`splice.rs`):
//!
//! ```text
//!   before      L ───1─── M ───2─── R         M asks its host to introduce L and R, then both
//!                                             nodes to splice; both consent; M says: commit
//!
//!   meanwhile   L ─1─▌──▶ M ─2─▌──▶ R         what was sent by the old way, then ▌, the marker
//!               └────────▶ 3 ───────┘         what is sent by the new way: R holds it back
//!                                             until the marker has come (and L likewise)
//!
//!   after       L ─────────3─────── R         both markers have passed M: the stub is gone
//! ```
//!
//! The **marker** (`Switched`) is the last frame that either side sends on the old channel. Since
//! nothing follows it there, and nothing that came by the new channel passes before it, nothing is
//! lost, doubled or reordered.
//!
//! - If L and R are different nodes, channel 3 is on a direct link between them. That comes of an
//!   **introduction** (`introduce.rs`, `introduced.rs`): M asks its host, which either refuses (then
//!   M relays for good), has the two hosts make a link, or has both vouch for one that is there.
//!   The two nodes prove themselves to one another with tokens that came over M. L opens channel 3
//!   with a **ticket** that M has told both.
//! - If L and R are one node (the port has come back), no new channel is needed: L **folds** its two
//!   pipes (`join.rs`). It sends both markers at once, they come back by the other channel, and the
//!   pipes are joined.
//!
//! # Ending
//!
//! A port that is closed, or lost with its node or a link, sends `End` on its channel, behind its
//! last message; a stub passes it on; the partner's user gets his `close`. What was on its way in
//! the other direction is dropped at once (`Stop` tells the senders). A message that cannot go on,
//! since the next link does not take it, ends its route in the same way, and nothing passes that is
//! queued behind it.
//!
//! # What holds
//!
//! **Invariant:** on each channel each side sends exactly one last frame, `End` or `Switched`.
//! After it come only credit for what is still under way to it, and nothing else. The channel is
//! forgotten when both last frames have passed and no pipe uses it. Its number is never used again.
//!
//! **Invariant:** what one peer says can only end routes that lead through it, and its own link. So
//! where a lie could be either of two peers' (a splice in which events are missing, say), the
//! route is ended and both links stay.
//!
//! **Invariant:** whatever a peer can make this node keep is bounded: messages and closes by
//! credit, ports by `queued_ports`, channels by `channels`, answers by `unwritten`, introductions
//! by a constant, all of which honest nodes are told and keep.

mod arrive;
mod error;
mod flow;
mod gateway;
mod grant;
mod greet;
mod introduce;
mod introduced;
mod join;
mod link;
mod links;
mod numbered;
mod out;
mod pipe;
mod splice;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use error::LinkError;

use crate::MessagePort;
use crate::pair::ReadyCallback;
use gateway::Ready;
use introduce::{Offered, Tried};
use introduced::{Known, KnownKey};
use link::{Link, MAX_CREDIT_MESSAGES};
use links::Links;
use numbered::Numbered;
use pipe::{Pipe, PipeId, Travelling};

/// Names a link. The host chooses the numbers, and uses each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number that the host chooses")]
pub struct LinkId(pub u64);

/// Names an introduction that this node has asked its host for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntroductionId(u64);

/// 128 bits that nobody can guess, from the host's source of randomness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "bits that the host chooses")]
pub struct Token(pub u128);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token in a log is a token given away.
        f.write_str("Token(…)")
    }
}

/// Why this node may believe that the peer of a new link is who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the host must choose")]
pub enum LinkKind {
    /// The host vouches for the peer, as for a process that it has started. Both nodes get a port
    /// that is entangled with the other's. Exactly one of the two is the `initiator`.
    Trusted {
        /// Whether this side has opened the link.
        initiator: bool,
    },
    /// The link was arranged by an introduction; the token is this side's own.
    Introduced {
        /// What [`Input::Introduction`] had for this side.
        token: Token,
    },
    /// Somebody has connected, who has to prove an introduction.
    Accepted,
}

/// What a node is told.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled input is a bug")]
pub enum Input {
    /// There is a new ordered stream of bytes.
    LinkOpened {
        /// Its name from now on.
        link: LinkId,
        /// Who is at the other side.
        kind: LinkKind,
    },
    /// Bytes were read, in any division.
    Received {
        /// From where.
        link: LinkId,
        /// What was read.
        bytes: Bytes,
    },
    /// So many bytes of [`Output::Write`] were written. Until it hears so, a node begins no
    /// message beyond [`Limits::link_buffer`], so that a long message cannot hold up a short one.
    Written {
        /// Whereto.
        link: LinkId,
        /// How many bytes.
        count: usize,
    },
    /// The stream has ended, in whatever way.
    LinkLost {
        /// Which.
        link: LinkId,
    },
    /// A link that is up already leads to whom an introduction is about: no second one is made.
    /// The hosts of both sides have to say so, and the nodes prove it to each other.
    LinkVouched {
        /// Which.
        link: LinkId,
        /// What [`Input::Introduction`] had for this side.
        token: Token,
    },
    /// The answer to [`Output::Introduce`].
    Introduction {
        /// Which.
        introduction: IntroductionId,
        /// The tokens by which the nodes behind `a` and `b` prove themselves to one another, in
        /// this order, fresh from the host's randomness. `None`: there will be no direct link.
        tokens: Option<[Token; 2]>,
    },
}

/// What a node wants done, in order.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled output is a bug")]
pub enum Output {
    /// Write these bytes, after all earlier ones of this link.
    Write {
        /// Whereto.
        link: LinkId,
        /// What.
        bytes: Bytes,
    },
    /// The peer has proved to be a node. Over a trusted link there comes a port, entangled with
    /// the one that the peer gets.
    LinkUp {
        /// Which.
        link: LinkId,
        /// The first port over this link, if it is a trusted one.
        port: Option<MessagePort>,
    },
    /// The node has given up a link: close its stream. Not said after [`Input::LinkLost`].
    LinkClosed {
        /// Which.
        link: LinkId,
        /// Why.
        error: LinkError,
    },
    /// The nodes behind these links would profit from a direct one. The host answers with
    /// [`Input::Introduction`] and, unless it refuses, gives each of the two an end of a stream
    /// ([`LinkKind::Introduced`] or, at one side, [`LinkKind::Accepted`]). If they have a link
    /// already, both are told [`Input::LinkVouched`] instead. If the stream cannot be made after
    /// all, the one with the token is told that it was opened and lost: so this node hears of it.
    Introduce {
        /// Names the answer.
        introduction: IntroductionId,
        /// One of the two.
        a: LinkId,
        /// The other.
        b: LinkId,
    },
}

/// How much a node takes from its peers. The defaults suit a browser.
///
/// A peer can make a node keep `window_bytes` and one message of `max_message` for each port, and
/// twice as many ports as `channels`, half of them about to end. There is no bound for the sum: for
/// peers that are not trusted with that much, set these lower.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes that may be queued for one port before its sender pauses; one message may go beyond.
    /// (So many for each port: what all the ports of a link may make this node keep is this times
    /// [`channels`](Self::channels). A host that fears its peers lowers both.)
    pub window_bytes: u32,
    /// Messages that may be queued for one port before its sender pauses.
    pub window_messages: u32,
    /// The longest message, in bytes. A port that is to carry a longer one is cut, at both ends.
    pub max_message: u64,
    /// How many ports of one link may wait in queues for somebody to receive them. Messages with
    /// more wait at the sender, behind one another.
    ///
    /// It is a last resort, to be set so high that only abuse comes near it. If both sides of a
    /// link have spent it on ports that are to go back unread, inside others, by the same link,
    /// then messages with ports wait on both until one of those is received or closed.
    pub queued_ports: u64,
    /// How many ports one link may carry for its peer at a time, those included that are being
    /// spliced out. A message with more waits until others have ended; a last resort, as
    /// [`queued_ports`](Self::queued_ports) is.
    pub channels: u64,
    /// How many bytes a link hands out before it hears that they were written.
    pub link_buffer: usize,
    /// How many bytes of answers may wait to be written, beyond [`link_buffer`](Self::link_buffer),
    /// while the peer goes on sending. One that never reads loses its link.
    pub unwritten: usize,
    /// How long a new link may take to greet.
    pub hello_timeout: Duration,
}

impl Limits {
    /// Bytes and messages that may be queued for one port.
    fn window(&self) -> (u64, u64) {
        let messages = u64::from(self.window_messages).min(MAX_CREDIT_MESSAGES);
        (self.window_bytes.into(), messages)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_bytes: 1024 * 1024,
            window_messages: 4096,
            max_message: 256 * 1024 * 1024,
            queued_ports: 65_536,
            channels: 262_144,
            link_buffer: 512 * 1024,
            unwritten: 16 * 1024 * 1024,
            hello_timeout: Duration::from_secs(10),
        }
    }
}

/// The ports of this process that have a partner in another one, and the links that lead there.
///
/// Users see [`MessagePort`]s only: one that is posted over such a port arrives as a port in the
/// other process, with its queue. The host feeds streams in and out:
///
/// - after every input, and whenever the function given to [`Node::new`] was called, take
///   [`poll_output`](Self::poll_output) until `None`;
/// - call [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says.
///
/// A peer that breaks the protocol loses its link, for a reason with a name ([`LinkError`]), and
/// harms nobody else. A dropped node closes the ports that it holds, as a process that dies.
pub struct Node {
    limits: Limits,
    links: Links,
    pipes: Numbered<Pipe>,
    next_pipe: PipeId,
    /// Sides that travel in a queued message, by number.
    cargo: Numbered<Travelling>,
    next_cargo: u64,
    /// How many ports have come to users of this process, or to queues there.
    landings: u64,
    ready: Arc<Ready>,
    /// An empty list, for those that are ready.
    looked_at: Vec<u64>,
    /// Local ports that have posted something lately, by pipe and side.
    warm: VecDeque<(PipeId, usize)>,
    /// What the node's ports call: the same for all of them, by which it knows its own.
    callback: ReadyCallback,
    /// Introductions that this node has made, by number and by pair of links.
    offered: BTreeMap<u64, Offered>,
    /// (The lower link is first.)
    tried: BTreeMap<(LinkId, LinkId), Tried>,
    next_introduction: u64,
    /// Introductions that others made for this node.
    known: BTreeMap<KnownKey, Known>,
    /// The same by the token that the other node shows, and by the one that this node shows.
    expected: BTreeMap<Token, KnownKey>,
    shown: BTreeMap<Token, KnownKey>,
    /// Links that the host has vouched for before the introduction was announced, by the token
    /// that this node shows; and those that the peer has proved before, by the token that it shows.
    vouched: BTreeMap<Token, LinkId>,
    proofs: BTreeMap<Token, LinkId>,
    /// What this node would have shown on links that were lost before their introduction was
    /// announced.
    failed: VecDeque<Token>,
    /// Links that are not up yet.
    greeting: BTreeSet<LinkId>,
    next_ticket: u64,
    /// The side that awaits a channel of the peer behind a direct link: by introduction and ticket.
    tickets: BTreeMap<(KnownKey, u64), (PipeId, usize)>,
    work: VecDeque<Work>,
    outputs: VecDeque<Output>,
}

/// What is still to be done before an input is digested. A list, so that no depth of ports in
/// queues of ports needs a stack.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Something may leave this pipe that has entered at this side.
    Advance(PipeId, usize),
    /// The message in which this side travelled is gone, and the port with it.
    Cut(u64),
    /// Nobody receives what enters at this side: whoever sends it should know.
    TellStop(PipeId, usize),
    /// A splice may begin, or an answer that was put off be given.
    Consider(PipeId),
    /// The peer has broken the protocol.
    Fail(LinkId, LinkError),
}

impl Node {
    /// A node without links. `wake` is called from any thread, with no lock held, when a port has
    /// something for the node: it should bring the host to [`poll_output`](Self::poll_output).
    #[must_use]
    pub fn new(limits: Limits, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let ready = Arc::new(Ready::new(Box::new(wake)));
        Self {
            limits,
            links: Links::default(),
            pipes: Numbered::default(),
            next_pipe: 0,
            cargo: Numbered::default(),
            next_cargo: 0,
            landings: 0,
            callback: Ready::callback(&ready),
            ready,
            looked_at: Vec::new(),
            warm: VecDeque::new(),
            offered: BTreeMap::new(),
            tried: BTreeMap::new(),
            next_introduction: 0,
            known: BTreeMap::new(),
            expected: BTreeMap::new(),
            shown: BTreeMap::new(),
            vouched: BTreeMap::new(),
            proofs: BTreeMap::new(),
            failed: VecDeque::new(),
            greeting: BTreeSet::new(),
            next_ticket: 0,
            tickets: BTreeMap::new(),
            work: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. A link or introduction that is not known (any more) is ignored.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::LinkOpened { link, kind } => self.open_link(now, link, kind),
            Input::Received { link, bytes } => self.receive(link, bytes),
            Input::Written { link, count } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.out.written(count);
                    if link.out.has_room(self.limits.link_buffer) {
                        let stubs = mem::take(&mut link.asked_later).into_iter();
                        self.work.extend(stubs.map(Work::Consider));
                    }
                }
            }
            Input::LinkLost { link } => self.lose(link),
            Input::LinkVouched { link, token } => self.vouch(link, token),
            Input::Introduction {
                introduction,
                tokens,
            } => self.answered(introduction.0, tokens),
        }
        self.settle();
    }

    /// What is to be done next. Poll until `None` after every input, every timeout, and every call
    /// of the function that [`Node::new`] was given.
    #[must_use = "an output that was taken is not given again"]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.take_ready();
        self.settle();
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        self.poll_write()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest; may change with every
    /// input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let greeting = self.greeting.iter();
        greeting
            .filter_map(|link| self.links.get(link)?.deadline())
            .min()
    }

    /// Gives up the links that have not greeted in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late = |link: &Link| link.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<LinkId> = self
            .greeting
            .iter()
            .filter(|id| self.links.get(id).is_some_and(late))
            .copied()
            .collect();
        for link in late {
            self.fail(link, LinkError::HelloTimeout(self.limits.hello_timeout));
        }
        self.settle();
    }

    /// How much this node holds at the moment.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for pipe in self.pipes.values() {
            census.ports += 1;
            census.stubs += usize::from(pipe.is_stub());
        }
        for (_, link) in self.links.iter() {
            census.links += 1;
            census.channels += link.wires.len();
            census.unacknowledged += link.granted.len();
        }
        census
    }

    /// Does what is to be done, until nothing is.
    fn settle(&mut self) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Advance(pipe, side) => self.advance(pipe, side),
                Work::Cut(cargo) => {
                    if let Some((pipe, side)) = self.cargo.get(&cargo).map(|cargo| cargo.place) {
                        self.end_from(pipe, side, true);
                    }
                }
                Work::TellStop(pipe, side) => self.tell_stop(pipe, side),
                Work::Consider(pipe) => self.consider(pipe),
                Work::Fail(link, error) => self.fail(link, error),
            }
        }
    }

    /// Closes a link whose peer has broken the protocol.
    fn fail(&mut self, link: LinkId, error: LinkError) {
        if self.links.contains_key(&link) {
            tracing::debug!(link = link.0, %error, "a link is closed");
            self.lose(link);
            self.outputs.push_back(Output::LinkClosed { link, error });
        }
    }
}

/// What a [`Node`] holds, in numbers: for tests, and for those who watch over memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Links, greeted or not.
    pub links: usize,
    /// Ports that have a partner beyond a link, stubs and ports in queued messages included.
    pub ports: usize,
    /// Ports that are only forwarded, from one link to another.
    pub stubs: usize,
    /// Channels on all links.
    pub channels: usize,
    /// Moves that the node at the other side has not acknowledged yet.
    pub unacknowledged: usize,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = f.alternate();
        let mut shown = f.debug_struct("Node");
        shown.field("census", &self.census());
        if all {
            shown.field("pipes", &self.pipes);
            for (id, link) in self.links.iter() {
                shown.field(&format!("link {}", id.0), &link.wires);
            }
        }
        shown.finish_non_exhaustive()
    }
}
