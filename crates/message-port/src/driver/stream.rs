//! One stream: bytes in, and the writes that wait, several to a call.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::wake::{LinkWaker, Stream};
use crate::MessagePort;
use crate::node::LinkError;

/// How much room there is for one read.
const READ: usize = 128 * 1024;
/// With less room than this a read begins anew: at the beginning of the buffer, or in another one
/// if somebody still uses what was read. Any frame of a node fits that has begun with the read.
const MIN_READ: usize = 66 * 1024;
/// How many writes are handed to the stream at once.
const SLICES: usize = 32;

pub(super) struct Carried {
    stream: Pin<Box<dyn Stream>>,
    wake: Arc<LinkWaker>,
    waker: Waker,
    buffer: BytesMut,
    writes: VecDeque<Bytes>,
    /// Whether something was written since the stream was flushed.
    unflushed: bool,
    /// Whether the stream has refused a write for good.
    takes_no_more: bool,
    pub(super) up: Option<oneshot::Sender<Option<MessagePort>>>,
    ended: oneshot::Sender<LinkError>,
}

impl Carried {
    pub(super) fn new(
        stream: Pin<Box<dyn Stream>>,
        wake: LinkWaker,
        up: oneshot::Sender<Option<MessagePort>>,
        ended: oneshot::Sender<LinkError>,
    ) -> Self {
        let wake = Arc::new(wake);
        Self {
            stream,
            waker: Waker::from(Arc::clone(&wake)),
            wake,
            buffer: BytesMut::new(),
            writes: VecDeque::new(),
            unflushed: false,
            takes_no_more: false,
            up: Some(up),
            ended,
        }
    }

    /// To be called before the first poll after a wake.
    pub(super) fn rearm(&self) {
        self.wake.rearm();
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !self.takes_no_more {
            self.writes.push_back(bytes);
        }
    }

    /// Drops what waits to be written, and what will. (The node is not told that it was written,
    /// so it hands out no more than it would to a peer that does not read.)
    pub(super) fn write_no_more(&mut self) {
        self.takes_no_more = true;
        self.writes.clear();
        self.unflushed = false;
    }

    pub(super) fn is_written(&self) -> bool {
        self.writes.is_empty() && !self.unflushed
    }

    /// Reads once. No bytes: the stream has ended.
    pub(super) fn poll_read(&mut self) -> Poll<io::Result<Bytes>> {
        if self.buffer.capacity() < MIN_READ {
            self.buffer.reserve(READ);
        }
        let mut cx = Context::from_waker(&self.waker);
        let mut stream = self.stream.as_mut();
        let read = pin!(stream.read_buf(&mut self.buffer));
        ready!(read.poll(&mut cx))?;
        Poll::Ready(Ok(self.buffer.split().freeze()))
    }

    /// Writes once, as much as the stream takes: how many bytes it took. `Ready(0)` if all is
    /// written and flushed.
    pub(super) fn poll_write(&mut self) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(&self.waker);
        if self.writes.is_empty() {
            if self.unflushed {
                ready!(self.stream.as_mut().poll_flush(&mut cx))?;
                self.unflushed = false;
            }
            return Poll::Ready(Ok(0));
        }
        let count = match self.writes.front() {
            Some(only) if self.writes.len() == 1 => {
                ready!(self.stream.as_mut().poll_write(&mut cx, only))?
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = self.writes.iter().zip(&mut slices);
                let used = used
                    .map(|(bytes, slice)| *slice = IoSlice::new(bytes))
                    .count();
                let stream = self.stream.as_mut();
                ready!(stream.poll_write_vectored(&mut cx, &slices[..used]))?
            }
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Says why the link has ended; the stream is dropped.
    pub(super) fn end(self, error: LinkError) {
        // Nobody awaits it if the receiver was dropped.
        self.ended.send(error).ok();
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.writes.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.writes.pop_front();
        }
    }
}
