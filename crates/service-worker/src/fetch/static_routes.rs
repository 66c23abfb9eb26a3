//! What router rules ask for besides an event: a cache, and a race. (*Service Workers*, "Handle
//! Fetch", "If activeWorker's list of router rules is not empty".)

use std::time::Instant;

use fetch_router::{
    EmbedderPolicy, Route, RouterRules, RouterSource, RouterSourceEnum, StaticRoute,
    cross_origin_resource_policy_check, filter_own,
};
use futures_channel::oneshot;
use futures_util::future::{AbortHandle, Abortable, Either, select};
use http::{HeaderMap, Method};
use sw_registry::Snapshot;
use sw_types::fetch::{CacheMode, ResponseType};
use sw_types::{Environment, RegistrationId, WorkerId};

use super::dispatch::{self, Dispatched};
use super::hop::{filtered, outcome, soft_update, taken};
use super::network::{Asked, Sent};
use super::record::{Attempts, Outcome};
use super::{AnsweredBy, FetchError, NetworkUse, ServiceWorkerTiming};
use crate::{Body, FetchDetail, Response};

/// A request that a router rule decides about.
pub(super) struct Routed<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) rules: &'a RouterRules,
    pub(super) route: Route,
    pub(super) static_route: StaticRoute,
    pub(super) controller: &'a Snapshot,
    pub(super) reserved: Option<&'a Environment>,
    pub(super) network: &'a NetworkUse,
}

impl Routed<'_> {
    /// The response of a cache, or of a race. `None`: neither is asked for, or the cache has none.
    ///
    /// # Errors
    /// A network error: what the race came to, or a response that may not be used.
    pub(super) async fn answer(
        &self,
        timing: &mut ServiceWorkerTiming,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<(Response, AnsweredBy)>, FetchError> {
        let (shared, head) = (self.asked.shared, self.asked.head);
        let source = self.static_route.source;
        match (source, self.network, self.route.own.worker()) {
            (RouterSourceEnum::Cache, _, _) => {
                let Some(active) = &self.controller.active else {
                    return Ok(None);
                };
                let (who, began) = (AnsweredBy::CacheStorage(active.id), attempts.now());
                timing.cache_lookup_start = Some(began);
                let Some(response) = self.cached().await else {
                    attempts.ended(who, began, Outcome::NotHandled);
                    return Ok(None);
                };
                attempts.ended(who, began, Outcome::Answered);
                soft_update(shared, self.route.own_soft_update, self.controller.id);
                timing.final_router_source = Some(source);
                let response = filtered(head, response, filter_own)
                    .inspect_err(|error| attempts.last_failed(error))?;
                Ok(Some((response, who)))
            }
            // A request that needs a preflight first does not race: its event is asked alone.
            (
                RouterSourceEnum::RaceNetworkAndFetchHandler,
                NetworkUse::Allowed { headers, cache },
                Some(worker),
            ) if head.method == Method::GET => {
                soft_update(shared, self.route.own_soft_update, self.controller.id);
                let to = (worker, self.controller.id);
                let event = dispatch::own_event(head, self.asked.client, self.reserved);
                let network = (headers.clone(), *cache);
                match race(self.asked, to, event, network, (timing, attempts)).await? {
                    Won::Handler(worker, response) => {
                        timing.final_router_source = Some(RouterSourceEnum::FetchEvent);
                        let response = filtered(head, *response, filter_own)
                            .inspect_err(|error| attempts.last_failed(error))?;
                        Ok(Some((response, AnsweredBy::OwnWorker(worker))))
                    }
                    Won::Network(response, answered_by) => Ok(Some((*response, answered_by))),
                }
            }
            _ => Ok(None),
        }
    }

    /// The response that a cache has: "Else if source is "cache", or source["cacheName"] exists".
    async fn cached(&self) -> Option<Response> {
        let asked = self.asked;
        let cache_name = match self.rules.source(self.static_route.rule)? {
            RouterSource::Cache => None,
            RouterSource::NamedCache(name) => Some(name.as_str()),
            RouterSource::Network
            | RouterSource::FetchEvent
            | RouterSource::RaceNetworkAndFetchHandler => return None,
        };
        // "Obtain a local storage bottle map with environment and "caches"."
        let environment = asked.environment;
        let partition = asked.shared.policies.partition;
        let key = partition.storage_key(environment, &environment.origin)?;
        let found = asked.shared.caches.query(&key, cache_name, asked.head);
        let response = found.await.unwrap_or_else(|error| {
            tracing::warn!(url = %asked.head.url(), error, "the caches could not be asked");
            None
        })?;
        // "If response's type is "opaque", and cross-origin resource policy check … blocked".
        let head = &response.head;
        if head.response_type == ResponseType::Opaque {
            let url = head.url().unwrap_or_else(|| asked.head.url());
            let policy = EmbedderPolicy::UnsafeNone;
            cross_origin_resource_policy_check(&asked.head.origin, policy, head, url).ok()?;
        }
        Some(response)
    }
}

/// Who won a race.
enum Won {
    /// The worker's handler.
    Handler(WorkerId, Box<Response>),
    /// The network; or the handler, by not answering.
    Network(Box<Response>, AnsweredBy),
}

/// "Else if source is "race-network-and-fetch-handler", and request's method is `GET`": the first
/// *ok* response of the network, or what the handler says. The one that loses is let go: a request
/// is aborted, an event is handled to its end.
///
/// # Errors
/// A network error: the handler's, or, if the handler does not answer, the network's. The worker is
/// the one that was to be asked.
async fn race(
    asked: &Asked<'_>,
    (worker, registration): (WorkerId, RegistrationId),
    event: FetchDetail,
    (headers, cache): (HeaderMap, CacheMode),
    (timing, attempts): (&mut ServiceWorkerTiming, &mut Attempts<'_>),
) -> Result<Won, FetchError> {
    let (own, began) = (AnsweredBy::OwnWorker(worker), attempts.now());
    let (mut handler, answer) = Handler::dispatch(asked, registration, event);
    let network = std::pin::pin!(asked.send(Body::default(), headers, cache));
    let (answer, network) = match select(network, answer).await {
        Either::Left((fetched, answer)) => {
            let is_ok = |sent: &Sent| sent.response.head.status.is_success();
            if fetched.as_ref().is_ok_and(is_ok) {
                handler.goes_on();
                attempts.ended(own, began, Outcome::LostRace);
                return won_by_network(attempts, began, fetched);
            }
            (answer.await, Either::Left(fetched))
        }
        Either::Right((answer, network)) => (answer, Either::Right(network)),
    };
    // The driver is gone: nobody answers.
    let (dispatched, handlers) = answer.unwrap_or((Ok(Dispatched::NotHandled), timing.clone()));
    (timing.start, timing.fetch_event_dispatch) = (handlers.start, handlers.fetch_event_dispatch);
    if !matches!(
        dispatched,
        Ok(Dispatched::NotHandled | Dispatched::PassedBy(_))
    ) {
        attempts.ended(AnsweredBy::Network, began, Outcome::LostRace);
    }
    attempts.ended(own, began, outcome(&dispatched));
    let worker = dispatched
        .as_ref()
        .ok()
        .and_then(Dispatched::worker)
        .unwrap_or(worker);
    match taken(asked.head, worker, dispatched)? {
        Some(response) => Ok(Won::Handler(worker, Box::new(response))),
        // "If raceResponse's value is not null, wait until … is not "pending"", and return it.
        None => {
            let fetched = match network {
                Either::Left(fetched) => fetched,
                Either::Right(network) => network.await,
            };
            won_by_network(attempts, began, fetched)
        }
    }
}

fn won_by_network(
    attempts: &mut Attempts<'_>,
    began: Instant,
    fetched: Result<Sent, FetchError>,
) -> Result<Won, FetchError> {
    attempts.ended_by_network(began, &fetched);
    fetched.map(|sent| Won::Network(Box::new(sent.response), sent.answered_by))
}

/// What comes of the event, and when it was dispatched.
type Answer = (Result<Dispatched, String>, ServiceWorkerTiming);

/// The event of a race, on the driver's time. It ends with the fetch, unless the network has won.
struct Handler(Option<AbortHandle>);

impl Handler {
    fn dispatch(
        asked: &Asked<'_>,
        registration: RegistrationId,
        event: FetchDetail,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let (handle, aborted) = AbortHandle::new_pair();
        let shared = std::sync::Arc::clone(asked.shared);
        let handled = async move {
            let mut timing = ServiceWorkerTiming::default();
            let mut body = Body::default();
            let dispatched =
                dispatch::to_own(&shared, registration, event, None, &mut body, &mut timing).await;
            // Where the network has won, nobody waits.
            let _unwanted = reply.send((dispatched, timing));
        };
        asked.shared.in_background(async move {
            let _aborted = Abortable::new(handled, aborted).await;
        });
        (Self(Some(handle)), answer)
    }

    fn goes_on(&mut self) {
        self.0 = None;
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.abort();
        }
    }
}
