//! `Inbox`: the part of a port message queue that only the port's owner reaches.

use std::collections::VecDeque;
use std::mem;
use std::sync::PoisonError;

use super::lock;
use crate::Event;
use crate::sync::Mutex;

/// The older part of a port message queue, which only the port's owner reaches. One pointer, since
/// most ports wait for something most of the time. The mutex is locked by queries through `&self`
/// alone, hence uncontended; it makes the port `Sync`.
#[derive(Default)]
pub(crate) struct Inbox(Option<Box<Mutex<VecDeque<Event>>>>);

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

    #[cfg(not(message_port_loom))]
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
    #[inline]
    pub(super) fn refill(&mut self, events: Vec<Event>) -> Vec<Event> {
        match self.events() {
            Some(emptied) => mem::replace(emptied, events.into()).into(),
            None => {
                self.0 = Some(Box::new(Mutex::new(events.into())));
                Vec::new()
            }
        }
    }

    /// Gives its memory back if it is empty and has room for more than `retained` events.
    pub(super) fn shrink(&mut self, retained: usize) {
        if self
            .events()
            .is_some_and(|events| events.is_empty() && events.capacity() > retained)
        {
            self.0 = None;
        }
    }
}
