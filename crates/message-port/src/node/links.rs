//! The links of a node, and which of them have something to do: a node with very many of them looks
//! at few.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::LinkId;
use super::link::Link;

/// (Its first methods are those of `BTreeMap`.)
#[derive(Default)]
pub(super) struct Links {
    all: BTreeMap<LinkId, Kept>,
    /// Those that were reached for a change since they were last looked at.
    touched: VecDeque<LinkId>,
    /// Those that have bytes to hand out, in turn: a host that writes at once would otherwise never
    /// come to the last of them.
    writing: VecDeque<LinkId>,
}

struct Kept {
    link: Link,
    /// Whether it is in `touched`, or being looked at.
    touched: bool,
    /// Whether it is in `writing`.
    writing: bool,
}

impl Links {
    pub(super) fn get(&self, id: &LinkId) -> Option<&Link> {
        self.all.get(id).map(|kept| &kept.link)
    }

    pub(super) fn get_mut(&mut self, id: &LinkId) -> Option<&mut Link> {
        let kept = self.all.get_mut(id)?;
        if !kept.touched {
            kept.touched = true;
            self.touched.push_back(*id);
        }
        Some(&mut kept.link)
    }

    pub(super) fn contains_key(&self, id: &LinkId) -> bool {
        self.all.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: LinkId, link: Link) {
        let kept = Kept {
            link,
            touched: true,
            writing: false,
        };
        self.all.insert(id, kept);
        self.touched.push_back(id);
    }

    pub(super) fn remove(&mut self, id: &LinkId) -> Option<Link> {
        Some(self.all.remove(id)?.link)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.all.iter().map(|(id, kept)| (*id, &kept.link))
    }

    /// The next link to look at. [`looked_at`](Self::looked_at) has to follow, and what is changed
    /// until then counts as seen.
    pub(super) fn next_touched(&mut self) -> Option<LinkId> {
        self.touched.pop_front()
    }

    /// A link has nothing more to do, but perhaps bytes to hand out.
    pub(super) fn looked_at(&mut self, id: LinkId) {
        let Some(kept) = self.all.get_mut(&id) else {
            return;
        };
        kept.touched = false;
        if !kept.writing && !kept.link.out.is_empty() {
            kept.writing = true;
            self.writing.push_back(id);
        }
    }

    /// Takes bytes to hand out, from another link than the last time if another has some.
    pub(super) fn next_bytes(&mut self) -> Option<(LinkId, Bytes)> {
        while let Some(id) = self.writing.pop_front() {
            let Some(kept) = self.all.get_mut(&id) else {
                continue;
            };
            let bytes = kept.link.out.take();
            kept.writing = !kept.link.out.is_empty();
            if kept.writing {
                self.writing.push_back(id);
            }
            if let Some(bytes) = bytes {
                return Some((id, bytes));
            }
        }
        None
    }
}
