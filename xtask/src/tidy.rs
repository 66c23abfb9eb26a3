//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod arrows;
mod files;
mod language;
mod map;

/// Checks everything, and says all that is wrong at once.
pub(crate) fn tidy() -> Result<(), String> {
    let root = crate::run::root();
    let mut wrong = arrows::check(&root)?;
    wrong.extend(files::check(&root)?);
    wrong.extend(language::check(&root)?);
    wrong.extend(map::check(&root)?);
    if wrong.is_empty() {
        eprintln!(
            "── tidy: the arrows, the heads, the sizes, the language and the map are as they should be"
        );
        return Ok(());
    }
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    Err(format!("tidy found {} things to mend", wrong.len()))
}
