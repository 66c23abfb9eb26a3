//! Exceptions and rejections, with their places.

use service_worker::EventDetail;

use super::stand::Stand;

#[test]
fn a_script_that_does_not_parse_is_told_with_its_place() {
    assert_eq!(
        Stand::start("let a = 1;\n\nlet b = a +* 2;").start_failure(),
        "https://fonts.example.com/sw.js:3:12: SyntaxError: unexpected token in expression: '*'"
    );
}

#[test]
fn a_script_that_throws_is_told_with_its_place_and_nothing_after() {
    let stand = Stand::start("function f() {\n  null.x;\n}\nf();");
    assert_eq!(
        stand.start_failure(),
        "https://fonts.example.com/sw.js:2:3: TypeError: cannot read property 'x' of null"
    );
    stand.says_nothing_more();
}

#[test]
fn what_is_thrown_need_not_be_an_error() {
    let error = |source: &str| Stand::start(source).start_failure();
    assert_eq!(
        error("throw 'a\\nb';"),
        "https://fonts.example.com/sw.js: Uncaught a b"
    );
    assert_eq!(
        error("throw Symbol('x');"),
        "https://fonts.example.com/sw.js: Uncaught symbol"
    );
    assert_eq!(
        error(
            "throw { get message() { throw 1; }, get stack() { throw 2; }, toString() { throw 3; } };"
        ),
        "https://fonts.example.com/sw.js: Uncaught object"
    );
    assert_eq!(
        error("\nnew URL('nothing');"),
        "https://fonts.example.com/sw.js:2:5: TypeError: Invalid URL: 'nothing'"
    );
    assert_eq!(
        error("importScripts('/a.js');"),
        "https://fonts.example.com/sw.js:1:1: NetworkError: https://fonts.example.com/a.js is not there"
    );
}

#[test]
fn an_unhandled_rejection_is_reported_with_its_place_and_a_handled_one_is_not() {
    let mut stand = Stand::started(
        "oninstall = (event) => {
            Promise.reject(new Error('nobody'));
            const handled = Promise.reject(new Error('handled in time'));
            event.waitUntil(new Promise((done) => {
                queueMicrotask(() => handled.catch(() => done()));
            }));
        };",
    );
    stand.install();
    stand.install();
    // Rejections are reported after the task; the next task is after that.
    stand.dispatch(EventDetail::Activate);
    stand.next();
    assert_eq!(
        stand.lines.all(),
        ["error: Uncaught (in promise) https://fonts.example.com/sw.js:2:32: Error: nobody"; 2]
    );
}

#[test]
fn handlers_of_error_and_unhandledrejection_can_take_care() {
    let mut stand = Stand::started(
        "self.onerror = (message, file, line, column, error) => {
            console.log(message, file, line, column, error.name);
            return true;
        };
        addEventListener('unhandledrejection', (event) => {
            event.preventDefault();
            console.log(event.reason, event.promise instanceof Promise, event.isTrusted);
        });
        addEventListener('install', () => { throw new RangeError('far'); });
        addEventListener('install', () => { Promise.reject(5); });",
    );
    stand.install();
    stand.install();
    let lines = stand.lines.all();
    assert_eq!(
        lines[..2],
        [
            "info: Uncaught RangeError: far https://fonts.example.com/sw.js 9 55 RangeError",
            "info: 5 true true",
        ]
    );
}
