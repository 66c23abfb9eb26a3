//! Static routes, and what scripts see of when things came.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use mini_browser::js::TracingConsole;
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Opened};
use serde_json::{Value, json};
use service_worker::fetch_router::RouterSourceEnum;
use service_worker::types::WorkerState;
use service_worker::{AnsweredBy, Policies, Report, Reports};

use crate::serving::serving;

const WORKER: &str = "addEventListener('install', (event) => {
        skipWaiting();
        event.addRoutes([
            { condition: { urlPattern: '/direct' }, source: 'network' },
            { condition: { urlPattern: '/kept' }, source: { cacheName: 'leaves' } },
            { condition: { or: [{ urlPattern: '/race' }] }, source: 'race-network-and-fetch-handler' },
        ]);
        event.waitUntil(caches.open('leaves').then((cache) => cache.put('/kept', new Response('from the cache'))));
    });
    addEventListener('activate', (event) => event.waitUntil(clients.claim()));
    addEventListener('fetch', (event) => {
        if (event.request.mode === 'navigate') return;
        // Of a race it has no answer in time.
        if (event.request.url.endsWith('/race')) return event.respondWith(new Promise(() => {}));
        event.respondWith(new Response('from the worker'));
    });";

async fn serve(request: ServerRequest) -> ServerResponse {
    match (request.host.as_str(), request.path()) {
        ("site.example", "/") => ServerResponse::ok("text/html", "<!DOCTYPE html><p>tea"),
        ("site.example", "/frame") => ServerResponse::ok("text/html", "<!DOCTYPE html><p>cup"),
        ("site.example", "/sw.js") => ServerResponse::ok("text/javascript", WORKER),
        ("site.example", "/moved") => {
            ServerResponse::new(http::StatusCode::FOUND, "").with(http::header::LOCATION, "/direct")
        }
        ("site.example", _) => ServerResponse::ok("text/plain", "from the network"),
        ("far.example", "/open") => ServerResponse::ok("text/plain", "far")
            .with(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
            .with(http::HeaderName::from_static("timing-allow-origin"), "*"),
        _ => ServerResponse::ok("text/plain", "far")
            .with(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    }
}

struct World {
    /// Serves for as long as it is there.
    server: Server,
    network: NetworkConfig,
}

impl World {
    async fn start() -> Self {
        let (server, network) = serving(&["site.example", "far.example"], serve).await;
        Self { server, network }
    }

    fn browser(&self, profile: &Path) -> Opened {
        Browser::open(BrowserOptions {
            profile: profile.to_owned(),
            network: self.network.clone(),
            policies: Policies::seeds(),
            console: Arc::new(TracingConsole),
        })
        .unwrap()
    }
}

async fn until_activated(reports: &mut Reports) {
    while let Some(report) = reports.next().await {
        if let Report::WorkerState {
            state: WorkerState::Activated,
            ..
        } = report
        {
            return;
        }
    }
    panic!("the browser has ended");
}

const SITE: &str = "https://site.example/";

/// What a script of the page gives.
async fn run(page: &mini_browser::Page, script: &str) -> Value {
    page.run_script(script, "t").await.unwrap()
}

#[tokio::test]
async fn routes_answer_pages_and_do_so_after_a_restart() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let url = SITE.parse().unwrap();
    for visit in 0..2 {
        let Opened {
            browser,
            mut reports,
            ..
        } = world.browser(profile.path());
        let page = browser.navigate(&url).await.unwrap();
        if visit == 0 {
            let registering = "navigator.serviceWorker.register('/sw.js').then(() => 1)";
            run(&page, registering).await;
            until_activated(&mut reports).await;
            run(&page, "navigator.serviceWorker.ready.then(() => 1)").await;
        }
        let text = |path: &str| format!("fetch('{path}').then((response) => response.text())");
        assert_eq!(run(&page, &text("/kept")).await, "from the cache");
        let kept = page.fetches().pop().unwrap();
        assert!(matches!(
            kept.answered_by,
            Some(AnsweredBy::CacheStorage(_))
        ));
        let route = kept.decision.unwrap().route.static_route.unwrap();
        assert_eq!((route.rule, route.source), (1, RouterSourceEnum::Cache));
        assert_eq!(run(&page, &text("/direct")).await, "from the network");
        assert_eq!(run(&page, &text("/race")).await, "from the network");
        assert_eq!(run(&page, &text("/other")).await, "from the worker");
        let other = page.fetches().pop().unwrap().decision.unwrap();
        assert_eq!(other.route.static_route, None);
        let seen = run(
            &page,
            "performance.getEntriesByType('resource').filter((entry) => entry.initiatorType === 'fetch').map((entry) => [
                entry.name.slice(20), entry.workerMatchedRouterSource, entry.workerFinalRouterSource, entry.deliveryType,
                entry.workerStart > 0, entry.workerRouterEvaluationStart >= entry.startTime && entry.fetchStart >= entry.workerRouterEvaluationStart,
                entry.decodedBodySize,
            ])",
        )
        .await;
        let race = "race-network-and-fetch-handler";
        assert_eq!(
            seen,
            json!([
                ["/kept", "cache", "cache", "cache-storage", false, true, 14],
                ["/direct", "network", "network", "", false, true, 16],
                ["/race", race, "network", "", false, true, 16],
                ["/other", "", "", "", true, true, 15],
            ])
        );
        page.close().await;
        browser.close().await;
    }
    assert!(!world.server.log().is_empty());
}

#[tokio::test]
async fn a_page_sees_when_its_resources_came_and_of_others_what_they_allow() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let Opened { browser, .. } = world.browser(profile.path());
    let page = browser.navigate(&SITE.parse().unwrap()).await.unwrap();
    let seen = run(
        &page,
        "(async () => {
            const read = async (url) => { await (await fetch(url)).text(); };
            await read('/moved');
            await read('https://far.example/open');
            await read('https://far.example/closed');
            await read('https://far.example:1/nobody').catch(() => 0);
            await read('data:,x');
            const frame = document.createElement('iframe');
            frame.src = '/frame';
            const loaded = new Promise((resolve) => { frame.onload = resolve; });
            document.body.append(frame);
            await loaded;
            const entries = performance.getEntriesByType('resource');
            const [own] = performance.getEntriesByType('navigation');
            const [inner] = frame.contentWindow.performance.getEntriesByType('navigation');
            return [
                entries.map((entry) => [
                    entry.initiatorType, entry.name, entry.responseStatus, entry.redirectStart > 0, entry.requestStart > 0, entry.encodedBodySize,
                    entry.transferSize, entry.nextHopProtocol, entry.responseEnd >= entry.fetchStart && entry.duration > 0,
                ]),
                [own.name, own.startTime, own.type, own.decodedBodySize, own.loadEventEnd > own.domInteractive && own.duration === own.loadEventEnd],
                [inner.entryType, inner.name, inner.decodedBodySize, inner instanceof frame.contentWindow.PerformanceResourceTiming],
                Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000,
                entries[0] === performance.getEntriesByName('https://site.example/moved', 'resource')[0],
                Object.keys(entries[0].toJSON()).includes('workerStart'),
            ];
        })()",
    )
    .await;
    let site = |path: &str| format!("https://site.example{path}");
    assert_eq!(
        seen,
        json!([
            [
                [
                    "fetch",
                    site("/moved"),
                    200,
                    true,
                    true,
                    16,
                    316,
                    "h2",
                    true
                ],
                [
                    "fetch",
                    "https://far.example/open",
                    200,
                    false,
                    true,
                    3,
                    303,
                    "h2",
                    true
                ],
                [
                    "fetch",
                    "https://far.example/closed",
                    200,
                    false,
                    false,
                    0,
                    0,
                    "",
                    true
                ],
                [
                    "fetch",
                    "https://far.example:1/nobody",
                    0,
                    false,
                    false,
                    0,
                    0,
                    "",
                    true
                ],
                [
                    "iframe",
                    site("/frame"),
                    200,
                    false,
                    true,
                    21,
                    321,
                    "h2",
                    true
                ],
            ],
            [site("/"), 0, "navigate", 21, true],
            ["navigation", site("/frame"), 21, true],
            true,
            true,
            true,
        ])
    );
    browser.close().await;
}

#[tokio::test]
async fn the_buffer_of_resources_has_a_limit_and_observers_hear_of_all() {
    let world = World::start().await;
    let profile = tempfile::tempdir().unwrap();
    let Opened { browser, .. } = world.browser(profile.path());
    let page = browser.navigate(&SITE.parse().unwrap()).await.unwrap();
    let seen = run(
        &page,
        "(async () => {
            const names = () => performance.getEntriesByType('resource').map((entry) => entry.name.slice(20));
            const heard = [];
            let enough;
            const all = new Promise((resolve) => { enough = resolve; });
            const observer = new PerformanceObserver((list, self) => {
                heard.push(...list.getEntries().map((entry) => entry.entryType));
                if (self === observer && heard.filter((type) => type === 'resource').length === 3) enough();
            });
            observer.observe({ entryTypes: ['resource', 'mark', 'nonsense'] });
            performance.mark('a');
            const full = new Promise((resolve) => { performance.onresourcetimingbufferfull = resolve; });
            performance.setResourceTimingBufferSize(1);
            for (const path of ['/1', '/2', '/3']) await (await fetch(path)).text();
            await all;
            const event = await full;
            // What did not fit is let go by a task.
            await new Promise((resolve) => setTimeout(resolve));
            const kept = names();
            performance.clearResourceTimings();
            observer.disconnect();
            performance.mark('b');
            const late = [];
            await new Promise((resolve) => new PerformanceObserver((list) => { late.push(...list.getEntriesByType('mark').map(({ name }) => name)); resolve(); })
                .observe({ type: 'mark', buffered: true }));
            const refused = [{}, { entryTypes: ['mark'], type: 'mark' }].map((options) => {
                try { new PerformanceObserver(() => 0).observe(options); } catch (error) { return error.name; }
            });
            return [heard.sort(), event.type, kept, names(), late, refused, Object.isFrozen(PerformanceObserver.supportedEntryTypes)];
        })()",
    )
    .await;
    assert_eq!(
        seen,
        json!([
            ["mark", "resource", "resource", "resource"],
            "resourcetimingbufferfull",
            ["/1"],
            [],
            ["a", "b"],
            ["TypeError", "TypeError"],
            true
        ])
    );
    browser.close().await;
}
