//! The message ports of an agent. Their objects are the prelude's (`message_port_class.js`); here they
//! have numbers, and what arrives at them becomes tasks. (*HTML*, "Channel messaging".)
//!
//! **Keeping objects.** A port's object is held by the entangled port's object if that is of the same
//! agent, so that the engine's collector sees a cycle of them; else the prelude holds it while the
//! port is entangled and has listeners. A port to which a message was posted is held until it has
//! dispatched it. When an object is collected, its port is dropped, which disentangles it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rquickjs::{Ctx, Function, Value};
use service_worker::StashError;
use service_worker::message_port::{Event, MessageChannel, MessagePort, TransferredPort};

use super::clone::{self, CloneError, IdentityHasher, Serialized};
use super::error::ScriptError;
use super::event_loop::EventLoop;
use super::ops::ports::UnderWay;
use super::realm::{Realm, RealmState};
use super::task::{RealmId, TaskSource};

/// How long messages of one port are dispatched before the agent looks for other things to do.
const A_TURN: Duration = Duration::from_millis(4);

/// A port's number. Never used twice by one agent.
pub(super) type PortId = u32;

/// The ports of an agent.
#[derive(Default)]
pub(super) struct Ports {
    entries: RefCell<HashMap<PortId, Entry, BuildHasherDefault<IdentityHasher>>>,
    last: Cell<PortId>,
    under_way: UnderWay,
}

struct Entry {
    port: MessagePort,
    realm: RealmId,
    /// The entangled port, if both are where they were made.
    partner: Option<PortId>,
    /// Whether the object has listeners.
    listening: bool,
    /// Whether the prelude holds the object.
    held: bool,
    /// Whether a task will look at the port.
    awaited: Arc<AtomicBool>,
    /// The name under which it is stashed when the worker stops.
    when_stopped: Option<String>,
}

impl Ports {
    /// *new MessageChannel()*: two ports of a realm, entangled.
    pub(super) fn channel(&self, realm: &RealmState) -> (PortId, PortId) {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let first = self.insert(port1, realm);
        let second = self.insert(port2, realm);
        let mut entries = self.entries.borrow_mut();
        for (port, partner) in [(first, second), (second, first)] {
            if let Some(entry) = entries.get_mut(&port) {
                entry.partner = Some(partner);
            }
        }
        (first, second)
    }

    /// The agent dies of one port too many, which it has until then.
    fn insert(&self, port: MessagePort, realm: &RealmState) -> PortId {
        let event_loop = realm.event_loop();
        event_loop.admits(self.len(), event_loop.limits().ports, "message ports");
        self.last.set(self.last.get() + 1);
        let id = self.last.get();
        let entry = Entry {
            port,
            realm: realm.id(),
            partner: None,
            listening: false,
            held: false,
            awaited: Arc::default(),
            when_stopped: None,
        };
        self.entries.borrow_mut().insert(id, entry);
        id
    }

    /// Keeps a message on its way to another realm of the agent.
    pub(super) fn keep_message(&self, message: Serialized) -> u32 {
        self.under_way.keep(message)
    }

    /// Takes it.
    pub(super) fn take_message(&self, id: u32) -> Option<Serialized> {
        self.under_way.take(id)
    }

    /// How many ports there are.
    fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Posts a record. Gives the number of a port of this agent whose object must be held from now
    /// on, since something is queued at it.
    pub(super) fn post(&self, id: PortId, serialized: Serialized) -> Option<PortId> {
        // What is called when the message has arrived takes no borrow: it is posted to the loop.
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get(&id)?;
        let partner = entry.partner;
        entry.port.post_message(serialized.into());
        let partner = partner?;
        let receiver = entries.get_mut(&partner)?;
        let hold = receiver.listening && !receiver.held && receiver.port.is_enabled();
        receiver.held |= hold;
        hold.then_some(partner)
    }

    /// `start()`. Gives whether the prelude is to hold the object.
    pub(super) fn start(&self, event_loop: &EventLoop, id: PortId) -> bool {
        let hold = {
            let mut entries = self.entries.borrow_mut();
            let Some(entry) = entries.get_mut(&id) else {
                return false;
            };
            if entry.port.is_enabled() {
                return entry.held;
            }
            entry.port.start();
            entry.held |= entry.must_be_held();
            entry.held
        };
        self.watch(event_loop, id);
        hold
    }

    /// The port leaves its object: the entangled port, if it is where it was made, is alone.
    pub(super) fn unlink(&self, id: PortId) {
        let mut entries = self.entries.borrow_mut();
        let partner = entries.get_mut(&id).and_then(|entry| entry.partner.take());
        if let Some(partner) = partner.and_then(|partner| entries.get_mut(&partner)) {
            partner.partner = None;
        }
    }

    /// `close()`. What is queued already is still dispatched.
    /// Gives the number of a port of this agent whose object must be held until it has heard of it.
    pub(super) fn close(&self, id: PortId) -> Option<PortId> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get(&id)?;
        entry.port.close();
        let partner = entry.partner?;
        let receiver = entries.get_mut(&partner)?;
        let hold = receiver.listening && !receiver.held && receiver.port.is_enabled();
        receiver.held |= hold;
        hold.then_some(partner)
    }

    /// The object has listeners, or none any more. Gives whether the prelude is to hold it.
    pub(super) fn listen(&self, event_loop: &EventLoop, id: PortId, listening: bool) -> bool {
        let hold = {
            let mut entries = self.entries.borrow_mut();
            let Some(entry) = entries.get_mut(&id) else {
                return false;
            };
            entry.listening = listening;
            entry.held = entry.must_be_held();
            entry.held
        };
        self.watch(event_loop, id);
        hold
    }

    /// The object was collected, or detached for good.
    pub(super) fn forget(&self, id: PortId) {
        let entry = self.entries.borrow_mut().remove(&id);
        drop(entry);
    }

    /// The realm has ended: its ports are destroyed.
    pub(super) fn forget_realm(&self, realm: RealmId) {
        let mut entries = self.entries.borrow_mut();
        let gone: Vec<_> = entries
            .extract_if(|_, entry| entry.realm == realm)
            .collect();
        drop(entries);
        drop(gone);
    }

    /// The agent ends.
    pub(super) fn forget_all(&self) {
        let entries = self.entries.take();
        drop(entries);
    }

    /// Moves a port out of its object into the stash; it stays as it is if `stash` gives it back.
    pub(super) fn stash<T>(
        &self,
        id: PortId,
        stash: impl FnOnce(MessagePort) -> Result<T, (StashError, MessagePort)>,
    ) -> Result<T, StashError> {
        let port = match self.entries.borrow_mut().get_mut(&id) {
            Some(entry) => mem::take(&mut entry.port),
            None => return Err(StashError::DataClone),
        };
        match stash(port) {
            Ok(stashed) => {
                self.unlink(id);
                self.forget(id);
                Ok(stashed)
            }
            Err((reason, port)) => {
                if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
                    entry.port = port;
                }
                Err(reason)
            }
        }
    }

    /// The port goes into the stash when the worker stops, if it is still there.
    pub(super) fn stash_when_stopped(&self, id: PortId, name: String) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
            entry.when_stopped = Some(name);
        }
    }

    /// The worker stops: the ports that are to be stashed now, in the order in which they were made.
    pub(super) fn take_stashed_when_stopped(&self) -> Vec<(String, MessagePort)> {
        let mut entries = self.entries.borrow_mut();
        let mut stashed: Vec<_> = entries
            .extract_if(|_, entry| entry.when_stopped.is_some())
            .collect();
        drop(entries);
        stashed.sort_unstable_by_key(|(id, _)| *id);
        let named = stashed.into_iter().filter_map(|(_, entry)| {
            let port = entry.port.transfer().ok()?.receive();
            Some((entry.when_stopped?, port))
        });
        named.collect()
    }

    /// Takes a port out of its object, or one that has none, for whoever is outside of the agent.
    pub(super) fn take(&self, id: PortId) -> Option<MessagePort> {
        self.unlink(id);
        Some(self.transfer(id).ok()?.receive())
    }

    /// The transfer steps.
    fn transfer(&self, id: PortId) -> Result<TransferredPort, NotTransferable> {
        let entry = self
            .entries
            .borrow_mut()
            .remove(&id)
            .ok_or(NotTransferable)?;
        entry.port.transfer().map_err(|_| NotTransferable)
    }

    /// Has a task posted when there is something to receive.
    fn watch(&self, event_loop: &EventLoop, id: PortId) {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&id) else {
            return;
        };
        let (realm, awaited) = (entry.realm, Arc::clone(&entry.awaited));
        let remote = event_loop.remote().clone();
        entry.port.on_ready(move || {
            // One task at a time: it looks until there is nothing.
            if !awaited.swap(true, Ordering::AcqRel) {
                remote.post(realm, TaskSource::PostedMessage, move |realm| {
                    deliver(realm, id)
                });
            }
        });
    }

    fn next(&self, id: PortId) -> Next {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&id) else {
            return Next::Gone;
        };
        if let Ok(event) = entry.port.try_recv() {
            return Next::Event(event);
        }
        entry.awaited.store(false, Ordering::Release);
        // What came between the two lines above found a task that would look.
        match entry.port.try_recv() {
            Ok(event) => {
                entry.awaited.store(true, Ordering::Release);
                Next::Event(event)
            }
            Err(_) => {
                let held = entry.must_be_held();
                let let_go = entry.held && !held;
                entry.held = held;
                Next::Nothing { let_go }
            }
        }
    }
}

impl Entry {
    /// Whether nothing but the prelude can keep the object, and it must be kept: its listeners will
    /// hear of what is queued, or may hear of what the other end does.
    fn must_be_held(&self) -> bool {
        self.listening && self.port.has_pending_activity(self.partner.is_none())
    }
}

enum Next {
    Event(Event),
    /// Nothing is queued, and perhaps the object need not be held any more.
    Nothing {
        let_go: bool,
    },
    Gone,
}

/// The port was closed, or transferred before.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("A MessagePort that is detached could not be transferred")]
pub(super) struct NotTransferable;

/// Takes the port whose number the prelude's transfer steps gave: `{ port: number }`.
pub(super) fn transferred(
    realm: &RealmState,
    data: &Value<'_>,
) -> Option<Result<TransferredPort, NotTransferable>> {
    let id = data.as_number()?;
    Some(realm.event_loop().ports().transfer(number(id)))
}

/// The transfer-receiving steps: a new object of the realm.
pub(super) fn receive<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    port: TransferredPort,
) -> Result<Value<'js>, CloneError> {
    let id = adopt(realm, port.receive());
    let made = realm
        .module(ctx, "message_port_class.js")
        .and_then(|_| realm.try_call(ctx, "received port", (id,)).transpose());
    match made {
        Ok(Some(port)) => Ok(port),
        Ok(None) => Err(CloneError::DataClone(
            "A MessagePort could not be received".to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Gives a port to a realm. The prelude makes an object for the number, or forgets it.
pub(super) fn adopt(realm: &RealmState, port: MessagePort) -> PortId {
    realm.event_loop().ports().insert(port, realm)
}

impl Realm {
    /// Makes a port that the host has an object of the realm, which its global has under `name`.
    ///
    /// # Errors
    /// When memory is used up or the port is closed.
    pub fn give_port(&self, name: &str, port: MessagePort) -> Result<(), ScriptError> {
        let port = port
            .transfer()
            .map_err(|error| ScriptError::Threw(error.to_string()))?;
        self.with(|ctx| {
            let given = receive(ctx, self.state(), port)
                .and_then(|port| Ok(ctx.globals().set(name, port)?));
            given.map_err(|error| {
                drop(ctx.catch());
                ScriptError::Threw(error.to_string())
            })
        })
    }
}

/// A number that the prelude got from here.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counters below 2^32"
)]
pub(super) const fn number(id: f64) -> PortId {
    id as PortId
}

/// Dispatches what is queued at a port, each event as a task with a microtask checkpoint of its own.
fn deliver(realm: &Realm, id: PortId) {
    let again = realm.with(|ctx| deliver_some(ctx, realm, id));
    if again {
        let rest = move |realm: &Realm| deliver(realm, id);
        realm.state().queue(TaskSource::PostedMessage, rest);
    }
}

/// True if there may be more, and it is others' turn.
fn deliver_some(ctx: &Ctx<'_>, realm: &Realm, id: PortId) -> bool {
    let state = realm.state();
    let event_loop = state.event_loop();
    let Some(hook) = state.hook(ctx, "port message") else {
        return false;
    };
    let mut now = Instant::now();
    let until = now + A_TURN;
    loop {
        match event_loop.ports().next(id) {
            Next::Event(event) => dispatch(ctx, state, &hook, (id, now), event),
            Next::Nothing { let_go } => {
                if let_go {
                    state.call(ctx, "release port", (id,));
                }
                return false;
            }
            Next::Gone => return false,
        }
        // A worker that closes runs no more tasks.
        if state.has_ended() || state.is_killed() || event_loop.is_closing() {
            return false;
        }
        // Perform a microtask checkpoint.
        state.run_microtasks(ctx);
        realm.notify_about_rejections();
        now = Instant::now();
        if event_loop.has_tasks() || now > until {
            return true;
        }
        event_loop.begin_next();
    }
}

/// Steps 7.1 to 7.9 of the message port post message steps.
fn dispatch<'js>(
    ctx: &Ctx<'js>,
    state: &RealmState,
    hook: &Function<'js>,
    (id, now): (PortId, Instant),
    event: Event,
) {
    let message = match event {
        Event::Message(message) => message,
        Event::Close => {
            state.call(ctx, "port close", (id,));
            return;
        }
    };
    match clone::structured_deserialize_with_transfer(ctx, state, message.into()) {
        Ok(received) => {
            let now = now.saturating_duration_since(state.started());
            let now = now.as_secs_f64() * 1e3;
            let called = if received.transferred.is_empty() {
                hook.call::<_, ()>((id, now, received.value))
            } else {
                hook.call((id, now, received.value, received.transferred))
            };
            if called.is_err() {
                state.report(ctx);
            }
        }
        Err(error) => {
            tracing::debug!(%error, "a message could not be deserialized");
            drop(ctx.catch());
            state.call(ctx, "port message error", (id,));
        }
    }
}
