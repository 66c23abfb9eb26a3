//! Plays a history of the simulation: what each step does, and what must hold.

use std::time::Duration;

use message_port::node::{Limits, Node};
use message_port::{Event, Message, MessageChannel, MessagePort, Posted, TryRecvError};

use super::model::{End, Model, Place};
use super::simulation::{Op, Setting, Step, Tally};
use super::world::{Hosts, Random, World};

struct Held {
    end: End,
    port: MessagePort,
}

pub(crate) struct Run {
    world: World,
    model: Model,
    held: Vec<Vec<Held>>,
    wide: bool,
    circles: bool,
    ports_one_in: usize,
    /// Which links are slow: those that came by introductions, or the others.
    slow: Option<bool>,
    /// The longest message that all processes take.
    longest: Option<u64>,
    small_quota: bool,
    small_channels: bool,
}

impl Run {
    pub(crate) fn new(setting: &Setting) -> Self {
        let mut world = World::new(setting.limits.clone(), setting.refuse);
        for (a, b) in &setting.links {
            world.connect(*a, *b);
        }
        let all = |is: fn(&Limits) -> bool| setting.limits.iter().all(is);
        let mut run = Self {
            world,
            model: Model::default(),
            held: (0..setting.processes).map(|_| Vec::new()).collect(),
            circles: setting.circles,
            ports_one_in: setting.ports_one_in,
            slow: setting.slow,
            wide: all(|limits| limits.window_messages > 1000),
            longest: setting.limits.iter().map(|limits| limits.max_message).min(),
            small_quota: !all(|limits| limits.queued_ports > 1000),
            small_channels: !all(|limits| limits.channels > 1000),
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

    pub(crate) fn hosts(&self) -> Hosts {
        self.world.hosts
    }

    /// Does what a step says; whether there was something to do.
    pub(crate) fn step(&mut self, step: Step, tally: &mut Tally) -> Result<bool, String> {
        let mut random = Random(step.seed);
        let done = match step.op {
            Op::Pair => self.pair(&mut random),
            Op::Post => self.post(&mut random, tally),
            Op::Receive => self.receive_some(&mut random, tally)?,
            Op::Close => self.close(&mut random, tally),
            Op::Disentangle => self.disentangle(&mut random, tally),
            Op::Carry => self.carry(&mut random) || self.poll(&mut random),
            Op::Poll => self.poll(&mut random) || self.carry(&mut random),
            Op::Introduce => {
                let introduced = self.world.introduce(random.one_in(2));
                tally.introductions += u64::from(introduced);
                introduced
            }
            Op::Tell => self.world.tell(random.below(usize::MAX)),
            Op::Wait => {
                self.world.wait(Duration::from_secs(11));
                true
            }
            Op::CutLink => self.cut(&mut random, tally),
            Op::Kill => self.kill(&mut random, tally),
            Op::Start => self.start(&mut random),
            Op::Link => self.link(&mut random),
            Op::Rest => {
                self.world.rest();
                // With a narrow window a stub may have to wait until somebody receives.
                if self.wide && !self.waits_for_quota() {
                    self.check_at_rest()?;
                }
                true
            }
        };
        self.check_links()?;
        Ok(done)
    }

    /// One of the processes that hold ports.
    fn holder(&self, random: &mut Random) -> Option<usize> {
        let holders = (0..self.held.len()).filter(|process| !self.held[*process].is_empty());
        let holders: Vec<usize> = holders.collect();
        let any = random.below(holders.len());
        holders.get(any).copied()
    }

    fn pair(&mut self, random: &mut Random) -> bool {
        let process = random.below(self.held.len());
        let held = self.held.iter().map(Vec::len).sum::<usize>();
        if self.world.nodes[process].is_none() || held >= 60 {
            return false;
        }
        let (x, y) = MessageChannel::new().into();
        self.hold([(process, x), (process, y)]);
        true
    }

    /// Two ends of a pair are in these hands.
    fn hold(&mut self, ends: [(usize, MessagePort); 2]) {
        let processes = [ends[0].0, ends[1].0];
        let numbers = self.model.pair(processes[0], processes[1]);
        for ((process, port), end) in ends.into_iter().zip(numbers) {
            self.held[process].push(Held { end, port });
        }
    }

    fn receive_some(&mut self, random: &mut Random, tally: &mut Tally) -> Result<bool, String> {
        // Some that have nothing are passed over.
        for _ in 0..6 {
            let Some(process) = self.holder(random) else {
                return Ok(false);
            };
            let which = random.below(self.held[process].len());
            self.held[process][which].port.start();
            let many = 1 + random.below(5);
            let mut any = false;
            for _ in 0..many {
                if !self.receive(process, which, tally)? {
                    break;
                }
                any = true;
            }
            if any {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn close(&mut self, random: &mut Random, tally: &mut Tally) -> bool {
        let Some(process) = self.holder(random) else {
            return false;
        };
        let held = &mut self.held[process];
        // Not too often the only way to the others.
        if held.len() <= 1 {
            return false;
        }
        let which = random.below(held.len());
        let gone = held.swap_remove(which);
        if random.one_in(2) {
            gone.port.close();
        }
        self.model.close(gone.end);
        tally.closes += 1;
        true
    }

    fn disentangle(&mut self, random: &mut Random, tally: &mut Tally) -> bool {
        let Some(process) = self.holder(random) else {
            return false;
        };
        let held = &mut self.held[process];
        let which = random.below(held.len());
        let Held { end, port } = &held[which];
        if held.len() <= 1 || !port.is_entangled() {
            return false;
        }
        port.disentangle();
        self.model.ends[*end].disentangled = true;
        tally.closes += 1;
        true
    }

    fn carry(&mut self, random: &mut Random) -> bool {
        // What overtakes what on the way shows where some links are slow.
        let slow = self.slow.filter(|_| !random.one_in(8));
        let ready = self.world.ready_to_carry(slow);
        let any = random.below(ready.len());
        let Some((stream, end)) = ready.get(any).copied() else {
            return false;
        };
        let most = match random.below(4) {
            0 => 1 + random.below(20),
            1 => 1 + random.below(1000),
            _ => usize::MAX,
        };
        self.world.carry(stream, end, most)
    }

    fn poll(&mut self, random: &mut Random) -> bool {
        let due = self.world.ready_to_poll();
        let any = random.below(due.len());
        due.get(any)
            .is_some_and(|process| self.world.poll(*process))
    }

    fn cut(&mut self, random: &mut Random, tally: &mut Tally) -> bool {
        let open = (0..self.world.streams.len()).filter(|at| self.world.streams[*at].open);
        let open: Vec<usize> = open.collect();
        let any = random.below(open.len());
        let Some(stream) = open.get(any).copied() else {
            return false;
        };
        let [a, b] = self.world.streams[stream].ends.map(|end| end.0);
        self.model.fault(a, b);
        self.world.cut(stream);
        tally.faults += 1;
        true
    }

    fn kill(&mut self, random: &mut Random, tally: &mut Tally) -> bool {
        let process = random.below(self.held.len());
        let alive = self.world.nodes.iter().flatten().count();
        if alive <= 2 || self.world.nodes[process].is_none() {
            return false;
        }
        self.model.fault(process, process);
        self.held[process].clear();
        self.world.kill(process);
        tally.faults += 1;
        true
    }

    fn start(&mut self, random: &mut Random) -> bool {
        let process = random.below(self.held.len());
        if self.world.nodes[process].is_some() || self.world.liar == Some(process) {
            return false;
        }
        self.world.start(process);
        true
    }

    fn link(&mut self, random: &mut Random) -> bool {
        let count = self.held.len();
        let (a, b) = (random.below(count), random.below(count));
        let liar = self.world.liar;
        let fit = |process: usize| self.world.nodes[process].is_some() && liar != Some(process);
        if a == b || !fit(a) || !fit(b) || self.world.between(a, b).is_some() {
            return false;
        }
        let [first, second] = self.world.connect_at_once(a, b);
        self.hold([(a, first), (b, second)]);
        true
    }

    fn post(&mut self, random: &mut Random, tally: &mut Tally) -> bool {
        let Some(process) = self.holder(random) else {
            return false;
        };
        // Rather one that leads elsewhere.
        let held = &self.held[process];
        let here = |held: &Held| {
            let partner = &self.model.ends[Model::partner(held.end)];
            matches!(partner.place, Place::Held(at) if at == process)
        };
        let mut which = random.below(held.len());
        for _ in 0..3 {
            if here(&held[which]) {
                which = random.below(held.len());
            }
        }
        let carrier = self.held[process].swap_remove(which);
        let own = &self.model.ends[carrier.end];
        let over = own.heard_close || own.disentangled;
        if over && self.held[process].len() > 1 && random.one_in(2) {
            // It is of no more use.
            self.model.close(carrier.end);
            return true;
        }
        let mut ports = Vec::new();
        // (At times they go with a message that nobody gets.)
        if random.one_in(self.ports_one_in) && (!over || random.one_in(20)) {
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
        if self.longest < Some((HEAD + length) as u64) {
            // Who does not take it cuts the port, at both ends.
            self.model.tainted.insert(carrier.end / 2);
        }
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
        true
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
                let own = &self.model.ends[end];
                if !own.heard_close && !own.disentangled {
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
        let relays = self.world.hosts.refused > 0 || self.world.gave_up();
        if relays || self.model.liar.is_some() || self.has_circle() {
            return Ok(());
        }
        for (process, node) in self.world.nodes.iter().enumerate() {
            let census = node.as_ref().map(|node| node.census()).unwrap_or_default();
            let most = self.model.routes_at(process);
            let fault = if census.stubs > 0 {
                "stubs stay"
            } else if census.ports > most {
                "ports stay that nobody can reach"
            } else if census.channels > census.ports {
                "channels stay that no port uses"
            } else {
                continue;
            };
            return Err(format!(
                "{fault} in process {process}: {:#?} {:?}",
                self.world.nodes, self.model
            ));
        }
        // From now on it is a fault if what passes others breaks with them.
        self.model.routes_are_direct();
        Ok(())
    }

    /// Everything is carried and received; then nothing may be missing, and, when all is closed,
    /// nothing may be left.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        let mut tally = Tally::default();
        loop {
            self.world.rest();
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
            self.check_acknowledged()?;
        }
        if let Some(liar) = self.model.liar {
            self.world.kill(liar);
        }
        self.held.iter_mut().for_each(Vec::clear);
        self.world.rest();
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

    /// All that could be received was: each move has been acknowledged.
    fn check_acknowledged(&self) -> Result<(), String> {
        let unknown = |node: &Node| node.census().unacknowledged > 0;
        let any = self.world.nodes.iter().flatten().any(unknown);
        if any && self.model.liar.is_none() && !self.has_circle() {
            return Err(format!(
                "moves were not acknowledged: {:#?} {:?}",
                self.world.nodes, self.model
            ));
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
        if own.disentangled {
            return Ok(());
        }
        let lives = matches!(other.place, Place::Held(_)) && !other.disentangled;
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

/// The length of what a payload begins with: who has sent it, and its number.
const HEAD: usize = 16;

fn payload(from: End, sequence: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + length);
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
    let intact = bytes[HEAD..]
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte == (at as u64 ^ sequence) as u8);
    if intact {
        Ok((from as usize, sequence))
    } else {
        Err(format!("message {sequence} of end {from} is damaged"))
    }
}
