//! The data path to a running worker: fetches go from client to worker without the driver.
//!
//! A [`WorkerEndpoint`] is the client's half and a [`WorkerInbox`] the worker's. Each dispatch holds
//! a [`KeepAlive`] until its event and lifetime promises are over; the driver reads from the same
//! activity record when a worker was last busy, and is woken by it only while something waits for idleness.

mod event;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use sw_types::{EventId, WorkerId};

pub(crate) use self::event::Parcel;
pub use self::event::{FetchAnswer, FetchDetail, FetchDispatch, PreloadResponse, Response};
use crate::Clock;

/// Answers one fetch event, once. The answer may come before the event's `waitUntil` promises end.
///
/// The client stops waiting when the worker is told to stop, also if that keeps its responders.
#[derive(Debug)]
pub struct Responder {
    event: EventId,
    activity: Arc<Activity>,
}

impl Responder {
    /// `respondWith` was called. From now on the worker's answer is final: if it does not come,
    /// the client gets a network error, and no deadline but the event's own counts any more.
    pub fn respond_with_entered(&mut self) {
        let entered = match self.activity.lock().answers.get_mut(&self.event) {
            Some(answering) => answering.entered.take(),
            None => None,
        };
        if let Some(entered) = entered {
            // A client that has gone does not want to know.
            let _gone = entered.send(());
        }
    }

    /// Answers. An answer that the client no longer waits for is dropped.
    pub fn respond(self, answer: FetchAnswer) {
        let answering = self.activity.lock().answers.remove(&self.event);
        if answering.is_none_or(|answering| answering.send(answer).is_err()) {
            tracing::debug!("a fetch was answered after its client had gone");
        }
    }

    /// Whether the client aborts its fetch before it is answered.
    pub fn aborted(&self) -> Aborted {
        Aborted {
            event: self.event,
            activity: Arc::clone(&self.activity),
        }
    }
}

/// Ends with `true` when the client no longer waits for the answer to its fetch, which it aborted;
/// with `false` once it has the answer, or can have none. The task that polled it last is woken.
#[derive(Debug)]
#[must_use = "it says nothing unless it is polled"]
pub struct Aborted {
    event: EventId,
    activity: Arc<Activity>,
}

impl Future for Aborted {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut busy = self.activity.lock();
        let Some(answering) = busy.answers.get_mut(&self.event) else {
            return Poll::Ready(false);
        };
        answering.watcher = Some(cx.waker().clone());
        answering.answer.poll_canceled(cx).map(|()| true)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let unanswered = self.activity.lock().answers.remove(&self.event);
        if let Some(unanswered) = unanswered {
            unanswered.end();
        }
    }
}

/// What tells a client how its fetch was answered.
struct Answering {
    answer: oneshot::Sender<FetchAnswer>,
    entered: Option<oneshot::Sender<()>>,
    /// Who wants to know whether the client aborts.
    watcher: Option<Waker>,
}

impl Answering {
    fn send(self, answer: FetchAnswer) -> Result<(), FetchAnswer> {
        let sent = self.answer.send(answer);
        self.watcher.into_iter().for_each(Waker::wake);
        sent
    }

    /// There will be no answer.
    fn end(self) {
        drop((self.answer, self.entered));
        self.watcher.into_iter().for_each(Waker::wake);
    }
}

/// The client's side of a dispatch.
pub(crate) struct Pending {
    /// The answer; canceled if the worker went away.
    pub(crate) answer: oneshot::Receiver<FetchAnswer>,
    /// `respondWith` was called; canceled if the worker answered or went away without it.
    pub(crate) entered: oneshot::Receiver<()>,
    pub(crate) queued: Queued,
}

/// A parcel in a worker's inbox. Who has sent it may take it back until the worker takes it: a fetch
/// that a worker never began to handle survives its termination. (*Terminate Service Worker*, the
/// registration's *task queues*.)
#[derive(Clone, Debug)]
pub(crate) struct Queued(Arc<Mutex<Option<Box<Parcel>>>>);

impl Queued {
    fn new(parcel: Box<Parcel>) -> Self {
        Self(Arc::new(Mutex::new(Some(parcel))))
    }

    /// The parcel, for whoever comes first.
    pub(crate) fn take(&self) -> Option<Box<Parcel>> {
        let mut parcel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parcel.take()
    }
}

/// What is in a worker's inbox.
#[derive(Debug)]
struct Letter {
    queued: Queued,
    event: EventId,
    responder: Responder,
    keep_alive: KeepAlive,
}

/// The client's half of the data path to one run of a worker.
#[derive(Clone, Debug)]
pub struct WorkerEndpoint {
    worker: WorkerId,
    sender: mpsc::UnboundedSender<Letter>,
    activity: Arc<Activity>,
}

impl WorkerEndpoint {
    /// A connected pair for one run of `worker`.
    pub(crate) fn pair(worker: WorkerId, activity: Arc<Activity>) -> (Self, WorkerInbox) {
        let (sender, receiver) = mpsc::unbounded();
        (
            Self {
                worker,
                sender,
                activity,
            },
            WorkerInbox(receiver),
        )
    }

    /// The worker.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Begins an event that goes through the driver; `None` unless this run of the worker takes
    /// events.
    pub(crate) fn begin(&self) -> Option<KeepAlive> {
        self.activity.begin(None)
    }

    /// Sends a fetch event; gives it back unless this run of the worker takes events. The keep-alive
    /// starts now.
    pub(crate) fn dispatch(&self, parcel: Box<Parcel>) -> Result<Pending, Box<Parcel>> {
        let (answering, answer) = oneshot::channel();
        let (enter, entered) = oneshot::channel();
        let answering = Answering {
            answer: answering,
            entered: Some(enter),
            watcher: None,
        };
        let Some(keep_alive) = self.activity.begin(Some(answering)) else {
            return Err(parcel);
        };
        let event = keep_alive.event;
        let responder = Responder {
            event,
            activity: Arc::clone(&self.activity),
        };
        let queued = Queued::new(parcel);
        let letter = Letter {
            queued: queued.clone(),
            event,
            responder,
            keep_alive,
        };
        if self.sender.unbounded_send(letter).is_err()
            && let Some(unsent) = queued.take()
        {
            return Err(unsent);
        }
        Ok(Pending {
            answer,
            entered,
            queued,
        })
    }
}

/// The worker's half: a stream of fetch events, which ends when the worker is to go.
#[derive(Debug)]
pub struct WorkerInbox(mpsc::UnboundedReceiver<Letter>);

impl Stream for WorkerInbox {
    type Item = FetchDispatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(letter) = ready!(Pin::new(&mut self.0).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            // What was taken back is for the next run.
            if let Some(parcel) = letter.queued.take() {
                let dispatch = parcel.addressed(letter.event, letter.responder, letter.keep_alive);
                return Poll::Ready(Some(dispatch));
            }
        }
    }
}

/// When one run of a worker was and is busy with functional events.
pub(crate) struct Activity {
    clock: Arc<dyn Clock>,
    next_event: Arc<AtomicU64>,
    watched: AtomicBool,
    on_idle: Box<dyn Fn() + Send + Sync>,
    busy: Mutex<Busy>,
}

struct Busy {
    since: BTreeMap<EventId, Instant>,
    last: Instant,
    phase: Phase,
    /// The fetches that are not answered yet.
    answers: BTreeMap<EventId, Answering>,
}

/// Whether a run of a worker takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not yet: its script is being evaluated, and may throw.
    Starting,
    /// It does.
    Open,
    /// Not any more.
    Closed,
}

impl Activity {
    /// `on_idle` is called when the last event ends while the driver [watches](Self::watch).
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        next_event: Arc<AtomicU64>,
        on_idle: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let busy = Mutex::new(Busy {
            since: BTreeMap::new(),
            last: clock.now(),
            phase: Phase::Starting,
            answers: BTreeMap::new(),
        });
        Arc::new(Self {
            clock,
            next_event,
            watched: AtomicBool::new(false),
            on_idle,
            busy,
        })
    }

    /// Whether to tell when the worker becomes idle. One that is watched tells once.
    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::SeqCst);
    }

    /// When the oldest event in progress was dispatched, and when the worker was last busy.
    pub(crate) fn read(&self) -> (Option<Instant>, Instant) {
        let busy = self.lock();
        (busy.since.values().min().copied(), busy.last)
    }

    /// Takes events, unless it was closed.
    pub(crate) fn open(&self) {
        let mut busy = self.lock();
        if busy.phase == Phase::Starting {
            busy.phase = Phase::Open;
        }
    }

    /// Takes no new events, unless there are some in progress: then, as [`Self::read`], when the
    /// oldest of them was dispatched, and when the worker was last busy.
    pub(crate) fn close_if_idle(&self) -> Result<(), (Instant, Instant)> {
        let mut busy = self.lock();
        match busy.since.values().min().copied() {
            Some(oldest) if busy.phase != Phase::Closed => Err((oldest, busy.last)),
            _ => {
                busy.phase = Phase::Closed;
                Ok(())
            }
        }
    }

    /// Takes no new events, and lets go of the clients that wait: what the worker does not answer
    /// by now it never will.
    pub(crate) fn cut(&self) {
        let mut busy = self.lock();
        busy.phase = Phase::Closed;
        let unanswered = std::mem::take(&mut busy.answers);
        drop(busy);
        unanswered.into_values().for_each(Answering::end);
    }

    fn begin(self: &Arc<Self>, answering: Option<Answering>) -> Option<KeepAlive> {
        let event = EventId(self.next_event.fetch_add(1, Ordering::Relaxed));
        let now = self.clock.now();
        let mut busy = self.lock();
        if busy.phase != Phase::Open {
            return None;
        }
        busy.since.insert(event, now);
        busy.last = now;
        busy.answers
            .extend(answering.map(|answering| (event, answering)));
        drop(busy);
        Some(KeepAlive {
            event,
            activity: Arc::clone(self),
        })
    }

    fn end(&self, event: EventId) {
        let mut busy = self.lock();
        busy.since.remove(&event);
        busy.last = self.clock.now();
        let idle = busy.since.is_empty();
        drop(busy);
        if idle && self.watched.swap(false, Ordering::SeqCst) {
            (self.on_idle)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activity")
            .field("events", &self.lock().since.len())
            .finish_non_exhaustive()
    }
}

/// Keeps a worker from being idle until it is dropped.
#[derive(Debug)]
pub struct KeepAlive {
    event: EventId,
    activity: Arc<Activity>,
}

impl KeepAlive {
    /// The event.
    pub(crate) const fn event(&self) -> EventId {
        self.event
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.activity.end(self.event);
    }
}
