//! Pages: scripts, `navigator.serviceWorker` and its objects.

use service_worker::types::{ClientNotice, RegistrationView, WorkerState};

use super::stand::{PAGE, evaluate, page, registration_view, wait, worker_view};
use crate::js::ScriptError;

const SCRIPT: &str = "https://fonts.example.com/test.js";

#[test]
fn a_script_gives_its_completion_value_or_what_its_promise_gives() {
    assert_eq!(evaluate("1 + 1"), 2);
    assert_eq!(
        evaluate(
            "(async () => { await null; return { a: [1.5, 'x', null, true], b: { c: undefined } }; })()"
        ),
        serde_json::json!({ "a": [1.5, "x", null, true], "b": { "c": null } })
    );
    assert_eq!(evaluate("undefined"), serde_json::Value::Null);
    assert_eq!(
        evaluate("[location.href, window === self, document.readyState, document.characterSet]"),
        serde_json::json!([PAGE, true, "complete", "UTF-8"])
    );
}

#[test]
fn a_script_that_fails_says_where() {
    let (page, ..) = page();
    let run = |source: &str| {
        wait(page.run_script(source, SCRIPT))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        run("\n  x.y"),
        "https://fonts.example.com/test.js:2:3: ReferenceError: x is not defined"
    );
    assert_eq!(
        run("(async () => { throw new RangeError('far'); })()"),
        "https://fonts.example.com/test.js:1:26: RangeError: far"
    );
    assert!(run("1n").contains("cannot be written as JSON"));
    assert!(run("const a = {}; a.a = a; a").contains("nests too deeply"));
}

#[test]
fn a_page_that_is_closed_ends_and_its_scripts_fail() {
    let (page, _, _, ended) = page();
    let running = page.run_script("for (;;) {}", SCRIPT);
    let other = page.clone();
    let closer = std::thread::spawn(move || other.close());
    assert!(matches!(wait(running), Err(ScriptError::Gone(_))));
    closer.join().unwrap();
    assert_eq!(ended.recv().unwrap().to_string(), "closed");
    assert!(matches!(
        wait(page.run_script("1", SCRIPT)),
        Err(ScriptError::Gone(_))
    ));
}

#[test]
fn register_asks_the_facade_and_gives_the_same_objects() {
    let (page, _, facade, _) = page();
    let result = wait(page.run_script(
        "(async () => {
            const { serviceWorker } = navigator;
            const a = await serviceWorker.register('/sw.js', { scope: './x/' });
            const b = await serviceWorker.register('/sw.js');
            const missing = await serviceWorker.getRegistration('/y');
            return [a === b, a.installing === b.installing, a.installing.state, a.installing.scriptURL, a.waiting, a.scope, missing === undefined,
                serviceWorker.controller, serviceWorker.ready === serviceWorker.ready, Object.prototype.toString.call(a)];
        })()",
        SCRIPT,
    ));
    assert_eq!(
        result.unwrap(),
        serde_json::json!([
            true,
            true,
            "installing",
            "https://fonts.example.com/sw.js",
            null,
            "https://fonts.example.com/",
            true,
            null,
            true,
            "[object ServiceWorkerRegistration]"
        ])
    );
    assert_eq!(
        *facade.asked.lock().unwrap(),
        [
            r#"ClientId-9 registers /sw.js for Some("./x/")"#,
            "ClientId-9 registers /sw.js for None",
            "registration of https://fonts.example.com/y",
        ]
    );
}

#[test]
fn register_rejects_as_the_facade_says() {
    assert_eq!(
        evaluate(
            "(async () => {
                const names = [];
                for (const args of [['/bad.js'], ['/sw.js', { type: 'other' }], ['/sw.js', 5], []]) {
                    try { await navigator.serviceWorker.register(...args); } catch (e) { names.push(`${e.constructor.name} ${e.name}`); }
                }
                try { await navigator.serviceWorker.getRegistration('https://other.example/'); } catch (e) { names.push(e.name); }
                return names;
            })()"
        ),
        serde_json::json!([
            "DOMException SecurityError", "TypeError TypeError", "TypeError TypeError", "TypeError TypeError", "SecurityError"
        ])
    );
}

#[test]
fn a_page_sees_the_life_of_a_registration_in_order() {
    let (page, lines, ..) = page();
    // Nobody can have seen a registration before register() resolves.
    page.notify(ClientNotice::UpdateFound(registration_view()));
    wait(page.run_script(
        "navigator.serviceWorker.oncontrollerchange = () => console.log('controllerchange', navigator.serviceWorker.controller?.state);
        navigator.serviceWorker.register('/sw.js').then((registration) => {
            console.log('registered', registration.installing.state);
            const worker = registration.installing;
            registration.addEventListener('updatefound', () => console.log('updatefound'));
            worker.addEventListener('statechange', () => console.log(worker.state, registration.waiting === worker, registration.active === worker));
        })",
        SCRIPT,
    ))
    .unwrap();
    let changed = |state: WorkerState, view: fn(&mut RegistrationView)| {
        let mut registration = registration_view();
        view(&mut registration);
        ClientNotice::StateChanged {
            worker: worker_view(7, state).id,
            state,
            registration,
        }
    };
    let installing = RegistrationView {
        installing: Some(worker_view(7, WorkerState::Installing)),
        ..registration_view()
    };
    page.notify(ClientNotice::UpdateFound(installing));
    page.notify(changed(WorkerState::Installed, |view| {
        view.waiting = Some(worker_view(7, WorkerState::Installed));
    }));
    page.notify(changed(WorkerState::Activating, |view| {
        view.active = Some(worker_view(7, WorkerState::Activating));
    }));
    page.notify(ClientNotice::ControllerChanged(Some(worker_view(
        7,
        WorkerState::Activating,
    ))));
    page.notify(changed(WorkerState::Activated, |view| {
        view.active = Some(worker_view(7, WorkerState::Activated));
    }));
    wait(page.run_script("0", SCRIPT)).unwrap();
    assert_eq!(
        lines.all(),
        [
            "info: registered installing",
            "info: updatefound",
            "info: installed true false",
            "info: activating false true",
            "info: controllerchange activating",
            "info: activated false true",
        ]
    );
}

#[test]
fn members_of_service_worker_interfaces_want_an_object_of_theirs() {
    assert_eq!(
        evaluate(
            "(async () => {
                const { prototype } = ServiceWorkerContainer;
                const thrown = async (run) => {
                    try { const it = run(); try { await it; return 'fine'; } catch (e) { return `rejects ${e.name}`; } }
                    catch (e) { return `throws ${e.name}`; }
                };
                return Promise.all([
                    () => prototype.ready,
                    () => prototype.getRegistration(),
                    () => prototype.startMessages(),
                    () => prototype.onmessage,
                    () => { ServiceWorker.prototype.onstatechange = null; },
                    () => Navigator.prototype.serviceWorker,
                    () => ServiceWorker.prototype.postMessage.call({}, 1),
                    () => navigator.serviceWorker.oncontrollerchange,
                ].map(thrown));
            })()"
        ),
        serde_json::json!([
            "rejects TypeError",
            "rejects TypeError",
            "throws TypeError",
            "throws TypeError",
            "throws TypeError",
            "throws TypeError",
            "throws TypeError",
            "fine"
        ])
    );
    assert_eq!(
        evaluate(
            "[ServiceWorker, ServiceWorkerRegistration, ServiceWorkerContainer, Navigator].map((it) => it.length)"
        ),
        serde_json::json!([0, 0, 0, 0])
    );
}
