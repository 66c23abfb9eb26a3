//! The simulated world: processes with a node each, streams between them, hosts that introduce.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use message_port::MessagePort;
use message_port::node::{
    Input, IntroductionId, Limits, LinkError, LinkId, LinkKind, Node, Output, Token,
};

/// SplitMix64: a seed replays a run.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One direction of a stream.
#[derive(Default)]
pub(crate) struct Pipe {
    pub(crate) bytes: VecDeque<u8>,
    /// What a liar has begun to say, up to a whole frame.
    begun: Vec<u8>,
    greeted: bool,
}

/// How the hosts answer when they are asked for an introduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuse {
    Never,
    Sometimes,
    Always,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) refused: u64,
    pub(crate) vouched: u64,
    pub(crate) linked: u64,
    pub(crate) timeouts: u64,
    pub(crate) lies: u64,
}

/// A stream between two processes: the ends are (process, the node's name for the link).
pub(crate) struct Stream {
    pub(crate) ends: [(usize, LinkId); 2],
    /// `pipes[i]` carries what end `i` writes.
    pub(crate) pipes: [Pipe; 2],
    pub(crate) open: bool,
    /// Whether it came of an introduction.
    introduced: bool,
    /// Whether the node at each end was told of it.
    told: [bool; 2],
    /// Whether it has come up for the node at each end.
    up: [bool; 2],
    /// All that end `i` has written, if the world records.
    pub(crate) said: [Vec<u8>; 2],
}

pub(crate) struct Asked {
    process: usize,
    introduction: IntroductionId,
    a: LinkId,
    b: LinkId,
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Option<Node>>,
    limits: Vec<Limits>,
    /// Whether a node has had an input, or has called to be polled, since it was.
    due: Vec<Arc<AtomicBool>>,
    pub(crate) streams: Vec<Stream>,
    by_link: BTreeMap<(usize, LinkId), (usize, usize)>,
    next_link: u64,
    pub(crate) asked: VecDeque<Asked>,
    /// How often the same was asked for.
    attempts: BTreeMap<(usize, LinkId, LinkId), u32>,
    /// What hosts will yet tell: process and input. They do so one by one, in any order.
    told_later: Vec<(usize, Input)>,
    /// Where introductions are refused, stubs stay.
    pub(crate) refuse: Refuse,
    /// A process that says what its node has not said, and does not say what it has.
    pub(crate) liar: Option<usize>,
    pub(crate) hosts: Hosts,
    random: Random,
    pub(crate) now: Instant,
    token: u128,
    /// Ports over new trusted links: process, stream, port.
    pub(crate) first_ports: Vec<(usize, usize, MessagePort)>,
    /// Whether streams keep what was said.
    pub(crate) record: bool,
    /// Links that a node has given up, unless the peer was the liar or too late.
    pub(crate) closed: Vec<(usize, LinkError)>,
}

impl World {
    /// A process for each limits.
    pub(crate) fn new(limits: Vec<Limits>, refuse: Refuse) -> Self {
        let mut world = Self {
            nodes: limits.iter().map(|_| None).collect(),
            due: limits.iter().map(|_| Arc::default()).collect(),
            limits,
            streams: Vec::new(),
            by_link: BTreeMap::new(),
            next_link: 0,
            asked: VecDeque::new(),
            attempts: BTreeMap::new(),
            told_later: Vec::new(),
            refuse,
            liar: None,
            hosts: Hosts::default(),
            random: Random(0),
            now: Instant::now(),
            token: 0,
            first_ports: Vec::new(),
            record: false,
            closed: Vec::new(),
        };
        (0..world.nodes.len()).for_each(|process| world.start(process));
        world
    }

    /// A trusted link.
    pub(crate) fn connect(&mut self, a: usize, b: usize) -> usize {
        let initiator = |initiator| LinkKind::Trusted { initiator };
        let stream = self.stream([(a, initiator(true)), (b, initiator(false))], false);
        let ends = self.streams[stream].ends;
        let (now, later) = std::mem::take(&mut self.told_later)
            .into_iter()
            .partition(|(_, input)| matches!(input, Input::LinkOpened { link, .. } if ends.iter().any(|end| end.1 == *link)));
        self.told_later = now;
        self.tell_all();
        self.told_later = later;
        stream
    }

    /// A trusted link that is up; nothing else has moved but what the two have had to write.
    pub(crate) fn connect_at_once(&mut self, a: usize, b: usize) -> [MessagePort; 2] {
        let stream = self.connect(a, b);
        for _ in 0..4 {
            for (end, process) in [a, b].into_iter().enumerate() {
                self.poll(process);
                self.carry(stream, end, usize::MAX);
            }
        }
        let mut port = |process| {
            let is = |first: &(usize, usize, MessagePort)| (first.0, first.1) == (process, stream);
            let at = self.first_ports.iter().position(is);
            self.first_ports.swap_remove(at.expect("the link is up")).2
        };
        [port(a), port(b)]
    }

    /// The link between two processes that are both there, if they have one.
    pub(crate) fn between(&self, a: usize, b: usize) -> Option<usize> {
        self.streams.iter().position(|stream| {
            let ends = stream.ends.map(|end| end.0);
            stream.open && (ends == [a, b] || ends == [b, a])
        })
    }

    fn stream(&mut self, ends: [(usize, LinkKind); 2], introduced: bool) -> usize {
        let number = self.streams.len();
        let names = ends.map(|(process, kind)| {
            let link = LinkId(self.next_link);
            self.next_link += 1;
            (process, link, kind)
        });
        self.streams.push(Stream {
            ends: names.map(|(process, link, _)| (process, link)),
            pipes: Default::default(),
            open: true,
            introduced,
            told: [false; 2],
            up: [false; 2],
            said: Default::default(),
        });
        for (end, (process, link, kind)) in names.into_iter().enumerate() {
            self.by_link.insert((process, link), (number, end));
            let opened = Input::LinkOpened { link, kind };
            self.told_later.push((process, opened));
        }
        number
    }

    /// A host tells its node of a stream or a voucher, whichever `choice` says.
    pub(crate) fn tell(&mut self, choice: usize) -> bool {
        if self.told_later.is_empty() {
            return false;
        }
        let mut at = choice % self.told_later.len();
        if let Input::LinkVouched { link: vouched, .. } = self.told_later[at].1 {
            // Of what a host vouches for it has told its node before.
            let opens = |(_, input): &(usize, Input)| matches!(input, Input::LinkOpened { link, .. } if *link == vouched);
            at = self.told_later.iter().position(opens).unwrap_or(at);
        }
        let (process, input) = self.told_later.remove(at);
        if let Input::LinkOpened { link, .. } = &input {
            let link = *link;
            let (stream, end) = self.by_link[&(process, link)];
            self.streams[stream].told[end] = true;
            self.input(process, input);
            if !self.streams[stream].open {
                self.input(process, Input::LinkLost { link });
            }
            return true;
        }
        self.input(process, input);
        true
    }

    fn tell_all(&mut self) {
        while self.tell(0) {}
    }

    /// Some time passes: who has not greeted by then is too late.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        for (node, due) in self.nodes.iter_mut().zip(&self.due) {
            if let Some(node) = node {
                node.handle_timeout(self.now);
                due.store(true, Relaxed);
            }
        }
    }

    pub(crate) fn input(&mut self, process: usize, input: Input) {
        let now = self.now;
        self.due[process].store(true, Relaxed);
        if let Some(node) = &mut self.nodes[process] {
            node.handle_input(now, input);
        }
    }

    /// The processes whose nodes are to be polled.
    pub(crate) fn ready_to_poll(&self) -> Vec<usize> {
        let ready =
            |process: &usize| self.nodes[*process].is_some() && self.due[*process].load(Relaxed);
        (0..self.nodes.len()).filter(ready).collect()
    }

    /// Takes all outputs of a node that is to be polled. Whether it was.
    pub(crate) fn poll(&mut self, process: usize) -> bool {
        if !self.due[process].swap(false, Relaxed) || self.nodes[process].is_none() {
            return false;
        }
        while let Some(output) = self.nodes[process].as_mut().and_then(Node::poll_output) {
            match output {
                Output::Write { link, bytes } => {
                    if let Some((stream, end)) = self.by_link.get(&(process, link)).copied() {
                        if self.streams[stream].open {
                            self.say(stream, end, process, &bytes);
                        }
                    }
                }
                Output::LinkUp { link, port } => {
                    let (stream, end) = self.by_link[&(process, link)];
                    self.streams[stream].up[end] = true;
                    if let Some(port) = port {
                        self.first_ports.push((process, stream, port));
                    }
                }
                Output::LinkClosed { link, error } => {
                    let (stream, end) = self.by_link[&(process, link)];
                    // A liar may also introduce two others with wrong tokens: their link does not
                    // come up.
                    let introduced = self.liar.is_some() && !self.streams[stream].up[end];
                    let lied = introduced
                        || self.streams[stream]
                            .ends
                            .iter()
                            .any(|end| Some(end.0) == self.liar);
                    if matches!(error, LinkError::HelloTimeout(_)) {
                        self.hosts.timeouts += 1;
                    } else if !lied {
                        self.closed.push((process, error));
                    }
                    self.cut(stream);
                }
                Output::Introduce { introduction, a, b } => {
                    *self.attempts.entry((process, a, b)).or_default() += 1;
                    self.asked.push_back(Asked {
                        process,
                        introduction,
                        a,
                        b,
                    });
                }
            }
        }
        true
    }

    fn say(&mut self, stream: usize, end: usize, process: usize, bytes: &[u8]) {
        let pipe = &mut self.streams[stream].pipes[end];
        if self.liar != Some(process) {
            pipe.greeted |= !bytes.is_empty();
            pipe.bytes.extend(bytes);
            return;
        }
        pipe.begun.extend(bytes);
        if !pipe.greeted && pipe.begun.len() >= 6 {
            // The preface is no frame.
            pipe.bytes.extend(pipe.begun.drain(..6));
            pipe.greeted = true;
        }
        while let Some(length) = pipe.begun.first_chunk::<4>() {
            let length = 4 + u32::from_be_bytes(*length) as usize;
            if pipe.begun.len() < length {
                return;
            }
            let frame: Vec<u8> = pipe.begun.drain(..length).collect();
            let said = lie(&mut self.random, frame, &mut self.hosts.lies);
            pipe.bytes.extend(said);
        }
    }

    /// Delivers up to `most` bytes of one direction of a stream.
    pub(crate) fn carry(&mut self, stream: usize, end: usize, most: usize) -> bool {
        if !self.streams[stream].open || !self.streams[stream].told[1 - end] {
            return false;
        }
        let (from, to) = (
            self.streams[stream].ends[end],
            self.streams[stream].ends[1 - end],
        );
        let pipe = &mut self.streams[stream].pipes[end].bytes;
        let count = most.min(pipe.len());
        if count == 0 {
            return false;
        }
        let bytes: Bytes = pipe.drain(..count).collect();
        if self.record {
            self.streams[stream].said[end].extend_from_slice(&bytes);
        }
        self.input(
            from.0,
            Input::Written {
                link: from.1,
                count,
            },
        );
        self.input(to.0, Input::Received { link: to.1, bytes });
        true
    }

    /// The stream breaks; both sides hear of it, what was under way is lost.
    pub(crate) fn cut(&mut self, stream: usize) {
        if !std::mem::replace(&mut self.streams[stream].open, false) {
            return;
        }
        for (end, (process, link)) in self.streams[stream].ends.into_iter().enumerate() {
            if self.streams[stream].told[end] {
                self.input(process, Input::LinkLost { link });
            }
        }
    }

    /// Whether a node may relay for good, since introductions have failed too often.
    pub(crate) fn gave_up(&self) -> bool {
        self.attempts.values().any(|attempts| *attempts >= 8)
    }

    /// Where there is something to carry: stream and end. Of slow links (those that were
    /// introduced, or the others) nothing.
    pub(crate) fn ready_to_carry(&self, slow: Option<bool>) -> Vec<(usize, usize)> {
        let ready = |(at, stream): (usize, &Stream)| {
            let fit = stream.open && slow != Some(stream.introduced);
            let told = stream.told;
            let bytes = [0, 1].map(|end: usize| !stream.pipes[end].bytes.is_empty());
            (0..2)
                .filter(move |end| fit && told[1 - end] && bytes[*end])
                .map(move |end| (at, end))
        };
        self.streams.iter().enumerate().flat_map(ready).collect()
    }

    /// A new process in the place of one that was killed.
    pub(crate) fn start(&mut self, process: usize) {
        let due = Arc::new(AtomicBool::new(false));
        self.due[process] = Arc::clone(&due);
        let wake = move || due.store(true, Relaxed);
        self.nodes[process] = Some(Node::new(self.limits[process], wake));
    }

    pub(crate) fn kill(&mut self, process: usize) {
        self.nodes[process] = None;
        self.asked.retain(|asked| asked.process != process);
        self.told_later.retain(|(told, _)| *told != process);
        for stream in 0..self.streams.len() {
            if self.streams[stream].ends.iter().any(|end| end.0 == process) {
                self.cut(stream);
            }
        }
    }

    fn peer(&self, process: usize, link: LinkId) -> Option<(usize, LinkId)> {
        let (stream, end) = self.by_link.get(&(process, link)).copied()?;
        let other = self.streams[stream].ends[1 - end];
        (self.streams[stream].open && self.nodes[other.0].is_some()).then_some(other)
    }

    /// The host answers the oldest introduction that was asked for.
    pub(crate) fn introduce(&mut self, one_accepts: bool) -> bool {
        let Some(asked) = self.asked.pop_front() else {
            return false;
        };
        let process = asked.process;
        let (a, b) = (self.peer(process, asked.a), self.peer(process, asked.b));
        let introduction = asked.introduction;
        let (Some((a, _)), Some((b, _))) = (a, b) else {
            // A node is gone: the asking node will hear of it too.
            self.input(
                process,
                Input::Introduction {
                    introduction,
                    tokens: None,
                },
            );
            return true;
        };
        assert_ne!(a, b, "a node was to be introduced to itself");
        let refuse = match self.refuse {
            Refuse::Never => false,
            Refuse::Sometimes => self.random.one_in(3),
            Refuse::Always => true,
        };
        if refuse {
            self.hosts.refused += 1;
            self.input(
                process,
                Input::Introduction {
                    introduction,
                    tokens: None,
                },
            );
            return true;
        }
        self.token += 2;
        let mix = |n: u128| Token(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let tokens = [mix(self.token), mix(self.token + 1)];
        self.input(
            process,
            Input::Introduction {
                introduction,
                tokens: Some(tokens),
            },
        );
        // One link between two processes serves for all introductions.
        match self.between(a, b) {
            Some(number) => {
                self.hosts.vouched += 1;
                for (process, link) in self.streams[number].ends {
                    let token = tokens[usize::from(process == b)];
                    let vouched = Input::LinkVouched { link, token };
                    self.told_later.push((process, vouched));
                }
            }
            None => {
                self.hosts.linked += 1;
                let introduced = |token| LinkKind::Introduced { token };
                let second = if one_accepts {
                    LinkKind::Accepted
                } else {
                    introduced(tokens[1])
                };
                self.stream([(a, introduced(tokens[0])), (b, second)], true);
            }
        }
        true
    }

    /// Carries and polls until nothing moves, and nobody waits for a greeting any more.
    pub(crate) fn rest(&mut self) {
        self.quiesce();
        while self
            .nodes
            .iter()
            .flatten()
            .any(|node| node.poll_timeout().is_some())
        {
            self.wait(Duration::from_secs(11));
            self.quiesce();
        }
    }

    /// Carries and polls until nothing moves.
    pub(crate) fn quiesce(&mut self) {
        for _ in 0..10_000 {
            let mut any = false;
            for process in 0..self.nodes.len() {
                any |= self.poll(process);
            }
            for stream in 0..self.streams.len() {
                for end in 0..2 {
                    any |= self.carry(stream, end, usize::MAX);
                }
            }
            any |= self.introduce(false) | self.tell(0);
            if !any {
                return;
            }
        }
        panic!("the world does not come to rest: {:#?}", self.nodes);
    }
}

/// What a liar says instead of a frame: mostly the same.
fn lie(random: &mut Random, mut frame: Vec<u8>, lies: &mut u64) -> Vec<u8> {
    if !random.one_in(5) {
        return frame;
    }
    *lies += 1;
    match random.below(5) {
        0 => Vec::new(),
        1 => [&frame[..], &frame[..]].concat(),
        2 => {
            // In what precedes the payload, where the numbers are.
            let at = 4 + random.below((frame.len() - 4).min(24));
            frame[at] ^= 1 << random.below(8);
            frame
        }
        _ => {
            // A frame of its own, about some channel or introduction: most kinds have a number.
            let kind = random.below(21) as u8;
            let mut own = vec![kind, random.below(24) as u8];
            let more = usize::from(matches!(kind, 4 | 5 | 8 | 10..=12))
                + 2 * usize::from(matches!(kind, 7 | 9));
            own.extend((0..more).map(|_| random.below(3) as u8));
            let length = (own.len() as u32).to_be_bytes();
            if random.one_in(2) {
                [&frame[..], &length, &own].concat()
            } else {
                [&length, &own[..], &frame].concat()
            }
        }
    }
}
