//! Router rules as a host's binding hands them over: the dictionaries of `addRoutes()`, converted.

use std::fmt;

use serde::{Deserialize, Serialize};
use sw_types::fetch::{Destination, RequestMode};

/// A rule: where what matches comes from. (*Service Workers*, `RouterRule`.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the members of the dictionary")]
pub struct RouterRule {
    /// What the rule is about.
    pub condition: RouterCondition,
    /// Where it comes from.
    pub source: RouterSource,
}

/// What a request must be like. All members that exist must match. (*Service Workers*,
/// `RouterCondition`.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the members of the dictionary")]
pub struct RouterCondition {
    /// `urlPattern`
    pub url_pattern: Option<UrlPatternCompatible>,
    /// `requestMethod`: a byte string, as it was given.
    pub request_method: Option<Vec<u8>>,
    /// `requestMode`
    pub request_mode: Option<RequestMode>,
    /// `requestDestination`
    pub request_destination: Option<Destination>,
    /// `runningStatus`
    pub running_status: Option<RunningStatus>,
    /// `or`: one of them must match. Excludes all others.
    pub or: Option<Vec<Self>>,
    /// `not`: it must not match. Excludes all others.
    pub not: Option<Box<Self>>,
}

/// Whether a worker runs. (*Service Workers*, `RunningStatus`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the values of the enumeration")]
pub enum RunningStatus {
    /// `running`
    Running,
    /// `not-running`
    NotRunning,
}

impl RunningStatus {
    /// The value of a keyword; `None` if there is no such keyword.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        match word {
            "running" => Some(Self::Running),
            "not-running" => Some(Self::NotRunning),
            _ => None,
        }
    }
}

/// Where a response comes from. (*Service Workers*, `RouterSource`.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled source is a bug")]
pub enum RouterSource {
    /// `network`
    Network,
    /// `cache`: any cache; the network if none has it.
    Cache,
    /// `{ cacheName }`: the cache of that name; the network if it has it not.
    NamedCache(String),
    /// `fetch-event`
    FetchEvent,
    /// `race-network-and-fetch-handler`
    RaceNetworkAndFetchHandler,
}

impl RouterSource {
    /// The kind of source, as resource timing tells it.
    #[must_use]
    pub const fn kind(&self) -> RouterSourceEnum {
        match self {
            Self::Network => RouterSourceEnum::Network,
            Self::Cache | Self::NamedCache(_) => RouterSourceEnum::Cache,
            Self::FetchEvent => RouterSourceEnum::FetchEvent,
            Self::RaceNetworkAndFetchHandler => RouterSourceEnum::RaceNetworkAndFetchHandler,
        }
    }
}

/// The kinds of sources. (*Service Workers*, `RouterSourceEnum`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the values of the enumeration")]
pub enum RouterSourceEnum {
    /// `cache`
    Cache,
    /// `fetch-event`
    FetchEvent,
    /// `network`
    Network,
    /// `race-network-and-fetch-handler`
    RaceNetworkAndFetchHandler,
}

impl RouterSourceEnum {
    /// The keyword that scripts use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::FetchEvent => "fetch-event",
            Self::Network => "network",
            Self::RaceNetworkAndFetchHandler => "race-network-and-fetch-handler",
        }
    }

    /// The value of a keyword; `None` if there is no such keyword.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        [
            Self::Cache,
            Self::FetchEvent,
            Self::Network,
            Self::RaceNetworkAndFetchHandler,
        ]
        .into_iter()
        .find(|source| source.as_str() == word)
    }
}

impl fmt::Display for RouterSourceEnum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `urlPattern` may be. (*URL Pattern*, `URLPatternCompatible`.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the union's types")]
pub enum UrlPatternCompatible {
    /// A `URLPattern` object, as what it was constructed with.
    Pattern(UrlPatternArguments),
    /// A dictionary.
    Init(UrlPatternInit),
    /// A constructor string.
    String(String),
}

/// The arguments of `new URLPattern()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "the constructor's arguments")]
pub struct UrlPatternArguments {
    /// `input`
    pub input: UrlPatternInput,
    /// `baseURL`
    pub base_url: Option<String>,
    /// `options.ignoreCase`
    pub ignore_case: bool,
}

/// `URLPatternInput`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the union's types")]
pub enum UrlPatternInput {
    /// A constructor string.
    String(String),
    /// A dictionary.
    Init(UrlPatternInit),
}

/// `URLPatternInit`: a pattern for each component that is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "the members of the dictionary")]
pub struct UrlPatternInit {
    /// `protocol`
    pub protocol: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `password`
    pub password: Option<String>,
    /// `hostname`
    pub hostname: Option<String>,
    /// `port`
    pub port: Option<String>,
    /// `pathname`
    pub pathname: Option<String>,
    /// `search`
    pub search: Option<String>,
    /// `hash`
    pub hash: Option<String>,
    /// `baseURL`
    pub base_url: Option<String>,
}
