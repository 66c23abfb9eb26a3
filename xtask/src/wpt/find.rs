//! Which tests a checkout has: its files, and the tests that its server makes of each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::checkout::Checkout;
use super::meta::Meta;

/// Folders whose files are not tests. (`common` only at the root.)
const NO_TESTS: &[&str] = &["resources", "support", "tools"];

/// A test: one page to load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// Its path and variant, without a slash before: what results and expectations call it.
    pub(super) id: String,
    /// The file that it is made of.
    pub(super) file: String,
    /// Whether it has a minute instead of ten seconds.
    pub(super) is_long: bool,
}

impl Test {
    /// Where the tests' server has it.
    pub(super) fn url(&self) -> String {
        let path = self.id.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let flags: Vec<_> = name.split('.').skip(1).collect();
        let has = |flag| flags.contains(&flag);
        let is_secure = has("https") || has("serviceworker") || has("serviceworker-module");
        let host = if has("www") {
            "www.web-platform.test"
        } else {
            "web-platform.test"
        };
        match is_secure {
            true => format!("https://{host}:8443/{}", self.id),
            false => format!("http://{host}:8000/{}", self.id),
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In order of their ids.
    pub(super) tests: Vec<Test>,
    /// Why files are not run, with the number of files.
    pub(super) skipped: BTreeMap<&'static str, usize>,
}

/// The beginnings of paths; a test is run if its id or its file has one of them.
#[derive(Debug)]
pub(super) struct Filters(Vec<String>);

impl Filters {
    /// From what was given: `@FILE` is a list of them.
    pub(super) fn new(given: &[String]) -> Result<Self, String> {
        let mut filters = Vec::new();
        for filter in given {
            match filter.strip_prefix('@') {
                Some(file) => {
                    let text = fs::read_to_string(file)
                        .map_err(|error| format!("cannot read the list {file}: {error}"))?;
                    let lines = text.lines().map(str::trim);
                    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                    filters.extend(lines.map(clean));
                }
                None => filters.push(clean(filter)),
            }
        }
        match filters
            .iter()
            .find(|filter| filter.split('/').any(|part| part == ".."))
        {
            Some(filter) => Err(format!("{filter} leads out of the checkout")),
            None if filters.is_empty() => Err("no test is named".to_owned()),
            None => Ok(Self(filters)),
        }
    }

    /// Whether everything that begins with `beginning` would be run.
    pub(super) fn cover(&self, beginning: &str) -> bool {
        self.0.iter().any(|filter| beginning.starts_with(filter))
    }

    fn run(&self, test: &Test) -> bool {
        self.cover(&test.id) || self.cover(&test.file)
    }
}

fn clean(filter: &str) -> String {
    let filter = filter.strip_prefix("./").unwrap_or(filter);
    filter.trim_start_matches('/').to_owned()
}

/// Finds the tests that the filters name.
///
/// # Errors
/// A folder that cannot be read, a file with a malformed variant, a filter that names no test.
pub(super) fn find(checkout: &Checkout, filters: &Filters) -> Result<Found, String> {
    let mut found = Found::default();
    for filter in &filters.0 {
        let before = found.tests.len();
        let folder = filter.rfind('/').map_or("", |at| &filter[..at]);
        let mut files = Vec::new();
        let path = checkout.root.join(folder);
        if path.is_dir() {
            collect(&path, folder, &mut files)?;
        }
        for file in files {
            // A test's name begins with that of its file, up to the first dot.
            let name = file.rfind('/').map_or(0, |at| at + 1);
            let dot = file[name..].find('.').map_or(file.len(), |at| name + at);
            if file.starts_with(filter) || filter.starts_with(&file[..dot]) {
                file_tests(checkout, &file, filters, &mut found)?;
            }
        }
        let named = |test: &Test| test.id.starts_with(filter) || test.file.starts_with(filter);
        if found.tests.len() == before && !found.tests.iter().any(named) {
            return Err(format!("no test is called {filter}…"));
        }
    }
    found.tests.sort();
    found.tests.dedup();
    Ok(found)
}

fn collect(folder: &Path, name: &str, files: &mut Vec<String>) -> Result<(), String> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for path in entries {
        let Some(part) = path.file_name().and_then(|part| part.to_str()) else {
            continue;
        };
        let below = match name {
            "" => part.to_owned(),
            name => format!("{name}/{part}"),
        };
        if !path.is_dir() {
            files.push(below);
        } else if !NO_TESTS.contains(&part) && below != "common" && !part.starts_with('.') {
            collect(&path, &below, files)?;
        }
    }
    Ok(())
}

/// What kind of file a name says.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Page,
    AnyScript,
    WindowScript,
    WorkerScript,
    No(&'static str),
}

fn kind(file: &str) -> Kind {
    let name = file.rsplit('/').next().unwrap_or_default();
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return Kind::No("no test");
    };
    let in_folder = |folder: &&str| file.split('/').any(|part| part == *folder);
    if NO_TESTS.iter().any(in_folder) || name.starts_with('.') {
        return Kind::No("no test");
    }
    // After the last hyphen: a type, then flags; without one the flags follow the first dot.
    let (type_flag, flags) = match stem.rsplit_once('-') {
        Some((_, after)) => {
            let mut parts = after.split('.');
            (parts.next().unwrap_or_default(), parts.collect::<Vec<_>>())
        }
        None => ("", stem.split('.').skip(1).collect()),
    };
    match extension {
        _ if type_flag == "manual" => Kind::No("manual"),
        _ if matches!(type_flag, "visual" | "ref" | "notref" | "crash" | "print") => {
            Kind::No("painted, or only loaded")
        }
        _ if flags.contains(&"h2") => Kind::No("over HTTP/2"),
        "js" if flags.contains(&"any") => Kind::AnyScript,
        "js" if flags.contains(&"window") => Kind::WindowScript,
        "js" if flags.contains(&"worker") => Kind::WorkerScript,
        "html" | "htm" if in_folder(&"crashtests") => Kind::No("painted, or only loaded"),
        "html" | "htm" => Kind::Page,
        "xhtml" | "xht" | "svg" | "xml" => Kind::No("XML documents, which are not parsed"),
        _ => Kind::No("no test"),
    }
}

fn file_tests(
    checkout: &Checkout,
    file: &str,
    filters: &Filters,
    found: &mut Found,
) -> Result<(), String> {
    let kind = kind(file);
    if let Kind::No(reason) = kind {
        *found.skipped.entry(reason).or_default() += 1;
        return Ok(());
    }
    let path = checkout.root.join(file);
    let source =
        fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let source = decoded(&source);
    let meta = match kind {
        Kind::Page => Meta::of_page(&source),
        _ => Meta::of_script(&source),
    };
    if kind == Kind::Page && !meta.has_testharness {
        *found.skipped.entry("no test").or_default() += 1;
        return Ok(());
    }
    let pages = match kind {
        Kind::AnyScript => any_pages(file, &meta, found),
        Kind::WindowScript => vec![file.replace(".window.js", ".window.html")],
        Kind::WorkerScript => vec![file.replace(".worker.js", ".worker.html")],
        Kind::Page | Kind::No(_) => vec![file.to_owned()],
    };
    let variants = meta
        .checked_variants()
        .map_err(|error| format!("{file}: {error}"))?;
    for page in pages {
        for variant in &variants {
            let test = Test {
                id: format!("{page}{variant}"),
                file: file.to_owned(),
                is_long: meta.is_long,
            };
            if filters.run(&test) {
                found.tests.push(test);
            }
        }
    }
    Ok(())
}

/// A page in UTF-16 says so by a byte order mark; all others are read as UTF-8.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let units = |unit: fn([u8; 2]) -> u16, rest: &[u8]| {
        let units: Vec<_> = rest
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]))
            .collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => units(u16::from_be_bytes, rest),
        bytes => String::from_utf8_lossy(bytes),
    }
}

/// The pages that the server makes of a script for several globals.
fn any_pages(file: &str, meta: &Meta, found: &mut Found) -> Vec<String> {
    let stem = file.replace(".any.", ".");
    let stem = stem.strip_suffix(".js").unwrap_or(&stem);
    let mut pages = Vec::new();
    for global in meta.global_names() {
        let suffix = match global {
            "window" => "any.html".to_owned(),
            "dedicatedworker" => "any.worker.html".to_owned(),
            "dedicatedworker-module" => "any.worker-module.html".to_owned(),
            "jsshell" => {
                *found.skipped.entry("for shells").or_default() += 1;
                continue;
            }
            realm if realm.starts_with("shadowrealm") => {
                *found.skipped.entry("in a ShadowRealm").or_default() += 1;
                continue;
            }
            other => format!("any.{other}.html"),
        };
        pages.push(format!("{stem}.{suffix}"));
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wpt::checkout::tests::checkout;

    const PAGE: &str = "<script src=/resources/testharness.js></script>";

    fn found(files: &[(&str, &str)], filters: &[&str]) -> Result<Found, String> {
        let folder = checkout(files);
        let checkout = Checkout::open(folder.path()).unwrap();
        let filters: Vec<_> = filters.iter().map(ToString::to_string).collect();
        find(&checkout, &Filters::new(&filters)?)
    }

    fn ids(found: &Found) -> Vec<&str> {
        found.tests.iter().map(|test| test.id.as_str()).collect()
    }

    #[test]
    fn a_script_for_several_globals_is_a_page_for_each() {
        let found = found(
            &[
                (
                    "m/a.https.any.js",
                    "// META: global=window,worker,jsshell,shadowrealm\n",
                ),
                ("m/b.any.js", ""),
                ("m/c.window.js", "// META: timeout=long\n"),
                (
                    "m/d.worker.js",
                    "// META: variant=?x\n// META: variant=#y\n",
                ),
            ],
            &["m/"],
        )
        .unwrap();
        assert_eq!(
            ids(&found),
            [
                "m/a.https.any.html",
                "m/a.https.any.serviceworker.html",
                "m/a.https.any.sharedworker.html",
                "m/a.https.any.worker.html",
                "m/b.any.html",
                "m/b.any.worker.html",
                "m/c.window.html",
                "m/d.worker.html#y",
                "m/d.worker.html?x",
            ]
        );
        assert!(found.tests[6].is_long && !found.tests[0].is_long);
        assert_eq!(found.skipped["for shells"], 1);
    }

    #[test]
    fn what_is_no_test_is_counted_with_its_reason() {
        let found = found(
            &[
                ("m/page.html", PAGE),
                ("m/plain.html", "<p>"),
                ("m/resources/page.html", PAGE),
                ("m/support/page.html", PAGE),
                ("m/a-manual.https.html", PAGE),
                ("m/a-ref.html", PAGE),
                ("m/a.xhtml", PAGE),
                ("m/a.h2.html", PAGE),
                ("m/crashtests/a.html", PAGE),
                ("m/script.js", ""),
                ("m/page.html.headers", ""),
            ],
            &["m/"],
        )
        .unwrap();
        assert_eq!(ids(&found), ["m/page.html"]);
        assert_eq!(
            Vec::from_iter(found.skipped),
            [
                ("XML documents, which are not parsed", 1),
                ("manual", 1),
                ("no test", 3),
                ("over HTTP/2", 1),
                ("painted, or only loaded", 2),
            ]
        );
    }

    #[test]
    fn filters_name_folders_files_pages_and_lists() {
        let files = [
            ("m/a.any.js", ""),
            ("m/ab.html", PAGE),
            ("m/n/c.html", PAGE),
        ];
        let of = |filters: &[&str]| -> Vec<String> {
            let found = found(&files, filters).unwrap();
            found.tests.into_iter().map(|test| test.id).collect()
        };
        assert_eq!(of(&["/m/n"]), ["m/n/c.html"]);
        assert_eq!(of(&["m/a.any.js"]), ["m/a.any.html", "m/a.any.worker.html"]);
        assert_eq!(of(&["m/a.any.worker.html"]), ["m/a.any.worker.html"]);
        assert_eq!(of(&["m/ab", "m/"]).len(), 4);
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(list.path(), "# two\nm/ab.html\n\n m/n/c.html\n").unwrap();
        let list = format!("@{}", list.path().display());
        assert_eq!(of(&[&list]), ["m/ab.html", "m/n/c.html"]);
    }

    #[test]
    fn a_filter_that_names_nothing_is_an_error() {
        for filter in ["m/x", "nowhere/", "../m", "@no such list"] {
            let error = found(&[("m/a.html", PAGE)], &[filter]).unwrap_err();
            assert!(error.contains(filter.trim_start_matches('@')), "{error}");
        }
        let error = found(&[("m/a.any.js", "// META: variant=x")], &["m"]).unwrap_err();
        assert!(
            error.contains("m/a.any.js") && error.contains("\"x\""),
            "{error}"
        );
    }

    #[test]
    fn a_page_in_utf_16_is_read_too() {
        let little: Vec<u8> = "\u{feff}é"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let big: Vec<u8> = "\u{feff}é"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_eq!((decoded(&little), decoded(&big)), ("é".into(), "é".into()));
        assert_eq!(decoded(&[0xff, 0xfe, 0x41]), "");
        assert_eq!(decoded("é".as_bytes()), "é");
    }

    #[test]
    fn secure_pages_are_asked_over_tls() {
        for (id, url) in [
            ("m/a.html?b", "http://web-platform.test:8000/m/a.html?b"),
            (
                "m/a.https.html",
                "https://web-platform.test:8443/m/a.https.html",
            ),
            (
                "m/a.any.serviceworker.html",
                "https://web-platform.test:8443/m/a.any.serviceworker.html",
            ),
            (
                "m/a.www.sub.html",
                "http://www.web-platform.test:8000/m/a.www.sub.html",
            ),
            (
                "m.https/a.html?x.https.y",
                "http://web-platform.test:8000/m.https/a.html?x.https.y",
            ),
        ] {
            let (id, file) = (id.to_owned(), String::new());
            assert_eq!(
                Test {
                    id,
                    file,
                    is_long: false
                }
                .url(),
                url
            );
        }
    }
}
