//! What a profile had stored, as registrations and workers; and what is stored of them.
//!
//! When the browser shuts down, *Handle User Agent Shutdown* drops installing workers (they are
//! never stored) and promotes waiting ones by *Activate*. Here the promotion happens at the next
//! start, with the first input: a restored waiting worker has no clients in its way and goes through
//! *Try Activate*; an active worker that was stored while `activating` is given its activate event
//! again.

use std::sync::Arc;
use std::time::Duration;

use sw_types::fetch::CacheMode;
use sw_types::{RegistrationId, RequestId, StorageKey, WorkerId, WorkerState};

use crate::activate::Activate;
use crate::job::Waiting;
use crate::lookup::{ActiveWorker, Lookup, Snapshot};
use crate::state::{Registration, Run, Worker};
use crate::waking::{Sleeping, Wake, Waking};
use crate::{Registry, Report, Restored, StoreWrite, StoredRegistration, StoredWorker};

impl Registry {
    pub(crate) fn restore(&mut self, restored: Restored) {
        for line in restored.quarantined {
            self.report(Report::Quarantined(line));
        }
        let (settled, left_out) = restored.registrations.settle();
        for line in left_out {
            self.report(Report::Quarantined(line));
        }
        let (rows, workers) = (settled.rows().rows(), settled.workers());
        let after = |last: Option<u64>| last.map_or(1, |last| last.saturating_add(1));
        let after_registrations = after(rows.last().map(|row| row.id.0));
        let after_workers = after(workers.last().map(|(worker, _)| worker.0));
        self.next_registration =
            RegistrationId(restored.next_registration.max(after_registrations));
        self.next_worker = WorkerId(restored.next_worker.max(after_workers));
        let to_promote = rows.iter().filter(|row| {
            let active = row.active.map(|(_, state)| state);
            row.waiting.is_some() || active == Some(WorkerState::Activating)
        });
        self.to_promote = to_promote.map(|row| row.id).collect();
        self.sleeping = Arc::new(Sleeping::new(settled, self.limits.stale_after));
        self.registrations = Waking::new(&self.sleeping);
        self.workers = Waking::new(&self.sleeping);
        self.lookup = Lookup::over(&self.sleeping);
    }

    /// The registrations of some storage keys, in the order of their ids; all of them wake.
    pub(crate) fn registrations_of_all(
        &self,
        of: impl Fn(&StorageKey) -> bool,
    ) -> impl Iterator<Item = &Registration> {
        let settled = self.sleeping.rows();
        for (_, places) in settled.of_keys().filter(|(key, _)| of(key)) {
            for at in places {
                self.registrations.get(&settled.rows().rows()[*at].id);
            }
        }
        let awake = self.registrations.awake();
        awake.filter(move |registration| of(&registration.storage_key))
    }

    /// Takes rows that do not decode, although their checksums are right, for not there.
    pub(crate) fn quarantine_spoiled(&mut self) {
        for (id, line) in self.sleeping.take_spoiled() {
            let rows = self.sleeping.rows().rows();
            if let Some(at) = self.sleeping.rows().find(id) {
                let row = &rows.rows()[at];
                self.lookup.unlist(rows.key(row), rows.scope(row));
                self.lookup.forget(id);
                self.to_remove.insert(id, rows.key(row).clone());
            }
            self.report(Report::Quarantined(line));
        }
    }

    /// *Handle User Agent Shutdown*, of the shutdown before this start.
    pub(crate) fn promote_restored(&mut self) {
        for id in std::mem::take(&mut self.to_promote) {
            let registration = self.registrations.get(&id);
            match registration.and_then(|it| it.activation.and(it.active)) {
                Some(activating) => self.handle_activate_event(id, activating),
                None => self.try_activate(id),
            }
        }
    }

    /// Asks for a registration's row to be written, and says under which request; `None` if it is
    /// not to be stored: in a private session, unregistered, or without any installed worker.
    pub(crate) fn store(&mut self, id: RegistrationId, waiting: Waiting) -> Option<RequestId> {
        let row = self.row(self.registrations.get(&id)?)?;
        self.edit(id, |registration| registration.stored = true);
        Some(self.request_put(waiting, StoreWrite::Put(Box::new(row))))
    }

    /// The row as it will be once all that is being written has been: writes of *Install* and
    /// *Activate* may overlap, and neither may undo the other.
    fn row(&self, registration: &Registration) -> Option<StoredRegistration> {
        if registration.unregistered || registration.storage_key.ephemeral().is_some() {
            return None;
        }
        let storing = registration.storing_install;
        let at_once = storing
            .then(|| self.activates_at_once(registration))
            .flatten();
        let waiting = match storing {
            true => registration.installing.filter(|_| at_once.is_none()),
            false => registration.waiting,
        };
        let stored = |id: Option<WorkerId>| self.workers.get(&id?).map(stored_worker);
        let mut waiting = stored(waiting);
        let mut active = stored(registration.active.or(at_once));
        if waiting.is_none() && active.is_none() {
            return None;
        }
        if let Some(waiting) = &mut waiting {
            waiting.state = WorkerState::Installed;
        }
        let activated = at_once.is_some() || registration.activation == Some(Activate::Storing);
        if let (Some(active), true) = (&mut active, activated) {
            active.state = WorkerState::Activated;
        }
        Some(StoredRegistration {
            id: registration.id,
            storage_key: registration.storage_key.clone(),
            scope: registration.scope.clone(),
            update_via_cache: registration.update_via_cache,
            last_update_check: registration.last_update_check,
            provenance: registration.provenance,
            navigation_preload: registration.navigation_preload.clone(),
            waiting,
            active,
        })
    }

    pub(crate) fn snapshot_of(&self, registration: &Registration) -> Snapshot {
        let active = registration
            .active
            .and_then(|active| self.workers.get(&active));
        Snapshot {
            id: registration.id,
            storage_key: registration.storage_key.clone(),
            scope: registration.scope.clone(),
            provenance: registration.provenance,
            navigation_preload: registration.navigation_preload.clone(),
            last_update_check: registration.last_update_check,
            stale_after: self.limits.stale_after,
            active: active.map(|worker| ActiveWorker {
                id: worker.id,
                script_url: worker.script_url.clone(),
                state: worker.state,
                event_types: worker.event_types,
                fetch_handler: worker.fetch_handler,
                fall_through: Arc::clone(&worker.fall_through),
                router_rules: Arc::clone(&worker.router_rules),
            }),
        }
    }
}

impl Wake<RegistrationId> for Registration {
    fn count(sleeping: &Sleeping) -> usize {
        sleeping.rows().rows().len()
    }

    fn find(sleeping: &Sleeping, id: &RegistrationId) -> Option<usize> {
        sleeping.rows().find(*id)
    }

    fn wake(sleeping: &Sleeping, at: usize) -> Option<Self> {
        let stored = sleeping.decode(at)?;
        let active = stored.active.as_ref();
        let activating = active.is_some_and(|it| it.state == WorkerState::Activating);
        Some(Self {
            id: stored.id,
            storage_key: stored.storage_key,
            scope: stored.scope,
            update_via_cache: stored.update_via_cache,
            last_update_check: stored.last_update_check,
            provenance: stored.provenance,
            navigation_preload: stored.navigation_preload,
            installing: None,
            waiting: stored.waiting.map(|worker| worker.id),
            active: stored.active.map(|worker| worker.id),
            clients: Default::default(),
            unregistered: false,
            activation: activating.then_some(Activate::Starting),
            storing_install: false,
            stored_as_activated: None,
            wakes: Vec::new(),
            asked_before_clear: Default::default(),
            stored: true,
            last_used: None,
        })
    }
}

impl Wake<WorkerId> for Worker {
    fn count(sleeping: &Sleeping) -> usize {
        sleeping.rows().workers().len()
    }

    fn find(sleeping: &Sleeping, id: &WorkerId) -> Option<usize> {
        let workers = sleeping.rows().workers();
        workers.binary_search_by_key(id, |(worker, _)| *worker).ok()
    }

    fn wake(sleeping: &Sleeping, at: usize) -> Option<Self> {
        let (id, row) = sleeping.rows().workers()[at];
        let stored = sleeping.decode(row)?;
        let mut workers = [stored.waiting, stored.active].into_iter().flatten();
        let worker = workers.find(|worker| worker.id == id)?;
        Some(restored_worker(stored.id, worker))
    }
}

/// What readers see of a registration that nobody has woken.
pub(crate) fn stored_snapshot(stored: StoredRegistration, stale_after: Duration) -> Snapshot {
    Snapshot {
        id: stored.id,
        storage_key: stored.storage_key,
        scope: stored.scope,
        provenance: stored.provenance,
        navigation_preload: stored.navigation_preload,
        last_update_check: stored.last_update_check,
        stale_after,
        active: stored.active.map(|worker| ActiveWorker {
            id: worker.id,
            script_url: worker.script_url,
            state: worker.state,
            event_types: worker.event_types,
            fetch_handler: worker.fetch_handler,
            fall_through: worker.fall_through.into(),
            router_rules: worker.router_rules.into(),
        }),
    }
}

fn restored_worker(registration: RegistrationId, stored: StoredWorker) -> Worker {
    Worker {
        id: stored.id,
        registration,
        script_url: stored.script_url,
        worker_type: stored.worker_type,
        state: stored.state,
        used: stored.scripts.keys().cloned().collect(),
        scripts: (!stored.scripts.is_empty()).then_some(stored.scripts),
        imports_cache: CacheMode::Default,
        failed_imports: Default::default(),
        skip_waiting: false,
        skipping: Vec::new(),
        ever_evaluated: true,
        event_types: stored.event_types,
        fetch_handler: stored.fetch_handler,
        fall_through: stored.fall_through.into(),
        router_rules: stored.router_rules.into(),
        run: Run::Stopped,
        run_id: None,
        awaited_by: Vec::new(),
        lifecycle: None,
        last_wake: None,
        deadline: None,
        failures: 0,
        bypassed_until: None,
        script_bytes: stored.script_bytes,
    }
}

fn stored_worker(worker: &Worker) -> StoredWorker {
    StoredWorker {
        id: worker.id,
        script_url: worker.script_url.clone(),
        worker_type: worker.worker_type,
        state: worker.state,
        event_types: worker.event_types,
        fetch_handler: worker.fetch_handler,
        fall_through: worker.fall_through.to_vec(),
        router_rules: worker.router_rules.to_vec(),
        scripts: worker.scripts.clone().unwrap_or_default(),
        script_bytes: worker.script_bytes,
    }
}
