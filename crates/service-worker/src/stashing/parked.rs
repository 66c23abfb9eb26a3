//! A message in the stash: its payload or where that is, the ports that it carries, and what the
//! store has of it.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures_channel::mpsc;
use message_port::{Event, Message, MessagePort, TransferredPort};
use stash::record::{self, Kind};
use stash::{EntryId, Input, Released};

use super::known::Stashing;
use super::lock;
use crate::shared::{Shared, ToDriver};

/// A message in the stash. Dropping ports may run what others wait with for them; so that never
/// happens under the stash's lock, it is left to the driver.
pub(crate) struct Parked {
    /// `None` if only the store has it.
    pub(super) payload: Option<Bytes>,
    pub(super) bytes: usize,
    pub(super) ports: Vec<Passenger>,
    /// What the store has of it.
    pub(super) stored: Option<Stored>,
    /// Whether it came to a durable entry, where it waits to be accepted.
    pub(super) waits: bool,
    driver: mpsc::UnboundedSender<ToDriver>,
}

/// A port that a message carries.
#[derive(Debug)]
pub(crate) enum Passenger {
    /// As it came.
    Port(TransferredPort),
    /// In the stash, where what it receives is stored.
    Kept(EntryId),
}

/// What the store has of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(super) entry: EntryId,
    /// Its number: greater than those of the messages before it.
    pub(super) number: u64,
    /// Whether an earlier run of the process may have dispatched it.
    pub(super) redelivered: bool,
    /// How often it was delivered again.
    pub(super) attempts: u32,
    /// Whether that counts the delivery of this run.
    pub(super) counted: bool,
}

impl Stored {
    pub(super) const fn new(entry: EntryId, number: u64) -> Self {
        Self {
            entry,
            number,
            redelivered: false,
            attempts: 0,
            counted: false,
        }
    }

    fn body_key(self) -> Vec<u8> {
        record::key(self.entry, Kind::Body(self.number))
    }
}

impl Parked {
    pub(super) fn new(message: Message, driver: mpsc::UnboundedSender<ToDriver>) -> Self {
        Self {
            bytes: message.payload.len(),
            payload: Some(message.payload),
            ports: message.ports.into_iter().map(Passenger::Port).collect(),
            stored: None,
            waits: false,
            driver,
        }
    }

    /// One that an earlier run of the process has stored.
    pub(super) const fn restored(
        payload: Option<Bytes>,
        bytes: usize,
        ports: Vec<Passenger>,
        stored: Stored,
        driver: mpsc::UnboundedSender<ToDriver>,
    ) -> Self {
        Self {
            payload,
            bytes,
            ports,
            stored: Some(stored),
            waits: false,
            driver,
        }
    }

    /// What it takes of the quota: a port is not free.
    pub(super) fn charge(&self) -> usize {
        let overhead = usize::try_from(stash::Limits::MESSAGE_OVERHEAD).unwrap_or(usize::MAX);
        let ports = self.ports.len().saturating_mul(overhead);
        self.bytes.saturating_add(ports)
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = EntryId> {
        self.ports.iter().filter_map(|port| match port {
            Passenger::Kept(id) => Some(*id),
            Passenger::Port(_) => None,
        })
    }

    fn missing(&self) -> Option<Vec<u8>> {
        match self.payload {
            Some(_) => None,
            None => self.stored.map(Stored::body_key),
        }
    }

    fn fill(&mut self, bodies: &BTreeMap<Vec<u8>, Bytes>) {
        if let Some(found) = self.missing().and_then(|key| bodies.get(&key)) {
            self.payload = Some(found.clone());
        }
    }

    /// The message, with its kept ports out of `ports`; one that is not there has been closed.
    fn unpark(mut self, ports: &mut BTreeMap<EntryId, TransferredPort>) -> Message {
        let closed = || MessagePort::new().transfer().ok();
        let carried = mem::take(&mut self.ports).into_iter();
        let carried = carried.filter_map(|port| match port {
            Passenger::Port(port) => Some(port),
            Passenger::Kept(id) => ports.remove(&id).or_else(closed),
        });
        Message {
            ports: carried.collect(),
            payload: self.payload.take().unwrap_or_default(),
            attachment: None,
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if !self.ports.is_empty() {
            let ports = mem::take(&mut self.ports);
            // Without a driver, they are dropped here.
            let _gone = self.driver.unbounded_send(ToDriver::Discard(ports));
        }
    }
}

impl Stashing {
    /// The payloads that only the store has, of a message and of what waits in its kept ports.
    pub(super) fn missing(&mut self, parked: &Parked) -> Vec<Vec<u8>> {
        let mut missing: Vec<_> = parked.missing().into_iter().collect();
        let mut below: VecDeque<_> = parked.kept().collect();
        while let Some(id) = below.pop_front() {
            for inner in self.waiting(id) {
                missing.extend(inner.missing());
                below.extend(inner.kept());
            }
        }
        missing
    }

    /// Puts payloads where they are missing.
    pub(super) fn fill(&mut self, parked: &mut Parked, bodies: &BTreeMap<Vec<u8>, Bytes>) {
        parked.fill(bodies);
        let mut below: VecDeque<_> = parked.kept().collect();
        while let Some(id) = below.pop_front() {
            for inner in self.waiting(id) {
                inner.fill(bodies);
                below.extend(inner.kept());
            }
        }
    }

    fn waiting(&mut self, id: EntryId) -> impl Iterator<Item = &mut Parked> {
        let entry = self.stash.entry_mut(id);
        entry.into_iter().flat_map(stash::Entry::waiting_mut)
    }
}

impl Shared {
    /// The messages as they came, with all their ports and what those have received; and the kept
    /// ports that are none any more.
    ///
    /// From the outside in and then from the inside out, not by recursion: scripts choose how deep
    /// ports travel in ports.
    pub(super) fn unpack(&self, parked: Vec<Parked>) -> (Vec<Message>, Vec<EntryId>) {
        let mut below: VecDeque<_> = parked.iter().flat_map(Parked::kept).collect();
        let mut released = Vec::new();
        while let Some(id) = below.pop_front() {
            if let Some((port, messages, closed)) = self.release(id) {
                below.extend(messages.iter().flat_map(Parked::kept));
                released.push((id, port, messages, closed));
            }
        }
        let gone = released.iter().map(|(id, ..)| *id).collect();
        let mut ports = BTreeMap::new();
        for (id, mut port, messages, closed) in released.into_iter().rev() {
            let events = events(messages, closed, &mut ports);
            port.put_back(events);
            if let Ok(port) = port.transfer() {
                ports.insert(id, port);
            }
        }
        let unparked = parked.into_iter().map(|parked| parked.unpark(&mut ports));
        (unparked.collect(), gone)
    }

    /// Takes a port out of the stash.
    fn release(&self, id: EntryId) -> Option<(MessagePort, Vec<Parked>, bool)> {
        let stashing = self.stashing();
        let entry = stashing.stash.entry(id).filter(|entry| entry.is_carried());
        let bound = Arc::clone(entry?.port());
        drop(stashing);
        self.release_from(id, &bound)
    }

    /// The same, with what the stash has as its port.
    pub(super) fn release_from(
        &self,
        id: EntryId,
        bound: &super::Bound,
    ) -> Option<(MessagePort, Vec<Parked>, bool)> {
        let now = self.clock.now();
        // Before the stash, as the driver does: nothing is between the two then.
        let mut bound = lock(bound);
        let mut stashing = self.stashing();
        let undispatched = None;
        let entry = id;
        let transfer = Input::Transfer {
            entry,
            undispatched,
        };
        stashing.stash.handle_input(now, transfer);
        // `None` if it was closed or transferred meanwhile.
        let released = stashing.stash.take_released(id)?;
        drop(stashing);
        let Released {
            messages, closed, ..
        } = released;
        let mut port = mem::take(&mut *bound);
        drop(bound);
        port.clear_on_ready();
        Some((port, messages, closed))
    }
}

fn events(
    messages: Vec<Parked>,
    closed: bool,
    ports: &mut BTreeMap<EntryId, TransferredPort>,
) -> Vec<Event> {
    let messages = messages.into_iter().map(|parked| parked.unpark(ports));
    // Its new owner hears of a peer that is closed, as it would have from the port itself.
    let close = closed.then_some(Event::Close);
    messages.map(Event::Message).chain(close).collect()
}
