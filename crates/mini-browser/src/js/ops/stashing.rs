//! Of stashed ports: their views are the prelude's (`stashed_ports.js`), by the numbers of entries.

use rquickjs::{Array, Ctx, Result, Value};
use service_worker::EntryId;

use super::clone::transfer_list;
use super::worker::worker_id;
use super::{OpError, Ops};
use crate::js::clone;
use crate::js::ports::{adopt, number};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Moves a port into the stash: its entry, or null if nothing can come of it any more.
    let realm = ops.realm();
    ops.add(
        "op_stash_add",
        move |ctx: Ctx<'js>, name: String, port: f64| -> Result<Option<f64>> {
            let worker = worker_id(&ctx, &realm)?;
            let stashed = realm.event_loop().ports().stash(number(port), |port| {
                realm.seam().stash_port(worker, &name, port)
            });
            match stashed {
                Ok(entry) => Ok(entry.map(entry_number)),
                Err(reason) => Err(OpError::new(reason.name(), reason.to_string()).throw(&ctx)),
            }
        },
    )?;

    let realm = ops.realm();
    ops.add("op_stash_match", move |ctx: Ctx<'js>, name: String| {
        let worker = worker_id(&ctx, &realm)?;
        let found = realm.seam().match_stashed(worker, &name);
        Result::Ok(found.into_iter().map(entry_number).collect::<Vec<_>>())
    })?;

    let realm = ops.realm();
    ops.add(
        "op_stash_post",
        move |ctx: Ctx<'js>,
              entry: f64,
              value: Value<'js>,
              transfer: Option<Array<'js>>|
              -> Result<()> {
            let worker = worker_id(&ctx, &realm)?;
            let transfer = transfer_list(transfer)?;
            let serialized =
                clone::structured_serialize_with_transfer(&ctx, &realm, &value, &transfer)
                    .map_err(|error| error.throw(&ctx, &realm))?;
            let message = serialized.into();
            realm.seam().post_stashed(worker, entry_id(entry), message);
            Ok(())
        },
    )?;

    // The number of the port that leaves the stash; null if the entry is gone.
    let realm = ops.realm();
    ops.add(
        "op_stash_transfer",
        move |ctx: Ctx<'js>, entry: f64| -> Result<Option<u32>> {
            let worker = worker_id(&ctx, &realm)?;
            let port = realm.seam().transfer_stashed(worker, entry_id(entry));
            Ok(port.map(|port| adopt(&realm, port.receive())))
        },
    )?;

    // Keeps a port for the stash until the worker stops.
    let realm = ops.realm();
    ops.add(
        "op_stash_when_stopped",
        move |ctx: Ctx<'js>, name: String, port: f64| {
            let worker = worker_id(&ctx, &realm)?;
            let may = realm.seam().may_stash(worker);
            may.map_err(|error| OpError::new(error.name(), error.to_string()).throw(&ctx))?;
            let ports = realm.event_loop().ports();
            ports.stash_when_stopped(number(port), name);
            Result::Ok(())
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_stash_rename",
        move |ctx: Ctx<'js>, entry: f64, name: String| {
            let worker = worker_id(&ctx, &realm)?;
            let renamed = realm.seam().rename_stashed(worker, entry_id(entry), &name);
            renamed.map_err(|error| OpError::new(error.name(), error.to_string()).throw(&ctx))
        },
    )?;

    // Null if the entry is gone.
    let realm = ops.realm();
    ops.add("op_stash_name", move |ctx: Ctx<'js>, entry: f64| {
        let worker = worker_id(&ctx, &realm)?;
        Result::Ok(realm.seam().stashed_name(worker, entry_id(entry)))
    })?;

    let realm = ops.realm();
    ops.add("op_stash_close", move |ctx: Ctx<'js>, entry: f64| {
        let worker = worker_id(&ctx, &realm)?;
        realm.seam().close_stashed(worker, entry_id(entry));
        Result::Ok(())
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "entries are counters below 2^53"
)]
const fn entry_number(entry: EntryId) -> f64 {
    entry.0 as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "entries are counters below 2^53 that the prelude got from here"
)]
const fn entry_id(entry: f64) -> EntryId {
    EntryId(entry as u64)
}
