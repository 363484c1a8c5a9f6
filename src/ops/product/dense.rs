//! The dense products: the table of their variants, and which of them serves a shape on a device.

use super::variants::{Class, Product, Shape};
use crate::gpu::Gpu;

mod strip;
mod variant;

use variant::Body::{Across, Block, Direct, Plain, Sliced, Strip, Tile};
pub(super) use variant::Formats;
use variant::Reads::{Quads, Scalars, Texels};
pub use variant::Variant;
use variant::{BOTH, Body, D_X, Size, X, gpu, plain, size, software};

/// 10.7 multiply-adds for each read of workgroup memory, and 12 KB of it.
const LARGE: Body = Tile(size(128, 64, 8));
/// As many a read, in 8 KB.
const MIDDLE: Body = Tile(size(64, 64, 8));
/// 8 a read, and four times the workgroups.
const SMALL: Body = Tile(size(32, 32, 4));
const SLICED: Body = Sliced(size(32, 32, 4));
const STRIP: Body = Strip { sites: 4, lanes: 64 };
/// 16 a read, and about 100 registers, or 180: whether that pays, measurements alone can tell.
const LARGEST: Body = Tile(Size { quads: 2, depth: 8, ..size(128, 128, 8) });

use Product::{Forward, InputGrad, WeightGrad};

/// All variants. On software adapters the first that fits is the fixed default; on GPUs the first that fills one.
pub const ALL: &[Variant] = &[
    Variant { besides: &[X], ..software("forward/16x4_texels", Forward, Block(16, 4), Texels) },
    software("forward/16x4_any", Forward, Block(16, 4), Scalars),
    Variant { besides: &[X], ..software("forward/10x2_texels", Forward, Block(10, 2), Texels) },
    Variant { besides: &[X], ..software("forward/32x4_texels", Forward, Block(32, 4), Texels) },
    software("forward/16x4", Forward, Block(16, 4), Quads),
    gpu("forward/tile_128x64", Forward, LARGE, Quads),
    gpu("forward/tile_64x64", Forward, MIDDLE, Quads),
    gpu("forward/tile_32x32", Forward, SMALL, Quads),
    gpu("forward/tile_slices", Forward, SLICED, Quads),
    gpu("forward/tile_128x128", Forward, LARGEST, Quads),
    gpu("forward/tile_64x64_any", Forward, MIDDLE, Scalars),
    gpu("forward/tile_32x32_any", Forward, SMALL, Scalars),
    software("forward/strip_texels", Forward, STRIP, Texels),
    gpu("forward/strip", Forward, STRIP, Quads),
    Variant { class: Class::Any, ..gpu("forward/direct", Forward, Direct, Quads) },
    plain("forward/plain", Forward),
    Variant { besides: &[X, D_X, BOTH], ..software("input_grad/4x4_texels", InputGrad, Block(4, 4), Texels) },
    software("input_grad/4x4_any", InputGrad, Block(4, 4), Scalars),
    Variant { besides: &[X, D_X, BOTH], ..software("input_grad/4x4", InputGrad, Block(4, 4), Quads) },
    gpu("input_grad/tile_128x64", InputGrad, LARGE, Quads),
    gpu("input_grad/tile_64x64", InputGrad, MIDDLE, Quads),
    gpu("input_grad/tile_32x32", InputGrad, SMALL, Quads),
    gpu("input_grad/tile_slices", InputGrad, SLICED, Quads),
    gpu("input_grad/tile_128x128", InputGrad, LARGEST, Quads),
    gpu("input_grad/tile_64x64_any", InputGrad, MIDDLE, Scalars),
    gpu("input_grad/tile_32x32_any", InputGrad, SMALL, Scalars),
    software("input_grad/strip_texels", InputGrad, STRIP, Texels),
    gpu("input_grad/strip", InputGrad, STRIP, Quads),
    Variant { class: Class::Any, ..gpu("input_grad/direct", InputGrad, Direct, Quads) },
    plain("input_grad/plain", InputGrad),
    software("weight_grad/8x3_across", WeightGrad, Across { rows: 8, inputs: 3, across: 8 }, Texels),
    Variant { besides: &[X], ..software("weight_grad/32x2_texels", WeightGrad, Block(32, 2), Texels) },
    Variant { besides: &[X], ..software("weight_grad/16x4_texels", WeightGrad, Block(16, 4), Texels) },
    software("weight_grad/16x4_any", WeightGrad, Block(16, 4), Scalars),
    Variant { besides: &[X], ..software("weight_grad/10x4_texels", WeightGrad, Block(10, 4), Texels) },
    Variant { besides: &[X], ..software("weight_grad/32x4_texels", WeightGrad, Block(32, 4), Texels) },
    software("weight_grad/16x4", WeightGrad, Block(16, 4), Quads),
    gpu("weight_grad/tile_128x64", WeightGrad, LARGE, Quads),
    gpu("weight_grad/tile_64x64", WeightGrad, MIDDLE, Quads),
    gpu("weight_grad/tile_32x32", WeightGrad, SMALL, Quads),
    gpu("weight_grad/tile_slices", WeightGrad, SLICED, Quads),
    gpu("weight_grad/tile_128x128", WeightGrad, LARGEST, Quads),
    gpu("weight_grad/tile_64x64_any", WeightGrad, MIDDLE, Scalars),
    gpu("weight_grad/tile_32x32_any", WeightGrad, SMALL, Scalars),
    software("weight_grad/strip_texels", WeightGrad, Strip { sites: 4, lanes: 8 }, Texels),
    gpu("weight_grad/strip", WeightGrad, STRIP, Quads),
    software("weight_grad/1x3_across", WeightGrad, Across { rows: 1, inputs: 3, across: 8 }, Texels),
    gpu("weight_grad/1x2_across_64", WeightGrad, Across { rows: 1, inputs: 2, across: 64 }, Quads),
    plain("weight_grad/plain", WeightGrad),
];

/// Workgroups that occupy a GPU: about as many as a large one has units.
pub const FILL: u64 = 120;

/// The variants that can do a product of this shape, on whatever device.
pub fn fitting(product: Product, shape: Shape) -> impl DoubleEndedIterator<Item = &'static Variant> {
    ALL.iter().filter(move |variant| variant.product == product && variant.fits(shape))
}

/// Those of them that are for this device, and may pay.
pub fn suitable(
    gpu: &Gpu,
    product: Product,
    shape: Shape,
) -> impl DoubleEndedIterator<Item = &'static Variant> + use<> {
    let software = gpu.is_software();
    fitting(product, shape).filter(move |variant| variant.class.suits(software) && variant.may_pay(shape))
}

/// What computes a product where nothing was measured: on a software adapter the first that is suitable. On a GPU the first
/// whose tiles are as many as it wants at least, or else the one with the most workgroups.
pub fn default(gpu: &Gpu, product: Product, shape: Shape) -> &'static Variant {
    if gpu.is_software() {
        return suitable(gpu, product, shape).next().expect("the plain variants fit every shape");
    }
    let tiles = || suitable(gpu, product, shape).filter(|variant| variant.body != Plain);
    let filling = tiles().find(|variant| variant.groups(shape) >= variant.wants());
    let most = || tiles().rev().max_by_key(|variant| variant.groups(shape));
    filling.or_else(most).expect("tiles that read one by one fit every shape")
}

/// The yardstick of a product.
pub(super) fn yardstick(product: Product) -> &'static Variant {
    let is_it = |variant: &&Variant| variant.product == product && variant.body == Plain;
    ALL.iter().find(is_it).expect("every product has a plain kernel")
}

/// Whether all of a layer's dense products, of these shapes, can read its input as bf16, so that it need not be there as f32:
/// whichever variants are the fastest, since numbers depend on it. `feeds_back` says whether the input gradient is one of
/// them. Only software adapters have kernels for it, and the twin does as they do.
pub fn read_narrow(gpu: &Gpu, shapes: &[Shape], feeds_back: bool) -> bool {
    let asked = |product: &Product| feeds_back || *product != Product::InputGrad;
    let can = |product, shape: &Shape| {
        shape.window.is_none() && fitting(product, *shape).any(|variant| variant.has(X))
    };
    let all = |shape| Product::ALL.into_iter().filter(asked).all(|product| can(product, shape));
    gpu.is_software() && shapes.iter().all(all)
}
