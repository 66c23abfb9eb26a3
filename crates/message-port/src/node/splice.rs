//! Taking stubs out of routes.
//!
//! A stub M is between channel 1, to L, and channel 2, to R. (The head of `node.rs` has a picture.)
//!
//! **L is R**: M proposes a `Fold` to it. L sends its markers on both channels, M passes each on by
//! the other channel, and L joins what is left when both have come back.
//!
//! **L and R have a direct link**, by an introduction of M:
//!
//! 1. M says `Propose(Open)` to L and `Propose(Await)` to R, with a fresh ticket. Both `Consent`, or
//!    `Abort` if they have no such link any more. Until M has both consents it may `Withdraw`.
//! 2. M says `Commit` to L. L opens a channel on the direct link with `Attach` and the ticket, sends
//!    its marker on channel 1, and from now on sends by the new channel.
//! 3. R sees the channel attached, sends its marker on channel 2, and from now on sends by the new
//!    channel.
//! 4. M passes each marker on, behind what came before it. L and R read by the new channel once the
//!    marker has come by the old one; M is gone once both have passed.
//!
//! R may get the marker before the `Attach`, as they come by different links: `marked` then.
//!
//! # Who goes first
//!
//! A stub that has consented to a neighbour does not propose until that is over. If the proposals of
//! two neighbouring stubs cross, the one that has allotted the channel between them goes first: its
//! neighbour withdraws when it reads that proposal, and until then what it has proposed counts for
//! nothing. Both can tell, since each proposal comes with how many of the other side were read
//! before (`Heard`). It makes no difference that the first one may have been taken back since: were
//! the other one answered then, its stub would have withdrawn it. So along any chain somebody can go
//! on, and nobody waits in a circle. A proposal that cannot be answered yet waits, and is answered
//! when it can be: when the side's last switch is done, or the folds beyond are joined.

use std::mem;

use tracing::trace;

use super::join::MAX_FOLDS;
use super::link::{Last, Link, Wire};
use super::pipe::{Address, Item, Own, PipeId, Side, Splicing, Switching};
use super::wire::{Frame, Proposal};
use super::{LinkError, LinkId, Node, Token, Work};

impl Node {
    /// Answers what waits for an answer; then, if this is a stub, asks its neighbours.
    pub(super) fn consider(&mut self, id: PipeId) {
        for side in 0..2 {
            let Some(pipe) = self.pipes.get_mut(&id) else {
                return;
            };
            let waiting = pipe
                .splicing
                .as_mut()
                .and_then(|splicing| splicing.waiting[side].take());
            let (Some(proposal), Some(at)) = (waiting, pipe.sides[side].output()) else {
                continue;
            };
            let second = proposal.second(at);
            if let Some(waiting) = second.and_then(|other| self.waiting(other)) {
                *waiting = None;
            }
            if let Err(error) = self.answer(at, proposal) {
                self.work.push_back(Work::Fail(at.link, error));
            }
        }
        self.propose(id);
    }

    fn propose(&mut self, id: PipeId) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let engaged = pipe.splicing.as_ref().is_some_and(|splicing| {
            splicing.own.is_some()
                || splicing.consented.iter().any(Option::is_some)
                || splicing.waiting.iter().any(Option::is_some)
        });
        let (Some(a), Some(b)) = (pipe.steady(0), pipe.steady(1)) else {
            return;
        };
        let ending = |flow: &super::pipe::Flow| {
            flow.done || matches!(flow.queue.back(), Some(Item::End { .. } | Item::Switched))
        };
        if engaged || pipe.flows.iter().any(ending) {
            return;
        }
        // One neighbour may make this stub take back what it has asked, again and again. What the
        // other is told meanwhile must not pile up, so it is asked when it has read.
        for at in [a, b] {
            if let Some(link) = self.links.get_mut(&at.link) {
                if !link.out.has_room(self.limits.link_buffer) {
                    link.asked_later.insert(id);
                    return;
                }
            }
        }
        let ticket = self.next_ticket;
        let mut own = Own {
            fold: a.link == b.link,
            introduction: 0,
            ticket,
            consents: [false; 2],
            committed: false,
        };
        let proposals = if own.fold {
            vec![(a, Proposal::Fold { other: b.channel })]
        } else {
            let Some(introduction) = self.introduction(a.link, b.link, id) else {
                return;
            };
            own.introduction = introduction;
            let open = Proposal::Open {
                introduction,
                ticket,
            };
            let wait = Proposal::Await {
                introduction,
                ticket,
            };
            vec![(a, open), (b, wait)]
        };
        self.next_ticket += 1;
        trace!(fold = own.fold, "a stub asks to be left out");
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.splicing().own = Some(own);
            pipe.splicing().asked = true;
        }
        for at in [a, b] {
            let link = self.links.get_mut(&at.link);
            let wire = link.and_then(|link| link.wires.get_mut(&at.channel));
            if let Some(heard) = wire.and_then(Wire::propose) {
                self.send(at.link, &Frame::Heard(at.channel, heard));
            }
        }
        for (at, proposal) in proposals {
            self.send(at.link, &Frame::Propose(at.channel, proposal));
        }
    }

    /// A neighbouring stub asks to be left out.
    pub(super) fn proposed(&mut self, at: Address, proposal: Proposal) -> Result<(), LinkError> {
        let mut void = false;
        for at in [Some(at), proposal.second(at)].into_iter().flatten() {
            let Some(link) = self.links.get_mut(&at.link) else {
                return Ok(());
            };
            let first = link.is_mine(at.channel);
            let wire = link.wires.get_mut(&at.channel);
            let wire = wire.ok_or(LinkError::UnknownPort(at.channel))?;
            let crossed = wire.has_crossed();
            void |= crossed && first;
            let user = self.user_of(at).filter(|_| !first);
            if let Some((id, _)) = user {
                self.withdraw_own(id, None);
            }
        }
        if void {
            // It will be withdrawn, even if what it has crossed with was taken back since.
            trace!("a proposal has crossed with one that goes first");
            return Ok(());
        }
        self.answer(at, proposal)
    }

    /// Agrees to a proposal, or refuses, or puts it off.
    fn answer(&mut self, at: Address, proposal: Proposal) -> Result<(), LinkError> {
        let Some((id, side)) = self.user_of(at) else {
            return Ok(()); // The port has ended here; the stub will hear of it.
        };
        let second = match proposal.second(at) {
            Some(other) => match self.user_of(other) {
                Some(second) => Some((other, second)),
                None => return Ok(()),
            },
            None => None,
        };
        // Look before anything is changed: what is not free makes the proposal wait there.
        if !self.is_free(at, id, side)? {
            self.wait(at, proposal);
            return Ok(());
        }
        if let Some((other, (other_id, other_side))) = second {
            if !self.is_free(other, other_id, other_side)? {
                self.wait(at, proposal);
                return Ok(());
            }
            let beyond = self.folds_beyond((id, 1 - side), other_id)?;
            if beyond + self.folds_beyond((other_id, 1 - other_side), id)? >= MAX_FOLDS {
                // One of the two is about to be joined with another pipe: then it is looked at
                // again. (Where a port was passed to and fro with a full queue, the markers of its
                // splices wait for credit behind what is queued, so many folds stay half done.)
                trace!("a fold waits: too many are half done");
                self.wait(at, proposal);
                return Ok(());
            }
            self.fold((id, side, at), (other_id, other_side, other));
            return Ok(());
        }
        self.consent(at, id, side, proposal);
        Ok(())
    }

    /// The pipe whose side sends on this channel.
    fn user_of(&self, at: Address) -> Option<(PipeId, usize)> {
        let wire = self.links.get(&at.link)?.wires.get(&at.channel)?;
        let (id, side) = wire.owner()?;
        let uses = self.pipes.get(&id)?.sides[side].output() == Some(at);
        (uses && wire.last == Last::No).then_some((id, side))
    }

    /// Whether a side can agree to a proposal of the stub beyond it now.
    fn is_free(&self, at: Address, id: PipeId, side: usize) -> Result<bool, LinkError> {
        let Some(pipe) = self.pipes.get(&id) else {
            return Ok(false);
        };
        // A neighbour makes one proposal at a time, and none while it has one of this stub before it.
        let engaged = |splicing: &Splicing| {
            splicing.consented[side].is_some()
                || splicing.waiting[side].is_some()
                || splicing.own.is_some()
        };
        if pipe.splicing.as_deref().is_some_and(engaged) {
            return Err(LinkError::UnexpectedFrame);
        }
        let steady = pipe.steady(side) == Some(at);
        if !steady {
            trace!("a proposal waits until a switch is done");
        }
        Ok(steady)
    }

    /// Puts a proposal off, at both sides that a fold is about: while it waits, neither asks.
    fn wait(&mut self, at: Address, proposal: Proposal) {
        let back = Proposal::Fold { other: at.channel };
        let second = proposal.second(at).map(|other| (other, back));
        for (at, proposal) in [Some((at, proposal)), second].into_iter().flatten() {
            if let Some(waiting) = self.waiting(at) {
                *waiting = Some(proposal);
            }
        }
    }

    fn waiting(&mut self, at: Address) -> Option<&mut Option<Proposal>> {
        let (id, side) = self.user_of(at)?;
        Some(&mut self.pipes.get_mut(&id)?.splicing().waiting[side])
    }

    fn consent(&mut self, at: Address, id: PipeId, side: usize, proposal: Proposal) {
        let (Proposal::Open {
            introduction,
            ticket,
        }
        | Proposal::Await {
            introduction,
            ticket,
        }) = proposal
        else {
            return;
        };
        if self.direct_link((at.link, introduction)).is_none() {
            trace!("a proposal is refused: there is no such link");
            self.send(at.link, &Frame::Abort(at.channel, ticket));
            self.work.push_back(Work::Consider(id));
            return;
        }
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.splicing().consented[side] = Some(proposal);
        }
        if matches!(proposal, Proposal::Await { .. }) {
            let key = ((at.link, introduction), ticket);
            self.tickets.insert(key, (id, side));
        }
        self.send(at.link, &Frame::Consent(at.channel, ticket));
    }

    /// A neighbour agrees.
    pub(super) fn consented(&mut self, at: Address, ticket: u64) {
        let Some((id, side)) = self.user_of(at) else {
            return;
        };
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let opener = pipe.sides[0].output();
        let Some(own) = pipe.splicing().own.as_mut() else {
            return;
        };
        if own.fold || own.ticket != ticket || own.committed {
            trace!("a consent comes too late");
            return;
        }
        own.consents[side] = true;
        if own.consents == [true; 2] {
            own.committed = true;
            if let Some(opener) = opener {
                self.send(opener.link, &Frame::Commit(opener.channel, ticket));
            }
        }
    }

    /// Both neighbours of the stub agree: this one opens the new channel.
    pub(super) fn committed(&mut self, at: Address, ticket: u64) -> Result<(), LinkError> {
        let Some((id, side)) = self.user_of(at) else {
            return Ok(());
        };
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Ok(());
        };
        let introduction = match pipe.splicing().consented[side] {
            Some(Proposal::Open {
                introduction,
                ticket: agreed,
            }) if agreed == ticket => introduction,
            _ => return Err(LinkError::UnexpectedFrame),
        };
        pipe.splicing().consented[side] = None;
        let direct = self.direct_link((at.link, introduction));
        let may = |link: &LinkId| self.links.get(link).is_some_and(Link::may_attach);
        let direct = direct.filter(may);
        let opened = direct.and_then(|link| self.open_channel(link, (id, side), None));
        let Some(new) = opened else {
            trace!("a splice is given up: the link is gone or full");
            self.send(at.link, &Frame::Abort(at.channel, ticket));
            self.work.push_back(Work::Consider(id));
            return Ok(());
        };
        if let Some(token) = self.own_token((at.link, introduction)) {
            self.send(new.link, &Frame::Attach(new.channel, ticket, token));
        }
        self.switch(id, side, at, new);
        Ok(())
    }

    /// The new channel for a ticket that was issued to this node.
    pub(super) fn attached(
        &mut self,
        at: Address,
        ticket: u64,
        token: Token,
    ) -> Result<(), LinkError> {
        self.check_allotted(at.link, at.channel)?;
        let window = self.limits.window();
        // A token that is not (or no more) known here, or not for this link, opens nothing.
        let introduction = self.introduction_for(at.link, token);
        let place = introduction.and_then(|key| self.tickets.remove(&(key, ticket)));
        let Some(link) = self.links.get_mut(&at.link) else {
            return Ok(());
        };
        let mut wire = Wire::new(place.unwrap_or((0, 0)), &link.peer, window, None);
        let Some((id, side)) = place else {
            // The port has ended here, or the stub's link was lost.
            trace!("a channel is attached that nobody awaits");
            wire.owner = None;
            link.wires.insert(at.channel, wire);
            link.send_end(at.channel, true);
            return Ok(());
        };
        link.wires.insert(at.channel, wire);
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Ok(());
        };
        let splicing = pipe.splicing();
        splicing.consented[side] = None;
        let marked = mem::take(&mut splicing.marked[side]);
        if let Some(old) = pipe.sides[side].output() {
            trace!(marked, "a channel is attached");
            self.switch(id, side, old, at);
            if marked {
                self.switch_input(id, side);
            }
        }
        Ok(())
    }

    /// From now on a side sends on the new channel; it reads the old one up to the marker.
    fn switch(&mut self, id: PipeId, side: usize, old: Address, new: Address) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.sides[side] = Side::Switching(Box::new(Switching {
                input: old,
                output: new,
            }));
        }
        if let Some(link) = self.links.get_mut(&old.link) {
            link.send_switched(old.channel);
        }
        self.work.push_back(Work::Advance(id, 1 - side));
    }

    /// The marker on the old channel: go on with what came by the new one.
    fn switch_input(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let Side::Switching(switching) = &pipe.sides[side] else {
            return;
        };
        let (old, new) = (switching.input, switching.output);
        pipe.sides[side] = Side::Wire(new);
        self.orphan(old);
        self.work.push_back(Work::Consider(id));
        let wire = self
            .links
            .get_mut(&new.link)
            .and_then(|link| link.wires.get_mut(&new.channel));
        let held = wire.map(Wire::take_held).unwrap_or_default();
        trace!(held = !held.is_empty(), "a side reads by its new channel");
        for arrival in held {
            self.take_in(id, side, arrival);
        }
    }

    /// The marker of a splice: the last frame that comes by a channel.
    pub(super) fn switched(&mut self, at: Address) -> Result<(), LinkError> {
        let wire = self
            .links
            .get_mut(&at.link)
            .and_then(|link| link.wires.get_mut(&at.channel));
        let Some(wire) = wire else {
            return Err(LinkError::UnknownPort(at.channel));
        };
        wire.got_last = true;
        let owner = wire.owner();
        if let Some(link) = self.links.get_mut(&at.link) {
            link.reap(at.channel);
        }
        let Some((id, side)) = owner else {
            return Ok(());
        };
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Err(LinkError::UnexpectedFrame);
        };
        if pipe.sides[side].channels()[0] != Some(at) {
            return Err(LinkError::UnexpectedFrame);
        }
        match &mut pipe.sides[side] {
            Side::Fold(fold) => {
                fold.marked = true;
                let with = fold.with;
                self.work.push_back(Work::Advance(id, side));
                return self.join((id, side), with);
            }
            Side::Switching(_) => {
                self.switch_input(id, side);
                return Ok(());
            }
            Side::Wire(_) | Side::Local(_) | Side::Cargo(_) | Side::Gone => {}
        }
        let splicing = pipe.splicing();
        if let Some(own) = &mut splicing.own {
            if own.committed || own.fold {
                own.committed = true;
                self.enter(id, side, Item::Switched);
                return Ok(());
            }
        }
        if let Some(Proposal::Await { introduction, .. }) = splicing.consented[side] {
            splicing.marked[side] = true;
            trace!("a marker comes before its channel");
            if self.direct_link((at.link, introduction)).is_none() {
                // The new channel was lost before it came.
                trace!("a marker comes for a link that is lost");
                self.end_from(id, side, true);
            }
            return Ok(());
        }
        if splicing.asked {
            // This side sees a new channel attached although both were not told to commit. Either
            // it lies, or the neighbour that knows the ticket has not waited: only what both have
            // in common is ended, their route.
            tracing::debug!("a port is cut: a splice that was not agreed upon");
            self.end_from(id, side, true);
            return Ok(());
        }
        Err(LinkError::UnexpectedFrame)
    }

    /// A stub takes its proposal back.
    pub(super) fn withdrawn(&mut self, at: Address) {
        if let Some((id, side)) = self.user_of(at) {
            self.forget_consent(id, side);
            self.work.push_back(Work::Consider(id));
        }
    }

    /// A neighbour cannot take part: there is no direct link any more.
    pub(super) fn aborted(&mut self, at: Address, ticket: u64) {
        let Some((id, side)) = self.user_of(at) else {
            return;
        };
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let Some(own) = pipe.splicing().own else {
            return;
        };
        if own.fold || own.ticket != ticket {
            trace!("a refusal comes too late");
            return;
        }
        trace!(committed = own.committed, "a splice was refused");
        pipe.splicing().own = None;
        if let Some(other) = pipe.sides[1 - side].output() {
            self.send(other.link, &Frame::Withdraw(other.channel));
        }
        self.forget_introduction(own.introduction);
        self.work.push_back(Work::Consider(id));
    }

    /// Takes back what this stub has proposed, if that is still possible; a neighbour that is
    /// gone need not be told.
    pub(super) fn withdraw_own(&mut self, id: PipeId, gone: Option<usize>) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let Some(splicing) = &mut pipe.splicing else {
            return;
        };
        if splicing.own.as_ref().is_none_or(|own| own.committed) {
            return;
        }
        trace!(ends = gone.is_some(), "a stub takes its proposal back");
        splicing.own = None;
        let outputs = [pipe.sides[0].output(), pipe.sides[1].output()];
        for (side, at) in outputs.into_iter().enumerate() {
            if let Some(at) = at.filter(|_| gone != Some(side)) {
                self.send(at.link, &Frame::Withdraw(at.channel));
            }
        }
    }

    /// Forgets what a side has agreed to, and what waits there.
    pub(super) fn forget_consent(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        if let Some(awaited) = pipe.awaited(side) {
            self.tickets.remove(&awaited);
        }
        if let Some(splicing) = &mut pipe.splicing {
            splicing.waiting[side] = None;
            splicing.marked[side] = false;
            splicing.consented[side] = None;
        }
    }
}
