//! The last resort of a fetch: the network, and what its answer may install.

use std::sync::Arc;

use fetch_router::{ResponseTainting, response_tainting};
use http::{HeaderMap, StatusCode};
use installer::{Ignored, InstallRequest, ResponseContext, ResponseSource, install_request};
use sw_registry::{Input, Provenance, Register};
use sw_types::fetch::{CredentialsMode, RequestHead, ResponseHead};
use sw_types::{ClientId, Environment, Origin, Site, StorageKey};

use super::{AnsweredBy, FetchError};
use crate::shared::Shared;
use crate::{Body, NetworkRequest, Report, Response};

/// *HTTP-network-or-cache fetch*, one hop of it, and §5.6 in the background.
pub(super) async fn hop(
    shared: &Arc<Shared>,
    head: &RequestHead,
    body: Body,
    client: ClientId,
    environment: &Environment,
) -> Result<(Response, AnsweredBy), FetchError> {
    let url = head.url();
    let partition = shared
        .policies
        .partition
        .storage_key(environment, &Origin::of(url));
    let response = shared
        .network
        .send(NetworkRequest {
            method: head.method.clone(),
            url: url.clone(),
            headers: head.headers.clone(),
            body,
            cache: head.cache,
            credentials: includes_credentials(head),
            site_for_cookies: site_for_cookies(head, environment),
            partition: partition.clone(),
        })
        .await?;
    let answered_by = if response.from_cache {
        AnsweredBy::HttpCache
    } else {
        AnsweredBy::Network
    };
    if let Some(storage_key) = partition {
        let asked = Asked {
            head,
            client,
            environment,
            storage_key,
        };
        asked.maybe_install(shared, response.status, &response.headers, answered_by);
    }
    let head = ResponseHead {
        url_list: head.url_list.clone(),
        from_cache: response.from_cache,
        requested_with_credentials: response.sent_credentials,
        range_requested: head.headers.contains_key(http::header::RANGE),
        ..ResponseHead::new(response.status, response.headers)
    };
    Ok((
        Response {
            head,
            body: response.body,
        },
        answered_by,
    ))
}

/// *includeCredentials*. (*Fetch*, "HTTP-network-or-cache fetch", step 8.)
fn includes_credentials(head: &RequestHead) -> bool {
    match head.credentials {
        CredentialsMode::Include => true,
        CredentialsMode::Omit => false,
        CredentialsMode::SameOrigin => {
            matches!(response_tainting(head), Ok(ResponseTainting::Basic))
        }
    }
}

/// The site that `SameSite` cookies ask about: the hidden requester's, if there is one.
fn site_for_cookies(head: &RequestHead, environment: &Environment) -> Option<Site> {
    match &head.requester {
        Some(requester) => Some(requester.site.clone()),
        None if environment.cross_site_ancestor => None,
        None => Some(environment.top_level_site.clone()),
    }
}

/// Who asked for a response that may bring a worker.
struct Asked<'a> {
    head: &'a RequestHead,
    client: ClientId,
    environment: &'a Environment,
    storage_key: StorageKey,
}

impl Asked<'_> {
    /// Starts an installation in the background if the response asks for one. (SEMANTICS §5.6.)
    /// Nothing here delays or alters the response.
    fn maybe_install(
        self,
        shared: &Arc<Shared>,
        status: StatusCode,
        headers: &HeaderMap,
        answered_by: AnsweredBy,
    ) {
        let install = install_request(&ResponseContext {
            url: self.head.url(),
            status,
            headers,
            destination: self.head.destination,
            source: match answered_by {
                AnsweredBy::HttpCache => ResponseSource::HttpCache,
                _ => ResponseSource::Network,
            },
            client: Some(self.environment),
            controls_clients: self.controls_clients(shared),
            policy: shared.policies.header_install,
        });
        match install {
            Ok(install) => self.install(shared, install),
            Err(Ignored::NoHeader) => {}
            Err(ignored) => {
                tracing::info!(url = %self.head.url(), %ignored, "no worker is installed");
            }
        }
    }

    /// Whether the service worker that asked controls a client; `false` if a window asked.
    fn controls_clients(&self, shared: &Shared) -> bool {
        let requesting = shared.requesting(self.client);
        requesting.is_some_and(|requesting| shared.lookup.is_used(requesting.registration))
    }

    fn install(self, shared: &Arc<Shared>, install: InstallRequest) {
        let InstallRequest {
            script,
            scope,
            referrer,
            controls_clients,
        } = install;
        let known = shared
            .lookup
            .match_registration(&self.storage_key, scope.url());
        let equal = known.is_some_and(|known| {
            let active = known.active.as_ref();
            known.scope == scope && active.is_some_and(|active| active.script_url == script)
        });
        if equal {
            return;
        }
        let now = shared.clock.now();
        let initiator = self.environment.top_level_site.clone();
        let admitted = shared
            .installs()
            .admit(now, &initiator, &self.storage_key, &script, &scope);
        if let Err(ignored) = admitted {
            tracing::info!(%script, %ignored, "no worker is installed");
            return;
        }
        let register = Register {
            storage_key: self.storage_key,
            scope,
            script_url: script,
            worker_type: sw_types::WorkerType::Classic,
            update_via_cache: sw_types::UpdateViaCache::Imports,
            client: None,
            referrer_origin: Origin::of(&referrer),
            provenance: Provenance::Header { controls_clients },
            initiator,
        };
        let settled = shared.ask(|promise| Input::Register(promise, register.clone()));
        let background = Arc::clone(shared);
        shared.in_background(async move {
            if let Err(error) = settled.await {
                let Register {
                    storage_key,
                    scope,
                    script_url,
                    ..
                } = register;
                let now = background.clock.now();
                background
                    .installs()
                    .failed(now, &storage_key, &script_url, &scope);
                background.report(Report::HeaderInstallFailed { script_url, error });
            }
        });
    }
}
