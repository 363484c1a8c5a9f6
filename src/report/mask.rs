//! Finds out which entries of a tensor are kept, and which arrays are tensors in their own right.
//!
//! The mask of `fc1.weight` is the array `fc1.weight.mask`: packed bits in a checkpoint (U32, bit `i % 32` of
//! word `i / 32`), one number per weight in a dump. Without a mask the kept entries are those that are not zero.

use crate::error::{Error, Result};
use crate::store::array::{Array, Arrays, Dtype, elements};

/// What a mask's name adds to the name of its weight.
pub const SUFFIX: &str = ".mask";

/// One flag per entry of `shape`, from packed bits or from an array of that very shape.
pub fn unpack(mask: &Array, shape: &[usize]) -> Result<Vec<bool>> {
    let n = elements(shape).unwrap_or(usize::MAX);
    if mask.dtype == Dtype::U32 && mask.len() == n.div_ceil(32) && mask.shape != shape {
        let words = mask.to_u32()?;
        return Ok((0..n).map(|i| words[i / 32] >> (i % 32) & 1 == 1).collect());
    }
    // One flag per weight. A single word and a single weight look alike; both say the same.
    if mask.len() == n && elements(&mask.shape) == Some(n) {
        return Ok(mask.to_f32().iter().map(|&flag| flag != 0.0).collect());
    }
    Err(Error::checkpoint("a mask does not fit its weight").at(format!(
        "expected: {} words, or the shape {shape:?}; found: {} {:?}",
        n.div_ceil(32),
        mask.dtype.name(),
        mask.shape
    )))
}

/// Packs flags as checkpoints hold them: U32, bit `i % 32` of word `i / 32`.
pub fn pack(kept: &[bool]) -> Array {
    let word = |flags: &[bool]| flags.iter().rev().fold(0, |word, &flag| word << 1 | u32::from(flag));
    let words: Vec<u32> = kept.chunks(32).map(word).collect();
    Array::u32([words.len()], &words)
}

/// Which entries of the tensor `name` are kept; `None` for the mask when it has none and zeros count as pruned.
pub fn kept(arrays: &Arrays, name: &str, values: &[f32]) -> Result<Vec<bool>> {
    let Some(mask) = arrays.get(&format!("{name}{SUFFIX}")) else {
        return Ok(values.iter().map(|&value| value != 0.0).collect());
    };
    unpack(mask, &arrays[name].shape).map_err(|e| e.at(format!("tensor: {name}")))
}

/// The arrays with every masked weight as the network sees it: 0 behind its mask, also where a value lives on there.
pub fn applied(arrays: &Arrays) -> Result<Arrays> {
    let mut all = arrays.clone();
    for (name, array) in &mut all {
        if !arrays.contains_key(&format!("{name}{SUFFIX}")) {
            continue;
        }
        let mut values = array.to_f32();
        let kept = kept(arrays, name, &values)?;
        values.iter_mut().zip(kept).filter(|(_, kept)| !kept).for_each(|(value, _)| *value = 0.0);
        *array = Array::f32(array.shape.clone(), &values);
    }
    Ok(all)
}

/// The array whose mask, gradient or optimizer slot `name` is: the one named `fc1.weight` for
/// `fc1.weight.momentum`.
pub fn owner<'a>(arrays: &Arrays, name: &'a str) -> Option<&'a str> {
    let mut ends = name.rmatch_indices('.').map(|(dot, _)| &name[..dot]);
    ends.find(|shorter| arrays.contains_key(*shorter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_bits_come_back(kept in prop::collection::vec(any::<bool>(), 0..200)) {
            prop_assume!(kept.len() != 1);
            prop_assert_eq!(unpack(&pack(&kept), &[kept.len()]).unwrap(), kept);
        }
    }

    #[test]
    fn bits_stand_where_the_format_says() {
        let mut kept = vec![false; 65];
        for i in [0, 31, 33, 64] {
            kept[i] = true;
        }
        assert_eq!(pack(&kept).to_u32().unwrap(), [0x8000_0001, 2, 1]);
        let flags = Array::u8([5, 13], &kept.iter().map(|&k| u8::from(k)).collect::<Vec<_>>());
        assert_eq!(unpack(&flags, &[5, 13]).unwrap(), kept);
        assert_eq!(unpack(&Array::u32([1], &[0]), &[1]).unwrap(), [false]);
        assert_eq!(unpack(&Array::u32([1], &[1]), &[1, 1]).unwrap(), [true]);
        assert!(unpack(&Array::u32([2], &[0; 2]), &[65]).is_err());
        assert!(unpack(&Array::u8([3], &[1; 3]), &[65]).is_err());
    }

    #[test]
    fn masks_win_over_zeros_and_owners_are_found() {
        let mut arrays = Arrays::from([("fc.weight".into(), Array::f32([3], &[0.0, 1.0, 2.0]))]);
        let values = arrays["fc.weight"].to_f32();
        assert_eq!(kept(&arrays, "fc.weight", &values).unwrap(), [false, true, true]);
        arrays.insert("fc.weight.mask".into(), Array::u32([1], &[0b011]));
        assert_eq!(kept(&arrays, "fc.weight", &values).unwrap(), [true, true, false]);
        assert_eq!(owner(&arrays, "fc.weight.adam.m"), Some("fc.weight"));
        assert_eq!((owner(&arrays, "fc.weight"), owner(&arrays, "fc.bias")), (None, None));
    }
}
