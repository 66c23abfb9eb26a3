//! Peers that send without end and neither read nor keep what was agreed.

use super::several::Several;
use super::{Stand, bytes_of, grant, hello, message};
use crate::node::wire::{Frame, Proposal};
use crate::node::{Input, Limits, LinkError, LinkId, LinkKind, Output, Token};
use crate::{Event, Message, MessageChannel, MessagePort};

const LINK: LinkId = LinkId(1);
const OTHER: LinkId = LinkId(2);

#[test]
fn closes_of_former_partners_need_credit() {
    let limits = Limits {
        window_messages: 4,
        ..Limits::default()
    };
    let closes: Vec<Frame> = (0..5).map(|n| Frame::Close(0, n)).collect();
    assert_eq!(
        Stand::up_with(limits).error_of(&closes),
        LinkError::CreditExceeded
    );
    // Received, they are credited as messages are.
    let mut stand = Stand::up_with(limits);
    for n in 0..100 {
        let said = stand.say(&[Frame::Close(0, n)], false);
        assert_eq!(said, []);
        let port = stand.port.as_mut().expect("the link is up");
        assert!(matches!(port.try_recv(), Ok(Event::Close)));
        let said = stand.poll();
        let credit = |frame: &Frame| matches!(frame, Frame::Credit(0, 0, 2));
        assert_eq!(said.iter().any(credit), n % 2 == 1, "{said:?}");
    }
    assert_eq!(stand.closed, None);
}

#[test]
fn closes_of_former_partners_wait_for_credit() {
    let mut stand = Stand::up();
    let (ours, theirs) = MessageChannel::new().into();
    let mut port = ours;
    for _ in 0..30 {
        // The link that `port` has is broken each time, and leaves a close in its queue.
        let mut next = MessagePort::new();
        MessagePort::entangle(&mut port, &mut next).expect("both are open");
        drop(next);
    }
    drop(theirs);
    let mut last = MessagePort::new();
    MessagePort::entangle(&mut port, &mut last).expect("both are open");
    let carrier = stand.port.as_ref().expect("the link is up");
    carrier.post_message(Message::new("").with_port(port.transfer().expect("open")));
    let said = stand.poll();
    let closes = |said: &[Frame]| {
        said.iter()
            .filter(|frame| matches!(frame, Frame::Close(1, _)))
            .count()
    };
    assert_eq!(closes(&said), 10, "as many as the peer takes");
    let said = stand.say(&[Frame::Credit(1, 0, 3)], false);
    assert_eq!(closes(&said), 3);
}

#[test]
fn a_peer_that_does_not_read_its_answers_loses_its_link() {
    let limits = Limits {
        unwritten: 100_000,
        link_buffer: 1,
        ..Limits::default()
    };
    let mut several = Several::up(&[LINK, OTHER], limits);
    let wait = |n| {
        let ticket = n;
        let introduction = 0;
        Frame::Propose(
            0,
            Proposal::Await {
                introduction,
                ticket,
            },
        )
    };
    let mut most = 0;
    for round in 0..20_000 {
        let frames: Vec<Frame> = (0..10).map(|n| wait(round * 10 + n)).collect();
        let bytes = bytes_of(&frames, false).freeze();
        let link = LINK;
        let now = several.now;
        several
            .node
            .handle_input(now, Input::Received { link, bytes });
        // What is handed out is never written.
        while let Some(output) = several.node.poll_output() {
            match output {
                Output::Write { link: LINK, bytes } => most += bytes.len(),
                Output::LinkClosed { link, error } => drop(several.closed.insert(link, error)),
                _ => {}
            }
        }
        if several.closed.contains_key(&LINK) {
            break;
        }
    }
    assert!(
        matches!(several.closed[&LINK], LinkError::PeerDoesNotRead(waiting) if waiting > 100_000)
    );
    assert!(most < 1_000_000, "{most}");
    assert!(!several.closed.contains_key(&OTHER));
}

#[test]
fn a_peer_that_reads_may_be_answered_without_end() {
    let limits = Limits {
        unwritten: 100_000,
        ..Limits::default()
    };
    let mut several = Several::up(&[LINK], limits);
    for ticket in 0..100_000 {
        let introduction = 0;
        let wait = Proposal::Await {
            introduction,
            ticket,
        };
        several.say(LINK, &[Frame::Propose(0, wait)]);
    }
    assert!(several.closed.is_empty());
}

#[test]
fn channels_that_a_peer_never_ends_are_bounded() {
    let limits = Limits {
        channels: 100,
        ..Limits::default()
    };
    // Ports that are received and dropped at once.
    let mut several = Several::up(&[LINK], limits);
    for n in 0..1000 {
        several.say(LINK, &[message(0, n, vec![grant(2 + 2 * n)])]);
        let port = several.ports.get_mut(&LINK).expect("the link was up");
        port.start();
        while port.try_recv().is_ok() {}
        several.poll();
        if !several.closed.is_empty() {
            break;
        }
        assert!(several.node.census().channels <= 201);
    }
    assert_eq!(several.closed[&LINK], LinkError::TooManyChannels);
    // Channels by tickets that nobody has issued.
    let mut several = Several::up(&[LINK], limits);
    let attached: Vec<Frame> = (1..1000)
        .map(|n| Frame::Attach(2 * n, 0, Token(9)))
        .collect();
    several.say(LINK, &attached);
    assert_eq!(several.closed[&LINK], LinkError::TooManyChannels);
}

#[test]
fn no_more_channels_are_opened_than_the_peer_takes() {
    let mut stand = Stand::open(Limits::default(), LinkKind::Trusted { initiator: false });
    let mut theirs = hello(true, None);
    theirs.channels = 5;
    theirs.queued_ports = 100;
    theirs.window_messages = 100;
    stand.say(&[Frame::Hello(theirs)], true);
    let carrier = stand.port.take().expect("the link is up");
    let mut kept = Vec::new();
    for _ in 0..20 {
        let (ours, theirs) = MessageChannel::new().into();
        kept.push(ours);
        carrier.post_message(Message::new("").with_port(theirs.transfer().expect("open")));
    }
    let granted = |said: &[Frame]| {
        let grants = |frame: &Frame| match frame {
            Frame::Message(0, head, _) => head.grants.len(),
            _ => 0,
        };
        said.iter().map(grants).sum::<usize>()
    };
    assert_eq!(granted(&stand.poll()), 5);
    let said = stand.say(&[Frame::Adopted(1, 1), Frame::End(1, true)], false);
    assert_eq!(granted(&said), 1, "{said:?}");
}

#[test]
fn a_message_with_many_ports_is_not_overtaken_for_ever() {
    let mut stand = Stand::up();
    let mut carrier = stand.port.take().expect("the link is up");
    let mut kept = Vec::new();
    let mut port = || {
        let (ours, theirs) = MessageChannel::new().into();
        kept.push(ours);
        theirs.transfer().expect("open")
    };
    // Two more ways, then nine of ten ports are taken.
    let (one, first) = MessageChannel::new().into();
    let (two, second) = MessageChannel::new().into();
    let mut message = Message::new("");
    for end in [first, second] {
        message = message.with_port(end.transfer().expect("open"));
    }
    for _ in 0..7 {
        message = message.with_port(port());
    }
    carrier.post_message(message);
    stand.poll();
    // Four ports here, and there one by one.
    let mut message = Message::new("four");
    for _ in 0..4 {
        message = message.with_port(port());
    }
    one.post_message(message);
    for _ in 0..40 {
        two.post_message(Message::new("one").with_port(port()));
    }
    let mut said = stand.poll();
    let mut adopted = 1;
    while !said
        .iter()
        .any(|frame| matches!(frame, Frame::Message(1, ..)))
    {
        assert!(adopted < 41, "it is overtaken for ever");
        said = stand.say(&[Frame::Adopted(adopted, 1), Frame::Credit(3, 1, 1)], false);
        adopted += 2;
    }
    assert_eq!(adopted, 7, "as soon as there is room");
    drop((carrier.try_recv(), two));
}

#[test]
fn stubs_that_are_gone_do_not_wait_for_an_introduction() {
    let mut several = Several::up(&[LINK, OTHER], Limits::default());
    for n in 0..1000 {
        let channel = 2 + 2 * n;
        several.say(LINK, &[message(0, n, vec![grant(channel)])]);
        let port = several.ports.get_mut(&LINK).expect("the link is up");
        port.start();
        let Ok(Event::Message(mut received)) = port.try_recv() else {
            panic!("a message");
        };
        let carried = received.ports.remove(0);
        several.ports[&OTHER].post_message(Message::new("").with_port(carried));
        several.poll();
        let there = 1 + 2 * n;
        several.say(LINK, &[Frame::End(channel, true)]);
        several.say(OTHER, &[Frame::Adopted(there, 2), Frame::End(there, true)]);
        several.say(OTHER, &[Frame::Credit(0, 1, 1)]);
    }
    assert!(several.closed.is_empty(), "{:?}", several.closed);
    assert_eq!(several.node.waiting_stubs(), 0);
}

#[test]
fn busy_links_take_turns() {
    // Written at once, so that there is always room.
    let mut several = Several::up(&[LINK, OTHER], Limits::default());
    for link in [LINK, OTHER] {
        several.ports[&link].post_message(Message::new(vec![0; 64 << 20]));
    }
    let mut written = [0usize; 2];
    while let Some(output) = several.node.poll_output() {
        if let Output::Write { link, bytes } = output {
            let count = bytes.len();
            written[usize::from(link == OTHER)] += count;
            let now = several.now;
            several
                .node
                .handle_input(now, Input::Written { link, count });
            let apart = written[0].abs_diff(written[1]);
            assert!(apart <= 2 * Limits::default().link_buffer, "{written:?}");
        }
    }
    assert!(written.iter().all(|count| *count > 64 << 20));
}
