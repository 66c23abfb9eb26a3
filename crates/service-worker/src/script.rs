//! Fetches a service worker's main script. (*Service Workers*, Update, step 9.)

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use sw_registry::{FetchScript, FetchedScript, ScriptFetchError};
use sw_types::{Origin, Site};

use crate::shared::Shared;
use crate::{Body, NetworkRequest};

/// One hop, with `Service-Worker: script`. A redirect is an error (redirect mode `error`); status,
/// MIME type and scope are checked by the registry.
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
    let same_site = fetch.initiator == Site::of(&Origin::of(&url));
    let response = shared
        .network
        .send(NetworkRequest {
            method: Method::GET,
            url: url.clone(),
            headers,
            body: Body::empty(),
            cache: fetch.cache,
            credentials: true,
            site_for_cookies: same_site.then_some(fetch.initiator),
            partition: Some(fetch.storage_key),
        })
        .await
        .map_err(|error| ScriptFetchError(error.to_string()))?;
    if response.status.is_redirection() && response.headers.contains_key("location") {
        let refused = format!("{url} answered with a redirect, which a service worker may not");
        return Err(ScriptFetchError(refused));
    }
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
