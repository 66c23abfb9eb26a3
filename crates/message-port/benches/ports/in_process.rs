//! Rows P1 to P5: ports in one process. Every side carries the same type, [`Message`].

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use message_port::{Event, Message, MessageChannel, MessagePort};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::heap;
use crate::measure::{Contender, Plan, Row, Title, contender, measure};

/// Runs of each contender that count.
const RUNS: usize = 25;

/// A measurement, by the id that is asked for.
type Measurement = (&'static str, fn(&'static str) -> Row);

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    let measurements: [Measurement; 15] = [
        ("P1", |id| one_way(id, "one way, 64 B, two threads", shared)),
        ("P1-heap", |id| {
            one_way(id, "one way, 64 B of its own, two threads", owned)
        }),
        ("P1-batch", one_way_in_batches),
        ("P2", ping_pong_on_one_thread),
        ("P2-mt", ping_pong_on_two_threads),
        ("P2-threads", ping_pong_of_threads),
        ("P3", create),
        ("P3-warm", create_in_used_memory),
        ("P3-drop", create_and_drop),
        ("P4", idle_heap),
        ("P4-used", idle_heap_after_use),
        ("P5-0", |id| {
            move_with_queue::<0>(id, "move a port that holds 0 messages")
        }),
        ("P5-1", |id| {
            move_with_queue::<1>(id, "move a port that holds 1 message")
        }),
        ("P5-1000", |id| {
            move_with_queue::<1_000>(id, "move a port that holds 1,000 messages")
        }),
        ("P5-100000", |id| {
            move_with_queue::<100_000>(id, "move a port that holds 100,000 messages")
        }),
    ];
    let wanted = measurements.iter().filter(|(id, _)| plan.wants(id));
    wanted.map(|(id, measurement)| measurement(id)).collect()
}

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

/// A message whose payload costs nothing to make and to drop: what remains is the channel.
fn shared() -> Message {
    static PAYLOAD: [u8; 64] = [7; 64];
    Message::new(Bytes::from_static(&PAYLOAD))
}

/// A message whose payload is allocated by the sender and freed by the receiver.
fn owned() -> Message {
    Message::new(vec![7; 64])
}

// P1

const ONE_WAY: usize = 300_000;

fn one_way(id: &'static str, name: &'static str, message: fn() -> Message) -> Row {
    let title = Title {
        id,
        name,
        unit: "M messages/s",
        runs: RUNS,
    };
    measure(
        title,
        move || one_way_ours(message),
        one_way_rivals(message),
    )
}

fn one_way_ours(message: fn() -> Message) -> f64 {
    let (from, mut to) = channel();
    to.start();
    between_threads(
        move || {
            from.post_message(message());
        },
        move || matches!(to.recv_blocking(), Some(Event::Message(_))),
    )
}

fn one_way_rivals<'a>(message: fn() -> Message) -> Vec<Contender<'a>> {
    let flume = move || {
        let (from, to) = flume::unbounded();
        let send = move || from.send(message()).expect("the receiver lives");
        between_threads(send, move || to.recv().is_ok())
    };
    let crossbeam = move || {
        let (from, to) = crossbeam_channel::unbounded();
        let send = move || from.send(message()).expect("the receiver lives");
        between_threads(send, move || to.recv().is_ok())
    };
    let tokio = move || {
        let (from, mut to) = unbounded_channel();
        let send = move || from.send(message()).expect("the receiver lives");
        between_threads(send, move || to.blocking_recv().is_some())
    };
    vec![
        contender("flume", flume),
        contender("crossbeam-channel", crossbeam),
        contender("tokio mpsc", tokio),
    ]
}

fn one_way_in_batches(id: &'static str) -> Row {
    const BATCH: usize = 64;
    let title = Title {
        id,
        name: "one way, 64 B, received by up to 64",
        unit: "M messages/s",
        runs: RUNS,
    };
    let ours = || {
        let (from, mut to) = channel();
        to.start();
        let mut batch = Vec::with_capacity(BATCH);
        let mut waiting = 0;
        between_threads(
            move || {
                from.post_message(shared());
            },
            move || {
                if waiting == 0 {
                    batch.clear();
                    waiting = to.recv_many_blocking(&mut batch, BATCH);
                }
                waiting -= 1;
                true
            },
        )
    };
    let tokio = || {
        let (from, mut to) = unbounded_channel();
        let mut batch = Vec::with_capacity(BATCH);
        let mut waiting = 0;
        between_threads(
            move || from.send(shared()).expect("the receiver lives"),
            move || {
                if waiting == 0 {
                    batch.clear();
                    waiting = to.blocking_recv_many(&mut batch, BATCH);
                }
                waiting -= 1;
                true
            },
        )
    };
    let mut rivals = one_way_rivals(shared);
    rivals.truncate(1);
    rivals.push(contender("tokio recv_many", tokio));
    measure(title, ours, rivals)
}

/// Millions of messages a second, from the start of both threads to the last receive.
fn between_threads(mut send: impl FnMut() + Send, mut receive: impl FnMut() -> bool + Send) -> f64 {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for _ in 0..ONE_WAY {
                send();
            }
        });
        start.wait();
        let began = Instant::now();
        for _ in 0..ONE_WAY {
            assert!(receive(), "a message is missing");
        }
        ONE_WAY as f64 / began.elapsed().as_secs_f64() / 1e6
    })
}

// P2

fn ping_pong_on_one_thread(id: &'static str) -> Row {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without drivers needs nothing of the system");
    ping_pong(id, "ping-pong, two tasks of one thread", &runtime, 200_000)
}

fn ping_pong_on_two_threads(id: &'static str) -> Row {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).build();
    let runtime = runtime.expect("two threads can be started");
    ping_pong(id, "ping-pong, a runtime of two threads", &runtime, 20_000)
}

fn ping_pong(id: &'static str, name: &'static str, runtime: &Runtime, rounds: u32) -> Row {
    let title = Title {
        id,
        name,
        unit: "µs a round trip",
        runs: RUNS,
    };
    let per_round = move |took: Duration| took.as_secs_f64() * 1e6 / f64::from(rounds);
    let ours = || {
        let (mut near, mut far) = channel();
        near.start();
        far.start();
        runtime.block_on(async move {
            let echo = tokio::spawn(async move {
                while let Some(Event::Message(message)) = far.recv().await {
                    far.post_message(message);
                }
            });
            let task = tokio::spawn(async move {
                let began = Instant::now();
                for _ in 0..rounds {
                    near.post_message(shared());
                    let event = near.recv().await;
                    assert!(matches!(event, Some(Event::Message(_))));
                }
                began.elapsed()
            });
            let took = task.await.expect("the task does not panic");
            echo.await.expect("nor does the other");
            per_round(took)
        })
    };
    let tokio = || {
        let (near, far) = tokio_pair();
        runtime.block_on(async move {
            let (to_near, mut at_far) = far;
            let echo = tokio::spawn(async move {
                while let Some(message) = at_far.recv().await {
                    if to_near.send(message).is_err() {
                        break;
                    }
                }
            });
            let (to_far, mut at_near) = near;
            let task = tokio::spawn(async move {
                let began = Instant::now();
                for _ in 0..rounds {
                    to_far.send(shared()).expect("the echo lives");
                    assert!(at_near.recv().await.is_some());
                }
                began.elapsed()
            });
            let took = task.await.expect("the task does not panic");
            echo.await.expect("nor does the other");
            per_round(took)
        })
    };
    measure(title, ours, vec![contender("tokio mpsc", tokio)])
}

fn ping_pong_of_threads(id: &'static str) -> Row {
    let title = Title {
        id,
        name: "ping-pong, two threads that block",
        unit: "µs a round trip",
        runs: RUNS,
    };
    let ours = || {
        let (mut near, mut far) = channel();
        near.start();
        far.start();
        let echo = move || match far.recv_blocking() {
            Some(Event::Message(message)) => {
                far.post_message(message);
                true
            }
            Some(Event::Close) | None => false,
        };
        let round = move || {
            near.post_message(shared());
            matches!(near.recv_blocking(), Some(Event::Message(_)))
        };
        round_trips(round, echo)
    };
    let crossbeam = || {
        let (near, far) = crossbeam_pair();
        let echo = move || far.1.recv().is_ok_and(|m| far.0.send(m).is_ok());
        let round = move || near.0.send(shared()).is_ok() && near.1.recv().is_ok();
        round_trips(round, echo)
    };
    let flume = || {
        let (near, far) = flume_pair();
        let echo = move || far.1.recv().is_ok_and(|m| far.0.send(m).is_ok());
        let round = move || near.0.send(shared()).is_ok() && near.1.recv().is_ok();
        round_trips(round, echo)
    };
    let rivals = vec![
        contender("crossbeam-channel", crossbeam),
        contender("flume", flume),
    ];
    measure(title, ours, rivals)
}

/// Microseconds a round trip, with the echo on a thread of its own until its channel ends.
fn round_trips(
    mut round: impl FnMut() -> bool,
    mut echo: impl FnMut() -> bool + Send + 'static,
) -> f64 {
    const ROUNDS: u32 = 2_000;
    let echoing = thread::spawn(move || while echo() {});
    let began = Instant::now();
    for _ in 0..ROUNDS {
        assert!(round(), "the echo is gone");
    }
    let took = began.elapsed();
    drop(round);
    echoing.join().expect("the echo does not panic");
    took.as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

// P3

fn create(id: &'static str) -> Row {
    create_many(id, "create an entangled pair and keep it", 1_000, true)
}

fn create_in_used_memory(id: &'static str) -> Row {
    create_many(
        id,
        "create an entangled pair in memory used before",
        100,
        false,
    )
}

fn create_many(id: &'static str, name: &'static str, pairs: usize, keep: bool) -> Row {
    let title = Title {
        id,
        name,
        unit: "µs",
        runs: RUNS,
    };
    let rivals = vec![
        contender("crossbeam-channel", creation(crossbeam_pair, pairs, keep)),
        contender("tokio mpsc", creation(tokio_pair, pairs, keep)),
        contender("flume", creation(flume_pair, pairs, keep)),
    ];
    measure(title, creation(channel, pairs, keep), rivals)
}

/// The time to make one pair of many, in microseconds; dropping them is left out. If they are
/// kept until the end, each run needs memory that the process did not have before.
fn creation<T>(make: fn() -> T, pairs: usize, keep: bool) -> impl FnMut() -> f64 {
    let mut kept = Vec::new();
    move || {
        let mut made = Vec::with_capacity(pairs);
        let began = Instant::now();
        for _ in 0..pairs {
            made.push(make());
        }
        let took = began.elapsed();
        let made = black_box(made);
        if keep {
            kept.push(made);
        }
        took.as_secs_f64() * 1e6 / pairs as f64
    }
}

fn create_and_drop(id: &'static str) -> Row {
    let title = Title {
        id,
        name: "create an entangled pair and drop it",
        unit: "µs",
        runs: RUNS,
    };
    let ours = || dropped(channel);
    measure(title, ours, {
        vec![
            contender("crossbeam-channel", || dropped(crossbeam_pair)),
            contender("tokio mpsc", || dropped(tokio_pair)),
            contender("flume", || dropped(flume_pair)),
        ]
    })
}

fn dropped<T>(make: fn() -> T) -> f64 {
    const PAIRS: usize = 1_000;
    let began = Instant::now();
    for _ in 0..PAIRS {
        drop(black_box(make()));
    }
    began.elapsed().as_secs_f64() * 1e6 / PAIRS as f64
}

// A pair goes both ways, so it is two channels of the rivals.

type TokioEnd = (UnboundedSender<Message>, UnboundedReceiver<Message>);

fn tokio_pair() -> (TokioEnd, TokioEnd) {
    let (there, far) = unbounded_channel();
    let (back, near) = unbounded_channel();
    ((there, near), (back, far))
}

type FlumeEnd = (flume::Sender<Message>, flume::Receiver<Message>);

fn flume_pair() -> (FlumeEnd, FlumeEnd) {
    let (there, far) = flume::unbounded();
    let (back, near) = flume::unbounded();
    ((there, near), (back, far))
}

type CrossbeamEnd = (
    crossbeam_channel::Sender<Message>,
    crossbeam_channel::Receiver<Message>,
);

fn crossbeam_pair() -> (CrossbeamEnd, CrossbeamEnd) {
    let (there, far) = crossbeam_channel::unbounded();
    let (back, near) = crossbeam_channel::unbounded();
    ((there, near), (back, far))
}

// P4

fn idle_heap(id: &'static str) -> Row {
    let title = Title {
        id,
        name: "heap of an idle pair",
        unit: "bytes",
        runs: 1,
    };
    let ours = || heap::held_by(channel) as f64;
    measure(title, ours, {
        vec![
            contender("tokio mpsc", || heap::held_by(tokio_pair) as f64),
            contender("crossbeam-channel", || heap::held_by(crossbeam_pair) as f64),
            contender("flume", || heap::held_by(flume_pair) as f64),
        ]
    })
}

fn idle_heap_after_use(id: &'static str) -> Row {
    const MESSAGES: usize = 4;
    let title = Title {
        id,
        name: "heap of a pair after 4 messages each way",
        unit: "bytes",
        runs: 1,
    };
    let ours = || {
        let made = heap::held_by(|| {
            let (mut near, mut far) = channel();
            near.start();
            far.start();
            for _ in 0..MESSAGES {
                near.post_message(shared());
                far.post_message(shared());
            }
            while near.try_recv().is_ok() {}
            while far.try_recv().is_ok() {}
            (near, far)
        });
        made as f64
    };
    let tokio = || {
        let made = heap::held_by(|| {
            let (mut near, mut far) = tokio_pair();
            for _ in 0..MESSAGES {
                near.0.send(shared()).expect("the receiver lives");
                far.0.send(shared()).expect("the receiver lives");
            }
            while near.1.try_recv().is_ok() {}
            while far.1.try_recv().is_ok() {}
            (near, far)
        });
        made as f64
    };
    measure(title, ours, vec![contender("tokio mpsc", tokio)])
}

// P5

fn move_with_queue<const N: usize>(id: &'static str, name: &'static str) -> Row {
    let title = Title {
        id,
        name,
        unit: "µs",
        runs: RUNS,
    };
    let ours = move || moved(N);
    let base = || moved(1);
    measure(title, ours, vec![contender("one message", base)])
}

/// The time from the post of a port that holds `messages` until its first message is there, in
/// microseconds: the median of some moves, each of a port of its own. Another port is filled up to
/// the longest queue in between, so that the first message lies equally far back in the memory's
/// caches whatever the length is.
fn moved(messages: usize) -> f64 {
    const MOVES: usize = 29;
    const LONGEST: usize = 100_000;
    let (carrier, mut arrivals) = channel();
    arrivals.start();
    let mut times: Vec<Duration> = (0..MOVES)
        .map(|_| {
            let (writer, port) = channel();
            for _ in 0..messages {
                writer.post_message(shared());
            }
            let (other_writer, _other_port) = channel();
            for _ in messages..LONGEST {
                other_writer.post_message(shared());
            }
            let began = Instant::now();
            let transferred = port.transfer().expect("the port is not closed");
            carrier.post_message(Message::new(Bytes::new()).with_port(transferred));
            let Ok(Event::Message(mut message)) = arrivals.try_recv() else {
                panic!("the port is missing")
            };
            let mut port = message.ports.remove(0).receive();
            port.start();
            let first = port.try_recv();
            let took = began.elapsed();
            assert_eq!(first.is_ok(), messages > 0);
            took
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}
