//! What of a response its requester may see, by where the response came from.

use http::StatusCode;
use http::header::RANGE;
use sw_types::fetch::{
    CredentialsMode, RedirectMode, RequestHead, RequestMode, ResponseHead, ResponseType,
};

use crate::cors::{CorsError, cors_check_as, exposed_header_names, timing_allow_origin_check};
use crate::resource_policy::{
    EmbedderPolicy, ResourcePolicyBlocked, cross_origin_resource_policy_check,
};
use crate::same_origin::is_same_origin;

/// A fall-through worker's answer, as the page may see it: what the network could have shown for
/// the page's request, and never more. (SEMANTICS §5.4, "Response".)
///
/// A redirect whose request has redirect mode `follow` comes back with its redirect status and its
/// `Location` in the internal headers; whoever follows it sets the service-workers mode to
/// `foreign`. Integrity, Content Security Policy and the embedder policy are the caller's to check
/// on the result, as for a response from the network.
///
/// # Errors
/// Why the page gets a network error.
pub fn refilter(
    request: &RequestHead,
    answer: ResponseHead,
) -> Result<ResponseHead, BlockedReason> {
    // Only requests to another origin fall through; nobody gets a basic response by this way.
    if response_tainting(request)? == ResponseTainting::Basic {
        return Err(BlockedReason::NoFallThrough);
    }
    let response = unwrap(request, answer)?;
    // Passing on a response that cookies brought is allowed only to those who could have asked
    // with cookies.
    let with_credentials =
        request.credentials == CredentialsMode::Include || response.requested_with_credentials;
    if response.status == StatusCode::PARTIAL_CONTENT && !request.headers.contains_key(RANGE) {
        return Err(BlockedReason::UnrequestedRange);
    }
    as_from_network(request, response, with_credentials)
}

/// A network response, as its requester may see it. (*Fetch*, *HTTP fetch* and *main fetch*.)
///
/// Redirects to follow come back as from [`refilter`].
///
/// # Errors
/// Why the requester gets a network error.
pub fn filter_network(
    request: &RequestHead,
    mut response: ResponseHead,
) -> Result<ResponseHead, BlockedReason> {
    if response.response_type == ResponseType::Error {
        return Err(BlockedReason::NetworkError);
    }
    response.response_type = ResponseType::Default;
    let with_credentials = request.credentials == CredentialsMode::Include;
    as_from_network(request, with_url_list(request, response), with_credentials)
}

/// The own worker's answer: the checks of *HTTP fetch* for a response from a service worker. There
/// is no CORS check, and a filter that lies over the answer stays. A response that the worker's
/// script made itself stays as it is (in engines too; by the letter of *main fetch* it would be
/// filtered by the request's tainting, and so be opaque for `no-cors`).
///
/// Redirects to follow come back as from [`refilter`].
///
/// # Errors
/// Why the requester gets a network error.
pub fn filter_own(
    request: &RequestHead,
    answer: ResponseHead,
) -> Result<ResponseHead, BlockedReason> {
    // "If one of the following is true … return a network error."
    match answer.response_type {
        ResponseType::Error => return Err(BlockedReason::NetworkError),
        ResponseType::Cors if request.mode == RequestMode::SameOrigin => {
            return Err(BlockedReason::CorsForSameOrigin);
        }
        ResponseType::Opaque if request.mode != RequestMode::NoCors => {
            return Err(BlockedReason::OpaqueForReader);
        }
        ResponseType::OpaqueRedirect if request.redirect != RedirectMode::Manual => {
            return Err(BlockedReason::OpaqueRedirectNotManual);
        }
        _ => {}
    }
    if request.redirect != RedirectMode::Follow && answer.url_list.len() > 1 {
        return Err(BlockedReason::RedirectedNotFollow);
    }
    // *HTTP-redirect fetch* comes before *main fetch* gives the response a URL: the `Location` of a
    // redirect that the script made is relative to nothing.
    let mut response = if request.redirect == RedirectMode::Follow && is_redirect(&answer) {
        answer
    } else {
        with_url_list(request, answer)
    };
    if response.response_type != ResponseType::Opaque {
        // The TAO check belongs to the network's branch.
        response.timing_allow_passed = true;
    }
    let tainting = response_tainting(request)?;
    resource_policy(request, tainting, &response)?;
    let response = redirect(request, response)?;
    partial(request, &response)?;
    Ok(response)
}

/// A request's *response tainting*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a closed set of the specification")]
pub enum ResponseTainting {
    /// Everything but `Set-Cookie` may be seen.
    Basic,
    /// What the response's headers allow may be seen.
    Cors,
    /// Nothing may be seen.
    Opaque,
}

/// The *response tainting* that *main fetch* gives a request at its current URL. Once another origin
/// has been asked, coming back by a redirect does not make it basic again.
///
/// # Errors
/// Why *main fetch* gives a network error before it asks anyone.
pub fn response_tainting(request: &RequestHead) -> Result<ResponseTainting, BlockedReason> {
    let current = request.url_list.last().ok_or(BlockedReason::NotHttp)?;
    let stays_home = request
        .url_list
        .iter()
        .all(|url| url.scheme() == "data" || is_same_origin(&request.origin, url));
    if stays_home {
        return Ok(ResponseTainting::Basic);
    }
    match request.mode {
        RequestMode::Navigate | RequestMode::WebSocket => Ok(ResponseTainting::Basic),
        RequestMode::SameOrigin => Err(BlockedReason::CrossOriginForSameOrigin),
        RequestMode::NoCors if request.redirect != RedirectMode::Follow => {
            Err(BlockedReason::NoCorsNotFollow)
        }
        RequestMode::NoCors => Ok(ResponseTainting::Opaque),
        RequestMode::Cors => match current.scheme() {
            "http" | "https" => Ok(ResponseTainting::Cors),
            _ => Err(BlockedReason::NotHttp),
        },
    }
}

/// Why a requester gets a network error instead of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BlockedReason {
    /// The answer is a network error itself.
    #[error("the answer is a network error")]
    NetworkError,
    /// An opaque response, for a request that is not `no-cors`.
    #[error("an opaque response is an answer to no-cors requests only")]
    OpaqueForReader,
    /// An opaque redirect, for a request that does not follow redirects itself.
    #[error("an opaque redirect is an answer only if the redirect mode is manual")]
    OpaqueRedirectNotManual,
    /// A cors response, for a request with mode `same-origin`.
    #[error("a cors response is no answer to a same-origin request")]
    CorsForSameOrigin,
    /// A response that was redirected, for a request that does not follow redirects.
    #[error("a redirected response is an answer only if the redirect mode is follow")]
    RedirectedNotFollow,
    /// A redirect, for a request with redirect mode `error`.
    #[error("the answer is a redirect and the redirect mode is error")]
    RedirectForbidden,
    /// Another origin is asked with mode `same-origin`.
    #[error("a same-origin request asks another origin")]
    CrossOriginForSameOrigin,
    /// Another origin is asked with mode `no-cors` and a redirect mode other than `follow`.
    #[error("a no-cors request to another origin must have redirect mode follow")]
    NoCorsNotFollow,
    /// A fall-through worker's answer to a request that cannot have fallen through: a navigation,
    /// or one to the requester's own origin.
    #[error("a request to the requester's own origin, or a navigation, never falls through")]
    NoFallThrough,
    /// A `cors` request to a scheme other than http(s), or a request without any URL.
    #[error("a cors request asks a URL that is neither http nor https")]
    NotHttp,
    /// A partial response that the page did not ask for.
    #[error("the response is partial and no range was asked for")]
    UnrequestedRange,
    /// The *CORS check* failed.
    #[error("{0}")]
    Cors(#[from] CorsError),
    /// The *cross-origin resource policy check* is blocked.
    #[error("{0}")]
    ResourcePolicy(#[from] ResourcePolicyBlocked),
}

/// Takes the fall-through worker's own filter off. What is left is of type default, or opaque.
fn unwrap(request: &RequestHead, answer: ResponseHead) -> Result<ResponseHead, BlockedReason> {
    let response_type = match answer.response_type {
        ResponseType::Error => return Err(BlockedReason::NetworkError),
        ResponseType::Opaque if request.mode != RequestMode::NoCors => {
            return Err(BlockedReason::OpaqueForReader);
        }
        ResponseType::OpaqueRedirect if request.redirect != RedirectMode::Manual => {
            return Err(BlockedReason::OpaqueRedirectNotManual);
        }
        // It keeps its own URL list, for HTML's media origin check.
        ResponseType::Opaque => return Ok(with_url_list(request, answer)),
        response_type => response_type,
    };
    Ok(ResponseHead {
        headers: match response_type {
            // Another origin's response counts by what its own filter let the worker see.
            ResponseType::Cors => answer.visible_headers(),
            _ => answer.headers,
        },
        response_type: ResponseType::Default,
        exposed_headers: Vec::new(),
        // Never the URL that the worker fetched.
        url_list: request.url_list.clone(),
        ..answer
    })
}

/// *HTTP fetch* after the network's response, and the filtering of *main fetch*.
fn as_from_network(
    request: &RequestHead,
    mut response: ResponseHead,
    with_credentials: bool,
) -> Result<ResponseHead, BlockedReason> {
    let tainting = response_tainting(request)?;
    // "If request's response tainting is cors and a CORS check … returns failure".
    if tainting == ResponseTainting::Cors {
        cors_check_as(
            request.serialized_origin(),
            with_credentials,
            &response.headers,
        )?;
    }
    // "If the TAO check … returns failure".
    response.timing_allow_passed = timing_allow_origin_check(request, tainting, &response.headers);
    resource_policy(request, tainting, &response)?;
    let mut response = redirect(request, response)?;
    // Main fetch: "If response is not a network error and response is not a filtered response".
    if response.response_type == ResponseType::Default {
        response.response_type = match tainting {
            ResponseTainting::Basic => ResponseType::Basic,
            ResponseTainting::Cors => {
                response.exposed_headers =
                    exposed_header_names(&response.headers, with_credentials);
                ResponseType::Cors
            }
            ResponseTainting::Opaque => ResponseType::Opaque,
        };
    }
    partial(request, &response)?;
    Ok(response)
}

/// *HTTP fetch*: "If either request's response tainting or response's type is opaque, and the
/// cross-origin resource policy check … returns blocked". The embedder policy is the caller's.
fn resource_policy(
    request: &RequestHead,
    tainting: ResponseTainting,
    response: &ResponseHead,
) -> Result<(), BlockedReason> {
    let opaque =
        tainting == ResponseTainting::Opaque || response.response_type == ResponseType::Opaque;
    match response.url() {
        Some(url) if opaque => Ok(cross_origin_resource_policy_check(
            &request.origin,
            EmbedderPolicy::UnsafeNone,
            response,
            url,
        )?),
        _ => Ok(()),
    }
}

fn is_redirect(response: &ResponseHead) -> bool {
    matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// *HTTP fetch*: "If internalResponse's status is a redirect status". Redirects to follow, and
/// those of navigations, stay as they are. (A navigation has a destination. A script that fetches the
/// request of one navigates nothing, and is shown no redirect.)
fn redirect(
    request: &RequestHead,
    mut response: ResponseHead,
) -> Result<ResponseHead, BlockedReason> {
    let is_redirect = is_redirect(&response);
    let navigates =
        request.mode == RequestMode::Navigate && request.destination.is_non_subresource();
    match request.redirect {
        RedirectMode::Error if is_redirect => Err(BlockedReason::RedirectForbidden),
        RedirectMode::Manual if is_redirect && !navigates => {
            response.response_type = ResponseType::OpaqueRedirect;
            Ok(response)
        }
        _ => Ok(response),
    }
}

/// *Main fetch*: "If response's type is opaque, internalResponse's status is 206, internalResponse's
/// range-requested flag is set, and request's header list does not contain `Range`".
fn partial(request: &RequestHead, response: &ResponseHead) -> Result<(), BlockedReason> {
    let unrequested = response.response_type == ResponseType::Opaque
        && response.status == StatusCode::PARTIAL_CONTENT
        && response.range_requested
        && !request.headers.contains_key(RANGE);
    if unrequested {
        Err(BlockedReason::UnrequestedRange)
    } else {
        Ok(())
    }
}

/// *Main fetch*: "If internalResponse's URL list is empty, set it to a clone of request's URL list."
fn with_url_list(request: &RequestHead, mut response: ResponseHead) -> ResponseHead {
    if response.url_list.is_empty() {
        response.url_list.clone_from(&request.url_list);
    }
    response
}
