//! The bytes of a serialized value.
//!
//! `record = version(1 byte) transfers value`, `transfers = count (0x01 buffer | 0x02 port | 0x03
//! platform)*`. Numbers without a size are LEB128. A `text` is `0x07 length bytes` (UTF-8) or
//! `0x08 count units` (UTF-16, little-endian, what has lone surrogates).
//!
//! | byte | value | what follows |
//! |---|---|---|
//! | 00 01 02 03 | undefined, null, true, false | |
//! | 04 | number that is a 32-bit integer | zigzag |
//! | 05 | number | 8 bytes, little-endian |
//! | 06 | bigint | zigzag of 64 bits |
//! | 07 08 | string | its text, of which this is the first byte |
//! | 09 | the object at that place of the memory | place |
//! | 0A | bigint of more than 64 bits | text: hexadecimal, with a sign |
//! | 10 | object | (text value)\* end |
//! | 11 | array | length, (value of the next index \| 12 text value)\* end |
//! | 12 | (a key within an array) | |
//! | 13 | map | (key value)\* end |
//! | 14 | set | value\* end |
//! | 15 | Date | 8 bytes |
//! | 16 17 | Boolean objects true, false | |
//! | 18 | Number object | 8 bytes |
//! | 19 | String object | text |
//! | 1A | BigInt object | bigint: 06 or 0A |
//! | 1B | RegExp | text: source, text: flags |
//! | 1C | error | type, bits (1 message, 2 stack, 4 cause), texts, value of the cause |
//! | 1D | ArrayBuffer | bits (1 resizable), length, longest length if resizable, bytes |
//! | 1E | view | kind (0 to 11 as the engine numbers typed arrays, 12 DataView), bits (1 tracks the length), offset, length unless it tracks, value of the buffer |
//! | 1F | platform object | text: its tag, value of its data |
//! | 20 | transferred object | place among the transfers |
//! | FF | (the end of an object, array, map or set) | |
//!
//! Objects (10 and above) take the next place of the memory where their byte stands. Transfers:
//! a buffer is as 1D; a port is its place among the ports that travel with the record; a platform
//! object is its tag and the value of its data, whose memory is its own.

use super::CloneError;
use super::raw::Text;

/// The version of this format. Records of other versions are refused.
pub(super) const VERSION: u8 = 1;

/// How a record without transfers begins.
pub(super) const HEADER: [u8; 2] = [VERSION, 0];

pub(super) const UNDEFINED: u8 = 0x00;
pub(super) const NULL: u8 = 0x01;
pub(super) const TRUE: u8 = 0x02;
pub(super) const FALSE: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x04;
pub(super) const NUMBER: u8 = 0x05;
pub(super) const BIGINT: u8 = 0x06;
pub(super) const TEXT: u8 = 0x07;
pub(super) const WIDE_TEXT: u8 = 0x08;
pub(super) const PLACE: u8 = 0x09;
pub(super) const LARGE_BIGINT: u8 = 0x0A;
pub(super) const OBJECT: u8 = 0x10;
pub(super) const ARRAY: u8 = 0x11;
pub(super) const KEY: u8 = 0x12;
pub(super) const MAP: u8 = 0x13;
pub(super) const SET: u8 = 0x14;
pub(super) const DATE: u8 = 0x15;
pub(super) const TRUE_OBJECT: u8 = 0x16;
pub(super) const FALSE_OBJECT: u8 = 0x17;
pub(super) const NUMBER_OBJECT: u8 = 0x18;
pub(super) const STRING_OBJECT: u8 = 0x19;
pub(super) const BIGINT_OBJECT: u8 = 0x1A;
pub(super) const REGEXP: u8 = 0x1B;
pub(super) const ERROR: u8 = 0x1C;
pub(super) const BUFFER: u8 = 0x1D;
pub(super) const VIEW: u8 = 0x1E;
pub(super) const PLATFORM: u8 = 0x1F;
pub(super) const TRANSFERRED: u8 = 0x20;
pub(super) const END: u8 = 0xFF;

pub(super) const TRANSFERRED_BUFFER: u8 = 0x01;
pub(super) const TRANSFERRED_PORT: u8 = 0x02;
pub(super) const TRANSFERRED_PLATFORM: u8 = 0x03;

pub(super) const HAS_MESSAGE: u8 = 1;
pub(super) const HAS_STACK: u8 = 2;
pub(super) const HAS_CAUSE: u8 = 4;

pub(super) const RESIZABLE: u8 = 1;
pub(super) const TRACKS_LENGTH: u8 = 1;
/// The kind of a DataView, after the typed arrays.
pub(super) const DATA_VIEW: u8 = 12;

/// What a record is made with room for, in bytes.
const SMALL: usize = 192;

/// Appends to a record.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// A record without transfers.
    pub(super) fn with_header() -> Self {
        let mut bytes = Vec::with_capacity(SMALL);
        bytes.extend_from_slice(&HEADER);
        Self(bytes)
    }

    /// The record, in memory of its own size unless it is small.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.0.shrink_to(SMALL);
        self.0
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn count(&mut self, mut count: u64) {
        while count >= 0x80 {
            self.0.push(count as u8 | 0x80);
            count >>= 7;
        }
        self.0.push(count as u8);
    }

    pub(super) fn zigzag(&mut self, number: i64) {
        self.count(((number << 1) ^ (number >> 63)) as u64);
    }

    pub(super) fn double(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: Text<'_>) {
        match text {
            Text::Utf8(text) => {
                self.byte(TEXT);
                self.count(text.len() as u64);
                self.0.extend_from_slice(text.as_bytes());
            }
            Text::Utf16(units) => {
                self.byte(WIDE_TEXT);
                self.count(units.len() as u64);
                let bytes = units.iter().flat_map(|unit| unit.to_le_bytes());
                self.0.extend(bytes);
            }
        }
    }
}

/// Takes a record apart, and believes nothing of it.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A text of a record.
pub(super) enum ReadText<'a> {
    Utf8(&'a str),
    Utf16(Vec<u16>),
}

impl ReadText<'_> {
    pub(super) fn as_text(&self) -> Text<'_> {
        match self {
            ReadText::Utf8(text) => Text::Utf8(text),
            ReadText::Utf16(units) => Text::Utf16(units),
        }
    }

    /// The text, if it is well-formed.
    pub(super) fn utf8(&self) -> Result<&str, CloneError> {
        match self {
            ReadText::Utf8(text) => Ok(text),
            ReadText::Utf16(_) => Err(CloneError::Damaged("a name is not well-formed")),
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) const fn new(record: &'a [u8]) -> Self {
        Self { rest: record }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn byte(&mut self) -> Result<u8, CloneError> {
        let (byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<&'a [u8], CloneError> {
        let count = usize::try_from(count).map_err(|_| SHORT)?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn count(&mut self) -> Result<u64, CloneError> {
        let mut count = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            count |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(count);
            }
        }
        Err(CloneError::Damaged("a number has too many bits"))
    }

    pub(super) fn zigzag(&mut self) -> Result<i64, CloneError> {
        let bits = self.count()?;
        Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }

    pub(super) fn double(&mut self) -> Result<f64, CloneError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    pub(super) fn text(&mut self) -> Result<ReadText<'a>, CloneError> {
        let tag = self.byte()?;
        self.text_after(tag)
    }

    /// A text whose first byte was taken already.
    pub(super) fn text_after(&mut self, tag: u8) -> Result<ReadText<'a>, CloneError> {
        match tag {
            TEXT => {
                let length = self.count()?;
                let text = std::str::from_utf8(self.bytes(length)?);
                let text = text.map_err(|_| CloneError::Damaged("a text is not UTF-8"))?;
                Ok(ReadText::Utf8(text))
            }
            WIDE_TEXT => {
                let bytes = self.count()?.checked_mul(2).ok_or(SHORT)?;
                let units = self.bytes(bytes)?.chunks_exact(2);
                let units = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                Ok(ReadText::Utf16(units.collect()))
            }
            _ => Err(CloneError::Damaged("there is no text where one is needed")),
        }
    }
}

const SHORT: CloneError = CloneError::Damaged("it ends too early");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut writer = Writer::default();
            writer.zigzag(number);
            let mut reader = Reader::new(&writer.0);
            assert_eq!(reader.zigzag().unwrap(), number);
            assert!(reader.is_at_end());
        }
    }

    #[test]
    fn numbers_that_are_too_long_are_refused() {
        for bytes in [&[0x80; 11][..], &[0xff; 10], &[0x80]] {
            assert!(Reader::new(bytes).count().is_err());
        }
    }

    #[test]
    fn a_text_that_is_longer_than_the_record_is_refused() {
        for bytes in [
            &[TEXT, 2, b'a'][..],
            &[WIDE_TEXT, 2, 0, 0, 0],
            &[TEXT, 1, 0xff],
            &[NULL],
        ] {
            assert!(Reader::new(bytes).text().is_err());
        }
        let huge = [
            WIDE_TEXT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        assert!(Reader::new(&huge).text().is_err());
    }
}
