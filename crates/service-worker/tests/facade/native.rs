//! The whole facade, with a native host and a network of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use service_worker::native_host::{NativeHost, NativeWorker, Scope};
use service_worker::tokio_adapter::{TokioClock, spawn};
use service_worker::types::fetch::{
    CacheMode, CredentialsMode, Destination, RequestHead, RequestMode, ResponseHead,
};
use service_worker::types::{ClientId, Environment, UpdateViaCache, WorkerState, WorkerType};
use service_worker::{
    AnsweredBy, Body, Config, FetchAnswer, FetchDispatch, FetchError, FetchRequest, Fetched,
    Handle, HostEvent, JobError, MemoryStore, Network, NetworkError, NetworkErrorKind,
    NetworkFuture, NetworkRequest, NetworkResponse, NetworkUse, NoCaches, Policies,
    RegisterOptions, Report, Reports, Response, open,
};
use url::Url;

/// Headers and a body.
type Page = (&'static [(&'static str, &'static str)], &'static str);

/// Answers fixed responses, and keeps a log.
#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) pages: BTreeMap<&'static str, Page>,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Network for Pages {
    fn send(&self, request: NetworkRequest) -> NetworkFuture {
        self.log.lock().unwrap().push(request.url.to_string());
        let page = self.pages.get(request.url.as_str()).copied();
        Box::pin(async move {
            let Some((headers, body)) = page else {
                let kind = NetworkErrorKind::Connect("refused".into());
                return Err(NetworkError {
                    url: request.url,
                    kind,
                });
            };
            let headers = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            Ok(NetworkResponse {
                status: StatusCode::OK,
                status_text: "OK".into(),
                headers,
                body: body.into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}

const JS: &[(&str, &str)] = &[("content-type", "text/javascript")];
const FONT: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    ("service-worker-script", "/sw.js"),
    ("service-worker-scope", "/"),
];

fn pages() -> Pages {
    Pages {
        pages: BTreeMap::from([
            ("https://site.test/sw.js", (JS, "site")),
            ("https://site.test/broken.js", (JS, "no such worker")),
            (
                "https://site.test/text.js",
                (&[("content-type", "text/plain")][..], "site"),
            ),
            ("https://fonts.test/sw.js", (JS, "fonts")),
            ("https://fonts.test/font/a", (FONT, "from the network")),
        ]),
        log: Mutex::default(),
    }
}

/// A worker that answers everything under `/font` for others.
fn fonts() -> NativeWorker {
    fonts_that_say(|_| "from the worker".to_owned())
}

/// The same, with what it says.
pub(crate) fn fonts_that_say(
    text: impl Fn(&Scope) -> String + Clone + Send + Sync + 'static,
) -> NativeWorker {
    NativeWorker::new()
        .on_install(|scope, event| async move {
            let start = &scope.start;
            scope
                .handle
                .handle_fall_through_requests(start.worker, event, &["/font".to_owned()], None)
                .map_err(|error| error.to_string())
        })
        .on_fetch(move |scope, dispatch| {
            let body = Body::from(text(&scope));
            async move {
                // All of it, so that the worker is busy until it has answered.
                let FetchDispatch {
                    detail,
                    mut responder,
                    keep_alive,
                    ..
                } = dispatch;
                assert!(detail.is_fall_through);
                responder.respond_with_entered();
                let mut headers = HeaderMap::new();
                headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
                let head = ResponseHead::new(StatusCode::OK, headers);
                responder.respond(FetchAnswer::Response(Box::new(Response { head, body })));
                drop(keep_alive);
            }
        })
}

pub(crate) fn allowed() -> NetworkUse {
    NetworkUse::Allowed {
        headers: HeaderMap::new(),
        cache: CacheMode::Default,
    }
}

pub(crate) struct House {
    pub(crate) handle: Handle,
    reports: Reports,
    network: Arc<Pages>,
}

fn house(policies: Policies) -> House {
    house_with(policies, fonts())
}

/// A house with this service of fonts.
pub(crate) fn house_with(policies: Policies, fonts: NativeWorker) -> House {
    let network = Arc::new(pages());
    let opened = open(Config {
        policies,
        clock: Arc::new(TokioClock),
        network: network.clone(),
        caches: Arc::new(NoCaches),
        store: Box::new(MemoryStore::new()),
    })
    .unwrap();
    let handle = opened.handle.clone();
    // The site's own worker sees everything and answers nothing.
    let site = NativeWorker::new().on_fetch(|_, dispatch| async move {
        dispatch.responder.respond(FetchAnswer::NotHandled);
    });
    let scripts = [("site".to_owned(), site), ("fonts".to_owned(), fonts)];
    tokio::spawn(NativeHost::new(handle.clone(), opened.commands, scripts));
    spawn(opened.driver);
    House {
        handle,
        reports: opened.reports,
        network,
    }
}

impl House {
    pub(crate) fn page(&self, id: u64, url: &str) -> ClientId {
        let environment = Environment::top_level(ClientId(id), url.parse().unwrap());
        self.handle
            .host_event(HostEvent::ClientCreated(environment));
        self.handle.host_event(HostEvent::ClientReady(ClientId(id)));
        ClientId(id)
    }

    async fn register(&self, client: ClientId, script: &str) -> Result<(), JobError> {
        let options = RegisterOptions {
            script_url: script.into(),
            scope: None,
            base_url: "https://site.test/".parse().unwrap(),
            worker_type: WorkerType::Classic,
            update_via_cache: UpdateViaCache::Imports,
            referrer: None,
        };
        // The registry hears of the client before it hears of the registration.
        let registered = self.handle.register(client, options).await?;
        assert_eq!(registered.scope.as_str(), "https://site.test/");
        Ok(())
    }

    pub(crate) async fn font(&self, client: ClientId) -> Result<(String, AnsweredBy), FetchError> {
        let url: Url = "https://fonts.test/font/a".parse().unwrap();
        let origin = service_worker::types::Origin::of(&"https://site.test/".parse().unwrap());
        let head = RequestHead {
            destination: Destination::Font,
            mode: RequestMode::Cors,
            credentials: CredentialsMode::Omit,
            ..RequestHead::get(url, origin)
        };
        let request = FetchRequest {
            head,
            body: Body::empty(),
            client,
            reserved: None,
            network: allowed(),
        };
        let Fetched {
            response,
            answered_by,
            ..
        } = self.handle.fetch(request).await?;
        let body = response.body.collect(1 << 20).await.unwrap();
        Ok((String::from_utf8(body.to_vec()).unwrap(), answered_by))
    }

    pub(crate) async fn until_activated(&mut self, scope: &str) {
        while let Some(report) = self.reports.next().await {
            match report {
                Report::WorkerState {
                    scope: of,
                    state: WorkerState::Activated,
                    ..
                } if of.as_str() == scope => {
                    return;
                }
                Report::WorkerState { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("the reports ended");
    }
}

#[tokio::test]
async fn a_font_comes_from_the_network_once_and_then_from_the_worker_that_its_headers_installed() {
    let mut house = house(Policies::seeds());
    let page = house.page(1, "https://site.test/");
    house.handle.caught_up().await;
    let (body, by) = house.font(page).await.unwrap();
    assert_eq!(
        (body.as_str(), by),
        ("from the network", AnsweredBy::Network)
    );
    house.until_activated("https://fonts.test/").await;
    let (body, by) = house.font(page).await.unwrap();
    assert_eq!(body, "from the worker");
    assert!(matches!(by, AnsweredBy::FallThrough(_)));
    let log = house.network.log.lock().unwrap().clone();
    assert_eq!(
        log,
        ["https://fonts.test/font/a", "https://fonts.test/sw.js"]
    );
}

#[tokio::test]
async fn partitioned_another_site_does_not_find_the_worker() {
    let mut house = house(Policies::shipping());
    let page = house.page(1, "https://site.test/");
    house.handle.caught_up().await;
    house.font(page).await.unwrap();
    house.until_activated("https://fonts.test/").await;
    let other = house.page(2, "https://other.test/");
    house.handle.caught_up().await;
    assert_eq!(house.font(other).await.unwrap().1, AnsweredBy::Network);
    assert!(matches!(
        house.font(page).await.unwrap().1,
        AnsweredBy::FallThrough(_)
    ));
}

#[tokio::test]
async fn registration_failures_name_the_error_and_the_place() {
    let house = house(Policies::seeds());
    let page = house.page(1, "https://site.test/");
    house.handle.caught_up().await;
    let failed = |script| {
        let registering = house.register(page, script);
        async move { registering.await.unwrap_err().to_string() }
    };
    assert!(
        failed("/text.js").await.starts_with("SecurityError"),
        "a MIME type"
    );
    assert!(
        failed("/broken.js")
            .await
            .contains("there is no native worker")
    );
    assert!(failed("/down.js").await.contains("cannot connect"));
    assert!(
        failed("https://fonts.test/sw.js")
            .await
            .starts_with("SecurityError")
    );
    assert!(failed("a%2fb").await.starts_with("TypeError"));
}

#[tokio::test]
async fn a_registered_worker_controls_the_next_page_and_lets_its_requests_go() {
    let mut house = house(Policies::seeds());
    let page = house.page(1, "https://site.test/");
    house.handle.caught_up().await;
    house.register(page, "/sw.js").await.unwrap();
    house.until_activated("https://site.test/").await;
    assert_eq!(house.handle.controller(page), None);
    assert_eq!(
        house.handle.ready(page).await.unwrap().scope.as_str(),
        "https://site.test/"
    );
    let url: Url = "https://site.test/".parse().unwrap();
    let reserved = Environment::top_level(ClientId(2), url.clone());
    house
        .handle
        .host_event(HostEvent::ClientCreated(reserved.clone()));
    let head = RequestHead {
        destination: Destination::Document,
        mode: RequestMode::Navigate,
        ..RequestHead::get(url, reserved.origin.clone())
    };
    let request = FetchRequest {
        head,
        body: Body::empty(),
        client: reserved.id,
        reserved: Some(reserved),
        network: allowed(),
    };
    // The worker lets the navigation go to the network, where there is no such page.
    let error = house.handle.fetch(request).await.unwrap_err();
    assert!(matches!(error, FetchError::Network(_)), "{error}");
    while house.handle.controller(ClientId(2)).is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shutting_down_settles_whoever_waits() {
    let house = house(Policies::seeds());
    let page = house.page(1, "https://site.test/");
    let ready = house.handle.ready(page);
    house.handle.shut_down().await;
    assert!(matches!(ready.await, Err(JobError::Abort(_))));
    assert!(matches!(
        house.handle.ready(page).await,
        Err(JobError::Abort(_))
    ));
}
