//! One hop, one after another: router rules, own worker, fall-through, network. (*Fetch*, "HTTP
//! fetch"; *Service Workers*, "Handle Fetch"; SEMANTICS §5.4 and §5.5.)

use std::sync::Arc;

use fetch_router::{BlockedReason, RouterSourceEnum, SkipReason};
use sw_registry::{Input, Snapshot};
use sw_types::fetch::{LookAside, RequestHead, ResponseHead, ServiceWorkersMode};
use sw_types::{Environment, RegistrationId, WorkerId};

use super::decide::Decided;
use super::dispatch::{self, Dispatched, Edge};
use super::network::Asked;
use super::preload::{self, Preload};
use super::record::{Attempts, Outcome, PassedBy};
use super::static_routes::Routed;
use super::{AnsweredBy, FetchError, NetworkUse, ServiceWorkerTiming};
use crate::shared::{Shared, ToDriver};
use crate::{Body, Response};

/// A hop under way.
pub(super) struct Hop<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) decided: &'a Decided,
    pub(super) reserved: Option<&'a Environment>,
    pub(super) body: Body,
    pub(super) network: NetworkUse,
    pub(super) timing: ServiceWorkerTiming,
    pub(super) attempts: Attempts<'a>,
    pub(super) preloaded: bool,
}

/// A response, and whose it is.
pub(super) type Answer = (Response, AnsweredBy);

impl Hop<'_> {
    /// Asks one after another until somebody answers.
    ///
    /// # Errors
    /// A network error.
    pub(super) async fn run(&mut self) -> Result<Answer, FetchError> {
        let route = self.decided.route;
        if route.own.reached() && self.decided.router_rules.is_some() {
            self.timing.router_evaluation_start = Some(self.attempts.now());
        }
        self.timing.matched_router_source = route.static_route.map(|route| route.source);
        // "… and worker final router source be set to "network"."
        self.timing.final_router_source = route.static_route.map(|_| RouterSourceEnum::Network);
        if let Ok(controller) = &self.decided.controller {
            self.uses(controller);
            if let Some(answer) = self.static_route(controller).await? {
                return Ok(answer);
            }
            if let Some(answer) = self.own_worker(controller).await? {
                return Ok(answer);
            }
        }
        if let Some(answer) = self.fall_through().await? {
            return Ok(answer);
        }
        self.ask_network().await
    }

    /// *Handle Fetch*: the reserved client uses what matched.
    fn uses(&self, controller: &Snapshot) {
        // It is not asked of what the network redirected: that changes no controller.
        if let Some(reserved) = self.reserved
            && controller.active.is_some()
            && self.asked.head.service_workers == ServiceWorkersMode::All
        {
            let uses = Input::ClientUses {
                client: reserved.id,
                registration: controller.id,
            };
            self.asked.shared.send(ToDriver::Tell(uses));
        }
    }

    /// What a router rule asks for besides an event.
    async fn static_route(&mut self, controller: &Snapshot) -> Result<Option<Answer>, FetchError> {
        let (Some(static_route), Some((rules, _))) =
            (self.decided.route.static_route, &self.decided.router_rules)
        else {
            return Ok(None);
        };
        let routed = Routed {
            asked: &self.asked,
            rules,
            route: self.decided.route,
            static_route,
            controller,
            reserved: self.reserved,
            network: &self.network,
        };
        routed.answer(&mut self.timing, &mut self.attempts).await
    }

    /// The client's own worker; for a local fetch, that of the registration that matches.
    async fn own_worker(&mut self, controller: &Snapshot) -> Result<Option<Answer>, FetchError> {
        let (shared, head) = (self.asked.shared, self.asked.head);
        let route = self.decided.route;
        let who = match head.look_aside {
            LookAside::Local => AnsweredBy::LocalWorker,
            _ => AnsweredBy::OwnWorker,
        };
        let dispatched = match route.own.worker() {
            Some(worker) => {
                let began = self.attempts.now();
                Some((worker, began, self.dispatch_to_own(controller).await))
            }
            None => None,
        };
        // A worker whose fetch listeners are all empty is started, and not waited for.
        if route.own.skipped() == Some(SkipReason::EmptyFetchListeners) {
            let (registration, initiator) = (controller.id, None);
            drop(shared.ask(|promise| Input::Wake {
                promise,
                registration,
                initiator,
            }));
        }
        // Whatever came of the event: a worker that breaks its pages must not miss its update.
        soft_update(shared, route.own_soft_update, controller.id);
        let Some((worker, began, dispatched)) = dispatched else {
            return Ok(None);
        };
        let worker = dispatched
            .as_ref()
            .ok()
            .and_then(Dispatched::worker)
            .unwrap_or(worker);
        self.attempts
            .ended(who(worker), began, outcome(&dispatched));
        let Some(response) = taken(head, worker, dispatched)? else {
            return Ok(None);
        };
        if route.static_route.is_some() {
            self.timing.final_router_source = Some(RouterSourceEnum::FetchEvent);
        }
        let response = self.filtered(response, fetch_router::filter_own)?;
        Ok(Some((response, who(worker))))
    }

    async fn dispatch_to_own(&mut self, controller: &Snapshot) -> Result<Dispatched, String> {
        let Asked {
            shared,
            head,
            client,
            ..
        } = self.asked;
        let event = dispatch::own_event(head, client, self.reserved);
        // "Its edges join the wait-for graph." (SEMANTICS §5.5.)
        let _edge = if head.look_aside == LookAside::Local {
            match Edge::begin(shared, self.decided.from(), controller.id) {
                Ok(edge) => Some(edge),
                Err(reason) => return Ok(Dispatched::PassedBy(PassedBy::Loop(reason))),
            }
        } else {
            None
        };
        let preload = match &self.network {
            NetworkUse::Allowed { headers, cache } => {
                let network = (headers, *cache);
                Preload::begin(controller, self.decided.route.own, self.asked, network)
            }
            NetworkUse::Forbidden => None,
        };
        self.preloaded = preload.is_some();
        let (preloading, preload) = preload.unzip();
        let to_own = dispatch::to_own(
            shared,
            controller.id,
            event,
            preload,
            &mut self.body,
            &mut self.timing,
        );
        preload::beside(shared, preloading, to_own).await
    }

    /// Another origin's worker. (SEMANTICS §5.4.)
    async fn fall_through(&mut self) -> Result<Option<Answer>, FetchError> {
        let (shared, head) = (self.asked.shared, self.asked.head);
        let route = self.decided.route;
        let (Some(worker), Ok(service)) = (route.fall_through.worker(), &self.decided.service)
        else {
            return Ok(None);
        };
        let began = self.attempts.now();
        let dispatched = dispatch::to_service(
            shared,
            self.decided.from(),
            service.id,
            head,
            self.asked.environment,
            &mut self.body,
        )
        .await;
        soft_update(shared, route.fall_through_soft_update, service.id);
        let worker = dispatched
            .as_ref()
            .ok()
            .and_then(Dispatched::worker)
            .unwrap_or(worker);
        let who = AnsweredBy::FallThrough(worker);
        self.attempts.ended(who, began, outcome(&dispatched));
        let Some(response) = taken(head, worker, dispatched)? else {
            return Ok(None);
        };
        let response = self.filtered(response, fetch_router::refilter)?;
        // "Set only when a worker answered, and zero without TAO."
        if response.head.timing_allow_passed {
            self.timing.start.get_or_insert(began);
        }
        Ok(Some((response, who)))
    }

    async fn ask_network(&mut self) -> Result<Answer, FetchError> {
        let head = self.asked.head;
        // "Never touches HTTP cache or network."
        if head.look_aside == LookAside::Local {
            return Err(FetchError::NoLocalWorker(head.url().clone()));
        }
        let NetworkUse::Allowed { headers, cache } = &self.network else {
            return Err(FetchError::NetworkForbidden(head.url().clone()));
        };
        let began = self.attempts.now();
        let body = std::mem::take(&mut self.body);
        let sent = self.asked.send(body, headers.clone(), *cache).await;
        self.attempts.ended_by_network(began, &sent);
        sent.map(|sent| (sent.response, sent.answered_by))
    }

    /// What was answered, as the request may see it.
    fn filtered(&mut self, response: Response, filter: Filter) -> Result<Response, FetchError> {
        let filtered = filtered(self.asked.head, response, filter);
        if let Err(error) = &filtered {
            self.attempts.last_failed(error);
        }
        filtered
    }
}

/// What came of a dispatch, for the record.
pub(super) fn outcome(dispatched: &Result<Dispatched, String>) -> Outcome {
    match dispatched {
        Ok(Dispatched::NotHandled) => Outcome::NotHandled,
        Ok(Dispatched::PassedBy(reason)) => Outcome::PassedBy(reason.clone()),
        Ok(Dispatched::Response(..)) => Outcome::Answered,
        Err(reason) => Outcome::Failed(reason.clone()),
    }
}

/// The response of a dispatch, if there is one.
pub(super) fn taken(
    head: &RequestHead,
    worker: WorkerId,
    dispatched: Result<Dispatched, String>,
) -> Result<Option<Response>, FetchError> {
    match dispatched {
        Ok(Dispatched::NotHandled | Dispatched::PassedBy(_)) => Ok(None),
        Ok(Dispatched::Response(_, response)) => Ok(Some(*response)),
        Err(reason) => Err(FetchError::Worker {
            url: head.url().clone(),
            worker,
            reason,
        }),
    }
}

/// What a response is filtered by, for a request.
type Filter = fn(&RequestHead, ResponseHead) -> Result<ResponseHead, BlockedReason>;

/// A response as the request may see it.
pub(super) fn filtered(
    head: &RequestHead,
    response: Response,
    filter: Filter,
) -> Result<Response, FetchError> {
    let blocked = |reason| FetchError::Blocked {
        url: head.url().clone(),
        reason,
    };
    let Response { head: answer, body } = response;
    Ok(Response {
        head: filter(head, answer).map_err(blocked)?,
        body,
    })
}

/// *Soft Update*, "in parallel": once the page has had a moment to load.
pub(super) fn soft_update(shared: &Arc<Shared>, wanted: bool, registration: RegistrationId) {
    if !wanted {
        return;
    }
    let then = shared.clock.now() + shared.policies.limits.soft_update_delay;
    let shared_then = Arc::clone(shared);
    shared.in_background(async move {
        shared_then.clock.sleep_until(then).await;
        shared_then.send(ToDriver::Tell(Input::SoftUpdate {
            registration,
            force_bypass_cache: false,
        }));
    });
}
