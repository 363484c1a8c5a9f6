//! Checkpoints store a held mask's weights without their zeros: the mask, and the kept values in order.
//!
//! Exact both ways: a tensor is stored so only if every pruned value is +0, bit for bit.

use crate::error::{Error, Result};
use crate::store::{Array, Arrays, Dtype};

/// `fc1.weight` with mask `fc1.weight.mask` becomes `fc1.weight.kept`; slots of it alike.
const KEPT: &str = ".kept";
const MASK: &str = ".mask";

/// The weight that a tensor belongs to, if that weight has a mask: itself, or the one whose slot it is.
fn owner<'a>(arrays: &Arrays, name: &'a str) -> Option<&'a str> {
    let has_mask = |weight: &str| arrays.contains_key(&format!("{weight}{MASK}"));
    match name.rsplit_once('.') {
        _ if name.ends_with(MASK) => None,
        _ if has_mask(name) => Some(name),
        Some((weight, _)) if has_mask(weight) => Some(weight),
        _ => None,
    }
}

fn bit(mask: &[u32], i: usize) -> bool {
    mask[i / 32] >> (i % 32) & 1 == 1
}

/// Leaves the zeros of held masks out.
pub fn compact(arrays: &Arrays) -> Result<Arrays> {
    let mut all = Arrays::new();
    for (name, array) in arrays {
        let stored = match owner(arrays, name) {
            Some(weight) => shrink(array, &arrays[&format!("{weight}{MASK}")].to_u32()?),
            None => None,
        };
        match stored {
            Some(kept) => all.insert(format!("{name}{KEPT}"), kept),
            None => all.insert(name.clone(), array.clone()),
        };
    }
    Ok(all)
}

fn shrink(array: &Array, mask: &[u32]) -> Option<Array> {
    if array.dtype != Dtype::F32 || mask.len() != array.len().div_ceil(32) {
        return None;
    }
    let mut kept = Vec::new();
    for (i, value) in array.bytes.chunks_exact(4).enumerate() {
        match (bit(mask, i), value) {
            (true, _) => kept.extend_from_slice(value),
            (false, [0, 0, 0, 0]) => {}
            _ => return None,
        }
    }
    Some(Array::new(Dtype::F32, vec![kept.len() / 4], kept))
}

/// Puts the zeros back. `shape_of` gives a weight's shape.
///
/// # Errors
/// `Kind::Checkpoint` where a mask and the number of kept values disagree.
pub fn expand(arrays: Arrays, shape_of: impl Fn(&str) -> Option<Vec<usize>>) -> Result<Arrays> {
    let mut all = Arrays::new();
    for (stored, array) in &arrays {
        let Some(name) = stored.strip_suffix(KEPT) else {
            all.insert(stored.clone(), array.clone());
            continue;
        };
        let damaged =
            |what: String| Error::checkpoint(format!("tensor `{stored}` cannot be unpacked")).at(what);
        let weight = owner(&arrays, name).ok_or_else(|| damaged("its mask is missing".into()))?;
        let mask = arrays[&format!("{weight}{MASK}")].to_u32()?;
        let shape =
            shape_of(weight).ok_or_else(|| damaged(format!("the shape of `{weight}` is not recorded")))?;
        let len: usize = shape.iter().product();
        let kept: usize = mask.iter().map(|word| word.count_ones() as usize).sum();
        if mask.len() != len.div_ceil(32) || kept != array.len() || array.dtype != Dtype::F32 {
            return Err(damaged(format!(
                "{} values, a mask of {} words with {kept} bits, shape {shape:?}",
                array.len(),
                mask.len()
            )));
        }
        let mut values = array.bytes.chunks_exact(4);
        let mut bytes = vec![0; len * 4];
        for i in (0..len).filter(|&i| bit(&mask, i)) {
            bytes[i * 4..][..4].copy_from_slice(values.next().expect("counted"));
        }
        all.insert(name.to_string(), Array::new(Dtype::F32, shape, bytes));
    }
    Ok(all)
}

/// Bytes of weights, biases and masks as a checkpoint stores them; slots are not counted.
pub fn stored_bytes(weights: &Arrays) -> Result<u64> {
    Ok(compact(weights)?.values().map(|array| array.bytes.len() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips_are_exact(bits in prop::collection::vec(any::<bool>(), 0..200), latent in any::<bool>()) {
            let n = bits.len();
            let mut mask = vec![0u32; n.div_ceil(32)];
            let mut values = vec![0.0f32; n];
            for (i, _) in bits.iter().enumerate().filter(|(_, kept)| **kept) {
                mask[i / 32] |= 1 << (i % 32);
                values[i] = -(i as f32);
            }
            if latent && n > 0 { values[0] = 0.5; }
            let arrays = Arrays::from([
                ("fc.weight".to_string(), Array::f32(vec![n], &values)),
                ("fc.weight.velocity".to_string(), Array::f32(vec![n], &values)),
                ("fc.weight.mask".to_string(), Array::u32(vec![mask.len()], &mask)),
                ("fc.bias".to_string(), Array::f32(vec![2], &[1.0, 2.0])),
            ]);
            let small = compact(&arrays).unwrap();
            let kept = bits.iter().filter(|kept| **kept).count();
            if !latent { prop_assert_eq!(small["fc.weight.kept"].len(), kept); }
            prop_assert_eq!(expand(small, |_| Some(vec![n])).unwrap(), arrays);
        }
    }

    #[test]
    fn a_mask_that_disagrees_is_refused() {
        let arrays = Arrays::from([
            ("w.kept".to_string(), Array::f32(vec![2], &[1.0, 2.0])),
            ("w.mask".to_string(), Array::u32(vec![1], &[1])),
        ]);
        assert!(expand(arrays, |_| Some(vec![4])).is_err());
    }
}
