//! A stream that fails as it is told to: it holds back, breaks, ends or panics at a chosen place.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What the stream does, from now on; nothing of it at first.
#[derive(Default)]
pub(crate) struct Faults {
    /// Gives nothing to read.
    pub(crate) hold_reads: bool,
    /// Takes nothing.
    pub(crate) hold_writes: bool,
    /// Does not come to the end of a flush.
    pub(crate) hold_flush: bool,
    /// Every write and flush fails.
    pub(crate) fail_writes: bool,
    /// How many did.
    pub(crate) failed: usize,
    /// Every write takes no byte, as of a stream that is closed.
    pub(crate) take_nothing: bool,
    /// Every read panics.
    pub(crate) panic: bool,
    /// Every other read and write is put off, as when a task has had its share: it wakes at once.
    pub(crate) put_off: bool,
    was_put_off: [bool; 2],
    /// How many bytes a read gives at most.
    pub(crate) most: Option<usize>,
    /// After so many bytes more, what comes is this.
    pub(crate) cut: Option<(usize, Cut)>,
    /// How many bytes were read.
    pub(crate) read: usize,
    waiting: Vec<Waker>,
}

/// How a stream ends in the middle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// As if the peer had closed it.
    End,
    /// With an error.
    Error,
}

/// Tells a [`Faulty`] stream what to do.
#[derive(Clone, Default)]
pub(crate) struct Control(Arc<Mutex<Faults>>);

impl Control {
    /// A stream that is faulty as this says, and the other end of it, which is not.
    pub(crate) fn stream(&self, size: usize) -> (Faulty, DuplexStream) {
        let (inner, other) = tokio::io::duplex(size);
        let control = self.clone();
        (Faulty { inner, control }, other)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        let waiting = {
            let mut faults = self.faults();
            change(&mut faults);
            std::mem::take(&mut faults.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().expect("nobody panics with it")
    }
}

pub(crate) struct Faulty {
    inner: DuplexStream,
    control: Control,
}

impl Faulty {
    /// Pending, and woken at the next change, if `hold` says so.
    fn hold(&self, cx: &Context<'_>, hold: impl Fn(&Faults) -> bool) -> Poll<()> {
        let mut faults = self.control.faults();
        if hold(&faults) {
            faults.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Pending, and woken already, every other time of those of `what`.
    fn put_off(&self, cx: &Context<'_>, what: usize) -> Poll<()> {
        let mut faults = self.control.faults();
        faults.was_put_off[what] = faults.put_off && !faults.was_put_off[what];
        if faults.was_put_off[what] {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn broken(&self) -> io::Result<()> {
        let mut faults = self.control.faults();
        if !faults.fail_writes {
            return Ok(());
        }
        faults.failed += 1;
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (panics, most, cut) = {
            let faults = self.control.faults();
            (faults.panic, faults.most, faults.cut)
        };
        assert!(!panics, "this stream panics, as it was told to");
        std::task::ready!(self.hold(cx, |faults| faults.hold_reads));
        std::task::ready!(self.put_off(cx, 0));
        match cut {
            Some((0, Cut::End)) => return Poll::Ready(Ok(())),
            Some((0, Cut::Error)) => {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            _ => {}
        }
        let left = cut.map_or(usize::MAX, |(left, _)| left);
        let most = most.unwrap_or(usize::MAX).min(left);
        let mut some = vec![0; most.min(buffer.remaining())];
        let mut some = ReadBuf::new(&mut some);
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut some);
        let count = some.filled().len();
        buffer.put_slice(some.filled());
        let mut faults = self.control.faults();
        faults.read += count;
        if let Some((left, _)) = &mut faults.cut {
            *left -= count;
        }
        read
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.broken()?;
        std::task::ready!(self.hold(cx, |faults| faults.hold_writes));
        std::task::ready!(self.put_off(cx, 1));
        if self.control.faults().take_nothing {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.broken()?;
        std::task::ready!(self.hold(cx, |faults| faults.hold_flush));
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
