//! Pooling of images: the largest number of each window, or the mean of all.

use super::fetch::Fetch;
use super::groups;
use super::window::Window;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/pool.wgsl`.
    pub struct Args {
        len: u32, height: u32, width: u32, out_height: u32, out_width: u32, kernel_height: u32, kernel_width: u32,
        stride: u32, padding: u32, quads: u32
    }
}

const WG: usize = 64;
/// Taps that a byte can name, beside none.
pub const MOST_TAPS: usize = NO_TAP as usize;
const NO_TAP: u32 = 255;

/// Words that say which tap won, of `y` (channels, cols).
pub fn won(y: &[usize]) -> Vec<usize> {
    vec![y[0], y[1] / 4]
}

/// What a kernel is told that writes `to`, of a window whose output is `y`.
fn args(window: &Window, y: &Tensor, to: &Tensor) -> Args {
    let numbers = |pair: [usize; 2]| pair.map(|n| n as u32);
    let ([height, width], [kernel_height, kernel_width]) = (numbers(window.sites), numbers(window.kernel));
    let [out_height, out_width] = numbers(window.out());
    Args {
        len: (to.len() / 4) as u32,
        height,
        width,
        out_height,
        out_width,
        kernel_height,
        kernel_width,
        stride: window.stride as u32,
        padding: window.padding as u32,
        quads: (window.batch(y.shape[1]) / 4) as u32,
    }
}

/// Operations: each tap once.
fn flops(window: &Window, y: &Tensor) -> u64 {
    (y.len() * window.taps()) as u64
}

const LARGEST: [&str; 2] = ["largest", "ops/pool:largest"];
const LARGEST_BACKWARD: [&str; 2] = ["largest_backward", "ops/pool:largest_backward"];
const MEAN: [&str; 2] = ["mean", "ops/pool:mean"];
const MEAN_BACKWARD: [&str; 2] = ["mean_backward", "ops/pool:mean_backward"];

/// `entry`: an entry point and what it is called.
fn kernel(fetch: Fetch, entry: [&'static str; 2], twin: fn(&Twin)) -> Kernel {
    let parts = [source!("ops/pool/by_buffers"), source!("ops/pool/by_texels")];
    fetch.kernel(source!("ops/pool"), entry, parts, &[], twin)
}

/// Every kernel; others are the same with other values of overrides.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let of = |fetch| {
        [
            kernel(fetch, LARGEST, |t| twin_largest(t, false)),
            kernel(fetch, LARGEST_BACKWARD, |t| twin_largest_backward(t, false)),
            kernel(fetch, MEAN, twin_mean),
            kernel(fetch, MEAN_BACKWARD, |t| twin_mean_backward(t, false)),
        ]
    };
    Fetch::ALL.into_iter().flat_map(of)
}

/// A window, without dilation and with a padding of at most half of its kernel.
#[derive(Clone, Copy)]
pub struct Pooling<'a> {
    pub window: &'a Window,
    pub fetch: Fetch,
}

impl<'a> Pooling<'a> {
    pub fn on(gpu: &Gpu, window: &'a Window) -> Self {
        Self { window, fetch: Fetch::of(gpu) }
    }

    /// `y` (channels, cols) = the largest number of each window of `x`; `won` says by which tap: see [`won`]. If `rectifies`,
    /// it says none where that number is not above 0. The window has at most [`MOST_TAPS`].
    pub fn record_largest(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        y: &Tensor,
        won: &Tensor,
        rectifies: bool,
    ) -> Result<()> {
        let binds = bind! { args: &args(self.window, y, y), x: x, y: y, won: won };
        let by = |twin| kernel(self.fetch, LARGEST, twin);
        let own = match rectifies {
            false => by(|t| twin_largest(t, false)),
            true => by(|t| twin_largest(t, true)).with(&[("RECTIFIES", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(y.len() / 4, WG), flops(self.window, y))
    }

    /// `d_x` = the sum of `d_y` over the windows that x won, or `+=` if `adds`.
    pub fn record_largest_backward(
        &self,
        rec: &mut Recorder,
        won: &Tensor,
        d_y: &Tensor,
        d_x: &Tensor,
        adds: bool,
    ) -> Result<()> {
        let binds = bind! { args: &args(self.window, d_y, d_x), winner: won, d_y: d_y, d_x: d_x };
        let by = |twin| kernel(self.fetch, LARGEST_BACKWARD, twin);
        let own = match adds {
            false => by(|t| twin_largest_backward(t, false)),
            true => by(|t| twin_largest_backward(t, true)).with(&[("ADDS", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(d_x.len() / 4, WG), flops(self.window, d_y))
    }

    /// `y` (channels, cols) = the mean of each window of `x`; zeros around x count.
    pub fn record_mean(&self, rec: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        let binds = bind! { args: &args(self.window, y, y), x: x, y: y };
        let own = kernel(self.fetch, MEAN, twin_mean);
        rec.dispatch(&own, binds, groups(y.len() / 4, WG), flops(self.window, y))
    }

    /// `d_x` = the sum of `d_y` over the windows that x lies in, over the number of taps; or `+=` if `adds`.
    pub fn record_mean_backward(
        &self,
        rec: &mut Recorder,
        d_y: &Tensor,
        d_x: &Tensor,
        adds: bool,
    ) -> Result<()> {
        let binds = bind! { args: &args(self.window, d_y, d_x), d_y: d_y, d_x: d_x };
        let by = |twin| kernel(self.fetch, MEAN_BACKWARD, twin);
        let own = match adds {
            false => by(|t| twin_mean_backward(t, false)),
            true => by(|t| twin_mean_backward(t, true)).with(&[("ADDS", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(d_x.len() / 4, WG), flops(self.window, d_y))
    }
}

/// A twin's window, and the samples of its batch.
fn geometry(t: &Twin) -> (Window, usize) {
    let args: Args = t.get("args");
    let window = Window {
        stride: args.stride as usize,
        padding: args.padding as usize,
        ..Window::of(
            [args.height, args.width].map(|n| n as usize),
            [args.kernel_height, args.kernel_width].map(|n| n as usize),
        )
    };
    (window, 4 * args.quads as usize)
}

/// Calls `with` for each number of y: its index, and of each tap inside the tap and the index of x.
fn each(t: &Twin, len: usize, mut with: impl FnMut(usize, &mut dyn Iterator<Item = (usize, usize)>)) {
    let (window, batch) = geometry(t);
    let out: usize = window.out().iter().product();
    for i in 0..len {
        let (channel, site, b) = (i / batch / out, i / batch % out, i % batch);
        let first = channel * window.sites[0] * window.sites[1];
        let inside = |tap| Some((tap, (first + window.reads(tap, site)?) * batch + b));
        with(i, &mut (0..window.taps()).filter_map(inside));
    }
}

fn twin_largest(t: &Twin, rectifies: bool) {
    let (x, mut y, mut won) = (t.f32("x"), t.f32_mut("y"), t.u32_mut("won"));
    won.fill(0);
    each(t, y.len(), |i, taps| {
        let (mut best, mut from) = taps.next().expect("a window has a tap inside");
        for (tap, at) in taps {
            if x[at].is_nan() || x[at] > x[from] {
                (best, from) = (tap, at);
            }
        }
        y[i] = x[from];
        let best = if rectifies && !(x[from] > 0.0) { NO_TAP } else { best as u32 };
        won[i / 4] |= best << (i % 4 * 8);
    });
}

fn twin_largest_backward(t: &Twin, adds: bool) {
    let (winner, d_y) = (t.u32("winner"), t.f32("d_y"));
    backward(t, adds, |sums| {
        each(t, d_y.len(), |i, taps| {
            let best = winner[i / 4] >> (i % 4 * 8) & 255;
            taps.filter(|(tap, _)| *tap == best as usize).for_each(|(_, at)| sums[at] += f64::from(d_y[i]));
        });
    });
}

fn twin_mean(t: &Twin) {
    let (x, mut y, taps_of_all) = (t.f32("x"), t.f32_mut("y"), geometry(t).0.taps() as f64);
    each(t, y.len(), |i, taps| {
        y[i] = (taps.map(|(_, at)| f64::from(x[at])).sum::<f64>() / taps_of_all) as f32;
    });
}

fn twin_mean_backward(t: &Twin, adds: bool) {
    let (d_y, taps_of_all) = (t.f32("d_y"), geometry(t).0.taps() as f64);
    backward(t, adds, |sums| {
        each(t, d_y.len(), |i, taps| {
            taps.for_each(|(_, at)| sums[at] += f64::from(d_y[i]) / taps_of_all);
        });
    });
}

fn backward(t: &Twin, adds: bool, add_up: impl Fn(&mut [f64])) {
    let mut d_x = t.f32_mut("d_x");
    let mut sums = vec![0.0; d_x.len()];
    add_up(&mut sums);
    d_x.iter_mut().zip(sums).for_each(|(d, sum)| *d = if adds { *d + sum as f32 } else { sum as f32 });
}

/// Windows that overlap, that leave sites out, that reach over the border, and one as large as the image.
const WINDOWS: [Window; 4] = [
    Window { stride: 2, padding: 1, ..Window::of([5, 4], [3, 3]) },
    Window { stride: 2, padding: 0, ..Window::of([7, 6], [2, 2]) },
    Window { stride: 3, padding: 1, ..Window::of([6, 5], [2, 2]) },
    Window { stride: 1, padding: 0, ..Window::of([4, 3], [4, 3]) },
];

pub fn checks() -> Vec<Check> {
    let of = |(window, fetch): (Window, Fetch)| {
        let [sites, out] = [window.sites, window.out()].map(|pair| pair[0] * pair[1]);
        let shapes = move |n: usize| [sites, out].map(|sites| [n.min(67), sites * (4 + n % 3 * 4)]);
        let close = Tolerance::sum(window.taps());
        let check = |what: &str, build: Box<Build>| {
            Check::new(format!("ops/pool:{what} ({fetch:?}, {window})"), build)
        };
        [
            check(
                "largest",
                Box::new(move |t, n| {
                    let [x, y] = shapes(n);
                    let (x, y) = (t.input("x", &x)?, t.output("y", &y, Tolerance::EXACT)?);
                    let won = t.output_u32("won", &won(&y.shape))?;
                    Pooling { window: &window, fetch }.record_largest(&mut t.rec, &x, &y, &won, false)
                }),
            ),
            check(
                "largest, odd",
                Box::new(move |t, n| {
                    let [x, y] = shapes(n);
                    let x = t.odd_input("x", x[0] * x[1], 0, false)?.first(&x);
                    let y = t.gpu.tensor("y", Dtype::F32, &y)?;
                    t.compare_odd(&y, Tolerance::EXACT);
                    let won = t.output_u32("won", &won(&y.shape))?;
                    Pooling { window: &window, fetch }.record_largest(&mut t.rec, &x, &y, &won, true)
                }),
            ),
            check(
                "largest_backward",
                Box::new(move |t, n| {
                    let [x, y] = shapes(n);
                    let (d_y, word_shape) = (t.input("d_y", &y)?, won(&y));
                    // Bytes of any tap, and of none.
                    let words = t.indices("won", &word_shape, 1 << 27)?;
                    let (d_x, more) = (t.output("d_x", &x, close)?, t.input("more", &x)?);
                    t.compare(&more, close);
                    Pooling { window: &window, fetch }
                        .record_largest_backward(&mut t.rec, &words, &d_y, &d_x, false)?;
                    Pooling { window: &window, fetch }
                        .record_largest_backward(&mut t.rec, &words, &d_y, &more, true)
                }),
            ),
            check(
                "mean",
                Box::new(move |t, n| {
                    let [x, y] = shapes(n);
                    let (x, y) = (t.input("x", &x)?, t.output("y", &y, close)?);
                    Pooling { window: &window, fetch }.record_mean(&mut t.rec, &x, &y)
                }),
            ),
            check(
                "mean_backward",
                Box::new(move |t, n| {
                    let [x, y] = shapes(n);
                    let (d_y, d_x, more) =
                        (t.input("d_y", &y)?, t.output("d_x", &x, close)?, t.input("more", &x)?);
                    t.compare(&more, close);
                    Pooling { window: &window, fetch }.record_mean_backward(&mut t.rec, &d_y, &d_x, false)?;
                    Pooling { window: &window, fetch }.record_mean_backward(&mut t.rec, &d_y, &more, true)
                }),
            ),
        ]
    };
    WINDOWS.into_iter().flat_map(|window| Fetch::ALL.map(|fetch| (window, fetch))).flat_map(of).collect()
}

type Build = dyn Fn(&mut Trial, usize) -> Result<()> + Send + Sync;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Choice;

    /// One channel of 3 x 4 with windows of 2 x 2, one apart: of equal numbers the first wins; NaN does before any.
    #[test]
    fn ties_go_to_the_first_tap_and_nan_wins() {
        let window = Window { stride: 1, padding: 0, ..Window::of([3, 4], [2, 2]) };
        let image = [1.0, 1.0, 5.0, 0.0, 1.0, 1.0, f32::NAN, 2.0, 3.0, -0.0, 0.0, f32::NEG_INFINITY];
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let all: Vec<f32> = image.iter().flat_map(|&v| [v; 4]).collect();
            let x = gpu.upload_f32("x", &[1, 48], &all).unwrap();
            let y = gpu.tensor("y", Dtype::F32, &[1, 24]).unwrap();
            let words = gpu.tensor("won", Dtype::U32, &won(&y.shape)).unwrap();
            let mut rec = Recorder::new(&gpu);
            Pooling::on(&gpu, &window).record_largest(&mut rec, &x, &y, &words, false).unwrap();
            let d_y = gpu.upload_f32("d_y", &[1, 24], &[1.0; 24]).unwrap();
            let d_x = gpu.tensor("d_x", Dtype::F32, &[1, 48]).unwrap();
            Pooling::on(&gpu, &window).record_largest_backward(&mut rec, &words, &d_y, &d_x, false).unwrap();
            rec.finish().unwrap().replay().unwrap();
            if gpu.is_counted() {
                continue; // nothing runs there
            }
            let taps: Vec<u32> = words.read_u32().unwrap().iter().map(|word| word & 255).collect();
            assert_eq!(taps, [0, 3, 2, 2, 1, 0]);
            let largest: Vec<f32> = y.read_f32().unwrap().into_iter().step_by(4).collect();
            assert!(largest[1].is_nan() && largest[2].is_nan() && largest[4].is_nan() && largest[5].is_nan());
            assert_eq!([largest[0], largest[3]], [1.0, 3.0]);
            let d_x: Vec<f32> = d_x.read_f32().unwrap().into_iter().step_by(4).collect();
            assert_eq!(d_x, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        }
    }
}
