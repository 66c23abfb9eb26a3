//! One shelf of caches: the rules of §5.4 over an index and bodies. Everything here runs on the
//! store's thread.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use service_worker::types::StorageKey;
use service_worker::types::fetch::{RequestHead, ResponseHead};

use super::bodies::{Bodies, BodyWriter, Progress};
use super::index::Index;
use super::query::{QueryOptions, base, request_matches};
use super::record::{CacheRecord, EntryKey, EntryRecord, StoredBody};
use super::usage::{PaddingKey, Usage};
use super::{CacheError, Damage, DamagedPart};

/// Caches, on disk or in memory.
pub(super) struct Shelf {
    index: Index,
    bodies: Bodies,
    /// The next number of a cache, an entry or a body.
    next: u64,
    caches: BTreeMap<u64, OpenCache>,
    /// The caches of each key that are not doomed, in the order in which they were made.
    by_key: BTreeMap<StorageKey, Vec<u64>>,
    /// Bodies that are written and not put yet: while they are, and when they are finished.
    unfinished: BTreeMap<u64, BodyWriter>,
    finished: BTreeMap<u64, Option<StoredBody>>,
    /// How many readers each body has; those in `unnamed` go when the last of them does.
    readers: BTreeMap<u64, usize>,
    unnamed: BTreeSet<u64>,
    damage: Vec<Damage>,
    usage: Usage,
}

struct OpenCache {
    record: CacheRecord,
    /// How many [`Cache`](super::Cache)s there are of it.
    handles: usize,
}

/// An entry that answers a request.
pub(super) struct Found {
    pub(super) key: EntryKey,
    pub(super) response: ResponseHead,
    pub(super) body: Option<StoredBody>,
}

/// An entry whose body has been written.
pub(super) struct Finished {
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    pub(super) body: u64,
}

impl Shelf {
    /// Reads all rows, quarantines what is damaged, and deletes what nothing names: doomed caches,
    /// entries of no cache, bodies of no entry. Gives how many files were deleted.
    pub(super) fn load(
        index: Index,
        bodies: Bodies,
        quota: u64,
    ) -> Result<(Self, usize), redb::Error> {
        let usage = Usage::new(quota, index.padding_key(new_padding_key())?);
        let mut shelf = Self {
            index,
            bodies,
            next: 1,
            caches: BTreeMap::new(),
            by_key: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            finished: BTreeMap::new(),
            readers: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            damage: Vec::new(),
            usage,
        };
        let doomed = shelf.load_caches()?;
        let mut purged = doomed.clone();
        let named = shelf.load_entries(&mut purged)?;
        if !purged.is_empty() {
            let purged: Vec<_> = purged.into_iter().collect();
            shelf.index.purge(&purged, |id| !doomed.contains(&id))?;
        }
        let swept = shelf.bodies.sweep(&named);
        Ok((shelf, swept))
    }

    /// The caches that were doomed when the store was closed, or crashed.
    fn load_caches(&mut self) -> Result<BTreeSet<u64>, redb::Error> {
        // Numbers of what is in quarantine are not given again: it would change its owner.
        self.next = self.index.highest_quarantined()?.saturating_add(1);
        let mut doomed = BTreeSet::new();
        for (id, record) in self.index.caches()? {
            self.next = self.next.max(id.saturating_add(1));
            match record {
                Ok(record) if record.doomed => {
                    doomed.insert(id);
                }
                Ok(record) => {
                    self.by_key.entry(record.key.clone()).or_default().push(id);
                    self.caches.insert(id, OpenCache { record, handles: 0 });
                }
                Err(reason) => {
                    // Its entries have no owner any more, and go as those of no cache do.
                    self.index.quarantine_cache(id)?;
                    self.damage.push(Damage {
                        key: None,
                        cache: None,
                        part: DamagedPart::Cache,
                        reason,
                    });
                }
            }
        }
        Ok(doomed)
    }

    /// The bodies that entries name; adds to the caches to purge those that do not exist.
    fn load_entries(&mut self, purged: &mut BTreeSet<u64>) -> Result<BTreeSet<u64>, redb::Error> {
        let mut named = BTreeSet::new();
        let mut damaged = Vec::new();
        let Self {
            index,
            bodies,
            next,
            caches,
            usage,
            ..
        } = self;
        index.for_each_entry(|key, record| {
            *next = (*next).max(key.order.saturating_add(1));
            let Some(cache) = caches.get(&key.cache) else {
                purged.insert(key.cache);
                return;
            };
            let record = match record {
                Ok(record) => record,
                Err(reason) => return damaged.push((key, DamagedPart::Entry, reason)),
            };
            if let Some(body) = record.body {
                *next = (*next).max(body.number.saturating_add(1));
                match bodies.check_length(body) {
                    Ok(()) => {
                        named.insert(body.number);
                    }
                    Err(reason) => return damaged.push((key, DamagedPart::Body, reason)),
                }
            }
            let size = usage.size(&record);
            usage.change(key.cache, &cache.record.key, 0, size);
        })?;
        for (key, part, reason) in damaged {
            self.quarantine(&key, part, reason)?;
        }
        Ok(named)
    }

    // CacheStorage (§5.5).

    /// *open(cacheName)*: finds or makes a cache; pair it with [`Self::close`].
    pub(super) fn open(&mut self, key: &StorageKey, name: &str) -> Result<u64, CacheError> {
        let id = match self.find(key, name) {
            Some(id) => id,
            None => self.make(key, name)?,
        };
        if let Some(cache) = self.caches.get_mut(&id) {
            cache.handles += 1;
        }
        Ok(id)
    }

    fn make(&mut self, key: &StorageKey, name: &str) -> Result<u64, CacheError> {
        let id = self.number();
        let record = CacheRecord {
            key: key.clone(),
            name: name.to_owned(),
            doomed: false,
        };
        self.index.put_cache(id, &record)?;
        self.by_key.entry(key.clone()).or_default().push(id);
        self.caches.insert(id, OpenCache { record, handles: 0 });
        Ok(id)
    }

    /// *has(cacheName)*, and which it is.
    pub(super) fn find(&self, key: &StorageKey, name: &str) -> Option<u64> {
        self.ids(key)
            .find(|id| self.caches.get(id).is_some_and(|it| it.record.name == name))
    }

    /// The caches of a key, in the order in which they were made.
    pub(super) fn ids(&self, key: &StorageKey) -> impl Iterator<Item = u64> + '_ {
        self.by_key.get(key).into_iter().flatten().copied()
    }

    /// *keys()*.
    pub(super) fn names(&self, key: &StorageKey) -> Vec<String> {
        self.ids(key)
            .filter_map(|id| Some(self.caches.get(&id)?.record.name.clone()))
            .collect()
    }

    /// *delete(cacheName)*: whoever has the cache open goes on using it, and it ends with them.
    pub(super) fn delete(&mut self, key: &StorageKey, name: &str) -> Result<bool, CacheError> {
        let Some(id) = self.find(key, name) else {
            return Ok(false);
        };
        let Some(cache) = self.caches.get_mut(&id) else {
            return Ok(false);
        };
        if cache.handles == 0 {
            self.purge(&[id], false)?;
            return Ok(true);
        }
        let doomed = CacheRecord {
            doomed: true,
            ..cache.record.clone()
        };
        self.index.put_cache(id, &doomed)?;
        cache.record = doomed;
        self.forget_name(key, id);
        Ok(true)
    }

    /// Ends one use of a cache.
    pub(super) fn close(&mut self, id: u64) -> Result<(), CacheError> {
        let Some(cache) = self.caches.get_mut(&id) else {
            return Ok(());
        };
        cache.handles = cache.handles.saturating_sub(1);
        if cache.handles == 0 && cache.record.doomed {
            self.purge(&[id], false)?;
        }
        Ok(())
    }

    /// Clears the caches of the keys that are `cleared`, doomed ones too, and what is in
    /// quarantine without an owner.
    pub(super) fn clear(
        &mut self,
        cleared: impl Fn(&StorageKey) -> bool,
    ) -> Result<(), CacheError> {
        let ids: Vec<_> = self
            .caches
            .iter()
            .filter(|(_, cache)| cleared(&cache.record.key))
            .map(|(id, _)| *id)
            .collect();
        self.purge(&ids, true)
    }

    fn purge(&mut self, ids: &[u64], ownerless_too: bool) -> Result<(), CacheError> {
        let kept =
            |id: u64| !ids.contains(&id) && (!ownerless_too || self.caches.contains_key(&id));
        let bodies = self.index.purge(ids, kept)?;
        for id in ids {
            if let Some(cache) = self.caches.remove(id) {
                self.usage.forget(*id, &cache.record.key);
                self.forget_name(&cache.record.key, *id);
            }
        }
        self.remove_bodies(bodies);
        Ok(())
    }

    fn forget_name(&mut self, key: &StorageKey, id: u64) {
        if let Some(ids) = self.by_key.get_mut(key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    // Cache (§5.4).

    /// *Query Cache*; all entries without a query. Damaged ones are quarantined on the way.
    pub(super) fn query(
        &mut self,
        id: u64,
        query: Option<(&RequestHead, QueryOptions)>,
    ) -> Result<Vec<(EntryKey, EntryRecord)>, CacheError> {
        self.key_of(id)?;
        let mut found = Vec::new();
        for (key, record) in self
            .index
            .entries(id, query.map(|(it, _)| base(it.url())))?
        {
            match record {
                Err(reason) => self.quarantine(&key, DamagedPart::Entry, reason)?,
                Ok(record) => {
                    let matches = query.is_none_or(|(request, options)| {
                        request_matches(request, &record.request, &record.response, options)
                    });
                    if matches {
                        found.push((key, record));
                    }
                }
            }
        }
        Ok(found)
    }

    /// *matchAll*, or the first of it. Every body that is found has one more reader: pair it with
    /// [`Self::end_reading`].
    pub(super) fn matching(
        &mut self,
        id: u64,
        query: Option<(&RequestHead, QueryOptions)>,
        at_most: usize,
    ) -> Result<Vec<Found>, CacheError> {
        let mut found = self.query(id, query)?;
        found.truncate(at_most);
        let found = found.into_iter().map(|(key, record)| {
            if let Some(body) = record.body {
                *self.readers.entry(body.number).or_default() += 1;
            }
            Found {
                key,
                response: record.response,
                body: record.body,
            }
        });
        Ok(found.collect())
    }

    /// *Batch Cache Operations* with `put` operations only: all or none. The bodies have been
    /// finished.
    pub(super) fn put(&mut self, id: u64, entries: Vec<Finished>) -> Result<(), CacheError> {
        let storage_key = self.key_of(id)?;
        // Step 4.2.4 and 4.2.5: what a new entry matches goes.
        let mut removed = BTreeMap::new();
        let mut added = Vec::new();
        for entry in entries {
            let same = self.query(id, Some((&entry.request, QueryOptions::default())))?;
            removed.extend(same);
            let Some(body) = self.finished.get(&entry.body).copied() else {
                return Err(CacheError::Store("a body was not finished".into()));
            };
            let key = EntryKey {
                cache: id,
                base: base(entry.request.url()).to_owned(),
                order: self.number(),
            };
            let record = EntryRecord {
                request: entry.request,
                response: entry.response,
                body,
            };
            added.push((entry.body, (key, record)));
        }
        let size = |record: &EntryRecord| self.usage.size(record);
        let freed = removed.values().map(size).sum();
        let taken = added.iter().map(|(_, (_, record))| size(record)).sum();
        self.usage.admits(&storage_key, freed, taken)?;
        // Invariant: a body and its name are on disk before a row names it.
        self.bodies.sync()?;
        let (written, added): (Vec<_>, Vec<_>) = added.into_iter().unzip();
        let (removed, replaced): (Vec<_>, Vec<_>) = removed.into_iter().unzip();
        self.index.replace(&removed, &added)?;
        self.usage.change(id, &storage_key, freed, taken);
        for number in written {
            self.finished.remove(&number);
            self.usage.end(number);
        }
        self.remove_bodies(replaced.into_iter().filter_map(|it| Some(it.body?.number)));
        Ok(())
    }

    /// *delete(request)*.
    pub(super) fn delete_entries(
        &mut self,
        id: u64,
        request: &RequestHead,
        options: QueryOptions,
    ) -> Result<bool, CacheError> {
        let found = self.query(id, Some((request, options)))?;
        let (keys, records): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        if keys.is_empty() {
            return Ok(false);
        }
        self.index.replace(&keys, &[])?;
        let freed = records.iter().map(|record| self.usage.size(record)).sum();
        self.usage.change(id, &self.key_of(id)?, freed, 0);
        self.remove_bodies(records.into_iter().filter_map(|it| Some(it.body?.number)));
        Ok(true)
    }

    fn key_of(&self, id: u64) -> Result<StorageKey, CacheError> {
        let cache = self.caches.get(&id).ok_or(CacheError::Gone)?;
        Ok(cache.record.key.clone())
    }

    // Bodies.

    /// Begins to write a body; pair it with [`Self::abandon_body`], which does nothing to one that
    /// was put.
    pub(super) fn begin_body(&mut self, cache: u64) -> Result<u64, CacheError> {
        let key = self.key_of(cache)?;
        let number = self.number();
        self.unfinished.insert(number, self.bodies.begin(number)?);
        self.usage.begin(number, &key);
        Ok(number)
    }

    pub(super) fn append(&mut self, number: u64, chunk: &[u8]) -> Result<(), CacheError> {
        match self.unfinished.get_mut(&number) {
            Some(writer) => {
                self.usage.append(number, chunk.len())?;
                Ok(writer.append(chunk)?)
            }
            None => Err(CacheError::Store("no body is being written".into())),
        }
    }

    pub(super) fn finish_body(&mut self, number: u64) -> Result<(), CacheError> {
        let Some(writer) = self.unfinished.remove(&number) else {
            return Err(CacheError::Store("no body is being written".into()));
        };
        match self.bodies.finish(writer) {
            Ok(body) => {
                self.finished.insert(number, body);
                Ok(())
            }
            Err(error) => {
                self.bodies.abandon(number);
                Err(error.into())
            }
        }
    }

    pub(super) fn abandon_body(&mut self, number: u64) {
        let unfinished = self.unfinished.remove(&number).is_some();
        self.usage.end(number);
        if unfinished || self.finished.remove(&number).is_some() {
            self.bodies.abandon(number);
        }
    }

    /// The next chunk of a body. One that is damaged takes its entry into quarantine, so that the
    /// next look-up finds nothing instead of it.
    pub(super) fn read(
        &mut self,
        key: &EntryKey,
        body: StoredBody,
        progress: &mut Progress,
    ) -> Result<Bytes, CacheError> {
        match self.bodies.read(body, progress) {
            Ok(chunk) => Ok(chunk),
            Err(reason) => {
                let error = CacheError::Store(format!("the stored body is damaged: {reason}"));
                self.quarantine(key, DamagedPart::Body, reason)?;
                Err(error)
            }
        }
    }

    pub(super) fn end_reading(&mut self, number: u64) {
        let Some(readers) = self.readers.get_mut(&number) else {
            return;
        };
        *readers = readers.saturating_sub(1);
        if *readers == 0 {
            self.readers.remove(&number);
            if self.unnamed.remove(&number) {
                self.bodies.remove(number);
            }
        }
    }

    fn remove_bodies(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            if self.readers.contains_key(&number) {
                self.unnamed.insert(number);
            } else {
                self.bodies.remove(number);
            }
        }
    }

    // Usage.

    pub(super) const fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    // Damage.

    /// What was found to be damaged since this was asked last.
    pub(super) fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    pub(super) fn quarantined(&self) -> Result<u64, CacheError> {
        Ok(self.index.quarantined()?)
    }

    fn quarantine(
        &mut self,
        key: &EntryKey,
        part: DamagedPart,
        reason: String,
    ) -> Result<(), redb::Error> {
        let cache = self.caches.get(&key.cache).map(|it| &it.record);
        let damage = Damage {
            key: cache.map(|it| it.key.clone()),
            cache: cache.map(|it| it.name.clone()),
            part,
            reason,
        };
        tracing::warn!(%damage, "quarantined");
        self.damage.push(damage);
        self.index.quarantine_entries(std::slice::from_ref(key))
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}

fn new_padding_key() -> PaddingKey {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut key = PaddingKey::default();
    if SystemRandom::new().fill(&mut key).is_err() {
        tracing::error!("the system gives no randomness: paddings can be guessed");
    }
    key
}
