//! What a browser keeps for an origin and `Clear-Site-Data` clears, besides cookies and HTTP cache.

use std::sync::Arc;

use service_worker::types::StorageKey;
use service_worker::{Handle, SiteData};

use crate::cache_storage::CacheStore;
use crate::fetch::FetchService;
use crate::net::{Clearing, StoredData};

/// Registrations and stashed ports, caches, authentication entries.
pub(crate) struct BrowserData {
    pub(crate) handle: Handle,
    pub(crate) caches: Arc<CacheStore>,
    pub(crate) fetches: Arc<FetchService>,
}

impl StoredData for BrowserData {
    fn clear_storage(&self, key: StorageKey) -> Clearing {
        let caches = self.caches.clear_key(&key);
        let cleared = self
            .handle
            .clear_site_data(SiteData::StorageKey(key.clone()));
        Box::pin(async move {
            if let Err(error) = cleared.await {
                tracing::warn!(%key, %error, "registrations were not cleared for good");
            }
            if let Err(error) = caches.await {
                tracing::warn!(%key, %error, "caches were not cleared");
            }
        })
    }

    fn clear_authentication(&self, key: &StorageKey) {
        self.fetches.clear_authentication(key);
    }
}
