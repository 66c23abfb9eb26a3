//! A body that a script sends chunk by chunk, as its reader takes it: of an answer to a fetch event,
//! or of a request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use futures_util::SinkExt;
use service_worker::{Body, BodyError};

/// Where a script's side sends. Dropped before the end, the reader sees an aborted body.
#[derive(Clone, Debug)]
pub(super) struct SentBody(mpsc::Sender<Piece>);

#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End(Result<(), String>),
}

/// The reader does not read any more.
#[derive(Debug)]
pub(super) struct Unread;

/// Keeps the body from being aborted: dropped before the end was sent, the reader sees an aborted
/// body, also while somebody hangs on to a [`SentBody`].
#[derive(Debug)]
pub(super) struct Alive(
    #[expect(dead_code, reason = "it is there to be dropped")] oneshot::Sender<()>,
);

/// Ends when nobody reads any more, whether all was read or not.
#[derive(Debug)]
pub(super) struct Reader(oneshot::Receiver<()>);

impl Future for Reader {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

/// The ends of a body.
pub(super) struct Ends {
    pub(super) sender: SentBody,
    pub(super) alive: Alive,
    pub(super) reader: Reader,
    pub(super) body: Body,
}

impl SentBody {
    pub(super) fn ends() -> Ends {
        // Room for two: what is sent at once is a chunk and the end.
        let (sender, pieces) = mpsc::channel(1);
        let (alive, is_alive) = oneshot::channel();
        let (reads, reader) = oneshot::channel();
        let body = Received {
            pieces,
            is_alive,
            _reads: reads,
        };
        Ends {
            sender: Self(sender),
            alive: Alive(alive),
            reader: Reader(reader),
            body: Body::from_stream(body),
        }
    }

    /// All of it, as the first and only thing.
    pub(super) fn send_all(mut self, bytes: Bytes) {
        let pieces = [Piece::Chunk(bytes), Piece::End(Ok(()))];
        for piece in pieces {
            if self.0.try_send(piece).is_err() {
                tracing::debug!("nobody reads a body any more");
                return;
            }
        }
    }

    /// A chunk; waits until the reader has taken what was before.
    ///
    /// # Errors
    /// The reader is gone.
    pub(super) async fn send(mut self, bytes: Bytes) -> Result<(), Unread> {
        let sent = self.0.send(Piece::Chunk(bytes)).await;
        sent.map_err(|_| Unread)
    }

    /// The end, or why there is none.
    pub(super) async fn end(mut self, how: Result<(), String>) {
        // Not flushed: nobody needs to wait until the reader has taken it.
        if self.0.feed(Piece::End(how)).await.is_err() {
            tracing::debug!("nobody reads a body any more");
        }
    }
}

/// What the reader has of it.
struct Received {
    pieces: mpsc::Receiver<Piece>,
    is_alive: oneshot::Receiver<()>,
    _reads: oneshot::Sender<()>,
}

impl Stream for Received {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match Pin::new(&mut self.pieces).poll_next(cx) {
            Poll::Ready(piece) => piece,
            // What was sent before it died is read.
            Poll::Pending => match Pin::new(&mut self.is_alive).poll(cx) {
                Poll::Ready(_) => None,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(match piece {
            Some(Piece::Chunk(bytes)) => Some(Ok(bytes)),
            Some(Piece::End(Ok(()))) => None,
            Some(Piece::End(Err(why))) => Some(Err(BodyError::Broken(why))),
            None => Some(Err(BodyError::Aborted)),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn next(body: &mut Body) -> Option<Option<Result<Bytes, BodyError>>> {
        body.next().now_or_never()
    }

    fn is_sent(sender: &SentBody, chunk: &'static str) -> bool {
        let sent = sender.clone().send(chunk.into()).now_or_never();
        matches!(sent, Some(Ok(())))
    }

    #[test]
    fn a_body_that_is_sent_at_once_ends() {
        let Ends {
            sender,
            body,
            alive,
            ..
        } = SentBody::ends();
        sender.send_all("hello".into());
        drop(alive);
        assert_eq!(body.collect(5).now_or_never(), Some(Ok("hello".into())));
    }

    #[test]
    fn a_reader_holds_the_sender_back() {
        let Ends {
            sender,
            mut body,
            alive: _alive,
            ..
        } = SentBody::ends();
        let mut sent = 0;
        while is_sent(&sender, "x") {
            sent += 1;
            assert!(sent < 10, "nothing holds it back");
        }
        assert_eq!(next(&mut body), Some(Some(Ok("x".into()))));
    }

    #[test]
    fn what_is_not_ended_is_aborted_after_what_was_sent() {
        let Ends {
            sender,
            mut body,
            alive: _alive,
            ..
        } = SentBody::ends();
        assert!(is_sent(&sender, "x"));
        drop(sender);
        assert_eq!(next(&mut body), Some(Some(Ok("x".into()))));
        assert_eq!(next(&mut body), Some(Some(Err(BodyError::Aborted))));
        let Ends {
            sender,
            mut body,
            alive,
            ..
        } = SentBody::ends();
        assert!(is_sent(&sender, "x"));
        drop(alive);
        assert_eq!(next(&mut body), Some(Some(Ok("x".into()))));
        assert_eq!(next(&mut body), Some(Some(Err(BodyError::Aborted))));
        drop(sender);
    }

    #[test]
    fn what_breaks_says_why() {
        let Ends {
            sender, mut body, ..
        } = SentBody::ends();
        assert_eq!(sender.end(Err("why".into())).now_or_never(), Some(()));
        let broken = BodyError::Broken("why".into());
        assert_eq!(next(&mut body), Some(Some(Err(broken))));
    }

    #[test]
    fn a_sender_learns_that_nobody_reads_any_more_also_while_it_sends_nothing() {
        let Ends {
            sender,
            mut reader,
            body,
            ..
        } = SentBody::ends();
        assert_eq!((&mut reader).now_or_never(), None);
        drop(body);
        assert_eq!(reader.now_or_never(), Some(()));
        assert!(matches!(
            sender.send("x".into()).now_or_never(),
            Some(Err(Unread))
        ));
    }
}
