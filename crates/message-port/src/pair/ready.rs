//! What the owner of an end finds there, and how he hears of what he did not find.

use std::mem;
use std::task::Waker;

use super::{EndRef, Hint, Inbox, Notification, ReadyCallback};

/// An emptied queue that has room for more events than this gives its memory back.
pub(super) const RETAINED_EVENTS: usize = 8;

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

impl EndRef {
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

    /// Sets the callback, and what it is called with. Hands out whom to call now, and the old
    /// callback for dropping.
    pub(crate) fn listen(
        &self,
        on_ready: ReadyCallback,
        label: u64,
        inbox: &Inbox,
    ) -> (Notification, Option<ReadyCallback>) {
        let received = inbox.begins_with_message();
        let mut state = self.lock();
        let entangled = state.entangled;
        let own = state.own(self.side);
        let replaced = own.on_ready.replace(on_ready);
        own.label = label;
        own.armed = true;
        let ended = !entangled && received.is_none() && own.queue.is_empty();
        let now = if ended || own.is_deliverable(received) {
            own.notify()
        } else {
            Notification::default()
        };
        (now, replaced)
    }

    /// Takes the callback away, for dropping.
    pub(crate) fn unlisten(&self) -> Option<ReadyCallback> {
        self.lock().own(self.side).on_ready.take()
    }

    /// Whether `inbox` together with the shared queue holds something that may be delivered.
    pub(crate) fn has_deliverable(&self, inbox: &Inbox) -> bool {
        let received = inbox.begins_with_message();
        self.lock().own(self.side).is_deliverable(received)
    }
}
