//! Which way round a convolution's weight and a table of positions lie.
//!
//! On the device and in a run's own files it is (out, taps.., in): the inputs that a product reads lie side by side.
//! Wherever people and other programs see it, it is (out, in, taps..), as PyTorch has it. Gradients, slots and masks lie as
//! their weight does; matrices and vectors are the same in both, but for the tables of positions: (channels, steps) on the
//! device, (steps, channels) wherever people see them.

use crate::param::{Param, mask_of};
use crate::store::array::Dtype;
use crate::store::{Array, Arrays};

/// The shape of a parameter as PyTorch has it.
pub fn shape_of(param: &Param) -> Vec<usize> {
    match param.shape[..] {
        [channels, steps] if is_table(&param.name) => vec![steps, channels],
        _ => torch_shape(&param.shape),
    }
}

/// Whether a parameter is a table of positions, by its name.
fn is_table(name: &str) -> bool {
    name.ends_with(".table")
}

/// A parameter's values as PyTorch has them.
pub fn param_to_torch(name: &str, array: &Array) -> Array {
    match array.shape[..] {
        [_, _] if is_table(name) => table_to_torch(array),
        _ => to_torch(array),
    }
}

fn table_to_torch(array: &Array) -> Array {
    let [rows, columns] = [array.shape[0], array.shape[1]];
    let bytes = transposed(&array.bytes, [1, rows, columns], array.dtype.bytes());
    Array::new(array.dtype, vec![columns, rows], bytes)
}

/// The reverse of [`param_to_torch`].
pub fn param_from_torch(name: &str, array: &Array) -> Array {
    if is_table(name) { param_to_torch(name, array) } else { from_torch(array) }
}

/// A parameter's values from a file, as the device has them; `None` where the shape is another one. Tables of positions once
/// lay in files as they do on the device, which their shape tells unless it is square.
pub fn to_device(param: &Param, array: &Array) -> Option<Array> {
    if array.shape == shape_of(param) {
        return Some(param_from_torch(&param.name, array));
    }
    (is_table(&param.name) && array.shape == param.shape).then(|| array.clone())
}

/// Whether an array of a file is of a table of positions, or of what belongs to one.
pub fn is_of_table(arrays: &Arrays, name: &str, array: &Array) -> bool {
    let owner = name.rsplit_once('.').map(|(owner, _)| owner);
    let has_owner = owner.is_some_and(|owner| is_table(owner) && arrays.contains_key(owner));
    array.shape.len() == 2 && (is_table(name) || has_owner)
}

/// The shape of a weight as PyTorch has it.
pub fn torch_shape(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [out, ref taps @ .., channels] if !taps.is_empty() => [&[out, channels], taps].concat(),
        _ => shape.to_vec(),
    }
}

/// The index of a weight by PyTorch's shape, as it is by the device's.
pub fn device_index(index: &[usize]) -> Vec<usize> {
    match *index {
        [out, channel, ref taps @ ..] => [&[out], taps, &[channel]].concat(),
        _ => index.to_vec(),
    }
}

/// An array that lies as a parameter does, as PyTorch has it.
pub fn to_torch(array: &Array) -> Array {
    match *array.shape {
        [out, ref taps @ .., channels] if !taps.is_empty() => {
            let sides = [out, taps.iter().product(), channels];
            let bytes = transposed(&array.bytes, sides, array.dtype.bytes());
            Array::new(array.dtype, torch_shape(&array.shape), bytes)
        }
        _ => array.clone(),
    }
}

/// The reverse of [`to_torch`].
pub fn from_torch(array: &Array) -> Array {
    match *array.shape {
        [out, channels, ref taps @ ..] if !taps.is_empty() => {
            let sides = [out, channels, taps.iter().product()];
            let bytes = transposed(&array.bytes, sides, array.dtype.bytes());
            Array::new(array.dtype, device_index(&array.shape), bytes)
        }
        _ => array.clone(),
    }
}

/// Parameters and what belongs to them, as PyTorch has them. Masks may be bits: `conv.weight.mask` beside `conv.weight`.
/// Kept values without their zeros, and lists of where they belong, stay as they are.
pub fn all_to_torch(arrays: &Arrays) -> Arrays {
    let turn = |(name, array): (&String, &Array)| {
        let turned = match weight_of_bits(arrays, name, array) {
            Some((owner, weight)) => {
                // Bit i % 32 of word i / 32, little endian, is bit i % 8 of byte i / 8.
                let flag = |i: usize| array.bytes[i / 8] >> (i % 8) & 1;
                let flags: Vec<u8> = (0..weight.len()).map(flag).collect();
                bits(&param_to_torch(owner, &Array::u8(weight.shape.clone(), &flags)).bytes)
            }
            None if is_of_table(arrays, name, array) => table_to_torch(array),
            None => to_torch(array),
        };
        (name.clone(), turned)
    };
    arrays.iter().map(turn).collect()
}

/// The weight whose mask this is, with its name, if it is one of bits and the weight lies differently for PyTorch.
fn weight_of_bits<'a>(arrays: &'a Arrays, name: &'a str, mask: &Array) -> Option<(&'a str, &'a Array)> {
    let ends = name.rmatch_indices('.').map(|(dot, _)| &name[..dot]);
    let (owner, weight) = ends.filter_map(|owner| Some((owner, arrays.get(owner)?))).next()?;
    let fits = mask.dtype == Dtype::U32 && mask.shape == [weight.len().div_ceil(32)];
    (fits && (weight.shape.len() > 2 || is_table(owner))).then_some((owner, weight))
}

fn bits(flags: &[u8]) -> Array {
    let kept: Vec<u32> = (0..).zip(flags).filter(|(_, flag)| **flag == 1).map(|(i, _)| i).collect();
    let words = mask_of(&kept, flags.len());
    Array::u32([words.len()], &words)
}

/// (out, a, b) as (out, b, a), of elements of so many bytes.
fn transposed(bytes: &[u8], [out, a, b]: [usize; 3], width: usize) -> Vec<u8> {
    let mut turned = Vec::with_capacity(bytes.len());
    for row in 0..out {
        for y in 0..b {
            for x in 0..a {
                let from = ((row * a + x) * b + y) * width;
                turned.extend_from_slice(&bytes[from..from + width]);
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_distinct_values_is_turned() {
        // (out 1, height 2, width 2, in 2): ten times the input, plus the place in the kernel.
        let own = Array::f32([1, 2, 2, 2], &[0.0, 10.0, 1.0, 11.0, 2.0, 12.0, 3.0, 13.0]);
        let torch = Array::f32([1, 2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!(to_torch(&own), torch);
        assert_eq!(from_torch(&torch), own);
    }

    #[test]
    fn every_shape_and_type_comes_back() {
        for shape in [vec![], vec![3], vec![2, 5], vec![2, 3, 5], vec![3, 1, 2, 5], vec![0, 3, 3, 2]] {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
            let flags: Vec<u8> = (0..values.len()).map(|i| i as u8).collect();
            for own in [Array::f32(shape.clone(), &values), Array::u8(shape.clone(), &flags)] {
                assert_eq!(to_torch(&own).shape, torch_shape(&shape));
                assert_eq!(from_torch(&to_torch(&own)), own);
            }
        }
        assert_eq!(torch_shape(&[16, 3, 5, 8]), [16, 8, 3, 5]);
        assert_eq!(device_index(&[16, 8, 3, 5]), [16, 3, 5, 8]);
    }

    #[test]
    fn tables_of_positions_are_turned_with_what_belongs_to_them() {
        let table = Param::new("a.table", &[2, 3], Box::new(|_| 0.0));
        let own = Array::f32([2, 3], &[0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        let torch = Array::f32([3, 2], &[0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
        assert_eq!(shape_of(&table), torch.shape);
        // As files have it now, and as they once had it.
        assert_eq!(to_device(&table, &torch), Some(own.clone()));
        assert_eq!(to_device(&table, &own), Some(own.clone()));
        assert_eq!(to_device(&table, &Array::f32([6], &[0.0; 6])), None);
        let names = ["a.table", "a.table.first", "table.weight", "b.weight"];
        let all = all_to_torch(&names.map(|name| (name.to_string(), own.clone())).into());
        assert_eq!(names.map(|name| all[name] == torch), [true, true, false, false]);
    }

    /// Bits, flags and slots stay with the weight that they belong to, across words.
    #[test]
    fn masks_and_slots_turn_with_their_weight() {
        let shape = [5, 3, 3, 2];
        let kept: Vec<u8> = (0..90).map(|i| u8::from(i % 7 < 3)).collect();
        let value: Vec<f32> = kept.iter().enumerate().map(|(i, &kept)| i as f32 * f32::from(kept)).collect();
        let arrays = Arrays::from([
            ("conv.weight".to_string(), Array::f32(shape, &value)),
            ("conv.weight.mask".to_string(), bits(&kept)),
            ("conv.weight.velocity".to_string(), Array::f32(shape, &value)),
            ("conv.weight.threshold".to_string(), Array::f32([1], &[0.5])),
            ("fc.weight".to_string(), Array::f32([2, 2], &[1.0; 4])),
            ("fc.weight.mask".to_string(), Array::u32([1], &[0b0110])),
        ]);
        let torch = all_to_torch(&arrays);
        let turned = torch["conv.weight"].to_f32();
        let flags: Vec<u8> = turned.iter().map(|&value| u8::from(value != 0.0)).collect();
        // The first weight is kept, and 0.
        let flags = [&[1], &flags[1..]].concat();
        assert_eq!(torch["conv.weight.mask"], bits(&flags));
        assert_eq!(torch["conv.weight.velocity"], torch["conv.weight"]);
        for same in ["conv.weight.threshold", "fc.weight", "fc.weight.mask"] {
            assert_eq!(torch[same], arrays[same]);
        }
    }
}
