//! The driver: ports over streams that tokio reads and writes, and what becomes of them when a
//! stream ends, a peer speaks garbage, or nobody reads.

#![expect(clippy::unwrap_used, reason = "a test that gets nothing has failed")]

#[path = "driver/faulty.rs"]
mod faulty;
#[path = "driver/floods.rs"]
mod floods;
#[path = "driver/hosts.rs"]
mod hosts;
#[path = "driver/streams.rs"]
mod streams;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use message_port::driver::{self, Introduction, Links};
use message_port::node::{Limits, LinkError, LinkId, LinkKind, Token};
use message_port::{Event, Message, MessageChannel, MessagePort};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

const INITIATOR: LinkKind = LinkKind::Trusted { initiator: true };
const RESPONDER: LinkKind = LinkKind::Trusted { initiator: false };

/// A node whose driver runs on this runtime.
fn node() -> Links {
    node_with(Limits::default(), driver::refuse)
}

fn node_with(limits: Limits, introduce: impl FnMut(Introduction) + Send + 'static) -> Links {
    let (links, driver) = driver::new(limits, introduce);
    drop(tokio::spawn(driver));
    links
}

/// A trusted link between two nodes: its names and first ports.
async fn connect(a: &Links, b: &Links) -> ((LinkId, MessagePort), (LinkId, MessagePort)) {
    let (ours, theirs) = duplex(16 * 1024);
    let (here, there) = (a.open(ours, INITIATOR), b.open(theirs, RESPONDER));
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    let first = (here.link, here.port.unwrap());
    (first, (there.link, there.port.unwrap()))
}

/// The next event; that it does not come, of a thing that has failed, is said by name.
async fn event(port: &mut MessagePort) -> Option<Event> {
    port.start();
    let event = tokio::time::timeout(Duration::from_secs(60), port.recv());
    event.await.expect("it hangs")
}

async fn next(port: &mut MessagePort) -> Message {
    match event(port).await {
        Some(Event::Message(message)) => message,
        other => panic!("a message was due, not {other:?}"),
    }
}

async fn closed(port: &mut MessagePort) {
    let event = event(port).await;
    assert!(matches!(event, Some(Event::Close)), "{event:?}");
}

#[tokio::test]
async fn ten_thousand_messages_arrive_in_order_through_a_small_pipe() {
    let (a, b) = (node(), node());
    let ((_, here), (_, mut there)) = connect(&a, &b).await;
    for number in 0..10_000_u32 {
        here.post_message(Message::new(Bytes::copy_from_slice(&number.to_be_bytes())));
    }
    for number in 0..10_000_u32 {
        assert_eq!(next(&mut there).await.payload, number.to_be_bytes()[..]);
    }
}

#[tokio::test]
async fn a_port_that_moved_twice_still_speaks_to_its_partner() {
    let (hub, left, right) = (node(), node(), node());
    let ((_, mut to_left), (_, from_hub)) = connect(&hub, &left).await;
    let ((_, to_right), (_, mut right_port)) = connect(&hub, &right).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    from_hub.post_message(Message::new("").with_port(port2.transfer().unwrap()));
    port1.post_message(Message::new("posted before the second move"));
    let mut moved = next(&mut to_left).await;
    to_right.post_message(Message::new("").with_port(moved.ports.remove(0)));
    let mut far = next(&mut right_port).await.ports.remove(0).receive();
    assert_eq!(
        next(&mut far).await.payload,
        "posted before the second move"
    );
    far.post_message(Message::new("and back"));
    let mut port1 = port1;
    assert_eq!(next(&mut port1).await.payload, "and back");
    drop(port1);
    closed(&mut far).await;
}

#[tokio::test]
async fn an_arranged_introduction_takes_the_broker_out_of_the_way() {
    let asked: Arc<Mutex<Vec<Introduction>>> = Arc::default();
    let waiting = Arc::clone(&asked);
    let hub = node_with(Limits::default(), move |introduction| {
        waiting.lock().unwrap().push(introduction);
    });
    let (left, right) = (node(), node());
    let ((left_link, to_left), (_, mut left_port)) = connect(&hub, &left).await;
    let ((_, to_right), (_, mut right_port)) = connect(&hub, &right).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    to_left.post_message(Message::new("").with_port(port1.transfer().unwrap()));
    to_right.post_message(Message::new("").with_port(port2.transfer().unwrap()));
    let one = next(&mut left_port).await.ports.remove(0).receive();
    let mut other = next(&mut right_port).await.ports.remove(0).receive();

    let introduction = loop {
        tokio::task::yield_now().await;
        if let Some(introduction) = asked.lock().unwrap().pop() {
            break introduction;
        }
    };
    let (first, second) = duplex(16 * 1024);
    let tokens = [Token(1), Token(2)];
    let left_is_first = introduction.links()[0] == left_link;
    let (left_token, right_token) = if left_is_first { (1, 2) } else { (2, 1) };
    introduction.arrange(tokens);
    let introduced = |token| LinkKind::Introduced {
        token: Token(token),
    };
    let up = left.open(first, introduced(left_token));
    let other_up = right.open(second, introduced(right_token));
    assert!(up.await.unwrap().port.is_none());
    assert!(other_up.await.unwrap().port.is_none());
    for number in 0..100_u8 {
        one.post_message(Message::new(vec![number]));
        assert_eq!(next(&mut other).await.payload[..], [number]);
    }
    while hub.census().await.unwrap().stubs > 0 {
        one.post_message(Message::new("still going"));
        assert_eq!(next(&mut other).await.payload, "still going");
    }
    // The broker may go now.
    drop((hub, to_left, to_right));
    one.post_message(Message::new("without the broker"));
    assert_eq!(next(&mut other).await.payload, "without the broker");
}

#[tokio::test]
async fn a_long_message_does_not_hold_up_a_short_one() {
    let (a, b) = (node(), node());
    let ((_, here), (_, mut there)) = connect(&a, &b).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    here.post_message(Message::new("").with_port(port2.transfer().unwrap()));
    let mut other = next(&mut there).await.ports.remove(0).receive();
    here.post_message(Message::new(vec![1; 64 * 1024 * 1024]));
    port1.post_message(Message::new("short"));
    assert_eq!(next(&mut other).await.payload, "short");
    there.start();
    assert!(there.try_recv().is_err(), "the long one came first");
    assert_eq!(next(&mut there).await.payload.len(), 64 * 1024 * 1024);
}

#[tokio::test]
async fn a_stream_that_ends_closes_its_ports_after_their_last_message() {
    let (a, b) = (node(), node());
    let ((link, here), (_, mut there)) = connect(&a, &b).await;
    here.post_message(Message::new("last words"));
    a.flushed().await;
    a.close(link);
    let mut here = here;
    assert_eq!(next(&mut there).await.payload, "last words");
    closed(&mut there).await;
    closed(&mut here).await;
}

#[tokio::test]
async fn garbage_closes_that_link_with_its_name_and_no_other() {
    let (a, b) = (node(), node());
    let ((_, here), (_, mut there)) = connect(&a, &b).await;
    let (ours, mut liar) = duplex(1024);
    let opening = a.open(ours, INITIATOR);
    liar.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(opening.await.unwrap_err(), LinkError::Garbage);
    here.post_message(Message::new("unharmed"));
    assert_eq!(next(&mut there).await.payload, "unharmed");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_greets_is_given_up() {
    let a = node();
    let (ours, _silent) = duplex(1024);
    let error = a.open(ours, INITIATOR).await.unwrap_err();
    assert_eq!(error, LinkError::HelloTimeout(Duration::from_secs(10)));
}

#[tokio::test]
async fn a_flooded_port_stalls_neither_memory_nor_its_neighbour() {
    let (a, b) = (node(), node());
    let ((_, here), (_, mut there)) = connect(&a, &b).await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    here.post_message(Message::new("").with_port(port2.transfer().unwrap()));
    let mut neighbour = next(&mut there).await.ports.remove(0).receive();
    // Thirty times the window, and nobody receives it.
    for _ in 0..3_000 {
        here.post_message(Message::new(vec![0; 10_000]));
    }
    for number in 0..100_u8 {
        port1.post_message(Message::new(vec![number]));
        assert_eq!(next(&mut neighbour).await.payload[..], [number]);
    }
    // `flushed` does not wait for what credit holds back.
    a.flushed().await;
    for _ in 0..3_000 {
        assert_eq!(next(&mut there).await.payload.len(), 10_000);
    }
}

#[tokio::test]
async fn a_driver_ends_when_its_handles_and_links_are_gone() {
    let (links, driver) = driver::new(Limits::default(), driver::refuse);
    let running = tokio::spawn(driver);
    let (ours, theirs) = duplex(1024);
    let opening = links.open(ours, INITIATOR);
    drop(links);
    drop(theirs);
    assert_eq!(opening.await.unwrap_err(), LinkError::Lost);
    running.await.unwrap();
}

#[tokio::test]
async fn a_driver_that_is_dropped_closes_its_ports_and_answers_nobody() {
    let (a, driver) = driver::new(Limits::default(), driver::refuse);
    let running = tokio::spawn(driver);
    let b = node();
    let ((_, mut here), (_, mut there)) = connect(&a, &b).await;
    running.abort();
    closed(&mut there).await;
    closed(&mut here).await;
    assert!(a.census().await.is_none());
    a.flushed().await;
    let (ours, _theirs) = duplex(1024);
    assert_eq!(a.open(ours, INITIATOR).await.unwrap_err(), LinkError::Lost);
}

/// Counts the calls that a write costs, and takes a few bytes at a time if told so.
struct Counted {
    stream: DuplexStream,
    calls: Arc<AtomicUsize>,
    most: usize,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let most = self.most.min(bytes.len());
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..most])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
        self.as_mut().poll_write(cx, &slices.concat())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Posts so many messages of a length at once over a stream that takes so many bytes in a call;
/// how many calls it took.
async fn calls_for(messages: u16, length: usize, most: usize) -> usize {
    let (a, b) = (node(), node());
    let (stream, theirs) = duplex(1024 * 1024);
    let calls = Arc::new(AtomicUsize::new(0));
    let ours = Counted {
        stream,
        calls: Arc::clone(&calls),
        most,
    };
    let (here, there) = (a.open(ours, INITIATOR), b.open(theirs, RESPONDER));
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    let (here, mut there) = (here.port.unwrap(), there.port.unwrap());
    a.flushed().await;
    let before = calls.load(Ordering::Relaxed);
    let payload = |number: u16| {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(length, 7);
        payload
    };
    for number in 0..messages {
        here.post_message(Message::new(payload(number)));
    }
    for number in 0..messages {
        assert_eq!(next(&mut there).await.payload, payload(number));
    }
    calls.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn what_was_posted_together_leaves_together() {
    let calls = calls_for(1_000, 2, usize::MAX).await;
    assert!(calls <= 4, "{calls} writes for a thousand short messages");
}

#[tokio::test]
async fn long_payloads_leave_in_one_call_with_what_is_between_them() {
    let calls = calls_for(12, 16 * 1024, usize::MAX).await;
    assert!(calls <= 4, "{calls} writes for a dozen long messages");
    // And are put together again where they were cut.
    let calls = calls_for(12, 16 * 1024, 1_000).await;
    assert!(calls > 192, "{calls}");
}

#[tokio::test]
async fn a_stream_that_takes_seven_bytes_at_a_time_loses_none() {
    let calls = calls_for(1_000, 2, 7).await;
    assert!(calls > 1_000, "{calls}");
}
