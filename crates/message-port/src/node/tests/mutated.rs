//! Frames of every kind, encoded, mutated and cut in any division: the wire format, and a node that is
//! told so.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{LINK, Stand, bytes_of, grant, hello, message};
use crate::Message;
use crate::node::wire::{Decoder, Frame, Head, Proposal};
use crate::node::{Input, LinkId, LinkKind, Output, Token};

/// SplitMix64.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize >> 1
}

/// Frames of every kind, some of which make sense.
fn samples(state: &mut u64) -> Vec<Frame> {
    let small = |state: &mut u64| (random(state) % 6) as u64;
    (0..1 + random(state) % 12)
        .map(|at| {
            let (a, b) = (small(state), small(state));
            match random(state) % 22 {
                0 => Frame::Credit(a, b, 1),
                1 => Frame::Adopted(a, 1),
                2 => Frame::Propose(a, Proposal::Fold { other: b }),
                3 => Frame::Propose(
                    a,
                    Proposal::Open {
                        introduction: b,
                        ticket: 0,
                    },
                ),
                4 => Frame::Propose(
                    a,
                    Proposal::Await {
                        introduction: b,
                        ticket: 0,
                    },
                ),
                5 => Frame::Consent(a, b),
                6 => Frame::Commit(a, b),
                7 => Frame::Abort(a, b),
                8 => Frame::Withdraw(a),
                9 => Frame::Attach(a, b, Token(1)),
                10 => Frame::End(a, b > 2),
                11 => Frame::Switched(a),
                12 => Frame::Stop(a),
                13 => Frame::Close(a, at as u64),
                14 => Frame::Head(
                    a,
                    Head {
                        sequence: at as u64,
                        grants: vec![],
                    },
                    3,
                ),
                15 => Frame::Chunk(a, Bytes::from_static(b"xyz")),
                16 => Frame::IntroductionUp(a),
                17 => Frame::Prove(Token(1)),
                18 => message(0, at as u64, vec![grant(2), grant(4)]),
                19 => Frame::Heard(a, b),
                _ => message(0, at as u64, vec![]),
            }
        })
        .collect()
}

#[test]
fn mutated_frames_close_their_link_or_do_nothing_and_harm_no_other() {
    let mut state = 0x5eed;
    println!("seed {state:#x}");
    let mut errors: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..20_000 {
        let mut stand = Stand::up();
        // A second link, with a port that must not notice.
        let (link, kind) = (LinkId(9), LinkKind::Trusted { initiator: false });
        let now = stand.now;
        stand
            .node
            .handle_input(now, Input::LinkOpened { link, kind });
        let mut honest = stand.port.take();
        let bytes = bytes_of(&[Frame::Hello(hello(true, None))], true).freeze();
        stand
            .node
            .handle_input(now, Input::Received { link, bytes });
        while let Some(output) = stand.node.poll_output() {
            if let Output::LinkUp {
                port: Some(port), ..
            } = output
            {
                stand.port = Some(port);
            }
        }
        std::mem::swap(&mut stand.port, &mut honest);

        let mut bytes = bytes_of(&samples(&mut state), false);
        for _ in 0..random(&mut state) % 4 {
            let at = random(&mut state) % bytes.len();
            match random(&mut state) % 3 {
                0 => bytes[at] ^= 1 << (random(&mut state) % 8),
                1 => bytes[at] = random(&mut state) as u8,
                _ => bytes.truncate(at.max(1)),
            }
        }
        // In any division.
        while !bytes.is_empty() {
            let count = 1 + random(&mut state) % bytes.len();
            let part = bytes.split_to(count).freeze();
            let link = LINK;
            let input = Input::Received { link, bytes: part };
            stand.node.handle_input(now, input);
        }
        let mut other_port = honest.take().expect("the second link is up");
        other_port.post_message(Message::new("still here"));
        let mut alive = false;
        while let Some(output) = stand.node.poll_output() {
            match output {
                Output::Write {
                    link: LinkId(9), ..
                } => alive = true,
                Output::LinkClosed { link, error } => {
                    assert_eq!(link, LINK);
                    let name = format!("{error:?}");
                    let name = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
                    *errors.entry(name).or_default() += 1;
                }
                _ => {}
            }
        }
        assert!(alive && other_port.try_recv().is_err() && other_port.is_entangled());
        // And the whole can be taken down.
        stand.node.handle_input(now, Input::LinkLost { link: LINK });
        while stand.node.poll_output().is_some() {}
        assert_eq!(stand.node.census().channels, 1);
    }
    println!("{errors:?}");
    assert!(errors.len() >= 6, "the mutations reach little: {errors:?}");
}

#[test]
fn frames_survive_encoding_in_any_division() {
    let mut state = 0xf00d;
    println!("seed {state:#x}");
    for _ in 0..2_000 {
        let frames = samples(&mut state);
        let mut bytes = bytes_of(&frames, true);
        let mut decoder = Decoder::default();
        let mut decoded = Vec::new();
        while !bytes.is_empty() {
            let count = 1 + random(&mut state) % bytes.len();
            decoder.push(bytes.split_to(count).freeze());
            while let Some(frame) = decoder.next().expect("what was encoded") {
                decoded.push(frame);
            }
        }
        assert_eq!(decoded, frames);
    }
}
