//! Of fetches: `fetch()` with its abort, the bodies of responses, and the URLs of requests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use http::Method;
use rquickjs::{Ctx, IntoJs, Promise, Result};
use serde_json::{Value, json};
use service_worker::types::fetch::{
    CacheMode, CredentialsMode, Destination, LookAside, RedirectMode, RequestHead, RequestMode,
    ResponseHead, ResponseType, ServiceWorkersMode, mime_type,
};
use service_worker::types::{EventId, Origin};
use service_worker::{Body, Response};
use url::Url;

use super::heads::Behalf;
use super::{OpError, Ops, caches, heads, promise};
use crate::fetch::{
    FetchError, FetchParams, FetchService, FetchedResponse, RequestBody, Source, policy_of_keyword,
};
use crate::js::JsBytes;
use crate::js::blob_urls::OwnBlobs;
use crate::js::console::ConsoleLevel;
use crate::js::fetch_events::Fetches;
use crate::js::json::Json;
use crate::js::realm::{RealmKind, RealmState};
use crate::js::timings::{Measured, Measuring, Timings};

/// The longest body that scripts can read, in bytes.
pub(super) const BODY_LIMIT: usize = 64 << 20;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_request_url", move |url: String| {
        let url = realm.base_url().join(&url).ok();
        Json(url.map_or(Value::Null, |url| {
            json!({
                "href": url.as_str(),
                "hasCredentials": !url.username().is_empty() || url.password().is_some(),
                "isSameOrigin": Origin::of(&url) == realm.environment().origin,
            })
        }))
    })?;

    let realm = ops.realm();
    ops.add(
        "op_fetch",
        move |ctx: Ctx<'js>, operation: f64, head: Json, body: Option<JsBytes>| {
            let fetched = fetch(Rc::clone(&realm), head.0, body.map(|body| body.0));
            promise(&ctx, &realm, abortable(&realm, operation, fetched))
        },
    )?;

    // For an element: what it may know of a response that a script may not look into.
    let realm = ops.realm();
    ops.add(
        "op_fetch_element",
        move |ctx: Ctx<'js>, operation: f64, head: Json| {
            let fetched = fetch_for_element(Rc::clone(&realm), head.0);
            promise(&ctx, &realm, abortable(&realm, operation, fetched))
        },
    )?;

    let operations = ops.realm().local::<Operations>();
    ops.add("op_abort", move |operation: f64| {
        if let Some(handle) = operations.0.borrow_mut().remove(&number(operation)) {
            handle.abort();
        }
    })?;

    let realm = ops.realm();
    ops.add(
        "op_body_bytes",
        move |ctx: Ctx<'js>, operation: f64, body: f64| -> Result<Promise<'js>> {
            let body = realm.local::<Bodies>().take(number(body));
            let bytes = async move {
                let body = body.ok_or_else(|| OpError::type_error("the body was read already"))?;
                let bytes = body.collect(BODY_LIMIT).await;
                bytes
                    .map(JsBytes)
                    .map_err(|error| OpError::type_error(error.to_string()))
            };
            promise(&ctx, &realm, abortable(&realm, operation, bytes))
        },
    )?;

    // The next chunk; nothing at the end.
    let realm = ops.realm();
    ops.add(
        "op_body_chunk",
        move |ctx: Ctx<'js>, operation: f64, body: f64| -> Result<Promise<'js>> {
            let chunk = next_chunk(realm.local::<Bodies>(), number(body));
            promise(&ctx, &realm, abortable(&realm, operation, chunk))
        },
    )?;

    let realm = ops.realm();
    ops.add("op_forget", move |kind: String, id: f64| {
        let id = number(id);
        match kind.as_str() {
            "body" => drop(realm.local::<Bodies>().take(id)),
            "blob" => realm.local::<OwnBlobs>().forget(id),
            "cache" => caches::forget(&realm, id),
            "requester" => realm.local::<heads::Heads>().forget_requester(id),
            "response" => realm.local::<heads::Heads>().forget_response(id),
            _ => tracing::debug!(kind, "something unknown cannot be forgotten"),
        }
    })
}

/// The longest chunk that a script gets, in bytes.
const CHUNK_LIMIT: usize = 256 << 10;

/// The next chunk of a body, which goes on being kept unless that was the end.
async fn next_chunk(bodies: Rc<Bodies>, id: u64) -> std::result::Result<Option<JsBytes>, OpError> {
    let body = bodies.take(id);
    let mut body = body.ok_or_else(|| OpError::type_error("the body was read already"))?;
    let chunk = std::future::poll_fn(|cx| body.poll_chunk(cx)).await;
    let Some(chunk) = chunk else {
        return Ok(None);
    };
    let mut chunk = chunk.map_err(|error| OpError::type_error(error.to_string()))?;
    if chunk.len() > CHUNK_LIMIT {
        let first = chunk.split_to(CHUNK_LIMIT);
        let rest = futures_util::stream::once(std::future::ready(Ok(chunk)));
        body = Body::from_stream(rest.chain(body));
        chunk = first;
    }
    bodies.kept.borrow_mut().insert(id, body);
    Ok(Some(JsBytes(chunk)))
}

/// Keeps a body until a script has read it, under the number that is given back.
pub(in crate::js) fn keep_body(realm: &RealmState, body: Body) -> u64 {
    let id = realm.event_loop().next_kept();
    let bodies = realm.local::<Bodies>();
    bodies.kept.borrow_mut().insert(id, body);
    id
}

/// The body of that number, which is not kept any more.
pub(super) fn take_body(realm: &RealmState, id: f64) -> Option<Body> {
    realm.kept(|bodies: &Bodies| bodies.take(number(id)))
}

/// *Fetch* for an element: `{ status, type, url, contentType, contentRange, isNoSniff, body }`, of the
/// internal response.
async fn fetch_for_element(
    realm: Rc<RealmState>,
    head: Value,
) -> std::result::Result<Json, OpError> {
    let failed = |why: &str| {
        realm.log(ConsoleLevel::Error, &format!("fetch failed: {why}"));
        OpError::type_error("Failed to fetch")
    };
    let service = realm.service::<FetchService>();
    let service = service.ok_or_else(|| failed("this realm has no network"))?;
    let params = fetch_params(&realm, &head, None)?;
    let initiator = match params.head.destination {
        Destination::Script => "script",
        Destination::Image => "img",
        Destination::Font => "css",
        Destination::Audio => "audio",
        Destination::Video => "video",
        Destination::Track => "track",
        _ => "link",
    };
    let fetched = timed(&realm, &service, params, initiator).await;
    let fetched = fetched.map_err(|error| failed(&error.to_string()))?;
    let head = fetched.head;
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let body = fetched.body.map(|body| keep_body(&realm, body));
    Ok(Json(json!({
        "status": head.status.as_u16(),
        "type": head.response_type.as_str(),
        "url": head.url().map(Url::as_str),
        "contentType": mime_type(&head.headers),
        "contentRange": header("content-range"),
        "isNoSniff": header("x-content-type-options")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("nosniff")),
        "body": body,
    })))
}

/// *Fetch* for a script: `{ head, body, bytes, wasSent }`, the last of which says whether the network had
/// the request's body, and `bytes` what a short body that is there has, if the script takes it so
/// (`takesBytes`): `body` is null then. Why it failed is for people, in the console; the script
/// sees one `TypeError` for all network errors.
async fn fetch(
    realm: Rc<RealmState>,
    head: Value,
    body: Option<Bytes>,
) -> std::result::Result<Fetched, OpError> {
    let failed = |why: &str| {
        realm.log(ConsoleLevel::Error, &format!("fetch failed: {why}"));
        OpError::type_error("Failed to fetch")
    };
    let service = realm.service::<FetchService>();
    let service = service.ok_or_else(|| failed("this realm has no network"))?;
    let blob = head["blobId"].as_u64();
    let blob = blob.and_then(|id| realm.kept(|blobs: &OwnBlobs| blobs.resolved(id)));
    let service = match blob {
        Some(blob) => Arc::new(blob.service(&service)),
        None => service,
    };
    let params = fetch_params(&realm, &head, body)?;
    let fetched = timed(&realm, &service, params, initiator(&head)).await;
    let fetched = fetched.map_err(|error| failed(&error.to_string()))?;
    let was_sent = fetched.source == Source::Network;
    let is_taken = |bytes: &Bytes| head["takesBytes"] == true && bytes.len() <= CHUNK_LIMIT;
    let bytes = fetched.body.as_ref().and_then(Body::bytes);
    let bytes = bytes.filter(is_taken);
    let body = fetched.body.filter(|_| bytes.is_none());
    let Json(mut response) = response_with_body(&realm, fetched.head, body);
    response["wasSent"] = Value::from(was_sent);
    Ok(Fetched { response, bytes })
}

/// What [`fetch`] gives.
struct Fetched {
    response: Value,
    bytes: Option<Bytes>,
}

impl<'js> IntoJs<'js> for Fetched {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<rquickjs::Value<'js>> {
        let response = Json(self.response).into_js(ctx)?;
        if let Some(object) = response.as_object() {
            object.set("bytes", self.bytes.map(JsBytes))?;
        }
        Ok(response)
    }
}

/// `preloadResponse` of a fetch event, as [`fetch`] gives responses. It leaves an entry of the worker's,
/// under the URL that is navigated to.
pub(super) async fn preload_response(
    realm: Rc<RealmState>,
    fetches: Option<Arc<Fetches>>,
    event: EventId,
    url: Option<Url>,
) -> std::result::Result<Json, OpError> {
    let start = Instant::now();
    let fetches = fetches.ok_or_else(|| OpError::type_error("this is not a service worker"))?;
    let response = fetches.preload(event).await;
    let Response { head, body } = response
        .map_err(|why| OpError::type_error(format!("the navigation preload failed: {why}")))?;
    let is_null = matches!(head.status.as_u16(), 204 | 205 | 304);
    let mut body = (!is_null).then_some(body);
    if let Some(url) = url {
        let measured = Measured::for_worker(&realm, "navigation", (url, start), head.clone());
        let timings = realm.local::<Timings>();
        // Of a redirect, no script reads the body.
        if head.response_type == ResponseType::OpaqueRedirect {
            timings.add(measured.entry(Instant::now(), 0));
        } else {
            body = timings.report(measured, body);
        }
    }
    Ok(response_with_body(&realm, head, body))
}

/// The *initiator type* of what a script fetches.
pub(super) fn initiator(head: &Value) -> &'static str {
    match head["initiator"].as_str() {
        Some("xmlhttprequest") => "xmlhttprequest",
        _ => "fetch",
    }
}

/// *Fetch*, which leaves an entry among the realm's resource timings when its body ends.
async fn timed(
    realm: &RealmState,
    service: &FetchService,
    params: FetchParams,
    initiator: &'static str,
) -> std::result::Result<FetchedResponse, FetchError> {
    let measuring = Measuring::begin(realm, &params, initiator);
    let fetched = service.fetch(params).await;
    let Some(measuring) = measuring else {
        return fetched;
    };
    let timings = realm.local::<Timings>();
    match fetched {
        Ok(mut fetched) => {
            let measured = measuring.ended(Some(&mut fetched));
            fetched.body = timings.report(measured, fetched.body);
            Ok(fetched)
        }
        Err(error) => {
            let measured = measuring.ended(None);
            timings.add(measured.entry(Instant::now(), 0));
            Err(error)
        }
    }
}

/// `{ head, body }`, where `body` is the number of a body that is kept, or null.
pub(super) fn response_with_body(
    realm: &RealmState,
    head: ResponseHead,
    body: Option<Body>,
) -> Json {
    let body = body.map(|body| keep_body(realm, body));
    Json(json!({ "head": response_to_js(realm, head), "body": body }))
}

/// What a script may see of a response, and the number of the rest.
pub(super) fn response_to_js(realm: &RealmState, head: ResponseHead) -> Value {
    let is_opaque = matches!(
        head.response_type,
        ResponseType::Opaque | ResponseType::Error
    );
    let urls: Vec<_> = head.url_list.iter().map(Url::as_str).collect();
    let is_hidden = is_opaque || head.response_type == ResponseType::OpaqueRedirect;
    json!({
        "type": head.response_type.as_str(),
        "urlList": if is_opaque { Vec::new() } else { urls },
        "status": head.visible_status(),
        "statusText": if is_hidden { "" } else { head.status_text.as_str() },
        "headers": heads::headers_to_js(&head.visible_headers()),
        "headId": heads::keep_response(realm, head.clone()),
    })
}

pub(super) fn fetch_params(
    realm: &RealmState,
    head: &Value,
    body: Option<Bytes>,
) -> std::result::Result<FetchParams, OpError> {
    let mut request = request_from_js(realm, head)?;
    let navigated = match behalf(realm, head)? {
        Some(Behalf::Navigation(navigated)) => Some(navigated),
        Some(Behalf::FallThrough(_)) | None => None,
    };
    request.has_body = body.is_some();
    let policy = policy_of_keyword(text(head, "referrerPolicy")?);
    let params = FetchParams::new(request, realm.environment().clone());
    let mut params = params.with_policies(&realm.policies());
    let kept = head["bodyId"]
        .as_u64()
        .map(|id| realm.local::<Bodies>().take(id));
    params.head.has_body |= kept.is_some();
    params.body = match kept {
        None => body.unwrap_or_default().into(),
        Some(None) => return Err(OpError::type_error("the request's body was read already")),
        Some(Some(body)) => RequestBody::from_body(body),
    };
    if let Some(policy) = policy {
        params.referrer_policy = policy;
    }
    params.redirected_from = navigated
        .map(|navigated| navigated.redirected_from)
        .unwrap_or_default();
    Ok(params)
}

/// The request that `requestToHost` gave, made by the realm's environment.
pub(super) fn request_from_js(
    realm: &RealmState,
    head: &Value,
) -> std::result::Result<RequestHead, OpError> {
    let environment = realm.environment();
    let bad = |what: &str| OpError::type_error(format!("the request's {what} is not valid"));
    let urls = head["urlList"].as_array().ok_or_else(|| bad("URL list"))?;
    let urls = urls.iter().map(|url| Url::parse(url.as_str()?).ok());
    let url_list: Option<Vec<Url>> = urls.collect();
    let url_list = url_list
        .filter(|urls| !urls.is_empty())
        .ok_or_else(|| bad("URL list"))?;
    let method = Method::from_bytes(text(head, "method")?.as_bytes());
    let referrer = match text(head, "referrer")? {
        "" => None,
        "about:client" if environment.origin.is_opaque() => None,
        "about:client" => Some(environment.creation_url.clone()),
        url => Some(Url::parse(url).map_err(|_| bad("referrer"))?),
    };
    let own = || (environment.origin.clone(), false);
    let (requester, (origin, tainted_origin)) = match behalf(realm, head)? {
        Some(Behalf::FallThrough(requester)) => (Some(requester), own()),
        Some(Behalf::Navigation(it)) => (None, (it.origin, it.tainted_origin)),
        None => (None, own()),
    };
    Ok(RequestHead {
        method: method.map_err(|_| bad("method"))?,
        headers: heads::headers_from_js(&head["headers"])?,
        destination: keyword(head, "destination", Destination::from_keyword)?,
        mode: keyword(head, "mode", RequestMode::from_keyword)?,
        credentials: keyword(head, "credentials", CredentialsMode::from_keyword)?,
        cache: keyword(head, "cache", CacheMode::from_keyword)?,
        redirect: keyword(head, "redirect", RedirectMode::from_keyword)?,
        service_workers: match realm.kind() {
            // SEMANTICS §5.4: a worker's own fetch() skips its own worker.
            RealmKind::ServiceWorker(_) => ServiceWorkersMode::Foreign,
            RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => {
                ServiceWorkersMode::All
            }
        },
        look_aside: keyword(head, "lookAside", LookAside::from_keyword)?,
        referrer,
        integrity: text(head, "integrity")?.to_owned(),
        use_cors_preflight: head["useCorsPreflight"].as_bool().unwrap_or(false),
        keepalive: head["keepalive"].as_bool().unwrap_or(false),
        reload_navigation: head["reloadNavigation"].as_bool().unwrap_or(false),
        history_navigation: head["historyNavigation"].as_bool().unwrap_or(false),
        requester,
        origin,
        tainted_origin,
        url_list,
        ..RequestHead::get(realm.url().clone(), environment.origin.clone())
    })
}

/// On whose behalf the request is made, if not on the realm's own. Who is not known any more must not
/// turn into the realm itself.
fn behalf(realm: &RealmState, head: &Value) -> std::result::Result<Option<Behalf>, OpError> {
    let Some(id) = head["requesterId"].as_u64() else {
        return Ok(None);
    };
    let found = realm.kept(|heads: &heads::Heads| heads.requester(id));
    let unknown = || OpError::type_error("the request's requester is not valid");
    found.map(Some).ok_or_else(unknown)
}

fn text<'a>(head: &'a Value, member: &str) -> std::result::Result<&'a str, OpError> {
    let text = head[member].as_str();
    text.ok_or_else(|| OpError::type_error(format!("the request's {member} is not a string")))
}

fn keyword<T>(
    head: &Value,
    member: &str,
    parse: fn(&str) -> Option<T>,
) -> std::result::Result<T, OpError> {
    parse(text(head, member)?)
        .ok_or_else(|| OpError::type_error(format!("the request's {member} is not valid")))
}

/// A number that the prelude was given here, or counts itself.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters below 2^53; anything else names nothing"
)]
pub(super) const fn number(id: f64) -> u64 {
    id as u64
}

/// The operations that can be aborted.
#[derive(Default)]
struct Operations(RefCell<BTreeMap<u64, AbortHandle>>);

/// Lets `op_abort` end a future, under a number that the prelude chose.
fn abortable<T, F>(
    realm: &RealmState,
    operation: f64,
    future: F,
) -> impl Future<Output = std::result::Result<T, OpError>> + use<T, F>
where
    F: Future<Output = std::result::Result<T, OpError>>,
{
    let operations = realm.local::<Operations>();
    let operation = number(operation);
    let (handle, registration) = AbortHandle::new_pair();
    operations.0.borrow_mut().insert(operation, handle);
    async move {
        let outcome = Abortable::new(future, registration).await;
        operations.0.borrow_mut().remove(&operation);
        outcome.unwrap_or_else(|_| Err(OpError::new("AbortError", "the operation was aborted")))
    }
}

/// Bodies of responses that no script has read yet.
#[derive(Default)]
struct Bodies {
    kept: RefCell<BTreeMap<u64, Body>>,
}

impl Bodies {
    fn take(&self, id: u64) -> Option<Body> {
        self.kept.borrow_mut().remove(&id)
    }
}
