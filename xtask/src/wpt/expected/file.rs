//! The file itself: read strictly, written in one way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table};

use super::{Expected, Group};

const HEAD: &str = "\
# What of the web-platform-tests is expected to fail, with a reason each. `cargo xtask wpt` compares
# a run with it: an unexpected failure, an unexpected pass and an entry for what is not there fail.
# `tests`: nothing of these pages passes. `subtests`: these tests of a page; \"(harness)\" is the page
# itself. `*` stands for any characters. `--update` writes the file anew and keeps the reasons.
";

impl Expected {
    /// Reads it.
    pub(in crate::wpt) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
        let mut expected = Self::default();
        for (key, item) in document.iter() {
            match key {
                "version" => expected.version = string(key, item)?,
                "directories" => expected.directories = strings(key, item)?,
                "failing" => {
                    let groups = item.as_array_of_tables();
                    let groups = groups.ok_or("`failing` is no list of tables: [[failing]]")?;
                    expected.failing = groups.iter().map(group).collect::<Result<_, _>>()?;
                }
                other => return Err(format!("nothing is called `{other}` here")),
            }
        }
        Ok(expected)
    }

    /// As it is written.
    pub(in crate::wpt) fn to_toml(&self) -> String {
        let mut text = HEAD.to_owned();
        let Self {
            version,
            directories,
            failing,
        } = self;
        line(&mut text, &format!("version = {}", quoted(version)));
        list(&mut text, "directories", directories);
        for group in failing {
            line(&mut text, "\n[[failing]]");
            line(&mut text, &format!("reason = {}", quoted(&group.reason)));
            if !group.tests.is_empty() {
                list(&mut text, "tests", &group.tests);
            }
            if !group.subtests.is_empty() {
                line(&mut text, "[failing.subtests]");
            }
            for (test, names) in &group.subtests {
                list(&mut text, &quoted(test), names);
            }
        }
        text
    }
}

fn group(table: &Table) -> Result<Group, String> {
    let mut group = Group::default();
    for (key, item) in table {
        match key {
            "reason" => group.reason = string(key, item)?,
            "tests" => group.tests = strings(key, item)?,
            "subtests" => {
                let subtests = item.as_table_like().ok_or("`subtests` is no table")?;
                let subtests = subtests.iter().map(|(test, names)| {
                    let names = strings(test, names)?;
                    Ok((test.to_owned(), names))
                });
                group.subtests = subtests.collect::<Result<BTreeMap<_, _>, String>>()?;
            }
            other => return Err(format!("a group has no `{other}`")),
        }
    }
    if group.is_empty() {
        let reason = &group.reason;
        return Err(format!(
            "the group with the reason {reason:?} names no test"
        ));
    }
    Ok(group)
}

fn string(key: &str, item: &Item) -> Result<String, String> {
    let string = item.as_str().map(str::to_owned);
    string.ok_or_else(|| format!("`{key}` is no string"))
}

fn strings(key: &str, item: &Item) -> Result<Vec<String>, String> {
    let not_strings = || format!("`{key}` is no list of strings");
    let array = item.as_array().ok_or_else(not_strings)?;
    let strings = array.iter().map(|value| value.as_str().map(str::to_owned));
    let strings: Option<Vec<_>> = strings.collect();
    let strings = strings.ok_or_else(not_strings)?;
    match strings.is_empty() {
        true => Err(format!("`{key}` is empty")),
        false => Ok(strings),
    }
}

/// A basic string on one line, which is good for keys too.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            // Writing to a String does not fail.
            control if control.is_ascii_control() => {
                _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn list(text: &mut String, key: &str, items: &[String]) {
    if let [item] = items {
        return line(text, &format!("{key} = [{}]", quoted(item)));
    }
    line(text, &format!("{key} = ["));
    for item in items {
        // Writing to a String does not fail.
        _ = writeln!(text, "    {},", quoted(item));
    }
    line(text, "]");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, group};
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let odd = "a \"b\" 'c' \\ \n\t\u{7f}\u{1} '''\"\"\" \u{1f600} # =";
        let whole = expected(vec![
            group(odd, &["m/*", odd], &[(odd, &[odd, "x"]), ("m/b", &["y"])]),
            group("", &[], &[("m/c", &["(harness)"])]),
        ]);
        let text = whole.to_toml();
        assert_eq!(Expected::parse(&text).as_ref(), Ok(&whole), "{text}");
        assert_eq!(Expected::parse(&text).unwrap().to_toml(), text);
    }

    #[test]
    fn a_malformed_file_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("version", "expected"),
            ("version = 1", "`version` is no string"),
            ("directories = []", "`directories` is empty"),
            ("color = 'red'", "color"),
            ("failing = 1", "[[failing]]"),
            ("[[failing]]\nreason = 'x'", "names no test"),
            (
                "[[failing]]\nreason = 'x'\ntests = 'm/a'",
                "`tests` is no list",
            ),
            (
                "[[failing]]\nreason = 'x'\ntests = [1]",
                "`tests` is no list",
            ),
            ("[[failing]]\ntests = ['m/a']\nwhy = ''", "`why`"),
            ("[[failing]]\nsubtests = ['m/a']", "no table"),
            (
                "[[failing]]\n[failing.subtests]\n'm/a' = 'x'",
                "`m/a` is no list",
            ),
        ] {
            let error = Expected::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
