//! Checks what a page got: that its choice of fonts is the style sheet's, that each font is there
//! and draws what the sheet promises, and that together they draw the page.

use std::collections::BTreeMap;

use super::super::font::css::{self, Face};
use super::super::font::{CharSet, CheckError, Font, check_font};
use super::Loaded;
use data_url::forgiving_base64;

/// Why what a page got does not draw its text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The page has no text.
    #[error("its page asks for no characters")]
    NoText,
    /// The style sheet is none.
    #[error("its style sheet cannot be read: {0}")]
    Css(#[from] css::ParseError),
    /// The page loaded other fonts than the sheet names for its characters.
    #[error("its page loaded {loaded} fonts, and its style sheet names {named} for its characters")]
    Choice {
        /// How many were loaded.
        loaded: usize,
        /// How many the sheet names.
        named: usize,
    },
    /// A font did not arrive as bytes.
    #[error("the font {url} did not reach the run whole")]
    Transfer {
        /// Which font.
        url: String,
    },
    /// A font does not draw what the sheet promises.
    #[error("the font {url}: {error}")]
    Font {
        /// Which font, without its query.
        url: String,
        /// What is wrong with it.
        error: CheckError,
    },
    /// The font has characters that the sheet names no file for.
    #[error("no font is named for the characters {characters:?}, which the font has")]
    Uncovered {
        /// The characters.
        characters: String,
    },
}

/// What was checked.
#[derive(Debug)]
pub(super) struct Checked {
    /// The page's characters.
    pub(super) wanted: CharSet,
    /// Those of them that the whole font does not have.
    pub(super) lacking: CharSet,
    /// The files, in the order of the sheet.
    pub(super) files: Vec<CheckedFile>,
}

/// A font that draws what it should.
#[derive(Debug)]
pub(super) struct CheckedFile {
    pub(super) url: String,
    pub(super) characters: usize,
    pub(super) bytes: usize,
}

pub(super) fn check(loaded: &Loaded, font: &Font) -> Result<Checked, Unfit> {
    let wanted = CharSet::from_text(&loaded.characters);
    if wanted.is_empty() {
        return Err(Unfit::NoText);
    }
    let lacking = wanted.difference(&font.characters());
    let faces = css::parse(&loaded.css)?;
    let needed: Vec<&Face> = faces
        .iter()
        .filter(|face| face.is_needed_for(&wanted))
        .collect();
    let files: BTreeMap<&str, &str> = loaded
        .files
        .iter()
        .map(|file| (file.url.as_str(), file.font.as_str()))
        .collect();
    if files.len() != needed.len() || loaded.files.len() != needed.len() {
        return Err(choice(loaded, &needed));
    }
    let mut checked = Vec::new();
    let mut covered = CharSet::new();
    for face in &needed {
        let encoded = files
            .get(face.url.as_str())
            .ok_or_else(|| choice(loaded, &needed))?;
        let of_face = face.wanted_by(&wanted);
        let url = face.url.clone();
        let bytes = forgiving_base64::decode_to_vec(encoded.as_bytes())
            .map_err(|_| Unfit::Transfer { url })?;
        check_font(&bytes, &of_face).map_err(|error| Unfit::Font {
            url: face.url.split('?').next().unwrap_or_default().to_owned(),
            error,
        })?;
        checked.push(CheckedFile {
            url: face.url.clone(),
            characters: of_face.len(),
            bytes: bytes.len(),
        });
        covered.extend(of_face);
    }
    let uncovered = wanted.difference(&covered).difference(&lacking);
    if !uncovered.is_empty() {
        return Err(Unfit::Uncovered {
            characters: uncovered.to_string(),
        });
    }
    Ok(Checked {
        wanted,
        lacking,
        files: checked,
    })
}

fn choice(loaded: &Loaded, needed: &[&Face]) -> Unfit {
    Unfit::Choice {
        loaded: loaded.files.len(),
        named: needed.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::LoadedFile;
    use super::*;
    use crate::scenario::font::Quality;
    use crate::scenario::font::css::face_rules;

    /// A page of this text, and a sheet with a file for each of these texts.
    fn loaded(page: &str, files: &[(&str, &str)]) -> (Loaded, Font) {
        let font = Font::bundled().unwrap();
        let mut faces = Vec::new();
        let mut loaded = Vec::new();
        for (number, (promised, held)) in files.iter().enumerate() {
            let url = format!("https://fonts.example.com/{number}");
            let subset = font.subset(&CharSet::from_text(held)).unwrap();
            let woff2 = subset.woff2(Quality::ON_REQUEST).unwrap();
            faces.push(Face::new(&url, &CharSet::from_text(promised)));
            loaded.push(LoadedFile {
                url,
                font: encode(&woff2),
            });
        }
        let loaded = Loaded {
            controller: None,
            characters: page.to_owned(),
            css: face_rules("Any", &faces),
            files: loaded,
        };
        (loaded, font)
    }

    fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let mut padded = [0; 4];
            padded[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(padded);
            for digit in 0..4_usize {
                let value = bits >> (18 - 6 * digit) & 63;
                text.push(if digit <= group.len() {
                    DIGITS[value as usize] as char
                } else {
                    '='
                });
            }
        }
        text
    }

    #[test]
    fn fonts_that_draw_the_page_together_are_fit() {
        let (page, font) = loaded(
            "茶道です🍵",
            &[("茶", "茶"), ("でしす", "でしす"), ("道", "道")],
        );
        let checked = check(&page, &font).unwrap();
        assert_eq!(checked.wanted, CharSet::from_text("茶道です🍵"));
        assert_eq!(checked.lacking.to_string(), "🍵");
        let characters: Vec<_> = checked.files.iter().map(|file| file.characters).collect();
        assert_eq!(characters, [1, 2, 1]);
    }

    #[test]
    fn a_character_without_a_font_is_named() {
        let (page, font) = loaded("茶道", &[("茶", "茶")]);
        let error = check(&page, &font).unwrap_err();
        assert!(
            matches!(&error, Unfit::Uncovered { characters } if characters == "道"),
            "{error}"
        );
    }

    #[test]
    fn a_font_that_does_not_keep_the_promise_of_its_sheet_is_named() {
        let (page, font) = loaded("茶道", &[("茶道", "茶")]);
        let error = check(&page, &font).unwrap_err();
        assert!(matches!(error, Unfit::Font { .. }), "{error}");
        assert!(error.to_string().contains('道'), "{error}");
    }

    #[test]
    fn a_page_that_loads_other_fonts_than_its_sheet_names_is_noticed() {
        let (mut page, font) = loaded("茶道", &[("茶", "茶"), ("道", "道"), ("花", "花")]);
        assert!(matches!(
            check(&page, &font),
            Err(Unfit::Choice {
                loaded: 3,
                named: 2
            })
        ));
        page.files.pop();
        assert!(check(&page, &font).is_ok());
        page.files[1].url.push('x');
        assert!(matches!(check(&page, &font), Err(Unfit::Choice { .. })));
    }

    #[test]
    fn a_broken_transfer_and_a_page_without_text_are_said() {
        let (mut page, font) = loaded("茶", &[("茶", "茶")]);
        page.files[0].font.push('!');
        assert!(matches!(check(&page, &font), Err(Unfit::Transfer { .. })));
        page.characters.clear();
        assert!(matches!(check(&page, &font), Err(Unfit::NoText)));
    }
}
