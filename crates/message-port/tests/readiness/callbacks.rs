//! When the callback of an engine with a loop of its own is called.

use std::sync::{Arc, Mutex};
use std::task::Wake;

use message_port::{Event, Message, MessagePort, TryRecvError};

use super::{Count, channel, counter, poll};

#[test]
fn a_transfer_forgets_the_former_owners_waker_and_callback() {
    let (a, mut b) = channel();
    b.start();
    let (woken, waker) = counter();
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert!(poll(&mut b, &waker).is_pending());
    let mut b = b.transfer().unwrap().receive();
    assert_eq!(Arc::strong_count(&called), 1);
    a.post_message(Message::default());
    b.start();
    assert_eq!((woken.now(), called.now()), (0, 0));
    assert!(b.try_recv().is_ok());
}

#[test]
fn the_callback_comes_once_for_each_time_that_nothing_was_found() {
    let (a, mut b) = channel();
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    a.post_message(Message::default());
    assert_eq!(called.now(), 0, "the queue is disabled");
    b.start();
    assert_eq!(called.now(), 1);
    a.post_message(Message::default());
    assert_eq!(called.now(), 1, "nobody has looked yet");
    assert!(b.try_recv().is_ok());
    a.post_message(Message::default());
    assert_eq!(called.now(), 1, "the receiver has not come to the end");
    while b.try_recv().is_ok() {}
    a.post_message(Message::default());
    assert_eq!(called.now(), 2);
    b.clear_on_ready();
    while b.try_recv().is_ok() {}
    a.post_message(Message::default());
    assert_eq!(called.now(), 2);
}

#[test]
fn a_callback_that_is_set_late_is_called_at_once() {
    let (a, mut b) = channel();
    b.start();
    a.post_message(Message::default());
    a.post_message(Message::default());
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert_eq!(called.now(), 1);
    // The second message is in the receiver's own part of the queue by now.
    assert!(b.try_recv().is_ok());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert_eq!(called.now(), 2);
}

#[test]
fn a_callback_that_is_set_on_a_port_at_its_end_is_called_at_once() {
    let (_a, mut b) = channel();
    b.close();
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert_eq!(called.now(), 1);
    assert_eq!(b.try_recv().unwrap_err(), TryRecvError::Closed);
}

#[test]
fn a_callback_that_is_set_on_a_closed_port_waits_for_start_if_something_is_queued() {
    let (a, mut b) = channel();
    a.post_message(Message::default());
    a.close();
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert_eq!(
        called.now(),
        0,
        "the queue is disabled, and the close lies behind a message"
    );
    b.start();
    assert_eq!(called.now(), 1);
}

#[test]
fn a_callback_of_a_port_that_moved_with_its_last_message_waits_for_start() {
    let (a, mut b) = channel();
    b.start();
    a.post_message(Message::default());
    a.post_message(Message::default());
    assert!(b.try_recv().is_ok());
    b.disentangle();
    let mut b = b.transfer().unwrap().receive();
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert_eq!(called.now(), 0);
    b.start();
    assert_eq!(called.now(), 1);
    assert!(b.try_recv().is_ok());
}

#[test]
fn the_close_of_a_former_partner_counts_though_the_queue_is_disabled() {
    let (a, mut b) = channel();
    a.close();
    let mut c = MessagePort::new();
    MessagePort::entangle(&mut b, &mut c).unwrap();
    c.post_message(Message::default());
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert_eq!(called.now(), 1);
    assert!(b.has_pending_activity(false));
    assert!(matches!(b.try_recv(), Ok(Event::Close)));
    assert!(!b.has_pending_activity(false), "the message has to wait");
}

#[test]
fn wakers_and_callbacks_live_through_entangle() {
    let (_a, mut b) = channel();
    b.start();
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    let mut c = MessagePort::new();
    MessagePort::entangle(&mut b, &mut c).unwrap();
    c.post_message(Message::default());
    assert_eq!(woken.now(), 1);
}

#[test]
fn a_callback_may_use_any_port_since_no_lock_is_held() {
    let (a, mut b) = channel();
    let (c, mut d) = channel();
    b.start();
    d.start();
    // Shared with the test, since a callback must not own its own pair.
    let a = Arc::new(Mutex::new(a));
    let c = Arc::new(c);
    let (a_weak, c_weak) = (Arc::downgrade(&a), Arc::downgrade(&c));
    b.on_ready(move || {
        let (a, c) = (a_weak.upgrade().unwrap(), c_weak.upgrade().unwrap());
        c.post_message(Message::new("from the callback"));
        if let Ok(a) = a.try_lock() {
            a.post_message(Message::new("to the port that calls"));
        }
        let (_x, y) = channel();
        c.post_message(Message::default().with_port(y.transfer().unwrap()));
    });
    let (other, carried) = channel();
    let carrying = Message::default().with_port(carried.transfer().unwrap());
    a.lock().unwrap().post_message(carrying);
    assert!(d.try_recv().is_ok() && d.try_recv().is_ok());
    assert!(other.is_entangled());
}
