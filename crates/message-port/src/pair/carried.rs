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

    /// Whether the last event that is queued is a close; none if nothing is.
    #[cfg(not(message_port_loom))]
    pub(crate) fn ends_with_close(&self) -> Option<bool> {
        let mut state = self.lock();
        let own = state.own(self.side);
        let last = own.queue.last().map(|event| event.message().is_none());
        if own.closing { Some(true) } else { last }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::ReadyCallback;
    use crate::{Event, Message, MessageChannel, MessagePort, TryRecvError};

    /// A node's end, whose calls add their labels to a sum, and a user's, started.
    fn carried() -> (MessagePort, Arc<AtomicU64>, MessagePort) {
        let (mut node, mut user): (MessagePort, MessagePort) = MessageChannel::new().into();
        let sum = Arc::new(AtomicU64::new(0));
        node.start();
        node.listen(callback(&sum), 1);
        user.start();
        (node, sum, user)
    }

    fn callback(sum: &Arc<AtomicU64>) -> ReadyCallback {
        let sum = Arc::clone(sum);
        Arc::new(Box::new(move |label| {
            sum.fetch_add(label, Ordering::SeqCst);
        }))
    }

    fn taken(sum: &AtomicU64) -> u64 {
        sum.swap(0, Ordering::SeqCst)
    }

    #[test]
    fn who_watches_is_called_once_when_what_it_posted_was_taken() {
        let (node, sum, mut user) = carried();
        assert!(node.end().watch_partner(), "nothing was posted");
        node.post_message(Message::default());
        assert!(!node.end().watch_partner());
        assert_eq!(taken(&sum), 0);
        assert!(user.try_recv().is_ok());
        assert_eq!(taken(&sum), 1);
        assert!(node.end().watch_partner());
        node.post_message(Message::default());
        assert!(user.try_recv().is_ok());
        assert_eq!(taken(&sum), 0, "nobody watched this time");
    }

    #[test]
    fn who_watches_is_called_when_what_it_posted_will_never_be_taken() {
        let (node, sum, user) = carried();
        node.post_message(Message::default());
        // It has looked elsewhere since it was last called, so no arrival would call it.
        user.post_message(Message::default());
        assert_eq!(taken(&sum), 1);
        assert!(!node.end().watch_partner());
        drop(user);
        assert_eq!(taken(&sum), 1);
        assert!(node.end().watch_partner());
    }

    #[test]
    fn who_watches_for_the_close_hears_of_it_with_messages_still_unread() {
        let (node, sum, user) = carried();
        user.post_message(Message::default());
        assert_eq!(taken(&sum), 1);
        node.end().watch_close();
        user.post_message(Message::default());
        assert_eq!(taken(&sum), 0);
        drop(user);
        assert_eq!(taken(&sum), 1);
    }

    #[test]
    fn the_close_of_a_former_partner_keeps_its_place_and_leaves_the_pair_entangled() {
        let (node, _, mut user) = carried();
        node.post_message(Message::new("before"));
        node.end().post_close();
        node.post_message(Message::new("after"));
        assert!(node.is_entangled());
        for expected in [Some("before"), None, Some("after")] {
            let event = user.try_recv().unwrap();
            let payload = event.message().map(|message| message.payload.clone());
            assert_eq!(payload.as_deref(), expected.map(str::as_bytes));
        }
        assert!(matches!(user.try_recv(), Err(TryRecvError::Empty)));
        drop(user);
        node.end().post_close();
        assert_eq!(node.queued(), 1, "the close of the user's end");
    }

    #[test]
    fn the_close_of_a_former_partner_wakes_a_user_who_has_not_started() {
        let (node, mut user): (MessagePort, MessagePort) = MessageChannel::new().into();
        let sum = Arc::new(AtomicU64::new(0));
        user.listen(callback(&sum), 5);
        node.end().post_close();
        assert_eq!(taken(&sum), 5);
        assert!(matches!(user.try_recv(), Ok(Event::Close)));
    }

    #[test]
    fn a_node_knows_its_own_ends_by_their_callback_and_can_number_them_anew() {
        let (mut node, sum, user) = carried();
        let own = callback(&sum);
        node.listen(Arc::clone(&own), 3);
        assert_eq!(user.end().label_at_other(&own), Some(3));
        node.end().relabel(4);
        assert_eq!(user.end().label_at_other(&own), Some(4));
        user.post_message(Message::default());
        assert_eq!(taken(&sum), 4);
        assert_eq!(
            user.end().label_at_other(&callback(&sum)),
            None,
            "it is of another"
        );
        node.clear_on_ready();
        assert_eq!(user.end().label_at_other(&own), None);
    }

    #[test]
    fn a_port_at_rest_owns_no_memory() {
        let (node, _, mut user) = carried();
        for _ in 0..3 {
            node.post_message(Message::default());
            assert!(user.try_recv().is_ok());
        }
        assert!(matches!(user.try_recv(), Err(TryRecvError::Empty)));
        let (end, inbox) = user.end_and_inbox();
        end.rest(inbox);
        assert!(inbox.events().is_none());
        assert_eq!(end.lock().own(end.side).queue.capacity(), 0);
    }
}
