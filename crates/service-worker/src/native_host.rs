//! A host without JavaScript: workers written as Rust closures. For tests, simulations, benchmarks,
//! and engines that want to see the boundary without an engine behind it.
//!
//! A worker's script *is the name* of a [`NativeWorker`]: whatever text the network answers for the
//! script URL is looked up here. So an update is a server that answers another name.

mod listeners;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use message_port::{MessageChannel, MessagePort, TransferredPort};
use sw_types::{ClientId, EventId, FetchHandler, RunId, WorkerId};

pub use listeners::NativeWorker;
use listeners::OnLifecycle;

use crate::{
    ClientMessage, ConnectDetail, EntryId, EventDetail, EventOutcome, Handle, HostCommand,
    HostCommands, HostEvent, PortMessage, StartWorker, WorkerInbox,
};

/// What a closure of a worker gives back.
pub type Reaction<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a worker's closures can use: its own start, and the facade.
#[derive(Clone)]
pub struct Scope {
    /// What it was started with.
    pub start: Arc<StartWorker>,
    /// The facade.
    pub handle: Handle,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    things: Vec<Box<dyn Any + Send>>,
    stopped: bool,
}

impl Scope {
    /// Keeps something, a port for instance, for as long as the worker runs: what a script does by
    /// putting it into a global variable.
    pub fn keep(&self, thing: impl Any + Send) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.stopped {
            kept.things.push(Box::new(thing));
        }
    }

    fn stop(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.stopped = true;
        let things = std::mem::take(&mut kept.things);
        // Their destructors may come back here.
        drop(kept);
        drop(things);
    }
}

/// A `connect` or `crossoriginconnect` event. Dropped undecided, it is refused once it settles.
#[derive(Debug)]
pub struct Connection {
    /// The event.
    pub event: EventId,
    /// What it shows.
    pub detail: Box<ConnectDetail>,
    accept: Acceptor,
}

struct Acceptor {
    handle: Handle,
    worker: WorkerId,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// `acceptConnection(true)`: the service's end of a new channel, enabled by its owner.
    #[must_use]
    pub fn accept(self) -> MessagePort {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        self.accept_with(port2);
        port1
    }

    /// `acceptConnection(port)`: the port goes to the client, with its queue. A detached port
    /// refuses.
    pub fn accept_with(self, port: MessagePort) {
        let given = port.transfer().map(TransferredPort::receive);
        self.decide(given.ok());
    }

    /// `acceptConnection(false)`.
    pub fn refuse(self) {
        self.decide(None);
    }

    fn decide(self, port: Option<MessagePort>) {
        let Acceptor { handle, worker } = self.accept;
        handle.host_event(HostEvent::Accepted {
            worker,
            event: self.event,
            port,
        });
    }
}

/// An event of a stashed port.
#[derive(Debug)]
pub struct StashedEvent {
    /// The port, for [`Handle::post_stashed`] and the like.
    pub entry: EntryId,
    /// Its name.
    pub name: String,
    /// The message; `None` is `close`.
    pub message: Option<PortMessage<MessagePort>>,
    /// Whether an earlier run of the process may have dispatched the message before.
    pub redelivered: bool,
}

/// The host: a future that runs its workers, and ends when the commands end.
#[must_use = "workers run only while the host is polled"]
pub struct NativeHost {
    handle: Handle,
    commands: HostCommands,
    scripts: BTreeMap<String, NativeWorker>,
    running: BTreeMap<WorkerId, Running>,
    reactions: FuturesUnordered<Reaction<()>>,
    to_clients: Option<ToClients>,
}

type ToClients = Box<dyn FnMut(ClientId, ClientMessage<MessagePort>) + Send>;

/// A worker that runs.
struct Running {
    worker: NativeWorker,
    scope: Scope,
    inbox: Option<WorkerInbox>,
    reactions: Vec<Reacting>,
    /// How many of them there may be before those that have ended are let go.
    room: usize,
    /// Events of stashed ports; empty once their listeners are called.
    undelivered: Vec<(EventId, Undelivered)>,
}

/// A reaction to an event, which may have ended.
struct Reacting {
    abort: AbortHandle,
    runs: Weak<()>,
}

/// See [`Running::room`].
const ROOM: usize = 32;

type Undelivered = Arc<Mutex<Option<EventDetail<MessagePort>>>>;

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
            to_clients: None,
        }
    }

    /// Gives the messages of workers to their clients; without this, nobody takes them.
    pub fn with_clients(
        mut self,
        take: impl FnMut(ClientId, ClientMessage<MessagePort>) + Send + 'static,
    ) -> Self {
        self.to_clients = Some(Box::new(take));
        self
    }

    fn command(&mut self, command: HostCommand<MessagePort>, inbox: Option<WorkerInbox>) {
        match command {
            HostCommand::StartWorker(start) => self.start(*start, inbox),
            HostCommand::StopWorker { worker, reason } => {
                if let Some(run) = self.stop(worker) {
                    let reason = reason.to_string();
                    let died = HostEvent::Died {
                        worker,
                        run,
                        reason,
                    };
                    self.handle.host_event(died);
                }
            }
            HostCommand::Dispatch {
                worker,
                event,
                detail,
            } => self.dispatch(worker, event, detail),
            HostCommand::ClientMessage { client, message } => match &mut self.to_clients {
                Some(take) => take(client, *message),
                None => tracing::debug!(%client, "nobody takes messages for clients"),
            },
            HostCommand::Notify { client, notice } => {
                tracing::debug!(%client, ?notice, "native clients have no listeners");
            }
        }
    }

    /// Starts a worker; one that still ran under this id is over.
    fn start(&mut self, start: StartWorker, inbox: Option<WorkerInbox>) {
        let (id, run) = (start.worker, start.run);
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
            self.handle.host_event(HostEvent::StartFailed {
                worker: id,
                run,
                error,
            });
            return;
        };
        self.handle.host_event(HostEvent::Started {
            worker: id,
            run,
            event_types: worker.event_types(),
            fetch_handler: match worker.fetch {
                Some(_) => FetchHandler::Present,
                None => FetchHandler::None,
            },
        });
        let scope = Scope {
            start: Arc::new(start),
            handle: self.handle.clone(),
            kept: Arc::default(),
        };
        self.running.insert(
            id,
            Running {
                worker,
                scope,
                inbox,
                reactions: Vec::new(),
                room: ROOM,
                undelivered: Vec::new(),
            },
        );
    }

    /// The run that this ends, if it ran.
    fn stop(&mut self, worker: WorkerId) -> Option<RunId> {
        let running = self.running.remove(&worker)?;
        running.reactions.iter().for_each(|it| it.abort.abort());
        for (event, undelivered) in running.undelivered {
            if let Some(detail) = take(&undelivered) {
                self.handle.host_event(HostEvent::Undelivered {
                    worker,
                    event,
                    detail,
                });
            }
        }
        running.scope.stop();
        Some(running.scope.start.run)
    }

    fn dispatch(&mut self, worker: WorkerId, event: EventId, detail: EventDetail<MessagePort>) {
        let handle = self.handle.clone();
        let Some(running) = self.running.get_mut(&worker) else {
            return handle.host_event(HostEvent::Undelivered {
                worker,
                event,
                detail,
            });
        };
        let (listeners, scope) = (running.worker.clone(), running.scope.clone());
        let lifecycle = |listener: Option<OnLifecycle>, scope| match listener {
            Some(listener) => listener(scope, event),
            None => Box::pin(async { Ok(()) }),
        };
        let settling = match detail {
            EventDetail::Install => lifecycle(listeners.install, scope),
            EventDetail::Activate => lifecycle(listeners.activate, scope),
            EventDetail::Connect(detail) => {
                let connection = Connection {
                    event,
                    detail,
                    accept: Acceptor {
                        handle: handle.clone(),
                        worker,
                    },
                };
                let reaction = listeners.connect.map(|it| it(scope, connection));
                Box::pin(fulfilled(reaction))
            }
            EventDetail::Message(detail) => {
                let reaction = listeners.posted.map(|it| it(scope, *detail));
                Box::pin(fulfilled(reaction))
            }
            stashed => running.stashed(worker, event, stashed),
        };
        let reaction = async move {
            let outcome = match settling.await {
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
    /// The event of a stashed port: its listener is called when the host is polled next, and if the
    /// worker is stopped before that, the event goes back.
    fn stashed(
        &mut self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) -> Reaction<Result<(), String>> {
        let waiting: Undelivered = Arc::new(Mutex::new(Some(detail)));
        self.undelivered
            .retain(|(_, undelivered)| Arc::strong_count(undelivered) > 1);
        self.undelivered.push((event, Arc::clone(&waiting)));
        let (listeners, scope) = (self.worker.clone(), self.scope.clone());
        Box::pin(async move {
            let (listener, stashed) = match take(&waiting) {
                Some(EventDetail::StashedMessage {
                    entry,
                    name,
                    message,
                    redelivered,
                }) => {
                    let message = Some(message);
                    let stashed = StashedEvent {
                        entry,
                        name,
                        message,
                        redelivered,
                    };
                    (listeners.message, stashed)
                }
                Some(EventDetail::StashedClose { entry, name }) => {
                    let message = None;
                    let stashed = StashedEvent {
                        entry,
                        name,
                        message,
                        redelivered: false,
                    };
                    (listeners.close, stashed)
                }
                _ => return Ok(()),
            };
            drop(waiting);
            let handle = scope.handle.clone();
            let mut reaction = Box::pin(fulfilled(listener.map(|it| it(scope, stashed))));
            let first = poll_fn(|cx| Poll::Ready(reaction.as_mut().poll(cx))).await;
            handle.host_event(HostEvent::Dispatched { worker, event });
            match first {
                Poll::Ready(result) => result,
                Poll::Pending => reaction.await,
            }
        })
    }

    /// Lets a reaction run until the worker is stopped.
    fn react(
        &mut self,
        reactions: &FuturesUnordered<Reaction<()>>,
        reaction: impl Future<Output = ()> + Send + 'static,
    ) {
        let (abort, registration) = AbortHandle::new_pair();
        if self.reactions.len() >= self.room {
            self.reactions.retain(|it| it.runs.strong_count() > 0);
            self.room = ROOM.max(2 * self.reactions.len());
        }
        let runs = Arc::new(());
        self.reactions.push(Reacting {
            abort,
            runs: Arc::downgrade(&runs),
        });
        reactions.push(Box::pin(async move {
            let _aborted = Abortable::new(reaction, registration).await;
            drop(runs);
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

fn take(undelivered: &Undelivered) -> Option<EventDetail<MessagePort>> {
    let mut undelivered = undelivered.lock().unwrap_or_else(PoisonError::into_inner);
    undelivered.take()
}

async fn fulfilled(reaction: Option<Reaction<()>>) -> Result<(), String> {
    if let Some(reaction) = reaction {
        reaction.await;
    }
    Ok(())
}
