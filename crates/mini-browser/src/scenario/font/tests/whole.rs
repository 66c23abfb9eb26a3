//! Whole fonts: what is opened, and what is refused.

use std::io::Write;

use super::*;

#[test]
fn the_bundled_font_says_what_it_is() {
    let font = font();
    assert_eq!(font.family(), "M PLUS 1");
    assert!(font.licence().contains("SIL OPEN FONT LICENSE Version 1.1"));
    assert!(font.source().ends_with("MPLUS1[wght].ttf"));
    let line = font.describe();
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains(font.source()) && line.contains("SIL Open Font License"));
}

#[test]
fn the_bundled_font_has_the_japanese_that_the_scenario_needs() {
    let font = font();
    let all = font.characters();
    assert!(CharSet::ascii().is_subset(&all));
    let hiragana: CharSet = ('ぁ'..='ん').collect();
    let katakana: CharSet = ('ァ'..='ヶ').collect();
    let punctuation = CharSet::from_text("\u{3000}、。「」〜");
    for set in [hiragana, katakana, punctuation] {
        assert_eq!(set.difference(&all), CharSet::new());
    }
    // Unassigned, so not there, whatever the block says.
    assert!(!all.contains('\u{3040}'));
    assert!(kanji(&font, usize::MAX).len() > 5000);
}

#[test]
fn a_font_file_is_opened_like_the_bundled_font() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(font().bytes()).unwrap();
    let opened = Font::open(file.path()).unwrap();
    assert_eq!(opened.bytes(), font().bytes());
    assert_eq!(opened.source(), file.path().display().to_string());
    assert!(opened.licence().contains("SIL Open Font License"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Font::open("/nowhere/font.ttf").unwrap_err();
    assert!(matches!(error, FontError::Unreadable { .. }));
    let line = error.to_string();
    assert!(
        line.starts_with("the font /nowhere/font.ttf cannot be read ("),
        "{line}"
    );
    assert!(matches!(
        Font::open(std::env::temp_dir()),
        Err(FontError::Unreadable { .. })
    ));
}

#[test]
fn each_kind_of_file_that_is_no_truetype_font_is_named() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "has only 0 bytes: name a TrueType (.ttf) font"),
        (
            b"\0\x01\0\0",
            "has only 4 bytes: name a TrueType (.ttf) font",
        ),
        (
            b"OTTO\0\x0c\0\x80\0\x03\0\x40",
            "is an OpenType font with CFF outlines (it begins with \"OTTO\"): the subsetter needs \
             TrueType outlines, name the .ttf build of the font",
        ),
        (
            b"wOFF\0\x01\0\0",
            "is a WOFF file: unpack it and name the .ttf font",
        ),
        (
            b"wOF2\0\x01\0\0",
            "is a WOFF2 file: unpack it and name the .ttf font",
        ),
        (
            b"ttcf\0\x01\0\0",
            "is a font collection (it begins with \"ttcf\"): take one font out of it and name \
             that .ttf font",
        ),
        (
            b"<!DOCTYPE html>",
            "is not a font (it begins with \"<!DO\"): name a TrueType (.ttf) font",
        ),
        (
            b"\x1f\x8b\x08\0\0\0",
            "is not a font (it begins with \"\\x1f\\x8b\\x08\\x00\"): name a TrueType (.ttf) font",
        ),
        (
            b"\0\x01\0\0\0\0\0\0\0\0\0\0",
            "lacks the tables OS/2, cmap, glyf, head, hhea, hmtx, loca, maxp, name, post: it is \
             no complete TrueType font, name another",
        ),
    ];
    for (bytes, problem) in cases {
        let error = Font::from_bytes(Bytes::from_static(bytes), "/f.ttf".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), format!("the font /f.ttf {problem}"));
    }
}

#[test]
fn a_font_without_one_of_its_tables_is_refused() {
    let whole = font();
    for (index, tag) in whole
        .read()
        .unwrap()
        .table_directory()
        .table_records()
        .iter()
        .enumerate()
    {
        let mut bytes = whole.bytes().to_vec();
        // Give the table a name that nobody looks for.
        bytes[12 + 16 * index..][..4].copy_from_slice(b"zzzz");
        let opened = Font::from_bytes(bytes.into(), "/f.ttf".to_owned());
        let needed = "OS/2 cmap glyf head hhea hmtx loca maxp name post";
        let tag = tag.tag().to_string();
        if needed.contains(&tag) {
            let expected = SfntError::LacksTables { tables: vec![tag] };
            assert!(matches!(
                opened,
                Err(FontError::NotTrueType { error, .. }) if error == expected
            ));
        } else {
            assert!(opened.is_ok(), "{tag}");
        }
    }
}

#[test]
fn a_font_that_is_cut_short_anywhere_is_refused() {
    let whole = font();
    let bytes = whole.bytes();
    // The last table ends at the end, up to padding.
    for end in (0..bytes.len() - 4).step_by(997) {
        let error = Font::from_bytes(bytes.slice(..end), "/f.ttf".to_owned()).unwrap_err();
        assert!(matches!(error, FontError::NotTrueType { .. }), "{end}");
    }
}
