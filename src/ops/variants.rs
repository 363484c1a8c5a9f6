//! The variants of the dense products, and the choice among them: by measurement on the user's own
//! device, kept per adapter and driver, and written into the run's record.
//!
//! Register-blocked variants win on software adapters, workgroup tiles on GPUs; see docs/performance.md.

use std::collections::BTreeMap;

use super::linear::{Args, twin_forward, twin_input_grad, twin_weight_grad};
use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Bind, Gpu, Kernel, Recorder, expand};
use crate::source;

/// The three products of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Forward,
    InputGrad,
    WeightGrad,
}

impl Product {
    pub const ALL: [Product; 3] = [Product::Forward, Product::InputGrad, Product::WeightGrad];
    pub fn name(self) -> &'static str {
        match self {
            Product::Forward => "forward",
            Product::InputGrad => "input_grad",
            Product::WeightGrad => "weight_grad",
        }
    }
}

/// Outputs, inputs and columns of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub rows: usize,
    pub inner: usize,
    pub cols: usize,
}

impl Shape {
    pub fn new(rows: usize, inner: usize, cols: usize) -> Self {
        Self { rows, inner, cols }
    }
    /// One multiplication and one addition for every weight and column.
    pub fn flops(self) -> u64 {
        2 * (self.rows * self.inner * self.cols) as u64
    }
    pub(super) fn args(self, relu: bool, accumulate: bool) -> Args {
        Args {
            rows: self.rows as u32,
            inner: self.inner as u32,
            cols: self.cols as u32,
            relu: relu as u32,
            accumulate: accumulate as u32,
        }
    }
}

/// What a kernel reads and writes as bf16, of multiples of 8 columns, instead of f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    /// The layer's input.
    pub x: bool,
    /// The input's gradient, which only that product has.
    pub d_x: bool,
}

const X: Narrow = Narrow { x: true, d_x: false };
const D_X: Narrow = Narrow { x: false, d_x: true };
const BOTH: Narrow = Narrow { x: true, d_x: true };

/// One way to compute a product.
pub struct Variant {
    pub name: &'static str,
    pub product: Product,
    pub kernel: Kernel,
    /// Workgroups in the row.
    pub groups: fn(Shape) -> u64,
    /// Whether the kernel can do this shape at all.
    pub fits: fn(Shape) -> bool,
    /// The same in bf16, as far as there are kernels for it: of the same workgroups.
    narrow: &'static [(Narrow, Kernel)],
}

impl Variant {
    /// All that it can do in bf16.
    pub(super) fn narrow_ones(&self) -> impl Iterator<Item = Narrow> {
        self.narrow.iter().map(|(narrow, _)| *narrow)
    }
    /// Whether it can do that.
    pub(super) fn has(&self, narrow: Narrow) -> bool {
        narrow == Narrow::default() || self.narrow_ones().any(|one| one == narrow)
    }
    /// `narrow` says what is bound as bf16.
    ///
    /// # Panics
    /// If there is no kernel for that: a fault of the caller, who can ask first.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        narrow: Narrow,
        binds: &[(&str, Bind)],
        shape: Shape,
    ) -> Result<()> {
        let own = self.narrow.iter().find(|(one, _)| *one == narrow).map(|(_, kernel)| kernel);
        assert!(self.has(narrow), "{} has no kernel for {narrow:?}", self.name);
        rec.dispatch(own.unwrap_or(&self.kernel), binds, (self.groups)(shape), shape.flops())
    }
}

fn any(_: Shape) -> bool {
    true
}

/// Weights are read four inputs at a time.
fn in_quads(s: Shape) -> bool {
    s.inner.is_multiple_of(4)
}

/// Outputs of one workgroup of the plain kernels.
const PLAIN: usize = 64;
/// Side of a tile in workgroup memory.
const TILE: usize = 64;

/// A register block of so many lines (rows, or quads of inputs) by so many quads, for software adapters.
macro_rules! block {
    ($product:ident, $name:literal, $file:literal, $twin:ident, $lines:expr, $columns:expr, $fits:expr) => {
        Variant {
            name: $name,
            product: Product::$product,
            kernel: Kernel::own(source!($file), $twin).proven(),
            groups: |s: Shape| {
                let (lines, columns): (fn(Shape) -> usize, fn(Shape) -> usize) = ($lines, $columns);
                (lines(s) * columns(s)) as u64
            },
            fits: $fits,
            narrow: &[],
        }
    };
}
macro_rules! forward {
    ($name:literal, $file:literal, $rows:literal, $quads:literal, $fits:expr) => {
        block!(
            Forward,
            $name,
            $file,
            twin_forward,
            |s| s.rows.div_ceil($rows),
            |s| s.cols.div_ceil(32 * $quads),
            $fits
        )
    };
}
/// A variant of software adapters together with its kernels for bf16.
macro_rules! or_narrow {
    ($variant:expr, $twin:ident, $($narrow:ident $file:literal),+) => {
        Variant {
            narrow: &[$(($narrow, Kernel::own(source!($file), $twin).proven())),+],
            ..$variant
        }
    };
}
macro_rules! input_grad {
    ($name:literal, $file:literal, $inputs:literal, $quads:literal, $fits:expr) => {
        block!(
            InputGrad,
            $name,
            $file,
            twin_input_grad,
            |s| s.inner.div_ceil(4 * $inputs),
            |s| s.cols.div_ceil(32 * $quads),
            $fits
        )
    };
}
macro_rules! weight_grad {
    ($name:literal, $file:literal, $rows:literal, $inputs:literal, $fits:expr) => {
        block!(
            WeightGrad,
            $name,
            $file,
            twin_weight_grad,
            |s| s.rows.div_ceil($rows),
            |s| s.inner.div_ceil(32 * $inputs),
            $fits
        )
    };
}
/// A product in 64 x 64 tiles through workgroup memory, for GPUs.
macro_rules! tile {
    ($product:ident, $name:literal, $file:literal, $twin:ident, $lines:ident, $columns:ident, $fits:expr) => {
        block!(
            $product,
            $name,
            $file,
            $twin,
            |s| s.$lines.div_ceil(TILE),
            |s| s.$columns.div_ceil(TILE),
            $fits
        )
    };
}
/// The yardstick: one invocation an output.
macro_rules! plain {
    ($product:ident, $name:literal, $entry:literal, $twin:ident, $lines:ident, $columns:ident) => {
        Variant {
            name: $name,
            product: Product::$product,
            kernel: Kernel::own(source!("ops/linear_plain"), $twin).entry($entry),
            groups: |s| (s.$lines * s.$columns).div_ceil(PLAIN) as u64,
            fits: any,
            narrow: &[],
        }
    };
}

/// All variants; of those that fit, the first of each product is the fixed default.
pub const ALL: &[Variant] = &[
    or_narrow!(
        forward!("forward/16x4_texels", "ops/linear_forward_16x4_texels", 16, 4, in_quads),
        twin_forward,
        X "ops/linear_forward_16x4_texels_narrow_x"
    ),
    forward!("forward/16x4_any", "ops/linear_forward_16x4_any", 16, 4, any),
    or_narrow!(
        forward!("forward/10x2_texels", "ops/linear_forward_10x2_texels", 10, 2, in_quads),
        twin_forward,
        X "ops/linear_forward_10x2_texels_narrow_x"
    ),
    or_narrow!(
        forward!("forward/32x4_texels", "ops/linear_forward_32x4_texels", 32, 4, in_quads),
        twin_forward,
        X "ops/linear_forward_32x4_texels_narrow_x"
    ),
    forward!("forward/16x4", "ops/linear_forward_16x4", 16, 4, in_quads),
    tile!(Forward, "forward/tile", "ops/linear_forward_tile", twin_forward, rows, cols, in_quads),
    tile!(Forward, "forward/tile_any", "ops/linear_forward_tile_any", twin_forward, rows, cols, any),
    plain!(Forward, "forward/plain", "forward", twin_forward, rows, cols),
    or_narrow!(
        input_grad!("input_grad/4x4_texels", "ops/linear_input_grad_4x4_texels", 4, 4, in_quads),
        twin_input_grad,
        X "ops/linear_input_grad_4x4_texels_narrow_x",
        D_X "ops/linear_input_grad_4x4_texels_narrow",
        BOTH "ops/linear_input_grad_4x4_texels_both_narrow"
    ),
    input_grad!("input_grad/4x4_any", "ops/linear_input_grad_4x4_any", 4, 4, any),
    or_narrow!(
        input_grad!("input_grad/4x4", "ops/linear_input_grad_4x4", 4, 4, in_quads),
        twin_input_grad,
        X "ops/linear_input_grad_4x4_narrow_x",
        D_X "ops/linear_input_grad_4x4_narrow",
        BOTH "ops/linear_input_grad_4x4_both_narrow"
    ),
    tile!(InputGrad, "input_grad/tile", "ops/linear_input_grad_tile", twin_input_grad, inner, cols, in_quads),
    tile!(
        InputGrad,
        "input_grad/tile_any",
        "ops/linear_input_grad_tile_any",
        twin_input_grad,
        inner,
        cols,
        any
    ),
    plain!(InputGrad, "input_grad/plain", "input_grad", twin_input_grad, inner, cols),
    or_narrow!(
        weight_grad!("weight_grad/16x4_texels", "ops/linear_weight_grad_16x4_texels", 16, 4, in_quads),
        twin_weight_grad,
        X "ops/linear_weight_grad_16x4_texels_narrow_x"
    ),
    weight_grad!("weight_grad/16x4_any", "ops/linear_weight_grad_16x4_any", 16, 4, any),
    or_narrow!(
        weight_grad!("weight_grad/10x4_texels", "ops/linear_weight_grad_10x4_texels", 10, 4, in_quads),
        twin_weight_grad,
        X "ops/linear_weight_grad_10x4_texels_narrow_x"
    ),
    or_narrow!(
        weight_grad!("weight_grad/32x4_texels", "ops/linear_weight_grad_32x4_texels", 32, 4, in_quads),
        twin_weight_grad,
        X "ops/linear_weight_grad_32x4_texels_narrow_x"
    ),
    weight_grad!("weight_grad/16x4", "ops/linear_weight_grad_16x4", 16, 4, in_quads),
    tile!(
        WeightGrad,
        "weight_grad/tile",
        "ops/linear_weight_grad_tile",
        twin_weight_grad,
        rows,
        inner,
        in_quads
    ),
    tile!(
        WeightGrad,
        "weight_grad/tile_any",
        "ops/linear_weight_grad_tile_any",
        twin_weight_grad,
        rows,
        inner,
        any
    ),
    plain!(WeightGrad, "weight_grad/plain", "weight_grad", twin_weight_grad, rows, inner),
];

/// The variants that can do a product of this shape.
pub fn fitting(product: Product, shape: Shape) -> impl Iterator<Item = &'static Variant> {
    ALL.iter().filter(move |variant| variant.product == product && (variant.fits)(shape))
}

/// Whether all of a layer's dense products, of these shapes, can read its input as bf16, so that it need not be there as f32:
/// whichever variants are the fastest, since numbers depend on it. `feeds_back` says whether the input gradient is one of
/// them. Only software adapters have kernels for it, and the twin does as they do.
pub fn read_narrow(gpu: &Gpu, shapes: &[Shape], feeds_back: bool) -> bool {
    let asked = |product: &Product| feeds_back || *product != Product::InputGrad;
    let can = |product, shape: &Shape| fitting(product, *shape).any(|variant| variant.has(X));
    let all = |shape| Product::ALL.into_iter().filter(asked).all(|product| can(product, shape));
    gpu.is_software() && shapes.iter().all(all)
}

/// The names of all variants and the text of their shaders, in one: a measurement holds for these alone.
pub fn inventory() -> Result<String> {
    let dense = ALL.iter().map(|variant| (variant.name, variant.kernel));
    let packed = super::packed::variants::ALL.iter().map(|variant| (variant.name, variant.kernel));
    let text = |(name, kernel): (&str, Kernel)| Ok(format!("{name}\n{}", expand(&kernel.source)?));
    dense.chain(packed).map(text).collect()
}

/// What a choice was made by: the least milliseconds of some repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    /// Of what was chosen.
    pub ms: f64,
    /// Of what came next, if anything did.
    pub next: Option<(String, f64)>,
}

/// Which variant does which product: from `forward 512x784x128` to a variant's name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Choices(BTreeMap<String, String>);

impl Choices {
    /// What the choice of a dense product is stored under.
    pub fn key(product: Product, shape: Shape) -> String {
        format!("{} {}x{}x{}", product.name(), shape.rows, shape.inner, shape.cols)
    }

    /// Notes the fastest of some variants under a key, and the times that it was chosen by. Of equal ones it is the first.
    pub fn settle(&mut self, key: String, times: &[(&'static str, f64)]) {
        let mut order: Vec<_> = times.iter().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let Some((name, ms)) = order.first() else { return };
        let next = order.get(1).map_or(String::new(), |(name, ms)| format!(" {name} {ms:.6}"));
        self.set(Self::race_key(&key), format!("{ms:.6}{next}"));
        self.set(key, name.to_string());
    }
    /// The times that a choice was made by; `None` if it was not measured, or by a version that did not keep them.
    pub fn race(&self, key: &str) -> Option<Race> {
        let mut words = self.get(&Self::race_key(key))?.split(' ');
        let ms = words.next()?.parse().ok()?;
        let next = words.next().zip(words.next().and_then(|ms| ms.parse().ok()));
        Some(Race { ms, next: next.map(|(name, ms)| (name.to_string(), ms)) })
    }
    fn race_key(key: &str) -> String {
        format!("ms {key}")
    }
    /// As [`Choices::race`], of a dense product.
    pub fn dense_race(&self, product: Product, shape: Shape) -> Option<Race> {
        self.race(&Self::key(product, shape))
    }
    /// Whether the variant of a dense product was chosen and is not the fixed default.
    pub fn is_chosen(&self, product: Product, shape: Shape) -> bool {
        let chosen = self.0.get(&Self::key(product, shape));
        chosen.is_some_and(|name| fitting(product, shape).any(|variant| variant.name == name))
    }

    /// The plain kernels for these shapes: one sum an invocation, in one order whatever the blocks of rows.
    pub fn plain(shapes: &[Shape]) -> Choices {
        let entry = |(product, shape): (Product, Shape)| {
            (Self::key(product, shape), format!("{}/plain", product.name()))
        };
        let all = shapes.iter().flat_map(|&shape| Product::ALL.map(|product| (product, shape)));
        Choices(all.map(entry).collect())
    }

    /// What was chosen under a key of somebody else's.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
    /// Notes a choice under a key of somebody else's.
    pub fn set(&mut self, key: String, choice: String) {
        self.0.remove(&Self::left_key(&key));
        self.0.insert(key, choice);
    }

    /// The chosen variant, or the fixed default where none was measured.
    pub fn pick(&self, product: Product, shape: Shape) -> &'static Variant {
        let chosen = self.0.get(&Self::key(product, shape));
        let find = |name: &String| fitting(product, shape).find(|variant| variant.name == name);
        chosen
            .and_then(find)
            .or_else(|| fitting(product, shape).next())
            .expect("the plain variants fit every shape")
    }

    /// As [`Choices::pick`]; where x is bf16, the first variant that reads it so, if the chosen one does not.
    pub fn pick_for(&self, product: Product, shape: Shape, narrow_x: bool) -> &'static Variant {
        let chosen = self.pick(product, shape);
        let other = || fitting(product, shape).find(|variant| variant.has(X));
        if narrow_x && !chosen.has(X) { other().unwrap_or(chosen) } else { chosen }
    }

    /// What is known of these shapes, however they are stored.
    pub fn only(&self, shapes: &[Shape]) -> Choices {
        let names: Vec<String> =
            shapes.iter().map(|s| format!("{}x{}x{}", s.rows, s.inner, s.cols)).collect();
        let concerns = |key: &str| key.split(' ').any(|word| names.iter().any(|name| name == word));
        Choices(self.0.iter().filter(|(key, _)| concerns(key)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}

/// One check a variant.
pub(super) fn checks() -> Vec<Check> {
    ALL.iter()
        .map(|variant| Check::new(variant.name, move |t, n| super::linear::check(t, n, variant)))
        .collect()
}
