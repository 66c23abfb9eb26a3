//! Sends a request to a worker as a `fetch` event, and waits for what it says.

use std::time::Instant;

use futures_util::future::{Either, select};
use sw_registry::{Input, JobError, Settled};
use sw_types::fetch::{Destination, RequestHead};
use sw_types::{Environment, RegistrationId, Site, WorkerId, WorkerState};

use super::{PassedBy, ServiceWorkerTiming};
use crate::endpoint::{Parcel, Pending};
use crate::shared::Shared;
use crate::{Body, FetchAnswer, FetchDetail, PreloadResponse, Response};

/// How much of a request's body is kept, of what a worker has read and what, if it does not answer,
/// the network will read; in bytes.
const KEPT_BODY: usize = 64 << 20;

/// How often a worker is woken for one event, if it is stopped again before the event reaches it.
const WAKES: usize = 3;

/// What came of a dispatch.
pub(super) enum Dispatched {
    /// The worker does not want it: the next one is asked.
    NotHandled,
    /// It is not waited for: the next one is asked.
    PassedBy(PassedBy),
    /// It answered.
    Response(WorkerId, Box<Response>),
}

impl Dispatched {
    /// Who answered, if anybody did: by then the registration may have another active worker than when
    /// it was decided who is asked.
    pub(super) const fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Response(worker, _) => Some(*worker),
            Self::NotHandled | Self::PassedBy(_) => None,
        }
    }
}

/// The event for the client's own worker.
pub(super) fn own_event(
    head: &RequestHead,
    client: sw_types::ClientId,
    reserved: Option<&Environment>,
) -> FetchDetail {
    let is_worker = matches!(
        head.destination,
        Destination::Worker | Destination::SharedWorker
    );
    FetchDetail {
        request: head.clone(),
        // A navigation makes its client; a worker is asked for by one that is there.
        client: (reserved.is_none() || is_worker).then_some(client),
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
    preload: Option<PreloadResponse>,
    body: &mut Body,
    timing: &mut ServiceWorkerTiming,
) -> Result<Dispatched, String> {
    let mut parcel = Box::new(Parcel {
        detail: event,
        body: body.branch(KEPT_BODY),
        preload,
    });
    timing.start = Some(shared.clock.now());
    for _ in 0..WAKES {
        let (worker, pending) = match send(shared, registration, None, parcel).await {
            Ok(sent) => sent,
            // A worker that does not start is passed by, as browsers do: the page must not break for
            // it.
            Err(error) => {
                tracing::warn!(%registration, %error, "the worker was passed by");
                return Ok(Dispatched::PassedBy(error.into()));
            }
        };
        timing.fetch_event_dispatch = Some(shared.clock.now());
        let Pending {
            answer,
            entered,
            queued,
        } = pending;
        // The network would read it again only if nobody calls `respondWith`.
        if body.bytes().is_none() && entered.await.is_ok() {
            *body = Body::empty();
        }
        let answer = answer.await;
        // It stopped before it came to this event: its next run, or the next version, has it.
        match (&answer, queued.take()) {
            (Err(_), Some(unread)) => parcel = unread,
            _ => return answered(worker, answer),
        }
    }
    Err(format!("stopped {WAKES} times before it came to the event"))
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
    let edge = match Edge::begin(shared, from, registration) {
        Ok(edge) => edge,
        Err(reason) => {
            tracing::debug!(%registration, %reason, "does not fall through");
            return Ok(Dispatched::PassedBy(reason.into()));
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
    let parcel = Box::new(Parcel {
        detail: event,
        body: body.branch(KEPT_BODY),
        preload: None,
    });
    let sending = std::pin::pin!(send(shared, registration, initiator, parcel));
    let sent = match before(shared, deadline, sending).await {
        Some(sent) => sent.map_err(PassedBy::from),
        None => Err(PassedBy::Deadline),
    };
    let (worker, pending) = match sent {
        Ok(sent) => sent,
        Err(reason) => {
            tracing::warn!(%registration, %reason, "the fall-through worker was passed by");
            return Ok(Dispatched::PassedBy(reason));
        }
    };
    let Pending {
        answer, entered, ..
    } = pending;
    match before(shared, deadline, entered).await {
        // `respondWith` was called: from here its answer is final.
        Some(Ok(())) => {
            *body = Body::empty();
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
            Err(_) => Ok(Dispatched::PassedBy(PassedBy::Died)),
        },
        None => {
            tracing::warn!(%worker, "did not call respondWith within the fall-through deadline");
            Ok(Dispatched::PassedBy(PassedBy::Deadline))
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

/// Sends an event to the active worker of a registration, which is started if need be.
///
/// # Errors
/// Why it does not run.
async fn send(
    shared: &Shared,
    registration: RegistrationId,
    initiator: Option<Site>,
    mut parcel: Box<Parcel>,
) -> Result<(WorkerId, Pending), JobError> {
    // A warm worker, without the driver.
    let active = shared
        .lookup
        .snapshot(registration)
        .and_then(|found| found.active.clone());
    let warm = active
        .filter(|active| active.state == WorkerState::Activated)
        .and_then(|active| shared.endpoint(active.id));
    if let Some(endpoint) = warm {
        match endpoint.dispatch(parcel) {
            Ok(pending) => return Ok((endpoint.worker(), pending)),
            Err(returned) => parcel = returned,
        }
    }
    for _ in 0..WAKES {
        let initiator = initiator.clone();
        let (woken, _awake) = shared
            .ask_to_run(|promise| Input::Wake {
                promise,
                registration,
                initiator,
            })
            .await;
        let Settled::Running(worker) = woken? else {
            return Err(JobError::Abort("a wake settled otherwise".to_owned()));
        };
        // It may have been stopped this very moment, for another reason than idleness.
        let Some(endpoint) = shared.endpoint(worker) else {
            continue;
        };
        match endpoint.dispatch(parcel) {
            Ok(pending) => return Ok((worker, pending)),
            Err(returned) => parcel = returned,
        }
    }
    let stopping = format!("the worker was stopped {WAKES} times before it took the event");
    Err(JobError::Start(stopping))
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
pub(super) struct Edge<'a> {
    shared: &'a Shared,
    id: fetch_router::EdgeId,
}

impl<'a> Edge<'a> {
    /// # Errors
    /// Why nobody may wait for `to`.
    pub(super) fn begin(
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
