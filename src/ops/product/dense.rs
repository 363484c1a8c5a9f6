//! The variants of the dense products, as data: what computes them, how they read, and what they can do in bf16.

use super::linear::{twin_forward, twin_input_grad, twin_weight_grad};
use super::variants::{Product, Shape};
use crate::error::Result;
use crate::gpu::{Bind, Dtype, Gpu, Kernel, Recorder, Source};
use crate::source;

/// What a kernel reads and writes; all else is f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Formats {
    /// The layer's input.
    pub x: Dtype,
    /// The input's gradient, which only that product has.
    pub d_x: Dtype,
}

const WIDE: Formats = Formats { x: Dtype::F32, d_x: Dtype::F32 };
const X: Formats = Formats { x: Dtype::Bf16, ..WIDE };
const D_X: Formats = Formats { d_x: Dtype::Bf16, ..WIDE };
const BOTH: Formats = Formats { x: Dtype::Bf16, d_x: Dtype::Bf16 };

/// What computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Sums in registers, so many by so many an invocation, for software adapters: rows by quads of columns, or quads of
    /// inputs by quads of columns, or rows by quads of inputs.
    Block(u32, u32),
    /// 64 x 64 tiles through workgroup memory, for GPUs.
    Tile,
    /// One invocation an output: the yardstick.
    Plain,
}
use Body::{Block, Plain, Tile};

/// How operands are read, and a weight's gradient is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
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
    body: Body,
    reads: Reads,
    /// What it reads and writes besides f32 alone: kernels of the same workgroups.
    besides: &'static [Formats],
}

const fn variant(name: &'static str, product: Product, body: Body, reads: Reads) -> Variant {
    Variant { name, product, body, reads, besides: &[] }
}

/// All variants; of those that fit, the first of each product is the fixed default.
pub const ALL: &[Variant] = &[
    Variant { besides: &[X], ..variant("forward/16x4_texels", Product::Forward, Block(16, 4), Texels) },
    variant("forward/16x4_any", Product::Forward, Block(16, 4), Scalars),
    Variant { besides: &[X], ..variant("forward/10x2_texels", Product::Forward, Block(10, 2), Texels) },
    Variant { besides: &[X], ..variant("forward/32x4_texels", Product::Forward, Block(32, 4), Texels) },
    variant("forward/16x4", Product::Forward, Block(16, 4), Quads),
    variant("forward/tile", Product::Forward, Tile, Quads),
    variant("forward/tile_any", Product::Forward, Tile, Scalars),
    variant("forward/plain", Product::Forward, Plain, Scalars),
    Variant {
        besides: &[X, D_X, BOTH],
        ..variant("input_grad/4x4_texels", Product::InputGrad, Block(4, 4), Texels)
    },
    variant("input_grad/4x4_any", Product::InputGrad, Block(4, 4), Scalars),
    Variant { besides: &[X, D_X, BOTH], ..variant("input_grad/4x4", Product::InputGrad, Block(4, 4), Quads) },
    variant("input_grad/tile", Product::InputGrad, Tile, Quads),
    variant("input_grad/tile_any", Product::InputGrad, Tile, Scalars),
    variant("input_grad/plain", Product::InputGrad, Plain, Scalars),
    Variant {
        besides: &[X],
        ..variant("weight_grad/16x4_texels", Product::WeightGrad, Block(16, 4), Texels)
    },
    variant("weight_grad/16x4_any", Product::WeightGrad, Block(16, 4), Scalars),
    Variant {
        besides: &[X],
        ..variant("weight_grad/10x4_texels", Product::WeightGrad, Block(10, 4), Texels)
    },
    Variant {
        besides: &[X],
        ..variant("weight_grad/32x4_texels", Product::WeightGrad, Block(32, 4), Texels)
    },
    variant("weight_grad/16x4", Product::WeightGrad, Block(16, 4), Quads),
    variant("weight_grad/tile", Product::WeightGrad, Tile, Quads),
    variant("weight_grad/tile_any", Product::WeightGrad, Tile, Scalars),
    variant("weight_grad/plain", Product::WeightGrad, Plain, Scalars),
];

/// The variants that can do a product of this shape.
pub fn fitting(product: Product, shape: Shape) -> impl Iterator<Item = &'static Variant> {
    ALL.iter().filter(move |variant| variant.product == product && variant.fits(shape))
}

/// The yardstick of a product.
pub(super) fn plain(product: Product) -> &'static Variant {
    let is_it = |variant: &&Variant| variant.product == product && variant.body == Plain;
    ALL.iter().find(is_it).expect("every product has a plain kernel")
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

impl Variant {
    /// All that it can read and write: f32 alone first.
    pub(super) fn formats(&self) -> impl Iterator<Item = Formats> {
        std::iter::once(WIDE).chain(self.besides.iter().copied())
    }
    pub fn kernels(&self) -> impl Iterator<Item = Kernel> {
        self.formats().map(|formats| self.kernel(formats))
    }
    /// That of f32 alone.
    pub(in crate::ops) fn wide(&self) -> Kernel {
        self.kernel(WIDE)
    }
    /// Whether it can read and write that.
    pub(super) fn has(&self, formats: Formats) -> bool {
        self.formats().any(|own| own == formats)
    }
    /// Whether it reads x as bf16 where x is.
    pub(super) fn reads_narrow(&self) -> bool {
        self.has(X)
    }
    /// Whether it can do this shape at all.
    pub(in crate::ops) fn fits(&self, shape: Shape) -> bool {
        self.reads == Scalars || shape.inner.is_multiple_of(4)
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
        let mut formats = WIDE;
        for (name, bind) in binds {
            match (*name, bind) {
                ("x", Bind::Tensor(x)) => formats.x = x.dtype(),
                ("d_x", Bind::Tensor(d_x)) => formats.d_x = d_x.dtype(),
                _ => {}
            }
        }
        assert!(self.has(formats), "{} has no kernel for {formats:?}", self.name);
        rec.dispatch(&self.kernel(formats), binds, self.groups(shape), shape.flops())
    }

    /// Workgroups in the row. A workgroup of blocks is 8 invocations side by side.
    pub(in crate::ops) fn groups(&self, shape: Shape) -> u64 {
        let (lines, across) = match self.product {
            Product::Forward => (shape.rows, shape.cols),
            Product::InputGrad => (shape.inner, shape.cols),
            Product::WeightGrad => (shape.rows, shape.inner),
        };
        let tile = match (self.body, self.product) {
            (Plain, _) => return (lines * across).div_ceil(64) as u64,
            (Tile, _) => (64, 64),
            (Block(inputs, quads), Product::InputGrad) => (4 * inputs, 32 * quads),
            (Block(rows, quads), _) => (rows, 32 * quads),
        };
        (lines.div_ceil(tile.0 as usize) * across.div_ceil(tile.1 as usize)) as u64
    }

    fn kernel(&self, formats: Formats) -> Kernel {
        let (source, consts) = self.source();
        let kernel = match self.product {
            Product::Forward => Kernel::own(source, twin_forward),
            Product::InputGrad => Kernel::own(source, twin_input_grad),
            Product::WeightGrad => Kernel::own(source, twin_weight_grad),
        };
        let bf16 = match (formats.x == Dtype::Bf16, formats.d_x == Dtype::Bf16) {
            (false, false) => "",
            (true, false) => "_x_bf16",
            (false, true) => "_d_x_bf16",
            (true, true) => "_x_d_x_bf16",
        };
        let kernel = kernel.variant([self.name, bf16], &consts, &self.parts(formats));
        if self.body == Plain { kernel.entry(self.product.name()) } else { kernel.proven() }
    }

    /// The body's file, and the constants that it leaves open.
    fn source(&self) -> (Source, Vec<(&'static str, u32)>) {
        match (self.body, self.product) {
            (Plain, _) => (source!("ops/product/plain"), vec![]),
            (Tile, Product::Forward) => (source!("ops/product/forward_tile"), vec![]),
            (Tile, Product::InputGrad) => (source!("ops/product/input_grad_tile"), vec![]),
            (Tile, Product::WeightGrad) => (source!("ops/product/weight_grad_tile"), vec![]),
            (Block(rows, quads), Product::Forward) => {
                (source!("ops/product/forward_block"), vec![("ROWS", rows), ("QUADS", quads)])
            }
            (Block(inputs, quads), Product::InputGrad) => {
                (source!("ops/product/input_grad_block"), vec![("INPUTS", inputs), ("QUADS", quads)])
            }
            (Block(rows, inputs), Product::WeightGrad) => {
                (source!("ops/product/weight_grad_block"), vec![("ROWS", rows), ("INPUTS", inputs)])
            }
        }
    }

    /// What the body leaves open: weights of all but the plain kernels, and of blocks the other operands.
    fn parts(&self, formats: Formats) -> Vec<Source> {
        let weight = match (self.product, self.reads) {
            (Product::WeightGrad, Scalars) => source!("ops/product/d_weight_scalars"),
            (Product::WeightGrad, _) => source!("ops/product/d_weight_quads"),
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
            (Tile, _) => vec![weight],
            (Block(..), Product::Forward) => vec![weight, x],
            (Block(..), Product::InputGrad) => vec![weight, x, d_y, d_x],
            (Block(..), Product::WeightGrad) => vec![weight, x, d_y],
        }
    }
}
