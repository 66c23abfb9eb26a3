//! `mini-browser test URL`: one page of the web-platform-tests, its results as a line of JSON.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mini_browser::conformance::{TestPage, TestResults, run_test_page};
use mini_browser::js::{ConsoleLevel, ConsoleSink};
use mini_browser::net::{HostMap, NetworkConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::{Failure, seconds};

/// Loads one page of the web-platform-tests and writes its results as a line of JSON. Console
/// messages go to stderr.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// The page, at the tests' own server
    url: Url,

    /// A certificate authority to trust, as PEM; may be given several times
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,

    /// NAME=ADDRESS[:PORT] or NAME=none, where NAME is a host, HOST:PORT, or *.HOST for every name
    /// below; may be given several times. What is not named does not resolve
    #[arg(long, value_name = "RULE")]
    map: Vec<String>,

    /// The browser's profile, in which nothing is stored yet [default: a new folder, removed at
    /// the end]
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,

    /// How long to wait for the page
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    timeout: Duration,

    /// What the page multiplies its own time limits by
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor)]
    timeout_multiplier: f64,
}

/// What is written.
#[derive(serde::Serialize)]
struct Line<'a> {
    test: &'a str,
    #[serde(flatten)]
    results: &'a TestResults,
}

impl TestArgs {
    /// Runs the page. Whatever it finds is a success: the results say it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut network = NetworkConfig::default();
        network.host_map = self
            .map
            .iter()
            .try_fold(HostMap::new(), |map, rule| map.rule(rule))
            .map_err(|error| Failure::usage(error.to_string()))?;
        for file in &self.ca {
            network.extra_ca.push(authority(file)?);
        }
        let temporary = match self.profile {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|error| {
                Failure::profile(format!("cannot make a folder for the profile: {error}"))
            })?),
        };
        let profile = match (self.profile, &temporary) {
            (Some(folder), _) => folder,
            (None, Some(folder)) => folder.path().to_owned(),
            (None, None) => PathBuf::new(),
        };
        let page = TestPage {
            url: self.url.clone(),
            network,
            profile,
            console: Arc::new(StderrConsole),
            timeout: self.timeout,
            timeout_multiplier: self.timeout_multiplier,
        };
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::runtime)?;
        let results = runtime
            .block_on(run_test_page(page))
            .map_err(|error| Failure::profile(error.to_string()))?;
        // What a page left running is of no interest any more.
        runtime.shutdown_background();
        write(self.url.as_str(), &results).map_err(Failure::output)
    }
}

fn write(test: &str, results: &TestResults) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &Line { test, results })?;
    out.write_all(b"\n")?;
    out.flush()
}

fn authority(file: &Path) -> Result<CertificateDer<'static>, Failure> {
    CertificateDer::from_pem_file(file).map_err(|error| {
        Failure::usage(format!(
            "--ca {}: {error}; name a file with a certificate as PEM",
            file.display()
        ))
    })
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text
        .parse()
        .map_err(|_| "give a number, such as 2 or 0.5".to_owned())?;
    if factor.is_finite() && factor > 0.0 {
        Ok(factor)
    } else {
        Err("give a number above zero".to_owned())
    }
}

/// Consoles on stderr, a line a message, so that whoever runs a test sees what led to its results.
struct StderrConsole;

impl ConsoleSink for StderrConsole {
    fn message(&self, from: &str, level: ConsoleLevel, text: &str) {
        // Nobody is left to be told if this fails.
        _ = writeln!(std::io::stderr(), "{level} {from}: {text}");
    }
}
