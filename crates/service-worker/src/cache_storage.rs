//! The caches of a host, as static routes ask them.

use std::future::Future;
use std::pin::Pin;

use sw_types::StorageKey;
use sw_types::fetch::RequestHead;

use crate::Response;

/// What a host's `caches` answer to a router rule whose source is a cache. (*Service Workers*,
/// "Handle Fetch", "Query Cache".)
pub trait CacheStorage: Send + Sync + 'static {
    /// *Query Cache* with the default options: the first response that a cache of `key` has for
    /// `request`, in the order in which the caches were made; with a name, of that cache only, which
    /// is not made. The response is as it was put.
    fn query(
        &self,
        key: &StorageKey,
        cache_name: Option<&str>,
        request: &RequestHead,
    ) -> CacheFuture;
}

/// What [`CacheStorage::query`] gives: a response, if there is one; or why there is none, for people.
pub type CacheFuture = Pin<Box<dyn Future<Output = Result<Option<Response>, String>> + Send>>;

/// A host without `caches`: every look-up misses.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct NoCaches;

impl CacheStorage for NoCaches {
    fn query(&self, _: &StorageKey, _: Option<&str>, _: &RequestHead) -> CacheFuture {
        Box::pin(std::future::ready(Ok(None)))
    }
}
