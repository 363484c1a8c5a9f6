//! Files hold a held mask's weights without their zeros: the kept values in order, and where they belong.
//!
//! `fc1.weight` becomes `fc1.weight.kept`, and so do its slots; beside them stands where they belong (`indices`).
//! Masked and packed weights look alike.

use super::indices::{self, MASK};
use super::layout;
use crate::error::{Error, Result};
use crate::param::mask_of;
use crate::store::array::elements;
use crate::store::{Array, Arrays, Dtype};

pub(super) const KEPT: &str = ".kept";
/// Of a packed weight in a file of its own: its shape.
const SHAPE: &str = ".shape";

/// Whether what follows a weight's name in a file is the weight itself or says where it belongs: no slot of it.
pub fn is_weight(suffix: &str) -> bool {
    ["", KEPT].contains(&suffix) || indices::SUFFIXES.contains(&suffix)
}

/// Adds the shape of a packed weight.
pub fn insert_shape(arrays: &mut Arrays, weight: &str, shape: &[u32]) {
    arrays.insert(format!("{weight}{SHAPE}"), Array::u32(vec![shape.len()], shape));
}

/// Lays out what `insert_shape` describes, as PyTorch has it; other arrays stay as they are.
///
/// # Errors
/// `Kind::Checkpoint` where shape, indices and values disagree.
pub fn expand_described(arrays: Arrays) -> Result<Arrays> {
    let shape_of = |weight: &str| {
        let shape = arrays.get(&format!("{weight}{SHAPE}"))?.to_u32().ok()?;
        Some(shape.into_iter().map(|extent| extent as usize).collect())
    };
    let is_packed = |weight: &str| arrays.contains_key(&format!("{weight}{KEPT}"));
    let is_shape = |name: &str| name.strip_suffix(SHAPE).is_some_and(is_packed);
    if !arrays.keys().any(|name| is_shape(name)) {
        return Ok(arrays);
    }
    let mut all = expand(&arrays, shape_of)?;
    all.retain(|name, _| !is_shape(name));
    let is_turned =
        |name: &str, array: &Array| array.shape.len() > 2 || layout::is_of_table(&arrays, name, array);
    // Indices count the weights as they lie on the device. What was whole lies as PyTorch has it already.
    let (whole, laid_out): (Arrays, Arrays) =
        all.into_iter().partition(|(name, _)| arrays.get(name).is_some_and(|array| is_turned(name, array)));
    Ok(layout::all_to_torch(&laid_out).into_iter().chain(whole).collect())
}

/// The weight that a tensor belongs to, if that weight has a mask: itself, or the one whose slot it is.
fn owner<'a>(arrays: &Arrays, name: &'a str) -> Option<&'a str> {
    match name.rsplit_once('.') {
        _ if indices::are_in(arrays, name) => Some(name),
        Some((weight, _)) if indices::are_in(arrays, weight) => Some(weight),
        _ => None,
    }
}

/// Adds the kept values of a weight or slot, in rising order of their index.
pub fn insert_kept(arrays: &mut Arrays, name: &str, kept: &[f32]) {
    arrays.insert(format!("{name}{KEPT}"), Array::f32(vec![kept.len()], kept));
}

/// The values of a weight or slot as a file holds them: those that are kept, or all.
pub fn values<'a>(arrays: &'a Arrays, name: &str) -> Option<&'a Array> {
    arrays.get(&format!("{name}{KEPT}")).or_else(|| arrays.get(name))
}

/// The kept values of a weight or slot.
///
/// # Errors
/// `Kind::Checkpoint` where they are missing or not `count`.
pub fn kept(arrays: &Arrays, name: &str, count: usize) -> Result<Vec<f32>> {
    let stored = format!("{name}{KEPT}");
    let array = arrays.get(&stored).ok_or_else(|| {
        Error::checkpoint(format!("tensor `{stored}` is missing"))
            .hint("the recipe that these weights were trained with")
    })?;
    if array.len() != count || array.dtype != Dtype::F32 {
        return Err(Error::checkpoint(format!("tensor `{stored}` does not fit its mask"))
            .at(format!("expected: {count} values; found: {:?}", array.shape)));
    }
    Ok(array.to_f32())
}

/// Puts the zeros back, and a bit a weight in place of lists, blocks and groups. `shape_of` gives a weight's shape.
///
/// # Errors
/// `Kind::Checkpoint` where a mask and the number of kept values disagree.
pub fn expand(arrays: &Arrays, shape_of: impl Fn(&str) -> Option<Vec<usize>>) -> Result<Arrays> {
    let mut all = Arrays::new();
    for (stored, array) in arrays {
        let told = indices::SUFFIXES.iter().find_map(|suffix| stored.strip_suffix(suffix));
        if let Some(weight) = told.filter(|weight| indices::are_compact(arrays, weight)) {
            let shape = length(weight, &shape_of)?;
            let mask = mask_of(&indices::read(arrays, weight, &shape)?, shape.iter().product());
            all.insert(format!("{weight}{MASK}"), Array::u32(vec![mask.len()], &mask));
            continue;
        }
        let Some(name) = stored.strip_suffix(KEPT) else {
            all.insert(stored.clone(), array.clone());
            continue;
        };
        let weight = owner(arrays, name).ok_or_else(|| {
            Error::checkpoint(format!("tensor `{stored}` cannot be unpacked")).at("its mask is missing")
        })?;
        let shape = length(weight, &shape_of)?;
        let len: usize = shape.iter().product();
        let indices = indices::read(arrays, weight, &shape)?;
        let mut values = vec![0.0; len];
        for (index, value) in indices.iter().zip(kept(arrays, name, indices.len())?) {
            values[*index as usize] = value;
        }
        all.insert(name.to_string(), Array::f32(shape, &values));
    }
    Ok(all)
}

fn length(weight: &str, shape_of: &impl Fn(&str) -> Option<Vec<usize>>) -> Result<Vec<usize>> {
    let shape = shape_of(weight)
        .ok_or_else(|| Error::checkpoint(format!("the shape of `{weight}` is not recorded")))?;
    let few = elements(&shape).is_some_and(|count| count <= u32::MAX as usize);
    let refused =
        || Error::checkpoint(format!("`{weight}` has 2^32 elements or more")).at(format!("{shape:?}"));
    if few { Ok(shape) } else { Err(refused()) }
}

/// Bytes of arrays as files hold them.
pub fn bytes(stored: &Arrays) -> u64 {
    stored.values().map(|array| array.bytes.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::packed::Form;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips_are_exact(bits in prop::collection::vec(0..40u8, 0..300), below in 0..40u8) {
            let n = bits.len();
            let kept: Vec<u32> = (0..n as u32).filter(|&i| bits[i as usize] < below).collect();
            let mut values = vec![0.0f32; n];
            kept.iter().for_each(|&i| values[i as usize] = -(i as f32) - 1.0);
            let mask = mask_of(&kept, n);
            let dense = Arrays::from([
                ("fc.weight".to_string(), Array::f32(vec![n], &values)),
                ("fc.weight.velocity".to_string(), Array::f32(vec![n], &values)),
                ("fc.weight.mask".to_string(), Array::u32(vec![mask.len()], &mask)),
                ("fc.bias".to_string(), Array::f32(vec![2], &[1.0, 2.0])),
            ]);
            let only: Vec<f32> = kept.iter().map(|&i| values[i as usize]).collect();
            let mut small = Arrays::from([("fc.bias".to_string(), Array::f32(vec![2], &[1.0, 2.0]))]);
            insert_kept(&mut small, "fc.weight", &only);
            insert_kept(&mut small, "fc.weight.velocity", &only);
            indices::insert(&mut small, "fc.weight", Form::Free, &[n], &kept);
            prop_assert_eq!(indices::read(&small, "fc.weight", &[n]).unwrap(), kept.clone());
            prop_assert!(bytes(&small) <= 8 + 8 * kept.len() as u64 + 4 * (n as u64).div_ceil(32));
            prop_assert_eq!(expand(&small, |_| Some(vec![n])).unwrap(), dense);
        }
    }

    #[test]
    fn what_disagrees_is_refused() {
        let arrays = |name: &str, words: &[u32]| {
            Arrays::from([
                ("w.kept".to_string(), Array::f32(vec![2], &[1.0, 2.0])),
                (name.to_string(), Array::u32(vec![words.len()], words)),
            ])
        };
        let shape = |_: &str| Some(vec![4]);
        assert!(expand(&arrays("w.mask", &[3]), shape).is_ok());
        for (name, words) in [
            ("w.mask", &[1u32][..]),
            ("w.mask", &[48]),
            ("w.places", &[2, 1]),
            ("w.places", &[1, 4]),
            ("v.mask", &[3]),
        ] {
            assert!(expand(&arrays(name, words), shape).is_err(), "{name} {words:?}");
        }
    }
}
