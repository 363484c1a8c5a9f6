//! The safetensors format: an eight-byte length, a JSON header, and the bytes of all tensors.
//!
//! The reader is our own. It takes nothing on trust: it allocates no more than the file holds, and refuses
//! duplicate names, holes and overlaps, which the `safetensors` crate in part accepts. The crate is the oracle
//! of the tests. Format: <https://github.com/huggingface/safetensors#format>.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::store::array::{Array, Arrays};
use crate::store::folder::write_file_with;
use crate::store::header::{self, Entry, LARGEST_HEADER};

/// Writes a file, whole or not at all. `metadata` is for other programs: PyTorch's loaders in `transformers`
/// want `("format", "pt")`.
pub fn write(path: &Path, arrays: &Arrays, metadata: &[(&str, &str)]) -> Result<()> {
    write_file_with(path, |out| encode(arrays, metadata, out))
}

/// Writes the format to any writer. Equal arrays give equal bytes.
pub fn encode(arrays: &Arrays, metadata: &[(&str, &str)], out: &mut dyn Write) -> io::Result<()> {
    // Wide elements first, so that all are aligned; this is also the order of the reference writer.
    let mut order: Vec<(&String, &Array)> = arrays.iter().collect();
    order.sort_by_key(|(_, array)| std::cmp::Reverse(array.dtype.bytes()));

    let mut header = Map::new();
    if !metadata.is_empty() {
        let pairs = metadata.iter().map(|&(key, value)| (key.into(), Value::from(value)));
        header.insert(header::METADATA.into(), Value::Object(pairs.collect()));
    }
    let mut begin = 0;
    for (name, array) in &order {
        let end = begin + array.bytes.len();
        let entry =
            json!({ "dtype": array.dtype.name(), "shape": array.shape, "data_offsets": [begin, end] });
        header.insert((*name).clone(), entry);
        begin = end;
    }
    let mut header = Value::Object(header).to_string();
    let padded = header.len().next_multiple_of(8);
    header.extend(std::iter::repeat_n(' ', padded - header.len()));

    out.write_all(&(padded as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    order.iter().try_for_each(|(_, array)| out.write_all(&array.bytes))
}

/// Reads a file.
///
/// # Errors
/// `Kind::FileSystem` when it cannot be opened or read; `Kind::Checkpoint` when it is not what it says,
/// with the file, the tensor, and what was expected and found.
pub fn read(path: &Path) -> Result<Arrays> {
    let fail = |e| Error::file("read", path, e);
    let file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    decode(BufReader::new(file), length, &path.display().to_string())
}

/// Reads `length` bytes of the format; `origin` names them in errors.
pub fn decode(mut input: impl Read, length: u64, origin: &str) -> Result<Arrays> {
    let wrong = |expected: String, found: String| header::damaged(origin, None, expected, found);
    let fail = |e| Error::file("read", Path::new(origin), e);

    if length < 8 {
        return Err(wrong("at least 8 bytes".into(), format!("{length} bytes")));
    }
    let mut prefix = [0; 8];
    input.read_exact(&mut prefix).map_err(fail)?;
    let header_length = u64::from_le_bytes(prefix);
    let largest = LARGEST_HEADER.min(length - 8);
    if header_length > largest {
        return Err(wrong(
            format!("a header of at most {largest} bytes (file: {length})"),
            header_length.to_string(),
        ));
    }
    let mut text = vec![0; header_length as usize];
    input.read_exact(&mut text).map_err(fail)?;

    let entries = header::parse(&text, length - 8 - header_length, origin)?;
    let mut arrays = Arrays::new();
    for Entry { name, dtype, shape, range } in entries {
        let mut bytes = vec![0; range.end - range.start];
        input.read_exact(&mut bytes).map_err(fail)?;
        arrays.insert(name, Array { dtype, shape, bytes });
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::store::Dtype;
    use proptest::prelude::*;

    fn encoded(arrays: &Arrays) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(arrays, &[("format", "pt")], &mut bytes).unwrap();
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<Arrays> {
        decode(bytes, bytes.len() as u64, "x.safetensors")
    }

    fn any_array() -> impl Strategy<Value = Array> {
        (prop::sample::select(&Dtype::ALL[..]), prop::collection::vec(0usize..5, 0..4)).prop_flat_map(
            |(dtype, shape)| {
                let length = shape.iter().product::<usize>() * dtype.bytes();
                prop::collection::vec(any::<u8>(), length)
                    .prop_map(move |bytes| Array::new(dtype, shape.clone(), bytes))
            },
        )
    }

    fn any_arrays() -> impl Strategy<Value = Arrays> {
        prop::collection::btree_map("[a-z.\"\\\\é]{1,8}", any_array(), 0..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(arrays in any_arrays()) {
            prop_assert_eq!(decoded(&encoded(&arrays)).unwrap(), arrays);
        }

        #[test]
        fn the_reference_crate_reads_the_same(arrays in any_arrays()) {
            let bytes = encoded(&arrays);
            let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            prop_assert_eq!(theirs.len(), arrays.len());
            for (name, array) in &arrays {
                let view = theirs.tensor(name).unwrap();
                prop_assert_eq!(view.data(), &array.bytes[..]);
                prop_assert_eq!(view.shape(), &array.shape[..]);
                prop_assert_eq!(view.dtype().to_string(), array.dtype.name());
            }
        }

        #[test]
        fn a_cut_file_is_refused(arrays in any_arrays(), cut in any::<prop::sample::Index>()) {
            let bytes = encoded(&arrays);
            let error = decoded(&bytes[..cut.index(bytes.len())]).unwrap_err();
            prop_assert_eq!(error.kind, Kind::Checkpoint);
        }

        #[test]
        fn any_bytes_give_an_error_or_sound_arrays(mut bytes in prop::collection::vec(any::<u8>(), 0..200),
                                                   header in "[\\[\\]{}\":,0-9a-zF]{0,120}", frame in any::<bool>()) {
            if frame {
                bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
            }
            for array in decoded(&bytes).into_iter().flatten().map(|(_, array)| array) {
                prop_assert_eq!(array.to_f32().len(), array.shape.iter().product::<usize>());
            }
        }
    }

    #[test]
    fn reads_what_the_reference_crate_writes() {
        let f16 = [0x00, 0x3c, 0x00, 0xc0];
        let view = |dtype| safetensors::tensor::TensorView::new(dtype, vec![2, 1], &f16).unwrap();
        let tensors = [("half", view(safetensors::Dtype::F16)), ("brain", view(safetensors::Dtype::BF16))];
        let bytes = safetensors::serialize(tensors, None).unwrap();
        let arrays = decoded(&bytes).unwrap();
        assert_eq!(arrays["half"].to_f32(), [1.0, -2.0]);
        assert_eq!(arrays["brain"].dtype, Dtype::BF16);
        assert_eq!(arrays["brain"].shape, [2, 1]);
    }

    /// The very bytes that PyTorch's `save_file({"b": bf16 [[1.0, -2.5]], "h": f16 [0.5]})` lays out.
    #[test]
    fn reads_a_file_of_pytorch() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},"h":{"dtype":"F16","shape":[1],"data_offsets":[4,6]}}"#;
        let width = header.len().next_multiple_of(8);
        let header = format!("{header:<width$}");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0x80, 0x3f, 0x20, 0xc0, 0x00, 0x38]);
        let arrays = decoded(&bytes).unwrap();
        assert_eq!(arrays["b"].to_f32(), [1.0, -2.5]);
        assert_eq!(arrays["h"].to_f32(), [0.5]);
    }

    #[test]
    fn data_is_aligned_and_files_are_equal() {
        let arrays = Arrays::from([
            ("a".into(), Array::u8([3], &[1, 2, 3])),
            ("b".into(), Array::f32([1], &[4.0])),
            ("c".into(), Array::new(Dtype::F64, [1], vec![0; 8])),
        ]);
        let bytes = encoded(&arrays);
        assert_eq!(bytes, encoded(&arrays.clone()));
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(header % 8, 0);
        let text = std::str::from_utf8(&bytes[8..8 + header as usize]).unwrap();
        let json: Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["c"]["data_offsets"], json!([0, 8]));
        assert_eq!(json["b"]["data_offsets"], json!([8, 12]));
        assert_eq!(json["a"]["data_offsets"], json!([12, 15]));
    }

    #[test]
    fn a_header_longer_than_the_file_allocates_nothing() {
        for length in [u64::MAX, 1 << 40, 101, LARGEST_HEADER + 1] {
            let bytes = [&length.to_le_bytes()[..], &[b' '; 92]].concat();
            let error = decoded(&bytes).unwrap_err();
            assert_eq!(error.kind, Kind::Checkpoint);
            assert!(error.to_string().contains(&length.to_string()), "{error}");
        }
    }

    #[test]
    fn a_file_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let arrays = Arrays::from([("w".into(), Array::f32([2, 2], &[1.0, -0.0, f32::INFINITY, 3.5]))]);
        write(&path, &arrays, &[]).unwrap();
        assert_eq!(read(&path).unwrap(), arrays);
        assert_eq!(read(&folder.path().join("absent")).unwrap_err().kind, Kind::FileSystem);
    }
}
