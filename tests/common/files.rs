//! The repository's own text files, for tests that read them.
#![allow(dead_code)] // each test file uses its own part

use std::fs;
use std::path::Path;

/// A text file: its path below the repository's root, with `/`, and its content.
pub struct Text {
    pub path: String,
    pub text: String,
}

impl Text {
    /// The ending of the name, without the dot; empty where there is none.
    pub fn ending(&self) -> &str {
        self.path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending)
    }
}

/// Every text file of the repository, by path. Left out: git's own folder, what `.gitignore` names as
/// `/folder/`, and files that are not UTF-8.
pub fn texts() -> Vec<Text> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignore = fs::read_to_string(root.join(".gitignore")).expect("the repository has a .gitignore");
    let mut skip = vec![".git".to_string()];
    skip.extend(ignore.lines().map(|line| line.trim_matches('/').to_string()));
    let mut all = Vec::new();
    gather(root, "", &skip, &mut all);
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn gather(folder: &Path, prefix: &str, skip: &[String], all: &mut Vec<Text>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
        let entry = entry.expect("an entry can be read");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if skip.contains(&path) {
            continue;
        }
        if entry.file_type().expect("an entry has a type").is_dir() {
            gather(&entry.path(), &format!("{path}/"), skip, all);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            all.push(Text { path, text });
        }
    }
}
