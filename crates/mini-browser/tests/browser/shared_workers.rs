//! Shared workers in a browser: who shares them, and how service workers see them.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use http::header::{REFERRER_POLICY, SET_COOKIE};
use mini_browser::js::TracingConsole;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use serde_json::{Value, json};
use service_worker::Policies;

use crate::serving::serving;

const HOST: &str = "site.example";

const PAGE: &str = "<!DOCTYPE html><script>
    const ask = (port, code) => new Promise((done) => { port.onmessage = ({ data }) => done(data); port.postMessage(code); });
</script>";

/// Evaluates what it is sent.
const WORKER: &str = "let connected = 0;
    const heard = new Promise((done) => { navigator.serviceWorker.onmessage = ({ data, source }) => done([data, source instanceof ServiceWorker]); });
    const changed = new Promise((done) => { navigator.serviceWorker.oncontrollerchange = () => done(navigator.serviceWorker.controller.scriptURL); });
    onconnect = ({ ports: [port] }) => {
        connected += 1;
        port.onmessage = async ({ data }) => port.postMessage(await eval(data));
    };";

const SERVICE_WORKER: &str = "const asked = [];
    addEventListener('install', () => skipWaiting());
    addEventListener('fetch', (event) => {
        const { request: { url, destination, mode }, clientId, resultingClientId } = event;
        asked.push([new URL(url).pathname, destination, mode, clientId !== '', resultingClientId !== '']);
        if (url.endsWith('/from-worker')) event.respondWith(new Response('worker'));
    });
    addEventListener('message', (event) => event.waitUntil((async () => {
        if (event.data === 'claim') return clients.claim();
        const found = await clients.matchAll({ type: event.data });
        for (const client of found) client.postMessage(`hello ${client.type}`);
        event.source.postMessage([asked, found.map(({ type, frameType, url }) => [type, frameType, new URL(url).pathname])]);
    })()));";

async fn serve(request: ServerRequest) -> ServerResponse {
    let script = |source: &str| ServerResponse::ok("text/javascript", source.to_owned());
    match request.path() {
        "/" => ServerResponse::ok("text/html; charset=utf-8", PAGE).with(SET_COOKIE, "known=1"),
        "/in/sw.js" => script(SERVICE_WORKER),
        "/in/shared.js" | "/shared.js" => script(WORKER),
        "/module.js" => script("import './one.js'; import('./two.js'); onconnect = async ({ source }) => source.postMessage((await import('./three.js')).value);")
            .with(REFERRER_POLICY, "origin"),
        "/one.js" | "/two.js" => script("export {};"),
        "/three.js" => script("export * from './four.js';"),
        "/four.js" => script("export const value = 4;"),
        _ => ServerResponse::status(StatusCode::NOT_FOUND),
    }
}

/// The paths that were asked for, with some headers of each.
type Asked = Arc<Mutex<Vec<(String, [String; 3])>>>;

struct World {
    browser: Browser,
    asked: Asked,
    _server: Server,
    _profile: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let asked = Asked::default();
        let log = Arc::clone(&asked);
        let logged = move |request: ServerRequest| {
            let header = |name| request.header(name).unwrap_or("none").to_owned();
            let headers = ["sec-fetch-dest", "referer", "cookie"].map(header);
            let path = request.path().to_owned();
            log.lock().unwrap().push((path, headers));
            serve(request)
        };
        let (server, network) = serving(&[HOST], logged).await;
        let profile = tempfile::tempdir().unwrap();
        let opened = Browser::open(BrowserOptions {
            profile: profile.path().to_owned(),
            network,
            policies: Policies::shipping(),
            console: Arc::new(TracingConsole),
        });
        Self {
            browser: opened.unwrap().browser,
            asked,
            _server: server,
            _profile: profile,
        }
    }

    /// `Sec-Fetch-Dest`, `Referer` and `Cookie` of the only request for a path.
    fn asked(&self, path: &str) -> [String; 3] {
        let asked = self.asked.lock().unwrap();
        let mut of_path = asked.iter().filter(|(asked, _)| asked == path);
        let (_, headers) = of_path.next().unwrap();
        assert_eq!(of_path.next(), None, "{path} was asked for twice");
        headers.clone()
    }

    async fn page(&self) -> Page {
        let url = format!("https://{HOST}/").parse().unwrap();
        self.browser.navigate(&url).await.unwrap()
    }
}

async fn run(page: &Page, statements: &str) -> Value {
    let script = format!(
        "(async () => {{ try {{ {statements} }} catch (e) {{ return `throws ${{e}}`; }} }})()"
    );
    page.run_script(&script, "test.js").await.unwrap()
}

const ACTIVE: &str = "const registration = await navigator.serviceWorker.register('/in/sw.js');
    const worker = registration.installing;
    await new Promise((done) => { worker.onstatechange = () => worker.state === 'activated' && done(); });";

#[tokio::test]
async fn pages_share_a_worker_until_the_last_of_them_is_closed() {
    let world = World::start().await;
    let (first, second) = (world.page().await, world.page().await);
    let connect = "return await ask(new SharedWorker('/shared.js').port, 'connected');";
    assert_eq!(run(&first, connect).await, json!(1));
    assert_eq!(run(&second, connect).await, json!(2));
    first.close().await;
    assert_eq!(run(&second, connect).await, json!(3));
    second.close().await;
    let third = world.page().await;
    assert_eq!(run(&third, connect).await, json!(1));
    third.close().await;
    world.browser.close().await;
}

#[tokio::test]
async fn a_worker_is_a_client_of_the_registration_of_its_own_script() {
    let world = World::start().await;
    let page = world.page().await;
    let script = format!(
        "{ACTIVE}
        const shared = new SharedWorker('/in/shared.js'), {{ port }} = shared;
        const controller = await ask(port, 'navigator.serviceWorker.controller.scriptURL');
        const text = await ask(port, 'fetch(\"/in/from-worker\").then((it) => it.text())');
        navigator.serviceWorker.startMessages();
        const answer = new Promise((done) => navigator.serviceWorker.addEventListener('message', ({{ data }}) => done(data)));
        worker.postMessage('sharedworker');
        return [controller, navigator.serviceWorker.controller, text, await answer, await ask(port, 'heard')];"
    );
    assert_eq!(
        run(&page, &script).await,
        json!([
            "https://site.example/in/sw.js",
            null,
            "worker",
            [
                [
                    ["/in/shared.js", "sharedworker", "same-origin", true, true],
                    ["/in/from-worker", "", "cors", true, false]
                ],
                [["sharedworker", "none", "/in/shared.js"]]
            ],
            ["hello sharedworker", true]
        ])
    );
    page.close().await;

    // It is no client any more, and does not keep its registration in use.
    let next = world.page().await;
    let none = "const { active } = await navigator.serviceWorker.getRegistration('/in/');
        navigator.serviceWorker.startMessages();
        const answer = new Promise((done) => navigator.serviceWorker.addEventListener('message', ({ data }) => done(data[1])));
        active.postMessage('all');
        return await answer;";
    assert_eq!(run(&next, none).await, json!([]));
    next.close().await;
    world.browser.close().await;
}

#[tokio::test]
async fn a_worker_that_is_claimed_has_another_controller() {
    let world = World::start().await;
    let page = world.page().await;
    let script = format!(
        "const {{ port }} = new SharedWorker('/in/shared.js');
        const before = await ask(port, 'navigator.serviceWorker.controller');
        {ACTIVE}
        worker.postMessage('claim');
        return [before, await ask(port, 'changed'), await ask(port, 'fetch(\"/in/from-worker\").then((it) => it.text())')];"
    );
    assert_eq!(
        run(&page, &script).await,
        json!([null, "https://site.example/in/sw.js", "worker"])
    );
    page.close().await;
    world.browser.close().await;
}

#[tokio::test]
async fn what_a_module_imports_is_asked_for_as_its_script_or_by_it() {
    let world = World::start().await;
    let page = world.page().await;
    let script =
        "const { port } = new SharedWorker('/module.js', { type: 'module', credentials: 'omit' });
        return await new Promise((done) => { port.onmessage = ({ data }) => done(data); });";
    assert_eq!(run(&page, script).await, json!(4));
    assert_eq!(
        world.asked("/module.js"),
        ["sharedworker", "https://site.example/", "none"]
    );
    // The script's own imports are the worker's; those of a script that runs are its own. The module's
    // referrer policy is for both, and for what they import.
    assert_eq!(
        world.asked("/one.js"),
        ["sharedworker", "https://site.example/", "none"]
    );
    assert_eq!(
        world.asked("/two.js"),
        ["script", "https://site.example/", "none"]
    );
    assert_eq!(
        world.asked("/four.js"),
        ["script", "https://site.example/", "none"]
    );
    page.close().await;
    world.browser.close().await;
}
