//! Of structured cloning.

use rquickjs::{Array, Ctx, Exception, Result, Value};

use super::Ops;
use crate::js::JsBytes;
use crate::js::clone;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    clone::prepare(ops.ctx(), &ops.realm())?;

    // `target`: a global object of the agent's, in whose realm the clone is made.
    let realm = ops.realm();
    ops.add(
        "op_structured_clone",
        move |ctx: Ctx<'js>,
              value: Value<'js>,
              transfer: Option<Array<'js>>,
              target: Option<Value<'js>>|
              -> Result<Value<'js>> {
            let transfer = transfer_list(transfer)?;
            let event_loop = realm.event_loop();
            let other = match target {
                Some(target) => {
                    let other = event_loop.realm_of_global(&ctx, &target);
                    if other.is_none() && !realm.has_ended() {
                        let message = "structuredClone was called on something that is no global";
                        return Err(Exception::throw_type(&ctx, message));
                    }
                    other
                }
                None => None,
            };
            let cloned = match other {
                Some(other) if other.id() != realm.id() => other.enter(&ctx, |other, entered| {
                    let target = (entered, &**other.state());
                    clone::structured_clone(&ctx, &realm, target, &value, &transfer)
                }),
                _ => clone::structured_clone(&ctx, &realm, (&ctx, &realm), &value, &transfer),
            };
            cloned.map_err(|error| error.throw(&ctx, &realm))
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_structured_serialize",
        move |ctx: Ctx<'js>, value: Value<'js>, for_storage: bool| {
            clone::structured_serialize(&ctx, &realm, &value, for_storage)
                .map(JsBytes)
                .map_err(|error| error.throw(&ctx, &realm))
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_structured_deserialize",
        move |ctx: Ctx<'js>, record: JsBytes| {
            clone::structured_deserialize(&ctx, &realm, &record.0)
                .map_err(|error| error.throw(&ctx, &realm))
        },
    )
}

/// The items of a list that the prelude made.
pub(super) fn transfer_list<'js>(list: Option<Array<'js>>) -> Result<Vec<Value<'js>>> {
    list.map_or_else(|| Ok(Vec::new()), |list| list.iter().collect())
}
