//! Two and more threads that post, receive, move and close at once: nothing lost, order kept.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use message_port::{Event, Message, MessageChannel, MessagePort, Posted, TransferredPort};

const MESSAGES: u64 = 50_000;

fn channel() -> (MessagePort, MessagePort) {
    MessageChannel::new().into()
}

fn numbered(number: u64) -> Message {
    Message::new(number.to_be_bytes().to_vec())
}

fn number_of(message: &Message) -> u64 {
    u64::from_be_bytes(message.payload[..].try_into().unwrap())
}

#[test]
fn two_threads_that_flood_each_other_get_everything_in_order() {
    let (a, b) = channel();
    let both_posted = Barrier::new(2);
    let run = |mut port: MessagePort| {
        port.start();
        let mut expected = 0;
        for number in 0..MESSAGES {
            assert_eq!(port.post_message(numbered(number)), Posted::Queued);
            if number % 3 == 0 {
                while let Ok(Event::Message(message)) = port.try_recv() {
                    assert_eq!(number_of(&message), expected);
                    expected += 1;
                }
            }
        }
        both_posted.wait();
        while expected < MESSAGES {
            match port.recv_blocking() {
                Some(Event::Message(message)) => assert_eq!(number_of(&message), expected),
                other => panic!("{other:?} before message {expected}"),
            }
            expected += 1;
        }
        both_posted.wait();
        port
    };
    let (mut a, b) = thread::scope(|scope| {
        let b = scope.spawn(|| run(b));
        (run(a), b.join().unwrap())
    });
    drop(b);
    assert!(matches!(a.recv_blocking(), Some(Event::Close)));
    assert!(a.recv_blocking().is_none());
}

#[test]
fn a_port_that_moves_while_it_is_posted_to_gets_everything_in_order() {
    // Two carrier threads hand the port back and forth, each taking a few messages.
    let (writer, port) = channel();
    let (left, right) = channel();
    left.post_message(Message::default().with_port(port.transfer().unwrap()));
    let expected = AtomicUsize::new(0);
    let carry = |mut home: MessagePort| {
        home.start();
        let mut hops = 0_u32;
        while let Some(Event::Message(mut message)) = home.recv_blocking() {
            let mut port = message.ports.pop().map(TransferredPort::receive).unwrap();
            port.start();
            for _ in 0..(hops % 7) {
                match port.try_recv() {
                    Ok(Event::Message(message)) => {
                        let next = expected.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(number_of(&message), u64::try_from(next).unwrap());
                    }
                    Ok(Event::Close) => return, // drops `home`: the other thread ends too
                    Err(_) => break,
                }
            }
            hops += 1;
            home.post_message(Message::default().with_port(port.transfer().unwrap()));
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| carry(left));
        scope.spawn(|| carry(right));
        for number in 0..MESSAGES {
            assert_eq!(writer.post_message(numbered(number)), Posted::Queued);
        }
        drop(writer);
    });
    assert_eq!(u64::try_from(expected.into_inner()).unwrap(), MESSAGES);
}

#[test]
fn several_threads_post_through_one_port_and_each_keeps_its_order() {
    const THREADS: u64 = 4;
    let (a, mut b) = channel();
    b.start();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let a = &a;
            scope.spawn(move || {
                for number in 0..MESSAGES / 4 {
                    a.post_message(numbered(number * THREADS + thread));
                }
            });
        }
        let mut next = [0; THREADS as usize];
        for _ in 0..THREADS * (MESSAGES / 4) {
            let Some(Event::Message(message)) = b.recv_blocking() else {
                panic!("ended early")
            };
            let number = number_of(&message);
            let thread = usize::try_from(number % THREADS).unwrap();
            assert_eq!(number / THREADS, next[thread]);
            next[thread] += 1;
        }
    });
}

#[test]
fn an_engine_that_drains_when_it_is_called_misses_nothing() {
    let (a, mut b) = channel();
    b.start();
    let (tasks, event_loop) = std::sync::mpsc::channel();
    b.on_ready(move || tasks.send(()).unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..MESSAGES {
                assert_eq!(a.post_message(numbered(number)), Posted::Queued);
            }
        });
        let mut expected = 0;
        let mut open = true;
        while open {
            event_loop.recv().unwrap();
            while let Ok(event) = b.try_recv() {
                match event {
                    Event::Message(message) => {
                        assert_eq!(number_of(&message), expected);
                        expected += 1;
                    }
                    Event::Close => open = false,
                }
            }
        }
        assert_eq!(expected, MESSAGES);
    });
}

#[test]
fn what_was_queued_before_a_new_entanglement_is_not_lost() {
    for _ in 0..500 {
        let (mut a, mut old) = channel();
        let mut new = MessagePort::new();
        a.start();
        let accepted = thread::scope(|scope| {
            let old = &mut old;
            let posting = scope.spawn(move || {
                let mut number = 0;
                while old.post_message(numbered(number)) == Posted::Queued {
                    number += 1;
                }
                assert!(matches!(old.try_recv(), Ok(Event::Close)));
                number
            });
            thread::yield_now();
            MessagePort::entangle(&mut a, &mut new).unwrap();
            posting.join().unwrap()
        });
        new.post_message(numbered(accepted));
        for number in 0..=accepted {
            let Ok(Event::Message(message)) = a.try_recv() else {
                panic!("{number} is lost")
            };
            assert_eq!(number_of(&message), number);
        }
        assert!(a.try_recv().is_err());
    }
}

#[test]
fn batches_bring_everything_in_order_and_keep_to_their_limit() {
    let (a, mut b) = channel();
    b.start();
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..MESSAGES {
                a.post_message(numbered(number));
            }
        });
        let mut events = Vec::new();
        let mut expected = 0;
        let mut closes = 0;
        loop {
            let count = b.recv_many_blocking(&mut events, 100);
            assert!(count == events.len() && count <= 100);
            if count == 0 {
                break;
            }
            for event in events.drain(..) {
                match event {
                    Event::Message(message) => {
                        assert_eq!(number_of(&message), expected);
                        expected += 1;
                    }
                    Event::Close => closes += 1,
                }
            }
        }
        assert_eq!((expected, closes), (MESSAGES, 1));
    });
}

#[test]
fn both_ends_closed_at_once_give_one_close_in_all() {
    let barrier = Barrier::new(2);
    for _ in 0..2_000 {
        let (a, b) = channel();
        let run = |mut port: MessagePort| {
            port.start();
            barrier.wait();
            port.close();
            barrier.wait();
            let mut closes = 0;
            while let Some(event) = port.recv_blocking() {
                closes += u32::from(matches!(event, Event::Close));
            }
            closes
        };
        let closes = thread::scope(|scope| {
            let b = scope.spawn(|| run(b));
            run(a) + b.join().unwrap()
        });
        assert_eq!(
            closes, 1,
            "the first to close is the initiator, the other hears of it"
        );
    }
}

#[test]
fn a_reply_port_in_every_message_brings_every_reply() {
    let (client, mut service) = channel();
    let answering = thread::spawn(move || {
        service.start();
        while let Some(Event::Message(mut message)) = service.recv_blocking() {
            let reply = message.ports.remove(0).receive();
            reply.post_message(Message::new(message.payload));
        }
    });
    for number in 0..2_000 {
        let (mut ours, theirs) = channel();
        ours.start();
        client.post_message(numbered(number).with_port(theirs.transfer().unwrap()));
        let Some(Event::Message(reply)) = ours.recv_blocking() else {
            panic!("no reply")
        };
        assert_eq!(number_of(&reply), number);
        assert!(matches!(ours.recv_blocking(), Some(Event::Close)));
    }
    drop(client);
    answering.join().unwrap();
}

#[test]
fn ports_in_a_dying_threads_locals_close() {
    use std::cell::RefCell;
    thread_local! {
        static KEPT: RefCell<Vec<MessagePort>> = const { RefCell::new(Vec::new()) };
    }
    let (mut a, b) = channel();
    let (c, d) = channel();
    c.post_message(Message::default().with_port(b.transfer().unwrap()));
    thread::spawn(move || KEPT.with_borrow_mut(|kept| kept.push(d)))
        .join()
        .unwrap();
    assert!(matches!(a.recv_blocking(), Some(Event::Close)));
}
