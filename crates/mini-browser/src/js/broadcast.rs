//! The broadcast channels of a browser: who hears whom. (*HTML*, "Broadcasting to other browsing
//! contexts".)

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use service_worker::types::{PartitionPolicy, StorageKey};

use super::agent::WeakAgent;
use super::clone::{self, Serialized};
use super::realm::{Realm, RealmKind, RealmState};
use super::task::{RealmId, TaskSource};

/// The channels of all agents of a browser: a service of their realms. Without it, an agent's
/// channels reach each other only.
#[derive(Default)]
pub struct Broadcasts(Mutex<Channels>);

#[derive(Default)]
struct Channels {
    /// In the order of their creation.
    by_name: BTreeMap<Name, Vec<Member>>,
    last: u32,
}

#[derive(Clone)]
struct Member {
    id: u32,
    realm: RealmId,
    agent: WeakAgent,
}

impl std::fmt::Debug for Broadcasts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcasts").finish_non_exhaustive()
    }
}

impl Broadcasts {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The channels of one realm. They are closed when it ends.
#[derive(Default)]
pub(super) struct OpenChannels {
    open: RefCell<BTreeMap<u32, (Arc<Broadcasts>, Name)>>,
}

/// What the channels that hear each other have in common.
type Name = (StorageKey, String);

impl OpenChannels {
    /// *new BroadcastChannel(name)*: its number. The agent dies of one channel too many.
    pub(super) fn open(&self, realm: &RealmState, name: String) -> u32 {
        let event_loop = realm.event_loop();
        let count = self.open.borrow().len();
        event_loop.admits(count, event_loop.limits().ports, "broadcast channels");
        let broadcasts = realm.service::<Broadcasts>();
        let broadcasts = broadcasts.unwrap_or_else(|| Arc::clone(realm.event_loop().broadcasts()));
        let key = (storage_key(realm), name);
        let mut channels = broadcasts.lock();
        channels.last += 1;
        let id = channels.last;
        let member = Member {
            id,
            realm: realm.id(),
            agent: realm.event_loop().remote().clone(),
        };
        channels
            .by_name
            .entry(key.clone())
            .or_default()
            .push(member);
        drop(channels);
        self.open.borrow_mut().insert(id, (broadcasts, key));
        id
    }

    /// `postMessage(message)`, steps 5 to 8.
    pub(super) fn post(&self, realm: &RealmState, id: u32, record: &Bytes) {
        let open = self.open.borrow();
        let Some((broadcasts, key)) = open.get(&id) else {
            return;
        };
        // Steps 5 to 7: destinations, oldest first, without the source.
        let channels = broadcasts.lock();
        let members = channels.by_name.get(key).cloned().unwrap_or_default();
        drop(channels);
        let origin = realm.environment().origin.as_str().to_owned();
        // Step 8.
        for member in members.into_iter().filter(|member| member.id != id) {
            let (record, origin) = (record.clone(), origin.clone());
            let task = move |realm: &Realm| deliver(realm, member.id, record, &origin);
            member.agent.post(member.realm, TaskSource::Dom, task);
        }
    }

    /// `close()`.
    pub(super) fn close(&self, id: u32) {
        if let Some((broadcasts, key)) = self.open.borrow_mut().remove(&id) {
            let mut channels = broadcasts.lock();
            if let Some(members) = channels.by_name.get_mut(&key) {
                members.retain(|member| member.id != id);
                if members.is_empty() {
                    channels.by_name.remove(&key);
                }
            }
        }
    }
}

impl Drop for OpenChannels {
    fn drop(&mut self) {
        let open: Vec<_> = self.open.borrow().keys().copied().collect();
        for id in open {
            self.close(id);
        }
    }
}

/// *Eligible for messaging*: a window that is fully active, or a worker that does not close.
pub(super) fn is_eligible(realm: &RealmState) -> bool {
    match realm.kind() {
        RealmKind::Window => realm.navigable().is_some(),
        RealmKind::DedicatedWorker(_)
        | RealmKind::SharedWorker(_)
        | RealmKind::ServiceWorker(_) => !realm.event_loop().is_closing(),
    }
}

/// Step 8, the task of one destination.
fn deliver(realm: &Realm, id: u32, record: Bytes, origin: &str) {
    if !is_eligible(realm.state()) {
        return;
    }
    realm.with(|ctx| {
        let state = realm.state();
        let serialized = Serialized::of_record(record);
        match clone::structured_deserialize_with_transfer(ctx, state, serialized) {
            Ok(received) => drop(state.call(ctx, "broadcast", (id, received.value, origin))),
            Err(error) => {
                tracing::debug!(%error, "a broadcast could not be deserialized");
                drop(ctx.catch());
                drop(state.call(ctx, "broadcast error", (id, origin)));
            }
        }
    });
}

/// *Obtain a storage key for non-storage purposes*.
pub(super) fn storage_key(realm: &RealmState) -> StorageKey {
    if let RealmKind::ServiceWorker(start) = realm.kind() {
        return start.storage_key.clone();
    }
    let mut environment = realm.environment().clone();
    environment.storage_blocked = false;
    let policy = realm.service::<PartitionPolicy>();
    let key = policy.and_then(|policy| policy.storage_key(&environment, &environment.origin));
    // An opaque origin shares nothing with any other.
    key.unwrap_or_else(|| {
        StorageKey::first_party(environment.origin.clone()).in_session(environment.ephemeral)
    })
}
