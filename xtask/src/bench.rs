//! `cargo xtask bench NAME`: the figures of the targets, each beside its rival in the same run.

use std::path::PathBuf;

use crate::run::cargo;

/// A benchmark: its name here, its package, its target, the features that it needs, and the beginnings
/// of the ids of its rows.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: &'static str,
    features: &'static str,
    ids: &'static [&'static str],
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "fetch",
        package: "mini-browser",
        target: "fetch",
        features: "",
        ids: &["F"],
    },
    Bench {
        name: "js",
        package: "mini-browser",
        target: "js",
        features: "",
        ids: &["J"],
    },
    Bench {
        name: "ports",
        package: "message-port",
        target: "ports",
        features: "tokio",
        ids: &["P", "X"],
    },
    Bench {
        name: "registry",
        package: "service-worker",
        target: "registry",
        features: "tokio,redb,host-tests",
        ids: &["R"],
    },
    Bench {
        name: "stash",
        package: "service-worker",
        target: "stash",
        features: "tokio,redb,host-tests",
        ids: &["T1", "T2", "T4"],
    },
    // Its worker is a script.
    Bench {
        name: "stash",
        package: "mini-browser",
        target: "fetch",
        features: "",
        ids: &["T3"],
    },
];

/// What of a benchmark to run, and where its rows go.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// Which benchmark: fetch, js, ports, registry or stash.
    name: String,
    /// The beginnings of the ids of the rows to measure; all rows if none.
    ids: Vec<String>,
    /// Also write the rows to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn bench(wanted: &Wanted) -> Result<(), String> {
    let named: Vec<_> = BENCHES
        .iter()
        .filter(|bench| bench.name == wanted.name)
        .collect();
    if named.is_empty() {
        let mut known: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        known.dedup();
        return Err(format!(
            "no benchmark is called {}; there is: {}",
            wanted.name,
            known.join(", ")
        ));
    }
    let mut rows = Vec::new();
    for bench in named {
        let ids = bench.of(&wanted.ids);
        if !ids.is_empty() {
            rows.extend(run(bench, &ids)?);
        }
    }
    match &wanted.json {
        Some(file) => {
            let said = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let text = serde_json::to_string_pretty(&rows).map_err(|error| said(&error))?;
            std::fs::write(file, text).map_err(|error| said(&error))
        }
        None => Ok(()),
    }
}

impl Bench {
    /// Its share of the beginnings that are wanted; all of its rows if none are.
    fn of<'a>(&self, wanted: &'a [String]) -> Vec<&'a str> {
        if wanted.is_empty() {
            return self.ids.to_vec();
        }
        let is_own = |id: &&str| {
            let mut own = self.ids.iter();
            own.any(|own| id.starts_with(own) || own.starts_with(id))
        };
        wanted.iter().map(String::as_str).filter(is_own).collect()
    }
}

/// Runs a benchmark, and reads the rows that it measured.
fn run(bench: &Bench, ids: &[&str]) -> Result<Vec<serde_json::Value>, String> {
    let file = std::env::temp_dir().join(format!("saving-throw-bench-{}", std::process::id()));
    let path = file.to_str().ok_or("the temporary folder is not Unicode")?;
    let mut arguments = vec!["bench", "--locked", "--package", bench.package];
    arguments.extend(["--bench", bench.target, "--features", bench.features, "--"]);
    arguments.extend(["--json", path]);
    arguments.extend(ids);
    let ran = cargo(&arguments, &[]);
    let text = std::fs::read(&file);
    // It may not have been written.
    let _gone = std::fs::remove_file(&file);
    ran?;
    let said = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let text = text.map_err(|error| said(&error))?;
    serde_json::from_slice(&text).map_err(|error| said(&error))
}
