//! The last resort of a fetch: the network, and what its answer may install.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fetch_router::{ResponseTainting, response_tainting};
use http::header::RANGE;
use http::{HeaderMap, StatusCode};
use installer::{
    Ignored, InstallRequest, ResponseContext, ResponseSource, install_request,
    link_install_requests,
};
use sw_registry::{Input, Provenance, Register, Settled};
use sw_types::fetch::{
    CacheMode, CredentialsMode, Destination, RequestHead, RequestMode, ResponseHead,
};
use sw_types::{ClientId, Environment, Origin, RegistrationId, Site, StorageKey};

use super::{AnsweredBy, FetchError};
use crate::shared::Shared;
use crate::{Body, NetworkRequest, NetworkResponse, Report, Response};

/// A request that goes to the network, and who asks.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) head: &'a RequestHead,
    pub(crate) client: ClientId,
    pub(crate) environment: &'a Environment,
}

/// What the network, or the HTTP cache, says.
pub(crate) struct Sent {
    pub(crate) response: Response,
    pub(crate) answered_by: AnsweredBy,
    /// [`NetworkResponse::protocol`].
    pub(crate) protocol: &'static str,
}

impl Asked<'_> {
    /// *HTTP-network-or-cache fetch*, one hop of it, and §5.6 in the background. `more` are the
    /// headers that only the network gets.
    pub(super) async fn send(
        &self,
        body: Body,
        more: HeaderMap,
        cache: CacheMode,
    ) -> Result<Sent, FetchError> {
        let (answer, installing) = self.send_and_install(body, more, cache).await?;
        for installing in installing {
            self.shared.in_background(async move {
                installing.await;
            });
        }
        Ok(answer)
    }

    /// As [`Self::send`], with the installations in the caller's hands: whoever drops one does not
    /// end it, but leaves its failure unsaid.
    pub(crate) async fn send_and_install(
        &self,
        body: Body,
        more: HeaderMap,
        cache: CacheMode,
    ) -> Result<(Sent, Vec<HeaderInstall>), FetchError> {
        let head = self.head;
        let mut headers = head.headers.clone();
        headers.extend(more);
        let request = NetworkRequest {
            method: head.method.clone(),
            url: head.url().clone(),
            headers,
            body,
            cache,
            credentials: includes_credentials(head),
            site_for_cookies: site_for_cookies(head, self.environment),
            top_level_navigation: is_top_level_navigation(head),
            partition: self.storage_key(),
        };
        let NetworkResponse {
            status,
            status_text,
            headers,
            body,
            from_cache,
            sent_credentials,
            protocol,
        } = self.shared.network.send(request).await?;
        let answered_by = if from_cache {
            AnsweredBy::HttpCache
        } else {
            AnsweredBy::Network
        };
        let installing = self.maybe_install(status, &headers, answered_by);
        let head = ResponseHead {
            status_text,
            url_list: head.url_list.clone(),
            from_cache,
            requested_with_credentials: sent_credentials,
            range_requested: head.headers.contains_key(RANGE),
            ..ResponseHead::new(status, headers)
        };
        let sent = Sent {
            response: Response { head, body },
            answered_by,
            protocol,
        };
        Ok((sent, installing))
    }

    /// The key under which the requester sees data of the origin that it asks.
    fn storage_key(&self) -> Option<StorageKey> {
        let target = Origin::of(self.head.url());
        self.shared
            .policies
            .partition
            .storage_key(self.environment, &target)
    }

    /// Starts what the response asks to be installed. (SEMANTICS §5.6.) Nothing here delays or alters
    /// the response.
    fn maybe_install(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        answered_by: AnsweredBy,
    ) -> Vec<HeaderInstall> {
        let response = ResponseContext {
            url: self.head.url(),
            status,
            headers,
            destination: self.head.destination,
            source: match answered_by {
                AnsweredBy::HttpCache => ResponseSource::HttpCache,
                _ => ResponseSource::Network,
            },
            client: Some(self.environment),
            controls_clients: self.controls_clients(),
            policy: self.shared.policies.header_install,
        };
        let mut asked = match install_request(&response) {
            Err(Ignored::NoHeader) => Vec::new(),
            asked => vec![asked],
        };
        if self.shared.policies.link_install {
            asked.extend(link_install_requests(&response));
        }
        let mut installing = Vec::new();
        for asked in asked {
            match (asked, self.storage_key()) {
                (Ok(install), Some(storage_key)) => {
                    installing.extend(self.install(install, storage_key));
                }
                (Ok(_), None) => {}
                (Err(ignored), _) => {
                    tracing::info!(url = %self.head.url(), %ignored, "no worker is installed");
                }
            }
        }
        installing
    }

    /// Whether the service worker that asked controls a client; `false` if a window asked.
    fn controls_clients(&self) -> bool {
        let requesting = self.shared.requesting(self.client);
        requesting.is_some_and(|requesting| self.shared.lookup.is_used(requesting.registration))
    }

    fn install(&self, install: InstallRequest, storage_key: StorageKey) -> Option<HeaderInstall> {
        let InstallRequest {
            script,
            scope,
            worker_type,
            update_via_cache,
            referrer,
            controls_clients,
        } = install;
        let provenance = Provenance::Header { controls_clients };
        let known = self
            .shared
            .lookup
            .match_registration(&storage_key, scope.url());
        // What a script made stays as it is; what a header made follows the host's policy.
        let equal = known.is_some_and(|known| {
            let active = known.active.as_ref();
            known.scope == scope
                && active.is_some_and(|active| active.script_url == script)
                && (known.provenance == Provenance::Script || known.provenance == provenance)
        });
        if equal {
            return None;
        }
        let now = self.shared.clock.now();
        let initiator = self.environment.top_level_site.clone();
        let admitted = self
            .shared
            .installs()
            .admit(now, &initiator, &storage_key, &script, &scope);
        if let Err(ignored) = admitted {
            tracing::info!(%script, %ignored, "no worker is installed");
            return None;
        }
        let register = Register {
            storage_key,
            scope,
            script_url: script,
            worker_type,
            update_via_cache,
            client: None,
            referrer_origin: Origin::of(&referrer),
            // Start Register has no client here.
            referrer: None,
            provenance,
            initiator,
        };
        let settled = self
            .shared
            .ask(|promise| Input::Register(promise, register.clone()));
        let shared = Arc::clone(self.shared);
        Some(Box::pin(async move {
            let error = match settled.await {
                Ok(Settled::Registration(view)) => return Some(view.id),
                Ok(_) => return None,
                Err(error) => error,
            };
            let Register {
                storage_key,
                scope,
                script_url,
                ..
            } = register;
            let now = shared.clock.now();
            shared
                .installs()
                .failed(now, &storage_key, &script_url, &scope);
            shared.report(Report::HeaderInstallFailed { script_url, error });
            None
        }))
    }
}

/// An installation by header: the registration, once it is made. A failure is reported.
pub(crate) type HeaderInstall = Pin<Box<dyn Future<Output = Option<RegistrationId>> + Send>>;

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

/// The site that `SameSite` cookies ask about: the hidden requester's, if there is one. What
/// navigates a top-level traversable is asked by whoever started that. (RFC 6265bis, §5.2.)
fn site_for_cookies(head: &RequestHead, environment: &Environment) -> Option<Site> {
    match &head.requester {
        Some(requester) => Some(requester.site.clone()),
        None if is_top_level_navigation(head) => Some(Site::of(&head.origin)),
        None if environment.cross_site_ancestor => None,
        None => Some(environment.top_level_site.clone()),
    }
}

fn is_top_level_navigation(head: &RequestHead) -> bool {
    head.mode == RequestMode::Navigate && head.destination == Destination::Document
}
