//! From stashed ports to the stash, and from the stash to workers.

use std::mem;
use std::sync::Arc;

use message_port::Event;
use stash::{EntryId, Input, Output};
use sw_types::{Site, WorkerId};

use super::{Parked, lock};
use crate::Report;
use crate::driver::Driver;
use crate::functional::Woken;
use crate::shared::ToDriver;

/// How many messages of a port are taken before others have their turn.
const BATCH: usize = 1024;

impl Driver {
    pub(crate) fn stash_input(&mut self, input: Input<Parked>) {
        let now = self.shared.clock.now();
        self.shared.stashing().stash.handle_input(now, input);
    }

    /// A stashed port has something, or the stash itself.
    pub(crate) fn drain(&mut self, entry: EntryId) {
        if self.take_arrived(entry) {
            self.shared.send(ToDriver::StashReady(entry));
        }
    }

    /// At a clean end: what durable ports have received is stored, even if nobody came to look at it.
    pub(crate) fn drain_durable(&mut self) {
        let durable = self.durable.entries.keys().copied();
        for entry in durable.collect::<Vec<_>>() {
            while self.is_durable(entry) && self.take_arrived(entry) {}
        }
    }

    /// Takes what a port has received, but not all if it is much; whether there is more.
    fn take_arrived(&mut self, entry: EntryId) -> bool {
        let bound = self
            .shared
            .stashing()
            .stash
            .entry(entry)
            .map(|entry| Arc::clone(entry.port()));
        let Some(bound) = bound else { return false };
        let more = (0..BATCH).all(|_| {
            // Held until the stash has it, so that a transfer finds it in one place or the other.
            let mut port = lock(&bound);
            match port.try_recv() {
                Ok(Event::Message(message)) => self.arrived(entry, message),
                Ok(Event::Close) => self.stash_input(Input::PeerClosed { entry }),
                Err(_) => return false,
            }
            true
        });
        if self.is_durable(entry) {
            self.store_waiting(entry);
        }
        more
    }

    /// Carries out what the stash asks; whether it asked anything.
    pub(crate) fn poll_stash(&mut self) -> bool {
        let mut asked = false;
        loop {
            // In a statement of its own, so that the lock is free again.
            let output = self.shared.stashing().stash.poll_output();
            let Some(output) = output else { return asked };
            asked = true;
            match output {
                Output::Wake { worker, .. } => self.wake_for_stash(worker),
                Output::Deliver {
                    worker,
                    entry,
                    item,
                } => self.deliver(worker, entry, item),
                Output::ClosePort { entry, port } => {
                    self.forget_stored(entry);
                    let closed = mem::take(&mut *lock(&port));
                    drop(closed);
                }
                Output::Released { entry, .. } => {
                    // Whoever transfers takes this output, under one lock.
                    tracing::error!(%entry, "a transferred port that nobody has taken is closed");
                }
                Output::QuotaExceeded {
                    registration,
                    entry,
                } => {
                    if let Some(scope) = self.scope_of(registration) {
                        let report = Report::StashedPortClosed { scope, entry };
                        self.shared.report(report);
                    }
                }
            }
        }
    }

    /// "Wakes the worker." The start is paid from the budget of the service's own top-level site:
    /// who is at the other end of a port is not known.
    pub(crate) fn wake_for_stash(&mut self, worker: WorkerId) {
        let known = self.shared.stashing().worker(worker);
        let snapshot = known.and_then(|known| self.shared.lookup.snapshot(known.registration));
        let Some(snapshot) = snapshot else {
            return self.stash_input(Input::StartFailed { worker });
        };
        let is_active = |active: &sw_registry::ActiveWorker| active.id == worker;
        if !snapshot.active.as_ref().is_some_and(is_active) {
            // The registry runs active workers only; this one is to become it.
            self.functional.wakes_on_activation.insert(worker);
            return;
        }
        let key = &snapshot.storage_key;
        let site = key.top_level_site().cloned();
        let site = site.unwrap_or_else(|| Site::of(key.origin()));
        self.wake(snapshot.id, site, Woken::Stash(worker));
    }

    /// `worker` runs, or none does.
    pub(crate) fn woken_for_stash(&mut self, wanted: WorkerId, worker: Option<WorkerId>) {
        let known = self.shared.stashing().worker(wanted);
        let listeners = known.and_then(|known| known.listeners);
        self.stash_input(match listeners {
            Some(listeners) if worker == Some(wanted) => Input::Running {
                worker: wanted,
                listeners,
            },
            _ => Input::StartFailed { worker: wanted },
        });
    }
}
