//! A message on its way to a worker: its payload is read if only the store has it, the store hears
//! that it may be dispatched, then it is; and what becomes of it.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use message_port::{Message, MessagePort};
use stash::record::{self, RecordError};
use stash::{EntryId, Input, Item};
use sw_registry::StoreError;
use sw_types::{EventId, WorkerId};

use super::journal::Then;
use super::parked::{Parked, Stored};
use crate::driver::Driver;
use crate::functional::What;
use crate::shared::{Shared, ToDriver};
use crate::store::ReadBlobs;
use crate::{EventDetail, PortMessage, Report};

/// How long a disk that cannot read is left alone.
const UNREAD: Duration = Duration::from_secs(1);

/// A message that is about to be dispatched.
pub(crate) enum Preparing {
    /// Its payload is being read.
    Loading(EntryId, Parked),
    /// The store is hearing of it.
    Granting(EventDetail<MessagePort>),
}

/// Payloads that were read for a message.
pub(crate) struct Loaded {
    worker: WorkerId,
    event: EventId,
    keys: Vec<Vec<u8>>,
    read: ReadBlobs,
}

impl Driver {
    /// Gives a worker an event. One that takes no more events keeps it for its next run.
    pub(super) fn deliver(&mut self, worker: WorkerId, entry: EntryId, item: Item<Parked>) {
        let endpoint = self.shared.endpoint(worker);
        let Some(keep_alive) = endpoint.and_then(|endpoint| endpoint.begin()) else {
            let undispatched = self.functional.undispatched.entry(worker).or_default();
            undispatched.push((entry, item));
            return;
        };
        let stored = match &item {
            Item::Message(parked) => parked.stored,
            Item::Close => None,
        };
        let what = What::Stashed {
            entry,
            consumed: false,
            stored,
        };
        let event = self.functional.begin(worker, keep_alive, what);
        match item {
            Item::Message(parked) => self.prepare(worker, event, entry, parked),
            Item::Close => {
                let name = self.name_of(entry);
                self.dispatch(worker, event, EventDetail::StashedClose { entry, name });
            }
        }
    }

    fn name_of(&self, entry: EntryId) -> String {
        let stashing = self.shared.stashing();
        let name = stashing.stash.entry(entry).map(stash::Entry::name);
        name.unwrap_or_default().to_owned()
    }

    fn prepare(&mut self, worker: WorkerId, event: EventId, entry: EntryId, parked: Parked) {
        let missing = self.shared.stashing().missing(&parked);
        if !missing.is_empty() {
            let loading = Preparing::Loading(entry, parked);
            self.functional.preparing.insert(event, loading);
            return self.load(worker, event, missing);
        }
        let mut stored = parked.stored;
        let (messages, gone) = self.shared.unpack(vec![parked]);
        for kept in gone {
            // Its new owner is live: it would be closed after a restart.
            self.forget_stored(kept);
        }
        let message = messages.into_iter().next().unwrap_or_default();
        let Message { payload, ports, .. } = message;
        let unstored = stored.is_none().then(|| (payload.clone(), ports.len()));
        let ports = ports.into_iter().map(|port| port.receive()).collect();
        let detail = EventDetail::StashedMessage {
            entry,
            name: self.name_of(entry),
            message: PortMessage { payload, ports },
            redelivered: stored.is_some_and(|stored| stored.redelivered),
        };
        let then = Then::Granted(worker, event);
        let granted = stored
            .as_mut()
            .is_none_or(|stored| self.grant(stored, then));
        if let Some(found) = self.functional.event(worker, event) {
            found.unstored = unstored;
            found.what = What::Stashed {
                entry,
                consumed: false,
                stored,
            };
        }
        let granting = Preparing::Granting(detail);
        self.functional.preparing.insert(event, granting);
        if granted {
            self.granted(worker, event);
        }
    }

    /// The store knows that this may be dispatched.
    pub(super) fn granted(&mut self, worker: WorkerId, event: EventId) {
        let Some(Preparing::Granting(detail)) = self.functional.preparing.remove(&event) else {
            return tracing::debug!(%event, "was taken back");
        };
        let what = self.functional.event(worker, event).map(|found| found.what);
        if let Some(What::Stashed {
            stored: Some(stored),
            ..
        }) = what
        {
            self.grant_used(stored);
        }
        self.dispatch(worker, event, detail);
    }

    /// A worker stops with messages that were about to be dispatched: they were not.
    pub(crate) fn take_back_prepared(&mut self, worker: WorkerId) {
        let preparing = mem::take(&mut self.functional.preparing);
        for (event, prepared) in preparing {
            let found = self.functional.events.get(&event);
            if found.is_none_or(|found| found.worker != worker) {
                self.functional.preparing.insert(event, prepared);
                continue;
            }
            match prepared {
                Preparing::Loading(entry, parked) => {
                    self.functional.events.remove(&event);
                    let undispatched = self.functional.undispatched.entry(worker).or_default();
                    undispatched.push((entry, Item::Message(parked)));
                }
                Preparing::Granting(detail) => self.comes_back(worker, event, detail, false),
            }
        }
    }

    /// "Consumed when its dispatch task has run."
    pub(crate) fn dispatched(&mut self, worker: WorkerId, event: EventId) {
        let Some(found) = self.functional.event(worker, event) else {
            return;
        };
        if let What::Stashed {
            entry,
            consumed: consumed @ false,
            stored,
        } = &mut found.what
        {
            *consumed = true;
            let (entry, stored) = (*entry, *stored);
            found.unstored = None;
            self.forget_message(stored);
            self.stash_input(Input::Consumed { worker, entry });
        }
        self.answered_for(worker);
    }

    /// "Survives termination by requeue."
    pub(crate) fn undelivered(
        &mut self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) {
        self.comes_back(worker, event, detail, true);
    }

    fn comes_back(
        &mut self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
        was_granted: bool,
    ) {
        let Some(found) = self.functional.event(worker, event) else {
            return;
        };
        match (found.what, detail) {
            (
                What::Stashed {
                    entry,
                    consumed: false,
                    mut stored,
                },
                detail @ (EventDetail::StashedMessage { .. } | EventDetail::StashedClose { .. }),
            ) => {
                self.functional.events.remove(&event);
                if let Some(stored) = stored
                    .as_mut()
                    .filter(|stored| was_granted || stored.counted)
                {
                    self.grant_unused(stored);
                }
                let item = self.parked_again(detail, stored);
                let undispatched = self.functional.undispatched.entry(worker).or_default();
                undispatched.push((entry, item));
                self.answered_for(worker);
            }
            (What::Connect { .. }, _) => {
                self.decide(event, connect::Decision::Refuse);
                self.functional.events.remove(&event);
            }
            _ => tracing::warn!(%worker, %event, "given back what was not under way"),
        }
    }

    fn parked_again(
        &mut self,
        detail: EventDetail<MessagePort>,
        stored: Option<Stored>,
    ) -> Item<Parked> {
        let EventDetail::StashedMessage { message, .. } = detail else {
            return Item::Close;
        };
        let ports = message.ports.into_iter().map(MessagePort::transfer);
        let message = Message {
            payload: message.payload,
            ports: ports.filter_map(Result::ok).collect(),
            attachment: None,
        };
        let mut parked = Parked::new(message, self.shared.driver());
        parked.stored = stored;
        if !parked.ports.is_empty() {
            // What the store has of its ports is gone.
            self.store_again(&mut parked);
        }
        Item::Message(parked)
    }

    // ---- Payloads that only the store has ----

    fn load(&self, worker: WorkerId, event: EventId, keys: Vec<Vec<u8>>) {
        let driver = self.shared.driver();
        self.shared.blobs.read(keys.clone(), move |read| {
            let loaded = Loaded {
                worker,
                event,
                keys,
                read,
            };
            // A driver that is gone has no use for it.
            let _gone = driver.unbounded_send(ToDriver::StashLoaded(Box::new(loaded)));
        });
    }

    pub(crate) fn loaded(&mut self, loaded: Loaded) {
        let Loaded {
            worker,
            event,
            keys,
            read,
        } = loaded;
        let Some(Preparing::Loading(entry, mut parked)) = self.functional.preparing.remove(&event)
        else {
            return tracing::debug!(%event, "was taken back");
        };
        let read = match read {
            Ok(read) => read,
            Err(StoreError::Damaged(reason)) => {
                return self.quarantine(worker, event, entry, reason, None);
            }
            Err(error) => {
                tracing::warn!(%error, "the payload of a stashed message cannot be read now");
                let again = Preparing::Loading(entry, parked);
                self.functional.preparing.insert(event, again);
                let at = self.shared.clock.now() + UNREAD;
                return self.durable.journal.unread.push((at, worker, event));
            }
        };
        match checked(keys, read) {
            Ok(bodies) => {
                self.shared.stashing().fill(&mut parked, &bodies);
                self.prepare(worker, event, entry, parked);
            }
            Err((key, record, reason)) => {
                drop(parked);
                let kept = record.map(|record| (key, record));
                self.quarantine(worker, event, entry, reason, kept);
            }
        }
    }

    /// Reads again what could not be read.
    pub(crate) fn load_again(&mut self) {
        let now = self.shared.clock.now();
        for (at, worker, event) in mem::take(&mut self.durable.journal.unread) {
            match self.functional.preparing.get(&event) {
                Some(Preparing::Loading(_, parked)) if at <= now => {
                    let missing = self.shared.stashing().missing(parked);
                    self.load(worker, event, missing);
                }
                Some(_) => self.durable.journal.unread.push((at, worker, event)),
                None => {}
            }
        }
    }

    /// "Damage is quarantined per entry": it closes, and what was found is kept aside.
    fn quarantine(
        &mut self,
        worker: WorkerId,
        event: EventId,
        entry: EntryId,
        reason: String,
        record: Option<(Vec<u8>, Vec<u8>)>,
    ) {
        tracing::warn!(%entry, %reason, "quarantined");
        if let Some((key, bytes)) = record {
            self.keep_aside(&reason, &key, &bytes);
        }
        self.functional.events.remove(&event);
        self.stash_input(Input::Close { entry });
        self.shared
            .report(Report::StashQuarantined { entry, reason });
        self.answered_for(worker);
    }
}

impl Shared {
    /// Reads the payloads that are missing, and waits for it; whether they are there now.
    pub(super) fn read_missing(&self, parked: &mut Parked) -> bool {
        let keys = self.stashing().missing(parked);
        if keys.is_empty() {
            return true;
        }
        let read = self.blobs.read_blocking(keys.clone());
        let bodies = read
            .map_err(|error| error.to_string())
            .and_then(|read| checked(keys, read).map_err(|(.., reason)| reason));
        match bodies {
            Ok(bodies) => {
                self.stashing().fill(parked, &bodies);
                true
            }
            Err(reason) => {
                if let Some(Stored { entry, .. }) = parked.stored {
                    self.report(Report::StashQuarantined { entry, reason });
                }
                false
            }
        }
    }
}

type Bodies = BTreeMap<Vec<u8>, Bytes>;

/// A payload that is not there or damaged: its key, its record, and why.
type Damage = (Vec<u8>, Option<Vec<u8>>, String);

/// The payloads, unless one is not there or damaged.
fn checked(keys: Vec<Vec<u8>>, read: Vec<Option<Vec<u8>>>) -> Result<Bodies, Damage> {
    let mut bodies = Bodies::new();
    for (key, record) in keys.into_iter().zip(read) {
        let Some(record) = record else {
            return Err((key, None, "a payload is missing".to_owned()));
        };
        match record::decode_bytes(&key, &record).map(Bytes::copy_from_slice) {
            Ok(body) => bodies.insert(key, body),
            Err(error) => return Err(damaged(key, record, error)),
        };
    }
    Ok(bodies)
}

fn damaged(key: Vec<u8>, record: Vec<u8>, error: RecordError) -> Damage {
    (key, Some(record), format!("a payload: {error}"))
}
