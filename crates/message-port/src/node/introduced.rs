//! Introductions that others make for this node, and the proof that a link came of one.
//!
//! Each of the two nodes learns two tokens from the introducer: the one that it has to show, and
//! the one that the other node will show. They come from the introducer's host, so only the two
//! and the introducer know them.
//!
//! A token is looked up as a number, not compared in constant time. A stranger could at best
//! measure how two numbers of 128 bits compare, and has one try for each stream that the host
//! accepts from him; a peer whose link is up already has shown another token, or is vouched for.

use std::collections::BTreeMap;
use std::mem;

use tracing::trace;

use super::introduce::MAX_INTRODUCTIONS;
use super::link::{Link, Stage};
use super::pipe::{Pipe, PipeId};
use super::wire::{Frame, Introduction};
use super::{LinkError, LinkId, Node, Token, Work};

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

/// Names an introduction: the link to its introducer, and the introducer's number for it.
pub(super) type KnownKey = (LinkId, u64);

/// The most tokens of a link that may wait for their introduction; the oldest is forgotten first.
const MAX_PROOFS: usize = 64;

/// The most own tokens kept of links that failed before their introduction was announced; the
/// oldest is forgotten first.
const MAX_FAILED: usize = 1024;

impl Node {
    /// Finds the introduction of a link, by either token; greets, and lets it up if it is proven.
    pub(super) fn match_introduction(&mut self, id: LinkId) {
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
            let key = match own {
                Some(own) => self.shown.get(own),
                None => token.and_then(|token| self.expected.get(&token)),
            };
            let known = key.and_then(|key| Some((*key, self.known.get_mut(key)?)));
            // An introduction serves one link, so its tokens open no second one.
            let Some((key, known)) = known.filter(|(_, known)| known.link.is_none()) else {
                return; // It may yet be announced; there is a deadline.
            };
            known.link = Some(id);
            let (initiator, show, expect) = (known.initiator, known.show, known.expect);
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

    /// A peer has made an introduction for this node.
    pub(super) fn announced(&mut self, via: LinkId, said: Introduction) -> Result<(), LinkError> {
        let key = (via, said.introduction);
        let Some(link) = self.links.get_mut(&via) else {
            return Ok(());
        };
        if link.known >= MAX_INTRODUCTIONS {
            return Err(LinkError::TooManyIntroductions);
        }
        if self.known.contains_key(&key) {
            return Err(LinkError::UnexpectedFrame);
        }
        if let Some(at) = self.failed.iter().position(|token| *token == said.show) {
            trace!("an introduction is announced whose link has failed");
            self.failed.remove(at);
            self.send(via, &Frame::IntroductionDown(said.introduction));
            return Ok(());
        }
        link.known += 1;
        let known = Known {
            initiator: said.initiator,
            show: said.show,
            expect: said.expect,
            link: None,
            vouched: None,
            proven: None,
        };
        // Who announces the tokens of an earlier introduction again is one of the two that it is
        // about; the earlier one stands.
        self.expected.entry(said.expect).or_insert(key);
        self.shown.entry(said.show).or_insert(key);
        self.known.insert(key, known);
        let greeting: Vec<LinkId> = self.greeting.iter().copied().collect();
        for link in greeting {
            self.match_introduction(link);
        }
        if let Some(link) = self.vouched.remove(&said.show) {
            self.vouch(link, said.show);
        }
        if let Some(link) = self.proofs.remove(&said.expect) {
            self.proof_known(key, link);
        }
        Ok(())
    }

    /// The host says that a link which is there already leads to whom an introduction is about.
    pub(super) fn vouch(&mut self, link: LinkId, token: Token) {
        let Some(up) = self.links.get(&link).map(Link::is_up) else {
            return self.fail_token(token);
        };
        match self.shown.get(&token) {
            Some(key) if up => self.vouch_known(*key, link),
            // Until the introduction is announced, the link is up, or is lost.
            _ => {
                trace!(up, "a link is vouched for too early");
                self.vouched.insert(token, link);
            }
        }
    }

    /// A link has come up.
    pub(super) fn vouch_again(&mut self, id: LinkId) {
        let (again, others): (BTreeMap<_, _>, _) = mem::take(&mut self.vouched)
            .into_iter()
            .partition(|(_, link)| *link == id);
        self.vouched = others;
        for (token, link) in again {
            self.vouch(link, token);
        }
    }

    fn vouch_known(&mut self, key: KnownKey, link: LinkId) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        known.vouched = Some(link);
        let show = known.show;
        self.send(link, &Frame::Prove(show));
        self.use_if_proven(key);
    }

    /// The peer shows a token on a link that is up.
    pub(super) fn proof(&mut self, id: LinkId, token: Token) {
        if let Some(key) = self.expected.get(&token).copied() {
            return self.proof_known(key, id);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        trace!("a proof comes before its introduction");
        self.proofs.insert(token, id);
        link.proofs.push_back(token);
        if link.proofs.len() > MAX_PROOFS {
            if let Some(oldest) = link.proofs.pop_front() {
                self.forget_proof(oldest, id);
            }
        }
    }

    fn forget_proof(&mut self, token: Token, link: LinkId) {
        if self.proofs.get(&token) == Some(&link) {
            self.proofs.remove(&token);
        }
    }

    fn proof_known(&mut self, key: KnownKey, link: LinkId) {
        if let Some(known) = self.known.get_mut(&key) {
            known.proven = Some(link);
            self.use_if_proven(key);
        }
    }

    /// Both the host here and the peer say so: the link serves the introduction.
    fn use_if_proven(&mut self, key: KnownKey) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        if known.link.is_none() && known.vouched.is_some() && known.vouched == known.proven {
            known.link = known.vouched;
            trace!("a link that is there serves an introduction");
            self.send(key.0, &Frame::IntroductionUp(key.1));
        }
    }

    /// What this node shows for an introduction.
    pub(super) fn own_token(&self, key: KnownKey) -> Option<Token> {
        self.known.get(&key).map(|known| known.show)
    }

    /// The introduction that a link serves and that the peer shows this token for.
    pub(super) fn introduction_for(&self, link: LinkId, token: Token) -> Option<KnownKey> {
        let key = self.expected.get(&token)?;
        (self.known.get(key)?.link == Some(link)).then_some(*key)
    }

    /// The direct link that an introduction has brought.
    pub(super) fn direct_link(&self, key: KnownKey) -> Option<LinkId> {
        let link = self.known.get(&key)?.link?;
        self.links.get(&link)?.is_up().then_some(link)
    }

    /// The introducer has forgotten an introduction, since it has failed for the other node or
    /// that node is gone.
    pub(super) fn introduction_gone(&mut self, via: LinkId, number: u64) {
        self.lose_direct_link((via, number));
    }

    /// A link is lost. Introductions that its peer has made are void, though links that came of
    /// them stay; those that the link serves, or was to serve, have failed.
    pub(super) fn lose_known(&mut self, id: LinkId, link: Link) {
        let ours = self.known.range((id, 0)..=(id, u64::MAX));
        let ours: Vec<KnownKey> = ours.map(|(key, _)| *key).collect();
        for key in ours {
            self.forget_known(key);
        }
        let vouched = self.vouched.iter().filter(|(_, link)| **link == id);
        let mut unannounced: Vec<Token> = vouched.map(|(token, _)| *token).collect();
        self.vouched.retain(|_, link| *link != id);
        if let (Stage::Greeting { own, .. }, None) = (&link.stage, link.introduced_by) {
            unannounced.extend(*own);
        }
        for token in unannounced {
            self.fail_token(token);
        }
        for token in link.proofs {
            self.forget_proof(token, id);
        }
        let by = link.introduced_by;
        let uses = |known: &Known| {
            known.link == Some(id) || known.vouched == Some(id) || known.proven == Some(id)
        };
        let served = self
            .known
            .iter()
            .filter(|(key, known)| uses(known) || by == Some(**key));
        let served: Vec<KnownKey> = served.map(|(key, _)| *key).collect();
        for key in served {
            self.lose_direct_link(key);
            self.send(key.0, &Frame::IntroductionDown(key.1));
        }
    }

    /// The link by which this node was to show a token is not there any more. The introducer has to
    /// hear of it; if it has not announced the introduction, then as soon as it does.
    fn fail_token(&mut self, token: Token) {
        match self.shown.get(&token).copied() {
            Some(key)
                if self
                    .known
                    .get(&key)
                    .is_some_and(|known| known.link.is_none()) =>
            {
                self.lose_direct_link(key);
                self.send(key.0, &Frame::IntroductionDown(key.1));
            }
            Some(_) => {}
            None => {
                self.failed.push_back(token);
                if self.failed.len() > MAX_FAILED {
                    self.failed.pop_front();
                }
            }
        }
    }

    fn forget_known(&mut self, key: KnownKey) {
        let Some(known) = self.known.remove(&key) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&key.0) {
            link.known -= 1;
        }
        // Another introduction may have the same tokens, see `announced`.
        if self.expected.get(&known.expect) == Some(&key) {
            self.expected.remove(&known.expect);
        }
        if self.shown.get(&known.show) == Some(&key) {
            self.shown.remove(&known.show);
        }
    }

    fn lose_direct_link(&mut self, key: KnownKey) {
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
                trace!("a marked route loses its introduction");
                self.end_from(pipe, side, true);
            }
        }
    }
}
