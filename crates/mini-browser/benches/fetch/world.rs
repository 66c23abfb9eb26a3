//! A browser with two origins: a site with a page and a worker, and a service for others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mini_browser::js::TracingConsole;
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use service_worker::{Body, BodyError, Policies};
use tokio::runtime::Runtime;
use url::Url;

/// The worker of the site, in the scope `/app/`, and of the service.
const WORKER: &str = "
    let served = 0;
    onactivate = (event) => event.waitUntil(clients.claim());
    oninstall = (event) => { event.handleFallThroughRequests(['/font']); skipWaiting(); };
    const open = { headers: { 'access-control-allow-origin': '*' } };
    onmessage = ({ ports: [port] }) => self.ports.add('page', port).postMessage('stashed');
    self.ports.onmessage = ({ source, data }) => source.postMessage(data);
    onfetch = (event) => {
        const { pathname } = new URL(event.request.url);
        if (pathname === '/hello' || pathname === '/font') event.respondWith(new Response('hello', open));
        if (pathname === '/count') event.respondWith(new Response(String(served++)));
        if (pathname.startsWith('/stream/')) event.respondWith(fetch(event.request));
        if (pathname.startsWith('/through/')) {
            event.respondWith(fetch(event.request).then((response) => new Response(response.body)));
        }
    };";

const CHUNK: usize = 64 << 10;

/// A browser, two servers, and a page that a worker controls beside one that none does.
pub(crate) struct World {
    runtime: Runtime,
    browser: Browser,
    servers: [Server; 2],
    controlled: Page,
    plain: Page,
    _profile: tempfile::TempDir,
}

/// Which page.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    /// The one that the site's worker controls.
    Worker,
    /// The one without a worker.
    Nobody,
}

impl World {
    /// Workers are stopped after `idle`.
    pub(crate) fn start(idle: Duration) -> Self {
        let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
        let started = runtime.block_on(async {
            let address = "127.0.0.1:0".parse()?;
            let servers = [
                Server::start(address, None, serve).await?,
                Server::start(address, None, serve).await?,
            ];
            let profile = tempfile::tempdir()?;
            let mut policies = Policies::shipping();
            policies.limits.idle = idle;
            let options = BrowserOptions {
                profile: profile.path().to_owned(),
                network: NetworkConfig::default(),
                policies,
                console: Arc::new(TracingConsole),
            };
            let browser = Browser::open(options)?.browser;
            let [site, service] = &servers;
            let controlled = open(&browser, site, "/app/").await?;
            register(&controlled, "/app/").await?;
            let plain = open(&browser, site, "/plain/").await?;
            let owner = open(&browser, service, "/").await?;
            register(&owner, "/").await?;
            owner.close().await;
            Ok::<_, Box<dyn std::error::Error>>((browser, servers, controlled, plain, profile))
        });
        let (browser, servers, controlled, plain, profile) =
            started.unwrap_or_else(|error| panic!("the browser does not start: {error}"));
        Self {
            runtime,
            browser,
            servers,
            controlled,
            plain,
            _profile: profile,
        }
    }

    /// What a script of a page gives. Its `service` is the other origin.
    pub(crate) fn run(&self, of: Of, script: &str) -> f64 {
        let page = match of {
            Of::Worker => &self.controlled,
            Of::Nobody => &self.plain,
        };
        let service = url(&self.servers[1], "");
        let source = format!(
            "(async () => {{ const service = {:?}; {script} }})()",
            service.as_str()
        );
        let value = self.runtime.block_on(page.run_script(&source, "bench"));
        let value = value.unwrap_or_else(|error| panic!("{error}\n{script}"));
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{value}\n{script}"))
    }

    pub(crate) const fn browser(&self) -> &Browser {
        &self.browser
    }
}

fn url(server: &Server, path: &str) -> Url {
    let url = format!("http://{}{path}", server.local_addr()).parse();
    url.unwrap_or_else(|error| panic!("{error}"))
}

async fn open(
    browser: &Browser,
    server: &Server,
    path: &str,
) -> Result<Page, mini_browser::NavigateError> {
    browser.navigate(&url(server, path)).await
}

/// Registers the worker and waits until it is active and controls the page.
async fn register(page: &Page, scope: &str) -> Result<(), mini_browser::js::ScriptError> {
    let script = format!(
        "(async () => {{
            await navigator.serviceWorker.register('/sw.js', {{ scope: {scope:?} }});
            while (navigator.serviceWorker.controller?.state !== 'activated') await new Promise((f) => setTimeout(f, 5));
            return true;
        }})()"
    );
    page.run_script(&script, "bench").await.map(drop)
}

async fn serve(request: ServerRequest) -> ServerResponse {
    let path = request.path();
    let length = path
        .strip_prefix("/stream/")
        .or_else(|| path.strip_prefix("/through/"))
        .and_then(|mebibytes| mebibytes.parse::<usize>().ok());
    match (path, length) {
        (_, Some(mebibytes)) => ServerResponse::ok("text/plain", zeros(mebibytes << 20)),
        ("/sw.js", _) => ServerResponse::ok("text/javascript", WORKER)
            .with(http::HeaderName::from_static("service-worker-allowed"), "/"),
        _ => ServerResponse::ok("text/html", "<title>bench</title>"),
    }
}

fn zeros(length: usize) -> Body {
    let chunk = Bytes::from_static(&[0; CHUNK]);
    let chunks = (0..length / CHUNK).map(move |_| Ok::<_, BodyError>(chunk.clone()));
    Body::from_stream(futures_util::stream::iter(chunks))
}
