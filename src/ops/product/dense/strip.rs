//! Strips: depthwise convolutions, a few sites side by side an invocation.

use super::super::variants::{Product, Shape};
use super::super::window::Window;

/// Kernels that there are strips for: the side and the stride are constants of the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub kernel: usize,
    pub stride: usize,
    /// What the name of the shader's kernel ends with.
    pub suffix: &'static str,
}

const fn kind(kernel: usize, stride: usize, suffix: &'static str) -> Kind {
    Kind { kernel, stride, suffix }
}

pub const ALL: [Kind; 6] = [
    kind(3, 1, "_3"),
    kind(3, 2, "_3_by_2"),
    kind(5, 1, "_5"),
    kind(5, 2, "_5_by_2"),
    kind(7, 1, "_7"),
    kind(7, 2, "_7_by_2"),
];

impl Kind {
    /// That of a convolution, if there is one.
    pub fn of(window: Window) -> Option<Self> {
        let same = |kind: &Self| window.kernel == [kind.kernel; 2] && window.stride == kind.stride;
        ALL.into_iter().find(|kind| same(kind) && window.dilation == 1)
    }
    /// A convolution that has it.
    pub fn window(self) -> Window {
        Window { stride: self.stride, ..Window::of([self.kernel; 2], [self.kernel; 2]) }
    }
}

/// Whether strips can do a product of this shape.
pub fn fit(shape: Shape) -> bool {
    let known = |window: &Window| window.groups > 1 && Kind::of(*window).is_some();
    shape.channels() == 1 && shape.window.as_ref().is_some_and(known)
}

/// Workgroups of a product by strips of so many sites, by so many invocations each.
pub fn groups(product: Product, shape: Shape, [sites, lanes]: [u32; 2]) -> u64 {
    let (lines, across) = product.result(shape);
    let [sites, lanes] = [sites, lanes].map(|number| number as usize);
    let Some(window) = shape.window else {
        // Asked to know how much a workgroup makes, by a shape that has no convolution: lines of 5 taps, or whole strips.
        let each = if product == Product::WeightGrad { 5 } else { 4 * sites * lanes };
        return (lines * across).div_ceil(each) as u64;
    };
    let [height, width] = if product == Product::Forward { window.out() } else { window.sites };
    let strips = height * width.div_ceil(sites) * window.batch(shape.cols) / 4;
    let groups = match product {
        Product::WeightGrad => lines * window.kernel[0],
        _ => (lines * strips).div_ceil(lanes),
    };
    groups as u64
}
