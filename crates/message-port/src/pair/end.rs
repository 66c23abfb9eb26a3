//! `End`: one end's share of a pair's state, and what its changes mean for who waits.

use std::mem;
use std::task::Waker;

use super::{Notification, Pair, ReadyCallback, Side};
use crate::Event;
use crate::sync::Arc;

/// One end's share of the state.
pub(crate) struct End {
    /// What has arrived and has not been swapped into the owner's inbox: the newer part of the
    /// port message queue.
    pub(super) queue: Vec<Event>,
    /// Whether a close lies behind all of `queue`. (An end of a pair gets nothing after it. It has
    /// no place in `queue`, so that most pairs end without an allocation.)
    pub(super) closing: bool,
    /// How many ports travel in the port message queue, the owner's inbox included.
    pub(super) queued_ports: usize,
    /// The end in whose queue this end's port travels, while it does.
    /// **Invariant:** set, under the topology lock, before the message is queued; cleared before
    /// the message is handed out. See `reclaim.rs`.
    pub(super) holder: Option<Arc<Pair>>,
    /// Which end of `holder`.
    pub(super) holder_side: Side,
    pub(super) waker: Option<Waker>,
    pub(super) on_ready: Option<ReadyCallback>,
    /// What `on_ready` is called with.
    pub(super) label: u64,
    /// Whether the owner found nothing to deliver since it was last notified.
    pub(super) armed: bool,
    /// Whether the owner wants to be notified when the other end takes what was posted to it.
    pub(super) watching: bool,
    /// Whether the owner wants to be notified of the close even while it has not come to the end
    /// of the queue.
    pub(super) watching_close: bool,
    /// Whether the port message queue is enabled.
    pub(super) enabled: bool,
    /// Whether the port has been shipped (transferred, or entangled with one that was).
    pub(super) shipped: bool,
    /// \[\[Detached\]\]: whether the port was closed.
    pub(super) detached: bool,
}

impl End {
    /// As it is in a new pair. (A constant: a pair is then made by one copy.)
    pub(super) const NEW: Self = Self {
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
    #[inline]
    pub(super) fn arrived(&mut self) -> Notification {
        if self.is_deliverable(None) {
            self.notify()
        } else {
            Notification::default()
        }
    }

    /// Whether the first event may be delivered: a message if the queue is enabled, a close always.
    /// `received`: whether the first event of the owner's inbox is a message, if there is one.
    #[inline]
    pub(super) fn is_deliverable(&self, received: Option<bool>) -> bool {
        let is_message = |event: &Event| matches!(event, Event::Message(_));
        match received.or_else(|| self.queue.first().map(is_message)) {
            Some(true) => self.enabled,
            Some(false) => true,
            None => self.closing,
        }
    }

    /// Whether nothing is left, listeners included, whose end could concern anybody.
    pub(crate) fn is_bare(&self) -> bool {
        self.queue.is_empty() && self.waker.is_none() && self.on_ready.is_none()
    }

    /// Takes the close that no message in the shared part of the queue precedes, if there is one.
    #[inline]
    pub(super) fn take_leading_close(&mut self) -> bool {
        match self.queue.first() {
            Some(Event::Message(_)) => false,
            Some(Event::Close) => matches!(self.queue.remove(0), Event::Close),
            None => mem::take(&mut self.closing),
        }
    }

    #[inline]
    pub(super) fn notify(&mut self) -> Notification {
        if !mem::take(&mut self.armed) {
            return Notification::default();
        }
        Notification {
            waker: self.waker.take(),
            on_ready: self.listener(),
        }
    }

    /// The other end has taken what was posted to it.
    pub(super) fn taken_from(&mut self) -> Notification {
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

    pub(super) fn take_listeners(&mut self) -> Notification {
        Notification {
            waker: self.waker.take(),
            on_ready: self.on_ready.take().map(|on_ready| (on_ready, self.label)),
        }
    }

    fn listener(&self) -> Option<(ReadyCallback, u64)> {
        Some((self.on_ready.clone()?, self.label))
    }

    pub(super) fn shrink(&mut self, retained: usize) -> Vec<Event> {
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
