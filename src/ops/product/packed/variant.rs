//! What a variant of a packed product is: what computes it, for which form and class of devices, and how it reads.

use super::Form;
use super::index::{Index, Transposed};
use super::products;
use super::twins::{twin_forward, twin_input_grad, twin_weight_grad};
use crate::error::Result;
use crate::gpu::{Bind, Dtype, Kernel, Recorder, Source, Tensor};
use crate::ops::variants::Class;
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
            Form::Block { .. } | Form::Tile { .. } | Form::Parts { .. } => None,
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
pub(super) enum Body {
    /// An invocation makes so many quads of columns; a workgroup has `down` by `across` of them.
    Rows { quads: u32, each: u32, down: u32, across: u32 },
    /// Entries are shared by the 8 lanes of a workgroup, which need subgroups.
    Lanes { quads: u32, each: u32 },
    /// The entries of a row (or input) are dealt to so many invocations.
    Split { slices: u32, across: u32 },
    /// So many entries at a time: one wait for memory serves them all. A workgroup has `down` by `across` invocations.
    Rounds { round: u32, quads: u32, down: u32, across: u32 },
    /// Entries are read side by side by the invocations of a subgroup, whatever its size; one row a workgroup.
    Shared { round: u32, across: u32 },
    /// A weight gradient's entries, a chunk an invocation.
    Chunks { each: u32, wg: u32 },
    /// A weight gradient's entries, a chunk for `across` invocations side by side along the columns; `down` chunks a
    /// workgroup.
    Columns { each: u32, down: u32, across: u32 },
    /// As `Columns`, one chunk a workgroup, whose sums are added up within subgroups of whatever size.
    Subgroups { each: u32, across: u32 },
}
use Body::{Chunks, Columns, Lanes, Rounds, Rows, Shared, Split, Subgroups};

/// One entry after another, one quad an invocation.
pub(super) const PLAIN: Body = Rows { quads: 1, each: 1, down: 2, across: 32 };
pub(super) const PLAIN_CHUNKS: Body = Chunks { each: 4, wg: 64 };
/// How operands are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// As f32 from buffers: for GPUs.
    Buffers,
    /// As f32 through textures: for software adapters.
    Texels,
    /// As bf16 through textures: for software adapters.
    Bf16,
    /// As bf16 from buffers: for GPUs.
    Words,
}
use Reads::{Bf16, Buffers, Texels, Words};

/// One way to compute a product of a packed weight.
pub struct Variant {
    /// As choices name it.
    pub name: &'static str,
    pub product: Product,
    /// The devices that it is for.
    pub class: Class,
    pub(super) kind: Kind,
    reads: Reads,
    body: Body,
}

pub(super) const fn variant(
    name: &'static str,
    product: Product,
    kind: Kind,
    reads: Reads,
    body: Body,
) -> Variant {
    let class = match (reads, body) {
        (Texels | Bf16, _) => Class::Software,
        (Buffers | Words, PLAIN | PLAIN_CHUNKS) => Class::Any,
        (Buffers | Words, _) => Class::Gpu,
    };
    Variant { name, product, class, kind, reads, body }
}

impl Variant {
    /// Whether it reads bf16 operands. Its result may be bf16, too, or f32.
    pub fn narrow(&self) -> bool {
        matches!(self.reads, Bf16 | Words)
    }
    /// Whether its lanes tell each other their numbers: for devices with subgroups.
    pub fn shares_lanes(&self) -> bool {
        matches!(self.body, Lanes { .. } | Subgroups { .. } | Shared { .. })
    }
    /// Whether this is the plain way, that all others stand beside: entry after entry of a row from buffers, four columns an
    /// invocation.
    pub fn is_plain(&self) -> bool {
        self.class == Class::Any
    }
    /// Entries of a chunk, where it works on chunks; on whole rows where it is 0.
    pub(super) fn chunk(&self) -> usize {
        match self.body {
            Chunks { each, .. } | Columns { each, .. } | Subgroups { each, .. } => each as usize,
            _ => 0,
        }
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
        let kernel = self.kernel(index.slid.is_some());
        let kernel = if narrow { kernel.with(&[("NARROW", 1.0)]) } else { kernel };
        let span = index.window().map(|window| products::span(window, self.product, cols));
        let span = span.iter().map(|span| ("span", Bind::from(span)));
        let binds = &binds.iter().cloned().chain(span).collect::<Vec<_>>();
        let flops = 2 * (index.pattern.kept() * cols) as u64;
        rec.dispatch(&kernel, binds, self.groups(index, cols), flops)?;
        rec.moves(self.bytes(index, cols, narrow));
        Ok(())
    }

    /// Workgroups in the row: of a weight gradient, which adds up all columns, by lines alone.
    fn groups(&self, index: &Index, cols: usize) -> u64 {
        let lines = match (self.product, self.body) {
            (WeightGrad, Chunks { .. } | Columns { .. } | Subgroups { .. }) => index.chunks.len() / 2,
            (InputGrad, _) => index.lines(),
            (Forward | WeightGrad, _) => index.pattern.heads(),
        };
        let (down, across) = match self.body {
            Rows { quads, each, down, across } => (down * each, 4 * across * quads),
            Rounds { down, across, quads, .. } => (down, 4 * across * quads.max(self.quads_of_a_load())),
            Lanes { quads, each } => (each, 4 * 8 * quads),
            Split { across, .. } => (1, 4 * across),
            Shared { across, .. } => (1, 4 * across * self.quads_of_a_load()),
            Chunks { wg, .. } => (wg, 1),
            Columns { down, .. } => (down, 1),
            Subgroups { .. } => (1, 1),
        };
        let across = if self.product == WeightGrad { 1 } else { cols.div_ceil(across as usize) };
        (lines.div_ceil(down as usize) * across) as u64
    }

    /// Bytes that are moved at least: lists, values, operands and results, each once.
    fn bytes(&self, index: &Index, cols: usize, narrow: bool) -> u64 {
        let window = index.window();
        let (y_cols, x_cols) = match self.product {
            InputGrad => (window.map_or(cols, |window| window.y_cols(cols)), cols),
            _ => (cols, window.map_or(cols, |window| window.x_cols(cols))),
        };
        let (rows, inner) = (index.pattern.rows * y_cols, index.lines() * x_cols);
        let number = |narrow: bool| if narrow { 2 } else { 4 };
        let (operand, result) = (number(self.narrow()), number(narrow));
        let by_row = index.starts.bytes() + index.reads().bytes();
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

    /// Whether it serves convolutions, too.
    pub(super) fn slides(&self) -> bool {
        self.kind != Groups
    }
    /// Its kernels: that of linear layers, and that of convolutions.
    pub fn kernels(&self) -> impl Iterator<Item = Kernel> {
        let slid = self.slides().then(|| self.kernel(true));
        std::iter::once(self.kernel(false)).chain(slid)
    }
    pub fn kernel(&self, windowed: bool) -> Kernel {
        let kernel = match self.product {
            Forward => Kernel::own(self.source(), twin_forward),
            InputGrad => Kernel::own(self.source(), twin_input_grad),
            WeightGrad => Kernel::own(self.source(), twin_weight_grad),
        };
        let sites = match windowed {
            true => source!("ops/product/packed/sites_window"),
            false => source!("ops/product/packed/sites_one"),
        };
        let parts = [vec![sites], self.parts()].concat();
        let suffix = if windowed { "_window" } else { "" };
        kernel.variant([self.name, suffix], &self.consts(), &parts).proven()
    }

    /// The body's file.
    fn source(&self) -> Source {
        match (self.product, self.body) {
            (Forward, Lanes { .. }) => source!("ops/product/packed/forward_lanes"),
            (Forward, Split { .. }) => source!("ops/product/packed/forward_split"),
            (Forward, Shared { .. }) => source!("ops/product/packed/forward_shared"),
            (Forward, Rounds { .. }) => source!("ops/product/packed/forward_rounds"),
            (Forward, _) => source!("ops/product/packed/forward"),
            (InputGrad, Lanes { .. }) => source!("ops/product/packed/input_grad_lanes"),
            (InputGrad, Split { .. }) => source!("ops/product/packed/input_grad_split"),
            (InputGrad, Shared { .. }) => source!("ops/product/packed/input_grad_shared"),
            (InputGrad, Rounds { .. }) => source!("ops/product/packed/input_grad_rounds"),
            (InputGrad, _) => source!("ops/product/packed/input_grad"),
            (WeightGrad, Lanes { .. }) => source!("ops/product/packed/weight_grad_lanes"),
            (WeightGrad, Columns { .. } | Subgroups { .. }) => {
                source!("ops/product/packed/weight_grad_columns")
            }
            (WeightGrad, _) => source!("ops/product/packed/weight_grad"),
        }
    }

    fn quads_of_a_load(&self) -> u32 {
        if self.narrow() { 2 } else { 1 }
    }

    /// The constants that it leaves open. A load brings one quad of f32, or two of bf16.
    fn consts(&self) -> Vec<(&'static str, u32)> {
        let loads = |quads: u32| quads / self.quads_of_a_load();
        let mut all = vec![("HEIGHT", self.kind.height())];
        match self.body {
            Rows { quads, each, down, across } => {
                all.extend([("LOADS", loads(quads)), ("EACH", each), ("DOWN", down), ("ACROSS", across)]);
            }
            Lanes { quads, each } => all.extend([("LOADS", loads(quads)), ("EACH", each)]),
            Shared { round, across } => all.extend([("ROUND", round), ("ACROSS", across)]),
            Split { slices, across } => all.extend([("SLICES", slices), ("ACROSS", across)]),
            Rounds { round, quads, down, across } => {
                let loads = loads(quads).max(1);
                all.extend([("ROUND", round), ("LOADS", loads), ("DOWN", down), ("ACROSS", across)]);
            }
            Chunks { each, wg } => all.extend([("EACH", each), ("WG", wg)]),
            Columns { each, down, across } => {
                all.extend([("EACH", each), ("DOWN", down), ("ACROSS", across)]);
            }
            Subgroups { each, across } => all.extend([("EACH", each), ("DOWN", 1), ("ACROSS", across)]),
        }
        all
    }

    /// How the invocations of a chunk add up what they have.
    fn sums_across(&self) -> Vec<Source> {
        match self.body {
            Columns { .. } => vec![source!("ops/product/packed/across_memory")],
            Subgroups { .. } => vec![source!("ops/product/packed/across_subgroups")],
            _ => vec![],
        }
    }

    /// The parts that it leaves open: where entries lie, their values, operands and result.
    fn parts(&self) -> Vec<Source> {
        let entries = match self.kind {
            Groups => source!("ops/product/packed/entries_groups"),
            _ => source!("ops/product/packed/entries_list"),
        };
        let in_texels = matches!(self.reads, Texels | Bf16) && self.kind.height() > 1;
        let values = match in_texels {
            true => source!("ops/product/packed/values_texels"),
            false => source!("ops/product/packed/values_scalars"),
        };
        let x = match self.reads {
            Buffers => source!("ops/product/x_quads"),
            Texels => source!("ops/product/x_texels"),
            Bf16 => source!("ops/product/x_bf16"),
            Words => source!("ops/product/x_words"),
        };
        let quads = source!("ops/product/packed/d_y_f32");
        let d_y = match self.reads {
            Buffers => vec![source!("ops/product/d_y_quads"), quads],
            Texels => vec![source!("ops/product/d_y_texels"), quads],
            Bf16 => vec![source!("ops/product/packed/d_y_bf16")],
            Words => vec![source!("ops/product/packed/d_y_words")],
        };
        let out = match self.reads {
            Bf16 | Words => source!("ops/product/packed/out_bf16"),
            _ => source!("ops/product/packed/out_f32"),
        };
        match self.product {
            Forward => vec![entries, values, x, out],
            InputGrad => [vec![entries, values, x], d_y, vec![out]].concat(),
            WeightGrad => [vec![entries, x], d_y, self.sums_across()].concat(),
        }
    }
}
