//! Other engines: programs that run `rival.mjs`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program that is installed.
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    command: &'static [&'static str],
}

/// In the order of the targets.
const KNOWN: &[Rival] = &[
    Rival {
        name: "Node",
        command: &["node"],
    },
    Rival {
        name: "Deno",
        command: &["deno", "run", "--allow-all"],
    },
    Rival {
        name: "Bun",
        command: &["bun"],
    },
];

/// Those that are there, in the order of the targets. Says which are not.
pub(crate) fn installed() -> Vec<&'static Rival> {
    let there = |rival: &&Rival| {
        let version = Command::new(rival.command[0])
            .arg("--version")
            .stderr(Stdio::null())
            .output();
        match version {
            Ok(output) if output.status.success() => {
                let version = String::from_utf8_lossy(&output.stdout).into_owned();
                println!(
                    "{}: {}",
                    rival.name,
                    version.lines().next().unwrap_or_default()
                );
                true
            }
            _ => {
                println!("{}: skipped, not installed", rival.name);
                false
            }
        }
    };
    let there = KNOWN.iter().filter(there).collect();
    println!("Chromium: skipped, this benchmark does not drive browsers");
    there
}

impl Rival {
    /// Runs one measurement in a process of its own, which measures itself.
    pub(crate) fn run(&self, id: &str, count: u32) -> f64 {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/js/rival.mjs");
        let output = Command::new(self.command[0])
            .args(&self.command[1..])
            .arg(script)
            .args([id, &count.to_string()])
            .output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let text = String::from_utf8_lossy(&output.stdout);
        let value = text.trim().parse();
        value.unwrap_or_else(|_| {
            let error = String::from_utf8_lossy(&output.stderr);
            panic!("{} said {text:?} to {id}: {error}", self.name)
        })
    }
}
