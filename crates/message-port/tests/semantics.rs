//! What HTML says of message ports, one observation a test.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::cell::RefCell;

use message_port::transfer_list::{self, TransferListError};
use message_port::{
    EntangleError, Event, Message, MessageChannel, MessagePort, Posted, TryRecvError,
};

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
fn a_moved_port_keeps_its_queue_and_is_disabled_again() {
    let (a, mut b) = started();
    for word in ["one", "two", "three"] {
        say(&a, word);
    }
    // The owner has taken all three into its own part of the queue, and used the first.
    assert_eq!(text(&mut b), "one");
    say(&a, "four");
    let mut b = moved(b);
    say(&a, "five");
    assert!(!b.is_enabled());
    assert!(is_empty(&mut b));
    b.start();
    for word in ["two", "three", "four", "five"] {
        assert_eq!(text(&mut b), word);
    }
    assert!(is_empty(&mut b));
}

#[test]
fn what_is_posted_while_a_port_is_under_way_arrives() {
    let (mut a, b) = started();
    let under_way = b.transfer().unwrap();
    say(&a, "to nobody yet");
    let mut b = under_way.receive();
    b.start();
    assert_eq!(text(&mut b), "to nobody yet");
    say(&b, "and back");
    assert_eq!(text(&mut a), "and back");
}

#[test]
fn both_ends_are_shipped_by_one_transfer() {
    let (a, b) = channel();
    assert!(!a.has_been_shipped() && !b.has_been_shipped());
    let b = moved(b);
    assert!(a.has_been_shipped() && b.has_been_shipped());
}

#[test]
fn a_port_without_a_partner_is_shipped_by_its_transfer_too() {
    let (a, b) = channel();
    a.disentangle();
    let b = moved(b);
    assert!(b.has_been_shipped());
    assert!(!a.has_been_shipped(), "it was not entangled any more");
}

#[test]
fn a_transfer_fires_no_close() {
    let (mut a, b) = started();
    let b = moved(moved(b));
    assert!(is_empty(&mut a));
    assert!(a.is_entangled_with(&b));
}

#[test]
fn close_comes_once_at_the_other_end_after_the_last_message() {
    let (mut a, mut b) = started();
    say(&a, "last");
    a.close();
    a.close();
    assert_eq!(text(&mut b), "last");
    assert!(is_close(&mut b));
    assert!(is_closed(&mut b));
    assert!(is_closed(&mut b));
    assert!(is_closed(&mut a));
    b.close();
    assert!(is_closed(&mut a));
}

#[test]
fn dropping_a_port_closes_it() {
    let (a, mut b) = started();
    say(&a, "last");
    drop(a);
    assert_eq!(text(&mut b), "last");
    assert!(is_close(&mut b));
    assert!(is_closed(&mut b));
}

#[test]
fn dropping_a_port_under_way_closes_it() {
    let (mut a, b) = started();
    drop(b.transfer().unwrap());
    assert!(is_close(&mut a));
    assert!(is_closed(&mut a));
}

#[test]
fn a_port_lost_in_the_queue_of_a_dropped_port_closes() {
    let (mut a, b) = started();
    let (c, d) = channel();
    c.post_message(Message::default().with_port(b.transfer().unwrap()));
    assert!(is_empty(&mut a));
    drop(d);
    assert!(is_close(&mut a));
}

#[test]
fn closing_does_not_cancel_what_is_queued_at_the_closing_port() {
    let (a, mut b) = started();
    say(&a, "one");
    say(&a, "two");
    assert_eq!(text(&mut b), "one");
    b.close();
    assert_eq!(text(&mut b), "two");
    assert!(is_closed(&mut b));
}

#[test]
fn close_passes_a_disabled_queue_only_if_no_message_precedes_it() {
    let (a, mut b) = channel();
    drop(a);
    assert!(is_close(&mut b));

    let (a, mut b) = channel();
    say(&a, "before");
    drop(a);
    assert!(is_empty(&mut b));
    b.start();
    assert_eq!(text(&mut b), "before");
    assert!(is_close(&mut b));
}

#[test]
fn a_pending_close_travels_with_its_port() {
    let (a, mut b) = started();
    say(&a, "one");
    say(&a, "two");
    assert_eq!(text(&mut b), "one");
    drop(a);
    let mut b = moved(b);
    assert!(is_empty(&mut b));
    b.start();
    assert_eq!(text(&mut b), "two");
    assert!(is_close(&mut b));
    assert!(is_closed(&mut b));
}

#[test]
fn a_backlog_that_is_only_a_close_passes_after_the_move() {
    let (a, mut b) = started();
    say(&a, "one");
    drop(a);
    assert_eq!(text(&mut b), "one");
    let mut b = moved(b);
    assert!(b.has_pending_activity(false));
    assert!(is_close(&mut b));
    assert!(is_closed(&mut b));
}

#[test]
fn a_closed_port_cannot_be_transferred_but_its_former_partner_can() {
    let (a, b) = channel();
    a.close();
    assert!(a.is_detached() && !b.is_detached());
    let error = a.transfer().unwrap_err();
    assert!(error.to_string().contains("detached"));
    assert!(error.port.is_detached());
    let mut b = moved(b);
    assert!(is_close(&mut b));
}

#[test]
fn closing_a_port_whose_partner_has_gone_detaches_it() {
    let (a, b) = channel();
    drop(a);
    b.close();
    assert!(b.is_detached());
    assert!(b.transfer().is_err());
}

#[test]
fn posting_without_a_target_drops_the_message_and_its_ports() {
    let (a, b) = channel();
    let (mut c, d) = started();
    drop(b);
    let message = Message::default().with_port(d.transfer().unwrap());
    assert_eq!(a.post_message(message), Posted::NotEntangled);
    assert!(is_close(&mut c));
    assert_eq!(a.post_message(Message::new("x")), Posted::NotEntangled);
}

#[test]
fn a_message_that_carries_its_own_target_is_doomed() {
    let (mut a, b) = started();
    let (mut c, d) = started();
    assert!(a.is_entangled_with(&b) && !a.is_entangled_with(&c));
    let message = Message::new("doomed")
        .with_port(d.transfer().unwrap())
        .with_port(b.transfer().unwrap());
    assert_eq!(a.post_message(message), Posted::Doomed);
    assert!(is_close(&mut a));
    assert!(is_close(&mut c));
    assert_eq!(a.post_message(Message::new("x")), Posted::NotEntangled);
}

#[test]
fn a_former_target_in_the_list_dooms_nothing_there_is_no_target() {
    let (a, b) = channel();
    a.disentangle();
    let message = Message::default().with_port(b.transfer().unwrap());
    assert_eq!(a.post_message(message), Posted::NotEntangled);
}

#[test]
fn many_ports_arrive_in_the_order_of_the_list() {
    let (a, mut b) = started();
    let mut message = Message::default();
    let mut writers = Vec::new();
    for number in 0..100_u8 {
        let (writer, port) = channel();
        writer.post_message(Message::new(vec![number]));
        writers.push(writer);
        message = message.with_port(port.transfer().unwrap());
    }
    a.post_message(message);
    let Ok(Event::Message(message)) = b.try_recv() else {
        panic!("nothing came")
    };
    assert_eq!(message.ports.len(), 100);
    for (number, port) in (0..).zip(message.ports) {
        let mut port = port.receive();
        port.start();
        let Ok(Event::Message(message)) = port.try_recv() else {
            panic!("nothing came")
        };
        assert_eq!(message.payload, vec![number]);
    }
}

#[test]
fn disentangling_leaves_a_port_that_can_be_transferred() {
    let (a, mut b) = started();
    a.disentangle();
    assert!(is_close(&mut b));
    assert!(!a.is_detached() && !a.is_entangled() && !b.is_entangled());
    let mut a = moved(a);
    assert!(is_closed(&mut a));
}

#[test]
fn entangling_breaks_the_old_links_and_keeps_the_queues() {
    let (mut a, mut a_old) = started();
    let (mut b, mut b_old) = started();
    say(&a_old, "from the old partner");
    MessagePort::entangle(&mut a, &mut b).unwrap();
    assert!(a.is_entangled_with(&b) && !a.is_entangled_with(&a_old));
    assert!(is_close(&mut a_old) && is_close(&mut b_old));
    say(&b, "from the new one");
    assert_eq!(text(&mut a), "from the old partner");
    assert_eq!(text(&mut a), "from the new one");
    assert!(is_empty(&mut a) && is_empty(&mut b));
}

#[test]
fn entangling_partners_changes_nothing() {
    let (mut a, mut b) = started();
    say(&a, "x");
    MessagePort::entangle(&mut b, &mut a).unwrap();
    assert_eq!(text(&mut b), "x");
    assert!(is_empty(&mut a) && is_empty(&mut b));
}

#[test]
fn a_closed_port_cannot_be_entangled_and_nothing_changes() {
    let (mut a, _a_old) = channel();
    let (mut b, mut b_old) = started();
    a.close();
    let refused = MessagePort::entangle(&mut a, &mut b);
    assert_eq!(refused, Err(EntangleError::Detached));
    let refused = MessagePort::entangle(&mut b, &mut a);
    assert_eq!(refused, Err(EntangleError::Detached));
    assert!(b.is_entangled_with(&b_old));
    assert!(is_empty(&mut b_old));
}

#[test]
fn new_ports_are_dead_until_they_are_entangled() {
    let (mut a, mut b) = (MessagePort::new(), MessagePort::new());
    assert!(is_closed(&mut a));
    assert_eq!(a.post_message(Message::new("x")), Posted::NotEntangled);
    MessagePort::entangle(&mut a, &mut b).unwrap();
    b.start();
    say(&a, "alive");
    assert_eq!(text(&mut b), "alive");
}

#[test]
fn a_close_of_the_old_partner_is_delivered_although_a_new_one_came() {
    let (a, mut b) = started();
    drop(a);
    let mut c = MessagePort::new();
    MessagePort::entangle(&mut b, &mut c).unwrap();
    say(&c, "new");
    assert!(is_close(&mut b));
    assert_eq!(text(&mut b), "new");
    drop(c);
    assert!(is_close(&mut b));
    assert!(is_closed(&mut b));
}

#[test]
fn former_partners_can_be_entangled_again() {
    let (mut a, mut b) = started();
    say(&a, "before");
    a.disentangle();
    MessagePort::entangle(&mut a, &mut b).unwrap();
    say(&a, "after");
    assert_eq!(text(&mut b), "before");
    assert!(is_close(&mut b));
    assert_eq!(text(&mut b), "after");
    assert!(is_empty(&mut a) && is_empty(&mut b));
}

#[test]
fn what_is_put_back_stands_before_what_came_since_in_its_order() {
    let (a, mut b) = started();
    for word in ["one", "two", "three"] {
        say(&a, word);
    }
    let read = [b.try_recv().unwrap(), b.try_recv().unwrap()];
    say(&a, "four");
    b.put_back(read.into());
    // It moves along with the rest, and is disabled with it.
    let mut b = moved(b);
    assert!(is_empty(&mut b));
    b.start();
    for word in ["one", "two", "three", "four"] {
        assert_eq!(text(&mut b), word);
    }
    assert!(is_empty(&mut b));
}

#[test]
fn a_close_that_is_put_back_comes_again_after_what_stood_before_it() {
    let (a, mut b) = started();
    say(&a, "last");
    drop(a);
    let read = [b.try_recv().unwrap(), b.try_recv().unwrap()];
    assert!(is_closed(&mut b));
    b.put_back(read.into());
    assert!(b.has_pending_activity(false));
    assert_eq!(text(&mut b), "last");
    assert!(is_close(&mut b));
    assert!(is_closed(&mut b));
}

#[test]
fn a_port_that_is_put_back_travels_in_the_queue_again() {
    let (a, mut b) = started();
    let (writer, port) = channel();
    a.post_message(Message::default().with_port(port.transfer().unwrap()));
    let read = b.try_recv().unwrap();
    b.put_back(vec![read]);
    // To post `b` into the queue of a port that travels in its own queue would close a circle.
    let message = Message::default().with_port(b.transfer().unwrap());
    assert_eq!(writer.post_message(message), Posted::Doomed);
    assert!(!writer.is_entangled() && !a.is_entangled());
}

#[test]
fn a_list_is_refused_for_the_source_before_a_duplicate_and_nothing_is_detached() {
    let refused = |source, list: &[u32]| transfer_list::check(source, list.iter().copied());
    assert_eq!(refused(Some(1), &[2, 3]), Ok(()));
    assert_eq!(refused(None, &[2, 3, 1]), Ok(()));
    let duplicate = Err(TransferListError::Duplicate { index: 2 });
    assert_eq!(refused(Some(1), &[2, 3, 2, 3]), duplicate);
    assert_eq!(refused(None, &[1, 2, 1]), duplicate);
    let source = Err(TransferListError::Source { index: 3 });
    assert_eq!(refused(Some(1), &[2, 2, 3, 1]), source);
}

#[test]
fn a_detached_item_leaves_the_earlier_ones_detached_and_the_later_ones_alone() {
    for closed in [true, false] {
        let (mut first_far, first) = started();
        let (second_far, second) = started();
        let (third_far, third) = started();
        say(&second_far, "still here");
        let mut objects = [Some(first), None, Some(third)];
        if closed {
            second.close();
            objects[1] = Some(second);
        }
        let refused = transfer_list::transfer(&mut objects).unwrap_err();
        assert_eq!(refused, TransferListError::Detached { index: 1 });
        assert_eq!(refused.exception_name(), "DataCloneError");
        assert!(objects[0].is_none() && is_close(&mut first_far));
        assert!(objects[2].as_ref().unwrap().is_entangled_with(&third_far));
        assert!(!third_far.has_been_shipped());
        // What a closed port still has to deliver is not lost by the attempt.
        assert_eq!(objects[1].is_some(), closed);
        if let Some(second) = &mut objects[1] {
            assert_eq!(text(second), "still here");
        }
    }
}

#[test]
fn an_object_that_stands_in_a_list_of_guards_twice_is_detached_at_the_second_place() {
    let (mut far, port) = started();
    let object = RefCell::new(Some(port));
    let slots = [&object, &object].map(|object| move || object.borrow_mut());
    let refused = transfer_list::transfer(slots.into_iter().map(|slot| slot())).unwrap_err();
    assert_eq!(refused, TransferListError::Detached { index: 1 });
    assert!(is_close(&mut far));
}

#[test]
fn a_doomed_message_detaches_all_that_is_in_its_list() {
    let (a, b) = started();
    let (mut far, near) = started();
    let mut objects = [Some(near), Some(b)];
    let mut message = Message::new("to the target, with the target");
    message.ports = transfer_list::transfer(&mut objects).unwrap();
    assert_eq!(a.post_message(message), Posted::Doomed);
    assert!(objects.iter().all(Option::is_none));
    assert!(is_close(&mut far));
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
