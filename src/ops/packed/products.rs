//! The three products of a linear layer over the kept entries of a packed weight, and their variants.
//!
//! Operations: 2 for each kept weight and column, in each product. Each reads an operand once for every entry
//! and column; blocks share that among their rows.

use super::index::Index;
use super::pattern::{Form, Pattern};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Bind, Kernel, Recorder, Tensor, Twin};
use crate::ops::narrow::{self, Operand, widen};
use crate::ops::variants::{Choices, Product};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/packed/args.wgsl`.
    pub struct Args { rows: u32, inner: u32, cols: u32, relu: u32, entries: u32, chunks: u32, keep: u32, among: u32 }
}
/// The forms that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Single,
    Four,
    Eight,
    Groups,
}

impl Kind {
    /// N:M weights have an order of their own by row alone: by input they are single weights.
    fn of(form: Form, product: Product) -> Option<Kind> {
        match form {
            Form::Free => Some(Kind::Single),
            Form::Block { height: 1 } => Some(Kind::Single),
            Form::Block { height: 4 } => Some(Kind::Four),
            Form::Block { height: 8 } => Some(Kind::Eight),
            Form::Block { .. } => None,
            Form::Groups { .. } if product == Product::InputGrad => Some(Kind::Single),
            Form::Groups { .. } => Some(Kind::Groups),
        }
    }
}

/// Whether there are kernels for a form.
pub fn supports(form: Form) -> bool {
    Kind::of(form, Product::Forward).is_some()
}

/// One way to compute a product of a packed weight.
pub struct Variant {
    pub name: &'static str,
    pub product: Product,
    kind: Kind,
    pub kernel: Kernel,
    /// Rows (or inputs, or chunks) and columns of one workgroup.
    tile: (usize, usize),
    /// Entries of a chunk, where it works on chunks.
    chunk: usize,
    /// Whether it reads bf16 copies of its operands.
    pub narrow: bool,
}

/// Variants that read bf16 say so at the end of their names.
const fn ends_narrow(name: &str) -> bool {
    let (name, end) = (name.as_bytes(), b"_narrow");
    let mut i = 0;
    while i < end.len() {
        if name[name.len() - end.len() + i] != end[i] {
            return false;
        }
        i += 1;
    }
    true
}

macro_rules! variant {
    ($product:ident, $kind:ident, $name:literal, $twin:ident, $tile:expr) => {
        variant!($product, $kind, $name, $twin, $tile, 0)
    };
    ($product:ident, $kind:ident, $name:literal, $twin:ident, $tile:expr, $chunk:literal) => {
        Variant {
            name: $name,
            product: Product::$product,
            kind: Kind::$kind,
            kernel: Kernel::own(source!($name), $twin).proven(),
            tile: $tile,
            chunk: $chunk,
            narrow: ends_narrow($name),
        }
    };
}

/// All variants; the first of each product and form is the fixed default.
pub const ALL: &[Variant] = &[
    variant!(Forward, Single, "ops/packed/forward_texels", twin_forward, (4, 128)),
    variant!(Forward, Single, "ops/packed/forward", twin_forward, (2, 128)),
    variant!(Forward, Single, "ops/packed/forward_narrow", twin_forward, (4, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4_texels", twin_forward, (4, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4", twin_forward, (2, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4_narrow", twin_forward, (4, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8_texels", twin_forward, (4, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8", twin_forward, (2, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8_narrow", twin_forward, (4, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm_texels", twin_forward, (4, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm", twin_forward, (2, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm_narrow", twin_forward, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad", twin_input_grad, (2, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Four, "ops/packed/input_grad_h4_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Four, "ops/packed/input_grad_h4", twin_input_grad, (2, 128)),
    variant!(InputGrad, Four, "ops/packed/input_grad_h4_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Eight, "ops/packed/input_grad_h8_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Eight, "ops/packed/input_grad_h8", twin_input_grad, (2, 128)),
    variant!(InputGrad, Eight, "ops/packed/input_grad_h8_narrow", twin_input_grad, (4, 128)),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_texels", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Single, "ops/packed/weight_grad", twin_weight_grad, (64, 0), 4),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_narrow", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_8_texels", twin_weight_grad, (8, 0), 8),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_8", twin_weight_grad, (64, 0), 8),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_8_narrow", twin_weight_grad, (8, 0), 8),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4_texels", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4", twin_weight_grad, (64, 0), 4),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4_narrow", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Eight, "ops/packed/weight_grad_h8_texels", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Eight, "ops/packed/weight_grad_h8", twin_weight_grad, (64, 0), 4),
    variant!(WeightGrad, Eight, "ops/packed/weight_grad_h8_narrow", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Groups, "ops/packed/weight_grad_nm_texels", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Groups, "ops/packed/weight_grad_nm", twin_weight_grad, (64, 0), 4),
    variant!(WeightGrad, Groups, "ops/packed/weight_grad_nm_narrow", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Groups, "ops/packed/weight_grad_8_nm_texels", twin_weight_grad, (8, 0), 8),
    variant!(WeightGrad, Groups, "ops/packed/weight_grad_8_nm", twin_weight_grad, (64, 0), 8),
    variant!(WeightGrad, Groups, "ops/packed/weight_grad_8_nm_narrow", twin_weight_grad, (8, 0), 8),
];

/// The variants that can do a product of this weight, with operands of that width.
pub fn fitting(product: Product, index: &Index, narrow: bool) -> impl Iterator<Item = &'static Variant> {
    let (kind, chunk) = (Kind::of(index.pattern.form, product), index.chunk);
    ALL.iter().filter(move |variant| {
        variant.product == product
            && Some(variant.kind) == kind
            && [0, chunk].contains(&variant.chunk)
            && variant.narrow == narrow
    })
}

/// What a measured choice is stored under: product, shape, form, a rounded density, and the width of operands.
pub fn key(product: Product, pattern: &Pattern, cols: usize, narrow: bool) -> String {
    let density = pattern.kept() as f64 / pattern.len().max(1) as f64;
    format!(
        "packed_{} {}x{}x{cols} {} 1/{}{}",
        product.name(),
        pattern.rows,
        pattern.inner,
        pattern.form.name(),
        (1.0 / density.max(1e-6)).log2().round().exp2(),
        if narrow { " bf16" } else { "" }
    )
}

/// The chosen variant for a weight, or the fixed default where none was measured.
pub fn pick(
    choices: &Choices,
    product: Product,
    index: &Index,
    cols: usize,
    narrow: bool,
) -> &'static Variant {
    let chosen = choices.get(&key(product, &index.pattern, cols, narrow));
    chosen
        .and_then(|name| fitting(product, index, narrow).find(|variant| variant.name == name))
        .or_else(|| fitting(product, index, narrow).next())
        .expect("forms without kernels are refused")
}

impl Variant {
    /// The copy of an operand that this variant reads.
    ///
    /// # Panics
    /// If it reads bf16 and there is none: [`pick`] never chooses so.
    fn read<'a>(&self, operand: Operand<'a>) -> &'a Tensor {
        if self.narrow { operand.narrow.expect("a bf16 copy") } else { operand.wide }
    }

    fn dispatch(&self, rec: &mut Recorder, index: &Index, cols: usize, binds: &[(&str, Bind)]) -> Result<()> {
        let lines = match self.product {
            Product::Forward => index.pattern.heads(),
            Product::InputGrad => index.pattern.inner,
            Product::WeightGrad => index.chunks.len() / 2,
        };
        let across = if self.product == Product::WeightGrad { 1 } else { cols.div_ceil(self.tile.1) };
        let (kept, height) = (index.pattern.kept(), index.pattern.form.height());
        rec.dispatch(
            &self.kernel,
            binds,
            (lines.div_ceil(self.tile.0) * across) as u64,
            2 * (kept * cols) as u64,
        )?;
        // An operand is read for every entry; the lists once.
        let operand = match self.product {
            Product::Forward => kept / height + index.pattern.rows,
            Product::InputGrad => kept + index.pattern.inner * 2,
            Product::WeightGrad => kept / height + kept / height / index.chunk + index.pattern.rows,
        };
        rec.moves(4 * (operand * cols + kept + 2 * kept / height) as u64);
        Ok(())
    }
}

fn args(index: &Index, cols: usize, relu: bool) -> Args {
    let pattern = &index.pattern;
    let (keep, among) = match pattern.form {
        Form::Groups { keep, of } => (keep as u32, of as u32),
        _ => (1, 1),
    };
    Args {
        rows: pattern.heads() as u32,
        inner: pattern.inner as u32,
        cols: cols as u32,
        relu: relu as u32,
        entries: pattern.entries() as u32,
        chunks: index.chunks.len() as u32 / 2,
        keep,
        among,
    }
}

/// A packed weight as products read it.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    pub index: &'a Index,
    /// As `index.pattern` orders them.
    pub values: &'a Tensor,
}

/// `y = weight x + bias`, rectified if `relu`. x: (inner, cols), y: (rows, cols), bias: (rows,).
pub fn forward(
    rec: &mut Recorder,
    choices: &Choices,
    weight: Packed,
    bias: &Tensor,
    x: Operand,
    y: &Tensor,
    relu: bool,
) -> Result<()> {
    let (cols, narrow) = (x.wide.shape[1], x.narrow.is_some());
    let variant = pick(choices, Product::Forward, weight.index, cols, narrow);
    forward_by(rec, variant, weight, bias, x, y, relu)
}

/// As [`forward`], by one variant.
pub fn forward_by(
    rec: &mut Recorder,
    variant: &Variant,
    weight: Packed,
    bias: &Tensor,
    x: Operand,
    y: &Tensor,
    relu: bool,
) -> Result<()> {
    let (index, cols) = (weight.index, x.wide.shape[1]);
    let x = variant.read(x);
    let binds = bind! { args: &args(index, cols, relu), starts: &index.starts, columns: &index.columns,
    values: weight.values, bias: bias, x: x, y: y };
    variant.dispatch(rec, index, cols, binds)
}

/// `d_x = weight^T d_y`, and 0 where `x` is not positive if `relu`.
///
/// # Panics
/// If the index has no transposed order: a fault of the caller.
pub fn input_grad(
    rec: &mut Recorder,
    choices: &Choices,
    weight: Packed,
    x: Operand,
    d_y: Operand,
    d_x: &Tensor,
    relu: bool,
) -> Result<()> {
    let (cols, narrow) = (x.wide.shape[1], x.narrow.is_some() && d_y.narrow.is_some());
    let variant = pick(choices, Product::InputGrad, weight.index, cols, narrow);
    input_grad_by(rec, variant, weight, x, d_y, d_x, relu)
}

/// As [`input_grad`], by one variant.
pub fn input_grad_by(
    rec: &mut Recorder,
    variant: &Variant,
    weight: Packed,
    x: Operand,
    d_y: Operand,
    d_x: &Tensor,
    relu: bool,
) -> Result<()> {
    let (index, cols) = (weight.index, x.wide.shape[1]);
    let (x, d_y) = (variant.read(x), variant.read(d_y));
    let t = index.transposed.as_ref().expect("an index by input, where gradients flow on");
    let binds = bind! { args: &args(index, cols, relu), starts: &t.starts, columns: &t.rows, entry_from: &t.from,
    values: weight.values, x: x, d_y: d_y, d_x: d_x };
    variant.dispatch(rec, index, cols, binds)
}

/// The gradient of every kept value, and `d_bias`, the sums of d_y over columns.
pub fn weight_grad(
    rec: &mut Recorder,
    choices: &Choices,
    index: &Index,
    d_values: &Tensor,
    d_bias: &Tensor,
    x: Operand,
    d_y: Operand,
) -> Result<()> {
    let (cols, narrow) = (x.wide.shape[1], x.narrow.is_some() && d_y.narrow.is_some());
    let variant = pick(choices, Product::WeightGrad, index, cols, narrow);
    weight_grad_by(rec, variant, index, d_values, d_bias, x, d_y)
}

/// As [`weight_grad`], by one variant.
pub fn weight_grad_by(
    rec: &mut Recorder,
    variant: &Variant,
    index: &Index,
    d_values: &Tensor,
    d_bias: &Tensor,
    x: Operand,
    d_y: Operand,
) -> Result<()> {
    let cols = x.wide.shape[1];
    let (x, d_y) = (variant.read(x), variant.read(d_y));
    let binds = bind! { args: &args(index, cols, false), starts: &index.starts, columns: &index.columns,
    chunks: &index.chunks, x: x, d_y: d_y, d_values: d_values, d_bias: d_bias };
    variant.dispatch(rec, index, cols, binds)
}

/// The input of an entry, as `columns` stores it.
fn column(args: &Args, columns: &[u32], groups: bool, starts: &[u32], row: usize, entry: usize) -> usize {
    if !groups {
        return columns[entry] as usize;
    }
    let group = (entry - starts[row] as usize) / args.keep as usize;
    group * args.among as usize + (columns[entry / 4] >> (entry % 4 * 8) & 255) as usize
}

/// The numbers of an operand, wide or narrow.
fn operand(t: &Twin, name: &str, len: usize) -> Vec<f32> {
    let words = t.u32(name);
    if words.len() == len { words.iter().map(|&word| f32::from_bits(word)).collect() } else { widen(&words) }
}

/// Values of an entry.
fn height(t: &Twin, values: &str, args: &Args) -> usize {
    (t.f32(values).len() / (args.entries as usize).max(1)).max(1)
}

fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns, values) = (t.u32("starts"), t.u32("columns"), t.f32("values"));
    let (bias, cols) = (t.f32("bias"), args.cols as usize);
    let x = operand(t, "x", args.inner as usize * cols);
    let (height, grouped) = (bias.len() / (args.rows as usize).max(1), args.among > 1);
    let mut sums = vec![0.0f64; cols];
    for (o, y) in t.f32_mut("y").chunks_mut(cols).enumerate() {
        let row = o / height;
        sums.fill(bias[o] as f64);
        for entry in starts[row] as usize..starts[row + 1] as usize {
            let w = values[entry * height + o % height] as f64;
            let x = &x[column(&args, &columns, grouped, &starts, row, entry) * cols..][..cols];
            sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += w * x as f64);
        }
        for (y, &sum) in y.iter_mut().zip(&sums) {
            *y = if args.relu != 0 { (sum as f32).max(0.0) } else { sum as f32 };
        }
    }
}

fn twin_input_grad(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns, from) = (t.u32("starts"), t.u32("columns"), t.u32("entry_from"));
    let values = t.f32("values");
    let (height, cols) = (height(t, "values", &args), args.cols as usize);
    let x = operand(t, "x", args.inner as usize * cols);
    let d_y = operand(t, "d_y", args.rows as usize * height * cols);
    let mut sums = vec![0.0f64; cols];
    for (k, d_x) in t.f32_mut("d_x").chunks_mut(cols).enumerate() {
        sums.fill(0.0);
        for entry in starts[k] as usize..starts[k + 1] as usize {
            for r in 0..height {
                let w = values[from[entry] as usize * height + r] as f64;
                let d_y = &d_y[(columns[entry] as usize * height + r) * cols..][..cols];
                sums.iter_mut().zip(d_y).for_each(|(sum, &d)| *sum += w * d as f64);
            }
        }
        for (c, (d_x, &sum)) in d_x.iter_mut().zip(&sums).enumerate() {
            let open = args.relu == 0 || x[k * cols + c] > 0.0;
            *d_x = if open { sum as f32 } else { 0.0 };
        }
    }
}

fn twin_weight_grad(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns) = (t.u32("starts"), t.u32("columns"));
    let cols = args.cols as usize;
    let (mut d_values, mut d_bias) = (t.f32_mut("d_values"), t.f32_mut("d_bias"));
    let x = operand(t, "x", args.inner as usize * cols);
    let d_y = operand(t, "d_y", d_bias.len() * cols);
    let (height, grouped) = (d_bias.len() / (args.rows as usize).max(1), args.among > 1);
    for (o, d_y) in d_y.chunks(cols).enumerate() {
        d_bias[o] = d_y.iter().map(|&d| d as f64).sum::<f64>() as f32;
        let row = o / height;
        for entry in starts[row] as usize..starts[row + 1] as usize {
            let x = &x[column(&args, &columns, grouped, &starts, row, entry) * cols..][..cols];
            let sum: f64 = d_y.iter().zip(x).map(|(&d, &x)| d as f64 * x as f64).sum();
            d_values[entry * height + o % height] = sum as f32;
        }
    }
}

/// A pattern with empty rows, full rows, and rows in between.
fn ragged(t: &mut Trial, form: Form, heads: usize, inner: usize) -> Pattern {
    let noise = t.values(heads * inner);
    let mut places = Vec::new();
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
        places.extend((0..inner).filter(kept).map(|column| (row * inner + column) as u32));
    }
    Pattern::from_places(form, heads * form.height(), inner, &places)
}

fn check(t: &mut Trial, size: usize, variant: &Variant) -> Result<()> {
    if size == 0 {
        return Ok(()); // a layer has at least one row and one input: the recipe is refused otherwise
    }
    let form = match variant.kind {
        Kind::Single => Form::Free,
        Kind::Four => Form::Block { height: 4 },
        Kind::Eight => Form::Block { height: 8 },
        Kind::Groups => Form::Groups { keep: 2, of: 5 },
    };
    let gpu = t.gpu.clone();
    let widths = if variant.narrow { [8, 72, 136] } else { [4, 68, 132] };
    let shapes = [(size, size), (size.div_ceil(4), size + 2), (1, size)];
    for ((heads, inner), cols) in shapes.into_iter().zip(widths) {
        let pattern = ragged(t, form, heads, inner);
        let rows = pattern.rows;
        let index = match variant.chunk {
            0 => Index::new(&gpu, "weight", pattern, true)?,
            chunk => Index::with_chunks(&gpu, "weight", pattern, true, chunk)?,
        };
        let kept = index.pattern.kept();
        let (values, bias) = (t.input("values", &[kept])?, t.input("bias", &[rows])?);
        let (x, d_y) = (t.input("x", &[inner, cols])?, t.input("d_y", &[rows, cols])?);
        let weight = Packed { index: &index, values: &values };
        let narrow = |t: &mut Trial, of: &Tensor| -> Result<Option<Tensor>> {
            if !variant.narrow {
                return Ok(None);
            }
            let copy = narrow::tensor(&gpu, of)?;
            narrow::record(&mut t.rec, of, &copy)?;
            Ok(Some(copy))
        };
        let (narrow_x, narrow_d_y) = (narrow(t, &x)?, narrow(t, &d_y)?);
        let x = Operand { wide: &x, narrow: narrow_x.as_ref() };
        let d_y = Operand { wide: &d_y, narrow: narrow_d_y.as_ref() };
        for relu in [false, true] {
            match variant.product {
                Product::Forward => {
                    let y = t.output("y", &[rows, cols], Tolerance::sum(inner))?;
                    forward_by(&mut t.rec, variant, weight, &bias, x, &y, relu)?;
                }
                Product::InputGrad => {
                    let d_x = t.output("d_x", &[inner, cols], Tolerance::sum(rows))?;
                    input_grad_by(&mut t.rec, variant, weight, x, d_y, &d_x, relu)?;
                }
                Product::WeightGrad => {
                    let d_values = t.output("d_values", &[kept], Tolerance::sum(cols))?;
                    let d_bias = t.output("d_bias", &[rows], Tolerance::sum(cols))?;
                    weight_grad_by(&mut t.rec, variant, &index, &d_values, &d_bias, x, d_y)?;
                }
            }
        }
    }
    Ok(())
}

/// One check a variant.
pub(super) fn checks() -> Vec<Check> {
    ALL.iter().map(|variant| Check::new(variant.name, move |t, n| check(t, n, variant))).collect()
}
