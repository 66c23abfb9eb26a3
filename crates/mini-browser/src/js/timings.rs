//! What a realm's fetches took, until its prelude asks for it. (*Resource Timing*, *Navigation
//! Timing*; *Fetch*, "report timing".)

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_channel::mpsc;
use futures_core::Stream;
use serde_json::{Value, json};
use service_worker::Body;
use service_worker::fetch_router::RouterSourceEnum;
use service_worker::types::fetch::{ResponseHead, ResponseType, mime_essence};
use url::Url;

use super::documents::{DocumentTiming, NavigationKind};
use super::realm::RealmState;
use crate::fetch::{FetchParams, FetchTiming, FetchedResponse, Source};

/// The length that a response's head counts in `transferSize`, in bytes. (*Resource Timing*, "the
/// transferSize getter steps".)
const HEAD_LENGTH: usize = 300;

/// The entries of a realm that its prelude has not asked for.
pub(super) struct Timings {
    sender: mpsc::UnboundedSender<Value>,
    entries: RefCell<mpsc::UnboundedReceiver<Value>>,
    navigation: RefCell<Option<Value>>,
}

impl Default for Timings {
    fn default() -> Self {
        let (sender, entries) = mpsc::unbounded();
        Self {
            sender,
            entries: RefCell::new(entries),
            navigation: RefCell::default(),
        }
    }
}

impl Timings {
    /// The next entry, if there is one.
    pub(super) fn take(&self) -> Option<Value> {
        self.entries.borrow_mut().try_recv().ok()
    }

    /// The next entry, when there is one.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Value>> {
        Pin::new(&mut *self.entries.borrow_mut()).poll_next(cx)
    }

    /// Adds an entry.
    pub(super) fn add(&self, entry: Value) {
        // The receiver is here as well.
        let _added = self.sender.unbounded_send(entry);
    }

    /// The document's own entry.
    pub(super) fn navigation(&self) -> Option<Value> {
        self.navigation.borrow().clone()
    }

    /// The body of a fetched response, whose entry is added when it has been read or let go.
    pub(super) fn report(&self, measured: Measured, body: Option<Body>) -> Option<Body> {
        let mut ending = Ending {
            measured,
            length: 0,
            sender: self.sender.clone(),
        };
        // Without a body, the entry is added here.
        let body = body?;
        Some(body.inspected(move |chunk| ending.count(chunk.len())))
    }
}

/// Adds its entry when it is dropped: where the body ends.
struct Ending {
    measured: Measured,
    length: usize,
    sender: mpsc::UnboundedSender<Value>,
}

impl Ending {
    const fn count(&mut self, length: usize) {
        self.length += length;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let entry = self.measured.entry(Instant::now(), self.length);
        // The realm may be gone.
        let _unread = self.sender.unbounded_send(entry);
    }
}

/// The document of a realm comes from that navigation: it has its time origin, and an entry of its
/// own.
pub(super) fn navigated(realm: &RealmState, timing: DocumentTiming) -> Navigated {
    realm.set_started(timing.fetch.start);
    let DocumentTiming {
        url,
        fetch,
        response,
        source,
        end,
        length,
        kind,
    } = timing;
    let measured = Measured {
        origin: fetch.start,
        timing: fetch,
        initiator: "navigation",
        name: realm.environment().creation_url.clone(),
        response: Some((response, source)),
    };
    let mut entry = measured.entry(end, length);
    entry["type"] = match kind {
        NavigationKind::New => "navigate",
        NavigationKind::Reload => "reload",
        NavigationKind::Traverse => "back_forward",
    }
    .into();
    realm.local::<Timings>().navigation.replace(Some(entry));
    Navigated {
        measured,
        url,
        end,
        length,
    }
}

/// A navigation that has ended.
pub(super) struct Navigated {
    measured: Measured,
    url: Url,
    end: Instant,
    length: usize,
}

impl Navigated {
    /// A frame's document is a resource of the document that the frame is in.
    pub(super) fn report_to(mut self, container: &RealmState) {
        self.measured.origin = container.started();
        self.measured.initiator = "iframe";
        self.measured.name = self.url;
        let entry = self.measured.entry(self.end, self.length);
        container.local::<Timings>().add(entry);
    }
}

/// A fetch that goes on.
pub(super) struct Measuring {
    origin: Instant,
    start: Instant,
    initiator: &'static str,
    name: Url,
}

impl Measuring {
    /// `None`: only what is asked over HTTP leaves an entry.
    pub(super) fn begin(
        realm: &RealmState,
        params: &FetchParams,
        initiator: &'static str,
    ) -> Option<Self> {
        let name = params.head.url_list.first()?;
        matches!(name.scheme(), "http" | "https").then(|| Self {
            origin: realm.started(),
            start: Instant::now(),
            initiator,
            name: name.clone(),
        })
    }

    /// It has come to a response, or to a network error.
    pub(super) fn ended(self, fetched: Option<&mut FetchedResponse>) -> Measured {
        let (timing, response) = match fetched {
            Some(fetched) => {
                let response = (fetched.head.clone(), fetched.source);
                (fetched.timing.take(), Some(response))
            }
            None => (None, None),
        };
        Measured {
            origin: self.origin,
            timing: timing.map_or_else(|| FetchTiming::starting(self.start), |timing| *timing),
            initiator: self.initiator,
            name: self.name,
            response,
        }
    }
}

/// A response, and how it came.
pub(super) struct Measured {
    /// The time origin of the realm.
    pub(super) origin: Instant,
    pub(super) timing: FetchTiming,
    pub(super) initiator: &'static str,
    pub(super) name: Url,
    /// `None`: a network error.
    pub(super) response: Option<(ResponseHead, Source)>,
}

impl Measured {
    /// What the facade fetched from the network for a service worker, who asked at `start`.
    pub(super) fn for_worker(
        realm: &RealmState,
        initiator: &'static str,
        (name, start): (Url, Instant),
        head: ResponseHead,
    ) -> Self {
        let mut timing = FetchTiming::starting(start);
        timing.response_start = Some(Instant::now());
        Self {
            origin: realm.started(),
            timing,
            initiator,
            name,
            response: Some((head, Source::Network)),
        }
    }

    /// The entry, as the prelude takes it: times in milliseconds since the time origin, 0 for what
    /// was not, or may not be known.
    pub(super) fn entry(&self, end: Instant, length: usize) -> Value {
        let at = |time: Instant| {
            let after = time.saturating_duration_since(self.origin).as_secs_f64();
            let before = self.origin.saturating_duration_since(time).as_secs_f64();
            (after - before) * 1000.0
        };
        let or_zero = |time: Option<Instant>| time.map_or(0.0, at);
        let timing = &self.timing;
        let worker = &timing.worker;
        let head = self.response.as_ref().map(|(head, _)| head);
        let source = self.response.as_ref().map(|(_, source)| *source);
        let of_network = source == Some(Source::Network);
        // "If response's timing allow passed flag is not set, then set timingInfo to a new opaque timing
        // info" (*Fetch*, "fetch response handover"); but what the own worker answered is its client's own
        // business, as browsers see it.
        let of_others = matches!(source, Some(Source::Network | Source::FallThrough));
        let is_hidden = match head {
            Some(head) => of_others && !head.timing_allow_passed,
            None => true,
        };
        let is_opaque = head.is_some_and(|head| head.response_type == ResponseType::Opaque);
        let from_cache = head.is_some_and(|head| head.from_cache);
        let length = if is_hidden || is_opaque { 0 } else { length };
        let redirect = timing.redirect.filter(|_| !is_hidden);
        let keyword = |source: Option<RouterSourceEnum>| source.map_or("", |it| it.as_str());
        let fetch_start = at(timing.fetch_start());
        // Connections are not measured: they begin and end with the fetch. (*Fetch*, "clamp and
        // coarsen connection timing info", of one that was reused.)
        let connected = if is_hidden { 0.0 } else { fetch_start };
        let transferred = if of_network && !is_hidden && !from_cache {
            length + HEAD_LENGTH
        } else {
            0
        };
        json!({
            "name": self.name.as_str(),
            "initiatorType": self.initiator,
            "startTime": at(timing.start),
            "redirectStart": or_zero(redirect.map(|(start, _)| start)),
            "redirectEnd": or_zero(redirect.map(|(_, end)| end)),
            "redirectCount": if redirect.is_some() { timing.redirects } else { 0 },
            "workerStart": or_zero(worker.start),
            "workerRouterEvaluationStart": or_zero(worker.router_evaluation_start),
            "workerCacheLookupStart": or_zero(worker.cache_lookup_start),
            "workerMatchedRouterSource": keyword(worker.matched_router_source),
            "workerFinalRouterSource": keyword(worker.final_router_source),
            "fetchStart": fetch_start,
            "domainLookupStart": connected,
            "domainLookupEnd": connected,
            "connectStart": connected,
            "connectEnd": connected,
            "secureConnectionStart": if self.name.scheme() == "https" { connected } else { 0.0 },
            "requestStart": connected,
            "responseStart": if is_hidden { 0.0 } else { or_zero(timing.response_start) },
            "responseEnd": at(end),
            "transferSize": transferred,
            "encodedBodySize": length,
            "decodedBodySize": length,
            "responseStatus": match head {
                Some(head) if !is_opaque => head.status.as_u16(),
                _ => 0,
            },
            "contentType": head
                .filter(|_| !is_opaque && !is_hidden)
                .and_then(|head| mime_essence(&head.headers))
                .unwrap_or_default(),
            "nextHopProtocol": if of_network && !is_hidden && !from_cache { timing.protocol } else { "" },
            "deliveryType": match worker.final_router_source {
                Some(RouterSourceEnum::Cache) => "cache-storage",
                _ if from_cache && !is_hidden => "cache",
                _ => "",
            },
        })
    }
}
