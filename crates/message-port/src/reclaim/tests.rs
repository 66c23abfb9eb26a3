//! Nothing unreachable is kept, nothing reachable is freed, and no depth overflows the stack.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::thread;

use super::lock;
use crate::pair::Pair;
use crate::{EntangleError, Event, Message, MessageChannel, MessagePort, Posted, TryRecvError};

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }
}

fn is_live(pair: &Weak<Pair>) -> bool {
    pair.strong_count() > 0
}

fn pair_of(port: &MessagePort) -> Weak<Pair> {
    port.end().pair()
}

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

fn post(source: &MessagePort, port: MessagePort) -> Posted {
    source.post_message(Message::default().with_port(port.transfer().unwrap()))
}

/// Where the model says that an end is: present means that its port exists.
#[derive(Default)]
struct ModelEnd {
    held: bool,
    detached: bool,
    partner: Option<usize>,
    pair: usize,
    queue: VecDeque<ModelEvent>,
}

#[derive(Debug, PartialEq, Eq)]
enum ModelEvent {
    Message(u64, Vec<usize>),
    Close,
}

/// Real ports beside a model that marks what can be reached after every step.
struct World {
    random: Random,
    ports: BTreeMap<usize, MessagePort>,
    model: BTreeMap<usize, ModelEnd>,
    pairs: Vec<Weak<Pair>>,
    next_end: usize,
    next_message: u64,
    doomed: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            ports: BTreeMap::new(),
            model: BTreeMap::new(),
            pairs: Vec::new(),
            next_end: 0,
            next_message: 0,
            doomed: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..=2 => self.create(),
            3..=7 => self.post(),
            8..=10 => self.receive(),
            11 | 12 => self.read_and_put_back(),
            13 => self.drop_one(),
            14 => self.unlink(),
            _ => self.entangle(),
        }
        self.check();
    }

    fn pick(&mut self) -> Option<usize> {
        if self.ports.is_empty() {
            return None;
        }
        let nth = self.random.below(self.ports.len());
        self.ports.keys().nth(nth).copied()
    }

    fn create(&mut self) {
        if self.ports.len() > 12 {
            return;
        }
        let (first, second) = channel();
        let (a, b) = (self.next_end, self.next_end + 1);
        self.next_end += 2;
        let pair = self.pairs.len();
        self.pairs.push(pair_of(&first));
        for (end, partner, port) in [(a, b, first), (b, a, second)] {
            self.ports.insert(end, port);
            let partner = Some(partner);
            let held = true;
            let end_of_model = ModelEnd {
                held,
                detached: false,
                partner,
                pair,
                queue: VecDeque::new(),
            };
            self.model.insert(end, end_of_model);
        }
    }

    fn post(&mut self) {
        let Some(source) = self.pick() else { return };
        let mut carried = Vec::new();
        for _ in 0..self.random.below(4) {
            let port = self.pick().unwrap();
            if port != source && !carried.contains(&port) && !self.model[&port].detached {
                carried.push(port);
            }
        }
        let number = self.next_message;
        self.next_message += 1;
        let mut message = Message::new(number.to_be_bytes().to_vec());
        for end in &carried {
            let port = self.ports.remove(end).unwrap();
            message = message.with_port(port.transfer().unwrap());
            self.model.get_mut(end).unwrap().held = false;
        }
        let posted = self.ports[&source].post_message(message);
        let target = self.model[&source].partner;
        if let Some(target) = target {
            let event = ModelEvent::Message(number, carried);
            self.model.get_mut(&target).unwrap().queue.push_back(event);
        }
        self.forget_unreachable();
        let expected = match target {
            None => Posted::NotEntangled,
            Some(target) if self.model.contains_key(&target) => Posted::Queued,
            Some(_) => Posted::Doomed,
        };
        assert_eq!(posted, expected);
        self.doomed += usize::from(posted == Posted::Doomed);
    }

    fn receive(&mut self) {
        let Some(end) = self.pick() else { return };
        let mut port = self.ports.remove(&end).unwrap();
        port.start();
        for _ in 0..self.random.below(4) {
            let model = self.model.get_mut(&end).unwrap();
            match (port.try_recv(), model.queue.pop_front()) {
                (Ok(Event::Message(message)), Some(ModelEvent::Message(number, ends))) => {
                    assert_eq!(message.payload, number.to_be_bytes()[..]);
                    assert_eq!(message.ports.len(), ends.len());
                    for (end, port) in ends.into_iter().zip(message.ports) {
                        self.ports.insert(end, port.receive());
                        self.model.get_mut(&end).unwrap().held = true;
                    }
                }
                (Ok(Event::Close), Some(ModelEvent::Close)) => {}
                (Err(TryRecvError::Empty), None) => assert!(model.partner.is_some()),
                (Err(TryRecvError::Closed), None) => assert!(model.partner.is_none()),
                (real, model) => panic!("received {real:?}, expected {model:?}"),
            }
        }
        self.ports.insert(end, port);
    }

    /// Takes events, ports and all, and puts them back.
    fn read_and_put_back(&mut self) {
        let Some(end) = self.pick() else { return };
        let limit = self.random.below(4);
        let port = self.ports.get_mut(&end).unwrap();
        port.start();
        let mut events = Vec::new();
        while events.len() < limit {
            match port.try_recv() {
                Ok(event) => events.push(event),
                Err(_) => break,
            }
        }
        let queue = &self.model[&end].queue;
        assert_eq!(events.len(), limit.min(queue.len()));
        for (event, expected) in events.iter().zip(queue) {
            match (event, expected) {
                (Event::Message(message), ModelEvent::Message(number, ends)) => {
                    assert_eq!(message.payload, number.to_be_bytes()[..]);
                    assert_eq!(message.ports.len(), ends.len());
                }
                (Event::Close, ModelEvent::Close) => {}
                (real, model) => panic!("received {real:?}, expected {model:?}"),
            }
        }
        port.put_back(events);
    }

    /// Closes a port, or disentangles it.
    fn unlink(&mut self) {
        let Some(end) = self.pick() else { return };
        let detach = self.random.below(2) == 0;
        if detach {
            self.ports[&end].close();
        } else {
            self.ports[&end].disentangle();
        }
        let model = self.model.get_mut(&end).unwrap();
        model.detached |= detach;
        if let Some(partner) = model.partner.take() {
            let partner = self.model.get_mut(&partner).unwrap();
            partner.partner = None;
            partner.queue.push_back(ModelEvent::Close);
        }
    }

    fn drop_one(&mut self) {
        let Some(end) = self.pick() else { return };
        drop(self.ports.remove(&end));
        self.model.get_mut(&end).unwrap().held = false;
        self.forget_unreachable();
    }

    fn entangle(&mut self) {
        let (Some(a), Some(b)) = (self.pick(), self.pick()) else {
            return;
        };
        if a == b || self.model[&a].partner == Some(b) {
            return;
        }
        let mut first = self.ports.remove(&a).unwrap();
        let mut second = self.ports.remove(&b).unwrap();
        let entangled = MessagePort::entangle(&mut first, &mut second);
        let pair = self.pairs.len();
        self.pairs.push(pair_of(&first));
        self.ports.insert(a, first);
        self.ports.insert(b, second);
        if self.model[&a].detached || self.model[&b].detached {
            assert_eq!(entangled, Err(EntangleError::Detached));
            self.pairs.pop();
            return;
        }
        entangled.unwrap();
        for (end, partner) in [(a, b), (b, a)] {
            let model = self.model.get_mut(&end).unwrap();
            model.pair = pair;
            if let Some(former) = model.partner.replace(partner) {
                let former = self.model.get_mut(&former).unwrap();
                former.partner = None;
                former.queue.push_back(ModelEvent::Close);
            }
        }
    }

    /// Marks from the ports in hand through queues, and sweeps.
    fn forget_unreachable(&mut self) {
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = self
            .model
            .iter()
            .filter(|m| m.1.held)
            .map(|m| *m.0)
            .collect();
        while let Some(end) = open.pop() {
            if reached.insert(end) {
                for event in &self.model[&end].queue {
                    if let ModelEvent::Message(_, ports) = event {
                        open.extend(ports);
                    }
                }
            }
        }
        let gone: Vec<usize> = self
            .model
            .keys()
            .filter(|end| !reached.contains(end))
            .copied()
            .collect();
        for end in gone {
            let partner = self.model.remove(&end).unwrap().partner;
            if let Some(partner) = partner.and_then(|partner| self.model.get_mut(&partner)) {
                partner.partner = None;
                partner.queue.push_back(ModelEvent::Close);
            }
        }
    }

    fn check(&self) {
        let live: BTreeSet<usize> = self.model.values().map(|end| end.pair).collect();
        for (number, pair) in self.pairs.iter().enumerate() {
            assert_eq!(is_live(pair), live.contains(&number), "pair {number}");
        }
    }
}

/// Says which seed failed, since the panic itself does not.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

#[test]
fn random_graphs_of_queues_keep_exactly_what_can_be_reached() {
    let mut doomed = 0;
    for seed in 0..150 {
        let shown = Seed(seed);
        let mut world = World::new(shown.0);
        for _ in 0..400 {
            world.step();
        }
        doomed += world.doomed;
        world.ports.clear();
        assert!(!world.pairs.iter().any(is_live), "seed {seed}");
    }
    assert!(doomed > 100, "only {doomed} cycles were tried");
}

#[test]
fn a_port_inside_a_port_inside_itself_is_freed_when_the_circle_closes() {
    let (a, mut a_out) = channel();
    let (b, mut b_out) = channel();
    let pairs = [pair_of(&a), pair_of(&b)];
    assert_eq!(post(&b_out, a), Posted::Queued);
    assert_eq!(post(&a_out, b), Posted::Doomed);
    assert!(matches!(a_out.try_recv(), Ok(Event::Close)));
    assert!(matches!(b_out.try_recv(), Ok(Event::Close)));
    assert!(matches!(b_out.try_recv(), Err(TryRecvError::Closed)));
    drop((a_out, b_out));
    assert!(!pairs.iter().any(is_live));
}

#[test]
fn a_circle_is_seen_through_a_backlog_that_its_owner_had_taken() {
    let (mut a, a_out) = channel();
    let (b, b_out) = channel();
    a.start();
    assert_eq!(a_out.post_message(Message::new("first")), Posted::Queued);
    assert_eq!(post(&a_out, b), Posted::Queued);
    // Takes both out of the shared queue and hands one of them out.
    assert!(matches!(a.try_recv(), Ok(Event::Message(_))));
    let pairs = [pair_of(&a), pair_of(&b_out)];
    assert_eq!(post(&b_out, a), Posted::Doomed);
    drop((a_out, b_out));
    assert!(!pairs.iter().any(is_live));
}

#[test]
fn a_received_port_does_not_count_as_queued_any_more() {
    let (mut a, a_out) = channel();
    let (b, b_out) = channel();
    a.start();
    assert_eq!(post(&a_out, b), Posted::Queued);
    let Ok(Event::Message(mut message)) = a.try_recv() else {
        panic!("nothing came")
    };
    let mut b = message.ports.remove(0).receive();
    b.start();
    assert_eq!(post(&b_out, a), Posted::Queued);
    assert!(matches!(b.try_recv(), Ok(Event::Message(_))));
}

#[test]
fn a_port_whose_queued_ports_were_all_received_needs_no_walk() {
    let (mut a, a_out) = channel();
    a.start();
    for _ in 0..3 {
        assert_eq!(post(&a_out, channel().0), Posted::Queued);
    }
    for _ in 0..3 {
        let under_way = a.transfer().unwrap();
        assert!(under_way.has_queued_ports());
        a = under_way.receive();
        a.start();
        assert!(a.try_recv().is_ok());
    }
    assert!(!a.transfer().unwrap().has_queued_ports());
}

#[test]
fn two_threads_that_close_one_circle_together_leave_nothing() {
    let barrier = Barrier::new(2);
    for _ in 0..2_000 {
        let (a, mut a_out) = channel();
        let (b, mut b_out) = channel();
        let pairs = [pair_of(&a), pair_of(&b)];
        let (first, second) = thread::scope(|scope| {
            let first = scope.spawn(|| {
                barrier.wait();
                post(&b_out, a)
            });
            barrier.wait();
            (post(&a_out, b), first.join().unwrap())
        });
        assert!(matches!(
            (first, second),
            (Posted::Queued, Posted::Doomed) | (Posted::Doomed, Posted::Queued)
        ));
        assert!(matches!(a_out.try_recv(), Ok(Event::Close)));
        assert!(matches!(b_out.try_recv(), Ok(Event::Close)));
        drop((a_out, b_out));
        assert!(!pairs.iter().any(is_live));
    }
}

/// A port travels only into queues of higher rank, so no circle can close, and whoever says that
/// one did has followed edges of different moments.
#[test]
fn ports_that_four_threads_nest_and_unpack_are_never_taken_for_a_circle() {
    const THREADS: usize = 4;
    const RANKS: usize = 48;
    let mut writers: Vec<Vec<(usize, MessagePort)>> = (0..THREADS).map(|_| Vec::new()).collect();
    let mut loose = Vec::new();
    let mut pairs = Vec::new();
    for rank in 0..RANKS {
        let (port, writer) = channel();
        pairs.push(pair_of(&port));
        loose.push((rank, port));
        writers[rank % THREADS].push((rank, writer));
    }
    let loose = Mutex::new(loose);
    thread::scope(|scope| {
        for (number, writers) in writers.iter().enumerate() {
            let loose = &loose;
            scope.spawn(move || {
                let mut random = Random(u64::try_from(number).unwrap());
                for _ in 0..20_000 {
                    let taken = {
                        let mut loose = lock(loose);
                        if loose.is_empty() {
                            continue;
                        }
                        let nth = random.below(loose.len());
                        loose.swap_remove(nth)
                    };
                    let (to, writer) = &writers[random.below(writers.len())];
                    if random.below(2) == 0 && taken.0 < *to {
                        let (rank, port) = taken;
                        let message = Message::new(rank.to_be_bytes().to_vec())
                            .with_port(port.transfer().unwrap());
                        assert_eq!(writer.post_message(message), Posted::Queued);
                    } else {
                        let mut unpacked = unpack(taken, 1);
                        lock(loose).append(&mut unpacked);
                    }
                }
            });
        }
    });
    let mut found = BTreeSet::new();
    let mut loose = loose.into_inner().unwrap();
    let mut done = Vec::new();
    while let Some(port) = loose.pop() {
        let mut unpacked = unpack(port, usize::MAX);
        let (rank, port) = unpacked.remove(0);
        assert!(found.insert(rank));
        done.push(port);
        loose.append(&mut unpacked);
    }
    assert_eq!(found.len(), RANKS);
    drop((done, writers));
    assert!(!pairs.iter().any(is_live));
}

/// The port, and the ports of up to `limit` messages out of its queue.
fn unpack((rank, mut port): (usize, MessagePort), limit: usize) -> Vec<(usize, MessagePort)> {
    let mut unpacked = Vec::new();
    port.start();
    while unpacked.len() < limit {
        let Ok(Event::Message(message)) = port.try_recv() else {
            break;
        };
        let inner = usize::from_be_bytes(message.payload[..].try_into().unwrap());
        unpacked.extend(
            message
                .ports
                .into_iter()
                .map(|port| (inner, port.receive())),
        );
    }
    unpacked.insert(0, (rank, port));
    unpacked
}

const DEPTH: usize = 100_000;

/// Runs `test` on a thread whose stack a recursion of that depth would overflow.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let builder = thread::Builder::new().stack_size(128 * 1024);
    builder.spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_hundred_thousand_ports_inside_each_other_are_dropped_on_a_small_stack() {
    on_a_small_stack(|| {
        let (mut outermost, mut writer) = channel();
        let mut pairs = vec![pair_of(&outermost)];
        for _ in 0..DEPTH {
            let (next, next_writer) = channel();
            pairs.push(pair_of(&next));
            assert_eq!(post(&next_writer, outermost), Posted::Queued);
            // The inner writers travel too, or the closes would have nobody to go to.
            let inner = std::mem::replace(&mut writer, next_writer);
            assert_eq!(post(&writer, inner), Posted::Queued);
            outermost = next;
        }
        drop(outermost);
        assert!(!pairs[..DEPTH].iter().any(is_live));
        assert!(matches!(writer.try_recv(), Ok(Event::Close)));
    });
}

#[test]
fn a_chain_that_is_nested_from_the_outside_in_is_built_in_linear_time() {
    on_a_small_stack(|| {
        let (outermost, mut writer) = channel();
        let mut pairs = Vec::new();
        for _ in 0..DEPTH {
            let (next, next_writer) = channel();
            pairs.push(pair_of(&next));
            assert_eq!(post(&writer, next), Posted::Queued);
            writer = next_writer;
        }
        drop(outermost);
        assert!(!pairs[..DEPTH - 1].iter().any(is_live));
    });
}

#[test]
fn ports_in_attachments_are_dropped_on_a_small_stack_too() {
    on_a_small_stack(|| {
        let (mut outermost, mut writer) = channel();
        let first = pair_of(&outermost);
        for _ in 0..DEPTH {
            let (next, next_writer) = channel();
            let inner = (outermost, writer);
            next_writer.post_message(Message::default().with_attachment(inner));
            (outermost, writer) = (next, next_writer);
        }
        drop(outermost);
        drop(writer);
        assert!(!is_live(&first));
    });
}

#[test]
fn a_destructor_that_panics_leaves_no_port_behind() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("from a destructor of the caller");
        }
    }
    let (a, a_out) = channel();
    let (b, mut b_out) = channel();
    a_out.post_message(Message::default().with_attachment(Bomb));
    assert_eq!(post(&a_out, b), Posted::Queued);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(a)));
    assert!(dropped.is_err());
    assert!(matches!(b_out.try_recv(), Ok(Event::Close)));
    // And the next destruction on this thread works as ever.
    let (c, mut c_out) = channel();
    drop(c);
    assert!(matches!(c_out.try_recv(), Ok(Event::Close)));
}

#[test]
fn a_port_that_a_destructor_drops_is_closed_before_the_destructor_goes_on() {
    // As one does that ends a thread: it drops the port, and waits for the thread to go.
    struct Worker(Option<MessagePort>, MessagePort, Arc<AtomicBool>);
    impl Drop for Worker {
        fn drop(&mut self) {
            drop(self.0.take());
            let heard = matches!(self.1.try_recv(), Ok(Event::Close));
            self.2.store(heard, Ordering::SeqCst);
        }
    }
    let (near, far) = channel();
    let heard = Arc::new(AtomicBool::new(false));
    let worker = Worker(Some(near), far, Arc::clone(&heard));
    let (a, b) = channel();
    a.post_message(Message::default().with_attachment(worker));
    drop(b);
    assert!(heard.load(Ordering::SeqCst));
}
