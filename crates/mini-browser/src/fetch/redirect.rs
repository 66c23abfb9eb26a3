//! *HTTP-redirect fetch*.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, LOCATION,
};
use http::{Method, StatusCode};
use service_worker::types::Origin;
use service_worker::types::fetch::{RequestMode, ResponseHead, ServiceWorkersMode};
use url::Url;

use super::network_headers::asking_origin;
use super::referrer::policy_of_headers;
use super::{FetchErrorReason, FetchParams, FetchedResponse, RequestBody, Source};

/// How often a request was redirected.
#[derive(Debug, Default)]
pub(super) struct Redirect {
    count: u8,
}

/// The greatest redirect count.
const LIMIT: u8 = 20;

/// A response's *location URL*, given the current URL; `None` if it has no `Location`. It is relative
/// to the response's URL, if it has one.
pub(crate) fn location_url(
    response: &ResponseHead,
    current: &Url,
) -> Result<Option<Url>, FetchErrorReason> {
    let mut values = response.headers.get_all(LOCATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let location = match std::str::from_utf8(value.as_bytes()) {
        Ok(location) => location.to_owned(),
        Err(_) => percent_encoded(value.as_bytes()),
    };
    let bad = || FetchErrorReason::BadLocation(location.clone());
    // *Extract header list values* fails for two that do not make one.
    if values.next().is_some() {
        return Err(bad());
    }
    let url = match response.url() {
        Some(base) => base.join(&location),
        None => Url::parse(&location),
    };
    let mut url = url.map_err(|_| bad())?;
    // *Location URL*, step 5.
    if url.fragment().is_none() {
        url.set_fragment(current.fragment());
    }
    // HTTP-redirect fetch, step 6.
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad());
    }
    Ok(Some(url))
}

/// A location that is not UTF-8, its bytes beyond ASCII as they are in percent-encoding.
fn percent_encoded(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            0..0x80 => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// *HTTP-redirect fetch*, steps 7 to 19: the request as it goes on.
pub(super) fn http_redirect(
    redirects: &mut Redirect,
    params: &mut FetchParams,
    response: &FetchedResponse,
    location: Url,
) -> Result<(), FetchErrorReason> {
    let head = &mut params.head;
    let current = Origin::of(head.url());
    let target = Origin::of(&location);
    let asking = asking_origin(head);
    // Steps 7 and 8.
    if redirects.count == LIMIT {
        return Err(FetchErrorReason::TooManyRedirects);
    }
    redirects.count += 1;
    // Steps 9 and 10. Tainting is cors once any URL was of another origin.
    let has_credentials = !location.username().is_empty() || location.password().is_some();
    let leaves = head.origin != target || *asking != target;
    let is_tainted = head
        .url_list
        .iter()
        .any(|url| Origin::of(url) != head.origin);
    if head.mode == RequestMode::Cors && has_credentials && (leaves || is_tainted) {
        return Err(FetchErrorReason::CredentialsInLocation);
    }
    // The request's redirect-taint, as far as the serialized origin goes.
    if current != target && *asking != current {
        head.tainted_origin = true;
    }
    // Step 11.
    let status = response.head.status;
    if status != StatusCode::SEE_OTHER && head.has_body && params.body.is_stream() {
        return Err(FetchErrorReason::StreamAgain);
    }
    // Step 12.
    let becomes_get = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => head.method == Method::POST,
        StatusCode::SEE_OTHER => !matches!(head.method, Method::GET | Method::HEAD),
        _ => false,
    };
    if becomes_get {
        head.method = Method::GET;
        head.has_body = false;
        params.body = RequestBody::default();
        for name in [
            CONTENT_ENCODING,
            CONTENT_LANGUAGE,
            CONTENT_LOCATION,
            CONTENT_TYPE,
        ] {
            head.headers.remove(name);
        }
    }
    // Step 13: the *CORS non-wildcard request-header names*.
    if current != target {
        head.headers.remove(AUTHORIZATION);
    }
    // Step 18.
    head.url_list.push(location);
    // Step 19. (*Referrer Policy*, "Set request's referrer policy on redirect".)
    if let Some(policy) = policy_of_headers(&response.head.headers) {
        params.referrer_policy = policy;
    }
    // SEMANTICS §5.4, "Response": the own worker is never shown what the network redirected.
    let from_afar = matches!(response.source, Source::Network | Source::FallThrough);
    if from_afar && head.service_workers == ServiceWorkersMode::All {
        head.service_workers = ServiceWorkersMode::Foreign;
    }
    Ok(())
}
