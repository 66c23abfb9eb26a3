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
use std::sync::{Arc, Mutex};

use super::pipe::{Address, Adopt, Cargo, Item, Local, Parcel, Pipe, PipeId, Side, Unread};
use super::{Node, Work};
use crate::pair::lock;
use crate::{Event, Message, MessageChannel, MessagePort, TransferredPort, TryRecvError};

/// The local sides that have something for the node, filled from any thread.
pub(super) struct Ready {
    gates: Mutex<Vec<u64>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Ready {
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            gates: Mutex::default(),
            wake,
        }
    }

    fn push(&self, gate: u64) {
        let first = {
            let mut gates = lock(&self.gates);
            gates.push(gate);
            gates.len() == 1
        };
        if first {
            (self.wake)();
        }
    }

    fn take(&self) -> Vec<u64> {
        mem::take(&mut *lock(&self.gates))
    }
}

impl Node {
    /// Looks at the ports that were posted to, closed or received from.
    pub(super) fn take_ready(&mut self) {
        for gate in self.ready.take() {
            if let Some((pipe, side)) = self.gates.get(&gate).copied() {
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
        }
    }

    /// Makes `port` the local side of a pipe.
    pub(super) fn settle_in(&mut self, mut port: MessagePort, pipe: PipeId, side: usize) -> Side {
        let gate = self.next_gate;
        self.next_gate += 1;
        self.gates.insert(gate, (pipe, side));
        self.gates_by_pair.insert(port.end().identity(), gate);
        port.start();
        port.end().watch_close();
        let ready = Arc::clone(&self.ready);
        // Calls back at once if something is queued already; it is looked at in the next poll.
        port.on_ready(move || ready.push(gate));
        Side::Local(Box::new(Local {
            gate,
            port,
            unread: Unread::default(),
        }))
    }

    /// Gives a side that travelled in a message to somebody in this process.
    pub(super) fn land(&mut self, cargo: u64) -> Option<TransferredPort> {
        let (id, side) = self.cargo.remove(&cargo)?;
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let local = self.settle_in(port1, id, side);
        let pipe = self.pipes.get_mut(&id)?;
        pipe.sides[side] = local;
        pipe.hops[side] = 0;
        self.work.push_back(Work::Advance(id, 1 - side));
        port2.transfer().ok()
    }

    /// Takes a port of this process out of it: the pipe and side that stand for it, with all that
    /// is queued on either way. The side is [`Side::Gone`] until it is placed.
    pub(super) fn uproot(&mut self, mut port: MessagePort) -> (PipeId, usize) {
        port.start();
        let gate = self.gates_by_pair.get(&port.end().identity()).copied();
        let place = gate.and_then(|gate| self.gates.get(&gate).copied());
        let place = place.filter(|_| port.is_entangled());
        if let Some((id, side)) = place {
            if let Some(local) = self.take_local(id, side) {
                self.keep_backlog(id, side, port, *local);
                return (id, side);
            }
        }
        // Its partner, if it has one, is in somebody's hands here: this is the node's end now.
        let id = self.next_pipe;
        self.next_pipe += 1;
        let quiet = !port.is_entangled() && port.queued() == 0;
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
        self.gates.remove(&local.gate);
        self.gates_by_pair.remove(&local.port.end().identity());
        Some(local)
    }

    /// `port` was in a user's hands, `local` holds its partner; both go, their queues stay.
    fn keep_backlog(&mut self, id: PipeId, side: usize, port: MessagePort, local: Local) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let (sent, received) = (local.port.queued(), port.queued());
        let out = &mut pipe.flows[side];
        if sent > 0 && !out.done && !out.stopped {
            out.entered = out.entered.wrapping_add(sent as u64);
            out.queue.push_back(Item::Backlog {
                port: Box::new(local.port),
                left: sent,
                unread: Unread::default(),
            });
        }
        let back = &mut pipe.flows[1 - side];
        if received > 0 && !back.done && !back.stopped {
            back.left = back.left.wrapping_sub(received as u64);
            back.queue.push_front(Item::Backlog {
                port: Box::new(port),
                left: received,
                unread: local.unread,
            });
        } else {
            self.release_unread(local.unread);
        }
    }

    /// The next thing to leave a pipe: what is queued, else what the local port has posted, else
    /// what comes from the pipe that this one will be joined with, whose marker has come.
    pub(super) fn next_item(&mut self, id: PipeId, entry: usize) -> Option<Item> {
        let mut passed = vec![(id, entry)];
        let mut at = (id, entry);
        // No more than `MAX_FOLDS` times, and in no ring: see `folds_beyond`.
        while let Some(next) = self.folded_into(at) {
            passed.push(next);
            at = next;
        }
        let item = self.next_here(at.0, at.1)?;
        if passed.len() == 1 {
            return Some(item);
        }
        // The end passes when the two are joined.
        if let Item::End { .. } = item {
            self.pipes.get_mut(&at.0)?.flows[at.1]
                .queue
                .push_front(item);
            return None;
        }
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
        match pipe.sides[entry] {
            Side::Fold {
                with, marked: true, ..
            } if flow.queue.is_empty() && !flow.done => Some((with.0, 1 - with.1)),
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
                Some(Item::Backlog { port, left, .. }) => {
                    *left = left.saturating_sub(1);
                    let event = port.try_recv().ok();
                    if *left == 0 || event.is_none() {
                        // At once, so that what is behind needs no credit if it is no message.
                        if let Some(Item::Backlog { unread, .. }) = flow.queue.pop_front() {
                            self.release_unread(unread);
                        }
                    }
                    if let Some(event) = event {
                        return Some(item_of(event));
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
        let close = match local.port.try_recv() {
            Ok(Event::Message(message)) => {
                pipe.flows[entry].entered = pipe.flows[entry].entered.wrapping_add(1);
                return Some(item_of(Event::Message(message)));
            }
            Ok(Event::Close) if local.port.is_entangled() || local.port.queued() > 0 => {
                pipe.flows[entry].entered = pipe.flows[entry].entered.wrapping_add(1);
                return Some(Item::Close { from: None });
            }
            Ok(Event::Close) => true,
            Err(TryRecvError::Closed) => false,
            Err(TryRecvError::Empty) => return None,
        };
        self.end_from(id, entry, close);
        // The end is in the queue now, unless nobody awaits it.
        self.pipes.get_mut(&id)?.flows[entry].queue.pop_front()
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
                Cargo::Port(port) => message.ports.extend(port.transfer().ok()),
                Cargo::Side(number) => {
                    if let Some((pipe, side)) = self.cargo.get(&number).copied() {
                        adopts.extend(self.take_adopt(pipe, side));
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
        let stale = local.unread.add(parcel.from, length, adopts);
        local.port.post_message(message);
        self.release_unread(stale);
    }

    fn post_close(&mut self, id: PipeId, entry: usize, from: Option<Address>) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        pipe.flows[entry].left = pipe.flows[entry].left.wrapping_add(1);
        if let Side::Local(local) = &mut pipe.sides[1 - entry] {
            let stale = local.unread.add(from, 0, Vec::new());
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
        if local.unread.messages > 0 && local.port.end().watch_partner() {
            let from = local.unread.from;
            let read = mem::replace(
                &mut local.unread,
                Unread {
                    from,
                    ..Unread::default()
                },
            );
            self.release_unread(read);
        }
    }

    pub(super) fn release_unread(&mut self, unread: Unread) {
        self.release(unread.from, unread.bytes, unread.messages);
        for adopt in unread.adopts {
            self.acknowledge(&adopt);
        }
    }

    pub(super) fn release(&mut self, from: Option<Address>, bytes: u64, messages: u64) {
        let window = self.window();
        if let Some(from) = from {
            if let Some(link) = self.links.get_mut(&from.link) {
                link.release(from.channel, bytes, messages, window);
            }
        }
    }

    pub(super) fn take_adopt(&mut self, id: PipeId, side: usize) -> Option<Adopt> {
        self.pipes.get_mut(&id)?.adopts[side].take()
    }

    pub(super) fn acknowledge(&mut self, adopt: &Adopt) {
        if let Some(link) = self.links.get_mut(&adopt.link) {
            link.acknowledge(adopt);
        }
    }

    pub(super) fn window(&self) -> (u64, u64) {
        let limits = &self.limits;
        (limits.window_bytes.into(), limits.window_messages.into())
    }
}

fn item_of(event: Event) -> Item {
    match event {
        Event::Message(message) => Item::Message(Parcel {
            payload: message.payload,
            cargo: message
                .ports
                .into_iter()
                .map(|port| Cargo::Port(port.receive()))
                .collect(),
            attachment: message.attachment,
            from: None,
        }),
        Event::Close => Item::Close { from: None },
    }
}
