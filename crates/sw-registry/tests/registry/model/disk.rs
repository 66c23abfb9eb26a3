//! What is stored, and what comes of it when a write is answered and when the browser starts again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sw_registry::Provenance;
use sw_types::{PromiseId, RegistrationId, Timestamp, UpdateViaCache, WorkerId, WorkerState};

use super::{Key, Main, Model, Registration, Worker};

/// The rows that are durable.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) rows: BTreeMap<RegistrationId, Row>,
    /// Those that cannot be read any more.
    pub(crate) damaged: BTreeSet<RegistrationId>,
    /// The ids to go on with.
    next_registration: u64,
    next_worker: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    key: Key,
    update_via_cache: UpdateViaCache,
    provenance: Provenance,
    last_check: Option<Timestamp>,
    waiting: Option<Version>,
    active: Option<Version>,
}

/// An installed version.
#[derive(Clone, Debug)]
struct Version {
    id: WorkerId,
    state: WorkerState,
    script: Main,
    scripts: BTreeMap<&'static str, u64>,
}

/// A write on its way: which rows it removes, which it puts, and what goes on when it is answered.
#[derive(Debug)]
pub(crate) struct Write {
    removals: BTreeSet<RegistrationId>,
    put: Option<(RegistrationId, Row)>,
    then: Then,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    Install(Key, u64),
    Activate(RegistrationId),
    Unregister(Key, u64, RegistrationId),
    Clear(PromiseId),
    Nobody(Key),
}

impl Model {
    /// Writes a registration's row, if it is to have one; else goes on at once.
    pub(super) fn write(&mut self, id: RegistrationId, then: Then) {
        match self.row(id) {
            Some(row) => {
                self.registration(id).row = true;
                // What could not be removed before goes with it.
                let removals = std::mem::take(&mut self.to_remove);
                let put = Some((id, row));
                self.writes.push_back(Write {
                    removals,
                    put,
                    then,
                });
            }
            None => self.go_on(then, true),
        }
    }

    pub(super) fn write_removal(&mut self, id: RegistrationId, then: Then) {
        self.write_removals(BTreeSet::from([id]), then);
    }

    pub(super) fn write_removals(&mut self, removals: BTreeSet<RegistrationId>, then: Then) {
        self.writes.push_back(Write {
            removals,
            put: None,
            then,
        });
    }

    /// The row as it will be once all that is being written is.
    fn row(&self, id: RegistrationId) -> Option<Row> {
        let it = &self.registrations[&id];
        let waiting = if it.storing_install {
            it.installing
        } else {
            it.waiting
        };
        if it.unregistered || it.key.0 == 1 || waiting.or(it.active).is_none() {
            return None;
        }
        let version = |id: WorkerId, state| Version {
            id,
            state,
            script: self.workers[&id].script,
            scripts: self.workers[&id].scripts.clone(),
        };
        let of_active = |active| match it.storing_activation {
            true => WorkerState::Activated,
            false => self.workers[&active].state,
        };
        Some(Row {
            key: it.key,
            update_via_cache: it.update_via_cache,
            provenance: it.provenance,
            last_check: it.last_check,
            waiting: waiting.map(|id| version(id, WorkerState::Installed)),
            active: it.active.map(|id| version(id, of_active(id))),
        })
    }

    /// The oldest write was answered.
    pub(crate) fn stored(&mut self, durable: bool) {
        let write = self.writes.pop_front().expect("it was asked for");
        let Write {
            removals,
            put,
            then,
        } = write;
        if durable {
            self.disk.rows.retain(|id, _| !removals.contains(id));
            if let Some((id, row)) = put {
                let versions = row.waiting.iter().chain(&row.active);
                let worker = versions.map(|it| it.id.0 + 1).max().unwrap_or(0);
                self.disk.next_worker = self.disk.next_worker.max(worker);
                self.disk.next_registration = self.disk.next_registration.max(id.0 + 1);
                self.disk.rows.insert(id, row);
            }
        } else if !matches!(then, Then::Unregister(..)) {
            self.to_remove.extend(removals);
        }
        self.go_on(then, durable);
        self.settle_down();
    }

    fn go_on(&mut self, then: Then, durable: bool) {
        match then {
            Then::Install(key, job) | Then::Unregister(key, job, _) if !self.runs_job(key, job) => {
            }
            Then::Install(key, _) if durable => self.installed(key),
            Then::Install(key, _) => self.not_installed(key),
            Then::Activate(id) if !self.registrations.contains_key(&id) => {}
            Then::Activate(id) => {
                // An activation goes on: the next start will make up for it.
                if !durable {
                    let key = self.registrations[&id].key;
                    self.reports.push(format!("{} not stored", key.1));
                }
                self.activated(id);
            }
            Then::Unregister(key, _, id) if durable => self.remove_row(key, id),
            Then::Unregister(key, _, id) => {
                self.registration(id).row = true;
                self.reject_job(key, "the store failed");
                self.finish_job(key);
            }
            Then::Clear(promise) if durable => self.settle(promise, "Done"),
            Then::Clear(promise) => self.settle(promise, "the store failed"),
            Then::Nobody(key) if !durable => self.reports.push(format!("{} not stored", key.1)),
            Then::Nobody(_) => {}
        }
    }

    /// The browser is gone with all that was not durable, and starts again.
    pub(crate) fn restart(&mut self) {
        self.registrations.clear();
        self.workers.clear();
        self.clients.clear();
        self.queues.clear();
        self.to_run = VecDeque::new();
        self.fetches.clear();
        self.fetched.clear();
        self.writes.clear();
        self.to_remove.clear();
        self.starts.clear();
        self.settled.clear();
        self.reports = vec!["quarantined".to_owned(); self.disk.damaged.len()];
        self.next_registration = self.disk.next_registration.max(1);
        self.next_worker = self.disk.next_worker.max(1);
        for (id, row) in self.disk.rows.clone() {
            if !self.disk.damaged.contains(&id) {
                self.restore(id, row);
            }
        }
        // *Handle User Agent Shutdown*, made up for: what waits is activated, and what was activating
        // is given its event.
        let ids: Vec<RegistrationId> = self.registrations.keys().copied().collect();
        for id in ids {
            let it = &self.registrations[&id];
            match it.active.filter(|_| it.activating) {
                Some(active) => {
                    let active = self.workers.get_mut(&active).expect("it was restored");
                    active.starting = true;
                }
                None => self.attempt(id),
            }
        }
        self.settle_down();
    }

    fn restore(&mut self, id: RegistrationId, row: Row) {
        let mut place = |version: Option<Version>| {
            let version = version?;
            let mut worker = Worker::new(id, version.script, version.scripts);
            worker.state = version.state;
            self.workers.insert(version.id, worker);
            Some(version.id)
        };
        let activating = |it: &Version| it.state == WorkerState::Activating;
        let registration = Registration {
            key: row.key,
            update_via_cache: row.update_via_cache,
            provenance: row.provenance,
            last_check: row.last_check,
            activating: row.active.as_ref().is_some_and(activating),
            installing: None,
            waiting: place(row.waiting),
            active: place(row.active),
            unregistered: false,
            storing_activation: false,
            storing_install: false,
            row: true,
            wakes: Vec::new(),
        };
        self.registrations.insert(id, registration);
    }
}
