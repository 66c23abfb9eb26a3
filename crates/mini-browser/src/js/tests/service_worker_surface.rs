//! What a service worker's own globals, clients and registration offer, and what windows show of
//! themselves to it.

use serde_json::json;
use service_worker::EventOutcome;
use service_worker::types::WorkerType;

use super::stand::Stand;
use super::windows::{browser, run};

/// A worker whose install event runs `body`, and what comes of it.
fn install(body: &str) -> (EventOutcome, Stand) {
    let script = format!(
        "const check = (what, it) => {{ if (!it) throw new Error(what); }};
        const refuses = async (name, f) => {{
            try {{ await f(); }} catch (error) {{ return check(`${{error.name}} is not ${{name}}`, error.name === name); }}
            throw new Error(`${{f}} was not refused`);
        }};
        oninstall = (event) => event.waitUntil((async () => {{ {body} }})());"
    );
    let mut stand = Stand::started(&script);
    (stand.install(), stand)
}

fn assert_installs(body: &str) -> Stand {
    let (outcome, stand) = install(body);
    assert_eq!(outcome, EventOutcome::Fulfilled, "{body}");
    stand
}

#[test]
fn the_members_of_a_workers_global_are_its_own() {
    assert_installs(
        "for (const name of ['registration', 'serviceWorker', 'clients', 'skipWaiting', 'oninstall', 'onmessage']) {
            check(name, Object.hasOwn(self, name) && !(name in ServiceWorkerGlobalScope.prototype));
        }
        const { get } = Object.getOwnPropertyDescriptor(self, 'clients');
        check('undefined is the global', get.call(undefined) === clients && get.name === 'get clients');
        await refuses('TypeError', () => get.call({}));
        const rejected = skipWaiting.call({});
        check('a promise', rejected instanceof Promise);
        await refuses('TypeError', () => rejected);
        check('length', ServiceWorkerGlobalScope.length === 0);",
    );
}

#[test]
fn a_workers_global_is_described_as_an_ordinary_one_with_a_prototype_that_stays() {
    assert_installs(
        "const ordinary = ({ value, writable, enumerable, configurable }, name) =>
            check(name, typeof value === 'function' && writable && !enumerable && configurable);
        ordinary(Object.getOwnPropertyDescriptor(self, 'Client'), 'Client');
        ordinary(Reflect.getOwnPropertyDescriptor(self, 'FetchEvent'), 'FetchEvent');
        ordinary(Object.getOwnPropertyDescriptors(self).CacheStorage, 'CacheStorage');
        check('the same', Object.getOwnPropertyDescriptor(self, 'Client').value === Client);
        check('missing', Object.getOwnPropertyDescriptor(self, 'nothing') === undefined);
        check('others', Object.getOwnPropertyDescriptor({ a: 1 }, 'a').value === 1);
        self.mine = 1;
        check('own', Object.getOwnPropertyDescriptor(self, { toString: () => 'mine' }).value === 1);
        await refuses('TypeError', () => Object.getOwnPropertyDescriptor(null, 'a'));
        for (let next = self; next !== Object.prototype; next = Object.getPrototypeOf(next)) {
            const is = Object.getPrototypeOf(next);
            await refuses('TypeError', () => Object.setPrototypeOf(next, {}));
            await refuses('TypeError', () => Object.setPrototypeOf(next, null));
            await refuses('TypeError', () => { next.__proto__ = {}; });
            check('refused', Reflect.setPrototypeOf(next, {}) === false);
            check('the same may be set', Object.setPrototypeOf(next, is) === next && Reflect.setPrototypeOf(next, is));
            next.__proto__ = is;
            next.__proto__ = 1;
            check('kept', Object.getPrototypeOf(next) === is);
        }
        const free = {};
        Object.setPrototypeOf(free, null);
        check('free', Object.getPrototypeOf(free) === null);
        await refuses('TypeError', () => Object.setPrototypeOf(self, 1));
        for (const [holder, name, length] of [[Object, 'getOwnPropertyDescriptor', 2], [Object, 'setPrototypeOf', 2], [Reflect, 'setPrototypeOf', 2]]) {
            check(name, holder[name].name === name && holder[name].length === length && !('prototype' in holder[name]));
        }
        check('accessor', Object.getOwnPropertyDescriptor(Object.prototype, '__proto__').set.name === 'set __proto__');",
    );
}

#[test]
fn promises_of_a_fetch_event_reject_for_what_is_none() {
    assert_installs(
        "for (const name of ['handled', 'preloadResponse']) {
            const { get } = Object.getOwnPropertyDescriptor(FetchEvent.prototype, name);
            const rejected = get.call({});
            check(name, rejected instanceof Promise);
            await refuses('TypeError', () => rejected);
        }",
    );
}

#[test]
fn a_worker_without_a_users_consent_opens_focuses_and_navigates_nothing_it_may_not() {
    assert_installs(
        "const [client] = await clients.matchAll();
        check('kind', client instanceof WindowClient && client.focused === false && client.visibilityState === 'visible');
        check('origins', Object.isFrozen(client.ancestorOrigins) && client.ancestorOrigins === client.ancestorOrigins);
        await refuses('InvalidAccessError', () => client.focus());
        for (const url of ['about:blank', 'http://[bad', 'file:///', 'data:text/html,x']) await refuses('TypeError', () => client.navigate(url));
        await refuses('TypeError', () => client.navigate());
        // The stand knows the client, and has no window for it.
        await refuses('TypeError', () => client.navigate('/next'));
        await refuses('InvalidAccessError', () => clients.openWindow('/next'));
        await refuses('TypeError', () => clients.openWindow('about:blank'));
        await refuses('TypeError', () => clients.openWindow('http://[bad'));
        await refuses('TypeError', () => clients.openWindow());",
    );
}

#[test]
fn navigation_preload_is_asked_of_the_registration() {
    let stand = assert_installs(
        "const { navigationPreload } = registration;
        check('one object', navigationPreload instanceof NavigationPreloadManager && navigationPreload === registration.navigationPreload);
        const { enabled, headerValue } = await navigationPreload.getState();
        check('state', enabled === false && headerValue === 'true');
        check('nothing', await navigationPreload.enable() === undefined && await navigationPreload.disable() === undefined);
        await navigationPreload.setHeaderValue('a\\u00ff');
        await refuses('TypeError', () => navigationPreload.setHeaderValue());
        await refuses('TypeError', () => navigationPreload.setHeaderValue('\\u0100'));
        await refuses('TypeError', () => NavigationPreloadManager.prototype.enable.call({}));
        await refuses('TypeError', () => new NavigationPreloadManager());",
    );
    let asked = stand.facade.asked.lock().unwrap().clone();
    let asked: Vec<_> = asked.iter().filter(|it| it.contains("preload")).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0].ends_with(": true") && asked[1].ends_with(": false"));
    assert!(asked[2].ends_with("[97, 255]"));
}

#[test]
fn a_worker_imports_no_module_while_it_runs() {
    assert_installs(
        "await refuses('TypeError', () => import('./other.js'));
        await refuses('TypeError', () => import('data:text/javascript,export default 1'));
        await refuses('TypeError', () => import('bare'));",
    );
}

#[test]
fn a_module_worker_that_awaits_at_its_top_level_does_not_start() {
    for script in ["await 0;", "await new Promise(() => {});"] {
        let stand = Stand::start_as(script, WorkerType::Module, |_| ());
        let why = stand.start_failure();
        assert!(why.contains("top-level await"), "{why}");
    }
}

#[test]
fn an_event_is_over_one_microtask_after_its_last_promise() {
    let mut stand = Stand::started(
        "const extend = (event) => { try { event.waitUntil(0); return 'extended'; } catch (error) { return error.name; } };
        oninstall = (event) => {
            const microtasks = Number(self.microtasks ?? 0);
            self.microtasks = microtasks + 1;
            const promise = new Promise((resolve) => setTimeout(resolve));
            event.waitUntil(promise);
            let turn = promise;
            for (let i = 0; i < microtasks; i++) turn = turn.then(() => {});
            turn.then(() => console.log(extend(event)));
        };",
    );
    for _ in 0..3 {
        assert_eq!(stand.install(), EventOutcome::Fulfilled);
    }
    let lines = stand.lines.all();
    assert!(lines[0].contains("extended"), "{lines:?}");
    assert!(lines[1].contains("InvalidStateError"), "{lines:?}");
}

#[test]
fn the_focus_goes_to_a_frame_and_is_its_parents_too() {
    let (page, ..) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "const frame = document.body.appendChild(document.createElement('iframe')), log = [];
            const { contentWindow: child } = frame;
            for (const type of ['focus', 'blur']) {
                addEventListener(type, () => log.push(`parent ${type}`));
                child.addEventListener(type, () => log.push(`child ${type}`));
            }
            const has = () => [document.hasFocus(), child.document.hasFocus()];
            const seen = [has()];
            child.focus(); seen.push(has());
            child.focus();
            window.focus(); seen.push(has());
            frame.focus(); seen.push(has());
            frame.remove(); seen.push(document.hasFocus());
            [seen, log]"
        ),
        json!([
            [
                [true, false],
                [true, true],
                [true, false],
                [true, true],
                true
            ],
            ["child focus", "child blur", "child focus"]
        ])
    );
}

#[test]
fn a_window_that_is_gone_has_no_controller_and_posts_no_message() {
    let (page, ..) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "const frame = document.body.appendChild(document.createElement('iframe'));
            const { serviceWorker } = frame.contentWindow.navigator, { DOMException } = frame.contentWindow;
            serviceWorker.register('/sw.js').then(({ installing }) => {
                installing.postMessage('still there');
                frame.remove();
                try {
                    installing.postMessage('gone');
                    return 'no error';
                } catch (error) {
                    const names = [error.name, error instanceof DOMException, serviceWorker.controller];
                    return serviceWorker.register('/sw.js').catch((error) => [...names, error.name]);
                }
            })"
        ),
        json!(["InvalidStateError", true, null, "InvalidStateError"])
    );
}

#[test]
fn a_window_that_closes_registers_nothing() {
    let (page, ..) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "const other = open('about:blank'), { serviceWorker } = other.navigator;
            other.close();
            serviceWorker.register('/sw.js').then(() => 'registered', (error) => error.name)"
        ),
        json!("InvalidStateError")
    );
}

#[test]
fn a_container_of_another_window_registers_relative_to_that() {
    let (page, ..) = browser(&[]);
    assert_eq!(
        run(
            &page,
            "const frame = document.body.appendChild(document.createElement('iframe'));
            const theirs = frame.contentWindow.navigator.serviceWorker, { register } = ServiceWorkerContainer.prototype;
            const settled = (promise) => promise.then((value) => value.constructor === frame.contentWindow.ServiceWorkerRegistration, (error) => error.name);
            Promise.all([settled(register.call(theirs, '/sw.js')), settled(register.call({}, '/sw.js')), settled(register.call(theirs, '/bad.js')), settled(register.call(theirs))])"
        ),
        json!([true, "TypeError", "SecurityError", "TypeError"])
    );
}

#[test]
fn routes_are_converted_as_web_idl_says_and_given_to_the_host() {
    let stand = assert_installs(
        "check('length', event.addRoutes.length === 1);
        const source = 'network';
        const first = event.addRoutes({ condition: { urlPattern: '/a', requestMethod: 'get', runningStatus: 'running' }, source });
        check('a promise of nothing', first instanceof Promise && await first === undefined);
        const pattern = new URLPattern({ pathname: '/b' }, { ignoreCase: true });
        await event.addRoutes([
            { condition: { or: new Set([{ not: { urlPattern: pattern } }, { urlPattern: { hash: 'c' } }]) }, source: { cacheName: 'leaves' } },
            { condition: { requestMode: 'cors', requestDestination: '' }, source: 'race-network-and-fetch-handler' },
        ]);
        await event.addRoutes([]);
        const seen = [];
        const spy = (object) => new Proxy(object, { get(target, name) { if (typeof name === 'string') seen.push(name); return target[name]; } });
        await event.addRoutes(spy({ source, condition: spy({ requestMode: 'cors' }) }));
        check(seen.join(), seen.join() === 'condition,not,or,requestDestination,requestMethod,requestMode,runningStatus,urlPattern,source');",
    );
    let asked = stand.facade.asked.lock().unwrap().clone();
    let routes: Vec<_> = asked.iter().filter(|it| it.contains("routes")).collect();
    assert_eq!(routes.len(), 4, "{asked:?}");
    for part in [
        "String(\"/a\")",
        "Some([103, 101, 116])",
        "Running",
        "Network",
    ] {
        assert!(routes[0].contains(part), "{part} {}", routes[0]);
    }
    for part in [
        "Pattern(UrlPatternArguments",
        "ignore_case: true",
        "hash: Some(\"c\")",
        "NamedCache(\"leaves\")",
        "Some(Cors)",
        "RaceNetworkAndFetchHandler",
    ] {
        assert!(routes[1].contains(part), "{part} {}", routes[1]);
    }
    assert!(routes[2].ends_with("routes []"), "{}", routes[2]);
}

#[test]
fn what_are_no_routes_is_refused_and_the_installation_goes_on() {
    let stand = assert_installs(
        "const condition = { requestMethod: 'GET' };
        const source = 'network';
        const cyclic = {};
        cyclic.not = cyclic;
        for (const bad of [
            undefined, null, 1, 'x', {}, { condition }, { source }, [{ condition, source }, 1],
            { condition: 1, source }, { condition, source: 'elsewhere' }, { condition, source: {} }, { condition, source: null },
            { condition: { requestMethod: '\\u3042' }, source }, { condition: { requestMode: 'websocket' }, source },
            { condition: { requestDestination: 'serviceworker' }, source }, { condition: { runningStatus: 'asleep' }, source },
            { condition: { or: {} }, source }, { condition: { or: [1] }, source }, { condition: { urlPattern: Symbol() }, source },
        ]) await refuses('TypeError', () => event.addRoutes(bad));
        await refuses('TypeError', () => event.addRoutes());
        let refused = false;
        await event.addRoutes({ condition: cyclic, source }).catch(() => { refused = true; });
        check('a circle', refused);
        await refuses('InvalidStateError', () => new InstallEvent('install').addRoutes({ condition, source }));
        await refuses('TypeError', () => event.addRoutes.call({}, { condition, source }));",
    );
    let asked = stand.facade.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|it| it.contains("routes")), "{asked:?}");
}
