//! [`CacheStore`]: the CacheStorage of every storage key. (*Service Workers*, §5.5.)

use std::path::Path;

use service_worker::types::fetch::RequestHead;
use service_worker::types::{EphemeralId, Origin, StorageKey};
use service_worker::{CacheFuture, Response};

use super::cache::OnThread;
use super::open::{open_in_memory, open_on_disk};
use super::thread::{Answer, Place, Shelves, StoreThread};
use super::{Cache, CachedResponse, Damage, OpenError, OpenReport, QueryOptions};

/// What is stored for a storage key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageEstimate {
    /// What it takes, in bytes.
    pub usage: u64,
    /// What it may take.
    pub quota: u64,
}

/// All caches of a profile.
///
/// ```
/// use mini_browser::cache_storage::{CacheStore, QueryOptions};
/// use service_worker::types::{fetch::{RequestHead, ResponseHead}, Origin, StorageKey};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = CacheStore::in_memory()?;
/// let url = url::Url::parse("https://fonts.example/a.woff2")?;
/// let key = StorageKey::first_party(Origin::of(&url));
/// let cache = store.open(&key, "fonts").await?;
/// let request = RequestHead::get(url.clone(), Origin::of(&url));
/// let response = ResponseHead::new(http::StatusCode::OK, http::HeaderMap::new());
/// cache.put(request.clone(), response, "font").await?;
/// let found = cache.match_first(&request, QueryOptions::default()).await?;
/// assert_eq!(found.ok_or("nothing")?.body.collect(100).await?, "font");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Every method but [`CacheStore::start`] and [`CacheStore::in_memory`] returns at once. What
/// gives an [`Answer`] happens in the order in which it was asked, polled or not; a put happens when
/// its body has been read. The files are closed when the last clone,
/// [`Cache`] and body is gone, or by [`CacheStore::close`].
#[derive(Clone, Debug)]
pub struct CacheStore(StoreThread);

impl CacheStore {
    /// Opens the store whose index is at `path` (`caches.redb` in the profile) and whose bodies are
    /// in the folder beside it (`caches.redb.bodies`), and makes both if they are not there.
    ///
    /// An index that cannot be used is set aside as `caches.redb.damaged-1` (and so on), with its
    /// bodies. What is damaged inside is quarantined. The report tells both. Blocks: it reads the
    /// whole index.
    ///
    /// # Errors
    /// [`OpenError`], if another process has it open or the file system refuses.
    pub fn start(path: &Path) -> Result<(Self, OpenReport), OpenError> {
        let (profile, report) = open_on_disk(path)?;
        let shelves = Shelves {
            profile,
            session: open_in_memory()?,
        };
        Ok((Self::run(shelves, path)?, report))
    }

    /// A store that leaves nothing on disk.
    ///
    /// # Errors
    /// [`OpenError`], if the system gives no thread.
    pub fn in_memory() -> Result<Self, OpenError> {
        let shelves = Shelves {
            profile: open_in_memory()?,
            session: open_in_memory()?,
        };
        Self::run(shelves, Path::new(":memory:"))
    }

    fn run(shelves: Shelves, path: &Path) -> Result<Self, OpenError> {
        let thread = StoreThread::start(shelves).map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(thread))
    }

    /// *open(cacheName)*: the cache with that name, made if there is none.
    ///
    /// # Errors
    /// That the store failed.
    pub fn open(&self, key: &StorageKey, name: &str) -> Answer<Cache> {
        let (thread, place) = (self.0.clone(), Place::of(key));
        let (key, name) = (key.clone(), name.to_owned());
        self.0.ask(move |shelves| {
            let id = shelves.at(place).open(&key, &name)?;
            Ok(Cache::opened(thread, place, id))
        })
    }

    /// *has(cacheName)*.
    ///
    /// # Errors
    /// That the store is closed.
    pub fn has(&self, key: &StorageKey, name: &str) -> Answer<bool> {
        let (key, name) = (key.clone(), name.to_owned());
        self.0
            .ask(move |shelves| Ok(shelves.at(Place::of(&key)).find(&key, &name).is_some()))
    }

    /// *delete(cacheName)*: whether there was such a cache. A [`Cache`] of it stays usable.
    ///
    /// # Errors
    /// That the store failed.
    pub fn delete(&self, key: &StorageKey, name: &str) -> Answer<bool> {
        let (key, name) = (key.clone(), name.to_owned());
        self.0
            .ask(move |shelves| shelves.at(Place::of(&key)).delete(&key, &name))
    }

    /// *keys()*: the names of the caches, in the order in which they were made.
    ///
    /// # Errors
    /// That the store is closed.
    pub fn keys(&self, key: &StorageKey) -> Answer<Vec<String>> {
        let key = key.clone();
        self.0
            .ask(move |shelves| Ok(shelves.at(Place::of(&key)).names(&key)))
    }

    /// *match(request, options)*: the first answer that any cache has, in the order in which they
    /// were made; with a name (*MultiCacheQueryOptions*' `cacheName`) that of one cache only, which
    /// is not made.
    ///
    /// # Errors
    /// That the store failed.
    pub fn match_any(
        &self,
        key: &StorageKey,
        cache_name: Option<&str>,
        request: &RequestHead,
        options: QueryOptions,
    ) -> Answer<Option<CachedResponse>> {
        let (thread, place) = (self.0.clone(), Place::of(key));
        let (key, request) = (key.clone(), request.clone());
        let cache_name = cache_name.map(ToOwned::to_owned);
        self.0.ask(move |shelves| {
            let shelf = shelves.at(place);
            let ids: Vec<u64> = match cache_name {
                Some(name) => shelf.find(&key, &name).into_iter().collect(),
                None => shelf.ids(&key).collect(),
            };
            for id in ids {
                let cache = OnThread {
                    shelf: shelves.at(place),
                    thread: thread.clone(),
                    place,
                    id,
                };
                let found = cache.matching(Some((request.clone(), options)), 1)?.pop();
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }

    /// What the caches of one storage key take and may take. Usage is in bytes, those of opaque
    /// responses padded; entries whose bodies were found to be damaged count until the store is
    /// opened again. (*Storage*, "storage usage" and "storage quota".)
    ///
    /// # Errors
    /// That the store is closed.
    pub fn estimate(&self, key: &StorageKey) -> Answer<StorageEstimate> {
        let key = key.clone();
        self.0.ask(move |shelves| {
            let usage = shelves.at(Place::of(&key)).usage();
            Ok(StorageEstimate {
                usage: usage.of(&key),
                quota: usage.quota(),
            })
        })
    }

    /// From now on the caches of each storage key may take so many bytes: at first it is 10 GiB on
    /// disk, and 256 MiB in memory. What is there stays.
    ///
    /// # Errors
    /// That the store is closed.
    pub fn set_quota(&self, quota: u64) -> Answer<()> {
        self.0.ask(move |shelves| {
            shelves.profile.usage().set_quota(quota);
            shelves.session.usage().set_quota(quota);
            Ok(())
        })
    }

    /// Clears the caches of one storage key.
    ///
    /// # Errors
    /// That the store failed.
    pub fn clear_key(&self, key: &StorageKey) -> Answer<()> {
        let key = key.clone();
        self.clear(move |other| *other == key)
    }

    /// Clears the caches of an origin, in every partition and private session.
    ///
    /// # Errors
    /// That the store failed.
    pub fn clear_origin(&self, origin: &Origin) -> Answer<()> {
        let origin = origin.clone();
        self.clear(move |key| *key.origin() == origin)
    }

    /// Clears the caches of a private session that has ended.
    ///
    /// # Errors
    /// That the store failed.
    pub fn end_session(&self, session: EphemeralId) -> Answer<()> {
        self.clear(move |key| key.ephemeral() == Some(session))
    }

    fn clear(&self, cleared: impl Fn(&StorageKey) -> bool + Send + 'static) -> Answer<()> {
        self.0.ask(move |shelves| {
            shelves.session.clear(&cleared)?;
            shelves.profile.clear(&cleared)
        })
    }

    /// What was found to be damaged since the store was opened, or since this was asked last.
    ///
    /// # Errors
    /// That the store is closed.
    pub fn take_damage(&self) -> Answer<Vec<Damage>> {
        self.0.ask(|shelves| Ok(shelves.profile.take_damage()))
    }

    /// How many damaged records are kept in quarantine. They go when their cache, or their site's
    /// data, is deleted; those whose owner is not known go with any site's data.
    ///
    /// # Errors
    /// That the store failed.
    pub fn quarantined(&self) -> Answer<u64> {
        self.0.ask(|shelves| shelves.profile.quarantined())
    }

    /// Does what was asked before and closes the files; after that everything is
    /// [`CacheError::Closed`](super::CacheError::Closed).
    ///
    /// # Errors
    /// [`CacheError::Closed`](super::CacheError::Closed), if it is closed already.
    pub fn close(&self) -> Answer<()> {
        self.0.close()
    }
}

impl service_worker::CacheStorage for CacheStore {
    fn query(
        &self,
        key: &StorageKey,
        cache_name: Option<&str>,
        request: &RequestHead,
    ) -> CacheFuture {
        let found = self.match_any(key, cache_name, request, QueryOptions::default());
        Box::pin(async move {
            let found = found.await.map_err(|error| error.to_string())?;
            Ok(found.map(|CachedResponse { head, body }| Response { head, body }))
        })
    }
}
