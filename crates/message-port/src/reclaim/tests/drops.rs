//! What a dropped port drops: to any depth, in its order, whatever the destructors do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{channel, is_live, lock, pair_of, post};
use crate::{Event, Message, MessagePort, Posted};

const DEPTH: usize = 100_000;

/// Runs `test` on a thread whose stack a recursion of that depth would overflow.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let builder = thread::Builder::new().stack_size(128 * 1024);
    builder.spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_hundred_thousand_ports_inside_each_other_are_dropped_on_a_small_stack() {
    on_a_small_stack(|| {
        let (mut outermost, mut writer) = channel();
        let mut pairs = vec![pair_of(&outermost)];
        for _ in 0..DEPTH {
            let (next, next_writer) = channel();
            pairs.push(pair_of(&next));
            assert_eq!(post(&next_writer, outermost), Posted::Queued);
            // The inner writers travel too, or the closes would have nobody to go to.
            let inner = std::mem::replace(&mut writer, next_writer);
            assert_eq!(post(&writer, inner), Posted::Queued);
            outermost = next;
        }
        drop(outermost);
        assert!(!pairs[..DEPTH].iter().any(is_live));
        assert!(matches!(writer.try_recv(), Ok(Event::Close)));
    });
}

#[test]
fn a_chain_that_is_nested_from_the_outside_in_is_built_in_linear_time() {
    on_a_small_stack(|| {
        let (outermost, mut writer) = channel();
        let mut pairs = Vec::new();
        for _ in 0..DEPTH {
            let (next, next_writer) = channel();
            pairs.push(pair_of(&next));
            assert_eq!(post(&writer, next), Posted::Queued);
            writer = next_writer;
        }
        drop(outermost);
        assert!(!pairs[..DEPTH - 1].iter().any(is_live));
    });
}

#[test]
fn ports_in_attachments_are_dropped_on_a_small_stack_too() {
    on_a_small_stack(|| {
        let (mut outermost, mut writer) = channel();
        let first = pair_of(&outermost);
        for _ in 0..DEPTH {
            let (next, next_writer) = channel();
            let inner = (outermost, writer);
            next_writer.post_message(Message::default().with_attachment(inner));
            (outermost, writer) = (next, next_writer);
        }
        drop(outermost);
        drop(writer);
        assert!(!is_live(&first));
    });
}

#[test]
fn ports_in_callbacks_are_dropped_on_a_small_stack_too() {
    on_a_small_stack(|| {
        let (mut outermost, mut far) = channel();
        let first = pair_of(&outermost);
        for _ in 0..DEPTH {
            let (mut next, next_far) = channel();
            let inner = (outermost, far);
            next.on_ready(move || _ = &inner);
            (outermost, far) = (next, next_far);
        }
        drop(outermost);
        drop(far);
        assert!(!is_live(&first));
    });
}

#[test]
fn what_is_queued_in_a_dropped_port_is_dropped_in_its_order() {
    struct Said(u32, Arc<Mutex<Vec<u32>>>);
    impl Drop for Said {
        fn drop(&mut self) {
            lock(&self.1).push(self.0);
        }
    }
    let said = Arc::new(Mutex::new(Vec::new()));
    let (a, mut b) = channel();
    b.start();
    for number in 0..6 {
        a.post_message(Message::default().with_attachment(Said(number, Arc::clone(&said))));
        if number == 3 {
            // Three are in the owner's part of the queue now.
            drop(b.try_recv());
        }
    }
    drop(b);
    assert_eq!(*lock(&said), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_destructor_that_panics_leaves_no_port_behind() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("from a destructor of the caller");
        }
    }
    let (a, a_out) = channel();
    let (b, mut b_out) = channel();
    let (inside_b, mut inside_b_out) = channel();
    assert_eq!(post(&b_out, inside_b), Posted::Queued);
    a_out.post_message(Message::default().with_attachment(Bomb));
    assert_eq!(post(&a_out, b), Posted::Queued);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(a)));
    assert!(dropped.is_err());
    assert!(matches!(b_out.try_recv(), Ok(Event::Close)));
    assert!(matches!(inside_b_out.try_recv(), Ok(Event::Close)));
    // And the next destruction on this thread works as ever.
    let (c, mut c_out) = channel();
    let (d, mut d_out) = channel();
    let (inside_d, mut inside_d_out) = channel();
    assert_eq!(post(&d_out, inside_d), Posted::Queued);
    assert_eq!(post(&c_out, d), Posted::Queued);
    drop(c);
    for out in [&mut c_out, &mut d_out, &mut inside_d_out] {
        assert!(matches!(out.try_recv(), Ok(Event::Close)));
    }
}

#[test]
fn a_port_that_a_destructor_drops_is_closed_before_the_destructor_goes_on() {
    // As one does that ends a thread: it drops the port, and waits for the thread to go.
    struct Worker(Option<MessagePort>, MessagePort, Arc<AtomicBool>);
    impl Drop for Worker {
        fn drop(&mut self) {
            drop(self.0.take());
            let heard = matches!(self.1.try_recv(), Ok(Event::Close));
            self.2.store(heard, Ordering::SeqCst);
        }
    }
    let (near, far) = channel();
    let heard = Arc::new(AtomicBool::new(false));
    let worker = Worker(Some(near), far, Arc::clone(&heard));
    let (a, b) = channel();
    a.post_message(Message::default().with_attachment(worker));
    drop(b);
    assert!(heard.load(Ordering::SeqCst));
}
