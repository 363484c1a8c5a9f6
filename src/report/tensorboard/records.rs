//! The frames of an event file, TFRecord: length (u64), its checksum, the bytes of a message, their checksum; little
//! endian.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message as _;

use super::message::Message;
use crate::error::{Error, Result};
use crate::store::folder::failed;

const CASTAGNOLI: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// CRC-32C, turned and moved, as TFRecord masks it: the checksum of bytes that hold checksums is no special case then.
fn checksum(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A file that messages are added to; a reader sees whole ones.
pub struct Records {
    path: PathBuf,
    file: File,
}

impl Records {
    /// Begins a file that does not exist yet.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        Ok(Self { file: file.map_err(|e| failed("create", &path, e))?, path })
    }

    pub fn add(&mut self, message: &Message) -> Result<()> {
        let bytes = message.encode_to_vec();
        let length = (bytes.len() as u64).to_le_bytes();
        let [head, tail] = [checksum(&length), checksum(&bytes)].map(u32::to_le_bytes);
        let frame = [&length[..], &head, &bytes, &tail].concat();
        self.file.write_all(&frame).map_err(|e| failed("write", &self.path, e))
    }
}

/// The messages of a file, in order.
///
/// # Errors
/// `Kind::Checkpoint` where a checksum or a message does not hold, with the place in the file.
pub fn read(path: &Path) -> Result<Vec<Message>> {
    let file = fs::read(path).map_err(|e| failed("read", path, e))?;
    let (mut rest, mut all) = (&file[..], Vec::new());
    while !rest.is_empty() {
        let at = file.len() - rest.len();
        let damaged = |what: &str| {
            Error::checkpoint(format!("{} is damaged", path.display())).at(format!("byte {at}: {what}"))
        };
        let (bytes, after) = frame(rest).ok_or_else(|| damaged("a checksum does not fit"))?;
        all.push(Message::decode(bytes).map_err(|e| damaged(&e.to_string()))?);
        rest = after;
    }
    Ok(all)
}

/// The bytes of the first message, and what follows.
fn frame(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (head, rest) = rest.split_first_chunk::<4>()?;
    let holds = |sum: &[u8; 4], bytes: &[u8]| u32::from_le_bytes(*sum) == checksum(bytes);
    let (bytes, rest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    let (tail, rest) = rest.split_first_chunk::<4>()?;
    (holds(head, length) && holds(tail, bytes)).then_some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_laid_out_as_tfrecord_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let message = Message { file_version: Some("brain.Event:2".into()), ..Default::default() };
        let mut records = Records::create(path.clone()).unwrap();
        records.add(&message).unwrap();
        records.add(&Message { step: 7, ..Default::default() }).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        // The masked sum of a length of 15, as TensorFlow writes it; then field 3, of 13 bytes.
        assert_eq!(bytes[..14], [15, 0, 0, 0, 0, 0, 0, 0, 109, 83, 43, 9, 26, 13]);
        assert_eq!(CASTAGNOLI.checksum(b"123456789"), 0xe306_9283, "the check value of CRC-32C");
        assert_eq!(read(&path).unwrap().iter().map(|m| m.step).collect::<Vec<_>>(), [0, 7]);
        assert!(Records::create(path.clone()).is_err(), "what is there is not written over");
        for place in [0, 9, 14, 20] {
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("byte 0: "), "{place}");
            bytes[place] ^= 1;
        }
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read(&path).is_err(), "its end is missing");
    }
}
