//! A checkout of the web-platform-tests: where it is, and which one it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a checkout has, whichever way it was made.
const SIGNS: [&str; 3] = ["wpt", "tools/serve/serve.py", "resources/testharness.js"];

/// A checkout.
#[derive(Debug)]
pub(super) struct Checkout {
    /// The folder with `wpt`, absolute.
    pub(super) root: PathBuf,
    /// Which one: the revision of a clone, what a file called `version` says, or else a digest.
    pub(super) version: String,
}

impl Checkout {
    /// Finds it in `folder`, or in `tests` below.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let is_one = |root: &PathBuf| SIGNS.iter().all(|sign| root.join(sign).is_file());
        let root = [folder.to_owned(), folder.join("tests")]
            .into_iter()
            .find(is_one)
            .ok_or_else(|| {
                format!(
                    "{} is no checkout of the web-platform-tests: neither it nor its folder tests \
                     has {}",
                    folder.display(),
                    SIGNS.join(", ")
                )
            })?;
        let root = fs::canonicalize(&root)
            .map_err(|error| format!("cannot find {}: {error}", root.display()))?;
        let version = revision(&root)
            .or_else(|| version_file(&root))
            .map_or_else(|| digest(&root), Ok)?;
        Ok(Self { root, version })
    }
}

/// The revision, if the checkout itself is a clone (and does not merely lie in one).
fn revision(root: &Path) -> Option<String> {
    if !root.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root)
        .output()
        .ok()?;
    let revision = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !revision.trim().is_empty()).then(|| revision.trim().to_owned())
}

/// What whoever unpacked it wrote beside it.
fn version_file(root: &Path) -> Option<String> {
    let beside = [Some(root), root.parent()];
    beside.into_iter().flatten().find_map(|folder| {
        let version = fs::read_to_string(folder.join("version")).ok()?;
        let version = version.lines().next()?.trim();
        (!version.is_empty()).then(|| version.to_owned())
    })
}

fn digest(root: &Path) -> Result<String, String> {
    let path = root.join("resources/testharness.js");
    let harness =
        fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(format!(
        "testharness.js of {} bytes, CRC-32 {:08x}",
        harness.len(),
        crc32fast::hash(&harness)
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A folder that looks like a checkout.
    pub(in crate::wpt) fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let signs = SIGNS.map(|sign| (sign, ""));
        for (path, text) in signs.iter().chain(files) {
            let path = folder.path().join("tests").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_checkout_is_found_from_its_folder_and_from_the_one_above() {
        let folder = checkout(&[("resources/testharness.js", "1;")]);
        let above = Checkout::open(folder.path()).unwrap();
        let itself = Checkout::open(&folder.path().join("tests")).unwrap();
        assert_eq!(above.root, itself.root);
        assert_eq!(above.version, itself.version);
        assert!(above.version.contains("of 2 bytes"), "{}", above.version);
        fs::write(folder.path().join("version"), "1.2.3\n").unwrap();
        let named = Checkout::open(folder.path()).unwrap();
        assert_eq!(named.version, "1.2.3");
    }

    #[test]
    fn a_folder_that_is_none_is_refused_with_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = Checkout::open(folder.path()).unwrap_err();
        assert!(error.contains("resources/testharness.js"), "{error}");
    }
}
