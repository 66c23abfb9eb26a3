//! Streams that scripts send as bodies of requests, as they are read.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::{Ctx, Promise, Result};

use super::fetch::{keep_body, number};
use super::{OpError, Ops, promise};
use crate::js::JsBytes;
use crate::js::sent_body::{Alive, Ends, SentBody};

/// The bodies that are being sent. They are aborted with their realm.
#[derive(Default)]
struct Uploads(RefCell<BTreeMap<u64, (SentBody, Alive)>>);

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // The number of a body for `op_fetch`, under which it is sent.
    let realm = ops.realm();
    ops.add("op_upload_begin", move || {
        let Ends {
            sender,
            alive,
            body,
            ..
        } = SentBody::ends();
        let id = keep_body(&realm, body);
        let uploads = realm.local::<Uploads>();
        uploads.0.borrow_mut().insert(id, (sender, alive));
        id
    })?;

    // A chunk: settles when its reader takes more.
    let realm = ops.realm();
    ops.add(
        "op_upload_chunk",
        move |ctx: Ctx<'js>, id: f64, bytes: JsBytes| -> Result<Promise<'js>> {
            let uploads = realm.local::<Uploads>();
            let sender = uploads.0.borrow().get(&number(id)).map(|it| it.0.clone());
            promise(&ctx, &realm, async move {
                let unread = || OpError::new("AbortError", "nobody reads the body any more");
                let sender = sender.ok_or_else(unread)?;
                sender.send(bytes.0).await.map_err(|_| unread())
            })
        },
    )?;

    // The end, or why there is none.
    let realm = ops.realm();
    ops.add(
        "op_upload_end",
        move |ctx: Ctx<'js>, id: f64, why: Option<String>| -> Result<Promise<'js>> {
            let upload = realm.local::<Uploads>().0.borrow_mut().remove(&number(id));
            promise(&ctx, &realm, async move {
                if let Some((sender, alive)) = upload {
                    sender.end(why.map_or(Ok(()), Err)).await;
                    drop(alive);
                }
                Ok(())
            })
        },
    )
}
