//! Bodies: streams of bytes that cross threads. Only the facade and hosts know them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

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
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>),
}

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
        Self(Inner::Stream(Box::pin(stream)))
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

    /// Reads a stream to its end, so that [`Self::kept`] can give copies.
    ///
    /// # Errors
    /// As [`Self::collect`].
    pub(crate) async fn keep(&mut self, limit: usize) -> Result<(), BodyError> {
        if matches!(self.0, Inner::Stream(_)) {
            *self = std::mem::take(self).collect(limit).await?.into();
        }
        Ok(())
    }

    /// A copy of a body that is not a stream; of a stream, nothing.
    pub(crate) fn kept(&self) -> Self {
        match &self.0 {
            Inner::Full(bytes) => Self(Inner::Full(bytes.clone())),
            Inner::Empty | Inner::Stream(_) => Self::empty(),
        }
    }

    /// The next chunk; `None` at the end. After an error there is nothing more.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match std::mem::take(&mut self.0) {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(Some(Ok(bytes))),
            Inner::Stream(mut stream) => {
                let polled = stream.as_mut().poll_next(cx);
                if !matches!(polled, Poll::Ready(None | Some(Err(_)))) {
                    self.0 = Inner::Stream(stream);
                }
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
            Inner::Stream(_) => f.write_str("Body(stream)"),
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
    fn a_broken_stream_is_an_error_and_not_a_short_body() {
        let broken = BodyError::Broken("reset".into());
        let body = stream(vec![Ok("he".into()), Err(broken.clone())]);
        assert_eq!(run(body.collect(100)), Err(broken));
    }
}
