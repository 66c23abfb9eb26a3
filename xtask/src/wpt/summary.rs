//! What people see of a run: a line per directory, frequent causes, what was not expected.

use std::collections::{BTreeMap, BTreeSet};

use super::find::Found;
use super::results::{PageResult, Status};

/// How many causes are said.
const CAUSES: usize = 60;
/// How many unexpected things are said, so that the first ones stay in sight.
const SAID: usize = 200;

/// A line per directory: its pages, those of them that pass, and their tests.
pub(super) fn print(found: &Found, results: &[PageResult]) {
    let rows = rows(results);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    println!("{:width$}  {:>13}  {:>15}", "", "pages", "tests passed");
    for (name, row) in &rows {
        let Row {
            pages,
            clean,
            passed,
            of,
            ..
        } = row;
        let (pages, tests) = (format!("{clean} of {pages}"), format!("{passed} of {of}"));
        let ended = row.ended();
        println!("{name:width$}  {pages:>13}  {tests:>15}{ended}");
    }
    for (reason, files) in &found.skipped {
        println!("not run: {files} files, {reason}");
    }
}

/// Sums of a directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    pages: usize,
    /// Pages that pass with all their tests.
    clean: usize,
    passed: usize,
    of: usize,
    errors: usize,
    timeouts: usize,
    crashes: usize,
}

impl Row {
    fn add(&mut self, result: &PageResult) {
        self.pages += 1;
        self.clean += usize::from(result.failing().next().is_none());
        self.passed += result.passed();
        self.of += result.subtests.len();
        match result.status {
            Status::Error => self.errors += 1,
            Status::Timeout => self.timeouts += 1,
            Status::Crash => self.crashes += 1,
            _ => {}
        }
    }

    fn ended(&self) -> String {
        let counts = [
            (self.errors, "errors"),
            (self.timeouts, "timeouts"),
            (self.crashes, "crashes"),
        ];
        let said = counts.iter().filter(|(count, _)| *count > 0);
        said.map(|(count, what)| format!("  {count} {what}"))
            .collect()
    }
}

/// The directories in order, and all of them.
fn rows(results: &[PageResult]) -> Vec<(String, Row)> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut all = Row::default();
    for result in results {
        let path = result.test.split(['?', '#']).next().unwrap_or_default();
        let folder = path.rfind('/').map_or("", |at| &path[..=at]);
        rows.entry(folder.to_owned()).or_default().add(result);
        all.add(result);
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.push(("all".to_owned(), all));
    rows
}

/// The most frequent messages of failures.
pub(super) fn print_causes(results: &[PageResult]) {
    let causes = causes(results);
    println!("\nfrequent causes: pages, tests, message, for example");
    for cause in causes.iter().take(CAUSES) {
        let Cause {
            message,
            tests,
            pages,
            example,
        } = cause;
        println!(
            "{:5} {tests:6}  {message}\n               {example}",
            pages.len()
        );
    }
    let left = causes.len().saturating_sub(CAUSES);
    if left > 0 {
        println!("and {left} that are less frequent");
    }
}

/// A message of failures.
#[derive(Debug)]
pub(super) struct Cause<'a> {
    pub(super) message: String,
    /// How many tests say it.
    tests: usize,
    pages: BTreeSet<&'a str>,
    /// Where one of them is.
    example: String,
}

/// The most frequent first.
fn causes(results: &[PageResult]) -> Vec<Cause<'_>> {
    let mut causes: BTreeMap<String, Cause<'_>> = BTreeMap::new();
    for result in results {
        for item in result.failing() {
            let message = cause(item.status, item.message);
            let cause = causes.entry(message.clone()).or_insert_with(|| Cause {
                message,
                tests: 0,
                pages: BTreeSet::new(),
                example: example(&result.test, item.name, item.stack),
            });
            cause.tests += 1;
            cause.pages.insert(&result.test);
        }
    }
    let mut causes: Vec<_> = causes.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse((cause.tests, cause.pages.len())));
    causes
}

/// A message without what differs from one test to the next: numbers, URLs, and all but its first
/// line.
pub(super) fn cause(status: Status, message: Option<&str>) -> String {
    let mut cause = format!("{status}:");
    let line = message.unwrap_or_default().lines().next();
    for word in line.unwrap_or_default().split_whitespace().take(40) {
        cause.push(' ');
        if word.contains("://") {
            cause.push_str("URL");
            continue;
        }
        let mut was_digit = false;
        for letter in word.chars().take(100) {
            let is_digit = letter.is_ascii_digit();
            match (is_digit, was_digit) {
                (true, false) => cause.push('0'),
                (true, true) => {}
                (false, _) => cause.push(letter),
            }
            was_digit = is_digit;
        }
    }
    cause
}

fn example(test: &str, name: &str, stack: Option<&str>) -> String {
    // The first place in a file of the test, outside of the harness.
    let mut places = stack.unwrap_or_default().lines().map(str::trim);
    let is_of_test = |line: &&str| line.contains("://") && !line.contains("/testharness.js");
    let place = places.find(is_of_test);
    match place {
        Some(place) => format!("{test} | {name} | {place}"),
        None => format!("{test} | {name}"),
    }
}

/// Says what was not expected.
pub(super) fn verdict(wrong: &[String]) -> Result<(), String> {
    if wrong.is_empty() {
        println!("all as expected");
        return Ok(());
    }
    for line in wrong.iter().take(SAID) {
        eprintln!("wpt: {line}");
    }
    let left = wrong.len().saturating_sub(SAID);
    if left > 0 {
        eprintln!("wpt: and {left} more");
    }
    Err(format!("{} results are not as expected", wrong.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wpt::expected::tests::page;

    #[test]
    fn directories_and_all_are_summed() {
        let results = [
            page("m/a.html", Status::Ok, &[("x", Status::Pass)]),
            page(
                "m/b.html?c/d",
                Status::Timeout,
                &[("x", Status::Pass), ("y", Status::Notrun)],
            ),
            page("m/n/c.html", Status::Crash, &[]),
        ];
        let rows = rows(&results);
        let names: Vec<_> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["m/", "m/n/", "all"]);
        let row = |at: usize| {
            let row = &rows[at].1;
            (row.clean, row.pages, row.passed, row.of, row.ended())
        };
        assert_eq!(row(0), (1, 2, 2, 3, "  1 timeouts".to_owned()));
        assert_eq!(row(2), (1, 3, 2, 3, "  1 timeouts  1 crashes".to_owned()));
    }

    #[test]
    fn causes_that_differ_in_numbers_and_urls_are_one() {
        let mut results = [
            page(
                "a.html",
                Status::Ok,
                &[("x", Status::Fail), ("y", Status::Fail)],
            ),
            page("b.html", Status::Ok, &[("x", Status::Fail)]),
        ];
        results[0].subtests[0].message = Some("expected 12 but  got http://h/1 3\nmore".into());
        results[0].subtests[0].stack =
            Some("at t (http://h/resources/testharness.js:1:2)\n  at http://h/a.html:7:8\n".into());
        results[0].subtests[1].message = Some("other".into());
        results[1].subtests[0].message = Some("expected 4 but got https://g/x 5".into());
        let causes = causes(&results);
        assert_eq!(causes.len(), 2);
        assert_eq!(causes[0].message, "FAIL: expected 0 but got URL 0");
        assert_eq!((causes[0].tests, causes[0].pages.len()), (2, 2));
        assert_eq!(causes[0].example, "a.html | x | at http://h/a.html:7:8");
    }
}
