//! NumPy's `.npy` format: what `numpy.load` opens.
//!
//! Format: NEP 1, <https://numpy.org/neps/nep-0001-npy-format.html>. Written as version 1 and little endian; versions 1 to 3
//! are read, in row-major order and either order of bytes.

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

/// Types that are read as one of ours that holds all their values; of `u8`, 64 bits without a sign, those below 2^63.
const WIDENED: [(Dtype, &str); 4] =
    [(Dtype::I32, "i1"), (Dtype::I32, "i2"), (Dtype::U32, "u2"), (Dtype::I64, "u8")];

/// How the elements of a file become those of an array.
struct Stored {
    dtype: Dtype,
    /// Bytes of an element in the file.
    size: usize,
    is_big_endian: bool,
    is_signed: bool,
}

impl Stored {
    /// By NumPy's name: the order of bytes, a letter, and how many there are.
    fn named(descr: &str) -> Option<Self> {
        let (order, name) = descr.split_at_checked(1).filter(|(order, _)| "<>|".contains(order))?;
        let own = NAMES.iter().map(|(dtype, name)| (*dtype, &name[1..]));
        let (dtype, _) = own.chain(WIDENED).find(|(_, known)| *known == name)?;
        let size = name[1..].parse().ok()?;
        Some(Self { dtype, size, is_big_endian: order == ">", is_signed: name.starts_with('i') })
    }

    /// The bytes of an array.
    fn bytes(&self, data: &[u8]) -> Vec<u8> {
        let width = self.dtype.bytes();
        if !self.is_big_endian && self.size == width {
            return data.to_vec();
        }
        let mut bytes = Vec::with_capacity(data.len() / self.size * width);
        for element in data.chunks_exact(self.size) {
            let (begin, end) = (bytes.len(), bytes.len() + width);
            bytes.extend_from_slice(element);
            if self.is_big_endian {
                bytes[begin..].reverse();
            }
            let is_negative = self.is_signed && bytes.last().is_some_and(|&highest| highest >= 0x80);
            bytes.resize(end, if is_negative { 0xff } else { 0 });
        }
        bytes
    }

    /// The first element of a file's bytes that our type cannot hold, and its value.
    fn too_large(&self, bytes: &[u8]) -> Option<(usize, u64)> {
        let has_all = self.dtype != Dtype::I64 || self.is_signed;
        let mut values = bytes.as_chunks().0.iter().map(|&element| u64::from_le_bytes(element)).enumerate();
        if has_all { None } else { values.find(|(_, value)| i64::try_from(*value).is_err()) }
    }
}

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
    let stored = Stored::named(descr).ok_or_else(|| {
        let found = if descr.starts_with('[') { "several fields an element" } else { descr };
        wrong("int8 to int64, uint8 to uint64, float16 to float64, or bool", found).hint(
            "save x.astype(numpy.uint32) for tokens and labels, x.astype(numpy.float32) for other numbers",
        )
    })?;
    if !value("fortran_order")?.starts_with("False") {
        return Err(wrong("row-major order", "column-major order").hint("save numpy.ascontiguousarray(x)"));
    }
    let shape = parse_shape(value("shape")?).ok_or_else(|| wrong("a shape", header.trim()))?;
    let size = elements(&shape).and_then(|n| n.checked_mul(stored.size));
    if size != Some(data.len()) {
        let size = size.map_or("more bytes than can be counted".into(), |n| format!("{n} bytes"));
        return Err(wrong(
            &format!("{size} of data for {descr} {shape:?}"),
            &format!("{} bytes", data.len()),
        ));
    }
    let bytes = stored.bytes(data);
    if let Some((at, value)) = stored.too_large(&bytes) {
        return Err(wrong("whole numbers below 2^63", &format!("{value}, element {at}")));
    }
    Ok(Array { dtype: stored.dtype, shape, bytes })
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
    fn every_integer_is_widened_in_either_order_of_bytes() {
        let read = |descr: &str, data: &[u8]| {
            let size: usize = descr[2..].parse().unwrap();
            decode(&encode_as(descr, &[data.len() / size], data), "x")
        };
        let whole =
            |descr: &str, data: &[u8]| read(descr, data).unwrap().whole().unwrap().collect::<Vec<_>>();
        assert_eq!(whole("|i1", &[1, 0xff]), [1, -1]);
        assert_eq!(whole("<i2", &[0xfe, 0xff, 0, 1]), [-2, 256]);
        assert_eq!(whole("<u2", &[0xfe, 0xff, 0, 1]), [65534, 256]);
        assert_eq!(whole(">u2", &[0xff, 0xfe, 1, 0]), [65534, 256]);
        assert_eq!(whole(">i2", &[0xff, 0xfe]), [-2]);
        assert_eq!(whole(">u4", &[0, 0, 1, 2]), [258]);
        assert_eq!(whole("<u8", &7u64.to_le_bytes()), [7]);
        assert_eq!(whole(">i8", &(-7i64).to_be_bytes()), [-7]);
        assert_eq!(read(">f4", &1.5f32.to_be_bytes()).unwrap(), Array::f32([1], &[1.5]));
        let large = [3, u64::MAX].map(u64::to_le_bytes).concat();
        let error = read("<u8", &large).unwrap_err().to_string();
        assert!(error.contains("18446744073709551615, element 1"), "{error}");
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
        refused(&edited("<f4", "<c8"), "uint8 to uint64, float16 to float64, or bool; found: <c8");
        refused(&edited("<f4", "<c8"), "x.astype(numpy.uint32)");
        refused(&edited("'<f4'", "[('a'"), "several fields");
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
