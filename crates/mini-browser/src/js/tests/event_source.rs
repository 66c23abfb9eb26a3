//! EventSource, as scripts see it: the stream's events, reconnection, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{ClientId, Environment};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::fetch::{FetchService, Hop, HopError, HopFuture, Hopped, Source};
use crate::js::PageOptions;

/// Streams: each request is told as an event what it had asked for.
#[derive(Default)]
struct Server(AtomicUsize);

impl Hop for Server {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(answer(&request, count)))
    }
}

fn answer(request: &FetchRequest, count: usize) -> Result<Hopped, HopError> {
    let head = &request.head;
    let path = head.url().path();
    if path == "/broken" && count == 0 {
        return Err(HopError::new("nothing there"));
    }
    let header = |name: &str| {
        let value = head.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let told = format!(
        "{} {} {} {} [{}]",
        head.mode,
        head.credentials,
        head.cache,
        header("accept"),
        header("last-event-id")
    );
    let (status, kind, body) = match path {
        "/gone" => (StatusCode::NO_CONTENT, "text/event-stream", String::new()),
        "/plain" => (StatusCode::OK, "text/plain", "data: x\n\n".to_owned()),
        "/fields" => (
            StatusCode::OK,
            "Text/Event-Stream; charset=utf-8",
            "\u{feff}data: one\r\ndata:two\rdata:  three\n\n: said to nobody\nevent: named\ndata\n\nevent: empty\n\ndata: café\nid: 7\nother: x\n\ndata: lost"
                .to_owned(),
        ),
        _ => (
            StatusCode::OK,
            "text/event-stream",
            format!("retry: 1\nid: é{count}\ndata: {told}\n\n"),
        ),
    };
    let mut response = ResponseHead::new(status, HeaderMap::new());
    response.url_list.clone_from(&head.url_list);
    let kind = HeaderValue::from_static(kind);
    response.headers.insert("content-type", kind);
    // In small pieces: lines and characters are cut anywhere.
    let pieces: Vec<_> = body.into_bytes().chunks(3).map(<[u8]>::to_vec).collect();
    let pieces = pieces.into_iter().map(|piece| Ok(piece.into()));
    Ok(Hopped {
        response: Response {
            head: response,
            body: Body::from_stream(futures_util::stream::iter(pieces)),
        },
        source: Source::Network,
        timing: ServiceWorkerTiming::default(),
        protocol: "",
    })
}

fn run(source: &str) -> Value {
    let service = Arc::new(FetchService::new(Arc::new(Server::default())));
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).expect("a URL"));
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm.with_service(Arc::clone(&service))
    }));
    let source = format!(
        "const once = (source, type) => new Promise((done) => source.addEventListener(type, done, {{ once: true }}));
        (async () => {{ {source} }})()"
    );
    let (page, _) = page_with(options);
    wait(page.run_script(source, "https://fonts.example.com/test.js"))
        .expect("the script ends well")
}

#[test]
fn fields_make_events_whatever_ends_their_lines() {
    assert_eq!(
        run("const source = new EventSource('/fields'), seen = [];
            const told = ({ type, data, lastEventId, origin, isTrusted }) => seen.push([type, data, lastEventId, origin, isTrusted]);
            for (const type of ['message', 'named', 'empty']) source.addEventListener(type, told);
            await once(source, 'error');
            const state = source.readyState;
            source.close();
            return [state, seen];"),
        json!([
            0,
            [
                ["message", "one\ntwo\n three", "", "https://fonts.example.com", true],
                ["named", "", "", "https://fonts.example.com", true],
                ["message", "café", "7", "https://fonts.example.com", true]
            ]
        ])
    );
}

#[test]
fn a_stream_that_ends_is_asked_for_again_from_where_it_was() {
    assert_eq!(
        run("const source = new EventSource('/again', { withCredentials: true }), seen = [source.url, source.withCredentials, source.readyState];
            source.onopen = () => seen.push(`open ${source.readyState}`);
            source.onerror = () => seen.push(`error ${source.readyState}`);
            seen.push((await once(source, 'message')).data, (await once(source, 'message')).data);
            source.close();
            seen.push(source.readyState);
            return seen;"),
        json!([
            "https://fonts.example.com/again",
            true,
            0,
            "open 1",
            "error 0",
            "open 1",
            "cors include no-store text/event-stream []",
            "cors include no-store text/event-stream [é0]",
            2
        ])
    );
}

#[test]
fn another_status_or_type_ends_it_for_good() {
    assert_eq!(
        run("const seen = [];
            for (const url of ['/gone', '/plain']) {
                const source = new EventSource(url);
                source.onopen = source.onmessage = () => seen.push('never');
                await once(source, 'error');
                seen.push(source.readyState);
            }
            return seen;"),
        json!([2, 2])
    );
}

#[test]
fn a_network_error_is_tried_again_and_a_bad_url_is_refused() {
    assert_eq!(
        run("let refused;
            try { new EventSource('https://:'); } catch ({ name }) { refused = name; }
            const source = new EventSource('/broken');
            await once(source, 'error');
            const seen = [refused, source.readyState, EventSource.CLOSED];
            source.close();
            return seen;"),
        json!(["SyntaxError", 0, 2])
    );
}
