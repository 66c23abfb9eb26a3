//! Text and bytes, for `TextEncoder`, `TextDecoder` and their streams.

use std::cell::RefCell;
use std::collections::BTreeMap;

use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT};
use rquickjs::{Array, Ctx, Result, TypedArray};

use super::{OpError, Ops};
use crate::js::JsBytes;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    ops.add("op_utf8_encode", |ctx: Ctx<'js>, text: String| {
        TypedArray::<u8>::new_copy(ctx, text)
    })?;

    // As much as fits into so many bytes: [the bytes, how many code units were read].
    ops.add(
        "op_utf8_encode_into",
        |ctx: Ctx<'js>, text: String, room: usize| -> Result<Array<'js>> {
            let (fitting, read) = prefix(&text, room);
            let result = Array::new(ctx.clone())?;
            result.set(0, TypedArray::<u8>::new_copy(ctx, fitting)?)?;
            result.set(1, read)?;
            Ok(result)
        },
    )?;

    // Get an encoding: its name in lower case, or nothing.
    ops.add("op_encoding", |label: String| {
        Encoding::for_label(label.as_bytes())
            .filter(|encoding| *encoding != REPLACEMENT)
            .map(|encoding| encoding.name().to_ascii_lowercase())
    })?;

    let decoders = ops.realm().local::<Decoders>();
    ops.add(
        "op_text_decode",
        move |ctx: Ctx<'js>, id: u32, encoding: String, bytes: JsBytes, flags: Vec<bool>| {
            let [fatal, ignore_bom, stream] = flags[..] else {
                return Err(OpError::type_error("three flags are needed").throw(&ctx));
            };
            let flags = Flags {
                fatal,
                ignore_bom,
                stream,
            };
            decoders
                .decode(id, &encoding, &bytes.0, flags)
                .map_err(|error| error.throw(&ctx))
        },
    )?;

    let decoders = ops.realm().local::<Decoders>();
    ops.add("op_text_forget", move |id: u32| {
        decoders.0.borrow_mut().remove(&id);
    })
}

/// The beginning of a text that fits, and its length in UTF-16.
fn prefix(text: &str, room: usize) -> (&str, usize) {
    let mut end = text.len().min(room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let fitting = &text[..end];
    (fitting, fitting.encode_utf16().count())
}

#[derive(Clone, Copy)]
struct Flags {
    fatal: bool,
    ignore_bom: bool,
    stream: bool,
}

/// The decoders that are in the middle of a stream.
#[derive(Default)]
struct Decoders(RefCell<BTreeMap<u32, Decoder>>);

impl Decoders {
    /// *Encoding*, `TextDecoder.decode()`. `id` names the decoder; 0 is one that never streams.
    fn decode(
        &self,
        id: u32,
        encoding: &str,
        bytes: &[u8],
        flags: Flags,
    ) -> std::result::Result<String, OpError> {
        let kept = self.0.borrow_mut().remove(&id);
        let encoding = Encoding::for_label(encoding.as_bytes());
        let encoding = encoding.ok_or_else(|| OpError::type_error("no such encoding"))?;
        let mut decoder = kept.unwrap_or_else(|| {
            // A byte order mark of another encoding is text.
            if flags.ignore_bom {
                encoding.new_decoder_without_bom_handling()
            } else {
                encoding.new_decoder_with_bom_removal()
            }
        });
        let text = decode(&mut decoder, bytes, flags)?;
        if flags.stream && id != 0 {
            self.0.borrow_mut().insert(id, decoder);
        }
        Ok(text)
    }
}

fn decode(
    decoder: &mut Decoder,
    bytes: &[u8],
    flags: Flags,
) -> std::result::Result<String, OpError> {
    let last = !flags.stream;
    let too_long = || OpError::new("RangeError", "the text is too long");
    let room = if flags.fatal {
        decoder.max_utf8_buffer_length_without_replacement(bytes.len())
    } else {
        decoder.max_utf8_buffer_length(bytes.len())
    };
    let mut text = String::new();
    text.try_reserve(room.ok_or_else(too_long)?)
        .map_err(|_| too_long())?;
    // There is room for everything, so that one call is enough.
    if flags.fatal {
        match decoder
            .decode_to_string_without_replacement(bytes, &mut text, last)
            .0
        {
            DecoderResult::InputEmpty => {}
            DecoderResult::OutputFull => return Err(too_long()),
            DecoderResult::Malformed(..) => {
                return Err(OpError::type_error(
                    "the data is not valid for the encoding",
                ));
            }
        }
    } else {
        let (result, ..) = decoder.decode_to_string(bytes, &mut text, last);
        if result == encoding_rs::CoderResult::OutputFull {
            return Err(too_long());
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_ends_with_a_whole_character() {
        for (text, room, expected) in [
            ("a\u{e9}b", 0, ("", 0)),
            ("a\u{e9}b", 2, ("a", 1)),
            ("a\u{e9}b", 3, ("a\u{e9}", 2)),
            ("\u{1d11e}", 3, ("", 0)),
            ("\u{1d11e}x", 4, ("\u{1d11e}", 2)),
            ("ab", 10, ("ab", 2)),
        ] {
            assert_eq!(prefix(text, room), expected, "{text} {room}");
        }
    }

    #[test]
    fn a_decoder_that_failed_begins_anew() {
        let decoders = Decoders::default();
        let flags = |stream| Flags {
            fatal: true,
            ignore_bom: false,
            stream,
        };
        assert!(
            decoders
                .decode(1, "utf-8", b"\xe3\x81", flags(true))
                .is_ok()
        );
        assert!(decoders.decode(1, "utf-8", b"A", flags(true)).is_err());
        assert_eq!(
            decoders.decode(1, "utf-8", b"A", flags(false)).unwrap(),
            "A"
        );
        assert!(decoders.decode(1, "nonsense", b"A", flags(false)).is_err());
    }
}
