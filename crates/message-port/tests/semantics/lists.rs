//! What is in a transfer list, and what may not be.

use std::cell::RefCell;

use message_port::transfer_list::{self, TransferListError};
use message_port::{Event, Message, Posted};

use super::{channel, is_close, say, started, text};

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
