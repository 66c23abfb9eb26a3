//! Closing, and the close event.

use message_port::Message;

use super::{channel, is_close, is_closed, is_empty, moved, say, started, text};

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
fn closing_a_port_whose_partner_has_gone_detaches_it() {
    let (a, b) = channel();
    drop(a);
    b.close();
    assert!(b.is_detached());
    assert!(b.transfer().is_err());
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
