//! NumPy's `.npy` format: what `numpy.load` opens.
//!
//! Format: NEP 1, <https://numpy.org/neps/nep-0001-npy-format.html>. Written as version 1; versions 1 to 3 are
//! read, in row-major order and little endian.

use std::path::Path;

use crate::error::{Error, Result};
use crate::store::array::{Array, Dtype, elements};
use crate::store::folder::write_file_atomic;

const MAGIC: &[u8] = b"\x93NUMPY";

/// NumPy's names of our types. It has none for BF16, which is written as `f32`.
const NAMES: [(Dtype, &str); 8] = [
    (Dtype::F32, "<f4"),
    (Dtype::U32, "<u4"),
    (Dtype::U8, "|u1"),
    (Dtype::Bool, "|b1"),
    (Dtype::F16, "<f2"),
    (Dtype::F64, "<f8"),
    (Dtype::I32, "<i4"),
    (Dtype::I64, "<i8"),
];

/// Writes an array, whole or not at all.
pub fn write(path: &Path, array: &Array) -> Result<()> {
    write_file_atomic(path, &encode(array))
}

/// The bytes of a `.npy` file.
pub fn encode(array: &Array) -> Vec<u8> {
    if array.dtype == Dtype::BF16 {
        return encode(&Array::f32(array.shape.clone(), &array.to_f32()));
    }
    let descr = NAMES.iter().find(|(dtype, _)| *dtype == array.dtype).map_or("", |(_, name)| name);
    encode_as(descr, &array.shape, &array.bytes)
}

/// The bytes of a `.npy` file that holds one text, of ASCII.
pub fn encode_text(text: &str) -> Vec<u8> {
    encode_as(&format!("|S{}", text.len()), &[], text.as_bytes())
}

fn encode_as(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    // Python writes a tuple of one as `(3,)`.
    let text: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let shape = if shape.len() == 1 { text.trim_end() } else { text.trim_end_matches(", ") };
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The data begins at a multiple of 64; the header ends with a line feed.
    let start = MAGIC.len() + 4;
    let padded = (start + header.len() + 1).next_multiple_of(64) - start - 1;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((padded as u16 + 1).to_le_bytes());
    bytes.extend(format!("{header:<padded$}\n").as_bytes());
    bytes.extend(data);
    bytes
}

/// Reads a `.npy` file.
///
/// # Errors
/// `Kind::FileSystem` when it cannot be read, `Kind::Data` when it is damaged or of a kind not read here.
pub fn read(path: &Path) -> Result<Array> {
    let bytes = std::fs::read(path).map_err(|e| Error::file("read", path, e))?;
    decode(&bytes, &path.display().to_string())
}

/// Reads the bytes of a `.npy` file; `origin` names them in errors.
pub fn decode(bytes: &[u8], origin: &str) -> Result<Array> {
    let wrong = |expected: &str, found: &str| {
        Error::data(format!("{origin} cannot be read as .npy"))
            .at(format!("expected: {expected}; found: {found}"))
    };
    let cut = || wrong("a whole header", &format!("a file of {} bytes", bytes.len()));
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("the magic bytes \\x93NUMPY", "others"))?;
    let ([major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(b, rest)| (u16::from_le_bytes(*b) as usize, rest)),
        2 | 3 => rest.split_first_chunk().map(|(b, rest)| (u32::from_le_bytes(*b) as usize, rest)),
        other => return Err(wrong("version 1, 2 or 3", &format!("version {other}"))),
    }
    .ok_or_else(cut)?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| wrong("a header of text", "other bytes"))?;

    let value = |key: &str| {
        let after = header.split_once(&format!("'{key}':")).map(|(_, after)| after.trim_start());
        after.ok_or_else(|| wrong(&format!("the key {key}"), header.trim()))
    };
    let descr = value("descr")?.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let named = NAMES.iter().find(|(_, name)| *name == descr);
    let &(dtype, _) = named.ok_or_else(|| wrong("a little-endian number or bool", descr))?;
    if !value("fortran_order")?.starts_with("False") {
        return Err(wrong("row-major order", "column-major order").hint("save numpy.ascontiguousarray(x)"));
    }
    let shape = parse_shape(value("shape")?).ok_or_else(|| wrong("a shape", header.trim()))?;
    let size = elements(&shape).and_then(|n| n.checked_mul(dtype.bytes()));
    if size != Some(data.len()) {
        let size = size.map_or("more bytes than can be counted".into(), |n| format!("{n} bytes"));
        return Err(wrong(
            &format!("{size} of data for {descr} {shape:?}"),
            &format!("{} bytes", data.len()),
        ));
    }
    Ok(Array { dtype, shape, bytes: data.to_vec() })
}

/// `(3, 4), ...` or `(3,), ...` or `(), ...`.
fn parse_shape(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    inner.split(',').map(str::trim).filter(|extent| !extent.is_empty()).map(|e| e.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    /// `numpy.save` of `numpy.array([[1, 2, 3]], dtype="u1")`, byte by byte.
    #[test]
    fn the_bytes_are_those_of_numpy() {
        let mut want = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        want.extend(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }");
        want.resize(127, b' ');
        want.extend(b"\n\x01\x02\x03");
        let array = Array::u8([1, 3], &[1, 2, 3]);
        assert_eq!(encode(&array), want);
        assert_eq!(decode(&want, "x").unwrap(), array);
    }

    #[test]
    fn shapes_of_every_rank() {
        for (shape, text) in
            [(vec![], "()"), (vec![2], "(2,)"), (vec![2, 1], "(2, 1)"), (vec![0, 3], "(0, 3)")]
        {
            let values = vec![1.5; shape.iter().product()];
            let array = Array::f32(shape.clone(), &values);
            let bytes = encode(&array);
            assert!(String::from_utf8_lossy(&bytes).contains(&format!("'shape': {text}, }}")), "{text}");
            assert_eq!((bytes.len() - array.bytes.len()) % 64, 0);
            assert_eq!(decode(&bytes, "x").unwrap(), array);
        }
    }

    #[test]
    fn version_two_and_other_types() {
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n";
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend((-3i64).to_le_bytes());
        assert_eq!(decode(&bytes, "x").unwrap().to_f32(), [-3.0]);
        let brain = Array::new(Dtype::BF16, [1], vec![0x80, 0x3f]);
        assert_eq!(decode(&encode(&brain), "x").unwrap(), Array::f32([1], &[1.0]));
    }

    #[test]
    fn what_is_refused() {
        let good = encode(&Array::f32([2], &[1.0, 2.0]));
        let with = |from: &str, to: &str| String::from_utf8_lossy(&good[6..]).replace(from, to);
        let refused = |bytes: &[u8], word: &str| {
            let error = decode(bytes, "x.npy").unwrap_err();
            assert_eq!(error.kind, Kind::Data);
            assert!(error.to_string().contains(word), "no {word:?} in: {error}");
        };
        let edited = |from: &str, to: &str| {
            [MAGIC, &good[6..8], &good[8..10], &with(from, to).as_bytes()[4..]].concat()
        };
        refused(b"PK", "magic");
        refused(&edited("<f4", ">f4"), ">f4");
        refused(&edited("False", "True "), "column-major");
        refused(&edited("(2,)", "(3,)"), "12 bytes");
        refused(&edited("(2,)", "(-2)"), "shape");
        refused(&edited("(2,), }       ", "(99999999999999999,9999),"), "counted");
        refused(&[&good[..], &[0]].concat(), "9 bytes");
    }

    proptest! {
        #[test]
        fn a_cut_or_changed_file_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool) {
            let mut bytes = encode(&Array::u32([3, 2], &[1, 2, 3, 4, 5, 6]));
            let at = at.index(bytes.len());
            if cut {
                prop_assert!(decode(&bytes[..at], "x").is_err());
            } else {
                bytes[at] = byte;
                if let Ok(array) = decode(&bytes, "x") {
                    prop_assert_eq!(array.to_f32().len(), array.shape.iter().product::<usize>());
                }
            }
        }
    }
}
