//! Rows J1 to J3: messages between a page and a worker.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use service_worker::message_port::MessageChannel;

use crate::agents::{agent, pair, run};
use crate::measure::{Contender, Plan, Row, Title, contender, measure};
use crate::rivals::Rival;

/// Runs of each contender that count.
const RUNS: usize = 9;
/// Round trips of a run.
const TRIPS: u32 = 5_000;
/// Messages of a run.
const MESSAGES: u32 = 100_000;
/// Workers of a run.
const WORKERS: u32 = 20;

struct Measurement {
    title: Title,
    run: fn() -> f64,
    count: u32,
}

fn measurements(plan: &Plan) -> Vec<Measurement> {
    let row = |id, name, unit, run, count| Measurement {
        title: Title {
            id,
            name,
            unit,
            runs: RUNS,
        },
        run,
        count,
    };
    let all = [
        row(
            "J1",
            "page and worker, round trip, short string",
            "µs",
            round_trip as fn() -> f64,
            TRIPS,
        ),
        row(
            "J2",
            "one way, objects with a 100 B string",
            "M/s",
            one_way,
            MESSAGES,
        ),
        row(
            "J3",
            "start a worker, get its first message",
            "ms",
            start,
            WORKERS,
        ),
    ];
    all.into_iter()
        .filter(|row| plan.wants(row.title.id))
        .collect()
}

pub(crate) fn rows(plan: &Plan, rivals: &[&Rival]) -> Vec<Row> {
    let measurements = measurements(plan).into_iter();
    measurements
        .map(|Measurement { title, run, count }| {
            let id = title.id;
            let contenders: Vec<Contender<'_>> = rivals
                .iter()
                .map(|rival| contender(rival.name, move || rival.run(id, count)))
                .collect();
            measure(title, run, contenders)
        })
        .collect()
}

/// Without rivals, many times: what each run gave.
pub(crate) fn alone(plan: &Plan) {
    for Measurement { title, run, .. } in measurements(plan) {
        let mut values: Vec<f64> = (0..30).map(|_| run()).collect();
        values.sort_by(f64::total_cmp);
        let [low, median, high] = [2, 15, 27].map(|at| values[at]);
        println!(
            "{} {}: {median:.3} {} ({low:.3} – {high:.3})",
            title.id, title.name, title.unit
        );
    }
}

fn round_trip() -> f64 {
    let pair = pair();
    run(
        &pair.second,
        "port.onmessage = ({ data }) => port.postMessage(data); done();",
    )
    .wait();
    let script = format!(
        "let left = {TRIPS};
        port.onmessage = () => {{ if (--left === 0) done(); else port.postMessage('ping'); }};
        port.postMessage('ping');"
    );
    let begun = Instant::now();
    run(&pair.first, &script).wait();
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(TRIPS)
}

fn one_way() -> f64 {
    let pair = pair();
    let received = run(
        &pair.second,
        &format!(
            "let left = {MESSAGES}; port.onmessage = ({{ data }}) => {{ if (data.text.length === 100 && --left === 0) done(); }};"
        ),
    );
    let script = format!(
        "const text = 'x'.repeat(100);
        for (let id = 0; id < {MESSAGES}; id++) port.postMessage({{ id, text }});"
    );
    let begun = Instant::now();
    run(&pair.first, &script);
    received.wait();
    f64::from(MESSAGES) / begun.elapsed().as_secs_f64() / 1e6
}

fn start() -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..WORKERS {
        let (page, worker) = MessageChannel::new().into();
        let (sender, heard) = channel();
        let page = agent(
            page,
            "port.onmessage = () => done();".to_owned(),
            Some(sender),
        );
        let (sender, ready) = channel();
        page.post(
            mini_browser::js::RealmId::MAIN,
            mini_browser::js::TaskSource::Dom,
            move |_| {
                sender.send(()).unwrap_or_default();
            },
        );
        ready.wait();
        let begun = Instant::now();
        let worker = agent(worker, "port.postMessage('first');".to_owned(), None);
        heard.wait();
        spent += begun.elapsed();
        drop((page, worker));
    }
    spent.as_secs_f64() * 1e3 / f64::from(WORKERS)
}

trait Wait {
    fn wait(self);
}

impl Wait for Receiver<()> {
    fn wait(self) {
        if self.recv_timeout(Duration::from_secs(120)).is_err() {
            panic!("an agent did not answer");
        }
    }
}
