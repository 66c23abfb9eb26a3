//! The style sheets of the font service: `@font-face` rules, and which of them a page needs.
//!
//! [`face_rules`] is what the service writes, [`parse`] what a page reads. The parser follows CSS
//! Syntax Level 3 for what may stand in such a sheet, and refuses what is no `@font-face` rule
//! instead of skipping it, so that a wrong answer is seen.

mod parser;
mod unicode_range;

use std::fmt::Write;

pub use parser::{ParseError, parse};
pub use unicode_range::{UnicodeRange, UnicodeRangeError};

use super::CharSet;

/// One font file of a family: the `src` and `unicode-range` of an `@font-face` rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// Where the file is, as the sheet says it: it may be relative to the sheet's URL.
    pub url: String,
    /// The characters that the file is for; `None` if the rule does not say, which means all.
    pub characters: Option<UnicodeRange>,
}

impl Face {
    /// A file that is for some characters only.
    #[must_use]
    pub fn new(url: impl Into<String>, characters: &CharSet) -> Self {
        Self {
            url: url.into(),
            characters: Some(characters.into()),
        }
    }

    /// A file that is for all characters.
    #[must_use]
    pub fn whole(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            characters: None,
        }
    }

    /// Whether a page that draws these characters loads the file: its range meets them, or it has
    /// no range (CSS Fonts Level 4, 4.5 "Character range").
    #[must_use]
    pub fn is_needed_for(&self, page: &CharSet) -> bool {
        self.characters
            .as_ref()
            .is_none_or(|range| page.iter().any(|character| range.contains(character)))
    }

    /// What the page looks for in this file: its characters that the range has.
    #[must_use]
    pub fn wanted_by(&self, page: &CharSet) -> CharSet {
        page.iter()
            .filter(|character| {
                self.characters
                    .as_ref()
                    .is_none_or(|range| range.contains(*character))
            })
            .collect()
    }
}

/// Writes one `@font-face` rule for each face of a family, in the order given. The files are
/// WOFF2, with an axis of weights from 100 to 900. A face whose set is empty is for nothing, and
/// CSS cannot say that: it is left out.
#[must_use]
pub fn face_rules(family: &str, faces: &[Face]) -> String {
    let family = string(family);
    let mut css = String::new();
    for face in faces {
        let range = match &face.characters {
            Some(range) if range.is_empty() => continue,
            Some(range) => format!("  unicode-range: {range};\n"),
            None => String::new(),
        };
        // Writing to a String cannot fail.
        _ = write!(
            css,
            "@font-face {{\n  font-family: {family};\n  font-weight: 100 900;\n  \
             font-display: swap;\n  src: url({}) format(\"woff2\");\n{range}}}\n",
            string(&face.url)
        );
    }
    css
}

/// Writes a string as CSSOM's "serialize a string" does.
fn string(text: &str) -> String {
    let mut css = String::from("\"");
    for character in text.chars() {
        match character {
            '\0' => css.push(char::REPLACEMENT_CHARACTER),
            '\u{1}'..='\u{1F}' | '\u{7F}' => _ = write!(css, "\\{:x} ", u32::from(character)),
            '"' | '\\' => css.extend(['\\', character]),
            _ => css.push(character),
        }
    }
    css.push('"');
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(url: &str, text: &str) -> Face {
        Face::new(url, &CharSet::from_text(text))
    }

    #[test]
    fn a_rule_lists_merged_ranges() {
        let css = face_rules("M PLUS 1", &[face("/s/1.woff2", "あいぃうえ一")]);
        assert!(
            css.contains("unicode-range: U+3042-3044,U+3046,U+3048,U+4E00;"),
            "{css}"
        );
        assert!(css.contains("src: url(\"/s/1.woff2\") format(\"woff2\");"));
        assert!(css.contains("font-family: \"M PLUS 1\";"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let faces = [
            face("/s/1.woff2?u=%E3%81%82", "あいう"),
            Face::whole("https://fonts.example.com/all.woff2"),
            face("odd \"name\\\n.woff2", "漢字 ~\u{10FFFF}"),
        ];
        let css = face_rules("Font \"of\" \\ mine", &faces);
        assert_eq!(parse(&css).unwrap(), faces);
        assert_eq!(parse(&face_rules("Any", &[])).unwrap(), []);
    }

    #[test]
    fn a_face_for_no_characters_is_left_out() {
        assert_eq!(
            face_rules("Any", &[Face::new("/none", &CharSet::new())]),
            ""
        );
    }

    #[test]
    fn a_page_needs_the_faces_that_meet_its_characters() {
        let page = CharSet::from_text("いえ");
        assert!(face("a", "あい").is_needed_for(&page));
        assert!(!face("b", "あう").is_needed_for(&page));
        assert!(Face::whole("c").is_needed_for(&page));
        assert_eq!(face("a", "あい").wanted_by(&page).to_string(), "い");
        assert_eq!(Face::whole("c").wanted_by(&page), page);
    }
}
