//! Connections that are kept for the next request: idle ones, and those that carry several at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use service_worker::types::StorageKey;
use url::Url;

use super::sender::Sender;

const MAX_IDLE_A_KEY: usize = 6;
const MAX_IDLE: usize = 64;
/// Less than servers wait, as a rule, before they close.
const MAX_IDLE_TIME: Duration = Duration::from_secs(20);

/// Who may share a connection: one origin, asked in one partition with one credentials flag.
/// (*Fetch*, "obtain a connection": its key, URL and credentials.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PoolKey {
    origin: String,
    credentials: bool,
    partition: Option<StorageKey>,
}

impl PoolKey {
    pub(super) fn new(url: &Url, credentials: bool, partition: Option<StorageKey>) -> Self {
        Self {
            origin: url.origin().ascii_serialization(),
            credentials,
            partition,
        }
    }
}

/// Connections that a request can use: at most six a key and 64 in all, none for longer than twenty
/// seconds after it was used last. (What is dropped here ends when its last response has.)
#[derive(Default)]
pub(super) struct Pool(Mutex<BTreeMap<PoolKey, Vec<Idle>>>);

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// The connection that was used last, if one is still open as far as one can know.
    pub(super) fn take(&self, key: &PoolKey) -> Option<Sender> {
        let mut idle = self.lock();
        drop_stale(&mut idle);
        let of_key = idle.get_mut(key)?;
        let last = of_key.last_mut()?;
        if let Some(shared) = last.sender.shared() {
            last.since = Instant::now();
            return Some(shared);
        }
        of_key.pop().map(|idle| idle.sender)
    }

    pub(super) fn put(&self, key: PoolKey, sender: Sender) {
        let mut idle = self.lock();
        drop_stale(&mut idle);
        if idle.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            return;
        }
        let of_key = idle.entry(key).or_default();
        // One that carries several at once is enough.
        if sender.shared().is_some() {
            of_key.clear();
        }
        if of_key.len() < MAX_IDLE_A_KEY {
            of_key.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolKey, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_stale(idle: &mut BTreeMap<PoolKey, Vec<Idle>>) {
    idle.retain(|_, of_key| {
        of_key.retain(|idle| idle.sender.is_ready() && idle.since.elapsed() < MAX_IDLE_TIME);
        !of_key.is_empty()
    });
}
