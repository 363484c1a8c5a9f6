//! Images with zeros around and between their sites, so that who reads them need not ask what lies inside.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/border.wgsl`.
    struct Args {
        channels: u32, height: u32, width: u32, y_height: u32, y_width: u32, first: u32, step: u32, run: u32
    }
}

const KERNEL: Kernel = Kernel::own(source!("ops/border"), twin).proven();
const WG: usize = 64;

/// Where the sites of an image lie in a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Height and width of the image.
    pub image: [usize; 2],
    /// Height and width of the grid.
    pub sites: [usize; 2],
    /// Row and column of the image's first site.
    pub first: usize,
    /// Sites of the grid from one site of the image to the next.
    pub step: usize,
}

impl Grid {
    /// Whether it is the image itself.
    pub fn is_plain(&self) -> bool {
        self.image == self.sites
    }
    /// Sites of a channel.
    pub fn len(&self) -> usize {
        self.sites[0] * self.sites[1]
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The shape of a grid of the channels of x, an image (channels, sites * batch).
    pub fn shape(&self, x: &[usize]) -> [usize; 2] {
        [x[0], x[1] / (self.image[0] * self.image[1]) * self.len()]
    }
    /// A tensor for the grid of x.
    pub fn tensor(&self, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
        gpu.tensor(&format!("{} with borders", x.label()), x.dtype(), &self.shape(&x.shape))
    }
}

/// Copies x, an image (channels, sites * batch), to `y`, its grid: f32 or bf16. A row of samples has a multiple of 16 bytes.
pub fn record(rec: &mut Recorder, grid: Grid, x: &Tensor, y: &Tensor) -> Result<()> {
    let numbers = if x.dtype() == Dtype::Bf16 { 8 } else { 4 };
    let batch = x.shape[1] / (grid.image[0] * grid.image[1]);
    let args = Args {
        channels: x.shape[0] as u32,
        height: grid.image[0] as u32,
        width: grid.image[1] as u32,
        y_height: grid.sites[0] as u32,
        y_width: grid.sites[1] as u32,
        first: grid.first as u32,
        step: grid.step as u32,
        run: (batch / numbers) as u32,
    };
    let groups = groups(y.len() / numbers, WG);
    let (x, y) = (&x.words(), &y.words());
    rec.dispatch(&KERNEL, bind! { args: &args, x: x, y: y }, groups, 0)
}

fn twin(t: &Twin) {
    let (args, x) = (t.get::<Args>("args"), t.u32("x"));
    let [height, width, y_height, y_width] =
        [args.height, args.width, args.y_height, args.y_width].map(|n| n as usize);
    let run = 4 * args.run as usize;
    let mut y = t.u32_mut("y");
    y.fill(0);
    for channel in 0..args.channels as usize {
        for (h, w) in (0..height).flat_map(|h| (0..width).map(move |w| (h, w))) {
            let at = |n: usize| args.first as usize + n * args.step as usize;
            let from = ((channel * height + h) * width + w) * run;
            let to = ((channel * y_height + at(h)) * y_width + at(w)) * run;
            y[to..to + run].copy_from_slice(&x[from..from + run]);
        }
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/border", check)]
}

fn check(t: &mut Trial, size: usize) -> Result<()> {
    for (channels, image, sites, first, step) in
        [(size, [3, 2], [7, 6], 1, 2), (2, [size + 1, 2], [size + 5, 6], 2, 1), (1, [2, 3], [2, 3], 0, 1)]
    {
        let grid = Grid { image, sites, first, step };
        let x = t.bits("x", channels * image[0] * image[1] * 8)?;
        let x = x.first(&[channels, image[0] * image[1] * 8]);
        let y = grid.tensor(&t.gpu, &x)?;
        t.compare(&y, Tolerance::EXACT);
        record(&mut t.rec, grid, &x, &y)?;
    }
    Ok(())
}
