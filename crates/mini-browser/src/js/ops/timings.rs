//! Of resource and navigation timing: the entries that the realm's fetches have left.

use std::future::poll_fn;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rquickjs::{Ctx, Promise, Result};
use serde_json::Value;

use super::{Ops, promise};
use crate::js::json::Json;
use crate::js::timings::Timings;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // The entries since it was asked last.
    let timings = ops.realm().local::<Timings>();
    ops.add("op_resource_timings", move || {
        Json(std::iter::from_fn(|| timings.take()).collect())
    })?;

    // The next entry, when there is one; null if the realm ends.
    let realm = ops.realm();
    ops.add(
        "op_next_resource_timing",
        move |ctx: Ctx<'js>| -> Result<Promise<'js>> {
            let timings = realm.local::<Timings>();
            promise(&ctx, &realm, async move {
                let next = poll_fn(|cx| timings.poll_next(cx)).await;
                Ok(Json(next.unwrap_or(Value::Null)))
            })
        },
    )?;

    // The document's own entry, or null.
    let timings = ops.realm().local::<Timings>();
    ops.add("op_navigation_timing", move || {
        Json(timings.navigation().unwrap_or(Value::Null))
    })?;

    // The time origin, in milliseconds since the epoch. It is told from one reading of both clocks, so
    // that the realms of an agent agree.
    let realm = ops.realm();
    ops.add("op_time_origin", move || {
        let (instant, wall) = *CLOCKS;
        let started = realm.started();
        let after = started.saturating_duration_since(instant).as_secs_f64();
        let before = instant.saturating_duration_since(started).as_secs_f64();
        (wall + after - before) * 1000.0
    })
}

/// An instant, and what the wall clock said then, in seconds since the epoch.
static CLOCKS: std::sync::LazyLock<(Instant, f64)> = std::sync::LazyLock::new(|| {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    (Instant::now(), wall.unwrap_or_default().as_secs_f64())
});
