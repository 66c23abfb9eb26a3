//! Rows X1 to X5: ports between two processes, over a Unix socket. The other process is this
//! program again, once for each contender; it serves until its socket ends.

mod contenders;
pub(crate) mod servant;

use std::time::Instant;

use contenders::{Ipc, Ours, Raw};

use crate::heap;
use crate::measure::{Plan, Row, Title, contender, measure};

/// Runs of each contender that count.
const RUNS: usize = 15;

/// A measurement, by the id that is asked for.
type Measurement = (&'static str, fn(&'static str) -> Row);

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    let measurements: [Measurement; 8] = [
        ("X1", |id| {
            let name = "round trip to another process, 64 B";
            round_trip(id, name, (64, 2_000), "raw socket, tokio")
        }),
        ("X1-links", beside_others),
        ("X2", one_way),
        ("X3", |id| {
            let name = "round trip to another process, 64 KiB";
            round_trip(id, name, (64 * 1024, 500), "ipc-channel, Vec<u8>")
        }),
        ("X4", |id| {
            memory(
                id,
                "heap of an open port, 100,000 over one link, a side",
                false,
            )
        }),
        ("X4-used", |id| {
            memory(id, "the same after a round trip on each", true)
        }),
        ("X4-fds", descriptors),
        ("X5", moved),
    ];
    let wanted = measurements.iter().filter(|(id, _)| plan.wants(id));
    wanted.map(|(id, measurement)| measurement(id)).collect()
}

/// The time that one of `count` calls takes, in microseconds.
fn microseconds(count: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

/// `count` round trips of so many bytes. `named`: the rival that the target names.
fn round_trip(
    id: &'static str,
    name: &'static str,
    (length, count): (usize, u32),
    named: &str,
) -> Row {
    let title = Title {
        id,
        name,
        unit: "µs",
        runs: RUNS,
    };
    let (mut ours, mut raw) = (Ours::start(), Raw::start());
    let (ipc, values) = (Ipc::start(), Ipc::start_with_values());
    let mut blocking = Raw::start_blocking();
    let mut rivals = vec![
        contender("raw socket, tokio", move || raw.round_trips(count, length)),
        contender("ipc-channel, Vec<u8>", move || {
            values.round_trips(count, length)
        }),
        contender("ipc-channel, bytes", move || ipc.round_trips(count, length)),
        contender("raw socket, blocking", move || {
            blocking.round_trips_blocking(count, length)
        }),
    ];
    rivals.sort_by_key(|rival| rival.name != named);
    measure(title, move || ours.round_trips(count, length), rivals)
}

/// On one of a thousand links, beside the only one of a node.
fn beside_others(id: &'static str) -> Row {
    const OTHERS: usize = 999;
    const COUNT: u32 = 2_000;
    let title = Title {
        id,
        name: "the same on one of a thousand links",
        unit: "µs",
        runs: RUNS,
    };
    let (mut many, mut one) = (Ours::start().beside(OTHERS), Ours::start());
    measure(
        title,
        move || many.round_trips(COUNT, 64),
        vec![contender("an only link", move || {
            one.round_trips(COUNT, 64)
        })],
    )
}

fn one_way(id: &'static str) -> Row {
    const COUNT: u32 = 200_000;
    let title = Title {
        id,
        name: "one way to another process, 100 B",
        unit: "M messages/s",
        runs: RUNS,
    };
    let (ipc, values) = (Ipc::start(), Ipc::start_with_values());
    let mut ours = Ours::start();
    let rate = |call: &mut dyn FnMut()| f64::from(COUNT) / microseconds(1, call);
    measure(
        title,
        move || rate(&mut || ours.one_way(COUNT, 100)),
        vec![
            contender("ipc-channel, Vec<u8>", move || {
                rate(&mut || values.one_way(COUNT, 100))
            }),
            contender("ipc-channel, bytes", move || {
                rate(&mut || ipc.one_way(COUNT, 100))
            }),
        ],
    )
}

/// Heap of one side for each port whose partner is in the other process, all structures included.
fn memory(id: &'static str, name: &'static str, used: bool) -> Row {
    const OURS: usize = 100_000;
    const RIVAL: usize = 1_000;
    let title = Title {
        id,
        name,
        unit: "B",
        runs: 1,
    };
    measure(
        title,
        || {
            let mut ours = Ours::start();
            let held = heap::held_by(|| ours.open_ports(OURS, used));
            held as f64 / OURS as f64
        },
        vec![contender("ipc-channel (1,000)", || {
            let held = heap::held_by(|| Ipc::start().with_channels(RIVAL));
            held as f64 / RIVAL as f64
        })],
    )
}

/// Descriptors of this process for a thousand open ports.
fn descriptors(id: &'static str) -> Row {
    const PORTS: usize = 1_000;
    let title = Title {
        id,
        name: "descriptors for 1,000 open ports, a side",
        unit: "",
        runs: 1,
    };
    measure(
        title,
        || {
            let before = open_descriptors();
            let mut ours = Ours::start();
            // The runtime's own, which a program has anyway, not counted.
            let runtime = ours.descriptors_of_runtime();
            let ports = ours.open_ports(PORTS, false);
            let during = open_descriptors();
            drop(ports);
            (during - before - runtime) as f64
        },
        vec![contender("ipc-channel", || {
            let before = open_descriptors();
            let held = Ipc::start().with_channels(PORTS);
            let during = open_descriptors();
            drop(held);
            (during - before) as f64
        })],
    )
}

fn open_descriptors() -> usize {
    let folder = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    folder.count()
}

/// A port that has moved a thousand times between the processes beside one that never moved.
fn moved(id: &'static str) -> Row {
    const MOVES: usize = 1_000;
    const COUNT: u32 = 2_000;
    let title = Title {
        id,
        name: "round trip on a port that moved 1,000 times, 64 B",
        unit: "µs",
        runs: RUNS,
    };
    let (mut travelled, mut settled) = (Ours::start(), Ours::start());
    let (mut far, mut near) = (travelled.travelled(MOVES), settled.travelled(1));
    measure(
        title,
        move || travelled.round_trips_on(&mut far, COUNT, 64),
        vec![contender("one that moved once", move || {
            settled.round_trips_on(&mut near, COUNT, 64)
        })],
    )
}
