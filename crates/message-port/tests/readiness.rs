//! When a receiver is told that there is something: wakers, callbacks, blocking.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use message_port::{Event, Message, MessageChannel, MessagePort, TryRecvError};

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    (count, waker)
}

fn poll(port: &mut MessagePort, waker: &Waker) -> Poll<Option<Event>> {
    port.poll_recv(&mut Context::from_waker(waker))
}

#[test]
fn a_pending_receiver_is_woken_once_by_the_first_message() {
    let (a, mut b) = channel();
    b.start();
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    assert!(poll(&mut b, &waker).is_pending());
    a.post_message(Message::new("one"));
    a.post_message(Message::new("two"));
    assert_eq!(woken.now(), 1);
    assert!(matches!(
        poll(&mut b, &waker),
        Poll::Ready(Some(Event::Message(_)))
    ));
    assert!(matches!(
        poll(&mut b, &waker),
        Poll::Ready(Some(Event::Message(_)))
    ));
    assert!(poll(&mut b, &waker).is_pending());
    a.close();
    assert_eq!(woken.now(), 2);
    assert!(matches!(
        poll(&mut b, &waker),
        Poll::Ready(Some(Event::Close))
    ));
    assert!(matches!(poll(&mut b, &waker), Poll::Ready(None)));
}

#[test]
fn the_latest_waker_is_the_one_that_is_woken() {
    let (a, mut b) = channel();
    b.start();
    let (first, first_waker) = counter();
    let (second, second_waker) = counter();
    assert!(poll(&mut b, &first_waker).is_pending());
    assert!(poll(&mut b, &second_waker).is_pending());
    a.post_message(Message::default());
    assert_eq!((first.now(), second.now()), (0, 1));
}

#[test]
fn a_disabled_queue_wakes_at_start_and_not_before() {
    let (a, mut b) = channel();
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    a.post_message(Message::default());
    assert_eq!(woken.now(), 0);
    b.start();
    assert_eq!(woken.now(), 1);
    b.start();
    assert_eq!(woken.now(), 1);
}

#[test]
fn closing_ones_own_port_ends_a_pending_receive() {
    let (_a, mut b) = channel();
    b.start();
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    b.close();
    assert_eq!(woken.now(), 1);
    assert!(matches!(poll(&mut b, &waker), Poll::Ready(None)));
}

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
fn a_disabled_queue_that_moved_wakes_at_start() {
    let (a, mut b) = channel();
    b.start();
    a.post_message(Message::default());
    a.post_message(Message::default());
    // The second message is in the owner's own part of the queue now, and moves with it.
    assert!(b.try_recv().is_ok());
    let mut b = b.transfer().unwrap().receive();
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    b.start();
    assert_eq!(woken.now(), 1);
    assert!(poll(&mut b, &waker).is_ready());
}

#[test]
fn a_close_wakes_though_the_queue_is_disabled() {
    let (a, mut b) = channel();
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    a.close();
    assert_eq!(woken.now(), 1);
    assert!(matches!(
        poll(&mut b, &waker),
        Poll::Ready(Some(Event::Close))
    ));
}

#[test]
fn a_close_behind_a_message_of_a_disabled_queue_wakes_nobody() {
    let (a, mut b) = channel();
    a.post_message(Message::default());
    let (woken, waker) = counter();
    assert!(poll(&mut b, &waker).is_pending());
    a.close();
    assert_eq!(woken.now(), 0);
    assert!(poll(&mut b, &waker).is_pending());
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
fn both_former_partners_are_woken_by_a_new_entanglement() {
    let (mut a, mut a_old) = channel();
    let (mut b, mut b_old) = channel();
    let (woken, waker) = counter();
    assert!(poll(&mut a_old, &waker).is_pending());
    assert!(poll(&mut b_old, &waker).is_pending());
    MessagePort::entangle(&mut a, &mut b).unwrap();
    assert_eq!(woken.now(), 2);
    assert!(poll(&mut a_old, &waker).is_ready() && poll(&mut b_old, &waker).is_ready());
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

#[test]
fn a_panic_in_a_callback_leaves_the_port_usable() {
    let (a, mut b) = channel();
    b.start();
    b.on_ready(|| panic!("from the callback"));
    let posted = thread::spawn(move || {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            a.post_message(Message::new("arrives"));
        }));
        (a, caught.is_err())
    });
    let (a, panicked) = posted.join().unwrap();
    assert!(panicked);
    assert!(b.try_recv().is_ok());
    a.post_message(Message::new("too"));
    assert!(b.try_recv().is_ok());
}

fn panics(action: impl FnOnce()) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)).is_err()
}

#[test]
fn a_panic_in_the_others_callback_does_not_keep_ones_own_receiver_waiting() {
    let (mut a, mut b) = channel();
    b.on_ready(|| panic!("from the callback"));
    let (woken, waker) = counter();
    assert!(poll(&mut a, &waker).is_pending());
    assert!(panics(|| a.close()));
    assert_eq!(woken.now(), 1);
    assert!(matches!(poll(&mut a, &waker), Poll::Ready(None)));
}

#[test]
fn a_panic_in_one_former_partners_callback_does_not_keep_the_other_waiting() {
    let (mut a, mut a_old) = channel();
    let (mut b, mut b_old) = channel();
    a_old.on_ready(|| panic!("from the callback"));
    let (woken, waker) = counter();
    assert!(poll(&mut b_old, &waker).is_pending());
    assert!(panics(|| MessagePort::entangle(&mut a, &mut b).unwrap()));
    assert!(a.is_entangled_with(&b));
    assert_eq!(woken.now(), 1);
}

#[test]
fn a_panic_in_a_waker_does_not_keep_the_callback_from_being_called() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("from the waker");
        }
    }
    let (a, mut b) = channel();
    b.start();
    let called = Arc::new(Count::default());
    let count = Arc::clone(&called);
    b.on_ready(move || count.wake_by_ref());
    assert!(poll(&mut b, &Waker::from(Arc::new(Panics))).is_pending());
    assert!(panics(|| {
        a.post_message(Message::default());
    }));
    assert_eq!(called.now(), 1);
}

#[test]
fn recv_as_a_future_loses_nothing_when_it_is_dropped() {
    let (a, mut b) = channel();
    b.start();
    let (_, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    {
        let mut receive = pin!(b.recv());
        assert!(receive.as_mut().poll(&mut cx).is_pending());
        a.post_message(Message::new("kept"));
    }
    let mut receive = pin!(b.recv());
    let Poll::Ready(Some(Event::Message(message))) = receive.as_mut().poll(&mut cx) else {
        panic!("nothing came")
    };
    assert_eq!(message.payload, "kept");
}

#[test]
fn a_blocked_thread_gets_messages_close_and_the_end() {
    let (a, mut b) = channel();
    b.start();
    let receiver = thread::spawn(move || {
        let mut seen = Vec::new();
        while let Some(event) = b.recv_blocking() {
            match event {
                Event::Message(message) => seen.push(message.payload),
                Event::Close => seen.push("close".into()),
            }
        }
        seen
    });
    a.post_message(Message::new("one"));
    thread::yield_now();
    a.post_message(Message::new("two"));
    drop(a);
    assert_eq!(receiver.join().unwrap(), ["one", "two", "close"]);
}

#[test]
fn an_emptied_port_says_empty_and_not_closed() {
    let (a, mut b) = channel();
    b.start();
    a.post_message(Message::default());
    assert!(b.try_recv().is_ok());
    assert_eq!(b.try_recv().unwrap_err(), TryRecvError::Empty);
}
