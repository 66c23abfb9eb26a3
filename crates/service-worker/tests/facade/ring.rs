//! Services that ask one another: a ring ends quickly, with the network's answers, on the host's
//! real clock and long before any deadline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use service_worker::native_host::{NativeHost, NativeWorker, Scope};
use service_worker::tokio_adapter::{TokioClock, spawn};
use service_worker::types::fetch::{Destination, RequestHead, RequestMode, ServiceWorkersMode};
use service_worker::types::{ClientId, Environment, WorkerState};
use service_worker::{
    AnsweredBy, Body, Config, FetchAnswer, FetchError, FetchRequest, Fetched, Handle, HostEvent,
    MemoryStore, NoCaches, Policies, Report, Reports, open,
};
use url::Url;

use crate::native::{Pages, allowed};

const SITE: &str = "https://site.test/";
const HEADERS: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    // Another origin's answer counts by what the service could see of it.
    ("access-control-expose-headers", "*"),
    ("service-worker-script", "/sw.js"),
    ("service-worker-scope", "/"),
];
const JS: &[(&str, &str)] = &[("content-type", "text/javascript")];

/// A service that answers what it is asked with what `next` says to the same.
fn relay(next: &'static str) -> NativeWorker {
    NativeWorker::new()
        .on_install(|scope, event| async move {
            let worker = scope.start.worker;
            scope
                .handle
                .handle_fall_through_requests(worker, event, &["/font".to_owned()], None)
                .map_err(|error| error.to_string())
        })
        .on_fetch(move |scope: Scope, mut dispatch| async move {
            dispatch.responder.respond_with_entered();
            let environment = &scope.start.environment;
            let answer = match font(&scope.handle, environment, next).await {
                Ok(fetched) => FetchAnswer::Response(Box::new(fetched.response)),
                Err(error) => panic!("{error}"),
            };
            dispatch.responder.respond(answer);
        })
}

/// `fetch()` of the font of `at`, by a page or by a service.
async fn font(handle: &Handle, environment: &Environment, at: &str) -> Result<Fetched, FetchError> {
    let url: Url = format!("https://{at}/font").parse().unwrap();
    let head = RequestHead {
        destination: Destination::Font,
        mode: RequestMode::Cors,
        service_workers: ServiceWorkersMode::Foreign,
        ..RequestHead::get(url, environment.origin.clone())
    };
    let request = FetchRequest {
        head,
        body: Body::empty(),
        client: environment.id,
        reserved: None,
        network: allowed(),
    };
    handle.fetch(request).await
}

struct House {
    handle: Handle,
    reports: Reports,
    network: Arc<Pages>,
    page: Environment,
}

/// A house in which each service of `ring` asks the one after it, and the last the first. All are
/// installed by header.
async fn house(ring: &[&'static str]) -> House {
    let mut pages = BTreeMap::new();
    let mut scripts = Vec::new();
    for (at, host) in ring.iter().enumerate() {
        let next = ring[(at + 1) % ring.len()];
        let text = |path: &str| -> &'static str { format!("https://{host}{path}").leak() };
        pages.insert(text("/font"), (HEADERS, *host));
        pages.insert(text("/sw.js"), (JS, *host));
        scripts.push(((*host).to_owned(), relay(next)));
    }
    let network = Arc::new(Pages {
        pages,
        log: Mutex::default(),
    });
    let opened = open(Config {
        policies: Policies::seeds(),
        clock: Arc::new(TokioClock),
        network: network.clone(),
        caches: Arc::new(NoCaches),
        store: Box::new(MemoryStore::new()),
    })
    .unwrap();
    let handle = opened.handle.clone();
    tokio::spawn(NativeHost::new(handle.clone(), opened.commands, scripts));
    spawn(opened.driver);
    let page = Environment::top_level(ClientId(1), SITE.parse().unwrap());
    handle.host_event(HostEvent::ClientCreated(page.clone()));
    handle.host_event(HostEvent::ClientReady(page.id));
    handle.caught_up().await;
    let mut house = House {
        handle,
        reports: opened.reports,
        network,
        page,
    };
    for host in ring {
        font(&house.handle, &house.page, host).await.unwrap();
        house.until_activated().await;
    }
    house.network.log.lock().unwrap().clear();
    house
}

impl House {
    async fn until_activated(&mut self) {
        while let Some(report) = self.reports.next().await {
            if matches!(
                report,
                Report::WorkerState {
                    state: WorkerState::Activated,
                    ..
                }
            ) {
                return;
            }
        }
        panic!("the reports ended");
    }

    /// What the page gets for the first service's font, from whom, and what the network was asked.
    async fn asked(&self, first: &str) -> (String, AnsweredBy, Vec<String>) {
        let fetched = font(&self.handle, &self.page, first).await.unwrap();
        let body = fetched.response.body.collect(1 << 20).await.unwrap();
        let log = std::mem::take(&mut *self.network.log.lock().unwrap());
        let body = String::from_utf8(body.to_vec()).unwrap();
        (body, fetched.answered_by, log)
    }
}

/// a asks b, b asks a: that edge would close the circle, so a's own network answers, through b and
/// a, to the page.
#[tokio::test]
async fn two_services_that_ask_one_another_end_with_the_network() {
    let house = house(&["a.test", "b.test"]).await;
    let (body, by, log) = house.asked("a.test").await;
    assert_eq!(body, "a.test");
    assert!(matches!(by, AnsweredBy::FallThrough(_)));
    assert_eq!(log, ["https://a.test/font"]);
}

#[tokio::test]
async fn a_service_that_asks_itself_gets_the_network() {
    let house = house(&["a.test"]).await;
    let (body, _, log) = house.asked("a.test").await;
    assert_eq!(body, "a.test");
    assert_eq!(log, ["https://a.test/font"]);
}

/// The fifth of a chain is not waited for, though it would close no circle yet.
#[tokio::test]
async fn a_ring_that_is_longer_than_the_depth_limit_is_cut_there() {
    assert_eq!(Policies::seeds().limits.fall_through_depth, 4);
    let house = house(&["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"]).await;
    let (body, _, log) = house.asked("a.test").await;
    assert_eq!(body, "e.test");
    assert_eq!(log, ["https://e.test/font"]);
}

/// All at once and over one another, every one of them ends with some service's network.
#[tokio::test]
async fn many_rings_at_once_all_end() {
    let ring = ["a.test", "b.test", "c.test"];
    let house = house(&ring).await;
    let asked = (0..60).map(|at| font(&house.handle, &house.page, ring[at % 3]));
    for fetched in futures_util::future::join_all(asked).await {
        let body = fetched
            .unwrap()
            .response
            .body
            .collect(1 << 20)
            .await
            .unwrap();
        assert!(ring.iter().any(|host| body == host.as_bytes()), "{body:?}");
    }
    // No edge is left: the next page falls through as the first did.
    let (body, by, _) = house.asked("a.test").await;
    assert_eq!(body, "a.test");
    assert!(matches!(by, AnsweredBy::FallThrough(_)));
}
