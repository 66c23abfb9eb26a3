//! What pages and services see of `navigator.connect()`, through the whole facade.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "not every test of the house needs all of it")]
mod common;
#[path = "connect/installs.rs"]
mod installs;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{House, SERVICE, message, next, quiet, url};
use service_worker::message_port::{Event, MessageChannel};
use service_worker::native_host::NativeWorker;
use service_worker::types::{ClientId, Environment, EventType, WorkerState};
use service_worker::{ConnectError, ConnectOptions, HostEvent, Limits, Policies, ShownReferrer};

const PAGE: &str = "https://acme.test/app#part";

fn accepting() -> NativeWorker {
    NativeWorker::new().on_connect(|_, connection| async move {
        let mut port = connection.accept();
        port.start();
        port.post_message(message("welcome"));
        while let Some(Event::Message(message)) = port.recv().await {
            port.post_message(message);
        }
    })
}

fn refusing() -> NativeWorker {
    NativeWorker::new().on_connect(|_, connection| async move { connection.refuse() })
}

#[tokio::test]
async fn a_service_accepts_with_a_port_and_what_it_had_received_travels_along() {
    let service = NativeWorker::new().on_connect(|scope, connection| async move {
        assert_eq!(connection.detail.event_type, EventType::Connect);
        assert_eq!(connection.detail.origin.as_str(), "https://acme.test");
        assert_eq!(
            connection.detail.target_url.as_str(),
            "https://echo.test/v1"
        );
        let shown = connection.detail.client_url.as_ref().unwrap();
        assert_eq!(shown.as_str(), "https://acme.test/");
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let mut ours = port1;
        ours.post_message(message("posted before the transfer"));
        connection.accept_with(port2);
        ours.post_message(message("posted after it"));
        ours.start();
        let asked = next(&mut ours).await;
        ours.post_message(message(match asked.as_str() {
            "ping" => "pong",
            _ => "what?",
        }));
        scope.keep(ours);
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let url = url(PAGE);
    let connecting = house
        .handle
        .connect(page, "https://echo.test/v1#frag", &url);
    let (millis, port) = house.takes(connecting).await;
    assert_eq!(millis, 0, "acceptance settles at once");
    let mut port = port.unwrap();
    assert!(!port.is_enabled());
    port.start();
    port.post_message(message("ping"));
    assert_eq!(next(&mut port).await, "posted before the transfer");
    assert_eq!(next(&mut port).await, "posted after it");
    assert_eq!(next(&mut port).await, "pong");
}

#[tokio::test]
async fn a_service_accepts_with_true_and_talks_over_the_events_port() {
    let mut house = House::new(Policies::seeds(), [("echo", accepting())]);
    house.install().await;
    let page = house.page(1, PAGE);
    let mut port = house
        .handle
        .connect(page, SERVICE, &url(PAGE))
        .await
        .unwrap();
    port.post_message(message("hello"));
    port.start();
    assert_eq!(next(&mut port).await, "welcome");
    assert_eq!(next(&mut port).await, "hello");
}

#[tokio::test]
async fn a_service_worker_connects_too() {
    let caller = NativeWorker::new().on_activate(|scope, _| async move {
        let client = scope.start.environment.id;
        let base = scope.start.script_url.url().clone();
        let connecting = scope.handle.connect(client, "https://echo.test/", &base);
        let mut port = connecting.await.map_err(|error| error.to_string())?;
        port.start();
        assert_eq!(next(&mut port).await, "welcome");
        port.post_message(message("from a worker"));
        assert_eq!(next(&mut port).await, "from a worker");
        SEEN.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let mut house = House::new(
        Policies::seeds(),
        [("echo", accepting()), ("caller", caller)],
    );
    house.install().await;
    house.serve("https://acme.test/sw.js", "caller");
    let page = house.page(1, "https://acme.test/");
    quiet().await;
    house.register(page, "https://acme.test/").await.unwrap();
    house.until(WorkerState::Activated).await;
    assert_eq!(SEEN.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_and_the_referrer_reach_the_service() {
    let service = NativeWorker::new().on_connect(|_, connection| async move {
        assert_eq!(
            connection.detail.request.as_deref(),
            Some(&b"who are you?"[..])
        );
        assert_eq!(connection.detail.client_url, None, "no-referrer");
        connection.accept().close();
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let options = ConnectOptions {
        request: Some("who are you?".into()),
        referrer: ShownReferrer::Nothing,
        ..ConnectOptions::new(SERVICE, url(PAGE))
    };
    let mut port = house.handle.connect_with(page, options).await.unwrap();
    assert_eq!(next(&mut port).await, "close");
}

#[tokio::test]
async fn what_is_the_callers_own_fault_is_said_at_once() {
    let mut house = House::new(Policies::seeds(), [("echo", accepting())]);
    house.install().await;
    let page = house.page(1, PAGE);
    let insecure = house.page(2, "http://acme.test/");
    let mut blocked = ConnectOptions::new(SERVICE, url(PAGE));
    blocked.connect_src_blocks = true;
    for (client, options, expected) in [
        (
            insecure,
            ConnectOptions::new(SERVICE, url("http://acme.test/")),
            ConnectError::Security,
        ),
        (
            page,
            ConnectOptions::new("http://echo.test/", url(PAGE)),
            ConnectError::Security,
        ),
        (
            page,
            ConnectOptions::new("ftp://echo.test/", url(PAGE)),
            ConnectError::Type,
        ),
        (page, blocked, ConnectError::Security),
        (
            ClientId(99),
            ConnectOptions::new(SERVICE, url(PAGE)),
            ConnectError::Abort,
        ),
    ] {
        let what = format!("{options:?}");
        let (millis, result) = house
            .takes(house.handle.connect_with(client, options))
            .await;
        assert_eq!(result.unwrap_err(), expected, "{what}");
        assert_eq!(millis, 0, "{what}");
    }
}

/// Refused, absent, not listening, partitioned away: nobody can tell which.
#[tokio::test]
async fn refusal_and_absence_settle_in_the_same_time_class_and_store_nothing() {
    let undecided = NativeWorker::new().on_connect(|_, _| async {});
    for (service, policies) in [
        (Some(refusing()), Policies::seeds()),
        (Some(undecided), Policies::seeds()),
        (Some(NativeWorker::new()), Policies::seeds()),
        (Some(accepting()), Policies::shipping()),
        (None, Policies::seeds()),
    ] {
        let installed = service.is_some();
        let mut house = House::new(policies, [("echo", service.unwrap_or_default())]);
        if installed {
            house.install().await;
        }
        let page = house.page(1, PAGE);
        let mut times = BTreeSet::new();
        // The service has stopped, and has to be started first.
        for _ in 0..3 {
            house.pass_seconds(31).await;
        }
        let stored = house.commits();
        for _ in 0..8 {
            let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
            let (millis, result) = house.takes(connecting).await;
            assert_eq!(result.unwrap_err(), ConnectError::Abort);
            assert!((50..=76).contains(&millis), "{millis}");
            times.insert(millis);
        }
        assert!(times.len() > 1, "there is jitter: {times:?}");
        house.pass_seconds(31).await;
        assert_eq!(house.commits(), stored, "it left a trace");
        assert_eq!(
            house.asked().len(),
            usize::from(installed),
            "nor is the network asked"
        );
    }
}

#[tokio::test]
async fn a_service_that_never_decides_is_refused_at_the_deadline() {
    let limits = Limits {
        connect_deadline: Duration::from_millis(300),
        connect_jitter: Duration::ZERO,
        ..Limits::default()
    };
    let late = NativeWorker::new().on_connect(|_, connection| async move {
        std::future::pending::<()>().await;
        connection.refuse();
    });
    let policies = Policies::seeds().with_limits(limits);
    let mut house = House::new(policies, [("echo", late)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let (millis, result) = house.takes(connecting).await;
    assert_eq!(result.unwrap_err(), ConnectError::Abort);
    assert_eq!(millis, 300);
}

/// A service that asks another before it accepts.
fn asking(other: &'static str, answers: &Arc<Mutex<Vec<ConnectError>>>) -> NativeWorker {
    let answers = Arc::clone(answers);
    NativeWorker::new().on_connect(move |scope, connection| {
        let answers = Arc::clone(&answers);
        async move {
            let client = scope.start.environment.id;
            let base = scope.start.script_url.url().clone();
            match scope.handle.connect(client, other, &base).await {
                Ok(_) => drop(connection.accept()),
                Err(error) => answers.lock().unwrap().push(error),
            }
        }
    })
}

#[tokio::test]
async fn services_that_wait_for_one_another_are_refused_at_the_deadline() {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let mut house = House::new(
        Policies::seeds(),
        [
            ("echo", asking("https://acme.test/", &answers)),
            ("acme", asking(SERVICE, &answers)),
        ],
    );
    house.install().await;
    house.serve("https://acme.test/sw.js", "acme");
    let page = house.page(1, "https://acme.test/");
    quiet().await;
    house.register(page, "https://acme.test/").await.unwrap();
    house.until(WorkerState::Activated).await;
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let (millis, result) = house.takes(connecting).await;
    assert_eq!(result.unwrap_err(), ConnectError::Abort);
    assert!((30_000..=30_026).contains(&millis), "{millis}");
    // Each connect of the ring comes to its own end; none is left.
    for _ in 0..4 {
        house.pass_seconds(31).await;
    }
    let answers = answers.lock().unwrap();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|error| *error == ConnectError::Abort));
}

#[tokio::test]
async fn partitioned_a_site_finds_only_its_own_service() {
    let mut house = House::new(Policies::shipping(), [("echo", accepting())]);
    // A frame of the service below acme.test registers there.
    let frame = Environment {
        top_level_site: Environment::top_level(ClientId(0), url(PAGE)).top_level_site,
        cross_site_ancestor: true,
        ..Environment::top_level(ClientId(1), url(SERVICE))
    };
    let frame = house.client(frame);
    house.install_for(frame).await;
    let page = house.page(2, PAGE);
    let other = house.page(3, "https://other.test/");
    let connecting = house.handle.connect(other, SERVICE, &url(PAGE));
    let (_, result) = house.takes(connecting).await;
    assert_eq!(result.unwrap_err(), ConnectError::Abort, "another site's");
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let (_, result) = house.takes(connecting).await;
    assert!(result.is_ok());
}

#[tokio::test]
async fn the_death_of_a_service_closes_its_port_at_the_other_side() {
    let limits = Limits {
        event_timeout: Duration::from_secs(60),
        ..Limits::default()
    };
    let policies = Policies::seeds().with_limits(limits);
    let mut house = House::new(policies, [("echo", accepting())]);
    house.install().await;
    let page = house.page(1, PAGE);
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let mut port = connecting.await.unwrap();
    port.start();
    assert_eq!(next(&mut port).await, "welcome");
    // Its lifetime promise is pending for longer than it may.
    for _ in 0..4 {
        house.pass_seconds(30).await;
    }
    assert_eq!(next(&mut port).await, "close");
}

#[tokio::test]
async fn a_connect_wakes_a_stopped_service_and_keeps_it_while_its_event_runs() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let service = NativeWorker::new().on_connect(move |scope, connection| {
        log.lock().unwrap().push(scope.start.state);
        async move {
            let mut port = connection.accept();
            port.start();
            assert_eq!(next(&mut port).await, "stop");
        }
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    for _ in 0..3 {
        house.pass_seconds(31).await;
    }
    let page = house.page(1, PAGE);
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let mut port = connecting.await.unwrap();
    port.start();
    for _ in 0..3 {
        house.pass_seconds(31).await;
    }
    assert!(port.is_entangled(), "not idle while the event runs");
    port.post_message(message("stop"));
    quiet().await;
    assert_eq!(next(&mut port).await, "close", "dropped by its handler");
    assert_eq!(*events.lock().unwrap(), [WorkerState::Activated]);
}

#[tokio::test]
async fn the_client_going_away_closes_the_port_that_was_accepted_with() {
    let closed = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&closed);
    let (go, going) = futures_channel::oneshot::channel();
    let going = Arc::new(Mutex::new(Some(going)));
    let service = NativeWorker::new().on_connect(move |_, connection| {
        let (seen, going) = (Arc::clone(&seen), going.lock().unwrap().take());
        async move {
            going.unwrap().await.unwrap();
            let mut port = connection.accept();
            assert_eq!(next(&mut port).await, "close");
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    quiet().await;
    house.handle.host_event(HostEvent::ClientGone(page));
    assert_eq!(connecting.await.unwrap_err(), ConnectError::Abort);
    go.send(()).unwrap();
    quiet().await;
    assert_eq!(closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn over_the_rate_is_refused_like_absence() {
    let limits = Limits {
        connects_per_minute: 2,
        ..Limits::default()
    };
    let policies = Policies::seeds().with_limits(limits);
    let mut house = House::new(policies, [("echo", accepting())]);
    house.install().await;
    let page = house.page(1, PAGE);
    let mut ports = Vec::new();
    for _ in 0..2 {
        ports.push(
            house
                .handle
                .connect(page, SERVICE, &url(PAGE))
                .await
                .unwrap(),
        );
    }
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let (millis, result) = house.takes(connecting).await;
    assert_eq!(result.unwrap_err(), ConnectError::Abort);
    assert!((50..=76).contains(&millis), "{millis}");
}

#[tokio::test]
async fn shutting_down_settles_connects() {
    let late = NativeWorker::new().on_connect(|_, connection| async move {
        std::future::pending::<()>().await;
        connection.refuse();
    });
    let mut house = House::new(Policies::seeds(), [("echo", late)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    quiet().await;
    house.handle.shut_down().await;
    assert_eq!(connecting.await.unwrap_err(), ConnectError::Abort);
}
