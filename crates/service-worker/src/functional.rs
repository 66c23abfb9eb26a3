//! Events that go through the driver: connects, messages, those of stashed ports. Which
//! worker has which, which workers are being woken for them, and what is known of workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use connect::{Connector, Decision};
use message_port::MessagePort;
use stash::{EntryId, Item};
use sw_registry::{Input, JobError, Settled};
use sw_types::{
    EventId, EventTypes, PromiseId, RegistrationId, RequestId, Site, WorkerId, WorkerState,
};

use crate::connecting::{Connecting, Installing, Random};
use crate::driver::Driver;
use crate::endpoint::KeepAlive;
use crate::messaging::Awaiting;
use crate::shared::Shared;
use crate::stashing::{Parked, Preparing, Stored};
use crate::{EventDetail, HostEvent, Policies};

/// The driver's part of all connects and stashed ports.
pub(crate) struct Functional {
    pub(crate) connector: Connector<MessagePort>,
    pub(crate) connects: BTreeMap<RequestId, Connecting>,
    /// The connects whose service is being installed.
    pub(crate) installing: BTreeMap<RequestId, Installing>,
    pub(crate) next_connect: RequestId,
    pub(crate) random: Random,
    /// The events that workers have.
    pub(crate) events: BTreeMap<EventId, Event>,
    /// Who waits for a worker to run.
    pub(crate) wakes: BTreeMap<PromiseId, Woken>,
    /// The messages and pushes that wait for their worker to run.
    pub(crate) messages: BTreeMap<PromiseId, EventDetail<MessagePort>>,
    /// Who waits for a client to be execution-ready.
    pub(crate) awaited_clients: Vec<Awaiting>,
    /// Workers that a stashed port wants to run and that are not their registration's active worker
    /// yet: they are woken when they are.
    pub(crate) wakes_on_activation: BTreeSet<WorkerId>,
    /// Workers that are gone and whose stashed messages are not all answered for.
    pub(crate) ended: BTreeSet<WorkerId>,
    /// The messages of stashed ports that are about to be dispatched.
    pub(crate) preparing: BTreeMap<EventId, Preparing>,
    /// What these workers, and those that are about to go, did not dispatch.
    pub(crate) undispatched: BTreeMap<WorkerId, Vec<(EntryId, Item<Parked>)>>,
}

/// An event that a worker has.
pub(crate) struct Event {
    pub(crate) worker: WorkerId,
    pub(crate) what: What,
    /// The payload of a message of a stashed port that the store does not have, and how many ports
    /// came with it: if both ends of the port come to be stashed now, the store must have it.
    pub(crate) unstored: Option<(bytes::Bytes, usize)>,
    /// The worker is not idle until this is dropped.
    _keep_alive: KeepAlive,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A connect. It is sent to the worker once the connector says so.
    Connect { dispatched: bool },
    /// A message to the worker itself.
    Message,
    /// Something of a stashed port.
    Stashed {
        entry: EntryId,
        consumed: bool,
        stored: Option<Stored>,
    },
}

impl What {
    /// Whether the host has not said yet what became of it, and has to.
    const fn is_unanswered(self) -> bool {
        matches!(
            self,
            Self::Stashed {
                consumed: false,
                ..
            }
        )
    }
}

/// Why a worker is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// For a connect.
    Connect(RequestId),
    /// For a stashed port.
    Stash(WorkerId),
}

/// A worker, from its first start or change of state until it is redundant and stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownWorker {
    pub(crate) registration: RegistrationId,
    pub(crate) state: WorkerState,
    /// Its *set of event types to handle*: the listeners of its first evaluation; none before it.
    pub(crate) handles: Option<EventTypes>,
    /// Whether it has, or is to have, a global.
    pub(crate) runs: bool,
    /// Its listeners now, once its script was evaluated.
    pub(crate) listeners: Option<EventTypes>,
}

impl Functional {
    pub(crate) fn new(policies: &Policies) -> Self {
        let connector = Connector::new(policies.limits.connects());
        Self {
            connector: match policies.install_on_connect {
                true => connector.installing(),
                false => connector,
            },
            connects: BTreeMap::new(),
            installing: BTreeMap::new(),
            next_connect: RequestId(1),
            random: Random::unpredictable(),
            events: BTreeMap::new(),
            wakes: BTreeMap::new(),
            messages: BTreeMap::new(),
            awaited_clients: Vec::new(),
            wakes_on_activation: BTreeSet::new(),
            ended: BTreeSet::new(),
            preparing: BTreeMap::new(),
            undispatched: BTreeMap::new(),
        }
    }

    /// A worker has, or is about to have, an event.
    pub(crate) fn begin(&mut self, worker: WorkerId, keep_alive: KeepAlive, what: What) -> EventId {
        let id = keep_alive.event();
        let event = Event {
            worker,
            what,
            unstored: None,
            _keep_alive: keep_alive,
        };
        self.events.insert(id, event);
        id
    }

    /// The event, if this worker has it: a host is not believed in what it says of others' events.
    pub(crate) fn event(&mut self, worker: WorkerId, event: EventId) -> Option<&mut Event> {
        let found = self.events.get_mut(&event);
        let its = found.filter(|found| found.worker == worker);
        if its.is_none() {
            tracing::debug!(%worker, %event, "it has no such event");
        }
        its
    }

    fn events_of(&self, worker: WorkerId) -> Vec<(EventId, What)> {
        let its = self.events.iter().filter(|(_, it)| it.worker == worker);
        its.map(|(id, it)| (*id, it.what)).collect()
    }
}

impl Driver {
    /// The next deadline of any core.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let registry = self.registry.poll_timeout();
        let connects = self.functional.connector.poll_timeout();
        let stash = self.shared.stashing().stash.poll_timeout();
        let journal = self.durable.journal.next_deadline();
        let all = [registry, connects, stash, journal];
        all.into_iter().flatten().min()
    }

    /// A deadline has passed.
    pub(crate) fn handle_timeouts(&mut self) {
        let now = self.now();
        self.registry.handle_timeout(now);
        self.functional.connector.handle_timeout(now.instant);
        self.shared.stashing().stash.handle_timeout(now.instant);
        self.load_again();
    }

    /// Carries out what connector and stash ask; whether they asked anything.
    pub(crate) fn poll_functional(&mut self) -> bool {
        let connects = self.poll_connector();
        self.poll_stash() || connects
    }

    /// Takes what concerns only connects and stashed ports, and gives back what the registry has to
    /// hear too.
    pub(crate) fn functional_event(
        &mut self,
        event: HostEvent<MessagePort>,
    ) -> Option<HostEvent<MessagePort>> {
        match event {
            HostEvent::Accepted {
                worker,
                event,
                port,
            } => self.decided(worker, event, port),
            HostEvent::Dispatched { worker, event } => self.dispatched(worker, event),
            HostEvent::Undelivered {
                worker,
                event,
                detail,
            } => match detail {
                detail @ (EventDetail::Message(_) | EventDetail::Push { .. }) => {
                    self.message_undelivered(worker, event, detail);
                }
                detail => self.undelivered(worker, event, detail),
            },
            HostEvent::Settled { worker, event, .. }
                if self.functional.events.contains_key(&event) =>
            {
                self.event_over(worker, event);
            }
            HostEvent::ListenersChanged {
                worker,
                event_types,
                ..
            } => self.listens(worker, event_types),
            HostEvent::Started {
                worker,
                event_types,
                ..
            } => {
                self.run_before_is_over(worker);
                self.listens(worker, event_types);
                return Some(event);
            }
            HostEvent::ClientGone(client) => {
                self.connecting_client_gone(client);
                return Some(event);
            }
            for_the_registry => return Some(for_the_registry),
        }
        None
    }

    /// The event and its lifetime promises are over.
    fn event_over(&mut self, worker: WorkerId, event: EventId) {
        let Some(what) = self.functional.event(worker, event).map(|found| found.what) else {
            return;
        };
        match what {
            // SEMANTICS §5.2 D4: what is not accepted by now is refused.
            What::Connect { .. } => self.decide(event, Decision::Refuse),
            What::Stashed { .. } => self.dispatched(worker, event),
            What::Message => {}
        }
        self.functional.events.remove(&event);
    }

    // ---- Wakes ----

    /// Wants the active worker of a registration to run; `site` pays for its start.
    pub(crate) fn wake(&mut self, registration: RegistrationId, site: Site, woken: Woken) {
        let promise = self.shared.promise();
        self.functional.wakes.insert(promise, woken);
        self.tell(Input::Wake {
            promise,
            registration,
            initiator: Some(site),
        });
    }

    /// Takes a promise that is settled, if it is of a wake of ours; gives it back otherwise.
    pub(crate) fn woken(
        &mut self,
        promise: PromiseId,
        result: Result<Settled, JobError>,
    ) -> Option<Result<Settled, JobError>> {
        if self.ran_for_message(promise, &result) {
            return None;
        }
        let Some(woken) = self.functional.wakes.remove(&promise) else {
            return Some(result);
        };
        let worker = match result {
            Ok(Settled::Running(worker)) => Some(worker),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(?woken, %error, "the worker does not run");
                None
            }
        };
        match woken {
            Woken::Connect(id) => self.woken_to_connect(id, worker),
            Woken::Stash(wanted) => self.woken_for_stash(wanted, worker),
        }
        None
    }

    // ---- Workers ----

    /// A worker is being started.
    pub(crate) fn run_begins(
        &mut self,
        registration: RegistrationId,
        worker: WorkerId,
        state: WorkerState,
    ) {
        self.wake_stash_of(registration);
        self.run_ends(worker);
        let handles = self.stored_handles(registration, worker);
        let mut stashing = self.shared.stashing();
        let known = stashing.know(registration, worker, state, handles);
        known.runs = true;
    }

    /// A worker has started. If a run before it has not ended in every respect, it has now: a host
    /// takes commands in their order, so it has met all that was sent to that run.
    fn run_before_is_over(&mut self, worker: WorkerId) {
        for (event, what) in self.functional.events_of(worker) {
            if what.is_unanswered() {
                tracing::warn!(%worker, %event, "the host did not say whether this was dispatched");
            }
            self.take_for_consumed(what);
            self.functional.events.remove(&event);
        }
        self.answered_for(worker);
    }

    /// A worker is gone. What it had of connects is refused; of stashed ports, it may yet be told
    /// what was not dispatched.
    pub(crate) fn run_ends(&mut self, worker: WorkerId) {
        self.connecting_client_gone(Shared::worker_client(worker));
        let listened = self.shared.stashing().run_ends(worker);
        self.take_back_prepared(worker);
        for (event, what) in self.functional.events_of(worker) {
            if let What::Connect { .. } = what {
                self.decide(event, Decision::Refuse);
            }
            if !what.is_unanswered() {
                self.functional.events.remove(&event);
            }
        }
        if listened {
            self.functional.ended.insert(worker);
        }
        self.answered_for(worker);
    }

    /// Tells the stash of a worker that is gone, once it is known for each message what became of
    /// it.
    pub(crate) fn answered_for(&mut self, worker: WorkerId) {
        if !self.functional.ended.contains(&worker) {
            return;
        }
        // What the stash has just given to a worker that it takes to be running comes back too.
        self.poll_stash();
        let its = self.functional.events_of(worker);
        if its.iter().any(|(_, what)| what.is_unanswered()) {
            return;
        }
        if self.functional.ended.remove(&worker) {
            let undispatched = self.functional.undispatched.remove(&worker);
            self.stash_input(stash::Input::Stopped {
                worker,
                undispatched: undispatched.unwrap_or_default(),
            });
        }
    }

    /// A worker has evaluated its script, or listens to something else than before.
    fn listens(&mut self, worker: WorkerId, listeners: EventTypes) {
        // One that is to stop takes no more events.
        if self.shared.endpoint(worker).is_some() {
            let now = self.shared.clock.now();
            self.shared.stashing().listens(now, worker, listeners);
        }
    }

    /// A worker's state changed.
    pub(crate) fn worker_state(
        &mut self,
        registration: RegistrationId,
        worker: WorkerId,
        state: WorkerState,
    ) {
        self.wake_stash_of(registration);
        let handles = self.stored_handles(registration, worker);
        let now = self.shared.clock.now();
        let mut stashing = self.shared.stashing();
        stashing.know(registration, worker, state, handles);
        stashing.tell_state(now, worker);
        drop(stashing);
        if state == WorkerState::Activating {
            self.store_entries_of(registration, worker);
        }
        let active = matches!(state, WorkerState::Activating | WorkerState::Activated);
        let waits = (active || state == WorkerState::Redundant)
            && self.functional.wakes_on_activation.remove(&worker);
        if waits && active {
            self.wake_for_stash(worker);
        }
    }

    /// A registration, and whatever is kept in its name, is gone.
    pub(crate) fn registration_cleared(&mut self, registration: RegistrationId) {
        self.wake_stash_of(registration);
        self.stash_input(stash::Input::RegistrationCleared { registration });
    }

    /// The *set of event types to handle* of an active worker: restored workers have one before they
    /// first run.
    fn stored_handles(&self, registration: RegistrationId, worker: WorkerId) -> Option<EventTypes> {
        let snapshot = self.shared.lookup.snapshot(registration)?;
        let active = snapshot.active.as_ref()?;
        (active.id == worker && active.state >= WorkerState::Activating)
            .then_some(active.event_types)
    }

    /// Lets go of everything: connects abort, stashed ports close.
    pub(crate) fn end_functional(&mut self) {
        self.wake_stash_that_was_posted_to();
        self.drain_durable();
        self.last_commit();
        self.functional.connects.clear();
        self.functional.installing.clear();
        self.functional.events.clear();
        self.functional.undispatched.clear();
        self.functional.messages.clear();
        self.functional.preparing.clear();
        self.functional.awaited_clients.clear();
        let gone = self.shared.stashing().clear();
        drop(gone);
    }
}
