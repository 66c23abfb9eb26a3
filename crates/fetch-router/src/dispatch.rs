//! What a fall-through worker is shown. (SEMANTICS §5.4, "Dispatch".)

use http::HeaderMap;
use sw_types::fetch::{
    CredentialsMode, LookAside, ReferrerPolicy, RequestHead, RequestMode, Requester,
    ServiceWorkersMode,
};
use sw_types::{Environment, Origin, Site};
use url::Url;

use crate::safelist::is_cors_safelisted_request_header;

/// What the `fetch` event of a fall-through request shows, besides `isFallThrough` (true).
///
/// There are no client ids here, because the event shows none: `clientId`, `resultingClientId` and
/// `replacesClientId` are empty, and `preloadResponse` is undefined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what is not shown must not be forgotten"
)]
pub struct FallThroughDispatch {
    /// `event.request`, with the hidden requester that its clones keep.
    pub request: RequestHead,
    /// `event.origin`: the requester's serialized origin in cors mode, otherwise empty.
    pub origin: String,
}

/// Makes what the event shows from the page's request and the client that made it.
///
/// A `fetch()` of [`FallThroughDispatch::request`] has the requester's origin in `Origin`,
/// `Sec-Fetch-Site` and SameSite, the worker's origin for tainting, and skips the worker itself.
#[must_use]
pub fn fall_through_dispatch(request: &RequestHead, client: &Environment) -> FallThroughDispatch {
    let cors = request.mode == RequestMode::Cors;
    let requester = requester(request, client);
    let url_list = current_url_alone(request);
    let service_origin = url_list.first().map_or(Origin::opaque(0), Origin::of);
    FallThroughDispatch {
        origin: if cors {
            requester.origin.as_str().to_owned()
        } else {
            String::new()
        },
        request: RequestHead {
            method: request.method.clone(),
            headers: safelisted(&request.headers),
            destination: request.destination,
            mode: request.mode,
            credentials: match request.credentials {
                CredentialsMode::Include => CredentialsMode::Include,
                CredentialsMode::Omit | CredentialsMode::SameOrigin => CredentialsMode::Omit,
            },
            cache: request.cache,
            redirect: request.redirect,
            service_workers: ServiceWorkersMode::Foreign,
            look_aside: LookAside::Default,
            tainted_origin: false,
            // No more than `event.origin` says anyway.
            referrer: request
                .referrer
                .as_ref()
                .filter(|_| cors)
                .and_then(|referrer| {
                    let origin = Origin::of(referrer);
                    let known = !origin.is_opaque() && origin == requester.origin;
                    known.then(|| Url::parse(origin.as_str()).ok()).flatten()
                }),
            // What the requester's document or element chose is nobody's business.
            referrer_policy: ReferrerPolicy::default(),
            use_cors_preflight: false,
            // Navigations do not fall through.
            shift_reload: false,
            reload_navigation: false,
            history_navigation: false,
            replaces_client: None,
            integrity: request.integrity.clone(),
            keepalive: request.keepalive,
            has_body: request.has_body,
            origin: service_origin,
            url_list,
            requester: Some(requester),
        },
    }
}

/// Who asks: the requester that the request carries already, or the client. An origin that a
/// redirect has tainted is opaque from here on.
fn requester(request: &RequestHead, client: &Environment) -> Requester {
    let mut requester = request.requester.clone().unwrap_or_else(|| Requester {
        origin: request.origin.clone(),
        // The site for cookies: nobody's, once a frame in between is cross-site.
        site: if client.cross_site_ancestor {
            Site::of(&Origin::opaque(0))
        } else {
            client.top_level_site.clone()
        },
    });
    if request.tainted_origin {
        requester.origin = Origin::opaque(0);
    }
    requester
}

/// Not where a redirect came from, and no fragment.
fn current_url_alone(request: &RequestHead) -> Vec<Url> {
    let mut url_list: Vec<_> = request.url_list.last().cloned().into_iter().collect();
    for url in &mut url_list {
        url.set_fragment(None);
    }
    url_list
}

/// The headers that may cross: only safelisted ones ever get here, and nothing else leaves.
fn safelisted(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, value)| is_cors_safelisted_request_header(name.as_str(), value.as_bytes()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
