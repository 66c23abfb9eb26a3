//! What a page's policies say of what workers answer: Subresource Integrity, Content Security Policy,
//! `Cross-Origin-Resource-Policy` and the embedder policy hold for a fall-through worker's answer and for
//! the own worker's, as they do for the network's.

use std::sync::Arc;

use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, StatusCode};
use mini_browser::js::TracingConsole;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use serde_json::{Value, json};
use service_worker::types::WorkerState;
use service_worker::{AnsweredBy, Policies, Report, Reports};

use crate::serving::serving;

const HOSTS: [&str; 3] = ["site.example", "service.example", "other.example"];

/// What every answer holds: a script, of which this is the digest.
const SCRIPT: &str = "ran = (globalThis.ran ?? 0) + 1;";
const DIGEST: &str = "sha256-TMMOmx0YZQ7Cjyu36eKZaBx/EBZLqgisQ6W81pPjKdE=";
const OTHER_DIGEST: &str = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

/// `/f/pass` passes on what the network says, `/f/made` makes an answer, `/f/away` is redirected to
/// another origin. The query says with which headers.
const SERVICE_WORKER: &str = "addEventListener('install', (event) => {
        event.handleFallThroughRequests(['/f/']);
        skipWaiting();
    });
    addEventListener('fetch', (event) => {
        if (!event.isFallThrough) return;
        const url = new URL(event.request.url);
        if (url.pathname === '/f/pass') event.respondWith(fetch(event.request));
        if (url.pathname === '/f/away') {
            const headers = { location: 'https://other.example/any?access-control-allow-origin=*', 'access-control-allow-origin': '*' };
            event.respondWith(new Response(null, { status: 302, headers }));
        }
        if (url.pathname !== '/f/made') return;
        const headers = [...url.searchParams, ['content-type', 'text/javascript']];
        event.respondWith(new Response('ran = (globalThis.ran ?? 0) + 1;', { headers }));
    });";

/// `/own/made` makes an answer, `/own/pass` of another origin passes on what the network says, and
/// `/own/away` answers with what another origin has. Of pages and all else it knows nothing.
const OWN_WORKER: &str = "addEventListener('install', () => skipWaiting());
    addEventListener('fetch', (event) => {
        const url = new URL(event.request.url);
        if (url.pathname === '/own/pass') event.respondWith(fetch(event.request));
        if (url.pathname === '/own/away') {
            event.respondWith(fetch('https://other.example/any?access-control-allow-origin=*'));
        }
        if (url.pathname !== '/own/made') return;
        const headers = [...url.searchParams, ['content-type', 'text/javascript']];
        event.respondWith(new Response('ran = (globalThis.ran ?? 0) + 1;', { headers }));
    });";

async fn serve(request: ServerRequest) -> ServerResponse {
    let url = request.url().unwrap();
    let mut response = match (request.host.as_str(), request.path()) {
        ("site.example", "/sw.js") => ServerResponse::ok("text/javascript", OWN_WORKER),
        ("service.example", "/sw.js") => ServerResponse::ok("text/javascript", SERVICE_WORKER),
        (_, "/page") => ServerResponse::ok("text/html", "<!DOCTYPE html><p>page"),
        (_, "/redirect") => ServerResponse::status(StatusCode::FOUND),
        (_, "/any" | "/f/pass" | "/f/installs" | "/own/pass") => {
            ServerResponse::ok("text/javascript", SCRIPT)
        }
        _ => ServerResponse::status(StatusCode::NOT_FOUND),
    };
    for (name, value) in url.query_pairs() {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = HeaderValue::from_str(&value).unwrap();
        response.headers.append(name, value);
    }
    response
}

struct World {
    server: Server,
    browser: Browser,
    _profile: tempfile::TempDir,
}

impl World {
    /// With both workers activated.
    async fn start() -> Self {
        let (server, network) = serving(&HOSTS, serve).await;
        let profile = tempfile::tempdir().unwrap();
        let mut opened = Browser::open(BrowserOptions {
            profile: profile.path().to_owned(),
            network,
            policies: Policies::seeds(),
            console: Arc::new(TracingConsole),
        })
        .unwrap();
        let world = Self {
            server,
            browser: opened.browser,
            _profile: profile,
        };
        let page = world.page("").await;
        run(
            &page,
            "await navigator.serviceWorker.register('/sw.js'); return 0;",
        )
        .await;
        until_activated(&mut opened.reports).await;
        let installs = "https://service.example/f/installs?access-control-allow-origin=*\
            &service-worker-script=/sw.js&service-worker-scope=/";
        assert_eq!(fetched(&page, installs, "{}").await, "cors");
        until_activated(&mut opened.reports).await;
        page.close().await;
        world
    }

    /// A page that its worker controls, with these headers.
    async fn page(&self, headers: &str) -> Page {
        let url = format!("https://site.example/page?{headers}");
        self.browser.navigate(&url.parse().unwrap()).await.unwrap()
    }

    async fn end(self) {
        self.browser.close().await;
        self.server.stop().await;
    }
}

async fn until_activated(reports: &mut Reports) {
    while let Some(report) = reports.next().await {
        let activated = WorkerState::Activated;
        if matches!(report, Report::WorkerState { state, .. } if state == activated) {
            return;
        }
    }
    panic!("the reports ended");
}

/// What `statements` return; what they throw is its name.
async fn run(page: &Page, statements: &str) -> Value {
    let script = format!(
        "(async () => {{ try {{ {statements} }} catch (e) {{ return 'throws ' + e.name; }} }})()"
    );
    page.run_script(&script, "test.js").await.unwrap()
}

/// The type of the response to a `fetch()`, once it has been read, or what it throws.
async fn fetched(page: &Page, url: &str, init: &str) -> Value {
    let statements =
        format!("const r = await fetch('{url}', {init}); await r.text(); return r.type;");
    run(page, &statements).await
}

/// Whether an element loads, and how many scripts have run by then.
async fn element(page: &Page, attributes: &str) -> Value {
    let statements = format!(
        "globalThis.ran = 0;
        const script = Object.assign(document.createElement('script'), {attributes});
        const event = await new Promise((done) => {{ script.onload = script.onerror = done; document.body.append(script); }});
        return [event.type, ran];"
    );
    run(page, &statements).await
}

async fn font(page: &Page, url: &str) -> Value {
    let statements =
        format!("const face = new FontFace('a', 'url({url})'); return (await face.load()).status;");
    run(page, &statements).await
}

/// Who was asked last, if anybody was.
fn answered_by(page: &Page) -> Option<AnsweredBy> {
    page.fetches().pop().and_then(|fetch| fetch.answered_by)
}

fn is_fall_through(page: &Page) -> bool {
    matches!(answered_by(page), Some(AnsweredBy::FallThrough(_)))
}

fn is_own(page: &Page) -> bool {
    matches!(answered_by(page), Some(AnsweredBy::OwnWorker(_)))
}

const MADE: &str = "https://service.example/f/made";
const PASS: &str = "https://service.example/f/pass";
const ALLOW: &str = "?access-control-allow-origin=*";
const OWN_MADE: &str = "https://site.example/own/made";
const OWN_PASS: &str = "https://other.example/own/pass";
const NO_CORS: &str = "{ mode: 'no-cors' }";
const BLOCKED: &str = "throws TypeError";

#[tokio::test]
async fn integrity_metadata_is_compared_with_what_a_worker_answers() {
    let world = World::start().await;
    let page = world.page("").await;
    let with = |digest: &str| format!("{{ integrity: '{digest}' }}");
    for (url, response_type) in [
        (format!("{MADE}{ALLOW}"), "cors"),
        (format!("{PASS}{ALLOW}"), "cors"),
        (OWN_MADE.to_owned(), "default"),
        // The own worker may make an answer for any origin.
        ("https://other.example/own/made".to_owned(), "default"),
    ] {
        assert_eq!(fetched(&page, &url, &with(DIGEST)).await, response_type);
        assert!(is_fall_through(&page) || is_own(&page), "{url}");
        assert_eq!(fetched(&page, &url, &with(OTHER_DIGEST)).await, BLOCKED);
        let script = |digest: &str| {
            format!("{{ src: '{url}', crossOrigin: 'anonymous', integrity: '{digest}' }}")
        };
        assert_eq!(element(&page, &script(DIGEST)).await, json!(["load", 1]));
        assert_eq!(
            element(&page, &script(OTHER_DIGEST)).await,
            json!(["error", 0])
        );
    }
    // What the page may not read has no integrity that could be compared, whoever gave it.
    for url in [MADE, PASS, OWN_PASS] {
        let init = format!("{{ mode: 'no-cors', integrity: '{DIGEST}' }}");
        assert_eq!(fetched(&page, url, &init).await, BLOCKED);
        assert_eq!(fetched(&page, url, NO_CORS).await, "opaque");
        let script = format!("{{ src: '{url}', integrity: '{DIGEST}' }}");
        assert_eq!(element(&page, &script).await, json!(["error", 0]), "{url}");
        let script = format!("{{ src: '{url}' }}");
        assert_eq!(element(&page, &script).await, json!(["load", 1]), "{url}");
    }
    page.close().await;
    world.end().await;
}

#[tokio::test]
async fn a_content_security_policy_keeps_requests_from_every_worker() {
    let world = World::start().await;
    let made = format!("{MADE}{ALLOW}");
    for directive in ["connect-src", "default-src"] {
        let page = world
            .page(&format!("content-security-policy={directive} 'self'"))
            .await;
        let before = page.fetches().len();
        assert_eq!(fetched(&page, &made, "{}").await, BLOCKED);
        assert_eq!(fetched(&page, MADE, NO_CORS).await, BLOCKED);
        assert_eq!(
            fetched(&page, "https://other.example/own/made", "{}").await,
            BLOCKED
        );
        assert_eq!(page.fetches().len(), before, "somebody was asked");
        // What it allows is answered, by whomever.
        assert_eq!(fetched(&page, OWN_MADE, "{}").await, "default");
        assert!(is_own(&page));
        page.close().await;
    }
    let page = world
        .page("content-security-policy=font-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'")
        .await;
    assert_eq!(font(&page, &made).await, "throws NetworkError");
    let script = format!("{{ src: '{MADE}' }}");
    assert_eq!(element(&page, &script).await, json!(["error", 0]));
    assert_eq!(font(&page, OWN_MADE).await, "loaded");
    assert!(is_own(&page));
    let script = format!("{{ src: '{OWN_MADE}' }}");
    assert_eq!(element(&page, &script).await, json!(["load", 1]));
    assert_eq!(fetched(&page, &made, "{}").await, "cors");
    assert!(is_fall_through(&page));
    page.close().await;
    world.end().await;
}

#[tokio::test]
async fn a_content_security_policy_is_asked_again_of_what_was_answered() {
    let world = World::start().await;
    let allowed = "connect-src 'self' https://service.example; font-src https://service.example";
    let page = world
        .page(&format!("content-security-policy={allowed}"))
        .await;
    let made = format!("{MADE}{ALLOW}");
    assert_eq!(fetched(&page, &made, "{}").await, "cors");
    assert!(is_fall_through(&page));
    assert_eq!(font(&page, &made).await, "loaded");
    // Where a service redirects to, and what the own worker has got elsewhere.
    let away = "https://service.example/f/away";
    assert_eq!(fetched(&page, away, "{}").await, BLOCKED);
    assert_eq!(font(&page, away).await, "throws NetworkError");
    assert_eq!(fetched(&page, "/own/away", "{}").await, BLOCKED);
    page.close().await;
    let allowed = format!("{allowed} https://other.example; connect-src *");
    let page = world
        .page(&format!("content-security-policy={allowed}"))
        .await;
    assert_eq!(font(&page, away).await, "loaded");
    page.close().await;
    let page = world.page("content-security-policy=connect-src *").await;
    assert_eq!(fetched(&page, away, "{}").await, "cors");
    assert_eq!(fetched(&page, "/own/away", "{}").await, "cors");
    page.close().await;
    world.end().await;
}

#[tokio::test]
async fn a_resource_policy_holds_for_what_cannot_be_read() {
    let world = World::start().await;
    let page = world.page("").await;
    for policy in ["same-origin", "same-site"] {
        let query = format!("?cross-origin-resource-policy={policy}");
        for url in [MADE, PASS, OWN_PASS] {
            let url = format!("{url}{query}");
            assert_eq!(fetched(&page, &url, NO_CORS).await, BLOCKED, "{url}");
            let script = format!("{{ src: '{url}' }}");
            assert_eq!(element(&page, &script).await, json!(["error", 0]));
        }
        // What CORS lets the page read is not asked for it.
        let url = format!("{MADE}{query}&access-control-allow-origin=*");
        assert_eq!(fetched(&page, &url, "{}").await, "cors");
        assert!(is_fall_through(&page));
    }
    for url in [MADE, PASS, OWN_PASS] {
        let url = format!("{url}?cross-origin-resource-policy=cross-origin");
        assert_eq!(fetched(&page, &url, NO_CORS).await, "opaque");
    }
    page.close().await;
    world.end().await;
}

#[tokio::test]
async fn an_embedder_policy_wants_a_word_from_what_workers_answer() {
    let world = World::start().await;
    let page = world
        .page("cross-origin-embedder-policy=require-corp")
        .await;
    let willing = "?cross-origin-resource-policy=cross-origin";
    for url in [MADE, PASS, OWN_PASS] {
        assert_eq!(fetched(&page, url, NO_CORS).await, BLOCKED, "{url}");
        let script = format!("{{ src: '{url}' }}");
        assert_eq!(element(&page, &script).await, json!(["error", 0]));
        let url = format!("{url}{willing}");
        assert_eq!(fetched(&page, &url, NO_CORS).await, "opaque", "{url}");
        let script = format!("{{ src: '{url}' }}");
        assert_eq!(element(&page, &script).await, json!(["load", 1]));
    }
    for url in [MADE, PASS] {
        let url = format!("{url}{ALLOW}");
        assert_eq!(fetched(&page, &url, "{}").await, "cors");
        assert!(is_fall_through(&page));
        assert_eq!(font(&page, &url).await, "loaded");
    }
    assert_eq!(fetched(&page, OWN_MADE, "{}").await, "default");
    assert!(is_own(&page));
    page.close().await;
    // Without the policy, nobody has to say anything.
    let page = world.page("").await;
    for url in [MADE, PASS, OWN_PASS] {
        assert_eq!(fetched(&page, url, NO_CORS).await, "opaque", "{url}");
    }
    page.close().await;
    world.end().await;
}

/// When a resource came, as far as the page may see it: its worker's start, the response's, its size.
async fn timed(page: &Page, url: &str) -> Value {
    let statements = format!(
        "performance.clearResourceTimings();
        await (await fetch('{url}')).text();
        const [entry] = performance.getEntriesByType('resource');
        return [entry.workerStart > 0, entry.responseStart > 0, entry.decodedBodySize > 0, entry.redirectStart > 0];"
    );
    run(page, &statements).await
}

#[tokio::test]
async fn when_an_answer_came_is_shown_if_every_response_on_its_way_allows_it() {
    let world = World::start().await;
    // Of a site without a worker of its own.
    let url = "https://other.example/page".parse().unwrap();
    let page = world.browser.navigate(&url).await.unwrap();
    const TIMED: &str = "&timing-allow-origin=*";
    for url in [MADE, PASS] {
        let url = format!("{url}{ALLOW}");
        assert_eq!(
            timed(&page, &url).await,
            json!([false, false, false, false]),
            "{url}"
        );
        assert!(is_fall_through(&page));
        let url = format!("{url}{TIMED}");
        let shown = json!([true, true, true, false]);
        assert_eq!(timed(&page, &url).await, shown, "{url}");
        assert!(is_fall_through(&page));
    }
    // What the network answered was no worker's, though one was asked.
    let none = format!("https://service.example/f/none{ALLOW}{TIMED}");
    assert_eq!(
        timed(&page, &none).await,
        json!([false, true, false, false])
    );
    let any = "https%3A%2F%2Fservice.example%2Fany%3Faccess-control-allow-origin%3D*%26timing-allow-origin%3D*";
    let redirect = format!("https://service.example/redirect{ALLOW}&location={any}");
    assert_eq!(
        timed(&page, &redirect).await,
        json!([false, false, false, false])
    );
    let redirect = format!("{redirect}{TIMED}");
    assert_eq!(
        timed(&page, &redirect).await,
        json!([false, true, true, true])
    );
    page.close().await;
    world.end().await;
}
