//! A simulation with a seed: random posts, moves, closes, faults and delays, against the model.

use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use message_port::node::{Limits, Node};
use message_port::{Event, Message, MessageChannel, MessagePort, Posted, TryRecvError};

use super::model::{End, Model, Place};
use super::world::{Hosts, Random, Refuse, World};

/// One step; its numbers choose among what there is, so any step can be left out of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Pair,
    Post,
    Receive,
    Close,
    Carry,
    Poll,
    Introduce,
    CutLink,
    Kill,
    /// A host tells its node of a stream or a voucher.
    Tell,
    /// Time passes, until greetings are too late.
    Wait,
    /// Everything is carried, nothing is received; then all that must hold at rest is checked.
    Rest,
}

/// What a run is like, drawn from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) processes: usize,
    pub(crate) links: Vec<(usize, usize)>,
    pub(crate) refuse: Refuse,
    /// Whether process 0 lies to the others.
    pub(crate) liar: bool,
    /// Which links are slow: those that came by introductions, or the others.
    pub(crate) slow: Option<bool>,
    /// Of how many messages one carries ports.
    pub(crate) ports_one_in: usize,
    pub(crate) faults: bool,
    /// Whether ports may be posted into queues that travel in their own.
    pub(crate) circles: bool,
    pub(crate) limits: Limits,
}

struct Held {
    end: End,
    port: MessagePort,
}

struct Run {
    world: World,
    model: Model,
    held: Vec<Vec<Held>>,
    wide: bool,
    circles: bool,
    ports_one_in: usize,
    /// How many links there are from the start.
    links: usize,
    slow: Option<bool>,
    small_quota: bool,
    small_channels: bool,
}

/// How a run went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) posted: u64,
    pub(crate) received: u64,
    pub(crate) moved: u64,
    pub(crate) closes: u64,
    pub(crate) introductions: u64,
    pub(crate) faults: u64,
    pub(crate) hosts: Hosts,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.posted += other.posted;
        self.received += other.received;
        self.moved += other.moved;
        self.closes += other.closes;
        self.introductions += other.introductions;
        self.faults += other.faults;
        self.hosts.refused += other.hosts.refused;
        self.hosts.vouched += other.hosts.vouched;
        self.hosts.linked += other.hosts.linked;
        self.hosts.timeouts += other.hosts.timeouts;
        self.hosts.lies += other.hosts.lies;
    }
}

/// Runs `steps` steps from a seed; on a failure, shrinks the history and says all.
pub(crate) fn simulate(seed: u64, steps: usize) -> Result<Tally, String> {
    let mut random = Random(seed);
    let setting = setting(&mut random);
    let history: Vec<Step> = (0..steps).map(|_| step(&mut random, &setting)).collect();
    match run(&setting, &history) {
        Ok(tally) => Ok(tally),
        Err(first) => {
            let (history, error) = shrink(&setting, history, first);
            let mut said = format!("seed {seed}: {error}\n{setting:?}\n");
            for step in &history {
                let _ = writeln!(said, "  {step:?}");
            }
            Err(said)
        }
    }
}

fn setting(random: &mut Random) -> Setting {
    let processes = 2 + random.below(5);
    let mut links: Vec<(usize, usize)> = match random.below(3) {
        // A star about a broker, a line, a random tree.
        0 => (1..processes).map(|b| (0, b)).collect(),
        1 => (1..processes).map(|b| (b - 1, b)).collect(),
        _ => (1..processes).map(|b| (random.below(b), b)).collect(),
    };
    if processes > 2 && random.one_in(4) {
        // And a ring in it.
        let (a, b) = (random.below(processes), random.below(processes));
        let there = |link: &(usize, usize)| *link == (a, b) || *link == (b, a);
        if a != b && !links.iter().any(there) {
            links.push((a, b));
        }
    }
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::from_secs(10);
    if random.one_in(2) {
        limits.window_messages = 1 + random.below(6) as u32;
        limits.window_bytes = 1 + random.below(100_000) as u32;
        limits.link_buffer = 1 + random.below(200_000);
    }
    if random.one_in(8) {
        limits.channels = 3 + random.below(20) as u64;
    }
    if random.one_in(4) {
        limits.queued_ports = 3 + random.below(10) as u64;
    }
    Setting {
        processes,
        links,
        refuse: match random.below(8) {
            0 => Refuse::Always,
            1 => Refuse::Sometimes,
            _ => Refuse::Never,
        },
        liar: processes > 2 && random.one_in(4),
        slow: random.one_in(2).then(|| random.one_in(2)),
        ports_one_in: 1 + random.below(3),
        faults: random.one_in(2),
        circles: random.one_in(5),
        limits,
    }
}

fn step(random: &mut Random, setting: &Setting) -> Step {
    let op = match random.below(1000) {
        0..20 => Op::Pair,
        20..260 => Op::Post,
        260..460 => Op::Receive,
        460..480 => Op::Close,
        480..760 => Op::Carry,
        760..920 => Op::Poll,
        920..960 => Op::Introduce,
        960..991 => Op::Tell,
        991..992 if setting.faults => Op::Wait,
        992..994 if setting.faults => Op::CutLink,
        994..995 if setting.faults => Op::Kill,
        995..997 => Op::Rest,
        _ => Op::Carry,
    };
    Step {
        op,
        seed: random.next(),
    }
}

fn run(setting: &Setting, history: &[Step]) -> Result<Tally, String> {
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(setting);
        let mut tally = Tally::default();
        for step in history {
            run.step(*step, &mut tally)?;
            tally.steps += 1;
        }
        run.finish()?;
        tally.hosts = run.world.hosts;
        Ok(tally)
    }));
    match result {
        Ok(result) => result,
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()))
            .unwrap_or_else(|| "a panic".to_owned())),
    }
}

/// Drops pieces of the history as long as it still fails, from halves down to single steps.
fn shrink(setting: &Setting, mut history: Vec<Step>, mut error: String) -> (Vec<Step>, String) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut size = history.len() / 2;
    let mut attempts = 0;
    while size > 0 && attempts < 600 {
        let mut at = 0;
        let mut dropped = false;
        while at < history.len() && attempts < 600 {
            let mut shorter = history.clone();
            shorter.drain(at..(at + size).min(history.len()));
            attempts += 1;
            match run(setting, &shorter) {
                Err(again) => {
                    history = shorter;
                    error = again;
                    dropped = true;
                }
                Ok(_) => at += size,
            }
        }
        if !dropped || size > 1 {
            size /= 2;
        }
    }
    panic::set_hook(hook);
    (history, error)
}

impl Run {
    fn new(setting: &Setting) -> Self {
        let mut world = World::new(setting.processes, setting.limits, setting.refuse);
        for (a, b) in &setting.links {
            world.connect(*a, *b);
        }
        let mut run = Self {
            world,
            model: Model::default(),
            held: (0..setting.processes).map(|_| Vec::new()).collect(),
            circles: setting.circles,
            ports_one_in: setting.ports_one_in,
            links: setting.links.len(),
            slow: setting.slow,
            wide: setting.limits.window_messages > 1000,
            small_quota: setting.limits.queued_ports < 1000,
            small_channels: setting.limits.channels < 1000,
        };
        run.world.quiesce();
        run.world.liar = setting.liar.then_some(0);
        run.model.liar = run.world.liar;
        let mut ports = std::mem::take(&mut run.world.first_ports);
        ports.sort_by_key(|(_, stream, _)| *stream);
        let mut ports = ports.into_iter();
        while let (Some((a, _, first)), Some((b, _, second))) = (ports.next(), ports.next()) {
            let [x, y] = run.model.pair(a, b);
            run.held[a].push(Held {
                end: x,
                port: first,
            });
            run.held[b].push(Held {
                end: y,
                port: second,
            });
        }
        run
    }

    fn step(&mut self, step: Step, tally: &mut Tally) -> Result<(), String> {
        let mut random = Random(step.seed);
        let process = random.below(self.held.len());
        match step.op {
            Op::Pair => {
                let held = self.held.iter().map(Vec::len).sum::<usize>();
                if self.world.nodes[process].is_some() && held < 40 {
                    let ports = MessageChannel::new();
                    let [x, y] = self.model.pair(process, process);
                    let held = &mut self.held[process];
                    held.push(Held {
                        end: x,
                        port: ports.port1,
                    });
                    held.push(Held {
                        end: y,
                        port: ports.port2,
                    });
                }
            }
            Op::Post => self.post(process, &mut random, tally),
            Op::Receive => {
                if !self.held[process].is_empty() {
                    let which = random.below(self.held[process].len());
                    let many = random.below(6);
                    self.held[process][which].port.start();
                    for _ in 0..many {
                        if !self.receive(process, which, tally)? {
                            break;
                        }
                    }
                }
            }
            Op::Close => {
                let held = &mut self.held[process];
                // Not too often the only way to the others.
                if held.len() > 1 {
                    let which = random.below(held.len());
                    let gone = held.swap_remove(which);
                    if random.one_in(2) {
                        gone.port.close();
                    }
                    self.model.close(gone.end);
                    tally.closes += 1;
                }
            }
            Op::Carry => {
                let stream = random.below(self.world.streams.len());
                // What overtakes what on the way shows where some links are slow.
                let introduced = stream >= self.links;
                if self.slow == Some(introduced) && !random.one_in(8) {
                    return Ok(());
                }
                let most = match random.below(4) {
                    0 => 1 + random.below(20),
                    1 => 1 + random.below(1000),
                    _ => usize::MAX,
                };
                self.world.carry(stream, random.below(2), most);
            }
            Op::Poll => {
                self.world.poll(process);
            }
            Op::Introduce => {
                tally.introductions += u64::from(self.world.introduce(random.one_in(2)));
            }
            Op::Tell => {
                self.world.tell(random.below(usize::MAX));
            }
            Op::Wait => self.world.wait(Duration::from_secs(11)),
            Op::CutLink => {
                let stream = random.below(self.world.streams.len());
                if self.world.streams[stream].open {
                    let [a, b] = self.world.streams[stream].ends.map(|end| end.0);
                    self.model.fault(a, b);
                    self.world.cut(stream);
                    tally.faults += 1;
                }
            }
            Op::Kill => {
                let alive = self.world.nodes.iter().flatten().count();
                if alive > 2 && self.world.nodes[process].is_some() {
                    self.model.fault(process, process);
                    self.held[process].clear();
                    self.world.kill(process);
                    tally.faults += 1;
                }
            }
            Op::Rest => {
                self.world.quiesce();
                // With a narrow window a stub may have to wait until somebody receives.
                if self.wide && !self.waits_for_quota() {
                    self.check_at_rest()?;
                }
            }
        }
        self.check_links()
    }

    fn post(&mut self, process: usize, random: &mut Random, tally: &mut Tally) {
        if self.held[process].is_empty() {
            return;
        }
        let which = random.below(self.held[process].len());
        let carrier = self.held[process].swap_remove(which);
        let mut ports = Vec::new();
        if random.one_in(self.ports_one_in) {
            for _ in 0..1 + random.below(3) {
                let count = self.held[process].len();
                if count > 0 {
                    ports.push(self.held[process].swap_remove(random.below(count)));
                }
            }
        }
        let partner = Model::partner(carrier.end);
        let circle = |port: &Held| self.model.leads_into(partner, port.end);
        if !self.circles && ports.iter().any(circle) {
            // Nobody could receive them any more.
            self.held[process].append(&mut ports);
        }
        let ends: Vec<End> = ports.iter().map(|held| held.end).collect();
        let length = match random.below(40) {
            0 => random.below(300_000),
            1..6 => random.below(5_000),
            _ => random.below(60),
        };
        let sequence = self.model.ends[carrier.end].sent;
        let mut message = Message::new(payload(carrier.end, sequence, length));
        for held in ports {
            message = message.with_port(held.port.transfer().expect("not closed"));
        }
        match carrier.port.post_message(message) {
            Posted::Queued => {
                self.model.post(carrier.end, &ends);
                tally.posted += 1;
                tally.moved += ends.len() as u64;
            }
            // The ports go with the message.
            Posted::NotEntangled | Posted::Doomed => {
                for end in ends {
                    self.model.close(end);
                }
            }
        }
        self.held[process].push(carrier);
    }

    /// Receives one event; whether there was one.
    fn receive(&mut self, process: usize, which: usize, tally: &mut Tally) -> Result<bool, String> {
        let held = &mut self.held[process][which];
        let end = held.end;
        if self.model.is_lied_to(end) {
            // It may be anything, and is dropped, ports and all.
            return Ok(held.port.try_recv().is_ok());
        }
        match held.port.try_recv() {
            Ok(Event::Message(message)) => {
                let (from, sequence) = check_payload(&message.payload)?;
                let ends = self.model.receive(process, end, from, sequence)?;
                tally.received += 1;
                if ends.len() != message.ports.len() {
                    return Err(format!(
                        "end {end} got {} ports where {} were sent",
                        message.ports.len(),
                        ends.len()
                    ));
                }
                for (end, port) in ends.into_iter().zip(message.ports) {
                    let port = port.receive();
                    self.held[process].push(Held { end, port });
                }
                Ok(true)
            }
            Ok(Event::Close) => {
                self.model.hear_close(end)?;
                Ok(true)
            }
            Err(TryRecvError::Closed) => {
                if !self.model.ends[end].heard_close {
                    return Err(format!("end {end} is at its end without a close"));
                }
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    /// No honest node's link is closed by another.
    fn check_links(&mut self) -> Result<(), String> {
        match self.world.closed.pop() {
            Some((process, error)) => Err(format!("process {process} has closed a link: {error}")),
            None => Ok(()),
        }
    }

    /// What holds when nothing moves, although messages may wait to be received.
    fn check_at_rest(&mut self) -> Result<(), String> {
        self.check_links()?;
        // In a circle of queues nobody can receive what a stub has to wait for.
        if self.world.hosts.refused > 0 || self.model.liar.is_some() || self.has_circle() {
            return Ok(());
        }
        for (process, node) in self.world.nodes.iter().enumerate() {
            let census = node.as_ref().map(|node| node.census()).unwrap_or_default();
            if census.stubs > 0 && self.world.streams.iter().all(|stream| stream.open) {
                return Err(format!(
                    "stubs stay in process {process}: {:#?} {:?}",
                    self.world.nodes, self.model
                ));
            }
        }
        Ok(())
    }

    /// Everything is carried and received; then nothing may be missing, and, when all is closed,
    /// nothing may be left.
    fn finish(&mut self) -> Result<(), String> {
        let mut tally = Tally::default();
        loop {
            self.world.quiesce();
            self.check_links()?;
            let mut any = false;
            for process in 0..self.held.len() {
                let mut which = 0;
                while which < self.held[process].len() {
                    self.held[process][which].port.start();
                    while self.receive(process, which, &mut tally)? {
                        any = true;
                    }
                    which += 1;
                }
            }
            if !any {
                break;
            }
        }
        // Where quotas are small, ports may wait for others that only their holders can close.
        if !self.waits_for_quota() {
            self.check_at_rest()?;
            for held in self.held.iter().flatten() {
                self.check_end(held)?;
            }
        }
        if let Some(liar) = self.model.liar {
            self.world.kill(liar);
        }
        self.held.iter_mut().for_each(Vec::clear);
        self.world.quiesce();
        // Where both sides of a link have spent the other's small quota, too (see above).
        let quota = self.waits_for_quota();
        let circle = self.has_circle() || quota;
        for (process, node) in self.world.nodes.iter().enumerate() {
            let census = node.as_ref().map(|node| node.census()).unwrap_or_default();
            let left = (census.ports, census.channels, census.unacknowledged);
            if left != (0, 0, 0) && !circle {
                return Err(format!(
                    "process {process} keeps what nobody has: {:#?} {:#?}",
                    self.world.nodes, self.model
                ));
            }
        }
        Ok(())
    }

    /// Whether ports may wait for room: not all channels that a link may have are free, or, though
    /// everything was received, ports are queued at the other side. (Both sides of a link may wait
    /// for each other then, see `Limits::queued_ports`.)
    fn waits_for_quota(&self) -> bool {
        let waits = |node: &Node| node.census().unacknowledged > 0 && self.small_quota;
        self.small_channels || self.world.nodes.iter().flatten().any(waits)
    }

    fn has_circle(&self) -> bool {
        (0..self.model.ends.len()).any(|end| self.model.in_circle(end))
    }

    fn check_end(&self, held: &Held) -> Result<(), String> {
        let end = held.end;
        if self.model.is_lied_to(end) {
            return Ok(());
        }
        let partner = Model::partner(end);
        let (own, other) = (&self.model.ends[end], &self.model.ends[partner]);
        let tainted = self.model.tainted.contains(&(end / 2));
        let lives = matches!(other.place, Place::Held(_));
        if lives && own.heard_close != other.heard_close {
            return Err(format!(
                "only one of the ends {end} and {partner} heard a close"
            ));
        }
        if lives && own.heard_close && !tainted {
            return Err(format!(
                "the ends {end} and {partner} live and heard a close"
            ));
        }
        if lives && !own.heard_close && own.received != other.sent {
            return Err(format!(
                "end {end} has {} of {} messages, and no close; {:#?} {:?}",
                own.received, other.sent, self.world.nodes, self.model
            ));
        }
        if !lives && !own.heard_close && !self.model.in_circle(partner) {
            return Err(format!(
                "end {end} heard no close, and nobody has end {partner}: {other:?}"
            ));
        }
        Ok(())
    }
}

fn payload(from: End, sequence: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + length);
    bytes.extend((from as u64).to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((0..length).map(|at| (at as u64 ^ sequence) as u8));
    bytes
}

fn check_payload(bytes: &[u8]) -> Result<(End, u64), String> {
    let number = |at: usize| {
        let bytes = bytes
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or("a short message")
    };
    let (from, sequence) = (number(0)?, number(8)?);
    let intact = bytes[16..]
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte == (at as u64 ^ sequence) as u8);
    if intact {
        Ok((from as usize, sequence))
    } else {
        Err(format!("message {sequence} of end {from} is damaged"))
    }
}
