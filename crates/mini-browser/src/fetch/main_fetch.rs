//! *Fetch*, *main fetch* and the part of *HTTP fetch* around a hop.

use http::{Method, StatusCode};
use service_worker::fetch_router::{
    ResponseTainting, filter_network, has_only_cors_safelisted_headers, is_cors_safelisted_method,
    response_tainting,
};
use service_worker::types::fetch::{
    Destination, RedirectMode, RequestHead, ResponseHead, ResponseType,
};
use service_worker::{Body, FetchRequest, NetworkUse};

use url::Url;

use super::network_headers::{append_accept, cache_mode, network_headers};
use super::redirect::{Redirect, http_redirect, location_url};
use super::referrer::{determine_referrer, is_potentially_trustworthy};
use super::{
    FetchError, FetchErrorReason, FetchParams, FetchedResponse, Hop, Hopped, Source, UserAgent,
    bad_port, data_url, media_type,
};

/// *Fetch*: a response as its requester may see it, after all redirects that the request follows.
/// Dropping the future aborts.
///
/// # Errors
/// Why there is a network error.
pub async fn fetch(
    hop: &dyn Hop,
    agent: &UserAgent,
    mut params: FetchParams,
) -> Result<FetchedResponse, FetchError> {
    append_accept(&mut params.head, agent);
    let mut redirects = Redirect::default();
    loop {
        let url = params.head.url().clone();
        let step = main_fetch(hop, agent, &mut params).await;
        let next = step.and_then(|fetched| follow(&mut redirects, &mut params, fetched));
        match next {
            Ok(Next::Follow) => {}
            Ok(Next::Response(response)) => {
                return finish(&params, *response).map_err(|reason| FetchError { url, reason });
            }
            Err(reason) => return Err(FetchError { url, reason }),
        }
    }
}

/// What comes after one hop.
enum Next {
    Follow,
    Response(Box<FetchedResponse>),
}

/// *Main fetch*, steps 1 to 14, for the current URL.
async fn main_fetch(
    hop: &dyn Hop,
    agent: &UserAgent,
    params: &mut FetchParams,
) -> Result<FetchedResponse, FetchErrorReason> {
    // Step 7.
    block(params)?;
    // Steps 8 and 9.
    params.head.referrer = determine_referrer(&params.head, params.referrer_policy);
    // Step 12.
    let tainting = response_tainting(&params.head)?;
    match params.head.url().scheme() {
        "http" | "https" => http_fetch(hop, agent, params, tainting).await,
        _ => scheme_fetch(&params.head),
    }
}

/// *Main fetch*, step 7: what is never asked.
fn block(params: &FetchParams) -> Result<(), FetchErrorReason> {
    let head = &params.head;
    if !head.integrity.is_empty() {
        return Err(FetchErrorReason::Integrity);
    }
    if let Some(port) = bad_port::bad_port(head.url()) {
        return Err(FetchErrorReason::BadPort(port));
    }
    if is_mixed_content(params, head.url()) {
        return Err(FetchErrorReason::MixedContent);
    }
    Ok(())
}

/// *Should fetching request be blocked as mixed content?* and the same for a response. (Schemes
/// that nothing fetches have an error of their own.)
fn is_mixed_content(params: &FetchParams, url: &Url) -> bool {
    params.client.secure_context
        && params.head.destination != Destination::Document
        && matches!(url.scheme(), "http" | "https")
        && !is_potentially_trustworthy(url)
}

/// *HTTP fetch* up to the response: one hop, with the checks of a network response.
async fn http_fetch(
    hop: &dyn Hop,
    agent: &UserAgent,
    params: &mut FetchParams,
    tainting: ResponseTainting,
) -> Result<FetchedResponse, FetchErrorReason> {
    params.head.use_cors_preflight = needs_preflight(&params.head, tainting);
    let network = if params.head.use_cors_preflight {
        NetworkUse::Forbidden
    } else {
        NetworkUse::Allowed {
            headers: network_headers(params, tainting, agent),
            cache: cache_mode(&params.head),
        }
    };
    let head = &params.head;
    let request = FetchRequest {
        head: head.clone(),
        body: Body::from(params.body.clone()),
        client: params.client.id,
        reserved: params.reserved.clone(),
        network,
    };
    let Hopped { response, source } = hop.hop(request).await?;
    let response_head = match source {
        Source::Network | Source::Url => filter_network(head, response.head)?,
        Source::OwnWorker | Source::FallThrough => response.head,
    };
    Ok(FetchedResponse {
        body: Some(response.body),
        head: response_head,
        source,
    })
}

/// *Main fetch*, step 12, "request's use-CORS-preflight flag is set, or …".
fn needs_preflight(head: &RequestHead, tainting: ResponseTainting) -> bool {
    tainting == ResponseTainting::Cors
        && !(is_cors_safelisted_method(&head.method)
            && has_only_cors_safelisted_headers(&head.headers))
}

/// *Scheme fetch*, for what is neither http nor https.
fn scheme_fetch(head: &RequestHead) -> Result<FetchedResponse, FetchErrorReason> {
    let url = head.url();
    let (media_type, body) = match url.scheme() {
        "data" => data_url::process(url).ok_or(FetchErrorReason::DataUrl)?,
        "about" if url.path() == "blank" => ("text/html;charset=utf-8".into(), Vec::new()),
        scheme => return Err(FetchErrorReason::Scheme(scheme.to_owned())),
    };
    let mut response = ResponseHead::new(StatusCode::OK, http::HeaderMap::new());
    "OK".clone_into(&mut response.status_text);
    if let Ok(value) = http::HeaderValue::from_str(&media_type) {
        response.headers.insert(http::header::CONTENT_TYPE, value);
    }
    Ok(FetchedResponse {
        head: filter_network(head, response)?,
        body: Some(Body::from(body)),
        source: Source::Url,
    })
}

/// *HTTP fetch*, "If internalResponse's status is a redirect status": `error` and `manual` have
/// been dealt with by the filter.
fn follow(
    redirects: &mut Redirect,
    params: &mut FetchParams,
    fetched: FetchedResponse,
) -> Result<Next, FetchErrorReason> {
    let status = fetched.head.status.as_u16();
    if params.head.redirect != RedirectMode::Follow
        || !matches!(status, 301 | 302 | 303 | 307 | 308)
        || fetched.head.response_type == ResponseType::Error
    {
        return Ok(Next::Response(Box::new(fetched)));
    }
    // HTTP-redirect fetch, steps 3 to 5.
    let Some(location) = location_url(&fetched.head, params.head.url())? else {
        return Ok(Next::Response(Box::new(fetched)));
    };
    http_redirect(redirects, params, &fetched, location)?;
    Ok(Next::Follow)
}

/// *Main fetch*, steps 15 to 21, on the last response.
fn finish(
    params: &FetchParams,
    mut fetched: FetchedResponse,
) -> Result<FetchedResponse, FetchErrorReason> {
    let head = &params.head;
    // Step 18: as mixed content, and by its type.
    let url = fetched.head.url();
    if url.is_some_and(|url| is_mixed_content(params, url)) {
        return Err(FetchErrorReason::MixedContent);
    }
    media_type::check(head.destination, &fetched.head)?;
    // Step 20.
    if has_null_body(&head.method, fetched.head.status)
        || fetched.head.response_type == ResponseType::Error
    {
        fetched.body = None;
    }
    Ok(fetched)
}

/// Whether a response's body is null whatever came: for `HEAD`, and with a *null body status*.
fn has_null_body(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::HEAD | Method::CONNECT)
        || matches!(status.as_u16(), 101 | 103 | 204 | 205 | 304)
}
