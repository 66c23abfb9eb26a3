//! What a page's fetches look like on the wire: preflights, cookies, codings, aborts.

use std::sync::Arc;

use http::header::{HeaderName, SET_COOKIE};
use http::{Method, StatusCode};
use mini_browser::js::TracingConsole;
use mini_browser::net::server::{LogEntry, Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use serde_json::{Value, json};
use service_worker::Policies;

use crate::serving::serving;

const HOSTS: [&str; 3] = ["site.example", "api.site.example", "other.example"];
const WORKER: &str = "const run = `run ${Math.random()}`;
    addEventListener('install', () => skipWaiting());
    addEventListener('activate', (event) => event.waitUntil(clients.claim()));
    addEventListener('fetch', (event) => {
        if (event.request.url.endsWith('/from-worker')) {
            event.respondWith(new Response('worker', { headers: { 'x-made': '1' } }));
        }
        if (event.request.url.endsWith('/run')) event.respondWith(new Response(run));
    });";

async fn serve(request: ServerRequest) -> ServerResponse {
    let name = HeaderName::from_static;
    let origin = request.header("origin").unwrap_or("*").to_owned();
    let allowing = |response: ServerResponse| {
        let response = response
            .with(name("access-control-allow-credentials"), "true")
            .with(name("access-control-allow-methods"), "PUT, DELETE")
            .with(name("access-control-allow-headers"), "x-custom")
            .with(name("access-control-max-age"), "60");
        let mut response = response;
        response
            .headers
            .insert("access-control-allow-origin", origin.parse().unwrap());
        response
    };
    match request.path() {
        "/" => ServerResponse::ok("text/html; charset=utf-8", "<!DOCTYPE html><p>page"),
        "/sw.js" => ServerResponse::ok("text/javascript", WORKER),
        "/cookies" => allowing(ServerResponse::ok(
            "text/plain",
            request.header("cookie").unwrap_or("none").to_owned(),
        )),
        "/set" => allowing(ServerResponse::status(StatusCode::FOUND))
            .with(SET_COOKIE, "lax=1")
            .with(SET_COOKIE, "all=2; samesite=none; secure")
            .with(SET_COOKIE, "hidden=3; httponly; domain=site.example")
            .with(http::header::LOCATION, "/cookies"),
        "/closed" => ServerResponse::ok("text/plain", "closed"),
        "/missing" => ServerResponse::status(StatusCode::NOT_FOUND),
        _ => allowing(ServerResponse::ok(
            "text/plain",
            format!(
                "{} {} {}",
                request.method,
                request.host,
                request.header("x-custom").unwrap_or("-")
            ),
        )),
    }
}

struct World {
    server: Server,
    browser: Browser,
    page: Page,
    _profile: tempfile::TempDir,
}

impl World {
    async fn start(policies: Policies) -> Self {
        let (server, network) = serving(&HOSTS, serve).await;
        let profile = tempfile::tempdir().unwrap();
        let opened = Browser::open(BrowserOptions {
            profile: profile.path().to_owned(),
            network,
            policies,
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

    /// What `statements` return; what they throw is its name.
    async fn run(&self, statements: &str) -> Value {
        let script = format!(
            "(async () => {{ try {{ {statements} }} catch (e) {{ return 'throws ' + e.name; }} }})()"
        );
        self.page.run_script(&script, "test.js").await.unwrap()
    }

    async fn text_of(&self, fetch: &str) -> Value {
        self.run(&format!("return (await {fetch}).text();")).await
    }

    /// What was asked of a path, after `skip` requests of it.
    fn asked(&self, path: &str) -> Vec<LogEntry> {
        let log = self.server.log();
        log.into_iter()
            .filter(|entry| entry.path_and_query == path)
            .collect()
    }

    async fn end(self) {
        self.page.close().await;
        self.browser.close().await;
        self.server.stop().await;
    }
}

#[tokio::test]
async fn a_preflight_goes_before_what_is_not_simple_and_is_remembered() {
    let world = World::start(Policies::seeds()).await;
    let put =
        "fetch('https://api.site.example/put', { method: 'PUT', headers: { 'X-Custom': '1' } })";
    for _ in 0..2 {
        assert_eq!(world.text_of(put).await, json!("PUT api.site.example 1"));
    }
    let asked = world.asked("/put");
    let methods: Vec<_> = asked.iter().map(|entry| entry.method.as_str()).collect();
    assert_eq!(methods, ["OPTIONS", "PUT", "PUT"]);
    let preflight = &asked[0].headers;
    assert_eq!(preflight["origin"], "https://site.example");
    assert_eq!(preflight["access-control-request-method"], "PUT");
    assert_eq!(preflight["access-control-request-headers"], "x-custom");

    let other = "fetch('https://api.site.example/put', { method: 'PATCH' })";
    assert_eq!(world.text_of(other).await, json!("throws TypeError"));
    let closed = "fetch('https://api.site.example/closed', { method: 'DELETE' })";
    assert_eq!(world.text_of(closed).await, json!("throws TypeError"));
    assert_eq!(world.asked("/closed").len(), 1);
    world.end().await;
}

#[tokio::test]
async fn cookies_of_redirects_are_kept_and_sent_to_whom_they_are_for() {
    let world = World::start(Policies::seeds()).await;
    let all = "lax=1; all=2; hidden=3";
    assert_eq!(world.text_of("fetch('/set')").await, json!(all));
    assert_eq!(world.text_of("fetch('/cookies')").await, json!(all));
    let omitted = "fetch('/cookies', { credentials: 'omit' })";
    assert_eq!(world.text_of(omitted).await, json!("none"));
    let api = "https://api.site.example/cookies";
    let without = format!("fetch('{api}')");
    assert_eq!(world.text_of(&without).await, json!("none"));
    let with = format!("fetch('{api}', {{ credentials: 'include' }})");
    assert_eq!(world.text_of(&with).await, json!("hidden=3"));
    // Scripts see no Set-Cookie, and another site gets no SameSite cookie.
    let seen = world.run("return (await fetch('/set')).headers.has('set-cookie');");
    assert_eq!(seen.await, json!(false));
    let other = "https://other.example";
    let set = format!("fetch('{other}/set', {{ credentials: 'include' }})");
    assert_eq!(world.text_of(&set).await, json!("all=2"));
    world.end().await;
}

#[tokio::test]
async fn what_a_worker_answers_needs_no_preflight() {
    let world = World::start(Policies::seeds()).await;
    let registered = "await navigator.serviceWorker.register('/sw.js');
        await new Promise((done) => {
            if (navigator.serviceWorker.controller !== null) done();
            else navigator.serviceWorker.addEventListener('controllerchange', done);
        });
        return (await fetch('https://api.site.example/from-worker', { method: 'PUT' })).text();";
    assert_eq!(world.run(registered).await, json!("worker"));
    assert!(world.asked("/from-worker").is_empty());
    let passed_on = "fetch('https://api.site.example/put', { method: 'PUT' })";
    assert_eq!(
        world.text_of(passed_on).await,
        json!("PUT api.site.example -")
    );
    let methods: Vec<_> = world.asked("/put").into_iter().map(|e| e.method).collect();
    assert_eq!(methods, [Method::OPTIONS.as_str(), "PUT"]);
    world.end().await;
}

#[tokio::test]
async fn the_status_comes_through_and_integrity_is_checked() {
    let world = World::start(Policies::seeds()).await;
    let status = "const r = await fetch('/missing'); return [r.status, r.statusText];";
    // HTTP/2 has no status text.
    assert_eq!(world.run(status).await, json!([404, ""]));
    assert_eq!(world.asked("/missing")[0].version, "HTTP/2.0");
    let wrong = "fetch('/closed', { integrity: 'sha384-AAAA' })";
    assert_eq!(world.text_of(wrong).await, json!("throws TypeError"));
    let unknown = "fetch('/closed', { integrity: 'md5-AAAA' })";
    assert_eq!(world.text_of(unknown).await, json!("closed"));
    world.end().await;
}

#[tokio::test]
async fn a_local_fetch_is_answered_by_the_worker_of_its_own_origin_or_by_nobody() {
    let world = World::start(Policies::shipping()).await;
    let local = |url: &str| {
        format!("const r = await local_fetch('{url}'); return [await r.text(), r.type, r.url];")
    };
    assert_eq!(
        world.run(&local("/from-worker")).await,
        json!("throws TypeError")
    );
    let registering = "const it = await navigator.serviceWorker.register('/sw.js');
        const worker = it.installing;
        await new Promise((done) => { worker.onstatechange = () => worker.state === 'activated' && done(); });
        return worker.state;";
    assert_eq!(world.run(registering).await, json!("activated"));
    assert_eq!(
        world.run(&local("/from-worker")).await,
        json!(["worker", "default", "https://site.example/from-worker"])
    );
    // What the worker lets go, what no worker is asked for, and what another origin has.
    for url in [
        "/elsewhere",
        "data:,x",
        "https://api.site.example/from-worker",
    ] {
        assert_eq!(world.run(&local(url)).await, json!("throws TypeError"));
    }
    assert_eq!(world.asked("/from-worker").len(), 0);
    assert_eq!(world.asked("/elsewhere").len(), 0);
    let fetches = world.page.fetches();
    let refused = fetches.iter().find(|it| it.url.path() == "/elsewhere");
    let decision = refused.and_then(|it| it.decision.as_ref()).unwrap();
    assert!(
        decision.to_string().contains("the local worker, "),
        "{decision}"
    );
    world.end().await;
}

#[tokio::test]
async fn no_fetch_fails_because_its_worker_is_about_to_be_stopped_for_idleness() {
    let mut policies = Policies::shipping();
    policies.limits.idle = std::time::Duration::from_millis(2);
    let world = World::start(policies).await;
    let script = "await navigator.serviceWorker.register('/sw.js');
        const container = navigator.serviceWorker;
        if (container.controller === null) await new Promise((done) => { container.oncontrollerchange = done; });
        const failed = [], runs = new Set();
        for (let i = 0; i < 60; i += 1) {
            try {
                const text = await (await fetch('/run')).text();
                if (!text.startsWith('run ')) failed.push([i, text]);
                runs.add(text);
            } catch (e) {
                failed.push([i, e.name]);
            }
            await new Promise((done) => setTimeout(done, i % 5));
        }
        return [failed, runs.size > 10];";
    assert_eq!(world.run(script).await, json!([[], true]));
    world.end().await;
}
