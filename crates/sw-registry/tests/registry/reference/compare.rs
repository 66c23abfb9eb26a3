//! Everything that can be observed.

use std::collections::{BTreeMap, BTreeSet};

use sw_registry::{Report, Settled};
use sw_types::{Environment, PromiseId, WorkerId};

use super::steps::{PAGES, Run};
use crate::harness::{Host, url};

impl Run {
    /// What has been compared once is put away.
    pub(super) fn compare(&mut self) {
        self.compare_all();
        for value in self.model.settled.values().chain(&self.model.reports) {
            // But for ids and places.
            let plain =
                |word: &&str| word.contains(char::is_alphabetic) && !word.contains(['-', '/']);
            let words: Vec<_> = value.split([' ', '(', ')']).filter(plain).collect();
            self.seen.insert(words.join(" "));
        }
        self.told.clear();
        self.model.told.clear();
        self.host.settled.clear();
        self.model.settled.clear();
        self.host.fetched.clear();
        self.model.fetched.clear();
        self.host.reports.clear();
        self.model.reports.clear();
    }

    fn compare_all(&self) {
        let (host, model) = (&self.host, &self.model);
        assert_eq!(
            differing(&self.told, &model.told),
            None,
            "what clients were told"
        );
        assert_eq!(differing(&settled(host), &model.settled), None, "promises");
        assert_eq!(reports(host), model.reports, "reports");
        self.compare_registrations();
        self.compare_clients();
        let fetches = host.held.fetches.iter().map(|(_, from)| from.clone());
        let expected = model.fetches.iter().map(|(_, _, path)| url(path));
        assert!(fetches.eq(expected), "scripts that are fetched");
        let cached = host.fetched.iter().map(|(from, cache)| {
            let no_cache = *cache == sw_types::fetch::CacheMode::NoCache;
            (from.clone(), no_cache)
        });
        let expected = model
            .fetched
            .iter()
            .map(|(script, no_cache)| (url(script), *no_cache));
        assert!(cached.eq(expected), "scripts that were fetched");
        assert_eq!(host.running, model.live(), "workers that run");
        assert_eq!(host.held.stores.len(), model.writes.len(), "writes");
        let stored: BTreeSet<_> = host.store.registrations().collect();
        let expected: BTreeSet<_> = model.disk.rows.keys().copied().collect();
        assert_eq!(stored, expected, "rows");
    }

    fn compare_registrations(&self) {
        let (host, model) = (&self.host, &self.model);
        for (id, it) in &model.registrations {
            let view = host.registry.registration(*id).expect("it is there");
            let slot = |worker: Option<sw_types::WorkerView>| worker.map(|it| (it.id, it.state));
            let of_model =
                |worker: Option<WorkerId>| worker.map(|id| (id, model.workers[&id].state));
            assert_eq!(slot(view.installing), of_model(it.installing), "{id}");
            assert_eq!(slot(view.waiting), of_model(it.waiting), "{id}");
            assert_eq!(slot(view.active), of_model(it.active), "{id}");
            assert_eq!(view.update_via_cache, it.update_via_cache, "{id}");
            let snapshot = host.lookup.snapshot(*id).expect("readers know it");
            assert_eq!(snapshot.provenance, it.provenance, "{id}");
            assert_eq!(snapshot.last_update_check, it.last_check, "{id}");
            let stale = snapshot.is_stale(host.now.wall);
            assert_eq!(stale, model.is_stale(*id), "{id}");
        }
        for (partition, key) in self.partitions.iter().enumerate() {
            let listed = host.registry.registrations_of(key);
            let listed: BTreeSet<_> = listed.iter().map(|view| view.id).collect();
            let expected = model.registrations.iter();
            let expected = expected.filter(|(_, it)| !it.unregistered && it.key.0 == partition);
            assert_eq!(listed, expected.map(|(id, _)| *id).collect());
            for (page, at) in PAGES.into_iter().zip(&self.pages) {
                let found = host.lookup.match_registration(key, at);
                let found = found.map(|found| found.id);
                assert_eq!(found, model.matching(partition, page), "{page}");
            }
        }
    }

    fn compare_clients(&self) {
        let (host, model) = (&self.host, &self.model);
        for (id, client) in &model.clients {
            let controller = host.lookup.controller(*id).map(|found| found.id);
            assert_eq!(controller, client.uses, "{id}");
        }
        for it in model.registrations.values() {
            for worker in [it.installing, it.waiting, it.active].into_iter().flatten() {
                for uncontrolled in [false, true] {
                    let shown = host.registry.clients_for(worker, uncontrolled).into_iter();
                    let shown: Vec<_> = shown.map(|it: &Environment| it.id).collect();
                    assert_eq!(shown, model.clients_for(worker, uncontrolled), "{worker}");
                }
            }
        }
    }
}

/// Where two maps differ first.
fn differing<K: Ord + Copy, V: PartialEq + Clone>(
    one: &BTreeMap<K, V>,
    other: &BTreeMap<K, V>,
) -> Option<(K, Option<V>, Option<V>)> {
    let keys = one.keys().chain(other.keys());
    let differs = |key: &&K| one.get(key) != other.get(key);
    let key = *keys.filter(differs).min()?;
    Some((key, one.get(&key).cloned(), other.get(&key).cloned()))
}

fn settled(host: &Host) -> BTreeMap<PromiseId, String> {
    let value = |result: &Result<Settled, _>| match result {
        Ok(Settled::Registration(view)) => format!("registration {}", view.id),
        Ok(Settled::Running(worker)) => format!("Running({worker:?})"),
        Ok(other) => format!("{other:?}"),
        Err(error) => kind(error),
    };
    let settled = host.settled.iter();
    settled.map(|(id, result)| (*id, value(result))).collect()
}

/// But for workers that were stopped, which the model is told of.
fn reports(host: &Host) -> Vec<String> {
    let reports = host.reports.iter().filter_map(|report| {
        Some(match report {
            Report::JobFailed { scope, error } => {
                format!("{} failed: {}", scope.url().path(), kind(error))
            }
            Report::NotStored { scope, .. } => format!("{} not stored", scope.url().path()),
            Report::Quarantined(_) => "quarantined".to_owned(),
            Report::WorkerStopped { .. } => return None,
            Report::Bypassed { .. } => "bypassed".to_owned(),
            other => format!("{other:?}"),
        })
    });
    reports.collect()
}

fn kind(error: &sw_registry::JobError) -> String {
    let error = error.to_string();
    error.split(':').next().unwrap_or_default().to_owned()
}
