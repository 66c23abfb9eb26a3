//! A page: an agent with a window.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use rquickjs::{Ctx, Function, Promise, Value};
use service_worker::ClientMessage;
use service_worker::message_port::MessagePort;
use service_worker::types::{ClientId, ClientNotice, Environment};
use tokio::sync::{oneshot, watch};

use crate::fetch::PolicyContainer;

use super::agent::{Agent, AgentOptions, Death, Limits};
use super::classic_script::evaluate_script;
use super::console::ConsoleSink;
use super::documents::DocumentTiming;
use super::error::{Exception, ScriptError};
use super::json::Json;
use super::messages;
use super::navigation;
use super::notice;
use super::realm::{Realm, RealmKind, RealmOptions, RealmState};
use super::seam::{Pending, Seam};
use super::task::{RealmId, TaskSource};
use super::timings;
use super::window_clients::WindowState;

/// What a page is made from.
#[non_exhaustive]
pub struct PageOptions {
    /// Who it is; its creation URL is the page's.
    pub environment: Environment,
    /// Where its console goes.
    pub console: Arc<dyn ConsoleSink>,
    /// What it asks.
    pub seam: Arc<dyn Seam>,
    /// What its heap may hold, in bytes.
    pub memory_limit: usize,
    /// How much of other things it may have.
    pub limits: Limits,
    /// What its document may fetch, and how.
    pub policies: PolicyContainer,
    /// Dropped when its first document is gone.
    pub client: Option<Box<dyn Any + Send>>,
    /// When its first document came, if it was fetched.
    pub timing: Option<DocumentTiming>,
    /// Called with the options of its realm before it is made, to add services to it.
    pub prepare: Option<Arc<dyn Fn(RealmOptions) -> RealmOptions + Send + Sync>>,
}

impl PageOptions {
    /// A page with 256 MiB.
    pub fn new(
        environment: Environment,
        console: Arc<dyn ConsoleSink>,
        seam: Arc<dyn Seam>,
    ) -> Self {
        Self {
            environment,
            console,
            seam,
            memory_limit: 256 << 20,
            limits: Limits::default(),
            policies: PolicyContainer::default(),
            client: None,
            timing: None,
            prepare: None,
        }
    }
}

/// A page. It ends when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct Page {
    agent: Agent,
    realm: RealmId,
    closed: Arc<watch::Sender<bool>>,
}

impl Page {
    /// Opens an empty page. `ended` is called once, when it is gone.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn open(
        options: PageOptions,
        ended: impl FnOnce(Death) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut agent = AgentOptions::new(options.environment.creation_url.as_str());
        agent.memory_limit = options.memory_limit;
        agent.limits = options.limits;
        let mut realm = RealmOptions::new(
            RealmKind::Window,
            options.environment,
            options.console,
            options.seam,
        );
        realm.policies = options.policies;
        let realm = match options.prepare {
            Some(prepare) => prepare(realm),
            None => realm,
        };
        let (client, timing) = (options.client, options.timing);
        let begin = Box::new(move |realm: &Realm| {
            let event_loop = realm.state().event_loop();
            let Some(id) = event_loop.main_navigable() else {
                return;
            };
            if let Some(navigable) = event_loop.navigables_mut().get_mut(id) {
                navigable.client = client;
            }
            if let Some(timing) = timing {
                timings::navigated(realm.state(), timing);
            }
        });
        let agent = Agent::start(agent, realm, begin, ended)?;
        let closed = Arc::new(watch::Sender::new(false));
        Ok(Self {
            agent,
            realm: RealmId::MAIN,
            closed,
        })
    }

    /// One realm of an agent.
    pub(super) fn of_realm(agent: Agent, realm: RealmId) -> Self {
        Self {
            agent,
            realm,
            closed: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Runs a classic script in the page; if its completion value is a promise, waits for it.
    /// `url` names the script in errors. `undefined` and functions come out as `null`.
    ///
    /// # Errors
    /// What it threw or was rejected with; that its value is not JSON; that the page is gone.
    pub async fn run_script(
        &self,
        source: impl Into<String>,
        url: impl Into<String>,
    ) -> Result<serde_json::Value, ScriptError> {
        let (sender, receiver) = oneshot::channel();
        let (source, url) = (source.into(), url.into());
        self.agent
            .post(self.realm, TaskSource::UserInteraction, move |realm| {
                let answer = Answer { sender, url };
                realm.with(|ctx| run(ctx, realm.state(), source, answer));
            });
        self.answer(receiver).await
    }

    /// Makes the page's document of a resource, and waits until it has loaded: its scripts have run,
    /// and all that delays its load event is there.
    ///
    /// # Errors
    /// That the page is gone, or shows another document by then.
    pub async fn open_document(
        &self,
        resource: Bytes,
        content_type: impl Into<String>,
        referrer: impl Into<String>,
    ) -> Result<(), ScriptError> {
        let (sender, receiver) = oneshot::channel();
        let (content_type, referrer) = (content_type.into(), referrer.into());
        self.agent
            .post(self.realm, TaskSource::Networking, move |realm| {
                realm.with(|ctx| {
                    navigation::open_resource(ctx, realm, resource, content_type, &referrer);
                    tell_when_loaded(ctx, realm.state(), sender);
                });
            });
        self.answer(receiver).await
    }

    /// What a script came to. A page that is closed does not wait for it: a native function of the
    /// engine cannot be interrupted.
    async fn answer<T>(
        &self,
        receiver: oneshot::Receiver<Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        let gone = |why: &str| ScriptError::Gone(why.to_owned());
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            answer = receiver => {
                answer.unwrap_or_else(|_| Err(gone("it ended before the script did")))
            }
            _ = closed.wait_for(|closed| *closed) => Err(gone("it was closed")),
        }
    }

    /// Tells the page something of its registrations.
    pub fn notify(&self, notice: ClientNotice) {
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                realm.with(|ctx| notice::notify(ctx, realm.state(), &notice))
            });
    }

    /// Puts a message of a service worker into the client message queue.
    pub fn post(&self, message: ClientMessage<MessagePort>) {
        self.agent.post(self.realm, TaskSource::Dom, move |realm| {
            messages::receive(realm, message);
        });
    }

    /// What its window was like when it last wrote to a service worker.
    pub(super) fn noted_window(&self, client: ClientId) -> Option<WindowState> {
        self.agent.noted_window(client)
    }

    /// What its thread finds out about its window.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Realm, oneshot::Sender<T>) + Send + 'static,
    ) -> Pending<Option<T>> {
        let (sender, answer) = oneshot::channel();
        self.agent
            .post(self.realm, TaskSource::Dom, move |realm: &Realm| {
                question(realm, sender);
            });
        Box::pin(async move { answer.await.ok() })
    }

    /// Ends the page, whatever its scripts are doing.
    pub fn close(&self) {
        self.agent.kill("closed");
        self.closed.send_replace(true);
    }
}

/// Says once that the document of a realm has loaded.
fn tell_when_loaded(
    ctx: &Ctx<'_>,
    realm: &RealmState,
    sender: oneshot::Sender<Result<(), ScriptError>>,
) {
    let sender = std::cell::Cell::new(Some(sender));
    let then = Function::new(ctx.clone(), move || {
        if let Some(sender) = sender.take() {
            // Nobody waits any more if the caller dropped the future.
            drop(sender.send(Ok(())));
        }
    });
    match then {
        Ok(then) => drop(realm.call(ctx, "whenLoaded", (then,))),
        // Out of memory: the page ends, and so does the wait.
        Err(_) => drop(ctx.catch()),
    }
}

/// Where a script's result goes.
struct Answer {
    sender: oneshot::Sender<Result<serde_json::Value, ScriptError>>,
    url: String,
}

impl Answer {
    fn give(self, result: Result<serde_json::Value, ScriptError>) {
        // Nobody waits any more if the caller dropped the future.
        drop(self.sender.send(result));
    }

    fn value(self, value: &Value<'_>) {
        let json = if value.is_function() {
            Ok(serde_json::Value::Null)
        } else {
            value.get::<Json>().map(|Json(json)| json)
        };
        let json = json.map_err(|error| {
            drop(value.ctx().catch());
            ScriptError::Unserializable(error.to_string())
        });
        self.give(json);
    }

    fn thrown(self, thrown: &Value<'_>) {
        let exception = Exception::of(thrown, &self.url);
        self.give(Err(ScriptError::Threw(exception.to_string())));
    }
}

fn run(ctx: &Ctx<'_>, realm: &RealmState, source: String, answer: Answer) {
    match evaluate(ctx, source, &answer.url) {
        Ok(value) => match value.as_promise() {
            Some(promise) => when_settled(ctx, promise, answer),
            None => answer.value(&value),
        },
        // Interrupted: the answer is dropped.
        Err(_) if realm.is_killed() => {}
        Err(error) => answer.give(Err(error)),
    }
}

fn evaluate<'js>(ctx: &Ctx<'js>, source: String, url: &str) -> Result<Value<'js>, ScriptError> {
    evaluate_script(ctx, source, url).map_err(|error| {
        ScriptError::Threw(match error {
            rquickjs::Error::Exception => Exception::of(&ctx.catch(), url).to_string(),
            error => error.to_string(),
        })
    })
}

/// Gives what `promise` settles to.
fn when_settled<'js>(ctx: &Ctx<'js>, promise: &Promise<'js>, answer: Answer) {
    let answer = std::rc::Rc::new(std::cell::Cell::new(Some(answer)));
    let other = std::rc::Rc::clone(&answer);
    let attached = || -> rquickjs::Result<()> {
        let fulfilled = Function::new(ctx.clone(), move |value: Value<'js>| {
            if let Some(answer) = answer.take() {
                answer.value(&value);
            }
        })?;
        let rejected = Function::new(ctx.clone(), move |reason: Value<'js>| {
            if let Some(answer) = other.take() {
                answer.thrown(&reason);
            }
        })?;
        promise.then()?.call((
            rquickjs::function::This(promise.clone()),
            fulfilled,
            rejected,
        ))
    };
    if attached().is_err() {
        // The answer is dropped: the page is gone as far as the caller can tell.
        drop(ctx.catch());
    }
}
