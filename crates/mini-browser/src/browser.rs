//! A browser: a profile, the service-worker facade, agents, and pages.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use service_worker::message_port::MessagePort;
use service_worker::tokio_adapter::{TokioClock, spawn};
use service_worker::types::ClientId;
use service_worker::{
    Config, Handle, HostEvent, OpenError, Policies, RedbStore, Reports, ServiceWorkers, StoreError,
};
use url::Url;

use crate::cache_storage::{self, CacheStore};
use crate::conformance::Reporter;
use crate::facade::Facade;
use crate::fetch::{BlobStore, FetchService};
use crate::js::{
    BlobUrls, Broadcasts, ConsoleSink, Limits, RealmOptions, SharedWorkers, WorkerHost,
    WorkerHostOptions,
};
use crate::net::{HyperNetwork, NetworkConfig, NetworkSetupError, StoredData};
use crate::page::{NavigateError, Page, navigate};
use crate::site_data::BrowserData;

/// What a browser is opened with.
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever opens a browser decides all of it"
)]
pub struct BrowserOptions {
    /// The folder of the profile; made if it is not there.
    pub profile: PathBuf,
    /// How the network is reached.
    pub network: NetworkConfig,
    /// What service workers may do.
    pub policies: Policies,
    /// Where the consoles of pages and workers go.
    pub console: Arc<dyn ConsoleSink>,
}

/// A browser that was opened.
#[non_exhaustive]
pub struct Opened {
    /// The browser.
    pub browser: Browser,
    /// What was found damaged in the profile: one line for people each.
    pub notices: Vec<String>,
    /// What happens in the background.
    pub reports: Reports,
}

/// Why a browser does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// The profile's folder cannot be made.
    #[error("cannot make the profile folder {path}: {error}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The registrations' file cannot be opened.
    #[error(transparent)]
    Profile(#[from] OpenError),
    /// The registrations cannot be read.
    #[error("the profile {path} cannot be read: {error}")]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
    /// The caches cannot be opened.
    #[error(transparent)]
    Caches(#[from] cache_storage::OpenError),
    /// The network cannot be set up.
    #[error(transparent)]
    Network(#[from] NetworkSetupError),
}

/// A browser with one profile.
pub struct Browser {
    pub(crate) parts: Arc<Parts>,
}

/// What a browser's pages share.
pub(crate) struct Parts {
    pub(crate) facade: Facade,
    pub(crate) host: WorkerHost,
    pub(crate) fetches: Arc<FetchService>,
    pub(crate) console: Arc<dyn ConsoleSink>,
    policies: Policies,
    page_limits: Mutex<Limits>,
    caches: Arc<CacheStore>,
    /// The network clears it as long as this lives.
    _data: Arc<dyn StoredData>,
    broadcasts: Arc<Broadcasts>,
    blob_urls: Arc<BlobUrls>,
    shared_workers: Arc<SharedWorkers>,
    /// Where the results of a page under test go.
    pub(crate) reporter: Option<Arc<Reporter>>,
    next_client: AtomicU64,
}

impl Browser {
    /// Opens a profile. Must be called within a tokio runtime, on which the driver and the network
    /// then live. Blocks while it reads the profile.
    ///
    /// # Errors
    /// As [`BrowserError`] says. A damaged file is no error: it is set aside, and a notice says so.
    pub fn open(options: BrowserOptions) -> Result<Opened, BrowserError> {
        Self::open_reporting(options, None)
    }

    /// The same, for a page under test.
    pub(crate) fn open_reporting(
        options: BrowserOptions,
        reporter: Option<Arc<Reporter>>,
    ) -> Result<Opened, BrowserError> {
        let BrowserOptions {
            profile,
            network,
            policies,
            console,
        } = options;
        fs::create_dir_all(&profile).map_err(|error| BrowserError::Folder {
            path: profile.clone(),
            error,
        })?;
        let path = profile.join("profile.redb");
        let (store, set_aside) = RedbStore::open(&path)?;
        let (caches, report) = CacheStore::start(&profile.join("caches.redb"))?;
        let mut notices: Vec<String> = set_aside.iter().map(ToString::to_string).collect();
        notices.extend(report.set_aside.iter().map(ToString::to_string));
        notices.extend(report.damage.iter().map(ToString::to_string));
        let network = HyperNetwork::new(network, tokio::runtime::Handle::current())?;
        let (cookies, kept) = (network.cookies(), network.clone());
        let ServiceWorkers {
            handle,
            driver,
            commands,
            reports,
            quarantined,
        } = service_worker::open(Config {
            policies: policies.clone(),
            clock: Arc::new(TokioClock),
            network: Arc::new(network),
            caches: Arc::new(caches.clone()),
            store: Box::new(store),
        })
        .map_err(|error| BrowserError::Store { path, error })?;
        notices.extend(quarantined);
        let facade = Facade::new(handle);
        let blob_urls = Arc::<BlobUrls>::default();
        let fetches = FetchService::new(Arc::new(facade.clone()))
            .with_cookies(cookies)
            .with_blobs(Arc::clone(&blob_urls) as Arc<dyn BlobStore>);
        let fetches = Arc::new(fetches);
        let caches = Arc::new(caches);
        let data: Arc<dyn StoredData> = Arc::new(BrowserData {
            handle: facade.handle().clone(),
            caches: Arc::clone(&caches),
            fetches: Arc::clone(&fetches),
        });
        kept.clear_also(Arc::downgrade(&data));
        let broadcasts = Arc::default();
        let host = worker_host(&facade, &fetches, &caches, &broadcasts, &console);
        let commanded = host.clone();
        drop(tokio::spawn(commands.for_each(move |(command, inbox)| {
            commanded.command(command, inbox);
            std::future::ready(())
        })));
        drop(spawn(driver));
        let parts = Parts {
            facade,
            host,
            fetches,
            console,
            policies,
            page_limits: Mutex::default(),
            caches,
            _data: data,
            broadcasts,
            blob_urls,
            shared_workers: Arc::default(),
            reporter,
            next_client: AtomicU64::new(1),
        };
        Ok(Opened {
            browser: Self {
                parts: Arc::new(parts),
            },
            notices,
            reports,
        })
    }

    /// What pages that are opened from now on may have; [`Limits::default`] at first, by which their
    /// scripts may run for any time.
    pub fn set_page_limits(&self, limits: Limits) {
        *lock(&self.parts.page_limits) = limits;
    }

    /// Opens a page at a URL, as if the user had typed it, and runs its scripts. To give up, drop the
    /// future, which closes the page; [`Self::set_page_limits`] says when a page is stopped.
    ///
    /// # Errors
    /// If there is no document: as [`NavigateError`] says.
    pub async fn navigate(&self, url: &Url) -> Result<Page, NavigateError> {
        navigate(&self.parts, url).await
    }

    /// Its service workers, for whoever looks on.
    #[must_use]
    pub fn service_workers(&self) -> &Handle {
        self.parts.facade.handle()
    }

    /// A push message has come for the registration that matches `url`: fires `push` at its active
    /// worker. There is no push service here, so whoever opens the browser is it. Whether there is
    /// such a registration.
    pub fn push(&self, url: &Url, data: Option<Bytes>) -> bool {
        let handle = self.parts.facade.handle();
        let registration = handle.registration_at(url);
        if let Some(registration) = registration {
            handle.push(registration, data);
        }
        registration.is_some()
    }

    /// Ends the pages that are still open and the workers, whatever their scripts are doing,
    /// finishes all writes and closes the profile.
    pub async fn close(self) {
        self.parts.host.close_pages();
        self.parts.facade.handle().shut_down().await;
        if let Err(error) = self.parts.caches.close().await {
            tracing::debug!(%error, "the caches were closed before");
        }
    }
}

impl Parts {
    /// An id that no client has had.
    pub(crate) fn next_client(&self) -> ClientId {
        ClientId(self.next_client.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn page_limits(&self) -> Limits {
        *lock(&self.page_limits)
    }

    pub(crate) fn host_event(&self, event: HostEvent<MessagePort>) {
        self.facade.handle().host_event(event);
    }

    /// Gives a page's realm what its scripts fetch and store with.
    pub(crate) fn services(&self, realm: RealmOptions) -> RealmOptions {
        let realm = realm
            .with_service(Arc::clone(&self.fetches))
            .with_service(Arc::clone(&self.caches))
            .with_service(Arc::clone(&self.broadcasts))
            .with_service(Arc::clone(&self.blob_urls))
            .with_service(Arc::clone(&self.shared_workers))
            .with_service(Arc::new(self.policies.partition));
        match &self.reporter {
            Some(reporter) => realm.with_service(Arc::clone(reporter)),
            None => realm,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn worker_host(
    facade: &Facade,
    fetches: &Arc<FetchService>,
    caches: &Arc<CacheStore>,
    broadcasts: &Arc<Broadcasts>,
    console: &Arc<dyn ConsoleSink>,
) -> WorkerHost {
    let mut options = WorkerHostOptions::new(Arc::clone(console), Arc::new(facade.clone()));
    let (fetches, caches) = (Arc::clone(fetches), Arc::clone(caches));
    let broadcasts = Arc::clone(broadcasts);
    options.prepare = Some(Arc::new(move |realm: RealmOptions| {
        realm
            .with_service(Arc::clone(&fetches))
            .with_service(Arc::clone(&caches))
            .with_service(Arc::clone(&broadcasts))
    }));
    let handle = facade.handle().clone();
    WorkerHost::new(options, Arc::new(move |event| handle.host_event(event)))
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser")
            .field("policies", &self.parts.policies.name)
            .finish_non_exhaustive()
    }
}
