//! Clients: creation, use, unload; `ready` and `clients.claim()`.

use sw_types::{
    ClientId, ClientNotice, ClientType, Environment, PromiseId, RegistrationId, StorageKey,
    WorkerId,
};
use url::Url;

use crate::lookup::controls_clients;
use crate::state::Client;
use crate::{JobError, Output, Registry, Settled};

/// What `clients.get()` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are these three")]
pub enum FoundClient<'a> {
    /// An execution-ready client.
    Yes(&'a Environment),
    /// A client that is neither execution-ready nor discarded yet: ask again when it is.
    NotYet,
    /// None that this worker may know of.
    No,
}

impl Registry {
    /// A client is created; or a reserved client, that a redirect leads elsewhere, is described
    /// anew: then it no longer uses what matched its former URL.
    pub(crate) fn client_created(
        &mut self,
        environment: Environment,
        storage_key: Option<StorageKey>,
    ) {
        let id = environment.id;
        self.unload(id);
        let former = self.clients.remove(&id);
        if let Some(former) = &former {
            self.forget_client_key(id, former.storage_key.as_ref());
        }
        if let Some(key) = &storage_key {
            self.clients_by_key
                .entry(key.clone())
                .or_default()
                .insert(id);
        }
        self.lookup.set_client(environment.clone(), None);
        self.clients.insert(
            id,
            Client {
                environment,
                storage_key,
                execution_ready: false,
                uses: None,
                ready: former.map(|former| former.ready).unwrap_or_default(),
            },
        );
    }

    /// *Handle Fetch* gave it a registration, or a worker that inherits its creator's controller.
    pub(crate) fn client_uses(&mut self, client: ClientId, id: RegistrationId) {
        let usable = self.registrations.get(&id).is_some_and(|registration| {
            registration.active.is_some() && controls_clients(registration.provenance)
        });
        let controllable = self
            .clients
            .get(&client)
            .is_some_and(|client| client.environment.client_type != ClientType::ServiceWorker);
        if usable && controllable {
            self.use_registration(client, id);
        } else {
            tracing::debug!(%client, %id, "a use that cannot be");
        }
    }

    pub(crate) fn client_ready(&mut self, client: ClientId) {
        match self.clients.get_mut(&client) {
            Some(client) => client.execution_ready = true,
            None => tracing::debug!(%client, "an unknown client is ready"),
        }
    }

    /// A client is discarded: what it waits for settles, and *Handle Service Worker Client Unload*.
    pub(crate) fn client_gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            tracing::debug!(%id, "an unknown client is gone");
            return;
        };
        for promise in std::mem::take(&mut client.ready) {
            let error = JobError::Abort(format!("{id}, which waited, is gone"));
            self.output(Output::Settle(promise, Err(error)));
        }
        self.abort_job_promises_of(id);
        self.unload(id);
        if let Some(client) = self.clients.remove(&id) {
            self.forget_client_key(id, client.storage_key.as_ref());
        }
        self.lookup.remove_client(id);
    }

    /// `navigator.serviceWorker.ready`.
    pub(crate) fn ready(&mut self, promise: PromiseId, id: ClientId) {
        let Some(client) = self.clients.get(&id) else {
            let error = JobError::Abort(format!("{id}, which asks, is gone"));
            self.output(Output::Settle(promise, Err(error)));
            return;
        };
        let key = client.storage_key.as_ref();
        let matched = key.and_then(|key| self.matching(key, client.environment.matched_url()));
        let view = matched
            .and_then(|id| self.registration(id))
            .filter(|view| view.active.is_some());
        match (view, self.clients.get_mut(&id)) {
            (Some(view), _) => {
                self.output(Output::Settle(promise, Ok(Settled::Registration(view))));
            }
            (None, Some(client)) => client.ready.push(promise),
            (None, None) => {}
        }
    }

    /// Activate, steps 6 and 7.
    pub(crate) fn resolve_ready_promises(&mut self, key: &StorageKey, id: RegistrationId) {
        let waiting: Vec<ClientId> = self
            .clients_of(key)
            .into_iter()
            .filter(|client| {
                self.clients.get(client).is_some_and(|client| {
                    !client.ready.is_empty()
                        && self.matching(key, client.environment.matched_url()) == Some(id)
                })
            })
            .collect();
        let Some(view) = self.registration(id) else {
            return;
        };
        for client in waiting {
            let promises = self
                .clients
                .get_mut(&client)
                .map(|client| std::mem::take(&mut client.ready));
            for promise in promises.into_iter().flatten() {
                let settled = Settled::Registration(view.clone());
                self.output(Output::Settle(promise, Ok(settled)));
            }
        }
    }

    /// `clients.claim()`.
    pub(crate) fn claim(&mut self, promise: PromiseId, worker: WorkerId) {
        let result = self.claim_clients(worker).map(|()| Settled::Done);
        self.output(Output::Settle(promise, result));
    }

    fn claim_clients(&mut self, worker: WorkerId) -> Result<(), JobError> {
        // Step 1.
        let registration = self
            .workers
            .get(&worker)
            .and_then(|worker| self.registrations.get(&worker.registration))
            .filter(|registration| registration.active == Some(worker))
            .ok_or_else(|| {
                JobError::InvalidState(format!(
                    "{worker} is not an active worker, so it claims no clients"
                ))
            })?;
        let (id, key) = (registration.id, registration.storage_key.clone());
        // SEMANTICS §5.6: an installation that controls no client has none to claim. One that was
        // unregistered matches none.
        if !controls_clients(registration.provenance) {
            return Ok(());
        }
        // Step 3: each client of this storage key.
        for client_id in self.clients_of(&key) {
            let Some(client) = self.clients.get(&client_id) else {
                continue;
            };
            let environment = &client.environment;
            // Steps 3.1 to 3.5.
            if !client.execution_ready
                || !environment.secure_context
                || environment.client_type == ClientType::ServiceWorker
                || client.uses == Some(id)
                || self.matching(&key, environment.matched_url()) != Some(id)
            {
                continue;
            }
            // Step 3.6: unload from the former registration, and take over.
            self.use_registration(client_id, id);
            let notice = ClientNotice::ControllerChanged(self.worker(worker));
            self.output(Output::Notify(client_id, notice));
        }
        Ok(())
    }

    /// `clients.matchAll()`: the clients of a worker's storage key, in the order of their ids, which
    /// is for the host to refine. With `uncontrolled`, also those that another worker controls, or
    /// none.
    #[must_use]
    pub fn clients_for(&self, worker: WorkerId, uncontrolled: bool) -> Vec<&Environment> {
        let Some(registration) = self.registration_of(worker) else {
            return Vec::new();
        };
        let Some(found) = self.registrations.get(&registration) else {
            return Vec::new();
        };
        let controls = found.active == Some(worker);
        let clients = self.clients_by_key.get(&found.storage_key);
        let clients = clients.into_iter().flatten();
        // matchAll, steps 2.1 and 2.2.
        clients
            .filter_map(|client| self.clients.get(client))
            .filter(|client| {
                client.execution_ready
                    && client.environment.secure_context
                    && client.environment.client_type != ClientType::ServiceWorker
                    && (uncontrolled || (controls && client.uses == Some(registration)))
            })
            .map(|client| &client.environment)
            .collect()
    }

    /// `clients.get()`: a client of a worker's storage key.
    #[must_use]
    pub fn client_for(&self, worker: WorkerId, client: ClientId) -> FoundClient<'_> {
        let key = self
            .registration_of(worker)
            .and_then(|id| self.registrations.get(&id))
            .map(|registration| &registration.storage_key);
        let Some(found) = self.clients.get(&client).filter(|found| {
            found.storage_key.as_ref() == key
                && key.is_some()
                && found.environment.secure_context
                && found.environment.client_type != ClientType::ServiceWorker
        }) else {
            return FoundClient::No;
        };
        if found.execution_ready {
            FoundClient::Yes(&found.environment)
        } else {
            FoundClient::NotYet
        }
    }

    /// *Match Service Worker Registration.*
    fn matching(&self, key: &StorageKey, url: &Url) -> Option<RegistrationId> {
        self.lookup.match_registration_id(key, url)
    }

    fn use_registration(&mut self, client: ClientId, id: RegistrationId) {
        if self.clients.get(&client).and_then(|client| client.uses) == Some(id) {
            return;
        }
        let former = self.release(client);
        self.set_uses(client, Some(id));
        let now = self.now().instant;
        self.edit(id, |registration| {
            registration.last_used = Some(now);
            registration.clients.insert(client);
        });
        if let Some(former) = former {
            self.last_client_gone(former);
        }
    }

    /// *Handle Service Worker Client Unload*.
    fn unload(&mut self, client: ClientId) {
        if let Some(former) = self.release(client) {
            self.last_client_gone(former);
        }
    }

    /// Takes a client from the registration that it uses; names that registration.
    fn release(&mut self, client: ClientId) -> Option<RegistrationId> {
        let former = self.clients.get(&client)?.uses?;
        self.set_uses(client, None);
        self.edit(former, |registration| {
            registration.clients.remove(&client);
        });
        Some(former)
    }

    /// *Handle Service Worker Client Unload*, from "if registration is unregistered" on: if no other client uses the registration.
    fn last_client_gone(&mut self, id: RegistrationId) {
        let unused = self
            .registrations
            .get(&id)
            .is_some_and(|registration| registration.clients.is_empty());
        if unused {
            self.try_clear(id);
            self.try_activate(id);
        }
    }

    pub(crate) fn set_uses(&mut self, client: ClientId, uses: Option<RegistrationId>) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.uses = uses;
        }
        self.lookup.set_client_use(client, uses);
    }

    /// Tells every client of a storage key, service workers included.
    pub(crate) fn notify_all(&mut self, key: &StorageKey, notice: &ClientNotice) {
        for client in self.clients_of(key) {
            self.output(Output::Notify(client, notice.clone()));
        }
    }

    fn clients_of(&self, key: &StorageKey) -> Vec<ClientId> {
        let clients = self.clients_by_key.get(key);
        clients.into_iter().flatten().copied().collect()
    }

    fn forget_client_key(&mut self, client: ClientId, key: Option<&StorageKey>) {
        let Some(key) = key else { return };
        if let Some(clients) = self.clients_by_key.get_mut(key) {
            clients.remove(&client);
            if clients.is_empty() {
                self.clients_by_key.remove(key);
            }
        }
    }
}
