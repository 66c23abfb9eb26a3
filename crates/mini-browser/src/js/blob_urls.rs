//! The blob URL store, which the agents of one browser share. (*File API*, "A URL for Blob and
//! MediaSource reference".)

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use service_worker::Body;
use service_worker::types::{Environment, Origin};
use url::Url;

use super::realm::RealmState;
use crate::fetch::{BlobObject, BlobStore, FetchService, PolicyContainer};

/// A blob URL store: a [service](super::RealmOptions::with_service) of the realms that share it, and
/// what their fetches find blobs in.
#[derive(Default)]
pub struct BlobUrls {
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// A blob URL entry: its object, and the environment that made it, with its policies.
#[derive(Clone)]
struct Entry {
    blob: Arc<StoredBlob>,
    environment: Arc<Environment>,
    policies: Arc<PolicyContainer>,
}

/// A blob that a URL leads to.
struct StoredBlob {
    bytes: Bytes,
    media_type: String,
    origin: Origin,
}

impl BlobObject for StoredBlob {
    fn length(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    fn media_type(&self) -> &str {
        &self.media_type
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn read(&self, range: Range<u64>) -> Body {
        let at = |position| usize::try_from(position).unwrap_or(usize::MAX);
        let (start, end) = (at(range.start), at(range.end).min(self.bytes.len()));
        Body::from(self.bytes.slice(start.min(end)..end))
    }
}

impl BlobUrls {
    /// *Add an entry to the blob URL store*: a *new blob URL*. `unique` is a new UUID.
    pub(super) fn add(
        &self,
        (environment, policies): (&Environment, &PolicyContainer),
        unique: &str,
        bytes: Bytes,
        media_type: String,
    ) -> String {
        let origin = environment.origin.clone();
        let url = format!("blob:{}/{unique}", origin.as_str());
        let entry = Entry {
            blob: Arc::new(StoredBlob {
                bytes,
                media_type,
                origin,
            }),
            environment: Arc::new(environment.clone()),
            policies: Arc::new(policies.clone()),
        };
        self.entries().insert(url.clone(), entry);
        url
    }

    /// *Remove an entry from the blob URL store*, if that environment may.
    pub(super) fn revoke(&self, url: &Url, environment: &Environment) {
        let mut entries = self.entries();
        let entry = entries.get(url.as_str());
        if entry.is_some_and(|entry| is_same_partition(&entry.environment, environment)) {
            entries.remove(url.as_str());
        }
    }

    /// *Create a policy container from a fetch response*, of a `blob:` URL: the policies of whoever
    /// made it.
    pub(super) fn policies(&self, url: &Url) -> Option<PolicyContainer> {
        Some((*self.entry(url)?.policies).clone())
    }

    /// The entry that a URL leads to when it is parsed, whatever its fragment.
    fn entry(&self, url: &Url) -> Option<Entry> {
        if url.scheme() != "blob" {
            return None;
        }
        let mut url = url.clone();
        url.set_fragment(None);
        self.entries().get(url.as_str()).cloned()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for BlobUrls {
    fn blob(&self, url: &Url, environment: &Environment) -> Option<Arc<dyn BlobObject>> {
        let entry = self.entry(url)?;
        is_same_partition(&entry.environment, environment)
            .then(|| Arc::clone(&entry.blob) as Arc<dyn BlobObject>)
    }
}

/// *Check for same-partition blob URL usage*: both have the same storage key for non-storage
/// purposes.
fn is_same_partition(a: &Environment, b: &Environment) -> bool {
    let key = |environment: &Environment| {
        (
            environment.origin.clone(),
            environment.top_level_site.clone(),
            environment.cross_site_ancestor,
            environment.ephemeral,
        )
    };
    key(a) == key(b)
}

/// What a `blob:` URL led to when it was parsed, for a fetch that happens later: the URL may be
/// revoked meanwhile.
#[derive(Clone)]
pub struct ResolvedBlob {
    url: Url,
    blob: Arc<dyn BlobObject>,
}

impl ResolvedBlob {
    /// What the URL leads to for a realm now; `None` if it is no `blob:` URL, or leads nowhere.
    pub(super) fn now(realm: &RealmState, url: &Url) -> Option<Self> {
        let store = realm.service::<BlobUrls>()?;
        let blob = store.blob(url, &realm.environment())?;
        Some(Self::new(url, blob))
    }

    /// The same for a navigation by a realm, which any partition may do.
    pub(super) fn for_navigation(realm: &RealmState, url: &Url) -> Option<Self> {
        let entry = realm.service::<BlobUrls>()?.entry(url)?;
        Some(Self::new(url, entry.blob))
    }

    fn new(url: &Url, blob: Arc<dyn BlobObject>) -> Self {
        let mut url = url.clone();
        url.set_fragment(None);
        Self { url, blob }
    }

    /// A service whose fetches of this URL give this blob.
    #[must_use]
    pub fn service(self, service: &FetchService) -> FetchService {
        service.clone().with_blobs(Arc::new(self))
    }

    /// The origin of a document that is made of it.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.blob.origin()
    }
}

impl BlobStore for ResolvedBlob {
    fn blob(&self, url: &Url, _: &Environment) -> Option<Arc<dyn BlobObject>> {
        let mut url = url.clone();
        url.set_fragment(None);
        (url == self.url).then(|| Arc::clone(&self.blob))
    }
}

impl std::fmt::Debug for ResolvedBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ResolvedBlob")
            .field(&self.url.as_str())
            .finish()
    }
}

/// What a realm fetches that URL with: what it leads to was settled when it was parsed, now.
pub(super) fn fetch_service(realm: &RealmState, url: &Url) -> Option<Arc<FetchService>> {
    let service = realm.service::<FetchService>()?;
    Some(match ResolvedBlob::now(realm, url) {
        Some(blob) => Arc::new(blob.service(&service)),
        None => service,
    })
}

/// The URLs that a realm made, and what its requests hold. The URLs end with the realm.
/// (*File API*, "lifetime of blob URLs".)
#[derive(Default)]
pub(super) struct OwnBlobs {
    urls: RefCell<BTreeSet<String>>,
    store: RefCell<Option<Arc<BlobUrls>>>,
    resolved: RefCell<BTreeMap<u64, ResolvedBlob>>,
}

impl OwnBlobs {
    /// *Create object URL*; `None` if this realm has no store.
    pub(super) fn create(
        &self,
        realm: &RealmState,
        unique: &str,
        bytes: Bytes,
        media_type: String,
    ) -> Option<String> {
        // What would end with the realm may not begin after it.
        if realm.has_ended() {
            return None;
        }
        let store = realm.service::<BlobUrls>()?;
        let owner = (&*realm.environment(), &*realm.policies());
        let url = store.add(owner, unique, bytes, media_type);
        self.urls.borrow_mut().insert(url.clone());
        self.store.replace(Some(store));
        Some(url)
    }

    /// *Revoke object URL*.
    pub(super) fn revoke(&self, realm: &RealmState, url: &Url) {
        if let Some(store) = realm.service::<BlobUrls>() {
            store.revoke(url, &realm.environment());
            self.urls.borrow_mut().remove(url.as_str());
        }
    }

    /// Keeps what a URL leads to now, under a number.
    pub(super) fn resolve(&self, realm: &RealmState, url: &Url) -> Option<u64> {
        let blob = ResolvedBlob::now(realm, url)?;
        let id = realm.event_loop().next_kept();
        self.resolved.borrow_mut().insert(id, blob);
        Some(id)
    }

    /// What is kept under that number.
    pub(super) fn resolved(&self, id: u64) -> Option<ResolvedBlob> {
        self.resolved.borrow().get(&id).cloned()
    }

    /// Lets go of it.
    pub(super) fn forget(&self, id: u64) {
        self.resolved.borrow_mut().remove(&id);
    }
}

impl Drop for OwnBlobs {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else {
            return;
        };
        let mut entries = store.entries();
        for url in self.urls.take() {
            entries.remove(&url);
        }
    }
}
