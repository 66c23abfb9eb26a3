//! Joining two pipes whose stub has proposed a `Fold`: both of its channels lead here.
//!
//! Both markers are sent at once and come back by the other channel. While they are under way the
//! pipe whose marker has come already reads through to the other one, so that a direction that
//! has to wait for credit does not hold up the other direction.

use std::mem;

use tracing::trace;

use super::pipe::{Address, Flow, Fold, Item, Pipe, PipeId, Place, Side};
use super::{LinkError, Node, Work};

/// The most folds of pipes in a row that are half done: so many pipes are read through, and an end
/// that passes them all needs no deeper stack.
pub(super) const MAX_FOLDS: usize = 64;

impl Node {
    /// The stub's both channels lead here.
    pub(super) fn fold(&mut self, one: (PipeId, usize, Address), two: (PipeId, usize, Address)) {
        for ((id, side, at), with) in [(one, (two.0, two.1)), (two, (one.0, one.1))] {
            if let Some(link) = self.links.get_mut(&at.link) {
                link.send_switched(at.channel);
            }
            if let Some(pipe) = self.pipes.get_mut(&id) {
                pipe.sides[side] = Side::Fold(Box::new(Fold {
                    input: at,
                    with,
                    marked: false,
                }));
            }
        }
    }

    /// Joins two pipes once both markers have come: of each, what is not the folded side.
    pub(super) fn join(
        &mut self,
        one: (PipeId, usize),
        two: (PipeId, usize),
    ) -> Result<(), LinkError> {
        let input = |at: &(PipeId, usize)| match &self.pipes.get(&at.0)?.sides[at.1] {
            Side::Fold(fold) if fold.marked => Some(fold.input),
            _ => None,
        };
        let (Some(first), Some(second)) = (input(&one), input(&two)) else {
            return Ok(());
        };
        if !self.follow(one, two) {
            // The peer has joined what does not belong together. Those beyond the kept sides count
            // on what they have sent and got, so their ports end in order before the link does.
            self.end_from(one.0, one.1, true);
            return Err(LinkError::UnexpectedFrame);
        }
        trace!("two pipes are joined");
        self.orphan(first);
        self.orphan(second);
        let (Some(mut p), Some(mut q)) = (self.remove_pipe(one.0), self.remove_pipe(two.0)) else {
            return Ok(());
        };
        let (keep_p, keep_q) = (1 - one.1, 1 - two.1);
        let id = self.next_pipe;
        self.next_pipe += 1;
        let flow = |from: &mut Pipe, enter: usize, to: &mut Pipe, leave: usize| {
            let (mut older, newer) = (
                mem::take(&mut to.flows[leave]),
                mem::take(&mut from.flows[enter]),
            );
            older.queue.extend(newer.queue.into_iter());
            older.entered = newer.entered;
            older.stopped |= newer.stopped;
            older
        };
        let there = flow(&mut p, keep_p, &mut q, two.1);
        let back = flow(&mut q, keep_q, &mut p, one.1);
        let mut joined = Pipe::new([
            mem::replace(&mut p.sides[keep_p], Side::Gone),
            mem::replace(&mut q.sides[keep_q], Side::Gone),
        ]);
        joined.epochs = [p.epochs[keep_p], q.epochs[keep_q]];
        joined.quiet = [p.quiet[keep_p], q.quiet[keep_q]];
        joined.flows = [there, back];
        for (side, (from, kept)) in [(p.splicing, keep_p), (q.splicing, keep_q)]
            .into_iter()
            .enumerate()
        {
            if let Some(from) = from {
                let splicing = joined.splicing();
                splicing.consented[side] = from.consented[kept];
                splicing.waiting[side] = from.waiting[kept];
                splicing.marked[side] = from.marked[kept];
                splicing.asked |= from.asked;
            }
        }
        let dropped: Vec<Item> = joined
            .flows
            .iter_mut()
            .flat_map(|flow| match flow {
                flow if flow.done => mem::take(&mut flow.queue).into_iter().collect(),
                flow if flow.stopped => flow.stop(),
                _ => Vec::new(),
            })
            .collect();
        self.pipes.insert(id, joined);
        for item in dropped {
            self.discard(item);
        }
        self.rename((one.0, keep_p), (id, 0));
        self.rename((two.0, keep_q), (id, 1));
        self.remove_if_done(id);
        self.work.push_back(Work::Advance(id, 0));
        self.work.push_back(Work::Advance(id, 1));
        self.work.push_back(Work::TellStop(id, 0));
        self.work.push_back(Work::TellStop(id, 1));
        self.work.push_back(Work::Consider(id));
        Ok(())
    }

    /// Whether the events of two pipes that are to be joined follow on one another both ways, and
    /// the two are not one.
    fn follow(&self, one: (PipeId, usize), two: (PipeId, usize)) -> bool {
        let (Some(p), Some(q)) = (self.pipes.get(&one.0), self.pipes.get(&two.0)) else {
            return false;
        };
        let (p, q) = (
            [&p.flows[1 - one.1], &p.flows[one.1]],
            [&q.flows[two.1], &q.flows[1 - two.1]],
        );
        // What nobody receives is not counted.
        let void = |flow: &Flow| flow.done || flow.stopped;
        let agree =
            |newer: &Flow, older: &Flow| void(newer) || void(older) || newer.left == older.entered;
        one.0 != two.0 && agree(p[0], q[0]) && agree(q[1], p[1])
    }

    /// All that refers to a side learns its new name.
    fn rename(&mut self, from: (PipeId, usize), to: (PipeId, usize)) {
        let Some(pipe) = self.pipes.get_mut(&to.0) else {
            return;
        };
        let awaited = pipe.awaited(to.1);
        let mut channels = Vec::new();
        match &pipe.sides[to.1] {
            // What it has called with its old label since is looked at by the caller.
            Side::Local(local) => local.port.end().relabel(Place::new(to).number()),
            Side::Cargo(number) => {
                if let Some(cargo) = self.cargo.get_mut(number) {
                    cargo.place = to;
                }
            }
            Side::Fold(fold) => {
                channels.push(fold.input);
                let with = fold.with;
                // The partner may be the other side of what was just joined.
                let places = [with, (to.0, 1 - to.1)];
                for place in places {
                    if let Some(Side::Fold(fold)) = self
                        .pipes
                        .get_mut(&place.0)
                        .map(|pipe| &mut pipe.sides[place.1])
                    {
                        if fold.with == from {
                            trace!("a half done fold is joined at its other end");
                            fold.with = to;
                        }
                    }
                }
            }
            side => channels.extend(side.channels().into_iter().flatten()),
        }
        for at in channels {
            let wire = self
                .links
                .get_mut(&at.link)
                .and_then(|link| link.wires.get_mut(&at.channel));
            if let Some(wire) = wire {
                wire.owner = Some(Place::new(to));
            }
        }
        if let Some((key, ticket)) = awaited {
            if let Some(place) = self.tickets.get_mut(&(key, ticket)) {
                *place = to;
            }
        }
    }

    /// With how many pipes in a row a pipe will be joined beyond a side of it.
    ///
    /// # Errors
    /// If `end` is among them: no route is a ring.
    pub(super) fn folds_beyond(
        &self,
        start: (PipeId, usize),
        end: PipeId,
    ) -> Result<usize, LinkError> {
        let mut at = start;
        // No row is longer than that, since each that would be waits. A lying peer cannot make
        // one either: only this function's caller makes folds.
        for folds in 0..=MAX_FOLDS {
            if at.0 == end {
                return Err(LinkError::UnexpectedFrame);
            }
            match self.pipes.get(&at.0).map(|pipe| &pipe.sides[at.1]) {
                Some(Side::Fold(fold)) => at = (fold.with.0, 1 - fold.with.1),
                _ => return Ok(folds),
            }
        }
        Ok(MAX_FOLDS)
    }
}
