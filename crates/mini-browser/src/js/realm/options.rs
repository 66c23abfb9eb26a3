//! What a realm is made from.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use service_worker::StartWorker;
use service_worker::types::Environment;
use service_worker::types::fetch::CredentialsMode;
use url::Url;

use crate::fetch::PolicyContainer;
use crate::js::console::ConsoleSink;
use crate::js::sandbox::Sandbox;
use crate::js::seam::Seam;

/// Which global a realm has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RealmKind {
    /// A `ServiceWorkerGlobalScope`. Of its scripts, only those that it imports are used from here.
    ServiceWorker(Box<StartWorker>),
    /// A `DedicatedWorkerGlobalScope`.
    DedicatedWorker(Box<WorkerOptions>),
    /// A `SharedWorkerGlobalScope`.
    SharedWorker(Box<WorkerOptions>),
    /// A `Window`.
    Window,
}

/// What a dedicated or shared worker was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerOptions {
    /// Its name.
    pub name: String,
    /// Whether its script is a module.
    pub is_module: bool,
    /// The credentials mode of its modules' requests.
    pub credentials: CredentialsMode,
}

/// What a realm is made from.
#[non_exhaustive]
pub struct RealmOptions {
    /// Which global it has.
    pub kind: RealmKind,
    /// The script's or document's URL.
    pub url: Url,
    /// What relative URLs are resolved against, where that is not its URL.
    pub base_url: Option<Url>,
    /// What it may fetch, and how.
    pub policies: PolicyContainer,
    pub(in crate::js) sandbox: Sandbox,
    /// What its fetches and registrations are made with.
    pub environment: Environment,
    /// Where its console goes.
    pub console: Arc<dyn ConsoleSink>,
    /// What it asks of service workers.
    pub seam: Arc<dyn Seam>,
    pub(super) services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl RealmOptions {
    /// Options for a realm of `environment`, whose URL is the environment's creation URL.
    pub fn new(
        kind: RealmKind,
        environment: Environment,
        console: Arc<dyn ConsoleSink>,
        seam: Arc<dyn Seam>,
    ) -> Self {
        let url = match &kind {
            RealmKind::ServiceWorker(start) => start.script_url.url().clone(),
            RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => {
                environment.creation_url.clone()
            }
        };
        let policies = match &kind {
            RealmKind::ServiceWorker(start) => policies_of(start),
            RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => {
                PolicyContainer::default()
            }
        };
        Self {
            kind,
            url,
            base_url: None,
            policies,
            sandbox: Sandbox::default(),
            environment,
            console,
            seam,
            services: HashMap::new(),
        }
    }

    /// Options for the window of another document, with the same services and policies.
    pub(in crate::js) fn for_document(&self, environment: Environment) -> Self {
        Self {
            kind: RealmKind::Window,
            url: environment.creation_url.clone(),
            base_url: None,
            policies: self.policies.clone(),
            sandbox: Sandbox::default(),
            environment,
            console: Arc::clone(&self.console),
            seam: Arc::clone(&self.seam),
            services: self.services.clone(),
        }
    }

    /// Adds something that native functions look up by its type.
    #[must_use]
    pub fn with_service<T: Any + Send + Sync>(mut self, service: Arc<T>) -> Self {
        self.services.insert(TypeId::of::<T>(), service);
        self
    }
}

/// *Run Service Worker*: the policies that its script was served with.
fn policies_of(start: &StartWorker) -> PolicyContainer {
    let url = start.script_url.url();
    let script = start.scripts.get(url);
    script
        .map(|script| PolicyContainer::from_headers(url, &script.headers))
        .unwrap_or_default()
}
