//! `MessagePort` and `TransferredPort`: posting, closing, entangling, transferring.
//! Receiving is in `receive.rs`.

use std::fmt;
use std::mem;

use crate::pair::{End, EndRef, Inbox, Notification, Pair};
use crate::reclaim::{self, Refused};
use crate::{EntangleError, Event, Message, TransferError};

/// One end of an entangled pair, with its port message queue (HTML, "Message ports").
///
/// It has one owner: transfer is a move. Dropping it disentangles it, as the destruction of its
/// owner does in HTML, and destroys what is still queued in it. (A port that is dropped by a
/// destructor which runs because another port is dropped closes at once as well; what is queued in
/// it goes before the drop of the outermost port returns.)
///
/// Posting takes `&self` and works from several threads; what only the owner does takes
/// `&mut self`.
pub struct MessagePort {
    end: EndRef,
    /// The older part of the queue.
    inbox: Inbox,
    /// The owner's copy of the end's flag of the same name.
    enabled: bool,
}

/// A port between HTML's transfer steps and its transfer-receiving steps.
///
/// It carries the queue (in constant time, whatever its length) and the link to the remote port,
/// and goes on queueing what the remote port posts. Dropping it destroys the port.
#[derive(Debug)]
pub struct TransferredPort {
    port: MessagePort,
    /// None if the message that it travels in has come from a user of this process.
    relayed: Option<Relayed>,
}

/// What a node knows of a port that it has passed on in a message, until somebody receives it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(message_port_loom, expect(dead_code, reason = "a model has no nodes"))]
pub(crate) struct Relayed {
    /// How many links it has passed so.
    pub(crate) hops: u32,
    /// Numbers what has come to this process, in order.
    pub(crate) landing: u64,
}

/// What became of a posted message. None of these is an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled outcome is a bug")]
pub enum Posted {
    /// It is in the port message queue of the target.
    Queued,
    /// There is no target. The message was dropped, and with it the ports that it carried.
    NotEntangled,
    /// The target is one of the carried ports, or travels inside the queues of one, so that
    /// nobody could ever receive the message. It was dropped, and with it the ports that it
    /// carried; their partners outside get [`Event::Close`]. A developer may want to hear of it.
    Doomed,
}

impl MessagePort {
    /// A port that is not entangled. Until [`entangle`](Self::entangle), posting to it drops the
    /// message and receiving from it says that it is closed.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Pair::alone())
    }

    pub(crate) fn at(end: EndRef) -> Self {
        Self {
            end,
            inbox: Inbox::default(),
            enabled: false,
        }
    }

    /// HTML's *message port post message steps*, from step 6 on: queues `message` at the port
    /// that this one is entangled with, wherever that is by then.
    ///
    /// What a binding does, for `source.postMessage(value, transfer)`:
    ///
    /// 1. Step 2, "if transfer contains sourcePort, throw a `DataCloneError`": among ports this
    ///    cannot be written, since a transferred port is moved and `source` is borrowed. The binding
    ///    compares the objects, before it moves anything: [`transfer_list::check`], which finds
    ///    duplicates as well.
    /// 2. Steps 3 and 4, *doomed*: are found here ([`Posted::Doomed`]), whatever the order of the
    ///    list. [`is_entangled_with`](Self::is_entangled_with) tells beforehand.
    /// 3. Step 5: serialize the value, which may throw and must have no effect until then; then
    ///    transfer each port of the list in order, with [`transfer_list::transfer`] or one by one
    ///    with [`transfer_from`](Self::transfer_from). A port that is detached throws a
    ///    `DataCloneError`; the earlier ports of the list are detached by then and are dropped, as
    ///    the specification has it.
    /// 4. This. The outcome is for logs; to script all three look alike.
    ///
    /// [`transfer_list::check`]: crate::transfer_list::check
    /// [`transfer_list::transfer`]: crate::transfer_list::transfer
    #[inline]
    pub fn post_message(&self, mut message: Message) -> Posted {
        for port in &mut message.ports {
            port.relayed = None;
        }
        self.relay(message)
    }

    /// As [`post_message`](Self::post_message), by a node that passes a message on.
    #[inline]
    pub(crate) fn relay(&self, message: Message) -> Posted {
        let sent = if message.ports.is_empty() {
            self.end.send(message).map_err(Refused::NotEntangled)
        } else {
            reclaim::send_with_ports(&self.end, message)
        };
        // Step 7 is done: the task is in the queue. No lock is held from here on.
        match sent {
            Ok(notification) => {
                notification.send();
                Posted::Queued
            }
            Err(Refused::NotEntangled(message)) => {
                drop(message);
                Posted::NotEntangled
            }
            Err(Refused::Doomed(message)) => {
                tracing::debug!(
                    ports = message.ports.len(),
                    "a message was dropped: its target travels in it"
                );
                drop(message);
                Posted::Doomed
            }
        }
    }

    /// Enables the port message queue (`start()`, or the first time that `onmessage` is set). It
    /// stays enabled for as long as this port is not transferred.
    pub fn start(&mut self) {
        if mem::replace(&mut self.enabled, true) {
            return;
        }
        let backlog = !self.inbox.is_empty();
        self.end.enable(backlog).send();
    }

    /// Puts events that this port has received, and that nobody has seen, back to the front of its
    /// queue, oldest first: for a stash that read them ahead of a transfer. No listener is told. A
    /// [`Event::Close`] among them is delivered again, after what stands before it.
    ///
    /// Messages that did not come from this port's queue are queued all the same.
    pub fn put_back(&mut self, events: Vec<Event>) {
        reclaim::hold_again(&self.end, &events);
        self.inbox.put_back(events);
    }

    /// HTML's `close()`: sets \[\[Detached\]\], and disentangles. The other end gets
    /// [`Event::Close`] after what was posted to it before; this end gets none, and may still
    /// receive what is queued in it. Closing twice is as closing once.
    pub fn close(&self) {
        Notification::send_both(self.end.disentangle(true));
    }

    /// HTML's *disentangle* with this port as the initiator: as [`close`](Self::close), but the
    /// port is not detached and can still be transferred or entangled anew. Nothing happens to a
    /// port that is not entangled.
    ///
    /// Either way, what is queued stays; what is still under way from another process, be it the
    /// rest of a queue that follows the port, is dropped.
    pub fn disentangle(&self) {
        Notification::send_both(self.end.disentangle(false));
    }

    /// HTML's *entangle*: breaks the links that either port has, and links them with each other.
    /// Both keep their queues (see [`disentangle`](Self::disentangle)). A former partner gets [`Event::Close`]; `a` and `b` themselves get
    /// none for it. Nothing happens to two ports that are entangled with each other already.
    ///
    /// Takes time in the number of queued events, if ports travel among them.
    ///
    /// # Errors
    /// [`EntangleError::Detached`] if one of them was closed; nothing has changed then.
    pub fn entangle(a: &mut Self, b: &mut Self) -> Result<(), EntangleError> {
        if a.is_detached() || b.is_detached() {
            return Err(EntangleError::Detached);
        }
        // Entangle, step 1: if one of the ports is already entangled, then disentangle it and the
        // port that it was entangled with.
        if a.is_entangled_with(b) {
            return Ok(());
        }
        let (first, partner_of_a) = a.end.take_out();
        let (second, partner_of_b) = b.end.take_out();
        // Step 2: associate the two ports to be entangled. Nobody else knows the new pair yet.
        let (end_of_a, end_of_b) = Pair::entangled();
        a.move_to(end_of_a, first);
        b.move_to(end_of_b, second);
        Notification::send_both([partner_of_a, partner_of_b]);
        Ok(())
    }

    /// HTML's transfer steps: the port and its remote port are shipped from now on, and the queue
    /// is disabled. Wakers and the callback of the former owner are forgotten.
    ///
    /// # Errors
    /// [`TransferError`], with the port, if it is detached: it was closed.
    pub fn transfer(mut self) -> Result<TransferredPort, TransferError> {
        // Transfer steps, 1 and 3.
        let Some(listeners) = self.end.ship() else {
            return Err(TransferError { port: self });
        };
        drop(listeners);
        self.enabled = false;
        // Step 2: the queue goes along: it is part of what moves.
        Ok(TransferredPort {
            port: self,
            relayed: None,
        })
    }

    /// [`transfer`](Self::transfer) for an object that has a place for its port: takes it out.
    /// `None` if \[\[Detached\]\] is true, which a binding throws a `DataCloneError` for: the
    /// place is empty, since the port was transferred before, or the port was closed. The closed
    /// port stays where it is, with what may still be received from it.
    #[must_use = "a port that is taken out and dropped is destroyed"]
    pub fn transfer_from(place: &mut Option<Self>) -> Option<TransferredPort> {
        match place.take()?.transfer() {
            Ok(transferred) => Some(transferred),
            Err(detached) => {
                *place = Some(detached.port);
                None
            }
        }
    }

    /// Whether the port has a partner.
    #[must_use]
    pub fn is_entangled(&self) -> bool {
        self.end.is_entangled()
    }

    /// Whether `other` is the port that a message posted here goes to.
    #[must_use]
    pub fn is_entangled_with(&self, other: &Self) -> bool {
        self.end.is_entangled_with(&other.end)
    }

    /// The same number for two ports that are entangled with each other, and another for every other
    /// pair of which an end exists now. A number is used again when both ends are gone; ask
    /// [`is_entangled_with`](Self::is_entangled_with) to be sure.
    #[must_use]
    pub fn pair_key(&self) -> usize {
        self.end.pair_key()
    }

    /// HTML's *has been shipped* flag: this port or its partner was transferred at some time.
    #[must_use]
    pub fn has_been_shipped(&self) -> bool {
        self.end.has_been_shipped()
    }

    /// HTML's \[\[Detached\]\], as far as it can be seen here: the port was closed. (A port that
    /// was transferred away does not exist any more.)
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.end.is_detached()
    }

    /// Whether the port message queue is enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// For a garbage collector: whether the object that stands for this port must be kept although
    /// nothing refers to it (HTML, "Ports and garbage collection").
    ///
    /// True while an event could be delivered now, and, if the object is `listening` (it has a
    /// listener for `message`, `messageerror` or `close`), while the port is entangled. Two ports
    /// of one heap which are entangled with each other need not keep each other: find them with
    /// [`is_entangled_with`](Self::is_entangled_with). Dropping the port of a collected object
    /// disentangles it.
    #[must_use]
    pub fn has_pending_activity(&self, listening: bool) -> bool {
        (listening && self.is_entangled()) || self.end.has_deliverable(&self.inbox)
    }

    #[inline]
    pub(crate) fn end(&self) -> &EndRef {
        &self.end
    }

    /// How many events are queued.
    #[cfg(not(message_port_loom))]
    pub(crate) fn queued(&self) -> usize {
        self.inbox.len() + self.end.queued_events()
    }

    /// Whether the last event that is queued is a close.
    #[cfg(not(message_port_loom))]
    pub(crate) fn ends_with_close(&mut self) -> bool {
        let received = self.inbox.events().and_then(|events| events.back());
        let received = received.is_some_and(|event| event.message().is_none());
        self.end.ends_with_close().unwrap_or(received)
    }

    #[inline]
    pub(crate) fn end_and_inbox(&mut self) -> (&EndRef, &mut Inbox) {
        (&self.end, &mut self.inbox)
    }

    /// Makes `end` the end of this port, with the state of its former end. The ports that travel
    /// in its queue learn of it.
    fn move_to(&mut self, end: EndRef, state: End) {
        let received = self.inbox.events().into_iter().flatten();
        for event in received.map(|event| &*event).chain(state.queued()) {
            hold(event, &end);
        }
        end.put_in(state);
        self.end = end;
    }
}

fn hold(event: &Event, holder: &EndRef) {
    if let Event::Message(message) = event {
        for port in &message.ports {
            port.end().set_holder(Some(holder.clone()));
        }
    }
}

impl Default for MessagePort {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MessagePort {
    fn drop(&mut self) {
        let inbox = mem::take(&mut self.inbox);
        reclaim::destroy(&self.end, inbox);
    }
}

impl fmt::Debug for MessagePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pair, side) = self.end.name();
        f.debug_struct("MessagePort")
            .field("pair", &pair)
            .field("side", &side)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

impl TransferredPort {
    /// HTML's transfer-receiving steps: a port of the new owner, shipped, entangled with the
    /// remote port, with the queue in its order, **disabled**.
    ///
    /// The remote port notices nothing: no `close` is fired for the end that moved.
    #[must_use]
    pub fn receive(self) -> MessagePort {
        self.port
    }

    #[cfg(not(message_port_loom))]
    pub(crate) fn relayed(&self) -> Option<Relayed> {
        self.relayed
    }

    #[cfg(not(message_port_loom))]
    pub(crate) fn with_relayed(self, relayed: Option<Relayed>) -> Self {
        Self { relayed, ..self }
    }

    pub(crate) fn end(&self) -> &EndRef {
        &self.port.end
    }

    /// Whether ports travel in the queue of this one.
    pub(crate) fn has_queued_ports(&self) -> bool {
        self.port.end.has_queued_ports()
    }
}
