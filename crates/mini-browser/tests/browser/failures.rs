//! What goes wrong with pages, workers and the profile, as a user meets it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use mini_browser::js::{ConsoleLevel, ConsoleSink, ScriptError, TracingConsole};
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserError, BrowserOptions, NavigateError, Opened, Page};
use serde_json::json;
use service_worker::types::WorkerState;
use service_worker::{Body, Policies, Report, Reports};
use tokio::sync::mpsc;
use url::Url;

use crate::serving::serving;

/// `/slow`: gives a body of which the rest never comes. `/hog`: takes too much memory. `/loop`:
/// answers and goes on for ever.
const WORKER: &str = "addEventListener('install', () => skipWaiting());
    addEventListener('fetch', (event) => {
        const { pathname } = new URL(event.request.url);
        if (pathname === '/never') console.log('never');
        if (pathname === '/ok') event.respondWith(new Response('ok'));
        if (pathname === '/slow') event.respondWith(fetch('/half'));
        if (pathname === '/hog') {
            const kept = [];
            for (;;) kept.push(new Array(1000).fill(kept.length));
        }
        if (pathname === '/hog-later') {
            event.respondWith(Promise.resolve().then(() => {
                const kept = [];
                for (;;) kept.push(new Array(1000).fill(kept.length));
            }));
        }
    });";

async fn serve(request: ServerRequest) -> ServerResponse {
    match request.path() {
        "/" => ServerResponse::ok("text/html", "<title>t</title>"),
        "/loops" => ServerResponse::ok(
            "text/html",
            "<script>console.log('in'); for (;;) {}</script><script>console.log('next')</script>",
        ),
        "/text" => ServerResponse::ok("text/plain", "no document"),
        "/latin" => ServerResponse::ok("text/html; charset=iso-8859-1", "é"),
        "/untyped" => {
            let mut response = ServerResponse::new(StatusCode::OK, "<title>t</title>");
            response.headers.remove(CONTENT_TYPE);
            response
        }
        "/round" => ServerResponse::redirect("/and-round"),
        "/and-round" => ServerResponse::redirect("/round"),
        "/once" => ServerResponse::redirect("/"),
        "/to-script" => ServerResponse::redirect("javascript:alert(1)"),
        "/304" => {
            ServerResponse::new(StatusCode::NOT_MODIFIED, "").with(http::header::LOCATION, "/")
        }
        "/cut" => ServerResponse::ok("text/html", Body::from_stream(broken())),
        "/half" => {
            let first = stream::iter([Ok(bytes::Bytes::from_static(b"half"))]);
            let body = Body::from_stream(first.chain(stream::pending()));
            ServerResponse::ok("text/plain", body)
        }
        "/never" => std::future::pending().await,
        "/sw2.js" => ServerResponse::ok("text/javascript", ""),
        "/sw.js" => ServerResponse::ok("text/javascript", WORKER),
        _ => ServerResponse::new(StatusCode::NOT_FOUND, "from the network"),
    }
}

fn broken() -> impl futures_util::Stream<Item = Result<bytes::Bytes, service_worker::BodyError>> {
    let start = Ok(bytes::Bytes::from_static(b"<title>t</title>"));
    stream::iter([start, Err(service_worker::BodyError::Aborted)])
}

/// Tells what consoles say.
struct Lines(mpsc::UnboundedSender<String>);

impl ConsoleSink for Lines {
    fn message(&self, _: &str, _: ConsoleLevel, text: &str) {
        // A test that is over no longer listens.
        drop(self.0.send(text.to_owned()));
    }
}

struct World {
    server: Server,
    network: NetworkConfig,
    _profile: tempfile::TempDir,
    profile: std::path::PathBuf,
}

const SITE: &str = "https://site.example/";

impl World {
    async fn start() -> Self {
        let (server, network) = serving(&["site.example"], serve).await;
        let folder = tempfile::tempdir().unwrap();
        Self {
            server,
            network,
            profile: folder.path().join("profile"),
            _profile: folder,
        }
    }

    fn try_open(
        &self,
        profile: &Path,
        console: Arc<dyn ConsoleSink>,
    ) -> Result<Opened, BrowserError> {
        Browser::open(BrowserOptions {
            profile: profile.to_owned(),
            network: self.network.clone(),
            policies: Policies::seeds(),
            console,
        })
    }

    fn open(&self) -> Opened {
        self.try_open(&self.profile, Arc::new(TracingConsole))
            .unwrap()
    }

    fn open_listening(&self) -> (Browser, mpsc::UnboundedReceiver<String>) {
        let (sender, lines) = mpsc::unbounded_channel();
        let opened = self.try_open(&self.profile, Arc::new(Lines(sender)));
        (opened.unwrap().browser, lines)
    }
}

fn at(path: &str) -> Url {
    Url::parse(SITE).unwrap().join(path).unwrap()
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

/// A page that a worker controls.
async fn controlled(browser: &Browser, reports: &mut Reports) -> Page {
    let page = browser.navigate(&at("/")).await.unwrap();
    let register = "navigator.serviceWorker.register('/sw.js').then(() => true)";
    page.run_script(register, "t").await.unwrap();
    until_activated(reports).await;
    page.close().await;
    browser.navigate(&at("/")).await.unwrap()
}

#[tokio::test]
async fn a_navigation_whose_script_loops_ends_when_it_is_given_up() {
    let world = World::start().await;
    let (browser, mut lines) = world.open_listening();
    let loops = at("/loops");
    tokio::select! {
        page = browser.navigate(&loops) => panic!("{page:?}"),
        line = lines.recv() => assert_eq!(line.unwrap(), "in"),
    }
    // The next page and the end of the browser do not notice.
    let page = browser.navigate(&at("/")).await.unwrap();
    assert_eq!(page.run_script("document.title", "t").await.unwrap(), "t");
    browser.close().await;
    drop(page);
    // The script after the one that looped never ran, and nobody holds the console any more.
    assert_eq!(lines.recv().await, None);
}

#[tokio::test]
async fn a_page_whose_script_loops_can_be_closed() {
    let world = World::start().await;
    let (browser, mut lines) = world.open_listening();
    let page = browser.navigate(&at("/")).await.unwrap();
    tokio::select! {
        ran = page.run_script("console.log('in'); for (;;) {}", "t") => panic!("{ran:?}"),
        line = lines.recv() => assert_eq!(line.unwrap(), "in"),
    }
    page.close().await;
    browser.close().await;
    assert_eq!(lines.recv().await, None);
}

#[tokio::test]
async fn closing_the_browser_ends_the_scripts_of_its_pages() {
    let world = World::start().await;
    for script in [
        "console.log('in'); for (;;) {}",
        "console.log('in'); new Promise(() => {})",
        // The engine cannot interrupt this one.
        "console.log('in'); ((1n << 900000n) - 1n).toString().length",
    ] {
        let (browser, mut lines) = world.open_listening();
        let page = browser.navigate(&at("/")).await.unwrap();
        let closes = async {
            assert_eq!(lines.recv().await.unwrap(), "in");
            browser.close().await;
        };
        let (ran, ()) = tokio::join!(page.run_script(script, "t"), closes);
        assert!(matches!(ran, Err(ScriptError::Gone(_))), "{ran:?}");
        let ran = page.run_script("1", "t").await;
        assert!(matches!(ran, Err(ScriptError::Gone(_))), "{ran:?}");
        page.close().await;
    }
}

#[tokio::test]
async fn a_navigation_that_is_given_up_leaves_no_client() {
    let world = World::start().await;
    let (sender, mut lines) = mpsc::unbounded_channel();
    let Opened {
        browser,
        mut reports,
        ..
    } = world
        .try_open(&world.profile, Arc::new(Lines(sender)))
        .unwrap();
    let page = controlled(&browser, &mut reports).await;
    let never = at("/never");
    let mut navigating = Box::pin(browser.navigate(&never));
    tokio::select! {
        page = &mut navigating => panic!("{page:?}"),
        line = lines.recv() => assert_eq!(line.unwrap(), "never"),
    }
    drop(navigating);
    // Another version waits until no client uses the registration.
    let register = "navigator.serviceWorker.register('/sw2.js').then(() => true)";
    assert_eq!(page.run_script(register, "t").await.unwrap(), true);
    page.close().await;
    until_activated(&mut reports).await;
    browser.close().await;
}

#[tokio::test]
async fn what_is_no_document_is_said_in_one_line() {
    let world = World::start().await;
    let browser = world.open().browser;
    for (path, said) in [
        (
            "/text",
            "https://site.example/text: Content-Type is \"text/plain\", and only text/html is shown",
        ),
        (
            "/untyped",
            "https://site.example/untyped: Content-Type is \"\", and only text/html is shown",
        ),
        (
            "/304",
            "https://site.example/304: Content-Type is \"\", and only text/html is shown",
        ),
    ] {
        let error = browser.navigate(&at(path)).await.unwrap_err();
        assert!(
            matches!(error, NavigateError::NotADocument { .. }),
            "{error:?}"
        );
        assert_eq!(error.to_string(), said);
    }
    // Another encoding than UTF-8 is read as what it says that it is.
    let page = browser.navigate(&at("/latin")).await.unwrap();
    let text = page.run_script("document.body.textContent", "t").await;
    assert_eq!(text.unwrap(), "Ã©");
    page.close().await;
    // Cut before or after its head, as it happens.
    let error = browser.navigate(&at("/cut")).await.unwrap_err();
    assert!(
        error.to_string().contains("https://site.example/cut: "),
        "{error}"
    );
    browser.close().await;
}

#[tokio::test]
async fn redirects_are_followed_and_loops_end() {
    let world = World::start().await;
    let browser = world.open().browser;
    let page = browser.navigate(&at("/once#part")).await.unwrap();
    assert_eq!(page.url().as_str(), "https://site.example/#part");
    let error = browser.navigate(&at("/round")).await.unwrap_err();
    assert!(matches!(error, NavigateError::Redirects(_)), "{error:?}");
    let asked = world.server.log().len();
    assert_eq!(asked, 2 + 21);
    let error = browser.navigate(&at("/to-script")).await.unwrap_err();
    assert!(
        error.to_string().contains("not a valid http or https URL"),
        "{error}"
    );
    browser.close().await;
}

#[tokio::test]
async fn a_server_that_is_down_is_named() {
    let World {
        server,
        network,
        profile,
        _profile,
    } = World::start().await;
    server.stop().await;
    let opened = Browser::open(BrowserOptions {
        profile,
        network,
        policies: Policies::seeds(),
        console: Arc::new(TracingConsole),
    });
    let browser = opened.unwrap().browser;
    let error = browser.navigate(&at("/")).await.unwrap_err();
    assert!(matches!(error, NavigateError::Fetch(_)), "{error:?}");
    assert!(
        error.to_string().contains("https://site.example/"),
        "{error}"
    );
    browser.close().await;
}

#[tokio::test]
async fn a_worker_that_takes_too_much_memory_fails_its_fetch_and_no_later_one() {
    let world = World::start().await;
    let Opened {
        browser,
        mut reports,
        ..
    } = world.open();
    let page = controlled(&browser, &mut reports).await;
    let asked = "(async () => {
        const said = [];
        for (const path of ['/ok', '/hog-later', '/ok', '/hog', '/ok']) {
            said.push(await fetch(path).then((it) => it.text(), (error) => error.name));
        }
        return said;
    })()";
    // A death before respondWith is a network error for a page's own worker, as one after it.
    let said = page.run_script(asked, "t").await.unwrap();
    assert_eq!(said, json!(["ok", "TypeError", "ok", "TypeError", "ok"]));
    browser.close().await;
}

#[tokio::test]
async fn a_worker_that_dies_half_way_through_a_body_breaks_the_body() {
    let world = World::start().await;
    let Opened {
        browser,
        mut reports,
        ..
    } = world.open();
    let page = controlled(&browser, &mut reports).await;
    let asked = "(async () => {
        const response = await fetch('/slow');
        const text = response.text().catch((error) => error.name);
        await fetch('/hog').catch(() => {});
        return [response.status, await text, await fetch('/ok').then((it) => it.text())];
    })()";
    let said = page.run_script(asked, "t").await.unwrap();
    assert_eq!(said, json!([200, "TypeError", "ok"]));
    browser.close().await;
}

#[tokio::test]
async fn a_profile_that_cannot_be_written_is_said() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let open = |profile: &Path| world.try_open(profile, Arc::new(TracingConsole));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open(&file).err().unwrap();
    assert!(matches!(error, BrowserError::Folder { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!(
        "cannot make the profile folder {}",
        file.display()
    )));

    let taken = folder.path().join("profile-taken");
    fs::create_dir_all(taken.join("profile.redb")).unwrap();
    let error = open(&taken).err().unwrap();
    assert!(matches!(error, BrowserError::Profile(_)), "{error:?}");

    let taken = folder.path().join("caches-taken");
    fs::create_dir_all(taken.join("caches.redb")).unwrap();
    let error = open(&taken).err().unwrap();
    assert!(matches!(error, BrowserError::Caches(_)), "{error:?}");
    assert!(error.to_string().contains("caches.redb"), "{error}");
    fs::remove_dir(taken.join("caches.redb")).unwrap();
    fs::remove_dir_all(taken.join("caches.redb.bodies")).unwrap();
    fs::write(taken.join("caches.redb.bodies"), "").unwrap();
    let error = open(&taken).err().unwrap();
    assert!(matches!(error, BrowserError::Caches(_)), "{error:?}");
    // What was refused holds no lock.
    fs::remove_file(taken.join("caches.redb.bodies")).unwrap();
    open(&taken).unwrap().browser.close().await;
}

/// `/dev/full` is a disk on which there is no room.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_cache_on_a_full_disk_is_a_quota_exceeded_error_and_works_when_there_is_room() {
    let world = World::start().await;
    let browser = world.open().browser;
    let page = browser.navigate(&at("/")).await.unwrap();
    page.run_script(
        "var cache; caches.open('x').then((it) => { cache = it; })",
        "t",
    )
    .await
    .unwrap();
    let bodies = world.profile.join("caches.redb.bodies");
    let parts: Vec<_> = (0..50).map(|n| bodies.join(format!("{n}.part"))).collect();
    for part in &parts {
        std::os::unix::fs::symlink("/dev/full", part).unwrap();
    }
    let put = "cache.put('/a', new Response('a'))
        .then(() => cache.match('/a')).then((it) => it.text())
        .catch((error) => [error.name, error instanceof DOMException])";
    assert_eq!(
        page.run_script(put, "t").await.unwrap(),
        json!(["QuotaExceededError", true])
    );
    let found = "cache.match('/a').then((it) => it === undefined)";
    assert_eq!(page.run_script(found, "t").await.unwrap(), true);
    for part in &parts {
        // The one that was met is swept already.
        drop(fs::remove_file(part));
    }
    assert_eq!(page.run_script(put, "t").await.unwrap(), "a");
    browser.close().await;
}
