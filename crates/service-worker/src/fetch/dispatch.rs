//! Sends a request to a worker as a `fetch` event, and waits for what it says.

use std::time::Instant;

use futures_util::future::{Either, select};
use sw_registry::{Input, JobError, Settled};
use sw_types::fetch::{RequestHead, RequestMode};
use sw_types::{Environment, RegistrationId, Site, WorkerId, WorkerState};

use crate::endpoint::Pending;
use crate::shared::Shared;
use crate::{Body, FetchAnswer, FetchDetail, Response};

/// The greatest request body that is kept so that both a worker and, after it, the network can
/// read it; in bytes.
const KEPT_BODY: usize = 64 << 20;

/// How often a worker is woken for one event, if it is stopped again before the event reaches it.
const WAKES: usize = 3;

/// What came of a dispatch.
pub(super) enum Dispatched {
    /// The worker does not want it: the next one is asked.
    NotHandled,
    /// It answered.
    Response(WorkerId, Box<Response>),
}

/// The event for the client's own worker.
pub(super) fn own_event(
    head: &RequestHead,
    client: sw_types::ClientId,
    reserved: Option<&Environment>,
) -> FetchDetail {
    FetchDetail {
        request: head.clone(),
        // Of a navigation it would be the document that navigates, which is not told to the worker of
        // where it leads.
        client: (head.mode != RequestMode::Navigate).then_some(client),
        resulting_client: reserved.map(|reserved| reserved.id),
        is_fall_through: false,
        origin: String::new(),
    }
}

/// Dispatches to the client's own worker. (*Handle Fetch*, from "Create Fetch Event and Dispatch".)
///
/// # Errors
/// Why the result is a network error.
pub(super) async fn to_own(
    shared: &Shared,
    registration: RegistrationId,
    event: FetchDetail,
    body: &mut Body,
) -> Result<Dispatched, String> {
    let (worker, pending) = match send(shared, registration, None, event, body).await {
        Ok(sent) => sent,
        Err(Unsent::Body(error)) => return Err(format!("the request's body broke: {error}")),
        // A worker that does not start is passed by, as browsers do: the page must not break for it.
        Err(Unsent::Start(error)) => {
            tracing::warn!(%registration, %error, "the worker was passed by");
            return Ok(Dispatched::NotHandled);
        }
    };
    answered(worker, pending.answer.await)
}

/// Dispatches to a fall-through worker. (SEMANTICS §5.4, "Loops" and "Dispatch".) Whatever goes
/// wrong before `respondWith` sends the request to the network.
///
/// # Errors
/// Why the result is a network error.
pub(super) async fn to_service(
    shared: &Shared,
    from: Option<RegistrationId>,
    registration: RegistrationId,
    head: &RequestHead,
    environment: &Environment,
    body: &mut Body,
) -> Result<Dispatched, String> {
    // The deadline is the worker's, and begins when there is all that it is to be sent.
    let kept = body.keep(KEPT_BODY).await;
    kept.map_err(|error| format!("the request's body broke: {error}"))?;
    let edge = match Edge::begin(shared, from, registration) {
        Ok(edge) => edge,
        Err(reason) => {
            tracing::debug!(%registration, %reason, "does not fall through");
            return Ok(Dispatched::NotHandled);
        }
    };
    let deadline = shared.clock.now() + shared.policies.limits.fall_through_deadline;
    let shown = fetch_router::fall_through_dispatch(head, environment);
    let event = FetchDetail {
        request: shown.request,
        client: None,
        resulting_client: None,
        is_fall_through: true,
        origin: shown.origin,
    };
    let initiator = Some(environment.top_level_site.clone());
    let sending = std::pin::pin!(send(shared, registration, initiator, event, body));
    let sent = match before(shared, deadline, sending).await {
        Some(Ok(sent)) => Ok(sent),
        Some(Err(Unsent::Body(error))) => {
            return Err(format!("the request's body broke: {error}"));
        }
        Some(Err(Unsent::Start(error))) => Err(error.to_string()),
        None => Err("it did not start within the fall-through deadline".to_owned()),
    };
    let (worker, Pending { answer, entered }) = match sent {
        Ok(sent) => sent,
        Err(reason) => {
            tracing::warn!(%registration, %reason, "the fall-through worker was passed by");
            return Ok(Dispatched::NotHandled);
        }
    };
    match before(shared, deadline, entered).await {
        // `respondWith` was called: from here its answer is final.
        Some(Ok(())) => {
            let answer = answered(worker, answer.await);
            drop(edge);
            match answer {
                Ok(Dispatched::NotHandled) => {
                    Err("called respondWith and then said that it does not answer".to_owned())
                }
                answer => answer,
            }
        }
        // The event was over, or the worker died, without `respondWith`.
        Some(Err(_)) => match answer.await {
            Ok(answer) => answered(worker, Ok(answer)),
            Err(_) => Ok(Dispatched::NotHandled),
        },
        None => {
            tracing::warn!(%worker, "did not call respondWith within the fall-through deadline");
            Ok(Dispatched::NotHandled)
        }
    }
}

fn answered(
    worker: WorkerId,
    answer: Result<FetchAnswer, futures_channel::oneshot::Canceled>,
) -> Result<Dispatched, String> {
    match answer {
        Ok(FetchAnswer::NotHandled) => Ok(Dispatched::NotHandled),
        Ok(FetchAnswer::Response(response)) => Ok(Dispatched::Response(worker, response)),
        Ok(FetchAnswer::Canceled) => Err("canceled the event".to_owned()),
        Ok(FetchAnswer::Failed(reason)) => Err(format!("failed: {reason}")),
        Err(_) => Err("died before it answered".to_owned()),
    }
}

enum Unsent {
    Body(crate::BodyError),
    Start(JobError),
}

/// Sends an event to the active worker of a registration, which is started if need be.
async fn send(
    shared: &Shared,
    registration: RegistrationId,
    initiator: Option<Site>,
    event: FetchDetail,
    body: &mut Body,
) -> Result<(WorkerId, Pending), Unsent> {
    body.keep(KEPT_BODY).await.map_err(Unsent::Body)?;
    // A warm worker, without the driver.
    let active = shared
        .lookup
        .snapshot(registration)
        .and_then(|found| found.active.clone());
    let warm = active
        .filter(|active| active.state == WorkerState::Activated)
        .and_then(|active| shared.endpoint(active.id));
    if let Some(endpoint) = warm
        && let Ok(pending) = endpoint.dispatch(event.clone(), body.kept())
    {
        return Ok((endpoint.worker(), pending));
    }
    for _ in 0..WAKES {
        let initiator = initiator.clone();
        let woken = shared
            .ask(|promise| Input::Wake {
                promise,
                registration,
                initiator,
            })
            .await
            .map_err(Unsent::Start)?;
        let Settled::Running(worker) = woken else {
            let odd = JobError::Abort(format!("a wake settled with {woken:?}"));
            return Err(Unsent::Start(odd));
        };
        // It may be stopped again this very moment.
        let Some(endpoint) = shared.endpoint(worker) else {
            continue;
        };
        if let Ok(pending) = endpoint.dispatch(event.clone(), body.kept()) {
            return Ok((worker, pending));
        }
    }
    let stopping = format!("the worker was stopped {WAKES} times before it took the event");
    Err(Unsent::Start(JobError::Start(stopping)))
}

/// Waits for `future`, but not beyond `deadline`.
async fn before<F: Future + Unpin>(
    shared: &Shared,
    deadline: Instant,
    future: F,
) -> Option<F::Output> {
    match select(future, shared.clock.sleep_until(deadline)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// An edge of the wait-for graph, from dispatch to response head or failure.
struct Edge<'a> {
    shared: &'a Shared,
    id: fetch_router::EdgeId,
}

impl<'a> Edge<'a> {
    fn begin(
        shared: &'a Shared,
        from: Option<RegistrationId>,
        to: RegistrationId,
    ) -> Result<Self, fetch_router::LoopReason> {
        let id = shared.loops().begin(from, to)?;
        Ok(Self { shared, id })
    }
}

impl Drop for Edge<'_> {
    fn drop(&mut self) {
        self.shared.loops().end(self.id);
    }
}
