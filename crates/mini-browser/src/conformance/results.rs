//! Results, as `testharness.js` names them, and how a page hands them over.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;

use futures_channel::mpsc::UnboundedSender;
use serde::{Deserialize, Serialize};

use crate::js::Death;

/// What a test page found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestResults {
    /// How the page as a whole ended.
    pub status: HarnessStatus,
    /// Why, for people.
    #[serde(default)]
    pub message: Option<String>,
    /// Where the script was that ended it.
    #[serde(default)]
    pub stack: Option<String>,
    /// Its tests in their order.
    pub subtests: Vec<Subtest>,
}

/// What one test of a page found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subtest {
    /// What it is called; unique in its page.
    pub name: String,
    /// How it ended.
    pub status: SubtestStatus,
    /// Why, for people.
    #[serde(default)]
    pub message: Option<String>,
    /// Where it failed.
    #[serde(default)]
    pub stack: Option<String>,
}

/// How a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", try_from = "Status<Self>")]
#[expect(clippy::exhaustive_enums, reason = "there is no other end")]
pub enum HarnessStatus {
    /// All its tests ended.
    Ok,
    /// Something outside of its tests went wrong.
    Error,
    /// It took too long.
    Timeout,
    /// It asks for a feature that may be missing.
    PreconditionFailed,
    /// The browser did not survive it; no page says this of itself.
    Crash,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", try_from = "Status<Self>")]
#[expect(clippy::exhaustive_enums, reason = "testharness.js has no other")]
pub enum SubtestStatus {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It took too long.
    Timeout,
    /// The page ended before it.
    Notrun,
    /// It asks for a feature that may be missing.
    PreconditionFailed,
}

/// A status as `testharness.js` counts them.
#[derive(Deserialize)]
#[serde(transparent)]
struct Status<T> {
    number: usize,
    #[serde(skip)]
    of: std::marker::PhantomData<T>,
}

impl TryFrom<Status<Self>> for HarnessStatus {
    type Error = String;

    fn try_from(status: Status<Self>) -> Result<Self, String> {
        let known = [
            Self::Ok,
            Self::Error,
            Self::Timeout,
            Self::PreconditionFailed,
        ];
        named(&known, status.number)
    }
}

impl TryFrom<Status<Self>> for SubtestStatus {
    type Error = String;

    fn try_from(status: Status<Self>) -> Result<Self, String> {
        let known = [
            Self::Pass,
            Self::Fail,
            Self::Timeout,
            Self::Notrun,
            Self::PreconditionFailed,
        ];
        named(&known, status.number)
    }
}

fn named<T: Copy>(known: &[T], number: usize) -> Result<T, String> {
    let status = known.get(number).copied();
    status.ok_or_else(|| format!("testharness.js has no status {number}"))
}

impl TestResults {
    /// A page that ended without its own results.
    pub(super) const fn failed(status: HarnessStatus, message: String) -> Self {
        Self {
            status,
            message: Some(message),
            stack: None,
            subtests: Vec::new(),
        }
    }
}

/// What a page says.
#[derive(Debug)]
pub(crate) enum Reported {
    Subtest(Subtest),
    Complete(TestResults),
}

/// Takes what the page under test says. Realms have it as a service, in a test only.
#[derive(Debug)]
pub(crate) struct Reporter {
    sender: Mutex<UnboundedSender<Reported>>,
    /// The thread of the agent of the page: the first that asked.
    agent: OnceLock<ThreadId>,
}

impl Reporter {
    pub(super) const fn new(sender: UnboundedSender<Reported>) -> Self {
        Self {
            sender: Mutex::new(sender),
            agent: OnceLock::new(),
        }
    }

    /// Whether the agent that calls is that of the page under test, and not of one that it opened
    /// without being its opener.
    pub(crate) fn is_of_this_agent(&self) -> bool {
        let this = std::thread::current().id();
        *self.agent.get_or_init(|| this) == this
    }

    /// Takes a report: of a subtest, or that all is complete. One that cannot be read is the end,
    /// since what it said is lost.
    pub(crate) fn report(&self, kind: &str, json: &str) {
        let unreadable = |error| {
            let text = format!("a report cannot be read: {error}: {json}");
            Reported::Complete(TestResults::failed(HarnessStatus::Error, text))
        };
        let reported = match kind {
            "subtest" => serde_json::from_str(json).map(Reported::Subtest),
            _ => serde_json::from_str(json).map(Reported::Complete),
        };
        self.send(reported.unwrap_or_else(unreadable));
    }

    /// The page is gone, and says nothing more.
    pub(crate) fn ended(&self, death: &Death) {
        let status = match death {
            Death::Panicked(_) => HarnessStatus::Crash,
            _ => HarnessStatus::Error,
        };
        let text = format!("the page ended: {death}");
        self.send(Reported::Complete(TestResults::failed(status, text)));
    }

    fn send(&self, reported: Reported) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more once the tests are complete or took too long.
        drop(sender.unbounded_send(reported));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_channel::mpsc;

    fn reported(kind: &str, json: &str) -> Reported {
        let (sender, mut receiver) = mpsc::unbounded();
        Reporter::new(sender).report(kind, json);
        receiver.try_recv().unwrap()
    }

    #[test]
    fn results_are_named_as_the_harness_names_them() {
        let json = r#"{"status": 2, "message": "slow", "stack": null, "subtests": [
            {"name": "a", "status": 0, "message": null, "stack": null},
            {"name": "b", "status": 3},
            {"name": "c", "status": 4, "message": "no such feature"}]}"#;
        let Reported::Complete(results) = reported("complete", json) else {
            panic!("not complete");
        };
        let json = serde_json::to_value(&results).unwrap();
        assert_eq!(json["status"], "TIMEOUT");
        let statuses: Vec<_> = results.subtests.iter().map(|test| test.status).collect();
        assert_eq!(
            serde_json::to_value(statuses).unwrap(),
            serde_json::json!(["PASS", "NOTRUN", "PRECONDITION_FAILED"])
        );
    }

    #[test]
    fn a_panic_of_the_page_s_agent_is_a_crash_and_another_end_an_error() {
        for (death, status) in [
            (Death::Panicked("why".into()), "CRASH"),
            (Death::OutOfMemory { limit: 1 << 20 }, "ERROR"),
        ] {
            let (sender, mut receiver) = mpsc::unbounded();
            Reporter::new(sender).ended(&death);
            let Reported::Complete(results) = receiver.try_recv().unwrap() else {
                panic!("not complete");
            };
            assert_eq!(serde_json::to_value(results.status).unwrap(), status);
            assert!(results.message.unwrap().contains(&death.to_string()));
        }
    }

    #[test]
    fn a_report_that_cannot_be_read_is_an_error_that_quotes_it() {
        for (kind, json) in [
            ("complete", "{"),
            ("complete", r#"{"status": 9, "subtests": []}"#),
            ("complete", r#"{"status": "OK", "subtests": []}"#),
            ("subtest", r#"{"name": 1, "status": 0}"#),
            ("subtest", r#"{"name": "a", "status": -1}"#),
        ] {
            let Reported::Complete(results) = reported(kind, json) else {
                panic!("{json} was read");
            };
            assert_eq!(results.status, HarnessStatus::Error);
            assert!(results.message.unwrap().contains(json));
        }
    }
}
