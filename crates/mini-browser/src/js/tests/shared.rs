//! Shared workers: who gets which, and how long they live.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::{Value, json};
use service_worker::types::{ClientId, Environment, Origin, PartitionPolicy, Site};
use url::Url;

use super::dedicated::Scripts;
use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::fetch::FetchService;
use crate::js::{BlobUrls, Death, Page, PageOptions, SharedWorkers};

/// Says how many have connected, and pings back.
const COUNTER: &str = "let count = 0;
    onconnect = ({ ports: [port] }) => { count += 1; port.postMessage(count); port.onmessage = ({ data }) => eval(data); };";

/// What the pages of a browser share.
struct Shared {
    fetches: Arc<FetchService>,
    workers: Arc<SharedWorkers>,
    blobs: Arc<BlobUrls>,
    lines: Lines,
    script_time: Option<Duration>,
}

struct Opened {
    page: Page,
    ended: Receiver<Death>,
    lines: Lines,
}

impl Shared {
    fn new(scripts: &[(&str, &str)]) -> Self {
        let blobs = Arc::<BlobUrls>::default();
        let fetches = FetchService::new(Arc::new(Scripts::of(scripts)));
        Self {
            fetches: Arc::new(fetches.with_blobs(Arc::clone(&blobs) as _)),
            workers: Arc::default(),
            blobs,
            lines: Lines::default(),
            script_time: None,
        }
    }

    fn page(&self, client: u64) -> Opened {
        self.page_of(Environment::top_level(
            ClientId(client),
            Url::parse(PAGE).unwrap(),
        ))
    }

    fn page_of(&self, environment: Environment) -> Opened {
        let mut options = PageOptions::new(
            environment,
            Arc::new(self.lines.clone()),
            Arc::new(Facade::default()),
        );
        options.limits.script_time = self.script_time;
        let (fetches, workers) = (Arc::clone(&self.fetches), Arc::clone(&self.workers));
        let blobs = Arc::clone(&self.blobs);
        options.prepare = Some(Arc::new(move |realm| {
            realm
                .with_service(Arc::clone(&fetches))
                .with_service(Arc::clone(&workers))
                .with_service(Arc::clone(&blobs))
                .with_service(Arc::new(PartitionPolicy::ByTopLevelSite))
        }));
        let (page, ended) = page_with(options);
        let lines = self.lines.clone();
        Opened { page, ended, lines }
    }
}

impl Opened {
    /// What a promise gives.
    fn run(&self, body: &str) -> Value {
        let source = format!(
            "const message = (target) => new Promise((done) => {{ target.onmessage = ({{ data }}) => done(data); }});
            const event = (target, type) => new Promise((done) => target.addEventListener(type, done, {{ once: true }}));
            (async () => {{ {body} }})()"
        );
        let source = format!("{{ {source} }}");
        let done = wait(
            self.page
                .run_script(source, "https://fonts.example.com/test.js"),
        );
        done.unwrap_or_else(|error| {
            let death = self.ended.recv_timeout(Duration::from_secs(5));
            panic!("{error}\n{death:?} {:?}", self.lines.all())
        })
    }

    /// Closes the page and waits until nothing of it is there.
    fn close(self) {
        self.page.close();
        let ended = self.ended.recv_timeout(Duration::from_secs(20));
        assert_eq!(ended, Ok(Death::Killed("closed".to_owned())));
    }
}

#[test]
fn a_connect_event_has_the_port_as_source_and_an_empty_string() {
    let worker = "onconnect = (event) => {
        const [port] = event.ports;
        port.postMessage([event.constructor === MessageEvent, event.data, event.origin, event.source === port, event.ports.length, Object.isFrozen(event.ports),
            event.isTrusted, name, location.pathname, String(self), self instanceof SharedWorkerGlobalScope, typeof window, typeof SharedWorker, typeof postMessage, onconnect.name]);
    };";
    let shared = Shared::new(&[("/w.js", worker)]);
    assert_eq!(
        shared.page(1).run(
            "const worker = new SharedWorker('w.js', 'named');
            return [await message(worker.port), worker.port === worker.port, String(worker), SharedWorker.length];"
        ),
        json!([
            [
                true,
                "",
                "",
                true,
                1,
                true,
                true,
                "named",
                "/w.js",
                "[object SharedWorkerGlobalScope]",
                true,
                "undefined",
                "undefined",
                "undefined",
                "onconnect"
            ],
            true,
            "[object SharedWorker]",
            1
        ])
    );
}

#[test]
fn two_pages_of_an_origin_have_one_worker() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    let (first, second) = (shared.page(1), shared.page(2));
    let connect = "return await message(new SharedWorker('w.js').port);";
    assert_eq!(first.run(connect), json!(1));
    assert_eq!(second.run(connect), json!(2));
    // An object of the same page, with the same defaults given.
    let same = "return await message(new SharedWorker('w.js', { type: 'classic', credentials: 'same-origin', name: '' }).port);";
    assert_eq!(first.run(same), json!(3));
    // Other names and URLs are other workers, and so are those of other partitions.
    let others = "const get = (...args) => message(new SharedWorker(...args).port);
        return [await get('w.js', 'other'), await get('w.js?'), await get('w.js', { name: 'other' })];";
    assert_eq!(first.run(others), json!([1, 1, 2]));
    let framed = Environment {
        top_level_site: Site::of(&Origin::of(
            &Url::parse("https://elsewhere.example").unwrap(),
        )),
        ..Environment::top_level(ClientId(3), Url::parse(PAGE).unwrap())
    };
    assert_eq!(shared.page_of(framed).run(connect), json!(1));
}

#[test]
fn a_worker_ends_with_its_last_owner_and_not_before() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    let (first, second) = (shared.page(1), shared.page(2));
    let connect = "return await message(new SharedWorker('w.js').port);";
    assert_eq!(first.run(connect), json!(1));
    assert_eq!(second.run(connect), json!(2));
    first.close();
    let third = shared.page(3);
    assert_eq!(third.run(connect), json!(3));
    second.close();
    third.close();
    assert_eq!(shared.page(4).run(connect), json!(1));
}

#[test]
fn a_frame_is_an_owner_and_what_it_shows_next_may_have_its_worker() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    let page = shared.page(1);
    assert_eq!(
        page.run(
            "const connect = (window) => message(new window.SharedWorker('/w.js').port);
            const frame = () => document.body.appendChild(document.createElement('iframe'));
            const first = frame(), seen = [await connect(first.contentWindow)];
            const loaded = event(first, 'load');
            first.srcdoc = 'next';
            await loaded;
            seen.push(await connect(first.contentWindow));
            first.remove();
            seen.push(await connect(window));
            return seen;"
        ),
        json!([1, 2, 1])
    );
}

#[test]
fn another_type_or_other_credentials_fire_error_and_change_nothing() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    assert_eq!(
        shared.page(1).run(
            "const worker = new SharedWorker('w.js'), seen = [await message(worker.port)];
            for (const options of [{ type: 'module' }, { credentials: 'omit' }, { credentials: 'include' }]) {
                const error = await event(new SharedWorker('w.js', options), 'error');
                seen.push([error.constructor === Event, error.isTrusted]);
            }
            seen.push(await message(new SharedWorker('w.js').port));
            return seen;"
        ),
        json!([1, [true, true], [true, true], [true, true], 2])
    );
}

#[test]
fn what_has_no_script_fires_error_at_each_object() {
    let shared = Shared::new(&[
        ("/bad.js", "onconnect = 1 2"),
        ("/page.html", "1"),
        ("/none.js", ""),
        ("/bad-module.js", "import './missing.js';"),
        ("/broken-module.js", "import './bad.js';"),
    ]);
    assert_eq!(
        shared.page(1).run(
            "const seen = [];
            for (const args of [['missing.js'], ['bad.js'], ['page.html'], ['none.js'], ['https://other.example/w.js'], ['about:blank'], ['bad-module.js', { type: 'module' }], ['broken-module.js', { type: 'module' }]]) {
                const workers = [new SharedWorker(...args), new SharedWorker(...args)];
                const errors = await Promise.all(workers.map((worker) => event(worker, 'error')));
                seen.push(errors.every((error, at) => error.constructor === Event && error.target === workers[at]));
            }
            for (const bad of [() => new SharedWorker(), () => new SharedWorker('http://['), () => new SharedWorker('w.js', { type: 'other' }), () => SharedWorker('w.js')]) {
                try { bad(); } catch (error) { seen.push(error.name); }
            }
            return seen;"
        ),
        json!([
            true,
            true,
            true,
            true,
            true,
            true,
            true,
            true,
            "TypeError",
            "SyntaxError",
            "TypeError",
            "TypeError"
        ])
    );
}

#[test]
fn an_exception_of_a_worker_stays_there() {
    let worker = "const seen = []; onerror = (message) => { seen.push(message); return true; };
        onconnect = ({ source }) => { source.postMessage(seen); }; throw new RangeError('far');";
    let shared = Shared::new(&[("/w.js", worker)]);
    assert_eq!(
        shared.page(1).run(
            "const seen = [], worker = new SharedWorker('w.js');
            worker.onerror = window.onerror = () => seen.push('error');
            return [await message(worker.port), seen];"
        ),
        json!([["Uncaught RangeError: far"], []])
    );
}

#[test]
fn a_worker_that_closes_is_found_no_more() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    assert_eq!(
        shared.page(1).run(
            "const first = new SharedWorker('w.js'), seen = [await message(first.port)];
            const closed = event(first.port, 'close');
            first.port.postMessage('close(); setTimeout(() => port.postMessage(\"never\"))');
            await closed;
            seen.push(await message(new SharedWorker('w.js').port));
            return seen;"
        ),
        json!([1, 1])
    );
}

#[test]
fn modules_blobs_and_data_urls_are_scripts_of_workers() {
    let module = "import { value } from './m.js'; onconnect = ({ source }) => source.postMessage([value, import.meta.url]);";
    let shared = Shared::new(&[
        ("/w.js", module),
        ("/m.js", "export const value = 'imported';"),
    ]);
    assert_eq!(
        shared.page(1).run(
            "const seen = [await message(new SharedWorker('w.js', { type: 'module' }).port)];
            const source = 'let count = 0; onconnect = ({ source }) => source.postMessage([++count, origin, location.protocol]);';
            const blob = URL.createObjectURL(new Blob([source])), data = 'data:,' + source;
            const first = new SharedWorker(blob);
            URL.revokeObjectURL(blob);
            seen.push(await message(first.port), await message(new SharedWorker(blob).port));
            seen.push(await message(new SharedWorker(data).port), await message(new SharedWorker(data).port));
            return seen;"
        ),
        json!([
            ["imported", "https://fonts.example.com/w.js"],
            [1, "https://fonts.example.com", "blob:"],
            [2, "https://fonts.example.com", "blob:"],
            [1, "null", "data:"],
            [2, "null", "data:"]
        ])
    );
}

#[test]
fn a_shared_worker_has_workers_and_ports_of_its_own() {
    let worker = "importScripts('lib.js');
        onconnect = ({ ports: [port] }) => {
            const nested = new Worker('nested.js', { name: lib });
            nested.onmessage = ({ data, ports }) => port.postMessage(data, ports);
        };";
    let nested = "const { port1, port2 } = new MessageChannel(); port1.onmessage = ({ data }) => { port1.postMessage(data + 1); close(); }; postMessage(name, [port2]);";
    let shared = Shared::new(&[
        ("/w.js", worker),
        ("/nested.js", nested),
        ("/lib.js", "var lib = 'library';"),
    ]);
    assert_eq!(
        shared.page(1).run(
            "const worker = new SharedWorker('w.js');
            const { data, ports: [port] } = await new Promise((done) => { worker.port.onmessage = done; });
            const answer = message(port);
            port.postMessage(1);
            // That the nested worker closes does not close the shared one.
            const seen = [data, await answer];
            const again = new SharedWorker('w.js');
            return [...seen, await message(again.port)];"
        ),
        json!(["library", 2, "library"])
    );
}

#[test]
fn a_worker_that_loops_or_eats_memory_dies_alone() {
    let mut shared = Shared::new(&[
        ("/w.js", COUNTER),
        ("/loop.js", "for (;;) ;"),
        (
            "/bomb.js",
            "const all = []; for (;;) all.push(new Array(100000).fill(1));",
        ),
    ]);
    shared.script_time = Some(Duration::from_millis(500));
    let page = shared.page(1);
    assert_eq!(
        page.run(
            "const good = new SharedWorker('w.js'), seen = [await message(good.port)];
            for (const url of ['loop.js', 'bomb.js']) seen.push((await event(new SharedWorker(url), 'error')).type);
            const looping = new SharedWorker('w.js', 'looping');
            await message(looping.port);
            const closed = event(looping.port, 'close');
            looping.port.postMessage('for (;;) ;');
            seen.push((await closed).type);
            const answer = message(good.port);
            good.port.postMessage('port.postMessage(\"alive\")');
            seen.push(await answer);
            // Another one takes the place of the one that died.
            seen.push(await message(new SharedWorker('w.js', 'looping').port));
            return seen;"
        ),
        json!([1, "error", "error", "close", "alive", 1])
    );
}

#[test]
fn a_page_that_is_closed_ends_a_worker_that_loops() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    let environment = Environment::top_level(ClientId(1), Url::parse(PAGE).unwrap());
    let page = shared.page_of(environment);
    page.run(
        "const worker = new SharedWorker('w.js'); await message(worker.port); worker.port.postMessage('for (;;) ;');",
    );
    page.close();
    assert_eq!(
        format!("{:?}", shared.workers),
        "SharedWorkers { running: 0, .. }"
    );
}

#[test]
fn there_are_no_more_workers_than_an_origin_may_have() {
    let shared = Shared::new(&[("/w.js", COUNTER)]);
    assert_eq!(
        shared.page(1).run(
            "const open = [];
            for (let at = 0; at < 64; at += 1) open.push(message(new SharedWorker('w.js', `${at}`).port));
            const counts = await Promise.all(open);
            const refused = await event(new SharedWorker('w.js', 'more'), 'error');
            return [counts.every((count) => count === 1), refused.type, await message(new SharedWorker('w.js', '7').port)];"
        ),
        json!([true, "error", 2])
    );
}
