//! Introductions that this node makes: of the nodes at two of its links, which should have a
//! direct one. What they are to those two nodes is in `introduced.rs`.

use std::collections::BTreeSet;
use std::mem;

use tracing::trace;

use super::pipe::PipeId;
use super::wire::{Frame, Introduction};
use super::{IntroductionId, LinkError, LinkId, Node, Output, Token, Work};

/// The most introductions that a node keeps in mind for one peer. One that makes introductions
/// keeps to it, and lets stubs relay beyond.
pub(super) const MAX_INTRODUCTIONS: usize = 4096;

/// How often the host is asked for a direct link between the same two. When as many have failed,
/// stubs between them relay for good: one of the two may be a peer that always says that it has
/// failed, and the other one should not have to hear of it for ever.
const MAX_ATTEMPTS: u32 = 8;

/// An introduction that this node has made.
pub(super) struct Offered {
    links: [LinkId; 2],
    state: OfferState,
    /// The stubs that wait for it. Each is a pipe that exists (see [`Node::remove_pipe`]).
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

/// What was tried for a pair of links.
#[derive(Default)]
pub(super) struct Tried {
    /// The introduction that stands.
    number: Option<u64>,
    /// How many have failed.
    failed: u32,
}

impl Node {
    /// The introduction of the nodes behind two links, if it has brought a direct link. If not,
    /// the host is asked for one, and `stub` is considered again when it is there.
    pub(super) fn introduction(&mut self, a: LinkId, b: LinkId, stub: PipeId) -> Option<u64> {
        let links = if a < b { [a, b] } else { [b, a] };
        let tried = self.tried.entry((links[0], links[1])).or_default();
        let number = match tried.number {
            Some(number) => number,
            None if tried.failed >= MAX_ATTEMPTS => {
                trace!("a stub relays for good");
                return None;
            }
            None => self.ask_for_introduction(links)?,
        };
        let offered = self.offered.get_mut(&number)?;
        match offered.state {
            OfferState::Arranged([true, true]) => Some(number),
            OfferState::Refused => None,
            OfferState::Asked | OfferState::Arranged(_) => {
                offered.waiting.insert(stub);
                let pipe = self.pipes.get_mut(&stub)?;
                let before = pipe.splicing().awaits.replace(number);
                // A side of the stub may have switched to another link since.
                if before != Some(number) {
                    self.wait_no_more(stub, before);
                }
                None
            }
        }
    }

    fn ask_for_introduction(&mut self, links: [LinkId; 2]) -> Option<u64> {
        let made = |link| self.links.get(link).map_or(0, |link| link.introductions);
        if links.iter().map(made).any(|made| made >= MAX_INTRODUCTIONS) {
            return None;
        }
        self.count_introductions(links, 1);
        let number = self.next_introduction;
        self.next_introduction += 1;
        self.tried.entry((links[0], links[1])).or_default().number = Some(number);
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
        Some(number)
    }

    fn count_introductions(&mut self, links: [LinkId; 2], more: isize) {
        for link in links {
            if let Some(link) = self.links.get_mut(&link) {
                link.introductions = link.introductions.saturating_add_signed(more);
            }
        }
    }

    /// The host has answered [`Output::Introduce`].
    pub(super) fn answered(&mut self, number: u64, tokens: Option<[Token; 2]>) {
        let Some(offered) = self.offered.get_mut(&number) else {
            return; // One of the two links went in the meantime.
        };
        if offered.state != OfferState::Asked {
            tracing::warn!(number, "an introduction was answered twice");
            return;
        }
        let links = offered.links;
        let Some([first, second]) = tokens else {
            trace!("an introduction is refused");
            offered.state = OfferState::Refused;
            offered.waiting.clear();
            self.count_introductions(links, -1);
            return;
        };
        offered.state = OfferState::Arranged([false; 2]);
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

    /// Forgets an introduction that has failed. Both nodes are told to forget it too; the stubs
    /// that waited for it may ask for another.
    pub(super) fn forget_introduction(&mut self, number: u64) {
        let Some(offered) = self.offered.remove(&number) else {
            return;
        };
        let [a, b] = offered.links;
        let tried = self.tried.entry((a, b)).or_default();
        tried.number = None;
        tried.failed += 1;
        trace!(
            stubs_wait = !offered.waiting.is_empty(),
            "an introduction has failed"
        );
        if offered.state != OfferState::Refused {
            self.count_introductions(offered.links, -1);
        }
        if matches!(offered.state, OfferState::Arranged(_)) {
            for link in offered.links {
                self.send(link, &Frame::IntroductionGone(number));
            }
        }
        for stub in offered.waiting {
            self.work.push_back(Work::Consider(stub));
        }
    }

    /// A link is lost: what this node has offered to its peer is void.
    pub(super) fn lose_offered(&mut self, link: LinkId) {
        let made = |offered: &Offered| offered.links.contains(&link);
        let made: Vec<u64> = self
            .offered
            .iter()
            .filter(|(_, offered)| made(offered))
            .map(|(number, _)| *number)
            .collect();
        for number in made {
            self.forget_introduction(number);
        }
        self.tried.retain(|(a, b), _| *a != link && *b != link);
    }

    /// Removes a pipe, and what waits for something on its behalf.
    pub(super) fn remove_pipe(&mut self, id: PipeId) -> Option<super::pipe::Pipe> {
        let pipe = self.pipes.remove(&id)?;
        self.wait_no_more(id, pipe.splicing.as_ref().and_then(|s| s.awaits));
        Some(pipe)
    }

    fn wait_no_more(&mut self, stub: PipeId, introduction: Option<u64>) {
        if let Some(offered) = introduction.and_then(|number| self.offered.get_mut(&number)) {
            offered.waiting.remove(&stub);
        }
    }

    #[cfg(test)]
    pub(super) fn waiting_stubs(&self) -> usize {
        self.offered
            .values()
            .map(|offered| offered.waiting.len())
            .sum()
    }
}
