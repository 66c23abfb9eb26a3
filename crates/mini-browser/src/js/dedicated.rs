//! Dedicated workers: agents of their own that a window or worker starts. (*HTML*, "Workers".)

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rquickjs::{Ctx, Function, Value};
use service_worker::message_port::{MessageChannel, MessagePort};
use service_worker::types::fetch::{CredentialsMode, Destination, RequestMode};
use service_worker::types::{ClientId, ClientType, Environment, FrameType, Origin};
use url::Url;

use super::agent::{Agent, AgentOptions, WeakAgent};
use super::blob_urls::fetch_service;
use super::blocking::{FetchedScript, ScriptRequest, block_on, fetch};
use super::console::ConsoleLevel;
use super::documents::DocumentSource;
use super::error::Exception;
use super::page::{Page, evaluate_script};
use super::realm::{DedicatedWorker, Realm, RealmOptions, RealmState};
use super::task::{RealmId, TaskSource};
use super::{modules, ports};
use crate::fetch::{FetchParams, FetchService};

/// What a worker's heap may hold, in bytes.
const MEMORY_LIMIT: usize = 128 << 20;

/// How many workers a realm may have at a time.
const WORKERS: usize = 64;

/// What `new Worker()` was called with.
pub(super) struct NewWorker {
    pub(super) url: Url,
    pub(super) is_module: bool,
    pub(super) credentials: CredentialsMode,
    pub(super) name: String,
}

/// The workers of a realm: they end with it.
#[derive(Default)]
pub(super) struct Workers {
    running: RefCell<BTreeMap<u32, Handle>>,
    last: Cell<u32>,
}

/// What the realm that started a worker holds of it. Dropped, the worker is terminated.
struct Handle(Arc<Mutex<State>>);

enum State {
    Starting,
    Running(Agent),
    Terminated,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Terminated);
        if let State::Running(agent) = state {
            agent.kill("terminated");
        }
    }
}

impl Workers {
    /// *Run a worker.* Gives its number, and that of the outside port; `None` if there are too many.
    pub(super) fn start(&self, realm: &RealmState, new: NewWorker) -> Option<(u32, u32)> {
        if self.running.borrow().len() >= WORKERS {
            return None;
        }
        self.last.set(self.last.get() + 1);
        let id = self.last.get();
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let outside = ports::adopt(realm, port1);
        let state = Arc::new(Mutex::new(State::Starting));
        let parent = ParentLink {
            agent: realm.event_loop().remote().clone(),
            realm: realm.id(),
            worker: id,
            inside: Mutex::new(Some(port2)),
        };
        let starting = Starting::new(realm, new, Arc::new(parent), Arc::clone(&state));
        let thread = std::thread::Builder::new().name("worker start".to_owned());
        if let Err(error) = thread.spawn(move || starting.run()) {
            realm.log(
                ConsoleLevel::Error,
                &format!("no thread for a worker: {error}"),
            );
            return None;
        }
        self.running.borrow_mut().insert(id, Handle(state));
        Some((id, outside))
    }

    /// *Terminate a worker.*
    pub(super) fn terminate(&self, id: u32) {
        let handle = self.running.borrow_mut().remove(&id);
        drop(handle);
    }
}

/// The way from a worker to the realm that started it: a service of the worker's realm.
pub(super) struct ParentLink {
    agent: WeakAgent,
    realm: RealmId,
    worker: u32,
    inside: Mutex<Option<MessagePort>>,
}

impl ParentLink {
    /// An exception that the worker did not handle: an event at its object.
    pub(super) fn error(&self, exception: Exception) {
        let worker = self.worker;
        let Exception {
            text,
            file,
            line,
            column,
        } = exception;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                let args = (worker, format!("Uncaught {text}"), file, line, column);
                realm.with(|ctx| realm.state().call(ctx, "workerError", args).is_some());
            });
    }

    /// The worker has no script that could run.
    fn failed(&self, why: String) {
        let worker = self.worker;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                let text = format!("a worker did not start: {why}");
                realm.state().log(ConsoleLevel::Error, &text);
                realm.with(|ctx| realm.state().call(ctx, "workerFailed", (worker,)).is_some());
            });
    }

    /// The worker is gone.
    fn ended(&self) {
        let worker = self.worker;
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                realm.state().local::<Workers>().terminate(worker);
                realm.with(|ctx| realm.state().call(ctx, "workerEnded", (worker,)).is_some());
            });
    }
}

/// A worker that starts, on a thread of its own: that it waits for the network blocks nobody.
struct Starting {
    new: NewWorker,
    fetches: Option<Arc<FetchService>>,
    params: FetchParams,
    documents: Option<Arc<DocumentSource>>,
    environment: Environment,
    options: RealmOptions,
    parent: Arc<ParentLink>,
    state: Arc<Mutex<State>>,
    limits: super::Limits,
}

impl Starting {
    fn new(
        realm: &RealmState,
        new: NewWorker,
        parent: Arc<ParentLink>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let documents = realm.service::<DocumentSource>();
        let client = match &documents {
            Some(documents) => documents.0.next_client(),
            None => ClientId((1 << 52) + realm.event_loop().next_number()),
        };
        let environment = environment(&realm.environment(), client, new.url.clone());
        let request = ScriptRequest {
            url: new.url.clone(),
            destination: Destination::Worker,
            mode: RequestMode::SameOrigin,
            credentials: new.credentials,
            referrer: realm.referrer_source(),
        };
        let mut params = request.params(realm);
        params.reserved = Some(environment.clone());
        Self {
            fetches: fetch_service(realm, &new.url),
            params,
            documents,
            options: realm.options().for_document(environment.clone()),
            environment,
            parent,
            state,
            limits: realm.event_loop().limits(),
            new,
        }
    }

    fn run(mut self) {
        let client = self
            .documents
            .as_ref()
            .map(|documents| documents.0.create(&self.environment));
        if let (Some(documents), "blob") = (&self.documents, self.new.url.scheme()) {
            let creator = self.params.client.id;
            let inherited = documents.0.inherit_controller(&self.environment, creator);
            if let Err(error) = block_on(inherited) {
                tracing::debug!(%error, "a worker has no controller yet");
            }
        }
        match self.script() {
            Ok(script) => self.start(script, client),
            Err(error) => {
                self.parent.failed(error);
                self.parent.ended();
            }
        }
    }

    fn script(&mut self) -> Result<FetchedScript, String> {
        let fetches = self.fetches.take().ok_or("this realm has no network")?;
        let script = block_on(fetch(&fetches, self.params.clone()))?;
        // Fetch a classic worker script, step 6: local scripts may have any type.
        let is_network = matches!(script.url.scheme(), "http" | "https");
        if (is_network || self.new.is_module) && !script.is_javascript() {
            return Err(format!("{}: its type is {:?}", script.url, script.essence));
        }
        Ok(script)
    }

    fn start(self, script: FetchedScript, client: Option<Box<dyn Any + Send>>) {
        let Self {
            new,
            documents,
            mut environment,
            mut options,
            parent,
            state,
            limits,
            ..
        } = self;
        let mut url = script.url.clone();
        if url.fragment().is_none() {
            url.set_fragment(new.url.fragment());
        }
        environment.creation_url = url.clone();
        options.environment = environment.clone();
        options.url = url.clone();
        options.kind = super::RealmKind::DedicatedWorker(Box::new(DedicatedWorker {
            name: new.name.clone(),
            is_module: new.is_module,
        }));
        let options = options.with_service(Arc::clone(&parent));
        let mut agent = AgentOptions::new(url.as_str());
        agent.memory_limit = MEMORY_LIMIT;
        agent.limits = limits;
        let is_module = new.is_module;
        let begin = move |realm: &Realm| begin(realm, &script, is_module);
        let link = Arc::clone(&parent);
        let ended = move |death: super::Death| {
            tracing::debug!(?death, "a worker has ended");
            drop(client);
            link.ended();
        };
        // Held while the agent starts, so that a termination finds it.
        let mut state = lock(&state);
        if matches!(*state, State::Terminated) {
            return;
        }
        match Agent::start(agent, options, Box::new(begin), ended) {
            Ok(agent) => {
                if let Some(documents) = documents {
                    let page = Page::of_realm(agent.clone(), RealmId::MAIN);
                    documents.0.ready(&environment, page);
                }
                *state = State::Running(agent);
            }
            Err(error) => {
                drop(state);
                parent.failed(format!("no thread: {error}"));
                parent.ended();
            }
        }
    }
}

/// *Set up a worker environment settings object.*
fn environment(parent: &Environment, id: ClientId, url: Url) -> Environment {
    let origin = if url.scheme() == "data" {
        Origin::opaque(id.0)
    } else {
        parent.origin.clone()
    };
    Environment {
        id,
        client_type: ClientType::Worker,
        frame_type: FrameType::None,
        creation_url: url,
        cross_site_ancestor: parent.cross_site_ancestor || !parent.top_level_site.contains(&origin),
        origin,
        ..parent.clone()
    }
}

/// *Run a worker*, from the point where its global is there.
fn begin(realm: &Realm, script: &FetchedScript, is_module: bool) {
    let state = Rc::clone(realm.state());
    let Some(parent) = state.service::<ParentLink>() else {
        return;
    };
    let Some(inside) = lock(&parent.inside).take() else {
        return;
    };
    let inside = ports::adopt(&state, inside);
    realm.with(|ctx| {
        state.call(ctx, "insidePort", (inside,));
        let url = script.url.as_str();
        if is_module {
            let ran = modules::run(ctx, &state, url, script.text());
            let waits = ran.and_then(|promise| report_rejection(ctx, &state, &promise));
            if waits.is_err() {
                let exception = Exception::take(ctx, url);
                state.event_loop().close_after_task();
                parent.failed(exception.to_string());
            }
        } else if evaluate_script(ctx, script.text(), url).is_err() {
            state.report(ctx);
        }
    });
    realm.checkpoint();
    realm.with(|ctx| {
        // Step 24: enable the port message queue of the worker's implicit port.
        state.call(ctx, "evaluated", ());
    });
}

/// A module's evaluation that fails is reported as an exception, not as a rejection.
fn report_rejection<'js>(
    ctx: &Ctx<'js>,
    state: &Rc<RealmState>,
    promise: &rquickjs::Promise<'js>,
) -> rquickjs::Result<()> {
    let state = Rc::clone(state);
    let rejected = Function::new(ctx.clone(), move |ctx: Ctx<'js>, reason: Value<'js>| {
        ctx.throw(reason);
        state.report(&ctx);
    })?;
    let then = promise.then()?;
    let undefined = Value::new_undefined(ctx.clone());
    then.call((
        rquickjs::function::This(promise.clone()),
        undefined,
        rejected,
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
