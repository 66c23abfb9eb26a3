//! Cuts a font down to the characters that somebody asked for, and packs it as WOFF2.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use skera::{DEFAULT_DROP_TABLES, DEFAULT_LAYOUT_FEATURES, Plan, SubsetFlags, subset_font};
use skrifa::raw::TableProvider;
use skrifa::raw::collections::IntSet;
use skrifa::raw::types::{NameId, Tag};
use skrifa::{FontRef, GlyphId};
use ttf2woff2::{BrotliQuality, EncodeOptions};

use super::check::{self, CheckError};
use super::sfnt::{self, SfntError};
use super::{CharSet, Font};

/// A small font that holds some characters of another and nothing that they do not need.
///
/// It keeps the tables of the font it comes from, the axes of variation included, so that sizes of
/// different subsets (of all characters, too) can be compared.
#[derive(Clone, Debug)]
pub struct Subset {
    ttf: Bytes,
    characters: CharSet,
    lacking: CharSet,
}

impl Subset {
    /// The font, unpacked.
    #[must_use]
    pub const fn ttf(&self) -> &Bytes {
        &self.ttf
    }

    /// The characters that were asked for and are in the subset, each of them checked.
    #[must_use]
    pub const fn characters(&self) -> &CharSet {
        &self.characters
    }

    /// The characters that were asked for and that the font does not have.
    #[must_use]
    pub const fn lacking(&self) -> &CharSet {
        &self.lacking
    }

    /// Packs the subset as WOFF2. A subset of 124 kanji takes milliseconds at quality 5 and tens
    /// of them at 11; one of thousands takes seconds at 11.
    ///
    /// # Errors
    ///
    /// [`Woff2Error`], which only a defect of the packer can cause.
    pub fn woff2(&self, quality: Quality) -> Result<Bytes, Woff2Error> {
        pack(&self.ttf, quality, survives_transform(&self.ttf)?)
    }
}

/// How hard to pack, 0–11: less is faster, more is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quality(u8);

impl Quality {
    /// For an answer that somebody waits for: a tenth larger than the best, thirty times as fast.
    pub const ON_REQUEST: Self = Self(5);
    /// For an answer that is packed once and kept.
    pub const BEST: Self = Self(11);

    /// A quality of 0–11; `None` for any other number.
    #[must_use]
    pub const fn new(quality: u8) -> Option<Self> {
        if quality <= Self::BEST.0 {
            Some(Self(quality))
        } else {
            None
        }
    }

    /// The number, 0–11.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Why there is no subset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubsetError {
    /// The font has none of the characters (or none were asked for).
    #[error("the font has none of the {asked} characters that were asked for")]
    Empty {
        /// How many were asked for.
        asked: usize,
    },
    /// The subsetter gave up: a table of the font is damaged inside.
    #[error("the font cannot be cut: {0}")]
    Cut(#[from] skera::SubsetError),
    /// The subsetter lost its way: a table of the font is damaged inside.
    #[error("the font cannot be cut: the subsetter failed ({0})")]
    Damaged(#[from] Panicked),
    /// The subsetter ran, but its work is not what was asked for.
    #[error("the subset is not fit to be served: {0}")]
    Unfit(#[from] CheckError),
}

/// Why a subset was not packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Woff2Error {
    /// The subset does not hold together.
    #[error("the subset {0}")]
    Sfnt(#[from] SfntError),
    /// The packer refused.
    #[error("the subset cannot be packed as WOFF2: {0}")]
    Pack(#[from] ttf2woff2::Error),
    /// The packer lost its way: a table of the font is damaged inside.
    #[error("the subset cannot be packed as WOFF2: the packer failed ({0})")]
    Damaged(#[from] Panicked),
}

/// What a library said when it panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Panicked(String);

/// [`Font::subset`].
pub(super) fn cut(font: &Font, asked: &CharSet) -> Result<Subset, SubsetError> {
    let whole = font.read().map_err(CheckError::from)?;
    let characters: CharSet = asked
        .iter()
        .filter(|character| check::glyph(&whole, *character).is_some())
        .collect();
    if characters.is_empty() {
        return Err(SubsetError::Empty { asked: asked.len() });
    }
    let ttf = fenced(|| subset_font(&whole, &plan(&whole, &characters)))??;
    check::check_subset(&whole, &ttf, &characters)?;
    Ok(Subset {
        ttf: ttf.into(),
        lacking: asked.difference(&characters),
        characters,
    })
}

/// What to keep, as browsers need it: every script, the usual layout features, the names that say
/// whose font it is. Mirror images of brackets come along, which right-to-left text needs.
fn plan(font: &FontRef<'_>, characters: &CharSet) -> Plan {
    const ENGLISH_US: u16 = 0x409;

    let mut every_script = IntSet::<Tag>::empty();
    every_script.invert();
    Plan::new(
        &IntSet::<GlyphId>::empty(),
        &characters.iter().map(u32::from).collect(),
        font,
        SubsetFlags::default(),
        &DEFAULT_DROP_TABLES.iter().copied().collect(),
        &every_script,
        &DEFAULT_LAYOUT_FEATURES.iter().copied().collect(),
        &(0..=6).map(NameId::new).collect(),
        &[ENGLISH_US].into_iter().collect(),
    )
}

/// Packs a font, with or without its `glyf` and `loca` tables transformed.
pub(super) fn pack(ttf: &[u8], quality: Quality, transform: bool) -> Result<Bytes, Woff2Error> {
    let options = EncodeOptions {
        quality: BrotliQuality::from(quality.0),
        transform_glyf_loca: transform,
        threads: None,
    };
    let packed = fenced(|| ttf2woff2::encode_with_options(ttf, options))??;
    Ok(packed.into())
}

/// Runs code of a library that panics on some damaged fonts (both the subsetter and the packer do,
/// in tables whose inside [`sfnt::check`] does not read), and makes an error of it. The panic is
/// still reported by the panic hook. What the code worked on is borrowed, and is only read.
fn fenced<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        Panicked(said.unwrap_or("it did not say why").to_owned())
    })
}

/// Whether browsers accept this font with its `glyf` and `loca` tables transformed, which packs
/// better.
///
/// The transformation does not keep the bytes between glyphs: a decoder pads each glyph to four
/// bytes when it rebuilds `glyf`, up to three more than there were. Short `loca` entries reach
/// 131,070 bytes. Chromium refuses a font whose rebuilt glyphs lie beyond that.
pub(super) fn survives_transform(ttf: &[u8]) -> Result<bool, SfntError> {
    let font = sfnt::check(ttf)?;
    let broken = |error: skrifa::raw::ReadError| SfntError::Directory {
        why: error.to_string(),
    };
    let glyphs = font.maxp().map_err(broken)?.num_glyphs();
    let glyf = font
        .table_data(Tag::new(b"glyf"))
        .map_or(0, |glyf| glyf.len());
    let long = font.head().map_err(broken)?.index_to_loc_format() == 1;
    Ok(long || glyf + 3 * usize::from(glyphs) < 131_072)
}
