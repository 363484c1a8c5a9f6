//! Products whose depth is cut into slices: too few tiles would leave most of a GPU idle. The sums of slices are added in
//! their order.

use super::dense::FILL;
use super::linear::{Args, Onto};
use super::variants::{Product, Shape};
use super::window::{self, Sites};
use crate::error::Result;
use crate::gpu::{Bind, Dtype, Kernel, Recorder, Twin, reflect};
use crate::ops::groups;
use crate::ops::relu::rectified;
use crate::wgsl_struct;

wgsl_struct! {
    /// See `shaders/ops/product/tile_slices.wgsl`.
    pub(super) struct Cut { slices: u32 }
}

/// Depths that a tile takes at a time.
pub(super) const STEP: usize = 16;
/// Depths that a slice has at least: fewer are not worth writing and reading its sums.
const LEAST: usize = 64;
/// More slices take longer to add up than they save.
const MOST: usize = 16;

impl Cut {
    /// As many slices as fill a GPU, if the depth of a product of so many tiles has them.
    pub fn of(product: Product, shape: Shape, tiles: u64) -> Self {
        let wanted = FILL.div_ceil(tiles.max(1)) as usize;
        let there_are = depth(product, shape) / LEAST;
        Self { slices: wanted.min(there_are).clamp(1, MOST) as u32 }
    }
}

fn depth(product: Product, shape: Shape) -> usize {
    match product {
        Product::Forward => shape.inner,
        Product::InputGrad => shape.rows * shape.taps(),
        Product::WeightGrad => shape.cols,
    }
}

/// Quads of a line of results; behind those of a weight's gradient comes one more, whose first number is the bias's.
fn quads(product: Product, across: usize) -> usize {
    across.div_ceil(4) + usize::from(product == Product::WeightGrad)
}

/// Records the sums of slices and, by the second kernel, their sum. Of `binds` each kernel takes what it has.
pub(super) fn dispatch(
    rec: &mut Recorder,
    kernels: [Kernel; 2],
    binds: &[(&str, Bind)],
    (product, shape): (Product, Shape),
    (tiles, cut): (u64, Cut),
) -> Result<()> {
    let (lines, across) = product.result(shape);
    let quads = quads(product, across);
    let partial = rec.gpu.tensor("sums of slices", Dtype::F32, &[cut.slices as usize, lines, 4 * quads])?;
    let own = [("partial", Bind::from(&partial)), ("cut", Bind::from(&cut))];
    let groups = [tiles * u64::from(cut.slices), groups(lines * quads, 64)];
    let flops = [shape.flops(), partial.len() as u64];
    for (kernel, (groups, flops)) in kernels.iter().zip(groups.into_iter().zip(flops)) {
        let interface = reflect(kernel)?;
        let has = |(name, _): &&(&str, Bind)| interface.slots.iter().any(|slot| slot.name == *name);
        let all: Vec<_> = binds.iter().chain(&own).filter(has).cloned().collect();
        rec.dispatch(kernel, &all, groups, flops)?;
    }
    Ok(())
}

/// The twin of the kernel that makes the sums of slices.
pub(super) fn twin(product: Product) -> fn(&Twin) {
    match product {
        Product::Forward => |t| {
            let (weight, x, sites, shape) = (t.f32("weight"), t.f32("x"), Sites::of(t), shape_of(t));
            let (channels, x_cols) = (shape.channels(), shape.x_cols());
            fill(t, Product::Forward, |row, k, col| {
                let x = sites.x(k / channels, col).map_or(0.0, |col| x[k % channels * x_cols + col]);
                (weight[row * shape.inner + k], x)
            });
        },
        Product::InputGrad => |t| {
            let (weight, d_y, sites, shape) = (t.f32("weight"), t.f32("d_y"), Sites::of(t), shape_of(t));
            let channels = shape.channels();
            fill(t, Product::InputGrad, |channel, k, col| {
                let (tap, row) = (k / shape.rows, k % shape.rows);
                let d_y = sites.y(tap, col).map_or(0.0, |col| d_y[row * shape.cols + col]);
                (weight[row * shape.inner + tap * channels + channel], d_y)
            });
        },
        Product::WeightGrad => |t| {
            let (x, d_y, sites, shape) = (t.f32("x"), t.f32("d_y"), Sites::of(t), shape_of(t));
            let (inner, channels, x_cols) = (shape.inner, shape.channels(), shape.x_cols());
            let read = |input: usize, col| {
                sites.x(input / channels, col).map_or(0.0, |col| x[input % channels * x_cols + col])
            };
            fill(t, Product::WeightGrad, |row, col, input| {
                let x = if input < inner { read(input, col) } else { 1.0 };
                (d_y[row * shape.cols + col], if input <= inner { x } else { 0.0 })
            });
        },
    }
}

fn shape_of(t: &Twin) -> Shape {
    let args: Args = t.get("args");
    let window = t.has("window").then(|| window::of(t));
    Shape { window, ..Shape::new(args.rows as usize, args.inner as usize, args.cols as usize) }
}

/// The sums of every slice, of the factors of each line, depth and column. Sliced weights have a multiple of four inputs, so
/// that the bias's number follows upon the last one.
fn fill(t: &Twin, product: Product, factors: impl Fn(usize, usize, usize) -> (f32, f32)) {
    let (shape, Cut { slices }) = (shape_of(t), t.get("cut"));
    let (lines, across) = product.result(shape);
    let (depth, width) = (depth(product, shape), 4 * quads(product, across));
    let each = depth.div_ceil(STEP * slices as usize) * STEP;
    let mut partial = t.f32_mut("partial");
    for (number, sum) in partial.iter_mut().enumerate() {
        let (line, column, slice) = (number / width % lines, number % width, number / width / lines);
        let depths = slice * each..((slice + 1) * each).min(depth);
        let terms = depths.map(|k| factors(line, k, column));
        *sum = terms.map(|(a, b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32;
    }
}

/// The twin of the kernel that adds them up.
pub(super) fn sum_twin(product: Product) -> fn(&Twin) {
    match product {
        Product::Forward => |t| {
            let (bias, cols) = (t.f32("bias"), shape_of(t).cols);
            let relu = t.get::<Args>("args").relu != 0;
            let sums = sums(t);
            for (i, (y, sum)) in t.f32_mut("y").iter_mut().zip(sums).enumerate() {
                let value = sum as f32 + bias[i / cols];
                *y = if relu { rectified(value) } else { value };
            }
        },
        Product::InputGrad => |t| {
            let (args, x) = (t.get::<Args>("args"), t.f32("x"));
            for ((d_x, sum), x) in t.f32_mut("d_x").iter_mut().zip(sums(t)).zip(x.iter()) {
                let before = if args.onto == Onto::Replaces as u32 { 0.0 } else { *d_x };
                *d_x = if args.relu == 0 || *x > 0.0 { before + sum as f32 } else { 0.0 };
            }
        },
        Product::WeightGrad => |t| {
            let inner = shape_of(t).inner;
            let (mut d_weight, mut d_bias) = (t.f32_mut("d_weight"), t.f32_mut("d_bias"));
            for (row, line) in sums(t).chunks(inner + 4).enumerate() {
                let own = &mut d_weight[row * inner..(row + 1) * inner];
                own.iter_mut().zip(line).for_each(|(d, sum)| *d = *sum as f32);
                d_bias[row] = line[inner] as f32;
            }
        },
    }
}

fn sums(t: &Twin) -> Vec<f64> {
    let (partial, Cut { slices }) = (t.f32("partial"), t.get("cut"));
    let all = partial.len() / slices as usize;
    (0..all).map(|i| partial[i..].iter().step_by(all).map(|&sum| f64::from(sum)).sum()).collect()
}
