//! Content codings: what a response says, undone as a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use service_worker::{Body, BodyError};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// More layers than this are left as they are: nobody sends them in earnest.
const MAX_LAYERS: usize = 3;
const CHUNK: usize = 32 * 1024;
/// 8 MiB, the most that RFC 9659 lets a server ask for.
const ZSTD_WINDOW_LOG: u32 = 23;

/// *Handle content codings*: undoes `gzip`, `deflate`, `br` and `zstd` and takes `Content-Encoding`
/// and `Content-Length` away. A body with any other coding is left as it is, with its headers.
pub(super) fn decode(headers: &mut HeaderMap, body: Body) -> Body {
    let Some(codings) = codings(headers) else {
        return body;
    };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    // The last one was laid around all others.
    codings.into_iter().rev().fold(body, undo)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// *Extract header list values* of `Content-Encoding`, in order; `None` if nothing is to be undone.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in value.to_str().ok()?.split(',') {
            codings.push(match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                "identity" | "" => continue,
                _ => return None,
            });
        }
    }
    (1..=MAX_LAYERS).contains(&codings.len()).then_some(codings)
}

/// The body without one coding; [`BodyError::Broken`] where the coded bytes are damaged or cut.
fn undo(body: Body, coding: Coding) -> Body {
    Body::from_stream(Decoded {
        reader: Some(ChunkReader {
            body,
            chunk: Bytes::new(),
        }),
        decoder: None,
        coding,
        scratch: Vec::new(),
    })
}

type Decoder = Pin<Box<dyn AsyncRead + Send>>;

struct Decoded {
    /// What the decoder will be made over, as soon as there are bytes to tell which one.
    reader: Option<ChunkReader>,
    decoder: Option<Decoder>,
    coding: Coding,
    scratch: Vec<u8>,
}

impl Decoded {
    /// The decoder; `None` if there are no bytes at all, which are an empty body whatever its
    /// coding says.
    fn poll_decoder(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<&mut Decoder>>> {
        if let Some(mut reader) = self.reader.take() {
            let start = match Pin::new(&mut reader).poll_fill_buf(cx) {
                Poll::Ready(start) => start?,
                Poll::Pending => {
                    self.reader = Some(reader);
                    return Poll::Pending;
                }
            };
            if start.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let is_zlib = is_zlib(start);
            self.decoder = Some(decoder(reader, self.coding, is_zlib));
        }
        Poll::Ready(Ok(self.decoder.as_mut()))
    }
}

impl Stream for Decoded {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut scratch = std::mem::take(&mut this.scratch);
        scratch.resize(CHUNK, 0);
        let mut buffer = ReadBuf::new(&mut scratch);
        let read = match ready!(this.poll_decoder(cx)) {
            Ok(Some(decoder)) => decoder.as_mut().poll_read(cx, &mut buffer),
            Ok(None) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        };
        let chunk = read.map(|read| match read {
            Ok(()) if buffer.filled().is_empty() => None,
            Ok(()) => Some(Ok(Bytes::copy_from_slice(buffer.filled()))),
            Err(error) => Some(Err(body_error(&error))),
        });
        this.scratch = scratch;
        chunk
    }
}

fn decoder(reader: ChunkReader, coding: Coding, is_zlib: bool) -> Decoder {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Deflate if is_zlib => Box::pin(ZlibDecoder::new(reader)),
        Coding::Deflate => Box::pin(DeflateDecoder::new(reader)),
        Coding::Brotli => Box::pin(BrotliDecoder::new(reader)),
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
            let mut decoder = ZstdDecoder::with_params(reader, &[window]);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    }
}

/// Whether `deflate` is what RFC 9110 says, in the zlib format, or bare, as some servers send it. A
/// body whose first chunk has one byte only is taken for the former if that byte can begin it.
fn is_zlib(start: &[u8]) -> bool {
    match start {
        [method, flags, ..] => {
            method & 0x0F == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31)
        }
        [method] => method & 0x8F == 8,
        [] => false,
    }
}

/// The body's own error if it is one; otherwise the decoder's.
fn body_error(error: &io::Error) -> BodyError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner
        .cloned()
        .unwrap_or_else(|| BodyError::Broken(format!("its content coding is damaged: {error}")))
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

    /// What other programs made of `text`, with each coding.
    const TEXT: &str = "one text, one text, one text, one text";
    const BROTLI: &str = "1b2500f88dd461adb1386b96b2373a09e28617448502b8b40f";
    const ZSTD: &str = "28b52ffd0458850000506f6e6520746578742c200100650a12357adbf3";

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_coding_that_is_asked_for_is_undone() {
        let text = TEXT.as_bytes();
        for (codings, coded) in [
            (&["br"][..], bytes(BROTLI)),
            (&["ZSTD"], bytes(ZSTD)),
            (&["deflate"], zlib(text)),
            (&["deflate"], deflated(text)),
            (&["gzip, deflate"], zlib(&gzip(text))),
            (&["deflate", "gzip"], gzip(&zlib(text))),
        ] {
            let (headers, body) = decoded(codings, coded);
            assert!(headers.is_empty(), "{codings:?}");
            assert_eq!(body.unwrap(), TEXT, "{codings:?}");
        }
    }

    #[test]
    fn every_coding_that_is_cut_is_an_error() {
        let text = TEXT.as_bytes();
        for (coding, coded) in [
            ("br", bytes(BROTLI)),
            ("zstd", bytes(ZSTD)),
            ("deflate", zlib(text)),
            ("deflate", deflated(text)),
        ] {
            for length in 1..coded.len() {
                let (_, body) = decoded(&[coding], coded[..length].to_vec());
                assert!(
                    matches!(body, Err(BodyError::Broken(_))),
                    "{coding} {length}"
                );
            }
        }
    }

    #[test]
    fn two_members_after_each_other_are_one_body() {
        let (_, body) = decoded(&["gzip"], [gzip(b"one "), gzip(b"two")].concat());
        assert_eq!(body.unwrap(), "one two");
    }

    #[test]
    fn an_unknown_coding_leaves_body_and_headers_alone() {
        for codings in [&["lzw"][..], &["gzip, lzw"], &["gzip, gzip, gzip, gzip"]] {
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
