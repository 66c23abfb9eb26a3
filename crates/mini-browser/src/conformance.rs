//! One page of the web-platform-tests: it is loaded in a browser of its own, and what its
//! `testharness.js` found is what comes out.
//!
//! Two files of those tests are made to be replaced by whoever runs them: `testharnessreport.js`,
//! through which results leave a page, and `testdriver-vendor.js`, through which a page asks for
//! what only the user of a browser can do. Here are both, and the native function behind them,
//! which no other page has.

mod results;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::StreamExt;
use service_worker::Policies;
use url::Url;

use crate::js::ConsoleSink;
use crate::net::NetworkConfig;
use crate::{Browser, BrowserError, BrowserOptions};

pub use results::{HarnessStatus, Subtest, SubtestStatus, TestResults};
pub(crate) use results::{Reported, Reporter};

/// How long the browser may take to close; the results are known by then.
const CLOSING: Duration = Duration::from_secs(2);

/// A page to test, and with what.
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever tests a page decides all of it"
)]
pub struct TestPage {
    /// The page.
    pub url: Url,
    /// How the tests' server is reached. (Bodies are replaced here, whatever it says of them.)
    pub network: NetworkConfig,
    /// The folder of a profile that nothing was stored in yet.
    pub profile: PathBuf,
    /// Where the consoles of its pages and workers go.
    pub console: Arc<dyn ConsoleSink>,
    /// When nobody waits for it any longer.
    pub timeout: Duration,
    /// What `testharness.js` multiplies its own time limits by.
    pub timeout_multiplier: f64,
}

/// Loads the page, waits until its tests are complete, and gives their results. Must be called
/// within a tokio runtime of several threads.
///
/// A page that is not there, and one that does not come to an end, have results too: a harness
/// status that says so, and the subtests that ended before.
///
/// # Errors
/// If the browser does not open.
pub async fn run_test_page(page: TestPage) -> Result<TestResults, BrowserError> {
    let TestPage {
        url,
        mut network,
        profile,
        console,
        timeout,
        timeout_multiplier,
    } = page;
    network.replaced_bodies = replaced_bodies(timeout_multiplier);
    let (sender, mut reported) = mpsc::unbounded();
    let options = BrowserOptions {
        profile,
        network,
        policies: Policies::shipping(),
        console,
    };
    let opened = Browser::open_reporting(options, Some(Arc::new(Reporter::new(sender))))?;
    let mut subtests = Vec::new();
    let tested = async {
        // The page lives as long as this future.
        let navigated = opened.browser.navigate(&url).await;
        match navigated {
            Ok(_page) => std::future::pending().await,
            Err(error) => TestResults::failed(HarnessStatus::Error, error.to_string()),
        }
    };
    let completed = async {
        while let Some(reported) = reported.next().await {
            match reported {
                Reported::Subtest(subtest) => subtests.push(subtest),
                Reported::Complete(results) => return results,
            }
        }
        let text = "the page ended before its tests were complete";
        TestResults::failed(HarnessStatus::Error, text.into())
    };
    let first = async {
        tokio::select! {
            biased;
            results = completed => results,
            results = tested => results,
        }
    };
    let mut results = tokio::time::timeout(timeout, first)
        .await
        .unwrap_or_else(|_| {
            let text = format!("its tests were not complete after {timeout:?}");
            TestResults::failed(HarnessStatus::Timeout, text)
        });
    if results.subtests.is_empty() {
        results.subtests = subtests;
    }
    if tokio::time::timeout(CLOSING, opened.browser.close())
        .await
        .is_err()
    {
        tracing::warn!("the browser did not close within {CLOSING:?}");
    }
    Ok(results)
}

/// The files that are made to be replaced, by their paths.
fn replaced_bodies(timeout_multiplier: f64) -> BTreeMap<String, Bytes> {
    let report = include_str!("conformance/report.js");
    let report = report.replace("TIMEOUT_MULTIPLIER", &timeout_multiplier.to_string());
    let driver = include_str!("conformance/test_driver.js");
    BTreeMap::from([
        ("/resources/testharnessreport.js".into(), report.into()),
        ("/resources/testdriver-vendor.js".into(), driver.into()),
    ])
}
