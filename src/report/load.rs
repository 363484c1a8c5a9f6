//! Reads the tensors of whatever a person points to: a run, a checkpoint, a dump, a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::report::{dump, mask};
use crate::store::{Arrays, npy, safetensors};
use crate::train::checkpoint::{self, Snapshot, Which};
use crate::train::{check_read, expand_described};

/// Reads a run folder (its last checkpoint), a checkpoint folder or the file `last` or `best` that names it, a dump folder, a
/// safetensors or a `.npy` file, whatever its name; the tensor of the latter has the name of the file. With the arrays come the errors of damaged
/// checkpoints that were passed over: to be shown.
///
/// # Errors
/// `Kind::Usage` when it is none of these, else those of the readers.
pub fn load_any(path: &Path) -> Result<(Arrays, Vec<Error>)> {
    let path = &checkpoint::named(path);
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
    match format(path) {
        Some(Format::Safetensors) => sound(some(path, expand_described(safetensors::read(path)?)?)?),
        Some(Format::Npy) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            sound(Arrays::from([(name, npy::read(path)?)]))
        }
        None => {
            let what = if path.exists() { "holds no tensors that are known" } else { "does not exist" };
            Err(Error::usage(format!("{} {what}", path.display()))
                .hint("a run folder, a checkpoint, a dump, a safetensors or a .npy file"))
        }
    }
}

/// The checkpoint that [`load_any`] reads, if it is one: the last of a run, or that of a folder or of a file that names it.
///
/// # Errors
/// Those of [`checkpoint::load`].
pub fn snapshot_of(path: &Path) -> Result<Option<Snapshot>> {
    let path = &checkpoint::named(path);
    if path.join("ckpt").is_dir() {
        return Ok(Some(checkpoint::load(path, Which::Last)?.0));
    }
    let is_dump = path.join(dump::INDEX).is_file();
    let is_one = path.join("manifest.json").is_file() || path.join(checkpoint::TENSORS).is_file();
    (is_one && !is_dump).then(|| checkpoint::read(path)).transpose()
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

/// A file of tensors.
enum Format {
    Safetensors,
    Npy,
}

/// What a file is by its first bytes, whatever its name; by its name where these say nothing, so that a damaged file is
/// called that.
fn format(path: &Path) -> Option<Format> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(9).read_to_end(&mut start).ok()?;
    let named = path.extension().and_then(|extension| extension.to_str());
    match (&start[..], named) {
        ([0x93, b'N', b'U', b'M', b'P', b'Y', ..], _) => Some(Format::Npy),
        // The length of a header, which is an object of JSON.
        ([.., 0, 0, 0, b'{'], _) => Some(Format::Safetensors),
        (_, Some("npy")) => Some(Format::Npy),
        (_, Some("safetensors")) => Some(Format::Safetensors),
        _ => None,
    }
}

/// The arrays of a file, if there are any.
fn some(path: &Path, arrays: Arrays) -> Result<Arrays> {
    if arrays.is_empty() {
        let what = format!("{} holds no tensors", path.display());
        return Err(Error::checkpoint(what).at("its header has nothing but metadata"));
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;
    use crate::store::Array;

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
        assert_eq!(error.kind, crate::error::Kind::Numbers);
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
        let named = run.join("ckpt/last");
        assert_eq!(snapshot_of(&named).unwrap().unwrap().step, 2);
        for path in [run, &ckpt, &named, &dump, &file, &array] {
            let (found, damaged) = load_any(path).unwrap();
            assert_eq!(found, arrays, "{}", path.display());
            assert!(damaged.is_empty());
        }

        let (other, bare) = (run.join("weights.bin"), run.join("bare.safetensors"));
        std::fs::copy(&file, &other).unwrap();
        assert_eq!(load_any(&other).unwrap().0, arrays, "the bytes say what it is");
        safetensors::write(&bare, &Arrays::new(), &[("format", "pt")]).unwrap();
        let error = load_any(&bare).unwrap_err();
        assert!(error.to_string().contains("holds no tensors"), "{error}");
        std::fs::write(ckpt.join(checkpoint::TENSORS), "cut").unwrap();
        assert_eq!(load_any(run).unwrap().1.len(), 1);
        assert_eq!(load_any(&ckpt).unwrap_err().kind, error::Kind::Checkpoint);
        std::fs::remove_file(ckpt.join("manifest.json")).unwrap();
        assert_eq!(load_any(&ckpt).unwrap_err().kind, error::Kind::Checkpoint);
        for path in [&run.join("dumps"), &run.join("absent"), &ckpt.join("state.json")] {
            assert_eq!(load_any(path).unwrap_err().kind, error::Kind::Usage, "{}", path.display());
        }
    }
}
