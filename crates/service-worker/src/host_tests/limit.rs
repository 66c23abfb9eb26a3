//! Ends checks that hang.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Checked;
use crate::Clock;

/// A limit for a check.
pub(super) struct Limit {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Duration,
}

impl Limit {
    pub(super) async fn within(&self, check: impl Future<Output = Checked>) -> Checked {
        let timer = self.clock.sleep_until(self.clock.now() + self.patience);
        match select(std::pin::pin!(check), timer).await {
            Either::Left((checked, _)) => checked,
            Either::Right(((), _)) => Err(format!("it was not over after {:?}", self.patience)),
        }
    }
}

/// How often something is looked at that nobody tells of.
const LOOK: Duration = Duration::from_millis(1);

/// Waits until something holds that nobody tells of.
pub(super) async fn until(clock: &dyn Clock, mut holds: impl FnMut() -> bool) {
    while !holds() {
        a_moment(clock).await;
    }
}

/// Lets everybody else go on.
pub(super) async fn a_moment(clock: &dyn Clock) {
    clock.sleep_until(clock.now() + LOOK).await;
}
