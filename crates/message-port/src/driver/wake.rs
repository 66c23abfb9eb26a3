//! What other threads tell the driver, and how they wake it.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::MessagePort;
use crate::node::{Census, IntroductionId, LinkError, LinkId, LinkKind, Token};
use crate::pair::lock;

/// A stream of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// What a handle asks of the driver.
pub(super) enum Command {
    Open {
        link: LinkId,
        kind: LinkKind,
        stream: Pin<Box<dyn Stream>>,
        up: oneshot::Sender<Option<MessagePort>>,
        ended: oneshot::Sender<LinkError>,
    },
    Close {
        link: LinkId,
    },
    Vouch {
        link: LinkId,
        token: Token,
    },
    Answer {
        introduction: IntroductionId,
        tokens: Option<[Token; 2]>,
    },
    Flush {
        /// All of them, if none is named.
        link: Option<LinkId>,
        done: oneshot::Sender<()>,
    },
    Census {
        answer: oneshot::Sender<Census>,
    },
    /// Nobody can open a link any more.
    Forsaken,
}

/// Between the driver and everybody else.
#[derive(Default)]
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    last_link: AtomicU64,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    /// Links whose streams may have something, or room.
    streams: Vec<LinkId>,
    /// Whether a port has something for the node.
    ports: bool,
    /// The driver's; none while it is running or has been woken.
    waker: Option<Waker>,
    /// Whether the driver is gone.
    closed: bool,
}

impl Shared {
    pub(super) fn next_link(&self) -> LinkId {
        LinkId(self.last_link.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn command(&self, command: Command) {
        let waker = {
            let mut inbox = lock(&self.inbox);
            if inbox.closed {
                drop(inbox);
                drop(command); // Whoever awaits an answer hears of the end.
                return;
            }
            inbox.commands.push(command);
            inbox.waker.take()
        };
        wake(waker);
    }

    pub(super) fn ports_are_ready(&self) {
        let waker = {
            let mut inbox = lock(&self.inbox);
            inbox.ports = true;
            inbox.waker.take()
        };
        wake(waker);
    }

    fn stream_is_ready(&self, link: LinkId) {
        let waker = {
            let mut inbox = lock(&self.inbox);
            inbox.streams.push(link);
            inbox.waker.take()
        };
        wake(waker);
    }

    /// Takes what has happened since the driver looked: adds the streams to `streams`. `None` if
    /// nothing has; the waker is left then for when something does.
    pub(super) fn take(&self, waker: &Waker, streams: &mut Vec<LinkId>) -> Option<Vec<Command>> {
        let mut ours = None;
        loop {
            let mut inbox = lock(&self.inbox);
            let ports = mem::take(&mut inbox.ports);
            if ports || !inbox.commands.is_empty() || !inbox.streams.is_empty() {
                streams.append(&mut inbox.streams);
                let commands = mem::take(&mut inbox.commands);
                drop(inbox); // Before `ours`: no waker is cloned or dropped under the lock.
                return Some(commands);
            }
            if inbox.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
                drop(inbox);
                return None;
            }
            if let Some(ours) = ours.take() {
                let stale = inbox.waker.replace(ours);
                drop(inbox);
                drop(stale);
                return None;
            }
            drop(inbox);
            ours = Some(waker.clone());
        }
    }

    /// The driver is gone: nothing is taken any more.
    pub(super) fn close(&self) {
        let dropped = {
            let mut inbox = lock(&self.inbox);
            inbox.closed = true;
            (inbox.waker.take(), mem::take(&mut inbox.commands))
        };
        drop(dropped);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Wakes the driver for one link, so that it need not look at all of them.
pub(super) struct LinkWaker {
    link: LinkId,
    told: AtomicBool,
    shared: Arc<Shared>,
}

impl LinkWaker {
    pub(super) fn new(link: LinkId, shared: Arc<Shared>) -> Self {
        Self {
            link,
            told: AtomicBool::new(false),
            shared,
        }
    }

    /// From now on a wake counts again. To be called before the stream is polled.
    pub(super) fn rearm(&self) {
        self.told.store(false, Ordering::Release);
    }
}

impl Wake for LinkWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.told.swap(true, Ordering::AcqRel) {
            self.shared.stream_is_ready(self.link);
        }
    }
}
