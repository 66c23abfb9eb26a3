//! Of connections: `navigator.connect()`, and what the handlers of connect events do.

use rquickjs::{Ctx, Promise, Result};
use service_worker::types::fetch::{Destination, RequestHead};
use service_worker::{ConnectError, ConnectOptions, ShownReferrer};

use super::worker::event_id;
use super::{OpError, Ops, promise};
use crate::fetch::determine_referrer;
use crate::js::JsBytes;
use crate::js::connecting::{self, Arriving};
use crate::js::ports::number;
use crate::js::realm::RealmState;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Gives the number of the port.
    let realm = ops.realm();
    ops.add(
        "op_connect",
        move |ctx: Ctx<'js>, url: String, request: Option<JsBytes>| -> Result<Promise<'js>> {
            let mut options = ConnectOptions::new(url, realm.base_url());
            options.request = request.map(|JsBytes(request)| request);
            apply_policies(&realm, &mut options);
            let connecting = realm.seam().connect(realm.environment().id, options);
            promise(&ctx, &realm, async move {
                let port = connecting.await?;
                Ok(Arriving(port))
            })
        },
    )?;

    // What a handler did; the verdict, once.
    let realm = ops.realm();
    ops.add(
        "op_connect_record",
        move |ctx: Ctx<'js>, event: f64, what: String, live_or_true: Option<bool>| {
            let live_or_true = live_or_true.unwrap_or_default();
            connecting::record(&realm, event_id(event), &what, live_or_true).map_err(|_| {
                let message = "acceptConnection was called before, or the event is over";
                OpError::new("InvalidStateError", message).throw(&ctx)
            })
        },
    )?;

    // Accepted with the port of that number, or refused.
    let realm = ops.realm();
    ops.add("op_connect_decide", move |event: f64, port: Option<f64>| {
        let ports = realm.event_loop().ports();
        let port = port.and_then(|port| ports.take(number(port)));
        connecting::decide(&realm, event_id(event), port);
    })
}

/// What the policies of the caller say of the call: whether `connect-src` blocks it (SEMANTICS §5.1
/// step 2), and what the service may see of the caller's URL (§8.2).
fn apply_policies(realm: &RealmState, options: &mut ConnectOptions) {
    // One that does not parse is refused for that.
    let Ok(url) = options.base_url.join(&options.url) else {
        return;
    };
    let policies = realm.policies();
    let blocked = policies
        .content_security
        .blocks(Destination::None, &url, false);
    options.connect_src_blocks = blocked.is_some();
    let environment = realm.environment();
    let mut request = RequestHead::get(url, environment.origin.clone());
    // As for a fetch by this client.
    let is_opaque = environment.origin.is_opaque();
    request.referrer = (!is_opaque).then(|| environment.creation_url.clone());
    options.referrer = match determine_referrer(&request, policies.referrer) {
        Some(url) => ShownReferrer::Url(url),
        None => ShownReferrer::Nothing,
    };
}

impl From<ConnectError> for OpError {
    fn from(error: ConnectError) -> Self {
        Self::new(error.name(), error.to_string())
    }
}
