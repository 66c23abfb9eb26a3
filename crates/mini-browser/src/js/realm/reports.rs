//! What a realm says of exceptions and rejections that no script handled.

use std::cell::RefCell;
use std::collections::BTreeSet;

use rquickjs::{Ctx, Persistent, Value};

use super::{Realm, RealmState};
use crate::js::console::ConsoleLevel;
use crate::js::dedicated::ParentLink;
use crate::js::error::Exception;
use crate::js::task::TaskSource;

/// The URLs of scripts with muted errors: what their functions throw later is hidden too.
#[derive(Default)]
struct MutedScripts(RefCell<BTreeSet<String>>);

impl RealmState {
    /// A classic script of that URL runs; its errors are muted or not.
    pub(in crate::js) fn set_muted(&self, url: &str, is_muted: bool) {
        let scripts = self.local::<MutedScripts>();
        if is_muted {
            scripts.0.borrow_mut().insert(url.to_owned());
        } else {
            scripts.0.borrow_mut().remove(url);
        }
    }

    /// *Report an exception*, of a script with muted errors: the pending one is shown to nobody but
    /// the console.
    pub(in crate::js) fn report_muted(&self, ctx: &Ctx<'_>) {
        let thrown = ctx.catch();
        let url = self.url().clone();
        self.report_hidden(ctx, &Exception::of(&thrown, url.as_str()));
    }

    fn report_hidden(&self, ctx: &Ctx<'_>, exception: &Exception) {
        let args = (Value::new_null(ctx.clone()), "Script error.", "", 0, 0);
        self.call(ctx, "exception", args);
        self.log(ConsoleLevel::Error, &format!("Uncaught {exception}"));
    }

    /// Reports the pending exception. (*HTML*, "report an exception".)
    pub(in crate::js) fn report(&self, ctx: &Ctx<'_>) {
        let thrown = ctx.catch();
        if self.is_killed() {
            return;
        }
        let url = self.url().clone();
        let exception = Exception::of(&thrown, url.as_str());
        let is_muted = self.local::<MutedScripts>();
        let is_muted = is_muted.0.borrow().contains(&exception.file);
        if is_muted {
            self.report_hidden(ctx, &exception);
            return;
        }
        let handled = if self.reporting.replace(true) {
            None
        } else {
            let Exception {
                text,
                file,
                line,
                column,
            } = exception.clone();
            let args = (thrown, text, file, line, column);
            let called = self.try_call(ctx, "exception", args);
            self.reporting.set(false);
            called.map(|called| called.map(|handled| handled.as_bool().unwrap_or(false)))
        };
        match handled {
            Some(Ok(true)) => return,
            Some(Err(_)) => drop(ctx.catch()),
            Some(Ok(false)) | None => {}
        }
        self.log(ConsoleLevel::Error, &format!("Uncaught {exception}"));
        // Step 7 of "report an exception": a dedicated worker's goes to its Worker object.
        if let Some(parent) = self.service::<ParentLink>() {
            parent.error(exception);
        }
    }

    pub(in crate::js) fn track<'js>(
        &self,
        ctx: &Ctx<'js>,
        promise: Value<'js>,
        reason: Value<'js>,
        handled: bool,
    ) {
        if self.has_ended() {
            return;
        }
        self.event_loop.expect_rejections();
        let promise = Persistent::save(ctx, promise);
        let reason = Persistent::save(ctx, reason);
        let known = self.rejections.borrow_mut().track(promise, reason, handled);
        if let Some((promise, reason)) = known {
            // HostPromiseRejectionTracker, step 7: it was reported, and is handled now.
            self.queue(TaskSource::Dom, move |realm| {
                realm.with(|ctx| {
                    realm
                        .state()
                        .call(ctx, "rejectionHandled", (promise, reason))
                        .is_some()
                });
            });
        }
    }

    /// The rejections up to now were taken care of.
    pub(in crate::js) fn forget_rejections(&self) {
        self.rejections.borrow_mut().clear();
    }
}

impl Realm {
    /// *Notify about rejected promises.*
    pub(in crate::js) fn notify_about_rejections(&self) {
        if !self.state.rejections.borrow_mut().begin() {
            return;
        }
        // Before other tasks, which the specification leaves open.
        self.state
            .event_loop
            .queue_first(self.id(), TaskSource::Dom, |realm| {
                realm.with(|ctx| realm.report_rejections(ctx));
            });
    }

    fn report_rejections(&self, ctx: &Ctx<'_>) {
        loop {
            let next = self.state.rejections.borrow_mut().next();
            let Some((promise, reason)) = next else {
                return;
            };
            let (Ok(promise), Ok(reason)) = (promise.restore(ctx), reason.restore(ctx)) else {
                continue;
            };
            let exception = Exception::of(&reason, self.state.url().clone().as_str());
            let handled = self.state.call(ctx, "rejection", (promise, reason));
            let handled = handled.and_then(|handled| handled.as_bool());
            if !handled.unwrap_or(false) && !self.state.is_killed() {
                tracing::debug!(%exception, "a promise was rejected and nobody handled it");
                let text = format!("Uncaught (in promise) {exception}");
                self.state.log(ConsoleLevel::Error, &text);
            }
            // Each event is a callback of its own.
            self.state.run_microtasks(ctx);
        }
    }
}
