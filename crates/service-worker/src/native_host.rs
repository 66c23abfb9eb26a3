//! A host without JavaScript: workers written as Rust closures. For tests, simulations, benchmarks,
//! and engines that want to see the boundary without an engine behind it.
//!
//! A worker's script *is the name* of a [`NativeWorker`]: whatever text the network answers for the
//! script URL is looked up here. So an update is a server that answers another name.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use message_port::MessagePort;
use sw_types::{EventId, EventType, EventTypes, FetchHandler, WorkerId};

use crate::{
    EventDetail, EventOutcome, FetchDispatch, Handle, HostCommand, HostCommands, HostEvent,
    StartWorker, WorkerInbox,
};

/// What a closure of a worker gives back.
pub type Reaction<T> = Pin<Box<dyn Future<Output = T> + Send>>;

type OnLifecycle = Arc<dyn Fn(Scope, EventId) -> Reaction<Result<(), String>> + Send + Sync>;
type OnFetch = Arc<dyn Fn(Scope, FetchDispatch) -> Reaction<()> + Send + Sync>;

/// What a worker's closures can use: its own start, and the facade.
#[derive(Clone)]
pub struct Scope {
    /// What it was started with.
    pub start: Arc<StartWorker>,
    /// The facade.
    pub handle: Handle,
}

/// A worker: its listeners.
#[derive(Clone, Default)]
pub struct NativeWorker {
    install: Option<OnLifecycle>,
    activate: Option<OnLifecycle>,
    fetch: Option<OnFetch>,
}

impl NativeWorker {
    /// A worker that listens to nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens to `install`; the future is what `waitUntil` is given.
    #[must_use]
    pub fn on_install<F>(
        mut self,
        listener: impl Fn(Scope, EventId) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.install = Some(Arc::new(move |scope, event| {
            Box::pin(listener(scope, event))
        }));
        self
    }

    /// Listens to `activate`; the future is what `waitUntil` is given.
    #[must_use]
    pub fn on_activate<F>(
        mut self,
        listener: impl Fn(Scope, EventId) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.activate = Some(Arc::new(move |scope, event| {
            Box::pin(listener(scope, event))
        }));
        self
    }

    /// Listens to `fetch`; whoever drops the dispatch without an answer has died.
    #[must_use]
    pub fn on_fetch<F>(
        mut self,
        listener: impl Fn(Scope, FetchDispatch) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.fetch = Some(Arc::new(move |scope, dispatch| {
            Box::pin(listener(scope, dispatch))
        }));
        self
    }

    fn event_types(&self) -> EventTypes {
        [
            self.install.as_ref().map(|_| EventType::Install),
            self.activate.as_ref().map(|_| EventType::Activate),
            self.fetch.as_ref().map(|_| EventType::Fetch),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The host: a future that runs its workers, and ends when the commands end.
#[must_use = "workers run only while the host is polled"]
pub struct NativeHost {
    handle: Handle,
    commands: HostCommands,
    scripts: BTreeMap<String, NativeWorker>,
    running: BTreeMap<WorkerId, Running>,
    reactions: FuturesUnordered<Reaction<()>>,
}

/// A worker that runs.
struct Running {
    worker: NativeWorker,
    scope: Scope,
    inbox: Option<WorkerInbox>,
    reactions: Vec<AbortHandle>,
}

impl NativeHost {
    /// A host that knows these scripts, by name.
    pub fn new(
        handle: Handle,
        commands: HostCommands,
        scripts: impl IntoIterator<Item = (String, NativeWorker)>,
    ) -> Self {
        Self {
            handle,
            commands,
            scripts: scripts.into_iter().collect(),
            running: BTreeMap::new(),
            reactions: FuturesUnordered::new(),
        }
    }

    fn command(&mut self, command: HostCommand<MessagePort>, inbox: Option<WorkerInbox>) {
        match command {
            HostCommand::StartWorker(start) => self.start(*start, inbox),
            HostCommand::StopWorker { worker, reason } => {
                if self.stop(worker) {
                    let reason = reason.to_string();
                    self.handle.host_event(HostEvent::Died { worker, reason });
                }
            }
            HostCommand::Dispatch {
                worker,
                event,
                detail,
            } => self.dispatch(worker, event, detail),
            HostCommand::Notify { client, notice } => {
                tracing::debug!(%client, ?notice, "native clients have no listeners");
            }
            HostCommand::Accepted { .. } => {}
        }
    }

    /// Starts a worker; one that still ran under this id is over.
    fn start(&mut self, start: StartWorker, inbox: Option<WorkerInbox>) {
        let id = start.worker;
        self.stop(id);
        let name = start
            .scripts
            .get(start.script_url.url())
            .map(|script| String::from_utf8_lossy(&script.body).trim().to_owned());
        let Some(worker) = name
            .as_ref()
            .and_then(|name| self.scripts.get(name))
            .cloned()
        else {
            let error = format!("{}: there is no native worker {name:?}", start.script_url);
            self.handle
                .host_event(HostEvent::StartFailed { worker: id, error });
            return;
        };
        self.handle.host_event(HostEvent::Started {
            worker: id,
            event_types: worker.event_types(),
            fetch_handler: match worker.fetch {
                Some(_) => FetchHandler::Present,
                None => FetchHandler::None,
            },
        });
        let scope = Scope {
            start: Arc::new(start),
            handle: self.handle.clone(),
        };
        self.running.insert(
            id,
            Running {
                worker,
                scope,
                inbox,
                reactions: Vec::new(),
            },
        );
    }

    /// Whether it ran.
    fn stop(&mut self, worker: WorkerId) -> bool {
        let Some(running) = self.running.remove(&worker) else {
            return false;
        };
        running.reactions.iter().for_each(AbortHandle::abort);
        true
    }

    fn dispatch(&mut self, worker: WorkerId, event: EventId, detail: EventDetail<MessagePort>) {
        let Some(running) = self.running.get_mut(&worker) else {
            return;
        };
        let listener = match detail {
            EventDetail::Install => running.worker.install.clone(),
            EventDetail::Activate => running.worker.activate.clone(),
            EventDetail::Connect(_) => None,
        };
        let handle = self.handle.clone();
        let scope = running.scope.clone();
        let reaction = async move {
            let settled = match listener {
                Some(listener) => listener(scope, event).await,
                None => Ok(()),
            };
            let outcome = match settled {
                Ok(()) => EventOutcome::Fulfilled,
                Err(reason) => EventOutcome::Rejected(reason),
            };
            handle.host_event(HostEvent::Settled {
                worker,
                event,
                outcome,
            });
        };
        running.react(&self.reactions, reaction);
    }

    /// Takes what has come for the workers; whether something had.
    fn poll_inboxes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        for running in self.running.values_mut() {
            while let Some(inbox) = &mut running.inbox {
                match Pin::new(inbox).poll_next(cx) {
                    Poll::Pending => break,
                    Poll::Ready(None) => running.inbox = None,
                    Poll::Ready(Some(dispatch)) => {
                        progress = true;
                        if let Some(listener) = running.worker.fetch.clone() {
                            let reaction = listener(running.scope.clone(), dispatch);
                            running.react(&self.reactions, reaction);
                        }
                    }
                }
            }
        }
        progress
    }
}

impl Running {
    /// Lets a reaction run until the worker is stopped.
    fn react(
        &mut self,
        reactions: &FuturesUnordered<Reaction<()>>,
        reaction: impl Future<Output = ()> + Send + 'static,
    ) {
        let (abort, registration) = AbortHandle::new_pair();
        self.reactions.retain(|reaction| !reaction.is_aborted());
        self.reactions.push(abort);
        reactions.push(Box::pin(async move {
            let _aborted = Abortable::new(reaction, registration).await;
        }));
    }
}

impl Future for NativeHost {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let host = self.get_mut();
        loop {
            match Pin::new(&mut host.commands).poll_next(cx) {
                Poll::Ready(Some((command, inbox))) => {
                    host.command(command, inbox);
                    continue;
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            let reacted = matches!(
                Pin::new(&mut host.reactions).poll_next(cx),
                Poll::Ready(Some(()))
            );
            if !reacted && !host.poll_inboxes(cx) {
                return Poll::Pending;
            }
        }
    }
}
