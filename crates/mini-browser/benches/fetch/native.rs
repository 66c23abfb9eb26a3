//! Row F1, and rows F2, F3 and F6 with workers that are Rust closures: what the facade costs.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, StatusCode};
use service_worker::native_host::{NativeHost, NativeWorker};
use service_worker::tokio_adapter::TokioClock;
use service_worker::types::fetch::{Destination, RequestHead, RequestMode, ResponseHead};
use service_worker::types::{ClientId, Environment, Origin, UpdateViaCache, WorkerType};
use service_worker::{
    Body, Config, FetchAnswer, FetchRequest, Handle, HostEvent, MemoryStore, Network,
    NetworkFuture, NetworkRequest, NetworkResponse, NetworkUse, NoCaches, Policies,
    RegisterOptions, Response, open,
};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::measure::{Plan, Row, Title, contender, measure};

const RUNS: usize = 9;
const COUNT: u32 = 10_000;
const SITE: &str = "https://site.test/";
const FONT: &str = "https://fonts.test/font";
const NOBODY: &str = "https://cdn.example.com/assets/app.min.js?v=2.1";

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    if !["F1", "F2-native", "F3-native", "F6-native"]
        .iter()
        .any(|id| plan.wants(id))
    {
        return Vec::new();
    }
    let house = House::start();
    let title = |id, name, unit| Title {
        id,
        name,
        unit,
        runs: RUNS,
    };
    let mut rows = Vec::new();
    if plan.wants("F1") {
        rows.push(measure(
            title("F1", "decision for an origin nobody serves", "µs"),
            || house.decide(),
            vec![contender("Url::parse", parse)],
        ));
    }
    let hops = Hops::start();
    if plan.wants("F2-native") {
        rows.push(measure(
            title("F2-native", "client → warm worker → text, native", "µs"),
            || house.fetches(SITE, 1),
            vec![contender("two hops", || hops.run())],
        ));
    }
    if plan.wants("F3-native") {
        rows.push(measure(
            title("F3-native", "the same, 16 at once, native", "1/s"),
            || 1e6 / house.fetches(SITE, 16),
            vec![contender("one after another", || {
                1e6 / house.fetches(SITE, 1)
            })],
        ));
    }
    if plan.wants("F6-native") {
        rows.push(measure(
            title("F6-native", "one fall-through hop → text, native", "µs"),
            || house.fetches(FONT, 1),
            vec![contender("F2-native", || house.fetches(SITE, 1))],
        ));
    }
    rows
}

/// Microseconds a URL.
fn parse() -> f64 {
    let begun = Instant::now();
    for _ in 0..COUNT {
        drop(black_box(Url::parse(black_box(NOBODY))));
    }
    micros(begun)
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT)
}

/// A facade with a native host. Driver and workers have a thread each.
struct House {
    handle: Handle,
    client: Runtime,
    page: ClientId,
    stranger: ClientId,
}

impl House {
    fn start() -> Self {
        let opened = open(Config {
            policies: Policies::seeds(),
            clock: Arc::new(TokioClock),
            network: Arc::new(Scripts),
            caches: Arc::new(NoCaches),
            store: Box::new(MemoryStore::new()),
        });
        let opened = opened.unwrap_or_else(|error| panic!("{error}"));
        let handle = opened.handle;
        let host = NativeHost::new(
            handle.clone(),
            opened.commands,
            [("hello".to_owned(), hello())],
        );
        on_a_thread(opened.driver);
        on_a_thread(host);
        let client = current_thread();
        let house = Self {
            handle,
            client,
            page: ClientId(1),
            stranger: ClientId(2),
        };
        house.register(ClientId(1), SITE);
        house.register(ClientId(3), FONT);
        house.create(ClientId(2), "https://elsewhere.test/");
        house
    }

    fn create(&self, id: ClientId, url: &str) {
        let environment = Environment::top_level(id, parsed(url));
        self.handle
            .host_event(HostEvent::ClientCreated(environment));
        self.handle.host_event(HostEvent::ClientReady(id));
    }

    /// Registers the worker of an origin, and waits until it controls its page.
    fn register(&self, id: ClientId, url: &str) {
        self.create(id, url);
        let options = RegisterOptions {
            script_url: "/sw.js".into(),
            scope: Some("/".into()),
            base_url: parsed(url),
            worker_type: WorkerType::Classic,
            update_via_cache: UpdateViaCache::Imports,
            referrer: None,
        };
        self.client.block_on(async {
            self.handle.caught_up().await;
            let registered = self.handle.register(id, options).await;
            registered.unwrap_or_else(|error| panic!("{url}: {error}"));
            while self.handle.controller(id).is_none() {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Microseconds a decision.
    fn decide(&self) -> f64 {
        let head = head(NOBODY);
        let begun = Instant::now();
        for _ in 0..COUNT {
            let route = self.handle.route(black_box(&head), self.stranger);
            drop(black_box(route));
        }
        micros(begun)
    }

    /// Microseconds a fetch, with some at a time.
    fn fetches(&self, url: &str, width: u32) -> f64 {
        let client = if url == SITE {
            self.page
        } else {
            self.stranger
        };
        let head = head(url);
        let one = async || {
            for _ in 0..COUNT / width {
                let request = FetchRequest {
                    head: head.clone(),
                    body: Body::empty(),
                    client,
                    reserved: None,
                    network: NetworkUse::Forbidden,
                };
                let fetched = self.handle.fetch(request).await;
                let fetched = fetched.unwrap_or_else(|error| panic!("{error}"));
                let text = fetched.response.body.collect(5).await;
                assert_eq!(text.as_deref(), Ok(&b"hello"[..]));
            }
        };
        let begun = Instant::now();
        self.client.block_on(join_all((0..width).map(|_| one())));
        micros(begun)
    }
}

fn parsed(url: &str) -> Url {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn head(url: &str) -> RequestHead {
    let origin = if url == SITE {
        SITE
    } else {
        "https://elsewhere.test/"
    };
    RequestHead {
        destination: Destination::Font,
        mode: RequestMode::Cors,
        ..RequestHead::get(parsed(url), Origin::of(&parsed(origin)))
    }
}

fn hello() -> NativeWorker {
    NativeWorker::new()
        .on_install(|scope, event| async move {
            let prefixes = ["/font".to_owned()];
            let worker = scope.start.worker;
            let asked = scope
                .handle
                .handle_fall_through_requests(worker, event, &prefixes, None);
            asked.map_err(|error| error.to_string())
        })
        .on_activate(|scope, _| async move {
            let claimed = scope.handle.claim(scope.start.worker).await;
            claimed.map_err(|error| error.to_string())
        })
        .on_fetch(|_, mut dispatch| async move {
            dispatch.responder.respond_with_entered();
            let mut headers = HeaderMap::new();
            headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
            let head = ResponseHead::new(StatusCode::OK, headers);
            let response = Response {
                head,
                body: Body::from("hello"),
            };
            dispatch
                .responder
                .respond(FetchAnswer::Response(Box::new(response)));
        })
}

/// A network that has nothing but the worker's script.
struct Scripts;

impl Network for Scripts {
    fn send(&self, _: NetworkRequest) -> NetworkFuture {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/javascript"));
        Box::pin(async move {
            Ok(NetworkResponse {
                status: StatusCode::OK,
                status_text: String::new(),
                headers,
                body: "hello".into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}

/// Another thread that answers.
struct Hops {
    questions: mpsc::UnboundedSender<oneshot::Sender<Body>>,
    runtime: Runtime,
}

impl Hops {
    fn start() -> Self {
        let (questions, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<Body>>();
        on_a_thread(async move {
            while let Some(question) = asked.recv().await {
                drop(question.send("hello".into()));
            }
        });
        Self {
            questions,
            runtime: current_thread(),
        }
    }

    /// Microseconds for there and back.
    fn run(&self) -> f64 {
        let begun = Instant::now();
        self.runtime.block_on(async {
            for _ in 0..COUNT {
                let (sender, answer) = oneshot::channel();
                assert!(self.questions.send(sender).is_ok(), "it has ended");
                let body = answer.await.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(body.collect(5).await.as_deref(), Ok(&b"hello"[..]));
            }
        });
        micros(begun)
    }
}

fn current_thread() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap_or_else(|error| panic!("{error}"))
}

fn on_a_thread(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || current_thread().block_on(future));
}
