//! What the samples take for granted: sites over TLS, pages, workers with instruments, and an end of
//! a worker whenever a test wants one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use mini_browser::js::{ConsoleLevel, ConsoleSink};
use mini_browser::net::server::{LogEntry, Server, ServerRequest, ServerResponse};
use mini_browser::net::{Authority, HostMap, NetworkConfig};
use mini_browser::{Browser, BrowserOptions, Page};
use serde_json::Value;
use service_worker::{Limits, Policies};
use tempfile::TempDir;
use tokio::sync::Notify;
use url::Url;

const HOSTS: [&str; 4] = [
    "acme.com",
    "example.com",
    "fonts.example.com",
    "api.thirdparty.org",
];

/// Runs before a sample in its worker: it tells what happens there, and does what a page asks.
const INSTRUMENTS: &str = "
    const kept = [];
    const say = (...what) => console.log(JSON.stringify(what));
    addEventListener('message', (event) => {
        if (event.key !== undefined) return say('message', event.key, event.data, event.target === self.ports);
        const { keep, run } = event.data ?? {};
        if (keep) kept.push(...event.ports);
        if (run) event.waitUntil((async () => {
            let answer;
            try { answer = await (0, eval)(run); } catch (error) { answer = `threw ${error.name}`; }
            event.ports[0].postMessage(answer ?? null);
        })());
    });
    addEventListener('unhandledrejection', (event) => say('unhandled', event.reason.name));
    say('started');
";

/// What a page of the stage can do.
const HELPERS: &str = "
    var settled = (worker) => new Promise((resolve) => {
        const look = () => {
            if (worker.state === 'activated' || worker.state === 'redundant') resolve(worker.state);
        };
        worker.onstatechange = look;
        look();
    });
    var installed = async (script, scope) => {
        const registration = await navigator.serviceWorker.register(script, { scope });
        return settled(registration.installing ?? registration.waiting ?? registration.active);
    };
    var activeOf = async (scope) => (await navigator.serviceWorker.getRegistration(scope)).active;
    var inWorker = async (scope, run) => {
        const { port1, port2 } = new MessageChannel();
        const answer = new Promise((resolve) => { port1.onmessage = (event) => resolve(event.data); });
        (await activeOf(scope)).postMessage({ run }, [port2]);
        return answer;
    };
    // Ends when the worker stops, which closes what it keeps.
    var stopped = async (scope) => {
        const { port1, port2 } = new MessageChannel();
        const closed = new Promise((resolve) => { port1.onclose = resolve; });
        port1.start();
        (await activeOf(scope)).postMessage({ keep: true }, [port2]);
        await closed;
    };
    var outcome = (promise) => promise.then((value) => ['fulfilled', value], (error) => ['rejected', error.name, error.message]);
    // A connection that takes its messages one at a time.
    var connection = async (url, request) => {
        const port = await navigator.connect(url, request);
        const messages = [], waiting = [];
        port.onmessage = ({ data }) => { if (waiting.length > 0) waiting.shift()(data); else messages.push(data); };
        const closed = new Promise((resolve) => { port.onclose = () => resolve('closed'); });
        return { port, closed, next: () => new Promise((resolve) => {
            if (messages.length > 0) resolve(messages.shift()); else waiting.push(resolve);
        }) };
    };
";

/// A browser with the sites of the samples.
pub(crate) struct Stage {
    pub browser: Browser,
    pub console: Arc<Console>,
    server: Server,
    files: Files,
    _profile: TempDir,
}

type Files = Arc<Mutex<BTreeMap<String, File>>>;

#[derive(Clone)]
struct File {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Stage {
    /// Sites with empty pages at each path that ends with a slash, and nothing else.
    pub(crate) async fn new() -> Self {
        // A worker stops as soon as it has nothing to do; refusals need not be slow.
        let limits = Limits {
            idle: Duration::from_millis(150),
            event_timeout: Duration::from_secs(20),
            connects_per_minute: 1000,
            starts_for_others: 1000,
            ..Limits::default()
        };
        Self::with_limits(limits).await
    }

    /// The same with other limits.
    pub(crate) async fn with_limits(limits: Limits) -> Self {
        let authority = Authority::new().expect("keys can be made");
        let tls = authority.leaf(&HOSTS).expect("certificates can be made");
        let files = Files::default();
        let served = Arc::clone(&files);
        let handler = move |request: ServerRequest| {
            let answer = answer(&served, &request);
            async move { answer }
        };
        let address = "127.0.0.1:0".parse().expect("it is an address");
        let server = Server::start(address, Some(tls), handler);
        let server = server.await.expect("loopback has free ports");
        let mut network = NetworkConfig::default();
        network.host_map = HOSTS.into_iter().fold(HostMap::new(), |map, host| {
            map.host(host, server.local_addr())
        });
        network.extra_ca = vec![authority.certificate()];
        let profile = tempfile::tempdir().expect("there is a disk");
        let console = Arc::<Console>::default();
        let opened = Browser::open(BrowserOptions {
            profile: profile.path().to_owned(),
            network,
            policies: Policies::seeds().with_limits(limits),
            console: Arc::clone(&console) as Arc<dyn ConsoleSink>,
        });
        Self {
            browser: opened.expect("a new profile opens").browser,
            console,
            server,
            files,
            _profile: profile,
        }
    }

    /// Serves a file from now on.
    pub(crate) fn serve(&self, url: &str, content_type: &str, body: impl Into<Vec<u8>>) {
        self.serve_with(url, StatusCode::OK, &[("content-type", content_type)], body);
    }

    /// The same, with a status and headers.
    pub(crate) fn serve_with(
        &self,
        url: &str,
        status: StatusCode,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) {
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("it is a header's name");
            let value: HeaderValue = value.parse().expect("it is a header's value");
            (name, value)
        });
        let file = File {
            status,
            headers: headers.collect(),
            body: body.into(),
        };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(url.to_owned(), file);
    }

    /// Serves a worker: the sample in a file of its own, after the instruments.
    pub(crate) fn serve_worker(&self, url: &str, sample: &str) {
        let sample_url = format!("{url}.sample");
        self.serve(&sample_url, "text/javascript", sample);
        let instruments = format!("{url}.instruments");
        self.serve(&instruments, "text/javascript", INSTRUMENTS);
        let wrapper = format!("importScripts('{instruments}', '{sample_url}');");
        self.serve(url, "text/javascript", wrapper);
    }

    /// A page with the helpers.
    pub(crate) async fn page(&self, url: &str) -> Page {
        let url = Url::parse(url).expect("it is a URL");
        let page = self.browser.navigate(&url).await.expect("there is a page");
        evaluate(&page, HELPERS).await;
        page
    }

    /// A page of the site, whose worker is installed: the state that it came to.
    pub(crate) async fn install(&self, origin: &str, sample: &str, scope: &str) -> (Page, Value) {
        let script = format!("{origin}/worker.js");
        self.serve_worker(&script, sample);
        let page = self.page(&format!("{origin}/elsewhere/")).await;
        let state = evaluate(&page, &format!("installed('/worker.js', '{scope}')")).await;
        (page, state)
    }

    /// What was asked of the servers.
    pub(crate) fn log(&self) -> Vec<LogEntry> {
        self.server.log()
    }
}

fn answer(files: &Files, request: &ServerRequest) -> ServerResponse {
    let url = format!("https://{}{}", request.host, request.path());
    let files = files.lock().unwrap_or_else(PoisonError::into_inner);
    match files.get(&url) {
        Some(file) => {
            let mut response = ServerResponse::new(file.status, file.body.clone());
            response.headers.extend(file.headers.iter().cloned());
            response
        }
        None if request.path().ends_with('/') => ServerResponse::ok("text/html", "<!DOCTYPE html>"),
        None => ServerResponse::status(StatusCode::NOT_FOUND),
    }
}

/// The value of a script in a page.
pub(crate) async fn evaluate(page: &Page, script: &str) -> Value {
    let value = tokio::time::timeout(
        Duration::from_secs(30),
        page.run_script(script, "the stage"),
    );
    match value.await {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("{script}: {error}"),
        Err(_) => panic!("{script}: it does not end"),
    }
}

/// What was written to consoles.
#[derive(Default)]
pub(crate) struct Console {
    lines: Mutex<Vec<(String, String)>>,
    written: Notify,
}

impl Console {
    /// The lines of one origin so far.
    pub(crate) fn lines(&self, origin: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let its = lines.iter().filter(|(url, _)| url.starts_with(origin));
        its.map(|(_, text)| text.clone()).collect()
    }

    /// Waits until an origin has written a line of these words `times` times.
    pub(crate) async fn wait_for(&self, origin: &str, words: &str, times: usize) {
        let found = async {
            loop {
                let written = self.written.notified();
                let lines = self.lines(origin);
                if lines.iter().filter(|line| line.contains(words)).count() >= times {
                    return;
                }
                written.await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), found)
            .await
            .is_err()
        {
            panic!(
                "{words:?} was not said {times} times, but {:?}",
                self.lines(origin)
            );
        }
    }
}

impl ConsoleSink for Console {
    fn message(&self, url: &str, _: ConsoleLevel, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((url.to_owned(), text.to_owned()));
        drop(lines);
        self.written.notify_waiters();
    }
}
