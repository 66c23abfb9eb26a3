//! Every interleaving of a few operations on a few threads, by a model checker.
//!
//! `RUSTFLAGS="--cfg message_port_loom" cargo test -p message-port --test loom`, which
//! `cargo xtask test` does. A lost wake-up shows as a deadlock, a pair that is kept as a leak.

#![cfg(message_port_loom)]
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;
use message_port::{Event, Message, MessageChannel, MessagePort, Posted, TransferredPort};

/// How often a thread may be interrupted where it could have gone on. Most errors need two.
const INTERRUPTIONS: usize = 3;

fn model(check: impl Fn() + Send + Sync + 'static) {
    model_with(INTERRUPTIONS, check);
}

fn model_with(interruptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(check);
}

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

fn numbered(number: u8) -> Message {
    Message::new(vec![number])
}

fn carrying(port: MessagePort) -> Message {
    Message::default().with_port(port.transfer().unwrap())
}

/// The number of a message, or nothing for a close.
fn number(event: Event) -> Option<u8> {
    match event {
        Event::Message(message) => Some(message.payload[0]),
        Event::Close => None,
    }
}

fn received(message: &mut Message) -> MessagePort {
    message.ports.pop().map(TransferredPort::receive).unwrap()
}

/// All that comes until the end, with closes as `None`.
fn everything(port: &mut MessagePort) -> Vec<Option<u8>> {
    port.start();
    let mut seen = Vec::new();
    while let Some(event) = port.recv_blocking() {
        seen.push(number(event));
    }
    seen
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_blocked_receiver_gets_both_messages_then_the_close() {
    model(|| {
        let (a, mut b) = channel();
        let posting = thread::spawn(move || {
            assert_eq!(a.post_message(numbered(1)), Posted::Queued);
            assert_eq!(a.post_message(numbered(2)), Posted::Queued);
        });
        assert_eq!(everything(&mut b), [Some(1), Some(2), None]);
        posting.join().unwrap();
    });
}

#[test]
fn two_threads_that_post_to_each_other_and_go_hear_of_each_other() {
    model(|| {
        let (mut a, mut b) = channel();
        let other = thread::spawn(move || {
            b.start();
            b.post_message(numbered(1));
            assert_eq!(b.recv_blocking().and_then(number), Some(2));
        });
        a.start();
        a.post_message(numbered(2));
        assert_eq!(everything(&mut a), [Some(1), None]);
        other.join().unwrap();
    });
}

#[test]
fn two_posters_through_one_port_lose_nothing() {
    model(|| {
        let (a, mut b) = channel();
        let a = Arc::new(a);
        let other = Arc::clone(&a);
        let posting = thread::spawn(move || {
            other.post_message(numbered(1));
        });
        a.post_message(numbered(2));
        b.start();
        let mut seen = [b.recv_blocking(), b.recv_blocking()].map(|event| event.and_then(number));
        seen.sort();
        assert_eq!(seen, [Some(1), Some(2)]);
        posting.join().unwrap();
    });
}

#[test]
fn the_waker_that_a_pending_poll_left_is_woken_whatever_it_replaced() {
    model(|| {
        let (a, mut b) = channel();
        b.start();
        let posting = thread::spawn(move || {
            a.post_message(numbered(1));
            a
        });
        let mut pending = None;
        for _ in 0..2 {
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            match b.poll_recv(&mut Context::from_waker(&waker)) {
                Poll::Ready(event) => assert_eq!(event.and_then(number), Some(1)),
                Poll::Pending => pending = Some(count),
            }
        }
        let a = posting.join().unwrap();
        if let Some(count) = pending {
            let waiting = count.0.load(SeqCst) == 0;
            match b.try_recv() {
                // The post came after both polls, or between them and woke the earlier waker.
                Ok(event) => assert!(!waiting && number(event) == Some(1)),
                // The first poll left its waker, the second got the message.
                Err(_) => assert!(count.0.load(SeqCst) <= 1),
            }
        }
        drop(a);
    });
}

#[test]
fn a_callback_that_is_set_while_a_message_comes_is_called() {
    model(|| {
        let (a, mut b) = channel();
        b.start();
        let posting = thread::spawn(move || {
            a.post_message(numbered(1));
            a
        });
        let called = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&called);
        b.on_ready(move || {
            count.fetch_add(1, SeqCst);
        });
        let a = posting.join().unwrap();
        // Nobody has looked yet, so nothing but the callback says that there is something.
        assert_eq!(called.load(SeqCst), 1);
        assert!(b.try_recv().is_ok());
        drop(a);
    });
}

#[test]
fn start_beside_a_post_wakes_exactly_when_both_have_happened() {
    model(|| {
        let (a, mut b) = channel();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        assert!(b.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        let posting = thread::spawn(move || {
            a.post_message(numbered(1));
            a
        });
        b.start();
        let a = posting.join().unwrap();
        assert_eq!(count.0.load(SeqCst), 1);
        assert_eq!(b.try_recv().ok().and_then(number), Some(1));
        drop(a);
    });
}

#[test]
fn a_port_that_moves_while_it_is_posted_to_gets_everything_in_order() {
    model(|| {
        let (writer, port) = channel();
        let (near, mut far) = channel();
        let carrying_thread = thread::spawn(move || {
            let mut port = port;
            port.start();
            let early = port.try_recv().ok().and_then(number);
            near.post_message(carrying(port));
            early
        });
        let posting = thread::spawn(move || {
            writer.post_message(numbered(1));
            writer.post_message(numbered(2));
        });
        far.start();
        let Some(Event::Message(mut message)) = far.recv_blocking() else {
            panic!("no port came")
        };
        let mut port = received(&mut message);
        let late = everything(&mut port);
        let early = carrying_thread.join().unwrap();
        let expected = [Some(1), Some(2), None];
        let skipped = usize::from(early.is_some());
        assert!(early.is_none() || early == Some(1));
        assert_eq!(late, expected[skipped..]);
        posting.join().unwrap();
    });
}

#[test]
fn both_ends_closed_at_once_give_one_close_in_all() {
    model(|| {
        let (mut a, mut b) = channel();
        let other = thread::spawn(move || {
            b.close();
            everything(&mut b).len()
        });
        a.close();
        let closes = everything(&mut a).len();
        assert_eq!(closes + other.join().unwrap(), 1);
    });
}

#[test]
fn a_post_that_meets_the_close_of_the_other_end_still_hears_it() {
    model(|| {
        let (a, b) = channel();
        let other = thread::spawn(move || a.close());
        assert!(matches!(
            b.post_message(numbered(1)),
            Posted::Queued | Posted::NotEntangled
        ));
        let mut b = b;
        assert_eq!(everything(&mut b), [None]);
        other.join().unwrap();
    });
}

#[test]
fn what_a_former_partner_posted_is_kept_by_a_new_entanglement() {
    model(|| {
        let (mut a, mut old) = channel();
        let posting = thread::spawn(move || {
            let accepted = old.post_message(numbered(1)) == Posted::Queued;
            // The link is broken by the other thread, sooner or later, and this end hears of it.
            assert_eq!(everything(&mut old), [None]);
            accepted
        });
        let mut new = MessagePort::new();
        MessagePort::entangle(&mut a, &mut new).unwrap();
        assert_eq!(new.post_message(numbered(2)), Posted::Queued);
        drop(new);
        let seen = everything(&mut a);
        let expected = [Some(1), Some(2), None];
        let accepted = posting.join().unwrap();
        assert_eq!(seen, expected[usize::from(!accepted)..]);
    });
}

#[test]
fn two_threads_that_close_one_circle_together_leave_nothing() {
    model(|| {
        let (a, mut a_out) = channel();
        let (b, mut b_out) = channel();
        let other = thread::spawn(move || {
            let posted = b_out.post_message(carrying(a));
            (posted, b_out)
        });
        let first = a_out.post_message(carrying(b));
        let (second, returned) = other.join().unwrap();
        b_out = returned;
        assert!(matches!(
            (first, second),
            (Posted::Queued, Posted::Doomed) | (Posted::Doomed, Posted::Queued)
        ));
        assert_eq!(everything(&mut a_out), [None]);
        assert_eq!(everything(&mut b_out), [None]);
    });
}

#[test]
fn a_port_that_is_unpacked_during_the_walk_above_it_is_no_circle() {
    model(|| {
        // `inner` travels in the queue of `outer`. One thread takes it out; the other posts to it
        // a port that has a port in its own queue, so that the holders above are walked.
        let (mut outer, outer_writer) = channel();
        let (inner, inner_writer) = channel();
        assert_eq!(outer_writer.post_message(carrying(inner)), Posted::Queued);
        let (nested, nested_writer) = channel();
        let (deepest, deepest_writer) = channel();
        assert_eq!(
            nested_writer.post_message(carrying(deepest)),
            Posted::Queued
        );
        let posting = thread::spawn(move || {
            assert_eq!(inner_writer.post_message(carrying(nested)), Posted::Queued);
        });
        outer.start();
        let Some(Event::Message(mut message)) = outer.recv_blocking() else {
            panic!("the port is missing")
        };
        let mut inner = received(&mut message);
        inner.start();
        let Some(Event::Message(mut message)) = inner.recv_blocking() else {
            panic!("the post is missing")
        };
        let mut nested = received(&mut message);
        nested.start();
        assert!(matches!(nested.recv_blocking(), Some(Event::Message(_))));
        posting.join().unwrap();
        drop((outer_writer, nested_writer, deepest_writer));
    });
}

#[test]
fn a_queue_that_is_dropped_while_it_is_posted_to_closes_what_it_held() {
    model(|| {
        let (writer, port) = channel();
        let (carried, mut partner) = channel();
        let dropping = thread::spawn(move || drop(port));
        // Queued and then destroyed with the queue, or refused: the port goes either way.
        let posted = writer.post_message(carrying(carried));
        assert!(matches!(posted, Posted::Queued | Posted::NotEntangled));
        assert_eq!(everything(&mut partner), [None]);
        dropping.join().unwrap();
    });
}

#[test]
fn a_port_that_was_never_started_hears_the_close_while_it_blocks() {
    model(|| {
        let (a, mut b) = channel();
        let other = thread::spawn(move || drop(a));
        assert!(matches!(b.recv_blocking(), Some(Event::Close)));
        assert!(b.recv_blocking().is_none());
        other.join().unwrap();
    });
}

#[test]
fn a_receiver_that_takes_all_when_it_is_called_misses_nothing() {
    model(|| {
        let (a, mut b) = channel();
        b.start();
        let called = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&called);
        b.on_ready(move || {
            count.fetch_add(1, SeqCst);
        });
        let posting = thread::spawn(move || {
            a.post_message(numbered(1));
            a.post_message(numbered(2));
            a
        });
        let mut seen = 0;
        let mut before;
        loop {
            before = called.load(SeqCst);
            match b.try_recv() {
                Ok(_) => seen += 1,
                Err(_) => break,
            }
        }
        let a = posting.join().unwrap();
        // What came after nothing was found was announced.
        assert!(seen == 2 || called.load(SeqCst) > before);
        while b.try_recv().is_ok() {
            seen += 1;
        }
        assert_eq!(seen, 2);
        drop(a);
    });
}

#[test]
fn a_port_that_is_posted_while_its_holder_is_entangled_anew_still_closes_a_circle() {
    model(|| {
        let (mut a, old) = channel();
        let (inner, inner_writer) = channel();
        let posting = thread::spawn(move || old.post_message(carrying(inner)));
        let mut new = MessagePort::new();
        MessagePort::entangle(&mut a, &mut new).unwrap();
        let expected = match posting.join().unwrap() {
            Posted::Queued => Posted::Doomed,
            _ => Posted::NotEntangled,
        };
        assert_eq!(inner_writer.post_message(carrying(a)), expected);
        assert_eq!(everything(&mut new), [None]);
    });
}

#[test]
fn a_port_that_is_posted_into_a_queue_while_that_is_read_and_put_back_is_there() {
    model(|| {
        let (writer, mut port) = channel();
        let (first, first_writer) = channel();
        let (second, second_writer) = channel();
        port.start();
        assert_eq!(writer.post_message(carrying(first)), Posted::Queued);
        let posting = thread::spawn(move || writer.post_message(carrying(second)));
        let Some(event) = port.recv_blocking() else {
            panic!("the port is missing")
        };
        port.put_back(vec![event]);
        assert_eq!(posting.join().unwrap(), Posted::Queued);
        // Both travel in the queue of `port`, so a post of `port` to either is doomed.
        assert_eq!(first_writer.post_message(carrying(port)), Posted::Doomed);
        drop(second_writer);
    });
}

#[test]
fn both_ends_dropped_at_once_close_what_travelled_in_the_queue_of_each() {
    model(|| {
        let (a, b) = channel();
        let (to_b, mut far_of_b) = channel();
        let (to_a, mut far_of_a) = channel();
        assert_eq!(a.post_message(carrying(to_b)), Posted::Queued);
        assert_eq!(b.post_message(carrying(to_a)), Posted::Queued);
        let other = thread::spawn(move || drop(a));
        drop(b);
        assert_eq!(everything(&mut far_of_b), [None]);
        assert_eq!(everything(&mut far_of_a), [None]);
        other.join().unwrap();
    });
}
