//! The twins of the search's kernels: the same meetings, with plain sums.

use super::site::{Args, Round};
use crate::gpu::Twin;

/// The pairs of a turn: after a round each group has met each other once.
fn pairs(args: &Args) -> Vec<(usize, usize)> {
    let (ring, turn) = (args.ring as usize, args.turn as usize);
    let one = |k: usize| (turn + k) % ring;
    let other = |k: usize| if k == 0 { ring } else { (turn + ring - k) % ring };
    (0..ring.div_ceil(2)).map(|k| (one(k).min(other(k)), one(k).max(other(k)))).collect()
}

/// The state of a search as its twins see it.
struct Seen {
    args: Args,
    turn: u32,
}

impl Seen {
    fn new(t: &Twin) -> Self {
        let (args, now): (Args, Round) = (t.get("args"), t.get("now"));
        Self { args, turn: now.round * args.ring + args.turn }
    }
    fn members(&self, group: usize) -> std::ops::Range<usize> {
        let of = self.args.group as usize;
        group * of..((group + 1) * of).min(self.args.inner as usize)
    }
    /// Pairs of this turn, by number, that exist, and one of which has changed since they last met.
    fn open(&self, changed: &[u32]) -> Vec<(usize, [usize; 2])> {
        let exists = |pair: &(usize, (usize, usize))| pair.1.1 < self.args.groups as usize;
        let may_gain = |a: usize, b: usize| changed[a].max(changed[b]) + self.args.ring >= self.turn;
        let all = pairs(&self.args).into_iter().enumerate().filter(exists);
        all.filter(|&(_, (a, b))| may_gain(a, b)).map(|(k, (a, b))| (k, [a, b])).collect()
    }
}

pub fn begin(t: &Twin) {
    t.u32_mut("order").iter_mut().enumerate().for_each(|(i, order)| *order = i as u32);
    t.u32_mut("changed").fill(0);
}

pub fn turn_around(t: &Twin) {
    let args: Args = t.get("args");
    let (weight, mut sizes) = (t.f32("weight"), t.f32_mut("turned"));
    let (rows, inner) = (args.rows as usize, args.inner as usize);
    let stride = args.quads as usize * 4;
    sizes.fill(0.0);
    for (row, input) in (0..rows).flat_map(|row| (0..inner).map(move |input| (row, input))) {
        sizes[input * stride + row] = weight[row * inner + input].abs();
    }
}

pub fn find_bounds(t: &Twin) {
    let seen = Seen::new(t);
    let (order, changed) = (t.u32("order"), t.u32("changed"));
    let (sizes, mut bounds) = (t.f32("sizes"), t.u32_mut("bounds"));
    let (stride, keep) = (seen.args.quads as usize * 4, seen.args.keep as usize);
    for group in (0..changed.len()).filter(|&group| changed[group] == seen.turn) {
        for row in 0..stride {
            let mut all: Vec<f32> =
                order[seen.members(group)].iter().map(|&i| sizes[i as usize * stride + row]).collect();
            all.sort_unstable_by(|a, b| b.total_cmp(a));
            for (which, n) in [keep - 1, keep].into_iter().enumerate() {
                bounds[(group * 2 + which) * stride + row] = all.get(n).copied().unwrap_or(0.0).to_bits();
            }
        }
    }
}

pub fn gains(t: &Twin) {
    let seen = Seen::new(t);
    let (args, order, changed) = (seen.args, t.u32("order"), t.u32("changed"));
    let (sizes, bounds, mut sums) = (t.f32("sizes"), t.u32("bounds"), t.f32_mut("sums"));
    let (stride, side) = (args.quads as usize * 4, args.group.div_ceil(4) as usize);
    let size = |input: u32, row: usize| sizes[input as usize * stride + row];
    let bound =
        |group: usize, which: usize, row: usize| f32::from_bits(bounds[(group * 2 + which) * stride + row]);
    // The N-th largest of a group without one of its inputs.
    let edge =
        |group: usize, own: f32, row: usize| bound(group, usize::from(own >= bound(group, 0, row)), row);
    for (k, [a, b]) in seen.open(&changed) {
        for (cell, share) in (0..side * side).flat_map(|c| (0..args.shares).map(move |s| (c, s))) {
            let rows = || (0..stride).filter(|row| (*row as u32 / 4) % args.shares == share);
            // Past the end of a short group its last input stands in; nothing is chosen by it.
            let input = |group: usize, i: usize| {
                let members = &order[seen.members(group)];
                members[i.min(members.len() - 1)]
            };
            let a_input = |i: usize| input(a, cell / side * 4 + i);
            let b_input = |j: usize| input(b, cell % side * 4 + j);
            let kept = |group: usize, own: u32, x: u32| -> f64 {
                rows().map(|row| f64::from(edge(group, size(own, row), row).max(size(x, row)))).sum()
            };
            let first = (k * side * side + cell) * args.all_shares as usize;
            let out = &mut sums[(first + (args.first_share + share) as usize) * 24..][..24];
            for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
                let (x, y) = (a_input(i), b_input(j));
                out[i * 4 + j] = (kept(a, x, y) + kept(b, y, x)) as f32;
            }
            for i in 0..4 {
                out[16 + i] = kept(a, a_input(i), a_input(i)) as f32;
                out[20 + i] = kept(b, b_input(i), b_input(i)) as f32;
            }
        }
    }
}

pub fn exchange(t: &Twin) {
    let seen = Seen::new(t);
    let args = seen.args;
    let (sums, mut order, mut changed) = (t.f32("sums"), t.u32_mut("order"), t.u32_mut("changed"));
    let side = args.group.div_ceil(4) as usize;
    for (k, [a, b]) in seen.open(&changed) {
        let sum = |i: usize, j: usize, which: usize| -> f64 {
            let first = (k * side * side + i / 4 * side + j / 4) * args.all_shares as usize;
            let shares = first..first + args.all_shares as usize;
            shares.map(|share| f64::from(sums[share * 24 + which])).sum()
        };
        let mut best: Option<(f64, usize, usize)> = None;
        for (i, a_at) in seen.members(a).enumerate() {
            for (j, b_at) in seen.members(b).enumerate() {
                let compared = sum(i, j, 16 + i % 4) + sum(i, j, 20 + j % 4);
                let gain = sum(i, j, i % 4 * 4 + j % 4) - compared;
                let enough = gain > f64::from(args.least) * compared;
                if enough && best.is_none_or(|(most, ..)| gain > most) {
                    best = Some((gain, a_at, b_at));
                }
            }
        }
        if let Some((_, a_at, b_at)) = best {
            order.swap(a_at, b_at);
            (changed[a], changed[b]) = (seen.turn, seen.turn);
            t.u32_mut("exchanged")[0] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where a place of the circle stays empty: nobody meets group `groups` or later then.
    #[test]
    fn in_a_round_each_group_meets_each_other_once_and_in_a_turn_at_most_one() {
        for groups in 2..40u32 {
            let ring = groups.next_multiple_of(2) - 1;
            let mut met = Vec::new();
            for turn in 1..=ring {
                let now: Vec<_> = pairs(&Args { ring, turn, groups, ..Args::default() });
                let mut busy: Vec<usize> = now.iter().flat_map(|&(a, b)| [a, b]).collect();
                busy.sort_unstable();
                assert_eq!(busy, (0..=ring as usize).collect::<Vec<_>>(), "{groups} groups, turn {turn}");
                met.extend(now.into_iter().filter(|&(_, b)| b < groups as usize));
            }
            met.sort_unstable();
            let each = (0..groups as usize).flat_map(|a| (a + 1..groups as usize).map(move |b| (a, b)));
            assert_eq!(met, each.collect::<Vec<_>>(), "{groups} groups");
        }
    }
}
