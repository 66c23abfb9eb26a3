//! One service worker on its agent: evaluation of its script, and its events.

use std::any::Any;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use rquickjs::Ctx;
use rquickjs::context::EvalOptions;
use serde_json::{Value, json};
use service_worker::message_port::MessagePort;
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{EventId, EventType, EventTypes, FetchHandler, WorkerType};
use service_worker::{
    Body, EventOutcome, FetchAnswer, FetchDetail, FetchDispatch, Response, StartWorker,
};

use super::JsBytes;
use super::answer_body::AnswerBody;
use super::error::Exception;
use super::json::Json;
use super::modules;
use super::ops::heads;
use super::realm::{Completion, Realm, RealmState};

/// The longest body of a request that a worker is shown, in bytes.
const LONGEST_BODY: usize = 64 << 20;

/// What a worker's realm tells its host.
pub(super) enum Signal {
    /// The script was evaluated, with listeners for these types.
    Started(EventTypes),
    /// The global has listeners for these types.
    Listeners(EventTypes),
    /// A connect event was decided: the port for the client, or a refusal.
    Accepted {
        /// The event.
        event: EventId,
        /// The port.
        port: Option<MessagePort>,
    },
    /// An event is over.
    Settled {
        /// The event.
        event: EventId,
        /// How.
        outcome: EventOutcome,
    },
}

/// Where signals go: a service of the realm.
pub(super) struct Signals(Box<dyn Fn(Signal) + Send + Sync>);

impl Signals {
    pub(super) fn new(sink: impl Fn(Signal) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(sink)))
    }

    pub(super) fn send(&self, signal: Signal) {
        (self.0)(signal);
    }
}

/// What the evaluation of a worker's script came to.
pub(super) struct Evaluated {
    pub(super) event_types: EventTypes,
    pub(super) fetch_handler: FetchHandler,
}

/// *Run Service Worker*, the evaluation: its listeners, or the error as `url:line:column: …`.
pub(super) fn evaluate(realm: &Realm, start: &StartWorker) -> Result<Evaluated, String> {
    let url = start.script_url.url();
    let script = start.scripts.get(url);
    let script = script.ok_or_else(|| format!("{url}: the script is missing"))?;
    let source = source_text(&script.body);
    realm.with(|ctx| match start.worker_type {
        WorkerType::Classic => evaluate_classic(ctx, url.as_str(), source),
        WorkerType::Module => evaluate_module(ctx, realm.state(), url.as_str(), source),
    })?;
    realm.checkpoint();
    Ok(realm.with(|ctx| listeners(ctx, realm.state())))
}

/// *UTF-8 decode*, and no NUL at the end of what QuickJS reads.
fn source_text(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    String::from_utf8_lossy(body).into_owned()
}

fn evaluate_classic(ctx: &Ctx<'_>, url: &str, source: String) -> Result<(), String> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(url.to_owned());
    ctx.eval_with_options::<rquickjs::Value<'_>, _>(source, options)
        .map(drop)
        .map_err(|error| thrown(ctx, url, &error))
}

fn evaluate_module(
    ctx: &Ctx<'_>,
    realm: &RealmState,
    url: &str,
    source: String,
) -> Result<(), String> {
    let promise =
        modules::run(ctx, realm, url, source).map_err(|error| thrown(ctx, url, &error))?;
    // An evaluation without top-level await is over by now, before any microtask.
    let evaluated = promise.result::<rquickjs::Value<'_>>();
    realm.run_microtasks(ctx);
    match evaluated {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => {
            let error = thrown(ctx, url, &error);
            realm.forget_rejections();
            Err(error)
        }
        None => Err(format!(
            "{url}: TypeError: a service worker's module may not use top-level await"
        )),
    }
}

fn thrown(ctx: &Ctx<'_>, url: &str, error: &rquickjs::Error) -> String {
    match error {
        rquickjs::Error::Exception => Exception::take(ctx, url).to_string(),
        error => format!("{url}: {error}"),
    }
}

fn listeners(ctx: &Ctx<'_>, realm: &RealmState) -> Evaluated {
    let found = realm.call(ctx, "listeners", ());
    let found = found.and_then(|found| found.get::<Json>().ok());
    let found = found.map_or(Value::Null, |Json(found)| found);
    let types = found["types"].as_array().into_iter().flatten();
    let types: Vec<_> = types.filter_map(Value::as_str).map(str::to_owned).collect();
    let fetch_handler = match (found["fetches"].as_u64(), found["empty"].as_u64()) {
        (None | Some(0), _) => FetchHandler::None,
        (fetches, empty) if fetches == empty => FetchHandler::Empty,
        _ => FetchHandler::Present,
    };
    Evaluated {
        event_types: event_types(&types),
        fetch_handler,
    }
}

/// The event types of those names that service workers know.
pub(super) fn event_types(names: &[String]) -> EventTypes {
    let known = names.iter().filter_map(|name| EventType::from_name(name));
    known.collect()
}

/// A fetch event on its way to the worker's realm.
pub(super) struct Incoming {
    pub(super) event: EventId,
    pub(super) detail: FetchDetail,
    pub(super) body: Body,
    /// Takes what the event says; dropped before an answer, the client learns that the worker died.
    pub(super) respond: Respond,
    /// Dropped when the event is over.
    pub(super) keep_alive: Box<dyn Any + Send>,
}

impl From<FetchDispatch> for Incoming {
    fn from(dispatch: FetchDispatch) -> Self {
        let mut responder = Some(dispatch.responder);
        Self {
            event: dispatch.event,
            detail: dispatch.detail,
            body: dispatch.body,
            respond: Box::new(move |said| match said {
                Said::Entered => {
                    if let Some(responder) = &mut responder {
                        responder.respond_with_entered();
                    }
                }
                Said::Answer(answer) => {
                    if let Some(responder) = responder.take() {
                        responder.respond(answer);
                    }
                }
            }),
            keep_alive: Box::new(dispatch.keep_alive),
        }
    }
}

/// What a fetch event says to its client.
pub(super) enum Said {
    /// `respondWith` was called; the answer follows.
    Entered,
    /// How it was answered.
    Answer(FetchAnswer),
}

type Respond = Box<dyn FnMut(Said) + Send>;

/// The fetch events of one worker.
pub(super) type Inbox = Pin<Box<dyn Stream<Item = Incoming> + Send>>;

/// Dispatches fetch events, one after another as they come.
pub(super) fn serve(realm: &RealmState, mut inbox: Inbox) {
    realm.spawn(Box::pin(async move {
        let next = inbox.next().await;
        let completion: Completion = Box::new(move |ctx| {
            let (Some(incoming), Some(realm)) = (next, super::realm::state_of(ctx)) else {
                return;
            };
            serve(&realm, inbox);
            if incoming.detail.request.has_body {
                collect(&realm, incoming);
            } else {
                dispatch_fetch(ctx, &realm, incoming, None);
            }
        });
        completion
    }));
}

/// Waits for the request's body, and then dispatches.
fn collect(realm: &RealmState, mut incoming: Incoming) {
    realm.spawn(Box::pin(async move {
        let body = std::mem::take(&mut incoming.body);
        let body = body.collect(LONGEST_BODY).await;
        let completion: Completion = Box::new(move |ctx| match body {
            Ok(body) => {
                if let Some(realm) = super::realm::state_of(ctx) {
                    dispatch_fetch(ctx, &realm, incoming, Some(JsBytes(body)));
                }
            }
            Err(error) => {
                (incoming.respond)(Said::Answer(FetchAnswer::Failed(error.to_string())));
            }
        });
        completion
    }));
}

fn dispatch_fetch(ctx: &Ctx<'_>, realm: &RealmState, incoming: Incoming, body: Option<JsBytes>) {
    let Incoming {
        event,
        detail,
        respond,
        keep_alive,
        ..
    } = incoming;
    let client = |client: Option<service_worker::types::ClientId>| {
        client.map_or(String::new(), |client| client.to_string())
    };
    let shown = json!({
        "head": heads::event_request_to_js(realm, &detail.request),
        "clientId": client(detail.client),
        "resultingClientId": client(detail.resulting_client),
        "replacesClientId": client(detail.request.replaces_client),
        "isFallThrough": detail.is_fall_through,
        "origin": detail.origin,
    });
    let Some(fetches) = realm.service::<Fetches>() else {
        return;
    };
    fetches.begin(event, respond, keep_alive);
    let dispatched = realm.call(ctx, "fetch", (event.0, Json(shown), body));
    if dispatched.is_none() && !realm.is_killed() {
        let why = "the fetch event could not be dispatched".to_owned();
        fetches.answer(event, FetchAnswer::Failed(why));
        fetches.finish(event);
    }
}

/// Dispatches a lifecycle event, or fails it if it cannot be.
pub(super) fn dispatch_lifecycle(realm: &Realm, name: &str, event: EventId) {
    realm.with(|ctx| {
        if realm.state().call(ctx, name, (event.0,)).is_none() {
            fail(realm.state(), event);
        }
    });
}

/// Dispatches a push event.
pub(super) fn dispatch_push(realm: &Realm, event: EventId, data: Option<Bytes>) {
    realm.with(|ctx| {
        let args = (event.0, data.map(JsBytes));
        if realm.state().call(ctx, "push", args).is_none() {
            fail(realm.state(), event);
        }
    });
}

pub(super) fn fail(realm: &RealmState, event: EventId) {
    if realm.is_killed() {
        return;
    }
    if let Some(signals) = realm.service::<Signals>() {
        let outcome = EventOutcome::Rejected("the event could not be dispatched".to_owned());
        signals.send(Signal::Settled { event, outcome });
    }
}

/// The fetch events in progress: a service of the realm, which the host lets go of when the worker
/// is gone, also if its thread is not.
#[derive(Default)]
pub(super) struct Fetches(Mutex<BTreeMap<EventId, InProgress>>);

struct InProgress {
    respond: Option<Respond>,
    body: Option<AnswerBody>,
    /// The event is over, and only its response's body is still to come.
    over: bool,
    _keep_alive: Box<dyn Any + Send>,
}

impl Fetches {
    /// Leaves all unanswered: their clients learn that the worker is gone.
    pub(super) fn abandon(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EventId, InProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, event: EventId, respond: Respond, keep_alive: Box<dyn Any + Send>) {
        let in_progress = InProgress {
            respond: Some(respond),
            body: None,
            over: false,
            _keep_alive: keep_alive,
        };
        self.lock().insert(event, in_progress);
    }

    /// Answers, if nothing did yet.
    pub(super) fn answer(&self, event: EventId, answer: FetchAnswer) {
        let mut fetches = self.lock();
        let respond = fetches
            .get_mut(&event)
            .and_then(|fetch| fetch.respond.take());
        drop(fetches);
        if let Some(mut respond) = respond {
            respond(Said::Answer(answer));
        }
    }

    /// `respondWith` was called.
    pub(super) fn entered(&self, event: EventId) {
        let mut fetches = self.lock();
        if let Some(respond) = fetches
            .get_mut(&event)
            .and_then(|fetch| fetch.respond.as_mut())
        {
            respond(Said::Entered);
        }
    }

    /// Answers with a response; its body, unless it is given, follows.
    pub(super) fn respond(&self, event: EventId, head: ResponseHead, body: Option<Body>) {
        let body = body.unwrap_or_else(|| {
            let (sender, body) = AnswerBody::new();
            if let Some(fetch) = self.lock().get_mut(&event) {
                fetch.body = Some(sender);
            }
            body
        });
        let response = Response { head, body };
        self.answer(event, FetchAnswer::Response(Box::new(response)));
    }

    /// Where the body of the response is sent; `None` if it is sent already.
    pub(super) fn body(&self, event: EventId) -> Option<AnswerBody> {
        self.lock().get(&event)?.body.clone()
    }

    /// The same, for what is the last of it; and what is to be kept until that is sent: without it,
    /// the worker may be idle, and stopped.
    pub(super) fn take_body(&self, event: EventId) -> Option<(AnswerBody, impl Sized + use<>)> {
        let mut fetches = self.lock();
        let fetch = fetches.get_mut(&event)?;
        let sender = fetch.body.take();
        let done = if fetch.over {
            fetches.remove(&event)
        } else {
            None
        };
        drop(fetches);
        Some((sender?, done))
    }

    /// The event is over. False if it is no fetch event.
    pub(super) fn finish(&self, event: EventId) -> bool {
        let mut fetches = self.lock();
        let Some(fetch) = fetches.get_mut(&event) else {
            return false;
        };
        fetch.over = true;
        let done = if fetch.body.is_none() {
            fetches.remove(&event)
        } else {
            None
        };
        drop(fetches);
        drop(done);
        true
    }
}
