//! What the stash has for the store, in order: one commit at a time, and what comes meanwhile goes
//! into the next.
//!
//! What the store refuses stays at the head and is offered again after a while. So no message is
//! accepted before those that came before it, and a removal never overtakes what it removes.

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, Instant};

use stash::EntryId;
use stash::record::{Kind, StoredCursor};
use sw_registry::{StoreError, StoreWrite};
use sw_types::{EventId, WorkerId};

use super::durable::put;
use crate::Report;
use crate::driver::Driver;
use crate::shared::ToDriver;

/// How long what nobody waits for, the removal of consumed messages, waits for company.
const LEISURE: Duration = Duration::from_millis(250);
/// How long a store that refuses is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(crate) struct Journal {
    next: Batch,
    /// Whether somebody waits for the next commit.
    urgent: bool,
    /// When it is committed in any case.
    due: Option<Instant>,
    under_way: Option<Batch>,
    refusals: u32,
    retry_at: Option<Instant>,
    /// Payloads that could not be read, and when to try again.
    pub(super) unread: Vec<(Instant, WorkerId, EventId)>,
}

#[derive(Default)]
struct Batch {
    writes: Vec<StoreWrite>,
    /// What each entry's [`Kind::Cursor`] is to be.
    cursors: BTreeMap<EntryId, StoredCursor>,
    then: Vec<Then>,
}

/// What follows when the store has what was written before.
pub(super) enum Then {
    /// The oldest message of this entry that waits for it is accepted.
    Accepted(EntryId),
    /// An event may be dispatched.
    Granted(WorkerId, EventId),
}

impl Journal {
    pub(super) fn write(&mut self, writes: impl IntoIterator<Item = StoreWrite>) {
        let before = self.next.writes.len();
        self.next.writes.extend(writes);
        self.urgent |= self.next.writes.len() > before;
    }

    /// As [`Self::write`], without hurry.
    pub(super) fn write_at_leisure(&mut self, writes: impl IntoIterator<Item = StoreWrite>) {
        self.next.writes.extend(writes);
    }

    pub(super) fn cursor(&mut self, entry: EntryId, cursor: StoredCursor) {
        self.cursor_at_leisure(entry, cursor);
        self.urgent = true;
    }

    /// As [`Self::cursor`], without hurry.
    pub(super) fn cursor_at_leisure(&mut self, entry: EntryId, cursor: StoredCursor) {
        self.next.cursors.insert(entry, cursor);
    }

    /// Nothing of this entry is written any more.
    pub(super) fn forget(&mut self, entry: EntryId) {
        self.next.cursors.remove(&entry);
    }

    pub(super) fn then(&mut self, then: Then) {
        self.next.then.push(then);
        self.urgent = true;
    }

    /// When to commit, or to read, again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let unread = self.unread.iter().map(|(at, ..)| *at).min();
        let commit = match self.under_way {
            Some(_) => None,
            None => self.retry_at.or(self.due),
        };
        commit.into_iter().chain(unread).min()
    }

    /// What to commit now.
    fn take_due(&mut self, now: Instant) -> Option<Vec<StoreWrite>> {
        let empty = self.next.writes.is_empty()
            && self.next.cursors.is_empty()
            && self.next.then.is_empty();
        if empty || self.under_way.is_some() {
            return None;
        }
        let due = match self.retry_at {
            Some(at) => at <= now,
            None => self.urgent || *self.due.get_or_insert(now + LEISURE) <= now,
        };
        due.then(|| self.take())
    }

    fn take(&mut self) -> Vec<StoreWrite> {
        (self.urgent, self.due, self.retry_at) = (false, None, None);
        let batch = mem::take(&mut self.next);
        let writes = batch.all_writes();
        self.under_way = Some(batch);
        writes
    }

    /// As [`Self::then`], when the store has this entry's cursor behind that number.
    pub(super) fn then_behind(&mut self, entry: EntryId, number: u64, then: Then) {
        let is_behind = |batch: &&mut Batch| {
            let cursor = batch.cursors.get(&entry);
            cursor.is_some_and(|cursor| cursor.granted > number)
        };
        match self.under_way.as_mut().filter(is_behind) {
            Some(batch) => batch.then.push(then),
            None => self.then(then),
        }
    }

    fn committed(&mut self) -> Batch {
        self.refusals = 0;
        self.under_way.take().unwrap_or_default()
    }

    /// Whether it is the first time in a row.
    fn refused(&mut self, now: Instant) -> bool {
        let mut batch = self.under_way.take().unwrap_or_default();
        batch.append(mem::take(&mut self.next));
        self.next = batch;
        let factor = 2_u32.saturating_pow(self.refusals);
        self.refusals = self.refusals.saturating_add(1);
        self.retry_at = now.checked_add(FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE));
        self.refusals == 1
    }
}

impl Batch {
    fn all_writes(&self) -> Vec<StoreWrite> {
        let cursors = self.cursors.iter();
        let cursors = cursors.flat_map(|(id, cursor)| put(*id, Kind::Cursor, cursor));
        self.writes.iter().cloned().chain(cursors).collect()
    }

    fn append(&mut self, mut after: Self) {
        let gone = |write: &StoreWrite, id: &EntryId| {
            let prefix = stash::record::of_entry(*id);
            matches!(write, StoreWrite::RemoveRows(rows) if *rows == prefix)
        };
        // An entry that went meanwhile has no cursor.
        self.cursors
            .retain(|id, _| !after.writes.iter().any(|write| gone(write, id)));
        self.writes.append(&mut after.writes);
        self.cursors.append(&mut after.cursors);
        self.then.append(&mut after.then);
    }
}

impl Driver {
    /// Hands the store what is due.
    pub(crate) fn commit_stash(&mut self) {
        let now = self.shared.clock.now();
        let Some(writes) = self.durable.journal.take_due(now) else {
            return;
        };
        let stored = self.store.commit(writes);
        let driver = self.shared.driver();
        self.background.push(Box::pin(async move {
            // A driver that is gone has no use for it.
            let _gone = driver.unbounded_send(ToDriver::StashCommitted(stored.await));
        }));
    }

    /// "Accepted when the store has confirmed it."
    pub(crate) fn stash_committed(&mut self, result: Result<(), StoreError>) {
        let Err(error) = result else {
            let batch = self.durable.journal.committed();
            for (id, cursor) in batch.cursors {
                if let Some(known) = self.durable.entries.get_mut(&id) {
                    known.confirmed = known.confirmed.max(cursor.granted);
                }
            }
            for then in batch.then {
                match then {
                    Then::Accepted(entry) => self.stash_input(stash::Input::Accepted { entry }),
                    Then::Granted(worker, event) => self.granted(worker, event),
                }
            }
            return;
        };
        let now = self.shared.clock.now();
        tracing::warn!(%error, "the store has refused something of the stash");
        if self.durable.journal.refused(now) {
            self.shared.report(Report::StashNotStored { error });
        }
    }

    /// All that the store is to have, at the end. Its answer comes too late for anybody.
    pub(crate) fn last_commit(&mut self) {
        self.exact_cursors();
        if let Some(batch) = self.durable.journal.under_way.take() {
            // It is written already, or written again: both come to the same.
            let later = mem::replace(&mut self.durable.journal.next, batch);
            self.durable.journal.next.append(later);
        }
        let writes = self.durable.journal.take();
        if !writes.is_empty() {
            drop(self.store.commit(writes));
        }
    }
}
