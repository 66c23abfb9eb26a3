//! Promises of a realm that were rejected and that nobody has handled. (*HTML*, "unhandled promise
//! rejections".)

use std::collections::VecDeque;

use rquickjs::{Persistent, Value};

type Promise = Persistent<Value<'static>>;
type Reason = Persistent<Value<'static>>;

/// The about-to-be-notified rejected promises list, and those of it that are being reported.
#[derive(Default)]
pub(super) struct Rejections {
    waiting: Vec<(Promise, Reason)>,
    reporting: VecDeque<(Promise, Reason)>,
}

impl Rejections {
    /// *HostPromiseRejectionTracker.* Gives back a promise that is handled and was in neither list:
    /// it may have been reported.
    pub(super) fn track(
        &mut self,
        promise: Promise,
        reason: Reason,
        handled: bool,
    ) -> Option<(Promise, Reason)> {
        if !handled {
            self.waiting.push((promise, reason));
            return None;
        }
        let before = self.waiting.len() + self.reporting.len();
        self.waiting.retain(|(waiting, _)| *waiting != promise);
        self.reporting.retain(|(waiting, _)| *waiting != promise);
        let found = before != self.waiting.len() + self.reporting.len();
        (!found).then_some((promise, reason))
    }

    /// *Notify about rejected promises*, steps 1 to 3: true if there are some to report now.
    pub(super) fn begin(&mut self) -> bool {
        let any = !self.waiting.is_empty();
        self.reporting.extend(self.waiting.drain(..));
        any
    }

    /// The next one to report.
    pub(super) fn next(&mut self) -> Option<(Promise, Reason)> {
        self.reporting.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.reporting.clear();
    }
}
