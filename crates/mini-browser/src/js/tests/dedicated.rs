//! Dedicated workers, their imports, and module scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{ClientId, Environment};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::fetch::{FetchService, Hop, HopError, HopFuture, Hopped, Source};
use crate::js::{Broadcasts, Page, PageOptions};

/// A network of a few scripts, by path and, for other origins, by URL; their type is JavaScript
/// unless the path says otherwise.
pub(super) struct Scripts(BTreeMap<String, String>);

impl Scripts {
    pub(super) fn of(scripts: &[(&str, &str)]) -> Self {
        let scripts = scripts.iter();
        let scripts = scripts.map(|(path, source)| ((*path).to_owned(), (*source).to_owned()));
        Self(scripts.collect())
    }
}

impl Hop for Scripts {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        let url = request.head.url().clone();
        let answer = match self.0.get(url.path()).or_else(|| self.0.get(url.as_str())) {
            Some(body) => {
                let mut head = ResponseHead::new(StatusCode::OK, http::HeaderMap::new());
                head.url_list = request.head.url_list.clone();
                let kind = match url.path().rsplit_once('.') {
                    Some((_, "json")) => "application/json",
                    Some((_, "html")) => "text/html",
                    _ => "text/javascript",
                };
                head.headers
                    .insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
                head.headers.insert(
                    http::header::ACCESS_CONTROL_ALLOW_ORIGIN,
                    HeaderValue::from_static("*"),
                );
                if body.is_empty() {
                    head.status = StatusCode::NOT_FOUND;
                }
                let body = Body::from(body.clone());
                Ok(Hopped {
                    response: Response { head, body },
                    source: Source::Network,
                    timing: ServiceWorkerTiming::default(),
                    protocol: "",
                })
            }
            None => Err(HopError::new("nothing there")),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn page_of(scripts: &[(&str, &str)]) -> (Page, Lines) {
    let service = Arc::new(FetchService::new(Arc::new(Scripts::of(scripts))));
    let broadcasts = Arc::new(Broadcasts::default());
    let lines = Lines::default();
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(lines.clone()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm
            .with_service(Arc::clone(&service))
            .with_service(Arc::clone(&broadcasts))
    }));
    (page_with(options).0, lines)
}

/// What a promise in a page of these scripts gives.
fn run(scripts: &[(&str, &str)], body: &str) -> Value {
    let (page, lines) = page_of(scripts);
    let source = format!(
        "const message = (target) => new Promise((done) => target.addEventListener('message', ({{ data }}) => done(data), {{ once: true }}));
        const event = (target, type) => new Promise((done) => target.addEventListener(type, done, {{ once: true }}));
        (async () => {{ {body} }})()"
    );
    let done = wait(page.run_script(source, "https://fonts.example.com/test.js"));
    done.unwrap_or_else(|error| panic!("{error}\n{:?}", lines.all()))
}

#[test]
fn a_worker_and_its_page_talk_in_order_and_move_ports() {
    let worker = "const early = [];
        onmessage = ({ data, ports }) => {
            if (ports.length > 0) ports[0].postMessage('through the port');
            else { early.push(data); postMessage(early.length === 3 ? [early, name, location.pathname, self instanceof DedicatedWorkerGlobalScope, typeof window, String(self), globalThis === self] : data); }
        };";
    assert_eq!(
        run(
            &[("/w.js", worker)],
            "const worker = new Worker('w.js', { name: 'named' });
            const seen = [];
            worker.onmessage = ({ data }) => seen.push(data);
            worker.postMessage(1);
            worker.postMessage({ two: [2] });
            worker.postMessage(new Map([[3, 3]]));
            while (seen.length < 3) await message(worker);
            const { port1, port2 } = new MessageChannel();
            worker.postMessage(null, [port2]);
            port1.start();
            seen.push(await message(port1));
            return [seen[1], seen[2][0].length, ...seen[2].slice(1), seen[3], String(worker), Worker.length];"
        ),
        json!([
            { "two": [2] },
            3,
            "named",
            "/w.js",
            true,
            "undefined",
            "[object DedicatedWorkerGlobalScope]",
            true,
            "through the port",
            "[object Worker]",
            1
        ])
    );
}

#[test]
fn what_a_worker_throws_is_an_event_at_its_object_and_then_at_the_page() {
    assert_eq!(
        run(
            &[("/w.js", "\n  throw new RangeError('far');"), ("/handled.js", "onerror = () => true; setTimeout(() => postMessage('end')); null.x;")],
            "const worker = new Worker('w.js');
            const at = await event(worker, 'error');
            at.preventDefault();
            const other = new Worker('w.js');
            const above = await event(window, 'error');
            above.preventDefault();
            const missing = await event(new Worker('missing.js'), 'error');
            const wrong = await event(new Worker('https://other.example/x.js'), 'error');
            const handled = new Worker('handled.js');
            handled.onerror = () => { throw 'never'; };
            const names = [];
            for (const bad of [() => new Worker(), () => new Worker('http://['), () => new Worker('w.js', { type: 'other' }), () => Worker('w.js')]) {
                try { bad(); } catch (error) { names.push(error.name); }
            }
            return [at.message, at.filename, at.lineno, at.colno, at.error, at instanceof ErrorEvent, above.message, above.target === window,
                missing instanceof ErrorEvent, wrong.type, await message(handled), ...names];"
        ),
        json!([
            "Uncaught RangeError: far",
            "https://fonts.example.com/w.js",
            2,
            13,
            null,
            true,
            "Uncaught RangeError: far",
            true,
            false,
            "error",
            "end",
            "TypeError",
            "SyntaxError",
            "TypeError",
            "TypeError"
        ])
    );
}

#[test]
fn the_attributes_of_a_worker_are_those_of_its_interfaces() {
    assert_eq!(
        run(
            &[(
                "/w.js",
                "self = 1; caches = 2; performance = 3;
                const { get } = Object.getOwnPropertyDescriptor(WorkerGlobalScope.prototype, 'crypto');
                let error; try { get.call({}); } catch (thrown) { error = thrown.name; }
                postMessage([self === globalThis, typeof caches, performance, Object.hasOwn(self, 'crypto'), get.call(undefined) === crypto, error]);"
            )],
            "return await message(new Worker('w.js'));"
        ),
        json!([true, "object", 3, false, true, "TypeError"])
    );
}

#[test]
fn the_operations_of_a_worker_are_those_of_its_interfaces_and_may_be_replaced() {
    assert_eq!(
        run(
            &[(
                "/w.js",
                "const { prototype } = WorkerGlobalScope;
                const inherited = ['fetch', 'setTimeout', 'structuredClone', 'queueMicrotask'].every((name) => !Object.hasOwn(self, name) && Object.hasOwn(prototype, name));
                const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(prototype, 'atob');
                const { value: described } = Reflect.getOwnPropertyDescriptor(prototype, 'btoa');
                btoa = () => 'ours';
                fetch = 7;
                const replaced = [btoa('a'), self.btoa === described, prototype.btoa === described, Object.hasOwn(self, 'fetch'), fetch, typeof prototype.fetch];
                postMessage([inherited, value === atob, writable, enumerable, configurable, replaced, atob('YQ==')]);"
            )],
            "return await message(new Worker('w.js'));"
        ),
        json!([
            true,
            true,
            true,
            true,
            true,
            ["ours", false, true, true, 7, "function"],
            "a"
        ])
    );
}

#[test]
fn a_broadcast_channel_of_a_worker_that_closes_or_of_a_detached_frame_sends_nothing() {
    assert_eq!(
        run(
            &[(
                "/w.js",
                "const channel = new BroadcastChannel('a'); channel.postMessage('open'); close(); channel.postMessage('closing');"
            )],
            "const heard = [], channel = new BroadcastChannel('a');
            channel.onmessage = ({ data }) => heard.push(data);
            const frame = document.body.appendChild(document.createElement('iframe'));
            const { BroadcastChannel: Other } = frame.contentWindow, other = new Other('a');
            other.postMessage('attached');
            frame.remove();
            other.postMessage('detached'); new Other('a').postMessage('detached too');
            new Worker('w.js');
            while (!heard.includes('open')) await message(channel);
            new BroadcastChannel('a').postMessage('last');
            while (!heard.includes('last')) await message(channel);
            return heard;"
        ),
        json!(["attached", "open", "last"])
    );
}

#[test]
fn a_worker_whose_script_does_not_parse_fails_and_one_that_throws_a_syntax_error_runs() {
    assert_eq!(
        run(
            &[
                ("/parse.js", "postMessage('never'); 1 +"),
                ("/import.js", "import './x.js';"),
                (
                    "/throw.js",
                    "setTimeout(() => postMessage('runs')); eval('1 +');"
                )
            ],
            "const seen = [];
            for (const script of ['parse.js', 'import.js', 'throw.js']) {
                const worker = new Worker(script), heard = message(worker);
                const failed = await event(worker, 'error');
                failed.preventDefault();
                seen.push(failed.constructor === Event);
                if (script === 'throw.js') seen.push(await heard);
            }
            return seen;"
        ),
        json!([true, true, false, "runs"])
    );
}

#[test]
fn workers_end_by_terminate_by_close_and_with_their_page() {
    assert_eq!(
        run(
            &[
                ("/loop.js", "postMessage('in'); for (;;) {}"),
                (
                    "/close.js",
                    "postMessage('first'); close(); setTimeout(() => postMessage('never')); postMessage('still'); onmessage = () => postMessage('never');"
                ),
                (
                    "/nested.js",
                    "const inner = new Worker('loop.js'); inner.onmessage = ({ data }) => postMessage(['inner', data]);"
                ),
            ],
            "const seen = [];
            const loop = new Worker('loop.js');
            seen.push(await message(loop));
            loop.onmessage = () => seen.push('never');
            loop.terminate();
            loop.terminate();
            loop.postMessage(1);
            const closing = new Worker('close.js');
            closing.onmessage = ({ data }) => seen.push(data);
            closing.postMessage(1);
            while (!seen.includes('still')) await message(closing);
            seen.push(await message(new Worker('nested.js')));
            new Worker('loop.js').terminate();
            return seen;"
        ),
        json!(["in", "first", "still", ["inner", "in"]])
    );
}

#[test]
fn import_scripts_runs_scripts_in_order_and_says_why_not() {
    let worker = "const seen = [];
        const tried = (...urls) => { try { importScripts(...urls); } catch (error) { seen.push(error.name); } };
        importScripts('lib/a.js', '/lib/b.js');
        seen.push(a, b);
        importScripts();
        importScripts('data:text/javascript,var%20c=3');
        seen.push(c);
        tried('/missing.js'); tried('/page.html'); tried('http://['); tried('/throws.js'); tried('https://other.example/throws.js'); tried('/empty.js'); tried('data:text/plain,1');
        importScripts('https://other.example/d.js');
        seen.push(d);
        postMessage(seen);";
    assert_eq!(
        run(
            &[
                ("/w.js", worker),
                ("/lib/a.js", "var a = 1;"),
                ("/lib/b.js", "var b = a + 1;"),
                ("/page.html", "var e = 1;"),
                ("/throws.js", "throw new EvalError('x');"),
                ("/empty.js", ""),
                ("https://other.example/d.js", "var d = 4;"),
            ],
            "return message(new Worker('w.js'));"
        ),
        json!([
            1,
            2,
            3,
            "NetworkError",
            "NetworkError",
            "SyntaxError",
            "EvalError",
            "NetworkError",
            "NetworkError",
            "NetworkError",
            4
        ])
    );
}

#[test]
fn a_module_worker_imports_statically_and_dynamically() {
    let main = "import { a, meta } from './lib/a.js';
        import json from '/data.json' with { type: 'json' };
        import * as again from './lib/a.js';
        const seen = [a, meta, json, again.a === a, import.meta.url, import.meta.resolve('./x/y'), this === undefined];
        const { b } = await import('./lib/b.js');
        seen.push(b);
        for (const bad of ['bare', './missing.js', './page.html', 'prelude:events.js', 'ops', './bad.js']) {
            try { await import(bad); seen.push(bad); } catch (error) { seen.push(error.name); }
        }
        try { importScripts(); } catch (error) { seen.push(error.name); }
        postMessage(seen);";
    assert_eq!(
        run(
            &[
                ("/w.js", main),
                (
                    "/lib/a.js",
                    "export { a } from './deep/c.js'; export const meta = import.meta.url;"
                ),
                ("/lib/deep/c.js", "export const a = {};"),
                ("/lib/b.js", "export const b = 2;"),
                ("/data.json", "{ \"x\": [1, \"</script>\\u2028\"] }"),
                ("/page.html", "export {};"),
                ("/bad.js", "export {"),
            ],
            "return message(new Worker('w.js', { type: 'module' }));"
        ),
        json!([
            {},
            "https://fonts.example.com/lib/a.js",
            { "x": [1, "</script>\u{2028}"] },
            true,
            "https://fonts.example.com/w.js",
            "https://fonts.example.com/x/y",
            true,
            2,
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "SyntaxError",
            "TypeError"
        ])
    );
}

#[test]
fn a_module_worker_that_cannot_start_or_throws_says_so() {
    assert_eq!(
        run(
            &[
                ("/missing_import.js", "import './nothing.js'; postMessage('never');"),
                ("/throws.js", "await null;\nthrow new RangeError('late');"),
            ],
            "const seen = [];
            const failed = await event(new Worker('missing_import.js', { type: 'module' }), 'error');
            seen.push(failed instanceof ErrorEvent);
            const thrown = await event(new Worker('throws.js', { type: 'module' }), 'error');
            thrown.preventDefault();
            return [...seen, thrown.message, thrown.lineno];"
        ),
        json!([false, "Uncaught RangeError: late", 2])
    );
}

#[test]
fn a_data_worker_has_an_origin_of_its_own() {
    assert_eq!(
        run(
            &[("/lib.js", "var lib = 1;")],
            "return message(new Worker(`data:text/javascript,
                const seen = [origin, location.protocol];
                try { importScripts('https://fonts.example.com/lib.js'); seen.push(lib); } catch (error) { seen.push(error.name); }
                postMessage(seen);`));"
        ),
        json!(["null", "data:", 1])
    );
}

#[test]
fn a_page_imports_modules_too() {
    assert_eq!(
        run(
            &[("/m.js", "export default import.meta.url;")],
            "return [(await import('./m.js')).default, (await import('/m.js')).default, await import('./n.js').catch((error) => error.name)];"
        ),
        json!([
            "https://fonts.example.com/m.js",
            "https://fonts.example.com/m.js",
            "TypeError"
        ])
    );
}

#[test]
fn a_page_says_where_its_modules_are_and_what_they_must_be() {
    assert_eq!(
        run(
            &[
                ("/lib/m.js", "export default import.meta.url;"),
                ("/lib/other.js", "export default 1;")
            ],
            "const root = document.documentElement ?? document.appendChild(document.createElement('html'));
            const errors = [];
            addEventListener('error', ({ error }) => errors.push(error.name));
            for (const text of ['{', JSON.stringify({
                imports: { m: '/lib/m.js', 'lib/': '/lib/' },
                integrity: { '/lib/other.js': 'sha256-AAAA' },
            })]) root.append(Object.assign(document.createElement('script'), { type: 'importmap', text }));
            return [(await import('m')).default, (await import('lib/m.js')).default, await import('lib/other.js').catch((error) => error.name),
                await import('n').catch((error) => error.name), errors];"
        ),
        json!([
            "https://fonts.example.com/lib/m.js",
            "https://fonts.example.com/lib/m.js",
            "TypeError",
            "TypeError",
            ["SyntaxError"]
        ])
    );
}

#[test]
fn a_page_with_too_many_workers_gets_an_error_and_all_end_with_it() {
    assert_eq!(
        run(
            &[("/idle.js", "postMessage(0); setInterval(() => {}, 5);")],
            "let started = 0;
            const workers = [];
            try { for (;;) { workers.push(new Worker('idle.js')); started++; } } catch (error) { return [started, error.name]; }"
        ),
        json!([64, "QuotaExceededError"])
    );
}

#[test]
fn a_worker_that_is_stopped_while_it_waits_for_a_script_ends() {
    // The script that it imports never comes.
    struct Never;
    impl Hop for Never {
        fn hop(&self, _: FetchRequest) -> HopFuture {
            Box::pin(std::future::pending())
        }
    }
    let service = Arc::new(FetchService::new(Arc::new(Never)));
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm.with_service(Arc::clone(&service))
    }));
    let (page, ended) = page_with(options);
    let importing = page.run_script("import('./never.js')", "https://fonts.example.com/test.js");
    let other = page.clone();
    let closer = std::thread::spawn(move || other.close());
    assert!(wait(importing).is_err());
    closer.join().unwrap();
    assert_eq!(ended.recv().unwrap().to_string(), "closed");
}

#[test]
fn a_module_whose_import_is_missing_fails_each_time_and_harms_nothing() {
    assert_eq!(
        run(
            &[
                ("/a.js", "import './b.js'; export const a = 1;"),
                ("/b.js", "import { c } from './missing.js'; export const b = c;"),
                ("/d.js", "import { nothing } from './e.js'; export const d = nothing;"),
                ("/e.js", "export const e = 1;"),
                ("/cycle.js", "import './cycle2.js'; import './missing.js';"),
                ("/cycle2.js", "import './cycle.js';"),
                ("/whole.js", "export const whole = 1;"),
            ],
            "const seen = [];
            for (const url of ['./a.js', './a.js', './b.js', './a.js', './d.js', './d.js', './e.js', './cycle.js', './cycle2.js', './cycle.js', './whole.js']) {
                try { seen.push(Object.keys(await import(url))[0]); } catch (error) { seen.push(error.name); }
            }
            return seen;"
        ),
        // A name that is imported from a module that is not there counts as one that it does not export.
        json!([
            "SyntaxError",
            "SyntaxError",
            "SyntaxError",
            "SyntaxError",
            "SyntaxError",
            "SyntaxError",
            "e",
            "TypeError",
            "TypeError",
            "TypeError",
            "whole"
        ])
    );
}
