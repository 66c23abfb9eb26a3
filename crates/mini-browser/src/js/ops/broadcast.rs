//! Of broadcast channels: the prelude's objects name them by numbers.

use rquickjs::{Ctx, Result, Value};

use super::Ops;
use crate::js::broadcast::{OpenChannels, is_eligible};
use crate::js::clone;
use crate::js::ports::number;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_broadcast_open", move |name: String| {
        realm.local::<OpenChannels>().open(&realm, name)
    })?;

    let realm = ops.realm();
    ops.add(
        "op_broadcast_post",
        move |ctx: Ctx<'js>, channel: f64, message: Value<'js>| -> Result<()> {
            let record = clone::structured_serialize(&ctx, &realm, &message, false)
                .map_err(|error| error.throw(&ctx, &realm))?;
            realm
                .local::<OpenChannels>()
                .post(&realm, number(channel), &record);
            Ok(())
        },
    )?;

    // Whether a channel of the realm is eligible for messaging.
    let realm = ops.realm();
    ops.add("op_broadcast_is_eligible", move || is_eligible(&realm))?;

    let realm = ops.realm();
    ops.add("op_broadcast_close", move |channel: f64| {
        realm.local::<OpenChannels>().close(number(channel));
    })
}
