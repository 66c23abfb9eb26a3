//! Ports inside the messages of durable entries, across restarts.

use service_worker::EventDetail;
use service_worker::message_port::{Event, Message, MessageChannel, MessagePort};
use service_worker::stash::EntryId;
use service_worker::types::WorkerId;

use crate::common::{message, quiet};
use crate::restart::{Disk, Stand};

/// A browser whose worker is stopped and does not start any more, so that messages stay.
async fn stopped(disk: &Disk) -> (Stand, WorkerId, EntryId) {
    let mut stand = Stand::over(disk);
    let worker = stand.install().await;
    let [a, _] = stand.stash_both(worker);
    stand.dies(worker);
    quiet().await;
    (stand, worker, a)
}

fn stash(stand: &Stand, worker: WorkerId, name: &str, port: MessagePort) -> EntryId {
    let added = stand.house.handle.stash_port(worker, name, port);
    added.unwrap().unwrap()
}

fn only_port(detail: EventDetail<MessagePort>) -> MessagePort {
    let EventDetail::StashedMessage { mut message, .. } = detail else {
        panic!("{detail:?}")
    };
    assert_eq!(message.ports.len(), 1);
    let mut port = message.ports.remove(0);
    port.start();
    port
}

fn text(event: Event) -> (String, Vec<MessagePort>) {
    let Event::Message(message) = event else {
        return ("close".to_owned(), Vec::new());
    };
    let ports = message.ports.into_iter().map(|port| port.receive());
    let text = String::from_utf8(message.payload.to_vec()).unwrap();
    (text, ports.collect())
}

#[tokio::test]
async fn a_port_in_a_durable_message_keeps_its_stashed_partner_and_what_it_received() {
    let disk = Disk::default();
    let (stand, worker, a) = stopped(&disk).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let c = stash(&stand, worker, "c", port1);
    let handle = stand.house.handle.clone();
    handle.post_stashed(worker, c, message("posted before it travels"));
    let carrying = message("take this").with_port(port2.transfer().unwrap());
    handle.post_stashed(worker, a, carrying);
    quiet().await;
    handle.post_stashed(worker, c, message("posted while it travels"));
    let state = stand.ends().await;

    let mut again = Stand::over(&Disk::holding(state));
    quiet().await;
    let handle = again.house.handle.clone();
    handle.post_stashed(worker, c, message("posted after the restart"));
    let (_, event, detail) = again.given().await;
    let mut port = only_port(detail);
    again.settle(worker, event);
    for expected in ["before it travels", "while it travels", "after the restart"] {
        let (text, _) = text(port.recv().await.unwrap());
        assert_eq!(text, format!("posted {expected}"));
    }
    port.post_message(message("thanks"));
    assert_eq!(again.said(1).await, [("thanks".to_owned(), false)]);
    // It is a worker's own now: after another restart its partner hears that it is gone.
    let state = again.ends().await;
    let mut last = Stand::over(&Disk::holding(state));
    assert_eq!(last.said(1).await, [("close".to_owned(), false)]);
}

#[tokio::test]
async fn ports_in_ports_in_messages_survive_too() {
    const DEPTH: usize = 40;
    let disk = Disk::default();
    let (stand, worker, a) = stopped(&disk).await;
    let handle = stand.house.handle.clone();
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let mut outer = stash(&stand, worker, "0", port1);
    let first = message("level 0").with_port(port2.transfer().unwrap());
    handle.post_stashed(worker, a, first);
    for depth in 1..DEPTH {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let inner = stash(&stand, worker, &depth.to_string(), port1);
        let carried = port2.transfer().unwrap();
        let carrying = Message::new(format!("level {depth}")).with_port(carried);
        handle.post_stashed(worker, outer, carrying);
        outer = inner;
        quiet().await;
    }
    handle.post_stashed(worker, outer, message("the innermost"));
    let state = stand.ends().await;
    let mut again = Stand::over(&Disk::holding(state));
    let (_, _, detail) = again.given().await;
    let mut port = only_port(detail);
    for depth in 1..DEPTH {
        let (said, mut ports) = text(port.recv().await.unwrap());
        assert_eq!((said, ports.len()), (format!("level {depth}"), 1));
        port = ports.remove(0);
        port.start();
    }
    assert_eq!(text(port.recv().await.unwrap()).0, "the innermost");
}

#[tokio::test]
async fn a_port_in_a_durable_message_whose_partner_is_live_arrives_closed() {
    let disk = Disk::default();
    let (stand, worker, a) = stopped(&disk).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let carrying = message("take this").with_port(port2.transfer().unwrap());
    stand.house.handle.post_stashed(worker, a, carrying);
    quiet().await;
    let state = stand.ends().await;
    drop(port1);
    let mut again = Stand::over(&Disk::holding(state));
    let (_, _, detail) = again.given().await;
    let mut port = only_port(detail);
    assert_eq!(text(port.recv().await.unwrap()).0, "close");
}

#[tokio::test]
async fn a_transferred_view_takes_kept_ports_and_stored_payloads_along() {
    let disk = Disk::default();
    let (stand, worker, a) = stopped(&disk).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let c = stash(&stand, worker, "c", port1);
    let handle = stand.house.handle.clone();
    let long = "long ".repeat(1_000);
    let carrying = Message::new(long.clone()).with_port(port2.transfer().unwrap());
    handle.post_stashed(worker, a, carrying);
    handle.post_stashed(worker, c, Message::new(long.clone()));
    quiet().await;
    let mut state = stand.ends().await;
    assert_eq!(state.blobs_mut().len(), 2);
    assert!(state.rows_mut().values().all(|row| row.len() < 200));
    let disk = Disk::holding(state);
    let again = Stand::over(&disk);
    quiet().await;
    let handle = again.house.handle.clone();
    let b = handle.match_stashed(worker, "b")[0];
    let mut moved = handle.transfer_stashed(worker, b).unwrap().receive();
    moved.start();
    let (said, mut ports) = text(moved.recv().await.unwrap());
    assert_eq!(said, long);
    let mut inner = ports.remove(0);
    inner.start();
    assert_eq!(text(inner.recv().await.unwrap()).0, long);
    handle.caught_up().await;
    let mut state = again.ends().await;
    assert_eq!(
        state.blobs_mut().len(),
        0,
        "they are not the stash's any more"
    );
}

#[tokio::test]
async fn a_message_that_comes_back_with_its_ports_is_stored_with_them_again() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, _] = stand.stash_both(worker);
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let c = stash(&stand, worker, "c", port1);
    let carrying = message("take this").with_port(port2.transfer().unwrap());
    let handle = stand.house.handle.clone();
    handle.post_stashed(worker, a, carrying);
    let (_, event, detail) = stand.given().await;
    let undelivered = service_worker::HostEvent::Undelivered {
        worker,
        event,
        detail,
    };
    handle.host_event(undelivered);
    stand.dies(worker);
    quiet().await;
    handle.post_stashed(worker, c, message("for the port"));
    quiet().await;
    let state = stand.ends().await;
    let mut again = Stand::over(&Disk::holding(state));
    let (_, _, detail) = again.given().await;
    let redelivered = crate::restart::says(&detail).1;
    assert!(!redelivered, "nobody has seen it");
    let mut port = only_port(detail);
    assert_eq!(text(port.recv().await.unwrap()).0, "for the port");
}
