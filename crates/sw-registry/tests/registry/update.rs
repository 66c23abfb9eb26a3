//! *Update*: each of its branches.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use sw_registry::{EventOutcome, FetchedScript, Import, Input, Report, ScriptFetchError};
use sw_types::fetch::CacheMode;
use sw_types::{RegistrationId, ScriptResource, UpdateViaCache, WorkerId, WorkerState};

use crate::harness::{Host, key, script, url, with_header};

const DAY: Duration = Duration::from_secs(24 * 60 * 60 + 1);

fn refused(answer: Result<FetchedScript, ScriptFetchError>) -> String {
    let mut host = Host::new();
    host.scripts.insert(url("/sw.js"), answer);
    let promise = host.register("/", "/sw.js");
    assert!(!host.lookup.has_origin(&url("/")), "the registration goes");
    assert!(host.log.contains(&"RegistrationId-1 cleared".to_owned()));
    host.error(promise)
}

#[test]
fn a_network_error_is_a_type_error() {
    assert_eq!(
        refused(Err(ScriptFetchError("connection refused".to_owned()))),
        "TypeError: script https://a.test/sw.js could not be fetched: connection refused"
    );
}

#[test]
fn a_status_that_is_not_ok_is_a_type_error() {
    let mut answer = script("");
    answer.status = StatusCode::NOT_FOUND;
    assert_eq!(
        refused(Ok(answer)),
        "TypeError: script https://a.test/sw.js: the server answered with status 404 (expected 200 to 299)"
    );
}

#[test]
fn a_redirect_is_a_security_error() {
    let mut answer = script("");
    answer.status = StatusCode::FOUND;
    assert!(
        refused(Ok(answer)).starts_with("SecurityError: script https://a.test/sw.js is behind")
    );
}

/// *Update* takes it for a network error. Of a `register()`, browsers have kept the SecurityError.
#[test]
fn a_redirect_of_an_update_is_a_type_error() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let mut answer = script("2");
    answer.status = StatusCode::FOUND;
    host.serve("/sw.js", answer);
    let promise = host.update(id);
    assert_eq!(
        host.error(promise),
        "TypeError: script https://a.test/sw.js is behind a redirect (status 302)"
    );
    assert_eq!(host.active(id), worker);
}

#[test]
fn another_mime_type_is_a_security_error() {
    let error = refused(Ok(with_header(script(""), "content-type", "text/html")));
    assert_eq!(
        error,
        "SecurityError: script https://a.test/sw.js has MIME type text/html (expected a JavaScript MIME type such as text/javascript)"
    );
    let mut none = script("");
    none.headers = HeaderMap::new();
    assert!(refused(Ok(none)).contains("has no valid MIME type"));
}

#[test]
fn a_scope_outside_the_maximum_is_a_security_error() {
    let mut host = Host::new();
    host.serve("/js/sw.js", script("1"));
    let promise = host.register("/", "/js/sw.js");
    assert_eq!(
        host.error(promise),
        "SecurityError: scope https://a.test/ is outside the maximum scope /js/ (Service-Worker-Allowed absent)"
    );
    host.serve(
        "/js/sw.js",
        with_header(script("1"), "service-worker-allowed", "/"),
    );
    let promise = host.register("/", "/js/sw.js");
    host.registered(promise);
}

#[test]
fn a_script_that_throws_is_a_type_error() {
    let mut host = Host::new();
    host.start_error = Some("ReferenceError: x is not defined".to_owned());
    let promise = host.register("/", "/sw.js");
    assert_eq!(
        host.error(promise),
        "TypeError: script https://a.test/sw.js failed to evaluate: ReferenceError: x is not defined"
    );
    assert!(!host.lookup.has_origin(&url("/")));
}

#[test]
fn a_failed_update_leaves_the_registration_as_it_was() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.serve("/sw.js", script("2"));
    host.start_error = Some("it threw".to_owned());
    let promise = host.update(id);
    assert!(host.error(promise).starts_with("TypeError"));
    assert_eq!(host.active(id), worker);
    assert_eq!(host.view(id).installing, None);
}

#[test]
fn the_same_bytes_are_no_new_version() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    let promise = host.update(id);
    assert_eq!(host.registered(promise), id);
    assert_eq!(host.active(id), worker);
    assert_eq!(host.fetched.len(), 2);
}

#[test]
fn other_bytes_are_a_new_version() {
    let mut host = Host::new();
    let (id, worker) = host.activated();
    host.serve("/sw.js", script("2"));
    let promise = host.update(id);
    assert_eq!(host.registered(promise), id);
    assert_ne!(host.active(id), worker);
    assert_eq!(host.registry.worker(worker), None);
}

#[test]
fn an_update_of_a_script_that_has_been_replaced_is_a_type_error() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    host.serve("/other.js", script("2"));
    host.hold.fetch = true;
    host.register("/", "/other.js");
    let update = host.update(id);
    host.release_fetch();
    assert_eq!(
        host.error(update),
        "TypeError: the newest worker of https://a.test/ runs https://a.test/other.js, and no longer https://a.test/sw.js"
    );
}

#[test]
fn an_update_of_nothing_is_refused() {
    let mut host = Host::new();
    let unknown = host.update(RegistrationId(99));
    assert!(host.error(unknown).starts_with("TypeError"));

    let (id, _) = host.activated();
    host.unregister(id);
    let cleared = host.update(id);
    assert!(host.error(cleared).starts_with("TypeError"));

    host.hold.fetch = true;
    host.register("/", "/sw.js");
    let id = host.registry.registrations_of(&key())[0].id;
    let too_early = host.update(id);
    assert!(host.error(too_early).starts_with("InvalidStateError"));
}

#[test]
fn an_unregistered_registration_in_use_cannot_be_updated() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    let client = host.client("/");
    host.uses(client, id);
    host.unregister(id);
    let update = host.update(id);
    assert_eq!(
        host.error(update),
        "TypeError: scope https://a.test/ is not registered"
    );
}

#[test]
fn an_installing_worker_cannot_update_its_registration() {
    let mut host = Host::new();
    host.hold.events = true;
    let promise = host.register("/", "/sw.js");
    let id = host.registered(promise);
    let caller = host.view(id).installing.unwrap().id;
    let promise = host.promise();
    host.input(Input::Update {
        promise,
        registration: id,
        caller: Some(caller),
        referrer: None,
    });
    assert!(host.error(promise).starts_with("InvalidStateError"));
}

#[test]
fn the_cache_mode_follows_update_via_cache_and_staleness() {
    for (mode, fresh, after_a_day) in [
        (UpdateViaCache::All, CacheMode::Default, CacheMode::NoCache),
        (
            UpdateViaCache::Imports,
            CacheMode::NoCache,
            CacheMode::NoCache,
        ),
        (UpdateViaCache::None, CacheMode::NoCache, CacheMode::NoCache),
    ] {
        let mut host = Host::new();
        let mut register = Host::registering(None, "/", "/sw.js");
        register.update_via_cache = mode;
        let promise = host.register_with(register);
        let id = host.registered(promise);
        host.update(id);
        let stale = |host: &Host| host.lookup.snapshot(id).unwrap().is_stale(host.now.wall);
        assert!(!stale(&host));
        host.pass(DAY);
        assert!(stale(&host));
        host.update(id);
        assert!(!stale(&host));
        host.input(Input::SoftUpdate {
            registration: id,
            force_bypass_cache: true,
        });
        let modes: Vec<_> = host.fetched.iter().map(|(_, cache)| *cache).collect();
        assert_eq!(
            modes,
            [fresh, fresh, after_a_day, CacheMode::NoCache],
            "{mode:?}"
        );
    }
}

#[test]
fn an_answer_of_the_http_cache_is_no_update_check() {
    let mut host = Host::new();
    let mut cached = script("1");
    cached.from_cache = true;
    host.serve("/sw.js", cached);
    let (id, _) = host.activated();
    assert_eq!(host.lookup.snapshot(id).unwrap().last_update_check, None);
}

#[test]
fn a_soft_update_that_fails_is_reported() {
    let mut host = Host::new();
    let (id, _) = host.activated();
    host.scripts.clear();
    host.input(Input::SoftUpdate {
        registration: id,
        force_bypass_cache: false,
    });
    assert!(matches!(
        host.reports.as_slice(),
        [Report::JobFailed { .. }]
    ));
    host.input(Input::SoftUpdate {
        registration: RegistrationId(99),
        force_bypass_cache: false,
    });
}

/// A host whose worker imports `/lib.js` while it is evaluated.
fn importing() -> (Host, RegistrationId, WorkerId) {
    let mut host = Host::new();
    host.serve("/lib.js", script("lib 1"));
    host.hold.start = true;
    let promise = host.register("/", "/sw.js");
    import(&mut host, WorkerId(1), "lib 1");
    host.release_start();
    host.hold.start = false;
    let id = host.registered(promise);
    (host, id, WorkerId(1))
}

fn import(host: &mut Host, worker: WorkerId, body: &str) {
    let FetchedScript { headers, body, .. } = script(body);
    host.input(Input::ScriptImported {
        worker,
        url: url("/lib.js"),
        fetched: Some(Arc::new(ScriptResource { body, headers })),
        from_cache: false,
    });
}

#[test]
fn a_changed_import_is_a_new_version() {
    let (mut host, id, worker) = importing();
    host.update(id);
    assert_eq!(host.active(id), worker);
    assert_eq!(
        host.fetched[2],
        (url("/lib.js"), CacheMode::Default),
        "imports may come from the cache"
    );
    host.serve("/lib.js", script("lib 2"));
    host.update(id);
    assert_ne!(host.active(id), worker);
}

#[test]
fn what_is_stale_bypasses_the_cache_for_imports_too() {
    let (mut host, id, _) = importing();
    host.pass(DAY);
    host.update(id);
    assert_eq!(host.fetched[2], (url("/lib.js"), CacheMode::NoCache));
}

#[test]
fn a_new_version_does_not_get_an_import_that_its_update_could_not_fetch() {
    let mut host = Host::new();
    host.hold.start = true;
    let promise = host.register("/", "/sw.js");
    let first = host.held.starts[0];
    for path in ["/gone.js", "/changes.js"] {
        let FetchedScript { body, headers, .. } = script("1");
        host.input(Input::ScriptImported {
            worker: first,
            url: url(path),
            fetched: Some(Arc::new(ScriptResource { body, headers })),
            from_cache: false,
        });
    }
    host.hold.start = false;
    host.release_start();
    let id = host.registered(promise);
    host.serve("/changes.js", script("2"));
    host.hold.start = true;
    host.update(id);
    let second = host.held.starts[0];
    let import = |path| host.registry.import(second, &url(path));
    assert_eq!(import("/gone.js"), Import::Refused);
    assert!(matches!(import("/changes.js"), Import::Have(_)));
    assert!(matches!(import("/another.js"), Import::Fetch(_)));
}

#[test]
fn bad_answers_for_an_import_are_ignored() {
    let (mut host, id, worker) = importing();
    let mut gone = script("");
    gone.status = StatusCode::GONE;
    for answer in [
        Err(ScriptFetchError("no".to_owned())),
        Ok(gone),
        Ok(with_header(script("x"), "content-type", "text/html")),
    ] {
        host.scripts.insert(url("/lib.js"), answer);
        let promise = host.update(id);
        assert_eq!(host.registered(promise), id);
        assert_eq!(host.active(id), worker);
    }
}

#[test]
fn a_new_version_keeps_the_scripts_that_it_used() {
    let (mut host, id, _) = importing();
    host.serve("/sw.js", script("2"));
    host.hold.events = true;
    host.update(id);
    let installing = host.view(id).installing.unwrap().id;
    import(&mut host, installing, "lib 2");
    host.release_event(EventOutcome::Fulfilled);
    host.release_event(EventOutcome::Fulfilled);
    assert_eq!(host.active(id), installing);
    // After installation, nothing is added.
    import(&mut host, installing, "lib 3");
    let scripts = sw_registry::RegistryStore::scripts(&mut host.store, installing).unwrap();
    assert_eq!(scripts[&url("/lib.js")].body, "lib 2");
    assert_eq!(scripts.len(), 2);
}

#[test]
fn a_dead_worker_fails_its_evaluation() {
    let mut host = Host::new();
    host.hold.start = true;
    let promise = host.register("/", "/sw.js");
    host.dies(WorkerId(1));
    assert_eq!(
        host.error(promise),
        "TypeError: script https://a.test/sw.js failed to evaluate: it crashed"
    );
    host.release_start(); // Late, and ignored.
    assert_eq!(host.registry.worker(WorkerId(1)), None);
}

#[test]
fn a_script_that_does_not_end_is_stopped_and_fails() {
    let mut host = Host::new();
    host.hold.start = true;
    host.hold.stop = true;
    let promise = host.register("/", "/sw.js");
    host.pass(Duration::from_secs(5 * 60));
    assert!(host.error(promise).contains("start timeout"));
    assert!(matches!(
        host.reports.as_slice(),
        [Report::WorkerStopped { .. }]
    ));
    host.release_stop();
    assert_eq!(host.registry.worker(WorkerId(1)), None);
    let state = host.registry.worker(WorkerId(1)).map(|worker| worker.state);
    assert_ne!(state, Some(WorkerState::Installing));
}
