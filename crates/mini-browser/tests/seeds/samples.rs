//! Where the samples are: fenced blocks of the proposals, found by document and line.

use std::path::PathBuf;
use std::{env, fs};

use crate::ours;

/// A sample, by its id in the table of samples: the document's first line, the line of the block's
/// fence (or of the text itself), and our own equivalent.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub id: &'static str,
    document: &'static str,
    line: usize,
    own: &'static str,
}

const GIST: &str = "# Stashed MessagePorts";
const README: &str = "## Client side API";
const DESIGNS: &str = "# Design Alternatives";
const EXPLAINER: &str = "# `navigator.connect()` Explained";
const COSW: &str = "# Cross-Origin Service Workers (DRAFT)";

const fn sample(
    id: &'static str,
    document: &'static str,
    line: usize,
    own: &'static str,
) -> Sample {
    Sample {
        id,
        document,
        line,
        own,
    }
}

pub(crate) const S1: Sample = sample("S1", GIST, 4, ours::STASH_IDL);
pub(crate) const S2: Sample = sample("S2", GIST, 21, ours::CROSS_ORIGIN_CONNECT_IDL);
pub(crate) const S3: Sample = sample("S3", GIST, 32, ours::STASHING_CLIENT);
pub(crate) const S4: Sample = sample("S4", GIST, 48, ours::STASHING_SERVICE);
pub(crate) const S5: Sample = sample("S5", README, 2, ours::NAVIGATOR_IDL);
pub(crate) const S6: Sample = sample("S6", README, 13, ours::CONNECT_EVENT_IDL);
pub(crate) const S7: Sample = sample("S7", README, 33, ours::PORTS_IDL);
pub(crate) const S8: Sample = sample("S8", README, 72, ours::PAGE_CLIENT);
pub(crate) const S9: Sample = sample("S9", README, 84, ours::FLEETING_SERVICE);
pub(crate) const S10: Sample = sample("S10", README, 103, ours::ECHO_SERVICE);
pub(crate) const S11: Sample = sample("S11", README, 128, ours::LOGGING_CLIENT);
pub(crate) const S12: Sample = sample("S12", EXPLAINER, 36, ours::SILENT_PAIR);
pub(crate) const S13: Sample = sample("S13", EXPLAINER, 54, ours::COLLECTING_CLIENT);
pub(crate) const S14: Sample = sample("S14", EXPLAINER, 81, ours::FONT_SERVICE);
pub(crate) const S15: Sample = sample("S15", EXPLAINER, 103, ours::INSTALL_HEADERS);
pub(crate) const S16: Sample = sample("S16", EXPLAINER, 116, ours::IMAGE_RESPONSE);
pub(crate) const S17: Sample = sample("S17", EXPLAINER, 128, ours::SCRIPT_RESPONSE);
pub(crate) const S18: Sample = sample("S18", EXPLAINER, 139, ours::REGISTER);
pub(crate) const S19: Sample = sample("S19", COSW, 33, ours::NAVIGATOR_REQUEST_IDL);
pub(crate) const S20: Sample = sample("S20", COSW, 51, ours::REQUESTING_CLIENT);
pub(crate) const S21: Sample = sample("S21", COSW, 68, ours::FOREIGN_CLIENT_IDL);
pub(crate) const S22: Sample = sample("S22", COSW, 87, ours::BROKEN_SERVICE);
pub(crate) const S23: Sample = sample("S23", DESIGNS, 11, ours::INLINE_CONNECT);
pub(crate) const S24: Sample = sample("S24", DESIGNS, 17, ours::INLINE_LOCAL_FETCH);
pub(crate) const S25: Sample = sample("S25", DESIGNS, 24, ours::INLINE_UNIVERSAL);

impl Sample {
    /// Our own words for it.
    pub(crate) fn own(self) -> String {
        self.own.to_owned()
    }

    /// Word for word; `None`, with a line that says so, if there is no `SEEDS_DIR`.
    pub(crate) fn verbatim(self) -> Option<String> {
        let Some(folder) = env::var_os("SEEDS_DIR").map(PathBuf::from) else {
            println!("{} is skipped: SEEDS_DIR is not set", self.id);
            return None;
        };
        let text = document(&folder, self.document).unwrap_or_else(|| {
            panic!(
                "{}: {} has no document that begins with {:?}",
                self.id,
                folder.display(),
                self.document
            )
        });
        let lines: Vec<_> = text.lines().collect();
        let first = lines.get(self.line - 1).copied().unwrap_or_default();
        if self.document == DESIGNS {
            // Samples within a sentence.
            return Some(first.to_owned());
        }
        assert!(
            first.starts_with("```"),
            "{}: no block begins at line {}: {first:?}",
            self.id,
            self.line
        );
        let block = lines[self.line..]
            .iter()
            .take_while(|line| !line.starts_with("```"));
        Some(block.map(|line| format!("{line}\n")).collect())
    }
}

/// The document whose first line that is not empty is this one.
fn document(folder: &PathBuf, first_line: &str) -> Option<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| {
        panic!(
            "SEEDS_DIR is {}, which cannot be read: {error}",
            folder.display()
        )
    });
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let mut found =
        texts.filter(|text| text.lines().find(|line| !line.is_empty()) == Some(first_line));
    found.next()
}

/// Runs the checks of a sample word for word, and in our own words.
macro_rules! both {
    ($($name:ident: $sample:ident, $check:ident;)*) => {
        mod verbatim {
            $(#[tokio::test]
            async fn $name() {
                if let Some(text) = crate::samples::$sample.verbatim() {
                    super::$check(text).await;
                }
            })*
        }

        mod in_our_words {
            $(#[tokio::test]
            async fn $name() {
                super::$check(crate::samples::$sample.own()).await;
            })*
        }
    };
}
pub(crate) use both;
