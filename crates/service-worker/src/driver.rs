//! The driver: owns the cores, feeds them, and carries out what they ask.
//!
//! It decides lifecycle and is not in the data path: a fetch to a worker that runs does not wake it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use message_port::MessagePort;
use sw_registry::{Input, Lifecycle, Now, Output, Registry, Request, Response, Settled};
use sw_types::{
    ClientId, ClientType, Environment, EventId, FrameType, PromiseId, RequestId, ScopeUrl, Site,
    WorkerId,
};

use crate::commands::CommandSender;
use crate::endpoint::WorkerInbox;
use crate::functional::Functional;
use crate::shared::{Answered, Requesting, Shared, ToDriver};
use crate::store::StoreThread;
use crate::{
    EventDetail, EventOutcome, HostCommand, HostEvent, Report, StartWorker, StopReason,
    WorkerEndpoint, script,
};

/// A timer that was armed.
pub(crate) type Sleeping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How much is done in one poll, before others on the same thread have their turn.
const TURNS: usize = 64;

/// How many messages are taken in one turn, before a look at anything else.
const MESSAGES: usize = 16;

type Answering = Pin<Box<dyn Future<Output = (RequestId, Response)> + Send>>;

/// The driver, a future: poll it on the host's own loop, or hand it to the tokio adapter. It ends
/// after [`Handle::shut_down`](crate::Handle::shut_down).
#[must_use = "nothing happens unless the driver is polled"]
pub struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    pub(crate) functional: Functional,
    /// What the store has of stashed ports.
    pub(crate) durable: crate::stashing::Durable,
    pub(crate) store: StoreThread,
    pub(crate) inbox: mpsc::UnboundedReceiver<ToDriver>,
    pub(crate) commands: CommandSender,
    pub(crate) promises: BTreeMap<PromiseId, oneshot::Sender<Answered>>,
    pub(crate) answering: FuturesUnordered<Answering>,
    pub(crate) background: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(crate) timer: Option<(Instant, Sleeping)>,
    pub(crate) shutting_down: Option<oneshot::Sender<()>>,
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        driver.shared.driver_polled();
        for _ in 0..TURNS {
            driver.carry_out_all();
            driver.commit_stash();
            if driver.shutting_down.is_some() {
                return driver.poll_end(cx);
            }
            // All of them each time, so that none waits for another to have nothing.
            let progress = [
                driver.poll_messages(cx),
                driver.poll_answer(cx),
                driver.poll_background(cx),
                driver.poll_timer(cx),
                driver.wake_next_stash(),
            ];
            if !progress.contains(&true) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Gone without [`Handle::shut_down`](crate::Handle::shut_down), it lets go of whoever waits all the
/// same; what was handed to the store is written before this ends.
impl Drop for Driver {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Driver {
    pub(crate) fn now(&self) -> Now {
        Now {
            instant: self.shared.clock.now(),
            wall: self.shared.clock.wall(),
        }
    }

    pub(crate) fn tell(&mut self, input: Input) {
        self.registry.handle_input(self.now(), input);
    }

    /// Carries out what the cores ask, until they ask nothing more.
    fn carry_out_all(&mut self) {
        loop {
            while let Some(output) = self.registry.poll_output() {
                self.carry_out(output);
            }
            if !self.poll_functional() {
                return;
            }
        }
    }

    /// Takes some messages; whether there were any.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..MESSAGES {
            if self.shutting_down.is_some() || !self.poll_message(cx) {
                return taken > 0;
            }
            self.carry_out_all();
        }
        true
    }

    /// Takes one message; whether there was one.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(Some(message)) = Pin::new(&mut self.inbox).poll_next(cx) else {
            return false;
        };
        match message {
            ToDriver::Host(event) => self.host_event(event),
            ToDriver::Tell(input) => self.tell(input),
            ToDriver::Ask(promise, input, reply) => {
                self.promises.insert(promise, reply);
                self.tell(*input);
            }
            ToDriver::Marker(reply) => {
                let _gone = reply.send(());
            }
            ToDriver::View(registration, reply) => {
                let view = self.registry.registration(registration);
                self.commands.answer(reply, view);
            }
            ToDriver::ScriptBytes(key, reply) => {
                let _gone = reply.send(self.registry.script_bytes_of(&key));
            }
            ToDriver::Connect(call) => self.connect(*call),
            ToDriver::InstalledToConnect(id, registrations) => {
                self.installed_to_connect(id, registrations);
            }
            ToDriver::Post(posted) => self.post(*posted),
            ToDriver::PostToClient {
                worker,
                client,
                message,
            } => self.post_to_client(worker, client, message),
            ToDriver::AboutClients(asked) => self.about_clients(asked),
            ToDriver::Import(importing) => self.import(*importing),
            ToDriver::StashReady(entry) => self.drain(entry),
            ToDriver::Discard(ports) => self.discard(ports),
            ToDriver::Stashed(entry) => self.store_entry(entry),
            ToDriver::StashCommitted(result) => self.stash_committed(result),
            ToDriver::StashLoaded(loaded) => self.loaded(*loaded),
            ToDriver::Push(registration, data) => self.push(registration, data),
            ToDriver::ClearStash(key) => self.clear_stash(&key),
            ToDriver::Idle(worker) => self.read_activity(worker),
            ToDriver::Background(work) => self.background.push(work),
            ToDriver::ShutDown(done) => self.shutting_down = Some(done),
        }
        true
    }

    /// Takes one answer of network or store; whether there was one.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(Some((id, response))) = Pin::new(&mut self.answering).poll_next(cx) else {
            return false;
        };
        self.tell(Input::Response(id, response));
        true
    }

    /// Lets background work go on; whether some of it ended.
    fn poll_background(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(
            Pin::new(&mut self.background).poll_next(cx),
            Poll::Ready(Some(()))
        )
    }

    /// Keeps the timer at the next deadline of any core; whether it has passed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.next_deadline() else {
            self.timer = None;
            return false;
        };
        if self
            .timer
            .as_ref()
            .is_none_or(|(armed, _)| *armed != deadline)
        {
            self.timer = Some((deadline, self.shared.clock.sleep_until(deadline)));
        }
        let passed = self
            .timer
            .as_mut()
            .is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
        if passed {
            self.timer = None;
            self.handle_timeouts();
        }
        passed
    }

    fn host_event(&mut self, event: HostEvent<MessagePort>) {
        let changed = match &event {
            HostEvent::ClientReady(client) | HostEvent::ClientGone(client) => Some(*client),
            _ => None,
        };
        let attending = self.attending(&event);
        self.heard(event);
        self.attend(attending);
        if let Some(client) = changed {
            self.client_changed(client);
        }
    }

    fn heard(&mut self, event: HostEvent<MessagePort>) {
        if self.shared.is_late(&event) {
            return tracing::debug!(?event, "of a run that is over");
        }
        self.shared.opens(&event);
        let Some(event) = self.functional_event(event) else {
            return;
        };
        let input = match event {
            HostEvent::Started {
                worker,
                run,
                event_types,
                fetch_handler,
            } => Input::WorkerStarted {
                worker,
                run,
                event_types,
                fetch_handler,
            },
            HostEvent::StartFailed { worker, run, error } => {
                self.worker_ends(worker);
                Input::WorkerStartFailed { worker, run, error }
            }
            HostEvent::Died {
                worker,
                run,
                reason,
            } => {
                self.worker_ends(worker);
                Input::WorkerDied {
                    worker,
                    run,
                    reason,
                }
            }
            HostEvent::Settled {
                worker,
                event,
                outcome,
            } => Input::EventSettled {
                worker,
                event,
                outcome,
            },
            HostEvent::ClientCreated(environment) if Shared::is_worker_client(environment.id) => {
                tracing::warn!(client = %environment.id, "is a service worker's id: ignored");
                return;
            }
            HostEvent::ClientCreated(environment) => {
                let partition = self.shared.policies.partition;
                let storage_key = partition.storage_key(&environment, &environment.origin);
                Input::ClientCreated {
                    environment,
                    storage_key,
                }
            }
            HostEvent::FallThroughForbidden(client) => Input::FallThroughForbidden(client),
            HostEvent::ClientReady(client) => Input::ClientReady(client),
            HostEvent::ClientGone(client) => Input::ClientGone(client),
            HostEvent::ListenersChanged { worker, .. }
            | HostEvent::Accepted { worker, .. }
            | HostEvent::Dispatched { worker, .. }
            | HostEvent::Undelivered { worker, .. } => {
                tracing::debug!(%worker, "nothing for the registry");
                return;
            }
        };
        self.tell(input);
    }

    fn worker_ends(&mut self, worker: WorkerId) {
        self.tell(Input::ClientGone(Shared::worker_client(worker)));
        self.shared.worker_ends(worker);
        self.run_ends(worker);
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Request(id, request) => self.answer(id, request),
            Output::Settle(promise, result) => {
                let Some(result) = self.woken(promise, result) else {
                    return;
                };
                if let Some(reply) = self.promises.remove(&promise) {
                    // Who woke a worker has not sent it anything yet.
                    let awake = match &result {
                        Ok(Settled::Running(worker)) => self.shared.endpoint(*worker),
                        _ => None,
                    };
                    let awake = awake.and_then(|endpoint| endpoint.begin());
                    self.commands.answer(reply, (result, awake));
                }
            }
            Output::StartWorker(start) => self.start_worker(*start),
            Output::StopWorker { worker, reason } => self.stop_worker(worker, reason),
            Output::Dispatch {
                worker,
                event,
                lifecycle,
            } => {
                let detail = match lifecycle {
                    Lifecycle::Install => EventDetail::Install,
                    Lifecycle::Activate => EventDetail::Activate,
                };
                self.dispatch(worker, event, detail);
            }
            Output::Notify(client, notice) => {
                let notice = Box::new(notice);
                self.command(HostCommand::Notify { client, notice }, None);
            }
            Output::WorkerStateChanged {
                registration,
                worker,
                state,
            } => {
                self.worker_state(registration, worker, state);
                self.installing_changed(registration);
                // The registration of a first worker that failed is gone by now.
                let of_worker = || {
                    let requesting = self.shared.requesting(Shared::worker_client(worker))?;
                    Some(requesting.scope.clone())
                };
                if let Some(scope) = self.scope_of(registration).or_else(of_worker) {
                    self.shared.report(Report::WorkerState {
                        registration,
                        scope,
                        worker,
                        state,
                    });
                }
            }
            Output::RegistrationCleared(registration) => {
                self.registration_cleared(registration);
                self.installing_changed(registration);
            }
            Output::ReadActivity(worker) => self.read_activity(worker),
            Output::Report(report) => self.shared.report(Report::Registry(report)),
        }
    }

    pub(crate) fn scope_of(&self, registration: sw_types::RegistrationId) -> Option<ScopeUrl> {
        self.registry
            .registration(registration)
            .map(|view| view.scope)
    }

    fn answer(&mut self, id: RequestId, request: Request) {
        self.answering.push(match request {
            Request::FetchScript(fetch) => {
                let fetched = script::fetch(Arc::clone(&self.shared), *fetch);
                Box::pin(async move { (id, Response::Script(fetched.await)) })
            }
            Request::FetchImport(fetch) => {
                let fetched = script::fetch_import(Arc::clone(&self.shared), *fetch);
                Box::pin(async move { (id, Response::Script(fetched.await)) })
            }
            Request::LoadScripts(worker) => {
                let read = self.store.scripts(worker);
                Box::pin(async move { (id, Response::Scripts(read.await)) })
            }
            Request::Store(writes) => {
                let stored = self.store.commit(writes);
                Box::pin(async move { (id, Response::Stored(stored.await)) })
            }
        });
    }

    fn start_worker(&mut self, start: sw_registry::StartWorker) {
        let worker = start.worker;
        let environment = worker_environment(&start);
        let (endpoint, inbox) = WorkerEndpoint::pair(worker, self.shared.activity(worker));
        let registration = start.registration;
        let Some(view) = self.registry.registration(registration) else {
            // The registry starts workers of registrations that it has.
            return tracing::warn!(%worker, "a worker without a registration was to start");
        };
        let requesting = Requesting {
            environment: Arc::new(environment.clone()),
            registration,
            run: start.run,
            script_url: start.script_url.clone(),
            scope: start.scope.clone(),
            event_types: OnceLock::new(),
        };
        // It hears of its registration as any client does.
        self.tell(Input::ClientCreated {
            environment: environment.clone(),
            storage_key: Some(start.storage_key.clone()),
        });
        self.shared.worker_starts(endpoint, requesting);
        self.run_begins(registration, worker, start.state);
        let start = StartWorker {
            worker,
            run: start.run,
            registration: view,
            environment,
            storage_key: start.storage_key,
            scope: start.scope,
            script_url: start.script_url,
            worker_type: start.worker_type,
            state: start.state,
            scripts: start.scripts,
        };
        self.command(HostCommand::StartWorker(Box::new(start)), Some(inbox));
    }

    /// Stops a worker. One that is merely idle may have been sent an event this very moment: it runs
    /// on, and the registry hears of that event, which may be over by now.
    fn stop_worker(&mut self, worker: WorkerId, reason: StopReason) {
        if reason == StopReason::Idle
            && let Some(endpoint) = self.shared.endpoint(worker)
            && let Err((oldest, last_busy)) = self.close_if_idle(worker, &endpoint)
        {
            return self.tell(Input::Activity {
                worker,
                oldest_event: Some(oldest),
                last_busy,
            });
        }
        self.shared.close_endpoint(worker);
        self.command(HostCommand::StopWorker { worker, reason }, None);
    }

    /// Closes an endpoint unless it is busy, and is then watched, as by [`Self::read_activity`].
    fn close_if_idle(
        &self,
        worker: WorkerId,
        endpoint: &WorkerEndpoint,
    ) -> Result<(), (Instant, Instant)> {
        let activity = endpoint.activity();
        activity.watch(self.registry.awaits_idle(worker));
        activity.close_if_idle()
    }

    /// Tells the registry how busy a worker is, and watches it if something waits for it to be idle.
    fn read_activity(&mut self, worker: WorkerId) {
        let Some(endpoint) = self.shared.endpoint(worker) else {
            tracing::debug!(%worker, "does not run");
            return;
        };
        let activity = endpoint.activity();
        activity.watch(self.registry.awaits_idle(worker));
        let (oldest_event, last_busy) = activity.read();
        self.tell(Input::Activity {
            worker,
            oldest_event,
            last_busy,
        });
    }

    pub(crate) fn dispatch(
        &self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) {
        self.command(
            HostCommand::Dispatch {
                worker,
                event,
                detail,
            },
            None,
        );
    }

    pub(crate) fn command(&self, command: HostCommand<MessagePort>, inbox: Option<WorkerInbox>) {
        if let Err(command) = self.commands.command((command, inbox)) {
            self.without_host(command);
        }
    }

    /// The host no longer takes commands: whoever waits for what it would have said hears it now.
    fn without_host(&self, command: HostCommand<MessagePort>) {
        let gone = || "the host takes no commands any more".to_owned();
        let event = match command {
            HostCommand::StartWorker(start) => HostEvent::StartFailed {
                worker: start.worker,
                run: start.run,
                error: gone(),
            },
            HostCommand::StopWorker { worker, .. } => {
                let client = Shared::worker_client(worker);
                let Some(requesting) = self.shared.requesting(client) else {
                    return;
                };
                HostEvent::Died {
                    worker,
                    run: requesting.run,
                    reason: gone(),
                }
            }
            HostCommand::Dispatch {
                worker,
                event,
                detail: EventDetail::Install | EventDetail::Activate,
            } => HostEvent::Settled {
                worker,
                event,
                outcome: EventOutcome::Rejected(gone()),
            },
            HostCommand::Dispatch {
                worker,
                event,
                detail,
            } => HostEvent::Undelivered {
                worker,
                event,
                detail,
            },
            HostCommand::Notify { .. } | HostCommand::ClientMessage { .. } => return,
        };
        // As a host would: not in the middle of what is being carried out.
        self.shared.send(ToDriver::Host(event));
    }

    /// Stops the workers, lets go of whoever still waits, and ends when everything that was to be
    /// written is written and the store is closed.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.let_go();
        ready!(self.store.poll_close(cx));
        if let Some(done) = self.shutting_down.take() {
            let _gone = done.send(());
        }
        Poll::Ready(())
    }

    fn let_go(&mut self) {
        for worker in self.shared.running_workers() {
            self.shared.worker_ends(worker);
            let reason = StopReason::Shutdown;
            self.command(HostCommand::StopWorker { worker, reason }, None);
        }
        self.commands.close();
        self.shared.ends();
        self.inbox.close();
        while let Ok(unheard) = self.inbox.try_recv() {
            drop(unheard);
        }
        self.promises.clear();
        self.answering.clear();
        self.background.clear();
        self.end_functional();
    }
}

/// The environment settings of a service worker. (*Service Workers*, "Set up a service worker
/// environment settings object".)
fn worker_environment(start: &sw_registry::StartWorker) -> Environment {
    let origin = start.script_url.origin();
    let id: ClientId = Shared::worker_client(start.worker);
    Environment {
        id,
        client_type: ClientType::ServiceWorker,
        frame_type: FrameType::None,
        creation_url: start.script_url.url().clone(),
        matched_as: None,
        top_level_site: match start.storage_key.top_level_site() {
            Some(site) => site.clone(),
            None => Site::of(&origin),
        },
        cross_site_ancestor: start.storage_key.has_cross_site_ancestor(),
        secure_context: origin.is_potentially_trustworthy(),
        storage_blocked: false,
        ephemeral: start.storage_key.ephemeral(),
        fall_through_forbidden: false,
        origin,
    }
}
