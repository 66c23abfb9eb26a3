//! Whose a stored worker is.

use std::collections::BTreeMap;

use sw_registry::StoredRows;
use sw_types::{RegistrationId, WorkerId};

/// The registration of each worker: as it was read, and what has changed since.
#[derive(Default)]
pub(super) struct Owners {
    /// Sorted.
    read: Vec<(WorkerId, RegistrationId)>,
    /// None of those that are gone.
    since: BTreeMap<WorkerId, Option<RegistrationId>>,
}

impl Owners {
    pub(super) fn of(rows: &StoredRows) -> Self {
        let mut read = Vec::with_capacity(rows.len());
        read.extend(rows.workers());
        read.sort_unstable();
        Self {
            read,
            since: BTreeMap::new(),
        }
    }

    /// The greatest worker and the greatest registration that were read.
    pub(super) fn last(&self) -> (Option<WorkerId>, Option<RegistrationId>) {
        let registrations = self.read.iter().map(|(_, owner)| *owner);
        let worker = self.read.last().map(|(worker, _)| *worker);
        (worker, registrations.max())
    }

    /// The registration of a worker. Of two that have it, which only damage leaves, the first: the
    /// registry leaves out the other.
    pub(super) fn owner(&self, worker: WorkerId) -> Option<RegistrationId> {
        if let Some(owner) = self.since.get(&worker) {
            return *owner;
        }
        let first = self.read.partition_point(|(before, _)| *before < worker);
        let found = self.read.get(first).filter(|(found, _)| *found == worker);
        found.map(|(_, owner)| *owner)
    }

    pub(super) fn set(&mut self, worker: WorkerId, owner: Option<RegistrationId>) {
        self.since.remove(&worker);
        if self.owner(worker) != owner {
            self.since.insert(worker, owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_covers_what_was_read_and_nothing_else_is_kept() {
        let (one, two) = (Some(RegistrationId(1)), Some(RegistrationId(2)));
        let mut owners = Owners {
            read: vec![
                (WorkerId(3), RegistrationId(1)),
                (WorkerId(5), RegistrationId(1)),
                (WorkerId(5), RegistrationId(2)),
            ],
            since: BTreeMap::new(),
        };
        let all = |owners: &Owners| [3, 4, 5, 6].map(|worker| owners.owner(WorkerId(worker)));
        assert_eq!(all(&owners), [one, None, one, None]);
        assert_eq!(owners.last(), (Some(WorkerId(5)), two));
        owners.set(WorkerId(3), None);
        owners.set(WorkerId(6), two);
        assert_eq!(all(&owners), [None, None, one, two]);
        owners.set(WorkerId(6), None);
        owners.set(WorkerId(3), one);
        assert_eq!(all(&owners), [one, None, one, None]);
        assert!(owners.since.is_empty());
    }
}
