//! A file that arrays are appended to, record by record, such as the masks of a run as they change.
//!
//! A record is the number of bytes that follow (u64, little endian) and a gzip stream of safetensors. A last record
//! that a crash cut off is passed over; any other damage is an error, which gzip's checksum finds.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use crate::error::{Error, Result};
use crate::store::array::Arrays;
use crate::store::folder::failed;
use crate::store::safetensors;

/// Bytes of a record's length.
const HEAD: u64 = 8;

/// Appends records.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens a file, made if it is absent, and cuts off what lies beyond `end` bytes.
    pub fn open(path: &Path, end: u64) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| failed("open", path, e))?;
        file.set_len(end).map_err(|e| failed("cut", path, e))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Adds one record. Equal arrays give equal bytes.
    pub fn append(&mut self, arrays: &Arrays) -> Result<()> {
        let fail = |e| failed("write", &self.path, e);
        let mut record = vec![0; HEAD as usize];
        let mut gzip = GzEncoder::new(&mut record, Compression::fast());
        safetensors::encode(arrays, &[], &mut gzip).map_err(fail)?;
        gzip.finish().map_err(fail)?;
        let length = record.len() as u64 - HEAD;
        record[..HEAD as usize].copy_from_slice(&length.to_le_bytes());
        self.file.write_all(&record).map_err(fail)
    }

    /// Waits until what was appended is on the disk.
    pub fn flush(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| failed("flush", &self.path, e))
    }
}

/// Reads records in the order in which they were appended.
pub struct Records {
    path: PathBuf,
    input: BufReader<File>,
    length: u64,
    end: u64,
    number: usize,
}

impl Records {
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |e| failed("read", path, e);
        let file = File::open(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        Ok(Self { path: path.to_path_buf(), input: BufReader::new(file), length, end: 0, number: 0 })
    }

    /// The next record; `None` behind the last whole one.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a record is damaged, with its number and its place in the file.
    pub fn read(&mut self) -> Result<Option<Arrays>> {
        let fail = |e| failed("read", &self.path, e);
        if self.length - self.end < HEAD {
            return Ok(None);
        }
        let mut head = [0; HEAD as usize];
        self.input.read_exact(&mut head).map_err(fail)?;
        let bytes = u64::from_le_bytes(head);
        if bytes > self.length - self.end - HEAD {
            return Ok(None);
        }
        let mut packed = vec![0; bytes as usize];
        self.input.read_exact(&mut packed).map_err(fail)?;
        self.number += 1;
        let mut plain = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut plain).map_err(|e| self.damaged(e.to_string()))?;
        let origin = self.path.display().to_string();
        let arrays = safetensors::decode(&plain[..], plain.len() as u64, &origin)
            .map_err(|e| self.damaged(e.to_string()))?;
        self.end += HEAD + bytes;
        Ok(Some(arrays))
    }

    /// An error about the record that was read last.
    pub fn damaged(&self, found: impl Into<String>) -> Error {
        Error::checkpoint(format!("{} is damaged", self.path.display()))
            .at(format!("record {}, from byte {}", self.number, self.end))
            .at(found)
    }
    /// Where the last whole record that was read ends.
    pub fn end(&self) -> u64 {
        self.end
    }
    /// Whether something lies behind what was read. Once all is read: a record that was cut off.
    pub fn is_more(&self) -> bool {
        self.end < self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::store::Array;

    fn record(step: u32) -> Arrays {
        Arrays::from([
            ("step".to_string(), Array::u32([1], &[step])),
            ("places".to_string(), Array::u32([100], &(0..100).map(|i| i * step).collect::<Vec<_>>())),
        ])
    }

    fn written(path: &Path, steps: &[u32]) -> Vec<u8> {
        let mut journal = Journal::open(path, 0).unwrap();
        steps.iter().for_each(|&step| journal.append(&record(step)).unwrap());
        journal.flush().unwrap();
        std::fs::read(path).unwrap()
    }

    fn all(path: &Path) -> Result<(Vec<Arrays>, bool)> {
        let mut records = Records::open(path)?;
        let mut found = Vec::new();
        while let Some(arrays) = records.read()? {
            found.push(arrays);
        }
        Ok((found, records.is_more()))
    }

    #[test]
    fn records_come_back_and_go_on_behind_a_cut() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal.bin");
        let whole = written(&path, &[1, 2, 3, 4]);
        assert_eq!(all(&path).unwrap(), ([1, 2, 3, 4].map(record).to_vec(), false));
        let mut records = Records::open(&path).unwrap();
        records.read().unwrap();
        records.read().unwrap();
        let mut journal = Journal::open(&path, records.end()).unwrap();
        [3, 4].iter().for_each(|&step| journal.append(&record(step)).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_record_is_whole_passed_over_or_an_error() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal.bin");
        let whole = written(&path, &[1, 2]);
        let first = written(&path, &[1]).len();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let want = if cut < first { vec![] } else { vec![record(1)] };
            assert_eq!(all(&path).unwrap(), (want, cut != 0 && cut != first), "{cut} bytes");
        }
        // A flipped bit behind the length: an error, or, where it pads the stream, of no effect.
        let mut harmless = 0;
        for at in (HEAD as usize + 10..first).flat_map(|byte| (0..8).map(move |bit| byte * 8 + bit)) {
            let mut bytes = whole.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            std::fs::write(&path, bytes).unwrap();
            match all(&path) {
                Ok(found) => {
                    assert_eq!(found, ([1, 2].map(record).to_vec(), false), "bit {at}");
                    harmless += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind, Kind::Checkpoint, "bit {at}: {error}");
                    assert!(error.to_string().contains("record 1, from byte 0"), "{error}");
                }
            }
        }
        assert!(harmless <= 14, "{harmless} bits: more than end two blocks");
    }
}
