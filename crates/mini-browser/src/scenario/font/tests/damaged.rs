//! Damaged fonts: whatever is in the bytes, there is an answer and no panic.

use super::*;

/// Changes a few bytes, most of them in the directory and in the heads of tables, where numbers
/// stand that other things are read by.
fn damage(bytes: &mut [u8], heads: &[(usize, usize)], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let (start, length) = heads[random.below(heads.len())];
        let near = if random.below(2) == 0 { 64 } else { length };
        let at = start + random.below(length.min(near));
        bytes[at] = match random.below(4) {
            0 => 0,
            1 => 0xFF,
            2 => bytes[at] ^ (1 << random.below(8)),
            _ => random.below(256) as u8,
        };
    }
}

/// Where the header and each table of a font are.
fn parts(bytes: &[u8]) -> Vec<(usize, usize)> {
    let font = FontRef::new(bytes).unwrap();
    let records = font.table_directory().table_records();
    let header = (0, 12 + 16 * records.len());
    let tables = records
        .iter()
        .map(|record| (record.offset() as usize, record.length() as usize))
        .filter(|(_, length)| *length > 0);
    std::iter::once(header).chain(tables).collect()
}

/// A damaged font is refused when it is opened, or cut (its damage may lie elsewhere), or it is
/// said what cannot be cut.
#[test]
fn damage_to_the_whole_font_is_answered() {
    let mut random = Random(seed());
    let whole = font();
    let parts = parts(whole.bytes());
    let asked = CharSet::from_text("いろは 漢字 (fi)");
    let (mut refused, mut cut, mut uncut) = (0, 0, 0);
    for _ in 0..150 {
        let mut bytes = whole.bytes().to_vec();
        damage(&mut bytes, &parts, &mut random);
        match Font::from_bytes(bytes.into(), "/f.ttf".to_owned()) {
            Err(_) => refused += 1,
            Ok(font) => match font.subset(&asked) {
                Ok(subset) => {
                    check_ttf(subset.ttf(), &CharSet::new()).unwrap();
                    cut += 1;
                }
                Err(_) => uncut += 1,
            },
        }
    }
    println!("{refused} refused, {cut} cut, {uncut} not cut");
    assert!(refused > 3 && cut > 20 && uncut > 3);
}

/// The same for a small font, where the damage hits what is drawn.
#[test]
fn damage_to_a_subset_is_answered() {
    let mut random = Random(seed());
    let asked = CharSet::from_text("いろは漢字がぱ");
    let small = font().subset(&asked).unwrap();
    let parts = parts(small.ttf());
    let (mut sound, mut unsound) = (0, 0);
    for _ in 0..1000 {
        let mut bytes = small.ttf().to_vec();
        damage(&mut bytes, &parts, &mut random);
        match check_ttf(&bytes, &asked) {
            Ok(()) => sound += 1,
            Err(_) => unsound += 1,
        }
        if let Ok(font) = Font::from_bytes(bytes.into(), "/f.ttf".to_owned())
            && let Ok(subset) = font.subset(&asked)
        {
            _ = subset.woff2(Quality::ON_REQUEST);
        }
    }
    println!("{sound} sound, {unsound} unsound");
    assert!(sound > 100 && unsound > 100);
}

#[test]
fn damage_to_a_woff2_font_is_answered() {
    let mut random = Random(seed());
    let asked = CharSet::from_text("いろは漢字がぱ");
    let packed = font()
        .subset(&asked)
        .unwrap()
        .woff2(Quality::ON_REQUEST)
        .unwrap();
    check_font(&packed, &asked).unwrap();
    // The header (48 bytes) and the directory, and then everything.
    let parts = [(4, 140), (0, packed.len())];
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bytes = packed.to_vec();
        damage(&mut bytes, &parts, &mut random);
        refused += usize::from(check_font(&bytes, &asked).is_err());
    }
    println!("{refused} refused");
    assert!(refused > 500);
    for end in 0..packed.len() {
        assert!(check_font(&packed[..end], &asked).is_err(), "{end}");
    }
}

/// Damage *inside* the packing: tables that lie about each other, packed by the book.
#[test]
fn a_packed_font_with_damaged_tables_is_answered() {
    let mut random = Random(seed());
    let asked = CharSet::from_text("いろは漢字がぱ");
    let small = font().subset(&asked).unwrap();
    let parts = parts(small.ttf());
    let mut packed_anyway = 0;
    for _ in 0..1000 {
        let mut bytes = small.ttf().to_vec();
        damage(&mut bytes, &parts[1..], &mut random);
        let transform = random.below(2) == 0;
        if let Ok(packed) = subset::pack(&bytes, Quality::ON_REQUEST, transform) {
            packed_anyway += 1;
            _ = check_font(&packed, &asked);
        }
    }
    assert!(packed_anyway > 100);
}
