//! The variants of the packed products, and the choice among them: by measurement on the user's own device.

use super::index::{Index, Transposed};
use super::pattern::{Form, Pattern};
use super::products::{twin_forward, twin_input_grad, twin_weight_grad};
use crate::error::Result;
use crate::gpu::{Bind, Gpu, Kernel, Recorder, Tensor};
use crate::ops::narrow::Operand;
use crate::ops::variants::{Choices, Product, Race, Shape};
use crate::source;

/// The forms that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Four,
    Eight,
    Groups,
}

impl Kind {
    /// N:M weights of large groups are read as single weights are.
    fn of(form: Form) -> Option<Kind> {
        match form {
            Form::Free => Some(Kind::Single),
            Form::Block { height: 1 } => Some(Kind::Single),
            Form::Block { height: 4 } => Some(Kind::Four),
            Form::Block { height: 8 } => Some(Kind::Eight),
            Form::Block { .. } | Form::Tile { .. } => None,
            Form::Groups { .. } => Some(form.by_bytes().map_or(Kind::Single, |_| Kind::Groups)),
        }
    }
}

/// One way to compute a product of a packed weight.
pub struct Variant {
    pub name: &'static str,
    pub product: Product,
    pub(super) kind: Kind,
    pub kernel: Kernel,
    /// Rows (or inputs, or chunks) and columns of one workgroup.
    tile: (usize, usize),
    /// Entries of a chunk, where it works on chunks; on whole rows where it is 0.
    pub(super) chunk: usize,
    /// Whether it reads bf16 copies of its operands.
    pub narrow: bool,
    /// Whether its lanes share entries: for devices with subgroups.
    pub lanes: bool,
}

/// What a kernel is made for is said in its name: `_narrow` for bf16, `_lanes` for entries shared by lanes.
const fn says(name: &str, word: &str) -> bool {
    let (name, word) = (name.as_bytes(), word.as_bytes());
    let mut start = 0;
    while start + word.len() <= name.len() {
        let mut same = 0;
        while same < word.len() && name[start + same] == word[same] {
            same += 1;
        }
        if same == word.len() {
            return true;
        }
        start += 1;
    }
    false
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
            narrow: says($name, "_narrow"),
            lanes: says($name, "_lanes"),
        }
    };
}

/// All variants; the first of each product and form is the fixed default.
pub const ALL: &[Variant] = &[
    variant!(Forward, Single, "ops/packed/forward_lanes", twin_forward, (4, 128)),
    variant!(Forward, Single, "ops/packed/forward_lanes_narrow", twin_forward, (4, 128)),
    variant!(Forward, Single, "ops/packed/forward_texels", twin_forward, (4, 128)),
    variant!(Forward, Single, "ops/packed/forward", twin_forward, (2, 128)),
    variant!(Forward, Single, "ops/packed/forward_4_rows", twin_forward, (8, 128)),
    variant!(Forward, Single, "ops/packed/forward_8_columns", twin_forward, (4, 128)),
    variant!(Forward, Single, "ops/packed/forward_split", twin_forward, (1, 128)),
    variant!(Forward, Single, "ops/packed/forward_narrow", twin_forward, (4, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4_lanes", twin_forward, (4, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4_lanes_narrow", twin_forward, (4, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4_texels", twin_forward, (4, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4", twin_forward, (2, 128)),
    variant!(Forward, Four, "ops/packed/forward_h4_narrow", twin_forward, (4, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8_lanes", twin_forward, (4, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8_lanes_narrow", twin_forward, (4, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8_texels", twin_forward, (4, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8", twin_forward, (2, 128)),
    variant!(Forward, Eight, "ops/packed/forward_h8_narrow", twin_forward, (4, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm_lanes", twin_forward, (4, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm_lanes_narrow", twin_forward, (4, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm_texels", twin_forward, (4, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm", twin_forward, (2, 128)),
    variant!(Forward, Groups, "ops/packed/forward_nm_narrow", twin_forward, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_lanes", twin_input_grad, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_lanes_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad", twin_input_grad, (2, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_4_inputs", twin_input_grad, (8, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_8_columns", twin_input_grad, (4, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_split", twin_input_grad, (1, 128)),
    variant!(InputGrad, Single, "ops/packed/input_grad_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Four, "ops/packed/input_grad_h4_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Four, "ops/packed/input_grad_h4", twin_input_grad, (2, 128)),
    variant!(InputGrad, Four, "ops/packed/input_grad_h4_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Eight, "ops/packed/input_grad_h8_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Eight, "ops/packed/input_grad_h8", twin_input_grad, (2, 128)),
    variant!(InputGrad, Eight, "ops/packed/input_grad_h8_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Groups, "ops/packed/input_grad_nm_lanes", twin_input_grad, (4, 128)),
    variant!(InputGrad, Groups, "ops/packed/input_grad_nm_lanes_narrow", twin_input_grad, (4, 128)),
    variant!(InputGrad, Groups, "ops/packed/input_grad_nm_texels", twin_input_grad, (4, 128)),
    variant!(InputGrad, Groups, "ops/packed/input_grad_nm", twin_input_grad, (2, 128)),
    variant!(InputGrad, Groups, "ops/packed/input_grad_nm_narrow", twin_input_grad, (4, 128)),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_texels", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Single, "ops/packed/weight_grad", twin_weight_grad, (64, 0), 4),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_narrow", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_8_texels", twin_weight_grad, (8, 0), 8),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_8", twin_weight_grad, (64, 0), 8),
    variant!(WeightGrad, Single, "ops/packed/weight_grad_8_narrow", twin_weight_grad, (8, 0), 8),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4_lanes", twin_weight_grad, (4, 0)),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4_texels", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4", twin_weight_grad, (64, 0), 4),
    variant!(WeightGrad, Four, "ops/packed/weight_grad_h4_narrow", twin_weight_grad, (8, 0), 4),
    variant!(WeightGrad, Eight, "ops/packed/weight_grad_h8_lanes", twin_weight_grad, (4, 0)),
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

/// The variants that can do a product of weights of this form on a device, with operands of that width.
pub fn fitting(
    gpu: &Gpu,
    product: Product,
    form: Form,
    narrow: bool,
) -> impl Iterator<Item = &'static Variant> {
    let (kind, shares_lanes) = (Kind::of(form), gpu.shares_lanes());
    ALL.iter().filter(move |variant| {
        variant.product == product
            && Some(variant.kind) == kind
            && variant.narrow == narrow
            && (shares_lanes || !variant.lanes)
    })
}

/// What a choice among variants depends on.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub form: Form,
    pub shape: Shape,
    /// Share of the weights that is kept.
    pub density: f64,
    /// Whether operands are bf16.
    pub narrow: bool,
}

/// Entries of a row on average from which on chunks of 8 waste less than they save; below it they are of 4.
const LONG_ROWS: f64 = 24.0;

impl Case {
    pub fn of(pattern: &Pattern, cols: usize, narrow: bool) -> Self {
        let density = pattern.kept() as f64 / pattern.len().max(1) as f64;
        Self { form: pattern.form, shape: Shape::new(pattern.rows, pattern.inner, cols), density, narrow }
    }

    /// What a measured choice is stored under: product, shape, form, a rounded density, and the width of operands.
    pub fn key(&self, product: Product) -> String {
        let Shape { rows, inner, cols } = self.shape;
        format!(
            "packed_{} {rows}x{inner}x{cols} {} 1/{}{}",
            product.name(),
            self.form.name(),
            self.parts(),
            if self.narrow { " bf16" } else { "" }
        )
    }

    /// The case that a choice is known for: of this density or, if there is none, of the nearest one, the denser of two.
    fn known(&self, choices: &Choices, product: Product) -> Option<Self> {
        let around = (1..8).flat_map(|far| [2f64.powi(far), 0.5f64.powi(far)]);
        let near = std::iter::once(1.0).chain(around);
        let mut cases = near.map(|factor| Self { density: self.density * factor, ..*self });
        cases.find(|case| choices.get(&case.key(product)).is_some())
    }
    fn chosen<'a>(&self, choices: &'a Choices, product: Product) -> Option<&'a str> {
        choices.get(&self.known(choices, product)?.key(product))
    }
    /// The times that a choice was made by, and the density that they are of: near this one, if there were none for it.
    pub fn race(&self, choices: &Choices, product: Product) -> Option<(Race, f64)> {
        let known = self.known(choices, product)?;
        Some((choices.race(&known.key(product))?, 1.0 / known.parts()))
    }

    /// One over the density, rounded to a power of two.
    fn parts(&self) -> f64 {
        (1.0 / self.density.max(1e-6)).log2().round().exp2()
    }

    /// Entries that a row is split into for its weight gradient: as many as the chosen variant takes, or, where none was
    /// measured or it takes whole rows, by the length of rows.
    pub fn chunk(&self, choices: &Choices) -> usize {
        let chosen = self.chosen(choices, Product::WeightGrad);
        let variant = chosen.and_then(|name| ALL.iter().find(|variant| variant.name == name));
        let long = self.form.height() == 1 && self.density * self.shape.inner as f64 >= LONG_ROWS;
        variant.map(|variant| variant.chunk).filter(|&chunk| chunk > 0).unwrap_or(if long { 8 } else { 4 })
    }

    /// The chosen variant, or the fixed default where none was measured, and whether it was: of those that work on whole
    /// rows or on chunks of so many entries.
    pub fn pick(
        &self,
        gpu: &Gpu,
        choices: &Choices,
        product: Product,
        chunk: usize,
    ) -> (&'static Variant, bool) {
        let fit = || {
            let all = fitting(gpu, product, self.form, self.narrow);
            all.filter(move |variant| [0, chunk].contains(&variant.chunk))
        };
        let chosen = self.chosen(choices, product);
        let measured = chosen.and_then(|name| fit().find(|variant| variant.name == name));
        let variant = measured.or_else(|| fit().next()).expect("forms without kernels are refused");
        (variant, measured.is_some())
    }
}

/// The variant for a weight, as chosen or else the fixed default.
pub fn pick(
    choices: &Choices,
    product: Product,
    index: &Index,
    cols: usize,
    narrow: bool,
) -> &'static Variant {
    Case::of(&index.pattern, cols, narrow).pick(index.starts.gpu(), choices, product, index.chunk).0
}

/// Whether this is the plain way, that all others stand beside: entry after entry of a row from buffers, four columns an
/// invocation.
pub fn is_plain(name: &str) -> bool {
    let rest = ["forward", "input_grad", "weight_grad"]
        .iter()
        .find_map(|product| name.strip_prefix("ops/packed/")?.strip_prefix(product));
    rest.is_some_and(|form| ["", "_h4", "_h8", "_nm"].contains(&form))
}

impl Variant {
    /// The copy of an operand that this variant reads.
    ///
    /// # Panics
    /// If it reads bf16 and there is none: [`pick`] never chooses so.
    pub(super) fn read<'a>(&self, operand: Operand<'a>) -> &'a Tensor {
        if self.narrow { operand.narrow.expect("a bf16 copy") } else { operand.wide }
    }

    /// Where this variant writes a result.
    ///
    /// # Panics
    /// If bf16 is to be written and it reads f32: a fault of the caller.
    pub(super) fn write(&self, result: Operand) -> Tensor {
        assert!(self.narrow || result.narrow.is_none(), "{} writes no bf16", self.name);
        match result.narrow {
            Some(narrow) => narrow.clone(),
            None if self.narrow => result.wide.words(),
            None => result.wide.clone(),
        }
    }

    /// `narrow` says whether the result is bf16.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        index: &Index,
        cols: usize,
        narrow: bool,
        binds: &[(&str, Bind)],
    ) -> Result<()> {
        let lines = match self.product {
            Product::Forward => index.pattern.heads(),
            Product::InputGrad => index.pattern.inner,
            Product::WeightGrad if self.chunk == 0 => index.pattern.heads(),
            Product::WeightGrad => index.chunks.len() / 2,
        };
        let across = if self.product == Product::WeightGrad { 1 } else { cols.div_ceil(self.tile.1) };
        let kept = index.pattern.kept();
        let kernel = if narrow { self.kernel.with(&[("NARROW", 1.0)]) } else { self.kernel };
        rec.dispatch(
            &kernel,
            binds,
            (lines.div_ceil(self.tile.0) * across) as u64,
            2 * (kept * cols) as u64,
        )?;
        rec.moves(self.bytes(index, cols, narrow));
        Ok(())
    }

    /// Bytes that are moved at least: lists, values, operands and results, each once.
    fn bytes(&self, index: &Index, cols: usize, narrow: bool) -> u64 {
        let (rows, inner) = (index.pattern.rows * cols, index.pattern.inner * cols);
        let number = |narrow: bool| if narrow { 2 } else { 4 };
        let (operand, result) = (number(self.narrow), number(narrow));
        let by_row = index.starts.bytes() + index.columns.bytes();
        let lists = match self.product {
            Product::InputGrad => index.transposed.as_ref().map_or(0, Transposed::bytes),
            Product::WeightGrad if self.chunk > 0 => by_row + index.chunks.bytes(),
            Product::Forward | Product::WeightGrad => by_row,
        };
        let matrices = match self.product {
            Product::Forward => operand * inner + result * rows,
            Product::InputGrad => operand * (rows + inner) + result * inner, // x for the ReLU
            Product::WeightGrad => operand * (rows + inner),
        };
        lists + 4 * index.pattern.kept() as u64 + matrices as u64
    }
}
