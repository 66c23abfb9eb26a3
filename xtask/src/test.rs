//! `cargo xtask test`: everything that must hold before main moves.

use std::path::PathBuf;

use crate::run::{cargo, root};
use crate::tidy::tidy;

/// Quick things first, so that what is cheap to mend is said early.
pub(crate) fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy()?;
    let all = ["--workspace", "--features", FEATURES, "--locked"];
    let lints = [
        &["clippy"],
        &all[..],
        &["--all-targets", "--", "-D", "warnings"],
    ];
    cargo(&lints.concat(), &[])?;
    cargo(&[&["test"], &all[..]].concat(), &[])?;
    adopt()?;
    model_ports()?;
    let rustdoc = [("RUSTDOCFLAGS", "-D warnings")];
    cargo(&[&["doc", "--no-deps"], &all[..]].concat(), &rustdoc)
}

/// What no package of the workspace turns on, and is tested all the same.
const FEATURES: &str = "message-port/tokio";

/// Each crate that can be taken alone is checked alone with whoever takes it, so that no feature
/// that another package turns on hides what it lacks.
fn adopt() -> Result<(), String> {
    let folder = root().join("tests/adoption");
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for adopter in std::fs::read_dir(&folder).map_err(said)? {
        let name = adopter.map_err(said)?.file_name();
        names.push(name.into_string().map_err(|name| format!("{name:?}"))?);
    }
    names.sort();
    for name in names {
        let package = format!("adopt-{name}");
        cargo(
            &["check", "--locked", "--tests", "--package", &package],
            &[],
        )?;
    }
    // Its adapter too, with no more of tokio than it asks for itself.
    let adapter = ["--package", "message-port", "--features", "tokio"];
    cargo(&[&["check", "--locked"], &adapter[..]].concat(), &[])
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
