//! Products of matrices, and convolutions.

use super::tensor::{Tensor, broadcast, fault};
use super::{Call, Operator};
use crate::error::Result;

pub const ALL: &[(&str, Operator)] = &[("Gemm", gemm), ("MatMul", matmul), ("Conv", conv)];

/// The sum of products, in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `x weight^T + bias`: the only kind of it that is written.
fn gemm(call: &Call) -> Result<Vec<Tensor>> {
    let (x, weight) = (call.x(0)?, call.x(1)?);
    let (&[batch, inner], &[out, own]) = (&x.shape[..], &weight.shape[..]) else {
        return Err(fault("matrices are expected"));
    };
    if own != inner || call.int("transB", 0) != 1 {
        return Err(fault(format!("{:?} by {:?}, not turned", x.shape, weight.shape)));
    }
    let bias = call.given(2).map(Tensor::as_floats).transpose()?;
    let (values, weights) = (x.as_floats()?, weight.as_floats()?);
    let one = |i: usize| {
        let (sample, row) = (i / out, i % out);
        let product = dot(&values[sample * inner..][..inner], &weights[row * inner..][..inner]);
        (product + bias.map_or(0.0, |bias| f64::from(bias[row]))) as f32
    };
    Ok(vec![Tensor::floats([batch, out], (0..batch * out).map(one).collect())])
}

/// (.., rows, inner) by (.., inner, columns).
fn matmul(call: &Call) -> Result<Vec<Tensor>> {
    let (a, b) = (call.x(0)?, call.x(1)?);
    let ([outer_a @ .., rows, inner], [outer_b @ .., own, columns]) = (&a.shape[..], &b.shape[..]) else {
        return Err(fault("matrices are expected"));
    };
    if inner != own {
        return Err(fault(format!("{:?} by {:?}", a.shape, b.shape)));
    }
    let outer = broadcast(outer_a, outer_b);
    let a = a.expanded(&[&outer[..], &[*rows, *inner]].concat())?;
    let b = b.expanded(&[&outer[..], &[*inner, *columns]].concat())?;
    let (a, b) = (a.as_floats()?, b.as_floats()?);
    let mut y = Vec::with_capacity(outer.iter().product::<usize>() * rows * columns);
    for (row, a) in a.chunks(*inner).enumerate() {
        let b = &b[row / rows * inner * columns..][..inner * columns];
        let mut sums = vec![0.0; *columns];
        for (&a, b) in a.iter().zip(b.chunks(*columns)) {
            sums.iter_mut().zip(b).for_each(|(sum, &b)| *sum += f64::from(a) * f64::from(b));
        }
        y.extend(sums.iter().map(|&sum| sum as f32));
    }
    Ok(vec![Tensor::floats([&outer[..], &[*rows, *columns]].concat(), y)])
}

/// What a convolution is slid over: along one axis, where its taps find something.
struct Axis {
    extent: usize,
    out: usize,
    kernel: usize,
    stride: i64,
    pad: i64,
    dilation: i64,
}

impl Axis {
    fn of(call: &Call, x: &Tensor, weight: &Tensor, axis: usize) -> Result<Self> {
        let [strides, pads, dilations] = ["strides", "pads", "dilations"].map(|name| call.ints(name));
        let (stride, dilation, pads) = (strides?[axis], dilations?[axis], pads?);
        let [pad, behind] = [pads[axis], pads[2 + axis]];
        let (extent, kernel) = (x.shape[2 + axis], weight.shape[2 + axis]);
        let reach = (kernel as i64 - 1) * dilation + 1;
        let out = (extent as i64 + pad + behind - reach) / stride + 1;
        Ok(Self { extent, out: out as usize, kernel, stride, pad, dilation })
    }
    /// The site that a tap reads at an output, if it lies inside.
    fn site(&self, at: usize, tap: usize) -> Option<usize> {
        let site = at as i64 * self.stride + tap as i64 * self.dilation - self.pad;
        usize::try_from(site).ok().filter(|site| *site < self.extent)
    }
}

fn conv(call: &Call) -> Result<Vec<Tensor>> {
    let (x, weight) = (call.x(0)?, call.x(1)?);
    let (&[batch, channels, ..], &[out, own, ..]) = (&x.shape[..], &weight.shape[..]) else {
        return Err(fault("images are expected"));
    };
    let groups = call.int("group", 1) as usize;
    let is_kernel = |&[rows, columns]: &[i64; 2]| weight.shape[2..] == [rows as usize, columns as usize];
    let has_kernel = call.ints("kernel_shape")?.first_chunk().is_some_and(is_kernel);
    if x.shape.len() != 4 || own * groups != channels || !has_kernel {
        return Err(fault(format!("{:?} by {:?} in {groups} groups", x.shape, weight.shape)));
    }
    let bias = call.given(2).map(Tensor::as_floats).transpose()?;
    let [rows, columns] = [Axis::of(call, x, weight, 0)?, Axis::of(call, x, weight, 1)?];
    let (values, weights) = (x.as_floats()?, weight.as_floats()?);
    let mut y = Vec::with_capacity(batch * out * rows.out * columns.out);
    for (sample, filter) in (0..batch).flat_map(|sample| (0..out).map(move |filter| (sample, filter))) {
        let mut sums = vec![bias.map_or(0.0, |bias| f64::from(bias[filter])); rows.out * columns.out];
        let taps = rows.kernel * columns.kernel;
        for tap in 0..own * taps {
            let weight = f64::from(weights[filter * own * taps + tap]);
            let channel = filter / (out / groups) * own + tap / taps;
            let plane = &values[(sample * channels + channel) * rows.extent * columns.extent..];
            let (down, right) = (tap % taps / columns.kernel, tap % columns.kernel);
            for row in 0..rows.out {
                let Some(site) = rows.site(row, down) else { continue };
                let line = &plane[site * columns.extent..][..columns.extent];
                for (column, sum) in sums[row * columns.out..][..columns.out].iter_mut().enumerate() {
                    let x = columns.site(column, right).map_or(0.0, |site| line[site]);
                    *sum += weight * f64::from(x);
                }
            }
        }
        y.extend(sums.iter().map(|&sum| sum as f32));
    }
    Ok(vec![Tensor::floats([batch, out, rows.out, columns.out], y)])
}
