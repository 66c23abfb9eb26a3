//! One stashed port, and what it has received.

use std::collections::VecDeque;

use sw_types::{RegistrationId, Timestamp, WorkerId};

use crate::{EntryId, Item, Limits, NewEntry, Released};

/// A stashed port. (SEMANTICS §4.1, "one stash per registration".)
#[derive(Debug)]
pub struct Entry<P, M> {
    registration: RegistrationId,
    stashed_by: WorkerId,
    created: Timestamp,
    port: P,
    pub(crate) name: String,
    /// Where it stands in its registration's order.
    pub(crate) place: u64,
    peer_closed: bool,
    /// Whether it is a port inside a message of another entry: see [`Stash::carry`](crate::Stash::carry).
    pub(crate) carried: bool,
    /// The entry that its port is entangled with, as far as the stash was told.
    pub(crate) peer: Option<EntryId>,
    queue: VecDeque<Queued<M>>,
    /// How many items have left the queue at its front: the position of the first that is in it.
    taken: u64,
    /// The positions of the messages that are not accepted yet, oldest first.
    unaccepted: VecDeque<u64>,
    in_flight: Option<InFlight>,
    /// Of everything queued and in flight.
    bytes: u64,
}

#[derive(Debug)]
struct Queued<M> {
    item: Item<M>,
    bytes: u64,
}

/// What a worker has been given and has not dispatched yet.
#[derive(Debug)]
struct InFlight {
    worker: WorkerId,
    is_close: bool,
    bytes: u64,
}

/// What comes of an entry when something in flight has been dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Lives,
    /// Its `close` event has been dispatched.
    Ends,
}

impl<P, M> Entry<P, M> {
    pub(crate) fn new(new: NewEntry<P>, place: u64) -> Self {
        Self {
            registration: new.registration,
            stashed_by: new.worker,
            created: new.created,
            port: new.port,
            name: new.name,
            place,
            peer_closed: false,
            carried: false,
            peer: None,
            queue: VecDeque::new(),
            taken: 0,
            unaccepted: VecDeque::new(),
            in_flight: None,
            bytes: 0,
        }
    }

    /// The registration that owns it.
    #[must_use]
    pub const fn registration(&self) -> RegistrationId {
        self.registration
    }

    /// The worker that stashed it.
    #[must_use]
    pub const fn stashed_by(&self) -> WorkerId {
        self.stashed_by
    }

    /// When it was stashed.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port, for a view's `postMessage`.
    #[must_use]
    pub const fn port(&self) -> &P {
        &self.port
    }

    /// Its port, for a view's `postMessage`.
    #[must_use]
    pub const fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// Whether its port is still entangled, as far as the stash was told.
    #[must_use]
    pub const fn is_entangled(&self) -> bool {
        !self.peer_closed
    }

    /// Whether it is a port inside a message of another entry.
    #[must_use]
    pub const fn is_carried(&self) -> bool {
        self.carried
    }

    /// How much of the registration's quota its messages take.
    #[must_use]
    pub const fn queued_bytes(&self) -> u64 {
        self.bytes
    }

    /// What is to be delivered next, unless a delivery is under way, or it is not accepted yet.
    pub(crate) fn next(&self) -> Option<&Item<M>> {
        let waits = self.unaccepted.front() == Some(&self.taken);
        match self.in_flight {
            None if !waits => self.queue.front().map(|queued| &queued.item),
            _ => None,
        }
    }

    /// The oldest message that is not accepted yet is; whether there was one.
    pub(crate) fn accept(&mut self) -> bool {
        self.unaccepted.pop_front().is_some()
    }

    /// How many messages it holds that have not been given to a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len() - usize::from(self.peer_closed && !self.queue.is_empty())
    }

    /// How many of them are not accepted yet.
    #[must_use]
    pub fn unaccepted(&self) -> usize {
        self.unaccepted.len()
    }

    /// The messages that wait, oldest first, without what is being delivered.
    pub fn waiting_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut M> {
        self.queue
            .iter_mut()
            .filter_map(|queued| match &mut queued.item {
                Item::Message(message) => Some(message),
                Item::Close => None,
            })
    }

    /// Its place in its registration's order: greater than those of entries before it.
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.place
    }

    /// Queues a message; gives what it takes of the quota.
    pub(crate) fn push(&mut self, message: M, bytes: usize, accepted: bool) -> u64 {
        let bytes = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(Limits::MESSAGE_OVERHEAD)
            .min(u64::MAX - self.bytes);
        self.bytes += bytes;
        if !accepted {
            let behind = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
            self.unaccepted.push_back(self.taken.saturating_add(behind));
        }
        let item = Item::Message(message);
        self.queue.push_back(Queued { item, bytes });
        bytes
    }

    /// The peer is closed; what it sent before is delivered first.
    pub(crate) fn close_after_last_message(&mut self) {
        self.peer_closed = true;
        let item = Item::Close;
        self.queue.push_back(Queued { item, bytes: 0 });
    }

    /// Gives the next item to `worker`.
    pub(crate) fn send_to(&mut self, worker: WorkerId) -> Option<Item<M>> {
        let Queued { item, bytes } = self.queue.pop_front()?;
        self.taken += 1;
        self.in_flight = Some(InFlight {
            worker,
            is_close: matches!(item, Item::Close),
            bytes,
        });
        Some(item)
    }

    pub(crate) fn is_in_flight_to(&self, worker: WorkerId) -> bool {
        self.in_flight.as_ref().is_some_and(|f| f.worker == worker)
    }

    pub(crate) fn has_message_in_flight(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|f| !f.is_close)
    }

    /// What was in flight has been dispatched; gives what is free of the quota now.
    pub(crate) fn consume(&mut self) -> (u64, Afterwards) {
        match self.in_flight.take() {
            Some(in_flight) => {
                self.bytes -= in_flight.bytes;
                let afterwards = match in_flight.is_close {
                    true => Afterwards::Ends,
                    false => Afterwards::Lives,
                };
                (in_flight.bytes, afterwards)
            }
            None => (0, Afterwards::Lives),
        }
    }

    /// What was in flight comes back to the front. `false`, and nothing is changed, if that is not
    /// what was in flight.
    pub(crate) fn requeue(&mut self, item: Item<M>) -> bool {
        let is_close = matches!(item, Item::Close);
        match self.in_flight.take() {
            Some(in_flight) if in_flight.is_close == is_close => {
                let bytes = in_flight.bytes;
                self.queue.push_front(Queued { item, bytes });
                self.taken -= 1;
                true
            }
            other => {
                self.in_flight = other;
                false
            }
        }
    }

    pub(crate) fn into_port(self) -> P {
        self.port
    }

    /// Its port, and what nobody has seen.
    pub(crate) fn release(self, undispatched: Option<M>) -> Released<P, M> {
        let in_flight = self.has_message_in_flight();
        let queued = self
            .queue
            .into_iter()
            .filter_map(|queued| match queued.item {
                Item::Message(message) => Some(message),
                Item::Close => None,
            });
        let messages = undispatched.filter(|_| in_flight).into_iter().chain(queued);
        Released {
            port: self.port,
            messages: messages.collect(),
            closed: self.peer_closed,
        }
    }
}
