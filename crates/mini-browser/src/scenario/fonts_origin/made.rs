//! Where fonts are cut and packed: on threads for such work, each set once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::super::font::{CharSet, Font, Quality, SubsetError, Woff2Error};

/// How many fonts are kept.
const KEPT: usize = 64;

/// Cuts and packs, and keeps what was made last.
#[derive(Debug)]
pub(super) struct Workshop {
    font: Font,
    kept: Mutex<VecDeque<(CharSet, Made)>>,
}

/// A font that was cut out and packed.
#[derive(Clone, Debug)]
pub(super) struct Made {
    woff2: Bytes,
    characters: CharSet,
    lacking: CharSet,
}

/// Why there is no such font.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error("the font has none of the {asked} characters that were asked for")]
    NoneOfThem { asked: usize },
    #[error(transparent)]
    Subset(SubsetError),
    #[error(transparent)]
    Woff2(#[from] Woff2Error),
    #[error("the work was broken off: {0}")]
    BrokenOff(#[from] tokio::task::JoinError),
}

impl From<SubsetError> for MakeError {
    fn from(error: SubsetError) -> Self {
        match error {
            SubsetError::Empty { asked } => Self::NoneOfThem { asked },
            error => Self::Subset(error),
        }
    }
}

impl Made {
    pub(super) const fn woff2(&self) -> &Bytes {
        &self.woff2
    }

    /// The characters that it has.
    pub(super) const fn characters(&self) -> &CharSet {
        &self.characters
    }

    /// The characters that were asked for and that the font does not have.
    pub(super) const fn lacking(&self) -> &CharSet {
        &self.lacking
    }
}

impl Workshop {
    pub(super) const fn new(font: Font) -> Self {
        Self {
            font,
            kept: Mutex::new(VecDeque::new()),
        }
    }

    /// The font of all characters that there are.
    pub(super) async fn whole(&self) -> Result<Made, MakeError> {
        self.make(self.font.characters()).await
    }

    /// The font of some characters.
    pub(super) async fn make(&self, characters: CharSet) -> Result<Made, MakeError> {
        if let Some(made) = self.found(&characters) {
            return Ok(made);
        }
        let font = self.font.clone();
        let asked = characters.clone();
        let made = tokio::task::spawn_blocking(move || cut(&font, &asked)).await??;
        self.keep(characters, made.clone());
        Ok(made)
    }

    fn found(&self, characters: &CharSet) -> Option<Made> {
        let kept = self.lock();
        let (_, made) = kept.iter().find(|(of, _)| of == characters)?;
        Some(made.clone())
    }

    fn keep(&self, characters: CharSet, made: Made) {
        let mut kept = self.lock();
        if kept.iter().all(|(of, _)| *of != characters) {
            kept.push_back((characters, made));
        }
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(CharSet, Made)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(font: &Font, asked: &CharSet) -> Result<Made, MakeError> {
    let subset = font.subset(asked)?;
    Ok(Made {
        woff2: subset.woff2(Quality::ON_REQUEST)?,
        characters: subset.characters().clone(),
        lacking: subset.lacking().clone(),
    })
}
