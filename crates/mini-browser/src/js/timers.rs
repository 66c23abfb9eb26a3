//! The timers of a realm: which fires next. Their callbacks are kept by the prelude.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Timers by deadline, and by order of creation within one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), u32>,
    by_id: BTreeMap<u32, (Instant, u64)>,
    created: u64,
}

impl Timers {
    /// Starts timer `id`, which fires after `delay`.
    pub(super) fn start(&mut self, id: u32, delay: Duration, now: Instant) {
        self.clear(id);
        self.created += 1;
        let key = (now + delay, self.created);
        self.due.insert(key, id);
        self.by_id.insert(id, key);
    }

    /// Stops timer `id`, if it runs.
    pub(super) fn clear(&mut self, id: u32) {
        if let Some(key) = self.by_id.remove(&id) {
            self.due.remove(&key);
        }
    }

    /// When the next one fires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Takes the next one that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u32> {
        let first = self
            .due
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let id = first.remove();
        self.by_id.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_by_deadline_and_then_in_order_of_creation() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.start(1, Duration::from_millis(20), now);
        timers.start(2, Duration::from_millis(10), now);
        timers.start(3, Duration::from_millis(10), now);
        timers.start(4, Duration::from_millis(10), now);
        timers.clear(3);
        assert_eq!(timers.take_due(now), None);
        let later = now + Duration::from_millis(20);
        let order: Vec<_> = std::iter::from_fn(|| timers.take_due(later)).collect();
        assert_eq!(order, [2, 4, 1]);
        assert_eq!(timers.deadline(), None);
    }
}
