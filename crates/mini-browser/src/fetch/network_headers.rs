//! The headers that a request shows to servers, and not to workers.

use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, PRAGMA, REFERER,
    UPGRADE_INSECURE_REQUESTS, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method};
use service_worker::fetch_router::ResponseTainting;
use service_worker::types::fetch::{CacheMode, Destination, RequestHead, RequestMode};
use service_worker::types::{Origin, Site};

use super::ReferrerPolicy;
use super::secure_context::is_potentially_trustworthy;
use super::{FetchParams, UserAgent};

/// *Fetch*, steps on `Accept` and `Accept-Language`: these two a worker is shown as well.
pub(super) fn append_accept(head: &mut RequestHead, agent: &UserAgent) {
    let accept = match head.destination {
        Destination::Document | Destination::Frame | Destination::Iframe => {
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        }
        Destination::Image => "image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
        Destination::Json => "application/json,*/*;q=0.5",
        Destination::Style => "text/css,*/*;q=0.1",
        _ => "*/*",
    };
    let headers = &mut head.headers;
    let accept = HeaderValue::from_static(accept);
    headers.entry(ACCEPT).or_insert(accept);
    let languages = agent.languages.clone();
    headers.entry(ACCEPT_LANGUAGE).or_insert(languages);
}

/// What *HTTP-network-or-cache fetch* appends to a request's own headers.
#[derive(Clone, Debug)]
pub(super) struct NetworkHeaders {
    headers: HeaderMap,
    has_authorization: bool,
}

impl NetworkHeaders {
    /// For `head`, which is the request of `params`, or its preflight.
    pub(super) fn of(
        head: &RequestHead,
        params: &FetchParams,
        tainting: ResponseTainting,
        agent: &UserAgent,
    ) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(referrer) = &head.referrer {
            append(&mut headers, REFERER, referrer.as_str());
        }
        if let Some(origin) = origin_header(head, tainting, params.referrer_policy) {
            append(&mut headers, ORIGIN, origin);
        }
        append_fetch_metadata(&mut headers, head, params);
        // *Upgrade Insecure Requests*, §3.2.1.
        if head.mode == RequestMode::Navigate {
            append(&mut headers, UPGRADE_INSECURE_REQUESTS, "1");
        }
        if !head.headers.contains_key(USER_AGENT) {
            headers.append(USER_AGENT, agent.name.clone());
        }
        append_cache_control(&mut headers, head);
        Self {
            headers,
            has_authorization: head.headers.contains_key(AUTHORIZATION),
        }
    }

    /// The length of a body whose bytes are not all there yet, if it is known.
    pub(super) fn append_content_length(&mut self, length: Option<u64>) {
        if let Some(length) = length.filter(|length| *length > 0) {
            self.headers.insert(CONTENT_LENGTH, length.into());
        }
    }

    /// `Authorization`, unless the request brings its own.
    pub(super) fn append_authorization(&mut self, value: HeaderValue) {
        if !self.has_authorization {
            self.headers.insert(AUTHORIZATION, value);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> HeaderMap {
        self.headers.clone()
    }
}

/// *HTTP-network-or-cache fetch*: a request that brings its own validators is not for the cache.
pub(super) fn cache_mode(head: &RequestHead) -> CacheMode {
    let validators = [
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE,
        IF_MATCH,
        IF_RANGE,
    ];
    let has_validator = validators
        .iter()
        .any(|name| head.headers.contains_key(name));
    if head.cache == CacheMode::Default && has_validator {
        CacheMode::NoStore
    } else {
        head.cache
    }
}

/// *Append a request `Origin` header*.
fn origin_header(
    head: &RequestHead,
    tainting: ResponseTainting,
    policy: ReferrerPolicy,
) -> Option<&str> {
    let serialized = head.serialized_origin();
    // Step 3.
    if tainting == ResponseTainting::Cors || head.mode == RequestMode::WebSocket {
        return Some(serialized);
    }
    // Step 4.
    if matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let origin = asking_origin(head);
    let hidden = head.mode != RequestMode::Cors
        && match policy {
            ReferrerPolicy::NoReferrer => true,
            ReferrerPolicy::NoReferrerWhenDowngrade
            | ReferrerPolicy::StrictOrigin
            | ReferrerPolicy::StrictOriginWhenCrossOrigin => {
                origin.scheme() == Some("https") && head.url().scheme() != "https"
            }
            ReferrerPolicy::SameOrigin => Origin::of(head.url()) != *origin,
            ReferrerPolicy::Origin
            | ReferrerPolicy::OriginWhenCrossOrigin
            | ReferrerPolicy::UnsafeUrl => false,
        };
    Some(if hidden { "null" } else { serialized })
}

/// *Append the Fetch metadata headers for a request*. (*Fetch Metadata*, §2.)
fn append_fetch_metadata(headers: &mut HeaderMap, head: &RequestHead, params: &FetchParams) {
    if !is_potentially_trustworthy(head.url()) {
        return;
    }
    let destination = match head.destination {
        Destination::None => "empty",
        destination => destination.as_str(),
    };
    for (name, value) in [
        ("sec-fetch-dest", destination),
        ("sec-fetch-mode", head.mode.as_str()),
        ("sec-fetch-site", site(head, params)),
    ] {
        append(headers, HeaderName::from_static(name), value);
    }
    // *Set `Sec-Fetch-User`*.
    if params.by_user && head.mode == RequestMode::Navigate {
        append(headers, HeaderName::from_static("sec-fetch-user"), "?1");
    }
}

/// *Set `Sec-Fetch-Site`*.
fn site(head: &RequestHead, params: &FetchParams) -> &'static str {
    if params.by_user {
        return "none";
    }
    let origin = asking_origin(head);
    let own_site = Site::of(origin);
    let mut site = "same-origin";
    for url in params.redirected_from.iter().chain(&head.url_list) {
        let of_url = Origin::of(url);
        if of_url == *origin && !of_url.is_opaque() {
            continue;
        }
        if of_url.is_opaque() || !own_site.contains(&of_url) {
            return "cross-site";
        }
        site = "same-site";
    }
    site
}

/// On whose behalf the request is made: the hidden requester, or the one who asks.
pub(super) fn asking_origin(head: &RequestHead) -> &Origin {
    head.requester
        .as_ref()
        .map_or(&head.origin, |requester| &requester.origin)
}

/// *HTTP-network-or-cache fetch*: `Cache-Control` and `Pragma` by the cache mode.
fn append_cache_control(headers: &mut HeaderMap, head: &RequestHead) {
    let mut append_unless_set = |name: HeaderName, value: &str| {
        if !head.headers.contains_key(&name) {
            append(headers, name, value);
        }
    };
    match cache_mode(head) {
        CacheMode::NoCache => append_unless_set(CACHE_CONTROL, "max-age=0"),
        CacheMode::NoStore | CacheMode::Reload => {
            append_unless_set(PRAGMA, "no-cache");
            append_unless_set(CACHE_CONTROL, "no-cache");
        }
        CacheMode::Default | CacheMode::ForceCache | CacheMode::OnlyIfCached => {}
    }
}

/// Serialized URLs and origins are ASCII, so that a value that is no header value cannot happen; it
/// would be left out.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.append(name, value);
        }
        Err(error) => tracing::error!(%name, value, %error, "a header that cannot be sent"),
    }
}
