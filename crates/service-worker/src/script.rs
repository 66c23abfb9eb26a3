//! Fetches a service worker's scripts for the registry. (*Service Workers*, Update.)

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName, LOCATION, ORIGIN, REFERER};
use http::{HeaderMap, HeaderValue, Method};
use installer::script_response_vetoes;
use sw_registry::{FetchImport, FetchScript, FetchedScript, ScriptFetchError};
use sw_types::fetch::{Referrer, ReferrerPolicy};
use sw_types::{Origin, Site, WorkerType};
use url::Url;

use crate::shared::Shared;
use crate::{Body, NetworkRequest, NetworkResponse};

/// How many redirects of an imported script are followed. (*Fetch*, "HTTP-redirect fetch".)
const REDIRECTS: usize = 20;

/// One hop, with `Service-Worker: script`. The registry checks status, MIME type and scope, and
/// refuses a redirect (redirect mode `error`).
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    fetch: FetchScript,
) -> Result<FetchedScript, ScriptFetchError> {
    let mut headers = HeaderMap::new();
    headers.insert("service-worker", HeaderValue::from_static("script"));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers.insert("sec-fetch-dest", HeaderValue::from_static("serviceworker"));
    headers.insert("sec-fetch-mode", HeaderValue::from_static("same-origin"));
    headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
    let url = fetch.script_url.url().clone();
    headers.extend(referer(fetch.referrer.as_ref(), &url));
    let same_site = fetch.initiator == Site::of(&Origin::of(&url));
    let request = NetworkRequest {
        method: Method::GET,
        url: url.clone(),
        headers,
        body: Body::empty(),
        cache: fetch.cache,
        // Update, "module": "Fetch a module worker script graph given …, "omit"".
        credentials: fetch.worker_type == WorkerType::Classic,
        site_for_cookies: same_site.then_some(fetch.initiator),
        top_level_navigation: false,
        partition: Some(fetch.storage_key),
    };
    let response = send(&shared, request).await?;
    if let Some(veto) = script_response_vetoes(&response.headers).filter(|_| fetch.by_header) {
        return Err(ScriptFetchError(format!("{url}: {veto}")));
    }
    whole(&shared, &url, response).await
}

/// Fetches an imported script, for the first time or for the byte check of an update: from whatever
/// origin, with redirects followed. (*importScripts*; Update, step 8.22.) What a module imports from
/// another origin passes the CORS check.
pub(crate) async fn fetch_import(
    shared: Arc<Shared>,
    fetch: FetchImport,
) -> Result<FetchedScript, ScriptFetchError> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers.insert("sec-fetch-dest", HeaderValue::from_static("script"));
    let origin = fetch.script_url.origin();
    let by_module = fetch.worker_type == WorkerType::Module;
    let mut url = fetch.url.clone();
    let mut referrer = fetch.referrer;
    for _ in 0..=REDIRECTS {
        let same_site = fetch.initiator == Site::of(&Origin::of(&url));
        let by_cors = by_module && Origin::of(&url) != origin;
        let mut headers = headers.clone();
        headers.extend(referer(referrer.as_ref(), &url));
        if let Some(value) = header_of(&origin).filter(|_| by_cors) {
            headers.insert(ORIGIN, value);
        }
        let request = NetworkRequest {
            method: Method::GET,
            url: url.clone(),
            headers,
            body: Body::empty(),
            cache: fetch.cache,
            // What a module imports has the credentials mode of its graph, "omit".
            credentials: !by_module,
            site_for_cookies: same_site.then(|| fetch.initiator.clone()),
            top_level_navigation: false,
            partition: Some(fetch.storage_key.clone()),
        };
        let response = send(&shared, request).await?;
        // CORS check, without credentials.
        let allowed = response.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        let allows = |it: &HeaderValue| *it == "*" || it.as_bytes() == origin.as_str().as_bytes();
        if by_cors && !allowed.is_some_and(allows) {
            return Err(ScriptFetchError(format!(
                "{url} is of another origin and does not allow {origin}"
            )));
        }
        let Some(target) = redirect_of(&url, &response) else {
            return whole(&shared, &url, response).await;
        };
        url = target;
        // *Referrer Policy*, "Set request's referrer policy on redirect".
        if let (Some(referrer), Some(policy)) =
            (&mut referrer, ReferrerPolicy::of_headers(&response.headers))
        {
            referrer.policy = policy;
        }
    }
    Err(ScriptFetchError(format!(
        "{} redirects more than {REDIRECTS} times",
        fetch.url
    )))
}

/// The `Referer` of a request.
fn referer(referrer: Option<&Referrer>, url: &Url) -> Option<(HeaderName, HeaderValue)> {
    let told = referrer?.of_request_to(url)?;
    Some((REFERER, HeaderValue::from_str(told.as_str()).ok()?))
}

fn header_of(origin: &Origin) -> Option<HeaderValue> {
    HeaderValue::from_str(origin.as_str()).ok()
}

async fn send(
    shared: &Shared,
    request: NetworkRequest,
) -> Result<NetworkResponse, ScriptFetchError> {
    let sent = shared.network.send(request).await;
    sent.map_err(|error| ScriptFetchError(error.to_string()))
}

/// Where a response redirects to. (*Fetch*, "location URL".) A location that does not parse is no
/// redirect: its status then fails the script.
fn redirect_of(url: &Url, response: &NetworkResponse) -> Option<Url> {
    let location = response
        .headers
        .get(LOCATION)
        .filter(|_| response.status.is_redirection())?;
    url.join(location.to_str().ok()?).ok()
}

async fn whole(
    shared: &Shared,
    url: &Url,
    response: NetworkResponse,
) -> Result<FetchedScript, ScriptFetchError> {
    let body = response
        .body
        .collect(shared.policies.limits.script_bytes)
        .await
        .map_err(|error| ScriptFetchError(format!("{url}: {error}")))?;
    Ok(FetchedScript {
        status: response.status,
        headers: response.headers,
        body,
        from_cache: response.from_cache,
    })
}
