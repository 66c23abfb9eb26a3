//! What requests that outlive their client may carry together. (*Fetch*, "HTTP-network-or-cache
//! fetch", on *inflightKeepaliveBytes*.)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use service_worker::types::ClientId;

/// The most bytes that the bodies of one client's keepalive requests have at one time.
const LIMIT: u64 = 64 * 1024;

/// The bytes that are on their way, by client.
#[derive(Clone, Debug, Default)]
pub(super) struct InflightKeepalive(Arc<Mutex<BTreeMap<ClientId, u64>>>);

/// Some of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Inflight {
    of: InflightKeepalive,
    client: ClientId,
    bytes: u64,
}

impl InflightKeepalive {
    /// Counts a body; `None` if that were too much.
    pub(super) fn admit(&self, client: ClientId, bytes: u64) -> Option<Inflight> {
        let mut inflight = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = inflight.entry(client).or_default();
        let after = sum.checked_add(bytes).filter(|after| *after <= LIMIT);
        if let Some(after) = after {
            *sum = after;
        } else if *sum == 0 {
            inflight.remove(&client);
        }
        after.map(|_| Inflight {
            of: self.clone(),
            client,
            bytes,
        })
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        let mut inflight = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = inflight.get_mut(&self.client) {
            *sum = sum.saturating_sub(self.bytes);
            if *sum == 0 {
                inflight.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_count_together_by_client_until_they_have_arrived() {
        let inflight = InflightKeepalive::default();
        let (page, other) = (ClientId(1), ClientId(2));
        let first = inflight.admit(page, LIMIT - 1).unwrap();
        assert!(inflight.admit(page, 2).is_none());
        assert!(inflight.admit(other, LIMIT).is_some());
        let second = inflight.admit(page, 1).unwrap();
        drop(first);
        assert!(inflight.admit(page, LIMIT - 1).is_some());
        assert!(inflight.admit(page, u64::MAX).is_none());
        drop(second);
        assert!(inflight.0.lock().unwrap().is_empty());
    }
}
