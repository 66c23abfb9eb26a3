//! The body of an answer to a fetch event, which a worker's script sends as its client takes it.

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{SinkExt, StreamExt, stream};
use service_worker::{Body, BodyError};

/// Where a script's side sends. Dropped before the end, the client sees an aborted body.
#[derive(Clone, Debug)]
pub(super) struct AnswerBody(mpsc::Sender<Piece>);

#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End(Result<(), String>),
}

/// The client does not read any more.
#[derive(Debug)]
pub(super) struct Unread;

impl AnswerBody {
    /// The two ends.
    pub(super) fn new() -> (Self, Body) {
        // Room for two: what is sent at once is a chunk and the end.
        let (sender, receiver) = mpsc::channel(1);
        let body = stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            match receiver.next().await {
                Some(Piece::Chunk(bytes)) => Some((Ok(bytes), Some(receiver))),
                Some(Piece::End(Ok(()))) => None,
                Some(Piece::End(Err(why))) => Some((Err(BodyError::Broken(why)), None)),
                None => Some((Err(BodyError::Aborted), None)),
            }
        });
        (Self(sender), Body::from_stream(body))
    }

    /// All of it, as the first and only thing.
    pub(super) fn send_all(mut self, bytes: Bytes) {
        let pieces = [Piece::Chunk(bytes), Piece::End(Ok(()))];
        for piece in pieces {
            if self.0.try_send(piece).is_err() {
                tracing::debug!("the client of a fetch event reads no more");
                return;
            }
        }
    }

    /// A chunk; waits until the client has taken what was before.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) async fn send(mut self, bytes: Bytes) -> Result<(), Unread> {
        let sent = self.0.send(Piece::Chunk(bytes)).await;
        sent.map_err(|_| Unread)
    }

    /// The end, or why there is none.
    pub(super) async fn end(mut self, how: Result<(), String>) {
        // Not flushed: nobody needs to wait until the client has taken it.
        if self.0.feed(Piece::End(how)).await.is_err() {
            tracing::debug!("the client of a fetch event reads no more");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn next(body: &mut Body) -> Option<Option<Result<Bytes, BodyError>>> {
        body.next().now_or_never()
    }

    #[test]
    fn a_body_that_is_sent_at_once_ends() {
        let (answer, body) = AnswerBody::new();
        answer.send_all("hello".into());
        assert_eq!(body.collect(5).now_or_never(), Some(Ok("hello".into())));
    }

    #[test]
    fn a_reader_holds_the_sender_back() {
        let (answer, mut body) = AnswerBody::new();
        let mut sent = 0;
        while answer.clone().send("x".into()).now_or_never().is_some() {
            sent += 1;
            assert!(sent < 10, "nothing holds it back");
        }
        assert_eq!(next(&mut body), Some(Some(Ok("x".into()))));
    }

    #[test]
    fn what_is_not_ended_is_aborted_and_what_breaks_says_why() {
        let (answer, mut body) = AnswerBody::new();
        assert!(matches!(
            answer.clone().send("x".into()).now_or_never(),
            Some(Ok(()))
        ));
        drop(answer);
        assert_eq!(next(&mut body), Some(Some(Ok("x".into()))));
        assert_eq!(next(&mut body), Some(Some(Err(BodyError::Aborted))));
        let (answer, mut body) = AnswerBody::new();
        assert_eq!(answer.end(Err("why".into())).now_or_never(), Some(()));
        let broken = BodyError::Broken("why".into());
        assert_eq!(next(&mut body), Some(Some(Err(broken))));
        let (answer, body) = AnswerBody::new();
        drop(body);
        assert!(matches!(
            answer.send("x".into()).now_or_never(),
            Some(Err(Unread))
        ));
    }
}
