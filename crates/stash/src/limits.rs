//! The limits of a stash. (SEMANTICS §5.7.)

use std::time::Duration;

/// The limits of a [`Stash`](crate::Stash). The defaults are those of SEMANTICS §5.7.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Entries of one registration: 1024.
    pub entries: usize,
    /// Bytes of messages that one registration's entries hold, from their arrival until they are
    /// consumed: 64 MiB. Each message counts [`Limits::MESSAGE_OVERHEAD`] bytes more than its own.
    pub queued_bytes: u64,
    /// How long a worker is left alone after a start that led to nothing: 1 s. Doubles with every
    /// further one.
    pub first_retry: Duration,
    /// The longest that it is left alone: 5 min.
    pub last_retry: Duration,
    /// How long a registration is given messages without a rest that its peers' workers have sent
    /// while neither side had an open client: 1 min. (SEMANTICS §8.7.)
    pub unattended_stretch: Duration,
    /// How many of them it is given in that time: 1000.
    pub unattended_deliveries: u32,
    /// What follows: a rest in which they wait, so that a worker which nothing else keeps can stop.
    /// 1 min, and after each further stretch without a longer one twice as long.
    pub first_rest: Duration,
    /// The longest rest: 1 h.
    pub last_rest: Duration,
}

impl Limits {
    /// What a message counts besides its own bytes, so that empty ones are not free.
    pub const MESSAGE_OVERHEAD: u64 = 64;

    /// How long to leave a worker alone after its `failures`th fruitless start in a row.
    pub(crate) fn retry_after(&self, failures: u32) -> Duration {
        doubled(self.first_retry, failures).min(self.last_retry)
    }

    /// How long the `rests`th rest in a row is.
    pub(crate) fn rest(&self, rests: u32) -> Duration {
        doubled(self.first_rest, rests).min(self.last_rest)
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1)))
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1024,
            queued_bytes: 64 * 1024 * 1024,
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(5 * 60),
            unattended_stretch: Duration::from_secs(60),
            unattended_deliveries: 1000,
            first_rest: Duration::from_secs(60),
            last_rest: Duration::from_secs(60 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_keeps_failing_is_left_alone_for_longer_and_longer() {
        let limits = Limits::default();
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)] {
            assert_eq!(
                limits.retry_after(failures),
                Duration::from_secs(seconds),
                "{failures}"
            );
        }
    }
}
