//! The star: which crate of the house may use which. A new arrow is the rarest change there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each crate, and the crates of the house that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("sw-types", &[]),
    ("message-port", &["sw-types"]),
    ("stash", &["message-port", "sw-types"]),
    ("sw-registry", &["sw-types"]),
    ("fetch-router", &["sw-types"]),
    ("installer", &["sw-types"]),
    ("connect", &["sw-types"]),
    (
        "service-worker",
        &[
            "connect",
            "fetch-router",
            "installer",
            "message-port",
            "stash",
            "sw-registry",
            "sw-types",
        ],
    ),
    ("mini-browser", &["service-worker"]),
    ("adopt-connect", &["connect", "sw-types"]),
    ("adopt-fetch-router", &["fetch-router", "sw-types"]),
    ("adopt-installer", &["installer", "sw-types"]),
    ("adopt-message-port", &["message-port"]),
    ("adopt-registry", &["sw-registry", "sw-types"]),
    ("adopt-stash", &["stash", "sw-types"]),
    ("saving-throw-tests", &["mini-browser", "service-worker"]),
    ("xtask", &[]),
];

/// What the middle crates may not be built with unless a feature asks for it.
const EDGES: &[&str] = &["tokio", "hyper", "redb", "rquickjs", "rustls"];

/// The crates that stay without any of [`EDGES`], and build with Rust 1.85.
pub(super) const CORES: &[&str] = &[
    "sw-types",
    "message-port",
    "stash",
    "sw-registry",
    "fetch-router",
    "installer",
    "connect",
];

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let packages = packages(root)?;
    Ok(compare(&packages))
}

/// Each package of the workspace with its dependencies, development ones left out: name and
/// whether it is optional.
type Packages = BTreeMap<String, BTreeMap<String, bool>>;

fn compare(packages: &Packages) -> Vec<String> {
    let mut wrong = Vec::new();
    let house: BTreeSet<_> = packages.keys().map(String::as_str).collect();
    for (name, dependencies) in packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
            wrong.push(format!(
                "{name} is not in the table of arrows (xtask/src/tidy/arrows.rs)"
            ));
            continue;
        };
        for (dependency, optional) in dependencies {
            let own = house.contains(dependency.as_str());
            if own && !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{name} → {dependency} is not an arrow of the star"));
            }
            let edge = EDGES.contains(&dependency.as_str()) && !optional;
            if edge && CORES.contains(&name.as_str()) {
                wrong.push(format!("{name} is a core and must not need {dependency}"));
            }
        }
    }
    for (name, _) in ARROWS.iter().filter(|(name, _)| !house.contains(name)) {
        wrong.push(format!(
            "{name} is in the table of arrows and not in the workspace"
        ));
    }
    wrong
}

fn packages(root: &Path) -> Result<Packages, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let packages = metadata["packages"]
        .as_array()
        .ok_or("cargo metadata names no packages")?;
    Ok(packages.iter().filter_map(package).collect())
}

fn package(package: &Value) -> Option<(String, BTreeMap<String, bool>)> {
    let dependencies = package["dependencies"]
        .as_array()?
        .iter()
        .filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| {
            let optional = dependency["optional"].as_bool()?;
            Some((dependency["name"].as_str()?.to_owned(), optional))
        })
        .collect();
    Some((package["name"].as_str()?.to_owned(), dependencies))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn star() -> Packages {
        ARROWS
            .iter()
            .map(|(name, uses)| {
                let uses = uses
                    .iter()
                    .map(|used| ((*used).to_owned(), false))
                    .collect();
                ((*name).to_owned(), uses)
            })
            .collect()
    }

    #[test]
    fn the_star_itself_is_in_order() {
        assert_eq!(compare(&star()), [""; 0]);
    }

    #[test]
    fn a_new_arrow_and_a_core_with_a_runtime_are_found() {
        let mut packages = star();
        let connect = packages.get_mut("connect").unwrap();
        connect.insert("sw-registry".to_owned(), false);
        connect.insert("tokio".to_owned(), false);
        packages
            .get_mut("stash")
            .unwrap()
            .insert("tokio".to_owned(), true);
        assert_eq!(
            compare(&packages),
            [
                "connect → sw-registry is not an arrow of the star",
                "connect is a core and must not need tokio"
            ]
        );
    }
}
