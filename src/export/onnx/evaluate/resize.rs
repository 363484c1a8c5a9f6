//! Images of another size, by linear interpolation between sites whose numbers stand in their middle.

use super::tensor::{Tensor, fault};
use super::{Call, Operator};
use crate::error::Result;

pub const ALL: &[(&str, Operator)] = &[("Resize", resize)];

fn resize(call: &Call) -> Result<Vec<Tensor>> {
    let (x, sizes) = (call.x(0)?, call.x(3)?.as_ints()?);
    let (&[batch, channels, height, width], &[_, _, rows, columns]) = (&x.shape[..], sizes) else {
        return Err(fault("images are expected"));
    };
    let middle = call.text("coordinate_transformation_mode") == b"half_pixel";
    if call.text("mode") != b"linear" || !middle {
        return Err(fault("linear interpolation between the middles of sites is expected"));
    }
    let (down, right) = (axis(height, rows as usize), axis(width, columns as usize));
    let mut y = Vec::with_capacity(batch * channels * down.len() * right.len());
    for plane in x.as_floats()?.chunks(height * width) {
        for (&(top, below, by), &(left, beside, to)) in
            down.iter().flat_map(|row| right.iter().map(move |column| (row, column)))
        {
            let at = |row: usize, column: usize| f64::from(plane[row * width + column]);
            let line = |row: usize| at(row, left) * (1.0 - to) + at(row, beside) * to;
            y.push((line(top) * (1.0 - by) + line(below) * by) as f32);
        }
    }
    Ok(vec![Tensor::floats([batch, channels, down.len(), right.len()], y)])
}

/// For each site of a result the two that it lies between, and its distance from the first.
fn axis(from: usize, to: usize) -> Vec<(usize, usize, f64)> {
    let place = |i: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        (at as usize, (at as usize + 1).min(from - 1), at.fract())
    };
    (0..to).map(place).collect()
}
