//! Images of another size, by linear interpolation along each axis.
//!
//! The number at `i` of `to` lies at `(i + 1/2) from / to - 1/2` among `from`, at the border at the border's number: PyTorch's
//! `interpolate` with `mode="bilinear"`, `align_corners=False`, `antialias=False`.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/resize.wgsl`.
    pub struct Args { len: u32, height: u32, width: u32, out_height: u32, out_width: u32, quads: u32 }
}

/// By whether the result is added to what is there.
const RESIZE: [Kernel; 2] = [
    Kernel::own(source!("ops/resize"), |t| twin(t, false)).proven(),
    Kernel::own(source!("ops/resize"), |t| twin(t, true)).with(&[("ADDS", 1.0)]).proven(),
];
const WG: usize = 64;

/// Of each number of a result along an axis, the numbers that it is a sum of, with their weights.
type Axis = Vec<Vec<(usize, f32)>>;

/// From `from` numbers to `to`.
fn axis(from: usize, to: usize) -> Axis {
    let taps = |i: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let (low, share) = (at.floor() as usize, (at - at.floor()) as f32);
        let both = [(low, 1.0 - share), ((low + 1).min(from - 1), share)];
        both.into_iter().filter(|(_, weight)| *weight > 0.0).collect()
    };
    (0..to).map(taps).collect()
}

/// For gradients: the same sums, by what they are of.
fn turned(axis: &Axis, from: usize) -> Axis {
    let mut all = vec![Vec::new(); from];
    for (to, taps) in axis.iter().enumerate() {
        taps.iter().for_each(|&(at, weight)| all[at].push((to, weight)));
    }
    all
}

/// How images of one size become images of another, (height, width) each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    pub from: [usize; 2],
    pub to: [usize; 2],
}

impl Resize {
    fn axes(&self) -> [Axis; 2] {
        [0, 1].map(|side| axis(self.from[side], self.to[side]))
    }
}

/// `y` (channels, columns of `to`) from `x` (channels, columns of `from`).
pub fn record(rec: &mut Recorder, resize: &Resize, x: &Tensor, y: &Tensor) -> Result<()> {
    record_by(rec, resize.axes(), resize.from, x, y, false)
}

/// `d_x` from `d_y`, or added to what is there if `adds`.
pub fn record_backward(
    rec: &mut Recorder,
    resize: &Resize,
    d_y: &Tensor,
    d_x: &Tensor,
    adds: bool,
) -> Result<()> {
    let [rows, columns] = resize.axes();
    let axes = [turned(&rows, resize.from[0]), turned(&columns, resize.from[1])];
    record_by(rec, axes, resize.to, d_y, d_x, adds)
}

fn record_by(
    rec: &mut Recorder,
    axes: [Axis; 2],
    [height, width]: [usize; 2],
    x: &Tensor,
    y: &Tensor,
    adds: bool,
) -> Result<()> {
    let [out_height, out_width] = [axes[0].len(), axes[1].len()];
    let quads = y.shape[1] / (out_height * out_width) / 4;
    let [len, height, width, out_height, out_width, quads] =
        [y.len() / 4, height, width, out_height, out_width, quads].map(|n| n as u32);
    let args = Args { len, height, width, out_height, out_width, quads };
    let taps: Vec<usize> = axes.iter().map(|axis| axis.iter().map(Vec::len).sum()).collect();
    // Of each channel and sample.
    let sums = (taps[0] * taps[1] * (y.len() / (axes[0].len() * axes[1].len()))) as u64;
    let gpu = rec.gpu.clone();
    let [[row_start, row, row_weight], [column_start, column, column_weight]] =
        [lists(&gpu, &axes[0])?, lists(&gpu, &axes[1])?];
    let binds = bind! {
        args: &args, row_start: &row_start, row: &row, row_weight: &row_weight, column_start: &column_start,
        column: &column, column_weight: &column_weight, x: x, y: y
    };
    rec.dispatch(&RESIZE[usize::from(adds)], binds, groups(y.len() / 4, WG), 2 * sums)
}

/// An axis on the device: starts, numbers and weights.
fn lists(gpu: &Gpu, axis: &Axis) -> Result<[Tensor; 3]> {
    let mut starts = vec![0];
    axis.iter().for_each(|taps| starts.push(starts[starts.len() - 1] + taps.len() as u32));
    let (numbers, weights): (Vec<u32>, Vec<f32>) =
        axis.iter().flatten().map(|&(at, weight)| (at as u32, weight)).unzip();
    Ok([
        gpu.upload_u32("starts", &[starts.len()], &starts)?,
        gpu.upload_u32("taps", &[numbers.len()], &numbers)?,
        gpu.upload_f32("tap weights", &[weights.len()], &weights)?,
    ])
}

fn twin(t: &Twin, adds: bool) {
    let args: Args = t.get("args");
    let [rows, columns] = [("row_start", "row", "row_weight"), ("column_start", "column", "column_weight")]
        .map(|(starts, numbers, weights)| {
            let (starts, numbers, weights) = (t.u32(starts), t.u32(numbers), t.f32(weights));
            let taps = |pair: &[u32]| -> Vec<(usize, f64)> {
                let own = pair[0] as usize..pair[1] as usize;
                own.map(|at| (numbers[at] as usize, f64::from(weights[at]))).collect()
            };
            starts.windows(2).map(taps).collect::<Vec<_>>()
        });
    let (x, mut y) = (t.f32("x"), t.f32_mut("y"));
    let [height, width, batch] = [args.height, args.width, 4 * args.quads].map(|n| n as usize);
    for (i, y) in y.iter_mut().enumerate() {
        let site = i / batch % (rows.len() * columns.len());
        let channel = i / batch / (rows.len() * columns.len());
        let mut sum = 0.0;
        for (row, own) in &rows[site / columns.len()] {
            for (column, weight) in &columns[site % columns.len()] {
                let at = ((channel * height + row) * width + column) * batch + i % batch;
                sum += own * weight * f64::from(x[at]);
            }
        }
        *y = if adds { *y + sum as f32 } else { sum as f32 };
    }
}

/// Smaller, larger, one side alone, to one number and from one.
const SIZES: [Resize; 5] = [
    Resize { from: [7, 6], to: [5, 4] },
    Resize { from: [3, 4], to: [7, 5] },
    Resize { from: [5, 5], to: [5, 2] },
    Resize { from: [4, 3], to: [1, 1] },
    Resize { from: [1, 1], to: [2, 3] },
];

pub fn checks() -> Vec<Check> {
    let of = |resize: Resize| {
        let [from, to] = [resize.from, resize.to].map(|[height, width]| height * width);
        let shapes = move |n: usize| [from, to].map(|sites| [n.min(67), sites * (4 + n % 3 * 4)]);
        let what = format!("{:?} to {:?}", resize.from, resize.to);
        [
            Check::new(format!("ops/resize ({what})"), move |t, n| {
                let [x, y] = shapes(n);
                let (x, y) = (t.input("x", &x)?, t.output("y", &y, Tolerance::sum(4))?);
                record(&mut t.rec, &resize, &x, &y)
            }),
            Check::new(format!("ops/resize:backward ({what})"), move |t, n| {
                let ([x, y], close) = (shapes(n), Tolerance::sum(4 * to.div_ceil(from)));
                let (d_y, d_x, more) =
                    (t.input("d_y", &y)?, t.output("d_x", &x, close)?, t.input("more", &x)?);
                t.compare(&more, close);
                record_backward(&mut t.rec, &resize, &d_y, &d_x, false)?;
                record_backward(&mut t.rec, &resize, &d_y, &more, true)
            }),
        ]
    };
    SIZES.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.nn.functional.interpolate([0, 1, 2, 3], mode="linear")` to 2 and to 8 numbers, worked by hand from the formula.
    #[test]
    fn numbers_lie_at_the_middle_of_theirs() {
        let values = |to: usize| -> Vec<f32> {
            axis(4, to).iter().map(|taps| taps.iter().map(|(at, weight)| *at as f32 * weight).sum()).collect()
        };
        assert_eq!(values(2), [0.5, 2.5]);
        assert_eq!(values(8), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
        assert_eq!(values(4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(1), [1.5]);
    }

    #[test]
    fn the_weights_of_a_gradient_are_those_of_the_sums() {
        for (from, to) in [(7, 5), (3, 7), (1, 4)] {
            let axis = axis(from, to);
            assert!(axis.iter().all(|taps| (taps.iter().map(|tap| tap.1).sum::<f32>() - 1.0).abs() < 1e-6));
            let back = turned(&axis, from);
            assert_eq!(turned(&back, to), axis, "{from} to {to}");
        }
    }
}
