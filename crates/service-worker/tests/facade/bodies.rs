//! Bodies on their way between a client and a worker: who reads when, who is held back, who learns
//! that the other is gone.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::SinkExt;
use http::Method;
use service_worker::types::ClientId;
use service_worker::{
    AnsweredBy, Body, BodyError, FetchAnswer, FetchError, FetchRequest, Policies,
};

use crate::fetches::{fonts, ok};
use crate::stand::{FONT, SITE, Stand, navigation, next, ready, subresource};

type Chunks = mpsc::Sender<Result<Bytes, BodyError>>;

/// A request whose body is sent chunk by chunk.
fn upload(client: ClientId, to: &str) -> (Chunks, FetchRequest) {
    let (chunks, body) = mpsc::channel(0);
    let mut request = subresource(client, to);
    request.head.method = Method::POST;
    request.head.has_body = true;
    request.body = Body::from_stream(body);
    (chunks, request)
}

/// Whether the sender is not held back.
fn send(chunks: &mut Chunks, chunk: &'static str) -> bool {
    ready(pin!(chunks.feed(Ok(chunk.into())))).is_some()
}

#[test]
fn a_fetch_event_comes_before_its_requests_body_does() {
    let mut stand = Stand::new(Policies::seeds());
    let (_start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let (mut chunks, request) = upload(page, FONT);
    let mut fetched = pin!(stand.handle.fetch(request));
    assert!(ready(fetched.as_mut()).is_none());
    let mut dispatch = stand.event(&mut inbox);
    dispatch.responder.respond_with_entered();
    assert!(ready(fetched.as_mut()).is_none());
    assert!(next(&mut dispatch.body).is_none());
    for chunk in ["first ", "second"] {
        assert!(send(&mut chunks, chunk));
        assert_eq!(next(&mut dispatch.body), Some(Ok(chunk.into())));
    }
    // Nobody reads ahead of the worker: there is room for one chunk, and for no other.
    assert!(send(&mut chunks, "third"));
    assert!(!send(&mut chunks, "fourth"));
    // It ends as it does for the client.
    drop(dispatch.body);
    assert!(chunks.is_closed());
    dispatch.responder.respond(ok("received"));
    let fetched = stand.settle("the response", fetched).unwrap();
    assert!(matches!(fetched.answered_by, AnsweredBy::FallThrough(_)));
}

#[test]
fn a_body_that_a_worker_has_read_in_part_is_whole_when_the_network_gets_it() {
    let mut stand = Stand::new(Policies::seeds());
    let (_start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let (mut chunks, request) = upload(page, FONT);
    let mut fetched = pin!(stand.handle.fetch(request));
    assert!(ready(fetched.as_mut()).is_none());
    let mut dispatch = stand.event(&mut inbox);
    assert!(send(&mut chunks, "first "));
    assert_eq!(next(&mut dispatch.body), Some(Ok("first ".into())));
    dispatch.responder.respond(FetchAnswer::NotHandled);
    assert!(ready(fetched.as_mut()).is_none());
    assert!(send(&mut chunks, "second"));
    drop(chunks);
    let fetched = stand.settle("the response", fetched).unwrap();
    assert_eq!(fetched.answered_by, AnsweredBy::Network);
    assert_eq!(stand.network.last_body(), b"first second");
    // The worker may read on, for itself.
    assert_eq!(next(&mut dispatch.body), Some(Ok("second".into())));
    assert!(next(&mut dispatch.body).is_none());
}

#[test]
fn a_body_that_breaks_breaks_for_whoever_reads_it() {
    for answers in [true, false] {
        let mut stand = Stand::new(Policies::seeds());
        let (_start, mut inbox) = fonts(&mut stand);
        let page = stand.page(2, SITE);
        let (mut chunks, request) = upload(page, FONT);
        let mut fetched = pin!(stand.handle.fetch(request));
        assert!(ready(fetched.as_mut()).is_none());
        let mut dispatch = stand.event(&mut inbox);
        let broken = BodyError::Broken("reset".into());
        assert!(ready(pin!(chunks.feed(Err(broken.clone())))).is_some());
        assert_eq!(next(&mut dispatch.body), Some(Err(broken)));
        dispatch.responder.respond(match answers {
            true => ok("whatever"),
            false => FetchAnswer::NotHandled,
        });
        let fetched = stand.settle("what comes of it", fetched);
        assert_eq!(fetched.is_ok(), answers, "{fetched:?}");
    }
}

#[test]
fn a_worker_that_is_told_to_stop_before_it_answers_reads_no_body_any_more() {
    let mut stand = Stand::new(Policies::seeds());
    let (start, mut inbox) = fonts(&mut stand);
    let page = stand.page(2, SITE);
    let (chunks, request) = upload(page, FONT);
    let mut fetched = pin!(stand.handle.fetch(request));
    assert!(ready(fetched.as_mut()).is_none());
    let mut dispatch = stand.event(&mut inbox);
    dispatch.responder.respond_with_entered();
    assert!(ready(fetched.as_mut()).is_none());
    // The event timeout is 5 min.
    stand.clock.pass(Duration::from_secs(301));
    stand.stop();
    let failed = stand.settle("the failure", fetched).unwrap_err();
    assert!(matches!(failed, FetchError::Worker { .. }), "{failed}");
    drop(dispatch);
    assert!(chunks.is_closed());
    stand.died(&start);
}

#[test]
fn a_client_that_aborts_is_noticed_before_the_answer_and_not_after() {
    let mut stand = Stand::new(Policies::seeds());
    let (_start, mut inbox) = stand.activated();
    let mut aborted = Box::pin(stand.handle.fetch(navigation(&stand, 1, SITE)));
    let mut answered = Box::pin(stand.handle.fetch(navigation(&stand, 2, SITE)));
    let mut unanswered = Box::pin(stand.handle.fetch(navigation(&stand, 3, SITE)));
    let dispatches = [&mut aborted, &mut answered, &mut unanswered].map(|fetched| {
        assert!(ready(fetched.as_mut()).is_none());
        stand.event(&mut inbox)
    });
    let [first, second, third] = dispatches;
    let aborts = [&first, &second, &third].map(|dispatch| dispatch.responder.aborted());
    let [mut aborts, mut settles, mut ends] = aborts.map(Box::pin);
    assert!(ready(aborts.as_mut()).is_none());
    assert!(ready(settles.as_mut()).is_none());
    assert!(ready(ends.as_mut()).is_none());
    drop(aborted);
    assert_eq!(ready(aborts.as_mut()), Some(true));
    second.responder.respond(ok("hello"));
    assert_eq!(ready(settles.as_mut()), Some(false));
    drop(third.responder);
    assert_eq!(ready(ends.as_mut()), Some(false));
    stand.settle("the page", answered).unwrap();
}

#[test]
fn a_client_that_reads_no_more_of_a_response_lets_go_of_the_workers_stream() {
    let mut stand = Stand::new(Policies::seeds());
    let (_start, mut inbox) = stand.activated();
    let mut fetched = pin!(stand.handle.fetch(navigation(&stand, 1, SITE)));
    assert!(ready(fetched.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    let (mut chunks, body) = mpsc::channel(0);
    dispatch.responder.respond(ok(Body::from_stream(body)));
    let mut fetched = stand.settle("the page", fetched).unwrap();
    assert!(send(&mut chunks, "first"));
    assert!(!send(&mut chunks, "second"));
    let body = &mut fetched.response.body;
    assert_eq!(next(body), Some(Ok("first".into())));
    assert!(!chunks.is_closed());
    drop(fetched);
    assert!(chunks.is_closed());
    drop(dispatch.keep_alive);
}
