//! The header of a safetensors file, checked before anything is believed.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{Error, Result};
use crate::store::array::{Dtype, elements};

/// The limit that the reference implementation sets, too.
pub const LARGEST_HEADER: u64 = 100_000_000;
/// The one key that is not a tensor.
pub const METADATA: &str = "__metadata__";

/// Types of the format that have no array here.
const UNREAD: [&str; 11] =
    ["I8", "I16", "U16", "U64", "C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0"];

/// A tensor as the header states it; `range` is in bytes after the header.
#[derive(Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

/// Reads and checks the header of a file with `data` bytes after it. The entries come in the order of their
/// bytes and cover them without a gap.
pub fn parse(header: &[u8], data: u64, origin: &str) -> Result<Vec<Entry>> {
    let Pairs(pairs) = serde_json::from_slice::<Pairs>(header)
        .map_err(|e| damaged(origin, None, "a JSON header without duplicates".into(), e.to_string()))?;
    let mut entries = Vec::with_capacity(pairs.len());
    for (name, tensor) in pairs {
        let wrong = |expected: String, found: String| damaged(origin, Some(&name), expected, found);
        let dtype = Dtype::from_name(&tensor.dtype).ok_or_else(|| {
            let known = Dtype::ALL.map(Dtype::name).join(" ");
            if !UNREAD.contains(&tensor.dtype.as_str()) {
                return wrong(format!("a type among {known}"), tensor.dtype.clone());
            }
            Error::checkpoint(format!("{origin} has a tensor of a type that is not read"))
                .at(format!("tensor: {name}"))
                .at(format!("expected: one of {known}; found: {}", tensor.dtype))
                .hint("store the tensor as another type")
        })?;
        let [begin, end] = tensor.data_offsets;
        if begin > end || end > data {
            return Err(wrong(format!("a range within {data} bytes of data"), format!("{begin}..{end}")));
        }
        let too_large = || wrong("a shape whose size can be computed".into(), format!("{:?}", tensor.shape));
        let shape: Option<Vec<usize>> = tensor.shape.iter().map(|&n| usize::try_from(n).ok()).collect();
        let bytes = shape.as_deref().and_then(elements).and_then(|n| n.checked_mul(dtype.bytes()));
        let (Some(shape), Some(bytes)) = (shape, bytes) else { return Err(too_large()) };
        if bytes as u64 != end - begin {
            return Err(wrong(
                format!("{bytes} bytes for {} {shape:?}", dtype.name()),
                format!("{} bytes", end - begin),
            ));
        }
        entries.push(Entry { name, dtype, shape, range: begin as usize..end as usize });
    }
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let mut covered = 0;
    for Entry { name, range, .. } in &entries {
        if range.start != covered {
            let what = if range.start > covered { "a hole" } else { "an overlap" };
            let found = format!("byte {}: {what}", range.start);
            return Err(damaged(origin, Some(name), format!("data from byte {covered}"), found));
        }
        covered = range.end;
    }
    if covered as u64 != data {
        return Err(damaged(origin, None, format!("{covered} bytes of data"), format!("{data} bytes")));
    }
    Ok(entries)
}

/// The error of a file that is not what it should be.
pub fn damaged(origin: &str, tensor: Option<&str>, expected: String, found: String) -> Error {
    let mut error = Error::checkpoint(format!("{origin} is damaged or no safetensors file"));
    if let Some(tensor) = tensor {
        error = error.at(format!("tensor: {tensor}"));
    }
    error.at(format!("expected: {expected}; found: {found}"))
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The tensors as they stand in the file. A map type would keep the last of two equal names and say nothing.
struct Pairs(Vec<(String, Tensor)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("the name {key:?} twice")));
                    }
                    if key == METADATA {
                        map.next_value::<std::collections::HashMap<String, String>>()?;
                    } else {
                        pairs.push((key, map.next_value()?));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn refused(header: &str, data: u64, words: &[&str]) {
        let error = parse(header.as_bytes(), data, "w.safetensors").unwrap_err();
        assert_eq!(error.kind, Kind::Checkpoint);
        let text = error.to_string();
        for word in ["w.safetensors", "expected", "found"].iter().chain(words) {
            assert!(text.contains(word), "{header}: no {word:?} in: {text}");
        }
    }

    fn tensor(shape: &str, begin: u64, end: u64) -> String {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    }

    #[test]
    fn a_sound_header() {
        let header = format!(r#"{{"b":{},"a":{}}}  "#, tensor("[1]", 8, 12), tensor("[2]", 0, 8));
        let entries = parse(header.as_bytes(), 12, "x").unwrap();
        assert_eq!(entries[0], Entry { name: "a".into(), dtype: Dtype::F32, shape: vec![2], range: 0..8 });
        assert_eq!(entries[1].range, 8..12);
        assert_eq!(parse(b"{}", 0, "x").unwrap(), []);
    }

    #[test]
    fn what_is_not_json() {
        refused("", 0, &[]);
        refused("[1, 2]", 0, &[]);
        refused("{\"a\": 1}", 0, &[]);
        refused("{} x", 0, &[]);
        refused("{\"a\": {\"dtype\": \"F32\"}}", 0, &["shape"]);
    }

    #[test]
    fn duplicates() {
        let one = tensor("[1]", 0, 4);
        refused(&format!(r#"{{"a":{one},"a":{one}}}"#), 4, &["\"a\" twice"]);
        refused(r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, &["duplicate"]);
    }

    #[test]
    fn ranges() {
        refused(&format!(r#"{{"a":{}}}"#, tensor("[2]", 0, 8)), 4, &["tensor: a", "0..8"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[1]", 4, 0)), 4, &["4..0"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[1]", 4, 8)), 8, &["tensor: a", "hole"]);
        let overlap = format!(r#"{{"a":{},"b":{}}}"#, tensor("[2]", 0, 8), tensor("[2]", 4, 12));
        refused(&overlap, 12, &["tensor: b", "overlap"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[1]", 0, 4)), 8, &["4 bytes", "8 bytes"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[1]", 0, u64::MAX)), 8, &["tensor: a"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[-1]", 0, 4)), 4, &["-1"]);
    }

    #[test]
    fn shapes() {
        refused(&format!(r#"{{"a":{}}}"#, tensor("[3]", 0, 8)), 8, &["12 bytes", "8 bytes"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[4294967296,4294967296,4]", 0, 8)), 8, &["tensor: a"]);
        refused(&format!(r#"{{"a":{}}}"#, tensor("[18446744073709551615]", 0, 8)), 8, &["tensor: a"]);
        let unknown = tensor("[1]", 0, 4).replace("F32", "F8_E4M3");
        let unread = format!(r#"{{"a":{unknown}}}"#);
        refused(&unread, 4, &["tensor: a", "a type that is not read", "F8_E4M3", "BF16"]);
        assert!(!parse(unread.as_bytes(), 4, "x").unwrap_err().to_string().contains("damaged"));
        refused(&unread.replace("F8_E4M3", "F33"), 4, &["damaged", "a type among", "F33"]);
    }
}
