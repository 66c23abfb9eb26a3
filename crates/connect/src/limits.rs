//! The limits of a connect, and the time classes in which a refusal settles. (SEMANTICS §5.7.)

use std::time::{Duration, Instant};

/// The limits of a [`Connector`](crate::Connector). The defaults are those of SEMANTICS §5.7.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The earliest that a refusal settles, counted from the call: 50 ms. Every further time class
    /// is four times the one before.
    pub floor: Duration,
    /// The longest jitter on top of a time class: 25 ms.
    pub jitter: Duration,
    /// When an undecided connect is refused, and the last time class: 30 s.
    pub deadline: Duration,
    /// Connects from one top-level site to one target origin in any 60 s: 60.
    pub connects_per_minute: usize,
    /// Target origins that one top-level site may connect to in any 60 s; a connect to one more is
    /// refused like one over the rate: 64. It bounds what is remembered of a site.
    pub targets_per_site: usize,
    /// Top-level sites whose connects are remembered; beyond it, the one that has been quiet for
    /// longest is forgotten: 256.
    pub sites: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            floor: Duration::from_millis(50),
            jitter: Duration::from_millis(25),
            deadline: Duration::from_secs(30),
            connects_per_minute: 60,
            targets_per_site: 64,
            sites: 256,
        }
    }
}

impl Limits {
    /// A jitter between zero and [`Limits::jitter`], from 64 random bits.
    #[must_use]
    pub fn jitter_from(&self, random: u64) -> Duration {
        let nanos = self.jitter.as_nanos();
        let share = (nanos.saturating_add(1)).saturating_mul(u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX)).min(self.jitter)
    }

    /// connect, step 6: the time class of a refusal that was decided `decided` after the call: the
    /// first of floor, 4 × floor, 16 × floor, … up to the deadline, that is not before it.
    pub(crate) fn time_class(&self, decided: Duration) -> Duration {
        let mut class = self.floor.min(self.deadline);
        while class < decided {
            class = match class.checked_mul(4) {
                Some(next) if next > class && next < self.deadline => next,
                _ => return self.deadline.max(decided),
            };
        }
        class
    }
}

/// `start + duration`, or a year from `start` where an `Instant` cannot say that.
pub(crate) fn after(start: Instant, duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    start
        .checked_add(duration)
        .or_else(|| start.checked_add(YEAR))
        .unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_time_classes_are_those_of_the_table() {
        let limits = Limits::default();
        for (decided, class) in [
            (0, 50),
            (50, 50),
            (51, 200),
            (200, 200),
            (201, 800),
            (801, 3_200),
            (3_201, 12_800),
            (12_801, 30_000),
            (30_000, 30_000),
        ] {
            assert_eq!(limits.time_class(ms(decided)), ms(class), "{decided} ms");
        }
    }

    #[test]
    fn strange_limits_still_give_a_class_that_is_not_before_the_decision() {
        for (floor, deadline) in [(0, 30_000), (50, 0), (50, 50), (0, 0), (u64::MAX, u64::MAX)] {
            let limits = Limits {
                floor: ms(floor),
                deadline: ms(deadline),
                ..Limits::default()
            };
            for decided in [0, 1, 49, 50, 51, 1_000_000] {
                assert!(limits.time_class(ms(decided)) >= ms(decided).min(ms(deadline)));
            }
        }
        assert!(after(Instant::now(), Duration::MAX) > Instant::now());
    }

    #[test]
    fn jitter_covers_its_range_and_never_leaves_it() {
        let limits = Limits::default();
        assert_eq!(limits.jitter_from(0), Duration::ZERO);
        assert_eq!(limits.jitter_from(u64::MAX), ms(25));
        assert_eq!(
            limits.jitter_from(u64::MAX / 2),
            Duration::from_nanos(12_500_000)
        );
        let endless = Limits {
            jitter: Duration::MAX,
            ..Limits::default()
        };
        assert!(endless.jitter_from(u64::MAX) > Duration::ZERO);
    }
}
