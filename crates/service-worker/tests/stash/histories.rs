//! Random histories of stashed ports through the whole facade, against a plain model: posts, moves,
//! closes, workers that die and are updated, stores that refuse, clean restarts and power cuts.
//!
//! Replay one with `STASH_SEED=<the printed seed>`; `STASH_HISTORIES` says how many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use service_worker::message_port::{Message, MessageChannel, MessagePort, TransferredPort};
use service_worker::stash::EntryId;
use service_worker::stash::record::{self, Kind};
use service_worker::types::{
    ClientId, EventId, EventType, EventTypes, RegistrationId, RunId, WorkerId,
};
use service_worker::{EventDetail, MemoryStore, Policies, StashError};

use crate::common::{House, SERVICE, Taken, quiet, url};
use crate::restart::{Disk, Failure, stored_texts};

#[path = "histories_host.rs"]
mod host;
#[path = "histories_model.rs"]
mod model;

const HISTORIES: u64 = 60;
const STEPS: u32 = 120;
const OTHER: &str = "https://other.test/";
const SCOPES: [&str; 2] = [SERVICE, OTHER];
const CHANNELS: usize = 4;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// Where one end of a channel is.
enum At {
    /// In a page, which is the test.
    Live(MessagePort),
    Stashed(EntryId, usize),
    /// In a message that nobody has received.
    Travels,
    Gone,
}

/// One end of a channel: what was posted to it, and what has come.
struct End {
    at: At,
    /// The number of the last message that was posted to it.
    posted: u32,
    /// How many had been at the end of each run, when the last ones may have been lost.
    ends_of_runs: BTreeSet<u32>,
    /// The number of the last that has come, ever; and in this run.
    seen: u32,
    seen_in_run: u32,
    /// Those that the store had when the power was cut and that had not come.
    owed: BTreeSet<u32>,
    /// Those up to here have been in an ordinary port, which marks nothing.
    taken: u32,
    /// Those up to here were consumed when the browser ended cleanly.
    over: u32,
    /// It was in a message when the browser ended: it may be closed, or not.
    uncertain: bool,
    closed: bool,
}

/// What became of a step, for whoever looks at a failure.
type Told = Vec<String>;

struct Worker {
    run: RunId,
    events: Vec<(EventId, EventDetail<MessagePort>)>,
}

struct World {
    random: Random,
    disk: Disk,
    house: House,
    commands: Taken,
    workers: BTreeMap<WorkerId, Worker>,
    registrations: [RegistrationId; 2],
    active: [WorkerId; 2],
    /// The two ends of each channel.
    channels: Vec<[End; 2]>,
    /// All entries of this run, and of which end they were.
    stashed: BTreeMap<EntryId, (usize, usize, usize)>,
    /// Those that were closed or taken out.
    retired: BTreeSet<EntryId>,
    versions: u32,
    told: Told,
    given: u32,
    redelivered: u32,
    moved: u32,
    cuts: u32,
}

fn listeners() -> EventTypes {
    [EventType::Message, EventType::Close, EventType::Push]
        .into_iter()
        .collect()
}

fn channel() -> [End; 2] {
    let MessageChannel { port1, port2 } = MessageChannel::new();
    [port1, port2].map(|mut port| {
        port.start();
        End {
            at: At::Live(port),
            posted: 0,
            ends_of_runs: BTreeSet::new(),
            seen: 0,
            seen_in_run: 0,
            owed: BTreeSet::new(),
            taken: 0,
            over: 0,
            uncertain: false,
            closed: false,
        }
    })
}

fn policies() -> Policies {
    let limits = service_worker::Limits {
        starts_for_others: 1_000_000,
        ..service_worker::Limits::default()
    };
    Policies::seeds().with_limits(limits)
}

impl World {
    async fn new(seed: u64) -> Self {
        let disk = Disk::default();
        let (house, commands) = House::over(policies(), Box::new(disk.clone()));
        house.serve(&format!("{OTHER}sw.js"), "");
        let mut world = Self {
            random: Random(seed),
            disk,
            house,
            commands,
            workers: BTreeMap::new(),
            registrations: [RegistrationId(0); 2],
            active: [WorkerId(0); 2],
            channels: (0..CHANNELS).map(|_| channel()).collect(),
            stashed: BTreeMap::new(),
            retired: BTreeSet::new(),
            versions: 0,
            told: Told::new(),
            given: 0,
            redelivered: 0,
            moved: 0,
            cuts: 0,
        };
        world.pages().await;
        for (scope, base) in SCOPES.into_iter().enumerate() {
            let page = ClientId(scope as u64 + 1);
            let registering = world.house.register(page, base);
            world.until(registering).await.unwrap();
            while !world.is_active(scope).await {}
        }
        world
    }

    /// Some end of a channel that nobody has closed yet.
    fn any_end(&mut self) -> (usize, usize) {
        let lives = |end: &End| !matches!(end.at, At::Gone);
        let lives = |ends: &[End; 2]| ends.iter().all(lives);
        let of = self.channels.iter().enumerate();
        let mut open: Vec<_> = of
            .filter(|(_, ends)| lives(ends))
            .map(|(at, _)| at)
            .collect();
        while open.len() < CHANNELS {
            open.push(self.channels.len());
            self.channels.push(channel());
        }
        (open[self.random.below(open.len())], self.random.below(2))
    }

    fn post(&mut self, (channel, end): (usize, usize), port: Option<(String, TransferredPort)>) {
        let [from, to] = both(&mut self.channels[channel], end);
        let mut text = format!("{channel}.{}.{}", 1 - end, to.posted + 1);
        let mut message = Message::default();
        if let Some((name, port)) = port {
            text.push_str(&name);
            message.ports.push(port);
        }
        self.told.push(format!("posts {text}"));
        message.payload = text.into();
        match &from.at {
            At::Live(port) => drop(port.post_message(message)),
            At::Stashed(entry, scope) => {
                let handle = &self.house.handle;
                let _closed = handle.post_stashed(self.active[*scope], *entry, message);
            }
            // What it carries is dropped with it.
            At::Travels | At::Gone => return,
        }
        to.posted += 1;
    }

    fn stash(&mut self, (channel, end): (usize, usize)) {
        let scope = self.random.below(SCOPES.len());
        let it = &mut self.channels[channel][end];
        let port = match std::mem::replace(&mut it.at, At::Gone) {
            At::Live(port) => port,
            other => return it.at = other,
        };
        let stashed = self
            .house
            .handle
            .stash_port(self.active[scope], "name", port);
        let stashed = match stashed {
            Ok(stashed) => stashed,
            Err(refused) => {
                // No script of it has run in this browser: something starts it.
                assert_eq!(refused.reason, StashError::InvalidState);
                self.channels[channel][end].at = At::Live(refused.port);
                return self.house.handle.push(self.registrations[scope], None);
            }
        };
        let it = &mut self.channels[channel][end];
        self.told
            .push(format!("stashes {channel}.{end} as {stashed:?}"));
        match stashed {
            Some(entry) => {
                it.at = At::Stashed(entry, scope);
                self.stashed.insert(entry, (channel, end, scope));
            }
            None => it.closed = true,
        }
    }

    /// Takes an end from where it is, for a message or for a page.
    async fn take(&mut self, (channel, end): (usize, usize)) -> Option<TransferredPort> {
        let is_stashed = match self.channels[channel][end].at {
            At::Live(_) => false,
            At::Stashed(..) => true,
            At::Travels | At::Gone => return None,
        };
        if is_stashed {
            // What is on its way to a worker would be dispatched there yet.
            self.pump().await;
            for worker in self.workers.keys().copied().collect::<Vec<_>>() {
                self.dies(worker, true);
            }
            quiet().await;
        }
        let it = &mut self.channels[channel][end];
        it.taken = it.posted;
        let port = match std::mem::replace(&mut it.at, At::Travels) {
            At::Live(port) => port.transfer().ok(),
            At::Stashed(entry, scope) => {
                self.retired.insert(entry);
                self.house
                    .handle
                    .transfer_stashed(self.active[scope], entry)
            }
            At::Travels | At::Gone => None,
        };
        self.told
            .push(format!("takes {channel}.{end}: {}", port.is_some()));
        if port.is_none() {
            // Its partner had closed, and nobody listened.
            it.at = At::Gone;
            it.closed = true;
        }
        port
    }

    fn close(&mut self, (channel, end): (usize, usize)) {
        self.told.push(format!("closes {channel}.{end}"));
        let it = &mut self.channels[channel][end];
        match std::mem::replace(&mut it.at, At::Gone) {
            At::Live(port) => drop(port),
            At::Stashed(entry, scope) => {
                self.retired.insert(entry);
                self.house.handle.close_stashed(self.active[scope], entry);
            }
            At::Travels => it.at = At::Travels,
            At::Gone => {}
        }
    }

    /// The browser ends, cleanly or not, and another is opened over what the disk has.
    async fn restart(&mut self, cleanly: bool) {
        self.told.push(format!("restart {cleanly}"));
        if cleanly {
            self.disk.heal();
            let ending = self.house.handle.shut_down();
            self.until(ending).await;
        }
        let state = self.disk.now();
        let stored = stored_texts(&state);
        let there = entries(&state);
        // What was closed or taken out the moment before is there again, if the store had not heard.
        for (entry, (channel, end, scope)) in &self.stashed {
            let it = &mut self.channels[*channel][*end];
            let is_it = matches!(it.at, At::Stashed(id, _) if id == *entry);
            if there.contains(entry) && !is_it {
                assert!(!cleanly, "{entry} is still stored: {:#?}", self.told);
                (it.at, it.closed, it.uncertain) = (At::Stashed(*entry, *scope), false, true);
            }
        }
        self.stashed.retain(|entry, _| there.contains(entry));
        for (channel, ends) in self.channels.iter_mut().enumerate() {
            let unclear = |end: &End| matches!(end.at, At::Travels) || end.uncertain;
            let unclear = ends.iter().any(unclear);
            let stashed = |end: &End| matches!(end.at, At::Stashed(..));
            let both_stashed = ends.iter().all(stashed);
            for (end, it) in ends.iter_mut().enumerate() {
                it.uncertain |= unclear;
                let before = it.ends_of_runs.last().copied().unwrap_or(0);
                it.ends_of_runs.insert(it.posted);
                it.owed.clear();
                if cleanly {
                    it.over = it.over.max(it.seen_in_run);
                }
                it.seen_in_run = 0;
                let At::Stashed(entry, _) = it.at else {
                    if let At::Live(_) = it.at {
                        it.at = At::Gone;
                    }
                    continue;
                };
                if !there.contains(&entry) {
                    assert!(!cleanly, "{entry} is not stored: {:#?}", self.told);
                    it.at = At::Gone;
                    continue;
                }
                it.owed = numbers_of(&stored, entry, channel, end);
                it.owed.retain(|number| *number > it.seen);
                if cleanly && both_stashed && !it.uncertain {
                    let all = it.seen.max(before) + 1..=it.posted;
                    let all: BTreeSet<_> = all.collect();
                    assert!(
                        it.owed.is_superset(&all),
                        "{channel}.{end}: {:#?}",
                        self.told
                    );
                }
            }
        }
        self.workers.clear();
        // Their numbers may be given again.
        self.retired.clear();
        self.disk = Disk::holding(state);
        let (house, commands) = House::over(policies(), Box::new(self.disk.clone()));
        assert!(
            house.quarantined.is_empty(),
            "{:?}: {:#?}",
            house.quarantined,
            self.told
        );
        house.serve(&format!("{OTHER}sw.js"), "");
        (self.house, self.commands) = (house, commands);
        self.pages().await;
    }

    /// A new version of a service takes over.
    async fn update(&mut self, scope: usize) {
        self.told.push(format!("update {scope}"));
        self.disk.heal();
        self.versions += 1;
        let script = format!("version {}", self.versions);
        self.house
            .serve(&format!("{}sw.js", SCOPES[scope]), &script);
        let page = ClientId(scope as u64 + 1);
        let found = self.house.handle.registration(page, &url(SCOPES[scope]));
        let id = self.until(found).await.unwrap().unwrap().id;
        let before = self.active[scope];
        let updating = self.house.handle.update(id, None, None);
        self.until(updating).await.unwrap();
        for _ in 0..2_000 {
            if self.is_active(scope).await && self.active[scope] != before {
                return;
            }
            self.settle_all().await;
            self.house.pass_seconds(1).await;
        }
        panic!("it does not take over: {:#?}", self.told);
    }

    async fn settle_all(&mut self) {
        self.pump().await;
        for worker in self.workers.keys().copied().collect::<Vec<_>>() {
            while self
                .workers
                .get(&worker)
                .is_some_and(|it| !it.events.is_empty())
            {
                self.dispatch(worker);
                self.pump().await;
            }
        }
        self.receive();
    }

    async fn step(&mut self) {
        let end = self.any_end();
        match self.random.below(40) {
            0..12 => self.post(end, None),
            12..18 => self.stash(end),
            18..20 => {
                let through = self.any_end();
                let may = through.0 != end.0 && !matches!(self.at(through), At::Gone | At::Travels);
                if may && let Some(port) = self.take(end).await {
                    self.moved += 1;
                    self.post(through, Some((format!("+{}+{}", end.0, end.1), port)));
                }
            }
            20 => {
                if let Some(port) = self.take(end).await {
                    let mut port = port.receive();
                    port.start();
                    self.channels[end.0][end.1].at = At::Live(port);
                }
            }
            21 => self.close(end),
            22..30 => {
                self.pump().await;
                let running: Vec<_> = self.workers.keys().copied().collect();
                if !running.is_empty() {
                    let which = self.random.below(running.len());
                    self.dispatch(running[which]);
                }
            }
            30..33 => self.receive(),
            33..35 => {
                let running: Vec<_> = self.workers.keys().copied().collect();
                let before = self.random.below(2) == 0;
                if !running.is_empty() {
                    self.told.push("a worker dies".to_owned());
                    let which = self.random.below(running.len());
                    self.dies(running[which], before);
                }
            }
            35 => {
                let times = self.random.below(4) + 1;
                let write = self.random.below(3);
                self.disk.fail_at(write, Failure::RefusedTimes(times));
            }
            36 | 37 => self.house.pass_seconds(2).await,
            38 if self.random.below(2) == 0 => {
                let scope = self.random.below(SCOPES.len());
                self.update(scope).await;
            }
            39 if self.cuts < 3 => {
                let cleanly = self.random.below(2) == 0;
                self.cuts += u32::from(!cleanly);
                self.restart(cleanly).await;
            }
            _ => self.pump().await,
        }
    }

    fn at(&self, (channel, end): (usize, usize)) -> &At {
        &self.channels[channel][end].at
    }

    /// Nothing fails any more, and time passes: what was posted comes, and who is left hears it.
    async fn ends(mut self) -> [u32; 4] {
        self.disk.heal();
        let mut left = Vec::new();
        for _ in 0..3_000 {
            self.settle_all().await;
            left = self.left();
            if left.is_empty() {
                break;
            }
            std::thread::yield_now();
            self.house.pass_seconds(1).await;
        }
        assert!(left.is_empty(), "{left:?} after {:#?}", self.told);
        let ending = self.house.handle.shut_down();
        self.until(ending).await;
        let state = self.disk.now();
        let stored = stored_texts(&state);
        for (channel, ends) in self.channels.iter().enumerate() {
            for (end, it) in ends.iter().enumerate() {
                let At::Stashed(entry, _) = it.at else {
                    continue;
                };
                // What may still be there is what came before a cut, and was not given again.
                let may =
                    |number: &u32| it.uncertain || (*number > it.seen_in_run && *number <= it.seen);
                let both = !matches!(ends[1 - end].at, At::Travels | At::Gone);
                let numbers = numbers_of(&stored, entry, channel, end);
                assert!(
                    !both || numbers.iter().all(may),
                    "{channel}.{end} left {numbers:?}: {:#?}",
                    self.told
                );
            }
        }
        [self.given, self.redelivered, self.moved, self.cuts]
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (channel, ends) in self.channels.iter().enumerate() {
            let here = |end: &End| matches!(end.at, At::Live(_) | At::Stashed(..));
            let both = ends.iter().all(here);
            for (end, it) in ends.iter().enumerate() {
                let other = &ends[1 - end];
                if !here(it) || it.uncertain {
                    continue;
                }
                let is_of_this_run = !it.ends_of_runs.contains(&it.posted);
                if both && is_of_this_run && it.seen != it.posted {
                    left.push(format!("{channel}.{end}: {} of {}", it.seen, it.posted));
                }
                if !it.owed.is_empty() {
                    left.push(format!("{channel}.{end} is owed {:?}", it.owed));
                }
                if matches!(other.at, At::Gone) {
                    left.push(format!("{channel}.{end} has not heard close"));
                }
            }
        }
        left
    }
}

/// An end and the other one.
fn both(ends: &mut [End; 2], end: usize) -> [&mut End; 2] {
    let [first, second] = ends;
    match end {
        0 => [first, second],
        _ => [second, first],
    }
}

/// The messages that are stored for an end.
fn numbers_of(
    stored: &[(EntryId, String)],
    entry: EntryId,
    channel: usize,
    end: usize,
) -> BTreeSet<u32> {
    let prefix = format!("{channel}.{end}.");
    let its = stored.iter().filter(|(of, _)| *of == entry);
    let numbers = its.filter_map(|(_, text)| {
        let rest = text.strip_prefix(&prefix)?;
        rest.split('+').next()?.parse().ok()
    });
    numbers.collect()
}

fn entries(state: &MemoryStore) -> BTreeSet<EntryId> {
    let mut state = state.clone();
    let keys = state.rows_mut().keys();
    let parsed = keys.filter_map(|key| record::parse_key(key));
    parsed
        .filter(|(_, kind)| *kind == Kind::Entry)
        .map(|(id, _)| id)
        .collect()
}

#[tokio::test]
async fn whatever_happens_messages_come_in_order_and_once_and_what_was_accepted_comes() {
    let seed = env::var("STASH_SEED").map_or(20_261_121, |seed| seed.parse().unwrap());
    let histories = env::var("STASH_HISTORIES").map_or(HISTORIES, |it| it.parse().unwrap());
    let mut total = [0; 4];
    for seed in seed..seed + histories {
        println!("STASH_SEED={seed}");
        let mut world = World::new(seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        let counts = world.ends().await;
        for (total, count) in total.iter_mut().zip(counts) {
            *total += count;
        }
    }
    let [given, redelivered, moved, cuts] = total;
    println!("{given} given, {redelivered} of them again, {moved} moved, {cuts} cuts");
    assert!(histories < HISTORIES || (given > 500 && redelivered > 0 && moved > 50 && cuts > 20));
}
