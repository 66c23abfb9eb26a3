//! What a host does with commands alone: the checks play the driver.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::StreamExt;
use message_port::MessagePort;
use sw_registry::{Registry, Restored};
use sw_types::fetch::RequestHead;
use sw_types::{
    ClientId, ClientNotice, ClientType, Environment, EventId, EventType, EventTypes, FetchHandler,
    RegistrationId, RegistrationView, RunId, ScopeUrl, ScriptResource, ScriptUrl, StorageKey,
    UpdateViaCache, WorkerId, WorkerState, WorkerType, WorkerView,
};
use url::Url;

use super::host::{Check, HostUnderTest, Script};
use super::limit::{Limit, until};
use super::pages::{Pages, path};
use super::{Checked, ensure, equal};
use crate::commands::CommandSender;
use crate::endpoint::{Activity, Parcel, Pending};
use crate::shared::{Brought, Requesting, Shared, ToDriver};
use crate::{
    Body, Clock, EventDetail, EventOutcome, FetchAnswer, FetchDetail, Handle, HostCommand,
    HostEvent, Policies, StartWorker, StopReason, WorkerEndpoint,
};

pub(super) const CHECKS: &[Check<Wire>] = &[
    (
        "a worker that listens to nothing starts and says so",
        &[Script::ListensToNothing],
        |wire| Box::pin(listens_to_nothing(wire)),
    ),
    (
        "a started worker names its listeners",
        &[Script::AnswersHello],
        |wire| Box::pin(names_listeners(wire)),
    ),
    (
        "a script that throws fails the start, with its error, once",
        &[Script::ThrowsAtStart, Script::ListensToNothing],
        |wire| Box::pin(throws(wire)),
    ),
    (
        "a lifecycle event without a listener is fulfilled",
        &[Script::ListensToNothing],
        |wire| Box::pin(fulfilled(wire)),
    ),
    (
        "an install that is rejected settles as rejected, with its reason",
        &[Script::RejectsInstall],
        |wire| Box::pin(rejected(wire)),
    ),
    (
        "a worker that is stopped dies once, and can be started again",
        &[Script::ListensToNothing],
        |wire| Box::pin(dies_once(wire)),
    ),
    (
        "commands for unknown workers and clients are ignored, and an event comes back",
        &[Script::ListensToNothing],
        |wire| Box::pin(unknown_ids(wire)),
    ),
    (
        "a fetch is answered, and the worker is idle then",
        &[Script::AnswersHello],
        |wire| Box::pin(answers(wire)),
    ),
    (
        "fetches at the same time are all answered",
        &[Script::AnswersHello],
        |wire| Box::pin(answers_many(wire)),
    ),
    (
        "a fetch that is let go is not handled",
        &[Script::LetsGo],
        |wire| Box::pin(lets_go(wire)),
    ),
    (
        "an answer comes before the event's lifetime ends, and the worker stays busy",
        &[Script::AnswersAndGoesOn],
        |wire| Box::pin(answers_early(wire)),
    ),
    (
        "a worker that dies leaves its fetches unanswered and is no longer busy",
        &[Script::NeverAnswers],
        |wire| Box::pin(dies_unanswered(wire)),
    ),
    (
        "a worker that is started again under its id has lost its fetches",
        &[Script::NeverAnswers, Script::AnswersHello],
        |wire| Box::pin(started_over(wire)),
    ),
    (
        "a worker that loops is stopped",
        &[Script::Loops, Script::AnswersHello],
        |wire| Box::pin(loops(wire)),
    ),
];

const WORKER: WorkerId = WorkerId(7);
const EVENT: EventId = EventId(1);

async fn listens_to_nothing(wire: &mut Wire) -> Checked {
    wire.start(WORKER, Script::ListensToNothing)?;
    wire.started(WORKER, EventTypes::NONE, FetchHandler::None)
        .await
}

async fn names_listeners(wire: &mut Wire) -> Checked {
    wire.start(WORKER, Script::AnswersHello)?;
    let fetch = EventTypes::NONE.with(EventType::Fetch);
    wire.started(WORKER, fetch, FetchHandler::Present).await
}

async fn throws(wire: &mut Wire) -> Checked {
    wire.start(WORKER, Script::ThrowsAtStart)?;
    match wire.event().await? {
        HostEvent::StartFailed { worker, error, .. } if worker == WORKER => {
            ensure(error.contains("thrown at start"), || {
                format!("the error does not show: {error}")
            })?;
        }
        other => return Err(format!("expected a failed start, found {other:?}")),
    }
    // It is gone: there is nothing to stop.
    wire.stop(WORKER)?;
    wire.start(WORKER, Script::ListensToNothing)?;
    wire.started(WORKER, EventTypes::NONE, FetchHandler::None)
        .await
}

async fn fulfilled(wire: &mut Wire) -> Checked {
    wire.start(WORKER, Script::ListensToNothing)?;
    wire.any_start(WORKER).await?;
    wire.dispatch(WORKER, EVENT, EventDetail::Install)?;
    wire.settled(WORKER, EVENT, |outcome| *outcome == EventOutcome::Fulfilled)
        .await?;
    wire.dispatch(WORKER, EventId(2), EventDetail::Activate)?;
    wire.settled(WORKER, EventId(2), |outcome| {
        *outcome == EventOutcome::Fulfilled
    })
    .await
}

async fn rejected(wire: &mut Wire) -> Checked {
    wire.start(WORKER, Script::RejectsInstall)?;
    wire.any_start(WORKER).await?;
    wire.dispatch(WORKER, EVENT, EventDetail::Install)?;
    wire.settled(
        WORKER,
        EVENT,
        |outcome| matches!(outcome, EventOutcome::Rejected(reason) if reason.contains("rejected by the script")),
    )
    .await
}

async fn dies_once(wire: &mut Wire) -> Checked {
    for _ in 0..3 {
        wire.start(WORKER, Script::ListensToNothing)?;
        wire.any_start(WORKER).await?;
        wire.stop(WORKER)?;
        wire.stop(WORKER)?;
        wire.died(WORKER).await?;
        wire.stop(WORKER)?;
    }
    // A second death would come before this.
    wire.start(WORKER, Script::ListensToNothing)?;
    wire.any_start(WORKER).await
}

async fn unknown_ids(wire: &mut Wire) -> Checked {
    let nobody = WorkerId(99);
    wire.stop(nobody)?;
    wire.dispatch(nobody, EVENT, EventDetail::Install)?;
    match wire.event().await? {
        HostEvent::Undelivered { worker, event, .. } => {
            equal("given back", &(worker, event), &(nobody, EVENT))?;
        }
        other => return Err(format!("expected the event back, found {other:?}")),
    }
    wire.send(HostCommand::Notify {
        client: ClientId(99),
        notice: Box::new(ClientNotice::ControllerChanged(None)),
    })?;
    wire.start(WORKER, Script::ListensToNothing)?;
    wire.any_start(WORKER).await
}

async fn answers(wire: &mut Wire) -> Checked {
    let endpoint = wire.running(Script::AnswersHello).await?;
    let pending = fetch(&endpoint)?;
    ensure(pending.entered.await.is_ok(), || {
        "it was not told that respondWith was called".to_owned()
    })?;
    is_hello(pending.answer.await).await?;
    wire.idle(&endpoint).await
}

async fn answers_many(wire: &mut Wire) -> Checked {
    let endpoint = wire.running(Script::AnswersHello).await?;
    let all: Vec<_> = (0..16)
        .map(|_| fetch(&endpoint))
        .collect::<Result<_, _>>()?;
    for pending in all {
        is_hello(pending.answer.await).await?;
    }
    wire.idle(&endpoint).await
}

async fn lets_go(wire: &mut Wire) -> Checked {
    let endpoint = wire.running(Script::LetsGo).await?;
    let pending = fetch(&endpoint)?;
    ensure(pending.entered.await.is_err(), || {
        "respondWith was said to be called".to_owned()
    })?;
    match pending.answer.await {
        Ok(FetchAnswer::NotHandled) => {}
        other => return Err(format!("expected NotHandled, found {other:?}")),
    }
    wire.idle(&endpoint).await
}

async fn answers_early(wire: &mut Wire) -> Checked {
    let endpoint = wire.running(Script::AnswersAndGoesOn).await?;
    is_hello(fetch(&endpoint)?.answer.await).await?;
    ensure(!is_idle(&endpoint), || {
        "the event counts as over".to_owned()
    })?;
    // Others are answered meanwhile.
    is_hello(fetch(&endpoint)?.answer.await).await?;
    wire.stop(WORKER)?;
    wire.died(WORKER).await?;
    wire.idle(&endpoint).await
}

async fn dies_unanswered(wire: &mut Wire) -> Checked {
    let endpoint = wire.running(Script::NeverAnswers).await?;
    let pending = fetch(&endpoint)?;
    ensure(pending.entered.await.is_ok(), || {
        "it was not told that respondWith was called".to_owned()
    })?;
    wire.stop(WORKER)?;
    wire.died(WORKER).await?;
    is_unanswered(pending.answer.await)?;
    wire.idle(&endpoint).await
}

async fn started_over(wire: &mut Wire) -> Checked {
    let before = wire.running(Script::NeverAnswers).await?;
    let pending = fetch(&before)?;
    ensure(pending.entered.await.is_ok(), || {
        "it was not told that respondWith was called".to_owned()
    })?;
    wire.stop(WORKER)?;
    wire.died(WORKER).await?;
    let endpoint = wire.running(Script::AnswersHello).await?;
    is_unanswered(pending.answer.await)?;
    is_hello(fetch(&endpoint)?.answer.await).await
}

async fn loops(wire: &mut Wire) -> Checked {
    let endpoint = wire.running(Script::Loops).await?;
    let pending = fetch(&endpoint)?;
    wire.stop(WORKER)?;
    wire.died(WORKER).await?;
    is_unanswered(pending.answer.await)?;
    let endpoint = wire.running(Script::AnswersHello).await?;
    is_hello(fetch(&endpoint)?.answer.await).await
}

/// The driver's end of a host's wires.
pub(super) struct Wire {
    shared: Arc<Shared>,
    scripts: Box<dyn Fn(Script) -> Option<String>>,
    commands: CommandSender,
    events: mpsc::UnboundedReceiver<ToDriver>,
    runs: AtomicU64,
    patience: Duration,
}

impl Wire {
    pub(super) fn open(under_test: &impl HostUnderTest) -> Self {
        let (to_driver, events) = mpsc::unbounded();
        let (commands, host_commands) = crate::commands::channel();
        // What happens in the background is not looked at here.
        let (reports, _) = mpsc::unbounded();
        let (pages, _) = Pages::new(under_test);
        let policies = Policies::seeds();
        let registry = Registry::new(policies.limits.registry(), Restored::default());
        let shared = Arc::new(Shared::new(
            Brought {
                policies,
                clock: under_test.clock(),
                network: Arc::new(pages),
                caches: Arc::new(crate::NoCaches),
                blobs: crate::store::BlobReader::default(),
            },
            registry.lookup(),
            to_driver,
            reports,
        ));
        let handle = Handle {
            shared: Arc::clone(&shared),
        };
        under_test.run(handle, host_commands);
        let texts: std::collections::BTreeMap<_, _> = super::pages::ALL
            .into_iter()
            .filter_map(|script| Some((script, under_test.script(script)?)))
            .collect();
        Self {
            shared,
            scripts: Box::new(move |script| texts.get(&script).cloned()),
            commands,
            events,
            runs: AtomicU64::new(1),
            patience: under_test.patience(),
        }
    }

    pub(super) fn limit(&self) -> Limit {
        Limit {
            clock: Arc::clone(&self.shared.clock),
            patience: self.patience,
        }
    }

    fn send(&self, command: HostCommand<MessagePort>) -> Checked {
        self.command(command, None)
    }

    fn command(
        &self,
        command: HostCommand<MessagePort>,
        inbox: Option<crate::WorkerInbox>,
    ) -> Checked {
        let sent = self.commands.command((command, inbox));
        sent.map_err(|_| "the host no longer takes commands".to_owned())
    }

    fn stop(&self, worker: WorkerId) -> Checked {
        // As the driver does: until it is dead, it may still make requests.
        self.shared.close_endpoint(worker);
        let reason = StopReason::Idle;
        self.send(HostCommand::StopWorker { worker, reason })
    }

    fn dispatch(
        &self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) -> Checked {
        self.send(HostCommand::Dispatch {
            worker,
            event,
            detail,
        })
    }

    /// Sends the command to start a worker.
    fn start(&self, worker: WorkerId, script: Script) -> Result<WorkerEndpoint, String> {
        let text = (self.scripts)(script).ok_or("the host has no such script")?;
        let url = format!("https://site.test{}", path(script));
        let script_url = ScriptUrl::parse(&url, None).map_err(|error| error.to_string())?;
        let environment = Environment {
            client_type: ClientType::ServiceWorker,
            ..Environment::top_level(Shared::worker_client(worker), script_url.url().clone())
        };
        let registration = RegistrationId(worker.0);
        let run = RunId(self.runs.fetch_add(1, Ordering::Relaxed));
        let requesting = Requesting {
            environment: environment.clone().into(),
            registration,
            run,
            script_url: script_url.clone(),
            scope: ScopeUrl::default_for(&script_url),
            event_types: OnceLock::new(),
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.shared.clock);
        let activity = Activity::new(clock, Arc::new(AtomicU64::new(1 << 48)), Box::new(|| {}));
        let (endpoint, inbox) = WorkerEndpoint::pair(worker, activity);
        self.shared.worker_starts(endpoint.clone(), requesting);
        let mut headers = http::HeaderMap::new();
        let javascript = http::HeaderValue::from_static("text/javascript");
        headers.insert(http::header::CONTENT_TYPE, javascript);
        let resource = ScriptResource {
            body: text.into(),
            headers,
        };
        let view = RegistrationView {
            id: registration,
            scope: ScopeUrl::default_for(&script_url),
            update_via_cache: UpdateViaCache::Imports,
            installing: None,
            waiting: None,
            active: Some(WorkerView {
                id: worker,
                script_url: script_url.clone(),
                state: WorkerState::Activated,
            }),
        };
        let start = StartWorker {
            worker,
            run,
            registration: view,
            environment,
            storage_key: StorageKey::first_party(script_url.origin()),
            scope: ScopeUrl::default_for(&script_url),
            worker_type: WorkerType::Classic,
            state: WorkerState::Activated,
            scripts: [(script_url.url().clone(), Arc::new(resource))].into(),
            script_url,
        };
        self.command(HostCommand::StartWorker(Box::new(start)), Some(inbox))?;
        Ok(endpoint)
    }

    /// Starts [`WORKER`], and waits until it runs.
    async fn running(&mut self, script: Script) -> Result<WorkerEndpoint, String> {
        let endpoint = self.start(WORKER, script)?;
        self.any_start(WORKER).await?;
        Ok(endpoint)
    }

    /// Waits until a worker has no events.
    async fn idle(&self, endpoint: &WorkerEndpoint) -> Checked {
        until(self.shared.clock.as_ref(), || is_idle(endpoint)).await;
        Ok(())
    }

    /// The next event. Other messages to the driver, such as a script's operations, are passed
    /// over.
    async fn event(&mut self) -> Result<HostEvent<MessagePort>, String> {
        loop {
            match self.events.next().await {
                Some(ToDriver::Host(event)) => {
                    self.shared.opens(&event);
                    return Ok(event);
                }
                Some(_) => {}
                None => return Err("the host let go of the handle".to_owned()),
            }
        }
    }

    async fn started(
        &mut self,
        expected: WorkerId,
        types: EventTypes,
        handler: FetchHandler,
    ) -> Checked {
        match self.event().await? {
            HostEvent::Started {
                worker,
                event_types,
                fetch_handler,
                ..
            } => equal(
                "started",
                &(worker, event_types, fetch_handler),
                &(expected, types, handler),
            ),
            other => Err(format!("expected a start, found {other:?}")),
        }
    }

    async fn any_start(&mut self, expected: WorkerId) -> Checked {
        match self.event().await? {
            HostEvent::Started { worker, .. } => equal("started", &worker, &expected),
            other => Err(format!("expected a start, found {other:?}")),
        }
    }

    async fn died(&mut self, expected: WorkerId) -> Checked {
        match self.event().await? {
            HostEvent::Died { worker, .. } => {
                self.shared.worker_ends(worker);
                equal("died", &worker, &expected)
            }
            other => Err(format!("expected a death, found {other:?}")),
        }
    }

    async fn settled(
        &mut self,
        expected: WorkerId,
        expected_event: EventId,
        fits: impl Fn(&EventOutcome) -> bool,
    ) -> Checked {
        match self.event().await? {
            HostEvent::Settled {
                worker,
                event,
                outcome,
            } => {
                equal("settled", &(worker, event), &(expected, expected_event))?;
                ensure(fits(&outcome), || format!("settled with {outcome:?}"))
            }
            other => Err(format!("expected a settled event, found {other:?}")),
        }
    }
}

/// Sends a navigation to a worker.
fn fetch(endpoint: &WorkerEndpoint) -> Result<Pending, String> {
    let url: Url = "https://site.test/"
        .parse()
        .map_err(|error: url::ParseError| error.to_string())?;
    let origin = sw_types::Origin::of(&url);
    let detail = FetchDetail {
        request: RequestHead::get(url, origin),
        client: Some(ClientId(1)),
        resulting_client: None,
        is_fall_through: false,
        origin: String::new(),
    };
    let sent = endpoint.dispatch(Box::new(Parcel {
        detail,
        body: Body::empty(),
        preload: None,
    }));
    sent.map_err(|_| "the host dropped the worker's inbox".to_owned())
}

type Answered = Result<FetchAnswer, futures_channel::oneshot::Canceled>;

async fn is_hello(answered: Answered) -> Checked {
    match answered {
        Ok(FetchAnswer::Response(response)) => {
            equal("status", &response.head.status, &http::StatusCode::OK)?;
            let body = response.body.collect(1 << 10).await;
            let body = body.map_err(|error| error.to_string())?;
            equal("body", &body.as_ref(), &&b"hello"[..])
        }
        other => Err(format!("expected a response, found {other:?}")),
    }
}

fn is_unanswered(answered: Answered) -> Checked {
    ensure(answered.is_err(), || {
        format!("a dead worker answered: {answered:?}")
    })
}

fn is_idle(endpoint: &WorkerEndpoint) -> bool {
    endpoint.activity().read().0.is_none()
}
