//! Entangle and disentangle.

use message_port::{EntangleError, Message, MessagePort, Posted};

use super::{channel, is_close, is_closed, is_empty, moved, say, started, text};

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
