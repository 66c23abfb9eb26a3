//! XMLHttpRequest, as scripts see it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{ClientId, Environment};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::fetch::{FetchService, Hop, HopError, HopFuture, Hopped, Source};
use crate::js::PageOptions;

/// Tells in the body what was asked for; `/none` is not there, `/never` does not answer.
struct Echo;

impl Hop for Echo {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        Box::pin(answer(request))
    }
}

async fn answer(request: FetchRequest) -> Result<Hopped, HopError> {
    let url = request.head.url().clone();
    match url.path() {
        "/none" => return Err(HopError::new("nothing there")),
        "/never" => std::future::pending().await,
        _ => {}
    }
    let mut head = ResponseHead::new(StatusCode::CREATED, HeaderMap::new());
    "Made".clone_into(&mut head.status_text);
    head.url_list.clone_from(&request.head.url_list);
    for (name, value) in [("x-b", "1"), ("x-a", "2"), ("x-b", "3")] {
        head.headers.append(name, HeaderValue::from_static(value));
    }
    let query = url.query_pairs().find(|(name, _)| name == "type");
    if let Some((_, kind)) = query {
        let kind = HeaderValue::from_str(&kind).map_err(|_| HopError::new("no type"))?;
        head.headers.insert("content-type", kind);
    }
    let length = url.query_pairs().find(|(name, _)| name == "length");
    if let Some((_, length)) = length {
        let length = HeaderValue::from_str(&length).map_err(|_| HopError::new("no length"))?;
        head.headers.insert("content-length", length);
    }
    let sent = request.body.collect(1000).await;
    let sent = sent.map_err(|error| HopError::new(error.to_string()))?;
    let headers = ["content-type", "x-own"].map(|name| {
        let value = request.head.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    });
    let told = json!([
        request.head.method.as_str(),
        String::from_utf8_lossy(&sent),
        headers
    ]);
    let body = match url.path() {
        "/latin" => Body::from(vec![0xe9]),
        _ => Body::from(told.to_string()),
    };
    Ok(Hopped {
        response: Response { head, body },
        source: match url.path() {
            "/worker" => Source::OwnWorker,
            _ => Source::Network,
        },
        timing: ServiceWorkerTiming::default(),
        protocol: "",
    })
}

fn run(source: &str) -> Value {
    let service = Arc::new(FetchService::new(Arc::new(Echo)));
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm.with_service(Arc::clone(&service))
    }));
    let source = format!(
        "const name = (run) => {{ try {{ run(); return 'nothing'; }} catch (error) {{ return error.name; }} }};
        const ended = (request) => new Promise((done) => request.addEventListener('loadend', () => done(request)));
        (async () => {{ {source} }})()"
    );
    wait(
        page_with(options)
            .0
            .run_script(source, "https://fonts.example.com/test.js"),
    )
    .unwrap()
}

#[test]
fn events_come_in_the_order_of_the_standard() {
    assert_eq!(
        run("const request = new XMLHttpRequest(), log = [];
            request.onreadystatechange = () => log.push(request.readyState);
            for (const [what, target] of [['', request], ['upload ', request.upload]]) for (const type of ['loadstart', 'progress', 'load', 'error', 'abort', 'loadend']) target.addEventListener(type, ({ loaded, total }) => log.push(`${what}${type} ${loaded} ${total}`));
            request.open('post', '/x'); request.setRequestHeader('X-Own', ' a '); request.setRequestHeader('x-own', 'b');
            request.send('hé');
            await ended(request);
            return [log, JSON.parse(request.response), request.status, request.statusText, request.responseURL, request.getResponseHeader('X-B'), request.getResponseHeader('none'), request.getAllResponseHeaders()];"),
        json!([
            [1, "loadstart 0 0", "upload loadstart 0 3", "upload progress 3 3", "upload load 3 3", "upload loadend 3 3", 2, 3, "progress 50 0", 4, "load 50 0", "loadend 50 0"],
            ["POST", "hé", ["text/plain;charset=UTF-8", "a, b"]],
            201, "Made", "https://fonts.example.com/x", "1, 3", null, "x-a: 2\r\nx-b: 1, 3\r\n"
        ])
    );
}

#[test]
fn a_synchronous_request_is_over_when_send_returns() {
    assert_eq!(
        run("const request = new XMLHttpRequest(), log = [];
            for (const type of ['readystatechange', 'loadstart', 'progress', 'load', 'loadend']) request.addEventListener(type, () => log.push(type + request.readyState));
            request.open('PUT', '/x', false); request.send(new URLSearchParams({ a: 'b' }));
            const told = [JSON.parse(request.responseText), request.status];
            request.open('GET', '/none', false);
            const failed = name(() => request.send());
            request.open('GET', '/x');
            request.timeout = 5; const late = name(() => request.open('GET', '/x', false));
            return [told, log, failed, late];"),
        json!([
            [["PUT", "a=b", ["application/x-www-form-urlencoded;charset=UTF-8", null]], 201],
            ["readystatechange1", "readystatechange4", "load4", "loadend4", "readystatechange1", "readystatechange1"],
            "NetworkError",
            "InvalidAccessError"
        ])
    );
}

#[test]
fn what_fails_is_aborted_or_late_ends_with_its_event() {
    assert_eq!(
        run("const tell = async (url, change) => {
                const request = new XMLHttpRequest(), log = [];
                for (const type of ['readystatechange', 'load', 'error', 'abort', 'timeout', 'loadend']) request.addEventListener(type, () => log.push(type + request.readyState));
                request.open('GET', url); change(request); const end = ended(request); request.send(); setTimeout(() => request.late?.(), 1);
                await end; return [log, request.status, request.responseText];
            };
            return [await tell('/none', () => {}), await tell('/never', (request) => { request.timeout = 5; }), await tell('/never', (request) => { request.late = () => request.abort(); })];"),
        json!([
            [["readystatechange1", "readystatechange4", "error4", "loadend4"], 0, ""],
            [["readystatechange1", "readystatechange4", "timeout4", "loadend4"], 0, ""],
            [["readystatechange1", "readystatechange4", "abort4", "loadend4"], 0, ""]
        ])
    );
}

#[test]
fn the_response_is_of_the_type_that_was_asked_for() {
    assert_eq!(
        run("const get = async (type, url, change = () => {}) => { const request = new XMLHttpRequest(); request.open('GET', url); request.responseType = type; change(request); request.send(); return (await ended(request)).response; };
            const blob = await get('blob', '/latin?type=a/B;x=Y');
            return [(await get('arraybuffer', '/latin')).byteLength, blob.type, blob.size, (await get('json', '/x'))[0], await get('json', '/latin'), await get('text', '/latin'),
                await get('', '/latin?type=text/plain;charset=latin1'), await get('text', '/latin', (request) => request.overrideMimeType('text/plain;charset=windows-1252')), (await get('document', '/x?type=text/html')).body.textContent.length > 5];"),
        json!([1, "a/b;x=Y", 1, "GET", null, "\u{fffd}", "é", "é", true])
    );
}

#[test]
fn what_no_request_can_be_is_refused() {
    assert_eq!(
        run("const fresh = new XMLHttpRequest(), open = new XMLHttpRequest(), sent = new XMLHttpRequest();
            open.open('GET', '/x'); sent.open('GET', '/x'); sent.send();
            return [() => fresh.send(), () => fresh.setRequestHeader('a', 'b'), () => fresh.open('GET'), () => fresh.open('a b', '/'), () => fresh.open('TRACE', '/'), () => fresh.open('GET', 'http://['),
                () => open.setRequestHeader('a b', ''), () => open.setRequestHeader('a', '\\n\\0'), () => sent.send(), () => sent.setRequestHeader('a', 'b'), () => { sent.withCredentials = true; }, () => new XMLHttpRequestUpload(),
                () => { open.responseType = 'json'; open.responseText; }, () => { open.responseXML; }, () => XMLHttpRequest.prototype.send.call({})].map(name);"),
        json!([
            "InvalidStateError", "InvalidStateError", "TypeError", "SyntaxError", "SecurityError",
            "SyntaxError", "SyntaxError", "SyntaxError", "InvalidStateError", "InvalidStateError",
            "InvalidStateError", "TypeError", "InvalidStateError", "InvalidStateError", "TypeError"
        ])
    );
}

#[test]
fn what_a_worker_answers_is_uploaded_to_nobody() {
    assert_eq!(
        run("const seen = [];
            for (const url of ['/x', '/worker']) {
                const request = new XMLHttpRequest(), types = [];
                for (const type of ['loadstart', 'progress', 'load', 'loadend']) request.upload.addEventListener(type, () => types.push(type));
                request.open('post', url);
                request.send('a');
                await ended(request);
                seen.push(types);
            }
            return seen;"),
        json!([["loadstart", "progress", "load", "loadend"], ["loadstart"]])
    );
}

#[test]
fn a_length_that_is_said_twice_alike_is_the_length() {
    assert_eq!(
        run("const seen = [];
            for (const length of ['7', '7, 7', '7, 8', 'x', '']) {
                const request = new XMLHttpRequest();
                request.open('get', `/x?length=${length}`);
                request.onload = ({ total, lengthComputable }) => seen.push([total, lengthComputable]);
                request.send();
                await ended(request);
            }
            return seen;"),
        json!([[7, true], [7, true], [0, false], [0, false], [0, false]])
    );
}
