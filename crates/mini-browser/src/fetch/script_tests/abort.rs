//! `AbortController` and `AbortSignal`.

use serde_json::json;

use super::{check, check_type_errors};

#[test]
fn a_signal_tells_once_and_tells_its_dependents() {
    check(&[
        (
            "(() => { const c = new AbortController(), seen = [];
               const d = AbortSignal.any([c.signal, AbortSignal.any([c.signal])]);
               c.signal.onabort = e => seen.push(e.type, e.isTrusted, e.target === c.signal);
               d.addEventListener('abort', () => seen.push('any'));
               c.abort('why'); c.abort('again');
               return [...seen, d.aborted, d.reason, c.signal.reason]; })()",
            json!(["abort", true, true, "any", true, "why", "why"]),
        ),
        (
            "(() => { const c = new AbortController(), r = new Request('x', { signal: c.signal });
               c.abort(1); return [r.signal === c.signal, r.signal.aborted, r.clone().signal.reason]; })()",
            json!([false, true, 1]),
        ),
        ("AbortSignal.abort().reason.name", json!("AbortError")),
        ("AbortSignal.abort().reason instanceof DOMException", json!(true)),
        ("AbortSignal.any([AbortSignal.abort(1)]).reason", json!(1)),
        ("AbortSignal.any([]).aborted", json!(false)),
        ("AbortSignal.abort('x').throwIfAborted()", json!("throws x")),
        ("new AbortController().signal.throwIfAborted()", json!(null)),
        (
            "await new Promise(done => { const s = AbortSignal.timeout(1); s.onabort = () => done(s.reason.name); })",
            json!("TimeoutError"),
        ),
        ("String(new AbortController().signal)", json!("[object AbortSignal]")),
        ("new AbortController().signal instanceof EventTarget", json!(true)),
    ]);
}

#[test]
fn signals_are_made_by_nobody_else() {
    check_type_errors(&[
        "new AbortSignal()",
        "AbortSignal.any([1])",
        "AbortSignal.any(1)",
        "AbortSignal.timeout(-1)",
        "AbortSignal.timeout(NaN)",
        "AbortSignal.timeout()",
        "AbortSignal.prototype.aborted",
        "AbortController.prototype.abort.call({})",
    ]);
}
