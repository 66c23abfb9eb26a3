//! Links: greeting, coming up, and what is lost with one.

use std::mem;
use std::time::Instant;

use tracing::trace;

use super::link::{Link, Stage, Wire};
use super::pipe::{Address, Pipe, Side, Travelling};
use super::wire::{Frame, Hello};
use super::{LinkError, LinkId, LinkKind, Node, Output, Token, Work};

impl Node {
    /// There is a new stream.
    pub(super) fn open_link(&mut self, now: Instant, id: LinkId, kind: LinkKind) {
        if self.links.contains_key(&id) {
            tracing::warn!(link = id.0, "a link was opened twice");
            return;
        }
        let own = match kind {
            LinkKind::Introduced { token } => Some(token),
            LinkKind::Trusted { .. } | LinkKind::Accepted => None,
        };
        let stage = Stage::Greeting {
            deadline: now.checked_add(self.limits.hello_timeout),
            own,
            greeted: false,
            theirs: None,
        };
        let (initiator, trusted) = match kind {
            LinkKind::Trusted { initiator } => (initiator, true),
            LinkKind::Introduced { .. } | LinkKind::Accepted => (false, false),
        };
        let nothing = self.hello(initiator, None);
        self.links
            .insert(id, Link::new(stage, initiator, trusted, nothing));
        self.greeting.insert(id);
        if trusted {
            self.greet(id, None);
        } else {
            self.match_introduction(id);
        }
    }

    fn hello(&self, initiator: bool, token: Option<Token>) -> Hello {
        let (window_bytes, window_messages) = self.limits.window();
        Hello {
            initiator,
            window_bytes,
            window_messages,
            max_message: self.limits.max_message,
            queued_ports: self.limits.queued_ports,
            channels: self.limits.channels,
            token,
        }
    }

    /// Says hello.
    pub(super) fn greet(&mut self, id: LinkId, token: Option<Token>) {
        let Some(initiator) = self.links.get(&id).map(|link| link.initiator) else {
            return;
        };
        let hello = self.hello(initiator, token);
        if let Some(link) = self.links.get_mut(&id) {
            if let Stage::Greeting { greeted, .. } = &mut link.stage {
                *greeted = true;
            }
            link.number_channels();
            link.out.preface();
            link.send(&Frame::Hello(hello));
        }
    }

    /// The peer's greeting has come.
    pub(super) fn greeted(&mut self, id: LinkId, hello: Hello) -> Result<(), LinkError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if link.trusted {
            if hello.token.is_some() {
                return Err(LinkError::BadToken);
            }
            return self.establish(id, hello);
        }
        if hello.token.is_none() {
            return Err(LinkError::BadToken);
        }
        let Stage::Greeting { theirs, .. } = &mut link.stage else {
            return Err(LinkError::UnexpectedFrame);
        };
        if theirs.replace(hello).is_some() {
            return Err(LinkError::UnexpectedFrame);
        }
        self.match_introduction(id);
        Ok(())
    }

    /// The greeting is in order: the link is up.
    pub(super) fn establish(&mut self, id: LinkId, hello: Hello) -> Result<(), LinkError> {
        let window = self.limits.window();
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if hello.initiator == link.initiator {
            return Err(LinkError::RoleConflict);
        }
        link.stage = Stage::Up;
        self.greeting.remove(&id);
        link.peer = hello;
        let mut port = None;
        if link.trusted {
            // Channel 0 is granted to both by the host's trust.
            if link.initiator {
                link.next_mine += 2;
                link.mine += 1;
            } else {
                link.next_theirs += 2;
                link.theirs += 1;
            }
            let pipe = self.next_pipe;
            self.next_pipe += 1;
            link.wires
                .insert(0, Wire::new((pipe, 0), &link.peer, window, Some(0)));
            let at = Address {
                link: id,
                channel: 0,
            };
            let wire = Side::Wire(at);
            let number = self.next_cargo;
            self.next_cargo += 1;
            self.pipes
                .insert(pipe, Pipe::new([wire, Side::Cargo(number)]));
            let travelling = Travelling {
                place: (pipe, 1),
                hops: 0,
                adopt: None,
            };
            self.cargo.insert(number, travelling);
            port = self.land(number).map(crate::TransferredPort::receive);
        }
        self.outputs.push_back(Output::LinkUp { link: id, port });
        self.vouch_again(id);
        Ok(())
    }

    /// A link is no more: what went over it has ended.
    pub(super) fn lose(&mut self, id: LinkId) {
        let Some(mut link) = self.links.remove(&id) else {
            return;
        };
        self.greeting.remove(&id);
        for (channel, mut wire) in mem::take(&mut link.wires).into_iter() {
            let at = Address { link: id, channel };
            for arrival in wire.take_held() {
                self.discard(arrival.item);
            }
            for number in wire
                .take_assembly()
                .into_iter()
                .flat_map(|assembly| assembly.cargo)
            {
                self.work.push_back(Work::Cut(number));
            }
            if let Some((pipe, side)) = wire.owner() {
                let uses = |pipe: &&mut Pipe| pipe.sides[side].channels().contains(&Some(at));
                let Some(used) = self.pipes.get_mut(&pipe).filter(uses) else {
                    continue;
                };
                let (said, got) = (wire.last.is_sent(), wire.got_last);
                trace_loss(used, side, said, got);
                if got && said {
                    // Both markers have passed: the port goes on without this stub.
                    used.sides[side] = Side::Gone;
                } else {
                    self.end_from(pipe, side, true);
                }
            }
        }
        self.lose_offered(id);
        self.lose_known(id, link);
    }
}

/// Says in which state of a route a link is lost.
fn trace_loss(pipe: &Pipe, side: usize, said_last: bool, got_last: bool) {
    let place = match &pipe.sides[side] {
        Side::Wire(_) => "wire",
        Side::Switching(_) => "switching",
        Side::Fold(_) => "fold",
        Side::Local(_) | Side::Cargo(_) | Side::Gone => "none",
    };
    let splicing = pipe.splicing.as_ref();
    let own = splicing.and_then(|splicing| splicing.own);
    let stub = match own {
        None if pipe.is_stub() => "stub",
        None => "end",
        Some(own) if own.committed => "committed stub",
        Some(_) => "asking stub",
    };
    let agreed = splicing.is_some_and(|splicing| splicing.consented[side].is_some());
    trace!(
        place,
        said_last, got_last, stub, agreed, "a route loses its link"
    );
}
