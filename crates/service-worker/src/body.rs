//! Bodies: streams of bytes that cross threads. Only the facade and hosts know them.

mod branch;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt;

/// Why a body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The connection or the worker that produced it failed.
    #[error("the body ended early: {0}")]
    Broken(String),
    /// Its consumer or producer aborted it.
    #[error("the body was aborted")]
    Aborted,
    /// It is longer than its reader accepts.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// The reader's limit, in bytes.
        limit: usize,
    },
}

/// A body: nothing, bytes, or a stream of chunks that is pulled by its reader (so that a slow
/// reader holds its producer back).
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Full(Bytes),
    Stream {
        stream: Chunks,
        length: Option<u64>,
    },
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// A body of chunks.
    pub fn from_stream(
        stream: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    ) -> Self {
        Self(Inner::Stream {
            stream: Box::pin(stream),
            length: None,
        })
    }

    /// All of it, at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] over the limit, or whatever ended the stream.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        let too_long = BodyError::TooLong { limit };
        if let Inner::Full(bytes) = self.0 {
            return if bytes.len() > limit {
                Err(too_long)
            } else {
                Ok(bytes)
            };
        }
        let mut collected = BytesMut::new();
        while let Some(chunk) = std::future::poll_fn(|cx| self.poll_chunk(cx)).await {
            let chunk = chunk?;
            if chunk.len() > limit - collected.len() {
                return Err(too_long);
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(collected.freeze())
    }

    /// Splits it: what comes is given to both, the one that is given back and the one that is left
    /// here, each at its reader's pace. Nothing is read before one of them is. The one that falls
    /// more than `limit` bytes behind the other fails with [`BodyError::TooLong`]; who is dropped
    /// holds nothing.
    #[must_use]
    pub fn branch(&mut self, limit: usize) -> Self {
        match std::mem::take(&mut self.0) {
            Inner::Empty => Self::empty(),
            Inner::Full(bytes) => {
                self.0 = Inner::Full(bytes.clone());
                Self(Inner::Full(bytes))
            }
            Inner::Stream { stream, length } => {
                let [kept, given] = branch::branches(stream, limit);
                let branch = |stream| Self(Inner::Stream { stream, length });
                *self = branch(kept);
                branch(given)
            }
        }
    }

    /// The same body, of which `seen` is told each chunk as it is read; all of it at once if its bytes
    /// are there. `seen` is dropped where the body ends, or its reader goes.
    #[must_use]
    pub fn inspected(self, mut seen: impl FnMut(&Bytes) + Send + 'static) -> Self {
        match self.0 {
            Inner::Empty => self,
            Inner::Full(bytes) => {
                seen(&bytes);
                Self(Inner::Full(bytes))
            }
            Inner::Stream { stream, length } => {
                let stream = stream.inspect(move |chunk| {
                    if let Ok(chunk) = chunk {
                        seen(chunk);
                    }
                });
                Self::from_stream(stream).with_length(length)
            }
        }
    }

    /// How many bytes are still to come, if that is known: of a stream, what
    /// [`Self::with_length`] said.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Inner::Empty => Some(0),
            Inner::Full(bytes) => u64::try_from(bytes.len()).ok(),
            Inner::Stream { length, .. } => *length,
        }
    }

    /// The same, of which its maker knows how long it is, in bytes. (*Fetch*, "body", *length*.)
    #[must_use]
    pub fn with_length(mut self, known: Option<u64>) -> Self {
        if let Inner::Stream { length, .. } = &mut self.0 {
            *length = known;
        }
        self
    }

    /// All of its bytes, if they are there.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        match &self.0 {
            Inner::Empty => Some(Bytes::new()),
            Inner::Full(bytes) => Some(bytes.clone()),
            Inner::Stream { .. } => None,
        }
    }

    /// The next chunk; `None` at the end. After an error there is nothing more.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match std::mem::take(&mut self.0) {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(Some(Ok(bytes))),
            Inner::Stream { mut stream, length } => {
                let polled = stream.as_mut().poll_next(cx);
                let came = match &polled {
                    Poll::Ready(None | Some(Err(_))) => return polled,
                    Poll::Ready(Some(Ok(chunk))) => u64::try_from(chunk.len()).unwrap_or(u64::MAX),
                    Poll::Pending => 0,
                };
                let length = length.map(|length| length.saturating_sub(came));
                self.0 = Inner::Stream { stream, length };
                polled
            }
        }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() {
            Inner::Empty
        } else {
            Inner::Full(bytes)
        })
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Inner::Empty => f.write_str("Body(empty)"),
            Inner::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Inner::Stream { .. } => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        futures_util::FutureExt::now_or_never(future).unwrap()
    }

    fn stream(chunks: Vec<Result<Bytes, BodyError>>) -> Body {
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[test]
    fn a_body_is_collected_up_to_the_limit_and_not_beyond() {
        assert_eq!(run(Body::from("hello").collect(5)).unwrap(), "hello");
        assert_eq!(
            run(stream(vec![Ok("he".into()), Ok("llo".into())]).collect(5)).unwrap(),
            "hello"
        );
        let too_long = Err(BodyError::TooLong { limit: 4 });
        assert_eq!(run(Body::from("hello").collect(4)), too_long);
        assert_eq!(
            run(stream(vec![Ok("he".into()), Ok("llo".into())]).collect(4)),
            too_long
        );
    }

    #[test]
    fn both_halves_of_a_branched_body_have_all_of_it_and_know_how_much_is_to_come() {
        let mut full = Body::from("hello");
        let branch = full.branch(0);
        assert_eq!(branch.length(), Some(5));
        assert_eq!(run(branch.collect(5)).unwrap(), "hello");
        assert_eq!(full.bytes().unwrap(), "hello");
        let mut body = stream(vec![Ok("he".into()), Ok("llo".into())]).with_length(Some(5));
        let mut branch = body.branch(5);
        assert_eq!(run(branch.next()), Some(Ok("he".into())));
        assert_eq!((body.length(), branch.length()), (Some(5), Some(3)));
        assert_eq!(run(branch.collect(3)).unwrap(), "llo");
        assert_eq!(run(body.collect(5)).unwrap(), "hello");
    }

    #[test]
    fn each_chunk_is_seen_once_and_the_end_by_a_drop() {
        for body in [
            Body::from("hello"),
            stream(vec![Ok("he".into()), Ok("llo".into())]),
        ] {
            let (sender, seen) = std::sync::mpsc::channel();
            let body = body.inspected(move |chunk| sender.send(chunk.clone()).unwrap());
            assert_eq!(run(body.collect(5)).unwrap(), "hello");
            let chunks: Vec<_> = seen.iter().collect();
            assert_eq!(chunks.concat(), b"hello");
        }
    }

    #[test]
    fn a_broken_stream_is_an_error_and_not_a_short_body() {
        let broken = BodyError::Broken("reset".into());
        let body = stream(vec![Ok("he".into()), Err(broken.clone())]);
        assert_eq!(run(body.collect(100)), Err(broken));
    }
}
