//! Proposals of two neighbouring stubs that cross: of one channel the node goes first, of the other
//! its neighbour.

use std::collections::BTreeMap;

use super::several::{Several, stub};
use crate::node::wire::{Frame, Proposal};
use crate::node::{Limits, LinkError, LinkId};

/// It has allotted the channel between its stub and this one.
const PEER: LinkId = LinkId(2);
/// The channel to this one's stub was allotted here.
const OTHER: LinkId = LinkId(3);

/// What is answered at once: there is no such introduction.
fn refused(ticket: u64) -> Proposal {
    let introduction = 9;
    Proposal::Await {
        introduction,
        ticket,
    }
}

/// The ticket of what the node has proposed about a channel.
fn proposed(said: &[Frame], channel: u64) -> Option<u64> {
    said.iter().find_map(|frame| match frame {
        Frame::Propose(at, Proposal::Open { ticket, .. } | Proposal::Await { ticket, .. }) => {
            (*at == channel).then_some(*ticket)
        }
        _ => None,
    })
}

/// A stub has proposed to both; the peer, which goes first, has proposed as well before it read
/// that. The other one has, and this was read earlier or later.
fn crossed(earlier: bool) -> (Several, u64, u64) {
    let (mut several, granted, own) = stub(Limits::default());
    assert_eq!(proposed(&several.said(PEER), 2), Some(own));
    let void = [Frame::Propose(granted, refused(1))];
    let mut said = Vec::new();
    if earlier {
        said.extend(several.say(OTHER, &void));
    }
    let to_peer = several.say(PEER, &[Frame::Propose(2, refused(7))]);
    assert!(to_peer.contains(&Frame::Abort(2, 7)), "{to_peer:?}");
    assert!(to_peer.contains(&Frame::Heard(2, 1)), "{to_peer:?}");
    let again = proposed(&to_peer, 2).expect("what was taken back is proposed again");
    assert_ne!(again, own);
    said.extend(several.said(OTHER));
    if !earlier {
        said.extend(several.say(OTHER, &void));
    }
    assert_eq!(said.first(), Some(&Frame::Withdraw(granted)));
    assert_eq!(proposed(&said, granted), Some(again));
    let answers = |frame: &Frame| matches!(frame, Frame::Abort(..) | Frame::Consent(..));
    assert!(!said.iter().any(answers), "{said:?}");
    (several, granted, again)
}

#[test]
fn a_proposal_that_has_crossed_with_one_that_goes_first_is_not_answered_even_if_that_was_taken_back()
 {
    for earlier in [true, false] {
        let (mut several, granted, again) = crossed(earlier);
        // The other one has read all of it, and agrees. (It withdraws what it has proposed.)
        let frames = [Frame::Withdraw(granted), Frame::Consent(granted, again)];
        assert_eq!(several.say(OTHER, &frames), []);
        let said = several.say(PEER, &[Frame::Consent(2, again)]);
        assert_eq!(said, [Frame::Commit(2, again)]);
        assert_eq!(several.closed, BTreeMap::new());
    }
}

#[test]
fn a_proposal_that_was_made_after_all_others_were_read_is_answered() {
    let (mut several, granted, again) = crossed(false);
    several.say(PEER, &[Frame::Abort(2, again)]);
    assert!(several.said(OTHER).contains(&Frame::Withdraw(granted)));
    let next = Frame::Propose(granted, refused(2));
    // It has read both.
    let said = several.say(OTHER, &[Frame::Heard(granted, 2), next]);
    assert!(said.contains(&Frame::Abort(granted, 2)), "{said:?}");
    assert_eq!(several.closed, BTreeMap::new());
}

#[test]
fn one_that_has_read_more_proposals_than_were_made_or_fewer_than_before_lies() {
    for lie in [3, 1, 0] {
        let (mut several, granted, _) = crossed(false);
        several.say(
            OTHER,
            &[Frame::Heard(granted, 1), Frame::Heard(granted, lie)],
        );
        let closed = BTreeMap::from([(OTHER, LinkError::UnexpectedFrame)]);
        assert_eq!(several.closed, closed, "{lie}");
    }
}

#[test]
fn a_neighbour_that_makes_a_second_proposal_before_the_first_is_withdrawn_loses_its_link() {
    let (mut several, granted, _) = crossed(false);
    let frames = [
        Frame::Heard(granted, 2),
        Frame::Propose(granted, refused(2)),
    ];
    several.say(OTHER, &frames);
    let closed = BTreeMap::from([(OTHER, LinkError::UnexpectedFrame)]);
    assert_eq!(several.closed, closed);
}
