//! `cargo xtask test`: everything that must hold before main moves.

use crate::run::cargo;
use crate::tidy::tidy;

/// Quick things first, so that what is cheap to mend is said early.
pub(crate) fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy()?;
    cargo(
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    cargo(&["test", "--workspace", "--locked"], &[])?;
    let rustdoc = [("RUSTDOCFLAGS", "-D warnings")];
    cargo(&["doc", "--workspace", "--no-deps", "--locked"], &rustdoc)
}
