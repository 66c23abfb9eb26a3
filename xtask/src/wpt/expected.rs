//! `tests/conformance/wpt.toml`: what is expected to fail, and why.
//!
//! A group of failures has one reason. `tests` are patterns of tests of which nothing passes;
//! `subtests` are patterns of the tests of one page that fail (`(harness)` is the page itself). All
//! that a pattern matches fails, or the pattern is wrong. A crash is never expected.

mod compare;
mod file;
mod update;

use std::collections::BTreeMap;

use super::find::Filters;
use super::glob;
use super::results::PageResult;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Which checkout it was written for.
    pub(super) version: String,
    /// What is run if nothing is named.
    pub(super) directories: Vec<String>,
    pub(super) failing: Vec<Group>,
}

/// Failures with one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) reason: String,
    /// Patterns of tests.
    pub(super) tests: Vec<String>,
    /// By the pattern of a test: patterns of subtests.
    pub(super) subtests: BTreeMap<String, Vec<String>>,
}

/// What was run.
pub(super) struct Scope<'a> {
    pub(super) filters: &'a Filters,
    pub(super) results: &'a [PageResult],
}

impl Scope<'_> {
    fn matching(&self, pattern: &str) -> Vec<&PageResult> {
        let matching = |result: &&PageResult| glob::matches(pattern, &result.test);
        self.results.iter().filter(matching).collect()
    }

    /// Whether all that a pattern may match was run.
    fn covers(&self, pattern: &str) -> bool {
        self.filters.cover(&glob::beginning(pattern))
    }
}

impl Expected {
    /// Every failure has a reason.
    ///
    /// # Errors
    /// Which ones have none.
    pub(super) fn check_reasons(&self) -> Result<(), String> {
        let missing = self
            .failing
            .iter()
            .filter(|group| group.reason.trim().is_empty());
        let examples: Vec<_> = missing.filter_map(Group::example).collect();
        if examples.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{} groups of failures in wpt.toml have no reason; fill them in, for: {}",
            examples.len(),
            examples.join(", ")
        ))
    }
}

impl Group {
    fn example(&self) -> Option<&str> {
        let first = self.tests.first();
        let example = first.or_else(|| self.subtests.keys().next());
        example.map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.subtests.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wpt::results::{Status, Subtest};

    /// A result.
    pub(in crate::wpt) fn page(
        test: &str,
        status: Status,
        subtests: &[(&str, Status)],
    ) -> PageResult {
        let subtests = subtests.iter().map(|(name, status)| Subtest {
            name: (*name).to_owned(),
            status: *status,
            message: None,
            stack: None,
        });
        PageResult {
            test: test.to_owned(),
            status,
            message: None,
            stack: None,
            subtests: subtests.collect(),
        }
    }

    /// What a run of all of `m/` found, against a group each.
    pub(super) fn with_scope<R>(results: &[PageResult], then: impl FnOnce(&Scope<'_>) -> R) -> R {
        let filters = Filters::new(&["m/".to_owned()]).unwrap();
        then(&Scope {
            filters: &filters,
            results,
        })
    }

    pub(super) fn group(reason: &str, tests: &[&str], subtests: &[(&str, &[&str])]) -> Group {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let subtests = subtests.iter();
        Group {
            reason: reason.to_owned(),
            tests: owned(tests),
            subtests: subtests
                .map(|(test, names)| ((*test).to_owned(), owned(names)))
                .collect(),
        }
    }

    pub(super) fn expected(failing: Vec<Group>) -> Expected {
        Expected {
            version: "1".to_owned(),
            directories: vec!["m/".to_owned()],
            failing,
        }
    }

    #[test]
    fn an_empty_reason_is_named_by_what_has_none() {
        let good = expected(vec![group("why", &["m/a"], &[])]);
        assert_eq!(good.check_reasons(), Ok(()));
        let bad = expected(vec![
            group(" ", &[], &[("m/b", &["x"])]),
            group("why", &["m/a"], &[]),
        ]);
        assert!(bad.check_reasons().unwrap_err().ends_with("m/b"));
    }
}
