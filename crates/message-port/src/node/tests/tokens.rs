//! What tokens open, and to whom.

use std::collections::BTreeMap;

use super::message;
use super::several::{Several, about_to_attach, attach, events, introduction};
use crate::Event;
use crate::node::wire::{Frame, Introduction};
use crate::node::{Input, Limits, LinkError, LinkId, LinkKind};

const BROKER: LinkId = LinkId(1);
const PEER: LinkId = LinkId(2);
const OTHER: LinkId = LinkId(3);

#[test]
fn a_token_opens_one_link() {
    let Introduction { show, expect, .. } = introduction(0);
    for second in [LinkKind::Accepted, LinkKind::Introduced { token: show }] {
        let mut several = Several::up(&[BROKER], Limits::default());
        several.say(BROKER, &[Frame::Introduction(introduction(0))]);
        let kind = LinkKind::Introduced { token: show };
        several.open(PEER, kind, Some(expect));
        assert_eq!(several.said(BROKER), [Frame::IntroductionUp(0)]);
        // The same again.
        several.open(OTHER, second, Some(expect));
        assert_eq!(several.said(BROKER), []);
        assert_eq!(several.said(OTHER), [], "it is not even greeted");
        let late = several
            .node
            .poll_timeout()
            .expect("it has to be introduced");
        several.node.handle_timeout(late);
        several.poll();
        assert!(matches!(several.closed[&OTHER], LinkError::HelloTimeout(_)));
        assert_eq!(several.closed.len(), 1);
    }
}

#[test]
fn a_link_that_the_host_vouches_for_serves_once_its_peer_has_proved_it() {
    let mut several = Several::up(&[BROKER, PEER, OTHER], Limits::default());
    let Introduction { show, expect, .. } = introduction(0);
    several.said(BROKER);
    several.said(PEER);
    let said = several.say(BROKER, &[Frame::Introduction(introduction(0))]);
    assert_eq!(said, []);
    several.input(Input::LinkVouched {
        link: PEER,
        token: show,
    });
    assert_eq!(several.said(PEER), [Frame::Prove(show)]);
    assert_eq!(several.said(BROKER), [], "the peer has not said so");
    several.say(OTHER, &[Frame::Prove(expect)]);
    assert_eq!(several.said(BROKER), [], "it was another");
    several.say(PEER, &[Frame::Prove(expect)]);
    assert_eq!(several.said(BROKER), [Frame::IntroductionUp(0)]);
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn a_ticket_opens_nothing_on_another_link() {
    let mut several = about_to_attach();
    several.open(OTHER, LinkKind::Trusted { initiator: false }, None);
    several.said(OTHER);
    // It knows the ticket, and even the token.
    let stolen = Frame::Attach(2, 5, introduction(0).expect);
    let said = several.say(OTHER, &[stolen, message(2, 0, vec![])]);
    assert_eq!(said, [Frame::End(2, true)]);
    assert_eq!(several.said(BROKER), [], "the route has not switched");
    let port = several.ports.get_mut(&BROKER).expect("it is up");
    assert!(events(port).is_empty());
    // The one that it is for takes it yet.
    several.say(PEER, &[attach(), message(0, 0, vec![])]);
    several.say(BROKER, &[Frame::Switched(0)]);
    let port = several.ports.get_mut(&BROKER).expect("it is up");
    assert!(matches!(&events(port)[..], [Event::Message(_)]));
    assert_eq!(several.closed, BTreeMap::new());
}
