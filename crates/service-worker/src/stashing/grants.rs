//! Which messages of durable entries may be dispatched. (SEMANTICS §5.3.)
//!
//! After a crash it must be known which messages a worker may have been given. An entry has a row for
//! that, its *cursor*, which is written in the same commit as a message that can be delivered at once:
//! so a message costs one commit. The cursor runs ahead of what is dispatched by [`AHEAD`] messages at
//! most, and is set back to the very place at a clean end.

use std::mem;

use stash::EntryId;
use stash::record::{Kind, StoredCursor};

use super::Arc;
use super::durable::put;
use super::journal::Then;
use super::parked::{Parked, Stored};
use crate::driver::Driver;
use crate::functional::What;

/// How many messages of an entry may be dispatched before the store hears of the first of them.
const AHEAD: usize = 1024;

impl Driver {
    /// Grants what a worker that listens will be given next, up to the first message that has to be
    /// granted by itself: one that is redelivered, or carries kept ports.
    pub(super) fn grant_ahead(&mut self, id: EntryId) {
        let Some(known) = self.durable.entries.get_mut(&id) else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let mut stashing = shared.stashing();
        if known.ahead > AHEAD / 2 || !stashing.stash.listens(id) {
            return;
        }
        let before = known.granted;
        let Some(entry) = stashing.stash.entry_mut(id) else {
            return;
        };
        let is_granted = |parked: &mut Parked| parked.stored.is_some_and(|it| it.number < before);
        if entry.waiting_mut().next_back().is_none_or(is_granted) {
            return;
        }
        for parked in entry.waiting_mut() {
            let Some(stored) = parked.stored else { break };
            if stored.redelivered || parked.kept().next().is_some() || known.ahead >= AHEAD {
                break;
            }
            if stored.number >= known.granted {
                known.granted = stored.number + 1;
                known.ahead += 1;
            }
        }
        if known.granted > before {
            self.durable.journal.cursor(id, known.cursor());
        }
    }

    /// Whether a message may be dispatched; if not, the store is asked, and `then` follows. "Attempts
    /// are counted durably before each redelivery."
    pub(super) fn grant(&mut self, stored: &mut Stored, then: Then) -> bool {
        let id = stored.entry;
        // Its rows are gone, or are about to be: nothing is written any more.
        if !self.durable.entries.contains_key(&id) {
            return true;
        }
        if stored.redelivered {
            if mem::replace(&mut stored.counted, true) {
                return true;
            }
            stored.attempts = stored.attempts.saturating_add(1);
            let attempts = put(id, Kind::Attempts(stored.number), &stored.attempts);
            self.durable.journal.write(attempts);
            self.durable.journal.then(then);
            return false;
        }
        let Some(known) = self.durable.entries.get_mut(&id) else {
            return true;
        };
        if stored.number < known.confirmed {
            return true;
        }
        if stored.number >= known.granted {
            known.granted = stored.number + 1;
            known.ahead += 1;
            self.durable.journal.cursor(id, known.cursor());
        }
        self.durable.journal.then_behind(id, stored.number, then);
        self.grant_ahead(id);
        false
    }

    /// A message is given to the host.
    pub(super) fn grant_used(&mut self, stored: Stored) {
        let Some(known) = self.durable.entries.get_mut(&stored.entry) else {
            return;
        };
        if !stored.redelivered {
            known.dispatched = stored.number + 1;
            known.ahead = known.ahead.saturating_sub(1);
        }
        self.grant_ahead(stored.entry);
    }

    /// It was not dispatched after all: nobody has seen it.
    pub(super) fn grant_unused(&mut self, stored: &mut Stored) {
        if !self.durable.entries.contains_key(&stored.entry) {
            return;
        }
        if stored.redelivered {
            if mem::take(&mut stored.counted) {
                stored.attempts = stored.attempts.saturating_sub(1);
                let attempts = put(
                    stored.entry,
                    Kind::Attempts(stored.number),
                    &stored.attempts,
                );
                self.durable.journal.write_at_leisure(attempts);
            }
        } else if let Some(known) = self.durable.entries.get_mut(&stored.entry) {
            known.dispatched = stored.number;
            known.ahead += 1;
        }
    }

    /// At a clean end, what was granted and not dispatched is known; and it is not what is being
    /// delivered again that ends the browser.
    pub(super) fn exact_cursors(&mut self) {
        for found in self.functional.events.values() {
            if let What::Stashed {
                consumed: false,
                stored: Some(stored),
                ..
            } = found.what
                && stored.counted
                && self.durable.entries.contains_key(&stored.entry)
            {
                let attempts = stored.attempts.saturating_sub(1);
                let attempts = put(stored.entry, Kind::Attempts(stored.number), &attempts);
                self.durable.journal.write(attempts);
            }
        }
        for (id, known) in &self.durable.entries {
            if known.dispatched < known.granted {
                let granted = known.dispatched;
                let cursor = StoredCursor {
                    granted,
                    ..known.cursor()
                };
                self.durable.journal.cursor(*id, cursor);
            }
        }
    }
}
