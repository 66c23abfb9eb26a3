//! Moving ports: what is granted to a peer with a message, and what a peer grants.

use tracing::trace;

use super::link::{Arrival, Wire};
use super::pipe::{Address, Adopt, Cargo, Item, Pipe, PipeId, Side, Travelling};
use super::wire::{Grant, MAX_HOPS};
use super::{LinkError, LinkId, Node, Work};

impl Node {
    /// Opens a channel for a port that goes along with a message, and leaves a stub here, unless
    /// its partner is here.
    pub(super) fn grant(&mut self, link: LinkId, cargo: Cargo) -> Option<Grant> {
        let Travelling {
            place: (id, side),
            hops,
            adopt,
        } = match cargo {
            Cargo::Port(port, relayed, moved_by) => Travelling {
                place: self.uproot(port, moved_by),
                hops: relayed.map_or(0, |relayed| relayed.hops),
                adopt: None,
            },
            Cargo::Side(number) => self.cargo.remove(&number)?,
        };
        // The move that brought it here is complete: it has another place.
        if let Some(adopt) = adopt {
            self.acknowledge(&adopt);
        }
        let pipe = self.pipes.get(&id)?;
        self.trace_move(pipe, side, hops > 0);
        let due = pipe.flows[side].entered;
        let at = self.open_channel(link, (id, side), Some(due))?;
        let pipe = self.pipes.get_mut(&id)?;
        pipe.sides[side] = Side::Wire(at);
        pipe.epochs[side] = pipe.epochs[side].wrapping_add(1);
        let grant = Grant {
            channel: at.channel,
            epoch: pipe.epochs[side],
            hops: hops + 1,
            incoming: pipe.flows[1 - side].left,
            outgoing: due,
            quiet: pipe.quiet[1 - side],
        };
        let link = self.links.get_mut(&link)?;
        link.granted.insert(grant.channel, grant.epoch);
        self.work.push_back(Work::Advance(id, 1 - side));
        self.work.push_back(Work::Consider(id));
        self.work.push_back(Work::TellStop(id, side));
        Some(grant)
    }

    /// Says in which state of its route a port moves.
    fn trace_move(&self, pipe: &Pipe, side: usize, again: bool) {
        let far = match &pipe.sides[1 - side] {
            Side::Local(_) => "here",
            Side::Wire(at) => match self.links.get(&at.link) {
                Some(link) if link.granted.get(&at.channel).is_some() => "moving",
                _ => "elsewhere",
            },
            Side::Switching(_) => "switching",
            Side::Fold(_) => "folding",
            Side::Cargo(_) => "queued",
            Side::Gone => "gone",
        };
        let splicing = pipe.splicing.as_ref();
        let agreed = splicing.is_some_and(|splicing| splicing.consented[1 - side].is_some());
        trace!(far, again, agreed, "a port moves");
    }

    /// Allots a channel on a link.
    pub(super) fn open_channel(
        &mut self,
        link: LinkId,
        owner: (PipeId, usize),
        due: Option<u64>,
    ) -> Option<Address> {
        let window = self.limits.window();
        let to = self.links.get_mut(&link)?;
        let channel = to.next_mine;
        to.next_mine += 2;
        to.mine += 1;
        let wire = Wire::new(owner, &to.peer, window, due);
        to.wires.insert(channel, wire);
        Some(Address { link, channel })
    }

    /// Whether a channel that the peer allots is the next one: each is allotted once, in order.
    pub(super) fn check_allotted(&mut self, link: LinkId, channel: u64) -> Result<(), LinkError> {
        let Some(from) = self.links.get_mut(&link) else {
            return Err(LinkError::Lost);
        };
        if from.is_mine(channel) || channel > from.next_theirs {
            return Err(LinkError::UnknownPort(channel));
        }
        if channel < from.next_theirs {
            return Err(LinkError::ReplayedEpoch(channel));
        }
        from.next_theirs = from
            .next_theirs
            .checked_add(2)
            .ok_or(LinkError::UnknownPort(channel))?;
        from.theirs += 1;
        if from.theirs > self.limits.channels.saturating_mul(2) {
            return Err(LinkError::TooManyChannels);
        }
        Ok(())
    }

    /// Takes the ports that came with a message. They are nobody's yet.
    pub(super) fn granted(
        &mut self,
        link: LinkId,
        grants: &[Grant],
    ) -> Result<Vec<u64>, LinkError> {
        let mut cargo = Vec::with_capacity(grants.len());
        for grant in grants {
            match self.take_grant(link, grant) {
                Ok(number) => cargo.push(number),
                Err(error) => {
                    // There will be no message for the others to travel in.
                    self.work.extend(cargo.into_iter().map(Work::Cut));
                    return Err(error);
                }
            }
        }
        Ok(cargo)
    }

    fn take_grant(&mut self, link: LinkId, grant: &Grant) -> Result<u64, LinkError> {
        self.check_allotted(link, grant.channel)?;
        if grant.hops > MAX_HOPS {
            return Err(LinkError::MalformedFrame);
        }
        let window = self.limits.window();
        let most = self.limits.queued_ports;
        let Some(from) = self.links.get_mut(&link) else {
            return Err(LinkError::Lost);
        };
        from.queued += 1;
        if from.queued > most {
            return Err(LinkError::TooManyQueuedPorts);
        }
        let id = self.next_pipe;
        self.next_pipe += 1;
        let number = self.next_cargo;
        self.next_cargo += 1;
        let wire = Wire::new((id, 0), &from.peer, window, Some(grant.incoming));
        from.wires.insert(grant.channel, wire);
        let at = Address {
            link,
            channel: grant.channel,
        };
        let mut pipe = Pipe::new([Side::Wire(at), Side::Cargo(number)]);
        pipe.flows[0].entered = grant.incoming;
        pipe.flows[0].left = grant.incoming;
        pipe.flows[1].entered = grant.outgoing;
        pipe.flows[1].left = grant.outgoing;
        pipe.quiet[0] = grant.quiet;
        pipe.epochs[1] = grant.epoch;
        self.pipes.insert(id, pipe);
        let travelling = Travelling {
            place: (id, 1),
            hops: grant.hops,
            adopt: Some(Adopt {
                link,
                channel: grant.channel,
                epoch: grant.epoch,
            }),
        };
        self.cargo.insert(number, travelling);
        Ok(number)
    }

    /// The peer says that a granted port has found its place.
    pub(super) fn adopted(
        &mut self,
        link: LinkId,
        channel: u64,
        epoch: u32,
    ) -> Result<(), LinkError> {
        let Some(to) = self.links.get_mut(&link) else {
            return Ok(());
        };
        if to.granted.get(&channel) != Some(&epoch) {
            return Err(if to.is_mine(channel) && channel < to.next_mine {
                LinkError::ReplayedEpoch(channel)
            } else {
                LinkError::UnknownPort(channel)
            });
        }
        to.granted.remove(&channel);
        to.wake_starved();
        Ok(())
    }

    /// Takes in what came by a channel, or holds it until the channel that it replaces has ended.
    pub(super) fn admit(&mut self, at: Address, arrival: Arrival) -> Result<(), LinkError> {
        let Some(wire) = self
            .links
            .get_mut(&at.link)
            .and_then(|link| link.wires.get_mut(&at.channel))
        else {
            return Err(LinkError::UnknownPort(at.channel));
        };
        let Some((id, side)) = wire.owner() else {
            self.discard(arrival.item);
            return Ok(());
        };
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Err(LinkError::UnexpectedFrame);
        };
        if let Some(found) = arrival.sequence {
            let expected = wire.due.unwrap_or(found);
            wire.due = Some(found.wrapping_add(1));
            if found != expected {
                self.discard(arrival.item);
                return Err(LinkError::OutOfSequence { expected, found });
            }
        }
        if pipe.sides[side].channels()[0] != Some(at) {
            let ends = matches!(arrival.item, Item::End { .. });
            trace!(ends, "what comes by a new channel is held");
            wire.hold(arrival);
            if ends {
                self.stop(id, side);
            }
            return Ok(());
        }
        self.take_in(id, side, arrival);
        Ok(())
    }

    /// Takes in what came by the channel that a side reads.
    pub(super) fn take_in(&mut self, id: PipeId, side: usize, arrival: Arrival) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return self.discard(arrival.item);
        };
        if let Some(found) = arrival.sequence {
            let flow = &mut pipe.flows[side];
            let follows = found == flow.entered || flow.done || flow.stopped;
            flow.entered = found.wrapping_add(1);
            if !follows {
                // In itself each channel is in order, so this is the first event by a new one:
                // the stub before it has lost some, or the peer began with the wrong number.
                // Nobody can tell which, so neither loses its link.
                tracing::debug!("a port is cut: a splice has lost events");
                self.discard(arrival.item);
                return self.end_from(id, side, true);
            }
        }
        match arrival.item {
            Item::End { close } => self.end_from(id, side, close),
            item => self.enter(id, side, item),
        }
    }
}
