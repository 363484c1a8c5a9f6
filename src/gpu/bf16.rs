//! bf16 on the host: the upper half of an f32, two to a word, as `shaders/ops/bf16.wgsl` lays them out.

/// The upper half of a number's bits, rounded to nearest even.
pub fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The numbers of pairs, in the order of columns.
pub(super) fn widen(words: &[u32]) -> Vec<f32> {
    let octet = |four: &[u32]| {
        let low = four.iter().map(|word| f32::from_bits(word << 16));
        low.chain(four.iter().map(|word| f32::from_bits(word & 0xffff_0000))).collect::<Vec<_>>()
    };
    words.chunks_exact(4).flat_map(octet).collect()
}

/// Fills pairs with numbers in the order of columns.
pub(super) fn fill(words: &mut [u32], values: &[f32]) {
    for (four, eight) in words.chunks_exact_mut(4).zip(values.chunks_exact(8)) {
        for (c, word) in four.iter_mut().enumerate() {
            *word = u32::from(round(eight[c])) | u32::from(round(eight[c + 4])) << 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dtype, Gpu};

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

    #[test]
    fn a_tensor_has_as_many_elements_as_its_shape_says_in_half_the_bytes() {
        let gpu = Gpu::twin();
        let tensor = gpu.tensor("x", Dtype::Bf16, &[3, 16]).unwrap();
        assert_eq!((tensor.len(), tensor.bytes()), (48, 96));
        let mut words = vec![0; 24];
        let values: Vec<f32> = (0..48).map(|i| i as f32).collect();
        fill(&mut words, &values);
        tensor.write(&words).unwrap();
        assert_eq!(tensor.read_f32().unwrap(), values);
        assert_eq!(tensor.rows(1..3).read_f32().unwrap(), values[16..]);
        assert_eq!(tensor.first(&[2, 8]).read_f32().unwrap(), values[..16]);
        assert_eq!(tensor.words().read_u32().unwrap(), words);
        assert_eq!(tensor.words().shape, [3, 8]);
        assert!(gpu.tensor("x", Dtype::Bf16, &[3, 12]).is_err(), "rows are whole octets");
    }
}
