//! Networks that were evaluated, a line each in a file, so that a search goes on where it was stopped.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::folder::failed;

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marks {
    /// Share of right answers, 0 to 1.
    pub accuracy: f64,
    pub loss: f64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// What the marks depend on besides: weights, and images.
    of: String,
    subnet: String,
    #[serde(flatten)]
    marks: Marks,
}

/// What is known of one state of the weights.
pub struct Record {
    of: String,
    known: HashMap<String, Marks>,
    /// Where it is kept, if it is.
    path: Option<PathBuf>,
}

impl Record {
    /// The lines of a file that are `of` these weights and images; others stay where they are. A last line that was cut off
    /// is passed over.
    ///
    /// # Errors
    /// `Kind::FileSystem` where it cannot be read, `Kind::Checkpoint` for lines that are none.
    pub fn open(path: Option<&Path>, of: &str) -> Result<Self> {
        let mut known = HashMap::new();
        if let Some(path) = path.filter(|path| path.exists()) {
            let text = std::fs::read_to_string(path).map_err(|e| failed("read", path, e))?;
            for (number, line) in text[..whole(&text)].lines().enumerate() {
                match serde_json::from_str::<Line>(line) {
                    Ok(line) if line.of == of => drop(known.insert(line.subnet, line.marks)),
                    Ok(_) => {}
                    Err(e) => {
                        return Err(Error::checkpoint(format!("{} is damaged", path.display()))
                            .at(format!("line {}: {e}", number + 1))
                            .hint("delete the line, or the file: networks are evaluated again"));
                    }
                }
            }
        }
        Ok(Self { of: of.to_string(), known, path: path.map(Path::to_path_buf) })
    }

    /// Networks that are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
    pub fn get(&self, subnet: &str) -> Option<Marks> {
        self.known.get(subnet).copied()
    }

    /// Adds a network, and its line to the file.
    pub fn add(&mut self, subnet: &str, marks: Marks) -> Result<()> {
        if let Some(path) = &self.path {
            let line = Line { of: self.of.clone(), subnet: subnet.to_string(), marks };
            let line = serde_json::to_string(&line).map_err(|e| Error::internal(e.to_string()))?;
            append(path, &line).map_err(|e| failed("write", path, e))?;
        }
        self.known.insert(subnet.to_string(), marks);
        Ok(())
    }
}

/// Bytes up to the end of the last line that has one.
fn whole(text: &str) -> usize {
    text.rfind('\n').map_or(0, |at| at + 1)
}

/// Adds a line. A last one that was cut off goes before it.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    // Not by appending: on some systems what is opened for that cannot be shortened.
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    // Another search may write here, too. The lock goes with the file.
    file.lock()?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != [b'\n'] {
        file.set_len(whole(&std::fs::read_to_string(path)?) as u64)?;
        file.seek(SeekFrom::End(0))?;
    }
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_was_stopped() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("search/subnets.jsonl");
        let marks = |accuracy| Marks { accuracy, loss: 0.1 + 0.2 };
        let mut record = Record::open(Some(&path), "a").unwrap();
        record.add("ks=3", marks(0.1)).unwrap();
        record.add("ks=5", marks(0.2)).unwrap();
        Record::open(Some(&path), "b").unwrap().add("ks=3", marks(0.9)).unwrap();
        let again = Record::open(Some(&path), "a").unwrap();
        assert_eq!((again.len(), again.get("ks=3"), again.get("ks=7")), (2, Some(marks(0.1)), None));
        // Stopped within a line.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut again = Record::open(Some(&path), "b").unwrap();
        assert!(again.is_empty());
        again.add("ks=7", marks(0.5)).unwrap();
        assert_eq!(Record::open(Some(&path), "b").unwrap().len(), 1);
        assert_eq!(Record::open(Some(&path), "a").unwrap().len(), 2);
        std::fs::write(&path, format!("nonsense\n{text}")).unwrap();
        let error = Record::open(Some(&path), "a").err().unwrap().to_string();
        assert!(error.contains("line 1") && error.contains("evaluated again"), "{error}");
    }

    #[test]
    fn without_a_file_it_is_of_one_search() {
        let mut record = Record::open(None, "a").unwrap();
        record.add("full", Marks { accuracy: 1.0, loss: 0.0 }).unwrap();
        assert_eq!(record.len(), 1);
    }
}
