//! When a receiver is told that there is something: wakers, callbacks, blocking.

#[path = "readiness/callbacks.rs"]
mod callbacks;
#[path = "readiness/panics.rs"]
mod panics;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
fn a_port_that_is_lost_in_queues_wakes_its_partner() {
    let (mut a, b) = channel();
    let (carrier, inner) = channel();
    let (outer_carrier, outer) = channel();
    carrier.post_message(Message::default().with_port(b.transfer().unwrap()));
    outer_carrier.post_message(Message::default().with_port(inner.transfer().unwrap()));
    let (woken, waker) = counter();
    assert!(poll(&mut a, &waker).is_pending());
    drop(outer);
    assert_eq!(woken.now(), 1);
    assert!(matches!(
        poll(&mut a, &waker),
        Poll::Ready(Some(Event::Close))
    ));
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
fn a_batch_has_all_that_is_there_up_to_its_limit() {
    let (a, mut b) = channel();
    b.start();
    for _ in 0..8 {
        a.post_message(Message::default());
    }
    let (woken, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    let mut events = Vec::new();
    assert_eq!(b.recv_many_blocking(&mut events, 3), 3);
    assert_eq!(b.poll_recv_many(&mut cx, &mut events, 2), Poll::Ready(2));
    assert_eq!(b.poll_recv_many(&mut cx, &mut events, 0), Poll::Ready(1));
    {
        let mut receive = pin!(b.recv_many(&mut events, 9));
        assert_eq!(receive.as_mut().poll(&mut cx), Poll::Ready(2));
    }
    assert_eq!(events.len(), 8, "each is appended");
    assert!(b.poll_recv_many(&mut cx, &mut events, 9).is_pending());
    drop(a);
    assert_eq!(woken.now(), 1);
    assert_eq!(b.poll_recv_many(&mut cx, &mut events, 9), Poll::Ready(1));
    assert_eq!(b.poll_recv_many(&mut cx, &mut events, 9), Poll::Ready(0));
    assert_eq!(b.recv_many_blocking(&mut events, 9), 0);
    assert!(matches!(events.last(), Some(Event::Close)));
}

#[test]
fn an_emptied_port_says_empty_and_not_closed() {
    let (a, mut b) = channel();
    b.start();
    a.post_message(Message::default());
    assert!(b.try_recv().is_ok());
    assert_eq!(b.try_recv().unwrap_err(), TryRecvError::Empty);
}
