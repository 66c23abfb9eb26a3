//! The jar, against what the specification says of each attribute.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use service_worker::types::Timestamp;

use super::*;

/// A wall clock that stands until it is moved.
struct StoppedClock(AtomicU64);

impl Clock for StoppedClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

struct Stand {
    jar: CookieJar,
    clock: Arc<StoppedClock>,
}

/// Who reads or writes: by default a same-site request.
#[derive(Clone)]
struct Who {
    same_site: SameSiteStatus,
    http: bool,
    partition: CookiePartition,
}

fn partition(top_level: &str) -> CookiePartition {
    let origin = Origin::of(&Url::parse(top_level).unwrap());
    let key = StorageKey::first_party(origin.clone()).under(Site::of(&origin), false);
    CookiePartition::of(&key)
}

impl Default for Who {
    fn default() -> Self {
        Self {
            same_site: SameSiteStatus::SameSite,
            http: true,
            partition: partition("https://a.test"),
        }
    }
}

impl Stand {
    fn new() -> Self {
        let clock = Arc::new(StoppedClock(AtomicU64::new(1_000_000)));
        Self {
            jar: CookieJar::new(Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
        }
    }

    fn set_as(&self, who: &Who, url: &str, cookie: &str) {
        let url = Url::parse(url).unwrap();
        self.jar.set(access(who, &url), cookie.as_bytes());
    }

    fn sent_as(&self, who: &Who, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        String::from_utf8(self.jar.cookie_string(access(who, &url))).unwrap()
    }

    fn set(&self, url: &str, cookie: &str) {
        self.set_as(&Who::default(), url, cookie);
    }

    fn sent(&self, url: &str) -> String {
        self.sent_as(&Who::default(), url)
    }
}

fn access<'a>(who: &'a Who, url: &'a Url) -> CookieAccess<'a> {
    CookieAccess {
        url,
        partition: &who.partition,
        same_site: who.same_site,
        http: who.http,
    }
}

#[test]
fn longer_paths_come_first_and_then_older_cookies() {
    let stand = Stand::new();
    stand.set("https://a.test/x/y", "first=1; path=/");
    stand.set("https://a.test/x/y", "second=2; path=/");
    stand.set("https://a.test/x/y", "deep=3");
    stand.set("https://a.test/x/y", "nameless; path=/");
    assert_eq!(
        stand.sent("https://a.test/x/z"),
        "deep=3; first=1; second=2; nameless"
    );
    assert_eq!(stand.sent("https://a.test/"), "first=1; second=2; nameless");
    // A new value does not make a cookie younger.
    stand.set("https://a.test/x/y", "first=4; path=/");
    assert_eq!(stand.sent("https://a.test/"), "first=4; second=2; nameless");
}

#[test]
fn a_domain_shares_a_cookie_with_the_names_below_it() {
    let stand = Stand::new();
    stand.set("https://www.a.test/", "shared=1; domain=a.test");
    stand.set("https://www.a.test/", "own=2");
    stand.set("https://www.a.test/", "other=3; domain=b.test");
    stand.set("https://www.a.test/", "deeper=4; domain=x.www.a.test");
    stand.set("https://www.a.test/", "suffix=5; domain=test");
    assert_eq!(stand.sent("https://www.a.test/"), "shared=1; own=2");
    assert_eq!(stand.sent("https://a.test/"), "shared=1");
    assert_eq!(stand.sent("https://x.www.a.test/"), "shared=1");
    assert_eq!(stand.sent("https://ba.test/"), "");
    // A host that is a public suffix itself keeps the cookie for itself.
    stand.set("https://github.io/", "a=1; domain=github.io");
    assert_eq!(stand.sent("https://github.io/"), "a=1");
    assert_eq!(stand.sent("https://x.github.io/"), "");
}

#[test]
fn secure_cookies_are_neither_sent_nor_set_nor_overlaid_without_tls() {
    let stand = Stand::new();
    stand.set("http://a.test/", "refused=1; secure");
    stand.set("https://a.test/", "kept=1; secure; path=/");
    stand.set("http://a.test/", "kept=2");
    stand.set("http://a.test/", "kept=3; path=/below");
    stand.set("http://www.a.test/", "kept=4; domain=a.test");
    assert_eq!(stand.sent("http://a.test/"), "");
    assert_eq!(stand.sent("https://a.test/"), "kept=1");
    assert_eq!(stand.sent("https://a.test/below"), "kept=1");
    // Loopback counts as secure.
    stand.set("http://localhost:8080/", "l=1; secure");
    assert_eq!(stand.sent("http://localhost/"), "l=1");
}

#[test]
fn scripts_neither_see_nor_touch_http_only_cookies() {
    let stand = Stand::new();
    let script = Who {
        http: false,
        ..Who::default()
    };
    stand.set("https://a.test/", "secret=1; httponly");
    stand.set("https://a.test/", "open=2");
    stand.set_as(&script, "https://a.test/", "secret=3");
    stand.set_as(&script, "https://a.test/", "hidden=4; httponly");
    assert_eq!(stand.sent("https://a.test/"), "secret=1; open=2");
    assert_eq!(stand.sent_as(&script, "https://a.test/"), "open=2");
    stand.set_as(&script, "https://a.test/", "open=; max-age=0");
    assert_eq!(stand.sent("https://a.test/"), "secret=1");
}

#[test]
fn same_site_says_which_requests_bring_a_cookie() {
    let stand = Stand::new();
    for cookie in [
        "strict=1; samesite=strict",
        "lax=1; samesite=lax",
        "default=1",
        "none=1; samesite=none; secure",
        "refused=1; samesite=none",
    ] {
        stand.set("https://a.test/", cookie);
    }
    let sent = |same_site| {
        let who = Who {
            same_site,
            ..Who::default()
        };
        stand.sent_as(&who, "https://a.test/")
    };
    use SameSiteStatus::*;
    assert_eq!(sent(SameSite), "strict=1; lax=1; default=1; none=1");
    assert_eq!(sent(CrossSiteNavigation), "lax=1; default=1; none=1");
    assert_eq!(sent(CrossSiteUnsafeNavigation), "none=1");
    assert_eq!(sent(CrossSite), "none=1");
}

#[test]
fn same_site_says_which_responses_may_set_a_cookie() {
    use SameSiteStatus::*;
    for (same_site, expected) in [
        (SameSite, "strict=1; default=1; none=1"),
        (CrossSiteNavigation, "strict=1; default=1; none=1"),
        (CrossSiteUnsafeNavigation, "strict=1; default=1; none=1"),
        (CrossSite, "none=1"),
    ] {
        let stand = Stand::new();
        let who = Who {
            same_site,
            ..Who::default()
        };
        stand.set_as(&who, "https://a.test/", "strict=1; samesite=strict");
        stand.set_as(&who, "https://a.test/", "default=1");
        stand.set_as(&who, "https://a.test/", "none=1; samesite=none; secure");
        assert_eq!(stand.sent("https://a.test/"), expected, "{same_site:?}");
    }
}

#[test]
fn prefixes_of_names_promise_attributes() {
    let script = Who {
        http: false,
        ..Who::default()
    };
    let from_http = Who::default();
    let table: &[(&Who, &str, &str, bool)] = &[
        (&from_http, "https", "__Secure-a=1; secure", true),
        (&from_http, "https", "__Secure-a=1", false),
        (&from_http, "https", "__SECURE-a=1", false),
        (&from_http, "http", "__Secure-a=1; secure", false),
        (&from_http, "https", "__Host-a=1; secure; path=/", true),
        (&from_http, "https", "__Host-a=1; secure", false),
        (&from_http, "https", "__Host-a=1; secure; path=/x", false),
        (
            &from_http,
            "https",
            "__host-a=1; secure; path=/; domain=a.test",
            false,
        ),
        (&from_http, "https", "__Host-a=1; path=/", false),
        (&from_http, "https", "__Http-a=1; secure; httponly", true),
        (&from_http, "https", "__Http-a=1; secure", false),
        (&script, "https", "__Http-a=1; secure", false),
        (
            &from_http,
            "https",
            "__Host-Http-a=1; secure; httponly; path=/",
            true,
        ),
        (
            &from_http,
            "https",
            "__Host-Http-a=1; secure; path=/",
            false,
        ),
        (&from_http, "https", "=__Secure-a=1", false),
        (&from_http, "https", "__Host-a", false),
        (&from_http, "https", "=x__Host-a", true),
    ];
    for (who, scheme, cookie, is_kept) in table {
        let stand = Stand::new();
        stand.set_as(who, &format!("{scheme}://a.test/"), cookie);
        assert_eq!(!stand.jar.is_empty(), *is_kept, "{scheme} {cookie}");
    }
}

#[test]
fn cookies_expire_and_can_be_taken_back() {
    let stand = Stand::new();
    stand.set("https://a.test/", "short=1; max-age=10");
    stand.set("https://a.test/", "long=2; max-age=1000");
    stand.set("https://a.test/", "session=3");
    stand.clock.0.fetch_add(10_000, Ordering::SeqCst);
    assert_eq!(stand.sent("https://a.test/"), "long=2; session=3");
    stand.set(
        "https://a.test/",
        "long=; expires=Thu, 01 Jan 1970 00:00:00 GMT",
    );
    assert_eq!(stand.sent("https://a.test/"), "session=3");
    assert_eq!(stand.jar.len(), 1);
}

#[test]
fn partitions_and_schemes_that_know_no_cookies_share_nothing() {
    let stand = Stand::new();
    let elsewhere = Who {
        partition: partition("https://b.test"),
        ..Who::default()
    };
    stand.set("https://a.test/", "here=1");
    stand.set_as(&elsewhere, "https://a.test/", "there=2");
    assert_eq!(stand.sent("https://a.test/"), "here=1");
    assert_eq!(stand.sent_as(&elsewhere, "https://a.test/"), "there=2");
    stand.set("data:,x", "a=1");
    stand.set("ftp://a.test/", "a=1");
    assert_eq!(stand.sent("ftp://a.test/"), "");
    assert_eq!(stand.jar.len(), 2);
}

#[test]
fn too_many_cookies_push_out_the_ones_that_nobody_used() {
    let stand = Stand::new();
    stand.set("https://a.test/", "safe=1; secure");
    stand.set("https://a.test/used", "used=1; path=/used");
    stand.set("https://a.test/", "unused=1; path=/unused");
    for index in 0..MAX_A_DOMAIN - 3 {
        stand.set("https://a.test/", &format!("n{index}=1; path=/x"));
    }
    assert_eq!(stand.sent("https://a.test/used"), "used=1; safe=1");
    stand.set("https://a.test/", "more=1; path=/x");
    assert_eq!(stand.jar.len(), MAX_A_DOMAIN);
    assert_eq!(stand.sent("https://a.test/unused"), "safe=1");
    assert_eq!(stand.sent("https://a.test/used"), "used=1; safe=1");

    for index in 0..MAX + 10 {
        stand.set(&format!("https://d{index}.test/"), "a=1");
    }
    assert_eq!(stand.jar.len(), MAX);
    assert_eq!(stand.sent(&format!("https://d{}.test/", MAX + 9)), "a=1");
    assert_eq!(stand.sent("https://d0.test/"), "");
}

#[test]
fn what_no_cookie_may_hold_is_refused() {
    let stand = Stand::new();
    for cookie in [
        "",
        "=",
        "a=\r\nb",
        "a=\0",
        "a=1; domain=é.test",
        "a=1; domain=..a.test",
    ] {
        stand.set("https://a.test/", cookie);
    }
    assert!(stand.jar.is_empty());
    // Bytes that are no text are kept as they came.
    let url = Url::parse("https://a.test/").unwrap();
    let who = Who::default();
    stand.jar.set(access(&who, &url), b"a=\xff\x80");
    assert_eq!(stand.jar.cookie_string(access(&who, &url)), b"a=\xff\x80");
}
