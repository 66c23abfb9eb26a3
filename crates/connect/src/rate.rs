//! How often one site may connect to one origin. (SEMANTICS §5.1 step 4, §5.7.)

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sw_types::{EphemeralId, Origin, Site};

use crate::Limits;

const WINDOW: Duration = Duration::from_secs(60);

/// Who is counted: a top-level site. Private sessions count apart, so that none learns what another
/// session did.
pub(crate) type RateKey = (Site, Option<EphemeralId>);

/// The connects of the last minute, by (top-level site, target origin).
///
/// A sliding window: in no 60 seconds does a pair get more than its limit. What it remembers is
/// bounded: [`Limits::sites`] × [`Limits::targets_per_site`] × [`Limits::connects_per_minute`]
/// times of 16 bytes. A site that goes over its own share is refused; the table being full never
/// refuses anybody, it forgets the site that has been quiet for longest.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    sites: BTreeMap<RateKey, Asked>,
}

#[derive(Debug)]
struct Asked {
    last: Instant,
    targets: BTreeMap<Origin, VecDeque<Instant>>,
}

impl RateLimit {
    /// Counts a connect; `false` if it is one too many, and then it is not counted.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        site: RateKey,
        target: &Origin,
        limits: &Limits,
    ) -> bool {
        if !self.sites.contains_key(&site) {
            self.make_room(now, limits);
        }
        let asked = self.sites.entry(site).or_insert_with(|| Asked {
            last: now,
            targets: BTreeMap::new(),
        });
        asked.last = asked.last.max(now);
        asked
            .targets
            .retain(|_, times| times.back().is_some_and(|last| in_window(now, *last)));
        if asked.targets.len() >= limits.targets_per_site && !asked.targets.contains_key(target) {
            return false;
        }
        let times = asked.targets.entry(target.clone()).or_default();
        while times.front().is_some_and(|first| !in_window(now, *first)) {
            times.pop_front();
        }
        if times.len() >= limits.connects_per_minute {
            return false;
        }
        times.push_back(now);
        true
    }

    fn make_room(&mut self, now: Instant, limits: &Limits) {
        if self.sites.len() < limits.sites {
            return;
        }
        self.sites.retain(|_, asked| in_window(now, asked.last));
        while self.sites.len() >= limits.sites.max(1) {
            let quietest = self.sites.iter().min_by_key(|(_, asked)| asked.last);
            let Some((site, _)) = quietest else { return };
            let site = site.clone();
            self.sites.remove(&site);
        }
    }
}

fn in_window(now: Instant, then: Instant) -> bool {
    now.saturating_duration_since(then) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str) -> Origin {
        Origin::of(&url::Url::parse(&format!("https://{name}/")).unwrap())
    }

    fn site(name: &str) -> RateKey {
        (Site::of(&origin(name)), None)
    }

    #[test]
    fn no_minute_holds_more_connects_of_a_pair_than_its_limit() {
        let limits = Limits {
            connects_per_minute: 3,
            ..Limits::default()
        };
        let start = Instant::now();
        let mut rate = RateLimit::default();
        let mut ask = |seconds, by: &str, to: &str| {
            let now = start + Duration::from_secs(seconds);
            rate.admit(now, site(by), &origin(to), &limits)
        };
        assert!(ask(0, "a.test", "s.test"));
        assert!(ask(58, "a.test", "s.test"));
        assert!(ask(59, "a.test", "s.test"));
        assert!(!ask(59, "a.test", "s.test"), "one too many");
        assert!(!ask(59, "sub.a.test", "s.test"), "the same site");
        assert!(ask(59, "a.test", "t.test"), "another target");
        assert!(ask(59, "b.test", "s.test"), "another site");
        assert!(ask(60, "a.test", "s.test"), "the first one is a minute old");
        assert!(
            !ask(117, "a.test", "s.test"),
            "refusals did not count, three others did"
        );
        assert!(ask(118, "a.test", "s.test"));
    }

    #[test]
    fn a_private_session_is_counted_apart() {
        let limits = Limits {
            connects_per_minute: 1,
            ..Limits::default()
        };
        let now = Instant::now();
        let mut rate = RateLimit::default();
        let (public, target) = (site("a.test"), origin("s.test"));
        let private = (public.0.clone(), Some(EphemeralId(1)));
        assert!(rate.admit(now, public.clone(), &target, &limits));
        assert!(!rate.admit(now, public, &target, &limits));
        assert!(rate.admit(now, private, &target, &limits));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_full_table_refuses_no_other_site() {
        let limits = Limits {
            sites: 4,
            targets_per_site: 3,
            connects_per_minute: 2,
            ..Limits::default()
        };
        let start = Instant::now();
        let mut rate = RateLimit::default();
        for step in 0_u64..2_000 {
            let now = start + Duration::from_millis(step);
            let by = format!("site{}.test", step % 50);
            let to = format!("target{}.test", step % 7);
            let fresh = !rate.sites.contains_key(&site(&by));
            let admitted = rate.admit(now, site(&by), &origin(&to), &limits);
            assert!(
                admitted || !fresh,
                "a site's first connect is never refused"
            );
            assert!(rate.sites.len() <= 4);
            for asked in rate.sites.values() {
                assert!(asked.targets.len() <= 3);
                assert!(asked.targets.values().all(|times| times.len() <= 2));
            }
        }
        let now = start + Duration::from_millis(3_000);
        let greedy =
            |rate: &mut RateLimit, to| rate.admit(now, site("greedy.test"), &origin(to), &limits);
        for to in ["a.test", "b.test", "c.test"] {
            assert!(greedy(&mut rate, to));
        }
        assert!(!greedy(&mut rate, "d.test"), "a fourth target in a minute");
    }
}
