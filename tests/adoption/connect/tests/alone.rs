//! A team takes `connect` alone: its ports are numbers in a table of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

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

/// Connects a page to a service; gives what the page's promise settles with.
fn connect(answer: Decision<u32>, target: &str) -> Option<Result<u32, ConnectError>> {
    let now = Instant::now();
    let page = Url::parse("https://acme.test/app").unwrap();
    let mut connector = Connector::<u32>::new(Limits::default());
    let caller = Caller::new(Environment::top_level(ClientId(1), page.clone()));
    let target = match connector.admit(caller, target, &page) {
        Ok(target) => target,
        Err(error) => return Some(Err(error)),
    };
    let services = BTreeMap::from([("https://echo.test/v1", WorkerId(7))]);
    let candidate = services.get(target.url().as_str()).map(|worker| Candidate {
        registration: RegistrationId(3),
        worker: *worker,
        state: WorkerState::Activated,
        handles: EventTypes::NONE.with(EventType::Connect),
    });
    let (id, event) = (RequestId(1), EventId(20));
    let connect = Connect {
        id,
        target,
        connect_src_blocks: false,
        candidate,
        jitter: Duration::ZERO,
    };
    connector.handle_input(now, Input::Connect(Box::new(connect)));
    let mut answer = Some(answer);
    let mut clock = now;
    loop {
        match connector.poll_output() {
            Some(Output::Run { .. }) => {
                connector.handle_input(clock, Input::WorkerReady { id, event });
            }
            Some(Output::Dispatch { .. }) => {
                let decision = answer.take().unwrap();
                connector.handle_input(clock, Input::Decision { event, decision });
            }
            Some(Output::Settle { result, .. }) => return Some(result),
            Some(_) => {}
            // A refusal comes late, so that nobody can tell why.
            None => {
                clock = connector.poll_timeout()?;
                connector.handle_timeout(clock);
            }
        }
    }
}

#[test]
fn a_number_is_as_good_a_port_as_any() {
    let service = "https://echo.test/v1";
    assert_eq!(connect(Decision::Accept(42), service), Some(Ok(42)));
    let refused = Some(Err(ConnectError::Abort));
    assert_eq!(connect(Decision::Refuse, service), refused);
    assert_eq!(
        connect(Decision::Accept(42), "https://nobody.test/"),
        refused
    );
    assert_eq!(
        connect(Decision::Accept(42), "ftp://echo.test/"),
        Some(Err(ConnectError::Type))
    );
}
