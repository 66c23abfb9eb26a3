//! One method for each operation of a script, under its specification's name.

use std::future::Future;
use std::sync::Arc;

use fetch_router::{Route, parse_fall_through_prefixes};
use futures_channel::oneshot;
use message_port::MessagePort;
use sw_registry::{Input, JobError, Provenance, Register, Settled};
use sw_types::fetch::{Referrer, RequestHead};
use sw_types::{
    ClientId, Environment, EventId, Origin, RegistrationId, RegistrationView, ScopeUrl, ScriptUrl,
    UpdateViaCache, UrlError, WorkerId, WorkerType, WorkerView,
};
use url::Url;

use crate::shared::{Shared, ToDriver, shut_down_error};
use crate::{DecisionRecord, FetchError, FetchRequest, Fetched, HostEvent};

/// The facade as agents see it: cheap to clone, usable from any thread.
///
/// Futures settle when the driver has settled the operation, and with an `AbortError` when the
/// driver is gone. Dropping one does not take the operation back.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// The arguments of `navigator.serviceWorker.register()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterOptions {
    /// The script, against [`Self::base_url`].
    pub script_url: String,
    /// The scope, against [`Self::base_url`]; by default the script's folder.
    pub scope: Option<String>,
    /// The caller's API base URL.
    pub base_url: Url,
    /// Classic or module.
    pub worker_type: WorkerType,
    /// The update-via-cache mode.
    pub update_via_cache: UpdateViaCache,
    /// The caller: its document's URL, or its own if it is a worker, and its referrer policy. `None`
    /// sends no `Referer` with the request for the script.
    pub referrer: Option<Referrer>,
}

impl Handle {
    /// News from the host. Never blocks.
    pub fn host_event(&self, event: HostEvent<MessagePort>) {
        self.shared.send(ToDriver::Host(event));
    }

    /// Ends when the driver has taken all that was sent to it before, such as word of a new client
    /// that is about to fetch; at once if the driver is gone.
    pub fn caught_up(&self) -> impl Future<Output = ()> + Send + 'static {
        let (reply, taken) = oneshot::channel();
        self.shared.send(ToDriver::Marker(reply));
        async move { taken.await.unwrap_or_default() }
    }

    /// `navigator.serviceWorker.register()`. (*Service Workers*, "Start Register".)
    ///
    /// # Errors
    /// As the algorithm says; `SecurityError` also for a client without storage.
    pub fn register(
        &self,
        client: ClientId,
        options: RegisterOptions,
    ) -> impl Future<Output = Result<RegistrationView, JobError>> + Send + 'static {
        let asked = self.start_register(client, &options).map(|register| {
            self.shared
                .ask(|promise| Input::Register(promise, register))
        });
        async move { registration(asked?.await?) }
    }

    fn start_register(
        &self,
        client: ClientId,
        options: &RegisterOptions,
    ) -> Result<Register, JobError> {
        let environment = self.shared.environment(client).ok_or_else(unknown_client)?;
        let type_error = |error: UrlError| JobError::Type(error.to_string());
        let script_url =
            ScriptUrl::parse(&options.script_url, Some(&options.base_url)).map_err(type_error)?;
        let scope = match &options.scope {
            Some(scope) => ScopeUrl::parse(scope, Some(&options.base_url)).map_err(type_error)?,
            None => ScopeUrl::default_for(&script_url),
        };
        let blocked = || JobError::Security(format!("{} has no storage", environment.origin));
        if !environment.secure_context {
            let insecure = format!("{} is not a secure context", environment.creation_url);
            return Err(JobError::Security(insecure));
        }
        let partition = self.shared.policies.partition;
        Ok(Register {
            storage_key: partition
                .storage_key(&environment, &environment.origin)
                .ok_or_else(blocked)?,
            scope,
            script_url,
            worker_type: options.worker_type,
            update_via_cache: options.update_via_cache,
            client: Some(client),
            referrer_origin: environment.origin.clone(),
            referrer: options.referrer.clone(),
            provenance: Provenance::Script,
            initiator: environment.top_level_site.clone(),
        })
    }

    /// `registration.update()`. `caller` is the service worker that calls, if one does; `referrer` as
    /// that of [`RegisterOptions`].
    ///
    /// # Errors
    /// As *Update* says.
    pub fn update(
        &self,
        id: RegistrationId,
        caller: Option<WorkerId>,
        referrer: Option<Referrer>,
    ) -> impl Future<Output = Result<RegistrationView, JobError>> + Send + 'static {
        let asked = self.shared.ask(|promise| Input::Update {
            promise,
            registration: id,
            caller,
            referrer,
        });
        async move { registration(asked.await?) }
    }

    /// `registration.unregister()`: whether there was something to unregister.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn unregister(
        &self,
        registration: RegistrationId,
    ) -> impl Future<Output = Result<bool, JobError>> + Send + 'static {
        let asked = self.shared.ask(|promise| Input::Unregister {
            promise,
            registration,
        });
        async move { Ok(asked.await? == Settled::Unregistered(true)) }
    }

    /// `navigator.serviceWorker.ready`: waits, for ever if need be, until a registration that
    /// matches the client has an active worker.
    ///
    /// # Errors
    /// If the client goes away.
    pub fn ready(
        &self,
        client: ClientId,
    ) -> impl Future<Output = Result<RegistrationView, JobError>> + Send + 'static {
        let asked = self.shared.ask(|promise| Input::Ready { promise, client });
        async move { registration(asked.await?) }
    }

    /// `skipWaiting()`.
    ///
    /// # Errors
    /// If the worker is gone.
    pub fn skip_waiting(
        &self,
        worker: WorkerId,
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        let asked = self
            .shared
            .ask(|promise| Input::SkipWaiting { promise, worker });
        async move { asked.await.map(drop) }
    }

    /// `clients.claim()`.
    ///
    /// # Errors
    /// `InvalidStateError` if the worker is not active.
    pub fn claim(
        &self,
        worker: WorkerId,
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        let asked = self.shared.ask(|promise| Input::Claim { promise, worker });
        async move { asked.await.map(drop) }
    }

    /// `installEvent.handleFallThroughRequests()`. (SEMANTICS §4.2 row 26.) The caller has checked
    /// that the event is being dispatched.
    ///
    /// # Errors
    /// A `TypeError` for a prefix outside the scope or an origin that does not parse; an
    /// `InvalidStateError` if the worker is gone.
    pub fn handle_fall_through_requests(
        &self,
        worker: WorkerId,
        event: EventId,
        prefixes: &[String],
        origins: Option<&[String]>,
    ) -> Result<(), JobError> {
        let gone = || JobError::InvalidState("the worker is gone".to_owned());
        let requesting = self
            .shared
            .requesting(Shared::worker_client(worker))
            .ok_or_else(gone)?;
        let (script_url, scope) = (&requesting.script_url, &requesting.scope);
        let rules = parse_fall_through_prefixes(script_url, scope, prefixes, origins)
            .map_err(|error| JobError::Type(error.to_string()))?;
        let input = Input::HandleFallThroughRequests {
            worker,
            event,
            rules,
        };
        self.shared.send(ToDriver::Tell(input));
        Ok(())
    }

    /// `navigator.serviceWorker.controller`.
    #[must_use]
    pub fn controller(&self, client: ClientId) -> Option<WorkerView> {
        let active = self.shared.lookup.controller(client)?.active.clone()?;
        Some(WorkerView {
            id: active.id,
            script_url: active.script_url,
            state: active.state,
        })
    }

    /// A client that was created for a local URL (`about:`, `blob:`), by another of the same storage
    /// key, has its creator's controller. (*HTML*, "Set up a window environment settings object",
    /// "Run a worker".) Does nothing if there is none.
    pub fn inherit_controller(&self, environment: &Environment, creator: ClientId) {
        let partition = self.shared.policies.partition;
        let key = partition.storage_key(environment, &environment.origin);
        let controller = self.shared.lookup.controller(creator);
        if let Some(found) = controller.filter(|found| Some(&found.storage_key) == key.as_ref()) {
            self.shared.send(ToDriver::Tell(Input::ClientUses {
                client: environment.id,
                registration: found.id,
            }));
        }
    }

    /// The registration that a top-level page at `url` would match, for a host that has something for
    /// it, such as a push message.
    #[must_use]
    pub fn registration_at(&self, url: &Url) -> Option<RegistrationId> {
        let environment = Environment::top_level(ClientId(0), url.clone());
        let partition = self.shared.policies.partition;
        let key = partition.storage_key(&environment, &environment.origin)?;
        self.shared.lookup.match_registration_id(&key, url)
    }

    /// `navigator.serviceWorker.getRegistration(url)`: the registration that matches.
    ///
    /// # Errors
    /// `SecurityError` if `url` is of another origin than the client.
    pub fn registration(
        &self,
        client: ClientId,
        url: &Url,
    ) -> impl Future<Output = Result<Option<RegistrationView>, JobError>> + Send + 'static {
        let matched = self.match_registration(client, url);
        let asked = matched.map(|found| {
            found.map(|id| {
                let (reply, view) = oneshot::channel();
                self.shared.send(ToDriver::View(id, reply));
                view
            })
        });
        async move {
            match asked? {
                Some(view) => view.await.map_err(|_| shut_down_error()),
                None => Ok(None),
            }
        }
    }

    fn match_registration(
        &self,
        client: ClientId,
        url: &Url,
    ) -> Result<Option<RegistrationId>, JobError> {
        let environment = self.shared.environment(client).ok_or_else(unknown_client)?;
        if Origin::of(url) != environment.origin {
            return Err(JobError::Security(format!(
                "{url} is not of {}",
                environment.origin
            )));
        }
        let key = self
            .shared
            .policies
            .partition
            .storage_key(&environment, &environment.origin);
        Ok(key.and_then(|key| self.shared.lookup.match_registration_id(&key, url)))
    }

    /// One hop of a fetch: the client's own worker, then a fall-through worker, then the network.
    /// Redirects and CORS are the caller's. See [`Fetched`].
    ///
    /// # Errors
    /// A network error, with its reason for people.
    pub fn fetch(
        &self,
        request: FetchRequest,
    ) -> impl Future<Output = Result<Fetched, FetchError>> + Send + 'static {
        let fetched = self.fetch_with_record(request);
        async move { fetched.await.0 }
    }

    /// As [`Self::fetch`], with the record of who was asked, for how long, and why not the others; none
    /// for a client that is not known. (An aborted fetch, whose future is dropped, has none either.)
    pub fn fetch_with_record(
        &self,
        request: FetchRequest,
    ) -> impl Future<Output = (Result<Fetched, FetchError>, Option<Box<DecisionRecord>>)> + Send + 'static
    {
        crate::fetch::fetch(Arc::clone(&self.shared), request)
    }

    /// Which workers would see a request of this client, as things stand. Nobody is asked, and for a
    /// request that nobody wants nothing is allocated.
    ///
    /// # Errors
    /// [`FetchError::UnknownClient`].
    pub fn route(&self, head: &RequestHead, client: ClientId) -> Result<Route, FetchError> {
        crate::fetch::decide(&self.shared, head, client, None).map(|decided| decided.route)
    }

    /// How often the driver was polled so far: a fetch to a worker that runs adds nothing.
    #[must_use]
    pub fn driver_polls(&self) -> u64 {
        self.shared.driver_polls()
    }

    /// Stops all workers, finishes all writes and ends the driver.
    pub fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        let (done, ended) = oneshot::channel();
        self.shared.send(ToDriver::ShutDown(done));
        async move { ended.await.unwrap_or_default() }
    }
}

fn unknown_client() -> JobError {
    JobError::InvalidState("the client is not known, or gone".to_owned())
}

fn registration(settled: Settled) -> Result<RegistrationView, JobError> {
    match settled {
        Settled::Registration(view) => Ok(view),
        other => Err(JobError::Abort(format!(
            "no registration came, but {other:?}"
        ))),
    }
}
