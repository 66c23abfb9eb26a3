//! Documents of frames and popups, and of pages that navigate themselves: the browser's side.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use service_worker::HostEvent;
use service_worker::types::fetch::{
    CacheMode, CredentialsMode, RedirectMode, RequestHead, RequestMode,
};
use service_worker::types::{ClientId, Environment, Origin};
use url::Url;

use super::{Client, DOCUMENT_LIMIT, REDIRECTS, forbids_fall_through, redirect_of};
use crate::browser::Parts;
use crate::fetch::{
    ContentSecurityPolicies, FetchParams, FetchTiming, determine_referrer, policy_of_headers,
};
use crate::js::{
    DocumentRequest, DocumentTiming, Documents, FetchedDocument, NavigationKind, Page, Pending,
};

/// The documents of a browser.
pub(super) struct BrowserDocuments(pub(super) Arc<Parts>);

impl Documents for BrowserDocuments {
    fn next_client(&self) -> ClientId {
        self.0.next_client()
    }

    fn create(&self, environment: &Environment) -> Box<dyn Any + Send> {
        Box::new(Client::create(&self.0, environment.clone()))
    }

    fn caught_up(&self) -> Pending<()> {
        Box::pin(self.0.facade.handle().caught_up())
    }

    fn inherit_controller(
        &self,
        environment: &Environment,
        creator: ClientId,
    ) -> Pending<Result<(), String>> {
        let handle = self.0.facade.handle();
        handle.inherit_controller(environment, creator);
        let caught_up = handle.caught_up();
        Box::pin(async move {
            caught_up.await;
            Ok(())
        })
    }

    fn fetch(&self, request: DocumentRequest) -> Pending<Result<FetchedDocument, String>> {
        Box::pin(fetch(Arc::clone(&self.0), request))
    }

    fn ready(&self, environment: &Environment, page: Page) {
        self.0.host.add_page(environment.id, page);
        self.0.host_event(HostEvent::ClientReady(environment.id));
    }
}

/// *Create navigation params by fetching.*
async fn fetch(parts: Arc<Parts>, request: DocumentRequest) -> Result<FetchedDocument, String> {
    let mut url = request.url.clone();
    let mut method = request.method.clone();
    let mut body = request.body.clone();
    let mut reserved: Option<Client> = None;
    let (mut hops, mut tainted_origin) = (Vec::new(), false);
    let mut referrer_policy = request.policies.referrer;
    let mut timing = FetchTiming::starting(parts.fetches.clock.now());
    for _ in 0..=REDIRECTS {
        let client = reserve(&parts, &request, reserved.take(), url.clone());
        let environment = client.environment.clone();
        if request.blob.is_some() {
            let handle = parts.facade.handle();
            handle.inherit_controller(&environment, request.source.id);
        }
        parts.facade.handle().caught_up().await;
        let mut head = head(&request, &url, &method, body.as_ref());
        hops.push(url.clone());
        head.url_list.clone_from(&hops);
        head.tainted_origin = tainted_origin;
        let referrer = determine_referrer(&head, referrer_policy);
        let params = FetchParams::new(head, request.source.clone());
        let mut params = params.with_policies(&request.policies);
        params.referrer_policy = referrer_policy;
        params.reserved = Some(environment.clone());
        if let Some((body, _)) = &body {
            params.body = body.clone().into();
        }
        let fetched = match &request.blob {
            Some(blob) => blob.clone().service(&parts.fetches).fetch(params).await,
            None => parts.fetches.fetch(params).await,
        };
        let mut fetched = fetched.map_err(|error| error.to_string())?;
        if let Some(hop) = fetched.timing.take() {
            timing.followed(*hop);
        }
        let target = redirect_of(&url, &fetched.head).map_err(|error| error.to_string())?;
        if let Some(target) = target {
            // HTTP-redirect fetch, step 12.
            let status = fetched.head.status.as_u16();
            let becomes_get = matches!(status, 301 | 302) && method == Method::POST
                || status == 303 && method != Method::GET && method != Method::HEAD;
            if becomes_get {
                (method, body) = (Method::GET, None);
            }
            // HTTP-redirect fetch, step 19.
            if let Some(policy) = policy_of_headers(&fetched.head.headers) {
                referrer_policy = policy;
            }
            // HTTP-redirect fetch, step 10: the request's redirect-taint.
            let from = Origin::of(&url);
            tainted_origin |= from != Origin::of(&target) && from != request.source.origin;
            url = keep_fragment(&url, target);
            timing.redirected(parts.fetches.clock.now());
            reserved = Some(client);
            continue;
        }
        if forbids_fall_through(&fetched.head.headers) {
            parts.host_event(HostEvent::FallThroughForbidden(environment.id));
        }
        let bytes = fetched.body.unwrap_or_default();
        let bytes = bytes.collect(DOCUMENT_LIMIT).await;
        let bytes = bytes.map_err(|error| error.to_string())?;
        // The realm reads its controller as it is made: by then the facade must know who that is.
        parts.facade.handle().caught_up().await;
        let (environment, client) = if sandboxes_origin(&url, &fetched.head.headers) {
            // An environment that no service worker controls.
            let request = DocumentRequest {
                sandboxed: true,
                ..request.clone()
            };
            let environment = request.environment(parts.next_client(), url.clone());
            let client = Client::create(&parts, environment.clone());
            parts.facade.handle().caught_up().await;
            (environment, client)
        } else {
            (environment, client)
        };
        let mut document = FetchedDocument::new(environment, Box::new(client), bytes);
        document.status = fetched.head.status.as_u16();
        let length = document.body.len();
        let response = (fetched.head.clone(), fetched.source);
        let mut timing = DocumentTiming::new(request.url.clone(), timing, response, length);
        timing.kind = request.kind;
        document.timing = Some(timing);
        document.headers = fetched.head.headers;
        document.became_get = method != request.method;
        document.referrer = referrer.map(String::from).unwrap_or_default();
        return Ok(document);
    }
    Err(format!("{url} redirects more than {REDIRECTS} times"))
}

/// Whether a `sandbox` directive makes a document's origin opaque.
fn sandboxes_origin(url: &Url, headers: &HeaderMap) -> bool {
    let policies = ContentSecurityPolicies::from_headers(url, headers);
    let mut directives = policies.sandbox();
    directives.any(|tokens| {
        let mut tokens = tokens.split_ascii_whitespace();
        !tokens.any(|token| token.eq_ignore_ascii_case("allow-same-origin"))
    })
}

/// The reserved client of a hop. A redirect within an origin keeps the one that is there, described
/// anew; another origin gets another one.
fn reserve(
    parts: &Arc<Parts>,
    request: &DocumentRequest,
    former: Option<Client>,
    url: Url,
) -> Client {
    match former {
        Some(mut client) if Origin::of(&client.environment.creation_url) == Origin::of(&url) => {
            client.describe(request.environment(client.id(), url));
            client
        }
        _ => Client::create(parts, request.environment(parts.next_client(), url)),
    }
}

fn head(
    request: &DocumentRequest,
    url: &Url,
    method: &Method,
    body: Option<&(Bytes, String)>,
) -> RequestHead {
    let mut head = RequestHead {
        method: method.clone(),
        destination: request.destination,
        mode: RequestMode::Navigate,
        credentials: CredentialsMode::Include,
        redirect: RedirectMode::Manual,
        cache: match request.kind {
            NavigationKind::Reload => CacheMode::NoCache,
            NavigationKind::New | NavigationKind::Traverse => CacheMode::Default,
        },
        // *Create navigation params by fetching*, steps 11 and 12.
        reload_navigation: request.kind == NavigationKind::Reload,
        history_navigation: request.kind == NavigationKind::Traverse,
        replaces_client: request
            .replaces
            .clone()
            .and_then(|there| there.seen_by(url)),
        referrer: request.referrer.clone(),
        has_body: body.is_some(),
        ..RequestHead::get(url.clone(), request.source.origin.clone())
    };
    if let Some((_, kind)) = body
        && let Ok(kind) = HeaderValue::from_str(kind)
    {
        head.headers.insert(CONTENT_TYPE, kind);
    }
    head
}

/// A redirect without a fragment keeps the one that was asked for.
fn keep_fragment(from: &Url, mut target: Url) -> Url {
    if target.fragment().is_none() {
        target.set_fragment(from.fragment());
    }
    target
}
