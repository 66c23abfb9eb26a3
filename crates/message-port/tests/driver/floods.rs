//! Streams that are never through: that always have more to read, or take all there is to write.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use message_port::node::LinkError;
use message_port::{Message, MessagePort};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{INITIATOR, connect, next, node};

/// A peer that has greeted, and says the same few bytes again and again from then on, so that there
/// is always something to read. It takes whatever is written.
struct Flood {
    greeting: Vec<u8>,
    wakes: bool,
    reads: Arc<AtomicUsize>,
    most: usize,
}

/// `MPrt`, the version, and a `Hello` of the responder whose limits are all this, in LEB128.
fn greeting<const N: usize>(limit: [u8; N]) -> Vec<u8> {
    let hello = [&[0, 0][..], &limit.repeat(5)].concat();
    let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
    [b"MPrt\0\x01", &length[..], &hello].concat()
}

impl Flood {
    fn new(most: usize) -> Self {
        Self {
            greeting: greeting([127]),
            wakes: false,
            reads: Arc::default(),
            most,
        }
    }
}

/// `Credit` of nothing on channel 0.
const CREDIT: [u8; 8] = [0, 0, 0, 4, 7, 0, 0, 0];

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wakes {
            cx.waker().wake_by_ref();
        }
        if !self.greeting.is_empty() {
            buffer.put_slice(&std::mem::take(&mut self.greeting));
            return Poll::Ready(Ok(()));
        }
        if self.reads.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Poll::Ready(Ok(()));
        }
        while buffer.remaining() >= CREDIT.len() && buffer.filled().len() < 256 {
            buffer.put_slice(&CREDIT);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// As a task among the others, in turn with them. (The future of a test has fewer turns.)
async fn in_turn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task).await.unwrap();
}

/// Lets each task that is ready run once.
async fn one_turn() {
    let mut woken = false;
    poll_fn(|cx| match std::mem::replace(&mut woken, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_that_floods_lets_the_others_speak() {
    in_turn(async {
        let (a, b) = (node(), node());
        let ((_, here), (_, mut there)) = connect(&a, &b).await;
        let flood = Flood::new(20_000);
        let reads = Arc::clone(&flood.reads);
        let flooding = a.open(flood, INITIATOR).await.unwrap();
        for number in 0..50_u8 {
            here.post_message(Message::new(vec![number]));
            assert_eq!(next(&mut there).await.payload[..], [number]);
        }
        let reads = reads.load(Ordering::Relaxed);
        assert!((1..20_000).contains(&reads), "{reads} reads of the flood");
        assert_eq!(flooding.ended.await, LinkError::Lost);
    })
    .await;
}

#[tokio::test]
async fn a_flood_takes_no_more_of_each_turn_the_longer_it_lasts() {
    in_turn(async {
        let a = node();
        let mut flood = Flood::new(200_000);
        // As a stream does that reports room to write again and again.
        flood.wakes = true;
        let reads = Arc::clone(&flood.reads);
        let flooding = a.open(flood, INITIATOR).await.unwrap();
        let mut turn = 0;
        for _ in 0..50 {
            let before = reads.load(Ordering::Relaxed);
            one_turn().await;
            turn = reads.load(Ordering::Relaxed) - before;
        }
        assert!((1..=200).contains(&turn), "{turn} reads in one turn");
        a.close(flooding.link);
        assert_eq!(flooding.ended.await, LinkError::Lost);
    })
    .await;
}

/// A peer that has greeted, and that something more is posted to whenever it takes something.
struct Insatiable {
    greeting: Vec<u8>,
    port: Arc<Mutex<Option<MessagePort>>>,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Insatiable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(&std::mem::take(&mut self.greeting));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Insatiable {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // (Without an end, this would not come to one if the driver did not.)
        if self.writes.fetch_add(1, Ordering::Relaxed) < 100_000 {
            if let Some(port) = &*self.port.lock().unwrap() {
                port.post_message(Message::new("more"));
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_stream_that_takes_all_there_ever_is_leaves_others_their_turn() {
    in_turn(async {
        let (a, b) = (node(), node());
        let ((_, here), (_, mut there)) = connect(&a, &b).await;
        let stream = Insatiable {
            greeting: greeting([0xff, 0xff, 0xff, 0x7f]),
            port: Arc::default(),
            writes: Arc::default(),
        };
        let (port, writes) = (Arc::clone(&stream.port), Arc::clone(&stream.writes));
        let opened = a.open(stream, INITIATOR).await.unwrap();
        opened
            .port
            .as_ref()
            .unwrap()
            .post_message(Message::new("first"));
        *port.lock().unwrap() = opened.port;
        one_turn().await;
        let before = writes.load(Ordering::Relaxed);
        one_turn().await;
        let turn = writes.load(Ordering::Relaxed) - before;
        assert!((1..=200).contains(&turn), "{turn} writes in one turn");
        for number in 0..50_u8 {
            here.post_message(Message::new(vec![number]));
            assert_eq!(next(&mut there).await.payload[..], [number]);
        }
        let all = writes.load(Ordering::Relaxed);
        assert!(all < 100_000, "nobody else spoke before the end");
    })
    .await;
}
