//! The limits of a registry, and the budget of worker starts for others.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sw_types::Site;

/// How long and how often. (SEMANTICS §5.7.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long a worker may handle one event: 5 minutes.
    pub event_timeout: Duration,
    /// How long a script may take to evaluate: 5 minutes.
    pub start_timeout: Duration,
    /// How long a worker runs with nothing to do: 30 seconds.
    pub idle: Duration,
    /// How long a host may take to stop a worker before it is counted as dead: 5 seconds.
    pub stop: Duration,
    /// How long after an update check a registration is stale: 24 hours.
    pub stale_after: Duration,
    /// How many workers may be started within a minute for each top-level site that is not their
    /// own: 120.
    pub starts_for_others: u32,
    /// How many conditions the router rules of one worker may have in all: 1024.
    pub router_conditions: u32,
    /// How many starts in a row may fail before a worker is bypassed: 3.
    pub failed_starts: u32,
    /// For how long it is then bypassed; doubled by each further failure: 10 seconds.
    pub bypass: Duration,
    /// For how long at most: 5 minutes.
    pub longest_bypass: Duration,
    /// How many bytes of installed scripts an origin may keep, over all its partitions: 256 MiB.
    /// The least recently used registrations are evicted to stay within it.
    pub script_bytes_per_origin: u64,
    /// How many registrations an origin may keep, likewise: 16,384.
    pub registrations_per_origin: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_timeout: Duration::from_secs(5 * 60),
            start_timeout: Duration::from_secs(5 * 60),
            idle: Duration::from_secs(30),
            stop: Duration::from_secs(5),
            stale_after: Duration::from_secs(24 * 60 * 60),
            starts_for_others: 120,
            router_conditions: 1024,
            failed_starts: 3,
            bypass: Duration::from_secs(10),
            longest_bypass: Duration::from_secs(5 * 60),
            script_bytes_per_origin: 256 << 20,
            registrations_per_origin: 16_384,
        }
    }
}

impl Limits {
    /// How long a worker is bypassed after so many failed starts in a row; `None` if it is not.
    pub(crate) fn bypass_after(&self, failures: u32) -> Option<Duration> {
        let further = failures.checked_sub(self.failed_starts)?;
        let factor = 2_u32.saturating_pow(further);
        Some(self.bypass.saturating_mul(factor).min(self.longest_bypass))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// The worker starts that each top-level site caused within the last minute.
#[derive(Debug, Default)]
pub(crate) struct StartBudget(BTreeMap<Site, VecDeque<Instant>>);

impl StartBudget {
    /// Pays for one start; `false` if the site has used up its `most`.
    pub(crate) fn pay(&mut self, site: &Site, most: u32, now: Instant) -> bool {
        self.0.retain(|_, starts| {
            starts.retain(|start| now.saturating_duration_since(*start) < MINUTE);
            !starts.is_empty()
        });
        let starts = self.0.entry(site.clone()).or_default();
        let within = u32::try_from(starts.len()).is_ok_and(|count| count < most);
        if within {
            starts.push_back(now);
        }
        within
    }
}
