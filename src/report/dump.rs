//! Dumps: the tensors of one step as files that NumPy and a picture viewer open. Convolutions lie as PyTorch has them:
//! (out, in, height, width).
//!
//! `RUN/dumps/step-000001200/` holds one `.npy` per tensor, a `.png` per mask, and `index.json`:
//! `{"schema": 1, "step": .., "tensors": [{"name", "what", "file", "shape", "picture"?}], "samples": [..]}`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::report::{kernels, mask, picture};
use crate::store::array::{Array, Arrays, Dtype};
use crate::store::{folder, npy};

pub const INDEX: &str = "index.json";

/// Writes a dump, whole or not at all, and returns its folder. A tensor is its name (`fc1.weight`), what of it is
/// dumped, and the values. `what` is `"value"`, `"mask"`, `"grad"`, or whatever else belongs to the name; it is
/// part of the file name unless it is `"value"`. A mask may be packed bits if another tensor of the same name
/// gives its shape; it is written as one byte per weight, 0 or 1. `samples` are the samples of the data set that
/// activations were taken from.
pub fn write_dump(
    run: &Path,
    step: u64,
    tensors: &[(String, String, Array)],
    samples: &[u32],
) -> Result<PathBuf> {
    let dest = run.join("dumps").join(format!("step-{step:09}"));
    folder::write_folder(&dest, |inside| {
        let mut index = Vec::new();
        for (name, what, array) in tensors {
            let key = key(name, what);
            let file = format!("{}.npy", folder::file_name(&key));
            let mut entry = json!({ "name": name, "what": what, "file": file, "shape": array.shape });
            if what == "mask" {
                let values = tensors.iter().find(|(other, what, _)| other == name && what != "mask");
                let values = values.map(|(_, _, array)| array);
                let mask = flags(name, array, values)?;
                entry["shape"] = json!(mask.shape);
                entry["picture"] = format!("{}.png", folder::file_name(&key)).into();
                npy::write(&inside.join(&file), &mask)?;
                draw(&mask, values).save_png(&inside.join(format!("{}.png", folder::file_name(&key))))?;
            } else {
                npy::write(&inside.join(&file), array)?;
            }
            index.push(entry);
        }
        let index = json!({ "schema": 1, "step": step, "tensors": index, "samples": samples });
        folder::write_file_atomic(&inside.join(INDEX), format!("{index:#}\n").as_bytes())
    })?;
    Ok(dest)
}

/// Reads a dump after comparing it with its manifest. Values have the name of their tensor, masks and others
/// that name and what they are.
pub fn read(path: &Path) -> Result<Arrays> {
    folder::verify_folder(path)?;
    let file = path.join(INDEX);
    let text = fs::read_to_string(&file).map_err(|e| Error::file("read", &file, e))?;
    let wrong = |found: String| {
        Error::data(format!("{} cannot be used", file.display()))
            .at(format!("expected: \"schema\": 1 and tensors with name, what and file; found: {found}"))
    };
    let json: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let (Some(1), Some(tensors)) = (json["schema"].as_u64(), json["tensors"].as_array()) else {
        return Err(wrong(format!("schema {}", json["schema"])));
    };
    let mut arrays = Arrays::new();
    for tensor in tensors {
        let text = |key: &str| tensor[key].as_str();
        let (Some(name), Some(what), Some(file)) = (text("name"), text("what"), text("file")) else {
            return Err(wrong(tensor.to_string()));
        };
        arrays.insert(key(name, what), npy::read(&path.join(file))?);
    }
    Ok(arrays)
}

fn key(name: &str, what: &str) -> String {
    let spoken = what.is_empty() || what == "value" || name.ends_with(&format!(".{what}"));
    if spoken { name.to_string() } else { format!("{name}.{what}") }
}

/// A mask as one byte per weight in the weight's shape.
fn flags(name: &str, mask: &Array, values: Option<&Array>) -> Result<Array> {
    let shape = match values {
        Some(values) => &values.shape,
        None if mask.dtype == Dtype::U32 => {
            return Err(Error::internal(format!("the shape of the packed mask of {name} is not known"))
                .hint("dump the values beside it"));
        }
        None => &mask.shape,
    };
    let kept = mask::unpack(mask, shape).map_err(|e| e.at(format!("tensor: {name}")))?;
    Ok(Array::u8(shape.clone(), &kept.iter().map(|&kept| u8::from(kept)).collect::<Vec<_>>()))
}

fn draw(mask: &Array, values: Option<&Array>) -> picture::Image {
    let kept: Vec<bool> = mask.bytes.iter().map(|&flag| flag != 0).collect();
    kernels::weight_picture(&mask.shape, values.map(Array::to_f32).as_deref(), &kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn entry(name: &str, what: &str, array: Array) -> (String, String, Array) {
        (name.into(), what.into(), array)
    }

    #[test]
    fn a_dump_is_written_and_read() {
        let run = tempfile::tempdir().unwrap();
        let weight = Array::f32([2, 3], &[1.0, 0.0, -2.0, 0.0, 5.0, 0.0]);
        let tensors = [
            entry("fc1.weight", "weight", weight.clone()),
            entry("fc1.weight", "mask", Array::u32([1], &[0b01_0101])),
            entry("fc1.weight", "grad", Array::f32([2, 3], &[0.5; 6])),
            entry("block/0:fc", "activation", Array::f32([0, 4], &[])),
        ];
        let path = write_dump(run.path(), 1200, &tensors, &[3, 5]).unwrap();
        assert!(path.ends_with("dumps/step-000001200"));
        let mask = npy::read(&path.join("fc1.weight.mask.npy")).unwrap();
        assert_eq!(mask, Array::u8([2, 3], &[1, 0, 1, 0, 1, 0]));
        assert!(fs::read(path.join("fc1.weight.mask.png")).unwrap().starts_with(b"\x89PNG"));
        assert!(path.join("block_0_fc.activation.npy").is_file());

        let index: Value = serde_json::from_slice(&fs::read(path.join(INDEX)).unwrap()).unwrap();
        assert_eq!(
            (&index["schema"], &index["step"], &index["samples"]),
            (&json!(1), &json!(1200), &json!([3, 5]))
        );
        let want = json!({ "name": "fc1.weight", "what": "mask", "file": "fc1.weight.mask.npy", "shape": [2, 3],
                           "picture": "fc1.weight.mask.png" });
        assert_eq!(index["tensors"][1], want);

        let arrays = read(&path).unwrap();
        let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
        assert_eq!(names, ["block/0:fc.activation", "fc1.weight", "fc1.weight.grad", "fc1.weight.mask"]);
        assert_eq!(arrays["fc1.weight"], weight);
    }

    #[test]
    fn a_damaged_dump_is_refused() {
        let run = tempfile::tempdir().unwrap();
        let tensors = [entry("w", "value", Array::f32([1], &[1.0]))];
        let path = write_dump(run.path(), 1, &tensors, &[]).unwrap();
        fs::write(path.join("w.npy"), "cut").unwrap();
        assert_eq!(read(&path).unwrap_err().kind, Kind::Checkpoint);
    }

    #[test]
    fn a_mask_needs_a_shape() {
        let run = tempfile::tempdir().unwrap();
        let packed = [entry("w", "mask", Array::u32([1], &[1]))];
        assert!(write_dump(run.path(), 1, &packed, &[]).is_err());
        assert!(fs::read_dir(run.path().join("dumps")).unwrap().next().is_none(), "nothing is left behind");
        let flags = [entry("w", "mask", Array::u8([1, 2], &[0, 1]))];
        write_dump(run.path(), 1, &flags, &[]).unwrap();
    }
}
