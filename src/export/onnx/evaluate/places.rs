//! Operators that put elements elsewhere, and those that work with shapes.

use super::tensor::{Data, Tensor, concat, fault};
use super::{Call, Operator};
use crate::error::Result;

pub const ALL: &[(&str, Operator)] = &[
    ("Shape", |call| {
        let x = call.x(0)?;
        let rank = x.shape.len() as i64;
        let [start, end] = [call.int("start", 0), call.int("end", rank)]
            .map(|at| if at < 0 { at + rank } else { at }.clamp(0, rank) as usize);
        let extents: Vec<i64> = x.shape[start..end.max(start)].iter().map(|&extent| extent as i64).collect();
        Ok(vec![Tensor::ints([extents.len()], extents)])
    }),
    ("Expand", |call| {
        let x = call.x(0)?;
        Ok(vec![x.expanded(&super::tensor::broadcast(&x.shape, &extents(call.x(1)?)?))?])
    }),
    ("Reshape", reshape),
    ("Flatten", |call| {
        let x = call.x(0)?;
        let (before, behind) = x.shape.split_at(x.axis(call.int("axis", 1))?);
        Ok(vec![x.reshaped(vec![before.iter().product(), behind.iter().product()])?])
    }),
    ("Unsqueeze", |call| {
        let (x, axes) = (call.x(0)?, call.x(1)?.as_ints()?);
        let rank = x.shape.len() + axes.len();
        let mut own = x.shape.iter();
        let extent = |axis| if axes.contains(&(axis as i64)) { Some(&1) } else { own.next() };
        let shape: Option<Vec<usize>> = (0..rank).map(extent).map(Option::<&usize>::copied).collect();
        Ok(vec![x.reshaped(shape.ok_or_else(|| fault("axes that are not there"))?)?])
    }),
    ("Squeeze", |call| {
        let (x, axes) = (call.x(0)?, call.x(1)?.as_ints()?);
        let kept = (0..x.shape.len()).filter(|&axis| !axes.contains(&(axis as i64)));
        Ok(vec![x.reshaped(kept.map(|axis| x.shape[axis]).collect())?])
    }),
    ("Transpose", |call| {
        let x = call.x(0)?;
        let perm = call.ints("perm")?.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>>>()?;
        let strides = x.strides();
        let by = |of: &[usize]| perm.iter().map(|&axis| of[axis]).collect::<Vec<_>>();
        Ok(vec![x.viewed(by(&x.shape), 0, &by(&strides))])
    }),
    ("Slice", |call| {
        let mut x = call.x(0)?.clone();
        let [starts, ends, axes] = [call.x(1)?.as_ints()?, call.x(2)?.as_ints()?, call.x(3)?.as_ints()?];
        for ((&start, &end), &axis) in starts.iter().zip(ends).zip(axes) {
            let axis = x.axis(axis)?;
            let extent = x.shape[axis] as i64;
            let [start, end] =
                [start, end].map(|at| if at < 0 { at + extent } else { at }.clamp(0, extent) as usize);
            x = x.sliced(axis, start..end.max(start));
        }
        Ok(vec![x])
    }),
    ("Split", |call| {
        let (x, parts) = (call.x(0)?, call.node.output.len());
        let axis = x.axis(call.int("axis", 0))?;
        if !x.shape[axis].is_multiple_of(parts) {
            return Err(fault(format!("{:?} in {parts} equal parts", x.shape)));
        }
        let each = x.shape[axis] / parts;
        Ok((0..parts).map(|part| x.sliced(axis, part * each..(part + 1) * each)).collect())
    }),
    ("Concat", |call| {
        let parts = (0..call.inputs.len()).map(|number| call.x(number)).collect::<Result<Vec<_>>>()?;
        let axis = parts[0].axis(call.int("axis", 0))?;
        Ok(vec![concat(&parts, axis)?])
    }),
    ("Gather", gather),
    ("Pad", pad),
];

fn extents(shape: &Tensor) -> Result<Vec<usize>> {
    Ok(shape.as_ints()?.iter().map(|&extent| extent as usize).collect())
}

/// 0 takes over an extent, and -1 is what is left.
fn reshape(call: &Call) -> Result<Vec<Tensor>> {
    let (x, wanted) = (call.x(0)?, call.x(1)?.as_ints()?);
    let own = |(axis, &extent): (usize, &i64)| match extent {
        0 => x.shape.get(axis).copied().unwrap_or(0),
        extent => extent.max(1) as usize,
    };
    let mut shape: Vec<usize> = wanted.iter().enumerate().map(own).collect();
    if let Some(open) = wanted.iter().position(|&extent| extent == -1) {
        shape[open] = x.len() / shape.iter().product::<usize>().max(1);
    }
    Ok(vec![x.reshaped(shape)?])
}

fn gather(call: &Call) -> Result<Vec<Tensor>> {
    let (x, indices) = (call.x(0)?, call.x(1)?);
    let axis = x.axis(call.int("axis", 0))?;
    let [before, along, behind] = x.around(axis);
    let index = |&index: &i64| match if index < 0 { index + along as i64 } else { index } {
        index if (0..along as i64).contains(&index) => Ok(index as usize),
        _ => Err(fault(format!("index {index} of {along}"))),
    };
    let rows = indices.as_ints()?.iter().map(index).collect::<Result<Vec<_>>>()?;
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    let row = |outer: usize, at: usize| (0..behind).map(move |inner| (outer * along + at) * behind + inner);
    let places = (0..before).flat_map(|outer| rows.iter().flat_map(move |&at| row(outer, at)));
    Ok(vec![x.picked(shape, places)])
}

/// Zeros before and behind each axis.
fn pad(call: &Call) -> Result<Vec<Tensor>> {
    let (mut x, pads) = (call.x(0)?.clone(), extents(call.x(1)?)?);
    let rank = x.shape.len();
    for axis in 0..rank {
        let zeros = |x: &Tensor, along: usize| {
            let mut shape = x.shape.clone();
            shape[axis] = along;
            let len = shape.iter().product();
            Tensor::new(shape, Data::Floats(vec![0.0; len]))
        };
        let (before, behind) = (zeros(&x, pads[axis]), zeros(&x, pads[rank + axis]));
        x = concat(&[&before, &x, &behind], axis)?;
    }
    Ok(vec![x])
}
