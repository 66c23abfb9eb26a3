//! When a fetch did what. (*Fetch*, "fetch timing info".)

use std::time::Instant;

use service_worker::ServiceWorkerTiming;

/// A *fetch timing info*, by the host's clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchTiming {
    /// *Start time*.
    pub start: Instant,
    /// *Redirect start time* and *redirect end time*, if there was a redirect.
    pub redirect: Option<(Instant, Instant)>,
    /// *Post-redirect start time*.
    pub post_redirect_start: Instant,
    /// The *service worker timing info* of the first hop that a worker or a router rule had part in.
    pub worker: ServiceWorkerTiming,
    /// When the head of the last response was there.
    pub response_start: Option<Instant>,
    /// How many redirects were followed.
    pub redirects: u16,
    /// *ALPN negotiated protocol* of the *final connection timing info*; empty without a connection.
    pub protocol: &'static str,
}

impl FetchTiming {
    pub(crate) fn starting(now: Instant) -> Self {
        Self {
            start: now,
            redirect: None,
            post_redirect_start: now,
            worker: ServiceWorkerTiming::default(),
            response_start: None,
            redirects: 0,
            protocol: "",
        }
    }

    /// A hop has answered.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        worker: ServiceWorkerTiming,
        protocol: &'static str,
    ) {
        self.response_start = Some(now);
        self.protocol = protocol;
        if self.worker == ServiceWorkerTiming::default() {
            self.worker = worker;
        }
    }

    /// Another fetch has come further: its own hop of a navigation, whose redirects are followed here.
    pub(crate) fn followed(&mut self, hop: Self) {
        self.response_start = hop.response_start;
        self.protocol = hop.protocol;
        if self.worker == ServiceWorkerTiming::default() {
            self.worker = hop.worker;
        }
    }

    /// A redirect is followed. It started where the network was asked, after the worker.
    pub(crate) fn redirected(&mut self, now: Instant) {
        let after_worker = self.worker.fetch_event_dispatch.unwrap_or(self.start);
        let started = self.redirect.map_or(after_worker, |(started, _)| started);
        self.redirect = Some((started, now));
        self.post_redirect_start = now;
        self.redirects = self.redirects.saturating_add(1);
    }

    /// When the last hop was on its way to whoever answered it: after its router rules and the start
    /// of its worker.
    #[must_use]
    pub fn fetch_start(&self) -> Instant {
        let worker = &self.worker;
        let steps = [
            worker.router_evaluation_start,
            worker.cache_lookup_start,
            worker.fetch_event_dispatch,
        ];
        let last = steps.into_iter().flatten().max();
        last.map_or(self.post_redirect_start, |last| {
            last.max(self.post_redirect_start)
        })
    }
}
