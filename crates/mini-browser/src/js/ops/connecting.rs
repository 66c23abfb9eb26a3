//! Of connections: `navigator.connect()`, and what the handlers of connect events do.

use rquickjs::{Ctx, Promise, Result};
use service_worker::{ConnectError, ConnectOptions};

use super::worker::event_id;
use super::{OpError, Ops, promise};
use crate::js::JsBytes;
use crate::js::connecting::{self, Arriving};
use crate::js::ports::number;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Gives the number of the port.
    let realm = ops.realm();
    ops.add(
        "op_connect",
        move |ctx: Ctx<'js>, url: String, request: Option<JsBytes>| -> Result<Promise<'js>> {
            let mut options = ConnectOptions::new(url, realm.base_url());
            options.request = request.map(|JsBytes(request)| request);
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

impl From<ConnectError> for OpError {
    fn from(error: ConnectError) -> Self {
        Self::new(error.name(), error.to_string())
    }
}
