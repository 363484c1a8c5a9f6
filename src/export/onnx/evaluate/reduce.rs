//! Operators that look at all numbers of an axis, and pools.

use super::tensor::{Tensor, fault};
use super::{Call, Operator};
use crate::error::Result;

pub const ALL: &[(&str, Operator)] = &[
    ("ReduceMean", |call| {
        reduced(
            call,
            |x| {
                let x = x.as_floats()?;
                Ok(Box::new(|places: &mut dyn Iterator<Item = usize>, n| {
                    (places.map(|place| f64::from(x[place])).sum::<f64>() / n as f64) as f32
                }))
            },
            Tensor::floats,
        )
    }),
    ("ReduceMax", |call| {
        reduced(
            call,
            |x| {
                let x = x.as_ints()?;
                Ok(Box::new(|places: &mut dyn Iterator<Item = usize>, _| {
                    places.map(|place| x[place]).max().unwrap_or(0)
                }))
            },
            Tensor::ints,
        )
    }),
    ("Softmax", softmax),
    ("LayerNormalization", layer_norm),
    ("BatchNormalization", batch_norm),
    ("MaxPool", |call| pool(call, |window, _| window.fold(f32::MIN, f32::max))),
    ("AveragePool", |call| match call.int("count_include_pad", 0) {
        1 => pool(call, |window, taps| (window.map(f64::from).sum::<f64>() / taps as f64) as f32),
        _ => pool(call, |window, _| {
            let inside: Vec<f32> = window.collect();
            (inside.iter().copied().map(f64::from).sum::<f64>() / inside.len() as f64) as f32
        }),
    }),
    ("GlobalAveragePool", |call| {
        let x = call.x(0)?;
        let sites: usize = x.shape[2..].iter().product();
        let mean = |plane: &[f32]| (plane.iter().map(|&x| f64::from(x)).sum::<f64>() / sites as f64) as f32;
        let means = x.as_floats()?.chunks(sites).map(mean).collect();
        let shape: Vec<usize> =
            x.shape.iter().enumerate().map(|(axis, &n)| if axis < 2 { n } else { 1 }).collect();
        Ok(vec![Tensor::floats(shape, means)])
    }),
];

/// What is left of the numbers at these places, of which there are so many.
type Reduce<'a, T> = Box<dyn Fn(&mut dyn Iterator<Item = usize>, usize) -> T + 'a>;

/// Reduces one axis.
fn reduced<T>(
    call: &Call,
    of: fn(&Tensor) -> Result<Reduce<'_, T>>,
    make: fn(Vec<usize>, Vec<T>) -> Tensor,
) -> Result<Vec<Tensor>> {
    let x = call.x(0)?;
    let &[axis] = call.ints("axes")? else { return Err(fault("one axis is expected")) };
    let axis = x.axis(axis)?;
    let ([before, along, behind], reduce) = (x.around(axis), of(x)?);
    let one = |outer: usize, inner: usize| {
        reduce(&mut (0..along).map(|at| (outer * along + at) * behind + inner), along)
    };
    let values = (0..before).flat_map(|outer| (0..behind).map(move |inner| (outer, inner)));
    let values = values.map(|(outer, inner)| one(outer, inner)).collect();
    let mut shape = x.shape.clone();
    if call.int("keepdims", 1) == 1 {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    Ok(vec![make(shape, values)])
}

/// The rows of a tensor, which lie along its last axis.
fn rows(x: &Tensor, axis: i64) -> Result<std::slice::Chunks<'_, f32>> {
    match x.axis(axis)? + 1 == x.shape.len() {
        true => Ok(x.as_floats()?.chunks(x.shape[x.shape.len() - 1].max(1))),
        false => Err(fault("the last axis is expected")),
    }
}

fn softmax(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.x(0)?;
    let mut y = Vec::with_capacity(x.len());
    for row in rows(x, call.int("axis", -1))? {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let parts: Vec<f64> = row.iter().map(|&x| (f64::from(x) - f64::from(largest)).exp()).collect();
        let sum: f64 = parts.iter().sum();
        y.extend(parts.iter().map(|part| (part / sum) as f32));
    }
    Ok(vec![Tensor::floats(x.shape.clone(), y)])
}

fn layer_norm(call: &Call) -> Result<Vec<Tensor>> {
    let (x, weight) = (call.x(0)?, call.x(1)?.as_floats()?);
    let bias = call.given(2).map(Tensor::as_floats).transpose()?;
    let epsilon = f64::from(call.float("epsilon", 1e-5));
    let mut y = Vec::with_capacity(x.len());
    for row in rows(x, call.int("axis", -1))? {
        let n = row.len() as f64;
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        let factor = 1.0 / (variance + epsilon).sqrt();
        let one = |(i, &x): (usize, &f32)| {
            let normal = (f64::from(x) - mean) * factor * f64::from(weight[i]);
            (normal + bias.map_or(0.0, |bias| f64::from(bias[i]))) as f32
        };
        y.extend(row.iter().enumerate().map(one));
    }
    Ok(vec![Tensor::floats(x.shape.clone(), y)])
}

/// By the running statistics.
fn batch_norm(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.x(0)?;
    let [_, channels, sites] = x.around(x.axis(1)?);
    let own = |number| call.x(number).and_then(Tensor::as_floats);
    let [weight, bias, mean, variance] = [own(1)?, own(2)?, own(3)?, own(4)?];
    let epsilon = f64::from(call.float("epsilon", 1e-5));
    let one = |(i, &x): (usize, &f32)| {
        let channel = i / sites % channels;
        let factor = f64::from(weight[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
        ((f64::from(x) - f64::from(mean[channel])) * factor + f64::from(bias[channel])) as f32
    };
    Ok(vec![Tensor::floats(x.shape.clone(), x.as_floats()?.iter().enumerate().map(one).collect())])
}

/// Windows of an image; `of` has what lies inside of one, and how many taps it has.
fn pool(call: &Call, of: fn(&mut dyn Iterator<Item = f32>, usize) -> f32) -> Result<Vec<Tensor>> {
    let x = call.x(0)?;
    let ([kernel, strides, pads], values) =
        ([call.ints("kernel_shape")?, call.ints("strides")?, call.ints("pads")?], x.as_floats()?);
    let &[batch, channels, height, width] = &x.shape[..] else { return Err(fault("images are expected")) };
    let out = [0, 1].map(|axis| {
        let all = x.shape[2 + axis] as i64 + pads[axis] + pads[2 + axis];
        ((all - kernel[axis]) / strides[axis] + 1) as usize
    });
    let inside = |axis: usize, at: usize, extent: usize| {
        let first = at as i64 * strides[axis] - pads[axis];
        first.max(0) as usize..(first + kernel[axis]).clamp(0, extent as i64) as usize
    };
    let taps = (kernel[0] * kernel[1]) as usize;
    let mut y = Vec::with_capacity(batch * channels * out[0] * out[1]);
    for plane in values.chunks(height * width) {
        for (row, column) in (0..out[0]).flat_map(|row| (0..out[1]).map(move |column| (row, column))) {
            let (rows, columns) = (inside(0, row, height), inside(1, column, width));
            let mut window = rows
                .flat_map(|row| columns.clone().map(move |column| row * width + column))
                .map(|at| plane[at]);
            y.push(of(&mut window, taps));
        }
    }
    Ok(vec![Tensor::floats([batch, channels, out[0], out[1]], y)])
}
