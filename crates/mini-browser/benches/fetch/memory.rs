//! Row F5: a long body through a worker, how fast it comes and what it takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::measure::{Plan, Row, Title, contender, measure};
use crate::world::{Of, World};

const MEBIBYTES: u32 = 1024;
const RUNS: usize = 3;

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    if !plan.wants("F5") {
        return Vec::new();
    }
    let world = World::start(Duration::from_secs(300));
    let before = resident();
    let mut rows = Vec::new();
    let title = |id, name, unit| Title {
        id,
        name,
        unit,
        runs: RUNS,
    };
    let plain = || contender("no worker", || speed(&world, Of::Nobody, "stream"));
    // First: what a body has left in the heap is counted, too.
    if plan.wants("F5-memory") {
        rows.push(measure(
            title(
                "F5-memory",
                "the same, since before any: memory grows by",
                "MiB",
            ),
            || growth(&world, Of::Worker, before),
            vec![contender("no worker", || {
                growth(&world, Of::Nobody, before)
            })],
        ));
    }
    if plan.wants("F5") {
        rows.push(measure(
            title("F5", "1 GiB through respondWith(fetch(request))", "MiB/s"),
            || speed(&world, Of::Worker, "stream"),
            vec![plain()],
        ));
    }
    if plan.wants("F5-script") {
        rows.push(measure(
            title(
                "F5-script",
                "1 GiB through new Response(response.body)",
                "MiB/s",
            ),
            || speed(&world, Of::Worker, "through"),
            vec![plain()],
        ));
    }
    rows
}

/// Reads the stream to its end, in the page.
fn speed(world: &World, of: Of, path: &str) -> f64 {
    let script = format!(
        "const begun = performance.now();
        const reader = (await fetch('/{path}/{MEBIBYTES}')).body.getReader();
        let length = 0;
        for (;;) {{
            const {{ done, value }} = await reader.read();
            if (done) break;
            length += value.length;
        }}
        if (length !== {MEBIBYTES} * 2 ** 20) throw new Error(`found ${{length}} bytes`);
        return {MEBIBYTES} * 1e3 / (performance.now() - begun);"
    );
    world.run(of, &script)
}

/// How much more memory the process has meanwhile, at most, than it had `before` it read any such
/// body; in MiB.
fn growth(world: &World, of: Of, before: u64) -> f64 {
    let peak = AtomicU64::new(before);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        speed(world, of, "stream");
        over.store(true, Ordering::Relaxed);
    });
    let grown = peak.load(Ordering::Relaxed).saturating_sub(before);
    // Never nothing, so that there is a ratio.
    f64::from(u32::try_from(grown).unwrap_or(u32::MAX)).max(1.0) / 1024.0
}

/// What the process has in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status");
    let status = status.unwrap_or_else(|error| panic!("/proc/self/status: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or_else(|| panic!("no VmRSS in /proc/self/status"))
}
