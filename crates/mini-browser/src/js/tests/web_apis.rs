//! The web APIs that every global has.

use std::sync::Arc;

use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use service_worker::types::{ClientId, Environment};
use url::Url;

use super::stand::{Facade, Lines, PAGE, evaluate, page, page_with, wait};
use crate::fetch::PolicyContainer;
use crate::js::PageOptions;

#[test]
fn interfaces_look_as_web_idl_says() {
    assert_eq!(
        evaluate(
            "[
                Object.keys(Event.prototype).includes('preventDefault'),
                Object.prototype.toString.call(new URL('https://a.test')),
                Object.getOwnPropertyDescriptor(globalThis, 'URL').enumerable,
                Event.AT_TARGET, new Event('x').BUBBLING_PHASE, URL.name,
                Object.getPrototypeOf(window) === Window.prototype, window instanceof EventTarget,
                ...[Window, Navigator, ServiceWorkerContainer, Location].map((Class) => { try { new Class(); } catch (e) { return e.message; } }),
                String(new DOMException('m', 'AbortError')), new DOMException('m', 'AbortError').code, new DOMException() instanceof Error,
            ]"
        ),
        json!([
            true, "[object URL]", false, 2, 3, "URL", true, true,
            "Illegal constructor", "Illegal constructor", "Illegal constructor", "Illegal constructor",
            "AbortError: m", 20, true
        ])
    );
}

#[test]
fn listeners_are_called_in_order_with_their_options() {
    assert_eq!(
        evaluate(
            "const calls = [];
            const target = new EventTarget();
            const log = (name) => (event) => calls.push(name);
            const twice = log('twice');
            target.addEventListener('x', twice);
            target.addEventListener('x', twice);
            target.addEventListener('x', log('capture'), true);
            target.addEventListener('x', log('once'), { once: true });
            target.addEventListener('x', { handleEvent(event) { calls.push(event.type, event.target === target, this !== target); } });
            target.addEventListener('x', (event) => { event.preventDefault(); calls.push(event.defaultPrevented); }, { passive: true });
            const first = target.dispatchEvent(new Event('x', { cancelable: true }));
            target.addEventListener('x', (event) => { event.preventDefault(); event.stopImmediatePropagation(); });
            target.addEventListener('x', log('never'));
            const second = target.dispatchEvent(new CustomEvent('x', { cancelable: true, detail: 1 }));
            [calls, first, second, new Event('x').isTrusted]"
        ),
        json!([
            ["capture", "twice", "once", "x", true, true, false, "capture", "twice", "x", true, true, false],
            true, false, false
        ])
    );
}

#[test]
fn an_event_that_is_dispatched_cannot_be_dispatched() {
    assert_eq!(
        evaluate(
            "const target = new EventTarget(); let name;
            target.addEventListener('x', (event) => { try { target.dispatchEvent(event); } catch (e) { name = e.name; } });
            target.dispatchEvent(new Event('x')); name"
        ),
        "InvalidStateError"
    );
}

#[test]
fn timers_and_microtasks_run_in_order() {
    assert_eq!(
        evaluate(
            "const order = [];
            new Promise((done) => {
                setTimeout(() => { order.push('slow'); done(order); }, 250);
                setTimeout((a, b) => { order.push('a' + a + b); queueMicrotask(() => order.push('micro')); }, 1, 1, 2);
                setTimeout(() => order.push('b'), 1);
                clearTimeout(setTimeout(() => order.push('never'), 1));
                Promise.resolve().then(() => order.push('promise'));
                order.push('sync');
            })"
        ),
        json!(["sync", "promise", "a12", "micro", "b", "slow"])
    );
}

#[test]
fn an_interval_repeats_until_it_is_cleared_also_from_within() {
    assert_eq!(
        evaluate(
            "let ticks = 0;
            new Promise((done) => {
                const id = setInterval(() => {
                    if (++ticks < 8) return;
                    clearInterval(id);
                    setTimeout(() => done([ticks, typeof id]), 10);
                });
            })"
        ),
        json!([8, "number"])
    );
}

#[test]
fn url_parses_resolves_and_sets() {
    assert_eq!(
        evaluate(
            "const url = new URL('../b/./c?x=1#y', 'https://user:pw@EXAMPLE.com:443/a/d/e');
            const before = [url.href, url.origin, url.host, url.pathname, url.search, url.hash, url.username];
            url.searchParams.append('z', 'a b&あ');
            url.port = '8080'; url.hash = ''; url.protocol = 'nonsense:x';
            url.hostname = 'b.test';
            const params = new URLSearchParams({ b: '1', a: '2' });
            params.sort(); params.append('a', '3'); params.delete('b');
            [before, url.href, [...params], String(params), new URLSearchParams('?q=%20+').get('q'), URL.canParse('/x'), URL.canParse('/x', 'https://a.test'), JSON.stringify(url) === JSON.stringify(url.href)]"
        ),
        json!([
            ["https://user:pw@example.com/a/b/c?x=1#y", "https://example.com", "example.com", "/a/b/c", "?x=1", "#y", "user"],
            "https://user:pw@b.test:8080/a/b/c?x=1&z=a+b%26%E3%81%82",
            [["a", "2"], ["a", "3"]], "a=2&a=3", "  ", false, true, true
        ])
    );
}

#[test]
fn a_text_decoder_keeps_what_is_not_complete() {
    assert_eq!(
        evaluate(
            "const bytes = new TextEncoder().encode('\\ufeffaあ𝄞\\ud800');
            const decoder = new TextDecoder();
            let text = '';
            for (const byte of bytes) text += decoder.decode(new Uint8Array([byte]), { stream: true });
            text += decoder.decode();
            const broken = new TextDecoder();
            const first = broken.decode(new Uint8Array([0xe3, 0x81]), { stream: true });
            const rest = broken.decode();
            const fatal = new TextDecoder('UTF-8', { fatal: true });
            let name, label;
            try { fatal.decode(new Uint8Array([0xff])); } catch (e) { name = e.constructor.name; }
            try { new TextDecoder('no such encoding'); } catch (e) { label = e.constructor.name; }
            const bom = new TextDecoder('utf8', { ignoreBOM: true }).decode(bytes.buffer).charCodeAt(0);
            const into = new TextEncoder().encodeInto('aあ', new Uint8Array(3));
            [text, first, rest, name, label, bom, into, new TextDecoder().decode(new Uint8Array([0xf0, 0x80, 0x41]))]"
        ),
        json!([
            "aあ𝄞\u{fffd}", "", "\u{fffd}", "TypeError", "RangeError", 0xfeff, { "read": 1, "written": 1 }, "\u{fffd}\u{fffd}A"
        ])
    );
}

#[test]
fn base64_goes_both_ways_and_refuses_what_is_none() {
    assert_eq!(
        evaluate(
            "const names = [];
            for (const bad of [() => btoa('あ'), () => atob('a'), () => atob('a=b='), () => atob('ab=')]) {
                try { bad(); } catch (e) { names.push(e.name); }
            }
            [btoa('a'), btoa('ab'), btoa('abc\\xff'), atob(' YQ = = '), atob('YWI'), names]"
        ),
        json!(["YQ==", "YWI=", "YWJj/w==", "a", "ab", vec!["InvalidCharacterError"; 4]])
    );
}

#[test]
fn the_console_shows_values() {
    let (page, lines, ..) = page();
    wait(page.run_script(
        "console.log('%s is %d', 'x', 4.5, { a: [1, 'two', new Map([[1, new Set([2])]])], f() {}, get g() { throw 1; } });
        console.warn(null, undefined, -0, 10n, Symbol('s'), /x/g, [], {});
        const loop = { name: 'loop' }; loop.self = loop; console.info(loop);
        console.assert(1 === 2, 'no'); console.assert(true);
        console.group('in'); console.debug(new Uint8Array([1, 2])); console.groupEnd();
        console.table([{ a: 1, b: 'x' }, { a: 22 }]);
        console.error(Object.assign(new Error('boom'), { stack: '' }));
        class Font { weight = 400 } console.log(new Font(), Font, Object.create(null));",
        "https://fonts.example.com/test.js",
    ))
    .unwrap();
    assert_eq!(
        lines.all(),
        [
            "info: x is 4 { a: [1, \"two\", Map(1) { 1 => Set(1) { 2 } }], f: [function f], g: [Getter] }",
            "warn: null undefined -0 10n Symbol(s) /x/g [] {}",
            "info: { name: \"loop\", self: [Circular] }",
            "error: Assertion failed: no",
            "info: in",
            "debug:   Uint8Array(2) [1, 2]",
            "info: (index) │ a  │ b\n0       │ 1  │ \"x\"\n1       │ 22 │",
            "error: Error: boom",
            "info: Font { weight: 400 } [class Font] [null prototype] {}",
        ]
    );
}

#[test]
fn randomness_and_time_are_there() {
    assert_eq!(
        evaluate(
            "const ids = [crypto.randomUUID(), crypto.randomUUID()];
            const numbers = crypto.getRandomValues(new Uint16Array(64));
            let name; try { crypto.getRandomValues(new Float32Array(1)); } catch (e) { name = e.name; }
            let quota; try { crypto.getRandomValues(new Uint8Array(65537)); } catch (e) { quota = e.name; }
            const now = performance.now();
            [ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)), ids[0] !== ids[1],
                numbers.some((n) => n !== 0), name, quota, performance.now() >= now, isSecureContext, origin]"
        ),
        json!([true, true, true, "TypeMismatchError", "QuotaExceededError", true, true, "https://fonts.example.com"])
    );
}

#[test]
fn nothing_of_the_prelude_can_be_imported() {
    assert_eq!(
        evaluate(
            "Promise.allSettled([import('ops'), import('prelude:url.js'), import('./url.js'), new Function('return import(\"ops\")')()])
                .then((results) => results.map((result) => result.reason.constructor.name))"
        ),
        json!(["TypeError", "TypeError", "TypeError", "TypeError"])
    );
}

#[test]
fn microtasks_do_not_run_in_the_middle_of_a_script() {
    assert_eq!(
        evaluate(
            "const order = [];
            addEventListener('error', (event) => { event.preventDefault(); order.push('error'); });
            Promise.resolve().then(() => order.push('microtask'));
            reportError(new Error('x'));
            order.push('script');
            new Promise((done) => setTimeout(() => done(order)))"
        ),
        json!(["error", "script", "microtask"])
    );
}

#[test]
fn a_policy_without_unsafe_eval_forbids_code_from_strings() {
    let seen = |policy: &'static str| {
        let url = Url::parse(PAGE).unwrap();
        let policy = HeaderValue::from_static(policy);
        let headers = HeaderMap::from_iter([(CONTENT_SECURITY_POLICY, policy)]);
        let environment = Environment::top_level(ClientId(9), url.clone());
        let mut options = PageOptions::new(
            environment,
            Arc::new(Lines::default()),
            Arc::new(Facade::default()),
        );
        options.policies = PolicyContainer::from_headers(&url, &headers);
        let (page, _ended) = page_with(options);
        wait(page.run_script(
            "(async () => {
                const seen = [], attempt = (name, run) => { try { seen.push([name, run()]); } catch (error) { seen.push([name, error.constructor.name]); } };
                attempt('direct', () => eval('1 + 1'));
                attempt('indirect', () => (0, eval)('1 + 1'));
                attempt('no string', () => eval(7));
                attempt('new', () => new Function('return 2')());
                attempt('call', () => (() => {}).constructor('return 2')());
                attempt('generator', () => typeof (function* () {}).constructor('yield 2'));
                attempt('async', () => typeof (async () => {}).constructor('2'));
                attempt('shape', () => [Function.name, Function.length, (() => {}) instanceof Function, Function.prototype.constructor === Function]);
                setTimeout('self.late = 2');
                await new Promise((resolve) => setTimeout(resolve));
                return [...seen, self.late ?? null];
            })()",
            PAGE,
        ))
        .unwrap()
    };
    let shape = json!(["shape", ["Function", 1, true, true]]);
    let forbidden = json!([
        ["direct", "EvalError"],
        ["indirect", "EvalError"],
        ["no string", 7],
        ["new", "EvalError"],
        ["call", "EvalError"],
        ["generator", "EvalError"],
        ["async", "EvalError"],
        shape,
        null
    ]);
    assert_eq!(seen("script-src 'self'"), forbidden);
    assert_eq!(seen("default-src 'self'"), forbidden);
    let allowed = json!([
        ["direct", 2],
        ["indirect", 2],
        ["no string", 7],
        ["new", 2],
        ["call", 2],
        ["generator", "function"],
        ["async", "function"],
        shape,
        2
    ]);
    assert_eq!(seen("script-src 'self' 'unsafe-eval'"), allowed);
    assert_eq!(seen("img-src 'none'"), allowed);
}
