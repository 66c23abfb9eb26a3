//! Router rules, as data: what `addRoutes()` leaves with a worker. What a rule means, and whether it
//! is one, is for the caller to know.

use std::sync::Arc;

use sw_types::{EncodedRouterRule, EventId, PromiseId, WorkerId};

use crate::{JobError, Lifecycle, Output, Registry, Settled};

impl Registry {
    /// A worker's *list of router rules*, also while it is installing; `None` if there is no such
    /// worker.
    #[must_use]
    pub fn router_rules(&self, worker: WorkerId) -> Option<Arc<[EncodedRouterRule]>> {
        Some(Arc::clone(&self.workers.get(&worker)?.router_rules))
    }

    /// `event.addRoutes()`, from where the rules have been verified: only while that install event
    /// is being handled.
    pub(crate) fn add_routes(
        &mut self,
        promise: PromiseId,
        worker: WorkerId,
        event: EventId,
        rules: Vec<EncodedRouterRule>,
    ) {
        let result = self
            .append_routes(worker, event, rules)
            .map(|()| Settled::Done);
        self.output(Output::Settle(promise, result));
    }

    fn append_routes(
        &mut self,
        worker: WorkerId,
        event: EventId,
        rules: Vec<EncodedRouterRule>,
    ) -> Result<(), JobError> {
        let most = self.limits.router_conditions;
        let installing = self
            .workers
            .get_mut(&worker)
            .filter(|worker| worker.lifecycle == Some((event, Lifecycle::Install)))
            .ok_or_else(|| {
                JobError::InvalidState(format!(
                    "{worker} is not handling this install event, so it adds no routes"
                ))
            })?;
        // *Check Router Registration Limit*.
        let listed = installing.router_rules.iter().cloned();
        let all: Arc<[EncodedRouterRule]> = listed.chain(rules).collect();
        let conditions = all
            .iter()
            .fold(0, |sum: u32, rule| sum.saturating_add(rule.conditions));
        if conditions > most {
            return Err(JobError::Type(format!(
                "the router rules have {conditions} conditions (expected at most {most})"
            )));
        }
        installing.router_rules = all;
        Ok(())
    }
}
