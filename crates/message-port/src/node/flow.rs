//! What flows through pipes: entering, leaving over a link in turn, and the end.

use tracing::trace;

use super::link::{Last, Wire};
use super::pipe::{Address, Cargo, Item, Parcel, PipeId, Side};
use super::wire::{CHUNK, Frame, Head, MAX_GRANTS, MAX_HOPS};
use super::{LinkId, Node, Output, Work};
use crate::{Event, Message};

/// How many bytes a channel sends in its turn, if others wait. One message may go beyond.
const TURN: usize = 16 * 1024;
/// As how many bytes a message counts beside its payload.
const LEAST: usize = 16;

impl Node {
    /// Puts an item in at a side.
    pub(super) fn enter(&mut self, id: PipeId, side: usize, item: Item) {
        match self.pipes.get_mut(&id) {
            Some(pipe) if pipe.flows[side].takes(&item) => {
                pipe.flows[side].queue.push_back(item);
                self.work.push_back(Work::Advance(id, side));
            }
            _ => self.discard(item),
        }
    }

    /// Lets out what has entered at `entry`, or gives the exit's channel its turn.
    pub(super) fn advance(&mut self, id: PipeId, entry: usize) {
        let Some(pipe) = self.pipes.get(&id) else {
            return;
        };
        if pipe.flows[entry].stopped {
            self.drain(id, entry);
        }
        let Some(pipe) = self.pipes.get(&id) else {
            return;
        };
        match &pipe.sides[1 - entry] {
            Side::Local(_) => self.deliver(id, entry),
            // It reads from here already if its marker has come.
            Side::Fold(fold) => self.work.push_back(Work::Advance(fold.with.0, fold.with.1)),
            side => {
                if let Some(output) = side.output() {
                    if let Some(link) = self.links.get_mut(&output.link) {
                        link.enqueue(output.channel);
                    }
                }
            }
        }
    }

    /// Lets the channels of each link send in turn, while there is room, and hands out bytes.
    pub(super) fn poll_write(&mut self) -> Option<Output> {
        // What one link sends may bring credit, or a turn, to another, which is touched by that.
        while let Some(id) = self.links.next_touched() {
            self.fill(id);
            self.links.looked_at(id);
        }
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let (link, bytes) = self.links.next_bytes()?;
        Some(Output::Write { link, bytes })
    }

    fn fill(&mut self, id: LinkId) {
        let link_buffer = self.limits.link_buffer;
        while let Some(link) = self.links.get_mut(&id) {
            if !link.is_up() || !link.out.has_room(link_buffer) {
                return;
            }
            let Some(channel) = link.next_turn() else {
                return;
            };
            let at = Address { link: id, channel };
            let more = match self.send_plain(at) {
                Some(more) => more,
                None => self.send_one(at),
            };
            if let Some(link) = self.links.get_mut(&id) {
                if more {
                    link.enqueue(channel);
                }
                link.had_turn(channel);
            }
            self.settle();
        }
    }

    /// Sends what a local port has posted, up to [`TURN`], as long as it is short messages without
    /// ports; most turns are that, and need one look-up for all of them. Whether there may be more
    /// to send; `None` if something else is next, which is at the head of the queue then.
    fn send_plain(&mut self, at: Address) -> Option<bool> {
        let link = self.links.get_mut(&at.link)?;
        let longest = link.peer.max_message.min(CHUNK as u64);
        let wire = link.wires.get_mut(&at.channel)?;
        let (id, side) = wire.owner()?;
        let entry = 1 - side;
        let pipe = self.pipes.get_mut(&id)?;
        let flow = &mut pipe.flows[entry];
        let steady = wire.last == Last::No && wire.sending().is_none();
        if !steady || flow.done || flow.stopped || !flow.queue.is_empty() {
            return None;
        }
        if pipe.sides[side].output() != Some(at) {
            return None;
        }
        let Side::Local(local) = &mut pipe.sides[entry] else {
            return None;
        };
        let mut sent = 0;
        while sent < TURN && link.out.has_room(self.limits.link_buffer) {
            if !wire.may_send() {
                return Some(false);
            }
            let plain = |message: &Message| {
                message.ports.is_empty() && message.payload.len() as u64 <= longest
            };
            let message = match local.port.try_recv() {
                Ok(Event::Message(message)) if plain(&message) => message,
                other => {
                    let Some(item) = self.pulled(id, entry, other) else {
                        return Some(false);
                    };
                    self.unpull(id, entry, item);
                    return None;
                }
            };
            let length = message.payload.len();
            let sequence = flow.left;
            flow.entered = flow.entered.wrapping_add(1);
            flow.left = sequence.wrapping_add(1);
            wire.spend(length as u64);
            let grants = Vec::new();
            let head = Head { sequence, grants };
            link.out
                .frame(&Frame::Message(at.channel, head, message.payload));
            sent += length + LEAST;
        }
        Some(true)
    }

    /// Puts something back that was to leave next.
    fn unpull(&mut self, id: PipeId, entry: usize, item: Item) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.flows[entry].queue.push_front(item);
        }
    }

    /// Sends the next thing on a channel: one message, or one piece of a long one. Whether there
    /// may be more to send.
    fn send_one(&mut self, at: Address) -> bool {
        let Some(link) = self.links.get_mut(&at.link) else {
            return false;
        };
        if link.send_chunk(at.channel) {
            return true;
        }
        let Some(wire) = link.wires.get(&at.channel) else {
            return false;
        };
        let (Some((id, side)), Last::No) = (wire.owner(), wire.last) else {
            return false;
        };
        let may_send = wire.may_send();
        let entry = 1 - side;
        let Some(pipe) = self.pipes.get(&id) else {
            return false;
        };
        if pipe.sides[side].output() != Some(at) {
            return false;
        }
        // Without credit nothing passes but what needs none.
        let free = matches!(
            pipe.flows[entry].queue.front(),
            Some(Item::Switched | Item::End { .. })
        );
        if !may_send {
            trace!(free, "a channel has no credit");
        }
        if !may_send && !free {
            return false;
        }
        match self.next_item(id, entry) {
            None => false,
            Some(Item::Message(parcel)) => self.send_message(id, entry, at, parcel),
            Some(Item::Close { from }) => {
                self.release(from, 0, 1);
                if let Some(sequence) = self.count_out(id, entry) {
                    self.send(at.link, &Frame::Close(at.channel, sequence));
                }
                if let Some(wire) = self.wire_mut(at) {
                    wire.spend(0);
                }
                true
            }
            Some(Item::Switched) => {
                if let Some(link) = self.links.get_mut(&at.link) {
                    link.send_switched(at.channel);
                }
                self.done(id, entry);
                false
            }
            Some(Item::End { close }) => {
                self.ended_at(id, entry, close);
                false
            }
            // `next_item` unpacks backlogs.
            Some(Item::Backlog { .. }) => true,
        }
    }

    fn send_message(&mut self, id: PipeId, entry: usize, at: Address, parcel: Parcel) -> bool {
        let Some(link) = self.links.get_mut(&at.link) else {
            return false;
        };
        let ports = parcel.cargo.len();
        let length = parcel.payload.len() as u64;
        let most = link
            .peer
            .queued_ports
            .min(link.peer.channels)
            .min(MAX_GRANTS as u64);
        if ports as u64 > most || length > link.peer.max_message {
            tracing::debug!(
                ports,
                length,
                "a port is cut: its message is over the limits"
            );
            self.cut_at(id, entry, parcel);
            return true;
        }
        if self.runs_after_itself(&parcel) {
            tracing::debug!("a port is cut: its message runs after itself");
            self.cut_at(id, entry, parcel);
            return true;
        }
        let Some(link) = self.links.get_mut(&at.link) else {
            return false;
        };
        if ports > 0 && !link.may_grant(at.channel, ports as u64) {
            trace!("a message waits until the peer takes ports again");
            link.starve(at.channel);
            self.unpull(id, entry, Item::Message(parcel));
            return false;
        }
        let cargo = parcel.cargo.into_iter();
        let grants = cargo
            .filter_map(|cargo| self.grant(at.link, cargo))
            .collect();
        self.release(parcel.from, length, 1);
        let Some(sequence) = self.count_out(id, entry) else {
            return false;
        };
        let head = Head { sequence, grants };
        let Some(link) = self.links.get_mut(&at.link) else {
            return false;
        };
        let Some(wire) = link.wires.get_mut(&at.channel) else {
            return false;
        };
        wire.spend(length);
        if parcel.payload.len() <= CHUNK {
            link.send(&Frame::Message(at.channel, head, parcel.payload));
        } else {
            wire.send(parcel.payload);
            link.send(&Frame::Head(at.channel, head, length));
        }
        true
    }

    /// Ends a route at a message that cannot go on, as if the end beyond the exit were gone: the one
    /// beyond the entry, which may travel in a message here, goes on and hears of it. What is queued
    /// behind does not pass either, be it the marker of a splice: there would be a gap before it.
    fn cut_at(&mut self, id: PipeId, entry: usize, parcel: Parcel) {
        self.discard(Item::Message(parcel));
        let close = self
            .pipes
            .get(&id)
            .is_none_or(|pipe| !pipe.quiet[entry] && !pipe.flows[entry].queue.ends_quietly());
        self.end_from(id, 1 - entry, close);
    }

    /// Whether a message has passed so many links that its target must travel in it: each link
    /// that it passes moves its target on. The carried ports are closed then, the target included.
    fn runs_after_itself(&self, parcel: &Parcel) -> bool {
        parcel.cargo.iter().any(|cargo| match cargo {
            Cargo::Side(number) => self
                .cargo
                .get(number)
                .is_some_and(|cargo| cargo.hops >= MAX_HOPS),
            Cargo::Port(_, relayed, _) => relayed.is_some_and(|relayed| relayed.hops >= MAX_HOPS),
        })
    }

    fn count_out(&mut self, id: PipeId, entry: usize) -> Option<u64> {
        let flow = &mut self.pipes.get_mut(&id)?.flows[entry];
        let sequence = flow.left;
        flow.left = flow.left.wrapping_add(1);
        Some(sequence)
    }

    pub(super) fn wire_mut(&mut self, at: Address) -> Option<&mut Wire> {
        self.links.get_mut(&at.link)?.wires.get_mut(&at.channel)
    }

    pub(super) fn send(&mut self, link: LinkId, frame: &Frame) {
        if let Some(link) = self.links.get_mut(&link) {
            link.send(frame);
        }
    }

    /// The end beyond a side is gone, after what has entered there. What was on its way to it is
    /// dropped; the other end will hear of it after the last message.
    pub(super) fn end_from(&mut self, id: PipeId, side: usize, close: bool) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        if matches!(pipe.sides[side], Side::Gone) && pipe.flows[1 - side].done {
            return;
        }
        // However it is said: who has begun it, or has heard of it, gets no close.
        let close = close && !pipe.quiet[side];
        pipe.flows[1 - side].done = true;
        let dropped = std::mem::take(&mut pipe.flows[1 - side].queue);
        if !pipe.flows[side].done {
            pipe.flows[side].queue.push_back(Item::End { close });
            self.work.push_back(Work::Advance(id, side));
        }
        for item in dropped.into_iter() {
            self.discard(item);
        }
        self.work.push_back(Work::TellStop(id, 1 - side));
        self.withdraw_own(id, Some(side));
        self.vacate(id, side, true);
        self.remove_if_done(id);
    }

    /// Nobody is there any more to receive what enters at the other side of `side`, although what
    /// has entered at `side` is still to be delivered.
    pub(super) fn stop(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let flow = &mut pipe.flows[1 - side];
        if flow.stopped || flow.done {
            return;
        }
        let dropped = flow.stop();
        trace!(any = !dropped.is_empty(), "what nobody receives is dropped");
        for item in dropped {
            self.discard(item);
        }
        self.work.push_back(Work::Advance(id, 1 - side));
        self.work.push_back(Work::TellStop(id, 1 - side));
    }

    /// Passes on to a side that nobody receives what comes from there, if that is so.
    pub(super) fn tell_stop(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.pipes.get(&id) else {
            return;
        };
        if !pipe.flows[side].stopped && !pipe.flows[side].done {
            return;
        }
        match &pipe.sides[side] {
            Side::Fold(fold) => {
                let with = fold.with;
                self.stop(with.0, with.1);
            }
            side => {
                let Some(output) = side.output() else {
                    return;
                };
                if let Some(link) = self.links.get_mut(&output.link) {
                    let wire = link.wires.get_mut(&output.channel);
                    let untold = wire.filter(|wire| wire.last == Last::No && !wire.told_stop);
                    if let Some(wire) = untold {
                        wire.told_stop = true;
                        link.send(&Frame::Stop(output.channel));
                    }
                }
            }
        }
    }

    /// The end of the flow from `entry` has come to the exit.
    pub(super) fn ended_at(&mut self, id: PipeId, entry: usize, close: bool) {
        self.withdraw_own(id, Some(1 - entry));
        self.vacate(id, 1 - entry, close);
        self.done(id, entry);
    }

    fn done(&mut self, id: PipeId, entry: usize) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.flows[entry].done = true;
        }
        self.remove_if_done(id);
    }

    pub(super) fn remove_if_done(&mut self, id: PipeId) {
        let done = |pipe: &super::Pipe| pipe.flows.iter().all(|flow| flow.done);
        if self.pipes.get(&id).is_some_and(done) {
            self.vacate(id, 0, true);
            self.vacate(id, 1, true);
            if let Some(pipe) = self.remove_pipe(id) {
                for item in pipe
                    .flows
                    .into_iter()
                    .flat_map(|flow| flow.queue.into_iter())
                {
                    self.discard(item);
                }
            }
        }
    }

    /// Empties a side: its channels are told that it ended, if they were told nothing yet.
    fn vacate(&mut self, id: PipeId, side: usize, close: bool) {
        self.forget_consent(id, side);
        if let Some(local) = self.take_local(id, side) {
            let local = *local;
            self.release_unread(local.unread);
            if !close {
                // As if the other end had begun it, so that it gets no `close`.
                for notification in local.port.end().other().disentangle(false) {
                    notification.send();
                }
            }
        }
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut pipe.sides[side], Side::Gone) {
            Side::Cargo(number) => {
                let cargo = self.cargo.remove(&number);
                if let Some(adopt) = cargo.and_then(|cargo| cargo.adopt) {
                    self.acknowledge(&adopt);
                }
            }
            Side::Fold(fold) => {
                self.orphan(fold.input);
                self.end_from(fold.with.0, fold.with.1, close);
            }
            place => {
                for at in place.channels().into_iter().flatten() {
                    if let Some(link) = self.links.get_mut(&at.link) {
                        link.send_end(at.channel, close);
                    }
                    self.orphan(at);
                }
            }
        }
    }

    /// A channel that no pipe uses any more: only its last frames are awaited.
    pub(super) fn orphan(&mut self, at: Address) {
        let Some(link) = self.links.get_mut(&at.link) else {
            return;
        };
        let Some(wire) = link.wires.get_mut(&at.channel) else {
            return;
        };
        wire.owner = None;
        let held = wire.take_held();
        let assembling = wire.take_assembly();
        link.reap(at.channel);
        link.had_turn(at.channel);
        for arrival in held {
            self.discard(arrival.item);
        }
        if let Some(assembly) = assembling {
            trace!("a long message is dropped before all of it has come");
            self.release(Some(at), assembly.total, 1);
            self.work.extend(assembly.cargo.into_iter().map(Work::Cut));
        }
    }

    /// Drops an item that reaches nobody, and closes the ports that travel in it.
    pub(super) fn discard(&mut self, item: Item) {
        match item {
            Item::Message(parcel) => {
                self.release(parcel.from, parcel.payload.len() as u64, 1);
                for cargo in parcel.cargo {
                    match cargo {
                        Cargo::Port(port, ..) => drop(port),
                        Cargo::Side(number) => self.work.push_back(Work::Cut(number)),
                    }
                }
            }
            Item::Backlog { port, unread, .. } => {
                drop(port);
                self.release_unread(unread);
            }
            Item::Close { from } => self.release(from, 0, 1),
            Item::Switched | Item::End { .. } => {}
        }
    }
}
