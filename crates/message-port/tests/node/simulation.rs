//! A simulation with a seed: histories of random posts, moves, closes, faults and delays, and what
//! is left of one that fails. What a step does and what is checked is in `play.rs`.

use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use message_port::node::Limits;

use super::play::Run;
use super::world::{Hosts, Random, Refuse};

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
    Disentangle,
    /// Two ports of a process, with each other: both leave their partners.
    Entangle,
    Carry,
    Poll,
    Introduce,
    CutLink,
    Kill,
    /// A new process in the place of one that was killed.
    Start,
    /// A trusted link between two processes that have none.
    Link,
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
    /// Whether links come and go all the time.
    pub(crate) churn: bool,
    /// Whether ports are entangled anew. Off: what is under way to a port that is entangled anew is
    /// dropped, with the closes of former partners in it, and the model cannot tell what that was.
    pub(crate) entangles: bool,
    /// Whether ports may be posted into queues that travel in their own.
    pub(crate) circles: bool,
    /// Of each process.
    pub(crate) limits: Vec<Limits>,
}

impl Setting {
    /// Whether nothing is ever lost: only then a close says whose it is, where a port had several
    /// partners.
    fn is_whole(&self) -> bool {
        let longest = Limits::default().max_message;
        let takes_all = |limits: &Limits| limits.max_message == longest;
        !self.faults && !self.churn && !self.liar && self.limits.iter().all(takes_all)
    }
}

/// How a run went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Steps that did something.
    pub(crate) steps: u64,
    /// Steps that found nothing to do.
    pub(crate) idle: u64,
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
        self.idle += other.idle;
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
    // More than is ever unread, unless it is to be narrow.
    limits.window_bytes = 1 << 30;
    narrow(&mut limits, random);
    if random.one_in(8) {
        limits.channels = 3 + random.below(20) as u64;
    }
    if random.one_in(4) {
        limits.queued_ports = 3 + random.below(10) as u64;
    }
    let mut limits = vec![limits; processes];
    if random.one_in(3) {
        limits.iter_mut().for_each(|own| narrow(own, random));
    }
    if random.one_in(6) {
        // Some messages are too long for some, and cut their ports.
        for own in &mut limits {
            if random.one_in(2) {
                own.max_message = 4_000 + random.below(10_000) as u64;
            }
        }
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
        churn: random.one_in(3),
        entangles: false,
        circles: random.one_in(5),
        limits,
    }
}

/// Half of the time, windows and a buffer that are soon full.
fn narrow(limits: &mut Limits, random: &mut Random) {
    if random.one_in(2) {
        limits.window_messages = 1 + random.below(6) as u32;
        limits.window_bytes = 1 + random.below(100_000) as u32;
        limits.link_buffer = 1 + random.below(200_000);
    }
}

fn step(random: &mut Random, setting: &Setting) -> Step {
    let op = match random.below(1000) {
        _ if setting.churn && random.one_in(30) => match random.below(4) {
            0 => Op::CutLink,
            1 => Op::Introduce,
            _ => Op::Link,
        },
        0..40 => Op::Pair,
        40..260 => Op::Post,
        260..460 => Op::Receive,
        460..478 => Op::Close,
        478..479 => Op::Disentangle,
        479..485 if setting.entangles && setting.is_whole() => Op::Entangle,
        479..740 => Op::Carry,
        740..920 => Op::Poll,
        920..960 => Op::Introduce,
        960..980 => Op::Tell,
        980..981 if setting.faults => Op::Wait,
        981..984 if setting.faults => Op::CutLink,
        984..986 if setting.faults => Op::Kill,
        986..989 if setting.faults => Op::Start,
        989..993 if setting.faults => Op::Link,
        993..996 => Op::Rest,
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
            match run.step(*step, &mut tally)? {
                true => tally.steps += 1,
                false => tally.idle += 1,
            }
        }
        run.finish()?;
        tally.hosts = run.hosts();
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

/// How often a shorter history is tried.
const ATTEMPTS: usize = 4000;

/// Drops pieces of the history as long as it still fails, from halves down to single steps.
fn shrink(setting: &Setting, mut history: Vec<Step>, mut error: String) -> (Vec<Step>, String) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut size = history.len() / 2;
    let mut attempts = 0;
    while size > 0 && attempts < ATTEMPTS {
        let mut at = 0;
        let mut dropped = false;
        while at < history.len() && attempts < ATTEMPTS {
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
