//! The scopes of one storage key, for finding the longest that is a prefix of a URL.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use sw_types::RegistrationId;

use super::Snapshot;

/// The registrations of one storage key, by scope. Immutable: a writer swaps it whole.
///
/// In sorted order, everything between a prefix of a URL and that URL starts with that prefix. So
/// the longest prefix is the greatest scope that is not greater than the URL, or an ancestor of it:
/// a scope that it starts with. Each scope knows its nearest ancestor.
///
/// With a million registrations, what a search costs is the memory that it reads and that is in no
/// cache: here the entries, and one place of the text.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeIndex {
    /// How many bytes all scopes have in common at their beginning.
    common: usize,
    /// Sorted by scope, and no scope is there twice.
    entries: Box<[Entry]>,
    /// All scopes, one after another.
    text: Box<str>,
    snapshots: Snapshots,
}

/// What readers see of the registrations, in the order of their scopes. Those that were stored are
/// filled in by who first asks for them.
pub(super) type Snapshots = Arc<[OnceLock<Arc<Snapshot>>]>;

/// A registration to be listed: its scope, its id, and its snapshot unless it is only stored.
pub(super) type Listed<'a> = (&'a str, RegistrationId, Option<Arc<Snapshot>>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What its scope has after what all have in common: most searches look at nothing else.
    head: Head,
    id: RegistrationId,
    /// Where its scope ends in the text.
    end: usize,
    /// The longest other scope that its own starts with; itself if there is none.
    ancestor: usize,
}

/// Eight bytes, compared as a number; what is shorter is filled up with zeros, which no URL has.
type Head = u64;

/// Up to so many entries are read rather than searched: a processor reads them all at once, where
/// each step of a search waits for the one before.
const FEW: usize = 16;

impl ScopeIndex {
    /// From registrations that are sorted by scope, and no scope is there twice.
    pub(super) fn new<'a>(sorted: impl IntoIterator<Item = Listed<'a>>) -> Self {
        let sorted = sorted.into_iter();
        let least = sorted.size_hint().0;
        let mut entries = Vec::with_capacity(least);
        let mut snapshots = Vec::with_capacity(least);
        let mut text = String::new();
        for (scope, id, snapshot) in sorted {
            let own = entries.len();
            if own == 0 {
                text.reserve(scope.len() * least);
            }
            text.push_str(scope);
            entries.push(Entry {
                head: 0,
                id,
                end: text.len(),
                ancestor: own,
            });
            snapshots.push(snapshot.map_or_else(OnceLock::new, OnceLock::from));
        }
        let mut index = Self {
            common: 0,
            entries: entries.into(),
            text: text.into(),
            snapshots: snapshots.into(),
        };
        index.relate();
        index
    }

    /// Finds what the scopes have in common, and their ancestors.
    fn relate(&mut self) {
        let Some(last) = self.entries.len().checked_sub(1) else {
            return;
        };
        self.common = in_common(self.scope(0), self.scope(last));
        for at in 0..=last {
            self.entries[at].head = head(&self.scope(at).as_bytes()[self.common..]);
            let mut ancestor = at.checked_sub(1);
            while let Some(nearer) = ancestor {
                if self.scope(at).starts_with(self.scope(nearer)) {
                    self.entries[at].ancestor = nearer;
                    break;
                }
                ancestor = self.ancestor(nearer);
            }
        }
    }

    /// Where the registration stands whose scope is the longest prefix of a URL.
    pub(super) fn longest_prefix_of(&self, url: &str) -> Option<usize> {
        // What all scopes begin with. To read it first costs nothing beside the entries, which are read
        // at the same time.
        let alike = self.text.as_bytes().get(..self.common)?;
        let rest = url.as_bytes().strip_prefix(alike)?;
        let head = head(rest);
        let mut at = self.not_greater(url, head).checked_sub(1)?;
        if self.is_short_prefix(at, head) {
            return Some(at);
        }
        let common = in_common(self.scope(at), url);
        while self.place(at).len() > common {
            at = self.ancestor(at)?;
        }
        Some(at)
    }

    pub(super) fn id(&self, at: usize) -> RegistrationId {
        self.entries[at].id
    }

    /// In the order of their scopes.
    pub(super) fn ids(&self) -> impl Iterator<Item = RegistrationId> + '_ {
        self.entries.iter().map(|entry| entry.id)
    }

    pub(super) const fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Where a scope is, or where it belongs.
    pub(super) fn find(&self, scope: &str) -> Result<usize, usize> {
        let after = self.not_greater_in(0..self.entries.len(), scope);
        match after.checked_sub(1) {
            Some(at) if self.scope(at) == scope => Ok(at),
            _ => Err(after),
        }
    }

    /// With a registration that may have been listed before.
    pub(super) fn with(&self, snapshot: &Arc<Snapshot>) -> Self {
        let scope = snapshot.scope.as_str();
        match self.find(scope) {
            Ok(at) => {
                let mut index = self.clone();
                index.entries[at].id = snapshot.id;
                let mut snapshots = self.snapshots.to_vec();
                snapshots[at] = Arc::clone(snapshot).into();
                index.snapshots = snapshots.into();
                index
            }
            Err(at) => {
                let new = (scope, snapshot.id, Some(Arc::clone(snapshot)));
                let before = self.listed(0..at).chain([new]);
                Self::new(before.chain(self.listed(at..self.entries.len())))
            }
        }
    }

    /// Without what is listed for a scope; `None` if nothing is left.
    pub(super) fn without(&self, scope: &str) -> Option<Self> {
        let all = self.listed(0..self.entries.len());
        let index = Self::new(all.filter(|(other, ..)| *other != scope));
        (!index.entries.is_empty()).then_some(index)
    }

    fn listed(&self, of: Range<usize>) -> impl Iterator<Item = Listed<'_>> {
        of.map(|at| {
            (
                self.scope(at),
                self.id(at),
                self.snapshots[at].get().cloned(),
            )
        })
    }

    /// Whether a scope is a prefix of a URL with this head, as far as that shows without its text:
    /// if what it has after what all have in common is no longer than a head.
    fn is_short_prefix(&self, at: usize, head: Head) -> bool {
        let length = self.place(at).len() - self.common;
        let Some(beyond) = size_of::<Head>().checked_sub(length) else {
            return false;
        };
        let differing = (self.entries[at].head ^ head).to_be_bytes();
        differing[..size_of::<Head>() - beyond]
            .iter()
            .all(|byte| *byte == 0)
    }

    /// How many scopes are not greater than a URL that begins as all of them do.
    fn not_greater(&self, url: &str, head: Head) -> usize {
        let less = match self.entries.len() {
            ..=FEW => self.entries.iter().filter(|it| it.head < head).count(),
            _ => self.entries.partition_point(|entry| entry.head < head),
        };
        if self.entries.get(less).is_none_or(|entry| entry.head > head) {
            return less;
        }
        let equal = self.entries[less..].partition_point(|entry| entry.head == head);
        self.not_greater_in(less..less + equal, url)
    }

    /// Where in a range the scopes begin that are greater than a text.
    fn not_greater_in(&self, mut range: Range<usize>, text: &str) -> usize {
        while !range.is_empty() {
            let middle = range.start + range.len() / 2;
            if self.scope(middle) <= text {
                range.start = middle + 1;
            } else {
                range.end = middle;
            }
        }
        range.start
    }

    fn scope(&self, at: usize) -> &str {
        &self.text[self.place(at)]
    }

    /// Where a scope stands in the text.
    fn place(&self, at: usize) -> Range<usize> {
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.entries[before].end);
        start..self.entries[at].end
    }

    fn ancestor(&self, at: usize) -> Option<usize> {
        let ancestor = self.entries[at].ancestor;
        (ancestor != at).then_some(ancestor)
    }
}

fn head(bytes: &[u8]) -> Head {
    let mut head = [0; size_of::<Head>()];
    let length = bytes.len().min(head.len());
    head[..length].copy_from_slice(&bytes[..length]);
    Head::from_be_bytes(head)
}

/// How many bytes two texts have in common at their beginning.
fn in_common(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (words_a, words_b) = (a.chunks_exact(WORD), b.chunks_exact(WORD));
    let words = words_a.zip(words_b).take_while(|(a, b)| a == b).count();
    let rest = a[words * WORD..].iter().zip(&b[words * WORD..]);
    words * WORD + rest.take_while(|(a, b)| a == b).count()
}

/// How many bytes are compared at once.
const WORD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % below as u64) as usize
        }

        /// Paths of few letters, so that many begin alike, some for more than a [`Head`].
        fn url(&mut self) -> String {
            let alike = ["", "aaaaaaaa", "aaaaaaaaaaaaaaaa", "b/aaaaaa"][self.below(4)];
            let letters = (0..self.below(6)).map(|_| ["a", "b", "/", "?"][self.below(4)]);
            let letters: String = letters.collect();
            format!("https://a.test/{alike}{letters}")
        }
    }

    #[test]
    fn a_search_agrees_with_a_scan_whatever_the_scopes_begin_with() {
        for seed in 1..=300_u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut scopes: Vec<String> =
                (0..=random.below(3 * FEW)).map(|_| random.url()).collect();
            scopes.sort();
            scopes.dedup();
            let listed = |(id, scope): (usize, &'_ String)| (id as u64, scope.clone());
            let listed: Vec<_> = scopes.iter().enumerate().map(listed).collect();
            let index = ScopeIndex::new(
                listed
                    .iter()
                    .map(|(id, scope)| (scope.as_str(), RegistrationId(*id), None)),
            );
            for _ in 0..100 {
                let url = match random.below(10) {
                    0 => "https://a.te".to_owned(),
                    1 => "https://zz.test/".to_owned(),
                    2 => "http://a.test/aa".to_owned(),
                    _ => random.url(),
                };
                let prefixes = scopes.iter().filter(|scope| url.starts_with(*scope));
                let found = index.longest_prefix_of(&url);
                assert_eq!(
                    found.map(|at| index.scope(at)),
                    prefixes.max_by_key(|scope| scope.len()).map(String::as_str),
                    "seed {seed}, {url}, {scopes:?}"
                );
                assert_eq!(found.map(|at| index.id(at).0 as usize), found);
            }
        }
    }

    #[test]
    fn nothing_matches_in_an_index_of_nothing() {
        assert_eq!(
            ScopeIndex::default().longest_prefix_of("https://a.test/"),
            None
        );
        let one = [("https://a.test/", RegistrationId(1), None)];
        assert!(ScopeIndex::new(one).without("https://a.test/").is_none());
    }
}
