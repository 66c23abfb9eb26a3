//! The wait-for graph against a naive one.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use fetch_router::{EdgeId, LoopReason, WaitGraph};
use sw_types::RegistrationId;

/// A registration, or (`None`) a page.
type Node = Option<RegistrationId>;

/// All outstanding edges, searched by brute force.
#[derive(Default)]
struct Naive(Vec<(EdgeId, Node, RegistrationId)>);

impl Naive {
    fn reaches(&self, from: RegistrationId, to: RegistrationId) -> bool {
        from == to
            || self
                .0
                .iter()
                .any(|(_, node, next)| *node == Some(from) && self.reaches(*next, to))
    }

    fn longest_from(&self, node: Node) -> usize {
        self.0
            .iter()
            .filter(|(_, from, _)| node.is_some() && *from == node)
            .map(|(_, _, to)| 1 + self.longest_from(Some(*to)))
            .max()
            .unwrap_or(0)
    }

    fn longest_to(&self, node: Node) -> usize {
        self.0
            .iter()
            .filter(|(_, _, to)| Some(*to) == node)
            .map(|(_, from, _)| 1 + self.longest_to(*from))
            .max()
            .unwrap_or(0)
    }

    fn expected(&self, from: Node, to: RegistrationId, max_depth: u8) -> Result<(), LoopReason> {
        if from.is_some_and(|from| self.reaches(to, from)) {
            return Err(LoopReason::Cycle);
        }
        if self.longest_to(from) + 1 + self.longest_from(Some(to)) > usize::from(max_depth) {
            return Err(LoopReason::TooDeep);
        }
        Ok(())
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// `SEED=… cargo test` replays a run.
fn seed() -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| RandomState::new().hash_one(0) | 1);
    println!("SEED={seed}");
    seed
}

#[test]
fn it_agrees_with_brute_force_over_random_histories() {
    let mut random = Random(seed());
    let (mut cycles, mut too_deep, mut begun) = (0, 0, 0);
    for _ in 0..200 {
        let max_depth = u8::try_from(random.below(6)).unwrap();
        let registrations = 2 + random.below(7);
        let mut graph = WaitGraph::new(max_depth);
        let mut naive = Naive::default();
        for _ in 0..120 {
            if random.below(3) == 0 && !naive.0.is_empty() {
                let (edge, ..) = naive.0.swap_remove(random.below(naive.0.len()));
                graph.end(edge);
                graph.end(edge);
            } else {
                let any = |random: &mut Random| RegistrationId(random.below(registrations) as u64);
                let from = (random.below(4) > 0).then(|| any(&mut random));
                let to = any(&mut random);
                let expected = naive.expected(from, to, max_depth);
                match graph.begin(from, to) {
                    Ok(edge) => {
                        assert_eq!(expected, Ok(()), "{from:?} -> {to:?}");
                        naive.0.push((edge, from, to));
                        begun += 1;
                    }
                    Err(reason) => {
                        assert_eq!(expected, Err(reason), "{from:?} -> {to:?}");
                        match reason {
                            LoopReason::Cycle => cycles += 1,
                            _ => too_deep += 1,
                        }
                    }
                }
            }
            assert_eq!(graph.len(), naive.0.len());
            assert_eq!(graph.is_empty(), naive.0.is_empty());
        }
    }
    // The history was worth it.
    assert!(cycles > 100 && too_deep > 100 && begun > 100);
}

#[test]
fn a_fifth_nested_fetch_is_refused_and_a_second_of_the_first_is_not() {
    let mut graph = WaitGraph::new(4);
    let r = RegistrationId;
    graph.begin(None, r(1)).unwrap();
    graph.begin(Some(r(1)), r(2)).unwrap();
    graph.begin(Some(r(2)), r(3)).unwrap();
    let last = graph.begin(Some(r(3)), r(4)).unwrap();
    assert_eq!(graph.begin(Some(r(4)), r(5)), Err(LoopReason::TooDeep));
    graph.begin(None, r(1)).unwrap();
    graph.end(last);
    graph.begin(Some(r(3)), r(5)).unwrap();
}

#[test]
fn a_worker_does_not_wait_for_itself() {
    let mut graph = WaitGraph::new(4);
    let only = RegistrationId(1);
    assert_eq!(graph.begin(Some(only), only), Err(LoopReason::Cycle));
    assert!(graph.is_empty());
}

#[test]
fn one_of_two_equal_edges_keeps_the_wait() {
    let mut graph = WaitGraph::new(4);
    let (a, b) = (RegistrationId(1), RegistrationId(2));
    let first = graph.begin(Some(a), b).unwrap();
    let second = graph.begin(Some(a), b).unwrap();
    graph.end(first);
    assert_eq!(graph.begin(Some(b), a), Err(LoopReason::Cycle));
    graph.end(second);
    assert!(graph.begin(Some(b), a).is_ok());
}
