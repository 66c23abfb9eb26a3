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
#[path = "stash/restart.rs"]
mod restart;

use std::sync::{Arc, Mutex};

use common::{House, SERVICE, Taken, message, next, quiet, url};
use futures_util::StreamExt;
use service_worker::message_port::{Message, MessageChannel, MessagePort, Posted};
use service_worker::native_host::{NativeWorker, Scope, StashedEvent};
use service_worker::stash::EntryId;
use service_worker::types::{
    ClientId, EventType, EventTypes, FetchHandler, RunId, WorkerId, WorkerState,
};
use service_worker::{
    EventDetail, EventOutcome, HostCommand, HostEvent, Limits, Policies, Report, SiteData,
    StashError,
};

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
async fn a_view_is_not_stashed_again_by_a_redundant_worker_nor_when_its_entry_is_gone() {
    let (mut stand, worker, _port) = Stand::new(messages()).await;
    let handle = stand.house.handle.clone();
    let entry = handle.match_stashed(worker, "port")[0];
    let gone = EntryId(entry.0 + 1);
    let refused = handle.rename_stashed(worker, gone, "x");
    assert_eq!(refused, Err(StashError::DataClone));
    handle.rename_stashed(worker, entry, "x").unwrap();
    assert_eq!(
        handle.stashed_name(worker, entry).as_deref(),
        Some("x"),
        "for every worker's view"
    );
    handle.close_stashed(worker, entry);
    let refused = handle.rename_stashed(worker, entry, "y");
    assert_eq!(refused, Err(StashError::DataClone));
    // Its registration is gone, and it runs on for a moment.
    let found = handle.registration(ClientId(1), &url(SERVICE)).await;
    let id = found.unwrap().unwrap().id;
    let page = ClientId(1);
    handle.unregister(id).await.unwrap();
    stand.tell(HostEvent::ClientGone(page));
    assert!(matches!(
        stand.command().await,
        HostCommand::StopWorker { .. }
    ));
    let refused = handle.rename_stashed(worker, entry, "y");
    assert_eq!(refused, Err(StashError::InvalidState));
    let port = MessageChannel::new().port1;
    let refused = handle.stash_port(worker, "y", port).unwrap_err();
    assert_eq!(refused.reason, StashError::InvalidState);
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

// ---- With the test as the host: what it answers, and when ----

struct Stand {
    /// The worker's last run.
    run: RunId,
    house: House,
    commands: Taken,
}

impl Stand {
    /// A service that runs and has stashed a port, whose other end comes back.
    async fn new(listeners: EventTypes) -> (Self, WorkerId, MessagePort) {
        let (house, commands) = House::without_host(Policies::seeds());
        let run = RunId(0);
        let mut stand = Self {
            house,
            commands,
            run,
        };
        let page = stand.house.page(1, SERVICE);
        quiet().await;
        let registering = stand.house.register(page, SERVICE);
        let worker = stand.starts(listeners).await;
        registering.await.unwrap();
        stand.house.until(WorkerState::Activated).await;
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let stashed = stand.house.handle.stash_port(worker, "port", port2);
        stashed.unwrap().unwrap();
        (stand, worker, port1)
    }

    async fn command(&mut self) -> HostCommand<MessagePort> {
        loop {
            match self.commands.next().await.unwrap().0 {
                HostCommand::Notify { .. } => {}
                command => return command,
            }
        }
    }

    /// Nothing is asked of the host.
    async fn nothing(&mut self) {
        quiet().await;
        let command = std::pin::pin!(self.command());
        assert!(common::now(command).await.is_pending());
    }

    async fn starts(&mut self, event_types: EventTypes) -> WorkerId {
        let HostCommand::StartWorker(start) = self.command().await else {
            panic!("no start")
        };
        let worker = start.worker;
        self.run = start.run;
        self.tell(HostEvent::Started {
            worker,
            run: self.run,
            event_types,
            fetch_handler: FetchHandler::None,
        });
        worker
    }

    fn tell(&self, event: HostEvent<MessagePort>) {
        self.house.handle.host_event(event);
    }

    /// The next event of a stashed port, and what it says.
    async fn delivered(
        &mut self,
    ) -> (
        service_worker::types::EventId,
        String,
        EventDetail<MessagePort>,
    ) {
        let HostCommand::Dispatch { event, detail, .. } = self.command().await else {
            panic!("no event")
        };
        let says = match &detail {
            EventDetail::StashedMessage { message, .. } => {
                String::from_utf8(message.payload.to_vec()).unwrap()
            }
            EventDetail::StashedClose { .. } => "close".to_owned(),
            other => panic!("{other:?}"),
        };
        (event, says, detail)
    }

    fn died(&self, worker: WorkerId) {
        self.tell(HostEvent::Died {
            worker,
            run: self.run,
            reason: "it crashed".to_owned(),
        });
    }
}

fn messages() -> EventTypes {
    [EventType::Message, EventType::Close].into_iter().collect()
}

#[tokio::test]
async fn a_message_that_comes_back_after_its_worker_died_is_delivered_again_and_in_order() {
    for told_before_death in [true, false] {
        let (mut stand, worker, port) = Stand::new(messages()).await;
        port.post_message(message("one"));
        port.post_message(message("two"));
        let (event, says, detail) = stand.delivered().await;
        assert_eq!(says, "one");
        stand.nothing().await;
        let undelivered = HostEvent::Undelivered {
            worker,
            event,
            detail,
        };
        if told_before_death {
            stand.tell(undelivered);
            stand.died(worker);
        } else {
            stand.died(worker);
            stand.nothing().await;
            stand.tell(undelivered);
        }
        // It fell over its first message: it is left alone for a second.
        stand.nothing().await;
        stand.house.pass_seconds(1).await;
        assert_eq!(stand.starts(messages()).await, worker);
        for expected in ["one", "two"] {
            let (event, says, _) = stand.delivered().await;
            assert_eq!(says, expected);
            let outcome = EventOutcome::Fulfilled;
            stand.tell(HostEvent::Settled {
                worker,
                event,
                outcome,
            });
        }
        drop(port);
        assert_eq!(stand.delivered().await.1, "close");
    }
}

#[tokio::test]
async fn a_message_that_was_dispatched_when_its_worker_died_does_not_come_again() {
    let (mut stand, worker, port) = Stand::new(messages()).await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    let (event, ..) = stand.delivered().await;
    stand.tell(HostEvent::Dispatched { worker, event });
    let (event, says, detail) = stand.delivered().await;
    assert_eq!(says, "two");
    stand.tell(HostEvent::Undelivered {
        worker,
        event,
        detail,
    });
    stand.died(worker);
    // It had consumed one, so it starts again at once.
    stand.starts(messages()).await;
    assert_eq!(stand.delivered().await.1, "two");
}

#[tokio::test]
async fn a_host_that_never_says_what_became_of_a_message_delays_others_but_repeats_none() {
    let handles = messages().with(EventType::Connect);
    let (mut stand, worker, port) = Stand::new(handles).await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    assert_eq!(stand.delivered().await.1, "one");
    stand.died(worker);
    stand.house.pass_seconds(600).await;
    stand.nothing().await;
    // Something else starts the worker: what was under way before is over.
    let page = stand.house.page(5, PAGE);
    let connecting = stand.house.handle.connect(page, SERVICE, &url(PAGE));
    stand.starts(handles).await;
    let (mut connects, mut said) = (0, Vec::new());
    for _ in 0..2 {
        match stand.command().await {
            HostCommand::Dispatch {
                detail: EventDetail::Connect(_),
                ..
            } => connects += 1,
            HostCommand::Dispatch {
                detail: EventDetail::StashedMessage { message, .. },
                ..
            } => said.push(message.payload),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((connects, &said[..]), (1, &["two".into()][..]));
    drop(connecting);
}

#[tokio::test]
async fn what_nobody_listens_for_is_held_until_somebody_does() {
    let (mut stand, worker, port) = Stand::new(EventTypes::NONE).await;
    port.post_message(message("one"));
    stand.nothing().await;
    stand.tell(HostEvent::ListenersChanged {
        worker,
        run: stand.run,
        event_types: messages(),
    });
    assert_eq!(stand.delivered().await.1, "one");
}

#[tokio::test]
async fn a_worker_with_a_message_is_not_idle_until_the_message_has_settled() {
    let (mut stand, worker, port) = Stand::new(messages()).await;
    port.post_message(message("one"));
    let (event, ..) = stand.delivered().await;
    for _ in 0..4 {
        stand.house.pass_seconds(31).await;
    }
    stand.nothing().await;
    let outcome = EventOutcome::Fulfilled;
    stand.tell(HostEvent::Settled {
        worker,
        event,
        outcome,
    });
    for _ in 0..2 {
        stand.house.pass_seconds(31).await;
    }
    assert!(matches!(
        stand.command().await,
        HostCommand::StopWorker { .. }
    ));
    // A message for one that is about to go waits for its next run.
    port.post_message(message("two"));
    stand.nothing().await;
    stand.died(worker);
    stand.house.pass_seconds(1).await;
    stand.starts(messages()).await;
    assert_eq!(stand.delivered().await.1, "two");
}

#[tokio::test]
async fn a_host_is_not_believed_about_events_that_its_worker_does_not_have() {
    let (mut stand, worker, port) = Stand::new(messages()).await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    let (event, _, detail) = stand.delivered().await;
    let other = WorkerId(worker.0 + 1);
    stand.tell(HostEvent::Dispatched {
        worker: other,
        event,
    });
    stand.tell(HostEvent::Accepted {
        worker,
        event,
        port: None,
    });
    stand.tell(HostEvent::Undelivered {
        worker: other,
        event,
        detail,
    });
    stand.nothing().await;
    stand.tell(HostEvent::Dispatched { worker, event });
    assert_eq!(stand.delivered().await.1, "two");
}

#[tokio::test]
async fn a_transferred_view_takes_its_unseen_messages_along_in_order() {
    let (mut stand, worker, port) = Stand::new(EventTypes::NONE).await;
    let inner = MessageChannel::new();
    let carried = inner.port2.transfer().unwrap();
    port.post_message(message("one").with_port(carried));
    port.post_message(message("two"));
    stand.nothing().await;
    let entry = stand.house.handle.match_stashed(worker, "port");
    let entry = *entry.first().unwrap();
    let moved = stand.house.handle.transfer_stashed(worker, entry).unwrap();
    assert!(stand.house.handle.transfer_stashed(worker, entry).is_none());
    assert_eq!(stand.house.handle.stashed_name(worker, entry), None);
    port.post_message(message("three"));
    let mut moved = moved.receive();
    moved.start();
    let mut said = Vec::new();
    while let Ok(service_worker::message_port::Event::Message(got)) = moved.try_recv() {
        said.push((
            String::from_utf8(got.payload.to_vec()).unwrap(),
            got.ports.len(),
        ));
    }
    let expected = [("one", 1), ("two", 0), ("three", 0)];
    assert_eq!(said, expected.map(|(text, ports)| (text.to_owned(), ports)));
    stand.nothing().await;
    assert_eq!(port.post_message(message("four")), Posted::Queued);
}

#[tokio::test]
async fn the_new_owner_of_a_transferred_view_hears_that_the_peer_is_closed() {
    let (mut stand, worker, port) = Stand::new(EventTypes::NONE).await;
    let entry = stand.house.handle.match_stashed(worker, "port")[0];
    port.post_message(message("one"));
    drop(port);
    stand.nothing().await;
    let moved = stand.house.handle.transfer_stashed(worker, entry).unwrap();
    let mut moved = moved.receive();
    moved.start();
    assert_eq!(next(&mut moved).await, "one");
    assert_eq!(next(&mut moved).await, "close");
}

#[tokio::test]
async fn cleared_site_data_closes_the_ports_and_keeps_the_registration() {
    let (mut stand, worker, mut port) = Stand::new(EventTypes::NONE).await;
    port.post_message(message("one"));
    stand.nothing().await;
    let service = url(SERVICE);
    let key =
        service_worker::types::StorageKey::first_party(service_worker::types::Origin::of(&service));
    stand.house.handle.clear_stash(key);
    stand.nothing().await;
    assert!(stand.house.handle.match_stashed(worker, "port").is_empty());
    assert!(matches!(
        port.try_recv(),
        Ok(service_worker::message_port::Event::Close)
    ));
    assert_eq!(stand.house.handle.may_stash(worker), Ok(()));
}

#[tokio::test]
async fn a_push_reaches_the_active_worker_if_it_listens() {
    let types = messages().with(EventType::Push);
    let (mut stand, _worker, _port) = Stand::new(types).await;
    let client = ClientId(1);
    let found = stand.house.handle.registration(client, &url(SERVICE));
    let registration = found.await.unwrap().unwrap().id;
    stand.house.handle.push(registration, Some("news".into()));
    match stand.command().await {
        HostCommand::Dispatch {
            detail: EventDetail::Push { data },
            ..
        } => assert_eq!(data, Some("news".into())),
        other => panic!("{other:?}"),
    }
}
