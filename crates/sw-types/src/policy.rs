//! The choices of a host that several crates read. The facade's `Policies` gathers them.

use serde::{Deserialize, Serialize};

use crate::{Environment, Origin, StorageKey};

/// From a requester's environment and a target origin to a storage key.
///
/// Every look-up — navigation, connect, fall-through, header install, stash — goes through it, and
/// nothing falls back to a first-party key. (SEMANTICS §8.5, §9.1.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PartitionPolicy {
    /// One partition for everyone: what the proposals assume.
    Unpartitioned,
    /// By the requester's top-level site, with the ancestor bit: what browsers deploy today.
    ByTopLevelSite,
}

impl PartitionPolicy {
    /// The storage key that `environment` uses for data of `target`; `None` if it may use none
    /// (blocked storage, an opaque target).
    #[must_use]
    pub fn storage_key(self, environment: &Environment, target: &Origin) -> Option<StorageKey> {
        if environment.storage_blocked || target.is_opaque() {
            return None;
        }
        let key = StorageKey::first_party(target.clone()).in_session(environment.ephemeral);
        Some(match self {
            Self::Unpartitioned => key,
            Self::ByTopLevelSite => {
                let cross_site =
                    environment.cross_site_ancestor || !environment.top_level_site.contains(target);
                key.under(environment.top_level_site.clone(), cross_site)
            }
        })
    }
}

/// What a response's `Service-Worker-Script` header may bring about. (SEMANTICS §5.6.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HeaderInstall {
    /// Nothing; the headers are ignored.
    Off,
    /// A worker that answers connects and fall-through fetches and controls no client.
    ServiceOnly,
    /// A registration like any other, as the proposals ask.
    Full,
}

/// When a request without credentials may fall through to another origin's worker, whose storage
/// can tell who asks. (SEMANTICS §5.7, §9.3.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum UncredentialedFallThrough {
    /// Always.
    Allow,
    /// Only where the storage key is partitioned by the requester's top-level site.
    OnlyPartitioned,
    /// Never.
    Forbid,
}
