//! Bodies on their way out: the facade's [`Body`] as hyper sends it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use service_worker::{Body, BodyError};

/// A body that hyper sends: with `Content-Length` if all of it is there at once, otherwise in
/// chunks as the reader on the other side takes them.
pub(super) struct Outgoing {
    ready: VecDeque<Result<Bytes, BodyError>>,
    rest: Body,
    all_ready: bool,
    /// How many bytes a body that is not all there will have, if that is known.
    length: Option<u64>,
}

impl Outgoing {
    pub(super) fn new(body: Body) -> Self {
        Self::with_length(body, None)
    }

    /// A body of so many bytes in all. With fewer than that the request is broken off.
    pub(super) fn with_length(mut body: Body, length: Option<u64>) -> Self {
        // A body that is empty or in one piece says so when it is asked twice. A stream that is
        // not ready yet is asked again, with a real waker, when it is sent.
        let mut context = Context::from_waker(Waker::noop());
        let mut ready = VecDeque::new();
        let mut all_ready = false;
        while ready.len() < 2 && !all_ready {
            match body.poll_chunk(&mut context) {
                Poll::Ready(Some(chunk)) => ready.push_back(chunk),
                Poll::Ready(None) => all_ready = true,
                Poll::Pending => break,
            }
        }
        Self {
            ready,
            rest: body,
            all_ready,
            length,
        }
    }

    /// All the bytes, if they are there already.
    pub(super) fn full(&self) -> Option<Bytes> {
        match self.ready.front() {
            None if self.all_ready => Some(Bytes::new()),
            Some(Ok(bytes)) if self.all_ready && self.ready.len() == 1 => Some(bytes.clone()),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all_ready && self.ready.is_empty()
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let chunk = match this.ready.pop_front() {
            Some(chunk) => Poll::Ready(Some(chunk)),
            None if this.all_ready => Poll::Ready(None),
            None => this.rest.poll_chunk(cx),
        };
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match (self.full(), self.length) {
            (Some(bytes), _) => SizeHint::with_exact(bytes.len() as u64),
            (None, Some(length)) => SizeHint::with_exact(length),
            (None, None) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Body as _;

    fn stream(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|text| Ok(Bytes::from(*text))).collect();
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[test]
    fn a_body_in_one_piece_has_a_length_and_a_stream_has_none() {
        let exact = |body| Outgoing::new(body).size_hint().exact();
        assert_eq!(exact(Body::empty()), Some(0));
        assert_eq!(exact(Body::from("four")), Some(4));
        assert_eq!(exact(stream(&["four"])), Some(4));
        assert_eq!(exact(stream(&["fo", "ur"])), None);
        assert_eq!(
            exact(Body::from_stream(futures_util::stream::pending())),
            None
        );
    }

    #[test]
    fn looking_ahead_loses_no_chunk() {
        use http_body_util::BodyExt;
        let sent = Outgoing::new(stream(&["a", "b", "c", "d"])).collect();
        let sent = futures_util::FutureExt::now_or_never(sent)
            .unwrap()
            .unwrap();
        assert_eq!(sent.to_bytes(), "abcd");
    }
}
