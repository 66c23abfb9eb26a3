//! Connect events of a service worker: what their handlers do, and what it comes to. (SEMANTICS §5.2.)
//!
//! The prelude's `connect_event.js` tells each thing that a handler does; the rules are those of
//! [`HandlerRecord`], which is asked after every change.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::Ctx;
use serde_json::json;
use service_worker::ConnectDetail;
use service_worker::connect::{AcceptOutcome, HandlerRecord, Phase, Verdict};
use service_worker::message_port::MessagePort;
use service_worker::types::EventId;

use super::JsBytes;
use super::json::Json;
use super::realm::{Realm, RealmState};
use super::worker::{self, Signal, Signals};

/// The connect events of a realm that are not decided yet.
#[derive(Default)]
pub(super) struct Undecided(RefCell<BTreeMap<EventId, HandlerRecord>>);

/// Dispatches a connect event.
pub(super) fn dispatch(realm: &Realm, event: EventId, detail: ConnectDetail) {
    let shown = json!({
        "origin": detail.origin.as_str(),
        "targetURL": detail.target_url.as_str(),
        "clientURL": detail.client_url.map(String::from).unwrap_or_default(),
    });
    let state = realm.state();
    let undecided = state.local::<Undecided>();
    undecided
        .0
        .borrow_mut()
        .insert(event, HandlerRecord::default());
    realm.with(|ctx| {
        let request = detail.request.map(JsBytes);
        let name = detail.event_type.as_str();
        let args = (event.0, name, Json(shown), request);
        if state.call(ctx, "connect", args).is_none() {
            undecided.0.borrow_mut().remove(&event);
            // What settles undecided was refused.
            worker::fail(state, event);
        }
    });
}

/// A handler did something, or something of its event was settled: the verdict, as the prelude
/// takes it: null until there is one; null for ever once it was given.
///
/// # Errors
/// If `acceptConnection` was called before, or the event is over.
pub(super) fn record(
    realm: &RealmState,
    event: EventId,
    what: &str,
    live_or_true: bool,
) -> Result<Option<&'static str>, InvalidState> {
    let undecided = realm.local::<Undecided>();
    let mut undecided = undecided.0.borrow_mut();
    let Some(record) = undecided.get_mut(&event) else {
        return if what == "acceptConnection" {
            Err(InvalidState)
        } else {
            Ok(None)
        };
    };
    match what {
        "acceptConnection" => record.accept_connection().map_err(|_| InvalidState)?,
        "port accepted" => record.accept_settled(AcceptOutcome::Port { live: live_or_true }),
        "boolean accepted" => record.accept_settled(AcceptOutcome::Boolean(live_or_true)),
        "object accepted" => record.accept_settled(AcceptOutcome::Object),
        "accept rejected" => record.accept_settled(AcceptOutcome::Rejected),
        "client" => record.read_client = true,
        "origin" => record.read_origin = true,
        "targetURL" => record.read_target_url = true,
        "port" => record.read_port = true,
        "port used" => record.port_used = true,
        "port closed" => record.port_closed = true,
        // That the event is active was checked by whoever tells.
        "waitUntil" => drop(record.wait_until()),
        "promise settled" => record.lifetime_promise_settled(live_or_true),
        "dispatched" => record.phase = Phase::Dispatched,
        // The event's own end: nothing is pending.
        _ => record.phase = Phase::Ended,
    }
    let verdict = record.verdict();
    match verdict {
        Verdict::Pending => Ok(None),
        Verdict::AcceptGiven => {
            undecided.remove(&event);
            Ok(Some("given"))
        }
        Verdict::AcceptPair => {
            undecided.remove(&event);
            Ok(Some("pair"))
        }
        Verdict::Refuse(why) => {
            undecided.remove(&event);
            drop(undecided);
            tracing::debug!(%event, %why, "a connection is refused");
            Ok(Some("refused"))
        }
    }
}

/// `acceptConnection` was called before, or the event is over.
pub(super) struct InvalidState;

/// Tells the host how a connect event was decided.
pub(super) fn decide(realm: &RealmState, event: EventId, port: Option<MessagePort>) {
    if realm.is_killed() {
        return;
    }
    if let Some(signals) = realm.service::<Signals>() {
        signals.send(Signal::Accepted { event, port });
    }
}

/// A port that comes to a realm when the promise for it settles: the prelude gets its number.
pub(super) struct Arriving(pub(super) MessagePort);

impl<'js> rquickjs::IntoJs<'js> for Arriving {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<rquickjs::Value<'js>> {
        match super::realm::state_of(ctx) {
            Some(realm) => super::ports::adopt(&realm, self.0).into_js(ctx),
            None => Ok(rquickjs::Value::new_undefined(ctx.clone())),
        }
    }
}
