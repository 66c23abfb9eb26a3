//! Random clients, workers and handlers against a small model: every connect settles exactly once
//! and at the time that the model says, and no port is lost.
//!
//! Replay a run with `CONNECT_SEED=<the printed seed>`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connect::{
    Caller, Candidate, Connect, ConnectError, Connector, Decision, Input, Limits, Output,
};
use sw_types::{
    ClientId, Environment, EventId, EventType, EventTypes, RegistrationId, RequestId, WorkerId,
    WorkerState,
};
use url::Url;

const STEPS: u32 = 20_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A connect as the model sees it. Times are milliseconds.
#[derive(Debug)]
struct Call {
    client: u64,
    called: u64,
    jitter: u64,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    ForWorker,
    ForHandler(EventId),
    UntilRefusal(u64),
}

impl Call {
    /// When it settles if nothing else happens: the table of SEMANTICS §5.7.
    fn settles(&self) -> u64 {
        let decided = match self.waits {
            Waits::UntilRefusal(decided) => decided - self.called,
            _ => 30_000,
        };
        let classes = [50, 200, 800, 3_200, 12_800, 30_000];
        let class = classes.into_iter().find(|class| *class >= decided);
        self.called + class.expect("nothing is decided after the deadline") + self.jitter
    }
}

struct World {
    connector: Connector<u64>,
    start: Instant,
    now: u64,
    calls: BTreeMap<RequestId, Call>,
    /// Connects of the last minute by client, each client being a site of its own.
    rate: BTreeMap<u64, Vec<u64>>,
    ports: u64,
    settled: u64,
    accepted: u64,
    limited: u64,
}

impl World {
    fn input(&mut self, input: Input<u64>) -> Vec<Output<u64>> {
        let now = self.start + Duration::from_millis(self.now);
        self.connector.handle_input(now, input);
        std::iter::from_fn(|| self.connector.poll_output()).collect()
    }

    /// Moves the clock, stopping wherever the connector wants to.
    fn advance(&mut self, to: u64) {
        let to_instant = self.start + Duration::from_millis(to);
        while let Some(due) = self.connector.poll_timeout() {
            if due > to_instant {
                break;
            }
            self.now = u64::try_from((due - self.start).as_millis()).expect("a short run");
            self.connector.handle_timeout(due);
            while let Some(output) = self.connector.poll_output() {
                match output {
                    Output::Settle { id, result } => {
                        let call = self.calls.remove(&id).expect("settled twice");
                        assert_eq!(result, Err(ConnectError::Abort));
                        assert_eq!(self.now, call.settles(), "{call:?}");
                        self.settled += 1;
                    }
                    Output::Cancel { id, event } => {
                        let call = self.calls.get_mut(&id).expect("cancelled after settling");
                        assert_eq!(self.now, call.called + 30_000);
                        assert_eq!(event, event_of(call));
                        call.waits = Waits::UntilRefusal(self.now);
                    }
                    other => panic!("a timer made {other:?}"),
                }
            }
        }
        self.now = to;
        for (id, call) in &self.calls {
            assert!(call.settles() > to, "{id} should have settled: {call:?}");
        }
    }

    fn connect(&mut self, id: RequestId, random: &mut Random) {
        // One client is so eager that it meets the rate limit.
        let client = random.below(2) * random.below(4);
        let page = Url::parse(&format!("https://c{client}.test/")).expect("a valid URL");
        let caller = Caller::new(Environment::top_level(ClientId(client), page.clone()));
        let registered = random.below(4) > 0;
        let jitter = random.below(26);
        let target = self.connector.admit(caller, "https://echo.test/", &page);
        let outputs = self.input(Input::Connect(Box::new(Connect {
            id,
            target: target.expect("a good target"),
            connect_src_blocks: false,
            candidate: registered.then(|| Candidate {
                registration: RegistrationId(1),
                worker: WorkerId(1),
                state: WorkerState::Activated,
                handles: EventTypes::NONE.with(EventType::Connect),
            }),
            jitter: Duration::from_millis(jitter),
        })));

        let now = self.now;
        let minute = self.rate.entry(client).or_default();
        minute.retain(|then| now - then < 60_000);
        let limited = minute.len() >= 60;
        if limited {
            self.limited += 1;
        } else {
            minute.push(now);
        }
        let asked = registered && !limited;
        assert_eq!(outputs.len(), usize::from(asked), "{outputs:?}");
        let waits = match &outputs[..] {
            [Output::Run { .. }] => Waits::ForWorker,
            _ => Waits::UntilRefusal(now),
        };
        let call = Call {
            client,
            called: now,
            jitter,
            waits,
        };
        assert!(self.calls.insert(id, call).is_none());
    }

    fn worker_ready(&mut self, id: RequestId, event: EventId) {
        let waiting = self.calls.get_mut(&id);
        let waiting = waiting.filter(|call| call.waits == Waits::ForWorker);
        let expected = waiting.map(|call| call.waits = Waits::ForHandler(event));
        let outputs = self.input(Input::WorkerReady { id, event });
        assert_eq!(outputs.len(), usize::from(expected.is_some()));
        assert!(outputs.iter().all(|o| matches!(o, Output::Dispatch { .. })));
    }

    fn start_failed(&mut self, id: RequestId) {
        if let Some(call) = self.calls.get_mut(&id) {
            if call.waits == Waits::ForWorker {
                call.waits = Waits::UntilRefusal(self.now);
            }
        }
        assert_eq!(self.input(Input::StartFailed { id }), []);
    }

    fn accept(&mut self, event: EventId) {
        self.ports += 1;
        let port = self.ports;
        let waiting = self.waiting_for(event);
        let decision = Decision::Accept(port);
        let outputs = self.input(Input::Decision { event, decision });
        match waiting {
            Some(id) => {
                let result = Ok(port);
                assert_eq!(outputs, [Output::Settle { id, result }]);
                self.calls.remove(&id);
                self.settled += 1;
                self.accepted += 1;
            }
            None => assert_eq!(outputs, [Output::Close { port }]),
        }
    }

    fn refuse(&mut self, event: EventId) {
        let now = self.now;
        if let Some(id) = self.waiting_for(event) {
            if let Some(call) = self.calls.get_mut(&id) {
                call.waits = Waits::UntilRefusal(now);
            }
        }
        let decision = Decision::Refuse;
        assert_eq!(self.input(Input::Decision { event, decision }), []);
    }

    fn client_gone(&mut self, client: u64) {
        let outputs = self.input(Input::ClientGone {
            client: ClientId(client),
        });
        for output in outputs {
            match output {
                Output::Cancel { id, event } => assert_eq!(event, event_of(&self.calls[&id])),
                Output::Settle { id, result } => {
                    assert_eq!(result, Err(ConnectError::Abort));
                    let call = self.calls.remove(&id).expect("settled twice");
                    assert_eq!(call.client, client);
                    self.settled += 1;
                }
                other => panic!("a client that goes made {other:?}"),
            }
        }
        assert!(self.calls.values().all(|call| call.client != client));
    }

    fn waiting_for(&self, event: EventId) -> Option<RequestId> {
        let mut calls = self.calls.iter();
        let found = calls.find(|(_, call)| call.waits == Waits::ForHandler(event));
        found.map(|(id, _)| *id)
    }
}

fn event_of(call: &Call) -> Option<EventId> {
    match call.waits {
        Waits::ForHandler(event) => Some(event),
        _ => None,
    }
}

#[test]
fn every_connect_settles_exactly_once_and_when_the_model_says() {
    let seed = std::env::var("CONNECT_SEED").map_or(20_150_601, |seed| {
        seed.parse().expect("CONNECT_SEED is a number")
    });
    println!("CONNECT_SEED={seed}");
    let mut random = Random(seed);
    let mut world = World {
        connector: Connector::new(Limits::default()),
        start: Instant::now(),
        now: 0,
        calls: BTreeMap::new(),
        rate: BTreeMap::new(),
        ports: 0,
        settled: 0,
        accepted: 0,
        limited: 0,
    };
    let (mut ids, mut events) = (0, 0);
    for _ in 0..STEPS {
        // Mostly milliseconds apart, now and then so long that deadlines pass.
        let pause = if random.below(200) == 0 { 20_000 } else { 150 };
        world.advance(world.now + random.below(pause));
        let id = RequestId(ids - random.below(8).min(ids));
        let event = EventId(events - random.below(8).min(events));
        match random.below(16) {
            0..6 => {
                ids += 1;
                world.connect(RequestId(ids), &mut random);
            }
            6..10 => {
                events += 1;
                world.worker_ready(id, EventId(events));
            }
            10 => world.start_failed(id),
            11..13 => world.accept(event),
            13..15 => world.refuse(event),
            _ if random.below(10) == 0 => world.client_gone(random.below(4)),
            _ => {}
        }
    }
    world.advance(world.now + 60_000);
    assert!(world.calls.is_empty(), "{:?}", world.calls);
    assert_eq!(world.connector.poll_timeout(), None);
    assert_eq!(world.settled, ids);
    // The run must have been about something.
    assert!(world.accepted > 200, "{} accepted", world.accepted);
    assert!(world.limited > 100, "{} over the rate", world.limited);
}
