//! The font that the scenario's origin serves, and the small fonts that are cut out of it.
//!
//! A [`Font`] is a whole TrueType font; [`Font::subset`] cuts it down to a [`CharSet`];
//! [`css`] writes and reads the `@font-face` rules that say which file has which characters; and
//! [`check_font`] is what a client does with each font that it receives.

mod charset;
mod check;
pub mod css;
mod sfnt;
mod subset;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use skrifa::string::StringId;
use skrifa::{FontRef, MetadataProvider};

pub use charset::{CharSet, QueryError};
pub use check::{CheckError, check_font, check_ttf, decode_woff2, draws_nothing};
pub use sfnt::SfntError;
pub use subset::{Panicked, Quality, Subset, SubsetError, Woff2Error};

/// A TrueType font, read and checked.
#[derive(Clone, Debug)]
pub struct Font {
    bytes: Bytes,
    source: String,
    licence: String,
}

impl Font {
    /// The largest file that is read, in bytes: 64 MiB, twice the largest CJK fonts.
    pub const MOST_BYTES: u64 = 64 << 20;

    /// Reads the font at a path.
    ///
    /// # Errors
    ///
    /// [`FontError`], in one line that says what is wrong, where, and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FontError> {
        let path = path.as_ref();
        let unreadable = |error| FontError::Unreadable {
            path: path.to_owned(),
            error,
        };
        let mut bytes = Vec::new();
        File::open(path)
            .map_err(unreadable)?
            .take(Self::MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > Self::MOST_BYTES {
            return Err(FontError::TooLarge {
                path: path.to_owned(),
            });
        }
        Self::from_bytes(bytes.into(), path.display().to_string())
    }

    /// The font that was built into the program: *M PLUS 1*, from the package that carries it.
    ///
    /// # Errors
    ///
    /// [`FontError::NotBundled`] if the build did not find it.
    pub fn bundled() -> Result<Self, FontError> {
        let bundled = BUNDLED.ok_or(FontError::NotBundled)?;
        let font = Self::from_bytes(Bytes::from_static(bundled.bytes), bundled.source.to_owned())?;
        Ok(Self {
            licence: bundled.licence.to_owned(),
            ..font
        })
    }

    /// Checks a font that is in memory. `source` says where it comes from, for messages.
    ///
    /// # Errors
    ///
    /// [`FontError::NotTrueType`].
    pub fn from_bytes(bytes: Bytes, source: String) -> Result<Self, FontError> {
        let checked = sfnt::check(&bytes).map(|font| name(&font, StringId::LICENSE_DESCRIPTION));
        match checked {
            Ok(licence) => Ok(Self {
                bytes,
                source,
                licence: licence.unwrap_or_default(),
            }),
            Err(error) => Err(FontError::NotTrueType {
                place: source,
                error,
            }),
        }
    }

    /// The whole font.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The path that the font comes from. (The bundled font needs no file at run time: the path
    /// is the one that it had when the program was built.)
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The licence: the whole text for the bundled font, else what the font says of itself (which
    /// may be nothing).
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// The name of the family, such as `M PLUS 1`.
    #[must_use]
    pub fn family(&self) -> String {
        self.read()
            .ok()
            .and_then(|font| {
                name(&font, StringId::TYPOGRAPHIC_FAMILY_NAME)
                    .or_else(|| name(&font, StringId::FAMILY_NAME))
            })
            .unwrap_or_else(|| "(unnamed)".to_owned())
    }

    /// One line that says which font this is, where it comes from, and its licence.
    #[must_use]
    pub fn describe(&self) -> String {
        let licence = self
            .read()
            .ok()
            .and_then(|font| name(&font, StringId::LICENSE_DESCRIPTION))
            .and_then(|said| said.lines().next().map(str::to_owned))
            .unwrap_or_else(|| "it names no licence".to_owned());
        format!(
            "{} ({:.1} MB) from {}: {licence}",
            self.family(),
            self.bytes.len() as f64 / 1e6,
            self.source
        )
    }

    /// All characters that the font has, without control characters.
    #[must_use]
    pub fn characters(&self) -> CharSet {
        self.read()
            .into_iter()
            .flat_map(|font| font.charmap().mappings())
            .filter(|(_, glyph)| *glyph != skrifa::GlyphId::NOTDEF)
            .filter_map(|(code, _)| char::from_u32(code))
            .filter(|character| !character.is_control())
            .collect()
    }

    /// Cuts the font down to some characters. What the font lacks is [named](Subset::lacking) by
    /// the subset. Each other character is known to be mapped, and drawn as this font draws it.
    ///
    /// # Errors
    ///
    /// [`SubsetError`], in particular if the font has none of the characters.
    pub fn subset(&self, characters: &CharSet) -> Result<Subset, SubsetError> {
        subset::cut(self, characters)
    }

    /// The font as its tables. That it has them was checked when `self` was made.
    fn read(&self) -> Result<FontRef<'_>, SfntError> {
        FontRef::new(&self.bytes).map_err(|error| SfntError::Directory {
            why: error.to_string(),
        })
    }
}

/// Why there is no font.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FontError {
    /// The program was built without a font.
    #[error("no font is built into this program: name a TrueType font with --font PATH")]
    NotBundled,
    /// The file is not there, or may not be read.
    #[error("the font {} cannot be read ({error}): name a TrueType (.ttf) file", path.display())]
    Unreadable {
        /// Where the file should be.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file is larger than [`Font::MOST_BYTES`].
    #[error(
        "the font {} is larger than {} MiB: name a TrueType (.ttf) font",
        path.display(),
        Font::MOST_BYTES >> 20
    )]
    TooLarge {
        /// Where the file is.
        path: PathBuf,
    },
    /// The bytes are not a TrueType font.
    #[error("the font {place} {error}: {}", error.remedy())]
    NotTrueType {
        /// Where the bytes come from.
        place: String,
        /// What they are instead.
        error: SfntError,
    },
}

/// A string of the font's `name` table.
fn name(font: &FontRef<'_>, id: StringId) -> Option<String> {
    let said = font.localized_strings(id).english_or_first()?;
    // A name is a line, whatever the font has in it.
    let said: String = said
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}

/// What `build/font.rs` found.
struct Bundled {
    bytes: &'static [u8],
    licence: &'static str,
    source: &'static str,
}

#[cfg(bundled_font)]
const BUNDLED: Option<Bundled> = Some(Bundled {
    bytes: include_bytes!(env!("MINI_BROWSER_FONT")),
    licence: include_str!(env!("MINI_BROWSER_FONT_LICENCE")),
    source: env!("MINI_BROWSER_FONT_SOURCE"),
});

#[cfg(not(bundled_font))]
const BUNDLED: Option<Bundled> = None;
