//! Tokio: its clock, and tasks for the driver.

use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

use sw_types::Timestamp;
use tokio::task::JoinHandle;

use crate::{Clock, Driver};

/// The system's clocks, with tokio's timer. Under `tokio::time::pause` the monotonic clock is
/// tokio's.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

/// Runs a driver as a task of the current runtime, until it is shut down.
pub fn spawn(driver: Driver) -> JoinHandle<()> {
    tokio::spawn(driver)
}

/// Runs a driver as a task of the current `LocalSet`, until it is shut down.
pub fn spawn_local(driver: Driver) -> JoinHandle<()> {
    tokio::task::spawn_local(driver)
}
