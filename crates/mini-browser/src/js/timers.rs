//! The timers of an agent: which fires next. Their callbacks are kept by the prelude of their realm.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::task::RealmId;

type Key = (RealmId, u32);

/// Timers by deadline, and by order of creation within one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), Key>,
    by_id: BTreeMap<Key, (Instant, u64)>,
    created: u64,
}

impl Timers {
    /// Starts timer `id` of a realm, which fires after `delay`.
    pub(super) fn start(&mut self, realm: RealmId, id: u32, delay: Duration, now: Instant) {
        self.clear(realm, id);
        self.created += 1;
        let due = (now + delay, self.created);
        self.due.insert(due, (realm, id));
        self.by_id.insert((realm, id), due);
    }

    /// Stops timer `id`, if it runs.
    pub(super) fn clear(&mut self, realm: RealmId, id: u32) {
        if let Some(due) = self.by_id.remove(&(realm, id)) {
            self.due.remove(&due);
        }
    }

    /// Stops all timers of a realm that is gone.
    pub(super) fn clear_realm(&mut self, realm: RealmId) {
        let of_realm = self.by_id.range((realm, 0)..=(realm, u32::MAX));
        let ids: Vec<u32> = of_realm.map(|((_, id), _)| *id).collect();
        for id in ids {
            self.clear(realm, id);
        }
    }

    /// When the next one fires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Takes the next one that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(RealmId, u32)> {
        let first = self
            .due
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let key = first.remove();
        self.by_id.remove(&key);
        Some(key)
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_by_deadline_and_then_in_order_of_creation() {
        let now = Instant::now();
        let [a, b] = [RealmId(1), RealmId(2)];
        let mut timers = Timers::default();
        timers.start(a, 1, Duration::from_millis(20), now);
        timers.start(a, 2, Duration::from_millis(10), now);
        timers.start(b, 2, Duration::from_millis(10), now);
        timers.start(a, 3, Duration::from_millis(10), now);
        timers.start(a, 4, Duration::from_millis(10), now);
        timers.clear(a, 3);
        assert_eq!(timers.take_due(now), None);
        let later = now + Duration::from_millis(20);
        let order: Vec<_> = std::iter::from_fn(|| timers.take_due(later)).collect();
        assert_eq!(order, [(a, 2), (b, 2), (a, 4), (a, 1)]);
        assert_eq!(timers.deadline(), None);
    }

    #[test]
    fn the_timers_of_a_realm_go_with_it() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for realm in [RealmId(1), RealmId(2)] {
            timers.start(realm, 0, Duration::ZERO, now);
            timers.start(realm, u32::MAX, Duration::ZERO, now);
        }
        timers.clear_realm(RealmId(1));
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.take_due(now), Some((RealmId(2), 0)));
    }
}
