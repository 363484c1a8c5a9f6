//! Activations that are computed again in the backward pass, in place of being kept for it.   Chen et al. 2016, "Training Deep
//! Nets with Sublinear Memory Cost".
//!
//! The nodes of a network are cut into segments. What crosses a cut is kept. Whatever else the backward pass of a segment reads is
//! computed just before it, by the calls of the forward pass from the same operands: no bit changes. The backward pass of the
//! last segment follows its forward pass at once, and nothing of it is computed twice.

use std::collections::{HashMap, HashSet};

use super::arena::place;
use super::model::{Model, NodeId};
use super::schedule::{Call, Facts, Item, Key, Life, Schedule, lives};

/// So many segments are tried at most: below that the gradients of one layer hold the most.
const MOST_SEGMENTS: usize = 32;
/// So often is one cut moved at most, each time so many nodes: planning a network of 250 layers stays below a second.
const MOST_MOVES: usize = 12;
const STEP: usize = 4;
/// Percent of the bytes that are worth a second forward pass.
const LEAST_SAVED: u64 = 10;
/// An extra this much smaller than the layer's output is kept: moments of a norm spare it a second look at its input.
const SMALL: u64 = 16;

/// The schedule of all those tried that takes the fewest bytes: `once` itself, if all others save too little.
pub(super) fn shortened(model: &Model, once: Schedule, facts: &Facts) -> Schedule {
    let bytes = |lives: &[Life]| place(lives).buffers.iter().map(|room| room.bytes).sum::<u64>();
    let forward = Forward::new(model, &once, facts.kept);
    let tried = |cuts: Vec<NodeId>| {
        let schedule = forward.schedule(&once, &cuts, facts);
        (bytes(&schedule.lives), cuts, schedule)
    };
    // The first of those that take as many: it has the fewest segments.
    let least = |ways: Vec<Vec<NodeId>>| ways.into_iter().map(tried).min_by_key(|(bytes, ..)| *bytes);
    let Some(mut best) = least(forward.ways_to_cut()) else { return once };
    for _ in 0..MOST_MOVES {
        match least(beside(&best.1, forward.nodes)) {
            Some(better) if better.0 < best.0 => best = better,
            _ => break,
        }
    }
    let enough = LEAST_SAVED * bytes(&once.lives) / 100;
    if best.0 + enough <= bytes(&once.lives) { best.2 } else { once }
}

/// The same cuts but for one, which is left out or lies up to [`STEP`] nodes away.
fn beside(cuts: &[NodeId], nodes: usize) -> Vec<Vec<NodeId>> {
    let mut ways = Vec::new();
    for at in cuts {
        let others = || cuts.iter().copied().filter(|cut| cut != at);
        ways.push(others().collect());
        let places = at.saturating_sub(STEP).max(1)..=(at + STEP).min(nodes - 1);
        for place in places.filter(|place| !cuts.contains(place)) {
            let mut way: Vec<NodeId> = others().chain([place]).collect();
            way.sort_unstable();
            ways.push(way);
        }
    }
    ways
}

/// A forward pass, and the backward pass that reads it.
struct Forward<'a> {
    /// Up to the losses.
    calls: &'a [Call],
    backward: &'a [Call],
    nodes: usize,
    written: HashMap<Key, Written>,
}

/// What is known of a tensor that the forward pass writes.
struct Written {
    bytes: u64,
    by: NodeId,
    /// The last node that reads it, forward or backward.
    last: NodeId,
    /// Whether a backward pass touches it.
    is_reread: bool,
    /// It is never computed again.
    stays: bool,
}

impl<'a> Forward<'a> {
    fn new(model: &Model, once: &'a Schedule, kept: &[Item]) -> Self {
        let losses = once.calls.iter().position(|call| matches!(call, Call::Losses { .. }));
        let (calls, backward) = once.calls.split_at(losses.map_or(once.calls.len(), |at| at + 1));
        let bytes: HashMap<Key, u64> = once.lives.iter().map(|life| (life.key, life.bytes())).collect();
        let nodes = model.nodes.len();
        let reread: HashSet<Key> = backward.iter().flat_map(|call| call.touches().concat()).collect();
        let mut written: HashMap<Key, Written> = HashMap::new();
        for call in calls {
            let Some(by) = call.node() else { continue };
            let output = match call {
                Call::Forward { y, .. } => bytes[y],
                _ => 0,
            };
            for key in call.touches()[1].iter().copied() {
                let bytes = bytes[&key];
                let is_reread = reread.contains(&key);
                // What is there for the forward call alone is there for its repetition alone.
                let is_small = matches!(key.item, Item::Extra(..)) && is_reread && bytes * SMALL <= output;
                let is_kept = !key.narrow && kept.contains(&key.item);
                // A second call would read the state that the first has left.
                let carries = !once.carried[by].is_empty();
                let stays = is_small || is_kept || carries;
                written.insert(key, Written { bytes, by, last: by, is_reread, stays });
            }
        }
        for call in &once.calls {
            let reader = call.node().unwrap_or(nodes - 1);
            for key in call.touches().concat() {
                let Some(tensor) = written.get_mut(&key) else { continue };
                tensor.last = tensor.last.max(reader);
            }
        }
        Self { calls, backward, nodes, written }
    }

    /// Segments of at most a half, a third, ... of the bytes that may be computed again: of each way to cut so, that which the
    /// fewest bytes cross.
    fn ways_to_cut(&self) -> Vec<Vec<NodeId>> {
        let tensors = || self.written.values().filter(|tensor| !tensor.stays);
        let mut held = vec![0; self.nodes];
        let mut crossing = vec![0; self.nodes];
        for tensor in tensors() {
            held[tensor.by] += if tensor.is_reread { tensor.bytes } else { 0 };
            crossing[tensor.by + 1..=tensor.last].iter_mut().for_each(|sum| *sum += tensor.bytes);
        }
        let total: u64 = held.iter().sum();
        let counts = 2..=self.nodes.min(MOST_SEGMENTS) as u64;
        let mut ways: Vec<_> = counts.map(|count| cut(&held, &crossing, total.div_ceil(count))).collect();
        ways.dedup();
        ways
    }

    /// `once` with these cuts.
    fn schedule(&self, once: &Schedule, cuts: &[NodeId], facts: &Facts) -> Schedule {
        let calls = self.repeated(cuts);
        let lives = lives(&calls, facts);
        Schedule { calls, lives, batch: once.batch, wish: once.wish, carried: once.carried.clone() }
    }

    /// The calls of both passes, with what segments that begin at node 0 and at each cut compute again.
    fn repeated(&self, cuts: &[NodeId]) -> Vec<Call> {
        let segment = |node: NodeId| cuts.partition_point(|&cut| cut <= node);
        let is_again = |key: &Key| {
            let alone = |tensor: &Written| segment(tensor.by) == segment(tensor.last);
            let among = |tensor: &Written| segment(tensor.by) < cuts.len();
            self.written.get(key).is_some_and(|tensor| !tensor.stays && alone(tensor) && among(tensor))
        };
        let rename = |key: Key| if is_again(&key) { key.again() } else { key };
        let of = |call: &Call| call.node().map(segment);
        let mut all = self.calls.to_vec();
        let mut begun = Some(cuts.len());
        for call in self.backward {
            if begun != of(call) {
                begun = of(call);
                let reads = self.backward.iter().filter(|call| of(call) == begun);
                let mut wanted: HashSet<Key> =
                    reads.flat_map(|call| call.touches().concat()).filter(is_again).collect();
                let mut repeated = Vec::new();
                for call in self.calls.iter().rev().filter(|call| of(call) == begun) {
                    let [reads, writes] = call.touches();
                    if writes.iter().any(|key| wanted.contains(key)) {
                        wanted.extend(reads.into_iter().filter(is_again));
                        repeated.push(renamed(call, &rename));
                    }
                }
                all.extend(repeated.into_iter().rev());
            }
            all.push(renamed(call, &rename));
        }
        all
    }
}

/// Where segments begin, but for the first: each holds `most` bytes at most, or is one node, and the sum of bytes that cross is
/// the least.
fn cut(held: &[u64], crossing: &[u64], most: u64) -> Vec<NodeId> {
    // Of the nodes before each: the least sum, and where the last segment begins.
    let mut best: Vec<(u64, NodeId)> = vec![(0, 0)];
    for end in 1..=held.len() {
        let (mut bytes, mut least) = (0, (u64::MAX, 0));
        for begin in (0..end).rev() {
            bytes += held[begin];
            if bytes > most && begin + 1 < end {
                break;
            }
            // Node 0 begins a segment without a cut.
            let sum = best[begin].0 + if begin == 0 { 0 } else { crossing[begin] };
            if sum <= least.0 {
                least = (sum, begin);
            }
        }
        best.push(least);
    }
    let mut cuts = Vec::new();
    let mut begin = best[held.len()].1;
    while begin > 0 {
        cuts.push(begin);
        begin = best[begin].1;
    }
    cuts.reverse();
    cuts
}

/// A call with other tensors in place of values and extras.
fn renamed(call: &Call, rename: &dyn Fn(Key) -> Key) -> Call {
    let mut call = call.clone();
    let to = |key: &mut Key| *key = rename(*key);
    match &mut call {
        Call::Batch { .. } | Call::Losses { .. } | Call::Add { .. } => {}
        Call::Narrow { from, to: narrow, .. } => [from, narrow].into_iter().for_each(to),
        Call::Forward { x, y, extras, .. } => {
            x.iter_mut().chain([y]).chain(extras.iter_mut().flatten()).for_each(to)
        }
        Call::Gate { y, .. } => to(y),
        Call::Backward { x, y, extras, .. } => {
            x.iter_mut().chain(y).chain(extras.iter_mut().flatten()).for_each(to);
        }
    }
    call
}

#[cfg(test)]
#[path = "recompute_tests.rs"]
mod tests;
