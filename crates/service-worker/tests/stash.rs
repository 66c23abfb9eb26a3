//! What services see of their stashed ports, through the whole facade.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "stash/carried.rs"]
mod carried;
#[expect(dead_code, reason = "not every test of the house needs all of it")]
mod common;
#[path = "stash/cuts.rs"]
mod cuts;
#[path = "stash/damage.rs"]
mod damage;
#[path = "stash/histories.rs"]
mod histories;
#[path = "stash/host.rs"]
mod host;
#[path = "stash/restart.rs"]
mod restart;

use std::sync::{Arc, Mutex};

use common::{House, SERVICE, message, next, quiet, url};
use futures_util::StreamExt;
use service_worker::message_port::{Message, MessageChannel, MessagePort, Posted};
use service_worker::native_host::{NativeWorker, Scope, StashedEvent};
use service_worker::types::{ClientId, WorkerId, WorkerState};
use service_worker::{HostEvent, Limits, Policies, Report, SiteData, StashError};

const PAGE: &str = "https://acme.test/";

/// What the workers of a test have seen.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn text(event: &StashedEvent) -> String {
    let message = event.message.as_ref().unwrap();
    String::from_utf8(message.payload.to_vec()).unwrap()
}

fn worker(scope: &Scope) -> WorkerId {
    scope.start.worker
}

/// Accepts, stashes what it accepted with, and answers what comes there.
fn stashing(log: &Log) -> NativeWorker {
    let (messages, closes) = (log.clone(), log.clone());
    stashes_only()
        .on_message(move |scope, event| {
            let log = messages.clone();
            async move {
                log.say(format!("{} at {}", text(&event), event.name));
                let answer = Message::new(format!("re: {}", text(&event)));
                let worker = worker(&scope);
                scope.handle.post_stashed(worker, event.entry, answer);
            }
        })
        .on_close(move |scope, event| {
            let log = closes.clone();
            async move {
                let left = scope.handle.match_stashed(worker(&scope), &event.name);
                log.say(format!("close at {}, {} left", event.name, left.len()));
            }
        })
}

/// Stashes what it accepts with, but for `/plain`.
fn stashes_only() -> NativeWorker {
    NativeWorker::new().on_connect(|scope, connection| async move {
        let name = connection.detail.target_url.path().to_owned();
        let port = connection.accept();
        if name == "/plain" {
            return scope.keep(port);
        }
        let stashed = scope.handle.stash_port(worker(&scope), &name, port);
        stashed.unwrap().unwrap();
    })
}

async fn connected(house: &House, page: ClientId, to: &str) -> MessagePort {
    let mut port = house.handle.connect(page, to, &url(SERVICE)).await.unwrap();
    port.start();
    quiet().await;
    port
}

/// Lets idle workers stop.
async fn idle(house: &House) {
    for _ in 0..3 {
        house.pass_seconds(31).await;
    }
}

#[tokio::test]
async fn a_message_wakes_the_worker_that_was_stopped_and_close_comes_after_the_last_message() {
    let log = Log::default();
    let mut house = House::new(Policies::seeds(), [("echo", stashing(&log))]);
    house.install().await;
    let page = house.page(1, PAGE);
    let port = connected(&house, page, "/chat").await;
    let mut plain = connected(&house, page, "/plain").await;
    idle(&house).await;
    assert_eq!(next(&mut plain).await, "close", "the worker has stopped");
    assert!(port.is_entangled(), "the port outlives the worker");
    for text in ["one", "two", "three"] {
        port.post_message(message(text));
    }
    port.close();
    quiet().await;
    assert_eq!(
        log.take(),
        [
            "one at /chat",
            "two at /chat",
            "three at /chat",
            "close at /chat, 0 left"
        ]
    );
}

#[tokio::test]
async fn clearing_site_data_closes_stashed_ports_and_leaves_nothing() {
    let log = Log::default();
    let mut house = House::new(Policies::seeds(), [("echo", stashing(&log))]);
    house.install().await;
    let page = house.page(1, PAGE);
    let mut port = connected(&house, page, "/chat").await;
    let origin = service_worker::types::Origin::of(&url(SERVICE));
    let of = SiteData::Origin(origin);
    house.handle.clear_site_data(of.clone()).await.unwrap();
    assert_eq!(next(&mut port).await, "close");
    let again = house.handle.connect(page, "/chat", &url(SERVICE));
    let (_, again) = house.takes(again).await;
    assert!(again.is_err(), "nobody is there any more");
    house.handle.clear_site_data(of).await.unwrap();
}

#[tokio::test]
async fn answers_of_another_run_reach_the_page() {
    let log = Log::default();
    let mut house = House::new(Policies::seeds(), [("echo", stashing(&log))]);
    house.install().await;
    let page = house.page(1, PAGE);
    let mut port = connected(&house, page, "/chat").await;
    for round in ["one", "two", "three"] {
        idle(&house).await;
        port.post_message(message(round));
        quiet().await;
        assert_eq!(next(&mut port).await, format!("re: {round}"));
    }
}

#[tokio::test]
async fn what_a_port_had_received_before_is_delivered_first() {
    let log = Log::default();
    let lines = log.clone();
    let service = NativeWorker::new()
        .on_connect(|scope, connection| async move {
            let MessageChannel { port1, port2 } = MessageChannel::new();
            port1.post_message(message("before"));
            let stashed = scope.handle.stash_port(worker(&scope), "own", port2);
            stashed.unwrap().unwrap();
            port1.post_message(message("after"));
            connection.accept_with(port1);
        })
        .on_message(move |_, event| {
            lines.say(text(&event));
            async {}
        });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let port = connected(&house, page, "/").await;
    port.post_message(message("from the page"));
    quiet().await;
    assert_eq!(log.take(), ["before", "after", "from the page"]);
}

#[tokio::test]
async fn the_next_message_does_not_wait_for_what_wait_until_was_given() {
    let log = Log::default();
    let lines = log.clone();
    let service = stashes_only().on_message(move |_, event| {
        lines.say(text(&event));
        std::future::pending::<()>()
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let port = connected(&house, page, "/").await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    quiet().await;
    assert_eq!(log.take(), ["one", "two"]);
}

#[tokio::test]
async fn ports_travel_with_stashed_messages() {
    let service = stashes_only().on_message(|scope, event| async move {
        let port = event.message.unwrap().ports.remove(0);
        port.post_message(message("thanks"));
        scope.keep(port);
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let port = connected(&house, page, "/").await;
    let MessageChannel { mut port1, port2 } = MessageChannel::new();
    port.post_message(message("take this").with_port(port2.transfer().unwrap()));
    port1.start();
    assert_eq!(next(&mut port1).await, "thanks");
    idle(&house).await;
    assert_eq!(next(&mut port1).await, "close", "it was not stashed");
    assert!(port.is_entangled());
}

#[tokio::test]
async fn an_update_keeps_the_ports_and_the_new_worker_gets_the_messages() {
    let (old, new) = (Log::default(), Log::default());
    let scripts = [("old", stashing(&old)), ("new", stashing(&new))];
    let mut house = House::new(Policies::seeds(), scripts);
    house.install().await;
    let page = house.page(1, PAGE);
    let mut port = connected(&house, page, "/chat").await;
    port.post_message(message("to the old one"));
    assert_eq!(next(&mut port).await, "re: to the old one");
    house.serve(&format!("{SERVICE}sw.js"), "new");
    let owner = house.page(2, SERVICE);
    quiet().await;
    let found = house.handle.registration(owner, &url(SERVICE)).await;
    let id = found.unwrap().unwrap().id;
    house.handle.update(id, None, None).await.unwrap();
    house.until(WorkerState::Activated).await;
    port.post_message(message("to the new one"));
    assert_eq!(next(&mut port).await, "re: to the new one");
    assert_eq!(old.take().len(), 1);
    assert_eq!(new.take(), ["to the new one at /chat"]);
}

#[tokio::test]
async fn what_comes_for_a_waiting_worker_that_has_stopped_wakes_it_once_it_is_active() {
    let log = Log::default();
    let peer = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&peer);
    let old = NativeWorker::new().on_activate(|scope, _| async move {
        let claimed = scope.handle.claim(worker(&scope)).await;
        claimed.map_err(|error| error.to_string())
    });
    let new = stashing(&log).on_install(move |scope, _| {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let stashed = scope.handle.stash_port(worker(&scope), "early", port2);
        assert!(stashed.unwrap().is_some());
        *kept.lock().unwrap() = Some(port1);
        async { Ok(()) }
    });
    let mut house = House::new(Policies::seeds(), [("old", old), ("new", new)]);
    let owner = house.page(2, SERVICE);
    house.install_for(owner).await;
    assert!(house.handle.controller(owner).is_some());
    house.serve(&format!("{SERVICE}sw.js"), "new");
    let found = house.handle.registration(owner, &url(SERVICE)).await;
    let id = found.unwrap().unwrap().id;
    house.handle.update(id, None, None).await.unwrap();
    house.until(WorkerState::Installed).await;
    let mut port = peer.lock().unwrap().take().unwrap();
    port.start();
    port.post_message(message("while it runs"));
    assert_eq!(next(&mut port).await, "re: while it runs");
    idle(&house).await;
    port.post_message(message("while it waits"));
    quiet().await;
    assert_eq!(log.take(), ["while it runs at early"]);
    house.handle.host_event(HostEvent::ClientGone(owner));
    assert_eq!(next(&mut port).await, "re: while it waits");
}

#[tokio::test]
async fn what_a_worker_stashed_that_does_not_install_is_closed() {
    let peer = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&peer);
    let service = NativeWorker::new().on_install(move |scope, _| {
        let kept = Arc::clone(&kept);
        async move {
            let MessageChannel { port1, port2 } = MessageChannel::new();
            let stashed = scope.handle.stash_port(worker(&scope), "early", port2);
            stashed.unwrap().unwrap();
            *kept.lock().unwrap() = Some(port1);
            Err("no".to_owned())
        }
    });
    let house = House::new(Policies::seeds(), [("echo", service)]);
    let page = house.page(1, SERVICE);
    quiet().await;
    house.register(page, SERVICE).await.unwrap();
    quiet().await;
    let mut port = peer.lock().unwrap().take().unwrap();
    assert_eq!(next(&mut port).await, "close");
}

#[tokio::test]
async fn unregistering_closes_the_ports() {
    let log = Log::default();
    let mut house = House::new(Policies::seeds(), [("echo", stashing(&log))]);
    house.install().await;
    let owner = house.page(2, SERVICE);
    let page = house.page(1, PAGE);
    let mut port = connected(&house, page, "/chat").await;
    quiet().await;
    let found = house.handle.registration(owner, &url(SERVICE)).await;
    let id = found.unwrap().unwrap().id;
    house.handle.unregister(id).await.unwrap();
    house.handle.host_event(HostEvent::ClientGone(owner));
    quiet().await;
    assert_eq!(next(&mut port).await, "close");
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn ports_that_cannot_be_stashed_come_back_with_the_exceptions_name() {
    let log = Log::default();
    let lines = log.clone();
    let service = NativeWorker::new().on_connect(move |scope, connection| {
        let lines = lines.clone();
        async move {
            let add = |worker, port| scope.handle.stash_port(worker, "name", port);
            let its = worker(&scope);
            let MessageChannel { port1, port2 } = MessageChannel::new();
            port1.close();
            let refused = add(its, port1).unwrap_err();
            lines.say(refused.reason.name());
            assert!(refused.port.is_detached());
            // Closed by its partner, with that close still to be delivered.
            assert!(add(its, port2).unwrap().is_some());
            assert_eq!(add(its, MessagePort::new()).unwrap(), None, "a dead view");
            let MessageChannel { port1, port2 } = MessageChannel::new();
            let refused = add(WorkerId(4711), port1).unwrap_err();
            assert_eq!(refused.reason, StashError::InvalidState);
            lines.say(refused.reason.name());
            let second = add(its, refused.port).unwrap();
            let refused = add(its, port2).unwrap_err();
            lines.say(refused.reason.name());
            assert!(refused.port.is_entangled(), "nothing happened to it");
            scope.handle.close_stashed(its, second.unwrap());
            connection.refuse();
        }
    });
    let limits = Limits {
        stash_entries: 2,
        ..Limits::default()
    };
    let policies = Policies::seeds().with_limits(limits);
    let mut house = House::new(policies, [("echo", service)]);
    house.install().await;
    let page = house.page(1, PAGE);
    let connecting = house.handle.connect(page, SERVICE, &url(PAGE));
    let (_, refused) = house.takes(connecting).await;
    refused.unwrap_err();
    assert_eq!(
        log.take(),
        ["DataCloneError", "InvalidStateError", "QuotaExceededError"]
    );
}

#[tokio::test]
async fn views_find_post_rename_and_close_entries_of_their_own_registration_only() {
    let (scopes, kept) = {
        let scopes = Arc::new(Mutex::new(Vec::new()));
        (Arc::clone(&scopes), scopes)
    };
    let service = stashes_only().on_activate(move |scope, _| {
        kept.lock().unwrap().push(scope);
        async { Ok(()) }
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.serve("https://other.test/sw.js", "echo");
    house.install().await;
    let other = house.page(3, "https://other.test/");
    quiet().await;
    house.register(other, "https://other.test/").await.unwrap();
    house.until(WorkerState::Activated).await;
    let page = house.page(1, PAGE);
    let mut first = connected(&house, page, "/chat").await;
    let mut second = connected(&house, page, "/chat").await;
    let (its, others) = {
        let scopes = scopes.lock().unwrap();
        (worker(&scopes[0]), worker(&scopes[1]))
    };
    let handle = &house.handle;
    let found = handle.match_stashed(its, "/chat");
    assert_eq!(found.len(), 2);
    assert!(handle.match_stashed(others, "/chat").is_empty());
    let posted = handle.post_stashed(others, found[0], message("not mine"));
    assert_eq!(posted, Posted::NotEntangled);
    handle.close_stashed(others, found[0]);
    let posted = handle.post_stashed(its, found[0], message("mine"));
    assert_eq!(posted, Posted::Queued);
    assert_eq!(next(&mut first).await, "mine");
    handle.rename_stashed(its, found[0], "renamed").unwrap();
    assert_eq!(handle.match_stashed(its, "renamed"), [found[0]]);
    assert_eq!(handle.match_stashed(its, "/chat"), [found[1]]);
    handle.close_stashed(its, found[1]);
    assert_eq!(next(&mut second).await, "close");
    assert!(handle.match_stashed(its, "/chat").is_empty());
    handle.shut_down().await;
    assert_eq!(next(&mut first).await, "close");
    let late = handle.stash_port(its, "late", MessageChannel::new().port1);
    assert_eq!(late.unwrap_err().reason, StashError::InvalidState);
}

#[tokio::test]
async fn two_services_that_answer_each_other_for_nobody_have_a_rest_until_somebody_comes() {
    let given = Arc::new(Mutex::new(0_u32));
    let count = Arc::clone(&given);
    let service = NativeWorker::new().on_message(move |scope, event| {
        *count.lock().unwrap() += 1;
        async move {
            let answer = message("and you?");
            scope
                .handle
                .post_stashed(worker(&scope), event.entry, answer);
        }
    });
    let mut house = House::new(Policies::seeds(), [("echo", service)]);
    house.serve("https://other.test/sw.js", "echo");
    let mut workers = Vec::new();
    for (page, base) in [(1, SERVICE), (2, "https://other.test/")] {
        let page = house.page(page, base);
        quiet().await;
        house.register(page, base).await.unwrap();
        house.until(WorkerState::Activated).await;
        let found = house.handle.registration(page, &url(base)).await;
        workers.push(found.unwrap().unwrap().active.unwrap().id);
        house.handle.host_event(HostEvent::ClientGone(page));
    }
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let handle = house.handle.clone();
    let [a, _] = [(workers[0], port1), (workers[1], port2)]
        .map(|(worker, port)| handle.stash_port(worker, "talk", port).unwrap().unwrap());
    handle.post_stashed(workers[0], a, message("how are you?"));
    let said = || *given.lock().unwrap();
    let mut before = 0;
    // The store, which each of them waits for, has a thread of its own.
    let settled = async |house: &House| {
        let (mut last, mut same) = (said(), 0);
        while same < 200 {
            std::thread::yield_now();
            quiet().await;
            same = if said() == last { same + 1 } else { 0 };
            last = said();
        }
        drop(house.handle.clone());
        last
    };
    for _ in 0..2 {
        let now = settled(&house).await;
        assert!((900..2_200).contains(&(now - before)), "{before} {now}");
        before = now;
        // In the rest, both of them stop.
        house.pass_seconds(31).await;
        house.pass_seconds(20).await;
        assert_eq!(settled(&house).await, before, "it is a rest");
        house.pass_seconds(1_000).await;
    }
    let now = settled(&house).await;
    house.page(3, SERVICE);
    quiet().await;
    let mut after = said();
    while after < now + 3_000 {
        std::thread::yield_now();
        quiet().await;
        after = said();
    }
    house.handle.shut_down().await;
}

#[tokio::test]
async fn a_port_that_holds_too_much_is_closed_and_reported() {
    let limits = Limits {
        stash_queued_bytes: 1_000,
        ..Limits::default()
    };
    let policies = Policies::seeds().with_limits(limits);
    // Nobody listens to what comes.
    let mut house = House::new(policies, [("echo", stashes_only())]);
    house.install().await;
    let page = house.page(1, PAGE);
    let mut port = connected(&house, page, "/chat").await;
    port.post_message(Message::new(vec![0; 900]));
    quiet().await;
    assert!(port.is_entangled());
    port.post_message(Message::new(vec![0; 900]));
    assert_eq!(next(&mut port).await, "close");
    let closed = loop {
        match house.reports.next().await.unwrap() {
            Report::StashedPortClosed { scope, .. } => break scope,
            Report::WorkerState { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closed.as_str(), SERVICE);
}
