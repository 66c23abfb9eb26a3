//! UTF-8 and base64, for `TextEncoder`, `TextDecoder`, `btoa` and `atob`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::{Ctx, Result, TypedArray};

use super::{OpError, Ops};
use crate::js::JsBytes;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    ops.add("op_utf8_encode", |ctx: Ctx<'js>, text: String| {
        TypedArray::<u8>::new_copy(ctx, text)
    })?;

    let decoders = ops.realm().local::<Decoders>();
    ops.add(
        "op_utf8_decode",
        move |ctx: Ctx<'js>, id: u32, bytes: JsBytes, flags: Vec<bool>| {
            let [fatal, ignore_bom, stream] = flags[..] else {
                return Err(OpError::type_error("three flags are needed").throw(&ctx));
            };
            let flags = DecodeFlags {
                fatal,
                ignore_bom,
                stream,
            };
            decoders
                .decode(id, &bytes.0, flags)
                .map_err(|error| error.throw(&ctx))
        },
    )?;

    let decoders = ops.realm().local::<Decoders>();
    ops.add("op_utf8_forget", move |id: u32| {
        decoders.0.borrow_mut().remove(&id);
    })
}

#[derive(Clone, Copy)]
struct DecodeFlags {
    fatal: bool,
    ignore_bom: bool,
    stream: bool,
}

/// What streaming decoders keep between calls: up to three bytes, and whether the start of the
/// stream is behind them. Only decoders in the middle of a stream are here.
#[derive(Default)]
struct Decoders(RefCell<BTreeMap<u32, Decoder>>);

#[derive(Default)]
struct Decoder {
    pending: Vec<u8>,
    past_start: bool,
}

impl Decoders {
    /// *Encoding*, `TextDecoder.decode()`. `id` names the decoder.
    fn decode(
        &self,
        id: u32,
        bytes: &[u8],
        flags: DecodeFlags,
    ) -> std::result::Result<String, OpError> {
        let mut decoder = self.0.borrow_mut().remove(&id).unwrap_or_default();
        decoder.pending.extend_from_slice(bytes);
        let text = decoder.decode(flags)?;
        if flags.stream {
            self.0.borrow_mut().insert(id, decoder);
        }
        Ok(text)
    }
}

impl Decoder {
    fn decode(&mut self, flags: DecodeFlags) -> std::result::Result<String, OpError> {
        let mut bytes = std::mem::take(&mut self.pending);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        let mut incomplete = 0;
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        None if flags.stream => {
                            incomplete = after.len();
                            break;
                        }
                        _ if flags.fatal => {
                            return Err(OpError::type_error("the data is not valid UTF-8"));
                        }
                        length => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &after[length.unwrap_or(after.len())..];
                        }
                    }
                }
            }
        }
        bytes.drain(..bytes.len() - incomplete);
        self.pending = bytes;
        // The byte order mark counts only as the first character of the stream.
        if !self.past_start && !text.is_empty() {
            self.past_start = true;
            if !flags.ignore_bom && text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
        }
        Ok(text)
    }
}
