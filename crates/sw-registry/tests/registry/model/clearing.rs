//! *Clear Site Data*: an origin's, in all its partitions, or one partition's.

use std::collections::BTreeSet;

use sw_types::{ClientId, PromiseId, RegistrationId, WorkerId, WorkerState};

use super::disk::Then;
use super::{Key, Model};

impl Model {
    /// `None` clears every partition.
    pub(crate) fn clear_site_data(&mut self, promise: PromiseId, partition: Option<usize>) {
        let covered = |key: &Key| partition.is_none_or(|it| it == key.0);
        let queues: Vec<Key> = self.queues.keys().copied().filter(covered).collect();
        for key in queues {
            self.abort_jobs(key);
        }
        let ids: Vec<RegistrationId> = self.registrations.keys().copied().collect();
        for id in ids {
            let key = self.registrations[&id].key;
            if !covered(&key) {
                continue;
            }
            let clients: Vec<ClientId> = self.clients.keys().copied().collect();
            for client in clients {
                let found = self.clients.get_mut(&client).expect("it was listed");
                if found.uses == Some(id) {
                    found.uses = None;
                    self.tell(client, "controllerchange none".to_owned());
                }
            }
            if key.0 == 0 {
                self.to_remove.insert(id);
            }
            for promise in std::mem::take(&mut self.registration(id).wakes) {
                self.settle(promise, "AbortError");
            }
            self.clear(id);
        }
        // A private session has no rows.
        let removals = match partition {
            Some(1) => BTreeSet::new(),
            _ => std::mem::take(&mut self.to_remove),
        };
        if removals.is_empty() {
            self.settle(promise, "Done");
        } else {
            self.write_removals(removals, Then::Clear(promise));
        }
        self.settle_down();
    }

    fn abort_jobs(&mut self, key: Key) {
        for job in self.queues.remove(&key).into_iter().flatten() {
            for (promise, _) in job.promises {
                self.settle(promise, "AbortError");
            }
        }
        self.to_run.retain(|it| *it != key);
        // What is being evaluated has no place in the registration yet.
        let id = self.registration_at(key);
        let evaluated = |worker: &WorkerId| {
            let it = &self.workers[worker];
            it.state == WorkerState::Parsed && Some(it.registration) == id
        };
        let evaluated: Vec<_> = self.workers.keys().copied().filter(evaluated).collect();
        for worker in evaluated {
            let it = self.workers.get_mut(&worker).expect("it was listed");
            (it.state, it.starting) = (WorkerState::Redundant, false);
            for promise in std::mem::take(&mut it.awaited_by) {
                self.settle(promise, "InvalidStateError");
            }
            self.skipped(worker, "AbortError");
        }
    }

    /// Whether this job is at the head of its queue.
    pub(super) fn runs_job(&self, key: Key, job: u64) -> bool {
        let head = self.queues.get(&key).and_then(|queue| queue.front());
        head.is_some_and(|head| head.number == job)
    }
}
