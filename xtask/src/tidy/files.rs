//! Heads and sizes of source files, and what must stand at the head of a crate.

use std::fs;
use std::path::{Path, PathBuf};

/// No source file is longer, in lines.
const LONGEST: usize = 800;

/// The crates that are told the time, and start nothing. (`message-port` wakes threads that wait.)
const CORES: &[&str] = &[
    "sw-types",
    "sw-registry",
    "stash",
    "fetch-router",
    "installer",
    "connect",
];

/// What a core does not do: it is told the time, and starts nothing.
const NOT_IN_CORES: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "thread::sleep",
    "std::fs",
    "std::net::Tcp",
];

/// Crates that may hold unsafe code, each in one small place.
const MAY_BE_UNSAFE: &[&str] = &["mini-browser", "message-port"];

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for folder in ["crates", "tests", "xtask", "fuzz"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let shown = file.strip_prefix(root).unwrap_or(file);
        wrong.extend(complaints(shown, &text));
    }
    Ok(wrong)
}

fn complaints(file: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let shown = file.display();
    let rust = file.extension().is_some_and(|extension| extension == "rs");
    let head = if rust { "//!" } else { "//" };
    if !text.trim_start().starts_with(head) {
        wrong.push(format!(
            "{shown} does not begin with `{head} …`: what lives here?"
        ));
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        wrong.push(format!(
            "{shown} has {lines} lines; split it below {LONGEST}"
        ));
    }
    if rust && text.contains(concat!("#[", "allow(")) {
        wrong.push(format!(
            "{shown} has a bare allow; write #[expect(…, reason = \"…\")]"
        ));
    }
    if is_core_source(file) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = || {
            code.lines()
                .filter(|line| !line.trim_start().starts_with("//"))
        };
        let calls = |call: &str| code().any(|line| line.contains(call));
        for call in NOT_IN_CORES.iter().filter(|call| calls(call)) {
            wrong.push(format!(
                "{shown} calls {call}, and a core has no clock, thread or I/O"
            ));
        }
    }
    if is_crate_head(file) && !text.contains("#![forbid(unsafe_code)]") {
        wrong.push(format!("{shown} does not forbid unsafe code"));
    }
    wrong
}

fn is_core_source(file: &Path) -> bool {
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    matches!(parts.as_slice(), ["crates", name, "src", ..] if CORES.contains(name))
        && !parts.contains(&"tests")
        && !parts.contains(&"tests.rs")
}

/// Whether this is the `lib.rs` of a crate without any unsafe code.
fn is_crate_head(file: &Path) -> bool {
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    matches!(parts.as_slice(), ["crates", name, "src", "lib.rs"] if !MAY_BE_UNSAFE.contains(name))
}

pub(super) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !folder.exists() {
        return Ok(());
    }
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "js")
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_head_a_long_file_and_a_bare_allow_are_found() {
        let file = Path::new("crates/connect/src/x.rs");
        assert_eq!(complaints(file, "//! x\nfn x() {}\n"), [""; 0]);
        assert_eq!(complaints(file, "fn x() {}\n").len(), 1);
        assert_eq!(
            complaints(file, &format!("//! x\n{}", "\n".repeat(LONGEST))).len(),
            1
        );
        let bare = concat!("//! x\n#[", "allow(dead_code)]\n");
        assert_eq!(complaints(file, bare).len(), 1);
    }

    #[test]
    fn a_core_that_looks_at_the_clock_is_found_and_its_tests_may() {
        let file = Path::new("crates/connect/src/x.rs");
        let clock = "fn x() { let _ = std::time::Instant::now(); }\n";
        assert_eq!(complaints(file, &format!("//! x\n{clock}")).len(), 1);
        assert_eq!(
            complaints(file, &format!("//! x\n#[cfg(test)]\n{clock}")).len(),
            0
        );
        assert_eq!(
            complaints(
                Path::new("crates/mini-browser/src/x.rs"),
                &format!("//! x\n{clock}")
            )
            .len(),
            0
        );
    }

    #[test]
    fn the_head_of_a_core_forbids_unsafe_code() {
        assert_eq!(
            complaints(Path::new("crates/connect/src/lib.rs"), "//! x\n").len(),
            1
        );
        assert_eq!(
            complaints(Path::new("crates/mini-browser/src/lib.rs"), "//! x\n").len(),
            0
        );
    }
}
