//! [`Outcome`]: what a run has shown, for machines too.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service_worker::{AnsweredBy, Policies};

use super::Totals;
use super::font::Font;
use crate::net::server::LogEntry;

/// All that a run has shown. As JSON, the fields keep their names; a field is added without notice,
/// and [`format`](Self::format) grows when one is changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The version of this form: 1.
    pub format: u32,
    /// The font that was served.
    pub font: FontFacts,
    /// What service workers were allowed to do.
    pub policies: PolicyFacts,
    /// The folder of the browser's profile.
    pub profile: PathBuf,
    /// Whether that folder was made for this run, and removed after it.
    pub temporary_profile: bool,
    /// One line for each damaged thing that was found in the profile.
    pub notices: Vec<String>,
    /// Each measured load of a page, in order.
    pub loads: Vec<Load>,
    /// Each time the fonts worker was installed in the background.
    pub installs: Vec<Install>,
    /// What it cost, and what the alternatives cost.
    pub totals: Totals,
    /// The font service's own log, from its start to its end. Indices point into it.
    pub origin_log: Vec<LogEntry>,
}

/// Which font it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FontFacts {
    /// The name of its family.
    pub family: String,
    /// The path that it comes from.
    pub source: String,
    /// One line with family, size, path and licence.
    pub description: String,
    /// Its size, in bytes.
    pub bytes: usize,
    /// How many characters it has.
    pub characters: usize,
}

/// Which policies it were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyFacts {
    /// Their name: `seeds` or `shipping`.
    pub name: String,
    /// Whether each top-level site has storage of its own.
    pub partitioned: bool,
}

/// One measured load of a site's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Load {
    /// What the site is about.
    pub site: String,
    /// The site's origin.
    pub origin: String,
    /// Whether the browser had been closed and opened again on the same profile before.
    pub after_restart: bool,
    /// The script of the worker that controlled the page.
    pub controller: String,
    /// The characters that the page draws.
    pub wanted: String,
    /// Those of them that the font does not have.
    pub lacking: String,
    /// The style sheet.
    pub css: Answer,
    /// The fonts, in the order of the sheet; each was checked.
    pub files: Vec<Answer>,
    /// How many characters the font service was asked for because of this load.
    pub characters_fetched: usize,
    /// The bytes of bodies that the font service sent because of this load, as its log has them.
    pub wire_bytes: u64,
    /// The requests of this load: indices into [`Outcome::origin_log`].
    pub origin_requests: Vec<usize>,
}

/// One answer that a page got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// What was asked.
    pub url: String,
    /// Who answered.
    pub answered_by: Answerer,
    /// How many of the page's characters it is for.
    pub characters: usize,
    /// The bytes that the page got, decoded.
    pub bytes: usize,
}

/// Who answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answerer {
    /// The page's own worker.
    OwnWorker,
    /// The worker of the font service, after the page's own let the request go.
    FallThroughWorker,
    /// The network.
    Network,
    /// The HTTP cache.
    HttpCache,
}

/// One installation of the fonts worker by response headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Install {
    /// The site whose page got the answer with the headers.
    pub caused_by: String,
    /// How many characters the worker fetched while it was installed.
    pub characters_fetched: usize,
    /// The bytes of bodies that the font service sent for it, the script's included.
    pub wire_bytes: u64,
    /// The requests of this installation: indices into [`Outcome::origin_log`].
    pub origin_requests: Vec<usize>,
}

impl FontFacts {
    pub(super) fn of(font: &Font) -> Self {
        Self {
            family: font.family(),
            source: font.source().to_owned(),
            description: font.describe(),
            bytes: font.bytes().len(),
            characters: font.characters().len(),
        }
    }
}

impl PolicyFacts {
    pub(super) fn of(policies: &Policies) -> Self {
        use service_worker::types::PartitionPolicy;
        Self {
            name: policies.name.to_owned(),
            partitioned: policies.partition == PartitionPolicy::ByTopLevelSite,
        }
    }
}

impl From<AnsweredBy> for Answerer {
    fn from(answered_by: AnsweredBy) -> Self {
        match answered_by {
            AnsweredBy::OwnWorker(_) | AnsweredBy::LocalWorker(_) | AnsweredBy::CacheStorage(_) => {
                Self::OwnWorker
            }
            AnsweredBy::FallThrough(_) => Self::FallThroughWorker,
            AnsweredBy::Network => Self::Network,
            AnsweredBy::HttpCache => Self::HttpCache,
        }
    }
}

impl std::fmt::Display for Answerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::OwnWorker => "own worker",
            Self::FallThroughWorker => "fonts worker",
            Self::Network => "network",
            Self::HttpCache => "HTTP cache",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_form_for_machines_keeps_its_names() {
        let answer = |answered_by| Answer {
            url: "https://fonts.example.com/font/css?u=a".into(),
            answered_by,
            characters: 1,
            bytes: 2,
        };
        let load = Load {
            site: "tea".into(),
            origin: "https://example.com".into(),
            after_restart: false,
            controller: "https://example.com/sw.js".into(),
            wanted: "茶".into(),
            lacking: String::new(),
            css: answer(Answerer::FallThroughWorker),
            files: vec![answer(Answerer::Network)],
            characters_fetched: 3,
            wire_bytes: 4,
            origin_requests: vec![5],
        };
        let outcome = Outcome {
            format: 1,
            font: FontFacts {
                family: "M PLUS 1".into(),
                source: "m.ttf".into(),
                description: "M PLUS 1 from m.ttf".into(),
                bytes: 6,
                characters: 7,
            },
            policies: PolicyFacts::of(&Policies::shipping()),
            profile: "p".into(),
            temporary_profile: true,
            notices: vec!["set aside".into()],
            loads: vec![load],
            installs: vec![Install {
                caused_by: "tea".into(),
                characters_fetched: 8,
                wire_bytes: 9,
                origin_requests: vec![10],
            }],
            totals: Totals {
                sites: 1,
                this: 11,
                ..Totals::default()
            },
            origin_log: Vec::new(),
        };
        let written = serde_json::to_value(&outcome).unwrap();
        assert_eq!(
            written,
            json!({
                "format": 1,
                "font": {
                    "family": "M PLUS 1", "source": "m.ttf", "description": "M PLUS 1 from m.ttf",
                    "bytes": 6, "characters": 7,
                },
                "policies": { "name": "shipping", "partitioned": true },
                "profile": "p",
                "temporary_profile": true,
                "notices": ["set aside"],
                "loads": [{
                    "site": "tea", "origin": "https://example.com", "after_restart": false,
                    "controller": "https://example.com/sw.js", "wanted": "茶", "lacking": "",
                    "css": {
                        "url": "https://fonts.example.com/font/css?u=a",
                        "answered_by": "fall-through-worker", "characters": 1, "bytes": 2,
                    },
                    "files": [{
                        "url": "https://fonts.example.com/font/css?u=a",
                        "answered_by": "network", "characters": 1, "bytes": 2,
                    }],
                    "characters_fetched": 3, "wire_bytes": 4, "origin_requests": [5],
                }],
                "installs": [{
                    "caused_by": "tea", "characters_fetched": 8, "wire_bytes": 9,
                    "origin_requests": [10],
                }],
                "totals": {
                    "sites": 1, "whole_font_per_site": 0, "subset_per_site": 0, "this": 11,
                    "of_which_installations": 0, "answered_by_worker": 0,
                    "sites_answered_by_worker": 0, "subset_for_the_same": 0, "after_restart": 0,
                },
                "origin_log": [],
            })
        );
        assert_eq!(serde_json::from_value::<Outcome>(written).unwrap(), outcome);
    }
}
