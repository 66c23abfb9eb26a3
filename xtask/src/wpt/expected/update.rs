//! `--update`: expectations as the results are, with the reasons that are known.

use std::collections::BTreeMap;

use crate::wpt::glob;
use crate::wpt::results::{Item, PageResult, Status};
use crate::wpt::summary::cause;

use super::{Expected, Group, Scope};

impl Expected {
    /// The same, for these results: what passes is taken out, what fails anew is put in, by its
    /// message, with an empty reason. What was not run stays.
    pub(in crate::wpt) fn updated(&self, scope: &Scope<'_>, version: &str) -> Self {
        let kept = self.failing.iter().map(|group| keep(group, scope));
        let mut updated = Self {
            version: version.to_owned(),
            directories: self.directories.clone(),
            failing: kept.filter(|group| !group.is_empty()).collect(),
        };
        let new = updated.new_groups(scope);
        updated.failing.extend(new);
        updated
    }

    fn new_groups(&self, scope: &Scope<'_>) -> Vec<Group> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for result in scope.results {
            let new = result.failing();
            let new = new.filter(|item| !self.expects(result, item));
            let new: Vec<_> = new.filter(|item| item.status != Status::Crash).collect();
            let Some(first) = new.last() else {
                continue;
            };
            if result.fails_wholly() && new.len() == result.failing().count() {
                let group = groups
                    .entry(cause(first.status, first.message))
                    .or_default();
                group.tests.push(glob::exactly(&result.test));
                continue;
            }
            for item in &new {
                let group = groups.entry(cause(item.status, item.message)).or_default();
                add(group, result, item);
            }
        }
        groups.into_values().collect()
    }
}

fn add(group: &mut Group, result: &PageResult, item: &Item<'_>) {
    let names = group.subtests.entry(glob::exactly(&result.test));
    names.or_default().push(glob::exactly(item.name));
}

/// What of a group still fails. A pattern stays as it is while all that it matches fails.
fn keep(group: &Group, scope: &Scope<'_>) -> Group {
    let mut kept = Group {
        reason: group.reason.clone(),
        ..Group::default()
    };
    for pattern in &group.tests {
        let matching = scope.matching(pattern);
        if is_kept(scope, pattern, &matching, |result| result.fails_wholly()) {
            kept.tests.push(pattern.clone());
            continue;
        }
        for result in matching {
            if result.fails_wholly() {
                kept.tests.push(glob::exactly(&result.test));
            } else {
                result
                    .failing()
                    .for_each(|item| add(&mut kept, result, &item));
            }
        }
    }
    for (pattern, names) in &group.subtests {
        let matching = scope.matching(pattern);
        if is_kept(scope, pattern, &matching, |result| {
            names.iter().all(|name| all_fail(result, name))
        }) {
            kept.subtests.insert(pattern.clone(), names.clone());
            continue;
        }
        for result in matching {
            let failing = result.failing().filter(|item| {
                let matches = |name: &String| glob::matches(name, item.name);
                names.iter().any(matches)
            });
            failing.for_each(|item| add(&mut kept, result, &item));
        }
    }
    kept
}

fn is_kept(
    scope: &Scope<'_>,
    pattern: &str,
    matching: &[&PageResult],
    holds: impl Fn(&PageResult) -> bool,
) -> bool {
    match matching {
        [] => !scope.covers(pattern),
        matching => matching.iter().all(|result| holds(result)),
    }
}

/// Whether there is something of that name, and all of it fails.
fn all_fail(result: &PageResult, name: &str) -> bool {
    let mut items = result.items().filter(|item| glob::matches(name, item.name));
    let first = items.next();
    first.is_some_and(|first| !first.passes()) && items.all(|item| !item.passes())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, group, page, with_scope};
    use super::*;
    use Status::{Crash, Error, Fail, Ok, Pass};

    fn updated(groups: Vec<Group>, results: &[PageResult]) -> Vec<Group> {
        with_scope(results, |scope| {
            let updated = expected(groups).updated(scope, "2");
            assert_eq!(updated.version, "2");
            // What was just written holds, but for crashes and reasons.
            let wrong = updated.compare(scope);
            assert!(wrong.iter().all(|line| line.contains("CRASH")), "{wrong:?}");
            updated.failing
        })
    }

    #[test]
    fn what_still_fails_keeps_its_pattern_and_its_reason() {
        let results = [
            page("m/a.html", Error, &[]),
            page("m/b.html", Ok, &[("x 1", Fail), ("x 2", Fail), ("y", Pass)]),
        ];
        let groups = vec![
            group("why a", &["m/a*", "n/not run"], &[]),
            group("why b", &[], &[("m/b.html", &["x *"])]),
        ];
        assert_eq!(updated(groups.clone(), &results), groups);
    }

    #[test]
    fn what_passes_or_is_gone_is_taken_out_of_its_group() {
        let results = [
            page("m/a1.html", Error, &[]),
            page("m/a2.html", Ok, &[("x", Pass), ("y*", Fail)]),
            page("m/a3.html", Ok, &[("x", Pass)]),
            page("m/b.html", Ok, &[("x 1", Fail), ("x 2", Pass)]),
        ];
        let groups = vec![
            group("why a", &["m/a*", "m/gone"], &[("m/gone", &["x"])]),
            group("why b", &[], &[("m/b.html", &["x *", "gone"])]),
            group("why c", &["m/gone"], &[]),
        ];
        assert_eq!(
            updated(groups, &results),
            [
                group("why a", &["m/a1.html"], &[("m/a2.html", &["y\\*"])]),
                group("why b", &[], &[("m/b.html", &["x 1"])]),
            ]
        );
    }

    #[test]
    fn new_failures_are_grouped_by_their_message_without_a_reason() {
        let mut results = [
            page("m/a.html", Error, &[]),
            page("m/b.html", Ok, &[("x", Fail), ("y", Pass), ("z", Fail)]),
            page("m/c.html", Crash, &[]),
        ];
        results[0].message = Some("one".to_owned());
        results[1].subtests[0].message = Some("two".to_owned());
        results[1].subtests[2].message = Some("two".to_owned());
        assert_eq!(
            updated(vec![], &results),
            [
                group("", &["m/a.html"], &[]),
                group("", &[], &[("m/b.html", &["x", "z"])]),
            ]
        );
    }
}
