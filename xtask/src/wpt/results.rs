//! What pages found, as the tests' harness names it.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a page found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageResult {
    /// The id of the test.
    pub(super) test: String,
    /// How the page ended.
    pub(super) status: Status,
    /// Why, for people.
    pub(super) message: Option<String>,
    /// Where.
    pub(super) stack: Option<String>,
    /// Its tests, in order.
    pub(super) subtests: Vec<Subtest>,
}

/// What a test of a page found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subtest {
    /// What it is called.
    pub(super) name: String,
    /// How it ended.
    pub(super) status: Status,
    /// Why, for people.
    pub(super) message: Option<String>,
    /// Where.
    pub(super) stack: Option<String>,
}

/// How a page or a test of it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    /// Of a page: all its tests ended.
    Ok,
    /// Of a page: something outside of its tests went wrong.
    Error,
    /// Of a page: the browser did not survive it.
    Crash,
    /// It took too long.
    Timeout,
    /// It asks for a feature that may be missing.
    PreconditionFailed,
    /// Of a test: it holds.
    Pass,
    /// Of a test: it does not.
    Fail,
    /// Of a test: the page ended before it.
    Notrun,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::Crash => "CRASH",
            Self::Timeout => "TIMEOUT",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Notrun => "NOTRUN",
        })
    }
}

/// What the page itself is called among its tests.
pub(super) const HARNESS: &str = "(harness)";

/// A page or a test of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    pub(super) status: Status,
    pub(super) message: Option<&'a str>,
    pub(super) stack: Option<&'a str>,
}

impl Item<'_> {
    pub(super) const fn passes(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Pass)
    }
}

impl PageResult {
    /// A page that ended without results of its own.
    pub(super) fn without_results(test: &str, status: Status, message: String) -> Self {
        Self {
            test: test.to_owned(),
            status,
            message: Some(message),
            stack: None,
            subtests: Vec::new(),
        }
    }

    /// The page, then its tests.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let page = Item {
            name: HARNESS,
            status: self.status,
            message: self.message.as_deref(),
            stack: self.stack.as_deref(),
        };
        let subtests = self.subtests.iter().map(|subtest| Item {
            name: &subtest.name,
            status: subtest.status,
            message: subtest.message.as_deref(),
            stack: subtest.stack.as_deref(),
        });
        std::iter::once(page).chain(subtests)
    }

    /// What of it does not pass.
    pub(super) fn failing(&self) -> impl Iterator<Item = Item<'_>> {
        self.items().filter(|item| !item.passes())
    }

    /// How many of its tests pass.
    pub(super) fn passed(&self) -> usize {
        let passed = |subtest: &&Subtest| subtest.status == Status::Pass;
        self.subtests.iter().filter(passed).count()
    }

    /// Whether nothing of it passes.
    pub(super) fn fails_wholly(&self) -> bool {
        self.passed() == 0 && self.failing().next().is_some()
    }
}

/// Writes all results for machines.
pub(super) fn write_json(file: &Path, results: &[PageResult]) -> Result<(), String> {
    let cannot = |error: &dyn fmt::Display| format!("cannot write {}: {error}", file.display());
    let json = serde_json::to_string_pretty(results).map_err(|error| cannot(&error))?;
    fs::write(file, json + "\n").map_err(|error| cannot(&error))
}
