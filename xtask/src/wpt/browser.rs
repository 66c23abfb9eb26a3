//! The mini-browser that loads the pages.

use std::path::{Path, PathBuf};

use crate::run::{cargo, root};

/// The program that was named, or one that is built now.
pub(super) fn program(named: Option<&Path>, optimized: bool) -> Result<PathBuf, String> {
    if let Some(named) = named {
        return std::path::absolute(named)
            .map_err(|error| format!("cannot find {}: {error}", named.display()));
    }
    let mut arguments = vec!["build", "--locked", "--package", "mini-browser"];
    arguments.extend(["--bin", "mini-browser"]);
    let folder = if optimized {
        arguments.push("--release");
        "release"
    } else {
        "debug"
    };
    cargo(&arguments, &[])?;
    let target = std::env::var_os("CARGO_TARGET_DIR");
    // Cargo ran in the workspace's root: a relative folder is below that.
    let target = root().join(target.map_or_else(|| PathBuf::from("target"), PathBuf::from));
    Ok(target.join(folder).join("mini-browser"))
}
