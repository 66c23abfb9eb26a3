//! What HTML says of message ports, one observation a test.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

#[path = "semantics/close.rs"]
mod close;
#[path = "semantics/entangle.rs"]
mod entangle;
#[path = "semantics/lists.rs"]
mod lists;
#[path = "semantics/transfer.rs"]
mod transfer;

use message_port::{Event, Message, MessageChannel, MessagePort, Posted, TryRecvError};

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

fn started() -> (MessagePort, MessagePort) {
    let (mut a, mut b) = channel();
    a.start();
    b.start();
    (a, b)
}

fn text(port: &mut MessagePort) -> String {
    match port.try_recv() {
        Ok(Event::Message(message)) => String::from_utf8(message.payload.to_vec()).unwrap(),
        other => panic!("no message but {other:?}"),
    }
}

fn say(port: &MessagePort, text: &'static str) {
    assert_eq!(port.post_message(Message::new(text)), Posted::Queued);
}

/// Sends `port` through a channel of its own and receives it at the other side.
fn moved(port: MessagePort) -> MessagePort {
    let (from, mut to) = channel();
    to.start();
    let message = Message::default().with_port(port.transfer().unwrap());
    assert_eq!(from.post_message(message), Posted::Queued);
    let Ok(Event::Message(mut message)) = to.try_recv() else {
        panic!("nothing came")
    };
    message.ports.remove(0).receive()
}

fn is_empty(port: &mut MessagePort) -> bool {
    matches!(port.try_recv(), Err(TryRecvError::Empty))
}

fn is_close(port: &mut MessagePort) -> bool {
    matches!(port.try_recv(), Ok(Event::Close))
}

fn is_closed(port: &mut MessagePort) -> bool {
    matches!(port.try_recv(), Err(TryRecvError::Closed))
}

#[test]
fn a_message_waits_for_start() {
    let (a, mut b) = channel();
    say(&a, "early");
    assert!(is_empty(&mut b));
    assert!(!b.is_enabled());
    b.start();
    assert_eq!(text(&mut b), "early");
    assert!(is_empty(&mut b));
}

#[test]
fn both_ways_are_delivered_in_order() {
    let (mut a, mut b) = started();
    for word in ["one", "two", "three"] {
        say(&a, word);
        say(&b, word);
    }
    for word in ["one", "two", "three"] {
        assert_eq!(text(&mut a), word);
        assert_eq!(text(&mut b), word);
    }
}

#[test]
fn a_payload_and_an_attachment_arrive_as_they_were_sent() {
    let (a, mut b) = started();
    let bytes: Vec<u8> = (0..=255).collect();
    a.post_message(Message::new(bytes.clone()).with_attachment(String::from("attached")));
    let Ok(Event::Message(message)) = b.try_recv() else {
        panic!("nothing came")
    };
    assert_eq!(message.payload, bytes);
    let attachment = message.attachment.unwrap().downcast::<String>().unwrap();
    assert_eq!(*attachment, "attached");
}

#[test]
fn a_collector_keeps_a_port_for_what_it_may_still_deliver() {
    let (a, mut b) = channel();
    // Nothing queued: only a listener on an entangled port needs the object.
    assert!(b.has_pending_activity(true));
    assert!(!b.has_pending_activity(false));
    // A non-empty queue counts once it is enabled.
    say(&a, "x");
    say(&a, "y");
    assert!(!b.has_pending_activity(false));
    b.start();
    assert!(b.has_pending_activity(false));
    assert_eq!(text(&mut b), "x");
    assert!(b.has_pending_activity(false));
    drop(a);
    assert_eq!(text(&mut b), "y");
    assert!(b.has_pending_activity(false), "the close is still to come");
    assert!(is_close(&mut b));
    assert!(!b.has_pending_activity(true));
}

#[test]
fn ports_and_messages_go_where_threads_go() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn send_value(_: impl Send) {}
    send::<Message>();
    send::<Event>();
    send::<message_port::TransferredPort>();
    send::<MessagePort>();
    sync::<MessagePort>();
    let (mut a, _b) = channel();
    send_value(a.recv());
}
