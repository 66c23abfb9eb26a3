//! A body that is kept while it is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use service_worker::{Body, BodyError};

/// The same body; `keep` gets all of it once it has been read to its end, unless it is longer than
/// `longest` bytes. What breaks, or is not read to its end, is not kept.
pub(super) fn keeping(
    body: Body,
    longest: usize,
    keep: impl FnOnce(Bytes) + Send + 'static,
) -> Body {
    Body::from_stream(Keeping {
        body,
        longest,
        read: BytesMut::new(),
        keep: Some(keep),
    })
}

struct Keeping<F> {
    body: Body,
    longest: usize,
    read: BytesMut,
    /// Gone when there is nothing to keep any more.
    keep: Option<F>,
}

impl<F> Unpin for Keeping<F> {}

impl<F: FnOnce(Bytes)> Stream for Keeping<F> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.body.poll_chunk(cx));
        match &chunk {
            None => {
                let read = std::mem::take(&mut self.read).freeze();
                if let Some(keep) = self.keep.take() {
                    keep(read);
                }
            }
            Some(Ok(chunk)) if chunk.len() <= self.longest - self.read.len() => {
                if self.keep.is_some() {
                    self.read.extend_from_slice(chunk);
                }
            }
            Some(_) => {
                self.keep = None;
                self.read = BytesMut::new();
            }
        }
        Poll::Ready(chunk)
    }
}
