//! The seam to the ports of this process.
//!
//! A local side of a pipe holds one end of an ordinary in-process pair, whose other end is in
//! somebody's hands (or in a queue of this process). What the user posts lands in the queue of
//! the node's end and is pulled when there is credit; what comes from afar is posted through it.
//! So users see a [`MessagePort`] and nothing else, and a port that has never left this process
//! does not know of nodes. When a user's port is posted over a link, the pair tells to which pipe
//! it belongs (`uproot`): the node then holds both ends, and what is queued in them is the
//! backlog, which is sent first, wherever the port goes.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tracing::trace;

use super::link::Wire;
use super::pipe::{
    Address, Adopt, Cargo, Item, Local, MovedBy, Parcel, Pipe, PipeId, Place, Side, Travelling,
    Unread,
};
use super::{Node, Work};
use crate::pair::{ReadyCallback, lock};
use crate::port::Relayed;
use crate::{Event, Message, MessageChannel, MessagePort, TransferredPort, TryRecvError};

/// For how many local sides at a time there is always room in the list of those that are ready.
const READY_KEPT: usize = 64;
/// How many local ports that have posted something keep the memory for what they post next.
const WARM: usize = 16;

/// The local sides that have something for the node, filled from any thread.
pub(super) struct Ready {
    places: Mutex<Vec<u64>>,
    /// Whether there are any; changed with `places` locked. The node looks far more often than
    /// something is ready, and need not lock for that: who comes in between wakes it.
    any: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Ready {
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            places: Mutex::default(),
            any: AtomicBool::new(false),
            wake,
        }
    }

    /// What a local side calls, with the number of its [`Place`].
    pub(super) fn callback(this: &Arc<Self>) -> ReadyCallback {
        let ready = Arc::clone(this);
        Arc::new(Box::new(move |place| ready.push(place)))
    }

    fn push(&self, place: u64) {
        let first = {
            let mut places = lock(&self.places);
            places.push(place);
            self.any.store(true, Ordering::Release);
            places.len() == 1
        };
        if first {
            (self.wake)();
        }
    }

    /// Moves what is ready to `places`, which is empty.
    fn take(&self, places: &mut Vec<u64>) {
        if self.any.load(Ordering::Acquire) {
            let mut ready = lock(&self.places);
            self.any.store(false, Ordering::Relaxed);
            mem::swap(&mut *ready, places);
        }
    }
}

impl Node {
    /// Looks at the ports that were posted to, closed or received from.
    pub(super) fn take_ready(&mut self) {
        let mut ready = mem::take(&mut self.looked_at);
        self.ready.take(&mut ready);
        for number in ready.drain(..) {
            // A pipe that is no more was joined to another one, which was looked at since.
            let (pipe, side) = Place::numbered(number);
            self.release_if_read(pipe, side);
            let gone = |pipe: &Pipe| match &pipe.sides[side] {
                Side::Local(local) => !local.port.is_entangled(),
                _ => false,
            };
            if self.pipes.get(&pipe).is_some_and(gone) {
                // Its end follows what it has posted, which may have to wait for credit. What
                // is on its way to it need not: ports may travel there that only go with it.
                self.stop(pipe, side);
            }
            self.work.push_back(Work::Advance(pipe, side));
        }
        // Its memory is used again; what is left of a rush is given back.
        ready.shrink_to(READY_KEPT);
        self.looked_at = ready;
    }

    /// Makes `port` the local side of a pipe.
    pub(super) fn settle_in(&mut self, mut port: MessagePort, pipe: PipeId, side: usize) -> Side {
        port.start();
        port.end().watch_close();
        // Calls back at once if something is queued already; it is looked at in the next poll.
        let place = Place::new((pipe, side));
        port.listen(Arc::clone(&self.callback), place.number());
        Side::Local(Box::new(Local { port, unread: None }))
    }

    /// Gives a side that travelled in a message to somebody in this process.
    pub(super) fn land(&mut self, cargo: u64) -> Option<TransferredPort> {
        let Travelling {
            place: (id, side),
            hops,
            ..
        } = self.cargo.remove(&cargo)?;
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let local = self.settle_in(port1, id, side);
        let pipe = self.pipes.get_mut(&id)?;
        pipe.sides[side] = local;
        self.work.push_back(Work::Advance(id, 1 - side));
        self.landings += 1;
        let landing = self.landings;
        let relayed = Some(Relayed { hops, landing });
        Some(port2.transfer().ok()?.with_relayed(relayed))
    }

    /// Takes a port of this process out of it: the pipe and side that stand for it, with all that
    /// is queued on either way. The side is [`Side::Gone`] until it is placed.
    pub(super) fn uproot(&mut self, mut port: MessagePort, moved_by: MovedBy) -> (PipeId, usize) {
        port.start();
        let place = port.end().label_at_other(&self.callback);
        let place = place.filter(|_| port.is_entangled());
        if let Some((id, side)) = place.map(Place::numbered) {
            if let Some(local) = self.take_local(id, side) {
                self.keep_backlog((id, side), port, moved_by, *local);
                return (id, side);
            }
        }
        // Its partner, if it has one, is in somebody's hands here: this is the node's end now.
        let id = self.next_pipe;
        self.next_pipe += 1;
        let quiet = !port.is_entangled() && !port.ends_with_close();
        let local = self.settle_in(port, id, 0);
        let mut pipe = Pipe::new([local, Side::Gone]);
        pipe.quiet[0] = quiet;
        self.pipes.insert(id, pipe);
        (id, 1)
    }

    /// Takes the node's end out of a local side, which is [`Side::Gone`] then.
    pub(super) fn take_local(&mut self, id: PipeId, side: usize) -> Option<Box<Local>> {
        let place = &mut self.pipes.get_mut(&id)?.sides[side];
        if !matches!(place, Side::Local(_)) {
            return None;
        }
        let Side::Local(mut local) = mem::replace(place, Side::Gone) else {
            return None;
        };
        local.port.clear_on_ready();
        Some(local)
    }

    /// `port` was in a user's hands, `local` holds its partner; both go, their queues stay.
    fn keep_backlog(
        &mut self,
        (id, side): (PipeId, usize),
        port: MessagePort,
        moved_by: MovedBy,
        local: Local,
    ) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let (sent, received) = (local.port.queued(), port.queued());
        if sent > 0 || received > 0 {
            trace!(
                both = sent > 0 && received > 0,
                "a port moves with a backlog"
            );
        }
        let out = &mut pipe.flows[side];
        if sent > 0 && !out.done && !out.stopped {
            out.entered = out.entered.wrapping_add(sent as u64);
            out.queue.push_back(Item::Backlog {
                port: Box::new(local.port),
                left: sent,
                moved_by,
                unread: None,
            });
        }
        let back = &mut pipe.flows[1 - side];
        if received > 0 && !back.done && !back.stopped {
            back.left = back.left.wrapping_sub(received as u64);
            back.queue.push_front(Item::Backlog {
                port: Box::new(port),
                left: received,
                moved_by,
                unread: local.unread,
            });
        } else {
            self.release_unread(local.unread);
        }
    }

    /// The next thing to leave a pipe: what is queued, else what the local port has posted, else
    /// what comes from the pipe that this one will be joined with, whose marker has come.
    pub(super) fn next_item(&mut self, id: PipeId, entry: usize) -> Option<Item> {
        let Some(mut at) = self.folded_into((id, entry)) else {
            return self.next_here(id, entry);
        };
        let mut passed = vec![(id, entry), at];
        // No more than `MAX_FOLDS` times, and in no ring: see `folds_beyond`.
        while let Some(next) = self.folded_into(at) {
            passed.push(next);
            at = next;
        }
        let item = self.next_here(at.0, at.1)?;
        // The end passes when the two are joined.
        if let Item::End { .. } = item {
            self.pipes.get_mut(&at.0)?.flows[at.1]
                .queue
                .push_front(item);
            return None;
        }
        trace!(
            through = passed.len() > 2,
            "an event is read through a fold"
        );
        for pair in passed.windows(2) {
            let from = &mut self.pipes.get_mut(&pair[1].0)?.flows[pair[1].1];
            from.left = from.left.wrapping_add(1);
            let into = &mut self.pipes.get_mut(&pair[0].0)?.flows[pair[0].1];
            into.entered = into.entered.wrapping_add(1);
        }
        Some(item)
    }

    /// Where to look if nothing is queued here, but the marker of the other half has come.
    fn folded_into(&self, (id, entry): (PipeId, usize)) -> Option<(PipeId, usize)> {
        let pipe = self.pipes.get(&id)?;
        let flow = &pipe.flows[entry];
        match &pipe.sides[entry] {
            Side::Fold(fold) if fold.marked && flow.queue.is_empty() && !flow.done => {
                Some((fold.with.0, 1 - fold.with.1))
            }
            _ => None,
        }
    }

    fn next_here(&mut self, id: PipeId, entry: usize) -> Option<Item> {
        loop {
            let pipe = self.pipes.get_mut(&id)?;
            let flow = &mut pipe.flows[entry];
            if flow.done {
                return None;
            }
            match flow.queue.front_mut() {
                Some(Item::Backlog {
                    port,
                    left,
                    moved_by,
                    ..
                }) => {
                    let moved_by = *moved_by;
                    *left = left.saturating_sub(1);
                    let event = port.try_recv().ok();
                    if *left == 0 || event.is_none() {
                        // At once, so that what is behind needs no credit if it is no message.
                        if let Some(Item::Backlog { unread, .. }) = flow.queue.pop_front() {
                            self.release_unread(unread);
                        }
                    }
                    if let Some(event) = event {
                        return Some(self.item_of(event, moved_by));
                    }
                }
                Some(_) => return flow.queue.pop_front(),
                None => return self.pull(id, entry),
            }
        }
    }

    /// Takes what the local port at the entry has posted, if there is one.
    fn pull(&mut self, id: PipeId, entry: usize) -> Option<Item> {
        let pipe = self.pipes.get_mut(&id)?;
        let Side::Local(local) = &mut pipe.sides[entry] else {
            return None;
        };
        let event = local.port.try_recv();
        self.pulled(id, entry, event)
    }

    /// What leaves next, by what the local port at the entry has given.
    pub(super) fn pulled(
        &mut self,
        id: PipeId,
        entry: usize,
        event: Result<Event, TryRecvError>,
    ) -> Option<Item> {
        let pipe = self.pipes.get_mut(&id)?;
        let Side::Local(local) = &mut pipe.sides[entry] else {
            return None;
        };
        let close = match event {
            Ok(Event::Message(message)) => {
                pipe.flows[entry].entered = pipe.flows[entry].entered.wrapping_add(1);
                return Some(self.item_of(Event::Message(message), MovedBy::Itself));
            }
            Ok(Event::Close) if local.port.is_entangled() || local.port.queued() > 0 => {
                pipe.flows[entry].entered = pipe.flows[entry].entered.wrapping_add(1);
                return Some(Item::Close { from: None });
            }
            Ok(Event::Close) => true,
            Err(TryRecvError::Closed) => false,
            Err(TryRecvError::Empty) => {
                self.rest(id, entry);
                return None;
            }
        };
        self.end_from(id, entry, close);
        // The end is in the queue now, unless nobody awaits it.
        self.pipes.get_mut(&id)?.flows[entry].queue.pop_front()
    }

    /// A local port has posted nothing more. It may be one of very many, so that its memory is given
    /// back, unless it is among the few that were in use last.
    fn rest(&mut self, id: PipeId, side: usize) {
        if self.warm.contains(&(id, side)) {
            return;
        }
        self.warm.push_back((id, side));
        if self.warm.len() <= WARM {
            return;
        }
        let cold = self.warm.pop_front();
        let cold = cold.and_then(|(id, side)| Some(&mut self.pipes.get_mut(&id)?.sides[side]));
        if let Some(Side::Local(local)) = cold {
            let (end, inbox) = local.port.end_and_inbox();
            end.rest(inbox);
        }
    }

    /// Drops what a local port has posted for nobody, and with it the ports that travel there.
    pub(super) fn drain(&mut self, id: PipeId, entry: usize) {
        loop {
            let side = self.pipes.get_mut(&id).map(|pipe| &mut pipe.sides[entry]);
            let Some(Side::Local(local)) = side else {
                return;
            };
            let close = match local.port.try_recv() {
                Ok(Event::Close) if !local.port.is_entangled() && local.port.queued() == 0 => true,
                Ok(event) => {
                    drop(event);
                    continue;
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Closed) => false,
            };
            // Nobody receives what was posted, but somebody may yet wait for the close: the port
            // may have been told to stop only because a link beyond a stub was lost.
            return self.end_from(id, entry, close);
        }
    }

    /// Posts all that can be posted to the local port at the exit.
    pub(super) fn deliver(&mut self, id: PipeId, entry: usize) {
        let exit = 1 - entry;
        while let Some(item) = self.next_item(id, entry) {
            match item {
                Item::Message(parcel) => self.post(id, entry, parcel),
                Item::Close { from } => self.post_close(id, entry, from),
                Item::End { close } => return self.ended_at(id, entry, close),
                // Only stubs take these, and `next_item` unpacks backlogs.
                Item::Switched | Item::Backlog { .. } => {}
            }
        }
        self.release_if_read(id, exit);
    }

    fn post(&mut self, id: PipeId, entry: usize, parcel: Parcel) {
        let mut message = Message::new(parcel.payload);
        message.attachment = parcel.attachment;
        let mut adopts = Vec::new();
        for cargo in parcel.cargo {
            match cargo {
                Cargo::Port(port, relayed, _) => {
                    let port = port.transfer().ok();
                    message
                        .ports
                        .extend(port.map(|port| port.with_relayed(relayed)));
                }
                Cargo::Side(number) => {
                    if let Some(cargo) = self.cargo.get_mut(&number) {
                        adopts.extend(cargo.adopt.take());
                    }
                    message.ports.extend(self.land(number));
                }
            }
        }
        let length = message.payload.len() as u64;
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        pipe.flows[entry].left = pipe.flows[entry].left.wrapping_add(1);
        let Side::Local(local) = &mut pipe.sides[1 - entry] else {
            return;
        };
        let stale = local.delivered(parcel.from, length, adopts);
        local.port.relay(message);
        self.release_unread(stale);
    }

    /// Posts a message that has come by a channel, if it needs nothing more: it brought no ports,
    /// its port is here, and nothing is queued before it. Most are so, and need one look-up. If
    /// not, its payload is handed back.
    pub(super) fn post_plain(
        &mut self,
        at: Address,
        sequence: u64,
        payload: Bytes,
    ) -> Result<(), Bytes> {
        let link = self.links.get_mut(&at.link);
        let Some(wire) = link.and_then(|link| link.wires.get_mut(&at.channel)) else {
            return Err(payload);
        };
        let Some((id, side)) = wire.owner() else {
            return Err(payload);
        };
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Err(payload);
        };
        let flow = &mut pipe.flows[side];
        let due = wire.due == Some(sequence) && flow.entered == sequence;
        let next = due && flow.queue.is_empty() && !flow.done && !flow.stopped;
        if !next || !matches!(pipe.sides[side], Side::Wire(reads) if reads == at) {
            return Err(payload);
        }
        let Side::Local(local) = &mut pipe.sides[1 - side] else {
            return Err(payload);
        };
        wire.due = Some(sequence.wrapping_add(1));
        flow.entered = sequence.wrapping_add(1);
        flow.left = flow.left.wrapping_add(1);
        let stale = local.delivered(Some(at), payload.len() as u64, Vec::new());
        let window = self.limits.window();
        let due = local.unread.as_ref().is_some_and(|unread| {
            !unread.watched && wire.owes_with(unread.bytes, unread.messages, window)
        });
        local.port.relay(Message::new(payload));
        self.release_unread(stale);
        if due {
            self.release_if_read(id, 1 - side);
        }
        Ok(())
    }

    fn post_close(&mut self, id: PipeId, entry: usize, from: Option<Address>) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        pipe.flows[entry].left = pipe.flows[entry].left.wrapping_add(1);
        if let Side::Local(local) = &mut pipe.sides[1 - entry] {
            let stale = local.delivered(from, 0, Vec::new());
            local.port.end().post_close();
            self.release_unread(stale);
        }
    }

    /// Returns the credit for what the user has received, or asks to be told when he has.
    fn release_if_read(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let Side::Local(local) = &mut pipe.sides[side] else {
            return;
        };
        let Some(unread) = local.unread.as_mut() else {
            return;
        };
        let link = unread.from.and_then(|from| self.links.get(&from.link));
        let wire = unread.from.and_then(|from| link?.wires.get(&from.channel));
        let window = self.limits.window();
        let owes = |wire: &Wire| wire.owes_with(unread.bytes, unread.messages, window);
        if unread.adopts.is_empty() && !wire.is_some_and(owes) {
            return;
        }
        unread.watched = !local.port.end().watch_partner();
        if !unread.watched {
            let read = local.unread.take();
            self.release_unread(read);
        }
    }

    pub(super) fn release_unread(&mut self, unread: Option<Box<Unread>>) {
        let Some(unread) = unread else {
            return;
        };
        self.release(unread.from, unread.bytes, unread.messages);
        for adopt in unread.adopts {
            self.acknowledge(&adopt);
        }
    }

    pub(super) fn release(&mut self, from: Option<Address>, bytes: u64, messages: u64) {
        let window = self.limits.window();
        if let Some(from) = from {
            if let Some(link) = self.links.get_mut(&from.link) {
                link.release(from.channel, bytes, messages, window);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, adopt: &Adopt) {
        if let Some(link) = self.links.get_mut(&adopt.link) {
            link.acknowledge(adopt);
        }
    }

    /// An event of the queue of a port that moves.
    fn item_of(&self, event: Event, moved_by: MovedBy) -> Item {
        let cargo = |port: TransferredPort| {
            let (relayed, moved_by) = match (port.relayed(), moved_by) {
                (None, _) => (None, MovedBy::User(self.landings)),
                (Some(relayed), MovedBy::User(landings)) if relayed.landing <= landings => {
                    (Some(Relayed { hops: 0, ..relayed }), moved_by)
                }
                (relayed, _) => (relayed, MovedBy::Itself),
            };
            Cargo::Port(port.receive(), relayed, moved_by)
        };
        match event {
            Event::Message(message) => Item::Message(Parcel {
                payload: message.payload,
                cargo: message.ports.into_iter().map(cargo).collect(),
                attachment: message.attachment,
                from: None,
            }),
            Event::Close => Item::Close { from: None },
        }
    }
}
