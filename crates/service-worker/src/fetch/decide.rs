//! What is known of a request before anybody is asked: who could see it, and who does.

use std::sync::Arc;

use fetch_router::{
    Candidate, FallThroughCandidate, FallThroughPolicy, Route, RouteRequest, RouterRules,
    SkipReason, StaticRouter,
};
use sw_registry::Snapshot;
use sw_types::fetch::{Destination, LookAside, RequestHead, ServiceWorkersMode};
use sw_types::{ClientId, Environment, Origin, RegistrationId, Timestamp};

use super::FetchError;
use crate::Policies;
use crate::shared::{Requesting, Shared};

/// Who was found, and what the router says.
pub(crate) struct Decided {
    pub(super) environment: Arc<Environment>,
    /// The service worker that asks, if one does.
    pub(super) requesting: Option<Arc<Requesting>>,
    /// The registration whose worker comes first, or why there is none.
    pub(super) controller: Result<Arc<Snapshot>, SkipReason>,
    /// The registration that could answer by fall-through, or why there is none.
    pub(super) service: Result<Arc<Snapshot>, SkipReason>,
    /// The rules of the controller's active worker, and whether it runs.
    pub(super) router_rules: Option<(Arc<RouterRules>, bool)>,
    pub(crate) route: Route,
}

/// Looks up who could see a request, and decides who does. Nobody is asked.
///
/// # Errors
/// [`FetchError::UnknownClient`].
pub(crate) fn decide(
    shared: &Shared,
    head: &RequestHead,
    client: ClientId,
    reserved: Option<&Environment>,
) -> Result<Decided, FetchError> {
    let requesting = shared.requesting(client);
    let environment = match (reserved, &requesting) {
        (Some(environment), _) => Arc::new(environment.clone()),
        (None, Some(requesting)) => Arc::clone(&requesting.environment),
        (None, None) => {
            let environment = shared.lookup.environment(client);
            environment.ok_or(FetchError::UnknownClient)?
        }
    };
    let controller = controller(shared, head, client, &environment, reserved.is_some());
    let service = service(shared, head, &environment);
    let policy = fall_through_policy(&shared.policies);
    let router_rules = router_rules(shared, controller.as_deref().ok());
    let found = |registration: &Result<Arc<Snapshot>, SkipReason>| match registration {
        Ok(found) => candidate(found, shared.clock.wall()),
        Err(reason) => Err(*reason),
    };
    let route = fetch_router::route(&RouteRequest {
        own: found(&controller),
        router: router_rules.as_ref().map(|(rules, running)| StaticRouter {
            rules,
            running: *running,
        }),
        fall_through: found(&service).map(|candidate| FallThroughCandidate {
            candidate,
            rules: prefixes(&service),
            partitioned: is_partitioned(&service),
        }),
        requesting_registration: requesting
            .as_ref()
            .map(|requesting| requesting.registration),
        ..RouteRequest::new(head, Some(&environment), &policy)
    });
    Ok(Decided {
        environment,
        requesting,
        controller,
        service,
        router_rules,
        route,
    })
}

impl Decided {
    /// The registration of the service worker that asks, if one does.
    pub(super) fn from(&self) -> Option<RegistrationId> {
        let requesting = self.requesting.as_ref();
        requesting.map(|requesting| requesting.registration)
    }

    /// The prefix that lets the request through, if it is let through.
    pub(super) fn prefix(&self) -> Option<url::Url> {
        let rule = prefixes(&self.service).get(self.route.fall_through_rule?)?;
        Some(rule.prefix.clone())
    }
}

/// What the active worker of a service asked for.
fn prefixes(service: &Result<Arc<Snapshot>, SkipReason>) -> &[sw_types::FallThroughRule] {
    let active = service.as_ref().ok().and_then(|it| it.active.as_ref());
    active.map_or(&[], |active| &active.fall_through)
}

fn is_partitioned(service: &Result<Arc<Snapshot>, SkipReason>) -> bool {
    service
        .as_ref()
        .is_ok_and(|it| it.storage_key.top_level_site().is_some())
}

/// The router rules of the controller's active worker, if it has any, and whether it runs.
fn router_rules(
    shared: &Shared,
    controller: Option<&Snapshot>,
) -> Option<(Arc<RouterRules>, bool)> {
    let active = controller?.active.as_ref()?;
    let rules = shared.routes.of(active)?;
    Some((rules, shared.endpoint(active.id).is_some()))
}

/// The registration whose worker comes first. (*Handle Fetch*, steps 13 and 14.)
fn controller(
    shared: &Shared,
    head: &RequestHead,
    client: ClientId,
    environment: &Environment,
    is_reserved: bool,
) -> Result<Arc<Snapshot>, SkipReason> {
    // SEMANTICS §5.5: "same-origin target → matched registration's active worker".
    if head.look_aside == LookAside::Local {
        return matched(shared, head, environment);
    }
    if !is_reserved {
        let controller = shared.lookup.controller(client);
        return controller.ok_or(SkipReason::NoController);
    }
    // Redirected by the network, or made to pass workers by: it keeps whom it has.
    if head.service_workers != ServiceWorkersMode::All {
        return Err(SkipReason::NoController);
    }
    // *Handle Fetch* returns before it matches a registration for these.
    if head.shift_reload {
        return Err(SkipReason::ShiftReload);
    }
    if matches!(head.destination, Destination::Embed | Destination::Object) {
        return Err(SkipReason::EmbedOrObject);
    }
    // SEMANTICS §5.6: an installation that only serves others controls no client.
    let found = matched(shared, head, environment)?;
    if found.controls_clients() {
        Ok(found)
    } else {
        Err(SkipReason::ServesOthersOnly)
    }
}

/// *Match Service Worker Registration*, for the URL of a request.
fn matched(
    shared: &Shared,
    head: &RequestHead,
    environment: &Environment,
) -> Result<Arc<Snapshot>, SkipReason> {
    let partition = shared.policies.partition;
    let key = partition
        .storage_key(environment, &Origin::of(head.url()))
        .ok_or(SkipReason::StorageBlocked)?;
    let found = shared.lookup.match_registration(&key, head.url());
    found.ok_or(SkipReason::NoMatch)
}

/// The registration that could answer by fall-through. A URL of whose origin nobody keeps a
/// registration costs one look-up.
fn service(
    shared: &Shared,
    head: &RequestHead,
    environment: &Environment,
) -> Result<Arc<Snapshot>, SkipReason> {
    if !shared.policies.fall_through || !shared.lookup.has_origin(head.url()) {
        return Err(SkipReason::NoRegistration);
    }
    matched(shared, head, environment).map_err(|reason| match reason {
        SkipReason::NoMatch => SkipReason::NoRegistration,
        reason => reason,
    })
}

fn fall_through_policy(policies: &Policies) -> FallThroughPolicy {
    let mut policy = FallThroughPolicy::new(policies.uncredentialed_fall_through);
    policy.enabled = policies.fall_through;
    policy.max_depth = policies.limits.fall_through_depth;
    policy
}

/// The active worker of a registration, as the router wants to know it.
fn candidate(found: &Snapshot, now: Timestamp) -> Result<Candidate, SkipReason> {
    let active = found.active.as_ref().ok_or(SkipReason::NotActive)?;
    Ok(Candidate {
        registration: found.id,
        worker: active.id,
        state: active.state,
        fetch_handler: active.fetch_handler,
        stale: found.is_stale(now),
    })
}
