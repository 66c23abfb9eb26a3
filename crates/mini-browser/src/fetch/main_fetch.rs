//! *Fetch* and *main fetch*.

use http::{Method, StatusCode};
use service_worker::Body;
use service_worker::fetch_router::response_tainting;
use service_worker::types::fetch::{LookAside, RedirectMode, ResponseHead, ResponseType};
use url::Url;

use super::http_fetch::http_fetch;
use super::keepalive::Inflight;
use super::network_headers::append_accept;
use super::redirect::{Redirect, http_redirect, location_url};
use super::referrer::determine_referrer;
use super::scheme_fetch::scheme_fetch;
use super::secure_context::{is_mixed_content, upgrade_mixed_content};
use super::{
    FetchError, FetchErrorReason, FetchParams, FetchService, FetchTiming, FetchedResponse,
    bad_port, integrity, media_type,
};

/// *Fetch*: a response as its requester may see it, after all redirects that the request follows.
/// Dropping the future aborts.
///
/// # Errors
/// Why there is a network error.
pub(super) async fn fetch(
    service: &FetchService,
    mut params: FetchParams,
) -> Result<FetchedResponse, FetchError> {
    append_accept(&mut params.head, &service.agent);
    let mut fetching = Fetching {
        service,
        use_cors_preflight: params.head.use_cors_preflight,
        params,
        redirects: Redirect::default(),
        timing_allow_failed: false,
        inflight: None,
        timing: FetchTiming::starting(service.clock.now()),
    };
    loop {
        let step = fetching.main_fetch().await;
        let next = step.and_then(|fetched| fetching.follow(fetched));
        let finished = match next {
            Ok(Next::Follow) => continue,
            Ok(Next::Response(response)) => finish(&fetching.params, *response).await,
            Err(reason) => Err(reason),
        };
        let finished = finished.map(|response| FetchedResponse {
            timing: Some(Box::new(fetching.timing.clone())),
            ..response
        });
        return finished.map_err(|reason| FetchError {
            url: fetching.params.head.url().clone(),
            reason,
        });
    }
}

/// A fetch on its way.
pub(super) struct Fetching<'a> {
    pub(super) service: &'a FetchService,
    pub(super) params: FetchParams,
    /// The request's *use-CORS-preflight flag*. (That of the head says whether the current hop needs
    /// a preflight, for whatever reason.)
    pub(super) use_cors_preflight: bool,
    /// The request's *timing allow failed flag*: a response before did not show its timing.
    pub(super) timing_allow_failed: bool,
    /// What the body counts among the client's keepalive requests.
    pub(super) inflight: Option<Inflight>,
    /// When it did what.
    pub(super) timing: FetchTiming,
    redirects: Redirect,
}

/// What comes after one hop.
enum Next {
    Follow,
    Response(Box<FetchedResponse>),
}

impl Fetching<'_> {
    /// *Main fetch*, steps 1 to 14, for the current URL.
    async fn main_fetch(&mut self) -> Result<FetchedResponse, FetchErrorReason> {
        let params = &mut self.params;
        // Step 6.
        upgrade_mixed_content(&params.client, &mut params.head);
        // Step 7.
        block(params)?;
        // Steps 8 and 9.
        params.head.referrer_policy = params.referrer_policy;
        params.head.referrer = determine_referrer(&params.head, params.referrer_policy);
        let scheme = params.head.url().scheme();
        // SEMANTICS §5.5: a worker answers it or nobody, and workers are asked for nothing else.
        if params.head.look_aside == LookAside::Local && !matches!(scheme, "http" | "https") {
            return Err(FetchErrorReason::Scheme(scheme.to_owned()));
        }
        match scheme {
            // Step 12.
            "http" | "https" => {
                let tainting = response_tainting(&params.head)?;
                http_fetch(self, tainting).await
            }
            "blob" => self.scheme_fetch(),
            _ => {
                response_tainting(&params.head)?;
                self.scheme_fetch()
            }
        }
    }

    fn scheme_fetch(&self) -> Result<FetchedResponse, FetchErrorReason> {
        let blobs = self.service.blobs.as_deref();
        scheme_fetch(&self.params.head, blobs, &self.params.client)
    }

    /// *HTTP fetch*, "If internalResponse's status is a redirect status": `error` and `manual` have
    /// been dealt with by the filter.
    fn follow(&mut self, mut fetched: FetchedResponse) -> Result<Next, FetchErrorReason> {
        let status = fetched.head.status.as_u16();
        if self.params.head.redirect != RedirectMode::Follow
            || !matches!(status, 301 | 302 | 303 | 307 | 308)
            || fetched.head.response_type == ResponseType::Error
        {
            return Ok(Next::Response(Box::new(fetched)));
        }
        // HTTP-redirect fetch, steps 3 to 5.
        let Some(location) = location_url(&fetched.head, self.params.head.url())? else {
            // Main fetch: "If internalResponse's URL list is empty …".
            if fetched.head.url_list.is_empty() {
                fetched.head.url_list.clone_from(&self.params.head.url_list);
            }
            return Ok(Next::Response(Box::new(fetched)));
        };
        http_redirect(&mut self.redirects, &mut self.params, &fetched, location)?;
        self.timing.redirected(self.service.clock.now());
        Ok(Next::Follow)
    }
}

/// *Main fetch*, step 7: what is never asked.
fn block(params: &FetchParams) -> Result<(), FetchErrorReason> {
    let head = &params.head;
    if let Some(port) = bad_port::bad_port(head.url()) {
        return Err(FetchErrorReason::BadPort(port));
    }
    if is_mixed_content(&params.client, head.destination, head.url()) {
        return Err(FetchErrorReason::MixedContent);
    }
    let redirected = head.url_list.len() > 1;
    content_security(params, head.url(), redirected)
}

/// *Should request be blocked by Content Security Policy?*, and the same of its response.
fn content_security(
    params: &FetchParams,
    url: &Url,
    redirected: bool,
) -> Result<(), FetchErrorReason> {
    let destination = params.head.destination;
    match params.content_security.blocks(destination, url, redirected) {
        Some(directive) => Err(FetchErrorReason::ContentSecurity(directive.to_owned())),
        None => Ok(()),
    }
}

/// *Main fetch*, steps 15 to 22, on the last response.
async fn finish(
    params: &FetchParams,
    mut fetched: FetchedResponse,
) -> Result<FetchedResponse, FetchErrorReason> {
    let head = &params.head;
    // Step 18: as mixed content, and by its type.
    let url = fetched.head.url();
    if url.is_some_and(|url| is_mixed_content(&params.client, head.destination, url)) {
        return Err(FetchErrorReason::MixedContent);
    }
    if let Some(url) = url {
        let redirected = fetched.head.url_list.len() > 1;
        content_security(params, url, redirected)?;
    }
    media_type::check(head.destination, &fetched.head)?;
    // Step 20.
    if has_null_body(&head.method, fetched.head.status)
        || fetched.head.response_type == ResponseType::Error
    {
        fetched.body = None;
    }
    // Step 22.
    if !head.integrity.is_empty() {
        fetched.body =
            Some(body_with_integrity(&head.integrity, &fetched.head, fetched.body).await?);
    }
    Ok(fetched)
}

/// Reads a body to the end, and gives it again if it is the one that was meant.
async fn body_with_integrity(
    metadata: &str,
    head: &ResponseHead,
    body: Option<Body>,
) -> Result<Body, FetchErrorReason> {
    // A filtered response that shows nothing has a null body.
    let is_hidden = matches!(
        head.response_type,
        ResponseType::Opaque | ResponseType::OpaqueRedirect | ResponseType::Error
    );
    let body = body
        .filter(|_| !is_hidden)
        .ok_or(FetchErrorReason::Integrity)?;
    let bytes = body.collect(integrity::LIMIT).await?;
    if integrity::do_bytes_match(&bytes, metadata) {
        Ok(Body::from(bytes))
    } else {
        Err(FetchErrorReason::Integrity)
    }
}

/// Whether a response's body is null whatever came: for `HEAD`, and with a *null body status*.
fn has_null_body(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::HEAD | Method::CONNECT)
        || matches!(status.as_u16(), 101 | 103 | 204 | 205 | 304)
}
