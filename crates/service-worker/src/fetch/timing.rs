//! When things happened on a fetch's way to a worker. (*Service Workers*, "service worker timing
//! info".)

use std::time::Instant;

use fetch_router::RouterSourceEnum;

/// A *service worker timing info*, by the host's clock. `None` where the standard has 0 or an empty
/// string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceWorkerTiming {
    /// *Start time*: the worker was about to be run, or asked if it ran already. Of a fall-through worker:
    /// only if it has answered, and its answer shows its timing.
    pub start: Option<Instant>,
    /// *Fetch event dispatch time*: the event was on its way to the worker.
    pub fetch_event_dispatch: Option<Instant>,
    /// *Worker router evaluation start*.
    pub router_evaluation_start: Option<Instant>,
    /// *Worker cache lookup start*.
    pub cache_lookup_start: Option<Instant>,
    /// *Worker matched router source*.
    pub matched_router_source: Option<RouterSourceEnum>,
    /// *Worker final router source*.
    pub final_router_source: Option<RouterSourceEnum>,
}
