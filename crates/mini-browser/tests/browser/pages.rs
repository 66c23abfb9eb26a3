//! A browser as a user sees it: pages over TLS, workers, a profile that is opened again.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use mini_browser::js::TracingConsole;
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Opened};
use service_worker::types::WorkerState;
use service_worker::{AnsweredBy, Policies, Report, Reports};

use crate::serving::serving;

const PAGE: &str = "<!DOCTYPE html><title> a  page </title><body>茶<script>var inline = 1;</script>\
    <script src=/lib.js></script><script>addEventListener('load', () => { loaded = true; });</script>";

/// Touches its container between DOMContentLoaded and load, which waits for the message.
const LATE: &str = "<!DOCTYPE html><img src=/held><script>
    const order = [];
    addEventListener('load', () => order.push('load'));
    addEventListener('DOMContentLoaded', () => setTimeout(async () => {
        const { serviceWorker } = navigator;
        serviceWorker.addEventListener('message', () => { order.push('message'); fetch('/release'); });
        const { installing } = await serviceWorker.register('/speaking/sw.js');
        installing.postMessage(['late']);
    }));
</script>";

static RELEASED: tokio::sync::Notify = tokio::sync::Notify::const_new();

const SITE_WORKER: &str = "addEventListener('install', () => skipWaiting());
    addEventListener('fetch', (event) => {
        if (/(made-up|embedded)(.again)?$/.test(event.request.url)) event.respondWith(new Response('by the worker'));
    });";

const SPEAKING_WORKER: &str = "importScripts('/part.js');
    addEventListener('message', (event) => {
        event.waitUntil((async () => {
            const known = await clients.get(event.source.id);
            const all = await clients.matchAll({ includeUncontrolled: true });
            const answer = [event.data.map(part), event.origin, known.url, all.length, event.source.frameType, event.source.focused, event.source.ancestorOrigins.length];
            if (event.ports.length > 0) event.ports[0].postMessage(answer);
            else event.source.postMessage(answer);
        })());
    });";

const TIMED_WORKER: &str = "importScripts('/part.js');
    addEventListener('activate', (event) => event.waitUntil(registration.navigationPreload.enable()));
    addEventListener('fetch', (event) => {
        event.respondWith((async () => {
            const preloaded = await event.preloadResponse;
            const text = await preloaded.text();
            const entries = () => performance.getEntriesByType('resource');
            while (entries().length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
            const shown = entries().map(({ name, initiatorType, startTime, responseStart, responseEnd, decodedBodySize }) =>
                [new URL(name).pathname, initiatorType, startTime <= responseStart && responseStart <= responseEnd, decodedBodySize]);
            return new Response(JSON.stringify([text, ...shown]), { headers: { 'content-type': 'text/html' } });
        })());
    });";

const FONT_WORKER: &str = "addEventListener('install', (event) => {
        event.handleFallThroughRequests(['/font']);
        event.waitUntil(skipWaiting());
    });
    addEventListener('fetch', (event) => {
        if (!event.isFallThrough) return;
        event.respondWith((async () => {
            const cache = await caches.open('kept');
            const known = await cache.match(event.request);
            if (known) return known;
            const response = await fetch('/font/secret', { headers: { 'x-from': 'worker' } });
            const text = await response.text() + ' for ' + event.origin;
            const made = new Response(text, { headers: { 'Access-Control-Allow-Origin': '*' } });
            await cache.put(event.request, made.clone());
            return made;
        })());
    });";

async fn serve(request: ServerRequest) -> ServerResponse {
    match (request.host.as_str(), request.path()) {
        ("site.example", "/") => ServerResponse::ok("text/html; charset=utf-8", PAGE),
        ("site.example", "/lib.js") => ServerResponse::ok(
            "text/javascript",
            "var lib = inline + 1; var loaded = false;",
        ),
        ("site.example", "/embedded" | "/embedded?again") => {
            ServerResponse::ok("text/html", "<p>by the server")
        }
        ("site.example", "/sw.js") => ServerResponse::ok("text/javascript", SITE_WORKER),
        ("site.example", "/timed/sw.js") => ServerResponse::ok("text/javascript", TIMED_WORKER),
        ("site.example", "/timed/") => ServerResponse::ok("text/html", "timed"),
        ("site.example", "/speaking/sw.js") => {
            ServerResponse::ok("text/javascript", SPEAKING_WORKER)
        }
        // The last type counts.
        ("site.example", "/speaking/") => ServerResponse::ok("application/json", "<p>speaking")
            .with(http::header::CONTENT_TYPE, "text/html"),
        ("site.example", "/part.js") => ServerResponse::ok(
            "text/javascript",
            "const part = (text) => `a part of ${text}`;",
        ),
        ("site.example", "/late") => ServerResponse::ok("text/html", LATE),
        ("site.example", "/held") => {
            RELEASED.notified().await;
            ServerResponse::status(http::StatusCode::NOT_FOUND)
        }
        ("site.example", "/release") => {
            RELEASED.notify_one();
            ServerResponse::ok("text/plain", "released")
        }
        ("site.example", "/private") => ServerResponse::ok("text/html", "<p>private")
            .with(http::HeaderName::from_static("fall-through"), "none"),
        ("fonts.example", "/sw.js") => ServerResponse::ok("text/javascript", FONT_WORKER),
        ("fonts.example", "/font/a") => ServerResponse::ok("text/css", "from the network")
            .with(
                http::HeaderName::from_static("service-worker-script"),
                "/sw.js",
            )
            .with(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ("fonts.example", "/font/secret") => ServerResponse::ok("text/plain", "made"),
        _ => ServerResponse::new(http::StatusCode::NOT_FOUND, ""),
    }
}

struct World {
    server: Server,
    network: NetworkConfig,
}

impl World {
    async fn start() -> Self {
        let (server, network) = serving(&["site.example", "fonts.example"], serve).await;
        Self { server, network }
    }

    fn browser(&self, profile: &Path) -> Opened {
        let opened = Browser::open(BrowserOptions {
            profile: profile.to_owned(),
            network: self.network.clone(),
            policies: Policies::seeds(),
            console: Arc::new(TracingConsole),
        })
        .unwrap();
        assert_eq!(opened.notices, [""; 0]);
        opened
    }

    fn asked(&self, path: &str) -> usize {
        self.server
            .log()
            .iter()
            .filter(|entry| entry.path_and_query == path)
            .count()
    }
}

async fn until_activated(reports: &mut Reports, scope: &str) {
    while let Some(report) = reports.next().await {
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
    panic!("the browser has ended");
}

const SITE: &str = "https://site.example/";

#[tokio::test]
async fn a_page_runs_its_scripts_in_order_and_shows_its_text() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let browser = world.browser(profile.path()).browser;
    let page = browser.navigate(&SITE.parse().unwrap()).await.unwrap();
    let seen = page
        .run_script(
            "[inline, lib, loaded, document.title, document.body.textContent[0]]",
            "t",
        )
        .await
        .unwrap();
    assert_eq!(seen, serde_json::json!([1, 2, true, "a page", "茶"]));
    page.close().await;
    browser.close().await;
}

#[tokio::test]
async fn a_registered_worker_answers_the_next_page() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let Opened {
        browser,
        mut reports,
        ..
    } = world.browser(profile.path());
    let url = SITE.parse().unwrap();
    let page = browser.navigate(&url).await.unwrap();
    let registered = page
        .run_script(
            "navigator.serviceWorker.register('/sw.js')
                .then(() => navigator.serviceWorker.ready).then((r) => r.scope)",
            "t",
        )
        .await
        .unwrap();
    assert_eq!(registered, SITE);
    until_activated(&mut reports, SITE).await;
    page.close().await;
    let page = browser.navigate(&url).await.unwrap();
    let text = page
        .run_script("fetch('/made-up').then((r) => r.text())", "t")
        .await
        .unwrap();
    assert_eq!(text, "by the worker");
    let controller = page
        .run_script("navigator.serviceWorker.controller.state", "t")
        .await
        .unwrap();
    assert_eq!(controller, "activated");
    let made_up = page.fetches().pop().unwrap();
    assert!(
        matches!(made_up.answered_by, Some(AnsweredBy::OwnWorker(_))),
        "{made_up:?}"
    );
    assert_eq!(world.asked("/made-up"), 0);
    browser.close().await;
}

#[tokio::test]
async fn a_header_installed_worker_answers_another_site_and_still_does_after_a_restart() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let Opened {
        browser,
        mut reports,
        ..
    } = world.browser(profile.path());
    let url = SITE.parse().unwrap();
    let font = "fetch('https://fonts.example/font/a', { mode: 'cors', credentials: 'omit' })
        .then((response) => response.text())";
    let page = browser.navigate(&url).await.unwrap();
    assert_eq!(
        page.run_script(font, "t").await.unwrap(),
        "from the network"
    );
    until_activated(&mut reports, "https://fonts.example/").await;
    for _ in 0..2 {
        let text = page.run_script(font, "t").await.unwrap();
        assert_eq!(text, "made for https://site.example");
    }
    page.close().await;
    let private = browser
        .navigate(&url.join("private").unwrap())
        .await
        .unwrap();
    assert_eq!(
        private.run_script(font, "t").await.unwrap(),
        "from the network"
    );
    private.close().await;
    browser.close().await;

    let browser = world.browser(profile.path()).browser;
    let page = browser.navigate(&url).await.unwrap();
    assert_eq!(
        page.run_script(font, "t").await.unwrap(),
        "made for https://site.example"
    );
    let asked = page.fetches().pop().unwrap();
    assert!(
        matches!(asked.answered_by, Some(AnsweredBy::FallThrough(_))),
        "{asked:?}"
    );
    assert_eq!(
        (
            world.asked("/font/a"),
            world.asked("/font/secret"),
            world.asked("/sw.js")
        ),
        (2, 1, 1)
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_and_its_worker_speak_also_after_a_restart_with_what_the_worker_imported() {
    const ASK: &str = "(async () => {
        const [registration] = await navigator.serviceWorker.getRegistrations();
        const answered = new Promise((resolve) => {
            navigator.serviceWorker.onmessage = ({ data, source, origin }) =>
                resolve([data, source === registration.active, origin]);
        });
        registration.active.postMessage(['one', 'two']);
        const { port1, port2 } = new MessageChannel();
        const through = new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data[0]); });
        registration.active.postMessage(['three'], [port2]);
        return [await answered, await through];
    })()";
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let page_url = "https://site.example/speaking/".parse().unwrap();
    let expected = serde_json::json!([
        [
            [
                ["a part of one", "a part of two"],
                "https://site.example",
                "https://site.example/speaking/",
                1,
                "top-level",
                true,
                0,
            ],
            true,
            "https://site.example",
        ],
        ["a part of three"],
    ]);

    let Opened {
        browser,
        mut reports,
        ..
    } = world.browser(profile.path());
    let page = browser.navigate(&page_url).await.unwrap();
    let register = "navigator.serviceWorker.register('sw.js').then(() => 1)";
    page.run_script(register, "test").await.unwrap();
    until_activated(&mut reports, "https://site.example/speaking/").await;
    assert_eq!(page.run_script(ASK, "test").await.unwrap(), expected);
    drop(page);
    browser.close().await;

    let Opened { browser, .. } = world.browser(profile.path());
    let page = browser.navigate(&page_url).await.unwrap();
    assert_eq!(page.run_script(ASK, "test").await.unwrap(), expected);
    drop(page);
    browser.close().await;
}

#[tokio::test]
async fn documents_in_embed_and_object_are_windows_that_no_worker_answers() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let Opened {
        browser,
        mut reports,
        ..
    } = world.browser(profile.path());
    let url = SITE.parse().unwrap();
    let page = browser.navigate(&url).await.unwrap();
    let register = "navigator.serviceWorker.register('/sw.js').then(() => 1)";
    page.run_script(register, "t").await.unwrap();
    until_activated(&mut reports, SITE).await;
    page.close().await;
    let page = browser.navigate(&url).await.unwrap();
    let seen = page
        .run_script(
            "(async () => {
                const event = (target, type) => new Promise((resolve) => { target.addEventListener(type, resolve, { once: true }); });
                const embed = document.body.appendChild(document.createElement('embed'));
                embed.src = '/embedded';
                await event(embed, 'load');
                const object = document.body.appendChild(document.createElement('object'));
                object.data = '/embedded';
                await event(object, 'load');
                const text = (child) => child.document.body.textContent;
                const seen = [length, text(self[0]), text(self[1]), object.contentWindow === self[1], self[0].frameElement === embed];
                // Its own navigations too.
                self[1].location = '/embedded?again';
                await event(object, 'load');
                seen.push(text(self[1]), self[1].location.search, self[1].navigator.serviceWorker.controller);
                object.data = '/missing';
                await event(object, 'error');
                seen.push(length, object.contentWindow);
                embed.remove();
                return [...seen, length];
            })()",
            "t",
        )
        .await
        .unwrap();
    assert_eq!(
        seen,
        serde_json::json!([
            2,
            "by the server",
            "by the server",
            true,
            true,
            "by the server",
            "?again",
            null,
            1,
            null,
            0
        ])
    );
    assert_eq!(
        page.run_script("fetch('/embedded').then((r) => r.text())", "t")
            .await
            .unwrap(),
        "by the worker"
    );
    browser.close().await;
}

#[tokio::test]
async fn a_worker_sees_when_its_imports_and_preloads_came() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let Opened {
        browser,
        mut reports,
        ..
    } = world.browser(profile.path());
    let url = "https://site.example/timed/".parse().unwrap();
    let page = browser.navigate(&url).await.unwrap();
    let register = "navigator.serviceWorker.register('sw.js').then(() => 1)";
    page.run_script(register, "t").await.unwrap();
    until_activated(&mut reports, url.as_str()).await;
    page.close().await;
    let page = browser.navigate(&url).await.unwrap();
    let shown = page
        .run_script("JSON.parse(document.body.textContent)", "t")
        .await
        .unwrap();
    assert_eq!(
        shown,
        serde_json::json!([
            "timed",
            ["/part.js", "other", true, 43],
            ["/timed/", "navigation", true, 5]
        ])
    );
    browser.close().await;
}

#[tokio::test]
async fn a_page_that_first_listens_after_it_was_parsed_hears_its_messages_before_it_is_loaded() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let browser = world.browser(profile.path()).browser;
    let url = "https://site.example/late".parse().unwrap();
    let page = browser.navigate(&url).await.unwrap();
    let both = "new Promise((done) => {
        const look = () => (order.length < 2 ? setTimeout(look, 1) : done(order));
        look();
    })";
    let order = page.run_script(both, "test").await.unwrap();
    assert_eq!(order, serde_json::json!(["message", "load"]));
    page.close().await;
    browser.close().await;
}
