//! The facade with the test as its host: the driver is polled by hand, and time stands still until a
//! test moves it.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use service_worker::types::fetch::{
    CacheMode, Destination, RequestHead, RequestMode, ResponseHead,
};
use service_worker::types::{
    ClientId, Environment, EventType, EventTypes, FetchHandler, Origin, ScriptMap, StorageKey,
    Timestamp, UpdateViaCache, WorkerId, WorkerState, WorkerType,
};
use service_worker::{
    Body, CacheFuture, CacheStorage, Clock, Commanded, Config, Driver, FetchDispatch, FetchRequest,
    Handle, HostCommand, HostCommands, HostEvent, MemoryStore, Network, NetworkError,
    NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse, NetworkUse, Policies,
    RegisterOptions, RegistryStore, Report, Reports, Response, Restored, StartWorker, StopReason,
    StoreError, StoreWrite, WorkerInbox, open,
};
use url::Url;

pub(crate) const SITE: &str = "https://site.test/";
pub(crate) const FONTS: &str = "https://fonts.test/";
pub(crate) const FONT: &str = "https://fonts.test/font/a";

pub(crate) fn url(url: &str) -> Url {
    url.parse().unwrap()
}

pub(crate) struct Stand {
    pub(crate) handle: Handle,
    pub(crate) driver: Option<Driver>,
    pub(crate) commands: HostCommands,
    pub(crate) reports: Reports,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) network: Arc<Pages>,
    pub(crate) caches: Arc<Shelf>,
    pub(crate) wakes: Arc<Wakes>,
    /// Whether the host lets its commands wait.
    pub(crate) is_busy: bool,
    /// Commands that the host has taken and not looked at.
    taken: VecDeque<Commanded>,
    seen: Vec<Report>,
}

impl Stand {
    pub(crate) fn new(policies: Policies) -> Self {
        Self::with_store(policies, Box::new(MemoryStore::new()))
    }

    pub(crate) fn with_store(policies: Policies, store: Box<dyn RegistryStore>) -> Self {
        let clock = Arc::new(TestClock::new());
        let network = Arc::new(Pages::default());
        let caches = Arc::new(Shelf::default());
        for site in [SITE, FONTS] {
            network.serve(&format!("{site}sw.js"), &[JS], "sw");
        }
        let opened = open(Config {
            policies,
            clock: clock.clone(),
            network: network.clone(),
            caches: caches.clone(),
            store,
        })
        .unwrap();
        Self {
            handle: opened.handle,
            driver: Some(opened.driver),
            commands: opened.commands,
            reports: opened.reports,
            clock,
            network,
            caches,
            wakes: Arc::default(),
            is_busy: false,
            taken: VecDeque::new(),
            seen: Vec::new(),
        }
    }

    /// Polls the driver once, and takes its commands.
    pub(crate) fn turn(&mut self) -> Poll<()> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let mut cx = Context::from_waker(&waker);
        let ended = match &mut self.driver {
            Some(driver) => Pin::new(driver).poll(&mut cx),
            None => Poll::Ready(()),
        };
        while !self.is_busy
            && let Some(commanded) = next(&mut self.commands)
        {
            self.taken.push_back(commanded);
        }
        ended
    }

    /// The oldest command that was not looked at.
    pub(crate) fn taken(&mut self) -> Option<Commanded> {
        self.taken.pop_front()
    }

    /// Polls the driver until `what` gives something. The store has a thread of its own.
    pub(crate) fn until<T>(
        &mut self,
        wanted: &str,
        mut what: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        for _ in 0..200_000 {
            let _ended = self.turn();
            if let Some(found) = what(self) {
                return found;
            }
            std::thread::yield_now();
        }
        panic!("waited in vain for {wanted}");
    }

    /// Polls the driver until it would sleep and nobody wakes it.
    pub(crate) fn quiet(&mut self) {
        let caught_up = self.handle.caught_up();
        self.settle("the driver to catch up", caught_up);
    }

    pub(crate) fn settle<T>(&mut self, wanted: &str, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        self.until(wanted, |_| ready(future.as_mut()))
    }

    /// What the host is to do next, but for telling clients.
    pub(crate) fn command(&mut self) -> (HostCommand, Option<WorkerInbox>) {
        self.until("a command", |stand| {
            stand
                .taken()
                .filter(|(command, _)| !matches!(command, HostCommand::Notify { .. }))
        })
    }

    /// The next start.
    pub(crate) fn start(&mut self) -> (StartWorker, WorkerInbox) {
        match self.command() {
            (HostCommand::StartWorker(start), Some(inbox)) => (*start, inbox),
            other => panic!("expected a start, found {other:?}"),
        }
    }

    /// The next stop.
    pub(crate) fn stop(&mut self) -> HostCommand {
        match self.command().0 {
            stop @ HostCommand::StopWorker { .. } => stop,
            other => panic!("expected a stop, found {other:?}"),
        }
    }

    pub(crate) fn started(&self, start: &StartWorker, listens_to: &[EventType]) {
        let event_types: EventTypes = listens_to.iter().copied().collect();
        self.handle.host_event(HostEvent::Started {
            worker: start.worker,
            run: start.run,
            event_types,
            fetch_handler: if event_types.contains(EventType::Fetch) {
                FetchHandler::Present
            } else {
                FetchHandler::None
            },
        });
    }

    pub(crate) fn start_failed(&self, start: &StartWorker, error: &str) {
        self.handle.host_event(HostEvent::StartFailed {
            worker: start.worker,
            run: start.run,
            error: error.to_owned(),
        });
    }

    pub(crate) fn died(&self, start: &StartWorker) {
        self.handle.host_event(HostEvent::Died {
            worker: start.worker,
            run: start.run,
            reason: "stopped".to_owned(),
        });
    }

    pub(crate) fn page(&mut self, id: u64, at: &str) -> ClientId {
        let environment = Environment::top_level(ClientId(id), url(at));
        self.handle
            .host_event(HostEvent::ClientCreated(environment));
        self.handle.host_event(HostEvent::ClientReady(ClientId(id)));
        self.quiet();
        ClientId(id)
    }

    /// Registers `/sw.js` of [`SITE`], which listens to `fetch`, and lets it be activated.
    pub(crate) fn activated(&mut self) -> (StartWorker, WorkerInbox) {
        let page = self.page(1_000, SITE);
        let registering = self.handle.register(page, options());
        let (start, inbox) = self.start();
        self.started(&start, &[EventType::Fetch]);
        self.settle("the registration", registering).unwrap();
        self.until_state(WorkerState::Activated);
        self.handle.host_event(HostEvent::ClientGone(page));
        self.quiet();
        (start, inbox)
    }

    /// Lets the worker that is activated be stopped for idleness.
    pub(crate) fn idle_stop(&mut self, start: &StartWorker) {
        self.quiet();
        self.clock.pass(Duration::from_secs(31));
        self.stop();
        self.died(start);
        self.quiet();
    }

    pub(crate) fn until_state(&mut self, wanted: WorkerState) {
        self.until_report(
            |report| matches!(report, Report::WorkerState { state, .. } if *state == wanted),
        );
    }

    pub(crate) fn until_report(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        self.until("a report", |stand| {
            while let Some(report) = next(&mut stand.reports) {
                if wanted(&report) {
                    return Some(report);
                }
                stand.seen.push(report);
            }
            None
        })
    }

    /// The next fetch event of a worker.
    pub(crate) fn event(&mut self, inbox: &mut WorkerInbox) -> FetchDispatch {
        self.until("a fetch event", |_| next(inbox))
    }
}

pub(crate) fn stop_reason(command: &HostCommand) -> StopReason {
    match command {
        HostCommand::StopWorker { reason, .. } => *reason,
        other => panic!("{other:?} stops nothing"),
    }
}

pub(crate) fn options() -> RegisterOptions {
    RegisterOptions {
        script_url: "/sw.js".into(),
        scope: None,
        base_url: url(SITE),
        worker_type: WorkerType::Classic,
        update_via_cache: UpdateViaCache::Imports,
        referrer: None,
    }
}

pub(crate) fn allowed() -> NetworkUse {
    NetworkUse::Allowed {
        headers: HeaderMap::new(),
        cache: CacheMode::Default,
    }
}

/// A navigation to a page of [`SITE`], whose reserved client has been announced.
pub(crate) fn navigation(stand: &Stand, id: u64, to: &str) -> FetchRequest {
    let reserved = Environment::top_level(ClientId(id), url(to));
    stand
        .handle
        .host_event(HostEvent::ClientCreated(reserved.clone()));
    FetchRequest {
        head: RequestHead {
            destination: Destination::Document,
            mode: RequestMode::Navigate,
            ..RequestHead::get(url(to), reserved.origin.clone())
        },
        body: Body::empty(),
        client: reserved.id,
        reserved: Some(reserved),
        network: allowed(),
    }
}

/// A request of a page of [`SITE`], in cors mode.
pub(crate) fn subresource(client: ClientId, to: &str) -> FetchRequest {
    FetchRequest {
        head: RequestHead {
            destination: Destination::Font,
            mode: RequestMode::Cors,
            ..RequestHead::get(url(to), Origin::of(&url(SITE)))
        },
        body: Body::empty(),
        client,
        reserved: None,
        network: allowed(),
    }
}

/// What a future has come to.
pub(crate) fn ready<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What a stream has.
pub(crate) fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
    match Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item,
        Poll::Pending => None,
    }
}

/// How often the driver was woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a disk holds, for one profile after the other.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    store: Arc<Mutex<MemoryStore>>,
    /// Whether it refuses every write.
    pub(crate) refuses: bool,
}

impl Disk {
    pub(crate) fn registrations(&self) -> usize {
        self.store.lock().unwrap().registrations().count()
    }
}

impl RegistryStore for Disk {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.store.lock().unwrap().restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.store.lock().unwrap().scripts(worker)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.lock().unwrap().blob(key)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        if self.refuses {
            return Err(StoreError::Io("the disk is full".into()));
        }
        self.store.lock().unwrap().commit(batch)
    }
}

/// Time that stands still until a test moves it.
pub(crate) struct TestClock(Mutex<Time>);

struct Time {
    now: Instant,
    sleeping: Vec<(Instant, oneshot::Sender<()>)>,
}

impl TestClock {
    fn new() -> Self {
        Self(Mutex::new(Time {
            now: Instant::now(),
            sleeping: Vec::new(),
        }))
    }

    pub(crate) fn pass(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        time.now += by;
        let now = time.now;
        let sleeping = std::mem::take(&mut time.sleeping);
        let (due, later): (Vec<_>, Vec<_>) = sleeping.into_iter().partition(|(at, _)| *at <= now);
        time.sleeping = later;
        drop(time);
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

pub(crate) const JS: (&str, &str) = ("content-type", "text/javascript");

type Page = (StatusCode, HeaderMap, String);

/// What was asked, the headers and the body that came with it.
type Asked = (String, HeaderMap, Vec<u8>);

/// A network of fixed answers, with a log of what it was sent.
#[derive(Default)]
pub(crate) struct Pages {
    pages: Mutex<BTreeMap<String, Page>>,
    held: Mutex<BTreeMap<String, oneshot::Receiver<()>>>,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Pages {
    pub(crate) fn serve(&self, url: &str, headers: &[(&'static str, &'static str)], body: &str) {
        self.serve_as(StatusCode::OK, url, headers, body);
    }

    pub(crate) fn serve_as(
        &self,
        status: StatusCode,
        url: &str,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let page = (status, headers.collect(), body.to_owned());
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    /// The next request of a URL is not answered until something is sent; canceled if it is aborted.
    pub(crate) fn hold(&self, url: &str) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        self.held.lock().unwrap().insert(url.to_owned(), held);
        release
    }

    /// How often a URL was asked.
    pub(crate) fn asked(&self, url: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(asked, ..)| asked == url).count()
    }

    /// The body that was sent last.
    pub(crate) fn last_body(&self) -> Vec<u8> {
        self.log.lock().unwrap().last().unwrap().2.clone()
    }

    /// The headers that a URL was asked with last.
    pub(crate) fn headers_of(&self, url: &str) -> HeaderMap {
        let log = self.log.lock().unwrap();
        let its = log.iter().rev().find(|(asked, ..)| asked == url);
        its.unwrap().1.clone()
    }

    /// The headers that were sent last.
    pub(crate) fn last_headers(&self) -> HeaderMap {
        self.log.lock().unwrap().last().unwrap().1.clone()
    }
}

impl Network for Pages {
    fn send(&self, request: NetworkRequest) -> NetworkFuture {
        let page = self
            .pages
            .lock()
            .unwrap()
            .get(request.url.as_str())
            .cloned();
        let log = Arc::clone(&self.log);
        let held = self.held.lock().unwrap().remove(request.url.as_str());
        Box::pin(async move {
            let body = request.body.collect(1 << 20).await;
            let body = body.map_err(|error| NetworkError {
                url: request.url.clone(),
                kind: NetworkErrorKind::Http(error.to_string()),
            })?;
            let asked = (request.url.to_string(), request.headers, body.to_vec());
            log.lock().unwrap().push(asked);
            if let Some(held) = held {
                held.await.unwrap();
            }
            let Some((status, headers, body)) = page else {
                let kind = NetworkErrorKind::Connect("refused".into());
                return Err(NetworkError {
                    url: request.url,
                    kind,
                });
            };
            Ok(NetworkResponse {
                status,
                status_text: String::new(),
                headers,
                body: body.into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}

/// Caches of fixed answers.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Vec<(&'static str, String, ResponseHead)>>);

impl Shelf {
    pub(crate) fn put(&self, cache: &'static str, url: &str, response: ResponseHead) {
        let mut entries = self.0.lock().unwrap();
        entries.push((cache, url.to_owned(), response));
    }
}

impl CacheStorage for Shelf {
    fn query(&self, key: &StorageKey, name: Option<&str>, request: &RequestHead) -> CacheFuture {
        assert_eq!(key.origin(), &Origin::of(&url(SITE)));
        let entries = self.0.lock().unwrap();
        let found = entries.iter().find(|(cache, url, _)| {
            name.is_none_or(|name| name == *cache) && url == request.url().as_str()
        });
        let found = found.map(|(cache, _, head)| Response {
            head: head.clone(),
            body: Body::from(*cache),
        });
        Box::pin(std::future::ready(Ok(found)))
    }
}
