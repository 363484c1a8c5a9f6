//! Blocks of weights: one score for each, and the mask over weights of a mask over blocks. What is kept alike in several
//! parts of a matrix is a block, too, whose rows lie as far apart as the parts do.
//!
//! Zhu & Gupta's code (google-research model_pruning) pools magnitudes by their mean or their maximum, and pads a matrix
//! that blocks do not divide; here the last blocks are smaller, and the mean is over what they have.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::ops::packed::Form;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/structure/pool.wgsl`.
    pub struct Args { rows: u32, inner: u32, height: u32, width: u32, apart: u32, largest: u32 }
}

const POOL: Kernel = Kernel::own(source!("sparsity/structure/pool"), twin_pool).entry("pool").proven();
const SPREAD: Kernel = Kernel::own(source!("sparsity/structure/pool"), twin_spread).entry("spread").proven();
const WG: usize = 64;

/// What stands for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Mean,
    Max,
}

/// A matrix cut into blocks of `height` x `width`; the last ones of a row and of a column may be smaller.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    pub rows: usize,
    pub inner: usize,
    pub height: usize,
    pub width: usize,
    /// From each row of a block to its next. Where that is not 1, `rows` is a multiple of `height * apart`.
    pub apart: usize,
}

impl Blocks {
    /// Those of a matrix (rows, inner) of this form; of one without blocks, its weights.
    pub fn new(form: Form, rows: usize, inner: usize) -> Self {
        let (height, width) = form.block();
        let apart = if matches!(form, Form::Parts { .. }) { (rows / height).max(1) } else { 1 };
        Self { rows, inner, height, width, apart }
    }
    /// The number of blocks.
    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.height) * self.inner.div_ceil(self.width)
    }
    /// The block of each weight, in order of weights.
    pub fn of_weights(self) -> impl Iterator<Item = usize> {
        let Self { rows, inner, height, width, apart } = self;
        let across = inner.div_ceil(width);
        let down = move |row: usize| row / (height * apart) * apart + row % apart;
        (0..rows * inner).map(move |i| down(i / inner) * across + i % inner / width)
    }
    fn args(&self, pooling: Pooling) -> Args {
        let largest = (pooling == Pooling::Max) as u32;
        let Self { rows, inner, height, width, apart } = *self;
        let [rows, inner, height, width, apart] = [rows, inner, height, width, apart].map(|n| n as u32);
        Args { rows, inner, height, width, apart, largest }
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

fn blocks_of(args: &Args) -> Blocks {
    let [rows, inner, height, width] = [args.rows, args.inner, args.height, args.width].map(|n| n as usize);
    Blocks { rows, inner, height, width, apart: args.apart as usize }
}

fn twin_pool(t: &Twin) {
    let args: Args = t.get("args");
    let (source, mut score) = (t.f32("source"), t.f32_mut("score"));
    let (mut sums, mut peaks) = (vec![0.0f32; score.len()], vec![0u32; score.len()]);
    let mut sizes = vec![0u32; score.len()];
    for (block, value) in blocks_of(&args).of_weights().zip(source.iter()) {
        sums[block] += value.abs();
        peaks[block] = peaks[block].max(value.abs().to_bits());
        sizes[block] += 1;
    }
    for (i, score) in score.iter_mut().enumerate() {
        *score = if args.largest == 1 { f32::from_bits(peaks[i]) } else { sums[i] / sizes[i] as f32 };
    }
}

fn twin_spread(t: &Twin) {
    let args: Args = t.get("args");
    let (kept, mut mask) = (t.u32("blocks"), t.u32_mut("mask"));
    mask.fill(0);
    for (i, block) in blocks_of(&args).of_weights().enumerate() {
        mask[i / 32] |= (kept[block / 32] >> (block % 32) & 1) << (i % 32);
    }
}

pub fn checks() -> Vec<Check> {
    // Blocks that divide the matrix, some that lack a row or a column, and some whose rows lie apart.
    let even =
        |n: usize, height, width| Blocks { rows: 3 * height, inner: n * width, height, width, apart: 1 };
    let apart =
        |n: usize, height, width| Blocks { rows: 6 * height, inner: n * width, height, width, apart: 3 };
    let ragged = |n: usize, height: usize, width: usize| Blocks {
        rows: 3 * height - 1,
        inner: (n * width).saturating_sub(1),
        height,
        width,
        apart: 1,
    };
    type Sizes = fn(usize, usize, usize) -> Blocks;
    let ways: [(&str, Sizes); 3] = [("", even), (", ragged", ragged), (", apart", apart)];
    let pool = |pooling: Pooling, height: usize, width: usize, (way, sizes): (&str, Sizes)| {
        Check::new(format!("sparsity/structure/pool ({height}x{width}, {pooling:?}{way})"), move |t, n| {
            let blocks = sizes(n, height, width);
            let source = t.input("source", &[blocks.rows, blocks.inner])?;
            // Sums of up to eight numbers below 1 in the same order, and a quotient.
            let score = t.output("score", &[blocks.count()], Tolerance { abs: 3e-7, rel: 3e-7 })?;
            record_pool(&mut t.rec, blocks, pooling, &source, &score)
        })
    };
    let spread = |(way, sizes): (&str, Sizes)| {
        Check::new(format!("sparsity/structure/pool:spread (2x3{way})"), move |t, n| {
            let blocks = sizes(n, 2, 3);
            let kept = t.bits("blocks", blocks.count().div_ceil(32))?;
            let mask = t.output_u32("mask", &[(blocks.rows * blocks.inner).div_ceil(32)])?;
            record_spread(&mut t.rec, blocks, &kept, &mask)
        })
    };
    let both = |way| {
        let [tall, thin] = [(4, 2), (8, 1)];
        [(Pooling::Mean, tall), (Pooling::Max, tall), (Pooling::Mean, thin)]
            .map(|(pooling, (height, width))| pool(pooling, height, width, way))
            .into_iter()
            .chain([spread(way)])
    };
    ways.into_iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Gpu};

    /// Scores of the 2x2 blocks of a matrix, on every device; and the mask over weights where blocks `kept` are.
    fn both(rows: usize, inner: usize, matrix: &[f32], pooling: Pooling, want: &[f32], kept: u32, mask: u32) {
        let blocks = Blocks { rows, inner, height: 2, width: 2, apart: 1 };
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let source = gpu.upload_f32("source", &[rows, inner], matrix).unwrap();
            let score = gpu.upload_f32("score", &[want.len()], &vec![0.0; want.len()]).unwrap();
            let bits = gpu.upload_u32("blocks", &[1], &[kept]).unwrap();
            let spread = gpu.upload_u32("mask", &[1], &[u32::MAX]).unwrap();
            let mut rec = Recorder::new(&gpu);
            record_pool(&mut rec, blocks, pooling, &source, &score).unwrap();
            record_spread(&mut rec, blocks, &bits, &spread).unwrap();
            rec.finish().unwrap().replay().unwrap();
            for (got, want) in score.read_f32().unwrap().into_iter().zip(want) {
                assert!((got - want).abs() <= 2e-7, "{pooling:?} on {:?}: {got}, not {want}", gpu.identity());
            }
            assert_eq!(spread.read_u32().unwrap(), [mask], "{:?}", gpu.identity());
        }
    }

    /// The specification's worked blocks; the first and the last are kept.
    #[test]
    fn blocks_of_the_worked_matrix() {
        let matrix = [1.0, -2.0, 0.0, 0.5, 3.0, 0.0, 0.1, 0.2, 0.3, 0.3, 2.0, 2.0, 0.1, 0.1, -1.0, 1.0];
        let (kept, mask) = (0b1001, 0b1100_1100_0011_0011);
        both(4, 4, &matrix, Pooling::Mean, &[1.5, 0.2, 0.2, 1.5], kept, mask);
        both(4, 4, &matrix, Pooling::Max, &[3.0, 0.5, 0.3, 2.0], kept, mask);
    }

    /// Three rows of five: the last blocks have two weights, or one. By hand: (1 + 2 + 3 + 0) / 4, (0 + .5 + .1 + .2) / 4,
    /// (4 + 1) / 2; (.3 + .6) / 2, (2 + 3) / 2, .7. Kept are blocks 2, 4 and 5.
    #[test]
    fn the_last_blocks_pool_over_what_they_have() {
        let matrix = [1.0, -2.0, 0.0, 0.5, 4.0, 3.0, 0.0, 0.1, 0.2, -1.0, 0.3, 0.6, 2.0, -3.0, -0.7];
        let (kept, mask) = (0b11_0100, 0b11100_10000_10000);
        both(3, 5, &matrix, Pooling::Mean, &[1.5, 0.2, 2.5, 0.45, 2.5, 0.7], kept, mask);
        both(3, 5, &matrix, Pooling::Max, &[3.0, 0.5, 4.0, 0.6, 3.0, 0.7], kept, mask);
    }
}
