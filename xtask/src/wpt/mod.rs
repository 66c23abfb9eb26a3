//! `cargo xtask wpt --root DIR`: the browsers' own tests, from a checkout that is not part of the
//! project, against what `tests/conformance/wpt.toml` says of them.

mod browser;
mod checkout;
mod expected;
mod find;
mod glob;
mod meta;
mod page;
mod results;
mod server;
mod summary;

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use self::checkout::Checkout;
use self::expected::{Expected, Scope};
use self::find::{Filters, Found};
use self::page::Pages;
use self::results::PageResult;
use self::server::Server;

/// How to come by a checkout.
const HOW_TO_GET_ONE: &str = "\
give a checkout of the web-platform-tests with --root DIR. To get one:
  git clone --depth 1 https://github.com/web-platform-tests/wpt
or unpack testing/web-platform/tests of a Firefox source package; and give that folder. Their server
needs python3 and openssl; nothing of it becomes part of this repository.";

/// Which tests to run, and what becomes of their results.
#[derive(clap::Args)]
pub(crate) struct Wpt {
    /// The checkout: the folder with `wpt` and `resources/testharness.js`, or the one above `tests`.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The beginnings of the paths of the tests to run, or `@FILE` with one a line; the directories
    /// that wpt.toml names if none.
    filters: Vec<String>,
    /// How many pages run at once [default: as many as there are processors].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// What every time limit is multiplied by.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    timeout_multiplier: f64,
    /// Write all results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say the most frequent messages of failures, with counts.
    #[arg(long)]
    causes: bool,
    /// Write wpt.toml anew from these results; reasons are kept, new ones are left to fill in.
    #[arg(long)]
    update: bool,
    /// Say each test as it ends.
    #[arg(long)]
    verbose: bool,
    /// The mini-browser to run, instead of one that is built now.
    #[arg(long, value_name = "FILE")]
    browser: Option<PathBuf>,
    /// Build mini-browser with optimizations.
    #[arg(long, conflicts_with = "browser")]
    release: bool,
    /// The certificate authority of a server that is running already, as PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Wpt {
    pub(crate) fn run(&self) -> Result<(), String> {
        let root = self.root.as_deref().ok_or(HOW_TO_GET_ONE)?;
        let checkout = Checkout::open(root)?;
        let path = crate::run::root().join("tests/conformance/wpt.toml");
        let expected = Expected::read(&path)?;
        let filters = if self.filters.is_empty() {
            Filters::new(&expected.directories)?
        } else {
            Filters::new(&self.filters)?
        };
        let found = find::find(&checkout, &filters)?;
        eprintln!(
            "── {} tests of {}; {} files are no such tests",
            found.tests.len(),
            checkout.version,
            found.skipped.values().sum::<usize>()
        );
        let browser = browser::program(self.browser.as_deref(), self.release)?;
        let results = self.run_pages(&checkout, &found, browser)?;
        if let Some(file) = &self.json {
            results::write_json(file, &results)?;
        }
        summary::print(&found, &results);
        if self.causes {
            summary::print_causes(&results);
        }
        let scope = Scope {
            filters: &filters,
            results: &results,
        };
        if self.update {
            let updated = expected.updated(&scope, &checkout.version);
            let text = updated.to_toml();
            fs::write(&path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            eprintln!("── wrote {}", path.display());
            return updated.check_reasons();
        }
        if expected.version != checkout.version {
            eprintln!(
                "── wpt.toml was written for {}, this is {}",
                expected.version, checkout.version
            );
        }
        let mut wrong = expected.compare(&scope);
        wrong.extend(expected.check_reasons().err());
        summary::verdict(&wrong)
    }

    fn run_pages(
        &self,
        checkout: &Checkout,
        found: &Found,
        browser: PathBuf,
    ) -> Result<Vec<PageResult>, String> {
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| format!("no threads to run on: {error}"))?;
        runtime.block_on(async {
            // Dropped, whatever happens: the server and the pages end with it.
            let running = async {
                let server = Server::start(checkout, self.ca.as_deref()).await?;
                let pages = Pages {
                    browser,
                    ca: server.ca().to_owned(),
                    timeout_multiplier: self.timeout_multiplier,
                    verbose: self.verbose,
                };
                let jobs = self.jobs.map_or_else(available_parallelism, Ok);
                // If it is not known, one page at a time is always possible.
                let jobs = jobs.map_or(1, NonZeroUsize::get);
                let results = pages.run_all(&found.tests, jobs).await;
                server.stop();
                results
            };
            tokio::select! {
                results = running => results,
                signal = interrupted() => Err(signal),
            }
        })
    }
}

/// Waits until somebody wants the run to end, and says who.
async fn interrupted() -> String {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminated), Ok(mut hung_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return "cannot listen to signals".to_owned();
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "interrupted".to_owned(),
        _ = terminated.recv() => "terminated".to_owned(),
        _ = hung_up.recv() => "the terminal is gone".to_owned(),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (0.01..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("give a number from 0.01 to 1000".to_owned()),
    }
}
