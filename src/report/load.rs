//! Reads the tensors of whatever a person points to: a run, a checkpoint, a dump, a file.

use std::path::Path;

use crate::error::{Error, Result};
use crate::report::{dump, mask};
use crate::store::{Arrays, npy, safetensors};
use crate::train::checkpoint::{self, Which};
use crate::train::{check_read, expand_described};

/// Reads a run folder (its last checkpoint), a checkpoint folder, a dump folder, a `.safetensors` or a `.npy`
/// file; the tensor of the latter has the name of the file. With the arrays come the errors of damaged
/// checkpoints that were passed over: to be shown.
///
/// # Errors
/// `Kind::Usage` when it is none of these, else those of the readers.
pub fn load_any(path: &Path) -> Result<(Arrays, Vec<Error>)> {
    let sound = |arrays| Ok((arrays, Vec::new()));
    if path.join("ckpt").is_dir() {
        let (snapshot, damaged) = checkpoint::load(path, Which::Last)?;
        return Ok((snapshot.dense()?, damaged));
    }
    if path.join(dump::INDEX).is_file() {
        return sound(dump::read(path)?);
    }
    if path.join("manifest.json").is_file() || path.join(checkpoint::TENSORS).is_file() {
        return sound(checkpoint::read(path)?.dense()?);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") if !path.is_dir() => sound(expand_described(safetensors::read(path)?)?),
        Some("npy") if !path.is_dir() => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            sound(Arrays::from([(name, npy::read(path)?)]))
        }
        _ => {
            let what = if path.exists() { "holds no tensors that are known" } else { "does not exist" };
            Err(Error::usage(format!("{} {what}", path.display()))
                .hint("a run folder, a checkpoint, a dump, a .safetensors or a .npy file"))
        }
    }
}

/// Refuses what was read from `path` where a tensor is not finite: a weight or bias, not what belongs to it.
///
/// # Errors
/// `Kind::Numbers`, with the names of these tensors.
pub fn check_numbers(arrays: &Arrays, path: &Path) -> Result<()> {
    let own = arrays.iter().filter(|(name, _)| mask::owner(arrays, name).is_none());
    check_read(own.map(|(name, array)| (name.as_str(), array)))
        .map_err(|e| e.at(format!("in {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::store::Array;
    use crate::train::checkpoint::Snapshot;

    #[test]
    fn what_is_not_finite_is_named_and_counted_but_for_slots() {
        let tensor = |values: &[f32]| Array::f32([values.len()], values);
        let mut arrays = Arrays::from([
            ("a.weight".to_string(), tensor(&[1.0, -0.0])),
            ("a.weight.variance".to_string(), tensor(&[f32::INFINITY, 1.0])),
        ]);
        assert!(check_numbers(&arrays, Path::new("f")).is_ok(), "a slot may overflow: a step by it is 0");
        arrays.insert("a.weight".into(), tensor(&[f32::NAN, f32::NEG_INFINITY]));
        arrays.insert("a.bias".into(), tensor(&[1.0, f32::NAN]));
        let error = check_numbers(&arrays, Path::new("f")).unwrap_err();
        assert_eq!(error.kind, Kind::Numbers);
        assert!(error.to_string().contains("1 of a.bias, 2 of a.weight"), "{error}");
    }

    #[test]
    fn everything_that_holds_tensors_is_read() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path();
        let arrays = Arrays::from([("w".to_string(), Array::f32([1, 2], &[1.0, 0.0]))]);
        let state = serde_json::Value::Null;
        let snapshot =
            |step| Snapshot { step, arrays: arrays.clone(), state: state.clone(), digest: "".into() };
        checkpoint::save(run, &snapshot(1), 2, false).unwrap();
        let ckpt = checkpoint::save(run, &snapshot(2), 2, false).unwrap();
        let dump =
            dump::write_dump(run, 2, &[("w".into(), "value".into(), arrays["w"].clone())], &[]).unwrap();
        let (file, array) = (run.join("x.safetensors"), run.join("w.npy"));
        safetensors::write(&file, &arrays, &[]).unwrap();
        npy::write(&array, &arrays["w"]).unwrap();
        for path in [run, &ckpt, &dump, &file, &array] {
            let (found, damaged) = load_any(path).unwrap();
            assert_eq!(found, arrays, "{}", path.display());
            assert!(damaged.is_empty());
        }

        std::fs::write(ckpt.join(checkpoint::TENSORS), "cut").unwrap();
        assert_eq!(load_any(run).unwrap().1.len(), 1);
        assert_eq!(load_any(&ckpt).unwrap_err().kind, Kind::Checkpoint);
        std::fs::remove_file(ckpt.join("manifest.json")).unwrap();
        assert_eq!(load_any(&ckpt).unwrap_err().kind, Kind::Checkpoint);
        for path in [&run.join("dumps"), &run.join("absent"), &ckpt.join("state.json")] {
            assert_eq!(load_any(path).unwrap_err().kind, Kind::Usage, "{}", path.display());
        }
    }
}
