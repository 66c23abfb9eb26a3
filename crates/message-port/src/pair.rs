//! The state that two entangled ends share, and the one lock that guards it.
//!
//! All synchronisation of the crate is in this file, but for the lock on the shape of the graph in
//! `reclaim.rs`. Its rules:
//!
//! - **One mutex a pair**, a leaf: while it is held no other lock of the crate is taken, so pairs
//!   have no order among themselves. Every function here locks at most one pair at a time.
//! - **Nothing of a caller runs under it**: no waker is cloned, woken or dropped, no callback
//!   called, no message dropped. What has to happen afterwards is returned, as a [`Notification`]
//!   or as the thing to drop.
//! - A poisoned lock is entered all the same: with no foreign code inside, each change is whole.
//!
//! - Beside the lock there is one atomic for each end, a [`Hint`] of what the owner would find. It
//!   is written under the lock and read without: no decision rests on it, only the choice of what
//!   to prepare before the lock is taken, and when a blocked receiver stops spinning.
//!
//! The receiving half swaps whole queues out of here into an [`Inbox`] of its own, so that it
//! takes the lock once a batch and the sender seldom meets it.

use std::collections::VecDeque;
use std::mem;
use std::sync::PoisonError;
use std::task::Waker;

use crate::sync::{Arc, AtomicU8, Mutex, MutexGuard, Ordering, constant};
use crate::{Event, Message};

/// Called when an event may be delivered, with the number that the listener gave; see
/// `MessagePort::on_ready`. A thin pointer, since every end has room for one and few have one; with
/// a number, so that one callback serves any number of ends.
pub(crate) type ReadyCallback = std::sync::Arc<Box<dyn Fn(u64) + Send + Sync>>;

/// An emptied queue that has room for more events than this gives its memory back.
const RETAINED_EVENTS: usize = 8;

/// Two ends, entangled at first.
pub(crate) struct Pair {
    state: Mutex<PairState>,
    /// For each end, a [`Hint`].
    hints: [AtomicU8; 2],
}

/// What the owner of an end would have found in the shared state a moment ago.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hint {
    /// Nothing, and nobody waits.
    Idle,
    /// Nothing, and the owner's waker is registered.
    Waiting,
    /// Something.
    Ready,
}

struct PairState {
    /// Whether the two ends are entangled with each other. Once false, never true again.
    entangled: bool,
    ends: [End; 2],
}

/// One end's share of the state.
pub(crate) struct End {
    /// What has arrived and has not been swapped into the owner's inbox: the newer part of the
    /// port message queue.
    queue: Vec<Event>,
    /// Whether a close lies behind all of `queue`. (An end of a pair gets nothing after it. It has
    /// no place in `queue`, so that most pairs end without an allocation.)
    closing: bool,
    /// How many ports travel in the port message queue, the owner's inbox included.
    queued_ports: usize,
    /// The end in whose queue this end's port travels, while it does.
    /// **Invariant:** set, under the topology lock, before the message is queued; cleared before
    /// the message is handed out. See `reclaim.rs`.
    holder: Option<Arc<Pair>>,
    /// Which end of `holder`.
    holder_side: Side,
    waker: Option<Waker>,
    on_ready: Option<ReadyCallback>,
    /// What `on_ready` is called with.
    label: u64,
    /// Whether the owner found nothing to deliver since it was last notified.
    armed: bool,
    /// Whether the owner wants to be notified when the other end takes what was posted to it.
    watching: bool,
    /// Whether the owner wants to be notified of the close even while it has not come to the end
    /// of the queue.
    watching_close: bool,
    /// Whether the port message queue is enabled.
    enabled: bool,
    /// Whether the port has been shipped (transferred, or entangled with one that was).
    shipped: bool,
    /// \[\[Detached\]\]: whether the port was closed.
    detached: bool,
}

/// Names one end of a pair. No handle: dropping it means nothing.
#[derive(Clone)]
pub(crate) struct EndRef {
    pair: Arc<Pair>,
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

/// The older part of a port message queue, which only the port's owner reaches. One pointer, since
/// most ports wait for something most of the time. The mutex is locked by queries through `&self`
/// alone, hence uncontended; it makes the port `Sync`.
#[derive(Default)]
pub(crate) struct Inbox(Option<Box<Mutex<VecDeque<Event>>>>);

/// Whom to tell that an event can be delivered, once no lock is held.
#[derive(Default)]
#[must_use = "an unsent notification is a lost wake-up"]
pub(crate) struct Notification {
    waker: Option<Waker>,
    on_ready: Option<(ReadyCallback, u64)>,
}

/// What `EndRef::take_ready` found.
pub(crate) enum Taken {
    /// The inbox now holds at least one event. The notification is for the other end.
    Refilled(Notification),
    /// A close that no message precedes. The notification is for the other end.
    Close(Notification),
    /// Nothing, and nothing will come.
    Ended,
    /// Nothing now; the owner will be notified.
    Nothing,
}

impl Inbox {
    /// The events, if there ever were some.
    #[inline]
    pub(crate) fn events(&mut self) -> Option<&mut VecDeque<Event>> {
        let events = self.0.as_mut()?.get_mut();
        Some(events.unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `events` before all others, in their order.
    pub(crate) fn put_back(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let inbox = self.0.get_or_insert_with(Box::default).get_mut();
        let inbox = inbox.unwrap_or_else(PoisonError::into_inner);
        for event in events.into_iter().rev() {
            inbox.push_front(event);
        }
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.events().is_none_or(|events| events.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |events| lock(events).len())
    }

    /// Whether the first event is a message; `None` if there is no event.
    pub(crate) fn begins_with_message(&self) -> Option<bool> {
        let events = lock(self.0.as_ref()?);
        Some(matches!(events.front()?, Event::Message(_)))
    }

    /// Takes `events` in while it is empty, and hands out the memory of former ones. Takes
    /// constant time and allocates nothing, except the first time.
    fn refill(&mut self, events: Vec<Event>) -> Vec<Event> {
        match self.events() {
            Some(emptied) => mem::replace(emptied, events.into()).into(),
            None => {
                self.0 = Some(Box::new(Mutex::new(events.into())));
                Vec::new()
            }
        }
    }

    /// Gives its memory back if it is empty and has room for more than `retained` events.
    fn shrink(&mut self, retained: usize) {
        if self
            .events()
            .is_some_and(|events| events.is_empty() && events.capacity() > retained)
        {
            self.0 = None;
        }
    }
}

impl Pair {
    /// Two new ends, entangled with each other.
    pub(crate) fn entangled() -> (EndRef, EndRef) {
        // A constant, so that making a pair is an allocation and a copy.
        let pair = Arc::new(constant!(Self {
            state: Mutex::new(PairState {
                entangled: true,
                ends: [End::NEW; 2],
            }),
            hints: [
                AtomicU8::new(Hint::Idle as u8),
                AtomicU8::new(Hint::Idle as u8),
            ],
        }));
        let first = EndRef {
            pair: Arc::clone(&pair),
            side: Side::First,
        };
        let second = EndRef {
            pair,
            side: Side::Second,
        };
        (first, second)
    }

    /// A new end without a partner.
    pub(crate) fn alone() -> EndRef {
        let (end, _) = Self::entangled();
        end.lock().entangled = false;
        end
    }
}

impl EndRef {
    /// The end at the other side of the pair, entangled or not.
    pub(crate) fn other(&self) -> Self {
        Self {
            pair: Arc::clone(&self.pair),
            side: self.side.other(),
        }
    }

    /// Whether both name the same end.
    pub(crate) fn is(&self, end: &Self) -> bool {
        Arc::ptr_eq(&self.pair, &end.pair) && self.side == end.side
    }

    /// See `MessagePort::pair_key`.
    pub(crate) fn pair_key(&self) -> usize {
        Arc::as_ptr(&self.pair) as usize
    }

    pub(crate) fn is_entangled(&self) -> bool {
        self.lock().entangled
    }

    pub(crate) fn is_entangled_with(&self, end: &Self) -> bool {
        Arc::ptr_eq(&self.pair, &end.pair) && self.side != end.side && self.is_entangled()
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.lock().own(self.side).detached
    }

    pub(crate) fn has_been_shipped(&self) -> bool {
        self.lock().own(self.side).shipped
    }

    /// Whether `inbox` together with the shared queue holds something that may be delivered.
    pub(crate) fn has_deliverable(&self, inbox: &Inbox) -> bool {
        let received = inbox.begins_with_message();
        let mut state = self.lock();
        let own = state.own(self.side);
        let is_message = |event: &Event| matches!(event, Event::Message(_));
        match received.or_else(|| own.queue.first().map(is_message)) {
            Some(true) => own.enabled,
            Some(false) => true,
            None => own.closing,
        }
    }

    /// What there may be for the owner. Changes as it likes; see [`Hint`].
    #[inline]
    pub(crate) fn hint(&self) -> Hint {
        match self.pair.hints[self.side as usize].load(Ordering::Relaxed) {
            idle if idle == Hint::Idle as u8 => Hint::Idle,
            waiting if waiting == Hint::Waiting as u8 => Hint::Waiting,
            _ => Hint::Ready,
        }
    }

    /// Sets the hint of `side`; only under the lock.
    fn set_hint(&self, side: Side, hint: Hint) {
        self.pair.hints[side as usize].store(hint as u8, Ordering::Relaxed);
    }

    /// Whether any port travels in the queue, the owner's inbox included.
    pub(crate) fn has_queued_ports(&self) -> bool {
        self.lock().own(self.side).queued_ports > 0
    }

    /// Says that `ports` were taken out of the owner's inbox.
    pub(crate) fn took_ports(&self, ports: usize) {
        self.lock().own(self.side).queued_ports -= ports;
    }

    /// Says that `ports` were put back into the owner's inbox.
    pub(crate) fn put_back_ports(&self, ports: usize) {
        self.lock().own(self.side).queued_ports += ports;
    }

    /// Queues `message` at the other end; hands it back if there is no other end.
    #[inline]
    pub(crate) fn send(&self, message: Message) -> Result<Notification, Message> {
        let mut state = self.lock();
        if !state.entangled {
            // Moved out before the guard goes, dropped by the caller after.
            return Err(message);
        }
        let peer = state.own(self.side.other());
        peer.queued_ports += message.ports.len();
        peer.queue.push(Event::Message(message));
        self.set_hint(self.side.other(), Hint::Ready);
        Ok(peer.arrived())
    }

    /// Breaks the link: `Event::Close` for the other end only. `detach` sets \[\[Detached\]\] as well.
    /// The notifications are for the other end, and for this one, whose receiver may have come to
    /// its end by this.
    pub(crate) fn disentangle(&self, detach: bool) -> [Notification; 2] {
        let mut state = self.lock();
        state.own(self.side).detached |= detach;
        if !state.entangled {
            return Default::default();
        }
        let other = state.unlink(self.side);
        self.set_hint(Side::First, Hint::Ready);
        self.set_hint(Side::Second, Hint::Ready);
        [other, state.own(self.side).notify()]
    }

    /// Enables the port message queue. `backlog`: whether the owner's inbox holds something.
    pub(crate) fn enable(&self, backlog: bool) -> Notification {
        let mut state = self.lock();
        let own = state.own(self.side);
        own.enabled = true;
        if backlog || !own.queue.is_empty() {
            own.notify()
        } else {
            Notification::default()
        }
    }

    /// The shared part of HTML's transfer steps: both ends are shipped from now on, the queue is
    /// disabled, nobody listens. Hands out the old listeners for dropping; `None` if detached.
    pub(crate) fn ship(&self) -> Option<Notification> {
        let mut state = self.lock();
        if state.own(self.side).detached {
            return None;
        }
        // Transfer steps, 1: set value's has been shipped flag to true.
        state.own(self.side).shipped = true;
        // Step 3.1: set remotePort's has been shipped flag to true.
        if state.entangled {
            state.own(self.side.other()).shipped = true;
        }
        let own = state.own(self.side);
        own.enabled = false;
        own.armed = false;
        Some(own.take_listeners())
    }

    /// Takes what can be delivered. The caller has nothing deliverable in `inbox`. If there is
    /// nothing, the owner is notified when there is: through `waker` if given, and its callback.
    pub(crate) fn take_ready(&self, inbox: &mut Inbox, waker: Option<&Waker>) -> Taken {
        // A waker is foreign code: cloned before the lock is taken, dropped after it was released.
        let mut clone: Option<Waker> = match self.hint() {
            Hint::Idle => waker.cloned(),
            Hint::Waiting | Hint::Ready => None,
        };
        loop {
            let mut state = self.lock();
            let entangled = state.entangled;
            let own = state.own(self.side);
            if own.enabled && !own.queue.is_empty() {
                let events = mem::take(&mut own.queue);
                own.queue = inbox.refill(events);
                self.set_hint(self.side, Hint::Idle);
                return Taken::Refilled(state.own(self.side.other()).taken_from());
            }
            if inbox.is_empty() && own.take_leading_close() {
                return Taken::Close(state.own(self.side.other()).taken_from());
            }
            if !entangled && inbox.is_empty() && own.queue.is_empty() {
                return Taken::Ended;
            }
            let known = own.waker.as_ref();
            let registered = waker.is_none_or(|w| known.is_some_and(|known| known.will_wake(w)));
            if registered || clone.is_some() {
                let replaced = match clone.take() {
                    Some(waker) if !registered => own.waker.replace(waker),
                    unused => unused,
                };
                own.armed = true;
                let hint = own.waker.as_ref().map_or(Hint::Idle, |_| Hint::Waiting);
                self.set_hint(self.side, hint);
                let spare = own.shrink(RETAINED_EVENTS);
                drop(state);
                drop((replaced, spare));
                inbox.shrink(RETAINED_EVENTS);
                return Taken::Nothing;
            }
            drop(state);
            clone = waker.cloned();
        }
    }

    /// Gives back the memory of what was queued, if nothing is.
    pub(crate) fn rest(&self, inbox: &mut Inbox) {
        inbox.shrink(0);
        let spare = self.lock().own(self.side).shrink(0);
        drop(spare);
    }

    /// Sets or clears the callback, and what it is called with. `backlog`: whether the owner's inbox holds something that may
    /// be delivered. Hands out whom to call now, and the old callback for dropping.
    pub(crate) fn listen(
        &self,
        on_ready: Option<ReadyCallback>,
        label: u64,
        backlog: bool,
    ) -> (Notification, Option<ReadyCallback>) {
        let mut state = self.lock();
        let own = state.own(self.side);
        let replaced = mem::replace(&mut own.on_ready, on_ready);
        own.label = label;
        own.armed = true;
        let now = if backlog { own.notify() } else { own.arrived() };
        (now, replaced)
    }

    /// What `callback` is called with if it listens at the other end of the pair.
    pub(crate) fn label_at_other(&self, callback: &ReadyCallback) -> Option<u64> {
        let mut state = self.lock();
        let other = state.own(self.side.other());
        let same = |known: &ReadyCallback| std::sync::Arc::ptr_eq(known, callback);
        other
            .on_ready
            .as_ref()
            .is_some_and(same)
            .then_some(other.label)
    }

    /// From now on the callback of this end is called with another number.
    pub(crate) fn relabel(&self, label: u64) {
        self.lock().own(self.side).label = label;
    }

    /// The end in whose queue this end's port travels.
    pub(crate) fn holder(&self) -> Option<Self> {
        let mut state = self.lock();
        let own = state.own(self.side);
        let pair = own.holder.clone()?;
        let side = own.holder_side;
        Some(Self { pair, side })
    }

    /// Says in whose queue this end's port travels, or that it does not travel any more.
    pub(crate) fn set_holder(&self, holder: Option<Self>) {
        let side = holder.as_ref().map_or(Side::First, |holder| holder.side);
        let mut state = self.lock();
        let own = state.own(self.side);
        let replaced = mem::replace(&mut own.holder, holder.map(|holder| holder.pair));
        own.holder_side = side;
        // Dropped after the lock: it may be the last reference to its pair.
        drop(state);
        drop(replaced);
    }

    /// Disentangles this end and takes its state away for good. The notification is for the
    /// other end.
    pub(crate) fn take_out(&self) -> (End, Notification) {
        let mut state = self.lock();
        let other = if state.entangled {
            self.set_hint(self.side.other(), Hint::Ready);
            state.unlink(self.side)
        } else {
            Notification::default()
        };
        (mem::take(state.own(self.side)), other)
    }

    /// Puts the state of a former end here, in place of a new end's.
    pub(crate) fn put_in(&self, mut end: End) {
        // From now on something may come after the close.
        if mem::take(&mut end.closing) {
            end.queue.push(Event::Close);
        }
        self.set_hint(self.side, Hint::Ready);
        let fresh = mem::replace(self.lock().own(self.side), end);
        drop(fresh);
    }

    /// Whether the other end has taken all that was posted to it, or never will; if not, the owner
    /// of this end is notified once that is so, through its callback.
    pub(crate) fn watch_partner(&self) -> bool {
        let mut state = self.lock();
        let taken = !state.entangled || state.own(self.side.other()).queue.is_empty();
        state.own(self.side).watching = !taken;
        taken
    }

    /// Has the callback called as soon as the link is broken, though the owner may not have taken
    /// all that is queued.
    pub(crate) fn watch_close(&self) {
        self.lock().own(self.side).watching_close = true;
    }

    /// Queues a `close` at the other end without disentangling: that of a former partner.
    pub(crate) fn post_close(&self) {
        let mut state = self.lock();
        if !state.entangled {
            return;
        }
        let peer = state.own(self.side.other());
        peer.queue.push(Event::Close);
        let notification = peer.arrived();
        self.set_hint(self.side.other(), Hint::Ready);
        drop(state);
        notification.send();
    }

    /// How many events are in the shared part of the queue.
    pub(crate) fn queued_events(&self) -> usize {
        let mut state = self.lock();
        let own = state.own(self.side);
        own.queue.len() + usize::from(own.closing)
    }

    /// The address of the pair and the side, to tell ports apart in logs.
    pub(crate) fn name(&self) -> (*const (), usize) {
        (Arc::as_ptr(&self.pair).cast(), self.side as usize)
    }

    #[cfg(test)]
    #[cfg(not(message_port_loom))]
    pub(crate) fn pair(&self) -> std::sync::Weak<Pair> {
        Arc::downgrade(&self.pair)
    }

    fn lock(&self) -> MutexGuard<'_, PairState> {
        lock(&self.pair.state)
    }
}

impl PairState {
    fn own(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// Disentangle: the other port gets the close, after all that is queued there.
    fn unlink(&mut self, initiator: Side) -> Notification {
        self.entangled = false;
        let other = self.own(initiator.other());
        other.closing = true;
        other.armed |= mem::take(&mut other.watching) | other.watching_close;
        other.arrived()
    }
}

impl End {
    /// As it is in a new pair. (A constant: a pair is then made by one copy.)
    const NEW: Self = Self {
        queue: Vec::new(),
        closing: false,
        queued_ports: 0,
        holder: None,
        holder_side: Side::First,
        waker: None,
        on_ready: None,
        label: 0,
        armed: false,
        watching: false,
        watching_close: false,
        enabled: false,
        shipped: false,
        detached: false,
    };

    /// The shared part of this end's queue.
    pub(crate) fn queued(&self) -> impl Iterator<Item = &Event> {
        self.queue.iter()
    }

    /// Something was queued: notifies if it may be delivered. A disabled queue lets a close pass
    /// only if no message precedes it. (A disabled queue whose older part is not empty may be
    /// notified for nothing; its receiver looks again.)
    fn arrived(&mut self) -> Notification {
        let deliverable = match self.queue.first() {
            Some(Event::Message(_)) => self.enabled,
            Some(Event::Close) => true,
            None => self.closing,
        };
        if deliverable {
            self.notify()
        } else {
            Notification::default()
        }
    }

    /// Takes the close that no message in the shared part of the queue precedes, if there is one.
    fn take_leading_close(&mut self) -> bool {
        match self.queue.first() {
            Some(Event::Message(_)) => false,
            Some(Event::Close) => matches!(self.queue.remove(0), Event::Close),
            None => mem::take(&mut self.closing),
        }
    }

    fn notify(&mut self) -> Notification {
        if !mem::take(&mut self.armed) {
            return Notification::default();
        }
        Notification {
            waker: self.waker.take(),
            on_ready: self.listener(),
        }
    }

    /// The other end has taken what was posted to it.
    fn taken_from(&mut self) -> Notification {
        let on_ready = if mem::take(&mut self.watching) {
            self.listener()
        } else {
            None
        };
        Notification {
            waker: None,
            on_ready,
        }
    }

    fn take_listeners(&mut self) -> Notification {
        Notification {
            waker: self.waker.take(),
            on_ready: self.on_ready.take().map(|on_ready| (on_ready, self.label)),
        }
    }

    fn listener(&self) -> Option<(ReadyCallback, u64)> {
        Some((self.on_ready.clone()?, self.label))
    }

    fn shrink(&mut self, retained: usize) -> Vec<Event> {
        if self.queue.is_empty() && self.queue.capacity() > retained {
            mem::take(&mut self.queue)
        } else {
            Vec::new()
        }
    }
}

impl Default for End {
    fn default() -> Self {
        Self::NEW
    }
}

impl Notification {
    /// Wakes and calls. Hold no lock.
    #[inline]
    pub(crate) fn send(self) {
        if let Some(waker) = self.waker {
            waker.wake();
        }
        if let Some((on_ready, label)) = self.on_ready {
            on_ready(label);
        }
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Locks; a poisoned lock is entered as any other (see the head of this file).
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(not(message_port_loom))]
mod tests {
    use super::*;

    #[test]
    fn an_idle_pair_is_one_allocation_of_at_most_256_bytes() {
        // An Arc adds its two counters. An empty VecDeque has nothing on the heap.
        let counters = 2 * size_of::<usize>();
        assert!(size_of::<Pair>() + counters <= 256, "{}", size_of::<Pair>());
    }
}
