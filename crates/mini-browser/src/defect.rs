//! What becomes of a panic: one line, as of every other failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::Failure;

/// Runs the program. Panics go to the log: libraries panic on damaged input, and whoever calls them
/// catches that. One that nobody catches ends the program in one line.
pub(crate) fn caught(program: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let last = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&last);
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or("it did not say why");
        let place = panic
            .location()
            .map_or_else(String::new, |location| format!(" ({location})"));
        tracing::error!("panicked: {said}{place}");
        let mut last = seen.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(format!("{said}{place}"));
    }));
    catch_unwind(AssertUnwindSafe(program)).unwrap_or_else(|_| {
        let said = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(Failure::defect(format!(
            "a defect of this program: {}; please report it",
            said.unwrap_or_default()
        )))
    })
}
