//! Carries out the facade's commands: one agent for each running worker.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use service_worker::message_port::MessagePort;
use service_worker::types::{ClientId, ClientNotice, Environment, RunId, WorkerId};
use service_worker::{
    ClientMessage, EventDetail, HostCommand, HostEvent, MessageSource, StartWorker, StopReason,
    WorkerInbox,
};
use url::Url;

use super::agent::{Agent, AgentOptions, Death};
use super::connecting;
use super::console::ConsoleSink;
use super::fetch_events::{self, Fetches, Inbox, Incoming};
use super::messages;
use super::notice;
use super::page::Page;
use super::realm::{Realm, RealmKind, RealmOptions};
use super::reaper::Reaper;
use super::seam::{Pending, Seam};
use super::stashing::OnItsWay;
use super::task::{RealmId, TaskSource};
use super::window_clients::{self, AskWindows, WindowState, Windows};
use super::worker::{self, Evaluated, Signal, Signals};

const GRACE: Duration = Duration::from_secs(2);

/// Takes the events of a host.
pub type EventSink = Arc<dyn Fn(HostEvent) + Send + Sync>;

/// How workers are run.
#[derive(Clone)]
#[non_exhaustive]
pub struct WorkerHostOptions {
    /// What a worker's heap may hold, in bytes.
    pub memory_limit: usize,
    /// How long a worker that is stopped may take to end before it is given up. (An interrupt takes
    /// about a millisecond, but some native functions of the engine cannot be interrupted.)
    pub grace: Duration,
    /// Where the consoles of workers go.
    pub console: Arc<dyn ConsoleSink>,
    /// What workers ask.
    pub seam: Arc<dyn Seam>,
    /// Called with the options of each realm before it is made, to add services to it.
    pub prepare: Option<Arc<dyn Fn(RealmOptions) -> RealmOptions + Send + Sync>>,
}

impl WorkerHostOptions {
    /// Workers with 64 MiB each.
    pub fn new(console: Arc<dyn ConsoleSink>, seam: Arc<dyn Seam>) -> Self {
        Self {
            memory_limit: 64 << 20,
            grace: GRACE,
            console,
            seam,
            prepare: None,
        }
    }
}

/// Runs service workers, each on a thread of its own. Cheap to clone.
pub struct WorkerHost {
    shared: Arc<Shared>,
}

/// No agent holds it, so that the agents end when the last handle is dropped.
struct Shared {
    options: WorkerHostOptions,
    events: EventSink,
    workers: Workers,
    clients: Mutex<HashMap<ClientId, Page>>,
    reaper: Reaper,
}

type Workers = Arc<Mutex<HashMap<WorkerId, Running>>>;

#[derive(Clone)]
struct Running {
    run: RunId,
    agent: Agent,
    fetches: Arc<Fetches>,
    client: ClientId,
    end: Arc<End>,
}

/// That a worker is gone is told once, by whoever finds out first.
#[derive(Default)]
struct End(AtomicBool);

impl End {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    fn is_taken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The pages of a host, for its workers, who keep no host alive.
struct Pages(Weak<Shared>);

impl Pages {
    fn page(&self, client: ClientId) -> Option<Page> {
        let shared = self.0.upgrade()?;
        // In a statement of its own, so that the lock is free before `shared` is dropped.
        let clients = lock(&shared.clients);
        clients.get(&client).cloned()
    }
}

impl AskWindows for Pages {
    fn state(&self, client: ClientId) -> Pending<Option<WindowState>> {
        let page = self.page(client);
        Box::pin(async move {
            let asked = page?.ask(|realm, sender| {
                // The worker that asked may be gone.
                drop(sender.send(window_clients::state(realm.state())));
            });
            asked.await?
        })
    }

    fn navigate(&self, client: ClientId, url: Url) -> Pending<Option<Environment>> {
        let page = self.page(client);
        Box::pin(async move {
            let asked =
                page?.ask(move |realm, sender| window_clients::navigate(realm, url, sender));
            asked.await?
        })
    }
}

impl WorkerHost {
    /// A host that tells `events` what happens. `events` is called on the workers' threads.
    pub fn new(options: WorkerHostOptions, events: EventSink) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                events,
                workers: Workers::default(),
                clients: Mutex::default(),
                reaper: Reaper::default(),
            }),
        }
    }

    /// Carries out a command. `inbox` comes with [`HostCommand::StartWorker`]. Never blocks.
    pub fn command(&self, command: HostCommand, inbox: Option<WorkerInbox>) {
        match command {
            HostCommand::StartWorker(start) => {
                let inbox = inbox.map(|inbox| inbox.map(Incoming::from).boxed());
                self.start(start, inbox);
            }
            HostCommand::Dispatch {
                worker,
                event,
                detail,
            } => self.dispatch(worker, event, detail),
            HostCommand::StopWorker { worker, reason } => {
                if let Some(running) = self.running(worker) {
                    running.agent.kill(reason.to_string());
                    self.watch_end(worker, running, reason);
                }
            }
            HostCommand::ClientMessage { client, message } => self.post(client, *message),
            HostCommand::Notify { client, notice } => self.notify(client, *notice),
        }
    }

    /// Notices for `client` go to `page` from now on.
    pub fn add_page(&self, client: ClientId, page: Page) {
        lock(&self.shared.clients).insert(client, page);
    }

    /// There is no such page any more.
    pub fn remove_page(&self, client: ClientId) {
        lock(&self.shared.clients).remove(&client);
    }

    /// Ends all pages, whatever their scripts are doing.
    pub fn close_pages(&self) {
        let pages = std::mem::take(&mut *lock(&self.shared.clients));
        pages.values().for_each(Page::close);
    }

    fn running(&self, worker: WorkerId) -> Option<Running> {
        lock(&self.shared.workers).get(&worker).cloned()
    }

    /// *Run Service Worker.*
    pub(super) fn start(&self, start: Box<StartWorker>, inbox: Option<Inbox>) {
        let (worker, run) = (start.worker, start.run);
        let client = start.environment.id;
        let end = Arc::new(End::default());
        let fetches = Arc::new(Fetches::default());
        let shared = &self.shared;

        let mut options = AgentOptions::new(start.script_url.url().as_str());
        options.memory_limit = shared.options.memory_limit;
        let realm = self
            .realm_options(&start, &end)
            .with_service(Arc::clone(&fetches));
        let begin = {
            let (events, end) = (Arc::clone(&shared.events), Arc::clone(&end));
            move |realm: &Realm| begin(realm, &start, inbox, &events, &end)
        };
        let ended = {
            let workers = Arc::downgrade(&shared.workers);
            let (events, end) = (Arc::clone(&shared.events), Arc::clone(&end));
            let fetches = Arc::clone(&fetches);
            move |death: Death| {
                if let Some(workers) = workers.upgrade() {
                    forget(&workers, &end);
                }
                if end.take() {
                    let reason = death.to_string();
                    events(HostEvent::Died {
                        worker,
                        run,
                        reason,
                    });
                }
                // Clients learn of it after the driver: what they ask next wakes the worker again.
                fetches.abandon();
            }
        };
        // Held while the agent starts, so that its end finds what to remove.
        let mut workers = lock(&shared.workers);
        match Agent::start(options, realm, Box::new(begin), ended) {
            Ok(agent) => {
                workers.insert(
                    worker,
                    Running {
                        run,
                        agent,
                        fetches,
                        client,
                        end,
                    },
                );
            }
            Err(error) => {
                drop(workers);
                let error = format!("no thread for the worker: {error}");
                (shared.events)(HostEvent::StartFailed { worker, run, error });
            }
        }
    }

    /// Tells that the worker died even if its thread does not end: a native function of the engine
    /// cannot be interrupted.
    fn watch_end(&self, worker: WorkerId, running: Running, reason: StopReason) {
        let events = Arc::clone(&self.shared.events);
        let workers = Arc::downgrade(&self.shared.workers);
        let (run, end, fetches) = (running.run, running.end, running.fetches);
        self.shared.reaper.after(self.shared.options.grace, move || {
            if end.take() {
                if let Some(workers) = workers.upgrade() {
                    forget(&workers, &end);
                }
                tracing::warn!(%worker, "a worker's thread runs on: the engine cannot be interrupted");
                let reason = format!("{reason}; its thread could not be stopped and was abandoned");
                events(HostEvent::Died { worker, run, reason });
                fetches.abandon();
            }
        });
    }

    fn realm_options(&self, start: &StartWorker, end: &Arc<End>) -> RealmOptions {
        let options = &self.shared.options;
        let (worker, run) = (start.worker, start.run);
        let (events, end) = (Arc::clone(&self.shared.events), Arc::clone(end));
        let started = AtomicBool::new(false);
        let known = Mutex::new(None);
        let signals = Signals::new(move |signal| {
            if end.is_taken() {
                return;
            }
            match signal {
                Signal::Started(event_types) => {
                    *lock(&known) = Some(event_types);
                    started.store(true, Ordering::SeqCst);
                }
                Signal::Listeners(event_types) => {
                    let previous = lock(&known).replace(event_types);
                    if started.load(Ordering::SeqCst) && previous != Some(event_types) {
                        events(HostEvent::ListenersChanged {
                            worker,
                            run,
                            event_types,
                        });
                    }
                }
                Signal::Accepted { event, port } => events(HostEvent::Accepted {
                    worker,
                    event,
                    port,
                }),
                Signal::Settled { event, outcome } => events(HostEvent::Settled {
                    worker,
                    event,
                    outcome,
                }),
            }
        });
        let realm = RealmOptions::new(
            RealmKind::ServiceWorker(Box::new(start.clone())),
            start.environment.clone(),
            Arc::clone(&options.console),
            Arc::clone(&options.seam),
        )
        .with_service(signals)
        .with_service(Arc::new(Windows(Arc::new(Pages(Arc::downgrade(
            &self.shared,
        ))))));
        match &options.prepare {
            Some(prepare) => prepare(realm),
            None => realm,
        }
    }

    fn dispatch(
        &self,
        worker: WorkerId,
        event: service_worker::types::EventId,
        detail: EventDetail,
    ) {
        let Some(running) = self.running(worker) else {
            tracing::debug!(%worker, %event, "an event for a worker that does not run");
            (self.shared.events)(HostEvent::Undelivered {
                worker,
                event,
                detail,
            });
            return;
        };
        match detail {
            EventDetail::Install => {
                running
                    .agent
                    .post(RealmId::MAIN, TaskSource::ServiceWorker, move |realm| {
                        worker::dispatch_lifecycle(realm, "install", event)
                    });
            }
            EventDetail::Activate => {
                running
                    .agent
                    .post(RealmId::MAIN, TaskSource::ServiceWorker, move |realm| {
                        worker::dispatch_lifecycle(realm, "activate", event)
                    });
            }
            EventDetail::Message(detail) => {
                let window = self.noted_window(&detail.source);
                running
                    .agent
                    .post(RealmId::MAIN, TaskSource::ServiceWorker, move |realm| {
                        messages::dispatch(realm, event, *detail, window);
                    });
            }
            EventDetail::Push { data } => {
                running
                    .agent
                    .post(RealmId::MAIN, TaskSource::ServiceWorker, move |realm| {
                        worker::dispatch_push(realm, event, data);
                    });
            }
            EventDetail::Connect(detail) => {
                running
                    .agent
                    .post(RealmId::MAIN, TaskSource::ServiceWorker, move |realm| {
                        connecting::dispatch(realm, event, *detail);
                    });
            }
            detail @ (EventDetail::StashedMessage { .. } | EventDetail::StashedClose { .. }) => {
                let events = Arc::clone(&self.shared.events);
                let on_its_way = OnItsWay::new(worker, event, detail, events);
                running
                    .agent
                    .post(RealmId::MAIN, TaskSource::ServiceWorker, move |realm| {
                        on_its_way.dispatch(realm);
                    });
            }
        }
    }

    /// What the window that posted a message was like then.
    fn noted_window(&self, source: &MessageSource) -> Option<WindowState> {
        let MessageSource::Client(client) = source else {
            return None;
        };
        let clients = lock(&self.shared.clients);
        clients.get(&client.id)?.noted_window(client.id)
    }

    /// *Client.postMessage*, from where it queues a task.
    fn post(&self, client: ClientId, message: ClientMessage<MessagePort>) {
        match lock(&self.shared.clients).get(&client) {
            Some(page) => page.post(message),
            None => tracing::debug!(%client, "a message for a client without service workers"),
        }
    }

    fn notify(&self, client: ClientId, notice: ClientNotice) {
        let page = lock(&self.shared.clients).get(&client).cloned();
        if let Some(page) = page {
            return page.notify(notice);
        }
        let workers = lock(&self.shared.workers);
        let running = workers.values().find(|running| running.client == client);
        if let Some(running) = running {
            running
                .agent
                .post(RealmId::MAIN, TaskSource::UserInteraction, move |realm| {
                    realm.with(|ctx| notice::notify(ctx, realm.state(), &notice));
                });
        }
    }
}

fn begin(realm: &Realm, start: &StartWorker, inbox: Option<Inbox>, events: &EventSink, end: &End) {
    let (worker, run) = (start.worker, start.run);
    let evaluated = worker::evaluate(realm, start);
    if realm.state().is_killed() {
        // Its death is told when it has ended.
        return;
    }
    match evaluated {
        Ok(Evaluated {
            event_types,
            fetch_handler,
        }) => {
            if let Some(signals) = realm.state().service::<Signals>() {
                signals.send(Signal::Started(event_types));
            }
            events(HostEvent::Started {
                worker,
                run,
                event_types,
                fetch_handler,
            });
            if let Some(inbox) = inbox {
                fetch_events::serve(realm.state(), inbox);
            }
        }
        Err(error) => {
            realm.state().stop("the script failed");
            if end.take() {
                events(HostEvent::StartFailed { worker, run, error });
            }
        }
    }
}

fn forget(workers: &Mutex<HashMap<WorkerId, Running>>, end: &Arc<End>) {
    lock(workers).retain(|_, running| !Arc::ptr_eq(&running.end, end));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clone for WorkerHost {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl fmt::Debug for WorkerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHost")
            .field("workers", &lock(&self.shared.workers).len())
            .finish_non_exhaustive()
    }
}
