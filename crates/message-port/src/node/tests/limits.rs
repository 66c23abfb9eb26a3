//! Numbers at their ends, channels that are over, and what one peer can make a node say to another.

use std::collections::BTreeMap;
use std::slice;

use bytes::Bytes;

use super::several::{Several, events, introduction, stub};
use super::{bytes_of, grant, message};
use crate::node::wire::{Frame, Grant, Proposal};
use crate::node::{Input, Limits, LinkError, LinkId, Output};
use crate::{Event, Message};

const BROKER: LinkId = LinkId(1);
const PEER: LinkId = LinkId(2);
const OTHER: LinkId = LinkId(3);

#[test]
fn introductions_that_are_never_used_are_bounded() {
    let mut several = Several::up(&[BROKER, OTHER], Limits::default());
    for number in 0..4096 {
        several.say(BROKER, &[Frame::Introduction(introduction(number))]);
    }
    assert_eq!(several.closed, BTreeMap::new());
    several.say(BROKER, &[Frame::Introduction(introduction(4096))]);
    let error = LinkError::TooManyIntroductions;
    assert_eq!(several.closed, BTreeMap::from([(BROKER, error)]));
}

#[test]
fn a_neighbour_that_changes_its_mind_without_end_piles_up_nothing_for_the_other() {
    let limits = Limits {
        link_buffer: 1000,
        unwritten: 100_000,
        ..Limits::default()
    };
    let (mut several, granted, _) = stub(limits);
    let mut unwritten = 0;
    for ticket in 0..100_000 {
        let introduction = 9;
        let wait = Proposal::Await {
            introduction,
            ticket,
        };
        let frames = [Frame::Propose(2, wait), Frame::Withdraw(2)];
        let bytes = Bytes::from(bytes_of(&frames, false));
        let (now, link) = (several.now, PEER);
        several
            .node
            .handle_input(now, Input::Received { link, bytes });
        while let Some(output) = several.node.poll_output() {
            match output {
                Output::Write { link, bytes } if link == PEER => {
                    let count = bytes.len();
                    several
                        .node
                        .handle_input(now, Input::Written { link, count });
                }
                // The other one does not read for a while.
                Output::Write { bytes, .. } => unwritten += bytes.len(),
                _ => {}
            }
        }
    }
    assert!(unwritten < 2000, "{unwritten} bytes wait for the other");
    let bytes = Bytes::from(bytes_of(&[Frame::Credit(granted, 1, 1)], false));
    several.input(Input::Received { link: OTHER, bytes });
    assert_eq!(several.closed, BTreeMap::new());
    // It reads again, and is asked again.
    let (link, count) = (OTHER, unwritten);
    several.input(Input::Written { link, count });
    let asked = |frame: &Frame| matches!(frame, Frame::Propose(at, _) if *at == granted);
    assert!(several.said(OTHER).iter().any(asked));
}

#[test]
fn closes_that_a_stub_passes_on_are_credited() {
    let limits = Limits {
        window_messages: 4,
        ..Limits::default()
    };
    let (mut several, granted, _) = stub(limits);
    let mut credit = 0;
    for n in 0..100 {
        let said = several.say(PEER, &[Frame::Close(2, n)]);
        let messages = |frame: &Frame| match frame {
            Frame::Credit(2, 0, messages) => *messages,
            _ => 0,
        };
        credit += said.iter().map(messages).sum::<u64>();
        let said = several.say(OTHER, &[Frame::Credit(granted, 1, 1)]);
        assert_eq!(said, [Frame::Close(granted, n)]);
    }
    assert_eq!(credit, 100);
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn numbers_may_be_as_large_as_they_can_be() {
    let mut several = Several::up(&[PEER, OTHER], Limits::default());
    let end = Grant {
        epoch: u32::MAX,
        incoming: u64::MAX,
        outgoing: u64::MAX,
        ..grant(2)
    };
    several.say(PEER, &[message(0, 0, vec![end])]);
    let port = several.ports.get_mut(&PEER).expect("it is up");
    let [Event::Message(carrier)] = &mut events(port)[..] else {
        panic!("a message");
    };
    let mut port = carrier.ports.remove(0).receive();
    let most = u64::MAX;
    let credit = Frame::Credit(2, most, most);
    several.say(PEER, &[message(2, most, vec![]), message(2, 0, vec![])]);
    several.say(PEER, &[credit.clone(), credit.clone(), credit]);
    assert_eq!(events(&mut port).len(), 2);
    for _ in 0..3 {
        port.post_message(Message::new("x"));
    }
    let said = several.said(PEER);
    let sequence = |frame: &Frame| match frame {
        Frame::Message(2, head, _) => Some(head.sequence),
        _ => None,
    };
    let sequences: Vec<u64> = said.iter().filter_map(sequence).collect();
    assert_eq!(sequences, [most, 0, 1]);
    // And it moves on.
    let port = port.transfer().expect("not closed");
    several.ports[&OTHER].post_message(Message::new("").with_port(port));
    let said = several.said(OTHER);
    let granted = said.iter().find_map(|frame| match frame {
        Frame::Message(0, head, _) => head.grants.first(),
        _ => None,
    });
    let granted = granted.map(|grant| (grant.epoch, grant.incoming, grant.outgoing));
    assert_eq!(granted, Some((0, 1, 2)));
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn a_channel_that_is_over_takes_nothing_but_late_credit() {
    let over = || {
        let mut several = Several::up(&[PEER], Limits::default());
        several.say(PEER, &[message(0, 0, vec![grant(2)])]);
        let port = several.ports.get_mut(&PEER).expect("it is up");
        drop(events(port)); // The port in the message with it.
        assert!(several.said(PEER).contains(&Frame::End(2, true)));
        several.say(PEER, &[Frame::End(2, true)]);
        assert_eq!(several.node.census().channels, 1);
        several
    };
    let mut several = over();
    several.say(PEER, &[Frame::Credit(2, 1, 1)]);
    assert_eq!(several.closed, BTreeMap::new());
    let wait = Proposal::Await {
        introduction: 0,
        ticket: 0,
    };
    for frame in [
        message(2, 0, vec![]),
        Frame::Chunk(2, Bytes::from_static(b"x")),
        Frame::Close(2, 0),
        Frame::End(2, true),
        Frame::Switched(2),
        Frame::Stop(2),
        Frame::Propose(2, wait),
        Frame::Consent(2, 0),
        Frame::Commit(2, 0),
        Frame::Abort(2, 0),
        Frame::Withdraw(2),
    ] {
        let mut several = over();
        several.say(PEER, slice::from_ref(&frame));
        let error = LinkError::UnknownPort(2);
        assert_eq!(several.closed, BTreeMap::from([(PEER, error)]), "{frame:?}");
    }
    // Its number is not used again.
    let mut several = over();
    several.say(PEER, &[message(0, 1, vec![grant(2)])]);
    let error = LinkError::ReplayedEpoch(2);
    assert_eq!(several.closed, BTreeMap::from([(PEER, error)]));
}

#[test]
fn after_a_marker_nothing_comes_but_credit() {
    // The stub has not answered with its own last frame: the channel is there yet.
    let half_over = || {
        let (mut several, granted, ticket) = stub(Limits::default());
        several.say(PEER, &[Frame::Consent(2, ticket)]);
        several.say(OTHER, &[Frame::Consent(granted, ticket)]);
        several.say(PEER, &[Frame::Switched(2)]);
        several
    };
    let mut several = half_over();
    several.say(PEER, &[Frame::Credit(2, 1, 1)]);
    assert_eq!(several.closed, BTreeMap::new());
    for frame in [
        message(2, 0, vec![]),
        Frame::Close(2, 0),
        Frame::End(2, true),
        Frame::Switched(2),
        Frame::Stop(2),
        Frame::Withdraw(2),
    ] {
        let mut several = half_over();
        several.say(PEER, slice::from_ref(&frame));
        let error = LinkError::UnexpectedFrame;
        assert_eq!(several.closed, BTreeMap::from([(PEER, error)]), "{frame:?}");
    }
}
