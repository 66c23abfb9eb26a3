//! Of the realm itself: lazy modules, hooks, console, timers, microtasks, time and randomness.

use std::time::Duration;

use rquickjs::{Ctx, Function, Object, Persistent, Result, Value};

use super::{OpError, Ops};
use crate::js::console::ConsoleLevel;
use crate::js::error::Exception;
use crate::js::realm::Realm;
use crate::js::{JsBytes, TaskSource, loader};

/// The longest delay of a timer, in milliseconds; longer ones wrap in the standard.
const LONGEST_DELAY: f64 = 2_147_483_647.0;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add(
        "op_load",
        move |ctx: Ctx<'js>, file: String| -> Result<Object<'js>> { realm.module(&ctx, &file) },
    )?;

    ops.add("op_has", |file: String| loader::has(&file))?;

    let realm = ops.realm();
    ops.add(
        "op_set_hook",
        move |ctx: Ctx<'js>, name: String, hook: Function<'js>| {
            realm.set_hook(name, Persistent::save(&ctx, hook));
        },
    )?;

    let realm = ops.realm();
    ops.add("op_microtasks", move |ctx: Ctx<'js>| {
        realm.run_microtasks(&ctx)
    })?;

    let realm = ops.realm();
    ops.add("op_report", move |ctx: Ctx<'js>, thrown: Value<'js>| {
        ctx.throw(thrown);
        realm.report(&ctx);
    })?;

    let realm = ops.realm();
    ops.add("op_describe_error", move |thrown: Value<'js>| {
        Exception::of(&thrown, realm.url().as_str()).to_string()
    })?;

    let realm = ops.realm();
    ops.add("op_console", move |level: String, text: String| {
        realm.log(ConsoleLevel::from_name(&level), &text);
    })?;

    let realm = ops.realm();
    ops.add("op_timer_start", move |id: u32, delay: f64| {
        let delay = if delay > LONGEST_DELAY {
            0.0
        } else {
            delay.max(0.0)
        };
        let delay = Duration::try_from_secs_f64(delay / 1000.0).unwrap_or_default();
        realm.event_loop().start_timer(realm.id(), id, delay);
    })?;

    let realm = ops.realm();
    ops.add("op_timer_clear", move |id: u32| {
        realm.event_loop().clear_timer(realm.id(), id);
    })?;

    let realm = ops.realm();
    ops.add(
        "op_queue_task",
        move |ctx: Ctx<'js>, source: String, task: Function<'js>| {
            let task = Persistent::save(&ctx, task);
            let run = move |realm: &Realm| {
                realm.with(|ctx| {
                    let ran = task.restore(ctx).and_then(|task| task.call::<_, ()>(()));
                    if ran.is_err() {
                        realm.state().report(ctx);
                    }
                });
            };
            match source.as_str() {
                "document" => realm.queue_before_messages(TaskSource::Dom, run),
                source => realm.queue(TaskSource::from_name(source), run),
            }
        },
    )?;

    let realm = ops.realm();
    ops.add("op_now", move || {
        realm.started().elapsed().as_secs_f64() * 1000.0
    })?;

    let realm = ops.realm();
    ops.add("op_realm_id", move || {
        super::windows::to_number(realm.id().0)
    })?;

    let realm = ops.realm();
    ops.add("op_facts", move |ctx: Ctx<'js>| -> Result<Object<'js>> {
        let facts = Object::new(ctx)?;
        let url = realm.url();
        facts.set("href", url.as_str())?;
        facts.set("origin", realm.environment().origin.as_str())?;
        facts.set("secure", realm.environment().secure_context)?;
        Ok(facts)
    })?;

    let realm = ops.realm();
    ops.add("op_blocks_code_generation", move || {
        realm.policies().content_security.blocks_code_generation()
    })?;

    ops.add(
        "op_random",
        |ctx: Ctx<'js>, length: usize| -> Result<JsBytes> {
            if length > 65536 {
                let message = "more than 65536 bytes were asked for";
                return Err(OpError::new("QuotaExceededError", message).throw(&ctx));
            }
            let mut bytes = vec![0; length];
            fill_random(&mut bytes)
                .map_err(|message| OpError::new("OperationError", message).throw(&ctx))?;
            Ok(JsBytes(bytes.into()))
        },
    )
}

fn fill_random(bytes: &mut [u8]) -> std::result::Result<(), String> {
    let provider = rustls::crypto::ring::default_provider();
    let filled = provider.secure_random.fill(bytes);
    filled.map_err(|_| "the system gives no randomness".to_owned())
}
