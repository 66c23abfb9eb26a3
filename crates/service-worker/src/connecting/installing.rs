//! Install on connect: the response to the URL is asked for, what its headers install is awaited.
//! (SEMANTICS §4.2 row 34; off unless the host's policies say so.)

use std::sync::Arc;

use http::HeaderMap;
use sw_types::fetch::{CacheMode, CredentialsMode, RequestHead, ServiceWorkersMode};
use sw_types::{ClientId, RegistrationId, RequestId};
use url::Url;

use connect::Input;

use crate::Body;
use crate::driver::Driver;
use crate::fetch::Asked;
use crate::shared::ToDriver;

/// A connect whose service is being installed.
#[derive(Clone, Debug)]
pub(crate) struct Installing {
    client: ClientId,
    url: Url,
    /// The registrations that the network's answer has made.
    registrations: Vec<RegistrationId>,
}

impl Driver {
    /// Asks the network for the URL, as a request that no worker sees and that carries no
    /// credentials; the HTTP cache may only revalidate, because what it has installs nothing.
    pub(crate) fn install_to_connect(&mut self, id: RequestId, client: ClientId, url: Url) {
        let Some(environment) = self.shared.environment(client) else {
            return self.installed(id, None);
        };
        let installing = Installing {
            client,
            url: url.clone(),
            registrations: Vec::new(),
        };
        self.functional.installing.insert(id, installing);
        let head = RequestHead {
            credentials: CredentialsMode::Omit,
            service_workers: ServiceWorkersMode::None,
            ..RequestHead::get(url, environment.origin.clone())
        };
        let shared = Arc::clone(&self.shared);
        self.shared.in_background(async move {
            let asked = Asked {
                shared: &shared,
                head: &head,
                client,
                environment: &environment,
            };
            let sent = asked
                .send_and_install(Body::empty(), HeaderMap::new(), CacheMode::NoCache)
                .await;
            let mut registrations = Vec::new();
            match sent {
                Ok((_, installing)) => {
                    for installing in installing {
                        registrations.extend(installing.await);
                    }
                }
                Err(error) => tracing::debug!(%error, "nothing is installed to connect to"),
            }
            shared.send(ToDriver::InstalledToConnect(id, registrations));
        });
    }

    /// The network's answer has made these registrations, or none.
    pub(crate) fn installed_to_connect(
        &mut self,
        id: RequestId,
        registrations: Vec<RegistrationId>,
    ) {
        if let Some(installing) = self.functional.installing.get_mut(&id) {
            installing.registrations = registrations;
            self.look_for_installed(id);
        }
    }

    /// Something has happened to this registration.
    pub(crate) fn installing_changed(&mut self, registration: RegistrationId) {
        let waiting = self.functional.installing.iter();
        let ids: Vec<_> = waiting
            .filter(|(_, it)| it.registrations.contains(&registration))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.look_for_installed(id);
        }
    }

    /// Nobody waits for this installation any more. It goes on.
    pub(crate) fn cancel_installing(&mut self, id: RequestId) {
        self.functional.installing.remove(&id);
    }

    /// Ends the wait as soon as there is an active worker, or there will be none.
    fn look_for_installed(&mut self, id: RequestId) {
        let Some(Installing {
            client,
            url,
            registrations,
        }) = self.functional.installing.get(&id).cloned()
        else {
            return;
        };
        let environment = self.shared.environment(client);
        let candidate = environment.and_then(|environment| self.candidate(&environment, &url));
        let comes = registrations
            .into_iter()
            .filter_map(|registration| self.registry.registration(registration))
            .any(|view| view.installing.is_some() || view.waiting.is_some());
        if candidate.is_some() || !comes {
            self.installed(id, candidate);
        }
    }

    fn installed(&mut self, id: RequestId, candidate: Option<connect::Candidate>) {
        self.functional.installing.remove(&id);
        if let Some(connecting) = self.functional.connects.get_mut(&id) {
            connecting.asks(candidate);
        }
        self.connect_input(Input::Installed { id, candidate });
    }
}
