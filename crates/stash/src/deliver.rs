//! **Deliver**: what an entry has received goes to the worker that it is for. (SEMANTICS §5.3.)

use sw_types::{EventType, RegistrationId, WorkerId, WorkerState};

use crate::entry::{Afterwards, Entry};
use crate::worker::{Readiness, Run};
use crate::{EntryId, Item, Output, Stash};

impl<P, M> Stash<P, M> {
    // ---- Messages ----

    pub(crate) fn message_arrived(
        &mut self,
        id: EntryId,
        message: M,
        bytes: usize,
        accepted: bool,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return tracing::debug!(%id, "a message for an entry that is gone");
        };
        if !entry.is_entangled() {
            return tracing::warn!(%id, "a message after its sender was closed");
        }
        let registration = entry.registration();
        let taken = entry.push(message, bytes, accepted);
        let collection = self.collections.entry(registration).or_default();
        collection.bytes = collection.bytes.saturating_add(taken);
        self.enforce_quota(registration, id);
        if accepted {
            self.arrived(registration, id);
        }
    }

    /// "A message is accepted when the store has confirmed it."
    pub(crate) fn accepted(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return tracing::debug!(%id, "accepted for an entry that is gone");
        };
        let registration = entry.registration();
        if entry.accept() {
            self.arrived(registration, id);
        } else {
            tracing::warn!(%id, "has no message that waits to be accepted");
        }
    }

    fn arrived(&mut self, registration: RegistrationId, id: EntryId) {
        // Something new for a worker that ran without listening: it gets another chance.
        let target = self.target(id).and_then(|id| self.workers.get_mut(&id));
        if target.is_some_and(|worker| std::mem::take(&mut worker.deaf)) {
            self.deliver_all(registration);
        } else {
            self.deliver(id);
        }
    }

    /// "Queue over its quota → the entry closes, the peer gets `close`, the host is told."
    ///
    /// The quota is the registration's, so one flooded entry could close the others: the one that
    /// holds the most goes first, the one that just grew if several do.
    fn enforce_quota(&mut self, registration: RegistrationId, grown: EntryId) {
        while self.bytes(registration) > self.limits.queued_bytes {
            let size = |id: &EntryId| self.entries.get(id).map_or(0, Entry::queued_bytes);
            let all = self.all(registration).into_iter();
            let largest = all.max_by_key(|id| (size(id), *id == grown));
            let Some(entry) = largest else { return };
            tracing::warn!(%registration, %entry, "stashed messages are over their quota");
            self.outputs.push_back(Output::QuotaExceeded {
                registration,
                entry,
            });
            self.close(entry);
        }
    }

    fn bytes(&self, registration: RegistrationId) -> u64 {
        self.collections.get(&registration).map_or(0, |c| c.bytes)
    }

    /// "Removal: peer closes or is destroyed (queued messages first, then `close`)."
    pub(crate) fn peer_closed(&mut self, id: EntryId) {
        match self.entries.get_mut(&id) {
            Some(entry) if entry.is_entangled() => {
                entry.close_after_last_message();
                self.deliver(id);
            }
            _ => tracing::debug!(%id, "the peer of an entry that is gone or was closed already"),
        }
    }

    pub(crate) fn consumed(&mut self, worker: WorkerId, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return tracing::debug!(%id, "an entry that is gone has been dispatched");
        };
        if !entry.is_in_flight_to(worker) {
            return tracing::warn!(%id, %worker, "dispatched what was not delivered");
        }
        if let Some(record) = self.workers.get_mut(&worker) {
            record.failures = 0;
            if let Run::Running { consumed, .. } = &mut record.run {
                *consumed = true;
            }
        }
        self.consume(id);
        self.deliver(id);
    }

    pub(crate) fn consume(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let (freed, afterwards) = entry.consume();
        if let Some(collection) = self.collections.get_mut(&entry.registration()) {
            collection.bytes = collection.bytes.saturating_sub(freed);
        }
        if afterwards == Afterwards::Ends {
            self.close(id);
        }
    }

    // ---- Delivery ----

    pub(crate) fn deliver_all(&mut self, registration: RegistrationId) {
        let ids: Vec<_> = self.entries(registration).map(|(id, _)| id).collect();
        for id in ids {
            self.deliver(id);
        }
    }

    /// **Deliver**, for one entry: gives its next item to its target, or wakes that, or waits.
    pub(crate) fn deliver(&mut self, id: EntryId) {
        let Some(next) = self.entries.get(&id).and_then(Entry::next) else {
            return;
        };
        let event = match next {
            Item::Message(_) => EventType::Message,
            Item::Close => EventType::Close,
        };
        if event == EventType::Message && self.is_resting(id) {
            return;
        }
        // "None → hold in the entry queue."
        let Some(target) = self.target(id) else {
            return;
        };
        let Some(worker) = self.workers.get_mut(&target) else {
            return;
        };
        match (worker.readiness(event), event) {
            (Readiness::Listens, _) => {
                if event == EventType::Message {
                    self.delivers(id);
                }
                let item = self.entries.get_mut(&id).and_then(|e| e.send_to(target));
                self.outputs.extend(item.map(|item| Output::Deliver {
                    worker: target,
                    entry: id,
                    item,
                }));
            }
            (Readiness::Wake, _) => {
                worker.run = Run::Waking;
                self.outputs.push_back(Output::Wake {
                    worker: target,
                    entry: id,
                });
            }
            // "… then `close` at `self.ports`, waking the worker only if a listener was
            // registered": an event that nobody would see.
            (Readiness::NobodyListens, EventType::Close) => self.close(id),
            // "Nobody listens → held, never dropped."
            (Readiness::NobodyListens | Readiness::Wait, _) => {}
        }
    }

    /// Whether a message that this entry accepted now would go to a worker at once, if nothing is
    /// before it.
    #[must_use]
    pub fn listens(&self, id: EntryId) -> bool {
        let target = self.target(id).and_then(|worker| self.workers.get(&worker));
        target.is_some_and(|it| it.readiness(EventType::Message) == Readiness::Listens)
    }

    /// "Target = stashing worker W while W is parsed/installing/installed/activating; otherwise the
    /// registration's active worker, once activated."
    fn target(&self, id: EntryId) -> Option<WorkerId> {
        let entry = self.entries.get(&id).filter(|entry| !entry.carried)?;
        let state = |worker| self.workers.get(&worker).map(|record| record.state);
        let stashed_by = entry.stashed_by();
        if state(stashed_by).is_some_and(|state| state < WorkerState::Activated) {
            return Some(stashed_by);
        }
        let active = self.collections.get(&entry.registration())?.active;
        active.filter(|active| state(*active) == Some(WorkerState::Activated))
    }
}
