//! Of caches: `caches`, and each `Cache` that a script has opened.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use rquickjs::{Ctx, Object, Promise, Result};
use serde_json::Value;
use service_worker::Body;
use service_worker::fetch_router::cross_origin_resource_policy_check;
use service_worker::types::fetch::{RequestHead, ResponseType};
use service_worker::types::{Origin, PartitionPolicy, StorageKey};

use super::fetch::{number, request_from_js, response_with_body};
use super::{OpError, Ops, heads, promise};
use crate::cache_storage::{Cache, CacheError, CacheStore, CachedResponse, NewEntry, QueryOptions};
use crate::js::JsBytes;
use crate::js::json::Json;
use crate::js::realm::{RealmKind, RealmState};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    declare_cache_storage(ops)?;
    declare_cache(ops)
}

fn declare_cache_storage<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_caches_open", move |ctx: Ctx<'js>, name: String| {
        let opened = access(&realm).map(|(store, key)| store.open(&key, &name));
        let open = realm.local::<Open>();
        promise(&ctx, &realm, async move {
            let id = open.keep(opened?.await.map_err(error)?);
            Ok(Json(Value::from(id)))
        })
    })?;

    let realm = ops.realm();
    ops.add("op_caches_has", move |ctx: Ctx<'js>, name: String| {
        let has = access(&realm).map(|(store, key)| store.has(&key, &name));
        promise(&ctx, &realm, async move { has?.await.map_err(error) })
    })?;

    let realm = ops.realm();
    ops.add("op_caches_delete", move |ctx: Ctx<'js>, name: String| {
        let deleted = access(&realm).map(|(store, key)| store.delete(&key, &name));
        promise(&ctx, &realm, async move { deleted?.await.map_err(error) })
    })?;

    let realm = ops.realm();
    ops.add("op_caches_keys", move |ctx: Ctx<'js>| {
        let names = access(&realm).map(|(store, key)| store.keys(&key));
        promise(&ctx, &realm, async move { names?.await.map_err(error) })
    })?;

    let realm = ops.realm();
    ops.add(
        "op_caches_match",
        move |ctx: Ctx<'js>, request: Json, options: Json, name: Option<String>| {
            let found = access(&realm).and_then(|(store, key)| {
                let request = request_from_js(&realm, &request.0)?;
                Ok(store.match_any(&key, name.as_deref(), &request, query_options(&options.0)))
            });
            let this = std::rc::Rc::clone(&realm);
            promise(&ctx, &realm, async move {
                let found = found?.await.map_err(error)?;
                match found {
                    Some(found) => found_to_js(&this, found),
                    None => Ok(Json(Value::Null)),
                }
            })
        },
    )
}

fn declare_cache<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add(
        "op_cache_match",
        move |ctx: Ctx<'js>, cache: f64, request: Option<Json>, options: Json, first: bool| {
            let cache = realm.local::<Open>().cache(cache);
            let request = optional_request(&realm, request);
            let options = query_options(&options.0);
            let this = std::rc::Rc::clone(&realm);
            promise(&ctx, &realm, async move {
                let (cache, request) = (cache?, request?);
                let found = match &request {
                    Some(request) if first => {
                        let found = cache.match_first(request, options).await;
                        found.map(|found| found.into_iter().collect())
                    }
                    request => cache.match_all(request.as_ref(), options).await,
                };
                let found = found.map_err(error)?.into_iter();
                found
                    .map(|found| found_to_js(&this, found))
                    .collect::<std::result::Result<Vec<_>, _>>()
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_cache_keys",
        move |ctx: Ctx<'js>, cache: f64, request: Option<Json>, options: Json| {
            let cache = realm.local::<Open>().cache(cache);
            let request = optional_request(&realm, request);
            let options = query_options(&options.0);
            let this = std::rc::Rc::clone(&realm);
            promise(&ctx, &realm, async move {
                let requests = cache?.keys(request?.as_ref(), options).await;
                let requests = requests.map_err(error)?.into_iter();
                let to_js = |request| Json(heads::request_to_js(&this, &request));
                Ok(requests.map(to_js).collect::<Vec<_>>())
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_cache_delete",
        move |ctx: Ctx<'js>, cache: f64, request: Json, options: Json| {
            let cache = realm.local::<Open>().cache(cache);
            let request = request_from_js(&realm, &request.0);
            let options = query_options(&options.0);
            promise(&ctx, &realm, async move {
                cache?.delete(&request?, options).await.map_err(error)
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_cache_put",
        move |ctx: Ctx<'js>, cache: f64, entries: Vec<Object<'js>>| -> Result<Promise<'js>> {
            let cache = realm.local::<Open>().cache(cache);
            let mut new_entries = Vec::with_capacity(entries.len());
            for entry in entries {
                new_entries.push(new_entry(&ctx, &realm, &entry)?);
            }
            promise(&ctx, &realm, async move {
                cache?.put_all(new_entries).await.map_err(error)
            })
        },
    )
}

/// Lets go of a cache that no script can reach.
pub(super) fn forget(realm: &RealmState, id: u64) {
    realm.local::<Open>().kept.borrow_mut().remove(&id);
}

/// The caches of the realm's scripts: the store, and whose they are.
pub(super) fn access(
    realm: &RealmState,
) -> std::result::Result<(Arc<CacheStore>, StorageKey), OpError> {
    let denied = || OpError::new("SecurityError", "this document or worker may use no caches");
    let environment = realm.environment();
    let key = match realm.kind() {
        RealmKind::ServiceWorker(start) => {
            Some(start.storage_key.clone()).filter(|_| !environment.storage_blocked)
        }
        RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => realm
            .service::<PartitionPolicy>()
            .and_then(|policy| policy.storage_key(&environment, &environment.origin)),
    };
    let store = realm.service::<CacheStore>();
    store.zip(key).ok_or_else(denied)
}

fn optional_request(
    realm: &RealmState,
    request: Option<Json>,
) -> std::result::Result<Option<RequestHead>, OpError> {
    request
        .map(|request| request_from_js(realm, &request.0))
        .transpose()
}

/// *CacheQueryOptions.*
fn query_options(options: &Value) -> QueryOptions {
    let is = |name: &str| options[name].as_bool().unwrap_or(false);
    QueryOptions {
        ignore_search: is("ignoreSearch"),
        ignore_method: is("ignoreMethod"),
        ignore_vary: is("ignoreVary"),
    }
}

fn new_entry<'js>(ctx: &Ctx<'js>, realm: &RealmState, entry: &Object<'js>) -> Result<NewEntry> {
    let (request, response): (Json, Json) = (entry.get("request")?, entry.get("response")?);
    let body: Option<JsBytes> = entry.get("body")?;
    let throw = |error: OpError| error.throw(ctx);
    let mut request = request_from_js(realm, &request.0).map_err(throw)?;
    // Who asked is not written to disk.
    request.requester = None;
    request.origin = realm.environment().origin.clone();
    request.tainted_origin = false;
    Ok(NewEntry {
        request,
        response: heads::response_from_js(realm, &response.0).map_err(throw)?,
        body: body.map_or_else(Body::empty, |body| Body::from(body.0)),
    })
}

/// A response from a cache for a script. (*match*, "If … cross-origin resource policy check …
/// returns blocked".)
fn found_to_js(realm: &RealmState, found: CachedResponse) -> std::result::Result<Json, OpError> {
    let CachedResponse { head, body, .. } = found;
    if let (ResponseType::Opaque, Some(url)) = (head.response_type, head.url()) {
        let origin: &Origin = &realm.environment().origin;
        cross_origin_resource_policy_check(origin, realm.policies().embedder, &head, url)
            .map_err(|error| OpError::type_error(error.to_string()))?;
    }
    let has_body = !matches!(head.status.as_u16(), 101 | 103 | 204 | 205 | 304);
    Ok(response_with_body(realm, head, has_body.then_some(body)))
}

fn error(error: CacheError) -> OpError {
    let name = match &error {
        error if error.is_type_error() => "TypeError",
        CacheError::Body(_) => "TypeError",
        CacheError::Duplicate(_) | CacheError::Gone => "InvalidStateError",
        CacheError::Full | CacheError::Quota { .. } => "QuotaExceededError",
        _ => "UnknownError",
    };
    OpError::new(name, error.to_string())
}

/// The caches that scripts have opened.
#[derive(Default)]
struct Open {
    last: Cell<u64>,
    kept: RefCell<BTreeMap<u64, Cache>>,
}

impl Open {
    fn keep(&self, cache: Cache) -> u64 {
        self.last.set(self.last.get() + 1);
        self.kept.borrow_mut().insert(self.last.get(), cache);
        self.last.get()
    }

    fn cache(&self, id: f64) -> std::result::Result<Cache, OpError> {
        let cache = self.kept.borrow().get(&number(id)).cloned();
        cache.ok_or_else(|| OpError::new("InvalidStateError", "the cache is not open"))
    }
}
