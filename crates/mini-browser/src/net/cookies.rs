//! Cookies: one jar a profile, in memory. (RFC 6265bis, §5: the storage and the retrieval model.)
//!
//! The jar is written here and not taken from a crate: those that there are know neither
//! `SameSite` nor name prefixes, refuse nameless cookies and bring a Public Suffix List of their
//! own, so that all of this would lie around them and nothing but the map would be theirs.
//!
//! Cookies are not written to disk: a profile that is opened again has none.

mod date;
mod matching;
mod set_cookie;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use service_worker::Clock;
use service_worker::types::{EphemeralId, Origin, Site, StorageKey};
use url::Url;

use self::matching::{canonical_host, default_path, domain_match, is_public_suffix, path_match};
use self::set_cookie::SetCookie;

/// The most cookies of one registrable domain in one partition.
const MAX_A_DOMAIN: usize = 180;
/// The most cookies in a jar.
const MAX: usize = 3300;

/// The cookies of a profile.
pub struct CookieJar {
    clock: Arc<dyn Clock>,
    store: Mutex<Store>,
}

/// In which partition cookies are seen: the same site has other cookies under another top level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CookiePartition {
    top_level_site: Option<Site>,
    cross_site_ancestor: bool,
    ephemeral: Option<EphemeralId>,
}

impl CookiePartition {
    /// The partition that a storage key is in: by its top-level site and ancestor bit if the
    /// host's policy partitions at all.
    #[must_use]
    pub fn of(key: &StorageKey) -> Self {
        Self {
            top_level_site: key.top_level_site().cloned(),
            cross_site_ancestor: key.has_cross_site_ancestor(),
            ephemeral: key.ephemeral(),
        }
    }
}

/// Where a request stands to the site for cookies. (RFC 6265bis, §5.2.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a closed set of the specification")]
pub enum SameSiteStatus {
    /// A same-site request, or a document that is same-site with all above it.
    SameSite,
    /// A cross-site navigation of a top-level traversable, with a safe method.
    CrossSiteNavigation,
    /// The same with an unsafe method.
    CrossSiteUnsafeNavigation,
    /// Any other cross-site request, or a document with a cross-site ancestor.
    CrossSite,
}

/// Who reads or writes cookies.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the parts of an access")]
pub struct CookieAccess<'a> {
    /// The request's URL, or the document's.
    pub url: &'a Url,
    /// The partition.
    pub partition: &'a CookiePartition,
    /// Same-site or not.
    pub same_site: SameSiteStatus,
    /// Whether a request does, and not a script: `HttpOnly` cookies are then seen.
    pub http: bool,
}

/// A cookie's `SameSite`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SameSite {
    /// Not given: enforced as `Lax`.
    #[default]
    Default,
    Lax,
    None,
    Strict,
}

#[derive(Clone, Debug)]
struct Cookie {
    name: Vec<u8>,
    value: Vec<u8>,
    domain: String,
    host_only: bool,
    path: Vec<u8>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    /// In milliseconds since the Unix epoch; `None` for the end of the session.
    expiry: Option<u64>,
    /// A counter instead of the creation time: two cookies are never of the same age.
    created: u64,
    /// Likewise for the last access.
    accessed: u64,
}

impl Cookie {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
    }

    fn is_expired(&self, now: u64) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }
}

#[derive(Default)]
struct Store {
    /// By partition and registrable domain.
    cookies: BTreeMap<(CookiePartition, String), Vec<Cookie>>,
    count: u64,
}

impl Store {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

impl CookieJar {
    /// An empty jar; `clock` says when cookies expire.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            store: Mutex::default(),
        }
    }

    /// *Retrieve cookies*: the *cookie-string*, without any non-empty one. (§5.8.3.)
    #[must_use]
    pub fn cookie_string(&self, access: CookieAccess<'_>) -> Vec<u8> {
        let Some(host) = canonical_host(access.url) else {
            return Vec::new();
        };
        let now = self.clock.wall().0;
        let mut store = self.lock();
        let accessed = store.next();
        let key = (access.partition.clone(), registrable_domain(&host));
        let Some(cookies) = store.cookies.get_mut(&key) else {
            return Vec::new();
        };
        cookies.retain(|cookie| !cookie.is_expired(now));
        // Step 1.
        let mut list: Vec<&mut Cookie> = cookies
            .iter_mut()
            .filter(|cookie| is_retrieved(cookie, &host, access))
            .collect();
        // Step 2.
        list.sort_by_key(|cookie| (std::cmp::Reverse(cookie.path.len()), cookie.created));
        // Steps 3 and 4.
        let mut string = Vec::new();
        for cookie in list {
            cookie.accessed = accessed;
            if !string.is_empty() {
                string.extend_from_slice(b"; ");
            }
            if !cookie.name.is_empty() {
                string.extend_from_slice(&cookie.name);
                string.push(b'=');
            }
            string.extend_from_slice(&cookie.value);
        }
        string
    }

    /// *Store a cookie*, from a *set-cookie-string*: the value of one `Set-Cookie`, or what a
    /// script assigned to `document.cookie`. One that may not be set is ignored. (§5.7.)
    pub fn set(&self, access: CookieAccess<'_>, set_cookie: &[u8]) {
        let now = self.clock.wall().0;
        match self.try_set(access, set_cookie, now) {
            Ok(()) => {}
            Err(refused) => {
                tracing::debug!(url = %access.url, refused, "a cookie is ignored");
            }
        }
    }

    /// How many cookies it holds, expired ones that nobody has asked for included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().cookies.values().map(Vec::len).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().cookies.clear();
    }

    /// *Clear cookies for origin*: those of the registrable domain of a URL, in one partition.
    pub(super) fn clear_site(&self, url: &Url, partition: &CookiePartition) {
        if let Some(host) = canonical_host(url) {
            let key = (partition.clone(), registrable_domain(&host));
            self.lock().cookies.remove(&key);
        }
    }

    fn try_set(
        &self,
        access: CookieAccess<'_>,
        set_cookie: &[u8],
        now: u64,
    ) -> Result<(), &'static str> {
        let parsed = SetCookie::parse(set_cookie, now)?;
        let host = canonical_host(access.url).ok_or("a URL without a host has no cookies")?;
        let mut cookie = cookie_of(parsed, access, &host)?;
        let key = (access.partition.clone(), registrable_domain(&host));
        let mut store = self.lock();
        cookie.created = store.next();
        cookie.accessed = cookie.created;
        let of_domain = store.cookies.entry(key).or_default();
        // Step 16: "leave secure cookies alone".
        if !cookie.secure && !is_secure(access.url) {
            let is_overlaid = |old: &Cookie| {
                old.name == cookie.name
                    && old.secure
                    && !old.is_expired(now)
                    && (domain_match(&cookie.domain, &old.domain)
                        || domain_match(&old.domain, &cookie.domain))
                    && path_match(&cookie.path, &old.path)
            };
            if of_domain.iter().any(is_overlaid) {
                return Err("it would overlay a secure cookie");
            }
        }
        // Step 23.
        if let Some(index) = of_domain.iter().position(|old| old.is_same(&cookie)) {
            let old = &of_domain[index];
            if old.http_only && !access.http && !old.is_expired(now) {
                return Err("a script cannot overwrite an HttpOnly cookie");
            }
            cookie.created = old.created;
            of_domain.remove(index);
        }
        // Step 24. One that has expired already has removed the old one, and that is all.
        if !cookie.is_expired(now) {
            of_domain.push(cookie);
            evict_of_domain(of_domain, now);
        }
        evict(&mut store, now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieJar")
            .field("cookies", &self.len())
            .finish_non_exhaustive()
    }
}

/// The storage model, steps 2 to 22, without those that look at the store.
fn cookie_of(
    parsed: SetCookie,
    access: CookieAccess<'_>,
    host: &str,
) -> Result<Cookie, &'static str> {
    // Steps 7 to 9.
    let mut domain = parsed.domain;
    if !domain.is_ascii() {
        return Err("Domain is not ASCII");
    }
    if !domain.is_empty() && is_public_suffix(&domain) {
        if domain != host {
            return Err("Domain is a public suffix");
        }
        domain.clear();
    }
    // Step 10.
    let host_only = domain.is_empty();
    if host_only {
        host.clone_into(&mut domain);
    } else if !domain_match(host, &domain) {
        return Err("Domain is not the host's");
    }
    // Step 11.
    let has_path = parsed.path.is_some();
    let path = parsed.path.flatten();
    let path = path.unwrap_or_else(|| default_path(access.url));
    let cookie = Cookie {
        name: parsed.name,
        value: parsed.value,
        domain,
        host_only,
        path,
        secure: parsed.secure,
        http_only: parsed.http_only,
        same_site: parsed.same_site,
        expiry: parsed.expiry,
        created: 0,
        accessed: 0,
    };
    // Steps 12 and 13.
    if cookie.secure && !is_secure(access.url) {
        return Err("Secure, from an insecure URL");
    }
    // Steps 14 and 15.
    if cookie.http_only && !access.http {
        return Err("HttpOnly, from a script");
    }
    // Steps 17 to 19.
    match cookie.same_site {
        SameSite::None if !cookie.secure => return Err("SameSite=None without Secure"),
        SameSite::None => {}
        _ if access.same_site == SameSiteStatus::CrossSite => {
            return Err("SameSite, from a cross-site request");
        }
        _ => {}
    }
    check_prefix(&cookie, has_path, access.http)?;
    Ok(cookie)
}

/// The storage model, steps 20 to 22, and the two prefixes that came after them. (*Cookies: HTTP
/// State Management*, "cookie name prefixes".)
fn check_prefix(cookie: &Cookie, has_path: bool, http: bool) -> Result<(), &'static str> {
    let starts = |text: &[u8], prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let is_host = cookie.secure && cookie.host_only && has_path && cookie.path == b"/";
    let is_http = cookie.secure && cookie.http_only && http;
    let rules = [
        ("__Secure-", cookie.secure),
        ("__Host-", is_host),
        ("__Http-", is_http),
        ("__Host-Http-", is_host && is_http),
    ];
    for (prefix, is_allowed) in rules {
        if starts(&cookie.name, prefix) && !is_allowed {
            return Err("its attributes are not what its name's prefix asks for");
        }
        if cookie.name.is_empty() && starts(&cookie.value, prefix) {
            return Err("a nameless cookie cannot look like one with a prefix");
        }
    }
    Ok(())
}

/// Whether a cookie belongs into the cookie-list. (§5.8.3, step 1.)
fn is_retrieved(cookie: &Cookie, host: &str, access: CookieAccess<'_>) -> bool {
    let is_of_host = if cookie.host_only {
        cookie.domain == host
    } else {
        domain_match(host, &cookie.domain)
    };
    is_of_host
        && path_match(access.url.path().as_bytes(), &cookie.path)
        && (!cookie.secure || is_secure(access.url))
        && (!cookie.http_only || access.http)
        && match (cookie.same_site, access.same_site) {
            (SameSite::None, _) | (_, SameSiteStatus::SameSite) => true,
            (SameSite::Lax | SameSite::Default, SameSiteStatus::CrossSiteNavigation) => access.http,
            _ => false,
        }
}

/// Whether a URL "denotes a secure protocol": loopback does.
fn is_secure(url: &Url) -> bool {
    Origin::of(url).is_potentially_trustworthy()
}

/// Under which key a host's cookies are kept: they can only be shared below it.
fn registrable_domain(host: &str) -> String {
    match url::Host::parse(host) {
        Ok(url::Host::Domain(_)) => psl::domain_str(host).unwrap_or(host).to_owned(),
        _ => host.to_owned(),
    }
}

/// §5.7, "excess cookies" of a domain: expired ones, then those that are not secure, then the one
/// that nobody has used for the longest time.
fn evict_of_domain(cookies: &mut Vec<Cookie>, now: u64) {
    if cookies.len() > MAX_A_DOMAIN {
        cookies.retain(|cookie| !cookie.is_expired(now));
    }
    while cookies.len() > MAX_A_DOMAIN {
        let oldest = cookies
            .iter()
            .enumerate()
            .min_by_key(|(_, cookie)| (cookie.secure, cookie.accessed));
        match oldest.map(|(index, _)| index) {
            Some(index) => drop(cookies.remove(index)),
            None => return,
        }
    }
}

/// The same for all cookies.
fn evict(store: &mut Store, now: u64) {
    let count = |store: &Store| store.cookies.values().map(Vec::len).sum::<usize>();
    if count(store) > MAX {
        for cookies in store.cookies.values_mut() {
            cookies.retain(|cookie| !cookie.is_expired(now));
        }
    }
    while count(store) > MAX {
        let oldest = store
            .cookies
            .iter()
            .flat_map(|(key, cookies)| cookies.iter().map(move |cookie| (key, cookie)))
            .min_by_key(|(_, cookie)| cookie.accessed)
            .map(|(key, cookie)| (key.clone(), cookie.accessed, cookie.created));
        let Some((key, accessed, created)) = oldest else {
            return;
        };
        if let Some(cookies) = store.cookies.get_mut(&key) {
            cookies.retain(|cookie| (cookie.accessed, cookie.created) != (accessed, created));
        }
    }
    store.cookies.retain(|_, cookies| !cookies.is_empty());
}
