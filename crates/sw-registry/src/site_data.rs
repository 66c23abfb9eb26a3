//! What leaves a profile: cleared site data, and what is evicted to keep within an origin's quota.

use sw_types::{ClientNotice, Origin, PromiseId, RegistrationId, StorageKey, WorkerId};

use crate::job::Waiting;
use crate::state::{Registration, ScopeKey};
use crate::{
    JobError, Output, Registry, Report, Request, Settled, SiteData, StoreError, StoreWrite,
};

/// A row that is to be removed, and whose it was.
pub(crate) type Removal = (RegistrationId, StorageKey);

impl Registry {
    /// Clears data at once, whoever uses it. Its jobs are aborted, its clients lose their
    /// controller. (*Clear Site Data*, "clear DOM-accessible storage for origin".)
    pub(crate) fn clear_site_data(&mut self, promise: PromiseId, of: &SiteData) {
        let error = JobError::Abort(format!("the data of {of} was cleared"));
        let covered = |key: &&ScopeKey| of.covers(&key.0);
        let queues: Vec<ScopeKey> = self.queues.keys().filter(covered).cloned().collect();
        for key in queues {
            self.abort_queue(&key, &error);
        }
        let cleared: Vec<RegistrationId> = self
            .registrations_of_all(|key| of.covers(key))
            .map(|registration| registration.id)
            .collect();
        // Rows of it that do not decode are removed as well.
        self.quarantine_spoiled();
        for id in cleared {
            for client in self.registrations[&id].clients.clone() {
                self.set_uses(client, None);
                let notice = ClientNotice::ControllerChanged(None);
                self.output(Output::Notify(client, notice));
            }
            self.clear_with_row(id);
        }
        let removals = self.take_removals(|key| of.covers(key));
        if removals.is_empty() {
            self.output(Output::Settle(promise, Ok(Settled::Done)));
        } else {
            self.request_store(Waiting::Clear(promise), removals, None);
        }
    }

    /// The answer to the removals of `ClearSiteData`.
    pub(crate) fn site_data_cleared(&mut self, promise: PromiseId, result: Result<(), StoreError>) {
        let result = result.map(|()| Settled::Done).map_err(JobError::Store);
        self.output(Output::Settle(promise, result));
    }

    /// Makes room for a worker that is about to be stored: evicts registrations of its origin until
    /// the origin is within its quota. The least recently used goes first; never one that has
    /// clients or that something is being done with.
    ///
    /// # Errors
    /// [`JobError::Quota`] if the origin is over its quota without them, too.
    pub(crate) fn make_room(&mut self, key: &ScopeKey, worker: WorkerId) -> Result<(), JobError> {
        let origin = key.0.origin();
        let own = self.registration_id_at(key);
        let (mut bytes, mut count) = self.kept_by(origin);
        let over = |bytes: u64, count: usize, registry: &Self| {
            bytes > registry.limits.script_bytes_per_origin
                || count > registry.limits.registrations_per_origin
        };
        while over(bytes, count, self) {
            let Some((id, freed)) = self.least_recently_used(origin, own) else {
                let most = self.limits.script_bytes_per_origin;
                let script = self.workers.get(&worker).map(|it| it.script_url.clone());
                let script = script.map_or_else(|| worker.to_string(), |url| url.to_string());
                return Err(JobError::Quota(format!(
                    "{script} does not fit: with it, {origin} would keep {count} registrations \
                     with {bytes} bytes of scripts, and may keep {} with {most}",
                    self.limits.registrations_per_origin
                )));
            };
            let scope = self.registrations[&id].scope.clone();
            self.clear_with_row(id);
            self.report(Report::Evicted {
                scope,
                bytes: freed,
            });
            bytes -= freed;
            count -= 1;
        }
        Ok(())
    }

    /// What an origin keeps, in all its partitions: bytes of scripts, and registrations.
    fn kept_by(&self, origin: &Origin) -> (u64, usize) {
        let kept = self.registrations_of_all(|key| key.origin() == origin);
        kept.fold((0, 0), |(bytes, count), it| {
            (bytes + self.script_bytes(it), count + 1)
        })
    }

    /// What the registrations of a storage key keep: the bytes of their workers' scripts. (*Storage*,
    /// "storage usage".)
    #[must_use]
    pub fn script_bytes_of(&self, key: &StorageKey) -> u64 {
        self.registrations_of_all(|other| other == key)
            .map(|registration| self.script_bytes(registration))
            .sum()
    }

    fn script_bytes(&self, registration: &Registration) -> u64 {
        let workers = registration.workers();
        workers
            .filter_map(|id| self.workers.get(&id))
            .map(|worker| worker.script_bytes)
            .sum()
    }

    /// The registration of an origin that may go first, and what that frees.
    fn least_recently_used(
        &self,
        origin: &Origin,
        spared: Option<RegistrationId>,
    ) -> Option<(RegistrationId, u64)> {
        let evictable = |it: &&Registration| {
            Some(it.id) != spared
                && it.clients.is_empty()
                && it.wakes.is_empty()
                && it.activation.is_none()
                && !it.storing_install
                && !it.unregistered
                && !it.workers().any(|worker| self.has_a_run(worker))
                && !self.queues.contains_key(&it.key())
        };
        // What was not used since this start was last used before it: the update check, which
        // follows a use, says about when.
        let found = self
            .registrations_of_all(|key| key.origin() == origin)
            .filter(evictable)
            .min_by_key(|it| (it.last_used, it.last_update_check, it.id))?;
        Some((found.id, self.script_bytes(found)))
    }

    /// *Clear Registration*, with a removal of its row in the next write.
    fn clear_with_row(&mut self, id: RegistrationId) {
        let Some(registration) = self.registrations.get(&id) else {
            return;
        };
        // A removal that an aborted job had asked for may fail: ask for every row that may be there.
        if registration.storage_key.ephemeral().is_none() {
            self.to_remove.insert(id, registration.storage_key.clone());
        }
        self.clear(id);
    }

    /// Rows that the next write has to remove.
    fn take_removals(&mut self, of: impl Fn(&StorageKey) -> bool) -> Vec<Removal> {
        let (taken, left) = std::mem::take(&mut self.to_remove)
            .into_iter()
            .partition(|(_, key)| of(key));
        self.to_remove = left;
        let taken: std::collections::BTreeMap<_, _> = taken;
        taken.into_iter().collect()
    }

    /// Asks for a row to be written, and for all that is left to be removed, in one transaction.
    pub(crate) fn request_put(&mut self, waiting: Waiting, put: StoreWrite) -> sw_types::RequestId {
        let removals = self.take_removals(|_| true);
        self.request_store(waiting, removals, Some(put))
    }

    fn request_store(
        &mut self,
        waiting: Waiting,
        removals: Vec<Removal>,
        put: Option<StoreWrite>,
    ) -> sw_types::RequestId {
        let removed = removals.iter().map(|(id, _)| StoreWrite::Remove(*id));
        let batch = removed.chain(put).collect();
        let request = self.request(waiting, Request::Store(batch));
        if !removals.is_empty() {
            self.removing.insert(request, removals);
        }
        request
    }

    /// A write was answered: what it could not remove is removed with the next.
    pub(crate) fn removals_answered(&mut self, request: sw_types::RequestId, stored: bool) {
        let removals = self.removing.remove(&request);
        if !stored {
            self.to_remove.extend(removals.into_iter().flatten());
        }
    }
}
