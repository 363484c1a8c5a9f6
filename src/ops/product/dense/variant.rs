//! What a variant of a dense product is: what computes it, how it reads, and what it can do in bf16.

use super::super::variants::{Class, Product, Shape};
use super::super::window::{self, Window};
use super::super::{linear, slices};
use super::{FILL, LARGE, LARGEST, strip};
use crate::error::Result;
use crate::gpu::{Bind, Dtype, Kernel, Recorder, Source, Twin};
use crate::source;

/// What a kernel reads and writes; all else is f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Formats {
    /// The layer's input.
    pub x: Dtype,
    /// The input's gradient, which only that product has.
    pub d_x: Dtype,
}

pub(super) const WIDE: Formats = Formats { x: Dtype::F32, d_x: Dtype::F32 };
pub(super) const X: Formats = Formats { x: Dtype::Bf16, ..WIDE };
pub(super) const D_X: Formats = Formats { d_x: Dtype::Bf16, ..WIDE };
pub(super) const BOTH: Formats = Formats { x: Dtype::Bf16, d_x: Dtype::Bf16 };

/// What computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Sums in registers, so many by so many an invocation, for software adapters: rows by quads of columns, or quads of
    /// inputs by quads of columns, or rows by quads of inputs.
    Block(u32, u32),
    /// A weight gradient's sums in registers, rows by quads of inputs, with invocations side by side along the columns: for
    /// rows of few inputs on software adapters, and with one row for convolutions in groups.
    Across { rows: u32, inputs: u32, across: u32 },
    /// One invocation four columns of an output: for convolutions in groups.
    Direct,
    /// So many invocations a workgroup. Each makes so many sites side by side or, of a weight gradient, the workgroup a line
    /// of taps: for depthwise convolutions.
    Strip { sites: u32, lanes: u32 },
    /// Tiles through workgroup memory.
    Tile(Size),
    /// As tiles, with the depth cut into slices, where tiles alone would leave most of a GPU idle.
    Sliced(Size),
    /// One invocation an output: the yardstick.
    Plain,
}
use Body::{Across, Block, Direct, Plain, Sliced, Strip, Tile};

/// Lines and columns of a tile; an invocation's sums: lines by quads of columns; the depth that is taken at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub lines: u32,
    pub columns: u32,
    pub sums: u32,
    pub quads: u32,
    pub depth: u32,
}

pub(super) const fn size(lines: u32, columns: u32, sums: u32) -> Size {
    Size { lines, columns, sums, quads: 1, depth: slices::STEP as u32 }
}

/// How operands are read, and a weight's gradient is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Through textures, weights four inputs at a time.
    Texels,
    /// From buffers, weights four inputs at a time.
    Quads,
    /// From buffers, weights one by one: any number of inputs.
    Scalars,
}
use Reads::{Quads, Scalars, Texels};

/// One way to compute a product.
pub struct Variant {
    /// As choices name it.
    pub name: &'static str,
    pub product: Product,
    /// The devices that it is for.
    pub class: Class,
    pub(super) body: Body,
    pub(super) reads: Reads,
    /// What it reads and writes besides f32 alone: kernels of the same workgroups.
    pub(super) besides: &'static [Formats],
}

pub(super) const fn software(name: &'static str, product: Product, body: Body, reads: Reads) -> Variant {
    Variant { name, product, class: Class::Software, body, reads, besides: &[] }
}
pub(super) const fn gpu(name: &'static str, product: Product, body: Body, reads: Reads) -> Variant {
    Variant { class: Class::Gpu, ..software(name, product, body, reads) }
}
pub(super) const fn plain(name: &'static str, product: Product) -> Variant {
    Variant { class: Class::Any, ..software(name, product, Plain, Scalars) }
}

/// Of the window of a shape that strips fit.
fn kind_of(window: Option<Window>) -> strip::Kind {
    window.and_then(strip::Kind::of).expect("only shapes that it fits are asked for")
}

impl Variant {
    /// All that it can read and write: f32 alone first.
    pub(in super::super) fn formats(&self) -> impl Iterator<Item = Formats> {
        std::iter::once(WIDE).chain(self.besides.iter().copied())
    }
    pub fn kernels(&self) -> impl Iterator<Item = Kernel> {
        let is_strip = matches!(self.body, Strip { .. });
        let linear = self.formats().filter(move |_| !is_strip).map(|formats| self.kernel(formats, None));
        let windows = strip::ALL.into_iter().take(if is_strip { strip::ALL.len() } else { 1 });
        let slices = [None, Some(Window::of([1; 2], [1; 2]))].into_iter().filter_map(|w| self.adds_slices(w));
        linear.chain(windows.map(|kind| self.wide(Some(kind.window())))).chain(slices)
    }
    /// Whether others are held against it.
    pub(in crate::ops) fn is_plain(&self) -> bool {
        self.body == Plain
    }
    /// That of f32 alone, of a linear layer or of a convolution.
    pub(in crate::ops) fn wide(&self, window: Option<Window>) -> Kernel {
        self.kernel(WIDE, window)
    }
    /// Whether it can read and write that.
    pub(in super::super) fn has(&self, formats: Formats) -> bool {
        self.formats().any(|own| own == formats)
    }
    /// Whether it reads x as bf16 where x is.
    pub(in super::super) fn reads_narrow(&self) -> bool {
        self.has(X)
    }
    /// Whether it can do this shape at all.
    pub(in crate::ops) fn fits(&self, shape: Shape) -> bool {
        let in_groups = shape.window.is_some_and(|window| window.groups > 1);
        match self.body {
            Plain => true,
            Direct => in_groups,
            Strip { .. } => strip::fit(shape),
            Across { rows: 1, .. } => in_groups,
            _ if in_groups => false,
            // Blocks of a software adapter are 128 inputs: convolutions of few channels would leave most of them empty.
            Across { .. } if shape.window.is_some() => shape.inner <= 64,
            Across { inputs, .. } => shape.inner <= 4 * inputs as usize,
            _ if self.reads == Scalars => true,
            // A step of a tile lies within one tap.
            Tile(_) | Sliced(_) if shape.window.is_some() => {
                let depths = match self.product {
                    Product::Forward => shape.channels(),
                    Product::InputGrad => shape.rows,
                    Product::WeightGrad => slices::STEP,
                };
                depths.is_multiple_of(slices::STEP) && shape.channels().is_multiple_of(4)
            }
            _ => shape.channels().is_multiple_of(4),
        }
    }

    /// Whether it may be faster at this shape than those that do the same by other blocks.
    pub(super) fn may_pay(&self, shape: Shape) -> bool {
        match self.body {
            // As many sums as 16 rows of 128 inputs, where a quarter or half of those would be empty.
            Block(32, 2) if self.product == Product::WeightGrad => {
                shape.rows.div_ceil(16).is_multiple_of(2) && [1, 3].contains(&shape.inner.div_ceil(64))
            }
            _ => true,
        }
    }

    /// By the kernel for the formats of what is bound as `x` and `d_x`.
    ///
    /// # Panics
    /// If there is none for them: a fault of the caller, who can ask first.
    pub(in crate::ops) fn dispatch(
        &self,
        rec: &mut Recorder,
        binds: &[(&str, Bind)],
        shape: Shape,
    ) -> Result<()> {
        self.dispatch_part(rec, binds, shape, shape)
    }

    /// As [`Variant::dispatch`] for some rows of a matrix of shape `whole`: sums have the order that they have there.
    pub(in super::super) fn dispatch_part(
        &self,
        rec: &mut Recorder,
        binds: &[(&str, Bind)],
        shape: Shape,
        whole: Shape,
    ) -> Result<()> {
        let mut formats = WIDE;
        for (name, bind) in binds {
            match (*name, bind) {
                ("x", Bind::Tensor(x)) => formats.x = x.dtype(),
                ("d_x", Bind::Tensor(d_x)) => formats.d_x = d_x.dtype(),
                _ => {}
            }
        }
        let windowed = shape.window.is_some();
        debug_assert!(self.fits(shape), "{} cannot do {shape}", self.name);
        assert!(
            self.has(formats) && (!windowed || formats == WIDE),
            "{} has no kernel for {formats:?}",
            self.name
        );
        let kernel = self.kernel(formats, shape.window);
        let geometry = shape.window.map(|window| window.geometry(whole.rows, shape.channels(), shape.cols));
        let geometry = geometry.iter().map(|geometry| ("window", Bind::from(geometry)));
        let binds = &binds.iter().cloned().chain(geometry).collect::<Vec<_>>();
        match self.adds_slices(shape.window) {
            None => rec.dispatch(&kernel, binds, self.groups(shape), shape.flops()),
            Some(add) => {
                let cut = slices::Cut::of(self.product, whole, self.tiles(whole));
                slices::dispatch(rec, [kernel, add], binds, (self.product, shape), (self.tiles(shape), cut))
            }
        }
    }

    /// The kernel that adds up what slices of the depth came to.
    fn adds_slices(&self, window: Option<Window>) -> Option<Kernel> {
        let suffix = if window.is_some() { "_window:add_slices" } else { ":add_slices" };
        let kernel = || self.made(slices::sum_twin(self.product), suffix, WIDE, window).entry("add_slices");
        matches!(self.body, Sliced(_)).then(kernel)
    }
    /// Workgroups from which on it is taken on a GPU where nothing was measured.
    pub(super) fn wants(&self) -> u64 {
        match self.body {
            // Other workgroups of a unit hide its waits; this one has few beside it.
            LARGE => 4 * FILL,
            LARGEST => u64::MAX,
            _ => FILL,
        }
    }

    /// Workgroups in the row.
    pub fn groups(&self, shape: Shape) -> u64 {
        let tiles = self.tiles(shape);
        match self.body {
            Sliced(_) => tiles * u64::from(slices::Cut::of(self.product, shape, tiles).slices),
            _ => tiles,
        }
    }
    /// Tiles of the result. A workgroup of blocks is 8 invocations side by side.
    fn tiles(&self, shape: Shape) -> u64 {
        let (lines, across) = self.product.result(shape);
        let tile = match (self.body, self.product) {
            (Plain, _) => return (lines * across).div_ceil(64) as u64,
            (Strip { sites, lanes }, product) => return strip::groups(product, shape, [sites, lanes]),
            (Tile(size) | Sliced(size), _) => (size.lines, size.columns),
            (Block(inputs, quads), Product::InputGrad) => (4 * inputs, 32 * quads),
            (Direct, _) => return (lines * across / 4).div_ceil(64) as u64,
            (Across { rows, inputs, .. }, _) => (rows, 4 * inputs),
            (Block(rows, quads), _) => (rows, 32 * quads),
        };
        (lines.div_ceil(tile.0 as usize) * across.div_ceil(tile.1 as usize)) as u64
    }

    fn kernel(&self, formats: Formats, window: Option<Window>) -> Kernel {
        let windowed = window.is_some();
        let twin = match (self.body, self.product, windowed) {
            (Sliced(_), product, _) => slices::twin(product),
            (_, Product::Forward, false) => linear::twin_forward,
            (_, Product::InputGrad, false) => linear::twin_input_grad,
            (_, Product::WeightGrad, false) => linear::twin_weight_grad,
            (_, Product::Forward, true) => window::twin_forward,
            (_, Product::InputGrad, true) => window::twin_input_grad,
            (_, Product::WeightGrad, true) => window::twin_weight_grad,
        };
        let suffix = match (formats.x == Dtype::Bf16, formats.d_x == Dtype::Bf16) {
            (false, false) if matches!(self.body, Strip { .. }) => kind_of(window).suffix,
            (false, false) if windowed => "_window",
            (false, false) => "",
            (true, false) => "_x_bf16",
            (false, true) => "_d_x_bf16",
            (true, true) => "_x_d_x_bf16",
        };
        self.made(twin, suffix, formats, window)
    }
    fn made(
        &self,
        twin: fn(&Twin),
        suffix: &'static str,
        formats: Formats,
        window: Option<Window>,
    ) -> Kernel {
        let windowed = window.is_some();
        let (source, consts) = self.source(window);
        let sites =
            if windowed { source!("ops/product/sites_window") } else { source!("ops/product/sites_one") };
        let parts = [vec![sites], self.inputs(windowed), self.parts(formats)].concat();
        let kernel = Kernel::own(source, twin).variant([self.name, suffix], &consts, &parts);
        if self.body == Plain { kernel.entry(self.product.name()) } else { kernel.proven() }
    }

    /// The body's file, and the constants that it leaves open.
    fn source(&self, window: Option<Window>) -> (Source, Vec<(&'static str, u32)>) {
        match (self.body, self.product) {
            (Plain, _) => (source!("ops/product/plain"), vec![]),
            (Tile(size) | Sliced(size), product) => {
                let source = match product {
                    Product::Forward => source!("ops/product/forward_tile"),
                    Product::InputGrad => source!("ops/product/input_grad_tile"),
                    Product::WeightGrad => source!("ops/product/weight_grad_tile"),
                };
                let consts = vec![
                    ("LINES", size.lines),
                    ("COLUMNS", size.columns),
                    ("SUMS", size.sums),
                    ("QUADS", size.quads),
                    ("DEPTH", size.depth),
                ];
                (source, consts)
            }
            (Block(rows, quads), Product::Forward) => {
                (source!("ops/product/forward_block"), vec![("ROWS", rows), ("QUADS", quads)])
            }
            (Block(inputs, quads), Product::InputGrad) => {
                (source!("ops/product/input_grad_block"), vec![("INPUTS", inputs), ("QUADS", quads)])
            }
            (Direct, Product::Forward) => (source!("ops/product/forward_direct"), vec![("WG", 64)]),
            (Direct, _) => (source!("ops/product/input_grad_direct"), vec![("WG", 64)]),
            (Strip { sites, lanes }, product) => {
                let source = match product {
                    Product::Forward => source!("ops/product/forward_strip"),
                    Product::InputGrad => source!("ops/product/input_grad_strip"),
                    Product::WeightGrad => source!("ops/product/weight_grad_strip"),
                };
                let strip::Kind { kernel, stride, .. } = kind_of(window);
                let (kernel, stride) = (kernel as u32, stride as u32);
                (source, vec![("WG", lanes), ("SITES", sites), ("KERNEL", kernel), ("STRIDE", stride)])
            }
            (Across { rows, inputs, across }, _) => {
                let consts = vec![("ROWS", rows), ("INPUTS", inputs), ("ACROSS", across)];
                (source!("ops/product/weight_grad_across"), consts)
            }
            (Block(rows, inputs), Product::WeightGrad) => {
                (source!("ops/product/weight_grad_block"), vec![("ROWS", rows), ("INPUTS", inputs)])
            }
        }
    }

    /// How inputs and depths are walked through, where the body leaves it open.
    fn inputs(&self, windowed: bool) -> Vec<Source> {
        match (self.body, self.product) {
            (Block(..), Product::Forward) if windowed && self.reads == Scalars => {
                vec![source!("ops/product/inputs_flat")]
            }
            (Block(..), Product::Forward) => vec![source!("ops/product/inputs_by_tap")],
            (Tile(_) | Sliced(_), Product::WeightGrad) => vec![],
            (Tile(_) | Sliced(_), _) if windowed && self.reads == Quads => {
                vec![source!("ops/product/steps_of_taps")]
            }
            (Tile(_) | Sliced(_), _) => vec![source!("ops/product/steps_any")],
            _ => vec![],
        }
    }

    /// What the body leaves open besides sites: weights of all but the plain kernels, and of blocks the other operands.
    fn parts(&self, formats: Formats) -> Vec<Source> {
        let weight = match (self.product, self.reads) {
            (Product::WeightGrad, Scalars) => source!("ops/product/d_weight_scalars"),
            _ if matches!(self.body, Across { .. }) => source!("ops/product/d_weight_scalars"),
            (Product::WeightGrad, _) => source!("ops/product/d_weight_quads"),
            (_, Texels) if matches!(self.body, Strip { .. }) => source!("ops/product/weight_any_texels"),
            (_, Quads) if matches!(self.body, Strip { .. }) => source!("ops/product/weight_scalars"),
            (_, Texels) => source!("ops/product/weight_texels"),
            (_, Quads) => source!("ops/product/weight_quads"),
            (_, Scalars) => source!("ops/product/weight_scalars"),
        };
        let x = match self.reads {
            _ if formats.x == Dtype::Bf16 => source!("ops/product/x_bf16"),
            Texels => source!("ops/product/x_texels"),
            Quads | Scalars => source!("ops/product/x_quads"),
        };
        let d_y = match self.reads {
            Texels => source!("ops/product/d_y_texels"),
            Quads | Scalars => source!("ops/product/d_y_quads"),
        };
        let d_x = if formats.d_x == Dtype::Bf16 {
            source!("ops/product/d_x_bf16")
        } else {
            source!("ops/product/d_x_f32")
        };
        match (self.body, self.product) {
            (Plain, _) => vec![],
            (Tile(_), _) => vec![weight, source!("ops/product/tile_whole")],
            (Sliced(_), _) => vec![weight, source!("ops/product/tile_slices")],
            (Block(..), Product::Forward) => vec![weight, x],
            (Block(..), Product::InputGrad) => vec![weight, x, d_y, d_x],
            (Direct, _) => vec![],
            (Strip { .. }, Product::Forward) => vec![weight, x],
            (Strip { .. }, Product::InputGrad) => vec![weight, x, d_y],
            (Strip { .. }, Product::WeightGrad) => vec![x, d_y],
            (Block(..) | Across { .. }, _) => vec![weight, x, d_y],
        }
    }
}
