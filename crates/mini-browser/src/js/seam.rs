//! What scripts ask of the service worker facade. The one seam between the two.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use service_worker::JobError;
use service_worker::fetch_router::RouterRule;
use service_worker::message_port::Message;
use service_worker::types::fetch::Referrer;
use service_worker::types::{
    ClientId, Environment, EventId, NavigationPreload, RegistrationId, RegistrationView,
    ScriptResource, UpdateViaCache, WorkerId, WorkerType, WorkerView,
};
use url::Url;

use super::connections::Connections;

/// An answer to come.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What `navigator.serviceWorker.register()` was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the parameters of the specification"
)]
pub struct Registering {
    /// The script's URL as given.
    pub script_url: String,
    /// The scope as given.
    pub scope: Option<String>,
    /// What both are relative to.
    pub base_url: Url,
    /// `type`
    pub worker_type: WorkerType,
    /// `updateViaCache`
    pub update_via_cache: UpdateViaCache,
    /// Who calls, if that may be told.
    pub referrer: Option<Referrer>,
}

/// The operations of the facade's `Handle` that scripts see, named as the specification names them.
pub trait Seam: Connections + Send + Sync + 'static {
    /// `ServiceWorkerContainer.register()`
    fn register(
        &self,
        client: ClientId,
        options: Registering,
    ) -> Pending<Result<RegistrationView, JobError>>;

    /// `ServiceWorkerRegistration.update()`; `caller` is the service worker that calls,
    /// `referrer` who calls, if that may be told.
    fn update(
        &self,
        registration: RegistrationId,
        caller: Option<WorkerId>,
        referrer: Option<Referrer>,
    ) -> Pending<Result<RegistrationView, JobError>>;

    /// `ServiceWorkerRegistration.unregister()`
    fn unregister(&self, registration: RegistrationId) -> Pending<Result<bool, JobError>>;

    /// `ServiceWorkerContainer.ready`
    fn ready(&self, client: ClientId) -> Pending<Result<RegistrationView, JobError>>;

    /// `ServiceWorkerContainer.controller`
    fn controller(&self, client: ClientId) -> Option<WorkerView>;

    /// `ServiceWorkerContainer.getRegistration(client_url)`
    fn registration(&self, client: ClientId, client_url: &Url)
    -> Pending<Option<RegistrationView>>;

    /// `ServiceWorkerGlobalScope.skipWaiting()`
    fn skip_waiting(&self, worker: WorkerId) -> Pending<Result<(), JobError>>;

    /// `Clients.claim()`
    fn claim(&self, worker: WorkerId) -> Pending<Result<(), JobError>>;

    /// `ServiceWorker.postMessage()`
    fn post_message(&self, sender: ClientId, worker: WorkerId, message: Message);

    /// `Client.postMessage()`
    fn post_message_to_client(&self, worker: WorkerId, client: ClientId, message: Message);

    /// `Clients.get()`
    fn client(&self, worker: WorkerId, client: ClientId) -> Pending<Option<Environment>>;

    /// `Clients.matchAll()`, in order of creation.
    fn clients(&self, worker: WorkerId, include_uncontrolled: bool) -> Pending<Vec<Environment>>;

    /// `ServiceWorkerContainer.getRegistrations()`
    fn registrations(&self, client: ClientId) -> Pending<Vec<RegistrationView>>;

    /// What the registrations of the client's storage key take, in bytes. (`StorageManager.estimate()`)
    fn script_bytes(&self, client: ClientId) -> Pending<u64>;

    /// `NavigationPreloadManager.getState()`
    ///
    /// # Errors
    /// [`JobError::InvalidState`] if the registration is gone.
    fn navigation_preload(
        &self,
        registration: RegistrationId,
    ) -> Result<NavigationPreload, JobError>;

    /// `NavigationPreloadManager.enable()` and `disable()`
    fn enable_navigation_preload(
        &self,
        registration: RegistrationId,
        enabled: bool,
    ) -> Pending<Result<(), JobError>>;

    /// `NavigationPreloadManager.setHeaderValue()`
    fn set_navigation_preload_header(
        &self,
        registration: RegistrationId,
        value: &[u8],
    ) -> Pending<Result<(), JobError>>;

    /// A script that a service worker imports. Why it cannot, for people.
    fn import_script(
        &self,
        worker: WorkerId,
        url: Url,
    ) -> Pending<Result<Arc<ScriptResource>, String>>;

    /// `InstallEvent.addRoutes()`: the rules are verified at once.
    fn add_routes(
        &self,
        worker: WorkerId,
        event: EventId,
        rules: Vec<RouterRule>,
    ) -> Pending<Result<(), JobError>>;

    /// `InstallEvent.handleFallThroughRequests()`
    ///
    /// # Errors
    /// [`JobError::Type`] for a prefix or origin that is not acceptable,
    /// [`JobError::InvalidState`] when the event is over.
    fn handle_fall_through_requests(
        &self,
        worker: WorkerId,
        event: EventId,
        prefixes: &[String],
        origins: Option<&[String]>,
    ) -> Result<(), JobError>;
}
