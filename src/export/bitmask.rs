//! The `sparse-bitmask` format of compressed-tensors: kept values in order, and a bit for each weight.
//!
//! A folder as vLLM's library reads it in its versions 0.9 to 0.14: `model.safetensors`, and `config.json` that names the
//! format and the layers. <https://github.com/vllm-project/compressed-tensors>
//! A weight `layer.weight` (.., columns) becomes
//! - `layer.compressed`: its numbers that are not 0, in order;
//! - `layer.bitmask` (.., columns / 8 rounded up) u8: bit i % 8 of byte i / 8 of a row says whether number i is kept;
//! - `layer.row_offsets` (rows) i64: how many are kept in all rows before;
//! - `layer.shape` i64: its shape.

use std::path::Path;

use serde_json::json;

use super::pruned::{self, Named, is_pruned, nothing_is_pruned};
use super::{Format, Source};
use crate::error::Result;
use crate::store::folder::{write_file_atomic, write_folder};
use crate::store::{Array, Arrays, Dtype, safetensors};

pub const FORMAT: Format = Format {
    name: "bitmask",
    about: "a folder in the sparse-bitmask format of vLLM's compressed-tensors: kept values and a bit for each weight",
    write,
};

/// The library writes and reads weights of this name alone.
const WEIGHT: &str = ".weight";

fn write(source: &Source, path: &Path) -> Result<Vec<String>> {
    let chosen = |name: &str, array: &Array| name.ends_with(WEIGHT) && is_pruned(array);
    let (sparse, dense) = pruned::split(&source.weights, chosen, nothing_is_pruned)?;
    let mut all: Arrays = dense.iter().map(|(name, array)| (name.to_string(), (*array).clone())).collect();
    for (name, array) in &sparse {
        all.extend(Bitmask::of(array).tensors(layer(name)));
    }
    write_folder(path, |folder| {
        safetensors::write(&folder.join("model.safetensors"), &all, &[("format", "pt")])?;
        let config = format!("{:#}\n", config(source, &sparse));
        write_file_atomic(&folder.join("config.json"), config.as_bytes())
    })?;
    Ok(vec![format!("{}: {}", path.display(), pruned::told(&sparse, &dense, "as bitmasks"))])
}

fn layer(name: &str) -> &str {
    name.strip_suffix(WEIGHT).expect("only these are chosen")
}

/// What the library looks for in a model's `config.json`.
fn config(source: &Source, sparse: &Named) -> serde_json::Value {
    let numbers = || source.weights.values().filter(|array| array.dtype.is_float()).map(Array::to_f32);
    let zeros = numbers().flatten().filter(|&number| number == 0.0).count();
    let total = numbers().flatten().count();
    let targets: Vec<&str> = sparse.iter().map(|(name, _)| layer(name)).collect();
    json!({ "quantization_config": {
        "quant_method": "compressed-tensors",
        "sparsity_config": {
            "format": "sparse-bitmask",
            "sparsity_structure": "unstructured",
            "global_sparsity": zeros as f64 / total as f64,
            "targets": targets,
            "ignore": [],
        },
    }})
}

/// A weight in this format; rows are along its last dimension.
struct Bitmask {
    shape: Vec<usize>,
    bits: Vec<u8>,
    offsets: Vec<usize>,
    values: Vec<f32>,
}

impl Bitmask {
    fn of(array: &Array) -> Self {
        let columns = *array.shape.last().expect("a weight has columns");
        let mut own =
            Self { shape: array.shape.clone(), bits: Vec::new(), offsets: Vec::new(), values: Vec::new() };
        for row in array.to_f32().chunks_exact(columns) {
            own.offsets.push(own.values.len());
            own.values.extend(row.iter().filter(|&&value| value != 0.0));
            let byte =
                |eight: &[f32]| (0..).zip(eight).map(|(bit, &v)| u8::from(v != 0.0) << bit).sum::<u8>();
            own.bits.extend(row.chunks(8).map(byte));
        }
        own
    }

    fn tensors(self, layer: &str) -> Arrays {
        let mut rows = self.shape.clone();
        if let Some(columns) = rows.last_mut() {
            *columns = columns.div_ceil(8);
        }
        let whole = |numbers: &[usize]| {
            let bytes = numbers.iter().flat_map(|&number| (number as i64).to_le_bytes());
            Array::new(Dtype::I64, [numbers.len()], bytes.collect())
        };
        let all = [
            ("compressed", Array::f32([self.values.len()], &self.values)),
            ("bitmask", Array::u8(rows, &self.bits)),
            ("row_offsets", whole(&self.offsets)),
            ("shape", whole(&self.shape)),
        ];
        all.into_iter().map(|(what, array)| (format!("{layer}.{what}"), array)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the description alone: each row from its offset and its bits.
    fn unpacked(tensors: &Arrays, layer: &str) -> Array {
        let of = |what: &str| &tensors[&format!("{layer}.{what}")];
        let shape: Vec<usize> = of("shape").to_u32().unwrap().iter().map(|&extent| extent as usize).collect();
        let (columns, values, bits) =
            (*shape.last().unwrap(), of("compressed").to_f32(), &of("bitmask").bytes);
        let mut all = Vec::new();
        for (row, &offset) in of("row_offsets").to_u32().unwrap().iter().enumerate() {
            let mut next = offset as usize;
            for column in 0..columns {
                let kept = bits[row * columns.div_ceil(8) + column / 8] >> (column % 8) & 1 == 1;
                all.push(if kept { values[next] } else { 0.0 });
                next += usize::from(kept);
            }
        }
        Array::f32(shape, &all)
    }

    #[test]
    fn every_width_comes_back() {
        for shape in [vec![3, 1], vec![2, 8], vec![5, 9], vec![4, 65], vec![3, 2, 3, 3], vec![1, 257]] {
            let numbers = 0..shape.iter().product();
            let values: Vec<f32> =
                numbers.map(|i: usize| if i * i % 7 < 3 { i as f32 - 4.5 } else { 0.0 }).collect();
            let weight = Array::f32(shape.clone(), &values);
            let tensors = Bitmask::of(&weight).tensors("a");
            assert_eq!(unpacked(&tensors, "a"), weight, "{shape:?}");
            let kept = values.iter().filter(|&&value| value != 0.0).count();
            assert_eq!(tensors["a.compressed"].shape, [kept]);
        }
    }

    /// `numpy.packbits([1, 0, 0, 0, 0, 0, 0, 1, 0, 1], bitorder="little")`.
    #[test]
    fn the_lowest_bit_is_the_first_weight() {
        let weight = Array::f32([1, 10], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(Bitmask::of(&weight).bits, [0b1000_0001, 0b10]);
    }
}
