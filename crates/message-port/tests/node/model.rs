//! The reference model: what each end may observe, whatever moves and breaks.

use std::collections::{BTreeMap, BTreeSet};

/// One end of a pair, by number: ends `2n` and `2n + 1` are partners.
pub(crate) type End = usize;

#[derive(Debug)]
pub(crate) enum Place {
    /// In the hands of a process.
    Held(usize),
    /// In a message that was posted to this end, and not received yet.
    Queued(End),
    /// Closed by its holder, or dropped with him.
    Closed,
}

#[derive(Debug)]
pub(crate) struct EndModel {
    pub(crate) place: Place,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) heard_close: bool,
    /// Its holder has disentangled it, and goes on with what is in its queue.
    pub(crate) disentangled: bool,
    /// The processes that its route may lead through.
    pub(crate) visited: BTreeSet<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) ends: Vec<EndModel>,
    /// Pairs that a fault may have hit: what is under way may be lost, a suffix at a time.
    pub(crate) tainted: BTreeSet<usize>,
    /// A process that lies: whatever its routes bring is worth nothing.
    pub(crate) liar: Option<usize>,
    /// What was posted with ports: (target, sequence) to the ends.
    pub(crate) cargo: BTreeMap<(End, u64), Vec<End>>,
}

impl Model {
    pub(crate) fn pair(&mut self, first: usize, second: usize) -> [End; 2] {
        let end = self.ends.len();
        for process in [first, second] {
            self.ends.push(EndModel {
                place: Place::Held(process),
                sent: 0,
                received: 0,
                heard_close: false,
                disentangled: false,
                visited: [first, second].into(),
            });
        }
        [end, end + 1]
    }

    pub(crate) fn partner(end: End) -> End {
        end ^ 1
    }

    /// The number of the message that `end` posts now, carrying `ports`.
    pub(crate) fn post(&mut self, end: End, ports: &[End]) -> u64 {
        let sequence = self.ends[end].sent;
        self.ends[end].sent += 1;
        let target = Self::partner(end);
        for port in ports {
            self.ends[*port].place = Place::Queued(target);
        }
        if !ports.is_empty() {
            self.cargo.insert((target, sequence), ports.to_vec());
        }
        sequence
    }

    /// `end` has received what claims to be message `sequence` of `from`.
    pub(crate) fn receive(
        &mut self,
        process: usize,
        end: End,
        from: End,
        sequence: u64,
    ) -> Result<Vec<End>, String> {
        let own = &mut self.ends[end];
        if from != Self::partner(end) {
            return Err(format!("end {end} got a message of end {from}"));
        }
        if own.heard_close {
            return Err(format!("end {end} got a message after its close"));
        }
        if own.received != sequence {
            return Err(format!(
                "end {end} got message {sequence} where {} was due",
                own.received
            ));
        }
        own.received += 1;
        let ports = self.cargo.remove(&(end, sequence)).unwrap_or_default();
        let route = self.route(end);
        for port in &ports {
            self.ends[*port].place = Place::Held(process);
            for end in [*port, Self::partner(*port)] {
                self.ends[end].visited.extend(route.iter().copied());
                self.ends[end].visited.insert(process);
            }
        }
        Ok(ports)
    }

    pub(crate) fn hear_close(&mut self, end: End) -> Result<(), String> {
        let partner = Self::partner(end);
        if self.ends[end].heard_close {
            return Err(format!("end {end} heard its close twice"));
        }
        if self.ends[end].disentangled {
            return Err(format!("end {end} heard a close that it has begun itself"));
        }
        self.ends[end].heard_close = true;
        if self.tainted.contains(&(end / 2)) {
            return Ok(());
        }
        let (received, sent) = (self.ends[end].received, self.ends[partner].sent);
        if received != sent {
            return Err(format!(
                "end {end} heard its close after {received} of {sent} messages"
            ));
        }
        if !self.is_lost(partner, &mut BTreeSet::new()) {
            return Err(format!("end {end} heard a close, but end {partner} lives"));
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, end: End) {
        self.ends[end].place = Place::Closed;
    }

    /// All that the routes of an end may lead through, those of the ports that carry it included.
    pub(crate) fn route(&self, end: End) -> BTreeSet<usize> {
        let mut route = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut todo = vec![end, Self::partner(end)];
        while let Some(end) = todo.pop() {
            if seen.insert(end) {
                route.extend(self.ends[end].visited.iter().copied());
                if let Place::Queued(at) = self.ends[end].place {
                    todo.extend([at, Self::partner(at)]);
                }
            }
        }
        route
    }

    /// Whether a liar may have a hand in what this end gets.
    pub(crate) fn is_lied_to(&self, end: End) -> bool {
        self.liar
            .is_some_and(|liar| self.route(end).contains(&liar))
    }

    /// A link between these processes is lost, or (if both are the same) a process.
    pub(crate) fn fault(&mut self, a: usize, b: usize) {
        for pair in 0..self.ends.len() / 2 {
            let route = self.route(2 * pair);
            if route.contains(&a) && route.contains(&b) {
                self.tainted.insert(pair);
            }
        }
        if a == b {
            for end in &mut self.ends {
                if matches!(end.place, Place::Held(at) if at == a) {
                    end.place = Place::Closed;
                }
            }
        }
    }

    /// The process in whose hands an end is, or somebody's queue there; none if nobody can get it.
    pub(crate) fn holder(&self, end: End) -> Option<usize> {
        let mut seen = BTreeSet::new();
        let mut at = end;
        while seen.insert(at) {
            match self.ends[at].place {
                Place::Held(process) => return Some(process),
                Place::Queued(next) => at = next,
                Place::Closed => return None,
            }
        }
        None
    }

    /// Nothing moves, and all routes are direct: they lead through those only who have the ends.
    pub(crate) fn routes_are_direct(&mut self) {
        for pair in 0..self.ends.len() / 2 {
            let ends = [2 * pair, 2 * pair + 1];
            if let [Some(a), Some(b)] = ends.map(|end| self.holder(end)) {
                for end in ends {
                    self.ends[end].visited = [a, b].into();
                }
            }
        }
    }

    /// How many routes may have an end in a process.
    pub(crate) fn routes_at(&self, process: usize) -> usize {
        let is_there = |pair: &usize| {
            let ends = [2 * pair, 2 * pair + 1];
            let at = ends.map(|end| self.holder(end));
            let cut = ends.iter().any(|end| self.ends[*end].disentangled);
            at.contains(&Some(process)) && !at.contains(&None) && !cut
        };
        (0..self.ends.len() / 2).filter(is_there).count()
    }

    /// Whether nobody will ever post to this end's partner again: disentangled, closed, or in a queue that nobody will read.
    pub(crate) fn is_lost(&self, end: End, seen: &mut BTreeSet<End>) -> bool {
        if self.ends[end].disentangled {
            return true;
        }
        match self.ends[end].place {
            Place::Held(_) => false,
            Place::Closed => true,
            // In a circle of queues, nobody; in a queue that a fault has cut, perhaps.
            Place::Queued(at) => {
                !seen.insert(end)
                    || self.is_lost(at, seen)
                    || self.ends[at].heard_close
                    || self.tainted.contains(&(at / 2))
            }
        }
    }

    /// Whether `end` is `outer`, or travels in its queue or in a queue of a port there.
    pub(crate) fn leads_into(&self, end: End, outer: End) -> bool {
        let mut seen = BTreeSet::new();
        let mut at = end;
        while seen.insert(at) {
            if at == outer {
                return true;
            }
            match self.ends[at].place {
                Place::Queued(next) => at = next,
                _ => return false,
            }
        }
        false
    }

    /// Whether an end travels in a circle of queues.
    pub(crate) fn in_circle(&self, end: End) -> bool {
        let mut seen = BTreeSet::new();
        let mut at = end;
        while let Place::Queued(next) = self.ends[at].place {
            if !seen.insert(at) {
                return true;
            }
            at = next;
        }
        false
    }
}
