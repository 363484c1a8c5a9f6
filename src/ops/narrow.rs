//! bf16 copies of activations and their gradients: half the bytes to load, all of the range, eight bits of precision.

use super::groups;
use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/narrow.wgsl`.
    pub struct Args { octets: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/narrow"), twin).proven();
const WG: usize = 64;

/// A tensor (rows, cols) of f32, and its bf16 copy where there is one. As a result: written as bf16 where there is a copy,
/// and as f32 where there is none.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub wide: &'a Tensor,
    pub narrow: Option<&'a Tensor>,
}

impl<'a> Operand<'a> {
    /// As an operand: the copy, if there is one.
    pub fn read(self) -> &'a Tensor {
        self.narrow.unwrap_or(self.wide)
    }
    /// As a result: as bf16 alone, if `narrow` and there is a copy, or as f32.
    pub fn only(mut self, narrow: bool) -> Self {
        self.narrow = self.narrow.filter(|_| narrow);
        self
    }
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    fn from(wide: &'a Tensor) -> Self {
        Self { wide, narrow: None }
    }
}

/// Room for the copy of a tensor of this shape: (rows, cols / 2) words.
pub fn tensor(gpu: &Gpu, of: &Tensor) -> Result<Tensor> {
    gpu.tensor(&format!("{} bf16", of.label()), Dtype::U32, &[of.shape[0], of.shape[1] / 2])
}

/// Records `out = x`, rounded to nearest even. x: (rows, cols), cols a multiple of 8.
pub fn record(rec: &mut Recorder, x: &Tensor, out: &Tensor) -> Result<()> {
    let octets = x.len() / 8;
    let args = Args { octets: octets as u32 };
    rec.dispatch(&MAIN, bind! { args: &args, x: x, out: out }, groups(octets, WG), 0)
}

/// The upper half of a number's bits, rounded to nearest even.
pub fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The numbers of a copy, in the order of columns.
pub fn widen(words: &[u32]) -> Vec<f32> {
    let octet = |four: &[u32]| {
        let low = four.iter().map(|word| f32::from_bits(word << 16));
        low.chain(four.iter().map(|word| f32::from_bits(word & 0xffff_0000))).collect::<Vec<_>>()
    };
    words.chunks_exact(4).flat_map(octet).collect()
}

/// `len` numbers of as many words, or of half as many as bf16: what [`store`] has stored.
pub fn load(words: &[u32], len: usize) -> Vec<f32> {
    if words.len() == len { words.iter().map(|&word| f32::from_bits(word)).collect() } else { widen(words) }
}

/// Fills a copy with the numbers, in the order of columns.
pub fn fill(words: &mut [u32], values: &[f32]) {
    for (four, eight) in words.chunks_exact_mut(4).zip(values.chunks_exact(8)) {
        for (c, word) in four.iter_mut().enumerate() {
            *word = u32::from(round(eight[c])) | u32::from(round(eight[c + 4])) << 16;
        }
    }
}

/// Stores a result in as many words, or in half as many as bf16.
pub fn store(words: &mut [u32], values: &[f32]) {
    if words.len() == values.len() {
        words.copy_from_slice(bytemuck::cast_slice(values));
    } else {
        fill(words, values);
    }
}

fn twin(t: &Twin) {
    fill(&mut t.u32_mut("out"), &t.f32("x"));
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/narrow", |t, n| {
        let mut values = t.values(n * 8);
        // Ties, both ways; the largest; what is none, and what is without end.
        let edges = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MAX, f32::NAN, f32::INFINITY, -0.0, 1e-40];
        values.iter_mut().zip(edges).for_each(|(value, edge)| *value = edge);
        let x = t.gpu.upload_f32("x", &[n, 8], &values)?;
        let out = t.output_u32("out", &[n, 4])?;
        record(&mut t.rec, &x, &out)
    })]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        for (value, want) in [
            (1.0, 1.0f32),
            (-2.5, -2.5),
            (1.0 + 1.0 / 256.0, 1.0), // half way between 1 and 1.0078125: to even
            (1.0 + 3.0 / 256.0, 1.015_625), // half way between 1.0078125 and 1.015625: to even
            (0.1, 0.100_097_656),
        ] {
            assert_eq!(f32::from_bits(u32::from(round(value)) << 16), want, "{value}");
        }
        assert!(f32::from_bits(u32::from(round(f32::NAN)) << 16).is_nan());
        assert_eq!(f32::from_bits(u32::from(round(f32::MAX)) << 16), f32::INFINITY);
    }
}
