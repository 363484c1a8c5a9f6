//! The three products of a linear layer over the kept entries of a packed weight.
//!
//! Operations: 2 for each kept weight and column, in each product. Each reads an operand once for every entry
//! and column; blocks share that among their rows.

use super::index::Index;
use super::table::ALL;
use super::variant::{Kind, Variant};
use super::variants::pick;
use super::{Form, Pattern};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::border::{self, Grid};
use crate::ops::narrow;
use crate::ops::variants::{Choices, Product, Shape};
use crate::ops::window::{self, Window};
use crate::{bind, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/product/packed/args.wgsl`.
    pub struct Args { rows: u32, inner: u32, cols: u32, relu: u32, entries: u32, chunks: u32, keep: u32, among: u32, each: u32 }
}
wgsl_struct! {
    /// See `shaders/ops/product/packed/sites_window.wgsl`.
    pub(super) struct Span { quads: u32, width: u32, step: u32, grid_width: u32, grid_sites: u32 }
}

/// How a product of a convolution walks through the grid that it reads, where its result has so many columns.
pub(super) fn span(window: Window, product: Product, cols: usize) -> Span {
    let ([height, width], step, grid) = match product {
        Product::Forward | Product::WeightGrad => (window.out(), window.stride, window.x_grid()),
        Product::InputGrad => (window.sites, 1, window.y_grid()),
    };
    Span {
        quads: (cols / (4 * height * width)) as u32,
        width: width as u32,
        step: step as u32,
        grid_width: grid.sites[1] as u32,
        grid_sites: grid.len() as u32,
    }
}

/// Columns of a check that are more than a band of any variant's tiles.
const WIDE: usize = 5256;

/// `cols`: of the result, of a weight gradient those that it adds up.
fn args(index: &Index, product: Product, cols: usize, relu: bool) -> Args {
    let pattern = &index.pattern;
    let (keep, among) = pattern.form.by_bytes().unwrap_or((1, 1));
    Args {
        rows: pattern.heads() as u32,
        inner: if product == Product::InputGrad { index.lines() } else { pattern.inner } as u32,
        cols: cols as u32,
        relu: relu as u32,
        entries: pattern.entries() as u32,
        chunks: index.chunks.len() as u32 / 2,
        keep: keep as u32,
        among: among as u32,
        each: pattern.form.per_row(pattern.inner).unwrap_or(0) as u32,
    }
}

/// A packed weight as products read it.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    pub index: &'a Index,
    /// As `index.pattern` orders them.
    pub values: &'a Tensor,
}

/// `y = weight x + bias`, rectified if `relu`. x: (inner, cols), of a convolution its grid; y: (rows, cols), bias: (rows,).
/// Where operands are bf16 the result can be.
pub fn forward(
    rec: &mut Recorder,
    choices: &Choices,
    weight: Packed,
    bias: &Tensor,
    x: &Tensor,
    y: &Tensor,
    relu: bool,
) -> Result<()> {
    let variant = pick(choices, Product::Forward, weight.index, y.shape[1], is_bf16([x]));
    forward_by(rec, variant, weight, bias, x, y, relu)
}

/// As [`forward`], by one variant.
pub fn forward_by(
    rec: &mut Recorder,
    variant: &Variant,
    weight: Packed,
    bias: &Tensor,
    x: &Tensor,
    y: &Tensor,
    relu: bool,
) -> Result<()> {
    let (index, cols, out) = (weight.index, y.shape[1], variant.bound(y));
    let binds = bind! { args: &args(index, Product::Forward, cols, relu), starts: &index.starts, columns: index.reads(),
    values: weight.values, bias: bias, x: x, out: &out };
    variant.dispatch(rec, index, cols, binds)
}

/// `d_x = weight^T d_y`, and 0 where `x` is not positive if `relu`. d_y: (rows, cols), of a convolution its grid; x, d_x:
/// (inner, cols), of a convolution (channels, columns). Where operands are bf16 the result can be.
///
/// # Panics
/// If the index has no transposed order: a fault of the caller.
pub fn input_grad(
    rec: &mut Recorder,
    choices: &Choices,
    weight: Packed,
    x: &Tensor,
    d_y: &Tensor,
    d_x: &Tensor,
    relu: bool,
) -> Result<()> {
    let cols = weight.index.window().map_or(d_x.shape[1], |window| window.y_cols(d_x.shape[1]));
    let variant = pick(choices, Product::InputGrad, weight.index, cols, is_bf16([x, d_y]));
    input_grad_by(rec, variant, weight, x, d_y, d_x, relu)
}

/// As [`input_grad`], by one variant.
pub fn input_grad_by(
    rec: &mut Recorder,
    variant: &Variant,
    weight: Packed,
    x: &Tensor,
    d_y: &Tensor,
    d_x: &Tensor,
    relu: bool,
) -> Result<()> {
    let (index, cols, out) = (weight.index, d_x.shape[1], &variant.bound(d_x));
    let t = index.transposed.as_ref().expect("an index by input, where gradients flow on");
    let args = args(index, Product::InputGrad, cols, relu);
    let Some(from) = &t.from else {
        let binds = bind! { args: &args, starts: &t.starts, columns: &t.rows, values: weight.values, x: x, d_y: d_y,
        out: out };
        return variant.dispatch(rec, index, cols, binds);
    };
    let binds = bind! { args: &args, starts: &t.starts, columns: &t.rows, entry_from: from, values: weight.values, x: x,
    d_y: d_y, out: out };
    variant.dispatch(rec, index, cols, binds)
}

/// The gradient of every kept value, and `d_bias`, the sums of d_y over columns. x: (inner, cols), of a convolution its grid.
pub fn weight_grad(
    rec: &mut Recorder,
    choices: &Choices,
    index: &Index,
    d_values: &Tensor,
    d_bias: &Tensor,
    x: &Tensor,
    d_y: &Tensor,
) -> Result<()> {
    let variant = pick(choices, Product::WeightGrad, index, d_y.shape[1], is_bf16([x, d_y]));
    weight_grad_by(rec, variant, index, d_values, d_bias, x, d_y)
}

/// As [`weight_grad`], by one variant.
pub fn weight_grad_by(
    rec: &mut Recorder,
    variant: &Variant,
    index: &Index,
    d_values: &Tensor,
    d_bias: &Tensor,
    x: &Tensor,
    d_y: &Tensor,
) -> Result<()> {
    let cols = d_y.shape[1];
    let args = args(index, Product::WeightGrad, cols, false);
    let (starts, columns) = (&index.starts, index.reads());
    if variant.chunk() == 0 {
        let binds = bind! { args: &args, starts: starts, columns: columns, x: x, d_y: d_y, d_values: d_values,
        d_bias: d_bias };
        return variant.dispatch(rec, index, cols, binds);
    }
    let binds = bind! { args: &args, starts: starts, columns: columns, chunks: &index.chunks, x: x, d_y: d_y,
    d_values: d_values, d_bias: d_bias };
    variant.dispatch(rec, index, cols, binds)
}

/// Whether operands are bf16: all or none, since kernels read one format.
fn is_bf16<const N: usize>(operands: [&Tensor; N]) -> bool {
    operands.iter().all(|operand| operand.dtype() == Dtype::Bf16)
}

/// A pattern with empty rows, full rows, and rows in between.
fn ragged(t: &mut Trial, form: Form, heads: usize, inner: usize) -> Pattern {
    let noise = t.values(heads * inner);
    let mut indices = Vec::new();
    for row in 0..heads {
        let kept = |column: &usize| match (form, row % 5) {
            (Form::Groups { keep, of }, _) => {
                // The `keep` largest of each group.
                let group = column / of * of..(column / of * of + of).min(inner);
                let own = noise[row * inner + column];
                group.filter(|&other| noise[row * inner + other] > own).count() < keep
            }
            (_, 0) => false,
            (_, 1) => true,
            _ => noise[row * inner + column] > 0.6,
        };
        indices.extend((0..inner).filter(kept).map(|column| (row * inner + column) as u32));
    }
    Pattern::from_indices(form, heads * form.height(), inner, &indices)
}

fn check(t: &mut Trial, size: usize, variant: &Variant) -> Result<()> {
    if size == 0 {
        return Ok(()); // a layer has at least one row and one input: the recipe is refused otherwise
    }
    check_with(t, size, variant, false, false)?;
    if variant.slides() {
        check_with(t, size, variant, true, false)?;
    }
    if variant.narrow() && variant.product != Product::WeightGrad {
        check_with(t, size, variant, false, true)?;
    }
    Ok(())
}

/// `narrow_result`: the result is bf16, of numbers whose sums are exact, so that no rounding depends on their order.
fn check_with(
    t: &mut Trial,
    size: usize,
    variant: &Variant,
    windowed: bool,
    narrow_result: bool,
) -> Result<()> {
    let form = match variant.kind {
        Kind::Single => Form::Free,
        Kind::Four => Form::Block { height: 4 },
        Kind::Eight => Form::Block { height: 8 },
        Kind::Groups => Form::Groups { keep: 2, of: 5 },
    };
    let gpu = t.gpu.clone();
    let widths = if variant.narrow() { [8, 72, 136] } else { [4, 68, 132] };
    let shapes = [(size, size), (size.div_ceil(4), size + 2), (1, size)];
    let linear = shapes.into_iter().zip(widths).map(|((heads, inner), cols)| Shape::new(heads, inner, cols));
    // Several bands of columns, the last of them not whole.
    let wide = (size == 3).then(|| Shape::new(3, 5, WIDE));
    let slid = window::shapes(size).into_iter().map(|shape| {
        let batches = if variant.narrow() { 2 } else { 1 }; // rows of bf16 are of eight samples
        let in_groups = shape.window.is_some_and(|window| window.groups > 1);
        // Blocks do not reach from one group into the next.
        let rows = if in_groups { shape.rows } else { shape.rows.div_ceil(form.height()) };
        Shape { rows, cols: shape.cols * batches, ..shape }
    });
    let shapes: Vec<Shape> = if windowed { slid.collect() } else { linear.chain(wide).collect() };
    for shape in shapes {
        let Shape { inner, cols, window, .. } = shape;
        let pattern = ragged(t, form, shape.rows, inner);
        let rows = pattern.rows;
        let chunk = variant.chunk().max(1);
        let index = Index::new(&gpu, "weight", pattern, window, true, chunk)?;
        let (lines, x_cols) = (shape.x_channels(), shape.x_cols());
        let kept = index.pattern.kept();
        let input = |t: &mut Trial, name: &str, shape: &[usize]| -> Result<Tensor> {
            let values = t.values(shape.iter().product());
            let coarse = |value: f32| if narrow_result { (value * 8.0).round() / 8.0 + 0.0 } else { value };
            gpu.upload_f32(name, shape, &values.into_iter().map(coarse).collect::<Vec<_>>())
        };
        let (values, bias) = (input(t, "values", &[kept])?, input(t, "bias", &[rows])?);
        let (x, d_y) = (input(t, "x", &[lines, x_cols])?, input(t, "d_y", &[rows, cols])?);
        let weight = Packed { index: &index, values: &values };
        let read = |t: &mut Trial, wide: Tensor| -> Result<Tensor> {
            if !variant.narrow() {
                return Ok(wide);
            }
            let copy = narrow::tensor(&gpu, &wide)?;
            narrow::record(&mut t.rec, &wide, &copy)?;
            Ok(copy)
        };
        let (x, d_y) = (&read(t, x)?, &read(t, d_y)?);
        let on_grid = |t: &mut Trial, grid: Option<Grid>, x: &Tensor| match grid {
            None => Ok::<_, crate::error::Error>(x.clone()),
            Some(grid) => {
                let y = grid.tensor(&gpu, x)?;
                border::record(&mut t.rec, grid, x, &y)?;
                Ok(y)
            }
        };
        let x_grid = &on_grid(t, window.map(|window| window.x_grid()), x)?;
        let d_y_grid = &on_grid(t, window.map(|window| window.y_grid()), d_y)?;
        let output = |t: &mut Trial, name: &str, lines: usize, cols: usize, summed: usize| {
            let dtype = if narrow_result { Dtype::Bf16 } else { Dtype::F32 };
            let out = gpu.tensor(name, dtype, &[lines, cols])?;
            t.compare(&out, Tolerance::sum(summed));
            Ok::<_, crate::error::Error>(out)
        };
        for relu in [false, true] {
            match variant.product {
                Product::Forward => {
                    let y = output(t, "y", rows, cols, inner)?;
                    forward_by(&mut t.rec, variant, weight, &bias, x_grid, &y, relu)?;
                    if relu {
                        let (bias, y) = t.odd_rows(&[rows, cols], y.dtype(), Tolerance::sum(inner))?;
                        forward_by(&mut t.rec, variant, weight, &bias, x_grid, &y, relu)?;
                    }
                }
                Product::InputGrad => {
                    let d_x = output(t, "d_x", lines, x_cols, rows * shape.taps())?;
                    input_grad_by(&mut t.rec, variant, weight, x, d_y_grid, &d_x, relu)?;
                }
                Product::WeightGrad => {
                    let d_values = t.output("d_values", &[kept], Tolerance::sum(cols))?;
                    let d_bias = t.output("d_bias", &[rows], Tolerance::sum(cols))?;
                    weight_grad_by(&mut t.rec, variant, &index, &d_values, &d_bias, x_grid, d_y)?;
                }
            }
        }
    }
    Ok(())
}

/// One check a variant.
pub(super) fn checks() -> Vec<Check> {
    let check = |variant: &'static Variant| {
        Check::new(variant.name, move |t, n| check(t, n, variant)).sharing_lanes(variant.shares_lanes())
    };
    ALL.iter().map(check).collect()
}
