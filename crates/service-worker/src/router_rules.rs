//! The compiled router rules of active workers: made once for a worker, read by its fetches.

use std::sync::Arc;

use dashmap::DashMap;
use fetch_router::RouterRules;
use sw_registry::ActiveWorker;
use sw_types::{EncodedRouterRule, WorkerId};

/// See the module. An entry counts for as long as its worker's records are the same: those of a worker
/// do not change while it is active, but who looks it up may be given another copy of them.
#[derive(Default)]
pub(crate) struct CompiledRoutes(DashMap<WorkerId, Compiled>);

struct Compiled {
    of: Arc<[EncodedRouterRule]>,
    rules: Arc<RouterRules>,
}

impl CompiledRoutes {
    /// The rules of a worker; `None` if it has none, which costs nothing. Rules that cannot be read
    /// are none: its `fetch` event then decides, as if they had never been added.
    pub(crate) fn of(&self, active: &ActiveWorker) -> Option<Arc<RouterRules>> {
        let records = &active.router_rules;
        if records.is_empty() {
            return None;
        }
        if let Some(compiled) = self.0.get(&active.id)
            && (Arc::ptr_eq(&compiled.of, records) || compiled.of == *records)
        {
            return Some(Arc::clone(&compiled.rules));
        }
        let rules = RouterRules::decode(records).unwrap_or_else(|error| {
            tracing::warn!(worker = %active.id, %error, "its router rules are left out");
            RouterRules::default()
        });
        let rules = Arc::new(rules);
        // Those of workers that are gone go with the next that comes.
        self.0
            .retain(|_, compiled| Arc::strong_count(&compiled.of) > 1);
        let compiled = Compiled {
            of: Arc::clone(records),
            rules: Arc::clone(&rules),
        };
        self.0.insert(active.id, compiled);
        Some(rules)
    }
}
