//! [`UnicodeRange`]: the value of the `unicode-range` descriptor.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::scenario::font::CharSet;

/// A list of ranges of code points: ascending, none touching the next, whatever order they were
/// written in. (Kept as ranges, since a style sheet may say `U+0-10FFFF` in ten bytes.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnicodeRange(Vec<RangeInclusive<u32>>);

impl UnicodeRange {
    /// Whether the character is in one of the ranges.
    #[must_use]
    pub fn contains(&self, character: char) -> bool {
        let code = u32::from(character);
        let after = self.0.partition_point(|range| *range.start() <= code);
        after > 0 && self.0[after - 1].contains(&code)
    }

    /// Whether there is no range in the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.0
    }
}

impl From<&CharSet> for UnicodeRange {
    fn from(characters: &CharSet) -> Self {
        Self(characters.ranges())
    }
}

impl FromIterator<RangeInclusive<u32>> for UnicodeRange {
    fn from_iter<T: IntoIterator<Item = RangeInclusive<u32>>>(ranges: T) -> Self {
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }
}

impl fmt::Display for UnicodeRange {
    /// As the descriptor's value: `U+3042-3046,U+4E00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "U+{:X}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{:X}", range.end())?;
            }
        }
        Ok(())
    }
}

impl FromStr for UnicodeRange {
    type Err = UnicodeRangeError;

    /// Reads the value of the descriptor, without comments: `<urange>#` of CSS Syntax Level 3, 7
    /// "The Unicode-Range microsyntax".
    fn from_str(value: &str) -> Result<Self, UnicodeRangeError> {
        value
            .split(',')
            .map(|range| {
                let range = range.trim_matches([' ', '\t', '\n', '\r', '\u{C}']);
                parse_one(range).ok_or_else(|| UnicodeRangeError(range.to_owned()))
            })
            .collect()
    }
}

/// A range that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a range of characters such as U+4E00-9FFF")]
pub struct UnicodeRangeError(String);

/// `U+26`, `U+0-7F` or `U+4??`.
fn parse_one(range: &str) -> Option<RangeInclusive<u32>> {
    let rest = range
        .strip_prefix("U+")
        .or_else(|| range.strip_prefix("u+"))?;
    let (start, end) = if let Some((start, end)) = rest.split_once('-') {
        (number(start)?, number(end)?)
    } else {
        let digits = rest.trim_end_matches('?');
        if rest.len() > 6 || rest.is_empty() {
            return None;
        }
        let wild = 4 * (rest.len() - digits.len());
        let start = if digits.is_empty() {
            0
        } else {
            number(digits)?
        };
        // At most six digits: 24 bits.
        (start << wild, (start << wild) | ((1 << wild) - 1))
    };
    // "If end is greater than the maximum allowed code point … or start is greater than end, the
    // <urange> is invalid."
    (start <= end && end <= u32::from(char::MAX)).then_some(start..=end)
}

/// One to six hexadecimal digits and nothing else.
fn number(digits: &str) -> Option<u32> {
    let valid = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<String> {
        value
            .parse::<UnicodeRange>()
            .ok()
            .map(|range| range.to_string())
    }

    #[test]
    fn ranges_are_read_in_each_notation() {
        assert_eq!(read("U+26").as_deref(), Some("U+26"));
        assert_eq!(
            read("u+3042-3046,U+4e00").as_deref(),
            Some("U+3042-3046,U+4E00")
        );
        assert_eq!(read("U+4??").as_deref(), Some("U+400-4FF"));
        assert_eq!(read("U+????").as_deref(), Some("U+0-FFFF"));
        assert_eq!(read("U+0-10FFFF").as_deref(), Some("U+0-10FFFF"));
        assert_eq!(read("U+10????").as_deref(), Some("U+100000-10FFFF"));
    }

    #[test]
    fn ranges_are_sorted_and_merged() {
        assert_eq!(
            read(" U+50-5F , U+20-2F, U+30-4F,U+28").as_deref(),
            Some("U+20-5F")
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for value in [
            "",
            "U+",
            "U",
            "26",
            "U+110000",
            "U+46-41",
            "U+1234567",
            "U+4?1",
            "U+?????? ",
            "U+41-5?",
            "U+-41",
            "U+41-",
            "U+41,",
            "U+G",
            "U++41",
            "U+ 41",
            "U+41--42",
            "Ｕ+41",
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_character_is_looked_up_at_both_ends_of_a_range() {
        let range: UnicodeRange = "U+3042-3046, U+4E00".parse().unwrap();
        for (character, inside) in [
            ('\u{3041}', false),
            ('\u{3042}', true),
            ('\u{3046}', true),
            ('\u{3047}', false),
            ('\u{4E00}', true),
            (char::MAX, false),
        ] {
            assert_eq!(range.contains(character), inside, "{character}");
        }
    }
}
