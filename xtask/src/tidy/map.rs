//! The map tells the truth: every source file that `ARCHITECTURE.md` names by its path is there.

use std::fs;
use std::path::Path;

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let map = root.join("ARCHITECTURE.md");
    let text = fs::read_to_string(&map)
        .map_err(|error| format!("cannot read {}: {error}", map.display()))?;
    let exists = |path: &str| root.join("crates").join(path).exists() || root.join(path).exists();
    let missing = named(&text).filter(|path| !exists(path));
    Ok(missing
        .map(|path| format!("ARCHITECTURE.md names {path}, which is not there"))
        .collect())
}

/// The paths in back quotes, from a crate's name on.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|quoted| {
        quoted.contains("/src/") && !quoted.contains(char::is_whitespace) && !quoted.contains('*')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_back_quotes_are_found_and_other_words_are_not() {
        let text = "`a/src/b.rs`, and a/src/c.rs, `fetch()` and `d/src/e/f.js`";
        assert_eq!(
            named(text).collect::<Vec<_>>(),
            ["a/src/b.rs", "d/src/e/f.js"]
        );
    }
}
