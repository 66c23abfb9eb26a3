//! `Request`.

use serde_json::json;

use super::{check, check_type_errors};

#[test]
fn a_request_is_what_its_init_says() {
    check(&[
        (
            "(() => { const r = new Request('/y#f', { method: 'post', body: '\\u00e9', referrer: '',
               credentials: 'include', keepalive: 1, integrity: 'sha', lookAside: 'universal',
               cache: 'no-store', redirect: 'manual', referrerPolicy: 'origin' });
               return [r.url, r.method, r.mode, r.referrer, r.credentials, r.keepalive, r.integrity, r.lookAside,
                 r.cache, r.redirect, r.referrerPolicy, r.destination, r.duplex, r.headers.get('content-type')]; })()",
            json!([
                "https://a.test/y#f", "POST", "cors", "", "include", true, "sha", "universal",
                "no-store", "manual", "origin", "", "half", "text/plain;charset=UTF-8"
            ]),
        ),
        (
            "(() => { const r = new Request('x'); return [r.url, r.method, r.mode, r.referrer, r.credentials,
               r.keepalive, r.lookAside, r.cache, r.redirect, r.bodyUsed, r.signal.aborted, 'body' in r]; })()",
            json!([
                "https://a.test/dir/x", "GET", "cors", "about:client", "same-origin", false, "default",
                "default", "follow", false, false, true
            ]),
        ),
        ("new Request('x', { method: 'patch' }).method", json!("patch")),
        ("new Request('x', { method: 'delete' }).method", json!("DELETE")),
        ("new Request('x', { referrer: '/p' }).referrer", json!("https://a.test/p")),
        ("new Request('x', { referrer: 'https://b.test/' }).referrer", json!("about:client")),
        ("new Request('x', { cache: 'only-if-cached', mode: 'same-origin' }).cache", json!("only-if-cached")),
        ("new Request('x', { window: null, signal: null, body: null }).url", json!("https://a.test/dir/x")),
        (
            "(() => { try { new Request('http://['); } catch (e) { return e.message; } })()",
            json!("\"http://[\" is not a valid URL"),
        ),
        ("String(new Request('x'))", json!("[object Request]")),
        ("Request.length", json!(1)),
    ]);
}

#[test]
fn bodies_are_what_they_were_made_of() {
    let post = |body: &str, then: &str| {
        format!(
            "await (async () => {{ const r = new Request('x', {{ method: 'POST', body: {body} }}); {then} }})()"
        )
    };
    let text_and_type = "return [await r.text(), r.headers.get('content-type')];";
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    let plain = "text/plain;charset=UTF-8";
    let table = [
        (post("'\\u00e9'", text_and_type), json!(["\u{e9}", plain])),
        (post("'\\ud800'", text_and_type), json!(["\u{fffd}", plain])),
        (post("5", text_and_type), json!(["5", plain])),
        (
            post("new URLSearchParams({ a: 'b c' })", text_and_type),
            json!(["a=b+c", form]),
        ),
        (
            post(
                "new Uint8Array([9, 65, 66, 9]).subarray(1, 3)",
                text_and_type,
            ),
            json!(["AB", null]),
        ),
        (
            post("new Uint8Array([65]).buffer", text_and_type),
            json!(["A", null]),
        ),
        (
            post(
                "new DataView(new Uint8Array([65, 66]).buffer, 1)",
                text_and_type,
            ),
            json!(["B", null]),
        ),
        (post("'[1]'", "return r.json();"), json!([1])),
        (
            post("'AB'", "return [...await r.bytes()];"),
            json!([65, 66]),
        ),
        (
            post("'AB'", "return (await r.arrayBuffer()).byteLength;"),
            json!(2),
        ),
        (post("'\\ufeffA'", "return r.text();"), json!("A")),
        (post("'{'", "return r.json();"), json!("throws SyntaxError")),
        (
            post("'A'", "await r.text(); return r.bodyUsed;"),
            json!(true),
        ),
        (
            post("'A'", "await r.text(); return r.text();"),
            json!("throws TypeError"),
        ),
        (
            post("'A'", "await r.text(); return r.clone();"),
            json!("throws TypeError"),
        ),
        (
            post(
                "'A'",
                "const c = r.clone(); (await r.bytes())[0] = 0; return c.text();",
            ),
            json!("A"),
        ),
        (
            post("'A'", "new Request(r); return r.bodyUsed;"),
            json!(true),
        ),
        (
            post("'A'", "new Request(r, { body: 'B' }); return r.bodyUsed;"),
            json!(false),
        ),
        (post("'A'", "return new Request(r).text();"), json!("A")),
    ];
    let table: Vec<_> = table
        .iter()
        .map(|(script, value)| (script.as_str(), value.clone()))
        .collect();
    check(&table);
}

#[test]
fn what_is_no_request_is_a_type_error() {
    check_type_errors(&[
        "new Request()",
        "new Request('http://')",
        "new Request('https://user:pw@a.test/')",
        "new Request(Symbol())",
        "new Request('x', 5)",
        "new Request('x', { method: 'TRACE' })",
        "new Request('x', { method: 'a b' })",
        "new Request('x', { mode: 'navigate' })",
        "new Request('x', { mode: 'other' })",
        "new Request('x', { lookAside: 'other' })",
        "new Request('x', { body: '1' })",
        "new Request('x', { method: 'HEAD', body: '1' })",
        "new Request('x', { cache: 'only-if-cached' })",
        "new Request('x', { window: 1 })",
        "new Request('x', { signal: {} })",
        "new Request('x', { mode: 'no-cors', method: 'PUT' })",
        "new Request('x', { referrer: 'http://[' })",
        "new Request('x', { headers: { 'a b': '1' } })",
        "Request.prototype.url",
        "await Request.prototype.text.call({})",
        "Request('x')",
    ]);
}
