//! Of a service worker: its facts, its events and its answers.

use std::rc::Rc;

use rquickjs::{Ctx, Exception, Promise, Result};
use serde_json::json;
use service_worker::types::{EventId, WorkerId};
use service_worker::{EventOutcome, FetchAnswer, StartWorker};
use url::Url;

use super::{OpError, Ops, fetch, heads, promise};
use crate::js::JsBytes;
use crate::js::fetch_events::Fetches;
use crate::js::json::Json;
use crate::js::realm::{RealmKind, RealmState};
use crate::js::views;
use crate::js::worker::{Signal, Signals, event_types};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_worker_facts", move |ctx: Ctx<'js>| -> Result<Json> {
        let RealmKind::ServiceWorker(start) = realm.kind() else {
            return Err(Exception::throw_type(&ctx, "this is not a service worker"));
        };
        Ok(Json(facts(start)))
    })?;

    let realm = ops.realm();
    ops.add("op_listeners", move |types: Vec<String>| {
        signal(&realm, Signal::Listeners(event_types(&types)));
    })?;

    let realm = ops.realm();
    ops.add("op_settled", move |event: f64, failure: Option<String>| {
        // A worker that is being killed says nothing any more: clients that learnt of it now would
        // still find its endpoint, and send their next request to it.
        if realm.is_killed() {
            return;
        }
        let event = event_id(event);
        // A fetch event is the endpoint's, which learns of its end by the keep-alive.
        let is_fetch = realm
            .service::<Fetches>()
            .is_some_and(|fetches| fetches.finish(event));
        if !is_fetch {
            let outcome = failure.map_or(EventOutcome::Fulfilled, EventOutcome::Rejected);
            signal(&realm, Signal::Settled { event, outcome });
        }
    })?;

    let realm = ops.realm();
    ops.add(
        "op_answer",
        move |ctx: Ctx<'js>,
              event: f64,
              kind: String,
              head: Option<Json>,
              why: Option<String>,
              body: Option<f64>,
              bytes: Option<JsBytes>| {
            if realm.is_killed() {
                return Ok(());
            }
            let Some(fetches) = realm.service::<Fetches>() else {
                return Ok(());
            };
            let event = event_id(event);
            match (kind.as_str(), head) {
                ("response", Some(Json(head))) => {
                    let head = heads::response_from_js(&realm, &head);
                    let head = head.map_err(|error| error.throw(&ctx))?;
                    let kept = body.map(|id| fetch::take_body(&realm, id).unwrap_or_default());
                    let body = kept.or_else(|| bytes.map(|bytes| bytes.0.into()));
                    fetches.respond(event, head, body);
                }
                ("entered", _) => fetches.entered(event),
                ("canceled", _) => fetches.answer(event, FetchAnswer::Canceled),
                ("unhandled", _) => fetches.answer(event, FetchAnswer::NotHandled),
                (_, _) => fetches.answer(event, FetchAnswer::Failed(why.unwrap_or_default())),
            }
            Result::Ok(())
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_answer_body",
        move |event: f64, bytes: Option<JsBytes>| {
            if realm.is_killed() {
                return;
            }
            let fetches = realm.service::<Fetches>();
            let last = fetches.and_then(|fetches| fetches.take_body(event_id(event)));
            if let Some((body, kept)) = last {
                body.send_all(bytes.unwrap_or_default().0);
                drop(kept);
            }
        },
    )?;

    // A chunk: settles when the client takes more.
    let realm = ops.realm();
    ops.add(
        "op_answer_chunk",
        move |ctx: Ctx<'js>, event: f64, bytes: JsBytes| -> Result<Promise<'js>> {
            let fetches = realm.service::<Fetches>();
            let body = fetches.and_then(|fetches| fetches.body(event_id(event)));
            promise(&ctx, &realm, async move {
                let unread = || OpError::new("AbortError", "the client reads no more");
                let body = body.ok_or_else(unread)?;
                body.send(bytes.0).await.map_err(|_| unread())
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_answer_end",
        move |ctx: Ctx<'js>, event: f64, why: Option<String>| -> Result<Promise<'js>> {
            let fetches = realm.service::<Fetches>();
            let last = fetches.and_then(|fetches| fetches.take_body(event_id(event)));
            promise(&ctx, &realm, async move {
                if let Some((body, kept)) = last {
                    body.end(why.map_or(Ok(()), Err)).await;
                    drop(kept);
                }
                Ok(())
            })
        },
    )?;

    // Settles when nobody reads the body any more.
    let realm = ops.realm();
    ops.add(
        "op_answer_read",
        move |ctx: Ctx<'js>, event: f64| -> Result<Promise<'js>> {
            let fetches = realm.service::<Fetches>();
            let reader = fetches.and_then(|fetches| fetches.reader(event_id(event)));
            promise(&ctx, &realm, async move {
                if let Some(reader) = reader {
                    reader.await;
                }
                Ok(())
            })
        },
    )?;

    // Whether the client aborts its fetch.
    let realm = ops.realm();
    ops.add(
        "op_fetch_aborted",
        move |ctx: Ctx<'js>, event: f64| -> Result<Promise<'js>> {
            let fetches = realm.service::<Fetches>();
            promise(&ctx, &realm, async move {
                Ok(match fetches {
                    Some(fetches) => fetches.aborted(event_id(event)).await,
                    None => false,
                })
            })
        },
    )?;

    // The navigation preload's response: `{ head, body }`.
    let realm = ops.realm();
    ops.add(
        "op_preload_response",
        move |ctx: Ctx<'js>, event: f64, url: String| -> Result<Promise<'js>> {
            let fetches = realm.service::<Fetches>();
            let (realm, event, url) = (Rc::clone(&realm), event_id(event), Url::parse(&url).ok());
            let preload = fetch::preload_response(Rc::clone(&realm), fetches, event, url);
            promise(&ctx, &realm, preload)
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_skip_waiting",
        move |ctx: Ctx<'js>| -> Result<Promise<'js>> {
            let done = realm.seam().skip_waiting(worker_id(&ctx, &realm)?);
            promise(&ctx, &realm, async move { Ok(done.await?) })
        },
    )?;

    let realm = ops.realm();
    ops.add("op_claim", move |ctx: Ctx<'js>| -> Result<Promise<'js>> {
        let done = realm.seam().claim(worker_id(&ctx, &realm)?);
        promise(&ctx, &realm, async move { Ok(done.await?) })
    })?;

    let realm = ops.realm();
    ops.add(
        "op_fall_through",
        move |ctx: Ctx<'js>, event: f64, prefixes: Vec<String>, origins: Option<Vec<String>>| {
            let worker = worker_id(&ctx, &realm)?;
            let seam = realm.seam();
            seam.handle_fall_through_requests(
                worker,
                event_id(event),
                &prefixes,
                origins.as_deref(),
            )
            .map_err(|error| OpError::from(error).throw(&ctx))
        },
    )
}

fn facts(start: &StartWorker) -> serde_json::Value {
    let this = json!({
        "id": start.worker.0,
        "scriptUrl": start.script_url.url().as_str(),
        "state": start.state.as_str(),
    });
    json!({
        "self": this,
        "registration": views::registration(&start.registration),
    })
}

/// A worker that is being killed says nothing any more.
fn signal(realm: &RealmState, signal: Signal) {
    if realm.is_killed() {
        return;
    }
    if let Some(signals) = realm.service::<Signals>() {
        signals.send(signal);
    }
}

pub(super) fn worker_id(ctx: &Ctx<'_>, realm: &RealmState) -> Result<WorkerId> {
    match realm.kind() {
        RealmKind::ServiceWorker(start) => Ok(start.worker),
        RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => {
            Err(Exception::throw_type(ctx, "this is not a service worker"))
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counters below 2^53 that the prelude got from here"
)]
pub(super) const fn event_id(id: f64) -> EventId {
    EventId(id as u64)
}
