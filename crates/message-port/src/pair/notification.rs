//! `Notification`: whom to tell, once no lock is held.

use std::task::Waker;

/// Called when an event may be delivered, with the number that the listener gave; see
/// `MessagePort::on_ready`. A thin pointer, since every end has room for one and few have one; with
/// a number, so that one callback serves any number of ends.
pub(crate) type ReadyCallback = std::sync::Arc<Box<dyn Fn(u64) + Send + Sync>>;

/// Whom to tell that an event can be delivered, once no lock is held.
#[derive(Default)]
#[must_use = "an unsent notification is a lost wake-up"]
pub(crate) struct Notification {
    pub(super) waker: Option<Waker>,
    pub(super) on_ready: Option<(ReadyCallback, u64)>,
}

impl Notification {
    /// Wakes and calls, the one also if the other panics. Hold no lock.
    #[inline]
    pub(crate) fn send(self) {
        let call = |(on_ready, label): (ReadyCallback, u64)| Finally::new(move || on_ready(label));
        let _called = self.on_ready.map(call);
        if let Some(waker) = self.waker {
            waker.wake();
        }
    }

    /// Sends both, the second also if the first panics. Hold no lock.
    pub(crate) fn send_both([first, second]: [Self; 2]) {
        let _sent = Finally::new(|| second.send());
        first.send();
    }
}

/// Does something at the end of its scope, also if that is left by a panic.
struct Finally<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Finally<F> {
    const fn new(action: F) -> Self {
        Self(Some(action))
    }
}

impl<F: FnOnce()> Drop for Finally<F> {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}
