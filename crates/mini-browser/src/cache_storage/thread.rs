//! The thread that owns the shelves: work in, answers out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use std::{io, thread};

use futures_channel::oneshot;
use service_worker::types::StorageKey;

use super::CacheError;
use super::shelf::Shelf;

/// What a store answers. What was asked happens whether or not this is polled, after whatever was
/// asked before.
#[derive(Debug)]
#[must_use = "the operation may have failed"]
pub struct Answer<T>(oneshot::Receiver<Result<T, CacheError>>);

impl<T> Future for Answer<T> {
    type Output = Result<T, CacheError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(answer.unwrap_or(Err(CacheError::Closed)))
    }
}

/// Where something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// For as long as the profile.
    Profile,
    /// For as long as the private session.
    Session,
}

impl Place {
    pub(super) fn of(key: &StorageKey) -> Self {
        if key.ephemeral().is_some() {
            Self::Session
        } else {
            Self::Profile
        }
    }
}

/// Both shelves.
pub(super) struct Shelves {
    pub(super) profile: Shelf,
    pub(super) session: Shelf,
}

impl Shelves {
    pub(super) const fn at(&mut self, place: Place) -> &mut Shelf {
        match place {
            Place::Profile => &mut self.profile,
            Place::Session => &mut self.session,
        }
    }
}

enum Command {
    Work(Box<dyn FnOnce(&mut Shelves) + Send>),
    Close(oneshot::Sender<Result<(), CacheError>>),
}

/// The way to the thread. It ends when the last of these is gone.
#[derive(Clone, Debug)]
pub(super) struct StoreThread(mpsc::Sender<Command>);

impl StoreThread {
    pub(super) fn start(shelves: Shelves) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("cache-storage".into())
            .spawn(move || run(shelves, &receiver))?;
        Ok(Self(sender))
    }

    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelves) -> Result<T, CacheError> + Send + 'static,
    ) -> Answer<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Work(Box::new(move |shelves| {
            // redb may panic over pages that went bad since it was opened.
            let done = catch_unwind(AssertUnwindSafe(|| work(shelves)));
            let answer = done.unwrap_or_else(|_| {
                Err(CacheError::Store(
                    "the index panicked: is it damaged?".into(),
                ))
            });
            // Whoever asked may have gone; what it was given tidies up after itself.
            drop(sender.send(answer));
        })));
        Answer(receiver)
    }

    /// Has something done that nobody waits for.
    pub(super) fn tell(
        &self,
        work: impl FnOnce(&mut Shelves) -> Result<(), CacheError> + Send + 'static,
    ) {
        drop(self.ask(|shelves| {
            work(shelves).inspect_err(|error| tracing::warn!(%error, "tidying up a cache failed"))
        }));
    }

    /// Closes the files, after what was asked before; answers when they are closed.
    pub(super) fn close(&self) -> Answer<()> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Close(sender));
        Answer(receiver)
    }

    fn send(&self, command: Command) {
        // After the end commands are dropped with what they would answer to: that says `Closed`.
        drop(self.0.send(command));
    }
}

fn run(mut shelves: Shelves, commands: &mpsc::Receiver<Command>) {
    for command in commands {
        match command {
            Command::Work(work) => work(&mut shelves),
            Command::Close(closed) => {
                drop(shelves);
                // Nobody may be waiting for it.
                drop(closed.send(Ok(())));
                return;
            }
        }
    }
}
