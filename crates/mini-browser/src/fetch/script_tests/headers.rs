//! `Headers` and its guards.

use serde_json::json;

use super::{check, check_type_errors};

#[test]
fn names_are_sorted_and_values_combined() {
    check(&[
        (
            "[...new Headers([['B', ' 2\t'], ['a', '1'], ['b', '3']])]",
            json!([["a", "1"], ["b", "2, 3"]]),
        ),
        (
            "[...new Headers([['Set-Cookie', 'x'], ['a', ''], ['set-cookie', 'y']])]",
            json!([["a", ""], ["set-cookie", "x"], ["set-cookie", "y"]]),
        ),
        (
            "new Headers([['Set-Cookie', 'x'], ['set-cookie', 'y']]).getSetCookie()",
            json!(["x", "y"]),
        ),
        ("[...new Headers({ b: 1, a: 2 }).keys()]", json!(["a", "b"])),
        (
            "[...new Headers({ b: 1, a: 2 }).values()]",
            json!(["2", "1"]),
        ),
        (
            "[...new Headers(new Map([['x', 'y']]))]",
            json!([["x", "y"]]),
        ),
        (
            "[...new Headers(new Headers({ x: 'y' }))]",
            json!([["x", "y"]]),
        ),
        ("new Headers({ a: '1' }).get('A')", json!("1")),
        ("new Headers().get('a')", json!(null)),
        ("new Headers({ a: '1' }).has('A')", json!(true)),
        ("new Headers({ a: '\\u00e9' }).get('a')", json!("\u{e9}")),
    ]);
}

#[test]
fn set_replaces_delete_removes_and_iteration_is_live() {
    check(&[
        (
            "(() => { const h = new Headers([['a', '1'], ['a', '2'], ['b', '3']]);
               h.set('A', '9'); h.delete('B'); return [...h]; })()",
            json!([["a", "9"]]),
        ),
        (
            "(() => { const h = new Headers({ a: '1', b: '2', c: '3' }), seen = [];
               for (const [name] of h) { seen.push(name); if (name === 'a') h.delete('b'); }
               return seen; })()",
            json!(["a", "c"]),
        ),
        (
            "(() => { const h = new Headers({ a: '1' }), seen = [];
               h.forEach(function (value, name, object) { seen.push(value, name, object === h, this == 7); }, 7);
               return seen; })()",
            json!(["1", "a", true, true]),
        ),
    ]);
}

#[test]
fn guards_refuse_in_silence_what_a_script_may_not_set() {
    check(&[
        (
            "[...new Request('x', { headers: { Cookie: '1', 'Sec-X': '1', 'proxy-y': '1', Host: 'a',
               'X-HTTP-Method': 'GET, track', 'X-Method-Override': 'GET', ok: '1' } }).headers.keys()]",
            json!(["ok", "x-method-override"]),
        ),
        (
            "[...new Request('x', { mode: 'no-cors', headers: { other: '1', Accept: 'a', range: 'bytes=0-',
               'Content-Type': 'application/json', 'Accept-Language': 'de' } }).headers.keys()]",
            json!(["accept", "accept-language"]),
        ),
        (
            "(() => { const { headers } = new Request('x', { mode: 'no-cors' });
               headers.append('accept', 'a'); headers.append('accept', 'b'.repeat(128));
               headers.set('content-type', 'text/plain;x=y'); headers.delete('other');
               return [...headers]; })()",
            json!([["accept", "a"], ["content-type", "text/plain;x=y"]]),
        ),
        (
            "[...new Response(null, { headers: { 'Set-Cookie': '1', a: '1' } }).headers.keys()]",
            json!(["a"]),
        ),
    ]);
}

#[test]
fn what_is_no_header_is_a_type_error() {
    check_type_errors(&[
        "new Headers({ 'a b': '1' })",
        "new Headers({ '': '1' })",
        "new Headers({ a: 'x\\ny' })",
        "new Headers({ a: 'x\\0y' })",
        "new Headers({ a: '\\u0100' })",
        "new Headers({ '\\u0100': 'a' })",
        "new Headers([['a']])",
        "new Headers([['a', 'b', 'c']])",
        "new Headers('a')",
        "new Headers(null)",
        "new Headers({ a: Symbol() })",
        "new Headers({ [Symbol()]: 'a' })",
        "new Headers().get()",
        "new Headers().get('a b')",
        "new Headers().append('a')",
        "new Headers().forEach(1)",
        "Headers.prototype.get.call({}, 'a')",
        "Headers()",
        "Response.error().headers.set('a', 'b')",
        "new Headers().keys().next.call({})",
    ]);
}

#[test]
fn it_has_the_shape_of_its_interface() {
    check(&[
        ("String(new Headers())", json!("[object Headers]")),
        (
            "String(new Headers().keys())",
            json!("[object Headers Iterator]"),
        ),
        ("Headers.length", json!(0)),
        ("Headers.prototype.append.length", json!(2)),
        (
            "Headers.prototype[Symbol.iterator] === Headers.prototype.entries",
            json!(true),
        ),
        (
            "Object.keys(Headers.prototype).includes('getSetCookie')",
            json!(true),
        ),
        (
            "Object.getOwnPropertyDescriptor(globalThis, 'Headers').enumerable",
            json!(false),
        ),
    ]);
}
