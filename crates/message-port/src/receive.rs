//! Receiving from a port: at once, as a future, blocking, or told by a callback.
//!
//! All of them deliver the same sequence, and only what the queue permits: a disabled queue holds
//! back its messages and what lies behind them. A `close` that no message precedes passes, since
//! it is not a task of the port message queue.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::pair::Taken;
use crate::{Event, MessagePort, TryRecvError};

impl MessagePort {
    /// Takes the next event, if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now, [`TryRecvError::Closed`] if none will come.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        match self.next(None) {
            Next::Event(event) => Ok(event),
            Next::Nothing => Err(TryRecvError::Empty),
            Next::Ended => Err(TryRecvError::Closed),
        }
    }

    /// Takes the next event; `Ready(None)` if none will come any more. If none is there now, the
    /// waker of `cx` is woken once one may be; the latest waker counts.
    #[must_use = "an event that was taken is not delivered again"]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.next(Some(cx.waker())) {
            Next::Event(event) => Poll::Ready(Some(event)),
            Next::Nothing => Poll::Pending,
            Next::Ended => Poll::Ready(None),
        }
    }

    /// Waits for the next event; `None` if none will come any more. Dropping the future before
    /// its end loses nothing.
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
    /// itself. It is also called at the end, when receiving would say
    /// [`Closed`](TryRecvError::Closed) after `close()` or `disentangle()` at this end.
    ///
    /// It is called on the thread that posts, closes or starts, with no lock held: it should do no
    /// more than put a task on the loop. It may be called without need, and once more shortly
    /// after it was replaced or the port was transferred. It must not own a port: one that owns
    /// the port that owns it is never freed.
    ///
    /// One callback at a time; transferring the port forgets it. It is independent of
    /// [`poll_recv`](Self::poll_recv).
    pub fn on_ready(&mut self, callback: impl Fn() + Send + Sync + 'static) {
        let backlog = self.has_deliverable_backlog();
        let (now, replaced) = self.end().listen(Some(Arc::new(callback)), backlog);
        drop(replaced);
        now.send();
    }

    /// Forgets the callback of [`on_ready`](Self::on_ready).
    pub fn clear_on_ready(&mut self) {
        let (now, replaced) = self.end().listen(None, false);
        drop(replaced);
        now.send();
    }

    /// The one receive step that all others share.
    fn next(&mut self, waker: Option<&Waker>) -> Next {
        loop {
            if let Some(event) = self.pop_backlog() {
                return Next::Event(event);
            }
            let (end, inbox) = self.end_and_inbox();
            match end.take_ready(inbox, waker) {
                Taken::Refilled(watcher) => watcher.send(),
                Taken::Close => return Next::Event(Event::Close),
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
    fn pop_backlog(&mut self) -> Option<Event> {
        if !self.has_deliverable_backlog() {
            return None;
        }
        let event = self.inbox_mut().pop()?;
        // The ports of an event that leaves the queue are in somebody's hands from now on.
        if let Event::Message(message) = &event {
            for port in &message.ports {
                port.end().set_holder(None);
            }
        }
        Some(event)
    }

    /// Whether the owner's part of the queue has an event that may be delivered.
    fn has_deliverable_backlog(&mut self) -> bool {
        let enabled = self.is_enabled();
        match self.inbox_mut().events.front() {
            Some(Event::Message(_)) => enabled,
            Some(Event::Close) => true,
            None => false,
        }
    }
}

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

thread_local! {
    /// The waker of this thread, made once.
    static UNPARK: Waker = unpark();
}
