//! Compressed sparse rows: a folder with a file for each tensor, which SciPy and NumPy open.
//!
//! `NAME.npz` is what `scipy.sparse.load_npz` reads, the weight as a matrix (out, inputs); beside that it has `kernel`, the
//! weight's own shape. `NAME.npy` is a tensor without zeros. <https://docs.scipy.org/doc/scipy/reference/generated/scipy.sparse.save_npz.html>

use std::collections::BTreeMap;
use std::path::Path;

use super::pruned::{self, is_pruned, nothing_is_pruned, sides};
use super::{Format, Source};
use crate::error::{Error, Result};
use crate::store::folder::{file_name, write_folder};
use crate::store::{Array, Dtype, npy, npz};

pub const FORMAT: Format = Format {
    name: "csr",
    about: "a folder of sparse matrices for SciPy: NAME.npz for scipy.sparse.load_npz, the rest NAME.npy",
    write,
};

fn write(source: &Source, path: &Path) -> Result<Vec<String>> {
    let (sparse, dense) = pruned::split(&source.weights, |_, array| is_pruned(array), nothing_is_pruned)?;
    let places = places(source.weights.keys())?;
    write_folder(path, |folder| {
        for (name, array) in &sparse {
            let members = Csr::of(array).members(&array.shape);
            npz::write(&folder.join(format!("{}.npz", places[name])), &members)?;
        }
        for (name, array) in &dense {
            npy::write(&folder.join(format!("{}.npy", places[name])), array)?;
        }
        Ok(())
    })?;
    Ok(vec![format!("{}: {}", path.display(), pruned::told(&sparse, &dense, "in CSR"))])
}

/// Where each tensor goes, without the ending. Some file systems take `Q` and `q` for one name.
fn places<'a>(names: impl Iterator<Item = &'a String>) -> Result<BTreeMap<&'a str, String>> {
    let (mut places, mut taken) = (BTreeMap::new(), BTreeMap::new());
    for name in names {
        let place = file_name(name);
        if let Some(other) = taken.insert(place.to_lowercase(), name) {
            return Err(Error::usage(format!("tensors `{other}` and `{name}` would be one file, {place}"))
                .hint("other names of layers, or --to safetensors"));
        }
        places.insert(name.as_str(), place);
    }
    Ok(places)
}

/// A matrix by rows: the columns and values of row i are those from `starts[i]` to `starts[i + 1]`.
struct Csr {
    starts: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<f32>,
}

impl Csr {
    fn of(array: &Array) -> Self {
        let [rows, inputs] = sides(&array.shape);
        let mut csr = Csr { starts: vec![0], columns: Vec::new(), values: Vec::new() };
        let all = array.to_f32();
        for row in 0..rows {
            for (column, &value) in all[row * inputs..][..inputs].iter().enumerate() {
                if value != 0.0 {
                    csr.columns.push(column);
                    csr.values.push(value);
                }
            }
            csr.starts.push(csr.values.len());
        }
        csr
    }

    /// As `scipy.sparse.save_npz` names them, and the shape that the weight has in PyTorch.
    fn members(&self, shape: &[usize]) -> Vec<(&'static str, Vec<u8>)> {
        let [rows, inputs] = sides(shape);
        // Both lists of indices have one type, as SciPy wants it.
        let index = if inputs.max(self.values.len()) <= i32::MAX as usize { Dtype::I32 } else { Dtype::I64 };
        let whole = |numbers: &[usize], dtype| npy::encode(&whole_numbers(numbers, dtype));
        vec![
            ("data", npy::encode(&Array::f32([self.values.len()], &self.values))),
            ("indices", whole(&self.columns, index)),
            ("indptr", whole(&self.starts, index)),
            ("shape", whole(&[rows, inputs], Dtype::I64)),
            ("format", npy::encode_text("csr")),
            // `csr_array`, which SciPy recommends over `csr_matrix`.
            ("_is_array", npy::encode(&Array::new(Dtype::Bool, [], vec![1]))),
            ("kernel", whole(shape, Dtype::I64)),
        ]
    }
}

/// Numbers that fit, as I32 or I64.
fn whole_numbers(numbers: &[usize], dtype: Dtype) -> Array {
    let bytes = numbers.iter().flat_map(|&number| (number as u64).to_le_bytes()[..dtype.bytes()].to_vec());
    Array::new(dtype, [numbers.len()], bytes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel (2, 2, 1, 2) is the matrix (2, 4); its empty row keeps its place.
    #[test]
    fn rows_hold_what_is_kept() {
        let kernel =
            Array::f32([3, 2, 1, 2], &[0.0, 1.5, 0.0, -2.0, 0.0, 0.0, -0.0, 0.0, 3.0, 0.0, 0.0, 0.0]);
        let csr = Csr::of(&kernel);
        assert_eq!((&csr.starts[..], &csr.columns[..]), (&[0, 2, 2, 3][..], &[1, 3, 0][..]));
        assert_eq!(csr.values, [1.5, -2.0, 3.0]);
        let members: BTreeMap<_, _> = csr.members(&kernel.shape).into_iter().collect();
        let read = |name| npy::decode(&members[name], name).unwrap();
        assert_eq!(read("shape").to_f32(), [3.0, 4.0]);
        assert_eq!(read("kernel").to_f32(), [3.0, 2.0, 1.0, 2.0]);
        assert_eq!((read("indptr").dtype, read("indptr").to_u32().unwrap()), (Dtype::I32, vec![0, 2, 2, 3]));
    }

    #[test]
    fn two_names_are_never_one_file() {
        let names = ["a/b.weight".to_string(), "a:b.weight".to_string()];
        assert_eq!(places(names[..1].iter()).unwrap()["a/b.weight"], "a_b.weight");
        let error = places(names.iter()).unwrap_err().to_string();
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
        let by_case = ["Q.weight".to_string(), "q.weight".to_string()];
        assert!(places(by_case.iter()).is_err());
    }
}
