//! Where the consoles of workers and pages go.

use std::fmt;

/// How grave a console message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConsoleLevel {
    /// `console.debug`
    Debug,
    /// `console.log`, `console.info`, `console.table` and their like.
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`, `console.assert`, exceptions and rejections that nobody handled.
    Error,
}

impl ConsoleLevel {
    /// The level of that name; `Info` for an unknown one.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "debug" => Self::Debug,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => Self::Info,
        }
    }
}

impl fmt::Display for ConsoleLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// Takes the messages of consoles. Called on the agents' threads.
pub trait ConsoleSink: Send + Sync {
    /// A message of the worker or page called `from` (its URL).
    fn message(&self, from: &str, level: ConsoleLevel, text: &str);
}

/// A console that goes to `tracing`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to configure")]
pub struct TracingConsole;

impl ConsoleSink for TracingConsole {
    fn message(&self, from: &str, level: ConsoleLevel, text: &str) {
        match level {
            ConsoleLevel::Debug => tracing::debug!(target: "console", from, "{text}"),
            ConsoleLevel::Info => tracing::info!(target: "console", from, "{text}"),
            ConsoleLevel::Warn => tracing::warn!(target: "console", from, "{text}"),
            ConsoleLevel::Error => tracing::error!(target: "console", from, "{text}"),
        }
    }
}
