//! A house with a native host, a clock that only tests move, and services to talk to.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use service_worker::message_port::{Event, Message, MessagePort};
use service_worker::native_host::{NativeHost, NativeWorker};
use service_worker::types::{
    ClientId, Environment, RegistrationView, ScriptMap, Timestamp, UpdateViaCache, WorkerId,
    WorkerState, WorkerType,
};
use service_worker::{
    ClientMessage, Clock, Commanded, Config, Handle, HostCommands, HostEvent, JobError,
    MemoryStore, Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest,
    NetworkResponse, NoCaches, Policies, RegisterOptions, RegistryStore, Report, Reports, Restored,
    StoreError, StoreWrite, open,
};
use url::Url;

pub(crate) const SERVICE: &str = "https://echo.test/";

pub(crate) fn url(url: &str) -> Url {
    url.parse().unwrap()
}

/// Time that stands still until a test moves it.
pub(crate) struct TestClock(Mutex<Time>);

struct Time {
    now: Instant,
    sleeping: Vec<(Instant, oneshot::Sender<()>)>,
}

impl TestClock {
    fn new() -> Arc<Self> {
        let now = Instant::now();
        let sleeping = Vec::new();
        Arc::new(Self(Mutex::new(Time { now, sleeping })))
    }

    fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        time.now += by;
        let now = time.now;
        let (due, later) = std::mem::take(&mut time.sleeping)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        time.sleeping = later;
        drop(time);
        let due: Vec<_> = due;
        for (_, wake) in due {
            let _dropped = wake.send(());
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }

    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut time = self.0.lock().unwrap();
        if deadline <= time.now {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        time.sleeping.push((deadline, wake));
        Box::pin(async move {
            let _dropped = woken.await;
        })
    }
}

/// Answers scripts: the name of a native worker for each URL.
struct Scripts {
    served: Mutex<BTreeMap<String, String>>,
    /// What every response says besides its type.
    headers: Mutex<HeaderMap>,
    /// What was asked.
    asked: Mutex<Vec<String>>,
}

impl Network for Scripts {
    fn send(&self, request: NetworkRequest) -> NetworkFuture {
        let script = self
            .served
            .lock()
            .unwrap()
            .get(request.url.as_str())
            .cloned();
        self.asked.lock().unwrap().push(request.url.to_string());
        let mut headers = self.headers.lock().unwrap().clone();
        Box::pin(async move {
            let Some(script) = script else {
                let kind = NetworkErrorKind::Connect("refused".into());
                return Err(NetworkError {
                    url: request.url,
                    kind,
                });
            };
            headers.insert(
                HeaderName::from_static("content-type"),
                HeaderValue::from_static("text/javascript"),
            );
            Ok(NetworkResponse {
                status: StatusCode::OK,
                status_text: "OK".into(),
                headers,
                body: script.into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}

/// A store whose commits are counted.
struct Counted {
    store: Box<dyn RegistryStore>,
    commits: Arc<AtomicUsize>,
}

impl RegistryStore for Counted {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.store.restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.store.scripts(worker)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.blob(key)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.store.commit(batch)
    }
}

pub(crate) struct House {
    pub(crate) handle: Handle,
    pub(crate) reports: Reports,
    /// What workers have posted to clients.
    pub(crate) inbox: Inbox,
    /// What was damaged in the store, as people are told.
    pub(crate) quarantined: Vec<String>,
    commits: Arc<AtomicUsize>,
    clock: Arc<TestClock>,
    scripts: Arc<Scripts>,
}

type Inbox = Arc<Mutex<Vec<(ClientId, ClientMessage<MessagePort>)>>>;

/// What a host has taken, for the test to look at when it comes to it.
pub(crate) type Taken = mpsc::UnboundedReceiver<Commanded>;

impl House {
    /// `scripts`: native workers by name; `sw.js` of [`SERVICE`] is the first of them.
    pub(crate) fn new(
        policies: Policies,
        scripts: impl IntoIterator<Item = (&'static str, NativeWorker)>,
    ) -> Self {
        let scripts: Vec<_> = scripts
            .into_iter()
            .map(|(name, worker)| (name.to_owned(), worker))
            .collect();
        let (house, commands) = Self::opened(policies, Box::new(MemoryStore::new()));
        house.serve(&format!("{SERVICE}sw.js"), &scripts[0].0);
        let handle = house.handle.clone();
        let inbox = Arc::clone(&house.inbox);
        let take = move |client, message| inbox.lock().unwrap().push((client, message));
        tokio::spawn(NativeHost::new(handle, commands, scripts).with_clients(take));
        house
    }

    /// With the test as the host; `sw.js` of [`SERVICE`] is some script.
    pub(crate) fn without_host(policies: Policies) -> (Self, Taken) {
        Self::over(policies, Box::new(MemoryStore::new()))
    }

    /// As [`Self::without_host`], over a store that holds something already.
    pub(crate) fn over(policies: Policies, store: Box<dyn RegistryStore>) -> (Self, Taken) {
        let (house, mut commands) = Self::opened(policies, store);
        let (sender, taken) = mpsc::unbounded();
        tokio::spawn(async move {
            while let Some(commanded) = commands.next().await {
                // A test that has ended looks at no more.
                let _ended = sender.unbounded_send(commanded);
            }
        });
        (house, taken)
    }

    pub(crate) fn opened(
        policies: Policies,
        store: Box<dyn RegistryStore>,
    ) -> (Self, HostCommands) {
        let served = BTreeMap::from([(format!("{SERVICE}sw.js"), String::new())]);
        let network = Arc::new(Scripts {
            served: Mutex::new(served),
            headers: Mutex::default(),
            asked: Mutex::default(),
        });
        let clock = TestClock::new();
        let commits = Arc::default();
        let store = Box::new(Counted {
            store,
            commits: Arc::clone(&commits),
        });
        let opened = open(Config {
            policies,
            clock: clock.clone(),
            network: network.clone(),
            caches: Arc::new(NoCaches),
            store,
        })
        .unwrap();
        let handle = opened.handle.clone();
        tokio::spawn(opened.driver.with_seed(7));
        let house = Self {
            handle,
            reports: opened.reports,
            inbox: Inbox::default(),
            quarantined: opened.quarantined,
            commits,
            clock,
            scripts: network,
        };
        (house, opened.commands)
    }

    /// How often something was stored.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// From now on, this URL is answered with this script.
    pub(crate) fn serve(&self, url: &str, script: &str) {
        let mut scripts = self.scripts.served.lock().unwrap();
        scripts.insert(url.to_owned(), script.to_owned());
    }

    /// From now on, every response has this header.
    pub(crate) fn serve_header(&self, name: &'static str, value: &'static str) {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self.scripts.headers.lock().unwrap().insert(name, value);
    }

    /// What the network was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.scripts.asked.lock().unwrap())
    }

    pub(crate) fn client(&self, environment: Environment) -> ClientId {
        let id = environment.id;
        self.handle
            .host_event(HostEvent::ClientCreated(environment));
        self.handle.host_event(HostEvent::ClientReady(id));
        id
    }

    pub(crate) fn page(&self, id: u64, at: &str) -> ClientId {
        self.client(Environment::top_level(ClientId(id), url(at)))
    }

    /// Registers the service, by a page of its own that is gone afterwards.
    pub(crate) async fn install(&mut self) {
        let page = self.page(1_000_000, SERVICE);
        self.install_for(page).await;
        self.handle.host_event(HostEvent::ClientGone(page));
        quiet().await;
    }

    pub(crate) async fn install_for(&mut self, page: ClientId) {
        quiet().await;
        self.register(page, SERVICE).await.unwrap();
        self.until(WorkerState::Activated).await;
    }

    /// Registers `/sw.js` of `base`.
    pub(crate) fn register(
        &self,
        page: ClientId,
        base: &str,
    ) -> impl Future<Output = Result<RegistrationView, JobError>> + Send + 'static {
        let options = RegisterOptions {
            script_url: "/sw.js".into(),
            scope: None,
            base_url: url(base),
            worker_type: WorkerType::Classic,
            update_via_cache: UpdateViaCache::Imports,
            referrer: None,
        };
        self.handle.register(page, options)
    }

    pub(crate) async fn until(&mut self, wanted: WorkerState) {
        while let Some(report) = self.reports.next().await {
            if matches!(report, Report::WorkerState { state, .. } if state == wanted) {
                return quiet().await;
            }
        }
        panic!("the reports ended");
    }

    /// Moves the clock by a long time at once.
    pub(crate) async fn pass_seconds(&self, seconds: u64) {
        quiet().await;
        self.clock.advance(Duration::from_secs(seconds));
        quiet().await;
    }

    /// After how many milliseconds a future is ready.
    pub(crate) async fn takes<T>(&self, future: impl Future<Output = T>) -> (u64, T) {
        let mut future = pin!(future);
        for millis in 0..40_000 {
            quiet().await;
            if let Poll::Ready(output) = now(future.as_mut()).await {
                return (millis, output);
            }
            self.clock.advance(Duration::from_millis(1));
        }
        panic!("it is not ready after 40 s");
    }
}

/// What a future has come to.
pub(crate) async fn now<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Lets all tasks run that can. Everything of a test is on one thread, but for the store.
pub(crate) async fn quiet() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn message(text: &'static str) -> Message {
    Message::new(text)
}

/// The next event of a port: the text of a message, or "close".
pub(crate) async fn next(port: &mut MessagePort) -> String {
    match port.recv().await {
        Some(Event::Message(message)) => String::from_utf8(message.payload.to_vec()).unwrap(),
        Some(Event::Close) => "close".to_owned(),
        None => "the end".to_owned(),
    }
}
