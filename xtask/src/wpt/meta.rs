//! What a test file says of itself: `// META:` lines of scripts, `<meta>` and `<script>` of pages.

use std::collections::BTreeSet;

/// What a script or page says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Whether it loads `testharness.js` (pages only: their server adds it to scripts).
    pub(super) has_testharness: bool,
    /// Whether it may take long.
    pub(super) is_long: bool,
    /// What is appended to its URL, a test each; as written.
    pub(super) variants: Vec<String>,
    /// Where a script runs; as written, empty for the default.
    pub(super) globals: String,
}

impl Meta {
    /// Of a script: `// META: key=value`, from its first line on and without a line between.
    pub(super) fn of_script(source: &str) -> Self {
        let mut meta = Self::default();
        let mut has_globals = false;
        for line in source.lines() {
            let Some((key, value)) = meta_line(line) else {
                break;
            };
            match key {
                // Only the first is looked at.
                "global" if !has_globals => {
                    value.clone_into(&mut meta.globals);
                    has_globals = true;
                }
                "timeout" => meta.is_long |= value == "long",
                "variant" => meta.variants.push(value.to_owned()),
                _ => {}
            }
        }
        meta
    }

    /// Of a page.
    pub(super) fn of_page(source: &str) -> Self {
        let mut meta = Self::default();
        for Tag { name, attributes } in Tags(source) {
            let attribute = |wanted: &str| {
                let mut attributes = attributes.iter();
                let found = attributes.find(|(name, _)| name == wanted);
                found.map(|(_, value)| value.as_str())
            };
            match (name.as_str(), attribute("name"), attribute("content")) {
                ("script", ..) => {
                    let src = attribute("src").unwrap_or_default();
                    meta.has_testharness |= src.ends_with("/resources/testharness.js");
                }
                ("meta", Some("timeout"), Some(content)) => {
                    meta.is_long |= content.eq_ignore_ascii_case("long");
                }
                ("meta", Some("variant"), Some(content)) => meta.variants.push(content.to_owned()),
                _ => {}
            }
        }
        meta
    }

    /// What is appended to the URL for each test.
    ///
    /// # Errors
    /// A variant that is no query and no fragment.
    pub(super) fn checked_variants(&self) -> Result<Vec<&str>, String> {
        if self.variants.is_empty() {
            return Ok(vec![""]);
        }
        let is_good = |variant: &str| {
            let begins = variant.is_empty() || variant.starts_with(['?', '#']);
            begins && !matches!(variant, "?" | "#") && !variant.starts_with("?#")
        };
        match self.variants.iter().find(|variant| !is_good(variant)) {
            Some(variant) => Err(format!(
                "the variant {variant:?} is no query and no fragment"
            )),
            None => Ok(self.variants.iter().map(String::as_str).collect()),
        }
    }

    /// Where a script runs. Unknown names are left out, as the tests' own manifest does.
    pub(super) fn global_names(&self) -> BTreeSet<&str> {
        if self.globals.is_empty() {
            return BTreeSet::from(["window", "dedicatedworker"]);
        }
        let names = self.globals.split(',').map(str::trim);
        let names = names.flat_map(|name| match name {
            "worker" => &["dedicatedworker", "sharedworker", "serviceworker"][..],
            "shadowrealm" => &["shadowrealm-in-window"],
            known => GLOBALS
                .iter()
                .position(|global| *global == known)
                .map_or(&[][..], |at| &GLOBALS[at..=at]),
        });
        names.copied().collect()
    }
}

/// Every name that stands for one global.
const GLOBALS: &[&str] = &[
    "window",
    "window-module",
    "serviceworker",
    "serviceworker-module",
    "sharedworker",
    "sharedworker-module",
    "dedicatedworker",
    "dedicatedworker-module",
    "worker-module",
    "shadowrealm-in-window",
    "shadowrealm-in-shadowrealm",
    "shadowrealm-in-dedicatedworker",
    "shadowrealm-in-sharedworker",
    "shadowrealm-in-serviceworker",
    "shadowrealm-in-audioworklet",
    "jsshell",
];

/// `// META: key=value`.
fn meta_line(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("//")?.trim_start();
    let (key, value) = line.strip_prefix("META:")?.trim_start().split_once('=')?;
    let is_word = key
        .chars()
        .all(|letter| letter.is_alphanumeric() || letter == '_');
    is_word.then_some((key, value.trim_end_matches('\r')))
}

/// A start tag.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// The start tags of a page, comments and the text of scripts left out.
struct Tags<'a>(&'a str);

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            self.0 = &self.0[self.0.find('<')? + 1..];
            if let Some(comment) = self.0.strip_prefix("!--") {
                self.0 = comment.split_once("-->").map_or("", |(_, rest)| rest);
            } else if self
                .0
                .starts_with(|first: char| first.is_ascii_alphabetic())
            {
                let tag = self.tag();
                if tag.name == "script" {
                    self.skip_script();
                }
                return Some(tag);
            }
        }
    }
}

impl Tags<'_> {
    fn tag(&mut self) -> Tag {
        let is_end = |letter: char| letter.is_ascii_whitespace() || matches!(letter, '/' | '>');
        let name = self.take_until(is_end).to_ascii_lowercase();
        let mut attributes = Vec::new();
        loop {
            let skipped = |letter: char| letter.is_ascii_whitespace() || letter == '/';
            self.0 = self.0.trim_start_matches(skipped);
            if self.0.is_empty() || self.0.starts_with('>') {
                return Tag { name, attributes };
            }
            let name = self.take_until(|letter| is_end(letter) || letter == '=');
            let name = name.to_ascii_lowercase();
            self.0 = self.0.trim_start();
            let value = match self.0.strip_prefix('=') {
                Some(rest) => {
                    self.0 = rest.trim_start();
                    self.value()
                }
                None => String::new(),
            };
            attributes.push((name, value));
        }
    }

    fn value(&mut self) -> String {
        let value = match self.0.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                self.0 = &self.0[1..];
                let value = self.take_until(|letter| letter == quote);
                self.0 = self.0.strip_prefix(quote).unwrap_or(self.0);
                value
            }
            _ => self.take_until(|letter| letter.is_ascii_whitespace() || letter == '>'),
        };
        // As far as test files use character references in URLs.
        let value = value.replace("&quot;", "\"").replace("&lt;", "<");
        value.replace("&gt;", ">").replace("&amp;", "&")
    }

    fn take_until(&mut self, is_end: impl FnMut(char) -> bool) -> String {
        let at = self.0.find(is_end).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(at);
        self.0 = rest;
        taken.to_owned()
    }

    fn skip_script(&mut self) {
        let end = self.0.to_ascii_lowercase().find("</script");
        self.0 = end.map_or("", |at| &self.0[at..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_lines_of_a_script_are_read_up_to_the_first_other_line() {
        let meta = Meta::of_script(
            "// META: global=window,worker\n//META: timeout=long\r\n// META: variant=?a\n\
             // META: script=/common/utils.js\n\n// META: variant=?b\n",
        );
        assert_eq!(meta.variants, ["?a"]);
        assert!(meta.is_long);
        assert_eq!(
            Vec::from_iter(meta.global_names()),
            ["dedicatedworker", "serviceworker", "sharedworker", "window"]
        );
        let plain = Meta::of_script("'use strict';\n// META: timeout=long");
        assert_eq!(plain, Meta::default());
        assert_eq!(
            Vec::from_iter(plain.global_names()),
            ["dedicatedworker", "window"]
        );
    }

    #[test]
    fn malformed_meta_lines_and_unknown_globals_are_left_out() {
        for source in [
            "// META: global",
            "// META:",
            "// META: a b=c",
            "/META: a=b",
            "",
        ] {
            assert_eq!(Meta::of_script(source), Meta::default(), "{source}");
        }
        let odd = Meta::of_script("// META: global=window, moon,,jsshell");
        assert_eq!(Vec::from_iter(odd.global_names()), ["jsshell", "window"]);
        assert!(
            Meta::of_script("// META: global=moon")
                .global_names()
                .is_empty()
        );
    }

    #[test]
    fn metas_of_a_page_are_read_however_they_are_quoted() {
        let meta = Meta::of_page(
            "<!doctype html><META NAME = timeout content='LONG'><meta name=\"variant\"
             content=\"?a&amp;b\"><meta content=?c name=variant />
             <script src=/resources/testharness.js></script>",
        );
        assert!(meta.has_testharness && meta.is_long);
        assert_eq!(meta.variants, ["?a&b", "?c"]);
    }

    #[test]
    fn comments_and_scripts_are_no_tags() {
        let meta = Meta::of_page(
            "<!-- <script src=/resources/testharness.js></script> -->
             <script>'<meta name=variant content=?x>'</SCRIPT><meta name=variant content=?y>",
        );
        assert!(!meta.has_testharness);
        assert_eq!(meta.variants, ["?y"]);
        for source in [
            "<",
            "<meta",
            "<meta name",
            "<meta name=",
            "<meta name='",
            "<!--",
            "<script>",
        ] {
            assert_eq!(Meta::of_page(source), Meta::default(), "{source}");
        }
    }

    #[test]
    fn a_variant_that_is_no_query_is_refused() {
        for variant in ["a", "?", "#", "?#a"] {
            let meta = Meta::of_script(&format!("// META: variant={variant}"));
            assert!(meta.checked_variants().is_err(), "{variant}");
        }
        let meta = Meta::of_script("// META: variant=\n// META: variant=#a");
        assert_eq!(meta.checked_variants().unwrap(), ["", "#a"]);
    }
}
