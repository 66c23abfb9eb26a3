//! [`CharSet`]: the characters that a page draws, that a font has, or that a subset is to hold.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

/// An ordered set of characters.
///
/// Two texts with the same characters give the same set and the same [query form](Self::to_query),
/// so that the set can name a subset. Control characters are never drawn and are left out of
/// [`from_text`](Self::from_text).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CharSet(BTreeSet<char>);

impl CharSet {
    /// The set without characters.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Each character that the text draws: all but control characters (line breaks, tabs).
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        text.chars()
            .filter(|character| !character.is_control())
            .collect()
    }

    /// Printable ASCII: U+0020–007E.
    #[must_use]
    pub fn ascii() -> Self {
        (' '..='~').collect()
    }

    /// The block *CJK Symbols and Punctuation*: U+3000–303F.
    #[must_use]
    pub fn cjk_punctuation() -> Self {
        ('\u{3000}'..='\u{303F}').collect()
    }

    /// The block *Hiragana*: U+3040–309F. Three of its code points are unassigned, so that no font
    /// has all of it: intersect with [`Font::characters`](super::Font::characters).
    #[must_use]
    pub fn hiragana() -> Self {
        ('\u{3040}'..='\u{309F}').collect()
    }

    /// The block *Katakana*: U+30A0–30FF.
    #[must_use]
    pub fn katakana() -> Self {
        ('\u{30A0}'..='\u{30FF}').collect()
    }

    /// What nearly every Japanese page draws: ASCII, CJK punctuation, hiragana and katakana.
    #[must_use]
    pub fn kana_and_ascii() -> Self {
        [
            Self::ascii(),
            Self::cjk_punctuation(),
            Self::hiragana(),
            Self::katakana(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// How many characters are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no character is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the character is in the set.
    #[must_use]
    pub fn contains(&self, character: char) -> bool {
        self.0.contains(&character)
    }

    /// Adds a character, and says whether it is new.
    pub fn insert(&mut self, character: char) -> bool {
        self.0.insert(character)
    }

    /// The characters in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = char> + '_ {
        self.0.iter().copied()
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }

    /// Whether all of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether no character is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// The set as runs of adjacent code points, ascending and not touching each other.
    #[must_use]
    pub fn ranges(&self) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
        for code in self.iter().map(u32::from) {
            match ranges.last_mut() {
                Some(last) if code == last.end() + 1 => *last = *last.start()..=code,
                _ => ranges.push(code..=code),
            }
        }
        ranges
    }

    /// The value of the `u` parameter that asks for this set: its characters in order, percent
    /// encoded, ready to stand after `u=` in a URL. [`from_query`](Self::from_query) reads it back
    /// once the URL's query is decoded.
    #[must_use]
    pub fn to_query(&self) -> String {
        url::form_urlencoded::byte_serialize(self.to_string().as_bytes()).collect()
    }

    /// The set that a decoded `u` parameter (as `Url::query_pairs` or `URLSearchParams` give it)
    /// asks for. The characters may stand in any order and more than once.
    ///
    /// # Errors
    ///
    /// [`QueryError`] if there is nothing in it, or something that no page draws. U+FFFD counts as
    /// such: it is what bytes that were not UTF-8 decode to.
    pub fn from_query(value: &str) -> Result<Self, QueryError> {
        if value.is_empty() {
            return Err(QueryError::Empty);
        }
        match value
            .chars()
            .find(|character| character.is_control() || *character == char::REPLACEMENT_CHARACTER)
        {
            Some(character) => Err(QueryError::NotDrawn {
                code: u32::from(character),
            }),
            None => Ok(value.chars().collect()),
        }
    }
}

/// Why a `u` parameter names no set of characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The parameter is empty.
    #[error("the parameter u is empty: name the characters that the page draws")]
    Empty,
    /// The parameter holds a control character, or was not percent-encoded UTF-8.
    #[error(
        "the parameter u holds U+{code:04X}, which no page draws: percent-encode the characters as UTF-8"
    )]
    NotDrawn {
        /// The code point.
        code: u32,
    },
}

impl fmt::Display for CharSet {
    /// The characters in ascending order, with nothing between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter()
            .try_for_each(|character| fmt::Write::write_char(f, character))
    }
}

impl FromIterator<char> for CharSet {
    fn from_iter<T: IntoIterator<Item = char>>(characters: T) -> Self {
        Self(characters.into_iter().collect())
    }
}

impl Extend<char> for CharSet {
    fn extend<T: IntoIterator<Item = char>>(&mut self, characters: T) {
        self.0.extend(characters);
    }
}

impl IntoIterator for CharSet {
    type Item = char;
    type IntoIter = std::collections::btree_set::IntoIter<char>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gives_each_drawn_character_once_and_in_order() {
        let set = CharSet::from_text("いろは\nいろ\tA");
        assert_eq!(set.to_string(), "Aいはろ");
        assert_eq!(set.len(), 4);
        assert!(!set.contains('\n'));
    }

    #[test]
    fn set_operations_agree_with_each_other() {
        let a = CharSet::from_text("あいう");
        let b = CharSet::from_text("うえ");
        assert_eq!(a.union(&b).to_string(), "あいうえ");
        assert_eq!(a.intersection(&b).to_string(), "う");
        assert_eq!(a.difference(&b).to_string(), "あい");
        assert!(!a.is_disjoint(&b));
        assert!(a.difference(&b).is_disjoint(&b));
        assert!(a.intersection(&b).is_subset(&a));
        assert!(!a.is_subset(&b));
    }

    #[test]
    fn the_constant_sets_end_where_their_blocks_end() {
        assert_eq!(CharSet::ascii().len(), 0x7F - 0x20);
        assert_eq!(CharSet::hiragana().ranges(), [0x3040..=0x309F]);
        assert_eq!(CharSet::katakana().ranges(), [0x30A0..=0x30FF]);
        assert_eq!(
            CharSet::kana_and_ascii().ranges(),
            [0x20..=0x7E, 0x3000..=0x30FF]
        );
    }

    #[test]
    fn ranges_join_neighbours_only() {
        let set: CharSet = ['a', 'b', 'c', 'e', '\u{D7FF}', '\u{E000}', char::MAX]
            .into_iter()
            .collect();
        // The surrogates between U+D7FF and U+E000 are a gap, although no character is in it.
        assert_eq!(
            set.ranges(),
            [
                0x61..=0x63,
                0x65..=0x65,
                0xD7FF..=0xD7FF,
                0xE000..=0xE000,
                0x10_FFFF..=0x10_FFFF
            ]
        );
        assert_eq!(CharSet::new().ranges(), []);
    }

    #[test]
    fn a_query_survives_the_journey_through_a_url() {
        let set = CharSet::from_text("a&b=c+d %#?/ 「漢字」𠮷");
        let url = format!("https://fonts.example.com/f.woff2?u={}&v=1", set.to_query());
        let url = url::Url::parse(&url).unwrap();
        let (name, value) = url.query_pairs().next().unwrap();
        assert_eq!(name, "u");
        assert_eq!(CharSet::from_query(&value), Ok(set));
    }

    #[test]
    fn a_query_that_names_no_set_is_refused() {
        assert_eq!(CharSet::from_query(""), Err(QueryError::Empty));
        assert_eq!(
            CharSet::from_query("あ\u{0}"),
            Err(QueryError::NotDrawn { code: 0 })
        );
        let url = url::Url::parse("https://fonts.example.com/f?u=%E3%81").unwrap();
        let (_, value) = url.query_pairs().next().unwrap();
        assert_eq!(
            CharSet::from_query(&value),
            Err(QueryError::NotDrawn { code: 0xFFFD })
        );
    }
}
