//! `cargo xtask test`: everything that must hold before main moves.

use std::path::PathBuf;

use crate::run::{cargo, root};
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
    model_ports()?;
    let rustdoc = [("RUSTDOCFLAGS", "-D warnings")];
    cargo(&["doc", "--workspace", "--no-deps", "--locked"], &rustdoc)
}

/// Every interleaving of what the message ports synchronise by hand: some seconds, after a build
/// that has a folder of its own since it must not mix with any other.
fn model_ports() -> Result<(), String> {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root().join("target"), PathBuf::from);
    let target = target.join("loom");
    let target = target
        .to_str()
        .ok_or("the target folder's path is not Unicode")?;
    let variables = [
        ("RUSTFLAGS", "--cfg message_port_loom"),
        ("CARGO_TARGET_DIR", target),
    ];
    let package = ["--package", "message-port", "--test", "loom"];
    cargo(&[&["test", "--locked"], &package[..]].concat(), &variables)
}
