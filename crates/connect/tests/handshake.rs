//! What a client and a service observe of a connect, on an injected clock.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use connect::{
    Caller, Candidate, Connect, ConnectError, Connector, Decision, Input, Limits, Output,
};
use sw_types::{
    ClientId, Environment, EventId, EventType, EventTypes, Origin, RegistrationId, RequestId, Site,
    WorkerId, WorkerState,
};
use url::Url;

const SERVICE: WorkerId = WorkerId(7);
const EVENT: EventId = EventId(20);
const JITTER: Duration = Duration::from_millis(11);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn url(url: &str) -> Url {
    Url::parse(url).expect("a valid URL")
}

/// A port that must end up with someone: whoever takes it says so.
#[derive(Debug, PartialEq, Eq)]
struct Port(u32);

struct World {
    connector: Connector<Port>,
    start: Instant,
    next: RequestId,
}

impl World {
    fn new() -> Self {
        Self {
            connector: Connector::new(Limits::default()),
            start: Instant::now(),
            next: RequestId(1),
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + ms(millis)
    }

    fn service(handles: &[EventType]) -> Candidate {
        Candidate {
            registration: RegistrationId(3),
            worker: SERVICE,
            state: WorkerState::Activated,
            handles: handles.iter().copied().collect(),
        }
    }

    fn connect_from(
        &mut self,
        at: u64,
        caller: Caller,
        candidate: Option<Candidate>,
    ) -> (RequestId, Vec<Output<Port>>) {
        let id = RequestId::take_next(&mut self.next);
        let base = caller.environment.creation_url.clone();
        let connect = Connect {
            id,
            target: self
                .connector
                .admit(caller, "https://echo.test/v1?x=1#frag", &base)
                .expect("steps 1 and 2 let it pass"),
            connect_src_blocks: false,
            candidate,
            jitter: JITTER,
        };
        (id, self.input(at, Input::Connect(Box::new(connect))))
    }

    fn connect(&mut self, at: u64, candidate: Option<Candidate>) -> (RequestId, Vec<Output<Port>>) {
        self.connect_from(at, page(), candidate)
    }

    /// A connect whose event is dispatched at once.
    fn dispatched(&mut self, at: u64) -> RequestId {
        let (id, _) = self.connect(at, Some(Self::service(&[EventType::Connect])));
        let dispatch = self.input(at, Input::WorkerReady { id, event: EVENT });
        assert!(matches!(
            dispatch[..],
            [Output::Dispatch { event: EVENT, .. }]
        ));
        id
    }

    fn input(&mut self, at: u64, input: Input<Port>) -> Vec<Output<Port>> {
        self.connector.handle_input(self.start + ms(at), input);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output<Port>> {
        std::iter::from_fn(|| self.connector.poll_output()).collect()
    }

    /// Runs the clock, timer by timer, until something settles: what and when, and what came before.
    fn settled(&mut self) -> (Duration, Result<Port, ConnectError>, Vec<Output<Port>>) {
        let mut before = Vec::new();
        loop {
            let now = self.connector.poll_timeout().expect("something is pending");
            self.connector.handle_timeout(now - Duration::from_nanos(1));
            assert_eq!(self.outputs(), [], "nothing settles before its time");
            self.connector.handle_timeout(now);
            for output in self.outputs() {
                match output {
                    Output::Settle { result, .. } => return (now - self.start, result, before),
                    other => before.push(other),
                }
            }
        }
    }
}

fn page() -> Caller {
    Caller::new(Environment::top_level(
        ClientId(1),
        url("https://acme.test/app#part"),
    ))
}

fn worker(id: WorkerId, state: WorkerState) -> Caller {
    Caller {
        worker: Some((id, state)),
        ..page()
    }
}

#[test]
fn a_client_gets_the_port_that_the_service_accepted_with_at_once() {
    let mut world = World::new();
    let (id, run) = world.connect(0, Some(World::service(&[EventType::Connect])));
    assert_eq!(
        run,
        [Output::Run {
            id,
            registration: RegistrationId(3),
            worker: SERVICE,
            top_level_site: Site::of(&Origin::of(&url("https://acme.test/"))),
        }]
    );
    let dispatch = world.input(300, Input::WorkerReady { id, event: EVENT });
    let [Output::Dispatch { init, worker, .. }] = &dispatch[..] else {
        panic!("{dispatch:?}");
    };
    assert_eq!(*worker, SERVICE);
    assert_eq!(init.event_type, EventType::Connect);
    assert_eq!(init.origin.as_str(), "https://acme.test");
    assert_eq!(init.target_url.as_str(), "https://echo.test/v1?x=1");
    let decision = Decision::Accept(Port(1));
    let result = Ok(Port(1));
    assert_eq!(
        world.input(
            333,
            Input::Decision {
                event: EVENT,
                decision
            }
        ),
        [Output::Settle { id, result }]
    );
    assert_eq!(world.connector.poll_timeout(), None, "nothing is left");
}

#[test]
fn the_event_is_connect_if_handled_and_else_crossoriginconnect() {
    for (handles, expected) in [
        (
            &[EventType::CrossOriginConnect, EventType::Connect][..],
            EventType::Connect,
        ),
        (
            &[EventType::Fetch, EventType::CrossOriginConnect],
            EventType::CrossOriginConnect,
        ),
    ] {
        let mut world = World::new();
        let (id, _) = world.connect(0, Some(World::service(handles)));
        let dispatch = world.input(0, Input::WorkerReady { id, event: EVENT });
        let [Output::Dispatch { init, .. }] = &dispatch[..] else {
            panic!("{dispatch:?}");
        };
        assert_eq!(init.event_type, expected);
    }
}

#[test]
fn a_service_sees_no_more_of_its_client_than_referer_would_say() {
    let client_url = |caller: Caller| {
        let mut world = World::new();
        let (id, _) = world.connect_from(0, caller, Some(World::service(&[EventType::Connect])));
        match world
            .input(0, Input::WorkerReady { id, event: EVENT })
            .pop()
        {
            Some(Output::Dispatch { init, .. }) => (
                init.client_url.map(String::from),
                init.origin.as_str().to_owned(),
            ),
            other => panic!("{other:?}"),
        }
    };
    let acme = "https://acme.test".to_owned();
    assert_eq!(
        client_url(page()),
        (Some("https://acme.test/".into()), acme.clone())
    );
    let no_referrer = Caller {
        referrer: None,
        ..page()
    };
    assert_eq!(client_url(no_referrer), (None, acme));

    let own = Environment::top_level(ClientId(1), url("https://echo.test/page?q#f"));
    assert_eq!(
        client_url(Caller::new(own.clone())),
        (
            Some("https://echo.test/page?q".into()),
            "https://echo.test".into()
        )
    );
    let sandboxed = Caller::new(Environment {
        origin: Origin::opaque(5),
        ..own
    });
    assert_eq!(client_url(sandboxed), (None, "null".into()));
}

/// Every reason to refuse without a handler's doing, and how to bring it about.
fn immediate_refusals() -> Vec<(&'static str, World)> {
    let connect = EventTypes::NONE.with(EventType::Connect);
    let candidate = |state, handles| Candidate {
        state,
        handles,
        ..World::service(&[])
    };
    let single = |caller: Caller, candidate: Option<Candidate>| {
        let mut world = World::new();
        let (_, outputs) = world.connect_from(0, caller, candidate);
        assert!(!outputs.iter().any(|o| matches!(o, Output::Run { .. })));
        assert_eq!(outputs, []);
        world
    };
    let limited = |candidate: Option<Candidate>| {
        let mut world = World::new();
        for _ in 0..60 {
            world.connect(0, candidate);
        }
        let gone = ClientId(1);
        world.input(0, Input::ClientGone { client: gone });
        assert_eq!(world.connector.poll_timeout(), None);
        let (_, outputs) = world.connect(0, candidate);
        assert_eq!(outputs, [], "a refused connect starts no worker");
        world
    };
    let mut all = vec![
        ("nothing is registered", single(page(), None)),
        (
            "handles neither event",
            single(page(), Some(World::service(&[EventType::Fetch]))),
        ),
        (
            "connects to itself while it activates",
            single(
                worker(SERVICE, WorkerState::Activating),
                Some(candidate(WorkerState::Activating, connect)),
            ),
        ),
        ("over the rate, nothing registered", limited(None)),
        (
            "over the rate, a service",
            limited(Some(candidate(WorkerState::Activated, connect))),
        ),
    ];
    for state in [
        WorkerState::Parsed,
        WorkerState::Installing,
        WorkerState::Installed,
        WorkerState::Redundant,
    ] {
        all.push((
            state.as_str(),
            single(page(), Some(candidate(state, connect))),
        ));
    }
    let mut failed = World::new();
    let (id, _) = failed.connect(0, Some(World::service(&[EventType::Connect])));
    assert_eq!(failed.input(40, Input::StartFailed { id }), []);
    all.push(("its worker does not start", failed));
    let mut refused = World::new();
    refused.dispatched(0);
    let decision = Decision::Refuse;
    assert_eq!(
        refused.input(
            50,
            Input::Decision {
                event: EVENT,
                decision
            }
        ),
        []
    );
    all.push(("its handler refuses promptly", refused));
    all
}

#[test]
fn every_refusal_has_the_same_error_at_the_same_time() {
    for (reason, mut world) in immediate_refusals() {
        let (when, result, before) = world.settled();
        assert_eq!(when, ms(50) + JITTER, "{reason}");
        assert_eq!(result, Err(ConnectError::Abort), "{reason}");
        assert_eq!(before, [], "{reason}");
        assert_eq!(world.connector.poll_timeout(), None, "{reason}");
    }
}

#[test]
fn a_slow_refusal_settles_at_the_next_time_class() {
    for (decided, class) in [
        (51, 200),
        (200, 200),
        (799, 800),
        (801, 3_200),
        (3_201, 12_800),
        (12_801, 30_000),
        (29_999, 30_000),
    ] {
        let mut by_handler = World::new();
        by_handler.dispatched(0);
        let decision = Decision::Refuse;
        by_handler.input(
            decided,
            Input::Decision {
                event: EVENT,
                decision,
            },
        );

        let mut by_start = World::new();
        let (id, _) = by_start.connect(0, Some(World::service(&[EventType::Connect])));
        by_start.input(decided, Input::StartFailed { id });

        for world in [&mut by_handler, &mut by_start] {
            let (when, result, before) = world.settled();
            assert_eq!(
                (when, result),
                (ms(class) + JITTER, Err(ConnectError::Abort))
            );
            assert_eq!(before, []);
        }
    }
}

#[test]
fn an_undecided_connect_is_refused_at_its_deadline_and_what_comes_later_is_closed() {
    let mut starting = World::new();
    let (id, _) = starting.connect(0, Some(World::service(&[EventType::Connect])));
    let (when, result, before) = starting.settled();
    assert_eq!(
        (when, result),
        (ms(30_000) + JITTER, Err(ConnectError::Abort))
    );
    assert_eq!(before, [Output::Cancel { id, event: None }]);
    let late = starting.input(31_000, Input::WorkerReady { id, event: EVENT });
    assert_eq!(late, [], "no event is dispatched for nobody");

    let mut deciding = World::new();
    let id = deciding.dispatched(0);
    // The driver looks at its timers late: the answer still is too late.
    let decision = Decision::Accept(Port(5));
    let event = Some(EVENT);
    assert_eq!(
        deciding.input(
            30_000,
            Input::Decision {
                event: EVENT,
                decision
            }
        ),
        [
            Output::Cancel { id, event },
            Output::Close { port: Port(5) }
        ]
    );
    let (when, result, _) = deciding.settled();
    assert_eq!(
        (when, result),
        (ms(30_000) + JITTER, Err(ConnectError::Abort))
    );
}

#[test]
fn a_client_that_is_gone_cancels_its_connects_and_no_others() {
    let mut world = World::new();
    let dispatched = world.dispatched(0);
    let (running, _) = world.connect(0, Some(World::service(&[EventType::Connect])));
    let (absent, _) = world.connect(0, None);
    let other = Caller::new(Environment::top_level(ClientId(2), url("https://b.test/")));
    world.connect_from(0, other, None);

    let gone = world.input(
        10,
        Input::ClientGone {
            client: ClientId(1),
        },
    );
    let cancels: Vec<_> = gone
        .iter()
        .filter_map(|output| match output {
            Output::Cancel { id, event } => Some((*id, *event)),
            _ => None,
        })
        .collect();
    assert_eq!(cancels, [(dispatched, Some(EVENT)), (running, None)]);
    let settled: BTreeSet<_> = gone
        .iter()
        .filter_map(|output| match output {
            Output::Settle { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(settled, BTreeSet::from([dispatched, running, absent]));

    let decision = Decision::Accept(Port(9));
    assert_eq!(
        world.input(
            11,
            Input::Decision {
                event: EVENT,
                decision
            }
        ),
        [Output::Close { port: Port(9) }],
        "its port is not lost"
    );
    assert_eq!(world.settled().0, ms(50) + JITTER, "the other client's");
    assert_eq!(world.connector.poll_timeout(), None);
}

#[test]
fn a_service_that_activates_may_be_asked_by_others_and_an_active_one_by_itself() {
    let activating = Candidate {
        state: WorkerState::Activating,
        ..World::service(&[EventType::Connect])
    };
    let activated = World::service(&[EventType::Connect]);
    for (caller, candidate) in [
        (page(), activating),
        (worker(WorkerId(99), WorkerState::Activating), activating),
        (worker(SERVICE, WorkerState::Activated), activated),
        (worker(WorkerId(8), WorkerState::Installing), activated),
    ] {
        let mut world = World::new();
        let (_, outputs) = world.connect_from(0, caller, Some(candidate));
        assert!(matches!(outputs[..], [Output::Run { .. }]), "{outputs:?}");
    }
}

#[test]
fn the_callers_own_faults_are_said_by_name() {
    let connector = Connector::<Port>::new(Limits::default());
    let base = url("https://acme.test/app/page");
    let admit = |caller, target: &str| {
        connector
            .admit(caller, target, &base)
            .map(|t| t.url().clone())
    };

    assert_eq!(
        admit(page(), "../v1#x"),
        Ok(url("https://acme.test/v1")),
        "relative, no fragment"
    );
    assert_eq!(admit(page(), "//echo.test/"), Ok(url("https://echo.test/")));
    assert!(admit(page(), "http://localhost:8080/").is_ok());
    assert_eq!(
        admit(page(), "http://echo.test/"),
        Err(ConnectError::Security)
    );
    for bad in [
        "https://",
        "https://a b/",
        "wss://echo.test/",
        "data:,x",
        "javascript:0",
    ] {
        assert_eq!(admit(page(), bad), Err(ConnectError::Type), "{bad}");
    }
    let insecure = Caller::new(Environment::top_level(ClientId(1), url("http://acme.com/")));
    assert_eq!(
        admit(insecure.clone(), "https://"),
        Err(ConnectError::Security),
        "step 1 comes before step 2"
    );
    for state in [
        WorkerState::Parsed,
        WorkerState::Installing,
        WorkerState::Activated,
    ] {
        assert!(admit(worker(WorkerId(1), state), "/").is_ok());
    }
    assert_eq!(
        admit(worker(WorkerId(1), WorkerState::Redundant), "/"),
        Err(ConnectError::InvalidState)
    );

    let trusting =
        Connector::<Port>::new(Limits::default()).trusting([Origin::of(&url("http://acme.com/"))]);
    assert!(
        trusting
            .admit(insecure.clone(), "https://echo.test/", &base)
            .is_ok()
    );
    assert!(trusting.admit(page(), "http://acme.com/", &base).is_ok());
    assert_eq!(
        trusting.admit(insecure, "http://other.com/", &base),
        Err(ConnectError::Security)
    );
}

#[test]
fn a_url_that_the_clients_policy_blocks_is_a_security_error_at_once() {
    let mut world = World::new();
    let base = url("https://acme.test/");
    let connect = Connect {
        id: RequestId(1),
        target: world
            .connector
            .admit(page(), "https://echo.test/", &base)
            .unwrap(),
        connect_src_blocks: true,
        candidate: Some(World::service(&[EventType::Connect])),
        jitter: JITTER,
    };
    assert_eq!(
        world.input(0, Input::Connect(Box::new(connect))),
        [Output::Settle {
            id: RequestId(1),
            result: Err(ConnectError::Security)
        }]
    );
}

#[test]
fn answers_that_nobody_asked_for_are_ignored() {
    let mut world = World::new();
    let (id, event) = (RequestId(77), EventId(77));
    assert_eq!(world.input(0, Input::WorkerReady { id, event }), []);
    assert_eq!(world.input(0, Input::StartFailed { id }), []);
    let decision = Decision::Refuse;
    assert_eq!(world.input(0, Input::Decision { event, decision }), []);
    assert_eq!(
        world.input(
            0,
            Input::ClientGone {
                client: ClientId(77)
            }
        ),
        []
    );

    // A second answer to the same request, and a second event under the same id.
    let first = world.dispatched(0);
    assert_eq!(world.input(0, Input::StartFailed { id: first }), []);
    let again = EventId(21);
    assert_eq!(
        world.input(
            0,
            Input::WorkerReady {
                id: first,
                event: again
            }
        ),
        []
    );
    let (second, _) = world.connect(0, Some(World::service(&[EventType::Connect])));
    assert_eq!(
        world.input(
            0,
            Input::WorkerReady {
                id: second,
                event: EVENT
            }
        ),
        []
    );
    let decision = Decision::Accept(Port(1));
    assert_eq!(
        world.input(
            1,
            Input::Decision {
                event: EVENT,
                decision
            }
        ),
        [Output::Settle {
            id: first,
            result: Ok(Port(1))
        }]
    );
    world.connector.handle_timeout(world.at(0));
    assert_eq!(world.outputs(), [], "too early");
}

#[test]
fn too_much_jitter_is_cut_off() {
    let mut world = World::new();
    let connect = Connect {
        id: RequestId(1),
        target: world
            .connector
            .admit(page(), "https://echo.test/", &url("https://acme.test/"))
            .unwrap(),
        connect_src_blocks: false,
        candidate: None,
        jitter: Duration::MAX,
    };
    world.input(0, Input::Connect(Box::new(connect)));
    assert_eq!(world.settled().0, ms(75));
}
