//! Of message ports: the prelude's objects name them by numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::{Array, Ctx, Result, Value};

use super::clone::transfer_list;
use super::{OpError, Ops};
use crate::js::clone::{self, Serialized};
use crate::js::ports::number;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_port_channel", move || {
        let (first, second) = realm.event_loop().ports().channel(&realm);
        vec![first, second]
    })?;

    // Steps 5 to 7 of the message port post message steps. Gives a port whose object is to be held.
    let realm = ops.realm();
    ops.add(
        "op_port_post",
        move |ctx: Ctx<'js>,
              port: f64,
              value: Value<'js>,
              transfer: Option<Array<'js>>|
              -> Result<Option<u32>> {
            let transfer = transfer_list(transfer)?;
            let serialized =
                clone::structured_serialize_with_transfer(&ctx, &realm, &value, &transfer)
                    .map_err(|error| error.throw(&ctx, &realm))?;
            Ok(realm.event_loop().ports().post(number(port), serialized))
        },
    )?;

    let realm = ops.realm();
    ops.add("op_port_start", move |port: f64| {
        let event_loop = realm.event_loop();
        event_loop.ports().start(event_loop, number(port))
    })?;

    let realm = ops.realm();
    ops.add("op_port_unlink", move |port: f64| {
        realm.event_loop().ports().unlink(number(port));
    })?;

    let realm = ops.realm();
    ops.add("op_port_close", move |port: f64| {
        realm.event_loop().ports().close(number(port))
    })?;

    // Whether the object has listeners. True if it is to be held.
    let realm = ops.realm();
    ops.add("op_port_listen", move |port: f64, listening: bool| {
        let event_loop = realm.event_loop();
        event_loop
            .ports()
            .listen(event_loop, number(port), listening)
    })?;

    let realm = ops.realm();
    ops.add("op_port_forget", move |port: f64| {
        realm.event_loop().ports().forget(number(port));
    })?;

    // Whether something is a MessageEventSource; or, with a tag, that transferable.
    let realm = ops.realm();
    ops.add(
        "op_is_message_source",
        move |ctx: Ctx<'js>, value: Value<'js>, tag: Option<String>| {
            clone::is_message_source(&ctx, &realm, &value, tag.as_deref())
                .map_err(|error| error.throw(&ctx, &realm))
        },
    )?;

    // A message on its way between two realms of the agent, by number: window.postMessage.
    let realm = ops.realm();
    ops.add(
        "op_message_serialize",
        move |ctx: Ctx<'js>, value: Value<'js>, transfer: Option<Array<'js>>| -> Result<u32> {
            let transfer = transfer_list(transfer)?;
            let serialized =
                clone::structured_serialize_with_transfer(&ctx, &realm, &value, &transfer)
                    .map_err(|error| error.throw(&ctx, &realm))?;
            Ok(realm.event_loop().ports().keep_message(serialized))
        },
    )?;

    // `[value, transferred]`, in the realm that asks; throws if it cannot be read there.
    let realm = ops.realm();
    ops.add(
        "op_message_deserialize",
        move |ctx: Ctx<'js>, message: f64| -> Result<Vec<Value<'js>>> {
            let message = realm.event_loop().ports().take_message(number(message));
            let message = message.ok_or_else(|| {
                OpError::new("DataCloneError", "the message was taken before").throw(&ctx)
            })?;
            let received = clone::structured_deserialize_with_transfer(&ctx, &realm, message)
                .map_err(|error| error.throw(&ctx, &realm))?;
            let mut values = vec![received.value];
            values.extend(received.transferred);
            Ok(values)
        },
    )?;

    let realm = ops.realm();
    ops.add("op_message_drop", move |message: f64| {
        drop(realm.event_loop().ports().take_message(number(message)));
    })
}

/// Messages that no task has taken yet.
#[derive(Default)]
pub(in crate::js) struct UnderWay(RefCell<(u32, BTreeMap<u32, Serialized>)>);

impl UnderWay {
    /// Keeps a message until it is taken.
    pub(in crate::js) fn keep(&self, message: Serialized) -> u32 {
        let mut under_way = self.0.borrow_mut();
        under_way.0 = under_way.0.wrapping_add(1);
        let id = under_way.0;
        under_way.1.insert(id, message);
        id
    }

    /// Takes a message.
    pub(in crate::js) fn take(&self, id: u32) -> Option<Serialized> {
        self.0.borrow_mut().1.remove(&id)
    }
}
