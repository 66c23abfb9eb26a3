//! The concurrent read path: which registration matches, what a client uses.

mod scopes;
mod table_key;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use sw_types::{
    ClientId, EncodedRouterRule, Environment, EventTypes, FallThroughRule, FetchHandler,
    NavigationPreload, RegistrationId, ScopeUrl, ScriptUrl, StorageKey, Timestamp, WorkerId,
    WorkerState,
};
use url::{Position, Url};

use self::scopes::ScopeIndex;
use self::table_key::TableKey;
use crate::Provenance;
use crate::stored_rows::Group;
use crate::waking::Sleeping;

/// Its hashes are keyed: origins are chosen by whoever owns a domain.
type DashMap<K, V> = dashmap::DashMap<K, V, RandomState>;

/// A registration as readers on any thread see it: a value that never changes; when the
/// registration does, the [`Lookup`] hands out another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: RegistrationId,
    /// Whose it is.
    pub storage_key: StorageKey,
    /// Its scope.
    pub scope: ScopeUrl,
    /// Who made it.
    pub provenance: Provenance,
    /// Its navigation preload state.
    pub navigation_preload: NavigationPreload,
    /// Its last update check time.
    pub last_update_check: Option<Timestamp>,
    /// How long after that it is stale.
    pub stale_after: Duration,
    /// Its active worker.
    pub active: Option<ActiveWorker>,
}

/// A registration's active worker, as far as routing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveWorker {
    /// Its id.
    pub id: WorkerId,
    /// Its main script.
    pub script_url: ScriptUrl,
    /// `activating` or `activated`.
    pub state: WorkerState,
    /// Its set of event types to handle.
    pub event_types: EventTypes,
    /// What its fetch listeners amount to.
    pub fetch_handler: FetchHandler,
    /// Its fall-through rules.
    pub fall_through: Arc<[FallThroughRule]>,
    /// Its router rules, in the order in which they were added.
    pub router_rules: Arc<[EncodedRouterRule]>,
}

impl Snapshot {
    /// *Stale*: the last update check is known, and longer ago than [`Self::stale_after`].
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        is_stale(self.last_update_check, self.stale_after, now)
    }

    /// Whether clients may use this registration. (SEMANTICS §5.6, `ServiceOnly`.)
    #[must_use]
    pub const fn controls_clients(&self) -> bool {
        controls_clients(self.provenance)
    }
}

pub(crate) fn is_stale(checked: Option<Timestamp>, stale_after: Duration, now: Timestamp) -> bool {
    checked.is_some_and(|checked| now.since(checked) > stale_after)
}

pub(crate) const fn controls_clients(provenance: Provenance) -> bool {
    match provenance {
        Provenance::Script => true,
        Provenance::Header { controls_clients } => controls_clients,
    }
}

/// Reads what the one [`Registry`](crate::Registry) that it came from writes; cheap to clone, and
/// shared between threads. A reader sees each change whole, and no lock is held across work.
#[derive(Clone, Debug, Default)]
pub struct Lookup(Arc<Tables>);

#[derive(Debug, Default)]
struct Tables {
    /// What can be matched.
    scopes: DashMap<TableKey, Scopes>,
    /// How many keys of `scopes` are of an origin, by its serialization.
    origins: DashMap<Box<str>, usize>,
    /// None of what was stored and is gone. What is stored and not in here sleeps.
    registrations: DashMap<RegistrationId, Option<Arc<Snapshot>>>,
    sleeping: Arc<Sleeping>,
    clients: DashMap<ClientId, ClientEntry>,
}

/// What is listed of a storage key.
#[derive(Debug)]
enum Scopes {
    /// What was stored, until somebody asks for it.
    Asleep(Group),
    Awake(ScopeIndex),
}

#[derive(Debug)]
struct ClientEntry {
    environment: Arc<Environment>,
    uses: Option<RegistrationId>,
}

impl Lookup {
    /// *Match Service Worker Registration*: of the scopes that are a string prefix of the
    /// serialized URL, the longest. User name and password of the URL do not count.
    #[must_use]
    pub fn match_registration(&self, key: &StorageKey, url: &Url) -> Option<Arc<Snapshot>> {
        let url = without_userinfo(url);
        let matched = self.read_scopes(key, |scopes| {
            let at = scopes.longest_prefix_of(url.as_str())?;
            Some(match scopes.snapshots()[at].get() {
                Some(snapshot) => Ok(Arc::clone(snapshot)),
                None => Err((scopes.id(at), at, Arc::clone(scopes.snapshots()))),
            })
        });
        let (id, at, snapshots) = match matched?? {
            Ok(snapshot) => return Some(snapshot),
            Err(stored) => stored,
        };
        let snapshot = self.snapshot(id)?;
        Some(Arc::clone(snapshots[at].get_or_init(|| snapshot)))
    }

    /// As [`Self::match_registration`], for who wants to know the registration's id only.
    #[must_use]
    pub fn match_registration_id(&self, key: &StorageKey, url: &Url) -> Option<RegistrationId> {
        let url = without_userinfo(url);
        let matched = self.read_scopes(key, |scopes| {
            Some(scopes.id(scopes.longest_prefix_of(url.as_str())?))
        });
        matched?
    }

    /// Whether anything is registered for a URL's origin, in any partition: one look-up, and no
    /// allocation unless the URL has a user name.
    #[must_use]
    pub fn has_origin(&self, url: &Url) -> bool {
        self.0
            .origins
            .contains_key(origin_of(&without_userinfo(url)))
    }

    /// All registrations of a storage key, in the order of their scopes.
    #[must_use]
    pub fn registrations(&self, key: &StorageKey) -> Vec<Arc<Snapshot>> {
        let ids = self.registration_ids(key).into_iter();
        ids.filter_map(|id| self.snapshot(id)).collect()
    }

    /// The registration whose active worker controls a client; `None` if none does.
    #[must_use]
    pub fn controller(&self, client: ClientId) -> Option<Arc<Snapshot>> {
        let registration = self.0.clients.get(&client)?.uses?;
        self.snapshot(registration)
            .filter(|snapshot| snapshot.active.is_some())
    }

    /// Whether any client uses a registration. Costs a walk over the clients.
    #[must_use]
    pub fn is_used(&self, registration: RegistrationId) -> bool {
        self.0
            .clients
            .iter()
            .any(|client| client.uses == Some(registration))
    }

    /// A client's environment; `None` once it is gone.
    #[must_use]
    pub fn environment(&self, client: ClientId) -> Option<Arc<Environment>> {
        Some(Arc::clone(&self.0.clients.get(&client)?.environment))
    }

    /// A registration, also one that is unregistered and still in use.
    #[must_use]
    pub fn snapshot(&self, registration: RegistrationId) -> Option<Arc<Snapshot>> {
        if let Some(known) = self.0.registrations.get(&registration) {
            return known.clone();
        }
        let stored = Arc::new(self.0.sleeping.snapshot(registration)?);
        // What a writer has shown meanwhile stays.
        let known = self.0.registrations.entry(registration);
        known.or_insert(Some(stored)).clone()
    }

    /// The registrations of a storage key, in the order of their scopes.
    pub(crate) fn registration_ids(&self, key: &StorageKey) -> Vec<RegistrationId> {
        let ids = self.read_scopes(key, |scopes| scopes.ids().collect());
        ids.unwrap_or_default()
    }

    /// The registration with just this scope.
    pub(crate) fn registration_id(
        &self,
        key: &StorageKey,
        scope: &ScopeUrl,
    ) -> Option<RegistrationId> {
        let found = self.read_scopes(key, |scopes| {
            Some(scopes.id(scopes.find(scope.as_str()).ok()?))
        });
        found?
    }

    /// Shows readers what was stored.
    pub(crate) fn over(sleeping: &Arc<Sleeping>) -> Self {
        let settled = sleeping.rows();
        let lookup = Self(Arc::new(Tables {
            sleeping: Arc::clone(sleeping),
            scopes: DashMap::with_capacity_and_hasher(settled.keys(), RandomState::default()),
            origins: DashMap::with_capacity_and_hasher(settled.keys(), RandomState::default()),
            ..Tables::default()
        }));
        for (key, group) in settled.groups() {
            lookup.insert(key, Scopes::Asleep(group));
        }
        lookup
    }

    /// Writes a snapshot; `listed` if it is in the registration map, so that it can be matched.
    pub(crate) fn publish(&self, snapshot: Snapshot, listed: bool) {
        let snapshot = Arc::new(snapshot);
        self.0
            .registrations
            .insert(snapshot.id, Some(Arc::clone(&snapshot)));
        if listed {
            let key = &snapshot.storage_key;
            // There is one writer, so nothing happens between reading and inserting.
            match self.read_scopes(key, |scopes| scopes.with(&snapshot)) {
                Some(scopes) => self.swap(key, Scopes::Awake(scopes)),
                None => {
                    let scopes = ScopeIndex::default().with(&snapshot);
                    self.insert(key, Scopes::Awake(scopes));
                }
            }
        }
    }

    /// Takes a registration out of what can be matched; clients that use it still do.
    pub(crate) fn unlist(&self, key: &StorageKey, scope: &str) {
        let Some(left) = self.read_scopes(key, |it| it.without(scope)) else {
            return;
        };
        match left {
            Some(left) => self.swap(key, Scopes::Awake(left)),
            None => self.remove(key),
        }
    }

    pub(crate) fn forget(&self, registration: RegistrationId) {
        match self.0.sleeping.rows().find(registration) {
            Some(_) => self.0.registrations.insert(registration, None),
            None => self.0.registrations.remove(&registration).map(|(_, it)| it),
        };
    }

    pub(crate) fn set_client(&self, environment: Environment, uses: Option<RegistrationId>) {
        let entry = ClientEntry {
            environment: Arc::new(environment),
            uses,
        };
        self.0.clients.insert(entry.environment.id, entry);
    }

    pub(crate) fn set_client_use(&self, client: ClientId, uses: Option<RegistrationId>) {
        if let Some(mut entry) = self.0.clients.get_mut(&client) {
            entry.uses = uses;
        }
    }

    pub(crate) fn forbid_fall_through(&self, client: ClientId) {
        if let Some(mut entry) = self.0.clients.get_mut(&client) {
            Arc::make_mut(&mut entry.environment).fall_through_forbidden = true;
        }
    }

    pub(crate) fn remove_client(&self, client: ClientId) {
        self.0.clients.remove(&client);
    }

    /// Reads what is listed of a storage key; `None` if nothing is.
    fn read_scopes<T>(&self, key: &StorageKey, read: impl FnOnce(&ScopeIndex) -> T) -> Option<T> {
        let key = TableKey::of(key);
        let group = match self.0.scopes.get(&key)?.value() {
            Scopes::Awake(scopes) => return Some(read(scopes)),
            Scopes::Asleep(group) => *group,
        };
        // No lock is held meanwhile. Who else does this does the same, and what a writer has shown by
        // then stays.
        let scopes = self.list(group);
        if let Some(mut found) = self.0.scopes.get_mut(&key) {
            if let Scopes::Asleep(_) = found.value() {
                *found = Scopes::Awake(scopes);
            }
        }
        match self.0.scopes.get(&key)?.value() {
            Scopes::Awake(scopes) => Some(read(scopes)),
            Scopes::Asleep(_) => None,
        }
    }

    /// Lists what was stored of a storage key.
    fn list(&self, group: Group) -> ScopeIndex {
        let settled = self.0.sleeping.rows();
        let rows = settled.rows();
        let of_key = settled.places(group).iter().map(|at| &rows.rows()[*at]);
        ScopeIndex::new(of_key.map(|row| (rows.scope(row), row.id, None)))
    }

    fn swap(&self, key: &StorageKey, scopes: Scopes) {
        self.0.scopes.insert(TableKey::of(key), scopes);
    }

    /// The scopes of a storage key that had none.
    fn insert(&self, key: &StorageKey, scopes: Scopes) {
        self.swap(key, scopes);
        let origin = key.origin().as_str().into();
        *self.0.origins.entry(origin).or_default() += 1;
    }

    fn remove(&self, key: &StorageKey) {
        let origin = key.origin().as_str();
        if let Some(mut keys) = self.0.origins.get_mut(origin) {
            *keys -= 1;
        }
        self.0.origins.remove_if(origin, |_, keys| *keys == 0);
        self.0.scopes.remove(&TableKey::of(key));
    }
}

/// The serialized origin of a URL without user name: what comes before its path.
fn origin_of(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

fn without_userinfo(url: &Url) -> Cow<'_, Url> {
    if url.username().is_empty() && url.password().is_none() {
        return Cow::Borrowed(url);
    }
    let mut url = url.clone();
    // Both fail only for URLs that cannot have a user name.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        tracing::debug!(%url, "a user name that cannot be removed");
    }
    Cow::Owned(url)
}

#[cfg(test)]
mod tests {
    use sw_types::Origin;

    use super::*;

    fn url(url: &str) -> Url {
        Url::parse(url).unwrap()
    }

    fn key(origin: &str) -> StorageKey {
        StorageKey::first_party(Origin::of(&url(origin)))
    }

    fn snapshot(id: u64, key: &StorageKey, scope: &str) -> Snapshot {
        Snapshot {
            id: RegistrationId(id),
            storage_key: key.clone(),
            scope: ScopeUrl::parse(scope, None).unwrap(),
            provenance: Provenance::Script,
            navigation_preload: NavigationPreload::default(),
            last_update_check: None,
            stale_after: Duration::from_secs(1),
            active: None,
        }
    }

    fn matched(lookup: &Lookup, key: &StorageKey, to: &str) -> Option<u64> {
        lookup
            .match_registration(key, &url(to))
            .map(|found| found.id.0)
    }

    #[test]
    fn the_longest_string_prefix_wins() {
        let (lookup, key) = (Lookup::default(), key("https://a.test"));
        for (id, scope) in ["/b/", "/", "/b/a", "/prefix", "/b/c?q"].iter().enumerate() {
            lookup.publish(
                snapshot(id as u64, &key, &format!("https://a.test{scope}")),
                true,
            );
        }
        assert_eq!(matched(&lookup, &key, "https://a.test/b/z"), Some(0));
        assert_eq!(matched(&lookup, &key, "https://a.test/b/ab"), Some(2));
        assert_eq!(
            matched(&lookup, &key, "https://a.test/prefix-of/x"),
            Some(3)
        );
        assert_eq!(matched(&lookup, &key, "https://a.test/b/c?q=1#f"), Some(4));
        assert_eq!(matched(&lookup, &key, "https://a.test/zzz"), Some(1));
        assert_eq!(matched(&lookup, &key, "https://b.test/"), None);
        lookup.unlist(&key, "https://a.test/");
        assert_eq!(matched(&lookup, &key, "https://a.test/zzz"), None);
        assert_eq!(matched(&lookup, &key, "https://a.test/b/z"), Some(0));
    }

    #[test]
    fn matching_agrees_with_a_scan_over_random_scopes() {
        for seed in 0..200_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let mut path = |longest: u64| -> String {
                let len = next(longest + 1);
                (0..len)
                    .map(|_| ["a", "b", "/"][next(3) as usize])
                    .collect()
            };
            let (lookup, key) = (Lookup::default(), key("https://a.test"));
            let scopes: Vec<String> = (0..12)
                .map(|_| format!("https://a.test/{}", path(5)))
                .collect();
            for (id, scope) in scopes.iter().enumerate() {
                lookup.publish(snapshot(id as u64, &key, scope), true);
            }
            for _ in 0..50 {
                let to = format!("https://a.test/{}", path(7));
                let scan = scopes
                    .iter()
                    .filter(|scope| to.starts_with(*scope))
                    .max_by_key(|scope| scope.len());
                let found = lookup.match_registration(&key, &url(&to));
                assert_eq!(
                    found.as_ref().map(|found| found.scope.as_str()),
                    scan.map(String::as_str),
                    "seed {seed}, {to}, {scopes:?}"
                );
            }
        }
    }

    #[test]
    fn a_partition_sees_only_its_own() {
        let lookup = Lookup::default();
        let plain = key("https://a.test");
        let site = sw_types::Site::of(&Origin::of(&url("https://b.test")));
        let under = plain.clone().under(site, true);
        lookup.publish(snapshot(1, &plain, "https://a.test/"), true);
        assert_eq!(matched(&lookup, &under, "https://a.test/"), None);
        lookup.publish(snapshot(2, &under, "https://a.test/"), true);
        assert_eq!(matched(&lookup, &under, "https://a.test/"), Some(2));
        assert_eq!(matched(&lookup, &plain, "https://a.test/"), Some(1));
    }

    #[test]
    fn a_user_name_in_the_url_does_not_hide_a_registration() {
        let (lookup, key) = (Lookup::default(), key("https://a.test:8443"));
        assert!(!lookup.has_origin(&url("https://a.test:8443/x")));
        lookup.publish(snapshot(1, &key, "https://a.test:8443/"), true);
        assert_eq!(
            matched(&lookup, &key, "https://me:pw@a.test:8443/x"),
            Some(1)
        );
        assert!(lookup.has_origin(&url("https://me@a.test:8443/x")));
        assert!(lookup.has_origin(&url("https://a.test:8443/x")));
        assert!(!lookup.has_origin(&url("https://a.test/x")));
        assert!(!lookup.has_origin(&url("data:,x")));
    }

    #[test]
    fn what_is_unlisted_serves_on_until_it_is_forgotten() {
        let (lookup, key) = (Lookup::default(), key("https://a.test"));
        lookup.publish(snapshot(1, &key, "https://a.test/"), true);
        lookup.unlist(&key, "https://a.test/");
        assert!(!lookup.has_origin(&url("https://a.test/")));
        assert!(lookup.snapshot(RegistrationId(1)).is_some());
        lookup.forget(RegistrationId(1));
        assert!(lookup.snapshot(RegistrationId(1)).is_none());
    }
}
