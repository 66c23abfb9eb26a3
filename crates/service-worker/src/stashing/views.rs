//! What a view of a stashed port can do besides posting: transfer, `whenStopped`; clearing; and the
//! trigger of pushes, which wake services that have ports to answer through.

use bytes::Bytes;
use message_port::{Event, TransferredPort};
use stash::{EntryId, Input};
use sw_types::{EventType, RegistrationId, StorageKey, WorkerId, WorkerState};

use super::StashError;
use crate::driver::Driver;
use crate::shared::ToDriver;
use crate::{EventDetail, Handle};

impl Handle {
    /// `ports.add(name, port, {whenStopped: true})`: whether it may. (SEMANTICS §4.2 row 33.)
    ///
    /// The script keeps its port and its listeners. When the worker stops, the host calls
    /// [`Handle::stash_port`] with the port and that name, after the last task of the script and
    /// before it says [`HostEvent::Died`](crate::HostEvent::Died); what is queued in the port goes
    /// along. A port that is refused then is closed.
    ///
    /// # Errors
    /// `InvalidStateError` and `QuotaExceededError`, as the entry would be refused now.
    pub fn may_stash(&self, worker: WorkerId) -> Result<(), StashError> {
        let stashing = self.shared.stashing();
        let known = stashing.worker(worker).ok_or(StashError::InvalidState)?;
        if known.state == WorkerState::Redundant {
            return Err(StashError::InvalidState);
        }
        match stashing.stash.has_room(known.registration) {
            true => Ok(()),
            false => Err(StashError::QuotaExceeded),
        }
    }

    /// A view is in a transfer list: the entry is gone, all its views are dead, and its port
    /// travels, with whatever it has received and no listener has seen. `None` if there is no such
    /// entry any more; the script gets a `DataCloneError` then.
    ///
    /// A message that is on its way to the worker at this moment is dispatched there yet. Payloads
    /// that an earlier run of the process has stored are read now, which blocks.
    pub fn transfer_stashed(&self, worker: WorkerId, entry: EntryId) -> Option<TransferredPort> {
        let bound = self.shared.stashing().view(worker, entry)?;
        // `None` if another view was closed or transferred meanwhile.
        let (mut port, mut messages, closed) = self.shared.release_from(entry, &bound)?;
        messages.retain_mut(|parked| self.shared.read_missing(parked));
        let (messages, gone) = self.shared.unpack(messages);
        let close = closed.then_some(Event::Close);
        // Its new owner hears of a peer that is closed, as it would have from the port itself.
        port.put_back(
            messages
                .into_iter()
                .map(Event::Message)
                .chain(close)
                .collect(),
        );
        // What else the stash asks for is the driver's to do.
        self.shared.send(ToDriver::StashReady(entry));
        for gone in gone.into_iter().chain([entry]) {
            self.shared.send(ToDriver::Stashed(gone));
        }
        port.transfer().ok()
    }

    /// The name of an entry, for `StashedMessagePort.name`; `None` if the view is dead.
    #[must_use]
    pub fn stashed_name(&self, worker: WorkerId, entry: EntryId) -> Option<String> {
        let stashing = self.shared.stashing();
        stashing.view(worker, entry)?;
        Some(stashing.stash.entry(entry)?.name().to_owned())
    }

    /// Site data is cleared: closes all stashed ports of the registrations of a storage key. Their
    /// peers get `close`.
    pub fn clear_stash(&self, key: StorageKey) {
        self.shared.send(ToDriver::ClearStash(Box::new(key)));
    }

    /// A push message has come for a registration: wakes its active worker and fires `push` there.
    /// Dropped if there is no active worker, or nobody listens. (For tests, and for hosts with a
    /// push service.)
    pub fn push(&self, registration: RegistrationId, data: Option<Bytes>) {
        self.shared.send(ToDriver::Push(registration, data));
    }
}

impl Driver {
    /// Fire Functional Event, with "push".
    pub(crate) fn push(&mut self, registration: RegistrationId, data: Option<Bytes>) {
        let snapshot = self.shared.lookup.snapshot(registration);
        let Some(worker) = snapshot.and_then(|found| Some(found.active.as_ref()?.id)) else {
            return tracing::debug!(%registration, "a push for nobody");
        };
        let known = self.shared.stashing().worker(worker);
        let types = known.and_then(|known| known.listeners.or(known.handles));
        if types.is_some_and(|types| !types.contains(EventType::Push)) {
            return tracing::debug!(%worker, "nobody listens to pushes there");
        }
        self.run_for_message(worker, EventDetail::Push { data });
    }

    /// "Storage cleared → all close."
    pub(crate) fn clear_stash(&mut self, key: &StorageKey) {
        while self.wake_next_stash() {}
        let cleared = self.shared.stashing().stash.registrations();
        for registration in cleared {
            if self.registry.storage_key(registration) == Some(key) {
                self.stash_input(Input::AllClosed { registration });
            }
        }
    }
}
