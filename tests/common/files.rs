//! The repository's own text files, for tests that read them.
#![allow(dead_code)] // each test file uses its own part

use std::fs;
use std::path::Path;
use std::process::Command;

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

/// Every text file of the repository, by path: those that git tracks, or, where there is no git, as in a source archive,
/// all. Files that are not UTF-8 are left out.
pub fn texts() -> Vec<Text> {
    texts_in(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// The text files of the repository in `root`.
pub fn texts_in(root: &Path) -> Vec<Text> {
    let mut paths = tracked(root).unwrap_or_else(|| all_files(root));
    paths.sort();
    let read = |path: String| Some(Text { text: fs::read_to_string(root.join(&path)).ok()?, path });
    paths.into_iter().filter_map(read).collect()
}

/// What git tracks; `None` without git, and where `root` lies in somebody else's repository.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let git = ["-c", "safe.directory=*", "ls-files", "-z"];
    let output = Command::new("git").args(git).current_dir(root).env_remove("GIT_DIR").output().ok()?;
    let paths: Vec<String> =
        String::from_utf8(output.stdout).ok()?.split_terminator('\0').map(String::from).collect();
    (output.status.success() && paths.iter().any(|path| path == "Cargo.toml")).then_some(paths)
}

/// Every file but git's own and what `.gitignore` names as `/folder/`.
fn all_files(root: &Path) -> Vec<String> {
    let ignore = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let mut skip = vec![".git".to_string()];
    skip.extend(ignore.lines().map(|line| line.trim_matches('/').to_string()));
    let mut all = Vec::new();
    gather(root, "", &skip, &mut all);
    all
}

fn gather(folder: &Path, prefix: &str, skip: &[String], all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
        let entry = entry.expect("an entry can be read");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if skip.contains(&path) {
            continue;
        }
        if entry.file_type().expect("an entry has a type").is_dir() {
            gather(&entry.path(), &format!("{path}/"), skip, all);
        } else {
            all.push(path);
        }
    }
}
