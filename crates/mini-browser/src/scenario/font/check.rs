//! Checks the fonts that were answered: each wanted character is mapped, and drawn.

use std::io::Read;

use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawError, DrawSettings, OutlinePen};
use skrifa::raw::types::F2Dot14;
use skrifa::{FontRef, GlyphId, MetadataProvider};

use super::CharSet;
use super::sfnt::{self, SfntError};

/// Checks a font that a client received, WOFF2 or TrueType: that it holds together, maps each
/// wanted character, and has an outline for each that [draws something](draws_nothing).
///
/// `wanted` is what the client looks for in this font: the characters that the page draws and that
/// the face's `unicode-range` promises.
///
/// # Errors
///
/// [`CheckError`] names the characters that are amiss.
pub fn check_font(bytes: &[u8], wanted: &CharSet) -> Result<(), CheckError> {
    if bytes.starts_with(b"wOF2") {
        check_ttf(&decode_woff2(bytes)?, wanted)
    } else {
        check_ttf(bytes, wanted)
    }
}

/// As [`check_font`], for a TrueType font that is not packed.
///
/// # Errors
///
/// [`CheckError`] names the characters that are amiss.
pub fn check_ttf(bytes: &[u8], wanted: &CharSet) -> Result<(), CheckError> {
    let font = sfnt::check(bytes)?;
    check_mapped(&font, wanted)?;
    let undrawn: CharSet = wanted
        .iter()
        .filter(|character| !draws_nothing(*character))
        .filter(|character| {
            outline(&font, *character, &[]).is_none_or(|outline| outline.0.is_empty())
        })
        .collect();
    if undrawn.is_empty() {
        Ok(())
    } else {
        Err(CheckError::Undrawn {
            characters: undrawn,
        })
    }
}

/// Unpacks a WOFF2 font. Not more than 128 MiB are ever unpacked, nor a hundred times the size of
/// the packed font.
///
/// # Errors
///
/// [`CheckError::Woff2`] if the bytes are not a WOFF2 font, or are damaged.
pub fn decode_woff2(bytes: &[u8]) -> Result<Vec<u8>, CheckError> {
    let mut decompress = |packed: &[u8], size: usize| {
        let mut unpacked = Vec::with_capacity(size);
        let most = size as u64 + 1; // One more than there should be, so that too much is noticed.
        brotli_decompressor::Decompressor::new(packed, 4096)
            .take(most)
            .read_to_end(&mut unpacked)?;
        Ok(unpacked)
    };
    wuff::decompress_woff2_with_custom_brotli(bytes, &mut decompress).map_err(|_| {
        CheckError::Woff2 {
            length: bytes.len(),
        }
    })
}

/// Whether a font may have an empty outline for this character: white space, and the characters
/// that only steer the layout (joiners, direction marks, variation selectors, fillers).
#[must_use]
pub fn draws_nothing(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(
            character,
            // Default_Ignorable_Code_Point of the Unicode Character Database, and U+2800, the
            // braille pattern without dots.
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFF8}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

/// What is wrong with a font that was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The font does not hold together.
    #[error("the font {0}")]
    Sfnt(#[from] SfntError),
    /// The WOFF2 packing does not hold together.
    #[error("the {length} bytes are no intact WOFF2 font")]
    Woff2 {
        /// The number of bytes received.
        length: usize,
    },
    /// Wanted characters are not in the font.
    #[error("the font does not map {}", some_of(characters))]
    Unmapped {
        /// Which.
        characters: CharSet,
    },
    /// Wanted characters are in the font but have nothing to draw.
    #[error("the font has no outline for {}", some_of(characters))]
    Undrawn {
        /// Which.
        characters: CharSet,
    },
    /// Characters of a subset are not drawn as the whole font draws them.
    #[error("the subset draws otherwise than the font {}", some_of(characters))]
    Redrawn {
        /// Which.
        characters: CharSet,
    },
}

/// Checks a subset against the font that it was cut from: each character mapped, and its outline
/// the same, as the font stands and at the far end of its axes of variation (if it has any).
pub(super) fn check_subset(
    whole: &FontRef<'_>,
    subset: &[u8],
    characters: &CharSet,
) -> Result<(), CheckError> {
    let subset = sfnt::check(subset)?;
    check_mapped(&subset, characters)?;

    let far_end = vec![F2Dot14::ONE; whole.axes().len()];
    let mut undrawn = CharSet::new();
    let mut redrawn = CharSet::new();
    for character in characters.iter() {
        for location in [&[], far_end.as_slice()] {
            let Some(drawn) = outline(whole, character, location) else {
                continue; // The font itself cannot draw it, and the subset is no worse.
            };
            match outline(&subset, character, location) {
                Some(again) if again == drawn => {}
                Some(again) if !again.0.is_empty() => _ = redrawn.insert(character),
                _ => _ = undrawn.insert(character),
            }
        }
    }
    if !undrawn.is_empty() {
        Err(CheckError::Undrawn {
            characters: undrawn,
        })
    } else if !redrawn.is_empty() {
        Err(CheckError::Redrawn {
            characters: redrawn,
        })
    } else {
        Ok(())
    }
}

fn check_mapped(font: &FontRef<'_>, wanted: &CharSet) -> Result<(), CheckError> {
    let characters: CharSet = wanted
        .iter()
        .filter(|character| glyph(font, *character).is_none())
        .collect();
    if characters.is_empty() {
        Ok(())
    } else {
        Err(CheckError::Unmapped { characters })
    }
}

/// The glyph of a character, unless that is `.notdef`, the glyph for what a font lacks.
pub(super) fn glyph(font: &FontRef<'_>, character: char) -> Option<GlyphId> {
    font.charmap()
        .map(character)
        .filter(|glyph| *glyph != GlyphId::NOTDEF)
}

/// What a font draws for a character, in font units; `None` if it has no such glyph or cannot draw
/// it. Coordinates are compared by their bits.
fn outline(font: &FontRef<'_>, character: char, location: &[F2Dot14]) -> Option<Outline> {
    let glyph = font.outline_glyphs().get(glyph(font, character)?)?;
    let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::new(location));
    let mut outline = Outline::default();
    let drawn: Result<_, DrawError> = glyph.draw(settings, &mut outline);
    drawn.ok().map(|_| outline)
}

/// The pen strokes of a glyph: a letter for the kind of stroke, then its coordinates.
#[derive(Default, PartialEq, Eq)]
struct Outline(Vec<u32>);

impl Outline {
    fn stroke(&mut self, kind: u8, coordinates: &[f32]) {
        self.0.push(u32::from(kind));
        self.0
            .extend(coordinates.iter().map(|coordinate| coordinate.to_bits()));
    }
}

impl OutlinePen for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.stroke(b'M', &[x, y]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.stroke(b'L', &[x, y]);
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        self.stroke(b'Q', &[cx, cy, x, y]);
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        self.stroke(b'C', &[ax, ay, bx, by, x, y]);
    }

    fn close(&mut self) {
        self.stroke(b'Z', &[]);
    }
}

/// The first few characters of a set, for a message.
fn some_of(characters: &CharSet) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = characters
        .iter()
        .take(SHOWN)
        .map(|character| format!("U+{:04X} {character}", u32::from(character)))
        .collect();
    if characters.len() > SHOWN {
        shown.push(format!("and {} more", characters.len() - SHOWN));
    }
    shown.join(", ")
}
