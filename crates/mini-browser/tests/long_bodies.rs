//! Long bodies through a worker, in bounded memory; and bodies whose worker hangs half-way.
//!
//! One test after another, since they look at what the process has in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mini_browser::js::TracingConsole;
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use serde_json::{Value, json};
use service_worker::{Body, BodyError, Policies};

/// As long as each body is, in MiB.
const LENGTH: usize = 64;

/// How much more the process may have in memory meanwhile, in KiB.
const BOUND: u64 = 32 << 10;

const WORKER: &str = "
    oninstall = () => skipWaiting();
    onactivate = (event) => event.waitUntil(clients.claim());
    const count = async (body) => {
        let length = 0;
        for await (const chunk of body) length += chunk.length;
        return new Response(String(length));
    };
    onfetch = (event) => {
        const { request } = event;
        const { pathname } = new URL(request.url);
        if (pathname === '/passed') event.respondWith(fetch(request));
        if (pathname === '/copied') event.respondWith(fetch('/zeros').then(({ body }) => new Response(body)));
        if (pathname === '/upload') event.respondWith(count(request.body));
        if (pathname === '/hangs') {
            let pulls = 0;
            event.respondWith(new Response(new ReadableStream({
                pull(controller) {
                    if (pulls++ === 0) controller.enqueue(new Uint8Array(3));
                    else for (;;) {}
                },
            }, { highWaterMark: 0 })));
        }
    };";

const REGISTER: &str = "
    await navigator.serviceWorker.register('/sw.js');
    const container = navigator.serviceWorker;
    if (container.controller === null) await new Promise((done) => { container.oncontrollerchange = done; });
    return true;";

const LENGTH_OF: &str = "
    const lengthOf = async ({ body }) => {
        let length = 0;
        for await (const chunk of body) length += chunk.length;
        return length;
    };";

struct World {
    page: Page,
    _browser: Browser,
    _server: Server,
    _profile: tempfile::TempDir,
}

impl World {
    async fn start(policies: Policies) -> Self {
        let address = "127.0.0.1:0".parse().expect("an address");
        let server = Server::start(address, None, serve).await;
        let server = server.expect("a free port");
        let profile = tempfile::tempdir().expect("a folder");
        let options = BrowserOptions {
            profile: profile.path().to_owned(),
            network: NetworkConfig::default(),
            policies,
            console: Arc::new(TracingConsole),
        };
        let browser = Browser::open(options).expect("a browser").browser;
        let url = format!("http://{}/", server.local_addr());
        let url = url.parse().expect("a URL");
        let page = browser.navigate(&url).await.expect("a page");
        let world = Self {
            page,
            _browser: browser,
            _server: server,
            _profile: profile,
        };
        assert_eq!(world.run(REGISTER).await, json!(true));
        world
    }

    async fn run(&self, script: &str) -> Value {
        let source = format!("(async () => {{ {LENGTH_OF} {script} }})()");
        let given = self.page.run_script(&source, "test").await;
        given.unwrap_or_else(|error| panic!("{error}\n{script}"))
    }
}

async fn serve(request: ServerRequest) -> ServerResponse {
    match request.path() {
        "/sw.js" => ServerResponse::ok("text/javascript", WORKER),
        "/zeros" | "/passed" => {
            let chunk = Bytes::from_static(&[0; 64 << 10]);
            let chunks = (0..LENGTH * 16).map(move |_| Ok::<_, BodyError>(chunk.clone()));
            let body = Body::from_stream(futures_util::stream::iter(chunks));
            ServerResponse::ok("application/octet-stream", body)
        }
        _ => ServerResponse::ok("text/html", "<title>t</title>"),
    }
}

/// What the process has in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes = kibibytes.and_then(|kibibytes| kibibytes.parse().ok());
    kibibytes.expect("a line VmRSS")
}

/// How much more memory the process has while `future` runs, at most, than before; in KiB.
async fn growth<T>(future: impl Future<Output = T>) -> (u64, T) {
    let before = resident();
    let peak = Arc::new(AtomicU64::new(before));
    let over = Arc::new(AtomicBool::new(false));
    let watching = {
        let (peak, over) = (Arc::clone(&peak), Arc::clone(&over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        })
    };
    let given = future.await;
    over.store(true, Ordering::Relaxed);
    watching.join().expect("the watch does not panic");
    (peak.load(Ordering::Relaxed) - before, given)
}

async fn long_bodies_flow_through_a_worker_in_bounded_memory() {
    let world = World::start(Policies::shipping()).await;
    let length = json!(LENGTH << 20);
    // What every page and worker needs once does not count.
    world.run("return lengthOf(await fetch('/copied'));").await;
    let upload = format!(
        "let left = {LENGTH} * 16;
        const body = new ReadableStream({{
            type: 'bytes',
            pull(controller) {{
                if (left-- > 0) controller.enqueue(new Uint8Array(64 << 10)); else controller.close();
            }},
        }});
        return Number(await (await fetch('/upload', {{ method: 'POST', body, duplex: 'half' }})).text());"
    );
    for script in [
        "return lengthOf(await fetch('/passed'));",
        "return lengthOf(await fetch('/copied'));",
        upload.as_str(),
    ] {
        let (grown, given) = growth(world.run(script)).await;
        assert_eq!(given, length, "{script}");
        assert!(grown <= BOUND, "grew by {grown} KiB: {script}");
    }
}

async fn a_worker_that_hangs_half_way_through_a_body_is_stopped_and_the_body_fails() {
    let mut policies = Policies::shipping();
    policies.limits.event_timeout = Duration::from_millis(300);
    let world = World::start(policies).await;
    let script = "
        const reader = (await fetch('/hangs')).body.getReader();
        const first = await reader.read();
        const then = await reader.read().then(() => 'went on', (error) => error.name);
        return [first.value.length, then, await (await fetch('/upload', { method: 'POST', body: 'alive' })).text()];";
    assert_eq!(world.run(script).await, json!([3, "TypeError", "5"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies() {
    long_bodies_flow_through_a_worker_in_bounded_memory().await;
    a_worker_that_hangs_half_way_through_a_body_is_stopped_and_the_body_fails().await;
}
