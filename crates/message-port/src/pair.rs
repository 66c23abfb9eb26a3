//! The state that two entangled ends share, and the one lock that guards it.
//!
//! All synchronisation of the crate is in this file and its folder, but for the lock on the shape of
//! the graph in `reclaim.rs`. Its rules:
//!
//! - **One mutex a pair**, a leaf: while it is held no other lock of the crate is taken, so pairs
//!   have no order among themselves. Every function here locks at most one pair at a time.
//! - **Nothing of a caller runs under it**: no waker is cloned, woken or dropped, no callback
//!   called, no message dropped. What has to happen afterwards is returned, as a [`Notification`]
//!   or as the thing to drop.
//! - A poisoned lock is entered all the same: with no foreign code inside, each change is whole.
//! - Beside the lock there is one atomic for each end, a [`Hint`] of what the owner would find. It
//!   is written under the lock and read without: no decision rests on it, only the choice of what
//!   to prepare before the lock is taken, and when a blocked receiver stops spinning.
//!
//! The receiving half swaps whole queues out of here into an [`Inbox`] of its own, so that it
//! takes the lock once a batch and the sender seldom meets it.

#[cfg(not(message_port_loom))]
mod carried;
mod end;
mod holder;
mod inbox;
mod notification;
mod ready;

use std::mem;
use std::sync::PoisonError;

pub(crate) use end::End;
pub(crate) use inbox::Inbox;
pub(crate) use notification::{Notification, ReadyCallback};
pub(crate) use ready::Taken;

use crate::sync::{Arc, AtomicU8, Mutex, MutexGuard, Ordering, constant};
use crate::{Event, Message};

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
        let mut state = self.lock();
        self.set_hint(self.side, Hint::Ready);
        let fresh = mem::replace(state.own(self.side), end);
        drop(state);
        drop(fresh);
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
mod tests;
