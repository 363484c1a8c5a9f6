//! The geometry of a convolution: which sites of its input each of its outputs reads.

use std::fmt;

use super::linear::Args;
use super::variants::Shape;
use crate::gpu::Twin;
use crate::ops::border::Grid;
use crate::ops::relu::rectified;
use crate::wgsl_struct;

/// What a convolution's weight (rows, taps, channels) is slid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Height and width of the input.
    pub sites: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    pub stride: usize,
    /// Sites of zeros around the input.
    pub padding: usize,
    /// Sites from one tap to the next.
    pub dilation: usize,
    /// Parts that channels and rows are cut into: a row reads the channels of its own.
    pub groups: usize,
    /// Rows of the weight before the first one that is computed with.
    pub skip: usize,
}

wgsl_struct! {
    /// See `shaders/ops/product/sites_window.wgsl`.
    pub(super) struct Geometry {
        channels: u32, groups: u32, group_rows: u32, skip: u32, height: u32, width: u32, out_height: u32, out_width: u32, kernel_height: u32, kernel_width: u32,
        stride: u32, padding: u32, dilation: u32, quads: u32
    }
}

impl Window {
    /// A kernel that is slid over every site, with nothing around.
    pub const fn of(sites: [usize; 2], kernel: [usize; 2]) -> Self {
        Self { sites, kernel, stride: 1, padding: 0, dilation: 1, groups: 1, skip: 0 }
    }
    /// Positions of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
    /// Height and width of the output; 0 where the kernel does not fit.
    pub fn out(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let reach = (self.kernel[axis] - 1) * self.dilation + 1;
            let room = self.sites[axis] + 2 * self.padding;
            if room < reach { 0 } else { (room - reach) / self.stride + 1 }
        })
    }
    /// Samples of a batch that has so many columns in the output.
    pub fn batch(&self, cols: usize) -> usize {
        let [height, width] = self.out();
        cols / (height * width)
    }
    /// Columns of the input where the output has so many.
    pub fn x_cols(&self, cols: usize) -> usize {
        self.sites[0] * self.sites[1] * self.batch(cols)
    }
    /// `rows`: of the whole weight.
    pub(super) fn geometry(&self, rows: usize, channels: usize, cols: usize) -> Geometry {
        let [out_height, out_width] = self.out();
        let (sites, kernel) = (self.sites.map(|n| n as u32), self.kernel.map(|n| n as u32));
        Geometry {
            channels: channels as u32,
            groups: self.groups as u32,
            group_rows: (rows / self.groups) as u32,
            skip: self.skip as u32,
            height: sites[0],
            width: sites[1],
            out_height: out_height as u32,
            out_width: out_width as u32,
            kernel_height: kernel[0],
            kernel_width: kernel[1],
            stride: self.stride as u32,
            padding: self.padding as u32,
            dilation: self.dilation as u32,
            quads: (self.batch(cols) / 4) as u32,
        }
    }
    /// Columns of the output where the input has so many.
    pub fn y_cols(&self, x_cols: usize) -> usize {
        let [height, width] = self.out();
        x_cols / (self.sites[0] * self.sites[1]) * height * width
    }
    /// The grid of the input: what the taps reach.
    pub fn x_grid(&self) -> Grid {
        let sites = self.sites.map(|n| n + 2 * self.padding);
        Grid { image: self.sites, sites, first: self.padding, step: 1 }
    }
    /// The grid of the output's gradient: what the input gradient's taps reach, with the sites as far apart as they are in
    /// the input.
    pub fn y_grid(&self) -> Grid {
        let first = self.margin();
        let sites = [0, 1].map(|axis| self.sites[axis] + self.padding + first);
        let reach = self.out().map(|n| first + (n - 1) * self.stride + 1);
        Grid {
            image: self.out(),
            sites: [0, 1].map(|axis| sites[axis].max(reach[axis])),
            first,
            step: self.stride,
        }
    }
    /// How far before the first output an input's taps reach.
    fn margin(&self) -> usize {
        let reach = self.kernel.iter().max().map_or(0, |kernel| (kernel - 1) * self.dilation);
        reach.saturating_sub(self.padding)
    }
    /// The site of the input's grid, counted through all channels, that the first output reads by a tap.
    pub fn x_offset(&self, tap: usize, channel: usize) -> usize {
        let grid = self.x_grid();
        let [down, across] = [tap / self.kernel[1], tap % self.kernel[1]].map(|n| n * self.dilation);
        channel * grid.len() + down * grid.sites[1] + across
    }
    /// The site of the gradient's grid, counted through all rows, that the first input's gradient reads by a tap.
    pub fn y_offset(&self, tap: usize, row: usize) -> usize {
        let grid = self.y_grid();
        let [down, across] = [tap / self.kernel[1], tap % self.kernel[1]]
            .map(|n| self.padding + self.margin() - n * self.dilation);
        row * grid.len() + down * grid.sites[1] + across
    }
    /// The site of the input that a site of the output reads by a tap, if that lies inside.
    pub fn reads(&self, tap: usize, site: usize) -> Option<usize> {
        let width = self.out()[1];
        let (out, at) = ([site / width, site % width], [tap / self.kernel[1], tap % self.kernel[1]]);
        let along = |axis: usize| {
            let from = (out[axis] * self.stride + at[axis] * self.dilation).checked_sub(self.padding)?;
            (from < self.sites[axis]).then_some(from)
        };
        Some(along(0)? * self.sites[1] + along(1)?)
    }
}

/// `3x3/1+1 28x28`: kernel, stride and padding, and the input's sites; a dilation of its own is named.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([kernel_height, kernel_width], [height, width]) = (self.kernel, self.sites);
        write!(f, "{kernel_height}x{kernel_width}/{}+{}", self.stride, self.padding)?;
        if self.dilation > 1 {
            write!(f, "*{}", self.dilation)?;
        }
        if self.groups > 1 {
            write!(f, "|{}", self.groups)?;
        }
        write!(f, " {height}x{width}")
    }
}

/// What a twin's kernel is slid over.
pub(super) fn of(t: &Twin) -> Window {
    t.get::<Geometry>("window").window()
}

/// Which columns meet, tap by tap: of a linear layer each its own.
pub(super) struct Sites {
    geometry: Option<Geometry>,
    /// By tap and site of y, the site of x.
    reads: Vec<Vec<Option<usize>>>,
}

impl Sites {
    pub fn of(t: &Twin) -> Self {
        let geometry = t.has("window").then(|| t.get::<Geometry>("window"));
        let reads = geometry.as_ref().map_or(Vec::new(), |g| {
            let window = g.window();
            let sites = (g.out_height * g.out_width) as usize;
            let of = |tap| (0..sites).map(|site| window.reads(tap, site)).collect();
            (0..window.taps()).map(of).collect()
        });
        Self { geometry, reads }
    }
    /// The column of x that a column of y reads by a tap.
    pub fn x(&self, tap: usize, col: usize) -> Option<usize> {
        let Some(g) = &self.geometry else { return Some(col) };
        let batch = 4 * g.quads as usize;
        self.reads[tap][col / batch].map(|site| site * batch + col % batch)
    }
    /// The column of y that reads a column of x by a tap.
    pub fn y(&self, tap: usize, col: usize) -> Option<usize> {
        let Some(g) = &self.geometry else { return Some(col) };
        let batch = 4 * g.quads as usize;
        let site = self.reads[tap].iter().position(|read| *read == Some(col / batch));
        site.map(|site| site * batch + col % batch)
    }
}

impl Geometry {
    fn window(&self) -> Window {
        Window {
            sites: [self.height, self.width].map(|n| n as usize),
            kernel: [self.kernel_height, self.kernel_width].map(|n| n as usize),
            stride: self.stride as usize,
            padding: self.padding as usize,
            dilation: self.dilation as usize,
            groups: self.groups as usize,
            skip: self.skip as usize,
        }
    }
    /// Calls with each weight's index in row `o`, each site of y, and where in x, of one batch, it reads.
    fn each(&self, o: usize, mut f: impl FnMut(usize, usize, usize)) {
        let (window, channels) = (self.window(), self.channels as usize);
        let first = (o + self.skip as usize) / self.group_rows as usize * channels;
        let (sites, x_sites) =
            ((self.out_height * self.out_width) as usize, (self.height * self.width) as usize);
        for tap in 0..window.taps() {
            for site in 0..sites {
                let Some(from) = window.reads(tap, site) else { continue };
                (0..channels).for_each(|k| f(tap * channels + k, site, (first + k) * x_sites + from));
            }
        }
    }
}

pub(super) fn twin_forward(t: &Twin) {
    let (args, g): (Args, Geometry) = (t.get("args"), t.get("window"));
    let (weight, bias, x) = (t.f32("weight"), t.f32("bias"), t.f32("x"));
    let (inner, cols, batch) = (args.inner as usize, args.cols as usize, 4 * g.quads as usize);
    for (o, y) in t.f32_mut("y").chunks_mut(cols).enumerate() {
        let mut sums = vec![f64::from(bias[o]); cols];
        g.each(o, |i, site, from| {
            let w = f64::from(weight[o * inner + i]);
            let x = &x[from * batch..][..batch];
            sums[site * batch..][..batch].iter_mut().zip(x).for_each(|(sum, &x)| *sum += w * f64::from(x));
        });
        for (y, &sum) in y.iter_mut().zip(&sums) {
            *y = if args.relu != 0 { rectified(sum as f32) } else { sum as f32 };
        }
    }
}

pub(super) fn twin_input_grad(t: &Twin) {
    let (args, g): (Args, Geometry) = (t.get("args"), t.get("window"));
    let (weight, d_y, x) = (t.f32("weight"), t.f32("d_y"), t.f32("x"));
    let (inner, cols, batch) = (args.inner as usize, args.cols as usize, 4 * g.quads as usize);
    let mut d_x = t.f32_mut("d_x");
    let mut sums: Vec<f64> = d_x.iter().map(|&d| args.start(d)).collect();
    for o in 0..args.rows as usize {
        g.each(o, |i, site, from| {
            let w = f64::from(weight[o * inner + i]);
            let d_y = &d_y[o * cols + site * batch..][..batch];
            sums[from * batch..][..batch].iter_mut().zip(d_y).for_each(|(sum, &d)| *sum += w * f64::from(d));
        });
    }
    for ((d_x, sum), x) in d_x.iter_mut().zip(sums).zip(x.iter()) {
        *d_x = if args.relu == 0 || *x > 0.0 { args.end(*d_x, sum) } else { 0.0 };
    }
}

pub(super) fn twin_weight_grad(t: &Twin) {
    let (args, g): (Args, Geometry) = (t.get("args"), t.get("window"));
    let (d_y, x) = (t.f32("d_y"), t.f32("x"));
    let (mut d_weight, mut d_bias) = (t.f32_mut("d_weight"), t.f32_mut("d_bias"));
    let (inner, cols, batch) = (args.inner as usize, args.cols as usize, 4 * g.quads as usize);
    for (o, d_y) in d_y.chunks(cols).enumerate() {
        d_bias[o] = d_y.iter().map(|&d| f64::from(d)).sum::<f64>() as f32;
        let mut sums = vec![0.0; inner];
        g.each(o, |i, site, from| {
            let pairs = d_y[site * batch..][..batch].iter().zip(&x[from * batch..][..batch]);
            sums[i] += pairs.map(|(&d, &x)| f64::from(d) * f64::from(x)).sum::<f64>();
        });
        d_weight[o * inner..][..inner].iter_mut().zip(sums).for_each(|(d, sum)| *d = sum as f32);
    }
}

/// Convolutions that a check of a size goes through, which is their number of rows: strides, borders, dilations, kernels that are not square, and
/// channels that are a multiple of 4 and that are not, groups of one channel and of several.
pub(in crate::ops) fn shapes(size: usize) -> Vec<Shape> {
    if size == 63 || size > 65 {
        return Vec::new(); // linear layers go through these: the bodies are the same
    }
    let rows = size;
    let shape = |channels: usize, batch: usize, window: Window| {
        let [height, width] = window.out();
        let cols = height * width * batch;
        Shape { window: Some(window), ..Shape::new(rows, channels * window.taps(), cols) }
    };
    let near = Window { padding: 1, ..Window::of([5, 4], [3, 3]) };
    let far = Window { stride: 2, padding: 2, dilation: 2, ..Window::of([7, 6], [2, 3]) };
    let grouped = |groups| Window { stride: 2, groups, ..near };
    let channels = size.min(20);
    vec![
        Shape { rows: rows.next_multiple_of(16), ..shape(channels.next_multiple_of(16), 8, near) },
        shape(channels.next_multiple_of(4), 4, far),
        shape(channels.abs_diff(1).max(1), 4, Window { stride: 2, padding: 0, ..near }),
        shape(1, 4, grouped(rows)),
        Shape { rows: rows.next_multiple_of(3), ..shape(4, 4, grouped(3)) },
    ]
}

/// Depthwise convolutions that a check of a size goes through: every kernel that strips have, images whose sides are no
/// multiple of a strip, and two rows of the weight for each channel.
pub(in crate::ops) fn depthwise_shapes(size: usize) -> Vec<Shape> {
    if size == 63 || size > 65 {
        return Vec::new();
    }
    let shape = |kernel: usize, stride: usize, padding: usize, rows: usize| {
        let window = Window { stride, padding, groups: size, ..Window::of([8, 9], [kernel; 2]) };
        let [height, width] = window.out();
        Shape { window: Some(window), ..Shape::new(rows * size, kernel * kernel, height * width * 12) }
    };
    vec![
        shape(3, 1, 1, 1),
        shape(3, 2, 1, 2),
        shape(5, 1, 2, 2),
        shape(5, 2, 1, 1),
        shape(7, 1, 0, 1),
        shape(7, 2, 3, 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_as_many_as_in_other_programs() {
        let window = |sites, kernel, stride, padding, dilation| {
            let near = Window::of([sites; 2], [kernel; 2]);
            Window { stride, padding, dilation, ..near }.out()[0]
        };
        assert_eq!(window(28, 3, 1, 1, 1), 28);
        assert_eq!(window(224, 7, 2, 3, 1), 112);
        assert_eq!(window(14, 2, 2, 0, 1), 7);
        assert_eq!(window(10, 3, 1, 0, 3), 4);
        assert_eq!(window(2, 3, 1, 0, 1), 0, "it does not fit");
    }

    #[test]
    fn what_lies_outside_is_not_read() {
        let window = Window { stride: 2, padding: 1, ..Window::of([3, 4], [3, 3]) };
        assert_eq!(window.out(), [2, 2]);
        let of = |site| (0..9).map(|tap| window.reads(tap, site)).collect::<Vec<_>>();
        assert_eq!(of(0), [None, None, None, None, Some(0), Some(1), None, Some(4), Some(5)]);
        assert_eq!(
            of(3),
            [Some(5), Some(6), Some(7), Some(9), Some(10), Some(11)]
                .into_iter()
                .chain([None; 3])
                .collect::<Vec<_>>()
        );
    }
}
