//! Install on connect (SEMANTICS §4.2 row 34), on an injected clock.

use std::time::{Duration, Instant};

use connect::{
    Caller, Candidate, Connect, ConnectError, Connector, Decision, Input, Limits, Output,
};
use sw_types::{
    ClientId, Environment, EventId, EventType, EventTypes, RegistrationId, RequestId, WorkerId,
    WorkerState,
};
use url::Url;

const ID: RequestId = RequestId(1);
const PAGE: ClientId = ClientId(5);

struct World {
    connector: Connector<&'static str>,
    start: Instant,
}

impl World {
    /// A page has called `connect`, and nothing is registered.
    fn new() -> (Self, Vec<Output<&'static str>>) {
        let mut world = Self {
            connector: Connector::new(Limits::default()).installing(),
            start: Instant::now(),
        };
        let outputs = world.connect(ID, None);
        (world, outputs)
    }

    fn connect(
        &mut self,
        id: RequestId,
        candidate: Option<Candidate>,
    ) -> Vec<Output<&'static str>> {
        let page = Url::parse("https://acme.test/").expect("a valid URL");
        let caller = Caller::new(Environment::top_level(PAGE, page.clone()));
        let target = self
            .connector
            .admit(caller, "https://echo.test/v1#frag", &page)
            .expect("steps 1 and 2 let it pass");
        self.input(
            0,
            Input::Connect(Box::new(Connect {
                id,
                target,
                connect_src_blocks: false,
                candidate,
                jitter: Duration::ZERO,
            })),
        )
    }

    fn input(&mut self, millis: u64, input: Input<&'static str>) -> Vec<Output<&'static str>> {
        let now = self.start + Duration::from_millis(millis);
        self.connector.handle_input(now, input);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output<&'static str>> {
        std::iter::from_fn(|| self.connector.poll_output()).collect()
    }

    /// The outputs of the next timer, and when it was due.
    fn timer(&mut self) -> (u128, Vec<Output<&'static str>>) {
        let due = self.connector.poll_timeout().expect("something is pending");
        self.connector.handle_timeout(due);
        ((due - self.start).as_millis(), self.outputs())
    }
}

fn service(handles: EventTypes) -> Candidate {
    Candidate {
        registration: RegistrationId(3),
        worker: WorkerId(7),
        state: WorkerState::Activated,
        handles,
    }
}

fn listening() -> Candidate {
    service(EventTypes::NONE.with(EventType::Connect))
}

fn refused() -> Output<&'static str> {
    let result = Err(ConnectError::Abort);
    Output::Settle { id: ID, result }
}

#[test]
fn a_service_that_is_installed_for_the_connect_answers_it() {
    let (mut world, outputs) = World::new();
    let url = Url::parse("https://echo.test/v1").expect("a valid URL");
    let (id, client) = (ID, PAGE);
    assert_eq!(outputs, [Output::Install { id, client, url }]);
    let candidate = Some(listening());
    let run = world.input(700, Input::Installed { id, candidate });
    assert!(matches!(run[..], [Output::Run { .. }]), "{run:?}");
    let event = EventId(1);
    world.input(700, Input::WorkerReady { id, event });
    let decision = Decision::Accept("port");
    let result = Ok("port");
    assert_eq!(
        world.input(710, Input::Decision { event, decision }),
        [Output::Settle { id, result }]
    );
    assert_eq!(world.connector.poll_timeout(), None);
}

#[test]
fn a_service_that_is_there_is_asked_at_once() {
    let (mut world, _) = World::new();
    let run = world.connect(RequestId(2), Some(listening()));
    assert!(matches!(run[..], [Output::Run { .. }]), "{run:?}");
}

#[test]
fn a_failed_install_and_an_install_that_does_not_listen_are_refused_in_their_time_class() {
    for (candidate, at, settles) in [
        (None, 10, 50),
        (None, 51, 200),
        (Some(service(EventTypes::NONE)), 199, 200),
        (Some(service(EventTypes::NONE)), 900, 3_200),
    ] {
        let (mut world, _) = World::new();
        assert_eq!(world.input(at, Input::Installed { id: ID, candidate }), []);
        assert_eq!(world.timer(), (settles, vec![refused()]));
    }
}

#[test]
fn an_install_without_end_is_refused_at_the_deadline_and_what_it_brings_later_is_ignored() {
    let (mut world, _) = World::new();
    let cancel = Output::Cancel {
        id: ID,
        event: None,
    };
    assert_eq!(world.timer(), (30_000, vec![cancel, refused()]));
    let candidate = Some(listening());
    assert_eq!(
        world.input(30_001, Input::Installed { id: ID, candidate }),
        []
    );
}

#[test]
fn a_client_that_is_gone_cancels_the_install() {
    let (mut world, _) = World::new();
    let cancel = Output::Cancel {
        id: ID,
        event: None,
    };
    assert_eq!(
        world.input(5, Input::ClientGone { client: PAGE }),
        [cancel, refused()]
    );
}

#[test]
fn nobody_over_the_rate_installs_anything() {
    let (mut world, _) = World::new();
    for id in 2..=60 {
        assert_eq!(world.connect(RequestId(id), None).len(), 1);
    }
    assert_eq!(world.connect(RequestId(61), None), []);
}

#[test]
fn only_a_connect_that_waits_for_it_hears_of_an_install() {
    let (mut world, _) = World::new();
    let candidate = Some(listening());
    let stray = RequestId(9);
    assert_eq!(
        world.input(
            0,
            Input::Installed {
                id: stray,
                candidate
            }
        ),
        []
    );
    assert_eq!(
        world.input(0, Input::Installed { id: ID, candidate }).len(),
        1
    );
    assert_eq!(world.input(0, Input::Installed { id: ID, candidate }), []);
}
