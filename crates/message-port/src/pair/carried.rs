//! What a node needs of the ends of ports that it carries to other processes.

use super::{EndRef, Hint, Inbox, ReadyCallback};
use crate::Event;

impl EndRef {
    /// Gives back the memory of what was queued, if nothing is.
    pub(crate) fn rest(&self, inbox: &mut Inbox) {
        inbox.shrink(0);
        let spare = self.lock().own(self.side).shrink(0);
        drop(spare);
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
}
