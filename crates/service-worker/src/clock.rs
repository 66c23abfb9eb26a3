//! Time, as a host gives it.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use sw_types::Timestamp;

/// Both clocks, and a timer. A test injects its own.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time.
    fn now(&self) -> Instant;

    /// Wall-clock time.
    fn wall(&self) -> Timestamp;

    /// Ends at `deadline`, or soon after it.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
