//! One service worker on its agent: evaluation of its script, and its lifecycle events.

use std::sync::Arc;

use bytes::Bytes;
use rquickjs::Ctx;
use rquickjs::context::EvalOptions;
use serde_json::Value;
use service_worker::message_port::MessagePort;
use service_worker::types::{EventId, EventType, EventTypes, FetchHandler, WorkerType};
use service_worker::{EventOutcome, StartWorker};

use super::JsBytes;
use super::error::Exception;
use super::json::Json;
use super::modules;
use super::realm::{Realm, RealmState};

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
