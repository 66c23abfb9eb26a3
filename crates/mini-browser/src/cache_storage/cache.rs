//! [`Cache`]: one cache of one storage key. (*Service Workers*, §5.4.)

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use service_worker::Body;
use service_worker::types::fetch::{RequestHead, ResponseHead};

use super::body_stream;
use super::query::{check_storable, request_matches};
use super::shelf::{Finished, Shelf};
use super::thread::{Answer, Place, StoreThread};
use super::{CacheError, QueryOptions};

/// One cache. It stays usable after [`CacheStore::delete`](super::CacheStore::delete) until the
/// last clone of it is gone; after its site's data was cleared it is [`CacheError::Gone`].
#[derive(Clone, Debug)]
pub struct Cache(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    thread: StoreThread,
    place: Place,
    id: u64,
}

/// A response from a cache.
#[derive(Debug)]
#[non_exhaustive]
pub struct CachedResponse {
    /// Its head, as it was put.
    pub head: ResponseHead,
    /// Its body. It is read as it is asked for; [`BodyError::Broken`](service_worker::BodyError)
    /// if what was stored is damaged, and the entry is not found again then.
    pub body: Body,
}

/// What is to be put into a cache.
#[derive(Debug)]
pub struct NewEntry {
    /// The request: a `GET` of an `http` or `https` URL.
    pub request: RequestHead,
    /// The head of the response.
    pub response: ResponseHead,
    /// Its body.
    pub body: Body,
}

impl Cache {
    /// Takes over what [`Shelf::open`](super::shelf::Shelf::open) counted.
    pub(super) fn opened(thread: StoreThread, place: Place, id: u64) -> Self {
        Self(Arc::new(Handle { thread, place, id }))
    }

    /// *match(request, options)*: the oldest entry that answers a request.
    ///
    /// # Errors
    /// [`CacheError::Gone`], or that the store failed.
    pub fn match_first(
        &self,
        request: &RequestHead,
        options: QueryOptions,
    ) -> Answer<Option<CachedResponse>> {
        let query = Some((request.clone(), options));
        self.ask(move |cache| Ok(cache.matching(query, 1)?.pop()))
    }

    /// *matchAll(request, options)*: all entries that answer a request, or all there are, the
    /// oldest first.
    ///
    /// # Errors
    /// [`CacheError::Gone`], or that the store failed.
    pub fn match_all(
        &self,
        request: Option<&RequestHead>,
        options: QueryOptions,
    ) -> Answer<Vec<CachedResponse>> {
        let query = request.map(|request| (request.clone(), options));
        self.ask(move |cache| cache.matching(query, usize::MAX))
    }

    /// *put(request, response)*: replaces what the request matches, once the body has been read to
    /// its end. Nothing happens unless it is polled, and nothing is put if it is dropped.
    ///
    /// # Errors
    /// What the standard refuses (see [`CacheError::is_type_error`]); [`CacheError::Body`], if the
    /// body ends early; [`CacheError::Gone`]; or that the store failed. Nothing is put then.
    pub async fn put(
        &self,
        request: RequestHead,
        response: ResponseHead,
        body: impl Into<Body>,
    ) -> Result<(), CacheError> {
        let body = body.into();
        self.put_all(vec![NewEntry {
            request,
            response,
            body,
        }])
        .await
    }

    /// *Batch Cache Operations* with `put` operations: all of the entries are put in one
    /// transaction, or none. Their bodies are read one after the other.
    ///
    /// # Errors
    /// As [`Cache::put`], and [`CacheError::Duplicate`].
    pub async fn put_all(&self, entries: Vec<NewEntry>) -> Result<(), CacheError> {
        check(&entries)?;
        let mut written = Vec::new();
        let mut finished = Vec::new();
        for entry in entries {
            let body = self.write(entry.body).await?;
            finished.push(Finished {
                request: entry.request,
                response: entry.response,
                body: body.number,
            });
            written.push(body);
        }
        self.ask(move |cache| cache.shelf.put(cache.id, finished))
            .await
    }

    /// *delete(request, options)*: whether there was anything to delete.
    ///
    /// # Errors
    /// [`CacheError::Gone`], or that the store failed.
    pub fn delete(&self, request: &RequestHead, options: QueryOptions) -> Answer<bool> {
        let request = request.clone();
        self.ask(move |cache| cache.shelf.delete_entries(cache.id, &request, options))
    }

    /// *keys(request, options)*: the requests of all entries, or of those that answer a request,
    /// the oldest first.
    ///
    /// # Errors
    /// [`CacheError::Gone`], or that the store failed.
    pub fn keys(
        &self,
        request: Option<&RequestHead>,
        options: QueryOptions,
    ) -> Answer<Vec<RequestHead>> {
        let request = request.cloned();
        self.ask(move |cache| {
            let query = request.as_ref().map(|request| (request, options));
            let found = cache.shelf.query(cache.id, query)?;
            Ok(found
                .into_iter()
                .map(|(_, record)| record.request)
                .collect())
        })
    }

    /// Writes a body beside the others; no row names it yet.
    async fn write(&self, mut body: Body) -> Result<WrittenBody, CacheError> {
        let written = self
            .ask(|cache| {
                Ok(WrittenBody {
                    number: cache.shelf.begin_body(cache.id)?,
                    thread: cache.thread,
                    place: cache.place,
                })
            })
            .await?;
        let number = written.number;
        while let Some(chunk) = body.next().await {
            let chunk: Bytes = chunk?;
            self.ask(move |cache| cache.shelf.append(number, &chunk))
                .await?;
        }
        self.ask(move |cache| cache.shelf.finish_body(number))
            .await?;
        Ok(written)
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(OnThread<'_>) -> Result<T, CacheError> + Send + 'static,
    ) -> Answer<T> {
        let Handle { thread, place, id } = &*self.0;
        let (own, place, id) = (thread.clone(), *place, *id);
        thread.ask(move |shelves| {
            work(OnThread {
                shelf: shelves.at(place),
                thread: own,
                place,
                id,
            })
        })
    }
}

/// What `put()` refuses before anything is written.
fn check(entries: &[NewEntry]) -> Result<(), CacheError> {
    for (index, entry) in entries.iter().enumerate() {
        check_storable(&entry.request, &entry.response)?;
        // Batch Cache Operations, step 4.2.3: no operation may match an earlier one.
        let is_duplicate = entries.iter().take(index).any(|earlier| {
            let options = QueryOptions::default();
            request_matches(&entry.request, &earlier.request, &earlier.response, options)
        });
        if is_duplicate {
            return Err(CacheError::Duplicate(entry.request.url().to_string()));
        }
    }
    Ok(())
}

/// A cache, seen from the store's thread.
pub(super) struct OnThread<'a> {
    pub(super) shelf: &'a mut Shelf,
    pub(super) thread: StoreThread,
    pub(super) place: Place,
    pub(super) id: u64,
}

impl OnThread<'_> {
    pub(super) fn matching(
        self,
        query: Option<(RequestHead, QueryOptions)>,
        at_most: usize,
    ) -> Result<Vec<CachedResponse>, CacheError> {
        let query = query.as_ref().map(|(request, options)| (request, *options));
        let found = self.shelf.matching(self.id, query, at_most)?;
        let responses = found.into_iter().map(|found| CachedResponse {
            head: found.response,
            body: body_stream::body(&self.thread, self.place, found.key, found.body),
        });
        Ok(responses.collect())
    }
}

/// A body that is written and not put; deleted with this, unless it was put by then.
struct WrittenBody {
    thread: StoreThread,
    place: Place,
    number: u64,
}

impl Drop for WrittenBody {
    fn drop(&mut self) {
        let (place, number) = (self.place, self.number);
        self.thread.tell(move |shelves| {
            shelves.at(place).abandon_body(number);
            Ok(())
        });
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let (place, id) = (self.place, self.id);
        self.thread.tell(move |shelves| shelves.at(place).close(id));
    }
}
