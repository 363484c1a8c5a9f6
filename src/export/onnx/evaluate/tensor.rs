//! Tensors of an evaluation, and the ways in which their elements are put elsewhere.

use crate::error::{Error, Kind, Result};

/// Elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Bools(Vec<bool>),
}

/// The error of a file that does not follow the standard, or takes more of it than is evaluated here.
pub fn fault(what: impl Into<String>) -> Error {
    Error::new(Kind::Check, what)
}

impl Tensor {
    pub fn floats(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        Self::new(shape, Data::Floats(values))
    }
    pub fn ints(shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Self {
        Self::new(shape, Data::Ints(values))
    }
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Self {
        Self { shape: shape.into(), data }
    }

    pub fn as_floats(&self) -> Result<&[f32]> {
        if let Data::Floats(values) = &self.data { Ok(values) } else { Err(fault("numbers are expected")) }
    }
    pub fn as_ints(&self) -> Result<&[i64]> {
        if let Data::Ints(values) = &self.data {
            Ok(values)
        } else {
            Err(fault("whole numbers are expected"))
        }
    }
    pub fn as_bools(&self) -> Result<&[bool]> {
        if let Data::Bools(values) = &self.data { Ok(values) } else { Err(fault("yes or no is expected")) }
    }
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// An axis as nodes count it: from the end where it is below 0.
    pub fn axis(&self, axis: i64) -> Result<usize> {
        let rank = self.shape.len() as i64;
        let axis = if axis < 0 { axis + rank } else { axis };
        let outside = || fault(format!("axis {axis} of {:?}", self.shape));
        usize::try_from(axis).ok().filter(|axis| *axis < self.shape.len()).ok_or_else(outside)
    }
    /// Elements before an axis, along it, and behind it.
    pub fn around(&self, axis: usize) -> [usize; 3] {
        let (before, after) = (&self.shape[..axis], &self.shape[axis + 1..]);
        [before.iter().product(), self.shape[axis], after.iter().product()]
    }
    /// How far apart neighbours on each axis lie.
    pub fn strides(&self) -> Vec<usize> {
        strides(&self.shape)
    }

    /// The elements at these places, in another shape.
    pub fn picked(&self, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Self {
        let data = match &self.data {
            Data::Floats(values) => Data::Floats(places.map(|place| values[place]).collect()),
            Data::Ints(values) => Data::Ints(places.map(|place| values[place]).collect()),
            Data::Bools(values) => Data::Bools(places.map(|place| values[place]).collect()),
        };
        Self { shape, data }
    }
    /// The elements `first + index * strides`, by index.
    pub fn viewed(&self, shape: Vec<usize>, first: usize, strides: &[usize]) -> Self {
        let own = super::tensor::strides(&shape);
        let axes: Vec<[usize; 3]> = shape
            .iter()
            .zip(own)
            .zip(strides)
            .map(|((&extent, own), &stride)| [extent, own, stride])
            .collect();
        let place = |i: usize| {
            first + axes.iter().map(|[extent, own, stride]| i / own % extent * stride).sum::<usize>()
        };
        let len = shape.iter().product();
        self.picked(shape, (0..len).map(place))
    }
    /// Repeated along axes of extent 1, and along axes before its own, to this shape.
    pub fn expanded(&self, shape: &[usize]) -> Result<Self> {
        if self.shape == shape {
            return Ok(self.clone());
        }
        let misfit = || fault(format!("{:?} cannot be repeated to {shape:?}", self.shape));
        let more = shape.len().checked_sub(self.shape.len()).ok_or_else(misfit)?;
        let mut strides = vec![0; more];
        for ((&own, &wanted), stride) in self.shape.iter().zip(&shape[more..]).zip(self.strides()) {
            match own {
                1 => strides.push(0),
                own if own == wanted => strides.push(stride),
                _ => return Err(misfit()),
            }
        }
        Ok(self.viewed(shape.to_vec(), 0, &strides))
    }
    pub fn reshaped(&self, shape: Vec<usize>) -> Result<Self> {
        match shape.iter().product::<usize>() == self.len() {
            true => Ok(Self { shape, data: self.data.clone() }),
            false => Err(fault(format!("{:?} cannot become {shape:?}", self.shape))),
        }
    }
    /// Part of an axis.
    pub fn sliced(&self, axis: usize, span: std::ops::Range<usize>) -> Self {
        let (mut shape, strides) = (self.shape.clone(), self.strides());
        shape[axis] = span.len();
        self.viewed(shape, span.start * strides[axis], &strides)
    }
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product::<usize>().max(1)).collect()
}

/// The shape that both are repeated to.
pub fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let extent =
        |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    let larger = |axis| match [extent(a, axis), extent(b, axis)] {
        [1, other] => other,
        [own, _] => own,
    };
    (0..rank).map(larger).collect()
}

/// Tensors one behind another along an axis.
pub fn concat(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let mut shape = parts[0].shape.clone();
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    let (before, rows) = (parts[0].around(axis)[0], parts.iter().map(|part| part.around(axis)));
    let rows: Vec<usize> = rows.map(|[_, along, behind]| along * behind).collect();
    let data = match &parts[0].data {
        Data::Floats(_) => Data::Floats(joined(parts, before, &rows, Tensor::as_floats)?),
        Data::Ints(_) => Data::Ints(joined(parts, before, &rows, Tensor::as_ints)?),
        Data::Bools(_) => Data::Bools(joined(parts, before, &rows, Tensor::as_bools)?),
    };
    Ok(Tensor { shape, data })
}

fn joined<'a, T: Copy + 'a>(
    parts: &[&'a Tensor],
    before: usize,
    rows: &[usize],
    of: fn(&'a Tensor) -> Result<&'a [T]>,
) -> Result<Vec<T>> {
    let parts = parts.iter().map(|part| of(part)).collect::<Result<Vec<_>>>()?;
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for row in 0..before {
        for (part, &len) in parts.iter().zip(rows) {
            all.extend_from_slice(&part[row * len..(row + 1) * len]);
        }
    }
    Ok(all)
}
