//! The compiled router rules of active workers: made once for a worker, read by its fetches.

use std::sync::{Arc, Weak};

use dashmap::DashMap;
use fetch_router::RouterRules;
use sw_registry::ActiveWorker;
use sw_types::{EncodedRouterRule, WorkerId};

/// See the module. An entry counts for as long as its worker's records are the same.
#[derive(Default)]
pub(crate) struct CompiledRoutes(DashMap<WorkerId, Compiled>);

struct Compiled {
    of: Weak<[EncodedRouterRule]>,
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
            && std::ptr::addr_eq(compiled.of.as_ptr(), Arc::as_ptr(records))
        {
            return Some(Arc::clone(&compiled.rules));
        }
        let rules = RouterRules::decode(records).unwrap_or_else(|error| {
            tracing::warn!(worker = %active.id, %error, "its router rules are left out");
            RouterRules::default()
        });
        let rules = Arc::new(rules);
        // Those of workers that are gone go with the next that comes.
        self.0.retain(|_, compiled| compiled.of.strong_count() > 0);
        let compiled = Compiled {
            of: Arc::downgrade(records),
            rules: Arc::clone(&rules),
        };
        self.0.insert(active.id, compiled);
        Some(rules)
    }
}
