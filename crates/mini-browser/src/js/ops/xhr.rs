//! Of XMLHttpRequest: a fetch that the script waits for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rquickjs::{Ctx, Object, Result};

use super::fetch::{BODY_LIMIT, fetch_params, response_to_js};
use super::{OpError, Ops};
use crate::fetch::FetchService;
use crate::js::JsBytes;
use crate::js::blob_urls::OwnBlobs;
use crate::js::blocking::wait;
use crate::js::console::ConsoleLevel;
use crate::js::json::Json;
use crate::js::timings::{Measuring, Timings};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // `{ head, hasBody, bytes }`; throws a TimeoutError, or a NetworkError for what failed. `timeout`
    // is in milliseconds; 0 is none.
    let realm = ops.realm();
    ops.add(
        "op_fetch_sync",
        move |ctx: Ctx<'js>,
              head: Json,
              body: Option<JsBytes>,
              timeout: f64|
              -> Result<Object<'js>> {
            let refused = |name: &str, why: &str| OpError::new(name, why).throw(&ctx);
            let failed = |why: &str| {
                realm.log(ConsoleLevel::Error, &format!("fetch failed: {why}"));
                refused("NetworkError", "Failed to fetch")
            };
            let service = realm.service::<FetchService>();
            let service = service.ok_or_else(|| failed("this realm has no network"))?;
            let blob = head.0["blobId"].as_u64();
            let blob = blob.and_then(|id| realm.kept(|blobs: &OwnBlobs| blobs.resolved(id)));
            let service = match blob {
                Some(blob) => Arc::new(blob.service(&service)),
                None => service,
            };
            let params = fetch_params(&realm, &head.0, body.map(|body| body.0));
            let params = params.map_err(|error| error.throw(&ctx))?;
            let measuring = Measuring::begin(&realm, &params, "xmlhttprequest");
            let fetched = async move {
                let fetched = service.fetch(params).await;
                let mut fetched = fetched.map_err(|error| error.to_string())?;
                let measured = measuring.map(|measuring| measuring.ended(Some(&mut fetched)));
                let has_body = fetched.body.is_some();
                let bytes = fetched.body.unwrap_or_default().collect(BODY_LIMIT).await;
                let bytes = bytes.map_err(|error| error.to_string())?;
                let entry = measured.map(|it| it.entry(Instant::now(), bytes.len()));
                Ok((fetched.head, has_body, bytes, entry))
            };
            let limit = Duration::try_from_secs_f64(timeout / 1000.0).unwrap_or_default();
            let fetched = wait(&realm, async move {
                if limit.is_zero() {
                    return fetched.await.map(Some);
                }
                // None: the time is over.
                tokio::time::timeout(limit, fetched).await.ok().transpose()
            });
            let fetched = fetched.map_err(|why| failed(&why))?;
            let Some((response, has_body, bytes, entry)) = fetched else {
                return Err(refused("TimeoutError", "The time is over"));
            };
            if let Some(entry) = entry {
                realm.local::<Timings>().add(entry);
            }
            let answer = Object::new(ctx.clone())?;
            answer.set("head", Json(response_to_js(&realm, response)))?;
            answer.set("hasBody", has_body)?;
            answer.set("bytes", JsBytes(bytes))?;
            Ok(answer)
        },
    )
}
