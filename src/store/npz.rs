//! NumPy's `.npz` format: a ZIP archive of `.npy` files, which `numpy.load` and `scipy.sparse.load_npz` open.
//!
//! Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16, without encryption, comments and ZIP64.
//! Members are deflated, as by `numpy.savez_compressed`. Equal members give equal bytes: all bear the first date of DOS.

use std::io::Write;
use std::path::Path;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use crate::error::{Error, Kind, Result};
use crate::store::folder::write_file_atomic;

/// What begins each part of an archive.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// The version of the format that deflated members need: 2.0.
const VERSION: u16 = 20;
const DEFLATED: u16 = 8;
/// The first of January 1980, midnight: time, then date.
const WHEN: [u16; 2] = [0, 1 << 5 | 1];

/// Writes an archive, whole or not at all: names without `.npy`, each with the bytes of such a file.
///
/// # Errors
/// `Kind::FileSystem`, also where a member or the archive has 4 GiB or more, or there are more than 65,535 members.
pub fn write(path: &Path, members: &[(&str, Vec<u8>)]) -> Result<()> {
    let bytes = encode(members).ok_or_else(|| {
        Error::new(Kind::FileSystem, format!("{} would be too large for a .npz file", path.display()))
            .at("a ZIP archive without extensions ends at 4 GiB")
            .hint("--to safetensors")
    })?;
    write_file_atomic(path, &bytes)
}

/// The bytes of an archive, unless that is too large.
fn encode(members: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let (name, offset) = (format!("{name}.npy"), u32::try_from(archive.len()).ok()?);
        let deflated = deflated(bytes);
        let facts = facts(&name, bytes, &deflated)?;
        archive.extend(LOCAL.to_le_bytes());
        archive.extend(&facts);
        archive.extend(name.as_bytes());
        archive.extend(deflated);

        directory.extend(CENTRAL.to_le_bytes());
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&facts);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(members.len()).ok()?.to_le_bytes();
    let (start, length) = (u32::try_from(archive.len()).ok()?, u32::try_from(directory.len()).ok()?);
    archive.extend(directory);
    archive.extend(END.to_le_bytes());
    // The first disk, and the directory on it.
    archive.extend([0; 4]);
    archive.extend([count, count].concat());
    archive.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    // No comment.
    archive.extend([0; 2]);
    Some(archive)
}

/// What both headers of a member say of it.
fn facts(name: &str, bytes: &[u8], deflated: &[u8]) -> Option<Vec<u8>> {
    let mut crc = Crc::new();
    crc.update(bytes);
    let [time, date] = WHEN;
    let mut facts: Vec<u8> =
        [VERSION, 0, DEFLATED, time, date].into_iter().flat_map(u16::to_le_bytes).collect();
    let sizes = [crc.sum(), u32::try_from(deflated.len()).ok()?, u32::try_from(bytes.len()).ok()?];
    facts.extend(sizes.into_iter().flat_map(u32::to_le_bytes));
    facts.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
    // Nothing beside.
    facts.extend([0; 2]);
    Some(facts)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).and_then(|()| out.finish()).expect("memory takes every byte")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn word(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    /// As other programs go about it: from the end to the directory, from there to each member.
    #[test]
    fn members_are_found_by_the_directory() {
        let members = [("data", vec![7; 5000]), ("shape", Vec::new()), ("one", vec![1])];
        let bytes = encode(&members).unwrap();
        let end = bytes.len() - 22;
        assert_eq!((word(&bytes, end), bytes[end + 10]), (END as usize, 3));
        let mut at = word(&bytes, end + 16);
        assert_eq!(at + word(&bytes, end + 12), end);
        for (name, want) in &members {
            assert_eq!(word(&bytes, at), CENTRAL as usize);
            let (crc, packed, whole) = (word(&bytes, at + 16), word(&bytes, at + 20), word(&bytes, at + 24));
            let (length, local) = (usize::from(bytes[at + 28]), word(&bytes, at + 42));
            let called = &bytes[at + 46..][..length];
            assert_eq!((called, whole), (format!("{name}.npy").as_bytes(), want.len()));
            assert_eq!(&bytes[local + 30..][..length], called);
            let mut crc_of = Crc::new();
            crc_of.update(want);
            assert_eq!(crc, crc_of.sum() as usize);
            let mut got = Vec::new();
            flate2::read::DeflateDecoder::new(&bytes[local + 30 + length..][..packed])
                .read_to_end(&mut got)
                .unwrap();
            assert_eq!(got, *want);
            at += 46 + length;
        }
        assert_eq!(at, end);
    }

    /// The check value of CRC-32: that of the digits 1 to 9.
    #[test]
    fn the_checksum_is_that_of_zip() {
        let facts = facts("x", b"123456789", b"").unwrap();
        assert_eq!(word(&facts, 10), 0xcbf4_3926);
    }
}
