//! Storage keys: whose data something is. (*Storage*, "storage key".)

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Origin, Site};

/// Names a private session, whose data is kept apart and never written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EphemeralId(pub u64);

/// Whose data something is: an origin, and the partition it is seen from.
///
/// Made by [`PartitionPolicy::storage_key`](crate::PartitionPolicy::storage_key); two keys are
/// equal exactly if they share data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StorageKey {
    origin: Origin,
    partition: Option<Partition>,
    ephemeral: Option<EphemeralId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Partition {
    top_level_site: Site,
    cross_site_ancestor: bool,
}

impl StorageKey {
    /// The key of an origin without any partition.
    #[must_use]
    pub const fn first_party(origin: Origin) -> Self {
        Self {
            origin,
            partition: None,
            ephemeral: None,
        }
    }

    /// The same key inside a private session, or outside any.
    #[must_use]
    pub const fn in_session(mut self, ephemeral: Option<EphemeralId>) -> Self {
        self.ephemeral = ephemeral;
        self
    }

    /// The same key under a top-level site; `cross_site_ancestor` is the ancestor bit.
    #[must_use]
    pub fn under(mut self, top_level_site: Site, cross_site_ancestor: bool) -> Self {
        self.partition = Some(Partition {
            top_level_site,
            cross_site_ancestor,
        });
        self
    }

    /// The origin whose data this is.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The top-level site that it is seen from, if partitioned.
    #[must_use]
    pub fn top_level_site(&self) -> Option<&Site> {
        self.partition
            .as_ref()
            .map(|partition| &partition.top_level_site)
    }

    /// The ancestor bit: whether any frame between the top level and the client is cross-site.
    #[must_use]
    pub fn has_cross_site_ancestor(&self) -> bool {
        self.partition
            .as_ref()
            .is_some_and(|partition| partition.cross_site_ancestor)
    }

    /// The private session, if any.
    #[must_use]
    pub const fn ephemeral(&self) -> Option<EphemeralId> {
        self.ephemeral
    }
}

/// For people: `https://fonts.example.com (under https://site.test, cross-site)`.
impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)?;
        if let Some(partition) = &self.partition {
            write!(f, " (under {}", partition.top_level_site)?;
            if partition.cross_site_ancestor {
                f.write_str(", cross-site")?;
            }
            f.write_str(")")?;
        }
        if let Some(EphemeralId(id)) = self.ephemeral {
            write!(f, " (private session {id})")?;
        }
        Ok(())
    }
}
