//! Navigation preload: the network's answer, fetched beside the worker's start. (*Service Workers*,
//! *Handle Fetch*, "If request is a navigation request, registration's navigation preload enabled
//! flag is set …".)

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use fetch_router::{Verdict, navigation_preload};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::HeaderMap;
use sw_registry::Snapshot;
use sw_types::fetch::{CacheMode, ResponseType};

use super::FetchError;
use super::hop::filtered;
use super::network::Asked;
use crate::shared::Shared;
use crate::{Body, PreloadResponse, Response};

/// A preload on its way; it goes on only while it is polled.
pub(super) struct Preload(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Preload {
    /// Begins one, if the registration wants it for this request; and what the event shows of it.
    pub(super) fn begin(
        registration: &Snapshot,
        own: Verdict,
        asked: Asked<'_>,
        network: (&HeaderMap, CacheMode),
    ) -> Option<(Self, PreloadResponse)> {
        let preload = &registration.navigation_preload;
        let head = navigation_preload(asked.head, own, preload)?;
        let (headers, cache) = (network.0.clone(), network.1);
        let (mut sender, response) = PreloadResponse::pending();
        let Asked {
            shared,
            client,
            environment,
            ..
        } = asked;
        let (shared, environment) = (Arc::clone(shared), environment.clone());
        let preloading = async move {
            let asked = Asked {
                shared: &shared,
                head: &head,
                client,
                environment: &environment,
            };
            let fetched = fetch(asked, headers, cache);
            if let Some(result) = unless_unwanted(&mut sender, fetched).await {
                // Nobody may want it any more.
                let _unwanted = sender.send(result.map_err(|error| error.to_string()));
            }
        };
        Some((Self(Box::pin(preloading)), response))
    }
}

async fn fetch(
    asked: Asked<'_>,
    headers: HeaderMap,
    cache: CacheMode,
) -> Result<Response, FetchError> {
    let sent = asked.send(Body::empty(), headers, cache).await?;
    let mut response = filtered(asked.head, sent.response, fetch_router::filter_network)?;
    // The navigation itself could follow a redirect; a worker sees of it what its own `fetch()` of
    // the request would show.
    if matches!(response.head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        response.head.response_type = ResponseType::OpaqueRedirect;
    }
    Ok(response)
}

/// Drops `future` once nobody wants what it gives.
async fn unless_unwanted<T, F: Future>(
    sender: &mut oneshot::Sender<T>,
    future: F,
) -> Option<F::Output> {
    match select(pin!(future), sender.cancellation()).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// Waits for `dispatched`, while the preload goes on. If that is not over by then it goes on in the
/// background, until the event is over: `waitUntil` may wait for it.
pub(super) async fn beside<T>(
    shared: &Shared,
    preload: Option<Preload>,
    dispatched: impl Future<Output = T>,
) -> T {
    let mut preloading = preload.map(|preload| preload.0);
    let mut dispatched = pin!(dispatched);
    let output = poll_fn(|cx| {
        if let Some(running) = &mut preloading
            && running.as_mut().poll(cx).is_ready()
        {
            preloading = None;
        }
        dispatched.as_mut().poll(cx)
    })
    .await;
    if let Some(preloading) = preloading {
        shared.in_background(preloading);
    }
    output
}
