//! Deflate, for `CompressionStream` and `DecompressionStream`. (*Compression Streams*.)

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::write::{DeflateEncoder, GzDecoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};
use rquickjs::{Ctx, Result};

use super::{OpError, Ops};
use crate::js::JsBytes;

/// How many bytes a decompressor gives at a time.
const CHUNK: usize = 64 << 10;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let codecs = ops.realm().local::<Codecs>();
    ops.add(
        "op_codec_open",
        move |ctx: Ctx<'js>, format: String, decompress: bool| {
            let codec = Codec::new(&format, decompress);
            let codec = codec.ok_or_else(|| {
                OpError::type_error(format!("compression format {format:?} is not offered"))
                    .throw(&ctx)
            })?;
            rquickjs::Result::Ok(codecs.keep(codec))
        },
    )?;

    // What comes out for these bytes; with `last`, all of the rest.
    let codecs = ops.realm().local::<Codecs>();
    ops.add(
        "op_codec_run",
        move |ctx: Ctx<'js>, id: u32, bytes: JsBytes, last: bool| {
            let mut open = codecs.open.borrow_mut();
            let codec = open.get_mut(&id);
            let codec = codec.ok_or_else(|| OpError::type_error("the codec has ended"));
            let out = codec.and_then(|codec| {
                codec
                    .run(&bytes.0, last)
                    .map_err(|error| OpError::type_error(error.to_string()))
            });
            if last || out.is_err() {
                open.remove(&id);
            }
            out.map(|bytes| JsBytes(bytes.into()))
                .map_err(|error| error.throw(&ctx))
        },
    )?;

    let codecs = ops.realm().local::<Codecs>();
    ops.add("op_codec_forget", move |id: u32| {
        codecs.open.borrow_mut().remove(&id);
    })
}

#[derive(Default)]
struct Codecs {
    last: Cell<u32>,
    open: RefCell<BTreeMap<u32, Codec>>,
}

impl Codecs {
    fn keep(&self, codec: Codec) -> u32 {
        self.last.set(self.last.get() + 1);
        self.open.borrow_mut().insert(self.last.get(), codec);
        self.last.get()
    }
}

enum Codec {
    Deflate(ZlibEncoder<Vec<u8>>),
    DeflateRaw(DeflateEncoder<Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
    Inflate { inflate: Decompress, ended: bool },
    Gunzip(GzDecoder<Vec<u8>>),
}

impl Codec {
    fn new(format: &str, decompress: bool) -> Option<Self> {
        let level = Compression::default();
        Some(match (format, decompress) {
            ("deflate", false) => Self::Deflate(ZlibEncoder::new(Vec::new(), level)),
            ("deflate-raw", false) => Self::DeflateRaw(DeflateEncoder::new(Vec::new(), level)),
            ("gzip", false) => Self::Gzip(GzEncoder::new(Vec::new(), level)),
            ("deflate" | "deflate-raw", true) => Self::Inflate {
                inflate: Decompress::new(format == "deflate"),
                ended: false,
            },
            ("gzip", true) => Self::Gunzip(GzDecoder::new(Vec::new())),
            _ => return None,
        })
    }

    fn run(&mut self, bytes: &[u8], last: bool) -> io::Result<Vec<u8>> {
        match self {
            Self::Deflate(encoder) => {
                encoder.write_all(bytes)?;
                if last {
                    encoder.try_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::DeflateRaw(encoder) => {
                encoder.write_all(bytes)?;
                if last {
                    encoder.try_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                if last {
                    encoder.try_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Inflate { inflate, ended } => run_inflate(inflate, ended, bytes, last),
            Self::Gunzip(decoder) => {
                // *Decompress and enqueue a chunk*: nothing may come after the member.
                write_up_to_end(decoder, bytes)?;
                if last {
                    decoder.try_finish()?;
                } else {
                    decoder.flush()?;
                }
                Ok(std::mem::take(decoder.get_mut()))
            }
        }
    }
}

fn write_up_to_end(decoder: &mut GzDecoder<Vec<u8>>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match decoder.write(bytes)? {
            0 => return Err(trailing()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

fn run_inflate(
    inflate: &mut Decompress,
    ended: &mut bool,
    mut bytes: &[u8],
    last: bool,
) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    while !*ended {
        out.reserve(CHUNK);
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress_vec(bytes, &mut out, FlushDecompress::None)?;
        let read = usize::try_from(inflate.total_in() - before_in).unwrap_or(bytes.len());
        bytes = &bytes[read..];
        *ended = status == Status::StreamEnd;
        let has_moved = read > 0 || inflate.total_out() > before_out;
        if !has_moved {
            break;
        }
    }
    if !bytes.is_empty() {
        return Err(trailing());
    }
    if last && !*ended {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the compressed data ends early",
        ));
    }
    Ok(out)
}

fn trailing() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "there is something after the end of the compressed data",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(format: &str, decompress: bool, chunks: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut codec = Codec::new(format, decompress).unwrap();
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend(codec.run(chunk, false)?);
        }
        out.extend(codec.run(&[], true)?);
        Ok(out)
    }

    #[test]
    fn what_is_compressed_comes_out_again_byte_by_byte() {
        let text = b"expected output ".repeat(1000);
        for format in ["deflate", "deflate-raw", "gzip"] {
            let packed = run(format, false, &[&text[..7], &text[7..]]).unwrap();
            assert!(packed.len() < 300, "{format}");
            let bytes: Vec<&[u8]> = packed.chunks(1).collect();
            assert_eq!(run(format, true, &bytes).unwrap(), text, "{format}");
            assert_eq!(run(format, true, &[&packed]).unwrap(), text, "{format}");
        }
        assert!(Codec::new("zip", false).is_none());
    }

    #[test]
    fn what_is_cut_damaged_or_longer_is_refused() {
        for format in ["deflate", "deflate-raw", "gzip"] {
            let packed = run(format, false, &[b"expected output"]).unwrap();
            let longer = [&packed[..], b"\0"].concat();
            assert!(run(format, true, &[&longer]).is_err(), "{format} longer");
            assert!(
                run(format, true, &[&packed, b"x"]).is_err(),
                "{format} later"
            );
            for end in 0..packed.len() {
                assert!(
                    run(format, true, &[&packed[..end]]).is_err(),
                    "{format} {end}"
                );
            }
            if format != "deflate-raw" {
                let mut damaged = packed.clone();
                let at = damaged.len() - 1 - if format == "gzip" { 4 } else { 0 };
                damaged[at] ^= 1;
                assert!(run(format, true, &[&damaged]).is_err(), "{format} sum");
            }
        }
        assert!(run("deflate", true, &[b"abcdefgh"]).is_err());
    }
}
