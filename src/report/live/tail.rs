//! The lines that were added to a file since somebody looked last. Each byte is read once.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use crate::error::Result;
use crate::store::folder::failed;

/// A file of JSON objects, one a line, that a run adds to. It need not be there yet.
pub struct Tail {
    path: PathBuf,
    /// Bytes read, up to the end of a line.
    read: u64,
}

impl Tail {
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// Reads from the start again.
    pub fn restart(&mut self) {
        self.read = 0;
    }

    /// Whether there is less than was read: lines were cut off.
    pub fn is_cut(&self) -> bool {
        std::fs::metadata(&self.path).map_or(0, |file| file.len()) < self.read
    }

    /// The whole lines that are new. What is no JSON is passed over: a crash may have torn it.
    pub fn look(&mut self) -> Result<Vec<Value>> {
        let fail = |e| failed("read", &self.path, e);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(e)),
        };
        file.seek(SeekFrom::Start(self.read)).map_err(fail)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail)?;
        // The last line may be in the making.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        self.read += whole as u64;
        let lines = bytes[..whole].split(|&byte| byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn each_line_is_told_once_when_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.jsonl");
        let mut tail = Tail::new(path.clone());
        let mut steps = || -> Vec<u64> {
            tail.look().unwrap().iter().map(|line| line["step"].as_u64().unwrap()).collect()
        };
        assert!(steps().is_empty(), "it is not there yet");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"{\"step\":1}\n{\"step\":2}\n{\"st").unwrap();
        assert_eq!((steps(), steps()), (vec![1, 2], vec![]));
        file.write_all(b"ep\":3}\ntorn\n{\"step\":4}\n").unwrap();
        assert_eq!(steps(), [3, 4]);
        fs::write(&path, "{\"step\":1}\n").unwrap();
        assert!(tail.is_cut());
        tail.restart();
        assert_eq!((tail.look().unwrap().len(), tail.is_cut()), (1, false));
    }
}
