//! The scopes of one origin, by partition, laid out so that a match touches little memory.

use std::cmp::Ordering;
use std::sync::Arc;

use sw_types::{ScopeUrl, StorageKey};

use super::Snapshot;

/// What is registered for one origin. (Or for several whose hashes are the same: each partition
/// knows its origin.)
#[derive(Clone, Debug)]
pub(super) enum OriginTable {
    /// Seen from one place only, as nearly every origin is: nothing to go through.
    One(Partition),
    /// Sorted by storage key.
    Many(Vec<Arc<Partition>>),
}

impl OriginTable {
    /// From partitions that are sorted by storage key; `None` without any.
    pub(super) fn new(mut partitions: Vec<Arc<Partition>>) -> Option<Self> {
        match partitions.len() {
            0 => None,
            1 => partitions.pop().map(Arc::unwrap_or_clone).map(Self::One),
            _ => Some(Self::Many(partitions)),
        }
    }

    /// The partition of a storage key, whose serialized origin is `origin`.
    pub(super) fn partition(&self, key: &StorageKey, origin: &str) -> Option<&Partition> {
        match self {
            Self::One(only) => only.is_of(key, origin).then_some(only),
            Self::Many(partitions) => {
                let at = partitions.binary_search_by(|it| it.key.cmp(key)).ok()?;
                Some(&*partitions[at])
            }
        }
    }

    pub(super) fn has_origin(&self, origin: &str) -> bool {
        match self {
            Self::One(only) => only.origin() == origin,
            Self::Many(partitions) => partitions.iter().any(|it| it.origin() == origin),
        }
    }

    /// The same with another registration, or another snapshot of one.
    pub(super) fn with(table: Option<Self>, snapshot: &Arc<Snapshot>) -> Option<Self> {
        let mut partitions = table.map_or_else(Vec::new, Self::into_partitions);
        let key = &snapshot.storage_key;
        match partitions.binary_search_by(|it| it.key.cmp(key)) {
            Ok(at) => partitions[at] = Arc::new(partitions[at].with(snapshot)),
            Err(at) => {
                let new = Partition::new(vec![Arc::clone(snapshot)])?;
                partitions.insert(at, Arc::new(new));
            }
        }
        Self::new(partitions)
    }

    /// The same with these partitions, none of which it has.
    pub(super) fn joined(table: Option<Self>, partitions: Vec<Arc<Partition>>) -> Option<Self> {
        let mut all = table.map_or_else(Vec::new, Self::into_partitions);
        all.extend(partitions);
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Self::new(all)
    }

    /// The same without a registration; `None` if nothing is left.
    pub(super) fn without(self, key: &StorageKey, scope: &ScopeUrl) -> Option<Self> {
        let mut partitions = self.into_partitions();
        if let Ok(at) = partitions.binary_search_by(|it| it.key.cmp(key)) {
            let mut snapshots: Vec<_> = partitions[at].snapshots().collect();
            snapshots.retain(|snapshot| snapshot.scope != *scope);
            match Partition::new(snapshots) {
                Some(partition) => partitions[at] = Arc::new(partition),
                None => drop(partitions.remove(at)),
            }
        }
        Self::new(partitions)
    }

    fn into_partitions(self) -> Vec<Arc<Partition>> {
        match self {
            Self::One(only) => vec![Arc::new(only)],
            Self::Many(partitions) => partitions,
        }
    }
}

/// The scopes of one storage key, for finding the longest that is a prefix of a URL.
///
/// In sorted order, everything between a prefix of a URL and that URL starts with that prefix. So
/// the longest prefix is the greatest scope that is not greater than the URL, or an ancestor of it:
/// a scope that it starts with. Each scope knows its nearest ancestor.
///
/// Two pieces of memory, made one after the other: with a million registrations, each piece that a
/// match touches is one more miss of every cache.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    key: StorageKey,
    origin_len: u32,
    /// The origin, and then what follows it in each scope, one after another.
    text: Box<str>,
    /// Sorted by scope; never empty.
    entries: Box<[Entry]>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Where in the text what follows the origin begins and ends.
    start: u32,
    end: u32,
    /// The nearest ancestor's place, or [`NO_ANCESTOR`].
    ancestor: u32,
    snapshot: Arc<Snapshot>,
}

const NO_ANCESTOR: u32 = u32::MAX;

impl Partition {
    /// From snapshots of one storage key that are sorted by scope; `None` without any.
    pub(super) fn new(snapshots: Vec<Arc<Snapshot>>) -> Option<Self> {
        let key = snapshots.first()?.storage_key.clone();
        let origin = key.origin().as_str();
        let len = |snapshot: &Arc<Snapshot>| snapshot.scope.as_str().len();
        let mut text = String::with_capacity(snapshots.iter().map(len).sum());
        text.push_str(origin);
        let mut entries: Vec<Entry> = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots {
            let scope = snapshot.scope.as_str();
            let Some(path) = scope.strip_prefix(origin) else {
                tracing::error!(%scope, %origin, "a scope of another origin cannot be matched");
                continue;
            };
            let mut ancestor = entries.len().checked_sub(1);
            while let Some(at) = ancestor {
                if path.starts_with(slice(&text, &entries[at])) {
                    break;
                }
                ancestor = place(entries[at].ancestor);
            }
            let start = text.len();
            text.push_str(path);
            entries.push(Entry {
                start: offset(start),
                end: offset(text.len()),
                ancestor: ancestor.map_or(NO_ANCESTOR, offset),
                snapshot,
            });
        }
        Some(Self {
            origin_len: offset(origin.len()),
            text: text.into(),
            entries: entries.into(),
            key,
        })
    }

    pub(super) fn snapshots(&self) -> impl Iterator<Item = Arc<Snapshot>> + '_ {
        self.entries.iter().map(|entry| Arc::clone(&entry.snapshot))
    }

    /// The registration with the longest scope that is a prefix of the URL whose text after its
    /// origin, which is this partition's, is `path`.
    pub(super) fn longest_prefix_of(&self, path: &str) -> Option<&Arc<Snapshot>> {
        let after = self
            .entries
            .partition_point(|entry| slice(&self.text, entry) <= path);
        let mut at = after.checked_sub(1)?;
        let nearest = slice(&self.text, &self.entries[at]);
        let common = nearest
            .bytes()
            .zip(path.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        while slice(&self.text, &self.entries[at]).len() > common {
            at = place(self.entries[at].ancestor)?;
        }
        Some(&self.entries[at].snapshot)
    }

    /// Whether this is the partition of a key whose serialized origin is `origin`. Reads nothing of
    /// this partition's own key but what stands in it.
    fn is_of(&self, key: &StorageKey, origin: &str) -> bool {
        self.key.is_in_partition_of(key) && self.origin() == origin
    }

    fn origin(&self) -> &str {
        self.text
            .get(..self.origin_len as usize)
            .unwrap_or_default()
    }

    fn with(&self, snapshot: &Arc<Snapshot>) -> Self {
        let scope = &snapshot.scope;
        let place = |entry: &Entry| -> Ordering { entry.snapshot.scope.cmp(scope) };
        match self.entries.binary_search_by(place) {
            Ok(at) => {
                let mut partition = self.clone();
                partition.entries[at].snapshot = Arc::clone(snapshot);
                partition
            }
            Err(at) => {
                let mut snapshots: Vec<_> = self.snapshots().collect();
                snapshots.insert(at, Arc::clone(snapshot));
                Self::new(snapshots).unwrap_or_else(|| self.clone())
            }
        }
    }
}

/// What follows the origin in an entry's scope.
fn slice<'a>(text: &'a str, entry: &Entry) -> &'a str {
    text.get(entry.start as usize..entry.end as usize)
        .unwrap_or_default()
}

/// An origin with 4 GiB of scopes is beyond every quota; its last scopes would match nothing.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NO_ANCESTOR)
}

fn place(ancestor: u32) -> Option<usize> {
    (ancestor != NO_ANCESTOR).then_some(ancestor as usize)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sw_types::{NavigationPreload, Origin, RegistrationId, Site};
    use url::Url;

    use super::*;
    use crate::Provenance;

    fn snapshot(id: u64, key: &StorageKey, path: &str) -> Arc<Snapshot> {
        let scope = format!("{}{path}", key.origin().as_str());
        Arc::new(Snapshot {
            id: RegistrationId(id),
            storage_key: key.clone(),
            scope: ScopeUrl::parse(&scope, None).unwrap(),
            provenance: Provenance::Script,
            update_via_cache: sw_types::UpdateViaCache::Imports,
            navigation_preload: NavigationPreload::default(),
            last_update_check: None,
            stale_after: Duration::from_secs(1),
            active: None,
        })
    }

    /// Origins with one hash share a table, and nothing else.
    #[test]
    fn a_table_of_several_origins_and_partitions_tells_them_apart() {
        let origin = |url| Origin::of(&Url::parse(url).unwrap());
        let mut keys = Vec::new();
        for of in ["https://a.test", "https://ab.test", "https://a.test:8443"] {
            let key = StorageKey::first_party(origin(of));
            let site = Site::of(&origin("https://top.test"));
            keys.extend([key.clone(), key.clone().under(site.clone(), false)]);
            keys.push(key.under(site, true));
        }
        let found = |table: &Option<OriginTable>, key: &StorageKey| {
            let table = table.as_ref()?;
            let partition = table.partition(key, key.origin().as_str())?;
            partition.longest_prefix_of("/x/y").map(|it| it.id.0)
        };
        let mut table = None;
        for (id, key) in keys.iter().enumerate() {
            assert_eq!(found(&table, key), None, "{key}");
            table = OriginTable::with(table, &snapshot(id as u64, key, "/x"));
            for (id, key) in keys[..=id].iter().enumerate() {
                assert_eq!(found(&table, key), Some(id as u64), "{key}");
            }
        }
        for (id, key) in keys.iter().enumerate() {
            let scope = &snapshot(0, key, "/x").scope;
            assert_eq!(found(&table, key), Some(id as u64), "{key}");
            table = table.and_then(|table| table.without(key, scope));
            assert_eq!(found(&table, key), None, "{key}");
        }
        assert!(table.is_none());
    }
}
