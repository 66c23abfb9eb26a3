//! What a profile had stored, as registrations and workers; and what is stored of them.
//!
//! When the browser shuts down, *Handle User Agent Shutdown* drops installing workers (they are
//! never stored) and promotes waiting ones by *Activate*. Here the promotion happens at the next
//! start, with the first input: a restored waiting worker has no clients in its way and goes through
//! *Try Activate*; an active worker that was stored while `activating` is given its activate event
//! again.

use std::sync::Arc;

use sw_types::fetch::CacheMode;
use sw_types::{RegistrationId, RequestId, WorkerId, WorkerState};

use crate::activate::Activate;
use crate::job::Waiting;
use crate::lookup::{ActiveWorker, Snapshot};
use crate::state::{Registration, Run, Worker};
use crate::{Registry, Report, Restored, StoreWrite, StoredRegistration, StoredWorker};

impl Registry {
    pub(crate) fn restore(&mut self, restored: Restored) {
        for line in restored.quarantined {
            self.report(Report::Quarantined(line));
        }
        let (mut next_registration, mut next_worker) =
            (restored.next_registration, restored.next_worker);
        for stored in restored.registrations {
            next_registration = next_registration.max(stored.id.0.saturating_add(1));
            for worker in stored.waiting.iter().chain(&stored.active) {
                next_worker = next_worker.max(worker.id.0.saturating_add(1));
            }
            if let Err(why) = self.check_stored(&stored) {
                let line = format!("{} ({}): {why}", stored.scope, stored.id);
                self.report(Report::Quarantined(line));
                continue;
            }
            self.restore_registration(stored);
        }
        self.next_registration = RegistrationId(next_registration.max(1));
        self.next_worker = WorkerId(next_worker.max(1));
        let snapshots: Vec<Snapshot> = self
            .registrations
            .values()
            .map(|registration| self.snapshot_of(registration))
            .collect();
        self.lookup.publish_all(snapshots);
    }

    fn check_stored(&self, stored: &StoredRegistration) -> Result<(), &'static str> {
        let key = (stored.storage_key.clone(), stored.scope.clone());
        let states_are_right = stored
            .waiting
            .iter()
            .all(|waiting| waiting.state == WorkerState::Installed)
            && stored.active.iter().all(|active| {
                matches!(
                    active.state,
                    WorkerState::Activating | WorkerState::Activated
                )
            });
        let mut workers = stored.waiting.iter().chain(&stored.active);
        if stored.scope.origin() != *stored.storage_key.origin() {
            Err("its scope is not of the origin of its storage key")
        } else if stored.waiting.is_none() && stored.active.is_none() {
            Err("it has no worker")
        } else if !states_are_right {
            Err("a worker's state does not fit its place")
        } else if self.scope_map.contains_key(&key) || self.registrations.contains_key(&stored.id) {
            Err("it is there twice")
        } else if workers.any(|worker| self.workers.contains_key(&worker.id))
            || stored.waiting.as_ref().map(|it| it.id) == stored.active.as_ref().map(|it| it.id)
        {
            Err("a worker of it is there twice")
        } else {
            Ok(())
        }
    }

    fn restore_registration(&mut self, stored: StoredRegistration) {
        let id = stored.id;
        let mut slot = |worker: Option<StoredWorker>| {
            let worker = worker?;
            let worker_id = worker.id;
            self.workers.insert(worker_id, restored_worker(id, worker));
            Some(worker_id)
        };
        let activating = stored
            .active
            .as_ref()
            .is_some_and(|active| active.state == WorkerState::Activating);
        let registration = Registration {
            id,
            storage_key: stored.storage_key,
            scope: stored.scope,
            update_via_cache: stored.update_via_cache,
            last_update_check: stored.last_update_check,
            provenance: stored.provenance,
            navigation_preload: stored.navigation_preload,
            installing: None,
            waiting: slot(stored.waiting),
            active: slot(stored.active),
            clients: Default::default(),
            unregistered: false,
            activation: activating.then_some(Activate::Starting),
            storing_install: false,
            wakes: Vec::new(),
            asked_before_clear: Default::default(),
            stored: true,
            last_used: None,
        };
        if registration.waiting.is_some() || activating {
            self.to_promote.push(id);
        }
        self.scope_map.insert(registration.key(), id);
        self.registrations.insert(id, registration);
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
        let waiting = if registration.storing_install {
            registration.installing
        } else {
            registration.waiting
        };
        let stored = |id: Option<WorkerId>| self.workers.get(&id?).map(stored_worker);
        let mut waiting = stored(waiting);
        let mut active = stored(registration.active);
        if waiting.is_none() && active.is_none() {
            return None;
        }
        if let Some(waiting) = &mut waiting {
            waiting.state = WorkerState::Installed;
        }
        if let (Some(active), Some(Activate::Storing)) = (&mut active, registration.activation) {
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
