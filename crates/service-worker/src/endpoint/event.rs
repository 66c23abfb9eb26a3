//! A fetch event, as it goes from a client to a worker.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use sw_types::fetch::{RequestHead, ResponseHead};
use sw_types::{ClientId, EventId};

use super::{KeepAlive, Responder};
use crate::Body;

/// A response: a head and a body.
#[derive(Debug)]
pub struct Response {
    /// The head.
    pub head: ResponseHead,
    /// The body.
    pub body: Body,
}

/// What a `fetch` event shows, beside its request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchDetail {
    /// The request.
    pub request: RequestHead,
    /// `clientId`; `None` is the empty string.
    pub client: Option<ClientId>,
    /// `resultingClientId`; `None` is the empty string.
    pub resulting_client: Option<ClientId>,
    /// `isFallThrough`.
    pub is_fall_through: bool,
    /// `origin`: for a fall-through request in cors mode the requester's serialized origin,
    /// otherwise the empty string.
    pub origin: String,
}

/// How a `fetch` event was answered.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the cases of the specification")]
pub enum FetchAnswer {
    /// `respondWith` was not called.
    NotHandled,
    /// `respondWith` was not called and `preventDefault` was.
    Canceled,
    /// `respondWith` fulfilled with a response.
    Response(Box<Response>),
    /// `respondWith` rejected, or fulfilled with something that is not a usable response.
    Failed(String),
}

/// A fetch event on its way to a worker.
#[derive(Debug)]
pub struct FetchDispatch {
    /// The event.
    pub event: EventId,
    /// What it shows.
    pub detail: FetchDetail,
    /// The request's body, which may still be on its way to the client. What the worker does not
    /// read is not asked of the client.
    pub body: Body,
    /// `preloadResponse`, if the navigation is fetched beside the event.
    pub preload: Option<PreloadResponse>,
    /// Answers it; dropped unanswered, the client learns that the worker died.
    pub responder: Responder,
    /// To be held until the event's lifetime promises have settled.
    pub keep_alive: KeepAlive,
}

/// A navigation preload: a future of what `preloadResponse` settles with, an error being why the
/// promise is rejected, for people. Dropping it aborts the preload.
#[derive(Debug)]
#[must_use = "dropping it aborts the preload"]
pub struct PreloadResponse(oneshot::Receiver<Result<Response, String>>);

impl PreloadResponse {
    pub(crate) fn pending() -> (oneshot::Sender<Result<Response, String>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }
}

impl Future for PreloadResponse {
    type Output = Result<Response, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = Pin::new(&mut self.0).poll(cx);
        let aborted = |_| Err("the navigation was aborted".to_owned());
        response.map(|response| response.unwrap_or_else(aborted))
    }
}

/// What is to be sent, to whichever run of a worker takes it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) detail: FetchDetail,
    pub(crate) body: Body,
    pub(crate) preload: Option<PreloadResponse>,
}

impl Parcel {
    pub(super) fn addressed(
        self,
        event: EventId,
        responder: Responder,
        keep_alive: KeepAlive,
    ) -> FetchDispatch {
        let Self {
            detail,
            body,
            preload,
        } = self;
        FetchDispatch {
            event,
            detail,
            body,
            preload,
            responder,
            keep_alive,
        }
    }
}
