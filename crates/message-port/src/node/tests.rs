//! Peers that lie or talk garbage, and long and many messages.

mod crossing;
mod floods;
mod limits;
mod lost;
mod mutated;
mod several;
mod tokens;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::wire::{Decoder, Frame, Grant, Head, Hello, Introduction, MAX_HOPS, Proposal};
use super::wire::{encode, encode_preface};
use super::{Input, Limits, LinkError, LinkId, LinkKind, Node, Output, Token};
use crate::{Event, Message, MessageChannel, MessagePort};

const LINK: LinkId = LinkId(7);

/// A node whose peer is this test.
struct Stand {
    node: Node,
    now: Instant,
    port: Option<MessagePort>,
    decoder: Decoder,
    closed: Option<LinkError>,
}

impl Stand {
    fn open(limits: Limits, kind: LinkKind) -> Self {
        let mut stand = Self {
            node: Node::new(limits, || {}),
            now: Instant::now(),
            port: None,
            decoder: Decoder::default(),
            closed: None,
        };
        let link = LINK;
        let opened = Input::LinkOpened { link, kind };
        stand.node.handle_input(stand.now, opened);
        stand
    }

    /// A trusted link that is up; the test is the initiator, so the even channels are its own.
    fn up() -> Self {
        Self::up_with(Limits::default())
    }

    fn up_with(limits: Limits) -> Self {
        let mut stand = Self::open(limits, LinkKind::Trusted { initiator: false });
        stand.say(&[Frame::Hello(hello(true, None))], true);
        assert!(stand.port.is_some(), "{:?}", stand.closed);
        stand
    }

    fn say(&mut self, frames: &[Frame], preface: bool) -> Vec<Frame> {
        self.feed(&bytes_of(frames, preface))
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let bytes = Bytes::copy_from_slice(bytes);
        let link = LINK;
        self.node
            .handle_input(self.now, Input::Received { link, bytes });
        self.poll()
    }

    fn poll(&mut self) -> Vec<Frame> {
        let mut said = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Write { link, bytes } => {
                    self.decoder.push(bytes.clone());
                    let count = bytes.len();
                    self.node
                        .handle_input(self.now, Input::Written { link, count });
                    while let Some(frame) = self.decoder.next().expect("a node speaks well") {
                        said.push(frame);
                    }
                }
                Output::LinkUp { port, .. } => self.port = port,
                Output::LinkClosed { error, .. } => self.closed = Some(error),
                Output::Introduce { .. } => panic!("there is one link only"),
            }
        }
        said
    }

    fn error_of(mut self, frames: &[Frame]) -> LinkError {
        self.say(frames, false);
        let census = self.node.census();
        assert_eq!(
            (census.links, census.channels, census.ports),
            (0, 0, 0),
            "what the link had is freed"
        );
        let mut port = self.port.take().expect("the link was up");
        port.start();
        assert!(
            std::iter::from_fn(|| port.try_recv().ok()).any(|event| matches!(event, Event::Close)),
            "the port over the link is closed"
        );
        self.closed.expect("the link is closed")
    }
}

fn hello(initiator: bool, token: Option<Token>) -> Hello {
    Hello {
        initiator,
        window_bytes: 1000,
        window_messages: 10,
        max_message: 1 << 30,
        queued_ports: 10,
        channels: 1 << 20,
        token,
    }
}

fn bytes_of(frames: &[Frame], preface: bool) -> BytesMut {
    let mut out = BytesMut::new();
    if preface {
        encode_preface(&mut out);
    }
    for frame in frames {
        encode(frame, &mut out);
        if let Frame::Message(.., payload) | Frame::Chunk(_, payload) = frame {
            out.extend_from_slice(payload);
        }
    }
    out
}

fn message(channel: u64, sequence: u64, grants: Vec<Grant>) -> Frame {
    Frame::Message(channel, Head { sequence, grants }, Bytes::from_static(b"x"))
}

fn grant(channel: u64) -> Grant {
    Grant {
        channel,
        epoch: 1,
        hops: 1,
        incoming: 0,
        outgoing: 0,
        quiet: false,
    }
}

#[test]
fn what_is_no_greeting_is_named() {
    let trusted = LinkKind::Trusted { initiator: false };
    let closed = |bytes: &[u8]| {
        let mut stand = Stand::open(Limits::default(), trusted);
        stand.feed(bytes);
        stand.closed
    };
    assert_eq!(closed(b"GET / HTTP/1.1\r\n\r\n"), Some(LinkError::Garbage));
    assert_eq!(closed(b"MPrt\x00\x02"), Some(LinkError::WrongVersion(2)));
    assert_eq!(closed(b"MPr"), None, "it may yet become one");
    let same_role = bytes_of(&[Frame::Hello(hello(false, None))], true);
    assert_eq!(closed(&same_role), Some(LinkError::RoleConflict));
    let early = bytes_of(&[message(0, 0, vec![])], true);
    assert_eq!(closed(&early), Some(LinkError::UnexpectedFrame));
    let token = bytes_of(&[Frame::Hello(hello(true, Some(Token(1))))], true);
    assert_eq!(closed(&token), Some(LinkError::BadToken));
}

#[test]
fn a_link_that_does_not_greet_in_time_is_closed() {
    let mut stand = Stand::open(Limits::default(), LinkKind::Accepted);
    let deadline = stand.node.poll_timeout().expect("a greeting is awaited");
    stand
        .node
        .handle_timeout(deadline - Duration::from_millis(1));
    stand.poll();
    assert_eq!(stand.closed, None);
    stand.node.handle_timeout(deadline);
    stand.poll();
    let timeout = Limits::default().hello_timeout;
    assert_eq!(stand.closed, Some(LinkError::HelloTimeout(timeout)));
    assert_eq!(stand.node.poll_timeout(), None);
}

#[test]
fn a_timeout_beyond_the_end_of_time_is_none() {
    let limits = Limits {
        hello_timeout: Duration::MAX,
        ..Limits::default()
    };
    let stand = Stand::open(limits, LinkKind::Accepted);
    assert_eq!(stand.node.poll_timeout(), None);
}

#[test]
fn each_breach_of_the_protocol_is_named_and_closes_the_link() {
    let error = |frames: &[Frame]| Stand::up().error_of(frames);
    assert_eq!(
        error(&[message(2, 0, vec![])]),
        LinkError::UnknownPort(2),
        "forged"
    );
    assert_eq!(
        error(&[message(1, 0, vec![])]),
        LinkError::UnknownPort(1),
        "forged"
    );
    assert_eq!(
        error(&[message(0, 1, vec![])]),
        LinkError::OutOfSequence {
            expected: 0,
            found: 1
        }
    );
    assert_eq!(
        error(&[message(0, 0, vec![]), message(0, 0, vec![])]),
        LinkError::OutOfSequence {
            expected: 1,
            found: 0
        },
        "a message that is said twice"
    );
    assert_eq!(
        error(&[message(0, 0, vec![grant(2)]), message(0, 1, vec![grant(2)])]),
        LinkError::ReplayedEpoch(2)
    );
    assert_eq!(
        error(&[message(0, 0, vec![grant(4)])]),
        LinkError::UnknownPort(4)
    );
    assert_eq!(
        error(&[message(0, 0, vec![grant(1)])]),
        LinkError::UnknownPort(1)
    );
    let far = Grant {
        hops: MAX_HOPS + 1,
        ..grant(2)
    };
    assert_eq!(
        error(&[message(0, 0, vec![far])]),
        LinkError::MalformedFrame
    );
    assert_eq!(error(&[Frame::Adopted(1, 1)]), LinkError::UnknownPort(1));
    assert_eq!(
        error(&[Frame::Chunk(0, Bytes::from_static(b"x"))]),
        LinkError::UnexpectedFrame
    );
    assert_eq!(error(&[Frame::Switched(0)]), LinkError::UnexpectedFrame);
    assert_eq!(error(&[Frame::Commit(0, 0)]), LinkError::UnexpectedFrame);
    assert_eq!(
        error(&[Frame::Hello(hello(true, None))]),
        LinkError::UnexpectedFrame
    );
    assert_eq!(
        error(&[Frame::Propose(0, Proposal::Fold { other: 0 })]),
        LinkError::UnexpectedFrame
    );
    assert_eq!(
        error(&[Frame::Propose(0, Proposal::Fold { other: 8 })]),
        LinkError::UnknownPort(8)
    );
    let head = |total| {
        Frame::Head(
            0,
            Head {
                sequence: 0,
                grants: vec![],
            },
            total,
        )
    };
    assert_eq!(
        error(&[head(1 << 40)]),
        LinkError::OversizedMessage(1 << 40)
    );
    assert_eq!(
        error(&[head(1), Frame::Chunk(0, Bytes::from_static(b"xy"))]),
        LinkError::OversizedMessage(2)
    );
    let introduction = Introduction {
        introduction: 1,
        initiator: true,
        show: Token(1),
        expect: Token(2),
    };
    assert_eq!(
        error(&[
            Frame::Introduction(introduction),
            Frame::Introduction(introduction)
        ]),
        LinkError::UnexpectedFrame
    );
}

#[test]
fn frames_that_are_too_long_unknown_or_malformed_are_named() {
    let error = |bytes: &[u8]| {
        let mut stand = Stand::up();
        stand.feed(bytes);
        stand.closed
    };
    assert_eq!(
        error(&[0x7f, 0xff, 0xff, 0xff]),
        Some(LinkError::OversizedFrame(0x7fff_ffff)),
        "before any of it is awaited"
    );
    assert_eq!(error(&[0, 0, 0, 1, 99]), Some(LinkError::UnknownFrame(99)));
    assert_eq!(error(&[0, 0, 0, 0]), Some(LinkError::MalformedFrame));
    assert_eq!(
        error(&[0, 0, 0, 3, 6, 0, 0]),
        Some(LinkError::MalformedFrame)
    );
    let endless = [&[0, 0, 0, 12, 6][..], &[0xff; 11]].concat();
    assert_eq!(error(&endless), Some(LinkError::MalformedFrame));
}

#[test]
fn credit_and_quota_are_enforced() {
    let mut limits = Limits {
        window_messages: 2,
        ..Limits::default()
    };
    let frames: Vec<Frame> = (0..3).map(|n| message(0, n, vec![])).collect();
    assert_eq!(
        Stand::up_with(limits).error_of(&frames),
        LinkError::CreditExceeded
    );
    limits.queued_ports = 2;
    let three = message(0, 0, vec![grant(2), grant(4), grant(6)]);
    assert_eq!(
        Stand::up_with(limits).error_of(&[three]),
        LinkError::TooManyQueuedPorts
    );
}

#[test]
fn a_replayed_acknowledgement_closes_the_link() {
    let mut stand = Stand::up();
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let port = stand.port.as_ref().expect("the link is up");
    port.post_message(Message::new("").with_port(port2.transfer().expect("open")));
    let said = stand.poll();
    assert!(matches!(&said[..], [Frame::Message(0, head, _)] if head.grants.len() == 1));
    assert_eq!(stand.node.census().unacknowledged, 1);
    stand.say(&[Frame::Adopted(1, 1)], false);
    assert_eq!(stand.node.census().unacknowledged, 0);
    assert_eq!(
        stand.error_of(&[Frame::Adopted(1, 1)]),
        LinkError::ReplayedEpoch(1)
    );
    drop(port1);
}

#[test]
fn a_port_that_was_told_to_stop_still_closes() {
    let mut stand = Stand::up();
    assert_eq!(stand.say(&[Frame::Stop(0)], false), []);
    drop(stand.port.take());
    assert_eq!(stand.poll(), [Frame::Stop(0), Frame::End(0, true)]);
}

#[test]
fn an_introduced_link_needs_the_right_token() {
    let introduction = Introduction {
        introduction: 0,
        initiator: false,
        show: Token(10),
        expect: Token(20),
    };
    let second = LinkId(8);
    let arrive = |token, kind| {
        let mut stand = Stand::up();
        stand.say(&[Frame::Introduction(introduction)], false);
        let now = stand.now;
        stand
            .node
            .handle_input(now, Input::LinkOpened { link: second, kind });
        let bytes = bytes_of(&[Frame::Hello(hello(true, token))], true).freeze();
        let link = second;
        stand
            .node
            .handle_input(now, Input::Received { link, bytes });
        let mut outcome = None;
        while let Some(output) = stand.node.poll_output() {
            match output {
                Output::LinkUp { link, port } if link == second => {
                    assert!(port.is_none(), "nothing is granted to a stranger");
                    outcome = Some(Ok(()));
                }
                Output::LinkClosed { link, error } if link == second => outcome = Some(Err(error)),
                _ => {}
            }
        }
        outcome
    };
    let own = LinkKind::Introduced { token: Token(10) };
    assert_eq!(arrive(Some(Token(20)), own), Some(Ok(())));
    assert_eq!(arrive(Some(Token(20)), LinkKind::Accepted), Some(Ok(())));
    assert_eq!(arrive(Some(Token(21)), own), Some(Err(LinkError::BadToken)));
    assert_eq!(arrive(None, own), Some(Err(LinkError::BadToken)));
    assert_eq!(
        arrive(Some(Token(21)), LinkKind::Accepted),
        None,
        "until the deadline"
    );
}

#[test]
fn a_long_message_does_not_hold_up_a_short_one() {
    let mut stand = Stand::up();
    let MessageChannel { port1: ours, port2 } = MessageChannel::new();
    let port = stand.port.as_ref().expect("the link is up");
    port.post_message(Message::new("").with_port(port2.transfer().expect("open")));
    stand.poll();
    let port = stand.port.as_ref().expect("the link is up");
    port.post_message(Message::new(vec![0; 64 << 20]));
    ours.post_message(Message::new("short"));
    let mut before = 0;
    'all: while let Some(output) = stand.node.poll_output() {
        let Output::Write { link, bytes } = output else {
            continue;
        };
        stand.decoder.push(bytes.clone());
        let count = bytes.len();
        stand
            .node
            .handle_input(stand.now, Input::Written { link, count });
        while let Some(frame) = stand.decoder.next().expect("a node speaks well") {
            match frame {
                Frame::Chunk(0, bytes) => before += bytes.len(),
                Frame::Message(1, _, payload) => {
                    assert_eq!(payload, "short");
                    break 'all;
                }
                _ => {}
            }
        }
    }
    assert!(
        before <= Limits::default().link_buffer,
        "{before} bytes came before"
    );
}

#[test]
fn a_flooded_port_pauses_alone() {
    let mut stand = Stand::up();
    let MessageChannel { port1: ours, port2 } = MessageChannel::new();
    let port = stand.port.as_ref().expect("the link is up");
    port.post_message(Message::new("").with_port(port2.transfer().expect("open")));
    for _ in 0..100_000 {
        port.post_message(Message::new("flood"));
    }
    ours.post_message(Message::new("other"));
    let said = stand.poll();
    let on = |channel| {
        let is = |frame: &&Frame| matches!(frame, Frame::Message(at, ..) if *at == channel);
        said.iter().filter(is).count()
    };
    assert_eq!(on(0), 10, "as many as the peer has said");
    assert_eq!(on(1), 1);
    let more = stand.say(&[Frame::Credit(0, 1000, 5)], false);
    assert_eq!(more.len(), 5);
}

#[test]
fn nothing_is_sent_beyond_the_link_buffer_until_it_is_written() {
    let mut stand = Stand::up();
    let port = stand.port.as_ref().expect("the link is up");
    port.post_message(Message::new(vec![0; 64 << 20]));
    let mut handed_out = 0;
    while let Some(output) = stand.node.poll_output() {
        if let Output::Write { bytes, .. } = output {
            handed_out += bytes.len();
        }
    }
    assert!(
        handed_out < Limits::default().link_buffer + 128 * 1024,
        "{handed_out}"
    );
}

#[test]
fn a_node_may_live_on_any_thread() {
    fn is_send<T: Send>() {}
    is_send::<Node>();
}
