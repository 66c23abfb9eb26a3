//! A host with one worker, or a page, and everything that it said.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use http::HeaderMap;
use service_worker::fetch_router::RouterRule;
use service_worker::message_port::Message;
use service_worker::types::fetch::{Referrer, RequestHead};
use service_worker::types::{
    ClientId, Environment, EventId, NavigationPreload, Origin, RegistrationId, RegistrationView,
    RunId, ScopeUrl, ScriptResource, ScriptUrl, StorageKey, UpdateViaCache, WorkerId, WorkerState,
    WorkerType, WorkerView,
};
use service_worker::{
    Body, EventDetail, EventOutcome, FetchAnswer, FetchDetail, HostCommand, HostEvent, JobError,
    StartWorker, StopReason,
};
use url::Url;

use crate::js::fetch_events::{Incoming, Preload, Said, WhenAborted};
use crate::js::seam::Registering;
use crate::js::{
    Connections, ConsoleLevel, ConsoleSink, Death, Page, PageOptions, Pending, Seam, WorkerHost,
    WorkerHostOptions,
};

pub(super) const SCRIPT: &str = "https://fonts.example.com/sw.js";
pub(super) const PAGE: &str = "https://fonts.example.com/index.html";
pub(super) const WORKER: WorkerId = WorkerId(7);

/// Longer than anything here takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was written to consoles.
#[derive(Clone, Default)]
pub(in crate::js) struct Lines(Arc<Mutex<Vec<String>>>);

impl ConsoleSink for Lines {
    fn message(&self, _: &str, level: ConsoleLevel, text: &str) {
        self.0.lock().unwrap().push(format!("{level}: {text}"));
    }
}

impl Lines {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A facade that answers at once, and remembers what it was asked.
#[derive(Clone, Default)]
pub(in crate::js) struct Facade {
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Facade {
    fn ask(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

pub(super) fn worker_view(id: u64, state: WorkerState) -> WorkerView {
    WorkerView {
        id: WorkerId(id),
        script_url: ScriptUrl::parse(SCRIPT, None).unwrap(),
        state,
    }
}

pub(super) fn registration_view() -> RegistrationView {
    RegistrationView {
        id: RegistrationId(3),
        scope: ScopeUrl::parse("https://fonts.example.com/", None).unwrap(),
        update_via_cache: UpdateViaCache::Imports,
        installing: None,
        waiting: None,
        active: None,
    }
}

fn now<T: Send + 'static>(value: T) -> Pending<T> {
    Box::pin(std::future::ready(value))
}

impl Connections for Facade {}

impl Seam for Facade {
    fn register(
        &self,
        client: ClientId,
        options: Registering,
    ) -> Pending<Result<RegistrationView, JobError>> {
        self.ask(format!(
            "{client} registers {} for {:?}",
            options.script_url, options.scope
        ));
        if options.script_url == "/bad.js" {
            return now(Err(JobError::Security("not yours".to_owned())));
        }
        now(Ok(RegistrationView {
            installing: Some(worker_view(7, WorkerState::Installing)),
            ..registration_view()
        }))
    }

    fn update(
        &self,
        registration: RegistrationId,
        caller: Option<WorkerId>,
        _: Option<Referrer>,
    ) -> Pending<Result<RegistrationView, JobError>> {
        self.ask(format!("{caller:?} updates {registration}"));
        now(Ok(registration_view()))
    }

    fn unregister(&self, registration: RegistrationId) -> Pending<Result<bool, JobError>> {
        self.ask(format!("unregister {registration}"));
        now(Ok(true))
    }

    fn ready(&self, _: ClientId) -> Pending<Result<RegistrationView, JobError>> {
        Box::pin(std::future::pending())
    }

    fn controller(&self, _: ClientId) -> Option<WorkerView> {
        None
    }

    fn registration(&self, _: ClientId, url: &Url) -> Pending<Option<RegistrationView>> {
        self.ask(format!("registration of {url}"));
        now(None)
    }

    fn skip_waiting(&self, worker: WorkerId) -> Pending<Result<(), JobError>> {
        self.ask(format!("{worker} skips waiting"));
        now(Ok(()))
    }

    fn claim(&self, _: WorkerId) -> Pending<Result<(), JobError>> {
        now(Err(JobError::InvalidState("not active".to_owned())))
    }

    fn post_message(&self, sender: ClientId, worker: WorkerId, message: Message) {
        let length = message.payload.len();
        self.ask(format!("{sender} posts {length} bytes to {worker}"));
    }

    fn post_message_to_client(&self, worker: WorkerId, client: ClientId, message: Message) {
        let length = message.payload.len();
        self.ask(format!("{worker} posts {length} bytes to {client}"));
    }

    fn client(&self, _: WorkerId, client: ClientId) -> Pending<Option<Environment>> {
        let url = "https://fonts.example.com/page".parse().unwrap();
        now((client == ClientId(1)).then(|| Environment::top_level(client, url)))
    }

    fn clients(&self, worker: WorkerId, uncontrolled: bool) -> Pending<Vec<Environment>> {
        self.ask(format!("clients of {worker}, uncontrolled: {uncontrolled}"));
        let url = "https://fonts.example.com/page".parse().unwrap();
        now(vec![Environment::top_level(ClientId(1), url)])
    }

    fn registrations(&self, _: ClientId) -> Pending<Vec<RegistrationView>> {
        now(vec![registration_view()])
    }

    fn script_bytes(&self, _: ClientId) -> Pending<u64> {
        now(1000)
    }

    fn navigation_preload(&self, _: RegistrationId) -> Result<NavigationPreload, JobError> {
        Ok(NavigationPreload::default())
    }

    fn enable_navigation_preload(
        &self,
        registration: RegistrationId,
        enabled: bool,
    ) -> Pending<Result<(), JobError>> {
        self.ask(format!("preload of {registration}: {enabled}"));
        now(Ok(()))
    }

    fn set_navigation_preload_header(
        &self,
        registration: RegistrationId,
        value: &[u8],
    ) -> Pending<Result<(), JobError>> {
        self.ask(format!("preload header of {registration}: {value:?}"));
        now(Ok(()))
    }

    fn import_script(&self, _: WorkerId, url: Url) -> Pending<Result<Arc<ScriptResource>, String>> {
        now(Err(format!("{url} is not there")))
    }

    fn add_routes(
        &self,
        _: WorkerId,
        event: EventId,
        rules: Vec<RouterRule>,
    ) -> Pending<Result<(), JobError>> {
        self.ask(format!("{event} routes {rules:?}"));
        now(Ok(()))
    }

    fn handle_fall_through_requests(
        &self,
        _: WorkerId,
        event: EventId,
        prefixes: &[String],
        origins: Option<&[String]>,
    ) -> Result<(), JobError> {
        self.ask(format!("{event} falls through {prefixes:?} {origins:?}"));
        match prefixes.first().map(String::as_str) {
            Some("https://other.example/") => Err(JobError::Type("out of scope".to_owned())),
            _ => Ok(()),
        }
    }
}

/// A host with one worker.
pub(super) struct Stand {
    pub(super) host: WorkerHost,
    pub(super) lines: Lines,
    pub(super) facade: Facade,
    events: Receiver<HostEvent>,
    fetches: mpsc::UnboundedSender<Incoming>,
    next_event: u64,
}

impl Stand {
    /// Starts a worker with that script.
    pub(super) fn start(source: &str) -> Self {
        Self::start_as(source, WorkerType::Classic, |_| ())
    }

    pub(super) fn start_as(
        source: &str,
        worker_type: WorkerType,
        change: impl FnOnce(&mut WorkerHostOptions),
    ) -> Self {
        let (sender, events) = channel();
        let (fetches, inbox) = mpsc::unbounded();
        let lines = Lines::default();
        let facade = Facade::default();
        let mut options = WorkerHostOptions::new(Arc::new(lines.clone()), Arc::new(facade.clone()));
        change(&mut options);
        let host = WorkerHost::new(options, sink(sender));
        host.start(start_worker(source, worker_type), Some(inbox.boxed()));
        Self {
            host,
            lines,
            facade,
            events,
            fetches,
            next_event: 100,
        }
    }

    /// Starts a worker that is expected to start.
    pub(super) fn started(source: &str) -> Self {
        let stand = Self::start(source);
        match stand.next() {
            HostEvent::Started { .. } => stand,
            other => panic!("{other:?}"),
        }
    }

    /// The next event of the host's.
    pub(super) fn next(&self) -> HostEvent {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// What a worker that must not start says.
    pub(super) fn start_failure(&self) -> String {
        match self.next() {
            HostEvent::StartFailed { error, .. } => error,
            other => panic!("{other:?}"),
        }
    }

    /// Why the worker died.
    pub(super) fn death(&self) -> String {
        match self.next() {
            HostEvent::Died { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Stops the worker; gives why it died.
    pub(super) fn stop(&self) -> String {
        self.host.command(
            HostCommand::StopWorker {
                worker: WORKER,
                reason: StopReason::Idle,
            },
            None,
        );
        self.death()
    }

    /// That nothing more was said, when the worker and its thread are gone.
    pub(super) fn says_nothing_more(self) {
        let Self {
            host,
            events,
            fetches,
            ..
        } = self;
        drop((host, fetches));
        assert!(matches!(
            events.recv_timeout(PATIENCE),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
        ));
    }

    /// That nothing more was said but, perhaps, that an event was not delivered.
    pub(super) fn says_at_most_that_nothing_was_delivered(self) {
        let Self {
            host,
            events,
            fetches,
            ..
        } = self;
        drop((host, fetches));
        loop {
            match events.recv_timeout(PATIENCE) {
                Ok(HostEvent::Undelivered { .. }) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// That the worker dies of its host's end, and says nothing else.
    pub(super) fn says_only_that_it_died(self, why: &str) {
        let Self {
            host,
            events,
            fetches,
            ..
        } = self;
        drop((host, fetches));
        match events.recv_timeout(PATIENCE) {
            Ok(HostEvent::Died { reason, .. }) => assert_eq!(reason, why),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            events.recv_timeout(PATIENCE),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
        ));
    }

    pub(super) fn dispatch(&mut self, detail: EventDetail) -> EventId {
        self.next_event += 1;
        let event = EventId(self.next_event);
        let command = HostCommand::Dispatch {
            worker: WORKER,
            event,
            detail,
        };
        self.host.command(command, None);
        event
    }

    /// Dispatches `install` and waits for it.
    pub(super) fn install(&mut self) -> EventOutcome {
        let event = self.dispatch(EventDetail::Install);
        match self.next() {
            HostEvent::Settled {
                event: settled,
                outcome,
                ..
            } if settled == event => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a fetch; the answer, and a receiver that ends when the event is over.
    pub(super) fn fetch(&mut self, url: &str) -> (oneshot::Receiver<FetchAnswer>, Receiver<()>) {
        let head = RequestHead::get(Url::parse(url).unwrap(), Origin::opaque(1));
        self.fetch_head(head, Body::empty())
    }

    pub(super) fn fetch_head(
        &mut self,
        request: RequestHead,
        body: Body,
    ) -> (oneshot::Receiver<FetchAnswer>, Receiver<()>) {
        self.fetch_with(request, body, None, Box::pin(std::future::pending()))
    }

    pub(super) fn fetch_with(
        &mut self,
        request: RequestHead,
        body: Body,
        preload: Option<Preload>,
        aborted: WhenAborted,
    ) -> (oneshot::Receiver<FetchAnswer>, Receiver<()>) {
        self.next_event += 1;
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let (keep_alive, over) = channel::<()>();
        self.fetches
            .unbounded_send(Incoming {
                event: EventId(self.next_event),
                detail: FetchDetail {
                    request,
                    client: Some(ClientId(5)),
                    resulting_client: None,
                    is_fall_through: true,
                    origin: String::new(),
                },
                body,
                preload,
                respond: Box::new(move |said| {
                    if let Said::Answer(answer) = said {
                        drop(sender.take().map(|sender| sender.send(answer)));
                    }
                }),
                aborted,
                keep_alive: Box::new(keep_alive),
            })
            .unwrap();
        (answer, over)
    }
}

/// Blocks until a fetch is answered; `None` if the worker died.
pub(super) fn answer(answer: oneshot::Receiver<FetchAnswer>) -> Option<FetchAnswer> {
    wait(answer).ok()
}

/// Blocks until it is over.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

/// That the event of that keep-alive is over.
pub(super) fn is_over(over: &Receiver<()>) -> bool {
    over.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
}

fn sink(sender: Sender<HostEvent>) -> crate::js::EventSink {
    let sender = Mutex::new(sender);
    Arc::new(move |event| drop(sender.lock().unwrap().send(event)))
}

fn start_worker(source: &str, worker_type: WorkerType) -> Box<StartWorker> {
    let script_url = ScriptUrl::parse(SCRIPT, None).unwrap();
    let resource = ScriptResource {
        body: source.to_owned().into(),
        headers: HeaderMap::new(),
    };
    let environment = Environment::top_level(ClientId(1), script_url.url().clone());
    Box::new(StartWorker {
        worker: WORKER,
        run: RunId(1),
        registration: RegistrationView {
            installing: Some(worker_view(WORKER.0, WorkerState::Installing)),
            ..registration_view()
        },
        storage_key: StorageKey::first_party(environment.origin.clone()),
        environment,
        scope: ScopeUrl::parse("https://fonts.example.com/", None).unwrap(),
        script_url: script_url.clone(),
        worker_type,
        state: WorkerState::Installing,
        scripts: BTreeMap::from([(script_url.url().clone(), Arc::new(resource))]),
    })
}

/// A page, its console, the facade behind it and why it ends.
pub(super) fn page() -> (Page, Lines, Facade, Receiver<Death>) {
    let lines = Lines::default();
    let facade = Facade::default();
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let options = PageOptions::new(
        environment,
        Arc::new(lines.clone()),
        Arc::new(facade.clone()),
    );
    let (page, ended) = page_with(options);
    (page, lines, facade, ended)
}

/// A page of these options, and why it ends.
pub(super) fn page_with(options: PageOptions) -> (Page, Receiver<Death>) {
    let (sender, ended) = channel();
    let page = Page::open(options, move |death| drop(sender.send(death))).unwrap();
    (page, ended)
}

/// What a script evaluates to in a fresh page.
pub(super) fn evaluate(source: &str) -> serde_json::Value {
    wait(
        page()
            .0
            .run_script(source, "https://fonts.example.com/test.js"),
    )
    .unwrap()
}
