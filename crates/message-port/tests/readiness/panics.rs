//! A waker or a callback that panics harms nobody else.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread;

use message_port::{Message, MessagePort};

use super::{Count, channel, counter, poll};

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
