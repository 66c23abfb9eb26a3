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
    /// Wakes and calls. Hold no lock.
    #[inline]
    pub(crate) fn send(self) {
        if let Some(waker) = self.waker {
            waker.wake();
        }
        if let Some((on_ready, label)) = self.on_ready {
            on_ready(label);
        }
    }
}
