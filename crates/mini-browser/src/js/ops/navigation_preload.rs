//! Of `registration.navigationPreload`.

use rquickjs::{Ctx, Promise, Result};
use serde_json::json;

use super::page::registration_id;
use super::{OpError, Ops, promise};
use crate::js::json::Json;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add(
        "op_navigation_preload",
        move |ctx: Ctx<'js>, registration: f64| -> Result<Promise<'js>> {
            let found = realm
                .seam()
                .navigation_preload(registration_id(registration));
            promise(&ctx, &realm, async move {
                let state = found?;
                let bytes = state.header_value.as_bytes().iter();
                // A ByteString: one character for each byte.
                let header_value: String = bytes.map(|byte| char::from(*byte)).collect();
                Ok(Json(
                    json!({ "enabled": state.enabled, "headerValue": header_value }),
                ))
            })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_enable_navigation_preload",
        move |ctx: Ctx<'js>, registration: f64, enabled: bool| -> Result<Promise<'js>> {
            let registration = registration_id(registration);
            let done = realm
                .seam()
                .enable_navigation_preload(registration, enabled);
            promise(&ctx, &realm, async move { Ok(done.await?) })
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_set_navigation_preload_header",
        move |ctx: Ctx<'js>, registration: f64, value: String| -> Result<Promise<'js>> {
            let bytes: Option<Vec<u8>> = value.chars().map(|it| u8::try_from(it).ok()).collect();
            let done = bytes.map(|bytes| {
                let registration = registration_id(registration);
                realm
                    .seam()
                    .set_navigation_preload_header(registration, &bytes)
            });
            promise(&ctx, &realm, async move {
                match done {
                    Some(done) => Ok(done.await?),
                    None => Err(OpError::type_error("setHeaderValue: no ByteString")),
                }
            })
        },
    )
}
