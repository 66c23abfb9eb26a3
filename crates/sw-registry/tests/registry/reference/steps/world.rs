//! What the world does: it answers, or not, and time passes.

use std::time::Duration;

use http::StatusCode;
use sw_registry::{EventOutcome, ScriptFetchError};
use sw_types::{Timestamp, WorkerId, WorkerState};

use super::{IMPORTS, Random, Run};
use crate::harness::script;
use crate::model::Fetched;

impl Run {
    pub(super) fn answer_fetch(&mut self, random: &mut Random) {
        let at = random.below(self.host.held.fetches.len().max(1));
        let (Some((id, from)), Some(of)) = (
            self.host.held.fetches.remove(at),
            self.model.fetches.remove(at),
        ) else {
            return;
        };
        if IMPORTS.contains(&of.2) {
            self.see("an import that an update compares");
        }
        let (body, from_cache) = (random.body(), random.one_in(3));
        let mut answer = script(&body.to_string());
        answer.from_cache = from_cache;
        let (answer, fetched) = match random.below(12) {
            0 => (Err(ScriptFetchError("reset".to_owned())), Fetched::Failed),
            1 => {
                answer.headers.clear();
                (Ok(answer), Fetched::NoScript { from_cache })
            }
            2 => {
                (answer.status, answer.from_cache) = (StatusCode::FOUND, false);
                (Ok(answer), Fetched::Redirect)
            }
            _ => (Ok(answer), Fetched::Script { body, from_cache }),
        };
        self.host.scripts.insert(from.clone(), answer);
        self.host.answer_fetch(id, &from);
        self.host.pump();
        self.model.fetched(of, fetched);
    }

    pub(super) fn answer_start(&mut self, random: &mut Random) {
        let at = random.below(self.host.held.starts.len().max(1));
        let Some(worker) = self.host.held.starts.remove(at) else {
            return;
        };
        let fails = random.one_in(4);
        self.host.start_error = fails.then(|| "it threw".to_owned());
        self.host.start(worker);
        self.host.start_error = None;
        self.host.pump();
        if fails {
            self.model.not_started(worker);
        } else {
            self.model.started(worker);
        }
    }

    pub(super) fn answer_event(&mut self, random: &mut Random) {
        let at = random.below(self.host.held.events.len().max(1));
        let Some((worker, event, lifecycle)) = self.host.held.events.remove(at) else {
            return;
        };
        assert_eq!(self.model.workers[&worker].event, Some(lifecycle));
        let fulfilled = !random.one_in(4);
        let outcome = match fulfilled {
            true => EventOutcome::Fulfilled,
            false => EventOutcome::Rejected("no".to_owned()),
        };
        self.host.settle_event(worker, event, outcome);
        self.host.pump();
        self.model.event_over(worker, fulfilled);
    }

    /// The oldest write is durable, or is refused.
    pub(super) fn answer_write(&mut self, random: &mut Random) {
        if self.host.held.stores.is_empty() {
            return;
        }
        let refused = random.one_in(10);
        self.host.store_fails = refused;
        self.host.release_store();
        self.host.store_fails = false;
        self.model.stored(!refused);
        if refused {
            self.see("a write that is refused");
        }
        self.hear();
    }

    pub(super) fn crash(&mut self, random: &mut Random) {
        let running: Vec<_> = self.host.running.iter().copied().collect();
        let Some(worker) = random.pick(&running) else {
            return;
        };
        self.host.held.starts.retain(|starting| *starting != worker);
        let of_it = |(handling, ..): &(WorkerId, _, _)| *handling != worker;
        self.host.held.events.retain(of_it);
        self.host.dies(worker);
        self.model.died(worker);
    }

    /// A functional event begins at an active worker that runs.
    pub(super) fn busy(&mut self, random: &mut Random) {
        let live = |worker: &WorkerId| {
            let it = &self.model.workers[worker];
            it.running && it.state == WorkerState::Activated
        };
        let running: Vec<_> = self.host.running.iter().copied().filter(live).collect();
        if let Some(worker) = random.pick(&running) {
            self.host.busy.insert(worker, self.host.now.instant);
            let it = self.model.workers.get_mut(&worker);
            it.expect("it runs").busy = true;
        }
    }

    pub(super) fn idle(&mut self, random: &mut Random) {
        let busy: Vec<_> = self.host.busy.keys().copied().collect();
        if let Some(worker) = random.pick(&busy) {
            self.host.idle(worker);
            self.model.idle(worker);
        }
    }

    /// Somebody sets the clock, forwards or backwards.
    pub(super) fn jump(&mut self, random: &mut Random) {
        let days = 24 * 60 * 60 * 1000;
        let by = random.below(3 * days) as u64;
        let Timestamp(now) = self.host.now.wall;
        self.host.now.wall = Timestamp(match random.one_in(2) {
            true => now + by,
            false => now.saturating_sub(by),
        });
    }

    pub(super) fn pass(&mut self, random: &mut Random) {
        let longest = [1, 10, 40, 400, 90_000];
        let most = longest[random.below(longest.len())];
        let end = self.host.now.instant + Duration::from_secs(random.below(most) as u64);
        // One deadline after another, so that the model hears of each at its time.
        while let Some(at) = self.host.registry.poll_timeout().filter(|at| *at <= end) {
            self.host
                .pass(at.saturating_duration_since(self.host.now.instant));
            self.hear();
        }
        self.host
            .pass(end.saturating_duration_since(self.host.now.instant));
    }
}
