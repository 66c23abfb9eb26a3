//! Synchronous `XMLHttpRequest`: a fetch that the agent waits for.

use std::time::Duration;

use rquickjs::{Array, Ctx, Result};

use super::{OpError, Ops, fetch};
use crate::js::JsBytes;
use crate::js::blocking;
use crate::js::json::Json;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // [the head, the bytes or nothing]; `timeout` is in milliseconds, 0 for none.
    let realm = ops.realm();
    ops.add(
        "op_fetch_sync",
        move |ctx: Ctx<'js>, head: Json, body: Option<JsBytes>, timeout: u32| -> Result<Array<'js>> {
            let thrown = |error: OpError| error.throw(&ctx);
            let (service, params) =
                fetch::prepare(&realm, &head.0, body.map(|body| body.0)).map_err(thrown)?;
            let fetching = async move {
                let fetched = service.fetch(params).await;
                let fetched = fetched.map_err(|error| error.to_string())?;
                let bytes = match fetched.body {
                    Some(body) => {
                        let bytes = body.collect(fetch::BODY_LIMIT).await;
                        Some(bytes.map_err(|error| error.to_string())?)
                    }
                    None => None,
                };
                Ok((fetched.head, bytes))
            };
            let timeout = (timeout > 0).then(|| Duration::from_millis(timeout.into()));
            let fetched = blocking::wait(&realm, async move {
                match timeout {
                    None => fetching.await.map(Some),
                    Some(timeout) => match tokio::time::timeout(timeout, fetching).await {
                        Ok(fetched) => fetched.map(Some),
                        Err(_) => Ok(None),
                    },
                }
            });
            let fetched = fetched.map_err(|why| fetch::failed(&realm, &why, "NetworkError"));
            let timed_out = || OpError::new("TimeoutError", "the request took too long");
            let (head, bytes) = fetched
                .and_then(|fetched| fetched.ok_or_else(timed_out))
                .map_err(thrown)?;
            let result = Array::new(ctx.clone())?;
            result.set(0, Json(fetch::response_to_js(&realm, head)))?;
            result.set(1, bytes.map(JsBytes))?;
            Ok(result)
        },
    )
}
