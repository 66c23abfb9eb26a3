//! Quotas and eviction; the data of one storage key.

use std::time::Duration;

use sw_registry::{
    Input, JobError, Limits, MemoryStore, Provenance, RegistryStore, Report, Restored, Settled,
    SiteData,
};
use sw_types::{EphemeralId, Origin, RegistrationId, Site};

use crate::harness::{Host, key, script, url};

const SCOPES: [&str; 4] = ["/a/", "/b/", "/c/", "/d/"];

fn limits(script_bytes: u64) -> Limits {
    let mut limits = Limits::default();
    limits.script_bytes_per_origin = script_bytes;
    limits
}

/// A host whose origin may keep so many bytes, and a script of 100 bytes for each scope.
fn tight(script_bytes: u64) -> Host {
    let limits = limits(script_bytes);
    let mut host = Host::with(limits, MemoryStore::new(), Restored::default());
    for scope in SCOPES {
        host.serve(&format!("{scope}sw.js"), script(&"x".repeat(100)));
    }
    host
}

fn install(host: &mut Host, scope: &str) -> RegistrationId {
    host.pass(Duration::from_secs(60));
    let promise = host.register(scope, &format!("{scope}sw.js"));
    host.registered(promise)
}

fn evicted(host: &Host) -> Vec<String> {
    let reports = host.reports.iter();
    reports
        .filter_map(|report| match report {
            Report::Evicted { scope, bytes } => Some(format!("{} {bytes}", scope.url().path())),
            _ => None,
        })
        .collect()
}

fn stored(host: &mut Host) -> Vec<String> {
    let restored = host.store.restore().expect("the memory store restores");
    let rows = restored.registrations.decode().unwrap();
    let rows = rows.iter();
    rows.map(|row| row.scope.url().path().to_owned()).collect()
}

#[test]
fn the_least_recently_used_registration_makes_room() {
    let mut host = tight(300);
    let first = install(&mut host, "/a/");
    let second = install(&mut host, "/b/");
    install(&mut host, "/c/");
    host.pass(Duration::from_secs(60));
    host.wake(first);
    // Whoever runs is in use.
    host.pass(Duration::from_secs(600));
    let client = host.client("/c/x");
    host.uses(
        client,
        host.lookup
            .match_registration(&key(), &url("/c/x"))
            .expect("registered")
            .id,
    );
    host.pass(Duration::from_secs(60));
    install(&mut host, "/d/");
    assert_eq!(evicted(&host), ["/b/ 100"]);
    assert_eq!(host.registry.registration(second), None);
    assert_eq!(stored(&mut host), ["/a/", "/c/", "/d/"]);
}

#[test]
fn what_has_clients_is_never_evicted_and_the_new_worker_fails() {
    let mut host = tight(150);
    let first = install(&mut host, "/a/");
    let client = host.client("/a/x");
    host.uses(client, first);
    host.pass(Duration::from_secs(600));
    host.register("/b/", "/b/sw.js");
    assert_eq!(evicted(&host), [""; 0]);
    let failed = host.reports.iter().find_map(|report| match report {
        Report::JobFailed { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(
        failed.as_deref(),
        Some(
            "QuotaExceededError: https://a.test/b/sw.js does not fit: with it, https://a.test \
             would keep 2 registrations with 200 bytes of scripts, and may keep 16384 with 150"
        )
    );
    assert_eq!(stored(&mut host), ["/a/"]);
    // An installation by header is told.
    let mut by_header = Host::registering(None, "/c/", "/c/sw.js");
    by_header.provenance = Provenance::Header {
        controls_clients: true,
    };
    let promise = host.register_with(by_header);
    assert!(matches!(
        host.result(promise),
        Some(Err(JobError::Quota(_)))
    ));
}

#[test]
fn what_starts_for_a_message_is_not_evicted() {
    let mut host = tight(150);
    let first = install(&mut host, "/a/");
    let worker = host.active(first);
    host.pass(Duration::from_secs(600));
    host.hold.start = true;
    let message = host.run(worker);
    host.hold.start = false;
    host.register("/b/", "/b/sw.js");
    assert_eq!(evicted(&host), [""; 0]);
    host.release_start();
    assert_eq!(host.result(message), Some(&Ok(Settled::Running(worker))));
}

#[test]
fn another_origin_does_not_pay() {
    let mut host = tight(100);
    install(&mut host, "/a/");
    host.serve("https://b.test/sw.js", script(&"y".repeat(100)));
    let mut other = Host::registering(None, "https://b.test/", "https://b.test/sw.js");
    other.storage_key = sw_types::StorageKey::first_party(Origin::of(&url("https://b.test/")));
    other.referrer_origin = Origin::of(&url("https://b.test/"));
    host.register_with(other);
    assert_eq!(evicted(&host), [""; 0]);
    assert_eq!(stored(&mut host).len(), 2);
}

#[test]
fn an_eviction_whose_write_failed_is_written_with_the_next() {
    let mut host = tight(100);
    install(&mut host, "/a/");
    host.pass(Duration::from_secs(600));
    host.store_fails = true;
    host.register("/b/", "/b/sw.js");
    host.store_fails = false;
    assert_eq!(evicted(&host), ["/a/ 100"]);
    assert_eq!(stored(&mut host), ["/a/"]);
    install(&mut host, "/a/");
    assert_eq!(
        stored(&mut host),
        ["/a/"],
        "one row of that scope, the new one"
    );
}

#[test]
fn sizes_are_known_after_a_restart_although_no_script_was_read() {
    let mut host = tight(250);
    install(&mut host, "/a/");
    install(&mut host, "/b/");
    host.pass(Duration::from_secs(600));
    let mut host = host.restart_with(limits(250));
    host.pass(Duration::from_secs(1));
    install(&mut host, "/c/");
    assert_eq!(evicted(&host), ["/a/ 100"]);
    assert_eq!(stored(&mut host), ["/b/", "/c/"]);
}

#[test]
fn clearing_a_storage_key_leaves_the_other_partitions() {
    let mut host = Host::new();
    let first_party = host.register("/", "/sw.js");
    let id = host.registered(first_party);
    let site = Site::of(&Origin::of(&url("https://top.test/")));
    let partition = key().under(site, true);
    let mut embedded = Host::registering(None, "/", "/sw.js");
    embedded.storage_key = partition.clone();
    host.register_with(embedded);
    let mut private = Host::registering(None, "/", "/sw.js");
    private.storage_key = key().in_session(Some(EphemeralId(7)));
    host.register_with(private);
    assert_eq!(stored(&mut host).len(), 2);

    let promise = host.promise();
    host.input(Input::ClearSiteData(
        promise,
        SiteData::StorageKey(partition),
    ));
    assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    assert_eq!(stored(&mut host).len(), 1);
    assert!(host.registry.registration(id).is_some());

    let promise = host.promise();
    let origin = SiteData::Origin(Origin::of(&url("/")));
    host.input(Input::ClearSiteData(promise, origin));
    assert_eq!(stored(&mut host), [""; 0]);
    let private = key().in_session(Some(EphemeralId(7)));
    assert_eq!(host.registry.registrations_of(&private), []);
}
