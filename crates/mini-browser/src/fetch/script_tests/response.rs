//! `Response`.

use serde_json::json;

use super::{check, check_type_errors};

#[test]
fn a_response_is_what_its_init_says() {
    check(&[
        (
            "(() => { const r = new Response('x', { status: 201, statusText: 'Yes', headers: { a: '1' } });
               return [r.type, r.url, r.redirected, r.status, r.ok, r.statusText, [...r.headers], r.bodyUsed, 'body' in r]; })()",
            json!([
                "default", "", false, 201, true, "Yes",
                [["a", "1"], ["content-type", "text/plain;charset=UTF-8"]], false, true
            ]),
        ),
        ("new Response().status", json!(200)),
        ("await new Response().text()", json!("")),
        ("new Response(null, { status: 204 }).status", json!(204)),
        ("new Response(null, { status: 500 }).ok", json!(false)),
        ("(({ type, status, ok }) => [type, status, ok])(Response.error())", json!(["error", 0, false])),
        (
            "(r => [r.status, r.headers.get('location')])(Response.redirect('/q', 307))",
            json!([307, "https://a.test/q"]),
        ),
        ("Response.redirect('/q').status", json!(302)),
        (
            "await (async r => [r.headers.get('content-type'), r.status, await r.json()])(Response.json({ a: 1 }, { status: 202 }))",
            json!(["application/json", 202, { "a": 1 }]),
        ),
        (
            "await (async r => { const c = r.clone(); (await r.bytes())[0] = 0; return [await c.text(), r.bodyUsed, c.bodyUsed]; })(new Response('A'))",
            json!(["A", true, true]),
        ),
        ("String(new Response())", json!("[object Response]")),
        ("[Response.length, Response.redirect.length, Response.json.length]", json!([0, 1, 1])),
    ]);
}

#[test]
fn what_is_no_response_is_an_error() {
    check(&[
        (
            "new Response('', { status: 199 })",
            json!("throws RangeError"),
        ),
        (
            "new Response('', { status: 600 })",
            json!("throws RangeError"),
        ),
        (
            "new Response('', { status: 65536 + 200 }).status",
            json!(200),
        ),
        ("Response.redirect('/q', 200)", json!("throws RangeError")),
    ]);
    check_type_errors(&[
        "new Response('', { status: 204 })",
        "new Response('', { status: 304 })",
        "new Response('', { statusText: '\\n' })",
        "new Response('', { statusText: '\\u0100' })",
        "new Response('', 1)",
        "new Response(Symbol())",
        "Response.redirect('http://[')",
        "Response.redirect()",
        "Response.json(undefined)",
        "Response.json()",
        "Response.json(1n)",
        "Response.prototype.status",
        "await Response.prototype.text.call({})",
        "await (async r => { await r.text(); return r.clone(); })(new Response('x'))",
    ]);
}
