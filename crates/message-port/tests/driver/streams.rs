//! Streams that misbehave: that break in the middle, hold back, or panic.

use std::time::Duration;

use message_port::driver::{self, Links};
use message_port::node::{Limits, LinkError, LinkId};
use message_port::{Event, Message, MessagePort};
use tokio::io::duplex;

use super::faulty::{Control, Cut};
use super::{INITIATOR, RESPONDER, closed, connect, next, node};

/// A link from `a` to `b` whose stream is faulty at `a`'s side.
async fn connect_by(
    control: &Control,
    a: &Links,
    b: &Links,
) -> ((LinkId, MessagePort), (LinkId, MessagePort)) {
    let (ours, theirs) = control.stream(64 * 1024);
    let (here, there) = (a.open(ours, INITIATOR), b.open(theirs, RESPONDER));
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    let first = (here.link, here.port.unwrap());
    (first, (there.link, there.port.unwrap()))
}

#[tokio::test]
async fn what_came_before_a_write_failed_is_delivered_before_the_close() {
    let (a, b) = (node(), node());
    let control = Control::default();
    let ((_, mut here), (there_link, there)) = connect_by(&control, &a, &b).await;
    control.set(|faults| {
        faults.hold_reads = true;
        faults.fail_writes = true;
    });
    there.post_message(Message::new("last words"));
    b.flushed().await;
    b.close(there_link);
    // A write fails, as to a process that has gone, before its last words are read.
    here.post_message(Message::new("too late"));
    a.flushed().await;
    control.set(|faults| faults.hold_reads = false);
    assert_eq!(next(&mut here).await.payload, "last words");
    closed(&mut here).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_no_more_and_never_ends_is_given_up() {
    let (a, b) = (node(), node());
    let control = Control::default();
    let ((_, mut here), _there) = connect_by(&control, &a, &b).await;
    a.flushed().await;
    control.set(|faults| faults.fail_writes = true);
    for _ in 0..5 {
        here.post_message(Message::new("to nobody"));
        a.flushed().await;
    }
    closed(&mut here).await;
    assert_eq!(a.census().await.unwrap().links, 0);
    assert_eq!(control.faults().failed, 1, "it was asked again");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_one_link_is_not_that_of_another() {
    let (a, b) = (node(), node());
    let control = Control::default();
    let ((_, mut here), (_, there)) = connect_by(&control, &a, &b).await;
    let (silent, _other) = duplex(1024);
    let silent = a.open(silent, INITIATOR);
    assert_eq!(a.census().await.unwrap().links, 2);
    let opened = tokio::time::Instant::now();
    tokio::time::advance(Duration::from_millis(9_500)).await;
    control.set(|faults| {
        faults.hold_reads = true;
        faults.fail_writes = true;
    });
    there.post_message(Message::new("in time"));
    here.post_message(Message::new("to nobody"));
    a.flushed().await;
    // The silent one is given up first, and the other is still read to its end then.
    assert!(silent.await.is_err());
    assert_eq!(opened.elapsed().as_secs(), 10);
    assert!(opened.elapsed() < Duration::from_millis(10_400));
    control.set(|faults| faults.hold_reads = false);
    assert_eq!(next(&mut here).await.payload, "in time");
    closed(&mut here).await;
    assert!(opened.elapsed() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_no_byte_is_given_up() {
    let (a, b) = (node(), node());
    let control = Control::default();
    let ((_, mut here), _there) = connect_by(&control, &a, &b).await;
    control.set(|faults| faults.take_nothing = true);
    here.post_message(Message::new("to nobody"));
    closed(&mut here).await;
}

#[tokio::test]
async fn a_stream_cut_after_any_byte_delivers_what_was_whole_and_one_close() {
    const MESSAGES: usize = 6;
    let mut whole = usize::MAX;
    let mut delivered = [0; MESSAGES + 1];
    let mut at = 0;
    while at <= whole {
        for cut in [Cut::End, Cut::Error] {
            let (a, b) = (node(), node());
            let control = Control::default();
            control.set(|faults| faults.cut = Some((at, cut)));
            let (ours, theirs) = control.stream(64 * 1024);
            let (here, there) = (a.open(ours, INITIATOR), b.open(theirs, RESPONDER));
            // (If the greeting is cut, the other side may hear of the end before it is up.)
            let there = there.await.ok().and_then(|there| there.port);
            for number in 0..MESSAGES {
                if let Some(there) = &there {
                    there.post_message(Message::new(vec![7; 10 * number]));
                }
            }
            b.flushed().await;
            match here.await {
                Err(error) => assert_eq!(error, LinkError::Lost, "cut after {at}"),
                Ok(here) => {
                    let mut port = here.port.unwrap();
                    port.start();
                    let mut count = 0;
                    while let Some(Event::Message(message)) = port.recv().await {
                        assert_eq!(message.payload.len(), 10 * count, "cut after {at}");
                        count += 1;
                    }
                    delivered[count] += 1;
                    assert_eq!(here.ended.await, LinkError::Lost);
                    assert!(port.recv().await.is_none(), "a second close");
                }
            }
            assert_eq!(a.census().await.unwrap(), Default::default());
        }
        if at == 0 {
            whole = length_of(MESSAGES).await;
        }
        at += 1;
    }
    assert!(delivered.iter().all(|times| *times > 0), "{delivered:?}");
}

/// How many bytes a greeting and so many messages are.
async fn length_of(messages: usize) -> usize {
    let (a, b) = (node(), node());
    let control = Control::default();
    let ((_, mut here), (_, there)) = connect_by(&control, &a, &b).await;
    for number in 0..messages {
        there.post_message(Message::new(vec![7; 10 * number]));
        next(&mut here).await;
    }
    control.faults().read
}

#[tokio::test]
async fn a_stream_that_gives_a_byte_at_a_time_is_understood() {
    let (a, b) = (node(), node());
    let control = Control::default();
    control.set(|faults| faults.most = Some(1));
    let ((_, mut here), (_, there)) = connect_by(&control, &a, &b).await;
    for number in 0..200_u8 {
        there.post_message(Message::new(vec![number; 40]));
    }
    for number in 0..200_u8 {
        assert_eq!(next(&mut here).await.payload[..], [number; 40]);
    }
}

#[tokio::test]
async fn a_stream_that_puts_off_what_it_is_asked_is_asked_again() {
    let (a, b) = (node(), node());
    let control = Control::default();
    control.set(|faults| faults.put_off = true);
    let ((_, mut here), (_, mut there)) = connect_by(&control, &a, &b).await;
    for number in 0..50_u8 {
        there.post_message(Message::new(vec![number]));
        assert_eq!(next(&mut here).await.payload[..], [number]);
        here.post_message(Message::new(vec![number]));
        assert_eq!(next(&mut there).await.payload[..], [number]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_nothing_at_all_is_given_up_and_hinders_nobody() {
    let (a, b) = (node(), node());
    let control = Control::default();
    control.set(|faults| {
        faults.hold_reads = true;
        faults.hold_writes = true;
    });
    let (stuck, _other) = control.stream(1024);
    let opening = a.open(stuck, INITIATOR);
    let ((_, here), (_, mut there)) = connect(&a, &b).await;
    for number in 0..100_u8 {
        here.post_message(Message::new(vec![number]));
        assert_eq!(next(&mut there).await.payload[..], [number]);
    }
    let error = opening.await.unwrap_err();
    assert_eq!(error, LinkError::HelloTimeout(Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn each_of_several_silent_links_is_given_up_in_its_time() {
    let a = node();
    let (first, _one) = duplex(1024);
    let first = a.open(first, INITIATOR);
    assert_eq!(a.census().await.unwrap().links, 1);
    tokio::time::advance(Duration::from_secs(6)).await;
    let (second, _two) = duplex(1024);
    let second = a.open(second, INITIATOR);
    let opened = tokio::time::Instant::now();
    assert!(first.await.is_err());
    assert_eq!(opened.elapsed().as_secs(), 4);
    assert!(second.await.is_err());
    assert_eq!(opened.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn flushed_waits_for_the_stream_to_be_flushed_too() {
    let (a, b) = (node(), node());
    let control = Control::default();
    let ((_, here), (_, mut there)) = connect_by(&control, &a, &b).await;
    a.flushed().await;
    control.set(|faults| faults.hold_flush = true);
    here.post_message(Message::new("written, not flushed"));
    next(&mut there).await;
    let flushing = tokio::spawn({
        let a = a.clone();
        async move { a.flushed().await }
    });
    for _ in 0..20 {
        assert!(a.census().await.is_some());
    }
    assert!(!flushing.is_finished());
    control.set(|faults| faults.hold_flush = false);
    flushing.await.unwrap();
}

#[tokio::test]
async fn a_link_that_is_stuck_holds_up_the_flush_of_no_other() {
    let (a, b, c) = (node(), node(), node());
    let control = Control::default();
    let ((stuck, to_stuck), _b_end) = connect_by(&control, &a, &b).await;
    let ((free, to_free), (_, mut from_a)) = connect(&a, &c).await;
    control.set(|faults| faults.hold_writes = true);
    to_stuck.post_message(Message::new("held back"));
    to_free.post_message(Message::new("last words"));
    a.flushed_to(free).await;
    a.close(free);
    assert_eq!(next(&mut from_a).await.payload, "last words");
    closed(&mut from_a).await;
    // The stuck one is waited for until it is no more.
    let flushing = tokio::spawn({
        let a = a.clone();
        async move { a.flushed_to(stuck).await }
    });
    for _ in 0..20 {
        assert!(a.census().await.is_some());
    }
    assert!(!flushing.is_finished());
    a.close(stuck);
    flushing.await.unwrap();
    // There is nothing to wait for at a link that is gone.
    a.flushed_to(stuck).await;
}

#[tokio::test]
async fn links_that_are_never_idle_at_the_same_time_are_flushed() {
    let (a, b, c) = (node(), node(), node());
    let controls = [Control::default(), Control::default()];
    let ((_, to_b), _from_b) = connect_by(&controls[0], &a, &b).await;
    let ((_, to_c), _from_c) = connect_by(&controls[1], &a, &c).await;
    a.flushed().await;
    controls[0].set(|faults| faults.hold_writes = true);
    to_b.post_message(Message::new("one"));
    let flushing = tokio::spawn({
        let a = a.clone();
        async move { a.flushed().await }
    });
    // The other link was idle when it was asked, and is busy when the first one is done.
    assert!(a.census().await.is_some());
    controls[1].set(|faults| faults.hold_writes = true);
    to_c.post_message(Message::new("two"));
    assert!(a.census().await.is_some());
    controls[0].set(|faults| faults.hold_writes = false);
    flushing.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_panics_ends_its_node_as_a_process_that_dies() {
    let (a, driver) = driver::new(Limits::default(), driver::refuse);
    let running = tokio::spawn(driver);
    let (b, c) = (node(), node());
    let control = Control::default();
    let ((_, mut here), (_, mut there)) = connect_by(&control, &a, &b).await;
    let ((_, mut other), (_, mut far)) = connect(&a, &c).await;
    control.set(|faults| faults.panic = true);
    there.post_message(Message::new("read this"));
    assert!(running.await.unwrap_err().is_panic());
    for port in [&mut here, &mut there, &mut other, &mut far] {
        closed(port).await;
    }
    assert!(a.census().await.is_none());
}
