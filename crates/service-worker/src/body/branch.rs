//! Two readers of one stream of chunks. (*Streams*, "ReadableStreamDefaultTee", bounded.)

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_core::Stream;

use super::{BodyError, Chunks};

/// Both halves of a stream. Each keeps what only the other has read so far, at most `limit` bytes;
/// what is behind by more fails.
pub(super) fn branches(source: Chunks, limit: usize) -> [Chunks; 2] {
    let tee = Arc::new(Tee {
        state: Mutex::new(State {
            source: Some(source),
            ended: Ok(()),
            halves: [Half::default(), Half::default()],
        }),
        wakers: Arc::default(),
        limit,
    });
    [0, 1].map(|side| {
        let tee = Arc::clone(&tee);
        Box::pin(Branch { tee, side }) as Chunks
    })
}

struct Branch {
    tee: Arc<Tee>,
    side: usize,
}

struct Tee {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
    limit: usize,
}

struct State {
    /// Until it has ended.
    source: Option<Chunks>,
    /// How it ended.
    ended: Result<(), BodyError>,
    halves: [Half; 2],
}

/// What one reader has still to read.
#[derive(Default)]
struct Half {
    queue: VecDeque<Bytes>,
    /// The bytes of the queue.
    length: usize,
    is_gone: bool,
    is_overrun: bool,
}

impl Half {
    fn push(&mut self, chunk: &Bytes, limit: usize) {
        if self.is_gone || self.is_overrun {
            return;
        }
        self.length += chunk.len();
        if self.length > limit {
            self.is_overrun = true;
            self.queue = VecDeque::new();
        } else {
            self.queue.push_back(chunk.clone());
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.queue.pop_front()?;
        self.length -= chunk.len();
        Some(chunk)
    }
}

impl Tee {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Branch {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { tee, side } = &*self;
        let mut state = tee.lock();
        let half = &mut state.halves[*side];
        if half.is_overrun {
            let too_long = BodyError::TooLong { limit: tee.limit };
            return Poll::Ready(Some(Err(too_long)));
        }
        if let Some(chunk) = half.pop() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        tee.wakers.add(*side, cx.waker());
        let Some(source) = &mut state.source else {
            let ended = state.ended.clone();
            return Poll::Ready(ended.err().map(Err));
        };
        // Whoever polled last, both are woken.
        let both = Waker::from(Arc::clone(&tee.wakers));
        let polled = source.as_mut().poll_next(&mut Context::from_waker(&both));
        let ended = match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => {
                state.halves[1 - side].push(chunk, tee.limit);
                None
            }
            Poll::Ready(Some(Err(error))) => {
                state.ended = Err(error.clone());
                state.source.take()
            }
            Poll::Ready(None) => state.source.take(),
        };
        drop(state);
        drop(ended);
        both.wake();
        polled
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        let half = &mut self.tee.lock().halves[self.side];
        half.is_gone = true;
        half.queue = VecDeque::new();
    }
}

/// Who waits for the source.
#[derive(Default)]
struct Wakers(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    fn add(&self, side: usize, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wakers[side] = Some(waker.clone());
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_channel::mpsc;
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    type Sent = Result<Bytes, BodyError>;

    fn pair(limit: usize) -> (mpsc::UnboundedSender<Sent>, Chunks, Chunks) {
        let (sender, source) = mpsc::unbounded();
        let [one, other] = branches(Box::pin(source), limit);
        (sender, one, other)
    }

    fn next(chunks: &mut Chunks) -> Option<Option<Sent>> {
        chunks.next().now_or_never()
    }

    #[test]
    fn the_second_reader_gets_what_the_first_has_read_and_then_what_comes() {
        let (sender, mut one, mut other) = pair(10);
        sender.unbounded_send(Ok("a".into())).unwrap();
        assert_eq!(next(&mut one), Some(Some(Ok("a".into()))));
        assert_eq!(next(&mut one), None);
        assert_eq!(next(&mut other), Some(Some(Ok("a".into()))));
        sender.unbounded_send(Ok("b".into())).unwrap();
        assert_eq!(next(&mut other), Some(Some(Ok("b".into()))));
        assert_eq!(next(&mut one), Some(Some(Ok("b".into()))));
        let broken = BodyError::Broken("reset".into());
        sender.unbounded_send(Err(broken.clone())).unwrap();
        assert_eq!(next(&mut one), Some(Some(Err(broken.clone()))));
        assert_eq!(next(&mut other), Some(Some(Err(broken))));
    }

    #[test]
    fn who_falls_too_far_behind_fails_and_holds_nothing() {
        let (sender, mut one, mut other) = pair(2);
        for _ in 0..2 {
            sender.unbounded_send(Ok("a".into())).unwrap();
            assert_eq!(next(&mut one), Some(Some(Ok("a".into()))));
        }
        sender.unbounded_send(Ok("a".into())).unwrap();
        assert_eq!(next(&mut one), Some(Some(Ok("a".into()))));
        let too_long = BodyError::TooLong { limit: 2 };
        assert_eq!(next(&mut other), Some(Some(Err(too_long))));
        drop(sender);
        assert_eq!(next(&mut one), Some(None));
    }

    #[test]
    fn a_reader_that_is_gone_keeps_nothing_and_both_gone_end_the_source() {
        let (sender, mut one, other) = pair(1);
        drop(other);
        for _ in 0..3 {
            sender.unbounded_send(Ok("abc".into())).unwrap();
            assert_eq!(next(&mut one), Some(Some(Ok("abc".into()))));
        }
        assert!(!sender.is_closed());
        drop(one);
        assert!(sender.is_closed());
    }

    #[test]
    fn a_chunk_wakes_both_readers_whoever_asked_last() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (sender, mut one, mut other) = pair(10);
        let counts = [0, 1].map(|_| Arc::new(Count(AtomicUsize::new(0))));
        for (branch, count) in [&mut one, &mut other].into_iter().zip(&counts) {
            let waker = Waker::from(Arc::clone(count));
            assert!(
                branch
                    .poll_next_unpin(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        sender.unbounded_send(Ok("a".into())).unwrap();
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [1, 1]);
    }
}
