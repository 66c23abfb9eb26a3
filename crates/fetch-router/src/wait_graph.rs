//! Which registration waits for which, over outstanding fall-through fetches. (SEMANTICS §5.4,
//! "Loops".)

use std::collections::{BTreeMap, BTreeSet};

use sw_types::RegistrationId;

/// The wait-for graph of registrations: without cycles and with short paths only, because
/// [`begin`](Self::begin) refuses what would break that.
///
/// An edge lives from the dispatch of a fall-through fetch to its response's head, or its failure.
/// Edges say which registration waits, not for which of its requests: now and then a fetch is
/// refused though nothing would have hung. It then goes to the network, nothing more.
///
/// ```
/// use fetch_router::{LoopReason, WaitGraph};
/// use sw_types::RegistrationId;
///
/// let (fonts, images) = (RegistrationId(1), RegistrationId(2));
/// let mut waiting = WaitGraph::new(4);
/// let from_page = waiting.begin(None, fonts)?;
/// let from_fonts = waiting.begin(Some(fonts), images)?;
/// assert_eq!(waiting.begin(Some(images), fonts), Err(LoopReason::Cycle));
/// waiting.end(from_fonts);
/// assert!(waiting.begin(Some(images), fonts).is_ok());
/// # waiting.end(from_page);
/// # Ok::<(), LoopReason>(())
/// ```
#[derive(Debug)]
pub struct WaitGraph {
    max_depth: u8,
    next: EdgeId,
    edges: BTreeMap<EdgeId, Edge>,
    outgoing: BTreeMap<RegistrationId, Neighbours>,
    incoming: BTreeMap<RegistrationId, Neighbours>,
    /// How many pages wait for each registration.
    pages: BTreeMap<RegistrationId, usize>,
}

/// Names one outstanding fall-through fetch in a [`WaitGraph`]. A counter, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(u64);

/// Why a fall-through fetch is not begun; it goes to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LoopReason {
    /// The registration that is asked already waits for the one that asks, or is the same.
    #[error("the worker that is asked waits, itself or through others, for the one that asks")]
    Cycle,
    /// Too many fall-through fetches would wait inside one another.
    #[error("too many fall-through fetches wait inside one another")]
    TooDeep,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    from: Option<RegistrationId>,
    to: RegistrationId,
}

/// The registrations at the other ends, and by how many edges each.
type Neighbours = BTreeMap<RegistrationId, usize>;

impl WaitGraph {
    /// A graph without edges, in which at most `max_depth` fall-through fetches may wait inside one
    /// another. With 0, every fetch is refused.
    #[must_use]
    pub const fn new(max_depth: u8) -> Self {
        Self {
            max_depth,
            next: EdgeId(0),
            edges: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            pages: BTreeMap::new(),
        }
    }

    /// A fall-through fetch is about to be dispatched to `to`. `from` is the registration of the
    /// worker that made it; `None` if the requester is not a service worker.
    ///
    /// # Errors
    /// Why it must go to the network instead; the graph is then unchanged.
    pub fn begin(
        &mut self,
        from: Option<RegistrationId>,
        to: RegistrationId,
    ) -> Result<EdgeId, LoopReason> {
        if from == Some(to) {
            return Err(LoopReason::Cycle);
        }
        let below = longest_path(&self.outgoing, to, from, |_| false)?;
        let above = match from {
            None => 0,
            Some(from) => longest_path(&self.incoming, from, None, |node| {
                self.pages.contains_key(&node)
            })?,
        };
        if above + 1 + below > usize::from(self.max_depth) {
            return Err(LoopReason::TooDeep);
        }
        let id = self.next;
        self.next.0 += 1;
        self.edges.insert(id, Edge { from, to });
        match from {
            None => *self.pages.entry(to).or_default() += 1,
            Some(from) => {
                *self
                    .outgoing
                    .entry(from)
                    .or_default()
                    .entry(to)
                    .or_default() += 1;
                *self
                    .incoming
                    .entry(to)
                    .or_default()
                    .entry(from)
                    .or_default() += 1;
            }
        }
        Ok(id)
    }

    /// The fetch has its response's head, or has failed. An edge that has ended already is ignored.
    pub fn end(&mut self, edge: EdgeId) {
        let Some(Edge { from, to }) = self.edges.remove(&edge) else {
            tracing::debug!(?edge, "an edge ended twice");
            return;
        };
        match from {
            None => decrement(&mut self.pages, to),
            Some(from) => {
                remove(&mut self.outgoing, from, to);
                remove(&mut self.incoming, to, from);
            }
        }
    }

    /// How many fall-through fetches are outstanding.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }
}

/// The number of edges on the longest path from `start`, which may take one step more from any node
/// that `ends_at_page`. [`LoopReason::Cycle`] if `target` is met on the way.
///
/// Layer by layer: the graph has no cycle, so it ends after as many layers as the longest path has
/// nodes, which the depth limit bounds.
fn longest_path(
    edges: &BTreeMap<RegistrationId, Neighbours>,
    start: RegistrationId,
    target: Option<RegistrationId>,
    ends_at_page: impl Fn(RegistrationId) -> bool,
) -> Result<usize, LoopReason> {
    let mut length = 0;
    let mut longest = usize::from(ends_at_page(start));
    let mut layer = successors(edges, [start]);
    while !layer.is_empty() {
        if target.is_some_and(|target| layer.contains(&target)) {
            return Err(LoopReason::Cycle);
        }
        length += 1;
        let page = layer.iter().any(|node| ends_at_page(*node));
        longest = length + usize::from(page);
        layer = successors(edges, layer);
    }
    Ok(longest)
}

fn successors(
    edges: &BTreeMap<RegistrationId, Neighbours>,
    layer: impl IntoIterator<Item = RegistrationId>,
) -> BTreeSet<RegistrationId> {
    layer
        .into_iter()
        .filter_map(|node| edges.get(&node))
        .flat_map(|neighbours| neighbours.keys().copied())
        .collect()
}

fn remove(
    edges: &mut BTreeMap<RegistrationId, Neighbours>,
    node: RegistrationId,
    neighbour: RegistrationId,
) {
    if let Some(neighbours) = edges.get_mut(&node) {
        decrement(neighbours, neighbour);
        if neighbours.is_empty() {
            edges.remove(&node);
        }
    }
}

fn decrement(counts: &mut BTreeMap<RegistrationId, usize>, key: RegistrationId) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
