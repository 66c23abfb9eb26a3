//! The installation of the fonts worker in the background: awaited by its reports, never by the
//! clock.

use std::time::Duration;

use futures_util::StreamExt;
use service_worker::types::WorkerState;
use service_worker::{RegistryReport, Report, Reports};

use super::console::ScenarioConsole;
use super::fonts_origin;

/// Why the fonts worker is not there. Each is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The headers named a worker that could not be registered.
    #[error(
        "the fonts worker was not installed: {error}; correct that at the font service, then run again"
    )]
    Refused {
        /// What was wrong with script or scope, and where.
        error: String,
    },
    /// Its install event failed, or it was stopped.
    #[error("the fonts worker was not installed: {reason}; correct its script, then run again")]
    Redundant {
        /// What is known of it.
        reason: String,
    },
    /// Nothing was heard of it.
    #[error("nothing was heard of the fonts worker {script} within {seconds} s; run again with --verbose to see what it waits for",
        script = fonts_origin::SCRIPT)]
    Silent {
        /// How long was waited.
        seconds: u64,
    },
    /// The browser ended.
    #[error(
        "the browser ended before the fonts worker was activated; run again with --verbose to see why"
    )]
    Ended,
}

/// Waits until the fonts worker is activated.
///
/// # Errors
/// If a report says that it will not be; or, as a last resort, if none says anything for longer
/// than each step may take.
pub(super) async fn activated(
    reports: &mut Reports,
    console: &ScenarioConsole,
    patience: Duration,
) -> Result<(), InstallError> {
    let mut watch = Watch::default();
    let ended = async {
        while let Some(report) = reports.next().await {
            if let Some(ended) = watch.see(&report) {
                return ended;
            }
        }
        Err(InstallError::Ended)
    };
    match tokio::time::timeout(patience, ended).await {
        Ok(Err(InstallError::Redundant { reason })) => Err(InstallError::Redundant {
            reason: explained(reason, console),
        }),
        Ok(ended) => ended,
        Err(_) => Err(InstallError::Silent {
            seconds: patience.as_secs(),
        }),
    }
}

/// What has been seen so far of one installation.
#[derive(Debug, Default)]
struct Watch {
    stopped: Option<String>,
}

impl Watch {
    /// Takes one report; says how the installation ended, if that is what it tells.
    fn see(&mut self, report: &Report) -> Option<Result<(), InstallError>> {
        match report {
            Report::WorkerState { scope, state, .. } if scope.as_str() == fonts_origin::SCOPE => {
                match state {
                    WorkerState::Activated => Some(Ok(())),
                    WorkerState::Redundant => {
                        let reason = self.stopped.take().unwrap_or_default();
                        Some(Err(InstallError::Redundant { reason }))
                    }
                    _ => None,
                }
            }
            Report::HeaderInstallFailed { script_url, error }
                if script_url.as_str() == fonts_origin::SCRIPT =>
            {
                Some(Err(InstallError::Refused {
                    error: error.to_string(),
                }))
            }
            Report::Registry(stopped @ RegistryReport::WorkerStopped { script_url, .. })
                if script_url.as_str() == fonts_origin::SCRIPT =>
            {
                self.stopped = Some(stopped.to_string());
                None
            }
            Report::Registry(failed @ RegistryReport::JobFailed { scope, .. })
                if scope.as_str() == fonts_origin::SCOPE =>
            {
                Some(Err(InstallError::Refused {
                    error: failed.to_string(),
                }))
            }
            _ => None,
        }
    }
}

/// What the reports do not say, the console may.
fn explained(reason: String, console: &ScenarioConsole) -> String {
    if !reason.is_empty() {
        return reason;
    }
    match console.last_error(fonts_origin::SCRIPT) {
        Some(said) => format!("its install event failed: {said}"),
        None => format!("the install event of {} failed", fonts_origin::SCRIPT),
    }
}

#[cfg(test)]
mod tests {
    use service_worker::types::{RegistrationId, ScopeUrl, ScriptUrl, WorkerId};
    use service_worker::{JobError, StopReason};

    use super::*;
    use crate::js::{ConsoleLevel, ConsoleSink};

    fn state(scope: &str, state: WorkerState) -> Report {
        Report::WorkerState {
            registration: RegistrationId(1),
            scope: ScopeUrl::parse(scope, None).unwrap(),
            worker: WorkerId(1),
            state,
        }
    }

    fn script() -> ScriptUrl {
        ScriptUrl::parse(fonts_origin::SCRIPT, None).unwrap()
    }

    #[test]
    fn only_the_fonts_worker_ends_the_wait() {
        let mut watch = Watch::default();
        assert!(
            watch
                .see(&state("https://example.com/", WorkerState::Activated))
                .is_none()
        );
        assert!(
            watch
                .see(&state("https://example.com/", WorkerState::Redundant))
                .is_none()
        );
        assert!(
            watch
                .see(&state(fonts_origin::SCOPE, WorkerState::Activating))
                .is_none()
        );
        let ended = watch.see(&state(fonts_origin::SCOPE, WorkerState::Activated));
        assert!(matches!(ended, Some(Ok(()))));
    }

    #[test]
    fn a_refusal_says_what_the_registry_said() {
        let mut watch = Watch::default();
        let refused = Report::HeaderInstallFailed {
            script_url: script(),
            error: JobError::Security("scope / is outside".into()),
        };
        let Some(Err(error)) = watch.see(&refused) else {
            panic!("the wait goes on");
        };
        assert_eq!(
            error.to_string(),
            "the fonts worker was not installed: SecurityError: scope / is outside; \
             correct that at the font service, then run again"
        );
    }

    #[test]
    fn a_worker_that_was_stopped_is_said_to_have_been_stopped() {
        let mut watch = Watch::default();
        let stopped = Report::Registry(RegistryReport::WorkerStopped {
            script_url: script(),
            reason: StopReason::EventTimeout,
        });
        assert!(watch.see(&stopped).is_none());
        let Some(Err(error)) = watch.see(&state(fonts_origin::SCOPE, WorkerState::Redundant))
        else {
            panic!("the wait goes on");
        };
        assert!(
            error.to_string().contains("longer than the event timeout"),
            "{error}"
        );
    }

    #[test]
    fn what_the_reports_do_not_say_the_console_does() {
        let console = ScenarioConsole::default();
        assert!(explained(String::new(), &console).contains(fonts_origin::SCRIPT));
        console.message(fonts_origin::SCRIPT, ConsoleLevel::Error, "no segment: 500");
        assert_eq!(
            explained(String::new(), &console),
            "its install event failed: no segment: 500"
        );
        assert_eq!(explained("stopped".into(), &console), "stopped");
    }
}
