//! Ports in queues of ports: no unreachable one is kept, and freeing them needs no stack.
//!
//! # Why there is no collector
//!
//! Transfer is a move, so the port of an end is in exactly one place: in somebody's hands, or in
//! a message in the queue of exactly one other end, its *holder*. Following holders from an end
//! therefore gives one path, not a graph. It ends at an end whose port is in somebody's hands (who
//! can receive his way down to all below), or it runs in a circle, and then nobody can ever
//! receive any port of the circle or below it. So the dead components that trial deletion would
//! look for have one shape only, a cycle with trees hanging from it, and a cycle comes into being
//! only when its last message is posted: a port is queued somewhere inside its own queue. That
//! post is refused ([`send_with_ports`]): its message is dropped with all that it carries, which
//! frees the whole component at once, and the partners outside get their `close`. HTML's *doomed*
//! message (the target is in the transfer list) is the cycle of length one, and is found by the
//! same walk.
//!
//! # Why the answer is exact under concurrency
//!
//! The lock order is: `TOPOLOGY`, then (a port's inbox, then) one pair. Pairs never nest.
//!
//! - Holder edges are *made* only here, by a post or by `put_back`, under `TOPOLOGY`, so none appears during a walk, and the
//!   check and the edge that it permits are one step.
//! - Edges are *broken* without `TOPOLOGY`, by a receiver or a destructor, which owns the holder's
//!   port. This cannot make a walk find a circle that is not there: the carried port X is in the
//!   poster's hands, so nobody receives from X during the walk; an edge that leads to X stays, so
//!   the port at its lower end stays queued, so nobody receives from *it*, and so on down the path
//!   that was walked. Nor does a broken edge hide a circle: a port that was received is in
//!   somebody's hands, and closing the circle through it takes another post, hence another walk.
//! - Edges are *moved* without `TOPOLOGY` too, by [`MessagePort::entangle`](crate::MessagePort): from
//!   an end to its successor, which are ends of one port, and that is in the hands of whoever
//!   entangles it. So a walk ends at either of the two, and neither is what anyone is posting.
//! - An edge that is stale for a moment (the message was taken out of the queue, the edge is not
//!   yet cleared) leads to a holder whose owner is inside receive or the destructor. That holder
//!   has no holder itself and is not what anyone is posting, so the walk ends there.
//!
//! Cost: a message without ports never comes here. A message with ports takes `TOPOLOGY`, shared
//! by the process, for a few operations; only if a carried port has ports in its own queue are
//! the holders above the target walked, a pair's lock each.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem::{self, ManuallyDrop};

use crate::pair::{End, EndRef, Inbox, Notification, lock};
use crate::sync::{Mutex, constant, global, local};
use crate::{Event, Message, TransferredPort};

global! {
    /// Held while holder edges are made. See the head of this file.
    static TOPOLOGY: Mutex<()> = Mutex::new(());
}

/// A message that was not queued. It is to be dropped, with no lock held.
pub(crate) enum Refused {
    /// There is no target.
    NotEntangled(Message),
    /// The target is one of the carried ports, or travels inside the queue of one.
    Doomed(Message),
}

/// Queues a message that carries ports at the other end of `source`.
pub(crate) fn send_with_ports(source: &EndRef, message: Message) -> Result<Notification, Refused> {
    let target = source.other();
    let _topology = lock(&TOPOLOGY);
    if !source.is_entangled() {
        return Err(Refused::NotEntangled(message));
    }
    // Message port post message steps, 4: if transfer contains targetPort, then doomed is true.
    // The carried ports are in the poster's hands, so target is inside one of them exactly if
    // that one is where the path of target's holders ends.
    let nested = message.ports.iter().any(TransferredPort::has_queued_ports);
    let outermost = if nested {
        outermost(&target)
    } else {
        target.clone()
    };
    if message.ports.iter().any(|port| port.end().is(&outermost)) {
        return Err(Refused::Doomed(message));
    }
    let carried: Vec<EndRef> = message
        .ports
        .iter()
        .map(|port| port.end().clone())
        .collect();
    for end in &carried {
        end.set_holder(Some(target.clone()));
    }
    source.send(message).map_err(|message| {
        // The other end went in the meantime.
        for end in &carried {
            end.set_holder(None);
        }
        Refused::NotEntangled(message)
    })
}

/// For events that `end`'s owner puts back into its queue: the ports that they carry travel there
/// again. The carried ports and `end`'s own are in the caller's hands; so none of them
/// can be inside another, and no circle comes into being unless a carried port is or holds `end`'s
/// own, which the borrow of the caller rules out.
pub(crate) fn hold_again(end: &EndRef, events: &[Event]) {
    let messages = || events.iter().filter_map(Event::message);
    let carried = || messages().flat_map(|message| &message.ports);
    let ports = carried().count();
    if ports == 0 {
        return;
    }
    let _topology = lock(&TOPOLOGY);
    for port in carried() {
        port.end().set_holder(Some(end.clone()));
    }
    end.put_back_ports(ports);
}

/// The end at the top of `end`'s path of holders.
fn outermost(end: &EndRef) -> EndRef {
    let mut at = end.clone();
    while let Some(holder) = at.holder() {
        at = holder;
    }
    at
}

/// What a destroyed port leaves behind.
struct Remains {
    inbox: Inbox,
    state: End,
}

/// What was left behind while another port was being destroyed on this thread.
struct Worklist {
    draining: bool,
    waiting: VecDeque<Remains>,
}

local! {
    // Not dropped with the thread, so that ports in other thread-locals can still be destroyed
    // then. Nothing is lost by that: after a drain the list owns no memory.
    static WORKLIST: ManuallyDrop<RefCell<Worklist>> = constant!(
        ManuallyDrop::new(RefCell::new(Worklist { draining: false, waiting: VecDeque::new() }))
    );
}

/// Destroys the port of `end`: disentangles it, then drops its queue and what travelled there, to
/// any depth. Ports below come back to this function from their destructors. They are disentangled
/// at once, since the destructor that drops one may go on to wait for whoever hears of it; what is
/// in their queues the outermost call drops, one after another, so the stack stays flat (ports in
/// attachments included).
pub(crate) fn destroy(end: &EndRef, mut inbox: Inbox) {
    let (state, other) = end.take_out();
    let nested = WORKLIST.with(|worklist| {
        let mut worklist = worklist.borrow_mut();
        mem::replace(&mut worklist.draining, true)
    });
    if nested {
        if !(inbox.is_empty() && state.is_bare()) {
            let remains = Remains { inbox, state };
            WORKLIST.with(|worklist| worklist.borrow_mut().waiting.push_back(remains));
        }
        return other.send();
    }
    let _draining = Draining;
    let remains = Remains { inbox, state };
    other.send();
    remains.drop_in_order();
    drain();
}

impl Remains {
    /// What the owner had not yet received, then what lay behind it.
    fn drop_in_order(self) {
        drop(self.inbox);
        drop(self.state);
    }
}

fn drain() {
    let next = || WORKLIST.with(|worklist| worklist.borrow_mut().waiting.pop_front());
    while let Some(remains) = next() {
        remains.drop_in_order();
    }
}

/// Ends the drain, also when a waker, a callback or a destructor of the caller panics in it.
struct Draining;

impl Drop for Draining {
    fn drop(&mut self) {
        drain();
        WORKLIST.with(|worklist| {
            *worklist.borrow_mut() = Worklist {
                draining: false,
                waiting: VecDeque::new(),
            };
        });
    }
}

#[cfg(test)]
#[cfg(not(message_port_loom))]
mod tests;
