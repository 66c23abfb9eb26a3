//! Job queues, `register()`, `unregister()`.

use sw_registry::{EventOutcome, Input, JobError, Provenance, Settled, SiteData};
use sw_types::fetch::CacheMode;
use sw_types::{EphemeralId, Origin, ScriptUrl, StorageKey, UpdateViaCache};

use crate::harness::{Host, key, scope, script, url};

#[test]
fn a_page_sees_the_order_that_the_specification_says() {
    let mut host = Host::new();
    let client = host.client("/");
    let promise = host.register_with(Host::registering(Some(client), "/", "/sw.js"));
    assert_eq!(
        host.drain_log(),
        [
            format!("{promise}: registration"),
            format!("{client}: updatefound"),
            "Install WorkerId-1".to_owned(),
            format!("{client}: WorkerId-1 installed"),
            format!("{client}: WorkerId-1 activating"),
            "Activate WorkerId-1".to_owned(),
            format!("{client}: WorkerId-1 activated"),
        ]
    );
}

#[test]
fn equivalent_jobs_share_one_fetch_and_each_promise_settles() {
    let mut host = Host::new();
    host.hold.fetch = true;
    let first = host.register("/", "/sw.js");
    let second = host.register("/", "/sw.js");
    assert_eq!(host.held.fetches.len(), 1);
    host.release_fetch();
    assert_eq!(host.registered(first), host.registered(second));
    assert_eq!(host.fetched.len(), 1);
}

#[test]
fn only_the_tail_of_a_queue_takes_equivalent_jobs() {
    let mut host = Host::new();
    host.hold.fetch = true;
    host.serve("/other.js", script("2"));
    let first = host.register("/", "/sw.js");
    let other = host.register("/", "/other.js");
    let again = host.register("/", "/sw.js");
    host.release_fetch();
    assert!(host.result(first).is_some());
    assert_eq!(host.result(other), None);
    host.release_fetch();
    assert!(host.result(other).is_some());
    assert_eq!(host.result(again), None);
    host.release_fetch();
    host.registered(again);
}

#[test]
fn a_job_whose_promise_has_settled_takes_no_other() {
    let mut host = Host::new();
    host.hold.events = true;
    let first = host.register("/", "/sw.js");
    host.registered(first);
    let second = host.register("/", "/sw.js");
    assert_eq!(host.result(second), None);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.registered(second), host.registered(first));
    assert_eq!(host.fetched.len(), 1);
}

#[test]
fn partitions_do_not_wait_for_each_other() {
    let mut host = Host::new();
    host.hold.fetch = true;
    host.register("/", "/sw.js");
    let mut other = Host::registering(None, "/", "/sw.js");
    other.storage_key = key().in_session(Some(EphemeralId(1)));
    host.register_with(other);
    assert_eq!(host.held.fetches.len(), 2);
}

#[test]
fn a_registration_that_is_just_this_one_resolves_without_a_fetch() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    let again = host.register("/", "/sw.js");
    assert_eq!(host.registered(again), id);
    assert_eq!(host.fetched.len(), 1);
    let mut other_mode = Host::registering(None, "/", "/sw.js");
    other_mode.update_via_cache = UpdateViaCache::All;
    let other_mode = host.register_with(other_mode);
    assert_eq!(host.registered(other_mode), id);
    assert_eq!(host.fetched.len(), 2);
    assert_eq!(host.view(id).update_via_cache, UpdateViaCache::All);
}

/// The mode that `register()` asks for is that of its own fetches; an update keeps the registration's,
/// also one that was asked for before another mode came.
#[test]
fn the_cache_is_used_as_the_register_that_runs_asks() {
    use UpdateViaCache::{All, Imports, None};
    for (before, asked, cache) in [
        (All, None, CacheMode::NoCache),
        (All, Imports, CacheMode::NoCache),
        (None, All, CacheMode::Default),
        (Imports, All, CacheMode::Default),
    ] {
        let mut host = Host::new();
        let mut first = Host::registering(Option::None, "/", "/sw.js");
        first.update_via_cache = before;
        host.register_with(first);
        let mut second = Host::registering(Option::None, "/", "/sw.js");
        second.update_via_cache = asked;
        let second = host.register_with(second);
        let id = host.registered(second);
        assert_eq!(
            host.fetched.last().unwrap().1,
            cache,
            "{before:?} {asked:?}"
        );
        assert_eq!(host.view(id).update_via_cache, asked);
        host.update(id);
        assert_eq!(host.fetched.last().unwrap().1, cache, "update: {asked:?}");
        assert_eq!(host.view(id).update_via_cache, asked);
    }
}

#[test]
fn an_update_that_waits_behind_a_register_keeps_what_that_register_asked_for() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    host.hold.fetch = true;
    let mut asked = Host::registering(None, "/", "/sw.js");
    asked.update_via_cache = UpdateViaCache::None;
    host.register_with(asked);
    let update = host.update(id);
    host.hold.fetch = false;
    while !host.held.fetches.is_empty() {
        host.release_fetch();
    }
    assert!(host.result(update).is_some());
    assert_eq!(host.view(id).update_via_cache, UpdateViaCache::None);
}

#[test]
fn origins_that_do_not_fit_are_security_errors_that_name_them() {
    let mut host = Host::new();
    let mut insecure = Host::registering(None, "/", "/sw.js");
    let http = url("http://a.test/sw.js");
    insecure.script_url = ScriptUrl::try_from(http.clone()).unwrap();
    insecure.referrer_origin = Origin::of(&http);
    let promise = host.register_with(insecure);
    assert!(host.error(promise).starts_with(
        "SecurityError: script http://a.test/sw.js: origin http://a.test is not potentially"
    ));

    let mut foreign_script = Host::registering(None, "/", "/sw.js");
    foreign_script.script_url = ScriptUrl::try_from(url("https://b.test/sw.js")).unwrap();
    let promise = host.register_with(foreign_script);
    assert!(host.error(promise).contains("https://b.test/sw.js is not"));

    let mut foreign_scope = Host::registering(None, "/", "/sw.js");
    foreign_scope.scope = scope("https://b.test/");
    let promise = host.register_with(foreign_scope);
    assert!(host.error(promise).contains("scope https://b.test/ is not"));

    let mut foreign_key = Host::registering(None, "/", "/sw.js");
    foreign_key.storage_key = StorageKey::first_party(Origin::of(&url("https://b.test/")));
    let promise = host.register_with(foreign_key);
    assert!(host.error(promise).starts_with("SecurityError: scope"));
    assert!(!host.lookup.has_origin(&url("/")));
}

#[test]
fn an_allow_listed_origin_may_register() {
    let mut host = Host::new();
    let http = url("http://acme.test/sw.js");
    host.registry.trust(Origin::of(&http));
    host.scripts.insert(http.clone(), Ok(script("1")));
    let mut register = Host::registering(None, "http://acme.test/", "/sw.js");
    register.script_url = ScriptUrl::try_from(http.clone()).unwrap();
    register.referrer_origin = Origin::of(&http);
    register.storage_key = StorageKey::first_party(Origin::of(&http));
    let promise = host.register_with(register);
    host.registered(promise);
}

#[test]
fn a_client_that_dies_takes_its_promise_and_not_the_job() {
    let mut host = Host::new();
    host.hold.fetch = true;
    let client = host.client("/");
    let promise = host.register_with(Host::registering(Some(client), "/", "/sw.js"));
    let other = host.register("/", "/sw.js");
    host.gone(client);
    assert!(host.error(promise).starts_with("AbortError"));
    host.release_fetch();
    host.registered(other);
}

#[test]
fn a_header_never_replaces_what_a_script_registered() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    let header = |script| {
        let mut register = Host::registering(None, "/", script);
        register.provenance = Provenance::Header {
            controls_clients: true,
        };
        register
    };
    host.serve("/other.js", script("2"));
    let other = host.register_with(header("/other.js"));
    assert!(
        host.error(other)
            .contains("a response header does not replace")
    );
    let equal = host.register_with(header("/sw.js"));
    assert_eq!(host.registered(equal), id);
    assert_eq!(
        host.lookup.snapshot(id).unwrap().provenance,
        Provenance::Script
    );
}

#[test]
fn a_script_takes_over_what_a_header_installed() {
    let mut host = Host::new();
    let mut header = Host::registering(None, "/", "/sw.js");
    header.provenance = Provenance::Header {
        controls_clients: false,
    };
    let promise = host.register_with(header);
    let id = host.registered(promise);
    let client = host.client("/");
    host.uses(client, id);
    assert_eq!(host.lookup.controller(client), None);
    let worker = host.active(id);
    host.claim(worker);
    assert_eq!(host.lookup.controller(client), None);

    host.register("/", "/sw.js");
    host.uses(client, id);
    assert_eq!(host.lookup.controller(client).unwrap().id, id);
    let host = host.restart();
    assert_eq!(
        host.lookup.snapshot(id).unwrap().provenance,
        Provenance::Script
    );
}

#[test]
fn unregistering_clears_and_says_whether_there_was_one() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let first = host.unregister(id);
    let second = host.unregister(id);
    assert_eq!(host.result(first), Some(&Ok(Settled::Unregistered(true))));
    assert_eq!(host.result(second), Some(&Ok(Settled::Unregistered(false))));
    assert_eq!(host.registry.registration(id), None);
    assert_eq!(host.registry.worker(worker), None);
    assert_eq!(host.store.registrations().count(), 0);
    assert!(!host.lookup.has_origin(&url("/")));
    assert!(host.drain_log().contains(&format!("{id} cleared")));
}

#[test]
fn what_is_unregistered_serves_its_clients_and_a_new_registration_is_another() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.unregister(id);
    assert_eq!(host.lookup.match_registration(&key(), &url("/x")), None);
    assert_eq!(host.lookup.controller(client).unwrap().id, id);
    let woken = host.wake(id);
    assert_eq!(host.result(woken), Some(&Ok(Settled::Running(worker))));
    let again = host.register("/", "/sw.js");
    assert_ne!(host.registered(again), id);
    // Its last client goes while the worker is busy: it is cleared once that has ended.
    host.busy.insert(worker, host.now.instant);
    host.gone(client);
    assert!(host.registry.registration(id).is_some());
    host.idle(worker);
    assert_eq!(host.registry.registration(id), None);
}

#[test]
fn what_is_unregistered_goes_with_its_last_client() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    let clients = [host.client("/"), host.client("/")];
    for client in clients {
        host.uses(client, id);
    }
    host.pass(std::time::Duration::from_secs(60));
    assert!(host.running.is_empty());
    host.unregister(id);
    host.gone(clients[0]);
    assert!(host.registry.registration(id).is_some());
    host.gone(clients[1]);
    assert_eq!(host.registry.registration(id), None);
}

#[test]
fn what_is_unregistered_while_it_activates_goes_afterwards() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.release_event(EventOutcome::Fulfilled);
    let promise = host.unregister(id);
    assert_eq!(host.result(promise), Some(&Ok(Settled::Unregistered(true))));
    assert!(host.registry.registration(id).is_some());
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.registry.registration(id), None);
}

#[test]
fn what_is_unregistered_before_its_activate_event_goes_after_it() {
    let mut host = Host::new();
    let (id, old) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.serve("/sw.js", script("2"));
    host.update(id);
    host.pass(std::time::Duration::from_secs(60));
    host.hold.start = true;
    host.gone(client);
    assert_ne!(host.active(id), old);
    host.unregister(id);
    assert!(host.registry.registration(id).is_some());
    host.release_start();
    assert!(
        host.log
            .iter()
            .any(|line| line.starts_with("Activate WorkerId-2"))
    );
    assert_eq!(host.registry.registration(id), None);
}

#[test]
fn a_removal_that_fails_changes_nothing() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    host.store_fails = true;
    let promise = host.unregister(id);
    assert!(matches!(
        host.result(promise),
        Some(Err(JobError::Store(_)))
    ));
    assert!(host.lookup.match_registration(&key(), &url("/x")).is_some());
    host.store_fails = false;
    let promise = host.unregister(id);
    assert_eq!(host.result(promise), Some(&Ok(Settled::Unregistered(true))));
}

#[test]
fn a_row_that_is_written_during_its_removal_is_removed_again() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    host.release_event(EventOutcome::Fulfilled);
    // It is activating. Its removal is under way when the activate event ends.
    host.hold.store = true;
    let promise = host.unregister(id);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.held.stores.len(), 2);
    host.release_store();
    host.release_store();
    assert_eq!(host.result(promise), None);
    host.release_store();
    assert_eq!(host.result(promise), Some(&Ok(Settled::Unregistered(true))));
    assert_eq!(host.store.registrations().count(), 0);
}

#[test]
fn clearing_an_origin_aborts_its_jobs_and_frees_its_clients() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.hold.fetch = true;
    let update = host.update(id);
    let promise = host.promise();
    host.drain_log();
    host.input(Input::ClearSiteData(
        promise,
        SiteData::Origin(Origin::of(&url("/"))),
    ));
    assert!(host.error(update).starts_with("AbortError: the data of"));
    assert_eq!(host.result(promise), Some(&Ok(Settled::Done)));
    assert!(
        host.drain_log()
            .contains(&format!("{client}: controllerchange none"))
    );
    assert_eq!(host.registry.registration(id), None);
    assert_eq!(host.lookup.controller(client), None);
    assert_eq!(host.store.registrations().count(), 0);
    let again = host.register("/", "/sw.js");
    host.release_fetch(); // The answer to the aborted job: late, and ignored.
    assert_eq!(host.result(again), None);
    host.release_fetch();
    host.registered(again);
}

#[test]
fn an_origin_that_could_not_be_cleared_can_be_cleared_again() {
    let mut host = Host::new();
    host.activated();
    host.store_fails = true;
    let first = host.promise();
    host.input(Input::ClearSiteData(
        first,
        SiteData::Origin(Origin::of(&url("/"))),
    ));
    assert!(matches!(host.result(first), Some(Err(JobError::Store(_)))));
    host.store_fails = false;
    let second = host.promise();
    host.input(Input::ClearSiteData(
        second,
        SiteData::Origin(Origin::of(&url("/"))),
    ));
    assert_eq!(host.result(second), Some(&Ok(Settled::Done)));
    assert_eq!(host.store.registrations().count(), 0);
}
