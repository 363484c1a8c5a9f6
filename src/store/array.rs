//! A host array: a type of element, a shape, and little-endian bytes in row-major order.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Named arrays, in the order of their names.
pub type Arrays = BTreeMap<String, Array>;

/// The types of element that are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    F32,
    U32,
    U8,
    F16,
    BF16,
    F64,
    I32,
    I64,
    Bool,
}

impl Dtype {
    pub const ALL: [Dtype; 9] = [
        Dtype::F32,
        Dtype::U32,
        Dtype::U8,
        Dtype::F16,
        Dtype::BF16,
        Dtype::F64,
        Dtype::I32,
        Dtype::I64,
        Dtype::Bool,
    ];

    /// Bytes per element.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::U8 | Dtype::Bool => 1,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::F32 | Dtype::U32 | Dtype::I32 => 4,
            Dtype::F64 | Dtype::I64 => 8,
        }
    }

    /// The name that safetensors files use.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::U32 => "U32",
            Dtype::U8 => "U8",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::F64 => "F64",
            Dtype::I32 => "I32",
            Dtype::I64 => "I64",
            Dtype::Bool => "BOOL",
        }
    }

    pub fn from_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Floating point, of any width.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64)
    }
}

/// Elements of one type. The length of `bytes` is the product of `shape` times `dtype.bytes()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Little endian, row-major.
    pub bytes: Vec<u8>,
}

/// How many elements a shape holds, unless that overflows.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
}

impl Array {
    /// An array over bytes that are already in order.
    ///
    /// # Panics
    /// If `bytes` does not hold exactly `shape`: a fault of the caller. Readers of files check first.
    pub fn new(dtype: Dtype, shape: impl Into<Vec<usize>>, bytes: Vec<u8>) -> Self {
        let shape = shape.into();
        let want = elements(&shape).and_then(|n| n.checked_mul(dtype.bytes()));
        assert_eq!(want, Some(bytes.len()), "bytes of {dtype:?} {shape:?}");
        Self { dtype, shape, bytes }
    }

    /// # Panics
    /// If `values` does not hold exactly `shape`.
    pub fn f32(shape: impl Into<Vec<usize>>, values: &[f32]) -> Self {
        Self::new(Dtype::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// # Panics
    /// If `values` does not hold exactly `shape`.
    pub fn u32(shape: impl Into<Vec<usize>>, values: &[u32]) -> Self {
        Self::new(Dtype::U32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// # Panics
    /// If `values` does not hold exactly `shape`.
    pub fn u8(shape: impl Into<Vec<usize>>, values: &[u8]) -> Self {
        Self::new(Dtype::U8, shape, values.to_vec())
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Every element as `f32`; wider types are rounded to the nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = &self.bytes;
        match self.dtype {
            Dtype::F32 => each(bytes, f32::from_le_bytes),
            Dtype::U32 => each(bytes, |b| u32::from_le_bytes(b) as f32),
            Dtype::U8 => each(bytes, |[b]| f32::from(b)),
            Dtype::F16 => each(bytes, |b| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::BF16 => each(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Dtype::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
            Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
            Dtype::Bool => each(bytes, |[b]| f32::from(u8::from(b != 0))),
        }
    }

    /// Every element as a whole number; `None` where they are floats.
    pub fn whole(&self) -> Option<Box<dyn Iterator<Item = i64> + '_>> {
        let bytes = &self.bytes;
        Some(match self.dtype {
            Dtype::U32 => Box::new(read(bytes, |b| i64::from(u32::from_le_bytes(b)))),
            Dtype::U8 => Box::new(read(bytes, |[b]| i64::from(b))),
            Dtype::Bool => Box::new(read(bytes, |[b]| i64::from(b != 0))),
            Dtype::I32 => Box::new(read(bytes, |b| i64::from(i32::from_le_bytes(b)))),
            Dtype::I64 => Box::new(read(bytes, i64::from_le_bytes)),
            Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => return None,
        })
    }

    /// Every element as `u32`.
    ///
    /// # Errors
    /// `Kind::Checkpoint` when the elements are floats, negative, or too large.
    pub fn to_u32(&self) -> Result<Vec<u32>> {
        if self.dtype == Dtype::U32 {
            return Ok(each(&self.bytes, u32::from_le_bytes));
        }
        let wide = self.whole().ok_or_else(|| {
            Error::checkpoint("an array of floats stands where whole numbers are expected")
                .at(format!("expected: U32, found: {}", self.dtype.name()))
        })?;
        let narrow = |(i, v): (usize, i64)| {
            u32::try_from(v).map_err(|_| {
                Error::checkpoint("a number does not fit into 32 bits without a sign")
                    .at(format!("element {i}: {v}"))
            })
        };
        wide.enumerate().map(narrow).collect()
    }
}

/// Reads `N`-byte elements one by one.
fn read<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.as_chunks::<N>().0.iter().map(move |chunk| read(*chunk))
}
fn each<const N: usize, T>(bytes: &[u8], with: impl Fn([u8; N]) -> T) -> Vec<T> {
    read(bytes, with).collect()
}

/// IEEE 754 half precision, subnormals included.
fn f16_to_f32(half: u16) -> f32 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = (half >> 10) & 0x1f;
    let fraction = f32::from(half & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dtype: Dtype, bytes: &[u8]) -> Array {
        Array::new(dtype, [bytes.len() / dtype.bytes()], bytes.to_vec())
    }

    #[test]
    fn halves_have_their_published_values() {
        // 1, -2, largest, smallest normal, smallest subnormal, -0, inf.
        let bits = [0x3c00u16, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8000, 0x7c00];
        let want = [1.0, -2.0, 65504.0, 2f32.powi(-14), 2f32.powi(-24), -0.0, f32::INFINITY];
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        let got = of(Dtype::F16, &bytes).to_f32();
        for (g, w) in got.iter().zip(want) {
            assert_eq!(g.to_bits(), f32::to_bits(w), "{g} against {w}");
        }
        assert!(of(Dtype::F16, &0x7e00u16.to_le_bytes()).to_f32()[0].is_nan());
        assert_eq!(of(Dtype::BF16, &[0x80, 0x3f, 0x40, 0xc0]).to_f32(), [1.0, -3.0]);
    }

    #[test]
    fn every_type_becomes_f32() {
        assert_eq!(of(Dtype::F64, &0.25f64.to_le_bytes()).to_f32(), [0.25]);
        assert_eq!(of(Dtype::I32, &(-7i32).to_le_bytes()).to_f32(), [-7.0]);
        assert_eq!(of(Dtype::I64, &(-9i64).to_le_bytes()).to_f32(), [-9.0]);
        assert_eq!(of(Dtype::Bool, &[0, 1, 5]).to_f32(), [0.0, 1.0, 1.0]);
        assert_eq!(of(Dtype::U8, &[0, 200]).to_f32(), [0.0, 200.0]);
        assert_eq!(Array::u32([1], &[u32::MAX]).to_f32(), [u32::MAX as f32]);
        assert_eq!(Array::f32([2], &[1.5, f32::MIN_POSITIVE]).to_f32(), [1.5, f32::MIN_POSITIVE]);
    }

    #[test]
    fn whole_numbers_are_checked() {
        assert_eq!(Array::u32([2], &[3, u32::MAX]).to_u32().unwrap(), [3, u32::MAX]);
        assert_eq!(of(Dtype::I64, &5i64.to_le_bytes()).to_u32().unwrap(), [5]);
        assert!(of(Dtype::I32, &(-1i32).to_le_bytes()).to_u32().is_err());
        assert!(of(Dtype::I64, &(1i64 << 40).to_le_bytes()).to_u32().is_err());
        assert!(Array::f32([1], &[1.0]).to_u32().is_err() && Array::f32([1], &[1.0]).whole().is_none());
        let wide = of(Dtype::I64, &[(-1i64).to_le_bytes(), (1i64 << 40).to_le_bytes()].concat());
        assert_eq!(wide.whole().unwrap().collect::<Vec<_>>(), [-1, 1 << 40]);
    }

    #[test]
    fn names_and_shapes() {
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("F8_E4M3"), None);
        assert_eq!((elements(&[]), elements(&[3, 0]), elements(&[usize::MAX, 2])), (Some(1), Some(0), None));
    }
}
