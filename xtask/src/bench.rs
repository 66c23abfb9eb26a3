//! `cargo xtask bench NAME`: the figures of the targets, each beside its rival in the same run.

use std::path::PathBuf;

use crate::run::cargo;

/// A benchmark: its name here, its package, its target, and the features that it needs.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: &'static str,
    features: &'static str,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "fetch",
        package: "mini-browser",
        target: "fetch",
        features: "",
    },
    Bench {
        name: "js",
        package: "mini-browser",
        target: "js",
        features: "",
    },
    Bench {
        name: "ports",
        package: "message-port",
        target: "ports",
        features: "tokio",
    },
    Bench {
        name: "registry",
        package: "service-worker",
        target: "registry",
        features: "tokio,redb,host-tests",
    },
    Bench {
        name: "stash",
        package: "service-worker",
        target: "stash",
        features: "tokio,redb,host-tests",
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
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == wanted.name) else {
        let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(format!(
            "no benchmark is called {}; there is: {}",
            wanted.name,
            known.join(", ")
        ));
    };
    let mut arguments = vec!["bench", "--locked", "--package", bench.package];
    arguments.extend(["--bench", bench.target, "--features", bench.features, "--"]);
    // Cargo starts a benchmark in the folder of its package.
    let file = match &wanted.json {
        Some(file) => Some(
            std::path::absolute(file)
                .map_err(|error| format!("cannot find {}: {error}", file.display()))?,
        ),
        None => None,
    };
    if let Some(file) = &file {
        let file = file.to_str().ok_or("the file's path is not Unicode")?;
        arguments.extend(["--json", file]);
    }
    arguments.extend(wanted.ids.iter().map(String::as_str));
    cargo(&arguments, &[])
}
