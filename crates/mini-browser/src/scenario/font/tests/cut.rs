//! Subsets: what is in them, how they are packed, and what a client finds wrong with a bad one.

use super::*;

#[test]
fn a_subset_has_what_was_asked_for_and_is_small() {
    let font = font();
    let asked = CharSet::from_text("日本語の文字。");
    let subset = font.subset(&asked).unwrap();
    assert_eq!(subset.characters(), &asked);
    assert!(subset.lacking().is_empty());
    assert!(subset.ttf().len() < 12_000, "{}", subset.ttf().len());
    let small = Font::from_bytes(subset.ttf().clone(), "the subset".to_owned()).unwrap();
    assert_eq!(small.characters(), asked);
}

#[test]
fn what_the_font_lacks_is_listed() {
    // Hangul and an emoji are not in the font.
    let asked = CharSet::from_text("あ한😀");
    let subset = font().subset(&asked).unwrap();
    assert_eq!(subset.characters().to_string(), "あ");
    assert_eq!(subset.lacking().to_string(), "한😀");
    assert_eq!(
        check_ttf(subset.ttf(), &asked),
        Err(CheckError::Unmapped {
            characters: CharSet::from_text("한😀")
        })
    );
}

#[test]
fn nothing_to_cut_is_an_error() {
    for (asked, count) in [("", 0), ("한글", 2)] {
        assert!(matches!(
            font().subset(&CharSet::from_text(asked)),
            Err(SubsetError::Empty { asked }) if asked == count
        ));
    }
}

#[test]
fn spaces_draw_nothing_and_are_no_fault() {
    let asked = CharSet::from_text("a \u{3000}");
    let subset = font().subset(&asked).unwrap();
    assert_eq!(subset.characters(), &asked);
    check_ttf(subset.ttf(), &asked).unwrap();
    assert!(draws_nothing(' ') && draws_nothing('\u{3000}') && draws_nothing('\u{FE00}'));
    assert!(!draws_nothing('a') && !draws_nothing('\u{3001}'));
}

#[test]
fn every_character_of_the_font_can_be_cut_and_checked() {
    let font = font();
    let all = font.characters();
    let subset = font.subset(&all).unwrap();
    assert_eq!(subset.characters(), &all);
    check_ttf(subset.ttf(), &all).unwrap();
}

#[test]
fn the_same_characters_give_the_same_bytes() {
    let font = font();
    let cut = |text| font.subset(&CharSet::from_text(text)).unwrap();
    assert_eq!(cut("いろは").ttf(), cut("はろいろは").ttf());
    let packed = |text| cut(text).woff2(Quality::ON_REQUEST).unwrap();
    assert_eq!(packed("いろは"), packed("はいろ"));
}

#[test]
fn a_glyph_without_its_outline_is_found() {
    let asked = CharSet::from_text("いろは");
    let subset = font().subset(&asked).unwrap();
    let read = FontRef::new(subset.ttf()).unwrap();
    let records = read.table_directory().table_records();
    let loca = records
        .iter()
        .find(|record| record.tag() == *b"loca")
        .unwrap();
    let (at, length) = (loca.offset() as usize, loca.length() as usize);
    let mut bytes = subset.ttf().to_vec();
    // All glyphs begin, and so end, at 0.
    bytes[at..at + length].fill(0);
    assert_eq!(
        check_ttf(&bytes, &asked),
        Err(CheckError::Undrawn {
            characters: asked.clone()
        })
    );
    assert_eq!(
        check::check_subset(&font().read().unwrap(), &bytes, &asked),
        Err(CheckError::Undrawn { characters: asked })
    );
}

#[test]
fn a_glyph_with_the_outline_of_another_is_found() {
    let font = font();
    let (asked, other) = (CharSet::from_text("い"), CharSet::from_text("ろ"));
    let wrong = font.subset(&other).unwrap();
    // Let the subset of ろ say that it is the subset of い: both are one entry of `cmap`.
    let right = font.subset(&asked).unwrap();
    let table = |bytes: &[u8]| {
        let read = FontRef::new(bytes).unwrap();
        let records = read.table_directory().table_records();
        let cmap = records
            .iter()
            .find(|record| record.tag() == *b"cmap")
            .unwrap();
        cmap.offset() as usize..(cmap.offset() + cmap.length()) as usize
    };
    let mut bytes = wrong.ttf().to_vec();
    bytes[table(wrong.ttf())].copy_from_slice(&right.ttf()[table(right.ttf())]);
    check_ttf(&bytes, &asked).unwrap();
    assert_eq!(
        check::check_subset(&font.read().unwrap(), &bytes, &asked),
        Err(CheckError::Redrawn { characters: asked })
    );
}

#[test]
fn a_packed_subset_is_smaller_and_unpacks_to_a_sound_font() {
    let asked = kanji(&font(), 124);
    let subset = font().subset(&asked).unwrap();
    let quick = subset.woff2(Quality::ON_REQUEST).unwrap();
    let best = subset.woff2(Quality::BEST).unwrap();
    println!(
        "{} characters: {} bytes, as WOFF2 {} (5), {} (11)",
        asked.len(),
        subset.ttf().len(),
        quick.len(),
        best.len()
    );
    assert!(best.len() < quick.len());
    assert!(quick.len() * 4 < subset.ttf().len() * 3);
    for packed in [quick, best] {
        check_font(&packed, &asked).unwrap();
        let missing = CharSet::from_text("鿿");
        assert!(matches!(
            check_font(&packed, &missing),
            Err(CheckError::Unmapped { .. })
        ));
    }
}

#[test]
fn no_quality_is_above_eleven() {
    assert_eq!(Quality::new(11), Some(Quality::BEST));
    assert_eq!(Quality::new(12), None);
    assert_eq!(Quality::ON_REQUEST.number(), 5);
}

/// Where `loca` has to become long, transformed glyphs no longer fit the short form.
#[test]
fn subsets_around_the_limit_of_short_loca_are_packed_so_that_they_unpack() {
    let font = font();
    let low = Quality::new(1).unwrap();
    let is_long = |subset: &Subset| {
        use skrifa::raw::TableProvider;
        let read = FontRef::new(subset.ttf()).unwrap();
        read.head().unwrap().index_to_loc_format() == 1
    };
    // The largest subset with short entries, by bisection.
    let (mut short, mut long) = (100, 1500);
    while long - short > 1 {
        let middle = (short + long) / 2;
        if is_long(&font.subset(&kanji(&font, middle)).unwrap()) {
            long = middle;
        } else {
            short = middle;
        }
    }
    let (mut transformed, mut plain, mut broken) = (0, 0, 0);
    for count in [-40, -20, -10, -5, -2, -1, 0, 1, 2, 10].map(|by| short.saturating_add_signed(by))
    {
        let asked = kanji(&font, count);
        let subset = font.subset(&asked).unwrap();
        let transform = subset::survives_transform(subset.ttf()).unwrap();
        if !is_long(&subset) {
            *(if transform {
                &mut transformed
            } else {
                &mut plain
            }) += 1;
        }
        if !transform {
            let anyway = subset::pack(subset.ttf(), low, true).unwrap();
            let unpacked = decode_woff2(&anyway).and_then(|ttf| check_ttf(&ttf, &asked));
            broken += usize::from(unpacked.is_err());
        }
        let packed = subset.woff2(low).unwrap();
        check_font(&packed, &asked).unwrap_or_else(|error| panic!("{count}: {error}"));
    }
    println!(
        "short up to {short}: {transformed} transformed, {plain} not, {broken} of them in need"
    );
    // The rule is needed, and is not far from what is needed.
    assert!(transformed > 0 && plain > 0 && broken > 0);
}
