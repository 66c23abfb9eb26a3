//! A node between several peers, all played by the test; one of them lies. What it lies about must
//! not be paid for by the others.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;

use super::{bytes_of, grant, hello, message};
use crate::node::wire::{Decoder, Frame, Introduction, Proposal};
use crate::node::{
    Input, IntroductionId, Limits, LinkError, LinkId, LinkKind, Node, Output, Token,
};
use crate::{Event, Message, MessagePort};

pub(super) struct Several {
    pub(super) node: Node,
    pub(super) now: Instant,
    pub(super) ports: BTreeMap<LinkId, MessagePort>,
    pub(super) closed: BTreeMap<LinkId, LinkError>,
    pub(super) asked: Vec<(IntroductionId, LinkId, LinkId)>,
    decoders: BTreeMap<LinkId, Decoder>,
    said: BTreeMap<LinkId, Vec<Frame>>,
}

impl Several {
    /// Trusted links that are up; the test is each one's initiator.
    pub(super) fn up(links: &[LinkId], limits: Limits) -> Self {
        let mut several = Self {
            node: Node::new(limits, || {}),
            now: Instant::now(),
            ports: BTreeMap::new(),
            closed: BTreeMap::new(),
            asked: Vec::new(),
            decoders: BTreeMap::new(),
            said: BTreeMap::new(),
        };
        for link in links {
            several.open(*link, LinkKind::Trusted { initiator: false }, None);
            assert!(several.ports.contains_key(link), "{:?}", several.closed);
        }
        several
    }

    pub(super) fn open(&mut self, link: LinkId, kind: LinkKind, token: Option<Token>) {
        self.input(Input::LinkOpened { link, kind });
        let mut hello = hello(true, token);
        hello.queued_ports = 1 << 20;
        let bytes = bytes_of(&[Frame::Hello(hello)], true).freeze();
        self.input(Input::Received { link, bytes });
    }

    pub(super) fn input(&mut self, input: Input) {
        self.node.handle_input(self.now, input);
        self.poll();
    }

    pub(super) fn poll(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Write { link, bytes } => {
                    let decoder = self.decoders.entry(link).or_default();
                    decoder.push(bytes.clone());
                    while let Some(frame) = decoder.next().expect("a node speaks well") {
                        self.said.entry(link).or_default().push(frame);
                    }
                    let count = bytes.len();
                    self.node
                        .handle_input(self.now, Input::Written { link, count });
                }
                Output::LinkUp { link, port } => {
                    if let Some(port) = port {
                        self.ports.insert(link, port);
                    }
                }
                Output::LinkClosed { link, error } => drop(self.closed.insert(link, error)),
                Output::Introduce { introduction, a, b } => self.asked.push((introduction, a, b)),
            }
        }
    }

    /// A peer says something; what the node has said to it since it was last asked.
    pub(super) fn say(&mut self, link: LinkId, frames: &[Frame]) -> Vec<Frame> {
        let bytes = Bytes::from(bytes_of(frames, false));
        self.input(Input::Received { link, bytes });
        self.said(link)
    }

    pub(super) fn said(&mut self, link: LinkId) -> Vec<Frame> {
        self.poll();
        self.said.remove(&link).unwrap_or_default()
    }
}

const BROKER: LinkId = LinkId(1);
const PEER: LinkId = LinkId(2);
const OTHER: LinkId = LinkId(3);

pub(super) fn introduction(number: u64) -> Introduction {
    Introduction {
        introduction: number,
        initiator: false,
        show: Token(100 + 2 * u128::from(number)),
        expect: Token(101 + 2 * u128::from(number)),
    }
}

/// A node with a link to a broker, and one to a peer which the broker has introduced. The port
/// of the broker's link has consented to await a channel of the peer, with ticket 5.
pub(super) fn about_to_attach() -> Several {
    let mut several = Several::up(&[BROKER], Limits::default());
    several.say(BROKER, &[Frame::Introduction(introduction(0))]);
    let token = introduction(0).show;
    several.open(
        PEER,
        LinkKind::Introduced { token },
        Some(introduction(0).expect),
    );
    assert!(several.said(BROKER).contains(&Frame::IntroductionUp(0)));
    assert!(matches!(several.said(PEER)[..], [Frame::Hello(_)]));
    let wait = Proposal::Await {
        introduction: 0,
        ticket: 5,
    };
    let said = several.say(BROKER, &[Frame::Propose(0, wait)]);
    assert_eq!(said, [Frame::Consent(0, 5)]);
    several
}

pub(super) fn attach() -> Frame {
    Frame::Attach(0, 5, introduction(0).expect)
}

pub(super) fn events(port: &mut MessagePort) -> Vec<Event> {
    port.start();
    std::iter::from_fn(|| port.try_recv().ok()).collect()
}

#[test]
fn a_stub_that_swallows_a_message_loses_the_port_and_not_the_direct_link() {
    for held in [true, false] {
        let mut several = about_to_attach();
        // Message 0 came by the stub; it swallows message 1; the peer goes on with message 2.
        let stub = [message(0, 0, vec![]), Frame::Switched(0)];
        let next = message(0, 2, vec![]);
        several.say(PEER, &[attach()]);
        let mut said = Vec::new();
        if held {
            said.extend(several.say(PEER, &[next]));
            several.say(BROKER, &stub);
        } else {
            several.say(BROKER, &stub);
            said.extend(several.say(PEER, &[next]));
        }
        assert_eq!(
            several.closed,
            BTreeMap::new(),
            "nobody can tell who it was"
        );
        let port = several.ports.get_mut(&BROKER).expect("the link was up");
        let events = events(port);
        assert!(
            matches!(&events[..], [Event::Message(_), Event::Close]),
            "{events:?}"
        );
        said.extend(several.said(PEER));
        assert!(said.contains(&Frame::End(0, true)), "{said:?}");
        several.say(PEER, &[message(0, 3, vec![]), Frame::End(0, true)]);
        assert_eq!(several.closed, BTreeMap::new(), "{held}");
    }
}

#[test]
fn a_marker_may_come_before_the_channel_that_it_announces() {
    let mut several = about_to_attach();
    several.say(BROKER, &[message(0, 0, vec![]), Frame::Switched(0)]);
    let said = several.say(PEER, &[attach(), message(0, 1, vec![])]);
    assert_eq!(said, []);
    assert_eq!(several.said(BROKER), [Frame::Switched(0)]);
    let port = several.ports.get_mut(&BROKER).expect("the link was up");
    let events = events(port);
    assert!(
        matches!(&events[..], [Event::Message(_), Event::Message(_)]),
        "{events:?}"
    );
    port.post_message(Message::new("by the new way"));
    assert_eq!(several.said(PEER).len(), 1);
    assert_eq!(several.node.census().channels, 1);
}

#[test]
fn a_peer_that_misnumbers_its_own_messages_on_a_direct_link_loses_it() {
    let mut several = about_to_attach();
    several.say(
        PEER,
        &[attach(), message(0, 2, vec![]), message(0, 4, vec![])],
    );
    let error = LinkError::OutOfSequence {
        expected: 3,
        found: 4,
    };
    assert_eq!(several.closed, BTreeMap::from([(PEER, error)]));
}

/// A node with two links and a stub between them, whose direct link is there.
pub(super) fn stub(limits: Limits) -> (Several, u64, u64) {
    let mut several = Several::up(&[PEER, OTHER], limits);
    several.say(PEER, &[message(0, 0, vec![grant(2)])]);
    let port = several.ports.get_mut(&PEER).expect("the link is up");
    let [Event::Message(message)] = &mut events(port)[..] else {
        panic!("a message");
    };
    let carried = message.ports.remove(0);
    let carrier = &several.ports[&OTHER];
    carrier.post_message(Message::new("").with_port(carried));
    let said = several.said(OTHER);
    let granted = said.iter().find_map(|frame| match frame {
        Frame::Message(0, head, _) => Some(head.grants[0].channel),
        _ => None,
    });
    let (number, a, b) = several.asked.pop().expect("the host is asked");
    assert_eq!((a, b), (PEER, OTHER));
    several.input(Input::Introduction {
        introduction: number,
        tokens: Some([Token(1), Token(2)]),
    });
    several.say(PEER, &[Frame::IntroductionUp(number.0)]);
    several.said(OTHER);
    let proposed = several.say(OTHER, &[Frame::IntroductionUp(number.0)]);
    let ticket = proposed.iter().find_map(|frame| match frame {
        Frame::Propose(_, Proposal::Open { ticket, .. } | Proposal::Await { ticket, .. }) => {
            Some(*ticket)
        }
        _ => None,
    });
    (
        several,
        granted.expect("a port was granted"),
        ticket.expect("it was proposed"),
    )
}

#[test]
fn a_neighbour_that_attaches_before_it_is_told_costs_its_route_and_not_a_link() {
    // The peer should open the channel, once it is told. It has not even consented; the other one
    // has, has seen a channel attached with the right ticket, and has switched.
    for withdrawn in [false, true] {
        let (mut several, granted, ticket) = stub(Limits::default());
        several.say(OTHER, &[Frame::Consent(granted, ticket)]);
        if withdrawn {
            several.say(PEER, &[Frame::Abort(2, ticket)]);
        }
        several.say(OTHER, &[Frame::Switched(granted)]);
        assert_eq!(several.closed, BTreeMap::new());
        let said = several.said(PEER);
        assert!(said.contains(&Frame::End(2, true)), "{said:?}");
        several.say(PEER, &[Frame::End(2, true)]);
        assert_eq!(several.node.census().stubs, 0, "{:#?}", several.node);
        assert_eq!(several.node.census().channels, 2);
        assert_eq!(several.closed, BTreeMap::new());
    }
}

#[test]
fn pipes_that_do_not_belong_together_are_ended_and_not_joined() {
    // The peer grants two ports, of which one goes on to another node, and says that the two are
    // ends of one route. Their events do not follow on one another.
    let mut several = Several::up(&[PEER, OTHER], Limits::default());
    let wrong = crate::node::wire::Grant {
        incoming: 7,
        ..grant(4)
    };
    several.say(PEER, &[message(0, 0, vec![grant(2), wrong])]);
    let port = several.ports.get_mut(&PEER).expect("the link is up");
    let [Event::Message(message)] = &mut events(port)[..] else {
        panic!("a message");
    };
    let mut kept = message.ports.remove(0).receive();
    let gone = message.ports.remove(0);
    let carrier = &several.ports[&OTHER];
    carrier.post_message(Message::new("").with_port(gone));
    several.poll();
    several.say(PEER, &[Frame::Propose(2, Proposal::Fold { other: 4 })]);
    several.said(OTHER);
    several.say(PEER, &[Frame::Switched(2), Frame::Switched(4)]);
    assert_eq!(
        several.closed,
        BTreeMap::from([(PEER, LinkError::UnexpectedFrame)])
    );
    kept.post_message(Message::new("must not get there under a wrong number"));
    let said = several.said(OTHER);
    assert_eq!(said, [Frame::Stop(1), Frame::End(1, true)]);
    assert!(matches!(&events(&mut kept)[..], [Event::Close]));
}

#[test]
fn introductions_that_one_side_always_denies_do_not_cost_the_other_its_link() {
    let (mut several, _, ticket) = stub(Limits::default());
    // This one knows nothing of a direct link that was there a moment ago.
    several.say(PEER, &[Frame::Abort(2, ticket)]);
    let said = several.said(OTHER);
    assert!(said.contains(&Frame::IntroductionGone(0)), "{said:?}");
    let mut asked = 0;
    while let Some((introduction, ..)) = several.asked.pop() {
        asked += 1;
        assert!(asked < 100, "the host is asked for ever");
        let announced = introduction.0;
        several.input(Input::Introduction {
            introduction,
            tokens: Some([Token(announced.into()), Token(u128::MAX)]),
        });
        several.say(PEER, &[Frame::IntroductionDown(announced)]);
        let said = several.said(OTHER);
        assert!(matches!(
            &said[..],
            [Frame::Introduction(_), Frame::IntroductionGone(gone)] if *gone == announced
        ));
    }
    assert!(asked > 1, "one failure is no reason to give up");
    // The stub relays.
    several.ports[&OTHER].post_message(Message::new(""));
    assert_eq!(several.said(OTHER).len(), 1);
}

#[test]
fn an_introduction_that_is_gone_is_forgotten() {
    let mut several = Several::up(&[BROKER], Limits::default());
    for number in 0..10_000 {
        let said = Frame::Introduction(introduction(number));
        several.say(BROKER, &[said, Frame::IntroductionGone(number)]);
    }
    assert_eq!(several.closed, BTreeMap::new());
    // A stub that awaits a channel by it, and was told that all switch to that, has lost it.
    let mut several = about_to_attach();
    several.say(BROKER, &[Frame::Switched(0), Frame::IntroductionGone(0)]);
    let port = several.ports.get_mut(&BROKER).expect("the link was up");
    assert!(matches!(&events(port)[..], [Event::Close]));
    several.say(PEER, &[attach()]);
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn proofs_of_introductions_that_never_come_are_forgotten_oldest_first() {
    let mut several = about_to_attach();
    for token in 1000..2000 {
        several.say(PEER, &[Frame::Prove(Token(token))]);
    }
    several.say(PEER, &[Frame::Prove(introduction(1).expect)]);
    let token = introduction(1).show;
    several.input(Input::LinkVouched { link: PEER, token });
    let said = several.say(BROKER, &[Frame::Introduction(introduction(1))]);
    assert_eq!(said, [Frame::IntroductionUp(1)]);
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn tokens_that_somebody_else_announces_again_change_nothing() {
    let mut several = about_to_attach();
    several.open(OTHER, LinkKind::Trusted { initiator: false }, None);
    several.say(OTHER, &[Frame::Introduction(introduction(0))]);
    several.say(OTHER, &[Frame::IntroductionGone(0)]);
    several.say(PEER, &[attach()]);
    several.say(BROKER, &[Frame::Switched(0)]);
    several.say(PEER, &[message(0, 0, vec![])]);
    let port = several.ports.get_mut(&BROKER).expect("the link was up");
    assert!(matches!(&events(port)[..], [Event::Message(_)]));
    assert_eq!(several.closed, BTreeMap::new());
}
