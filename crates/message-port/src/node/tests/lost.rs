//! What must come to an end: introductions whose link has failed, and ports that run after one
//! another.

use std::collections::BTreeMap;
use std::slice;

use super::several::{Several, events, introduction, stub};
use super::{grant, message};
use crate::node::wire::{Frame, Grant, MAX_HOPS};
use crate::node::{Input, Limits, LinkId, LinkKind};
use crate::{Event, Message, MessagePort};

const BROKER: LinkId = LinkId(1);
const PEER: LinkId = LinkId(2);
const OTHER: LinkId = LinkId(3);

/// A node whose links are up, and that has greeted.
fn greeted(links: &[LinkId]) -> Several {
    let mut several = Several::up(links, Limits::default());
    links.iter().for_each(|link| drop(several.said(*link)));
    several
}

#[test]
fn an_introducer_hears_of_a_link_that_was_lost_before_its_announcement() {
    let mut several = greeted(&[BROKER]);
    let token = introduction(0).show;
    let kind = LinkKind::Introduced { token };
    several.input(Input::LinkOpened { link: PEER, kind });
    several.input(Input::LinkLost { link: PEER });
    let said = several.say(BROKER, &[Frame::Introduction(introduction(0))]);
    assert_eq!(said, [Frame::IntroductionDown(0)]);
    // Once: the same introduction may be tried anew.
    let said = several.say(BROKER, &[Frame::Introduction(introduction(0))]);
    assert_eq!(said, []);
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn an_introducer_hears_of_a_voucher_whose_link_is_gone() {
    let link = OTHER;
    let token = introduction(0).show;
    let announced = Frame::Introduction(introduction(0));
    let down = [Frame::IntroductionDown(0)];
    // The link goes before the voucher, and before or after the introduction is announced.
    for early in [true, false] {
        let mut several = greeted(&[BROKER, OTHER]);
        several.input(Input::LinkLost { link });
        if early {
            several.input(Input::LinkVouched { link, token });
            assert_eq!(several.say(BROKER, slice::from_ref(&announced)), down);
        } else {
            assert_eq!(several.say(BROKER, slice::from_ref(&announced)), []);
            several.input(Input::LinkVouched { link, token });
            assert_eq!(several.said(BROKER), down);
        }
    }
    // It goes after the voucher, before the introduction is announced.
    let mut several = greeted(&[BROKER, OTHER]);
    several.input(Input::LinkVouched { link, token });
    several.input(Input::LinkLost { link });
    assert_eq!(several.say(BROKER, &[announced]), down);
}

#[test]
fn links_that_failed_unannounced_are_forgotten_oldest_first() {
    let mut several = greeted(&[BROKER]);
    for number in 0..3000 {
        let token = introduction(number).show;
        let kind = LinkKind::Introduced { token };
        several.input(Input::LinkOpened { link: PEER, kind });
        several.input(Input::LinkLost { link: PEER });
    }
    assert!(several.node.failed.len() <= 1024);
    let said = several.say(BROKER, &[Frame::Introduction(introduction(2999))]);
    assert_eq!(said, [Frame::IntroductionDown(2999)]);
}

fn hopped(channel: u64, hops: u32) -> Grant {
    Grant {
        hops,
        ..grant(channel)
    }
}

/// How many links the ports have passed that a node grants.
fn hops(said: &[Frame]) -> Vec<u32> {
    let grants = |frame: &Frame| match frame {
        Frame::Message(_, head, _) => head.grants.clone(),
        _ => Vec::new(),
    };
    said.iter()
        .flat_map(grants)
        .map(|grant| grant.hops)
        .collect()
}

fn one_message(port: &mut MessagePort) -> Message {
    match events(port).pop() {
        Some(Event::Message(message)) => message,
        other => panic!("{other:?} instead of a message"),
    }
}

#[test]
fn links_are_counted_anew_when_a_user_moves_a_port_and_not_when_it_only_follows() {
    let mut several = greeted(&[PEER, OTHER]);
    // An outer port, and one in its queue which has passed 100 links: nobody receives it.
    several.say(PEER, &[message(0, 0, vec![hopped(2, 7)])]);
    several.say(PEER, &[message(2, 0, vec![hopped(4, 100)])]);
    let outer = one_message(several.ports.get_mut(&PEER).expect("it is up"))
        .ports
        .remove(0);
    // Moved by a user, who has received it or not.
    let carrier = &several.ports[&OTHER];
    carrier.post_message(Message::new("").with_port(outer));
    assert_eq!(hops(&several.said(OTHER)), [1, 1]);
    // What comes later only follows.
    several.say(PEER, &[message(2, 1, vec![hopped(6, 100)])]);
    assert_eq!(hops(&several.said(OTHER)), [101]);
    // And so does what has landed in the queue of a port that follows.
    several.say(PEER, &[message(0, 1, vec![hopped(8, 50)])]);
    several.say(PEER, &[message(8, 0, vec![hopped(10, 60)])]);
    let port = several.ports.get_mut(&PEER).expect("it is up");
    let Some(Event::Message(mut read)) = events(port).pop() else {
        panic!("a message");
    };
    let mut held = read.ports.remove(0).receive();
    let inner = one_message(&mut held).ports.remove(0).receive();
    let inner = inner.transfer().expect("not closed");
    several.ports[&OTHER].post_message(Message::new("").with_port(inner));
    assert_eq!(hops(&several.said(OTHER)), [1], "a user has posted it");
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn a_message_that_runs_after_its_own_target_ends_its_route() {
    // What is behind it does not pass either, be it a message or the marker of a splice.
    for (marker, ended) in [(false, false), (true, false), (false, true)] {
        let (mut several, granted, ticket) = stub(Limits::default());
        let endless = message(2, 0, vec![hopped(4, MAX_HOPS)]);
        let behind = if marker {
            several.say(PEER, &[Frame::Consent(2, ticket)]);
            several.say(OTHER, &[Frame::Consent(granted, ticket)]);
            assert_eq!(several.said(PEER), [Frame::Commit(2, ticket)]);
            Frame::Switched(2)
        } else if ended {
            Frame::End(2, true)
        } else {
            message(2, 1, vec![])
        };
        let said = several.say(PEER, &[endless, behind]);
        assert!(said.contains(&Frame::End(2, true)), "{said:?}");
        assert!(said.contains(&Frame::End(4, true)), "{said:?}");
        let on_route = |frame: &Frame| match frame {
            Frame::Message(channel, ..) | Frame::End(channel, _) | Frame::Switched(channel) => {
                *channel == granted
            }
            _ => false,
        };
        let mut said = several.said(OTHER);
        said.retain(on_route);
        assert_eq!(said, [Frame::End(granted, true)]);
        assert_eq!(several.closed, BTreeMap::new());
    }
}

#[test]
fn a_neighbour_whose_counterpart_refuses_is_free_for_another_proposal() {
    let (mut several, granted, ticket) = stub(Limits::default());
    several.say(OTHER, &[Frame::Consent(granted, ticket)]);
    several.say(PEER, &[Frame::Abort(2, ticket)]);
    assert!(several.said(OTHER).contains(&Frame::Withdraw(granted)));
    assert_eq!(several.closed, BTreeMap::new());
}
