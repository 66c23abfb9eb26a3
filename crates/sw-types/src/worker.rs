//! What a service worker is, apart from its running code. (*Service Workers*, §2.1.)

#![expect(clippy::exhaustive_enums, reason = "closed sets of the specification")]

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::Origin;

/// A service worker's state. (*Service Workers*, "state".) They are ordered: a worker only ever
/// moves to a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkerState {
    /// Fetched and not yet run.
    Parsed,
    /// Its install event is being handled.
    Installing,
    /// Installed: it waits for the active worker to go.
    Installed,
    /// Its activate event is being handled.
    Activating,
    /// It handles functional events.
    Activated,
    /// Discarded.
    Redundant,
}

impl WorkerState {
    /// The name that scripts see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parsed => "parsed",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Activating => "activating",
            Self::Activated => "activated",
            Self::Redundant => "redundant",
        }
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a script is a classic script or a module. (*HTML*, `WorkerType`.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WorkerType {
    /// A classic script, which may call `importScripts`.
    #[default]
    Classic,
    /// A module, which may import others.
    Module,
}

/// Which of a worker's scripts the HTTP cache may answer at an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpdateViaCache {
    /// Imported scripts only.
    #[default]
    Imports,
    /// All scripts.
    All,
    /// None.
    None,
}

/// One prefix of `handleFallThroughRequests`, with the requesters that it admits.
///
/// Belongs to the worker version that named it. (SEMANTICS §4.2 row 26.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallThroughRule {
    /// A serialized URL; a request URL that starts with it is handled.
    pub prefix: Url,
    /// Which requesters are admitted.
    pub requesters: RequesterFilter,
}

/// A router rule of `addRoutes()`, verified and encoded by whoever gives it its meaning.
///
/// Belongs to the worker version that added it. (*Service Workers*, "list of router rules".)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedRouterRule {
    /// How many conditions the rule counts as, nested ones included.
    pub conditions: u32,
    /// The rule.
    pub rule: bytes::Bytes,
}

/// Which requesters' origins a [`FallThroughRule`] admits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequesterFilter {
    /// Any requester, opaque origins included.
    Any,
    /// The origins in this list. An opaque origin is never in a list.
    Origins(Vec<Origin>),
}

impl RequesterFilter {
    /// Whether requests from `origin` are admitted.
    #[must_use]
    pub fn admits(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Origins(origins) => !origin.is_opaque() && origins.contains(origin),
        }
    }
}
