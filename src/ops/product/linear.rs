//! The three products of a linear layer or a convolution, split over blocks of rows where a weight exceeds one binding.

use std::ops::Range;

use super::dense::Formats;
use super::variants::{Choices, Product, Shape, Variant};
use super::window::{self, Window};
use crate::error::Result;
use crate::gpu::check::{Tolerance, Trial};
use crate::gpu::{Dtype, Recorder, Tensor, Twin};
use crate::ops::narrow;
use crate::ops::relu::rectified;
use crate::{bind, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/product/args.wgsl`.
    pub struct Args { rows: u32, inner: u32, cols: u32, relu: u32, onto: u32 }
}

/// What becomes of the numbers that a product finds where it writes; see `shaders/ops/product/args.wgsl`.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::ops) enum Onto {
    Replaces = 0,
    /// Another layer's gradient: the sum, of several blocks of rows that of the first, is added as a whole, as a packed layer's.
    Adds = 1,
    /// The sum of the blocks of rows before: it goes on, as if there were one block.
    GoesOn = 2,
}

impl Args {
    /// What a sum begins with, where `before` lies.
    pub(super) fn start(&self, before: f32) -> f64 {
        if self.onto == Onto::GoesOn as u32 { f64::from(before) } else { 0.0 }
    }
    /// What is left of a whole sum.
    pub(super) fn end(&self, before: f32, sum: f64) -> f32 {
        let sum = sum as f32;
        if self.onto == Onto::Adds as u32 { before + sum } else { sum }
    }
}

/// Rows `rows` of a weight: one binding's worth.
pub struct Rows<'a> {
    pub rows: Range<usize>,
    /// `(rows, inner)`.
    pub tensor: &'a Tensor,
}

impl Rows<'_> {
    /// Their part of the product of a whole weight.
    fn of(&self, whole: Shape) -> Shape {
        let window = whole.window.map(|window| Window { skip: self.rows.start, ..window });
        Shape { rows: self.rows.len(), window, ..whole }
    }
}

fn is_bf16(x: &Tensor) -> bool {
    x.dtype() == Dtype::Bf16
}

/// `y = weight x + bias`, rectified if `relu`, of a layer whose product is `whole`. x: (channels, its columns), y: (rows, cols),
/// bias: (rows,). Of shapes that [`super::variants::read_narrow`] says so of, x may be bf16: here as in the two other products.
#[allow(clippy::too_many_arguments)] // operands, and how the result is left
pub fn forward(
    rec: &mut Recorder,
    choices: &Choices,
    whole: Shape,
    weight: &[Rows],
    bias: &Tensor,
    x: &Tensor,
    y: &Tensor,
    relu: bool,
) -> Result<()> {
    for block in weight {
        let shape = block.of(whole);
        let args = shape.args(relu, Onto::Replaces);
        let (bias, y) = (&bias.rows(block.rows.clone()), &y.rows(block.rows.clone()));
        let binds = bind! { args: &args, weight: block.tensor, bias: bias, x: x, y: y };
        choices
            .pick_for(&rec.gpu, Product::Forward, shape, is_bf16(x))
            .dispatch_part(rec, binds, shape, whole)?;
    }
    Ok(())
}

/// `d_x = weight^T d_y`, and 0 where `x` is not positive if `relu`: x was rectified on its way in. `+=` if `adds`, to
/// what was rectified alike. d_x may be bf16 where [`Choices::passes_narrow`] says so.
#[allow(clippy::too_many_arguments)] // operands, and how the result is left
pub fn input_grad(
    rec: &mut Recorder,
    choices: &Choices,
    whole: Shape,
    weight: &[Rows],
    x: &Tensor,
    d_y: &Tensor,
    d_x: &Tensor,
    adds: bool,
    relu: bool,
) -> Result<()> {
    for (index, block) in weight.iter().enumerate() {
        let shape = block.of(whole);
        let onto = match index {
            0 if adds => Onto::Adds,
            0 => Onto::Replaces,
            _ => Onto::GoesOn,
        };
        let args = shape.args(relu, onto);
        let d_y = &d_y.rows(block.rows.clone());
        let binds = bind! { args: &args, weight: block.tensor, x: x, d_y: d_y, d_x: d_x };
        choices
            .pick_for(&rec.gpu, Product::InputGrad, shape, is_bf16(x))
            .dispatch_part(rec, binds, shape, whole)?;
    }
    Ok(())
}

/// `d_weight = d_y x^T` and `d_bias = sum over columns of d_y`.
pub fn weight_grad(
    rec: &mut Recorder,
    choices: &Choices,
    whole: Shape,
    d_weight: &[Rows],
    d_bias: &Tensor,
    x: &Tensor,
    d_y: &Tensor,
) -> Result<()> {
    for block in d_weight {
        let shape = block.of(whole);
        let args = shape.args(false, Onto::Replaces);
        let (d_bias, d_y) = (&d_bias.rows(block.rows.clone()), &d_y.rows(block.rows.clone()));
        let binds = bind! { args: &args, x: x, d_y: d_y, d_weight: block.tensor, d_bias: d_bias };
        choices
            .pick_for(&rec.gpu, Product::WeightGrad, shape, is_bf16(x))
            .dispatch_part(rec, binds, shape, whole)?;
    }
    Ok(())
}

/// `d_weight = d_y x^T` for some rows of a weight of shape `whole`, by the kernel that serves all of it: the same bits, of
/// f32 operands. Those of their biases, which the kernel computes besides, are given up: the layer's own product has written
/// them, in a packed layer perhaps from bf16 operands.
pub fn weight_grad_rows(
    rec: &mut Recorder,
    choices: &Choices,
    whole: Shape,
    rows: Range<usize>,
    d_weight: &Tensor,
    x: &Tensor,
    d_y: &Tensor,
) -> Result<()> {
    let d_bias = rec.gpu.tensor("unused bias gradient", Dtype::F32, &[rows.len()])?;
    let shape = Rows { rows: rows.clone(), tensor: d_weight }.of(whole);
    let args = shape.args(false, Onto::Replaces);
    let d_y = &d_y.rows(rows);
    let binds = bind! { args: &args, x: x, d_y: d_y, d_weight: d_weight, d_bias: &d_bias };
    choices.pick(&rec.gpu, Product::WeightGrad, whole).dispatch_part(rec, binds, shape, whole)
}

pub(super) fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (weight, bias) = (t.f32("weight"), t.f32("bias"));
    let (inner, cols) = (args.inner as usize, args.cols as usize);
    let x = t.values("x");
    let mut sums = vec![0.0f64; cols];
    for (o, y) in t.f32_mut("y").chunks_mut(cols).enumerate() {
        sums.fill(bias[o] as f64);
        for (k, x) in x.chunks(cols).enumerate() {
            let w = weight[o * inner + k] as f64;
            sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += w * x as f64);
        }
        for (y, &sum) in y.iter_mut().zip(&sums) {
            *y = if args.relu != 0 { rectified(sum as f32) } else { sum as f32 };
        }
    }
}

pub(super) fn twin_input_grad(t: &Twin) {
    let args: Args = t.get("args");
    let (weight, d_y) = (t.f32("weight"), t.f32("d_y"));
    let (inner, cols) = (args.inner as usize, args.cols as usize);
    let x = t.values("x");
    let mut sums = vec![0.0f64; cols];
    let mut all = t.values("d_x");
    for (k, d_x) in all.chunks_mut(cols).enumerate() {
        for (sum, &before) in sums.iter_mut().zip(d_x.iter()) {
            *sum = args.start(before);
        }
        for (o, d_y) in d_y.chunks(cols).enumerate() {
            let w = weight[o * inner + k] as f64;
            sums.iter_mut().zip(d_y).for_each(|(sum, &d)| *sum += w * d as f64);
        }
        for (c, (d_x, &sum)) in d_x.iter_mut().zip(&sums).enumerate() {
            let open = args.relu == 0 || x[k * cols + c] > 0.0;
            *d_x = if open { args.end(*d_x, sum) } else { 0.0 };
        }
    }
    t.set_values("d_x", &all);
}

pub(super) fn twin_weight_grad(t: &Twin) {
    let args: Args = t.get("args");
    let d_y = t.f32("d_y");
    let (mut d_weight, mut d_bias) = (t.f32_mut("d_weight"), t.f32_mut("d_bias"));
    let (inner, cols) = (args.inner as usize, args.cols as usize);
    let x = t.values("x");
    for (o, d_y) in d_y.chunks(cols).enumerate() {
        d_bias[o] = d_y.iter().map(|&d| d as f64).sum::<f64>() as f32;
        for (k, x) in x.chunks(cols).enumerate() {
            d_weight[o * inner + k] =
                d_y.iter().zip(x).map(|(&d, &x)| d as f64 * x as f64).sum::<f64>() as f32;
        }
    }
}

/// Records one variant on a ragged shape: `size` rows, about as many inputs, and a few columns.
pub(super) fn check(t: &mut Trial, size: usize, variant: &Variant) -> Result<()> {
    if size == 0 {
        return Ok(()); // a layer has at least one row and one input: the recipe is refused otherwise
    }
    // 65 rows x 63 inputs and the like: neither a multiple of any tile; 64 inputs where vec4 needs it.
    for (inner, cols) in [(size, 4), (size.abs_diff(2).max(1), 68), (size.next_multiple_of(4), 132)] {
        let shape = Shape::new(size, inner, cols);
        if variant.fits(shape) {
            check_with(t, shape, variant, Formats::default())?;
        }
    }
    let convolutions = window::shapes(size).into_iter().chain(window::depthwise_shapes(size));
    for shape in convolutions.filter(|shape| variant.fits(*shape)) {
        check_with(t, shape, variant, Formats::default())?;
    }
    for formats in variant.formats().skip(1) {
        for cols in [8, 72, 136] {
            check_with(t, Shape::new(size, size.next_multiple_of(4), cols), variant, formats)?;
        }
    }
    Ok(())
}

/// bf16 operands and results are of numbers whose sums are exact, so that no rounding depends on their order.
fn check_with(t: &mut Trial, shape: Shape, variant: &Variant, formats: Formats) -> Result<()> {
    let Shape { rows, inner, cols, .. } = shape;
    let (channels, x_cols) = (shape.x_channels(), shape.x_cols());
    let exact = formats != Formats::default();
    let input = |t: &mut Trial, name: &str, lines: usize, across: usize| {
        let coarse = |value: f32| if exact { (value * 8.0).round() / 8.0 + 0.0 } else { value };
        let values = t.values(lines * across).into_iter().map(coarse);
        t.gpu.upload_f32(name, &[lines, across], &values.collect::<Vec<_>>())
    };
    let tolerance = |terms: usize| if exact { Tolerance::EXACT } else { Tolerance::sum(terms) };
    let (weight, bias) = (input(t, "weight", rows, inner)?, input(t, "bias", 1, rows)?);
    let (x, d_y) = (input(t, "x", channels, x_cols)?, input(t, "d_y", rows, cols)?);
    let copy = (formats.x == Dtype::Bf16).then(|| narrow::tensor(&t.gpu, &x)).transpose()?;
    copy.as_ref().map_or(Ok(()), |copy| narrow::record(&mut t.rec, &x, copy))?;
    let x = copy.as_ref().unwrap_or(&x);
    for (flag, onto) in [(false, Onto::Replaces), (true, Onto::Adds), (false, Onto::GoesOn)] {
        let adds = variant.product == Product::InputGrad && formats.d_x == Dtype::F32;
        if onto == Onto::GoesOn && !adds {
            continue;
        }
        let args = shape.args(flag, if adds { onto } else { Onto::Replaces });
        match variant.product {
            Product::Forward => {
                let y = t.output("y", &[rows, cols], tolerance(inner))?;
                let binds = bind! { args: &args, weight: &weight, bias: &bias, x: x, y: &y };
                variant.dispatch(&mut t.rec, binds, shape)?;
                if flag {
                    let (bias, y) = t.odd_rows(&[rows, cols], Dtype::F32, Tolerance::sum(inner))?;
                    let binds = bind! { args: &args, weight: &weight, bias: &bias, x: x, y: &y };
                    variant.dispatch(&mut t.rec, binds, shape)?;
                }
            }
            Product::InputGrad => {
                let wide = input(t, "d_x", channels, x_cols)?;
                let d_x = if formats.d_x == Dtype::F32 { wide } else { narrow::tensor(&t.gpu, &wide)? };
                t.compare(&d_x, tolerance(rows * shape.taps()));
                let binds = bind! { args: &args, weight: &weight, x: x, d_y: &d_y, d_x: &d_x };
                variant.dispatch(&mut t.rec, binds, shape)?;
            }
            Product::WeightGrad => {
                let d_weight = t.output("d_weight", &[rows, inner], tolerance(cols))?;
                let d_bias = t.output("d_bias", &[rows], tolerance(cols))?;
                let binds = bind! { args: &args, x: x, d_y: &d_y, d_weight: &d_weight, d_bias: &d_bias };
                variant.dispatch(&mut t.rec, binds, shape)?;
            }
        }
    }
    Ok(())
}
