//! Runs pages: each in a process of its own with a fresh profile, several at once.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::find::Test;
use super::results::{PageResult, Status};

/// What the harness itself gives a page, and one that says that it is long.
const LIMIT: Duration = Duration::from_secs(10);
const LONG_LIMIT: Duration = Duration::from_secs(60);
/// How much later the browser gives the page up, and how much later still the browser is killed.
const GRACE: Duration = Duration::from_secs(5);

/// The most that is read of a page's results, and of the end of what its browser says.
const MOST_RESULTS: u64 = 64 << 20;
const END_OF_STDERR: usize = 2000;

/// Every host of the tests is this machine; one is there to be missing.
const HOSTS: &[&str] = &[
    "web-platform.test=127.0.0.1",
    "*.web-platform.test=127.0.0.1",
    "not-web-platform.test=127.0.0.1",
    "*.not-web-platform.test=127.0.0.1",
    "nonexistent.web-platform.test=none",
    "nonexistent.not-web-platform.test=none",
];

/// How pages are run.
pub(super) struct Pages {
    /// The mini-browser.
    pub(super) browser: PathBuf,
    /// The certificate authority to trust.
    pub(super) ca: PathBuf,
    /// What every limit is multiplied by.
    pub(super) timeout_multiplier: f64,
    /// Whether each test is said as it ends.
    pub(super) verbose: bool,
}

impl Pages {
    /// The results, in the order of the tests.
    ///
    /// # Errors
    /// If the browser cannot be started at all.
    pub(super) async fn run_all(
        &self,
        tests: &[Test],
        jobs: usize,
    ) -> Result<Vec<PageResult>, String> {
        let mut results = Vec::with_capacity(tests.len());
        let mut running = stream::iter(tests)
            .map(|test| self.run(test))
            .buffered(jobs);
        while let Some(result) = running.next().await {
            let result = result?;
            if self.verbose {
                let (passed, of) = (result.passed(), result.subtests.len());
                eprintln!("{} {} {passed}/{of}", result.status, result.test);
            } else if results.len() % 50 == 49 {
                eprintln!("── {} of {}", results.len() + 1, tests.len());
            }
            results.push(result);
        }
        Ok(results)
    }

    async fn run(&self, test: &Test) -> Result<PageResult, String> {
        let profile = tempfile::tempdir()
            .map_err(|error| format!("cannot make a folder for a profile: {error}"))?;
        let limit = if test.is_long { LONG_LIMIT } else { LIMIT };
        let limit = limit.mul_f64(self.timeout_multiplier) + GRACE;
        let child = self
            .command(test, profile.path(), limit)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.browser.display()))?;
        Ok(result_of(&test.id, child, limit + GRACE).await)
    }

    fn command(&self, test: &Test, profile: &Path, limit: Duration) -> Command {
        let mut command = Command::new(&self.browser);
        command.args(["test", &test.url()]);
        command.arg("--ca").arg(&self.ca);
        command.arg("--profile").arg(profile);
        command.args(["--timeout", &limit.as_secs_f64().to_string()]);
        let multiplier = self.timeout_multiplier.to_string();
        command.args(["--timeout-multiplier", &multiplier]);
        for host in HOSTS {
            command.args(["--map", host]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// A child and all that it started, which lead a process group of their own. They end with it.
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Of a child that was started with `process_group(0)`.
    pub(super) fn new(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.and_then(Pid::from_raw);
        Self { child, leader }
    }

    pub(super) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Kills all that is left of it.
    pub(super) fn kill(&self) {
        if let Some(leader) = self.leader {
            // Refused when nothing is left.
            _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What came out of a browser: its results, or what became of it.
async fn result_of(test: &str, child: Child, limit: Duration) -> PageResult {
    let mut group = Group::new(child);
    let (out, error_out) = (group.child().stdout.take(), group.child().stderr.take());
    let mut said = Vec::new();
    let running = async {
        let (out, (), ended) = tokio::join!(
            all_of(out),
            end_of(error_out, &mut said),
            group.child().wait()
        );
        (out, ended)
    };
    let ended = tokio::time::timeout(limit, running).await;
    group.kill();
    let said = String::from_utf8_lossy(&said).into_owned();
    match ended {
        Ok((out, Ok(status))) => read(test, &out, status, &said),
        Ok((_, Err(error))) => {
            let text = format!("the browser cannot be waited for: {error}");
            PageResult::without_results(test, Status::Crash, text)
        }
        Err(_) => {
            let text = format!("killed after {limit:?}: the browser hung; {said}");
            PageResult::without_results(test, Status::Timeout, text)
        }
    }
}

fn read(test: &str, out: &[u8], status: ExitStatus, said: &str) -> PageResult {
    let crashed = |text: &str| {
        let text = format!("{text} ({status}); {said}");
        PageResult::without_results(test, Status::Crash, text)
    };
    if !status.success() {
        return crashed("the browser ended without results");
    }
    match serde_json::from_slice::<PageResult>(out) {
        Ok(result) => PageResult {
            test: test.to_owned(),
            // What the page said is the best hint where it went wrong.
            stack: result.stack.or((!said.is_empty()).then(|| said.to_owned())),
            ..result
        },
        Err(error) => crashed(&format!("the browser's results cannot be read: {error}")),
    }
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What cannot be read is not there: then the results cannot be read either.
        _ = stream.take(MOST_RESULTS).read_to_end(&mut bytes).await;
    }
    bytes
}

async fn end_of(stream: Option<impl AsyncRead + Unpin>, end: &mut Vec<u8>) {
    let Some(mut stream) = stream else {
        return;
    };
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        end.extend_from_slice(&chunk[..length]);
        let too_much = end.len().saturating_sub(END_OF_STDERR);
        end.drain(..too_much);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of_shell(script: &str, limit: Duration) -> PageResult {
        let child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        result_of("a.html", child, limit).await
    }

    #[tokio::test]
    async fn results_are_read_and_called_by_their_test() {
        let json = r#"{"test":"http://x/a.html","status":"ERROR","message":"m","stack":null,
            "subtests":[{"name":"s","status":"PASS","message":null,"stack":null}]}"#;
        let result = of_shell(&format!("echo '{json}'; echo said >&2"), LIMIT).await;
        assert_eq!(
            (result.test.as_str(), result.status),
            ("a.html", Status::Error)
        );
        assert_eq!(result.passed(), 1);
        assert_eq!(result.stack.as_deref(), Some("said\n"));
    }

    #[tokio::test]
    async fn a_browser_that_dies_is_a_crash_with_what_it_said_last() {
        for script in [
            "yes first | head -c 9000 >&2; echo last >&2; exit 3",
            "echo last >&2; kill -SEGV $$",
            "echo last >&2",
            "echo last >&2; echo '{\"status\":\"FINE\"}'",
        ] {
            let result = of_shell(script, LIMIT).await;
            assert_eq!(result.status, Status::Crash, "{script}");
            let message = result.message.unwrap();
            assert!(
                message.contains("last") && message.len() < 2500,
                "{message}"
            );
        }
    }

    #[tokio::test]
    async fn a_browser_that_hangs_is_killed_with_all_that_it_started() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("sleep 1000 & echo $! > {}; wait", file.path().display());
        let result = of_shell(&script, Duration::from_secs(2)).await;
        assert_eq!(result.status, Status::Timeout);
        assert!(result.message.unwrap().contains("hung"));
        let child: i32 = std::fs::read_to_string(file.path())
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // Whoever inherits it may not have buried it yet.
        let is_gone = || {
            std::fs::read_to_string(format!("/proc/{child}/stat"))
                .map_or(true, |stat| stat.contains(") Z "))
        };
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    }
}
