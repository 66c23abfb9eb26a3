//! Rows F2 to F4, F6 and T3 with pages and workers in QuickJS.

use std::time::Duration;

use crate::measure::{Plan, Row, Title, contender, measure};
use crate::rival::Rival;
use crate::world::{Of, World};

/// Runs of each contender that count.
const RUNS: usize = 9;

/// Fetches of a run.
const COUNT: u32 = 1_000;

const HELLO: &str = "/hello";

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    if ["F2", "F3", "F6"].iter().any(|id| plan.wants(id)) {
        let world = World::start(Duration::from_secs(30));
        warm(&world, plan, &mut rows);
    }
    if plan.wants("F4") {
        rows.push(stopped());
    }
    if plan.wants("T3") {
        rows.push(stashed());
    }
    rows
}

fn warm(world: &World, plan: &Plan, rows: &mut Vec<Row>) {
    let rival = Rival::start(world);
    let one = || one_after_another(world, Of::Worker, &format!("{HELLO:?}"));
    if plan.wants("F2") {
        let title = title("F2", "page → warm worker → text, QuickJS", "µs");
        let hops = contender("two hops, response", || rival.run(COUNT));
        rows.push(measure(title, one, vec![hops]));
    }
    if plan.wants("F2-wakes") {
        let title = title("F2-wakes", "the same: polls of the driver", "in 1,000");
        let polls = || {
            let workers = world.browser().service_workers();
            let before = workers.driver_polls();
            one();
            let polls = workers.driver_polls() - before;
            f64::from(u32::try_from(polls).unwrap_or(u32::MAX))
        };
        let fetches = contender("fetches", || f64::from(COUNT));
        rows.push(measure(title, polls, vec![fetches]));
    }
    if plan.wants("F3") {
        let title = title("F3", "the same, 16 at once, QuickJS", "1/s");
        let at_once = || 1e6 / at_once(world, 16);
        let alone = contender("one after another", || 1e6 / one());
        rows.push(measure(title, at_once, vec![alone]));
    }
    if plan.wants("F6") {
        let title = title("F6", "one fall-through hop → text, QuickJS", "µs");
        let hop = || one_after_another(world, Of::Nobody, "`${service}font`");
        rows.push(measure(title, hop, vec![contender("F2", one)]));
    }
}

/// F4: the worker is stopped between fetches.
fn stopped() -> Row {
    const TIMES: u32 = 8;
    let world = World::start(Duration::from_millis(30));
    let timed = |wait: u32, expected: &str| {
        let script = format!(
            "const times = [];
            for (let i = 0; i < {TIMES}; i++) {{
                await new Promise((done) => setTimeout(done, {wait}));
                const begun = performance.now();
                const text = await (await fetch('/count')).text();
                times.push(performance.now() - begun);
                if ({expected}) throw new Error(`found ${{text}}`);
            }}
            return times.sort((a, b) => a - b)[{TIMES} / 2];"
        );
        world.run(Of::Worker, &script)
    };
    let warm = World::start(Duration::from_secs(30));
    let title = title("F4", "the same after the worker was stopped, QuickJS", "ms");
    measure(
        title,
        || timed(150, "text !== '0'"),
        vec![contender("F2", || {
            one_after_another(&warm, Of::Worker, &format!("{HELLO:?}")) / 1e3
        })],
    )
}

/// T3: a message to a stashed port of a stopped worker, until the page has its handler's answer.
fn stashed() -> Row {
    const TIMES: u32 = 8;
    let told = |idle: u64, wait: u32| {
        let world = World::start(Duration::from_millis(idle));
        let script = format!(
            "const {{ port1, port2 }} = new MessageChannel();
            const heard = () => new Promise((done) => {{ port1.onmessage = done; }});
            const stashed = heard();
            (await navigator.serviceWorker.ready).active.postMessage(null, [port2]);
            await stashed;
            const times = [];
            for (let i = 0; i < {TIMES}; i++) {{
                await new Promise((done) => setTimeout(done, {wait}));
                const begun = performance.now();
                const answer = heard();
                port1.postMessage(i);
                const {{ data }} = await answer;
                times.push(performance.now() - begun);
                if (data !== i) throw new Error(`found ${{data}}`);
            }}
            return times.sort((a, b) => a - b)[{TIMES} / 2];"
        );
        world.run(Of::Worker, &script)
    };
    let title = title(
        "T3",
        "stashed port of a stopped worker → its handler → answer, QuickJS",
        "ms",
    );
    measure(
        title,
        || told(30, 150),
        vec![contender("a running worker", || told(30_000, 0))],
    )
}

/// Microseconds a fetch.
fn one_after_another(world: &World, of: Of, url: &str) -> f64 {
    let script = format!(
        "const url = {url};
        const begun = performance.now();
        for (let i = 0; i < {COUNT}; i++) {{
            const text = await (await fetch(url)).text();
            if (text !== 'hello') throw new Error(`found ${{text}}`);
        }}
        return (performance.now() - begun) * 1e3 / {COUNT};"
    );
    world.run(of, &script)
}

/// Microseconds a fetch, some at a time.
fn at_once(world: &World, width: u32) -> f64 {
    let script = format!(
        "const begun = performance.now();
        let left = {COUNT};
        await Promise.all(Array.from({{ length: {width} }}, async () => {{
            while (left-- > 0) await (await fetch({HELLO:?})).text();
        }}));
        return (performance.now() - begun) * 1e3 / {COUNT};"
    );
    world.run(Of::Worker, &script)
}

const fn title(id: &'static str, name: &'static str, unit: &'static str) -> Title {
    Title {
        id,
        name,
        unit,
        runs: RUNS,
    }
}
