//! The variants of the packed products, as data: what computes them, for which form, and how they read.

use super::Form;
use super::index::{Index, Transposed};
use super::products::{twin_forward, twin_input_grad, twin_weight_grad};
use crate::error::Result;
use crate::gpu::{Bind, Dtype, Kernel, Recorder, Source, Tensor};
use crate::ops::variants::Product::{self, Forward, InputGrad, WeightGrad};
use crate::source;

/// The forms that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Four,
    Eight,
    Groups,
}
use Kind::{Eight, Four, Groups, Single};

impl Kind {
    /// N:M weights of large groups are read as single weights are.
    pub fn of(form: Form) -> Option<Kind> {
        match form {
            Form::Free => Some(Single),
            Form::Block { height: 1 } => Some(Single),
            Form::Block { height: 4 } => Some(Four),
            Form::Block { height: 8 } => Some(Eight),
            Form::Block { .. } | Form::Tile { .. } => None,
            Form::Groups { .. } => Some(form.by_bytes().map_or(Single, |_| Groups)),
        }
    }
    /// Rows of a block.
    fn height(self) -> u32 {
        match self {
            Single | Groups => 1,
            Four => 4,
            Eight => 8,
        }
    }
}

/// What computes a product. `each`: rows (or inputs) of an invocation, one after another; of a weight gradient, entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// An invocation makes so many quads of columns; a workgroup has `down` by `across` of them.
    Rows { quads: u32, each: u32, down: u32, across: u32 },
    /// Entries are shared by the 8 lanes of a workgroup, which need subgroups.
    Lanes { quads: u32, each: u32 },
    /// The entries of a row (or input) are dealt to so many invocations.
    Split { slices: u32, across: u32 },
    /// A weight gradient's entries, a chunk an invocation.
    Chunks { each: u32, wg: u32 },
}
use Body::{Chunks, Lanes, Rows, Split};

/// One quad an invocation, which hardware has many of.
const GPU: Body = Rows { quads: 1, each: 1, down: 2, across: 32 };
/// As much an invocation as registers hold.
const SOFTWARE: Body = Rows { quads: 4, each: 4, down: 1, across: 8 };
const LANES: Body = Lanes { quads: 4, each: 4 };

/// How operands are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// As f32 from buffers: for GPUs.
    Buffers,
    /// As f32 through textures: for software adapters.
    Texels,
    /// As bf16 through textures.
    Bf16,
}
use Reads::{Bf16, Buffers, Texels};

/// One way to compute a product of a packed weight.
pub struct Variant {
    /// As choices name it.
    pub name: &'static str,
    pub product: Product,
    pub(super) kind: Kind,
    reads: Reads,
    body: Body,
}

const fn variant(name: &'static str, product: Product, kind: Kind, reads: Reads, body: Body) -> Variant {
    Variant { name, product, kind, reads, body }
}

/// All variants; the first of each product and form is the fixed default.
pub const ALL: &[Variant] = &[
    variant("ops/packed/forward_lanes", Forward, Single, Texels, LANES),
    variant("ops/packed/forward_lanes_narrow", Forward, Single, Bf16, LANES),
    variant("ops/packed/forward_texels", Forward, Single, Texels, SOFTWARE),
    variant("ops/packed/forward", Forward, Single, Buffers, GPU),
    variant(
        "ops/packed/forward_4_rows",
        Forward,
        Single,
        Buffers,
        Rows { quads: 1, each: 4, down: 2, across: 32 },
    ),
    variant(
        "ops/packed/forward_8_columns",
        Forward,
        Single,
        Buffers,
        Rows { quads: 2, each: 1, down: 4, across: 16 },
    ),
    variant("ops/packed/forward_split", Forward, Single, Buffers, Split { slices: 4, across: 32 }),
    variant("ops/packed/forward_narrow", Forward, Single, Bf16, SOFTWARE),
    variant("ops/packed/forward_h4_lanes", Forward, Four, Texels, LANES),
    variant("ops/packed/forward_h4_lanes_narrow", Forward, Four, Bf16, LANES),
    variant("ops/packed/forward_h4_texels", Forward, Four, Texels, SOFTWARE),
    variant("ops/packed/forward_h4", Forward, Four, Buffers, GPU),
    variant("ops/packed/forward_h4_narrow", Forward, Four, Bf16, SOFTWARE),
    variant("ops/packed/forward_h8_lanes", Forward, Eight, Texels, LANES),
    variant("ops/packed/forward_h8_lanes_narrow", Forward, Eight, Bf16, LANES),
    variant("ops/packed/forward_h8_texels", Forward, Eight, Texels, SOFTWARE),
    variant("ops/packed/forward_h8", Forward, Eight, Buffers, GPU),
    variant("ops/packed/forward_h8_narrow", Forward, Eight, Bf16, SOFTWARE),
    variant("ops/packed/forward_nm_lanes", Forward, Groups, Texels, LANES),
    variant("ops/packed/forward_nm_lanes_narrow", Forward, Groups, Bf16, LANES),
    variant("ops/packed/forward_nm_texels", Forward, Groups, Texels, SOFTWARE),
    variant("ops/packed/forward_nm", Forward, Groups, Buffers, GPU),
    variant("ops/packed/forward_nm_narrow", Forward, Groups, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_lanes", InputGrad, Single, Texels, LANES),
    variant("ops/packed/input_grad_lanes_narrow", InputGrad, Single, Bf16, LANES),
    variant("ops/packed/input_grad_texels", InputGrad, Single, Texels, SOFTWARE),
    variant("ops/packed/input_grad", InputGrad, Single, Buffers, GPU),
    variant(
        "ops/packed/input_grad_4_inputs",
        InputGrad,
        Single,
        Buffers,
        Rows { quads: 1, each: 4, down: 2, across: 32 },
    ),
    variant(
        "ops/packed/input_grad_8_columns",
        InputGrad,
        Single,
        Buffers,
        Rows { quads: 2, each: 1, down: 4, across: 16 },
    ),
    variant("ops/packed/input_grad_split", InputGrad, Single, Buffers, Split { slices: 4, across: 32 }),
    variant("ops/packed/input_grad_narrow", InputGrad, Single, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_h4_texels", InputGrad, Four, Texels, SOFTWARE),
    variant("ops/packed/input_grad_h4", InputGrad, Four, Buffers, GPU),
    variant("ops/packed/input_grad_h4_narrow", InputGrad, Four, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_h8_texels", InputGrad, Eight, Texels, SOFTWARE),
    variant("ops/packed/input_grad_h8", InputGrad, Eight, Buffers, GPU),
    variant("ops/packed/input_grad_h8_narrow", InputGrad, Eight, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_nm_lanes", InputGrad, Groups, Texels, LANES),
    variant("ops/packed/input_grad_nm_lanes_narrow", InputGrad, Groups, Bf16, LANES),
    variant("ops/packed/input_grad_nm_texels", InputGrad, Groups, Texels, SOFTWARE),
    variant("ops/packed/input_grad_nm", InputGrad, Groups, Buffers, GPU),
    variant("ops/packed/input_grad_nm_narrow", InputGrad, Groups, Bf16, SOFTWARE),
    variant("ops/packed/weight_grad_texels", WeightGrad, Single, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad", WeightGrad, Single, Buffers, Chunks { each: 4, wg: 64 }),
    variant("ops/packed/weight_grad_narrow", WeightGrad, Single, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_8_texels", WeightGrad, Single, Texels, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_8", WeightGrad, Single, Buffers, Chunks { each: 8, wg: 64 }),
    variant("ops/packed/weight_grad_8_narrow", WeightGrad, Single, Bf16, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_h4_lanes", WeightGrad, Four, Texels, LANES),
    variant("ops/packed/weight_grad_h4_texels", WeightGrad, Four, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h4", WeightGrad, Four, Buffers, Chunks { each: 4, wg: 64 }),
    variant("ops/packed/weight_grad_h4_narrow", WeightGrad, Four, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h8_lanes", WeightGrad, Eight, Texels, LANES),
    variant("ops/packed/weight_grad_h8_texels", WeightGrad, Eight, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h8", WeightGrad, Eight, Buffers, Chunks { each: 4, wg: 64 }),
    variant("ops/packed/weight_grad_h8_narrow", WeightGrad, Eight, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_nm_texels", WeightGrad, Groups, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_nm", WeightGrad, Groups, Buffers, Chunks { each: 4, wg: 64 }),
    variant("ops/packed/weight_grad_nm_narrow", WeightGrad, Groups, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_8_nm_texels", WeightGrad, Groups, Texels, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_8_nm", WeightGrad, Groups, Buffers, Chunks { each: 8, wg: 64 }),
    variant("ops/packed/weight_grad_8_nm_narrow", WeightGrad, Groups, Bf16, Chunks { each: 8, wg: 8 }),
];

impl Variant {
    /// Whether it reads bf16 operands. Its result may be bf16, too, or f32.
    pub fn narrow(&self) -> bool {
        self.reads == Bf16
    }
    /// Whether its lanes share entries: for devices with subgroups.
    pub fn shares_lanes(&self) -> bool {
        matches!(self.body, Lanes { .. })
    }
    /// Whether this is the plain way, that all others stand beside: entry after entry of a row from buffers, four columns an
    /// invocation.
    pub fn is_plain(&self) -> bool {
        self.reads == Buffers && matches!(self.body, GPU | Chunks { each: 4, .. })
    }
    /// Entries of a chunk, where it works on chunks; on whole rows where it is 0.
    pub(super) fn chunk(&self) -> usize {
        if let Chunks { each, .. } = self.body { each as usize } else { 0 }
    }

    /// A result as this variant's shader has it: where it can write bf16, words of either format.
    pub(super) fn bound(&self, result: &Tensor) -> Tensor {
        if self.narrow() && result.dtype() == Dtype::F32 { result.words() } else { result.clone() }
    }

    /// What is bound as `out` says whether the result is bf16.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        index: &Index,
        cols: usize,
        binds: &[(&str, Bind)],
    ) -> Result<()> {
        let is_bf16 = |bind: &Bind| matches!(bind, Bind::Tensor(out) if out.dtype() == Dtype::Bf16);
        let narrow = binds.iter().any(|(name, bind)| *name == "out" && is_bf16(bind));
        let kernel = if narrow { self.kernel().with(&[("NARROW", 1.0)]) } else { self.kernel() };
        let flops = 2 * (index.pattern.kept() * cols) as u64;
        rec.dispatch(&kernel, binds, self.groups(index, cols), flops)?;
        rec.moves(self.bytes(index, cols, narrow));
        Ok(())
    }

    /// Workgroups in the row: of a weight gradient, which adds up all columns, by lines alone.
    fn groups(&self, index: &Index, cols: usize) -> u64 {
        let lines = match (self.product, self.body) {
            (WeightGrad, Chunks { .. }) => index.chunks.len() / 2,
            (InputGrad, _) => index.pattern.inner,
            (Forward | WeightGrad, _) => index.pattern.heads(),
        };
        let (down, across) = match self.body {
            Rows { quads, each, down, across } => (down * each, 4 * across * quads),
            Lanes { quads, each } => (each, 4 * 8 * quads),
            Split { across, .. } => (1, 4 * across),
            Chunks { wg, .. } => (wg, 1),
        };
        let across = if self.product == WeightGrad { 1 } else { cols.div_ceil(across as usize) };
        (lines.div_ceil(down as usize) * across) as u64
    }

    /// Bytes that are moved at least: lists, values, operands and results, each once.
    fn bytes(&self, index: &Index, cols: usize, narrow: bool) -> u64 {
        let (rows, inner) = (index.pattern.rows * cols, index.pattern.inner * cols);
        let number = |narrow: bool| if narrow { 2 } else { 4 };
        let (operand, result) = (number(self.narrow()), number(narrow));
        let by_row = index.starts.bytes() + index.columns.bytes();
        let lists = match self.product {
            InputGrad => index.transposed.as_ref().map_or(0, Transposed::bytes),
            WeightGrad if self.chunk() > 0 => by_row + index.chunks.bytes(),
            Forward | WeightGrad => by_row,
        };
        let matrices = match self.product {
            Forward => operand * inner + result * rows,
            InputGrad => operand * (rows + inner) + result * inner, // x for the ReLU
            WeightGrad => operand * (rows + inner),
        };
        lists + 4 * index.pattern.kept() as u64 + matrices as u64
    }

    pub fn kernel(&self) -> Kernel {
        let kernel = match self.product {
            Forward => Kernel::own(self.source(), twin_forward),
            InputGrad => Kernel::own(self.source(), twin_input_grad),
            WeightGrad => Kernel::own(self.source(), twin_weight_grad),
        };
        kernel.variant([self.name, ""], &self.consts(), &self.parts()).proven()
    }

    /// The body's file.
    fn source(&self) -> Source {
        match (self.product, self.body) {
            (Forward, Lanes { .. }) => source!("ops/product/packed/forward_lanes"),
            (Forward, Split { .. }) => source!("ops/product/packed/forward_split"),
            (Forward, _) => source!("ops/product/packed/forward"),
            (InputGrad, Lanes { .. }) => source!("ops/product/packed/input_grad_lanes"),
            (InputGrad, Split { .. }) => source!("ops/product/packed/input_grad_split"),
            (InputGrad, _) => source!("ops/product/packed/input_grad"),
            (WeightGrad, Lanes { .. }) => source!("ops/product/packed/weight_grad_lanes"),
            (WeightGrad, _) => source!("ops/product/packed/weight_grad"),
        }
    }

    /// The constants that it leaves open. A load brings one quad of f32, or two of bf16.
    fn consts(&self) -> Vec<(&'static str, u32)> {
        let loads = |quads: u32| if self.narrow() { quads / 2 } else { quads };
        let mut all = vec![("HEIGHT", self.kind.height())];
        match self.body {
            Rows { quads, each, down, across } => {
                all.extend([("LOADS", loads(quads)), ("EACH", each), ("DOWN", down), ("ACROSS", across)]);
            }
            Lanes { quads, each } => all.extend([("LOADS", loads(quads)), ("EACH", each)]),
            Split { slices, across } => all.extend([("SLICES", slices), ("ACROSS", across)]),
            Chunks { each, wg } => all.extend([("EACH", each), ("WG", wg)]),
        }
        all
    }

    /// The parts that it leaves open: where entries lie, their values, operands and result.
    fn parts(&self) -> Vec<Source> {
        let entries = match self.kind {
            Groups => source!("ops/product/packed/entries_groups"),
            _ => source!("ops/product/packed/entries_list"),
        };
        let in_texels = self.reads != Buffers && self.kind.height() > 1;
        let values = match in_texels {
            true => source!("ops/product/packed/values_texels"),
            false => source!("ops/product/packed/values_scalars"),
        };
        let x = match self.reads {
            Buffers => source!("ops/product/x_quads"),
            Texels => source!("ops/product/x_texels"),
            Bf16 => source!("ops/product/x_bf16"),
        };
        let quads = source!("ops/product/packed/d_y_f32");
        let d_y = match self.reads {
            Buffers => vec![source!("ops/product/d_y_quads"), quads],
            Texels => vec![source!("ops/product/d_y_texels"), quads],
            Bf16 => vec![source!("ops/product/packed/d_y_bf16")],
        };
        let out = match self.reads {
            Bf16 => source!("ops/product/packed/out_bf16"),
            _ => source!("ops/product/packed/out_f32"),
        };
        match self.product {
            Forward => vec![entries, values, x, out],
            InputGrad => [vec![entries, values, x], d_y, vec![out]].concat(),
            WeightGrad => [vec![entries, x], d_y].concat(),
        }
    }
}
