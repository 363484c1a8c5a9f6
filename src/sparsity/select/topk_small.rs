//! Exact top-k of magnitudes over one small tensor, in one dispatch: what [`crate::sparsity::topk`] does in ten.

use super::topk::{BINS, EXCLUDED, INFINITY, Keep, ROUNDS, TAKE_ALL, key};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/topk_small.wgsl`.
    pub struct Args { len: u32, goes_on: u32 }
}

const SMALL: Kernel = Kernel::own(source!("sparsity/select/topk_small"), twin_small).proven();

/// Scores up to which one workgroup is done sooner than many that hand over their histograms.
pub const MOST: usize = 1 << 14;

/// What a selection works with, whichever kernels do it.
pub struct Place<'a> {
    pub keep: &'a Uniform,
    pub chosen: &'a Tensor,
    pub counts: &'a Tensor,
}

/// Records the selection of what `place.keep` says among the scores, into the mask. `goes_on` says that what was chosen
/// before is among them.
pub fn record(
    rec: &mut Recorder,
    place: Place,
    (score, mask): (&Tensor, &Tensor),
    goes_on: bool,
) -> Result<()> {
    let args = Args { len: score.len() as u32, goes_on: goes_on.into() };
    let binds = bind! { args: &args, budget: place.keep, score: score, chosen: place.chosen, mask: mask,
    counts: place.counts };
    rec.dispatch(&SMALL, binds, 1, 4 * score.len() as u64)
}

/// The k-th largest key, and how it came about: the entries of `chosen`.
fn chosen_of(keys: &[u32], wanted: u32, floor: u32) -> [u32; 4] {
    let [mut prefix, mut wanted, mut level] = [0, wanted, 31];
    for (shift, bits) in ROUNDS.into_iter() {
        if level != shift + bits {
            continue;
        }
        let mut bins = [0u32; BINS];
        let counted = |&&k: &&u32| k >> level == prefix && k >= floor && k != key(EXCLUDED);
        keys.iter().filter(counted).for_each(|k| bins[(k >> shift & ((1 << bits) - 1)) as usize] += 1);
        let mut above = 0;
        for (bin, &n) in bins.iter().enumerate().rev() {
            if above < wanted && wanted <= above + n {
                let all = wanted - above == n;
                prefix = (prefix << bits | bin as u32) << if all { shift } else { 0 };
                (wanted, level) = if all { (TAKE_ALL, 0) } else { (wanted - above, shift) };
                break;
            }
            above += n;
        }
    }
    [prefix, wanted, floor, level]
}

fn twin_small(t: &Twin) {
    let (args, keep): (Args, Keep) = (t.get("args"), t.get("budget"));
    let keys: Vec<u32> = t.f32("score").iter().map(|&score| key(score)).collect();
    let (mut chosen, mut mask, mut counts) = (t.u32_mut("chosen"), t.u32_mut("mask"), t.u32_mut("counts"));
    let floor = if args.goes_on != 0 { chosen[0] } else { 0 };
    chosen.copy_from_slice(&chosen_of(&keys, keep.keep, floor));
    let (threshold, take) = (chosen[0], chosen[1]);
    counts[..4].fill(0);
    counts[3] = keys.iter().filter(|&&k| k > INFINITY).count() as u32;
    let mut rank = 0;
    for (word, keys) in mask.iter_mut().zip(keys.chunks(32)) {
        let mut bits = 0u32;
        for (j, &k) in keys.iter().enumerate() {
            let above = k > threshold && k != key(EXCLUDED);
            bits |= u32::from(keep.keep > 0 && (above || (k == threshold && rank < take))) << j;
            rank += u32::from(k == threshold);
        }
        counts[0] += bits.count_ones();
        counts[1] += (bits & !*word).count_ones();
        counts[2] += (*word & !bits).count_ones();
        *word = bits;
    }
}

/// Every share of the elements, with ties, with some that are excluded and, once, not numbers; alone and after another.
pub fn checks() -> Vec<Check> {
    let shares = [("none", 0.0), ("one", 1e-9), ("half", 0.5), ("most", 0.97), ("all", 1.0)];
    let values = ["coarse", "fine", "not numbers"];
    let one = |((name, share), kind): ((&str, f64), &'static str)| {
        Check::new(format!("sparsity/select/topk_small ({name}, {kind})"), move |t, n| {
            let n = (n * 60).min(MOST);
            let score = |(i, v): (usize, f32)| match kind {
                _ if v > 0.9 => EXCLUDED,
                "fine" => v,
                "not numbers" if i % 7 == 3 => f32::NAN.copysign(v),
                _ => (v * 9.0).round() / 9.0,
            };
            let scores: Vec<f32> = t.values(n).into_iter().enumerate().map(score).collect();
            let keep = (share * n as f64).ceil() as u32;
            let (chosen, counts) = (t.output_u32("chosen", &[4])?, t.output_u32("counts", &[4])?);
            let keep = t.gpu.uniform("keep", &Keep { keep })?;
            let place = || Place { keep: &keep, chosen: &chosen, counts: &counts };
            // The first half, then all.
            for (len, goes_on) in [(n / 2, false), (n, true)] {
                let score = t.gpu.upload_f32("score", &[len], &scores[..len])?;
                let mask = t.bits("mask", len.div_ceil(32))?;
                t.compare(&mask, Tolerance::EXACT);
                record(&mut t.rec, place(), (&score, &mask), goes_on)?;
            }
            Ok(())
        })
    };
    shares.into_iter().flat_map(|share| values.map(|kind| one((share, kind)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Dtype, Gpu};
    use crate::sparsity::select::topk::{Selection, top_k};

    /// Both ways choose the same, and what an oracle by sorting does, of as many as one workgroup takes and of one more.
    #[test]
    fn one_workgroup_chooses_what_many_do() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            for (n, coarse) in
                [(1, 9.0f32), (257, 9.0), (8193, 40.0), (MOST - 1, 1e6), (MOST, 3.0), (MOST + 1, 40.0)]
            {
                let random =
                    |i: usize| crate::random::uniform(4, crate::random::Stream::Test, 0, 1, i as u32) - 0.5;
                let scores: Vec<f32> = (0..n).map(|i| (random(i) * coarse).round() / coarse).collect();
                let score = gpu.upload_f32("score", &[n], &scores).unwrap();
                let mut found = Vec::new();
                for extra in [0, 1] {
                    let mask = || gpu.tensor("mask", Dtype::U32, &[n.div_ceil(32)]).unwrap();
                    // A second tensor without scores takes the other way.
                    let (masks, none) = ([mask(), mask()], gpu.tensor("none", Dtype::F32, &[0]).unwrap());
                    let pairs = &[(&score, &masks[0]), (&none, &masks[1])][..1 + extra];
                    let mut rec = Recorder::new(&gpu);
                    let selection = Selection::over(&mut rec, pairs).unwrap();
                    let plan = rec.finish().unwrap();
                    let one = |keep: usize| {
                        selection.keep(keep).unwrap();
                        plan.replay().unwrap();
                        (masks[0].read_u32().unwrap(), selection.counts().unwrap()[0])
                    };
                    found.push([1, n / 2, n].map(one));
                }
                assert!(found[0] == found[1], "{n} scores of {coarse}");
                for (keep, (mask, count)) in [1, n / 2, n].into_iter().zip(&found[0]) {
                    let want = top_k(&scores, keep);
                    let bit = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1;
                    assert!((0..n).all(|i| bit(i) == want[i]), "{keep} of {n} scores of {coarse}");
                    assert_eq!(count.kept as usize, keep);
                }
            }
        }
    }
}
