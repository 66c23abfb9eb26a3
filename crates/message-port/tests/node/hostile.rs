//! A peer that says whatever it likes: what the fuzz target feeds, and what every test run mutates.

use std::time::Instant;

use bytes::Bytes;
use message_port::node::{Input, Limits, LinkId, LinkKind, Node, Output};
use message_port::{Event, MessagePort};

/// The preface and greeting of a trusted initiator: 64 KiB and 16 messages a port, messages of up
/// to 1 MiB, 64 queued ports, 64 channels.
const GREETING: &[u8] = b"MPrt\0\x01\0\0\0\x0b\0\x01\x80\x80\x04\x10\x80\x80\x40\x40\x40";

/// Feeds a node with what a peer says, after a proper greeting or without one (the first byte
/// tells, and how it is divided). No panic, and the node can be taken down to nothing afterwards.
/// Whether the node has kept the link.
pub(crate) fn feed(data: &[u8]) -> bool {
    let now = Instant::now();
    let mut node = Node::new(Limits::default(), || {});
    let (link, kind) = (LinkId(1), LinkKind::Trusted { initiator: false });
    node.handle_input(now, Input::LinkOpened { link, kind });
    let Some((first, data)) = data.split_first() else {
        return true;
    };
    if first % 2 == 0 {
        let bytes = Bytes::from_static(GREETING);
        node.handle_input(now, Input::Received { link, bytes });
    }
    let mut held = Vec::new();
    for part in data.chunks(1 + usize::from(first / 2)) {
        let bytes = Bytes::copy_from_slice(part);
        node.handle_input(now, Input::Received { link, bytes });
        turn(now, &mut node, &mut held);
    }
    let kept = node.census().links == 1;
    drop(held);
    node.handle_input(now, Input::LinkLost { link });
    while node.poll_output().is_some() {}
    let census = node.census();
    assert_eq!((census.links, census.ports, census.channels), (0, 0, 0));
    kept
}

/// Does what the node wants, and receives all that comes, ports included.
fn turn(now: Instant, node: &mut Node, held: &mut Vec<MessagePort>) {
    while let Some(output) = node.poll_output() {
        match output {
            Output::Write { link, bytes } => {
                let count = bytes.len();
                node.handle_input(now, Input::Written { link, count });
            }
            Output::LinkUp { port, .. } => held.extend(port),
            Output::LinkClosed { .. } => {}
            Output::Introduce { introduction, .. } => {
                let tokens = None;
                node.handle_input(
                    now,
                    Input::Introduction {
                        introduction,
                        tokens,
                    },
                );
            }
        }
        let mut come = Vec::new();
        for port in held.iter_mut() {
            port.start();
            while let Ok(event) = port.try_recv() {
                if let Event::Message(message) = event {
                    come.extend(message.ports.into_iter().map(|port| port.receive()));
                }
            }
        }
        held.append(&mut come);
    }
}
