//! Where the consoles of the scenario's pages and workers go: to the log, and the last error of each
//! script is kept, so that a failure can be explained.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::js::{ConsoleLevel, ConsoleSink, TracingConsole};

/// A console that remembers each script's last error.
#[derive(Debug, Default)]
pub(super) struct ScenarioConsole {
    last_errors: Mutex<BTreeMap<String, String>>,
}

impl ScenarioConsole {
    /// What the script at this URL last complained of, in one line.
    pub(super) fn last_error(&self, script: &str) -> Option<String> {
        let errors = self.last_errors.lock();
        let errors = errors.unwrap_or_else(PoisonError::into_inner);
        errors.get(script).cloned()
    }
}

impl ConsoleSink for ScenarioConsole {
    fn message(&self, from: &str, level: ConsoleLevel, text: &str) {
        TracingConsole.message(from, level, text);
        if level == ConsoleLevel::Error {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let errors = self.last_errors.lock();
            let mut errors = errors.unwrap_or_else(PoisonError::into_inner);
            errors.insert(from.to_owned(), line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_each_script_is_kept_in_one_line() {
        let console = ScenarioConsole::default();
        console.message("a", ConsoleLevel::Error, "first");
        console.message("a", ConsoleLevel::Error, "second,\n  and more");
        console.message("a", ConsoleLevel::Warn, "no error");
        assert_eq!(console.last_error("a").unwrap(), "second, and more");
        assert_eq!(console.last_error("b"), None);
    }
}
