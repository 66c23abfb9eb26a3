//! What flows between a client and a fetch event: bodies in both directions, the client's abort, the
//! navigation preload; and what becomes of them when the worker dies half-way.

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, StatusCode};
use service_worker::types::Origin;
use service_worker::types::fetch::{RequestHead, ResponseHead, ResponseType};
use service_worker::{Body, BodyError, EventDetail, FetchAnswer, Response};
use url::Url;

use super::stand::{Stand, answer, is_over, wait};
use crate::js::fetch_events::{Preload, WhenAborted};

const URL: &str = "https://fonts.example.com/a";

fn head(method: Method) -> RequestHead {
    RequestHead {
        has_body: method == Method::POST,
        method,
        ..RequestHead::get(Url::parse(URL).unwrap(), Origin::opaque(1))
    }
}

fn response(answered: oneshot::Receiver<FetchAnswer>) -> Response {
    match answer(answered) {
        Some(FetchAnswer::Response(response)) => *response,
        other => panic!("expected a response, found {other:?}"),
    }
}

fn never() -> WhenAborted {
    Box::pin(std::future::pending())
}

/// Lets the worker say something, after all that it does before.
fn until_line(stand: &Stand, line: &str) {
    while !stand.lines.all().iter().any(|said| said == line) {
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_echoes_a_stream_while_it_still_comes() {
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(new Response(event.request.body.pipeThrough(new TransformStream())));",
    );
    let (mut chunks, body) = mpsc::channel::<Result<Bytes, BodyError>>(0);
    let (answered, over) = stand.fetch_head(head(Method::POST), Body::from_stream(body));
    let mut echo = response(answered).body;
    for chunk in ["first ", "second"] {
        wait(chunks.send(Ok(chunk.into()))).unwrap();
        assert_eq!(wait(echo.next()).unwrap().unwrap(), chunk);
    }
    drop(chunks);
    assert_eq!(wait(echo.next()), None);
    assert!(is_over(&over));
}

#[test]
fn a_request_whose_body_breaks_rejects_for_the_worker() {
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(event.request.text().catch((error) => new Response(error.name)));",
    );
    let broken = Err(BodyError::Broken("reset".into()));
    let body = futures_util::stream::iter([Ok("half".into()), broken]);
    let (answered, _) = stand.fetch_head(head(Method::POST), Body::from_stream(body));
    assert_eq!(
        wait(response(answered).body.collect(100)).unwrap(),
        "TypeError"
    );
}

#[test]
fn a_client_that_reads_no_more_cancels_the_workers_stream_though_it_has_nothing_to_give() {
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(new Response(new ReadableStream({
            cancel(reason) { console.log('canceled', reason.name); } })));",
    );
    let (answered, over) = stand.fetch(URL);
    drop(response(answered));
    until_line(&stand, "info: canceled AbortError");
    assert!(is_over(&over));
}

#[test]
fn a_client_that_aborts_aborts_the_signal_of_the_request_and_what_follows_it() {
    let mut stand = Stand::started(
        "onfetch = (event) => {
            const { request } = event;
            const { signal } = new Request(request);
            event.respondWith(new Promise(() => {}));
            request.signal.onabort = () => console.log('aborted', request.signal.reason.name, signal.aborted);
            console.log('listening');
        };",
    );
    let (abort, aborted) = oneshot::channel();
    let aborted: WhenAborted = Box::pin(async { aborted.await.is_ok() });
    let _event = stand.fetch_with(head(Method::GET), Body::empty(), None, aborted);
    until_line(&stand, "info: listening");
    abort.send(()).unwrap();
    until_line(&stand, "info: aborted AbortError true");
}

#[test]
fn a_request_that_is_answered_is_not_aborted() {
    let mut stand = Stand::started(
        "onfetch = (event) => {
            event.request.signal.onabort = () => console.log('aborted');
            event.respondWith(new Response(''));
        };
        onactivate = () => {};",
    );
    let aborted: WhenAborted = Box::pin(async { false });
    let (answered, over) = stand.fetch_with(head(Method::GET), Body::empty(), None, aborted);
    response(answered);
    assert!(is_over(&over));
    stand.dispatch(EventDetail::Activate);
    stand.next();
    assert!(stand.lines.all().is_empty());
}

fn preloaded(body: &'static str) -> Preload {
    let mut headers = HeaderMap::new();
    headers.insert("x-preload", http::HeaderValue::from_static("yes"));
    let head = ResponseHead {
        response_type: ResponseType::Basic,
        ..ResponseHead::new(StatusCode::OK, headers)
    };
    let body = Body::from(body);
    Box::pin(async { Ok(Response { head, body }) })
}

#[test]
fn a_navigation_preload_is_a_promise_of_its_response() {
    let mut stand =
        Stand::started("onfetch = (event) => event.respondWith(event.preloadResponse);");
    let preload = Some(preloaded("from the network"));
    let (answered, over) = stand.fetch_with(head(Method::GET), Body::empty(), preload, never());
    let response = response(answered);
    assert_eq!(response.head.headers["x-preload"], "yes");
    assert_eq!(
        wait(response.body.collect(100)).unwrap(),
        "from the network"
    );
    assert!(is_over(&over));
}

#[test]
fn a_navigation_preload_that_fails_rejects_and_nobody_has_to_catch_that() {
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(new Response('own'));
        onunhandledrejection = () => console.log('unhandled');",
    );
    let failed: Preload = Box::pin(async { Err("refused".to_owned()) });
    let (answered, _) = stand.fetch_with(head(Method::GET), Body::empty(), Some(failed), never());
    assert_eq!(wait(response(answered).body.collect(100)).unwrap(), "own");
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(event.preloadResponse.catch((error) => new Response(error.name)));",
    );
    let failed: Preload = Box::pin(async { Err("refused".to_owned()) });
    let (answered, _) = stand.fetch_with(head(Method::GET), Body::empty(), Some(failed), never());
    assert_eq!(
        wait(response(answered).body.collect(100)).unwrap(),
        "TypeError"
    );
}

#[test]
fn a_navigation_preload_ends_with_its_event() {
    let mut stand = Stand::started("onfetch = () => {};");
    let (held, dropped) = oneshot::channel::<()>();
    let preload: Preload = Box::pin(async move {
        let _held = held;
        std::future::pending().await
    });
    let (answered, over) =
        stand.fetch_with(head(Method::GET), Body::empty(), Some(preload), never());
    assert!(matches!(answer(answered), Some(FetchAnswer::NotHandled)));
    assert!(is_over(&over));
    assert!(wait(dropped).is_err());
}

const HALF: &str = "const half = new Uint8Array([1, 2, 3]);";

#[test]
fn a_worker_that_is_killed_half_way_through_a_body_ends_it_with_an_error() {
    for rest in ["", "while (true) {}"] {
        let mut stand = Stand::started(&format!(
            "{HALF}
            let pulls = 0;
            onfetch = (event) => event.respondWith(new Response(new ReadableStream({{
                pull(controller) {{
                    // The chunk before is on its way when the next one is pulled.
                    if (pulls++ < 2) return controller.enqueue(half);
                    console.log('pulled'); {rest}
                    return new Promise(() => {{}});
                }} }})));",
        ));
        let (answered, over) = stand.fetch(URL);
        let mut body = response(answered).body;
        assert_eq!(wait(body.next()).unwrap().unwrap(), [1, 2, 3][..]);
        until_line(&stand, "info: pulled");
        stand.stop();
        let last = wait(
            body.filter(|chunk| std::future::ready(chunk.is_err()))
                .next(),
        );
        assert_eq!(last, Some(Err(BodyError::Aborted)), "{rest}");
        assert!(is_over(&over));
    }
}

#[test]
fn a_stream_that_errors_half_way_breaks_the_body_and_never_shortens_it() {
    let mut stand = Stand::started(&format!(
        "{HALF}
        let pulls = 0;
        onfetch = (event) => event.respondWith(new Response(new ReadableStream({{
            pull(controller) {{
                if (pulls++ === 0) controller.enqueue(half); else controller.error(new RangeError('no more'));
            }} }})));",
    ));
    let (answered, over) = stand.fetch(URL);
    let mut body = response(answered).body;
    assert_eq!(wait(body.next()).unwrap().unwrap(), [1, 2, 3][..]);
    let Some(Err(BodyError::Broken(why))) = wait(body.next()) else {
        panic!("it ended well");
    };
    assert!(why.contains("RangeError: no more"), "{why}");
    assert!(is_over(&over));
}

#[test]
fn a_chunk_that_is_not_bytes_breaks_the_body() {
    let mut stand = Stand::started(
        "onfetch = (event) => event.respondWith(new Response(new ReadableStream({
            start(controller) { controller.enqueue('text'); } })));",
    );
    let (answered, _) = stand.fetch(URL);
    let collected = wait(response(answered).body.collect(100));
    assert!(matches!(collected, Err(BodyError::Broken(_))));
}
