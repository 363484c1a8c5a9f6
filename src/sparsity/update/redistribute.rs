//! SNFS's redistribution: what all layers drop together grows where the running mean of the gradient is largest.
//!
//! Dettmers & Zettlemoyer, 2019, "Sparse networks from scratch", as the authors' code counts: a layer's share is the mean
//! magnitude of the running mean over its kept weights, as they were before any is dropped, over the sum of all layers'.
//! It grows so much of the total, rounded up, but no more than .99 of its pruned weights, those just dropped included;
//! what is too much for it is spread evenly over all layers, again and again.
//!
//! The authors let the total drift by the rounding, and lose what finds no place. Here the network keeps its number: what
//! rounding has added is taken back, first where it added most, and what finds no place below .99 takes the rest.

use super::growth::Growth;
use super::regrow::Site;
use crate::error::Result;
use crate::gpu::{Dtype, Phase, Plan, Recorder, Tensor};
use crate::ops::moments;
use crate::param::{MEAN, Param, ParamId};
use crate::sparsity::{Length, not_numbers, score::kept_sums};

/// Of its pruned weights a layer grows no more than this share.
const MOST: f64 = 0.99;
/// Rounds of spreading what is too much, at most.
const ROUNDS: usize = 1000;

/// What a layer does at an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turnover {
    /// Weights that are left after the drop.
    pub keep: usize,
    pub grow: usize,
}

/// How many weights each layer grows of those that all have dropped together, exactly. `means` are the mean magnitudes
/// that decide the shares, `open` those without a weight, those just dropped included.
pub fn redistribute(means: &[f64], dropped: &[usize], open: &[usize]) -> Vec<usize> {
    let (total, sum) = (dropped.iter().sum::<usize>(), means.iter().sum::<f64>());
    if !(sum > 0.0) {
        return dropped.to_vec(); // nothing says where else
    }
    let wanted: Vec<f64> = means.iter().map(|mean| mean / sum * total as f64).collect();
    // Decimal shares are not exact: .2 of 10 is 2, however it rounds.
    let up: Vec<f64> = wanted.iter().map(|wanted| (wanted - 1e-9 * total as f64).ceil().max(0.0)).collect();
    let mut grown = up.clone();
    for _ in 0..ROUNDS {
        let mut surplus = 0.0;
        for (grown, &open) in grown.iter_mut().zip(open) {
            let cap = MOST * open as f64;
            surplus += (*grown - cap).max(0.0);
            *grown = grown.min(cap);
        }
        if surplus <= 0.0 {
            break;
        }
        let each = surplus / means.len() as f64;
        grown.iter_mut().for_each(|grown| *grown += each);
    }
    let capped = |layer: usize| (MOST * open[layer] as f64) as usize;
    let mut counts: Vec<usize> =
        grown.iter().enumerate().map(|(layer, grown)| (*grown as usize).min(capped(layer))).collect();
    let left = |counts: &[usize]| total as i64 - counts.iter().sum::<usize>() as i64;
    let added = ranked(&|layer| up[layer] - wanted[layer], means.len());
    while left(&counts) < 0 {
        for &layer in &added {
            counts[layer] -= usize::from(left(&counts) < 0 && counts[layer] > 0);
        }
    }
    let lost = ranked(&|layer| grown[layer].fract(), means.len());
    while left(&counts) > 0 {
        let below = lost.iter().any(|&layer| counts[layer] < capped(layer));
        let limit = |layer: usize| if below { capped(layer) } else { open[layer] };
        for &layer in &lost {
            counts[layer] += usize::from(left(&counts) > 0 && counts[layer] < limit(layer));
        }
    }
    counts
}

/// Layers by falling value; of equals the lower comes first.
fn ranked(value: &dyn Fn(usize) -> f64, layers: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..layers).collect();
    all.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
    all
}

/// The recorded sums that the shares come from.
pub struct Shares {
    /// By layer: the sum of the running mean's magnitudes where weights are kept, and other moments of its rows.
    sums: Vec<Tensor>,
    /// By layer: the weights that its mask keeps; 0 where it is packed.
    counts: Tensor,
    pub plan: Plan,
}

impl Shares {
    /// Records the sums over the running means of these parameters.
    pub fn record(site: &Site, layers: &[ParamId]) -> Result<Self> {
        let mut rec = Recorder::new(site.gpu);
        rec.phase(Phase::Masks);
        let counts = site.gpu.tensor("kept weights", Dtype::U32, &[layers.len()])?;
        let mut sums = Vec::new();
        for (number, &layer) in layers.iter().enumerate() {
            let (param, means) = (&site.params[layer], site.params[layer].tensors(MEAN));
            rec.scope(&param.name);
            // By row first: in which order what is kept is added up must not depend on how it is stored.
            let by_row = site.gpu.tensor("sums of kept means", Dtype::F32, &[param.matrix().rows])?;
            let mut first = 0;
            for (segment, mean) in means.iter().enumerate() {
                match param.packed() {
                    Some(packed) => kept_sums::record_packed(&mut rec, &packed.index, first, mean, &by_row)?,
                    None => {
                        let mask = &param.segments[segment].mask;
                        let counted = (number, &counts);
                        kept_sums::record_masked(&mut rec, mask, first, mean, &by_row, counted)?
                    }
                }
                first += mean.shape[0];
            }
            sums.push(site.gpu.tensor("moments", Dtype::F32, &[3])?);
            moments::record(&mut rec, &[&by_row], &sums[sums.len() - 1])?;
        }
        Ok(Self { sums, counts, plan: rec.finish()? })
    }

    /// How many weights each layer keeps, and the sums of the running means' magnitudes over them. Waits for the device.
    fn measure(&self, layers: &[&Param]) -> Result<Vec<(usize, f64)>> {
        self.counts.write(&vec![0u32; self.counts.len()])?;
        self.plan.replay()?;
        let counts = self.counts.read_u32()?;
        let layers = layers.iter().zip(counts).zip(&self.sums);
        layers
            .map(|((param, count), sums)| {
                let packed = param.packed().map(|packed| packed.index.pattern.kept());
                Ok((packed.unwrap_or(count as usize), f64::from(sums.read_f32()?[0])))
            })
            .collect()
    }

    /// What each layer does, from its mask and its running mean of now. Waits for the device.
    ///
    /// # Errors
    /// `Kind::Numbers` if a running mean is not a number, with the layer's name.
    pub fn turnovers(
        &self,
        step: u64,
        length: Length,
        growth: &Growth,
        layers: &[&Param],
    ) -> Result<Vec<Turnover>> {
        let (mut means, mut dropped, mut open, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (param, (kept, sum)) in layers.iter().zip(self.measure(layers)?) {
            let drops = growth.drops_of(param, kept, step, length);
            all.push(Turnover { keep: kept - drops, grow: 0 });
            if param.frozen {
                continue; // it neither gives nor takes
            }
            not_numbers(u32::from(!sum.is_finite()), "sums of running means", &param.name, step)?;
            means.push(sum / kept.max(1) as f64);
            dropped.push(drops);
            open.push(param.len() - kept + drops);
        }
        let trained = all.iter_mut().zip(layers).filter(|(_, param)| !param.frozen);
        for ((turnover, _), grow) in trained.zip(redistribute(&means, &dropped, &open)) {
            turnover.grow = grow;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Gpu, Limits};
    use crate::ops::packed::{Form, Pattern};
    use crate::param::{Like, MaskMode, ParamSet, Storage, mask_of};
    use crate::random::{Stream, uniform};
    use proptest::prelude::*;

    const MEANS: [f64; 3] = [0.2, 0.1, 0.05];

    /// The specification's worked shares: .571429, .285714 and .142857.
    #[test]
    fn shares_are_those_of_the_mean_magnitudes() {
        let open = [10_000; 3];
        assert_eq!(redistribute(&MEANS, &[100, 500, 100], &open), [400, 200, 100]);
        assert_eq!(redistribute(&MEANS, &[999_999, 0, 1], &[1_000_000; 3]), [571_429, 285_714, 142_857]);
        // 5.71, 2.86 and 1.43 are rounded up to 11, of which the last layer gives one back.
        assert_eq!(redistribute(&MEANS, &[4, 3, 3], &open), [6, 3, 1]);
        assert_eq!(redistribute(&MEANS, &[0, 0, 0], &open), [0, 0, 0]);
        assert_eq!(redistribute(&[0.0; 3], &[3, 2, 1], &open), [3, 2, 1], "nothing says where else");
    }

    /// 400, 200 and 100 are wanted. The first layer has 100 open ones, of which it takes 99; the other 301 go to all layers
    /// evenly, and come back from it, until the others have 150.5 more each.
    #[test]
    fn what_is_too_much_for_a_layer_is_spread_over_all() {
        assert_eq!(redistribute(&MEANS, &[50, 350, 300], &[100, 1000, 1000]), [99, 351, 250]);
        // Where all are full to .99, the rest is not lost.
        assert_eq!(redistribute(&MEANS, &[100, 100, 100], &[100, 100, 100]), [100, 100, 100]);
        assert_eq!(redistribute(&MEANS, &[100, 100, 98], &[100, 100, 100]), [100, 99, 99]);
    }

    /// A last bit that differs may turn a share of 3 into one of 4, and so a mask into another.
    #[test]
    fn sums_and_numbers_are_the_same_however_a_layer_is_stored() {
        // Five segments of 64 rows, the last one shorter; of 60,000 weights 12,000 are kept, more than a workgroup adds up.
        let (rows, inner, layers) = (300usize, 200usize, 4);
        let limits = Limits { binding_bytes: 100_000, ..Limits::default() };
        for gpu in [Gpu::twin(), Gpu::open_with(&Choice::Auto, limits).unwrap()] {
            let number = |layer: u32, i: u32| uniform(3, Stream::Test, 0, layer, i);
            let indices = |layer: u32| -> Vec<u32> {
                (0..(rows * inner) as u32).filter(|&i| number(layer, i) < 0.2).collect()
            };
            let mean = |layer: u32, i: u32| number(layer + 100, i) - 0.5;
            let sums = |packed: bool| -> Vec<(usize, f64)> {
                let layer = |layer: u32| {
                    let mut param = Param::new("w", &[rows, inner], Box::new(|_| 0.0));
                    param.storage = Storage::Masked(MaskMode::Held);
                    let indices = indices(layer);
                    if packed {
                        let pattern = Pattern::from_indices(Form::Free, rows, inner, &indices);
                        param.allocate_packed(&gpu, pattern).unwrap();
                    } else {
                        param.allocate(&gpu).unwrap();
                        param.write_mask(&mask_of(&indices, rows * inner)).unwrap();
                        assert_eq!(param.segments.len() > 1, gpu.limits() == limits);
                    }
                    param.accompany(&gpu, MEAN, Like::Dense).unwrap();
                    let means: Vec<f32> = (0..param.len() as u32).map(|i| mean(layer, i)).collect();
                    param.companions[0].write(&means).unwrap();
                    param
                };
                let params: ParamSet = (0..layers).map(layer).collect();
                let all: Vec<&Param> = params.iter().collect();
                let site = Site { gpu: &gpu, seed: 1, params: &params, grads: &|_, _, _, _| Ok(()), kept: 0 };
                let shares = Shares::record(&site, &params.ids().collect::<Vec<_>>()).unwrap();
                shares.measure(&all).unwrap();
                shares.measure(&all).unwrap() // not added to those of before
            };
            let [masked, packed] = [false, true].map(sums);
            assert_eq!(masked, packed, "on {:?}", gpu.identity());
            for (layer, &(kept, sum)) in masked.iter().enumerate() {
                let layer = layer as u32;
                assert_eq!(kept, indices(layer).len());
                let want: f64 = indices(layer).iter().map(|&i| f64::from(mean(layer, i).abs())).sum();
                assert!((sum / want - 1.0).abs() < 1e-5, "got {sum}, want {want}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_total_is_kept_and_no_layer_is_overfull(
            layers in prop::collection::vec((0.0f64..1.0, 0usize..500, 0usize..2000), 1..9)
        ) {
            let means: Vec<f64> = layers.iter().map(|layer| layer.0).collect();
            let dropped: Vec<usize> = layers.iter().map(|layer| layer.1).collect();
            let open: Vec<usize> = layers.iter().map(|layer| layer.1 + layer.2).collect();
            let grown = redistribute(&means, &dropped, &open);
            prop_assert_eq!(grown.iter().sum::<usize>(), dropped.iter().sum::<usize>());
            prop_assert!(grown.iter().zip(&open).all(|(grown, open)| grown <= open), "{:?} of {:?}", grown, open);
        }
    }
}
