//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod arrows;
mod files;

/// Checks everything, and says all that is wrong at once.
pub(crate) fn tidy() -> Result<(), String> {
    let root = crate::run::root();
    let mut wrong = arrows::check(&root)?;
    wrong.extend(files::check(&root)?);
    if wrong.is_empty() {
        eprintln!("── tidy: the arrows, the heads and the sizes are as they should be");
        return Ok(());
    }
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    Err(format!("tidy found {} things to mend", wrong.len()))
}
