//! How often headers may install. (SEMANTICS §5.7.)

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sw_types::{ScopeUrl, ScriptUrl, Site, StorageKey};

use crate::Ignored;

/// Limits header installs: so many a minute under one top-level site, and none for a while after
/// the same one has failed. Memory is bounded; time is passed in.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use installer::{Ignored, Throttle, ThrottleLimits};
/// use sw_types::{Origin, ScopeUrl, ScriptUrl, Site, StorageKey};
/// use url::Url;
///
/// let script = ScriptUrl::parse("https://fonts.example.com/sw.js", None)?;
/// let scope = ScopeUrl::default_for(&script);
/// let key = StorageKey::first_party(script.origin());
/// let site = Site::of(&Origin::of(&Url::parse("https://acme.com/")?));
///
/// let mut throttle = Throttle::new(ThrottleLimits::default());
/// let now = Instant::now();
/// assert_eq!(throttle.admit(now, &site, &key, &script, &scope), Ok(()));
/// throttle.failed(now, &key, &script, &scope);
/// let soon = now + Duration::from_secs(600);
/// assert_eq!(
///     throttle.admit(soon, &site, &key, &script, &scope),
///     Err(Ignored::FailedRecently)
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    /// When installs were admitted within the last window, oldest first, by top-level site.
    admitted: BTreeMap<Site, VecDeque<Instant>>,
    /// When installs last failed.
    failures: BTreeMap<Install, Instant>,
}

/// What the negative cache is keyed by.
type Install = (StorageKey, ScriptUrl, ScopeUrl);

/// The limits of a [`Throttle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThrottleLimits {
    /// Installs in one [`window`](Self::window) under one top-level site.
    pub installs: usize,
    /// The length of the sliding window.
    pub window: Duration,
    /// How long a failure is remembered.
    pub negative_cache: Duration,
    /// Top-level sites that are remembered; beyond them, the one that was longest quiet is
    /// forgotten.
    pub max_sites: usize,
    /// Failures that are remembered; beyond them, the oldest is forgotten. (Each may hold two URLs
    /// of 4 KiB.)
    pub max_failures: usize,
}

/// 30 a minute, one hour, 1024 sites, 1024 failures.
impl Default for ThrottleLimits {
    fn default() -> Self {
        Self {
            installs: 30,
            window: Duration::from_secs(60),
            negative_cache: Duration::from_secs(60 * 60),
            max_sites: 1024,
            max_failures: 1024,
        }
    }
}

impl Throttle {
    /// A throttle that remembers nothing yet.
    #[must_use]
    pub const fn new(limits: ThrottleLimits) -> Self {
        Self {
            limits,
            admitted: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Whether an install may start now, and if so, counts it. To be asked only for installs that
    /// would do something: not when an equal registration exists already.
    ///
    /// # Errors
    /// [`Ignored::FailedRecently`], which costs the site nothing, or [`Ignored::RateLimited`].
    pub fn admit(
        &mut self,
        now: Instant,
        top_level_site: &Site,
        key: &StorageKey,
        script: &ScriptUrl,
        scope: &ScopeUrl,
    ) -> Result<(), Ignored> {
        self.forget_old_failures(now);
        let install = (key.clone(), script.clone(), scope.clone());
        if self.failures.contains_key(&install) {
            return Err(Ignored::FailedRecently);
        }
        self.forget_old_installs(now);
        let used = self.admitted.get(top_level_site).map_or(0, VecDeque::len);
        if used >= self.limits.installs {
            return Err(Ignored::RateLimited);
        }
        if !self.admitted.contains_key(top_level_site) {
            make_room(&mut self.admitted, self.limits.max_sites, |installs| {
                installs.back().copied()
            });
        }
        self.admitted
            .entry(top_level_site.clone())
            .or_default()
            .push_back(now);
        Ok(())
    }

    /// An admitted install has failed: it is not tried again for a while.
    pub fn failed(&mut self, now: Instant, key: &StorageKey, script: &ScriptUrl, scope: &ScopeUrl) {
        if self.limits.max_failures == 0 {
            return;
        }
        let install = (key.clone(), script.clone(), scope.clone());
        self.forget_old_failures(now);
        if !self.failures.contains_key(&install) {
            make_room(&mut self.failures, self.limits.max_failures, |at| Some(*at));
        }
        self.failures.insert(install, now);
    }

    /// Site data is cleared, or a private session has ended: the failures of what `covered` says
    /// are forgotten. (SEMANTICS §8.9.) The installs of this minute stay counted.
    pub fn clear(&mut self, covered: impl Fn(&StorageKey) -> bool) {
        self.failures.retain(|(key, ..), _| !covered(key));
    }

    /// How many top-level sites and failures are remembered.
    #[must_use]
    pub fn remembered(&self) -> (usize, usize) {
        (self.admitted.len(), self.failures.len())
    }

    fn forget_old_failures(&mut self, now: Instant) {
        let remembered = self.limits.negative_cache;
        self.failures
            .retain(|_, at| now.saturating_duration_since(*at) < remembered);
    }

    fn forget_old_installs(&mut self, now: Instant) {
        let window = self.limits.window;
        self.admitted.retain(|_, installs| {
            while installs
                .front()
                .is_some_and(|at| now.saturating_duration_since(*at) >= window)
            {
                installs.pop_front();
            }
            !installs.is_empty()
        });
    }
}

/// Removes the oldest entries until one more fits.
fn make_room<K: Clone + Ord, V>(
    map: &mut BTreeMap<K, V>,
    limit: usize,
    age: impl Fn(&V) -> Option<Instant>,
) {
    while map.len() >= limit.max(1) {
        let oldest = map.iter().min_by_key(|(_, value)| age(value));
        let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
            return;
        };
        map.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use sw_types::{EphemeralId, Origin};
    use url::Url;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Scene {
        throttle: Throttle,
        start: Instant,
    }

    fn site(host: &str) -> Site {
        Site::of(&Origin::of(
            &Url::parse(&format!("https://{host}/")).unwrap(),
        ))
    }

    fn install(path: &str) -> Install {
        let script = ScriptUrl::parse(path, Some(&Url::parse("https://fonts.test/").unwrap()));
        let script = script.unwrap();
        let scope = ScopeUrl::default_for(&script);
        (StorageKey::first_party(script.origin()), script, scope)
    }

    impl Scene {
        fn new(limits: ThrottleLimits) -> Self {
            Self {
                throttle: Throttle::new(limits),
                // The tests' only look at a clock: where their own time begins.
                start: Instant::now(),
            }
        }

        fn admit(&mut self, after: Duration, under: &str, path: &str) -> Result<(), Ignored> {
            let (key, script, scope) = install(path);
            let now = self.start + after;
            self.throttle
                .admit(now, &site(under), &key, &script, &scope)
        }

        fn fail(&mut self, after: Duration, path: &str) {
            let (key, script, scope) = install(path);
            self.throttle
                .failed(self.start + after, &key, &script, &scope);
        }
    }

    #[test]
    fn thirty_a_minute_under_one_site_and_each_site_for_itself() {
        let mut scene = Scene::new(ThrottleLimits::default());
        for second in 0..30 {
            let path = format!("/{second}/sw.js");
            let after = Duration::from_secs(second);
            assert_eq!(scene.admit(after, "www.acme.com", &path), Ok(()));
        }
        let at_half = Duration::from_secs(30);
        assert_eq!(
            scene.admit(at_half, "acme.com", "/x"),
            Err(Ignored::RateLimited)
        );
        assert_eq!(scene.admit(at_half, "other.com", "/x"), Ok(()));
        // The window slides: at 60 s the first has gone, and only the first.
        assert_eq!(scene.admit(MINUTE, "acme.com", "/x"), Ok(()));
        assert_eq!(
            scene.admit(MINUTE, "acme.com", "/y"),
            Err(Ignored::RateLimited)
        );
    }

    #[test]
    fn a_failure_is_remembered_for_an_hour_for_that_install_alone() {
        let mut scene = Scene::new(ThrottleLimits::default());
        scene.fail(Duration::ZERO, "/a/sw.js");
        let hour = 60 * MINUTE;
        let almost = hour - Duration::from_millis(1);
        assert_eq!(
            scene.admit(almost, "acme.com", "/a/sw.js"),
            Err(Ignored::FailedRecently)
        );
        assert_eq!(scene.admit(almost, "acme.com", "/b/sw.js"), Ok(()));
        assert_eq!(scene.admit(hour, "acme.com", "/a/sw.js"), Ok(()));
        assert_eq!(scene.throttle.remembered().1, 0);
    }

    #[test]
    fn a_failure_that_is_remembered_costs_the_site_nothing() {
        let mut scene = Scene::new(ThrottleLimits {
            installs: 1,
            ..ThrottleLimits::default()
        });
        scene.fail(Duration::ZERO, "/a");
        for _ in 0..3 {
            assert_eq!(
                scene.admit(Duration::ZERO, "acme.com", "/a"),
                Err(Ignored::FailedRecently)
            );
        }
        assert_eq!(scene.admit(Duration::ZERO, "acme.com", "/b"), Ok(()));
    }

    #[test]
    fn clearing_an_origin_forgets_its_failures_in_every_partition_and_no_others() {
        let mut scene = Scene::new(ThrottleLimits::default());
        let (key, script, scope) = install("/a");
        let partitioned = key.clone().under(site("acme.com"), true);
        let (_, other_script, other_scope) = install("https://other.test/a");
        let other = StorageKey::first_party(other_script.origin());
        let now = scene.start;
        scene.throttle.failed(now, &key, &script, &scope);
        scene.throttle.failed(now, &partitioned, &script, &scope);
        scene
            .throttle
            .failed(now, &other, &other_script, &other_scope);
        scene.throttle.clear(|key| *key.origin() == script.origin());
        assert_eq!(scene.throttle.remembered().1, 1);
        let admit = |scene: &mut Scene, key| {
            scene
                .throttle
                .admit(now, &site("acme.com"), key, &script, &scope)
        };
        assert_eq!(admit(&mut scene, &key), Ok(()));
        assert_eq!(admit(&mut scene, &partitioned), Ok(()));
    }

    #[test]
    fn a_private_session_takes_its_failures_with_it() {
        let mut scene = Scene::new(ThrottleLimits::default());
        let (key, script, scope) = install("/a");
        let private = key.clone().in_session(Some(EphemeralId(1)));
        let now = scene.start;
        scene.throttle.failed(now, &key, &script, &scope);
        scene.throttle.failed(now, &private, &script, &scope);
        scene
            .throttle
            .clear(|key| key.ephemeral() == Some(EphemeralId(1)));
        assert_eq!(scene.throttle.remembered().1, 1);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let limits = ThrottleLimits {
            max_sites: 4,
            max_failures: 4,
            ..ThrottleLimits::default()
        };
        let mut scene = Scene::new(limits);
        for n in 0..20 {
            let after = Duration::from_secs(n);
            let path = format!("/{n}/sw.js");
            scene.admit(after, &format!("site{n}.com"), &path).unwrap();
            scene.fail(after, &path);
        }
        assert_eq!(scene.throttle.remembered(), (4, 4));
        let later = Duration::from_secs(20);
        assert_eq!(scene.admit(later, "a.com", "/15/sw.js"), Ok(()));
        assert_eq!(
            scene.admit(later, "a.com", "/16/sw.js"),
            Err(Ignored::FailedRecently)
        );
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_back_is_no_panic() {
        let mut scene = Scene::new(ThrottleLimits::default());
        scene.admit(MINUTE, "acme.com", "/a").unwrap();
        scene.fail(MINUTE, "/b");
        assert_eq!(scene.admit(Duration::ZERO, "acme.com", "/c"), Ok(()));
        assert_eq!(
            scene.admit(Duration::ZERO, "acme.com", "/b"),
            Err(Ignored::FailedRecently)
        );
    }
}
