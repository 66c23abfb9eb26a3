//! What a TrueType font must look like before anything else reads it: its signature, its table
//! directory, and the numbers that its tables must agree on.

use skrifa::raw::TableProvider;
use skrifa::raw::types::Tag;
use skrifa::{FontRef, MetadataProvider};

/// The tables that OpenType requires of a font with TrueType outlines
/// (OpenType 1.9.1, *Font Tables*: "Required tables" and "Tables related to TrueType outlines").
const REQUIRED: [Tag; 10] = [
    Tag::new(b"OS/2"),
    Tag::new(b"cmap"),
    Tag::new(b"glyf"),
    Tag::new(b"head"),
    Tag::new(b"hhea"),
    Tag::new(b"hmtx"),
    Tag::new(b"loca"),
    Tag::new(b"maxp"),
    Tag::new(b"name"),
    Tag::new(b"post"),
];

/// Checks the bytes of a font and reads them.
///
/// # Errors
///
/// [`SfntError`], one variant for each way of not being a TrueType font.
pub(super) fn check(bytes: &[u8]) -> Result<FontRef<'_>, SfntError> {
    check_signature(bytes)?;
    let font = FontRef::new(bytes).map_err(|error| SfntError::Directory {
        why: error.to_string(),
    })?;
    check_directory(bytes, &font)?;
    check_tables(&font)?;
    Ok(font)
}

/// Why some bytes are not a TrueType font that can be cut into subsets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SfntError {
    /// There are fewer bytes than a font's header has.
    #[error("has only {length} bytes")]
    TooShort {
        /// The number of bytes.
        length: usize,
    },
    /// The outlines are CFF, PostScript's kind.
    #[error("is an OpenType font with CFF outlines (it begins with \"OTTO\")")]
    Cff,
    /// The font is in a WOFF container.
    #[error("is a WOFF file")]
    Woff,
    /// The font is in a WOFF2 container.
    #[error("is a WOFF2 file")]
    Woff2,
    /// The file is a collection of several fonts.
    #[error("is a font collection (it begins with \"ttcf\")")]
    Collection,
    /// The file begins like no font at all.
    #[error("is not a font (it begins with {start})")]
    NotAFont {
        /// The first four bytes, printably.
        start: String,
    },
    /// The table directory cannot be read.
    #[error("has a broken table directory ({why})")]
    Directory {
        /// What is wrong with it.
        why: String,
    },
    /// Tables without which nothing can be drawn are not there.
    #[error("lacks the tables {}", tables.join(", "))]
    LacksTables {
        /// The names of the tables.
        tables: Vec<String>,
    },
    /// A table does not hold what the font says that it holds.
    #[error("has a broken table '{table}' ({why})")]
    Table {
        /// The name of the table.
        table: Tag,
        /// What is wrong with it.
        why: String,
    },
}

impl SfntError {
    /// What the person who named the file can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooShort { .. } | Self::NotAFont { .. } => "name a TrueType (.ttf) font",
            Self::Cff => "the subsetter needs TrueType outlines, name the .ttf build of the font",
            Self::Woff | Self::Woff2 => "unpack it and name the .ttf font",
            Self::Collection => "take one font out of it and name that .ttf font",
            Self::LacksTables { .. } => "it is no complete TrueType font, name another",
            Self::Directory { .. } | Self::Table { .. } => "the file is damaged, fetch it again",
        }
    }
}

fn check_signature(bytes: &[u8]) -> Result<(), SfntError> {
    let Some((start, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(SfntError::TooShort {
            length: bytes.len(),
        });
    };
    match start {
        // The second is what Apple's older fonts say, with the same outlines.
        [0, 1, 0, 0] | b"true" if rest.len() >= 8 => Ok(()),
        [0, 1, 0, 0] | b"true" => Err(SfntError::TooShort {
            length: bytes.len(),
        }),
        b"OTTO" => Err(SfntError::Cff),
        b"wOFF" => Err(SfntError::Woff),
        b"wOF2" => Err(SfntError::Woff2),
        b"ttcf" => Err(SfntError::Collection),
        _ => Err(SfntError::NotAFont {
            start: format!("\"{}\"", start.escape_ascii()),
        }),
    }
}

fn check_directory(bytes: &[u8], font: &FontRef<'_>) -> Result<(), SfntError> {
    let records = font.table_directory().table_records();
    for record in records {
        let end = u64::from(record.offset()) + u64::from(record.length());
        if end > bytes.len() as u64 {
            return Err(table(
                record.tag(),
                format!("it ends at byte {end} of {}", bytes.len()),
            ));
        }
    }
    let mut tags: Vec<Tag> = records.iter().map(|record| record.tag()).collect();
    tags.sort_unstable();
    if let Some(pair) = tags.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(SfntError::Directory {
            why: format!("it names '{}' twice", pair[0]),
        });
    }
    let lacking: Vec<String> = REQUIRED
        .into_iter()
        .filter(|tag| font.table_data(*tag).is_none_or(|data| data.is_empty()))
        .map(|tag| tag.to_string())
        .collect();
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(SfntError::LacksTables { tables: lacking })
    }
}

fn check_tables(font: &FontRef<'_>) -> Result<(), SfntError> {
    let read = |tag, error: skrifa::raw::ReadError| table(tag, error.to_string());

    let head = Tag::new(b"head");
    let header = font.head().map_err(|error| read(head, error))?;
    if header.magic_number() != 0x5F0F_3CF5 {
        return Err(table(head, "its magic number is wrong".to_owned()));
    }
    if !(16..=16384).contains(&header.units_per_em()) {
        let why = format!("it has {} units per em", header.units_per_em());
        return Err(table(head, why));
    }

    let maxp = Tag::new(b"maxp");
    let profile = font.maxp().map_err(|error| read(maxp, error))?;
    let glyphs = usize::from(profile.num_glyphs());
    if glyphs == 0 {
        return Err(table(maxp, "it says that there are no glyphs".to_owned()));
    }

    check_loca(font, header.index_to_loc_format(), glyphs)?;

    let hhea = font
        .hhea()
        .map_err(|error| read(Tag::new(b"hhea"), error))?;
    let long = usize::from(hhea.number_of_h_metrics());
    let needed = long * 4 + glyphs.saturating_sub(long) * 2;
    if long == 0 || long > glyphs || length(font, b"hmtx") < needed {
        return Err(table(
            Tag::new(b"hmtx"),
            format!("it does not hold the widths of {glyphs} glyphs"),
        ));
    }

    let cmap = Tag::new(b"cmap");
    font.cmap().map_err(|error| read(cmap, error))?;
    let charmap = font.charmap();
    if !charmap.has_map() {
        return Err(table(cmap, "it maps no Unicode characters".to_owned()));
    }
    match charmap
        .mappings()
        .find(|(_, glyph)| glyph.to_u32() as usize >= glyphs)
    {
        Some((code, glyph)) => Err(table(
            cmap,
            format!("it maps U+{code:04X} to the glyph {glyph} of {glyphs}"),
        )),
        None => Ok(()),
    }
}

/// `loca` says where each glyph begins in `glyf`: one entry a glyph and one for the end.
fn check_loca(font: &FontRef<'_>, format: i16, glyphs: usize) -> Result<(), SfntError> {
    let tag = Tag::new(b"loca");
    let size = match format {
        0 => 2,
        1 => 4,
        _ => {
            let why = format!("it says that 'loca' has format {format}");
            return Err(table(Tag::new(b"head"), why));
        }
    };
    if length(font, b"loca") < (glyphs + 1) * size {
        return Err(table(tag, format!("it is too short for {glyphs} glyphs")));
    }
    let loca = font
        .loca(None)
        .map_err(|error| table(tag, error.to_string()))?;
    let mut previous = 0;
    for glyph in 0..=glyphs {
        let offset = loca.get_raw(glyph).unwrap_or(u32::MAX);
        if offset < previous || offset as usize > length(font, b"glyf") {
            return Err(table(
                tag,
                format!("it misplaces the glyph {}", glyph.saturating_sub(1)),
            ));
        }
        previous = offset;
    }
    Ok(())
}

fn length(font: &FontRef<'_>, tag: &[u8; 4]) -> usize {
    font.table_data(Tag::new(tag)).map_or(0, |data| data.len())
}

fn table(table: Tag, why: String) -> SfntError {
    SfntError::Table { table, why }
}
