//! What a registration and its worker keep for navigations: navigation preload, and router rules.

use std::future::Future;

use fetch_router::{RouterRule, RouterRules};
use http::HeaderValue;
use sw_registry::{Input, JobError, PreloadChange};
use sw_types::{EventId, NavigationPreload, RegistrationId, WorkerId};

use crate::Handle;
use crate::shared::Shared;

impl Handle {
    /// `registration.navigationPreload.getState()`. (*Service Workers*, "NavigationPreloadManager".)
    ///
    /// # Errors
    /// `InvalidStateError` if the registration is gone.
    pub fn navigation_preload(
        &self,
        registration: RegistrationId,
    ) -> Result<NavigationPreload, JobError> {
        let snapshot = self.shared.lookup.snapshot(registration).ok_or_else(|| {
            JobError::InvalidState(format!("{registration} is not known, or gone"))
        })?;
        Ok(snapshot.navigation_preload.clone())
    }

    /// `registration.navigationPreload.enable()` and `disable()`: resolves when it is durable.
    ///
    /// # Errors
    /// `InvalidStateError` without an active worker; or what the store says.
    pub fn enable_navigation_preload(
        &self,
        registration: RegistrationId,
        enabled: bool,
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        self.change_navigation_preload(registration, PreloadChange::Enabled(enabled))
    }

    /// `registration.navigationPreload.setHeaderValue()`: resolves when it is durable.
    ///
    /// # Errors
    /// `TypeError` if `value` is no header value; `InvalidStateError` without an active worker; or
    /// what the store says.
    pub fn set_navigation_preload_header(
        &self,
        registration: RegistrationId,
        value: &[u8],
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        let asked = match HeaderValue::from_bytes(value) {
            Ok(value) => {
                let change = PreloadChange::HeaderValue(value);
                Ok(self.change_navigation_preload(registration, change))
            }
            Err(_) => Err(JobError::Type(format!(
                "{:?} is no header value",
                String::from_utf8_lossy(value)
            ))),
        };
        async move { asked?.await }
    }

    fn change_navigation_preload(
        &self,
        registration: RegistrationId,
        change: PreloadChange,
    ) -> impl Future<Output = Result<(), JobError>> + Send + use<> {
        let asked = self.shared.ask(|promise| Input::SetNavigationPreload {
            promise,
            registration,
            change,
        });
        async move { asked.await.map(drop) }
    }

    /// `installEvent.addRoutes()`: verifies the rules now, and settles when they have been added.
    /// They count as soon as the worker is active, and for as long as it is.
    ///
    /// # Errors
    /// `TypeError` if a rule is not valid (see [`RouterRuleError`](fetch_router::RouterRuleError)), or
    /// the worker's rules would have more than 1024 conditions in all; `InvalidStateError` if the
    /// worker is not handling that event.
    pub fn add_routes(
        &self,
        worker: WorkerId,
        event: EventId,
        rules: Vec<RouterRule>,
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        let verified = self.verify_routes(worker, rules);
        let asked = verified.map(|rules| {
            self.shared.ask(|promise| Input::AddRoutes {
                promise,
                worker,
                event,
                rules: rules.encode(),
            })
        });
        async move { asked?.await.map(drop) }
    }

    fn verify_routes(
        &self,
        worker: WorkerId,
        rules: Vec<RouterRule>,
    ) -> Result<RouterRules, JobError> {
        let requesting = self.shared.requesting(Shared::worker_client(worker));
        let requesting =
            requesting.ok_or_else(|| JobError::InvalidState(format!("{worker} is gone")))?;
        let event_types = requesting.event_types.get().copied().unwrap_or_default();
        RouterRules::verify(rules, &requesting.script_url, event_types)
            .map_err(|error| JobError::Type(error.to_string()))
    }
}
