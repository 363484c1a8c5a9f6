//! Blocks of weights: one score for each, and the mask over weights of a mask over blocks.
//!
//! Zhu & Gupta's code (google-research model_pruning) pools magnitudes by their mean or their maximum.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/pool.wgsl`.
    pub struct Args { rows: u32, inner: u32, height: u32, width: u32, largest: u32 }
}

const POOL: Kernel = Kernel::own(source!("sparsity/pool"), twin_pool).entry("pool").proven();
const SPREAD: Kernel = Kernel::own(source!("sparsity/pool"), twin_spread).entry("spread").proven();
const WG: usize = 64;

/// What stands for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Mean,
    Max,
}

/// A matrix cut into blocks of `height` x `width`, which divide it.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    pub rows: usize,
    pub inner: usize,
    pub height: usize,
    pub width: usize,
}

impl Blocks {
    /// The number of blocks.
    pub fn count(&self) -> usize {
        (self.rows / self.height) * (self.inner / self.width)
    }
    fn args(&self, pooling: Pooling) -> Args {
        let largest = (pooling == Pooling::Max) as u32;
        let [rows, inner, height, width] = [self.rows, self.inner, self.height, self.width].map(|n| n as u32);
        Args { rows, inner, height, width, largest }
    }
}

/// `score` (blocks,) of `source` (rows, inner).
pub fn record_pool(
    rec: &mut Recorder,
    blocks: Blocks,
    pooling: Pooling,
    source: &Tensor,
    score: &Tensor,
) -> Result<()> {
    let binds = bind! { args: &blocks.args(pooling), source: source, score: score };
    rec.dispatch(&POOL, binds, groups(blocks.count(), WG), source.len() as u64)
}

/// `mask` over weights from `kept`, a bit for each block.
pub fn record_spread(rec: &mut Recorder, blocks: Blocks, kept: &Tensor, mask: &Tensor) -> Result<()> {
    let binds = bind! { args: &blocks.args(Pooling::Mean), blocks: kept, mask: mask };
    rec.dispatch(&SPREAD, binds, groups(mask.len(), WG), 0)
}

/// The block of each weight, in order of weights.
fn block_of(args: &Args) -> impl Iterator<Item = usize> {
    let [rows, inner, height, width] = [args.rows, args.inner, args.height, args.width].map(|n| n as usize);
    let across = inner / width.max(1);
    (0..rows * inner).map(move |i| i / inner / height * across + i % inner / width)
}

fn twin_pool(t: &Twin) {
    let args: Args = t.get("args");
    let (source, mut score) = (t.f32("source"), t.f32_mut("score"));
    let (mut sums, mut peaks) = (vec![0.0f32; score.len()], vec![0u32; score.len()]);
    for (block, value) in block_of(&args).zip(source.iter()) {
        sums[block] += value.abs();
        peaks[block] = peaks[block].max(value.abs().to_bits());
    }
    let size = (args.height * args.width) as f32;
    for (i, score) in score.iter_mut().enumerate() {
        *score = if args.largest == 1 { f32::from_bits(peaks[i]) } else { sums[i] / size };
    }
}

fn twin_spread(t: &Twin) {
    let args: Args = t.get("args");
    let (kept, mut mask) = (t.u32("blocks"), t.u32_mut("mask"));
    mask.fill(0);
    for (i, block) in block_of(&args).enumerate() {
        mask[i / 32] |= (kept[block / 32] >> (block % 32) & 1) << (i % 32);
    }
}

pub fn checks() -> Vec<Check> {
    let sizes = |n: usize, height, width| Blocks { rows: 3 * height, inner: n * width, height, width };
    let pool = |pooling: Pooling, height: usize, width: usize| {
        Check::new(format!("sparsity/pool ({height}x{width}, {pooling:?})"), move |t, n| {
            let blocks = sizes(n, height, width);
            let source = t.input("source", &[blocks.rows, blocks.inner])?;
            // Sums of up to eight numbers below 1 in the same order, and a quotient.
            let score = t.output("score", &[blocks.count()], Tolerance { abs: 3e-7, rel: 3e-7 })?;
            record_pool(&mut t.rec, blocks, pooling, &source, &score)
        })
    };
    let spread = Check::new("sparsity/pool:spread", move |t, n| {
        let blocks = sizes(n, 2, 3);
        let kept = t.bits("blocks", blocks.count().div_ceil(32))?;
        let mask = t.output_u32("mask", &[(blocks.rows * blocks.inner).div_ceil(32)])?;
        record_spread(&mut t.rec, blocks, &kept, &mask)
    });
    vec![pool(Pooling::Mean, 4, 2), pool(Pooling::Max, 4, 2), pool(Pooling::Mean, 8, 1), spread]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    /// The specification's worked blocks.
    #[test]
    fn blocks_of_the_worked_matrix() {
        let matrix = [1.0, -2.0, 0.0, 0.5, 3.0, 0.0, 0.1, 0.2, 0.3, 0.3, 2.0, 2.0, 0.1, 0.1, -1.0, 1.0];
        let blocks = Blocks { rows: 4, inner: 4, height: 2, width: 2 };
        for (pooling, want) in [(Pooling::Mean, [1.5, 0.2, 0.2, 1.5]), (Pooling::Max, [3.0, 0.5, 0.3, 2.0])] {
            let gpu = Gpu::twin();
            let source = gpu.upload_f32("source", &[4, 4], &matrix).unwrap();
            let score = gpu.upload_f32("score", &[4], &[0.0; 4]).unwrap();
            let mut rec = Recorder::new(&gpu);
            record_pool(&mut rec, blocks, pooling, &source, &score).unwrap();
            rec.finish().unwrap().replay().unwrap();
            for (got, want) in score.read_f32().unwrap().into_iter().zip(want) {
                assert!((got - want).abs() <= 1e-7, "{pooling:?}: got {got}, want {want}");
            }
        }
    }
}
