//! Results against expectations: unexpected failures, unexpected passes, stale entries.

use crate::wpt::glob;
use crate::wpt::results::{Item, PageResult, Status};

use super::{Expected, Scope};

impl Expected {
    /// What is not as expected, a line each: first what is wrong with the entries.
    pub(in crate::wpt) fn compare(&self, scope: &Scope<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        for group in &self.failing {
            for pattern in &group.tests {
                wrong.extend(compare_tests(scope, pattern));
            }
            for (pattern, names) in &group.subtests {
                wrong.extend(compare_subtests(scope, pattern, names));
            }
        }
        for result in scope.results {
            let failing = result.failing();
            let unexpected = failing.filter(|item| !self.expects(result, item));
            wrong.extend(unexpected.map(|item| failure(result, &item)));
        }
        wrong
    }

    /// Whether some group says that this fails.
    pub(super) fn expects(&self, result: &PageResult, item: &Item<'_>) -> bool {
        if item.status == Status::Crash {
            return false;
        }
        self.failing.iter().any(|group| {
            let matches = |pattern: &String| glob::matches(pattern, &result.test);
            let named = |name: &String| glob::matches(name, item.name);
            let mut subtests = group.subtests.iter();
            group.tests.iter().any(matches)
                || subtests.any(|(pattern, names)| matches(pattern) && names.iter().any(named))
        })
    }
}

fn failure(result: &PageResult, item: &Item<'_>) -> String {
    let message = item.message.unwrap_or_default();
    let message = message.lines().next().unwrap_or_default();
    let (test, name, status) = (&result.test, item.name, item.status);
    format!("unexpected {status}: {test} | {name}: {message}")
}

fn compare_tests(scope: &Scope<'_>, pattern: &str) -> Vec<String> {
    let matching = scope.matching(pattern);
    if matching.is_empty() {
        return stale(scope, pattern);
    }
    let passing = matching.iter().filter(|result| !result.fails_wholly());
    passing
        .map(|result| {
            let (passed, of) = (result.passed(), result.subtests.len());
            format!(
                "unexpected pass: {} ({passed} of {of} tests), which {pattern:?} says fails",
                result.test
            )
        })
        .collect()
}

fn compare_subtests(scope: &Scope<'_>, pattern: &str, names: &[String]) -> Vec<String> {
    let matching = scope.matching(pattern);
    if matching.is_empty() {
        return stale(scope, pattern);
    }
    let mut wrong = Vec::new();
    for result in matching {
        for name in names {
            let mut items = result.items().filter(|item| glob::matches(name, item.name));
            let test = &result.test;
            match items.next() {
                None => wrong.push(format!("stale: {test} has no test {name:?}")),
                Some(first) => {
                    let passing = std::iter::once(first).chain(items).filter(Item::passes);
                    wrong.extend(
                        passing.map(|item| format!("unexpected pass: {test} | {}", item.name)),
                    );
                }
            }
        }
    }
    wrong
}

/// A pattern that matched nothing is stale if there is nothing else that it could match.
fn stale(scope: &Scope<'_>, pattern: &str) -> Vec<String> {
    if scope.covers(pattern) {
        vec![format!("stale: no test is called {pattern}")]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, group, page, with_scope};
    use super::*;
    use Status::{Crash, Error, Fail, Ok, Pass, Timeout};

    fn compared(groups: Vec<super::super::Group>, results: &[PageResult]) -> Vec<String> {
        with_scope(results, |scope| expected(groups).compare(scope))
    }

    #[test]
    fn what_fails_as_expected_is_fine() {
        let results = [
            page(
                "m/a.html",
                Ok,
                &[("x", Pass), ("y 1", Fail), ("y 2", Timeout)],
            ),
            page("m/b.html?1", Error, &[]),
            page("m/b.html?2", Timeout, &[("x", Fail)]),
            page("m/c.html", Timeout, &[("x", Pass)]),
            page("m/d.html", Ok, &[("x", Pass)]),
        ];
        let groups = vec![group(
            "why",
            &["m/b.html*"],
            &[("m/a.html", &["y *"]), ("m/c.html", &["(harness)"])],
        )];
        assert_eq!(compared(groups, &results), [""; 0]);
    }

    #[test]
    fn an_unexpected_failure_is_named() {
        let results = [page("m/a.html", Error, &[("x", Pass), ("y", Fail)])];
        let groups = vec![group("why", &[], &[("m/a.html", &["(harness)"])])];
        assert_eq!(
            compared(groups, &results),
            ["unexpected FAIL: m/a.html | y: "]
        );
        assert_eq!(compared(vec![], &results).len(), 2);
    }

    #[test]
    fn an_unexpected_pass_of_a_page_or_of_a_test_is_named() {
        let results = [
            page("m/a.html", Ok, &[("x", Pass), ("y", Fail)]),
            page("m/b.html", Ok, &[]),
        ];
        let wholly = compared(vec![group("why", &["m/*"], &[])], &results);
        assert_eq!(wholly.len(), 2, "{wholly:?}");
        assert!(wholly[0].contains("m/a.html (1 of 2 tests)"), "{wholly:?}");
        let named = compared(vec![group("why", &[], &[("m/a.html", &["*"])])], &results);
        assert_eq!(
            named,
            [
                "unexpected pass: m/a.html | (harness)",
                "unexpected pass: m/a.html | x"
            ]
        );
    }

    #[test]
    fn an_entry_for_what_is_not_there_is_stale_unless_it_was_not_run() {
        let results = [page("m/a.html", Ok, &[("x", Pass)])];
        let groups = vec![group(
            "why",
            &["m/gone.html", "n/other.html", "*"],
            &[("m/a.html", &["gone"]), ("n/other.html", &["x"])],
        )];
        let wrong = compared(groups, &results);
        assert_eq!(
            wrong,
            [
                "stale: no test is called m/gone.html",
                "unexpected pass: m/a.html (1 of 1 tests), which \"*\" says fails",
                "stale: m/a.html has no test \"gone\"",
            ]
        );
    }

    #[test]
    fn a_crash_is_never_expected() {
        let results = [page("m/a.html", Crash, &[])];
        let wrong = compared(vec![group("why", &["m/a.html"], &[])], &results);
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("unexpected CRASH"), "{wrong:?}");
    }
}
