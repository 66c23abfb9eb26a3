//! Single stories of ports that move between processes.

use message_port::node::{Limits, LinkError, Node};
use message_port::{Event, Message, MessageChannel, MessagePort, TryRecvError};

use super::world::{Refuse, World};

/// Processes in a line, and the two ends of the first port over each link.
fn line(processes: usize) -> (World, Vec<(MessagePort, MessagePort)>) {
    let mut world = World::new(vec![Limits::default(); processes], Refuse::Never);
    let mut ports = Vec::new();
    for b in 1..processes {
        world.connect(b - 1, b);
        world.quiesce();
        let mut pair = std::mem::take(&mut world.first_ports);
        pair.sort_by_key(|(process, ..)| *process);
        let (_, _, second) = pair.pop().expect("the second end");
        let (_, _, first) = pair.pop().expect("the first end");
        ports.push((first, second));
    }
    (world, ports)
}

/// How many bytes an `End` has on a channel with a low number.
const END: usize = 7;

fn send(from: &MessagePort, port: MessagePort) {
    let port = port.transfer().expect("not closed");
    from.post_message(Message::new("a port").with_port(port));
}

/// The next event, which must be a message that says `payload`; its first port, received.
fn take(port: &mut MessagePort, payload: &str) -> Option<MessagePort> {
    port.start();
    match port.try_recv() {
        Ok(Event::Message(mut message)) => {
            assert_eq!(message.payload, payload);
            let ports = message.ports.drain(..).next();
            ports.map(|port| port.receive())
        }
        other => panic!("{other:?} instead of {payload}"),
    }
}

fn stubs(world: &World) -> usize {
    let count = |node: &Option<Node>| node.as_ref().map_or(0, |node: &Node| node.census().stubs);
    world.nodes.iter().map(count).sum()
}

#[test]
fn a_port_that_moves_a_thousand_times_leaves_nothing_behind() {
    let (mut world, mut links) = line(2);
    let (a, b) = &mut links[0];
    let MessageChannel { port1: home, port2 } = MessageChannel::new();
    let mut far = port2;
    for round in 0..500 {
        home.post_message(Message::new(format!("round {round}")));
        send(a, far);
        world.quiesce();
        far = take(b, "a port").expect("it has come");
        send(b, far);
        world.quiesce();
        far = take(a, "a port").expect("it is back");
        let census = world.nodes[0].as_ref().map(|node| node.census());
        assert!(census.is_some_and(|census| census.ports <= 2), "{census:?}");
        let census = world.nodes[1].as_ref().map(|node| node.census());
        assert!(census.is_some_and(|census| census.ports <= 1), "{census:?}");
    }
    for round in 0..500 {
        take(&mut far, &format!("round {round}"));
    }
    assert!(matches!(far.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_port_that_goes_down_a_line_is_reached_directly_in_the_end() {
    let (mut world, mut links) = line(5);
    let MessageChannel { port1: home, port2 } = MessageChannel::new();
    let mut far = port2;
    for (at, (near, next)) in links.iter_mut().enumerate() {
        home.post_message(Message::new(format!("before {at}")));
        send(near, far);
        home.post_message(Message::new(format!("after {at}")));
        world.quiesce();
        far = take(next, "a port").expect("it has come");
    }
    world.quiesce();
    assert_eq!(stubs(&world), 0, "{:#?}", world.nodes);
    for at in 0..4 {
        take(&mut far, &format!("before {at}"));
        take(&mut far, &format!("after {at}"));
    }
    // The processes between may go.
    for process in 1..4 {
        world.kill(process);
    }
    home.post_message(Message::new("direct"));
    world.quiesce();
    take(&mut far, "direct");
    drop(home);
    world.quiesce();
    assert!(matches!(far.try_recv(), Ok(Event::Close)));
    assert!(matches!(far.try_recv(), Err(TryRecvError::Closed)));
}

#[test]
fn a_disentangled_port_arrives_with_its_queue_and_without_a_close() {
    let (mut world, mut links) = line(2);
    let (a, b) = &mut links[0];
    let MessageChannel { port1, port2 } = MessageChannel::new();
    port1.post_message(Message::new("queued"));
    port2.disentangle();
    send(a, port2);
    world.quiesce();
    let mut port2 = take(b, "a port").expect("it has come");
    world.quiesce();
    take(&mut port2, "queued");
    world.quiesce();
    assert!(matches!(port2.try_recv(), Err(TryRecvError::Closed)));
    assert!(!port2.is_entangled());
}

#[test]
fn the_close_of_a_former_partner_keeps_its_place() {
    let (mut world, mut links) = line(2);
    let (a, b) = &mut links[0];
    let (former, mut port) = MessageChannel::new().into();
    let mut partner = MessagePort::new();
    former.post_message(Message::new("from the former"));
    drop(former);
    MessagePort::entangle(&mut port, &mut partner).expect("both are open");
    partner.post_message(Message::new("from the partner"));
    send(a, port);
    world.quiesce();
    let mut port = take(b, "a port").expect("it has come");
    world.quiesce();
    take(&mut port, "from the former");
    assert!(matches!(port.try_recv(), Ok(Event::Close)));
    take(&mut port, "from the partner");
    port.post_message(Message::new("answer"));
    world.quiesce();
    let mut got = partner;
    take(&mut got, "answer");
}

#[test]
fn a_process_that_dies_closes_its_ports_after_their_last_message() {
    let (mut world, mut links) = line(2);
    let (mut a, b) = links.pop().expect("one link");
    b.post_message(Message::new("last words"));
    world.quiesce();
    world.kill(1);
    world.quiesce();
    take(&mut a, "last words");
    assert!(matches!(a.try_recv(), Ok(Event::Close)));
    assert!(matches!(a.try_recv(), Err(TryRecvError::Closed)));
    let census = world.nodes[0].as_ref().map(|node| node.census());
    assert_eq!(
        census.map(|census| (census.ports, census.links)),
        Some((0, 0))
    );
}

#[test]
fn an_attachment_stays_in_its_process() {
    let (mut world, mut links) = line(2);
    let (a, b) = &mut links[0];
    a.post_message(Message::new("far").with_attachment(1));
    world.quiesce();
    b.start();
    match b.try_recv() {
        Ok(Event::Message(message)) => assert!(message.attachment.is_none()),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.closed, [] as [(usize, LinkError); 0]);
}

#[test]
fn a_port_cut_by_a_message_over_the_limit_closes_at_both_ends() {
    let mut limits = Limits::default();
    limits.max_message = 10;
    let mut world = World::new(vec![limits; 2], Refuse::Never);
    world.connect(0, 1);
    world.quiesce();
    let mut ports = std::mem::take(&mut world.first_ports);
    ports[0].2.post_message(Message::new("short"));
    ports[0].2.post_message(Message::new("much too long"));
    world.quiesce();
    take(&mut ports[1].2, "short");
    assert!(matches!(ports[1].2.try_recv(), Ok(Event::Close)));
    assert!(matches!(ports[0].2.try_recv(), Ok(Event::Close)));
    assert_eq!(
        world.closed,
        [] as [(usize, LinkError); 0],
        "the link stays"
    );
}

#[test]
fn ports_beyond_the_quota_wait_until_others_are_received() {
    let mut limits = Limits::default();
    limits.queued_ports = 3;
    let mut world = World::new(vec![limits; 2], Refuse::Never);
    world.connect(0, 1);
    world.quiesce();
    let mut ports = std::mem::take(&mut world.first_ports);
    let (_, _, mut b) = ports.pop().expect("the second end");
    let (_, _, a) = ports.pop().expect("the first end");
    let mut kept = Vec::new();
    for _ in 0..10 {
        let (ours, theirs) = MessageChannel::new().into();
        kept.push(ours);
        send(&a, theirs);
    }
    world.quiesce();
    let census = world.nodes[0].as_ref().map(|node| node.census());
    assert_eq!(census.map(|census| census.unacknowledged), Some(3));
    let mut come = Vec::new();
    for _ in 0..10 {
        come.push(take(&mut b, "a port").expect("a port"));
        world.quiesce();
    }
    let census = world.nodes[0].as_ref().map(|node| node.census());
    assert_eq!(census.map(|census| census.unacknowledged), Some(0));
}

#[test]
fn a_port_with_a_full_queue_may_be_passed_to_and_fro_without_being_read() {
    let mut limits = Limits::default();
    limits.window_messages = 2;
    let mut world = World::new(vec![limits; 2], Refuse::Never);
    world.connect(0, 1);
    world.quiesce();
    let mut links = std::mem::take(&mut world.first_ports);
    links.sort_by_key(|(process, ..)| *process);
    let (_, _, mut b) = links.pop().expect("the second end");
    let (_, _, mut a) = links.pop().expect("the first end");
    let MessageChannel { port1: home, port2 } = MessageChannel::new();
    let mut far = port2;
    for n in 0..1000 {
        home.post_message(Message::new(format!("{n}")));
    }
    for _ in 0..200 {
        send(&a, far);
        world.quiesce();
        far = take(&mut b, "a port").expect("it has come");
        send(&b, far);
        world.quiesce();
        far = take(&mut a, "a port").expect("it is back");
        assert_eq!(world.closed, [] as [(usize, LinkError); 0]);
    }
    for n in 0..1000 {
        world.quiesce();
        take(&mut far, &format!("{n}"));
    }
    world.quiesce();
    assert_eq!(stubs(&world), 0, "{:#?}", world.nodes);
}

#[test]
fn a_port_that_is_dropped_without_credit_frees_what_was_on_its_way_to_it() {
    let mut limits = Limits::default();
    limits.window_messages = 2;
    limits.queued_ports = 1;
    let mut world = World::new(vec![limits; 2], Refuse::Never);
    world.connect(0, 1);
    world.quiesce();
    let mut ports = std::mem::take(&mut world.first_ports);
    ports.sort_by_key(|(process, ..)| *process);
    let (_, _, mut far) = ports.pop().expect("the second end");
    let (_, _, near) = ports.pop().expect("the first end");
    let mut pair = || {
        let (here, there) = MessageChannel::new().into();
        send(&near, there);
        world.quiesce();
        let there = take(&mut far, "a port").expect("it has come");
        world.quiesce();
        (here, there)
    };
    let ((a, b), (_unread, d)) = (pair(), pair());
    let (_y, taken) = MessageChannel::new().into();
    send(&d, taken); // The quota is spent.
    for _ in 0..3 {
        a.post_message(Message::new("")); // Beyond the credit: the end of `a` has to wait.
    }
    // A port waits for the quota on its way to `a`; in its queue travels the port that could
    // return the credit.
    let (outer, inner) = MessageChannel::new().into();
    send(&b, inner);
    send(&outer, b);
    drop(outer);
    world.quiesce();
    drop(a);
    world.quiesce();
    let left = world.nodes.iter().flatten().map(Node::census);
    let left: Vec<usize> = left.map(|census| census.ports).collect();
    assert_eq!(
        left,
        [3, 3],
        "near, far, unread, d, and what waits there: {:#?}",
        world.nodes
    );
}

#[test]
fn a_port_that_has_heard_its_close_hears_no_second_one_when_its_move_is_cut_off() {
    let (mut world, mut links) = line(2);
    let (a, b) = &mut links[0];
    let (partner, mut port) = MessageChannel::new().into();
    drop(partner);
    assert!(matches!(port.try_recv(), Ok(Event::Close)));
    send(a, port);
    // The message comes, and nothing after it.
    world.poll(0);
    let first = world.streams[0].pipes[0].bytes.len();
    let message = first - END;
    assert!(world.carry(0, 0, message));
    world.cut(0);
    world.quiesce();
    let mut port = take(b, "a port").expect("it has come");
    assert!(matches!(port.try_recv(), Err(TryRecvError::Closed)));
}

#[test]
fn a_port_that_its_holder_has_disentangled_hears_no_close_when_its_move_is_cut_off() {
    let (mut world, mut links) = line(2);
    let (a, b) = &mut links[0];
    let (partner, port) = MessageChannel::new().into();
    partner.post_message(Message::new("queued"));
    port.disentangle();
    send(a, port);
    // The message comes and what was queued, and nothing after it.
    world.poll(0);
    let first = world.streams[0].pipes[0].bytes.len();
    assert!(world.carry(0, 0, first - END));
    world.cut(0);
    world.quiesce();
    let mut port = take(b, "a port").expect("it has come");
    take(&mut port, "queued");
    assert!(matches!(port.try_recv(), Err(TryRecvError::Closed)));
}

#[test]
fn a_port_whose_partner_has_closed_hears_one_close_when_its_move_is_cut_off() {
    for cut in [false, true] {
        let (mut world, mut links) = line(2);
        let (a, b) = &mut links[0];
        let (partner, port) = MessageChannel::new().into();
        partner.post_message(Message::new("queued"));
        drop(partner);
        send(a, port);
        world.poll(0);
        let first = world.streams[0].pipes[0].bytes.len();
        assert!(world.carry(0, 0, if cut { first - END } else { first }));
        world.cut(0);
        world.quiesce();
        let mut port = take(b, "a port").expect("it has come");
        take(&mut port, "queued");
        assert!(matches!(port.try_recv(), Ok(Event::Close)), "{cut}");
        assert!(matches!(port.try_recv(), Err(TryRecvError::Closed)));
    }
}
