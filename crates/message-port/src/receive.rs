//! Receiving from a port: at once, as a future, blocking, or told by a callback.
//!
//! All of them deliver the same sequence, and only what the queue permits: a disabled queue holds
//! back its messages and what lies behind them. A `close` that no message precedes passes, since
//! it is not a task of the port message queue.

use std::future::poll_fn;
use std::hint;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::pair::{Hint, ReadyCallback, Taken};
use crate::sync::{Thread, local, thread};
use crate::{Event, MessagePort, TryRecvError};

impl MessagePort {
    /// Takes the next event, if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now, [`TryRecvError::Closed`] if none will come.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        match self.next(None) {
            Next::Event(event) => Ok(event),
            Next::Nothing => Err(TryRecvError::Empty),
            Next::Ended => Err(TryRecvError::Closed),
        }
    }

    /// Takes the next event; `Ready(None)` if none will come any more. If none is there now, the
    /// waker of `cx` is woken once one may be; the latest waker counts.
    #[inline]
    #[must_use = "an event that was taken is not delivered again"]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.next(Some(cx.waker())) {
            Next::Event(event) => Poll::Ready(Some(event)),
            Next::Nothing => Poll::Pending,
            Next::Ended => Poll::Ready(None),
        }
    }

    /// Waits for the next event; `None` if none will come any more. Dropping the future before
    /// its end loses nothing. It never yields while there is something: a task whose events come
    /// as fast as it handles them has to let others run by itself.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`poll_recv`](Self::poll_recv) for up to `limit` events at once (at least one): appends
    /// them to `events` and says how many; `Ready(0)` if none will come any more. It takes what
    /// one look at the shared queue gave, so fewer than `limit` does not mean that it is empty.
    #[must_use = "events that were taken are not delivered again"]
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut Vec<Event>,
        limit: usize,
    ) -> Poll<usize> {
        match self.next(Some(cx.waker())) {
            Next::Event(event) => Poll::Ready(self.batch(event, events, limit)),
            Next::Nothing => Poll::Pending,
            Next::Ended => Poll::Ready(0),
        }
    }

    /// Waits for up to `limit` events at once, as [`poll_recv_many`](Self::poll_recv_many) has
    /// them; 0 if none will come any more. Dropping the future before its end loses nothing.
    pub async fn recv_many(&mut self, events: &mut Vec<Event>, limit: usize) -> usize {
        poll_fn(|cx| self.poll_recv_many(cx, events, limit)).await
    }

    /// Blocks this thread until the next event; `None` if none will come any more.
    ///
    /// If the queue is disabled and holds a message, nothing can end this wait: call
    /// [`start`](Self::start) first.
    pub fn recv_blocking(&mut self) -> Option<Event> {
        if let Some(event) = self.pop_backlog() {
            return Some(event);
        }
        self.spin();
        let waker = UNPARK.try_with(Waker::clone).unwrap_or_else(|_| unpark());
        loop {
            match self.next(Some(&waker)) {
                Next::Event(event) => return Some(event),
                Next::Nothing => thread::park(),
                Next::Ended => return None,
            }
        }
    }

    /// Blocks this thread as [`recv_blocking`](Self::recv_blocking) does, for up to `limit`
    /// events at once, as [`poll_recv_many`](Self::poll_recv_many) has them; 0 if none will come
    /// any more.
    pub fn recv_many_blocking(&mut self, events: &mut Vec<Event>, limit: usize) -> usize {
        match self.recv_blocking() {
            Some(event) => self.batch(event, events, limit),
            None => 0,
        }
    }

    /// Sets the callback for an engine with a loop of its own: it is called when there is
    /// something to receive and the port was last found with nothing (by a receive, or by this
    /// call); if there is something now, before this returns. So a receiver that takes events
    /// until [`TryRecvError::Empty`] misses none, and one that takes one at a time looks again by
    /// itself. That the port is at its end counts as something: it is also called when receiving
    /// would say [`Closed`](TryRecvError::Closed) after `close()` or `disentangle()` at this end.
    ///
    /// It is called on the thread that posts, closes or starts, with no lock held: it should do no
    /// more than put a task on the loop. It may be called without need, and once more shortly
    /// after it was replaced or the port was transferred. It must not own a port: one that owns
    /// the port that owns it is never freed.
    ///
    /// One callback at a time; transferring the port forgets it. It is independent of
    /// [`poll_recv`](Self::poll_recv).
    pub fn on_ready(&mut self, callback: impl Fn() + Send + Sync + 'static) {
        self.listen(Arc::new(Box::new(move |_| callback())), 0);
    }

    /// As [`on_ready`](Self::on_ready), for many ports: `callback` is called with `label`.
    pub(crate) fn listen(&mut self, callback: ReadyCallback, label: u64) {
        let (end, inbox) = self.end_and_inbox();
        let (now, replaced) = end.listen(callback, label, inbox);
        drop(replaced);
        now.send();
    }

    /// Forgets the callback of [`on_ready`](Self::on_ready).
    pub fn clear_on_ready(&mut self) {
        drop(self.end().unlisten());
    }

    /// Gives a sender that is busy a few microseconds, which is less than it takes to put this
    /// thread to sleep and wake it.
    fn spin(&self) {
        // (In a model, where every interleaving is tried anyway, it sleeps at once.)
        if !self.is_enabled() || cfg!(message_port_loom) {
            return;
        }
        for round in 0..SPINS + YIELDS {
            if self.end().hint() == Hint::Ready {
                return;
            }
            if round < SPINS {
                (0..1 << round).for_each(|_| hint::spin_loop());
            } else {
                thread::yield_now();
            }
        }
    }

    /// The one receive step that all others share.
    #[inline]
    fn next(&mut self, waker: Option<&Waker>) -> Next {
        loop {
            if let Some(event) = self.pop_backlog() {
                return Next::Event(event);
            }
            let (end, inbox) = self.end_and_inbox();
            match end.take_ready(inbox, waker) {
                Taken::Refilled(watcher) => watcher.send(),
                Taken::Close(watcher) => {
                    watcher.send();
                    return Next::Event(Event::Close);
                }
                Taken::Ended => return Next::Ended,
                Taken::Nothing => return Next::Nothing,
            }
        }
    }

    /// Adds `first`, and what else of the owner's part of the queue `limit` permits.
    fn batch(&mut self, first: Event, events: &mut Vec<Event>, limit: usize) -> usize {
        events.push(first);
        let mut count = 1;
        while count < limit {
            let Some(event) = self.pop_backlog() else {
                break;
            };
            events.push(event);
            count += 1;
        }
        count
    }

    /// Takes the next event of the owner's part of the queue, if it may be delivered.
    #[inline]
    fn pop_backlog(&mut self) -> Option<Event> {
        let enabled = self.is_enabled();
        let (end, inbox) = self.end_and_inbox();
        let inbox = inbox.events()?;
        if !enabled && matches!(inbox.front(), Some(Event::Message(_))) {
            return None;
        }
        let event = inbox.pop_front()?;
        match &event {
            Event::Message(message) if !message.ports.is_empty() => {
                // The ports of an event that leaves the queue are in somebody's hands from now on.
                for port in &message.ports {
                    port.end().set_holder(None);
                }
                end.took_ports(message.ports.len());
            }
            Event::Message(_) | Event::Close => {}
        }
        Some(event)
    }
}

/// How often [`MessagePort::recv_blocking`] looks again before it sleeps, each time after twice as
/// long a pause, and how often after that it lets other threads go first.
///
/// Measured with `bench ports`: without this a stream of messages runs at seven tenths of its rate
/// (`P1-heap`), and an answer from a thread on another processor takes up to 26 µs instead of 4
/// (`P2-threads`). Without the second half, only the answers gain.
const SPINS: u32 = 7;
const YIELDS: u32 = 4;

enum Next {
    Event(Event),
    Nothing,
    Ended,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn unpark() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

local! {
    /// The waker of this thread, made once.
    static UNPARK: Waker = unpark();
}
