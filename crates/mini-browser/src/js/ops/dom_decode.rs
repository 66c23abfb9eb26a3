//! Decoding documents and scripts. (*HTML*, "Determining the character encoding"; *Encoding*.)

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};
use rquickjs::{Array, Ctx, Result};

use super::{OpError, Ops};
use crate::js::JsBytes;

/// How many bytes are looked at for a `meta` element. (*HTML*, "prescan a byte stream".)
const PRESCAN: usize = 1024;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let documents = ops.realm().local::<Documents>();
    ops.add("op_decoder_open", move |charset: Option<String>| {
        documents.open(charset.as_deref())
    })?;

    // More bytes, or the last ones: [their text, the encoding's name as soon as it is known].
    let documents = ops.realm().local::<Documents>();
    ops.add(
        "op_decoder_decode",
        move |ctx: Ctx<'js>, id: u32, bytes: JsBytes, last: bool| -> Result<Array<'js>> {
            let mut open = documents.open.borrow_mut();
            let Some(document) = open.get_mut(&id) else {
                return Err(OpError::new("InvalidStateError", "the decoder has ended").throw(&ctx));
            };
            let text = document.decode(&bytes.0, last);
            let encoding = document.encoding();
            if last {
                open.remove(&id);
            }
            let result = Array::new(ctx)?;
            result.set(0, text)?;
            result.set(1, encoding)?;
            Ok(result)
        },
    )?;

    // Decode, with byte order marks; `label` falls back to UTF-8.
    ops.add("op_decode", |bytes: JsBytes, label: String| {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8);
        encoding.decode(&bytes.0).0.into_owned()
    })
}

/// The documents that are being decoded.
#[derive(Default)]
struct Documents {
    last: Cell<u32>,
    open: RefCell<BTreeMap<u32, Document>>,
}

impl Documents {
    fn open(&self, charset: Option<&str>) -> u32 {
        self.last.set(self.last.get() + 1);
        let charset = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
        let document = Document::Sniffing {
            charset,
            bytes: Vec::new(),
        };
        self.open.borrow_mut().insert(self.last.get(), document);
        self.last.get()
    }
}

enum Document {
    /// Not enough came to tell the encoding.
    Sniffing {
        charset: Option<&'static Encoding>,
        bytes: Vec<u8>,
    },
    Decoding(Decoder),
}

impl Document {
    fn decode(&mut self, more: &[u8], last: bool) -> String {
        match self {
            Self::Decoding(decoder) => decode(decoder, more, last),
            Self::Sniffing { charset, bytes } => {
                bytes.extend_from_slice(more);
                if bytes.len() < PRESCAN && !last {
                    return String::new();
                }
                let encoding = sniff(bytes, *charset);
                let mut decoder = encoding.new_decoder_with_bom_removal();
                let text = decode(&mut decoder, bytes, last);
                *self = Self::Decoding(decoder);
                text
            }
        }
    }

    fn encoding(&self) -> Option<&'static str> {
        match self {
            Self::Sniffing { .. } => None,
            Self::Decoding(decoder) => Some(decoder.encoding().name()),
        }
    }
}

fn decode(decoder: &mut Decoder, bytes: &[u8], last: bool) -> String {
    // Room for every byte in the worst case, so that one call is enough.
    let room = decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(0);
    let mut text = String::with_capacity(room);
    let (result, read, _) = decoder.decode_to_string(bytes, &mut text, last);
    debug_assert!(result == encoding_rs::CoderResult::InputEmpty && read == bytes.len());
    text
}

/// *Encoding sniffing algorithm*; UTF-8 where nothing says otherwise.
fn sniff(bytes: &[u8], charset: Option<&'static Encoding>) -> &'static Encoding {
    let from_mark = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    from_mark
        .or(charset)
        .or_else(|| prescan(&bytes[..bytes.len().min(PRESCAN)]))
        .unwrap_or(UTF_8)
}

/// *Prescan a byte stream to determine its encoding.*
fn prescan(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let Some(begin) = rest.iter().position(|byte| *byte == b'<') else {
            break;
        };
        at += begin;
        let rest = &bytes[at..];
        if rest.starts_with(b"<!--") {
            // The end may overlap the start: `<!-->` is a comment.
            at += 2 + find(&rest[2..], b"-->")? + 3;
        } else if is_tag(rest, b"<meta") {
            let (attributes, end) = attributes(bytes, at + 5);
            if let Some(encoding) = of_meta(&attributes) {
                return Some(encoding);
            }
            at = end;
        } else if rest
            .get(1)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'/')
        {
            let named = rest
                .iter()
                .position(|byte| is_space(*byte) || *byte == b'>')?;
            at = attributes(bytes, at + named).1;
        } else if matches!(rest.get(1), Some(b'!' | b'/' | b'?')) {
            at += rest.iter().position(|byte| *byte == b'>')?;
        } else {
            at += 1;
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_tag(bytes: &[u8], name: &[u8]) -> bool {
    let Some((start, rest)) = bytes.split_at_checked(name.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(name) && rest.first().is_some_and(|b| is_space(*b) || *b == b'/')
}

/// Steps 2 to 10 for a `meta` tag.
fn of_meta(attributes: &[(String, String)]) -> Option<&'static Encoding> {
    let value = |name: &str| {
        let found = attributes.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    };
    let label = match value("charset") {
        Some(label) => label,
        None => {
            let is_pragma = value("http-equiv")? == "content-type";
            is_pragma.then(|| of_content(value("content")?)).flatten()?
        }
    };
    let encoding = Encoding::for_label(label.as_bytes())?;
    Some(if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        encoding_rs::WINDOWS_1252
    } else {
        encoding
    })
}

/// *Extract a character encoding from a meta element.*
fn of_content(content: &str) -> Option<&str> {
    let mut rest = content;
    loop {
        let at = rest.find("charset")?;
        rest = rest[at + 7..].trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            let value = value.trim_start();
            return match value.chars().next()? {
                quote @ ('"' | '\'') => value[1..].split_once(quote).map(|(label, _)| label),
                _ => value.split([' ', '\t', '\n', '\r', '\x0c', ';']).next(),
            };
        }
    }
}

/// *Get an attribute*, as often as there is one; all in lower case. And where the tag ends.
fn attributes(bytes: &[u8], mut at: usize) -> (Vec<(String, String)>, usize) {
    let mut found: Vec<(String, String)> = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let until = |from: usize, stop: &dyn Fn(u8) -> bool| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|b| stop(*b)).unwrap_or(rest.len())
    };
    loop {
        at = until(at, &|byte| !is_space(byte) && byte != b'/');
        if matches!(bytes.get(at), None | Some(b'>')) {
            return (found, at);
        }
        let end = until(at + 1, &|b| is_space(b) || matches!(b, b'=' | b'/' | b'>'));
        let name = text(&bytes[at..end]);
        at = until(end, &|byte| !is_space(byte));
        let mut value = String::new();
        if bytes.get(at) == Some(&b'=') {
            at = until(at + 1, &|byte| !is_space(byte));
            match bytes.get(at) {
                Some(quote @ (b'"' | b'\'')) => {
                    let end = until(at + 1, &|byte| byte == *quote);
                    value = text(&bytes[at + 1..end]);
                    at = end + 1;
                }
                _ => {
                    let end = until(at, &|byte| is_space(byte) || byte == b'>');
                    value = text(&bytes[at..end]);
                    at = end;
                }
            }
        }
        if found.iter().all(|(own, _)| *own != name) {
            found.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(bytes: &[u8]) -> &'static str {
        sniff(bytes, None).name()
    }

    #[test]
    fn a_mark_a_charset_and_a_meta_element_count_in_that_order() {
        let latin = Encoding::for_label(b"latin1");
        assert_eq!(
            sniff(b"\xef\xbb\xbf<meta charset=koi8-r>", latin).name(),
            "UTF-8"
        );
        assert_eq!(
            sniff(b"<meta charset=koi8-r>", latin).name(),
            "windows-1252"
        );
        assert_eq!(sniffed(b"<!doctype html><meta charset='koi8-r'>"), "KOI8-R");
        assert_eq!(
            sniffed(b"<META http-equiv=Content-Type content='text/html; charset=shift_jis'>"),
            "Shift_JIS"
        );
        assert_eq!(sniffed(b"<p>nothing</p>"), "UTF-8");
    }

    #[test]
    fn what_only_looks_like_a_meta_element_does_not_count() {
        assert_eq!(sniffed(b"<!-- <meta charset=koi8-r> --><p>"), "UTF-8");
        assert_eq!(sniffed(b"<!--><meta charset=koi8-r>"), "KOI8-R");
        assert_eq!(sniffed(b"<p title='<meta charset=koi8-r>'>"), "UTF-8");
        assert_eq!(sniffed(b"<metal charset=koi8-r>"), "UTF-8");
        assert_eq!(sniffed(b"<meta charset=utf-16>"), "UTF-8");
        assert_eq!(sniffed(b"<meta content='charset=koi8-r'>"), "UTF-8");
        for broken in [
            &b"<meta charset='"[..],
            b"<meta charset",
            b"<!--",
            b"<",
            b"<a b='",
        ] {
            assert_eq!(sniffed(broken), "UTF-8");
        }
    }

    #[test]
    fn a_document_that_comes_in_pieces_is_decoded_as_one() {
        let documents = Documents::default();
        let id = documents.open(None);
        let mut open = documents.open.borrow_mut();
        let document = open.get_mut(&id).unwrap();
        let mut text = String::new();
        let bytes = format!("<title>{}</title>", "\u{20ac}".repeat(1000));
        for byte in bytes.as_bytes() {
            text += &document.decode(&[*byte], false);
        }
        text += &document.decode(b"\xe2", true);
        assert_eq!(text, bytes + "\u{fffd}");
        assert_eq!(document.encoding(), Some("UTF-8"));
    }
}
