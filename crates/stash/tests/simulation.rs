//! Random workers, peers and stops against a model of SEMANTICS §5.3: every message reaches a
//! worker that may have it, in order, once, and none is left lying where it could be delivered.
//!
//! Replay a run with `STASH_SEED=<the printed seed>`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use stash::{EntryId, Input, Item, Limits, NewEntry, Output, Stash};
use sw_types::{EventType, EventTypes, RegistrationId, Timestamp, WorkerId, WorkerState};

const STEPS: u32 = 20_000;
const REGISTRATIONS: u64 = 2;
const MAX_ENTRIES: usize = 6;
const MAX_BYTES: u64 = 20 * (Limits::MESSAGE_OVERHEAD + 100);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let bound = u64::try_from(from.len()).ok().filter(|len| *len > 0)?;
        usize::try_from(self.below(bound))
            .ok()
            .and_then(|at| from.get(at).cloned())
    }

    fn event_types(&mut self) -> EventTypes {
        let events = [EventType::Message, EventType::Message, EventType::Close];
        events.into_iter().filter(|_| !self.one_in(3)).collect()
    }
}

/// Messages are numbered through the whole run; `None` is the close.
type Sent = Option<u64>;

#[derive(Debug)]
struct Entry {
    registration: u64,
    by: WorkerId,
    name: String,
    queue: VecDeque<(Sent, u64)>,
    /// Messages that the store does not have yet.
    unaccepted: VecDeque<u64>,
    in_flight: Option<(WorkerId, Sent, u64)>,
    peer_closed: bool,
}

#[derive(Debug)]
struct Worker {
    registration: u64,
    state: WorkerState,
    handles: EventTypes,
    run: Run,
    /// It last ran without a message listener, and nothing has come for it since.
    deaf: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Stopped,
    Waking,
    Running(EventTypes),
}

struct World {
    stash: Stash<EntryId, u64>,
    now: Instant,
    random: Random,
    entries: BTreeMap<EntryId, Entry>,
    /// Insertion order, by registration.
    order: BTreeMap<u64, Vec<EntryId>>,
    workers: BTreeMap<WorkerId, Worker>,
    active: BTreeMap<u64, WorkerId>,
    /// Entries that the step at hand must close.
    closing: BTreeSet<EntryId>,
    next_worker: u64,
    next_entry: u64,
    next_message: u64,
    consumed: u64,
    requeued: u64,
    over_quota: u64,
    closes: u64,
}

fn registration(id: u64) -> RegistrationId {
    RegistrationId(id)
}

fn item(sent: Sent) -> Item<u64> {
    sent.map_or(Item::Close, Item::Message)
}

impl Entry {
    fn bytes(&self) -> u64 {
        let queued: u64 = self.queue.iter().map(|(_, bytes)| bytes).sum();
        queued + self.in_flight.map_or(0, |(_, _, bytes)| bytes)
    }

    /// What is next, if it may be delivered.
    fn front(&self) -> Option<Sent> {
        let (sent, _) = self.queue.front()?;
        let waits = sent.is_some() && self.unaccepted.front().copied() == *sent;
        (!waits).then_some(*sent)
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut limits = Limits::default();
        limits.entries = MAX_ENTRIES;
        limits.queued_bytes = MAX_BYTES;
        Self {
            stash: Stash::new(limits),
            now: Instant::now(),
            random: Random(seed),
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            workers: BTreeMap::new(),
            active: BTreeMap::new(),
            closing: BTreeSet::new(),
            next_worker: 1,
            next_entry: 1,
            next_message: 1,
            consumed: 0,
            requeued: 0,
            over_quota: 0,
            closes: 0,
        }
    }

    // ---- The rules, as the text says them ----

    /// "target = stashing worker W while W is parsed/installing/installed/activating; otherwise
    /// the registration's active worker, once activated."
    fn target(&self, entry: &Entry) -> Option<WorkerId> {
        let activated = |id: WorkerId| self.workers[&id].state == WorkerState::Activated;
        match self.workers.get(&entry.by).map(|worker| worker.state) {
            Some(
                WorkerState::Parsed
                | WorkerState::Installing
                | WorkerState::Installed
                | WorkerState::Activating,
            ) => Some(entry.by),
            _ => {
                let active = self.active.get(&entry.registration).copied();
                active.filter(|id| activated(*id))
            }
        }
    }

    fn bytes(&self, registration: u64) -> u64 {
        let own = self
            .entries
            .values()
            .filter(|e| e.registration == registration);
        own.map(Entry::bytes).sum()
    }

    // ---- Inputs and what comes of them ----

    fn input(&mut self, input: Input<u64>) {
        self.stash.handle_input(self.now, input);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.stash.poll_output() {
            match output {
                Output::Wake { worker, entry } => {
                    assert_eq!(self.target(&self.entries[&entry]), Some(worker));
                    let next = self.entries[&entry].front();
                    let event = match next.expect("woken for nothing") {
                        Some(_) => EventType::Message,
                        None => EventType::Close,
                    };
                    let record = self.workers.get_mut(&worker).expect("woken and unknown");
                    assert_eq!(record.run, Run::Stopped, "{worker}");
                    assert!(
                        record.handles.contains(event),
                        "{worker} handles no {event}"
                    );
                    record.run = Run::Waking;
                }
                Output::Deliver {
                    worker,
                    entry,
                    item: got,
                } => {
                    let target = self.target(&self.entries[&entry]);
                    assert_eq!(target, Some(worker), "the wrong worker");
                    let entry = self.entries.get_mut(&entry).expect("an entry");
                    assert_eq!(entry.in_flight, None, "one at a time");
                    assert!(entry.front().is_some(), "it is not accepted");
                    let (sent, bytes) = entry.queue.pop_front().expect("never sent");
                    assert_eq!(got, item(sent), "out of order");
                    entry.in_flight = Some((worker, sent, bytes));
                    let event = sent.map_or(EventType::Close, |_| EventType::Message);
                    match self.workers[&worker].run {
                        Run::Running(listeners) => assert!(listeners.contains(event)),
                        other => panic!("delivered to a worker that is {other:?}"),
                    }
                }
                Output::ClosePort { entry: id, port } => {
                    assert_eq!(id, port, "another entry's port");
                    if !self.closing.remove(&id) {
                        self.assert_close_goes_unheard(id);
                    }
                    self.remove(id);
                }
                Output::QuotaExceeded {
                    registration,
                    entry,
                } => {
                    assert!(self.bytes(registration.0) > MAX_BYTES);
                    let most = self.entries[&entry].bytes();
                    let own = self.entries.values();
                    let mut own = own.filter(|e| e.registration == registration.0);
                    assert!(own.all(|other| other.bytes() <= most));
                    self.closing.insert(entry);
                    self.over_quota += 1;
                }
                Output::Released { .. } => panic!("released without being transferred"),
            }
        }
        assert!(self.closing.is_empty(), "not closed: {:?}", self.closing);
    }

    /// An entry may end by itself only if all that is left is a close that nobody would hear.
    fn assert_close_goes_unheard(&self, id: EntryId) {
        let entry = &self.entries[&id];
        assert_eq!(entry.queue, [(None, 0)], "closed with messages left");
        assert_eq!(entry.in_flight, None);
        let target = self.target(entry).expect("nobody has decided this");
        let worker = &self.workers[&target];
        let listeners = match worker.run {
            Run::Running(listeners) => listeners,
            Run::Stopped => worker.handles,
            Run::Waking => panic!("it may come to listen"),
        };
        assert!(!listeners.contains(EventType::Close));
    }

    fn remove(&mut self, id: EntryId) -> Entry {
        let entry = self.entries.remove(&id).expect("closed twice");
        let order = self.order.entry(entry.registration).or_default();
        order.retain(|other| *other != id);
        entry
    }

    /// Nothing is left lying that could move, and the queries agree with the model.
    fn check(&self) {
        for (id, entry) in &self.entries {
            assert_eq!(
                self.stash.entry(*id).map(|it| it.unaccepted()),
                Some(entry.unaccepted.len())
            );
            let Some(sent) = entry.front().filter(|_| entry.in_flight.is_none()) else {
                continue;
            };
            let Some(target) = self.target(entry) else {
                continue;
            };
            let worker = &self.workers[&target];
            let event = sent.map_or(EventType::Close, |_| EventType::Message);
            match worker.run {
                Run::Running(listeners) => assert!(!listeners.contains(event), "{id} waits"),
                Run::Stopped if worker.handles.contains(event) => {
                    let excused = worker.deaf || self.stash.poll_timeout().is_some();
                    assert!(excused, "{id} waits for {target}, which nobody wakes");
                }
                Run::Stopped | Run::Waking => {}
            }
            if sent.is_none() && worker.run != Run::Waking {
                let heard = match worker.run {
                    Run::Running(listeners) => listeners,
                    _ => worker.handles,
                };
                assert!(heard.contains(event), "{id} should have ended unheard");
            }
        }
        for number in 0..REGISTRATIONS {
            let order = self.order.get(&number).cloned().unwrap_or_default();
            let got: Vec<_> = self.stash.entries(registration(number)).collect();
            assert_eq!(got.iter().map(|(id, _)| *id).collect::<Vec<_>>(), order);
            let total: u64 = got.iter().map(|(_, entry)| entry.queued_bytes()).sum();
            assert_eq!(total, self.bytes(number));
            assert!(total <= MAX_BYTES);
            for name in ["a", "b"] {
                let open = order.iter().copied().filter(|id| {
                    let entry = &self.entries[id];
                    entry.name == name && !entry.peer_closed
                });
                let matched = self.stash.match_name(registration(number), name);
                assert!(open.eq(matched));
            }
        }
    }

    // ---- Steps ----

    fn step(&mut self) {
        match self.random.below(24) {
            0 => self.new_worker(),
            1 | 2 => self.advance_worker(),
            3 if self.random.one_in(6) => self.discard_worker(),
            4 => self.add(),
            5..8 => self.arrive(),
            8..11 => self.accept(),
            11 if self.random.one_in(3) => self.peer_closes(),
            12..16 => self.consume(),
            16..18 => self.answer_wake(),
            18 => self.start_or_relisten(),
            19 => self.stop_some(),
            20 => self.time_passes(),
            21 if self.random.one_in(3) => self.transfer(),
            22 => self.rename_or_close(),
            23 if self.random.one_in(60) => self.clear(),
            _ => {}
        }
        self.check();
    }

    fn some_worker(&mut self, filter: impl Fn(&Worker) -> bool) -> Option<WorkerId> {
        let fitting = self.workers.iter().filter(|(_, worker)| filter(worker));
        let fitting: Vec<_> = fitting.map(|(id, _)| *id).collect();
        self.random.pick(&fitting)
    }

    fn some_entry(&mut self, filter: impl Fn(&Entry) -> bool) -> Option<EntryId> {
        let fitting = self.entries.iter().filter(|(_, entry)| filter(entry));
        let fitting: Vec<_> = fitting.map(|(id, _)| *id).collect();
        self.random.pick(&fitting)
    }

    fn new_worker(&mut self) {
        let number = self.random.below(REGISTRATIONS);
        let own = self.workers.values().filter(|w| w.registration == number);
        if own.count() >= 3 {
            return;
        }
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let worker = Worker {
            registration: number,
            state: WorkerState::Parsed,
            handles: EventTypes::NONE,
            run: Run::Stopped,
            deaf: false,
        };
        self.workers.insert(id, worker);
        self.tell_state(id);
    }

    fn tell_state(&mut self, id: WorkerId) {
        let worker = &self.workers[&id];
        self.input(Input::Worker {
            registration: registration(worker.registration),
            worker: id,
            state: worker.state,
            handles: worker.handles,
        });
    }

    fn advance_worker(&mut self) {
        let Some(id) = self.some_worker(|w| w.state < WorkerState::Activated) else {
            return;
        };
        let number = self.workers[&id].registration;
        let next = match self.workers[&id].state {
            WorkerState::Parsed => WorkerState::Installing,
            WorkerState::Installing => WorkerState::Installed,
            WorkerState::Installed => {
                // Activate: terminates the old active worker, which becomes redundant.
                if let Some(old) = self.active.get(&number).copied() {
                    if self.workers[&old].state == WorkerState::Activating {
                        return;
                    }
                    self.make_redundant(old);
                }
                self.active.insert(number, id);
                WorkerState::Activating
            }
            _ => WorkerState::Activated,
        };
        let handles = self.random.event_types();
        let worker = self.workers.get_mut(&id).expect("a worker");
        if worker.state == WorkerState::Parsed {
            worker.handles = handles;
        }
        worker.state = next;
        self.tell_state(id);
    }

    fn discard_worker(&mut self) {
        if let Some(id) = self.some_worker(|w| w.state != WorkerState::Redundant) {
            self.make_redundant(id);
        }
    }

    fn make_redundant(&mut self, id: WorkerId) {
        let stop_first = self.random.one_in(2);
        if stop_first {
            self.stop(id);
        }
        let worker = self.workers.get_mut(&id).expect("a worker");
        let activated = worker.state >= WorkerState::Activating;
        worker.state = WorkerState::Redundant;
        let number = worker.registration;
        if self.active.get(&number) == Some(&id) {
            self.active.remove(&number);
        }
        if !activated {
            let its = self.entries.iter().filter(|(_, entry)| entry.by == id);
            self.closing.extend(its.map(|(id, _)| *id));
        }
        self.tell_state(id);
        if !stop_first {
            self.stop(id);
        }
        self.workers.remove(&id);
    }

    fn add(&mut self) {
        let Some(worker) = self.some_worker(|_| true) else {
            return;
        };
        let number = self.workers[&worker].registration;
        let id = EntryId(self.next_entry);
        let name = if self.random.one_in(2) { "a" } else { "b" };
        let added = self.stash.add(NewEntry {
            registration: registration(number),
            worker,
            state: self.workers[&worker].state,
            name: name.to_owned(),
            port: id,
            created: Timestamp(0),
        });
        self.take_outputs();
        let order = self.order.entry(number).or_default();
        if order.len() >= MAX_ENTRIES {
            assert_eq!(added.map_err(|refused| refused.port), Err(id));
            return;
        }
        assert_eq!(added, Ok(id));
        self.next_entry += 1;
        order.push(id);
        let entry = Entry {
            registration: number,
            by: worker,
            name: name.to_owned(),
            queue: VecDeque::new(),
            unaccepted: VecDeque::new(),
            in_flight: None,
            peer_closed: false,
        };
        self.entries.insert(id, entry);
    }

    fn arrive(&mut self) {
        let Some(id) = self.some_entry(|entry| !entry.peer_closed) else {
            return;
        };
        let message = self.next_message;
        self.next_message += 1;
        let bytes = self.random.below(200);
        let entry = self.entries.get_mut(&id).expect("an entry");
        let charged = bytes + Limits::MESSAGE_OVERHEAD;
        entry.queue.push_back((Some(message), charged));
        let bytes = usize::try_from(bytes).expect("small");
        if self.random.one_in(2) {
            entry.unaccepted.push_back(message);
            return self.input(Input::MessageWaits {
                entry: id,
                message,
                bytes,
            });
        }
        self.input(Input::MessageArrived {
            entry: id,
            message,
            bytes,
        });
        self.something_new(id);
    }

    fn accept(&mut self) {
        let Some(id) = self.some_entry(|entry| !entry.unaccepted.is_empty()) else {
            return;
        };
        let entry = self.entries.get_mut(&id).expect("an entry");
        entry.unaccepted.pop_front();
        self.input(Input::Accepted { entry: id });
        self.something_new(id);
    }

    /// Unless the entry was over its quota, there is something new to listen for.
    fn something_new(&mut self, id: EntryId) {
        let target = self.entries.get(&id).and_then(|entry| self.target(entry));
        if let Some(worker) = target.and_then(|target| self.workers.get_mut(&target)) {
            worker.deaf = false;
        }
    }

    fn peer_closes(&mut self) {
        let Some(id) = self.some_entry(|entry| !entry.peer_closed) else {
            return;
        };
        let entry = self.entries.get_mut(&id).expect("an entry");
        entry.peer_closed = true;
        entry.queue.push_back((None, 0));
        self.input(Input::PeerClosed { entry: id });
    }

    fn consume(&mut self) {
        let Some(id) = self.some_entry(|entry| entry.in_flight.is_some()) else {
            return;
        };
        let worker = self.dispatched(id);
        self.input(Input::Consumed { worker, entry: id });
    }

    fn dispatched(&mut self, id: EntryId) -> WorkerId {
        let entry = self.entries.get_mut(&id).expect("an entry");
        let (worker, sent, _) = entry.in_flight.take().expect("under way");
        self.consumed += 1;
        if sent.is_none() {
            self.closes += 1;
            self.closing.insert(id);
        }
        worker
    }

    fn answer_wake(&mut self) {
        let Some(id) = self.some_worker(|w| w.run == Run::Waking) else {
            return;
        };
        if self.random.one_in(5) {
            self.workers.get_mut(&id).expect("a worker").run = Run::Stopped;
            return self.input(Input::StartFailed { worker: id });
        }
        let listeners = self.random.event_types();
        self.run(id, listeners);
    }

    fn start_or_relisten(&mut self) {
        if let Some(id) = self.some_worker(|_| true) {
            let listeners = self.random.event_types();
            self.run(id, listeners);
        }
    }

    fn run(&mut self, id: WorkerId, listeners: EventTypes) {
        let worker = self.workers.get_mut(&id).expect("a worker");
        worker.run = Run::Running(listeners);
        worker.deaf = false;
        self.input(Input::Running {
            worker: id,
            listeners,
        });
    }

    fn stop_some(&mut self) {
        if let Some(id) = self.some_worker(|w| w.run != Run::Stopped) {
            self.stop(id);
        }
    }

    /// Of what was under way, some was dispatched unnoticed, the rest comes back.
    fn stop(&mut self, id: WorkerId) {
        let worker = self.workers.get_mut(&id).expect("a worker");
        let run = std::mem::replace(&mut worker.run, Run::Stopped);
        match run {
            Run::Stopped => return,
            Run::Waking => {}
            Run::Running(listeners) => worker.deaf = !listeners.contains(EventType::Message),
        }
        let mut undispatched = Vec::new();
        let under_way = self.entries.iter();
        let under_way = under_way.filter(|(_, e)| e.in_flight.is_some_and(|(to, _, _)| to == id));
        for entry in under_way.map(|(id, _)| *id).collect::<Vec<_>>() {
            if self.random.one_in(3) {
                self.dispatched(entry);
                continue;
            }
            let model = self.entries.get_mut(&entry).expect("an entry");
            let (_, sent, bytes) = model.in_flight.take().expect("under way");
            model.queue.push_front((sent, bytes));
            undispatched.push((entry, item(sent)));
            self.requeued += 1;
        }
        self.input(Input::Stopped {
            worker: id,
            undispatched,
        });
    }

    fn time_passes(&mut self) {
        let most = if self.random.one_in(10) { 400 } else { 3 };
        self.now += Duration::from_secs(self.random.below(most));
        self.stash.handle_timeout(self.now);
        self.take_outputs();
        assert!(self.stash.poll_timeout().is_none_or(|due| due > self.now));
    }

    fn transfer(&mut self) {
        let Some(id) = self.some_entry(|_| true) else {
            return;
        };
        let hand_back = self.random.one_in(2);
        let entry = self.remove(id);
        let in_flight = entry.in_flight.and_then(|(_, sent, _)| sent);
        let undispatched = in_flight.filter(|_| hand_back);
        let queued = entry.queue.into_iter().filter_map(|(sent, _)| sent);
        let expected: Vec<_> = undispatched.into_iter().chain(queued).collect();
        let transfer = Input::Transfer {
            entry: id,
            undispatched,
        };
        self.stash.handle_input(self.now, transfer);
        let released = Output::Released {
            entry: id,
            port: id,
            messages: expected,
            closed: entry.peer_closed,
        };
        assert_eq!(self.stash.poll_output(), Some(released));
        self.take_outputs();
    }

    fn rename_or_close(&mut self) {
        let Some(id) = self.some_entry(|_| true) else {
            return;
        };
        if self.random.one_in(4) {
            self.closing.insert(id);
            return self.input(Input::Close { entry: id });
        }
        let name = if self.random.one_in(2) { "a" } else { "b" };
        let entry = self.entries.get_mut(&id).expect("an entry");
        entry.name = name.to_owned();
        let order = self.order.entry(entry.registration).or_default();
        order.retain(|other| *other != id);
        order.push(id);
        self.input(Input::Rename {
            entry: id,
            name: name.to_owned(),
        });
    }

    fn clear(&mut self) {
        let number = self.random.below(REGISTRATIONS);
        let own = self.entries.iter();
        let own = own.filter(|(_, entry)| entry.registration == number);
        self.closing.extend(own.map(|(id, _)| *id));
        self.active.remove(&number);
        let workers = self.workers.iter();
        let workers = workers.filter(|(_, worker)| worker.registration == number);
        let workers: Vec<_> = workers.map(|(id, _)| *id).collect();
        self.input(Input::RegistrationCleared {
            registration: registration(number),
        });
        for worker in workers {
            self.workers.remove(&worker);
            let undispatched = Vec::new();
            self.input(Input::Stopped {
                worker,
                undispatched,
            });
        }
    }

    /// Everybody activates, runs, listens and works: nothing may be left.
    fn drain(&mut self) {
        while self
            .some_worker(|w| w.state < WorkerState::Activated)
            .is_some()
        {
            self.advance_worker();
        }
        while self
            .some_entry(|entry| !entry.unaccepted.is_empty())
            .is_some()
        {
            self.accept();
        }
        let everything = [EventType::Message, EventType::Close].into_iter().collect();
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            self.run(id, everything);
        }
        while self.some_entry(|entry| entry.in_flight.is_some()).is_some() {
            self.consume();
        }
        self.check();
        for entry in self.entries.values() {
            if self.target(entry).is_some() {
                assert_eq!(entry.queue, [], "left behind");
                assert!(!entry.peer_closed, "an entry outlived its close");
            }
        }
    }
}

#[test]
fn messages_reach_the_right_worker_once_and_in_order_whatever_happens() {
    let seed = std::env::var("STASH_SEED").map_or(20_150_615, |seed| {
        seed.parse().expect("STASH_SEED is a number")
    });
    println!("STASH_SEED={seed}");
    let mut world = World::new(seed);
    for step in 0..STEPS {
        world.step();
        if step % 1_000 == 999 {
            world.drain();
        }
    }
    println!(
        "{} messages, {} consumed, {} requeued, {} closes, {} over quota, {} workers, {} entries",
        world.next_message,
        world.consumed,
        world.requeued,
        world.closes,
        world.over_quota,
        world.next_worker,
        world.next_entry
    );
    // The run must have been about something.
    assert!(world.consumed > 500);
    assert!(world.requeued > 50);
    assert!(world.closes > 10);
    assert!(world.over_quota > 5);
}
