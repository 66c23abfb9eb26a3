//! What goes along with a port that moves, and what is put back before it does.

use message_port::{Message, MessagePort, Posted};

use super::{channel, is_close, is_closed, is_empty, moved, say, started, text};

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
fn the_close_of_a_former_partner_passes_after_the_move_and_the_next_message_waits() {
    let (a, mut b) = started();
    say(&a, "one");
    drop(a);
    let mut c = MessagePort::new();
    MessagePort::entangle(&mut b, &mut c).unwrap();
    say(&c, "two");
    assert_eq!(text(&mut b), "one");
    let mut b = moved(b);
    assert!(b.has_pending_activity(false));
    assert!(is_close(&mut b));
    assert!(is_empty(&mut b));
    assert!(!b.has_pending_activity(false));
    b.start();
    assert_eq!(text(&mut b), "two");
}
