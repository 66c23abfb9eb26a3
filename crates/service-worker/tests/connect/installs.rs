//! Install on connect (SEMANTICS §4.2 row 34) through the whole facade: only where the host chose
//! it, never for longer than the deadline, and nothing of it reaches the page but time.

use crate::common::{House, SERVICE, quiet, url};
use service_worker::native_host::NativeWorker;
use service_worker::types::{EventType, HeaderInstall};
use service_worker::{ConnectError, HostEvent, Policies};

const PAGE: &str = "https://acme.test/app";
const TARGET: &str = "https://echo.test/v1";

fn accepting() -> NativeWorker {
    NativeWorker::new().on_connect(|_, connection| async move {
        assert_eq!(connection.detail.event_type, EventType::Connect);
        assert_eq!(connection.detail.target_url.as_str(), TARGET);
        let port = connection.accept();
        std::future::pending::<()>().await;
        drop(port);
    })
}

fn installing() -> Policies {
    let mut policies = Policies::seeds();
    policies.install_on_connect = true;
    policies
}

/// A service whose responses, the one to [`TARGET`] included, ask to be installed.
fn house(policies: Policies, service: NativeWorker) -> House {
    let house = House::new(policies, [("echo", service)]);
    house.serve(TARGET, "what a page would show");
    house.serve_header("service-worker-script", "/sw.js");
    house.serve_header("service-worker-scope", "/");
    house
}

async fn connect(house: &House) -> (u64, Result<(), ConnectError>) {
    let page = house.page(1, PAGE);
    quiet().await;
    let connecting = house.handle.connect(page, TARGET, &url(PAGE));
    let (millis, result) = house.takes(connecting).await;
    (millis, result.map(drop))
}

#[tokio::test]
async fn the_service_that_the_urls_response_installs_is_asked() {
    let house = house(installing(), accepting());
    assert_eq!(connect(&house).await.1, Ok(()));
    let script = format!("{SERVICE}sw.js");
    assert_eq!(house.asked(), [TARGET, script.as_str()]);
    // It is there now.
    assert_eq!(connect(&house).await, (0, Ok(())));
    assert_eq!(house.asked(), [""; 0]);
}

#[tokio::test]
async fn a_link_installs_where_the_host_wants_links() {
    for wanted in [true, false] {
        let mut policies = installing();
        policies.link_install = wanted;
        let house = House::new(policies, [("echo", accepting())]);
        house.serve(TARGET, "what a page would show");
        house.serve_header("link", "</sw.js>; rel=serviceworker; scope=/");
        let expected = if wanted {
            Ok(())
        } else {
            Err(ConnectError::Abort)
        };
        assert_eq!(connect(&house).await.1, expected);
    }
}

#[tokio::test]
async fn no_preset_asks_the_network_for_a_service() {
    for policies in [Policies::seeds(), Policies::shipping()] {
        let house = house(policies, accepting());
        let (millis, result) = connect(&house).await;
        assert_eq!(result, Err(ConnectError::Abort));
        assert!((50..=76).contains(&millis), "{millis}");
        assert_eq!(house.asked(), [""; 0]);
    }
}

/// Nothing there, nothing asked for, a scope elsewhere, headers that do not count, a script that
/// fails, a worker that does not listen: all settle with the one error.
#[tokio::test]
async fn whatever_keeps_a_service_from_being_installed_refuses() {
    let quiet_worker = NativeWorker::new();
    let mut no_headers = installing();
    no_headers.header_install = HeaderInstall::Off;
    type Arrange = fn(&House);
    let cases: [(&str, NativeWorker, Policies, Arrange); 6] = [
        ("no header", accepting(), installing(), |house| {
            house.serve_header("service-worker-script", "");
        }),
        (
            "a scope that does not cover it",
            accepting(),
            installing(),
            |house| {
                house.serve_header("service-worker-scope", "/v2/");
            },
        ),
        (
            "header installation is off",
            accepting(),
            no_headers,
            |_| {},
        ),
        ("no such script", accepting(), installing(), |house| {
            house.serve_header("service-worker-script", "/missing.js");
        }),
        ("no such worker", accepting(), installing(), |house| {
            house.serve(&format!("{SERVICE}sw.js"), "unknown to the host");
        }),
        ("no listener", quiet_worker, installing(), |_| {}),
    ];
    for (what, service, policies, arrange) in cases {
        let house = house(policies, service);
        arrange(&house);
        let (millis, result) = connect(&house).await;
        assert_eq!(result, Err(ConnectError::Abort), "{what}");
        // The store has a thread of its own: how long an installation takes on the house's clock is
        // not the same in every run.
        let in_class = |class: u64| (class..=class + 26).contains(&millis);
        assert!(
            [50, 200, 800, 3_200, 12_800].into_iter().any(in_class),
            "{what}: {millis}"
        );
    }
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_the_installation_behind_and_no_connect() {
    let house = house(installing(), accepting());
    let page = house.page(1, PAGE);
    quiet().await;
    let connecting = house.handle.connect(page, TARGET, &url(PAGE));
    house.handle.host_event(HostEvent::ClientGone(page));
    assert_eq!(connecting.await.unwrap_err(), ConnectError::Abort);
}
