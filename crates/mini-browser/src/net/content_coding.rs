//! Content codings: what a response says, and `gzip` undone as a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use service_worker::{Body, BodyError};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// More layers than this are left as they are: nobody sends them in earnest.
const MAX_LAYERS: usize = 3;
const CHUNK: usize = 32 * 1024;

/// *Handle content codings*: undoes `gzip` and takes `Content-Encoding` and `Content-Length` away.
/// A body with any other coding is left as it is, with its headers.
pub(super) fn decode(headers: &mut HeaderMap, body: Body) -> Body {
    let Some(layers) = gzip_layers(headers) else {
        return body;
    };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    (0..layers).fold(body, |body, _| gunzip(body))
}

/// How many times gzip is laid around the body; `None` if nothing is to be undone.
fn gzip_layers(headers: &HeaderMap) -> Option<usize> {
    let mut layers = 0;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in value.to_str().ok()?.split(',') {
            match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => layers += 1,
                "identity" | "" => {}
                _ => return None,
            }
        }
    }
    (1..=MAX_LAYERS).contains(&layers).then_some(layers)
}

/// The body without its gzip coding; [`BodyError::Broken`] where the coded bytes are damaged or cut.
fn gunzip(body: Body) -> Body {
    let reader = ChunkReader {
        body,
        chunk: Bytes::new(),
    };
    let mut decoder = GzipDecoder::new(reader);
    decoder.multiple_members(true);
    Body::from_stream(Gunzip {
        decoder,
        has_begun: false,
        scratch: Vec::new(),
    })
}

struct Gunzip {
    decoder: GzipDecoder<ChunkReader>,
    has_begun: bool,
    scratch: Vec<u8>,
}

impl Stream for Gunzip {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.has_begun {
            // No bytes at all are an empty body, whatever its coding says.
            match ready!(Pin::new(this.decoder.get_mut()).poll_fill_buf(cx)) {
                Ok([]) => return Poll::Ready(None),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(body_error(&error)))),
            }
            this.has_begun = true;
            this.scratch.resize(CHUNK, 0);
        }
        let mut buffer = ReadBuf::new(&mut this.scratch);
        let read = ready!(Pin::new(&mut this.decoder).poll_read(cx, &mut buffer));
        Poll::Ready(match read {
            Ok(()) if buffer.filled().is_empty() => None,
            Ok(()) => Some(Ok(Bytes::copy_from_slice(buffer.filled()))),
            Err(error) => Some(Err(body_error(&error))),
        })
    }
}

/// The body's own error if it is one; otherwise gzip's.
fn body_error(error: &io::Error) -> BodyError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner
        .cloned()
        .unwrap_or_else(|| BodyError::Broken(format!("its gzip coding is damaged: {error}")))
}

/// A body as the decoder reads it.
struct ChunkReader {
    body: Body,
    chunk: Bytes,
}

impl AsyncBufRead for ChunkReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(this.body.poll_chunk(cx)) {
                Some(Ok(chunk)) => this.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => break,
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        bytes::Buf::advance(&mut self.get_mut().chunk, amount);
    }
}

impl AsyncRead for ChunkReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = chunk.len().min(buffer.remaining());
        buffer.put_slice(&chunk[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn headers(codings: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(CONTENT_ENCODING, coding.parse().unwrap());
        }
        headers.insert(CONTENT_LENGTH, "9".parse().unwrap());
        headers
    }

    fn decoded(codings: &[&str], bytes: Vec<u8>) -> (HeaderMap, Result<Bytes, BodyError>) {
        let mut headers = headers(codings);
        let body = decode(&mut headers, Body::from(bytes));
        (headers, body.collect(10_000_000).now_or_never().unwrap())
    }

    fn text() -> Vec<u8> {
        (0..200_000u32).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn gzip_is_undone_with_its_headers_in_any_spelling() {
        for codings in [&["gzip"][..], &["X-GZIP, identity"], &["identity", "GZip"]] {
            let (headers, body) = decoded(codings, gzip(&text()));
            assert!(headers.is_empty());
            assert_eq!(body.unwrap(), text());
        }
        let (_, twice) = decoded(&["gzip", "gzip"], gzip(&gzip(&text())));
        assert_eq!(twice.unwrap(), text());
    }

    #[test]
    fn two_members_after_each_other_are_one_body() {
        let (_, body) = decoded(&["gzip"], [gzip(b"one "), gzip(b"two")].concat());
        assert_eq!(body.unwrap(), "one two");
    }

    #[test]
    fn an_unknown_coding_leaves_body_and_headers_alone() {
        for codings in [&["br"][..], &["gzip, br"], &["gzip, gzip, gzip, gzip"]] {
            let (headers, body) = decoded(codings, b"coded".to_vec());
            assert_eq!(headers.len(), 2);
            assert_eq!(body.unwrap(), "coded");
        }
    }

    #[test]
    fn no_bytes_are_an_empty_body() {
        assert_eq!(decoded(&["gzip"], Vec::new()).1, Ok(Bytes::new()));
    }

    #[test]
    fn a_coding_cut_at_any_byte_is_an_error_and_not_a_short_body() {
        let coded = gzip(b"some text that is long enough to be cut");
        for length in 1..coded.len() {
            let (_, body) = decoded(&["gzip"], coded[..length].to_vec());
            assert!(matches!(body, Err(BodyError::Broken(_))), "{length}");
        }
    }

    #[test]
    fn an_error_of_the_body_comes_through_as_itself() {
        let mut coded = Bytes::from(gzip(&text()));
        let chunks = vec![Ok(coded.split_to(100)), Err(BodyError::Aborted)];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        let body = decode(&mut headers(&["gzip"]), body);
        assert_eq!(
            body.collect(10_000_000).now_or_never().unwrap(),
            Err(BodyError::Aborted)
        );
    }
}
