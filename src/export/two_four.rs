//! 2:4 weights: of every four consecutive inputs the two that are kept, and two bits for the place of each.
//!
//! One safetensors file. A weight is seen as rows of inputs: (out, in) as it is, a convolution's (out, in, h, w) as
//! (out, h, w, in), as groups lie along the input channels of one tap. With `groups` = inputs / 4 rounded up it becomes
//! - `NAME.values` (rows.., 2 groups): two numbers a group;
//! - `NAME.meta` (rows.., groups / 8 rounded up) u32: four bits a group, the first group in the lowest; the lower two say
//!   where in its group the first number belongs, the upper two the second, which lies further;
//! - `NAME.shape` i64: the shape in PyTorch, (out, in) or (out, in, h, w).
//!
//! Where a group keeps fewer than two, numbers that are 0 stand at its first free places.
//! These are the numbers and places that sparse tensor cores take ("Sparse matrix storage" in the PTX ISA, `mma.sp`);
//! libraries such as cuSPARSELt permute them further.

use std::path::Path;

use super::pruned::{self, is_pruned};
use super::{Format, Source};
use crate::error::{Error, Result};
use crate::store::{Array, Arrays, Dtype, safetensors};
use crate::train::layout;

pub const FORMAT: Format = Format {
    name: "2:4",
    about: "2:4 weights as two values of every four inputs and two bits for the place of each; safetensors",
    write,
};

const GROUP: usize = 4;
const KEPT: usize = 2;
/// Bits of a place, and groups of a word.
const PLACE: usize = 2;
const GROUPS: usize = 32 / (KEPT * PLACE);

fn write(source: &Source, path: &Path) -> Result<Vec<String>> {
    let (sparse, dense) = pruned::split(&source.weights, |_, array| is_two_four(array), nothing_is_two_four)?;
    let mut all: Arrays = dense.iter().map(|(name, array)| (name.to_string(), (*array).clone())).collect();
    for (name, array) in &sparse {
        all.extend(TwoFour::of(array).tensors(name));
    }
    safetensors::write(path, &all, &[("format", "coppice-2:4")])?;
    let mut lines = vec![format!("{}: {}", path.display(), pruned::told(&sparse, &dense, "as 2:4"))];
    let matrices: Vec<&str> =
        dense.iter().filter(|(_, w)| w.shape.len() >= 2).map(|(name, _)| *name).collect();
    if !matrices.is_empty() {
        lines.push(format!("not 2:4, and dense: {}", matrices.join(", ")));
    }
    Ok(lines)
}

fn nothing_is_two_four() -> Error {
    Error::usage("no weight of this network is 2:4")
        .at("a 2:4 weight keeps two of every four consecutive inputs, and has at least four")
        .hint("a run with pattern = \"2:4\" under [sparsity]; --to csr for other patterns")
}

/// Whether a pruned weight keeps at most two of every four inputs, and has as many as four.
fn is_two_four(array: &Array) -> bool {
    if !is_pruned(array) || array.shape[1] < GROUP {
        return false;
    }
    let rows = layout::from_torch(array);
    let inputs = array.shape[1];
    let kept = |group: &[f32]| group.iter().filter(|&&value| value != 0.0).count();
    rows.to_f32().chunks_exact(inputs).all(|row| row.chunks(GROUP).all(|group| kept(group) <= KEPT))
}

/// A weight in this format.
struct TwoFour {
    /// In PyTorch.
    shape: Vec<usize>,
    /// Without the inputs.
    rows: Vec<usize>,
    values: Vec<f32>,
    meta: Vec<u32>,
}

impl TwoFour {
    fn of(array: &Array) -> Self {
        let laid_out = layout::from_torch(array);
        let (inputs, rows) = laid_out.shape.split_last().expect("a weight has inputs");
        let mut own =
            Self { shape: array.shape.clone(), rows: rows.to_vec(), values: Vec::new(), meta: Vec::new() };
        for row in laid_out.to_f32().chunks_exact(*inputs) {
            for groups in row.chunks(GROUPS * GROUP) {
                let mut word = 0;
                for (number, group) in groups.chunks(GROUP).enumerate() {
                    let places = places(group);
                    own.values.extend(places.map(|place| group.get(place).copied().unwrap_or(0.0)));
                    let bits = places[0] | places[1] << PLACE;
                    word |= (bits as u32) << (KEPT * PLACE * number);
                }
                own.meta.push(word);
            }
        }
        own
    }

    fn tensors(&self, name: &str) -> Arrays {
        let rows: usize = self.rows.iter().product();
        let by_row = |len: usize| [&self.rows[..], &[len / rows]].concat();
        let shape = self.shape.iter().flat_map(|&extent| (extent as i64).to_le_bytes()).collect();
        let all = [
            ("values", Array::f32(by_row(self.values.len()), &self.values)),
            ("meta", Array::u32(by_row(self.meta.len()), &self.meta)),
            ("shape", Array::new(Dtype::I64, [self.shape.len()], shape)),
        ];
        all.into_iter().map(|(what, array)| (format!("{name}.{what}"), array)).collect()
    }
}

/// Two places of a group in rising order: those of what is kept, and the first free ones where that is less. A last
/// group of fewer inputs has free places behind them.
fn places(group: &[f32]) -> [usize; KEPT] {
    let is_kept = |place: &usize| group.get(*place).is_some_and(|&value| value != 0.0);
    let (kept, free): (Vec<usize>, Vec<usize>) = (0..GROUP).partition(is_kept);
    let mut both: Vec<usize> = kept.into_iter().chain(free).take(KEPT).collect();
    both.sort_unstable();
    [both[0], both[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the description alone.
    fn unpacked(tensors: &Arrays) -> Array {
        let shape: Vec<usize> =
            tensors["a.shape"].to_u32().unwrap().iter().map(|&extent| extent as usize).collect();
        let (values, meta) = (&tensors["a.values"], &tensors["a.meta"]);
        let (inputs, words) = (shape[1], *meta.shape.last().unwrap());
        let mut rows = values.shape.clone();
        let kept = rows.pop().unwrap();
        rows.push(inputs);
        let mut all = vec![0.0; rows.iter().product()];
        let (values, meta) = (values.to_f32(), meta.to_u32().unwrap());
        for (i, &value) in values.iter().enumerate() {
            let (row, group, second) = (i / kept, i % kept / 2, i % 2);
            let place = meta[row * words + group / 8] >> (4 * (group % 8) + 2 * second) & 3;
            let column = 4 * group + place as usize;
            assert!(column < inputs || value == 0.0);
            if column < inputs {
                all[row * inputs + column] = value;
            }
        }
        layout::to_torch(&Array::f32(rows, &all))
    }

    /// Keeps at most two of every four inputs: by pairs of places that go round, and now and then one or none.
    fn sample(shape: &[usize]) -> Array {
        let (out, inputs, taps) = (shape[0], shape[1], shape[2..].iter().product::<usize>());
        let pairs = [0b0011, 0b0101, 0b1001, 0b0110, 0b1010, 0b1100, 0b1000, 0b0000, 0b0001];
        let mut values = vec![0.0; out * inputs * taps];
        for (i, value) in values.iter_mut().enumerate() {
            let (row, input, tap) = (i / (inputs * taps), i / taps % inputs, i % taps);
            let pair = pairs[(5 * row + input / 4 + 2 * tap) % pairs.len()];
            *value = if pair >> (input % 4) & 1 == 1 { i as f32 + 0.5 } else { 0.0 };
        }
        Array::f32(shape.to_vec(), &values)
    }

    #[test]
    fn every_width_comes_back() {
        for shape in [
            vec![3, 4],
            vec![2, 5],
            vec![5, 32],
            vec![3, 33],
            vec![2, 63],
            vec![4, 6, 3, 3],
            vec![2, 65, 1, 2],
        ] {
            let weight = sample(&shape);
            assert!(is_two_four(&weight), "{shape:?}");
            let tensors = TwoFour::of(&weight).tensors("a");
            assert_eq!(unpacked(&tensors), weight, "{shape:?}");
            assert_eq!(*tensors["a.values"].shape.last().unwrap(), 2 * shape[1].div_ceil(4));
        }
    }

    /// The places of a group as the hardware has them: two that rise, whatever is kept.
    #[test]
    fn places_and_bits() {
        let weight = Array::f32([1, 10], &[0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0]);
        let packed = TwoFour::of(&weight);
        assert_eq!(packed.values, [1.0, 2.0, 0.0, 3.0, 0.0, 4.0]);
        assert_eq!(packed.meta, [0b0100_1100_1101]);
    }

    #[test]
    fn others_are_told_apart() {
        let mut third = sample(&[2, 8]);
        third.bytes[..12].copy_from_slice(&Array::f32([3], &[1.0; 3]).bytes);
        assert!(!is_two_four(&third), "three of a group");
        assert!(!is_two_four(&Array::f32([2, 3], &[0.0; 6])), "no four inputs");
        assert!(!is_two_four(&Array::f32([8], &[0.0; 8])), "no matrix");
        assert!(!is_two_four(&Array::f32([2, 4], &[1.0; 8])));
    }
}
