//! Windows: the tree of navigables, messages between them, and what another origin sees.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use service_worker::types::{ClientId, Environment};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::js::{
    DocumentRequest, DocumentSource, Documents, FetchedDocument, Page, PageOptions, Pending,
};

const SCRIPT: &str = "https://fonts.example.com/test.js";

/// A browser with a few documents, that remembers its clients.
#[derive(Default)]
struct Site {
    documents: BTreeMap<String, String>,
    last: AtomicU64,
    log: Arc<Mutex<Vec<String>>>,
}

struct Client(ClientId, Arc<Mutex<Vec<String>>>);

impl Drop for Client {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(format!("{} gone", self.0));
    }
}

impl Documents for Site {
    fn next_client(&self) -> ClientId {
        ClientId(100 + self.last.fetch_add(1, Ordering::Relaxed))
    }

    fn create(&self, environment: &Environment) -> Box<dyn Any + Send> {
        Box::new(Client(environment.id, Arc::clone(&self.log)))
    }

    fn caught_up(&self) -> Pending<()> {
        Box::pin(std::future::ready(()))
    }

    fn inherit_controller(
        &self,
        environment: &Environment,
        creator: ClientId,
    ) -> Pending<Result<(), String>> {
        let line = format!("{} inherits of {creator}", environment.id);
        self.log.lock().unwrap().push(line);
        Box::pin(std::future::ready(Ok(())))
    }

    fn fetch(&self, request: DocumentRequest) -> Pending<Result<FetchedDocument, String>> {
        let mut url = request.url.clone();
        url.set_fragment(None);
        let Some(body) = self.documents.get(url.as_str()) else {
            return Box::pin(std::future::ready(Err("nothing there".to_owned())));
        };
        let environment = request.environment(self.next_client(), url);
        let client = self.create(&environment);
        let mut document =
            FetchedDocument::new(environment, client, Bytes::from(body.clone().into_bytes()));
        document.referrer = request.referrer.map(String::from).unwrap_or_default();
        Box::pin(std::future::ready(Ok(document)))
    }

    fn ready(&self, environment: &Environment, _: Page) {
        let line = format!("{} ready {}", environment.id, environment.creation_url);
        self.log.lock().unwrap().push(line);
    }
}

fn site(documents: &[(&str, &str)]) -> Site {
    Site {
        documents: documents
            .iter()
            .map(|(url, html)| ((*url).to_owned(), (*html).to_owned()))
            .collect(),
        ..Site::default()
    }
}

/// What gives windows these documents.
pub(super) fn documents(documents: &[(&str, &str)]) -> Arc<DocumentSource> {
    Arc::new(DocumentSource(Arc::new(site(documents))))
}

/// A page in a browser of these documents.
pub(super) fn browser(documents: &[(&str, &str)]) -> (Page, Lines, Arc<Mutex<Vec<String>>>) {
    let site = site(documents);
    let log = Arc::clone(&site.log);
    let source = Arc::new(DocumentSource(Arc::new(site)));
    let lines = Lines::default();
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(lines.clone()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm.with_service(Arc::clone(&source))
    }));
    (page_with(options).0, lines, log)
}

pub(super) fn run(page: &Page, source: &str) -> Value {
    wait(page.run_script(source, SCRIPT)).unwrap()
}

pub(super) const CHILD: &str = "https://fonts.example.com/child.html";
pub(super) const OTHER: &str = "https://other.example/child.html";
pub(super) const ECHO: &str = "<title>child</title><script>
    onmessage = (event) => event.source.postMessage([event.data, event.origin, event.isTrusted], '*');
    var shown = 5;
    opener.postMessage('here', '*');
</script>";

#[test]
fn a_window_is_its_proxy_wherever_it_is_named() {
    let (page, ..) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "var declared = 1;
            const seen = [];
            addEventListener('x', function (event) { seen.push(event.target === window, event.currentTarget === self, this === window); });
            window.dispatchEvent(new Event('x'));
            [window === self, self === frames, parent === window, top === window, globalThis === window, opener, length, frameElement,
             window.declared, 'declared' in window, Object.keys(window).includes('declared'), window instanceof Window,
             String(window), Object.getPrototypeOf(window) === Window.prototype, window.document === document,
             delete window.nothing, Reflect.set(window, 'other', 2), other, Object.getOwnPropertyDescriptor(window, 'other').value, window[0] === undefined, name, ...seen]"
        ),
        json!([
            true, true, true, true, true, null, 0, null, 1, true, true, true, "[object Window]", true, true, true, true, 2, 2, true, "", true,
            true, true
        ])
    );
}

#[test]
fn a_page_that_is_opened_has_a_realm_of_its_own_at_once_and_keeps_its_window_proxy() {
    let (page, _, log) = browser(&[(CHILD, ECHO)]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const opened = open('/child.html', 'named');
                const before = [opened.location.href, opened.origin, opened.Array === Array, opened instanceof opened.Window, opened.opener === window];
                opened.kept = 7;
                const event = await new Promise((done) => { onmessage = done; });
                return [...before, event.data, event.origin, event.source === opened, opened.shown, opened.kept, opened.document.title,
                    opened.location.pathname, opened.name, open('', 'named') === opened, opened.closed, opened.document.referrer];
            })()"
        ),
        json!([
            "about:blank",
            "https://fonts.example.com",
            false,
            true,
            true,
            "here",
            "https://fonts.example.com",
            true,
            5,
            // The window of the initial about:blank is used again for a document of its origin.
            7,
            "child",
            "/child.html",
            "named",
            true,
            false,
            "https://fonts.example.com/index.html"
        ])
    );
    let log = log.lock().unwrap().clone();
    assert_eq!(
        log,
        [
            "ClientId-100 ready about:blank",
            "ClientId-100 gone",
            "ClientId-102 ready https://fonts.example.com/child.html"
        ]
    );
}

#[test]
fn messages_go_to_the_origin_they_are_meant_for_and_to_no_other() {
    let (page, ..) = browser(&[(OTHER, ECHO)]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const messages = [];
                let more = () => {};
                onmessage = (event) => { messages.push(event.data); more(); };
                const until = async (count) => { while (messages.length < count) await new Promise((done) => { more = done; }); };
                const opened = open('https://other.example/child.html');
                await until(1);
                opened.postMessage('not for it', '/');
                opened.postMessage('not for it', 'https://fonts.example.com');
                opened.postMessage('not for it', 'https://other.example:8080');
                opened.postMessage('a', 'https://other.example/some/path');
                opened.postMessage('b', { targetOrigin: '*' });
                window.postMessage({ own: true });
                await until(4);
                try { opened.postMessage('c', 'nonsense'); } catch (error) { messages.push(error.name); }
                try { opened.postMessage(); } catch (error) { messages.push(error.name); }
                return messages;
            })()"
        ),
        json!([
            "here",
            { "own": true },
            ["a", "https://fonts.example.com", true],
            ["b", "https://fonts.example.com", true],
            "SyntaxError",
            "TypeError"
        ])
    );
}

#[test]
fn a_window_of_another_origin_shows_what_html_lets_it_and_throws_for_the_rest() {
    let (page, ..) = browser(&[(OTHER, ECHO)]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const opened = open('https://other.example/child.html');
                await new Promise((done) => { onmessage = done; });
                const tried = (what) => { try { return String(what()); } catch (error) { return error.name + (error instanceof DOMException); } };
                return [
                    tried(() => opened.document), tried(() => opened.shown), tried(() => { opened.x = 1; }), tried(() => delete opened.x),
                    tried(() => Object.defineProperty(opened, 'x', { value: 1 })), tried(() => 'x' in opened), tried(() => opened[0]),
                    tried(() => Object.getPrototypeOf(opened)), tried(() => Object.isExtensible(opened)),
                    tried(() => opened.window === opened && opened.self === opened && opened.frames === opened && opened.top === opened && opened.parent === opened),
                    tried(() => opened.opener === window), tried(() => opened.length), tried(() => opened.closed), tried(() => opened.then),
                    tried(() => opened.postMessage === opened.postMessage), tried(() => opened.postMessage instanceof Function),
                    tried(() => opened.location.href), tried(() => opened.location.toString()), tried(() => opened.location.replace.name),
                    tried(() => opened.location.assign), tried(() => opened.location === opened.location),
                    tried(() => Object.getOwnPropertyDescriptor(opened, 'postMessage').writable), tried(() => Object.getOwnPropertyDescriptor(opened, 'then').configurable),
                    tried(() => Object.keys(opened).length), tried(() => Reflect.ownKeys(opened).length), tried(() => Object.setPrototypeOf(opened, {})),
                ];
            })()"
        ),
        json!([
            "SecurityErrortrue",
            "SecurityErrortrue",
            "SecurityErrortrue",
            "SecurityErrortrue",
            "SecurityErrortrue",
            "SecurityErrortrue",
            "SecurityErrortrue",
            "null",
            "true",
            "true",
            "true",
            "0",
            "false",
            "undefined",
            "true",
            "true",
            "SecurityErrortrue",
            "SecurityErrortrue",
            "replace",
            "SecurityErrortrue",
            "true",
            "false",
            "true",
            "0",
            "17",
            "TypeErrorfalse"
        ])
    );
}

#[test]
fn a_location_navigates_its_window_whose_realm_then_ends() {
    let next = "https://fonts.example.com/next.html";
    let (page, ..) = browser(&[
        (CHILD, ECHO),
        (
            next,
            "<script>addEventListener('message', (event) => opener.postMessage(['next', event.data, location.search], '*')); opener.postMessage('next', '*')</script>",
        ),
        (
            "https://other.example/far.html",
            "<script>opener.postMessage(['far', document.referrer], '*')</script>",
        ),
    ]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const seen = [];
                const message = () => new Promise((done) => { onmessage = (event) => done(event.data); });
                const opened = open('/child.html');
                seen.push(await message());
                opened.addEventListener('pagehide', (event) => seen.push(event.type, event.persisted));
                opened.addEventListener('unload', (event) => seen.push(event.type));
                opened.setTimeout(() => seen.push('never'), 900);
                const old = opened.document;
                // Relative to the realm whose script navigates.
                opened.location = 'next.html';
                seen.push(await message(), old === opened.document, opened.shown === undefined);
                opened.postMessage(1, '*');
                seen.push(await message());
                opened.location.replace('https://other.example/far.html');
                seen.push(await message());
                opened.location.href = '/child.html';
                seen.push(await message());
                seen.push(opened.location.href, opened.history.length);
                await new Promise((done) => setTimeout(done, 1000));
                return seen;
            })()"
        ),
        json!([
            "here",
            "pagehide",
            false,
            "unload",
            "next",
            false,
            true,
            ["next", 1, ""],
            ["far", "https://fonts.example.com/index.html"],
            "here",
            "https://fonts.example.com/child.html",
            3
        ])
    );
}

#[test]
fn fragments_and_pushed_states_change_the_url_without_a_load() {
    let (page, ..) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const seen = [];
                const event = (type) => new Promise((done) => addEventListener(type, done, { once: true }));
                addEventListener('popstate', (event) => seen.push(['popstate', event.state, location.hash]));
                location.hash = 'a';
                seen.push(location.href);
                const changed = await event('hashchange');
                seen.push(changed.oldURL, changed.newURL);
                history.pushState({ page: 2 }, '', 'two?x#b');
                seen.push(location.pathname, location.search, history.state, history.length, document.URL);
                history.replaceState(3, '');
                seen.push(history.state, history.state === history.state);
                history.back();
                await event('popstate');
                seen.push(location.href, history.state);
                history.forward();
                await event('popstate');
                seen.push(location.pathname, history.state);
                history.go(5);
                for (const url of ['https://other.example/', 'https://u@fonts.example.com/', 'http://[']) {
                    try { history.pushState(1, '', url); } catch (error) { seen.push(error.name); }
                }
                return seen;
            })()"
        ),
        json!([
            // A navigation to a fragment fires popstate before it returns.
            ["popstate", null, "#a"],
            "https://fonts.example.com/index.html#a",
            "https://fonts.example.com/index.html",
            "https://fonts.example.com/index.html#a",
            "/two",
            "?x",
            { "page": 2 },
            3,
            "https://fonts.example.com/two?x#b",
            3,
            true,
            ["popstate", null, "#a"],
            "https://fonts.example.com/index.html#a",
            null,
            ["popstate", 3, "#b"],
            "/two",
            3,
            "SecurityError",
            "SecurityError",
            "SecurityError"
        ])
    );
}

#[test]
fn a_page_that_is_closed_by_a_script_ends_and_its_window_says_so() {
    let (page, _, log) = browser(&[(CHILD, ECHO)]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const opened = open('/child.html');
                await new Promise((done) => { onmessage = done; });
                const seen = [];
                opened.onunload = () => seen.push('unload');
                opened.close();
                seen.push(opened.closed);
                await new Promise((done) => setTimeout(done, 5));
                seen.push(opened.closed, opened.parent, opened.opener, opened.location.href, opened.postMessage(1, '*') === undefined);
                window.close();
                return [...seen, closed];
            })()"
        ),
        json!([true, "unload", true, null, null, "https://fonts.example.com/child.html", true, false])
    );
    assert!(log.lock().unwrap().last().unwrap().ends_with("gone"));
}

#[test]
fn a_document_that_cannot_be_fetched_has_an_origin_of_its_own() {
    let (page, lines, _) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "(async () => {
                const opened = open('/missing.html');
                for (;;) {
                    await new Promise((done) => setTimeout(done, 1));
                    try { opened.document; } catch (error) { return error.name; }
                }
            })()"
        ),
        "SecurityError"
    );
    assert!(lines.all()[0].contains("missing.html failed: nothing there"));
}

#[test]
fn a_page_that_opens_pages_without_end_is_stopped_and_no_other() {
    let lines = Lines::default();
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(environment, Arc::new(lines), Arc::new(Facade::default()));
    options.limits.realms = 20;
    let (page, ended) = page_with(options);
    let (other, ..) = browser(&[]);
    assert!(wait(page.run_script("for (;;) open();", SCRIPT)).is_err());
    assert_eq!(
        ended.recv().unwrap().to_string(),
        "too many frames: more than 20"
    );
    assert_eq!(run(&other, "1"), 1);
}

#[test]
fn the_realms_of_pages_that_are_gone_are_freed() {
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.memory_limit = 32 << 20;
    options.limits.realms = 8;
    let (page, _) = page_with(options);
    assert_eq!(
        run(
            &page,
            "(async () => {
                let kept;
                for (let i = 0; i < 200; i++) {
                    const opened = open();
                    opened.array = new opened.Array(1000);
                    opened.addEventListener('x', () => opened);
                    opened.setTimeout(() => opened, 1e6);
                    if (i === 0) kept = opened.Array;
                    opened.close();
                    await new Promise((done) => setTimeout(done));
                }
                return kept.from([1]).length;
            })()"
        ),
        1
    );
}
