//! Masks as bits, i % 32 of word i / 32, and as indices.

/// The indices of the bits that are set, in rising order.
pub fn indices(mask: &[u32]) -> Vec<u32> {
    let mut all = Vec::with_capacity(kept(mask));
    for (word, &bits) in mask.iter().enumerate() {
        let mut bits = bits;
        while bits != 0 {
            all.push(word as u32 * 32 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    all
}

/// A mask over `len` weights with these indices set.
pub fn mask_of(indices: &[u32], len: usize) -> Vec<u32> {
    let mut mask = vec![0u32; len.div_ceil(32)];
    indices.iter().for_each(|&i| mask[i as usize / 32] |= 1 << (i % 32));
    mask
}

/// A mask that keeps all of `len` weights; bits beyond the end are 0.
pub fn full_mask(len: usize) -> Vec<u32> {
    let word = |first: usize| if len - first >= 32 { u32::MAX } else { (1u32 << (len - first)) - 1 };
    (0..len).step_by(32).map(word).collect()
}

/// How many weights a mask keeps.
pub fn kept(mask: &[u32]) -> usize {
    mask.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_masks_have_no_bits_beyond_the_end() {
        for len in [0, 1, 31, 32, 33, 63, 64, 65, 257] {
            assert_eq!(kept(&full_mask(len)), len);
        }
    }
}
