//! `Clear-Site-Data`: what a response clears of what a browser keeps.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, HeaderName, SET_COOKIE};
use mini_browser::js::TracingConsole;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use serde_json::{Value, json};
use service_worker::Policies;

use crate::serving::serving;

const HOSTS: [&str; 3] = ["site.example", "api.site.example", "other.example"];
const WORKER: &str = "addEventListener('install', () => skipWaiting());
    addEventListener('activate', (event) => event.waitUntil(clients.claim()));
    addEventListener('fetch', (event) => {
        if (event.request.url.endsWith('/from-worker')) {
            event.respondWith(new Response('worker', { headers: { 'Clear-Site-Data': '\"*\"' } }));
        }
    });";

/// What a page keeps, and what there is of it.
const KEEP: &str = "await caches.open('kept');
    await navigator.serviceWorker.register('/sw.js');
    await navigator.serviceWorker.ready;
    await fetch('/set');
    await (await fetch('/cached')).text();";
const KEPT: &str = "const registrations = await navigator.serviceWorker.getRegistrations();
    const cookies = await (await fetch('/cookies')).text();
    const stored = await (await fetch('/cached', { cache: 'only-if-cached', mode: 'same-origin' }).catch(() => null))?.text();
    return [await caches.has('kept'), registrations.length, cookies, stored !== undefined];";

async fn serve(request: ServerRequest) -> ServerResponse {
    let text = |text: String| {
        let origin = request.header("origin").unwrap_or("*").to_owned();
        let mut response = ServerResponse::ok("text/plain", text).with(
            HeaderName::from_static("access-control-allow-credentials"),
            "true",
        );
        let headers = &mut response.headers;
        headers.insert("access-control-allow-origin", origin.parse().unwrap());
        response
    };
    match request.path() {
        "/" => ServerResponse::ok("text/html; charset=utf-8", "<!DOCTYPE html><p>page"),
        "/sw.js" => ServerResponse::ok("text/javascript", WORKER),
        "/cookies" => text(request.header("cookie").unwrap_or("none").to_owned()),
        "/set" => text(String::new())
            .with(SET_COOKIE, "own=1; samesite=none; secure")
            .with(
                SET_COOKIE,
                "all=2; samesite=none; secure; domain=site.example",
            ),
        "/cached" => text("cached".to_owned()).with(CACHE_CONTROL, "max-age=600"),
        "/cached-clear" => text("clear".to_owned())
            .with(CACHE_CONTROL, "max-age=600")
            .with(HeaderName::from_static("clear-site-data"), "\"cookies\""),
        path => match path.strip_prefix("/clear/") {
            Some(kind) => {
                let mut response = text(kind.to_owned());
                let value = format!("\"{kind}\"").parse().unwrap();
                response.headers.insert("clear-site-data", value);
                response
            }
            None => text("else".to_owned()),
        },
    }
}

struct World {
    server: Server,
    browser: Browser,
    page: Page,
    _profile: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let (server, network) = serving(&HOSTS, serve).await;
        let profile = tempfile::tempdir().unwrap();
        let opened = Browser::open(BrowserOptions {
            profile: profile.path().to_owned(),
            network,
            policies: Policies::seeds(),
            console: Arc::new(TracingConsole),
        });
        let browser = opened.unwrap().browser;
        let url = "https://site.example/".parse().unwrap();
        let page = browser.navigate(&url).await.unwrap();
        Self {
            server,
            browser,
            page,
            _profile: profile,
        }
    }

    async fn run(&self, statements: &str) -> Value {
        let script = format!("(async () => {{ {statements} }})()");
        self.page.run_script(&script, "test.js").await.unwrap()
    }

    async fn end(self) {
        self.page.close().await;
        self.browser.close().await;
        self.server.stop().await;
    }
}

#[tokio::test]
async fn each_type_clears_its_own_and_nothing_else() {
    let world = World::start().await;
    let (all, none) = ("own=1; all=2", "none");
    for (kind, left) in [
        ("unknown", json!([true, 1, all, true])),
        ("executionContexts", json!([true, 1, all, true])),
        ("storage", json!([false, 0, all, true])),
        ("cookies", json!([true, 1, none, true])),
        ("cache", json!([true, 1, all, false])),
        ("*", json!([false, 0, none, false])),
    ] {
        world.run(KEEP).await;
        assert_eq!(world.run(KEPT).await, json!([true, 1, all, true]));
        world.run(&format!("await fetch('/clear/{kind}');")).await;
        assert_eq!(world.run(KEPT).await, left, "{kind}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_worker_is_redundant_and_its_page_has_none_when_the_response_is_there() {
    let world = World::start().await;
    let states = format!(
        "{KEEP}
        const {{ active }} = await navigator.serviceWorker.ready;
        if (navigator.serviceWorker.controller === null) {{
            await new Promise((done) => {{ navigator.serviceWorker.oncontrollerchange = done; }});
        }}
        const before = [active.state !== 'redundant', navigator.serviceWorker.controller === active];
        await fetch('/clear/storage');
        return [...before, active.state, navigator.serviceWorker.controller];"
    );
    assert_eq!(
        world.run(&states).await,
        json!([true, true, "redundant", null])
    );
    world.end().await;
}

#[tokio::test]
async fn only_the_network_clears_and_only_with_credentials() {
    let world = World::start().await;
    let kept = json!([true, 1, "own=1; all=2", true]);
    let keep = format!(
        "{KEEP}
        if (navigator.serviceWorker.controller === null) {{
            await new Promise((done) => {{ navigator.serviceWorker.oncontrollerchange = done; }});
        }}
        return (await fetch('/from-worker')).text();"
    );
    assert_eq!(world.run(&keep).await, json!("worker"));
    assert_eq!(world.run(KEPT).await, kept);
    let omitted = "await fetch('/clear/*', { credentials: 'omit' });";
    world.run(omitted).await;
    assert_eq!(world.run(KEPT).await, kept);
    // What the HTTP cache holds has cleared when it came.
    world
        .run("await (await fetch('/cached-clear')).text();")
        .await;
    world.run("await fetch('/set');").await;
    world
        .run("await (await fetch('/cached-clear')).text();")
        .await;
    assert_eq!(world.run(KEPT).await, kept);
    world.end().await;
}

#[tokio::test]
async fn a_server_clears_what_is_its_own() {
    let world = World::start().await;
    world.run(KEEP).await;
    let other = "await fetch('https://other.example/clear/*', { credentials: 'include' });";
    world.run(other).await;
    let kept = json!([true, 1, "own=1; all=2", true]);
    assert_eq!(world.run(KEPT).await, kept);
    // Cookies are those of a registrable domain; storage is an origin's, and caches a host's.
    let api = "await fetch('https://api.site.example/clear/*', { credentials: 'include' });";
    world.run(api).await;
    assert_eq!(world.run(KEPT).await, json!([true, 1, "none", true]));
    world.end().await;
}
