//! What the host does: it answers late or never, drops what it was given, polls from elsewhere.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use message_port::driver::{self, Introduction, Links};
use message_port::node::Limits;
use message_port::{Event, Message, MessageChannel, MessagePort};
use tokio::io::duplex;

use super::{INITIATOR, RESPONDER, closed, connect, event, next, node, node_with};

/// A hub with two nodes, and a pair of ports whose ends are at either of them. The first ports of
/// the links come last.
async fn apart(hub: &Links) -> (MessagePort, MessagePort, Vec<MessagePort>) {
    let (left, right) = (node(), node());
    let ((_, to_left), (_, mut left_port)) = connect(hub, &left).await;
    let ((_, to_right), (_, mut right_port)) = connect(hub, &right).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    to_left.post_message(Message::new("").with_port(port1.transfer().unwrap()));
    to_right.post_message(Message::new("").with_port(port2.transfer().unwrap()));
    let one = next(&mut left_port).await.ports.remove(0).receive();
    let other = next(&mut right_port).await.ports.remove(0).receive();
    let firsts = vec![to_left, left_port, to_right, right_port];
    (one, other, firsts)
}

async fn speak(one: &mut MessagePort, other: &mut MessagePort) {
    for number in 0..50_u8 {
        one.post_message(Message::new(vec![number]));
        assert_eq!(next(other).await.payload[..], [number]);
        other.post_message(Message::new(vec![number]));
        assert_eq!(next(one).await.payload[..], [number]);
    }
}

#[tokio::test]
async fn an_introduction_that_is_never_answered_is_relayed() {
    let kept: Arc<Mutex<Vec<Introduction>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let hub = node_with(Limits::default(), move |introduction| {
        keep.lock().unwrap().push(introduction);
    });
    let (mut one, mut other, _firsts) = apart(&hub).await;
    speak(&mut one, &mut other).await;
    assert_eq!(kept.lock().unwrap().len(), 1, "asked once");
    assert_eq!(hub.census().await.unwrap().stubs, 1);
    drop(one);
    closed(&mut other).await;
    assert_eq!(hub.census().await.unwrap().stubs, 0);
    // The answer comes when nobody needs it, and then when nobody is there.
    let late = kept.lock().unwrap().pop().unwrap();
    late.refuse();
    assert!(hub.census().await.is_some());
}

#[tokio::test]
async fn an_introduction_that_is_dropped_is_refused() {
    let hub = node_with(Limits::default(), drop);
    let (mut one, mut other, _firsts) = apart(&hub).await;
    speak(&mut one, &mut other).await;
    assert_eq!(hub.census().await.unwrap().stubs, 1);
}

#[tokio::test]
async fn refused_introductions_leave_room_for_others() {
    // More than a node keeps in mind for one peer at a time.
    const PAIRS: usize = 4_200;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let hub = node_with(Limits::default(), move |introduction| {
        counted.fetch_add(1, Ordering::Relaxed);
        drop(introduction);
    });
    let (left, right) = (node(), node());
    let ((_, to_left), (_, mut left_port)) = connect(&hub, &left).await;
    let mut kept = Vec::new();
    for _ in 0..PAIRS {
        let ((_, to_right), right_port) = connect(&hub, &right).await;
        let MessageChannel { port1, port2 } = MessageChannel::new();
        to_left.post_message(Message::new("").with_port(port1.transfer().unwrap()));
        to_right.post_message(Message::new("").with_port(port2.transfer().unwrap()));
        kept.push((to_right, right_port, next(&mut left_port).await));
    }
    hub.flushed().await;
    assert!(hub.census().await.is_some());
    assert_eq!(asked.load(Ordering::Relaxed), PAIRS);
}

#[tokio::test]
async fn links_go_on_after_the_last_handle_was_dropped() {
    let (a, a_driver) = driver::new(Limits::default(), driver::refuse);
    let (b, b_driver) = driver::new(Limits::default(), driver::refuse);
    let (a_runs, b_runs) = (tokio::spawn(a_driver), tokio::spawn(b_driver));
    let ((_, mut here), (there_link, mut there)) = connect(&a, &b).await;
    drop(a);
    speak(&mut here, &mut there).await;
    assert!(!a_runs.is_finished());
    b.close(there_link);
    closed(&mut here).await;
    a_runs.await.unwrap();
    assert!(!b_runs.is_finished());
    drop(b);
    b_runs.await.unwrap();
}

#[tokio::test]
async fn an_opening_that_nobody_awaits_leaves_a_link_whose_first_port_is_closed() {
    let (a, b) = (node(), node());
    let (ours, theirs) = duplex(1024);
    let opening = a.open(ours, INITIATOR);
    let link = opening.link();
    drop(opening);
    let there = b.open(theirs, RESPONDER).await.unwrap();
    closed(&mut there.port.unwrap()).await;
    assert_eq!(a.census().await.unwrap().links, 1);
    a.close(link);
    there.ended.await;
    assert_eq!(a.census().await.unwrap().links, 0);
}

/// A waker that owns a handle, so that dropping it is something that the driver hears of.
struct Owns(#[expect(dead_code, reason = "it is dropped")] Links);

impl Wake for Owns {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_driver_that_changes_tasks_drops_the_old_waker_with_no_lock_held() {
    let (links, driver) = driver::new(Limits::default(), driver::refuse);
    let mut driver = pin!(driver);
    let waker = Waker::from(Arc::new(Owns(links)));
    assert!(
        driver
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    // The driver has the last one: it hears of the end while it takes another.
    drop(waker);
    let mut cx = Context::from_waker(Waker::noop());
    while driver.as_mut().poll(&mut cx).is_pending() {}
}

#[tokio::test]
async fn a_driver_that_changes_tasks_wakes_the_new_one() {
    let (a, driver) = driver::new(Limits::default(), driver::refuse);
    let mut driver = Box::pin(driver);
    // Polled once by somebody who loses interest.
    let once = driver
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(once, Poll::Pending));
    drop(tokio::spawn(driver));
    let b = node();
    let ((_, mut here), (_, mut there)) = connect(&a, &b).await;
    speak(&mut here, &mut there).await;
}

#[tokio::test]
async fn ports_are_posted_from_many_threads_at_once() {
    const EACH: u32 = 2_000;
    let (a, b) = (node(), node());
    let ((_, here), (_, mut from_here)) = connect(&a, &b).await;
    let (mut theirs, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        here.post_message(Message::new("").with_port(port2.transfer().unwrap()));
        theirs.push(next(&mut from_here).await.ports.remove(0).receive());
        threads.push(std::thread::spawn(move || {
            for number in 0..EACH {
                port1.post_message(Message::new(number.to_be_bytes().to_vec()));
            }
        }));
    }
    for port in &mut theirs {
        for number in 0..EACH {
            assert_eq!(next(port).await.payload, number.to_be_bytes()[..]);
        }
        assert!(matches!(port.recv().await, Some(Event::Close)));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drivers_on_several_threads_miss_no_wake() {
    let (a, b) = (node(), node());
    let ((_, here), (_, mut there)) = connect(&a, &b).await;
    let mut games = Vec::new();
    for _ in 0..3 {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        here.post_message(Message::new("").with_port(port2.transfer().unwrap()));
        let mut far = next(&mut there).await.ports.remove(0).receive();
        games.push(tokio::spawn(async move {
            while let Some(Event::Message(message)) = event(&mut far).await {
                far.post_message(message);
            }
        }));
        games.push(tokio::spawn(async move {
            let mut near = port1;
            for number in 0..1_000_u32 {
                near.post_message(Message::new(number.to_be_bytes().to_vec()));
                assert_eq!(next(&mut near).await.payload, number.to_be_bytes()[..]);
            }
        }));
    }
    for game in games {
        game.await.unwrap();
    }
}

#[cfg(unix)]
#[test]
fn the_last_words_of_a_peer_that_goes_are_heard_by_one_that_is_speaking() {
    use std::os::unix::net::UnixStream as StdStream;
    use tokio::net::UnixStream;

    /// Runs in a runtime of its own, as in a process of its own.
    fn run<T>(stream: StdStream, play: impl AsyncFnOnce(Links, UnixStream) -> T) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            stream.set_nonblocking(true).unwrap();
            play(node(), UnixStream::from_std(stream).unwrap()).await
        })
    }

    for round in 0..200 {
        let (ours, theirs) = StdStream::pair().unwrap();
        let goes = std::thread::spawn(move || {
            run(theirs, async |links, stream| {
                let opened = links.open(stream, RESPONDER).await.unwrap();
                let mut port = opened.port.unwrap();
                next(&mut port).await;
                port.post_message(Message::new("last words"));
                links.flushed().await;
                links.close(opened.link);
                opened.ended.await;
            });
        });
        run(ours, async |links, stream| {
            let mut port = links.open(stream, INITIATOR).await.unwrap().port.unwrap();
            port.start();
            loop {
                // A write will fail at some time, before or after the last words are read.
                port.post_message(Message::new("a question"));
                tokio::task::yield_now().await;
                match port.try_recv() {
                    Ok(Event::Message(message)) => break assert_eq!(message.payload, "last words"),
                    Ok(Event::Close) => panic!("round {round}: closed before the last words"),
                    Err(_) => {}
                }
            }
            closed(&mut port).await;
        });
        goes.join().unwrap();
    }
}
