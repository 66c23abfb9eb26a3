//! The fetch events of a service worker: on their way to its realm, and in progress there.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, Aborted};
use rquickjs::Ctx;
use serde_json::json;
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{ClientId, EventId};
use service_worker::{Body, FetchAnswer, FetchDetail, FetchDispatch, Response};

use super::JsBytes;
use super::client_ids;
use super::json::Json;
use super::ops::{fetch, heads};
use super::realm::{Completion, RealmState};
use super::sent_body::{Alive, Ends, Reader, SentBody};

/// A fetch event on its way to the worker's realm.
pub(super) struct Incoming {
    pub(super) event: EventId,
    pub(super) detail: FetchDetail,
    pub(super) body: Body,
    /// What `preloadResponse` settles with.
    pub(super) preload: Option<Preload>,
    /// Takes what the event says; dropped before an answer, the client learns that the worker died.
    pub(super) respond: Respond,
    /// Ends with whether the client aborts its fetch.
    pub(super) aborted: WhenAborted,
    /// Dropped when the event is over.
    pub(super) keep_alive: Box<dyn Any + Send>,
}

pub(super) type Preload = Pin<Box<dyn Future<Output = Result<Response, String>> + Send>>;
pub(super) type WhenAborted = Pin<Box<dyn Future<Output = bool> + Send>>;
type Respond = Box<dyn FnMut(Said) + Send>;

impl From<FetchDispatch> for Incoming {
    fn from(dispatch: FetchDispatch) -> Self {
        let aborted = dispatch.responder.aborted();
        let mut responder = Some(dispatch.responder);
        Self {
            event: dispatch.event,
            detail: dispatch.detail,
            body: dispatch.body,
            preload: dispatch.preload.map(|preload| Box::pin(preload) as Preload),
            respond: Box::new(move |said| match said {
                Said::Entered => {
                    if let Some(responder) = &mut responder {
                        responder.respond_with_entered();
                    }
                }
                Said::Answer(answer) => {
                    if let Some(responder) = responder.take() {
                        responder.respond(answer);
                    }
                }
            }),
            aborted: Box::pin(aborted),
            keep_alive: Box::new(dispatch.keep_alive),
        }
    }
}

/// What a fetch event says to its client.
pub(super) enum Said {
    /// `respondWith` was called; the answer follows.
    Entered,
    /// How it was answered.
    Answer(FetchAnswer),
}

/// The fetch events of one worker.
pub(super) type Inbox = Pin<Box<dyn Stream<Item = Incoming> + Send>>;

/// Dispatches fetch events, one after another as they come.
pub(super) fn serve(realm: &RealmState, mut inbox: Inbox) {
    realm.spawn(Box::pin(async move {
        let next = inbox.next().await;
        let completion: Completion = Box::new(move |ctx| {
            if let (Some(incoming), Some(realm)) = (next, super::realm::state_of(ctx)) {
                serve(&realm, inbox);
                dispatch(ctx, &realm, incoming);
            }
        });
        completion
    }));
}

fn dispatch(ctx: &Ctx<'_>, realm: &RealmState, incoming: Incoming) {
    let Incoming {
        event,
        detail,
        body,
        preload,
        respond,
        aborted,
        keep_alive,
    } = incoming;
    let Some(fetches) = realm.service::<Fetches>() else {
        return;
    };
    let client = |client: Option<ClientId>| client.map_or(String::new(), client_ids::shown);
    // Bytes that are there go along; a stream is read as the worker wants it.
    let body = detail.request.has_body.then_some(body);
    let bytes = body.as_ref().and_then(Body::bytes).map(JsBytes);
    let stream = body.filter(|_| bytes.is_none()).map(|body| {
        let is_stream = body.length().is_none();
        json!({ "id": fetch::keep_body(realm, body), "isStream": is_stream })
    });
    let shown = json!({
        "head": heads::event_request_to_js(realm, &detail.request),
        "clientId": client(detail.client),
        "resultingClientId": client(detail.resulting_client),
        "replacesClientId": client(detail.request.replaces_client),
        "isFallThrough": detail.is_fall_through,
        "origin": detail.origin,
        "stream": stream,
        "isPreloaded": preload.is_some(),
    });
    fetches.begin(event, respond, aborted, preload, keep_alive);
    let dispatched = realm.call(ctx, "fetch", (event.0, Json(shown), bytes));
    if dispatched.is_none() && !realm.is_killed() {
        let why = "the fetch event could not be dispatched".to_owned();
        fetches.answer(event, FetchAnswer::Failed(why));
        fetches.finish(event);
    }
}

/// The fetch events in progress: a service of the realm, which the host lets go of when the worker
/// is gone, also if its thread is not.
#[derive(Default)]
pub(super) struct Fetches(Mutex<BTreeMap<EventId, InProgress>>);

struct InProgress {
    respond: Option<Respond>,
    aborted: Option<WhenAborted>,
    preload: Option<Preload>,
    /// Ends the preload with the event.
    preloading: Option<AbortOnDrop>,
    body: Option<SentBody>,
    /// Who reads that body.
    reader: Option<Reader>,
    /// Dropped with the rest, if the body does not end before.
    alive: Option<Alive>,
    /// The event is over, and only its response's body is still to come.
    over: bool,
    _keep_alive: Box<dyn Any + Send>,
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fetches {
    /// Leaves all unanswered, and bodies without an end: their clients learn that the worker is gone.
    pub(super) fn abandon(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EventId, InProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(
        &self,
        event: EventId,
        respond: Respond,
        aborted: WhenAborted,
        preload: Option<Preload>,
        keep_alive: Box<dyn Any + Send>,
    ) {
        let in_progress = InProgress {
            respond: Some(respond),
            aborted: Some(aborted),
            preload,
            preloading: None,
            body: None,
            reader: None,
            alive: None,
            over: false,
            _keep_alive: keep_alive,
        };
        self.lock().insert(event, in_progress);
    }

    /// What of an event can be taken once.
    fn take<T>(
        &self,
        event: EventId,
        what: impl FnOnce(&mut InProgress) -> Option<T>,
    ) -> Option<T> {
        self.lock().get_mut(&event).and_then(what)
    }

    /// Answers, if nothing did yet.
    pub(super) fn answer(&self, event: EventId, answer: FetchAnswer) {
        let respond = self.take(event, |fetch| fetch.respond.take());
        if let Some(mut respond) = respond {
            respond(Said::Answer(answer));
        }
    }

    /// `respondWith` was called.
    pub(super) fn entered(&self, event: EventId) {
        let mut fetches = self.lock();
        if let Some(respond) = fetches
            .get_mut(&event)
            .and_then(|fetch| fetch.respond.as_mut())
        {
            respond(Said::Entered);
        }
    }

    /// Whether the client aborts, once it is known. Asked once.
    pub(super) async fn aborted(self: Arc<Self>, event: EventId) -> bool {
        match self.take(event, |fetch| fetch.aborted.take()) {
            Some(aborted) => aborted.await,
            None => false,
        }
    }

    /// The navigation preload's response, or why there is none. Asked once; ends with the event.
    pub(super) async fn preload(self: Arc<Self>, event: EventId) -> Result<Response, String> {
        let (abort, registration) = AbortHandle::new_pair();
        let preload = self.take(event, |fetch| {
            fetch.preloading = Some(AbortOnDrop(abort));
            fetch.preload.take()
        });
        let preload = preload.ok_or_else(|| "nothing is preloaded".to_owned())?;
        let over = |Aborted| Err("the event was over before it came".to_owned());
        let response = Abortable::new(preload, registration).await;
        response.unwrap_or_else(over)
    }

    /// Answers with a response; its body, unless it is given, follows.
    pub(super) fn respond(&self, event: EventId, head: ResponseHead, body: Option<Body>) {
        let body = body.unwrap_or_else(|| {
            let Ends {
                sender,
                alive,
                reader,
                body,
            } = SentBody::ends();
            if let Some(fetch) = self.lock().get_mut(&event) {
                fetch.body = Some(sender);
                fetch.alive = Some(alive);
                fetch.reader = Some(reader);
            }
            body
        });
        let response = Response { head, body };
        self.answer(event, FetchAnswer::Response(Box::new(response)));
    }

    /// Where the body of the response is sent; `None` if it is sent already.
    pub(super) fn body(&self, event: EventId) -> Option<SentBody> {
        self.lock().get(&event)?.body.clone()
    }

    /// Who reads the body of the response. Asked once.
    pub(super) fn reader(&self, event: EventId) -> Option<Reader> {
        self.take(event, |fetch| fetch.reader.take())
    }

    /// Where the body of the response is sent, for what is the last of it; and what is to be kept
    /// until that is sent: without it, the worker may be idle, and stopped.
    pub(super) fn take_body(&self, event: EventId) -> Option<(SentBody, impl Sized + use<>)> {
        let mut fetches = self.lock();
        let fetch = fetches.get_mut(&event)?;
        let sender = fetch.body.take();
        let alive = fetch.alive.take();
        let done = if fetch.over {
            fetches.remove(&event)
        } else {
            None
        };
        drop(fetches);
        Some((sender?, (alive, done)))
    }

    /// The event is over. False if it is no fetch event.
    pub(super) fn finish(&self, event: EventId) -> bool {
        let mut fetches = self.lock();
        let Some(fetch) = fetches.get_mut(&event) else {
            return false;
        };
        fetch.over = true;
        let preloading = (fetch.preload.take(), fetch.preloading.take());
        let done = if fetch.body.is_none() {
            fetches.remove(&event)
        } else {
            None
        };
        drop(fetches);
        drop((preloading, done));
        true
    }
}
