//! SHA-256 of bytes, of files, and of named arrays.

use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::store::array::{Array, Arrays};

/// A digest over a sequence of named things. Every part is written with its length before it, so that two
/// different sequences never feed the same bytes: `("ab", "c")` is not `("a", "bc")`.
#[derive(Clone, Default)]
pub struct Digest {
    hash: Sha256,
}

impl Digest {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds name, type of element, shape and contents.
    pub fn array(&mut self, name: &str, array: &Array) -> &mut Self {
        self.part(name.as_bytes()).part(array.dtype.name().as_bytes());
        let shape: Vec<u8> = array.shape.iter().flat_map(|&extent| (extent as u64).to_le_bytes()).collect();
        self.part(&shape).part(&array.bytes)
    }

    /// Adds a named value that is not an array: a step, a position in the data.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.part(name.as_bytes()).part(bytes)
    }

    /// The digest so far, as 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
        self
    }
}

/// The digest of all arrays, in the order of their names.
pub fn hash_arrays(arrays: &Arrays) -> String {
    let mut digest = Digest::new();
    for (name, array) in arrays {
        digest.array(name, array);
    }
    digest.hex()
}

/// SHA-256 of some bytes, in hexadecimal.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Length in bytes and SHA-256 of a file, read piece by piece.
pub fn hash_file(path: &Path) -> Result<(u64, String)> {
    let fail = |error| Error::file("read", path, error);
    let mut file = std::fs::File::open(path).map_err(fail)?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 16];
    loop {
        let n = match file.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(fail)?,
        };
        if n == 0 {
            return Ok((length, hex(&hash.finalize())));
        }
        hash.update(&piece[..n]);
        length += n as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of FIPS 180-2, appendix B.
    #[test]
    fn published_vectors() {
        assert_eq!(hash_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash_bytes(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_file_hashes_as_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let bytes: Vec<u8> = (0..200_003u32).map(|i| (i * 7 % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(hash_file(&path).unwrap(), (200_003, hash_bytes(&bytes)));
    }

    #[test]
    fn every_part_counts() {
        let base = Array::f32([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let of = |name: &str, array: &Array| hash_arrays(&Arrays::from([(name.into(), array.clone())]));
        let want = of("w", &base);
        let mut reshaped = base.clone();
        reshaped.shape = vec![3, 2];
        let mut retyped = base.clone();
        retyped.dtype = crate::store::Dtype::I32;
        let mut changed = base.clone();
        changed.bytes[5] ^= 1;
        for other in [of("v", &base), of("w", &reshaped), of("w", &retyped), of("w", &changed)] {
            assert_ne!(want, other);
        }
        assert_eq!(want, of("w", &base));
        let pair = |a: &str, b: &str| Digest::new().bytes(a, b.as_bytes()).hex();
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
    }
}
