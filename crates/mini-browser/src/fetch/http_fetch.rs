//! *HTTP fetch* up to the response, and *HTTP-network-or-cache fetch* without a cache.

use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use service_worker::fetch_router::{
    BlockedReason, EmbedderPolicy, ResponseTainting, cross_origin_resource_policy_check,
    filter_network, is_cors_safelisted_method,
};
use service_worker::types::fetch::{
    CredentialsMode, RequestHead, ResponseHead, ResponseType, ServiceWorkersMode,
};
use service_worker::{Body, FetchRequest, NetworkUse};

use super::authentication::{asks_for_basic, authorization};
use super::main_fetch::Fetching;
use super::network_headers::{NetworkHeaders, cache_mode};
use super::preflight::{self, preflight_request, unsafe_request_header_names};
use super::preflight_cache::{Allowed, NetworkPartitionKey};
use super::{FetchErrorReason, FetchedResponse, HopError, Hopped, Source};

/// *HTTP fetch*: the own worker, a fall-through worker, then — after a preflight, if one is needed —
/// the network, and the checks of what comes.
pub(super) async fn http_fetch(
    fetching: &mut Fetching<'_>,
    tainting: ResponseTainting,
) -> Result<FetchedResponse, FetchErrorReason> {
    let makes_preflight = needs_preflight(fetching, tainting);
    fetching.params.head.use_cors_preflight = makes_preflight;
    if !makes_preflight {
        let hopped = fetching.network_or_worker(tainting).await?;
        return checked(fetching, tainting, hopped);
    }
    match fetching.worker().await {
        Err(error) if error.is_network_forbidden() => {}
        hopped => return checked(fetching, tainting, hopped?),
    }
    let response = after_preflight(fetching, tainting).await;
    // Main fetch: "If corsWithPreflightResponse is a network error, then clear cache entries".
    if response.is_err() {
        let key = NetworkPartitionKey::of(&fetching.params.client);
        let now = fetching.service.clock.now();
        let preflights = &fetching.service.state.preflights;
        preflights.clear(&key, &fetching.params.head, now);
    }
    response
}

async fn after_preflight(
    fetching: &mut Fetching<'_>,
    tainting: ResponseTainting,
) -> Result<FetchedResponse, FetchErrorReason> {
    if !is_cached(fetching) {
        cors_preflight_fetch(fetching).await?;
    }
    let hopped = fetching.network(tainting).await?;
    checked(fetching, tainting, hopped)
}

/// *Main fetch*, step 12, "request's use-CORS-preflight flag is set, or …". (Every request may be
/// unsafe here: those that cannot be have nothing that would count.)
fn needs_preflight(fetching: &Fetching<'_>, tainting: ResponseTainting) -> bool {
    let head = &fetching.params.head;
    tainting == ResponseTainting::Cors
        && (fetching.use_cors_preflight
            || !is_cors_safelisted_method(&head.method)
            || !unsafe_request_header_names(&head.headers).is_empty())
}

/// *HTTP fetch*: whether the preflight cache makes the preflight unnecessary.
fn is_cached(fetching: &Fetching<'_>) -> bool {
    let head = &fetching.params.head;
    let key = NetworkPartitionKey::of(&fetching.params.client);
    let (preflights, now) = (
        &fetching.service.state.preflights,
        fetching.service.clock.now(),
    );
    let method_needs_none = is_cors_safelisted_method(&head.method) && !fetching.use_cors_preflight;
    (method_needs_none || preflights.has_method(&key, head, &head.method, now))
        && unsafe_request_header_names(&head.headers)
            .iter()
            .all(|name| preflights.has_header(&key, head, name, now))
}

/// *CORS-preflight fetch*.
async fn cors_preflight_fetch(fetching: &Fetching<'_>) -> Result<(), FetchErrorReason> {
    // Steps 1 to 6.
    let preflight = preflight_request(&fetching.params.head);
    let headers = fetching.headers(&preflight, ResponseTainting::Cors);
    let hopped = fetching
        .hop(preflight, Body::empty(), Some(headers.all()))
        .await?;
    // Step 7.
    let (head, response) = (&fetching.params.head, &hopped.response.head);
    let preflight = preflight::check(head, response, fetching.use_cors_preflight)?;
    let key = NetworkPartitionKey::of(&fetching.params.client);
    let now = fetching.service.clock.now();
    let methods = preflight.methods.into_iter().map(Allowed::Method);
    let headers = preflight.headers.into_iter().map(Allowed::Header);
    for allowed in methods.chain(headers) {
        let preflights = &fetching.service.state.preflights;
        preflights.allow(&key, head, allowed, preflight.max_age, now);
    }
    Ok(())
}

impl Fetching<'_> {
    /// Whoever answers first.
    async fn network_or_worker(
        &mut self,
        tainting: ResponseTainting,
    ) -> Result<Hopped, FetchErrorReason> {
        let head = self.params.head.clone();
        self.network_or_cache(head, tainting).await
    }

    /// The network alone: the workers have been asked.
    async fn network(&mut self, tainting: ResponseTainting) -> Result<Hopped, FetchErrorReason> {
        let head = RequestHead {
            service_workers: ServiceWorkersMode::None,
            ..self.params.head.clone()
        };
        self.network_or_cache(head, tainting).await
    }

    /// The workers alone.
    async fn worker(&self) -> Result<Hopped, HopError> {
        let head = self.params.head.clone();
        if head.service_workers == ServiceWorkersMode::None {
            return Err(HopError::network_forbidden());
        }
        self.hop(head, self.params.body.offer(), None).await
    }

    /// *HTTP-network-or-cache fetch*. (Cookies are the network's.)
    async fn network_or_cache(
        &mut self,
        head: RequestHead,
        tainting: ResponseTainting,
    ) -> Result<Hopped, FetchErrorReason> {
        self.count_keepalive()?;
        let includes_credentials = match head.credentials {
            CredentialsMode::Include => true,
            CredentialsMode::SameOrigin => tainting == ResponseTainting::Basic,
            CredentialsMode::Omit => false,
        };
        let mut headers = self.headers(&head, tainting);
        headers.append_content_length(self.params.body.length());
        let entries = &self.service.state.authentication;
        if includes_credentials && let Some(entry) = entries.entry(&self.params.client, head.url())
        {
            headers.append_authorization(entry);
        }
        let body = self.params.body.open();
        let hopped = self.hop(head.clone(), body, Some(headers.all())).await?;
        // "If response's status is 401, httpRequest's response tainting is not cors,
        // includeCredentials is true …": there is nobody to prompt but the URL.
        let is_asked = hopped.source == Source::Network
            && hopped.response.head.status == StatusCode::UNAUTHORIZED
            && tainting != ResponseTainting::Cors
            && includes_credentials
            && !head.headers.contains_key(AUTHORIZATION)
            && asks_for_basic(&hopped.response.head.headers);
        match authorization(head.url()).filter(|_| is_asked) {
            // "If request's body is non-null, then: if request's body's source is null, then return a
            // network error."
            Some(_) if self.params.body.is_stream() => Err(FetchErrorReason::StreamAgain),
            Some(value) => self.authentication_fetch(head, headers, value).await,
            None => Ok(hopped),
        }
    }

    /// The same with *isAuthenticationFetch*.
    async fn authentication_fetch(
        &self,
        head: RequestHead,
        mut headers: NetworkHeaders,
        value: HeaderValue,
    ) -> Result<Hopped, FetchErrorReason> {
        headers.append_authorization(value.clone());
        let url = head.url().clone();
        let head = RequestHead {
            service_workers: ServiceWorkersMode::None,
            ..head
        };
        let body = self.params.body.open();
        let hopped = self.hop(head, body, Some(headers.all())).await?;
        if hopped.response.head.status != StatusCode::UNAUTHORIZED {
            let entries = &self.service.state.authentication;
            entries.create(&self.params.client, &url, value);
        }
        Ok(hopped)
    }

    /// "If httpRequest's keepalive is true …", for the whole of the fetch.
    fn count_keepalive(&mut self) -> Result<(), FetchErrorReason> {
        let params = &self.params;
        if params.head.keepalive && params.head.has_body && self.inflight.is_none() {
            let length = params.body.length().unwrap_or(u64::MAX);
            let inflight = self.service.state.keepalive.admit(params.client.id, length);
            self.inflight = Some(inflight.ok_or(FetchErrorReason::KeepaliveLimit)?);
        }
        Ok(())
    }

    fn headers(&self, head: &RequestHead, tainting: ResponseTainting) -> NetworkHeaders {
        NetworkHeaders::of(head, &self.params, tainting, &self.service.agent)
    }

    /// One hop; `None` for the headers keeps it from the network.
    async fn hop(
        &self,
        head: RequestHead,
        body: Body,
        headers: Option<http::HeaderMap>,
    ) -> Result<Hopped, HopError> {
        let network = match headers {
            None => NetworkUse::Forbidden,
            Some(headers) => NetworkUse::Allowed {
                headers,
                cache: cache_mode(&head),
            },
        };
        let request = FetchRequest {
            head,
            body,
            client: self.params.client.id,
            reserved: self.params.reserved.clone(),
            network,
        };
        self.service.hop.hop(request).await
    }
}

/// The checks of a network response; a worker's has had its own.
fn checked(
    fetching: &mut Fetching<'_>,
    tainting: ResponseTainting,
    hopped: Hopped,
) -> Result<FetchedResponse, FetchErrorReason> {
    let Hopped {
        response,
        source,
        timing,
        protocol,
    } = hopped;
    let now = fetching.service.clock.now();
    fetching.timing.answered(now, timing, protocol);
    let request = &fetching.params.head;
    let mut head = match source {
        Source::Network | Source::Url => filter_network(request, response.head)?,
        Source::OwnWorker | Source::FallThrough => response.head,
    };
    // "… then set request's timing allow failed flag. Otherwise, if request's timing allow failed flag is
    // unset, then set internalResponse's timing allow passed flag."
    // The TAO check is one of the network's branch: what the client's own worker answers passes.
    let is_checked = !matches!(source, Source::OwnWorker);
    fetching.timing_allow_failed |= is_checked && !head.timing_allow_passed;
    head.timing_allow_passed = !fetching.timing_allow_failed;
    embedder_policy(fetching, tainting, &head)?;
    Ok(FetchedResponse {
        body: Some(response.body),
        head,
        source,
        timing: None,
    })
}

/// *Cross-origin resource policy check*, with the client's embedder policy. (Without one it was made
/// when the response was filtered.)
fn embedder_policy(
    fetching: &Fetching<'_>,
    tainting: ResponseTainting,
    response: &ResponseHead,
) -> Result<(), BlockedReason> {
    let policy = fetching.params.embedder_policy;
    let is_opaque =
        tainting == ResponseTainting::Opaque || response.response_type == ResponseType::Opaque;
    match response.url() {
        Some(url) if is_opaque && policy != EmbedderPolicy::UnsafeNone => {
            let origin = &fetching.params.head.origin;
            Ok(cross_origin_resource_policy_check(
                origin, policy, response, url,
            )?)
        }
        _ => Ok(()),
    }
}
