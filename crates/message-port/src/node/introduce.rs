//! Links: greeting, losing them, and introductions of nodes that should have a direct one.

use std::collections::BTreeSet;
use std::mem;
use std::time::Instant;

use super::link::{Link, Stage, Wire};
use super::pipe::{Address, Pipe, PipeId, Side};
use super::wire::{Frame, Hello, Introduction};
use super::{IntroductionId, LinkError, LinkId, LinkKind, Node, Output, Token, Work};

/// The most introductions of one peer that this node keeps in mind.
const MAX_KNOWN: usize = 4096;

/// An introduction that this node has made.
pub(super) struct Offered {
    links: [LinkId; 2],
    state: OfferState,
    /// The stubs that wait for it.
    waiting: BTreeSet<PipeId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OfferState {
    Asked,
    /// Arranged by the host; who has reported the direct link.
    Arranged([bool; 2]),
    /// Stubs between these links relay for good.
    Refused,
}

/// An introduction that somebody has made for this node.
pub(super) struct Known {
    initiator: bool,
    show: Token,
    expect: Token,
    /// The link that came of it.
    link: Option<LinkId>,
    /// The link that is there already, as the host says, and as the peer has proved.
    vouched: Option<LinkId>,
    proven: Option<LinkId>,
}

/// The most tokens of a link that may wait for their introduction.
const MAX_PROOFS: usize = 64;

impl Node {
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
            deadline: now + self.limits.hello_timeout,
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
        if trusted {
            self.greet(id, None);
        } else {
            self.match_introduction(id);
        }
    }

    fn hello(&self, initiator: bool, token: Option<Token>) -> Hello {
        let (window_bytes, window_messages) = self.window();
        Hello {
            initiator,
            window_bytes,
            window_messages,
            max_message: self.limits.max_message,
            queued_ports: self.limits.queued_ports,
            token,
        }
    }

    fn greet(&mut self, id: LinkId, token: Option<Token>) {
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

    /// Finds the introduction of a link, by either token; greets, and lets it up if it is proven.
    fn match_introduction(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let Stage::Greeting {
            own,
            greeted,
            theirs,
            ..
        } = &link.stage
        else {
            return;
        };
        let (theirs, greeted) = (*theirs, *greeted);
        let token = theirs.and_then(|hello| hello.token);
        if link.expect.is_none() {
            let announced = self
                .known
                .iter_mut()
                .filter(|(_, known)| known.link.is_none())
                .find(|(_, known)| match own {
                    Some(own) => known.show == *own,
                    None => token == Some(known.expect),
                });
            let Some((key, known)) = announced else {
                return; // It may yet be announced; there is a deadline.
            };
            known.link = Some(id);
            let (key, initiator, show, expect) = (*key, known.initiator, known.show, known.expect);
            if let Some(link) = self.links.get_mut(&id) {
                link.introduced_by = Some(key);
                link.initiator = initiator;
                link.expect = Some(expect);
            }
            if !greeted {
                self.greet(id, Some(show));
            }
        }
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let (Some(hello), by) = (theirs, link.introduced_by) else {
            return;
        };
        let proven = if token == link.expect {
            self.establish(id, hello)
        } else {
            Err(LinkError::BadToken)
        };
        match (proven, by) {
            // Whoever has made the introduction may be gone by now.
            (Ok(()), Some(key)) if self.known.contains_key(&key) => {
                self.send(key.0, &Frame::IntroductionUp(key.1));
            }
            (Ok(()), _) => {}
            (Err(error), _) => self.work.push_back(Work::Fail(id, error)),
        }
    }

    fn establish(&mut self, id: LinkId, hello: Hello) -> Result<(), LinkError> {
        let window = self.window();
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if hello.initiator == link.initiator {
            return Err(LinkError::RoleConflict);
        }
        link.stage = Stage::Up;
        link.peer = hello;
        let mut port = None;
        if link.trusted {
            // Channel 0 is granted to both by the host's trust.
            if link.initiator {
                link.next_mine += 2;
            } else {
                link.next_theirs += 2;
            }
            let pipe = self.next_pipe;
            self.next_pipe += 1;
            link.wires
                .insert(0, Wire::new((pipe, 0), &link.peer, window));
            let at = Address {
                link: id,
                channel: 0,
            };
            let wire = Side::Wire {
                input: at,
                output: at,
            };
            let number = self.next_cargo;
            self.next_cargo += 1;
            self.pipes
                .insert(pipe, Pipe::new([wire, Side::Cargo(number)]));
            self.cargo.insert(number, (pipe, 1));
            port = self.land(number).map(crate::TransferredPort::receive);
        }
        self.outputs.push_back(Output::LinkUp { link: id, port });
        self.vouch_again();
        Ok(())
    }

    /// A link is no more: what went over it has ended.
    pub(super) fn lose(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        for (channel, wire) in link.wires {
            let at = Address { link: id, channel };
            for arrival in wire.held {
                self.discard(arrival.item);
            }
            for number in wire
                .assembling
                .into_iter()
                .flat_map(|assembly| assembly.cargo)
            {
                self.work.push_back(Work::Cut(number));
            }
            if let Some((pipe, side)) = wire.owner {
                let uses = |pipe: &&mut Pipe| pipe.sides[side].channels().contains(&Some(at));
                let Some(used) = self.pipes.get_mut(&pipe).filter(uses) else {
                    continue;
                };
                if wire.got_last && wire.last.is_sent() {
                    // Both markers have passed: the port goes on without this stub.
                    used.sides[side] = Side::Gone;
                } else {
                    self.end_from(pipe, side, true);
                }
            }
        }
        self.lose_introductions(id, link.introduced_by);
    }

    fn lose_introductions(&mut self, id: LinkId, by: Option<(LinkId, u64)>) {
        // Those that this node has made to the peer.
        let made: Vec<u64> = self
            .offered
            .iter()
            .filter(|(_, offered)| offered.links.contains(&id))
            .map(|(number, _)| *number)
            .collect();
        for number in made {
            self.forget_introduction(number);
        }
        // Those that the peer has made: the links stay, nothing new can be asked of them.
        let ours = self.known.range((id, 0)..=(id, u64::MAX));
        let ours: Vec<(LinkId, u64)> = ours.map(|(key, _)| *key).collect();
        for key in ours {
            self.forget_known(key);
        }
        self.vouched.retain(|(link, _)| *link != id);
        // Those that this link serves, or was to serve.
        let uses = |known: &Known| {
            known.link == Some(id) || known.vouched == Some(id) || known.proven == Some(id)
        };
        let served = self
            .known
            .iter()
            .filter(|(key, known)| uses(known) || by == Some(**key));
        let served: Vec<(LinkId, u64)> = served.map(|(key, _)| *key).collect();
        for key in served {
            self.lose_direct_link(key);
        }
    }

    fn forget_known(&mut self, key: (LinkId, u64)) {
        if let Some(known) = self.known.remove(&key) {
            self.expected.remove(&known.expect);
        }
    }

    fn lose_direct_link(&mut self, key: (LinkId, u64)) {
        self.forget_known(key);
        let awaited: Vec<(PipeId, usize)> = self
            .tickets
            .range((key, 0)..=(key, u64::MAX))
            .map(|(_, place)| *place)
            .collect();
        for (pipe, side) in awaited {
            let marked = |pipe: &Pipe| {
                let splicing = pipe.splicing.as_ref();
                splicing.is_some_and(|splicing| splicing.marked[side])
            };
            if self.pipes.get(&pipe).is_some_and(marked) {
                // Its route has switched to a channel that will not come.
                self.end_from(pipe, side, true);
            }
        }
        self.send(key.0, &Frame::IntroductionDown(key.1));
    }

    /// The introduction of the nodes behind two links, if it has brought a direct link. If not,
    /// the host is asked for one, and `stub` is considered again when it is there.
    pub(super) fn introduction(&mut self, a: LinkId, b: LinkId, stub: PipeId) -> Option<u64> {
        let links = if a < b { [a, b] } else { [b, a] };
        let number = match self.offered_by_links.get(&(links[0], links[1])) {
            Some(number) => *number,
            None => {
                let number = self.next_introduction;
                self.next_introduction += 1;
                self.offered_by_links.insert((links[0], links[1]), number);
                self.offered.insert(
                    number,
                    Offered {
                        links,
                        state: OfferState::Asked,
                        waiting: BTreeSet::new(),
                    },
                );
                self.outputs.push_back(Output::Introduce {
                    introduction: IntroductionId(number),
                    a: links[0],
                    b: links[1],
                });
                number
            }
        };
        let offered = self.offered.get_mut(&number)?;
        match offered.state {
            OfferState::Arranged([true, true]) => Some(number),
            OfferState::Refused => None,
            OfferState::Asked | OfferState::Arranged(_) => {
                offered.waiting.insert(stub);
                None
            }
        }
    }

    /// The host has answered [`Output::Introduce`].
    pub(super) fn answered(&mut self, number: u64, tokens: Option<[Token; 2]>) {
        let Some(offered) = self.offered.get_mut(&number) else {
            return;
        };
        if offered.state != OfferState::Asked {
            tracing::warn!(number, "an introduction was answered twice");
            return;
        }
        let Some([first, second]) = tokens else {
            offered.state = OfferState::Refused;
            offered.waiting.clear();
            return;
        };
        offered.state = OfferState::Arranged([false; 2]);
        let links = offered.links;
        for (link, initiator, show, expect) in [
            (links[0], true, first, second),
            (links[1], false, second, first),
        ] {
            let introduction = Introduction {
                introduction: number,
                initiator,
                show,
                expect,
            };
            self.send(link, &Frame::Introduction(introduction));
        }
    }

    /// A peer has made an introduction for this node.
    pub(super) fn announced(&mut self, via: LinkId, said: Introduction) -> Result<(), LinkError> {
        let key = (via, said.introduction);
        let kept = self.known.range((via, 0)..=(via, u64::MAX)).count();
        if kept >= MAX_KNOWN || self.known.contains_key(&key) {
            return Err(LinkError::UnexpectedFrame);
        }
        let known = Known {
            initiator: said.initiator,
            show: said.show,
            expect: said.expect,
            link: None,
            vouched: None,
            proven: None,
        };
        self.expected.insert(said.expect, key);
        self.known.insert(key, known);
        let unproven: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| !link.is_up() && !link.trusted && link.introduced_by.is_none())
            .map(|(id, _)| *id)
            .collect();
        for link in unproven {
            self.match_introduction(link);
        }
        self.vouch_again();
        let shown = self.links.iter_mut().find_map(|(id, link)| {
            let place = link.proofs.iter().position(|token| *token == said.expect)?;
            link.proofs.swap_remove(place);
            Some(*id)
        });
        if let Some(link) = shown {
            self.proof_known(key, link);
        }
        Ok(())
    }

    /// The host says that a link which is there already leads to whom an introduction is about.
    pub(super) fn vouch(&mut self, link: LinkId, token: Token) {
        let Some(up) = self.links.get(&link).map(Link::is_up) else {
            return;
        };
        let announced = self.known.iter().find(|(_, known)| known.show == token);
        match announced.map(|(key, _)| *key) {
            Some(key) if up => self.vouch_known(key, link),
            _ => self.vouched.push((link, token)),
        }
    }

    /// A link has come up, or an introduction was announced.
    fn vouch_again(&mut self) {
        for (link, token) in mem::take(&mut self.vouched) {
            self.vouch(link, token);
        }
    }

    fn vouch_known(&mut self, key: (LinkId, u64), link: LinkId) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        known.vouched = Some(link);
        let show = known.show;
        self.send(link, &Frame::Prove(show));
        self.use_if_proven(key);
    }

    /// The peer shows a token on a link that is up.
    pub(super) fn proof(&mut self, id: LinkId, token: Token) -> Result<(), LinkError> {
        if let Some(key) = self.expected.get(&token).copied() {
            self.proof_known(key, id);
            return Ok(());
        }
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if link.proofs.len() >= MAX_PROOFS {
            return Err(LinkError::BadToken);
        }
        link.proofs.push(token);
        Ok(())
    }

    fn proof_known(&mut self, key: (LinkId, u64), link: LinkId) {
        if let Some(known) = self.known.get_mut(&key) {
            known.proven = Some(link);
            self.use_if_proven(key);
        }
    }

    /// Both the host here and the peer say so: the link serves the introduction.
    fn use_if_proven(&mut self, key: (LinkId, u64)) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        if known.link.is_none() && known.vouched.is_some() && known.vouched == known.proven {
            known.link = known.vouched;
            self.send(key.0, &Frame::IntroductionUp(key.1));
        }
    }

    /// What this node shows for an introduction.
    pub(super) fn own_token(&self, key: (LinkId, u64)) -> Option<Token> {
        self.known.get(&key).map(|known| known.show)
    }

    /// The introduction that a link serves and that the peer shows this token for.
    pub(super) fn introduction_for(&self, link: LinkId, token: Token) -> Option<(LinkId, u64)> {
        let key = self.expected.get(&token)?;
        (self.known.get(key)?.link == Some(link)).then_some(*key)
    }

    /// The direct link that an introduction has brought.
    pub(super) fn direct_link(&self, key: (LinkId, u64)) -> Option<LinkId> {
        let link = self.known.get(&key)?.link?;
        self.links.get(&link)?.is_up().then_some(link)
    }

    /// A peer says that the direct link is there.
    pub(super) fn introduction_up(&mut self, from: LinkId, number: u64) -> Result<(), LinkError> {
        let Some(offered) = self.offered.get_mut(&number) else {
            return Ok(()); // Forgotten since.
        };
        let Some(place) = offered.links.iter().position(|link| *link == from) else {
            return Err(LinkError::UnexpectedFrame);
        };
        let OfferState::Arranged(up) = &mut offered.state else {
            return Err(LinkError::UnexpectedFrame);
        };
        up[place] = true;
        if *up == [true; 2] {
            for stub in mem::take(&mut offered.waiting) {
                self.work.push_back(Work::Consider(stub));
            }
        }
        Ok(())
    }

    /// A peer says that the direct link is gone, or has failed to come.
    pub(super) fn introduction_down(&mut self, from: LinkId, number: u64) -> Result<(), LinkError> {
        match self.offered.get(&number) {
            Some(offered) if !offered.links.contains(&from) => Err(LinkError::UnexpectedFrame),
            Some(_) => {
                self.forget_introduction(number);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Forgets an introduction that has failed; the stubs that waited for it will ask again.
    pub(super) fn forget_introduction(&mut self, number: u64) {
        let Some(offered) = self.offered.remove(&number) else {
            return;
        };
        let [a, b] = offered.links;
        self.offered_by_links.remove(&(a, b));
        for stub in offered.waiting {
            self.work.push_back(Work::Consider(stub));
        }
    }
}
