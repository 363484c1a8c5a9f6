//! Patches of an image as the steps of a sequence, as a ViT reads them.   Dosovitskiy et al. 2021.
//!
//! The channels of a step are (channel of the image, row, column), as those of a convolution's weight in PyTorch are.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/patches.wgsl`.
    pub struct Args { quads: u32, batch_quads: u32, height: u32, width: u32, size: u32 }
}

const FORWARD: Kernel = Kernel::own(source!("ops/patches"), twin_forward).entry("forward").proven();
/// By whether the gradient is added.
const BACKWARD: [Kernel; 2] = [
    Kernel::own(source!("ops/patches"), |t| twin_backward(t, false)).entry("backward").proven(),
    Kernel::own(source!("ops/patches"), |t| twin_backward(t, true))
        .entry("backward")
        .with(&[("ADDS", 1.0)])
        .proven(),
];
const WG: usize = 256;

/// An image's sites, and the patches that they are cut into: both are multiples of the patch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patches {
    pub sites: [usize; 2],
    pub patch: usize,
    pub batch: usize,
}

impl Patches {
    fn args(&self, x: &Tensor) -> Args {
        let [height, width] = self.sites.map(|sites| sites as u32);
        Args {
            quads: (x.len() / 4) as u32,
            batch_quads: (self.batch / 4) as u32,
            height,
            width,
            size: self.patch as u32,
        }
    }

    /// `y` (channels patch patch, patches batch) has the numbers of `x` (channels, height width batch).
    pub fn record_forward(&self, rec: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        let binds = bind! { args: &self.args(x), x: x, y: y };
        rec.dispatch(&FORWARD, binds, groups(x.len() / 4, WG), 0)
    }
    /// The other way, or `+=` if `adds`.
    pub fn record_backward(&self, rec: &mut Recorder, d_y: &Tensor, d_x: &Tensor, adds: bool) -> Result<()> {
        let binds = bind! { args: &self.args(d_x), d_y: d_y, d_x: d_x };
        rec.dispatch(&BACKWARD[usize::from(adds)], binds, groups(d_x.len() / 4, WG), 0)
    }
}

/// By number of x, which of y that is.
fn in_y(args: &Args) -> impl Iterator<Item = usize> {
    let [batch, height, width, patch] =
        [4 * args.batch_quads, args.height, args.width, args.size].map(|number| number as usize);
    (0..4 * args.quads as usize).map(move |i| {
        let [channel, row, column] =
            [i / batch / width / height, i / batch / width % height, i / batch % width];
        let tap = (channel * patch + row % patch) * patch + column % patch;
        let step = row / patch * (width / patch) + column / patch;
        (tap * (height / patch) * (width / patch) + step) * batch + i % batch
    })
}

fn twin_forward(t: &Twin) {
    let (x, mut y) = (t.f32("x"), t.f32_mut("y"));
    in_y(&t.get("args")).zip(x.iter()).for_each(|(at, &x)| y[at] = x);
}

fn twin_backward(t: &Twin, adds: bool) {
    let (d_y, mut d_x) = (t.f32("d_y"), t.f32_mut("d_x"));
    for (at, d_x) in in_y(&t.get("args")).zip(d_x.iter_mut()) {
        *d_x = if adds { *d_x + d_y[at] } else { d_y[at] };
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/patches", |t: &mut Trial, n| {
        let (patch, batch) = (1 + n % 3, 4 * (1 + n % 2));
        let own = Patches { sites: [2 * patch, 3 * patch], patch, batch };
        let (image, steps) = ([n, 6 * patch * patch * batch], [n * patch * patch, 6 * batch]);
        let (x, d_y) = (t.input("x", &image)?, t.input("d_y", &steps)?);
        let (y, d_x) = (t.output("y", &steps, Tolerance::EXACT)?, t.output("d_x", &image, Tolerance::EXACT)?);
        let more = t.input("more", &image)?;
        t.compare(&more, Tolerance::EXACT);
        own.record_forward(&mut t.rec, &x, &y)?;
        own.record_backward(&mut t.rec, &d_y, &d_x, false)?;
        own.record_backward(&mut t.rec, &d_y, &more, true)
    })]
}
