//! Random graphs of ports in queues of ports, beside a model that marks what can be reached.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Weak;
use std::thread;

use super::{Random, channel, is_live, pair_of};
use crate::pair::Pair;
use crate::{EntangleError, Event, Message, MessagePort, Posted, TryRecvError};

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
