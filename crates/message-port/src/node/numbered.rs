//! A map whose keys are numbers that are given out in rising order: pipes, channels, cargo.
//!
//! A `BTreeMap` splits a full leaf in the middle, so that one which only grows at its end is half
//! empty. This one begins a new leaf instead. It is ordered, as all that a node goes through, so
//! that a seed replays a run.

use std::collections::VecDeque;
use std::fmt;

/// How many entries a leaf takes.
const LEAF: usize = 16;

/// See above. (Its methods are those of `BTreeMap`.)
pub(super) struct Numbered<T> {
    /// In order, none empty. With each, the least key that belongs there.
    leaves: VecDeque<(u64, Vec<(u64, T)>)>,
    len: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            leaves: VecDeque::new(),
            len: 0,
        }
    }
}

impl<T> Numbered<T> {
    pub(super) fn get(&self, key: &u64) -> Option<&T> {
        let (_, leaf) = &self.leaves[self.leaf(*key)?];
        leaf.get(find(leaf, *key).ok()?).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &u64) -> Option<&mut T> {
        let at = self.leaf(*key)?;
        let (_, leaf) = &mut self.leaves[at];
        let place = find(leaf, *key).ok()?;
        leaf.get_mut(place).map(|(_, value)| value)
    }

    /// The leaf that a key belongs to.
    fn leaf(&self, key: u64) -> Option<usize> {
        // All belong to one if there are few.
        let after = match self.leaves.len() {
            1 => usize::from(self.leaves[0].0 <= key),
            _ => self.leaves.partition_point(|(least, _)| *least <= key),
        };
        after.checked_sub(1)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// In the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let entries = self.leaves.iter().flat_map(|(_, leaf)| leaf);
        entries.map(|(key, value)| (*key, value))
    }

    /// As [`iter`](Self::iter).
    pub(super) fn into_iter(self) -> impl Iterator<Item = (u64, T)> {
        self.leaves.into_iter().flat_map(|(_, leaf)| leaf)
    }

    /// Puts a value in, in place of the one that the key had.
    pub(super) fn insert(&mut self, key: u64, value: T) {
        let at = self.leaf(key);
        let leaf = at.map(|at| &mut self.leaves[at].1);
        let rest = match leaf.map(|leaf| (find(leaf, key), leaf)) {
            Some((Ok(place), leaf)) => {
                leaf[place].1 = value;
                return;
            }
            Some((Err(place), leaf)) if leaf.len() < LEAF => {
                leaf.insert(place, (key, value));
                None
            }
            // Only a key that has not risen leaves something to split off.
            Some((Err(place), leaf)) if place < leaf.len() => {
                let rest = leaf.split_off(place);
                leaf.push((key, value));
                Some(rest)
            }
            _ => Some(vec![(key, value)]),
        };
        if let Some(rest) = rest {
            let after = at.map_or(0, |at| at + 1);
            self.leaves.insert(after, (rest[0].0, rest));
        }
        self.len += 1;
    }

    pub(super) fn remove(&mut self, key: &u64) -> Option<T> {
        let at = self.leaf(*key)?;
        let (_, leaf) = &mut self.leaves[at];
        let (_, value) = leaf.remove(find(leaf, *key).ok()?);
        self.len -= 1;
        if leaf.is_empty() {
            self.leaves.remove(at);
        } else if leaf.len() <= LEAF / 2 {
            self.join(at);
        }
        Some(value)
    }

    /// Joins a leaf with a neighbour if one leaf takes both: together two always fill one.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.leaves.get(at).map(|(_, leaf)| leaf.len());
        for first in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            let (Some(some), Some(more)) = (len(first), len(first + 1)) else {
                continue;
            };
            if some + more <= LEAF {
                if let Some((_, more)) = self.leaves.remove(first + 1) {
                    self.leaves[first].1.extend(more);
                }
                return;
            }
        }
    }
}

fn find<T>(leaf: &[(u64, T)], key: u64) -> Result<usize, usize> {
    leaf.binary_search_by_key(&key, |(key, _)| *key)
}

impl<T: fmt::Debug> fmt::Debug for Numbered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_does_what_a_btree_map_does() {
        // A fixed linear congruential sequence: the same steps in every run.
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let (mut ours, mut theirs) = (Numbered::default(), BTreeMap::new());
        let mut next = 0;
        for step in 0..50_000_u64 {
            // Grows and shrinks by turns; mostly at the end, at times anywhere.
            let growing = step / 1_000 % 2 == 0;
            let key = random(next + 2);
            if random(10) < if growing { 7 } else { 3 } {
                let key = if random(8) == 0 { key } else { next };
                next = next.max(key + 1);
                ours.insert(key, step);
                theirs.insert(key, step);
            } else {
                assert_eq!(ours.remove(&key), theirs.remove(&key));
            }
            let key = random(next + 2);
            assert_eq!(ours.get(&key), theirs.get(&key));
            assert_eq!(ours.get_mut(&key), theirs.get_mut(&key));
            assert_eq!(ours.len(), theirs.len());
        }
        assert!(
            ours.iter()
                .eq(theirs.iter().map(|(key, value)| (*key, value)))
        );
        assert!(ours.into_iter().eq(theirs));
    }

    #[test]
    fn leaves_are_full_when_keys_rise_and_half_full_when_many_are_gone() {
        let mut map = Numbered::default();
        for key in 0..LEAF as u64 * 100 {
            map.insert(key, ());
        }
        assert_eq!(map.leaves.len(), 100);
        for key in (0..LEAF as u64 * 100).filter(|key| key % 10 != 0) {
            map.remove(&key);
        }
        assert!(
            map.leaves.len() <= 2 * map.len() / LEAF + 1,
            "{}",
            map.leaves.len()
        );
    }
}
